/* Both halves of WebSocket: our client and our server, and our client against bytes. Source: RFC 6455; coder/websocket's tests. */
#include <stdatomic.h>

#include "../include/settle.h"
#include "http_cert.h"
#include "ws_raw.h"

static struct weft_ws_opts opts = {.message_bytes_max = -1, .protocols = "b, a"};
static _Atomic int told, handlers;

static void echo(weft_ws *ws)
{
    struct weft_ws_message m;
    int state;
    while ((state = weft_ws_read(NULL, ws, &m)) > 0)
        if (weft_ws_write(NULL, ws, m.type, m.data, m.len) < 0)
            break;
    atomic_store(&told, state < 0 ? state : weft_ws_closed(ws, NULL));
}

/* Each piece that comes leaves in a frame of its own. */
static void echo_parts(weft_ws *ws)
{
    char buf[1000];
    int type;
    ssize_t n;
    while (weft_ws_read_begin(NULL, ws, &type) > 0) {
        if (weft_ws_write_begin(NULL, ws, type) < 0)
            return;
        while ((n = weft_ws_read_part(NULL, ws, buf, sizeof buf)) > 0)
            if (weft_ws_write_part(NULL, ws, buf, (size_t)n) < 0)
                return;
        if (n < 0 || weft_ws_write_end(NULL, ws) < 0)
            return;
    }
}

static _Atomic int flooded; /* messages that the socket has taken */

static void flood(weft_ws *ws)
{
    static char data[1 << 16];
    while (weft_ws_write(NULL, ws, WEFT_WS_BINARY, data, sizeof data) == 0)
        atomic_fetch_add(&flooded, 1);
}

/* Writes to a client that does not read, and waits for a word of it. */
static void flood_and_read(weft_ws *ws)
{
    struct weft_ws_message m;
    weft_waitgroup wg = {0};
    weft_waitgroup_go(&wg, flood, ws);
    EXPECT_EQ(weft_ws_read(NULL, ws, &m), 1);
    EXPECT_STR(m.data, "stop");
    atomic_store(&told, 1);
    weft_ws_free(weft_ws_ref(ws));
    weft_waitgroup_wait(&wg);
}

static void handle(weft_http_request *rq, weft_http_writer *w, void *arg)
{
    const char *path = weft_http_request_path(rq);
    weft_ws *ws;
    (void)arg;
    if (strcmp(path, "/moved") == 0) {
        (void)weft_http_reply_field(w, "Location", "/echo");
        weft_http_reply_status(w, 302);
        return;
    }
    if (strcmp(path, "/403") == 0) {
        (void)weft_http_reply_text(w, 403, "text/plain", "no\n");
        return;
    }
    REQUIRE(weft_ws_accept(rq, w, &opts, &ws) == 0);
    weft_defer(weft_ws_free, ws);
    atomic_fetch_add(&handlers, 1);
    EXPECT_EQ(weft_http_reply_write(w, "x", 1), WEFT_ECLOSED);
    if (strcmp(path, "/parts") == 0)
        echo_parts(ws);
    else if (strcmp(path, "/flood") == 0)
        flood_and_read(ws);
    else if (strcmp(path, "/idle") == 0)   /* reads nothing until its client is gone */
        (void)weft_recv_ok(weft_ctx_done(weft_http_request_ctx(rq)), NULL);
    else if (strcmp(path, "/bye") == 0)
        atomic_store(&told, weft_ws_close(NULL, ws, 4001, "enough"));
    else
        echo(ws);
}

static const struct weft_http_server_opts plain = {.handler = handle};

static weft_ws *dial(struct site *s, const char *path)
{
    char url[256], why[200] = "";
    weft_ws *ws = NULL;
    struct weft_ws_opts o = {.message_bytes_max = -1, .timeout = 600 * WEFT_SEC, .reterr_text = why, .reterr_size = sizeof why};
    snprintf(url, sizeof url, "ws%s%s", s->url + 4, path);
    weft_err err = weft_ws_dial(NULL, NULL, url, &o, &ws);
    if (err < 0)
        weft_test_fail(__FILE__, __LINE__, "dial: %s, %s", weft_strerror(err), why);
    REQUIRE(err == 0);
    return ws;
}

static void stop(struct site *s)
{
    weft_http_client_close_idle(NULL);
    site_stop(s);
}

