/*
 * server_int.h - the inside of a server: connections, exchanges, requests, replies. Layer 5.
 */
#ifndef WEFT_HTTP_SERVER_INT_H
#define WEFT_HTTP_SERVER_INT_H
#include <weft/chan.h>
#include <weft/ctx.h>
#include <weft/sync.h>
#include <weft/time.h>

#include "../net/conn_int.h"
#include "http_int.h"

#define WEFT__VALUES 16         /* wildcards of a pattern */
#define WEFT__REPLY_FIXED 256   /* room for the status line and the server's own fields */
#define WEFT__START 70          /* bytes of an answer before its length's digits */

/* One accepted connection: all that it needs while idle. */
struct weft__sconn {
    struct weft__sconn *next, *prev;   /* [server lock] in conns or in kicked */
    struct weft_http_server *server;   /* [const] */
    weft_conn *conn;                   /* [own] */
    struct weft__exch *x;              /* [own] the exchange under way, or NULL */
    weft_time read_limit, write_limit; /* [own] deadlines set on conn; 0 none */
    _Atomic bool idle;                 /* [V4] between requests */
    _Atomic bool h2;                   /* [V5] HTTP/2, for good: shutdown wakes it instead of closing it */
    bool told;                         /* [server lock] it was woken */
    bool secured;                      /* [own] the handshake of TLS is over */
    bool began;                        /* [own] its first bytes have told the protocol */
    bool hijacked;                     /* [own] the handler has taken conn: it is not closed with this */
    struct weft_ws *ws;                /* [server lock] the conversation that conn has become, a reference; or NULL */
    struct weft__starter start;        /* [const] what goes on with it when it was idle */
};

/* The reply under way. reply.c has the layout of out. */
struct weft_http_writer {
    struct weft__sconn *sc;
    struct weft__h2_stream *h2;    /* [const] HTTP/2: the stream; else NULL */
    struct weft__hbuf *out;
    uint32_t base;                 /* out[0 .. base): finished answers that are not sent yet */
    uint32_t fields_len;           /* HTTP/2: how many fields are in out */
    uint32_t fields_end;           /* where the handler's fields end; body begins behind the empty line there */
    uint32_t len;                  /* end of what out holds */
    uint32_t post_at, post_end;    /* out[post_at .. post_end): a finished answer in the post, or what is left of it */
    int status;
    bool fields_closed, head_sent, has_length, chunked, no_body, is_head, old, close;
    uint64_t length, written;
    weft_err err;                  /* sticky */
    char *trailers;                /* malloc'ed, "name: value CRLF" ...; or NULL */
    uint32_t trailers_len;
};

struct weft_http_request {
    struct weft__exch *x;
    weft_ctx *ctx;                 /* made when asked for */
    struct weft__gone *gone;       /* gone.c: the watch for the client's end, with ctx */
    const char *path, *query;      /* path ends at the query: cut out of the target */
    char *path_copy;               /* malloc'ed when there is a query */
    bool expect;                   /* the client waits for 100 Continue */
    weft_err err;                  /* sticky body error */
    uint64_t body_bytes;
    struct weft__chain *chain;     /* mux.c: middleware still to come, and the handler behind it */
    const struct weft__pattern *pattern; /* mux.c: what matched; NULL: none */
    struct weft__text *texts;      /* decoded values, freed with the request */
    struct weft__value {
        const char *s;             /* in the target, not decoded */
        uint32_t len;
    } values[WEFT__VALUES];        /* last: not cleared */
};

/* late.c: the timer for held answers. */
struct weft__late {
    weft_timer timer;
    weft_mutex m;
    _Atomic uint32_t held;         /* [L1] bytes that are held */
    const char *data;              /* [const] while armed: the out buffer */
    bool armed;                    /* [own of the connection's goroutine] */
    bool fired;                    /* [m] */
    uint32_t sent;                 /* [m] by the timer's goroutine */
    weft_err err;                  /* [m] of that */
};

