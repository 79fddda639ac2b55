/*
 * monitor.c - one thread that hands processors on when their goroutine does not come back.
 *
 * Role    A goroutine may sit in a C loop or in a system call: signals cannot preempt C safely (design, FINDINGS F), so
 *         its processor is retaken from outside by a claim and given to another thread. The goroutine notices at its next
 *         park. One that was seen blocked, not computing, is run on a thread without a processor from then on.
 *         It also makes the steps of scavenge.c, starts workers where the thread that wants one may not (thread.c), and
 *         looks for a deadlock that the program's own threads may have left behind when they ended.
 * Near    sched_int.h (the claim), blocky.c (what follows from a blocked one), worker.c (tied goroutines), idle.c. Layer 2.
 * Protocol, once a tick (1 ms, sooner when a timer is due sooner, later while all is calm), for every owned p:
 *   tick moved on        -> progress; if timers are due, the net or the global queue waits: poke it to look. By a few
 *                           switches only: two that hand over to each other compute long; let the queue have its turn.
 *   tick stands still    -> other work waits behind it (its queue, global, timers due, net) for a slice: claim, retake.
 *   left alone by thieves -> until its time is up, or its tick stands still (I8, idle.c).
 *   an idle p beside it  -> move its next slot and a piece of its queue to the global one (a claim) and wake a worker.
 * Invariants
 *   MT2  A thread that waits for a CPU is neither blocked nor at the end of its slice: taking its processor makes one thread
 *        more, and where there are more of them than CPUs each waits longer, as does whoever wants a lock that it holds. So
 *        the kernel is asked who waits for a CPU, but only about one who has used less than half of the wall time, right
 *        before a verdict; and verdicts on those take longer the more goroutines go on without a processor already.
 *   NT1  The net is late only if it is not looked at though all that waited on the poller's processor after the last look have had
 *        their turn: what a look finds goes behind those. Nobody computes where a turn takes 1/MON_FEW ms at most, so for as many of
 *        these, within MON_NET and MON_NET_MAX, a net that nobody looks at is no reason to look oftener. After that it is: short
 *        ticks, each pokes. MON_NET_MAX is no less than the longest tick, so the monitor, which pokes at each look, is the bound in a calm.
 * Calm    A wake-up of the monitor costs some 40 us on a virtual machine, and whoever computes on its CPU as much again: 1,000 of
 *         them a second were an eighth of an echo server's CPU time. So after MON_CALM looks in a row at which nothing was wrong
 *         (every p went on by many switches or slept, nobody waited long) a tick lasts 2, 4, then 8 ms, but never past the first
 *         timer. Anything wrong: 1 ms again.
 * Limits  Blocked goroutines lose the processor after 1 ms, the first one after a calm after 16 at most; while one follows
 *         another, after a whole tick of 50 us without CPU
 *         time, so that a thousand such calls do not take a thousand ticks. Computing ones after 2 or 10 ms (MON_SLICE) of which they had a
 *         CPU for half at least, or as soon as a timer is due and no processor is idle. Blocked means that its thread used
 *         less than 1/32 of the wall time and does not want a CPU now. One that wants a CPU, or naps between two looks at a
 *         spinlock (whose holder wants one), loses the processor after a second,
 *         one that waits in a futex, while one was seen to lack a CPU within 100 ms, after ten slices; later by as much for each
 *         as many goroutines without a processor as there are processors, at once if a timer is due and these are fewer.
 *         Where the kernel does not say (no /proc), little CPU time is taken for blocked, the later the more of them there are.
 *         While all processors are idle for 10 ticks the monitor sleeps on a futex: an idle process has no wake-ups, once
 *         scavenge.c is done.
 *         Where only the program's own threads could wake anybody it looks for a deadlock after 1, 4, 16 ... ms: some ten
 *         times in an hour, and no later than at four times the age of the deadlock.
 * Order   MT1 m->tid, then cpu_clock release (thread.c)  ->  mon: cpu_clock acquire, then tid.
 *         W2  mon_sleep: set by the monitor (seq_cst), then it looks at nbusy and look once more; who takes a p from the
 *         idle list, or sets look, looks at mon_sleep after.
 *         MT3 sb  monitor: mon_until set, membarrier -> heap_when loads | starter of a timer: heap_when set -> mon_until load. So
 *         either a long tick ends by the timer, or its starter ends it. Without membarrier(2) no tick is long.
 * Model   tests/model/calm.pml (MT3).
 */
