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
