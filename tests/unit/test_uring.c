/*
 * test_uring.c - the poller's back ends: which is chosen, and what only io_uring can get wrong.
 *
 * The suites poll, conn, listen, dial, dns, tls and http run a second time under WEFT_POLL=uring (tests/run). What
 * completions carry is test_take.c's.
 */
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <spawn.h>
#include <stddef.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "arch/fiber.h"
#include "net_pair.h"
#include "poll/poll.h"

#define URING_DEATH(name, status, re, env) WEFT_TEST_REG(uring, name, 0, status, re, env)

/* The poller's name after its start. */
static const char *started(void)
{
    weft_listener *ln;
    REQUIRE(weft_listen(&ln, "tcp", "127.0.0.1:0") == 0);
    weft_listener_close(ln);
    return weft__poll_name();
}

static void need_uring(void)
{
    if (strcmp(started(), "uring") != 0)
        weft_test_skip("no usable io_uring here: built without liburing, a kernel before 6.0, or it is forbidden");
}

/* The poller's ring: the first one that was opened. */
static int ring_fd(void)
{
    char path[64], to[64];
    for (int fd = 3; fd < 64; fd++) {
        snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
        ssize_t n = readlink(path, to, sizeof to - 1);
        to[n > 0 ? n : 0] = 0;
        if (strcmp(to, "anon_inode:[io_uring]") == 0)
            return fd;
    }
    return -1;
}

/* ---- the choice ---- */

TEST_ENV(uring, epoll_is_the_default, "WEFT_POLL=")
{
    EXPECT_STR(started(), "epoll");
}

TEST_ENV(uring, epoll_can_be_asked_for, "WEFT_POLL=epoll")
{
    EXPECT_STR(started(), "epoll");
}

TEST_ENV(uring, is_in_use_where_it_is_asked_for_and_works, "WEFT_POLL=uring")
{
    need_uring();
    EXPECT(ring_fd() >= 0);
}

TEST_ENV(uring, readiness_alone_can_be_asked_for, "WEFT_POLL=uring-poll")
{
    if (strcmp(started(), "epoll") == 0)
        weft_test_skip("no usable io_uring here");
    EXPECT_STR(weft__poll_name(), "uring-poll");
    EXPECT(ring_fd() >= 0);
}

TEST_ENV(uring, auto_chooses_by_a_trial_and_remembers_what_it_found, "WEFT_POLL=auto")
{
    const char *name = started();
    double epoll_us, uring_us;
    int percent;
    EXPECT(strcmp(name, "epoll") == 0 || strcmp(name, "uring") == 0);
    REQUIRE(weft__poll_note() != NULL);
    if (sscanf(weft__poll_note(), "auto: %lf us a message by epoll, %lf by io_uring, which must be %d %% better", &epoll_us, &uring_us,
               &percent) != 3)
        weft_test_skip("no usable io_uring here");
    EXPECT(epoll_us > 0 && uring_us > 0);
    if (strcmp(name, "uring") == 0)
        EXPECT(uring_us < epoll_us);
    else
        EXPECT(uring_us > epoll_us * (90 - percent) / 100);
}

URING_DEATH(a_dump_names_the_poller_that_was_asked_for, 2, "\npoller: (epoll|uring) \\(auto: .*\\)\n$", "WEFT_POLL=auto")
{
    weft_listener *ln;
    REQUIRE(weft_listen(&ln, "tcp", "127.0.0.1:0") == 0);
    weft_panic("for its dump");
}

URING_DEATH(another_name_is_a_fatal_error, 2, "fatal error: WEFT_POLL=kqueue: it is epoll, uring, uring-poll or auto\n", "WEFT_POLL=kqueue")
{
    started();
}