/* Sends n bytes and expects them back. */
static void expect_echo(weft_ws *ws, int type, size_t n)
{
    struct weft_ws_message m;
    char *data = malloc(n + 1);
    for (size_t i = 0; i < n; i++)
        data[i] = (char)('!' + i % 90);
    weft_waitgroup wg = {0};
    weft_waitgroup_go(&wg, weft_ws_write, NULL, ws, type, data, n);   /* beside the reading: neither side holds all of it */
    if (weft_ws_read(NULL, ws, &m) == 1) {
        EXPECT(m.type == type && m.len == n && memcmp(m.data, data, n) == 0 && m.data[n] == '\0');
    } else {
        weft_test_fail(__FILE__, __LINE__, "no echo of %zu bytes", n);
    }
    weft_waitgroup_wait(&wg);
    free(data);
}

TEST(ws_both, messages_of_all_lengths_come_back)
{
    static const size_t sizes[] = {0, 1, 125, 126, 65535, 65536, 32768 - 14, 32768 - 13, 1 << 20, 5000000};
    struct site s;
    site_start(&s, &plain);
    for (int parts = 0; parts < 2; parts++) {
        weft_ws *ws = dial(&s, parts ? "/parts" : "/echo");
        for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
            expect_echo(ws, i & 1 ? WEFT_WS_TEXT : WEFT_WS_BINARY, sizes[i]);
        EXPECT_EQ(weft_ws_close(NULL, ws, WEFT_WS_NORMAL, "done"), 0);
        const char *why;
        EXPECT_EQ(weft_ws_closed(ws, &why), 1000);
        EXPECT_STR(why, "");
        EXPECT_EQ(weft_ws_close(NULL, ws, WEFT_WS_NORMAL, NULL), 0);
        EXPECT_EQ(weft_ws_write(NULL, ws, WEFT_WS_TEXT, "x", 1), WEFT_ECLOSED);
        weft_ws_free(ws);
    }
    stop(&s);
}

TEST(ws_both, a_message_in_parts_is_one_message)
{
    struct site s;
    struct weft_ws_message m;
    char buf[4];
    int type;
    site_start(&s, &plain);
    weft_ws *ws = dial(&s, "/echo");
    for (int round = 0; round < 2; round++) {
        EXPECT_EQ(weft_ws_write_begin(NULL, ws, WEFT_WS_TEXT), 0);
        EXPECT_EQ(weft_ws_write_part(NULL, ws, "caf\xc3", 4), 0);
        EXPECT_EQ(weft_ws_write_end(NULL, ws), WEFT_EINVAL);          /* inside a character: it stays open */
        EXPECT_EQ(weft_ws_write_part(NULL, ws, "\xff", 1), WEFT_EINVAL);
        EXPECT_EQ(weft_ws_write_part(NULL, ws, NULL, 0), 0);
        EXPECT_EQ(weft_ws_write_part(NULL, ws, "\xa9!", 2), 0);
        EXPECT_EQ(weft_ws_write_end(NULL, ws), 0);
        EXPECT_EQ(weft_ws_write_end(NULL, ws), WEFT_ECLOSED);         /* there is none any more */
        if (round == 0) {
            EXPECT_EQ(weft_ws_read(NULL, ws, &m), 1);
            EXPECT(m.type == WEFT_WS_TEXT);
            EXPECT_STR(m.data, "caf\xc3\xa9!");
        }
    }
    EXPECT_EQ(weft_ws_read_begin(NULL, ws, &type), 1);
    EXPECT_EQ(type, WEFT_WS_TEXT);
    EXPECT_EQ(weft_ws_read_part(NULL, ws, buf, 4), 4);
    EXPECT(memcmp(buf, "caf\xc3", 4) == 0);
    EXPECT_EQ(weft_ws_read_part(NULL, ws, buf, 4), 2);
    EXPECT_EQ(weft_ws_read_part(NULL, ws, buf, 4), 0);
    EXPECT_EQ(weft_ws_read_part(NULL, ws, buf, 4), 0);
    EXPECT_EQ(weft_ws_write(NULL, ws, WEFT_WS_BINARY, "first", 5), 0);
    EXPECT_EQ(weft_ws_write(NULL, ws, WEFT_WS_BINARY, "second", 6), 0);
    EXPECT_EQ(weft_ws_read_begin(NULL, ws, &type), 1);                /* and what is left of it is read over */
    EXPECT_EQ(weft_ws_read(NULL, ws, &m), 1);
    EXPECT_STR(m.data, "second");
    weft_ws_free(ws);
    stop(&s);
}

