/* HTTP/2 by the server: the same handlers as for HTTP/1.1. Source: RFC 9113; Go net/http2. */
#if !__has_include(<nghttp2/nghttp2.h>)
#include "../include/weft_test.h"
#else
#include "http_cert.h"
#include "http_h2.h"

static atomic_int cancelled, entered;

static void handle_more(const char *path, weft_http_request *rq, weft_http_writer *w)
{
    char buf[32];
    if (strcmp(path, "/ctx") == 0) {
        weft_ctx *ctx = weft_http_request_ctx(rq);
        atomic_fetch_add(&entered, 1);
        (void)weft_recv_ok(weft_ctx_done(ctx), NULL);
        atomic_fetch_add(&cancelled, 1);
    } else if (strcmp(path, "/trailers") == 0) {
        (void)weft_http_reply_write(w, "body", 4);
        EXPECT_EQ(weft_http_reply_trailer(w, "X-Sum", "42"), 0);
        EXPECT_EQ(weft_http_reply_trailer(w, "X-More", "a: b"), 0);
    } else if (strcmp(path, "/hop") == 0) {
        EXPECT_EQ(weft_http_reply_field(w, "Keep-Alive", "timeout=5"), 0);
        EXPECT_EQ(weft_http_reply_field(w, "Transfer-Encoding", "chunked"), WEFT_EINVAL);
        EXPECT_EQ(weft_http_reply_field(w, "Connection", "close"), 0);
        (void)weft_http_reply_text(w, 200, "text/plain", "bye\n");
    } else if (strcmp(path, "/many") == 0) {
        for (int i = 0; i < 60; i++) {
            snprintf(buf, sizeof buf, "x-%d", i);
            EXPECT_EQ(weft_http_reply_field(w, buf, "a value that is not so very short, so that there is something to it"), 0);
        }
    } else if (strcmp(path, "/204") == 0) {
        weft_http_reply_status(w, 204);
    } else if (strcmp(path, "/unread") == 0) {
        (void)weft_http_reply_text(w, 200, "text/plain", "no need\n");
    } else if (strcmp(path, "/steps") == 0) {
        for (int i = 0; i < 3; i++) {
            (void)weft_http_reply_write(w, "step\n", 5);
            EXPECT_EQ(weft_http_reply_flush(w), 0);
        }
    } else {
        (void)weft_http_reply_text(w, 404, "text/plain", "no\n");
    }
}

static void handle(weft_http_request *rq, weft_http_writer *w, void *arg)
{
    (void)arg;
    const char *path = weft_http_request_path(rq);
    char buf[9000];
    if (strcmp(path, "/hello") == 0) {
        (void)weft_http_reply_field(w, "X-Upper", "Yes");
        (void)weft_http_reply_text(w, 200, "text/plain", "hello\n");
    } else if (strcmp(path, "/echo") == 0) {
        ssize_t n;
        while ((n = weft_http_request_read(rq, buf, sizeof buf)) > 0)
            if (weft_http_reply_write(w, buf, (size_t)n) < 0)
                return;
        if (n < 0)
            weft_http_reply_status(w, n == WEFT_ETOOBIG ? 413 : 400);
    } else if (strcmp(path, "/what") == 0) {
        const char *q = weft_http_request_query(rq), *x = weft_http_request_header(rq, "X-A"), *c = weft_http_request_header(rq, "cookie");
        snprintf(buf, sizeof buf, "%s|%s|%s|%s|%s|%s|%s|%d|%lld", weft_http_request_method(rq), weft_http_request_target(rq), path,
                 q ? q : "-", x ? x : "-", c ? c : "-", weft_http_request_header(rq, "Host"), weft_http_request_version(rq),
                 (long long)weft_http_request_content_length(rq));
        (void)weft_http_reply_text(w, 200, "text/plain", buf);
    } else if (strncmp(path, "/big", 4) == 0) {   /* 1,000,000 bytes, stated or not */
        if (path[4] == 'l')
            weft_http_reply_length(w, 1000000);
        memset(buf, 'x', sizeof buf);
        for (int i = 0; i < 125; i++)
            if (weft_http_reply_write(w, buf, 8000) < 0)
                return;
    } else if (strcmp(path, "/once") == 0) {
        char *all = malloc(300000);
        memset(all, 'y', 300000);
        (void)weft_http_reply_write(w, all, 300000);
        memset(all, 'z', 300000);   /* what was handed over has been taken */
        free(all);
    } else if (strcmp(path, "/short") == 0) {
        weft_http_reply_length(w, 10);
        (void)weft_http_reply_write(w, "abc", 3);
    } else if (strcmp(path, "/panic") == 0) {
        (void)weft_http_reply_text(w, 200, "text/plain", "half");
        weft_panic("handler %d", 7);
    } else if (strcmp(path, "/panic_late") == 0) {
        (void)weft_http_reply_write(w, "half", 4);
        (void)weft_http_reply_flush(w);
        weft_panic("late");
    } else if (strcmp(path, "/goexit") == 0) {
        weft_goexit();
    } else {
        handle_more(path, rq, w);
    }
}

