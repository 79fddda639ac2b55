/*
 * h2none.c - instead of h2*.c in a build without nghttp2: no connection is HTTP/2's, and no stream exists.
 *
 * Role    Stands in for h2.h; what needs a stream is never called. Layer 5.
 */
#include "h2.h"

const bool weft__h2_built = false;

int weft__h2_preface(const char *bytes, size_t n)
{
    (void)bytes, (void)n;
    return 0;
}

bool weft__h2_serve(struct weft__sconn *sc, const char *bytes, size_t n)
{
    (void)sc, (void)bytes, (void)n;
    return false;
}

ssize_t weft__h2_read(struct weft_http_request *rq, void *ret_buf, size_t len)
{
    (void)rq, (void)ret_buf, (void)len;
    return WEFT_EUNSUPPORTED;
}

void weft__h2_watch(struct weft_http_request *rq)
{
    (void)rq;
}

weft_err weft__h2_field(struct weft_http_writer *w, const char *name, size_t nn, const char *value, size_t nv)
{
    (void)w, (void)name, (void)nn, (void)value, (void)nv;
    return WEFT_EUNSUPPORTED;
}

char *weft__h2_room(struct weft_http_writer *w, size_t *ret_len)
{
    (void)w, (void)ret_len;
    return NULL;
}

weft_err weft__h2_write(struct weft_http_writer *w, const char *buf, size_t len)
{
    (void)w, (void)buf, (void)len;
    return WEFT_EUNSUPPORTED;
}

weft_err weft__h2_flush(struct weft_http_writer *w)
{
    (void)w;
    return WEFT_EUNSUPPORTED;
}

weft_err weft__h2_inform(struct weft_http_writer *w, int status, const struct weft_http_field *fields, size_t fields_len)
{
    (void)w, (void)status, (void)fields, (void)fields_len;
    return WEFT_EUNSUPPORTED;
}

void weft__h2_reset(struct weft_http_writer *w)
{
    (void)w;
}

int weft__h2_connect(weft_ctx *ctx, struct weft_http_response *r, const struct weft_http_call *call)
{
    (void)ctx;
    return r->client->o.http2 == WEFT_HTTP2_ALWAYS && !r->url.https ? weft__call_fail(call, "HTTP/2", WEFT_EUNSUPPORTED) : 0;
}

weft_err weft__h2_exchange(weft_ctx *ctx, struct weft_http_response *r, struct weft__send *s)
{
    (void)ctx, (void)r, (void)s;
    return WEFT_EUNSUPPORTED;
}

void weft__h2_call_end(struct weft_http_response *r)
{
    (void)r;
}

ssize_t weft__h2_wire_read(weft_ctx *ctx, struct weft__wire *w, void *ret_buf, size_t len)
{
    (void)ctx, (void)w, (void)ret_buf, (void)len;
    return WEFT_EUNSUPPORTED;
}

ssize_t weft__h2_wire_next(weft_ctx *ctx, struct weft__wire *w, size_t max, const char **ret_piece)
{
    (void)ctx, (void)w, (void)max, (void)ret_piece;
    return WEFT_EUNSUPPORTED;
}

void weft__h2_clear(struct weft_http_client *client)
{
    (void)client;
}
