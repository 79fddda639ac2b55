/*
 * decode.c - content codings as a stream: gzip, deflate, and where they were built in Brotli and Zstandard.
 *
 * Role    Decode what wirebody.c hands out into the caller's memory. Several codings are a chain of decoders, the last one
 *         applied reads the wire, each other one reads its neighbour. Layer 5.
 * Near    decodekinds.c (the libraries), response.c (asks for it, and bounds the output).
 *
 * Invariants
 *   D1  in points into the wire's buffer or into own, and is used up before the next piece is asked for.
 *   D2  the end is the coding's own end: a stream cut off before it is WEFT_EEOF, though the framing was complete.
 *
 * Limits  WEFT__CODINGS_MAX codings; what passes between two of them is bounded as the body is, and 1 MiB more; so is what
 *         comes from the wire.
 * Failure WEFT_EPROTO with the library's words, after the bytes that were decoded before; WEFT_ENOMEM.
 */
#include "decode_int.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define BETWEEN_SLACK ((uint64_t)1 << 20)

/* ---- the chain ---- */

/* The kind of decoder for one word of Content-Encoding. NULL: not one of ours. */
static const struct weft__coding *coding_of(const char *word, size_t n)
{
    for (const struct weft__coding *const *c = weft__codings; *c; c++)
        if (strlen((*c)->name) == n && strncasecmp(word, (*c)->name, n) == 0)
            return *c;
    return n == 6 && strncasecmp(word, "x-gzip", 6) == 0 ? weft__codings[0] : NULL;
}

/* The codings of a field in the order applied: how many, or -1 when one is unknown or there are too many. */
static int codings_cut(const char *value, const struct weft__coding *ret[WEFT__CODINGS_MAX])
{
    int count = 0;
    for (const char *s = value; *s;) {
        s += strspn(s, " \t,");
        size_t n = strcspn(s, " \t,");
        if (n && !(n == 8 && strncasecmp(s, "identity", 8) == 0)) {
            const struct weft__coding *c = coding_of(s, n);
            if (!c || count == WEFT__CODINGS_MAX)
                return -1;
            ret[count++] = c;
        }
        s += n;
    }
    return count;
}

static struct weft__decoder *decoder_new(const struct weft__coding *coding)
{
    struct weft__decoder *d = weft__hpool_get(coding->pool);
    if (!d && (d = calloc(1, coding->size)) && !coding->make(d)) {
        free(d);
        d = NULL;
    }
    if (!d)
        return NULL;
    d->coding = coding;
    d->from = NULL;
    d->own = NULL;
    d->in = NULL;
    d->in_len = 0;
    d->out_bytes = d->limit = 0;
    d->in_left = UINT64_MAX;
    d->begun = d->ended = d->done = d->full = false;
    d->err = 0;
    d->why = "";
    coding->reset(d);
    return d;
}

void weft__decoder_put(struct weft__decoder *d)
{
    while (d) {
        struct weft__decoder *from = d->from;
        weft__hbuf_put(d->own);
        if (!weft__hpool_put(d->coding->pool, d)) {
            d->coding->end(d);
            free(d);
        }
        d = from;
    }
}

weft_err weft__decoder_get(const char *value, uint64_t limit, struct weft__decoder **ret)
{
    const struct weft__coding *kinds[WEFT__CODINGS_MAX];
    struct weft__decoder *chain = NULL;
    int n = codings_cut(value, kinds);
    for (int i = n - 1; i >= 0; i--) {   /* the last one applied is the first to be undone */
        struct weft__decoder *d = decoder_new(kinds[i]);
        if (d) {
            d->from = chain;
            d->limit = limit && i ? limit + BETWEEN_SLACK : 0;
            d->own = chain ? weft__hbuf_get(0) : NULL;
            if (limit && !chain && limit <= UINT64_MAX - BETWEEN_SLACK)
                d->in_left = limit + BETWEEN_SLACK;
        }
        if (!d || (chain && !d->own)) {
            weft__decoder_put(d ? d : chain);
            return WEFT_ENOMEM;
        }
        chain = d;
    }
    *ret = chain;
    return 0;
}

const char *weft__decoder_why(const struct weft__decoder *d)
{
    return d->why;
}

/* ---- reading ---- */

/* 1: there is input. 0: what it comes from has ended. */
static int decoder_feed(weft_ctx *ctx, struct weft__decoder *d, struct weft__wire *w)
{
    if (d->in_len)
        return 1;
    const char *piece;
    ssize_t n;
    if (d->from) {
        n = weft__decoder_read(ctx, d->from, w, d->own->data, d->own->cap);
        piece = d->own->data;
        d->why = n < 0 ? d->from->why : d->why;
    } else {
        n = weft__wire_next(ctx, w, 1u << 30, &piece);
        d->why = n < 0 ? w->why : d->why;
    }
    if (n <= 0)
        return (int)n;
    if ((uint64_t)n > d->in_left) {   /* empty members, padding: they would go on for ever and come to nothing */
        d->why = "more coded bytes than the body may have";
        return d->err = WEFT_ETOOBIG;
    }
    d->in_left -= (uint64_t)n;
    d->in = (const unsigned char *)piece;
    d->in_len = (size_t)n;
    return 1;
}

static ssize_t decoder_at_end(struct weft__decoder *d)
{
    d->done = true;
    if (!d->begun || d->ended)   /* an empty body is an empty body, whatever its coding */
        return 0;
    d->why = "the coded body ended early";
    return d->err = WEFT_EEOF;
}

static ssize_t decoder_count(struct weft__decoder *d, size_t n)
{
    d->out_bytes += n;
    if (!d->limit || d->out_bytes <= d->limit)
        return (ssize_t)n;
    d->why = "a coding inside another one passes the limit";
    return d->err = WEFT_ETOOBIG;
}

ssize_t weft__decoder_read(weft_ctx *ctx, struct weft__decoder *d, struct weft__wire *w, void *ret_buf, size_t len)
{
    size_t got = 0;
    if (len > 1u << 30)
        len = 1u << 30;
    while (!got) {
        if (d->done || d->err)
            return d->err;
        bool more = d->full && !d->in_len && !d->ended;   /* a full buffer: the library may hold some back */
        int r = more ? 1 : decoder_feed(ctx, d, w);
        if (r <= 0)
            return r < 0 ? r : decoder_at_end(d);
        d->begun = true;
        d->err = d->coding->step(d, ret_buf, len, &got);   /* what came out before an error goes first */
        d->full = got == len;
    }
    return decoder_count(d, got);
}
