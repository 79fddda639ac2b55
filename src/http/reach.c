/*
 * reach.c - a new connection for a URL: dialled, through the proxy, with TLS.
 *
 * Role    What stands between "there is no idle connection" and the first byte of a request. Near hop.c, proxy.c,
 *         net/dial.c, net/tls/. Layer 5.
 * Limits  The call's deadline covers all of it; it is set on the connection here.
 * Failure words go to the call's reterr_text; the connection is closed.
 */
#include <weft/ctx.h>
#include <weft/tls.h>

#include "../net/conn_int.h"
#include "client_int.h"
#include "h2.h"

#include <stdio.h>
#include <string.h>

/* Microseconds, rounded up; more than an hour is an hour. */
static uint32_t reach_us(weft_dur d)
{
    return d > 3600 * WEFT_SEC ? 3600000000u : (uint32_t)((d + WEFT_US - 1) / WEFT_US);
}

static uint32_t reach_sum(uint32_t a, uint32_t b)
{
    return a > UINT32_MAX - b ? UINT32_MAX : a + b;
}

/* Closes conn and says why its handshake failed. */
static weft_err reach_tls_fail(const struct weft_http_call *call, const char *what, weft_conn *conn, weft_err err)
{
    const char *why = weft_tls_error(conn);
    weft__call_reason(call, what, why && *why ? why : weft_strerror(err));
    (void)weft_conn_close(conn);
    return err;
}

/* TLS with the URL's server by OpenSSL, or by our own client (own): then it may be WEFT__TLS_DIAL or WEFT_EUNSUPPORTED, and the
 * connection is still there. */
static int reach_tls(weft_ctx *ctx, struct weft_http_response *r, const struct weft_http_call *call, const char *name, bool own,
                     weft_conn **conn)
{
    struct weft_tls_config cfg = r->client->tls;
    uint16_t port = (uint16_t)r->url.port;
    cfg.server_name = name;
    if (!cfg.alpn)
        cfg.alpn = weft__h2_built && r->client->o.http2 && !call->upgrade ? "h2,http/1.1" : "http/1.1";
    weft_time t = weft_now();
    int err = own ? weft__tls_client_own(ctx, *conn, &cfg, port) : weft__tls_client_to(ctx, *conn, &cfg, port, conn);
    if (err == WEFT__TLS_DIAL || (own && err == WEFT_EUNSUPPORTED))
        return err;
    if (err < 0)
        return reach_tls_fail(call, "TLS", *conn, err);
    r->tls_us = reach_us(weft_now() - t);
    return 0;
}

/* "host:port: why" */
static weft_err reach_dial_fail(const struct weft_http_response *r, const struct weft_http_call *call, const char *at, weft_err err)
{
    const struct weft__url *u = &r->url;
    char text[272];
    bool v6 = u->text[u->host - 1] == '[';
    (void)snprintf(text, sizeof text, v6 ? "[%.*s]:%u" : "%.*s:%u", (int)u->host_len, u->text + u->host, u->port);
    return weft__call_fail(call, at ? at : text, err);
}

/* TCP to the text at, or to the URL's host, with the call's deadline set. */
static weft_err reach_dial(weft_ctx *ctx, struct weft_http_response *r, const struct weft_http_call *call, const char *at,
                           const char *host, weft_conn **ret_conn)
{
    const struct weft_http_client_opts *o = &r->client->o;
    weft_dur dns = 0;
    /* No probes: calls have deadlines and idle connections an end; four system calls less. */
    struct weft_dial_opts d = {.allow = o->allow, .allow_arg = o->arg, .keepalive_s = -1, .ret_resolve = &dns};
    weft_time t = weft_now();
    if (r->deadline && (d.timeout = r->deadline - t) <= 0)
        return reach_dial_fail(r, call, at, WEFT_EDEADLINE);
    weft_err err = at ? weft_dial_with(ctx, "tcp", at, &d, ret_conn) : weft__dial_host(ctx, host, r->url.port, &d, ret_conn);
    r->dns_us = reach_us(dns);
    if (err < 0)
        return reach_dial_fail(r, call, at, err);
    r->connect_us = reach_us(weft_now() - t - dns);
    if (r->deadline)
        (void)weft_conn_set_deadline(*ret_conn, r->deadline);
    return 0;
}

