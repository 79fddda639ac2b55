/*
 * h2call.c - a client's request as a stream of HTTP/2: out with fields and body, in with the answer's.
 *
 * Role    What hop.c does on a connection of HTTP/1, on one that many calls share. The answer's head is put where
 *         response.c looks for it; its body comes through wirebody.c, which asks here.
 * Near    h2dial.c (which connection), h2session.c (what comes), h2body.c (windows), hop.c, sendreq.c. Layer 5.
 *
 * Invariants Z1 to Z7 in h2_int.h, where the call is what the handler is for a server, and
 *   Y4  a stream's second reference is the call's, from opening to weft__h2_call_end; each context watched has one more.
 *   Y5  data points to the caller's memory only while the caller waits in here; then to rest, a copy of what is left.
 *
 * Limits  As HTTP/1: head_bytes_max, the call's deadline, a second for a 100-continue. A body from a reader is sent from a
 *         goroutine of its own (upload.c), while the answer is read.
 * Failure -ECONNRESET, WEFT_EPROTO, or how the connection ended. r->untouched: the server has not looked at the request, so
 *         any method may be sent again.
 * Source  RFC 9113 8.
 */
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <weft/ctx.h>
#include <weft/time.h>

#include "h2_int.h"
#include "upload.h"

#define CONTINUE_WAIT WEFT_SEC

/* ---- what comes: with c->m, inside of the session ---- */

void weft__h2_call_field(struct weft__h2_stream *st, const char *name, size_t nn, const char *value, size_t nv)
{
    struct weft__head *h = &st->x.head;
    if (st->final) {
        if (name[0] != ':' && !weft__trailer_add(h, name, nn, value, nv))
            st->in_err = WEFT_EPROTO;
        return;
    }
    st->head_size += (uint32_t)(nn + nv + 32);
    if (st->head_size > st->c->head_max)
        st->status = WEFT_ETOOBIG;
    if (st->status)
        return;
    if (name[0] == ':')
        h->p.status_code = (uint16_t)((value[0] - '0') * 100 + (value[1] - '0') * 10 + value[2] - '0');   /* nghttp2 has seen to it */
    else
        weft__h2_head_field(st, name, nn, value, nv);
}

void weft__h2_call_head(struct weft__h2_stream *st)
{
    struct weft__head *h = &st->x.head;
    if (st->final)
        return;
    if (h->p.status_code >= 200) {
        st->final = true;
    } else {
        st->interim |= h->p.status_code == 100;
        memset(&h->p, 0, sizeof h->p);
        h->fields_len = 0;
        st->head_len = 1;
    }
    weft_cond_broadcast(&st->wake);
    st->c->woke = true;
}

/* ---- waiting ---- */

/* The context of a wait has ended: the waiter looks for itself. */
static void call_poke(void *arg)
{
    struct weft__h2_stream *st = arg;
    struct weft__h2 *c = st->c;
    weft_mutex_lock(&c->m);
    weft_cond_broadcast(&st->wake);
    weft__h2_stream_drop(st);   /* Y4 */
    weft_mutex_unlock(&c->m);
    weft__h2_unref(c);
}

/* Once, with c->m: until something has changed, the instant `until` or the end of ctx. 0, or why the wait is over. */
static weft_err call_wait(weft_ctx *ctx, struct weft__h2_stream *st, int dir, weft_time until)
{
    struct weft__h2 *c = st->c;
    weft_ctx_after *h = NULL;
    weft_err err = ctx ? weft_ctx_err(ctx) : 0;
    if (err)
        return err;
    if (until && weft_now() >= until)
        return WEFT_EDEADLINE;
    if (ctx) {
        st->refs++;   /* Y4 */
        atomic_fetch_add_explicit(&c->lives, 1, memory_order_relaxed);   /* Z7: the caller has one */
        h = weft_ctx_after_func(ctx, call_poke, st);
    }
    weft__h2_wait(st, dir, until);
    if (h && weft_ctx_after_func_stop(h)) {
        weft__h2_stream_drop(st);
        weft__h2_unref(c);
    }
    st->in_err = st->in_err == WEFT_EDEADLINE ? 0 : st->in_err;   /* who waits on compares with the clock above */
    st->out_err = 0;
    return 0;
}