#include "sched_int.h"

#include "../diag/diag.h"
#include "../poll/poll.h"

#include <errno.h>

enum { MON_IDLE_TICKS = 10, MON_TRIM_TICKS = 1024, MON_LOOK_GROWTH = 4, MON_BLOCKED_SHARE = 32, MON_LOCKED_SLICES = 10,
       MON_SHARE = 32, /* of a queue, at a tick */
       MON_FEW = 8,    /* switches in a millisecond: they compute between them */
       MON_CALM = 32, MON_CALM_STEPS = 3 };   /* the longest tick is 2^3 ms */
#define MON_TICK WEFT_MS
#define MON_TICK_MIN (20 * WEFT_US)
#define MON_QUICK (50 * WEFT_US)        /* a tick while one blocked goroutine follows another */
#define MON_SLICE_OUTSIDE (2 * WEFT_MS) /* a computing goroutine, while the net or the global queue waits */
#define MON_SLICE_LOCAL (10 * WEFT_MS)  /* while only its own queue waits; Go's slice */
#define MON_ASK_MAX (4 * WEFT_MS)       /* between two questions to the kernel about one that waits for a CPU */
#define MON_STARVED_MAX WEFT_SEC        /* a thread that gets no CPU for so long may be the only one */
#define MON_SHORT (100 * WEFT_MS)       /* since somebody was seen to wait for one: CPUs are short */
#define MON_NET (3 * WEFT_MS)           /* NT1: a net that nobody has looked at for so long waits, if few were queued at the last look */
#define MON_NET_MAX (10 * WEFT_MS)      /* or if many were */
#define MON_FORGET (100 * WEFT_MS)      /* a calm before so long a sleep says nothing */

/* Why a goroutine does not come back. */
enum mon_why {
    MON_COMPUTES,
    MON_BLOCKED,                        /* its thread waits, and not for a CPU */
    MON_STARVED,                        /* its thread, or who holds a spinlock that it wants, waits for a CPU: so would another */
    MON_LOCKED                          /* its thread waits for another one, which perhaps waits for a CPU */
};

static struct weft__blocks mon_blocks;
static uint32_t mon_calm;               /* looks in a row at which all was well */
static weft_time mon_calm_at;           /* when the last of them was counted */
static uint32_t mon_ticks = 1;          /* milliseconds that the last tick lasted, if it was a long one */

/* When to look for a deadlock again. */
struct mon_look {
    weft_time at;                       /* or WEFT__NEVER */
    weft_dur wait;
};

bool weft__enter_slow(struct weft__m *m)
{
    uint32_t spins = 0;

    for (;;) {
        atomic_thread_fence(memory_order_seq_cst); /* M1 sb: after in = 1, for a claimer that has no membarrier */
        if (!(atomic_load_explicit(&m->claim, memory_order_acquire) & WEFT__CLAIM_TAKEN)) /* M3 */
            return true;
        atomic_store_explicit(&m->in, 0, memory_order_release); /* M2 */
        while (atomic_load_explicit(&m->claim, memory_order_acquire) & WEFT__CLAIM_TAKEN) {
            weft__spin(&spins);
            weft__stop_if_frozen();
        }
        atomic_store_explicit(&m->in, 1, memory_order_relaxed); /* M1 sb */
    }
}

bool weft__claim(struct weft__m *m)
{
    uint32_t none = weft__sched.fenced ? WEFT__CLAIM_FENCED : 0;

    if (atomic_load_explicit(&m->in, memory_order_relaxed) != 0 ||
        !atomic_compare_exchange_strong_explicit(&m->claim, &none, none | WEFT__CLAIM_TAKEN, memory_order_seq_cst,
                                                 memory_order_relaxed))
        return false;
    weft__sys_barrier_all(); /* M1 sb: pays for the owner's missing fence */
    if (atomic_load_explicit(&m->in, memory_order_seq_cst) == 0) /* M1 sb, M2 */
        return true;
    weft__unclaim(m);
    return false;
}

void weft__unclaim(struct weft__m *m)
{
    atomic_store_explicit(&m->claim, weft__sched.fenced ? WEFT__CLAIM_FENCED : 0, memory_order_release); /* M3 */
}

/* CPU time of the owner's thread; 0 where it has not started, -1 where it is gone. */
static int64_t mon_clock(struct weft__m *m)
{
    int clock = atomic_load_explicit(&m->cpu_clock, memory_order_acquire); /* MT1 */

    return clock != 0 ? weft__sys_thread_cpu(clock) : 0;
}

