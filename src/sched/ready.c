/*
 * ready.c - a parked goroutine becomes runnable: at once, or queued by its waiter.
 *
 * Role    weft__ready, for any goroutine from anywhere; weft__ready_with for one that waits for 8 bytes, of which neither
 *         stack nor descriptor is touched where many are to run before it (taker.c).
 * Near    worker.c (who runs it: W1-W4), runq.c (Q1, Q3), taker.c (Q4), sched.h (S1-S5). Layer 2.
 * Order   G1, G2 (worker.c); V1, V2 (scavenge.c).
 * Model   tests/model/park.pml, taker.pml.
 */
#include "sched_int.h"

#include <string.h>

static void ready_tied(struct weft__g *g)
{
    weft__tsan_release(g);
    atomic_fetch_add_explicit(&weft__sched.takes, 1, memory_order_seq_cst); /* D1 */
    if (g->m->foreign)
        atomic_fetch_sub_explicit(&weft__sched.foreign_parked, 1, memory_order_seq_cst);
    else
        atomic_fetch_add_explicit(&weft__sched.nless, 1, memory_order_seq_cst); /* D1 */
    atomic_store_explicit(&g->wake, 1, memory_order_release); /* G2 */
    weft__sys_futex_wake(&g->wake, 1);
}

/*
 * The usual case, without a call: m runs a goroutine, g is not tied. False: it is another case after all, and nothing has been
 * done that ready_any does not do again.
 * Where a goroutine readies many cold ones, each is a cache miss or two that nothing waits for but the retirement of
 * instructions: the fewer there are from one to the next, the more misses overlap (bench/floor/cold.c, docs/perf/limits.md).
 */
static inline bool ready_fast(struct weft__m *m, struct weft__g *g)
{
    if (weft__unlikely(atomic_load_explicit(&g->sw.on_cpu, memory_order_acquire) != 0)) /* G1 */
        return false;
    weft__tsan_release(g);
    atomic_store_explicit(&g->state, WEFT__G_RUNNABLE, memory_order_relaxed);      /* V1 sb */
    atomic_store_explicit(&g->wait, WEFT__WAIT_NONE, memory_order_relaxed);
    atomic_signal_fence(memory_order_seq_cst);                                     /* V1 sb */
    if (weft__unlikely(atomic_load_explicit(&g->hold, memory_order_acquire) != 0)) /* V1 sb, V2 */
        return false;
    if (weft__unlikely(!weft__enter_try(m)))
        return false;
    struct weft__p *p = atomic_load_explicit(&m->p, memory_order_relaxed);
    weft__runnable old = p ? atomic_load_explicit(&p->next, memory_order_relaxed) : 0;
    if (weft__unlikely(!p || (old && weft__runq_full(p)) || (old & WEFT__IS_TAKER) != 0)) {
        weft__leave(m);
        return false;
    }
    if (old)
        weft__runq_add(p, old);
    atomic_store_explicit(&p->next, (weft__runnable)g, memory_order_relaxed);
    weft__leave(m);
    /* One goroutine alone waits for the caller's next park: moving it to another CPU costs more (monitor.c covers a
     * caller that goes on computing). */
    if (old && weft__wants_help(p))
        weft__wake_worker();
    return true;
}

/* Any case. The hook has been called. */
static __attribute__((noinline)) void ready_any(struct weft__g *g)
{
    struct weft__m *m = weft__m();
    uint32_t spins = 0;

    if (weft__unlikely(g->tied)) {
        ready_tied(g);
        return;
    }
    while (weft__unlikely(atomic_load_explicit(&g->sw.on_cpu, memory_order_acquire) != 0)) /* G1 */
        weft__spin(&spins);
    weft__tsan_release(g);
    atomic_store_explicit(&g->state, WEFT__G_RUNNABLE, memory_order_relaxed); /* V1 sb */
    atomic_store_explicit(&g->wait, WEFT__WAIT_NONE, memory_order_relaxed);
    weft__hold_check(g);
    if (weft__unlikely(!m)) { /* a thread that never used weft before: it need not become known for this */
        weft__global_put((weft__runnable)g);
        weft__wake_worker();
        return;
    }
    bool on_g = m->g != NULL; /* on the scheduler's stack a section is open already (W2) */
    struct weft__p *p = on_g ? weft__enter_regain(m) : atomic_load_explicit(&m->p, memory_order_relaxed);
    bool surplus = true;
    if (weft__likely(p != NULL)) {
        surplus = weft__p_put_next(p, g);
    } else {
        weft__global_put((weft__runnable)g);
    }
    if (on_g)
        weft__leave(m);
    if (surplus && weft__wants_help(p))
        weft__wake_worker();
}

void weft__ready(struct weft__g *g)
{
    struct weft__m *m = weft__m();

    weft__hook_ready(g);
    if (weft__unlikely(!m || !m->g || g->tied || !ready_fast(m, g)))
        ready_any(g);
}

/* t becomes the next to run, as by weft__ready; what is next goes to the queue. */
static bool ready_queue(struct weft__m *m, struct weft__taker *t, uint64_t v)
{
    if (WEFT__TSAN)
        (void)weft__enter(m);
    else if (weft__unlikely(!weft__enter_try(m)))
        return false;
    struct weft__p *p = atomic_load_explicit(&m->p, memory_order_relaxed);
    weft__runnable old = p ? atomic_load_explicit(&p->next, memory_order_relaxed) : 0;
    if (weft__unlikely(!old || weft__runq_full(p))) {
        weft__leave(m);
        return false;
    }
    weft__hook_ready(t->g); /* else ready_put's */
    weft__tsan_release(t->g); /* as weft__ready: the tool sees no queue */
    if (old & WEFT__IS_TAKER)
        weft__runq_add_taker(p, weft__taker_of(old), p->next_bytes);
    else
        weft__runq_add(p, old);
    p->next_bytes = v;
    atomic_store_explicit(&p->next, (weft__runnable)t | WEFT__IS_TAKER, memory_order_relaxed);
    weft__leave(m);
    if (weft__wants_help(p))
        weft__wake_worker();
    return true;
}

/* The bytes go where they belong now. */
static inline struct weft__g *ready_put(struct weft__taker *t, uint64_t v)
{
    struct weft__g *g = t->g;

    memcpy(t->p, &v, sizeof v);
    t->ok = true;
    weft__hook_ready(g);
    return g;
}

static __attribute__((noinline)) void ready_taker(struct weft__m *m, struct weft__taker *t, uint64_t v)
{
    if (weft__unlikely(!ready_queue(m, t, v)))
        ready_any(ready_put(t, v));
}

/* Where few are queued it may be warm still, or its turn comes before what it needs could be fetched. */
void weft__ready_with(struct weft__taker *t, uint64_t v)
{
    struct weft__m *m = weft__m();
    struct weft__p *p = weft__likely(m && m->g) ? atomic_load_explicit(&m->p, memory_order_relaxed) : NULL;

    if (weft__unlikely(!p)) {
        ready_any(ready_put(t, v));
        return;
    }
    if (atomic_load_explicit(&p->next, memory_order_relaxed) && weft__unlikely(weft__runq_len(p) >= weft__policy.taker_min)) {
        ready_taker(m, t, v);
        return;
    }
    struct weft__g *g = ready_put(t, v);
    if (weft__unlikely(!ready_fast(m, g)))
        ready_any(g);
}
