/*
 * worker.c - park, yield, and the loop that runs goroutines.
 *
 * Role    A worker (m) with a processor (p) switches from goroutine to goroutine directly; only when its queue is empty,
 *         or something outside wants attention, it goes to its own stack and looks further (weft__schedule).
 * Near    ready.c, runq.c, idle.c (no work), monitor.c (work that does not come back), switch.S. Layer 2.
 * Invariants
 *   W1  between weft__enter and weft__leave a thread may switch goroutines: the section that one goroutine begins, the
 *       next one ends, always on the same m: the switch to a goroutine does it (switch.S), under a sanitizer worker_arrived.
 *   W2  on the scheduler's stack m->g is NULL and m->in is 1 as long as the m has a p, but between two looks at a taker (Q4), and
 *       when a report has stopped the thread.
 *   W3  a goroutine with on_cpu == 1 is in no queue; it enters one only from weft__ready (after on_cpu fell), or from
 *       the scheduler's stack of the m that it just left (yield).
 *   W4  tied goroutines are never in a run queue while they run; tied changes only while the goroutine is in nobody's
 *       wait list: when it is dispatched (weft__run_tied), at the end of a tied park, and by itself while it runs.
 * Order
 *   G1  the switch: on_cpu = 0 release (switch.S)  ->  weft__ready: on_cpu acquire. Carries the saved stack; without it
 *       another thread would run a goroutine whose registers are not saved yet.
 *   G2  weft__ready of a tied goroutine: wake = 1 release  ->  its park: wake acquire. Carries what the waker did.
 * Model   tests/model/park.pml.
 */
#include "sched_int.h"

#include "../poll/poll.h"

#include <sched.h>

struct weft__sched weft__sched;
struct weft__policy weft__policy = {.next_max = 16, .global_every = 64, .steal_max = 256, .quick_ns = 2000,
                                    .quick_patience = WEFT_MS, .quick_patience_max = 16 * WEFT_MS, .taker_min = 32};
__thread struct weft__m *weft__tls_m __attribute__((tls_model("initial-exec"), visibility("hidden")));

/* used: tools/weft_gdb.py reads it, and clang would make another table of it. */
__attribute__((used)) static const char *const worker_wait_text[] = {
#define X(name, text) text,
#include "wait.def"
#undef X
};

const char *weft__wait_text(enum weft__wait w)
{
    return (unsigned)w < WEFT__WAIT_COUNT ? worker_wait_text[w] : "?";
}

_Static_assert(offsetof(struct weft__m_head, g) == offsetof(struct weft__m, g), "weft__self");

struct weft__g *weft__g(void)
{
    struct weft__m *m = weft__m();

    if (weft__unlikely(!m))
        m = weft__adopt();
    WEFT_ASSERT(m->g, "W2");
    return m->g;
}

void weft__ensure_started(void)
{
    if (weft__unlikely(!weft__m()))
        weft__adopt();
}

struct weft__g *weft__g_or_null(void)
{
    struct weft__m *m = weft__m();
    return m ? m->g : NULL;
}

uint32_t weft__rand_below(uint32_t n)
{
    struct weft__m *m = weft__m();
    return (uint32_t)(((weft__m_rand(m ? m : weft__adopt()) >> 32) * n) >> 32);
}

void weft__less_set(struct weft__m *m, bool less)
{
    if (m->less == less || m->foreign)
        return;
    m->less = less;
    if (less)
        atomic_fetch_add_explicit(&weft__sched.nless, 1, memory_order_seq_cst); /* D1 */
    else
        atomic_fetch_sub_explicit(&weft__sched.nless, 1, memory_order_seq_cst); /* D1 */
}

/* ---- switching ---- */

/* What a goroutine does when it is on a processor again: put its errno, end the section that the previous one began (W1). Nothing
 * where the switch has done both: who parks then has no more to do. */
static inline void worker_arrived(struct weft__g *g)
{
#if WEFT__TSAN || WEFT__ASAN
    weft__fiber_arrive(g->fake_stack);
    weft__tsan_acquire(g);
    struct weft__m *m = weft__m();
    *m->errno_at = g->saved_errno;
    weft__leave(m);
#else
    (void)g;
#endif
}

/* Inside the section, which ends with it. */
static inline void worker_switch_to(struct weft__m *m, struct weft__sw *from, struct weft__g *to)
{
#if WEFT__TSAN || WEFT__ASAN
    (void)m;
    weft__arch_switch(from, &to->sw);
#else
    weft__arch_switch_to(from, &to->sw, m);
#endif
}

