/*
 * sendreq.c - the bytes of a request.
 *
 * Role    Build the head in a buffer; send it, with a body from memory, in one write; stream a body from a reader.
 * Near    client.c checked the fields (no control characters, no framing of the caller's own) and url.c the target.
 *         Layer 5.
 * Limits  A request of up to HEAD_NEAR bytes is put together on the stack; a longer one in a buffer, and a head that does not
 *         fit that in a larger one. A body that does not fit behind it goes by a write of its own, and what that leaves by
 *         upload.c. A streamed body goes a buffer at a time, each in a write of its own.
 */
#include "../net/conn_int.h"
#include "sendreq.h"

#include <string.h>
#include <strings.h>

#define HEAD_NEAR 512   /* many a request is no longer: it needs no buffer */

struct text {
    char *s;
    size_t len, cap;   /* len counts on past cap */
};

static inline __attribute__((always_inline)) void put(struct text *t, const char *s, size_t n)   /* most n are constants */
{
    if (t->len + n <= t->cap)
        memcpy(t->s + t->len, s, n);
    t->len += n;
}

static void put_str(struct text *t, const char *s)
{
    put(t, s, strlen(s));
}

#define PUT_LIT(t, lit) put(t, lit, sizeof(lit) - 1)

static void put_value(struct text *t, const char *value)
{
    put_str(t, value);
    PUT_LIT(t, "\r\n");
}

static void put_field(struct text *t, const char *name, const char *value)
{
    put_str(t, name);
    PUT_LIT(t, ": ");
    put_str(t, value);
    PUT_LIT(t, "\r\n");
}

static void put_number(struct text *t, uint64_t v)
{
    char d[20];
    int k = 20;
    do
        d[--k] = (char)('0' + v % 10);
    while (v /= 10);
    put(t, d + k, (size_t)(20 - k));
}

static const char *own_field(const struct weft__send *s, const char *name)
{
    for (size_t i = 0; i < s->call->fields_len; i++)
        if (strcasecmp(s->call->fields[i].name, name) == 0)
            return s->call->fields[i].value;
    return NULL;
}

static bool field_dropped(const struct weft__send *s, const char *name)
{
    static const char *const secrets[] = {"authorization", "cookie", "cookie2", "proxy-authorization", "www-authenticate"};
    if (strcasecmp(name, "host") == 0)   /* it went first */
        return true;
    for (size_t i = 0; s->drop_secrets && i < sizeof secrets / sizeof *secrets; i++)
        if (strcasecmp(name, secrets[i]) == 0)
            return true;
    if (s->drop_content && (strcasecmp(name, "expect") == 0 || strcasecmp(name, "trailer") == 0))
        return true;
    return s->drop_content && strncasecmp(name, "content-", 8) == 0;
}

/* How long the body is, or that it comes in chunks. */
static void put_framing(struct text *t, const struct weft__send *s)
{
    bool wants_length = s->body_len || (*s->method == 'P' && (strcmp(s->method, "POST") == 0 || strcmp(s->method, "PUT") == 0 ||
                                                              strcmp(s->method, "PATCH") == 0));
    if (s->reader && s->call->body_bytes <= 0) {
        PUT_LIT(t, "Transfer-Encoding: chunked\r\n");
    } else if (s->reader || wants_length) {
        PUT_LIT(t, "Content-Length: ");
        put_number(t, s->reader ? (uint64_t)s->call->body_bytes : s->body_len);
        PUT_LIT(t, "\r\n");
    }
    if (s->reader && s->call->expect_continue)
        PUT_LIT(t, "Expect: 100-continue\r\n");
}

