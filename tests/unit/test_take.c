/*
 * test_take.c - bytes and connections that the poller takes before they are asked for (src/poll/poll_take.c).
 *
 * The suites that run under WEFT_POLL=uring (tests/run) hold what is the same by any back end; here is what only taking can
 * get wrong: order, who owns a buffer, and the way back to plain readiness.
 */
#include <sys/ioctl.h>

#include "net/conn_int.h"
#include "net_pair.h"
#include "poll/poll_int.h"

#define TAKE(name) TEST_ENV(take, name, "WEFT_POLL=uring")

enum { TAKE_BUFS = 1024 }; /* uring_bufs.c */

static void need_taking(void)
{
    weft_listener *ln;
    REQUIRE(weft_listen(&ln, "tcp", "127.0.0.1:0") == 0);
    weft_listener_close(ln);
    if (strcmp(weft__poll_name(), "uring") != 0)
        weft_test_skip("no usable io_uring here: built without liburing, a kernel before 6.0, or it is forbidden");
}

static bool armed(weft_conn *c)
{
    return (atomic_load(&c->f.pd->u->taking) & WEFT__PD_ARM_MASK) == WEFT__PD_ARMED;
}

/* Until the kernel has a request that takes what comes. */
static void arm(weft_conn *c)
{
    char byte;
    while (!armed(c)) {
        weft_ctx *ctx = weft_with_timeout(NULL, 20 * WEFT_US);
        EXPECT_EQ(weft_conn_read(ctx, c, &byte, 1), WEFT_EDEADLINE);
        weft_ctx_unref(ctx);
    }
}

/* What the socket holds. */
static int unread(weft_conn *c)
{
    int n = -1;
    EXPECT(ioctl(c->f.fd, FIONREAD, &n) == 0);
    return n;
}

static void until_taken(weft_conn *c)
{
    while (weft__pd_take_look(c->f.pd) != 1)
        weft_sleep(100 * WEFT_US);
}

/* ---- bytes ---- */

TAKE(what_comes_for_a_connection_that_has_waited_is_taken)
{
    char buf[16];
    need_taking();
    struct net_pair p = net_pair("tcp");
    arm(p.b);
    EXPECT_EQ(weft_conn_write(NULL, p.a, "hello", 5), 5);
    until_taken(p.b);
    EXPECT_EQ(unread(p.b), 0);
    EXPECT(!weft__conn_silent(p.b));
    EXPECT_EQ(weft_conn_wait(NULL, p.b, WEFT_READ), 0);
    EXPECT_EQ(weft_conn_read(NULL, p.b, buf, 2), 2);
    EXPECT_EQ(weft_conn_read(NULL, p.b, buf + 2, sizeof buf - 2), 3);
    EXPECT(memcmp(buf, "hello", 5) == 0);
    EXPECT(weft__conn_silent(p.b));
    weft_conn_close_write(p.a);
    EXPECT_EQ(weft_conn_read(NULL, p.b, buf, sizeof buf), 0);
    EXPECT_EQ(weft_conn_read(NULL, p.b, buf, sizeof buf), 0);
    net_pair_close(&p);
}

/* Closed by its last user, it resets. */
static void make_resetting(weft_conn *c)
{
    struct linger at_once = {.l_onoff = 1};
    EXPECT(setsockopt(c->f.fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once) == 0);
}

static void read_to_the_end(weft_conn *c, weft_chan(int) out)
{
    char buf[16];
    ssize_t n = weft_conn_read(NULL, c, buf, sizeof buf);
    EXPECT_EQ(n, 4);
    n = weft_conn_read(NULL, c, buf, sizeof buf);
    weft_send(out, (int)n);
}

/* As if the kernel had hidden the end later: the look after the first completion has been. */
static void read_without_a_look(weft_conn *c, weft_chan(int) out)
{
    char buf[16];
    EXPECT_EQ(weft_conn_read(NULL, c, buf, sizeof buf), 4);
    atomic_fetch_and(&c->f.pd->u->taking, ~(uint64_t)WEFT__PD_TAKE_LOOK);
    weft_send(out, (int)weft_conn_read(NULL, c, buf, sizeof buf));
}

