/* Request bodies from a reader, 100-continue, trailers, times. Source: RFC 9110 10.1.1, 6.5; RFC 9112 7.1; Go net/http. */
#include "http_site.h"

/* ---- a reader ---- */

struct source {
    size_t left, piece;      /* at most piece at a time */
    weft_err end;            /* in place of the end */
    int asked;
};

static ssize_t source_read(weft_ctx *ctx, void *arg, void *ret_buf, size_t n)
{
    struct source *s = arg;
    (void)ctx;
    s->asked++;
    n = n < s->piece ? n : s->piece;
    n = n < s->left ? n : s->left;
    if (n == 0)
        return s->end;
    memset(ret_buf, 'b', n);
    s->left -= n;
    return (ssize_t)n;
}

/* ---- a server that tells what came ---- */

static void tell(weft_http_request *rq, weft_http_writer *w, void *arg)
{
    char buf[4096], text[256];
    uint64_t n = 0, good = 0;
    ssize_t r;
    (void)arg;
    while ((r = weft_http_request_read(rq, buf, sizeof buf)) > 0) {
        n += (uint64_t)r;
        for (ssize_t i = 0; i < r; i++)
            good += buf[i] == 'b';
    }
    const char *te = weft_http_request_header(rq, "transfer-encoding"), *cl = weft_http_request_header(rq, "content-length");
    snprintf(text, sizeof text, "%s %llu %llu te=%s cl=%s end=%d", weft_http_request_method(rq), (unsigned long long)n,
             (unsigned long long)good, te ? te : "", cl ? cl : "", (int)r);
    weft_http_reply_write(w, text, strlen(text));
}

static int send_body(weft_http_client *c, const char *url, struct source *s, int64_t bytes, bool ask, char *ret, size_t cap)
{
    weft_http_response *r;
    char *body;
    size_t len;
    struct weft_http_call call = {.method = "POST", .url = url, .body_read = source_read, .body_arg = s, .body_bytes = bytes,
                                  .expect_continue = ask};
    int err = weft_http_do(NULL, c, &call, &r);
    *ret = '\0';
    if (err < 0)
        return err;
    int status = weft_http_status(r);
    err = weft_http_body_read_all(NULL, r, 0, &body, &len);
    weft_http_response_free(r);
    if (err < 0)
        return err;
    snprintf(ret, cap, "%s", body);
    free(body);
    return status;
}

TEST(http_client_body, a_reader_is_sent_in_chunks_or_with_its_length)
{
    static const struct {
        size_t bytes, piece;
        bool sized, ask;
    } cases[] = {{0, 1, false, false}, {1, 1, true, false}, {17, 5, false, false}, {300000, 100000, false, false},
                 {300000, 7777, true, false}, {65536, 65536, false, true}, {40000, 40000, true, true}};
    struct site s;
    site_start(&s, &(struct weft_http_server_opts){.handler = tell});
    weft_http_client *c = client_with(&(struct weft_http_client_opts){.timeout = -1});
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char got[256], want[256], len[32] = "";
        struct source src = {.left = cases[i].bytes, .piece = cases[i].piece};
        size_t n = cases[i].bytes;
        if (cases[i].sized)
            snprintf(len, sizeof len, "%zu", n);
        snprintf(want, sizeof want, "POST %zu %zu te=%s cl=%s end=0", n, n, cases[i].sized ? "" : "chunked", len);
        EXPECT_EQ(send_body(c, s.url, &src, cases[i].sized ? (int64_t)n : 0, cases[i].ask, got, sizeof got), 200);
        EXPECT_STR(got, want);
    }
    weft_http_client_free(c);
    site_stop(&s);
}

TEST(http_client_body, a_reader_that_fails_or_ends_early_fails_the_call)
{
    struct site s;
    site_start(&s, &(struct weft_http_server_opts){.handler = tell});
    weft_http_client *c = client_with(NULL);
    char got[256];
    EXPECT_EQ(fetch(c, s.url, got, sizeof got), 200);
    struct source fails = {.left = 10, .piece = 10, .end = -EIO}, shorter = {.left = 10, .piece = 10};
    EXPECT_EQ(send_body(c, s.url, &fails, 0, false, got, sizeof got), -EIO);
    EXPECT_EQ(send_body(c, s.url, &shorter, 11, false, got, sizeof got), WEFT_EEOF);
    struct weft_http_response *r;
    struct weft_http_call both = {.method = "POST", .url = s.url, .body = "x", .body_len = 1, .body_read = source_read};
    EXPECT_EQ(weft_http_do(NULL, c, &both, &r), WEFT_EINVAL);
    struct weft_http_call alone = {.method = "POST", .url = s.url, .expect_continue = true};
    EXPECT_EQ(weft_http_do(NULL, c, &alone, &r), WEFT_EINVAL);
    weft_http_client_free(c);
    site_stop(&s);
}

