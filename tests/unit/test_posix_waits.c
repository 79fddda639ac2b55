/*
 * test_posix_waits.c - libweft-posix: each kind of lock, condition, semaphore, join and barrier hands the processor on.
 */
#include <pthread.h>
#include <semaphore.h>
#include <sys/wait.h>
#include <threads.h>
#include <time.h>
#include <unistd.h>
#include <weft/weft.h>
#include <weft_test.h>

#include "sched/keep.h"
#include "sched/sched.h"
#include "sys/sys.h"

static pthread_rwlock_t rw;
static pthread_cond_t cond;
static pthread_mutex_t plain = PTHREAD_MUTEX_INITIALIZER;
static sem_t sem;
static mtx_t mtx;
static cnd_t cnd;
static _Atomic int turn;
static struct timespec soon, late;

static void times(void)
{
    clock_gettime(CLOCK_REALTIME, &soon);
    late = soon;
    late.tv_sec += 3600;
    soon.tv_nsec += 2000000;
    if (soon.tv_nsec >= 1000000000)
        soon.tv_sec++, soon.tv_nsec -= 1000000000;
}

/* Takes a lock, lets the other goroutine run into it, gives it back. There is one processor: the yield ends when the other
 * hands it on, however long the first call of a function takes (an emulator translates it then). */
#define HOLDER(name, take, give)                                                        \
    static void name(void)                                                              \
    {                                                                                   \
        EXPECT_EQ(take, 0);                                                             \
        atomic_store_explicit(&turn, 1, memory_order_relaxed);                          \
        weft_yield();                                                                   \
        weft_sleep((WEFT__TSAN ? 40 : 2) * WEFT_MS); /* that tool's are slow */         \
        EXPECT_EQ(give, 0);                                                             \
    }
HOLDER(hold_mutex, pthread_mutex_lock(&plain), pthread_mutex_unlock(&plain))
HOLDER(hold_rw, pthread_rwlock_wrlock(&rw), pthread_rwlock_unlock(&rw))
HOLDER(hold_mtx, mtx_lock(&mtx), mtx_unlock(&mtx))

#define EXPECT_WAITS(holder, op)                                                        \
    do {                                                                                \
        atomic_store_explicit(&turn, 0, memory_order_relaxed);                          \
        weft_waitgroup others = {0};                                                    \
        weft_waitgroup_go(&others, holder);                                             \
        while (atomic_load_explicit(&turn, memory_order_relaxed) == 0)                  \
            weft_yield();                                                               \
        EXPECT_EQ(op, 0);                                                               \
        EXPECT(!weft__keep_holds());                                                    \
        weft_waitgroup_wait(&others);                                                   \
    } while (0)

TEST_ENV(posix, every_kind_of_lock_is_waited_for, "WEFT_PROCS=1")
{
    times();
    EXPECT_WAITS(hold_mutex, pthread_mutex_lock(&plain));
    pthread_mutex_unlock(&plain);
    EXPECT_WAITS(hold_mutex, pthread_mutex_timedlock(&plain, &late));
    pthread_mutex_unlock(&plain);
    if (!WEFT__TSAN) { /* gcc 12's does not know these: it would report the unlock */
        EXPECT_WAITS(hold_mutex, pthread_mutex_clocklock(&plain, CLOCK_REALTIME, &late));
        pthread_mutex_unlock(&plain);
    }
    pthread_rwlock_init(&rw, NULL);
    EXPECT_WAITS(hold_rw, pthread_rwlock_rdlock(&rw));
    pthread_rwlock_unlock(&rw);
    EXPECT_WAITS(hold_rw, pthread_rwlock_wrlock(&rw));
    pthread_rwlock_unlock(&rw);
    EXPECT_WAITS(hold_rw, pthread_rwlock_timedrdlock(&rw, &late));
    pthread_rwlock_unlock(&rw);
    EXPECT_WAITS(hold_rw, pthread_rwlock_timedwrlock(&rw, &late));
    pthread_rwlock_unlock(&rw);
    if (!WEFT__TSAN) {
        EXPECT_WAITS(hold_rw, pthread_rwlock_clockrdlock(&rw, CLOCK_REALTIME, &late));
        pthread_rwlock_unlock(&rw);
        EXPECT_WAITS(hold_rw, pthread_rwlock_clockwrlock(&rw, CLOCK_REALTIME, &late));
        pthread_rwlock_unlock(&rw);
    }
    pthread_rwlock_destroy(&rw);
    mtx_init(&mtx, mtx_timed);
    EXPECT_WAITS(hold_mtx, mtx_lock(&mtx));
    mtx_unlock(&mtx);
    EXPECT_WAITS(hold_mtx, mtx_timedlock(&mtx, &late));
    mtx_unlock(&mtx);
    mtx_destroy(&mtx);
    EXPECT(!weft__g()->tied);
}

static void give_up(weft_waitgroup *wg)
{
    struct timespec past = {1, 0};

    EXPECT_EQ(pthread_mutex_trylock(&plain), EBUSY);
    EXPECT_EQ(pthread_mutex_timedlock(&plain, &past), ETIMEDOUT);
    EXPECT_EQ(pthread_mutex_clocklock(&plain, CLOCK_MONOTONIC, &past), ETIMEDOUT);
    EXPECT_EQ(pthread_rwlock_tryrdlock(&rw), EBUSY);
    EXPECT_EQ(pthread_rwlock_trywrlock(&rw), EBUSY);
    EXPECT_EQ(pthread_rwlock_timedrdlock(&rw, &past), ETIMEDOUT);
    EXPECT_EQ(pthread_rwlock_timedwrlock(&rw, &past), ETIMEDOUT);
    EXPECT_EQ(mtx_trylock(&mtx), thrd_busy);
    EXPECT_EQ(mtx_timedlock(&mtx, &past), thrd_timedout);
    EXPECT_EQ(sem_timedwait(&sem, &past), -1);
    EXPECT_EQ(errno, ETIMEDOUT);
    EXPECT(!weft__g()->tied);
    weft_waitgroup_done(wg);
}