/* Refuses a system call with err; arg >= 0: only with that second argument. */
static void forbid(int call, int arg, int err)
{
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)call, 0, 4),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[1])),
        BPF_JUMP(BPF_JMP | (arg < 0 ? BPF_JGE : BPF_JEQ) | BPF_K, arg < 0 ? 0 : (uint32_t)arg, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (uint32_t)err),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog prog = {7, code};
    (void)prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); /* refused (qemu): then there is no io_uring either */
    (void)prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &prog, 0, 0);
}

/* As kernels before 5.19 do. */
URING_DEATH(without_provided_buffers_one_line_says_so_and_readiness_serves, 0,
            "^weft: WEFT_POLL=uring: (io_uring takes no bytes here \\([^)]+\\), uring-poll|no usable io_uring \\([^)]+\\), epoll) instead\n$",
            "WEFT_POLL=uring")
{
    char c;
    forbid(__NR_io_uring_register, 22 /* IORING_REGISTER_PBUF_RING */, EINVAL);
    struct net_pair p = net_pair("tcp");
    EXPECT(strcmp(weft__poll_name(), "uring") != 0);
    EXPECT_EQ(weft_conn_write(NULL, p.a, "x", 1), 1);
    EXPECT_EQ(weft_conn_read(NULL, p.b, &c, 1), 1);
    net_pair_close(&p);
}

/* As container runtimes forbid it. */
URING_DEATH(where_it_is_forbidden_one_line_says_so_and_epoll_serves, 0,
            "^weft: WEFT_POLL=uring: no usable io_uring \\([^)]+\\), epoll instead\n$", "WEFT_POLL=uring")
{
    char c;
    forbid(__NR_io_uring_setup, -1, EPERM);
    struct net_pair p = net_pair("tcp");
    EXPECT_STR(weft__poll_name(), "epoll");
    EXPECT_EQ(weft_conn_write(NULL, p.a, "x", 1), 1);
    EXPECT_EQ(weft_conn_read(NULL, p.b, &c, 1), 1);
    net_pair_close(&p);
}

/* ---- many ---- */

static void read_twice(weft_file *f, _Atomic int *reads)
{
    uint64_t v;
    for (int i = 0; i < 2; i++)
        if (weft_file_read(NULL, f, &v, sizeof v) == sizeof v)
            atomic_fetch_add(reads, 1);
}

/* More completions than there is room for: the kernel ends requests. The second round needs them made again. */
TEST_ENV(uring, ten_thousand_descriptors_wake_twice_though_their_completions_do_not_fit, "WEFT_POLL=uring")
{
    enum { MANY = WEFT__TSAN ? 1500 : 10000 };
    static weft_file *file[MANY];
    static int fd[MANY];
    struct rlimit r;
    _Atomic int reads = 0;
    uint64_t one = 1;
    need_uring();
    getrlimit(RLIMIT_NOFILE, &r);
    if (r.rlim_cur < MANY + 100)
        weft_test_skip("too few descriptors here");
    for (int i = 0; i < MANY; i++) {
        fd[i] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        REQUIRE(fd[i] >= 0);
        REQUIRE(weft_file_take_fd(fd[i], &file[i]) == 0);
        weft_go(read_twice, file[i], &reads);
    }
    for (int round = 1; round <= 2; round++) {
        while (weft__poll_waiters() < MANY)
            weft_sleep(WEFT_MS);
        for (int i = 0; i < MANY; i++)
            REQUIRE(write(fd[i], &one, sizeof one) == sizeof one);
        while (atomic_load(&reads) < round * MANY)
            weft_sleep(WEFT_MS);
    }
    for (int i = 0; i < MANY; i++)
        weft_file_close(file[i]);
}

/* ---- ends ---- */

/* c is a reference of its own: others close the connection meanwhile. */
static void read_to_the_end(weft_conn *c, weft_chan(int) out)
{
    char buf[16];
    ssize_t n;
    while ((n = weft_conn_read(NULL, c, buf, sizeof buf)) > 0)
        ;
    weft_conn_unref(c);
    weft_send(out, (int)n);
}

