/*
 * http_h2.h - clients of HTTP/2 for tests: one of nghttp2 that asks in earnest, one of raw frames that says anything.
 */
#ifndef TESTS_HTTP_H2_H
#define TESTS_HTTP_H2_H
#include <nghttp2/nghttp2.h>

#include "http_site.h"

/* Patience for a machine that is busy with other things, and for sanitizers. */
static inline weft_conn *h2_dial(struct site *s)
{
    weft_conn *c = site_dial(s);
    REQUIRE(weft_conn_set_deadline(c, weft_now() + 600 * WEFT_SEC) == 0);
    return c;
}

/* ---- nghttp2 as a client; everything on the test's goroutine ---- */

enum { ANSWERS = 400 };

struct h2_answer {
    int status, interim;         /* interim: 100s that came before */
    char fields[2048];           /* "name: value\n" of all blocks */
    char body[1 << 16];          /* cut */
    size_t body_len;             /* not cut */
    bool closed;
    uint32_t code;
};

struct h2_peer {
    weft_conn *conn;
    nghttp2_session *session;
    struct h2_answer *a;         /* by (id - 1) / 2 */
    int open;                    /* streams */
    int frames[10];              /* received, by type */
    int goaways;
    int32_t goaway_last[4];
    uint32_t goaway_code;
    bool ended;                  /* the server closed */
    const char *send;            /* body of requests */
    size_t send_len, sent;
    bool more;                   /* the body does not end with send */
};

static inline struct h2_answer *h2_at(struct h2_peer *p, int32_t id)
{
    REQUIRE(id > 0 && id / 2 < ANSWERS);
    return &p->a[id / 2];
}

static inline int h2_on_header(nghttp2_session *s, const nghttp2_frame *f, const uint8_t *name, size_t nn, const uint8_t *value,
                               size_t nv, uint8_t flags, void *arg)
{
    struct h2_answer *a = h2_at(arg, f->hd.stream_id);
    (void)s, (void)flags;
    if (nn == 7 && memcmp(name, ":status", 7) == 0) {
        a->interim += a->status != 0;
        a->status = atoi((const char *)value);
    }
    size_t at = strlen(a->fields);
    snprintf(a->fields + at, sizeof a->fields - at, "%.*s: %.*s\n", (int)nn, name, (int)nv, value);
    return 0;
}

static inline int h2_on_data(nghttp2_session *s, uint8_t flags, int32_t id, const uint8_t *data, size_t len, void *arg)
{
    struct h2_answer *a = h2_at(arg, id);
    (void)s, (void)flags;
    for (size_t i = 0; i < len; i++, a->body_len++)
        if (a->body_len < sizeof a->body - 1)
            a->body[a->body_len] = (char)data[i];
    return 0;
}

static inline int h2_on_frame(nghttp2_session *s, const nghttp2_frame *f, void *arg)
{
    struct h2_peer *p = arg;
    (void)s;
    if (f->hd.type < 10)
        p->frames[f->hd.type]++;
    if (f->hd.type == NGHTTP2_GOAWAY) {
        if (p->goaways < 4)
            p->goaway_last[p->goaways++] = f->goaway.last_stream_id;
        p->goaway_code = f->goaway.error_code;
    }
    return 0;
}

static inline int h2_on_close(nghttp2_session *s, int32_t id, uint32_t code, void *arg)
{
    struct h2_answer *a = h2_at(arg, id);
    (void)s;
    a->closed = true;
    a->code = code;
    ((struct h2_peer *)arg)->open--;
    return 0;
}

static inline void h2_start(struct h2_peer *p, weft_conn *conn, bool auto_window)
{
    nghttp2_session_callbacks *cb;
    nghttp2_option *opt;
    memset(p, 0, sizeof *p);
    p->conn = conn;
    p->a = calloc(ANSWERS, sizeof *p->a);
    REQUIRE(nghttp2_session_callbacks_new(&cb) == 0);
    REQUIRE(nghttp2_option_new(&opt) == 0);
    nghttp2_option_set_no_auto_window_update(opt, !auto_window);
    nghttp2_session_callbacks_set_on_header_callback(cb, h2_on_header);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(cb, h2_on_data);
    nghttp2_session_callbacks_set_on_frame_recv_callback(cb, h2_on_frame);
    nghttp2_session_callbacks_set_on_stream_close_callback(cb, h2_on_close);
    REQUIRE(nghttp2_session_client_new2(&p->session, cb, p, opt) == 0);
    nghttp2_session_callbacks_del(cb);
    nghttp2_option_del(opt);
    REQUIRE(nghttp2_submit_settings(p->session, NGHTTP2_FLAG_NONE, NULL, 0) == 0);
}

static inline void h2_open(struct h2_peer *p, struct site *s)
{
    h2_start(p, h2_dial(s), true);
}

static inline void h2_send(struct h2_peer *p)
{
    const uint8_t *data;
    ssize_t n;
    while (!p->ended && (n = nghttp2_session_mem_send(p->session, &data)) > 0)
        p->ended = weft_conn_write(NULL, p->conn, data, (size_t)n) < 0;
}

/* Send what there is, then receive once. */
static inline void h2_turn(struct h2_peer *p)
{
    static char buf[1 << 15];
    h2_send(p);
    if (p->ended)
        return;
    ssize_t n = weft_conn_read(NULL, p->conn, buf, sizeof buf);
    p->ended = n <= 0;
    if (n > 0)
        EXPECT_EQ(nghttp2_session_mem_recv(p->session, (uint8_t *)buf, (size_t)n), n);
    h2_send(p);
}

