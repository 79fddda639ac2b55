/* HTTP/2 by the client: against our server, and against one of raw frames. Source: RFC 9113; Go net/http. */
#if !__has_include(<nghttp2/nghttp2.h>)
#include "../include/weft_test.h"
#else
#include "http_cert.h"
#include "http_h2.h"

static atomic_int cancelled, entered;

static void handle(weft_http_request *rq, weft_http_writer *w, void *arg)
{
    (void)arg;
    const char *path = weft_http_request_path(rq);
    char buf[9000];
    if (strcmp(path, "/echo") == 0) {
        ssize_t n;
        while ((n = weft_http_request_read(rq, buf, sizeof buf)) > 0)
            if (weft_http_reply_write(w, buf, (size_t)n) < 0)
                return;
    } else if (strcmp(path, "/what") == 0) {
        const char *x = weft_http_request_header(rq, "x-a"), *ua = weft_http_request_header(rq, "user-agent"),
                   *c = weft_http_request_header(rq, "connection");
        snprintf(buf, sizeof buf, "%s|%s|%s|%s|%s|%d|%lld", weft_http_request_method(rq), weft_http_request_target(rq), x ? x : "-",
                 ua ? ua : "-", c ? c : "-", weft_http_request_version(rq), (long long)weft_http_request_content_length(rq));
        (void)weft_http_reply_text(w, 200, "text/plain", buf);
    } else if (strcmp(path, "/from") == 0) {
        if (weft_http_request_remote(rq, buf, sizeof buf) > 0)
            (void)weft_http_reply_text(w, 200, "text/plain", buf);
    } else if (strcmp(path, "/big") == 0) {
        memset(buf, 'x', sizeof buf);
        for (int i = 0; i < 125; i++)
            if (weft_http_reply_write(w, buf, 8000) < 0)
                return;
    } else if (strcmp(path, "/trailers") == 0) {
        (void)weft_http_reply_write(w, "body", 4);
        (void)weft_http_reply_trailer(w, "X-Sum", "42");
    } else if (strcmp(path, "/moved") == 0) {
        (void)weft_http_reply_field(w, "Location", "/what");
        weft_http_reply_status(w, 302);
    } else if (strcmp(path, "/ctx") == 0) {
        weft_ctx *ctx = weft_http_request_ctx(rq);
        atomic_fetch_add(&entered, 1);
        (void)weft_recv_ok(weft_ctx_done(ctx), NULL);
        atomic_fetch_add(&cancelled, 1);
    } else if (strcmp(path, "/cut") == 0) {
        weft_http_reply_length(w, 10);
        (void)weft_http_reply_write(w, "abc", 3);
        (void)weft_http_reply_flush(w);
    } else if (strcmp(path, "/bye") == 0) {
        (void)weft_http_reply_field(w, "Connection", "close");
    } else if (strcmp(path, "/fat") == 0) {
        memset(buf, 'a', 5000);
        buf[5000] = '\0';
        (void)weft_http_reply_field(w, "X-Fat", buf);
    } else {
        (void)weft_http_reply_text(w, 404, "text/plain", "no\n");
    }
}

static const struct weft_http_server_opts plain = {.handler = handle};

static weft_http_client *always(void)
{
    return client_with(&(struct weft_http_client_opts){.http2 = WEFT_HTTP2_ALWAYS, .timeout = 60 * WEFT_SEC});
}

static const char *at(struct site *s, const char *path)
{
    static char url[300];
    snprintf(url, sizeof url, "%s%s", s->url, path);
    return url;
}

