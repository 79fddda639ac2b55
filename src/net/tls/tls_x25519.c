/*
 * tls_x25519.c - X25519 keys for a client's key share, made by the ladder.
 *
 * Role    A key share's public half is its secret times the base point 9. OpenSSL 3.0 has that by the Edwards curve's table, in
 *         portable C; its Montgomery ladder, which derives secrets, is written for processors with ADX and does the same
 *         multiplication in two thirds of the time. So the keys of tls_lean.c's provider are OpenSSL's, but for how they are
 *         made: 32 random bytes, and the ladder from point 9, as OpenSSL itself does on s390x. Layer 4.
 *
 * A client opens the server's share with its key: in TLS 1.3 an exchange and a key encapsulation are the same bytes, and libssl
 * goes a shorter way for the second, without an EVP_PKEY for the share. So the group says that it is one, and the function that
 * opens is OpenSSL's exchange. TLS 1.2 does not ask, and exchanges.
 *
 * Invariant
 *   T12 A key made here is one that OpenSSL's own function could have made: secret from RAND_priv_bytes, cut to form as RFC
 *       7748 5 has it, and the public half that belongs to it.
 *
 * Limits  x86-64 with ADX and BMI2; elsewhere OpenSSL's own way is used.
 * Failure no key: OpenSSL ends the handshake with an internal error.
 * Source  RFC 7748 5, 6.1; provider-keymgmt(7), provider-keyexch(7); crypto/ec/ecx_backend.c in OpenSSL 3.0.
 */
#include <openssl/core_dispatch.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/params.h>
#include <openssl/rand.h>
#include <string.h>
#include <strings.h>

#include "tls_int.h"

enum { X_BYTES = 32, X_CALLS = 40,
       X_GEN_GET_PARAMS = 15 };   /* OSSL_FUNC_KEYMGMT_GEN_GET_PARAMS, which 3.0's headers have not */

typedef void x_fn(void);

/* What of OpenSSL's functions is called here. */
static struct {
    void *provider;                             /* [const] once keys[] is filled, like all the rest */
    OSSL_FUNC_keymgmt_new_fn *new;
    OSSL_FUNC_keymgmt_free_fn *free;
    OSSL_FUNC_keymgmt_import_fn *import;
    OSSL_FUNC_keyexch_newctx_fn *begin;
    OSSL_FUNC_keyexch_freectx_fn *end;
    OSSL_FUNC_keyexch_init_fn *mine;
    OSSL_FUNC_keyexch_set_peer_fn *peer;
    OSSL_FUNC_keyexch_derive_fn *derive;
    void *nine;                                 /* the base point as a public key */
    OSSL_DISPATCH keys[X_CALLS];
} x;

/* What is being made. */
struct x_gen {
    int selection;
};
struct x_kem {
    void *key;
};

/* ---- keys ---- */

/* A key of these halves, secret NULL for none. NULL: memory is short. */
static void *x_key(unsigned char *public, unsigned char *secret)
{
    OSSL_PARAM with[] = {OSSL_PARAM_construct_octet_string(OSSL_PKEY_PARAM_PUB_KEY, public, X_BYTES), OSSL_PARAM_construct_end(),
                         OSSL_PARAM_construct_end()};
    if (secret)
        with[1] = OSSL_PARAM_construct_octet_string(OSSL_PKEY_PARAM_PRIV_KEY, secret, X_BYTES);
    void *key = x.new(x.provider);
    if (key && x.import(key, secret ? OSSL_KEYMGMT_SELECT_KEYPAIR : OSSL_KEYMGMT_SELECT_PUBLIC_KEY, with) == 1)
        return key;
    x.free(key);
    return NULL;
}

/* The secret that a key and a peer's public one share. False also where it would be 0 (RFC 7748 6.1): OpenSSL looks. */
static bool x_agree(void *key, void *peer, unsigned char *ret)
{
    size_t n = 0;
    void *c = x.begin(x.provider);
    bool ok = c && x.mine(c, key, NULL) == 1 && x.peer(c, peer) == 1 && x.derive(c, ret, &n, X_BYTES) == 1 && n == X_BYTES;
    if (c)
        x.end(c);
    return ok;
}

