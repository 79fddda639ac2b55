/*
 * What the HTTP/2 server says to malformed frames and requests, and to floods. The cases are those of the specification's
 * own words (RFC 9113; section numbers below), as h2spec has them, and of the CVEs named at the floods.
 */
#if !__has_include(<nghttp2/nghttp2.h>)
#include "../include/weft_test.h"
#else
#include "http_h2.h"

static void handle(weft_http_request *rq, weft_http_writer *w, void *arg)
{
    (void)arg;
    if (strcmp(weft_http_request_path(rq), "/wait") == 0)
        (void)weft_recv_ok(weft_ctx_done(weft_http_request_ctx(rq)), NULL);
    else
        (void)weft_http_reply_text(w, 200, "text/plain", "hello\n");
}

static const struct weft_http_server_opts plain = {.handler = handle};

enum { ENDS = NGHTTP2_GOAWAY, RESETS = NGHTTP2_RST_STREAM };

struct bad {
    const char *what;
    int kind;                    /* ENDS: the connection; RESETS: stream 1 */
    int code;
    struct {
        int type, flags;
        int32_t id;
        const char *payload;
        int len;                 /* of payload; -1: a frame of so many as only its head says, 16,385 */
    } f[3];
};

#define P(s) s, (int)sizeof(s) - 1
#define WAIT "\x82\x44\x05/wait\x86\x41\x01h"   /* GET /wait */
#define POST "\x83\x84\x86\x41\x01h"
#define ALL (F_END_STREAM | F_END_HEADERS)
#define H NGHTTP2_HEADERS
#define LIT(name_len, name, value_len, value) "\x00" name_len name value_len value

