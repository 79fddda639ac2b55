/* The one-pass reader of plain heads, held against llhttp: what it takes, llhttp takes, and cuts alike. */
#include "../../src/http/http_int.h"
#include "../include/weft_test.h"

static const char *const plain[] = {
    "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
    "GET /a/b?c=d&e=%20 HTTP/1.1\r\nHost: a:80\r\nUser-Agent: curl/8.1 (x; y)\r\nAccept: */*\r\n\r\nGET /next HTTP/1.1\r\n",
    "POST /p HTTP/1.1\r\nhost:a\r\nContent-Length: 12\r\nConnection: close\r\n\r\nhello, world",
    "PUT /p HTTP/1.1\r\nHOST: a\r\nContent-length: 0\r\nconnection: Keep-Alive\r\nX: \r\nY:\r\nZ:  \t v \t w\t\r\n\r\n",
    "OPTIONS /p HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nX-High: \xc3\xa9\r\n\r\n",
    "DELETE /0123456789abcdef HTTP/1.1\r\nHost: a\r\nCookie: a=b; c=d; e=\"f\"\r\nHost: b\r\n\r\n",
};

static const char *const plain_answers[] = {
    "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
    "HTTP/1.1 404 Not Found\r\nDate: Sat, 21 Nov 2026 12:00:00 GMT\r\nServer: a/1 (b)\r\nConnection: close\r\n\r\n",
    "HTTP/1.1 301 \r\nLocation: /x?y=z\r\ncontent-length:0\r\nSet-Cookie: a=\"b\"; path=/\r\nX:\r\n\r\n",
    "HTTP/1.1 599 caf\xc3\xa9 (obs)\r\nConnection: Keep-Alive\r\nContent-Type: text/html \t\r\n\r\n",
};

static struct weft__hbuf *buf_of(const char *s, size_t len)
{
    struct weft__hbuf *b = weft__hbuf_get(0);
    memcpy(b->data, s, len);
    return b;
}

/* Both readers on the same bytes, as a request or a response. 1: both took them, and agree; 0: the scan left it to llhttp; -1: N1 or N2 is broken. */
static int compare_as(const char *s, size_t len, bool response)
{
    static struct weft__head a, b;
    struct weft__hbuf *ba = buf_of(s, len), *bb = buf_of(s, len);
    int ok = response ? weft__head_scan_response(&a, ba, len) : weft__head_scan(&a, ba, 0, len);
    if (!ok) {
        ok = memcmp(ba->data, s, len) == 0 ? 0 : -1;   /* N2 */
    } else {
        uint16_t flags = F_CONNECTION_CLOSE | F_CONNECTION_KEEP_ALIVE | F_CONTENT_LENGTH | F_CHUNKED | F_TRANSFER_ENCODING | F_UPGRADE;
        weft__head_init(&b, response ? HTTP_RESPONSE : HTTP_REQUEST, bb);
        bool same = weft__head_parse(&b, len) == 1 && a.end == b.end && a.fields_len == b.fields_len &&
                    (response ? a.p.status_code == b.p.status_code : a.p.method == b.p.method) &&
                    a.p.http_major == b.p.http_major && a.p.http_minor == b.p.http_minor &&
                    (a.p.flags & flags) == (b.p.flags & flags) && a.target == b.target && a.target_len == b.target_len &&
                    (!(a.p.flags & F_CONTENT_LENGTH) || a.p.content_length == b.p.content_length);
        struct weft_http_field fa, fb;
        for (size_t i = 0; same && weft__head_at(&a, i, &fa); i++)
            same = weft__head_at(&b, i, &fb) && strcmp(fa.name, fb.name) == 0 && strcmp(fa.value, fb.value) == 0;
        ok = same ? 1 : -1;
        weft__head_done(&b);
    }
    weft__hbuf_put(ba);
    weft__hbuf_put(bb);
    return ok;
}

static int compare(const char *s, size_t len)
{
    return compare_as(s, len, false);
}

TEST(http_scan, plain_heads_are_taken_as_llhttp_takes_them)
{
    for (size_t i = 0; i < sizeof plain / sizeof *plain; i++)
        EXPECT_EQ(compare(plain[i], strlen(plain[i])), 1);
}

TEST(http_scan, part_of_a_head_is_left_alone)
{
    for (size_t i = 0; i < sizeof plain / sizeof *plain; i++)
        for (size_t n = 0; n < (size_t)(strstr(plain[i], "\r\n\r\n") + 4 - plain[i]); n++)
            EXPECT_EQ(compare(plain[i], n), 0);
}

