/*
 * test_listen.c - listeners: binding, accepting, cancelling, closing.
 */
#include <fcntl.h>
#include <netinet/tcp.h>
#include <spawn.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "net_pair.h"

extern char **environ;

static void accept_into(weft_ctx *ctx, weft_listener *ln, weft_chan(int) out)
{
    weft_conn *c;
    weft_err err = weft_accept(ctx, ln, &c);
    if (err == 0)
        weft_conn_close(c);
    weft_send(out, err);
}

TEST(listen, close_wakes_the_accepting_goroutine)
{
    for (int i = 0; i < 100; i++) {
        weft_listener *ln;
        weft_chan(int) out = weft_make(int, 1);
        REQUIRE(weft_listen(&ln, "tcp", "127.0.0.1:0") == 0);
        weft_go(accept_into, (weft_ctx *)NULL, ln, out);
        for (int k = 0; k < i % 3; k++)
            weft_yield();
        REQUIRE(weft_listener_close(ln) == 0);
        REQUIRE(weft_recv(out) == WEFT_ECLOSED);
        weft_free(out);
    }
}

TEST(listen, a_closed_listener_goes_on_answering_closed)
{
    weft_listener *ln;
    weft_conn *c;
    char addr[WEFT_ADDR_TEXT];
    REQUIRE(weft_listen(&ln, "tcp", "127.0.0.1:0") == 0);
    EXPECT_EQ(weft_listener_close(ln), 0);
    EXPECT_EQ(weft_accept(NULL, ln, &c), WEFT_ECLOSED);
    EXPECT_EQ(weft_listener_close(ln), WEFT_ECLOSED);
    EXPECT_EQ(weft_listener_addr(ln, addr, sizeof addr), WEFT_ECLOSED);
}

TEST(listen, a_cancelled_accept_ends_and_the_listener_lives_on)
{
    weft_listener *ln;
    weft_conn *c, *d;
    char addr[WEFT_ADDR_TEXT];
    weft_ctx *ctx = weft_with_timeout(NULL, 20 * WEFT_MS);
    REQUIRE(weft_listen(&ln, "tcp", "127.0.0.1:0") == 0);
    weft_listener_addr(ln, addr, sizeof addr);
    EXPECT_EQ(weft_accept(ctx, ln, &c), WEFT_EDEADLINE);
    REQUIRE(weft_dial(NULL, "tcp", addr, &c) == 0);
    EXPECT_EQ(weft_accept(NULL, ln, &d), 0);
    weft_conn_close(c);
    weft_conn_close(d);
    weft_ctx_unref(ctx);
    weft_listener_close(ln);
}

TEST(listen, a_second_acceptor_is_refused)
{
    weft_listener *ln;
    weft_chan(int) out = weft_make(int, 2);
    REQUIRE(weft_listen(&ln, "tcp", "127.0.0.1:0") == 0);
    weft_go(accept_into, (weft_ctx *)NULL, ln, out);
    weft_go(accept_into, (weft_ctx *)NULL, ln, out);
    EXPECT_EQ(weft_recv(out), WEFT_EBUSY);
    weft_listener_close(ln);
    EXPECT_EQ(weft_recv(out), WEFT_ECLOSED);
    weft_free(out);
}

TEST(listen, a_taken_port_is_an_error)
{
    weft_listener *ln, *other = NULL;
    char addr[WEFT_ADDR_TEXT];
    REQUIRE(weft_listen(&ln, "tcp", "127.0.0.1:0") == 0);
    EXPECT(weft_listener_addr(ln, addr, sizeof addr) > 0);
    EXPECT_EQ(weft_listen(&other, "tcp", addr), -EADDRINUSE);
    EXPECT(other == NULL);
    EXPECT_EQ(weft_listener_addr(ln, addr, 4), WEFT_ETOOBIG);
    weft_listener_close(ln);
}

