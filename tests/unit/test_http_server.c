/* The HTTP server against raw clients and our own. Source: RFC 9110, 9112; Go net/http. */
#include "http/server_int.h"
#include "http_site.h"

static _Atomic int waiting; /* handlers of /ctx that have begun */

static void handle(weft_http_request *rq, weft_http_writer *w, void *arg)
{
    (void)arg;
    const char *path = weft_http_request_path(rq);
    char buf[9000];
    if (strcmp(path, "/hello") == 0) {
        (void)weft_http_reply_text(w, 200, "text/plain", "hello\n");
    } else if (strcmp(path, "/echo") == 0) {
        ssize_t n;
        while ((n = weft_http_request_read(rq, buf, sizeof buf)) > 0)
            if (weft_http_reply_write(w, buf, (size_t)n) < 0)
                return;
        if (n < 0)
            weft_http_reply_status(w, n == WEFT_ETOOBIG ? 413 : 400);
    } else if (strcmp(path, "/what") == 0) {
        const char *q = weft_http_request_query(rq), *x = weft_http_request_header(rq, "x-a");
        snprintf(buf, sizeof buf, "%s|%s|%s|%s|%s|%d|%lld", weft_http_request_method(rq), weft_http_request_target(rq), path,
                 q ? q : "-", x ? x : "-", weft_http_request_version(rq), (long long)weft_http_request_content_length(rq));
        (void)weft_http_reply_text(w, 200, "text/plain", buf);
    } else if (strncmp(path, "/big", 4) == 0) {   /* 100,000 bytes, stated or not */
        if (path[4] == 'l')
            weft_http_reply_length(w, 100000);
        memset(buf, 'x', sizeof buf);
        for (int i = 0; i < 100; i++)
            (void)weft_http_reply_write(w, buf, 1000);
    } else if (strcmp(path, "/short") == 0) {
        weft_http_reply_length(w, 10);
        (void)weft_http_reply_write(w, "abc", 3);
    } else if (strcmp(path, "/over") == 0) {
        weft_http_reply_length(w, 2);
        EXPECT_EQ(weft_http_reply_write(w, "abc", 3), WEFT_EINVAL);
    } else if (strcmp(path, "/panic") == 0) {
        EXPECT_EQ(weft_http_reply_write(w, NULL, 0), 0);
        (void)weft_http_reply_text(w, 200, "text/plain", "half");
        weft_panic("handler %d", 7);
    } else if (strcmp(path, "/panic_late") == 0) {
        (void)weft_http_reply_write(w, "half", 4);
        (void)weft_http_reply_flush(w);
        weft_panic("late");
    } else if (strcmp(path, "/goexit") == 0) {
        weft_goexit();
    } else if (strcmp(path, "/slow") == 0) {
        weft_sleep(50 * WEFT_MS);
        (void)weft_http_reply_text(w, 200, "text/plain", "slow\n");
    } else if (strcmp(path, "/ctx") == 0) {
        atomic_fetch_add(&waiting, 1);
        (void)weft_recv_ok(weft_ctx_done(weft_http_request_ctx(rq)), NULL);
        (void)weft_http_reply_text(w, 200, "text/plain", "cancelled\n");
    } else if (strcmp(path, "/nothing") == 0) {
        return;
    } else {
        (void)weft_http_reply_text(w, 404, "text/plain", "no\n");
    }
}

static const struct weft_http_server_opts plain = {.handler = handle};


TEST(http_server, pipelined_requests_are_answered_in_order)
{
    struct site s;
    site_start(&s, &plain);
    const char *out = ask_raw(&s, GET("/hello") "POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc" GET("/nothing")
                              "POST /hello HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n"
                                  "\r\n" LAST("/what?a"), 0);
    EXPECT_EQ(count(out, "HTTP/1.1 200 OK\r\n"), 5);
    EXPECT_EQ(count(out, "\r\n\r\nhello\n"), 2);
    EXPECT(strstr(out, "Content-Length: 3\r\n\r\nabcHTTP/1.1"));
    EXPECT(strstr(out, "Content-Length: 0\r\n\r\nHTTP/1.1"));
    EXPECT(strstr(out, "Connection: close\r\nContent-Type: text/plain\r\n\r\nGET|/what?a|/what|a|-|11|0"));
    EXPECT(strstr(out, " GMT\r\n"));
    site_stop(&s);
}