/* The public half of a secret, by the ladder. */
static bool x_public(unsigned char *secret, unsigned char *ret)
{
    unsigned char none[X_BYTES] = {0};
    void *key = x_key(none, secret);
    bool ok = key && x_agree(key, x.nine, ret);
    x.free(key);
    return ok;
}

/* A secret and its public half, T12. */
static bool x_pair(unsigned char *ret_secret, unsigned char *ret_public)
{
    if (RAND_priv_bytes(ret_secret, X_BYTES) != 1)
        return false;
    ret_secret[0] &= 248;
    ret_secret[31] &= 127;
    ret_secret[31] |= 64;
    return x_public(ret_secret, ret_public);
}

static void *x_make(void)
{
    unsigned char secret[X_BYTES], public[X_BYTES];
    void *key = x_pair(secret, public) ? x_key(public, secret) : NULL;
    OPENSSL_cleanse(secret, sizeof secret);
    return key;
}

/* ---- for our own client (tls13/) ---- */

bool weft__tls_x25519_there(void)
{
    return x.nine != NULL;
}

bool weft__tls_x25519_pair(unsigned char *ret_secret, unsigned char *ret_public)
{
    return x_pair(ret_secret, ret_public);
}

bool weft__tls_x25519_agree(unsigned char *secret, unsigned char *public, unsigned char *theirs, unsigned char *ret)
{
    void *key = x_key(public, secret), *peer = x_key(theirs, NULL);
    bool ok = key && peer && x_agree(key, peer, ret);
    x.free(key);
    x.free(peer);
    return ok;
}

/* ---- what OpenSSL calls ---- */

static int x_gen_set(void *gen, const OSSL_PARAM params[])
{
    const OSSL_PARAM *group = params ? OSSL_PARAM_locate_const(params, OSSL_PKEY_PARAM_GROUP_NAME) : NULL;
    (void)gen;
    return !group || (group->data_type == OSSL_PARAM_UTF8_STRING && strcasecmp(group->data, "x25519") == 0);
}

static void *x_gen_begin(void *provider, int selection, const OSSL_PARAM params[])
{
    (void)provider;
    struct x_gen *g = x_gen_set(NULL, params) ? OPENSSL_zalloc(sizeof *g) : NULL;
    if (g)
        g->selection = selection;
    return g;
}

static void *x_gen(void *gen, OSSL_CALLBACK *progress, void *arg)
{
    const struct x_gen *g = gen;
    (void)progress, (void)arg;
    return (g->selection & OSSL_KEYMGMT_SELECT_KEYPAIR) == 0 ? x.new(x.provider) : x_make();
}

static void x_gen_end(void *gen)
{
    OPENSSL_free(gen);
}

/* ---- the exchange as a client sees it: the server's share opened with our key ---- */

static void *x_kem_new(void *provider)
{
    (void)provider;
    return OPENSSL_zalloc(sizeof(struct x_kem));
}

static int x_kem_begin(void *kem, void *key, const OSSL_PARAM params[])
{
    (void)params;
    ((struct x_kem *)kem)->key = key;   /* whoever calls keeps it until the end */
    return 1;
}

static int x_kem_open(void *kem, unsigned char *ret, size_t *ret_n, const unsigned char *share, size_t n)
{
    unsigned char theirs[X_BYTES];
    if (!ret) {
        *ret_n = X_BYTES;
        return 1;
    }
    if (n != X_BYTES || *ret_n < X_BYTES)
        return 0;
    memcpy(theirs, share, X_BYTES);
    void *peer = x_key(theirs, NULL);
    bool ok = peer && x_agree(((struct x_kem *)kem)->key, peer, ret);
    x.free(peer);
    if (ok)
        *ret_n = X_BYTES;
    return ok;
}

