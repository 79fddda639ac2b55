/*
 * held.c - debug builds: how many of weft's own locks the calling thread holds.
 *
 * Role    lock.h counts here; diag/check.c asks when a goroutine parks or is made ready. Layer 0.
 * Limits  A count, not a list: a lock is short and never handed to another thread.
 */
#include "lock.h"

#if WEFT_DEBUG
__attribute__((noinline)) int *weft__locks_held(void)
{
    static __thread int held;

    __asm__ volatile(""); /* not const: the thread may have changed since the last call */
    return &held;
}
#else
typedef int held_is_empty_in_release; /* ISO C wants a declaration */
#endif
