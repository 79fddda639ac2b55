/*
 * response.c - what a program asks a response: status, fields, body.
 *
 * Role    Decoded body in pieces, copies or whole; the end of a hop, with the fate of its connection.
 * Near    client.c (makes responses), wirebody.c, decode.c. Layer 5.
 *
 * Invariants
 *   R1  r->err is the first error of the body and stays: a broken body never looks whole.
 *   R2  a connection goes back to the pool only when its message is used up to the byte: nothing left, nothing over.
 *
 * Limits  body_bytes_max counts decoded bytes; a decoded piece is at most a buffer.
 */
#include <weft/ctx.h>

#include "client_int.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* ---- the head ---- */

int weft_http_status(const weft_http_response *r)
{
    return r->head.p.status_code;
}

int weft_http_version(const weft_http_response *r)
{
    return r->head.p.http_major * 10 + r->head.p.http_minor;
}

const char *weft_http_header(const weft_http_response *r, const char *name)
{
    return weft__head_find(&r->head, name);
}

bool weft_http_header_at(const weft_http_response *r, size_t i, struct weft_http_field *ret_field)
{
    return weft__head_at(&r->head, i, ret_field);
}

int64_t weft_http_content_length(const weft_http_response *r)
{
    return r->has_length && r->content_length <= INT64_MAX ? (int64_t)r->content_length : -1;
}

const char *weft_http_url(const weft_http_response *r)
{
    return r->url.text;
}

int weft_http_redirects(const weft_http_response *r)
{
    return r->redirects;
}

void weft_http_times(const weft_http_response *r, struct weft_http_times *ret_times)
{
    *ret_times = r->times;
    ret_times->total = weft_now() - r->start;
}

uint64_t weft_http_wire_bytes(const weft_http_response *r)
{
    return r->head_wire_bytes + r->wire.wire_bytes;
}

const char *weft_http_error_text(const weft_http_response *r)
{
    return r->err ? r->why : "";
}

/* ---- the body ---- */

weft_err weft__response_decoding(struct weft_http_response *r, bool decode)
{
    const char *coding = decode && !r->wire.done ? weft__head_find(&r->head, "content-encoding") : NULL;
    if (!coding)
        return 0;
    bool gzip = strcasecmp(coding, "gzip") == 0 || strcasecmp(coding, "x-gzip") == 0;
    if (!gzip && strcasecmp(coding, "deflate") != 0)
        return 0;   /* not asked for; the caller sees the field */
    r->decoder = weft__decoder_get(gzip);
    return r->decoder ? 0 : WEFT_ENOMEM;
}

static ssize_t body_fail(struct weft_http_response *r, weft_err err, const char *why)   /* R1 */
{
    r->err = err;
    r->why = why && *why ? why : weft_strerror(err);
    r->keep = false;
    return err;
}

/* Account for n bytes that came, or for the error that n is. */
static ssize_t body_count(struct weft_http_response *r, ssize_t n)
{
    if (n < 0)
        return body_fail(r, (weft_err)n, r->decoder && *weft__decoder_why(r->decoder) ? weft__decoder_why(r->decoder) : r->wire.why);
    r->body_bytes += (uint64_t)n;
    if (r->client->o.body_bytes_max && r->body_bytes > r->client->o.body_bytes_max)
        return body_fail(r, WEFT_ETOOBIG, "the body passes the limit");
    return n;
}

ssize_t weft_http_body_next(weft_ctx *ctx, weft_http_response *r, const void **ret_piece)
{
    if (r->err)
        return r->err;
    const char *piece = NULL;
    ssize_t n;
    if (!r->decoder) {
        n = weft__wire_next(ctx, &r->wire, SIZE_MAX, &piece);
    } else {
        if (!r->plain && !(r->plain = weft__hbuf_get(0)))
            return body_fail(r, WEFT_ENOMEM, "");
        piece = r->plain->data;
        n = weft__decoder_read(ctx, r->decoder, &r->wire, r->plain->data, r->plain->cap);
    }
    n = body_count(r, n);
    if (n > 0)
        *ret_piece = piece;
    return n;
}

ssize_t weft_http_body_read(weft_ctx *ctx, weft_http_response *r, void *ret_buf, size_t len)
{
    if (r->err || !len)
        return r->err;
    return body_count(r, r->decoder ? weft__decoder_read(ctx, r->decoder, &r->wire, ret_buf, len)
                                    : weft__wire_read(ctx, &r->wire, ret_buf, len));
}

/* Nothing more will come: needs no further read to know it. */
static bool body_at_end(const struct weft_http_response *r)
{
    return !r->decoder && r->wire.done;
}

/* Room to begin with: exact where the length is known and not suspiciously large. */
static size_t body_first_room(const struct weft_http_response *r, size_t max)
{
    size_t room = 8192;
    if (r->wire.done)
        room = 0;
    else if (!r->decoder && r->wire.framing == WEFT__BODY_LENGTH)
        room = r->wire.left < (1u << 20) ? (size_t)r->wire.left : 1u << 20;
    return max && room > max ? max : room;
}

weft_err weft_http_body_read_all(weft_ctx *ctx, weft_http_response *r, size_t max, char **ret_buf, size_t *ret_len)
{
    size_t cap = body_first_room(r, max), len = 0;
    char *buf = malloc(cap + 1);
    if (!buf)
        return WEFT_ENOMEM;
    ssize_t n = 1;
    while (!(body_at_end(r) && !r->err)) {
        char one;
        bool full = len == cap;   /* then one byte more tells whether the end is reached */
        n = weft_http_body_read(ctx, r, full ? &one : buf + len, full ? 1 : cap - len);
        if (n <= 0)
            break;
        if (full) {
            size_t more = cap < 4096 ? 8192 : cap * 2;
            char *b = max && len >= max ? NULL : realloc(buf, (max && more > max ? max : more) + 1);
            if (!b) {
                n = max && len >= max ? body_fail(r, WEFT_ETOOBIG, "the body passes the limit") : WEFT_ENOMEM;
                break;
            }
            buf = b;
            cap = max && more > max ? max : more;
            buf[len] = one;
        }
        len += (size_t)n;
    }
    if (n < 0) {
        free(buf);
        return (weft_err)n;
    }
    buf[len] = '\0';
    *ret_buf = buf;
    *ret_len = len;
    return 0;
}

/* ---- the end ---- */

void weft__response_end_hop(struct weft_http_response *r)
{
    struct weft__wire *w = &r->wire;
    struct weft__hconn *hc = r->hc;
    if (hc) {
        bool clean = r->keep && weft__wire_skip_buffered(w) && w->pos == w->end;   /* R2 */
        r->hc = NULL;
        if (clean)
            weft__pool_put(r->client, hc);
        else
            weft__hconn_close(r->client, hc);
    }
    if (r->host) {
        weft__host_leave(r->host);
        weft__host_put(r->client, r->host);
        r->host = NULL;
    }
    if (w->in_own_buf)
        weft__hbuf_put(w->buf);
    weft__hbuf_put(r->plain);
    weft__hbuf_put(r->buf);
    weft__decoder_put(r->decoder);
    weft__head_done(&r->head);
    memset(w, 0, sizeof *w);
    r->plain = r->buf = NULL;
    r->decoder = NULL;
}
