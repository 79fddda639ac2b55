/*
 * client.c - clients, and calls: hops until one is not redirected.
 *
 * Role    weft_http_do. A *hop* is one request and its response; a call is one or more hops, all in one response object.
 * Near    hop.c (a hop), hostpool.c (connections), response.c (the body), url.c, proxy.c, jar.c. Layer 5.
 *
 * Locks   none here but that of the default client. Order: none here; a response belongs to one goroutine.
 * Limits  redirects_max; one deadline for everything.
 * Failure every error leaves no response; words for it go to call->reterr_text.
 */
#include <weft/ctx.h>

#include "../base/keyhash.h"
#include "../sys/sys.h"
#include "client_int.h"

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
    if (o->redirects_max > UINT16_MAX)
        o->redirects_max = UINT16_MAX;
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
    if (!err)
        err = weft__proxies_new(&c->o, &c->proxies);
    if (err) {
        free(c->user_agent);
        free(c);
        return err;
    }
    c->hash_key = weft__keyhash_key(weft__sys_entropy());
    c->o.user_agent = c->user_agent;   /* what the caller gave may go */
    c->o.proxy = NULL;
    atomic_store_explicit(&c->refs, 1, memory_order_relaxed);
    c->lru.next = c->lru.prev = &c->lru;
    c->h2s.next = c->h2s.prev = &c->h2s;
    *ret_client = c;
    return 0;
}

void weft__client_ref(struct weft_http_client *c)
{
    atomic_fetch_add_explicit(&c->refs, 1, memory_order_relaxed);
}

void weft__client_unref(struct weft_http_client *c)
{
    if (atomic_fetch_sub_explicit(&c->refs, 1, memory_order_acq_rel) != 1)   /* H1 */
        return;
    weft__proxies_free(c->proxies);
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

void weft__call_reason(const struct weft_http_call *call, const char *what, const char *why)
{
    if (!call->reterr_text || !call->reterr_size)
        return;
    (void)snprintf(call->reterr_text, call->reterr_size, "%s%s%s", what, *what ? ": " : "", why);
}

weft_err weft__call_fail(const struct weft_http_call *call, const char *what, weft_err err)
{
    weft__call_reason(call, what, weft_strerror(err));
    return err;
}

/* ---- redirects ---- */

/* The next URL, or an error. *ret_next must be done by the caller when 1 is returned; 0: hand the response over. */
static int redirect_next(struct weft_http_response *r, const struct weft__send *s, struct weft__url *ret_next)
{
    int status = r->rx->head.p.status_code;
    bool moved = status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
    const char *to = moved ? weft__head_find(&r->rx->head, "location") : NULL;
    const struct weft_http_client_opts *o = &r->client->o;
    bool gone = s->reader && (status == 307 || status == 308);   /* a body that was read cannot be sent again */
    if (!to || !*to || o->redirects_max < 0 || gone)
        return 0;
    weft_err err = weft__url_resolve(ret_next, &r->url, to);
    if (err < 0)
        return weft__call_fail(s->call, "redirect", err);
    if (r->redirects >= o->redirects_max)
        err = weft__call_fail(s->call, "redirect", WEFT_EREDIRECT);
    else if (o->on_redirect)
        err = o->on_redirect(r->redirects + 1, status, r->url.text, ret_next->text, o->arg);
    if (err == WEFT_HTTP_FOLLOW)
        return 1;
    weft__url_done(ret_next);
    if (err == WEFT_HTTP_KEEP)
        return 0;
    if (err != WEFT_EREDIRECT)
        weft__call_fail(s->call, "redirect refused", err);
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
        s->reader = NULL;
        s->drop_content = true;
    }
    uint32_t n = from->authority + from->authority_len;
    if (n != to->authority + to->authority_len || memcmp(from->text, to->text, n) != 0)
        s->drop_secrets = true;
}

/* A short rest of a redirect's body is read, to keep the connection. */
static void redirect_drain(weft_ctx *ctx, struct weft_http_response *r)
{
    struct weft__wire *w = &r->rx->wire;
    const char *piece;
    bool small = r->keep && (w->framing != WEFT__BODY_LENGTH || w->left <= DRAIN_MAX);
    while (small && !w->done && w->wire_bytes < r->rx->head.end + DRAIN_MAX)
        if (weft__wire_next(ctx, w, SIZE_MAX, &piece) <= 0)
            break;
}

static weft_err follow(weft_ctx *ctx, struct weft_http_response *r, struct weft__send *s)
{
    struct weft__url *next = NULL;
    for (;;) {
        weft_err err = weft__hop(ctx, r, s);
        if (err < 0 || r->rx->head.p.status_code < 300 || r->rx->head.p.status_code > 399)
            return err;
        next = malloc(sizeof *next);
        if (!next)
            return weft__call_fail(s->call, "", WEFT_ENOMEM);
        next->text = next->near;
        err = redirect_next(r, s, next);
        if (err <= 0) {
            free(next);
            return err;
        }
        redirect_method(s, r->rx->head.p.status_code, &r->url, next);
        redirect_drain(ctx, r);
        weft__response_end_hop(r);
        weft__url_move(&r->url, next);
        free(next);
        r->redirects++;
        r->sent = weft_now();
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
    memset(r, 0, offsetof(struct weft_http_response, url) + offsetof(struct weft__url, near));
    r->url.text = r->url.near;
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
    bool ok = (!call->method || (weft__http_field_ok(method, "") && strcmp(method, "CONNECT") != 0)) &&
              (call->body || !call->body_len) && !(call->body_read && call->body_len) && !(call->expect_continue && !call->body_read);
    if (ok && call->upgrade)
        ok = *call->upgrade && weft__http_field_ok("Upgrade", call->upgrade) && strcmp(method, "GET") == 0 && !call->body_len &&
             !call->body_read;
    if (ok && call->trailers_len)
        ok = call->body_read && call->body_bytes <= 0;
    for (size_t i = 0; ok && i < call->trailers_len; i++)
        ok = weft__http_field_ok(call->trailers[i].name, "") && weft__trailer_allowed(call->trailers[i].name);
    for (size_t i = 0; ok && i < call->fields_len; i++) {
        const struct weft_http_field *f = &call->fields[i];
        ok = weft__http_field_ok(f->name, f->value) && strcasecmp(f->name, "content-length") != 0 &&
             strcasecmp(f->name, "transfer-encoding") != 0;
    }
    return ok ? 0 : weft__call_fail(call, "method or header field", WEFT_EINVAL);
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
                           .body_len = call->body_len, .reader = call->body_read};
    weft_err err = call_check(call, s.method);
    if (err < 0)
        return err;
    struct weft_http_response *r = client ? response_new(client) : NULL;
    if (!r)
        return weft__call_fail(call, "", WEFT_ENOMEM);
    s.own_coding = call_codes(call) || call->upgrade;
    s.user_agent = client->user_agent;
    s.url = &r->url;
    s.ask_coding = !client->o.no_decode;
    s.closing = client->o.idle_per_host_max < 0 && !call->upgrade;
    err = call->url ? weft__url_parse(&r->url, call->url, strlen(call->url)) : WEFT_EADDR;
    if (err < 0) {
        weft__call_fail(call, "URL", err);
    } else {
        weft_dur timeout = call->timeout ? call->timeout : client->o.timeout;
        r->start = r->sent = weft_now();
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
