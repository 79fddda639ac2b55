/*
 * h2session.c - nghttp2's calls: frames that came, streams that open and close.
 *
 * Role    Turn what the session tells into calls on streams. All run inside a nghttp2 function, so with c->m held (Z1), and
 *         none parks. nghttp2 checks framing, HPACK, pseudo-header fields, forbidden fields and content-length.
 * Near    h2conn.c (who feeds the session), h2stream.c, h2body.c, h2reply.c, h2guard.c. Layer 5.
 *
 * Limits  SETTINGS: streams_max requests at a time, 256 KiB of body unread per stream and 1 MiB per connection, fields as
 *         head_bytes_max. A head is kept up to that (then 431), read over up to 8 times that, and then ends the connection.
 * Failure Memory is short: the stream is reset with INTERNAL_ERROR, or the connection ends.
 * Source  RFC 9113, 7541; nghttp2.h.
 */
#include <stdlib.h>
#include <weft/time.h>

#include "h2_int.h"

#define BOMB 8

static struct weft__h2_stream *session_stream(struct weft__h2 *c, int32_t id)
{
    if (c->met && c->met->id == id)
        return c->met;
    return id > 0 ? c->met = nghttp2_session_get_stream_user_data(c->session, id) : NULL;
}

static int on_begin_frame(nghttp2_session *session, const nghttp2_frame_hd *hd, void *arg)
{
    (void)session;
    return weft__h2_guard_frame(arg, hd) ? 0 : NGHTTP2_ERR_CALLBACK_FAILURE;
}

static int on_begin_headers(nghttp2_session *session, const nghttp2_frame *frame, void *arg)
{
    struct weft__h2 *c = arg;
    if (frame->headers.cat != NGHTTP2_HCAT_REQUEST)
        return 0;
    if (c->handlers >= c->streams_max) {   /* streams were reset, their handlers still run */
        (void)nghttp2_submit_rst_stream(session, NGHTTP2_FLAG_NONE, frame->hd.stream_id, NGHTTP2_REFUSED_STREAM);
        return weft__h2_guard_reset(c) ? 0 : NGHTTP2_ERR_CALLBACK_FAILURE;
    }
    struct weft__h2_stream *st = weft__h2_stream_new(c, frame->hd.stream_id);
    if (!st)
        return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
    (void)nghttp2_session_set_stream_user_data(session, frame->hd.stream_id, st);
    c->met = st;
    if (!(frame->hd.flags & NGHTTP2_FLAG_END_HEADERS)) {   /* the rest may take long: slow heads have a limit */
        st->until[0] = weft_now() + c->head_timeout;
        weft__h2_look_at(c, st->until[0]);
    }
    return 0;
}

static int on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name, size_t nn,
                     const uint8_t *value, size_t nv, uint8_t flags, void *arg)
{
    struct weft__h2 *c = arg;
    (void)session, (void)flags;
    c->bomb += (uint32_t)(nn + nv + 32);
    if (c->bomb / BOMB > c->head_max) {
        c->calm = NGHTTP2_ENHANCE_YOUR_CALM;
        return NGHTTP2_ERR_CALLBACK_FAILURE;
    }
    struct weft__h2_stream *st = session_stream(c, frame->hd.stream_id);
    if (st && c->client)
        weft__h2_call_field(st, (const char *)name, nn, (const char *)value, nv);
    else if (st && frame->headers.cat == NGHTTP2_HCAT_REQUEST)
        weft__h2_stream_field(st, (const char *)name, nn, (const char *)value, nv);
    else if (st)
        weft__h2_stream_trailer(st, (const char *)name, nn, (const char *)value, nv);
    return 0;
}

static void session_in_ended(struct weft__h2_stream *st)
{
    st->in_ended = true;
    weft_cond_broadcast(&st->wake);
}

static int on_frame_recv(nghttp2_session *session, const nghttp2_frame *frame, void *arg)
{
    struct weft__h2 *c = arg;
    (void)session;
    bool end = frame->hd.flags & NGHTTP2_FLAG_END_STREAM;
    struct weft__h2_stream *st;
    switch (frame->hd.type) {
    case NGHTTP2_HEADERS:
        st = session_stream(c, frame->hd.stream_id);
        if (st && c->client)
            weft__h2_call_head(st);
        if (st && end)
            session_in_ended(st);
        if (st && frame->headers.cat == NGHTTP2_HCAT_REQUEST)
            weft__h2_stream_start(st);
        break;
    case NGHTTP2_DATA:
        st = session_stream(c, frame->hd.stream_id);
        if (st && end)
            session_in_ended(st);
        break;
    case NGHTTP2_PING:
        if ((frame->hd.flags & NGHTTP2_FLAG_ACK) && c->leaving)
            weft__h2_left(c);
        break;
    case NGHTTP2_RST_STREAM:   /* a server may */
        return c->client || weft__h2_guard_reset(c) ? 0 : NGHTTP2_ERR_CALLBACK_FAILURE;
    default:
        break;
    }
    return 0;
}

static int on_data_chunk(nghttp2_session *session, uint8_t flags, int32_t id, const uint8_t *data, size_t len, void *arg)
{
    struct weft__h2 *c = arg;
    struct weft__h2_stream *st = session_stream(c, id);
    (void)flags;
    weft__h2_guard_credit(c);
    if (st)
        weft__h2_body_in(st, (const char *)data, len);
    else
        (void)nghttp2_session_consume(session, id, len);
    return 0;
}

