/*
 * ws_site.h - a WebSocket server of ours with a path for each thing that tests ask of it.
 */
#ifndef WS_SITE_H
#define WS_SITE_H
#include <stdatomic.h>

#include "ws_raw.h"

static struct weft_ws_opts opts = {.message_bytes_max = -1, .protocols = "b, a"};
static _Atomic int told, handlers;

static inline void echo(weft_ws *ws)
{
    struct weft_ws_message m;
    int state;
    while ((state = weft_ws_read(NULL, ws, &m)) > 0)
        if (weft_ws_write(NULL, ws, m.type, m.data, m.len) < 0)
            break;
    atomic_store(&told, state < 0 ? state : weft_ws_closed(ws, NULL));
}

/* Each piece that comes leaves in a frame of its own. */
static inline void echo_parts(weft_ws *ws)
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

static inline void flood(weft_ws *ws)
{
    static char data[1 << 16];
    while (weft_ws_write(NULL, ws, WEFT_WS_BINARY, data, sizeof data) == 0)
        atomic_fetch_add(&flooded, 1);
}

/* Writes to a client that does not read, and waits for a word of it. */
static inline void flood_and_read(weft_ws *ws)
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

static inline void handle(weft_http_request *rq, weft_http_writer *w, void *arg)
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

static inline weft_ws *dial(struct site *s, const char *path)
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

static inline void stop(struct site *s)
{
    weft_http_client_close_idle(NULL);
    site_stop(s);
}

/* Sends n bytes and expects them back. */
static inline void expect_echo(weft_ws *ws, int type, size_t n)
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

static inline void read_all(weft_ws *ws, int *ret_count, int *ret_last)
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

#endif
