/*
 * timer.c - what is due when: one 4-ary heap per processor.
 *
 * Role    Start, stop and move timers; run the due ones on a scheduler's stack. The goroutine side (weft_sleep) is at the
 *         end. Near worker.c and idle.c (who run them), sync/ and poll/ (who use them). Layer 2.
 * Invariants, under a p's tlock:
 *   T3  heap[i].when >= heap[(i-1)/4].when; the timer of heap[i] has this p as its home and, unless it is sure to fire, i as
 *       heap_i. A sleep is sure: to note each place it passes would be a cache miss a step among many sleepers.
 *   T4  heap_when is heap[0].when, or WEFT__NEVER.
 *   T5  a heap is run by one thread at a time (heap_runner), so firing names one timer at most.
 * Locks   tlock, short; fn is called without it.
 * Order
 *   T1  home is read without the lock to find the heap and checked again under it.
 *   T2  firing = NULL release -> weft__timer_quiesce: firing acquire. Carries everything fn did.
 *   MT3 (monitor.c)  heap_when set -> mon_until load: who starts a timer ends the monitor's long tick, or that ends by it.
 *   T6  home = 0 release -> a stop that finds it 0: home acquire. Carries firing, so that a quiesce after that
 *       stop sees the firing under way.
 * Limits  Start and stop are O(log4 n). A heap doubles; when memory is short the process ends (fatal): a timer has no way
 *         to fail in Go's interface either.
 * Source  Go runtime/time.go (4-ary heap per P).
 */
#include "sched_int.h"

#include <string.h>

weft_time weft__now(void)
{
    return weft__sys_now();
}

weft_time weft__now_later(void)
{
    struct weft__m *m = weft__m();

    return weft__likely(m != NULL) ? weft__sys_later(&m->look) : weft__now();
}

/* ---- kinds ---- */

static const struct weft__timer_kind *timer_kinds[WEFT__TIMER_USES]; /* [const] once main runs */

void weft__timer_know(enum weft__timer_use use, const struct weft__timer_kind *kind)
{
    timer_kinds[use] = kind;
}

static inline const struct weft__timer_kind *timer_kind(const struct weft__timer *t)
{
    return timer_kinds[t->use];
}

/* 0: it fires once. */
static inline weft_dur timer_period(const struct weft__timer *t, const struct weft__timer_kind *kind)
{
    return weft__likely(kind->period_at == 0) ? 0 : *(const weft_dur *)((const char *)t + kind->period_at);
}

/* ---- the heap, tlock held ---- */

static inline struct weft__timer *timer_of(struct weft__theap_entry e)
{
    return (struct weft__timer *)(e.t & ~(uintptr_t)1);
}

static void timer_place(struct weft__p *p, uint32_t i, struct weft__theap_entry e)
{
    p->heap[i] = e;
    if (!(e.t & 1))
        ((struct weft__timer *)e.t)->heap_i = i; /* T3 */
}

/* Each of both returns where the entry has come to. */
static uint32_t timer_up(struct weft__p *p, uint32_t i)
{
    struct weft__theap_entry e = p->heap[i];

    while (i > 0 && p->heap[(i - 1) / 4].when > e.when) {
        timer_place(p, i, p->heap[(i - 1) / 4]);
        i = (i - 1) / 4;
    }
    timer_place(p, i, e);
    return i;
}

static uint32_t timer_down(struct weft__p *p, uint32_t i)
{
    struct weft__theap_entry e = p->heap[i];
    uint32_t n = p->heap_n;

    for (;;) {
        uint32_t c = 4 * i + 1, best = c;
        if (c >= n)
            break;
        for (uint32_t k = c + 1; k < n && k < c + 4; k++)
            if (p->heap[k].when < p->heap[best].when)
                best = k;
        if (p->heap[best].when >= e.when)
            break;
        timer_place(p, i, p->heap[best]);
        i = best;
    }
    timer_place(p, i, e);
    return i;
}

