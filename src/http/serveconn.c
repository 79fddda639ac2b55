/*
 * serveconn.c - one connection of a server, from accept to close.
 *
 * Role    Wait without a goroutine or a buffer; read a head; run the handler; finish both bodies; again.
 * Near    server.c (who starts it), request.c, reply.c. Layer 5.
 *
 * Invariants
 *   S1  while the connection waits for a request's first byte it holds no goroutine, buffer or exchange: the goroutine
 *       ends, and the poller starts another one with the first byte, the idle limit or a close (weft__conn_wait_start).
 *   S2  whatever else ends the goroutine (return, goexit in a handler) runs conn_end once.
 *   S4  one weft_try for the goroutine: a handler that panics ends the connection.
 *   S5  once the wait has begun, sc belongs to the goroutine that will be started, which may be through already.
 *   S3  requests of one connection are answered one after the other, in order: what is read ahead waits in x->buf.
 *
 * Limits  head_bytes_max (431), head_timeout, idle_timeout; after the answer to a refused request, or to one whose body was not
 *         read to its end, the connection lingers for half a second so that the answer is not lost to a reset.
 */
#include <weft/go.h>
#include <weft/time.h>
#include <weft/unwind.h>

#include "h2.h"

#include <stdlib.h>
#include <string.h>

#define LINGER (WEFT_SEC / 2)
#define LINGER_BYTES (256 * 1024)

static struct weft__hpool exch_pool = {.keep_max = 1024};

static void exch_free(struct weft__exch *x)
{
    weft__hbuf_put(x->buf);
    weft__hbuf_put(x->w.out);
    free(x);
}

static struct weft__exch *exch_new(void)
{
    struct weft__exch *x = calloc(1, sizeof *x);
    if (!x)
        return NULL;
    x->head.fields = x->head.near;
    x->buf = weft__hbuf_get(0);
    x->w.out = weft__hbuf_get(0);
    if (x->buf && x->w.out)
        return x;
    exch_free(x);
    return NULL;
}

static bool exch_begin(struct weft__sconn *sc)
{
    struct weft__exch *x = weft__hpool_get(&exch_pool);
    if (!x && !(x = exch_new()))
        return false;
    x->sc = x->w.sc = sc;
    x->at = x->end = 0;
    x->w.base = 0;
    x->w.err = 0;
    sc->x = x;
    return true;
}

/* Ends the request under way; a second buffer of its body goes back. */
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
    (void)weft__reply_release(&x->w);   /* after goexit in a handler; else there is nothing held */
    exch_clear(x);
    sc->x = NULL;
    if (!weft__hpool_put(&exch_pool, x))
        exch_free(x);
}

/* ---- heads ---- */

/* More bytes into x->buf behind end, which starts at 0. Bytes, or what head_receive answers: 0, or -status. */
static ssize_t head_read(struct weft__exch *x, bool *timed)
{
    struct weft__sconn *sc = x->sc;
    if (x->end == x->buf->cap && !weft__hbuf_grow(&x->buf, x->end))
        return -503;
    if (weft__reply_release(&x->w) < 0)
        return 0;
    if (x->end && !*timed) {   /* the head did not come in one piece: now it has a time limit of its own */
        weft__sconn_read_limit(sc, sc->server->o.head_timeout);
        *timed = true;
    }
    char *to = x->buf->data + x->end;
    size_t room = x->buf->cap - x->end;
    ssize_t n = x->end ? weft_conn_read(NULL, sc->conn, to, room) : weft__conn_read_soon(sc->conn, to, room);
    if (n > 0)
        x->end += (uint32_t)n;
    return n > 0 ? n : n == WEFT_EDEADLINE && x->end ? -408 : 0;
}

/* llhttp refuses the method: once it is there as a whole, 501 for a word that is none that is known (RFC 9110 9.1), else 400. */
static int head_method_fault(struct weft__exch *x, size_t max, bool *timed)
{
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789!#$%&'*+-.^_`|~";
    for (size_t n = 0;;) {
        const char *s = x->buf->data;
        size_t end = x->end < max ? x->end : max;
        while (n < end && s[n] && strchr(letters, s[n]))
            n++;
        if (n + 1 < end || (n < end && s[n] != ' '))
            return n && s[n] == ' ' && s[n + 1] == '/' ? 501 : 400;
        if (x->end >= max)
            return 431;
        ssize_t got = head_read(x, timed);
        if (got <= 0)
            return (int)-got;
    }
}

