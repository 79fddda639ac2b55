/*
 * test_bulk.c - bytes in bulk: several buffers, files, streams spliced to one another; half closed on the way.
 */
#include <fcntl.h>
#include <sys/stat.h>

#include "http_cert.h"
#include "net_pair.h"

static char pattern(size_t i)
{
    return (char)(i * 2654435761u >> 13);
}

/* A file of n bytes that is gone when it is closed. */
static int file_of(size_t n)
{
    char name[] = "/tmp/weft_bulk_XXXXXX", block[4096];
    int fd = mkostemp(name, O_CLOEXEC);
    REQUIRE(fd >= 0);
    unlink(name);
    for (size_t at = 0; at < n; at += sizeof block) {
        size_t len = n - at < sizeof block ? n - at : sizeof block;
        for (size_t i = 0; i < len; i++)
            block[i] = pattern(at + i);
        REQUIRE(write(fd, block, len) == (ssize_t)len);
    }
    return fd;
}

/* Reads to the end: how many bytes, -1 when one differs from pattern(from + i). */
static ssize_t read_pattern(weft_conn *c, size_t from)
{
    char buf[8192];
    size_t have = 0;
    ssize_t n;
    while ((n = weft_conn_read(NULL, c, buf, sizeof buf)) > 0) {
        for (ssize_t i = 0; i < n; i++)
            if (buf[i] != pattern(from + have + (size_t)i))
                return -1;
        have += (size_t)n;
    }
    return n < 0 ? n : (ssize_t)have;
}

static void read_into(weft_conn *c, size_t from, weft_chan(ssize_t) out)
{
    weft_send(out, read_pattern(c, from));
}

/* ---- several buffers ---- */

TEST(bulk, readv_fills_its_pieces_in_order)
{
    struct net_pair p = net_pair("tcp");
    char a[3], b[1], c[16];
    struct iovec v[] = {{a, 3}, {NULL, 0}, {b, 1}, {c, 16}};
    EXPECT_EQ(weft_conn_write(NULL, p.a, "abcdefgh", 8), 8);
    EXPECT_EQ(weft_conn_readv(NULL, p.b, v, 4), 8);
    EXPECT(memcmp(a, "abc", 3) == 0 && b[0] == 'd' && memcmp(c, "efgh", 4) == 0);
    EXPECT_EQ(weft_conn_readv(NULL, p.b, v, 0), 0);
    EXPECT_EQ(weft_conn_readv(NULL, p.b, v, 1025), WEFT_EINVAL);
    weft_conn_set_read_deadline(p.b, weft_now() + 5 * WEFT_MS);
    EXPECT_EQ(weft_conn_readv(NULL, p.b, v, 4), WEFT_EDEADLINE);
    weft_conn_set_read_deadline(p.b, 0);
    weft_conn_close_write(p.a);
    EXPECT_EQ(weft_conn_readv(NULL, p.b, v, 4), 0);
    net_pair_close(&p);
}

static void write_halves(weft_conn *c, int times)
{
    struct iovec v[] = {{"warp", 4}, {"and", 3}, {"weft", 4}};
    for (int i = 0; i < times; i++)
        EXPECT_EQ(weft_conn_writev(NULL, c, v, 3), 11);
}

TEST(bulk, writev_and_readv_go_together)
{
    struct net_pair p = net_pair("tcp");
    weft_waitgroup wg = {0};
    char all[11];
    struct iovec v[] = {{all, 4}, {all + 4, 7}};
    weft_waitgroup_go(&wg, write_halves, p.a, 1000);
    for (int i = 0; i < 1000; i++) {
        ssize_t n = weft_conn_readv(NULL, p.b, v, 2);
        REQUIRE(n > 0);
        if (n < 11)
            REQUIRE(weft_conn_read_full(NULL, p.b, all + n, 11 - (size_t)n) == 11 - n);
        REQUIRE(memcmp(all, "warpandweft", 11) == 0);
    }
    weft_waitgroup_wait(&wg);
    net_pair_close(&p);
}

/* ---- files ---- */