TEST(http_h2_client, a_call_by_prior_knowledge_is_answered)
{
    struct site s;
    char body[300];
    site_start(&s, &plain);
    weft_http_client *c = always();
    struct weft_http_field f[] = {{"X-A", "b"}, {"Connection", "keep-alive"}};
    struct weft_http_call call = {.url = at(&s, "/what?q"), .fields = f, .fields_len = 2};
    weft_http_response *r;
    char *all;
    size_t len;
    REQUIRE(weft_http_do(NULL, c, &call, &r) == 0);
    EXPECT_EQ(weft_http_status(r), 200);
    EXPECT_EQ(weft_http_version(r), 20);
    EXPECT_STR(weft_http_header(r, "Content-Type"), "text/plain");
    REQUIRE(weft_http_body_read_all(NULL, r, 0, &all, &len) == 0);
    EXPECT_EQ(weft_http_content_length(r), (int64_t)len);
    EXPECT(strstr(all, "GET|/what?q|b|weft/") && strstr(all, "|-|20|0"));
    free(all);
    weft_http_response_free(r);
    EXPECT_EQ(fetch(c, at(&s, "/nothing"), body, sizeof body), 404);
    EXPECT_EQ(fetch(c, at(&s, "/moved"), body, sizeof body), 200);
    weft_http_client_free(c);
    site_stop(&s);
}

static void fetch_from(weft_http_client *c, const char *url, char *ret, weft_waitgroup *wg)
{
    EXPECT_EQ(fetch(c, url, ret, WEFT_ADDR_TEXT), 200);
    weft_waitgroup_done(wg);
}

TEST(http_h2_client, calls_at_the_same_time_share_a_connection)
{
    struct site s;
    static char from[300][WEFT_ADDR_TEXT];
    char url[300];
    weft_waitgroup wg = {0};
    site_start(&s, &plain);
    weft_http_client *c = always();
    snprintf(url, sizeof url, "%s", at(&s, "/from"));
    weft_waitgroup_add(&wg, 300);
    for (int i = 0; i < 300; i++)   /* more than the server takes at a time */
        weft_go(fetch_from, c, url, from[i], &wg);
    weft_waitgroup_wait(&wg);
    for (int i = 1; i < 300; i++)
        EXPECT_STR(from[i], from[0]);
    weft_http_client_free(c);
    site_stop(&s);
}

static ssize_t give(weft_ctx *ctx, void *arg, void *buf, size_t n)
{
    size_t *left = arg;
    (void)ctx;
    if (n > *left)
        n = *left;
    memset(buf, 'r', n);
    *left -= n;
    return (ssize_t)n;
}

TEST(http_h2_client, bodies_of_any_size_go_both_ways)
{
    struct site s;
    static const size_t sizes[] = {0, 1, 20000, 65536, 1000000};
    site_start(&s, &plain);
    weft_http_client *c = always();
    char *data = malloc(1000000), *all, body[10];
    size_t len;
    weft_http_response *r;
    memset(data, 'd', 1000000);
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        struct weft_http_call call = {.url = at(&s, "/echo"), .method = "POST", .body = data, .body_len = sizes[i]};
        REQUIRE(weft_http_do(NULL, c, &call, &r) == 0);
        REQUIRE(weft_http_body_read_all(NULL, r, 0, &all, &len) == 0);
        EXPECT(len == sizes[i] && memcmp(all, data, len) == 0);
        free(all);
        weft_http_response_free(r);
        for (int k = 0; k < 3; k++) {   /* from a reader: stated, not stated, and asked for first */
            size_t size = sizes[i], left = size;
            struct weft_http_call stream = {.url = at(&s, "/echo"), .method = "POST", .body_read = give, .body_arg = &left,
                                            .body_bytes = k == 0 ? (int64_t)left : 0, .expect_continue = k == 2};
            if (k == 0 && !left)
                continue;
            REQUIRE(weft_http_do(NULL, c, &stream, &r) == 0);
            REQUIRE(weft_http_body_read_all(NULL, r, 0, &all, &len) == 0);
            EXPECT_EQ(len, size);
            EXPECT_EQ(strspn(all, "r"), size);
            free(all);
            weft_http_response_free(r);
        }
    }
    REQUIRE(weft_http_get(NULL, c, at(&s, "/big"), &r) == 0);
    const void *piece;
    size_t sum = 0;
    for (ssize_t n; (n = weft_http_body_next(NULL, r, &piece)) > 0;)
        sum += (size_t)n;
    EXPECT_EQ(sum, 1000000);
    weft_http_response_free(r);
    REQUIRE(weft_http_get(NULL, c, at(&s, "/big"), &r) == 0);   /* given up: the connection goes on */
    weft_http_response_free(r);
    EXPECT_EQ(fetch(c, at(&s, "/what"), body, sizeof body), 200);
    free(data);
    weft_http_client_free(c);
    site_stop(&s);
}

