/*
 * fuzz_http1.c - heads of requests and responses from arbitrary bytes.
 *
 * Checks that a head reads the same however its bytes arrive, that what the one-pass reader takes llhttp takes alike (N1, N2
 * in headscan.c), and that every field may stand in a head. First byte: request or response; then the seed of the cuts.
 */
#include "../../src/http/http_int.h"
#include "fuzz.h"

static int parse_cut(struct weft__head *h, llhttp_type_t type, const uint8_t *s, size_t len, uint32_t split)
{
    struct weft__hbuf *b = weft__hbuf_get(len);
    CHECK(b);
    if (len)
        memcpy(b->data, s, len);
    weft__head_init(h, type, b);
    int state = 0;
    for (size_t at = 0; at < len && state == 0;) {
        at += fuzz_piece(&split, len - at);
        state = weft__head_parse(h, at);
    }
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

static void fuzz_scan(llhttp_type_t type, const uint8_t *s, size_t len, const struct weft__head *want, int state)
{
    static struct weft__head h;
    struct weft__hbuf *b = malloc(sizeof *b + len);   /* no byte more: reads past the end are seen */
    CHECK(b);
    b->cap = len;
    if (len)
        memcpy(b->data, s, len);
    if (type == HTTP_RESPONSE ? weft__head_scan_response(&h, b, len) : weft__head_scan(&h, b, 0, len)) {
        CHECK(state == 1 && h.p.flags == (want->p.flags & (F_CONTENT_LENGTH | F_CONNECTION_CLOSE | F_CONNECTION_KEEP_ALIVE)));
        CHECK(type != HTTP_RESPONSE || h.p.status_code == want->p.status_code);
        CHECK(type != HTTP_REQUEST || (h.p.method == want->p.method && h.target == want->target && h.target_len == want->target_len));
        CHECK(!(h.p.flags & F_CONTENT_LENGTH) || h.p.content_length == want->p.content_length);
        check_fields(&h, want);
    } else if (len) {
        CHECK(memcmp(b->data, s, len) == 0);
    }
    free(b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_in in = {data, size};
    llhttp_type_t type = fuzz_byte(&in) & 1 ? HTTP_REQUEST : HTTP_RESPONSE;
    uint32_t split = 1u + fuzz_byte(&in);
    static struct weft__head h, g;
    int a = parse_cut(&h, type, in.p, in.n, 0), b = parse_cut(&g, type, in.p, in.n, split);
    CHECK(a == b);
    fuzz_scan(type, in.p, in.n, &h, a);
    if (a == 1) {
        check_fields(&h, &g);
        CHECK(h.p.flags == g.p.flags && h.p.content_length == g.p.content_length && h.p.http_minor == g.p.http_minor);
        CHECK(h.target == g.target && h.target_len == g.target_len);
    }
    weft__head_done(&h);
    weft__head_done(&g);
    weft__hbuf_put(h.buf);
    weft__hbuf_put(g.buf);
    return 0;
}
