/*
 * frames.h - HTTP/2 frames from an input: any bytes, or frames of any type whose lengths are right.
 */
#ifndef TESTS_FUZZ_FRAMES_H
#define TESTS_FUZZ_FRAMES_H
#include "fuzz.h"

/*
 * first and then frames, malloc'ed. With raw: in as it is. Else in is a list of frames: type, flags, stream (0 .. 15),
 * length in one byte, that many bytes; a type above 9 is taken modulo 12. Every HEADERS frame without a block gets one.
 */
static inline uint8_t *frames_of(struct fuzz_in in, bool raw, const char *first, size_t first_len, const char *block, size_t block_len,
                                 size_t *ret_len)
{
    size_t cap = first_len + in.n * (10 + block_len) + 64, n = first_len;
    uint8_t *out = malloc(cap);
    CHECK(out);
    memcpy(out, first, first_len);
    if (raw && in.n)
        memcpy(out + n, in.p, in.n);
    n += raw ? in.n : 0;
    while (!raw && in.n) {
        uint8_t type = fuzz_byte(&in) % 12, flags = fuzz_byte(&in), stream = fuzz_byte(&in) & 15;
        size_t len = fuzz_byte(&in);
        const uint8_t *from = in.p;
        len = len < in.n ? len : in.n;
        in.p += len;
        in.n -= len;
        if (type == 1 && len == 0 && !(flags & 0x28)) {
            from = (const uint8_t *)block;
            len = block_len;
        }
        uint8_t head[9] = {(uint8_t)(len >> 16), (uint8_t)(len >> 8), (uint8_t)len, type, flags, 0, 0, 0, stream};
        memcpy(out + n, head, 9);
        if (len)
            memcpy(out + n + 9, from, len);
        n += 9 + len;
    }
    CHECK(n <= cap);
    *ret_len = n;
    return out;
}

#endif
