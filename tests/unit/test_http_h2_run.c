/* HTTP/2: which goroutines run the handlers of requests that come together. docs/design/http2.md, Z8 and Z9. */
#if !__has_include(<nghttp2/nghttp2.h>)
#include "../include/weft_test.h"
#else
#include "http_h2_site.h"

/* All in one write, so that one pass of the server sees them. The first one's id. */
static int32_t ask_together(struct h2_peer *p, const char *const *paths, int n)
{
    static char buf[1 << 15];
    size_t len = 0;
    const uint8_t *data;
    ssize_t got;
    int32_t first = h2_ask(p, "GET", paths[0], NULL, false);
    for (int i = 1; i < n; i++)
        (void)h2_ask(p, "GET", paths[i], NULL, false);
    while ((got = nghttp2_session_mem_send(p->session, &data)) > 0) {
        REQUIRE(len + (size_t)got <= sizeof buf);
        memcpy(buf + len, data, (size_t)got);
        len += (size_t)got;
    }
    REQUIRE(weft_conn_write(NULL, p->conn, buf, len) == (ssize_t)len);
    return first;
}

/* Both sides' SETTINGS are through: no frame of the client's helps the server on. */
static void open_settled(struct h2_peer *p, struct site *s)
{
    h2_open(p, s);
    EXPECT_EQ(h2_get(p, "/hello")->status, 200);
    EXPECT_EQ(h2_get(p, "/hello")->status, 200);
}

static void until_answered(struct h2_peer *p, int32_t id)
{
    while (!h2_at(p, id)->closed && !p->ended)
        h2_turn(p);
    EXPECT_EQ(h2_at(p, id)->status, 200);
}

/* The first parks for good: those behind it do not wait for it. Twice: the second time it is known that they park. */
TEST(http_h2, requests_behind_one_that_parks_are_answered)
{
    static const char *const paths[] = {"/ctx", "/hello", "/hello", "/hello", "/ctx", "/hello"};
    struct site s;
    struct h2_peer p;
    int before = atomic_load(&cancelled), in = atomic_load(&entered);
    site_start(&s, &plain);
    open_settled(&p, &s);
    for (int i = 0; i < 2; i++) {
        int32_t first = ask_together(&p, paths, 6);
        until_answered(&p, first + 2);
        until_answered(&p, first + 4);
        until_answered(&p, first + 6);
        until_answered(&p, first + 10);
        EXPECT(!h2_at(&p, first)->closed && !h2_at(&p, first + 8)->closed);
    }
    while (atomic_load(&entered) < in + 4)
        weft_yield();
    h2_close(&p);
    while (atomic_load(&cancelled) < before + 4)
        weft_yield();
    site_stop(&s);
}

/* The runner has parked in the last request while the answer of the one before was not sent yet. */
TEST(http_h2, an_answer_before_a_handler_that_parks_is_sent)
{
    static const char *const paths[] = {"/hello", "/ctx"};
    struct site s;
    struct h2_peer p;
    int before = atomic_load(&cancelled), in = atomic_load(&entered);
    site_start(&s, &plain);
    open_settled(&p, &s);
    for (int i = 0; i < 3; i++) {
        int32_t first = ask_together(&p, paths, 2);
        until_answered(&p, first);
        EXPECT(!h2_at(&p, first + 2)->closed);
    }
    while (atomic_load(&entered) < in + 3)
        weft_yield();
    h2_close(&p);
    while (atomic_load(&cancelled) < before + 3)
        weft_yield();
    site_stop(&s);
}

/* Handlers that end otherwise than by return take nobody with them. */
TEST(http_h2, requests_behind_a_panic_or_a_goexit_are_answered)
{
    static const char *const paths[] = {"/hello", "/goexit", "/hello", "/panic", "/hello", "/goexit", "/hello"};
    struct site s;
    struct h2_peer p;
    site_start(&s, &plain);
    open_settled(&p, &s);
    for (int i = 0; i < 3; i++) {
        int32_t first = ask_together(&p, paths, 7);
        h2_until_done(&p);
        for (int32_t k = 0; k < 14; k += 4)
            until_answered(&p, first + k);
        EXPECT_EQ(h2_at(&p, first + 2)->code, NGHTTP2_INTERNAL_ERROR);
        EXPECT_EQ(h2_at(&p, first + 6)->status, 500);
        EXPECT_EQ(h2_at(&p, first + 10)->code, NGHTTP2_INTERNAL_ERROR);
    }
    h2_close(&p);
    site_stop(&s);
}

/* As with HTTP/1: the wait for the next request is the poller's. */
TEST(http_h2, an_idle_connection_holds_no_goroutine)
{
    struct site s;
    struct h2_peer p;
    site_start(&s, &plain);
    EXPECT(strstr(ask_raw(&s, LAST("/hello"), 0), "HTTP/1.1 200 OK"));   /* the listener is up */
    size_t before = weft_num_goroutines();
    for (int i = 0; i < 3; i++) {
        h2_open(&p, &s);
        EXPECT_EQ(h2_get(&p, "/hello")->status, 200);
        while (weft_num_goroutines() > before)
            weft_yield();
        EXPECT_EQ(h2_get(&p, "/hello")->status, 200);
        h2_close(&p);
    }
    site_stop(&s);
}
#endif