static inline weft_time timer_publish(struct weft__p *p)
{
    weft_time first = p->heap_n ? p->heap[0].when : WEFT__NEVER;

    atomic_store_explicit(&p->heap_when, first, memory_order_relaxed); /* T4, MT3 sb */
    return first;
}

/* Without the lock, after that. */
static inline void timer_tell(weft_time first)
{
    atomic_signal_fence(memory_order_seq_cst); /* MT3: heap_when's store comes before; the monitor's membarrier does the rest */
    if (weft__unlikely(first < atomic_load_explicit(&weft__sched.mon_until, memory_order_relaxed))) /* MT3 sb */
        weft__monitor_sooner();
}

/* The entry at place i, which is t's. */
static void timer_remove(struct weft__p *p, struct weft__timer *t, uint32_t i)
{
    WEFT_ASSERT(i < p->heap_n && timer_of(p->heap[i]) == t, "T3");
    struct weft__theap_entry last = p->heap[--p->heap_n];
    atomic_store_explicit(&t->home, 0, memory_order_release); /* T6 */
    if (i < p->heap_n) {
        p->heap[i] = last;
        (void)timer_down(p, timer_up(p, i));
    }
}

static void timer_insert(struct weft__p *p, struct weft__timer *t, weft_time when)
{
    uint32_t i = p->heap_n++;

    atomic_store_explicit(&t->home, (uint16_t)(p->id + 1), memory_order_relaxed);
    p->heap[i] = (struct weft__theap_entry){when, (uintptr_t)t | timer_kind(t)->sure};
    (void)timer_up(p, i);
}

/* Room for one more; the lock is dropped while memory is asked for. */
static void timer_lock_with_room(struct weft__p *p)
{
    weft__lock(&p->tlock);
    while (weft__unlikely(p->heap_n == p->heap_cap)) {
        uint32_t cap = p->heap_cap ? p->heap_cap * 2 : 64;
        weft__unlock(&p->tlock);
        struct weft__theap_entry *h = weft__sys_alloc(cap * sizeof *h), *old = NULL;
        if (!h)
            weft__fatal("weft: out of memory for timers");
        weft__lock(&p->tlock);
        weft__tsan_acquire(p); /* for the interceptors of memcpy and free; the lock orders them */
        if (p->heap_cap < cap) {
            if (p->heap_n)
                memcpy(h, p->heap, p->heap_n * sizeof *h);
            old = p->heap;
            p->heap = h;
            p->heap_cap = cap;
        } else {
            old = h;
        }
        weft__unlock(&p->tlock);
        weft__sys_free(old);
        weft__tsan_release(p);
        weft__lock(&p->tlock);
    }
}

/* The heap that holds t, locked; NULL when none does. */
static struct weft__p *timer_lock_home(struct weft__timer *t)
{
    for (;;) {
        uint32_t home = atomic_load_explicit(&t->home, memory_order_acquire); /* T1, T6 */
        if (home == 0)
            return NULL;
        struct weft__p *p = atomic_load_explicit(&weft__sched.ps[home - 1], memory_order_acquire);
        weft__lock(&p->tlock);
        if (atomic_load_explicit(&t->home, memory_order_relaxed) == home) /* T1 */
            return p;
        weft__unlock(&p->tlock);
    }
}

/* ---- start, stop ---- */

/* heap[i].when has changed. Most timers that are moved stay where they are, in the last rows. */
static inline void timer_sift(struct weft__p *p, uint32_t i)
{
    if (4 * i + 1 >= p->heap_n && (i == 0 || p->heap[(i - 1) / 4].when <= p->heap[i].when))
        return;
    (void)timer_down(p, timer_up(p, i));
}

static inline weft_time timer_within(weft_time when)
{
    return weft__unlikely(when < 0 || when == WEFT__NEVER) ? WEFT__NEVER - 1 : when; /* Go's "for ever": pending all the same (T4) */
}

/* t, which is in p's heap, has its time. Unlocks. */
static inline void timer_set(struct weft__p *p, struct weft__timer *t)
{
    weft_time first = timer_publish(p);
    bool leads = t->heap_i == 0; /* else whoever set the first one has told */
    weft__tsan_release(t); /* what the starter did happens before fn */
    weft__unlock(&p->tlock);
    if (leads)
        timer_tell(first);
}

