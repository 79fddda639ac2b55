/*
 * naps.c - sleeps, and waits for threads and processes.
 *
 * Role    Nothing to try first: the processor is handed on, unless the sleep is shorter than it is worth. Layer 5.
 * Limits  Sleeps below NAP_MIN keep the processor: the runtime's own spinning naps 20 us (base/lock.h), and a hand-over costs
 *         several.
 */
#include "posix_int.h"

enum { NAP_MIN_NS = 100000 };

static bool nap_is_long(const struct timespec *t)
{
    return t->tv_sec != 0 || t->tv_nsec >= NAP_MIN_NS;
}

static void nap_give(bool is_long)
{
    if (is_long && weft__keep_holds())
        weft__keep_give();
}

WEFT__STANDIN int nanosleep(const struct timespec *t, struct timespec *ret_left)
{
    nap_give(nap_is_long(t));
    return WEFT__NEXT(nanosleep)(t, ret_left);
}

/* Absolute times are given on without a look at that clock. */
WEFT__STANDIN int clock_nanosleep(clockid_t clock, int flags, const struct timespec *t, struct timespec *ret_left)
{
    nap_give(flags != 0 || nap_is_long(t));
    return WEFT__NEXT(clock_nanosleep)(clock, flags, t, ret_left);
}

WEFT__STANDIN int usleep(useconds_t us)
{
    nap_give(us >= NAP_MIN_NS / 1000);
    return WEFT__NEXT(usleep)(us);
}

WEFT__STANDIN unsigned sleep(unsigned s)
{
    nap_give(s != 0);
    return WEFT__NEXT(sleep)(s);
}

WEFT__STANDIN int thrd_sleep(const struct timespec *t, struct timespec *ret_left)
{
    nap_give(nap_is_long(t));
    return WEFT__NEXT(thrd_sleep)(t, ret_left);
}

WEFT__STANDIN int pthread_join(pthread_t t, void **ret_result)
{
    nap_give(true);
    return WEFT__NEXT(pthread_join)(t, ret_result);
}

WEFT__STANDIN int thrd_join(thrd_t t, int *ret_result)
{
    nap_give(true);
    return WEFT__NEXT(thrd_join)(t, ret_result);
}

WEFT__STANDIN pid_t waitpid(pid_t pid, int *ret_status, int options)
{
    nap_give(!(options & WNOHANG));
    return WEFT__NEXT(waitpid)(pid, ret_status, options);
}

WEFT__STANDIN int flock(int fd, int op)
{
    nap_give(!(op & (LOCK_NB | LOCK_UN)));
    return WEFT__NEXT(flock)(fd, op);
}