TEST(bulk, a_file_arrives_whole_or_in_part)
{
    enum { SIZE = 3000001 };
    static const struct {
        size_t at, n, sent;
    } part[] = {{0, SIZE_MAX, SIZE}, {0, SIZE, SIZE}, {1234567, 100000, 100000}, {SIZE - 5, 100, 5}, {SIZE, 10, 0}, {SIZE + 9, 10, 0}, {7, 0, 0}};
    int fd = file_of(SIZE);
    for (size_t i = 0; i < sizeof part / sizeof *part; i++) {
        struct net_pair p = net_pair(i % 2 ? "unix" : "tcp");
        weft_chan(ssize_t) got = weft_make(ssize_t, 1);
        weft_go(read_into, p.b, part[i].at, got);
        EXPECT_EQ(weft_conn_send_file(NULL, p.a, fd, part[i].at, part[i].n), part[i].sent);
        weft_conn_close_write(p.a);
        EXPECT_EQ(weft_recv(got), part[i].sent);
        weft_free(got);
        net_pair_close(&p);
    }
    close(fd);
}

TEST(bulk, sending_a_file_obeys_deadline_and_context)
{
    struct net_pair p = net_pair("tcp");
    int fd = file_of(1 << 20);
    ssize_t n = 0;
    weft_ctx *ctx = weft_with_cancel(NULL);
    weft_conn_set_write_deadline(p.a, weft_now() + 20 * WEFT_MS);
    for (int i = 0; i < 100 && n >= 0; i++)   /* nobody reads: in the end the buffers are full */
        n = weft_conn_send_file(NULL, p.a, fd, 0, SIZE_MAX);
    EXPECT_EQ(n, WEFT_EDEADLINE);
    weft_conn_set_write_deadline(p.a, 0);
    weft_cancel(ctx);
    EXPECT_EQ(weft_conn_send_file(ctx, p.a, fd, 0, SIZE_MAX), WEFT_ECANCELED);
    weft_ctx_unref(ctx);
    EXPECT_EQ(weft_conn_send_file(NULL, p.a, -1, 0, 1), -EBADF);
    close(fd);
    net_pair_close(&p);
}

/* sendfile(2) and splice(2) raise SIGPIPE, which ends a program that has not thought of it. */
TEST(bulk, a_peer_that_has_gone_is_an_error_and_no_signal)
{
    struct net_pair p = net_pair("tcp"), q = net_pair("tcp");
    int fd = file_of(1 << 20);
    ssize_t n = 0;
    weft_conn_close(p.b);
    for (int i = 0; i < 100 && n >= 0; i++)
        n = weft_conn_send_file(NULL, p.a, fd, 0, SIZE_MAX);
    EXPECT(n == -EPIPE || n == -ECONNRESET);
    EXPECT_EQ(weft_conn_send_file(NULL, p.a, fd, 0, SIZE_MAX), -EPIPE);
    EXPECT_EQ(weft_conn_write(NULL, q.a, "x", 1), 1);
    EXPECT_EQ(weft_conn_splice(NULL, p.a, q.b, 1), -EPIPE);
    close(fd);
    weft_conn_close(p.a);
    weft_listener_close(p.ln);
    net_pair_close(&q);
}

/* ---- streams ---- */

static void write_pattern(weft_conn *c, size_t n)
{
    char buf[5000];
    for (size_t at = 0; at < n; at += sizeof buf) {
        size_t len = n - at < sizeof buf ? n - at : sizeof buf;
        for (size_t i = 0; i < len; i++)
            buf[i] = pattern(at + i);
        EXPECT_EQ(weft_conn_write(NULL, c, buf, len), (ssize_t)len);
    }
    weft_conn_close_write(c);
}

TEST(bulk, a_proxy_moves_all_and_hands_the_end_on)
{
    enum { SIZE = 5000000 };
    struct net_pair in = net_pair("tcp"), out = net_pair("unix");
    weft_chan(ssize_t) got = weft_make(ssize_t, 1);
    weft_go(write_pattern, in.a, (size_t)SIZE);
    weft_go(read_into, out.b, (size_t)0, got);
    EXPECT_EQ(weft_conn_splice(NULL, out.a, in.b, 100), 100);
    EXPECT_EQ(weft_conn_splice(NULL, out.a, in.b, SIZE_MAX), SIZE - 100);
    EXPECT_EQ(weft_conn_splice(NULL, out.a, in.b, SIZE_MAX), 0);
    weft_conn_close_write(out.a);
    EXPECT_EQ(weft_recv(got), SIZE);
    weft_free(got);
    net_pair_close(&in);
    net_pair_close(&out);
}

