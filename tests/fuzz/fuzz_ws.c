/*
 * fuzz_ws.c - a WebSocket conversation with a peer that says anything.
 *
 * Checks that the same bytes give the same messages, the same end and the same code whether they are read whole or in parts,
 * lie in the buffer from the start or come over a socket; that text which is handed out is UTF-8 and within the limit; that a mask
 * put on twice is none; that a header which was cut is built the same. First bytes: whose side we are, limit, how much comes later.
 */
#include <sys/socket.h>
#include <unistd.h>

#include "../../src/http/ws_int.h"
#include "fuzz.h"

struct outcome {
    uint8_t *text;             /* of each message: its type, its bytes, its length */
    size_t len, cap;
    int state, code;
    char reason[130];
};

static void put(struct outcome *o, const void *p, size_t n)
{
    if (o->len + n > o->cap) {
        o->cap = 2 * (o->len + n);
        CHECK((o->text = realloc(o->text, o->cap)));
    }
    if (n)
        memcpy(o->text + o->len, p, n);
    o->len += n;
}

static void check_message(int type, const void *p, size_t n, size_t max)
{
    struct weft__utf8 u = {0};
    CHECK((type == WEFT_WS_TEXT || type == WEFT_WS_BINARY) && n <= max);
    CHECK(type == WEFT_WS_BINARY || (weft__utf8_check(&u, p, n) && !u.need));
}

static int read_whole(weft_ws *ws, struct outcome *o, size_t max)
{
    struct weft_ws_message m;
    int state;
    while ((state = weft_ws_read(NULL, ws, &m)) > 0) {
        check_message(m.type, m.data, m.len, max);
        CHECK(m.data[m.len] == '\0');
        uint8_t type = (uint8_t)m.type;
        put(o, &type, 1);
        put(o, m.data, m.len);
        put(o, &m.len, sizeof m.len);
    }
    return state;
}

static int read_parts(weft_ws *ws, struct outcome *o, size_t room, size_t max)
{
    char buf[5000];
    int type, state;
    while ((state = weft_ws_read_begin(NULL, ws, &type)) > 0) {
        size_t from = o->len + 1, len = 0;
        ssize_t n;
        put(o, &(uint8_t){(uint8_t)type}, 1);
        while ((n = weft_ws_read_part(NULL, ws, buf, room)) > 0) {
            CHECK((size_t)n <= room);
            put(o, buf, (size_t)n);
            len += (size_t)n;
        }
        if (n < 0) {
            o->len = from - 1;   /* no message */
            return weft_ws_closed(ws, NULL) == WEFT_WS_ABNORMAL ? (int)n : 0;
        }
        check_message(type, o->text + from, len, max);
        put(o, &len, sizeof len);
    }
    return state;
}

/* The bytes, the first `early` of them in the buffer from the start, the others over a socket. room 0: whole messages. */
static void run(const uint8_t *s, size_t n, size_t early, bool client, size_t max, size_t room, struct outcome *o)
{
    int fd[2];
    weft_conn *conn;
    CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fd) == 0);
    CHECK(n == early || write(fd[1], s + early, n - early) == (ssize_t)(n - early));
    CHECK(shutdown(fd[1], SHUT_WR) == 0);
    CHECK(weft__conn_new(fd[0], false, false, &conn) == 0);
    struct weft_ws_opts opts = {.message_bytes_max = (int64_t)max};
    weft_ws *ws = weft__ws_new(conn, client, &opts, NULL, s, early);
    CHECK(ws);
    *o = (struct outcome){0};
    o->state = room ? read_parts(ws, o, room, max) : read_whole(ws, o, max);
    const char *reason;
    o->code = weft_ws_closed(ws, &reason);
    CHECK(o->code != 0 && strlen(reason) <= 123);
    memcpy(o->reason, reason, strlen(reason) + 1);
    weft_ws_free(ws);
    (void)close(fd[1]);
}

/* A header that is good is built back to the same bytes. */
static void check_head(const uint8_t *s, size_t n, bool masked)
{
    struct weft__ws_head h = {0};
    uint8_t p[WEFT__WS_HEAD_MAX];
    int len = weft__ws_head_parse(s, n, masked, false, &h);
    CHECK(len <= WEFT__WS_HEAD_MAX && (len >= 0 || len == -WEFT_WS_PROTOCOL));
    if (len > 0)
        CHECK(weft__ws_head_build(p, (h.fin ? 0x80u : 0) | h.op, h.len, masked ? &h.mask : NULL) == (size_t)len && memcmp(p, s, (size_t)len) == 0);
}

/* In one go and in two pieces: the same bytes; and twice is not at all. */
static void check_mask(const uint8_t *s, size_t n, size_t cut)
{
    uint8_t a[256], b[256];
    uint32_t mask;
    if (n < 4 || n > sizeof a)
        return;
    memcpy(&mask, s, 4);
    cut = cut < n ? cut : n;
    uint32_t after = weft__ws_mask(a, s, n, mask), middle = weft__ws_mask(b, s, cut, mask);
    CHECK(weft__ws_mask(b + cut, s + cut, n - cut, middle) == after && memcmp(a, b, n) == 0);
    (void)weft__ws_mask(a, a, n, mask);
    CHECK(memcmp(a, s, n) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint16_t limits[] = {16, 125, 1000, 60000}, rooms[] = {1, 3, 100, 5000};
    struct fuzz_in in = {data, size};
    uint8_t how = fuzz_byte(&in), early = fuzz_byte(&in);
    bool client = how & 1;
    size_t max = limits[how >> 1 & 3], room = rooms[how >> 3 & 3];
    struct outcome a, b, c;
    if (in.n > 50000)
        return 0;
    check_head(in.p, in.n, !client);
    check_mask(in.p, in.n, early);
    run(in.p, in.n, in.n, client, max, 0, &a);
    run(in.p, in.n, early < in.n ? early : in.n, client, max, 0, &b);
    run(in.p, in.n, early < in.n ? early : in.n, client, max, room, &c);
    CHECK(a.state == b.state && a.code == b.code && a.len == b.len && strcmp(a.reason, b.reason) == 0);
    CHECK(!a.len || memcmp(a.text, b.text, a.len) == 0);
    CHECK(a.state == c.state && a.code == c.code && a.len == c.len && (!a.len || memcmp(a.text, c.text, a.len) == 0));
    free(a.text);
    free(b.text);
    free(c.text);
    return 0;
}
