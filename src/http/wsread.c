/*
 * wsread.c - the reading half of a WebSocket conversation: frames in, messages out, whole or in pieces.
 *
 * Role    Cut what the connection gives into frames; answer pings and the close; refuse what breaks the rules, with the code that
 *         says so. Near wsframe.c (bytes), wswrite.c (what is due), ws.c; invariants in ws_int.h: WS5. Layer 5.
 *
 * A header, and a control frame as a whole, stays in buf until all of it is there, and only then changes anything: so a wait that
 * its context ends leaves a state to go on from. While nothing is buffered the wait holds no buffer.
 *
 * Limits  message_bytes_max, judged by the header, before the payload. Memory grows with what has come, not with what a header
 *         promises. A peer that broke the rules is read away for half a second so that it can read why.
 * Failure rerr: sticky, but for contexts, deadlines and memory.
 */
#include "ws_int.h"

#include <stdlib.h>
#include <string.h>
#include <weft/time.h>

#define LINGER (WEFT_SEC / 2)
#define LINGER_BYTES (256 * 1024)
#define STRAIGHT 4096   /* a payload with so much missing is read to where it belongs, not through buf */
#define GROW 65536      /* room is made for so much of a message before it has come */

/* ---- the end ---- */

/* WS6. Only the first counts. */
static void closed_as(weft_ws *ws, int code, const void *reason, size_t n)
{
    if (atomic_load_explicit(&ws->close_code, memory_order_relaxed))
        return;
    if (n)
        memcpy(ws->reason, reason, n);
    ws->reason[n] = '\0';
    atomic_store_explicit(&ws->close_code, code, memory_order_release);   /* WS6 */
}

/* Nothing more leaves; what comes is thrown away for a while: closing at once would destroy what the peer was told. */
static void read_linger(weft_ws *ws)
{
    if (!ws->buf || weft_conn_close_write(ws->conn) != 0)
        return;
    (void)weft_conn_set_read_deadline(ws->conn, weft_now() + LINGER);
    for (size_t got = 0; got < LINGER_BYTES;) {
        ssize_t n = weft_conn_read(NULL, ws->conn, ws->buf->data, ws->buf->cap);
        if (n <= 0)
            return;
        got += (size_t)n;
    }
}

/* The conversation is over with err; the peer is told code, unless that is 0. */
static weft_err read_fail(weft_ws *ws, weft_err err, int code)
{
    ws->rerr = err;
    closed_as(ws, WEFT_WS_ABNORMAL, NULL, 0);
    if (code) {
        weft__ws_close_due(ws, code, NULL, 0);
        weft__ws_due(ws);
        read_linger(ws);
    }
    weft__ws_die(ws);
    return err;
}

/* What a read of the connection answered, other than bytes. */
static weft_err read_none(weft_ws *ws, ssize_t n)
{
    if (n == WEFT_ECANCELED || n == WEFT_EDEADLINE || n == WEFT_ENOMEM)
        return (weft_err)n;
    return read_fail(ws, n == 0 ? WEFT_EEOF : (weft_err)n, 0);
}

/* ---- bytes ---- */

static void buf_drop(weft_ws *ws)
{
    weft__hbuf_put(ws->buf);
    ws->buf = NULL;
    ws->pos = ws->end = 0;
}

/* The first bytes after a pause: waited for without a buffer. */
static ssize_t read_first(weft_ctx *ctx, weft_ws *ws)
{
    for (;;) {
        weft_err err = weft_conn_wait(ctx, ws->conn, WEFT_READ);
        if (err < 0)
            return err;
        ws->buf = weft__hbuf_get(0);
        if (!ws->buf)
            return WEFT_ENOMEM;
        size_t room = ws->buf->cap - 1;   /* a NUL fits behind whatever comes */
        ssize_t n = ws->tls ? weft_conn_read(ctx, ws->conn, ws->buf->data, room) : weft__conn_try_read(ws->conn, ws->buf->data, room);
        if (n != -EAGAIN)
            return n;
        buf_drop(ws);
    }
}

/* More bytes behind end: 0, or an error. */
static weft_err read_more(weft_ctx *ctx, weft_ws *ws)
{
    ssize_t n;
    if (ws->pos == ws->end)
        buf_drop(ws);
    if (!ws->buf) {
        n = read_first(ctx, ws);
    } else {
        if (ws->buf->cap - 1 - ws->end < WEFT__WS_HEAD_MAX + WEFT__WS_CONTROL_MAX) {
            ws->end -= ws->pos;
            memmove(ws->buf->data, ws->buf->data + ws->pos, ws->end);
            ws->pos = 0;
        }
        n = weft_conn_read(ctx, ws->conn, ws->buf->data + ws->end, ws->buf->cap - 1 - ws->end);
    }
    if (n <= 0)
        return read_none(ws, n);
    ws->end += (uint32_t)n;
    return 0;
}

