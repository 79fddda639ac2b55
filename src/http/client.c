/*
 * client.c - one call: request out, head in, redirects followed, a dead pooled connection replaced.
 *
 * Role    weft_http_do. A *hop* is one request and its response; a call is one or more hops, all in one response object.
 * Near    sendreq.c (request bytes), hostpool.c (connections), response.c (the body), head.c, url.c. Layer 5.
 *
 * Invariants
 *   C1  r->host set  <=>  the response holds a reference of the host and one of its slots.
 *   C2  r->hc set    =>   C1, and nobody else uses that connection.
 *   C3  a hop is sent again only when its connection came from the pool, not one byte of answer has come, and the
 *       method is idempotent; then on a fresh connection, once.
 *
 * Locks   none here. Order: none here; a response belongs to one goroutine.
 * Limits  head_bytes_max for the head, 1xx responses before it included; redirects_max; one deadline for everything.
 * Failure every error leaves no response; words for it go to call->reterr_text.
 */
#include <weft/ctx.h>
#include <weft/tls.h>

#include "client_int.h"
#include "sendreq.h"

#include <stdlib.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#define DRAIN_MAX 16384   /* bytes of a redirect's body worth reading to keep its connection */

static struct weft__hpool response_pool = {.keep_max = 4096};

/* ---- the client ---- */

static void opts_defaults(struct weft_http_client_opts *o)
{
    if (!o->idle_per_host_max)
        o->idle_per_host_max = 100;
    if (!o->idle_max)
        o->idle_max = 1000;
    if (o->idle_max < 0)
        o->idle_per_host_max = -1;
    if (!o->idle_timeout)
        o->idle_timeout = 90 * WEFT_SEC;
    if (!o->timeout)
        o->timeout = 10 * WEFT_SEC;
    if (!o->redirects_max)
        o->redirects_max = 10;
    if (!o->head_bytes_max)
        o->head_bytes_max = 65536;
    if (o->head_bytes_max > (size_t)1 << 28)
        o->head_bytes_max = (size_t)1 << 28;   /* offsets are 32 bits */
    if (!o->user_agent)
        o->user_agent = "weft/" WEFT_VERSION;
}

weft_err weft_http_client_new(const struct weft_http_client_opts *opts, weft_http_client **ret_client)
{
    struct weft_http_client *c = calloc(1, sizeof *c);
    if (!c)
        return WEFT_ENOMEM;
    if (opts)
        c->o = *opts;
    opts_defaults(&c->o);
    if (c->o.tls)
        c->tls = *c->o.tls;
    weft_err err = weft__http_field_ok("User-Agent", c->o.user_agent) ? 0 : WEFT_EINVAL;
    if (!err && *c->o.user_agent && !(c->user_agent = strdup(c->o.user_agent)))
        err = WEFT_ENOMEM;
    if (err) {
        free(c);
        return err;
    }
    c->refs = 1;
    c->lru.next = c->lru.prev = &c->lru;
    *ret_client = c;
    return 0;
}

void weft__client_ref(struct weft_http_client *c)
{
    weft__lock(&c->lock);
    c->refs++;
    weft__unlock(&c->lock);
}

void weft__client_unref(struct weft_http_client *c)
{
    weft__lock(&c->lock);
    bool last = --c->refs == 0;
    weft__unlock(&c->lock);
    if (!last)
        return;
    free(c->buckets);
    free(c->user_agent);
    free(c);
}

void weft_http_client_free(weft_http_client *c)
{
    if (!c)
        return;
    weft__lock(&c->lock);
    c->closed = true;
    weft__unlock(&c->lock);
    weft__pool_clear(c);
    weft__client_unref(c);
}

static struct weft__lock default_lock;
static struct weft_http_client *default_client;   /* [default_lock] made once, never freed */

static struct weft_http_client *client_or_default(struct weft_http_client *c)
{
    if (c)
        return c;
    weft__lock(&default_lock);
    c = default_client;
    weft__unlock(&default_lock);
    struct weft_http_client *fresh;
    if (c || weft_http_client_new(NULL, &fresh) < 0)
        return c;
    weft__lock(&default_lock);
    c = default_client ? default_client : fresh;
    default_client = c;
    weft__unlock(&default_lock);
    if (c != fresh)
        weft_http_client_free(fresh);
    return c;
}

void weft_http_client_close_idle(weft_http_client *c)
{
    c = client_or_default(c);
    if (c)
        weft__pool_clear(c);
}

/* ---- words for errors ---- */

