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

/* ---- what takes and gives back locks of a type: waiting, until an instant, at once ---- */

#define LOCK_TAKE(name, type, try, busy)                              \
    WEFT__STANDIN int name(type *l)                                   \
    {                                                                 \
        int r = lock_tries(try, l, busy);                             \
        return lock_got(r == (busy) ? WEFT__NEXT(name)(l) : r);       \
    }
#define LOCK_TAKE_UNTIL(name, type, try, busy)                        \
    WEFT__STANDIN int name(type *restrict l, const struct timespec *restrict at) \
    {                                                                 \
        int r = lock_tries(try, l, busy);                             \
        return lock_got(r == (busy) ? WEFT__NEXT(name)(l, at) : r);   \
    }
#define LOCK_TAKE_BY_CLOCK(name, type, try, busy)                     \
    WEFT__STANDIN int name(type *restrict l, clockid_t clock, const struct timespec *restrict at) \
    {                                                                 \
        int r = lock_tries(try, l, busy);                             \
        return lock_got(r == (busy) ? WEFT__NEXT(name)(l, clock, at) : r); \
    }
#define LOCK_TRY(name, type)                                          \
    WEFT__STANDIN int name(type *l)                                   \
    {                                                                 \
        return lock_got(WEFT__NEXT(name)(l));                         \
    }
#define LOCK_GIVE(name, type)                                         \
    WEFT__STANDIN int name(type *l)                                   \
    {                                                                 \
        return lock_given_back(WEFT__NEXT(name)(l));                  \
    }

static int lock_try_mutex(void *m)
{
    return WEFT__NEXT(pthread_mutex_trylock)(m);
}

LOCK_TAKE(pthread_mutex_lock, pthread_mutex_t, lock_try_mutex, EBUSY)
LOCK_TAKE_UNTIL(pthread_mutex_timedlock, pthread_mutex_t, lock_try_mutex, EBUSY)
LOCK_TAKE_BY_CLOCK(pthread_mutex_clocklock, pthread_mutex_t, lock_try_mutex, EBUSY)
LOCK_TRY(pthread_mutex_trylock, pthread_mutex_t)
LOCK_GIVE(pthread_mutex_unlock, pthread_mutex_t)

static int lock_try_mtx(void *m)
{
    return WEFT__NEXT(mtx_trylock)(m);
}

LOCK_TAKE(mtx_lock, mtx_t, lock_try_mtx, thrd_busy)
LOCK_TAKE_UNTIL(mtx_timedlock, mtx_t, lock_try_mtx, thrd_busy)
LOCK_TRY(mtx_trylock, mtx_t)
LOCK_GIVE(mtx_unlock, mtx_t)

static int lock_try_read(void *l)
{
    return WEFT__NEXT(pthread_rwlock_tryrdlock)(l);
}

static int lock_try_write(void *l)
{
    return WEFT__NEXT(pthread_rwlock_trywrlock)(l);
}

LOCK_TAKE(pthread_rwlock_rdlock, pthread_rwlock_t, lock_try_read, EBUSY)
LOCK_TAKE_UNTIL(pthread_rwlock_timedrdlock, pthread_rwlock_t, lock_try_read, EBUSY)
LOCK_TAKE_BY_CLOCK(pthread_rwlock_clockrdlock, pthread_rwlock_t, lock_try_read, EBUSY)
LOCK_TRY(pthread_rwlock_tryrdlock, pthread_rwlock_t)
LOCK_TAKE(pthread_rwlock_wrlock, pthread_rwlock_t, lock_try_write, EBUSY)
LOCK_TAKE_UNTIL(pthread_rwlock_timedwrlock, pthread_rwlock_t, lock_try_write, EBUSY)
LOCK_TAKE_BY_CLOCK(pthread_rwlock_clockwrlock, pthread_rwlock_t, lock_try_write, EBUSY)
LOCK_TRY(pthread_rwlock_trywrlock, pthread_rwlock_t)
LOCK_GIVE(pthread_rwlock_unlock, pthread_rwlock_t)
