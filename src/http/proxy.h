/* proxy.h - proxies: settings, and the words spoken to one before the request. Layer 5. */
#ifndef WEFT_HTTP_PROXY_H
#define WEFT_HTTP_PROXY_H
#include "http_int.h"

enum weft__proxy_kind { WEFT__PROXY_HTTP, WEFT__PROXY_SOCKS5, WEFT__PROXY_SOCKS5H };

struct weft__proxy {
    enum weft__proxy_kind kind;
    char *at;                     /* "host:port" to dial */
    char *name;                   /* spoken to over TLS: the host, as its certificate has it; NULL: without */
    char *user, *password;        /* decoded; NULL: none */
    char *basic;                  /* "Basic ..." for Proxy-Authorization; NULL: none */
};

struct weft__proxies {
    struct weft__proxy http, https;   /* by the URL's scheme; at is NULL where there is none */
    char *except;                 /* no_proxy: names and addresses separated by commas */
};

/* What the options say. *ret_proxies NULL when there is none. */
weft_err weft__proxies_new(const struct weft_http_client_opts *o, struct weft__proxies **ret_proxies);
void weft__proxies_free(struct weft__proxies *p);
/* The proxy for a URL, or NULL. */
const struct weft__proxy *weft__proxy_for(const struct weft__proxies *p, const struct weft__url *url);
/* Asks the proxy at the other end of conn for a way to host:port (an IPv6 address without brackets). On failure
 * *ret_why has words. */
WEFT_PARKS weft_err weft__proxy_tunnel(weft_ctx *ctx, weft_conn *conn, const struct weft__proxy *p, const char *host,
                                       unsigned port, const char **ret_why);

#endif