TEST(http_server, our_client_and_server_agree)
{
    struct site s;
    site_start(&s, &plain);
    weft_http_client *c = client_with(NULL);
    char url[256], body[64];
    for (int i = 0; i < 3; i++) {
        snprintf(url, sizeof url, "%s/hello", s.url);
        EXPECT_EQ(fetch(c, url, body, sizeof body), 200);
        EXPECT_STR(body, "hello\n");
    }
    for (int i = 0; i < 2; i++) {   /* chunked, then stated */
        weft_http_response *r;
        char *all;
        size_t len;
        snprintf(url, sizeof url, i ? "%s/bigl" : "%s/bigc", s.url);
        REQUIRE(weft_http_get(NULL, c, url, &r) == 0);
        EXPECT_EQ(weft_http_content_length(r), i ? 100000 : -1);
        EXPECT_EQ(weft_http_body_read_all(NULL, r, 0, &all, &len), 0);
        EXPECT(len == 100000 && strspn(all, "x") == len);
        struct weft_http_times t;
        weft_http_times(r, &t);
        EXPECT(t.reused);
        free(all);
        weft_http_response_free(r);
    }
    char *data = malloc(1 << 20), *back;
    memset(data, 'd', 1 << 20);
    data[12345] = 'e';
    snprintf(url, sizeof url, "%s/echo", s.url);
    weft_http_response *r;
    size_t len;
    struct weft_http_call call = {.method = "PUT", .url = url, .body = data, .body_len = 1 << 16};
    REQUIRE(weft_http_do(NULL, c, &call, &r) == 0);
    EXPECT_EQ(weft_http_body_read_all(NULL, r, 0, &back, &len), 0);
    EXPECT(len == 1 << 16 && memcmp(back, data, len) == 0);
    free(back);
    free(data);
    weft_http_response_free(r);
    weft_http_client_free(c);
    site_stop(&s);
}

TEST(http_server, requests_that_could_be_read_two_ways_are_refused)
{
    static const struct {
        const char *request, *status;
    } bad[] = {
        {"nonsense\r\n\r\n", "400"},
        {"GET /hello HTTP/1.1\r\n\r\n", "400"},
        {"GET /hello HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", "400"},
        {"GET hello HTTP/1.1\r\nHost: a\r\n\r\n", "400"},
        {"GET /hello HTTP/1.1\r\nHost: a\r\nX : y\r\n\r\n", "400"},
        {"GET /hello HTTP/1.1\r\nHost: a\r\nX: y\r\n z\r\n\r\n", "400"},
        {"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "400"},
        {"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd", "400"},
        {"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: +3\r\n\r\nabc", "400"},
        {"POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", "501"},
        {"CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n", "501"},
        {"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nExpect: magic\r\n\r\nabc", "417"},
        {"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999\r\n\r\n", "413"},
    };
    struct site s;
    site_start(&s, &plain);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        const char *out = ask_raw(&s, bad[i].request, 0);
        char want[32];
        snprintf(want, sizeof want, "HTTP/1.1 %s ", bad[i].status);
        if (strncmp(out, want, strlen(want)) != 0 || !strstr(out, "Connection: close\r\n") || count(out, "HTTP/1.1") != 1)
            weft_test_fail(__FILE__, __LINE__, "%s: answered %s", bad[i].request, out);
    }
    site_stop(&s);
}

TEST(http_server, what_is_unusual_but_right_is_served)
{
    struct site s;
    site_start(&s, &plain);
    EXPECT(strstr(ask_raw(&s, "\r\nGET http://other/what?q HTTP/1.1\r\nHost: h\r\nX-A:  v \r\nConnection: Upgrade, close\r\n"
                              "Upgrade: h2c\r\n\r\n", 0), "GET|http://other/what?q|/what|q|v|11|0"));
    const char *out = ask_raw(&s, "GET /what HTTP/1.0\r\n\r\n", 0);
    EXPECT(strstr(out, "Connection: close\r\n") && strstr(out, "GET|/what|/what|-|-|10|0"));
    out = ask_raw(&s, "GET /hello HTTP/1.0\r\nConnection: keep-alive\r\n\r\nGET /bigc HTTP/1.0\r\n\r\n", 0);
    EXPECT(strstr(out, "Connection: keep-alive\r\n"));
    EXPECT_EQ(count(out, "HTTP/1.1 200 OK\r\n"), 2);
    EXPECT(!strstr(out, "chunked") && strlen(out) > 50000);
    out = ask_raw(&s, "HEAD /hello HTTP/1.1\r\nHost: h\r\n\r\nHEAD /bigl HTTP/1.1\r\nHost: h\r\n\r\n" LAST("/nope"), 0);
    EXPECT(strstr(out, "Content-Length: 6\r\n") && strstr(out, "Content-Length: 100000\r\n") && !strstr(out, "hello\n"));
    EXPECT(strstr(out, "HTTP/1.1 404 Not Found\r\n"));
    site_stop(&s);
}

