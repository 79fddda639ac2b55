/* Request bodies whose answer comes before their end: refused, echoed, broken off. Source: RFC 9112 9.5; Go net/http. */
#include "http_site.h"

enum { BIG = 8 << 20 };

/* Byte number i of any body here. */
static char byte_at(size_t i)
{
    return (char)('a' + i % 23);
}

/* ---- a body that is given piece by piece ---- */

struct source {
    size_t at, len;
    weft_err end;            /* in place of the end */
    bool hang;               /* at its end it waits for its context */
    atomic_int waits, ended; /* it came to wait for its context; it saw the end of it */
};

static ssize_t source_read(weft_ctx *ctx, void *arg, void *ret_buf, size_t n)
{
    struct source *s = arg;
    n = n < s->len - s->at ? n : s->len - s->at;
    if (n == 0 && s->hang) {
        atomic_fetch_add(&s->waits, 1);
        (void)weft_recv_ok(weft_ctx_done(ctx), NULL);
        atomic_fetch_add(&s->ended, 1);
        return WEFT_ECANCELED;
    }
    if (n == 0)
        return s->end;
    for (size_t i = 0; i < n; i++)
        ((char *)ret_buf)[i] = byte_at(s->at + i);
    s->at += n;
    return (ssize_t)n;
}

/* ---- servers ---- */

static void echo(weft_http_request *rq, weft_http_writer *w, void *arg)
{
    char buf[8000];
    ssize_t n;
    (void)arg;
    while ((n = weft_http_request_read(rq, buf, sizeof buf)) > 0)
        if (weft_http_reply_write(w, buf, (size_t)n) < 0)
            return;
}

/* One connection: reads `first` bytes, says `answer`, reads on if told so, closes. */
struct rude {
    weft_listener *ln;
    const char *answer;
    size_t first;
    bool read_on;
    char url[WEFT_ADDR_TEXT + 8];
    weft_waitgroup wg;
};

static void rude_serve(struct rude *s)
{
    weft_conn *c;
    static char buf[65536];
    ssize_t n = 1;
    size_t got = 0;
    if (weft_accept(NULL, s->ln, &c) < 0)
        return; /* closed: the call was over before it came */
    while (got < s->first && (n = weft_conn_read(NULL, c, buf, sizeof buf)) > 0)
        got += (size_t)n;
    (void)weft_conn_write(NULL, c, s->answer, strlen(s->answer));
    while (s->read_on && weft_conn_read(NULL, c, buf, sizeof buf) > 0)
        ;
    weft_conn_close(c);
}

static void rude_start(struct rude *s)
{
    REQUIRE(weft_listen(&s->ln, "tcp", "127.0.0.1:0") == 0);
    memcpy(s->url, "http://", 7);
    weft_listener_addr(s->ln, s->url + 7, WEFT_ADDR_TEXT);
    weft_waitgroup_go(&s->wg, rude_serve, s);
}

static void rude_stop(struct rude *s)
{
    weft_listener_close(s->ln);
    weft_waitgroup_wait(&s->wg);
}

/* ---- calls ---- */

/* The status of a call, and how much of its body is the echo of what was sent. */
static int send_and_read(weft_http_client *c, const struct weft_http_call *call, size_t *ret_good, ssize_t *ret_end)
{
    weft_http_response *r;
    const void *piece;
    ssize_t n;
    int err = weft_http_do(NULL, c, call, &r);
    *ret_good = 0;
    *ret_end = 0;
    if (err < 0)
        return err;
    while ((n = weft_http_body_next(NULL, r, &piece)) > 0)
        for (ssize_t i = 0; i < n; i++)
            *ret_good += ((const char *)piece)[i] == byte_at(*ret_good);
    *ret_end = n;
    int status = weft_http_status(r);
    weft_http_response_free(r);
    return status;
}

static char *big_body(void)
{
    char *b = malloc(BIG);
    for (size_t i = 0; b && i < BIG; i++)
        b[i] = byte_at(i);
    return b;
}

