/* Both halves of WebSocket: our client and our server. Source: RFC 6455; coder/websocket's tests. */
#include "../include/settle.h"
#include "http_cert.h"
#include "ws_site.h"

TEST(ws_both, messages_of_all_lengths_come_back)
{
    static const size_t sizes[] = {0, 1, 125, 126, 65535, 65536, 32768 - 14, 32768 - 13, 1 << 20, 5000000};
    struct site s;
    site_start(&s, &plain);
    for (int parts = 0; parts < 2; parts++) {
        weft_ws *ws = dial(&s, parts ? "/parts" : "/echo");
        for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
            expect_echo(ws, i & 1 ? WEFT_WS_TEXT : WEFT_WS_BINARY, sizes[i]);
        EXPECT_EQ(weft_ws_close(NULL, ws, WEFT_WS_NORMAL, "done"), 0);
        const char *why;
        EXPECT_EQ(weft_ws_closed(ws, &why), 1000);
        EXPECT_STR(why, "");
        EXPECT_EQ(weft_ws_close(NULL, ws, WEFT_WS_NORMAL, NULL), 0);
        EXPECT_EQ(weft_ws_write(NULL, ws, WEFT_WS_TEXT, "x", 1), WEFT_ECLOSED);
        weft_ws_free(ws);
    }
    stop(&s);
}

TEST(ws_both, a_message_in_parts_is_one_message)
{
    struct site s;
    struct weft_ws_message m;
    char buf[4];
    int type;
    site_start(&s, &plain);
    weft_ws *ws = dial(&s, "/echo");
    for (int round = 0; round < 2; round++) {
        EXPECT_EQ(weft_ws_write_begin(NULL, ws, WEFT_WS_TEXT), 0);
        EXPECT_EQ(weft_ws_write_part(NULL, ws, "caf\xc3", 4), 0);
        EXPECT_EQ(weft_ws_write_end(NULL, ws), WEFT_EINVAL);          /* inside a character: it stays open */
        EXPECT_EQ(weft_ws_write_part(NULL, ws, "\xff", 1), WEFT_EINVAL);
        EXPECT_EQ(weft_ws_write_part(NULL, ws, NULL, 0), 0);
        EXPECT_EQ(weft_ws_write_part(NULL, ws, "\xa9!", 2), 0);
        EXPECT_EQ(weft_ws_write_end(NULL, ws), 0);
        EXPECT_EQ(weft_ws_write_end(NULL, ws), WEFT_ECLOSED);         /* there is none any more */
        if (round == 0) {
            EXPECT_EQ(weft_ws_read(NULL, ws, &m), 1);
            EXPECT(m.type == WEFT_WS_TEXT);
            EXPECT_STR(m.data, "caf\xc3\xa9!");
        }
    }
    EXPECT_EQ(weft_ws_read_begin(NULL, ws, &type), 1);
    EXPECT_EQ(type, WEFT_WS_TEXT);
    EXPECT_EQ(weft_ws_read_part(NULL, ws, buf, 4), 4);
    EXPECT(memcmp(buf, "caf\xc3", 4) == 0);
    EXPECT_EQ(weft_ws_read_part(NULL, ws, buf, 4), 2);
    EXPECT_EQ(weft_ws_read_part(NULL, ws, buf, 4), 0);
    EXPECT_EQ(weft_ws_read_part(NULL, ws, buf, 4), 0);
    EXPECT_EQ(weft_ws_write(NULL, ws, WEFT_WS_BINARY, "first", 5), 0);
    EXPECT_EQ(weft_ws_write(NULL, ws, WEFT_WS_BINARY, "second", 6), 0);
    EXPECT_EQ(weft_ws_read_begin(NULL, ws, &type), 1);                /* and what is left of it is read over */
    EXPECT_EQ(weft_ws_read(NULL, ws, &m), 1);
    EXPECT_STR(m.data, "second");
    weft_ws_free(ws);
    stop(&s);
}

