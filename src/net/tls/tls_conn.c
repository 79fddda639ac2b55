/*
 * tls_conn.c - one TLS connection: handshake, read, write, farewell.
 *
 * Role    Runs OpenSSL's calls and does the waiting that they ask for, outside of them. Near tls_bio.c (the socket),
 *         tls_shared.c (certificates, sessions), net/conn.c (who calls). Layer 4.
 *
 * Invariants
 *   T4  No goroutine parks between an OpenSSL call and the reading of its error: the error queue is the thread's.
 *   T5  ssl is used under tls->lock only; a park in between happens with the lock free, so that a reader that waits does
 *       not hold up a writer.
 *   T6  After a fatal error (broken) nothing more is asked of ssl.
 *
 * A connection is turned into TLS in place: weft_tls_client's result is the same pointer.
 * Locks   tls->lock, a goroutine mutex, over one OpenSSL call (at most one record of 16 KiB, or one handshake step).
 * Limits  ~10 KiB of stack inside OpenSSL. Failure: see weft/tls.h; the words are kept in conn->tls_error.
 * Source  SSL_get_error(3), SSL_read(3), SSL_shutdown(3); RFC 8446, 6066, 6125.
 */
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <string.h>

#include "../../sys/sys.h"
#include "tls_int.h"

enum { TLS_NAME_MAX = 256, TLS_KEY_MORE = sizeof ":65535" };

void weft__tls_say(weft_conn *conn, const char *text)
{
    weft__sys_free(conn->tls_error);
    conn->tls_error = strdup(text);
}

/* A certificate that was not accepted: why. */
static weft_err tls_judge_cert(struct weft__tls *tls, char *ret_text, size_t n)
{
    long v = SSL_get_verify_result(tls->ssl);
    if (v == X509_V_OK || SSL_get_verify_mode(tls->ssl) == SSL_VERIFY_NONE)
        return WEFT_ETLS;
    snprintf(ret_text, n, "certificate: %s", X509_verify_cert_error_string(v));
    return WEFT_ECERT;
}

/* What others have left in the thread's queue must not be taken for ours. Nearly always nothing, which to see is cheaper. */
static void tls_errors_forget(void)
{
    if (ERR_peek_error())
        ERR_clear_error();
}

/* Translate the result r of a call on tls->ssl. Under the lock, on the same thread (T4). */
static int tls_outcome(weft_conn *conn, struct weft__tls *tls, int r)
{
    char text[200];
    int why = SSL_get_error(tls->ssl, r);
    switch (why) {
    case SSL_ERROR_NONE: return TLS_DONE;
    case SSL_ERROR_ZERO_RETURN: return 0;
    case SSL_ERROR_WANT_READ: return TLS_WANT_READ;
    case SSL_ERROR_WANT_WRITE: return TLS_WANT_WRITE;
    default: break;
    }
    weft_err err = WEFT_ETLS;
    tls->broken = true;
    weft__tls_queue_text(text, sizeof text);
    if (tls->ended) { /* first: the alert that OpenSSL then tries to send may fail too */
        err = WEFT_EEOF;
        snprintf(text, sizeof text, "the peer ended in the middle");
    } else if (tls->io_error) {
        err = tls->io_error;
        snprintf(text, sizeof text, "%s", weft_strerror(err));
    } else if (why == SSL_ERROR_SSL) {
        int reason = ERR_GET_REASON(ERR_peek_last_error());
        if (reason == SSL_R_CERTIFICATE_VERIFY_FAILED)
            err = tls_judge_cert(tls, text, sizeof text);
        tls->http = reason == SSL_R_HTTP_REQUEST;
    }
    ERR_clear_error();
    weft__tls_say(conn, text);
    return err;
}

/* Wait as an outcome asks: 0, or an error. */
WEFT_PARKS weft_err weft__tls_wait(weft_ctx *ctx, struct weft__tls *tls, int outcome)
{
    weft_err err;
    if (outcome == TLS_WANT_READ) {
        err = weft__fd_wait(ctx, tls->f, WEFT__DIR_READ);
        if (!err)
            tls->f->drained = false;
        return err;
    }
    /* A reader that must send (key update) while a writer waits: the writer's wake serves both, look again soon. */
    while ((err = weft__fd_wait(ctx, tls->f, WEFT__DIR_WRITE)) == WEFT_EBUSY)
        weft_sleep(WEFT_MS);
    return err;
}

