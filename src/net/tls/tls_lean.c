/*
 * tls_lean.c - OpenSSL's algorithms without those that a TLS client has no use for: the key of a certificate is decoded faster.
 *
 * Role    For each public key that it decodes OpenSSL 3.0 goes through all decoders and, to find the kinds of keys, through all
 *         algorithms that its library context has met: a fifth of a full handshake. So clients have a library context of their
 *         own, whose one provider answers as the default provider does and leaves out what cannot come up. Some of its functions
 *         are ours: tls_kdf.c, tls_x25519.c, tls_eckey.c. Near tls_make.c. Layer 4.
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

enum { LEAN_MAX = 64, LEAN_KINDS = 8, LEAN_PARAMS = 16, LEAN_X25519 = 29 };   /* the last: its number in TLS */

/* What of an operation's algorithms clients see: those of a list, or all but those. */
struct lean_kind {
    int operation;
    bool only;                            /* those of names; else all others */
    const char *const *names;             /* ended by NULL */
    OSSL_ALGORITHM list[LEAN_MAX];        /* [const] once lean.ctx is; ended by a zeroed one */
};

#define LEAN_NAMES(...) ((const char *const[]){__VA_ARGS__, NULL})

static struct {
    OSSL_LIB_CTX *ctx;
    OSSL_PROVIDER *whole;                 /* [const] once ctx is */
    OSSL_ALGORITHM decoders[LEAN_MAX];    /* [const] likewise */
    bool tried;
    struct lean_kind kind[LEAN_KINDS];
} lean = {.kind = {
    {OSSL_OP_CIPHER, true, LEAN_NAMES("NULL", "AES-128-CBC", "AES-256-CBC", "AES-128-GCM", "AES-256-GCM", "AES-128-CCM", "AES-256-CCM",
                                      "AES-256-CTR", "AES-128-CBC-HMAC-SHA1", "AES-256-CBC-HMAC-SHA1", "AES-128-CBC-HMAC-SHA256",
                                      "AES-256-CBC-HMAC-SHA256", "ARIA-128-GCM", "ARIA-256-GCM", "CAMELLIA-128-CBC", "CAMELLIA-256-CBC",
                                      "DES-EDE3-CBC", "ChaCha20-Poly1305"), {{0}}},
    {OSSL_OP_DIGEST, false, LEAN_NAMES("KECCAK-KMAC-128", "KECCAK-KMAC-256", "BLAKE2S-256", "BLAKE2B-512", "SM3", "RIPEMD-160", "NULL"),
     {{0}}},
    {OSSL_OP_MAC, true, LEAN_NAMES("HMAC"), {{0}}},
    {OSSL_OP_KDF, true, LEAN_NAMES("HKDF", OSSL_KDF_NAME_TLS1_3_KDF, "TLS1-PRF"), {{0}}},
    {OSSL_OP_KEYEXCH, false, LEAN_NAMES("TLS1-PRF", "HKDF", "SCRYPT"), {{0}}},
    {OSSL_OP_SIGNATURE, false, LEAN_NAMES("DSA", "SM2", "SIPHASH", "POLY1305", "CMAC"), {{0}}},
    /* X25519's is ours, or nobody's; later versions have groups that need the others (X25519MLKEM768). */
    {OSSL_OP_KEM, false, LEAN_NAMES("X25519"), {{0}}},
    {OSSL_OP_KEYMGMT, false, LEAN_NAMES("DSA", "SM2", "DHX", "SIPHASH", "POLY1305", "CMAC", "HKDF", "TLS1-PRF", "SCRYPT", "id-scrypt"),
     {{0}}},
}};

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
    return strstr(a->property_definition, "structure=SubjectPublicKeyInfo") &&
           lean_in(a->algorithm_names, LEAN_NAMES("RSA", "RSA-PSS", "EC", "ED25519", "ED448", "ML-DSA-44", "ML-DSA-65", "ML-DSA-87"));
}

/* What is wanted of an operation's algorithms, kind NULL for decoders. False: none, or too many. */
static bool lean_filter(int operation, const struct lean_kind *kind, OSSL_ALGORITHM *ret)
{
    int n = 0, no_cache;
    const OSSL_ALGORITHM *a = OSSL_PROVIDER_query_operation(lean.whole, operation, &no_cache);
    for (; a && a->algorithm_names; a++) {
        if (kind ? lean_in(a->algorithm_names, kind->names) != kind->only : !lean_decoder(a))
            continue;
        if (n == LEAN_MAX - 1)
            return false;
        ret[n++] = *a;
    }
    return n > 0;
}

void (*weft__tls_call(const OSSL_DISPATCH *d, int id))(void)
{
    for (; d->function_id; d++)
        if (d->function_id == id)
            return d->function;
    return NULL;
}

/* What is answered for an operation; NULL: what the default provider does. */
static OSSL_ALGORITHM *lean_list(int operation)
{
    for (int i = 0; i < LEAN_KINDS; i++)
        if (lean.kind[i].operation == operation)
            return lean.kind[i].list;
    return operation == OSSL_OP_DECODER ? lean.decoders : NULL;
}

/* The algorithm of an operation that has this name first; NULL: there is none. */
static OSSL_ALGORITHM *lean_find(int operation, const char *name)
{
    OSSL_ALGORITHM *a = lean_list(operation);
    for (; a && a->algorithm_names; a++)
        if (lean_in(a->algorithm_names, LEAN_NAMES(name)))
            return a;
    return NULL;
}

