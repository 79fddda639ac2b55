/*
 * idle.c - workers without work: how they go to sleep, who wakes them, and when nobody ever will.
 *
 * Role    Idle processors and idle workers are two lists under sched.lock. One idle worker sleeps in the poller; one
 *         sleeper at a time has the earliest timer as its timeout. Near worker.c, runq.c, rob.c, poll.h, monitor.c. Layer 2.
 * Invariants
 *   I2  a p on the idle list has an empty queue and no owner; its timers are everybody's.
 *   I3  a worker on the idle list has no p and sleeps, or is about to, on m->wake; whoever takes it off the list
 *       (under sched.lock) gives it a p or a tied goroutine first and then sets wake.
 *   I4  nspinning counts workers that look for work, and wake-ups under way. A pusher that sees one does not wake.
 *   I5  a pending timer has somebody awake (a worker with a p, which looks before it sleeps, or the monitor, which
 *       watches while anybody runs), or a sleeper whose duty is no later than it. duty_until is the earliest duty.
 *       Model: tests/model/duty.pml.
 *   I8  a p that is left alone (p->alone, set by a thief: rob.c) has somebody who runs it, and the monitor watches while
 *       anybody runs: it ends that in time, or when the p's goroutine goes on and on. Until then its queue is no other's work.
 *   I6  nbusy counts the ps with an owner or between two: also one beyond weft_procs until its owner retires it, for
 *       somebody runs there. So nidle == procs does not say that all are idle, nbusy == 0 does.
 * Order
 *   I1 sb  pusher: queue store  ->  nidle, nspinning loads | sleeper: nidle, nspinning changed, membarrier -> queue loads.
 *          The pusher pays no fence. Without it a goroutine lies in a queue while a processor sleeps: where there is no
 *          membarrier(2), until its owner comes to it, pushes again, or the monitor sees the owner compute (mon_share).
 *   I7 sb  poller: poll_sleeping changed, fence -> queue, nidle loads | waker: queue or nidle changed, fence -> poll_sleeping
 *          load. So either the poller finds the work or the processor itself, or the waker breaks its sleep or tries again.
 *          A seq_cst store alone does not do it: on ARM later plain loads may go before it.
 *   I8 sb  pusher: queue store -> alone load | monitor: alone = 0, membarrier -> queue load. So either the pusher wakes a
 *          worker again or the monitor does.
 *   W1     wake = 1 release -> the sleeper's exchange acquire. Carries m->p, m->tied_g.
 *   D1     nless, nidle, foreign_parked are counted before somebody stops being visible elsewhere, so that a deadlock
 *          report never overlooks a goroutine that is between two states. Nobody begins to run but by takes: while that stays
 *          as it was, those that run only become fewer, and who runs still at the end was seen by one count or the other.
 * Model   tests/model/idle.pml, idle_hog.pml, idle_alone.pml, idle_cover.pml; deadlock.pml (D1, I6).
 */
#include "sched_int.h"

#include "../poll/poll.h"

#define IDLE_NAP (50 * WEFT_US)

void weft__stop_if_frozen(void)
{
    static _Atomic uint32_t never;

    while (weft__unlikely(atomic_load_explicit(&weft__sched.frozen, memory_order_relaxed) != 0))
        weft__sys_futex_wait(&never, 0, -1);
}

/* ---- lists, all under sched.lock ---- */

static struct weft__p *idle_pop_p(struct weft__sched *s)
{
    struct weft__p *p = s->idle_p;

    if (!p || atomic_load_explicit(&s->frozen, memory_order_relaxed))
        return NULL;
    s->idle_p = p->idle_next;
    p->idle = false;
    atomic_fetch_add_explicit(&s->takes, 1, memory_order_seq_cst); /* D1 */
    atomic_fetch_add_explicit(&s->nbusy, 1, memory_order_seq_cst); /* I6 */
    atomic_fetch_sub_explicit(&s->nidle, 1, memory_order_seq_cst);
    return p;
}