static const struct bad cases[] = {
    /* 5.1 states, 5.1.1 identifiers */
    {"DATA on an idle stream (6.1)", ENDS, NGHTTP2_PROTOCOL_ERROR, {{NGHTTP2_DATA, 0, 1, P("x")}}},
    {"RST_STREAM on an idle stream (6.4)", ENDS, NGHTTP2_PROTOCOL_ERROR, {{NGHTTP2_RST_STREAM, 0, 1, P("\0\0\0\10")}}},
    {"WINDOW_UPDATE on an idle stream (5.1)", ENDS, NGHTTP2_PROTOCOL_ERROR, {{NGHTTP2_WINDOW_UPDATE, 0, 1, P("\0\0\0\1")}}},
    {"an even stream identifier (5.1.1)", ENDS, NGHTTP2_PROTOCOL_ERROR, {{H, ALL, 2, P(HP_GET)}}},
    {"DATA after END_STREAM (5.1)", ENDS, NGHTTP2_STREAM_CLOSED, {{H, ALL, 1, P(WAIT)}, {NGHTTP2_DATA, 0, 1, P("x")}}},
    {"HEADERS after END_STREAM (5.1)", ENDS, NGHTTP2_STREAM_CLOSED, {{H, ALL, 1, P(WAIT)}, {H, ALL, 1, P(HP_GET)}}},
    /* 4.2 sizes */
    {"a frame larger than SETTINGS_MAX_FRAME_SIZE (4.2)", ENDS, NGHTTP2_FRAME_SIZE_ERROR, {{H, 4, 1, P(WAIT)}, {NGHTTP2_DATA, 0, 1, "", -1}}},
    {"PING of 7 bytes (6.7)", ENDS, NGHTTP2_FRAME_SIZE_ERROR, {{NGHTTP2_PING, 0, 0, P("1234567")}}},
    {"RST_STREAM of 3 bytes (6.4)", ENDS, NGHTTP2_FRAME_SIZE_ERROR, {{H, 4, 1, P(WAIT)}, {NGHTTP2_RST_STREAM, 0, 1, P("\0\0\0")}}},
    {"WINDOW_UPDATE of 3 bytes (6.9)", ENDS, NGHTTP2_FRAME_SIZE_ERROR, {{NGHTTP2_WINDOW_UPDATE, 0, 0, P("\0\0\1")}}},
    {"SETTINGS of 5 bytes (6.5)", ENDS, NGHTTP2_FRAME_SIZE_ERROR, {{NGHTTP2_SETTINGS, 0, 0, P("\0\1\0\0\0")}}},
    {"SETTINGS acknowledged with a payload (6.5)", ENDS, NGHTTP2_FRAME_SIZE_ERROR, {{NGHTTP2_SETTINGS, F_ACK, 0, P("\0\4\0\0\0\1")}}},
    /* stream 0 or not */
    {"DATA on stream 0 (6.1)", ENDS, NGHTTP2_PROTOCOL_ERROR, {{NGHTTP2_DATA, 0, 0, P("x")}}},
    {"HEADERS on stream 0 (6.2)", ENDS, NGHTTP2_PROTOCOL_ERROR, {{H, ALL, 0, P(HP_GET)}}},
    {"RST_STREAM on stream 0 (6.4)", ENDS, NGHTTP2_PROTOCOL_ERROR, {{NGHTTP2_RST_STREAM, 0, 0, P("\0\0\0\10")}}},
    {"SETTINGS on a stream (6.5)", ENDS, NGHTTP2_PROTOCOL_ERROR, {{NGHTTP2_SETTINGS, 0, 1, P("\0\4\0\0\0\1")}}},
    {"PING on a stream (6.7)", ENDS, NGHTTP2_PROTOCOL_ERROR, {{NGHTTP2_PING, 0, 1, P("12345678")}}},
    {"GOAWAY on a stream (6.8)", ENDS, NGHTTP2_PROTOCOL_ERROR, {{NGHTTP2_GOAWAY, 0, 1, P("\0\0\0\0\0\0\0\0")}}},
    {"CONTINUATION on stream 0 (6.10)", ENDS, NGHTTP2_PROTOCOL_ERROR, {{NGHTTP2_CONTINUATION, 4, 0, P(HP_GET)}}},
    /* values of settings */
    {"SETTINGS_ENABLE_PUSH 2 (6.5.2)", ENDS, NGHTTP2_PROTOCOL_ERROR, {{NGHTTP2_SETTINGS, 0, 0, P("\0\2\0\0\0\2")}}},
    {"SETTINGS_INITIAL_WINDOW_SIZE 2^31 (6.5.2)", ENDS, NGHTTP2_FLOW_CONTROL_ERROR, {{NGHTTP2_SETTINGS, 0, 0, P("\0\4\200\0\0\0")}}},
    {"SETTINGS_MAX_FRAME_SIZE 100 (6.5.2)", ENDS, NGHTTP2_PROTOCOL_ERROR, {{NGHTTP2_SETTINGS, 0, 0, P("\0\5\0\0\0\144")}}},
    {"SETTINGS_MAX_FRAME_SIZE 2^24 (6.5.2)", ENDS, NGHTTP2_PROTOCOL_ERROR, {{NGHTTP2_SETTINGS, 0, 0, P("\0\5\1\0\0\0")}}},
    /* windows */
    {"WINDOW_UPDATE by 0 of the connection (6.9)", ENDS, NGHTTP2_PROTOCOL_ERROR, {{NGHTTP2_WINDOW_UPDATE, 0, 0, P("\0\0\0\0")}}},
    {"WINDOW_UPDATE by 0 of a stream (6.9, 5.4.2)", ENDS, NGHTTP2_PROTOCOL_ERROR, {{H, 4, 1, P(WAIT)}, {NGHTTP2_WINDOW_UPDATE, 0, 1, P("\0\0\0\0")}}},
    {"a window of the connection past 2^31-1 (6.9.1)", ENDS, NGHTTP2_FLOW_CONTROL_ERROR, {{NGHTTP2_WINDOW_UPDATE, 0, 0, P("\177\377\377\377")}}},
    {"a window of a stream past 2^31-1 (6.9.1)", RESETS, NGHTTP2_FLOW_CONTROL_ERROR,
     {{H, 4, 1, P(WAIT)}, {NGHTTP2_WINDOW_UPDATE, 0, 1, P("\177\377\377\377")}}},
    /* heads and their pieces */
    {"CONTINUATION without HEADERS (6.10)", ENDS, NGHTTP2_PROTOCOL_ERROR, {{NGHTTP2_CONTINUATION, 4, 1, P(HP_GET)}}},
    {"CONTINUATION behind a whole head (6.10)", ENDS, NGHTTP2_PROTOCOL_ERROR, {{H, 4, 1, P(WAIT)}, {NGHTTP2_CONTINUATION, 4, 1, P(HP_GET)}}},
    {"DATA inside a head (6.2)", ENDS, NGHTTP2_PROTOCOL_ERROR, {{H, 0, 1, P(HP_GET)}, {NGHTTP2_DATA, 0, 1, P("x")}}},
    {"CONTINUATION of another stream (6.10)", ENDS, NGHTTP2_PROTOCOL_ERROR, {{H, 0, 1, P(HP_GET)}, {NGHTTP2_CONTINUATION, 4, 3, P(HP_GET)}}},
    {"an unknown frame inside a head (5.5)", ENDS, NGHTTP2_PROTOCOL_ERROR, {{H, 0, 1, P(HP_GET)}, {0x42, 0, 1, P("x")}}},
    {"PUSH_PROMISE by a client (8.4)", ENDS, NGHTTP2_PROTOCOL_ERROR, {{H, 4, 1, P(WAIT)}, {NGHTTP2_PUSH_PROMISE, 4, 1, P("\0\0\0\2" HP_GET)}}},
    {"padding of DATA as long as the frame (6.1)", ENDS, NGHTTP2_PROTOCOL_ERROR, {{H, 4, 1, P(WAIT)}, {NGHTTP2_DATA, F_PADDED, 1, P("\5abcd")}}},
    {"padding of HEADERS longer than the frame (6.2)", ENDS, NGHTTP2_PROTOCOL_ERROR, {{H, ALL | F_PADDED, 1, P("\377" HP_GET)}}},
    {"an index of no HPACK table (RFC 7541 2.3.3)", ENDS, NGHTTP2_COMPRESSION_ERROR, {{H, ALL, 1, P("\377\200\1")}}},
    {"a Huffman string that does not end well (RFC 7541 5.2)", ENDS, NGHTTP2_COMPRESSION_ERROR, {{H, ALL, 1, P(HP_GET "\x00\x01x\x81\x00")}}},
    {"a table size above the limit (RFC 7541 6.3)", ENDS, NGHTTP2_COMPRESSION_ERROR, {{H, ALL, 1, P("\x3f\xe2\x7f" HP_GET)}}},
    {"a string longer than the block (RFC 7541 5.2)", ENDS, NGHTTP2_COMPRESSION_ERROR, {{H, ALL, 1, P(HP_GET "\x00\x01x\x10y")}}},
    /* requests: 8.2, 8.3 */
    {"a name in upper case (8.2.1)", RESETS, NGHTTP2_PROTOCOL_ERROR, {{H, ALL, 1, P(HP_GET LIT("\1", "X", "\1", "y"))}}},
    {"a line break in a value (8.2.1)", RESETS, NGHTTP2_PROTOCOL_ERROR, {{H, ALL, 1, P(HP_GET LIT("\1", "x", "\3", "a\nb"))}}},
    {"a NUL in a value (8.2.1)", RESETS, NGHTTP2_PROTOCOL_ERROR, {{H, ALL, 1, P(HP_GET LIT("\1", "x", "\3", "a\0b"))}}},
    {"a blank before a value (8.2.1)", RESETS, NGHTTP2_PROTOCOL_ERROR, {{H, ALL, 1, P(HP_GET LIT("\1", "x", "\2", " b"))}}},
    {"a field \"connection\" (8.2.2)", RESETS, NGHTTP2_PROTOCOL_ERROR, {{H, ALL, 1, P(HP_GET LIT("\12", "connection", "\5", "close"))}}},
    {"a field \"transfer-encoding\" (8.2.2)", RESETS, NGHTTP2_PROTOCOL_ERROR, {{H, 4, 1, P(POST LIT("\21", "transfer-encoding", "\7", "chunked"))}}},
    {"a field \"te\" other than trailers (8.2.2)", RESETS, NGHTTP2_PROTOCOL_ERROR, {{H, ALL, 1, P(HP_GET LIT("\2", "te", "\4", "gzip"))}}},
    {"a pseudo-header field that is not known (8.3)", RESETS, NGHTTP2_PROTOCOL_ERROR, {{H, ALL, 1, P(HP_GET LIT("\5", ":word", "\1", "a"))}}},
    {"a pseudo-header field of answers (8.3)", RESETS, NGHTTP2_PROTOCOL_ERROR, {{H, ALL, 1, P(HP_GET "\x88")}}},
    {"a pseudo-header field behind others (8.3)", RESETS, NGHTTP2_PROTOCOL_ERROR,
     {{H, ALL, 1, P("\x82\x86" LIT("\1", "x", "\1", "y") "\x84\x41\x01h")}}},
    {"no :path (8.3.1)", RESETS, NGHTTP2_PROTOCOL_ERROR, {{H, ALL, 1, P("\x82\x86\x41\x01h")}}},
    {"no :method (8.3.1)", RESETS, NGHTTP2_PROTOCOL_ERROR, {{H, ALL, 1, P("\x84\x86\x41\x01h")}}},
    {"no :scheme (8.3.1)", RESETS, NGHTTP2_PROTOCOL_ERROR, {{H, ALL, 1, P("\x82\x84\x41\x01h")}}},
    {"an empty :path (8.3.1)", RESETS, NGHTTP2_PROTOCOL_ERROR, {{H, ALL, 1, P("\x82\x86\x41\x01h" "\x04\x00")}}},
    {"two :method (8.3.1)", RESETS, NGHTTP2_PROTOCOL_ERROR, {{H, ALL, 1, P(HP_GET "\x82")}}},
    {"two :path (8.3.1)", RESETS, NGHTTP2_PROTOCOL_ERROR, {{H, ALL, 1, P(HP_GET "\x84")}}},
    {"neither :authority nor host (8.3.1)", RESETS, NGHTTP2_PROTOCOL_ERROR, {{H, ALL, 1, P("\x82\x84\x86")}}},
    /* content-length */
    {"content-length and no body (8.1.1)", RESETS, NGHTTP2_PROTOCOL_ERROR, {{H, ALL, 1, P(POST "\x0f\x0d\x01" "5")}}},
    {"less body than content-length (8.1.1)", RESETS, NGHTTP2_PROTOCOL_ERROR,
     {{H, 4, 1, P("\x83\x44\x05/wait\x86\x41\x01h\x0f\x0d\x01" "5")}, {NGHTTP2_DATA, F_END_STREAM, 1, P("abc")}}},
    {"more body than content-length (8.1.1)", RESETS, NGHTTP2_PROTOCOL_ERROR,
     {{H, 4, 1, P("\x83\x44\x05/wait\x86\x41\x01h\x0f\x0d\x01" "2")}, {NGHTTP2_DATA, F_END_STREAM, 1, P("abc")}}},
    {"a content-length that is no number (8.1.1)", RESETS, NGHTTP2_PROTOCOL_ERROR, {{H, 4, 1, P(POST "\x0f\x0d\x02" "+5")}}},
    {"two content-lengths (8.1.1)", RESETS, NGHTTP2_PROTOCOL_ERROR, {{H, 4, 1, P(POST "\x0f\x0d\x01" "5" "\x0f\x0d\x01" "6")}}},
    /* trailers */
    {"a second head without END_STREAM (8.1)", RESETS, NGHTTP2_PROTOCOL_ERROR, {{H, 4, 1, P(WAIT)}, {H, 4, 1, P(LIT("\1", "x", "\1", "y"))}}},
    {"a pseudo-header field in trailers (8.1)", RESETS, NGHTTP2_PROTOCOL_ERROR, {{H, 4, 1, P(WAIT)}, {H, ALL, 1, P(HP_GET)}}},
};