TEST(http_client_body, a_body_is_kept_back_when_the_server_answers_first)
{
    struct peer p;
    PEER_START(&p, {"HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\n\r\nno"},
               {"HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 401 Who\r\nContent-Length: 0\r\n\r\n"});
    weft_http_client *c = client_with(&(struct weft_http_client_opts){.timeout = -1});
    char got[256];
    struct source src = {.left = 10, .piece = 10};
    EXPECT_EQ(send_body(c, p.url, &src, 10, true, got, sizeof got), 413);
    EXPECT_STR(got, "no");
    EXPECT_EQ(src.asked, 0);
    EXPECT(strstr(peer_last(&p), "Expect: 100-continue\r\n") && strstr(peer_last(&p), "Content-Length: 10\r\n"));
    EXPECT_EQ(send_body(c, p.url, &src, 10, true, got, sizeof got), 401);
    EXPECT_EQ(src.asked, 0);
    EXPECT_EQ(atomic_load(&p.conns), 2);   /* the body that was announced did not come: neither connection is used again */
    weft_http_client_free(c);
    peer_stop(&p);
}

/* One connection: says `first` after the head (NULL: nothing), then reads the rest up to `last_bytes`, then 200. And once more a head, and
 * 200, if more is asked. */
struct slow_server {
    weft_listener *ln;
    const char *first, *last_bytes;
    bool more, all, again;
};

static void slow_serve(struct slow_server *s)
{
    weft_conn *c;
    char buf[1024];
    size_t len = 0;
    bool said = false;
    REQUIRE(weft_accept(NULL, s->ln, &c) == 0);
    while (!s->all) {
        ssize_t n = weft_conn_read(NULL, c, buf + len, sizeof buf - 1 - len);
        if (n <= 0)
            break;
        len += (size_t)n;
        buf[len] = '\0';
        if (strstr(buf, "\r\n\r\n") && s->first && !said) {
            (void)weft_conn_write(NULL, c, s->first, strlen(s->first));
            said = true;
        }
        s->all = strstr(buf, s->last_bytes) != NULL;
    }
    static const char answer[] = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
    (void)weft_conn_write(NULL, c, answer, sizeof answer - 1);
    s->again = s->more && peer_read_head(NULL, c, buf, sizeof buf) > 0;
    if (s->again)
        (void)weft_conn_write(NULL, c, answer, sizeof answer - 1);
    (void)weft_conn_close(c);
}

/* A second of silence, a 100, a 100 that comes with a 102, and one in two pieces with the final answer behind it. */
TEST(http_client_body, a_body_goes_after_100_and_after_a_second_of_silence)
{
    static const char *const firsts[] = {NULL, "HTTP/1.1 100 Continue\r\n\r\n", "HTTP/1.1 102 Wait\r\n\r\nHTTP/1.1 100 Continue\r\nX: y\r\n\r\n",
                                         "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Hints\r\n\r\n"};
    for (size_t i = 0; i < sizeof firsts / sizeof *firsts; i++) {
        struct slow_server s = {.first = firsts[i], .last_bytes = "\r\n3\r\nbbb\r\n0\r\n\r\n"};
        weft_waitgroup wg = {0};
        char url[WEFT_ADDR_TEXT + 8] = "http://", got[64];
        REQUIRE(weft_listen(&s.ln, "tcp", "127.0.0.1:0") == 0);
        weft_listener_addr(s.ln, url + 7, WEFT_ADDR_TEXT);
        weft_waitgroup_go(&wg, slow_serve, &s);
        weft_http_client *c = client_with(&(struct weft_http_client_opts){.timeout = -1});
        struct source src = {.left = 3, .piece = 3};
        EXPECT_EQ(send_body(c, url, &src, 0, true, got, sizeof got), 200);
        EXPECT_STR(got, "ok");
        weft_waitgroup_wait(&wg);
        EXPECT(s.all);
        weft_http_client_free(c);
        (void)weft_listener_close(s.ln);
    }
}

TEST(http_client_body, a_connection_that_brought_a_100_is_used_again)
{
    struct slow_server s = {.first = "HTTP/1.1 100 Continue\r\n\r\n", .last_bytes = "\r\n3\r\nbbb\r\n0\r\n\r\n", .more = true};
    weft_waitgroup wg = {0};
    char url[WEFT_ADDR_TEXT + 8] = "http://", got[64];
    REQUIRE(weft_listen(&s.ln, "tcp", "127.0.0.1:0") == 0);
    weft_listener_addr(s.ln, url + 7, WEFT_ADDR_TEXT);
    weft_waitgroup_go(&wg, slow_serve, &s);
    weft_http_client *c = client_with(&(struct weft_http_client_opts){.timeout = 10 * WEFT_SEC});
    struct source src = {.left = 3, .piece = 3};
    EXPECT_EQ(send_body(c, url, &src, 0, true, got, sizeof got), 200);
    EXPECT_EQ(fetch(c, url, got, sizeof got), 200);
    weft_http_client_free(c);
    weft_waitgroup_wait(&wg);
    EXPECT(s.again);
    (void)weft_listener_close(s.ln);
}

