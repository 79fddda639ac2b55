/*
 * tls_own.c - connections of our own TLS 1.3 client (tls13/) as tls_conn.c knows OpenSSL's: the socket and the waiting.
 *
 * Role    weft__tls_client_own shakes hands for the HTTP client (src/http/reach.c), which can dial again where the server is one
 *         for OpenSSL. Reads and writes come by tls_conn.c, under its rules: T5 (under tls->lock, no park within), T6. Layer 4.
 *
 * Invariant
 *   T28 Before weft__tls_client_own has succeeded nothing of the caller's was sent. So what it could not do may be done again, by
 *       OpenSSL, on another connection, which agrees on everything anew: nobody in between gains by making it fail.
 *
 * The client's last words wait for its first write, to leave with it; a read sends them if it comes first.
 * Limits  A buffer of a record's length while bytes wait. WEFT_TLS=openssl in the environment turns this client off.
 * Failure The words are OpenSSL's for the same (conn->tls_error).
 * Source  RFC 8446 5, 6.1; ADR 0016.
 */
#include <openssl/err.h>
#include <stdlib.h>
#include <string.h>

#include "../../sys/sys.h"
#include "../tls13/t13.h"
#include "tls_int.h"

enum { OWN_ROOM = WEFT__T13_HEAD + WEFT__T13_BODY_MAX };

/* ---- the socket ---- */

/* Send what is queued: TLS_DONE, TLS_WANT_WRITE or an error. more: the close follows. */
static int own_flush(struct weft__tls *tls, bool more)
{
    struct weft__t13_bytes *b = &tls->own->send;
    while (b->from < b->to) {
        size_t n = b->to - b->from;
        ssize_t put = more ? weft__sock_send_more(tls->f->fd, b->at + b->from, n) : weft__sock_send(tls->f->fd, b->at + b->from, n);
        if (put == -EAGAIN)
            return TLS_WANT_WRITE;
        if (put < 0)
            return tls->io_error = (weft_err)put;
        b->from += (size_t)put;
    }
    weft__t13_drop(b, false);
    return TLS_DONE;
}

/* What is there of the peer's, into raw: TLS_DONE, TLS_WANT_READ, 0 at the end, or an error. An empty raw keeps no memory. */
static int own_receive(struct weft__tls *tls)
{
    struct weft__fd *f = tls->f;
    struct weft__t13_bytes *b = &tls->own->raw;
    if (b->from == b->to)
        b->from = b->to = 0;
    ssize_t got = -EAGAIN;
    if (!f->drained || weft__pd_ended(f->pd)) {
        size_t room = OWN_ROOM - (b->to - b->from);
        if (!weft__t13_room(b, room))
            return WEFT_ENOMEM;
        got = weft__fd_recv(f, b->at + b->to, room);
        f->drained = f->tcp && ((got > 0 && (size_t)got < room) || got == -EAGAIN); /* F3 */
    }
    if (got > 0) {
        b->to += (size_t)got;
        return TLS_DONE;
    }
    if (b->from == b->to)
        weft__t13_drop(b, false);
    if (got == -EAGAIN)
        return TLS_WANT_READ;
    tls->ended = got == 0;
    return got == 0 ? 0 : (tls->io_error = (weft_err)got);
}

/* ---- reading and writing ---- */

static int own_broken(weft_conn *conn, struct weft__tls *tls, weft_err err, const char *words)
{
    tls->broken = true;
    weft__tls_say(conn, words);
    ERR_clear_error();
    return err;
}

/* The protocol's own failure: the peer is told, if it did not tell us. */
static int own_fault(weft_conn *conn, struct weft__tls *tls)
{
    struct weft__t13 *t = tls->own;
    if (t->alert >= 0) {
        weft__t13_alert(t, 2, t->alert);
        (void)own_flush(tls, false);
    }
    return own_broken(conn, tls, WEFT_ETLS, t->words);
}

