/*
 * test_death_debug.c - what a debug build finds: locks held across a park, and what is left at exit.
 *
 * Near    src/diag/check.c, track.c, leak.c; docs/design/tools.md. Freed channels: tests/unit/test_chan.c. In a build without
 *         WEFT_DEBUG only what works in every build is here.
 */
#include <pthread.h>
#include <threads.h>
#include <weft/weft.h>

#include "sched/sched.h"
#include "settle.h"
#include "weft_test.h"

/* Ends the process as an ordinary program does: by exit, so that the report at exit is made. */
#define DEATH_LEAKS(name, env, re) WEFT_TEST_REG(death_debug, name, 0, 0, re, env)

static void idle_for_ever(weft_receiver(int) never)
{
    weft_recv(never);
}

DEATH_LEAKS(leaked_goroutines_are_listed_with_their_go_statement, "WEFT_LEAKS=1",
            "goroutine [0-9]+ \\[chan receive\\]: idle_for_ever, created by [a-z_]+ at [^ ]*test_death_debug\\.c:[0-9]+\n")
{
    weft_chan(int) never = weft_make(int);
    weft_go(idle_for_ever, never);
    test_settle();
}

static void hardly_runs(int x)
{
    for (volatile int on = x >= 0; on;)
        ;
}

/* The one processor is this test's until it exits; where the system takes the CPU from it, few of the others get their turn. */
DEATH_LEAKS(goroutines_that_have_not_run_are_listed, "WEFT_LEAKS=1",
            "goroutine [0-9]+ \\[runnable\\]: hardly_runs, created by [a-z_]+ at [^ ]*test_death_debug\\.c:[0-9]+\n")
{
    if (WEFT_TEST_TSAN)
        weft_test_skip("ThreadSanitizer is so slow that hundreds get to run, each on a thread of its own, and keep the report from ending");
    weft_procs(1);
    for (int i = 0; i < 2000; i++)
        weft_go(hardly_runs, i);
    exit(0);
}

/* ---- the program's own locks ---- */

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_rwlock_t rwlock = PTHREAD_RWLOCK_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static pthread_spinlock_t spin;

static void lock_twice_over_yield(void)
{
    pthread_mutex_t m = PTHREAD_MUTEX_INITIALIZER;

    for (int i = 0; i < 100; i++) {
        pthread_mutex_lock(&m);
        pthread_mutex_unlock(&m);
        weft_yield();
    }
    REQUIRE(pthread_mutex_trylock(&mutex) == 0);
    pthread_mutex_unlock(&mutex);
    pthread_mutex_destroy(&m);
    weft_lock_thread(); /* keeps its thread: it may */
    pthread_mutex_lock(&mutex);
    weft_sleep(WEFT_MS);
    pthread_mutex_unlock(&mutex);
    weft_unlock_thread();
}

TEST(held_mutex, is_no_mistake_between_parks_nor_on_a_locked_thread)
{
    for (int i = 0; i < 3; i++) {
        weft_waitgroup wg = {0};
        weft_waitgroup_go(&wg, lock_twice_over_yield);
        weft_waitgroup_wait(&wg);
    }
}

/* Each way to take one, and to give it back, between parks. */
static void lock_all_ways_over_yield(void)
{
    const struct timespec soon = {(time_t)1 << 32, 0};
    mtx_t c11;

    REQUIRE(mtx_init(&c11, mtx_timed) == thrd_success);
    for (int i = 0; i < 20; i++) {
        EXPECT(pthread_rwlock_rdlock(&rwlock) == 0 && pthread_rwlock_tryrdlock(&rwlock) == 0);
        EXPECT(pthread_rwlock_timedrdlock(&rwlock, &soon) == 0);
        EXPECT(pthread_rwlock_unlock(&rwlock) == 0 && pthread_rwlock_unlock(&rwlock) == 0 && pthread_rwlock_unlock(&rwlock) == 0);
        weft_yield();
        EXPECT(pthread_rwlock_wrlock(&rwlock) == 0 && pthread_rwlock_trywrlock(&rwlock) != 0);
        EXPECT(pthread_rwlock_unlock(&rwlock) == 0);
        EXPECT(pthread_rwlock_timedwrlock(&rwlock, &soon) == 0 && pthread_rwlock_unlock(&rwlock) == 0);
        weft_yield();
        EXPECT(pthread_spin_lock(&spin) == 0 && pthread_spin_unlock(&spin) == 0);
        EXPECT(mtx_lock(&c11) == thrd_success && mtx_trylock(&c11) != thrd_success && mtx_unlock(&c11) == thrd_success);
        EXPECT(mtx_timedlock(&c11, &soon) == thrd_success && mtx_unlock(&c11) == thrd_success);
        weft_yield();
        EXPECT(pthread_mutex_timedlock(&mutex, &soon) == 0);
        EXPECT(pthread_cond_timedwait(&changed, &mutex, &(struct timespec){0, 0}) != 0 && pthread_mutex_unlock(&mutex) == 0);
        weft_yield();
    }
    mtx_destroy(&c11);
    weft_lock_thread(); /* keeps its thread: it may */
    pthread_rwlock_rdlock(&rwlock);
    weft_sleep(WEFT_MS);
    pthread_rwlock_unlock(&rwlock);
    weft_unlock_thread();
}