TEST(ws_both, bad_arguments_are_refused_and_change_nothing)
{
    char long_reason[125];
    struct site s;
    struct weft_ws_message m;
    int type;
    site_start(&s, &plain);
    weft_ws *ws = dial(&s, "/echo");
    memset(long_reason, 'r', 124);
    long_reason[124] = '\0';
    EXPECT_EQ(weft_ws_write(NULL, ws, 3, "x", 1), WEFT_EINVAL);
    EXPECT_EQ(weft_ws_write(NULL, ws, WEFT_WS_TEXT, "\xff", 1), WEFT_EINVAL);
    EXPECT_EQ(weft_ws_write_begin(NULL, ws, 0), WEFT_EINVAL);
    EXPECT_EQ(weft_ws_close(NULL, ws, 1005, NULL), WEFT_EINVAL);
    EXPECT_EQ(weft_ws_close(NULL, ws, 1006, NULL), WEFT_EINVAL);
    EXPECT_EQ(weft_ws_close(NULL, ws, 1000, long_reason), WEFT_EINVAL);
    EXPECT_EQ(weft_ws_close(NULL, ws, 1000, "\xc3"), WEFT_EINVAL);
    EXPECT_EQ(weft_ws_close(NULL, ws, 0, "reason without code"), WEFT_EINVAL);
    EXPECT_EQ(weft_ws_read_part(NULL, ws, &m, 0), WEFT_EINVAL);
    EXPECT_EQ(weft_ws_closed(ws, NULL), 0);
    expect_echo(ws, WEFT_WS_TEXT, 10);
    EXPECT_EQ(weft_ws_close(NULL, ws, 1000, long_reason + 1), 0);
    EXPECT_EQ(weft_ws_read_begin(NULL, ws, &type), 0);
    weft_ws_free(ws);
    weft_ws_free(NULL);
    weft_ws_unref(NULL);
    stop(&s);
}

TEST(ws_both, a_read_that_its_context_ends_goes_on_with_the_next)
{
    struct site s;
    struct weft_ws_message m;
    site_start(&s, &plain);
    weft_conn *c = raw_open(&s);
    weft_ws *ws = dial(&s, "/parts");
    weft_ctx *gone = weft_with_timeout(NULL, 1), *soon;
    EXPECT_EQ(weft_ws_read(gone, ws, &m), WEFT_EDEADLINE);
    EXPECT_EQ(weft_ws_write_begin(NULL, ws, WEFT_WS_TEXT), 0);
    for (int i = 0; i < 3; i++) {   /* the echo has the first pieces out; its message has not ended */
        EXPECT_EQ(weft_ws_write_part(NULL, ws, "0123456789", 10), 0);
        soon = weft_with_timeout(NULL, 20 * WEFT_MS);
        EXPECT_EQ(weft_ws_read(soon, ws, &m), WEFT_EDEADLINE);
        weft_ctx_unref(soon);
    }
    EXPECT_EQ(weft_ws_write_end(NULL, ws), 0);
    EXPECT_EQ(weft_ws_read(NULL, ws, &m), 1);
    EXPECT_STR(m.data, "012345678901234567890123456789");
    EXPECT_EQ(weft_ws_write(gone, ws, WEFT_WS_TEXT, "x", 1), WEFT_EDEADLINE);   /* before anything has left */
    EXPECT_EQ(weft_ws_ping(gone, ws), WEFT_EDEADLINE);
    weft_ctx_unref(gone);
    EXPECT_EQ(weft_conn_set_read_deadline(weft_ws_conn(ws), weft_now() + 5 * WEFT_MS), 0);
    EXPECT_EQ(weft_ws_read(NULL, ws, &m), WEFT_EDEADLINE);
    EXPECT_EQ(weft_conn_set_read_deadline(weft_ws_conn(ws), 0), 0);
    expect_echo(ws, WEFT_WS_BINARY, 100);
    EXPECT_EQ(weft_ws_close(NULL, ws, 0, NULL), 0);
    EXPECT_EQ(weft_ws_closed(ws, NULL), 1005);
    weft_ws_free(ws);
    (void)weft_conn_close(c);
    stop(&s);
}

