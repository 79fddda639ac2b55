/*
 * decodekinds.c - one content coding each: zlib's two formats, Brotli, Zstandard.
 *
 * Role    What decode.c calls a coding, on the library that does it. Layer 5.
 * Limits  A decoder holds the library's state (zlib 40 KiB; Brotli and Zstandard up to their window: 16 MiB and 8 MiB,
 *         RFC 7932 and RFC 9659); up to 512 of zlib's and 16 of the others' wait for reuse. What follows the end of a coding
 *         and is not another member of it is ignored, as browsers and gzip(1) do with a warning.
 * Note    "deflate" means zlib's format, but servers also send the raw one: the first two bytes tell.
 */
#include "decode_int.h"

#include <zlib.h>
#ifdef WEFT_HAVE_BROTLI
#include <brotli/decode.h>
#endif
#ifdef WEFT_HAVE_ZSTD
#include <zstd.h>
#endif

/* ---- gzip and deflate ---- */

struct zlib_decoder {
    struct weft__decoder d;
    z_stream z;
    bool started, padding;
};

static struct weft__hpool zlib_pool = {.keep_max = 512};
static const struct weft__coding coding_gzip, coding_deflate;

static bool zlib_make(struct weft__decoder *d)
{
    return inflateInit2(&((struct zlib_decoder *)d)->z, 15 + 16) == Z_OK;
}

static void zlib_reset(struct weft__decoder *d)
{
    struct zlib_decoder *x = (struct zlib_decoder *)d;
    x->started = x->padding = false;
}

static void zlib_end(struct weft__decoder *d)
{
    (void)inflateEnd(&((struct zlib_decoder *)d)->z);
}

/* The first bytes are there: choose the window format. 15 + 16 gzip, 15 zlib, -15 raw. */
static void zlib_start(struct zlib_decoder *x)
{
    int bits = 15 + 16;
    const unsigned char *in = x->d.in;
    if (x->d.coding == &coding_deflate) {
        bool zlib = (in[0] & 0x0f) == 8 && (x->d.in_len < 2 || ((unsigned)in[0] << 8 | in[1]) % 31 == 0);
        bits = zlib ? 15 : -15;
    }
    (void)inflateReset2(&x->z, bits);
    x->started = true;
}

/* A member has ended: does another one begin? Anything else behind it is padding. */
static bool zlib_next_member(struct zlib_decoder *x)
{
    if (x->padding || x->d.coding != &coding_gzip || x->d.in[0] != 0x1f)
        return false;
    (void)inflateReset2(&x->z, 15 + 16);
    x->d.ended = false;
    return true;
}

static weft_err zlib_step(struct weft__decoder *d, void *out, size_t len, size_t *ret_got)
{
    struct zlib_decoder *x = (struct zlib_decoder *)d;
    if (!x->started)
        zlib_start(x);
    if (d->ended && !zlib_next_member(x)) {
        d->in_len = 0;       /* to the wire's end, so that the connection can be used again */
        x->padding = true;   /* and nothing in it is a member */
        return 0;
    }
    x->z.next_in = (unsigned char *)(uintptr_t)d->in;   /* zlib's pointer is not const; it only reads */
    x->z.avail_in = (unsigned)d->in_len;
    x->z.next_out = out;
    x->z.avail_out = (unsigned)len;
    int z = inflate(&x->z, Z_NO_FLUSH);
    d->in = x->z.next_in;
    d->in_len = x->z.avail_in;
    *ret_got = len - x->z.avail_out;
    d->ended = z == Z_STREAM_END;
    if (z == Z_STREAM_END || z == Z_OK || z == Z_BUF_ERROR)
        return 0;
    d->why = x->z.msg ? x->z.msg : "bad content coding";
    return z == Z_MEM_ERROR ? WEFT_ENOMEM : WEFT_EPROTO;
}

static const struct weft__coding coding_gzip = {"gzip", sizeof(struct zlib_decoder), &zlib_pool, zlib_make,
                                                zlib_reset, zlib_end, zlib_step};
static const struct weft__coding coding_deflate = {"deflate", sizeof(struct zlib_decoder), &zlib_pool, zlib_make,
                                                   zlib_reset, zlib_end, zlib_step};

/* ---- Brotli: its decoder cannot be used again, so a fresh one is made for each body ---- */

#ifdef WEFT_HAVE_BROTLI
struct brotli_decoder {
    struct weft__decoder d;
    BrotliDecoderState *state;   /* NULL until the first byte */
};