static void echoes(const char *url, weft_http_client *c)
{
    size_t good;
    ssize_t end;
    char *body = big_body();
    for (int k = 0; k < 3; k++) {
        struct source src = {.len = BIG};
        struct weft_http_call stream = {.method = "POST", .url = url, .body_read = source_read, .body_arg = &src, .body_bytes = k ? BIG : 0,
                                        .expect_continue = k == 2};
        EXPECT_EQ(send_and_read(c, &stream, &good, &end), 200);
        EXPECT_EQ(good, BIG);
        EXPECT_EQ(end, 0);
    }
    struct weft_http_call call = {.method = "POST", .url = url, .body = body, .body_len = BIG};
    EXPECT_EQ(send_and_read(c, &call, &good, &end), 200);
    EXPECT_EQ(good, BIG);
    free(body);
}

TEST(http_client_upload, an_echo_is_read_while_its_body_is_sent)
{
    struct site s;
    site_start(&s, &(struct weft_http_server_opts){.handler = echo, .body_bytes_max = BIG});
    weft_http_client *c = client_with(NULL);
    echoes(s.url, c);
    weft_http_client_free(c);
    site_stop(&s);
}

#if __has_include(<nghttp2/nghttp2.h>)
TEST(http_client_upload, an_echo_is_read_while_its_body_is_sent_over_http2)
{
    struct site s;
    site_start(&s, &(struct weft_http_server_opts){.handler = echo, .body_bytes_max = BIG});
    weft_http_client *c = client_with(&(struct weft_http_client_opts){.http2 = WEFT_HTTP2_ALWAYS});
    echoes(s.url, c);
    weft_http_client_free(c);
    site_stop(&s);
}
#endif

/* What the caller lent for the call is gone once it returns: the rest was copied. */
TEST(http_client_upload, a_body_in_memory_is_the_callers_again_when_the_head_is_there)
{
    struct site s;
    site_start(&s, &(struct weft_http_server_opts){.handler = echo, .body_bytes_max = BIG});
    weft_http_client *c = client_with(NULL);
    char *body = big_body();
    weft_http_response *r;
    const void *piece;
    size_t good = 0;
    struct weft_http_call call = {.method = "POST", .url = s.url, .body = body, .body_len = BIG};
    REQUIRE(weft_http_do(NULL, c, &call, &r) == 0);
    memset(body, 0, BIG);
    free(body);
    for (ssize_t n; (n = weft_http_body_next(NULL, r, &piece)) > 0;)
        for (ssize_t i = 0; i < n; i++)
            good += ((const char *)piece)[i] == byte_at(good);
    EXPECT_EQ(good, BIG);
    weft_http_response_free(r);
    weft_http_client_free(c);
    site_stop(&s);
}

#define REFUSAL "HTTP/1.1 413 Too Large\r\nConnection: close\r\nContent-Length: 2\r\n\r\nab"

/* It reads some of the body, answers and closes, with much of the body unread: the kernel resets the connection. */
TEST(http_client_upload, a_refusal_is_read_though_the_server_closes)
{
    char *body = big_body();
    weft_http_client *c = client_with(NULL);
    for (int k = 0; k < 6; k++) {
        struct rude s = {.answer = REFUSAL, .first = k % 3 == 0 ? 1 : 200000, .read_on = k == 5};
        struct source src = {.len = BIG};
        struct weft_http_call call = {.method = "POST", .url = s.url};
        size_t good;
        ssize_t end;
        if (k % 2) {
            call.body_read = source_read;
            call.body_arg = &src;
        } else {
            call.body = body;
            call.body_len = BIG;
        }
        rude_start(&s);
        EXPECT_EQ(send_and_read(c, &call, &good, &end), 413);
        EXPECT_EQ(good, 2);
        EXPECT_EQ(end, 0);
        rude_stop(&s);
    }
    weft_http_client_free(c);
    free(body);
}

