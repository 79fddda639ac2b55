/* A WebSocket server against a client of bytes. The cases are those of the Autobahn test suite, in our words. Source: RFC 6455. */
#include "ws_raw.h"

static struct weft_ws_opts opts = {.message_bytes_max = 200000, .protocols = "chat.v2, chat.v1", .origins = "*.good.org, a.b:8080"};
static _Atomic int last_read, last_code, ended; /* of conversations; ended is written last */

/* What the n-th conversation to end was told. */
#define EXPECT_ENDED(n, state, code)                 \
    do {                                             \
        while (atomic_load(&ended) < (n))            \
            weft_sleep(WEFT_MS);                     \
        EXPECT_EQ(atomic_load(&last_read), state);   \
        EXPECT_EQ(atomic_load(&last_code), code);    \
    } while (0)

/* Sends each message back. /parts: piece by piece, a frame a piece. */
static void handle(weft_http_request *rq, weft_http_writer *w, void *arg)
{
    weft_ws *ws;
    struct weft_ws_message m;
    int state;
    (void)arg;
    (void)weft_http_reply_field(w, "X-Mine", "yes");
    if (weft_ws_accept(rq, w, &opts, &ws) < 0)
        return;
    weft_defer(weft_ws_free, ws);
    while ((state = weft_ws_read(NULL, ws, &m)) > 0) {
        EXPECT_EQ(m.data[m.len], 0);
        if (weft_ws_write(NULL, ws, m.type, m.data, m.len) < 0)
            break;
    }
    atomic_store(&last_read, state);
    atomic_store(&last_code, weft_ws_closed(ws, NULL));
    atomic_fetch_add(&ended, 1);
}

static const struct weft_http_server_opts plain = {.handler = handle};
static const struct say bye = {0x88, "\x03\xe8", 2};

TEST(ws, the_handshake_answers_the_key_and_keeps_the_handlers_fields)
{
    struct site s;
    char head[1024];
    site_start(&s, &plain);
    weft_conn *c = site_dial(&s);
    raw_ask(c, "Sec-WebSocket-Protocol: other, chat.v1\r\nSec-WebSocket-Protocol: chat.v2\r\n", head, sizeof head);
    EXPECT(strncmp(head, "HTTP/1.1 101 Switching Protocols\r\n", 34) == 0);
    EXPECT(strstr(head, "\r\nSec-WebSocket-Accept: " WS_ACCEPT "\r\n"));
    EXPECT(strstr(head, "\r\nConnection: Upgrade\r\n") && strstr(head, "\r\nUpgrade: websocket\r\n"));
    EXPECT(strstr(head, "\r\nX-Mine: yes\r\n"));
    EXPECT(strstr(head, "\r\nSec-WebSocket-Protocol: chat.v2\r\n"));
    EXPECT(!strstr(head, "Content-Length") && !strstr(head, "Transfer-Encoding"));
    raw_say(c, &bye, 1, 0);
    EXPECT_STR(raw_transcript(c), "88:1000 eof");
    (void)weft_conn_close(c);
    site_stop(&s);
}

