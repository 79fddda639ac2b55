/*
 * test_listen.c - listeners: binding, accepting, cancelling, closing.
 */
#include <sys/stat.h>

#include "net_pair.h"

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
