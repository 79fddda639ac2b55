/*
 * weft/ws.h - WebSocket: a conversation of messages both ways over one connection, as server and as client.
 *
 * A server's handler turns its request into a conversation by weft_ws_accept; a client begins one by weft_ws_dial. One
 * goroutine at a time reads, any number write and ping (writers queue, message by message); both at the same time. Pings of
 * the peer are answered, and its close, while somebody reads: so read, also where nothing is expected. No goroutine works
 * behind a conversation, and one that is waited for holds no buffer.
 *
 * Parks   only calls marked WEFT_PARKS. Every wait ends with its context; for deadlines of the connection see weft_ws_conn.
 * Differs from github.com/coder/websocket, which it follows: a read that its context ends may be taken up again.
 * Source  RFC 6455, 7692; IANA's list of close codes; coder/websocket, gorilla/websocket.
 */
#ifndef WEFT_WS_H
#define WEFT_WS_H
#include <weft/http.h>

#pragma GCC system_header

/* A conversation. Calls on it may be made by any goroutine; references as said at weft_ws_ref. */
typedef struct weft_ws weft_ws;

/* What a message is: text is always UTF-8, in both directions. */
enum { WEFT_WS_TEXT = 1, WEFT_WS_BINARY = 2 };

/* Why a conversation ends. 3000 .. 3999 are registered by others, 4000 .. 4999 are the program's own. */
enum {
    WEFT_WS_NORMAL = 1000,
    WEFT_WS_GOING_AWAY = 1001,      /* the server stops, the page is left */
    WEFT_WS_PROTOCOL = 1002,
    WEFT_WS_UNSUPPORTED = 1003,     /* a kind of message that cannot be dealt with */
    WEFT_WS_NO_CODE = 1005,         /* never sent: the peer gave none */
    WEFT_WS_ABNORMAL = 1006,        /* never sent: the connection ended without a word */
    WEFT_WS_BAD_TEXT = 1007,        /* text that is not UTF-8 */
    WEFT_WS_POLICY = 1008,
    WEFT_WS_TOO_BIG = 1009,
    WEFT_WS_NEEDS_EXTENSION = 1010,
    WEFT_WS_FAULT = 1011,           /* the server came upon something unexpected */
    WEFT_WS_RESTART = 1012,
    WEFT_WS_TRY_LATER = 1013,
    WEFT_WS_BAD_GATEWAY = 1014
};

/* Zero in any field means its default. Everything is borrowed for the call only. */
struct weft_ws_opts {
    const char *protocols;          /* subprotocols, the preferred one first: "chat.v2, chat.v1". Default: none */
    int64_t message_bytes_max;      /* a message that is read: default 32 KiB; more: the conversation ends with 1009,
                                     * WEFT_ETOOBIG; < 0: no limit */
    /* Of a server: which pages of other hosts may ask, besides its own: "example.org, *.example.com, a.b:8080", or "*" for
     * all. A request without Origin, which no browser sends, is taken. */
    const char *origins;
    /* Of a client. */
    const struct weft_http_field *fields;   /* sent with the request, as in weft_http_call */
    size_t fields_len;
    weft_dur timeout;               /* for the whole dial; default: the client's; < 0: none */
    char *reterr_text;              /* on failure: the reason in words, as in weft_http_call */
    size_t reterr_size;
    int *ret_status;                /* the status of an answer that was not 101; else left as it is */
};

/**
 * weft_ws_accept - turn the request into a conversation; in a handler, before its first byte of body.
 *
 * Fields given by weft_http_reply_field before go out with the answer (101). When it is refused an answer has been given (400,
 * 403 for its Origin, 405, 426), and the handler returns.
 *
 * @opts     NULL is a zeroed one. The Origin's host and port must be those of Host, or in opts->origins.
 * @ret_ws   the caller's, to be given up by weft_ws_free; it may outlive the handler. While the handler runs,
 *           weft_http_server_shutdown ends it with 1001, then with the connection. Its context still ends with the client.
 *
 * Returns   0; WEFT_EPROTO (not a WebSocket request), WEFT_EDENIED (Origin), WEFT_EUNSUPPORTED (HTTP/2 or another version of
 *           the protocol), WEFT_EINVAL (body begun; opts), WEFT_ENOMEM; or as weft_http_reply_write: the client is gone.
 * Parks     while the send buffer is full.
 * Source    RFC 6455 4.2; coder/websocket Accept.
 */
WEFT_API WEFT_PARKS WEFT_MUST_USE
weft_err weft_ws_accept(weft_http_request *rq, weft_http_writer *w, const struct weft_ws_opts *opts, weft_ws **ret_ws);

