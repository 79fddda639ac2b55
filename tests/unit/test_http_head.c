/* Heads and bodies from byte arrays: no net. Each message is also parsed byte by byte. Source: RFC 9112. */
#include "../../src/http/http_int.h"
#include "../include/weft_test.h"

/* Parse text in steps: 1 complete, 0 wants more, below 0 refused. *h must be done by the caller. */
static int parse(struct weft__head *h, llhttp_type_t type, const char *text, size_t step)
{
    struct weft__hbuf *b = weft__hbuf_get(0);
    size_t len = strlen(text);
    int state = 0;
    memcpy(b->data, text, len);
    weft__head_init(h, type, b);
    for (size_t n = 0; n < len && state == 0;) {
        n = len - n < step ? len : n + step;
        state = weft__head_parse(h, n);
    }
    return state;
}

static void drop(struct weft__head *h)
{
    weft__head_done(h);
    weft__hbuf_put(h->buf);
}

static const size_t steps[] = {1, 2, 7, 10000};
#define EACH_STEP(i) for (size_t i = 0; i < sizeof steps / sizeof *steps; i++)

TEST(http_head, fields_keep_order_and_lose_blanks_around)
{
    EACH_STEP(i) {
        struct weft__head h;
        struct weft_http_field f;
        EXPECT_EQ(parse(&h, HTTP_RESPONSE, "HTTP/1.1 200 Fine\r\nB:1\r\na:  two words \t \r\nEmpty:\r\nB: 2\r\n"
            "Blank:   \r\nL: \xff\r\n\r\nrest", steps[i]), 1);
        EXPECT_STR(weft__head_find(&h, "A"), "two words");
        EXPECT_STR(weft__head_find(&h, "b"), "1");
        EXPECT_STR(weft__head_find(&h, "empty"), "");
        EXPECT_STR(weft__head_find(&h, "blank"), "");
        EXPECT_STR(weft__head_find(&h, "l"), "\xff");
        EXPECT(weft__head_find(&h, "c") == NULL);
        EXPECT(weft__head_at(&h, 3, &f) && strcmp(f.name, "B") == 0 && strcmp(f.value, "2") == 0);
        EXPECT(!weft__head_at(&h, 6, &f));
        EXPECT(memcmp(h.buf->data + h.end, "rest", 4) == 0);
        drop(&h);
    }
}

TEST(http_head, more_fields_than_the_table_has_room_for)
{
    char text[8000], name[16];
    size_t n = (size_t)snprintf(text, sizeof text, "GET / HTTP/1.1\r\n");
    for (int k = 0; k < 200; k++)
        n += (size_t)snprintf(text + n, sizeof text - n, "F%d: v%d\r\n", k, k);
    snprintf(text + n, sizeof text - n, "\r\n");
    EACH_STEP(i) {
        struct weft__head h;
        EXPECT_EQ(parse(&h, HTTP_REQUEST, text, steps[i]), 1);
        EXPECT_EQ(h.fields_len, 200);
        for (int k = 0; k < 200; k++) {
            const char *v;
            snprintf(name, sizeof name, "f%d", k);
            v = weft__head_find(&h, name);
            EXPECT(v && v[0] == 'v' && atoi(v + 1) == k);
        }
        drop(&h);
    }
}

