/*
 * mutex.c - mutual exclusion between goroutines, with Go's two modes.
 *
 * Role    One atomic operation, inline in weft/sync.h, when it is free; else a short spin, then a line of parked goroutines.
 *         Normal mode: an unlock wakes the oldest sleeper, which competes with newcomers (they are on a CPU already:
 *         throughput). A sleeper that has waited 1 ms and loses again turns on starving mode: the unlock hands
 *         the mutex to the oldest sleeper directly, until the line is empty or its head has waited less than 1 ms.
 * Near    waitline.h, mutex.h (for cond.c), docs/design/sync.md, docs/adr/0005-mutex-atomics.md. Layer 3.
 *
 * The word: LOCKED; SLEEPERS, the line is not empty; WOKEN, somebody who was woken or spins is on its way and an
 * unlock need not wake another; STARVING.
 *   MX1  SLEEPERS <=> the line is not empty, whenever the line's lock is free.
 *   MX2  SLEEPERS and STARVING change under the line's lock only; SLEEPERS is set only while LOCKED is, so that
 *        the holder's unlock sees it.
 *   MX3  STARVING => LOCKED, but for one step (a sleeper asks for it while an unlock is letting go): the mutex goes
 *        from hand to hand and newcomers do not find it free.
 *   MX4  WOKEN has one owner, who clears it when it gets the mutex or goes back to sleep.
 * Order   MX5  unlock: word release, or S2/S3 on a hand-over  ->  lock: word acquire.
 * Locks   the line's. The change of the word (or the drop of the line's lock, on a hand-over) that lets another
 *         goroutine have the mutex is the last touch: it may free it.
 * Source  Go internal/sync/mutex.go.
 */
#include "mutex.h"

#include "../sched/section.h"

enum { LOCKED = 1, SLEEPERS = 2, WOKEN = 4, STARVING = 8 };
enum { SPIN_ROUNDS = 4, SPIN_PAUSES = 30 };
#define STARVE_NS WEFT_MS

static bool mutex_cas(weft_mutex *m, uint32_t *was, uint32_t to)
{
    return atomic_compare_exchange_weak_explicit(&m->weft__state, was, to, memory_order_acq_rel, /* MX5 */
                                                 memory_order_relaxed);
}

extern inline void weft_mutex_lock(weft_mutex *m);
extern inline void weft_mutex_unlock(weft_mutex *m);

bool weft_mutex_try_lock(weft_mutex *m)
{
    uint32_t s = atomic_load_explicit(&m->weft__state, memory_order_relaxed);
    while (!(s & LOCKED))
        if (mutex_cas(m, &s, s | LOCKED))
            return true;
    return false;
}

/* Wait a little for a holder that runs on another CPU. Sets WOKEN so that its unlock wakes no sleeper. */
static void mutex_spin(weft_mutex *m, bool *woken)
{
    for (int round = 0; round < SPIN_ROUNDS; round++) {
        uint32_t s = atomic_load_explicit(&m->weft__state, memory_order_relaxed);
        if ((s & (LOCKED | STARVING)) != LOCKED)
            return;
        if (!*woken && (s & SLEEPERS) && !(s & WOKEN))
            *woken = mutex_cas(m, &s, s | WOKEN);                      /* MX4 */
        for (int i = 0; i < SPIN_PAUSES; i++)
            weft__pause();
    }
}

/* Get in line unless the mutex is free. Returns true when the caller is in line and must park. */
static bool mutex_enqueue(weft_mutex *m, struct weft__sync_waiter *w, bool woken, bool first)
{
    bool starving = !first && weft__now() - w->since > STARVE_NS;

    weft__line_lock(&m->weft__line);
    uint32_t s = atomic_load_explicit(&m->weft__state, memory_order_relaxed), to;
    do {
        if (!(s & LOCKED)) {
            weft__line_unlock(&m->weft__line);
            return false;
        }
        to = s | SLEEPERS;                                             /* MX2 */
        if (starving)
            to |= STARVING;
        if (woken)
            to &= ~(uint32_t)WOKEN;                                    /* MX4 */
    } while (!mutex_cas(m, &s, to));
    if (first)
        weft__line_push(&m->weft__line, w);
    else
        weft__line_push_front(&m->weft__line, w);
    weft__line_unlock(&m->weft__line);
    return true;
}

