/* sendreq.h - what a hop sends. Layer 5. */
#ifndef WEFT_HTTP_SENDREQ_H
#define WEFT_HTTP_SENDREQ_H
#include "http_int.h"
#include "proxy.h"

/* A body that comes piece by piece. */
struct weft__body {
    weft_http_body_fn *read;
    void *arg;
    int64_t bytes;               /* in all; 0 or less: not known */
    const struct weft_http_field *trailers;   /* the caller's, looked at when read has returned 0 */
    size_t trailers_len;
};

struct weft__send {
    const struct weft_http_call *call;
    const char *method;          /* GET after some redirects */
    const void *body;
    size_t body_len;
    weft_http_body_fn *reader;   /* the body comes from here; NULL: from body */
    const char *user_agent;      /* NULL: none */
    const struct weft__url *url;
    char *cookies;               /* of the jar, for this URL; malloc'ed by the hop */
    const struct weft__proxy *proxy;   /* the request goes to an HTTP proxy: whole URL, its password */
    bool ask_coding;             /* the client decodes: ask for what it can decode */
    bool own_coding;             /* the caller asked for codings itself, or for a range: bodies stay as they come */
    bool drop_secrets;           /* a redirect has left the host: no Authorization, Cookie, Host */
    bool drop_content;           /* the body is gone: no Content-* fields */
    bool closing;                /* say Connection: close */
    bool spent;                  /* the reader has been asked: there is no sending this again */
};

/* For HTTP/2. The value of Host if the caller gave one, or NULL; field number i, whose name is NULL when it stays out; false
 * past the last. */
const char *weft__request_host(const struct weft__send *s);
bool weft__request_field(const struct weft__send *s, size_t i, struct weft_http_field *ret_field);
/* The head, and with it the body if that is in memory, in one write where they fit a buffer; of a larger one what the socket
 * takes at once. *ret_left: bytes of the body's end that are still to go. *keep becomes false when the caller's fields say
 * close. */
WEFT_PARKS weft_err weft__request_send(weft_ctx *ctx, weft_conn *conn, const struct weft__send *s, bool *keep, size_t *ret_left);
/* A body from a reader, framed as the head said. *ret_own: the error is the reader's, not the connection's. */
WEFT_PARKS weft_err weft__request_stream(weft_ctx *ctx, weft_conn *conn, const struct weft__body *body, bool *ret_own);

/* "name: value CRLF" lines of b's trailers, whose names have been looked at, into WEFT__TRAILERS_MAX bytes of room. 0; WEFT_EINVAL,
 * WEFT_ETOOBIG. */
weft_err weft__trailers_text(const struct weft__body *b, char *ret_text, size_t *ret_len);

#endif
