/*
 * test_posix_locks.c - libweft-posix: who holds a mutex, what happens when its holder parks or ends, and who is tied.
 */
#include <pthread.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include <weft/weft.h>
#include <weft_test.h>

#include "sched/keep.h"
#include "sched/sched.h"
#include "sys/sys.h"

static int tid(void)
{
    return (int)syscall(SYS_gettid);
}

static pthread_mutex_t lock;
static weft_chan(int) gate;
static _Atomic int inside, most;

static void lock_init(int type)
{
    pthread_mutexattr_t a;

    pthread_mutexattr_init(&a);
    pthread_mutexattr_settype(&a, type);
    pthread_mutex_init(&lock, &a);
    pthread_mutexattr_destroy(&a);
}

/* In the lock it parks, as a callback of a library may. */
static void park_inside(weft_waitgroup *wg)
{
    EXPECT_EQ(pthread_mutex_lock(&lock), 0);
    int t = tid(), in = atomic_fetch_add_explicit(&inside, 1, memory_order_relaxed) + 1;
    if (in > atomic_load_explicit(&most, memory_order_relaxed))
        atomic_store_explicit(&most, in, memory_order_relaxed);
    weft_sleep(200 * WEFT_US);
    weft_yield();
    (void)weft_recv(gate);
    EXPECT_EQ(tid(), t);
    atomic_fetch_sub_explicit(&inside, 1, memory_order_relaxed);
    EXPECT_EQ(pthread_mutex_unlock(&lock), 0);
    weft_waitgroup_done(wg);
}

static void open_gate(int n)
{
    for (int i = 0; i < n; i++)
        weft_send(gate, i);
}

static void park_inside_many(int type, int n)
{
    weft_waitgroup wg = {0};

    lock_init(type);
    gate = weft_make(int);
    atomic_store_explicit(&most, 0, memory_order_relaxed);
    weft_waitgroup_add(&wg, n + 1);
    for (int i = 0; i < n; i++)
        weft_go(park_inside, &wg);
    open_gate(n);
    weft_waitgroup_done(&wg);
    weft_waitgroup_wait(&wg);
    EXPECT_EQ(atomic_load_explicit(&most, memory_order_relaxed), 1);
    weft_free(gate);
    pthread_mutex_destroy(&lock);
}

/* The holder parks, the others wait for it, and there is one processor: a wait that kept it would last for ever. */
TEST_ENV(posix, a_parked_holder_of_a_mutex_is_waited_for_on_one_processor, "WEFT_PROCS=1")
{
    park_inside_many(PTHREAD_MUTEX_NORMAL, 20);
}

/* The thread is the owner of a recursive mutex: nobody else may run on it meanwhile. */
TEST_ENV(posix, a_recursive_mutex_excludes_goroutines_whose_holder_parks, "WEFT_PROCS=1")
{
    park_inside_many(PTHREAD_MUTEX_RECURSIVE, 20);
}

TEST_ENV(posix, an_error_checking_mutex_knows_its_goroutine, "WEFT_PROCS=2")
{
    park_inside_many(PTHREAD_MUTEX_ERRORCHECK, 20);
    lock_init(PTHREAD_MUTEX_ERRORCHECK);
    EXPECT_EQ(pthread_mutex_lock(&lock), 0);
    EXPECT_EQ(pthread_mutex_lock(&lock), EDEADLK);
    EXPECT_EQ(pthread_mutex_unlock(&lock), 0);
    if (!WEFT__TSAN) /* which reports it */
        EXPECT_EQ(pthread_mutex_unlock(&lock), EPERM);
    pthread_mutex_destroy(&lock);
}

TEST_ENV(posix, a_free_mutex_keeps_the_processor, "WEFT_PROCS=1")
{
    weft_yield();
    lock_init(PTHREAD_MUTEX_RECURSIVE);
    EXPECT_EQ(pthread_mutex_lock(&lock), 0);
    EXPECT_EQ(pthread_mutex_trylock(&lock), 0);
    EXPECT(weft__keep_holds());
    EXPECT(weft__g()->tied);
    EXPECT_EQ(pthread_mutex_unlock(&lock), 0);
    EXPECT(weft__g()->tied);
    EXPECT_EQ(pthread_mutex_unlock(&lock), 0);
    EXPECT(!weft__g()->tied);
    EXPECT(weft__keep_holds());
    pthread_mutex_destroy(&lock);
}

