/* HTTP/2 by the server: the same handlers as for HTTP/1.1. Source: RFC 9113; Go net/http2. */
#if !__has_include(<nghttp2/nghttp2.h>)
#include "../include/weft_test.h"
#else
#include "http_cert.h"
#include "http_h2_site.h"

TEST(http_h2, a_request_by_prior_knowledge_is_answered)
{
    struct site s;
    struct h2_peer p;
    site_start(&s, &plain);
    h2_open(&p, &s);
    struct h2_answer *a = h2_get(&p, "/hello");
    EXPECT_EQ(a->status, 200);
    EXPECT_STR(a->body, "hello\n");
    EXPECT(strstr(a->fields, "content-length: 6\n"));
    EXPECT(strstr(a->fields, "x-upper: Yes\n"));
    EXPECT(strstr(a->fields, "date: "));
    EXPECT(strstr(a->fields, " GMT\n"));
    EXPECT_EQ(a->code, NGHTTP2_NO_ERROR);
    EXPECT_EQ(h2_get(&p, "/other")->status, 404);
    h2_close(&p);
    site_stop(&s);
}

TEST(http_h2, a_preface_in_pieces_is_known)
{
    struct site s;
    site_start(&s, &plain);
    for (size_t cut = 1; cut < 24; cut += 3) {
        struct raw r = {.conn = h2_dial(&s)};
        (void)weft_conn_write(NULL, r.conn, PREFACE, cut);
        weft_yield();
        (void)weft_conn_write(NULL, r.conn, &PREFACE[cut], 24 - cut);
        raw_send(&r, 0, NGHTTP2_SETTINGS, 0, 0, NULL);
        EXPECT(raw_wait(&r, NGHTTP2_SETTINGS));
        (void)weft_conn_close(r.conn);
    }
    EXPECT(strstr(ask_raw(&s, LAST("/hello"), 0), "HTTP/1.1 200 OK"));   /* "P" begins POST as well */
    EXPECT(strstr(ask_raw(&s, "POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\nConnection: close\r\n\r\nhi", 0), "\r\n\r\nhi"));
    site_stop(&s);
}

TEST(http_h2, a_server_may_refuse_to_speak_it)
{
    struct site s;
    struct weft_http_server_opts o = {.handler = handle, .no_http2 = true};
    site_start(&s, &o);
    EXPECT(strstr(ask_raw(&s, PREFACE, 0), "HTTP/1.1 "));
    site_stop(&s);
}

TEST(http_h2, what_a_handler_sees_is_as_with_http_1)
{
    struct site s;
    struct h2_peer p;
    site_start(&s, &plain);
    h2_open(&p, &s);
    int32_t id = h2_ask(&p, "PUT", "/what?q=1", H2_EXTRA("x-a", "b c", "cookie", "a=1", "cookie", "b=2", "content-length", "0"), false);
    h2_until_done(&p);
    EXPECT_STR(h2_at(&p, id)->body, "PUT|/what?q=1|/what|q=1|b c|a=1; b=2|example.org|20|0");
    id = h2_ask(&p, "POST", "/what", NULL, true);
    h2_until_done(&p);
    EXPECT_STR(h2_at(&p, id)->body, "POST|/what|/what|-|-|-|example.org|20|-1");
    h2_close(&p);
    site_stop(&s);
}

TEST(http_h2, many_requests_at_a_time_are_answered)
{
    struct site s;
    struct h2_peer p;
    site_start(&s, &plain);
    h2_open(&p, &s);
    h2_turn(&p);
    for (int i = 0; i < 300; i++)   /* nghttp2 keeps to the server's limit of 250 by itself */
        (void)h2_ask(&p, "GET", "/hello", NULL, false);
    h2_until_done(&p);
    for (int i = 0; i < 300; i++) {
        EXPECT_EQ(p.a[i].status, 200);
        EXPECT_STR(p.a[i].body, "hello\n");
    }
    h2_close(&p);
    site_stop(&s);
}

TEST(http_h2, a_panic_is_a_500_and_the_connection_lives)
{
    struct site s;
    struct h2_peer p;
    site_start(&s, &plain);
    h2_open(&p, &s);
    EXPECT_EQ(h2_get(&p, "/panic")->status, 500);
    struct h2_answer *a = h2_get(&p, "/panic_late");
    EXPECT_EQ(a->status, 200);
    EXPECT_EQ(a->code, NGHTTP2_INTERNAL_ERROR);
    a = h2_get(&p, "/goexit");
    EXPECT_EQ(a->status, 0);
    EXPECT_EQ(a->code, NGHTTP2_INTERNAL_ERROR);
    a = h2_get(&p, "/short");
    EXPECT_EQ(a->code, NGHTTP2_INTERNAL_ERROR);
    EXPECT_EQ(h2_get(&p, "/hello")->status, 200);
    h2_close(&p);
    site_stop(&s);
}

