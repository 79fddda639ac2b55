/*
 * http_peer.h - a server that answers with given bytes, for tests of the HTTP client; and small helpers for raw peers.
 *
 * Answer number k goes to the k-th request that the peer receives, over all its connections, in order.
 */
#ifndef TESTS_HTTP_PEER_H
#define TESTS_HTTP_PEER_H
#include <stdatomic.h>
#include <string.h>
#include <weft/weft.h>

#include "../include/weft_test.h"

#pragma GCC diagnostic ignored "-Wmissing-field-initializers" /* an answer says what differs */

struct answer {
    const char *bytes;       /* NULL: none */
    bool close;              /* close after it */
    weft_dur stall;          /* wait before it */
    bool drip;               /* a byte at a time, in writes of their own */
    size_t len;              /* 0: strlen */
};

struct peer {
    weft_listener *ln;
    char url[WEFT_ADDR_TEXT + 16];   /* "http://127.0.0.1:port" */
    const struct answer *answers;
    int answers_len;
    atomic_int conns, requests;
    weft_mutex lock;
    char last[4096];         /* [lock] the last request's bytes */
    char seen[4096];         /* the test's goroutine's: what peer_last returns */
    weft_waitgroup wg;
    weft_ctx *ctx;
};

static inline ssize_t peer_read_head(weft_ctx *ctx, weft_conn *c, char *buf, size_t cap)
{
    size_t len = 0;
    while (len < cap - 1) {
        ssize_t n = weft_conn_read(ctx, c, buf + len, cap - 1 - len);
        if (n <= 0)
            return n;
        len += (size_t)n;
        buf[len] = '\0';
        if (strstr(buf, "\r\n\r\n"))
            return (ssize_t)len;
    }
    return -1;
}

static inline void peer_conn(struct peer *p, weft_conn *c)
{
    char *buf = malloc(sizeof p->last);
    while (peer_read_head(p->ctx, c, buf, sizeof p->last) > 0) {
        int k = atomic_fetch_add(&p->requests, 1);
        weft_mutex_lock(&p->lock);
        memcpy(p->last, buf, strlen(buf) + 1);
        weft_mutex_unlock(&p->lock);
        if (k >= p->answers_len)
            break;
        const struct answer *a = &p->answers[k];
        if (a->stall) {
            weft_ctx *t = weft_with_timeout(p->ctx, a->stall);
            (void)weft_recv_ok(weft_ctx_done(t), NULL);
            weft_ctx_unref(t);
        }
        size_t len = !a->bytes ? 0 : a->len ? a->len : strlen(a->bytes);
        for (size_t i = 0; a->drip && i < len; i++) {
            (void)weft_conn_write(NULL, c, a->bytes + i, 1);
            weft_sleep(100 * WEFT_US);
        }
        if (!a->drip && len)
            (void)weft_conn_write(NULL, c, a->bytes, len);
        if (a->close)
            break;
    }
    free(buf);
    (void)weft_conn_close(c);
}

/* The last request's bytes. A socket is no edge for ThreadSanitizer, so the lock is. */
static inline const char *peer_last(struct peer *p)
{
    weft_mutex_lock(&p->lock);
    memcpy(p->seen, p->last, sizeof p->seen);
    weft_mutex_unlock(&p->lock);
    return p->seen;
}

static inline void peer_loop(struct peer *p)
{
    weft_conn *c;
    while (weft_accept(p->ctx, p->ln, &c) == 0) {
        atomic_fetch_add(&p->conns, 1);
        weft_waitgroup_go(&p->wg, peer_conn, p, c);
    }
}

static inline void peer_start(struct peer *p, const struct answer *answers, int n)
{
    memset(p, 0, sizeof *p);
    p->answers = answers;
    p->answers_len = n;
    p->ctx = weft_with_cancel(NULL);
    REQUIRE(weft_listen(&p->ln, "tcp", "127.0.0.1:0") == 0);
    memcpy(p->url, "http://", 7);
    REQUIRE(weft_listener_addr(p->ln, p->url + 7, WEFT_ADDR_TEXT) > 0);
    weft_waitgroup_go(&p->wg, peer_loop, p);
}

static inline void peer_stop(struct peer *p)
{
    weft_cancel(p->ctx);
    weft_waitgroup_wait(&p->wg);
    (void)weft_listener_close(p->ln);
    weft_ctx_unref(p->ctx);
}

/* A server that says more than it is asked: behind its first answer a second one, a moment later. The next connection gets another. */
struct loud {
    weft_listener *ln;
    const struct weft_tls_config *tls;
    weft_chan(char) said;
    weft_waitgroup wg;
};