TEST(listen, an_empty_host_takes_both_families)
{
    weft_listener *ln;
    weft_conn *c, *d;
    char addr[WEFT_ADDR_TEXT], local[WEFT_ADDR_TEXT];
    REQUIRE(weft_listen(&ln, "tcp", ":0") == 0);
    weft_listener_addr(ln, addr, sizeof addr);
    snprintf(local, sizeof local, "127.0.0.1%s", strrchr(addr, ':'));
    REQUIRE(weft_dial(NULL, "tcp", local, &c) == 0);
    REQUIRE(weft_accept(NULL, ln, &d) == 0);
    EXPECT(weft_conn_remote(d, addr, sizeof addr) > 0);
    EXPECT(strncmp(addr, "127.0.0.1:", 10) == 0); /* not ::ffff:127.0.0.1 */
    weft_conn_close(c);
    weft_conn_close(d);
    weft_listener_close(ln);
}

TEST(listen, a_unix_socket_file_comes_and_goes)
{
    char dir[] = "/tmp/weft-test-XXXXXX", path[64];
    struct stat st;
    weft_listener *ln, *other;
    weft_conn *c, *d;
    char buf[4];
    REQUIRE(mkdtemp(dir) != NULL);
    snprintf(path, sizeof path, "%s/s", dir);
    REQUIRE(weft_listen(&ln, "unix", path) == 0);
    EXPECT_EQ(stat(path, &st), 0);
    EXPECT_EQ(weft_listen(&other, "unix", path), -EADDRINUSE);
    REQUIRE(weft_dial(NULL, "unix", path, &c) == 0);
    REQUIRE(weft_accept(NULL, ln, &d) == 0);
    EXPECT_EQ(weft_conn_write(NULL, c, "hi", 2), 2);
    EXPECT_EQ(weft_conn_read(NULL, d, buf, sizeof buf), 2);
    weft_conn_close(c);
    EXPECT_EQ(weft_conn_read(NULL, d, buf, sizeof buf), 0);
    weft_conn_close(d);
    weft_listener_close(ln);
    EXPECT(stat(path, &st) != 0);
    rmdir(dir);
}

TEST(listen, unknown_networks_are_refused)
{
    weft_listener *ln;
    weft_conn *c;
    EXPECT_EQ(weft_listen(&ln, "udp", "127.0.0.1:0"), WEFT_ENETWORK);
    EXPECT_EQ(weft_listen(&ln, "ip", "127.0.0.1:0"), WEFT_ENETWORK);
    EXPECT_EQ(weft_listen(&ln, NULL, "127.0.0.1:0"), WEFT_ENETWORK);
    EXPECT_EQ(weft_listen_packet(&c, "tcp", "127.0.0.1:0"), WEFT_ENETWORK);
    EXPECT_EQ(weft_listen(&ln, "tcp", "127.0.0.1"), WEFT_EADDR);
}

/* ---- options ---- */

static void accept_and_count(weft_listener *ln, int *ret_count)
{
    weft_conn *c;
    while (weft_accept(NULL, ln, &c) == 0) {
        ++*ret_count;
        EXPECT_EQ(weft_conn_write(NULL, c, "x", 1), 1);
        weft_conn_close(c);
    }
}

/* With 200 connections, that one of two listeners gets none has a chance of 2^-199. */
TEST(listen, two_listeners_share_a_port)
{
    struct weft_listen_opts o = {.reuse_port = true};
    weft_listener *a, *b, *c;
    weft_conn *conn;
    char addr[WEFT_ADDR_TEXT], byte;
    int count[2] = {0};
    weft_waitgroup wg = {0};
    REQUIRE(weft_listen_with(&a, "tcp", "127.0.0.1:0", &o) == 0);
    REQUIRE(weft_listener_addr(a, addr, sizeof addr) > 0);
    REQUIRE(weft_listen_with(&b, "tcp", addr, &o) == 0);
    EXPECT_EQ(weft_listen(&c, "tcp", addr), -EADDRINUSE);
    weft_waitgroup_go(&wg, accept_and_count, a, &count[0]);
    weft_waitgroup_go(&wg, accept_and_count, b, &count[1]);
    for (int i = 0; i < 200; i++) {
        REQUIRE(weft_dial(NULL, "tcp", addr, &conn) == 0);
        EXPECT_EQ(weft_conn_read(NULL, conn, &byte, 1), 1);
        weft_conn_close(conn);
    }
    weft_listener_close(a);
    weft_listener_close(b);
    weft_waitgroup_wait(&wg);
    EXPECT_EQ(count[0] + count[1], 200);
    EXPECT(count[0] > 0 && count[1] > 0);
}