/* The same for who does not hold the read direction: a reader may be asking the kernel just now (poll_take.c T1). */
static WEFT_PARKS weft_err tls_wait_writing(weft_ctx *ctx, struct weft__tls *tls, int outcome)
{
    if (outcome == TLS_WANT_READ && tls->f->taken)
        weft__pd_take_end(tls->f->pd);
    return weft__tls_wait(ctx, tls, outcome);
}

/* ---- reading and writing ---- */

/* One SSL_read: TLS_DONE and *ret_got bytes, or as tls_outcome. */
static int tls_read_once(weft_conn *conn, void *ret_buf, size_t n, size_t *ret_got)
{
    struct weft__tls *tls = conn->tls;
    int r = WEFT_ETLS;
    weft_mutex_lock(&tls->lock);
    if (tls->own) {
        r = weft__tls_own_read(conn, tls, ret_buf, n, ret_got);
    } else if (!tls->broken) {
        tls_errors_forget();
        r = tls_outcome(conn, tls, SSL_read_ex(tls->ssl, ret_buf, n, ret_got));
        tls->starved = r == TLS_WANT_READ;
    }
    weft_mutex_unlock(&tls->lock);
    return r;
}

ssize_t weft__tls_read(weft_ctx *ctx, weft_conn *conn, void *ret_buf, size_t n)
{
    struct weft__tls *tls = conn->tls;
    weft_err err = weft__pd_check(tls->f->pd, WEFT__DIR_READ);
    while (!err) {
        size_t got = 0;
        int r = tls_read_once(conn, ret_buf, n, &got);
        if (r == TLS_DONE)
            return (ssize_t)got;
        if (r <= 0)
            return r;
        err = weft__tls_wait(ctx, tls, r);
    }
    return err;
}

ssize_t weft__tls_try_read(weft_conn *conn, void *ret_buf, size_t n)
{
    size_t got = 0;
    int r = tls_read_once(conn, ret_buf, n, &got);
    return r == TLS_DONE ? (ssize_t)got : r > 0 ? -EAGAIN : r;
}

/* One SSL_write: TLS_DONE and *ret_put bytes, or as tls_outcome. */
static int tls_write_once(weft_conn *conn, const void *buf, size_t n, size_t *ret_put)
{
    struct weft__tls *tls = conn->tls;
    int r = WEFT_ETLS;
    *ret_put = 0;
    weft_mutex_lock(&tls->lock);
    if (tls->own) {
        r = weft__tls_own_write(conn, tls, buf, n, ret_put);
    } else if (!tls->broken) {
        tls_errors_forget();
        r = tls_outcome(conn, tls, SSL_write_ex(tls->ssl, buf, n, ret_put));
    }
    weft_mutex_unlock(&tls->lock);
    return r == 0 ? -EPIPE : r;
}

ssize_t weft__tls_write(weft_ctx *ctx, weft_conn *conn, const void *buf, size_t n)
{
    struct weft__tls *tls = conn->tls;
    weft_err err = weft__pd_check(tls->f->pd, WEFT__DIR_WRITE);
    size_t done = 0, put;
    while (!err && done < n) {
        int r = tls_write_once(conn, (const char *)buf + done, n - done, &put);
        done += put;
        if (r < 0)
            return r;
        if (r != TLS_DONE)
            err = tls_wait_writing(ctx, tls, r);
    }
    return err ? err : (ssize_t)n;
}

ssize_t weft__tls_try_write(weft_conn *conn, const void *buf, size_t n)
{
    size_t done = 0, put;
    while (done < n) {
        int r = tls_write_once(conn, (const char *)buf + done, n - done, &put);
        done += put;
        if (r != TLS_DONE)
            return r < 0 ? r : (ssize_t)done;
    }
    return (ssize_t)done;
}

