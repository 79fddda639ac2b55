/*
 * wirebody.c - the body of a message as it comes from the connection: by length, by chunks, until the end.
 *
 * Role    Take the framing away; hand the bytes out in place, or read them straight to where they are wanted.
 * Near    head.c (whose parser decodes chunks), response.c and request.c (who read), decode.c (content coding). Layer 5.
 *
 * Invariants W1, W2 in http_int.h, and
 *   W3  chunks are decoded in place: the plain bytes of a refill stand at its start, and pos .. end is what is left raw.
 *
 * Limits  Framing may cost 16 times the plain bytes and 1 MiB on top: a peer cannot feed chunk extensions for ever.
 * Failure WEFT_EEOF (ended early), WEFT_EPROTO (bad chunk), those of the connection. w->why has words.
 */
#include "h2.h"

#include <string.h>
#include <strings.h>

/* Is there one Transfer-Encoding field and does it say "chunked"? */
static bool head_just_chunked(const struct weft__head *h)
{
    struct weft_http_field f;
    int n = 0;
    bool chunked = false;
    for (size_t i = 0; weft__head_at(h, i, &f); i++) {
        if (strcasecmp(f.name, "transfer-encoding") != 0)
            continue;
        n++;
        chunked = strcasecmp(f.value, "chunked") == 0;
    }
    return n == 1 && chunked;
}

weft_err weft__wire_framing(struct weft__head *h, bool is_request, bool no_body, enum weft__framing *ret_framing,
                            uint64_t *ret_len)
{
    *ret_framing = WEFT__BODY_NONE;
    *ret_len = 0;
    if (no_body)
        return 0;
    if (!is_request && !h->scanned && !(h->p.flags & F_TRANSFER_ENCODING) && weft__head_find(h, "transfer-encoding"))
        return WEFT_EPROTO;   /* an empty one, which llhttp passes over */
    if (h->p.flags & F_TRANSFER_ENCODING) {
        /* "gzip, chunked" and two fields are legal, and a hiding place for smuggled requests: nobody sends them. */
        if (!(h->p.flags & F_CHUNKED) || !head_just_chunked(h) || (is_request && h->p.http_minor == 0))
            return WEFT_EPROTO;   /* HTTP/1.0 has no chunks: RFC 9112 6.1 */
        *ret_framing = WEFT__BODY_CHUNKED;
        h->in_body = true;
        llhttp_resume(&h->p);
    } else if (h->p.flags & F_CONTENT_LENGTH) {
        *ret_len = h->p.content_length;
        *ret_framing = *ret_len ? WEFT__BODY_LENGTH : WEFT__BODY_NONE;
    } else if (!is_request) {
        *ret_framing = WEFT__BODY_CLOSE;
    }
    return 0;
}

/* Read something behind base. Only when all that was read is used up. Bytes, 0 at the end, or an error. */
static ssize_t wire_refill(weft_ctx *ctx, struct weft__wire *w)
{
    if (w->buf->cap - w->base < 4096) {
        struct weft__hbuf *b = weft__hbuf_get(0);
        if (!b)
            return WEFT_ENOMEM;
        w->buf = b;   /* the old one is the head's: only that has a base */
        w->in_own_buf = true;
        w->base = 0;
    }
    w->pos = w->end = w->base;
    ssize_t n = weft_conn_read(ctx, w->conn, w->buf->data + w->base, w->buf->cap - w->base);
    if (n > 0) {
        w->end += (uint32_t)n;
        w->wire_bytes += (uint64_t)n;
    }
    return n;
}

static ssize_t wire_early_end(struct weft__wire *w)
{
    w->why = "the connection ended inside the body";
    return WEFT_EEOF;
}