TEST(http_server, lengths_that_a_handler_breaks_break_the_connection)
{
    struct site s;
    site_start(&s, &plain);
    const char *out = ask_raw(&s, GET("/short") GET("/hello"), 0);
    EXPECT(strstr(out, "Content-Length: 10\r\n") && strstr(out, "\r\n\r\nabc") && count(out, "HTTP/1.1") == 1);
    EXPECT_STR(ask_raw(&s, GET("/over") GET("/hello"), 0), "");
    site_stop(&s);
}

TEST(http_server, a_panic_is_a_500_and_the_server_lives)
{
    struct site s;
    site_start(&s, &plain);
    const char *out = ask_raw(&s, GET("/panic") GET("/hello"), 0);
    EXPECT(strncmp(out, "HTTP/1.1 500 ", 13) == 0 && !strstr(out, "half") && count(out, "HTTP/1.1") == 1);
    out = ask_raw(&s, GET("/panic_late"), 0);
    EXPECT(strstr(out, "\r\n\r\n4\r\nhalf\r\n") && !strstr(out, "0\r\n\r\n"));
    EXPECT_STR(ask_raw(&s, GET("/goexit"), 0), "");
    EXPECT(strstr(ask_raw(&s, LAST("/hello"), 0), "hello"));
    site_stop(&s);
}

TEST(http_server, a_client_that_expects_100_is_told_to_go_on)
{
    struct site s;
    site_start(&s, &plain);
    weft_conn *c = site_dial(&s);
    char buf[1024];
    const char *head = "POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\nExpect: 100-continue\r\nConnection: close\r\n\r\n";
    (void)weft_conn_write(NULL, c, head, strlen(head));
    ssize_t n = weft_conn_read(NULL, c, buf, sizeof buf - 1);
    REQUIRE(n > 0);
    buf[n] = '\0';
    EXPECT_STR(buf, "HTTP/1.1 100 Continue\r\n\r\n");
    (void)weft_conn_write(NULL, c, "data", 4);
    n = weft_conn_read_full(NULL, c, buf, 15);
    EXPECT(n == 15 && memcmp(buf, "HTTP/1.1 200 OK", 15) == 0);
    (void)weft_conn_close(c);
    /* A handler that does not read refuses: no 100, and the connection ends as the body may or may not come. */
    const char *out = ask_raw(&s, "POST /hello HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n", 0);
    EXPECT(strncmp(out, "HTTP/1.1 200 OK\r\n", 17) == 0);
    site_stop(&s);
}

TEST(http_server, what_is_wrong_behind_the_limit_of_a_head_is_not_looked_at)
{
    struct site s;
    struct weft_http_server_opts o = plain;
    o.head_bytes_max = 200;
    site_start(&s, &o);
    char line[400];
    for (int wrong_at = 150; wrong_at < 300; wrong_at += 100) {
        memset(line, 'a', sizeof line);
        memcpy(line, "GET /", 5);
        memcpy(line + wrong_at, " P/49.1\r\n\r\n", 11);
        EXPECT(strncmp(ask_raw(&s, line, (size_t)wrong_at + 11), wrong_at < 200 ? "HTTP/1.1 400 " : "HTTP/1.1 431 ", 13) == 0);
    }
    site_stop(&s);
}

