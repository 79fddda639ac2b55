/*
 * test_posix_threads.c - libweft-posix: who keeps which thread, foreign threads, forks, signals, what escapes, checked calls.
 */
#include <pthread.h>
#include <poll.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
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

/* ---- threads ---- */

/* Deep enough that the compiler cannot keep the address of a thread-local across calls of these. */
static __thread int mine;
static __attribute__((noinline, no_sanitize("thread"))) void mine_set(int v)
{
    mine = v;
    __asm__ volatile("" ::: "memory");
}
static __attribute__((noinline, no_sanitize("thread"))) int mine_get(void)
{
    __asm__ volatile("" ::: "memory");
    return mine;
}

static void waiter(int id, int fd, _Atomic int *waiting, weft_waitgroup *wg)
{
    char c;
    int before = tid();

    mine_set(id);
    atomic_fetch_add_explicit(waiting, 1, memory_order_relaxed);
    EXPECT_EQ(read(fd, &c, 1), 1);
    EXPECT_EQ(tid(), before);
    EXPECT_EQ(mine_get(), id);
    weft_waitgroup_done(wg);
}

static void wait_many(int n)
{
    weft_waitgroup wg = {0};
    _Atomic int waiting = 0;
    int fd[2];
    char *all = calloc(1, (size_t)n);

    REQUIRE(pipe(fd) == 0);
    weft_waitgroup_add(&wg, n);
    for (int i = 0; i < n; i++)
        weft_go(waiter, i + 1, fd[0], &waiting, &wg);
    while (atomic_load_explicit(&waiting, memory_order_relaxed) < n) /* all are in at once: none can be served yet */
        weft_sleep(WEFT_MS);
    EXPECT_EQ(write(fd[1], all, (size_t)n), n);
    weft_waitgroup_wait(&wg);
    free(all);
    close(fd[0]);
    close(fd[1]);
}

TEST_ENV(posix, a_goroutine_in_a_call_keeps_its_thread, "WEFT_PROCS=2")
{
    wait_many(100);
}

TEST_ENV(posix, a_thousand_wait_at_a_time_on_two_processors, "WEFT_PROCS=2")
{
    struct rlimit r;

    if (WEFT__TSAN)
        weft_test_skip("ThreadSanitizer's threads take too much memory");
    if (getrlimit(RLIMIT_NPROC, &r) == 0 && r.rlim_cur != RLIM_INFINITY && r.rlim_cur < 3000)
        weft_test_skip("fewer than 3,000 threads allowed");
    wait_many(1000);
}

static void *plain_thread(void *arg)
{
    int *fd = arg;
    char c;
    pthread_mutex_t m = PTHREAD_MUTEX_INITIALIZER;

    pthread_mutex_lock(&m);
    EXPECT_EQ(read(fd[0], &c, 1), 1);
    EXPECT(!weft__keep_holds());
    pthread_mutex_unlock(&m);
    EXPECT(weft__g_or_null() == NULL);
    return NULL;
}

TEST(posix, a_thread_that_is_no_goroutine_stays_none)
{
    pthread_t t;
    int fd[2];

    weft_yield();
    REQUIRE(pipe(fd) == 0);
    size_t before = weft_num_goroutines();
    REQUIRE(pthread_create(&t, NULL, plain_thread, fd) == 0);
    EXPECT_EQ(write(fd[1], "x", 1), 1);
    pthread_join(t, NULL);
    EXPECT_EQ(weft_num_goroutines(), before);
    close(fd[0]);
    close(fd[1]);
}

TEST(posix, calls_before_the_first_weft_call_start_nothing)
{
    pthread_mutex_t m = PTHREAD_MUTEX_INITIALIZER;
    struct timespec ts = {0, 1000000};
    int fd[2], threads = weft__sys_thread_count();
    char c;

    REQUIRE(pipe(fd) == 0);
    pthread_mutex_lock(&m);
    EXPECT_EQ(write(fd[1], "x", 1), 1);
    EXPECT_EQ(read(fd[0], &c, 1), 1);
    struct pollfd p = {.fd = fd[0], .events = POLLIN};
    EXPECT_EQ(poll(&p, 1, 1), 0);
    nanosleep(&ts, NULL);
    pthread_mutex_unlock(&m);
    EXPECT_EQ(weft__sys_thread_count(), threads);
    EXPECT(weft__g_or_null() == NULL);
    close(fd[0]);
    close(fd[1]);
}

/* ---- signals, fork ---- */

static _Atomic int kicks;

static void on_kick(int sig)
{
    (void)sig;
    atomic_fetch_add_explicit(&kicks, 1, memory_order_relaxed);
    int saved = errno;
    ssize_t n = write(-1, "x", 1); /* a call of ours in a handler, on a goroutine */
    (void)n;
    errno = saved;
}

static _Atomic int kicked_out;

static void *kicker(void *arg)
{
    while (!atomic_load_explicit(&kicked_out, memory_order_relaxed)) {
        pthread_kill(*(pthread_t *)arg, SIGUSR1);
        usleep(1000);
    }
    return NULL;
}