static inline void worker_set_running(struct weft__m *m, struct weft__g *g)
{
    WEFT_DASSERT(atomic_load_explicit(&g->sw.on_cpu, memory_order_relaxed) == 0, "W3");
    m->g = g;
    g->m = m;
    weft__hook_run(g);
    weft__limit_set(g->limit);
    atomic_store_explicit(&g->state, WEFT__G_RUNNING, memory_order_relaxed);
    atomic_store_explicit(&g->sw.on_cpu, 1, memory_order_relaxed); /* nobody looks before it parks again */
}

/* from (a goroutine that goes away, or NULL: it never comes back) to a runnable goroutine, inside the section. */
static inline void worker_to_g(struct weft__m *m, struct weft__g *from, struct weft__g *to)
{
    worker_set_running(m, to);
    weft__fiber_leave(&from->fake_stack, to->fiber, to->stack_lo, (size_t)(to->stack_hi - to->stack_lo));
    worker_switch_to(m, &from->sw, to);
}

static inline void worker_to_sched(struct weft__m *m, struct weft__g *from)
{
    m->g = NULL;
    weft__limit_set(NULL);
    weft__fiber_leave(&from->fake_stack, m->g0_fiber, m->g0_lo, m->g0_bytes);
    weft__arch_switch(&from->sw, &m->g0);
}

/* Whose turn came because others had computed long may hand over to each other as often: by time, not by turns. */
#define WORKER_TURN 1024

/* Next goroutine of the own queue, or NULL: also when the scheduler should look around, or again (Q4). */
static inline struct weft__g *worker_pick(struct weft__p *p)
{
    weft__runnable next = atomic_load_explicit(&p->next, memory_order_relaxed);

    /* Not twice in a row: where the queue's goroutines take a tick each, the monitor asks for their turn each time. */
    bool turn = weft__unlikely(atomic_load_explicit(&p->turn, memory_order_relaxed) != 0) && p->next_run != -WORKER_TURN;
    if (next && ((p->next_run < weft__policy.next_max && !turn) || weft__runq_len(p) == 0)) {
        p->next_run++;
        if (weft__unlikely((next & WEFT__IS_TAKER) != 0))
            return weft__next_deliver(p);
        atomic_store_explicit(&p->next, 0, memory_order_relaxed);
        return (struct weft__g *)next;
    }
    p->next_run = 0;
    if (turn) {
        atomic_store_explicit(&p->turn, 0, memory_order_relaxed);
        p->next_run = -WORKER_TURN;
    }
    return weft__runnable_g(p, weft__runq_pop(p));
}

/* Puts back what worker_pick gave. */
static inline void worker_unpick(struct weft__p *p, struct weft__g *g)
{
    if (!atomic_load_explicit(&p->next, memory_order_relaxed))
        atomic_store_explicit(&p->next, (weft__runnable)g, memory_order_relaxed);
    else
        weft__p_put(p, (weft__runnable)g);
}

static inline void worker_save_errno(struct weft__m *m, struct weft__g *g)
{
    g->saved_errno = *m->errno_at;
    if (WEFT__SMALL)
        g->limit = weft__limit();
    weft__tsan_release(m->errno_at);
}

/* ---- park ---- */

/* Its name, and the next one's, keep it out of dumps: weft__park may have left no frame below it (diag/dump.c). */
static WEFT_PARKS __attribute__((noinline)) void weft__park_tied(struct weft__g *g)
{
    struct weft__m *m = g->m;

    if (m->foreign)
        atomic_fetch_add_explicit(&weft__sched.foreign_parked, 1, memory_order_seq_cst);
    if (atomic_load_explicit(&m->p, memory_order_relaxed)) /* pinned (keep.c) */
        weft__drop_p(m);
    weft__less_set(m, false);
    weft__deadlock_check();
    while (atomic_exchange_explicit(&g->wake, 0, memory_order_acquire) == 0) { /* G2 */
        weft__sys_futex_wait(&g->wake, 0, -1);
        weft__stop_if_frozen();
    }
    m->less = !m->foreign; /* the waker counted it (D1): no instant at which nobody seems to run */
    weft__tsan_acquire(g);
    atomic_store_explicit(&g->state, WEFT__G_RUNNING, memory_order_relaxed);
    if (g->blocky && weft__blocky_parked(g, weft__now)) { /* W4: it blocks no more, or seldom: try with a p again */
        g->blocky = false;
        g->tied = g->pins != 0;
    }
    *m->errno_at = g->saved_errno; /* tied: still the same thread */
}

