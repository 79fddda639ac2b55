/*
 * test_conn.c - connections: reading, writing, ends, deadlines, cancellation, close.
 */
#include "net_pair.h"

/* What echo does until the end of the stream. */
static void echo(weft_conn *c)
{
    char buf[4096];
    ssize_t n;
    while ((n = weft_conn_read(NULL, c, buf, sizeof buf)) > 0)
        if (weft_conn_write(NULL, c, buf, (size_t)n) != n)
            break;
    weft_conn_close(c);
}

TEST(conn, what_is_written_is_read)
{
    char buf[64];
    struct net_pair p = net_pair("tcp");
    EXPECT_EQ(weft_conn_write(NULL, p.a, "hello", 5), 5);
    EXPECT_EQ(weft_conn_read(NULL, p.b, buf, sizeof buf), 5);
    EXPECT(memcmp(buf, "hello", 5) == 0);
    EXPECT_EQ(weft_conn_write(NULL, p.b, "back", 4), 4);
    EXPECT_EQ(weft_conn_read(NULL, p.a, buf, sizeof buf), 4);
    net_pair_close(&p);
}

TEST(conn, a_reader_parks_until_data_comes)
{
    struct net_pair p = net_pair("tcp");
    char buf[16];
    weft_go(echo, p.b);
    for (int i = 0; i < 1000; i++) {
        REQUIRE(weft_conn_write(NULL, p.a, "ping", 4) == 4);
        REQUIRE(weft_conn_read_full(NULL, p.a, buf, 4) == 4);
    }
    weft_conn_close(p.a);
    weft_listener_close(p.ln);
}

TEST_ENV(conn, echo_works_on_one_processor, "WEFT_PROCS=1")
{
    struct net_pair p = net_pair("tcp");
    char buf[16];
    weft_go(echo, p.b);
    for (int i = 0; i < 1000; i++) {
        REQUIRE(weft_conn_write(NULL, p.a, "ping", 4) == 4);
        REQUIRE(weft_conn_read_full(NULL, p.a, buf, 4) == 4);
    }
    weft_conn_close(p.a);
    weft_listener_close(p.ln);
}

/* ---- the end of a stream ---- */

TEST(conn, the_end_is_read_as_zero_again_and_again)
{
    struct net_pair p = net_pair("tcp");
    char buf[8];
    weft_conn_write(NULL, p.a, "xyz", 3);
    weft_conn_close(p.a);
    EXPECT_EQ(weft_conn_read(NULL, p.b, buf, sizeof buf), 3);
    EXPECT_EQ(weft_conn_read(NULL, p.b, buf, sizeof buf), 0);
    EXPECT_EQ(weft_conn_read(NULL, p.b, buf, sizeof buf), 0);
    weft_conn_close(p.b);
    weft_listener_close(p.ln);
}

static void write_then_close(weft_conn *c)
{
    weft_conn_write(NULL, c, "last words", 10);
    weft_conn_close(c);
}

/* The end that comes with the data must not be lost by the read that parks without asking the kernel. */
TEST(conn, an_end_right_behind_data_is_seen)
{
    for (int i = 0; i < 500; i++) {
        struct net_pair p = net_pair("tcp");
        char buf[64];
        weft_go(write_then_close, p.a);
        REQUIRE(weft_conn_read_full(NULL, p.b, buf, 10) == 10);
        REQUIRE(weft_conn_read(NULL, p.b, buf, sizeof buf) == 0);
        weft_conn_close(p.b);
        weft_listener_close(p.ln);
    }
}

TEST(conn, half_close_ends_one_direction_only)
{
    struct net_pair p = net_pair("tcp");
    char buf[8];
    EXPECT_EQ(weft_conn_close_write(p.a), 0);
    EXPECT_EQ(weft_conn_read(NULL, p.b, buf, sizeof buf), 0);
    EXPECT_EQ(weft_conn_write(NULL, p.b, "still", 5), 5);
    EXPECT_EQ(weft_conn_read(NULL, p.a, buf, sizeof buf), 5);
    EXPECT_EQ(weft_conn_write(NULL, p.a, "x", 1), -EPIPE);
    net_pair_close(&p);
}

TEST(conn, a_reset_is_an_error)
{
    struct net_pair p = net_pair("tcp");
    struct linger rst = {.l_onoff = 1};
    char buf[8];
    setsockopt(weft_conn_fd(p.a), SOL_SOCKET, SO_LINGER, &rst, sizeof rst);
    weft_conn_close(p.a);
    EXPECT_EQ(weft_conn_read(NULL, p.b, buf, sizeof buf), -ECONNRESET);
    weft_conn_close(p.b);
    weft_listener_close(p.ln);
}

