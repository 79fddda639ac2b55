/*
 * server.c - accept connections, keep the list of them, stop in good order.
 *
 * Role    weft_http_serve and weft_http_server_shutdown. Near: serveconn.c. Layer 5.
 *
 * Invariants, under server->lock:
 *   V1  every connection is in conns or in kicked until its conn is about to be closed; conns_len counts it until after.
 *   V2  kicked  <=>  its conn was closed by shutdown.
 *   V4  idle and closing, both seq_cst: a connection stores idle and then loads closing, shutdown stores closing and then
 *       loads idle. So one of them sees the other: none waits on unseen, and no request under way is cut off.
 *   V5  the same of h2 and closing: a connection of HTTP/2 stores h2 and then loads closing before each wait, shutdown wakes
 *       it by a read deadline that has passed. It says goodbye to its peer, its streams finish.
 *   V6  told: the goodbye of a conversation (sc->ws) has been started, once: by who finds closing set when the conversation begins, or
 *       by shutdown, which sets closing before it looks for conversations. Both under the lock.
 *   V3  closing changes once; then no connection and no accept loop is added, and `ended` is closed when conns_len and
 *       serving, the number of those loops, are 0.
 *
 * Locks   server->lock for list operations; connections are closed outside of it, through a reference of their own.
 * Limits  conns_max, by tokens; at -EMFILE and the like accept pauses 5 ms .. 1 s, as Go does.
 */
#include "server_int.h"
#include "ws_int.h"

#include <stdlib.h>
#include <string.h>
#include <weft/go.h>
#include <weft/select.h>

static void list_in(struct weft__sconn *head, struct weft__sconn *sc)
{
    sc->next = head->next;
    sc->prev = head;
    head->next->prev = sc;
    head->next = sc;
}

static void list_out(struct weft__sconn *sc)
{
    sc->prev->next = sc->next;
    sc->next->prev = sc->prev;
}

static void opts_defaults(struct weft_http_server_opts *o)
{
    if (!o->head_bytes_max)
        o->head_bytes_max = 65536;
    if (o->head_bytes_max > (size_t)1 << 28)
        o->head_bytes_max = (size_t)1 << 28;   /* offsets are 32 bits */
    if (!o->body_bytes_max)
        o->body_bytes_max = (uint64_t)16 << 20;
    if (o->head_timeout <= 0)
        o->head_timeout = 10 * WEFT_SEC;
    if (o->idle_timeout <= 0)
        o->idle_timeout = 60 * WEFT_SEC;
    if (o->io_timeout <= 0)
        o->io_timeout = 30 * WEFT_SEC;
}

weft_err weft_http_server_new(const struct weft_http_server_opts *opts, weft_http_server **ret_server)
{
    if (!opts || !opts->handler)
        return WEFT_EINVAL;
    struct weft_http_server *s = calloc(1, sizeof *s);
    if (!s)
        return WEFT_ENOMEM;
    s->o = *opts;
    opts_defaults(&s->o);
    if (s->o.tls) {
        s->tls = *s->o.tls;
        s->o.tls = &s->tls;
    }
    s->conns.next = s->conns.prev = &s->conns;
    s->kicked.next = s->kicked.prev = &s->kicked;
    s->ctx = weft_with_cancel(NULL);
    s->ended = weft_make(char);
    if (s->o.conns_max > 0)
        s->slots = weft_make(char, s->o.conns_max);
    *ret_server = s;
    return 0;
}

void weft_http_server_free(weft_http_server *s)
{
    if (!s)
        return;
    WEFT_ASSERT(s->conns_len == 0 && s->serving == 0, "V3");
    weft_ctx_unref(s->ctx);
    weft_free(s->ended);
    weft_free(s->slots);
    free(s);
}

/* ---- connections ---- */

void weft__sconn_set_h2(struct weft__sconn *sc)
{
    atomic_store_explicit(&sc->h2, true, memory_order_seq_cst);                       /* V5 sb */
}

bool weft__sconn_closing(const struct weft__sconn *sc)
{
    return atomic_load_explicit(&sc->server->closing, memory_order_seq_cst);          /* V5 sb */
}

static bool server_closing(struct weft_http_server *s)
{
    return atomic_load_explicit(&s->closing, memory_order_relaxed);   /* ordered by the lock */
}

