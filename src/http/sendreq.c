/*
 * sendreq.c - the bytes of a request.
 *
 * Role    Build the head in the buffer that will later take the answer; send it, with the body, in one write.
 * Near    client.c checked the fields (no control characters, no framing of the caller's own) and url.c the target.
 *         Layer 5.
 * Limits  A head that does not fit the buffer gets a larger one; a body that does not fit behind it goes by writev.
 */
#include "sendreq.h"

#include <string.h>
#include <strings.h>

struct text {
    char *s;
    size_t len, cap;   /* len counts on past cap */
};

static void put(struct text *t, const char *s, size_t n)
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
    return s->drop_content && strncasecmp(name, "content-", 8) == 0;
}

static void head_build(struct text *t, const struct weft__send *s)
{
    const struct weft__url *u = s->url;
    const char *host = s->drop_secrets ? NULL : own_field(s, "host");
    put_str(t, s->method);
    PUT_LIT(t, " ");
    put(t, u->text + u->target, u->len - u->target);
    PUT_LIT(t, " HTTP/1.1\r\nHost: ");
    if (host)
        put_str(t, host);
    else
        put(t, u->text + u->authority, u->authority_len);
    PUT_LIT(t, "\r\n");
    if (s->user_agent && !own_field(s, "user-agent"))
        put_field(t, "User-Agent", s->user_agent);
    if (s->ask_coding && !s->own_coding)
        PUT_LIT(t, "Accept-Encoding: gzip, deflate\r\n");
    for (size_t i = 0; i < s->call->fields_len; i++)
        if (!field_dropped(s, s->call->fields[i].name))
            put_field(t, s->call->fields[i].name, s->call->fields[i].value);
    bool wants_length = s->body_len || strcmp(s->method, "POST") == 0 || strcmp(s->method, "PUT") == 0 ||
                        strcmp(s->method, "PATCH") == 0;
    if (wants_length) {
        PUT_LIT(t, "Content-Length: ");
        put_number(t, s->body_len);
        PUT_LIT(t, "\r\n");
    }
    PUT_LIT(t, "\r\n");
}

weft_err weft__request_send(weft_ctx *ctx, weft_conn *conn, struct weft__hbuf **buf, const struct weft__send *s, bool *keep)
{
    struct text t = {(*buf)->data, 0, (*buf)->cap};
    head_build(&t, s);
    if (t.len > t.cap) {
        struct weft__hbuf *b = weft__hbuf_get(t.len);
        if (!b)
            return WEFT_ENOMEM;
        weft__hbuf_put(*buf);
        *buf = b;
        t = (struct text){b->data, 0, b->cap};
        head_build(&t, s);
    }
    const char *connection = own_field(s, "connection");
    if (connection && weft__http_has_word(connection, "close"))
        *keep = false;
    ssize_t n;
    if (s->body_len <= t.cap - t.len) {
        if (s->body_len)
            put(&t, s->body, s->body_len);
        n = weft_conn_write(ctx, conn, t.s, t.len);
    } else {
        struct iovec iov[2] = {{t.s, t.len}, {(void *)(uintptr_t)s->body, s->body_len}};
        n = weft_conn_writev(ctx, conn, iov, 2);
    }
    return n < 0 ? (weft_err)n : 0;
}
