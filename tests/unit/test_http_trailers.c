/* Trailers: behind an answer's last chunk, and behind a request's. Source: RFC 9110 6.5. */
#include "http_site.h"

static void handle_trailers(weft_http_request *rq, weft_http_writer *w, void *arg)
{
    (void)arg;
    bool fixed = weft_http_request_query(rq) != NULL;
    EXPECT_EQ(weft_http_reply_field(w, "Trailer", "X-Sum"), 0);
    if (fixed)
        weft_http_reply_length(w, 3);
    EXPECT_EQ(weft_http_reply_write(w, "abc", 3), 0);
    EXPECT_EQ(weft_http_reply_trailer(w, "X-Sum", "6"), fixed || weft_http_request_version(rq) == 10 ? WEFT_EUNSUPPORTED : 0);
    EXPECT_EQ(weft_http_reply_trailer(w, "Content-Length", "6"), WEFT_EINVAL);
    EXPECT_EQ(weft_http_reply_trailer(w, "X", "a\r\nb"), WEFT_EINVAL);
}

TEST(http_trailers, trailers_stand_behind_the_last_chunk)
{
    struct site s;
    struct weft_http_server_opts o = {.handler = handle_trailers};
    site_start(&s, &o);
    const char *out = ask_raw(&s, LAST("/"), 0);
    EXPECT(strstr(out, "Transfer-Encoding: chunked\r\n"));
    EXPECT(strstr(out, "\r\n\r\n3\r\nabc\r\n0\r\nX-Sum: 6\r\n\r\n"));
    out = ask_raw(&s, LAST("/?fixed"), 0);
    EXPECT(strstr(out, "Content-Length: 3\r\n") && !strstr(out, "X-Sum: 6"));
    out = ask_raw(&s, "GET / HTTP/1.0\r\n\r\n", 0);
    EXPECT(strstr(out, "abc") && !strstr(out, "X-Sum: 6"));
    site_stop(&s);
}

/* The trailers of the request; before its body has been read there are none. */
static void handle_request_trailers(weft_http_request *rq, weft_http_writer *w, void *arg)
{
    char buf[1000], text[2000] = "";
    struct weft_http_field f;
    ssize_t n;
    size_t len = 0;
    (void)arg;
    EXPECT(!weft_http_request_trailer_at(rq, 0, &f) && !weft_http_request_trailer(rq, "x-sum"));
    if (weft_http_request_query(rq))
        return;
    while ((n = weft_http_request_read(rq, buf, sizeof buf)) > 0)
        continue;
    for (size_t i = 0; weft_http_request_trailer_at(rq, i, &f); i++)
        len += (size_t)snprintf(text + len, sizeof text - len, "%s=%s;", f.name, f.value);
    const char *sum = weft_http_request_trailer(rq, "X-SUM");
    snprintf(text + len, sizeof text - len, " sum %s", sum ? sum : "-");
    (void)weft_http_reply_text(w, n < 0 ? 400 : 200, "text/plain", text);
}

#define CHUNKED(path) "POST " path " HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n"

TEST(http_trailers, trailers_of_a_request_are_there_after_its_body)
{
    static const struct {
        const char *request, *answer;
    } want[] = {
        {CHUNKED("/") "Trailer: X-Sum\r\n\r\n3\r\nabc\r\n0\r\nX-Sum: 6 \r\nEmpty:\r\nX-sum: 7\r\n\r\n" LAST("/"), "\r\n\r\nX-Sum=6;Empty=;X-sum=7; sum 6"},
        {CHUNKED("/") "\r\n0\r\nHost: evil\r\nX-Sum: 6\r\nContent-Type: 5\r\nAUTHORIZATION: x\r\nIf-Match: x\r\nX: y\r\n\r\n" LAST("/"),
         "\r\n\r\nX-Sum=6;X=y; sum 6"},
        {CHUNKED("/") "\r\n0\r\n\r\n" LAST("/"), "\r\n\r\n sum -"},
        {CHUNKED("/?unread") "\r\n3\r\nabc\r\n0\r\nX-Sum: 6\r\n\r\n" LAST("/"), "Content-Length: 0\r\n"},
    };
    struct site s;
    site_start(&s, &(struct weft_http_server_opts){.handler = handle_request_trailers});
    for (size_t i = 0; i < sizeof want / sizeof *want; i++) {
        const char *out = ask_raw(&s, want[i].request, 0);
        if (!strstr(out, want[i].answer) || count(out, "HTTP/1.1 200 OK") != 2 || count(out, " sum -") != (i == 2 ? 2 : 1))
            weft_test_fail(__FILE__, __LINE__, "%s: %s", want[i].request, out);
    }
    site_stop(&s);
}