/* TLS with the proxy itself, with the same trust as with servers. */
static weft_err reach_proxy_tls(weft_ctx *ctx, struct weft_http_response *r, const struct weft_http_call *call,
                                const struct weft__proxy *p, weft_conn **conn)
{
    struct weft_tls_config cfg = r->client->tls;
    cfg.server_name = p->name;
    cfg.alpn = "http/1.1";
    weft_time t = weft_now();
    weft_err err = weft_tls_client(ctx, *conn, &cfg, conn);
    if (err < 0)
        return reach_tls_fail(call, "proxy: TLS", *conn, err);
    r->connect_us += reach_us(weft_now() - t);
    return 0;
}

/* Through a proxy; an HTTP one passes plain requests on, and needs to be asked for a tunnel only for TLS and for other
 * protocols. */
static weft_err reach_proxy(weft_ctx *ctx, struct weft_http_response *r, const struct weft_http_call *call,
                            const struct weft__proxy *p, const char *host, weft_conn **ret_conn)
{
    weft_conn *conn;
    const char *why = NULL;
    weft_err err = reach_dial(ctx, r, call, p->at, host, &conn);
    if (err == 0 && p->name)
        err = reach_proxy_tls(ctx, r, call, p, &conn);
    if (err < 0)
        return err;
    if (r->url.https || call->upgrade || p->kind != WEFT__PROXY_HTTP)
        err = weft__proxy_tunnel(ctx, conn, p, host, r->url.port, &why);
    if (err < 0) {
        weft__call_reason(call, "proxy", why ? why : weft_strerror(err));
        (void)weft_conn_close(conn);
        return err;
    }
    *ret_conn = conn;
    return 0;
}

/* TLS with the URL's server. On a direct connection our own client comes first; where it finds that the server is one for
 * OpenSSL, the connection is used up and another takes its place. */
static weft_err reach_secure(weft_ctx *ctx, struct weft_http_response *r, const struct weft_http_call *call, const char *host,
                             bool direct, weft_conn **conn)
{
    char name[256];
    size_t n = strlen(host);
    memcpy(name, host, n + 1);
    while (n && name[n - 1] == '.')   /* SNI and certificates know no root dot */
        name[--n] = '\0';
    uint32_t dns = r->dns_us, connect = r->connect_us, tls = 0;
    weft_time t = weft_now();
    int is = direct ? reach_tls(ctx, r, call, name, true, conn) : WEFT_EUNSUPPORTED;
    if (is == WEFT__TLS_DIAL) {
        tls = reach_us(weft_now() - t);
        (void)weft_conn_close(*conn);
        weft_err err = reach_dial(ctx, r, call, NULL, host, conn);
        if (err < 0)
            return err;
        r->dns_us = reach_sum(r->dns_us, dns);
        r->connect_us = reach_sum(r->connect_us, connect);
    }
    if (is == WEFT__TLS_DIAL || is == WEFT_EUNSUPPORTED) {
        is = reach_tls(ctx, r, call, name, false, conn);
        r->tls_us = reach_sum(r->tls_us, tls);   /* what a call took is told whole */
    }
    return is;
}

bool weft__reach_relayed(const struct weft_http_response *r, const struct weft_http_call *call)
{
    const struct weft__proxy *p = r->url.https || call->upgrade ? NULL : weft__proxy_for(r->client->proxies, &r->url);
    return p && p->kind == WEFT__PROXY_HTTP;
}

weft_err weft__reach(weft_ctx *ctx, struct weft_http_response *r, const struct weft_http_call *call, weft_conn **ret_conn,
                     bool *ret_relayed)
{
    const struct weft__url *u = &r->url;
    const struct weft__proxy *p = weft__proxy_for(r->client->proxies, u);
    char host[256];
    weft_conn *conn;
    weft_err err;
    memcpy(host, u->text + u->host, u->host_len);   /* at most 255: url.c */
    host[u->host_len] = '\0';
    err = p ? reach_proxy(ctx, r, call, p, host, &conn) : reach_dial(ctx, r, call, NULL, host, &conn);
    if (err < 0)
        return err;
    if (u->https) {
        err = reach_secure(ctx, r, call, host, p == NULL, &conn);
        if (err < 0)
            return err;
    }
    *ret_conn = conn;
    *ret_relayed = weft__reach_relayed(r, call);
    return 0;
}