static void reset_soon(weft_conn *c)
{
    struct linger rst = {.l_onoff = 1};
    setsockopt(weft_conn_fd(c), SOL_SOCKET, SO_LINGER, &rst, sizeof rst);
    weft_conn_close(c);
}

TEST(conn, a_reset_wakes_a_parked_reader)
{
    struct net_pair p = net_pair("tcp");
    char buf[8];
    weft_go(reset_soon, p.a);
    EXPECT_EQ(weft_conn_read(NULL, p.b, buf, sizeof buf), -ECONNRESET);
    weft_conn_close(p.b);
    weft_listener_close(p.ln);
}

/* ---- much data ---- */

enum { BIG = 64 << 20, PIECE = 1 << 16 };

static void send_big(weft_conn *c, weft_waitgroup *wg, unsigned seed)
{
    unsigned char *buf = malloc(PIECE);
    for (size_t at = 0; at < BIG; at += PIECE) {
        for (int i = 0; i < PIECE; i += 64)
            buf[i] = (unsigned char)((at + (size_t)i) / 64 * 31 + seed);
        if (weft_conn_write(NULL, c, buf, PIECE) != PIECE)
            break;
    }
    weft_conn_close_write(c);
    free(buf);
    weft_waitgroup_done(wg);
}

static void take_big(weft_conn *c, weft_waitgroup *wg, unsigned seed, size_t *ret_good)
{
    unsigned char *buf = malloc(PIECE);
    size_t at = 0;
    ssize_t n;
    while ((n = weft_conn_read(NULL, c, buf, PIECE)) > 0) {
        for (size_t i = (64 - at % 64) % 64; i < (size_t)n; i += 64)
            if (buf[i] != (unsigned char)((at + i) / 64 * 31 + seed))
                n = -1, i = PIECE;
        if (n < 0)
            break;
        at += (size_t)n;
    }
    *ret_good = n == 0 ? at : 0;
    free(buf);
    weft_waitgroup_done(wg);
}

static void big_both_ways(const char *network)
{
    struct net_pair p = net_pair(network);
    weft_waitgroup wg = {0};
    size_t good_a = 0, good_b = 0;
    weft_waitgroup_add(&wg, 4);
    weft_go(send_big, p.a, &wg, 1u);
    weft_go(send_big, p.b, &wg, 2u);
    weft_go(take_big, p.a, &wg, 2u, &good_a);
    weft_go(take_big, p.b, &wg, 1u, &good_b);
    weft_waitgroup_wait(&wg);
    EXPECT_EQ(good_a, BIG);
    EXPECT_EQ(good_b, BIG);
    net_pair_close(&p);
}

TEST(conn, sixty_four_megabytes_go_both_ways_at_once)
{
    big_both_ways("tcp");
}

TEST(conn, unix_sockets_carry_as_much)
{
    big_both_ways("unix");
}

TEST(conn, writev_sends_all_pieces_in_order)
{
    struct net_pair p = net_pair("tcp");
    struct iovec v[40];
    char want[4096], got[4096];
    size_t at = 0;
    for (int i = 0; i < 40; i++) {
        v[i] = (struct iovec){want + at, (size_t)i};
        for (int k = 0; k < i; k++)
            want[at++] = (char)(i * 7 + k);
    }
    EXPECT_EQ(weft_conn_writev(NULL, p.a, v, 40), at);
    EXPECT_EQ(weft_conn_read_full(NULL, p.b, got, at), at);
    EXPECT(memcmp(want, got, at) == 0);
    net_pair_close(&p);
}

/* ---- deadlines ---- */

TEST(conn, a_deadline_ends_a_wait_and_the_connection_lives_on)
{
    struct net_pair p = net_pair("tcp");
    char buf[8];
    weft_time t0 = weft_now();
    EXPECT_EQ(weft_conn_set_read_deadline(p.b, t0 + 20 * WEFT_MS), 0);
    EXPECT_EQ(weft_conn_read(NULL, p.b, buf, sizeof buf), WEFT_EDEADLINE);
    EXPECT(weft_now() - t0 >= 20 * WEFT_MS);
    weft_conn_write(NULL, p.a, "x", 1);
    EXPECT_EQ(weft_conn_read(NULL, p.b, buf, sizeof buf), WEFT_EDEADLINE); /* as in Go: passed is passed */
    weft_conn_set_read_deadline(p.b, 0);
    EXPECT_EQ(weft_conn_read(NULL, p.b, buf, sizeof buf), 1);
    net_pair_close(&p);
}