/* CPU time of the owner's thread since p was first seen at this tick; 0 where it has not started, or is gone. */
static int64_t mon_cpu(const struct weft__p *p, struct weft__m *m)
{
    int64_t cpu = mon_clock(m);

    return cpu > p->mon_cpu ? cpu - p->mon_cpu : 0;
}

/* MT2: how much longer than usual a verdict takes that would make one thread more without need. */
static weft_dur mon_crowd(void)
{
    return 1 + atomic_load_explicit(&weft__sched.nless, memory_order_relaxed) /
                   (uint32_t)atomic_load_explicit(&weft__sched.procs, memory_order_relaxed);
}

/* The kernel does not tell: so little CPU time is taken for a system call. */
static enum mon_why mon_guess(weft_dur wall, int64_t cpu)
{
    return cpu >= wall / MON_BLOCKED_SHARE ? MON_COMPUTES : wall >= MON_TICK * mon_crowd() ? MON_BLOCKED : MON_STARVED;
}

/* Why has the owner's goroutine not come back for wall ns, of which its thread had cpu on a CPU? still: none since the last tick. */
static enum mon_why mon_why(struct weft__p *p, struct weft__m *m, weft_dur wall, int64_t cpu, bool still)
{
    static weft_time starved_at; /* somebody was, last */
    weft_time now = p->mon_since + wall;

    if (cpu >= wall / 2 && !still)
        return MON_COMPUTES;
    if (wall < p->mon_ask || atomic_load_explicit(&m->cpu_clock, memory_order_acquire) == 0) /* MT1 */
        return MON_STARVED;
    int tid = atomic_load_explicit(&m->tid, memory_order_relaxed);
    enum weft__sys_state state = weft__sys_thread_state(tid);
    if (state == WEFT__SYS_UNKNOWN)
        return mon_guess(wall, cpu);
    enum weft__sys_lock lock = state == WEFT__SYS_WAITS ? weft__sys_thread_locked(tid) : WEFT__SYS_NO_LOCK;
    bool wants = state == WEFT__SYS_WANTS_CPU || lock == WEFT__SYS_NAP;
    if (wants && wall >= MON_TICK)
        starved_at = now;
    if (!wants && (lock != WEFT__SYS_FUTEX || now - starved_at > MON_SHORT))
        return still || cpu < wall / MON_BLOCKED_SHARE ? MON_BLOCKED : MON_COMPUTES;
    p->mon_ask = wall + (wall < MON_ASK_MAX ? wall : MON_ASK_MAX);
    return wants ? MON_STARVED : MON_LOCKED;
}

/* Is it time to take the processor away? Only where work waits for it; due: that is a timer. */
static bool mon_judge(struct weft__p *p, struct weft__m *m, weft_dur wall, bool outside, bool due, enum mon_why *ret_why)
{
    weft_dur slice = outside ? MON_SLICE_OUTSIDE : MON_SLICE_LOCAL;
    int64_t cpu = mon_cpu(p, m);
    bool still = weft__blocks_quick(&mon_blocks, p->mon_since + wall) && cpu == p->mon_last;

    p->mon_last = cpu;
    if (!due && !still && wall < slice && cpu >= wall / MON_BLOCKED_SHARE)
        return false; /* computes, within its slice */
    if (!due && !still && wall < MON_TICK)
        return false; /* too early to tell */
    enum mon_why why = cpu >= slice / 2 && !still ? MON_COMPUTES : mon_why(p, m, wall, cpu, still);
    *ret_why = why;
    if (why == MON_STARVED || why == MON_LOCKED)
        return wall >= (why == MON_LOCKED ? MON_LOCKED_SLICES * slice : MON_STARVED_MAX) * mon_crowd() || (due && mon_crowd() == 1);
    return due || wall >= slice || why == MON_BLOCKED;
}

/* Goroutines from where all others block are born blocky: they need no verdict each. */
static void mon_expect(weft_time now)
{
    const struct weft__site *site = weft__blocks_expects(&mon_blocks, now);

    if (site != atomic_load_explicit(&weft__sched.blocky_site, memory_order_relaxed))
        atomic_store_explicit(&weft__sched.blocky_site, site, memory_order_relaxed);
}