TEST(ws, requests_that_are_none_are_refused)
{
    static const struct {
        const char *ask, *status;
    } bad[] = {
        {GET("/"), "426"},
        {"GET / HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: h2c\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: " WS_KEY "\r\n\r\n", "426"},
        {"GET / HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: " WS_KEY "\r\n\r\n", "426"},
        {"GET / HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 8\r\nSec-WebSocket-Key: " WS_KEY "\r\n\r\n", "426"},
        {"GET / HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\r\n", "400"},
        {"GET / HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: YQ==\r\n\r\n", "400"},
        {WS_ASK "Sec-WebSocket-Key: " WS_KEY "\r\n\r\n", "400"},
        {WS_ASK "Content-Length: 2\r\n\r\nab", "400"},
        {"POST / HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n", "405"},
        {WS_ASK "Origin: https://evil.org\r\n\r\n", "403"},
        {WS_ASK "Origin: null\r\n\r\n", "403"},
        {WS_ASK "Origin: https://good.org\r\n\r\n", "403"},
        {WS_ASK "Origin: https://evilgood.org\r\n\r\n", "403"},
        {WS_ASK "Origin: https://a.b\r\n\r\n", "403"},
        {WS_ASK "Origin: https://h\r\nOrigin: https://evil.org\r\n\r\n", "403"},
        {WS_ASK "Origin: https://h:1\r\n\r\n", "403"},
    };
    struct site s;
    site_start(&s, &plain);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        char ask[1024];
        snprintf(ask, sizeof ask, "%s" LAST("/"), bad[i].ask);   /* the connection stays HTTP's: a second request is answered */
        const char *out = ask_raw(&s, ask, 0);
        if (strncmp(out + 9, bad[i].status, 3) != 0 || count(out, "HTTP/1.1 426 ") < 1)
            weft_test_fail(__FILE__, __LINE__, "case %zu: %.300s", i, out);
    }
    site_stop(&s);
}

TEST(ws, pages_of_the_same_host_and_of_listed_ones_may_ask)
{
    static const char *const good[] = {"http://h", "https://H", "https://x.good.org", "http://x.y.GOOD.org", "http://a.b:8080"};
    struct site s;
    char head[1024], fields[128];
    site_start(&s, &plain);
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        weft_conn *c = site_dial(&s);
        snprintf(fields, sizeof fields, "Origin: %s\r\n", good[i]);
        raw_ask(c, fields, head, sizeof head);
        EXPECT(strncmp(head, "HTTP/1.1 101 ", 13) == 0);
        (void)weft_conn_close(c);
    }
    site_stop(&s);
}

TEST(ws, messages_of_all_lengths_come_back_however_they_are_cut)
{
    static const long sizes[] = {1, 7, 8, 9, 125, 126, 127, 128, 1000, 32767, 65535, 65536, 200000};
    static const size_t pieces[] = {0, 1, 997};
    static char data[200001];
    struct site s;
    site_start(&s, &plain);
    memset(data, '*', sizeof data);
    EXPECT_STR(TALK(&s, 0, {0x81}, {0x82}, bye), "81: 82: 88:1000 eof");
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        for (size_t k = 0; k < 3; k++) {
            long n = sizes[i];
            if (pieces[k] == 1 && n > 1000)
                continue;
            char want[128], head[42];
            if (n > 40)
                snprintf(head, sizeof head, "#%ld", n);
            else
                snprintf(head, sizeof head, "%.*s", (int)n, data);
            snprintf(want, sizeof want, "81:%s 82:%s 88:1000 eof", head, head);
            EXPECT_STR(TALK(&s, pieces[k], {0x81, data, n}, {0x82, data, n}, bye), want);
        }
    }
    site_stop(&s);
    EXPECT_EQ(atomic_load(&last_read), 0);
    EXPECT_EQ(atomic_load(&last_code), 1000);
}

TEST(ws, pings_are_answered_and_pongs_that_nobody_asked_for_are_not)
{
    static const char bin[] = "\x00\xff\xfe\xfd\xfc\xfb\x00\xff";
    static char long_one[126];
    struct site s;
    site_start(&s, &plain);
    memset(long_one, 'p', sizeof long_one);
    for (size_t piece = 0; piece < 2; piece++) {
        EXPECT_STR(TALK(&s, piece, {0x89}, {0x81, "a"}, bye), "8a: 81:a 88:1000 eof");
        EXPECT_STR(TALK(&s, piece, {0x89, "Hello, world!"}, {0x81, "a"}, bye), "8a:Hello, world! 81:a 88:1000 eof");
        EXPECT_STR(TALK(&s, piece, {0x89, bin, 8}, {0x81, "a"}, bye), "8a: 81:a 88:1000 eof");
        EXPECT_STR(TALK(&s, piece, {0x89, long_one, 125}, {0x81, "a"}, bye), "8a:#125 81:a 88:1000 eof");
        EXPECT_STR(TALK(&s, piece, {0x8a}, {0x8a, "unasked"}, {0x8a, "12345678"}, bye), "88:1000 eof");
        EXPECT_STR(TALK(&s, piece, {0x89, long_one, 126}, {0x81, "a"}), "88:1002 eof");
    }
    EXPECT_STR(TALK(&s, 0, {0x89, "1"}, {0x81, "a"}, {0x89, "2"}, {0x81, "b"}, {0x89, "3"}, bye), "8a:1 81:a 8a:2 81:b 8a:3 88:1000 eof");
    site_stop(&s);
}

