/*
 * test_conf_mutex.c - mutex and rwmutex, as Go's tests hold them. What comes from where: LIST.md.
 *
 * Source  Go: src/sync/mutex_test.go, src/sync/rwmutex_test.go.
 */
#include "conf.h"

static long inside;    /* plain: the lock under test is what keeps it right */

static void hammer_mutex(weft_mutex *m, int loops)
{
    for (int i = 0; i < loops; i++) {
        if (i % 3 == 0) {
            if (!weft_mutex_try_lock(m))
                continue;
        } else {
            weft_mutex_lock(m);
        }
        EXPECT_EQ(inside, 0);
        inside++;
        if (i % 64 == 0)
            weft_yield();
        inside--;
        weft_mutex_unlock(m);
    }
}

/* Go: TestMutex */
TEST(conf_mutex, lock_and_try_lock_let_one_in)
{
    weft_mutex m = {0};
    weft_waitgroup wg = {0};
    weft_mutex_lock(&m);
    EXPECT(!weft_mutex_try_lock(&m));
    weft_mutex_unlock(&m);
    REQUIRE(weft_mutex_try_lock(&m));
    weft_mutex_unlock(&m);
    for (int i = 0; i < 10; i++)
        weft_waitgroup_go(&wg, hammer_mutex, &m, 1000);
    weft_waitgroup_wait(&wg);
    EXPECT(weft_mutex_try_lock(&m));
}

static void hammer_sem(weft_sem *s, int loops)
{
    for (int i = 0; i < loops; i++) {
        EXPECT_EQ(weft_sem_acquire(NULL, s, 1), 0);
        EXPECT_EQ(inside, 0);
        inside++;
        if (i % 64 == 0)
            weft_yield();
        inside--;
        weft_sem_release(s, 1);
    }
}

/* Go: TestSemaphore, whose semaphore is the runtime's own; ours is weft_sem */
TEST(conf_mutex, a_semaphore_of_one_is_a_mutex)
{
    weft_sem s;
    weft_waitgroup wg = {0};
    weft_sem_init(&s, 1);
    for (int i = 0; i < 10; i++)
        weft_waitgroup_go(&wg, hammer_sem, &s, 1000);
    weft_waitgroup_wait(&wg);
}

static atomic_int stop;

/* Holds m nearly all the time. */
static void hog(weft_mutex *m)
{
    while (!atomic_load(&stop)) {
        weft_mutex_lock(m);
        weft_sleep(100 * WEFT_US);
        weft_mutex_unlock(m);
    }
}

/* Go: TestMutexFairness. Starved, it would not end. */
TEST(conf_mutex, one_that_comes_late_gets_it_from_a_hog)
{
    weft_mutex m = {0};
    weft_waitgroup wg = {0};
    weft_waitgroup_go(&wg, hog, &m);
    for (int i = 0; i < 10; i++) {
        weft_sleep(100 * WEFT_US);
        weft_mutex_lock(&m);
        weft_mutex_unlock(&m);
    }
    atomic_store(&stop, 1);
    weft_waitgroup_wait(&wg);
}