/* Fields that the client adds by itself. */
static void put_own_fields(struct text *t, const struct weft__send *s)
{
    if (s->user_agent && !own_field(s, "user-agent")) {
        PUT_LIT(t, "User-Agent: ");
        put_value(t, s->user_agent);
    }
    if (s->ask_coding && !s->own_coding)
        PUT_LIT(t, "Accept-Encoding: " WEFT__CODINGS "\r\n");
    if (s->cookies && (s->drop_secrets || !own_field(s, "cookie")))
        put_field(t, "Cookie", s->cookies);
    if (s->proxy && s->proxy->basic)
        put_field(t, "Proxy-Authorization", s->proxy->basic);
    if (s->closing && !own_field(s, "connection"))
        PUT_LIT(t, "Connection: close\r\n");
    if (s->call->upgrade) {
        PUT_LIT(t, "Connection: Upgrade\r\n");
        put_field(t, "Upgrade", s->call->upgrade);
    }
}

const char *weft__request_host(const struct weft__send *s)
{
    return s->drop_secrets ? NULL : own_field(s, "host");
}

bool weft__request_field(const struct weft__send *s, size_t i, struct weft_http_field *ret_field)
{
    *ret_field = (struct weft_http_field){0};
    if (i == 0 && s->user_agent && !own_field(s, "user-agent"))
        *ret_field = (struct weft_http_field){"user-agent", s->user_agent};
    if (i == 1 && s->ask_coding && !s->own_coding)
        *ret_field = (struct weft_http_field){"accept-encoding", WEFT__CODINGS};
    if (i == 2 && s->cookies && (s->drop_secrets || !own_field(s, "cookie")))
        *ret_field = (struct weft_http_field){"cookie", s->cookies};
    if (i >= 3 && i - 3 < s->call->fields_len && !field_dropped(s, s->call->fields[i - 3].name))
        *ret_field = s->call->fields[i - 3];
    return i < 3 || i - 3 < s->call->fields_len;
}

static void head_build(struct text *t, const struct weft__send *s)
{
    const struct weft__url *u = s->url;
    const char *host = s->drop_secrets ? NULL : own_field(s, "host");
    size_t target = s->proxy ? 0 : u->target;   /* RFC 9112 3.2.2: a proxy is told the whole URL */
    put_str(t, s->method);
    PUT_LIT(t, " ");
    put(t, u->text + target, u->len - target);
    PUT_LIT(t, " HTTP/1.1\r\nHost: ");
    if (host)
        put_str(t, host);
    else
        put(t, u->text + u->authority, u->authority_len);
    PUT_LIT(t, "\r\n");
    put_own_fields(t, s);
    for (size_t i = 0; i < s->call->fields_len; i++)
        if (!field_dropped(s, s->call->fields[i].name))
            put_field(t, s->call->fields[i].name, s->call->fields[i].value);
    put_framing(t, s);
    PUT_LIT(t, "\r\n");
}

/* Send s, which most sockets take at once. Nobody else writes on conn: hop.c C2, upload.c G1. */
static ssize_t send_all(weft_ctx *ctx, weft_conn *conn, const char *s, size_t len)
{
    ssize_t n = ctx ? 0 : conn->tls ? weft__conn_try_write(conn, s, len) : weft__conn_own_try_write(conn, s, len);
    if (n < 0 || (size_t)n == len)
        return n;
    return weft_conn_write(ctx, conn, s + n, len - (size_t)n);
}

weft_err weft__request_send(weft_ctx *ctx, weft_conn *conn, const struct weft__send *s, bool *keep, size_t *ret_left)
{
    char near[HEAD_NEAR];
    struct weft__hbuf *buf = NULL;
    struct text t = {near, 0, sizeof near};
    head_build(&t, s);
    if (t.len > t.cap || s->body_len > t.cap - t.len) {
        buf = weft__hbuf_get(t.len);
        if (!buf)
            return WEFT_ENOMEM;
        t = (struct text){buf->data, 0, buf->cap};
        head_build(&t, s);
    }
    const char *connection = own_field(s, "connection");
    if (s->closing || (connection && weft__http_has_word(connection, "close")))
        *keep = false;
    size_t with = s->body_len < t.cap - t.len ? s->body_len : t.cap - t.len, left = s->body_len - with;
    if (with)
        put(&t, s->body, with);
    ssize_t n = send_all(ctx, conn, t.s, t.len);
    weft__hbuf_put(buf);
    if (n >= 0 && left) {
        n = weft__conn_try_write(conn, (const char *)s->body + with, left);
        left -= n > 0 ? (size_t)n : 0;
    }
    *ret_left = left;
    return n < 0 ? (weft_err)n : 0;
}