TEST(http_trailers, trailers_of_a_request_past_their_limit_are_refused)
{
    struct site s;
    static char text[60000];
    site_start(&s, &(struct weft_http_server_opts){.handler = handle_request_trailers});
    size_t n = (size_t)snprintf(text, sizeof text, CHUNKED("/") "\r\n0\r\n");
    while (n < 20000)
        n += (size_t)snprintf(text + n, sizeof text - n, "X-%zu: %050d\r\n", n, 0);
    n += (size_t)snprintf(text + n, sizeof text - n, "\r\n" LAST("/"));
    const char *out = ask_raw(&s, text, n);
    EXPECT(strncmp(out, "HTTP/1.1 400 ", 13) == 0 && strstr(out, "Connection: close") && strstr(out, "\r\n\r\n sum -"));
    EXPECT_EQ(count(out, "HTTP/1.1 "), 1);
    site_stop(&s);
}

/* ---- of our client's requests ---- */

struct give {
    size_t left;
    char sum[24];      /* the trailer's value: known when all has been given */
};

static ssize_t give_piece(weft_ctx *ctx, void *arg, void *ret_buf, size_t n)
{
    struct give *g = arg;
    (void)ctx;
    n = n < g->left ? n : g->left;
    memset(ret_buf, 'g', n);
    g->left -= n;
    if (n == 0)
        snprintf(g->sum, sizeof g->sum, "sum%d", 42);
    return (ssize_t)n;
}

/* A call with these trailers: its status, or an error; the body is what the handler made of them. */
static int give_call(weft_http_client *c, const char *url, struct give *g, const struct weft_http_field *trailers, size_t n, char *ret, size_t cap)
{
    static const struct weft_http_field announced = {"Trailer", "X-Sum"};
    struct weft_http_call call = {.method = "POST", .url = url, .fields = &announced, .fields_len = 1, .body_read = give_piece,
                                  .body_arg = g, .trailers = trailers, .trailers_len = n};
    *ret = '\0';
    return fetch_call(c, &call, ret, cap);
}

TEST(http_trailers, a_client_sends_what_is_known_once_the_body_has_gone)
{
    struct site s;
    char text[500];
    site_start(&s, &(struct weft_http_server_opts){.handler = handle_request_trailers});
    for (int http2 = 0; http2 < 2; http2++) {
        weft_http_client *c = client_with(&(struct weft_http_client_opts){.http2 = http2 ? WEFT_HTTP2_ALWAYS : 0, .timeout = 60 * WEFT_SEC});
        for (size_t size = 0; size <= 100000; size += 50000) {   /* again on the same connection */
            struct give g = {.left = size};
            const struct weft_http_field t[] = {{"x-sum", g.sum}, {"x-none", NULL}, {"x-b", "2"}};
            EXPECT_EQ(give_call(c, s.url, &g, t, 3, text, sizeof text), 200);
            EXPECT_STR(text, "x-sum=sum42;x-b=2; sum sum42");
        }
        weft_http_client_free(c);
    }
    site_stop(&s);
}

static void trailer_fetch(weft_http_client *c, const struct weft_http_call *call, int *ret_status)
{
    char body[100];
    *ret_status = fetch_call(c, call, body, sizeof body);
}