static void splice_into(weft_conn *dst, weft_conn *src, weft_chan(ssize_t) out)
{
    weft_send(out, weft_conn_splice(NULL, dst, src, SIZE_MAX));
}

/* Both directions of a proxy at once: a splice holds one direction of each connection only. */
TEST(bulk, a_proxy_goes_both_ways_and_small_answers_pass)
{
    struct net_pair in = net_pair("tcp"), out = net_pair("tcp");
    weft_chan(ssize_t) moved = weft_make(ssize_t, 2);
    char buf[8];
    weft_go(splice_into, out.a, in.b, moved);
    weft_go(splice_into, in.b, out.a, moved);
    for (int i = 0; i < 1000; i++) {
        REQUIRE(weft_conn_write(NULL, in.a, "ping", 4) == 4);
        REQUIRE(weft_conn_read_full(NULL, out.b, buf, 4) == 4 && memcmp(buf, "ping", 4) == 0);
        REQUIRE(weft_conn_write(NULL, out.b, "pong", 4) == 4);
        REQUIRE(weft_conn_read_full(NULL, in.a, buf, 4) == 4 && memcmp(buf, "pong", 4) == 0);
    }
    weft_conn_close_write(in.a);
    weft_conn_close_write(out.b);
    EXPECT_EQ(weft_recv(moved), 4000);
    EXPECT_EQ(weft_recv(moved), 4000);
    weft_free(moved);
    net_pair_close(&in);
    net_pair_close(&out);
}

TEST(bulk, a_splice_holds_its_directions_and_ends_with_a_close)
{
    struct net_pair in = net_pair("tcp"), out = net_pair("tcp");
    weft_chan(ssize_t) moved = weft_make(ssize_t, 1);
    weft_conn_ref(in.b);
    weft_go(splice_into, out.a, in.b, moved);
    REQUIRE(weft_conn_write(NULL, in.a, "x", 1) == 1);
    char c;
    REQUIRE(weft_conn_read(NULL, out.b, &c, 1) == 1); /* so the splice is under way, and waits */
    EXPECT_EQ(weft_conn_read(NULL, in.b, &c, 1), WEFT_EBUSY);
    EXPECT_EQ(weft_conn_write(NULL, out.a, "y", 1), WEFT_EBUSY);
    weft_conn_close(in.b);
    EXPECT_EQ(weft_recv(moved), WEFT_ECLOSED);
    weft_free(moved);
    weft_conn_unref(in.b);
    weft_conn_close(in.a);
    weft_listener_close(in.ln);
    net_pair_close(&out);
}

/* A destination that takes nothing: the deadline ends the call, and the bytes in its pipe do not turn up in the next one's. */
TEST(bulk, a_splice_cut_short_leaves_nothing_behind)
{
    struct net_pair in = net_pair("tcp"), out = net_pair("tcp"), more = net_pair("tcp");
    static char buf[65536];
    weft_waitgroup wg = {0};
    weft_conn_set_write_deadline(out.a, weft_now() + 50 * WEFT_MS);
    weft_waitgroup_go(&wg, write_pattern, in.a, (size_t)30000000);
    EXPECT_EQ(weft_conn_splice(NULL, out.a, in.b, SIZE_MAX), WEFT_EDEADLINE);
    REQUIRE(weft_conn_write(NULL, more.a, "fresh", 5) == 5);
    EXPECT_EQ(weft_conn_splice(NULL, more.a, more.b, 5), 5); /* back to where it came from */
    EXPECT_EQ(weft_conn_read_full(NULL, more.b, buf, 5), 5);
    EXPECT(memcmp(buf, "fresh", 5) == 0);
    while (weft_conn_read(NULL, in.b, buf, sizeof buf) > 0) /* lets the writer end */
        ;
    weft_waitgroup_wait(&wg);
    net_pair_close(&in);
    net_pair_close(&out);
    net_pair_close(&more);
}