static void idle_push_p(struct weft__sched *s, struct weft__p *p)
{
    WEFT_ASSERT(!p->idle && weft__runq_len(p) == 0, "I2");
    atomic_store_explicit(&p->m, NULL, memory_order_release);
    if (p->id >= atomic_load_explicit(&s->procs, memory_order_relaxed)) {
        p->retired = true; /* out of use until weft_procs is raised again */
        atomic_fetch_sub_explicit(&s->nbusy, 1, memory_order_seq_cst);
        return;
    }
    p->idle = true;
    p->idle_next = s->idle_p;
    s->idle_p = p;
    atomic_fetch_add_explicit(&s->nidle, 1, memory_order_seq_cst); /* I1 sb */
    atomic_fetch_sub_explicit(&s->nbusy, 1, memory_order_seq_cst); /* I6 */
}

static struct weft__m *idle_pop_m(struct weft__sched *s)
{
    struct weft__m *m = s->idle_m;

    if (m) {
        s->idle_m = m->idle_next;
        m->idle = false;
    }
    return m;
}

static bool idle_remove_m(struct weft__sched *s, struct weft__m *m)
{
    if (!m->idle)
        return false;
    for (struct weft__m **at = &s->idle_m; *at; at = &(*at)->idle_next)
        if (*at == m) {
            *at = m->idle_next;
            break;
        }
    m->idle = false;
    return true;
}

static void idle_give(struct weft__m *m, struct weft__p *p)
{
    atomic_store_explicit(&m->p, p, memory_order_relaxed);
    atomic_store_explicit(&p->m, m, memory_order_release);
}

/* A p is in use. */
static void idle_poke_monitor(void)
{
    atomic_thread_fence(memory_order_seq_cst); /* W2: nbusy before mon_sleep */
    if (weft__unlikely(atomic_load_explicit(&weft__sched.mon_sleep, memory_order_relaxed) != 0))
        weft__monitor_poke();
}

void weft__p_take(struct weft__m *m, struct weft__p *p)
{
    weft__lock(&weft__sched.lock);
    idle_give(m, p);
    weft__unlock(&weft__sched.lock);
    idle_poke_monitor();
}

struct weft__p *weft__p_try_idle(void)
{
    struct weft__sched *s = &weft__sched;

    if (atomic_load_explicit(&s->nidle, memory_order_relaxed) == 0)
        return NULL;
    weft__lock(&s->lock);
    struct weft__p *p = idle_pop_p(s);
    weft__unlock(&s->lock);
    return p;
}

bool weft__all_idle(void)
{
    return atomic_load_explicit(&weft__sched.nbusy, memory_order_seq_cst) == 0; /* I6 */
}

bool weft__p_release(struct weft__m *m)
{
    struct weft__sched *s = &weft__sched;
    struct weft__p *p = atomic_load_explicit(&m->p, memory_order_relaxed);

    weft__lock(&s->lock);
    atomic_store_explicit(&m->p, NULL, memory_order_relaxed);
    idle_push_p(s, p);
    bool all = weft__all_idle();
    weft__unlock(&s->lock);
    return all;
}

/* ---- waking ---- */

void weft__wake_m(struct weft__m *m)
{
    atomic_store_explicit(&m->wake, 1, memory_order_release); /* W1 */
    weft__sys_futex_wake(&m->wake, 1);
    idle_poke_monitor();
}

static bool idle_poll_sleeps(struct weft__sched *s)
{
    atomic_thread_fence(memory_order_seq_cst); /* I7 sb */
    return atomic_load_explicit(&s->poll_sleeping, memory_order_relaxed) != 0;
}