/**
 * weft_ws_dial - begin a conversation as the client.
 *
 * @ctx      limits the dial, not the conversation.
 * @client   gives certificates, proxies (by CONNECT), cookies, limits; NULL: the default one. It may be freed before the
 *           conversation ends, which is not counted among its connections.
 * @url      ws, wss, http or https. Redirects are followed as the client does.
 * @ret_ws   the caller's, to be given up by weft_ws_free.
 *
 * Returns   0; WEFT_EPROTO (the answer is no 101 that fits; opts->ret_status says which); WEFT_EADDR, WEFT_EINVAL (opts);
 *           WEFT_ENOMEM; errors as weft_http_do.
 * Parks     until the answer is there.
 * Source    RFC 6455 4.1; coder/websocket Dial.
 */
WEFT_API WEFT_PARKS WEFT_MUST_USE
weft_err weft_ws_dial(weft_ctx *ctx, weft_http_client *client, const char *url, const struct weft_ws_opts *opts, weft_ws **ret_ws);

/* A message that was read. */
struct weft_ws_message {
    int type;                       /* WEFT_WS_TEXT, WEFT_WS_BINARY */
    char *data;                     /* len bytes and a NUL; may be written to */
    size_t len;
};

/**
 * weft_ws_read - the next message, whole.
 *
 * @ctx      cancels the wait: what has come of the message is kept, and the next call goes on.
 * @ret_msg  the message; its data lives until the next call that reads, or the end of ws.
 *
 * Returns   1; 0 when the peer has closed in good order (weft_ws_closed says how; it has been answered); or an error, the same
 *           again from then on but for those of ctx and WEFT_EBUSY.
 * Errors    WEFT_ECANCELED, WEFT_EDEADLINE; WEFT_EBUSY (another goroutine reads); WEFT_EEOF (the connection ended without a
 *           close: 1006); WEFT_EPROTO (the peer broke the protocol, or sent text that is not UTF-8) and WEFT_ETOOBIG: the peer
 *           has been told, the conversation is over; WEFT_ECLOSED (closed on this side); WEFT_ENOMEM; those of the connection.
 * Parks     until it is there. Answers pings meanwhile.
 * Costs     a message that came in one read is handed out in place: one recv(2), no copy, no allocation.
 * Source    coder/websocket Conn.Read; RFC 6455 5, 6.2, 8.1.
 */
WEFT_API WEFT_PARKS WEFT_MUST_USE
int weft_ws_read(weft_ctx *ctx, weft_ws *ws, struct weft_ws_message *ret_msg);

/**
 * weft_ws_read_begin, weft_ws_read_part - a message piece by piece: wait for one and say its type, then its bytes.
 *
 * What is left of a message when the next one is asked for is read over. Text is checked as it comes: a piece may end inside a
 * character.
 *
 * @ret_type WEFT_WS_TEXT or WEFT_WS_BINARY.
 * @ret_buf  room for n bytes.
 * @n        bytes, at least 1.
 *
 * Returns   read_begin: as weft_ws_read. read_part: bytes, 1 .. n; 0 at the end of the message (or outside of one); or an error as
 *           weft_ws_read, also WEFT_EEOF when the peer closes inside the message.
 * Parks     until there is something.
 * Source    coder/websocket Conn.Reader.
 */
WEFT_API WEFT_PARKS WEFT_MUST_USE int weft_ws_read_begin(weft_ctx *ctx, weft_ws *ws, int *ret_type);
WEFT_API WEFT_PARKS WEFT_MUST_USE ssize_t weft_ws_read_part(weft_ctx *ctx, weft_ws *ws, void *ret_buf, size_t n);

/**
 * weft_ws_write - send a message.
 *
 * @ctx      cancels the wait. Once a part of the frame has left, that ends the conversation: the rest cannot follow any more.
 * @type     WEFT_WS_TEXT or WEFT_WS_BINARY.
 * @buf      the message; borrowed for the call.
 * @n        bytes.
 *
 * Returns   0; WEFT_EINVAL (type, or text that is not UTF-8: nothing was sent); WEFT_ECLOSED (closed, by whichever side);
 *           WEFT_ECANCELED, WEFT_EDEADLINE; errors as weft_conn_write.
 * Parks     while another message is being sent, and while the send buffer is full.
 * Costs     one system call: header and message leave together. A client's is masked through a buffer of 32 KiB at a time.
 * Source    coder/websocket Conn.Write.
 */