/* A request holds the socket: without its cancellation the close would not reach the peer. */
TEST_ENV(uring, the_peer_sees_the_close_of_a_connection_that_is_waited_for, "WEFT_POLL=uring")
{
    need_uring();
    for (int i = 0; i < 50; i++) {
        struct net_pair p = net_pair(i % 2 ? "tcp" : "unix");
        weft_chan(int) a = weft_make(int, 1), b = weft_make(int, 1);
        weft_go(read_to_the_end, weft_conn_ref(p.a), a);
        weft_go(read_to_the_end, weft_conn_ref(p.b), b);
        if (i % 4 < 2)
            weft_sleep(100 * WEFT_US); /* mostly both have parked; either way it must hold */
        else
            weft_yield();
        weft_conn_close(p.b);
        EXPECT_EQ(weft_recv(b), WEFT_ECLOSED);
        EXPECT_EQ(weft_recv(a), 0);
        weft_conn_close(p.a);
        weft_listener_close(p.ln);
        weft_free(a);
        weft_free(b);
    }
}

static void accept_none(weft_listener *ln, weft_chan(int) out)
{
    weft_conn *c;
    weft_send(out, weft_accept(NULL, ln, &c));
}

TEST_ENV(uring, the_port_of_a_closed_listener_can_be_had_again, "WEFT_POLL=uring")
{
    char addr[WEFT_ADDR_TEXT];
    weft_listener *ln;
    weft_chan(int) out = weft_make(int, 1);
    need_uring();
    REQUIRE(weft_listen(&ln, "tcp", "127.0.0.1:0") == 0);
    REQUIRE(weft_listener_addr(ln, addr, sizeof addr) > 0);
    for (int i = 0; i < 20; i++) {
        weft_go(accept_none, ln, out);
        weft_sleep(100 * WEFT_US);
        weft_listener_close(ln);
        EXPECT_EQ(weft_recv(out), WEFT_ECLOSED);
        weft_err err;
        while ((err = weft_listen(&ln, "tcp", addr)) == -EADDRINUSE)
            weft_sleep(100 * WEFT_US); /* a worker that computes lets the file go at its next tick */
        REQUIRE(err == 0);
    }
    weft_listener_close(ln);
    weft_free(out);
}

/* Arming, closing and the reuse of numbers and slots, on several threads: no edge is lost and no close is held back. */
static void churn(weft_waitgroup *wg, _Atomic int *bad)
{
    for (int i = 0; i < 100; i++) {
        int s[2];
        char c;
        if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, s) != 0) {
            atomic_fetch_add(bad, 1);
            break;
        }
        weft_ctx *ctx = weft_with_timeout(NULL, (i % 3) * 50 * WEFT_US);
        if (weft_fd_wait(ctx, s[0], WEFT_READ) != WEFT_EDEADLINE)
            atomic_fetch_add(bad, 1);
        weft_ctx_unref(ctx);
        if (i % 2 && (write(s[1], "x", 1) != 1 || weft_fd_wait(NULL, s[0], WEFT_READ) != WEFT_READ || read(s[0], &c, 1) != 1))
            atomic_fetch_add(bad, 1);
        close(s[0]);
        if (weft_fd_wait(NULL, s[1], WEFT_READ) != WEFT_READ || read(s[1], &c, 1) != 0) /* ends only once s[0]'s file is gone */
            atomic_fetch_add(bad, 1);
        close(s[1]);
    }
    weft_waitgroup_done(wg);
}

TEST_ENV(uring, descriptors_and_slots_are_reused_while_requests_come_and_go, "WEFT_POLL=uring")
{
    weft_waitgroup wg = {0};
    _Atomic int bad = 0;
    need_uring();
    weft_procs(4);
    weft_waitgroup_add(&wg, 20);
    for (int i = 0; i < 20; i++)
        weft_go(churn, &wg, &bad);
    weft_waitgroup_wait(&wg);
    EXPECT_EQ(bad, 0);
}

