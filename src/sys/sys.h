/*
 * sys.h - THE seam: time, randomness, memory pages and the kernel enter libweft's core here and nowhere else.
 *
 * real.c is the kernel; where weft__sys_sim is set, a simulation (src/sim) answers what depends on time, chance or other
 * threads. Everything answers -errno, never errno. Layer 1.
 */
#ifndef WEFT_SYS_SYS_H
#define WEFT_SYS_SYS_H
#include <stdatomic.h>
#include <stdbool.h>
#include <weft/base.h>

#include "../arch/arch.h"

/* Monotonic clock, ns since an arbitrary start. */
weft_time weft__sys_now(void);
/*
 * An instant that is not before now and, by the clock, less than 20 us after it: for deadlines, at half the price (ticks.c).
 * look: the calling thread's own, zeroed at first.
 */
struct weft__sys_look {
    uint64_t ticks; /* the counter at the last look at the clock */
    uint64_t room;  /* how far it may have gone on since; 0: no look yet */
    weft_time at;   /* what is answered for that moment */
};
extern _Atomic uint64_t weft__sys_tick_scale; /* 2^-32 ns a tick */
weft_time weft__sys_later_look(struct weft__sys_look *look);
static inline weft_time weft__sys_later(struct weft__sys_look *look)
{
    uint64_t gone = weft__ticks() - look->ticks;

    if (gone >= look->room)
        return weft__sys_later_look(look);
    return look->at + (weft_dur)(gone * atomic_load_explicit(&weft__sys_tick_scale, memory_order_relaxed) >> 32); /* TK1 */
}
/* Once, before it. */
void weft__sys_ticks_init(void);
/* CPU time that the thread behind the clock id has used, ns; -1 when it is gone. */
int64_t weft__sys_thread_cpu(int clock_id);
/* The clock id of the calling thread, for weft__sys_thread_cpu. */
int weft__sys_thread_clock(void);
/* 64 random bits from the kernel. */
uint64_t weft__sys_entropy(void);

/* Waits while *addr == expect; timeout ns, < 0 none. 0, -EAGAIN, -EINTR or -ETIMEDOUT. */
int weft__sys_futex_wait(_Atomic uint32_t *addr, uint32_t expect, weft_dur timeout);
/* Wakes up to n waiters. */
void weft__sys_futex_wake(_Atomic uint32_t *addr, int n);

/* Every running thread of the process passes a full memory barrier before this returns (membarrier(2)); where the init
 * said that there is none, only the caller does. */
void weft__sys_barrier_all(void);
/* Registers for it. WEFT_EUNSUPPORTED: the kernel has none (4.14 and later have it), or WEFT_MEMBARRIER=0 forbids it;
 * then others must not leave their fences to it. */
int weft__sys_barrier_init(void);

/* Every restartable sequence (arch/x86_64/unlock.S) that a thread of the process was in when this was called has been left, by
 * its end or for its other way out, before this returns; and the barrier of weft__sys_barrier_all. Nothing where there are none. */
void weft__sys_restart_all(void);
/* How far a thread's rseq area lies from its thread pointer; 0: not known yet; 1: no such sequences. */
extern _Atomic intptr_t weft__restart_at __attribute__((visibility("hidden")));
/* Makes it known. */
void weft__sys_restart_init(void);

/* Address space without memory behind it, aligned; NULL when refused. */
void *weft__sys_reserve(size_t bytes, size_t align);
/* Makes [addr, addr+bytes) fault on any touch. Returns 0 or -errno. */
int weft__sys_guard(void *addr, size_t bytes);
/* The same for n places, each stride bytes after the one before: in one call where the kernel can. */
int weft__sys_guards(char *addr, size_t stride, uint32_t n, size_t bytes);

/* Zeroed memory from the C library; NULL when short. */
void *weft__sys_alloc(size_t bytes);
/* The same, not zeroed: quicker for what is filled in anyway. */
void *weft__sys_alloc_raw(size_t bytes);
void weft__sys_free(void *p);

/* CPUs this process may use: affinity, cgroup v2 quota rounded up, at least 1. */
int weft__sys_cpus(void);
/* Threads of this process now, or -errno. */
int weft__sys_thread_count(void);
/*
 * What a thread of this process does now, by its tid: it has a CPU or waits for one (the kernel's state R), or it waits for
 * something else. Unknown: the thread is gone, or /proc is not there or not of this PID name space, or no descriptor is left.
 * Costs a file opened, read and closed: some 5 us.
 */
enum weft__sys_state { WEFT__SYS_UNKNOWN, WEFT__SYS_WANTS_CPU, WEFT__SYS_WAITS };
enum weft__sys_state weft__sys_thread_state(int tid);
/* Does it wait for another thread, in futex(2) or in a nap of weft__spin? No lock also where the kernel does not say. */
enum weft__sys_lock { WEFT__SYS_NO_LOCK, WEFT__SYS_FUTEX, WEFT__SYS_NAP };
enum weft__sys_lock weft__sys_thread_locked(int tid);
/* The calling thread's sleeps end on time, not up to 50 us late (prctl PR_SET_TIMERSLACK). */
void weft__sys_timer_slack(void);
int weft__sys_tid(void);
int weft__sys_pid(void);
/* Starts a detached thread with all signals as the caller has them. 0 or -errno. */
int weft__sys_thread_start(void *(*fn)(void *), void *arg, size_t stack_bytes);
/* Bounds of the calling thread's own stack. */
void weft__sys_thread_stack(char **ret_lo, char **ret_hi);

/*
 * What a simulation answers in the kernel's place, each as the function of that name above. NULL: no simulation. Set
 * before the first weft call of the process, then read only.
 */
struct weft__sys_sim {
    weft_time (*now)(void);
    int64_t (*thread_cpu)(int clock_id);
    int (*thread_clock)(void);
    uint64_t (*entropy)(void);
    int (*futex_wait)(_Atomic uint32_t *addr, uint32_t expect, weft_dur timeout);
    void (*futex_wake)(_Atomic uint32_t *addr, int n);
    void (*barrier_all)(void);
    int (*cpus)(void);
    int (*thread_count)(void);
    enum weft__sys_state (*thread_state)(int tid);
    enum weft__sys_lock (*thread_locked)(int tid);
    int (*tid)(void);
    int (*thread_start)(void *(*fn)(void *), void *arg, size_t stack_bytes);
    bool (*thread_stack)(char **ret_lo, char **ret_hi); /* false: the real thread's own */
};
extern const struct weft__sys_sim *weft__sys_sim;

#endif
