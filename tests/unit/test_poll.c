/*
 * test_poll.c - the poller from outside: any descriptor, from any thread, and how it goes with the scheduler.
 */
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sys/eventfd.h>

#include "net_pair.h"
#include "poll/poll.h"
#include "settle.h"

static void write_byte(int fd)
{
    weft_sleep(5 * WEFT_MS);
    REQUIRE(write(fd, "x", 1) == 1);
}

TEST(poll, a_pipe_can_be_waited_for)
{
    int fd[2];
    char c;
    REQUIRE(pipe2(fd, O_CLOEXEC) == 0);
    EXPECT_EQ(weft_fd_wait(NULL, fd[1], WEFT_WRITE), WEFT_WRITE);
    weft_go(write_byte, fd[1]);
    EXPECT_EQ(weft_fd_wait(NULL, fd[0], WEFT_READ), WEFT_READ);
    EXPECT_EQ(read(fd[0], &c, 1), 1);
    close(fd[1]);
    EXPECT_EQ(weft_fd_wait(NULL, fd[0], WEFT_READ), WEFT_READ); /* the end counts */
    close(fd[0]);
}

TEST(poll, waiting_for_both_directions_tells_which)
{
    struct net_pair p = net_pair("tcp");
    int fd = weft_conn_fd(p.a);
    EXPECT_EQ(weft_fd_wait(NULL, fd, WEFT_READ | WEFT_WRITE), WEFT_WRITE);
    weft_conn_write(NULL, p.b, "x", 1);
    EXPECT_EQ(weft_fd_wait(NULL, fd, WEFT_READ), WEFT_READ);
    EXPECT_EQ(weft_fd_wait(NULL, fd, WEFT_READ | WEFT_WRITE), WEFT_READ | WEFT_WRITE);
    net_pair_close(&p);
}

static void wait_readable(int fd, weft_chan(int) out)
{
    weft_send(out, weft_fd_wait(NULL, fd, WEFT_READ));
}

TEST(poll, several_goroutines_may_wait_on_one_descriptor)
{
    int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    uint64_t one = 1;
    weft_chan(int) out = weft_make(int, 8);
    for (int i = 0; i < 8; i++)
        weft_go(wait_readable, fd, out);
    weft_sleep(5 * WEFT_MS);
    REQUIRE(write(fd, &one, sizeof one) == sizeof one);
    for (int i = 0; i < 8; i++)
        EXPECT_EQ(weft_recv(out), WEFT_READ);
    weft_free(out);
    close(fd);
}

static void yield_often(void)
{
    for (int i = 0; i < 4; i++)
        weft_yield();
}

/* 128 at a look: the queue, of 512 places by then, grows while they are put there (woken.c). */
TEST_ENV(poll, all_that_a_look_wakes_run_where_the_queue_is_full, "WEFT_PROCS=1")
{
    enum { WAITERS = 300, OTHERS = 500 };
    int fd[WAITERS];
    uint64_t one = 1;
    weft_waitgroup wg = {0};
    weft_chan(int) out = weft_make(int, WAITERS);
    for (int i = 0; i < WAITERS; i++) {
        REQUIRE((fd[i] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) >= 0);
        weft_waitgroup_go(&wg, wait_readable, fd[i], out);
    }
    test_settle();
    for (int i = 0; i < OTHERS; i++)
        weft_waitgroup_go(&wg, yield_often);
    for (int i = 0; i < WAITERS; i++)
        REQUIRE(write(fd[i], &one, sizeof one) == sizeof one);
    for (int i = 0; i < WAITERS; i++)
        EXPECT_EQ(weft_recv(out), WEFT_READ);
    weft_waitgroup_wait(&wg);
    for (int i = 0; i < WAITERS; i++)
        close(fd[i]);
    weft_free(out);
}

TEST(poll, a_wait_obeys_its_context_and_bad_arguments_are_told)
{
    int fd[2];
    weft_ctx *ctx = weft_with_timeout(NULL, 20 * WEFT_MS);
    REQUIRE(pipe2(fd, O_CLOEXEC) == 0);
    EXPECT_EQ(weft_fd_wait(ctx, fd[0], WEFT_READ), WEFT_EDEADLINE);
    EXPECT_EQ(weft_fd_wait(NULL, fd[0], 0), WEFT_EINVAL);
    EXPECT_EQ(weft_fd_wait(NULL, fd[0], 8), WEFT_EINVAL);
    weft_ctx_unref(ctx);
    close(fd[0]);
    close(fd[1]);
    EXPECT_EQ(weft_fd_wait(NULL, fd[0], WEFT_READ), -EBADF);
}