/* Under the lock: is it time to say that all have ended? Exactly once true (V3). */
static bool server_ended(struct weft_http_server *s)
{
    bool now = server_closing(s) && s->conns_len == 0 && s->serving == 0 && !s->ended_told;
    s->ended_told |= now;
    return now;
}

void weft__sconn_set_ws(struct weft__sconn *sc, struct weft_ws *ws)
{
    struct weft_http_server *s = sc->server;
    struct weft_ws *ours = weft_ws_ref(ws);
    weft__lock(&s->lock);
    sc->ws = ours;
    bool going = server_closing(s) && !sc->told;   /* V6 */
    sc->told |= going;
    weft__unlock(&s->lock);
    if (going)
        weft__ws_going(ws);
}

void weft__sconn_end(struct weft__sconn *sc)
{
    struct weft_http_server *s = sc->server;
    weft__lock(&s->lock);
    list_out(sc);                     /* first: from here on nobody takes a reference of conn through the list */
    weft__unlock(&s->lock);
    weft_ws_unref(sc->ws);
    if (sc->hijacked)
        weft_conn_unref(sc->conn);
    else
        (void)weft_conn_close(sc->conn);
    if (s->slots)
        (void)weft_try_recv(s->slots, NULL);
    weft__lock(&s->lock);
    s->conns_len--;
    bool ended = server_ended(s);
    weft__unlock(&s->lock);
    free(sc);
    if (ended)
        weft_close(s->ended);   /* the last touch of s here: shutdown may free it */
}

/* V1. False when the server is closing. */
static bool server_add(struct weft_http_server *s, weft_conn *conn)
{
    struct weft__sconn *sc = calloc(1, sizeof *sc);
    if (!sc)
        return false;
    sc->server = s;
    sc->conn = conn;
    sc->start = (struct weft__starter){.fn = weft__serve_more, .arg = sc};
    weft__lock(&s->lock);
    bool ok = !server_closing(s);
    if (ok) {
        list_in(&s->conns, sc);
        s->conns_len++;
    }
    weft__unlock(&s->lock);
    if (ok)
        weft_go(weft__serve_conn, sc);
    else
        free(sc);
    return ok;
}

/* ---- accepting ---- */

static bool listener_in(struct weft_http_server *s, weft_listener *ln)
{
    bool ok = false;
    weft__lock(&s->lock);
    for (size_t i = 0; !server_closing(s) && !ok && i < sizeof s->listeners / sizeof *s->listeners; i++) {
        if (!s->listeners[i]) {
            s->listeners[i] = ln;
            s->serving++;
            ok = true;
        }
    }
    weft__unlock(&s->lock);
    return ok;
}

/* True when it was still there: the caller closes it. */
static bool listener_out(struct weft_http_server *s, const weft_listener *ln)
{
    bool found = false;
    weft__lock(&s->lock);
    for (size_t i = 0; i < sizeof s->listeners / sizeof *s->listeners; i++) {
        if (s->listeners[i] == ln) {
            s->listeners[i] = NULL;
            found = true;
        }
    }
    weft__unlock(&s->lock);
    return found;
}

static bool accept_passes(weft_err err)
{
    return err == -EMFILE || err == -ENFILE || err == -ENOBUFS || err == -ENOMEM || err == WEFT_ENOMEM;
}

/* A token of conns_max; false when ctx ended or the server is closing. */
static bool slot_take(weft_ctx *ctx, struct weft_http_server *s)
{
    if (!s->slots || weft_try_send(s->slots, 0))
        return true;
    return weft_select(weft_on_send(s->slots, 0), weft_on_recv(weft_ctx_done(ctx), NULL), weft_on_recv(s->ended, NULL)) == 0;
}

static weft_err accept_loop(weft_ctx *ctx, struct weft_http_server *s, weft_listener *ln)
{
    weft_dur pause = 5 * WEFT_MS;
    while (slot_take(ctx, s)) {
        weft_conn *conn;
        weft_err err = weft_accept(ctx, ln, &conn);
        if (err == 0 && !server_add(s, conn)) {
            (void)weft_conn_close(conn);
            err = WEFT_ECLOSED;
        }
        if (err < 0 && s->slots)
            (void)weft_try_recv(s->slots, NULL);
        if (err == 0) {
            pause = 5 * WEFT_MS;
        } else if (accept_passes(err)) {
            weft_sleep(pause);
            pause = pause * 2 > WEFT_SEC ? WEFT_SEC : pause * 2;
        } else {
            return err;
        }
    }
    return WEFT_ECLOSED;
}