/* ---- requests that the kernel ends ---- */

/* io_uring_register(2) IORING_REGISTER_SYNC_CANCEL: all requests, as when the thread that made them ends. */
static void cancel_all(void)
{
    struct {
        uint64_t addr;
        int32_t fd;
        uint32_t flags;
        int64_t sec, nsec;
        uint64_t pad[4];
    } all = {.fd = -1, .flags = 1 | 4 /* ALL, ANY */, .sec = -1, .nsec = -1};
    EXPECT(syscall(__NR_io_uring_register, ring_fd(), 24, &all, 1) >= 0);
}

TEST_ENV(uring, waits_outlive_the_requests_that_served_them, "WEFT_POLL=uring")
{
    need_uring();
    struct net_pair p = net_pair("tcp");
    weft_chan(int) out = weft_make(int, 1);
    weft_go(read_to_the_end, weft_conn_ref(p.b), out);
    for (int i = 0; i < 20; i++) {
        while (weft__poll_waiters() == 0)
            weft_sleep(100 * WEFT_US);
        cancel_all();
        if (i % 2)
            weft_sleep(100 * WEFT_US);
        EXPECT_EQ(weft_conn_write(NULL, p.a, "x", 1), 1);
    }
    weft_conn_close(p.a);
    EXPECT_EQ(weft_recv(out), 0);
    weft_conn_close(p.b);
    weft_listener_close(p.ln);
    weft_free(out);
}

static void end_with_the_thread(weft_waitgroup *wg)
{
    weft_lock_thread();
    weft_waitgroup_done(wg);
}

/* The kernel cancels what a thread submitted when the thread ends. */
TEST_ENV(uring, waits_outlive_the_thread_that_made_their_requests, "WEFT_POLL=uring")
{
    need_uring();
    weft_procs(1);
    struct net_pair p = net_pair("tcp");
    weft_chan(int) out = weft_make(int, 1);
    weft_waitgroup wg = {0};
    weft_go(read_to_the_end, weft_conn_ref(p.b), out);
    for (int i = 0; i < 20; i++) {
        weft_sleep(100 * WEFT_US); /* a worker polls meanwhile, and makes the request if there is none */
        weft_waitgroup_add(&wg, 1);
        weft_go(end_with_the_thread, &wg);
        weft_waitgroup_wait(&wg);
        EXPECT_EQ(weft_conn_write(NULL, p.a, "x", 1), 1);
    }
    weft_conn_close(p.a);
    EXPECT_EQ(weft_recv(out), 0);
    weft_conn_close(p.b);
    weft_listener_close(p.ln);
    weft_free(out);
}

/* ---- processes ---- */

TEST_ENV(uring, a_child_inherits_no_ring, "WEFT_POLL=uring")
{
    need_uring();
    char *argv[] = {"sh", "-c", "for f in /proc/self/fd/*; do readlink $f; done | grep -q io_uring && exit 3; exit 4", NULL};
    pid_t pid;
    int status = 0;
    REQUIRE(ring_fd() >= 0);
    REQUIRE(posix_spawn(&pid, "/bin/sh", NULL, NULL, argv, environ) == 0);
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    EXPECT(WIFEXITED(status));
    EXPECT_EQ(WEXITSTATUS(status), 4);
}

URING_DEATH(a_process_ends_with_requests_under_way, 5, "^", "WEFT_POLL=uring")
{
    struct net_pair p[8];
    weft_chan(int) out = weft_make(int, 8);
    for (int i = 0; i < 8; i++) {
        p[i] = net_pair("tcp");
        weft_go(read_to_the_end, weft_conn_ref(p[i].b), out);
    }
    while (weft__poll_waiters() < 8)
        weft_sleep(100 * WEFT_US);
    exit(5);
}