/* One try to wake somebody. True: what it went by has changed meanwhile, and others may rely on us (I4): try again. */
static bool idle_wake_one(struct weft__sched *s)
{
    uint32_t none = 0;

    if (atomic_load_explicit(&s->nidle, memory_order_relaxed) == 0 ||
        !atomic_compare_exchange_strong_explicit(&s->nspinning, &none, 1, memory_order_seq_cst, memory_order_relaxed))
        return false; /* I4: somebody looks already, and will look again before it sleeps (I1) */
    weft__lock(&s->lock);
    struct weft__p *p = idle_pop_p(s);
    struct weft__m *m = p ? idle_pop_m(s) : NULL;
    if (m) {
        idle_give(m, p);
        m->spinning = true;
    } else if (p && idle_poll_sleeps(s)) {
        idle_push_p(s, p); /* the worker in the poller will take it */
        weft__unlock(&s->lock);
        atomic_fetch_sub_explicit(&s->nspinning, 1, memory_order_seq_cst);
        weft__poll_break();
        /* It may have left the poller while p was in our hands, found none, and gone to the list. */
        return !idle_poll_sleeps(s);
    }
    weft__unlock(&s->lock);
    if (m) {
        weft__wake_m(m);
        return false;
    }
    if (p && weft__m_start(p, true, NULL))
        return false;
    if (p) { /* no thread to be had: the monitor will try again */
        weft__lock(&s->lock);
        idle_push_p(s, p);
        weft__unlock(&s->lock);
    }
    atomic_fetch_sub_explicit(&s->nspinning, 1, memory_order_seq_cst);
    return !p && !atomic_load_explicit(&s->frozen, memory_order_relaxed);
}

void weft__wake_worker(void)
{
    while (idle_wake_one(&weft__sched))
        ;
}

void weft__p_place(struct weft__p *p, bool spinning)
{
    struct weft__sched *s = &weft__sched;

    weft__lock(&s->lock);
    struct weft__m *m = idle_pop_m(s);
    if (m) {
        idle_give(m, p);
        m->spinning = spinning;
    }
    weft__unlock(&s->lock);
    if (m) {
        weft__wake_m(m);
    } else if (!weft__m_start(p, spinning, NULL)) {
        weft__runq_spill(p, UINT32_MAX);
        weft__lock(&s->lock);
        idle_push_p(s, p);
        weft__unlock(&s->lock);
        if (spinning)
            atomic_fetch_sub_explicit(&s->nspinning, 1, memory_order_seq_cst);
    }
}

void weft__hand_off(struct weft__p *p)
{
    weft__p_place(p, false);
}

void weft__run_tied(struct weft__g *g)
{
    struct weft__sched *s = &weft__sched;

    weft__blocky_begin(g, weft__now());
    g->tied = true; /* W4: it is in nobody's list now */
    atomic_fetch_add_explicit(&s->nless, 1, memory_order_seq_cst); /* D1 */
    weft__lock(&s->lock);
    struct weft__m *m = idle_pop_m(s);
    if (m) {
        m->tied_g = g;
        m->less = true;
    }
    weft__unlock(&s->lock);
    if (m) {
        weft__wake_m(m);
    } else if (!weft__m_start(NULL, false, g)) { /* no thread to be had: it runs like the others */
        g->tied = g->blocky = false;
        atomic_fetch_sub_explicit(&s->nless, 1, memory_order_seq_cst);
        weft__global_put((weft__runnable)g);
    }
}

/* ---- going to sleep ---- */

/* Is there anything that a worker with a p could do? Called after the barrier of I1. */
static bool idle_work_left(struct weft__m *m)
{
    struct weft__sched *s = &weft__sched;
    int n = atomic_load_explicit(&s->ps_n, memory_order_acquire);

    (void)m;
    if (atomic_load_explicit(&s->gq_n, memory_order_relaxed) != 0)
        return true;
    for (int i = 0; i < n; i++) {
        struct weft__p *p = atomic_load_explicit(&s->ps[i], memory_order_acquire);
        if (p && weft__runq_len(p) != 0 && atomic_load_explicit(&p->alone, memory_order_relaxed) == 0) /* I8 */
            return true;
    }
    return false;
}