static void read_all(weft_ws *ws, int *ret_count, int *ret_last)
{
    struct weft_ws_message m;
    int state;
    while ((state = weft_ws_read(NULL, ws, &m)) > 0) {
        EXPECT(m.len == 16 || m.len == 30000 || m.len == 40);
        for (size_t i = 1; i < m.len; i++)
            if (m.data[i] != m.data[0])   /* no two messages were mixed */
                weft_test_fail(__FILE__, __LINE__, "a mixed message");
        ++*ret_count;
    }
    *ret_last = state;
}

static void write_many(weft_ws *ws, int who)
{
    char data[16], *large = malloc(30000);
    memset(data, 'a' + who, sizeof data);
    memset(large, 'A' + who, 30000);
    for (int i = 0; i < 50; i++) {
        EXPECT_EQ(weft_ws_write(NULL, ws, WEFT_WS_TEXT, data, sizeof data), 0);
        if (i % 10 == 0)
            EXPECT_EQ(weft_ws_write(NULL, ws, WEFT_WS_BINARY, large, 30000), 0);
        if (i % 5 == 0) {
            EXPECT_EQ(weft_ws_write_begin(NULL, ws, WEFT_WS_TEXT), 0);
            for (int k = 0; k < 4; k++)
                EXPECT_EQ(weft_ws_write_part(NULL, ws, large, 10), 0);
            EXPECT_EQ(weft_ws_write_end(NULL, ws), 0);
        }
        if (i % 7 == 0)
            EXPECT_EQ(weft_ws_ping(NULL, ws), 0);
    }
    free(large);
}

TEST(ws_both, many_may_write_and_ping_while_one_reads)
{
    struct site s;
    int got = 0, last = -1;
    weft_waitgroup readers = {0}, writers = {0};
    site_start(&s, &plain);
    weft_ws *ws = dial(&s, "/echo");
    weft_waitgroup_go(&readers, read_all, ws, &got, &last);
    for (int i = 0; i < 8; i++)
        weft_waitgroup_go(&writers, write_many, ws, i);
    weft_waitgroup_wait(&writers);
    EXPECT_EQ(weft_ws_write(NULL, ws, WEFT_WS_TEXT, "0000000000000000", 16), 0);
    EXPECT_EQ(weft_ws_ping(NULL, ws), 0);   /* the echoes before it have come */
    EXPECT_EQ(weft_ws_close(NULL, ws, 1000, NULL), 0);
    weft_waitgroup_wait(&readers);
    EXPECT(got == 8 * (50 + 5 + 10) + 1);
    EXPECT(last == 0 || last == WEFT_ECLOSED);
    weft_ws_free(ws);
    stop(&s);
}

TEST(ws_both, a_second_reader_is_refused)
{
    struct site s;
    struct weft_ws_message m;
    int got = 0, last = -1;
    weft_waitgroup wg = {0};
    site_start(&s, &plain);
    weft_ws *ws = dial(&s, "/idle");
    weft_waitgroup_go(&wg, read_all, ws, &got, &last);
    test_settle();   /* the other one is inside */
    EXPECT_EQ(weft_ws_read(NULL, ws, &m), WEFT_EBUSY);
    weft_ws_free(weft_ws_ref(ws));
    weft_waitgroup_wait(&wg);
    EXPECT_EQ(last, WEFT_ECLOSED);
    weft_ws_unref(ws);
    stop(&s);
}

TEST(ws_both, a_reader_does_not_wait_for_a_writer_that_is_stuck)
{
    struct site s;
    char head[1024], ask[512];
    static const struct say say[] = {{0x89, "1"}, {0x89, "2"}, {0x81, "stop"}};
    size_t at = 0;
    site_start(&s, &plain);
    weft_conn *c = site_dial(&s);
    snprintf(ask, sizeof ask, "GET /flood%s\r\n", &WS_ASK[9]);
    REQUIRE(weft_conn_write(NULL, c, ask, strlen(ask)) > 0);
    while (at < sizeof head - 1 && (at < 4 || memcmp(head + at - 4, "\r\n\r\n", 4) != 0))
        REQUIRE(weft_conn_read_full(NULL, c, head + at++, 1) == 1);
    for (int before = -1, now; (now = atomic_load(&flooded)) != before; before = now)   /* it stands still */
        weft_sleep(50 * WEFT_MS);
    raw_say(c, say, 3, 0);
    while (!atomic_load(&told))   /* for ever, if the reader's pongs waited */
        weft_sleep(WEFT_MS);
    (void)weft_conn_close(c);
    site_stop(&s);
}

