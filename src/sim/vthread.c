/*
 * vthread.c - virtual threads, the virtual clock and what src/sys answers in a simulation.
 *
 * Role    The runtime's threads are coroutines of one real thread. Each has a stack, a futex wait and a store buffer; the
 *         seed says who goes on at each decision, how long a slice is, when a wait ends for no reason, who is held up as
 *         if its CPU had been taken away. Near points.c (where decisions come from), sys/real.c. Layer 6.
 *
 * Invariants
 *   VT1  Nothing here depends on addresses, the kernel's clock or its random numbers: only on the seed and the program.
 *   VT2  Time passes by points (a rate per seed), and by a jump when everybody waits. It never goes back.
 *   VT3  weft__tls_m, errno and the count of locks held belong to the virtual thread: saved and loaded with its stack.
 * Limits  128 threads, then a start fails with -EAGAIN. One real thread: a program that starts its own is refused by
 *         weft__sim_start's caller. Descriptors are not simulated: a wait in epoll is a real one.
 * Failure When everybody waits and nothing is due although the runtime reported no deadlock, a wake-up was lost:
 *         weft__throw. The same when a run does not end within its points.
 */
#include "sim_int.h"

#include "../arch/arch.h"
#include "../sched/policy.h"
#include "../sys/pages.h"
#include "../sys/sys.h"

#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define NEVER INT64_MAX
enum { CLOCK_BASE = 1000, TID_BASE = 1000000, STACK_MIN = 256 * 1024, DISCARD_MAX = 1 << 24 };

struct weft__sim weft__sim;

static struct {
    uint64_t rng[2];                 /* the schedule's, the program's */
    struct sim_thread thread[SIM_THREADS_MAX];
    int threads;
    int ended;                       /* of those */
    weft_time now;
    uint64_t credits, credits_max;
    uint64_t hash, switches;
    int64_t rate;                    /* ns per point */
    uint32_t mean;                   /* points between decisions */
    uint32_t stall_in;               /* one decision in so many holds its thread up; 0 never */
    weft_dur stall_max;
    uint32_t spurious_in;            /* one wait in so many ends at once; 0 never */
    weft_dur slack;                  /* waits end up to this much late */
    int cpus;
    bool tells_no_state;             /* no /proc */
    _Atomic uint32_t *waking;        /* the futex that a wake is about */
    bool giving_up;
} vt;

/* ---- chance ---- */

