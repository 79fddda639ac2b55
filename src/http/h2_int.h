/*
 * h2_int.h - an HTTP/2 connection and its streams, as the files h2*.c share them. Layer 5.
 *
 * Invariants, true whenever c->m is free:
 *   Z1  one goroutine at a time is in the nghttp2 session: whoever holds c->m. Nobody parks with it held, but in a
 *       weft_cond_wait, which gives it up.
 *   Z2  writing: one goroutine owns out and the socket's write direction; it looks for more to send under c->m before it
 *       clears writing, so what is queued under c->m while it is set will be sent.
 *   Z3  in_pass: the connection's goroutine is between a read and its flush; others queue and leave the sending to it.
 *   Z4  a stream lives while refs > 0: one is the session's (until on_stream_close), one the handler's goroutine's.
 *   Z5  data and more point to bytes that stay until they are taken or err is set: out's, which is the stream's, and the
 *       handler's own, which waits.
 *   Z6  the read deadline is never later than the first of the waits in `until` of any stream; only a sweep moves it on.
 *   Z7  c is freed by the last of its goroutines, acq_rel on lives: a goroutine may still be in the unlock of c->m when
 *       the connection's has seen all of them end.
 *   Z8  todo is not empty  =>  the connection's goroutine is between its pass and weft__h2_handle, or guarded: a goroutine
 *       will look that gives each request of todo a runner, if need be, and sends what is queued. Runners take a second
 *       request only while guarded, and leave the sending of the first answer until later.
 *   Z9  one goroutine leads, which is called the connection's: it reads and waits. A server's wait is without one: c->start
 *       is with the poller, and the goroutine that it starts leads. Who has left touches only what it has a reference for.
 */
#ifndef WEFT_HTTP_H2_INT_H
#define WEFT_HTTP_H2_INT_H
#include <nghttp2/nghttp2.h>

#include "client_int.h"
#include "h2.h"

#define WEFT__H2_WINDOW (256 * 1024)         /* of a stream: body that has come and was not read */
#define WEFT__H2_CONN_WINDOW (1024 * 1024)   /* of a connection */
#define WEFT__H2_HEAD_NEAR 1536              /* first room for a request's head */
#define WEFT__H2_OUT_NEAR 3072               /* first room for fields and body of a reply */

/* Tokens that peers spend on what costs us and brings them nothing. h2guard.c. */
struct weft__h2_bucket {
    uint32_t left;
    weft_time at;                  /* when it was full, or filled up last */
};

struct weft__h2_stream {
    void *pool_next;
    struct weft__h2 *c;                      /* [const] */
    struct weft__hlink link;                 /* [c->m] in c->streams, while the session has it */
    struct weft__h2_stream *todo_next;       /* [c->m] */
    int32_t id;                              /* [const] */
    uint8_t refs;                            /* [c->m, Z4] */
    bool started;                            /* [c->m] it is a request that a handler answers: under way, or in todo */
    bool handled;                            /* [c->m] the handler's goroutine is through */
    bool returned;                           /* [own of the handler's goroutine] the handler did return */
    bool final, interim;                     /* [c->m] of a call: the head is there, and no 1xx; a 100 came */
    weft_time deadline;                      /* [const] of a call; 0 none */
    bool refused;                            /* [c->m] of a call: the server has not looked at it */
    bool closed;                             /* [c->m] the session has forgotten it */
    bool in_ended;                           /* [c->m] the peer's last byte is here */
    weft_err err;                            /* [c->m] why it broke off; 0: it has not */
    weft_err in_err, out_err;                /* [c->m] a wait of that direction took too long */
    weft_ctx *ctx;                           /* [c->m] a reference lent by the request, to be cancelled */
    weft_time until[2];                      /* [c->m, Z6] when the wait to read, to write, ends; 0 none; headers: [0] */
    /* the request */
    int status;                              /* [c->m] to refuse it with, or 0 */
    uint32_t head_len, head_size;            /* [c->m] bytes in x.buf; as SETTINGS_MAX_HEADER_LIST_SIZE counts */
    uint32_t authority, authority_len;       /* [c->m] offset in x.buf; 0: none */
    uint32_t cookies;                        /* [c->m] cookie fields */
    struct weft__hbuf *in, *in_last;         /* [c->m] body that has come: linked by next */
    uint32_t in_pos, in_end;                 /* [c->m] read from in, put into in_last */
    /* the reply */
    bool submitted;                          /* [c->m] the head is the session's */
    bool deferred;                           /* [c->m] the session waits for weft__h2 to resume data */
    bool fin;                                /* [c->m] nothing comes behind data and more */
    const char *data, *more;                 /* [c->m, Z5] */
    size_t data_len, more_len;               /* [c->m] */
    char *rest;                              /* [c->m] of a call: data that is ours; or NULL */
    weft_cond wake;                          /* with c->m: any of the above has changed */
    struct weft__hbuf *near;                 /* [own] the small out */
    char text[64];                           /* [c->m] values of the server's own fields */
    struct weft__exch x;
};