TEST(ws_both, bad_arguments_are_refused_and_change_nothing)
{
    char long_reason[125];
    struct site s;
    struct weft_ws_message m;
    int type;
    site_start(&s, &plain);
    weft_ws *ws = dial(&s, "/echo");
    memset(long_reason, 'r', 124);
    long_reason[124] = '\0';
    EXPECT_EQ(weft_ws_write(NULL, ws, 3, "x", 1), WEFT_EINVAL);
    EXPECT_EQ(weft_ws_write(NULL, ws, WEFT_WS_TEXT, "\xff", 1), WEFT_EINVAL);
    EXPECT_EQ(weft_ws_write_begin(NULL, ws, 0), WEFT_EINVAL);
    EXPECT_EQ(weft_ws_close(NULL, ws, 1005, NULL), WEFT_EINVAL);
    EXPECT_EQ(weft_ws_close(NULL, ws, 1006, NULL), WEFT_EINVAL);
    EXPECT_EQ(weft_ws_close(NULL, ws, 1000, long_reason), WEFT_EINVAL);
    EXPECT_EQ(weft_ws_close(NULL, ws, 1000, "\xc3"), WEFT_EINVAL);
    EXPECT_EQ(weft_ws_close(NULL, ws, 0, "reason without code"), WEFT_EINVAL);
    EXPECT_EQ(weft_ws_read_part(NULL, ws, &m, 0), WEFT_EINVAL);
    EXPECT_EQ(weft_ws_closed(ws, NULL), 0);
    expect_echo(ws, WEFT_WS_TEXT, 10);
    EXPECT_EQ(weft_ws_close(NULL, ws, 1000, long_reason + 1), 0);
    EXPECT_EQ(weft_ws_read_begin(NULL, ws, &type), 0);
    weft_ws_free(ws);
    weft_ws_free(NULL);
    weft_ws_unref(NULL);
    stop(&s);
}

TEST(ws_both, a_read_that_its_context_ends_goes_on_with_the_next)
{
    struct site s;
    struct weft_ws_message m;
    site_start(&s, &plain);
    weft_conn *c = raw_open(&s);
    weft_ws *ws = dial(&s, "/parts");
    weft_ctx *gone = weft_with_timeout(NULL, 1), *soon;
    EXPECT_EQ(weft_ws_read(gone, ws, &m), WEFT_EDEADLINE);
    EXPECT_EQ(weft_ws_write_begin(NULL, ws, WEFT_WS_TEXT), 0);
    for (int i = 0; i < 3; i++) {   /* the echo has the first pieces out; its message has not ended */
        EXPECT_EQ(weft_ws_write_part(NULL, ws, "0123456789", 10), 0);
        soon = weft_with_timeout(NULL, 20 * WEFT_MS);
        EXPECT_EQ(weft_ws_read(soon, ws, &m), WEFT_EDEADLINE);
        weft_ctx_unref(soon);
    }
    EXPECT_EQ(weft_ws_write_end(NULL, ws), 0);
    EXPECT_EQ(weft_ws_read(NULL, ws, &m), 1);
    EXPECT_STR(m.data, "012345678901234567890123456789");
    EXPECT_EQ(weft_ws_write(gone, ws, WEFT_WS_TEXT, "x", 1), WEFT_EDEADLINE);   /* before anything has left */
    EXPECT_EQ(weft_ws_ping(gone, ws), WEFT_EDEADLINE);
    weft_ctx_unref(gone);
    EXPECT_EQ(weft_conn_set_read_deadline(weft_ws_conn(ws), weft_now() + 5 * WEFT_MS), 0);
    EXPECT_EQ(weft_ws_read(NULL, ws, &m), WEFT_EDEADLINE);
    EXPECT_EQ(weft_conn_set_read_deadline(weft_ws_conn(ws), 0), 0);
    expect_echo(ws, WEFT_WS_BINARY, 100);
    EXPECT_EQ(weft_ws_close(NULL, ws, 0, NULL), 0);
    EXPECT_EQ(weft_ws_closed(ws, NULL), 1005);
    weft_ws_free(ws);
    (void)weft_conn_close(c);
    stop(&s);
}