/* One processor: when the readers have parked, the bytes and the end are there before anybody polls and arms. */
static void end_before_arming(const char *network, bool reset, void (*reader)(weft_conn *, weft_chan(int)))
{
    enum { PAIRS = 20 };
    struct net_pair p[PAIRS];
    weft_chan(int) out = weft_make(int, PAIRS);
    for (int i = 0; i < PAIRS; i++) {
        p[i] = net_pair(network);
        if (reset)
            make_resetting(p[i].a);
        weft_go(reader, p[i].b, out);
    }
    for (int i = 0; i < PAIRS; i++)
        while (atomic_load(&p[i].b->f.pd->word[0]) <= 2) /* NIL, READY, WAIT: poll.c */
            weft_yield();
    for (int i = 0; i < PAIRS; i++) {
        EXPECT_EQ(weft_conn_write(NULL, p[i].a, "last", 4), 4);
        if (reset)
            weft_conn_close(p[i].a);
        else
            weft_conn_close_write(p[i].a);
    }
    for (int i = 0; i < PAIRS; i++)
        EXPECT_EQ(weft_recv(out), reset ? -ECONNRESET : 0);
    for (int i = 0; i < PAIRS; i++) {
        if (!reset)
            weft_conn_close(p[i].a);
        weft_conn_close(p[i].b);
        weft_listener_close(p[i].ln);
    }
    weft_free(out);
}

TAKE(an_end_that_was_there_when_the_bytes_were_taken_is_told)
{
    need_taking();
    weft_procs(1);
    end_before_arming("unix", false, read_to_the_end);
    end_before_arming("tcp", false, read_to_the_end);
}

TAKE(a_reset_that_was_there_when_the_bytes_were_taken_is_told)
{
    need_taking();
    weft_procs(1);
    end_before_arming("tcp", true, read_to_the_end);
}

TAKE(an_end_that_is_hidden_later_is_told_late)
{
    need_taking();
    weft_procs(1);
    end_before_arming("unix", false, read_without_a_look);
}

static void write_count(weft_conn *c, uint32_t words)
{
    uint32_t buf[1000];
    for (uint32_t at = 0; at < words;) {
        uint32_t n = 0;
        while (n < 1000 && at < words)
            buf[n++] = at++;
        EXPECT_EQ(weft_conn_write(NULL, c, buf, n * 4), (ssize_t)(n * 4));
    }
    weft_conn_close_write(c);
}

/* Reads of all sizes, by one buffer or several, at once or late: the queue is long, short and empty, requests are stopped. */
TAKE(a_stream_keeps_its_order)
{
    enum { WORDS = 1 << 19 };
    need_taking();
    weft_procs(4);
    for (int k = 0; k < 4; k++) {
        struct net_pair p = net_pair("tcp");
        char *got = malloc(WORDS * 4 + 1);
        size_t have = 0;
        ssize_t n;
        uint32_t bad = 0, step = 1;
        arm(p.b);
        weft_go(write_count, p.a, (uint32_t)WORDS);
        do {
            size_t room = WORDS * 4 + 1 - have;
            size_t size = step = step * 7 % 65521;
            struct iovec v[3] = {{got + have, 0}, {got + have, room < 64 ? room : 64}, {NULL, 0}};
            if (step % 5 == 0 && room > 64)
                n = weft_conn_readv(NULL, p.b, v, 3);
            else
                n = weft_conn_read(NULL, p.b, got + have, size < room ? size : room);
            have += n > 0 ? (size_t)n : 0;
            if (k > 1 && step % 11 == 0)
                weft_sleep(50 * WEFT_US);
        } while (n > 0);
        EXPECT_EQ(n, 0);
        EXPECT_EQ(have, WORDS * 4);
        for (uint32_t i = 0; i < WORDS && have == WORDS * 4; i++) {
            uint32_t word;
            memcpy(&word, got + i * 4, 4);
            bad += word != i;
        }
        EXPECT_EQ(bad, 0);
        free(got);
        net_pair_close(&p);
    }
}

TAKE(a_reader_that_is_slow_holds_its_peer_up)
{
    enum { MUCH = 64 << 20 };
    static char block[65536];
    need_taking();
    struct net_pair p = net_pair("tcp");
    size_t sent = 0;
    arm(p.b);
    weft_ctx *ctx = weft_with_timeout(NULL, 100 * WEFT_MS);
    while (sent < MUCH && weft_conn_write(ctx, p.a, block, sizeof block) == sizeof block)
        sent += sizeof block;
    EXPECT(sent < MUCH);
    until_taken(p.b);
    EXPECT(p.b->f.pd->u->taken_count < TAKE_BUFS / 4);
    weft_ctx_unref(ctx);
    net_pair_close(&p);
}

static void wait_then_read(weft_conn *c, weft_waitgroup *woken, weft_waitgroup *go_on, weft_waitgroup *done, _Atomic int *bad)
{
    char word[8] = "";
    if (weft_conn_wait(NULL, c, WEFT_READ) != 0)
        atomic_fetch_add(bad, 1);
    weft_waitgroup_done(woken);
    weft_waitgroup_wait(go_on);
    for (int i = 0; i < 2; i++)
        if (weft_conn_read_full(NULL, c, word, 4) != 4 || memcmp(word, i ? "pong" : "ping", 4) != 0)
            atomic_fetch_add(bad, 1);
    weft_waitgroup_done(done);
}