TEST(http_h2_client, trailers_are_there_behind_the_body)
{
    struct site s;
    weft_http_response *r;
    char *all;
    size_t len;
    site_start(&s, &plain);
    weft_http_client *c = always();
    REQUIRE(weft_http_get(NULL, c, at(&s, "/trailers"), &r) == 0);
    REQUIRE(weft_http_body_read_all(NULL, r, 0, &all, &len) == 0);
    EXPECT_STR(all, "body");
    EXPECT_STR(weft_http_trailer(r, "x-sum"), "42");
    free(all);
    weft_http_response_free(r);
    weft_http_client_free(c);
    site_stop(&s);
}

TEST(http_h2_client, contexts_and_deadlines_end_calls_and_cancel_handlers)
{
    struct site s;
    weft_http_response *r;
    char body[100];
    site_start(&s, &plain);
    weft_http_client *c = always();
    int in = atomic_load(&entered), before = atomic_load(&cancelled);
    for (int by_ctx = 0; by_ctx < 2; by_ctx++) {
        int began = atomic_load(&entered);   /* on a busy machine a call's time may be over before it has reached the handler */
        for (weft_dur limit = 30 * WEFT_MS; atomic_load(&entered) == began; limit *= 2) {
            weft_ctx *ctx = by_ctx ? weft_with_timeout(NULL, limit) : NULL;
            struct weft_http_call call = {.url = at(&s, "/ctx"), .timeout = by_ctx ? 0 : limit};
            EXPECT_EQ(weft_http_do(ctx, c, &call, &r), WEFT_EDEADLINE);
            weft_ctx_unref(ctx);
        }
    }
    while (atomic_load(&cancelled) - before < atomic_load(&entered) - in)
        weft_yield();
    EXPECT_EQ(fetch(c, at(&s, "/what"), body, sizeof body), 200);
    weft_http_client_free(c);
    site_stop(&s);
}

TEST(http_h2_client, what_is_cut_or_too_large_is_an_error)
{
    struct site s;
    weft_http_response *r;
    char *all, body[100];
    size_t len;
    site_start(&s, &plain);
    weft_http_client *c = client_with(&(struct weft_http_client_opts){.http2 = WEFT_HTTP2_ALWAYS, .head_bytes_max = 4000});
    REQUIRE(weft_http_get(NULL, c, at(&s, "/cut"), &r) == 0);
    EXPECT_EQ(weft_http_body_read_all(NULL, r, 0, &all, &len), -ECONNRESET);
    EXPECT_STR(weft_http_error_text(r), "the stream was reset");
    weft_http_response_free(r);
    EXPECT_EQ(weft_http_get(NULL, c, at(&s, "/fat"), &r), WEFT_ETOOBIG);
    EXPECT_EQ(fetch(c, at(&s, "/what"), body, sizeof body), 200);
    weft_http_client_free(c);
    site_stop(&s);
}

/* The server says GOAWAY; the calls under way finish, the next ones get a connection of their own, at whatever moment. */
TEST(http_h2_client, a_server_that_goes_away_is_dialled_again)
{
    struct site s;
    char body[WEFT_ADDR_TEXT], url[300], from[10][WEFT_ADDR_TEXT];
    weft_waitgroup wg = {0};
    site_start(&s, &plain);
    weft_http_client *c = always();
    snprintf(url, sizeof url, "%s", at(&s, "/from"));
    for (int i = 0; i < 20; i++) {
        weft_waitgroup_add(&wg, 10);
        for (int k = 0; k < 10; k++)
            weft_go(fetch_from, c, url, from[k], &wg);
        EXPECT_EQ(fetch(c, at(&s, "/bye"), body, sizeof body), 200);
        weft_waitgroup_wait(&wg);
    }
    weft_http_client_free(c);
    site_stop(&s);
}

