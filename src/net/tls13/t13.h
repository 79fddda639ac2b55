/*
 * t13.h - a TLS 1.3 client of the fetch path's own: what its parts share.
 *
 * The protocol (t13_shake.c and what it is made of) knows no socket: bytes of the peer go in, bytes for it come out. What it
 * does not know ends in WEFT__T13_OTHER, and the connection is made anew by OpenSSL (tls_conn.c), which decides whether the
 * server is to be talked to at all. docs/adr/0016-own-tls13-client.md.
 */
#ifndef WEFT_NET_TLS13_T13_H
#define WEFT_NET_TLS13_T13_H
#include <openssl/core_dispatch.h>
#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <weft/time.h>

#include "../tls/tls_int.h"

enum {
    WEFT__T13_HASH_MAX = 48,
    WEFT__T13_RANDOM = 32,
    WEFT__T13_SHARE = 32,                       /* X25519, both halves and what is agreed */
    WEFT__T13_IV = 12,
    WEFT__T13_TAG = 16,
    WEFT__T13_HEAD = 5,                         /* of a record */
    WEFT__T13_PLAIN_MAX = 16384,                /* of a record, without its type */
    WEFT__T13_BODY_MAX = WEFT__T13_PLAIN_MAX + 256,
    WEFT__T13_OVER = WEFT__T13_HEAD + 1 + WEFT__T13_TAG,   /* what a record has beside its bytes, as we write it */
    WEFT__T13_NAME_MAX = 256,
};
/* Kinds of records and of handshake messages, alerts: RFC 8446 B.1, B.2, B.3. */
enum { T13_CCS = 20, T13_ALERT = 21, T13_HANDSHAKE = 22, T13_DATA = 23 };
enum { T13_HELLO = 1, T13_SERVER_HELLO = 2, T13_TICKET = 4, T13_ENCRYPTED = 8, T13_CERTIFICATE = 11, T13_VERIFY = 15, T13_FINISHED = 20,
       T13_UPDATE = 24 };
enum { T13_A_CLOSE = 0, T13_A_UNEXPECTED = 10, T13_A_BAD_MAC = 20, T13_A_OVERFLOW = 22, T13_A_ILLEGAL = 47, T13_A_DECODE = 50,
       T13_A_INTERNAL = 80, T13_A_CANCELED = 90 };

/* What a step led to. */
enum weft__t13_is {
    WEFT__T13_ENDED = 0,     /* the peer has said goodbye */
    WEFT__T13_DONE = 1,
    WEFT__T13_MORE = 2,      /* more bytes of the peer's are needed */
    WEFT__T13_OTHER = 4,     /* in a handshake: not for this client */
    WEFT__T13_BROKEN = 5,    /* after it: t->alert is to be sent, t->words say why */
};

/* Bytes in a buffer that grows: those from `from` to `to` count. */
struct weft__t13_bytes {
    unsigned char *at;       /* malloc'ed; NULL: none */
    size_t from, to, room;
};
/* Room for n more behind `to`; false: no memory. */
bool weft__t13_room(struct weft__t13_bytes *b, size_t n);
bool weft__t13_add(struct weft__t13_bytes *b, const void *from, size_t n);
/* Empty and without memory; what was there is cleansed where secret. */
void weft__t13_drop(struct weft__t13_bytes *b, bool secret);

/* ---- t13_keys.c ---- */

struct weft__t13_suite {
    uint16_t id;
    bool big;                /* SHA-384, else SHA-256 */
    uint8_t key;             /* bytes of the cipher's key */
    const char *cipher, *name;   /* OpenSSL's names, of the cipher and of the suite */
};
enum { WEFT__T13_SUITES = 3 };
extern const struct weft__t13_suite weft__t13_suites[WEFT__T13_SUITES];

static inline size_t weft__t13_hash_len(bool big)
{
    return big ? 48 : 32;
}