static bool idle_retake(struct weft__m *m, bool spin)
{
    struct weft__p *p = weft__p_try_idle();

    if (!p)
        return false;
    weft__p_take(m, p);
    if (spin) {
        m->spinning = true;
        atomic_fetch_add_explicit(&weft__sched.nspinning, 1, memory_order_seq_cst);
    }
    return true;
}

struct weft__p *weft__regain(struct weft__m *m)
{
    struct weft__p *p = m->g->tied ? NULL : weft__p_try_idle();

    if (p) {
        weft__p_take(m, p);
        weft__less_set(m, false);
    }
    return p;
}

bool weft__poll_now(struct weft__m *m, weft_dur timeout)
{
    struct weft__sched *s = &weft__sched;
    uint32_t none = 0;

    if (timeout == 0 && weft__poll_waiters() == 0)
        return false;
    if (!atomic_compare_exchange_strong_explicit(&s->poller, &none, 1, memory_order_acquire, memory_order_relaxed))
        return false;
    if (timeout != 0) {
        atomic_store_explicit(&s->poll_sleeping, 1, memory_order_relaxed);
        atomic_thread_fence(memory_order_seq_cst); /* I7 sb */
        if (idle_work_left(m)) /* pushed before poll_sleeping could be seen: wake_worker then started a thread, or will */
            timeout = 0;
    }
    weft__tsan_acquire(&s->poller);
    struct weft__woken woken = weft__poll(timeout);
    weft__tsan_release(&s->poller);
    atomic_store_explicit(&s->poll_sleeping, 0, memory_order_relaxed);
    atomic_thread_fence(memory_order_seq_cst); /* I7 sb */
    atomic_store_explicit(&s->poll_last, weft__now(), memory_order_relaxed);
    atomic_store_explicit(&s->poller, 0, memory_order_release);
    bool any = woken.g || woken.start;
    if (timeout != 0 && idle_retake(m, !any))
        (void)weft__enter(m);
    weft__woken_run(woken);
    struct weft__p *p = atomic_load_explicit(&m->p, memory_order_relaxed);
    atomic_store_explicit(&s->poll_turns, p ? weft__runq_len(p) : 0, memory_order_relaxed); /* NT1 */
    return any;
}

weft_time weft__net_seen(void)
{
    return atomic_load_explicit(&weft__sched.poll_last, memory_order_relaxed);
}

/* I5: how long to sleep for the timers. WEFT__NEVER next, or somebody sleeps no longer already: -1, for ever. */
static weft_dur idle_take_duty(struct weft__m *m, weft_time next)
{
    struct weft__sched *s = &weft__sched;

    m->duty = WEFT__NEVER;
    if (next == WEFT__NEVER)
        return -1;
    weft__lock(&s->lock);
    if (next < atomic_load_explicit(&s->duty_until, memory_order_relaxed)) {
        m->duty = next;
        atomic_store_explicit(&s->duty_until, next, memory_order_relaxed);
    }
    weft__unlock(&s->lock);
    if (m->duty == WEFT__NEVER)
        return -1;
    weft_dur d = next - weft__now();
    return d > 0 ? d : 0;
}

/* Awake again: the next to sleep takes the timers over, or this worker itself. */
static void idle_drop_duty(struct weft__m *m)
{
    struct weft__sched *s = &weft__sched;

    if (m->duty == WEFT__NEVER)
        return;
    weft__lock(&s->lock);
    if (atomic_load_explicit(&s->duty_until, memory_order_relaxed) == m->duty)
        atomic_store_explicit(&s->duty_until, WEFT__NEVER, memory_order_relaxed);
    weft__unlock(&s->lock);
    m->duty = WEFT__NEVER;
}

