/*
 * t13_keys.c - secrets of TLS 1.3: suites, the hash of the handshake, the key schedule, X25519.
 *
 * Role    Names for what tls_kdf.c and tls_x25519.c compute, which OpenSSL's own handshakes use too (ADR 0014). Layer 4.
 * Source  RFC 8446 4.4.1, 4.4.4, 7.1, 7.4.2.
 */
#define OPENSSL_SUPPRESS_DEPRECATED /* SHA256_Init and kin, as in tls_kdf.c */
#include <openssl/crypto.h>
#include <openssl/sha.h>
#include <string.h>

#include "t13.h"

const struct weft__t13_suite weft__t13_suites[WEFT__T13_SUITES] = {
    {0x1301, false, 16, "AES-128-GCM", "TLS_AES_128_GCM_SHA256"},
    {0x1302, true, 32, "AES-256-GCM", "TLS_AES_256_GCM_SHA384"},
    {0x1303, false, 32, "ChaCha20-Poly1305", "TLS_CHACHA20_POLY1305_SHA256"},
};

void weft__t13_hash_begin(struct weft__t13_hash *h, bool big)
{
    h->big = big;
    (void)(big ? SHA384_Init(&h->u.large) : SHA256_Init(&h->u.small));
}

void weft__t13_hash_add(struct weft__t13_hash *h, const void *at, size_t n)
{
    (void)(h->big ? SHA384_Update(&h->u.large, at, n) : SHA256_Update(&h->u.small, at, n));
}

void weft__t13_hash_now(const struct weft__t13_hash *h, unsigned char *ret)
{
    struct weft__t13_hash copy = *h;
    (void)(h->big ? SHA384_Final(ret, &copy.u.large) : SHA256_Final(ret, &copy.u.small));
}

/* Lengths are those of the protocol's own labels and hashes, so none is too long; were one, the secret would be zeros, with
 * which no peer's Finished agrees. */
void weft__t13_derive(bool big, const unsigned char *secret, const char *label, const unsigned char *data, size_t data_n,
                      unsigned char *ret, size_t n)
{
    if (!weft__tls_kdf_expand(big, secret, label, data, data_n, ret, n))
        memset(ret, 0, n);
}

void weft__t13_next(bool big, const unsigned char *before, const unsigned char *fresh, size_t n, unsigned char *ret)
{
    if (!weft__tls_kdf_extract(big, before, fresh, n, ret))
        memset(ret, 0, weft__t13_hash_len(big));
}

void weft__t13_finished(bool big, const unsigned char *secret, const unsigned char *hash, unsigned char *ret)
{
    unsigned char key[WEFT__T13_HASH_MAX];
    weft__t13_derive(big, secret, "finished", NULL, 0, key, weft__t13_hash_len(big));
    weft__tls_kdf_hmac(big, key, hash, weft__t13_hash_len(big), ret);
    OPENSSL_cleanse(key, sizeof key);
}

bool weft__t13_pair(unsigned char *ret_secret, unsigned char *ret_public)
{
    return weft__tls_x25519_pair(ret_secret, ret_public);
}

bool weft__t13_agree(const unsigned char *secret, const unsigned char *public, const unsigned char *theirs, unsigned char *ret)
{
    unsigned char a[WEFT__T13_SHARE], b[WEFT__T13_SHARE], c[WEFT__T13_SHARE];   /* OpenSSL's parameters are not const */
    memcpy(a, secret, sizeof a);
    memcpy(b, public, sizeof b);
    memcpy(c, theirs, sizeof c);
    bool ok = weft__tls_x25519_agree(a, b, c, ret);
    OPENSSL_cleanse(a, sizeof a);
    return ok;
}