/* The socket's. */
static int own_lost(weft_conn *conn, struct weft__tls *tls, weft_err err)
{
    return err == 0 ? own_broken(conn, tls, WEFT_EEOF, "the peer ended in the middle") : own_broken(conn, tls, err, weft_strerror(err));
}

int weft__tls_own_read(weft_conn *conn, struct weft__tls *tls, void *ret_buf, size_t n, size_t *ret_got)
{
    struct weft__t13 *t = tls->own;
    if (tls->broken)
        return WEFT_ETLS;
    if (n == 0) {
        *ret_got = 0;
        return TLS_DONE;
    }
    for (;;) {
        enum weft__t13_is is = weft__t13_read(t, ret_buf, n, ret_got);
        if (t->raw.from == t->raw.to)
            weft__t13_drop(&t->raw, false);
        if (is == WEFT__T13_BROKEN)
            return own_fault(conn, tls);
        if (t->send.to > t->send.from)   /* last words of the handshake, an answer to a change of keys */
            (void)own_flush(tls, false); /* what cannot be sent is the next write's to tell: what the peer said before counts */
        if (is != WEFT__T13_MORE)
            return is == WEFT__T13_DONE ? TLS_DONE : 0;
        int r = own_receive(tls);
        if (r == TLS_WANT_READ)
            return r;
        if (r != TLS_DONE)
            return own_lost(conn, tls, r);
    }
}

int weft__tls_own_write(weft_conn *conn, struct weft__tls *tls, const void *buf, size_t n, size_t *ret_put)
{
    struct weft__t13 *t = tls->own;
    if (tls->broken || t->said_bye)
        return tls->broken ? WEFT_ETLS : -EPIPE;
    if (t->owed ? n < t->owed : !weft__t13_write(t, buf, n))
        return own_broken(conn, tls, t->owed ? WEFT_ETLS : WEFT_ENOMEM, t->owed ? "bad write retry" : weft_strerror(WEFT_ENOMEM));
    int r = own_flush(tls, false);
    if (r == TLS_DONE) {
        *ret_put = t->owed;
        t->owed = 0;
    }
    return r < 0 ? own_lost(conn, tls, r) : r;
}

bool weft__tls_own_pending(const struct weft__tls *tls)
{
    return weft__t13_pending(tls->own);
}

int weft__tls_own_close_write(weft_conn *conn, struct weft__tls *tls)
{
    if (tls->broken)
        return TLS_DONE;
    weft__t13_alert(tls->own, 1, T13_A_CLOSE);
    int r = own_flush(tls, false);
    return r < 0 ? own_lost(conn, tls, r) : r;
}

void weft__tls_own_farewell(struct weft__tls *tls)
{
    if (tls->broken || tls->own->said_bye)
        return;
    weft__t13_alert(tls->own, 1, T13_A_CLOSE);
    (void)own_flush(tls, true);
}

void weft__tls_own_free(struct weft__tls *tls)
{
    weft__t13_free(tls->own);
}

/* ---- asking about it ---- */

X509 *weft__tls_own_cert(const struct weft__tls *tls)
{
    return tls->own->cert;
}

void weft__tls_own_state(const struct weft__tls *tls, struct weft_tls_state *ret_state)
{
    const struct weft__t13 *t = tls->own;
    *ret_state = (struct weft_tls_state){.version = WEFT_TLS_1_3,
                                         .resumed = t->resumed,
                                         .peer_cert = t->cert,
                                         .peer_verified = t->cert && t->verified,
                                         .cipher = t->suite->name};
    memcpy(ret_state->alpn, t->alpn, sizeof ret_state->alpn);
}

/* ---- the handshake ---- */

