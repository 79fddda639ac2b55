/*
 * tls_bio.c - the socket as OpenSSL sees it: recv and send that say "again" instead of waiting.
 *
 * Role    SSL_read and its kin call these; on "again" they return WANT_READ or WANT_WRITE and tls_conn.c parks, outside of
 *         OpenSSL. No SIGPIPE (OpenSSL's own socket BIO uses write(2), which raises it). Layer 4.
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

static int tls_bio_write(BIO *b, const char *buf, int n)
{
    struct weft__tls *tls = BIO_get_data(b);
    BIO_clear_retry_flags(b);
    ssize_t put = weft__sock_send(tls->f->fd, buf, (size_t)n);
    if (put == -EAGAIN)
        BIO_set_retry_write(b);
    else if (put < 0)
        tls->io_error = (weft_err)put;
    return (int)(put < 0 ? -1 : put);
}

static long tls_bio_ctrl(BIO *b, int cmd, long num, void *ptr)
{
    struct weft__tls *tls = BIO_get_data(b);
    (void)num;
    (void)ptr;
    if (cmd == BIO_CTRL_EOF)
        return tls->ended;
    return cmd == BIO_CTRL_FLUSH;
}

/* The method is made once; two threads that come first together make two, and one is freed. */
BIO *weft__tls_bio(struct weft__tls *tls)
{
    static BIO_METHOD *_Atomic method; /* T1: release here -> acquire here: carries its functions */
    BIO_METHOD *m = atomic_load_explicit(&method, memory_order_acquire), *none = NULL; /* T1 */
    if (!m) {
        m = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "weft");
        if (!m)
            return NULL;
        BIO_meth_set_read(m, tls_bio_read);
        BIO_meth_set_write(m, tls_bio_write);
        BIO_meth_set_ctrl(m, tls_bio_ctrl);
        if (!atomic_compare_exchange_strong_explicit(&method, &none, m, memory_order_acq_rel, memory_order_acquire)) { /* T1 */
            BIO_meth_free(m);
            m = none;
        }
    }
    BIO *b = BIO_new(m);
    if (b) {
        BIO_set_data(b, tls);
        BIO_set_init(b, 1);
    }
    return b;
}