TEST_ENV(posix, a_lock_that_was_not_taken_ties_nobody, "WEFT_PROCS=2")
{
    weft_waitgroup wg = {0};

    weft_yield();
    pthread_rwlock_init(&rw, NULL);
    mtx_init(&mtx, mtx_timed);
    sem_init(&sem, 0, 0);
    pthread_mutex_lock(&plain);
    pthread_rwlock_wrlock(&rw);
    mtx_lock(&mtx);
    weft_waitgroup_add(&wg, 1);
    weft_go(give_up, &wg);
    weft_waitgroup_wait(&wg);
    pthread_mutex_unlock(&plain);
    pthread_rwlock_unlock(&rw);
    mtx_unlock(&mtx);
    EXPECT(!weft__g()->tied);
    sem_destroy(&sem);
}

static void wake_all_ways(int what)
{
    pthread_mutex_lock(&plain);
    atomic_store_explicit(&turn, 1, memory_order_relaxed);
    pthread_cond_broadcast(&cond);
    pthread_mutex_unlock(&plain);
    mtx_lock(&mtx);
    cnd_broadcast(&cnd);
    mtx_unlock(&mtx);
    if (what == 5)
        sem_post(&sem);
}

TEST_ENV(posix, conditions_and_semaphores_hand_the_processor_on, "WEFT_PROCS=1")
{
    times();
    pthread_cond_init(&cond, NULL);
    mtx_init(&mtx, mtx_plain);
    cnd_init(&cnd);
    sem_init(&sem, 0, 0);
    for (int what = 0; what < 8; what++) {
        atomic_store_explicit(&turn, 0, memory_order_relaxed);
        weft_yield();
        EXPECT(weft__keep_holds());
        if (what < 3)
            pthread_mutex_lock(&plain);
        else if (what < 5)
            mtx_lock(&mtx);
        weft_waitgroup others = {0};
        weft_waitgroup_go(&others, wake_all_ways, what);
        do {
            switch (what) {
            case 0: EXPECT_EQ(pthread_cond_wait(&cond, &plain), 0); break;
            case 1: EXPECT_EQ(pthread_cond_timedwait(&cond, &plain, &late), 0); break;
            case 2: EXPECT_EQ(pthread_cond_clockwait(&cond, &plain, CLOCK_REALTIME, &late), 0); break;
            case 3: EXPECT_EQ(cnd_wait(&cnd, &mtx), 0); break;
            case 4: EXPECT_EQ(cnd_timedwait(&cnd, &mtx, &late), 0); break;
            case 5: EXPECT_EQ(sem_wait(&sem), 0); break;
            case 6: EXPECT_EQ(sem_timedwait(&sem, &soon), -1); break;
            case 7: EXPECT_EQ(sem_clockwait(&sem, CLOCK_REALTIME, &soon), -1); break;
            }
        } while (what < 5 && atomic_load_explicit(&turn, memory_order_relaxed) == 0);
        EXPECT(!weft__keep_holds());
        if (what < 3)
            pthread_mutex_unlock(&plain);
        else if (what < 5)
            mtx_unlock(&mtx);
        weft_waitgroup_wait(&others);
    }
    sem_post(&sem);
    weft_yield();
    EXPECT_EQ(sem_wait(&sem), 0);
    EXPECT(weft__keep_holds());
    sem_destroy(&sem);
}

static void *nap(void *arg)
{
    usleep(3000);
    return arg;
}

static int nap_c11(void *arg)
{
    usleep(3000);
    return *(int *)arg;
}

TEST_ENV(posix, joining_a_thread_hands_the_processor_on, "WEFT_PROCS=1")
{
    pthread_t t;
    thrd_t c;
    void *result;
    int seven = 7, got = 0;

    weft_yield();
    REQUIRE(pthread_create(&t, NULL, nap, &seven) == 0);
    EXPECT_EQ(pthread_join(t, &result), 0);
    EXPECT(!weft__keep_holds());
    EXPECT(result == &seven);
    if (WEFT__TSAN) /* it does not know of C11's threads */
        return;
    weft_yield();
    REQUIRE(thrd_create(&c, nap_c11, &seven) == thrd_success);
    EXPECT_EQ(thrd_join(c, &got), thrd_success);
    EXPECT(!weft__keep_holds());
    EXPECT_EQ(got, 7);
}

static void meet(pthread_barrier_t *b, weft_waitgroup *wg)
{
    int r = pthread_barrier_wait(b);
    EXPECT(r == 0 || r == PTHREAD_BARRIER_SERIAL_THREAD);
    weft_waitgroup_done(wg);
}

TEST_ENV(posix, goroutines_meet_at_a_barrier_on_one_processor, "WEFT_PROCS=1")
{
    pthread_barrier_t b;
    weft_waitgroup wg = {0};

    pthread_barrier_init(&b, NULL, 10);
    weft_waitgroup_add(&wg, 10);
    for (int i = 0; i < 10; i++)
        weft_go(meet, &b, &wg);
    weft_waitgroup_wait(&wg);
    pthread_barrier_destroy(&b);
}
