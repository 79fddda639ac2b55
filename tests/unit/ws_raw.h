/*
 * ws_raw.h - a WebSocket peer of bytes: says frames that are good or bad, and writes down what comes back.
 *
 * A transcript has a word for each frame: its first byte in hex, a colon, then the payload; "#n" for n bytes when they are more than
 * 40; the code and the reason of a close. The last word is "eof", or "cut" for a reset.
 */
#ifndef TESTS_WS_RAW_H
#define TESTS_WS_RAW_H
#include "http_site.h"

#define WS_KEY "dGhlIHNhbXBsZSBub25jZQ=="                /* the one of RFC 6455 1.3 */
#define WS_ACCEPT "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
#define WS_ASK "GET /echo HTTP/1.1\r\nHost: h\r\nConnection: keep-alive, Upgrade\r\nUpgrade: WebSocket\r\n" \
               "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: " WS_KEY "\r\n"

/* One frame to be sent. */
struct say {
    unsigned first;          /* FIN, reserved bits, opcode */
    const char *data;
    long len;                /* 0: strlen */
    bool bare;               /* without a mask */
};

static inline size_t raw_frame(uint8_t *to, const struct say *f)
{
    static const uint8_t mask[4] = {0x37, 0xfa, 0x21, 0x3d};
    size_t n = f->len ? (size_t)f->len : f->data ? strlen(f->data) : 0, at = 2;
    unsigned bit = f->bare ? 0 : 0x80;
    to[0] = (uint8_t)f->first;
    if (n < 126) {
        to[1] = (uint8_t)(bit | n);
    } else if (n < 65536) {
        to[1] = (uint8_t)(bit | 126);
        to[2] = (uint8_t)(n >> 8);
        to[3] = (uint8_t)n;
        at = 4;
    } else {
        to[1] = (uint8_t)(bit | 127);
        for (int i = 0; i < 8; i++)
            to[2 + i] = (uint8_t)(n >> (56 - 8 * i));
        at = 10;
    }
    if (bit) {
        memcpy(to + at, mask, 4);
        at += 4;
    }
    for (size_t i = 0; i < n; i++)
        to[at + i] = (uint8_t)((uint8_t)f->data[i] ^ (bit ? mask[i & 3] : 0));
    return at + n;
}

/* The handshake on c with more fields; the answer's head in ret. */
static inline void raw_ask(weft_conn *c, const char *fields, char *ret, size_t cap)
{
    char ask[2048];
    size_t len = 0;
    snprintf(ask, sizeof ask, "%s%s\r\n", WS_ASK, fields);
    REQUIRE(weft_conn_write(NULL, c, ask, strlen(ask)) > 0);
    ret[0] = '\0';
    while (len < cap - 1 && !strstr(ret, "\r\n\r\n")) {
        ssize_t n = weft_conn_read(NULL, c, ret + len, 1);
        if (n <= 0)
            return;
        ret[++len] = '\0';
    }
}

static inline weft_conn *raw_open(struct site *s)
{
    char head[1024];
    weft_conn *c = site_dial(s);
    raw_ask(c, "", head, sizeof head);
    REQUIRE(strncmp(head, "HTTP/1.1 101 ", 13) == 0);
    return c;
}

/* piece: bytes a write; 0: all at once. */
static inline void raw_say(weft_conn *c, const struct say *f, int n, size_t piece)
{
    for (int i = 0; i < n; i++) {
        size_t cap = 16 + (f[i].len ? (size_t)f[i].len : f[i].data ? strlen(f[i].data) : 0);
        uint8_t *b = malloc(cap);
        size_t len = raw_frame(b, &f[i]);
        for (size_t at = 0; at < len; at += piece)
            if (weft_conn_write(NULL, c, b + at, !piece || len - at < piece ? len - at : piece) < 0 || !piece)
                break;
        free(b);
    }
}

/* The next frame, at most cap - 1 bytes of its payload: its length, -1 at the end, -2 after a reset. */
static inline long raw_hear(weft_conn *c, unsigned *ret_first, bool *ret_masked, char *ret, size_t cap)
{
    uint8_t h[14], mask[4] = {0};
    ssize_t r = weft_conn_read_full(NULL, c, h, 2);
    if (r <= 0)
        return r == 0 ? -1 : -2;
    size_t n = h[1] & 127, more = n == 126 ? 2 : n == 127 ? 8 : 0;
    if (more) {
        REQUIRE(weft_conn_read_full(NULL, c, h + 2, more) > 0);
        n = 0;
        for (size_t i = 0; i < more; i++)
            n = n << 8 | h[2 + i];
    }
    *ret_first = h[0];
    *ret_masked = h[1] & 0x80;
    if (*ret_masked)
        REQUIRE(weft_conn_read_full(NULL, c, mask, 4) > 0);
    for (size_t i = 0; i < n; i++) {
        char b;
        REQUIRE(weft_conn_read_full(NULL, c, &b, 1) > 0);
        if (i < cap - 1)
            ret[i] = (char)(b ^ mask[i & 3]);
    }
    ret[n < cap ? n : cap - 1] = '\0';
    return (long)n;
}

/* All that comes, as words; in one static buffer. */
static inline const char *raw_transcript(weft_conn *c)
{
    static char out[8192];
    size_t len = 0;
    out[0] = '\0';
    for (;;) {
        unsigned first;
        bool masked;
        char text[64];
        long n = raw_hear(c, &first, &masked, text, sizeof text);
        size_t room = sizeof out - len;
        if (n < 0) {
            snprintf(out + len, room, n == -1 ? "eof" : "cut");
            return out;
        }
        if ((first & 15) == 8 && n >= 2)
            len += (size_t)snprintf(out + len, room, "%x:%d%s ", first, (uint8_t)text[0] << 8 | (uint8_t)text[1], text + 2);
        else if (n > 40)
            len += (size_t)snprintf(out + len, room, "%x:#%ld ", first, n);
        else
            len += (size_t)snprintf(out + len, room, "%x:%s ", first, text);
        REQUIRE(len < sizeof out);
    }
}

/* A connection: say these frames, and what came back. */
static inline const char *raw_talk(struct site *s, const struct say *f, int n, size_t piece)
{
    weft_conn *c = raw_open(s);
    raw_say(c, f, n, piece);
    const char *out = raw_transcript(c);
    (void)weft_conn_close(c);
    return out;
}

#define TALK(s, piece, ...)                                                                                                  \
    raw_talk(s, (const struct say[]){__VA_ARGS__}, (int)(sizeof(const struct say[]){__VA_ARGS__} / sizeof(struct say)), piece)

#endif