/* ---- the request goes ---- */

static nghttp2_nv nv_of(const char *name, const char *value, size_t len)
{
    return (nghttp2_nv){(uint8_t *)(uintptr_t)name, (uint8_t *)(uintptr_t)value, strlen(name), len, NGHTTP2_NV_FLAG_NONE};
}

/* Fields of an HTTP/1 connection say nothing here (RFC 9113 8.2.2). */
static bool field_of_hop(const struct weft_http_field *f)
{
    static const char *const hop[] = {"connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade", "expect"};
    for (size_t i = 0; i < sizeof hop / sizeof *hop; i++)
        if (strcasecmp(f->name, hop[i]) == 0)
            return true;
    return strcasecmp(f->name, "te") == 0 && strcasecmp(f->value, "trailers") != 0;
}

static bool call_has_length(const struct weft__send *s)
{
    bool wants = strcmp(s->method, "POST") == 0 || strcmp(s->method, "PUT") == 0 || strcmp(s->method, "PATCH") == 0;
    return s->reader ? s->call->body_bytes > 0 : s->body_len || wants;
}

/* The request's fields; digits keeps the length's text. malloc'ed; NULL when memory is short. */
static nghttp2_nv *call_nv(const struct weft__send *s, size_t *ret_n, char digits[static 24])
{
    const struct weft__url *u = s->url;
    size_t n = 4, most = 10 + s->call->fields_len, k = 24;
    struct weft_http_field f;
    nghttp2_nv *nv = malloc(most * sizeof *nv);
    if (!nv)
        return NULL;
    const char *host = weft__request_host(s);
    nv[0] = nv_of(":method", s->method, strlen(s->method));
    nv[1] = nv_of(":scheme", u->https ? "https" : "http", u->https ? 5 : 4);
    nv[2] = host ? nv_of(":authority", host, strlen(host)) : nv_of(":authority", u->text + u->authority, u->authority_len);
    nv[3] = nv_of(":path", u->text + u->target, u->len - u->target);
    for (size_t i = 0; weft__request_field(s, i, &f); i++)
        if (f.name && !field_of_hop(&f))
            nv[n++] = nv_of(f.name, f.value, strlen(f.value));
    if (call_has_length(s)) {
        uint64_t v = s->reader ? (uint64_t)s->call->body_bytes : s->body_len;
        do
            digits[--k] = (char)('0' + v % 10);
        while (v /= 10);
        nv[n++] = nv_of("content-length", digits + k, 24 - k);
    }
    if (s->reader && s->call->expect_continue)
        nv[n++] = nv_of("expect", "100-continue", 12);
    *ret_n = n;
    return nv;
}

/* A stream for the request, queued. r->untouched when the connection takes no more of them. */
static weft_err call_open(struct weft_http_response *r, const struct weft__send *s)
{
    struct weft__h2 *c = r->h2c;
    char digits[24];
    size_t n;
    nghttp2_nv *nv = call_nv(s, &n, digits);
    nghttp2_data_provider source = {.read_callback = weft__h2_reply_source};
    if (!nv)
        return WEFT_ENOMEM;
    weft_mutex_lock(&c->m);
    r->untouched = !weft__h2_usable(c);
    struct weft__h2_stream *st = r->untouched ? NULL : weft__h2_stream_new(c, 0);
    if (st) {
        st->started = true;
        st->deadline = r->deadline;
        st->fin = !s->reader;
        st->data = s->body;   /* Y5 */
        st->data_len = s->body_len;
        source.source.ptr = st;
        st->id = nghttp2_submit_request(c->session, NULL, nv, n, s->reader || s->body_len ? &source : NULL, st);
        if (st->id > 0) {
            st->refs++;   /* Y4 */
            r->h2 = st;
        } else {
            r->untouched = st->id == NGHTTP2_ERR_STREAM_ID_NOT_AVAILABLE;
            c->leaving |= r->untouched;
            weft__h2_stream_closed(st, NGHTTP2_NO_ERROR);
            st = NULL;
        }
    }
    weft__h2_send_soon(c);   /* calls that were answered together ask again together */
    free(nv);
    return st ? 0 : r->untouched ? -ECONNRESET : WEFT_ENOMEM;
}