/* p's goroutine g is blocked; under the claim, before the next one runs on p. */
static void mon_blocked(struct weft__p *p, struct weft__g *g, weft_time now)
{
    weft__blocks_saw(&mon_blocks, g->site, p->mon_tick - p->mon_row == 1, now);
    p->mon_row = p->mon_tick;
    mon_expect(now);
    if (weft__blocky_saw(g, now))
        __atomic_store_n(&g->blocky, true, __ATOMIC_RELAXED); /* KP2 */
}

static bool mon_retake(struct weft__p *p, struct weft__m *m, enum mon_why why, weft_time now)
{
    if (!weft__claim(m))
        return false;
    if (atomic_load_explicit(&m->p, memory_order_relaxed) != p ||
        atomic_load_explicit(&p->tick, memory_order_relaxed) != p->mon_tick || !m->g) {
        weft__unclaim(m);
        return false;
    }
    if (why == MON_BLOCKED)
        mon_blocked(p, m->g, now);
    m->less = true; /* under the claim: the owner reads it after M3 */
    atomic_fetch_add_explicit(&weft__sched.nless, 1, memory_order_seq_cst); /* D1 */
    weft__lock(&weft__sched.lock);
    atomic_store_explicit(&m->p, NULL, memory_order_relaxed);
    atomic_store_explicit(&p->m, NULL, memory_order_release);
    weft__unlock(&weft__sched.lock);
    weft__unclaim(m);
    weft__hand_off(p);
    return true;
}

/* The owner computes, others are idle: its waiting goroutines go to the global queue, but for those that thieves will take anyhow:
 * the owner may be waiting for the claim, and each is a cache miss or two. */
static void mon_share(struct weft__p *p, struct weft__m *m)
{
    if (!weft__claim(m))
        return;
    if (atomic_load_explicit(&m->p, memory_order_relaxed) == p)
        weft__runq_spill(p, MON_SHARE);
    weft__unclaim(m);
    weft__wake_worker();
}

static bool mon_has_local(struct weft__p *p)
{
    return weft__runq_len(p) != 0 || atomic_load_explicit(&p->next, memory_order_relaxed) != 0;
}

/* I8: p may be robbed again; somebody looks at what waits there now. */
static void mon_end_alone(struct weft__p *p)
{
    atomic_store_explicit(&p->alone, 0, memory_order_seq_cst); /* I8 sb */
    weft__sys_barrier_all();
    if (weft__runq_len(p) != 0 && atomic_load_explicit(&weft__sched.nidle, memory_order_relaxed) != 0)
        weft__wake_worker();
}

/* The monitor is wanted: ticks are short again. */
static void mon_restless(void)
{
    mon_calm = 0;
}

/* One look more, if it comes a whole tick after the last that was counted: quick ones say little. */
static void mon_calmer(weft_time now)
{
    if (now - mon_calm_at < MON_TICK)
        return;
    mon_calm_at = now;
    mon_calm++;
}

/* How long a tick is while nobody has said that all is calm. */
static weft_dur mon_wait(weft_time now)
{
    return weft__blocks_quick(&mon_blocks, now) ? MON_QUICK : MON_TICK;
}

/* The same, now: sooner for a timer that no sleeper wakes for. */
static weft_dur mon_short_tick(struct weft__sched *s, weft_time now)
{
    weft_dur wait = mon_wait(now);
    weft_time next = weft__timers_next();

    if (next < atomic_load_explicit(&s->duty_until, memory_order_relaxed)) { /* no sleeper's duty: be on time */
        weft_dur d = next - weft__now() + MON_TICK_MIN;
        wait = d < MON_TICK_MIN ? MON_TICK_MIN : d < wait ? d : wait;
    }
    return wait;
}

/* How long to wait when all has been calm for a while; 0: a short tick. */
static weft_dur mon_long_tick(struct weft__sched *s, weft_time now)
{
    if (weft__blocks_quick(&mon_blocks, now))
        mon_restless();
    if (mon_calm < MON_CALM || s->fenced)
        return 0;
    uint32_t step = mon_calm - MON_CALM + 1;
    weft_time start = weft__now(), until = start + (MON_TICK << (step < MON_CALM_STEPS ? step : MON_CALM_STEPS));
    atomic_store_explicit(&s->mon_until, until, memory_order_seq_cst); /* MT3 sb */
    weft__sys_barrier_all();
    weft_time first = weft__timers_first(); /* also a sleeper's: it may be woken for other work, and compute */
    if (first < until - MON_TICK_MIN)
        until = first + MON_TICK_MIN;
    if (until - start > MON_TICK)
        return until - start;
    atomic_store_explicit(&s->mon_until, 0, memory_order_relaxed);
    return 0;
}

