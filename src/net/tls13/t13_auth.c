/*
 * t13_auth.c - is the server who it says it is: its certificates and its signature, judged by OpenSSL.
 *
 * Role    A chain is parsed and verified as libssl does it for a client: the SSL_CTX's authorities, its parameters and security
 *         level, the purpose of a TLS server, and the name. A Certificate message that was found good is not gone up again for
 *         ten minutes (T9); the signature over this handshake is checked each time. Near tls_seen.c, tls_conn.c. Layer 4.
 *
 * Limits  Chains of up to 32 certificates. Failure: false, and OpenSSL's own handshake finds the words.
 * Source  RFC 8446 4.4.2, 4.4.3, 4.2.3; RFC 6125; X509_verify_cert(3), SSL_CTX_set_verify(3).
 */
#include <openssl/sha.h>
#include <openssl/x509v3.h>
#include <string.h>

#include "t13.h"

enum { AUTH_CHAIN = 32 };

/* ---- the chain ---- */

static X509 *auth_parse(const struct weft__t13 *t, struct weft__t13_in der)
{
    X509 *x = X509_new_ex(t->shared->library, NULL);
    const unsigned char *at = der.at;
    if (x && d2i_X509(&x, &at, (long)der.n) && at == der.at + der.n)
        return x;
    X509_free(x);
    return NULL;
}

/* The message's certificates, the server's own first. NULL: malformed. */
static STACK_OF(X509) *auth_read(const struct weft__t13 *t, struct weft__t13_in in)
{
    STACK_OF(X509) *chain = sk_X509_new_null();
    bool ok = chain && weft__t13_list(&in, 1).n == 0;   /* the context of a request that was not made */
    struct weft__t13_in all = weft__t13_list(&in, 3);
    ok = ok && !in.bad && in.n == 0 && all.n;
    while (ok && all.n) {
        struct weft__t13_in der = weft__t13_list(&all, 3), more = weft__t13_list(&all, 2);
        X509 *x = !all.bad && der.n && more.n == 0 && sk_X509_num(chain) < AUTH_CHAIN ? auth_parse(t, der) : NULL;
        ok = x && sk_X509_push(chain, x) > 0;
        if (x && !ok)
            X509_free(x);
    }
    if (ok)
        return chain;
    sk_X509_pop_free(chain, X509_free);
    return NULL;
}