TEST(ws_both, a_ping_ends_with_its_context_or_the_conversation)
{
    struct site s;
    int got = 0, last = -1;
    weft_waitgroup wg = {0};
    site_start(&s, &plain);
    weft_ws *ws = dial(&s, "/idle");   /* nobody answers there */
    weft_waitgroup_go(&wg, read_all, ws, &got, &last);
    weft_ctx *soon = weft_with_timeout(NULL, 10 * WEFT_MS);
    EXPECT_EQ(weft_ws_ping(soon, ws), WEFT_EDEADLINE);
    weft_ctx_unref(soon);
    weft_ctx *ctx = weft_with_cancel(NULL);
    weft_ctx_after *h = weft_ctx_after_func(ctx, (void (*)(void *))weft_ws_free, weft_ws_ref(ws));
    weft_cancel(ctx);
    EXPECT_EQ(weft_ws_ping(NULL, ws), WEFT_ECLOSED);
    (void)h;
    weft_waitgroup_wait(&wg);
    weft_ctx_unref(ctx);
    weft_ws_free(ws);
    stop(&s);
}

TEST(ws_both, a_close_by_the_server_is_answered_and_told)
{
    struct site s;
    struct weft_ws_message m;
    const char *why;
    site_start(&s, &plain);
    weft_ws *ws = dial(&s, "/bye");
    EXPECT_EQ(weft_ws_read(NULL, ws, &m), 0);
    EXPECT_EQ(weft_ws_closed(ws, &why), 4001);
    EXPECT_STR(why, "enough");
    EXPECT_EQ(weft_ws_read(NULL, ws, &m), 0);
    EXPECT_EQ(weft_ws_ping(NULL, ws), WEFT_ECLOSED);
    EXPECT_EQ(weft_ws_write(NULL, ws, WEFT_WS_TEXT, "x", 1), WEFT_ECLOSED);
    weft_ws_free(ws);
    stop(&s);
    EXPECT_EQ(atomic_load(&told), 0);   /* its close was answered */
}

TEST(ws_both, a_close_that_nobody_answers_ends_with_its_context)
{
    struct site s;
    site_start(&s, &plain);
    weft_ws *ws = dial(&s, "/idle");
    weft_ctx *soon = weft_with_timeout(NULL, 20 * WEFT_MS);
    EXPECT_EQ(weft_ws_close(soon, ws, 1000, NULL), WEFT_EDEADLINE);
    weft_ctx_unref(soon);
    EXPECT_EQ(weft_ws_close(NULL, ws, 1000, NULL), WEFT_ECLOSED);
    weft_ws_free(ws);
    stop(&s);
}

TEST(ws_both, shutdown_says_goodbye_with_1001)
{
    struct site s;
    struct weft_ws_message m;
    weft_ws *ws[5];
    site_start(&s, &plain);
    for (int i = 0; i < 5; i++)
        ws[i] = dial(&s, "/echo");
    while (atomic_load(&handlers) < 5)
        weft_sleep(WEFT_MS);
    weft_waitgroup wg = {0};
    weft_waitgroup_go(&wg, stop, &s);
    for (int i = 0; i < 5; i++) {
        EXPECT_EQ(weft_ws_read(NULL, ws[i], &m), 0);
        EXPECT_EQ(weft_ws_closed(ws[i], NULL), 1001);
    }
    weft_waitgroup_wait(&wg);
    EXPECT_EQ(atomic_load(&told), 1001);   /* the answer in kind */
    for (int i = 0; i < 5; i++)
        weft_ws_free(ws[i]);
}

TEST(ws_both, shutdown_whose_time_is_up_cuts_conversations_off)
{
    struct site s;
    struct weft_ws_message m;
    site_start(&s, &plain);
    weft_ws *ws = dial(&s, "/echo");
    while (!atomic_load(&handlers))
        weft_sleep(WEFT_MS);
    weft_ctx *ctx = weft_with_timeout(NULL, 10 * WEFT_MS);
    EXPECT_EQ(weft_http_server_shutdown(ctx, s.server), WEFT_EDEADLINE);   /* nobody reads here: no answer */
    weft_ctx_unref(ctx);
    weft_waitgroup_wait(&s.wg);
    weft_http_server_free(s.server);
    int state = weft_ws_read(NULL, ws, &m);
    EXPECT(state == 0 || state == WEFT_EEOF || state == -ECONNRESET);
    weft_ws_free(ws);
    weft_http_client_close_idle(NULL);
}

