/*
 * t13_peer.h - a server of OpenSSL's in memory for our own TLS 1.3 client: bytes go from t->send to it, and from it to t->raw.
 */
#ifndef TESTS_T13_PEER_H
#define TESTS_T13_PEER_H
#include <openssl/err.h>
#include <openssl/ssl.h>

#include "../../src/net/tls13/t13.h"
#include "tls_site.h"

/* ---- certificates ---- */

enum kind { KIND_P256, KIND_P384, KIND_P521, KIND_RSA, KIND_PSS, KIND_ED25519, KIND_ED448 };

static EVP_PKEY *kind_key(enum kind kind)
{
    static const char *const curves[] = {"P-256", "P-384", "P-521"};
    EVP_PKEY *key = NULL;
    if (kind <= KIND_P521)
        key = EVP_EC_gen(curves[kind]);
    else if (kind == KIND_RSA)
        key = EVP_RSA_gen(2048);
    else if (kind != KIND_PSS)
        key = EVP_PKEY_Q_keygen(NULL, NULL, kind == KIND_ED25519 ? "ED25519" : "ED448");
    else {
        EVP_PKEY_CTX *c = EVP_PKEY_CTX_new_from_name(NULL, "RSA-PSS", NULL);
        REQUIRE(c && EVP_PKEY_keygen_init(c) == 1 && EVP_PKEY_generate(c, &key) == 1);
        EVP_PKEY_CTX_free(c);
    }
    REQUIRE(key != NULL);
    return key;
}

/* Who a server is. */
struct ident {
    X509 *cert, *middle;   /* middle NULL: the authority's own */
    EVP_PKEY *key;
};

/* Of c's authority, for good.test and 127.0.0.1. */
static struct ident ident_new(struct certs *c, enum kind kind)
{
    struct ident id = {.key = kind_key(kind)};
    id.cert = cert_new("good.test", id.key, c->ca_cert, c->ca_key, -86400, 86400, false);
    return id;
}

/* With an authority between. */
static struct ident ident_below(struct certs *c)
{
    struct ident id = {.key = kind_key(KIND_P256)};
    EVP_PKEY *key = kind_key(KIND_P384);
    id.middle = cert_new("an authority between", key, c->ca_cert, c->ca_key, -86400, 86400, true);
    id.cert = cert_new("good.test", id.key, id.middle, key, -86400, 86400, false);
    EVP_PKEY_free(key);
    return id;
}

static void ident_free(struct ident *id)
{
    X509_free(id->cert);
    X509_free(id->middle);
    EVP_PKEY_free(id->key);
}

/* ---- clients ---- */

/* An SSL_CTX as a config has it; ours to free. */
static SSL_CTX *client_ctx(const struct weft_tls_config *config)
{
    struct weft__tls_fail fail = {0};
    SSL_CTX *ctx = weft__tls_shared_get(config, false, &fail);
    REQUIRE(ctx && weft__tls_extra_of(ctx)->own);
    return ctx;
}

static struct weft__t13 *client_of(SSL_CTX *ctx, const char *name, bool insecure)
{
    struct weft__t13 *t = weft__t13_new(ctx, weft__tls_extra_of(ctx), name, 443, insecure);
    REQUIRE(t != NULL);
    return t;
}

static struct weft__t13_hosts *hosts_of(SSL_CTX *ctx)
{
    return weft__tls_extra_of(ctx)->own->hosts;
}

/* Is there a ticket for good.test? */
static bool has_ticket(SSL_CTX *ctx, bool insecure)
{
    struct weft__t13_ticket *k = weft__t13_ticket_get(hosts_of(ctx), "good.test:443", insecure);
    weft__t13_ticket_unref(k);
    return k != NULL;
}

/* ---- a server of OpenSSL's ---- */

static SSL_CTX *server_ctx(const struct ident *id)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
    REQUIRE(ctx && SSL_CTX_use_certificate(ctx, id->cert) == 1 && SSL_CTX_use_PrivateKey(ctx, id->key) == 1);
    if (id->middle)
        REQUIRE(SSL_CTX_add1_chain_cert(ctx, id->middle) == 1);
    return ctx;
}