static bool own_wanted(void)
{
    static _Atomic int wanted; /* [T1] 0 not known, 1 yes, 2 no: nothing else is carried by it */
    int w = atomic_load_explicit(&wanted, memory_order_relaxed);
    if (w)
        return w == 1;
    const char *e = getenv("WEFT_TLS");
    w = e && strcmp(e, "openssl") == 0 ? 2 : 1;
    atomic_store_explicit(&wanted, w, memory_order_relaxed);
    return w == 1;
}

/* Both directions are the caller's, and nobody else knows of tls: no lock. */
static WEFT_PARKS int own_shake(weft_ctx *ctx, struct weft__tls *tls)
{
    weft_err err = weft__pd_check(tls->f->pd, WEFT__DIR_READ);
    int r;
    while (!err && (r = own_flush(tls, false)) != TLS_DONE)
        err = r < 0 ? r : weft__tls_wait(ctx, tls, r);
    while (!err) {
        enum weft__t13_is is = weft__t13_shake(tls->own);
        if (is != WEFT__T13_MORE)
            return is == WEFT__T13_DONE ? 0 : WEFT__TLS_DIAL;
        r = own_receive(tls);
        if (r == 0)
            return WEFT__TLS_DIAL;
        if (r != TLS_DONE)
            err = r < 0 ? r : weft__tls_wait(ctx, tls, r);
    }
    /* The peer's doing, as far as one can tell: OpenSSL's turn. Not time that is up, nor who does not want any more. */
    return tls->io_error ? WEFT__TLS_DIAL : err;
}

/* Does a config fit, as far as a look tells? The name without the root's dot. */
static bool own_name(const weft_conn *conn, const struct weft_tls_config *c, char *ret_name)
{
    size_t n = c->server_name ? strlen(c->server_name) : 0;
    if (!own_wanted() || conn->tls || conn->datagram || c->cert_file || n == 0 || n >= WEFT__T13_NAME_MAX)
        return false;
    memcpy(ret_name, c->server_name, n + 1);
    if (ret_name[n - 1] == '.')
        ret_name[n - 1] = '\0';
    return *ret_name != '\0';
}

/* Between enter and leave of both directions. */
static WEFT_PARKS int own_start(weft_ctx *ctx, weft_conn *conn, const struct weft_tls_config *c, uint16_t port)
{
    struct weft__tls_fail fail = {0};
    char name[WEFT__T13_NAME_MAX];
    SSL_CTX *shared = own_name(conn, c, name) ? weft__tls_shared_get(c, false, &fail) : NULL;
    if (!shared)
        return WEFT_EUNSUPPORTED;
    struct weft__tls_extra *x = weft__tls_extra_of(shared);
    struct weft__tls *tls = x->own ? weft__sys_alloc(sizeof *tls + 1) : NULL;
    if (tls)
        tls->own = weft__t13_new(shared, x, name, port, c->insecure);
    bool there = tls && tls->own;
    if (!there) {
        SSL_CTX_free(shared);
        weft__sys_free(tls);
        ERR_clear_error();
        return WEFT_EUNSUPPORTED;
    }
    tls->f = &conn->f;
    int r = own_shake(ctx, tls);
    if (r == 0) {
        conn->tls = tls; /* N2 */
    } else {
        if (r == WEFT__TLS_DIAL || r == WEFT_EDEADLINE)
            weft__t13_refuse(x->own->hosts, tls->own->key);
        ERR_clear_error();
        weft__tls_free(tls);
    }
    SSL_CTX_free(shared);
    return r;
}

int weft__tls_client_own(weft_ctx *ctx, weft_conn *conn, const struct weft_tls_config *config, uint16_t port)
{
    weft_err err = ctx ? weft_ctx_err(ctx) : 0;
    if (!err)
        err = weft__fd_enter(&conn->f, WEFT__FD_READING | WEFT__FD_WRITING);
    if (err)
        return err;
    int r = own_start(ctx, conn, config, port);
    weft__fd_leave(&conn->f, WEFT__FD_READING | WEFT__FD_WRITING);
    return r;
}
