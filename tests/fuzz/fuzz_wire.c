/*
 * fuzz_wire.c - bodies on the wire: by length, by chunks, to the end, of requests and of responses.
 *
 * Checks that a message gives the same body, trailers and error whether it comes at once or in pieces of any size, that
 * the same number of bytes is left for the next message (what smuggling lives on), and that a body skipped from the
 * buffer ends where one that was read does. Bytes: kind, seed of the pieces, read sizes; then the message, head and all.
 */
#include "../../src/http/http_int.h"
#include "fuzz.h"

struct outcome {
    int head;                  /* weft__head_parse's */
    weft_err framing, err;
    uint8_t *body;
    size_t len, cap, rest;     /* rest: bytes of the input behind the message */
    struct weft__trailers *trailers;
    bool done;
};

static void outcome_add(struct outcome *o, const char *p, size_t n)
{
    if (o->len + n > o->cap) {
        o->cap = 2 * o->cap + n;
        CHECK((o->body = realloc(o->body, o->cap)));
    }
    memcpy(o->body + o->len, p, n);
    o->len += n;
}

static void read_body(struct weft__wire *w, size_t room, struct outcome *o)
{
    char buf[8192];
    const char *piece = NULL;
    ssize_t n;
    for (;;) {
        if (room)
            n = weft__wire_read(NULL, w, buf, room);
        else
            n = weft__wire_next(NULL, w, SIZE_MAX, &piece);
        if (n <= 0)
            break;
        CHECK(!room || (size_t)n <= room);
        CHECK(w->pos <= w->end && w->end <= w->buf->cap);
        outcome_add(o, room ? buf : piece, (size_t)n);
    }
    o->err = n < 0 ? (weft_err)n : 0;
    o->done = w->done;
    CHECK(n < 0 || w->done);
}

/* The message once, its bytes in pieces by split; bodies are read with room bytes of room, 0: in place. */
static void run(llhttp_type_t type, bool no_body, const uint8_t *s, size_t len, uint32_t split, size_t room, struct outcome *o)
{
    static struct weft__head h;
    struct memconn m = {.in = s, .len = len, .split = split};
    weft_conn *conn = memconn_use(&m);
    struct weft__hbuf *b = weft__hbuf_get(len + 1);
    CHECK(b);
    weft__head_init(&h, type, b);
    h.keep_trailers = type == HTTP_RESPONSE;
    size_t have = 0;
    ssize_t n;
    *o = (struct outcome){0};
    while (o->head == 0 && (n = weft_conn_read(NULL, conn, b->data + have, b->cap - have)) > 0)
        o->head = weft__head_parse(&h, have += (size_t)n);
    struct weft__wire w = {.conn = conn, .head = &h, .buf = b, .pos = h.end, .base = h.end, .end = (uint32_t)have,
                           .wire_bytes = have, .why = ""};
    if (o->head == 1) {
        o->framing = weft__wire_framing(&h, type == HTTP_REQUEST, no_body, &w.framing, &w.left);
        if (o->framing == 0) {
            w.done = w.framing == WEFT__BODY_NONE;
            read_body(&w, room, o);
            o->rest = len - m.pos + w.end - w.pos;
            o->trailers = h.trailers;
            h.trailers = NULL;
        }
    }
    if (w.in_own_buf)
        weft__hbuf_put(w.buf);
    weft__head_done(&h);
    weft__hbuf_put(b);
    memconn_use(NULL);
}

static void check_same(const struct outcome *a, const struct outcome *b)
{
    struct weft_http_field f, g;
    CHECK(a->head == b->head && a->framing == b->framing && a->done == b->done);
    CHECK((a->err == 0) == (b->err == 0));
    if (a->err == 0) {
        CHECK(a->len == b->len && a->rest == b->rest && (!a->len || memcmp(a->body, b->body, a->len) == 0));
        for (size_t i = 0;; i++) {
            bool x = weft__trailer_at(a->trailers, i, &f), y = weft__trailer_at(b->trailers, i, &g);
            CHECK(x == y);
            if (!x)
                break;
            CHECK(strcmp(f.name, g.name) == 0 && strcmp(f.value, g.value) == 0 && weft__http_field_ok(f.name, f.value));
        }
    }
}

static void outcome_done(struct outcome *o)
{
    free(o->body);
    free(o->trailers);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint16_t rooms[] = {0, 1, 5, 100, 4096, 8192};
    struct fuzz_in in = {data, size};
    uint8_t kind = fuzz_byte(&in), room = fuzz_byte(&in);
    uint32_t split = 1u + fuzz_byte(&in);
    llhttp_type_t type = kind & 1 ? HTTP_REQUEST : HTTP_RESPONSE;
    struct outcome whole, cut;
    if (in.n > 65536)
        return 0;
    run(type, kind & 2, in.p, in.n, 0, 0, &whole);
    run(type, kind & 2, in.p, in.n, split, rooms[room % 6], &cut);
    check_same(&whole, &cut);
    outcome_done(&whole);
    outcome_done(&cut);
    return 0;
}
