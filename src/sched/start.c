/*
 * start.c - how threads become known: the runtime's start, the main thread, foreign threads, weft_procs.
 *
 * Role    The first weft call of a process starts the runtime. The main thread's C stack becomes goroutine 1 and may be
 *         resumed by any worker; the main thread itself gets a scheduler stack of its own and is a worker like others.
 *         Any other thread that weft did not start gets a tied goroutine: parking blocks just that thread.
 * Near    thread.c (workers), worker.c, idle.c, diag (handlers per thread). Layer 2.
 * Invariants
 *   B1  m and foreign g are never freed: a retired foreign pair is kept for the next foreign thread.
 * Limits  WEFT__THREADS_MAX threads; weft_procs at most WEFT__PROCS_MAX.
 */
#include "sched_int.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

static struct weft__lock start_lock;          /* start, foreign list */
static _Atomic uint32_t start_done;           /* release after everything is set up */
static pthread_key_t start_foreign_key;

struct start_foreign {
    struct weft__m m;
    struct weft__g g;
    struct start_foreign *next;  /* [start_lock] all */
    struct start_foreign *free_next; /* [start_lock] retired */
};
static struct start_foreign *start_foreign_all, *start_foreign_free;

#ifdef __GNUC__
#pragma weak weft__diag_init
#pragma weak weft__diag_thread_init
#endif

int *weft_errno_location(void);
#undef errno
__attribute__((noinline)) int *weft_errno_location(void)
{
    __asm__ volatile(""); /* not const, not pure: the thread may have changed since the last call */
    int *at = __errno_location();
    weft__tsan_acquire(at); /* goroutines share their thread's errno in turns: released in weft__park */
    return at;
}

/* ---- processors ---- */

static struct weft__p *start_p_new(int id)
{
    void *mem = NULL;

    if (posix_memalign(&mem, _Alignof(struct weft__p), sizeof(struct weft__p)) != 0)
        return NULL;
    struct weft__p *p = memset(mem, 0, sizeof(struct weft__p));
    p->id = id;
    p->retired = true;
    atomic_store_explicit(&p->heap_when, WEFT__NEVER, memory_order_relaxed);
    return p;
}

/* Makes the ps below n exist and idle; start_lock held. */
static int start_ps(int n)
{
    struct weft__sched *s = &weft__sched;
    int have = atomic_load_explicit(&s->ps_n, memory_order_relaxed), old = atomic_load_explicit(&s->procs, memory_order_relaxed);

    for (; have < n; have++) {
        struct weft__p *p = start_p_new(have);
        if (!p)
            break;
        atomic_store_explicit(&s->ps[have], p, memory_order_release);
    }
    if (n > have)
        n = have;
    weft__lock(&s->lock);
    atomic_store_explicit(&s->procs, n, memory_order_seq_cst);
    atomic_store_explicit(&s->ps_n, have, memory_order_release);
    for (int i = old; i < n; i++) {
        struct weft__p *p = atomic_load_explicit(&s->ps[i], memory_order_relaxed);
        if (!p->retired)
            continue; /* not yet: goes on being used, perhaps between two owners just now */
        p->retired = false;
        p->idle = true;
        p->idle_next = s->idle_p;
        s->idle_p = p;
        atomic_fetch_add_explicit(&s->nidle, 1, memory_order_seq_cst);
    }
    /* Idle ones beyond n leave the list. */
    for (struct weft__p **at = &s->idle_p; *at;) {
        struct weft__p *p = *at;
        if (p->id < n) {
            at = &p->idle_next;
            continue;
        }
        *at = p->idle_next;
        p->idle = false;
        p->retired = true;
        atomic_fetch_sub_explicit(&s->nidle, 1, memory_order_seq_cst);
    }
    weft__unlock(&s->lock);
    return n;
}

int weft_procs(int n)
{
    struct weft__sched *s = &weft__sched;

    (void)weft__g();
    if (n <= 0)
        return atomic_load_explicit(&s->procs, memory_order_relaxed);
    weft__lock(&start_lock);
    int old = atomic_load_explicit(&s->procs, memory_order_relaxed);
    start_ps(n < WEFT__PROCS_MAX ? n : WEFT__PROCS_MAX);
    for (int i = n; i < atomic_load_explicit(&s->ps_n, memory_order_relaxed); i++)
        atomic_store_explicit(&atomic_load_explicit(&s->ps[i], memory_order_relaxed)->poke, 1, memory_order_relaxed);
    weft__unlock(&start_lock);
    if (n > old)
        weft__wake_worker();
    return old;
}

static int start_default_procs(void)
{
    const char *e = getenv("WEFT_PROCS");
    long n = e ? strtol(e, NULL, 10) : 0;

    if (n < 1)
        n = weft__sys_cpus();
    return n < WEFT__PROCS_MAX ? (int)n : WEFT__PROCS_MAX;
}