/* A request and its reply. From a pool with its two buffers, only while there is one. */
struct weft__exch {
    void *pool_next;
    struct weft__exch *post_next;  /* [lock of the box] post.c */
    struct weft__sconn *sc;
    struct weft__hbuf *buf;        /* heads and bodies as they come */
    uint32_t at, end;              /* buf[at .. end): read, and not yet part of a request that was served */
    int64_t date_at;               /* the second that start says */
    char start[WEFT__START];       /* replyhead.c: how most answers begin */
    char host[64];                 /* the value of Host that was found right last, of another connection perhaps */
    uint8_t first_name_len, first_len;   /* 0: none; first_len of all, as it will stand */
    char first[62];                /* reply.c: name NUL NUL value NUL NUL of an ordinary field that an answer began with */
    struct weft_http_request rq;
    struct weft_http_writer w;
    struct weft__late late;
    struct weft__wire wire;
    struct weft__head head;
};

struct weft_http_server {
    struct weft_http_server_opts o;    /* [const] */
    struct weft_tls_config tls;        /* [const] */
    weft_ctx *ctx;                     /* [const] cancelled when connections are closed by force */
    weft_chan(char) slots;             /* [const] conns_max; NULL: no limit */
    weft_chan(char) ended;             /* [const] closed when the last connection has ended after shutdown */
    struct weft__lock lock;
    struct weft__sconn conns;          /* [lock] list head */
    struct weft__sconn kicked;         /* [lock] list head: closed by shutdown, still ending */
    weft_listener *listeners[16];      /* [lock] being served */
    uint32_t conns_len;                /* [lock] */
    uint32_t serving;                  /* [lock; V3] accept loops that have not returned */
    bool ended_told;                   /* [lock] */
    _Atomic bool closing;              /* [V4] written under lock */
};

/* ---- serveconn.c ---- */
WEFT_PARKS void weft__serve_conn(struct weft__sconn *sc);
/* No more is written; what the peer still sends is read away for a while, so that it can read what it was told. */
WEFT_PARKS void weft__sconn_linger(struct weft__sconn *sc);
/* The same after its wait for a request has begun without a goroutine, and ended: what sc->start runs. */
WEFT_PARKS void weft__serve_more(void *sc);
/* From the post (post.c): the answer is sent as far as the socket takes it, and the wait for the next request begins; what does not go
 * that way is left to a goroutine of the connection's own. sc may be gone. */
void weft__serve_posted(struct weft__sconn *sc);
/* ---- post.c ---- */
/* Takes x, whose answer is finished, with its connection; it is sent once those who are ready now have had their turn. False: it is
 * the caller's to send, as nobody is ready, or they take long. */