TEST(ws, reserved_bits_and_opcodes_are_refused)
{
    struct site s;
    site_start(&s, &plain);
    for (unsigned rsv = 1; rsv <= 7; rsv++) {
        EXPECT_STR(TALK(&s, 0, {0x81 | rsv << 4, "x"}), "88:1002 eof");
        EXPECT_STR(TALK(&s, 1, {0x81, "good"}, {0x82 | rsv << 4, "x"}, {0x89, "p"}), "81:good 88:1002 eof");
        EXPECT_STR(TALK(&s, 0, {0x89 | rsv << 4, "x"}), "88:1002 eof");
        EXPECT_STR(TALK(&s, 0, {0x88 | rsv << 4}), "88:1002 eof");
    }
    for (unsigned op = 3; op < 16; op++) {
        if (op >= 8 && op <= 10)
            continue;
        EXPECT_STR(TALK(&s, 0, {0x80 | op}), "88:1002 eof");
        EXPECT_STR(TALK(&s, 0, {0x81, "good"}, {0x80 | op, "x"}, {0x89, "p"}), "81:good 88:1002 eof");
        EXPECT_STR(TALK(&s, 0, {0x01, "part"}, {0x80 | op, "x"}), "88:1002 eof");
    }
    site_stop(&s);
    EXPECT_EQ(atomic_load(&last_read), WEFT_EPROTO);
    EXPECT_EQ(atomic_load(&last_code), 1006);
}

TEST(ws, a_message_in_frames_is_one_message_and_control_frames_may_come_between)
{
    struct site s;
    site_start(&s, &plain);
    for (size_t piece = 0; piece < 2; piece++) {
        EXPECT_STR(TALK(&s, piece, {0x01, "frag"}, {0x80, "ment"}, bye), "81:fragment 88:1000 eof");
        EXPECT_STR(TALK(&s, piece, {0x02, "frag"}, {0x89, "ping"}, {0x80, "ment"}, bye), "8a:ping 82:fragment 88:1000 eof");
        EXPECT_STR(TALK(&s, piece, {0x01, "a"}, {0x00, "b"}, {0x89, "1"}, {0x00, "c"}, {0x8a, "u"}, {0x89, "2"}, {0x80, "d"}, bye),
                   "8a:1 8a:2 81:abcd 88:1000 eof");
        EXPECT_STR(TALK(&s, piece, {0x01}, {0x00}, {0x80}, bye), "81: 88:1000 eof");
        EXPECT_STR(TALK(&s, piece, {0x01}, {0x00, "middle"}, {0x80}, {0x81, "next"}, bye), "81:middle 81:next 88:1000 eof");
        EXPECT_STR(TALK(&s, piece, {0x01, "never"}, {0x00, "whole"}, bye), "88:1000 eof");
    }
    site_stop(&s);
}

