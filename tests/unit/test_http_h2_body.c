/* HTTP/2: bodies both ways, windows, trailers, and what is sent without a body. */
#if !__has_include(<nghttp2/nghttp2.h>)
#include "../include/weft_test.h"
#else
#include "http_h2_site.h"

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
#endif

/* ---- trailers of a request ---- */

static ssize_t body_with_trailers(nghttp2_session *session, int32_t id, uint8_t *buf, size_t len, uint32_t *flags,
                                  nghttp2_data_source *source, void *arg)
{
    struct h2_peer *p = arg;
    static char big[300];
    memset(big, 'x', sizeof big - 1);
    nghttp2_nv nv[] = {H2_NV("x-sum", "6"), H2_NV("content-type", "late"), H2_NV("x-more", "a: b"), H2_NV("x-big", big)};
    (void)len, (void)source;
    memcpy(buf, "abc", 3);
    *flags = NGHTTP2_DATA_FLAG_EOF | NGHTTP2_DATA_FLAG_NO_END_STREAM;
    nghttp2_nv many[60];
    for (size_t i = 0; i < 60; i++)
        many[i] = nv[3];
    EXPECT_EQ(p->more ? nghttp2_submit_trailer(session, id, many, 60) : nghttp2_submit_trailer(session, id, nv, 3), 0);
    return 3;
}

static void handle_request_trailers(weft_http_request *rq, weft_http_writer *w, void *arg)
{
    char buf[100], text[400] = "";
    struct weft_http_field f;
    ssize_t n;
    size_t len = 0;
    EXPECT(!weft_http_request_trailer_at(rq, 0, &f));
    while ((n = weft_http_request_read(rq, buf, sizeof buf)) > 0)
        continue;
    *(ssize_t *)arg = n;
    for (size_t i = 0; weft_http_request_trailer_at(rq, i, &f); i++)
        len += (size_t)snprintf(text + len, sizeof text - len, "%s=%s;", f.name, f.value);
    (void)weft_http_reply_text(w, 200, "text/plain", text);
}

TEST(http_h2, trailers_of_a_request_are_there_after_its_body)
{
    struct site s;
    struct h2_peer p;
    ssize_t last = -1;
    site_start(&s, &(struct weft_http_server_opts){.handler = handle_request_trailers, .arg = &last});
    h2_open(&p, &s);
    const nghttp2_nv nv[] = {H2_NV(":method", "POST"), H2_NV(":path", "/"), H2_NV(":scheme", "http"), H2_NV(":authority", "example.org")};
    nghttp2_data_provider source = {.read_callback = body_with_trailers};
    for (int i = 0; i < 2; i++) {
        p.more = i == 1;   /* 18 KB of trailers */
        int32_t id = nghttp2_submit_request(p.session, NULL, nv, 4, &source, NULL);
        REQUIRE(id > 0);
        p.open++;
        h2_until_done(&p);
        if (i == 0) {
            EXPECT_EQ(h2_at(&p, id)->status, 200);
            EXPECT_STR(h2_at(&p, id)->body, "x-sum=6;x-more=a: b;");
            EXPECT_EQ(last, 0);
        } else {
            EXPECT_EQ(h2_at(&p, id)->code, NGHTTP2_ENHANCE_YOUR_CALM);
        }
    }
    h2_close(&p);
    site_stop(&s);
    EXPECT_EQ(last, WEFT_EPROTO);
}