/* ---- a body from a reader ---- */

#define CHUNK_ROOM 12   /* in front of a piece: its length in hex and CRLF */

weft_err weft__trailers_text(const struct weft__body *b, char *ret_text, size_t *ret_len)
{
    struct text t = {ret_text, 0, WEFT__TRAILERS_MAX};
    for (size_t i = 0; i < b->trailers_len; i++) {
        if (!b->trailers[i].value)
            continue;
        if (!weft__http_field_ok(b->trailers[i].name, b->trailers[i].value))
            return WEFT_EINVAL;
        put_field(&t, b->trailers[i].name, b->trailers[i].value);
    }
    *ret_len = t.len;
    return t.len > t.cap ? WEFT_ETOOBIG : 0;
}

/* The last chunk and what stands behind it, at data. */
static weft_err chunk_last(const struct weft__body *b, char *data, size_t *ret_len)
{
    size_t n;
    weft_err err = weft__trailers_text(b, data + 3, &n);
    if (err < 0)
        return err;
    memcpy(data, "0\r\n", 3);
    memcpy(data + 3 + n, "\r\n", 2);
    *ret_len = n + 5;
    return 0;
}

/* The piece at data + CHUNK_ROOM, n bytes, as a chunk: where it starts, and *ret_len. */
static char *chunk_frame(char *data, size_t n, size_t *ret_len)
{
    static const char hex[] = "0123456789abcdef";
    char *at = data + CHUNK_ROOM;
    size_t v = n;
    memcpy(at + n, "\r\n", 2);
    *--at = '\n';
    *--at = '\r';
    do
        *--at = hex[v & 15];
    while (v >>= 4);
    *ret_len = (size_t)(data + CHUNK_ROOM - at) + n + 2;
    return at;
}

/* What came of the body's own side; *ret_own says so. */
static weft_err stream_own(weft_err err, bool *ret_own)
{
    *ret_own = true;
    return err;
}

static weft_err stream_run(weft_ctx *ctx, weft_conn *conn, const struct weft__body *b, struct weft__hbuf *buf, bool *ret_own)
{
    bool chunked = b->bytes <= 0;
    uint64_t left = chunked ? UINT64_MAX : (uint64_t)b->bytes;
    while (left) {
        size_t room = buf->cap - CHUNK_ROOM - 2, len;
        char *at = buf->data + CHUNK_ROOM;
        ssize_t n = b->read(ctx, b->arg, at, room < left ? room : (size_t)left);
        if (n < 0)
            return stream_own((weft_err)n, ret_own);
        if (n == 0 && !chunked)
            return stream_own(WEFT_EEOF, ret_own);   /* less than it said */
        len = (size_t)n;
        if (n == 0) {
            weft_err err = chunk_last(b, at = buf->data, &len);
            if (err < 0)
                return stream_own(err, ret_own);
        } else if (chunked)
            at = chunk_frame(buf->data, (size_t)n, &len);
        else
            left -= (size_t)n;
        ssize_t put = send_all(ctx, conn, at, len);
        if (put < 0)
            return (weft_err)put;
        if (n == 0)
            return 0;
    }
    return 0;
}

weft_err weft__request_stream(weft_ctx *ctx, weft_conn *conn, const struct weft__body *body, bool *ret_own)
{
    struct weft__hbuf *buf = weft__hbuf_get(0);
    if (!buf)
        return stream_own(WEFT_ENOMEM, ret_own);
    weft_err err = stream_run(ctx, conn, body, buf, ret_own);
    weft__hbuf_put(buf);
    return err;
}