TEST(http_h2, large_heads_of_answers_arrive)
{
    struct site s;
    struct h2_peer p;
    site_start(&s, &plain);
    h2_open(&p, &s);
    struct h2_answer *a = h2_get(&p, "/many");
    EXPECT_EQ(a->status, 200);
    EXPECT(strstr(a->fields, "x-20: a value"));
    h2_close(&p);
    site_stop(&s);
}

TEST(http_h2, bodies_and_heads_past_their_limits_are_refused)
{
    struct site s;
    struct h2_peer p;
    struct weft_http_server_opts o = {.handler = handle, .body_bytes_max = 1000, .head_bytes_max = 2000};
    char long_value[2100];
    site_start(&s, &o);
    h2_open(&p, &s);
    memset(long_value, 'a', sizeof long_value);
    long_value[sizeof long_value - 1] = '\0';
    int32_t id = h2_ask(&p, "GET", "/hello", H2_EXTRA("x-long", long_value), false);
    h2_until_done(&p);
    EXPECT_EQ(h2_at(&p, id)->status, 431);
    p.send_len = 2000;
    id = h2_ask(&p, "POST", "/echo", H2_EXTRA("content-length", "2000"), true);
    h2_until_done(&p);
    EXPECT_EQ(h2_at(&p, id)->status, 413);
    p.sent = 0;
    id = h2_ask(&p, "POST", "/echo", NULL, true);
    h2_until_done(&p);
    EXPECT_EQ(h2_at(&p, id)->status, 413);
    EXPECT_EQ(h2_get(&p, "/hello")->status, 200);
    h2_close(&p);
    site_stop(&s);
}

TEST(http_h2, methods_that_are_not_known_get_501)
{
    struct site s;
    struct h2_peer p;
    site_start(&s, &plain);
    h2_open(&p, &s);
    int32_t a = h2_ask(&p, "BREW", "/hello", NULL, false), b = h2_ask(&p, "DESCRIBE", "/hello", NULL, false),
            c = h2_ask(&p, "PATCH", "/hello", NULL, false);
    h2_until_done(&p);
    EXPECT_EQ(h2_at(&p, a)->status, 501);
    EXPECT_EQ(h2_at(&p, b)->status, 501);
    EXPECT_EQ(h2_at(&p, c)->status, 200);
    h2_close(&p);
    site_stop(&s);
}

static void client_goroutine(struct site *s, int n)
{
    struct raw *r = raw_open(s);
    for (int i = 0; i < n; i++) {
        raw_send(r, sizeof HP_GET - 1, NGHTTP2_HEADERS, F_END_STREAM | F_END_HEADERS, 2 * i + 1, HP_GET);
        if (!raw_wait(r, NGHTTP2_HEADERS)) {
            EXPECT(!"the connection ended");
            break;
        }
        EXPECT_EQ(r->id, 2 * i + 1);
    }
    raw_close(r);
}

TEST(http_h2, many_connections_at_a_time_are_served)
{
    struct site s;
    weft_waitgroup wg = {0};
    site_start(&s, &plain);
    for (int i = 0; i < 20; i++)
        weft_waitgroup_go(&wg, client_goroutine, &s, 50);
    weft_waitgroup_wait(&wg);
    site_stop(&s);
}

/* What the client offers decides: ALPN, both ways, and without. */
TEST(http_h2, over_tls_the_handshake_chooses)
{
    struct cert c;
    struct site s;
    struct h2_peer p;
    cert_make(&c);
    struct weft_tls_config server_tls = {.cert_file = c.crt, .key_file = c.key};
    struct weft_http_server_opts o = {.handler = handle, .tls = &server_tls};
    site_start(&s, &o);
    static const char *const offers[] = {"h2,http/1.1", "http/1.1", NULL};
    for (int i = 0; i < 3; i++) {
        struct weft_tls_config tls = {.ca_file = c.crt, .server_name = "127.0.0.1", .alpn = offers[i]};
        struct weft_tls_state state;
        weft_conn *conn = h2_dial(&s);
        REQUIRE(weft_tls_client(NULL, conn, &tls, &conn) == 0);
        REQUIRE(weft_tls_state_get(conn, &state) == 0);
        EXPECT_STR(state.alpn, i == 0 ? "h2" : i == 1 ? "http/1.1" : "");
        if (i == 0) {
            h2_start(&p, conn, true);
            EXPECT_STR(h2_get(&p, "/hello")->body, "hello\n");
            EXPECT_EQ(h2_get(&p, "/big")->body_len, 1000000);
            p.send_len = 500000;
            int32_t id = h2_ask(&p, "POST", "/echo", NULL, true);
            h2_until_done(&p);
            EXPECT_EQ(h2_at(&p, id)->body_len, 500000);
            h2_close(&p);
            continue;
        }
        char buf[1000] = "";
        (void)weft_conn_write(NULL, conn, LAST("/hello"), sizeof LAST("/hello") - 1);
        EXPECT(weft_conn_read(NULL, conn, buf, sizeof buf - 1) > 0);
        EXPECT(strstr(buf, "HTTP/1.1 200 OK"));
        (void)weft_conn_close(conn);
    }
    site_stop(&s);
    cert_drop(&c);
}
#endif
