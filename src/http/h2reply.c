/*
 * h2reply.c - the answer of a handler as frames of a stream.
 *
 * Role    As reply.c: fields and body gather in one buffer, a small answer is queued whole when the handler ends; a larger
 *         one waits for the peer's window. Near reply.c (who hands over), h2session.c, h2conn.c (who sends). Layer 5.
 *
 *   out:   | name NUL value NUL ... | body ..... |      once the head is queued the body begins at 0
 *          0             fields_end             len
 *
 * Invariants Z5 in h2_int.h; A1 and A2 of reply.c. Order: what is written goes to the session in pieces that are taken
 *         whole before the handler goes on, so it never writes over bytes that are still to be sent.
 * Limits  Fields 7 KiB, trailers 4 KiB. Body up to 32 KiB is kept until the handler ends or flushes.
 * Source  RFC 9113 8.
 */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "h2_int.h"

#define FIELDS_MAX (7 * 1024)
#define NV_NEAR 16
#define FRAME_HEAD 9

static struct weft__h2_stream *reply_stream(const struct weft_http_writer *w)
{
    return w->h2;
}

void weft__h2_reply_init(struct weft__h2_stream *st, bool is_head)
{
    struct weft_http_writer *w = &st->x.w;
    *w = (struct weft_http_writer){.sc = st->c->sc, .h2 = st, .out = w->out, .status = 200, .is_head = is_head};
}

void weft__h2_reset(struct weft_http_writer *w)
{
    weft__h2_reply_init(reply_stream(w), w->is_head);
}

/* ---- what the handler says ---- */

/* A larger out; what it holds is not the session's. */
static bool reply_grow(struct weft_http_writer *w)
{
    struct weft__hbuf *b = w->out == reply_stream(w)->near ? weft__hbuf_get(0) : NULL;
    if (!b)
        return false;
    memcpy(b->data, w->out->data, w->len);
    w->out = b;
    return true;
}

weft_err weft__h2_field(struct weft_http_writer *w, const char *name, size_t nn, const char *value, size_t nv)
{
    if ((nn == 10 && strcasecmp(name, "keep-alive") == 0) || (nn == 16 && strcasecmp(name, "proxy-connection") == 0) ||
        (nn == 7 && strcasecmp(name, "upgrade") == 0))
        return 0;   /* it says something about an HTTP/1 connection: nothing to say here */
    if (nn > FIELDS_MAX || nv > FIELDS_MAX || w->len + nn + nv + 2 > FIELDS_MAX)
        return WEFT_ETOOBIG;
    if (w->len + nn + nv + 2 > w->out->cap && !reply_grow(w))
        return WEFT_ENOMEM;
    char *p = w->out->data + w->len;
    for (size_t i = 0; i <= nn; i++)
        p[i] = (char)(name[i] >= 'A' && name[i] <= 'Z' ? name[i] | 0x20 : name[i]);
    memcpy(p + nn + 1, value, nv + 1);
    w->len = w->fields_end += (uint32_t)(nn + nv + 2);
    w->fields_len++;
    return 0;
}

static void reply_close_fields(struct weft_http_writer *w)
{
    if (w->fields_closed)
        return;
    w->fields_closed = true;
    w->no_body = w->is_head || w->status == 204 || w->status == 304;
}

/* ---- the head, for the session ---- */

/* flags: what the session need not copy, as it stays. */
static nghttp2_nv nv_of(const char *name, size_t nn, const char *value, size_t nv, uint8_t flags)
{
    return (nghttp2_nv){(uint8_t *)(uintptr_t)name, (uint8_t *)(uintptr_t)value, nn, nv, flags};
}

/* status, length and date, then the handler's. nv has room for them. stays: out, and with it the stream, does until the
 * session has sent the head. */
static size_t reply_nv(const struct weft_http_writer *w, nghttp2_nv *nv, bool stays)
{
    const uint8_t value = stays ? NGHTTP2_NV_FLAG_NO_COPY_VALUE : 0, name = NGHTTP2_NV_FLAG_NO_COPY_NAME;
    char *text = reply_stream(w)->text;
    size_t n = 0, k = 24;
    text[0] = (char)('0' + w->status / 100 % 10);
    text[1] = (char)('0' + w->status / 10 % 10);
    text[2] = (char)('0' + w->status % 10);
    nv[n++] = nv_of(":status", 7, text, 3, name | value);
    weft__http_date_now(text + 24);
    nv[n++] = nv_of("date", 4, text + 24, 29, name | value);
    if (w->has_length && w->status != 204) {
        uint64_t v = w->length;
        do
            text[--k] = (char)('0' + v % 10);
        while (v /= 10);
        nv[n++] = nv_of("content-length", 14, text + k, 24 - k, name | value);
    }
    for (const char *s = w->out->data, *end = s + w->fields_end; s < end;) {
        size_t nn = strlen(s), len = strlen(s + nn + 1);
        nv[n++] = nv_of(s, nn, s + nn + 1, len, stays ? name | value : 0);
        s += nn + len + 2;
    }
    return n;
}