/* Two ends of a TCP connection to ln, a plain listening socket. */
static int pair_listen(void)
{
    int ln = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    REQUIRE(ln >= 0 && bind(ln, (struct sockaddr *)&at, sizeof at) == 0 && listen(ln, 16) == 0);
    return ln;
}

static void pair_of(int ln, weft_conn **ret_a, weft_conn **ret_b)
{
    struct sockaddr_in at;
    socklen_t n = sizeof at;
    int a = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    REQUIRE(a >= 0 && getsockname(ln, (struct sockaddr *)&at, &n) == 0 && connect(a, (struct sockaddr *)&at, n) == 0);
    int b = accept4(ln, NULL, NULL, SOCK_CLOEXEC);
    REQUIRE(b >= 0 && weft_conn_take_fd(a, ret_a) == 0 && weft_conn_take_fd(b, ret_b) == 0);
}

/* A buffer each, and no more of them: the others ask the kernel themselves. */
TAKE(more_connections_than_buffers_are_read_right)
{
    enum { MANY = TAKE_BUFS + 300 };
    static weft_conn *a[MANY], *b[MANY];
    weft_waitgroup woken = {0}, go_on = {0}, done = {0};
    _Atomic int bad = 0;
    need_taking();
    int ln = pair_listen();
    weft_waitgroup_add(&woken, MANY);
    weft_waitgroup_add(&go_on, 1);
    weft_waitgroup_add(&done, MANY);
    for (int i = 0; i < MANY; i++) {
        pair_of(ln, &a[i], &b[i]);
        weft_go(wait_then_read, b[i], &woken, &go_on, &done, &bad);
    }
    while (weft__poll_waiters() < MANY)
        weft_sleep(WEFT_MS);
    for (int i = 0; i < MANY; i++)
        EXPECT_EQ(weft_conn_write(NULL, a[i], "ping", 4), 4);
    weft_waitgroup_wait(&woken);
    weft_waitgroup_done(&go_on);
    for (int i = 0; i < MANY; i++)
        EXPECT_EQ(weft_conn_write(NULL, a[i], "pong", 4), 4);
    weft_waitgroup_wait(&done);
    EXPECT_EQ(bad, 0);
    for (int i = 0; i < MANY; i++) {
        weft_conn_close(a[i]);
        weft_conn_close(b[i]);
    }
    close(ln);
}

/* Buffers that nobody reads go back, those of completions that come after the close too. */
TAKE(closed_connections_keep_no_buffer)
{
    need_taking();
    weft_procs(4);
    int ln = pair_listen();
    for (int i = 0; i < 2 * TAKE_BUFS; i++) {
        weft_conn *a, *b;
        pair_of(ln, &a, &b);
        arm(b);
        EXPECT_EQ(weft_conn_write(NULL, a, "unread", 6), 6);
        if (i % 2)
            until_taken(b);
        weft_conn_close(b);
        weft_conn_close(a);
    }
    close(ln);
    struct net_pair p = net_pair("tcp");
    arm(p.b);
    EXPECT_EQ(weft_conn_write(NULL, p.a, "x", 1), 1);
    until_taken(p.b);
    EXPECT_EQ(unread(p.b), 0); /* there was a buffer for it: the kernel would have said so and left the byte otherwise */
    EXPECT_EQ(p.b->f.pd->u->taken_count, 1);
    net_pair_close(&p);
}

TAKE(a_reset_is_told_once_after_the_bytes_before_it)
{
    need_taking();
    struct net_pair p = net_pair("tcp");
    struct linger rst = {.l_onoff = 1};
    char buf[8];
    arm(p.b);
    EXPECT_EQ(weft_conn_write(NULL, p.a, "last", 4), 4);
    until_taken(p.b);
    EXPECT(setsockopt(p.a->f.fd, SOL_SOCKET, SO_LINGER, &rst, sizeof rst) == 0);
    weft_conn_close(p.a);
    while (armed(p.b))
        weft_sleep(100 * WEFT_US);
    EXPECT_EQ(weft_conn_read(NULL, p.b, buf, sizeof buf), 4);
    EXPECT_EQ(weft_conn_read(NULL, p.b, buf, sizeof buf), -ECONNRESET);
    EXPECT_EQ(weft_conn_read(NULL, p.b, buf, sizeof buf), 0);
    weft_conn_close(p.b);
    weft_listener_close(p.ln);
}

/* ---- back to readiness ---- */