WEFT_API WEFT_PARKS weft_err weft_ws_write(weft_ctx *ctx, weft_ws *ws, int type, const void *buf, size_t n);

/**
 * weft_ws_write_begin, _part, _end - a message in frames, as its pieces come: for who does not know its length.
 *
 * From begin to end other messages wait. begin sends nothing; each part is a frame, sent at once; end sends the last one, empty.
 * A message that failed has no end: the conversation is over. After WEFT_EINVAL (text that is not UTF-8, or that ends inside a
 * character) it is still open.
 *
 * @type     WEFT_WS_TEXT or WEFT_WS_BINARY.
 * @n        bytes of buf; text may be cut anywhere.
 *
 * Returns   as weft_ws_write. Parks as it.
 * Source    coder/websocket Conn.Writer.
 */
WEFT_API WEFT_PARKS WEFT_MUST_USE weft_err weft_ws_write_begin(weft_ctx *ctx, weft_ws *ws, int type);
WEFT_API WEFT_PARKS weft_err weft_ws_write_part(weft_ctx *ctx, weft_ws *ws, const void *buf, size_t n);
WEFT_API WEFT_PARKS weft_err weft_ws_write_end(weft_ctx *ctx, weft_ws *ws);

/**
 * weft_ws_ping - send a ping and wait for its pong. Some goroutine must be reading meanwhile.
 *
 * @ctx      limits both.
 *
 * Returns   0 when the pong is there; WEFT_ECANCELED, WEFT_EDEADLINE; WEFT_ECLOSED (the conversation has ended); errors as
 *           weft_conn_write.
 * Parks     until then.
 * Source    coder/websocket Conn.Ping.
 */
WEFT_API WEFT_PARKS WEFT_MUST_USE weft_err weft_ws_ping(weft_ctx *ctx, weft_ws *ws);

/**
 * weft_ws_close - end the conversation in good order: say so, wait until the peer says so too, close the connection.
 *
 * Messages that the peer has sent before are read over; a goroutine that is reading gets the one it waits for, then
 * WEFT_ECLOSED. The connection is closed when this returns, however it went; ws is still to be freed.
 *
 * @ctx      limits the wait, as 5 s do in any case.
 * @code     1000 .. 4999, of those that may be sent; 0: none.
 * @reason   UTF-8, at most 123 bytes; NULL: none.
 *
 * Returns   0: the peer has answered, or had closed already; WEFT_EINVAL (code, reason: nothing has happened); WEFT_ECLOSED (closed on
 *           this side before); WEFT_EDEADLINE, WEFT_ECANCELED, WEFT_EEOF and others: closed without an answer.
 * Parks     until the answer is there.
 * Source    coder/websocket Conn.Close; RFC 6455 7.
 */
WEFT_API WEFT_PARKS weft_err weft_ws_close(weft_ctx *ctx, weft_ws *ws, int code, const char *reason);

/**
 * weft_ws_closed - how the peer closed: its code; 1005 when it gave none, 1006 when the connection ended without a close or the peer
 * broke the protocol; 0 while neither has happened.
 *
 * @ret_reason  its reason, "" if it gave none; lives as long as ws. May be NULL.
 *
 * Returns   the code. Parks     never.
 */
WEFT_API int weft_ws_closed(const weft_ws *ws, const char **ret_reason);

/** weft_ws_protocol - the subprotocol that was agreed on; "" if none was. Lives as long as ws. Does not park. */
WEFT_API const char *weft_ws_protocol(const weft_ws *ws);

/** weft_ws_conn - the connection under it, lent: for its addresses, its TLS state and its deadlines. Not for reading or writing.
 * Returns it, never NULL; it lives as long as ws. Does not park. */
WEFT_API weft_conn *weft_ws_conn(weft_ws *ws);

/**
 * weft_ws_free - close the connection at once, if it is open, and give the caller's reference up. NULL is fine.
 *
 * Calls of others that are inside wake with WEFT_ECLOSED. Without weft_ws_close before, the peer sees 1006.
 * Parks     never.
 */
WEFT_API void weft_ws_free(weft_ws *ws);
/** weft_ws_ref - one more user, whose pointer outlives somebody else's weft_ws_free; to be given up by weft_ws_free or, without
 * closing, by weft_ws_unref. Returns ws. Does not park. */
WEFT_API weft_ws *weft_ws_ref(weft_ws *ws);
/** weft_ws_unref - give a reference up; the last one closes what is open. NULL is fine. Does not park. */
WEFT_API void weft_ws_unref(weft_ws *ws);

#endif