/* With c->m. */
static void reply_submit(struct weft__h2_stream *st, bool body, bool stays)
{
    struct weft_http_writer *w = &st->x.w;
    nghttp2_nv near[NV_NEAR], *nv = near;
    size_t most = 3 + w->fields_len;
    nghttp2_data_provider source = {.source.ptr = st, .read_callback = weft__h2_reply_source};
    if (most > NV_NEAR && !(nv = malloc(most * sizeof *nv))) {
        w->err = WEFT_ENOMEM;
        return;
    }
    st->submitted = w->head_sent = true;
    size_t n = reply_nv(w, nv, stays);
    if (nghttp2_submit_response(st->c->session, st->id, nv, n, body ? &source : NULL))
        w->err = WEFT_ENOMEM;
    if (nv != near)
        free(nv);
}

void weft__h2_reply_continue(struct weft__h2_stream *st)
{
    nghttp2_nv nv = nv_of(":status", 7, "100", 3, NGHTTP2_NV_FLAG_NONE);
    if (!st->submitted && !st->err)
        (void)nghttp2_submit_headers(st->c->session, NGHTTP2_FLAG_NONE, st->id, NULL, &nv, 1, NULL);
}

weft_err weft__h2_inform(struct weft_http_writer *w, int status, const struct weft_http_field *fields, size_t fields_len)
{
    struct weft__h2_stream *st = reply_stream(w);
    struct weft__h2 *c = st->c;
    char text[3] = {(char)('0' + status / 100), (char)('0' + status / 10 % 10), (char)('0' + status % 10)};
    nghttp2_nv *nv = malloc((1 + fields_len) * sizeof *nv);
    if (!nv)
        return WEFT_ENOMEM;
    nv[0] = nv_of(":status", 7, text, 3, NGHTTP2_NV_FLAG_NONE);
    for (size_t i = 0; i < fields_len; i++)
        nv[1 + i] = nv_of(fields[i].name, strlen(fields[i].name), fields[i].value, strlen(fields[i].value), NGHTTP2_NV_FLAG_NONE);
    weft_mutex_lock(&c->m);
    weft_err err = st->err;
    if (err == 0 && nghttp2_submit_headers(c->session, NGHTTP2_FLAG_NONE, st->id, NULL, nv, 1 + fields_len, NULL))
        err = WEFT_ENOMEM;
    weft__h2_send(c);
    free(nv);
    return err;
}

/* "name: value CRLF" lines as fields behind the body. */
static void reply_trailers(struct weft__h2_stream *st)
{
    struct weft_http_writer *w = &st->x.w;
    size_t n = 0, most = 0;
    for (uint32_t i = 0; i < w->trailers_len; i++)
        most += w->trailers[i] == '\n';
    nghttp2_nv *nv = calloc(most, sizeof *nv);
    for (char *s = w->trailers, *end = s + w->trailers_len; nv && s < end; n++) {
        char *colon = strchr(s, ':'), *cr = memchr(colon, '\r', (size_t)(end - colon));
        nv[n] = nv_of(s, (size_t)(colon - s), colon + 2, (size_t)(cr - colon - 2), NGHTTP2_NV_FLAG_NONE);
        s = cr + 2;
    }
    if (!nv || nghttp2_submit_trailer(st->c->session, st->id, nv, n))
        (void)nghttp2_submit_rst_stream(st->c->session, NGHTTP2_FLAG_NONE, st->id, NGHTTP2_INTERNAL_ERROR);
    free(nv);
}

/* ---- the body, as the session asks for it: with c->m, inside of mem_send ---- */

ssize_t weft__h2_reply_source(nghttp2_session *session, int32_t id, uint8_t *buf, size_t length, uint32_t *flags,
                              nghttp2_data_source *source, void *arg)
{
    struct weft__h2 *c = arg;
    struct weft__h2_stream *st = source->ptr;
    size_t have = st->data_len + st->more_len, room = c->out->cap - c->out_len;
    (void)session, (void)id, (void)buf;
    if (st->err)
        return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
    if (!have && !st->fin) {
        st->deferred = true;
        return NGHTTP2_ERR_DEFERRED;
    }
    if (room > FRAME_HEAD + 1024 && length > room - FRAME_HEAD)
        length = room - FRAME_HEAD;   /* what out still holds; a room that is too small is emptied first */
    *flags = NGHTTP2_DATA_FLAG_NO_COPY;
    if (have > length)
        return (ssize_t)length;
    if (st->fin) {
        *flags |= NGHTTP2_DATA_FLAG_EOF;
        if (st->x.w.trailers_len) {
            *flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
            reply_trailers(st);
        }
    }
    return (ssize_t)have;
}

static char *source_take(char *to, const char **from, size_t *len, size_t *want)
{
    size_t n = *len < *want ? *len : *want;
    if (!n)
        return to;
    memcpy(to, *from, n);
    *from += n;
    *len -= n;
    *want -= n;
    return to + n;
}

