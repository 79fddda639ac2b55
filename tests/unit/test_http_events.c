/* Server-sent events as a client reads them. Source: HTML Living Standard 9.2 and its examples. */
#include <stdatomic.h>

#include "http_site.h"

#define HEAD "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream;charset=utf-8\r\nConnection: close\r\n\r\n"

static weft_http_events *events_of(const char *url, const struct weft_http_events_opts *o)
{
    weft_http_events *ev;
    REQUIRE(weft_http_events_new(NULL, url, o, &ev) == 0);
    return ev;
}

/* All events of one stream as "id|event|data;". */
static const char *read_all(const char *bytes, size_t len, bool drip)
{
    static char out[4096];
    struct peer p;
    struct answer a[] = {{.bytes = bytes, .len = len, .close = true, .drip = drip}};
    struct weft_http_event e;
    size_t n = 0;
    int state;
    peer_start(&p, a, 1);
    weft_http_events *ev = events_of(p.url, &(struct weft_http_events_opts){.retry = -1, .event_bytes_max = 1000});
    out[0] = '\0';
    while ((state = weft_http_events_next(NULL, ev, &e)) > 0)
        n += (size_t)snprintf(out + n, sizeof out - n, "%s|%s|%s;", e.id, e.event, e.data);
    if (state < 0)
        snprintf(out + n, sizeof out - n, "%s", weft_strerror(state));
    weft_http_events_free(ev);
    peer_stop(&p);
    return out;
}

TEST(http_events, streams_mean_what_the_standard_says)
{
    static const struct {
        const char *bytes, *want;
    } table[] = {
        {"data: YHOO\ndata: +2\ndata: 10\n\n", "|message|YHOO\n+2\n10;"},
        {": test stream\n\ndata: first event\nid: 1\n\ndata:second event\nid\n\ndata:  third event\n\n",
         "1|message|first event;|message|second event;|message| third event;"},
        {"data\n\ndata\ndata\n\ndata:", "|message|;|message|\n;"},
        {"data:test\n\ndata: test\n\n", "|message|test;|message|test;"},
        {"event: add\r\ndata: 73857293\r\n\r\nevent: remove\rdata: 2153\r\rdata: x\n\r\n", "|add|73857293;|remove|2153;|message|x;"},
        {"\xef\xbb\xbf" "data: a\n\n\xef\xbb\xbf" "data: b\n\n", "|message|a;"},
        {"event: lost\n\ndata: a\n\n", "|message|a;"},
        {"id: 7\n\ndata: a\n\nid: 8\ndata: b\n\n", "7|message|a;8|message|b;"},
        {"Data: a\ndata : b\nfoo: c\nretry: x\nretry: \ndata: d\n\n", "|message|d;"},
        {"data: cut", ""},
        {"data: cut\n", ""},
        {"data: a:b: c\n:\n: data: x\n\n", "|message|a:b: c;"},
        {"\n\n\n\r\r\r\n\r\n", ""},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        char bytes[1024];
        int n = snprintf(bytes, sizeof bytes, "%s%s", HEAD, table[i].bytes);
        EXPECT_STR(read_all(bytes, (size_t)n, false), table[i].want);
        EXPECT_STR(read_all(bytes, (size_t)n, true), table[i].want);
    }
    static const char nul[] = HEAD "id: 1\ndata: a\n\nid: 2\0\ndata: b\n\n";
    EXPECT_STR(read_all(nul, sizeof nul - 1, false), "1|message|a;1|message|b;");
    weft_http_client_close_idle(NULL);
}

TEST(http_events, lines_and_data_past_the_limit_are_refused)
{
    char bytes[4096] = HEAD, *at = bytes + strlen(bytes);
    memset(at, 'x', 1200);
    EXPECT_STR(read_all(bytes, 0, false), weft_strerror(WEFT_ETOOBIG));
    for (int i = 0; i < 300; i++)
        memcpy(at + 8 * i, "data:ab\n", 9);
    EXPECT_STR(read_all(bytes, 0, false), "");   /* 900 bytes, and no empty line */
    for (int i = 300; i < 350; i++)
        memcpy(at + 8 * i, "data:ab\n", 9);
    EXPECT_STR(read_all(bytes, 0, false), weft_strerror(WEFT_ETOOBIG));
    weft_http_client_close_idle(NULL);
}

