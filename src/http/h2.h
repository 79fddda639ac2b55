/*
 * h2.h - what the rest of the server asks of HTTP/2: a connection's life, and a stream's half of requests and replies.
 *
 * A request or a writer that belongs to a stream has h2 set (server_int.h); reply.c and request.c then come here. Without
 * nghttp2 the build has h2none.c instead, no stream ever exists, and connections stay with HTTP/1.1. Layer 5.
 */
#ifndef WEFT_HTTP_H2_H
#define WEFT_HTTP_H2_H
#include "client_int.h"
#include "server_int.h"

/* ---- h2conn.c ---- */
extern const bool weft__h2_built;
/* Do these bytes, the connection's first, begin HTTP/2? 1 yes; 0 no; -1 there are too few to tell. */
int weft__h2_preface(const char *bytes, size_t n);
/* The connection from its first bytes, which are copied. True: it goes on without the caller, and ends sc; else it is at its
 * end, and so are its streams' goroutines. */
WEFT_PARKS bool weft__h2_serve(struct weft__sconn *sc, const char *bytes, size_t n);

/* ---- h2body.c ---- */
WEFT_PARKS ssize_t weft__h2_read(struct weft_http_request *rq, void *ret_buf, size_t len);
/* rq->ctx ends with the stream. */
WEFT_PARKS void weft__h2_watch(struct weft_http_request *rq);

/* ---- h2reply.c: as their kin in reply.c ---- */
weft_err weft__h2_field(struct weft_http_writer *w, const char *name, size_t nn, const char *value, size_t nv);
WEFT_PARKS char *weft__h2_room(struct weft_http_writer *w, size_t *ret_len);
WEFT_PARKS weft_err weft__h2_write(struct weft_http_writer *w, const char *buf, size_t len);
WEFT_PARKS weft_err weft__h2_flush(struct weft_http_writer *w);
void weft__h2_reset(struct weft_http_writer *w);
/* inform.c's, of fields that it has looked at. */
WEFT_PARKS weft_err weft__h2_inform(struct weft_http_writer *w, int status, const struct weft_http_field *fields, size_t fields_len);

/* ---- the client's side: h2dial.c, h2call.c ---- */
/* 1: r->h2c is a connection of HTTP/2, and a reference of it; 0: this URL is HTTP/1's; or an error, its words given. */
WEFT_PARKS int weft__h2_connect(weft_ctx *ctx, struct weft_http_response *r, const struct weft_http_call *call);
/* The request out and the head in, on r->h2c: then r->rx is there. */
WEFT_PARKS weft_err weft__h2_exchange(weft_ctx *ctx, struct weft_http_response *r, struct weft__send *s);
void weft__h2_call_end(struct weft_http_response *r);
/* As their kin in wirebody.c. */
WEFT_PARKS ssize_t weft__h2_wire_read(weft_ctx *ctx, struct weft__wire *w, void *ret_buf, size_t len);
WEFT_PARKS ssize_t weft__h2_wire_next(weft_ctx *ctx, struct weft__wire *w, size_t max, const char **ret_piece);
/* Ends the idle connections of HTTP/2; all of them, once their calls are through, when the client is closed. */
void weft__h2_clear(struct weft_http_client *client);

#endif
