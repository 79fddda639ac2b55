/* Requests that two readers could read differently, and clients that mean no good. Source: RFC 9112; http-garden's classes. */
#include <unistd.h>

#include "http_site.h"

static void ok(weft_http_request *rq, weft_http_writer *w, void *arg)
{
    char buf[512];
    (void)arg;
    while (weft_http_request_read(rq, buf, sizeof buf) > 0)
        ;
    (void)weft_http_reply_text(w, 200, "text/plain", "served\n");
}

struct bad {
    const char *bytes;
    int status;
};

/* Each is followed by a request that a second reader might see as one of its own: it must not be served. */
static void expect_refused(const struct bad *bad, size_t n)
{
    struct site s;
    struct weft_http_server_opts o = {.handler = ok};
    site_start(&s, &o);
    for (size_t i = 0; i < n; i++) {
        char text[4000], want[32];
        int len = snprintf(text, sizeof text, "%s%s", bad[i].bytes, GET("/smuggled"));
        const char *out = ask_raw(&s, text, (size_t)len);
        snprintf(want, sizeof want, "HTTP/1.1 %d ", bad[i].status);
        if (strncmp(out, want, strlen(want)) != 0 || count(out, "HTTP/1.1 ") != 1 || strstr(out, "served"))
            weft_test_fail(__FILE__, __LINE__, "expected %d alone for %s: %s", bad[i].status, bad[i].bytes, out);
    }
    site_stop(&s);
}

#define REFUSED(...) expect_refused((const struct bad[]){__VA_ARGS__}, sizeof((const struct bad[]){__VA_ARGS__}) / sizeof(struct bad))
#define P "POST / HTTP/1.1\r\nHost: h\r\n"

