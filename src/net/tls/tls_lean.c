/*
 * tls_lean.c - OpenSSL's algorithms without those that a TLS client has no use for: the key of a certificate is decoded faster.
 *
 * Role    For each public key that it decodes OpenSSL 3.0 goes through all decoders and all kinds of keys that its library
 *         context knows, 40 and 18: a tenth of a full handshake. So clients have a library context of their own, whose one
 *         provider answers as the default provider does and leaves out what cannot come up. Near tls_make.c. Layer 4.
 *
 * The default provider stays loaded in the process's own context, to which its algorithms refer. Where that one was given
 * other providers (a FIPS module, a configuration file), clients use it as it is: weft__tls_lean answers NULL.
 *
 * Locks   shared.lock, the caller's.
 * Limits  No private keys can be read: not for clients with a certificate of their own. DSA and SM2 certificates are unknown,
 *         which no TLS of ours accepts.
 * Failure NULL: the process's own library context, which does the same slower.
 * Source  provider(7), OSSL_PROVIDER_add_builtin(3); crypto/encode_decode/decoder_pkey.c in OpenSSL 3.0.
 */
#include <openssl/core_dispatch.h>
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/provider.h>
#include <string.h>
#include <strings.h>

#include "tls_int.h"

enum { LEAN_MAX = 64 };

static struct {
    OSSL_LIB_CTX *ctx;
    OSSL_PROVIDER *whole;                 /* [const] once ctx is */
    OSSL_ALGORITHM decoders[LEAN_MAX];    /* [const] likewise; ended by a zeroed one */
    OSSL_ALGORITHM keys[LEAN_MAX];        /* [const] */
    OSSL_ALGORITHM kdfs[LEAN_MAX];        /* [const] with a key schedule of our own */
    bool tried;
} lean;

/* Is the first of an algorithm's names "A:B:1.2.3" in a list that NULL ends? */
static bool lean_in(const char *names, const char *const *list)
{
    size_t n = strcspn(names, ":");
    for (; *list; list++)
        if (strlen(*list) == n && strncasecmp(*list, names, n) == 0)
            return true;
    return false;
}

static bool lean_decoder(const OSSL_ALGORITHM *a)
{
    static const char *const kinds[] = {"RSA", "RSA-PSS", "EC", "ED25519", "ED448", "X25519", "X448", "DER", NULL};
    return strstr(a->property_definition, "structure=SubjectPublicKeyInfo") && lean_in(a->algorithm_names, kinds);
}

static bool lean_key(const OSSL_ALGORITHM *a)
{
    static const char *const useless[] = {"DSA", "SM2", "DHX", "SIPHASH", "POLY1305", "CMAC", "HKDF", "TLS1-PRF", "SCRYPT", "id-scrypt",
                                          NULL};
    return !lean_in(a->algorithm_names, useless);
}

static bool lean_kdf(const OSSL_ALGORITHM *a)
{
    (void)a;
    return true;
}

/* What is wanted of an operation's algorithms. False: none, or too many. */
static bool lean_filter(int operation, bool (*wanted)(const OSSL_ALGORITHM *a), OSSL_ALGORITHM *ret)
{
    int n = 0, no_cache;
    const OSSL_ALGORITHM *a = OSSL_PROVIDER_query_operation(lean.whole, operation, &no_cache);
    for (; a && a->algorithm_names; a++) {
        if (!wanted(a))
            continue;
        if (n == LEAN_MAX - 1)
            return false;
        ret[n++] = *a;
    }
    return n > 0;
}

static const OSSL_ALGORITHM *lean_query(void *whole, int operation, int *no_cache)
{
    (void)whole;
    const OSSL_ALGORITHM *all = OSSL_PROVIDER_query_operation(lean.whole, operation, no_cache);
    switch (operation) {
    case OSSL_OP_DECODER: return lean.decoders;
    case OSSL_OP_KEYMGMT: return lean.keys;
    case OSSL_OP_KDF: return lean.kdfs;
    default: return all;
    }
}

static int lean_capabilities(void *whole, const char *capability, OSSL_CALLBACK *cb, void *arg)
{
    (void)whole;
    return OSSL_PROVIDER_get_capabilities(lean.whole, capability, cb, arg);
}

static int lean_init(const OSSL_CORE_HANDLE *handle, const OSSL_DISPATCH *in, const OSSL_DISPATCH **out, void **ret_ctx)
{
    static const OSSL_DISPATCH calls[] = {
        {OSSL_FUNC_PROVIDER_QUERY_OPERATION, (void (*)(void))lean_query},
        {OSSL_FUNC_PROVIDER_GET_CAPABILITIES, (void (*)(void))lean_capabilities},
        {0, NULL},
    };
    (void)handle, (void)in;
    *out = calls;
    *ret_ctx = OSSL_PROVIDER_get0_provider_ctx(lean.whole); /* with which the algorithms are called */
    return 1;
}

static bool lean_choose(void)
{
    static const char *const schedule[] = {OSSL_KDF_NAME_TLS1_3_KDF, NULL};
    if (!lean_filter(OSSL_OP_DECODER, lean_decoder, lean.decoders) || !lean_filter(OSSL_OP_KEYMGMT, lean_key, lean.keys) ||
        !lean_filter(OSSL_OP_KDF, lean_kdf, lean.kdfs))
        return false;
    for (OSSL_ALGORITHM *a = lean.kdfs; a->algorithm_names; a++)
        if (lean_in(a->algorithm_names, schedule))
            a->implementation = weft__tls_kdf;
    return true;
}

/* Counts providers in arg. */
static int lean_count(OSSL_PROVIDER *p, void *arg)
{
    (void)p;
    ++*(int *)arg;
    return 1;
}

OSSL_LIB_CTX *weft__tls_lean(void)
{
    int others = 0;
    if (lean.tried)
        return lean.ctx;
    lean.tried = true;
    if (!OSSL_PROVIDER_available(NULL, "default") || EVP_default_properties_is_fips_enabled(NULL) ||
        !OSSL_PROVIDER_do_all(NULL, lean_count, &others) || others != 1)
        return NULL;
    lean.whole = OSSL_PROVIDER_try_load(NULL, "default", 1);
    if (!lean.whole || !lean_choose())
        return NULL;
    OSSL_LIB_CTX *ctx = OSSL_LIB_CTX_new();
    if (ctx && OSSL_PROVIDER_add_builtin(ctx, "weft", lean_init) && OSSL_PROVIDER_load(ctx, "weft"))
        lean.ctx = ctx;
    else
        OSSL_LIB_CTX_free(ctx);
    return lean.ctx;
}
