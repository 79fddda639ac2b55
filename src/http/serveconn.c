/*
 * serveconn.c - one connection of a server, from accept to close.
 *
 * Role    Wait without a buffer; read a head; run the handler; finish both bodies; again.
 * Near    server.c (who starts it), request.c, reply.c. Layer 5.
 *
 * Invariants
 *   S1  no buffer and no exchange is held while the connection waits for a request's first byte.
 *   S2  whatever ends the goroutine (return, goexit in a handler) runs conn_end once.
 *   S3  requests of one connection are answered one after the other, in order: what is read ahead waits in x->have.
 *
 * Limits  head_bytes_max (431), head_timeout, idle_timeout; a refused request is answered, then the connection lingers
 *         for half a second so that the answer is not lost to a reset.
 */
#include <weft/time.h>
#include <weft/unwind.h>

#include "server_int.h"

#include <stdlib.h>
#include <string.h>

#define LINGER (WEFT_SEC / 2)
#define LINGER_BYTES (256 * 1024)

static struct weft__hpool exch_pool = {.keep_max = 1024};

static bool exch_begin(struct weft__sconn *sc)
{
    struct weft__exch *x = weft__hpool_get(&exch_pool);
    if (!x)
        x = malloc(sizeof *x);
    if (!x)
        return false;
    x->sc = sc;
    x->have = 0;
    x->rq.ctx = NULL;
    x->rq.path_copy = NULL;
    x->w.out = NULL;
    x->head.fields = x->head.near;
    x->wire.in_own_buf = false;
    x->buf = weft__hbuf_get(0);
    sc->x = x;
    return x->buf != NULL;
}

/* Ends the request under way; the buffers of its body and reply go back. */
static void exch_clear(struct weft__exch *x)
{
    weft__request_done(&x->rq);
    weft__reply_done(&x->w);
    weft__head_done(&x->head);
    if (x->wire.in_own_buf)
        weft__hbuf_put(x->wire.buf);
    x->wire.in_own_buf = false;
}

static void exch_end(struct weft__sconn *sc)
{
    struct weft__exch *x = sc->x;
    if (!x)
        return;
    exch_clear(x);
    weft__hbuf_put(x->buf);
    sc->x = NULL;
    if (!weft__hpool_put(&exch_pool, x))
        free(x);
}

/* Read a head into x->buf. 1: complete; 0: the connection is over; else the status to refuse it with. */
static int head_receive(struct weft__exch *x, size_t *ret_len)
{
    struct weft__sconn *sc = x->sc;
    size_t len = x->have, max = sc->server->o.head_bytes_max;
    bool timed = false;
    weft__head_init(&x->head, HTTP_REQUEST, x->buf);
    for (;;) {
        int state = weft__head_parse(&x->head, len);
        if (state == 1) {
            *ret_len = len;
            return x->head.end > max ? 431 : 1;
        }
        if (state < 0)
            return state == WEFT_ENOMEM ? 503 : 400;
        if (len >= max)
            return 431;
        if (len == x->buf->cap) {
            if (!weft__hbuf_grow(&x->buf, len))
                return 503;
            x->head.buf = x->buf;
        }
        if (len && !timed) {   /* the head did not come in one piece: now it has a time limit of its own */
            weft__sconn_read_limit(sc, sc->server->o.head_timeout);
            timed = true;
        }
        ssize_t n = weft_conn_read(NULL, sc->conn, x->buf->data + len, x->buf->cap - len);
        if (n <= 0)
            return n == WEFT_EDEADLINE && len ? 408 : 0;
        len += (size_t)n;
    }
}

/* Answer what is not served, then let the peer read it. */
static void refuse(struct weft__exch *x, int status)
{
    struct weft__sconn *sc = x->sc;
    char text[64];
    size_t n = 0;
    const char *words = weft__http_status_text(status);
    while (words[n] && n < sizeof text - 2) {
        text[n] = words[n];
        n++;
    }
    text[n] = '\n';
    text[n + 1] = '\0';
    weft__reply_init(&x->w, sc, false, false);
    x->w.close = true;
    (void)weft_http_reply_text(&x->w, status, "text/plain; charset=utf-8", text);
    (void)weft__reply_finish(&x->w);
    if (weft_conn_close_write(sc->conn) < 0)
        return;
    sc->read_limit = 0;
    weft__sconn_read_limit(sc, LINGER);
    for (size_t got = 0; got < LINGER_BYTES;) {
        ssize_t r = weft_conn_read(NULL, sc->conn, x->buf->data, x->buf->cap);
        if (r <= 0)
            return;
        got += (size_t)r;
    }
}