static void call_reason(const struct weft_http_call *call, const char *what, const char *why)
{
    if (!call->reterr_text || !call->reterr_size)
        return;
    (void)snprintf(call->reterr_text, call->reterr_size, "%s%s%s", what, *what ? ": " : "", why);
}

static weft_err call_fail(const struct weft_http_call *call, const char *what, weft_err err)
{
    call_reason(call, what, weft_strerror(err));
    return err;
}

/* ---- connections ---- */

/* Closes conn and says why its handshake failed. */
static weft_err tls_fail(const struct weft_http_call *call, weft_conn *conn, weft_err err)
{
    const char *why = weft_tls_error(conn);
    call_reason(call, "TLS", why && *why ? why : weft_strerror(err));
    (void)weft_conn_close(conn);
    return err;
}

static weft_err dial_tls(weft_ctx *ctx, struct weft_http_response *r, const struct weft_http_call *call, const char *host,
                         weft_conn **conn)
{
    struct weft_tls_config cfg = r->client->tls;
    cfg.server_name = host;
    if (!cfg.alpn)
        cfg.alpn = "http/1.1";
    weft_time t = weft_now();
    weft_err err = weft_tls_client(ctx, *conn, &cfg, conn);
    if (err < 0)
        return tls_fail(call, *conn, err);
    r->times.tls = weft_now() - t;
    return 0;
}

/* A new connection for r->url. */
static weft_err conn_dial(weft_ctx *ctx, struct weft_http_response *r, const struct weft_http_call *call, weft_conn **ret_conn)
{
    const struct weft__url *u = &r->url;
    const struct weft_http_client_opts *o = &r->client->o;
    char host[256], addr[272];
    memcpy(host, u->text + u->host, u->host_len);   /* at most 255: url.c */
    host[u->host_len] = '\0';
    bool v6 = memchr(host, ':', u->host_len) != NULL;
    (void)snprintf(addr, sizeof addr, v6 ? "[%s]:%u" : "%s:%u", host, u->port);
    /* No probes: calls have deadlines and idle connections an end; four system calls less. */
    struct weft_dial_opts d = {.allow = o->allow, .allow_arg = o->arg, .keepalive_s = -1};
    weft_time t = weft_now();
    if (r->deadline && (d.timeout = r->deadline - t) <= 0)
        return call_fail(call, addr, WEFT_EDEADLINE);
    weft_conn *conn;
    weft_err err = weft_dial_with(ctx, "tcp", addr, &d, &conn);
    if (err < 0)
        return call_fail(call, addr, err);
    r->times.connect = weft_now() - t;
    if (r->deadline)
        (void)weft_conn_set_deadline(conn, r->deadline);
    if (u->https) {
        while (u->host_len && host[strlen(host) - 1] == '.')   /* SNI and certificates know no root dot */
            host[strlen(host) - 1] = '\0';
        err = dial_tls(ctx, r, call, host, &conn);
        if (err < 0)
            return err;
    }
    *ret_conn = conn;
    return 0;
}

static weft_err hconn_new(weft_ctx *ctx, struct weft_http_response *r, const struct weft_http_call *call)
{
    weft_conn *conn;
    weft_err err = conn_dial(ctx, r, call, &conn);
    if (err < 0)
        return err;
    struct weft__hconn *hc = calloc(1, sizeof *hc);
    struct weft__host *host = hc ? weft__host_get(r->client, &r->url) : NULL;
    if (!host) {
        free(hc);
        (void)weft_conn_close(conn);
        return call_fail(call, "", WEFT_ENOMEM);
    }
    hc->conn = conn;
    hc->host = host;
    hc->https = r->url.https;
    hc->armed = r->deadline != 0;
    r->hc = hc;
    return 0;
}

/* C1, C2: a slot, then a connection from the pool or a new one. */
static weft_err hop_connect(weft_ctx *ctx, struct weft_http_response *r, const struct weft_http_call *call, bool fresh)
{
    struct weft__host *host = weft__host_get(r->client, &r->url);
    if (!host)
        return call_fail(call, "", WEFT_ENOMEM);
    weft_err err = weft__host_enter(ctx, host, r->deadline);
    if (err < 0) {
        weft__host_put(r->client, host);
        return call_fail(call, "waiting for a connection", err);
    }
    r->host = host;
    r->times.connect = r->times.tls = 0;
    r->hc = fresh ? NULL : weft__pool_take(r->client, host);
    r->reused = r->times.reused = r->hc != NULL;
    if (!r->hc)
        return hconn_new(ctx, r, call);
    if (r->deadline || r->hc->armed)
        (void)weft_conn_set_deadline(r->hc->conn, r->deadline);
    r->hc->armed = r->deadline != 0;
    return 0;
}

