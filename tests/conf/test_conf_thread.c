/*
 * test_conf_thread.c - goroutines tied to their threads, as Go's tests hold them.
 *
 * Source  Go: src/runtime/proc_test.go TestLockOSThread..., testdata/testprog/lockosthread.go; crash_cgo_test.go for
 *         threads that the program made itself. What comes from where: LIST.md.
 */
#include "conf.h"
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static int thread_id(void)
{
    return (int)syscall(SYS_gettid);
}

static void nested(weft_waitgroup *wg)
{
    weft_lock_thread();
    weft_lock_thread();
    weft_unlock_thread();
    int me = thread_id();
    for (int i = 0; i < 100; i++) {
        weft_yield();
        weft_sleep(20 * WEFT_US);
        EXPECT_EQ(thread_id(), me);
    }
    weft_unlock_thread();
    weft_waitgroup_done(wg);
}

/* Go: TestLockOSThreadNesting: two locks take two unlocks */
TEST(conf_thread, locks_nest)
{
    weft_waitgroup wg = {0};
    weft_waitgroup_add(&wg, 8);
    for (int i = 0; i < 8; i++)
        weft_go(nested, &wg);
    weft_waitgroup_wait(&wg);
}

/* ---- the end of a goroutine that is locked to its thread ---- */

static bool thread_exists(int tid)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/self/task/%d", tid);
    return access(path, F_OK) == 0;
}

static void end_locked(weft_chan(int) ready)
{
    weft_lock_thread();
    weft_send(ready, thread_id());
}

/* Go: TestLockOSThreadExit, LockOSThreadAlt: the thread of a goroutine that ends locked to it ends */
TEST_ENV(conf_thread, the_thread_of_one_that_ends_locked_ends, "WEFT_PROCS=1")
{
    weft_chan(int) ready = weft_make(int);
    weft_lock_thread(); /* main keeps its own thread, so the other one is another's */
    weft_go(end_locked, ready);
    int tid = weft_recv(ready);
    EXPECT(tid != getpid());
    for (int i = 0; i < 30000 && thread_exists(tid); i++)
        weft_sleep(WEFT_MS);
    EXPECT(!thread_exists(tid));
    weft_unlock_thread();
    weft_free(ready);
}

/* Go: TestLockOSThreadExit, LockOSThreadMain: but main's thread stays, or the process would look like one that has ended */
TEST_ENV(conf_thread, mains_thread_stays_though_one_ends_locked_to_it, "WEFT_PROCS=1")
{
    weft_chan(int) ready = weft_make(int);
    int tid = 0;
    for (int i = 0; i < 1000 && tid != getpid(); i++) {
        weft_go(end_locked, ready);
        tid = weft_recv(ready);
    }
    EXPECT_EQ(tid, getpid());
    while (weft_num_goroutines() > 1)
        weft_sleep(WEFT_MS);
    weft_sleep(5 * WEFT_MS);
    EXPECT(thread_exists(getpid()));
    for (int i = 0; i < 100; i++) {
        weft_yield();
        EXPECT(thread_id() != getpid()); /* nobody runs on it any more */
    }
    weft_free(ready);
}

static void go_elsewhere(weft_chan(int) done)
{
    weft_lock_thread();
    if (unshare(CLONE_FS) < 0 || chdir("/proc") < 0) {
        weft_send(done, 0);
        return;
    }
    weft_go(end_locked, done); /* perhaps on a thread that is started from this one */
    weft_send(done, -1);
}

static void where_am_i(weft_chan(int) done)
{
    char at[512] = "";
    weft_lock_thread();
    weft_send(done, getcwd(at, sizeof at) && strcmp(at, "/proc") != 0);
}

/* Go: TestLockOSThreadAvoidsStatePropagation: what a locked goroutine did to its thread is seen by nobody else */
TEST_ENV(conf_thread, what_was_done_to_a_locked_thread_stays_there, "WEFT_PROCS=1")
{
    weft_chan(int) done = weft_make(int);
    weft_lock_thread();
    weft_go(go_elsewhere, done);
    int a = weft_recv(done);
    if (a == 0)
        weft_test_skip("cannot unshare here");
    weft_recv(done);
    for (int i = 0; i < 10; i++) {
        weft_go(where_am_i, done);
        EXPECT_EQ(weft_recv(done), 1);
    }
    weft_unlock_thread();
    weft_free(done);
}

static void nothing(void)
{
}

static void lock_at(weft_time start, weft_waitgroup *wg)
{
    while (weft_now() < start)
        ;
    weft_go(nothing);
    weft_lock_thread();
    weft_yield();
    weft_unlock_thread();
    weft_waitgroup_done(wg);
}

/* Go: TestLockOSThreadTemplateThreadRace: two that lock at one instant, beside changes of the processors */
TEST(conf_thread, locking_at_one_time_beside_changes_of_processors_does_not_stick)
{
    for (int round = 0; round < 10; round++) {
        weft_waitgroup wg = {0};
        weft_time start = weft_now() + 2 * WEFT_MS;
        weft_waitgroup_add(&wg, 2);
        weft_go(lock_at, start, &wg);
        weft_go(lock_at, start, &wg);
        for (int i = 0; i < 20; i++)
            weft_procs(1 + (round + i) % 4);
        weft_waitgroup_wait(&wg);
    }
}

/* ---- threads of the program ---- */

static void *call_in(void *arg)
{
    weft_chan(int) c = arg;
    for (int i = 0; i < 100; i++)
        weft_send(c, i);
    return NULL;
}