TEST(ws_both, subprotocols_redirects_and_refusals)
{
    struct site s;
    weft_ws *ws;
    char url[256], why[100];
    int status = 0;
    struct weft_ws_opts o = {.protocols = "x, a", .timeout = 600 * WEFT_SEC, .reterr_text = why, .reterr_size = sizeof why, .ret_status = &status};
    site_start(&s, &plain);
    snprintf(url, sizeof url, "%s/moved", s.url);
    REQUIRE(weft_ws_dial(NULL, NULL, url, &o, &ws) == 0);
    EXPECT_STR(weft_ws_protocol(ws), "a");
    EXPECT_EQ(weft_ws_close(NULL, ws, 1000, NULL), 0);
    weft_ws_free(ws);
    o.protocols = "x, y";
    REQUIRE(weft_ws_dial(NULL, NULL, url, &o, &ws) == 0);
    EXPECT_STR(weft_ws_protocol(ws), "");
    weft_ws_free(ws);
    snprintf(url, sizeof url, "%s/403", s.url);
    EXPECT_EQ(weft_ws_dial(NULL, NULL, url, &o, &ws), WEFT_EPROTO);
    EXPECT_EQ(status, 403);
    EXPECT_STR(why, "WebSocket: the server answered 403");
    o.protocols = "x, x";
    EXPECT_EQ(weft_ws_dial(NULL, NULL, url, &o, &ws), WEFT_EINVAL);
    o.protocols = "a b";
    EXPECT_EQ(weft_ws_dial(NULL, NULL, url, &o, &ws), WEFT_EINVAL);
    o.protocols = NULL;
    EXPECT_EQ(weft_ws_dial(NULL, NULL, "ftp://h/", &o, &ws), WEFT_EUNSUPPORTED);
    EXPECT_EQ(weft_ws_dial(NULL, NULL, NULL, &o, &ws), WEFT_EADDR);
    stop(&s);
}

/* ---- our client against bytes ---- */

#define ANSWER(more) "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" more "\r\n"

TEST(ws_both, answers_that_do_not_fit_are_refused)
{
    struct peer p;
    weft_ws *ws;
    char why[100];
    struct weft_ws_opts o = {.timeout = 600 * WEFT_SEC, .reterr_text = why, .reterr_size = sizeof why};
    PEER_START(&p, {ANSWER("")}, {ANSWER("Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n")}, {"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"},
               {"HTTP/1.1 101 Switching\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n"}, {NULL, true});
    for (int i = 0; i < 4; i++)
        EXPECT_EQ(weft_ws_dial(NULL, NULL, p.url, &o, &ws), WEFT_EPROTO);
    EXPECT_EQ(weft_ws_dial(NULL, NULL, p.url, &o, &ws), WEFT_EEOF);
    EXPECT_EQ(atomic_load(&p.conns), 5);   /* a connection for each: none is used again */
    EXPECT(strstr(p.last, "\r\nUpgrade: websocket\r\n") && strstr(p.last, "\r\nConnection: Upgrade\r\n"));
    EXPECT(strstr(p.last, "\r\nSec-WebSocket-Version: 13\r\n") && !strstr(p.last, "Accept-Encoding"));
    weft_http_client_close_idle(NULL);
    peer_stop(&p);
}

/* A server of bytes: takes one connection, answers its handshake, says the bytes, and writes down what comes. */
struct bytes_server {
    weft_listener *ln;
    const char *say;
    size_t say_len;
    const char *heard;
    bool masked;
    char key[64];
};