TEST(http_server, limits_answer_with_their_status)
{
    struct site s;
    struct weft_http_server_opts o = plain;
    o.head_bytes_max = 20000;
    o.body_bytes_max = 10;
    site_start(&s, &o);
    static char big[40000];
    size_t n = (size_t)snprintf(big, sizeof big, "GET /hello HTTP/1.1\r\nHost: h\r\nX: ");
    memset(big + n, 'x', sizeof big - n);
    EXPECT(strncmp(ask_raw(&s, big, sizeof big), "HTTP/1.1 431 ", 13) == 0);
    memcpy(big + 18000, "\r\nConnection: close\r\n\r\n", 23);
    EXPECT(strstr(ask_raw(&s, big, 18023), "hello"));
    EXPECT(strncmp(ask_raw(&s, "POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 11\r\n\r\n", 0), "HTTP/1.1 413 ", 13) == 0);
    const char *out = ask_raw(&s, "POST /echo HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n8\r\n"
        "12345678\r\n8\r\n12345678\r\n0\r\n\r\n", 0);
    EXPECT(count(out, "HTTP/1.1") == 1);
    site_stop(&s);
}

TEST(http_server, slow_heads_and_idle_connections_are_ended)
{
    struct site s;
    struct weft_http_server_opts o = plain;
    const char *out;
    o.head_timeout = 30 * WEFT_MS;
    site_start(&s, &o);
    EXPECT(strncmp(ask_raw(&s, "GET /hello HT", 0), "HTTP/1.1 408 ", 13) == 0);
    site_stop(&s);
    o = plain;
    o.idle_timeout = 100 * WEFT_MS;
    site_start(&s, &o);
    do                                        /* answered, then closed as idle */
        out = ask_raw(&s, GET("/hello"), 0);
    while (!*out);                            /* again where the bytes took so long that it was closed before */
    EXPECT_EQ(count(out, "HTTP/1.1 200"), 1);
    site_stop(&s);
}

static void fetch_into(struct site *s, const char *path, int *ret_status, weft_http_client *c)
{
    char url[256], body[64];
    snprintf(url, sizeof url, "%s%s", s->url, path);
    *ret_status = fetch(c, url, body, sizeof body);
}

TEST(http_server, shutdown_lets_requests_under_way_finish)
{
    struct site s;
    struct weft_http_server_opts o = plain;
    o.accept_silent = true;                /* or the idle one may never be accepted: only its own TCP would tell it, in 15 s */
    site_start(&s, &o);
    weft_http_client *c = client_with(NULL);
    weft_conn *idle = site_dial(&s);
    int status = 0, first = 0;
    fetch_into(&s, "/hello", &first, c);   /* its connection is idle now */
    weft_waitgroup wg = {0};
    weft_waitgroup_go(&wg, fetch_into, &s, "/slow", &status, c);
    weft_sleep(10 * WEFT_MS);              /* so that the slow request has most likely begun */
    site_stop(&s);
    weft_waitgroup_wait(&wg);
    EXPECT_EQ(first, 200);
    EXPECT(status == 200 || status == -ECONNREFUSED || status == WEFT_EEOF || status == -ECONNRESET);
    char byte;
    EXPECT(weft_conn_read(NULL, idle, &byte, 1) <= 0);
    (void)weft_conn_close(idle);
    weft_http_client_free(c);
}

static void serve_one(weft_http_server *server, weft_listener *ln, weft_waitgroup *wg)
{
    EXPECT_EQ(weft_http_serve(NULL, server, ln), 0);
    weft_waitgroup_done(wg);
}

static bool accepts(weft_http_server *server)
{
    weft__lock(&server->lock);
    bool yes = server->serving != 0;
    weft__unlock(&server->lock);
    return yes;
}

/* The server's memory is somebody else's as soon as shutdown has returned: an accept loop that came back later would take a
 * lock that nobody lets go, or leave its traces. */
TEST_ENV(http_server, shutdown_leaves_no_accept_loop_behind, "WEFT_PROCS=1")
{
    static unsigned char want[sizeof(struct weft_http_server)];

    memset(want, 0xff, sizeof want);
    for (int i = 0; i < 50; i++) {
        weft_http_server *server;
        weft_listener *ln;
        weft_waitgroup wg = {0};
        REQUIRE(weft_http_server_new(&plain, &server) == 0);
        REQUIRE(weft_listen(&ln, "tcp", "127.0.0.1:0") == 0);
        weft_waitgroup_add(&wg, 1);
        weft_go(serve_one, server, ln, &wg);
        while (!accepts(server))
            weft_yield();
        if (i % 2 == 1)
            weft_sleep(100 * WEFT_US);
        EXPECT_EQ(weft_http_server_shutdown(NULL, server), 0);
        weft_http_server_free(server);
        void *other = malloc(sizeof want); /* most likely there */
        REQUIRE(other != NULL);
        memset(other, 0xff, sizeof want);
        weft_waitgroup_wait(&wg);
        EXPECT(memcmp(other, want, sizeof want) == 0);
        free(other);
    }
}