TEST(http_head, broken_heads_are_refused_however_they_arrive)
{
    static const struct {
        llhttp_type_t type;
        const char *text;
    } bad[] = {
        {HTTP_RESPONSE, "HTTP/1.1 200 OK\r\nA: b\r\n c\r\n\r\n"}, {HTTP_RESPONSE, "HTTP/1.1 200 OK\r\nA : b\r\n\r\n"},
        {HTTP_RESPONSE, "HTTP/1.1 200 OK\nA: b\n\n"}, {HTTP_RESPONSE, "HTTP/1.1 200 OK\r\nA: b\rc\r\n\r\n"},
        {HTTP_RESPONSE, "HTTP/1.1 20 OK\r\n\r\n"}, {HTTP_RESPONSE, "HTTP/1.1 2000 OK\r\n\r\n"}, {HTTP_RESPONSE,
            "HTTP/1 200 OK\r\n\r\n"},
        {HTTP_RESPONSE, "HTTP/1.1 200 OK\r\n: b\r\n\r\n"}, {HTTP_RESPONSE, "HTTP/1.1 200 OK\r\nA: \x01\r\n\r\n"},
        {HTTP_RESPONSE, "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n"},
        {HTTP_RESPONSE, "HTTP/1.1 200 OK\r\nContent-Length: 1, 1\r\n\r\n"}, {HTTP_RESPONSE,
            "HTTP/1.1 200 OK\r\nContent-Length: 0x1\r\n\r\n"},
        {HTTP_REQUEST, "GET / x HTTP/1.1\r\n\r\n"}, {HTTP_REQUEST, "GET /\x80 HTTP/1.1\r\n\r\n"},
        {HTTP_REQUEST, "FETCH / HTTP/1.1\r\n\r\n"}, {HTTP_REQUEST, "GET / HTTP/1.1\r\nTransfer-Encoding: chunked, gzip\r\n\r\n"},
    };
    for (size_t k = 0; k < sizeof bad / sizeof *bad; k++) {
        EACH_STEP(i) {
            struct weft__head h;
            int state = parse(&h, bad[k].type, bad[k].text, steps[i]);
            if (state != WEFT_EPROTO)
                weft_test_fail(__FILE__, __LINE__, "%d in steps of %zu for %s", state, steps[i], bad[k].text);
            EXPECT(*weft__head_reason(&h));
            drop(&h);
        }
    }
}

TEST(http_head, unfinished_heads_want_more)
{
    const char *text = "HTTP/1.1 200 OK\r\nA: b\r\n\r";
    EACH_STEP(i) {
        struct weft__head h;
        EXPECT_EQ(parse(&h, HTTP_RESPONSE, text, steps[i]), 0);
        drop(&h);
    }
}