/* ---- foreign threads ---- */

static void start_foreign_retire(void *arg)
{
    struct start_foreign *f = arg;

    weft__local_end(&f->g);
    weft__lock(&start_lock);
    atomic_store_explicit(&f->g.state, WEFT__G_DEAD, memory_order_relaxed);
    atomic_fetch_sub_explicit(&weft__sched.created, 1, memory_order_relaxed);
    f->free_next = start_foreign_free;
    start_foreign_free = f;
    weft__tls_m = NULL;
    weft__unlock(&start_lock);
    weft__deadlock_again(); /* the thread was counted as one that may still do something */
}

static struct weft__m *start_adopt_foreign(void)
{
    weft__lock(&start_lock);
    struct start_foreign *f = start_foreign_free;
    bool fresh = !f;
    if (f)
        start_foreign_free = f->free_next;
    weft__unlock(&start_lock);
    if (fresh) {
        void *mem = NULL;
        if (posix_memalign(&mem, _Alignof(struct start_foreign), sizeof *f) != 0)
            weft__throw("no memory to adopt a thread");
        f = memset(mem, 0, sizeof *f);
    }
    struct weft__g *g = &f->g;
    f->m.foreign = true;
    atomic_store_explicit(&f->m.tid, weft__sys_tid(), memory_order_relaxed);
    f->m.errno_at = weft_errno_location();
    f->m.g = g;
    f->m.rng = weft__sys_entropy() | 1;
    g->defer_top = NULL; /* a thread that ended by pthread_exit may have left these in its own frames */
    g->try_top = NULL;
    g->panic = NULL;
    g->exiting = 0;
    g->lock_thread_depth = g->pins = 0;
    g->m = &f->m;
    g->tied = true;
    weft__sys_thread_stack(&g->stack_lo, &g->stack_hi);
    g->fiber = weft__fiber_current();
    atomic_store_explicit(&g->sw.on_cpu, 1, memory_order_relaxed);
    atomic_store_explicit(&g->id, atomic_fetch_add_explicit(&weft__sched.id_next, 1, memory_order_relaxed), memory_order_relaxed);
    atomic_store_explicit(&g->state, WEFT__G_RUNNING, memory_order_relaxed);
    atomic_fetch_add_explicit(&weft__sched.created, 1, memory_order_relaxed);
    weft__tls_m = &f->m;
    if (fresh) {
        weft__m_list(&f->m);
        weft__lock(&start_lock);
        f->next = start_foreign_all;
        start_foreign_all = f;
        weft__unlock(&start_lock);
    }
    pthread_setspecific(start_foreign_key, f);
    if (weft__diag_thread_init)
        weft__diag_thread_init();
    return &f->m;
}

void weft__foreign_each(void (*fn)(struct weft__g *g, void *arg), void *arg)
{
    for (struct start_foreign *f = start_foreign_all; f; f = f->next)
        if (atomic_load_explicit(&f->g.state, memory_order_relaxed) != WEFT__G_DEAD)
            fn(&f->g, arg);
}

/* ---- the main thread ---- */

static void start_main_sched(void)
{
    weft__fiber_arrive(NULL);
    weft__schedule();
    weft__throw("main's thread left the scheduler"); /* weft__m_end keeps it */
}

static struct weft__m *start_adopt_main(void)
{
    static struct weft__g main_g;
    struct weft__m *m = weft__m_new();
    char *stack = weft__sys_reserve(WEFT__SCHED_STACK_BYTES, 4096);

    if (!m || !stack)
        weft__throw("no memory to start");
    (void)weft__sys_guard(stack, 4096);
    m->g0_lo = stack + 4096;
    m->g0_bytes = WEFT__SCHED_STACK_BYTES - 4096;
    m->g0_fiber = weft__fiber_new();
    weft__stack_known(m->g0_lo, m->g0_lo + m->g0_bytes);
    m->g0.sp = weft__arch_prepare_plain(stack + WEFT__SCHED_STACK_BYTES, start_main_sched);
    m->g = &main_g;
    main_g.m = m;
    main_g.is_main = true;
    weft__sys_thread_stack(&main_g.stack_lo, &main_g.stack_hi);
    main_g.fiber = weft__fiber_current();
    atomic_store_explicit(&main_g.sw.on_cpu, 1, memory_order_relaxed);
    atomic_store_explicit(&main_g.id, 1, memory_order_relaxed);
    atomic_store_explicit(&main_g.state, WEFT__G_RUNNING, memory_order_relaxed);
    atomic_fetch_add_explicit(&weft__sched.created, 1, memory_order_relaxed);
    weft__sched.main_g = &main_g;
    weft__tls_m = m;
    weft__less_set(m, true); /* D1: it runs, and is seen to, before it is one of the threads that may all sleep */
    atomic_fetch_add_explicit(&weft__sched.nm, 1, memory_order_seq_cst);
    weft__m_fields(m);
    (void)weft__regain(m);
    return m;
}

