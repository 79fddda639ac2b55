/*
 * test_http_garden.c - requests that two readers in a row could take for different ones: each is refused with the right status,
 * once, and the connection ends; what follows it is never served. And what looks odd but is right is served.
 *
 * Source  RFC 9110, RFC 9112; the classes of malformed requests that the http-garden project collects, in our own words.
 */
#include <unistd.h>

#include "http_site.h"

/* Reads the body as a careful handler does. */
static void careful(weft_http_request *rq, weft_http_writer *w, void *arg)
{
    char buf[512];
    ssize_t n;
    size_t sum = 0;
    (void)arg;
    while ((n = weft_http_request_read(rq, buf, sizeof buf)) > 0)
        sum += (size_t)n;
    snprintf(buf, sizeof buf, "served %zu %s\n", sum, weft_http_request_path(rq));
    (void)weft_http_reply_text(w, n == WEFT_ETOOBIG ? 413 : n < 0 ? 400 : 200, "text/plain", n < 0 ? "bad body\n" : buf);
}

struct seed {
    const char *bytes;
    size_t len;
    int status;
};
#define SEED(status, text) {text, sizeof(text) - 1, status}

/* Bytes to be read by a person. */
static const char *shown(const struct seed *s)
{
    static char out[2000];
    size_t n = 0;
    for (size_t i = 0; i < s->len && n < sizeof out - 8; i++) {
        unsigned char c = (unsigned char)s->bytes[i];
        n += (size_t)snprintf(out + n, sizeof out - n, c == '\r' ? "\\r" : c == '\n' ? "\\n" : c < 32 || c > 126 ? "\\x%02x" : "%c", c);
    }
    return out;
}

static void expect_refused(const struct seed *seed, size_t count_of)
{
    struct site s;
    struct weft_http_server_opts o = {.handler = careful, .head_bytes_max = 4096, .body_bytes_max = 1000,
                                       .io_timeout = 20 * WEFT_SEC, .idle_timeout = 20 * WEFT_SEC}; /* what is taken for right ends too */
    site_start(&s, &o);
    for (size_t i = 0; i < count_of; i++) {
        char text[8000], want[32];
        static const char next[] = LAST("/smuggled");
        memcpy(text, seed[i].bytes, seed[i].len);
        memcpy(text + seed[i].len, next, sizeof next - 1);
        const char *out = ask_raw(&s, text, seed[i].len + sizeof next - 1);
        snprintf(want, sizeof want, "HTTP/1.1 %d ", seed[i].status);
        if (strncmp(out, want, strlen(want)) != 0 || count(out, "HTTP/1.1 ") != 1 || !strstr(out, "Connection: close\r\n") ||
            strstr(out, "served"))
            weft_test_fail(__FILE__, __LINE__, "expected %d and the end for %s: %s", seed[i].status, shown(&seed[i]), out);
    }
    site_stop(&s);
}

static void expect_served(const struct seed *seed, size_t count_of)
{
    struct site s;
    struct weft_http_server_opts o = {.handler = careful};
    site_start(&s, &o);
    for (size_t i = 0; i < count_of; i++) {
        char text[4000];
        static const char last[] = LAST("/last");
        memcpy(text, seed[i].bytes, seed[i].len);
        memcpy(text + seed[i].len, last, sizeof last - 1);
        const char *out = ask_raw(&s, text, seed[i].len + sizeof last - 1);
        if (count(out, "HTTP/1.1 200") != 2 || !strstr(out, "served 0 /last"))
            weft_test_fail(__FILE__, __LINE__, "expected two answers for %s: %s", shown(&seed[i]), out);
    }
    site_stop(&s);
}

#define REFUSED(...) expect_refused((const struct seed[]){__VA_ARGS__}, sizeof((const struct seed[]){__VA_ARGS__}) / sizeof(struct seed))
#define SERVED(...) expect_served((const struct seed[]){__VA_ARGS__}, sizeof((const struct seed[]){__VA_ARGS__}) / sizeof(struct seed))
#define P "POST / HTTP/1.1\r\nHost: h\r\n"
#define G "GET / HTTP/1.1\r\nHost: h\r\n"
#define CHUNKED P "Transfer-Encoding: chunked\r\n\r\n"