TEST(held_mutex, nor_is_another_lock)
{
    weft_waitgroup wg = {0};
    pthread_spin_init(&spin, PTHREAD_PROCESS_PRIVATE);
    for (int i = 0; i < 3; i++)
        weft_waitgroup_go(&wg, lock_all_ways_over_yield);
    weft_waitgroup_wait(&wg);
}

static void *hold_on_a_thread(void *arg)
{
    weft_yield();
    pthread_mutex_lock(&mutex);
    weft_sleep(WEFT_MS);
    pthread_mutex_unlock(&mutex);
    return arg;
}

TEST(held_mutex, is_no_mistake_on_a_thread_of_the_program)
{
    pthread_t t;
    REQUIRE(pthread_create(&t, NULL, hold_on_a_thread, NULL) == 0);
    for (int i = 0; i < 20; i++)
        weft_sleep(WEFT_MS / 4);
    pthread_join(t, NULL);
}

#if WEFT_DEBUG

#if !WEFT__TSAN
static void receive_with_mutex(weft_receiver(int) ch)
{
    pthread_mutex_lock(&mutex);
    weft_recv(ch);
    pthread_mutex_unlock(&mutex);
}

DEATH(death_debug, a_park_that_takes_a_pthread_mutex_along, 2,
      "^fatal error: a pthread mutex is held at a park: the goroutine may wake on another thread\n"
      "\tmutex 0x[0-9a-f]+, locked in receive_with_mutex( at .*test_death_debug\\.c:[0-9]+)?\n(.*\n)*"
      "goroutine [0-9]+ \\[(running|chan receive)\\]:\n(.*\n)*receive_with_mutex\\(")
{
    weft_chan(int) ch = weft_make(int);
    weft_go(receive_with_mutex, ch);
    weft_sleep(60 * WEFT_MIN);
}

static void yield_with_mutex(void)
{
    REQUIRE(pthread_mutex_trylock(&mutex) == 0);
    weft_yield();
}

DEATH(death_debug, a_yield_that_takes_a_pthread_mutex_along, 2, "^fatal error: a pthread mutex is held at a park")
{
    weft_go(yield_with_mutex);
    weft_sleep(60 * WEFT_MIN);
}

#define HELD_AT(kind, word, how, where) \
    "^fatal error: a " kind " is held at a park: the goroutine may wake on another thread\n" \
    "\t" word " 0x[0-9a-f]+, " how " in " where "( at .*test_death_debug\\.c:[0-9]+)?\n"

static void sleep_with_read_lock(void)
{
    pthread_rwlock_rdlock(&rwlock);
    weft_sleep(WEFT_MS);
    pthread_rwlock_unlock(&rwlock);
}

DEATH(death_debug, a_park_that_takes_a_read_lock_along, 2,
      HELD_AT("pthread read-write lock", "lock", "locked for reading", "sleep_with_read_lock") "\thold a weft_rwmutex, or call weft_lock_thread first")
{
    weft_go(sleep_with_read_lock);
    weft_sleep(60 * WEFT_MIN);
}

static void read_between_parks(weft_receiver(int) ch)
{
    pthread_rwlock_rdlock(&rwlock);
    weft_recv(ch);
}

/* Two readers of one lock, the first of which has the right to: it is the second that is told. */
DEATH(death_debug, a_park_that_takes_a_lock_of_several_readers_along, 2,
      HELD_AT("pthread read-write lock", "lock", "locked for reading", "read_between_parks"))
{
    weft_chan(int) ch = weft_make(int);
    weft_lock_thread();
    pthread_rwlock_rdlock(&rwlock);
    weft_go(read_between_parks, ch);
    weft_sleep(60 * WEFT_MIN);
}

static void yield_with_write_lock(void)
{
    const struct timespec soon = {(time_t)1 << 32, 0};
    REQUIRE(pthread_rwlock_timedwrlock(&rwlock, &soon) == 0);
    weft_yield();
    pthread_rwlock_unlock(&rwlock);
}

DEATH(death_debug, a_yield_that_takes_a_write_lock_along, 2,
      HELD_AT("pthread read-write lock", "lock", "locked", "yield_with_write_lock"))
{
    weft_go(yield_with_write_lock);
    weft_sleep(60 * WEFT_MIN);
}

static void receive_with_spin_lock(weft_receiver(int) ch)
{
    pthread_spin_lock(&spin);
    weft_recv(ch);
    pthread_spin_unlock(&spin);
}