TEST(http_h2_client, idle_connections_are_closed_when_asked_and_in_time)
{
    struct site s;
    char a[WEFT_ADDR_TEXT], b[WEFT_ADDR_TEXT];
    site_start(&s, &plain);
    weft_http_client *c = client_with(&(struct weft_http_client_opts){.http2 = WEFT_HTTP2_ALWAYS, .idle_timeout = 20 * WEFT_MS});
    EXPECT_EQ(fetch(c, at(&s, "/from"), a, sizeof a), 200);
    weft_http_client_close_idle(c);
    EXPECT_EQ(fetch(c, at(&s, "/from"), b, sizeof b), 200);
    EXPECT(strcmp(a, b) != 0);
    while (weft_num_goroutines() > 4)   /* ours, the server's accept, the two ends of one connection: then those go, too */
        weft_yield();
    weft_http_client_free(c);
    site_stop(&s);
}

struct freed_meanwhile {
    weft_chan(char) asked, go_on;
};

static bool hold_dial(const struct sockaddr *addr, void *arg)
{
    struct freed_meanwhile *f = arg;
    (void)addr;
    weft_send(f->asked, 0);
    (void)weft_recv(f->go_on);
    return true;
}

static void call_held(weft_http_client *c, const char *url, int *ret_status)
{
    char body[256];
    *ret_status = fetch(c, url, body, sizeof body);
}

TEST(http_h2_client, a_connection_dialled_while_its_client_is_freed_ends_by_itself)
{
    struct site s;
    struct freed_meanwhile f = {weft_make(char), weft_make(char)};
    char url[192];
    int status = 0;
    weft_waitgroup wg = {0};
    site_start(&s, &plain);
    snprintf(url, sizeof url, "%s/what", s.url);
    int before = (int)weft_num_goroutines();
    weft_http_client *c = client_with(&(struct weft_http_client_opts){.http2 = WEFT_HTTP2_ALWAYS, .idle_timeout = 3600 * WEFT_SEC,
                                                                      .allow = hold_dial, .arg = &f});
    weft_waitgroup_go(&wg, call_held, c, url, &status);
    (void)weft_recv(f.asked);
    weft_http_client_free(c);
    weft_send(f.go_on, 0);
    weft_waitgroup_wait(&wg);
    EXPECT_EQ(status, 200);   /* a call under way is answered all the same */
    for (int i = 0; i < 3000 && (int)weft_num_goroutines() > before; i++)
        weft_sleep(10 * WEFT_MS);
    EXPECT((int)weft_num_goroutines() <= before);
    site_stop(&s);
    weft_free(f.asked);
    weft_free(f.go_on);
}

TEST(http_h2_client, over_tls_the_server_chooses)
{
    struct cert cert;
    struct site s;
    char url[300], a[WEFT_ADDR_TEXT], b[WEFT_ADDR_TEXT];
    cert_make(&cert);
    struct weft_tls_config tls = {.cert_file = cert.crt, .key_file = cert.key}, trust = {.ca_file = cert.crt};
    for (int i = 0; i < 2; i++) {
        struct weft_http_server_opts o = {.handler = handle, .tls = &tls, .no_http2 = i == 1};
        weft_http_response *r;
        site_start(&s, &o);
        snprintf(url, sizeof url, "https://%s/from", s.url + 7);
        weft_http_client *c = client_with(&(struct weft_http_client_opts){.http2 = WEFT_HTTP2_TLS, .tls = &trust});
        EXPECT_EQ(fetch(c, url, a, sizeof a), 200);
        EXPECT_EQ(fetch(c, url, b, sizeof b), 200);
        EXPECT_STR(a, b);
        REQUIRE(weft_http_get(NULL, c, url, &r) == 0);
        EXPECT_EQ(weft_http_version(r), i == 0 ? 20 : 11);
        weft_http_response_free(r);
        weft_http_client_free(c);
        site_stop(&s);
    }
    cert_drop(&cert);
}

/* ---- a server of HTTP/1.1 over TLS that counts its connections ---- */

struct counted {
    weft_listener *ln;
    const struct weft_tls_config *tls;
    char url[WEFT_ADDR_TEXT + 16];
    int conns;
    atomic_int requests;
    weft_waitgroup wg;
};