/* Go: TestMutexMisuse. A misuse ends the process though a try is around it. api.md gives the words in small letters. */
#define FATAL_MUTEX "^fatal error: sync: unlock of unlocked mutex\n"
#define FATAL_UNLOCK "^fatal error: sync: unlock of unlocked RWMutex\n"
#define FATAL_RUNLOCK "^fatal error: sync: runlock of unlocked RWMutex\n"
#define CONF_MISUSE(suite, name, re, type, ...) \
    static void misuse_##name(type *m)          \
    {                                           \
        __VA_ARGS__                             \
    }                                           \
    DEATH(suite, name, 2, re)                   \
    {                                           \
        type m = {0};                           \
        (void)weft_try(misuse_##name, &m);      \
    }
CONF_MISUSE(conf_mutex, unlock_of_a_fresh_mutex, FATAL_MUTEX, weft_mutex, weft_mutex_unlock(m);)
CONF_MISUSE(conf_mutex, unlock_of_a_mutex_twice, FATAL_MUTEX, weft_mutex,
            weft_mutex_lock(m); weft_mutex_unlock(m); weft_mutex_unlock(m);)
CONF_MISUSE(conf_mutex, unlock_of_a_fresh_rwmutex, FATAL_UNLOCK, weft_rwmutex, weft_rwmutex_unlock(m);)
CONF_MISUSE(conf_mutex, unlock_of_an_rwmutex_locked_for_reading, FATAL_UNLOCK, weft_rwmutex,
            weft_rwmutex_rlock(m); weft_rwmutex_unlock(m);)
CONF_MISUSE(conf_mutex, unlock_of_an_rwmutex_twice, FATAL_UNLOCK, weft_rwmutex,
            weft_rwmutex_lock(m); weft_rwmutex_unlock(m); weft_rwmutex_unlock(m);)
CONF_MISUSE(conf_mutex, runlock_of_a_fresh_rwmutex, FATAL_RUNLOCK, weft_rwmutex, weft_rwmutex_runlock(m);)
CONF_MISUSE(conf_mutex, runlock_of_an_rwmutex_locked_for_writing, FATAL_RUNLOCK, weft_rwmutex,
            weft_rwmutex_lock(m); weft_rwmutex_runlock(m);)
CONF_MISUSE(conf_mutex, runlock_of_an_rwmutex_twice, FATAL_RUNLOCK, weft_rwmutex,
            weft_rwmutex_rlock(m); weft_rwmutex_runlock(m); weft_rwmutex_runlock(m);)

/* ---- rwmutex ---- */

static void parallel_reader(weft_rwmutex *rw, weft_sender(bool) locked, weft_receiver(bool) unlock)
{
    weft_rwmutex_rlock(rw);
    weft_send(locked, true);
    (void)weft_recv(unlock);
    weft_rwmutex_runlock(rw);
}

static void parallel_readers(int readers, int procs)
{
    weft_rwmutex rw = {0};
    weft_waitgroup wg = {0};
    weft_chan(bool) locked = weft_make(bool), unlock = weft_make(bool);
    weft_procs(procs);
    for (int i = 0; i < readers; i++)
        weft_waitgroup_go(&wg, parallel_reader, &rw, locked, unlock);
    for (int i = 0; i < readers; i++)
        (void)weft_recv(locked);
    for (int i = 0; i < readers; i++)
        weft_send(unlock, true);
    weft_waitgroup_wait(&wg);
    weft_free(locked);
    weft_free(unlock);
}

/* Go: TestParallelReaders */
TEST(conf_mutex, readers_are_inside_at_one_time)
{
    parallel_readers(1, 4);
    parallel_readers(3, 4);
    parallel_readers(4, 2);
}

/* Go: TestRWMutex, its beginning */
TEST(conf_mutex, try_forms_of_an_rwmutex_tell_who_may_enter)
{
    weft_rwmutex rw = {0};
    weft_rwmutex_lock(&rw);
    EXPECT(!weft_rwmutex_try_lock(&rw));
    EXPECT(!weft_rwmutex_try_rlock(&rw));
    weft_rwmutex_unlock(&rw);
    REQUIRE(weft_rwmutex_try_lock(&rw));
    weft_rwmutex_unlock(&rw);
    REQUIRE(weft_rwmutex_try_rlock(&rw));
    REQUIRE(weft_rwmutex_try_rlock(&rw));
    EXPECT(!weft_rwmutex_try_lock(&rw));
    weft_rwmutex_runlock(&rw);
    EXPECT(!weft_rwmutex_try_lock(&rw));
    weft_rwmutex_runlock(&rw);
    EXPECT(weft_rwmutex_try_lock(&rw));
}

static atomic_int activity;    /* readers inside, and 10,000 for each writer */

static void reader(weft_rwmutex *rw, int loops)
{
    for (int i = 0; i < loops; i++) {
        weft_rwmutex_rlock(rw);
        int n = atomic_fetch_add(&activity, 1) + 1;
        EXPECT(n >= 1 && n < 10000);
        for (volatile int k = 0; k < 100; k++)
            ;
        atomic_fetch_sub(&activity, 1);
        weft_rwmutex_runlock(rw);
    }
}

static void writer(weft_rwmutex *rw, int loops)
{
    for (int i = 0; i < loops; i++) {
        weft_rwmutex_lock(rw);
        EXPECT_EQ(atomic_fetch_add(&activity, 10000), 0);
        for (volatile int k = 0; k < 100; k++)
            ;
        atomic_fetch_sub(&activity, 10000);
        weft_rwmutex_unlock(rw);
    }
}

static void hammer_rwmutex(int procs, int readers, int loops)
{
    weft_rwmutex rw = {0};
    weft_waitgroup wg = {0};
    int i = 0;
    weft_procs(procs);
    weft_waitgroup_go(&wg, writer, &rw, loops);
    for (; i < readers / 2; i++)
        weft_waitgroup_go(&wg, reader, &rw, loops);
    weft_waitgroup_go(&wg, writer, &rw, loops);
    for (; i < readers; i++)
        weft_waitgroup_go(&wg, reader, &rw, loops);
    weft_waitgroup_wait(&wg);
    EXPECT_EQ(atomic_load(&activity), 0);
}

/* Go: TestRWMutex, HammerRWMutex */
TEST(conf_mutex, readers_and_writers_keep_apart)
{
    static const int readers[] = {1, 3, 10, 5};
    for (int procs = 1; procs <= 10; procs += procs == 1 ? 3 : 6)
        for (int i = 0; i < 4; i++)
            hammer_rwmutex(procs, readers[i], 300);
}

static void two_reads_and_a_write(weft_rwmutex *rw, int n, weft_sender(bool) rlocked, weft_sender(bool) wlocked)
{
    for (int i = 0; i < n; i++) {
        weft_rwmutex_rlock(rw);
        weft_rwmutex_rlock(rw);
        weft_send(rlocked, true);
        weft_rwmutex_lock(rw);
        weft_send(wlocked, true);
    }
}

/* Go: TestRLocker: others may release; the writer waits for both readers, the readers for the writer */
TEST(conf_mutex, a_writer_waits_for_each_read_lock_and_readers_for_the_writer)
{
    weft_rwmutex rw = {0};
    weft_waitgroup wg = {0};
    weft_chan(bool) rlocked = weft_make(bool, 1), wlocked = weft_make(bool, 1);
    weft_waitgroup_go(&wg, two_reads_and_a_write, &rw, 10, rlocked, wlocked);
    for (int i = 0; i < 10; i++) {
        (void)weft_recv(rlocked);
        weft_rwmutex_runlock(&rw);
        conf_settle();
        EXPECT_EQ(weft_try_recv(wlocked, NULL), 0);
        weft_rwmutex_runlock(&rw);
        (void)weft_recv(wlocked);
        conf_settle();
        EXPECT_EQ(weft_try_recv(rlocked, NULL), 0);
        weft_rwmutex_unlock(&rw);
    }
    weft_waitgroup_wait(&wg);
    weft_free(rlocked);
    weft_free(wlocked);
}