TEST(http_client_body, a_body_from_a_reader_is_not_sent_twice)
{
    struct peer p;
    PEER_START(&p, {"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"}, {"HTTP/1.1 307 There\r\nLocation: /b\r\nContent-Length: 0\r\n\r\n"},
               {"HTTP/1.1 303 There\r\nLocation: /b\r\nContent-Length: 0\r\n\r\n"}, {"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"});
    weft_http_client *c = client_with(NULL);
    char got[64];
    EXPECT_EQ(fetch(c, p.url, got, sizeof got), 200);
    for (int i = 0; i < 2; i++) {
        weft_http_response *r;
        struct source src = {.left = 2, .piece = 2};
        /* The answer comes before the body, which stays unread. */
        struct weft_http_call call = {.method = "PUT", .url = p.url, .body_read = source_read, .body_arg = &src, .body_bytes = 2,
                                      .expect_continue = true};
        REQUIRE(weft_http_do(NULL, c, &call, &r) == 0);
        EXPECT_EQ(weft_http_status(r), i ? 200 : 307);
        EXPECT_EQ(weft_http_redirects(r), i);
        weft_http_response_free(r);
    }
    EXPECT(strncmp(peer_last(&p), "GET /b HTTP/1.1", 15) == 0 && !strstr(peer_last(&p), "Expect") && !strstr(peer_last(&p), "Content-Length"));
    weft_http_client_free(c);
    peer_stop(&p);
}

/* ---- trailers ---- */

#define CHUNKED "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n"

TEST(http_client_body, trailers_are_there_after_the_body)
{
    struct peer p;
    PEER_START(&p, {CHUNKED "Digest: x=y \r\nEmpty:\r\nB: c d\r\n\r\n"}, {CHUNKED "Digest: x=y \r\nEmpty:\r\nB: c d\r\n\r\n", .drip = true},
               {CHUNKED "\r\n"}, {"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx"});
    weft_http_client *c = client_with(NULL);
    for (int i = 0; i < 4; i++) {
        weft_http_response *r;
        struct weft_http_field f;
        char *body;
        size_t len;
        REQUIRE(weft_http_get(NULL, c, p.url, &r) == 0);
        EXPECT(weft_http_header(r, "digest") == NULL);
        EXPECT_EQ(weft_http_body_read_all(NULL, r, 0, &body, &len), 0);
        free(body);
        if (i < 2) {
            EXPECT_STR(weft_http_trailer(r, "digest"), "x=y");
            EXPECT_STR(weft_http_trailer(r, "Empty"), "");
            EXPECT(weft_http_trailer(r, "a") == NULL);
            EXPECT(weft_http_trailer_at(r, 2, &f) && strcmp(f.name, "B") == 0 && strcmp(f.value, "c d") == 0);
            EXPECT(!weft_http_trailer_at(r, 3, &f));
        } else {
            EXPECT(weft_http_trailer(r, "digest") == NULL && !weft_http_trailer_at(r, 0, &f));
        }
        weft_http_response_free(r);
    }
    EXPECT_EQ(atomic_load(&p.conns), 1);
    weft_http_client_free(c);
    peer_stop(&p);
}

TEST(http_client_body, endless_trailers_are_refused)
{
    char *bomb = malloc(100000);
    size_t len = (size_t)snprintf(bomb, 100000, CHUNKED);
    while (len < 60000)
        len += (size_t)snprintf(bomb + len, 100, "Trailer-%zu: %050d\r\n", len, 0);
    len += (size_t)snprintf(bomb + len, 3, "\r\n");
    struct answer a[] = {{bomb, .len = len}};
    struct peer p;
    char got[64];
    peer_start(&p, a, 1);
    weft_http_client *c = client_with(NULL);
    EXPECT_EQ(fetch(c, p.url, got, sizeof got), WEFT_EPROTO);
    weft_http_client_free(c);
    peer_stop(&p);
    free(bomb);
}

/* ---- times ---- */

TEST(http_client_body, times_say_where_the_call_was)
{
    struct peer p;
    PEER_START(&p, {"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx", .stall = 20 * WEFT_MS}, {"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx"});
    weft_http_client *c = client_with(NULL);
    struct weft_http_times t;
    for (int i = 0; i < 2; i++) {
        weft_http_response *r;
        char *body;
        size_t len;
        REQUIRE(weft_http_get(NULL, c, p.url, &r) == 0);
        EXPECT_EQ(weft_http_body_read_all(NULL, r, 0, &body, &len), 0);
        free(body);
        weft_http_times(r, &t);
        EXPECT_EQ(t.reused, i == 1);
        EXPECT(i ? t.connect == 0 : t.connect > 0);
        EXPECT(t.dns == 0 && t.tls == 0);
        EXPECT(t.first_byte >= (i ? 1 : 20 * WEFT_MS) && t.total >= t.first_byte + t.connect);
        weft_http_response_free(r);
    }
    weft_http_client_free(c);
    peer_stop(&p);
}

TEST(http_client_body, what_a_server_says_unasked_is_no_answer)
{
    weft_http_client *c = client_with(NULL);
    loud_ask(c, NULL);
    weft_http_client_free(c);
}