struct weft__h2 {
    weft_mutex m;                            /* Z1 */
    _Atomic uint32_t lives;                  /* [Z7] goroutines that use c; the last one frees it */
    weft_conn *conn;                         /* [const] */
    struct weft__sconn *sc;                  /* [const] a server's connection; NULL: a client's */
    struct weft__starter start;              /* [const] a server's: who leads next (Z9) */
    size_t head_max;                         /* [const] bytes of a head's fields */
    weft_dur head_timeout, io_timeout, idle_timeout;   /* [const] */
    weft_time write_limit;                   /* [Z2] the write deadline */
    struct weft_http_client *client;         /* [const] with a reference, as host; NULL: a server's */
    struct weft__host *host;                 /* [const] */
    struct weft__hlink in_client;            /* [client lock] its connections of HTTP/2 */
    uint32_t round;                          /* [client lock] weft__h2_clear has seen it */
    nghttp2_session *session;                /* [m] */
    struct weft__h2_shelf *shelf;            /* [m] of its memory; NULL between passes */
    struct weft__hlink streams;              /* [m] oldest first */
    uint32_t streams_len, handlers;          /* [m] the session's; handlers to run or under way */
    struct weft__h2_stream *todo, *todo_last;/* [m, Z8] requests that no goroutine has, oldest first */
    struct weft__h2_stream *met;             /* [m] the session's, met last; or NULL */
    bool guarded;                            /* [m, Z8] */
    const void *guard_saw;                   /* [m] the first of todo, then: only compared */
    uint32_t apart;                          /* [m] passes to come whose requests get a goroutine each */
    uint32_t streams_max;                    /* [const] */
    bool in_pass, woke;                      /* [m, Z3]; somebody has been made ready in this pass */
    bool writing;                            /* [m, Z2] */
    bool dead;                               /* [m] nothing more is read or written */
    bool over;                               /* [m] the session is through: all is said */
    uint8_t leaving;                         /* [m] 1: told the peer, 2: told it the last stream */
    uint32_t calm;                           /* [m] NGHTTP2_ error to end the connection with, or 0 */
    weft_time look_at;                       /* [m, Z6] the read deadline */
    weft_time idle_since;                    /* [m] */
    weft_time leave_at;                      /* [m] leaving 1: no later than this */
    struct weft__h2_bucket resets, small;    /* [m] */
    uint32_t continuations, bomb;            /* [m] of the head that comes now */
    struct weft__hbuf *out;                  /* [Z2] */
    size_t out_len, out_pos;                 /* [Z2] */
    const uint8_t *left;                     /* [m] a frame that out had no room for */
    size_t left_len;                         /* [m] */
    weft_cond ended;                         /* handlers or writing has fallen */
};

#define WEFT__H2_STREAM_OF(x) ((struct weft__h2_stream *)((char *)(x) - offsetof(struct weft__h2_stream, link)))

/* ---- h2conn.c ---- */
/* For conn, which is the caller's to close. limits are those of struct weft__h2. */
struct weft__h2 *weft__h2_new(weft_conn *conn, const struct weft__h2 *limits);
/* The connection's goroutine: bytes that are there already, then until the end. True, a server's only: others go on with it,
 * and end it; c may be gone. */
WEFT_PARKS bool weft__h2_run(struct weft__h2 *c, const char *bytes, size_t n);
/* Send what is queued, unless somebody else will (Z2, Z3). With c->m, which it gives back. */
WEFT_PARKS void weft__h2_send(struct weft__h2 *c);
/* The same after others that have something to send, too, had their turn. */
WEFT_PARKS void weft__h2_send_soon(struct weft__h2 *c);
/* The same for the end of a runner, in a pass, too, if no handler is left. */
WEFT_PARKS void weft__h2_send_end(struct weft__h2 *c);
/* With c->m: say to the peer that no new streams are wanted, once. */
void weft__h2_leave(struct weft__h2 *c);
/* And then, which was the last. */
void weft__h2_left(struct weft__h2 *c);
/* A goroutine more, whose the result is, and less that uses c. */
struct weft__h2 *weft__h2_ref(struct weft__h2 *c);
void weft__h2_unref(struct weft__h2 *c);
/* With c->m: the connection's goroutine looks around at `at`, or earlier. */
void weft__h2_look_at(struct weft__h2 *c, weft_time at);

