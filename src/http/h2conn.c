/*
 * h2conn.c - an HTTP/2 connection of a server, from its first bytes to its end.
 *
 * Role    The goroutine that leads reads, gives what came to the session, hands the wait for more to the poller, runs the
 *         handlers of the requests and sends all answers in one write. Answers that come later are sent by those who made
 *         them; a socket that is full is waited for by a goroutine of its own, so that reading goes on. A client's waits itself.
 * Near    serveconn.c (who starts it), h2session.c, h2handle.c (runners), h2_int.h (invariants Z1 to Z9). Layer 5.
 *
 *   started by the poller -> read -> session (c->m) -> the poller waits again -> handlers, answers queue -> one write
 *   end  shutdown, "Connection: close": GOAWAY with the last stream open and a PING; on its answer, or after a second,
 *        GOAWAY with the last stream that counts; when the streams have ended: close.
 *
 * Locks   c->m, a goroutine mutex; never held over a read, a write or a yield. Within it server->lock is not taken.
 * Limits  idle_timeout without a stream; io_timeout for each wait of a stream and for a write. 2,000 frames queued for a peer
 *         that does not read end the connection.
 * Failure The connection ends; its streams' reads and writes fail, their contexts are cancelled.
 * Source  RFC 9113; Go net/http2 server.go.
 */
#include <stdlib.h>
#include <string.h>
#include <weft/go.h>
#include <weft/time.h>

#include "h2_int.h"

#define QUEUE_MAX 2000
#define LEAVE_WAIT WEFT_SEC

const bool weft__h2_built = true;

int weft__h2_preface(const char *bytes, size_t n)
{
    size_t len = n < 4 ? n : 4;   /* "PRI " is no method of HTTP/1; the session looks at the rest */
    if (memcmp(bytes, NGHTTP2_CLIENT_MAGIC, len) != 0)
        return 0;
    return n < 4 ? -1 : 1;
}

/* ---- deadlines ---- */

void weft__h2_look_at(struct weft__h2 *c, weft_time at)
{
    if (c->look_at && c->look_at <= at)
        return;
    c->look_at = at;
    (void)weft_conn_set_read_deadline(c->conn, at);   /* closed: the next read says so */
}

/* One direction's wait of a stream. */
static weft_time sweep_wait(struct weft__h2_stream *st, int dir, weft_time now, weft_time next)
{
    if (!st->until[dir])
        return next;
    if (st->until[dir] > now)
        return st->until[dir] < next ? st->until[dir] : next;
    st->until[dir] = 0;
    if (!st->started)
        st->c->calm = NGHTTP2_ENHANCE_YOUR_CALM;   /* a head that does not end */
    else if (dir == 0)
        st->in_err = WEFT_EDEADLINE;
    else
        st->out_err = WEFT_EDEADLINE;
    weft_cond_broadcast(&st->wake);
    return next;
}

/* Z6: the read deadline has come: whose wait is over, and when is the next look? */
static void h2_sweep(struct weft__h2 *c)
{
    weft_time now = weft_now(), next = now + c->idle_timeout;
    for (struct weft__hlink *x = c->streams.next; x != &c->streams; x = x->next)
        for (int dir = 0; dir < 2; dir++)
            next = sweep_wait(WEFT__H2_STREAM_OF(x), dir, now, next);
    weft_time end = c->leaving == 1 ? c->leave_at : !c->streams_len && !c->handlers ? c->idle_since + c->idle_timeout : next;
    if (c->calm)
        (void)nghttp2_session_terminate_session(c->session, c->calm);
    else if (end <= now)
        weft__h2_left(c);
    else
        next = end < next ? end : next;
    c->look_at = 0;
    weft__h2_look_at(c, next);
}

void weft__h2_leave(struct weft__h2 *c)
{
    if (c->leaving || c->dead)
        return;
    c->leaving = 1;
    c->leave_at = weft_now() + LEAVE_WAIT;
    (void)nghttp2_submit_shutdown_notice(c->session);
    (void)nghttp2_submit_ping(c->session, NGHTTP2_FLAG_NONE, NULL);
    weft__h2_look_at(c, c->leave_at);
}

void weft__h2_left(struct weft__h2 *c)
{
    if (c->leaving == 2)
        return;
    c->leaving = 2;
    (void)nghttp2_submit_goaway(c->session, NGHTTP2_FLAG_NONE, nghttp2_session_get_last_proc_stream_id(c->session),
                                NGHTTP2_NO_ERROR, NULL, 0);
}

