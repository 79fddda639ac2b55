/*
 * tls_int.h - TLS inside: a connection's half (tls_conn.c), what connections share (tls_shared.c and what it is made of).
 */
#ifndef WEFT_NET_TLS_TLS_INT_H
#define WEFT_NET_TLS_TLS_INT_H
#include <openssl/ssl.h>
#include <weft/sync.h>
#include <weft/tls.h>

#include "../conn_int.h"

struct weft__t13;

/* What a call on a session led to: 1 done, 0 the peer's stream ended in good order, TLS_WANT_*: wait, or an error. */
enum { TLS_DONE = 1, TLS_WANT_READ = 2, TLS_WANT_WRITE = 3 };

struct weft__tls {
    weft_mutex lock;          /* guards ssl: a reader and a writer may be inside at once */
    SSL *ssl;                 /* [lock] NULL where own is there */
    struct weft__t13 *own;    /* [lock] a connection of our own client (tls13/); NULL: of OpenSSL's */
    struct weft__fd *f;       /* [const] the socket under it */
    struct weft__tls *under;  /* [const] T11: the session that carries this one's bytes; NULL: the socket does */
    weft_err io_error;        /* [lock] what the socket said when it failed, -errno */
    bool ended;               /* [lock] the peer's stream ended */
    bool broken;              /* [lock] a fatal error: OpenSSL wants no further call */
    bool starved;             /* [lock] what OpenSSL has read and not used is less than a record */
    bool talks;               /* [const] client: whoever asked for the handshake writes as soon as it is done */
    bool leaving;             /* [lock] what is written now is followed by the close */
    bool http;                /* [lock] the peer spoke HTTP instead of TLS */
    char key[];               /* [const] client: "name:port" under which the session is kept; "" for none */
};

/* Words and code of a failure: from OpenSSL's queue, which is the thread's, so between the call that failed and any park. */
struct weft__tls_fail {
    weft_err err;
    char text[200];
};
void weft__tls_queue_text(char *ret, size_t n);

/* What belongs to an SSL_CTX of ours, in its ex_data. */
struct weft__tls_extra {
    struct weft__tls_sessions *sessions; /* [const] client: sessions to resume; NULL: none are kept */
    struct weft__tls_seen *seen;         /* [const] client: chains that were verified */
    struct weft__t13_shared *own;        /* [const] client: what our own TLS 1.3 needs; NULL: it does not fit the settings */
    struct weft__tls_tickets *tickets;   /* [const] server: the keys of its tickets, a reference */
    SSL_CTX **more;                      /* [const] server: certificates of other names, a reference each */
    int more_len;                        /* [const] */
    unsigned alpn_len;                   /* [const] in wire form */
    unsigned char alpn[128];             /* [const] */
};
struct weft__tls_extra *weft__tls_extra_of(SSL_CTX *ctx);

/* tls_shared.c: the SSL_CTX for a config, with a reference for the caller; made at first use. Fills fail on error. */
WEFT_PARKS SSL_CTX *weft__tls_shared_get(const struct weft_tls_config *c, bool server, struct weft__tls_fail *fail);
/* Links an SSL to its weft__tls for the callbacks, and back. */
void weft__tls_link(SSL *ssl, struct weft__tls *tls);
struct weft__tls *weft__tls_of(SSL *ssl);

/* tls_make.c: an SSL_CTX for a config, which reads files; x becomes its ex_data at place index. NULL: fail says why. On a
 * server x->tickets may be set, or is made. */
SSL_CTX *weft__tls_make(const struct weft_tls_config *c, bool server, int index, struct weft__tls_extra *x,
                        struct weft__tls_fail *fail);
/* What is wrong with a config before anything is tried, in itself and with its files: 0, or fail->err. */
weft_err weft__tls_config_bad(const struct weft_tls_config *c, bool server, struct weft__tls_fail *fail);
weft_err weft__tls_files_bad(const struct weft_tls_config *c, struct weft__tls_fail *fail);

/* tls_session.c: the table of an SSL_CTX; a session for a key with a reference, or NULL; sessions that come are put in. */
struct weft__tls_sessions *weft__tls_sessions_new(void);
void weft__tls_sessions_free(struct weft__tls_sessions *s);
SSL_SESSION *weft__tls_session_get(SSL_CTX *ctx, const char *key);
int weft__tls_session_new(SSL *ssl, SSL_SESSION *session);