TEST(conn, a_past_deadline_fails_at_once_though_data_waits)
{
    struct net_pair p = net_pair("tcp");
    char buf[8];
    weft_conn_write(NULL, p.a, "x", 1);
    weft_conn_set_deadline(p.b, 1);
    EXPECT_EQ(weft_conn_read(NULL, p.b, buf, sizeof buf), WEFT_EDEADLINE);
    EXPECT_EQ(weft_conn_write(NULL, p.b, "x", 1), WEFT_EDEADLINE);
    weft_conn_set_write_deadline(p.b, 0);
    EXPECT_EQ(weft_conn_write(NULL, p.b, "x", 1), 1);
    net_pair_close(&p);
}

static void set_deadline_now(weft_conn *c)
{
    weft_conn_set_read_deadline(c, 1);
}

TEST(conn, a_deadline_set_meanwhile_wakes_the_reader)
{
    struct net_pair p = net_pair("tcp");
    char buf[8];
    weft_go(set_deadline_now, p.b);
    EXPECT_EQ(weft_conn_read(NULL, p.b, buf, sizeof buf), WEFT_EDEADLINE);
    net_pair_close(&p);
}

TEST(conn, a_deadline_moved_on_again_and_again_does_not_fire_early)
{
    struct net_pair p = net_pair("tcp");
    char buf[8];
    weft_go(echo, p.b);
    weft_time end = weft_now() + 900 * WEFT_MS, limit = 0;
    ssize_t n = 1;
    while (n == 1 && weft_now() < end) {
        limit = weft_now() + 400 * WEFT_MS;
        weft_conn_set_deadline(p.a, limit);
        n = weft_conn_write(NULL, p.a, "x", 1);
        if (n == 1)
            n = weft_conn_read(NULL, p.a, buf, sizeof buf);
    }
    EXPECT(n == 1 || (n == WEFT_EDEADLINE && weft_now() >= limit)); /* on a busy machine an echo may take as long */
    do {
        weft_conn_set_deadline(p.a, weft_now() + 10 * WEFT_MS);
        n = weft_conn_read(NULL, p.a, buf, sizeof buf);
    } while (n == 1); /* that late echo */
    EXPECT_EQ(n, WEFT_EDEADLINE);
    weft_conn_close(p.a);
    weft_listener_close(p.ln);
}

TEST(conn, a_write_that_cannot_go_on_obeys_its_deadline)
{
    struct net_pair p = net_pair("tcp");
    size_t n = 64 << 20;
    char *buf = calloc(1, n);
    weft_conn_set_write_deadline(p.a, weft_now() + 30 * WEFT_MS);
    EXPECT_EQ(weft_conn_write(NULL, p.a, buf, n), WEFT_EDEADLINE);
    free(buf);
    net_pair_close(&p);
}

/* ---- contexts ---- */

static void cancel_it(weft_ctx *ctx)
{
    weft_cancel(ctx);
}

TEST(conn, a_cancelled_read_leaves_the_connection_usable)
{
    struct net_pair p = net_pair("tcp");
    char buf[8];
    for (int i = 0; i < 200; i++) {
        weft_ctx *ctx = weft_with_cancel(NULL);
        weft_go(cancel_it, ctx);
        REQUIRE(weft_conn_read(ctx, p.b, buf, sizeof buf) == WEFT_ECANCELED);
        REQUIRE(weft_conn_write(NULL, p.a, "x", 1) == 1);
        REQUIRE(weft_conn_read(NULL, p.b, buf, sizeof buf) == 1);
        weft_yield();
        weft_ctx_unref(ctx);
    }
    net_pair_close(&p);
}

TEST(conn, a_contexts_deadline_ends_a_read)
{
    struct net_pair p = net_pair("tcp");
    char buf[8];
    weft_ctx *ctx = weft_with_timeout(NULL, 20 * WEFT_MS);
    EXPECT_EQ(weft_conn_read(ctx, p.b, buf, sizeof buf), WEFT_EDEADLINE);
    EXPECT_EQ(weft_conn_write(ctx, p.b, "x", 1), WEFT_EDEADLINE);
    weft_ctx_unref(ctx);
    net_pair_close(&p);
}

TEST(conn, a_cancelled_write_wakes)
{
    struct net_pair p = net_pair("tcp");
    size_t n = 64 << 20;
    char *buf = calloc(1, n);
    weft_ctx *ctx = weft_with_timeout(NULL, 30 * WEFT_MS);
    EXPECT_EQ(weft_conn_write(ctx, p.a, buf, n), WEFT_EDEADLINE);
    weft_ctx_unref(ctx);
    free(buf);
    net_pair_close(&p);
}