TEST(ws, frames_out_of_order_are_refused)
{
    struct site s;
    site_start(&s, &plain);
    EXPECT_STR(TALK(&s, 0, {0x09, "cut"}, {0x80, "ping"}), "88:1002 eof");
    EXPECT_STR(TALK(&s, 0, {0x0a, "cut"}, {0x80, "pong"}), "88:1002 eof");
    EXPECT_STR(TALK(&s, 0, {0x08, "\x03\xe8", 2}), "88:1002 eof");
    EXPECT_STR(TALK(&s, 0, {0x80, "nothing to go on with"}), "88:1002 eof");
    EXPECT_STR(TALK(&s, 0, {0x00, "nothing"}, {0x81, "x"}), "88:1002 eof");
    EXPECT_STR(TALK(&s, 0, {0x81, "good"}, {0x80, "nothing"}), "81:good 88:1002 eof");
    EXPECT_STR(TALK(&s, 0, {0x01, "first"}, {0x81, "second"}), "88:1002 eof");
    EXPECT_STR(TALK(&s, 0, {0x02, "first"}, {0x01, "second"}), "88:1002 eof");
    EXPECT_STR(TALK(&s, 0, {0x01, "a"}, {0x80, "b"}, {0x80, "c"}), "81:ab 88:1002 eof");
    site_stop(&s);
}

TEST(ws, a_client_that_does_not_mask_or_pads_a_length_is_refused)
{
    static const struct {
        const char *bytes;
        size_t n;
    } bad[] = {{"\x81\x7e\x00\x05", 4}, {"\x81\xfe\x00\x7d\0\0\0\0", 8}, {"\x82\xff\0\0\0\0\0\0\xff\xff\0\0\0\0", 14},
               {"\x82\xff\x80\0\0\0\0\x01\0\0\0\0\0\0", 14}};
    struct site s;
    site_start(&s, &plain);
    EXPECT_STR(TALK(&s, 0, {0x81, "bare", .bare = true}), "88:1002 eof");
    EXPECT_STR(TALK(&s, 0, {0x89, "bare", .bare = true}), "88:1002 eof");
    EXPECT_STR(TALK(&s, 0, {0x81, "good"}, {0x88, "\x03\xe8", 2, true}), "81:good 88:1002 eof");
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        weft_conn *c = raw_open(&s);
        (void)weft_conn_write(NULL, c, bad[i].bytes, bad[i].n);
        EXPECT_STR(raw_transcript(c), "88:1002 eof");
        (void)weft_conn_close(c);
    }
    site_stop(&s);
}

TEST(ws, a_message_past_the_limit_is_refused_by_its_header)
{
    static char data[150000];
    struct site s;
    site_start(&s, &plain);
    memset(data, 'x', sizeof data);
    weft_conn *c = raw_open(&s);
    (void)weft_conn_write(NULL, c, "\x82\xff\x00\x00\x00\x00\x40\x00\x00\x00\0\0\0\0", 14);   /* a gigabyte to come */
    EXPECT_STR(raw_transcript(c), "88:1009 eof");
    (void)weft_conn_close(c);
    EXPECT_ENDED(1, WEFT_ETOOBIG, 1006);
    EXPECT_STR(TALK(&s, 0, {0x02, data, 150000}, {0x80, data, 50001}), "88:1009 eof");
    EXPECT_STR(TALK(&s, 0, {0x02, data, 150000}, {0x80, data, 50000}, bye), "82:#200000 88:1000 eof");
    site_stop(&s);
}

/* ---- text ---- */