int weft__h2_reply_put(nghttp2_session *session, nghttp2_frame *frame, const uint8_t *head, size_t length,
                       nghttp2_data_source *source, void *arg)
{
    struct weft__h2 *c = arg;
    struct weft__h2_stream *st = source->ptr;
    (void)session, (void)frame;
    if (st->err || st->data_len + st->more_len < length)
        return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;   /* given up (Z5) */
    if (c->out->cap - c->out_len < length + FRAME_HEAD)
        return NGHTTP2_ERR_WOULDBLOCK;
    char *p = c->out->data + c->out_len;
    memcpy(p, head, FRAME_HEAD);
    c->out_len += length + FRAME_HEAD;
    p = source_take(p + FRAME_HEAD, &st->data, &st->data_len, &length);
    (void)source_take(p, &st->more, &st->more_len, &length);
    if (!st->data_len && !st->more_len)
        weft_cond_broadcast(&st->wake);
    return 0;
}

void weft__h2_data_resume(struct weft__h2_stream *st)
{
    if (!st->deferred || !(st->data_len || st->more_len || st->fin))
        return;
    st->deferred = false;
    (void)nghttp2_session_resume_data(st->c->session, st->id);
}

/* ---- the handler's writes ---- */

/* With c->m: data and more are the session's. last: the handler is through, and out stays as it is. */
static void reply_offer(struct weft__h2_stream *st, const char *more, size_t more_len, bool last)
{
    struct weft_http_writer *w = &st->x.w;
    st->data = w->out->data + w->fields_end;
    st->data_len = w->no_body ? 0 : w->len - w->fields_end;
    st->more = more;
    st->more_len = more_len;
    if (!st->submitted) {
        bool body = !w->no_body && (st->data_len || st->more_len || !st->fin || w->trailers_len);
        st->fin |= !body;
        reply_submit(st, body, last);
    } else {
        weft__h2_data_resume(st);
    }
}

/* The head, if it is not out, what is buffered, and more; waits until the session has taken all of it. */
static weft_err reply_push(struct weft_http_writer *w, const char *more, size_t more_len)
{
    struct weft__h2_stream *st = reply_stream(w);
    struct weft__h2 *c = st->c;
    reply_close_fields(w);
    if (w->err || (w->no_body && st->submitted))
        return w->err;
    weft_mutex_lock(&c->m);
    if (!st->err) {
        reply_offer(st, more, more_len, false);
        weft__h2_send(c);
        weft_mutex_lock(&c->m);
    }
    while (st->data_len + st->more_len && !st->err && !st->out_err)
        weft__h2_wait(st, 1, weft__h2_limit(c));
    if (!w->err)
        w->err = st->err ? st->err : st->data_len + st->more_len ? st->out_err : 0;   /* A1 */
    st->data_len = st->more_len = 0;
    w->len = w->fields_end = 0;
    weft_mutex_unlock(&c->m);
    return w->err;
}

static weft_err reply_count(struct weft_http_writer *w, size_t len)
{
    if (w->has_length && len > w->length - w->written)
        return w->err = WEFT_EINVAL;   /* A2 */
    w->written += len;
    return 0;
}

char *weft__h2_room(struct weft_http_writer *w, size_t *ret_len)
{
    reply_close_fields(w);
    if (w->err || (w->len == w->out->cap && !reply_grow(w) && reply_push(w, NULL, 0) < 0))
        return NULL;
    *ret_len = w->out->cap - w->len;
    return w->out->data + w->len;
}

weft_err weft__h2_write(struct weft_http_writer *w, const char *buf, size_t len)
{
    reply_close_fields(w);
    weft_err err = w->err ? w->err : reply_count(w, len);
    if (err < 0 || w->no_body)
        return err;
    if (len > w->out->cap - w->len)
        (void)reply_grow(w);
    if (len > w->out->cap - w->len)
        return reply_push(w, buf, len);
    memcpy(w->out->data + w->len, buf, len);
    w->len += (uint32_t)len;
    return 0;
}

weft_err weft__h2_flush(struct weft_http_writer *w)
{
    return reply_push(w, NULL, 0);
}

void weft__h2_reply_finish(struct weft__h2_stream *st)
{
    struct weft_http_writer *w = &st->x.w;
    if (st->closed || st->err || st->c->dead)
        return;
    reply_close_fields(w);
    if (!st->submitted && !w->has_length && !w->trailers_len && (!w->no_body || (w->is_head && w->written))) {
        w->has_length = true;
        w->length = w->written;
    }
    bool whole = st->returned && !w->err && (w->no_body || !w->has_length || w->written == w->length);
    if (whole && !(w->no_body && st->submitted)) {
        st->fin = true;
        reply_offer(st, NULL, 0, true);
    }
    if (!whole || w->err)   /* A1, A2: the peer sees an answer that was cut off */
        (void)nghttp2_submit_rst_stream(st->c->session, NGHTTP2_FLAG_NONE, st->id, NGHTTP2_INTERNAL_ERROR);
    if (w->close)
        weft__h2_leave(st->c);
}