/* ---- sending ---- */

/* Frames into out, as many as it holds. */
static void h2_fill(struct weft__h2 *c)
{
    ssize_t n = 0;
    c->out_pos = c->out_len = 0;
    if (c->dead || (!c->left_len && !nghttp2_session_want_write(c->session)))
        return;
    if (!c->out && !(c->out = weft__hbuf_get(0))) {
        c->dead = true;
        return;
    }
    memcpy(c->out->data, c->left ? (const char *)c->left : "", c->left_len);
    c->out_len = c->left_len;
    c->left_len = 0;
    const uint8_t *p;
    while ((n = nghttp2_session_mem_send(c->session, &p)) > 0) {
        if ((size_t)n > c->out->cap - c->out_len) {
            c->left = p;   /* stays until the next mem_send */
            c->left_len = (size_t)n;
            break;
        }
        memcpy(c->out->data + c->out_len, p, (size_t)n);
        c->out_len += (size_t)n;
    }
    c->dead |= n < 0;
}

/* Nothing is left to send: with c->m, which it gives back. */
static void h2_sent(struct weft__h2 *c, bool wrote)
{
    c->writing = false;   /* Z2 */
    if (wrote || !c->handlers)
        weft__h2_shelf_give(c);
    weft__hbuf_put(c->out);
    c->out = NULL;
    c->over |= !nghttp2_session_want_read(c->session) && !nghttp2_session_want_write(c->session);
    if (c->dead || c->over)
        weft__h2_look_at(c, 1);   /* wakes the connection's goroutine */
    weft_cond_broadcast(&c->ended);
    weft_mutex_unlock(&c->m);
}

/* What out still holds. Bytes that went, or an error; fewer than all when the socket is full and it must not wait. */
static ssize_t h2_put(struct weft__h2 *c, bool waits)
{
    const char *p = c->out->data + c->out_pos;
    size_t n = c->out_len - c->out_pos;
    if (!waits)
        return weft__conn_try_write(c->conn, p, n);
    weft_time limit = weft__h2_limit(c);
    if (limit - c->write_limit > WEFT_SEC || limit < c->write_limit)
        (void)weft_conn_set_write_deadline(c->conn, c->write_limit = limit);
    return weft_conn_write(NULL, c->conn, p, n);
}

static void h2_writer(struct weft__h2 *c);

/* Z2, with c->m, which it gives back: out, then whatever is queued meanwhile. Who may not wait leaves that to h2_writer. */
static WEFT_PARKS void h2_write(struct weft__h2 *c, bool waits)
{
    bool wrote = false;
    for (;;) {
        if (c->out_pos == c->out_len)
            h2_fill(c);
        if (c->out_pos == c->out_len || c->dead)
            break;
        weft_mutex_unlock(&c->m);
        wrote = true;
        ssize_t n = h2_put(c, waits);
        if (n >= 0 && (size_t)n < c->out_len - c->out_pos) {
            c->out_pos += (size_t)n;
            weft_go_named("http2 writer", h2_writer, c);   /* it owns writing now */
            return;
        }
        c->out_pos = c->out_len = 0;
        weft_mutex_lock(&c->m);
        c->dead |= n < 0;
    }
    c->out_pos = c->out_len = 0;
    h2_sent(c, wrote);
}

struct weft__h2 *weft__h2_ref(struct weft__h2 *c)
{
    atomic_fetch_add_explicit(&c->lives, 1, memory_order_relaxed);   /* Z7: not the last one, as the caller has one */
    return c;
}

void weft__h2_unref(struct weft__h2 *c)
{
    if (atomic_fetch_sub_explicit(&c->lives, 1, memory_order_acq_rel) == 1)   /* Z7 */
        free(c);
}

static void h2_writer(struct weft__h2 *c)
{
    atomic_fetch_add_explicit(&c->lives, 1, memory_order_relaxed);   /* the connection waits for writing to fall */
    weft_mutex_lock(&c->m);
    h2_write(c, true);
    weft__h2_unref(c);
}

static bool h2_send_begin(struct weft__h2 *c, bool in_pass_too)
{
    if (!c->writing && (in_pass_too || !c->in_pass) && !c->dead) {
        c->writing = true;
        return true;
    }
    weft_mutex_unlock(&c->m);
    return false;
}