struct wire {
    struct weft__t13 *t;
    SSL *s;
    BIO *in, *out;    /* the server's; s has them */
};

static struct wire wire_new(SSL_CTX *client, const char *name, bool insecure, SSL_CTX *server)
{
    struct wire w = {client_of(client, name, insecure), SSL_new(server), BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem())};
    REQUIRE(w.s && w.in && w.out);
    SSL_set_bio(w.s, w.in, w.out);
    SSL_set_accept_state(w.s);
    return w;
}

static void wire_free(struct wire *w)
{
    weft__t13_free(w->t);
    SSL_free(w->s);
    ERR_clear_error();
}

/* What the client has to send, to the server. */
static void wire_up(struct wire *w)
{
    struct weft__t13_bytes *b = &w->t->send;
    if (b->to > b->from)
        REQUIRE(BIO_write(w->in, b->at + b->from, (int)(b->to - b->from)) == (int)(b->to - b->from));
    weft__t13_drop(b, false);
    w->t->owed = 0;
}

/* What the server has said, at most n bytes: how many. */
static int wire_take(struct wire *w, unsigned char *ret, size_t n)
{
    int got = BIO_read(w->out, ret, (int)n);
    return got < 0 ? 0 : got;
}

/* The same, to the client. */
static bool wire_down(struct wire *w)
{
    static unsigned char buf[1 << 18];
    int n = wire_take(w, buf, sizeof buf);
    REQUIRE(weft__t13_add(&w->t->raw, buf, (size_t)n));
    return n > 0;
}

/* Shake hands as far as it goes; DONE is the server's too. */
static enum weft__t13_is wire_shake(struct wire *w)
{
    enum weft__t13_is is;
    do {
        wire_up(w);
        (void)SSL_do_handshake(w->s);
        bool more = wire_down(w);
        is = weft__t13_shake(w->t);
        if (!more)
            break;
    } while (is == WEFT__T13_MORE);
    if (is == WEFT__T13_DONE) {
        wire_up(w);
        EXPECT_EQ(SSL_do_handshake(w->s), 1);
    }
    ERR_clear_error();
    return is;
}

/* All that the client reads of what is there, until it wants more; bytes into ret. */
static enum weft__t13_is wire_read(struct wire *w, unsigned char *ret, size_t room, size_t step, size_t *ret_n)
{
    enum weft__t13_is is;
    size_t got;
    *ret_n = 0;
    (void)wire_down(w);
    while (*ret_n < room && (is = weft__t13_read(w->t, ret + *ret_n, step < room - *ret_n ? step : room - *ret_n, &got)) == WEFT__T13_DONE)
        *ret_n += got;
    return *ret_n < room ? is : WEFT__T13_DONE;
}

/* n bytes that differ from place to place. */
static unsigned char *some_bytes(size_t n)
{
    unsigned char *b = malloc(n + 1);
    REQUIRE(b != NULL);
    for (size_t i = 0; i < n; i++)
        b[i] = (unsigned char)(i * 7 + i / 251);
    return b;
}

/* From the server, read by step bytes, are they the same? */
static void expect_down(struct wire *w, size_t n, size_t step)
{
    unsigned char *sent = some_bytes(n), *got = malloc(n + 1);
    size_t len, done = 0;
    if (n)
        REQUIRE(SSL_write_ex(w->s, sent, n, &done) == 1 && done == n);
    EXPECT_EQ(wire_read(w, got, n + 1, step, &len), WEFT__T13_MORE);
    EXPECT(len == n && memcmp(got, sent, n) == 0);
    free(sent);
    free(got);
}

static void expect_up(struct wire *w, size_t n)
{
    unsigned char *sent = some_bytes(n), *got = malloc(n + 1);
    size_t at = 0, len;
    do {
        REQUIRE(weft__t13_write(w->t, sent + at, n - at));
        at += w->t->owed;
        wire_up(w);
    } while (at < n);
    for (at = 0; SSL_read_ex(w->s, got + at, n + 1 - at, &len) == 1; at += len)
        continue;
    EXPECT_EQ(SSL_get_error(w->s, 0), SSL_ERROR_WANT_READ);
    EXPECT(at == n && memcmp(got, sent, n) == 0);
    free(sent);
    free(got);
}

#endif
