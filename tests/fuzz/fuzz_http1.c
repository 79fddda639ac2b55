/*
 * fuzz_http1.c - heads, chunked bodies and URLs from arbitrary bytes.
 *
 * Checks that a message reads the same however its bytes arrive (all at once, or cut at two places), that offsets stay
 * inside the buffer, that skipping a body leaves W1 true, and that a URL which parses is normal (U1): it parses again, to
 * itself. First byte: which of them. Build: clang -fsanitize=fuzzer,address with src/http/{head,headscan,wirebody,url,httpbuf}.c.
 */
#include <stdlib.h>
#include <string.h>

#include "../../src/http/http_int.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define CHECK(c) ((c) ? (void)0 : abort())

/* The fuzzer links the parsers alone. */
void weft__throw(const char *fmt, ...)
{
    (void)fmt;
    abort();
}
ssize_t weft_conn_read(weft_ctx *ctx, weft_conn *conn, void *buf, size_t n)
{
    (void)ctx, (void)conn, (void)buf, (void)n;
    return 0;
}

static int parse_cut(struct weft__head *h, llhttp_type_t type, const uint8_t *s, size_t len, const size_t *cuts, int n)
{
    struct weft__hbuf *b = weft__hbuf_get(len);
    CHECK(b);
    memcpy(b->data, s, len);
    weft__head_init(h, type, b);
    int state = 0;
    for (int i = 0; i < n && state == 0; i++)
        state = weft__head_parse(h, cuts[i]);
    return state;
}

static void check_fields(const struct weft__head *h, const struct weft__head *g)
{
    struct weft_http_field f, e;
    CHECK(h->fields_len == g->fields_len && h->end == g->end);
    for (size_t i = 0; weft__head_at(h, i, &f); i++) {
        CHECK(weft__head_at(g, i, &e) && strcmp(f.name, e.name) == 0 && strcmp(f.value, e.value) == 0);
        CHECK(strlen(f.name) == h->fields[i].name_len && strlen(f.value) == h->fields[i].value_len);
        CHECK(weft__http_field_ok(f.name, f.value));
    }
}

static void drop(struct weft__head *h)
{
    weft__head_done(h);
    weft__hbuf_put(h->buf);
}

/* N1, N2: what the one-pass reader takes, llhttp takes alike. */
static void fuzz_scan(llhttp_type_t type, const uint8_t *s, size_t len, const struct weft__head *want, int state)
{
    static struct weft__head h;
    struct weft__hbuf *b = weft__hbuf_get(len);
    CHECK(b);
    memcpy(b->data, s, len);
    if (type == HTTP_RESPONSE ? weft__head_scan_response(&h, b, len) : weft__head_scan(&h, b, 0, len)) {
        CHECK(state == 1 && h.p.flags == (want->p.flags & (F_CONTENT_LENGTH | F_CONNECTION_CLOSE | F_CONNECTION_KEEP_ALIVE)));
        CHECK(type != HTTP_RESPONSE || h.p.status_code == want->p.status_code);
        check_fields(&h, want);
    } else {
        CHECK(memcmp(b->data, s, len) == 0);
    }
    weft__hbuf_put(b);
}

static void fuzz_message(llhttp_type_t type, const uint8_t *s, size_t len)
{
    struct weft__head h, g;
    size_t once[] = {len}, cuts[] = {len / 3, len / 2, len};
    int a = parse_cut(&h, type, s, len, once, 1), b = parse_cut(&g, type, s, len, cuts, 3);
    CHECK(a == b);
    fuzz_scan(type, s, len, &h, a);
    h.keep_trailers = type == HTTP_RESPONSE;
    if (a == 1) {
        check_fields(&h, &g);
        struct weft__wire w = {.head = &h, .buf = h.buf, .pos = h.end, .base = h.end, .end = (uint32_t)len, .why = ""};
        if (weft__wire_framing(&h, type == HTTP_REQUEST, false, &w.framing, &w.left) == 0) {
            w.done = w.framing == WEFT__BODY_NONE;
            bool whole = weft__wire_skip_buffered(&w);
            CHECK(w.pos <= w.end && w.pos >= h.end && whole <= w.done);
            struct weft_http_field f;
            for (size_t i = 0; whole && weft__trailer_at(h.trailers, i, &f); i++)
                CHECK(weft__http_field_ok(f.name, f.value));
        }
    }
    drop(&h);
    drop(&g);
}

static void fuzz_url(const uint8_t *s, size_t len)
{
    struct weft__url u = {0}, v = {0};
    u.text = u.near;
    v.text = v.near;
    char *ref = malloc(len + 1);
    CHECK(ref);
    memcpy(ref, s, len);
    ref[len] = '\0';
    if (weft__url_parse(&u, ref, strlen(ref)) == 0) {
        if (u.len <= WEFT__URL_MAX) {
            CHECK(weft__url_parse(&v, u.text, u.len) == 0);
            CHECK(strcmp(u.text, v.text) == 0 && u.port == v.port && u.host == v.host && u.target == v.target);
        }
        for (const char *t = u.text; *t; t++)
            CHECK(*t > 0x20 && *t < 0x7f);
        CHECK(u.text[u.target] == '/' && u.host_len && u.host_len <= 255);
    }
    weft__url_done(&u);
    weft__url_done(&v);
    static const char base[] = "http://a/b/c/d;p?q";
    CHECK(weft__url_parse(&u, base, sizeof base - 1) == 0);
    if (weft__url_resolve(&v, &u, ref) == 0)
        CHECK(v.text[v.target] == '/');
    weft__url_done(&u);
    weft__url_done(&v);
    free(ref);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!size)
        return 0;
    switch (data[0] % 3) {
    case 0:
        fuzz_message(HTTP_RESPONSE, data + 1, size - 1);
        break;
    case 1:
        fuzz_message(HTTP_REQUEST, data + 1, size - 1);
        break;
    default:
        fuzz_url(data + 1, size - 1);
    }
    return 0;
}
