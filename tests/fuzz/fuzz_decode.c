/*
 * fuzz_decode.c - content codings: gzip, deflate, Brotli, Zstandard, and one inside another.
 *
 * Checks that a coded body gives the same bytes and the same kind of end however it is cut up and read, that the limit
 * between two codings holds, and that a read never gives more than there is room for. Bytes: which codings, seed of the
 * pieces, room; then the coded body.
 */
#include "../../src/http/http_int.h"
#include "fuzz.h"

#define LIMIT ((uint64_t)1 << 19)
#define OUT_MAX ((size_t)2 << 20)

static const char *const codings[] = {"gzip", "deflate", "br", "zstd", "gzip, gzip", "br, gzip", "deflate, br", "zstd, zstd, gzip",
                                      "gzip, br, zstd", "x-gzip", "identity, gzip"};

struct outcome {
    ssize_t end;
    uint8_t *p;
    size_t len;
};

static void run(const char *coding, const uint8_t *s, size_t len, uint32_t split, size_t room, struct outcome *o)
{
    static struct weft__head h;
    struct memconn m = {.in = s, .len = len, .split = split};
    struct weft__hbuf *b = weft__hbuf_get(0);
    struct weft__decoder *d = NULL;
    struct weft__wire w = {.conn = memconn_use(&m), .head = &h, .buf = b, .framing = WEFT__BODY_LENGTH, .left = len, .why = ""};
    w.done = len == 0;
    CHECK(b && weft__decoder_get(coding, LIMIT, &d) == 0);
    while (d && o->len < OUT_MAX) {
        uint8_t *exact = malloc(room);
        CHECK(exact);
        o->end = weft__decoder_read(NULL, d, &w, exact, room);
        CHECK(o->end <= (ssize_t)room);
        if (o->end > 0) {
            memcpy(o->p + o->len, exact, (size_t)o->end);
            o->len += (size_t)o->end;
        }
        free(exact);
        if (o->end <= 0)
            break;
    }
    CHECK(o->end >= 0 || !d || *weft__decoder_why(d));
    weft__decoder_put(d);
    weft__hbuf_put(b);
    memconn_use(NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint16_t rooms[] = {1, 3, 100, 4096, 32768, 65535};
    struct fuzz_in in = {data, size};
    const char *coding = codings[fuzz_byte(&in) % (sizeof codings / sizeof *codings)];
    uint32_t split = 1u + fuzz_byte(&in);
    size_t room = rooms[fuzz_byte(&in) % 6];
    static uint8_t out[2][OUT_MAX + 65536];
    struct outcome whole = {.p = out[0]}, cut = {.p = out[1]};
    run(coding, in.p, in.n, 0, 65536, &whole);
    if (whole.len > 65536 && room < 4096)
        room = 4096;
    run(coding, in.p, in.n, split, room, &cut);
    size_t n = whole.len < cut.len ? whole.len : cut.len;
    CHECK(memcmp(whole.p, cut.p, n) == 0);
    /* libzstd takes a frame of one block of no bytes when it comes whole, and not in pieces: its end is its own. */
    if (whole.len < OUT_MAX && cut.len < OUT_MAX && !strchr(coding, ',') && strcmp(coding, "zstd") != 0) {
        CHECK((whole.end == 0) == (cut.end == 0));
        CHECK(whole.len == cut.len || whole.end < 0);   /* what a broken coding gave before its error depends on the pieces */
    }
    return 0;
}