/* ---- control frames ---- */

static void control_pong(weft_ws *ws, const uint8_t *p, size_t n)
{
    uint64_t id;
    if (n != sizeof id)
        return;
    memcpy(&id, p, n);
    weft_mutex_lock(&ws->m);
    for (struct weft__ws_ping **at = &ws->pings, *ping; (ping = *at); at = &ping->next) {
        if (ping->id == id) {
            *at = ping->next;
            ping->ponged = true;
            weft_sem_release(&ping->got, 1);
            break;
        }
    }
    weft_mutex_unlock(&ws->m);
}

static void control_ping(weft_ws *ws, const uint8_t *p, size_t n)
{
    weft_mutex_lock(&ws->m);
    if (n)
        memcpy(ws->pong, p, n);
    ws->pong_len = (uint8_t)n;
    ws->pong_due = true;   /* one that was due before need not be answered any more: RFC 6455 5.5.3 */
    weft_mutex_unlock(&ws->m);
    weft__ws_due(ws);
}

/* The peer's close: 0, or an error. */
static weft_err control_close(weft_ws *ws, const uint8_t *p, size_t n)
{
    int code = weft__ws_close_parse(p, n);
    if (code < 0)
        return read_fail(ws, WEFT_EPROTO, -code);
    ws->ended = true;
    closed_as(ws, code, p + 2, n < 2 ? 0 : n - 2);
    weft_mutex_lock(&ws->m);
    ws->close_got = true;
    weft_mutex_unlock(&ws->m);
    weft__ws_close_due(ws, code == WEFT_WS_NO_CODE ? 0 : code, NULL, 0);
    weft__ws_due(ws);
    return 0;
}

/* A whole control frame at p: 1; 0: it was the close; or an error. */
static int control_take(weft_ws *ws, const struct weft__ws_head *h, uint8_t *p)
{
    size_t n = (size_t)h->len;
    (void)weft__ws_mask(p, p, n, h->mask);
    if (h->op == WEFT__WS_CLOSE)
        return control_close(ws, p, n);
    if (h->op == WEFT__WS_PING)
        control_ping(ws, p, n);
    else
        control_pong(ws, p, n);
    return 1;
}

/* ---- frames ---- */

/* The header of a data frame, which becomes the current one: 1, or an error. */
static int data_take(weft_ws *ws, const struct weft__ws_head *h)
{
    if ((h->op == WEFT__WS_CONT) != (ws->type != 0))
        return read_fail(ws, WEFT_EPROTO, WEFT_WS_PROTOCOL);
    uint64_t got = h->op == WEFT__WS_CONT ? ws->got : 0;
    if (h->len > ws->message_max - got)
        return read_fail(ws, WEFT_ETOOBIG, WEFT_WS_TOO_BIG);
    if (h->op != WEFT__WS_CONT) {
        ws->type = h->op;
        ws->in_utf8 = (struct weft__utf8){0};
    }
    ws->got = got + h->len;
    ws->left = h->len;
    ws->mask = h->mask;
    ws->fin = h->fin;
    return 1;
}

/* On to the next data frame. 1; 0: the peer has closed; or an error. */
static int frame_next(weft_ctx *ctx, weft_ws *ws)
{
    while (!ws->ended) {
        struct weft__ws_head h = {0};
        uint8_t *p = ws->buf ? (uint8_t *)ws->buf->data + ws->pos : NULL;
        size_t have = ws->end - ws->pos;
        int n = weft__ws_head_parse(p, have, !ws->client, false, &h);
        if (n < 0)
            return read_fail(ws, WEFT_EPROTO, -n);
        bool control = n && h.op >= WEFT__WS_CLOSE;
        if (!n || (control && have - (size_t)n < h.len)) {
            weft_err err = read_more(ctx, ws);
            if (err < 0)
                return err;
            continue;
        }
        ws->pos += (uint32_t)n;
        if (!control)
            return data_take(ws, &h);
        ws->pos += (uint32_t)h.len;
        int state = control_take(ws, &h, p + n);
        if (state < 0)
            return state;
    }
    return 0;
}

/* ---- payload ---- */