/* A running hash of the handshake. */
struct weft__t13_hash {
    bool big;
    union {
        SHA256_CTX small;
        SHA512_CTX large;
    } u;
};
void weft__t13_hash_begin(struct weft__t13_hash *h, bool big);
void weft__t13_hash_add(struct weft__t13_hash *h, const void *at, size_t n);
void weft__t13_hash_now(const struct weft__t13_hash *h, unsigned char *ret); /* h goes on */

/* Derive-Secret and HKDF-Expand-Label, RFC 8446 7.1: n bytes for a label and data (a hash, or nothing). */
void weft__t13_derive(bool big, const unsigned char *secret, const char *label, const unsigned char *data, size_t data_n,
                      unsigned char *ret, size_t n);
/* The next secret of the schedule; before NULL: the first one; fresh NULL: zeros. */
void weft__t13_next(bool big, const unsigned char *before, const unsigned char *fresh, size_t n, unsigned char *ret);
/* The verify_data of a Finished, and a binder: HMAC of a hash by a secret's finished key. */
void weft__t13_finished(bool big, const unsigned char *secret, const unsigned char *hash, unsigned char *ret);

/* X25519: a new pair, and what it shares with the peer's half. False: no entropy, or what is shared would be 0. */
bool weft__t13_pair(unsigned char *ret_secret, unsigned char *ret_public);
bool weft__t13_agree(const unsigned char *secret, const unsigned char *public, const unsigned char *theirs, unsigned char *ret);

/* ---- t13_record.c: one direction's protection ---- */

/* A cipher of OpenSSL's by the functions that EVP would call: a record is five calls of them and nothing else. */
struct weft__t13_cipher {
    void *provider;                              /* all [const] */
    OSSL_FUNC_cipher_newctx_fn *new;
    OSSL_FUNC_cipher_freectx_fn *free;
    OSSL_FUNC_cipher_encrypt_init_fn *seal;
    OSSL_FUNC_cipher_decrypt_init_fn *open;
    OSSL_FUNC_cipher_update_fn *update;
    OSSL_FUNC_cipher_final_fn *final;
    OSSL_FUNC_cipher_get_ctx_params_fn *get;
    OSSL_FUNC_cipher_set_ctx_params_fn *set;
};
/* The one of a suite; false: not all of it is there. After weft__tls_lean. */
bool weft__t13_cipher(const struct weft__t13_suite *s, struct weft__t13_cipher *ret);

struct weft__t13_way {
    const struct weft__t13_cipher *cipher;       /* NULL: no keys yet */
    void *keyed;             /* its context */
    uint64_t seq;            /* of the next record */
    unsigned char iv[WEFT__T13_IV];
    unsigned char secret[WEFT__T13_HASH_MAX];
};
/* Keys from a traffic secret; those before are gone. False: no memory. */
bool weft__t13_way_set(struct weft__t13_way *w, const struct weft__t13_suite *s, const struct weft__t13_cipher *cipher,
                       const unsigned char *secret, bool out);
/* The next generation of keys (RFC 8446 7.2). */
bool weft__t13_way_turn(struct weft__t13_way *w, const struct weft__t13_suite *s, const struct weft__t13_cipher *cipher, bool out);
void weft__t13_way_drop(struct weft__t13_way *w);
/* A record of n bytes, at most PLAIN_MAX: its length, n + OVER, or 0. */
size_t weft__t13_seal(struct weft__t13_way *w, int type, const void *in, size_t n, unsigned char *ret);
/* A whole protected record: bytes without padding in ret, which has room for its body less the tag and may be its own body.
 * 0, or the alert that it deserves. */
int weft__t13_open(struct weft__t13_way *w, const unsigned char *record, size_t body, unsigned char *ret, size_t *ret_n, int *ret_type);

/* ---- t13_hosts.c: what is known of servers, by "name:port"; one table for each SSL_CTX of clients ---- */