DEATH(death_debug, a_park_that_takes_a_spin_lock_along, 2,
      HELD_AT("pthread spin lock", "lock", "locked", "receive_with_spin_lock") "\thold a weft_mutex, or call weft_lock_thread first")
{
    weft_chan(int) ch = weft_make(int);
    pthread_spin_init(&spin, PTHREAD_PROCESS_PRIVATE);
    weft_go(receive_with_spin_lock, ch);
    weft_sleep(60 * WEFT_MIN);
}

static void sleep_with_mtx(void)
{
    mtx_t c11;
    REQUIRE(mtx_init(&c11, mtx_plain) == thrd_success);
    REQUIRE(mtx_lock(&c11) == thrd_success);
    weft_sleep(WEFT_MS);
    mtx_unlock(&c11);
}

DEATH(death_debug, a_park_that_takes_a_c11_mutex_along, 2, HELD_AT("C11 mutex", "mutex", "locked", "sleep_with_mtx"))
{
    weft_go(sleep_with_mtx);
    weft_sleep(60 * WEFT_MIN);
}

static void wait_then_sleep(void)
{
    pthread_mutex_lock(&mutex);
    pthread_cond_wait(&changed, &mutex);
    weft_sleep(WEFT_MS);
    pthread_mutex_unlock(&mutex);
}

/* A thread of the program has the mutex while the goroutine waits. */
DEATH(death_debug, a_park_that_takes_a_mutex_along_which_a_condition_gave_back, 2,
      HELD_AT("pthread mutex", "mutex", "locked", "wait_then_sleep"))
{
    weft_go(wait_then_sleep);
    weft_lock_thread();
    for (int i = 0; i < 30000; i++) {
        pthread_mutex_lock(&mutex);
        pthread_cond_signal(&changed);
        pthread_mutex_unlock(&mutex);
        weft_sleep(WEFT_MS);
    }
}
#endif

static void park_under_lock(void)
{
    struct weft__lock l = {0};
    weft__lock(&l);
    weft_sleep(WEFT_MS);
    weft__unlock(&l);
}

DEATH(death_debug, a_park_under_an_internal_lock, -6, "fatal error: weft: S1: a goroutine parks and holds a lock")
{
    weft_go(park_under_lock);
    weft_sleep(60 * WEFT_MIN);
}

DEATH(death_debug, a_ready_under_an_internal_lock, -6, "fatal error: weft: S2: a goroutine is made ready under a lock")
{
    struct weft__lock l = {0};
    weft_chan(int) never = weft_make(int);
    weft_go(idle_for_ever, never);
    test_settle();
    weft__lock(&l);
    weft_send(never, 1);
}

static void *volatile kept[8]; /* reachable: LeakSanitizer, in its builds, has nothing to say */

static __attribute__((noinline)) void make_and_forget(int n)
{
    for (int i = 0; i < n; i++) {
        weft_chan(int) ch = weft_make(int, 4);
        weft_send(ch, i);
        kept[i] = (void *)ch;
    }
}

DEATH_LEAKS(channels_left_are_listed_with_their_place, "WEFT_LEAKS=1",
            "at exit: channels not freed: 3.*\n3 channels, made( by goroutine 1)?:\n\tmake_and_forget at [^ ]*test_death_debug\\.c:[0-9]+\n")
{
    make_and_forget(3);
}

DEATH_LEAKS(contexts_left_are_listed_with_their_place, "WEFT_LEAKS=1",
            "contexts not unreferenced: 1,.*\n1 context, made( by goroutine 1)?:\n\ttest_[a-z_]+ at [^ ]*test_death_debug\\.c:[0-9]+\n")
{
    weft_ctx *ctx = weft_with_cancel(weft_background());
    weft_cancel(ctx);
    kept[0] = ctx;
}

DEATH_LEAKS(timers_left_are_listed_with_their_place, "WEFT_LEAKS=1",
            "timers not stopped: 1\n1 timer, started( by goroutine 1)?:\n\ttest_[a-z_]+ at [^ ]*test_death_debug\\.c:[0-9]+\n")
{
    static weft_ticker t;
    weft_ticker_start(&t, 3600 * WEFT_SEC);
    kept[0] = &t; /* so that the call is no tail call */
}

DEATH_LEAKS(without_being_asked_one_line_counts, "WEFT_LEAKS=",
            "weft: at exit: channels not freed: 2, contexts not unreferenced: 0, timers not stopped: 0 \\(WEFT_LEAKS=1")
{
    make_and_forget(2);
}

/* Nothing left, nothing said: the end of stderr is its beginning. */
DEATH_LEAKS(what_was_given_back_is_not_mentioned, "WEFT_LEAKS=1", "^$")
{
    static weft_timer once;
    weft_chan(int) ch = weft_make(int, 1);
    weft_ctx *ctx = weft_with_timeout(weft_background(), 3600 * WEFT_SEC), *value = weft_with_value(ctx, &once, "v");
    weft_timer_start(&once, WEFT_MS);
    weft_recv(weft_timer_chan(&once));
    weft_cancel(ctx);
    weft_ctx_unref(value);
    weft_ctx_unref(ctx);
    weft_free(ch);
}

#endif