/* X25519 as a key encapsulation, behind OpenSSL's. */
static void lean_add_kem(const OSSL_ALGORITHM *keys, const OSSL_DISPATCH *kem)
{
    OSSL_ALGORITHM *a = lean_list(OSSL_OP_KEM);
    int n = 0;
    while (a[n].algorithm_names)
        n++;
    if (n < LEAN_MAX - 1)
        a[n] = (OSSL_ALGORITHM){keys->algorithm_names, keys->property_definition, kem, NULL};
}

static bool lean_choose(void)
{
    for (int i = 0; i < LEAN_KINDS; i++)
        if (!lean_filter(lean.kind[i].operation, &lean.kind[i], lean.kind[i].list))
            return false;
    if (!lean_filter(OSSL_OP_DECODER, NULL, lean.decoders))
        return false;
    OSSL_ALGORITHM *kdf = lean_find(OSSL_OP_KDF, OSSL_KDF_NAME_TLS1_3_KDF), *with = lean_find(OSSL_OP_KEYEXCH, "X25519");
    OSSL_ALGORITHM *keys = lean_find(OSSL_OP_KEYMGMT, "X25519");
    if (kdf)
        kdf->implementation = weft__tls_kdf;
    const OSSL_DISPATCH *kem = NULL;
    void *ctx = OSSL_PROVIDER_get0_provider_ctx(lean.whole);
    if (keys && with)
        keys->implementation = weft__tls_x25519(ctx, keys->implementation, with->implementation, &kem);
    if (kem)
        lean_add_kem(keys, kem);
    return true;
}

/* The decoder of elliptic keys, which asks OpenSSL's core for its input. */
static void lean_choose_decoder(const OSSL_DISPATCH *core)
{
    OSSL_ALGORITHM *decoder = lean_find(OSSL_OP_DECODER, "EC"), *keys = lean_find(OSSL_OP_KEYMGMT, "EC");
    void *ctx = OSSL_PROVIDER_get0_provider_ctx(lean.whole);
    if (decoder && keys)
        decoder->implementation = weft__tls_eckey(ctx, core, keys->implementation, decoder->implementation);
}

/* ---- the provider ---- */

static const OSSL_ALGORITHM *lean_query(void *whole, int operation, int *no_cache)
{
    (void)whole;
    const OSSL_ALGORITHM *all = OSSL_PROVIDER_query_operation(lean.whole, operation, no_cache);
    const OSSL_ALGORITHM *ours = lean_list(operation);
    return ours ? ours : all;
}

struct lean_to {
    OSSL_CALLBACK *cb;
    void *arg;
};

/* A group as it is, but X25519 as a key encapsulation (tls_x25519.c). */
static int lean_group(const OSSL_PARAM params[], void *arg)
{
    const struct lean_to *to = arg;
    OSSL_PARAM more[LEAN_PARAMS];
    unsigned id = 0, yes = 1;
    int n = 0;
    const OSSL_PARAM *p = OSSL_PARAM_locate_const(params, OSSL_CAPABILITY_TLS_GROUP_ID);
    while (params[n].key)
        n++;
    if (!lean_find(OSSL_OP_KEM, "X25519") || !p || !OSSL_PARAM_get_uint(p, &id) || id != LEAN_X25519 || n > LEAN_PARAMS - 2 ||
        OSSL_PARAM_locate_const(params, OSSL_CAPABILITY_TLS_GROUP_IS_KEM))
        return to->cb(params, to->arg);
    memcpy(more, params, (size_t)n * sizeof *more);
    more[n] = OSSL_PARAM_construct_uint(OSSL_CAPABILITY_TLS_GROUP_IS_KEM, &yes);
    more[n + 1] = OSSL_PARAM_construct_end();
    return to->cb(more, to->arg);
}

static int lean_capabilities(void *whole, const char *capability, OSSL_CALLBACK *cb, void *arg)
{
    struct lean_to to = {cb, arg};
    (void)whole;
    if (strcasecmp(capability, "TLS-GROUP") == 0)
        return OSSL_PROVIDER_get_capabilities(lean.whole, capability, lean_group, &to);
    return OSSL_PROVIDER_get_capabilities(lean.whole, capability, cb, arg);
}

static int lean_init(const OSSL_CORE_HANDLE *handle, const OSSL_DISPATCH *in, const OSSL_DISPATCH **out, void **ret_ctx)
{
    static const OSSL_DISPATCH calls[] = {
        {OSSL_FUNC_PROVIDER_QUERY_OPERATION, (void (*)(void))lean_query},
        {OSSL_FUNC_PROVIDER_GET_CAPABILITIES, (void (*)(void))lean_capabilities},
        {0, NULL},
    };
    (void)handle;
    lean_choose_decoder(in);
    *out = calls;
    *ret_ctx = OSSL_PROVIDER_get0_provider_ctx(lean.whole); /* with which the algorithms are called */
    return 1;
}

/* Counts providers in arg. */
static int lean_count(OSSL_PROVIDER *p, void *arg)
{
    (void)p;
    ++*(int *)arg;
    return 1;
}

const OSSL_DISPATCH *weft__tls_lean_cipher(const char *name, void **ret_provider)
{
    const OSSL_ALGORITHM *a = lean.ctx ? lean_find(OSSL_OP_CIPHER, name) : NULL;
    if (!a)
        return NULL;
    *ret_provider = OSSL_PROVIDER_get0_provider_ctx(lean.whole);
    return a->implementation;
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