static void idle_sleep(struct weft__m *m, weft_time next)
{
    struct weft__sched *s = &weft__sched;
    bool timed_out = false;

    weft__lock(&s->lock);
    if (s->gq_head && s->idle_p) {
        weft__unlock(&s->lock);
        idle_retake(m, true);
        return;
    }
    m->idle = true;
    m->idle_next = s->idle_m;
    s->idle_m = m;
    weft__unlock(&s->lock);
    weft__deadlock_check();
    weft_dur timeout = idle_take_duty(m, next);
    while (!timed_out && atomic_exchange_explicit(&m->wake, 0, memory_order_acquire) == 0) { /* W1 */
        if (timeout == 0 || weft__sys_futex_wait(&m->wake, 0, timeout) == -ETIMEDOUT) {
            weft__lock(&s->lock);
            timed_out = idle_remove_m(s, m); /* false: somebody has taken us off the list and is about to wake us */
            weft__unlock(&s->lock);
            timeout = -1;
        } else if (m->duty != WEFT__NEVER) { /* a signal, or woken: then wake is set */
            timeout = m->duty - weft__now();
            timeout = timeout > 0 ? timeout : 0;
        }
        weft__stop_if_frozen();
    }
    bool had_duty = m->duty != WEFT__NEVER;
    idle_drop_duty(m);
    if (timed_out)
        idle_retake(m, false);
    else if (had_duty && m->tied_g) /* it will not come by here before it sleeps: let another take the timers (I5) */
        weft__wake_worker();
}

static void idle_poll(struct weft__m *m, weft_time next)
{
    weft__deadlock_check();
    weft_dur timeout = idle_take_duty(m, next);
    if (timeout == 0)
        idle_retake(m, false);
    else
        weft__poll_now(m, timeout);
    idle_drop_duty(m);
}

/* There is work that we looked for before and did not get: its owner is in its section, or has little and gets on with it.
 * Perhaps it waits for the very CPU that we are on, so looking again at once could last a time slice. Counted as spinning:
 * nobody else needs to be woken meanwhile (I4). False: all processors are busy. */
static bool idle_look_again(struct weft__m *m)
{
    _Atomic uint32_t never = 0;

    m->spinning = true;
    atomic_fetch_add_explicit(&weft__sched.nspinning, 1, memory_order_seq_cst);
    if (m->fruitless++ > 0)
        weft__sys_futex_wait(&never, 0, IDLE_NAP);
    if (idle_retake(m, false))
        return true;
    m->spinning = false;
    atomic_fetch_sub_explicit(&weft__sched.nspinning, 1, memory_order_seq_cst); /* I1 sb */
    return false;
}

void weft__idle(struct weft__m *m)
{
    struct weft__sched *s = &weft__sched;

    bool all_idle = false;

    if (m->spinning) {
        m->spinning = false;
        atomic_fetch_sub_explicit(&s->nspinning, 1, memory_order_seq_cst); /* I1 sb */
    }
    if (atomic_load_explicit(&m->p, memory_order_relaxed)) {
        all_idle = weft__p_release(m);
        weft__leave(m);
    }
    for (;;) {
        /* I1 sb. Where all processors are idle nobody has a queue to push to: whoever takes one from now on takes sched.lock
         * after us, and so sees nidle and nspinning as we left them. */
        if (!all_idle)
            weft__sys_barrier_all();
        if (!idle_work_left(m))
            break;
        if (idle_look_again(m))
            return;
        /* Who saw us counted meanwhile and woke nobody relies on us; while no processor is idle, on their owners. */
        if (atomic_load_explicit(&s->nidle, memory_order_seq_cst) == 0)
            break;
        all_idle = false;
    }
    if (atomic_load_explicit(&s->nidle, memory_order_seq_cst) == 0) { /* all processors are busy: not needed */
        idle_sleep(m, WEFT__NEVER);
        return;
    }
    weft_time next = weft__timers_next();
    if (next != WEFT__NEVER && next <= weft__now())
        idle_retake(m, false);
    else if (weft__poll_started() && !atomic_load_explicit(&s->poller, memory_order_relaxed))
        idle_poll(m, next);
    else
        idle_sleep(m, next);
}

/* ---- a p set aside by a goroutine that blocks outside ---- */