static void write_many(weft_ws *ws, int who)
{
    char data[16], *large = malloc(30000);
    memset(data, 'a' + who, sizeof data);
    memset(large, 'A' + who, 30000);
    for (int i = 0; i < 50; i++) {
        EXPECT_EQ(weft_ws_write(NULL, ws, WEFT_WS_TEXT, data, sizeof data), 0);
        if (i % 10 == 0)
            EXPECT_EQ(weft_ws_write(NULL, ws, WEFT_WS_BINARY, large, 30000), 0);
        if (i % 5 == 0) {
            EXPECT_EQ(weft_ws_write_begin(NULL, ws, WEFT_WS_TEXT), 0);
            for (int k = 0; k < 4; k++)
                EXPECT_EQ(weft_ws_write_part(NULL, ws, large, 10), 0);
            EXPECT_EQ(weft_ws_write_end(NULL, ws), 0);
        }
        if (i % 7 == 0)
            EXPECT_EQ(weft_ws_ping(NULL, ws), 0);
    }
    free(large);
}

TEST(ws_both, many_may_write_and_ping_while_one_reads)
{
    struct site s;
    int got = 0, last = -1;
    weft_waitgroup readers = {0}, writers = {0};
    site_start(&s, &plain);
    weft_ws *ws = dial(&s, "/echo");
    weft_waitgroup_go(&readers, read_all, ws, &got, &last);
    for (int i = 0; i < 8; i++)
        weft_waitgroup_go(&writers, write_many, ws, i);
    weft_waitgroup_wait(&writers);
    EXPECT_EQ(weft_ws_write(NULL, ws, WEFT_WS_TEXT, "0000000000000000", 16), 0);
    EXPECT_EQ(weft_ws_ping(NULL, ws), 0);   /* the echoes before it have come */
    EXPECT_EQ(weft_ws_close(NULL, ws, 1000, NULL), 0);
    weft_waitgroup_wait(&readers);
    EXPECT(got == 8 * (50 + 5 + 10) + 1);
    EXPECT(last == 0 || last == WEFT_ECLOSED);
    weft_ws_free(ws);
    stop(&s);
}

TEST(ws_both, a_second_reader_is_refused)
{
    struct site s;
    struct weft_ws_message m;
    int got = 0, last = -1;
    weft_waitgroup wg = {0};
    site_start(&s, &plain);
    weft_ws *ws = dial(&s, "/idle");
    weft_waitgroup_go(&wg, read_all, ws, &got, &last);
    test_settle();   /* the other one is inside */
    EXPECT_EQ(weft_ws_read(NULL, ws, &m), WEFT_EBUSY);
    weft_ws_free(weft_ws_ref(ws));
    weft_waitgroup_wait(&wg);
    EXPECT_EQ(last, WEFT_ECLOSED);
    weft_ws_unref(ws);
    stop(&s);
}

TEST(ws_both, a_reader_does_not_wait_for_a_writer_that_is_stuck)
{
    struct site s;
    char head[1024], ask[512];
    static const struct say say[] = {{0x89, "1"}, {0x89, "2"}, {0x81, "stop"}};
    size_t at = 0;
    site_start(&s, &plain);
    weft_conn *c = site_dial(&s);
    snprintf(ask, sizeof ask, "GET /flood%s\r\n", &WS_ASK[9]);
    REQUIRE(weft_conn_write(NULL, c, ask, strlen(ask)) > 0);
    while (at < sizeof head - 1 && (at < 4 || memcmp(head + at - 4, "\r\n\r\n", 4) != 0))
        REQUIRE(weft_conn_read_full(NULL, c, head + at++, 1) == 1);
    for (int before = -1, now; (now = atomic_load(&flooded)) != before; before = now)   /* it stands still */
        weft_sleep(50 * WEFT_MS);
    raw_say(c, say, 3, 0);
    while (!atomic_load(&told))   /* for ever, if the reader's pongs waited */
        weft_sleep(WEFT_MS);
    (void)weft_conn_close(c);
    site_stop(&s);
}