/* Answers what is a POST without a body, one read each, until the client goes. */
static void counted_serve(struct counted *s, weft_conn *plain_conn)
{
    static const char answer[] = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
    char buf[2000];
    weft_conn *conn;
    ssize_t n;
    if (weft_tls_server(NULL, plain_conn, s->tls, &conn) < 0)
        return;
    while ((n = weft_conn_read(NULL, conn, buf, sizeof buf)) > 0) {
        EXPECT(n > 4 && memcmp(buf, "POST", 4) == 0);
        atomic_fetch_add(&s->requests, 1);
        (void)weft_conn_write(NULL, conn, answer, sizeof answer - 1);
    }
    (void)weft_conn_close(conn);
}

static void counted_run(struct counted *s)
{
    weft_conn *conn;
    while (weft_accept(NULL, s->ln, &conn) == 0) {
        s->conns++;
        weft_waitgroup_go(&s->wg, counted_serve, s, conn);
    }
}

static void post_where_http2_is_not_spoken(int conns_per_host_max)
{
    struct cert cert;
    cert_make(&cert);
    struct weft_tls_config tls = {.cert_file = cert.crt, .key_file = cert.key}, trust = {.ca_file = cert.crt};
    struct counted s = {.tls = &tls};
    weft_http_response *r;
    struct weft_http_times t;
    REQUIRE(weft_listen(&s.ln, "tcp", "127.0.0.1:0") == 0);
    memcpy(s.url, "https://", 8);
    REQUIRE(weft_listener_addr(s.ln, s.url + 8, WEFT_ADDR_TEXT) > 0);
    weft_waitgroup_go(&s.wg, counted_run, &s);
    weft_http_client *c = client_with(&(struct weft_http_client_opts){
        .http2 = WEFT_HTTP2_TLS, .tls = &trust, .timeout = 60 * WEFT_SEC, .conns_per_host_max = conns_per_host_max});
    struct weft_http_call call = {.url = s.url, .method = "POST"};
    REQUIRE(weft_http_do(NULL, c, &call, &r) == 0);
    EXPECT_EQ(weft_http_version(r), 11);
    weft_http_times(r, &t);
    EXPECT(!t.reused && t.tls > 0);   /* its own dial, though made to find out */
    weft_http_response_free(r);
    weft_http_client_free(c);
    (void)weft_listener_close(s.ln);
    weft_waitgroup_wait(&s.wg);
    EXPECT_EQ(s.conns, 1);
    EXPECT_EQ(atomic_load(&s.requests), 1);
    cert_drop(&cert);
}

TEST(http_h2_client, a_post_goes_by_the_connection_that_found_http_1)
{
    post_where_http2_is_not_spoken(0);
}

TEST(http_h2_client, so_it_does_within_a_limit_of_connections)
{
    post_where_http2_is_not_spoken(1);
}

/* ---- a server of raw frames ---- */

struct fake {
    weft_listener *ln;
    char url[WEFT_ADDR_TEXT + 16];
    const char *answers[3];      /* frames, for the first request of each connection */
    size_t lens[3];
    int conns;
    weft_waitgroup wg;
};

static void fake_run(struct fake *f)
{
    weft_conn *conn;
    while (f->conns < 3 && f->answers[f->conns] && weft_accept(NULL, f->ln, &conn) == 0) {
        struct raw *r = calloc(1, sizeof *r);
        char preface[24];
        r->conn = conn;
        (void)weft_conn_set_deadline(conn, weft_now() + 60 * WEFT_SEC);
        EXPECT_EQ(weft_conn_read_full(NULL, conn, preface, 24), 24);
        raw_send(r, 0, NGHTTP2_SETTINGS, 0, 0, NULL);
        EXPECT(raw_wait(r, NGHTTP2_HEADERS));
        (void)weft_conn_write(NULL, conn, f->answers[f->conns], f->lens[f->conns]);
        f->conns++;
        while (raw_next(r))
            ;
        raw_close(r);
    }
}