static uint64_t vt_random(int stream)
{
    uint64_t z = vt.rng[stream] += 0x9e3779b97f4a7c15u; /* splitmix64 */
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

static uint32_t vt_below(uint32_t n)
{
    return (uint32_t)(((vt_random(0) >> 32) * n) >> 32);
}

static bool vt_one_in(uint32_t n)
{
    return n != 0 && vt_below(n) == 0;
}

static void vt_note(uint64_t what)
{
    vt.hash = (vt.hash ^ what) * 0x100000001b3u;
    vt.hash ^= vt.hash >> 29;
}

/* ---- time ---- */

static void vt_account(void)
{
    int64_t spent = weft__sim.slice - weft__sim.budget;

    weft__sim.slice = weft__sim.budget;
    vt.credits += (uint64_t)spent;
    vt.now += spent * vt.rate / SIM_POINT;
    weft__sim.cur->cpu += spent * vt.rate / SIM_POINT;
}

static void vt_new_slice(void)
{
    weft__sim.slice = weft__sim.budget = (int64_t)(1 + vt_below(2 * vt.mean)) * SIM_POINT;
}

static _Noreturn void vt_give_up(const char *why)
{
    if (!vt.giving_up) {
        vt.giving_up = true;
        weft__sim.cur->blocked = false; /* the report runs on it */
        weft__throw("sim: %s (after %llu points, %lld ns)", why, (unsigned long long)(vt.credits / SIM_POINT), (long long)vt.now);
    }
    static const char twice[] = "sim: gave up while giving up\n";
    (void)!write(2, twice, sizeof twice - 1);
    _exit(3);
}

/* ---- who goes on ---- */

static void vt_expire(void)
{
    for (int i = 0; i < vt.threads; i++) {
        struct sim_thread *t = &vt.thread[i];
        if (t->blocked && t->until <= vt.now) {
            t->blocked = false;
            t->result = -ETIMEDOUT;
        }
    }
}

/* When the first of them can go on, if nobody can now. */
static weft_time vt_next_event(void)
{
    weft_time first = NEVER;

    for (int i = 0; i < vt.threads; i++) {
        struct sim_thread *t = &vt.thread[i];
        weft_time at = t->blocked ? t->until : t->stalled;
        if (at < first)
            first = at;
    }
    return first;
}

static bool vt_can_run(const struct sim_thread *t)
{
    return !t->blocked && t->stalled <= vt.now;
}

/* The k-th thread of which is() holds. */
static struct sim_thread *vt_nth(bool (*is)(const struct sim_thread *t), uint32_t k)
{
    int i = 0;

    while (!is(&vt.thread[i]) || k-- > 0)
        i++;
    return &vt.thread[i];
}

/* Somebody who can go on, drawn uniformly; time jumps (VT2) when nobody can. */
static struct sim_thread *vt_choose(void)
{
    for (;;) {
        uint32_t n = 0;
        vt_expire();
        for (int i = 0; i < vt.threads; i++)
            n += vt_can_run(&vt.thread[i]);
        if (n)
            return vt_nth(vt_can_run, n == 1 ? 0 : vt_below(n));
        weft_time next = vt_next_event();
        if (next == NEVER)
            return NULL;
        vt.now = next;
    }
}

static void vt_switch(struct sim_thread *to)
{
    struct sim_thread *from = weft__sim.cur;

    vt_note((uint64_t)to->index << 48 ^ vt.credits);
    if (to == from)
        return;
    vt.switches++;
    from->tls_m = weft__tls_m; /* VT3 */
    from->err = errno;
    from->held = *weft__locks_held();
    weft__sim.cur = to;
    weft__tls_m = to->tls_m;
    errno = to->err;
    *weft__locks_held() = to->held;
    __real_weft__arch_switch(&from->sw, &to->sw);
}

/* Buffers empty in their own time; nobody's is old. */
static void vt_drain_some(void)
{
    for (int i = 0; i < vt.threads; i++) {
        struct sim_thread *t = &vt.thread[i];
        if (t->store_n && vt_one_in(2))
            weft__sim_drain(t, (int)vt_below((uint32_t)t->store_n));
    }
}

void weft__sim_decide(void)
{
    vt_account();
    if (vt.credits > vt.credits_max) {
        vt.credits_max = UINT64_MAX; /* the report needs points too */
        vt_give_up("the run does not end");
    }
    if (weft__sim.buffers)
        vt_drain_some();
    if (vt_one_in(vt.stall_in))
        weft__sim.cur->stalled = vt.now + (weft_dur)(vt_random(0) % (uint64_t)vt.stall_max);
    struct sim_thread *to = vt_choose();
    if (!to)
        vt_give_up("every thread waits and nothing is due: a wake-up was lost");
    vt_new_slice();
    vt_switch(to);
}

/* The current thread waits; 0 or the error that ends it. */
static int vt_wait(_Atomic uint32_t *futex, weft_dur timeout)
{
    struct sim_thread *t = weft__sim.cur;

    vt_account();
    t->blocked = true;
    t->result = 0;
    t->futex = futex;
    t->until = NEVER;
    if (timeout >= 0 && timeout < NEVER - vt.now - vt.slack - 1)
        t->until = vt.now + timeout + (weft_dur)(vt.slack ? vt_random(0) % (uint64_t)vt.slack : 0);
    weft__sim_decide();
    return t->result;
}

/* ---- what src/sys answers ---- */

static weft_time sim_now(void)
{
    sim_spend(SIM_POINT);
    vt_account();
    return vt.now;
}

static int64_t sim_thread_cpu(int clock_id)
{
    int i = clock_id - CLOCK_BASE;

    sim_spend(SIM_POINT);
    vt_account();
    return i >= 0 && i < vt.threads ? vt.thread[i].cpu : -1;
}

static int sim_thread_clock(void)
{
    return CLOCK_BASE + weft__sim.cur->index;
}

static uint64_t sim_entropy(void)
{
    return vt_random(0);
}

static int sim_futex_wait(_Atomic uint32_t *addr, uint32_t expect, weft_dur timeout)
{
    weft__sim_flush();
    sim_spend(SIM_POINT);
    if (atomic_load_explicit(addr, memory_order_seq_cst) != expect)
        return -EAGAIN;
    if (vt_one_in(vt.spurious_in))
        return -EINTR;
    return vt_wait(addr, timeout);
}

static bool vt_waits(const struct sim_thread *t)
{
    return t->blocked && t->futex == vt.waking;
}

static void sim_futex_wake(_Atomic uint32_t *addr, int n)
{
    weft__sim_flush();
    sim_spend(SIM_POINT);
    while (n-- > 0) {
        uint32_t k = 0;
        vt.waking = addr;
        for (int i = 0; i < vt.threads; i++)
            k += vt_waits(&vt.thread[i]);
        if (k == 0)
            break;
        vt_nth(vt_waits, vt_below(k))->blocked = false;
    }
    sim_spend(SIM_POINT);
}

static void sim_barrier_all(void)
{
    sim_spend(SIM_POINT);
    for (int i = 0; i < vt.threads; i++)
        weft__sim_drain(&vt.thread[i], 0);
    sim_spend(SIM_POINT);
}

static int sim_cpus(void)
{
    return vt.cpus;
}

static int sim_thread_count(void)
{
    sim_spend(SIM_POINT);
    return vt.threads - vt.ended;
}

/* A thread that is held up has lost its CPU and wants one. */
static enum weft__sys_state sim_thread_state(int tid)
{
    int i = tid == weft__sys_pid() ? 0 : tid - TID_BASE;

    sim_spend(SIM_POINT);
    if (vt.tells_no_state || i < 0 || i >= vt.threads)
        return WEFT__SYS_UNKNOWN;
    return vt.thread[i].blocked ? WEFT__SYS_WAITS : WEFT__SYS_WANTS_CPU;
}

static enum weft__sys_lock sim_thread_locked(int tid)
{
    int i = tid == weft__sys_pid() ? 0 : tid - TID_BASE;

    if (i < 0 || i >= vt.threads || !vt.thread[i].blocked)
        return WEFT__SYS_NO_LOCK;
    return vt.thread[i].futex ? WEFT__SYS_FUTEX : vt.thread[i].spins ? WEFT__SYS_NAP : WEFT__SYS_NO_LOCK;
}

static int sim_tid(void)
{
    return weft__sim.cur->index ? TID_BASE + weft__sim.cur->index : weft__sys_pid();
}

static void vt_main(void)
{
    struct sim_thread *t = weft__sim.cur;

    t->fn(t->arg);
    vt.ended++;
    t->until = NEVER;
    for (;;)
        (void)vt_wait(NULL, -1);
}

static int sim_thread_start(void *(*fn)(void *), void *arg, size_t stack_bytes)
{
    size_t bytes = stack_bytes < STACK_MIN ? STACK_MIN : stack_bytes;
    char *lo = vt.threads < SIM_THREADS_MAX ? weft__sys_reserve(bytes, 4096) : NULL;

    if (!lo)
        return -EAGAIN;
    (void)weft__sys_guard(lo, 4096);
    void *sp = weft__arch_prepare_plain(lo + bytes, vt_main);
    weft__sim_flush();
    /* The calls above have points of their own: the slot is taken after them, in one piece. */
    if (vt.threads == SIM_THREADS_MAX)
        return -EAGAIN;
    struct sim_thread *t = &vt.thread[vt.threads];
    *t = (struct sim_thread){.index = vt.threads, .until = NEVER, .fn = fn, .arg = arg, .lo = lo + 4096, .hi = lo + bytes};
    t->sw.sp = sp;
    vt.threads++;
    sim_spend(SIM_POINT);
    return 0;
}

static bool sim_thread_stack(char **ret_lo, char **ret_hi)
{
    struct sim_thread *t = weft__sim.cur;

    if (!t->lo)
        return false;
    *ret_lo = t->lo;
    *ret_hi = t->hi;
    return true;
}

static const struct weft__sys_sim vt_sys = {
    .now = sim_now, .thread_cpu = sim_thread_cpu, .thread_clock = sim_thread_clock, .entropy = sim_entropy,
    .futex_wait = sim_futex_wait, .futex_wake = sim_futex_wake, .barrier_all = sim_barrier_all, .cpus = sim_cpus,
    .thread_count = sim_thread_count, .thread_state = sim_thread_state, .thread_locked = sim_thread_locked, .tid = sim_tid,
    .thread_start = sim_thread_start, .thread_stack = sim_thread_stack,
};

/* ---- naps of spinners and of tests, sched_yield, madvise: by the linker's --wrap ---- */

int __wrap_clock_nanosleep(clockid_t clock, int flags, const struct timespec *t, struct timespec *left);
int __real_clock_nanosleep(clockid_t clock, int flags, const struct timespec *t, struct timespec *left);
int __wrap_nanosleep(const struct timespec *t, struct timespec *left);
int __wrap_usleep(unsigned us);
int __wrap_sched_yield(void);
int __wrap_pause(void);
int __wrap_madvise(void *addr, size_t bytes, int advice);
int __real_madvise(void *addr, size_t bytes, int advice);

int __wrap_clock_nanosleep(clockid_t clock, int flags, const struct timespec *t, struct timespec *left)
{
    if (!weft__sim.on)
        return __real_clock_nanosleep(clock, flags, t, left);
    weft__sim_flush();
    weft__sim.cur->spins = clock == WEFT__NAP_CLOCK;
    (void)vt_wait(NULL, (weft_dur)t->tv_sec * WEFT_SEC + t->tv_nsec);
    return 0;
}

int __wrap_nanosleep(const struct timespec *t, struct timespec *left)
{
    return __wrap_clock_nanosleep(CLOCK_MONOTONIC, 0, t, left);
}

int __wrap_usleep(unsigned us)
{
    struct timespec t = {us / 1000000, (long)(us % 1000000) * 1000};
    return __wrap_clock_nanosleep(CLOCK_MONOTONIC, 0, &t, NULL);
}

int __wrap_sched_yield(void)
{
    if (weft__sim.on)
        weft__sim_decide();
    return 0;
}

/* Giving memory back takes its time: the others go on between any two pages. Not so in a range that nobody would give back. */
int __wrap_madvise(void *addr, size_t bytes, int advice)
{
    char *at = addr;
    int r = 0;

    if (!weft__sim.on || advice != MADV_DONTNEED || bytes > DISCARD_MAX)
        return __real_madvise(addr, bytes, advice);
    weft__sim_flush();
    for (size_t done = 0; done < bytes && r == 0; done += WEFT__PAGE) {
        weft__sim_decide();
        r = __real_madvise(at + done, bytes - done < WEFT__PAGE ? bytes - done : WEFT__PAGE, advice);
    }
    return r;
}

/* A second dying thread waits for the first one's report. */
int __wrap_pause(void)
{
    weft__sim_flush();
    (void)vt_wait(NULL, -1);
    errno = EINTR;
    return -1;
}

/* ---- the start ---- */

/* One of the n numbers, drawn uniformly. */
static int64_t vt_one_of(const int64_t *list, uint32_t n)
{
    return list[vt_below(n)];
}
#define ONE_OF(...) vt_one_of((const int64_t[]){__VA_ARGS__}, sizeof((const int64_t[]){__VA_ARGS__}) / sizeof(int64_t))

void weft__sim_prepare(void)
{
    weft__sys_thread_stack(&vt.thread[0].lo, &vt.thread[0].hi);
}

void weft__sim_start(uint64_t seed)
{
    vt.rng[0] = seed * 0xd1342543de82ef95u + 1;
    vt.rng[1] = ~vt.rng[0];
    vt.hash = 0xcbf29ce484222325u;
    vt.now = WEFT_SEC;
    if (!vt.credits_max)
        weft__sim_limit(1000000000);
    vt.mean = 1u << vt_below(10);
    vt.rate = ONE_OF(5, 20, 50, 100, 300);
    vt.stall_in = (uint32_t)ONE_OF(0, 0, 16, 64, 256);
    vt.stall_max = vt.rate << ONE_OF(6, 10, 13);
    vt.spurious_in = (uint32_t)ONE_OF(0, 16, 64);
    vt.slack = ONE_OF(0, 0, 1000, 50000, 1000000);
    vt.cpus = (int)ONE_OF(1, 2, 2, 3, 4);
    weft__policy.next_max = (int32_t)ONE_OF(1, 16, 16, 64);
    weft__policy.global_every = (uint32_t)ONE_OF(1, 8, 64, 64);
    weft__policy.steal_max = (uint32_t)ONE_OF(1, 2, 256, 256);
    weft__policy.taker_min = seed % 3 == 0 ? 32 : seed % 3 - 1;
    weft__sim.plain_cost = (int)ONE_OF(0, 1, 1, 4, SIM_POINT);
    weft__sim.buffers = vt_below(2) == 0;
    vt.tells_no_state = seed % 8 == 0;
    vt.threads = 1;
    vt.thread[0].until = NEVER;
    weft__sim.cur = &vt.thread[0];
    weft__sys_sim = &vt_sys;
    vt_new_slice();
    weft__sim.on = true;
}

bool weft__sim_on(void)
{
    return weft__sim.on;
}

uint64_t weft__sim_random(void)
{
    return vt_random(1);
}

void weft__sim_limit(uint64_t points)
{
    vt.credits_max = points * SIM_POINT;
}

struct weft__sim_trace weft__sim_trace(void)
{
    vt_account();
    return (struct weft__sim_trace){vt.hash, vt.credits / SIM_POINT, vt.switches, vt.now};
}