static inline void h2_until_done(struct h2_peer *p)
{
    while (p->open && !p->ended)
        h2_turn(p);
}

static inline void h2_until_end(struct h2_peer *p)
{
    while (!p->ended)
        h2_turn(p);
}

static inline void h2_close(struct h2_peer *p)
{
    nghttp2_session_del(p->session);
    (void)weft_conn_close(p->conn);
    free(p->a);
}

static inline ssize_t h2_body(nghttp2_session *s, int32_t id, uint8_t *buf, size_t len, uint32_t *flags,
                              nghttp2_data_source *source, void *arg)
{
    struct h2_peer *p = arg;
    size_t n = p->send_len - p->sent;
    (void)s, (void)id, (void)source;
    if (!n && p->more)
        return NGHTTP2_ERR_DEFERRED;
    if (n > len)
        n = len;
    for (size_t i = 0; i < n; i++)
        buf[i] = p->send ? (uint8_t)p->send[p->sent + i] : 'x';
    p->sent += n;
    if (p->sent == p->send_len && !p->more)
        *flags = NGHTTP2_DATA_FLAG_EOF;
    return (ssize_t)n;
}

#define H2_NV(n, v) {(uint8_t *)(uintptr_t)(n), (uint8_t *)(uintptr_t)(v), strlen(n), strlen(v), NGHTTP2_NV_FLAG_NONE}

/* Ask; extra fields are pairs, up to 4 of them. body: p->send. */
static inline int32_t h2_ask(struct h2_peer *p, const char *method, const char *path, const char *const *extra, bool body)
{
    nghttp2_nv nv[8] = {H2_NV(":method", method), H2_NV(":path", path), H2_NV(":scheme", "http"), H2_NV(":authority", "example.org")};
    size_t n = 4;
    for (; extra && extra[0]; extra += 2)
        nv[n++] = (nghttp2_nv)H2_NV(extra[0], extra[1]);
    nghttp2_data_provider source = {.read_callback = h2_body};
    int32_t id = nghttp2_submit_request(p->session, NULL, nv, n, body ? &source : NULL, NULL);
    REQUIRE(id > 0);
    p->open++;
    return id;
}

#define H2_EXTRA(...) ((const char *const[]){__VA_ARGS__, NULL})

static inline struct h2_answer *h2_get(struct h2_peer *p, const char *path)
{
    int32_t id = h2_ask(p, "GET", path, NULL, false);
    h2_until_done(p);
    return h2_at(p, id);
}

/* ---- raw frames ---- */

#define PREFACE "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
enum { F_END_STREAM = 1, F_ACK = 1, F_END_HEADERS = 4, F_PADDED = 8 };

struct raw {
    weft_conn *conn;
    uint32_t len;                /* of the frame that came last */
    uint8_t type, flags;
    int32_t id;
    int err;                     /* why there was no next one: WEFT_EEOF, or what the read said */
    uint8_t payload[1 << 15];
};

static inline void raw_send(struct raw *r, uint32_t len, int type, int flags, int32_t id, const void *payload)
{
    uint8_t head[9] = {(uint8_t)(len >> 16), (uint8_t)(len >> 8), (uint8_t)len, (uint8_t)type, (uint8_t)flags, (uint8_t)((uint32_t)id >> 24),
                       (uint8_t)(id >> 16), (uint8_t)(id >> 8), (uint8_t)id};
    struct iovec iov[2] = {{head, 9}, {(void *)(uintptr_t)payload, len}};
    (void)weft_conn_writev(NULL, r->conn, iov, len ? 2 : 1);   /* the server may have closed already */
}

static inline struct raw *raw_open(struct site *s)
{
    struct raw *r = calloc(1, sizeof *r);
    r->conn = h2_dial(s);
    (void)weft_conn_write(NULL, r->conn, PREFACE, sizeof PREFACE - 1);
    raw_send(r, 0, NGHTTP2_SETTINGS, 0, 0, NULL);
    return r;
}

static inline void raw_close(struct raw *r)
{
    (void)weft_conn_close(r->conn);
    free(r);
}

/* So many bytes, or false with err set. */
static inline bool raw_read(struct raw *r, uint8_t *buf, size_t n)
{
    ssize_t got = weft_conn_read_full(NULL, r->conn, buf, n);
    r->err = got < 0 ? (int)got : got == 0 ? WEFT_EEOF : 0;
    return r->err == 0;
}

/* The next frame; false at the end. */
static inline bool raw_next(struct raw *r)
{
    uint8_t head[9];
    if (!raw_read(r, head, 9))
        return false;
    r->len = (uint32_t)head[0] << 16 | (uint32_t)head[1] << 8 | head[2];
    r->type = head[3];
    r->flags = head[4];
    r->id = (int32_t)((uint32_t)(head[5] & 0x7f) << 24 | (uint32_t)head[6] << 16 | (uint32_t)head[7] << 8 | head[8]);
    REQUIRE(r->len <= sizeof r->payload);
    return r->len == 0 || raw_read(r, r->payload, r->len);
}

static inline uint32_t raw_u32(const uint8_t *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

/* The next frame of a type: false when the connection ends before. */
static inline bool raw_wait(struct raw *r, int type)
{
    while (raw_next(r))
        if (r->type == type)
            return true;
    return false;
}

/* The code of a GOAWAY, which must come; when it does not, why there was no next frame, which is negative. */
static inline int raw_goaway(struct raw *r)
{
    return raw_wait(r, NGHTTP2_GOAWAY) ? (int)raw_u32(r->payload + 4) : r->err;
}

/* GET / of http://h, in HPACK's static table. */
#define HP_GET "\x82\x84\x86\x41\x01h"

#endif