TEST(http_trailers, of_a_client_stand_behind_its_last_chunk)
{
    weft_conn *conn;
    weft_listener *ln;   /* the bytes as they are: who reads them all answers then */
    char addr[WEFT_ADDR_TEXT], url[WEFT_ADDR_TEXT + 16], in[2000] = "";
    REQUIRE(weft_listen(&ln, "tcp", "127.0.0.1:0") == 0);
    REQUIRE(weft_listener_addr(ln, addr, sizeof addr) > 0);
    snprintf(url, sizeof url, "http://%s/", addr);
    weft_http_client *c = client_with(&(struct weft_http_client_opts){.timeout = 60 * WEFT_SEC});
    struct give g = {.left = 3};
    const struct weft_http_field t[] = {{"X-Sum", g.sum}};
    struct weft_http_call call = {.method = "POST", .url = url, .body_read = give_piece, .body_arg = &g, .trailers = t, .trailers_len = 1};
    weft_waitgroup wg = {0};
    int status = 0;
    weft_waitgroup_go(&wg, trailer_fetch, c, &call, &status);
    REQUIRE(weft_accept(NULL, ln, &conn) == 0);
    for (size_t n = 0; !strstr(in, "sum42\r\n\r\n") && n < sizeof in - 1;) {
        ssize_t got = weft_conn_read(NULL, conn, in + n, sizeof in - 1 - n);
        REQUIRE(got > 0);
        in[n += (size_t)got] = '\0';
    }
    EXPECT(strstr(in, "\r\n\r\n3\r\nggg\r\n0\r\nX-Sum: sum42\r\n\r\n"));
    EXPECT(weft_conn_write(NULL, conn, "HTTP/1.1 204 No Content\r\n\r\n", 27) == 27);
    weft_waitgroup_wait(&wg);
    EXPECT_EQ(status, 204);
    (void)weft_conn_close(conn);
    (void)weft_listener_close(ln);
    weft_http_client_free(c);
}

TEST(http_trailers, of_a_client_are_refused_where_they_cannot_be_sent)
{
    static char large[20000];
    struct site s;
    char text[500];
    weft_http_response *r;
    const struct weft_http_field good = {"X", "1"}, host = {"Host", "x"}, name = {"a b", "x"}, broken = {"X", "a\r\nb"}, big = {"X", large};
    memset(large, 'x', sizeof large - 1);
    site_start(&s, &(struct weft_http_server_opts){.handler = handle_request_trailers});
    for (int http2 = 0; http2 < 2; http2++) {
        weft_http_client *c = client_with(&(struct weft_http_client_opts){.http2 = http2 ? WEFT_HTTP2_ALWAYS : 0, .timeout = 60 * WEFT_SEC});
        struct give g = {.left = 3};
        struct weft_http_call call = {.method = "POST", .url = s.url, .body = "abc", .body_len = 3, .trailers = &good, .trailers_len = 1};
        EXPECT_EQ(weft_http_do(NULL, c, &call, &r), WEFT_EINVAL);
        call = (struct weft_http_call){.method = "POST", .url = s.url, .body_read = give_piece, .body_arg = &g, .body_bytes = 3,
                                       .trailers = &good, .trailers_len = 1};
        EXPECT_EQ(weft_http_do(NULL, c, &call, &r), WEFT_EINVAL);
        EXPECT_EQ(give_call(c, s.url, &g, &host, 1, text, sizeof text), WEFT_EINVAL);
        EXPECT_EQ(give_call(c, s.url, &g, &name, 1, text, sizeof text), WEFT_EINVAL);
        EXPECT_EQ(g.left, 3);   /* nothing was asked of it yet */
        EXPECT_EQ(give_call(c, s.url, &g, &broken, 1, text, sizeof text), WEFT_EINVAL);
        EXPECT_EQ(give_call(c, s.url, &g, &big, 1, text, sizeof text), WEFT_ETOOBIG);
        EXPECT_EQ(give_call(c, s.url, &g, &good, 1, text, sizeof text), 200);
        EXPECT_STR(text, http2 ? "x=1; sum -" : "X=1; sum -");
        weft_http_client_free(c);
    }
    site_stop(&s);
}
