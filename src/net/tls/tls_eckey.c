/*
 * tls_eckey.c - the P-256 key of a server's certificate, read from its DER onto a curve that is there already.
 *
 * Role    OpenSSL 3.0 makes the curve anew for each elliptic key that it decodes (its Montgomery numbers, with an inversion
 *         modulo the field), after parsing the same structure a second time. So the decoder of tls_lean.c's provider is
 *         OpenSSL's, but for one form of its input: 91 bytes that begin as each uncompressed public key of P-256 does. For
 *         those a key that has the curve and no point is copied, and OpenSSL sets its point. Layer 4.
 *
 * Invariant
 *   T13 A key from here is OpenSSL's own object, its point set by OpenSSL's own function, which refuses one that is not on the
 *       curve. Whatever has another form, or is refused, goes to OpenSSL's decoder with the input as it was.
 *
 * Failure as OpenSSL's decoder, which has the last word.
 * Source  RFC 5480 2; provider-decoder(7), provider-keymgmt(7), provider-object(7); decode_der2key.c in OpenSSL 3.0.
 */
#include <openssl/bio.h>
#include <openssl/core_dispatch.h>
#include <openssl/core_names.h>
#include <openssl/core_object.h>
#include <string.h>

#include "tls_int.h"

enum { EC_BYTES = 91, EC_PREFIX = 26, EC_POINT_BYTES = EC_BYTES - EC_PREFIX, EC_CALLS = 16 };

/* SEQUENCE { SEQUENCE { id-ecPublicKey, prime256v1 }, BIT STRING of 65 bytes; the first of them, 4, says uncompressed. */
static const unsigned char ec_prefix[EC_PREFIX + 1] = {0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06,
                                                       0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00, 0x04};

/* What of OpenSSL's functions is called here. */
static struct {
    OSSL_FUNC_keymgmt_free_fn *free;            /* [const] once calls[] is filled, like all the rest */
    OSSL_FUNC_keymgmt_dup_fn *dup;
    OSSL_FUNC_keymgmt_set_params_fn *set;
    OSSL_FUNC_decoder_decode_fn *decode;
    OSSL_FUNC_BIO_read_ex_fn *read;
    OSSL_FUNC_BIO_ctrl_fn *ctrl;
    void *curve;                                /* a key of P-256 without a point; only ever copied */
    OSSL_DISPATCH calls[EC_CALLS];
} ec;

/* A key for 91 bytes of DER; NULL: not one for us. */
static void *ec_key(unsigned char *der)
{
    if (memcmp(der, ec_prefix, sizeof ec_prefix) != 0)
        return NULL;
    void *key = ec.dup(ec.curve, OSSL_KEYMGMT_SELECT_ALL_PARAMETERS);
    OSSL_PARAM with[] = {OSSL_PARAM_construct_octet_string(OSSL_PKEY_PARAM_ENCODED_PUBLIC_KEY, der + EC_PREFIX, EC_POINT_BYTES),
                         OSSL_PARAM_construct_end()};
    if (key && ec.set(key, with) == 1)
        return key;
    ec.free(key);
    return NULL;
}

/* The input's key; NULL: the input stands where it stood. */
static void *ec_read(OSSL_CORE_BIO *in)
{
    unsigned char der[EC_BYTES + 1];
    size_t n = 0;
    long from = ec.ctrl(in, BIO_C_FILE_TELL, 0, NULL);
    if (from < 0)
        return NULL;
    void *key = ec.read(in, der, sizeof der, &n) == 1 && n == EC_BYTES ? ec_key(der) : NULL;
    if (!key)
        (void)ec.ctrl(in, BIO_C_FILE_SEEK, from, NULL);   /* it can: it told where it is */
    return key;
}