static bool case_is_met(struct raw *r, const struct bad *b)
{
    while (raw_next(r)) {
        if (b->kind == ENDS && r->type == NGHTTP2_GOAWAY)
            return (int)raw_u32(r->payload + 4) == b->code;
        if (r->type == NGHTTP2_RST_STREAM)
            return b->kind == RESETS && r->id == 1 && (int)raw_u32(r->payload) == b->code;
        if (r->type == NGHTTP2_GOAWAY)
            return false;
    }
    return false;
}

TEST(http_h2_bad, each_malformed_frame_gets_the_error_that_the_specification_names)
{
    struct site s;
    site_start(&s, &plain);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const struct bad *b = &cases[i];
        struct raw *r = raw_open(&s);
        for (int k = 0; k < 3 && b->f[k].payload; k++) {
            static const char large[16385];
            int len = b->f[k].len;
            raw_send(r, len < 0 ? sizeof large : (uint32_t)len, b->f[k].type, b->f[k].flags, b->f[k].id, len < 0 ? large : b->f[k].payload);
        }
        bool met = case_is_met(r, b);
        if (!met)
            fprintf(stderr, "%s: frame of type %d, stream %d, code %u\n", b->what, r->type, r->id,
                    r->type == NGHTTP2_GOAWAY ? raw_u32(r->payload + 4) : r->type == NGHTTP2_RST_STREAM ? raw_u32(r->payload) : 0);
        EXPECT(met);
        raw_close(r);
    }
    site_stop(&s);
}

