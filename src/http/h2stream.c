/*
 * h2stream.c - one stream of HTTP/2: a request's head, its end.
 *
 * Role    Put the fields where weft__head has them, so that a handler cannot tell which protocol it serves. Near h2session.c
 *         (who calls), h2handle.c (who runs the handler), h2body.c, h2reply.c, request.c. Layer 5.
 *
 *   x.buf:  NUL | name NUL value NUL | ...   with ":path" as the target, ":authority" as the field "host"; a "host" of the
 *           peer's own must say the same. Cookies are joined into one.
 *
 * Invariants Z1, Z4 in h2_int.h.
 * Limits  head_bytes_max, counted as RFC 9113 10.5.1 does: 431. A stream and its first 4.5 KiB of buffers come from a pool.
 * Failure Memory is short: 503 or a stream that is reset.
 */
#include <weft/time.h>

#include "h2_int.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

static struct weft__hpool stream_pool = {.keep_max = 4096};

static struct weft__hbuf *small_buf(size_t cap)
{
    struct weft__hbuf *b = malloc(sizeof *b + cap);
    if (b)
        b->cap = cap;
    return b;
}

static void stream_free(struct weft__h2_stream *st)
{
    free(st->x.buf);
    free(st->near);
    free(st);
}

static struct weft__h2_stream *stream_get(void)
{
    struct weft__h2_stream *st = weft__hpool_get(&stream_pool);
    if (st || !(st = calloc(1, sizeof *st)))
        return st;
    st->x.buf = small_buf(WEFT__H2_HEAD_NEAR);
    st->near = small_buf(WEFT__H2_OUT_NEAR);
    st->x.head.fields = st->x.head.near;
    st->x.head.fields_cap = WEFT__HEAD_FIELDS;
    st->x.w.out = st->near;
    if (st->x.buf && st->near)
        return st;
    stream_free(st);
    return NULL;
}

/* Back into the pool, small again. */
static void stream_put(struct weft__h2_stream *st)
{
    struct weft__exch *x = &st->x;
    free(st->rest);
    weft__reply_done(&x->w);
    weft__head_done(&x->head);
    x->head.fields_cap = WEFT__HEAD_FIELDS;
    if (x->w.out != st->near)
        weft__hbuf_put(x->w.out);
    x->w.out = st->near;
    bool small = x->buf->cap == WEFT__H2_HEAD_NEAR;
    if (!small || !weft__hpool_put(&stream_pool, st))
        stream_free(st);
}

struct weft__h2_stream *weft__h2_stream_new(struct weft__h2 *c, int32_t id)
{
    struct weft__h2_stream *st = stream_get();
    if (!st)
        return NULL;
    memset(&st->c, 0, offsetof(struct weft__h2_stream, near) - offsetof(struct weft__h2_stream, c));
    st->c = c;
    st->id = id;
    st->refs = 1;
    st->wake.m = &c->m;
    st->x.sc = c->sc;
    st->x.buf->data[0] = '\0';
    st->head_len = 1;
    struct weft__head *h = &st->x.head;
    h->buf = st->x.buf;
    h->target = h->target_len = h->fields_len = 0;
    memset(&h->p, 0, sizeof h->p);
    h->p.http_major = 2;
    h->p.method = HTTP_CONNECT;   /* until :method says another */
    st->link = (struct weft__hlink){&c->streams, c->streams.prev};
    st->link.next->prev = st->link.prev->next = &st->link;
    c->streams_len++;
    return st;
}

void weft__h2_stream_drop(struct weft__h2_stream *st)
{
    if (--st->refs)
        return;
    weft__h2_body_drop(st);
    stream_put(st);
}

/* ---- the head ---- */