/* tls_seen.c: a table of chains that were found good; the callback of SSL_CTX_set_cert_verify_callback, arg the table. */
struct weft__tls_seen *weft__tls_seen_new(void);
void weft__tls_seen_free(struct weft__tls_seen *s);
int weft__tls_seen_verify(X509_STORE_CTX *v, void *seen);
/* A certificate's, as time(2) counts; to is not included. False: they are not dates. */
struct weft__tls_dates {
    time_t from, to;
};
bool weft__tls_dates_of(const X509 *cert, struct weft__tls_dates *ret);
/* T9: for how long a chain that was just verified stands for itself, by weft_now and by the dates in it. False: not at all. */
#define WEFT__TLS_SEEN (600 * WEFT_SEC)
bool weft__tls_chain_dates(X509_STORE_CTX *v, struct weft__tls_dates *ret);
time_t weft__tls_today(void);

/* tls_ticket.c: keys of a server's tickets. weft__tls_tickets_use has ctx take those of its ex_data. _turn: as if a day were
 * over, for tests. */
struct weft__tls_tickets *weft__tls_tickets_new(void);
struct weft__tls_tickets *weft__tls_tickets_ref(struct weft__tls_tickets *t);
void weft__tls_tickets_unref(struct weft__tls_tickets *t);
void weft__tls_tickets_use(SSL_CTX *ctx);
void weft__tls_tickets_turn(struct weft__tls_tickets *t);

/* tls_lean.c: OpenSSL's library context for clients; NULL: the process's own. Under shared.lock. */
OSSL_LIB_CTX *weft__tls_lean(void);
/* A cipher's functions as a provider has them, and what its newctx is given; NULL: there is none. After weft__tls_lean. */
const OSSL_DISPATCH *weft__tls_lean_cipher(const char *name, void **ret_provider);

/* tls_kdf.c: TLS13-KDF as a provider has it. */
extern const OSSL_DISPATCH weft__tls_kdf[];
/* The same for our own client: HKDF-Expand-Label, the schedule's next secret (before NULL: its first; fresh NULL: zeros), HMAC by a
 * key of the hash's length. big: SHA-384. False: too long. */
bool weft__tls_kdf_expand(bool big, const unsigned char *secret, const char *label, const unsigned char *data, size_t data_n,
                          unsigned char *ret, size_t n);
bool weft__tls_kdf_extract(bool big, const unsigned char *before, const unsigned char *fresh, size_t n, unsigned char *ret);
void weft__tls_kdf_hmac(bool big, const unsigned char *key, const unsigned char *data, size_t n, unsigned char *ret);

/* tls_x25519.c: functions of X25519 keys that make them faster; from OpenSSL's own, which they are where that is not known.
 * Sets *ret_kem to those that open a server's share, where it has them. */
const OSSL_DISPATCH *weft__tls_x25519(void *provider, const OSSL_DISPATCH *keys, const OSSL_DISPATCH *exchange,
                                      const OSSL_DISPATCH **ret_kem);
/* The same for our own client, 32 bytes each; may they be called? agree is false where the secret would be 0. */
bool weft__tls_x25519_there(void);
bool weft__tls_x25519_pair(unsigned char *ret_secret, unsigned char *ret_public);
bool weft__tls_x25519_agree(unsigned char *secret, unsigned char *public, unsigned char *theirs, unsigned char *ret);
/* A function of a list by its number; NULL: it is not there. */
void (*weft__tls_call(const OSSL_DISPATCH *d, int id))(void);

/* tls_eckey.c: a decoder of elliptic public keys that has P-256's curve ready; from OpenSSL's own, which it is where that is not
 * known. core: what a provider is given by OpenSSL. */
const OSSL_DISPATCH *weft__tls_eckey(void *provider, const OSSL_DISPATCH *core, const OSSL_DISPATCH *keys, const OSSL_DISPATCH *decoder);

/* tls_own.c: the same as SSL_read and its kin for a session of our own client; under tls->lock, they keep words. */
int weft__tls_own_read(weft_conn *conn, struct weft__tls *tls, void *ret_buf, size_t n, size_t *ret_got);
int weft__tls_own_write(weft_conn *conn, struct weft__tls *tls, const void *buf, size_t n, size_t *ret_put);
int weft__tls_own_close_write(weft_conn *conn, struct weft__tls *tls);
void weft__tls_own_farewell(struct weft__tls *tls);
bool weft__tls_own_pending(const struct weft__tls *tls);
void weft__tls_own_state(const struct weft__tls *tls, struct weft_tls_state *ret_state);
X509 *weft__tls_own_cert(const struct weft__tls *tls);
void weft__tls_own_free(struct weft__tls *tls);

/* tls_conn.c: keep words for weft_tls_error; wait as an outcome asks: 0 or an error. */
void weft__tls_say(weft_conn *conn, const char *text);
WEFT_PARKS weft_err weft__tls_wait(weft_ctx *ctx, struct weft__tls *tls, int outcome);

/* A BIO over a socket that never waits. NULL when memory is short. */
BIO *weft__tls_bio(struct weft__tls *tls);

#endif
