/* gzip and deflate bodies of the HTTP client. Source: RFC 9110 8.4.1, RFC 1950-1952. */
#include <zlib.h>

#include "http_peer.h"

#define GZ "\x1f\x8b\x08\x00\x00\x00\x00\x00\x02\x03\xcb\x48\xcd\xc9\xc9\xd7\x51\x48\xaf\xca\x2c\x50\x28\xcf\x2f\xca" \
    "\x49\x01\x00\xeb\x83\x46\x82\x11\x00\x00\x00"
#define ZL "\x78\x9c\xcb\x48\xcd\xc9\xc9\xd7\x51\xa8\xca\xc9\x4c\x52\x28\xcf\x2f\xca\x49\x01\x00\x38\x7f\x06\x5a"
#define RAW "\xcb\x48\xcd\xc9\xc9\xd7\x51\x28\x4a\x2c\x57\x28\xcf\x2f\xca\x49\x01\x00"
#define HEAD(coding, len) "HTTP/1.1 200 OK\r\nContent-Encoding: " coding "\r\nContent-Length: " len "\r\n\r\n"
#define BIN(text) {text, .len = sizeof(text) - 1}

TEST(http_coding, gzip_deflate_and_raw_deflate_are_decoded)
{
    struct peer p;
    PEER_START(&p, BIN(HEAD("gzip", "37") GZ), BIN(HEAD("x-gzip", "37") GZ), BIN(HEAD("deflate", "25") ZL),
               BIN(HEAD("deflate", "18") RAW), BIN(HEAD("gzip", "74") GZ GZ), BIN(HEAD("gzip", "41") GZ "\0pad"),
               BIN(HEAD("gzip", "0")), BIN(HEAD("compress", "3") "\1\2\3"),
               {HEAD("gzip", "37") GZ, .drip = true, .len = sizeof(HEAD("gzip", "37") GZ) - 1});
    static const char *const want[] = {"hello, gzip world", "hello, gzip world", "hello, zlib world", "hello, raw world",
        "hello, gzip worldhello, gzip world", "hello, gzip world", "", "\1\2\3", "hello, gzip world"};
    weft_http_client *c = client_with(NULL);
    char body[128];
    for (int i = 0; i < p.answers_len; i++) {
        EXPECT_EQ(fetch(c, peer_url(&p, "/"), body, sizeof body), 200);
        EXPECT_STR(body, want[i]);
    }
    EXPECT_EQ(atomic_load(&p.conns), 1);
    weft_http_client_free(c);
    peer_stop(&p);
}

TEST(http_coding, a_response_says_whether_it_is_decoded_and_how_many_bytes_came)
{
    struct peer p;
    static const char plain[] = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi";
    PEER_START(&p, BIN(HEAD("gzip", "37") GZ), BIN(HEAD("compress", "3") "\1\2\3"), {plain});
    static const bool decoded[] = {true, false, true};
    static const size_t wire[] = {sizeof(HEAD("gzip", "37") GZ) - 1, sizeof(HEAD("compress", "3") "\1\2\3") - 1, sizeof plain - 1};
    weft_http_client *c = client_with(NULL);
    weft_http_response *r;
    char *body;
    size_t len;
    for (int i = 0; i < p.answers_len; i++) {
        REQUIRE(weft_http_get(NULL, c, peer_url(&p, "/"), &r) == 0);
        EXPECT_EQ(weft_http_decoded(r), decoded[i]);
        EXPECT_EQ(weft_http_body_read_all(NULL, r, 0, &body, &len), 0);
        EXPECT_EQ(weft_http_decoded(r), decoded[i]);
        EXPECT_EQ(weft_http_wire_bytes(r), wire[i]);
        free(body);
        weft_http_response_free(r);
    }
    weft_http_client_free(c);
    peer_stop(&p);
}

