/*
 * thread.c - the worker threads: how they start, with what, and how one ends.
 *
 * Role    A new worker takes a p, or a tied goroutine, and goes to the scheduler's loop. A goroutine that ends locked to
 *         its thread (weft_lock_thread) ends the thread: it may have changed what belongs to the thread, its name, name
 *         spaces, CPUs or signal mask, and nobody else is to run with that.
 * Near    start.c (other threads), worker.c (the loop), idle.c (who asks for workers), monitor.c. Layer 2.
 * Invariants
 *   B2  A worker has the signal mask of the thread that started the runtime; the synchronous signals, and SIGPROF which a
 *       dump asks with, are never blocked. All are blocked until the thread's stack for handlers is there.
 *   B3  A thread that a goroutine is locked to, or that weft did not start, starts no worker, which would inherit from
 *       it: the monitor does, when asked. The p waits on asked_p meanwhile, counted in nbusy (I6).
 *   B4  m is on s->ended <=> its thread has ended, or is about to and does not touch it again. The next worker takes it.
 * Order   D1  a thread that ends leaves nm before nless: until it is gone from the process it looks like one of the
 *         program's, whose destructors may still send. The monitor looks for a deadlock afterwards (idle.c).
 * Limits  WEFT__THREADS_MAX threads. Main's thread does not end, since its exit would leave a process without a leader: it
 *         waits for good (Go's mexit does the same).
 * Source  Go runtime/proc.go: mexit, newm, templateThread.
 */
#include "sched_int.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

static sigset_t thread_mask;      /* [const] B2 */

#ifdef __GNUC__
#pragma weak weft__diag_thread_init
#endif

void weft__thread_mask_init(void)
{
    static const int open[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGABRT, SIGPROF};

    pthread_sigmask(SIG_SETMASK, NULL, &thread_mask);
    for (size_t i = 0; i < sizeof open / sizeof open[0]; i++)
        sigdelset(&thread_mask, open[i]);
}

/* Whoever looks at all threads finds m from now on: before its first read section (section.c). */
void weft__m_list(struct weft__m *m)
{
    struct weft__m *old = atomic_load_explicit(&weft__sched.all_m, memory_order_relaxed);

    if (m->listed)
        return;
    m->listed = true;
    do
        m->all_next = old;
    while (!atomic_compare_exchange_weak_explicit(&weft__sched.all_m, &old, m, memory_order_release, memory_order_relaxed));
}

void weft__m_fields(struct weft__m *m)
{
    m->rng = weft__sys_entropy() | 1;
    m->errno_at = weft_errno_location();
    weft__tsan_release(m->errno_at);
    atomic_store_explicit(&m->tid, weft__sys_tid(), memory_order_relaxed);
    atomic_store_explicit(&m->cpu_clock, weft__sys_thread_clock(), memory_order_release); /* MT1 */
    weft__m_list(m);
    weft__sys_timer_slack();
    if (weft__diag_thread_init)
        weft__diag_thread_init();
}

#if WEFT__TSAN
/* What ThreadSanitizer is wrong about in every program of this library (docs/design/tools.md). It takes the start of a thread
 * for writes to all of that thread's variables, such as the C library's tables of characters; its goroutines are ordered
 * after them, but by the scheduler, which is no edge. And it sees neither libcrypto's reference counts nor that its random
 * state is the thread's. A program's own function of this name takes the place of this one. */
__attribute__((weak, visibility("default"))) const char *__tsan_default_suppressions(void);
const char *__tsan_default_suppressions(void)
{
    return "race:__tsan_tls_initialization\nrace:libcrypto.so\nrace:libssl.so\n";
}
#endif

/* ---- the start ---- */

static void *thread_main(void *arg)
{
    struct weft__m *m = arg;
    char *lo, *hi;

    weft__tls_m = m;
    weft__sys_thread_stack(&lo, &hi);
    m->g0_lo = lo;
    m->g0_bytes = (size_t)(hi - lo);
    m->g0_fiber = weft__fiber_current();
    weft__m_fields(m);
    pthread_sigmask(SIG_SETMASK, &thread_mask, NULL); /* B2 */
    weft__schedule();
    return NULL;
}

struct weft__m *weft__m_new(void)
{
    void *mem = NULL;

    /* Goroutines that come to run on it are ordered after this by the start of its thread, which is no edge of theirs (TL2). */
    weft__tsan_unseen_begin();
    int err = posix_memalign(&mem, _Alignof(struct weft__m), sizeof(struct weft__m));
    struct weft__m *m = err == 0 ? memset(mem, 0, sizeof(struct weft__m)) : NULL;
    weft__tsan_unseen_end();
    if (!m)
        return NULL;
    atomic_store_explicit(&m->claim, weft__sched.fenced ? WEFT__CLAIM_FENCED : 0, memory_order_relaxed);
    return m;
}