/* Hand a key on as der2key_decode does: by the address of a pointer, which who takes the key clears. */
static int ec_give(void *key, OSSL_CALLBACK *to, void *arg)
{
    static char type[] = "EC";
    int kind = OSSL_OBJECT_PKEY;
    OSSL_PARAM object[] = {OSSL_PARAM_construct_int(OSSL_OBJECT_PARAM_TYPE, &kind),
                           OSSL_PARAM_construct_utf8_string(OSSL_OBJECT_PARAM_DATA_TYPE, type, 0),
                           OSSL_PARAM_construct_octet_string(OSSL_OBJECT_PARAM_REFERENCE, &key, sizeof key), OSSL_PARAM_construct_end()};
    int ok = to(object, arg);
    ec.free(key);
    return ok;
}

static int ec_decode(void *ctx, OSSL_CORE_BIO *in, int selection, OSSL_CALLBACK *to, void *arg, OSSL_PASSPHRASE_CALLBACK *pass,
                     void *pass_arg)
{
    bool public = (selection & OSSL_KEYMGMT_SELECT_PUBLIC_KEY) && !(selection & OSSL_KEYMGMT_SELECT_PRIVATE_KEY);
    void *key = public ? ec_read(in) : NULL;
    return key ? ec_give(key, to, arg) : ec.decode(ctx, in, selection, to, arg, pass, pass_arg);
}

/* ---- made once ---- */

/* A key of P-256 without a point. */
static void *ec_curve(void *provider, OSSL_FUNC_keymgmt_new_fn *new, OSSL_FUNC_keymgmt_import_fn *import)
{
    static char name[] = "prime256v1";
    OSSL_PARAM with[] = {OSSL_PARAM_construct_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, name, 0), OSSL_PARAM_construct_end()};
    void *key = new(provider);
    if (key && import(key, OSSL_KEYMGMT_SELECT_DOMAIN_PARAMETERS, with) == 1)
        return key;
    ec.free(key);
    return NULL;
}

/* OpenSSL's decoder with our function in its place. */
static bool ec_copy(const OSSL_DISPATCH *from)
{
    int n = 0;
    for (; from->function_id && n < EC_CALLS - 1; from++, n++) {
        ec.calls[n] = *from;
        if (from->function_id != OSSL_FUNC_DECODER_DECODE)
            continue;
        ec.decode = OSSL_FUNC_decoder_decode(from);
        ec.calls[n].function = (void (*)(void))ec_decode;
    }
    return ec.decode && !from->function_id;
}

const OSSL_DISPATCH *weft__tls_eckey(void *provider, const OSSL_DISPATCH *core, const OSSL_DISPATCH *keys, const OSSL_DISPATCH *decoder)
{
    ec.read = OSSL_FUNC_BIO_read_ex(&(OSSL_DISPATCH){0, weft__tls_call(core, OSSL_FUNC_BIO_READ_EX)});
    ec.ctrl = OSSL_FUNC_BIO_ctrl(&(OSSL_DISPATCH){0, weft__tls_call(core, OSSL_FUNC_BIO_CTRL)});
    ec.free = OSSL_FUNC_keymgmt_free(&(OSSL_DISPATCH){0, weft__tls_call(keys, OSSL_FUNC_KEYMGMT_FREE)});
    ec.dup = OSSL_FUNC_keymgmt_dup(&(OSSL_DISPATCH){0, weft__tls_call(keys, OSSL_FUNC_KEYMGMT_DUP)});
    ec.set = OSSL_FUNC_keymgmt_set_params(&(OSSL_DISPATCH){0, weft__tls_call(keys, OSSL_FUNC_KEYMGMT_SET_PARAMS)});
    OSSL_FUNC_keymgmt_new_fn *new = OSSL_FUNC_keymgmt_new(&(OSSL_DISPATCH){0, weft__tls_call(keys, OSSL_FUNC_KEYMGMT_NEW)});
    OSSL_FUNC_keymgmt_import_fn *import = OSSL_FUNC_keymgmt_import(&(OSSL_DISPATCH){0, weft__tls_call(keys, OSSL_FUNC_KEYMGMT_IMPORT)});
    if (!ec.read || !ec.ctrl || !ec.free || !ec.dup || !ec.set || !new || !import || !(ec.curve = ec_curve(provider, new, import)))
        return decoder;
    return ec_copy(decoder) ? ec.calls : decoder;
}