static void run_handler(struct weft__exch *x)
{
    x->sc->server->o.handler(&x->rq, &x->w, x->sc->server->o.arg);
}

/* The handler's panic: a 500 when nothing is out yet, and the end of the connection. */
static void handler_panicked(struct weft__exch *x, const char *message)
{
    struct weft_http_server_opts *o = &x->sc->server->o;
    if (o->on_panic)
        o->on_panic(&x->rq, message, o->arg);
    if (weft__reply_reset(&x->w)) {
        x->w.close = true;
        (void)weft_http_reply_text(&x->w, 500, "text/plain; charset=utf-8", "Internal Server Error\n");
        (void)weft__reply_finish(&x->w);
    }
}

/* S3: what was read behind this request moves to the front of x->buf. */
static void exch_carry(struct weft__exch *x)
{
    struct weft__wire *w = &x->wire;
    x->have = w->end - w->pos;
    if (x->have && x->have <= x->buf->cap)
        memmove(x->buf->data, w->buf->data + w->pos, x->have);
}

/* One request. True: the connection can take another one. */
static bool serve_one(struct weft__exch *x)
{
    struct weft__sconn *sc = x->sc;
    size_t len;
    weft__request_init(x);
    int status = head_receive(x, &len);
    if (status == 0)
        return false;
    bool keep = false;
    if (status == 1) {
        struct weft__head *h = &x->head;
        x->wire = (struct weft__wire){.conn = sc->conn, .head = h, .buf = x->buf, .pos = h->end, .base = h->end,
                                      .end = (uint32_t)len, .wire_bytes = len, .why = ""};
        keep = h->p.http_minor >= 1 ? !(h->p.flags & F_CONNECTION_CLOSE) : (h->p.flags & F_CONNECTION_KEEP_ALIVE) != 0;
        status = weft__request_accept(x);
        weft__reply_init(&x->w, sc, h->p.method == HTTP_HEAD, h->p.http_minor == 0);
        x->w.close = !keep;
    }
    if (status != 0) {
        refuse(x, status);
        return false;
    }
    const char *message = weft_try(run_handler, x);
    if (message) {
        handler_panicked(x, message);
        return false;
    }
    keep = weft__reply_finish(&x->w) && weft__request_finish(&x->rq) && keep;
    if (keep)
        exch_carry(x);
    return keep;
}

static void conn_end(struct weft__sconn *sc)   /* S2 */
{
    exch_end(sc);
    weft__sconn_end(sc);
}

static bool conn_handshake(struct weft__sconn *sc)
{
    struct weft_http_server *s = sc->server;
    if (!s->o.tls)
        return true;
    struct weft_tls_config cfg = s->tls;
    if (!cfg.alpn)
        cfg.alpn = "http/1.1";
    weft__sconn_read_limit(sc, s->o.head_timeout);
    weft__sconn_write_limit(sc, s->o.head_timeout);
    return weft_tls_server(NULL, sc->conn, &cfg, &sc->conn) == 0;
}

/* S1: wait for the next request's first byte. False: closed, timed out, or the server is closing. */
static bool conn_wait(struct weft__sconn *sc)
{
    exch_end(sc);
    if (!weft__sconn_set_idle(sc, true))
        return false;
    weft__sconn_read_limit(sc, sc->server->o.idle_timeout);
    weft_err err = weft_conn_wait(NULL, sc->conn, WEFT_READ);
    return weft__sconn_set_idle(sc, false) && err == 0 && exch_begin(sc);
}

void weft__serve_conn(struct weft__sconn *sc)
{
    weft_defer(conn_end, sc);
    bool more = conn_handshake(sc);
    while (more && (sc->x && sc->x->have ? weft__sconn_set_idle(sc, false) : conn_wait(sc))) {
        more = serve_one(sc->x);
        exch_clear(sc->x);
    }
}
