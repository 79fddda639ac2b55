/*
 * ws_int.h - the inside of a WebSocket conversation: shared by the files ws*.c. Layer 5.
 *
 * Invariants
 *   WS1  Who holds `frame` writes to the connection; who holds `message` may begin a data frame. Taken in that order: message,
 *        frame. m is taken last, for a few instructions, never across a call that waits for the peer.
 *   WS2  What is due (a pong, a close) is set under m, and then either its setter gets `frame` or somebody has it; who gives
 *        frame up looks, under m, whether something is due and sends that first. So nothing due is forgotten, and a reader
 *        never waits for a writer.
 *   WS3  close_sent is set by the holder of frame before the bytes of the close leave; after that no frame is begun.
 *   WS4  dead is set once, under m; then the connection is closed, no ping is in `pings`, and none comes in.
 *   WS5  reading: one goroutine at a time; buf, pos .. end and the message under way are its. A message handed out in place
 *        (lent) lies in buf, which is neither moved nor refilled until the next call that reads.
 *   WS6  close_code: release by the reader, behind the reason -> acquire in weft_ws_closed.
 *   WS7  refs: drop release -> last drop acquire: who frees sees all that others did.
 */
#ifndef WEFT_HTTP_WS_INT_H
#define WEFT_HTTP_WS_INT_H
#include <weft/ctx.h>
#include <weft/group.h>
#include <weft/ws.h>

#include "../net/conn_int.h"
#include "http_int.h"

#include <stdatomic.h>

#define WEFT__WS_HEAD_MAX 14        /* bytes of a frame's header */
#define WEFT__WS_CONTROL_MAX 125    /* bytes of a control frame's payload */
#define WEFT__WS_MESSAGE_MAX 32768  /* default of message_bytes_max */

enum weft__ws_op { WEFT__WS_CONT = 0, WEFT__WS_TEXT = 1, WEFT__WS_BINARY = 2, WEFT__WS_CLOSE = 8, WEFT__WS_PING = 9, WEFT__WS_PONG = 10 };

/* ---- wsframe.c: bytes only, no connection ---- */

struct weft__ws_head {
    uint64_t len;                   /* of the payload */
    uint32_t mask;                  /* as its four bytes lie in memory; 0 when there is none */
    uint8_t op;
    bool fin, rsv1;
};
/* Cut the header at p[0 .. n). Its bytes; 0: more are needed; or the negative close code to refuse it with. masked: it must be
 * masked, else it must not; rsv1: an extension gives that bit a meaning, on data frames. */
int weft__ws_head_parse(const uint8_t *p, size_t n, bool masked, bool rsv1, struct weft__ws_head *ret_head);
/* A header to p, masked with *mask unless that is NULL: its bytes, at most WEFT__WS_HEAD_MAX. */
size_t weft__ws_head_build(uint8_t *p, unsigned first, uint64_t len, const uint32_t *mask);
/* to[i] = from[i] ^ mask, i bytes; to and from are the same or apart. Returns the mask for the bytes that follow. */
uint32_t weft__ws_mask(uint8_t *to, const uint8_t *from, size_t n, uint32_t mask);

/* UTF-8 that comes in pieces. Zeroed: at the start of a text. */
struct weft__utf8 {
    uint8_t need;                   /* bytes of the character that are still to come */
    uint8_t lo, hi;                 /* what the next one of them may be */
};
/* False as soon as no continuation could make it good. At the end of a text need must be 0. */
bool weft__utf8_check(struct weft__utf8 *u, const uint8_t *p, size_t n);
/* May this code stand in a close frame? */
bool weft__ws_code_ok(int code);
/* The payload of a close frame: its code, 1005 for none; or the negative close code to refuse it with. */
int weft__ws_close_parse(const uint8_t *p, size_t n);

/* ---- a conversation ---- */

/* One weft_ws_ping that waits, in its caller's frame. */
struct weft__ws_ping {
    struct weft__ws_ping *next;     /* [m] */
    uint64_t id;                    /* [const] the ping's payload */
    weft_sem got;                   /* a permit: the pong, or the end */
    bool ponged;                    /* [m] */
};

