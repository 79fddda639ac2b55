/*
 * fuzz_server.c - whole connections of the HTTP/1.1 server: many requests, bodies, a mux, files.
 *
 * Checks that the same bytes get the same answers whether they come at once or in pieces of any size: two readings of one
 * connection would be what smuggling needs. First byte: seed of the pieces.
 */
#include "site.h"

/* What depends on time or on pieces: Date, and a 100 that is sent only where the body is not there yet. */
static void forget(char *s, size_t *len)
{
    static const char go_on[] = "HTTP/1.1 100 Continue\r\n\r\n", date[] = "\r\nDate: ";
    for (char *at; (at = memmem(s, *len, go_on, sizeof go_on - 1)); *len -= sizeof go_on - 1)
        memmove(at, at + sizeof go_on - 1, *len - (size_t)(at - s) - (sizeof go_on - 1));
    for (char *at = s; (at = memmem(at, *len - (size_t)(at - s), date, sizeof date - 1)); at += sizeof date - 1)
        for (char *p = at + sizeof date - 1; p < s + *len && *p != '\r'; p++)
            *p = 'x';
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_in in = {data, size};
    uint32_t split = 1u + fuzz_byte(&in);
    size_t a_len, b_len;
    if (in.n >= 3 && memcmp(in.p, "PRI", 3) == 0)
        return 0;   /* fuzz_h2server.c */
    struct site *site = site_get();
    char *a = fuzz_exchange("unix", site->addr, in.p, in.n, 0, &a_len);
    char *b = fuzz_exchange("unix", site->addr, in.p, in.n, split, &b_len);
    forget(a, &a_len);
    forget(b, &b_len);
    CHECK(a_len == b_len && memcmp(a, b, a_len) == 0);
    free(a);
    free(b);
    return 0;
}
