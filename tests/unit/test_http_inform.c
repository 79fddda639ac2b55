/* Answers 1xx from a handler. Source: RFC 9110 15.2, RFC 8297; Go net/http TestWriteHeader1xx. */
#include "http_h2.h"

static const struct weft_http_field hints[] = {{"Link", "</a.css>; rel=preload"}, {"X-Early", "1"}};

static void refused(weft_http_writer *w)
{
    static char large[8000];
    const struct weft_http_field framing = {"Content-Length", "1"}, broken = {"X", "a\r\nb"}, long_one = {"X", large};
    memset(large, 'x', sizeof large - 1);
    EXPECT_EQ(weft_http_reply_inform(w, 100, NULL, 0), WEFT_EINVAL);
    EXPECT_EQ(weft_http_reply_inform(w, 101, NULL, 0), WEFT_EINVAL);
    EXPECT_EQ(weft_http_reply_inform(w, 200, NULL, 0), WEFT_EINVAL);
    EXPECT_EQ(weft_http_reply_inform(w, 103, &framing, 1), WEFT_EINVAL);
    EXPECT_EQ(weft_http_reply_inform(w, 103, &broken, 1), WEFT_EINVAL);
    EXPECT_EQ(weft_http_reply_inform(w, 103, &long_one, 1), WEFT_ETOOBIG);
}

static void inform(weft_http_request *rq, weft_http_writer *w, void *arg)
{
    char buf[100];
    (void)arg;
    if (strcmp(weft_http_request_path(rq), "/plain") == 0) {
        (void)weft_http_reply_text(w, 200, "text/plain", "plain");
        return;
    }
    refused(w);
    EXPECT_EQ(weft_http_reply_field(w, "X-Own", "2"), 0);
    EXPECT_EQ(weft_http_reply_inform(w, 103, hints, 2), 0);
    while (weft_http_request_read(rq, buf, sizeof buf) > 0)
        continue;
    EXPECT_EQ(weft_http_reply_inform(w, 199, NULL, 0), 0);
    EXPECT_EQ(weft_http_reply_text(w, 201, "text/plain", "made"), 0);
    EXPECT_EQ(weft_http_reply_inform(w, 103, hints, 2), WEFT_EINVAL);   /* too late */
}

static bool begins(const char *text, const char *with)
{
    return strncmp(text, with, strlen(with)) == 0;
}

static const struct weft_http_server_opts site = {.handler = inform};

#define EARLY "HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\nX-Early: 1\r\n\r\n"

TEST(http_inform, stands_before_the_answer_whose_fields_it_leaves_alone)
{
    struct site s;
    site_start(&s, &site);
    const char *out = ask_raw(&s, LAST("/"), 0);
    EXPECT(begins(out, EARLY "HTTP/1.1 199 Status\r\n\r\nHTTP/1.1 201 Created\r\n"));
    EXPECT(strstr(out, "X-Own: 2\r\n") && strstr(out, "\r\n\r\nmade"));
    EXPECT_EQ(count(out, "X-Early"), 1);
    EXPECT_EQ(count(out, "X-Own"), 1);
    site_stop(&s);
}

/* The answers of the requests before it, which are held to leave together, leave first. */
TEST(http_inform, of_a_pipelined_request_stands_behind_the_answers_before_it)
{
    struct site s;
    site_start(&s, &site);
    const char *out = ask_raw(&s, GET("/plain") GET("/plain") GET("/") LAST("/plain"), 0);
    const char *early = strstr(out, EARLY);
    EXPECT_EQ(count(out, "\r\n\r\nplain"), 3);
    REQUIRE(early != NULL);
    EXPECT_EQ(count(early, "\r\n\r\nplain"), 1);
    EXPECT_EQ(count(early, "\r\n\r\nmade"), 1);
    site_stop(&s);
}

TEST(http_inform, goes_not_to_a_client_of_http_1_0)
{
    struct site s;
    site_start(&s, &site);
    const char *out = ask_raw(&s, "GET / HTTP/1.0\r\n\r\n", 0);
    EXPECT(begins(out, "HTTP/1.1 201 "));
    EXPECT(!strstr(out, "103"));
    site_stop(&s);
}

/* The client waits with its body: the handler reads after the first of them. */
TEST(http_inform, and_100_continue_go_together)
{
    static const char head[] = "POST / HTTP/1.1\r\nHost: h\r\nConnection: close\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n";
    struct site s;
    char out[2000] = "";
    bool sent = false;
    site_start(&s, &site);
    weft_conn *c = site_dial(&s);
    EXPECT(weft_conn_write(NULL, c, head, sizeof head - 1) > 0);
    ssize_t r;
    for (size_t n = 0; n < sizeof out - 1 && (r = weft_conn_read(NULL, c, out + n, sizeof out - 1 - n)) > 0;) {
        out[n += (size_t)r] = '\0';
        if (!sent && strstr(out, "100 Continue\r\n\r\n"))
            sent = weft_conn_write(NULL, c, "abc", 3) == 3;
    }
    (void)weft_conn_close(c);
    EXPECT(begins(out, EARLY "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 199 Status\r\n\r\nHTTP/1.1 201 "));
    site_stop(&s);
}

TEST(http_inform, is_passed_over_by_our_client)
{
    struct site s;
    char body[100];
    site_start(&s, &site);
    for (int http2 = 0; http2 < 2; http2++) {
        weft_http_client *c = client_with(&(struct weft_http_client_opts){.http2 = http2 ? WEFT_HTTP2_ALWAYS : 0, .timeout = 60 * WEFT_SEC});
        for (int i = 0; i < 3; i++) {
            EXPECT_EQ(fetch(c, s.url, body, sizeof body), 201);
            EXPECT_STR(body, "made");
        }
        weft_http_client_free(c);
    }
    site_stop(&s);
}

TEST(http_inform, is_a_block_of_fields_before_the_answers_in_http_2)
{
    struct site s;
    struct h2_peer p;
    site_start(&s, &site);
    h2_open(&p, &s);
    struct h2_answer *a = h2_get(&p, "/");
    EXPECT_EQ(a->interim, 2);
    EXPECT_EQ(a->status, 201);
    EXPECT(begins(a->fields, ":status: 103\nlink: </a.css>; rel=preload\nx-early: 1\n:status: 199\n:status: 201\n"));
    EXPECT_EQ(count(a->fields, "x-early"), 1);
    EXPECT_STR(a->body, "made");
    h2_close(&p);
    site_stop(&s);
}
