/*
 * woken.c - all that one look at the net has woken, into the queue.
 *
 * Role    weft__ready for a list. Near worker.c (weft__ready, rules W1 to W3, G1), poll/poll.c (who makes the list). Layer 2.
 *         A poll wakes dozens of goroutines: what is the same for each, the section, the processor, the call for help, is done once.
 *
 * Invariant  WK1  What is done for a goroutine is what weft__ready does, in its order; only the call for help comes after the last
 *            one. Nobody can have gone to sleep for good meanwhile: who polls is awake itself and takes from its queue next.
 * Order   G1, V1: worker.c, scavenge.c; I1: idle.c. Model: tests/model/idle_batch.pml.
 * Locks   none held. Failure: none.
 */
#include "sched_int.h"

/* On the scheduler's stack of an m that has p: the section is open (W2). */
static void woken_put(struct weft__p *p, struct weft__g *g)
{
    bool surplus = false;

    for (struct weft__g *next; g; g = next) {
        next = g->next;
        if (weft__unlikely(g->tied || atomic_load_explicit(&g->sw.on_cpu, memory_order_acquire) != 0)) { /* G1 */
            weft__ready(g);
            continue;
        }
        weft__hook_ready(g);
        weft__tsan_release(g);
        atomic_store_explicit(&g->state, WEFT__G_RUNNABLE, memory_order_relaxed); /* V1 sb */
        atomic_store_explicit(&g->wait, WEFT__WAIT_NONE, memory_order_relaxed);
        weft__hold_check(g);
        surplus |= weft__p_put_next(p, g);
    }
    if (surplus && weft__wants_help(p))
        weft__wake_worker();
}

void weft__ready_all(struct weft__g *g)
{
    struct weft__m *m = weft__m();
    struct weft__p *p = m && !m->g ? atomic_load_explicit(&m->p, memory_order_relaxed) : NULL;

    if (weft__likely(p != NULL)) {
        woken_put(p, g);
        return;
    }
    for (struct weft__g *next; g; g = next) {
        next = g->next;
        weft__ready(g);
    }
}