/* Decode a chunked body that is in the buffer whole; no connection is touched. */
TEST(http_head, chunks_are_decoded_in_place)
{
    static const struct {
        const char *body, *plain, *rest;
    } good[] = {
        {"0\r\n\r\n", "", ""}, {"3\r\nabc\r\n0\r\n\r\nNEXT", "abc", "NEXT"},
            {"3;a=b;c=\"d\"\r\nabc\r\n00000a\r\n0123456789\r\n0\r\nT: x\r\nU: y\r\n\r\n", "abc0123456789", ""},
        {"1\r\na\r\n1\r\nb\r\n1\r\nc\r\n0\r\n\r\n", "abc", ""},
    };
    for (size_t k = 0; k < sizeof good / sizeof *good; k++) {
        struct weft__head h;
        char text[512], got[64] = "";
        snprintf(text, sizeof text, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%s", good[k].body);
        EXPECT_EQ(parse(&h, HTTP_RESPONSE, text, sizeof text), 1);
        struct weft__wire w = {.head = &h, .buf = h.buf, .pos = h.end, .base = h.end, .end = (uint32_t)strlen(text)};
        EXPECT_EQ(weft__wire_framing(&h, false, false, &w.framing, &w.left), 0);
        EXPECT_EQ(w.framing, WEFT__BODY_CHUNKED);
        const char *piece;
        ssize_t n;
        while ((n = weft__wire_next(NULL, &w, 2, &piece)) > 0)   /* two bytes at most, to cross the chunks */
            strncat(got, piece, (size_t)n);
        EXPECT_EQ(n, 0);
        EXPECT(w.done);
        EXPECT_STR(got, good[k].plain);
        h.buf->data[w.end] = '\0';
        EXPECT_STR(h.buf->data + w.pos, good[k].rest);
        drop(&h);
    }
}

TEST(http_head, bad_chunks_are_refused)
{
    static const char *const bad[] = {"g\r\n", "-1\r\n", "3\r\nabcd\r\n", "3\nabc\r\n", " 3\r\nabc\r\n",
        "3 \r\nabc\r\n", "10000000000000000\r\n", "\r\n", "3\r\nabc\n0\r\n\r\n"};
    for (size_t k = 0; k < sizeof bad / sizeof *bad; k++) {
        struct weft__head h;
        char text[512];
        const char *piece;
        snprintf(text, sizeof text, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%s", bad[k]);
        EXPECT_EQ(parse(&h, HTTP_RESPONSE, text, sizeof text), 1);
        struct weft__wire w = {.head = &h, .buf = h.buf, .pos = h.end, .base = h.end, .end = (uint32_t)strlen(text)};
        EXPECT_EQ(weft__wire_framing(&h, false, false, &w.framing, &w.left), 0);
        if (weft__wire_next(NULL, &w, 100, &piece) != WEFT_EPROTO)
            weft_test_fail(__FILE__, __LINE__, "accepted %s", bad[k]);
        drop(&h);
    }
}

TEST(http_head, framing_follows_rfc_9112_6_3)
{
    static const struct {
        const char *fields;
        bool request, no_body;
        int want;
        enum weft__framing framing;
    } cases[] = {
        {"", false, false, 0, WEFT__BODY_CLOSE}, {"", true, false, 0, WEFT__BODY_NONE}, {"Content-Length: 3\r\n",
            false, false, 0, WEFT__BODY_LENGTH},
        {"Content-Length: 3\r\n", false, true, 0, WEFT__BODY_NONE}, {"Content-Length: 0\r\n", false, false, 0, WEFT__BODY_NONE},
        {"Transfer-Encoding: Chunked\r\n", true, false, 0, WEFT__BODY_CHUNKED},
            {"Transfer-Encoding: gzip, chunked\r\n", false, false, WEFT_EPROTO, WEFT__BODY_NONE},
        {"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", false, false, WEFT_EPROTO, WEFT__BODY_NONE},
        {"Transfer-Encoding: identity\r\n", false, false, WEFT_EPROTO, WEFT__BODY_NONE},
    };
    for (size_t k = 0; k < sizeof cases / sizeof *cases; k++) {
        struct weft__head h;
        char text[512];
        enum weft__framing framing;
        uint64_t len;
        snprintf(text, sizeof text, "%s\r\n%s\r\n", cases[k].request ? "POST / HTTP/1.1" : "HTTP/1.1 200 OK", cases[k].fields);
        if (parse(&h, cases[k].request ? HTTP_REQUEST : HTTP_RESPONSE, text, sizeof text) == 1) {
            int got = weft__wire_framing(&h, cases[k].request, cases[k].no_body, &framing, &len);
            if (got != cases[k].want || (got == 0 && framing != cases[k].framing))
                weft_test_fail(__FILE__, __LINE__, "%s: %d, framing %d", cases[k].fields, got, (int)framing);
        } else {
            EXPECT_EQ(cases[k].want, WEFT_EPROTO);
        }
        drop(&h);
    }
}

TEST(http_head, words_and_fields)
{
    EXPECT(weft__http_has_word("close", "close") && weft__http_has_word(" a , Close;x, b", "close") &&
        !weft__http_has_word("closed", "close"));
    EXPECT(!weft__http_has_word("", "x") && !weft__http_has_word("a;close", "close"));
    EXPECT(weft__http_field_ok("X-a", "b\tc \xff") && !weft__http_field_ok("", "b") && !weft__http_field_ok("a:", "b"));
    EXPECT(!weft__http_field_ok("a", "b\n") && !weft__http_field_ok("a", NULL) && !weft__http_field_ok("a b", "") &&
        !weft__http_field_ok("a", "\x7f"));
}
