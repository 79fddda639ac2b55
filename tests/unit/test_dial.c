/*
 * test_dial.c - connecting: refusals, rules, time limits, options, addresses.
 */
#include "net_pair.h"

/* A port of loopback on which nobody listens, nor will: it is bound, by the socket that is returned. */
static int dead_port(int type, char *ret_addr, size_t n)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)}, other = a;
    socklen_t len = sizeof a;
    int fd = socket(AF_INET, type | SOCK_CLOEXEC, 0);
    other.sin_port = htons(9);
    REQUIRE(bind(fd, (struct sockaddr *)&a, sizeof a) == 0);
    REQUIRE(type == SOCK_STREAM || connect(fd, (struct sockaddr *)&other, sizeof other) == 0); /* deaf to all but one */
    REQUIRE(getsockname(fd, (struct sockaddr *)&a, &len) == 0);
    snprintf(ret_addr, n, "127.0.0.1:%d", ntohs(a.sin_port));
    return fd;
}

/* A listener that accepts nobody and whose queue is full: the kernel drops further SYNs, so a dial hangs. */
static int deaf_listener(char *ret_addr, size_t n, int *ret_fill, int fill_count)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof a;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    REQUIRE(bind(fd, (struct sockaddr *)&a, sizeof a) == 0);
    REQUIRE(listen(fd, 0) == 0);
    REQUIRE(getsockname(fd, (struct sockaddr *)&a, &len) == 0);
    for (int i = 0; i < fill_count; i++) {
        ret_fill[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        (void)connect(ret_fill[i], (struct sockaddr *)&a, sizeof a);
    }
    snprintf(ret_addr, n, "127.0.0.1:%d", ntohs(a.sin_port));
    return fd;
}

TEST(dial, a_dead_port_refuses)
{
    char addr[WEFT_ADDR_TEXT];
    weft_conn *c = NULL;
    int fd = dead_port(SOCK_STREAM, addr, sizeof addr);
    EXPECT_EQ(weft_dial(NULL, "tcp", addr, &c), -ECONNREFUSED);
    EXPECT(c == NULL);
    close(fd);
}

TEST(dial, a_deaf_peer_ends_with_the_time_limit)
{
    char addr[WEFT_ADDR_TEXT];
    int fill[8];
    weft_conn *c;
    int fd = deaf_listener(addr, sizeof addr, fill, 8);
    struct weft_dial_opts o = {.timeout = 50 * WEFT_MS};
    weft_time t0 = weft_now();
    EXPECT_EQ(weft_dial_with(NULL, "tcp", addr, &o, &c), WEFT_EDEADLINE);
    EXPECT(weft_now() - t0 >= 50 * WEFT_MS);
    for (int i = 0; i < 8; i++)
        close(fill[i]);
    close(fd);
}

static void cancel_after(weft_ctx *ctx, weft_dur d)
{
    weft_sleep(d);
    weft_cancel(ctx);
}

TEST(dial, a_cancelled_dial_ends)
{
    char addr[WEFT_ADDR_TEXT];
    int fill[8];
    weft_conn *c;
    int fd = deaf_listener(addr, sizeof addr, fill, 8);
    weft_ctx *ctx = weft_with_cancel(NULL);
    weft_go(cancel_after, ctx, 20 * WEFT_MS);
    EXPECT_EQ(weft_dial(ctx, "tcp", addr, &c), WEFT_ECANCELED);
    EXPECT_EQ(weft_dial(ctx, "tcp", addr, &c), WEFT_ECANCELED);
    weft_ctx_unref(ctx);
    for (int i = 0; i < 8; i++)
        close(fill[i]);
    close(fd);
}

static bool not_loopback(const struct sockaddr *a, void *arg)
{
    ++*(int *)arg;
    return !(a->sa_family == AF_INET && ntohl(((const struct sockaddr_in *)a)->sin_addr.s_addr) >> 24 == 127);
}