TEST(http_server, shutdown_out_of_patience_cancels_handlers_and_closes)
{
    struct site s;
    site_start(&s, &plain);
    weft_http_client *c = client_with(NULL);
    int status = 0;
    weft_waitgroup wg = {0};
    weft_waitgroup_go(&wg, fetch_into, &s, "/ctx", &status, c);
    while (atomic_load(&waiting) == 0)
        weft_sleep(WEFT_MS);
    weft_ctx *ctx = weft_with_timeout(NULL, 20 * WEFT_MS);
    EXPECT_EQ(weft_http_server_shutdown(ctx, s.server), WEFT_EDEADLINE);
    weft_ctx_unref(ctx);
    weft_waitgroup_wait(&s.wg);
    weft_waitgroup_wait(&wg);
    EXPECT(status < 0);
    weft_http_server_free(s.server);
    weft_http_client_free(c);
}

TEST(http_server, connections_stay_within_their_limit)
{
    struct site s;
    struct weft_http_server_opts o = plain;
    o.conns_max = 2;
    site_start(&s, &o);
    weft_http_client *c = client_with(&(struct weft_http_client_opts){.idle_per_host_max = -1});
    int status[10] = {0};
    weft_waitgroup wg = {0};
    for (int i = 0; i < 10; i++)
        weft_waitgroup_go(&wg, fetch_into, &s, "/hello", &status[i], c);
    weft_waitgroup_wait(&wg);
    for (int i = 0; i < 10; i++)
        EXPECT_EQ(status[i], 200);
    weft_http_client_free(c);
    site_stop(&s);
}

/* One goroutine of the mix: calls that end well, run out of time, are cancelled, or are dropped half read. */
static void mix(struct site *s, weft_http_client *c, unsigned seed, atomic_int *ret_good)
{
    static const char *const paths[] = {"/hello", "/bigc", "/bigl", "/slow", "/panic", "/short", "/goexit", "/nothing"};
    for (int i = 0; i < 30; i++) {
        char url[256];
        weft_http_response *r;
        const void *piece;
        seed = seed * 1103515245 + 12345;
        snprintf(url, sizeof url, "%s%s", s->url, paths[(seed >> 16) % 8]);
        weft_ctx *ctx = (seed >> 20) % 4 ? NULL : weft_with_timeout(NULL, (seed >> 8) % 3000 * WEFT_US);
        struct weft_http_call call = {.url = url, .timeout = (seed >> 21) % 4 ? 20 * WEFT_SEC : (seed >> 7) % 3000 * WEFT_US + 1};
        if (weft_http_do(ctx, c, &call, &r) == 0) {
            ssize_t n = 1;
            for (int k = 0; n > 0 && k < (int)((seed >> 24) % 20); k++)
                n = weft_http_body_next(ctx, r, &piece);
            if (n == 0)
                atomic_fetch_add(ret_good, 1);
            weft_http_response_free(r);
        }
        weft_ctx_unref(ctx);
    }
}

TEST_SLOW(http_server, calls_that_end_in_every_way_leave_nothing_behind, 120)
{
    enum { N = 60 };
    struct site s;
    site_start(&s, &plain);
    weft_http_client *c = client_with(&(struct weft_http_client_opts){.idle_max = 20, .conns_per_host_max = 40});
    weft_waitgroup wg = {0};
    atomic_int good = 0;
    for (unsigned i = 0; i < N; i++)
        weft_waitgroup_go(&wg, mix, &s, c, i * 7919, &good);
    weft_waitgroup_wait(&wg);
    EXPECT(atomic_load(&good) > N);
    weft_http_client_free(c);
    site_stop(&s);
}

/* Waits for its context; says through arg that it began, and how it ended. */
struct waiter {
    weft_chan(char) began;
    weft_chan(weft_err) ended;
    bool read_body;
};