/* ---- one hop ---- */

/* One more read into the buffer at *len. */
static weft_err head_read(weft_ctx *ctx, struct weft_http_response *r, const struct weft_http_call *call, size_t *len)
{
    size_t max = r->client->o.head_bytes_max;
    if (*len >= max) {
        call_reason(call, "response", "its head is too large");
        return WEFT_ETOOBIG;
    }
    if (*len == r->buf->cap) {
        if (!weft__hbuf_grow(&r->buf, *len))
            return call_fail(call, "", WEFT_ENOMEM);
        r->head.buf = r->buf;
    }
    ssize_t n = weft_conn_read(ctx, r->hc->conn, r->buf->data + *len, r->buf->cap - *len);
    if (n <= 0) {
        weft_err err = n < 0 ? (weft_err)n : WEFT_EEOF;
        call_reason(call, "response", n < 0 ? weft_strerror(err) : *len ? "the connection ended inside the head"
                                                                        : "the connection ended without an answer");
        return err;
    }
    if (!r->got_bytes)
        r->times.first_byte = weft_now() - r->sent;
    r->got_bytes = true;
    *len += (size_t)n;
    return 0;
}

/* A whole head is there: is it the last one, and one that we take? 1: yes; 0: it was a 1xx. */
static int head_judge(struct weft_http_response *r, const struct weft_http_call *call, size_t *len)
{
    struct weft__head *h = &r->head;
    bool ours = memcmp(r->buf->data, "HTTP/", 5) == 0 && h->p.http_major == 1 && h->p.status_code != 101 &&
                h->p.status_code >= 100;
    if (!ours) {
        call_reason(call, "response", h->p.status_code == 101 ? "a protocol switch nobody asked for" : "not HTTP/1");
        return WEFT_EPROTO;
    }
    if (h->p.status_code >= 200)
        return 1;
    *len -= h->end;
    r->head_wire_bytes += h->end;
    memmove(r->buf->data, r->buf->data + h->end, *len);
    weft__head_done(h);
    weft__head_init(h, HTTP_RESPONSE, r->buf);
    if (r->head_wire_bytes <= r->client->o.head_bytes_max)
        return 0;
    call_reason(call, "response", "its head is too large");
    return WEFT_ETOOBIG;
}

static weft_err hop_receive(weft_ctx *ctx, struct weft_http_response *r, const struct weft_http_call *call, size_t *ret_len)
{
    size_t len = 0;
    weft__head_init(&r->head, HTTP_RESPONSE, r->buf);
    for (;;) {
        int state = weft__head_parse(&r->head, len);
        if (state == 1)
            state = head_judge(r, call, &len);
        else if (state < 0)
            call_reason(call, "response", weft__head_reason(&r->head));
        else
            state = head_read(ctx, r, call, &len);
        if (state < 0)
            return state;
        if (state == 1)
            break;
    }
    if (r->head.end > r->client->o.head_bytes_max) {
        call_reason(call, "response", "its head is too large");
        return WEFT_ETOOBIG;
    }
    *ret_len = len;
    return 0;
}

/* The head is complete: what follows it, and how. */
static weft_err hop_body(struct weft_http_response *r, const struct weft_http_call *call, const char *method, size_t len)
{
    struct weft__head *h = &r->head;
    struct weft__wire *w = &r->wire;
    *w = (struct weft__wire){.conn = r->hc->conn, .head = h, .buf = r->buf, .pos = h->end, .base = h->end,
                             .end = (uint32_t)len, .wire_bytes = len, .why = ""};
    int status = h->p.status_code;
    r->has_length = (h->p.flags & F_CONTENT_LENGTH) != 0;
    r->content_length = h->p.content_length;
    bool no_body = strcmp(method, "HEAD") == 0 || status == 204 || status == 304;
    weft_err err = weft__wire_framing(h, false, no_body, &w->framing, &w->left);
    if (err < 0) {
        call_reason(call, "response", "its Transfer-Encoding is not \"chunked\"");
        return err;
    }
    w->done = w->framing == WEFT__BODY_NONE;
    bool old = h->p.http_minor == 0;
    r->keep = r->keep && w->framing != WEFT__BODY_CLOSE && !(h->p.flags & F_CONNECTION_CLOSE) &&
              (!old || (h->p.flags & F_CONNECTION_KEEP_ALIVE));
    return 0;
}