static void fake_start(struct fake *f)
{
    f->conns = 0;
    f->wg = (weft_waitgroup){0};
    REQUIRE(weft_listen(&f->ln, "tcp", "127.0.0.1:0") == 0);
    memcpy(f->url, "http://", 7);
    REQUIRE(weft_listener_addr(f->ln, f->url + 7, WEFT_ADDR_TEXT) > 0);
    weft_waitgroup_go(&f->wg, fake_run, f);
}

static void fake_stop(struct fake *f, weft_http_client *c)
{
    weft_http_client_free(c);
    (void)weft_listener_close(f->ln);
    weft_waitgroup_wait(&f->wg);
}

#define LIT(s) s, sizeof(s) - 1
#define OK_FRAMES "\0\0\1\1\5\0\0\0\1\x88"

static int ask_fake(struct fake *f, const char *method, const char *first, size_t first_len, const char *second, size_t second_len, char *why)
{
    weft_http_response *r;
    *f = (struct fake){.answers = {first, second}, .lens = {first_len, second_len}};
    fake_start(f);
    weft_http_client *c = always();
    struct weft_http_call call = {.url = f->url, .method = method, .reterr_text = why, .reterr_size = 100};
    int err = weft_http_do(NULL, c, &call, &r);
    if (err == 0) {
        err = weft_http_status(r);
        weft_http_response_free(r);
    }
    fake_stop(f, c);
    return err;
}

/* 8.7: what was refused may be sent again, whatever the method. */
TEST(http_h2_client, a_request_that_was_not_looked_at_is_sent_again)
{
    struct fake f;
    char why[100];
    EXPECT_EQ(ask_fake(&f, "POST", LIT("\0\0\x8\7\0\0\0\0\0\0\0\0\0\0\0\0\0"), LIT(OK_FRAMES), why), 200);   /* GOAWAY, last stream 0 */
    EXPECT_EQ(f.conns, 2);
    static const char refused[] = "\0\0\4\3\0\0\0\0\1\0\0\0\7";   /* and again on the same connection: nobody answers there */
    f = (struct fake){.answers = {refused}, .lens = {sizeof refused - 1}};
    fake_start(&f);
    weft_http_client *c = always();
    weft_http_response *r;
    struct weft_http_call call = {.url = f.url, .method = "POST", .timeout = 50 * WEFT_MS};
    EXPECT_EQ(weft_http_do(NULL, c, &call, &r), WEFT_EDEADLINE);
    fake_stop(&f, c);
}

TEST(http_h2_client, answers_that_are_wrong_are_errors)
{
    struct fake f;
    char why[100];
    /* RST_STREAM; HEADERS without :status; a name in upper case; PING of a wrong size; no HTTP/2 at all */
    EXPECT_EQ(ask_fake(&f, "POST", LIT("\0\0\4\3\0\0\0\0\1\0\0\0\2"), NULL, 0, why), -ECONNRESET);
    EXPECT(ask_fake(&f, "POST", LIT("\0\0\5\1\5\0\0\0\1\0\1x\1y"), NULL, 0, why) < 0);
    EXPECT(ask_fake(&f, "POST", LIT("\0\0\6\1\5\0\0\0\1\x88\0\1X\1y"), NULL, 0, why) < 0);
    EXPECT(ask_fake(&f, "POST", LIT("\0\0\1\6\0\0\0\0\0x"), NULL, 0, why) < 0);
    EXPECT(ask_fake(&f, "POST", LIT("HTTP/1.1 400 Bad Request\r\n\r\n"), NULL, 0, why) < 0);
    EXPECT_EQ(ask_fake(&f, "GET", LIT("\0\0\1\1\5\0\0\0\1\x88" "\0\0\1\0\1\0\0\0\1x"), NULL, 0, why), 200);   /* DATA behind the end */
}

/* 8.1.1: 1xx heads come before the final one, as many as there are. */
TEST(http_h2_client, interim_answers_are_passed_over)
{
    struct fake f;
    char why[100];
    EXPECT_EQ(ask_fake(&f, "GET", LIT("\0\0\5\1\4\0\0\0\1\x48\x03" "103" "\0\0\5\1\4\0\0\0\1\x48\x03" "102" "\0\0\1\1\5\0\0\0\1\x88"), NULL, 0, why), 200);
}
#endif