static void handle_wait(weft_http_request *rq, weft_http_writer *w, void *arg)
{
    struct waiter *t = arg;
    weft_ctx *ctx = weft_http_request_ctx(rq);
    char buf[64];
    (void)w;
    weft_send(t->began, 1);
    while (t->read_body && weft_http_request_read(rq, buf, sizeof buf) > 0)
        ;
    (void)weft_recv_ok(weft_ctx_done(ctx), NULL);
    weft_err how = weft_ctx_err(ctx);
    weft_send(t->ended, how);
}

static void handle_block(weft_http_request *rq, weft_http_writer *w, void *arg)
{
    struct waiter *t = arg;
    if (strcmp(weft_http_request_path(rq), "/block") == 0) {
        weft_send(t->began, 1);
        (void)weft_recv(t->ended);
    }
    (void)weft_http_reply_text(w, 200, "text/plain", "fine");
}

TEST(http_server, a_context_ends_when_the_client_goes_away)
{
    static const char *const asks[] = {GET("/"), "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc"};
    for (int i = 0; i < 4; i++) {
        struct site s;
        struct waiter t = {.began = weft_make(char), .ended = weft_make(weft_err, 1), .read_body = i & 1};
        struct weft_http_server_opts o = {.handler = handle_wait, .arg = &t};
        site_start(&s, &o);
        weft_conn *c = site_dial(&s);
        EXPECT(weft_conn_write(NULL, c, asks[i & 1], strlen(asks[i & 1])) > 0);
        (void)weft_recv(t.began);
        if (i & 2)
            EXPECT_EQ(weft_conn_close_write(c), 0);
        else
            (void)weft_conn_close(c);
        EXPECT_EQ(weft_recv(t.ended), WEFT_ECANCELED);
        if (i & 2)
            (void)weft_conn_close(c);
        site_stop(&s);
        weft_free(t.began);
        weft_free(t.ended);
    }
}

static void handle_ctx_often(weft_http_request *rq, weft_http_writer *w, void *arg)
{
    (void)arg;
    EXPECT_EQ(weft_ctx_err(weft_http_request_ctx(rq)), 0);
    weft_yield();
    EXPECT_EQ(weft_ctx_err(weft_http_request_ctx(rq)), 0);
    (void)weft_http_reply_text(w, 200, "text/plain", "ok");
}

TEST(http_server, a_context_of_one_request_is_no_matter_of_the_next)
{
    struct site s;
    struct weft_http_server_opts o = {.handler = handle_ctx_often};
    char text[101 * 48] = "";
    site_start(&s, &o);
    for (int i = 0; i < 100; i++)
        strcat(text, GET("/"));
    strcat(text, LAST("/"));
    EXPECT_EQ(count(ask_raw(&s, text, 0), "HTTP/1.1 200 OK"), 101);
    site_stop(&s);
}

/* The first answer is held for the second request of the same read, but not while that one waits. */
TEST(http_server, held_answers_leave_before_a_handler_asks_for_its_context)
{
    struct site s;
    site_start(&s, &plain);
    weft_conn *c = site_dial(&s);
    char buf[2000];
    EXPECT(weft_conn_write(NULL, c, GET("/hello") GET("/ctx"), strlen(GET("/hello") GET("/ctx"))) > 0);
    ssize_t n = weft_conn_read(NULL, c, buf, sizeof buf - 1);
    REQUIRE(n > 0);
    buf[n] = '\0';
    EXPECT_EQ(count(buf, "hello\n"), 1);
    (void)weft_conn_close(c);
    site_stop(&s);
}

/* A handler that never looks at its request's context holds the answers before it up for a moment only. */
TEST(http_server, held_answers_leave_while_a_handler_is_at_work)
{
    struct site s;
    struct waiter t = {.began = weft_make(char), .ended = weft_make(weft_err)};
    struct weft_http_server_opts o = {.handler = handle_block, .arg = &t};
    char buf[4000] = "";
    size_t len = 0;
    site_start(&s, &o);
    weft_conn *c = site_dial(&s);
    const char *ask = GET("/a") GET("/b") GET("/block") LAST("/c");
    EXPECT(weft_conn_write(NULL, c, ask, strlen(ask)) > 0);
    (void)weft_recv(t.began);
    for (ssize_t n = 1; n > 0 && count(buf, "\r\n\r\nfine") < 2; buf[len] = '\0') {
        n = weft_conn_read(NULL, c, buf + len, sizeof buf - 1 - len);
        len += n > 0 ? (size_t)n : 0;
    }
    EXPECT_EQ(count(buf, "HTTP/1.1 200 OK"), 2);
    weft_send(t.ended, 0);
    for (ssize_t n = 1; n > 0; buf[len] = '\0') {
        n = weft_conn_read(NULL, c, buf + len, sizeof buf - 1 - len);
        len += n > 0 ? (size_t)n : 0;
    }
    EXPECT_EQ(count(buf, "HTTP/1.1 200 OK"), 4);
    EXPECT_EQ(count(buf, "\r\n\r\nfine"), 4);
    (void)weft_conn_close(c);
    site_stop(&s);
    weft_free(t.began);
    weft_free(t.ended);
}