/* ---- h2session.c ---- */
weft_err weft__h2_session_new(struct weft__h2 *c);

/* ---- h2mem.c, with c->m ---- */
nghttp2_mem weft__h2_mem(struct weft__h2 *c);
/* Blocks to use again, for as long as there is work; both do nothing the second time. */
void weft__h2_shelf_take(struct weft__h2 *c);
void weft__h2_shelf_give(struct weft__h2 *c);

/* ---- h2guard.c ---- */
/* With c->m. False: too much; c->calm is set. */
bool weft__h2_guard_frame(struct weft__h2 *c, const nghttp2_frame_hd *hd);
bool weft__h2_guard_reset(struct weft__h2 *c);
/* The peer did something useful. */
void weft__h2_guard_credit(struct weft__h2 *c);

/* ---- h2stream.c, all with c->m ---- */
struct weft__h2_stream *weft__h2_stream_new(struct weft__h2 *c, int32_t id);
/* One field of the request's head. */
void weft__h2_stream_field(struct weft__h2_stream *st, const char *name, size_t nn, const char *value, size_t nv);
/* A field behind a request's body; past 16 KiB of them the stream is reset. */
void weft__h2_stream_trailer(struct weft__h2_stream *st, const char *name, size_t nn, const char *value, size_t nv);
/* The same without a look at whose it is: kept, and content-length noted. */
void weft__h2_head_field(struct weft__h2_stream *st, const char *name, size_t nn, const char *value, size_t nv);
/* The head is whole: as request.c has it. */
void weft__h2_head_done(struct weft__h2_stream *st);
/* It broke off: reads and writes end with err, its context is cancelled. */
void weft__h2_stream_break(struct weft__h2_stream *st, weft_err err);
/* The session has closed it; st may be gone. */
void weft__h2_stream_closed(struct weft__h2_stream *st, uint32_t code);
void weft__h2_stream_drop(struct weft__h2_stream *st);   /* a reference less */

/* ---- h2handle.c ---- */
/* With c->m: the request is to be answered by the handler: into todo. */
void weft__h2_stream_start(struct weft__h2_stream *st);
/* Without c->m, but with a reference, which it gives back: runs handlers of todo, and sees to the others (Z8). */
WEFT_PARKS void weft__h2_handle(struct weft__h2 *c);

/* ---- h2body.c, with c->m ---- */
/* Body has come: it is kept for the handler, or counted as read. */
void weft__h2_body_in(struct weft__h2_stream *st, const char *data, size_t len);
void weft__h2_body_drop(struct weft__h2_stream *st);
/* Up to len bytes of it to ret_buf, and counted as read. */
size_t weft__h2_body_take(struct weft__h2_stream *st, char *ret_buf, size_t len);
/* Parks until st->wake or the instant `until`, 0 for none; then in_err or out_err is set. dir 0 to read, 1 to write. */
WEFT_PARKS void weft__h2_wait(struct weft__h2_stream *st, int dir, weft_time until);
/* The instant at which a wait that begins now is too long. */
weft_time weft__h2_limit(const struct weft__h2 *c);

/* ---- h2reply.c ---- */
void weft__h2_reply_init(struct weft__h2_stream *st, bool is_head);
/* With c->m: the handler has returned, all it left behind is queued. */
void weft__h2_reply_finish(struct weft__h2_stream *st);
/* With c->m: data_len and more_len bytes wait for the session, or fin is set: it goes on. */
void weft__h2_data_resume(struct weft__h2_stream *st);
/* With c->m: "100 Continue". */
void weft__h2_reply_continue(struct weft__h2_stream *st);
/* nghttp2's data source and sender for st's body. */
ssize_t weft__h2_reply_source(nghttp2_session *session, int32_t id, uint8_t *buf, size_t length, uint32_t *flags,
                              nghttp2_data_source *source, void *arg);
int weft__h2_reply_put(nghttp2_session *session, nghttp2_frame *frame, const uint8_t *head, size_t length,
                       nghttp2_data_source *source, void *arg);

/* ---- h2dial.c ---- */
/* With c->m: does it take new requests? */
bool weft__h2_usable(struct weft__h2 *c);

/* ---- h2call.c, with c->m ---- */
/* A field of an answer or of its trailers; a block of them is whole. */
void weft__h2_call_field(struct weft__h2_stream *st, const char *name, size_t nn, const char *value, size_t nv);
void weft__h2_call_head(struct weft__h2_stream *st);

#endif