TEST(poll, a_regular_file_is_ready)
{
    int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    EXPECT_EQ(weft_fd_wait(NULL, fd, WEFT_READ), WEFT_READ);
    close(fd);
}

/* ---- registered late ---- */

/* Does an epoll set of ours know the descriptor? */
static bool watched(int fd)
{
    char path[64], to[64], line[256];
    bool found = false;
    for (int ep = 3; ep < 64 && !found; ep++) {
        snprintf(path, sizeof path, "/proc/self/fd/%d", ep);
        ssize_t n = readlink(path, to, sizeof to - 1);
        to[n > 0 ? n : 0] = 0;
        if (strcmp(to, "anon_inode:[eventpoll]") != 0)
            continue;
        snprintf(path, sizeof path, "/proc/self/fdinfo/%d", ep);
        FILE *f = fopen(path, "r");
        REQUIRE(f);
        while (fgets(line, sizeof line, f))
            found |= strncmp(line, "tfd:", 4) == 0 && strtol(line + 4, NULL, 10) == fd;
        fclose(f);
    }
    return found;
}

TEST_ENV(poll, a_connection_that_need_not_wait_is_not_registered, "WEFT_POLL=epoll")
{
    struct net_pair p = net_pair("tcp");
    char buf[4];
    REQUIRE(weft_conn_write(NULL, p.a, "ping", 4) == 4);
    struct pollfd in = {.fd = weft_conn_fd(p.b), .events = POLLIN};
    REQUIRE(poll(&in, 1, 10000) == 1);
    REQUIRE(weft_conn_read(NULL, p.b, buf, 4) == 4);
    EXPECT(!watched(weft_conn_fd(p.b)));
    for (weft_dur d = 10 * WEFT_MS; d < 20 * WEFT_SEC && !watched(weft_conn_fd(p.b)); d *= 4) {   /* one that passes before it waits: again */
        weft_conn_set_read_deadline(p.b, weft_now() + d);
        EXPECT_EQ(weft_conn_read(NULL, p.b, buf, 4), WEFT_EDEADLINE);
    }
    EXPECT(watched(weft_conn_fd(p.b)));
    weft_conn_close(p.a);
    weft_conn_close(p.b);
    weft_listener_close(p.ln);
}

TEST_ENV(poll, what_cannot_be_watched_says_so_with_its_first_wait, "WEFT_POLL=epoll")
{
    struct weft__pd *pd;
    int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    REQUIRE(weft__pd_open_late(fd, &pd) == 0);
    EXPECT_EQ(weft__pd_wait(pd, WEFT__DIR_READ), -EPERM);
    EXPECT_EQ(weft__pd_wait(pd, WEFT__DIR_WRITE), -EPERM);
    weft__pd_close(pd);
    REQUIRE(weft__pd_open_late(fd, &pd) == 0);   /* the slot again: nothing of its earlier life is left */
    EXPECT_EQ(weft__pd_check(pd, WEFT__DIR_READ), 0);
    weft__pd_close(pd);
    close(fd);
}

static void wait_lent(int fd, weft_chan(int) out)
{
    weft_send(out, weft_fd_wait(NULL, fd, WEFT_READ));
}

TEST(poll, a_connection_waits_for_the_first_time_while_its_descriptor_is_lent)
{
    struct net_pair p = net_pair("tcp");
    weft_chan(int) out = weft_make(int, 1);
    char buf[4];
    weft_go(wait_lent, weft_conn_fd(p.b), out);
    while (weft__poll_waiters() == 0)
        weft_yield();
    weft_conn_set_read_deadline(p.b, weft_now() + 10 * WEFT_MS);
    EXPECT_EQ(weft_conn_read(NULL, p.b, buf, 4), WEFT_EDEADLINE);
    weft_conn_set_read_deadline(p.b, 0);
    REQUIRE(weft_conn_write(NULL, p.a, "ping", 4) == 4);
    EXPECT_EQ(weft_recv(out), WEFT_READ);
    EXPECT_EQ(weft_conn_read_full(NULL, p.b, buf, 4), 4);
    weft_go(wait_lent, weft_conn_fd(p.b), out);
    weft_conn_close(p.a);
    EXPECT_EQ(weft_recv(out), WEFT_READ);
    EXPECT_EQ(weft_conn_read(NULL, p.b, buf, 4), 0);
    weft_conn_close(p.b);
    weft_listener_close(p.ln);
    weft_free(out);
}