/* ---- two lengths ---- */

TEST(http_garden, a_length_beside_a_coding)
{
    REFUSED(SEED(400, P "Content-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nX"),
            SEED(400, P "Transfer-Encoding: chunked\r\nContent-Length: 6\r\n\r\n0\r\n\r\nX"),
            SEED(400, P "content-length: 6\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\nX"),
            SEED(400, P "Content-Length: 0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
            SEED(400, P "Transfer-Encoding: chunked\r\nX: y\r\nContent-Length: 0\r\n\r\n0\r\n\r\n"));
}

TEST(http_garden, lengths_that_are_no_number)
{
    REFUSED(SEED(400, P "Content-Length: 1\r\nContent-Length: 2\r\n\r\nab"), SEED(400, P "Content-Length: 1, 2\r\n\r\nab"),
            SEED(400, P "Content-Length: 1e1\r\n\r\n0123456789"), SEED(400, P "Content-Length: 1.0\r\n\r\na"),
            SEED(400, P "Content-Length: 0x1\r\n\r\na"),
            SEED(400, P "Content-Length: \"1\"\r\n\r\na"), SEED(400, P "Content-Length: 1\x0b\r\n\r\na"),
            SEED(400, P "Content-Length: \x0c" "1\r\n\r\na"),
            SEED(400, P "Content-Length: 1;a\r\n\r\na"), SEED(400, P "Content-Length: 18446744073709551617\r\n\r\na"),
            SEED(400, P "Content-Length: 1\0\r\n\r\na"), SEED(400, P "Content-Length:\0" "1\r\n\r\na"),
            SEED(400, P "Content-Length: \xc2\xb2\r\n\r\nab"),
            SEED(400, P "Content_Length: 1\r\nContent-Length: x\r\n\r\na"), SEED(400, P "Content-Length: -0\r\n\r\n"),
            SEED(413, P "Content-Length: 1001\r\n\r\na"), SEED(413, P "Content-Length: 18446744073709551615\r\n\r\na"));
}

TEST(http_garden, codings_that_are_not_just_chunked)
{
    REFUSED(SEED(400, P "Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n"), SEED(501, P "Transfer-Encoding: ,chunked\r\n\r\n0\r\n\r\n"),
            SEED(400, P "Transfer-Encoding: chunked,\r\n\r\n0\r\n\r\n"), SEED(501, P "Transfer-Encoding: chunked;q=1\r\n\r\n0\r\n\r\n"),
            SEED(400, P "Transfer-Encoding: chunked\0\r\n\r\n0\r\n\r\n"), SEED(400, P "Transfer-Encoding\0: chunked\r\n\r\n0\r\n\r\n"),
            SEED(501, P "Transfer-Encoding: chunke\r\n\r\n0\r\n\r\n"), SEED(501, P "Transfer-Encoding: identity\r\n\r\n0\r\n\r\n"),
            SEED(400, P "Transfer-Encoding:\r\n\r\n0\r\n\r\n"), SEED(400, P "Transfer-Encoding: chunked, identity, chunked\r\n\r\n0\r\n\r\n"),
            SEED(501, P "Transfer-Encoding: chunked\x80\r\n\r\n0\r\n\r\n"), SEED(400, P "Transfer-\r\n Encoding: chunked\r\n\r\n0\r\n\r\n"),
            SEED(400, "POST / HTTP/1.0\r\nHost: h\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"));
}

/* ---- lines ---- */

TEST(http_garden, line_ends_in_the_wrong_places)
{
    REFUSED(SEED(400, "GET / HTTP/1.1\nHost: h\r\n\r\n"), SEED(400, G "X: y\n\r\n"), SEED(400, G "X: y\n\n"), SEED(400, G "X: y\rZ: 1\r\n\r\n"),
            SEED(400, G "X: y\r\r\n\r\n"), SEED(400, G "X: y\r\n\r\r\n"), SEED(400, "GET / HTTP/1.1\r\r\nHost: h\r\n\r\n"),
            SEED(400, G "\rX: y\r\n\r\n"),
            SEED(400, G "X\r: y\r\n\r\n"), SEED(400, G "X\n: y\r\n\r\n"), SEED(400, G "X: a\0b\r\n\r\n"), SEED(400, G "X\0: y\r\n\r\n"),
            SEED(400, "GET /\0 HTTP/1.1\r\nHost: h\r\n\r\n"), SEED(400, "G\0ET / HTTP/1.1\r\nHost: h\r\n\r\n"),
            SEED(400, "\0GET / HTTP/1.1\r\nHost: h\r\n\r\n"));
}

TEST(http_garden, folded_and_shapeless_fields)
{
    REFUSED(SEED(400, G "X: y\r\n z\r\n\r\n"), SEED(400, G "X: y\r\n\tz\r\n\r\n"), SEED(400, "GET / HTTP/1.1\r\n Host: h\r\n\r\n"),
            SEED(400, "GET / HTTP/1.1\r\n\tX: y\r\nHost: h\r\n\r\n"), SEED(400, G " \r\n\r\n"), SEED(400, G "X\r\n\r\n"), SEED(400, G ": y\r\n\r\n"),
            SEED(400, G "X Y: z\r\n\r\n"), SEED(400, G "X\t: z\r\n\r\n"), SEED(400, G "X(: z\r\n\r\n"), SEED(400, G "X\x7f: z\r\n\r\n"),
            SEED(400, G "\xc3\xa9: z\r\n\r\n"),
            SEED(400, G "X: \x7f\r\n\r\n"), SEED(400, G "X: \x1b\r\n\r\n"), SEED(400, G "\"X\": y\r\n\r\n"), SEED(400, G "X@: y\r\n\r\n"));
}

TEST(http_garden, request_lines_that_are_none)
{
    REFUSED(SEED(400, "GET\t/ HTTP/1.1\r\nHost: h\r\n\r\n"), SEED(400, "GET /\tHTTP/1.1\r\nHost: h\r\n\r\n"),
            SEED(400, " GET / HTTP/1.1\r\nHost: h\r\n\r\n"),
            SEED(400, "GET / a HTTP/1.1\r\nHost: h\r\n\r\n"), SEED(400, "GET / HTTP/1.1 x\r\nHost: h\r\n\r\n"),
            SEED(505, "GET /HTTP/1.1\r\nHost: h\r\n\r\n"),
            SEED(400, "GET / HTTP/ 1.1\r\nHost: h\r\n\r\n"), SEED(400, "GET / HTTP/1,1\r\nHost: h\r\n\r\n"),
            SEED(400, "GET / HTTP/11\r\nHost: h\r\n\r\n"),
            SEED(400, "GET / HTTP/+1.1\r\nHost: h\r\n\r\n"), SEED(505, "GET / HTTP/0.9\r\nHost: h\r\n\r\n"),
            SEED(400, "GET / HTTP/3.0\r\nHost: h\r\n\r\n"),
            SEED(400, "GET HTTP/1.1\r\nHost: h\r\n\r\n"), SEED(400, "GET / HTTPS/1.1\r\nHost: h\r\n\r\n"),
            SEED(400, "GE T / HTTP/1.1\r\nHost: h\r\n\r\n"),
            SEED(400, "G@T / HTTP/1.1\r\nHost: h\r\n\r\n"), SEED(400, "/ HTTP/1.1\r\nHost: h\r\n\r\n"),
            SEED(400, "HTTP/1.1 200 OK\r\nHost: h\r\n\r\n"), SEED(400, "GET /  HTTP/1.1\r\nHost: h\r\n\r\n"),
            SEED(400, "\rGET / HTTP/1.1\r\nHost: h\r\n\r\n"), SEED(400, "\nGET / HTTP/1.1\r\nHost: h\r\n\r\n"),
            SEED(400, "\r\n\r\r\nGET / HTTP/1.1\r\nHost: h\r\n\r\n"), SEED(400, "\xef\xbb\xbfGET / HTTP/1.1\r\nHost: h\r\n\r\n"));
}

TEST(http_garden, targets_that_are_none)
{
    REFUSED(SEED(400, "GET a HTTP/1.1\r\nHost: h\r\n\r\n"), SEED(400, "GET h:80 HTTP/1.1\r\nHost: h\r\n\r\n"),
            SEED(400, "GET ftp://h/ HTTP/1.1\r\nHost: h\r\n\r\n"),
            SEED(400, "GET http:/x HTTP/1.1\r\nHost: h\r\n\r\n"), SEED(400, "GET http:///x HTTP/1.1\r\nHost: h\r\n\r\n"),
            SEED(400, "GET http://u@h/ HTTP/1.1\r\nHost: h\r\n\r\n"),
            SEED(400, "GET http://h:x/ HTTP/1.1\r\nHost: h\r\n\r\n"), SEED(400, "GET http://?q HTTP/1.1\r\nHost: h\r\n\r\n"),
            SEED(400, "GET http://h#f HTTP/1.1\r\nHost: h\r\n\r\n"),
            SEED(400, "GET ?q HTTP/1.1\r\nHost: h\r\n\r\n"),
            SEED(400, "GET /\x01 HTTP/1.1\r\nHost: h\r\n\r\n"), SEED(400, "GET /\x7f HTTP/1.1\r\nHost: h\r\n\r\n"),
            SEED(400, "GET *x HTTP/1.1\r\nHost: h\r\n\r\n"), SEED(400, "GET * HTTP/1.1\r\nHost: h\r\n\r\n"),
            SEED(400, "OPTIONS *?q HTTP/1.1\r\nHost: h\r\n\r\n"),
            SEED(400, "GET #f HTTP/1.1\r\nHost: h\r\n\r\n"), SEED(501, "CONNECT h:443 HTTP/1.1\r\nHost: h\r\n\r\n"));
}

TEST(http_garden, hosts_that_are_none_or_two)
{
    REFUSED(SEED(400, "GET / HTTP/1.1\r\n\r\n"), SEED(400, "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n"),
            SEED(400, "GET / HTTP/1.1\r\nHost: a\r\nhOsT: a\r\n\r\n"),
            SEED(400, "GET / HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n"), SEED(400, "GET http://h/ HTTP/1.1\r\n\r\n"),
            SEED(400, "GET / HTTP/1.1\r\nHost : a\r\n\r\n"),
            SEED(400, "GET / HTTP/1.1\r\nHost: a b\r\n\r\n"), SEED(400, "GET / HTTP/1.1\r\nHost: a, b\r\n\r\n"),
            SEED(400, "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n"),
            SEED(400, "GET / HTTP/1.1\r\nHost: u@a\r\n\r\n"), SEED(400, "GET / HTTP/1.1\r\nHost: a?b\r\n\r\n"),
            SEED(400, "GET / HTTP/1.1\r\nHost: a#b\r\n\r\n"),
            SEED(400, "GET / HTTP/1.1\r\nHost: http://a/\r\n\r\n"), SEED(400, "GET / HTTP/1.1\r\nHost: a\\b\r\n\r\n"),
            SEED(400, "GET / HTTP/1.1\r\nHost: \"a\"\r\n\r\n"),
            SEED(400, "GET / HTTP/1.1\r\nHost: <a>\r\n\r\n"), SEED(400, "GET / HTTP/1.1\r\nHost: a:b\r\n\r\n"),
            SEED(400, "GET / HTTP/1.1\r\nHost: a:80:80\r\n\r\n"),
            SEED(400, "GET / HTTP/1.1\r\nHost: [::1\r\n\r\n"), SEED(400, "GET / HTTP/1.1\r\nHost: []\r\n\r\n"),
            SEED(400, "GET / HTTP/1.1\r\nHost: a%\r\n\r\n"), SEED(400, "GET / HTTP/1.1\r\nHost: a%4\r\n\r\n"),
            SEED(400, "GET / HTTP/1.1\r\nHost: a%4g:80\r\n\r\n"), SEED(400, "GET / HTTP/1.1\r\nHost: [::1]a\r\n\r\n"),
            SEED(400, "GET http://a%/ HTTP/1.1\r\nHost: a\r\n\r\n"));
}

/* A word that is no method of ours is something we do not do, not a fault of syntax. */
TEST(http_garden, methods_that_nobody_knows)
{
    REFUSED(SEED(501, "FROB / HTTP/1.1\r\nHost: h\r\n\r\n"), SEED(501, "get / HTTP/1.1\r\nHost: h\r\n\r\n"),
            SEED(501, "POSTS / HTTP/1.1\r\nHost: h\r\n\r\n"),
            SEED(400, "FROB  / HTTP/1.1\r\nHost: h\r\n\r\n"), SEED(400, "FROB\t/ HTTP/1.1\r\nHost: h\r\n\r\n"),
            SEED(400, "FR(OB / HTTP/1.1\r\nHost: h\r\n\r\n"), SEED(400, "SSH-2.0-OpenSSH_9.2\r\n\r\n"));
}

/* ---- chunks ---- */

TEST(http_garden, chunks_of_another_shape)
{
    REFUSED(SEED(400, CHUNKED "x\r\n\r\n"), SEED(400, CHUNKED "-0\r\n\r\n"), SEED(400, CHUNKED "+0\r\n\r\n"), SEED(400, CHUNKED "0x0\r\n\r\n"),
            SEED(400, CHUNKED " 0\r\n\r\n"), SEED(400, CHUNKED "0 \r\n\r\n"), SEED(400, CHUNKED "\r\n0\r\n\r\n"), SEED(400, CHUNKED "0\n\r\n"),
            SEED(400, CHUNKED "0\r\n\n"),
            SEED(400, CHUNKED "0\r\r\n\r\n"), SEED(400, CHUNKED "0\0\r\n\r\n"), SEED(400, CHUNKED "1\r\na0\r\n\r\n"),
            SEED(400, CHUNKED "1\r\na\n0\r\n\r\n"),
            SEED(400, CHUNKED "1\r\nab\r\n0\r\n\r\n"), SEED(400, CHUNKED "1_0\r\naaaaaaaaaaaaaaaa\r\n0\r\n\r\n"),
            SEED(400, CHUNKED "10000000000000001\r\na\r\n0\r\n\r\n"),
            SEED(400, CHUNKED "1;a\nb\r\na\r\n0\r\n\r\n"), SEED(400, CHUNKED "1;a\rb\r\na\r\n0\r\n\r\n"),
            SEED(400, CHUNKED "1;a\0\r\na\r\n0\r\n\r\n"),
            SEED(400, CHUNKED "0\r\nX : y\r\n\r\n"), SEED(400, CHUNKED "0\r\n X: y\r\n\r\n"), SEED(400, CHUNKED "0\r\nX: y\n\r\n"),
            SEED(400, CHUNKED "0\r\nX\r\n\r\n"), SEED(400, CHUNKED "0\r\nContent-Length: 3\r\n\r\n"),
            SEED(400, CHUNKED "1;a=\"b\r\nc\"\r\na\r\n0\r\n\r\n"), SEED(400, CHUNKED "1;a=\"b\nc\"\r\na\r\n0\r\n\r\n"),
            SEED(400, CHUNKED "1;\r\na\r\n0\r\n\r\n"), SEED(400, CHUNKED "1;a\r\r\na\r\n0\r\n\r\n"),
            SEED(400, CHUNKED "1;a==b\r\na\r\n0\r\n\r\n"), SEED(400, CHUNKED "1\t;a\r\na\r\n0\r\n\r\n"),
            SEED(400, CHUNKED "1\na\r\n0\r\n\r\n"), SEED(400, CHUNKED "1\r\na\r\n0\r\n \r\n"),
            SEED(400, CHUNKED "0\r\nTransfer-Encoding: chunked\r\n\r\n"), SEED(400, CHUNKED "0\r\nGET /x HTTP/1.1\r\n\r\n"));
}

TEST(http_garden, extensions_and_trailers_without_end)
{
    struct site s;
    struct weft_http_server_opts o = {.handler = careful};
    static char text[4000000];
    static const struct {
        const char *first, *again;
    } bomb[] = {{CHUNKED "1;", "aaaaaaaa"}, {CHUNKED, "1;aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\nb\r\n"},
                {CHUNKED "0\r\n", "X: yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy\r\n"}, {CHUNKED "0\r\nX: ", "yyyyyyyyyyyyyyyy"}};
    site_start(&s, &o);
    for (size_t i = 0; i < sizeof bomb / sizeof *bomb; i++) {
        size_t n = (size_t)snprintf(text, sizeof text, "%s", bomb[i].first);
        while (n < sizeof text - 200)
            n += (size_t)snprintf(text + n, sizeof text - n, "%s", bomb[i].again);
        const char *out = ask_raw(&s, text, n);
        if (strncmp(out, "HTTP/1.1 413 ", 13) != 0 && strncmp(out, "HTTP/1.1 400 ", 13) != 0)
            weft_test_fail(__FILE__, __LINE__, "bomb %zu: %s", i, out);
    }
    site_stop(&s);
}

/* ---- size ---- */

TEST(http_garden, heads_without_end)
{
    struct site s;
    struct weft_http_server_opts o = {.handler = careful};
    static char text[200000];
    static const struct {
        const char *first, *again;
    } bomb[] = {{"GET /", "aaaaaaaa"}, {G "X: ", "yyyyyyyy"}, {G "", "xxxxxxxx"}, {G, "a:\r\n"}, {G, "a: b\r\n"},
                {"", "G"}, {"GET / HTTP/1.", "1"}, {"GET ", " "}};
    site_start(&s, &o);
    for (size_t i = 0; i < sizeof bomb / sizeof *bomb; i++) {
        size_t n = (size_t)snprintf(text, sizeof text, "%s", bomb[i].first);
        while (n < sizeof text - 20)
            n += (size_t)snprintf(text + n, sizeof text - n, "%s", bomb[i].again);
        const char *out = ask_raw(&s, text, n);
        if (strncmp(out, "HTTP/1.1 431 ", 13) != 0 && strncmp(out, "HTTP/1.1 400 ", 13) != 0)
            weft_test_fail(__FILE__, __LINE__, "bomb %zu: %s", i, out);
    }
    site_stop(&s);
}

/* ---- odd, and right ---- */

static void say_arg(weft_http_request *rq, weft_http_writer *w, void *arg)
{
    char text[200];
    const char *q = weft_http_request_query(rq);
    snprintf(text, sizeof text, "site %s path %s query %s\n", (const char *)arg, weft_http_request_path(rq), q ? q : "-");
    (void)weft_http_reply_text(w, 200, "text/plain", text);
}

/* RFC 9112 3.2.2: the field Host is passed over where the target names a host. */
TEST(http_garden, the_host_of_an_absolute_target_chooses_the_site)
{
    static const struct {
        const char *request, *answer;
    } want[] = {{"GET http://a.test/x HTTP/1.1\r\nHost: b.test\r\nConnection: close\r\n\r\n", "site a path /x query -"},
                {"GET http://a.test:80?q=1 HTTP/1.1\r\nHost: b.test\r\nConnection: close\r\n\r\n", "site a path / query q=1"},
                {"GET https://A.TEST HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n", "site a path / query -"},
                {"GET /x?a HTTP/1.1\r\nHost: b.test:8080\r\nConnection: close\r\n\r\n", "site b path /x query a"},
                {"GET http://c.test/ HTTP/1.1\r\nHost: b.test\r\nConnection: close\r\n\r\n", "HTTP/1.1 404 "}};
    struct site s;
    weft_http_mux *mux;
    REQUIRE(weft_http_mux_new(&mux) == 0 && weft_http_mux_handle(mux, "a.test/", say_arg, "a") == 0 &&
            weft_http_mux_handle(mux, "b.test/", say_arg, "b") == 0);
    struct weft_http_server_opts o = {.handler = weft_http_mux_handler, .arg = mux};
    site_start(&s, &o);
    for (size_t i = 0; i < sizeof want / sizeof *want; i++) {
        const char *out = ask_raw(&s, want[i].request, 0);
        if (!strstr(out, want[i].answer))
            weft_test_fail(__FILE__, __LINE__, "%s: not \"%s\": %s", want[i].request, want[i].answer, out);
    }
    site_stop(&s);
    weft_http_mux_free(mux);
}

TEST(http_garden, what_is_odd_and_right_is_served)
{
    SERVED(SEED(200, "\r\n\r\n" G "\r\n"), SEED(200, G "X:\r\n\r\n"), SEED(200, G "X:y\r\n\r\n"), SEED(200, G "X:  \t y \t \r\n\r\n"),
            SEED(200, G "!#$%&'*+-.^_`|~0aZ: y\r\n\r\n"),
           SEED(200, G "X: \xc3\xa9\xff\r\n\r\n"), SEED(200, "GET http://h HTTP/1.1\r\nHost: h\r\n\r\n"),
            SEED(200, "GET http://h?q HTTP/1.1\r\nHost: h\r\n\r\n"),
           SEED(200, "OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n"), SEED(200, "GET / HTTP/1.1\r\nHost:\r\n\r\n"),
            SEED(200, "GET / HTTP/1.1\r\nHost: [::1]:80\r\n\r\n"),
           SEED(200, "GET / HTTP/1.1\r\nHost: a_b.c-d~e:80\r\n\r\n"), SEED(200, "GET / HTTP/1.1\r\nHost: %41\r\n\r\n"),
           SEED(200, P "Content-Length: 0003\r\n\r\nabc"), SEED(200, P "Transfer-Encoding: ChunKed\r\n\r\n0\r\n\r\n"),
            SEED(200, CHUNKED "00003\r\nabc\r\n000\r\n\r\n"),
           SEED(200, CHUNKED "3;a;b=c;d=\"e f\"\r\nabc\r\n0\r\nX: y\r\n\r\n"), SEED(200, CHUNKED "A\r\n0123456789\r\n0;last\r\n\r\n"),
            SEED(200, P "Content-Length: 0\r\n\r\n"), SEED(200, P "Expect:\r\nContent-Length: 1\r\n\r\na"));
}

/* Who says both wants the end (RFC 9112 9.3). */
TEST(http_garden, a_connection_ends_where_any_field_says_close)
{
    static const struct {
        const char *head;
        int answers;
    } want[] = {{"GET / HTTP/1.0\r\n", 1}, {"GET / HTTP/1.0\r\nConnection: keep-alive\r\n", 2},
                {"GET / HTTP/1.0\r\nConnection: x, Keep-Alive\r\n", 2}, {"GET / HTTP/1.0\r\nConnection: keep-alive, close\r\n", 1},
                {"GET / HTTP/1.0\r\nConnection: close\r\nConnection: keep-alive\r\n", 1}, {G, 2}, {G "Connection: x,  CLOSE , y\r\n", 1},
                {G "Connection: x\r\nConnection: close\r\n", 1}, {G "Connection: close, keep-alive\r\n", 1}, {G "Connection: closed\r\n", 2},
                {G "Connection: enclose\r\n", 2}};
    struct site s;
    site_start(&s, &(struct weft_http_server_opts){.handler = careful});
    for (size_t i = 0; i < sizeof want / sizeof *want; i++) {
        char text[400];
        snprintf(text, sizeof text, "%s\r\n" LAST("/"), want[i].head);
        const char *out = ask_raw(&s, text, 0);
        if (count(out, "HTTP/1.1 200") != want[i].answers)
            weft_test_fail(__FILE__, __LINE__, "%s: %s", want[i].head, out);
    }
    site_stop(&s);
}