/* 5.5, 4.1, 6.3: to be read over. And a request behind it is served. */
TEST(http_h2_bad, what_may_be_ignored_is_ignored)
{
    struct site s;
    site_start(&s, &plain);
    struct raw *r = raw_open(&s);
    raw_send(r, 4, 0x42, 0xff, 0, "what");                          /* unknown frame */
    raw_send(r, 6, NGHTTP2_SETTINGS, 0, 0, "\xf0\x0d\0\0\0\1");     /* unknown setting */
    raw_send(r, 5, NGHTTP2_PRIORITY, 0, 1, "\0\0\0\1\20");          /* depends on itself: priorities are not used */
    raw_send(r, 8, NGHTTP2_PING, F_ACK, 0, "nobodyas");             /* an answer to no question */
    raw_send(r, sizeof HP_GET - 1, H, ALL | 0x40, 1, HP_GET);       /* unknown flag */
    EXPECT(raw_wait(r, NGHTTP2_HEADERS));
    EXPECT_EQ(r->payload[0], 0x88);                                 /* :status 200 */
    raw_send(r, 4, NGHTTP2_WINDOW_UPDATE, 0, 1, "\0\0\0\1");        /* the stream has ended meanwhile */
    raw_send(r, 4, NGHTTP2_RST_STREAM, 0, 1, "\0\0\0\10");
    raw_send(r, sizeof HP_GET - 1, H, ALL, 5, HP_GET);
    EXPECT(raw_wait(r, NGHTTP2_HEADERS));
    raw_send(r, sizeof HP_GET - 1, H, ALL, 3, HP_GET);              /* may be trailers of a stream that was reset */
    raw_send(r, 8, NGHTTP2_PING, 0, 0, "12345678");
    EXPECT(raw_wait(r, NGHTTP2_PING));
    EXPECT_EQ(memcmp(r->payload, "12345678", 8), 0);
    EXPECT_EQ(r->flags, F_ACK);
    raw_close(r);
    site_stop(&s);
}

