/*
 * response.c - what a program asks a response: status, fields, body.
 *
 * Role    Decoded body in pieces, copies or whole; the end of a hop, with the fate of its connection.
 * Near    client.c (makes responses), wirebody.c, decode.c. Layer 5.
 *
 * Invariants
 *   R1  r->rx->err is the first error of the body and stays: a broken body never looks whole.
 *   R2  a connection goes back to the pool only when its message is used up to the byte: nothing left, nothing over.
 *
 * Limits  body_bytes_max counts decoded bytes; a decoded piece is at most a buffer.
 */
#include <weft/ctx.h>

#include "upload.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* ---- the head ---- */

int weft_http_status(const weft_http_response *r)
{
    return r->rx->head.p.status_code;
}

int weft_http_version(const weft_http_response *r)
{
    return r->rx->head.p.http_major * 10 + r->rx->head.p.http_minor;
}

const char *weft_http_header(const weft_http_response *r, const char *name)
{
    return weft__head_find(&r->rx->head, name);
}

bool weft_http_header_at(const weft_http_response *r, size_t i, struct weft_http_field *ret_field)
{
    return weft__head_at(&r->rx->head, i, ret_field);
}

int64_t weft_http_content_length(const weft_http_response *r)
{
    return r->rx->has_length && r->rx->content_length <= INT64_MAX ? (int64_t)r->rx->content_length : -1;
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
    *ret_times = (struct weft_http_times){.dns = r->dns_us * WEFT_US, .connect = r->connect_us * WEFT_US, .tls = r->tls_us * WEFT_US,
                                          .first_byte = r->sent, .total = weft_now() - r->start, .reused = r->reused};
}

uint64_t weft_http_wire_bytes(const weft_http_response *r)
{
    return r->head_wire_bytes + r->rx->wire.wire_bytes;
}

const char *weft_http_error_text(const weft_http_response *r)
{
    return r->rx->err ? r->rx->why : "";
}

const char *weft_http_trailer(const weft_http_response *r, const char *name)
{
    struct weft_http_field f;
    for (size_t i = 0; weft__trailer_at(r->rx->head.trailers, i, &f); i++)
        if (strcasecmp(f.name, name) == 0)
            return f.value;
    return NULL;
}

bool weft_http_trailer_at(const weft_http_response *r, size_t i, struct weft_http_field *ret_field)
{
    return weft__trailer_at(r->rx->head.trailers, i, ret_field);
}

/* ---- the body ---- */

weft_err weft__response_decoding(struct weft_http_response *r, bool decode)
{
    const char *coding = r->rx->wire.done ? NULL : weft__head_find(&r->rx->head, "content-encoding");
    if (!coding || !*coding || strcasecmp(coding, "identity") == 0)
        return 0;
    weft_err err = decode ? weft__decoder_get(coding, r->client->o.body_bytes_max, &r->rx->decoder) : 0;
    r->rx->coded = !r->rx->decoder;
    return err;
}

bool weft_http_decoded(const weft_http_response *r)
{
    return !r->rx->coded;
}

static ssize_t body_fail(struct weft_http_response *r, weft_err err, const char *why)   /* R1 */
{
    r->rx->err = err;
    r->rx->why = why && *why ? why : weft_strerror(err);
    r->keep = false;
    return err;
}

/* Account for n bytes that came, or for the error that n is. */
static ssize_t body_count(struct weft_http_response *r, ssize_t n)
{
    const char *why = n < 0 && r->rx->decoder ? weft__decoder_why(r->rx->decoder) : "";
    weft_err sent = n < 0 && r->upload ? weft__upload_failed(r, &why) : 0;
    if (sent)
        return body_fail(r, sent, why);
    if (n < 0)
        return body_fail(r, (weft_err)n, *why ? why : r->rx->wire.why);
    r->rx->body_bytes += (uint64_t)n;
    if (r->client->o.body_bytes_max && r->rx->body_bytes > r->client->o.body_bytes_max)
        return body_fail(r, WEFT_ETOOBIG, "the body passes the limit");
    return n;
}

ssize_t weft_http_body_next(weft_ctx *ctx, weft_http_response *r, const void **ret_piece)
{
    if (r->rx->err)
        return r->rx->err;
    const char *piece = NULL;
    ssize_t n;
    if (!r->rx->decoder) {
        n = weft__wire_next(ctx, &r->rx->wire, SIZE_MAX, &piece);
    } else {
        if (!r->rx->plain && !(r->rx->plain = weft__hbuf_get(0)))
            return body_fail(r, WEFT_ENOMEM, "");
        piece = r->rx->plain->data;
        n = weft__decoder_read(ctx, r->rx->decoder, &r->rx->wire, r->rx->plain->data, r->rx->plain->cap);
    }
    n = body_count(r, n);
    if (n > 0)
        *ret_piece = piece;
    return n;
}

ssize_t weft_http_body_read(weft_ctx *ctx, weft_http_response *r, void *ret_buf, size_t len)
{
    if (r->rx->err || !len)
        return r->rx->err;
    return body_count(r, r->rx->decoder ? weft__decoder_read(ctx, r->rx->decoder, &r->rx->wire, ret_buf, len)
                                    : weft__wire_read(ctx, &r->rx->wire, ret_buf, len));
}

/* Nothing more will come: needs no further read to know it. */
static bool body_at_end(const struct weft_http_response *r)
{
    return !r->rx->decoder && r->rx->wire.done;
}

/* Room to begin with: exact where the length is known and not suspiciously large. */
static size_t body_first_room(const struct weft_http_response *r, size_t max)
{
    size_t room = 8192;
    if (r->rx->wire.done)
        room = 0;
    else if (!r->rx->decoder && r->rx->wire.framing == WEFT__BODY_LENGTH)
        room = r->rx->wire.left < (1u << 20) ? (size_t)r->rx->wire.left : 1u << 20;
    return max && room > max ? max : room;
}

weft_err weft_http_body_read_all(weft_ctx *ctx, weft_http_response *r, size_t max, char **ret_buf, size_t *ret_len)
{
    size_t cap = body_first_room(r, max), len = 0;
    char *buf = malloc(cap + 1);
    if (!buf)
        return WEFT_ENOMEM;
    ssize_t n = 1;
    while (!(body_at_end(r) && !r->rx->err)) {
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