static void quiet(weft_http_request *rq, const char *message, void *arg)
{
    (void)rq, (void)message, (void)arg;
}

static const struct weft_http_server_opts plain = {.handler = handle, .on_panic = quiet};

TEST(http_h2, a_request_by_prior_knowledge_is_answered)
{
    struct site s;
    struct h2_peer p;
    site_start(&s, &plain);
    h2_open(&p, &s);
    struct h2_answer *a = h2_get(&p, "/hello");
    EXPECT_EQ(a->status, 200);
    EXPECT_STR(a->body, "hello\n");
    EXPECT(strstr(a->fields, "content-length: 6\n"));
    EXPECT(strstr(a->fields, "x-upper: Yes\n"));
    EXPECT(strstr(a->fields, "date: "));
    EXPECT(strstr(a->fields, " GMT\n"));
    EXPECT_EQ(a->code, NGHTTP2_NO_ERROR);
    EXPECT_EQ(h2_get(&p, "/other")->status, 404);
    h2_close(&p);
    site_stop(&s);
}

TEST(http_h2, a_preface_in_pieces_is_known)
{
    struct site s;
    site_start(&s, &plain);
    for (size_t cut = 1; cut < 24; cut += 3) {
        struct raw r = {.conn = h2_dial(&s)};
        (void)weft_conn_write(NULL, r.conn, PREFACE, cut);
        weft_yield();
        (void)weft_conn_write(NULL, r.conn, &PREFACE[cut], 24 - cut);
        raw_send(&r, 0, NGHTTP2_SETTINGS, 0, 0, NULL);
        EXPECT(raw_wait(&r, NGHTTP2_SETTINGS));
        (void)weft_conn_close(r.conn);
    }
    EXPECT(strstr(ask_raw(&s, LAST("/hello"), 0), "HTTP/1.1 200 OK"));   /* "P" begins POST as well */
    EXPECT(strstr(ask_raw(&s, "POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\nConnection: close\r\n\r\nhi", 0), "\r\n\r\nhi"));
    site_stop(&s);
}

TEST(http_h2, a_server_may_refuse_to_speak_it)
{
    struct site s;
    struct weft_http_server_opts o = {.handler = handle, .no_http2 = true};
    site_start(&s, &o);
    EXPECT(strstr(ask_raw(&s, PREFACE, 0), "HTTP/1.1 "));
    site_stop(&s);
}

TEST(http_h2, what_a_handler_sees_is_as_with_http_1)
{
    struct site s;
    struct h2_peer p;
    site_start(&s, &plain);
    h2_open(&p, &s);
    int32_t id = h2_ask(&p, "PUT", "/what?q=1", H2_EXTRA("x-a", "b c", "cookie", "a=1", "cookie", "b=2", "content-length", "0"), false);
    h2_until_done(&p);
    EXPECT_STR(h2_at(&p, id)->body, "PUT|/what?q=1|/what|q=1|b c|a=1; b=2|example.org|20|0");
    id = h2_ask(&p, "POST", "/what", NULL, true);
    h2_until_done(&p);
    EXPECT_STR(h2_at(&p, id)->body, "POST|/what|/what|-|-|-|example.org|20|-1");
    h2_close(&p);
    site_stop(&s);
}