void weft__monitor_sooner(void)
{
    struct weft__sched *s = &weft__sched;

    if (atomic_exchange_explicit(&s->mon_until, 0, memory_order_relaxed) == 0)
        return; /* it is awake, or another has woken it */
    atomic_store_explicit(&s->asked, 1, memory_order_seq_cst);
    weft__sys_futex_wake(&s->asked, 1);
}

/* Between two looks. */
static void mon_nap(struct weft__sched *s, weft_time now)
{
    weft_dur wait = mon_long_tick(s, now);
    weft_time start = weft__now();

    mon_ticks = 1;
    weft__sys_futex_wait(&s->asked, 0, wait ? wait : mon_short_tick(s, now));
    if (!wait)
        return;
    weft_dur slept = weft__now() - start; /* a timer's starter may have ended it */
    if (slept >= 2 * MON_TICK)
        mon_ticks = (uint32_t)(slept / MON_TICK);
    if (atomic_load_explicit(&s->mon_until, memory_order_relaxed) == 0) /* a timer is to be watched */
        mon_restless();
    atomic_store_explicit(&s->mon_until, 0, memory_order_relaxed);
}

/* p's owner has switched since the last look. */
static void mon_moved(struct weft__p *p, struct weft__m *m, uint32_t tick, weft_time now, bool outside)
{
    bool few = m == p->mon_m && tick - p->mon_tick < MON_FEW * mon_ticks;

    atomic_store_explicit(&p->still, 0, memory_order_relaxed);
    p->mon_tick = tick;
    p->mon_m = m;
    p->mon_since = now;
    p->mon_ask = p->mon_last = 0;
    p->mon_cpu = mon_clock(m);
    if (outside)
        atomic_store_explicit(&p->poke, 1, memory_order_relaxed);
    if (few && weft__runq_len(p) != 0) {
        mon_restless();
        atomic_store_explicit(&p->turn, 1, memory_order_relaxed);
    }
}

/* One processor. outside: work that any worker could do waits; due: timers are. Returns true if it was retaken. */
static bool mon_look(struct weft__p *p, weft_time now, bool outside, bool due)
{
    struct weft__m *m = atomic_load_explicit(&p->m, memory_order_acquire);
    uint32_t tick = atomic_load_explicit(&p->tick, memory_order_relaxed);

    bool alone = atomic_load_explicit(&p->alone, memory_order_relaxed) != 0;

    if (alone)
        mon_restless(); /* I8: in time */
    if (alone && now >= atomic_load_explicit(&p->alone_until, memory_order_relaxed))
        mon_end_alone(p);
    if (!m)
        return false;
    if (tick != p->mon_tick || m != p->mon_m) {
        mon_moved(p, m, tick, now, outside);
        return false;
    }
    mon_restless();
    if (atomic_load_explicit(&m->in, memory_order_relaxed))
        return false; /* in the scheduler: it looks around by itself; if it is always found there, look often */
    bool idle = atomic_load_explicit(&weft__sched.nidle, memory_order_relaxed) != 0;
    atomic_store_explicit(&p->still, 1, memory_order_relaxed);
    if (idle) {
        if (alone && weft__runq_len(p) != 0)
            mon_end_alone(p);
        else if (mon_has_local(p))
            mon_share(p, m);
        return false;
    }
    weft_dur wall = now - p->mon_since;
    enum mon_why why = MON_COMPUTES;
    if (wall <= 0 || (!due && (wall < mon_wait(now) || !(outside || mon_has_local(p)))))
        return false;
    return mon_judge(p, m, wall, outside, due, &why) && mon_retake(p, m, why, now);
}

/* Nothing runs. timeout ns, < 0 none. */
static void mon_sleep_until_busy(struct weft__sched *s, weft_dur timeout)
{
    int r = 0;

    atomic_store_explicit(&s->mon_sleep, 1, memory_order_seq_cst); /* W2 */
    weft__sys_barrier_all();
    while (r != -ETIMEDOUT && weft__all_idle() && atomic_load_explicit(&s->look, memory_order_seq_cst) == 0 && /* W2 */
           atomic_load_explicit(&s->mon_sleep, memory_order_acquire) != 0) {
        r = weft__sys_futex_wait(&s->mon_sleep, 1, timeout);
        weft__stop_if_frozen();
    }
    atomic_store_explicit(&s->mon_sleep, 0, memory_order_relaxed);
}

