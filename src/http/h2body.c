/*
 * h2body.c - the body of a stream's request: what came and was not read, and the flow control of it.
 *
 * Role    Keep what the session hands out until the handler reads it; only then the peer is told that it may send more. So a
 *         handler that does not read holds 256 KiB at most. Near h2session.c, request.c. Layer 5.
 *
 * Invariants Z1, Z6 in h2_int.h, and
 *   Y1  what lies in in..in_last has come and is not counted as consumed; what is dropped is counted at once.
 *
 * Limits  The windows in h2_int.h; io_timeout for each wait; body_bytes_max.
 * Failure WEFT_EDEADLINE, WEFT_ETOOBIG, -ECONNRESET (the peer has reset the stream), or how the connection ended.
 */
#include <string.h>
#include <weft/time.h>

#include "h2_int.h"

static void body_consumed(struct weft__h2_stream *st, size_t n)
{
    if (n && st->c->session && !st->c->dead)
        (void)nghttp2_session_consume(st->c->session, st->id, n);   /* memory is short: the peer waits, and times out */
}

void weft__h2_body_in(struct weft__h2_stream *st, const char *data, size_t len)
{
    if (st->handled || st->err) {
        body_consumed(st, len);   /* Y1 */
        return;
    }
    while (len) {
        if (!st->in || st->in_end == st->in_last->cap) {
            struct weft__hbuf *b = weft__hbuf_get(0);
            if (!b) {
                body_consumed(st, len);
                weft__h2_stream_break(st, WEFT_ENOMEM);
                (void)nghttp2_submit_rst_stream(st->c->session, NGHTTP2_FLAG_NONE, st->id, NGHTTP2_INTERNAL_ERROR);
                return;
            }
            b->next = NULL;
            if (st->in)
                st->in_last->next = b;
            else
                st->in = b;
            st->in_last = b;
            st->in_end = 0;
            st->in_pos = st->in == b ? 0 : st->in_pos;
        }
        size_t room = st->in_last->cap - st->in_end, n = len < room ? len : room;
        memcpy(st->in_last->data + st->in_end, data, n);
        st->in_end += (uint32_t)n;
        data += n;
        len -= n;
    }
    weft_cond_broadcast(&st->wake);
    st->c->woke = true;
}

/* Up to len bytes out of the buffers, which are given back as they are used up. */
static size_t body_out(struct weft__h2_stream *st, char *to, size_t len)
{
    size_t got = 0;
    while (st->in && got < len) {
        struct weft__hbuf *b = st->in;
        size_t end = b == st->in_last ? st->in_end : b->cap, n = end - st->in_pos;
        if (n > len - got)
            n = len - got;
        if (to)
            memcpy(to + got, b->data + st->in_pos, n);
        got += n;
        st->in_pos += (uint32_t)n;
        if (st->in_pos < end)
            break;
        st->in = b == st->in_last ? NULL : b->next;
        st->in_pos = 0;
        weft__hbuf_put(b);
    }
    return got;
}

void weft__h2_body_drop(struct weft__h2_stream *st)
{
    body_consumed(st, body_out(st, NULL, SIZE_MAX));
}

size_t weft__h2_body_take(struct weft__h2_stream *st, char *ret_buf, size_t len)
{
    size_t n = body_out(st, ret_buf, len);
    body_consumed(st, n);
    return n;
}

weft_time weft__h2_limit(const struct weft__h2 *c)
{
    return weft_now() + c->io_timeout;
}

void weft__h2_wait(struct weft__h2_stream *st, int dir, weft_time until)
{
    st->until[dir] = until;
    if (until)
        weft__h2_look_at(st->c, until);   /* Z6 */
    weft_cond_wait(&st->wake);
    st->until[dir] = 0;
}

ssize_t weft__h2_read(struct weft_http_request *rq, void *ret_buf, size_t len)
{
    struct weft__h2_stream *st = rq->x->w.h2;
    struct weft__h2 *c = st->c;
    ssize_t n = rq->err;
    if (n || !len || rq->x->wire.done)
        return n;
    weft_mutex_lock(&c->m);
    if (rq->expect && !st->in && !st->in_ended)
        weft__h2_reply_continue(st);
    if (rq->expect) {
        rq->expect = false;
        weft__h2_send(c);
        weft_mutex_lock(&c->m);
    }
    while (!st->in && !st->in_ended && !st->err && !st->in_err)
        weft__h2_wait(st, 0, weft__h2_limit(c));
    if (st->err || (st->in_err && !st->in))
        n = st->err ? st->err : st->in_err;
    else
        n = (ssize_t)weft__h2_body_take(st, ret_buf, len);
    bool more = n > 0 && !st->in_ended && nghttp2_session_want_write(c->session);
    if (more)
        weft__h2_send(c);
    else
        weft_mutex_unlock(&c->m);
    if (n > 0 && (rq->body_bytes += (uint64_t)n) > rq->x->sc->server->o.body_bytes_max)
        n = WEFT_ETOOBIG;
    if (n < 0)
        rq->err = (weft_err)n;
    rq->x->wire.done |= n == 0;
    return n;
}

void weft__h2_watch(struct weft_http_request *rq)
{
    struct weft__h2_stream *st = rq->x->w.h2;
    struct weft__h2 *c = st->c;
    weft_mutex_lock(&c->m);
    st->ctx = rq->ctx;
    bool gone = st->err != 0;
    weft_mutex_unlock(&c->m);
    if (gone)
        weft_cancel(rq->ctx);
}