bool weft__tls_pending(weft_conn *conn)
{
    weft_mutex_lock(&conn->tls->lock);
    bool pending = conn->tls->own ? weft__tls_own_pending(conn->tls)
                                  : !conn->tls->starved && (SSL_has_pending(conn->tls->ssl) ||
                                                            (conn->tls->under && SSL_has_pending(conn->tls->under->ssl)));
    weft_mutex_unlock(&conn->tls->lock);
    return pending;
}

weft_err weft__tls_close_write(weft_conn *conn)
{
    struct weft__tls *tls = conn->tls;
    for (;;) {
        weft_mutex_lock(&tls->lock);
        int r = TLS_DONE;
        if (tls->own) {
            r = weft__tls_own_close_write(conn, tls);
        } else if (!tls->broken) {
            tls_errors_forget();
            int shut = SSL_shutdown(tls->ssl);
            r = shut >= 0 ? TLS_DONE : tls_outcome(conn, tls, shut);
        }
        weft_mutex_unlock(&tls->lock);
        if (r == TLS_DONE || r == 0)
            return 0;
        weft_err err = r < 0 ? r : tls_wait_writing(NULL, tls, r);
        if (err)
            return err;
    }
}

/* Say goodbye if it fits into the socket; never waits. Both directions are the caller's. */
void weft__tls_farewell(weft_conn *conn)
{
    struct weft__tls *tls = conn->tls;
    if (tls->own) {
        weft__tls_own_farewell(tls);
        return;
    }
    if (tls->broken || SSL_get_shutdown(tls->ssl) & SSL_SENT_SHUTDOWN)
        return;
    tls->leaving = true;
    if (tls->under)
        tls->under->leaving = true;
    tls_errors_forget();
    (void)SSL_shutdown(tls->ssl);
    if (tls->under && !tls->under->broken)
        (void)SSL_shutdown(tls->under->ssl);
    ERR_clear_error();
}

