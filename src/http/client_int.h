/*
 * client_int.h - the inside of a client and of a response: shared by client.c, hostpool.c, response.c. Layer 5.
 */
#ifndef WEFT_HTTP_CLIENT_INT_H
#define WEFT_HTTP_CLIENT_INT_H
#include <weft/chan.h>
#include <weft/time.h>

#include "http_int.h"

struct weft__hlink {
    struct weft__hlink *next, *prev;
};

/* A host, scheme and port. Lives while a call or a connection names it. */
struct weft__host {
    struct weft__host *next;       /* [client lock] bucket */
    struct weft__hlink idle;       /* [client lock] its idle connections, newest first */
    uint32_t idle_len, refs;       /* [client lock] refs: calls and connections */
    uint64_t hash;                 /* [const] of key */
    weft_chan(char) slots;         /* [const] as many values as calls with a connection; NULL: no limit */
    uint32_t key_len;              /* [const] */
    char key[];                    /* [const] "https://host:port" as in struct weft__url */
};

/* A connection of the pool. In use it belongs to one response, idle to the client's lists. */
struct weft__hconn {
    struct weft__hlink in_host, in_lru;   /* [client lock] while idle */
    weft_conn *conn;               /* [own] */
    struct weft__host *host;       /* [const] holds one of its refs */
    weft_time since;               /* [own] idle since */
    bool armed;                    /* [own] a deadline is set on conn */
    bool https;                    /* [const] */
};

struct weft_http_client {
    struct weft_http_client_opts o;   /* [const] defaults filled in */
    struct weft_tls_config tls;       /* [const] */
    char *user_agent;                 /* [const] NULL: none */
    struct weft__lock lock;
    struct weft__host **buckets;      /* [lock] power of two of them */
    uint32_t buckets_len, hosts_len;  /* [lock] */
    struct weft__hlink lru;           /* [lock] idle connections, longest idle first */
    uint32_t idle_len;                /* [lock] */
    uint32_t refs;                    /* [lock] the owner, responses, calls, and the reaper while armed */
    bool closed;                      /* [lock] nothing is kept any more */
    bool reaping;                     /* [lock] the timer is armed or its function runs */
    weft_timer timer;                 /* reaper */
};

void weft__client_ref(struct weft_http_client *c);
void weft__client_unref(struct weft_http_client *c);

/* ---- hostpool.c ---- */
/* The host of a URL, with a reference. NULL when memory is short. */
struct weft__host *weft__host_get(struct weft_http_client *c, const struct weft__url *url);
void weft__host_put(struct weft_http_client *c, struct weft__host *host);
/* One of conns_per_host_max: waits for it until the instant `until` (0: no limit). */
WEFT_PARKS weft_err weft__host_enter(weft_ctx *ctx, struct weft__host *host, weft_time until);
void weft__host_leave(struct weft__host *host);
/* An idle connection, or NULL. */
struct weft__hconn *weft__pool_take(struct weft_http_client *c, struct weft__host *host);
/* Keeps hc, or closes it when there are too many. */
void weft__pool_put(struct weft_http_client *c, struct weft__hconn *hc);
void weft__hconn_close(struct weft_http_client *c, struct weft__hconn *hc);
void weft__pool_clear(struct weft_http_client *c);

/* ---- a response ---- */
struct weft_http_response {
    void *pool_next;                  /* in the pool of responses */
    struct weft_http_client *client;  /* holds a reference */
    struct weft__host *host;          /* entered and referenced while hc or a dial is under way */
    struct weft__hconn *hc;           /* NULL: none (any more) */
    struct weft__hbuf *buf;           /* request, then head and first bytes of body */
    struct weft__hbuf *plain;         /* decoded pieces, while there is a decoder */
    struct weft__decoder *decoder;
    struct weft__wire wire;
    weft_time start, sent, deadline;  /* deadline 0: none */
    struct weft_http_times times;
    uint64_t head_wire_bytes;         /* of responses 1xx before it */
    uint64_t body_bytes;              /* handed out */
    uint64_t content_length;          /* with has_length */
    int redirects;
    weft_err err;                     /* sticky body error */
    const char *why;
    bool keep, has_length, reused, got_bytes;
    struct weft__head head;
    struct weft__url url;
};
/* Set up the decoder that the fields ask for. */
weft_err weft__response_decoding(struct weft_http_response *r, bool decode);
/* Ends the hop: the connection goes to the pool or is closed, buffers go back. Headers are gone. */
void weft__response_end_hop(struct weft_http_response *r);

#endif