/* Is the request's body of no more use: the stream is over, or the answer is whole? */
static bool call_sent_enough(const struct weft__h2_stream *st)
{
    return st->closed || st->err || st->in_ended;
}

/* With c->m: until the session has taken all of data; or, with early, until the answer comes: then the rest is copied and goes
 * on by itself, as who answers early may want to be read before it reads on. */
static weft_err call_taken(weft_ctx *ctx, struct weft_http_response *r, bool early)
{
    struct weft__h2_stream *st = r->h2;
    weft_err err = 0;
    while (st->data_len && !call_sent_enough(st) && !(early && st->final) && err == 0)
        err = call_wait(ctx, st, 1, r->deadline);
    if (st->data_len && !call_sent_enough(st) && err == 0) {
        if ((st->rest = malloc(st->data_len))) {
            st->data = memcpy(st->rest, st->data, st->data_len);
            return 0;
        }
        err = WEFT_ENOMEM;
    }
    st->data_len = 0;   /* Y5 */
    return err;
}

/* With c->m: the fields behind the body, which has ended. */
static weft_err call_trailers(struct weft__h2_stream *st, const struct weft__body *b)
{
    struct weft_http_writer *w = &st->x.w;
    size_t n = 0;
    if (!b->trailers_len)
        return 0;
    if (!(w->trailers = malloc(WEFT__TRAILERS_MAX)))
        return WEFT_ENOMEM;
    weft_err err = weft__trailers_text(b, w->trailers, &n);
    w->trailers_len = err < 0 ? 0 : (uint32_t)n;
    return err;
}

/* Pieces from the reader, each until it is taken. *ret_own: the error is the reader's. */
static weft_err call_stream(struct weft__upload *u, char *buf, size_t cap, bool *ret_own)
{
    struct weft_http_response *r = u->r;
    struct weft__h2_stream *st = r->h2;
    struct weft__h2 *c = st->c;
    bool stated = u->body.bytes > 0;
    uint64_t left = stated ? (uint64_t)u->body.bytes : UINT64_MAX;
    weft_err err = 0;
    for (bool more = true; more && err == 0;) {
        ssize_t n = left ? u->body.read(u->ctx, u->body.arg, buf, cap < left ? cap : (size_t)left) : 0;
        if (n < 0 || (n == 0 && stated && left)) {
            *ret_own = true;
            return n < 0 ? (weft_err)n : WEFT_EEOF;
        }
        left -= stated ? (uint64_t)n : 0;
        weft_mutex_lock(&c->m);
        more = n > 0 && left && !call_sent_enough(st);
        if (n == 0 && !call_sent_enough(st) && (err = call_trailers(st, &u->body)) < 0) {
            *ret_own = true;
            weft_mutex_unlock(&c->m);
            return err;
        }
        if (!call_sent_enough(st)) {
            st->data = buf;
            st->data_len = (size_t)n;
            st->fin = !more;
            weft__h2_data_resume(st);
            weft__h2_send(c);
            weft_mutex_lock(&c->m);
        }
        err = call_taken(u->ctx, r, false);
        weft_mutex_unlock(&c->m);
    }
    return err;
}

static weft_err call_upload(struct weft__upload *u, bool *ret_own)
{
    struct weft__hbuf *b = weft__hbuf_get(0);
    weft_err err = b ? call_stream(u, b->data, b->cap, ret_own) : WEFT_ENOMEM;
    weft__hbuf_put(b);
    return err;
}

static void call_upload_wake(struct weft__upload *u, weft_err err)
{
    struct weft__h2_stream *st = u->r->h2;
    weft_mutex_lock(&st->c->m);
    if (!st->in_err)
        st->in_err = err == WEFT_EDEADLINE ? WEFT_ECANCELED : err;   /* that one would be taken for a wait's own */
    weft_cond_broadcast(&st->wake);
    weft_mutex_unlock(&st->c->m);
}