void weft__h2_send(struct weft__h2 *c)
{
    if (h2_send_begin(c, false))
        h2_write(c, false);
}

/* With c->m, writing: others may join in, or read first: peers of many connections are woken less often. */
static WEFT_PARKS void h2_write_soon(struct weft__h2 *c)
{
    weft_mutex_unlock(&c->m);
    weft_yield();
    weft_mutex_lock(&c->m);
    h2_write(c, false);
}

void weft__h2_send_soon(struct weft__h2 *c)
{
    if (h2_send_begin(c, false))
        h2_write_soon(c);
}

void weft__h2_send_end(struct weft__h2 *c)
{
    bool last = !c->handlers;   /* then all requests of a pass are answered */
    if (!h2_send_begin(c, last))
        return;
    if (last)
        h2_fill(c);   /* while all that takes is at hand */
    if (last && !c->left_len)
        weft__h2_shelf_give(c);   /* whose blocks are warm for who runs next */
    if (!last || c->out_len)
        h2_write_soon(c);
    else
        h2_write(c, false);
}

/* ---- receiving ---- */

static uint32_t recv_code(const struct weft__h2 *c, ssize_t r)
{
    if (c->calm)
        return c->calm;
    switch (r) {
    case NGHTTP2_ERR_FLOODED: return NGHTTP2_ENHANCE_YOUR_CALM;
    case NGHTTP2_ERR_BAD_CLIENT_MAGIC: return NGHTTP2_PROTOCOL_ERROR;
    default: return NGHTTP2_INTERNAL_ERROR;
    }
}

/* Bytes that came, and what follows from them, but for new requests, which are in todo; b, where they are, is given back.
 * False: the connection is over. */
static bool h2_pass(struct weft__h2 *c, const char *bytes, size_t n, struct weft__hbuf *b)
{
    weft_mutex_lock(&c->m);
    c->in_pass = true;   /* Z3 */
    weft__h2_shelf_take(c);
    c->woke = false;
    ssize_t r = nghttp2_session_mem_recv(c->session, (const uint8_t *)bytes, n);
    if (r >= 0 && nghttp2_session_get_outbound_queue_size(c->session) > QUEUE_MAX)
        c->calm = NGHTTP2_ENHANCE_YOUR_CALM;
    if (r < 0 || c->calm)
        (void)nghttp2_session_terminate_session(c->session, recv_code(c, r));
    weft__hbuf_put(b);   /* warm for the next connection */
    if (c->woke) {
        weft_mutex_unlock(&c->m);
        weft_yield();
        weft_mutex_lock(&c->m);
    }
    c->in_pass = false;
    if (!c->todo || nghttp2_session_want_write(c->session)) {
        weft__h2_send(c);
        weft_mutex_lock(&c->m);
    }
    bool goes_on = !c->over && !c->dead;
    weft_mutex_unlock(&c->m);
    return goes_on;
}

static bool h2_late(struct weft__h2 *c)
{
    weft_mutex_lock(&c->m);
    bool goes_on = !c->over && !c->dead;
    if (goes_on) {
        h2_sweep(c);
        weft__h2_send(c);
        weft_mutex_lock(&c->m);
        goes_on = !c->over && !c->dead;
    }
    weft_mutex_unlock(&c->m);
    return goes_on;
}

/* Something may be there. 1: go on; 0: over; or why the connection broke. */
static int h2_read(struct weft__h2 *c)
{
    struct weft__hbuf *b = weft__hbuf_get(0);
    if (!b)
        return WEFT_ENOMEM;
    ssize_t n = weft__conn_read_soon(c->conn, b->data, b->cap);
    if (n > 0)
        return h2_pass(c, b->data, (size_t)n, b);
    weft__hbuf_put(b);
    return n == WEFT_EDEADLINE ? h2_late(c) : n == 0 ? WEFT_EEOF : (int)n;
}

/* What a wait has ended with. As h2_read. */
static int h2_waited(struct weft__h2 *c, weft_err err)
{
    return err == 0 ? h2_read(c) : err == WEFT_EDEADLINE ? h2_late(c) : err;
}