TEST(http_h2, many_requests_at_a_time_are_answered)
{
    struct site s;
    struct h2_peer p;
    site_start(&s, &plain);
    h2_open(&p, &s);
    h2_turn(&p);
    for (int i = 0; i < 300; i++)   /* nghttp2 keeps to the server's limit of 250 by itself */
        (void)h2_ask(&p, "GET", "/hello", NULL, false);
    h2_until_done(&p);
    for (int i = 0; i < 300; i++) {
        EXPECT_EQ(p.a[i].status, 200);
        EXPECT_STR(p.a[i].body, "hello\n");
    }
    h2_close(&p);
    site_stop(&s);
}

TEST(http_h2, bodies_of_any_size_go_both_ways)
{
    struct site s;
    struct h2_peer p;
    static const size_t sizes[] = {0, 1, 3000, 16384, 65535, 65536, 300000, 3000000};
    site_start(&s, &plain);
    h2_open(&p, &s);
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        p.send_len = sizes[i];
        p.sent = 0;
        int32_t id = h2_ask(&p, "POST", "/echo", NULL, true);
        h2_until_done(&p);
        EXPECT_EQ(h2_at(&p, id)->status, 200);
        EXPECT_EQ(h2_at(&p, id)->body_len, sizes[i]);
        EXPECT_EQ(strspn(h2_at(&p, id)->body, "x"), sizes[i] < 65535 ? sizes[i] : 65535);
    }
    EXPECT_EQ(h2_get(&p, "/big")->body_len, 1000000);
    EXPECT_EQ(h2_get(&p, "/bigl")->body_len, 1000000);
    struct h2_answer *a = h2_get(&p, "/once");
    EXPECT_EQ(a->body_len, 300000);
    EXPECT_EQ(strspn(a->body, "y"), 65535);
    EXPECT_STR(h2_get(&p, "/steps")->body, "step\nstep\nstep\n");
    h2_close(&p);
    site_stop(&s);
}

/* A window that is closed stops one handler, and no other. */
TEST(http_h2, a_closed_window_stops_only_its_stream)
{
    struct site s;
    struct h2_peer p;
    site_start(&s, &plain);
    h2_start(&p, h2_dial(&s), false);
    (void)nghttp2_session_set_local_window_size(p.session, NGHTTP2_FLAG_NONE, 0, 1 << 20);
    int32_t id = h2_ask(&p, "GET", "/big", NULL, false);
    while (h2_at(&p, id)->body_len < 65535)
        h2_turn(&p);
    EXPECT_EQ(h2_at(&p, id)->body_len, 65535);
    int32_t other = h2_ask(&p, "GET", "/hello", NULL, false);
    while (!h2_at(&p, other)->closed)
        h2_turn(&p);
    EXPECT_EQ(h2_at(&p, id)->body_len, 65535);
    while (!h2_at(&p, id)->closed && !p.ended) {
        size_t had = h2_at(&p, id)->body_len;
        (void)nghttp2_submit_window_update(p.session, NGHTTP2_FLAG_NONE, id, 50000);
        (void)nghttp2_submit_window_update(p.session, NGHTTP2_FLAG_NONE, 0, 50000);
        while (!h2_at(&p, id)->closed && h2_at(&p, id)->body_len < had + 50000 && h2_at(&p, id)->body_len < 1000000)
            h2_turn(&p);
        if (h2_at(&p, id)->body_len == 1000000)
            h2_until_done(&p);
    }
    EXPECT_EQ(h2_at(&p, id)->body_len, 1000000);
    h2_close(&p);
    site_stop(&s);
}