static const OSSL_DISPATCH x_kem[] = {
    {OSSL_FUNC_KEM_NEWCTX, (x_fn *)x_kem_new},
    {OSSL_FUNC_KEM_FREECTX, (x_fn *)x_gen_end},
    {OSSL_FUNC_KEM_DECAPSULATE_INIT, (x_fn *)x_kem_begin},
    {OSSL_FUNC_KEM_DECAPSULATE, (x_fn *)x_kem_open},
    {0, NULL},
};

/* ---- made once ---- */

static bool x_fast(void)
{
#ifdef __x86_64__
    return __builtin_cpu_supports("bmi2") && __builtin_cpu_supports("adx");
#else
    return false;
#endif
}

/* OpenSSL's functions with four of ours in their places. False: there are some that would meet what is ours. */
static bool x_copy(const OSSL_DISPATCH *from)
{
    int n = 0, ours = 0;
    for (; from->function_id && n < X_CALLS - 1; from++, n++) {
        x.keys[n] = *from;
        switch (from->function_id) {
        case OSSL_FUNC_KEYMGMT_GEN_INIT: x.keys[n].function = (x_fn *)x_gen_begin; break;
        case OSSL_FUNC_KEYMGMT_GEN_SET_PARAMS: x.keys[n].function = (x_fn *)x_gen_set; break;
        case OSSL_FUNC_KEYMGMT_GEN: x.keys[n].function = (x_fn *)x_gen; break;
        case OSSL_FUNC_KEYMGMT_GEN_CLEANUP: x.keys[n].function = (x_fn *)x_gen_end; break;
        case OSSL_FUNC_KEYMGMT_GEN_SET_TEMPLATE:
        case X_GEN_GET_PARAMS: return false;   /* they would get what x_gen_begin made */
        default: continue;
        }
        ours++;
    }
    return ours == 4 && !from->function_id;
}

const OSSL_DISPATCH *weft__tls_x25519(void *provider, const OSSL_DISPATCH *keys, const OSSL_DISPATCH *exchange,
                                      const OSSL_DISPATCH **ret_kem)
{
    unsigned char nine[X_BYTES] = {9};
    x.provider = provider;
    x.new = OSSL_FUNC_keymgmt_new(&(OSSL_DISPATCH){0, weft__tls_call(keys, OSSL_FUNC_KEYMGMT_NEW)});
    x.free = OSSL_FUNC_keymgmt_free(&(OSSL_DISPATCH){0, weft__tls_call(keys, OSSL_FUNC_KEYMGMT_FREE)});
    x.import = OSSL_FUNC_keymgmt_import(&(OSSL_DISPATCH){0, weft__tls_call(keys, OSSL_FUNC_KEYMGMT_IMPORT)});
    x.begin = OSSL_FUNC_keyexch_newctx(&(OSSL_DISPATCH){0, weft__tls_call(exchange, OSSL_FUNC_KEYEXCH_NEWCTX)});
    x.end = OSSL_FUNC_keyexch_freectx(&(OSSL_DISPATCH){0, weft__tls_call(exchange, OSSL_FUNC_KEYEXCH_FREECTX)});
    x.mine = OSSL_FUNC_keyexch_init(&(OSSL_DISPATCH){0, weft__tls_call(exchange, OSSL_FUNC_KEYEXCH_INIT)});
    x.peer = OSSL_FUNC_keyexch_set_peer(&(OSSL_DISPATCH){0, weft__tls_call(exchange, OSSL_FUNC_KEYEXCH_SET_PEER)});
    x.derive = OSSL_FUNC_keyexch_derive(&(OSSL_DISPATCH){0, weft__tls_call(exchange, OSSL_FUNC_KEYEXCH_DERIVE)});
    bool all = x.new && x.free && x.import && x.begin && x.end && x.mine && x.peer && x.derive;
    if (all)
        x.nine = x_key(nine, NULL);
    if (!x.nine || !x_fast() || !x_copy(keys))
        return keys;
    *ret_kem = x_kem;
    return x.keys;
}