/* A second process, this program once more, with a listener of its own on the port: it answers 'b'. */
static pid_t other_process(const char *addr, int *ret_alive)
{
    char self[256] = "", *argv[] = {"sh", "-c", "exec $WEFT_TEST_EXEC \"$0\" --run listen.the_other_process_of_a_shared_port", self, NULL};
    posix_spawn_file_actions_t acts;
    int fd[2];
    pid_t pid;
    REQUIRE(setenv("WEFT_TEST_SHARED_PORT", addr, 1) == 0);
    REQUIRE(readlink("/proc/self/exe", self, sizeof self - 1) > 0);
    REQUIRE(pipe2(fd, O_CLOEXEC) == 0);
    posix_spawn_file_actions_init(&acts);
    posix_spawn_file_actions_adddup2(&acts, fd[0], 0);
    posix_spawn_file_actions_addopen(&acts, 1, "/dev/null", O_WRONLY, 0);
    REQUIRE(posix_spawn(&pid, "/bin/sh", &acts, NULL, argv, environ) == 0);
    posix_spawn_file_actions_destroy(&acts);
    close(fd[0]);
    *ret_alive = fd[1];
    return pid;
}

static void end_with_stdin(weft_listener *ln)
{
    char c;
    while (weft_fd_wait(NULL, 0, WEFT_READ) > 0 && read(0, &c, 1) > 0)
        ;
    weft_listener_close(ln);
}

/* Runs as the child of the next test; by itself it has nothing to do. */
TEST(listen, the_other_process_of_a_shared_port)
{
    const char *addr = getenv("WEFT_TEST_SHARED_PORT");
    struct weft_listen_opts o = {.reuse_port = true};
    weft_listener *ln;
    weft_conn *c;
    if (!addr)
        return;
    REQUIRE(weft_listen_with(&ln, "tcp", addr, &o) == 0);
    weft_waitgroup wg = {0};
    weft_waitgroup_go(&wg, end_with_stdin, ln);
    while (weft_accept(NULL, ln, &c) == 0) {
        EXPECT_EQ(weft_conn_write(NULL, c, "b", 1), 1);
        weft_conn_close(c);
    }
    weft_waitgroup_wait(&wg);
}

static void answer_a(weft_listener *ln)
{
    weft_conn *c;
    while (weft_accept(NULL, ln, &c) == 0) {
        EXPECT_EQ(weft_conn_write(NULL, c, "a", 1), 1);
        weft_conn_close(c);
    }
}

TEST(listen, two_processes_share_a_port)
{
    struct weft_listen_opts o = {.reuse_port = true};
    weft_listener *ln;
    weft_conn *conn;
    char addr[WEFT_ADDR_TEXT], byte;
    bool a = false, b = false;
    int alive, status;
    weft_waitgroup wg = {0};
    REQUIRE(weft_listen_with(&ln, "tcp", "127.0.0.1:0", &o) == 0);
    REQUIRE(weft_listener_addr(ln, addr, sizeof addr) > 0);
    pid_t pid = other_process(addr, &alive);
    weft_waitgroup_go(&wg, answer_a, ln);
    while (!a || !b) { /* the child needs a while to start */
        REQUIRE(weft_dial(NULL, "tcp", addr, &conn) == 0);
        if (weft_conn_read(NULL, conn, &byte, 1) == 1) {
            a |= byte == 'a';
            b |= byte == 'b';
        }
        weft_conn_close(conn);
    }
    close(alive);
    REQUIRE(waitpid(pid, &status, 0) == pid);
    EXPECT_EQ(status, 0);
    weft_listener_close(ln);
    weft_waitgroup_wait(&wg);
}