TEST(http_h2, head_and_answers_without_body_end_with_their_head)
{
    struct site s;
    struct h2_peer p;
    site_start(&s, &plain);
    h2_open(&p, &s);
    int32_t id = h2_ask(&p, "HEAD", "/hello", NULL, false), big = h2_ask(&p, "HEAD", "/bigl", NULL, false);
    h2_until_done(&p);
    EXPECT(strstr(h2_at(&p, id)->fields, "content-length: 6\n"));
    EXPECT(strstr(h2_at(&p, big)->fields, "content-length: 1000000\n"));
    EXPECT_EQ(h2_at(&p, id)->body_len + h2_at(&p, big)->body_len, 0);
    struct h2_answer *a = h2_get(&p, "/204");
    EXPECT_EQ(a->status, 204);
    EXPECT(!strstr(a->fields, "content-length"));
    EXPECT_EQ(p.frames[NGHTTP2_DATA], 0);
    h2_close(&p);
    site_stop(&s);
}

TEST(http_h2, trailers_come_behind_the_body)
{
    struct site s;
    struct h2_peer p;
    site_start(&s, &plain);
    h2_open(&p, &s);
    struct h2_answer *a = h2_get(&p, "/trailers");
    EXPECT_STR(a->body, "body");
    EXPECT(strstr(a->fields, "x-sum: 42\nx-more: a: b\n"));
    EXPECT_EQ(p.frames[NGHTTP2_HEADERS], 2);
    EXPECT_EQ(a->code, NGHTTP2_NO_ERROR);
    h2_close(&p);
    site_stop(&s);
}

TEST(http_h2, a_client_that_expects_it_is_told_to_continue)
{
    struct site s;
    struct h2_peer p;
    site_start(&s, &plain);
    h2_open(&p, &s);
    p.more = true;
    int32_t id = h2_ask(&p, "POST", "/echo", H2_EXTRA("expect", "100-continue"), true);
    while (!h2_at(&p, id)->status)
        h2_turn(&p);
    EXPECT_EQ(h2_at(&p, id)->status, 100);
    p.more = false;
    p.send = "late";
    p.send_len = 4;
    EXPECT_EQ(nghttp2_session_resume_data(p.session, id), 0);
    h2_until_done(&p);
    EXPECT_EQ(h2_at(&p, id)->status, 200);
    EXPECT_EQ(h2_at(&p, id)->interim, 1);
    EXPECT_STR(h2_at(&p, id)->body, "late");
    id = h2_ask(&p, "POST", "/echo", H2_EXTRA("expect", "miracles"), true);
    h2_until_done(&p);
    EXPECT_EQ(h2_at(&p, id)->status, 417);
    h2_close(&p);
    site_stop(&s);
}

TEST(http_h2, a_panic_is_a_500_and_the_connection_lives)
{
    struct site s;
    struct h2_peer p;
    site_start(&s, &plain);
    h2_open(&p, &s);
    EXPECT_EQ(h2_get(&p, "/panic")->status, 500);
    struct h2_answer *a = h2_get(&p, "/panic_late");
    EXPECT_EQ(a->status, 200);
    EXPECT_EQ(a->code, NGHTTP2_INTERNAL_ERROR);
    a = h2_get(&p, "/goexit");
    EXPECT_EQ(a->status, 0);
    EXPECT_EQ(a->code, NGHTTP2_INTERNAL_ERROR);
    a = h2_get(&p, "/short");
    EXPECT_EQ(a->code, NGHTTP2_INTERNAL_ERROR);
    EXPECT_EQ(h2_get(&p, "/hello")->status, 200);
    h2_close(&p);
    site_stop(&s);
}

TEST(http_h2, a_stream_that_is_reset_cancels_its_context)
{
    struct site s;
    struct h2_peer p;
    int before = atomic_load(&cancelled), in = atomic_load(&entered);
    site_start(&s, &plain);
    h2_open(&p, &s);
    int32_t id = h2_ask(&p, "GET", "/ctx", NULL, false);
    h2_send(&p);
    while (atomic_load(&entered) == in)
        weft_yield();
    (void)nghttp2_submit_rst_stream(p.session, NGHTTP2_FLAG_NONE, id, NGHTTP2_CANCEL);
    h2_send(&p);
    while (atomic_load(&cancelled) == before)
        weft_yield();
    EXPECT_EQ(h2_get(&p, "/hello")->status, 200);   /* the others are as before */
    h2_close(&p);
    site_stop(&s);
}