/* What the certificate must say: as tls_aim has it for OpenSSL. */
static bool auth_aim(const struct weft__t13 *t, X509_STORE_CTX *v)
{
    X509_VERIFY_PARAM *p = X509_STORE_CTX_get0_param(v);
    char name[WEFT__T13_NAME_MAX];
    X509_VERIFY_PARAM_set_auth_level(p, SSL_CTX_get_security_level(t->ctx));
    if (!X509_STORE_CTX_set_default(v, "ssl_server") || !X509_VERIFY_PARAM_set1(p, SSL_CTX_get0_param(t->ctx)))
        return false;
    X509_VERIFY_PARAM_set_hostflags(p, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    if (t->name)
        return X509_VERIFY_PARAM_set1_host(p, t->name, 0) == 1;
    size_t n = strrchr(t->key, ':') - t->key;
    if (n >= sizeof name)
        return false;
    memcpy(name, t->key, n);
    name[n] = '\0';
    return X509_VERIFY_PARAM_set1_ip_asc(p, name) == 1;
}

/* Go up the chain. True: it is good, and until when. */
static bool auth_judge(const struct weft__t13 *t, STACK_OF(X509) *chain, struct weft__tls_dates *ret)
{
    X509_STORE_CTX *v = X509_STORE_CTX_new_ex(t->shared->library, NULL);
    X509_STORE *store = NULL;
    (void)SSL_CTX_get0_verify_cert_store(t->ctx, &store);   /* of its own where openssl.cnf has VerifyCAFile */
    bool ok = v && X509_STORE_CTX_init(v, store ? store : SSL_CTX_get_cert_store(t->ctx), sk_X509_value(chain, 0), chain) == 1 &&
              auth_aim(t, v) && X509_verify_cert(v) == 1 && X509_STORE_CTX_get_error(v) == X509_V_OK && weft__tls_chain_dates(v, ret);
    X509_STORE_CTX_free(v);
    return ok;
}

/* A certificate that was not seen before. True: ret has references. */
static bool auth_meet(struct weft__t13 *t, struct weft__t13_in in, struct weft__t13_cert *ret)
{
    STACK_OF(X509) *chain = auth_read(t, in);
    bool ok = chain && (t->insecure || auth_judge(t, chain, &ret->dates));
    if (ok) {
        ret->cert = sk_X509_shift(chain);
        ret->key = X509_get_pubkey(ret->cert);
        ok = ret->key && (weft__tls_dates_of(ret->cert, &ret->leaf) || t->insecure);
    }
    sk_X509_pop_free(chain, X509_free);
    if (ok)
        return true;
    X509_free(ret->cert);
    EVP_PKEY_free(ret->key);
    return false;
}

bool weft__t13_certificate(struct weft__t13 *t, struct weft__t13_in in)
{
    struct weft__t13_cert c = {.until = weft_now() + WEFT__TLS_SEEN};
    unsigned char digest[SHA256_DIGEST_LENGTH];
    SHA256(in.at, in.n, digest);
    if (!weft__t13_cert_get(t->shared->hosts, t->key, digest, &c)) {
        memcpy(c.digest, digest, sizeof digest);
        if (!auth_meet(t, in, &c))
            return false;
        if (!t->insecure)
            weft__t13_cert_put(t->shared->hosts, t->key, &c);
    }
    t->cert = c.cert;
    t->shake->key = c.key;
    t->dates = c.leaf;
    t->verified = !t->insecure;
    return true;
}

/* ---- the signature ---- */

/* RFC 8446 4.2.3: what may sign a handshake of TLS 1.3. */
static const struct auth_scheme {
    uint16_t id;
    const char *kind, *digest, *group;   /* of the key; digest NULL: the kind's own */
} auth_schemes[] = {
    {0x0403, "EC", "SHA2-256", "prime256v1"}, {0x0503, "EC", "SHA2-384", "secp384r1"}, {0x0603, "EC", "SHA2-512", "secp521r1"},
    {0x0804, "RSA", "SHA2-256", NULL},        {0x0805, "RSA", "SHA2-384", NULL},       {0x0806, "RSA", "SHA2-512", NULL},
    {0x0807, "ED25519", NULL, NULL},          {0x0808, "ED448", NULL, NULL},           {0x0809, "RSA-PSS", "SHA2-256", NULL},
    {0x080a, "RSA-PSS", "SHA2-384", NULL},    {0x080b, "RSA-PSS", "SHA2-512", NULL},
};

/* The scheme of a number, if it was offered and fits the key. */
static const struct auth_scheme *auth_scheme_of(const struct weft__t13 *t, uint32_t id)
{
    const struct weft__t13_shared *s = t->shared;
    bool offered = false;
    for (int i = 2; i + 1 < s->sigs_len; i += 2)
        offered = offered || ((uint32_t)s->sigs[i] << 8 | s->sigs[i + 1]) == id;
    for (size_t i = 0; offered && i < sizeof auth_schemes / sizeof *auth_schemes; i++) {
        const struct auth_scheme *a = &auth_schemes[i];
        char group[32];
        if (a->id != id)
            continue;
        if (!EVP_PKEY_is_a(t->shake->key, a->kind))
            return NULL;
        if (a->group && (EVP_PKEY_get_group_name(t->shake->key, group, sizeof group, NULL) != 1 || strcmp(group, a->group) != 0))
            return NULL;
        return a;
    }
    return NULL;
}

bool weft__t13_verify(struct weft__t13 *t, struct weft__t13_in in, const unsigned char *hash)
{
    static const char says[] = "TLS 1.3, server CertificateVerify";   /* with its 0 */
    unsigned char text[64 + sizeof says + WEFT__T13_HASH_MAX];
    const struct auth_scheme *a = auth_scheme_of(t, weft__t13_int(&in, 2));
    struct weft__t13_in sig = weft__t13_list(&in, 2);
    size_t n = weft__t13_hash_len(t->suite->big);
    if (!a || in.bad || in.n)
        return false;
    memset(text, ' ', 64);
    memcpy(text + 64, says, sizeof says);
    memcpy(text + 64 + sizeof says, hash, n);
    EVP_MD_CTX *c = EVP_MD_CTX_new();
    EVP_PKEY_CTX *p = NULL;
    bool ok = c && EVP_DigestVerifyInit_ex(c, &p, a->digest, t->shared->library, NULL, t->shake->key, NULL) == 1;
    if (ok && strncmp(a->kind, "RSA", 3) == 0)
        ok = EVP_PKEY_CTX_set_rsa_padding(p, RSA_PKCS1_PSS_PADDING) == 1 &&
             EVP_PKEY_CTX_set_rsa_pss_saltlen(p, RSA_PSS_SALTLEN_DIGEST) == 1;
    ok = ok && EVP_DigestVerify(c, sig.at, sig.n, text, 64 + sizeof says + n) == 1;
    EVP_MD_CTX_free(c);
    return ok;
}
