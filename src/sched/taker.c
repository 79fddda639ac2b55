/*
 * taker.c - a parked goroutine that waits for 8 bytes is queued by its waiter, together with them, and readied by who takes it.
 *
 * Role    A send to a goroutine that has slept long misses the caches at its stack and at its descriptor. A taker is its
 *         waiter's address and the bytes: the sender queues both and touches neither; who takes it from the queue, when
 *         both have been fetched ahead (weft__runq_fetch), puts the bytes and readies the goroutine.
 * Near    chan/chan.c (who sends so), runq.c (Q1, Q3), worker.c (who takes), sched.h (S1-S5). Layer 2.
 * Invariants
 *   Q4  A taker's goroutine may be on its CPU still, on its way into weft__park (S3), or held by the scavenger (V3). Who takes
 *       it never waits for that inside its section: the thread that it waits for may be waiting for a claim, or be stopped by
 *       a dump for good. The taker goes to the queue's end, and its worker looks again outside of the section.
 *   Q5  Only weft__deliver_or_put ends the park of who is queued so. Until then its state says that it is parked: weft__takers_show
 *       puts that right for those that ask.
 * Order   G1 (worker.c): on_cpu acquire before the goroutine is anybody's. The bytes go by the queue: same thread, claim (M2, M3)
 *         or sched.lock.
 * Limits  8 bytes, receivers that are not tied, senders with a processor; others are readied at once.
 * Model   tests/model/taker.pml.
 */
#include "sched_int.h"

#include <string.h>

/* How often who asks for states looks again at what another thread holds: a tenth of a second or less in all. Nobody is stopped by a
 * report while it holds a claim or a lock (weft__stop_if_frozen is called by none of those that do), but a holder may be off its
 * CPU, or have failed itself and so wait for good (Z1). */
enum { TAKER_TRIES = 1200 };

/* NULL: nothing is done. */
static struct weft__g *taker_deliver(struct weft__taker *t, uint64_t v)
{
    struct weft__g *g = t->g;

    if (weft__unlikely(atomic_load_explicit(&g->sw.on_cpu, memory_order_acquire) != 0)) /* G1, Q4 */
        return NULL;
    atomic_store_explicit(&g->state, WEFT__G_RUNNABLE, memory_order_relaxed);      /* V1 sb */
    atomic_store_explicit(&g->wait, WEFT__WAIT_NONE, memory_order_relaxed);
    atomic_signal_fence(memory_order_seq_cst);                                     /* V1 sb */
    if (weft__unlikely(atomic_load_explicit(&g->hold, memory_order_acquire) != 0)) /* V1 sb, V2, Q4 */
        return NULL;
    memcpy(t->p, &v, sizeof v);
    t->ok = true;
    return g;
}

struct weft__g *weft__deliver_or_put(struct weft__p *p, struct weft__taker *t, uint64_t v)
{
    struct weft__g *g = taker_deliver(t, v);

    if (weft__unlikely(!g))
        weft__p_put_taker(p, t, v);
    return g;
}

struct weft__g *weft__next_deliver(struct weft__p *p)
{
    weft__runnable next = atomic_load_explicit(&p->next, memory_order_relaxed);

    atomic_store_explicit(&p->next, 0, memory_order_relaxed);
    return weft__deliver_or_put(p, weft__taker_of(next), p->next_bytes);
}

/* ---- for those that look at states ---- */

static void taker_show(weft__runnable r)
{
    if (r & WEFT__IS_TAKER)
        atomic_store_explicit(&weft__taker_of(r)->g->state, WEFT__G_RUNNABLE, memory_order_relaxed);
}

/* Owner's or claimer's. */
static void taker_show_queue(const struct weft__p *p)
{
    uint32_t head = atomic_load_explicit(&p->head, memory_order_relaxed);

    for (uint32_t n = weft__runq_len(p); n > 0; n--, head++)
        taker_show(p->ring[head & (p->slots - 1)]);
    taker_show(atomic_load_explicit(&p->next, memory_order_relaxed));
}

static void taker_show_global(struct weft__sched *s)
{
    uint32_t spins = 0;

    while (!weft__lock_try(&s->lock)) {
        if (spins == TAKER_TRIES)
            return;
        weft__spin(&spins);
    }
    for (weft__runnable r = s->gq_head; r; r = *weft__runnable_next(r))
        taker_show(r);
    weft__unlock(&s->lock);
}

/* By the processor, not by the threads that are known: its new owner may not have begun. False: look again; it is on its way from
 * one owner to another, or its queue is another's now, who holds the claim or is in its section: though it is empty, for the owner may
 * have some in hand that it has taken from the global queue. */
static bool taker_show_p(const struct weft__p *p, const struct weft__m *me, bool frozen)
{
    struct weft__m *m = atomic_load_explicit(&p->m, memory_order_acquire);
    bool ours = m && (atomic_load_explicit(&m->claim, memory_order_acquire) & WEFT__CLAIM_FROZEN) != 0; /* M3 */

    if (m && m == me && atomic_load_explicit(&m->in, memory_order_relaxed) != 0)
        return true; /* we have failed inside of a section */
    if (!ours && !(m && weft__claim(m)))
        return !m && weft__runq_len(p) == 0 && atomic_load_explicit(&p->next, memory_order_relaxed) == 0;
    bool is = atomic_load_explicit(&m->p, memory_order_relaxed) == p;
    if (is)
        taker_show_queue(p);
    if (!ours && !(frozen && m != me)) /* one that the freeze has missed is not let go */
        weft__unclaim(m);
    return is;
}

void weft__takers_show(void)
{
    struct weft__sched *s = &weft__sched;
    bool frozen = atomic_load_explicit(&s->frozen, memory_order_relaxed) != 0;
    int n = atomic_load_explicit(&s->ps_n, memory_order_acquire);
    uint32_t spins = 0;

    for (int i = 0; i < n; i++) {
        const struct weft__p *p = atomic_load_explicit(&s->ps[i], memory_order_acquire);
        while (p && !taker_show_p(p, weft__m(), frozen) && spins < TAKER_TRIES)
            weft__spin(&spins);
    }
    taker_show_global(s);
}