TEST(http_h2_bad, a_preface_that_is_wrong_ends_the_connection)
{
    struct site s;
    site_start(&s, &plain);
    const char *out = ask_raw(&s, "PRI * HTTP/2.0\r\n\r\nSM\r\n\rX", 24);
    EXPECT(strlen(out) < 200 && !strstr(out, "HTTP/1.1 200"));   /* frames hold NULs: only that it ended */
    struct raw r = {.conn = h2_dial(&s)};
    (void)weft_conn_write(NULL, r.conn, PREFACE, 24);
    raw_send(&r, 8, NGHTTP2_PING, 0, 0, "12345678");              /* 3.4: SETTINGS come first */
    EXPECT_EQ(raw_goaway(&r), NGHTTP2_PROTOCOL_ERROR);
    (void)weft_conn_close(r.conn);
    site_stop(&s);
}

/* 8.3.1: two names for one host are a way around a proxy. */
TEST(http_h2_bad, authority_and_host_must_agree)
{
    struct site s;
    struct h2_peer p;
    site_start(&s, &plain);
    h2_open(&p, &s);
    int32_t same = h2_ask(&p, "GET", "/", H2_EXTRA("host", "Example.org"), false),
            other = h2_ask(&p, "GET", "/", H2_EXTRA("host", "example.com"), false);
    h2_until_done(&p);
    EXPECT_EQ(h2_at(&p, same)->status, 200);
    EXPECT_EQ(h2_at(&p, other)->status, 400);
    h2_close(&p);
    site_stop(&s);
}

