/* HTTP/2: how streams and connections end: resets, clients that leave, shutdown, idleness. */
#if !__has_include(<nghttp2/nghttp2.h>)
#include "../include/weft_test.h"
#else
#include "http_h2_site.h"

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
#endif