/* ---- the start ---- */

static void start_runtime(void)
{
    struct weft__sched *s = &weft__sched;

    if (atomic_load_explicit(&start_done, memory_order_acquire))
        return;
    weft__lock(&start_lock);
    if (!atomic_load_explicit(&start_done, memory_order_relaxed)) {
        s->fenced = weft__sys_barrier_init() < 0;
        weft__sys_ticks_init();
        s->threads_before = WEFT__TSAN ? 1 : 0; /* ThreadSanitizer's own, started with the first thread */
        atomic_store_explicit(&s->id_next, 2, memory_order_relaxed);
        atomic_store_explicit(&s->duty_until, WEFT__NEVER, memory_order_relaxed);
        if (start_ps(start_default_procs()) < 1)
            weft__throw("no memory to start");
        pthread_key_create(&start_foreign_key, start_foreign_retire);
        if (weft__diag_init)
            weft__diag_init();
        weft__thread_mask_init();
        sigset_t all, old;
        sigfillset(&all);
        pthread_sigmask(SIG_SETMASK, &all, &old);
        weft__monitor_start();
        pthread_sigmask(SIG_SETMASK, &old, NULL);
        atomic_store_explicit(&start_done, 1, memory_order_release);
    }
    weft__unlock(&start_lock);
}

struct weft__m *weft__adopt(void)
{
    start_runtime();
    if (weft__sys_tid() == weft__sys_pid() && !weft__sched.main_g)
        return start_adopt_main();
    return start_adopt_foreign();
}

/* ---- giving the processor up on purpose ---- */

void weft__drop_p(struct weft__m *m)
{
    struct weft__p *p = weft__enter(m);
    bool rests = p && weft__p_has_nothing(p), all_idle = false;

    if (p)
        weft__less_set(m, true); /* D1: before nbusy falls */
    if (rests) {
        all_idle = weft__p_release(m);
    } else if (p) {
        weft__lock(&weft__sched.lock);
        atomic_store_explicit(&m->p, NULL, memory_order_relaxed);
        atomic_store_explicit(&p->m, NULL, memory_order_release);
        weft__unlock(&weft__sched.lock);
    }
    weft__leave(m);
    if (rests)
        weft__idle_cover(all_idle);
    else if (p)
        weft__hand_off(p);
}

void weft_block_begin(void)
{
    struct weft__g *g = weft__g();

    if (!g->tied)
        weft__drop_p(g->m);
}

void weft_block_end(void)
{
    struct weft__g *g = weft__g();

    if (!g->tied && !atomic_load_explicit(&g->m->p, memory_order_relaxed))
        weft_yield(); /* through the global queue, as whoever lost its p */
}

void weft_lock_thread(void)
{
    struct weft__g *g = weft__g();

    if (g->lock_thread_depth++ == 0 && !g->m->foreign) {
        weft__drop_p(g->m);
        g->blocky = false; /* after the p is gone: the monitor sets it while there is one */
        g->tied = true; /* W4: running, in nobody's list */
    }
}

void weft_unlock_thread(void)
{
    struct weft__g *g = weft__g();

    if (g->lock_thread_depth > 0 && --g->lock_thread_depth == 0 && !g->m->foreign) {
        g->tied = g->pins != 0;
        weft_yield();
    }
}

/* ---- the end ---- */

/* A claim that is somebody else's ends soon, and its m would run on. */
static bool start_freeze(struct weft__m *m)
{
    if (atomic_load_explicit(&m->claim, memory_order_relaxed) & WEFT__CLAIM_FROZEN)
        return true;
    if (!weft__claim(m))
        return false;
    atomic_fetch_or_explicit(&m->claim, WEFT__CLAIM_FROZEN, memory_order_relaxed);
    return true;
}

void weft__freeze_world(void)
{
    struct weft__m *me = weft__m();

    atomic_store_explicit(&weft__sched.frozen, 1, memory_order_seq_cst);
    for (int round = 0; round < 20; round++) {
        bool all = true;
        for (struct weft__m *m = atomic_load_explicit(&weft__sched.all_m, memory_order_acquire); m; m = m->all_next)
            if (m != me && atomic_load_explicit(&m->p, memory_order_relaxed) && !start_freeze(m))
                all = false;
        if (all)
            break;
        _Atomic uint32_t never = 0;
        weft__sys_futex_wait(&never, 0, WEFT_MS);
    }
    weft__takers_show();
}