TEST(http_refuse, lengths_and_codings_that_disagree)
{
    REFUSED({P "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400},
            {P "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n", 400},
            {P "Content-Length: 5\r\nContent-Length: 6\r\n\r\nabcde", 400}, {P "Content-Length: 5\r\nContent-Length: 5\r\n\r\nabcde", 400},
            {P "Content-Length: 5, 5\r\n\r\nabcde", 400}, {P "Content-Length: +5\r\n\r\nabcde", 400}, {P "Content-Length: -5\r\n\r\nabcde", 400},
            {P "Content-Length: 0x5\r\n\r\nabcde", 400}, {P "Content-Length: 5 5\r\n\r\nabcde", 400},
            {P "Content-Length: 99999999999999999999999\r\n\r\nabcde", 400}, {P "Content-Length: 5_0\r\n\r\nabcde", 400},
            {P "Content-Length : 5\r\n\r\nabcde", 400}, {P " Content-Length: 5\r\n\r\nabcde", 400}, {P "Content-Length:\r\n\r\n", 400});
}

TEST(http_refuse, codings_that_hide_chunks)
{
    REFUSED({P "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", 501}, {P "Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n", 400},
            {P "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 501},
            {P "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400},
            {P "Transfer-Encoding: identity\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 501},
            {P "Transfer-Encoding: \x0b" "chunked\r\n\r\n0\r\n\r\n", 400},
            {P "Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n", 400}, {P "X: y\r\n Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400},
            {"POST / HTTP/1.0\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400},
            {P "Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n", 400}, {P "Transfer-Encoding: \"chunked\"\r\n\r\n0\r\n\r\n", 501});
}

TEST(http_refuse, lines_that_do_not_end_as_lines_do)
{
    REFUSED({"GET / HTTP/1.1\nHost: h\n\n", 400}, {"GET / HTTP/1.1\r\nHost: h\n\r\n", 400}, {"GET / HTTP/1.1\r\nHost: h\r\n\n", 400},
            {"GET / HTTP/1.1\r\nHost: h\rX: y\r\n\r\n", 400}, {"GET / HTTP/1.1\rHost: h\r\n\r\n", 400},
            {"GET / HTTP/1.1\r\nA: b\r\n\tc\r\nHost: h\r\n\r\n", 400},
            {"GET / HTTP/1.1\r\nNo colon\r\nHost: h\r\n\r\n", 400}, {"GET / HTTP/1.1\r\n: empty\r\nHost: h\r\n\r\n", 400},
            {"GET / HTTP/1.1\r\nA\x01: b\r\nHost: h\r\n\r\n", 400}, {"GET / HTTP/1.1\r\nA: b\x02\r\nHost: h\r\n\r\n", 400});
}

TEST(http_refuse, request_lines_and_hosts)
{
    REFUSED({"GET /\r\nHost: h\r\n\r\n", 505}, {"GET  / HTTP/1.1\r\nHost: h\r\n\r\n", 400}, {"GET / HTTP/1.1 \r\nHost: h\r\n\r\n", 400},
            {"GET / HTTP/2.0\r\nHost: h\r\n\r\n", 505}, {"GET / HTTP/1.10\r\nHost: h\r\n\r\n", 400}, {"GET / http/1.1\r\nHost: h\r\n\r\n", 400},
            {"BREW / HTTP/1.1\r\nHost: h\r\n\r\n", 501}, {"get / HTTP/1.1\r\nHost: h\r\n\r\n", 501}, {"GET / HTTP/1.1\r\n\r\n", 400},
            {"GET / HTTP/1.1\r\nHost: h\r\nHost: h\r\n\r\n", 400}, {"GET / HTTP/1.1\r\nHost: h\r\nhost: i\r\n\r\n", 400},
            {"CONNECT h:1 HTTP/1.1\r\nHost: h\r\n\r\n", 501}, {"\x16\x03\x01\x02", 400}, {"GET x HTTP/1.1\r\nHost: h\r\n\r\n", 400});
}

TEST(http_refuse, what_is_too_large)
{
    struct site s;
    struct weft_http_server_opts o = {.handler = ok, .head_bytes_max = 4096, .body_bytes_max = 1000};
    static char text[40000];
    site_start(&s, &o);
    size_t n = (size_t)snprintf(text, sizeof text, "GET / HTTP/1.1\r\nHost: h\r\n");
    while (n < 20000)
        n += (size_t)snprintf(text + n, sizeof text - n, "A%zu: b\r\n", n);
    EXPECT(strstr(ask_raw(&s, text, n), "HTTP/1.1 431 ") != NULL);
    memset(text, 'a', 10000);
    memcpy(text, "GET /", 5);
    EXPECT(strstr(ask_raw(&s, text, 10000), "HTTP/1.1 431 ") != NULL);
    EXPECT(strstr(ask_raw(&s, P "Content-Length: 1001\r\n\r\n", 0), "HTTP/1.1 413 ") != NULL);
    EXPECT(strstr(ask_raw(&s, P "Expect: tea\r\nContent-Length: 1\r\n\r\n", 0), "HTTP/1.1 417 ") != NULL);
    site_stop(&s);
}

/* A chunk that is none ends the connection: what follows is no request. */
TEST(http_refuse, chunks_that_are_none)
{
    static const char *const bad[] = {"g\r\nabc\r\n0\r\n\r\n", "-1\r\na\r\n0\r\n\r\n", "3\nabc\r\n0\r\n\r\n", "3\r\nabcd\r\n0\r\n\r\n",
                                      "0x3\r\nabc\r\n0\r\n\r\n",
                                      "3 \r\nabc\r\n0\r\n\r\n", "ffffffffffffffffff\r\nabc", "3\r\nabc0\r\n\r\n", "\r\n3\r\nabc\r\n0\r\n\r\n"};
    struct site s;
    struct weft_http_server_opts o = {.handler = ok};
    site_start(&s, &o);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        char text[400];
        snprintf(text, sizeof text, P "Transfer-Encoding: chunked\r\n\r\n%s%s", bad[i], GET("/smuggled"));
        const char *out = ask_raw(&s, text, 0);
        if (count(out, "HTTP/1.1 ") > 1)
            weft_test_fail(__FILE__, __LINE__, "%s: %s", bad[i], out);
    }
    site_stop(&s);
}

/* Slowloris: clients that send half a head and stall hold no one else up, and are sent away when their time is over. */
TEST(http_refuse, stalled_clients_cost_the_others_nothing)
{
    enum { STALLED = 1000 };
    static const char half[] = "GET / HTTP/1.1\r\nHost: h\r\nX-a: ";
    static weft_conn *c[STALLED];
    struct site s;
    struct weft_http_server_opts o = {.handler = ok, .head_timeout = 500 * WEFT_MS};
    char buf[256];
    int sent_away = 0;
    site_start(&s, &o);
    for (int i = 0; i < STALLED; i++) {
        c[i] = site_dial(&s);
        EXPECT(weft_conn_write(NULL, c[i], half, strlen(half)) > 0);
    }
    for (int i = 0; i < 20; i++)
        EXPECT(strstr(ask_raw(&s, LAST("/"), 0), "served") != NULL);
    for (int i = 0; i < STALLED; i++) {
        ssize_t n = weft_conn_read(NULL, c[i], buf, sizeof buf - 1);
        buf[n > 0 ? n : 0] = '\0';
        sent_away += strncmp(buf, "HTTP/1.1 408 ", 13) == 0;
        (void)weft_conn_close(c[i]);
    }
    EXPECT_EQ(sent_away, STALLED);
    site_stop(&s);
}

static void curt(weft_http_request *rq, weft_http_writer *w, void *arg)
{
    (void)rq, (void)arg;
    (void)weft_http_reply_text(w, 200, "text/plain", "served\n");
}

static void panics(weft_http_request *rq, weft_http_writer *w, void *arg)
{
    (void)rq, (void)w, (void)arg;
    weft_panic("not today");
}

/* The status that a client reads which goes on sending a body; 0: it was cut off. Again, if it took longer than the half second
 * that a server waits for it. */
static int status_while_sending(weft_http_handler *handler)
{
    static const char head[] = "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 10000000\r\n\r\n";
    static char piece[2000];
    struct site s;
    int status = 0;
    bool slow = true;
    site_start(&s, &(struct weft_http_server_opts){.handler = handler});
    for (int tries = 0; slow && tries < 20; tries++) {
        char out[1000] = "";
        ssize_t r = 1;
        size_t n = 0;
        weft_conn *c = site_dial(&s);
        weft_time at = weft_now();
        bool sent = weft_conn_write(NULL, c, head, sizeof head - 1) > 0 && weft_conn_wait(NULL, c, WEFT_READ) == 0;
        for (int i = 0; i < 3 && sent; i++) {
            sent = weft_conn_write(NULL, c, piece, sizeof piece) == (ssize_t)sizeof piece;
            weft_sleep(10 * WEFT_MS);   /* a reset would be back by now */
        }
        slow = weft_now() - at > 400 * WEFT_MS;
        for (; r > 0 && n < sizeof out - 1; n += r > 0 ? (size_t)r : 0)
            r = weft_conn_read(NULL, c, out + n, sizeof out - 1 - n);
        status = sent && r == 0 && strncmp(out, "HTTP/1.1 ", 9) == 0 ? atoi(out + 9) : 0;
        (void)weft_conn_close(c);
    }
    site_stop(&s);
    return status;
}

/* A handler that does not want the body: who still sends it is not reset (RFC 9112 9.6), and reads the answer, then the end. */
TEST(http_refuse, an_answer_before_the_body_is_not_cut_off_by_a_reset)
{
    EXPECT_EQ(status_while_sending(curt), 200);
    EXPECT_EQ(status_while_sending(panics), 500);
}
