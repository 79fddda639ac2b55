/*
 * cond.c - wait for a condition that a mutex guards.
 *
 * Role    Tickets: a wait takes one before it unlocks the mutex, and gets in line after; a signal serves the lowest
 *         ticket not yet served, whether its owner is in line by then or not. So nothing is lost between
 *         the unlock and the line, and the mutex is unlocked (which may ready somebody) before the waiter publishes.
 *         A broadcast while the mutex is locked wakes nobody: it moves all to the mutex's line, whose unlocks wake them
 *         one at a time, where they would only have fought for it.
 * Near    waitline.h, mutex.h. Layer 3.
 *
 * Invariants, whenever the line's lock is free:
 *   CO1  served <= tickets (mod 2^32). Those in line have tickets not below served.
 *   CO2  A waiter that finds its own ticket below served when it comes to the line has been woken: it does not park.
 * Order   The mutex orders the condition itself; CO3  tickets: add acq_rel (the wait, before its unlock)  ->  signal:
 *         load acquire, so that a signal after that unlock sees the ticket.
 * Limits  2^31 goroutines in wait at one time.
 * Source  Go sync/cond.go, runtime/sema.go notifyList.
 */
#include "mutex.h"

void weft_cond_wait(weft_cond *c)
{
    weft_mutex *m = c->m;
    struct weft__sync_waiter w = {.g = weft__g()};
    uint32_t ticket = atomic_fetch_add_explicit(&c->weft__tickets, 1, memory_order_acq_rel);   /* CO3 */
    weft_mutex_unlock(m);

    w.want = ticket;
    weft__line_lock(&c->weft__line);
    bool woken = (int32_t)(ticket - atomic_load_explicit(&c->weft__served, memory_order_relaxed)) < 0;  /* CO2 */
    if (!woken)
        weft__line_push(&c->weft__line, &w);
    weft__line_unlock(&c->weft__line);
    if (!woken)
        weft__park(WEFT__WAIT_COND);
    if (w.moved)
        weft__mutex_lock_moved(m, &w);
    else
        weft_mutex_lock(m);
}

/* Take the waiter with this ticket out, if it is in line. Lock held. */
static struct weft__sync_waiter *cond_take(weft_cond *c, uint32_t ticket)
{
    struct weft__line *l = &c->weft__line;
    for (struct weft__sync_waiter *before = NULL, *w = l->head; w; before = w, w = w->next) {
        if ((uint32_t)w->want != ticket)
            continue;
        if (!before)
            return weft__line_pop(l);
        before->next = w->next;
        if (l->tail == w)
            l->tail = before;
        return w;
    }
    return NULL;
}

static bool cond_nobody(weft_cond *c)
{
    return atomic_load_explicit(&c->weft__tickets, memory_order_acquire) ==                    /* CO3 */
           atomic_load_explicit(&c->weft__served, memory_order_acquire);
}

void weft_cond_signal(weft_cond *c)
{
    struct weft__sync_waiter *w = NULL;
    if (cond_nobody(c))
        return;
    weft__line_lock(&c->weft__line);
    if (!cond_nobody(c)) {
        uint32_t ticket = atomic_load_explicit(&c->weft__served, memory_order_relaxed);
        atomic_store_explicit(&c->weft__served, ticket + 1, memory_order_release);
        w = cond_take(c, ticket);
    }
    weft__line_unlock(&c->weft__line);
    if (w)
        weft__ready(w->g);
}

void weft_cond_broadcast(weft_cond *c)
{
    if (cond_nobody(c))
        return;
    weft__line_lock(&c->weft__line);
    struct weft__sync_waiter *all = weft__line_take_all(&c->weft__line);
    atomic_store_explicit(&c->weft__served, atomic_load_explicit(&c->weft__tickets, memory_order_acquire), /* CO3 */
                          memory_order_release);
    weft__line_unlock(&c->weft__line);
    if (all && !weft__mutex_move(c->m, all))
        weft__line_ready_all(all);
}