/* Until there is something to read. 1: a server's wait goes on without a goroutine (Z9), c may be gone. */
static weft_err h2_wait(struct weft__h2 *c)
{
    struct weft__sconn *sc = c->sc;
    if (sc && weft__sconn_closing(sc)) {
        weft_mutex_lock(&c->m);
        weft__h2_leave(c);
        weft__h2_send(c);
    }
    return sc ? weft__conn_wait_start(c->conn, &c->start) : weft_conn_wait(NULL, c->conn, WEFT_READ);
}

/* ---- its life ---- */

struct weft__h2 *weft__h2_new(weft_conn *conn, const struct weft__h2 *limits)
{
    struct weft__h2 *c = malloc(sizeof *c);
    if (!c)
        return NULL;
    *c = *limits;
    c->conn = conn;
    c->streams.next = c->streams.prev = &c->streams;
    c->ended.m = &c->m;
    c->idle_since = weft_now();
    atomic_store_explicit(&c->lives, 1, memory_order_relaxed);
    if (weft__h2_session_new(c) == 0)
        return c;
    free(c);
    return NULL;
}

/* The streams break off; their goroutines, and a writer, end. Then the session goes. */
static void h2_end(struct weft__h2 *c, weft_err err)
{
    weft_mutex_lock(&c->m);
    c->dead = true;
    if (c->todo)
        weft_go(weft__h2_handle, weft__h2_ref(c));   /* their handlers see the end, too */
    for (struct weft__hlink *x = c->streams.next; x != &c->streams; x = x->next)
        weft__h2_stream_break(WEFT__H2_STREAM_OF(x), err < 0 ? err : WEFT_ECLOSED);
    if (err == 0 && c->sc) {   /* all is said: the peer should get to read it */
        weft_mutex_unlock(&c->m);
        weft__sconn_linger(c->sc);
        weft_mutex_lock(&c->m);
    }
    (void)weft_conn_set_write_deadline(c->conn, 1);   /* frees a writer that waits */
    while (c->handlers || c->writing)
        weft_cond_wait(&c->ended);
    nghttp2_session_del(c->session);
    c->session = NULL;
    weft__h2_shelf_give(c);
    while (c->streams.next != &c->streams)
        weft__h2_stream_closed(WEFT__H2_STREAM_OF(c->streams.next), NGHTTP2_CANCEL);
    weft_mutex_unlock(&c->m);
}

/* Z9: leads until nobody needs to, or to the end. apart: no handler runs on this goroutine. True: it has left. */
static bool h2_lead(struct weft__h2 *c, int r, bool apart)
{
    while (r > 0) {
        weft_mutex_lock(&c->m);
        struct weft__h2 *work = c->todo ? weft__h2_ref(c) : NULL;
        weft_mutex_unlock(&c->m);
        weft_err err = h2_wait(c);
        bool left = err == 1;
        if (work && (!left || apart))
            weft_go(weft__h2_handle, work);
        else if (work)
            weft__h2_handle(work);
        if (left)
            return true;
        r = h2_waited(c, err);
    }
    h2_end(c, r);
    return false;
}

bool weft__h2_run(struct weft__h2 *c, const char *bytes, size_t n)
{
    weft_mutex_lock(&c->m);
    weft__h2_look_at(c, c->idle_since + c->idle_timeout);
    weft__h2_send(c);   /* SETTINGS */
    return h2_lead(c, n ? h2_pass(c, bytes, n, NULL) : 1, true);
}

/* Z9: the wait has ended. */
static void h2_started(void *arg)
{
    struct weft__h2 *c = arg;
    struct weft__sconn *sc = c->sc;
    if (h2_lead(c, h2_waited(c, weft__conn_started(c->conn)), false))
        return;
    weft__h2_unref(c);
    weft__sconn_end(sc);
}

bool weft__h2_serve(struct weft__sconn *sc, const char *bytes, size_t n)
{
    const struct weft_http_server_opts *o = &sc->server->o;
    const struct weft__h2 limits = {.sc = sc, .head_max = o->head_bytes_max, .head_timeout = o->head_timeout,
                                    .io_timeout = o->io_timeout, .idle_timeout = o->idle_timeout,
                                    .streams_max = o->streams_max > 0 ? (uint32_t)o->streams_max : 250};
    struct weft__h2 *c = weft__h2_new(sc->conn, &limits);
    if (!c)
        return false;
    c->start = (struct weft__starter){.fn = h2_started, .arg = c};
    if (weft__h2_run(c, bytes, n))
        return true;
    weft__h2_unref(c);
    return false;
}