bool weft__post(struct weft__exch *x);
/* ---- server.c ---- */
/* V4. False when the server is closing: then the connection ends. */
static inline bool weft__sconn_set_idle(struct weft__sconn *sc, bool idle)
{
    atomic_store_explicit(&sc->idle, idle, memory_order_seq_cst);                     /* V4 sb */
    return !atomic_load_explicit(&sc->server->closing, memory_order_seq_cst);         /* V4 sb */
}
/* Closes the connection and counts it out; sc is gone, and the server may be. */
void weft__sconn_end(struct weft__sconn *sc);
/* V5. The connection becomes HTTP/2's; and has shutdown begun? */
void weft__sconn_set_h2(struct weft__sconn *sc);
bool weft__sconn_closing(const struct weft__sconn *sc);
/* The connection becomes a conversation's: shutdown says goodbye on it, while the handler runs. */
void weft__sconn_set_ws(struct weft__sconn *sc, struct weft_ws *ws);
/* ---- request.c ---- */
/* n bytes that live as long as the request. */
struct weft__text {
    struct weft__text *next;
    char s[];
};
char *weft__request_text(struct weft_http_request *rq, size_t n);
void weft__request_init(struct weft__exch *x);
/* The head is complete: 0, or the status to refuse it with. */
int weft__request_accept(struct weft__exch *x);
/* Is that the value of a right Host field? It nearly always is the one that was found right last. */
bool weft__request_host_right(struct weft__exch *x, const char *host);
/* Path and query out of the target: 0, or such a status. */
int weft__request_target(struct weft_http_request *rq);
void weft__request_done(struct weft_http_request *rq);
/* Reads the rest of the body away if it is short; false: the connection cannot be used again. */
WEFT_PARKS bool weft__request_finish(struct weft_http_request *rq);
/* Reads of the connection end at now + d. Moves the deadline only when that matters. */
void weft__sconn_read_limit(struct weft__sconn *sc, weft_dur d);
void weft__sconn_write_limit(struct weft__sconn *sc, weft_dur d);
/* ---- late.c ---- */
/* out[0 .. held) is finished answers; they leave LATE after the first call, unless settled before. */
void weft__late_hold(struct weft__exch *x, uint32_t held);
/* Ends that: *ret_sent bytes from the start have left already. 0, or the error of sending them. */
WEFT_PARKS weft_err weft__late_settle(struct weft__exch *x, uint32_t *ret_sent);
/* ---- gone.c ---- */
/* Cancels rq->ctx when the client goes away; once the body is read. */
void weft__gone_start(struct weft_http_request *rq);
/* The watch has ended when this returns. */
WEFT_PARKS void weft__gone_stop(struct weft_http_request *rq);
/* ---- panicdump.c ---- */
/* Deferred around the handlers of a connection: a panic that passes tells where it came from. */
void weft__http_panic_dump(struct weft__exch *const *where);
/* ---- reply.c ---- */
void weft__reply_init(struct weft_http_writer *w, struct weft__sconn *sc, bool is_head, bool old);
/* Takes back what has been put, if nothing was sent. */
bool weft__reply_reset(struct weft_http_writer *w);
/* The text of a request that no handler sees. */
WEFT_PARKS void weft__reply_refusal(struct weft_http_writer *w, int status);
/* What may become of a small answer: it is sent; it stays in out, for more to come (A3); it may stay in out[post_at .. post_end). */
enum weft__finish { WEFT__FINISH_SEND, WEFT__FINISH_HOLD, WEFT__FINISH_POST };
/* Sends what is left, or see there. False: the connection ends. */
WEFT_PARKS bool weft__reply_finish(struct weft_http_writer *w, enum weft__finish how);
/* Sends out[post_at .. post_end) as far as the socket takes it: is nothing left? */
bool weft__reply_post_try(struct weft_http_writer *w);
/* All of it. 0 or the error. */
WEFT_PARKS weft_err weft__reply_post_send(struct weft_http_writer *w);
/* Sends the held answers (A3), of which there are some. */
WEFT_PARKS weft_err weft__reply_release_held(struct weft_http_writer *w);
static inline weft_err weft__reply_release(struct weft_http_writer *w)
{
    return w->base ? weft__reply_release_held(w) : w->err;
}
void weft__reply_done(struct weft_http_writer *w);
/* Room for body bytes in the out buffer, at least 1; NULL on an error. Then say how many were put there. */
WEFT_PARKS char *weft__reply_room(struct weft_http_writer *w, size_t *ret_len);
WEFT_PARKS weft_err weft__reply_commit(struct weft_http_writer *w, size_t len);
/* Body by sendfile, after a stated length: *at and *len move on; 0 also where sendfile cannot do it (*len is then left). */
WEFT_PARKS weft_err weft__reply_file(struct weft_http_writer *w, int fd, uint64_t *at, uint64_t *len);
/* ---- replyhead.c ---- */
/* Status line and the server's own fields: their length. */
uint32_t weft__reply_head(const struct weft_http_writer *w, char ret[static WEFT__REPLY_FIXED]);
/* The same for a 200 of HTTP/1.1 with a stated length, so that they end at `end`, with WEFT__REPLY_FIXED bytes of room before it. */
uint32_t weft__reply_head_before(const struct weft_http_writer *w, char *end);
/* "Sun, 06 Nov 1994 08:49:37 GMT", 29 bytes and a NUL. */
void weft__http_date(int64_t unix_s, char ret[static 30]);
/* The same for now, without the NUL. */
void weft__http_date_now(char *ret);
const char *weft__http_status_text(int status);

#endif