/* One whose thread has ended (B4), or a new one. */
static struct weft__m *thread_m_take(void)
{
    struct weft__sched *s = &weft__sched;

    weft__lock(&s->lock);
    struct weft__m *m = s->ended;
    if (m)
        s->ended = m->idle_next;
    weft__unlock(&s->lock);
    return m ? m : weft__m_new();
}

static void thread_m_put(struct weft__m *m)
{
    struct weft__sched *s = &weft__sched;

    weft__lock(&s->lock);
    m->idle_next = s->ended;
    s->ended = m;
    weft__unlock(&s->lock);
}

/* B3: would a thread that the caller starts inherit from a goroutine, or from the program's own threads? */
static bool thread_is_marked(void)
{
    struct weft__m *m = weft__m();

    if (!m)
        return weft__sys_tid() != atomic_load_explicit(&weft__sched.mon_tid, memory_order_relaxed);
    return m->foreign || (m->g && m->g->lock_thread_depth != 0);
}

static bool thread_start(struct weft__m *m)
{
    sigset_t all, old;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old); /* inherited: B2 */
    int err = weft__sys_thread_start(thread_main, m, WEFT__TSAN || WEFT__ASAN ? 1024 * 1024 : 256 * 1024);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    return err >= 0;
}

/* B3 */
static void thread_ask(struct weft__p *p, bool spinning)
{
    struct weft__sched *s = &weft__sched;

    weft__lock(&s->lock);
    p->asked_spinning = spinning;
    p->idle_next = s->asked_p;
    s->asked_p = p;
    weft__unlock(&s->lock);
    atomic_store_explicit(&s->asked, 1, memory_order_seq_cst);
    weft__sys_futex_wake(&s->asked, 1);
    atomic_thread_fence(memory_order_seq_cst); /* W2: nbusy, which counts p, before mon_sleep */
    if (atomic_load_explicit(&s->mon_sleep, memory_order_relaxed) != 0)
        weft__monitor_poke();
}

void weft__thread_asked(void)
{
    struct weft__sched *s = &weft__sched;

    if (weft__likely(atomic_load_explicit(&s->asked, memory_order_relaxed) == 0))
        return;
    atomic_store_explicit(&s->asked, 0, memory_order_seq_cst);
    for (;;) {
        weft__lock(&s->lock);
        struct weft__p *p = s->asked_p;
        if (p)
            s->asked_p = p->idle_next;
        weft__unlock(&s->lock);
        if (!p)
            return;
        weft__p_place(p, p->asked_spinning);
    }
}

bool weft__m_start(struct weft__p *p, bool spinning, struct weft__g *tied)
{
    struct weft__sched *s = &weft__sched;

    if (atomic_load_explicit(&s->nm, memory_order_relaxed) >= WEFT__THREADS_MAX)
        return false;
    if (p && thread_is_marked()) {
        thread_ask(p, spinning);
        return true;
    }
    struct weft__m *m = thread_m_take();
    if (!m)
        return false;
    m->spinning = spinning;
    m->tied_g = tied;
    m->less = tied != NULL;
    if (p)
        weft__p_take(m, p);
    atomic_fetch_add_explicit(&s->nm, 1, memory_order_seq_cst);
    if (thread_start(m))
        return true;
    atomic_fetch_sub_explicit(&s->nm, 1, memory_order_seq_cst);
    weft__lock(&s->lock);
    if (p)
        atomic_store_explicit(&p->m, NULL, memory_order_release);
    atomic_store_explicit(&m->p, NULL, memory_order_relaxed);
    weft__unlock(&s->lock);
    m->spinning = m->less = false;
    m->tied_g = NULL;
    thread_m_put(m);
    return false;
}

/* ---- the end ---- */

void weft__m_end(struct weft__m *m)
{
    static _Atomic uint32_t never;
    bool is_main = atomic_load_explicit(&m->tid, memory_order_relaxed) == weft__sys_pid();

    m->ends = false;
    if (!is_main)
        atomic_fetch_sub_explicit(&weft__sched.nm, 1, memory_order_seq_cst); /* D1 */
    weft__less_set(m, false);
    weft__leave(m);
    if (is_main)
        weft__deadlock_check();
    while (is_main) {
        weft__sys_futex_wait(&never, 0, -1);
        weft__stop_if_frozen();
    }
    weft__deadlock_again();
    weft__tls_m = NULL;
    atomic_store_explicit(&m->cpu_clock, 0, memory_order_relaxed); /* before the next thread of this m writes tid: B4 */
    thread_m_put(m); /* B4 */
}