TEST(ws_both, a_ping_ends_with_its_context_or_the_conversation)
{
    struct site s;
    int got = 0, last = -1;
    weft_waitgroup wg = {0};
    site_start(&s, &plain);
    weft_ws *ws = dial(&s, "/idle");   /* nobody answers there */
    weft_waitgroup_go(&wg, read_all, ws, &got, &last);
    weft_ctx *soon = weft_with_timeout(NULL, 10 * WEFT_MS);
    EXPECT_EQ(weft_ws_ping(soon, ws), WEFT_EDEADLINE);
    weft_ctx_unref(soon);
    weft_ctx *ctx = weft_with_cancel(NULL);
    weft_ctx_after *h = weft_ctx_after_func(ctx, (void (*)(void *))weft_ws_free, weft_ws_ref(ws));
    weft_cancel(ctx);
    EXPECT_EQ(weft_ws_ping(NULL, ws), WEFT_ECLOSED);
    (void)h;
    weft_waitgroup_wait(&wg);
    weft_ctx_unref(ctx);
    weft_ws_free(ws);
    stop(&s);
}

TEST(ws_both, a_close_by_the_server_is_answered_and_told)
{
    struct site s;
    struct weft_ws_message m;
    const char *why;
    site_start(&s, &plain);
    weft_ws *ws = dial(&s, "/bye");
    EXPECT_EQ(weft_ws_read(NULL, ws, &m), 0);
    EXPECT_EQ(weft_ws_closed(ws, &why), 4001);
    EXPECT_STR(why, "enough");
    EXPECT_EQ(weft_ws_read(NULL, ws, &m), 0);
    EXPECT_EQ(weft_ws_ping(NULL, ws), WEFT_ECLOSED);
    EXPECT_EQ(weft_ws_write(NULL, ws, WEFT_WS_TEXT, "x", 1), WEFT_ECLOSED);
    weft_ws_free(ws);
    stop(&s);
    EXPECT_EQ(atomic_load(&told), 0);   /* its close was answered */
}

TEST(ws_both, a_close_that_nobody_answers_ends_with_its_context)
{
    struct site s;
    site_start(&s, &plain);
    weft_ws *ws = dial(&s, "/idle");
    weft_ctx *soon = weft_with_timeout(NULL, 20 * WEFT_MS);
    EXPECT_EQ(weft_ws_close(soon, ws, 1000, NULL), WEFT_EDEADLINE);
    weft_ctx_unref(soon);
    EXPECT_EQ(weft_ws_close(NULL, ws, 1000, NULL), WEFT_ECLOSED);
    weft_ws_free(ws);
    stop(&s);
}

TEST(ws_both, shutdown_says_goodbye_with_1001)
{
    struct site s;
    struct weft_ws_message m;
    weft_ws *ws[5];
    site_start(&s, &plain);
    for (int i = 0; i < 5; i++)
        ws[i] = dial(&s, "/echo");
    while (atomic_load(&handlers) < 5)
        weft_sleep(WEFT_MS);
    weft_waitgroup wg = {0};
    weft_waitgroup_go(&wg, stop, &s);
    for (int i = 0; i < 5; i++) {
        EXPECT_EQ(weft_ws_read(NULL, ws[i], &m), 0);
        EXPECT_EQ(weft_ws_closed(ws[i], NULL), 1001);
    }
    weft_waitgroup_wait(&wg);
    EXPECT_EQ(atomic_load(&told), 1001);   /* the answer in kind */
    for (int i = 0; i < 5; i++)
        weft_ws_free(ws[i]);
}