/* Any case but tied ones; inside the section or not yet. */
static WEFT_PARKS __attribute__((noinline)) void weft__park_slowly(struct weft__m *m, struct weft__g *g)
{
    struct weft__p *p = weft__enter(m);
    struct weft__g *next = NULL;

    if (weft__likely(p && !weft__p_wants_look(p)))
        next = worker_pick(p);
    if (weft__likely(next && !next->blocky)) {
        weft__p_tick(p);
        worker_to_g(m, g, next);
    } else {
        if (next)
            worker_unpick(p, next); /* blocky: the scheduler hands it out */
        worker_to_sched(m, g);
    }
    worker_arrived(g);
}

/* The usual cases of worker_pick, without a call: a goroutine that has run before. NULL: it is another one, and nothing is done. */
static inline struct weft__g *worker_pick_fast(struct weft__p *p)
{
    weft__runnable next = atomic_load_explicit(&p->next, memory_order_relaxed);
    uint32_t n = weft__runq_len(p);

    if (weft__unlikely(atomic_load_explicit(&p->turn, memory_order_relaxed) != 0))
        return NULL;
    if (next && (p->next_run < weft__policy.next_max || n == 0)) {
        if (weft__unlikely((next & WEFT__IS_TAKER) != 0) || weft__unlikely(((struct weft__g *)next)->blocky))
            return NULL;
        p->next_run++;
        atomic_store_explicit(&p->next, 0, memory_order_relaxed);
        return (struct weft__g *)next;
    }
    weft__runnable r = n ? p->ring[atomic_load_explicit(&p->head, memory_order_relaxed) & (p->slots - 1)] : WEFT__RUNNABLE_BITS;
    if ((r & WEFT__RUNNABLE_BITS) != 0 || weft__unlikely(((struct weft__g *)r)->blocky))
        return NULL;
    p->next_run = 0;
    return (struct weft__g *)weft__runq_pop(p);
}

WEFT_PARKS void weft__park(enum weft__wait why)
{
    struct weft__m *m = weft__m();
    struct weft__g *g = m->g;

    WEFT_ASSERT(g, "W2");
    weft__hook_park(g, why);
    atomic_store_explicit(&g->wait, why, memory_order_relaxed);
    atomic_store_explicit(&g->state, WEFT__G_PARKED, memory_order_release); /* G1: after on_cpu = 1 */
    worker_save_errno(m, g);
    if (weft__unlikely(g->tied)) {
        weft__park_tied(g);
        return;
    }
    struct weft__g *next = NULL;
    if (weft__likely(weft__enter_try(m))) {
        struct weft__p *p = atomic_load_explicit(&m->p, memory_order_relaxed);
        if (weft__likely(p && !weft__p_wants_look(p)))
            next = worker_pick_fast(p);
        if (weft__likely(next != NULL))
            weft__p_tick(p);
    }
    if (weft__likely(next != NULL)) { /* the switch comes last: it returns to the caller, and no frame of this stays */
        worker_to_g(m, g, next);
        worker_arrived(g);
    } else {
        weft__park_slowly(m, g);
    }
}

#if WEFT__SMALL
/* weft__park from a small stack: by way of the scheduler's stack, so that nothing of the scheduler runs on it. Not tied. */
WEFT_PARKS void weft__park_small(enum weft__wait why)
{
    struct weft__m *m = weft__m();
    struct weft__g *g = m->g;

    weft__hook_park(g, why);
    atomic_store_explicit(&g->wait, why, memory_order_relaxed);
    atomic_store_explicit(&g->state, WEFT__G_PARKED, memory_order_release); /* G1: after on_cpu = 1 */
    worker_save_errno(m, g);
    (void)weft__enter(m);
    worker_to_sched(m, g);
    worker_arrived(g);
}
#endif

/* ---- yield ---- */