/* The same rule as for the field Host of HTTP/1, and no user (8.3.1). */
TEST(http_h2_bad, an_authority_that_is_no_host_is_refused)
{
    static const char *const bad[] = {"u@h", "u:p@h", "h:x", "h:80:80", "[::1", "[]", "h%", "h%4g"}, *const good[] = {"h", "h:", "[::1]:80", "h%41"};
    struct site s;
    site_start(&s, &plain);
    struct raw *r = raw_open(&s);
    for (int i = 0; i < 12; i++) {
        const char *host = i < 8 ? bad[i] : good[i - 8];
        char head[64];
        int n = snprintf(head, sizeof head, "\x82\x84\x86\x41%c%s", (int)strlen(host), host);
        raw_send(r, (uint32_t)n, H, ALL, 1 + 2 * i, head);
        EXPECT(raw_wait(r, NGHTTP2_HEADERS));
        if (r->payload[0] != (i < 8 ? 0x8c : 0x88)) /* :status 400, 200 */
            weft_test_fail(__FILE__, __LINE__, "%s: %02x", host, r->payload[0]);
    }
    raw_close(r);
    site_stop(&s);
}

/* ---- floods: the connection ends with ENHANCE_YOUR_CALM, and not before a fair client would be through ---- */

static void flood_send(weft_conn *conn, const char *bytes, size_t len, int n)
{
    char *all = malloc(len * 100);
    for (int i = 0; i < 100; i++)
        memcpy(all + (size_t)i * len, bytes, len);
    for (int i = 0; i < n / 100 && weft_conn_write(NULL, conn, all, len * 100) > 0; i++)
        ;
    free(all);
}

static int flood(const char *frame, size_t len, int n)
{
    struct site s;
    weft_waitgroup wg = {0};
    site_start(&s, &plain);
    struct raw *r = raw_open(&s);
    raw_send(r, sizeof WAIT - 1, H, F_END_HEADERS, 1, WAIT);
    weft_waitgroup_go(&wg, flood_send, r->conn, frame, len, n);
    int code = raw_goaway(r);
    (void)weft_conn_set_deadline(r->conn, 1);
    weft_waitgroup_wait(&wg);
    raw_close(r);
    site_stop(&s);
    return code;
}