TEST(ws_both, shutdown_whose_time_is_up_cuts_conversations_off)
{
    struct site s;
    struct weft_ws_message m;
    site_start(&s, &plain);
    weft_ws *ws = dial(&s, "/echo");
    while (!atomic_load(&handlers))
        weft_sleep(WEFT_MS);
    weft_ctx *ctx = weft_with_timeout(NULL, 10 * WEFT_MS);
    EXPECT_EQ(weft_http_server_shutdown(ctx, s.server), WEFT_EDEADLINE);   /* nobody reads here: no answer */
    weft_ctx_unref(ctx);
    weft_waitgroup_wait(&s.wg);
    weft_http_server_free(s.server);
    int state = weft_ws_read(NULL, ws, &m);
    EXPECT(state == 0 || state == WEFT_EEOF || state == -ECONNRESET);
    weft_ws_free(ws);
    weft_http_client_close_idle(NULL);
}

TEST(ws_both, subprotocols_redirects_and_refusals)
{
    struct site s;
    weft_ws *ws;
    char url[256], why[100];
    int status = 0;
    struct weft_ws_opts o = {.protocols = "x, a", .timeout = 600 * WEFT_SEC, .reterr_text = why, .reterr_size = sizeof why, .ret_status = &status};
    site_start(&s, &plain);
    snprintf(url, sizeof url, "%s/moved", s.url);
    REQUIRE(weft_ws_dial(NULL, NULL, url, &o, &ws) == 0);
    EXPECT_STR(weft_ws_protocol(ws), "a");
    EXPECT_EQ(weft_ws_close(NULL, ws, 1000, NULL), 0);
    weft_ws_free(ws);
    o.protocols = "x, y";
    REQUIRE(weft_ws_dial(NULL, NULL, url, &o, &ws) == 0);
    EXPECT_STR(weft_ws_protocol(ws), "");
    weft_ws_free(ws);
    snprintf(url, sizeof url, "%s/403", s.url);
    EXPECT_EQ(weft_ws_dial(NULL, NULL, url, &o, &ws), WEFT_EPROTO);
    EXPECT_EQ(status, 403);
    EXPECT_STR(why, "WebSocket: the server answered 403");
    o.protocols = "x, x";
    EXPECT_EQ(weft_ws_dial(NULL, NULL, url, &o, &ws), WEFT_EINVAL);
    o.protocols = "a b";
    EXPECT_EQ(weft_ws_dial(NULL, NULL, url, &o, &ws), WEFT_EINVAL);
    o.protocols = NULL;
    EXPECT_EQ(weft_ws_dial(NULL, NULL, "ftp://h/", &o, &ws), WEFT_EUNSUPPORTED);
    EXPECT_EQ(weft_ws_dial(NULL, NULL, NULL, &o, &ws), WEFT_EADDR);
    stop(&s);
}

/* ---- hijacking ---- */

static void reverse(weft_http_request *rq, weft_http_writer *w, void *arg)
{
    weft_conn *c;
    const void *read;
    size_t n;
    char buf[64];
    (void)arg;
    if (strcmp(weft_http_request_path(rq), "/late") == 0) {
        (void)weft_http_reply_write(w, "begun", 5);
        EXPECT_EQ(weft_http_hijack(w, &c, &read, &n), WEFT_EINVAL);
        return;
    }
    if (weft_http_request_content_length(rq)) {
        EXPECT_EQ(weft_http_hijack(w, &c, &read, &n), WEFT_EINVAL);   /* its body is not read */
        EXPECT_EQ(weft_http_request_read(rq, buf, sizeof buf), 3);
        EXPECT_EQ(weft_http_request_read(rq, buf, sizeof buf), 0);
    }
    if (strcmp(weft_http_request_path(rq), "/switch") == 0) {
        weft_http_reply_status(w, 101);
        (void)weft_http_reply_field(w, "Upgrade", "reverse");
        EXPECT_EQ(weft_http_reply_flush(w), 0);
    }
    REQUIRE(weft_http_hijack(w, &c, &read, &n) == 0);
    EXPECT_EQ(weft_http_hijack(w, &c, &read, &n), WEFT_EINVAL);
    EXPECT_EQ(weft_http_reply_flush(w), WEFT_ECLOSED);
    REQUIRE(n < sizeof buf);
    memcpy(buf, read, n);
    while (n < 5) {
        ssize_t r = weft_conn_read(NULL, c, buf + n, 5 - n);
        REQUIRE(r > 0);
        n += (size_t)r;
    }
    for (size_t i = 0; i < n / 2; i++) {
        char t = buf[i];
        buf[i] = buf[n - 1 - i];
        buf[n - 1 - i] = t;
    }
    (void)weft_conn_write(NULL, c, buf, n);
    if (strcmp(weft_http_request_path(rq), "/panic") == 0) {
        (void)weft_conn_close(c);
        weft_panic("after all");
    }
    (void)weft_conn_close(c);
}

