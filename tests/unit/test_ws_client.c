/* Our WebSocket client against bytes. Source: RFC 6455. */
#include "ws_site.h"

#define ANSWER(more) "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" more "\r\n"

TEST(ws_client, answers_that_do_not_fit_are_refused)
{
    struct peer p;
    weft_ws *ws;
    char why[100];
    struct weft_ws_opts o = {.timeout = 600 * WEFT_SEC, .reterr_text = why, .reterr_size = sizeof why};
    PEER_START(&p, {ANSWER("")}, {ANSWER("Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n")}, {"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"},
               {"HTTP/1.1 101 Switching\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n"}, {NULL, true});
    for (int i = 0; i < 4; i++)
        EXPECT_EQ(weft_ws_dial(NULL, NULL, p.url, &o, &ws), WEFT_EPROTO);
    EXPECT_EQ(weft_ws_dial(NULL, NULL, p.url, &o, &ws), WEFT_EEOF);
    EXPECT_EQ(atomic_load(&p.conns), 5);   /* a connection for each: none is used again */
    EXPECT(strstr(peer_last(&p), "\r\nUpgrade: websocket\r\n") && strstr(peer_last(&p), "\r\nConnection: Upgrade\r\n"));
    EXPECT(strstr(peer_last(&p), "\r\nSec-WebSocket-Version: 13\r\n") && !strstr(peer_last(&p), "Accept-Encoding"));
    weft_http_client_close_idle(NULL);
    peer_stop(&p);
}

/* A server of bytes: takes one connection, answers its handshake, says the bytes, and writes down what comes. */
struct bytes_server {
    weft_listener *ln;
    const char *say;
    size_t say_len;
    const char *heard;
    bool masked;
    char key[64];
};

/* What a server answers to a key; by a server of ours that is asked with it. */
static void bytes_serve(struct bytes_server *b)
{
    char head[2048], text[256], ask[512];
    weft_conn *c;
    struct site s;
    size_t n = 0;
    REQUIRE(weft_accept(NULL, b->ln, &c) == 0);
    while (n < 4 || memcmp(head + n - 4, "\r\n\r\n", 4) != 0)
        REQUIRE(weft_conn_read_full(NULL, c, head + n++, 1) == 1);
    head[n] = '\0';
    const char *key = strstr(head, "Sec-WebSocket-Key: ") + 19;
    site_start(&s, &plain);
    weft_conn *d = site_dial(&s);
    snprintf(ask, sizeof ask, "GET /idle HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
             "Sec-WebSocket-Key: %.24s\r\n\r\n", key);
    REQUIRE(weft_conn_write(NULL, d, ask, strlen(ask)) > 0);
    for (n = 0; n < 4 || memcmp(head + n - 4, "\r\n\r\n", 4) != 0;)
        REQUIRE(weft_conn_read_full(NULL, d, head + n++, 1) == 1);
    head[n] = '\0';
    (void)weft_conn_close(d);
    site_stop(&s);
    size_t len = (size_t)snprintf(text, sizeof text, ANSWER("Sec-WebSocket-Accept: %.28s\r\n"), strstr(head, "Accept: ") + 8);
    memcpy(head, text, len);
    memcpy(head + len, b->say, b->say_len);
    REQUIRE(weft_conn_write(NULL, c, head, len + b->say_len) > 0);   /* together: frames may come with the answer */
    b->heard = raw_transcript(c);
    (void)weft_conn_close(c);
}

static const char *client_meets(const char *say, size_t n, int *ret_last)
{
    static struct bytes_server b;
    weft_ws *ws;
    weft_waitgroup wg = {0};
    char url[WEFT_ADDR_TEXT + 16] = "ws://";
    struct weft_ws_opts o = {.timeout = 600 * WEFT_SEC};
    int got = 0;
    b = (struct bytes_server){.say = say, .say_len = n};
    REQUIRE(weft_listen(&b.ln, "tcp", "127.0.0.1:0") == 0);
    REQUIRE(weft_listener_addr(b.ln, url + 5, WEFT_ADDR_TEXT) > 0);
    weft_waitgroup_go(&wg, bytes_serve, &b);
    REQUIRE(weft_ws_dial(NULL, NULL, url, &o, &ws) == 0);
    read_all(ws, &got, ret_last);
    weft_ws_free(ws);
    weft_waitgroup_wait(&wg);
    (void)weft_listener_close(b.ln);
    return b.heard;
}

TEST(ws_client, a_client_refuses_what_a_server_may_not_send)
{
    static const struct {
        const char *say;
        size_t n;
        const char *heard;
        int last;
    } table[] = {
        {"\x81\x85\x01\x02\x03\x04hello", 11, "88:1002 eof", WEFT_EPROTO},   /* masked */
        {"\x89\x80\x01\x02\x03\x04", 6, "88:1002 eof", WEFT_EPROTO},
        {"\xc1\x01x", 3, "88:1002 eof", WEFT_EPROTO},                        /* an extension nobody agreed on */
        {"\x81\x10" "aaaaaaaaaaaaaaaa\x81\x01\xff", 21, "88:1007 eof", WEFT_EPROTO},
        {"\x82\x7f\0\0\0\0\0\x10\0\0", 10, "88:1009 eof", WEFT_ETOOBIG},     /* past 32 KiB */
        {"\x89\x02hi\x88\x02\x03\xe9", 8, "8a:hi 88:1001 eof", 0},
        {"\x88\x00", 2, "88: eof", 0},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        int last = -1;
        EXPECT_STR(client_meets(table[i].say, table[i].n, &last), table[i].heard);
        EXPECT_EQ(last, table[i].last);
    }
    weft_http_client_close_idle(NULL);
}
