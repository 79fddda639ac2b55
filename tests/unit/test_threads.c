/*
 * test_threads.c - what becomes of threads: of one whose goroutine ends locked to it, of those that workers start from,
 * of a main thread that comes late, and of signals sent to a worker.
 */
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdatomic.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include <weft/weft.h>

#include "weft_test.h"

/* ---- the end of a locked goroutine's thread ---- */

static bool thread_is_there(int tid)
{
    char path[64];

    snprintf(path, sizeof path, "/proc/self/task/%d", tid);
    return access(path, F_OK) == 0;
}

static void wait_until_gone(int tid)
{
    weft_time until = weft_now() + 30 * WEFT_SEC;

    while (thread_is_there(tid) && weft_now() < until)
        weft_sleep(WEFT_MS);
    EXPECT(!thread_is_there(tid));
}

static void end_locked(weft_chan(int) tid, bool by_goexit)
{
    weft_lock_thread();
    EXPECT(gettid() != getpid());
    (void)prctl(PR_SET_NAME, "marked");
    weft_send(tid, gettid());
    if (by_goexit)
        weft_goexit();
}

/* Main's thread stays, so the others are to run elsewhere: who is woken by the thread that looks at the timers runs there each time. */
TEST_ENV(lock_thread_end, the_thread_of_a_goroutine_that_ends_locked_ends, "WEFT_PROCS=2")
{
    weft_chan(int) tid = weft_make(int);

    weft_lock_thread();
    for (int i = 0; i < 20; i++) {
        weft_go(end_locked, tid, i % 2 == 1);
        wait_until_gone(weft_recv(tid));
    }
    weft_unlock_thread();
    weft_free(tid);
}

static _Atomic int marked;

static void look_at_name(weft_waitgroup *wg)
{
    char name[16] = "";

    (void)prctl(PR_GET_NAME, name);
    if (strcmp(name, "marked") == 0)
        atomic_fetch_add(&marked, 1);
    usleep(500); /* blocks its thread: the others take more of them */
    weft_waitgroup_done(wg);
}

static void start_others_and_end_locked(weft_waitgroup *wg, weft_chan(int) started)
{
    weft_lock_thread();
    (void)prctl(PR_SET_NAME, "marked");
    for (int i = 0; i < 50; i++)
        weft_go(look_at_name, wg);
    weft_send(started, 1);
}

/* Neither on that thread nor on one that was started from it. */
TEST_ENV(lock_thread_end, nobody_inherits_what_a_locked_goroutine_did_to_its_thread, "WEFT_PROCS=4")
{
    weft_chan(int) started = weft_make(int);
    weft_waitgroup wg = {0};

    weft_procs(1); /* so that few threads exist when the first one locks */
    for (int i = 0; i < 10; i++) {
        weft_waitgroup_add(&wg, 50);
        weft_go(start_others_and_end_locked, &wg, started);
        if (i == 5)
            weft_procs(4);
        weft_recv(started);
        weft_waitgroup_wait(&wg);
    }
    EXPECT_EQ(atomic_load(&marked), 0);
    weft_free(started);
}

static _Atomic int foreign_marked;

static void look_from_foreign(weft_waitgroup *wg)
{
    char name[16] = "";

    (void)prctl(PR_GET_NAME, name);
    if (strcmp(name, "foreign") == 0)
        atomic_fetch_add(&foreign_marked, 1);
    usleep(500);
    weft_waitgroup_done(wg);
}

static void *start_from_foreign(void *arg)
{
    (void)prctl(PR_SET_NAME, "foreign");
    for (int i = 0; i < 50; i++)
        weft_go(look_from_foreign, (weft_waitgroup *)arg);
    return NULL;
}

TEST_ENV(lock_thread_end, workers_inherit_nothing_from_a_thread_of_the_program, "WEFT_PROCS=4")
{
    weft_waitgroup wg = {0};
    pthread_t t;

    weft_yield(); /* the runtime starts on main's thread */
    weft_waitgroup_add(&wg, 50);
    REQUIRE(pthread_create(&t, NULL, start_from_foreign, &wg) == 0);
    weft_waitgroup_wait(&wg);
    pthread_join(t, NULL);
    EXPECT_EQ(atomic_load(&foreign_marked), 0);
}

static void lock_send_end(weft_chan(int) ch, int v)
{
    weft_lock_thread();
    weft_send(ch, v);
}

/* Also in simulation, where threads are virtual: nothing is lost beside threads that come and go. */
TEST(lock_thread, many_may_end_locked_beside_each_other)
{
    weft_chan(int) ch = weft_make(int);
    int sum = 0;

    for (int i = 1; i <= 20; i++) {
        weft_go(lock_send_end, ch, i);
        if (i % 4 == 0)
            for (int k = 0; k < 4; k++)
                sum += weft_recv(ch);
    }
    EXPECT_EQ(sum, 210);
    weft_free(ch);
}

/* ---- signals on a worker's thread ---- */

static _Atomic int caught_on, caught;

static void on_signal(int sig)
{
    (void)sig;
    atomic_store(&caught_on, gettid());
    atomic_fetch_add(&caught, 1);
}