static const char *const good_text[] = {
    "Hello-\xc2\xb5@\xc3\x9f\xc3\xb6\xc3\xa4\xc3\xbc\xc3\xa0\xc3\xa1-UTF-8!!", "\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5", "\x7f",
    "\xc2\x80", "\xdf\xbf", "\xe0\xa0\x80", "\xef\xbf\xbf", "\xf0\x90\x80\x80", "\xf4\x8f\xbf\xbf", "\xed\x9f\xbf", "\xee\x80\x80", "\xef\xbf\xbd",
    "\xef\xbf\xbe", "\xf0\x9f\xbf\xbe", "\xef\xb7\x90", ("12345678\xc2\xb5" "12345678\xf0\x9f\x98\x80"),
};
static const char *const bad_text[] = {
    "\x80", "\xbf", "\x80\xbf\x80", "\xc0\x80", "\xc0\xaf", "\xc1\xbf", "\xc2", "\xc2 ", "\xe0\x80\xaf", "\xe0\x9f\xbf", "\xe0\xa0", "\xe1\x80 ",
    "\xed\xa0\x80", "\xed\xbf\xbf", "\xed\xa0\x80\xed\xb0\x80", "\xf0\x80\x80\xaf", "\xf0\x8f\xbf\xbf", "\xf0\x90\x80", "\xf4\x90\x80\x80",
    "\xf5\x80\x80\x80", "\xf8\x88\x80\x80\x80", "\xfc\x84\x80\x80\x80\x80", "\xfe", "\xff", "12345678\xff", "1234567\xc3", "\xf0\x9f\x98\x80\x80",
};

TEST(ws, good_text_comes_back_cut_anywhere)
{
    struct site s;
    char want[128];
    site_start(&s, &plain);
    for (size_t i = 0; i < sizeof good_text / sizeof *good_text; i++) {
        const char *t = good_text[i];
        snprintf(want, sizeof want, "81:%s 88:1000 eof", t);
        EXPECT_STR(TALK(&s, 0, {0x81, t}, bye), want);
        EXPECT_STR(TALK(&s, 1, {0x81, t}, bye), want);
        weft_conn *c = raw_open(&s);
        for (size_t k = 0; t[k]; k++)   /* a frame for each byte */
            raw_say(c, &(struct say){k ? 0x00 : 0x01, t + k, 1}, 1, 0);
        raw_say(c, (const struct say[]){{0x80}, bye}, 2, 0);
        EXPECT_STR(raw_transcript(c), want);
        (void)weft_conn_close(c);
    }
    site_stop(&s);
}

TEST(ws, bad_text_is_refused_with_1007_and_the_same_bytes_are_good_binary)
{
    struct site s;
    char want[128];
    site_start(&s, &plain);
    for (size_t i = 0; i < sizeof bad_text / sizeof *bad_text; i++) {
        const char *t = bad_text[i];
        snprintf(want, sizeof want, "82:%s 88:1000 eof", t);
        EXPECT_STR(TALK(&s, 0, {0x82, t}, bye), want);
        EXPECT_STR(TALK(&s, 0, {0x81, "first"}, {0x81, t}), "81:first 88:1007 eof");
        EXPECT_STR(TALK(&s, 1, {0x01, t}, {0x80}), "88:1007 eof");
        EXPECT_STR(TALK(&s, 0, {0x01, "begins well "}, {0x00, t}, {0x80}), "88:1007 eof");
        while (atomic_load(&ended) < 4 * (int)i + 4)   /* or that of good binary might be told last */
            weft_sleep(WEFT_MS / 10);
    }
    EXPECT_STR(TALK(&s, 0, {0x81, "\xff"}), "88:1007 eof");
    while (atomic_load(&ended) < 4 * (int)(sizeof bad_text / sizeof *bad_text) + 1)
        weft_sleep(WEFT_MS / 10);
    site_stop(&s);
    EXPECT_EQ(atomic_load(&last_read), WEFT_EPROTO);
}

TEST(ws, bad_text_is_refused_before_its_message_has_ended)
{
    struct site s;
    site_start(&s, &plain);
    EXPECT_STR(TALK(&s, 0, {0x01, "\xce\xba\xe1\xbd\xb9"}, {0x00, "\xf4\x90"}), "88:1007 eof");
    weft_conn *c = raw_open(&s);
    (void)weft_conn_write(NULL, c, "\x81\xff\0\0\0\0\0\1\0\0\0\0\0\0" "abc\xff", 18);   /* of 65,536 bytes */
    EXPECT_STR(raw_transcript(c), "88:1007 eof");
    (void)weft_conn_close(c);
    site_stop(&s);
}

/* ---- closing ---- */

