/* sendreq.h - what a hop sends. Layer 5. */
#ifndef WEFT_HTTP_SENDREQ_H
#define WEFT_HTTP_SENDREQ_H
#include "http_int.h"

struct weft__send {
    const struct weft_http_call *call;
    const char *method;          /* GET after some redirects */
    const void *body;
    size_t body_len;
    const char *user_agent;      /* NULL: none */
    const struct weft__url *url;
    bool ask_coding;             /* the client decodes: ask for gzip and deflate */
    bool own_coding;             /* the caller asked for codings itself, or for a range: bodies stay as they come */
    bool drop_secrets;           /* a redirect has left the host: no Authorization, Cookie, Host */
    bool drop_content;           /* the body is gone: no Content-* fields */
};

/* Head and body in one write where they fit the buffer. *keep becomes false when the caller's fields say close. */
WEFT_PARKS weft_err weft__request_send(weft_ctx *ctx, weft_conn *conn, struct weft__hbuf **buf, const struct weft__send *s,
                                       bool *keep);

#endif
