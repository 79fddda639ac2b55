/*
 * wsframe.c - frames as bytes: headers, masks, close payloads, UTF-8.
 *
 * Role    What RFC 6455 says about bytes, without a connection or a state but what is passed in: so tests and the fuzzer call it
 *         as it is. Near wsread.c, wswrite.c. Layer 5.
 * Failure A header or a payload that breaks the rules is answered with the negative close code that the peer is to be told.
 * Source  RFC 6455 5, 7.4, 8.1; RFC 3629; IANA's WebSocket close codes (1012 .. 1014).
 */
#include "ws_int.h"

#include <string.h>

static uint64_t big_endian(const uint8_t *p, int n)
{
    uint64_t v = 0;
    for (int i = 0; i < n; i++)
        v = v << 8 | p[i];
    return v;
}

/* The rules of the first two bytes. */
static bool head_first_ok(unsigned b0, unsigned b1, bool masked, bool rsv1)
{
    unsigned op = b0 & 15, len = b1 & 127;
    bool control = op >= 8;
    if (op > WEFT__WS_PONG || (op > WEFT__WS_BINARY && op < WEFT__WS_CLOSE))
        return false;
    if (control && (!(b0 & 0x80) || len > WEFT__WS_CONTROL_MAX))
        return false;
    if (b0 & 0x30 || (b0 & 0x40 && (!rsv1 || control || op == WEFT__WS_CONT)))
        return false;
    return ((b1 & 0x80) != 0) == masked;
}

int weft__ws_head_parse(const uint8_t *p, size_t n, bool masked, bool rsv1, struct weft__ws_head *ret_head)
{
    if (n < 2)
        return 0;
    if (!head_first_ok(p[0], p[1], masked, rsv1))
        return -WEFT_WS_PROTOCOL;
    uint64_t len = p[1] & 127;
    int more = len == 126 ? 2 : len == 127 ? 8 : 0;
    if (n < 2 + (size_t)more)
        return 0;
    if (more) {
        len = big_endian(p + 2, more);
        if (len < (more == 2 ? 126 : 65536) || len >> 63)   /* the shortest form is the only one */
            return -WEFT_WS_PROTOCOL;
    }
    int at = 2 + more, bytes = at + (masked ? 4 : 0);
    if (n < (size_t)bytes)
        return 0;
    *ret_head = (struct weft__ws_head){.len = len, .op = p[0] & 15, .fin = p[0] & 0x80, .rsv1 = p[0] & 0x40};
    if (masked)
        memcpy(&ret_head->mask, p + at, 4);
    return bytes;
}

size_t weft__ws_head_build(uint8_t *p, unsigned first, uint64_t len, const uint32_t *mask)
{
    int more = len < 126 ? 0 : len < 65536 ? 2 : 8;
    p[0] = (uint8_t)first;
    p[1] = (uint8_t)((mask ? 0x80 : 0) | (more == 0 ? len : more == 2 ? 126 : 127));
    for (int i = 0; i < more; i++)
        p[2 + i] = (uint8_t)(len >> 8 * (more - 1 - i));
    if (mask)
        memcpy(p + 2 + more, mask, 4);
    return 2 + (size_t)more + (mask ? 4 : 0);
}

/* The mask behind n bytes: turned by n % 4 bytes. */
static uint32_t mask_turn(uint32_t mask, size_t n)
{
    uint8_t a[4], b[4];
    memcpy(a, &mask, 4);
    for (size_t i = 0; i < 4; i++)
        b[i] = a[(i + n) & 3];
    memcpy(&mask, b, 4);
    return mask;
}

uint32_t weft__ws_mask(uint8_t *to, const uint8_t *from, size_t n, uint32_t mask)
{
    uint64_t wide = (uint64_t)mask << 32 | mask;
    uint8_t bytes[4];
    size_t i = 0;
    for (; i + 8 <= n; i += 8) {
        uint64_t x;
        memcpy(&x, from + i, 8);
        x ^= wide;
        memcpy(to + i, &x, 8);
    }
    memcpy(bytes, &mask, 4);
    for (; i < n; i++)
        to[i] = from[i] ^ bytes[i & 3];
    return mask_turn(mask, n);
}

/* ---- UTF-8 ---- */

/* The first byte of a character of several. */
static bool utf8_lead(struct weft__utf8 *u, uint8_t b)
{
    u->lo = b == 0xe0 ? 0xa0 : b == 0xf0 ? 0x90 : 0x80;   /* shorter forms exist */
    u->hi = b == 0xed ? 0x9f : b == 0xf4 ? 0x8f : 0xbf;   /* surrogates; past U+10FFFF */
    u->need = b >= 0xf0 ? 3 : b >= 0xe0 ? 2 : 1;
    return b >= 0xc2 && b <= 0xf4;
}

bool weft__utf8_check(struct weft__utf8 *u, const uint8_t *p, size_t n)
{
    for (size_t i = 0; i < n;) {
        uint64_t x;
        while (!u->need && i + 8 <= n && (memcpy(&x, p + i, 8), !(x & 0x8080808080808080u)))
            i += 8;
        if (i == n)
            return true;
        uint8_t b = p[i++];
        if (u->need) {
            if (b < u->lo || b > u->hi)
                return false;
            u->need--;
            u->lo = 0x80;
            u->hi = 0xbf;
        } else if (b >= 0x80 && !utf8_lead(u, b)) {
            return false;
        }
    }
    return true;
}

/* ---- closing ---- */

bool weft__ws_code_ok(int code)
{
    return (code >= 1000 && code <= 1003) || (code >= 1007 && code <= 1014) || (code >= 3000 && code <= 4999);
}

int weft__ws_close_parse(const uint8_t *p, size_t n)
{
    struct weft__utf8 u = {0};
    if (n == 0)
        return WEFT_WS_NO_CODE;
    int code = n < 2 ? 0 : p[0] << 8 | p[1];
    if (!weft__ws_code_ok(code))
        return -WEFT_WS_PROTOCOL;
    if (!weft__utf8_check(&u, p + 2, n - 2) || u.need)
        return -WEFT_WS_BAD_TEXT;
    return code;
}