struct weft_ws {
    weft_conn *conn;                /* [const] a reference */
    _Atomic uint32_t refs;          /* [WS7] */
    bool client;                    /* [const] masks what it sends */
    bool tls;                       /* [const] */
    uint64_t message_max;           /* [const] */
    char *protocol;                 /* [const] malloc'ed; NULL: none */

    weft_sem message;               /* WS1: one permit each */
    weft_sem frame;
    weft_mutex m;
    bool dead;                      /* [m; WS4] */
    bool close_sent;                /* [m, written with frame; WS3] */
    bool close_got;                 /* [m] the peer's close has come */
    bool pong_due, close_due;       /* [m; WS2] */
    uint8_t pong_len;               /* [m] */
    uint8_t pong[WEFT__WS_CONTROL_MAX];     /* [m] payload of the last ping */
    uint8_t close_len;              /* [m] */
    uint8_t close[WEFT__WS_CONTROL_MAX];    /* [m] payload of the close to be sent */
    struct weft__ws_ping *pings;    /* [m] */
    uint64_t pings_made;            /* [m] */

    /* Of the holder of frame. */
    uint64_t keys;                  /* [frame] random bits for masks, keys_left of them 32 at a time */
    uint32_t keys_left;             /* [frame] */
    /* Of the holder of message. */
    int writing;                    /* [message] the type of a message in frames, or 0 */
    bool written;                   /* [message] its first frame has left */
    struct weft__utf8 out_utf8;     /* [message] */

    /* Of the reader: WS5. */
    weft_sem reading;
    struct weft__hbuf *buf;         /* NULL while nothing is buffered */
    uint32_t pos, end;
    uint64_t left;                  /* bytes of the current frame that are still to come */
    uint64_t got;                   /* bytes of the current message, this frame's included */
    uint32_t mask;                  /* for the next byte of the current frame */
    uint8_t type;                   /* of the current message; 0: none is under way */
    bool fin;                       /* the current frame is its last */
    bool lent;                      /* the last message is in buf; a NUL stands at data[lent_at] instead of lent_byte */
    char lent_byte;
    uint32_t lent_at;
    struct weft__utf8 in_utf8;
    bool all_begun;                 /* weft_ws_read is putting the message under way together */
    char *all;                      /* a message that is put together, or was handed out; malloc'ed */
    size_t all_len, all_cap;
    bool all_out;                   /* it was handed out */
    bool ended;                     /* the peer has closed */
    weft_err rerr;                  /* sticky */
    _Atomic int close_code;         /* [WS6] */
    char reason[WEFT__WS_CONTROL_MAX];      /* [WS6] */
};

/* ---- ws.c ---- */
/* A conversation on conn, whose reference it takes; with the n bytes that were read already. NULL: memory is short, conn is
 * still the caller's. */
weft_ws *weft__ws_new(weft_conn *conn, bool client, const struct weft_ws_opts *opts, const char *protocol, const void *read, size_t n);
/* WS4: the connection is closed, who waits for a pong wakes. */
void weft__ws_die(weft_ws *ws);
/* The server stops: a goroutine closes ws with 1001. */
void weft__ws_going(weft_ws *ws);
/* One of the words of a comma separated list: its start and *ret_len; moves *list on. NULL: no more. */
const char *weft__ws_word(const char **list, size_t *ret_len);
/* A list of tokens, each once? */
bool weft__ws_protocols_ok(const char *list);
/* What Sec-WebSocket-Accept answers to a key: 28 bytes and a NUL. */
void weft__ws_accept_text(const char *key, char ret[static 32]);

/* ---- wswrite.c ---- */
/* WS2: something has become due. */
WEFT_PARKS void weft__ws_due(weft_ws *ws);
/* A close with this code becomes due, unless one was sent or is due. */
void weft__ws_close_due(weft_ws *ws, int code, const void *reason, size_t n);

/* ---- wsread.c ---- */
/* Reads on to the peer's close, as the reader. 0, or why there is none. */
WEFT_PARKS weft_err weft__ws_read_over(weft_ctx *ctx, weft_ws *ws);

#endif