static size_t min_size(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static ssize_t wire_next_simple(weft_ctx *ctx, struct weft__wire *w, size_t max, const char **ret_piece)
{
    if (w->pos == w->end) {
        ssize_t n = wire_refill(ctx, w);
        if (n < 0)
            return n;
        if (n == 0) {
            w->done = w->framing == WEFT__BODY_CLOSE;
            return w->done ? 0 : wire_early_end(w);
        }
    }
    size_t n = min_size(w->end - w->pos, max);
    if (w->framing == WEFT__BODY_LENGTH) {
        n = min_size(n, w->left);
        w->left -= n;
        w->done = w->left == 0;
    }
    *ret_piece = w->buf->data + w->pos;
    w->pos += (uint32_t)n;
    return (ssize_t)n;
}

/* Decode pos .. end in place (W3). */
static weft_err wire_dechunk(struct weft__wire *w)
{
    struct weft__head *h = w->head;
    h->out = w->buf->data + w->pos;
    h->out_len = 0;
    llhttp_errno_t e = llhttp_execute(&h->p, w->buf->data + w->pos, w->end - w->pos);
    if (e == HPE_OK) {
        w->pos = w->end;
    } else if (e == HPE_PAUSED && h->message_done) {
        w->pos = (uint32_t)(llhttp_get_error_pos(&h->p) - w->buf->data);
    } else {
        w->why = weft__head_reason(h);
        return WEFT_EPROTO;
    }
    w->plain_bytes += h->out_len;
    if (w->wire_bytes > 16 * w->plain_bytes + ((uint64_t)1 << 20)) {
        w->why = "chunks that are nearly all framing";
        return WEFT_ETOOBIG;
    }
    return 0;
}

static ssize_t wire_next_chunked(weft_ctx *ctx, struct weft__wire *w, size_t max, const char **ret_piece)
{
    struct weft__head *h = w->head;
    while (!h->out_len) {
        if (h->message_done) {
            w->done = true;
            return 0;
        }
        if (w->pos == w->end) {
            ssize_t n = wire_refill(ctx, w);
            if (n <= 0)
                return n < 0 ? n : wire_early_end(w);
        }
        weft_err err = wire_dechunk(w);
        if (err < 0)
            return err;
    }
    size_t n = min_size(h->out_len, max);
    *ret_piece = h->out;
    h->out += n;
    h->out_len -= n;
    w->done = !h->out_len && h->message_done;
    return (ssize_t)n;
}

ssize_t weft__wire_next(weft_ctx *ctx, struct weft__wire *w, size_t max, const char **ret_piece)
{
    if (w->done)
        return 0;
    if (w->h2)
        return weft__h2_wire_next(ctx, w, max, ret_piece);
    return w->framing == WEFT__BODY_CHUNKED ? wire_next_chunked(ctx, w, max, ret_piece)
                                            : wire_next_simple(ctx, w, max, ret_piece);
}

ssize_t weft__wire_read(weft_ctx *ctx, struct weft__wire *w, void *ret_buf, size_t len)
{
    if (w->h2)
        return w->done ? 0 : weft__h2_wire_read(ctx, w, ret_buf, len);
    bool straight = w->framing != WEFT__BODY_CHUNKED && !w->done && w->pos == w->end && len >= 4096;
    if (!straight) {
        const char *piece;
        ssize_t n = weft__wire_next(ctx, w, len, &piece);
        if (n > 0)
            memcpy(ret_buf, piece, (size_t)n);
        return n;
    }
    if (w->framing == WEFT__BODY_LENGTH)
        len = min_size(len, w->left);
    ssize_t n = weft_conn_read(ctx, w->conn, ret_buf, len);
    if (n > 0) {
        w->wire_bytes += (uint64_t)n;
        w->left -= w->framing == WEFT__BODY_LENGTH ? (uint64_t)n : 0;
        w->done = w->framing == WEFT__BODY_LENGTH && w->left == 0;
    } else if (n == 0) {
        w->done = w->framing == WEFT__BODY_CLOSE;
        return w->done ? 0 : wire_early_end(w);
    }
    return n;
}

bool weft__wire_skip_buffered(struct weft__wire *w)
{
    const char *piece;
    if (w->h2)
        return w->done;
    while (!w->done) {
        bool more = w->pos < w->end || (w->framing == WEFT__BODY_CHUNKED && (w->head->out_len || w->head->message_done));
        if (!more || weft__wire_next(NULL, w, SIZE_MAX, &piece) < 0)
            return false;
    }
    return true;
}