/* A head that headscan.c does not take, or that is not whole yet; it begins at 0. As head_receive. What is behind the limit is not
 * looked at, so that the status does not depend on the pieces that the head came in. */
static int head_parse(struct weft__exch *x)
{
    size_t max = x->sc->server->o.head_bytes_max;
    bool timed = false;
    weft__head_init(&x->head, HTTP_REQUEST, x->buf);
    for (;;) {
        x->head.buf = x->buf;
        int state = weft__head_parse(&x->head, x->end < max ? x->end : max);
        if (state == 1)
            return 1;
        if (state < 0 && llhttp_get_errno(&x->head.p) == HPE_INVALID_METHOD)
            return head_method_fault(x, max, &timed);
        if (state < 0)
            return state == WEFT_ENOMEM ? 503 : 400;
        if (x->end >= max)
            return 431;
        ssize_t n = head_read(x, &timed);
        if (n <= 0)
            return (int)-n;
    }
}

/* A whole head in x->buf, from x->at to x->head.end. 1: complete; 0: the connection is over; else the status to refuse
 * it with. */
static int head_receive(struct weft__exch *x)
{
    bool timed = false;
    if (x->at == x->end) {
        x->at = x->end = 0;
        ssize_t n = head_read(x, &timed);
        if (n <= 0)
            return (int)-n;
    }
    if (weft__head_scan(&x->head, x->buf, x->at, x->end))
        return x->head.end - x->at > x->sc->server->o.head_bytes_max ? 431 : 1;
    x->end -= x->at;
    memmove(x->buf->data, x->buf->data + x->at, x->end);
    x->at = 0;
    return head_parse(x);
}

void weft__sconn_linger(struct weft__sconn *sc)
{
    struct weft__hbuf *b = weft__hbuf_get(0);
    if (b && weft_conn_close_write(sc->conn) == 0) {
        sc->read_limit = 0;
        weft__sconn_read_limit(sc, LINGER);
        for (size_t got = 0; got < LINGER_BYTES;) {
            ssize_t r = weft_conn_read(NULL, sc->conn, b->data, b->cap);
            if (r <= 0)
                break;
            got += (size_t)r;
        }
    }
    weft__hbuf_put(b);
}

/* Answer what is not served, then let the peer read it. */
static void refuse(struct weft__exch *x, int status)
{
    weft__reply_init(&x->w, x->sc, false, false);
    x->w.close = true;
    weft__reply_refusal(&x->w, status);
    (void)weft__reply_finish(&x->w, WEFT__FINISH_SEND);
    weft__sconn_linger(x->sc);
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
        (void)weft__reply_finish(&x->w, WEFT__FINISH_SEND);
        if (!x->wire.done && !x->w.err)
            weft__sconn_linger(x->sc);
    }
}

/* S3: what was read behind this request is the beginning of the next. */
static void exch_carry(struct weft__exch *x)
{
    struct weft__wire *w = &x->wire;
    x->at = w->pos;
    x->end = w->end;
    if (!w->in_own_buf)
        return;
    x->at = 0;
    x->end = w->end - w->pos;   /* fits: both buffers are of the pool's size or x->buf is larger */
    memcpy(x->buf->data, w->buf->data + w->pos, x->end);
}

/* What may become of the answer. It is not posted where the request's end could park. */
static enum weft__finish exch_finish(const struct weft__exch *x, bool keep)
{
    if (!keep || !x->wire.done)
        return WEFT__FINISH_SEND;
    if (x->wire.pos < x->wire.end)
        return WEFT__FINISH_HOLD;
    return x->rq.ctx || x->rq.err ? WEFT__FINISH_SEND : WEFT__FINISH_POST;
}

/* One request. True: the connection can take another one. */
static bool serve_one(struct weft__exch *x)
{
    struct weft__sconn *sc = x->sc;
    weft__request_init(x);
    int status = head_receive(x);
    if (status == 0)
        return false;
    bool keep = false;
    if (status == 1) {
        struct weft__head *h = &x->head;
        x->wire = (struct weft__wire){.conn = sc->conn, .head = h, .buf = x->buf, .pos = h->end, .base = h->end,
                                      .end = x->end, .wire_bytes = x->end - x->at, .why = ""};
        keep = !(h->p.flags & F_CONNECTION_CLOSE) && (h->p.http_minor >= 1 || h->p.flags & F_CONNECTION_KEEP_ALIVE);
        status = weft__request_accept(x);
        weft__reply_init(&x->w, sc, h->p.method == HTTP_HEAD, h->p.http_minor == 0);
        x->w.close = !keep;
    }
    if (status != 0) {
        refuse(x, status);
        return false;
    }
    sc->server->o.handler(&x->rq, &x->w, sc->server->o.arg);
    keep = weft__reply_finish(&x->w, exch_finish(x, keep)) && weft__request_finish(&x->rq) && keep;
    if (keep)
        exch_carry(x);
    else if (!x->wire.done && !x->w.err)
        weft__sconn_linger(sc);   /* the client may be sending still: a close now would reset the connection, and cut the answer off */
    return keep;
}