/* Waits for a 100 or an answer, a second at most. 1: no body is wanted. */
static int call_await_continue(weft_ctx *ctx, struct weft_http_response *r)
{
    struct weft__h2_stream *st = r->h2;
    weft_time until = weft_now() + CONTINUE_WAIT;
    if (r->deadline && r->deadline < until)
        until = r->deadline;
    weft_err err = 0;
    weft_mutex_lock(&st->c->m);
    while (!st->interim && !st->final && !call_sent_enough(st) && err == 0)
        err = call_wait(ctx, st, 0, until);
    int state = st->final || call_sent_enough(st);
    weft_mutex_unlock(&st->c->m);
    if (err == WEFT_EDEADLINE && (!r->deadline || weft_now() < r->deadline))
        err = 0;
    return err < 0 ? err : state;
}

static weft_err call_send(weft_ctx *ctx, struct weft_http_response *r, struct weft__send *s)
{
    struct weft__h2_stream *st = r->h2;
    weft_err err;
    if (s->reader) {
        int state = s->call->expect_continue ? call_await_continue(ctx, r) : 0;
        if (state != 0)
            return state < 0 ? weft__call_fail(s->call, "request", state) : 0;
        struct weft__body b = {s->reader, s->call->body_arg, s->call->body_bytes, s->call->trailers, s->call->trailers_len};
        s->spent = true;
        err = weft__upload_start(ctx, r, &b, NULL, 0, call_upload, call_upload_wake);
    } else {
        weft_mutex_lock(&st->c->m);
        err = call_taken(ctx, r, true);
        weft_mutex_unlock(&st->c->m);
    }
    return err < 0 ? weft__call_fail(s->call, "request", err) : 0;
}

/* ---- the answer comes ---- */

/* The head as response.c wants it. With c->m. */
static weft_err call_head_copy(struct weft_http_response *r)
{
    struct weft__h2_stream *st = r->h2;
    struct weft__rx *x = r->rx;
    struct weft__head *from = &st->x.head, *h = &x->head;
    if (st->head_len > x->buf->cap) {
        weft__hbuf_put(x->buf);
        if (!(x->buf = weft__hbuf_get(st->head_len)))
            return WEFT_ENOMEM;
    }
    weft__head_init(h, HTTP_RESPONSE, x->buf);
    h->p = from->p;
    h->p.http_major = 2;
    h->complete = true;
    memcpy(x->buf->data, st->x.buf->data, st->head_len);
    if (from->fields_len > h->fields_cap) {
        struct weft__hfield *f = malloc(from->fields_len * sizeof *f);
        if (!f)
            return WEFT_ENOMEM;
        h->fields = f;
        h->fields_cap = from->fields_len;
    }
    memcpy(h->fields, from->fields, from->fields_len * sizeof *h->fields);
    h->fields_len = from->fields_len;
    x->have = h->end = st->head_len;
    return 0;
}

static void call_body_begin(struct weft_http_response *r, const char *method)
{
    struct weft__h2_stream *st = r->h2;
    struct weft__rx *x = r->rx;
    const llhttp_t *p = &x->head.p;
    bool none = strcmp(method, "HEAD") == 0 || p->status_code == 204 || p->status_code == 304 || (st->in_ended && !st->in);
    x->has_length = p->flags & F_CONTENT_LENGTH;
    x->content_length = p->content_length;
    x->wire = (struct weft__wire){.h2 = st, .head = &x->head, .buf = x->buf, .pos = x->have, .base = x->have, .end = x->have,
                                  .wire_bytes = x->have, .why = "", .done = none};
    x->wire.framing = none ? WEFT__BODY_NONE : x->has_length ? WEFT__BODY_LENGTH : WEFT__BODY_CLOSE;
    x->wire.left = x->has_length && !none ? x->content_length : 0;
}

