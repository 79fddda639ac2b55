/*
 * lock.h - the spinlock that guards a channel, a heap, a queue for a few dozen instructions.
 *
 * Role    Mutual exclusion between threads, never between goroutines: nobody parks, allocates, makes a system
 *         call or readies a goroutine while holding one (style.md section 7). Layer 0.
 * Order   L1  release: v release  ->  acquire: v acquire (exchange). Carries everything written under the lock.
 * Limits  Spins 200 pauses, then naps 20 us between tries: on a busy machine the holder may be off CPU.
 */
#ifndef WEFT_BASE_LOCK_H
#define WEFT_BASE_LOCK_H
#include <errno.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#include "assert.h"

struct weft__lock {
    _Atomic uint32_t v; /* [L1] 0 free, 1 held */
};

static inline void weft__pause(void)
{
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("isb" ::: "memory");
#endif
}

/* Hardly anybody else sleeps by it: so the monitor knows a nap from a program's sleep (weft__sys_thread_locked). */
#define WEFT__NAP_CLOCK CLOCK_BOOTTIME

/* Wait a little between two looks at a word that another thread is about to change. After 200 pauses (some us) that
 * thread is probably off its CPU: a short nap lets it on. sched_yield would cost a whole time slice on a busy machine. */
static inline void weft__spin(uint32_t *count)
{
    if (++*count < 200) {
        weft__pause();
    } else {
        const struct timespec nap = {0, 20000};
        if (clock_nanosleep(WEFT__NAP_CLOCK, 0, &nap, NULL) == EINVAL) /* reports by its result: errno stays the caller's */
            clock_nanosleep(CLOCK_MONOTONIC, 0, &nap, NULL);           /* a sandbox without that clock */
    }
}

/* Debug builds count the locks that the calling thread holds: held.c. */
#if WEFT_DEBUG
int *weft__locks_held(void);
#define WEFT__LOCK_HELD(d) ((void)(*weft__locks_held() += (d)))
#else
#define WEFT__LOCK_HELD(d) ((void)0)
#endif

static inline bool weft__lock_try(struct weft__lock *l)
{
    if (atomic_load_explicit(&l->v, memory_order_relaxed) != 0 ||
        atomic_exchange_explicit(&l->v, 1, memory_order_acquire) != 0) /* L1 */
        return false;
    WEFT__LOCK_HELD(1);
    return true;
}

/* Takes it, if it is free now. */
static inline bool weft__lock_at_once(struct weft__lock *l)
{
    if (atomic_exchange_explicit(&l->v, 1, memory_order_acquire) != 0) /* L1 */
        return false;
    WEFT__LOCK_HELD(1);
    return true;
}

static inline void weft__lock(struct weft__lock *l)
{
    uint32_t n = 0;
    while (__builtin_expect(atomic_exchange_explicit(&l->v, 1, memory_order_acquire) != 0, 0)) /* L1 */
        while (atomic_load_explicit(&l->v, memory_order_relaxed) != 0)
            weft__spin(&n);
    WEFT__LOCK_HELD(1);
}

static inline void weft__unlock(struct weft__lock *l)
{
    WEFT__LOCK_HELD(-1);
    atomic_store_explicit(&l->v, 0, memory_order_release); /* L1 */
}

#endif