static int on_stream_close(nghttp2_session *session, int32_t id, uint32_t code, void *arg)
{
    struct weft__h2_stream *st = session_stream(arg, id);
    weft__h2_guard_credit(arg);
    if (st) {
        (void)nghttp2_session_set_stream_user_data(session, id, NULL);
        weft__h2_stream_closed(st, code);
    }
    return 0;
}

/* Resets that the peer has brought about count like its own. An answer that ends before its request ends it. */
static int on_frame_send(nghttp2_session *session, const nghttp2_frame *frame, void *arg)
{
    struct weft__h2 *c = arg;
    if (frame->hd.type == NGHTTP2_RST_STREAM) {
        uint32_t code = frame->rst_stream.error_code;
        if (code == NGHTTP2_PROTOCOL_ERROR || code == NGHTTP2_FLOW_CONTROL_ERROR || code == NGHTTP2_STREAM_CLOSED ||
            code == NGHTTP2_FRAME_SIZE_ERROR)
            if (!c->client && !weft__h2_guard_reset(c))
                (void)nghttp2_session_terminate_session(session, c->calm);
        return 0;
    }
    if ((frame->hd.type == NGHTTP2_HEADERS || frame->hd.type == NGHTTP2_DATA) && (frame->hd.flags & NGHTTP2_FLAG_END_STREAM)) {
        struct weft__h2_stream *st = session_stream(c, frame->hd.stream_id);
        if (st && !st->in_ended && !c->client)
            (void)nghttp2_submit_rst_stream(session, NGHTTP2_FLAG_NONE, st->id, NGHTTP2_NO_ERROR);
    }
    return 0;
}

/* A request that was given up before it left, or that may not leave any more: there never was a stream of the session's. */
static int on_frame_not_send(nghttp2_session *session, const nghttp2_frame *frame, int error, void *arg)
{
    struct weft__h2 *c = arg;
    (void)error;
    if (!c->client || frame->hd.type != NGHTTP2_HEADERS || frame->headers.cat != NGHTTP2_HCAT_REQUEST)
        return 0;
    for (struct weft__hlink *x = c->streams.next; x != &c->streams; x = x->next) {
        struct weft__h2_stream *st = WEFT__H2_STREAM_OF(x);
        if (st->id == frame->hd.stream_id) {
            (void)nghttp2_session_set_stream_user_data(session, st->id, NULL);
            weft__h2_stream_closed(st, NGHTTP2_REFUSED_STREAM);
            break;
        }
    }
    return 0;
}

static weft_err session_settings(struct weft__h2 *c)
{
    nghttp2_settings_entry iv[4] = {{NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, WEFT__H2_WINDOW},
                                    {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, (uint32_t)c->head_max},
                                    {NGHTTP2_SETTINGS_ENABLE_PUSH, 0}};
    size_t n = 3;
    if (!c->client) {
        iv[2] = (nghttp2_settings_entry){NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, c->streams_max};
        iv[n++] = (nghttp2_settings_entry){NGHTTP2_SETTINGS_NO_RFC7540_PRIORITIES, 1};
    }
    if (nghttp2_submit_settings(c->session, NGHTTP2_FLAG_NONE, iv, n) ||
        nghttp2_session_set_local_window_size(c->session, NGHTTP2_FLAG_NONE, 0, WEFT__H2_CONN_WINDOW))
        return WEFT_ENOMEM;
    return 0;
}

weft_err weft__h2_session_new(struct weft__h2 *c)
{
    nghttp2_session_callbacks *cb = NULL;
    nghttp2_option *opt = NULL;
    nghttp2_mem mem = weft__h2_mem(c);
    weft_err err = WEFT_ENOMEM;
    if (nghttp2_session_callbacks_new(&cb) || nghttp2_option_new(&opt))
        goto out;
    nghttp2_session_callbacks_set_on_begin_frame_callback(cb, on_begin_frame);
    nghttp2_session_callbacks_set_on_begin_headers_callback(cb, on_begin_headers);
    nghttp2_session_callbacks_set_on_header_callback(cb, on_header);
    nghttp2_session_callbacks_set_on_frame_recv_callback(cb, on_frame_recv);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(cb, on_data_chunk);
    nghttp2_session_callbacks_set_on_stream_close_callback(cb, on_stream_close);
    nghttp2_session_callbacks_set_on_frame_send_callback(cb, on_frame_send);
    nghttp2_session_callbacks_set_on_frame_not_send_callback(cb, on_frame_not_send);
    nghttp2_session_callbacks_set_send_data_callback(cb, weft__h2_reply_put);
    nghttp2_option_set_no_auto_window_update(opt, 1);
    nghttp2_option_set_no_closed_streams(opt, 1);
    if ((c->client ? nghttp2_session_client_new3 : nghttp2_session_server_new3)(&c->session, cb, c, opt, &mem) == 0) {
        err = session_settings(c);
        if (err)
            nghttp2_session_del(c->session);
    }
out:
    nghttp2_session_callbacks_del(cb);
    nghttp2_option_del(opt);
    return err;
}