/* A ticket of a server, with what it stands for. */
struct weft__t13_ticket {
    _Atomic uint32_t refs;
    const struct weft__t13_suite *suite;
    unsigned char psk[WEFT__T13_HASH_MAX];
    uint32_t age_add;
    weft_time came, until;
    struct weft__tls_dates dates;    /* of the certificate: T3 */
    X509 *cert;                      /* a reference; NULL: none was kept */
    bool verified;
    size_t n;
    unsigned char bytes[];
};
/* A server's certificate that was found good, T9. */
struct weft__t13_cert {
    unsigned char digest[32];        /* of the Certificate message */
    weft_time until;                 /* 0: none */
    struct weft__tls_dates dates;    /* of the whole chain */
    struct weft__tls_dates leaf;
    X509 *cert;                      /* references */
    EVP_PKEY *key;
};
struct weft__t13_hosts;
struct weft__t13_hosts *weft__t13_hosts_new(void);
void weft__t13_hosts_free(struct weft__t13_hosts *h);
/* A ticket that may be used, with a reference; NULL: none. insecure: nobody looks at dates. */
struct weft__t13_ticket *weft__t13_ticket_get(struct weft__t13_hosts *h, const char *key, bool insecure);
void weft__t13_ticket_put(struct weft__t13_hosts *h, const char *key, struct weft__t13_ticket *t);   /* takes the reference */
void weft__t13_ticket_unref(struct weft__t13_ticket *t);
/* The certificate whose message has this digest, with references, where it still stands for itself. */
bool weft__t13_cert_get(struct weft__t13_hosts *h, const char *key, const unsigned char *digest, struct weft__t13_cert *ret);
void weft__t13_cert_put(struct weft__t13_hosts *h, const char *key, const struct weft__t13_cert *c);  /* takes references of its own */
/* For ten minutes this server is OpenSSL's; is it? */
void weft__t13_refuse(struct weft__t13_hosts *h, const char *key);
bool weft__t13_refused(struct weft__t13_hosts *h, const char *key);

/* ---- t13_lists.c: what OpenSSL itself offers under an SSL_CTX's settings ---- */

struct weft__t13_shared {
    OSSL_LIB_CTX *library;                            /* all [const] */
    struct weft__t13_cipher cipher[WEFT__T13_SUITES]; /* as in weft__t13_suites */
    uint8_t order[WEFT__T13_SUITES], order_len;       /* suites offered, best first */
    uint16_t groups_len, sigs_len;
    unsigned char groups[64], sigs[128];              /* the extensions' content, with their length */
    struct weft__t13_hosts *hosts;
    bool sessions;                                    /* are kept */
};
/* For an SSL_CTX of clients; NULL: this client does not fit its settings. */
struct weft__t13_shared *weft__t13_shared_new(SSL_CTX *ctx, OSSL_LIB_CTX *library, bool sessions);
void weft__t13_shared_free(struct weft__t13_shared *s);

/* ---- t13_shake.c ---- */

struct weft__t13_shake;

/* A connection. Whoever calls sees to it that one call is inside at a time. */
struct weft__t13 {
    const struct weft__t13_suite *suite;   /* NULL until the server has chosen */
    struct weft__t13_way in, out;
    struct weft__t13_shake *shake;         /* until the handshake is done */
    struct weft__t13_bytes raw;            /* of the peer's, not looked at yet */
    struct weft__t13_bytes plain;          /* bytes that came and were not asked for yet */
    struct weft__t13_bytes part;           /* of a handshake message that came in pieces */
    struct weft__t13_bytes send;           /* for the peer, sealed */
    size_t owed;                           /* of the writer's bytes in send: told when all of it is sent */
    SSL_CTX *ctx;                          /* a reference: what the next two hang on */
    struct weft__tls_extra *extra;
    struct weft__t13_shared *shared;
    X509 *cert;                            /* a reference */
    struct weft__tls_dates dates;
    bool verified, resumed, insecure;
    bool bye, said_bye;                    /* close_notify: the peer's, ours */
    int alert;                             /* broken: what is to be told, -1: nothing (the peer told us) */
    const char *words;                     /* broken: why */
    uint32_t idle;                         /* records in a row that brought no bytes */
    char alpn[32];
    unsigned char res[WEFT__T13_HASH_MAX]; /* the resumption secret */
    char *name;                            /* server_name within key; NULL: it is an address */
    char key[];                            /* "name:port" */
};

