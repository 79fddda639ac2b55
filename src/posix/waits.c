/*
 * waits.c - condition variables, semaphores and barriers of pthread and C11.
 *
 * Role    A wait hands the processor on; a semaphore that has something is taken without. Waking others never blocks and is
 *         left alone. The mutex of a condition is the same goroutine's before and after: its pin (plocks.c) stays. Layer 5.
 */
#include "posix_int.h"

static void wait_give(void)
{
    if (weft__keep_holds())
        weft__keep_give();
}

WEFT__STANDIN int pthread_cond_wait(pthread_cond_t *restrict c, pthread_mutex_t *restrict m)
{
    wait_give();
    return WEFT__NEXT(pthread_cond_wait)(c, m);
}

WEFT__STANDIN int pthread_cond_timedwait(pthread_cond_t *restrict c, pthread_mutex_t *restrict m, const struct timespec *restrict at)
{
    wait_give();
    return WEFT__NEXT(pthread_cond_timedwait)(c, m, at);
}

WEFT__STANDIN int pthread_cond_clockwait(pthread_cond_t *restrict c, pthread_mutex_t *restrict m, clockid_t clock,
                                         const struct timespec *restrict at)
{
    wait_give();
    return WEFT__NEXT(pthread_cond_clockwait)(c, m, clock, at);
}

WEFT__STANDIN int cnd_wait(cnd_t *c, mtx_t *m)
{
    wait_give();
    return WEFT__NEXT(cnd_wait)(c, m);
}

WEFT__STANDIN int cnd_timedwait(cnd_t *restrict c, mtx_t *restrict m, const struct timespec *restrict at)
{
    wait_give();
    return WEFT__NEXT(cnd_timedwait)(c, m, at);
}

WEFT__STANDIN int pthread_barrier_wait(pthread_barrier_t *b)
{
    wait_give();
    return WEFT__NEXT(pthread_barrier_wait)(b);
}

/* True: taken. Else the processor has been handed on, if there was one. */
static bool wait_sem_taken(sem_t *s)
{
    int saved = errno;

    if (!weft__keep_holds())
        return false;
    if (sem_trywait(s) == 0)
        return true;
    errno = saved;
    weft__keep_give();
    return false;
}

WEFT__STANDIN int sem_wait(sem_t *s)
{
    return wait_sem_taken(s) ? 0 : WEFT__NEXT(sem_wait)(s);
}

WEFT__STANDIN int sem_timedwait(sem_t *restrict s, const struct timespec *restrict at)
{
    return wait_sem_taken(s) ? 0 : WEFT__NEXT(sem_timedwait)(s, at);
}

WEFT__STANDIN int sem_clockwait(sem_t *restrict s, clockid_t clock, const struct timespec *restrict at)
{
    return wait_sem_taken(s) ? 0 : WEFT__NEXT(sem_clockwait)(s, clock, at);
}