TEST(http_h2, a_client_that_goes_away_cancels_all_contexts)
{
    struct site s;
    struct h2_peer p;
    int before = atomic_load(&cancelled), in = atomic_load(&entered);
    site_start(&s, &plain);
    h2_open(&p, &s);
    for (int i = 0; i < 5; i++)
        (void)h2_ask(&p, "GET", "/ctx", NULL, false);
    h2_send(&p);
    while (atomic_load(&entered) < in + 5)
        weft_yield();
    h2_close(&p);
    while (atomic_load(&cancelled) < before + 5)
        weft_yield();
    site_stop(&s);
}

TEST(http_h2, fields_of_a_connection_are_left_out_and_close_says_goaway)
{
    struct site s;
    struct h2_peer p;
    site_start(&s, &plain);
    h2_open(&p, &s);
    struct h2_answer *a = h2_get(&p, "/hop");
    EXPECT_STR(a->body, "bye\n");
    EXPECT(!strstr(a->fields, "keep-alive") && !strstr(a->fields, "connection"));
    h2_until_end(&p);
    EXPECT(p.goaways >= 1);
    EXPECT_EQ(p.goaway_code, NGHTTP2_NO_ERROR);
    h2_close(&p);
    site_stop(&s);
}

TEST(http_h2, large_heads_of_answers_arrive)
{
    struct site s;
    struct h2_peer p;
    site_start(&s, &plain);
    h2_open(&p, &s);
    struct h2_answer *a = h2_get(&p, "/many");
    EXPECT_EQ(a->status, 200);
    EXPECT(strstr(a->fields, "x-20: a value"));
    h2_close(&p);
    site_stop(&s);
}

/* The answer does not wait for a body that nobody reads; the client is told that it may stop. */
TEST(http_h2, an_unread_body_does_not_hold_the_connection_up)
{
    struct site s;
    struct h2_peer p;
    site_start(&s, &plain);
    h2_open(&p, &s);
    for (int i = 0; i < 8; i++) {   /* together more than the connection's window */
        p.send_len = 200000;
        p.sent = 0;
        int32_t id = h2_ask(&p, "POST", "/unread", NULL, true);
        h2_until_done(&p);
        EXPECT_EQ(h2_at(&p, id)->status, 200);
        EXPECT_STR(h2_at(&p, id)->body, "no need\n");
        EXPECT_EQ(h2_at(&p, id)->code, NGHTTP2_NO_ERROR);
    }
    h2_close(&p);
    site_stop(&s);
}

TEST(http_h2, bodies_and_heads_past_their_limits_are_refused)
{
    struct site s;
    struct h2_peer p;
    struct weft_http_server_opts o = {.handler = handle, .body_bytes_max = 1000, .head_bytes_max = 2000};
    char long_value[2100];
    site_start(&s, &o);
    h2_open(&p, &s);
    memset(long_value, 'a', sizeof long_value);
    long_value[sizeof long_value - 1] = '\0';
    int32_t id = h2_ask(&p, "GET", "/hello", H2_EXTRA("x-long", long_value), false);
    h2_until_done(&p);
    EXPECT_EQ(h2_at(&p, id)->status, 431);
    p.send_len = 2000;
    id = h2_ask(&p, "POST", "/echo", H2_EXTRA("content-length", "2000"), true);
    h2_until_done(&p);
    EXPECT_EQ(h2_at(&p, id)->status, 413);
    p.sent = 0;
    id = h2_ask(&p, "POST", "/echo", NULL, true);
    h2_until_done(&p);
    EXPECT_EQ(h2_at(&p, id)->status, 413);
    EXPECT_EQ(h2_get(&p, "/hello")->status, 200);
    h2_close(&p);
    site_stop(&s);
}

TEST(http_h2, methods_that_are_not_known_get_501)
{
    struct site s;
    struct h2_peer p;
    site_start(&s, &plain);
    h2_open(&p, &s);
    int32_t a = h2_ask(&p, "BREW", "/hello", NULL, false), b = h2_ask(&p, "DESCRIBE", "/hello", NULL, false),
            c = h2_ask(&p, "PATCH", "/hello", NULL, false);
    h2_until_done(&p);
    EXPECT_EQ(h2_at(&p, a)->status, 501);
    EXPECT_EQ(h2_at(&p, b)->status, 501);
    EXPECT_EQ(h2_at(&p, c)->status, 200);
    h2_close(&p);
    site_stop(&s);
}

