/*
 * plocks.c - pthread mutexes and rwlocks, and C11's mtx.
 *
 * Role    A goroutine that finds one taken hands its processor on and waits with its thread. A goroutine that has one is
 *         pinned (sched/keep.c) until it gives it back: should it park meanwhile, in a callback or by itself, it wakes on the
 *         same thread, and nobody else runs on that thread. So the thread is the goroutine as long as it has a lock, and what
 *         the C library knows by thread holds: owners, recursion, error checks, robust lists, EDEADLK.
 * Near    waits.c (condition variables, semaphores), docs/design/posix.md. Layer 5.
 * Limits  Who takes its first lock before it is a goroutine is not pinned by it; a lock that one goroutine takes and another
 *         gives back pins the first for good (POSIX forbids that for mutexes). Spin locks are left alone: the monitor.
 */
#include "posix_int.h"

enum { LOCK_ROUNDS = 4, LOCK_PAUSES = 30 };

_Static_assert(thrd_success == 0, "C11's results go through these two as well");

/* The result of a lock call. */
static int lock_got(int r)
{
    if (r == 0 || r == EOWNERDEAD)
        weft__keep_pin();
    return r;
}

static int lock_given_back(int r)
{
    if (r == 0)
        weft__keep_unpin();
    return r;
}

/* Tries by a goroutine that has a processor, a few, as most locks are held for less than a hand-over takes. EBUSY: the
 * processor has been handed on. EBUSY also where the caller has nothing to hand on. */
static __attribute__((always_inline)) inline int lock_tries(int (*try)(void *), void *lock, int busy)
{
    if (!weft__keep_holds())
        return busy;
    for (int round = 0; round < LOCK_ROUNDS; round++) {
        int r = try(lock);
        if (r != busy)
            return r;
        for (int i = 0; i < LOCK_PAUSES; i++)
            weft__pause();
    }
    weft__keep_give();
    return busy;
}

/* ---- mutexes ---- */

static int lock_try_mutex(void *m)
{
    return WEFT__NEXT(pthread_mutex_trylock)(m);
}

WEFT__STANDIN int pthread_mutex_lock(pthread_mutex_t *m)
{
    int r = lock_tries(lock_try_mutex, m, EBUSY);
    return lock_got(r == EBUSY ? WEFT__NEXT(pthread_mutex_lock)(m) : r);
}

WEFT__STANDIN int pthread_mutex_trylock(pthread_mutex_t *m)
{
    return lock_got(WEFT__NEXT(pthread_mutex_trylock)(m));
}

WEFT__STANDIN int pthread_mutex_timedlock(pthread_mutex_t *restrict m, const struct timespec *restrict at)
{
    int r = lock_tries(lock_try_mutex, m, EBUSY);
    return lock_got(r == EBUSY ? WEFT__NEXT(pthread_mutex_timedlock)(m, at) : r);
}

WEFT__STANDIN int pthread_mutex_clocklock(pthread_mutex_t *restrict m, clockid_t clock, const struct timespec *restrict at)
{
    int r = lock_tries(lock_try_mutex, m, EBUSY);
    return lock_got(r == EBUSY ? WEFT__NEXT(pthread_mutex_clocklock)(m, clock, at) : r);
}

WEFT__STANDIN int pthread_mutex_unlock(pthread_mutex_t *m)
{
    return lock_given_back(WEFT__NEXT(pthread_mutex_unlock)(m));
}

/* ---- C11 ---- */

static int lock_try_mtx(void *m)
{
    return WEFT__NEXT(mtx_trylock)(m);
}

WEFT__STANDIN int mtx_lock(mtx_t *m)
{
    int r = lock_tries(lock_try_mtx, m, thrd_busy);
    return lock_got(r == thrd_busy ? WEFT__NEXT(mtx_lock)(m) : r);
}

WEFT__STANDIN int mtx_timedlock(mtx_t *restrict m, const struct timespec *restrict at)
{
    int r = lock_tries(lock_try_mtx, m, thrd_busy);
    return lock_got(r == thrd_busy ? WEFT__NEXT(mtx_timedlock)(m, at) : r);
}

WEFT__STANDIN int mtx_trylock(mtx_t *m)
{
    return lock_got(WEFT__NEXT(mtx_trylock)(m));
}

WEFT__STANDIN int mtx_unlock(mtx_t *m)
{
    return lock_given_back(WEFT__NEXT(mtx_unlock)(m));
}

/* ---- rwlocks ---- */

static int lock_try_read(void *l)
{
    return WEFT__NEXT(pthread_rwlock_tryrdlock)(l);
}

static int lock_try_write(void *l)
{
    return WEFT__NEXT(pthread_rwlock_trywrlock)(l);
}

WEFT__STANDIN int pthread_rwlock_rdlock(pthread_rwlock_t *l)
{
    int r = lock_tries(lock_try_read, l, EBUSY);
    return lock_got(r == EBUSY ? WEFT__NEXT(pthread_rwlock_rdlock)(l) : r);
}

WEFT__STANDIN int pthread_rwlock_tryrdlock(pthread_rwlock_t *l)
{
    return lock_got(WEFT__NEXT(pthread_rwlock_tryrdlock)(l));
}

WEFT__STANDIN int pthread_rwlock_timedrdlock(pthread_rwlock_t *restrict l, const struct timespec *restrict at)
{
    int r = lock_tries(lock_try_read, l, EBUSY);
    return lock_got(r == EBUSY ? WEFT__NEXT(pthread_rwlock_timedrdlock)(l, at) : r);
}

WEFT__STANDIN int pthread_rwlock_clockrdlock(pthread_rwlock_t *restrict l, clockid_t clock, const struct timespec *restrict at)
{
    int r = lock_tries(lock_try_read, l, EBUSY);
    return lock_got(r == EBUSY ? WEFT__NEXT(pthread_rwlock_clockrdlock)(l, clock, at) : r);
}

WEFT__STANDIN int pthread_rwlock_wrlock(pthread_rwlock_t *l)
{
    int r = lock_tries(lock_try_write, l, EBUSY);
    return lock_got(r == EBUSY ? WEFT__NEXT(pthread_rwlock_wrlock)(l) : r);
}

WEFT__STANDIN int pthread_rwlock_trywrlock(pthread_rwlock_t *l)
{
    return lock_got(WEFT__NEXT(pthread_rwlock_trywrlock)(l));
}

WEFT__STANDIN int pthread_rwlock_timedwrlock(pthread_rwlock_t *restrict l, const struct timespec *restrict at)
{
    int r = lock_tries(lock_try_write, l, EBUSY);
    return lock_got(r == EBUSY ? WEFT__NEXT(pthread_rwlock_timedwrlock)(l, at) : r);
}

WEFT__STANDIN int pthread_rwlock_clockwrlock(pthread_rwlock_t *restrict l, clockid_t clock, const struct timespec *restrict at)
{
    int r = lock_tries(lock_try_write, l, EBUSY);
    return lock_got(r == EBUSY ? WEFT__NEXT(pthread_rwlock_clockwrlock)(l, clock, at) : r);
}

WEFT__STANDIN int pthread_rwlock_unlock(pthread_rwlock_t *l)
{
    return lock_given_back(WEFT__NEXT(pthread_rwlock_unlock)(l));
}