TEST(bulk, datagrams_are_not_spliced)
{
    struct net_pair p = net_pair("tcp");
    weft_conn *u;
    REQUIRE(weft_listen_packet(&u, "udp", "127.0.0.1:0") == 0);
    EXPECT_EQ(weft_conn_splice(NULL, p.a, u, 1), WEFT_EUNSUPPORTED);
    EXPECT_EQ(weft_conn_splice(NULL, u, p.a, 1), WEFT_EUNSUPPORTED);
    EXPECT_EQ(weft_conn_send_file(NULL, u, 0, 0, 1), WEFT_EUNSUPPORTED);
    weft_conn_close(u);
    net_pair_close(&p);
}

/* ---- over TLS bytes are copied ---- */

static void shake_hands(weft_conn **c, const struct weft_tls_config *config)
{
    REQUIRE(weft_tls_server(NULL, *c, config, c) == 0);
}

static struct net_pair tls_pair(const struct cert *cert)
{
    struct net_pair p = net_pair("tcp");
    struct weft_tls_config server = {.cert_file = cert->crt, .key_file = cert->key};
    struct weft_tls_config client = {.ca_file = cert->crt, .server_name = "127.0.0.1"};
    weft_waitgroup wg = {0};
    weft_waitgroup_go(&wg, shake_hands, &p.b, &server);
    REQUIRE(weft_tls_client(NULL, p.a, &client, &p.a) == 0);
    weft_waitgroup_wait(&wg);
    return p;
}

TEST(bulk, over_tls_files_and_streams_arrive_as_well)
{
    enum { SIZE = 300001 };
    struct cert cert;
    cert_make(&cert);
    int fd = file_of(SIZE);
    struct net_pair in = tls_pair(&cert), out = net_pair("tcp");
    weft_chan(ssize_t) got = weft_make(ssize_t, 1), moved = weft_make(ssize_t, 1);
    weft_go(splice_into, out.a, in.b, moved); /* out of TLS, plain */
    weft_go(read_into, out.b, (size_t)0, got);
    EXPECT_EQ(weft_conn_send_file(NULL, in.a, fd, 0, SIZE_MAX), SIZE);
    EXPECT_EQ(weft_conn_send_file(NULL, in.a, fd, SIZE, 10), 0);
    EXPECT_EQ(weft_conn_close_write(in.a), 0);
    EXPECT_EQ(weft_recv(moved), SIZE);
    weft_conn_close_write(out.a);
    EXPECT_EQ(weft_recv(got), SIZE);

    char a[2], b[8];
    struct iovec v[] = {{NULL, 0}, {a, 2}, {b, 8}};
    EXPECT_EQ(weft_conn_write(NULL, in.b, "back", 4), 4); /* the other direction is open still */
    EXPECT_EQ(weft_conn_readv(NULL, in.a, v, 3), 2);
    EXPECT(memcmp(a, "ba", 2) == 0);
    weft_free(got);
    weft_free(moved);
    net_pair_close(&in);
    net_pair_close(&out);
    close(fd);
    cert_drop(&cert);
}

/* ---- sockets from elsewhere ---- */

TEST(bulk, a_socketpair_becomes_two_connections)
{
    int fd[2];
    weft_conn *a, *b;
    char buf[8];
    REQUIRE(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fd) == 0); /* blocking ones */
    REQUIRE(weft_conn_take_fd(fd[0], &a) == 0);
    REQUIRE(weft_conn_take_fd(fd[1], &b) == 0);
    weft_chan(ssize_t) got = weft_make(ssize_t, 1);
    weft_go(read_into, b, (size_t)0, got);
    write_pattern(a, 1000000);
    EXPECT_EQ(weft_recv(got), 1000000);
    weft_free(got);
    EXPECT_EQ(weft_conn_write(NULL, b, "back", 4), 4);
    EXPECT_EQ(weft_conn_read(NULL, a, buf, sizeof buf), 4);
    weft_conn_close(a);
    weft_conn_close(b);
    REQUIRE(pipe2(fd, O_CLOEXEC) == 0);
    EXPECT_EQ(weft_conn_take_fd(fd[0], &a), -ENOTSOCK);
    close(fd[0]);
    close(fd[1]);
}