/* Bytes of the current frame, which has some left, to `to`: 1 .. n, or an error. */
static ssize_t payload_read(weft_ctx *ctx, weft_ws *ws, uint8_t *to, size_t n)
{
    if (n > ws->left)
        n = (size_t)ws->left;
    if (ws->pos == ws->end && n >= STRAIGHT) {
        buf_drop(ws);
        ssize_t r = weft_conn_read(ctx, ws->conn, to, n);
        if (r <= 0)
            return read_none(ws, r);
        n = (size_t)r;
        if (!ws->client)
            ws->mask = weft__ws_mask(to, to, n, ws->mask);
    } else {
        weft_err err = ws->pos == ws->end ? read_more(ctx, ws) : 0;
        if (err < 0)
            return err;
        if (n > ws->end - ws->pos)
            n = ws->end - ws->pos;
        const uint8_t *from = (const uint8_t *)ws->buf->data + ws->pos;
        ws->mask = weft__ws_mask(to, from, n, ws->mask);
        ws->pos += (uint32_t)n;
    }
    ws->left -= n;
    if (ws->type == WEFT_WS_TEXT && !weft__utf8_check(&ws->in_utf8, to, n))
        return read_fail(ws, WEFT_EPROTO, WEFT_WS_BAD_TEXT);
    return (ssize_t)n;
}

/* The message is read to its end: 0, or an error when the text stops inside a character. */
static weft_err message_end(weft_ws *ws)
{
    bool cut = ws->type == WEFT_WS_TEXT && ws->in_utf8.need;
    ws->type = 0;
    return cut ? read_fail(ws, WEFT_EPROTO, WEFT_WS_BAD_TEXT) : 0;
}

/* What is left of the message under way is read over: 1; 0: the peer has closed; or an error. */
static int message_skip(weft_ctx *ctx, weft_ws *ws)
{
    while (ws->type) {
        if (!ws->left && ws->fin) {
            ws->type = 0;
        } else if (!ws->left) {
            int state = frame_next(ctx, ws);
            if (state <= 0)
                return state;
        } else if (ws->pos == ws->end) {
            weft_err err = read_more(ctx, ws);
            if (err < 0)
                return err;
        } else {
            uint32_t n = ws->end - ws->pos;
            n = n < ws->left ? n : (uint32_t)ws->left;
            ws->pos += n;
            ws->left -= n;
        }
    }
    return 1;
}

/* The first frame of the next message. As frame_next. */
static int message_begin(weft_ctx *ctx, weft_ws *ws)
{
    int state = message_skip(ctx, ws);
    return state <= 0 ? state : frame_next(ctx, ws);
}

/* ---- whole messages ---- */

/* One frame, all of it in buf: handed out there. 1; 0: it is not so; or an error. */
static int message_in_place(weft_ws *ws, struct weft_ws_message *ret_msg)
{
    if (!ws->fin || ws->left > ws->end - ws->pos)
        return 0;
    uint8_t *p = (uint8_t *)ws->buf->data + ws->pos;
    size_t n = (size_t)ws->left;
    if (!ws->client)
        (void)weft__ws_mask(p, p, n, ws->mask);
    if (ws->type == WEFT_WS_TEXT && (!weft__utf8_check(&ws->in_utf8, p, n) || ws->in_utf8.need))
        return read_fail(ws, WEFT_EPROTO, WEFT_WS_BAD_TEXT);
    *ret_msg = (struct weft_ws_message){ws->type, (char *)p, n};
    ws->pos += (uint32_t)n;
    ws->left = 0;
    ws->type = 0;
    ws->lent = true;
    ws->lent_at = ws->pos;
    ws->lent_byte = (char)p[n];
    p[n] = '\0';
    return 1;
}

/* Room for bytes of the current frame. */
static bool all_grow(weft_ws *ws)
{
    size_t more = ws->left < GROW ? (size_t)ws->left : GROW;
    if (more < ws->all_len && ws->all_len < ws->left)
        more = ws->all_len;
    else if (more < ws->all_len && more < ws->left)
        more = (size_t)ws->left;
    char *p = realloc(ws->all, ws->all_len + more + 1);
    if (!p)
        return false;
    ws->all = p;
    ws->all_cap = ws->all_len + more;
    return true;
}