static bool method_repeatable(const char *m)
{
    static const char *const safe[] = {"GET", "HEAD", "PUT", "DELETE", "OPTIONS", "TRACE"};
    for (size_t i = 0; i < sizeof safe / sizeof *safe; i++)
        if (strcmp(m, safe[i]) == 0)
            return true;
    return false;
}

/* Send and receive on the connection that r has. */
static weft_err hop_exchange(weft_ctx *ctx, struct weft_http_response *r, const struct weft__send *s)
{
    size_t len;
    r->got_bytes = false;
    r->keep = true;
    r->head_wire_bytes = 0;
    r->sent = weft_now();
    weft_err err = weft__request_send(ctx, r->hc->conn, &r->buf, s, &r->keep);
    /* A server that refuses a large body answers early and closes: look for its answer. */
    bool refused = s->body_len && (err == -EPIPE || err == -ECONNRESET);
    if (err < 0 && !refused)
        return call_fail(s->call, "request", err);
    if (refused)
        r->keep = false;
    err = hop_receive(ctx, r, s->call, &len);
    return err < 0 ? err : hop_body(r, s->call, s->method, len);
}

/* C3 */
static bool hop_again(const struct weft_http_response *r, const struct weft__send *s, weft_err err)
{
    bool dead = err == WEFT_EEOF || err == -ECONNRESET || err == -EPIPE;
    return r->reused && dead && !r->got_bytes && method_repeatable(s->method);
}

static weft_err hop(weft_ctx *ctx, struct weft_http_response *r, const struct weft__send *s)
{
    bool fresh = !method_repeatable(s->method);   /* what cannot be sent twice gets a connection that is known to live */
    for (;;) {
        r->buf = weft__hbuf_get(0);
        weft_err err = r->buf ? hop_connect(ctx, r, s->call, fresh) : call_fail(s->call, "", WEFT_ENOMEM);
        if (err == 0)
            err = hop_exchange(ctx, r, s);
        if (err == 0)
            return 0;
        bool again = !fresh && hop_again(r, s, err);
        r->keep = false;
        weft__response_end_hop(r);
        if (!again)
            return err;
        fresh = true;
    }
}

/* ---- redirects ---- */

/* The next URL, or an error. *ret_next must be done by the caller when 1 is returned; 0: hand the response over. */
static int redirect_next(struct weft_http_response *r, const struct weft__send *s, struct weft__url *ret_next)
{
    int status = r->head.p.status_code;
    bool moved = status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
    const char *to = moved ? weft__head_find(&r->head, "location") : NULL;
    const struct weft_http_client_opts *o = &r->client->o;
    if (!to || o->redirects_max < 0)
        return 0;
    weft_err err = weft__url_resolve(ret_next, &r->url, to);
    if (err < 0)
        return call_fail(s->call, "redirect", err);
    if (r->redirects >= o->redirects_max)
        err = call_fail(s->call, "redirect", WEFT_EREDIRECT);
    else if (o->on_redirect)
        err = o->on_redirect(r->redirects + 1, status, r->url.text, ret_next->text, o->arg);
    if (err == WEFT_HTTP_FOLLOW)
        return 1;
    weft__url_done(ret_next);
    if (err == WEFT_HTTP_KEEP)
        return 0;
    if (err != WEFT_EREDIRECT)
        call_fail(s->call, "redirect refused", err);
    return err < 0 ? err : WEFT_EINVAL;
}

/* RFC 9110 15.4: what the next hop sends. */
static void redirect_method(struct weft__send *s, int status, const struct weft__url *from, const struct weft__url *to)
{
    bool get = strcmp(s->method, "GET") == 0 || strcmp(s->method, "HEAD") == 0;
    if ((status == 303 || status == 301 || status == 302) && !get) {
        s->method = "GET";
        s->body = NULL;
        s->body_len = 0;
        s->drop_content = true;
    }
    uint32_t n = from->authority + from->authority_len;
    if (n != to->authority + to->authority_len || memcmp(from->text, to->text, n) != 0)
        s->drop_secrets = true;
}

/* A short rest of a redirect's body is read, to keep the connection. */
static void redirect_drain(weft_ctx *ctx, struct weft_http_response *r)
{
    struct weft__wire *w = &r->wire;
    const char *piece;
    bool small = r->keep && (w->framing != WEFT__BODY_LENGTH || w->left <= DRAIN_MAX);
    while (small && !w->done && w->wire_bytes < r->head.end + DRAIN_MAX)
        if (weft__wire_next(ctx, w, SIZE_MAX, &piece) <= 0)
            break;
}