void weft__monitor_poke(void)
{
    if (atomic_exchange_explicit(&weft__sched.mon_sleep, 0, memory_order_release) != 0) /* W2 */
        weft__sys_futex_wake(&weft__sched.mon_sleep, 1);
}

/* NT1: how long those need who were queued after the last look at the net, if nobody computes. */
static weft_dur mon_net(const struct weft__sched *s)
{
    weft_dur turns = (weft_dur)atomic_load_explicit(&s->poll_turns, memory_order_relaxed) * (MON_TICK / MON_FEW);

    return turns < MON_NET ? MON_NET : turns < MON_NET_MAX ? turns : MON_NET_MAX;
}

static void mon_tick(struct weft__sched *s, weft_time now)
{
    bool due = weft__timers_next() <= now, others = due || atomic_load_explicit(&s->gq_n, memory_order_relaxed) != 0;
    bool net = weft__poll_started() && weft__poll_waiters() != 0 && !atomic_load_explicit(&s->poll_sleeping, memory_order_relaxed);
    weft_dur unseen = net ? now - atomic_load_explicit(&s->poll_last, memory_order_relaxed) : 0;
    bool outside = others || unseen > MON_TICK;

    if (others || unseen > mon_net(s))
        mon_restless();
    if (outside && atomic_load_explicit(&s->nidle, memory_order_relaxed) != 0)
        weft__wake_worker();
    for (int i = 0; i < atomic_load_explicit(&s->ps_n, memory_order_acquire); i++) {
        struct weft__p *p = atomic_load_explicit(&s->ps[i], memory_order_acquire);
        if (p && mon_look(p, now, outside, due))
            due = false; /* one worker is enough for the timers */
    }
}

/* Nothing runs: the deadlock check again, as long as it is undecided. Returns how long until the next one, -1 none. */
static weft_dur mon_deadlock(struct weft__sched *s, weft_time now, struct mon_look *l)
{
    if (atomic_exchange_explicit(&s->look, 0, memory_order_seq_cst) != 0) { /* W2: somebody has found it undecided just now */
        l->wait = MON_TICK;
        l->at = now + l->wait;
    }
    if (l->at == WEFT__NEVER)
        return -1;
    if (now >= l->at) {
        l->wait *= MON_LOOK_GROWTH;
        l->at = weft__deadlock_try() ? now + l->wait : WEFT__NEVER;
    }
    return l->at == WEFT__NEVER ? -1 : l->at - now;
}

/* The sooner of two waits; -1 is for good. */
static weft_dur mon_sooner(weft_dur a, weft_dur b)
{
    return a < 0 || (b >= 0 && b < a) ? b : a;
}

static void *mon_main(void *arg)
{
    struct weft__sched *s = &weft__sched;
    struct mon_look look = {.at = WEFT__NEVER};
    int idle_ticks = 0;
    uint32_t ticks = 0;
    weft_time now = 0;

    (void)arg;
    atomic_store_explicit(&s->mon_tid, weft__sys_tid(), memory_order_relaxed);
    weft__sys_timer_slack();
    for (;;) {
        mon_nap(s, now);
        weft__thread_asked();
        weft__diag_monitor();
        weft__stop_if_frozen();
        now = weft__now();
        mon_expect(now);
        if (weft__all_idle()) {
            mon_calmer(now);
            if ((idle_ticks += (int)mon_ticks) >= MON_IDLE_TICKS) {
                if (weft__spawn_trim(true))
                    continue;
                weft_dur nap = mon_sooner(weft__scavenge(now, true), mon_deadlock(s, now, &look));
                if (nap != 0)
                    mon_sleep_until_busy(s, nap);
                if (weft__now() - now > MON_FORGET)
                    mon_restless();
                if (nap < 0)
                    idle_ticks = 0;
            }
            continue;
        }
        idle_ticks = 0;
        look.at = WEFT__NEVER; /* who goes to sleep last looks itself */
        mon_calmer(now);
        mon_tick(s, now);
        if ((ticks += mon_ticks) >= MON_TRIM_TICKS) {
            (void)weft__spawn_trim(false);
            ticks = 0;
        }
        (void)weft__scavenge(weft__now(), false);
    }
    return NULL;
}

void weft__monitor_start(void)
{
    atomic_fetch_add_explicit(&weft__sched.nm, 1, memory_order_relaxed);
    if (weft__sys_thread_start(mon_main, NULL, 128 * 1024) < 0)
        weft__throw("cannot start the monitor thread");
}