TEST_ENV(posix, a_lock_and_lock_thread_both_tie, "WEFT_PROCS=2")
{
    lock_init(PTHREAD_MUTEX_NORMAL);
    weft_yield();
    pthread_mutex_lock(&lock);
    weft_lock_thread();
    int t = tid();
    pthread_mutex_unlock(&lock);
    EXPECT(weft__g()->tied);
    weft_sleep(WEFT_MS);
    EXPECT_EQ(tid(), t);
    pthread_mutex_lock(&lock);
    weft_unlock_thread();
    EXPECT(weft__g()->tied);
    weft_sleep(WEFT_MS);
    EXPECT_EQ(tid(), t);
    pthread_mutex_unlock(&lock);
    EXPECT(!weft__g()->tied);
    weft_yield();
    pthread_mutex_destroy(&lock);
}

static void count_locked(int n, long *sum, weft_waitgroup *wg)
{
    for (int i = 0; i < n; i++) {
        pthread_mutex_lock(&lock);
        long was = *(volatile long *)sum;
        if (i % 64 == 0)
            weft_yield();
        *(volatile long *)sum = was + 1;
        pthread_mutex_unlock(&lock);
    }
    weft_waitgroup_done(wg);
}

struct counter {
    long *sum;
    int n;
};

static void *count_plain(void *arg)
{
    struct counter *c = arg;

    for (int i = 0; i < c->n; i++) {
        pthread_mutex_lock(&lock);
        ++*(volatile long *)c->sum;
        pthread_mutex_unlock(&lock);
    }
    return NULL;
}

TEST_ENV(posix, a_mutex_excludes_goroutines_and_threads, "WEFT_PROCS=2")
{
    weft_waitgroup wg = {0};
    long sum = 0;
    struct counter c = {&sum, 2000};
    pthread_t t;

    lock_init(PTHREAD_MUTEX_NORMAL);
    weft_waitgroup_add(&wg, 10);
    for (int i = 0; i < 10; i++)
        weft_go(count_locked, 500, &sum, &wg);
    REQUIRE(pthread_create(&t, NULL, count_plain, &c) == 0);
    weft_waitgroup_wait(&wg);
    pthread_join(t, NULL);
    EXPECT_EQ(sum, 7000);
    pthread_mutex_destroy(&lock);
}

/* Its thread sleeps, and it counts as asleep like any other. */
DEATH(posix, a_parked_holder_is_part_of_a_deadlock, 2, "all goroutines are asleep - deadlock!")
{
    weft_chan(int) never = weft_make(int);

    weft_yield();
    lock_init(PTHREAD_MUTEX_NORMAL);
    pthread_mutex_lock(&lock);
    (void)weft_recv(never);
}

static void end_locked(void)
{
    pthread_mutex_lock(&lock);
}

static void is_free(weft_waitgroup *wg)
{
    EXPECT(!weft__g()->tied);
    weft_yield();
    weft_waitgroup_done(wg);
}

TEST_ENV(posix, a_goroutine_that_ends_with_a_lock_leaves_no_other_tied, "WEFT_PROCS=1")
{
    weft_waitgroup wg = {0};

    weft_yield();
    lock_init(PTHREAD_MUTEX_NORMAL);
    weft_waitgroup_go(&wg, end_locked);
    weft_waitgroup_wait(&wg);
    weft_waitgroup_add(&wg, 20);
    for (int i = 0; i < 20; i++)
        weft_go(is_free, &wg);
    weft_waitgroup_wait(&wg);
    EXPECT_EQ(pthread_mutex_trylock(&lock), EBUSY);
    EXPECT(!weft__g()->tied);
}