/* C's words: the handler has run when raise returns. */
static void raise_here(weft_waitgroup *wg)
{
    weft_lock_thread();
    int before = atomic_load(&caught);
    raise(SIGUSR1);
    EXPECT_EQ(atomic_load(&caught), before + 1);
    EXPECT_EQ(atomic_load(&caught_on), gettid());
    weft_unlock_thread();
    weft_waitgroup_done(wg);
}

TEST_ENV(worker_signals, raise_calls_the_handler_before_it_returns, "WEFT_PROCS=2")
{
    struct sigaction sa = {.sa_handler = on_signal, .sa_flags = SA_ONSTACK | SA_RESTART};
    weft_waitgroup wg = {0};

    sigaction(SIGUSR1, &sa, NULL);
    for (int i = 0; i < 10; i++) {
        weft_waitgroup_add(&wg, 1);
        weft_go(raise_here, &wg);
        weft_waitgroup_wait(&wg);
    }
}

static void raise_until_heard(weft_chan(int) sigs)
{
    for (int i = 0; i < 10; i++) {
        raise(SIGUSR2);
        EXPECT_EQ(weft_recv(sigs), SIGUSR2);
    }
    weft_close(sigs);
}

TEST_ENV(worker_signals, raise_on_a_worker_reaches_the_channels, "WEFT_PROCS=2")
{
    weft_chan(int) sigs = weft_make(int, 1);
    int v;

    weft_signal_notify(sigs, SIGUSR2);
    weft_go(raise_until_heard, sigs);
    while (weft_num_goroutines() > 1)
        weft_sleep(WEFT_MS);
    EXPECT_EQ(weft_try_recv(sigs, &v), -1);
    weft_signal_stop(sigs);
    weft_free(sigs);
}

extern char **environ;

static void run_child_that_ends_itself(int *ret_status, weft_waitgroup *wg)
{
    char *argv[] = {(char *)"sh", (char *)"-c", (char *)"kill -TERM $$; exit 7", NULL};
    pid_t pid;

    REQUIRE(posix_spawnp(&pid, "sh", NULL, NULL, argv, environ) == 0);
    while (waitpid(pid, ret_status, 0) < 0 && errno == EINTR)
        ;
    weft_waitgroup_done(wg);
}

/* A child has the signal mask of the thread that spawns it: a worker's must not keep SIGTERM from it. */
TEST_ENV(worker_signals, a_child_of_any_goroutine_can_be_ended, "WEFT_PROCS=2")
{
    weft_waitgroup wg = {0};
    int status[8];

    weft_waitgroup_add(&wg, 8);
    for (int i = 0; i < 8; i++)
        weft_go(run_child_that_ends_itself, &status[i], &wg);
    weft_waitgroup_wait(&wg);
    for (int i = 0; i < 8; i++)
        EXPECT(WIFSIGNALED(status[i]) && WTERMSIG(status[i]) == SIGTERM);
}

static _Atomic int open_after_start;

static void look_at_mask(weft_waitgroup *wg)
{
    sigset_t now;

    pthread_sigmask(SIG_SETMASK, NULL, &now);
    if (!sigismember(&now, SIGUSR1) || sigismember(&now, SIGUSR2))
        atomic_fetch_add(&open_after_start, 1);
    usleep(500);
    weft_waitgroup_done(wg);
}

/* So a thread of the program can wait for it by sigwait. */
TEST_ENV(worker_signals, what_was_blocked_at_the_start_is_blocked_on_workers, "WEFT_PROCS=4")
{
    sigset_t usr1;
    weft_waitgroup wg = {0};

    sigemptyset(&usr1);
    sigaddset(&usr1, SIGUSR1);
    pthread_sigmask(SIG_BLOCK, &usr1, NULL);
    weft_waitgroup_add(&wg, 50);
    for (int i = 0; i < 50; i++)
        weft_go(look_at_mask, &wg);
    weft_waitgroup_wait(&wg);
    EXPECT_EQ(atomic_load(&open_after_start), 0);
}

/* ---- a main thread that comes late ---- */

static _Atomic weft_dur nap; /* what each sigaltstack takes longer */

/* The C library's, which a thread calls in the middle of becoming one of weft's. */
int sigaltstack(const stack_t *set, stack_t *old)
{
    weft_dur ns = atomic_load(&nap);

    if (ns > 0)
        (void)nanosleep(&(struct timespec){ns / WEFT_SEC, ns % WEFT_SEC}, NULL);
    return (int)syscall(SYS_sigaltstack, set, old);
}

static void *start_and_end(void *arg)
{
    (void)weft_goid();
    return arg;
}

/* The runtime was started by a thread that has ended, so the monitor looks for a deadlock again and again. */
TEST(late_main, is_not_taken_for_a_thread_that_sleeps)
{
    pthread_t first;

    EXPECT_EQ(pthread_create(&first, NULL, start_and_end, NULL), 0);
    pthread_join(first, NULL);
    atomic_store(&nap, 200 * WEFT_MS);
    EXPECT_EQ(weft_goid(), 1);
    atomic_store(&nap, 0);
}