static void stop_in_time(struct site *s)
{
    EXPECT_EQ(weft_http_server_shutdown(NULL, s->server), 0);
}

/* GOAWAY twice: first with the last stream open, so that no request in flight is lost; then the real one. */
TEST(http_h2, shutdown_lets_streams_finish)
{
    struct site s;
    struct h2_peer p;
    weft_waitgroup wg = {0};
    site_start(&s, &plain);
    h2_open(&p, &s);
    p.more = true;
    int32_t id = h2_ask(&p, "POST", "/echo", H2_EXTRA("expect", "100-continue"), true);
    while (!h2_at(&p, id)->status)
        h2_turn(&p);
    weft_waitgroup_go(&wg, stop_in_time, &s);
    while (p.goaways < 2)
        h2_turn(&p);
    EXPECT_EQ(p.goaway_last[0], INT32_MAX);
    EXPECT_EQ(p.goaway_last[1], id);
    p.more = false;
    p.send = "done";
    p.send_len = 4;
    EXPECT_EQ(nghttp2_session_resume_data(p.session, id), 0);
    h2_until_done(&p);
    EXPECT_STR(h2_at(&p, id)->body, "done");
    h2_until_end(&p);
    h2_close(&p);
    weft_waitgroup_wait(&wg);
    weft_waitgroup_wait(&s.wg);
    weft_http_server_free(s.server);
}

TEST(http_h2, shutdown_by_force_cancels_streams)
{
    struct site s;
    struct h2_peer p;
    int before = atomic_load(&cancelled), in = atomic_load(&entered);
    site_start(&s, &plain);
    h2_open(&p, &s);
    (void)h2_ask(&p, "GET", "/ctx", NULL, false);
    h2_send(&p);
    while (atomic_load(&entered) == in)
        weft_yield();
    weft_ctx *ctx = weft_with_timeout(NULL, 20 * WEFT_MS);
    EXPECT_EQ(weft_http_server_shutdown(ctx, s.server), WEFT_EDEADLINE);
    EXPECT_EQ(atomic_load(&cancelled), before + 1);
    weft_ctx_unref(ctx);
    h2_close(&p);
    weft_waitgroup_wait(&s.wg);
    weft_http_server_free(s.server);
}

TEST(http_h2, an_idle_connection_is_told_goodbye)
{
    struct site s;
    struct h2_peer p;
    struct weft_http_server_opts o = {.handler = handle, .idle_timeout = WEFT_SEC};
    site_start(&s, &o);
    h2_open(&p, &s);
    h2_until_end(&p);
    EXPECT_EQ(p.goaways, 1);
    EXPECT_EQ(p.goaway_code, NGHTTP2_NO_ERROR);
    h2_close(&p);
    site_stop(&s);
}

/* A body that stalls, a window that is never opened: the stream ends, the connection does not. */
TEST(http_h2, stalled_streams_end_in_time)
{
    struct site s;
    struct h2_peer p;
    struct weft_http_server_opts o = {.handler = handle, .io_timeout = 100 * WEFT_MS};
    site_start(&s, &o);
    h2_start(&p, h2_dial(&s), false);
    (void)nghttp2_session_set_local_window_size(p.session, NGHTTP2_FLAG_NONE, 0, 1 << 20);
    p.more = true;
    int32_t in = h2_ask(&p, "POST", "/echo", NULL, true), out = h2_ask(&p, "GET", "/big", NULL, false);
    while (!h2_at(&p, out)->closed || !h2_at(&p, in)->status)
        h2_turn(&p);
    EXPECT_EQ(h2_at(&p, in)->status, 400);
    EXPECT_EQ(h2_at(&p, out)->code, NGHTTP2_INTERNAL_ERROR);
    int32_t id = h2_ask(&p, "GET", "/hello", NULL, false);
    while (!h2_at(&p, id)->closed)
        h2_turn(&p);
    EXPECT_EQ(h2_at(&p, id)->status, 200);
    h2_close(&p);
    site_stop(&s);
}