/* ---- one in each direction; close ---- */

static void read_into(weft_conn *c, weft_chan(int) out)
{
    char buf[8];
    weft_send(out, (int)weft_conn_read(NULL, c, buf, sizeof buf));
}

TEST(conn, a_second_reader_is_refused)
{
    struct net_pair p = net_pair("tcp");
    weft_chan(int) out = weft_make(int, 2);
    weft_go(read_into, p.b, out);
    weft_go(read_into, p.b, out);
    EXPECT_EQ(weft_recv(out), WEFT_EBUSY);
    weft_conn_write(NULL, p.a, "abc", 3);
    EXPECT_EQ(weft_recv(out), 3);
    weft_free(out);
    net_pair_close(&p);
}

TEST(conn, close_wakes_the_reader)
{
    for (int i = 0; i < 200; i++) {
        struct net_pair p = net_pair("tcp");
        weft_chan(int) out = weft_make(int, 2);
        weft_conn_ref(p.b);
        weft_go(read_into, p.b, out);
        for (int k = 0; k < i % 4; k++)
            weft_yield();
        REQUIRE(weft_conn_close(p.b) == 0);
        REQUIRE(weft_recv(out) == WEFT_ECLOSED);
        weft_conn_unref(p.b);
        weft_free(out);
        weft_conn_close(p.a);
        weft_listener_close(p.ln);
    }
}

static void write_big(weft_conn *c, weft_chan(int) out)
{
    size_t n = 64 << 20;
    char *buf = calloc(1, n);
    weft_send(out, (int)weft_conn_write(NULL, c, buf, n));
    free(buf);
}

TEST(conn, close_wakes_reader_and_writer_both)
{
    struct net_pair p = net_pair("tcp");
    weft_chan(int) out = weft_make(int, 2);
    weft_conn_ref(p.b);
    weft_go(read_into, p.b, out);
    weft_go(write_big, p.b, out);
    weft_sleep(10 * WEFT_MS);
    EXPECT_EQ(weft_conn_close(p.b), 0);
    EXPECT_EQ(weft_recv(out), WEFT_ECLOSED);
    EXPECT_EQ(weft_recv(out), WEFT_ECLOSED);
    EXPECT_EQ(weft_conn_write(NULL, p.b, "x", 1), WEFT_ECLOSED);
    EXPECT_EQ(weft_conn_close(weft_conn_ref(p.b)), WEFT_ECLOSED);
    weft_conn_unref(p.b);
    weft_free(out);
    weft_conn_close(p.a);
    weft_listener_close(p.ln);
}

TEST(conn, wait_says_when_a_read_will_not_park)
{
    struct net_pair p = net_pair("tcp");
    char buf[8];
    weft_conn_write(NULL, p.a, "abcdef", 6);
    EXPECT_EQ(weft_conn_wait(NULL, p.b, WEFT_READ), 0);
    EXPECT_EQ(weft_conn_read(NULL, p.b, buf, 3), 3);
    EXPECT_EQ(weft_conn_wait(NULL, p.b, WEFT_READ), 0); /* three more are there: no edge will come for them */
    EXPECT_EQ(weft_conn_read(NULL, p.b, buf, 8), 3);
    weft_conn_set_read_deadline(p.b, weft_now() + 20 * WEFT_MS);
    weft_err err = weft_conn_wait(NULL, p.b, WEFT_READ);
    if (err == 0) /* one spurious answer is allowed */
        err = (weft_err)weft_conn_read(NULL, p.b, buf, 8);
    EXPECT_EQ(err, WEFT_EDEADLINE);
    EXPECT_EQ(weft_conn_wait(NULL, p.b, WEFT_WRITE), 0);
    net_pair_close(&p);
}

TEST(conn, the_two_ends_agree_on_their_addresses)
{
    struct net_pair p = net_pair("tcp");
    char a[WEFT_ADDR_TEXT], b[WEFT_ADDR_TEXT];
    EXPECT(weft_conn_local(p.a, a, sizeof a) > 0);
    EXPECT(weft_conn_remote(p.b, b, sizeof b) > 0);
    EXPECT_STR(a, b);
    EXPECT_EQ(weft_conn_local(p.a, a, 5), WEFT_ETOOBIG);
    net_pair_close(&p);
}

/* ---- many ---- */