/* A goroutine's turn with a connection. */
struct turn {
    struct weft__sconn *sc;        /* NULL: left to another goroutine (S5) */
    bool woken;                    /* it begins where a wait has ended */
    bool posted;                   /* it begins where the post could not go on */
};

static void turn_end(struct turn *t)   /* S2 */
{
    if (!t->sc)
        return;
    exch_end(t->sc);
    weft__sconn_end(t->sc);
}

/* S1: begins to wait. 1: S5; 0: something may be there; else it cannot be waited for, or the server is closing. */
static weft_err conn_idle(struct weft__sconn *sc, weft_dur limit)
{
    exch_end(sc);
    if (!weft__sconn_set_idle(sc, true))
        return WEFT_ECLOSED;
    weft__sconn_read_limit(sc, limit);
    return weft__conn_wait_start(sc->conn, &sc->start);
}

/* S1: waits for the peer's next byte, for so long. True: something may be there. False: closed, timed out, the server is
 * closing; or t->sc is left. */
static bool conn_wait(struct turn *t, weft_dur limit)
{
    struct weft__sconn *sc = t->sc;
    weft_err err = conn_idle(sc, limit);
    if (err == 1)
        t->sc = NULL;   /* S5 */
    return err != 1 && weft__sconn_set_idle(sc, false) && err == 0;
}

/* As Go's: whoever speaks plain HTTP to a port of TLS shall read why it fails. */
static void refuse_plain(struct weft__sconn *sc)
{
    static const char answer[] = "HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTP request to an HTTPS server.\n";
    if (weft_conn_write(NULL, sc->conn, answer, sizeof answer - 1) > 0)
        weft__sconn_linger(sc);
}

/* TLS, if the server has it. As conn_wait. A peer that has not said a word holds no more than an idle connection (S1). */
static bool conn_handshake(struct turn *t)
{
    struct weft__sconn *sc = t->sc;
    struct weft_http_server *s = sc->server;
    if (!s->o.tls || sc->secured)
        return true;
    if (!t->woken && !conn_wait(t, s->o.head_timeout))
        return false;
    struct weft_tls_config cfg = s->tls;
    if (!cfg.alpn)
        cfg.alpn = weft__h2_built && !s->o.no_http2 ? "h2,http/1.1" : "http/1.1";
    weft__sconn_read_limit(sc, s->o.head_timeout);
    weft__sconn_write_limit(sc, s->o.head_timeout);
    sc->secured = weft_tls_server(NULL, sc->conn, &cfg, &sc->conn) == 0;
    if (!sc->secured && sc->conn->http)
        refuse_plain(sc);
    return sc->secured;
}

/* What was agreed in the handshake, or the first bytes say so (RFC 9113 3.3). Those are in sc->x. */
static bool conn_is_h2(struct weft__sconn *sc)
{
    struct weft__exch *x = sc->x;
    struct weft_tls_state state;
    bool timed = false;
    int is = sc->server->o.no_http2 ? 0 : weft__h2_preface(x->buf->data, x->end);
    while (is < 0 && head_read(x, &timed) > 0)
        is = weft__h2_preface(x->buf->data, x->end);
    if (weft_tls_state_get(sc->conn, &state) == 0)
        return weft__h2_built && strcmp(state.alpn, "h2") == 0;
    return is > 0;
}

static void conn_serve_h2(struct turn *t)
{
    struct weft__sconn *sc = t->sc;
    struct weft__exch *x = sc->x;
    struct weft__hbuf *b = x->buf;
    uint32_t end = x->end;
    x->buf = weft__hbuf_get(0);   /* b stays with the bytes while the exchange goes back */
    if (x->buf) {
        exch_end(sc);
        weft__sconn_set_h2(sc);
        if (weft__h2_serve(sc, b->data, end))
            t->sc = NULL;   /* S5 */
    } else {
        x->buf = b;
        return;
    }
    weft__hbuf_put(b);
}