TEST(http_client_upload, a_reader_that_waits_is_ended_with_the_response)
{
    struct rude s = {.answer = "HTTP/1.1 403 No\r\nContent-Length: 2\r\n\r\nab", .first = 1, .read_on = true};
    struct source src = {.len = 100, .hang = true};
    struct weft_http_call call = {.method = "POST", .url = s.url, .body_read = source_read, .body_arg = &src};
    weft_http_client *c = client_with(NULL);
    size_t good;
    ssize_t end;
    rude_start(&s);
    EXPECT_EQ(send_and_read(c, &call, &good, &end), 403);
    EXPECT_EQ(good, 2);
    EXPECT_EQ(atomic_load(&src.ended), 1);
    rude_stop(&s);   /* its read ended: the connection was closed, not kept */
    weft_http_client_free(c);
}

/* The server says nothing, or has said the head and waits for the rest: the reader's error ends the call, or its body. */
TEST(http_client_upload, a_reader_that_fails_ends_the_wait_for_the_answer)
{
    static const char *const answers[] = {"", "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc"};
    for (int k = 0; k < 2; k++) {
        struct rude s = {.answer = answers[k], .first = 1, .read_on = true};
        struct source src = {.len = 3 << 20, .end = -EIO};
        char text[200] = "";
        struct weft_http_call call = {.method = "POST", .url = s.url, .body_read = source_read, .body_arg = &src, .reterr_text = text,
                                      .reterr_size = sizeof text};
        weft_http_client *c = client_with(NULL);
        size_t good;
        ssize_t end;
        rude_start(&s);
        int err = send_and_read(c, &call, &good, &end);
        EXPECT(err == -EIO || (k && err == 200 && end == -EIO));
        EXPECT(err == 200 || strstr(text, "the request's body"));
        rude_stop(&s);
        weft_http_client_free(c);
    }
}

TEST(http_client_upload, a_silent_server_ends_at_the_timeout)
{
    bool asked = false;
    for (weft_dur timeout = 100 * WEFT_MS; !asked && timeout < 30 * WEFT_SEC; timeout *= 4) { /* a busy machine may not get to the body */
        struct rude s = {.answer = "", .first = (size_t)1 << 40};
        struct source src = {.len = 100, .hang = true};
        struct weft_http_call call = {.method = "PUT", .url = s.url, .body_read = source_read, .body_arg = &src, .timeout = timeout};
        weft_http_client *c = client_with(NULL);
        size_t good;
        ssize_t end;
        rude_start(&s);
        EXPECT_EQ(send_and_read(c, &call, &good, &end), WEFT_EDEADLINE);
        asked = atomic_load(&src.waits) > 0;
        EXPECT_EQ(atomic_load(&src.ended), asked);
        rude_stop(&s);
        weft_http_client_free(c);
    }
    EXPECT(asked);
}

static void count_conns(weft_http_request *rq, weft_http_writer *w, void *arg)
{
    char remote[WEFT_ADDR_TEXT], *known = arg;
    int n = weft_http_request_remote(rq, remote, sizeof remote);
    echo(rq, w, NULL);
    if (*known)
        EXPECT_STR(known, remote);
    EXPECT(n > 0 && memcpy(known, remote, (size_t)n + 1));
}

TEST(http_client_upload, the_connection_is_kept_after_a_body_that_was_sent_in_full)
{
    char known[WEFT_ADDR_TEXT] = "";
    struct site s;
    site_start(&s, &(struct weft_http_server_opts){.handler = count_conns, .arg = known, .body_bytes_max = BIG});
    weft_http_client *c = client_with(NULL);
    char *body = big_body();
    size_t good;
    ssize_t end;
    for (int k = 0; k < 4; k++) {   /* PUT may be repeated, so it takes a kept connection */
        struct weft_http_call call = {.method = "PUT", .url = s.url, .body = body, .body_len = BIG};
        EXPECT_EQ(send_and_read(c, &call, &good, &end), 200);
        EXPECT_EQ(good, BIG);
    }
    weft_http_client_free(c);
    free(body);
    site_stop(&s);
}