static struct weft__hpool brotli_pool = {.keep_max = 16};

static bool brotli_make(struct weft__decoder *d)
{
    (void)d;
    return true;
}

static void brotli_end(struct weft__decoder *d)
{
    struct brotli_decoder *x = (struct brotli_decoder *)d;
    if (x->state)
        BrotliDecoderDestroyInstance(x->state);
    x->state = NULL;
}

static weft_err brotli_step(struct weft__decoder *d, void *out, size_t len, size_t *ret_got)
{
    struct brotli_decoder *x = (struct brotli_decoder *)d;
    if (d->ended) {
        d->in_len = 0;
        return 0;
    }
    if (!x->state && !(x->state = BrotliDecoderCreateInstance(NULL, NULL, NULL))) {
        d->why = "out of memory";
        return WEFT_ENOMEM;
    }
    uint8_t *to = out;
    size_t room = len;
    BrotliDecoderResult r = BrotliDecoderDecompressStream(x->state, &d->in_len, &d->in, &room, &to, NULL);
    *ret_got = len - room;
    d->ended = r == BROTLI_DECODER_RESULT_SUCCESS;
    if (r != BROTLI_DECODER_RESULT_ERROR)
        return 0;
    d->why = BrotliDecoderErrorString(BrotliDecoderGetErrorCode(x->state));
    return WEFT_EPROTO;
}

static const struct weft__coding coding_br = {"br", sizeof(struct brotli_decoder), &brotli_pool, brotli_make,
                                              brotli_end, brotli_end, brotli_step};
#endif

/* ---- Zstandard ---- */

#ifdef WEFT_HAVE_ZSTD
struct zstd_decoder {
    struct weft__decoder d;
    ZSTD_DStream *z;
    bool inside;                 /* a frame has begun and not ended */
    bool padding;
};

static struct weft__hpool zstd_pool = {.keep_max = 16};

static bool zstd_make(struct weft__decoder *d)
{
    struct zstd_decoder *x = (struct zstd_decoder *)d;
    x->z = ZSTD_createDStream();
    return x->z && !ZSTD_isError(ZSTD_DCtx_setParameter(x->z, ZSTD_d_windowLogMax, 23));   /* RFC 9659 */
}

static void zstd_reset(struct weft__decoder *d)
{
    ((struct zstd_decoder *)d)->inside = ((struct zstd_decoder *)d)->padding = false;
    (void)ZSTD_DCtx_reset(((struct zstd_decoder *)d)->z, ZSTD_reset_session_only);
}

static void zstd_end(struct weft__decoder *d)
{
    (void)ZSTD_freeDStream(((struct zstd_decoder *)d)->z);
}

/* May a frame of RFC 8878 begin with this byte? The library also takes formats that came before it. */
static bool zstd_begins(unsigned char c)
{
    return c == 0x28 || (c & 0xf0) == 0x50;
}

static weft_err zstd_step(struct weft__decoder *d, void *out, size_t len, size_t *ret_got)
{
    struct zstd_decoder *x = (struct zstd_decoder *)d;
    if (d->in_len && !x->inside && !zstd_begins(*d->in) && !d->ended) {
        d->why = "no Zstandard frame";
        return WEFT_EPROTO;
    }
    if (x->padding || (d->in_len && !x->inside && !zstd_begins(*d->in))) {
        d->in_len = 0;
        x->padding = true;
        return 0;
    }
    ZSTD_inBuffer in = {d->in, d->in_len, 0};
    ZSTD_outBuffer o = {out, len, 0};
    size_t r = ZSTD_decompressStream(x->z, &o, &in);
    d->in += in.pos;
    d->in_len -= in.pos;
    *ret_got = o.pos;
    d->ended = r == 0;
    x->inside = r != 0;
    if (!ZSTD_isError(r))
        return 0;
    d->why = ZSTD_getErrorName(r);
    return WEFT_EPROTO;
}

static const struct weft__coding coding_zstd = {"zstd", sizeof(struct zstd_decoder), &zstd_pool, zstd_make,
                                                zstd_reset, zstd_end, zstd_step};
#endif

const struct weft__coding *const weft__codings[] = {
    &coding_gzip, &coding_deflate,
#ifdef WEFT_HAVE_BROTLI
    &coding_br,
#endif
#ifdef WEFT_HAVE_ZSTD
    &coding_zstd,
#endif
    NULL,
};
