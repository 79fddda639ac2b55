/*
 * tls_kdf.c - the key schedule of TLS 1.3, as OpenSSL asks a provider for it ("TLS13-KDF"): HKDF with SHA-256 or SHA-384.
 *
 * Role    A handshake derives some twenty secrets, one after the other. For each OpenSSL 3.0's own function looks its digest
 *         up by name, copies its inputs to the heap and makes four contexts. This one hashes the inputs where they lie.
 *         tls_lean.c gives it to clients. Layer 4.
 *
 * Stateless: a "context" is the provider's own, and everything comes with the call that derives.
 * Limits  What libssl asks for, no more: both modes, the two digests of the cipher suites, keys of a block at most.
 * Failure 0: OpenSSL ends the handshake with an internal error.
 * Source  RFC 8446 7.1, 5869, 2104; EVP_KDF-TLS13_KDF(7), provider-kdf(7).
 */
#define OPENSSL_SUPPRESS_DEPRECATED /* SHA256_Init and kin: the same code as behind EVP, without its allocations */
#include <openssl/core_dispatch.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/kdf.h>
#include <openssl/params.h>
#include <openssl/sha.h>
#include <string.h>
#include <strings.h>

#include "tls_int.h"

enum { KDF_HASH_MAX = SHA384_DIGEST_LENGTH, KDF_BLOCK_MAX = SHA512_CBLOCK, KDF_BYTE_MAX = 255 };

struct kdf_bytes {
    const unsigned char *at; /* NULL: not given */
    size_t n;
};

/* What a call gives. */
struct kdf_in {
    int mode;
    bool big;                /* SHA-384, else SHA-256 */
    size_t size, block;      /* of the digest; 0: none was named */
    struct kdf_bytes key, salt, prefix, label, data;
};

/* ---- HMAC and HKDF ---- */

/* One digest of up to four pieces. */
static void kdf_hash(const struct kdf_in *k, const struct kdf_bytes *piece, int pieces, unsigned char *ret)
{
    union {
        SHA256_CTX small;
        SHA512_CTX big;
    } c;
    (void)(k->big ? SHA384_Init(&c.big) : SHA256_Init(&c.small));
    for (int i = 0; i < pieces; i++)
        (void)(k->big ? SHA384_Update(&c.big, piece[i].at, piece[i].n) : SHA256_Update(&c.small, piece[i].at, piece[i].n));
    (void)(k->big ? SHA384_Final(ret, &c.big) : SHA256_Final(ret, &c.small));
    OPENSSL_cleanse(&c, k->big ? sizeof c.big : sizeof c.small);
}

/* RFC 2104; key at most a block, two pieces of text and a count, if it is not 0. */
static void kdf_hmac(const struct kdf_in *k, struct kdf_bytes key, struct kdf_bytes a, struct kdf_bytes b, unsigned char count,
                     unsigned char *ret)
{
    unsigned char pad[KDF_BLOCK_MAX], inner[KDF_HASH_MAX];
    for (size_t i = 0; i < k->block; i++)
        pad[i] = (i < key.n ? key.at[i] : 0) ^ 0x36;
    kdf_hash(k, (struct kdf_bytes[]){{pad, k->block}, a, b, {&count, count != 0}}, 4, inner);
    for (size_t i = 0; i < k->block; i++)
        pad[i] ^= 0x36 ^ 0x5c;
    kdf_hash(k, (struct kdf_bytes[]){{pad, k->block}, {inner, k->size}}, 2, ret);
    OPENSSL_cleanse(pad, sizeof pad);
    OPENSSL_cleanse(inner, sizeof inner);
}

/* HKDF-Expand-Label: n bytes from secret for k's label and data. */
static bool kdf_expand(const struct kdf_in *k, struct kdf_bytes secret, struct kdf_bytes data, unsigned char *ret, size_t n)
{
    unsigned char info[2 + 1 + KDF_BYTE_MAX + 1 + KDF_BYTE_MAX], last[KDF_HASH_MAX], *at = info;
    size_t label = k->prefix.n + k->label.n, done = 0;
    if (label > KDF_BYTE_MAX || data.n > KDF_BYTE_MAX || secret.n > k->block || n > KDF_BYTE_MAX * k->size)
        return false;
    *at++ = (unsigned char)(n >> 8);
    *at++ = (unsigned char)n;
    *at++ = (unsigned char)label;
    if (k->prefix.n)
        at = (unsigned char *)mempcpy(at, k->prefix.at, k->prefix.n);
    if (k->label.n)
        at = (unsigned char *)mempcpy(at, k->label.at, k->label.n);
    *at++ = (unsigned char)data.n;
    if (data.n)
        at = (unsigned char *)mempcpy(at, data.at, data.n);
    struct kdf_bytes before = {last, 0}, all = {info, (size_t)(at - info)};
    for (unsigned char count = 1; done < n; count++) {
        kdf_hmac(k, secret, before, all, count, last);
        before.n = k->size;
        size_t part = n - done < k->size ? n - done : k->size;
        memcpy(ret + done, last, part);
        done += part;
    }
    OPENSSL_cleanse(last, sizeof last);
    return true;
}