weft_err weft_http_serve(weft_ctx *ctx, weft_http_server *s, weft_listener *ln)
{
    if (!listener_in(s, ln)) {
        (void)weft_listener_close(ln);
        return WEFT_ECLOSED;
    }
    if (!s->o.accept_silent)
        weft__listener_peers_first(ln);   /* as HTTP has it, TLS and HTTP/2 too */
    weft_err err = accept_loop(ctx, s, ln);
    if (listener_out(s, ln))
        (void)weft_listener_close(ln);
    else
        err = 0;   /* shutdown took it */
    weft__lock(&s->lock);
    s->serving--;
    bool ended = server_ended(s);
    weft__unlock(&s->lock);
    if (ended)
        weft_close(s->ended);   /* the last touch of s here, as in weft__sconn_end */
    return err == WEFT_ECLOSED || err == WEFT_ECANCELED || err == WEFT_EDEADLINE ? 0 : err;
}

/* ---- stopping ---- */

static void listeners_close(struct weft_http_server *s)
{
    for (size_t i = 0; i < sizeof s->listeners / sizeof *s->listeners; i++) {
        weft__lock(&s->lock);
        weft_listener *ln = s->listeners[i];
        s->listeners[i] = NULL;
        weft__unlock(&s->lock);
        if (ln)
            (void)weft_listener_close(ln);
    }
}

/* Is it time for this connection's goroutine to look around? Lock held. */
static bool conn_wants_kick(const struct weft__sconn *sc, bool all)
{
    if ((sc->ws || atomic_load_explicit(&sc->h2, memory_order_seq_cst)) && !all)      /* V5 sb */
        return !sc->told;
    return all || atomic_load_explicit(&sc->idle, memory_order_seq_cst);              /* V4 sb */
}

/* Close the idle connections, or all of them; their goroutines wake and end. Those of HTTP/2 are woken; conversations are told. */
static void conns_kick(struct weft_http_server *s, bool all)
{
    for (;;) {
        weft__lock(&s->lock);
        struct weft__sconn *sc = s->conns.next;
        while (sc != &s->conns && !conn_wants_kick(sc, all))
            sc = sc->next;
        weft_conn *conn = NULL;
        weft_ws *ws = NULL;
        bool wake = false;
        if (sc != &s->conns) {
            conn = weft_conn_ref(sc->conn);   /* ours; the goroutine keeps its own */
            ws = sc->ws && !all ? weft_ws_ref(sc->ws) : NULL;
            wake = sc->told = !all && (ws || atomic_load_explicit(&sc->h2, memory_order_seq_cst));   /* V5 sb, V6 */
            if (!wake) {
                list_out(sc);
                list_in(&s->kicked, sc);      /* V2 */
            }
        }
        weft__unlock(&s->lock);
        if (!conn)
            return;
        if (ws)
            weft__ws_going(ws);
        else if (wake)
            (void)weft_conn_set_read_deadline(conn, 1);
        weft_ws_unref(ws);
        if (wake)
            weft_conn_unref(conn);
        else
            (void)weft_conn_close(conn);
    }
}

weft_err weft_http_server_shutdown(weft_ctx *ctx, weft_http_server *s)
{
    weft__lock(&s->lock);
    atomic_store_explicit(&s->closing, true, memory_order_seq_cst);   /* V4 sb */
    bool ended = server_ended(s);
    weft__unlock(&s->lock);
    if (ended)
        weft_close(s->ended);
    listeners_close(s);
    conns_kick(s, false);
    if (weft_select(weft_on_recv(s->ended, NULL), weft_on_recv(weft_ctx_done(ctx), NULL)) == 0)
        return 0;
    weft_cancel(s->ctx);
    conns_kick(s, true);
    (void)weft_recv(s->ended);
    return weft_ctx_err(ctx);
}