void weft_yield(void)
{
    struct weft__m *m = weft__m();

    if (weft__unlikely(!m))
        m = weft__adopt();
    struct weft__g *g = m->g;
    if (g->tied) {
        if (atomic_load_explicit(&m->p, memory_order_relaxed)) /* pinned (keep.c): whom it waits for may be behind it */
            weft__drop_p(m);
        sched_yield();
        return;
    }
    weft__hook_park(g, WEFT__WAIT_YIELD);
    worker_save_errno(m, g);
    atomic_store_explicit(&g->wait, WEFT__WAIT_YIELD, memory_order_relaxed);
    struct weft__p *p = weft__enter_regain(m);
    struct weft__g *next = NULL;
    if (weft__likely(p && !weft__p_wants_look(p)))
        next = worker_pick(p);
    if (next && !next->blocky && weft__runq_push(p, (weft__runnable)g)) {
        /* In the queue before it is off its stack: only this m takes from it in the section, and thieves are kept
         * out until the next goroutine has left the section, when this one's stack is saved (W1). */
        atomic_store_explicit(&g->state, WEFT__G_RUNNABLE, memory_order_relaxed);
        weft__p_tick(p);
        weft__tsan_release(g);
        worker_to_g(m, g, next);
    } else if (!next && p && weft__runq_len(p) == 0 && !weft__p_wants_look(p) &&
               atomic_load_explicit(&weft__sched.gq_n, memory_order_relaxed) == 0) {
        weft__p_tick(p); /* alone */
        weft__leave(m);
        return;
    } else {
        if (next)
            worker_unpick(p, next);
        m->requeue = g;
        weft__tsan_release(g);
        worker_to_sched(m, g);
    }
    worker_arrived(g);
}

/* ---- the end of a goroutine ---- */

/* The goroutine is counted out and cleared; leaves its stack for good. keep: the descriptor is not a slot to reuse. */
_Noreturn void weft__run_next_after_end(struct weft__m *m, struct weft__p *p, struct weft__g *g, bool keep)
{
    struct weft__g *next = NULL;

    if (!WEFT__TSAN && !WEFT__ASAN && weft__likely(p && !keep && !weft__p_wants_look(p)))
        next = worker_pick(p);
    if (weft__likely(next && !next->blocky)) {
        weft__g_free(p, g); /* F2 */
        weft__p_tick(p);
        worker_set_running(m, next);
        worker_switch_to(m, &g->sw, next);
    } else {
        if (next)
            worker_unpick(p, next);
        m->dead = g->is_main ? NULL : g;
        m->g = NULL;
        weft__fiber_leave(NULL, m->g0_fiber, m->g0_lo, m->g0_bytes);
        weft__arch_switch(&g->sw, &m->g0);
    }
    weft__throw("a dead goroutine ran");
}

/* ---- the loop ---- */

/* Gives the m's p work from outside its queue: due timers, the net. True if anything became runnable. */
static bool worker_look_outside(struct weft__m *m, bool poll)
{
    weft_time next = weft__timers_next();
    bool any = false;

    if (next != WEFT__NEVER) {
        struct weft__p *p = atomic_load_explicit(&m->p, memory_order_relaxed);
        uint32_t before = weft__runq_len(p);
        any = weft__timers_run(m, weft__now());
        if (any)
            weft__runq_due_first(p, before); /* their time has come already */
    }
    if (poll && weft__poll_started())
        any |= weft__poll_now(m, 0);
    return any;
}

/* Something to run for an m that has a p, or NULL. */
static struct weft__g *worker_find(struct weft__m *m, struct weft__p *p)
{
    struct weft__sched *s = &weft__sched;
    struct weft__g *g = NULL;
    uint32_t tick = atomic_load_explicit(&p->tick, memory_order_relaxed);
    bool poked = atomic_load_explicit(&p->poke, memory_order_relaxed) != 0;

    if (poked || weft__p_long_since(tick)) {
        atomic_store_explicit(&p->poke, 0, memory_order_relaxed);
        worker_look_outside(m, true);
    }
    /* The global queue out of turn, but the own one next: while goroutines that are retaken keep filling the global queue,
     * the monitor pokes before each dispatch. */
    if (!p->from_global && (poked || (tick & (weft__policy.global_every - 1)) == 0)) {
        g = weft__global_get(p, 1);
        p->from_global = g != NULL;
        if (g)
            return g;
    }
    p->from_global = false;
    g = worker_pick(p);
    if (g)
        return g;
    uint32_t share = atomic_load_explicit(&s->gq_n, memory_order_relaxed) /
                     (uint32_t)atomic_load_explicit(&s->procs, memory_order_relaxed) + 1;
    g = weft__global_get(p, share < 128 ? share : 128);
    if (g)
        return g;
    if (worker_look_outside(m, true) && (g = worker_pick(p)))
        return g;
    return NULL;
}

/* Looks at the other processors. Few workers spin at a time: the others would only fight. NULL: nothing, or it waits in p's
 * queue now (Q4). */
static struct weft__g *worker_spin(struct weft__m *m, struct weft__p *p)
{
    struct weft__sched *s = &weft__sched;
    uint32_t procs = (uint32_t)atomic_load_explicit(&s->procs, memory_order_relaxed);

