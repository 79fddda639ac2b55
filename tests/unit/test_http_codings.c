/* Brotli, Zstandard, and codings inside codings, of the HTTP client. Source: RFC 7932, RFC 8878, RFC 9110 8.4. */
#include <zlib.h>

#include "../../src/http/http_int.h"
#include "http_peer.h"

#define BR "\x0b\x09\x80\x68\x65\x6c\x6c\x6f\x2c\x20\x62\x72\x6f\x74\x6c\x69\x20\x77\x6f\x72\x6c\x64\x03"
#define ZS \
    "\x28\xb5\x2f\xfd\x20\x11\x89\x00\x00\x68\x65\x6c\x6c\x6f\x2c\x20\x7a\x73\x74\x64\x20\x77\x6f\x72\x6c\x64"
#define BR_1M "\x5b\xff\xff\x8f\x7f\x02\x20\x1e\x0b\x04\x72\xef\x1f\x00"   /* a MiB of zeros */
#define ZS_1M \
    "\x28\xb5\x2f\xfd\xa0\x00\x00\x10\x00\x4c\x00\x00\x08\x00\x01\x00\xfc\xff\x39\x10\x02\x02\x00\x10\x00\x02\x00\x10\x00\x02\x00\x10\x00" \
    "\x02\x00\x10\x00\x02\x00\x10\x00\x02\x00\x10\x00\x03\x00\x10\x00"
#define HEAD(coding, len) "HTTP/1.1 200 OK\r\nContent-Encoding: " coding "\r\nContent-Length: " len "\r\n\r\n"
#define BIN(text) {text, .len = sizeof(text) - 1}

static bool has(const char *coding)
{
    return strstr(WEFT__CODINGS, coding) != NULL;
}

/* The answer `coding` with data wrapped in gzip once more, malloc'ed. */
static char *gzip_answer(const char *coding, const void *data, size_t n, size_t *ret_len)
{
    static char coded[1 << 16];
    z_stream z = {.next_in = (Bytef *)data, .avail_in = (unsigned)n, .next_out = (Bytef *)coded, .avail_out = sizeof coded};
    REQUIRE(deflateInit2(&z, 9, Z_DEFLATED, 15 + 16, 9, Z_DEFAULT_STRATEGY) == Z_OK);
    REQUIRE(deflate(&z, Z_FINISH) == Z_STREAM_END);
    size_t len = sizeof coded - z.avail_out;
    (void)deflateEnd(&z);
    char *out = malloc(len + 256);
    int head = snprintf(out, 256, "HTTP/1.1 200 OK\r\nContent-Encoding: %s\r\nContent-Length: %zu\r\n\r\n", coding, len);
    memcpy(out + head, coded, len);
    *ret_len = (size_t)head + len;
    return out;
}

TEST(http_codings, brotli_and_zstandard_are_decoded_where_they_are_built_in)
{
    struct peer p;
    PEER_START(&p, BIN(HEAD("br", "23") BR), BIN(HEAD("zstd", "26") ZS), BIN(HEAD("zstd", "52") ZS ZS), BIN(HEAD("identity", "2") "ab"),
               {HEAD("br", "23") BR, .drip = true, .len = sizeof(HEAD("br", "23") BR) - 1},
               {HEAD("zstd", "26") ZS, .drip = true, .len = sizeof(HEAD("zstd", "26") ZS) - 1});
    static const char *const want[] = {"hello, brotli world", "hello, zstd world", "hello, zstd worldhello, zstd world", "ab",
        "hello, brotli world", "hello, zstd world"};
    weft_http_client *c = client_with(NULL);
    char body[128];
    for (int i = 0; i < p.answers_len; i++) {
        EXPECT_EQ(fetch(c, peer_url(&p, "/"), body, sizeof body), 200);
        EXPECT(strstr(peer_last(&p), "Accept-Encoding: " WEFT__CODINGS "\r\n") != NULL);
        if (i == 3 || has(i % 4 == 0 ? "br" : "zstd"))
            EXPECT_STR(body, want[i]);
    }
    EXPECT_EQ(atomic_load(&p.conns), 1);
    weft_http_client_free(c);
    peer_stop(&p);
}

/* libzstd reads the formats of its versions 0.1 to 0.7 too, where it was built so: no server may speak them. */
TEST(http_codings, formats_from_before_the_standard_are_refused_and_padding_is_not)
{
    struct peer p;
    PEER_START(&p, BIN(HEAD("zstd", "8") "\x26\xb5\x2f\xfd\x00\x00\x00\x00"), BIN(HEAD("zstd", "8") "\x1e\xb5\x2f\xfd\x00\x00\x00\x00"),
               BIN(HEAD("zstd", "34") ZS "\x26\xb5\x2f\xfd\x28\xb5\x00\x00"), BIN(HEAD("zstd", "35") ZS "\x5a\x2a\x4d\x18\x01\x00\x00\x00!"));
    weft_http_client *c = client_with(NULL);
    char body[128];
    for (int i = 0; i < p.answers_len && has("zstd"); i++) {
        EXPECT_EQ(fetch(c, peer_url(&p, "/"), body, sizeof body), i < 2 ? WEFT_EPROTO : 200);
        EXPECT_STR(body, i < 2 ? "" : "hello, zstd world");
    }
    weft_http_client_free(c);
    peer_stop(&p);
}