/* Room for n more bytes in x.buf, which may move. */
static bool head_reserve(struct weft__h2_stream *st, size_t n)
{
    struct weft__hbuf *b = st->x.buf;
    if (st->head_len + n <= b->cap)
        return true;
    size_t cap = 2 * b->cap + n;
    if (!(b = realloc(b, sizeof *b + cap))) {
        st->status = 503;
        return false;
    }
    b->cap = cap;
    st->x.buf = st->x.head.buf = b;
    return true;
}

/* s and a NUL into x.buf, which has room: where. */
static uint32_t head_text(struct weft__h2_stream *st, const char *s, size_t n)
{
    uint32_t at = st->head_len;
    char *to = st->x.buf->data + at;
    memcpy(to, s, n);
    to[n] = '\0';
    st->head_len += (uint32_t)n + 1;
    return at;
}

static void head_put(struct weft__h2_stream *st, const char *name, size_t nn, const char *value, size_t nv)
{
    struct weft__head *h = &st->x.head;
    if (h->fields_len == h->fields_cap) {
        struct weft__hfield *f = malloc(2 * h->fields_cap * sizeof *f);
        if (!f) {
            st->status = 503;
            return;
        }
        memcpy(f, h->fields, h->fields_len * sizeof *f);
        if (h->fields != h->near)
            free(h->fields);
        h->fields = f;
        h->fields_cap *= 2;
    }
    if (!head_reserve(st, nn + nv + 2))
        return;
    uint32_t name_at = head_text(st, name, nn), value_at = head_text(st, value, nv);
    h->fields[h->fields_len++] = (struct weft__hfield){name_at, (uint32_t)nn, value_at, (uint32_t)nv};
}

void weft__h2_head_field(struct weft__h2_stream *st, const char *name, size_t nn, const char *value, size_t nv)
{
    llhttp_t *p = &st->x.head.p;
    if (nn == 14 && memcmp(name, "content-length", 14) == 0) {   /* digits: nghttp2 has seen to it */
        p->flags |= F_CONTENT_LENGTH;
        for (size_t i = 0; i < nv; i++)
            p->content_length = p->content_length * 10 + (uint64_t)(value[i] - '0');
    }
    head_put(st, name, nn, value, nv);
}

static void head_method(struct weft__h2_stream *st, const char *value, size_t nv)
{
    static const uint8_t known[] = {HTTP_POST, HTTP_HEAD, HTTP_PUT, HTTP_DELETE, HTTP_OPTIONS, HTTP_PATCH};
    llhttp_t *p = &st->x.head.p;
    if (nv == 3 && memcmp(value, "GET", 3) == 0) {
        p->method = HTTP_GET;
        return;
    }
    for (size_t i = 0; i < sizeof known; i++) {
        const char *name = llhttp_method_name((llhttp_method_t)known[i]);
        if (strlen(name) == nv && memcmp(name, value, nv) == 0) {
            p->method = known[i];
            return;
        }
    }
    for (uint8_t m = 0; m < HTTP_PRI; m++) {   /* HTTP/1's own */
        const char *name = llhttp_method_name((llhttp_method_t)m);
        if (strlen(name) == nv && memcmp(name, value, nv) == 0)
            p->method = m;
    }
}

static void head_pseudo(struct weft__h2_stream *st, const char *name, const char *value, size_t nv)
{
    struct weft__head *h = &st->x.head;
    if (name[1] == 'm') {
        head_method(st, value, nv);
    } else if (name[1] == 'p') {
        if (!head_reserve(st, nv + 1))
            return;
        h->target = head_text(st, value, nv);
        h->target_len = (uint32_t)nv;
    } else if (name[1] == 'a') {
        head_put(st, "host", 4, value, nv);
        st->authority = h->fields_len;
    }
}

/* Fields with a meaning for the server. True: it is dealt with. */
static bool head_special(struct weft__h2_stream *st, const char *name, size_t nn, const char *value, size_t nv)
{
    struct weft__head *h = &st->x.head;
    if (nn == 4 && memcmp(name, "host", 4) == 0 && st->authority) {
        const struct weft__hfield *f = &h->fields[st->authority - 1];
        if (f->value_len != nv || strncasecmp(h->buf->data + f->value, value, nv) != 0)
            st->status = 400;
        return true;
    }
    if (nn == 6 && memcmp(name, "cookie", 6) == 0) {
        st->cookies++;
    } else if (nn == 6 && memcmp(name, "expect", 6) == 0) {
        h->expects = true;
    }
    return false;
}