/* Go: TestEnsureDropM, TestCgoNumGoroutine: threads that call in come and go, and leave no goroutine behind */
TEST(conf_thread, threads_of_the_program_call_in_and_leave_nothing)
{
    weft_chan(int) c = weft_make(int);
    for (int round = 0; round < 5; round++) {
        pthread_t t[2];
        long sum = 0;
        for (int i = 0; i < 2; i++)
            REQUIRE(pthread_create(&t[i], NULL, call_in, (void *)c) == 0);
        for (int i = 0; i < 200; i++)
            sum += weft_recv(c);
        EXPECT_EQ(sum, 2 * 4950);
        for (int i = 0; i < 2; i++)
            pthread_join(t[i], NULL);
        while (weft_num_goroutines() != 1)
            weft_sleep(WEFT_MS);
    }
    weft_free(c);
}

static void panics(void)
{
    weft_panic("from below");
}

static void *catch_in_thread(void *arg)
{
    EXPECT_STR(weft_try(panics), "from below");
    return arg;
}

/* Go: TestCgoPanicCallback, TestCatchPanic, in spirit: a panic on a thread of the program is stopped there */
TEST(conf_thread, a_try_on_a_thread_of_the_program_stops_a_panic)
{
    pthread_t t;
    REQUIRE(pthread_create(&t, NULL, catch_in_thread, NULL) == 0);
    pthread_join(t, NULL);
}

static void *run_goexit(void *arg)
{
    weft_goexit();
    return arg;
}

/* Go: TestCgoToGoCallGoexit, in spirit: goexit on a thread of the program ends that thread only */
TEST(conf_thread, goexit_on_a_thread_of_the_program_ends_it)
{
    pthread_t t;
    weft_yield();
    REQUIRE(pthread_create(&t, NULL, run_goexit, NULL) == 0);
    pthread_join(t, NULL);
    weft_sleep(WEFT_MS);
}

static void *nap(void *arg)
{
    weft_sleep(20 * WEFT_MS);
    return arg;
}

static void signal_all(int sig)
{
    (void)sig;
}

/* Go: TestEINTR, in spirit: signals that come while threads wait in the library do not end the waits */
TEST(conf_thread, signals_do_not_end_waits)
{
    pthread_t t;
    struct sigaction sa = {.sa_handler = signal_all};
    weft_time began = weft_now();
    sigaction(SIGUSR1, &sa, NULL);
    REQUIRE(pthread_create(&t, NULL, nap, NULL) == 0);
    for (int i = 0; i < 20; i++) {
        kill(getpid(), SIGUSR1);
        weft_sleep(WEFT_MS);
    }
    pthread_join(t, NULL);
    EXPECT(weft_now() - began >= 20 * WEFT_MS);
}

/* Go: TestSignalExitStatus */
DEATH(conf_thread, a_signal_that_nobody_handles_is_the_exit_status, -SIGTERM, "^$")
{
    weft_yield();
    kill(getpid(), SIGTERM);
    weft_sleep(10 * WEFT_SEC);
}

static atomic_int spawning;

static void window_changes(weft_waitgroup *wg)
{
    while (atomic_load(&spawning)) {
        kill(getpid(), SIGWINCH);
        weft_yield();
    }
    weft_waitgroup_done(wg);
}

/* Go: TestSignalDuringExec: signals that the runtime handles do no harm to children on their way to exec */
TEST(conf_thread, signals_beside_posix_spawn_harm_no_child)
{
    weft_chan(int) sigs = weft_make(int, 1);
    weft_waitgroup wg = {0};
    char *argv[] = {(char *)"true", NULL}, *env[] = {NULL};
    weft_signal_notify(sigs, SIGWINCH);
    atomic_store(&spawning, 1);
    weft_waitgroup_add(&wg, 1);
    weft_go(window_changes, &wg);
    for (int i = 0; i < 10; i++) {
        pid_t pid;
        int status = -1;
        REQUIRE(posix_spawnp(&pid, "true", NULL, NULL, argv, env) == 0);
        while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
            ;
        EXPECT_EQ(status, 0);
    }
    atomic_store(&spawning, 0);
    weft_waitgroup_wait(&wg);
    weft_signal_stop(sigs);
    weft_free(sigs);
}

static pthread_key_t key;
static atomic_int cleaned;

static void clean_up(void *c)
{
    weft_send((weft_chan(int))c, 7);
    atomic_fetch_add(&cleaned, 1);
}

static void *with_clean_up(void *c)
{
    pthread_setspecific(key, c);
    weft_send((weft_chan(int))c, 6);
    return NULL;
}

/* Go: TestDestructorCallback: the clean-up of a thread's own storage may call in, though weft's ran before */
TEST(conf_thread, the_clean_up_of_a_threads_storage_may_call_in)
{
    weft_chan(int) c = weft_make(int);
    pthread_t t;
    REQUIRE(pthread_key_create(&key, clean_up) == 0);
    for (int i = 1; i <= 3; i++) {
        REQUIRE(pthread_create(&t, NULL, with_clean_up, (void *)c) == 0);
        EXPECT_EQ(weft_recv(c), 6);
        EXPECT_EQ(weft_recv(c), 7);
        pthread_join(t, NULL);
        EXPECT_EQ(atomic_load(&cleaned), i);
    }
    while (weft_num_goroutines() != 1)
        weft_sleep(WEFT_MS);
    weft_free(c);
}