static weft_err follow(weft_ctx *ctx, struct weft_http_response *r, struct weft__send *s)
{
    struct weft__url *next = NULL;
    for (;;) {
        weft_err err = hop(ctx, r, s);
        if (err < 0 || r->head.p.status_code < 300 || r->head.p.status_code > 399)
            return err;
        next = malloc(sizeof *next);
        if (!next)
            return call_fail(s->call, "", WEFT_ENOMEM);
        next->text = next->near;
        err = redirect_next(r, s, next);
        if (err <= 0) {
            free(next);
            return err;
        }
        redirect_method(s, r->head.p.status_code, &r->url, next);
        redirect_drain(ctx, r);
        weft__response_end_hop(r);
        weft__url_move(&r->url, next);
        free(next);
        r->redirects++;
    }
}

/* ---- the call ---- */

static struct weft_http_response *response_new(struct weft_http_client *c)
{
    struct weft_http_response *r = weft__hpool_get(&response_pool);
    if (!r)
        r = malloc(sizeof *r);
    if (!r)
        return NULL;
    memset(r, 0, offsetof(struct weft_http_response, head));
    memset(&r->url, 0, offsetof(struct weft__url, near));
    r->url.text = r->url.near;
    r->head.fields = r->head.near;
    r->head.fields_len = 0;
    r->why = "";
    r->client = c;
    weft__client_ref(c);
    return r;
}

void weft_http_response_free(weft_http_response *r)
{
    if (!r)
        return;
    weft__response_end_hop(r);
    weft__url_done(&r->url);
    weft__client_unref(r->client);
    if (!weft__hpool_put(&response_pool, r))
        free(r);
}

static weft_err call_check(const struct weft_http_call *call, const char *method)
{
    bool ok = weft__http_field_ok(method, "") && strcmp(method, "CONNECT") != 0 && (call->body || !call->body_len);
    for (size_t i = 0; ok && i < call->fields_len; i++) {
        const struct weft_http_field *f = &call->fields[i];
        ok = weft__http_field_ok(f->name, f->value) && strcasecmp(f->name, "content-length") != 0 &&
             strcasecmp(f->name, "transfer-encoding") != 0;
    }
    return ok ? 0 : call_fail(call, "method or header field", WEFT_EINVAL);
}

/* Does the caller see to content codings itself? A range is one of coded bytes, so it does then, too. */
static bool call_codes(const struct weft_http_call *call)
{
    for (size_t i = 0; i < call->fields_len; i++)
        if (strcasecmp(call->fields[i].name, "accept-encoding") == 0 || strcasecmp(call->fields[i].name, "range") == 0)
            return true;
    return false;
}

weft_err weft_http_do(weft_ctx *ctx, weft_http_client *client, const struct weft_http_call *call,
                      weft_http_response **ret_resp)
{
    WEFT_ASSERT(call && ret_resp, "args");
    if (call->reterr_text && call->reterr_size)
        *call->reterr_text = '\0';
    client = client_or_default(client);
    struct weft__send s = {.call = call, .method = call->method ? call->method : "GET", .body = call->body,
                           .body_len = call->body_len};
    weft_err err = call_check(call, s.method);
    if (err < 0)
        return err;
    struct weft_http_response *r = client ? response_new(client) : NULL;
    if (!r)
        return call_fail(call, "", WEFT_ENOMEM);
    s.own_coding = call_codes(call);
    s.user_agent = client->user_agent;
    s.url = &r->url;
    s.ask_coding = !client->o.no_decode;
    err = call->url ? weft__url_parse(&r->url, call->url, strlen(call->url)) : WEFT_EADDR;
    if (err < 0) {
        call_fail(call, "URL", err);
    } else {
        weft_dur timeout = call->timeout ? call->timeout : client->o.timeout;
        r->start = weft_now();
        r->deadline = timeout > 0 ? r->start + timeout : 0;
        err = follow(ctx, r, &s);
    }
    if (err == 0)
        err = weft__response_decoding(r, s.ask_coding && !s.own_coding);
    if (err < 0) {
        r->keep = false;
        weft_http_response_free(r);
        return err;
    }
    *ret_resp = r;
    return 0;
}

weft_err weft_http_get(weft_ctx *ctx, weft_http_client *client, const char *url, weft_http_response **ret_resp)
{
    struct weft_http_call call = {.url = url};
    return weft_http_do(ctx, client, &call, ret_resp);
}
