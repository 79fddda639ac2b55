/*
 * client_int.h - the inside of a client and of a response: shared by the files of the client's side. Layer 5.
 */
#ifndef WEFT_HTTP_CLIENT_INT_H
#define WEFT_HTTP_CLIENT_INT_H
#include <weft/chan.h>
#include <weft/time.h>

#include "http_int.h"
#include "proxy.h"
#include "sendreq.h"

#include <stdatomic.h>

struct weft__upload;

struct weft__hlink {
    struct weft__hlink *next, *prev;
};

/* No URL's: the key of what the client's HTTP proxy passes on. */
#define WEFT__RELAYED "proxy"

/* A host, scheme and port; or all that the client's HTTP proxy passes requests on to. Lives while a call or a connection names it. */
struct weft__host {
    struct weft__host *next;       /* [client lock] bucket */
    struct weft__hlink idle;       /* [client lock] its idle connections, newest first */
    uint32_t idle_len, refs;       /* [client lock] refs: calls and connections */
    uint64_t hash;                 /* [const] of key */
    struct weft__h2 *h2;           /* [client lock] h2dial.c: its connection of HTTP/2, or NULL */
    weft_chan(char) gate;          /* [client lock] h2dial.c: who dials to find out; NULL: nobody has */
    bool h1;                       /* [client lock] it is known to speak HTTP/1 only */
    weft_chan(char) slots;         /* [const] as many values as calls with a connection; NULL: no limit */
    uint32_t key_len;              /* [const] */
    char key[];                    /* [const] "https://host:port" as in struct weft__url; WEFT__RELAYED */
};

/* A connection of the pool. In use it belongs to one response, idle to the client's lists. */
struct weft__hconn {
    struct weft__hlink in_host, in_lru;   /* [client lock] while idle */
    weft_conn *conn;               /* [own] */
    struct weft__host *host;       /* [const] holds one of its refs */
    int64_t since : 61;            /* [own] idle since, an instant; beside the bits, as a call that waits pays for each byte */
    uint64_t armed : 1;            /* [own] a deadline is set on conn */
    uint64_t tls : 1;              /* [const] with the server, or with the proxy */
    uint64_t relayed : 1;          /* [const] requests go to the client's HTTP proxy, with the whole URL */
};

struct weft_http_client {
    struct weft_http_client_opts o;   /* [const] defaults filled in */
    struct weft_tls_config tls;       /* [const] */
    char *user_agent;                 /* [const] NULL: none */
    struct weft__proxies *proxies;    /* [const] NULL: none */
    struct weft__lock lock;
    struct weft__host **buckets;      /* [lock] power of two of them */
    uint32_t buckets_len, hosts_len;  /* [lock] */
    uint64_t hash_key;                /* [const] of host->hash */
    struct weft__hlink lru;           /* [lock] idle connections, longest idle first */
    uint32_t idle_len;                /* [lock] */
    struct weft__hlink h2s;           /* [lock] connections of HTTP/2 */
    uint32_t h2_round;                /* [lock] counts weft__h2_clear */
    _Atomic weft_time turns_from;     /* [stat] hop.c, Turns: until this instant none are given */
    _Atomic uint32_t turns;           /* [stat] about how many have begun and ended: threads may lose one */
    atomic_bool turn_was_long;        /* [stat] the last one that was timed */
    _Atomic uint32_t refs;            /* [H1] the owner, responses, calls, and the reaper while armed */
    bool closed;                      /* [lock] nothing is kept any more */
    bool reaping;                     /* [lock] the timer is armed or its function runs */
    weft_timer timer;                 /* reaper */
};

/* H1: drop release -> last drop acquire: who frees sees all that others did. */
void weft__client_ref(struct weft_http_client *c);
void weft__client_unref(struct weft_http_client *c);

/* ---- hostpool.c ---- */
/* The host of a URL, with a reference; relayed: the one that stands for all whose requests the HTTP proxy passes on. NULL when memory
 * is short. With ret_idle, and where connections are not limited: also an idle connection, or NULL. */
struct weft__host *weft__host_get(struct weft_http_client *c, const struct weft__url *url, bool relayed, weft_time now,
                                  struct weft__hconn **ret_idle);