void weft__h2_stream_field(struct weft__h2_stream *st, const char *name, size_t nn, const char *value, size_t nv)
{
    st->head_size += (uint32_t)(nn + nv + 32);
    if (st->head_size > st->c->head_max)
        st->status = 431;
    if (st->status)
        return;
    if (name[0] == ':')
        head_pseudo(st, name, value, nv);
    else if (!head_special(st, name, nn, value, nv))
        weft__h2_head_field(st, name, nn, value, nv);
}

void weft__h2_stream_trailer(struct weft__h2_stream *st, const char *name, size_t nn, const char *value, size_t nv)
{
    if (st->handled || st->err || weft__trailer_add(&st->x.head, name, nn, value, nv))
        return;
    weft__h2_stream_break(st, WEFT_EPROTO);
    (void)nghttp2_submit_rst_stream(st->c->session, NGHTTP2_FLAG_NONE, st->id, NGHTTP2_ENHANCE_YOUR_CALM);
}

/* RFC 9113 8.2.3: several cookie fields are one, cut up. */
static void head_join_cookies(struct weft__h2_stream *st)
{
    struct weft__head *h = &st->x.head;
    if (!head_reserve(st, st->head_size))   /* what all fields together have, and more */
        return;
    char *data = h->buf->data, *p = data + st->head_len;
    struct weft__hfield *first = NULL;
    uint32_t kept = 0;
    for (uint32_t i = 0; i < h->fields_len; i++) {
        struct weft__hfield f = h->fields[i];
        if (f.name_len != 6 || memcmp(data + f.name, "cookie", 6) != 0) {
            h->fields[kept++] = f;
            continue;
        }
        if (first)
            p = (char *)memcpy(p, "; ", 2) + 2;
        p = (char *)memcpy(p, data + f.value, f.value_len) + f.value_len;
        if (!first) {
            first = &h->fields[kept++];
            *first = f;
        }
    }
    *p = '\0';
    h->fields_len = kept;
    first->value = st->head_len;
    first->value_len = (uint32_t)(p - data) - st->head_len;
    st->head_len = (uint32_t)(p - data) + 1;
}

void weft__h2_head_done(struct weft__h2_stream *st)
{
    if (st->cookies > 1 && !st->status)
        head_join_cookies(st);
    st->x.wire.done = st->in_ended;
    st->until[0] = 0;
}

/* ---- its end ---- */

void weft__h2_stream_break(struct weft__h2_stream *st, weft_err err)
{
    if (!st->err)
        st->err = err;
    weft_cancel(st->ctx);
    weft_cond_broadcast(&st->wake);
    st->c->woke = true;
}

void weft__h2_stream_closed(struct weft__h2_stream *st, uint32_t code)
{
    struct weft__h2 *c = st->c;
    st->closed = true;
    if (c->met == st)
        c->met = NULL;
    st->link.next->prev = st->link.prev;
    st->link.prev->next = st->link.next;
    c->streams_len--;
    if (!c->handlers && !c->streams_len)
        c->idle_since = weft_now();
    if (c->client) {
        st->refused = code == NGHTTP2_REFUSED_STREAM;
        weft_cond_broadcast(&st->wake);
        c->woke = true;
    }
    bool whole = c->client ? st->in_ended : code == NGHTTP2_NO_ERROR && st->fin;
    if (!st->handled && !whole)
        weft__h2_stream_break(st, code == NGHTTP2_PROTOCOL_ERROR && c->client ? WEFT_EPROTO : -ECONNRESET);
    weft__h2_stream_drop(st);
}