static inline void loud_run(struct loud *l)
{
    static const char *const answers[] = {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nfirst", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nright"};
    static const char unasked[] = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nwrong";
    char buf[4096];
    for (int i = 0; i < 2; i++) {
        weft_conn *c;
        REQUIRE(weft_accept(NULL, l->ln, &c) == 0);
        REQUIRE(!l->tls || weft_tls_server(NULL, c, l->tls, &c) == 0);
        REQUIRE(peer_read_head(NULL, c, buf, sizeof buf) > 0);
        (void)weft_conn_write(NULL, c, answers[i], strlen(answers[i]));
        if (i == 0) {
            weft_sleep(20 * WEFT_MS);
            (void)weft_conn_write(NULL, c, unasked, sizeof unasked - 1);
            weft_close(l->said);
        }
        while (weft_conn_read(NULL, c, buf, sizeof buf) > 0)   /* the client is told nothing more here */
            continue;
        (void)weft_conn_close(c);
    }
}

/* A client asks it twice: the second call has an answer of its own. */
static inline void loud_ask(weft_http_client *c, const struct weft_tls_config *tls)
{
    struct loud l = {.tls = tls, .said = weft_make(char)};
    char url[WEFT_ADDR_TEXT + 16] = "https://", body[64];
    weft_http_response *r;
    REQUIRE(weft_listen(&l.ln, "tcp", "127.0.0.1:0") == 0);
    memcpy(url, tls ? "https://" : "http://", 8);
    REQUIRE(weft_listener_addr(l.ln, url + (tls ? 8 : 7), WEFT_ADDR_TEXT) > 0);
    weft_waitgroup_go(&l.wg, loud_run, &l);
    for (int i = 0; i < 2; i++) {
        REQUIRE(weft_http_get(NULL, c, url, &r) == 0);
        ssize_t n = weft_http_body_read(NULL, r, body, sizeof body - 1);
        body[n > 0 ? n : 0] = '\0';
        weft_http_response_free(r);
        EXPECT_STR(body, i ? "right" : "first");
        if (i == 0) {
            (void)weft_recv_ok(l.said, NULL);
            weft_sleep(50 * WEFT_MS);   /* the poller hears of it; less than the second after which it is asked in any case */
        }
        if (strcmp(body, "wrong") == 0) {   /* the other one is to be asked for, too */
            weft_http_client_close_idle(c);
            REQUIRE(weft_http_get(NULL, c, url, &r) == 0);
            weft_http_response_free(r);
        }
    }
    weft_http_client_close_idle(c);
    weft_waitgroup_wait(&l.wg);
    (void)weft_listener_close(l.ln);
    weft_free(l.said);
}

#define PEER_START(p, ...)                                                   \
    static const struct answer peer_answers[] = {__VA_ARGS__};               \
    peer_start(p, peer_answers, (int)(sizeof peer_answers / sizeof *peer_answers))

/* p's URL with a path, in one static buffer. */
static inline const char *peer_url(const struct peer *p, const char *path)
{
    static char out[512];
    snprintf(out, sizeof out, "%s%s", p->url, path);
    return out;
}

/* The call, and read all: the status, or the error. Body into ret (cut), NUL-terminated. */
static inline int fetch_call(weft_http_client *c, const struct weft_http_call *call, char *ret, size_t cap)
{
    weft_http_response *r;
    char *body;
    size_t len;
    int err = weft_http_do(NULL, c, call, &r);
    *ret = '\0';
    if (err < 0)
        return err;
    int status = weft_http_status(r);
    err = weft_http_body_read_all(NULL, r, 0, &body, &len);
    weft_http_response_free(r);
    if (err < 0)
        return err;
    snprintf(ret, cap, "%.*s", (int)len, body);
    free(body);
    return status;
}

static inline int fetch(weft_http_client *c, const char *url, char *ret, size_t cap)
{
    return fetch_call(c, &(struct weft_http_call){.url = url}, ret, cap);
}

/* Its calls have as long as a slow machine needs, unless o says how long. */
static inline weft_http_client *client_with(const struct weft_http_client_opts *o)
{
    weft_http_client *c;
    struct weft_http_client_opts patient = o ? *o : (struct weft_http_client_opts){0};
    if (!patient.timeout)
        patient.timeout = 600 * WEFT_SEC;
    REQUIRE(weft_http_client_new(&patient, &c) == 0);
    return c;
}

#endif
