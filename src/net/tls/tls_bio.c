/*
 * tls_bio.c - the socket as OpenSSL sees it: recv and send that say "again" instead of waiting.
 *
 * Role    SSL_read and its kin call these; on "again" they return WANT_READ or WANT_WRITE and tls_conn.c parks, outside of
 *         OpenSSL. No SIGPIPE (OpenSSL's own socket BIO uses write(2), which raises it). Layer 4.
 *
 * TLS inside of TLS, to a server behind a proxy that is itself spoken to over TLS: the inner session's BIO reads and writes the
 * outer session, which has a BIO for the socket.
 *   T11 A session that carries another one is used by that one's BIO only, so under the inner one's lock.
 *
 * A read that is known to be in vain (weft__fd.drained, F3 in fd.c) says "again" without a system call.
 * Failure the socket's error is kept in tls->io_error, as -errno.
 */
#include "tls_int.h"

static int tls_bio_read(BIO *b, char *ret_buf, int n)
{
    struct weft__tls *tls = BIO_get_data(b);
    struct weft__fd *f = tls->f;
    BIO_clear_retry_flags(b);
    if (f->drained && !weft__pd_ended(f->pd)) {
        BIO_set_retry_read(b);
        return -1;
    }
    ssize_t got = weft__fd_recv(f, ret_buf, (size_t)n);
    f->drained = f->tcp && ((got > 0 && got < n) || got == -EAGAIN); /* F3 */
    if (got == -EAGAIN) {
        BIO_set_retry_read(b);
        return -1;
    }
    if (got < 0)
        tls->io_error = (weft_err)got;
    tls->ended = got == 0;
    return (int)(got < 0 ? -1 : got);
}

/* Does something follow what is written now? The first request the client's Finished, the end of the stream its farewell: each
 * goes into one segment with it. Not a server's farewell: a client has often sent what is not read any more, and a close with
 * bytes unread drops what waits to be sent; without that word its answer looks cut off. */
static bool tls_bio_more(const struct weft__tls *tls)
{
    return (tls->leaving && !SSL_is_server(tls->ssl)) ||
           (tls->talks && SSL_get_state(tls->ssl) == TLS_ST_CW_FINISHED && SSL_version(tls->ssl) == TLS1_3_VERSION);
}

static int tls_bio_write(BIO *b, const char *buf, int n)
{
    struct weft__tls *tls = BIO_get_data(b);
    BIO_clear_retry_flags(b);
    ssize_t put = tls_bio_more(tls) ? weft__sock_send_more(tls->f->fd, buf, (size_t)n) : weft__sock_send(tls->f->fd, buf, (size_t)n);
    if (put == -EAGAIN)
        BIO_set_retry_write(b);
    else if (put < 0)
        tls->io_error = (weft_err)put;
    return (int)(put < 0 ? -1 : put);
}

/* ---- TLS inside of TLS, T11 ---- */

/* What a call on the outer session led to, which is r < 1: what the BIO returns. */
static int tls_bio_under(BIO *b, struct weft__tls *tls, int r)
{
    struct weft__tls *under = tls->under;
    switch (SSL_get_error(under->ssl, r)) {
    case SSL_ERROR_WANT_READ: BIO_set_retry_read(b); return -1;
    case SSL_ERROR_WANT_WRITE: BIO_set_retry_write(b); return -1;
    case SSL_ERROR_ZERO_RETURN: tls->ended = true; return 0;
    default: break;
    }
    under->broken = true;
    tls->ended = under->ended;
    tls->io_error = under->io_error ? under->io_error : WEFT_ETLS;
    return -1;
}

static int tls_bio_read_under(BIO *b, char *ret_buf, int n)
{
    struct weft__tls *tls = BIO_get_data(b);
    size_t got = 0;
    BIO_clear_retry_flags(b);
    if (tls->under->broken)
        return -1;
    int r = SSL_read_ex(tls->under->ssl, ret_buf, (size_t)n, &got);
    return r == 1 ? (int)got : tls_bio_under(b, tls, r);
}

static int tls_bio_write_under(BIO *b, const char *buf, int n)
{
    struct weft__tls *tls = BIO_get_data(b);
    size_t put = 0;
    BIO_clear_retry_flags(b);
    if (tls->under->broken)
        return -1;
    int r = SSL_write_ex(tls->under->ssl, buf, (size_t)n, &put);
    return r == 1 ? (int)put : tls_bio_under(b, tls, r);
}

/* ---- making them ---- */

static long tls_bio_ctrl(BIO *b, int cmd, long num, void *ptr)
{
    struct weft__tls *tls = BIO_get_data(b);
    (void)num;
    (void)ptr;
    if (cmd == BIO_CTRL_EOF)
        return tls->ended;
    return cmd == BIO_CTRL_FLUSH;
}

/* Made once; two threads that come first together make two, and one is freed. */
static BIO_METHOD *tls_bio_method(bool inner)
{
    static BIO_METHOD *_Atomic methods[2]; /* T1: release here -> acquire here: carries its functions */
    BIO_METHOD *_Atomic *at = &methods[inner];
    BIO_METHOD *m = atomic_load_explicit(at, memory_order_acquire), *none = NULL; /* T1 */
    if (m || !(m = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "weft")))
        return m;
    BIO_meth_set_read(m, inner ? tls_bio_read_under : tls_bio_read);
    BIO_meth_set_write(m, inner ? tls_bio_write_under : tls_bio_write);
    BIO_meth_set_ctrl(m, tls_bio_ctrl);
    if (!atomic_compare_exchange_strong_explicit(at, &none, m, memory_order_acq_rel, memory_order_acquire)) { /* T1 */
        BIO_meth_free(m);
        m = none;
    }
    return m;
}

BIO *weft__tls_bio(struct weft__tls *tls)
{
    BIO_METHOD *m = tls_bio_method(tls->under != NULL);
    BIO *b = m ? BIO_new(m) : NULL;
    if (b) {
        BIO_set_data(b, tls);
        BIO_set_init(b, 1);
    }
    return b;
}