TEST(listen, datagram_sockets_share_a_port_too)
{
    struct weft_listen_opts o = {.reuse_port = true};
    weft_conn *a, *b, *c;
    char addr[WEFT_ADDR_TEXT];
    REQUIRE(weft_listen_packet_with(&a, "udp", "127.0.0.1:0", &o) == 0);
    REQUIRE(weft_conn_local(a, addr, sizeof addr) > 0);
    REQUIRE(weft_listen_packet_with(&b, "udp", addr, &o) == 0);
    EXPECT_EQ(weft_listen_packet(&c, "udp", addr), -EADDRINUSE);
    weft_conn_close(a);
    weft_conn_close(b);
}

static int sockopt_of(int fd, int level, int name)
{
    int v = -1;
    socklen_t n = sizeof v;
    REQUIRE(getsockopt(fd, level, name, &v, &n) == 0);
    return v;
}

TEST(listen, options_reach_accepted_connections)
{
    struct weft_listen_opts o = {.delay = true, .keepalive_s = -1, .rcvbuf = 20000, .sndbuf = 30000, .backlog = 7};
    weft_listener *ln;
    weft_conn *a, *b;
    char addr[WEFT_ADDR_TEXT];
    for (int plain = 0; plain < 2; plain++) {
        REQUIRE(weft_listen_with(&ln, "tcp", "127.0.0.1:0", plain ? NULL : &o) == 0);
        REQUIRE(weft_listener_addr(ln, addr, sizeof addr) > 0);
        REQUIRE(weft_dial(NULL, "tcp", addr, &a) == 0);
        REQUIRE(weft_accept(NULL, ln, &b) == 0);
        int fd = weft_conn_fd(b);
        EXPECT_EQ(sockopt_of(fd, IPPROTO_TCP, TCP_NODELAY) != 0, plain);
        EXPECT_EQ(sockopt_of(fd, SOL_SOCKET, SO_KEEPALIVE) != 0, plain);
        if (!plain) {
            EXPECT_EQ(sockopt_of(fd, SOL_SOCKET, SO_RCVBUF), 40000); /* the kernel doubles what it is told */
            EXPECT_EQ(sockopt_of(fd, SOL_SOCKET, SO_SNDBUF), 60000);
        }
        weft_conn_close(a);
        weft_conn_close(b);
        weft_listener_close(ln);
    }
}

TEST(listen, ipv6_only_leaves_ipv4_alone)
{
    struct weft_listen_opts o = {.ipv6_only = true};
    weft_listener *six, *four;
    char addr[WEFT_ADDR_TEXT], text[WEFT_ADDR_TEXT];
    int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        weft_test_skip("no IPv6");
    close(fd);
    REQUIRE(weft_listen_with(&six, "tcp", "[::]:0", &o) == 0);
    REQUIRE(weft_listener_addr(six, addr, sizeof addr) > 0);
    snprintf(text, sizeof text, "0.0.0.0%s", strrchr(addr, ':'));
    weft_err err = weft_listen(&four, "tcp", text); /* would be taken if six had both families */
    EXPECT_EQ(err, 0);
    if (!err)
        weft_listener_close(four);
    weft_listener_close(six);
}

TEST(listen, an_inherited_listener_accepts)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    weft_listener *ln;
    weft_conn *c, *d;
    char addr[WEFT_ADDR_TEXT];
    REQUIRE(fd >= 0 && bind(fd, (struct sockaddr *)&a, sizeof a) == 0);
    EXPECT_EQ(weft_listener_take_fd(fd, &ln), WEFT_EUNSUPPORTED); /* it does not listen yet */
    REQUIRE(listen(fd, 8) == 0);
    EXPECT_EQ(weft_conn_take_fd(fd, &c), WEFT_EUNSUPPORTED);
    REQUIRE(weft_listener_take_fd(fd, &ln) == 0);
    REQUIRE(weft_listener_addr(ln, addr, sizeof addr) > 0);
    REQUIRE(weft_dial(NULL, "tcp", addr, &c) == 0);
    EXPECT_EQ(weft_accept(NULL, ln, &d), 0);
    weft_conn_close(c);
    weft_conn_close(d);
    weft_listener_close(ln);
}