#define FLOOD(frame) flood(frame, sizeof(frame) - 1, 100000)

TEST(http_h2_bad, floods_of_frames_that_do_nothing_end_the_connection)
{
    EXPECT_EQ(FLOOD("\0\0\10\6\0\0\0\0\0" "12345678"), NGHTTP2_ENHANCE_YOUR_CALM);   /* PING: CVE-2019-9512 */
    EXPECT_EQ(FLOOD("\0\0\0\4\0\0\0\0\0"), NGHTTP2_ENHANCE_YOUR_CALM);               /* SETTINGS: CVE-2019-9515 */
    EXPECT_EQ(FLOOD("\0\0\0\0\0\0\0\0\1"), NGHTTP2_ENHANCE_YOUR_CALM);               /* empty DATA: CVE-2019-9518 */
    EXPECT_EQ(FLOOD("\0\0\5\0\10\0\0\0\1" "\4\0\0\0\0"), NGHTTP2_ENHANCE_YOUR_CALM); /* DATA that is all padding */
    EXPECT_EQ(FLOOD("\0\0\5\2\0\0\0\0\3" "\0\0\0\0\20"), NGHTTP2_ENHANCE_YOUR_CALM); /* PRIORITY: CVE-2019-9513 */
}

TEST(http_h2_bad, a_padded_body_is_no_flood)
{
    struct site s;
    site_start(&s, &plain);
    struct raw *r = raw_open(&s);
    raw_send(r, sizeof WAIT - 1, H, F_END_HEADERS, 1, WAIT);
    for (int i = 0; i < 3000; i++)
        raw_send(r, 4, NGHTTP2_DATA, F_PADDED, 1, "\2x\0\0");
    raw_send(r, 8, NGHTTP2_PING, 0, 0, "12345678");
    EXPECT(raw_wait(r, NGHTTP2_PING));
    raw_close(r);
    site_stop(&s);
}

/* 5,000 streams, each of which is reset because of the second frame; then a PING. What the server's GOAWAY says; 0: it bore
 * with them, for they came so slowly that it should: 500, and 100 a second (h2guard.c). */
static int resets_once(struct raw *r, int head_flags, int type, const char *payload)
{
    weft_time began = weft_now();
    for (int32_t id = 1; id < 10000; id += 2) {
        raw_send(r, sizeof WAIT - 1, H, head_flags, id, WAIT);
        raw_send(r, 4, type, 0, id, payload);
    }
    raw_send(r, 8, NGHTTP2_PING, 0, 0, "all sent");
    while (raw_next(r) && r->type != NGHTTP2_GOAWAY)
        if (r->type == NGHTTP2_PING && weft_now() - began >= 40 * WEFT_SEC)
            return 0;
    return r->err ? r->err : (int)raw_u32(r->payload + 4);
}

static int resets(int head_flags, int type, const char *payload)
{
    for (;;) {
        struct site s;
        site_start(&s, &plain);
        struct raw *r = raw_open(&s);
        int code = resets_once(r, head_flags, type, payload);
        raw_close(r);
        site_stop(&s);
        if (code)
            return code;
    }
}

/* CVE-2023-44487: ask and reset, over and over. */
TEST(http_h2_bad, rapid_resets_end_the_connection)
{
    EXPECT_EQ(resets(ALL, NGHTTP2_RST_STREAM, "\0\0\0\10"), NGHTTP2_ENHANCE_YOUR_CALM);
}

/* CVE-2025-8671: make the server reset its own streams. */
TEST(http_h2_bad, resets_that_a_client_brings_about_count_too)
{
    EXPECT_EQ(resets(F_END_HEADERS, NGHTTP2_WINDOW_UPDATE, "\177\377\377\377"), NGHTTP2_ENHANCE_YOUR_CALM);
}

