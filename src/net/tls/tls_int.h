/*
 * tls_int.h - TLS inside: a connection's half (tls_conn.c), what connections share (tls_shared.c).
 */
#ifndef WEFT_NET_TLS_TLS_INT_H
#define WEFT_NET_TLS_TLS_INT_H
#include <openssl/ssl.h>
#include <weft/sync.h>
#include <weft/tls.h>

#include "../conn_int.h"

struct weft__tls {
    weft_mutex lock;          /* guards ssl: a reader and a writer may be inside at once */
    SSL *ssl;                 /* [lock] */
    struct weft__fd *f;       /* [const] the socket under it */
    weft_err io_error;        /* [lock] what the socket said when it failed, -errno */
    bool ended;               /* [lock] the peer's stream ended */
    bool broken;              /* [lock] a fatal error: OpenSSL wants no further call */
    char key[264];            /* [const] "name:port" under which the session is kept; "" for none */
};

/* Words and code of a failure: from OpenSSL's queue, which is the thread's, so between the call that failed and any park. */
struct weft__tls_fail {
    weft_err err;
    char text[200];
};
void weft__tls_queue_text(char *ret, size_t n);

/* The SSL_CTX for a config, with a reference for the caller; made at first use. Fills fail on error. */
WEFT_PARKS SSL_CTX *weft__tls_shared_get(const struct weft_tls_config *c, bool server, struct weft__tls_fail *fail);
/* Session kept for a key: with a reference, or NULL. */
SSL_SESSION *weft__tls_session_get(SSL_CTX *ctx, const char *key);
/* Links an SSL to its weft__tls for the callbacks. */
void weft__tls_link(SSL *ssl, struct weft__tls *tls);
/* A BIO over a socket that never waits. NULL when memory is short. */
BIO *weft__tls_bio(struct weft__tls *tls);

#endif