/* What a server answers to a key; by a server of ours that is asked with it. */
static void bytes_serve(struct bytes_server *b)
{
    char head[2048], text[256], ask[512];
    weft_conn *c;
    struct site s;
    size_t n = 0;
    REQUIRE(weft_accept(NULL, b->ln, &c) == 0);
    while (n < 4 || memcmp(head + n - 4, "\r\n\r\n", 4) != 0)
        REQUIRE(weft_conn_read_full(NULL, c, head + n++, 1) == 1);
    head[n] = '\0';
    const char *key = strstr(head, "Sec-WebSocket-Key: ") + 19;
    site_start(&s, &plain);
    weft_conn *d = site_dial(&s);
    snprintf(ask, sizeof ask, "GET /idle HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
             "Sec-WebSocket-Key: %.24s\r\n\r\n", key);
    REQUIRE(weft_conn_write(NULL, d, ask, strlen(ask)) > 0);
    for (n = 0; n < 4 || memcmp(head + n - 4, "\r\n\r\n", 4) != 0;)
        REQUIRE(weft_conn_read_full(NULL, d, head + n++, 1) == 1);
    head[n] = '\0';
    (void)weft_conn_close(d);
    site_stop(&s);
    size_t len = (size_t)snprintf(text, sizeof text, ANSWER("Sec-WebSocket-Accept: %.28s\r\n"), strstr(head, "Accept: ") + 8);
    memcpy(head, text, len);
    memcpy(head + len, b->say, b->say_len);
    REQUIRE(weft_conn_write(NULL, c, head, len + b->say_len) > 0);   /* together: frames may come with the answer */
    b->heard = raw_transcript(c);
    (void)weft_conn_close(c);
}

static const char *client_meets(const char *say, size_t n, int *ret_last)
{
    static struct bytes_server b;
    weft_ws *ws;
    weft_waitgroup wg = {0};
    char url[WEFT_ADDR_TEXT + 16] = "ws://";
    struct weft_ws_opts o = {.timeout = 600 * WEFT_SEC};
    int got = 0;
    b = (struct bytes_server){.say = say, .say_len = n};
    REQUIRE(weft_listen(&b.ln, "tcp", "127.0.0.1:0") == 0);
    REQUIRE(weft_listener_addr(b.ln, url + 5, WEFT_ADDR_TEXT) > 0);
    weft_waitgroup_go(&wg, bytes_serve, &b);
    REQUIRE(weft_ws_dial(NULL, NULL, url, &o, &ws) == 0);
    read_all(ws, &got, ret_last);
    weft_ws_free(ws);
    weft_waitgroup_wait(&wg);
    (void)weft_listener_close(b.ln);
    return b.heard;
}

TEST(ws_both, a_client_refuses_what_a_server_may_not_send)
{
    static const struct {
        const char *say;
        size_t n;
        const char *heard;
        int last;
    } table[] = {
        {"\x81\x85\x01\x02\x03\x04hello", 11, "88:1002 eof", WEFT_EPROTO},   /* masked */
        {"\x89\x80\x01\x02\x03\x04", 6, "88:1002 eof", WEFT_EPROTO},
        {"\xc1\x01x", 3, "88:1002 eof", WEFT_EPROTO},                        /* an extension nobody agreed on */
        {"\x81\x10" "aaaaaaaaaaaaaaaa\x81\x01\xff", 21, "88:1007 eof", WEFT_EPROTO},
        {"\x82\x7f\0\0\0\0\0\x10\0\0", 10, "88:1009 eof", WEFT_ETOOBIG},     /* past 32 KiB */
        {"\x89\x02hi\x88\x02\x03\xe9", 8, "8a:hi 88:1001 eof", 0},
        {"\x88\x00", 2, "88: eof", 0},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        int last = -1;
        EXPECT_STR(client_meets(table[i].say, table[i].n, &last), table[i].heard);
        EXPECT_EQ(last, table[i].last);
    }
    weft_http_client_close_idle(NULL);
}

/* ---- hijacking ---- */

static void reverse(weft_http_request *rq, weft_http_writer *w, void *arg)
{
    weft_conn *c;
    const void *read;
    size_t n;
    char buf[64];
    (void)arg;
    if (strcmp(weft_http_request_path(rq), "/late") == 0) {
        (void)weft_http_reply_write(w, "begun", 5);
        EXPECT_EQ(weft_http_hijack(w, &c, &read, &n), WEFT_EINVAL);
        return;
    }
    if (weft_http_request_content_length(rq)) {
        EXPECT_EQ(weft_http_hijack(w, &c, &read, &n), WEFT_EINVAL);   /* its body is not read */
        EXPECT_EQ(weft_http_request_read(rq, buf, sizeof buf), 3);
        EXPECT_EQ(weft_http_request_read(rq, buf, sizeof buf), 0);
    }
    if (strcmp(weft_http_request_path(rq), "/switch") == 0) {
        weft_http_reply_status(w, 101);
        (void)weft_http_reply_field(w, "Upgrade", "reverse");
        EXPECT_EQ(weft_http_reply_flush(w), 0);
    }
    REQUIRE(weft_http_hijack(w, &c, &read, &n) == 0);
    EXPECT_EQ(weft_http_hijack(w, &c, &read, &n), WEFT_EINVAL);
    EXPECT_EQ(weft_http_reply_flush(w), WEFT_ECLOSED);
    REQUIRE(n < sizeof buf);
    memcpy(buf, read, n);
    while (n < 5) {
        ssize_t r = weft_conn_read(NULL, c, buf + n, 5 - n);
        REQUIRE(r > 0);
        n += (size_t)r;
    }
    for (size_t i = 0; i < n / 2; i++) {
        char t = buf[i];
        buf[i] = buf[n - 1 - i];
        buf[n - 1 - i] = t;
    }
    (void)weft_conn_write(NULL, c, buf, n);
    if (strcmp(weft_http_request_path(rq), "/panic") == 0) {
        (void)weft_conn_close(c);
        weft_panic("after all");
    }
    (void)weft_conn_close(c);
}

