/*
 * check.c - debug builds: what must not be held while a goroutine parks or is made ready.
 *
 * Role    Rules S1 and S2 of sched.h, checked at each park and ready by the count in base/held.c.
 * Near    hook.h calls this. Layer 2.
 * Failure weft__throw: the runtime is broken.
 */
#include "../sched/sched.h"

#if WEFT_DEBUG

#include "hook.h"

static _Noreturn __attribute__((cold)) void check_fail(const char *what)
{
    *weft__locks_held() = 0; /* the report takes locks and goes on */
    weft__throw("%s", what);
}

void weft__check_park(void)
{
    if (*weft__locks_held() != 0)
        check_fail("S1: a goroutine parks and holds a lock of weft's own");
}

void weft__check_ready(void)
{
    if (*weft__locks_held() != 0)
        check_fail("S2: a goroutine is made ready under a lock of weft's own");
}

#else
typedef int check_is_empty_in_release; /* ISO C wants a declaration */
#endif