    if (atomic_load_explicit(&s->nidle, memory_order_relaxed) + 1 >= procs || weft__runq_len(p) != 0)
        return NULL; /* nobody else has a processor, so nobody has a queue; or Q4 */
    if (!m->spinning) {
        if (2 * atomic_load_explicit(&s->nspinning, memory_order_relaxed) >=
            procs - atomic_load_explicit(&s->nidle, memory_order_relaxed) + 1)
            return NULL;
        m->spinning = true;
        atomic_fetch_add_explicit(&s->nspinning, 1, memory_order_seq_cst);
    }
    for (int i = 0; i < 4; i++) {
        struct weft__g *g = weft__steal(m, p);
        if (!g)
            g = weft__global_get(p, 1);
        if (g || weft__runq_len(p) != 0)
            return g;
        for (int k = 0; k < 5; k++) /* under a hypervisor a pause may take 200 ns */
            weft__pause();
    }
    return NULL;
}

static void worker_stop_spinning(struct weft__m *m)
{
    if (!m->spinning)
        return;
    m->spinning = false;
    /* The last one to stop looking makes sure that somebody else looks for what came meanwhile. */
    if (atomic_fetch_sub_explicit(&weft__sched.nspinning, 1, memory_order_seq_cst) == 1 &&
        atomic_load_explicit(&weft__sched.nidle, memory_order_relaxed) != 0)
        weft__wake_worker();
}

/* A processor beyond weft_procs: its goroutines go to the others. */
static bool worker_retire_p(struct weft__m *m, struct weft__p *p)
{
    if (weft__likely(p->id < atomic_load_explicit(&weft__sched.procs, memory_order_relaxed)))
        return false;
    weft__runq_spill(p, UINT32_MAX);
    weft__p_release(m); /* retires it, unless weft_procs was raised meanwhile */
    weft__wake_worker();
    return true;
}

/* What the goroutine that just left this stack's thread asked for. */
static void worker_after_switch(struct weft__m *m)
{
    if (m->dead) {
        weft__g_reclaim(m, m->dead);
        m->dead = NULL;
    }
    struct weft__g *g = m->requeue;
    if (g) {
        m->requeue = NULL;
        atomic_store_explicit(&g->state, WEFT__G_RUNNABLE, memory_order_relaxed);
        weft__p_put(atomic_load_explicit(&m->p, memory_order_relaxed), (weft__runnable)g);
        if (!atomic_load_explicit(&m->p, memory_order_relaxed))
            weft__wake_worker();
    }
}

static void worker_run(struct weft__m *m, struct weft__g *g)
{
    worker_set_running(m, g);
    weft__fiber_leave(&m->g0_fake, g->fiber, g->stack_lo, (size_t)(g->stack_hi - g->stack_lo));
    worker_switch_to(m, &m->g0, g);
    weft__fiber_arrive(m->g0_fake);
}

/* Outside of the section: the report wants to claim it. */
static inline void worker_stop_if_frozen(struct weft__m *m)
{
    if (weft__unlikely(atomic_load_explicit(&weft__sched.frozen, memory_order_relaxed) != 0)) {
        weft__leave(m);
        weft__stop_if_frozen();
    }
}

void weft__schedule(void)
{
    struct weft__m *m = weft__m();
    uint32_t spins = 0;

    for (;;) {
        worker_after_switch(m);
        worker_stop_if_frozen(m);
        (void)weft__enter(m); /* W2 */
        struct weft__g *g = m->tied_g;
        struct weft__p *p = atomic_load_explicit(&m->p, memory_order_relaxed);
        if (g) {
            m->tied_g = NULL;
            worker_run(m, g);
            continue;
        }
        if (!p) {
            if (weft__unlikely(m->ends)) {
                weft__m_end(m);
                return;
            }
            weft__less_set(m, false);
            weft__leave(m);
            weft__idle(m);
            continue;
        }
        if (worker_retire_p(m, p))
            continue;
        g = worker_find(m, p);
        if (!g)
            g = worker_spin(m, p);
        if (!g && weft__runq_len(p) == 0) {
            weft__idle(m);
            continue;
        }
        m->fruitless = 0;
        worker_stop_spinning(m);
        if (weft__unlikely(!g)) { /* Q4 */
            weft__leave(m);
            weft__spin(&spins);
            continue;
        }
        spins = 0;
        if (g->blocky) {
            weft__run_tied(g);
            continue;
        }
        weft__p_tick(p);
        worker_run(m, g);
    }
}