TEST(http_codings, cut_off_or_broken_brotli_and_zstandard_are_errors)
{
    struct peer p;
    PEER_START(&p, BIN(HEAD("br", "5") "\x0b\x09\x80\x68\x65"), BIN(HEAD("br", "4") "\xff\xff\xff\xff"),
               BIN(HEAD("zstd", "12") "\x28\xb5\x2f\xfd\x20\x11\x89\x00\x00\x68\x65\x6c"), BIN(HEAD("zstd", "8") "not zstd"));
    static const int want[] = {WEFT_EEOF, WEFT_EPROTO, WEFT_EEOF, WEFT_EPROTO};
    weft_http_client *c = client_with(NULL);
    char body[128];
    for (int i = 0; i < p.answers_len; i++)
        if (has(i < 2 ? "br" : "zstd"))
            EXPECT_EQ(fetch(c, peer_url(&p, "/"), body, sizeof body), want[i]);
        else
            EXPECT_EQ(fetch(c, peer_url(&p, "/"), body, sizeof body), 200);
    weft_http_client_free(c);
    peer_stop(&p);
}

TEST(http_codings, several_codings_are_undone_from_the_last)
{
    size_t len;
    char *one = gzip_answer("gzip", "plain", 5, &len), *inner = strstr(one, "\r\n\r\n") + 4;
    size_t inner_len = len - (size_t)(inner - one), two_len, four_len;
    char *two = gzip_answer("gzip, x-gzip", inner, inner_len, &two_len);
    char *four = gzip_answer("gzip, gzip, gzip, gzip", inner, inner_len, &four_len);   /* too many: as it comes */
    struct answer a[] = {{two, .len = two_len}, {four, .len = four_len}};
    struct peer p;
    peer_start(&p, a, 2);
    weft_http_client *c = client_with(NULL);
    char body[128];
    EXPECT_EQ(fetch(c, peer_url(&p, "/"), body, sizeof body), 200);
    EXPECT_STR(body, "plain");
    EXPECT_EQ(fetch(c, peer_url(&p, "/"), body, sizeof body), 200);
    EXPECT_EQ(memcmp(body, "\x1f\x8b", 2), 0);
    EXPECT_EQ(atomic_load(&p.conns), 1);
    weft_http_client_free(c);
    peer_stop(&p);
    free(one);
    free(two);
    free(four);
}

TEST(http_codings, brotli_inside_gzip_is_undone)
{
    size_t len;
    char *both = gzip_answer("br,gzip", BR, sizeof BR - 1, &len);
    struct answer a[] = {{both, .len = len, .drip = true}};
    struct peer p;
    peer_start(&p, a, 1);
    weft_http_client *c = client_with(NULL);
    char body[128];
    EXPECT_EQ(fetch(c, peer_url(&p, "/"), body, sizeof body), 200);
    if (has("br"))
        EXPECT_STR(body, "hello, brotli world");
    weft_http_client_free(c);
    peer_stop(&p);
    free(both);
}

/* A MiB from 14 or 49 bytes: the limit counts what comes out, of each coding. */
TEST(http_codings, bombs_of_any_coding_stop_at_the_limit)
{
    size_t inner_len, len;
    char *zeros = calloc(1, 8 << 20), *inner = gzip_answer("gzip", zeros, 8 << 20, &inner_len);
    const char *coded = strstr(inner, "\r\n\r\n") + 4;
    char *twice = gzip_answer("gzip, gzip", coded, inner_len - (size_t)(coded - inner), &len);
    struct answer a[] = {BIN(HEAD("br", "14") BR_1M), BIN(HEAD("zstd", "49") ZS_1M), {twice, .len = len}, BIN(HEAD("br", "14") BR_1M),
                         BIN(HEAD("zstd", "49") ZS_1M), {twice, .len = len}};
    struct peer p;
    peer_start(&p, a, 6);
    weft_http_client *small = client_with(&(struct weft_http_client_opts){.body_bytes_max = 100000}), *c = client_with(NULL);
    for (int i = 0; i < 6; i++) {
        weft_http_response *r;
        char *body = NULL;
        size_t n = 0;
        bool built = i % 3 == 2 || has(i % 3 ? "zstd" : "br");
        REQUIRE(weft_http_get(NULL, i < 3 ? small : c, peer_url(&p, "/"), &r) == 0);
        EXPECT_EQ(weft_http_body_read_all(NULL, r, 0, &body, &n), i < 3 && built ? WEFT_ETOOBIG : 0);
        if (i >= 3 && built)
            EXPECT_EQ(n, i == 5 ? 8u << 20 : 1u << 20);
        free(body);
        weft_http_response_free(r);
    }
    weft_http_client_free(small);
    weft_http_client_free(c);
    peer_stop(&p);
    free(zeros);
    free(inner);
    free(twice);
}
