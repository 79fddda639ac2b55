/*
 * quick.h - system calls past the C library, where the way back from the kernel is dear otherwise (quick.c).
 */
#ifndef WEFT_SYS_QUICK_H
#define WEFT_SYS_QUICK_H
#include <errno.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <sys/syscall.h>

#include "../arch/fiber.h"

/* The sanitizers are to see the calls. */
#if defined(__x86_64__) && !WEFT__TSAN && !WEFT__ASAN
#define WEFT__QUICK 1
#else
#define WEFT__QUICK 0
#endif

#if WEFT__QUICK
extern _Atomic bool weft__sys_quick_known; /* [stat] a choice of speed only */
long weft__arch_syscall(long a, long b, long c, long d, long e, long f, long number);
#endif

/* Once, before the first descriptor is watched. */
void weft__sys_quick_init(void);

/* Is weft__sys_quick the faster way? */
static inline bool weft__sys_quick_calls(void)
{
#if WEFT__QUICK
    return atomic_load_explicit(&weft__sys_quick_known, memory_order_relaxed);
#else
    return false;
#endif
}

/* A system call of four arguments: its result or -errno, EINTR too. Only where weft__sys_quick_calls. */
static inline long weft__sys_quick(long number, long a, long b, long c, long d)
{
#if WEFT__QUICK
    return weft__arch_syscall(a, b, c, d, 0, 0, number);
#else
    (void)number, (void)a, (void)b, (void)c, (void)d;
    return -ENOSYS;
#endif
}

#endif