/* A client that sends and does not read: the answers wait, and so do their handlers; then it reads all of them. */
TEST(http_h2, a_socket_that_is_full_is_waited_for)
{
    struct site s;
    struct h2_peer p;
    site_start(&s, &plain);
    h2_open(&p, &s);
    (void)nghttp2_session_set_local_window_size(p.session, NGHTTP2_FLAG_NONE, 0, 1 << 28);
    nghttp2_settings_entry iv = {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, 1 << 24};
    (void)nghttp2_submit_settings(p.session, NGHTTP2_FLAG_NONE, &iv, 1);
    for (int i = 0; i < 20; i++)
        (void)h2_ask(&p, "GET", "/big", NULL, false);
    h2_send(&p);
    weft_sleep(20 * WEFT_MS);   /* what is tested is the same without it; with it the socket is full */
    h2_until_done(&p);
    for (int i = 0; i < 20; i++)
        EXPECT_EQ(p.a[i].body_len, 1000000);
    h2_close(&p);
    site_stop(&s);
}

static void client_goroutine(struct site *s, int n)
{
    struct raw *r = raw_open(s);
    for (int i = 0; i < n; i++) {
        raw_send(r, sizeof HP_GET - 1, NGHTTP2_HEADERS, F_END_STREAM | F_END_HEADERS, 2 * i + 1, HP_GET);
        if (!raw_wait(r, NGHTTP2_HEADERS)) {
            EXPECT(!"the connection ended");
            break;
        }
        EXPECT_EQ(r->id, 2 * i + 1);
    }
    raw_close(r);
}

TEST(http_h2, many_connections_at_a_time_are_served)
{
    struct site s;
    weft_waitgroup wg = {0};
    site_start(&s, &plain);
    for (int i = 0; i < 20; i++)
        weft_waitgroup_go(&wg, client_goroutine, &s, 50);
    weft_waitgroup_wait(&wg);
    site_stop(&s);
}

/* What the client offers decides: ALPN, both ways, and without. */
TEST(http_h2, over_tls_the_handshake_chooses)
{
    struct cert c;
    struct site s;
    struct h2_peer p;
    cert_make(&c);
    struct weft_tls_config server_tls = {.cert_file = c.crt, .key_file = c.key};
    struct weft_http_server_opts o = {.handler = handle, .tls = &server_tls};
    site_start(&s, &o);
    static const char *const offers[] = {"h2,http/1.1", "http/1.1", NULL};
    for (int i = 0; i < 3; i++) {
        struct weft_tls_config tls = {.ca_file = c.crt, .server_name = "127.0.0.1", .alpn = offers[i]};
        struct weft_tls_state state;
        weft_conn *conn = h2_dial(&s);
        REQUIRE(weft_tls_client(NULL, conn, &tls, &conn) == 0);
        REQUIRE(weft_tls_state_get(conn, &state) == 0);
        EXPECT_STR(state.alpn, i == 0 ? "h2" : i == 1 ? "http/1.1" : "");
        if (i == 0) {
            h2_start(&p, conn, true);
            EXPECT_STR(h2_get(&p, "/hello")->body, "hello\n");
            EXPECT_EQ(h2_get(&p, "/big")->body_len, 1000000);
            p.send_len = 500000;
            int32_t id = h2_ask(&p, "POST", "/echo", NULL, true);
            h2_until_done(&p);
            EXPECT_EQ(h2_at(&p, id)->body_len, 500000);
            h2_close(&p);
            continue;
        }
        char buf[1000] = "";
        (void)weft_conn_write(NULL, conn, LAST("/hello"), sizeof LAST("/hello") - 1);
        EXPECT(weft_conn_read(NULL, conn, buf, sizeof buf - 1) > 0);
        EXPECT(strstr(buf, "HTTP/1.1 200 OK"));
        (void)weft_conn_close(conn);
    }
    site_stop(&s);
    cert_drop(&c);
}
#endif