TEST(http_scan, unusual_heads_are_left_to_llhttp)
{
    static const char *const left[] = {
        "GET / HTTP/1.0\r\nHost: a\r\n\r\n", "GET http://a/ HTTP/1.1\r\nHost: a\r\n\r\n", "BREW / HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET / HTTP/1.1\nHost: a\n\n", "GET / HTTP/1.1\r\nHost: a\r\n folded\r\n\r\n", "GET / HTTP/1.1\r\nHost : a\r\n\r\n",
        "GET / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nHost: a\r\n\r\n", "GET / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n",
        "GET / HTTP/1.1\r\nContent-Length: +1\r\n\r\n", "GET / HTTP/1.1\r\nConnection: Upgrade, close\r\n\r\n",
        "GET / HTTP/1.1\r\nUpgrade: websocket\r\n\r\n", "GET  / HTTP/1.1\r\n\r\n", "GET / HTTP/1.1\r\nA: b\x01\r\n\r\n",
        "GET / HTTP/1.1\r\nA: b\rc\r\n\r\n", "GET / HTTP/1.1\r\n: b\r\n\r\n", "GET /\x80 HTTP/1.1\r\n\r\n", "\r\nGET / HTTP/1.1\r\n\r\n",
    };
    for (size_t i = 0; i < sizeof left / sizeof *left; i++)
        EXPECT_EQ(compare(left[i], strlen(left[i])), 0);
}

/* The heads of a list with a few bytes changed, dropped or doubled: the scan takes some, never one that llhttp would not. */
static void change_and_compare(const char *const *list, int count, bool response)
{
    static const char bytes[] = "\r\n\t :;,/?#%&=+-_.aZ09\"\\\x00\x01\x1f\x7f\x80\xff";
    uint64_t seed = 0x9e3779b97f4a7c15u;
    int taken = 0, broken = 0;
    for (int round = 0; round < 200000; round++) {
        char s[400];
        const char *from = list[round % count];
        size_t len = strlen(from);
        memcpy(s, from, len);
        for (int k = 0; k <= round % 3; k++) {
            seed = seed * 6364136223846793005u + 1442695040888963407u;
            size_t at = (size_t)(seed >> 40) % len, what = (size_t)(seed >> 20) % 4;
            char c = bytes[(seed >> 33) % (sizeof bytes - 1)];
            if (what == 0) {
                memmove(s + at, s + at + 1, --len - at);
            } else if (what == 1) {
                memmove(s + at + 1, s + at, len++ - at);
                s[at] = c;
            } else {
                s[at] = c;
            }
        }
        int r = compare_as(s, len, response);
        taken += r == 1;
        broken += r < 0;
    }
    EXPECT_EQ(broken, 0);
    EXPECT(taken > 20000);
}

TEST(http_scan, changed_heads_never_pass_where_llhttp_refuses)
{
    change_and_compare(plain, (int)(sizeof plain / sizeof *plain), false);
}

TEST(http_scan, changed_response_heads_never_pass_where_llhttp_refuses)
{
    change_and_compare(plain_answers, (int)(sizeof plain_answers / sizeof *plain_answers), true);
}

TEST(http_scan, plain_response_heads_are_taken_as_llhttp_takes_them)
{
    for (size_t i = 0; i < sizeof plain_answers / sizeof *plain_answers; i++) {
        const char *s = plain_answers[i];
        EXPECT_EQ(compare_as(s, strlen(s), true), 1);
        for (size_t n = 0; n < (size_t)(strstr(s, "\r\n\r\n") + 4 - s); n++)
            EXPECT_EQ(compare_as(s, n, true), 0);
    }
}

TEST(http_scan, unusual_response_heads_are_left_to_llhttp)
{
    static const char *const left[] = {
        "HTTP/1.0 200 OK\r\n\r\n", "HTTP/1.1 100 Continue\r\n\r\n", "HTTP/1.1 101 Switching\r\nUpgrade: x\r\n\r\n",
        "HTTP/1.1 200\r\n\r\n", "HTTP/1.1 200 OK\n\n", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n", "HTTP/1.1 20 OK\r\n\r\n", "HTTP/1.1 999 OK\r\n\r\n",
        "HTTP/1.1 200 OK\r\nA: b\r\n c\r\n\r\n", "HTTP/1.1 200 O\x01K\r\n\r\n", "HTTP/2.0 200 OK\r\n\r\n",
    };
    for (size_t i = 0; i < sizeof left / sizeof *left; i++)
        EXPECT_EQ(compare_as(left[i], strlen(left[i]), true), 0);
}

TEST(http_scan, a_head_may_start_anywhere_in_the_buffer)
{
    static struct weft__head h;
    struct weft__hbuf *b = buf_of(plain[1], strlen(plain[1]));
    size_t n = strlen(plain[0]);
    memmove(b->data + n, b->data, strlen(plain[1]));
    memcpy(b->data, plain[0], n);
    EXPECT(weft__head_scan(&h, b, n, n + strlen(plain[1])));
    EXPECT_STR(b->data + h.target, "/a/b?c=d&e=%20");
    EXPECT_EQ(memcmp(b->data + h.end, "GET /next", 9), 0);
    EXPECT_EQ(h.hosts, 1);
    EXPECT_EQ(memcmp(b->data, plain[0], n), 0);
    weft__hbuf_put(b);
}