TEST(dial, the_rule_is_asked_before_connecting)
{
    weft_listener *ln;
    weft_conn *c;
    char addr[WEFT_ADDR_TEXT], mapped[WEFT_ADDR_TEXT + 16];
    int asked = 0;
    struct weft_dial_opts o = {.allow = not_loopback, .allow_arg = &asked};
    REQUIRE(weft_listen(&ln, "tcp", "127.0.0.1:0") == 0);
    weft_listener_addr(ln, addr, sizeof addr);
    EXPECT_EQ(weft_dial_with(NULL, "tcp", addr, &o, &c), WEFT_EDENIED);
    EXPECT_EQ(asked, 1);
    /* in an IPv6 disguise too */
    snprintf(mapped, sizeof mapped, "[::ffff:127.0.0.1]%s", strchr(addr, ':'));
    EXPECT_EQ(weft_dial_with(NULL, "tcp", mapped, &o, &c), WEFT_EDENIED);
    weft_listener_set_deadline(ln, weft_now() + 20 * WEFT_MS);
    EXPECT_EQ(weft_accept(NULL, ln, &c), WEFT_EDEADLINE); /* nobody came */
    weft_listener_close(ln);
}

TEST(dial, options_reach_the_socket)
{
    weft_listener *ln;
    weft_conn *c;
    char addr[WEFT_ADDR_TEXT], local[WEFT_ADDR_TEXT];
    int on = 0;
    socklen_t len = sizeof on;
    struct weft_dial_opts o = {.local_addr = "127.0.0.2:0"};
    REQUIRE(weft_listen(&ln, "tcp", "127.0.0.1:0") == 0);
    weft_listener_addr(ln, addr, sizeof addr);
    REQUIRE(weft_dial_with(NULL, "tcp", addr, &o, &c) == 0);
    EXPECT(weft_conn_local(c, local, sizeof local) > 0);
    EXPECT(strncmp(local, "127.0.0.2:", 10) == 0);
    getsockopt(weft_conn_fd(c), IPPROTO_TCP, 1 /* TCP_NODELAY */, &on, &len);
    EXPECT_EQ(on, 1);
    weft_conn_close(c);
    o = (struct weft_dial_opts){.delay = true};
    REQUIRE(weft_dial_with(NULL, "tcp", addr, &o, &c) == 0);
    getsockopt(weft_conn_fd(c), IPPROTO_TCP, 1, &on, &len);
    EXPECT_EQ(on, 0);
    weft_conn_close(c);
    weft_listener_close(ln);
}

TEST(dial, bad_addresses_and_networks_are_named)
{
    weft_conn *c;
    EXPECT_EQ(weft_dial(NULL, "tcpx", "127.0.0.1:80", &c), WEFT_ENETWORK);
    EXPECT_EQ(weft_dial(NULL, "tcp", "127.0.0.1", &c), WEFT_EADDR);
    EXPECT_EQ(weft_dial(NULL, "tcp", "127.0.0.1:99999", &c), WEFT_EADDR);
    EXPECT_EQ(weft_dial(NULL, "tcp", "127.0.0.1:-1", &c), WEFT_EADDR);
    EXPECT_EQ(weft_dial(NULL, "tcp", "::1:80", &c), WEFT_EADDR);
    EXPECT_EQ(weft_dial(NULL, "tcp", "[::1:80", &c), WEFT_EADDR);
    EXPECT_EQ(weft_dial(NULL, "tcp6", "127.0.0.1:80", &c), WEFT_ENOHOST);
    EXPECT_EQ(weft_dial(NULL, "unix", "", &c), WEFT_EADDR);
    EXPECT_EQ(weft_dial(NULL, "unix", "/nonexistent/weft.sock", &c), -ENOENT);
}

TEST(dial, localhost_needs_no_server)
{
    weft_listener *ln;
    weft_conn *c;
    char addr[WEFT_ADDR_TEXT], name[WEFT_ADDR_TEXT];
    REQUIRE(weft_listen(&ln, "tcp", "127.0.0.1:0") == 0);
    weft_listener_addr(ln, addr, sizeof addr);
    snprintf(name, sizeof name, "localhost%s", strchr(addr, ':'));
    EXPECT_EQ(weft_dial(NULL, "tcp4", name, &c), 0);
    weft_conn_close(c);
    weft_listener_close(ln);
}