void weft__tls_free(struct weft__tls *tls)
{
    if (tls->ssl) {
        /* Otherwise OpenSSL takes the session for a bad one and it is never resumed. */
        SSL_set_shutdown(tls->ssl, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
        SSL_free(tls->ssl);
    }
    if (tls->under)
        weft__tls_free(tls->under);   /* it has none under it */
    if (tls->own)
        weft__tls_own_free(tls);
    weft__sys_free(tls);
}

/* ---- the handshake ---- */

/* The port that the socket is connected to. */
static uint16_t tls_peer_port(const struct weft__tls *tls)
{
    struct weft__saddr peer = {0};
    (void)weft__sock_name(tls->f->fd, true, &peer);
    return peer.u.sa.sa_family == AF_UNIX ? 0 : ntohs(peer.u.in4.sin_port); /* one place in both families */
}

/* What the certificate must say, SNI, and the session to resume. port 0: the peer's. */
static weft_err tls_aim(struct weft__tls *tls, const struct weft_tls_config *c, uint16_t port)
{
    char name[TLS_NAME_MAX];
    weft_addr literal;
    size_t n = c->server_name ? strlen(c->server_name) : 0;
    if (n == 0)
        return c->insecure ? 0 : WEFT_EINVAL;
    if (n >= sizeof name)
        return WEFT_EADDR;
    memcpy(name, c->server_name, n + 1);
    if (name[n - 1] == '.')
        name[--n] = '\0';
    if (n == 0)
        return WEFT_EADDR;   /* OpenSSL would take no name for any name */
    X509_VERIFY_PARAM *p = SSL_get0_param(tls->ssl);
    X509_VERIFY_PARAM_set_hostflags(p, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    int ok;
    if (!weft__addr_literal(name, &literal))
        ok = X509_VERIFY_PARAM_set1_host(p, name, 0) && SSL_set_tlsext_host_name(tls->ssl, name);
    else if (literal.u.sa.sa_family == AF_INET)   /* without OpenSSL's sscanf */
        ok = X509_VERIFY_PARAM_set1_ip(p, (const unsigned char *)&literal.u.in4.sin_addr, sizeof literal.u.in4.sin_addr);
    else
        ok = X509_VERIFY_PARAM_set1_ip_asc(p, name);
    if (!ok)
        return WEFT_EADDR;
    snprintf(tls->key, n + TLS_KEY_MORE, "%s:%u", name, port ? port : tls_peer_port(tls)); /* room is there: tls_new */
    SSL_SESSION *s = weft__tls_session_get(SSL_get_SSL_CTX(tls->ssl), tls->key);
    if (s)
        SSL_set_session(tls->ssl, s);
    SSL_SESSION_free(s);
    return 0;
}

static struct weft__tls *tls_new(struct weft__fd *f, struct weft__tls *under, SSL_CTX *ctx, const char *name)
{
    struct weft__tls *tls = weft__sys_alloc(sizeof *tls + (name ? strlen(name) : 0) + TLS_KEY_MORE);
    if (!tls)
        return NULL;
    tls->f = f;
    tls->under = under;
    tls->ssl = SSL_new(ctx);
    BIO *bio = tls->ssl ? weft__tls_bio(tls) : NULL;
    if (!bio) {
        tls->under = NULL;
        weft__tls_free(tls);
        return NULL;
    }
    SSL_set_bio(tls->ssl, bio, bio);
    weft__tls_link(tls->ssl, tls);
    return tls;
}

static WEFT_PARKS weft_err tls_shake_hands(weft_ctx *ctx, weft_conn *conn, struct weft__tls *tls)
{
    weft_err err = weft__pd_check(tls->f->pd, WEFT__DIR_READ);
    while (!err) {
        tls_errors_forget();
        int r = tls_outcome(conn, tls, SSL_do_handshake(tls->ssl));
        if (r == TLS_DONE)
            return 0;
        err = r == 0 ? WEFT_EEOF : r < 0 ? r : weft__tls_wait(ctx, tls, r);
    }
    return err;
}

/* Between enter and leave of both directions. */
static WEFT_PARKS weft_err tls_start(weft_ctx *ctx, weft_conn *conn, const struct weft_tls_config *c, bool server, uint16_t port)
{
    struct weft__tls_fail fail = {0};
    struct weft__tls *under = conn->tls;
    if ((under && (under->under || !port)) || conn->datagram)   /* a session inside of one: for who reaches through a proxy */
        return WEFT_EINVAL;
    SSL_CTX *shared = weft__tls_shared_get(c, server, &fail);
    if (!shared) {
        weft__tls_say(conn, fail.text);
        return fail.err;
    }
    struct weft__tls *tls = tls_new(&conn->f, under, shared, server ? NULL : c->server_name);
    SSL_CTX_free(shared);
    if (!tls)
        return WEFT_ENOMEM;
    weft_err err = 0;
    if (server) {
        SSL_set_accept_state(tls->ssl);
    } else {
        SSL_set_connect_state(tls->ssl);
        tls->talks = port != 0;
        if ((err = tls_aim(tls, c, port)) != 0)
            weft__tls_say(conn, "server_name is missing or malformed");
    }
    if (!err)
        err = tls_shake_hands(ctx, conn, tls);
    if (err) {
        conn->http = tls->http;
        tls->under = NULL;   /* still the connection's */
        weft__tls_free(tls);
        return err;
    }
    conn->tls = tls; /* N2 */
    return 0;
}

static WEFT_PARKS weft_err tls_wrap(weft_ctx *ctx, weft_conn *conn, const struct weft_tls_config *config, bool server,
                                    uint16_t port, weft_conn **ret_conn)
{
    static const struct weft_tls_config plain;
    weft_err err = ctx ? weft_ctx_err(ctx) : 0;
    if (!err)
        err = weft__fd_enter(&conn->f, WEFT__FD_READING | WEFT__FD_WRITING);
    if (err)
        return err;
    err = tls_start(ctx, conn, config ? config : &plain, server, port);
    weft__fd_leave(&conn->f, WEFT__FD_READING | WEFT__FD_WRITING);
    if (!err)
        *ret_conn = conn;
    return err;
}

weft_err weft_tls_client(weft_ctx *ctx, weft_conn *conn, const struct weft_tls_config *config, weft_conn **ret_conn)
{
    return tls_wrap(ctx, conn, config, false, 0, ret_conn);
}

weft_err weft__tls_client_to(weft_ctx *ctx, weft_conn *conn, const struct weft_tls_config *config, uint16_t port, weft_conn **ret_conn)
{
    return tls_wrap(ctx, conn, config, false, port, ret_conn);
}

weft_err weft_tls_server(weft_ctx *ctx, weft_conn *conn, const struct weft_tls_config *config, weft_conn **ret_conn)
{
    return tls_wrap(ctx, conn, config, true, 0, ret_conn);
}

/* ---- asking about it ---- */

const char *weft_tls_error(const weft_conn *conn)
{
    return conn->tls_error ? conn->tls_error : "";
}

/* Was the peer's certificate judged at all? */
static bool tls_judged(const SSL *ssl)
{
    return SSL_get_verify_mode(ssl) != SSL_VERIFY_NONE && !SSL_get_verify_callback(ssl); /* only those that take any have one */
}

weft_err weft_tls_state_get(weft_conn *conn, struct weft_tls_state *ret_state)
{
    const unsigned char *alpn;
    unsigned n;
    struct weft__tls *tls = conn->tls;
    if (!tls)
        return WEFT_EINVAL;
    weft_mutex_lock(&tls->lock);
    if (tls->own) {
        weft__tls_own_state(tls, ret_state);
        weft_mutex_unlock(&tls->lock);
        return 0;
    }
    X509 *cert = SSL_get0_peer_certificate(tls->ssl);
    const char *asked = SSL_is_server(tls->ssl) ? SSL_get_servername(tls->ssl, TLSEXT_NAMETYPE_host_name) : NULL;
    *ret_state = (struct weft_tls_state){.version = SSL_version(tls->ssl),
                                         .resumed = SSL_session_reused(tls->ssl),
                                         .peer_cert = cert,
                                         .peer_verified = cert && tls_judged(tls->ssl) && SSL_get_verify_result(tls->ssl) == X509_V_OK,
                                         .cipher = SSL_get_cipher_name(tls->ssl),
                                         .server_name = asked};
    SSL_get0_alpn_selected(tls->ssl, &alpn, &n);
    if (n && n < sizeof ret_state->alpn)
        memcpy(ret_state->alpn, alpn, n);
    weft_mutex_unlock(&tls->lock);
    return 0;
}

/* The peer's certificate, the session's; NULL: none. Under the lock. */
static X509 *tls_peer(const struct weft__tls *tls)
{
    return tls->own ? weft__tls_own_cert(tls) : SSL_get0_peer_certificate(tls->ssl);
}

int weft_tls_peer_subject(weft_conn *conn, char *ret_buf, size_t n)
{
    struct weft__tls *tls = conn->tls;
    char *text = NULL;
    if (!tls)
        return WEFT_EINVAL;
    weft_mutex_lock(&tls->lock);
    X509 *cert = tls_peer(tls);
    BIO *b = cert ? BIO_new(BIO_s_mem()) : NULL;
    long len = b && X509_NAME_print_ex(b, X509_get_subject_name(cert), 0, XN_FLAG_RFC2253) >= 0 ? BIO_get_mem_data(b, &text) : 0;
    int whole = n ? snprintf(ret_buf, n, "%.*s", (int)len, text ? text : "") : (int)len;
    BIO_free(b);
    ERR_clear_error();
    weft_mutex_unlock(&tls->lock);
    return whole;
}

ssize_t weft_tls_peer_cert(weft_conn *conn, void *ret_der, size_t n)
{
    struct weft__tls *tls = conn->tls;
    unsigned char *der = NULL;
    if (!tls)
        return WEFT_EINVAL;
    weft_mutex_lock(&tls->lock);
    X509 *cert = tls_peer(tls);
    int len = cert ? i2d_X509(cert, &der) : 0;
    ERR_clear_error();
    weft_mutex_unlock(&tls->lock);
    if (len > 0 && (size_t)len <= n)
        memcpy(ret_der, der, (size_t)len);
    OPENSSL_free(der);
    return len < 0 ? WEFT_ENOMEM : len;
}