TEST(http_coding, a_coded_body_that_is_cut_off_or_broken_is_an_error)
{
    struct peer p;
    PEER_START(&p, BIN(HEAD("gzip", "20") "\x1f\x8b\x08\x00\x00\x00\x00\x00\x02\x03\xcb\x48\xcd\xc9\xc9\xd7\x51\x48\xaf\xca"),
               BIN(HEAD("gzip", "9") "not gzip!"), BIN(HEAD("gzip",
                   "37") "\x1f\x8b\x08\x00\x00\x00\x00\x00\x02\x03\xcb\x48\xcd\xc9\xc9\xd7\x51\x48\xaf\xca\x2c\x50"
                       "\x28\xcf\x2f\xca\x49\x01\x00\xeb\x83\x46\x83\x11\x00\x00\x00"));
    static const int want[] = {WEFT_EEOF, WEFT_EPROTO, WEFT_EPROTO};
    weft_http_client *c = client_with(NULL);
    char body[128];
    for (int i = 0; i < p.answers_len; i++)
        EXPECT_EQ(fetch(c, peer_url(&p, "/"), body, sizeof body), want[i]);
    weft_http_client_free(c);
    peer_stop(&p);
}

/* As for a body cut off: what was decoded before the fault is handed over, then the error, for good. */
TEST(http_coding, what_comes_before_a_fault_is_handed_over)
{
    struct peer p;
    PEER_START(&p, BIN(HEAD("gzip", "37") "\x1f\x8b\x08\x00\x00\x00\x00\x00\x02\x03\xcb\x48\xcd\xc9\xc9\xd7\x51\x48\xaf\xca"
                       "\x2c\x50\x28\xcf\x2f\xca\x49\x01\x00\xeb\x83\x46\x83\x11\x00\x00\x00"));
    weft_http_client *c = client_with(NULL);
    weft_http_response *r;
    const void *piece;
    REQUIRE(weft_http_get(NULL, c, peer_url(&p, "/"), &r) == 0);
    EXPECT_EQ(weft_http_body_next(NULL, r, &piece), 17);
    EXPECT(memcmp(piece, "hello, gzip world", 17) == 0);
    EXPECT_EQ(weft_http_body_next(NULL, r, &piece), WEFT_EPROTO);
    EXPECT_EQ(weft_http_body_next(NULL, r, &piece), WEFT_EPROTO);
    EXPECT_STR(weft_http_error_text(r), "incorrect data check");
    weft_http_response_free(r);
    weft_http_client_free(c);
    peer_stop(&p);
}

TEST(http_coding, who_asks_for_codings_himself_gets_them_as_they_come)
{
    struct peer p;
    PEER_START(&p, BIN(HEAD("gzip", "37") GZ), BIN(HEAD("gzip", "37") GZ), BIN(HEAD("gzip", "37") GZ));
    struct weft_http_field ae = {"Accept-Encoding", "br, gzip"}, range = {"Range", "bytes=0-36"};
    const char *url = peer_url(&p, "/");
    const struct weft_http_call calls[] = {{.url = url, .fields = &ae, .fields_len = 1}, {.url = url,
        .fields = &range, .fields_len = 1}, {.url = url}};
    weft_http_client *plain = client_with(&(struct weft_http_client_opts){.no_decode = true}), *c = client_with(NULL);
    for (int i = 0; i < 3; i++) {
        weft_http_response *r;
        char *body;
        size_t len;
        REQUIRE(weft_http_do(NULL, i == 2 ? plain : c, &calls[i], &r) == 0);
        EXPECT_EQ(weft_http_body_read_all(NULL, r, 0, &body, &len), 0);
        EXPECT(len == 37 && memcmp(body, GZ, 37) == 0);
        EXPECT(strstr(peer_last(&p), "gzip, deflate") == NULL);
        free(body);
        weft_http_response_free(r);
    }
    weft_http_client_free(c);
    weft_http_client_free(plain);
    peer_stop(&p);
}