/* The next secret of the schedule: from the one before (k->salt, none at first) and new keying material (k->key, or zeros). */
static bool kdf_extract(const struct kdf_in *k, unsigned char *ret)
{
    static const unsigned char zeros[KDF_HASH_MAX];
    unsigned char derived[KDF_HASH_MAX], empty[KDF_HASH_MAX];
    struct kdf_bytes salt = {zeros, 0}, fresh = k->key.at ? k->key : (struct kdf_bytes){zeros, k->size};
    if (k->salt.at) {
        kdf_hash(k, NULL, 0, empty);
        if (!kdf_expand(k, k->salt, (struct kdf_bytes){empty, k->size}, derived, k->size))
            return false;
        salt = (struct kdf_bytes){derived, k->size};
    }
    kdf_hmac(k, salt, fresh, (struct kdf_bytes){zeros, 0}, 0, ret);
    OPENSSL_cleanse(derived, sizeof derived);
    return true;
}

/* ---- for our own client (tls13/) ---- */

static struct kdf_in kdf_of(bool big)
{
    return (struct kdf_in){.big = big,
                           .size = big ? SHA384_DIGEST_LENGTH : SHA256_DIGEST_LENGTH,
                           .block = big ? SHA512_CBLOCK : SHA256_CBLOCK,
                           .prefix = {(const unsigned char *)"tls13 ", 6}};
}

bool weft__tls_kdf_expand(bool big, const unsigned char *secret, const char *label, const unsigned char *data, size_t data_n,
                          unsigned char *ret, size_t n)
{
    struct kdf_in k = kdf_of(big);
    k.label = (struct kdf_bytes){(const unsigned char *)label, strlen(label)};
    return kdf_expand(&k, (struct kdf_bytes){secret, k.size}, (struct kdf_bytes){data, data_n}, ret, n);
}

bool weft__tls_kdf_extract(bool big, const unsigned char *before, const unsigned char *fresh, size_t n, unsigned char *ret)
{
    struct kdf_in k = kdf_of(big);
    k.label = (struct kdf_bytes){(const unsigned char *)"derived", 7};
    k.salt = (struct kdf_bytes){before, before ? k.size : 0};
    k.key = (struct kdf_bytes){fresh, n};
    return kdf_extract(&k, ret);
}

void weft__tls_kdf_hmac(bool big, const unsigned char *key, const unsigned char *data, size_t n, unsigned char *ret)
{
    struct kdf_in k = kdf_of(big);
    kdf_hmac(&k, (struct kdf_bytes){key, k.size}, (struct kdf_bytes){data, n}, (struct kdf_bytes){data, 0}, 0, ret);
}

/* ---- what OpenSSL calls ---- */

static bool kdf_digest(struct kdf_in *k, const OSSL_PARAM *p)
{
    static const char *const names[] = {"SHA2-256", "SHA256", "SHA-256", "SHA2-384", "SHA384", "SHA-384"};
    for (int i = 0; i < 6; i++)
        if (p->data_type == OSSL_PARAM_UTF8_STRING && p->data && strcasecmp(p->data, names[i]) == 0) {
            k->big = i >= 3;
            k->size = k->big ? SHA384_DIGEST_LENGTH : SHA256_DIGEST_LENGTH;
            k->block = k->big ? SHA512_CBLOCK : SHA256_CBLOCK;
            return true;
        }
    return false;
}

/* strcmp only where the first letters do not tell: a handshake asks this a hundred times. */
static bool kdf_is(const OSSL_PARAM *p, const char *key)
{
    return p->key[0] == key[0] && strcmp(p->key, key) == 0;
}

/* One parameter. False: not of its type. One that is not known is nothing to us, as provider-kdf(7) has it: a later libssl may
 * send more. */
static bool kdf_param(struct kdf_in *k, const OSSL_PARAM *p)
{
    struct {
        const char *key;
        struct kdf_bytes *to;
    } bytes[] = {{OSSL_KDF_PARAM_KEY, &k->key}, {OSSL_KDF_PARAM_SALT, &k->salt}, {OSSL_KDF_PARAM_PREFIX, &k->prefix},
                 {OSSL_KDF_PARAM_LABEL, &k->label}, {OSSL_KDF_PARAM_DATA, &k->data}};
    if (kdf_is(p, OSSL_KDF_PARAM_MODE))
        return OSSL_PARAM_get_int(p, &k->mode) == 1;
    if (kdf_is(p, OSSL_KDF_PARAM_DIGEST))
        return kdf_digest(k, p);
    for (int i = 0; i < 5; i++)
        if (kdf_is(p, bytes[i].key)) {
            *bytes[i].to = (struct kdf_bytes){p->data, p->data ? p->data_size : 0};
            return p->data_type == OSSL_PARAM_OCTET_STRING;
        }
    return true;
}

static int kdf_derive(void *none, unsigned char *ret, size_t n, const OSSL_PARAM params[])
{
    struct kdf_in k = {.mode = -1};
    (void)none;
    for (; params && params->key; params++)
        if (!kdf_param(&k, params))
            return 0;
    if (!k.size || !ret || n == 0)
        return 0;
    if (k.mode == EVP_KDF_HKDF_MODE_EXTRACT_ONLY)
        return n == k.size && kdf_extract(&k, ret);
    return k.mode == EVP_KDF_HKDF_MODE_EXPAND_ONLY && k.key.at && kdf_expand(&k, k.key, k.data, ret, n);
}

static void *kdf_new(void *provider)
{
    return provider;
}

static void kdf_nothing(void *none)
{
    (void)none;
}

const OSSL_DISPATCH weft__tls_kdf[] = {
    {OSSL_FUNC_KDF_NEWCTX, (void (*)(void))kdf_new},
    {OSSL_FUNC_KDF_FREECTX, (void (*)(void))kdf_nothing},
    {OSSL_FUNC_KDF_RESET, (void (*)(void))kdf_nothing},
    {OSSL_FUNC_KDF_DERIVE, (void (*)(void))kdf_derive},
    {0, NULL},
};