TEST(ws, nothing_is_answered_after_a_close)
{
    struct site s;
    site_start(&s, &plain);
    const char *out = TALK(&s, 0, {0x81, "a"}, bye, {0x81, "b"}, {0x89, "c"}, bye);
    EXPECT(strcmp(out, "81:a 88:1000 eof") == 0 || strcmp(out, "81:a 88:1000 cut") == 0);
    EXPECT_STR(TALK(&s, 0, {0x01, "part"}, bye), "88:1000 eof");
    while (atomic_load(&ended) < 2)   /* or theirs might be the last words */
        weft_sleep(WEFT_MS);
    EXPECT_STR(TALK(&s, 0, {0x88}), "88: eof");
    EXPECT_ENDED(3, 0, 1005);
    site_stop(&s);
}

TEST(ws, close_codes_that_may_be_sent_are_answered_in_kind)
{
    static const int good[] = {1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 3999, 4000, 4999};
    struct site s;
    char want[64];
    site_start(&s, &plain);
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        char p[8] = {(char)(good[i] >> 8), (char)good[i], 'w', 'h', 'y'};
        snprintf(want, sizeof want, "88:%d eof", good[i]);
        EXPECT_STR(TALK(&s, 0, {0x88, p, 2}), want);
        EXPECT_STR(TALK(&s, 1, {0x88, p, 5}), want);
        EXPECT_ENDED(2 * (int)i + 2, 0, good[i]);
    }
    site_stop(&s);
}

TEST(ws, closes_that_break_the_rules_are_refused)
{
    static const int bad[] = {0, 1, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535};
    static char reason[126] = "\x03\xe8";
    struct site s;
    site_start(&s, &plain);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        char p[2] = {(char)(bad[i] >> 8), (char)bad[i]};
        EXPECT_STR(TALK(&s, 0, {0x88, p, 2}), "88:1002 eof");
    }
    memset(reason + 2, 'r', 124);
    EXPECT_STR(TALK(&s, 0, {0x88, "x", 1}), "88:1002 eof");
    EXPECT_STR(TALK(&s, 0, {0x88, reason, 125}), "88:1000 eof");
    EXPECT_STR(TALK(&s, 0, {0x88, reason, 126}), "88:1002 eof");
    EXPECT_STR(TALK(&s, 0, {0x88, "\x03\xe8" "bad \xff", 7}), "88:1007 eof");
    EXPECT_STR(TALK(&s, 0, {0x88, "\x03\xe8" "half \xc2", 8}), "88:1007 eof");
    site_stop(&s);
}

TEST(ws, a_client_that_goes_without_a_word_is_noticed)
{
    struct site s;
    site_start(&s, &plain);
    weft_conn *c = raw_open(&s);
    raw_say(c, &(struct say){0x01, "half"}, 1, 0);
    (void)weft_conn_close(c);
    EXPECT_ENDED(1, WEFT_EEOF, 1006);   /* before the server says goodbye, to nobody: that would be answered by a reset */
    site_stop(&s);
}

TEST(ws, frames_that_come_with_the_request_are_not_lost)
{
    struct site s;
    char bytes[1024], head[1024];
    site_start(&s, &plain);
    weft_conn *c = site_dial(&s);
    size_t n = (size_t)snprintf(bytes, sizeof bytes, "%s\r\n", WS_ASK);
    n += raw_frame((uint8_t *)bytes + n, &(struct say){0x81, "early"});
    n += raw_frame((uint8_t *)bytes + n, &bye);
    (void)weft_conn_write(NULL, c, bytes, n);
    size_t at = 0;
    head[0] = '\0';
    while (!strstr(head, "\r\n\r\n") && weft_conn_read_full(NULL, c, head + at, 1) == 1)
        head[++at] = '\0';
    EXPECT_STR(raw_transcript(c), "81:early 88:1000 eof");
    (void)weft_conn_close(c);
    site_stop(&s);
}