/* A connection to name and port; its hello is in send. ctx and extra are those of tls_make.c. NULL: the server is refused, or
 * memory or entropy are short. insecure: any certificate is good. */
struct weft__t13 *weft__t13_new(SSL_CTX *ctx, struct weft__tls_extra *extra, const char *name, uint16_t port, bool insecure);
void weft__t13_free(struct weft__t13 *t);
/* Go on with the handshake by what is in raw: MORE, DONE (the client's last words are in send) or OTHER. */
enum weft__t13_is weft__t13_shake(struct weft__t13 *t);

/* ---- t13_data.c: after the handshake ---- */

/* Bytes that came, at most n: DONE, ENDED, MORE or BROKEN. raw is used. */
enum weft__t13_is weft__t13_read(struct weft__t13 *t, void *ret_buf, size_t n, size_t *ret_got);
/* Is there a whole record in raw, or bytes in plain? */
bool weft__t13_pending(const struct weft__t13 *t);
/* Seal up to one record's bytes into send, which owes them then. False: no memory. */
bool weft__t13_write(struct weft__t13 *t, const void *buf, size_t n);
/* An alert into send. */
void weft__t13_alert(struct weft__t13 *t, int level, int what);
/* A NewSessionTicket or KeyUpdate of n bytes, its head included: 0 or the alert that it deserves. */
int weft__t13_after(struct weft__t13 *t, const unsigned char *message, size_t n);

/* ---- t13_hello.c, t13_auth.c: messages of the handshake; see there ---- */

/* Reads big-endian fields off a message; bad once something was missing. */
struct weft__t13_in {
    const unsigned char *at;
    size_t n;
    bool bad;
};
uint32_t weft__t13_int(struct weft__t13_in *in, int bytes);
struct weft__t13_in weft__t13_cut(struct weft__t13_in *in, size_t n);        /* the next n bytes */
struct weft__t13_in weft__t13_list(struct weft__t13_in *in, int bytes);      /* a length of so many bytes, and that much */

struct weft__t13_shake {
    int expect;                            /* the message that must come next */
    struct weft__t13_ticket *ticket;       /* offered; a reference */
    struct weft__t13_bytes hello;          /* ours, until the hash is known */
    struct weft__t13_hash hash;            /* of all messages, once the suite is known */
    unsigned char random[WEFT__T13_RANDOM], session[WEFT__T13_RANDOM];
    unsigned char mine[WEFT__T13_SHARE], share[WEFT__T13_SHARE];   /* X25519: secret and public half */
    unsigned char secret[WEFT__T13_HASH_MAX];                      /* of the schedule, as far as it is */
    unsigned char client[WEFT__T13_HASH_MAX], server[WEFT__T13_HASH_MAX];  /* handshake traffic */
    EVP_PKEY *key;                         /* the server's; a reference */
};
/* The ClientHello, with t->shake's ticket if there is one, into shake->hello. */
bool weft__t13_hello(struct weft__t13 *t);
/* Messages of the server, without their heads. False: not one for this client. */
bool weft__t13_server_hello(struct weft__t13 *t, struct weft__t13_in in, unsigned char *ret_shared);
bool weft__t13_encrypted(struct weft__t13 *t, struct weft__t13_in in);
bool weft__t13_certificate(struct weft__t13 *t, struct weft__t13_in in);
bool weft__t13_verify(struct weft__t13 *t, struct weft__t13_in in, const unsigned char *hash);

#endif