/* Compete for the mutex until w's goroutine has it. woken: it has waited in line, and an unlock set WOKEN for it. */
static void mutex_compete(weft_mutex *m, struct weft__sync_waiter *w, bool woken)
{
    bool first = !woken;

    for (;;) {
        if (weft__may_spin())
            mutex_spin(m, &woken);
        uint32_t s = atomic_load_explicit(&m->weft__state, memory_order_relaxed);
        while (!(s & LOCKED)) {
            uint32_t to = (s | LOCKED) & ~(woken ? (uint32_t)WOKEN : 0);   /* MX4 */
            if (mutex_cas(m, &s, to))
                return;
        }
        if (first)
            w->since = weft__now();
        if (!mutex_enqueue(m, w, woken, first))
            continue;
        weft__park(WEFT__WAIT_MUTEX);
        if (w->given)
            return;                                                    /* handed over: MX3 */
        first = false;
        woken = true;                                                  /* the unlock set it for us */
    }
}

void weft__mutex_lock_slow(weft_mutex *m)
{
    struct weft__sync_waiter w = {.g = weft__g()};
    mutex_compete(m, &w, false);
}

void weft__mutex_lock_moved(weft_mutex *m, struct weft__sync_waiter *w)
{
    if (!w->given)
        mutex_compete(m, w, true);
}

bool weft__mutex_move(weft_mutex *m, struct weft__sync_waiter *list)
{
    struct weft__line *l = &m->weft__line;
    struct weft__sync_waiter *last = NULL;
    weft_time now = weft__now();

    for (struct weft__sync_waiter *w = list; w; last = w, w = w->next) {
        w->since = now;
        w->moved = true;
    }
    weft__line_lock(l);
    uint32_t s = atomic_load_explicit(&m->weft__state, memory_order_relaxed);
    while ((s & LOCKED) && !mutex_cas(m, &s, s | SLEEPERS))            /* MX2 */
        ;
    bool locked = s & LOCKED;
    if (locked) {                                                      /* MX1 */
        if (l->tail)
            l->tail->next = list;
        else
            l->head = list;
        l->tail = last;
    }
    weft__line_unlock(l);
    for (struct weft__sync_waiter *w = locked ? NULL : list; w; w = w->next)
        w->moved = false;
    return locked;
}

/* Starving: the oldest sleeper gets the mutex, LOCKED stays. */
static void mutex_hand_over(weft_mutex *m)
{
    weft_time now = weft__now();

    weft__line_lock(&m->weft__line);
    struct weft__sync_waiter *w = weft__line_pop(&m->weft__line);
    WEFT_ASSERT(w, "MX3: starving without a sleeper");
    uint32_t drop = 0;
    if (!m->weft__line.head)
        drop = SLEEPERS | STARVING;                                    /* MX1 */
    else if (now - w->since < STARVE_NS)
        drop = STARVING;
    if (drop)
        atomic_fetch_and_explicit(&m->weft__state, ~drop, memory_order_relaxed);
    w->given = true;
    struct weft__g *g = w->g;
    weft__line_unlock(&m->weft__line);
    weft__ready(g);
}

/* Normal mode with sleepers: take the oldest out, free the mutex, wake it. False: a spinner has come, the mutex is still
 * ours; it may get in line before we let go, so letting go must see WOKEN at that instant. */
static bool mutex_wake_one(weft_mutex *m)
{
    struct weft__sync_waiter *w;
    uint32_t s = atomic_load_explicit(&m->weft__state, memory_order_relaxed), to;

    weft__line_lock(&m->weft__line);
    do {
        w = (s & WOKEN) ? NULL : m->weft__line.head;
        if (!w) {
            weft__line_unlock(&m->weft__line);
            return false;
        }
        to = s | WOKEN;                                                /* MX4: w owns it */
        if (!w->next)
            to &= ~(uint32_t)SLEEPERS;                                 /* MX1 */
    } while (!mutex_cas(m, &s, to));
    weft__line_pop(&m->weft__line);
    weft__line_unlock(&m->weft__line);
    atomic_fetch_and_explicit(&m->weft__state, ~(uint32_t)LOCKED, memory_order_release); /* MX5; last touch */
    weft__ready(w->g);
    return true;
}

void weft__mutex_unlock_slow(weft_mutex *m, uint32_t s)
{
    for (;;) {
        if (!(s & LOCKED))
            weft__fatal("sync: unlock of unlocked mutex");
        if (s & STARVING) {
            mutex_hand_over(m);
            return;
        }
        if ((s & SLEEPERS) && !(s & WOKEN)) {
            if (mutex_wake_one(m))
                return;
            s = atomic_load_explicit(&m->weft__state, memory_order_relaxed);
            continue;
        }
        if (mutex_cas(m, &s, s & ~(uint32_t)LOCKED))
            return;
    }
}