/* t is in p's heap, which is locked: have it fire at when instead, and unlock. */
static inline void timer_shift(struct weft__p *p, struct weft__timer *t, weft_time when)
{
    p->heap[t->heap_i].when = timer_within(when);
    timer_sift(p, t->heap_i);
    timer_set(p, t);
}

/* The processor whose owner will look at the timers before it sleeps, or NULL. Until timer_leave the
 * section keeps the monitor from retaking it before the timer is in; its claim's barrier shows it to the next owner. On
 * the scheduler's stack a section is open already (worker.c W2). */
static inline struct weft__p *timer_enter(struct weft__m *m)
{
    if (weft__likely(m && m->g))
        return weft__enter(m);
    return m ? atomic_load_explicit(&m->p, memory_order_relaxed) : NULL;
}

static inline void timer_leave(struct weft__m *m, bool seen)
{
    if (weft__likely(m && m->g))
        weft__leave(m);
    if (weft__likely(seen))
        return;
    /* No p of ours will look at it before sleeping: let a sleeper compute its timeout again. */
    (void)atomic_fetch_add_explicit(&weft__sched.nidle, 0, memory_order_seq_cst); /* I1 sb: heap_when is visible before nidle
                                                                                     is looked at */
    weft__wake_worker();
}

void weft__timer_start(struct weft__timer *t, weft_time when)
{
    struct weft__m *m = weft__m();
    struct weft__p *mine = timer_enter(m), *p = timer_lock_home(t);

    if (!p) {
        if (!m)
            (void)weft__adopt();
        p = mine ? mine : atomic_load_explicit(&weft__sched.ps[0], memory_order_acquire);
        timer_lock_with_room(p);
        timer_insert(p, t, timer_within(when));
        timer_set(p, t);
    } else {
        timer_shift(p, t, when);
    }
    timer_leave(m, mine != NULL);
}

bool weft__timer_move(struct weft__timer *t, weft_time when)
{
    struct weft__m *m = weft__m();
    struct weft__p *mine = timer_enter(m), *p = timer_lock_home(t);

    if (weft__likely(p != NULL))
        timer_shift(p, t, when);
    timer_leave(m, mine || !p);
    return p != NULL;
}

bool weft__timer_stop(struct weft__timer *t)
{
    struct weft__p *p = timer_lock_home(t);

    if (!p)
        return false;
    weft__tsan_acquire(p); /* asleep() may have looked at the storage that now becomes free */
    timer_remove(p, t, t->heap_i);
    (void)timer_publish(p);
    weft__unlock(&p->tlock);
    return true;
}

void weft__timer_quiesce(struct weft__timer *t)
{
    struct weft__sched *s = &weft__sched;
    int n = atomic_load_explicit(&s->ps_n, memory_order_acquire);
    uint32_t spins = 0;

    for (int i = 0; i < n; i++) {
        struct weft__p *p = atomic_load_explicit(&s->ps[i], memory_order_acquire);
        while (p && atomic_load_explicit(&p->firing, memory_order_acquire) == t) /* T2 */
            weft__spin(&spins);
        weft__tsan_acquire(p);
    }
}

/* ---- running ---- */

/* The earliest time of all heaps, with or without those that are being run. */
static weft_time timers_earliest(bool with_running)
{
    struct weft__sched *s = &weft__sched;
    int n = atomic_load_explicit(&s->ps_n, memory_order_acquire);
    weft_time best = WEFT__NEVER;

    for (int i = 0; i < n; i++) {
        struct weft__p *p = atomic_load_explicit(&s->ps[i], memory_order_acquire);
        weft_time w = p ? atomic_load_explicit(&p->heap_when, memory_order_relaxed) : WEFT__NEVER; /* MT3 sb */
        if (w < best && (with_running || !atomic_load_explicit(&p->heap_runner, memory_order_relaxed)))
            best = w;
    }
    return best;
}