TEST(http_events, it_connects_again_with_the_last_id_until_204)
{
    struct peer p;
    struct weft_http_event e;
    PEER_START(&p, {HEAD "retry: 1\nid: a1\ndata: x\n\nid: never\ndata: cut\n", true}, {NULL, true}, {HEAD "data: y\n\n", true},
               {"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n", true});
    weft_http_events *ev = events_of(p.url, NULL);
    EXPECT_EQ(weft_http_events_next(NULL, ev, &e), 1);
    EXPECT_STR(e.data, "x");
    EXPECT_EQ(e.retry, WEFT_MS);
    EXPECT_EQ(weft_http_events_next(NULL, ev, &e), 1);
    EXPECT_STR(e.data, "y");
    EXPECT_STR(e.id, "a1");
    EXPECT(strstr(peer_last(&p), "\r\nLast-Event-ID: a1\r\n") && strstr(peer_last(&p), "\r\nAccept: text/event-stream\r\n"));
    EXPECT_EQ(weft_http_events_next(NULL, ev, &e), 0);
    EXPECT_EQ(weft_http_events_next(NULL, ev, &e), 0);
    EXPECT_EQ(atomic_load(&p.requests), 4);
    weft_http_events_free(ev);
    weft_http_events_free(NULL);
    weft_http_client_close_idle(NULL);
    peer_stop(&p);
}

TEST(http_events, answers_that_are_no_stream_fail)
{
    struct peer p;
    struct weft_http_event e;
    PEER_START(&p, {"HTTP/1.1 200 OK\r\nContent-Type: text/event-streams\r\nContent-Length: 0\r\n\r\n"}, {"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n"});
    weft_http_events *ev = events_of(p.url, &(struct weft_http_events_opts){.retry = 1, .last_id = "old"});
    EXPECT_EQ(weft_http_events_next(NULL, ev, &e), WEFT_EPROTO);
    EXPECT(strstr(peer_last(&p), "\r\nLast-Event-ID: old\r\n") != NULL);
    EXPECT_EQ(weft_http_events_next(NULL, ev, &e), WEFT_EPROTO);
    weft_http_events_free(ev);
    ev = events_of("gopher://h/", NULL);
    EXPECT_EQ(weft_http_events_next(NULL, ev, &e), WEFT_EUNSUPPORTED);
    weft_http_events_free(ev);
    EXPECT_EQ(weft_http_events_new(NULL, "http://h/", &(struct weft_http_events_opts){.last_id = "a\nb"}, &ev), WEFT_EINVAL);
    weft_http_client_close_idle(NULL);
    peer_stop(&p);
}

/* ---- with our own server ---- */

static weft_chan(int) sent;

static void handle(weft_http_request *rq, weft_http_writer *w, void *arg)
{
    const char *last = weft_http_request_header(rq, "last-event-id");
    char id[16];
    int from = last ? (int)strtol(last, NULL, 10) : 0;
    (void)arg;
    if (from >= 4) {   /* the end: 204 */
        weft_http_reply_status(w, 204);
        return;
    }
    weft_ctx *ctx = weft_http_request_ctx(rq);
    EXPECT_EQ(weft_http_sse_begin(w), 0);
    for (int i = from + 1; i <= from + 2; i++) {
        snprintf(id, sizeof id, "%d", i);
        EXPECT_EQ(weft_http_sse_send(w, &(struct weft_http_event){0}), 0);
        EXPECT_EQ(weft_http_sse_send(w, &(struct weft_http_event){.id = id, .event = "tick", .data = " two\n lines ", .retry = WEFT_MS}), 0);
    }
    if (from == 2)
        (void)weft_recv_ok(weft_ctx_done(ctx), NULL);   /* until the client goes */
    (void)weft_try_send(sent, from);
}

TEST(http_events, our_server_and_reader_agree_also_about_who_is_gone)
{
    static const struct weft_http_server_opts o = {.handler = handle};
    struct site s;
    struct weft_http_event e;
    char id[16];
    sent = weft_make(int, 8);
    site_start(&s, &o);
    weft_http_events *ev = events_of(s.url, NULL);
    for (int i = 1; i <= 4; i++) {
        REQUIRE(weft_http_events_next(NULL, ev, &e) == 1);
        snprintf(id, sizeof id, "%d", i);
        EXPECT_STR(e.id, id);
        EXPECT_STR(e.event, "tick");
        EXPECT_STR(e.data, " two\n lines ");
    }
    weft_ctx *soon = weft_with_timeout(NULL, 5 * WEFT_MS);
    EXPECT_EQ(weft_http_events_next(soon, ev, &e), WEFT_EDEADLINE);   /* and so the connection is gone */
    weft_ctx_unref(soon);
    EXPECT_EQ(weft_recv(sent), 0);
    EXPECT_EQ(weft_recv(sent), 2);
    EXPECT_EQ(weft_http_events_next(NULL, ev, &e), 0);
    weft_http_events_free(ev);
    weft_http_client_close_idle(NULL);
    site_stop(&s);
    weft_free(sent);
}