/* Puts the message under way together. 1; 0: the peer has closed inside it; or an error. */
static int message_collect(weft_ctx *ctx, weft_ws *ws, struct weft_ws_message *ret_msg)
{
    int type = ws->type;
    for (;;) {
        while (ws->left) {
            if (ws->all_len == ws->all_cap && !all_grow(ws))
                return WEFT_ENOMEM;
            ssize_t n = payload_read(ctx, ws, (uint8_t *)ws->all + ws->all_len, ws->all_cap - ws->all_len);
            if (n < 0)
                return (int)n;
            ws->all_len += (size_t)n;
        }
        if (ws->fin)
            break;
        int state = frame_next(ctx, ws);
        if (state <= 0)
            return state;
    }
    if (!ws->all && !all_grow(ws))   /* several frames, all of them empty */
        return WEFT_ENOMEM;
    weft_err err = message_end(ws);
    if (err < 0)
        return err;
    ws->all[ws->all_len] = '\0';
    ws->all_out = true;
    *ret_msg = (struct weft_ws_message){type, ws->all, ws->all_len};
    return 1;
}

/* ---- the calls ---- */

static void all_drop(weft_ws *ws)
{
    free(ws->all);
    ws->all = NULL;
    ws->all_len = ws->all_cap = 0;
    ws->all_out = ws->all_begun = false;
}

/* What the last call handed out is taken back. */
static void loan_end(weft_ws *ws)
{
    if (ws->lent)
        ws->buf->data[ws->lent_at] = ws->lent_byte;
    ws->lent = false;
    if (ws->all_out)
        all_drop(ws);
}

/* One reader at a time. 1; 0: the peer has closed; or an error. With the last two `reading` is not held. */
static int read_enter(weft_ws *ws)
{
    if (!weft_sem_try_acquire(&ws->reading, 1)) {
        weft_mutex_lock(&ws->m);
        bool closing = ws->close_due || ws->close_sent || ws->dead;   /* then it is weft_ws_close that reads */
        weft_mutex_unlock(&ws->m);
        return closing ? WEFT_ECLOSED : WEFT_EBUSY;
    }
    loan_end(ws);
    int state = ws->rerr ? ws->rerr : ws->ended ? 0 : 1;
    if (state <= 0)
        weft_sem_release(&ws->reading, 1);
    return state;
}

int weft_ws_read(weft_ctx *ctx, weft_ws *ws, struct weft_ws_message *ret_msg)
{
    int state = read_enter(ws);
    if (state <= 0)
        return state;
    if (!ws->all_begun) {
        state = message_begin(ctx, ws);
        int here = state > 0 ? message_in_place(ws, ret_msg) : 0;
        if (here)
            state = here;
        ws->all_begun = state > 0 && !here;
    }
    if (ws->all_begun) {
        state = message_collect(ctx, ws, ret_msg);
        ws->all_begun = state < 0;   /* to be gone on with, if the error was a wait's */
    }
    weft_sem_release(&ws->reading, 1);
    return state;
}

int weft_ws_read_begin(weft_ctx *ctx, weft_ws *ws, int *ret_type)
{
    int state = read_enter(ws);
    if (state <= 0)
        return state;
    all_drop(ws);
    state = message_begin(ctx, ws);
    if (state > 0)
        *ret_type = ws->type;
    weft_sem_release(&ws->reading, 1);
    return state;
}

/* Of the message under way, which may be at its end. */
static ssize_t part_read(weft_ctx *ctx, weft_ws *ws, void *ret_buf, size_t n)
{
    while (ws->type) {
        if (ws->left)
            return payload_read(ctx, ws, ret_buf, n);
        if (ws->fin)
            return message_end(ws);
        int state = frame_next(ctx, ws);
        if (state <= 0)
            return state < 0 ? state : WEFT_EEOF;
    }
    return 0;
}

ssize_t weft_ws_read_part(weft_ctx *ctx, weft_ws *ws, void *ret_buf, size_t n)
{
    if (!n)
        return WEFT_EINVAL;
    int state = read_enter(ws);
    if (state <= 0)
        return state < 0 ? state : WEFT_EEOF;
    ssize_t got = ws->all_begun ? WEFT_EINVAL : part_read(ctx, ws, ret_buf, n);   /* that message is weft_ws_read's */
    weft_sem_release(&ws->reading, 1);
    return got;
}

weft_err weft__ws_read_over(weft_ctx *ctx, weft_ws *ws)
{
    int state = weft_sem_acquire(ctx, &ws->reading, 1);
    if (state < 0)
        return state;
    loan_end(ws);
    state = ws->rerr ? ws->rerr : ws->ended ? 0 : 1;
    while (state > 0)
        state = message_begin(ctx, ws);
    weft_sem_release(&ws->reading, 1);
    return state;
}
