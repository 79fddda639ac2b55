/*
 * wswrite.c - the writing half of a WebSocket conversation: messages and pings out, and what the reader owes the peer.
 *
 * Role    One frame at a time, in one system call where it fits; control frames between the frames of a message.
 * Near    wsread.c (who makes a pong or a close due), wsframe.c, ws.c; invariants in ws_int.h: WS1 to WS3. Layer 5.
 *
 *   weft_ws_write   message -> frame -> header and payload in one write -> frame given up: what is due leaves first (WS2)
 *   the reader      m: due -> got frame? then the same end; else whoever has it does it
 *
 * Order   message, frame, m. Nothing is sent under m.
 * Limits  5 s for a control frame that the socket does not take at once. A frame that could not be sent whole ends the
 *         conversation: nothing can follow it.
 */
#include "ws_int.h"

#include <string.h>
#include <weft/time.h>

#include "../sys/sys.h"

#define CONTROL_WAIT (5 * WEFT_SEC)
#define FIN 0x80

/* ---- frames: with `frame` held ---- */

/* A fresh mask: RFC 6455 10.3 wants that nobody can guess it. */
static uint32_t frame_key(weft_ws *ws)
{
    if (!ws->keys_left) {
        ws->keys = weft__sys_entropy();
        ws->keys_left = 2;
    }
    return (uint32_t)(ws->keys >> 32 * --ws->keys_left);
}

/* Through a buffer: masked, or in one record of TLS. */
static ssize_t frame_copy(weft_ctx *ctx, weft_ws *ws, const uint8_t *head, size_t head_len, const uint8_t *buf, size_t n, uint32_t mask)
{
    struct weft__hbuf *b = weft__hbuf_get(0);
    if (!b)
        return WEFT_ENOMEM;
    memcpy(b->data, head, head_len);
    ssize_t put;
    for (size_t at = head_len;; at = 0) {
        size_t k = n < b->cap - at ? n : b->cap - at;
        mask = weft__ws_mask((uint8_t *)b->data + at, buf, k, mask);
        put = weft_conn_write(ctx, ws->conn, b->data, at + k);
        buf += k;
        n -= k;
        if (put < 0 || !n)
            break;
    }
    weft__hbuf_put(b);
    return put;
}

static weft_err frame_write(weft_ctx *ctx, weft_ws *ws, unsigned first, const void *buf, size_t n)
{
    uint8_t head[WEFT__WS_HEAD_MAX];
    uint32_t mask = ws->client ? frame_key(ws) : 0;
    size_t head_len = weft__ws_head_build(head, first, n, ws->client ? &mask : NULL);
    ssize_t put;
    if (ws->client || ws->tls) {
        put = frame_copy(ctx, ws, head, head_len, buf, n, mask);
    } else {
        struct iovec iov[2] = {{head, head_len}, {(void *)(uintptr_t)buf, n}};
        put = weft_conn_writev(ctx, ws->conn, iov, n ? 2 : 1);
    }
    if (put >= 0)
        return 0;
    if (put != WEFT_ENOMEM)   /* then nothing has left */
        weft__ws_die(ws);
    return (weft_err)put;
}

/* WS2, with m: the next frame that is due, whole, to p; its bytes, 0 for none. */
static size_t due_take(weft_ws *ws, uint8_t *p)
{
    unsigned op = ws->close_due ? WEFT__WS_CLOSE : WEFT__WS_PONG;
    bool any = (ws->close_due || ws->pong_due) && !ws->close_sent && !ws->dead;
    const uint8_t *from = ws->close_due ? ws->close : ws->pong;
    size_t n = ws->close_due ? ws->close_len : ws->pong_len;
    if (!any) {
        ws->close_due = ws->pong_due = false;
        return 0;
    }
    if (ws->close_due) {
        ws->close_due = false;
        ws->close_sent = true;   /* WS3 */
    } else {
        ws->pong_due = false;
    }
    uint32_t mask = ws->client ? frame_key(ws) : 0;
    size_t at = weft__ws_head_build(p, FIN | op, n, ws->client ? &mask : NULL);
    (void)weft__ws_mask(p + at, from, n, mask);
    return at + n;
}

static void control_send(weft_ws *ws, const uint8_t *p, size_t n)
{
    ssize_t put = weft__conn_try_write(ws->conn, p, n);
    if (put >= 0 && (size_t)put < n) {
        weft_ctx *ctx = weft_with_timeout(NULL, CONTROL_WAIT);
        put = weft_conn_write(ctx, ws->conn, p + put, n - (size_t)put);
        weft_ctx_unref(ctx);
    }
    if (put < 0)
        weft__ws_die(ws);
}

/* Both have closed: so does the connection. With m. */
static bool both_closed(const weft_ws *ws)
{
    return ws->close_sent && ws->close_got && !ws->dead;
}

/* Gives `frame` up, once nothing is due (WS2). */
static void frame_leave(weft_ws *ws)
{
    uint8_t p[WEFT__WS_HEAD_MAX + WEFT__WS_CONTROL_MAX];
    for (;;) {
        weft_mutex_lock(&ws->m);
        size_t n = due_take(ws, p);
        bool over = !n && both_closed(ws);
        if (!n)
            weft_sem_release(&ws->frame, 1);
        weft_mutex_unlock(&ws->m);
        if (over)
            weft__ws_die(ws);
        if (!n)
            return;
        control_send(ws, p, n);
    }
}