/* ---- datagrams ---- */

TEST(dial, udp_keeps_datagrams_apart)
{
    weft_conn *server, *client;
    weft_addr from;
    char addr[WEFT_ADDR_TEXT], text[WEFT_ADDR_TEXT], local[WEFT_ADDR_TEXT], buf[64];
    REQUIRE(weft_listen_packet(&server, "udp", "127.0.0.1:0") == 0);
    weft_conn_local(server, addr, sizeof addr);
    REQUIRE(weft_dial(NULL, "udp", addr, &client) == 0);
    EXPECT_EQ(weft_conn_write(NULL, client, "one", 3), 3);
    EXPECT_EQ(weft_conn_write(NULL, client, "three", 5), 5);
    EXPECT_EQ(weft_conn_read_from(NULL, server, buf, sizeof buf, &from), 3);
    EXPECT_EQ(weft_conn_read_from(NULL, server, buf, sizeof buf, NULL), 5);
    weft_addr_text(&from, text, sizeof text);
    weft_conn_local(client, local, sizeof local);
    EXPECT_STR(text, local);
    EXPECT_EQ(weft_conn_write_to(NULL, server, "back", 4, &from), 4);
    EXPECT_EQ(weft_conn_read(NULL, client, buf, sizeof buf), 4);
    weft_conn_set_read_deadline(server, weft_now() + 10 * WEFT_MS);
    EXPECT_EQ(weft_conn_read_from(NULL, server, buf, sizeof buf, NULL), WEFT_EDEADLINE);
    EXPECT_EQ(weft_conn_close_write(client), WEFT_EUNSUPPORTED);
    weft_conn_close(client);
    weft_conn_close(server);
}

TEST(dial, udp_reports_a_dead_peer)
{
    weft_conn *c;
    char addr[WEFT_ADDR_TEXT], buf[8];
    int fd = dead_port(SOCK_DGRAM, addr, sizeof addr);
    REQUIRE(weft_dial(NULL, "udp", addr, &c) == 0);
    EXPECT_EQ(weft_conn_write(NULL, c, "x", 1), 1);
    EXPECT_EQ(weft_conn_read(NULL, c, buf, sizeof buf), -ECONNREFUSED);
    /* the error is used up; the socket must not spin or fail for ever */
    weft_conn_set_read_deadline(c, weft_now() + 10 * WEFT_MS);
    EXPECT_EQ(weft_conn_read(NULL, c, buf, sizeof buf), WEFT_EDEADLINE);
    weft_conn_close(c);
    close(fd);
}

/* ---- addresses ---- */

TEST(addr, literals_survive_the_way_to_text_and_back)
{
    static const char *const good[] = {"1.2.3.4:80", "[::1]:443", "[2001:db8::7]:0", "0.0.0.0:65535", "[fe80::1%4294967295]:1"};
    static const char *const bad[] = {"", ":", "1.2.3.4", "1.2.3:80", "host:80", "[::1]80", "[::1]:", "::1:80", "1.2.3.4:8x",
                                      "1.2.3.4:+8", "[1.2.3.4:80", "[fe80::1%1x]:80", "[fe80::1%-1]:80", "[fe80::1%4294967297]:80", "01.2.3.4.5:1"};
    char text[WEFT_ADDR_TEXT];
    weft_addr a;
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        EXPECT_EQ(weft_addr_parse(&a, good[i]), 0);
        EXPECT(weft_addr_text(&a, text, sizeof text) == (int)strlen(good[i]));
        EXPECT_STR(text, good[i]);
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        if (weft_addr_parse(&a, bad[i]) != WEFT_EADDR)
            weft_test_fail(__FILE__, __LINE__, "\"%s\" was taken", bad[i]);
}