TEST_ENV(posix, a_signal_interrupts_as_posix_has_it, "WEFT_PROCS=2")
{
    pthread_t me = pthread_self(), t;
    struct sigaction sa = {.sa_handler = on_kick};
    char c;
    int fd[2];

    EXPECT_EQ(weft_goid(), 1); /* and so on the main thread still, which the kicks are for */
    sigaction(SIGUSR1, &sa, NULL);
    REQUIRE(pipe(fd) == 0);
    REQUIRE(pthread_create(&t, NULL, kicker, &me) == 0);
    EXPECT_EQ(read(fd[0], &c, 1), -1);
    EXPECT_EQ(errno, EINTR);
    atomic_store_explicit(&kicked_out, 1, memory_order_relaxed);
    EXPECT(atomic_load_explicit(&kicks, memory_order_relaxed) > 0);
    pthread_join(t, NULL);
    close(fd[0]);
    close(fd[1]);
}

/* In a forked child there are no other threads: waits are the kernel's alone. */
TEST_ENV(posix, a_forked_child_can_wait, "WEFT_PROCS=2")
{
    int fd[2], back[2], status = -1;
    char c;

    REQUIRE(pipe(fd) == 0 && pipe(back) == 0);
    weft_yield();
    EXPECT(weft__keep_holds());
    pid_t pid = fork();
    if (pid == 0) {
        bool ok = write(back[1], "r", 1) == 1 && read(fd[0], &c, 1) == 1 && c == 'g' && !weft__keep_holds();
        _exit(ok ? 7 : 1);
    }
    EXPECT_EQ(read(back[0], &c, 1), 1);
    usleep(2000);
    EXPECT_EQ(write(fd[1], "g", 1), 1);
    EXPECT_EQ(waitpid(pid, &status, 0), pid);
    EXPECT(WIFEXITED(status) && WEXITSTATUS(status) == 7);
    for (int i = 0; i < 2; i++)
        close(fd[i]), close(back[i]);
}

/* ---- what escapes, and checked calls ---- */

static void feed(int fd, _Atomic int *ran)
{
    for (int i = 0; i < 3; i++)
        weft_yield();
    atomic_store_explicit(ran, 1, memory_order_relaxed);
    EXPECT_EQ(write(fd, "line\n", 5), 5);
}

/* stdio reads past our read: the monitor sees the blocked thread and hands the processor on. */
TEST_ENV(posix, others_go_on_while_stdio_blocks, "WEFT_PROCS=1")
{
    _Atomic int ran = 0;
    char line[16];
    int fd[2];

    REQUIRE(pipe(fd) == 0);
    FILE *f = fdopen(fd[0], "r");
    weft_waitgroup others = {0};
    weft_waitgroup_go(&others, feed, fd[1], &ran);
    EXPECT(fgets(line, sizeof line, f) != NULL);
    EXPECT_STR(line, "line\n");
    EXPECT_EQ(atomic_load_explicit(&ran, memory_order_relaxed), 1);
    weft_waitgroup_wait(&others);
    fclose(f);
    close(fd[1]);
}

ssize_t __read_chk(int fd, void *buf, size_t n, size_t room);
ssize_t __recv_chk(int fd, void *buf, size_t n, size_t room, int flags);
ssize_t __recvfrom_chk(int fd, void *buf, size_t n, size_t room, int flags, struct sockaddr *from, socklen_t *len);
int __poll_chk(struct pollfd *fds, nfds_t n, int timeout, size_t room);
int __ppoll_chk(struct pollfd *fds, nfds_t n, const struct timespec *timeout, const sigset_t *mask, size_t room);

static void say_on(int fd)
{
    EXPECT_EQ(write(fd, "hi", 2), 2);
}

TEST_ENV(posix, checked_calls_hand_the_processor_on, "WEFT_PROCS=1")
{
    char buf[8];
    int fd[2];
    struct timespec hour = {3600, 0};

    REQUIRE(socketpair(AF_UNIX, SOCK_STREAM, 0, fd) == 0);
    for (int how = 0; how < 5; how++) {
        struct pollfd p = {.fd = fd[0], .events = POLLIN};
        weft_waitgroup others = {0};
        weft_yield();
        EXPECT(weft__keep_holds());
        weft_waitgroup_go(&others, say_on, fd[1]);
        switch (how) {
        case 0: EXPECT_EQ(__read_chk(fd[0], buf, 2, 8), 2); break;
        case 1: EXPECT_EQ(__recv_chk(fd[0], buf, 2, 8, 0), 2); break;
        case 2: EXPECT_EQ(__recvfrom_chk(fd[0], buf, 2, 8, 0, NULL, NULL), 2); break;
        case 3: EXPECT_EQ(__poll_chk(&p, 1, -1, sizeof p), 1); break;
        case 4: EXPECT_EQ(__ppoll_chk(&p, 1, &hour, NULL, sizeof p), 1); break;
        }
        EXPECT(!weft__keep_holds());
        if (how > 2)
            EXPECT_EQ(read(fd[0], buf, 8), 2);
        weft_waitgroup_wait(&others);
    }
    close(fd[0]);
    close(fd[1]);
}

DEATH(posix, a_checked_call_stops_an_overflow, -SIGABRT, "buffer overflow detected")
{
    char buf[4];

    (void)!__read_chk(0, buf, 8, sizeof buf);
}