static void dial_and_ping(const char *addr, weft_waitgroup *wg, _Atomic int *good)
{
    weft_conn *c;
    char buf[4] = {0};
    weft_err err = weft_dial(NULL, "tcp", addr, &c);
    if (err == 0) {
        for (int i = 0; i < 3; i++)
            if (weft_conn_write(NULL, c, "ping", 4) == 4 && weft_conn_read_full(NULL, c, buf, 4) == 4)
                atomic_fetch_add(good, memcmp(buf, "ping", 4) == 0);
        weft_conn_close(c);
    }
    weft_waitgroup_done(wg);
}

static void serve_echo(weft_listener *ln, weft_chan(int) out)
{
    weft_conn *c;
    weft_err err;
    while ((err = weft_accept(NULL, ln, &c)) == 0)
        weft_go(echo, c);
    weft_send(out, (int)err);
}

TEST(conn, a_thousand_connections_at_once)
{
    weft_listener *ln;
    char addr[WEFT_ADDR_TEXT];
    weft_waitgroup wg = {0};
    _Atomic int good = 0;
    weft_chan(int) out = weft_make(int, 1);
    REQUIRE(weft_listen(&ln, "tcp", "127.0.0.1:0") == 0);
    REQUIRE(weft_listener_addr(ln, addr, sizeof addr) > 0);
    weft_go(serve_echo, ln, out);
    weft_waitgroup_add(&wg, 1000);
    for (int i = 0; i < 1000; i++)
        weft_go(dial_and_ping, (const char *)addr, &wg, &good);
    weft_waitgroup_wait(&wg);
    EXPECT_EQ(good, 3000);
    EXPECT_EQ(weft_listener_close(ln), 0);
    EXPECT_EQ(weft_recv(out), WEFT_ECLOSED);
    weft_free(out);
}

/* ---- everything at once ---- */

enum { SEQ_COUNT = 300 };

/* Sends 0, 1, 2 ... with pauses; each number in two pieces. */
static void send_numbers(weft_conn *c, unsigned seed, weft_waitgroup *wg)
{
    for (uint32_t i = 0; i < SEQ_COUNT; i++) {
        seed = seed * 1103515245u + 12345u;
        if (seed >> 28 == 0)
            weft_sleep((seed >> 8) % 300 * WEFT_US);
        if (weft_conn_write(NULL, c, &i, 2) != 2 || weft_conn_write(NULL, c, (char *)&i + 2, 2) != 2)
            break;
    }
    weft_conn_close_write(c);
    weft_waitgroup_done(wg);
}

/* Takes them under deadlines and contexts that end most waits early: nothing may be lost, nobody may sleep for ever. */
static void take_numbers(weft_conn *c, unsigned seed, weft_waitgroup *wg, _Atomic int *good)
{
    uint32_t want = 0, got = 0;
    size_t have = 0;
    ssize_t n = 1;
    while (n != 0) {
        seed = seed * 1103515245u + 12345u;
        weft_dur d = (seed >> 8) % 200 * WEFT_US;
        weft_ctx *ctx = seed >> 31 ? weft_with_timeout(NULL, d) : NULL;
        weft_conn_set_read_deadline(c, ctx ? 0 : weft_now() + d);
        n = weft_conn_read(ctx, c, (char *)&got + have, 4 - have);
        weft_ctx_unref(ctx);
        if (n < 0 && n != WEFT_EDEADLINE)
            break;
        have += n > 0 ? (size_t)n : 0;
        if (have == 4) {
            if (got != want++)
                break;
            have = 0;
        }
    }
    if (n == 0 && want == SEQ_COUNT)
        atomic_fetch_add(good, 1);
    weft_waitgroup_done(wg);
}

TEST(conn, waits_that_end_early_lose_neither_bytes_nor_wakes)
{
    enum { PAIRS = 40 };
    struct net_pair p[PAIRS];
    weft_waitgroup wg = {0};
    _Atomic int good = 0;
    weft_waitgroup_add(&wg, 4 * PAIRS);
    for (int i = 0; i < PAIRS; i++) {
        p[i] = net_pair(i % 4 ? "tcp" : "unix");
        weft_go(send_numbers, p[i].a, (unsigned)i, &wg);
        weft_go(send_numbers, p[i].b, (unsigned)i + 1000, &wg);
        weft_go(take_numbers, p[i].a, (unsigned)i + 2000, &wg, &good);
        weft_go(take_numbers, p[i].b, (unsigned)i + 3000, &wg, &good);
    }
    weft_waitgroup_wait(&wg);
    EXPECT_EQ(good, 2 * PAIRS);
    for (int i = 0; i < PAIRS; i++)
        net_pair_close(&p[i]);
}