/* Fields by the path: what one answer began with is no matter of the next. */
static void handle_first_fields(weft_http_request *rq, weft_http_writer *w, void *arg)
{
    static const struct weft_http_field begins[] = {{"X-Once", "aaaa"}, {"X-Once", "aaab"}, {"X-One", "aaaa"}, {"X-Onces", "aaaa"}, {"X-Once", ""}};
    const char *path = weft_http_request_path(rq);
    (void)arg;
    if (path[1] == 'b') {          /* wrong in value and in name, and the server's own */
        EXPECT_EQ(weft_http_reply_field(w, "X-Once", "aaaa\r\nX-More: b"), WEFT_EINVAL);
        EXPECT_EQ(weft_http_reply_field(w, "X-Once:", "aaaa"), WEFT_EINVAL);
        EXPECT_EQ(weft_http_reply_field(w, "Date", "aaaa"), WEFT_EINVAL);
        EXPECT_EQ(weft_http_reply_field(w, "Connection", "close, x"), 0);
    } else {
        const struct weft_http_field *f = &begins[path[1] - '0'];
        EXPECT_EQ(weft_http_reply_field(w, f->name, f->value), 0);
        EXPECT_EQ(weft_http_reply_field(w, "X-Once", "aaaa"), 0);
    }
}

TEST(http_server, the_first_field_of_an_answer_is_its_own)
{
    struct site s;
    struct weft_http_server_opts o = {.handler = handle_first_fields};
    site_start(&s, &o);
    for (int i = 0; i < 2; i++) {
        const char *out = ask_raw(&s, GET("/0") GET("/0") GET("/1") GET("/2") GET("/3") GET("/4") GET("/0") GET("/b"), 0);
        EXPECT_EQ(count(out, "HTTP/1.1 200 OK\r\n"), 8);
        EXPECT_EQ(count(out, "\r\nX-Once: aaaa\r\nX-Once: aaaa\r\n\r\n"), 3);
        EXPECT_EQ(count(out, "\r\nX-Once: aaab\r\nX-Once: aaaa\r\n\r\n"), 1);
        EXPECT_EQ(count(out, "\r\nX-One: aaaa\r\nX-Once: aaaa\r\n\r\n"), 1);
        EXPECT_EQ(count(out, "\r\nX-Onces: aaaa\r\nX-Once: aaaa\r\n\r\n"), 1);
        EXPECT_EQ(count(out, "\r\nX-Once: \r\nX-Once: aaaa\r\n\r\n"), 1);
        EXPECT_EQ(count(out, "Content-Length: 0\r\nConnection: close\r\n\r\n"), 1);
    }
    site_stop(&s);
}

TEST(http_server, a_wrong_host_behind_a_right_one_is_refused)
{
    static const char *const wrong[] = {"a.example:80x", "a.example:80 ", "a.example:80/", "a.exampl\"", "a.example:80, b"};
    struct site s;
    site_start(&s, &plain);
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        char text[400];
        bool trimmed = wrong[i][strlen(wrong[i]) - 1] == ' ';
        snprintf(text, sizeof text, "GET /hello HTTP/1.1\r\nHost: a.example:80\r\n\r\nGET /hello HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n",
                 wrong[i]);
        const char *out = ask_raw(&s, text, 0);
        EXPECT_EQ(count(out, "HTTP/1.1 200 "), trimmed ? 2 : 1);
        EXPECT_EQ(count(out, "HTTP/1.1 400 "), trimmed ? 0 : 1);
    }
    site_stop(&s);
}