/* ---- foreign threads ---- */

static void *thread_echo(void *arg)
{
    weft_conn *c = arg;
    char buf[4];
    while (weft_conn_read_full(NULL, c, buf, 4) == 4)
        weft_conn_write(NULL, c, buf, 4);
    return NULL;
}

TEST(poll, a_foreign_thread_can_use_connections)
{
    struct net_pair p = net_pair("tcp");
    pthread_t t;
    char buf[4];
    REQUIRE(pthread_create(&t, NULL, thread_echo, p.b) == 0);
    for (int i = 0; i < 200; i++) {
        REQUIRE(weft_conn_write(NULL, p.a, "ping", 4) == 4);
        REQUIRE(weft_conn_read_full(NULL, p.a, buf, 4) == 4);
    }
    weft_conn_close(p.a);
    pthread_join(t, NULL);
    weft_conn_close(p.b);
    weft_listener_close(p.ln);
}

/* ---- with the scheduler ---- */

static void spin_until(_Atomic int *stop, weft_waitgroup *wg)
{
    while (!atomic_load(stop))
        weft_yield();
    weft_waitgroup_done(wg);
}

TEST_ENV(poll, io_is_seen_while_others_keep_the_processor_busy, "WEFT_PROCS=1")
{
    struct net_pair p = net_pair("tcp");
    _Atomic int stop = 0;
    weft_waitgroup wg = {0};
    char buf[4];
    weft_waitgroup_add(&wg, 2);
    weft_go(spin_until, &stop, &wg);
    weft_go(spin_until, &stop, &wg);
    for (int i = 0; i < 100; i++) {
        REQUIRE(weft_conn_write(NULL, p.a, "ping", 4) == 4);
        REQUIRE(weft_conn_read_full(NULL, p.b, buf, 4) == 4);
        REQUIRE(weft_conn_write(NULL, p.b, "ping", 4) == 4);
        REQUIRE(weft_conn_read_full(NULL, p.a, buf, 4) == 4);
    }
    atomic_store(&stop, 1);
    weft_waitgroup_wait(&wg);
    net_pair_close(&p);
}

/* Timers and descriptors share one sleep: a short timer must not wait for a descriptor that stays silent. */
TEST(poll, a_sleep_ends_while_a_reader_is_parked)
{
    struct net_pair p = net_pair("tcp");
    weft_chan(int) out = weft_make(int, 1);
    weft_go(wait_readable, weft_conn_fd(p.b), out);
    weft_yield();
    for (int i = 0; i < 20; i++) {
        weft_time t0 = weft_now();
        weft_sleep(2 * WEFT_MS);
        weft_dur d = weft_now() - t0;
        EXPECT(d >= 2 * WEFT_MS);          /* and it ends, though the reader stays */
    }
    weft_conn_write(NULL, p.a, "x", 1);
    EXPECT_EQ(weft_recv(out), WEFT_READ);
    weft_free(out);
    net_pair_close(&p);
}

/* Descriptors come and go on many goroutines: a late event must not trouble the next user of a slot. */
static void churn(weft_waitgroup *wg, _Atomic int *bad)
{
    for (int i = 0; i < 200; i++) {
        int fd[2];
        char c = 0;
        if (pipe2(fd, O_CLOEXEC | O_NONBLOCK) != 0) {
            atomic_fetch_add(bad, 1);
            break;
        }
        weft_ctx *ctx = weft_with_timeout(NULL, (i % 3) * 50 * WEFT_US);
        int r = weft_fd_wait(ctx, fd[0], WEFT_READ);
        if (r != WEFT_EDEADLINE)
            atomic_fetch_add(bad, 1);
        weft_ctx_unref(ctx);
        if (write(fd[1], "x", 1) != 1 || weft_fd_wait(NULL, fd[0], WEFT_READ) != WEFT_READ || read(fd[0], &c, 1) != 1)
            atomic_fetch_add(bad, 1);
        close(fd[0]);
        close(fd[1]);
    }
    weft_waitgroup_done(wg);
}

TEST(poll, slots_are_reused_without_mixing_up_waiters)
{
    weft_waitgroup wg = {0};
    _Atomic int bad = 0;
    weft_waitgroup_add(&wg, 50);
    for (int i = 0; i < 50; i++)
        weft_go(churn, &wg, &bad);
    weft_waitgroup_wait(&wg);
    EXPECT_EQ(bad, 0);
}