TAKE(who_asks_for_the_descriptor_can_read_by_it)
{
    need_taking();
    struct net_pair p = net_pair("tcp");
    char buf[8];
    arm(p.b);
    int fd = weft_conn_fd(p.b);
    while (armed(p.b))
        weft_sleep(100 * WEFT_US);
    for (int i = 0; i < 2; i++) {
        EXPECT_EQ(weft_conn_write(NULL, p.a, "abc", 3), 3);
        EXPECT_EQ(weft_conn_wait(NULL, p.b, WEFT_READ), 0); /* by a request that tells and takes nothing */
        EXPECT_EQ(recv(fd, buf, sizeof buf, MSG_DONTWAIT), 3);
    }
    EXPECT_EQ(weft_conn_write(NULL, p.a, "abc", 3), 3);
    EXPECT_EQ(weft_conn_read(NULL, p.b, buf, sizeof buf), 3);
    net_pair_close(&p);
}

static void splice_all(weft_conn *to, weft_conn *from, weft_chan(int) out)
{
    weft_send(out, (int)weft_conn_splice(NULL, to, from, SIZE_MAX));
}

TAKE(a_splice_begins_with_what_was_taken)
{
    enum { WORDS = 100000 };
    need_taking();
    struct net_pair from = net_pair("tcp"), to = net_pair("tcp");
    uint32_t *got = malloc(WORDS * 4), bad = 0;
    arm(from.b);
    weft_go(write_count, from.a, (uint32_t)WORDS);
    until_taken(from.b);
    weft_chan(int) end = weft_make(int, 1);
    weft_go(splice_all, to.a, from.b, end);
    EXPECT_EQ(weft_conn_read_full(NULL, to.b, got, WORDS * 4), WORDS * 4);
    EXPECT_EQ(weft_recv(end), WORDS * 4);
    for (uint32_t i = 0; i < WORDS; i++)
        bad += got[i] != i;
    EXPECT_EQ(bad, 0);
    free(got);
    weft_free(end);
    net_pair_close(&from);
    net_pair_close(&to);
}

/* ---- connections ---- */

static void arm_listener(weft_listener *ln)
{
    weft_conn *c;
    weft_ctx *ctx;
    struct weft__fd *f = (struct weft__fd *)ln; /* listen.c: its first member */
    while ((atomic_load(&f->pd->u->taking) & WEFT__PD_ARM_MASK) != WEFT__PD_ARMED) {
        ctx = weft_with_timeout(NULL, 20 * WEFT_US);
        EXPECT_EQ(weft_accept(ctx, ln, &c), WEFT_EDEADLINE);
        weft_ctx_unref(ctx);
    }
}

TAKE(connections_are_accepted_beforehand_and_served_in_any_number)
{
    enum { MANY = 300 };
    weft_listener *ln;
    weft_conn *a[MANY], *b;
    char addr[WEFT_ADDR_TEXT], byte;
    int sum = 0;
    need_taking();
    REQUIRE(weft_listen(&ln, "tcp", "127.0.0.1:0") == 0);
    REQUIRE(weft_listener_addr(ln, addr, sizeof addr) > 0);
    arm_listener(ln);
    for (int i = 0; i < MANY; i++) {
        REQUIRE(weft_dial(NULL, "tcp", addr, &a[i]) == 0);
        EXPECT_EQ(weft_conn_write(NULL, a[i], &(char){(char)(i % 100)}, 1), 1);
    }
    while (weft__pd_take_look(((struct weft__fd *)ln)->pd) != 1)
        weft_sleep(100 * WEFT_US);
    for (int i = 0; i < MANY; i++) {
        REQUIRE(weft_accept(NULL, ln, &b) == 0);
        EXPECT_EQ(weft_conn_read(NULL, b, &byte, 1), 1);
        sum += byte;
        weft_conn_close(b);
    }
    EXPECT_EQ(sum, 3 * 99 * 100 / 2);
    for (int i = 0; i < MANY; i++)
        weft_conn_close(a[i]);
    weft_listener_close(ln);
}

TAKE(a_listener_that_closes_ends_the_connections_that_nobody_accepted)
{
    weft_listener *ln;
    weft_conn *a[20];
    char addr[WEFT_ADDR_TEXT], byte;
    need_taking();
    REQUIRE(weft_listen(&ln, "tcp", "127.0.0.1:0") == 0);
    REQUIRE(weft_listener_addr(ln, addr, sizeof addr) > 0);
    arm_listener(ln);
    for (int i = 0; i < 20; i++)
        REQUIRE(weft_dial(NULL, "tcp", addr, &a[i]) == 0);
    weft_listener_close(ln);
    for (int i = 0; i < 20; i++) {
        EXPECT(weft_conn_read(NULL, a[i], &byte, 1) <= 0);
        weft_conn_close(a[i]);
    }
}