void weft__host_put(struct weft_http_client *c, struct weft__host *host);
/* One of conns_per_host_max: waits for it until the instant `until` (0: no limit). */
WEFT_PARKS weft_err weft__host_enter(weft_ctx *ctx, weft_chan(char) slots, weft_time until);
void weft__host_leave(struct weft__host *host);
/* An idle connection, or NULL. */
struct weft__hconn *weft__pool_take(struct weft_http_client *c, struct weft__host *host, weft_time now);
/* Keeps hc, idle since the instant given, or closes it when there are too many; with unref it also gives a reference of its host
 * back. */
void weft__pool_put(struct weft_http_client *c, struct weft__hconn *hc, bool unref, weft_time since);
void weft__hconn_close(struct weft_http_client *c, struct weft__hconn *hc);
void weft__pool_clear(struct weft_http_client *c);

/* ---- a response ---- */
/* What has been received of an answer: comes with its first byte (C4 in hop.c), goes with the hop. */
struct weft__rx {
    struct weft__wire wire;
    struct weft__hbuf *buf;           /* head and first bytes of body */
    struct weft__hbuf *plain;         /* decoded pieces, while there is a decoder */
    struct weft__decoder *decoder;
    uint64_t body_bytes;              /* handed out */
    uint64_t content_length;          /* with has_length */
    weft_time heard;                  /* the first bytes came */
    weft_err err;                     /* sticky body error */
    uint32_t have;                    /* bytes in buf */
    bool has_length;
    bool coded;                       /* the body has a coding that nobody here undoes */
    const char *why;
    struct weft__head head;
};

struct weft_http_response {
    struct weft_http_client *client;  /* holds a reference; in the pool of responses: the next one */
    struct weft__host *host;          /* entered and referenced while hc or a dial is under way */
    struct weft__hconn *hc;           /* NULL: none (any more) */
    struct weft__h2 *h2c;             /* HTTP/2: a reference of the connection, instead of host and hc; else NULL */
    struct weft__h2_stream *h2;       /* and the stream; NULL: not yet */
    struct weft__rx *rx;              /* NULL while the answer is waited for */
    struct weft__upload *upload;      /* upload.c: the request's body, while it is sent beside; else NULL */
    weft_time start, deadline;        /* deadline 0: none */
    weft_time sent;                   /* once got_bytes: what first_byte will say */
    uint32_t dns_us, connect_us, tls_us;   /* a call that waits pays for each byte here */
    uint32_t head_wire_bytes;         /* of responses 1xx before it */
    uint16_t redirects;
    bool keep, reused, got_bytes;
    bool untouched;                   /* HTTP/2: the server has not looked at the request */
    struct weft__url url;
};
/* Set up the decoders that the fields ask for. */
weft_err weft__response_decoding(struct weft_http_response *r, bool decode);
/* Ends the hop: the connection goes to the pool or is closed, buffers go back. Headers are gone. */
void weft__response_end_hop(struct weft_http_response *r);

/* ---- hop.c ---- */
/* r->rx, with its buffer. False when memory is short. */
bool weft__rx_take(struct weft_http_response *r);
/* conn, new, of HTTP/1 and not to a proxy that passes on, is r's with host and slot (C1, C2); or, where all slots are taken, the pool's. */
weft_err weft__hconn_found(struct weft_http_response *r, weft_conn *conn);
/* One request and its response's head, on a kept connection or a new one. */
WEFT_PARKS weft_err weft__hop(weft_ctx *ctx, struct weft_http_response *r, struct weft__send *s);

/* ---- reach.c ---- */
/* Does r's hop go to the client's HTTP proxy, to be passed on? Not through a tunnel. */
bool weft__reach_relayed(const struct weft_http_response *r, const struct weft_http_call *call);
/* A new connection for r->url, through the proxy if there is one, with TLS if the URL says so. *ret_relayed: requests on it
 * are the HTTP proxy's to pass on. */
WEFT_PARKS weft_err weft__reach(weft_ctx *ctx, struct weft_http_response *r, const struct weft_http_call *call,
                                weft_conn **ret_conn, bool *ret_relayed);

/* ---- words for errors ---- */
void weft__call_reason(const struct weft_http_call *call, const char *what, const char *why);
/* err, with its own words. */
weft_err weft__call_fail(const struct weft_http_call *call, const char *what, weft_err err);

#endif
