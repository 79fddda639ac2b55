/*
 * decode.c - gzip and deflate bodies, as a stream.
 *
 * Role    Inflate what wirebody.c hands out into the caller's memory. Layer 5.
 * Near    response.c asks for it when Content-Encoding says so and bounds the output; zlib's zlib.h.
 *
 * Invariants
 *   D1  in points into the wire's buffer and is used up before the next piece is asked for.
 *   D2  the end is the coding's own end: a stream cut off before it is WEFT_EEOF, though the framing was complete.
 *
 * Limits  A decoder holds zlib's 40 KiB or so; up to 512 wait for reuse. Several gzip members in a row are one body;
 *         what follows the last and is not a member is ignored, as browsers and gzip(1) do with a warning. One coding:
 *         "gzip, gzip" is handed over as it comes.
 * Failure WEFT_EPROTO with zlib's words, after the bytes that were decoded before; WEFT_ENOMEM.
 * Note    "deflate" means zlib's format, but servers also send the raw one: the first two bytes tell.
 */
#include "http_int.h"

#include <stdlib.h>
#include <string.h>
#include <zlib.h>

struct weft__decoder {
    void *next;             /* pool link */
    z_stream z;
    bool gzip, started, member_end, done;
    weft_err err;           /* to be told once what came out before it has been handed over */
    const char *why;
};

static struct weft__hpool decoder_pool = {.keep_max = 512};

struct weft__decoder *weft__decoder_get(bool gzip)
{
    struct weft__decoder *d = weft__hpool_get(&decoder_pool);
    if (!d) {
        d = calloc(1, sizeof *d);
        if (!d)
            return NULL;
        if (inflateInit2(&d->z, 15 + 16) != Z_OK) {
            free(d);
            return NULL;
        }
    }
    d->z.next_in = NULL;
    d->z.avail_in = 0;
    d->gzip = gzip;
    d->started = d->member_end = d->done = false;
    d->err = 0;
    d->why = "";
    return d;
}

void weft__decoder_put(struct weft__decoder *d)
{
    if (!d || weft__hpool_put(&decoder_pool, d))
        return;
    (void)inflateEnd(&d->z);
    free(d);
}

const char *weft__decoder_why(const struct weft__decoder *d)
{
    return d->why;
}

/* The first bytes are there: choose the window format. 15 + 16 gzip, 15 zlib, -15 raw. */
static void decoder_start(struct weft__decoder *d)
{
    int bits = 15 + 16;
    const unsigned char *in = d->z.next_in;
    if (!d->gzip) {
        bool zlib = (in[0] & 0x0f) == 8 && (d->z.avail_in < 2 || ((unsigned)in[0] << 8 | in[1]) % 31 == 0);
        bits = zlib ? 15 : -15;
    }
    (void)inflateReset2(&d->z, bits);
    d->started = true;
}

/* A member has ended: does another one begin? Anything else behind it is padding. */
static bool decoder_next_member(struct weft__decoder *d)
{
    if (!d->gzip || d->z.next_in[0] != 0x1f)
        return false;
    (void)inflateReset2(&d->z, 15 + 16);
    d->member_end = false;
    return true;
}

/* 1: z has input. 0: the wire has ended. */
static int decoder_feed(weft_ctx *ctx, struct weft__decoder *d, struct weft__wire *w)
{
    if (d->z.avail_in)
        return 1;
    const char *piece;
    ssize_t n = weft__wire_next(ctx, w, 1u << 30, &piece);
    if (n < 0)
        d->why = w->why;
    if (n <= 0)
        return (int)n;
    d->z.next_in = (unsigned char *)(uintptr_t)piece;   /* zlib's pointer is not const; it only reads */
    d->z.avail_in = (unsigned)n;
    return 1;
}

static ssize_t decoder_at_end(struct weft__decoder *d)
{
    d->done = true;
    if (!d->started || d->member_end)   /* an empty body is an empty body, whatever its coding */
        return 0;
    d->why = "the coded body ended early";
    return WEFT_EEOF;
}

ssize_t weft__decoder_read(weft_ctx *ctx, struct weft__decoder *d, struct weft__wire *w, void *ret_buf, size_t len)
{
    d->z.next_out = ret_buf;
    d->z.avail_out = len > 1u << 30 ? 1u << 30 : (unsigned)len;
    unsigned room = d->z.avail_out;
    while (d->z.avail_out == room) {
        if (d->done || d->err)
            return d->err;
        int r = decoder_feed(ctx, d, w);
        if (r <= 0)
            return r < 0 ? r : decoder_at_end(d);
        if (!d->started)
            decoder_start(d);
        if (d->member_end && !decoder_next_member(d)) {
            d->z.avail_in = 0;   /* padding; go on to the wire's end, so that the connection can be used again */
            d->gzip = false;     /* and nothing in it is a member */
            continue;
        }
        int z = inflate(&d->z, Z_NO_FLUSH);
        if (z == Z_STREAM_END) {
            d->member_end = true;
        } else if (z != Z_OK && z != Z_BUF_ERROR) {
            d->why = d->z.msg ? d->z.msg : "bad content coding";
            d->err = z == Z_MEM_ERROR ? WEFT_ENOMEM : WEFT_EPROTO;   /* what came out before it goes first */
        }
    }
    return (ssize_t)(room - d->z.avail_out);
}
