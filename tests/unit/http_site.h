/*
 * http_site.h - a server under test on a port of its own, and raw requests to it.
 */
#ifndef TESTS_HTTP_SITE_H
#define TESTS_HTTP_SITE_H
#include "http_peer.h"

struct site {
    weft_http_server *server;
    char url[WEFT_ADDR_TEXT + 16];
    weft_err err;
    weft_waitgroup wg;
    int handled;
};

static inline void site_run(struct site *s, weft_listener *ln)
{
    s->err = weft_http_serve(NULL, s->server, ln);
}

/* Its clients have as long as a slow machine needs, where o does not say how long. */
static inline void site_start(struct site *s, const struct weft_http_server_opts *o)
{
    weft_listener *ln;
    struct weft_http_server_opts patient = *o;
    if (!patient.head_timeout)
        patient.head_timeout = 600 * WEFT_SEC;
    if (!patient.idle_timeout)
        patient.idle_timeout = 600 * WEFT_SEC;
    if (!patient.io_timeout)
        patient.io_timeout = 600 * WEFT_SEC;
    memset(s, 0, sizeof *s);
    REQUIRE(weft_http_server_new(&patient, &s->server) == 0);
    REQUIRE(weft_listen(&ln, "tcp", "127.0.0.1:0") == 0);
    memcpy(s->url, "http://", 7);
    REQUIRE(weft_listener_addr(ln, s->url + 7, WEFT_ADDR_TEXT) > 0);
    weft_waitgroup_go(&s->wg, site_run, s, ln);
}

static inline void site_stop(struct site *s)
{
    EXPECT_EQ(weft_http_server_shutdown(NULL, s->server), 0);
    weft_waitgroup_wait(&s->wg);
    EXPECT_EQ(s->err, 0);
    weft_http_server_free(s->server);
}

static inline weft_conn *site_dial(struct site *s)
{
    weft_conn *c;
    REQUIRE(weft_dial(NULL, "tcp", s->url + 7, &c) == 0);
    return c;
}

/* Send, then read until the server closes. */
static inline const char *ask_raw(struct site *s, const char *bytes, size_t len)
{
    static char out[64 * 1024];
    weft_conn *c = site_dial(s);
    (void)weft_conn_write(NULL, c, bytes, len ? len : strlen(bytes));
    size_t n = 0;
    ssize_t r;
    while (n < sizeof out - 1 && (r = weft_conn_read(NULL, c, out + n, sizeof out - 1 - n)) > 0)
        n += (size_t)r;
    out[n] = '\0';
    (void)weft_conn_close(c);
    return out;
}

static inline int count(const char *text, const char *word)
{
    int n = 0;
    for (; (text = strstr(text, word)); text++)
        n++;
    return n;
}

#define GET(path) "GET " path " HTTP/1.1\r\nHost: h\r\n\r\n"
#define LAST(path) "GET " path " HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"

#endif