TEST(ws_both, a_handler_may_take_the_connection)
{
    static const struct weft_http_server_opts o = {.handler = reverse};
    struct site s;
    site_start(&s, &o);
    EXPECT_STR(ask_raw(&s, GET("/") "abcde", 0), "edcba");
    EXPECT_STR(ask_raw(&s, GET("/panic") "abcde", 0), "edcba");
    EXPECT_STR(ask_raw(&s, "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nxyzabcde", 0), "edcba");
    const char *out = ask_raw(&s, GET("/late") GET("/") "abcde", 0);   /* the answer before it leaves first */
    EXPECT(strstr(out, "\r\n\r\nbegunedcba") != NULL);
    out = ask_raw(&s, GET("/switch") "abcde", 0);
    EXPECT(strncmp(out, "HTTP/1.1 101 Switching Protocols\r\n", 34) == 0);
    EXPECT(strstr(out, "\r\nUpgrade: reverse\r\n\r\nedcba") != NULL);
    weft_http_response *r;
    weft_conn *c;
    const void *read;
    size_t n;
    char url[256], buf[8] = "";
    snprintf(url, sizeof url, "%s/switch", s.url);
    struct weft_http_call call = {.url = url, .upgrade = "reverse", .timeout = 600 * WEFT_SEC};
    REQUIRE(weft_http_do(NULL, NULL, &call, &r) == 0);
    EXPECT_EQ(weft_http_status(r), 101);
    REQUIRE(weft_http_response_hijack(r, &c, &read, &n) == 0);
    EXPECT_EQ(n, 0);
    EXPECT_EQ(weft_http_response_hijack(r, &c, &read, &n), WEFT_EINVAL);
    weft_http_response_free(r);
    EXPECT_EQ(weft_conn_write(NULL, c, "12345", 5), 5);
    EXPECT_EQ(weft_conn_read_full(NULL, c, buf, 5), 5);
    EXPECT_STR(buf, "54321");
    (void)weft_conn_close(c);
    call.method = "POST";
    EXPECT_EQ(weft_http_do(NULL, NULL, &call, &r), WEFT_EINVAL);
    stop(&s);
}

/* ---- TLS, HTTP/2 ---- */

TEST(ws_both, wss_works_beside_http2)
{
    struct site s;
    struct cert cert;
    cert_make(&cert);
    struct weft_tls_config tls = {.cert_file = cert.crt, .key_file = cert.key}, trust = {.ca_file = cert.crt};
    struct weft_http_server_opts o = {.handler = handle, .tls = &tls};
    struct weft_http_client_opts co = {.tls = &trust, .http2 = WEFT_HTTP2_TLS};
    char url[256];
    weft_ws *ws;
    struct weft_ws_opts wo = {.message_bytes_max = -1};
    site_start(&s, &o);
    weft_http_client *c = client_with(&co);
    snprintf(url, sizeof url, "wss%s/echo", s.url + 4);
    REQUIRE(weft_ws_dial(NULL, c, url, &wo, &ws) == 0);
    expect_echo(ws, WEFT_WS_TEXT, 10);
    expect_echo(ws, WEFT_WS_BINARY, 300000);
    expect_echo(ws, WEFT_WS_TEXT, 32768);
    EXPECT_EQ(weft_ws_close(NULL, ws, 1000, NULL), 0);
    weft_ws_free(ws);
    weft_http_client_free(c);
    site_stop(&s);
    cert_drop(&cert);
}