/* 64 MiB of zeros in 64 KiB: the limits count what comes out. */
/* Behind the end of a coding, and between its members, a body may be as long as it likes and decode to nothing. */
TEST(http_coding, coded_bytes_that_come_to_nothing_stop_at_the_limit)
{
    enum { PAD = 3 << 20 };
    char *msg = calloc(1, PAD + 256);
    int n = snprintf(msg, 256, "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n", PAD + 41 - 4);
    memcpy(msg + n, GZ, 37);
    struct answer a[] = {{msg, .len = PAD + 37 + (size_t)n}, {msg, .len = PAD + 37 + (size_t)n}};
    struct peer p;
    char body[64];
    peer_start(&p, a, 2);
    weft_http_client *c = client_with(&(struct weft_http_client_opts){.body_bytes_max = 1 << 20});
    EXPECT_EQ(fetch(c, peer_url(&p, "/"), body, sizeof body), WEFT_ETOOBIG);
    weft_http_client_free(c);
    c = client_with(&(struct weft_http_client_opts){.body_bytes_max = 4 << 20});
    EXPECT_EQ(fetch(c, peer_url(&p, "/"), body, sizeof body), 200);
    weft_http_client_free(c);
    peer_stop(&p);
    free(msg);
}

TEST(http_coding, a_decompression_bomb_stops_at_the_limit)
{
    enum { PLAIN = 64 << 20, ROOM = 128 << 10 };
    char *msg = malloc(ROOM), *zeros = calloc(1, 1 << 20);
    char coded_head[128];
    z_stream z = {0};
    REQUIRE(deflateInit2(&z, 9, Z_DEFLATED, 15 + 16, 9, Z_DEFAULT_STRATEGY) == Z_OK);
    z.next_out = (Bytef *)msg + 128;
    z.avail_out = ROOM - 128;
    for (int i = 0; i < PLAIN >> 20; i++) {
        z.next_in = (Bytef *)zeros;
        z.avail_in = 1 << 20;
        REQUIRE(deflate(&z, i == (PLAIN >> 20) - 1 ? Z_FINISH : Z_NO_FLUSH) >= 0);
    }
    size_t coded = ROOM - 128 - z.avail_out;
    (void)deflateEnd(&z);
    int n = snprintf(coded_head, sizeof coded_head, "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n"
        "Content-Length: %zu\r\n\r\n", coded);
    memcpy(msg + 128 - n, coded_head, (size_t)n);
    struct answer a[] = {{msg + 128 - n, .len = coded + (size_t)n}, {msg + 128 - n, .len = coded + (size_t)n},
        {msg + 128 - n, .len = coded + (size_t)n}};
    struct peer p;
    peer_start(&p, a, 3);
    char *body;
    size_t len;
    weft_http_response *r;
    weft_http_client *c = client_with(NULL);
    REQUIRE(weft_http_get(NULL, c, peer_url(&p, "/"), &r) == 0);
    EXPECT_EQ(weft_http_body_read_all(NULL, r, 1 << 20, &body, &len), WEFT_ETOOBIG);
    weft_http_response_free(r);
    REQUIRE(weft_http_get(NULL, c, peer_url(&p, "/"), &r) == 0);
    EXPECT_EQ(weft_http_body_read_all(NULL, r, 0, &body, &len), 0);
    EXPECT_EQ(len, PLAIN);
    free(body);
    weft_http_response_free(r);
    weft_http_client_free(c);
    c = client_with(&(struct weft_http_client_opts){.body_bytes_max = 100000});
    REQUIRE(weft_http_get(NULL, c, peer_url(&p, "/"), &r) == 0);
    const void *piece;
    ssize_t k;
    size_t got = 0;
    while ((k = weft_http_body_next(NULL, r, &piece)) > 0)
        got += (size_t)k;
    EXPECT_EQ(k, WEFT_ETOOBIG);
    EXPECT(got <= 100000);
    weft_http_response_free(r);
    weft_http_client_free(c);
    peer_stop(&p);
    free(msg);
    free(zeros);
}