weft_time weft__timers_next(void)
{
    /* A heap that is being run has a worker awake that will look again before it sleeps: nobody need wait on it. */
    return timers_earliest(false);
}

weft_time weft__timers_first(void)
{
    return timers_earliest(true);
}

/* Fires what is due in one heap, tlock held on entry and exit. */
static bool timers_fire(struct weft__p *p, weft_time now)
{
    bool any = false;

    while (p->heap_n && p->heap[0].when <= now) {
        struct weft__timer *t = timer_of(p->heap[0]);
        const struct weft__timer_kind *kind = timer_kind(t);
        weft_dur period = timer_period(t, kind);
        atomic_store_explicit(&p->firing, t, memory_order_relaxed); /* T6: before the timer is seen to be inactive */
        if (period > 0) {
            p->heap[0].when += period * (1 + (now - p->heap[0].when) / period); /* ticks that were missed are dropped */
            (void)timer_down(p, 0);
        } else {
            timer_remove(p, t, 0);
        }
        (void)timer_publish(p); /* later than before: nobody need be told */
        weft__unlock(&p->tlock);
        weft__tsan_acquire(t);
        kind->fn(t);
        weft__tsan_release(p); /* not t: its storage may be gone */
        weft__lock(&p->tlock);
        atomic_store_explicit(&p->firing, NULL, memory_order_release); /* T2 */
        any = true;
    }
    return any;
}

bool weft__timers_run(struct weft__m *m, weft_time now)
{
    struct weft__sched *s = &weft__sched;
    int n = atomic_load_explicit(&s->ps_n, memory_order_acquire);
    bool any = false;

    for (int i = 0; i < n; i++) {
        struct weft__p *p = atomic_load_explicit(&s->ps[i], memory_order_acquire);
        if (!p || atomic_load_explicit(&p->heap_when, memory_order_relaxed) > now)
            continue;
        weft__lock(&p->tlock);
        if (!atomic_load_explicit(&p->heap_runner, memory_order_relaxed)) { /* T5 */
            atomic_store_explicit(&p->heap_runner, m, memory_order_relaxed);
            any |= timers_fire(p, now);
            atomic_store_explicit(&p->heap_runner, NULL, memory_order_relaxed);
        }
        weft__unlock(&p->tlock);
    }
    return any;
}

bool weft__timers_can_wake(void)
{
    struct weft__sched *s = &weft__sched;
    int n = atomic_load_explicit(&s->ps_n, memory_order_acquire);
    bool can = false;

    for (int i = 0; i < n && !can; i++) {
        struct weft__p *p = atomic_load_explicit(&s->ps[i], memory_order_acquire);
        if (!p || atomic_load_explicit(&p->heap_when, memory_order_relaxed) == WEFT__NEVER)
            continue;
        weft__lock(&p->tlock);
        for (uint32_t k = 0; k < p->heap_n && !can; k++) {
            struct weft__timer *t = timer_of(p->heap[k]);
            weft__tsan_acquire(t);
            const struct weft__timer_kind *kind = timer_kind(t);
            can = kind->wakes || (kind->asleep && !kind->asleep(t));
        }
        weft__tsan_release(p);
        weft__unlock(&p->tlock);
    }
    return can;
}

/* ---- sleep ---- */

static void timer_wake(struct weft__timer *t)
{
    weft__ready(WEFT__OWNER(t, struct weft__g, timer));
}

static const struct weft__timer_kind timer_sleep = {.fn = timer_wake, .wakes = true, .sure = true};

__attribute__((constructor(101))) static void timer_know_sleep(void)
{
    weft__timer_know(WEFT__TIMER_SLEEP, &timer_sleep);
}

void weft_sleep(weft_dur d)
{
    struct weft__g *g = weft__g();

    if (d <= 0)
        return;
    g->timer.use = WEFT__TIMER_SLEEP;
    weft_time now = weft__now_later();
    weft__timer_start(&g->timer, d > WEFT__NEVER - now ? WEFT__NEVER : now + d);
    weft__park(WEFT__WAIT_SLEEP);
}