/* Reads what is there of a request, or waits for one. As conn_wait, and when true there is an exchange with a first piece. */
static bool conn_begin(struct turn *t)
{
    for (;;) {
        struct weft__sconn *sc = t->sc;
        if (!exch_begin(sc))
            return false;
        ssize_t n = weft__conn_try_read(sc->conn, sc->x->buf->data, sc->x->buf->cap);
        if (n != -EAGAIN) {
            sc->x->end = n > 0 ? (uint32_t)n : 0;
            return n > 0;
        }
        if (!conn_wait(t, sc->server->o.idle_timeout))   /* waits may end for nothing: an edge that came with bytes that were
                                                            read already, half a record of TLS */
            return false;
    }
}

/* The same at the end of a wait without a goroutine, where no handshake is to come. */
static bool conn_resume(struct turn *t)
{
    struct weft__sconn *sc = t->sc;
    bool goes_on = weft__sconn_set_idle(sc, false);
    if (!exch_begin(sc)) {
        (void)weft__conn_started(sc->conn);
        return false;
    }
    ssize_t n = weft__conn_started_read(sc->conn, sc->x->buf->data, sc->x->buf->cap);
    if (n == -EAGAIN)   /* for nothing, as in conn_begin */
        return goes_on && conn_wait(t, sc->server->o.idle_timeout) && conn_begin(t);
    sc->x->end = n > 0 ? (uint32_t)n : 0;
    return goes_on && n > 0;
}

static bool conn_more(struct turn *t)
{
    struct weft__sconn *sc = t->sc;
    if (sc->x && sc->x->at < sc->x->end) {
        exch_clear(sc->x);
        return !weft__sconn_closing(sc);
    }
    if (sc->x && sc->x->w.post_at < sc->x->w.post_end) {
        if (!t->posted && weft__post(sc->x)) {
            t->sc = NULL;   /* S5 */
            return false;
        }
        if (weft__reply_post_send(&sc->x->w) < 0)
            return false;
    }
    return (!sc->x || weft__reply_release(&sc->x->w) == 0) && conn_wait(t, sc->server->o.idle_timeout) &&
           conn_begin(t);
}

/* A panic in the handler. */
static void turn_dump(struct turn *t)
{
    if (t->sc)
        weft__http_panic_dump(&t->sc->x);
}

/* S4: a panic ends the connection, so one weft_try goes around all requests of the turn. */
static void turn_serve(struct turn *t)
{
    weft_defer(turn_dump, t);
    struct weft__sconn *sc = t->sc;
    bool more;
    if (t->posted) {
        more = sc->x ? conn_more(t) : weft__sconn_set_idle(sc, false) && conn_begin(t);
        t->posted = false;
    } else if (t->woken && (sc->secured || !sc->server->o.tls)) {
        more = conn_resume(t);
    } else {
        /* The first request nearly always comes with the connection: to read finds out, a wait would ask and then read. */
        more = !t->woken || (weft__conn_started(sc->conn) == 0 && weft__sconn_set_idle(sc, false));
        more = more && conn_handshake(t) && conn_begin(t);
    }
    if (more && !sc->began) {
        sc->began = true;
        if (conn_is_h2(sc)) {
            conn_serve_h2(t);
            return;
        }
    }
    while (more && serve_one(t->sc->x))
        more = conn_more(t);
    if (t->sc && t->sc->x)
        (void)weft__reply_release(&t->sc->x->w);
}

static void turn_take(struct turn *t)
{
    weft_defer(turn_end, t);
    const char *message = weft_try(turn_serve, t);
    if (message && t->sc && t->sc->x)
        handler_panicked(t->sc->x, message);
}

void weft__serve_conn(struct weft__sconn *sc)
{
    struct turn t = {.sc = sc};
    turn_take(&t);
}

void weft__serve_more(void *sc)
{
    struct turn t = {.sc = sc, .woken = true};
    turn_take(&t);
}

/* The post has sent less than all, or what comes next is there already. */
static void serve_rest(struct weft__sconn *sc)
{
    struct turn t = {.sc = sc, .posted = true};
    turn_take(&t);
}

void weft__serve_posted(struct weft__sconn *sc)
{
    if (!weft__reply_post_try(&sc->x->w) || conn_idle(sc, sc->server->o.idle_timeout) != 1)
        weft_go(serve_rest, sc);
}