/* CVE-2024-27316, CVE-2024-28182: a head that never ends. */
TEST(http_h2_bad, a_flood_of_continuations_ends_the_connection)
{
    struct site s;
    site_start(&s, &plain);
    struct raw *r = raw_open(&s);
    raw_send(r, sizeof HP_GET - 1, H, F_END_STREAM, 1, HP_GET);
    for (int i = 0; i < 1000; i++)
        raw_send(r, 5, NGHTTP2_CONTINUATION, 0, 1, LIT("\1", "x", "\1", "y"));
    int code = raw_goaway(r);
    EXPECT(code == NGHTTP2_ENHANCE_YOUR_CALM || code == NGHTTP2_INTERNAL_ERROR);   /* nghttp2's own limit may come first */
    raw_close(r);
    site_stop(&s);
}

/* CVE-2016-6581: one field of 4,000 bytes in the table, then a byte for each time it is named again. */
TEST(http_h2_bad, a_head_that_unpacks_to_a_megabyte_ends_the_connection)
{
    struct site s;
    static char block[16000];
    site_start(&s, &plain);
    struct raw *r = raw_open(&s);
    size_t n = sizeof HP_GET - 1;
    memcpy(block, HP_GET, n);
    memcpy(block + n, "\x40\x01x\x7f\xa1\x1e", 6);   /* "x" and 4,000 bytes, into the table */
    n += 6;
    memset(block + n, 'a', 4000);
    n += 4000;
    memset(block + n, '\xbe', sizeof block - n);     /* the first entry of the table, 12,000 times */
    raw_send(r, sizeof block, H, ALL, 1, block);
    EXPECT_EQ(raw_goaway(r), NGHTTP2_ENHANCE_YOUR_CALM);
    raw_close(r);
    site_stop(&s);
}

/* A head a piece at a time, without end. */
TEST(http_h2_bad, a_slow_head_has_a_time_limit)
{
    struct site s;
    struct weft_http_server_opts o = {.handler = handle, .head_timeout = 50 * WEFT_MS};
    site_start(&s, &o);
    struct raw *r = raw_open(&s);
    raw_send(r, sizeof HP_GET - 1, H, F_END_STREAM, 1, HP_GET);
    EXPECT_EQ(raw_goaway(r), NGHTTP2_ENHANCE_YOUR_CALM);
    raw_close(r);
    site_stop(&s);
}

TEST(http_h2_bad, streams_past_the_limit_are_refused)
{
    struct site s;
    struct weft_http_server_opts o = {.handler = handle, .streams_max = 3};
    site_start(&s, &o);
    struct raw *r = raw_open(&s);
    for (int32_t id = 1; id <= 7; id += 2)
        raw_send(r, sizeof WAIT - 1, H, ALL, id, WAIT);
    EXPECT(raw_wait(r, NGHTTP2_RST_STREAM));
    EXPECT_EQ(r->id, 7);
    EXPECT_EQ(raw_u32(r->payload), NGHTTP2_REFUSED_STREAM);
    raw_close(r);
    site_stop(&s);
}

/* A client that asks and never reads: its answers are bounded by its windows, and what it makes us say by a limit. */
TEST(http_h2_bad, a_client_that_never_reads_is_let_go)
{
    struct site s;
    weft_waitgroup wg = {0};
    struct weft_http_server_opts o = {.handler = handle, .io_timeout = 100 * WEFT_MS};
    site_start(&s, &o);
    struct raw *r = raw_open(&s);
    static const char ping[] = "\0\0\10\6\0\0\0\0\0" "12345678";
    weft_waitgroup_go(&wg, flood_send, r->conn, ping, sizeof ping - 1, 1000000);
    weft_waitgroup_wait(&wg);   /* the server has closed, or it would not end */
    raw_close(r);
    site_stop(&s);
}
#endif