static weft_err call_receive(weft_ctx *ctx, struct weft_http_response *r, const struct weft__send *s)
{
    struct weft__h2_stream *st = r->h2;
    const char *what;
    weft_err err = 0;
    weft_mutex_lock(&st->c->m);
    while (!st->final && !st->status && !st->closed && !st->err && !st->in_err && err == 0)
        err = call_wait(ctx, st, 0, r->deadline);
    if (st->status)
        err = st->status == 503 ? WEFT_ENOMEM : WEFT_ETOOBIG;
    else if (!st->final && err == 0)
        err = st->in_err ? st->in_err : st->err ? st->err : WEFT_EEOF;
    r->untouched = st->refused;
    if (err == 0) {
        r->got_bytes = true;
        r->sent = weft_now() - r->sent;
        err = weft__rx_take(r) ? call_head_copy(r) : WEFT_ENOMEM;
    }
    if (err == 0)
        call_body_begin(r, s->method);
    weft_mutex_unlock(&st->c->m);
    weft_err sent = err < 0 ? weft__upload_failed(r, &what) : 0;
    if (sent)
        return weft__call_fail(s->call, what, sent);
    if (err < 0)
        weft__call_reason(s->call, "response", err == WEFT_ETOOBIG ? "its head is too large" : weft_strerror(err));
    return err;
}

weft_err weft__h2_exchange(weft_ctx *ctx, struct weft_http_response *r, struct weft__send *s)
{
    r->got_bytes = false;
    r->keep = true;
    r->head_wire_bytes = 0;
    weft_err err = call_open(r, s);
    if (err < 0)
        return weft__call_fail(s->call, "request", err);
    err = call_send(ctx, r, s);
    return err < 0 ? err : call_receive(ctx, r, s);
}

/* The trailers are the response's now. */
static void wire_ends(struct weft__wire *w)
{
    w->done = true;
    w->head->trailers = w->h2->x.head.trailers;
    w->h2->x.head.trailers = NULL;
}

ssize_t weft__h2_wire_read(weft_ctx *ctx, struct weft__wire *w, void *ret_buf, size_t len)
{
    struct weft__h2_stream *st = w->h2;
    struct weft__h2 *c = st->c;
    weft_err err = 0;
    ssize_t n = 0;
    weft_mutex_lock(&c->m);
    while (!st->in && !st->in_ended && !st->err && !st->in_err && err == 0)
        err = call_wait(ctx, st, 0, st->deadline);
    if (st->in)
        n = (ssize_t)weft__h2_body_take(st, ret_buf, len);
    else if (err == 0)
        err = st->in_err ? st->in_err : st->in_ended ? 0 : st->err;
    if (!st->in && st->in_ended && !err)
        wire_ends(w);
    if (!c->dead && nghttp2_session_want_write(c->session))
        weft__h2_send(c);
    else
        weft_mutex_unlock(&c->m);
    w->wire_bytes += (uint64_t)n;
    if (n || !err)
        return n;
    w->why = err == -ECONNRESET ? "the stream was reset" : weft_strerror(err);
    return err;
}

ssize_t weft__h2_wire_next(weft_ctx *ctx, struct weft__wire *w, size_t max, const char **ret_piece)
{
    if (w->buf->cap - w->base < 4096) {
        struct weft__hbuf *b = weft__hbuf_get(0);
        if (!b)
            return WEFT_ENOMEM;
        w->buf = b;   /* the old one is the head's */
        w->in_own_buf = true;
        w->base = w->pos = w->end = 0;
    }
    size_t room = w->buf->cap - w->base;
    *ret_piece = w->buf->data + w->base;
    return weft__h2_wire_read(ctx, w, w->buf->data + w->base, room < max ? room : max);
}

void weft__h2_call_end(struct weft_http_response *r)
{
    struct weft__h2 *c = r->h2c;
    struct weft__h2_stream *st = r->h2;
    r->h2c = NULL;
    r->h2 = NULL;
    if (st) {
        weft_mutex_lock(&c->m);
        bool done = st->closed || (st->in_ended && st->fin && !st->data_len);
        st->handled = true;
        st->data_len = 0;
        weft__h2_body_drop(st);
        if (!done && !c->dead)
            (void)nghttp2_submit_rst_stream(c->session, NGHTTP2_FLAG_NONE, st->id, NGHTTP2_CANCEL);
        weft__h2_stream_drop(st);   /* Y4 */
        weft__h2_send(c);
    }
    weft__h2_unref(c);
}