bool weft__p_has_nothing(struct weft__p *p)
{
    return weft__runq_len(p) == 0 && !atomic_load_explicit(&p->next, memory_order_relaxed) &&
           atomic_load_explicit(&weft__sched.gq_n, memory_order_relaxed) == 0;
}

/* As weft__idle after its release, but the caller does not sleep for the timers and the net: somebody has to. Who stops
 * doing so says it first and looks for an idle p then (I5, I7); we have made p idle first and look for such a one now. */
void weft__idle_cover(bool all_idle)
{
    struct weft__sched *s = &weft__sched;

    if (!all_idle)
        weft__sys_barrier_all(); /* I1 sb */
    atomic_thread_fence(memory_order_seq_cst); /* I7 sb */
    bool timers = atomic_load_explicit(&s->duty_until, memory_order_relaxed) <= weft__timers_next();
    bool net = atomic_load_explicit(&s->poll_sleeping, memory_order_relaxed) != 0 || !weft__poll_started() || weft__poll_waiters() == 0;
    if (!timers || !net || idle_work_left(NULL))
        weft__wake_worker();
}

/* ---- deadlock ---- */

/* Nobody runs, nobody is about to, and nothing that is pending would start anybody. */
static bool idle_nothing_can_run(struct weft__sched *s)
{
    return weft__all_idle() &&
           atomic_load_explicit(&s->nless, memory_order_seq_cst) == 0 &&
           atomic_load_explicit(&s->gq_n, memory_order_seq_cst) == 0 &&
           atomic_load_explicit(&s->nspinning, memory_order_seq_cst) == 0 &&
           atomic_load_explicit(&s->no_deadlock, memory_order_relaxed) == 0 && weft__poll_waiters() == 0 &&
           !weft__timers_can_wake();
}

/* Threads that will not do anything by themselves: ours, and others that are parked here. */
static int idle_known_threads(struct weft__sched *s)
{
    return (int)atomic_load_explicit(&s->nm, memory_order_seq_cst) + s->threads_before +
           (int)atomic_load_explicit(&s->foreign_parked, memory_order_seq_cst);
}

bool weft__deadlock_try(void)
{
    struct weft__sched *s = &weft__sched;
    uint32_t takes = atomic_load_explicit(&s->takes, memory_order_seq_cst); /* D1 */

    if (!idle_nothing_can_run(s))
        return false;
    int known = idle_known_threads(s), threads = weft__sys_thread_count();
    if (threads < 0 || threads > known) /* the program's own threads may still send, close, cancel */
        return true;
    weft__sys_barrier_all();
    /* A thread that made another and parked, or readied one and ended, while we counted: then these have changed. */
    if (!idle_nothing_can_run(s) || idle_known_threads(s) != known)
        return false;
    /* D1: nobody had a p to fire a timer with between the look at nbusy and the one at the timers; no tied goroutine and thread of
     * the program took turns, so that each parked before it was counted. */
    if (atomic_load_explicit(&s->takes, memory_order_seq_cst) != takes)
        return false;
    bool nobody = atomic_load_explicit(&s->main_exited, memory_order_relaxed) && weft__g_count() == 0;
    const char *text = nobody ? "no goroutines (main called runtime.Goexit) - deadlock!" : "all goroutines are asleep - deadlock!";
    if (weft__m())
        weft__fatal("%s", text);
    weft__fatal_outside(text);
}

void weft__deadlock_check(void)
{
    if (weft__deadlock_try())
        weft__deadlock_again();
}

void weft__deadlock_again(void)
{
    atomic_store_explicit(&weft__sched.look, 1, memory_order_seq_cst); /* W2 */
    atomic_thread_fence(memory_order_seq_cst);                         /* W2: look before mon_sleep */
    if (atomic_load_explicit(&weft__sched.mon_sleep, memory_order_relaxed) != 0)
        weft__monitor_poke();
}

void weft__no_deadlock_check(void)
{
    (void)weft__g();
    atomic_store_explicit(&weft__sched.no_deadlock, 1, memory_order_relaxed);
}
