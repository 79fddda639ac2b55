/*
 * fuzz_h2server.c - whole connections of the HTTP/2 server.
 *
 * Checks that any frames end in answers or in the end of the connection, that what is sent back is whole frames which
 * begin with SETTINGS, and that nothing of it stays behind. First byte: raw bytes or frames with right lengths; then the
 * seed of the pieces.
 */
#include "frames.h"
#include "site.h"

static void check_frames(const uint8_t *p, size_t n)
{
    CHECK(n < 9 || p[3] == 4);
    while (n >= 9) {
        size_t len = (size_t)p[0] << 16 | (size_t)p[1] << 8 | p[2];
        CHECK(len <= 1 << 24);
        if (len + 9 > n)
            return;   /* cut off: the socket was closed with bytes of ours unread */
        p += 9 + len;
        n -= 9 + len;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char first[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0";
    static const char block[] = "\x83\x86\x44\x04/sum\x41\x01h";   /* POST, http, path, authority */
    struct fuzz_in in = {data, size};
    uint8_t how = fuzz_byte(&in);
    uint32_t split = fuzz_byte(&in);
    if (in.n > 20000)
        return 0;
    struct site *site = site_get();
    size_t n, got;
    uint8_t *bytes = frames_of(in, how & 1, first, how & 2 ? 24 : sizeof first - 1, block, sizeof block - 1, &n);
    char *answer = fuzz_exchange("unix", site->addr, bytes, n, split, &got);
    check_frames((const uint8_t *)answer, got);
    free(answer);
    free(bytes);
    return 0;
}