TEST(ws_both, a_handler_may_take_the_connection)
{
    static const struct weft_http_server_opts o = {.handler = reverse};
    struct site s;
    site_start(&s, &o);
    EXPECT_STR(ask_raw(&s, GET("/") "abcde", 0), "edcba");
    EXPECT_STR(ask_raw(&s, GET("/panic") "abcde", 0), "edcba");
    EXPECT_STR(ask_raw(&s, "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nxyzabcde", 0), "edcba");
    const char *out = ask_raw(&s, GET("/late") GET("/") "abcde", 0);   /* the answer before it leaves first */
    EXPECT(strstr(out, "\r\n\r\nbegunedcba") != NULL);
    out = ask_raw(&s, GET("/switch") "abcde", 0);
    EXPECT(strncmp(out, "HTTP/1.1 101 Switching Protocols\r\n", 34) == 0);
    EXPECT(strstr(out, "\r\nUpgrade: reverse\r\n\r\nedcba") != NULL);
    weft_http_response *r;
    weft_conn *c;
    const void *read;
    size_t n;
    char url[256], buf[8] = "";
    snprintf(url, sizeof url, "%s/switch", s.url);
    struct weft_http_call call = {.url = url, .upgrade = "reverse", .timeout = 600 * WEFT_SEC};
    REQUIRE(weft_http_do(NULL, NULL, &call, &r) == 0);
    EXPECT_EQ(weft_http_status(r), 101);
    REQUIRE(weft_http_response_hijack(r, &c, &read, &n) == 0);
    EXPECT_EQ(n, 0);
    EXPECT_EQ(weft_http_response_hijack(r, &c, &read, &n), WEFT_EINVAL);
    weft_http_response_free(r);
    EXPECT_EQ(weft_conn_write(NULL, c, "12345", 5), 5);
    EXPECT_EQ(weft_conn_read_full(NULL, c, buf, 5), 5);
    EXPECT_STR(buf, "54321");
    (void)weft_conn_close(c);
    call.method = "POST";
    EXPECT_EQ(weft_http_do(NULL, NULL, &call, &r), WEFT_EINVAL);
    stop(&s);
}

/* ---- TLS, HTTP/2 ---- */

TEST(ws_both, wss_works_beside_http2)
{
    struct site s;
    struct cert cert;
    cert_make(&cert);
    struct weft_tls_config tls = {.cert_file = cert.crt, .key_file = cert.key}, trust = {.ca_file = cert.crt};
    struct weft_http_server_opts o = {.handler = handle, .tls = &tls};
    struct weft_http_client_opts co = {.tls = &trust, .http2 = WEFT_HTTP2_TLS};
    char url[256];
    weft_ws *ws;
    struct weft_ws_opts wo = {.message_bytes_max = -1};
    site_start(&s, &o);
    weft_http_client *c = client_with(&co);
    snprintf(url, sizeof url, "wss%s/echo", s.url + 4);
    REQUIRE(weft_ws_dial(NULL, c, url, &wo, &ws) == 0);
    expect_echo(ws, WEFT_WS_TEXT, 10);
    expect_echo(ws, WEFT_WS_BINARY, 300000);
    expect_echo(ws, WEFT_WS_TEXT, 32768);
    EXPECT_EQ(weft_ws_close(NULL, ws, 1000, NULL), 0);
    weft_ws_free(ws);
    weft_http_client_free(c);
    site_stop(&s);
    cert_drop(&cert);
}