/* One frame of data, or a ping. */
static weft_err frame_put(weft_ctx *ctx, weft_ws *ws, unsigned first, const void *buf, size_t n)
{
    weft_err err = weft_sem_acquire(ctx, &ws->frame, 1);
    if (err < 0)
        return err;
    err = ws->close_sent ? WEFT_ECLOSED : frame_write(ctx, ws, first, buf, n);   /* WS3 */
    frame_leave(ws);
    return err;
}

/* ---- what is due ---- */

void weft__ws_due(weft_ws *ws)
{
    weft_mutex_lock(&ws->m);
    bool mine = weft_sem_try_acquire(&ws->frame, 1);   /* WS2 */
    weft_mutex_unlock(&ws->m);
    if (mine)
        frame_leave(ws);
}

void weft__ws_close_due(weft_ws *ws, int code, const void *reason, size_t n)
{
    weft_mutex_lock(&ws->m);
    if (!ws->close_sent && !ws->close_due) {
        ws->close_due = true;
        ws->close_len = 0;
        if (code) {
            ws->close[0] = (uint8_t)(code >> 8);
            ws->close[1] = (uint8_t)code;
            if (n)
                memcpy(ws->close + 2, reason, n);
            ws->close_len = (uint8_t)(2 + n);
        }
    }
    weft_mutex_unlock(&ws->m);
}

/* ---- messages ---- */

/* Is more text good behind what was sent? Then *u is what holds after it. */
static bool text_ok(struct weft__utf8 *u, int type, const void *buf, size_t n)
{
    struct weft__utf8 after = *u;
    if (type == WEFT_WS_TEXT && !weft__utf8_check(&after, buf, n))
        return false;
    *u = after;
    return true;
}

weft_err weft_ws_write(weft_ctx *ctx, weft_ws *ws, int type, const void *buf, size_t n)
{
    struct weft__utf8 u = {0};
    if ((type != WEFT_WS_TEXT && type != WEFT_WS_BINARY) || !text_ok(&u, type, buf, n) || u.need)
        return WEFT_EINVAL;
    weft_err err = weft_sem_acquire(ctx, &ws->message, 1);
    if (err < 0)
        return err;
    err = frame_put(ctx, ws, FIN | (unsigned)type, buf, n);
    weft_sem_release(&ws->message, 1);
    return err;
}

/* The message in frames is over; others may write. */
static void message_leave(weft_ws *ws)
{
    ws->writing = 0;
    weft_sem_release(&ws->message, 1);
}

weft_err weft_ws_write_begin(weft_ctx *ctx, weft_ws *ws, int type)
{
    if (type != WEFT_WS_TEXT && type != WEFT_WS_BINARY)
        return WEFT_EINVAL;
    weft_err err = weft_sem_acquire(ctx, &ws->message, 1);
    if (err < 0)
        return err;
    weft_mutex_lock(&ws->m);
    bool closed = ws->dead || ws->close_sent;
    weft_mutex_unlock(&ws->m);
    if (closed) {
        weft_sem_release(&ws->message, 1);
        return WEFT_ECLOSED;
    }
    ws->writing = type;
    ws->written = false;
    ws->out_utf8 = (struct weft__utf8){0};
    return 0;
}

/* The next frame of the message; what fails ends it. */
static weft_err message_frame(weft_ctx *ctx, weft_ws *ws, unsigned fin, const void *buf, size_t n)
{
    unsigned op = ws->written ? (unsigned)WEFT__WS_CONT : (unsigned)ws->writing;
    ws->written = true;
    weft_err err = frame_put(ctx, ws, fin | op, buf, n);
    if (err < 0) {
        weft__ws_die(ws);   /* the peer waits for the rest of a message that will not come */
        message_leave(ws);
    }
    return err;
}

weft_err weft_ws_write_part(weft_ctx *ctx, weft_ws *ws, const void *buf, size_t n)
{
    if (!ws->writing)
        return WEFT_ECLOSED;
    if (!text_ok(&ws->out_utf8, ws->writing, buf, n))
        return WEFT_EINVAL;
    return n ? message_frame(ctx, ws, 0, buf, n) : 0;
}

weft_err weft_ws_write_end(weft_ctx *ctx, weft_ws *ws)
{
    if (!ws->writing)
        return WEFT_ECLOSED;
    if (ws->out_utf8.need)
        return WEFT_EINVAL;
    weft_err err = message_frame(ctx, ws, FIN, NULL, 0);
    if (err == 0)
        message_leave(ws);
    return err;
}

/* ---- pings ---- */

static void ping_unlink(weft_ws *ws, struct weft__ws_ping *p)
{
    for (struct weft__ws_ping **at = &ws->pings; *at; at = &(*at)->next) {
        if (*at == p) {
            *at = p->next;
            return;
        }
    }
}

weft_err weft_ws_ping(weft_ctx *ctx, weft_ws *ws)
{
    struct weft__ws_ping p = {0};
    weft_sem_init(&p.got, 1);
    (void)!weft_sem_try_acquire(&p.got, 1);
    weft_mutex_lock(&ws->m);
    bool closed = ws->dead || ws->close_sent;
    if (!closed) {
        p.id = ++ws->pings_made;
        p.next = ws->pings;
        ws->pings = &p;
    }
    weft_mutex_unlock(&ws->m);
    if (closed)
        return WEFT_ECLOSED;
    weft_err err = frame_put(ctx, ws, FIN | WEFT__WS_PING, &p.id, sizeof p.id);
    if (err == 0)
        err = weft_sem_acquire(ctx, &p.got, 1);
    weft_mutex_lock(&ws->m);   /* behind it nobody touches p any more */
    ping_unlink(ws, &p);
    bool ponged = p.ponged;
    weft_mutex_unlock(&ws->m);
    return ponged ? 0 : err < 0 ? err : WEFT_ECLOSED;
}
