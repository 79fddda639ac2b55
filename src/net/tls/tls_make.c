/*
 * tls_make.c - an SSL_CTX of OpenSSL made from a config: options, trust, own certificates, names.
 *
 * Role    tls_shared.c asks for one per set of values; the sessions, tickets and verified chains that belong to it hang on
 *         its ex_data (struct weft__tls_extra) and are freed with it. Layer 4.
 *
 * A server's certificates for other names (config->more) are SSL_CTX of their own, made in the same way: the handshake
 * changes over to one of them when the client asks for a name that it carries and the first one does not.
 *
 * Limits  256 certificates more, looked through one by one.
 * Failure WEFT_ECERT (a file does not hold what it should), -ENOENT and others (a file cannot be read), WEFT_EINVAL,
 *         WEFT_ENOMEM.
 * Source  SSL_CTX_new(3), SSL_CTX_set_alpn_select_cb(3), SSL_CTX_set_tlsext_servername_callback(3); RFC 7301, 6066 3; Go
 *         crypto/tls Config.getCertificate, negotiateALPN, ClientAuth.
 */
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <string.h>

#include "../../sys/sys.h"
#include "../tls13/t13.h"
#include "tls_int.h"

enum { TLS_MORE_MAX = 256 };

void weft__tls_queue_text(char *ret, size_t n)
{
    unsigned long e = ERR_peek_last_error();
    const char *words = e ? ERR_reason_error_string(e) : NULL;
    snprintf(ret, n, "%s", words ? words : "TLS failure");
}

/* ---- ALPN and names ---- */

/* "h2,http/1.1" to length-prefixed. False: too long or an empty name. */
static bool make_alpn_wire(const char *text, struct weft__tls_extra *x)
{
    while (text && *text) {
        size_t n = strcspn(text, ",");
        if (n == 0 || n > 31 || x->alpn_len + n + 1 > sizeof x->alpn)
            return false;
        x->alpn[x->alpn_len++] = (unsigned char)n;
        memcpy(x->alpn + x->alpn_len, text, n);
        x->alpn_len += (unsigned)n;
        text += n + (text[n] == ',');
    }
    return true;
}

/* Is a protocol in a list of the wire's form? */
static bool make_alpn_has(const unsigned char *list, unsigned len, const char *name)
{
    size_t n = strlen(name);
    for (unsigned i = 0; i < len; i += 1u + list[i])
        if (list[i] == n && i + 1 + n <= len && memcmp(list + i + 1, name, n) == 0)
            return true;
    return false;
}

static int make_alpn_choose(SSL *ssl, const unsigned char **out, unsigned char *out_len, const unsigned char *in,
                            unsigned in_len, void *arg)
{
    struct weft__tls_extra *x = arg;
    unsigned char *chosen;
    (void)ssl;
    if (SSL_select_next_proto(&chosen, out_len, x->alpn, x->alpn_len, in, in_len) != OPENSSL_NPN_NEGOTIATED)
        /* As Go: an old client of a server of HTTP/2 goes on without; others do not know what they would speak. */
        return make_alpn_has(x->alpn, x->alpn_len, "h2") && make_alpn_has(in, in_len, "http/1.1") ? SSL_TLSEXT_ERR_NOACK
                                                                                                  : SSL_TLSEXT_ERR_ALERT_FATAL;
    *out = chosen;
    return SSL_TLSEXT_ERR_OK;
}

static bool make_carries(SSL_CTX *ctx, const char *name)
{
    X509 *cert = SSL_CTX_get0_certificate(ctx);
    return cert && X509_check_host(cert, name, 0, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS, NULL) == 1;
}

static int make_name_asked(SSL *ssl, int *alert, void *arg)
{
    struct weft__tls_extra *x = arg;
    const char *name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
    (void)alert;
    if (!name)
        return SSL_TLSEXT_ERR_NOACK;
    if (x->more_len && !make_carries(SSL_get_SSL_CTX(ssl), name))
        for (int i = 0; i < x->more_len; i++)
            if (make_carries(x->more[i], name)) {
                SSL_set_SSL_CTX(ssl, x->more[i]);
                break;
            }
    return SSL_TLSEXT_ERR_OK;
}

/* ---- files ---- */

static weft_err make_load_trust(SSL_CTX *ctx, const struct weft_tls_config *c)
{
    if (!c->ca_file && !c->ca_dir)
        return SSL_CTX_set_default_verify_paths(ctx) ? 0 : WEFT_ECERT;
    return SSL_CTX_load_verify_locations(ctx, c->ca_file, c->ca_dir) ? 0 : WEFT_ECERT;
}

static weft_err make_load_own(SSL_CTX *ctx, const struct weft_tls_config *c)
{
    if (!c->cert_file)
        return 0;
    return SSL_CTX_use_certificate_chain_file(ctx, c->cert_file) == 1 &&
                   SSL_CTX_use_PrivateKey_file(ctx, c->key_file, SSL_FILETYPE_PEM) == 1 && SSL_CTX_check_private_key(ctx) == 1
               ? 0
               : WEFT_ECERT;
}

/* A certificate of the client's that was asked for and is not judged. */
static int make_verify_any(int ok, X509_STORE_CTX *v)
{
    (void)ok, (void)v;
    return 1;
}

static weft_err make_client_auth(SSL_CTX *ctx, const struct weft_tls_config *c)
{
    int auth = c->client_auth;
    if (auth == WEFT_TLS_CLIENT_NONE)
        return 0;
    if (auth == WEFT_TLS_CLIENT_ASK || auth == WEFT_TLS_CLIENT_ANY) {
        SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER | (auth == WEFT_TLS_CLIENT_ANY ? SSL_VERIFY_FAIL_IF_NO_PEER_CERT : 0), make_verify_any);
        return 0;
    }
    SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER | (auth == WEFT_TLS_CLIENT_REQUIRE ? SSL_VERIFY_FAIL_IF_NO_PEER_CERT : 0), NULL);
    if (c->ca_file) {
        STACK_OF(X509_NAME) *names = SSL_load_client_CA_file(c->ca_file);
        if (!names)
            return WEFT_ECERT;
        SSL_CTX_set_client_CA_list(ctx, names);
    }
    return make_load_trust(ctx, c);
}

/* ---- options ---- */

static weft_err make_server(SSL_CTX *ctx, const struct weft_tls_config *c, struct weft__tls_extra *x)
{
    static const unsigned char id[] = "weft";
    SSL_CTX_set_session_id_context(ctx, id, sizeof id);
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF); /* tickets carry the state */
    if (!x->tickets && !(x->tickets = weft__tls_tickets_new()))
        return WEFT_ENOMEM;
    weft__tls_tickets_use(ctx);
    if (x->alpn_len)
        SSL_CTX_set_alpn_select_cb(ctx, make_alpn_choose, x);
    SSL_CTX_set_tlsext_servername_callback(ctx, make_name_asked);
    SSL_CTX_set_tlsext_servername_arg(ctx, x);
    return make_client_auth(ctx, c);
}

/* AES-128 with SHA-256 first, as Go has it: a tenth less work in a handshake than OpenSSL's order, AES-256 with SHA-384 first.
 * An order that somebody chose for the system stays. */
static void make_order_ciphers(SSL_CTX *ctx)
{
    static const uint32_t usual[] = {TLS1_3_CK_AES_256_GCM_SHA384, TLS1_3_CK_CHACHA20_POLY1305_SHA256, TLS1_3_CK_AES_128_GCM_SHA256};
    STACK_OF(SSL_CIPHER) *list = SSL_CTX_get_ciphers(ctx);
    for (int i = 0; i < 3; i++)
        if (sk_SSL_CIPHER_num(list) < 3 || SSL_CIPHER_get_id(sk_SSL_CIPHER_value(list, i)) != usual[i])
            return;
    (void)SSL_CTX_set_ciphersuites(ctx, "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256");
}

/* A cipher that takes a shared key or password, which no client of ours has: OpenSSL never offers it, but looks at it for each
 * hello, four times. */
static bool make_idle_cipher(const SSL_CIPHER *c)
{
    static const int idle[] = {NID_kx_psk, NID_kx_ecdhe_psk, NID_kx_dhe_psk, NID_kx_rsa_psk, NID_kx_srp};
    for (int i = 0; i < 5; i++)
        if (SSL_CIPHER_get_kx_nid(c) == idle[i])
            return true;
    return false;
}

/* The list for TLS 1.2 less those, in its order. Where memory is short it stays, as it is right too. */
static void make_drop_ciphers(SSL_CTX *ctx)
{
    STACK_OF(SSL_CIPHER) *list = SSL_CTX_get_ciphers(ctx);
    size_t n = 1;
    for (int i = 0; i < sk_SSL_CIPHER_num(list); i++)
        n += strlen(SSL_CIPHER_get_name(sk_SSL_CIPHER_value(list, i))) + 1;
    char *names = malloc(n), *at = names;
    if (!names)
        return;
    for (int i = 0; i < sk_SSL_CIPHER_num(list); i++) {
        const SSL_CIPHER *c = sk_SSL_CIPHER_value(list, i);
        if (SSL_CIPHER_get_kx_nid(c) == NID_kx_any || make_idle_cipher(c))   /* any: of TLS 1.3, in a list of its own */
            continue;
        if (at > names)
            *at++ = ':';
        at = stpcpy(at, SSL_CIPHER_get_name(c));
    }
    if (at > names)
        (void)SSL_CTX_set_cipher_list(ctx, names);
    weft__sys_free(names);
}

static weft_err make_client(SSL_CTX *ctx, const struct weft_tls_config *c, struct weft__tls_extra *x)
{
    make_order_ciphers(ctx);
    make_drop_ciphers(ctx);
    SSL_CTX_set_verify(ctx, c->insecure ? SSL_VERIFY_NONE : SSL_VERIFY_PEER, NULL);
    if (x->alpn_len && SSL_CTX_set_alpn_protos(ctx, x->alpn, x->alpn_len) != 0)
        return WEFT_EINVAL;
    if (!c->insecure) {
        if (!(x->seen = weft__tls_seen_new()))
            return WEFT_ENOMEM;
        SSL_CTX_set_cert_verify_callback(ctx, weft__tls_seen_verify, x->seen);
    }
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    if (c->no_session_cache)
        return make_load_trust(ctx, c);
    SSL_CTX_sess_set_new_cb(ctx, weft__tls_session_new);
    if (!(x->sessions = weft__tls_sessions_new()))
        return WEFT_ENOMEM;
    return make_load_trust(ctx, c);
}

static weft_err make_set_up(SSL_CTX *ctx, const struct weft_tls_config *c, bool server, struct weft__tls_extra *x)
{
    int min = c->min_version ? c->min_version : WEFT_TLS_1_2;
    if (min < WEFT_TLS_1_2 || !SSL_CTX_set_min_proto_version(ctx, min) || !make_alpn_wire(c->alpn, x))
        return WEFT_EINVAL;
    SSL_CTX_set_mode(ctx, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_RELEASE_BUFFERS);
    SSL_CTX_set_options(ctx, SSL_OP_NO_RENEGOTIATION);
    SSL_CTX_set_read_ahead(ctx, 1);
    weft_err err = server ? make_server(ctx, c, x) : make_client(ctx, c, x);
    return err ? err : make_load_own(ctx, c);
}

/* The certificates of other names, with the tickets of the first. */
static weft_err make_more(const struct weft_tls_config *c, int index, struct weft__tls_extra *x, struct weft__tls_fail *fail)
{
    if (c->more_count == 0)
        return 0;
    x->more = weft__sys_alloc((size_t)c->more_count * sizeof *x->more);
    if (!x->more)
        return fail->err = WEFT_ENOMEM;
    for (int i = 0; i < c->more_count; i++) {
        struct weft_tls_config one = *c;
        one.cert_file = c->more[i].cert_file;
        one.key_file = c->more[i].key_file;
        one.more_count = 0;
        struct weft__tls_extra *sub = weft__sys_alloc(sizeof *sub);
        if (!sub)
            return fail->err = WEFT_ENOMEM;
        sub->tickets = weft__tls_tickets_ref(x->tickets);
        x->more[i] = weft__tls_make(&one, true, index, sub, fail);
        if (!x->more[i])
            return fail->err;
        x->more_len = i + 1;
    }
    return 0;
}

/* Reads files: between weft_block_begin and _end. OpenSSL's error words are taken here, on the thread that has them. */
SSL_CTX *weft__tls_make(const struct weft_tls_config *c, bool server, int index, struct weft__tls_extra *x,
                        struct weft__tls_fail *fail)
{
    ERR_clear_error();
    OSSL_LIB_CTX *library = server || c->cert_file ? NULL : weft__tls_lean();
    SSL_CTX *ctx = SSL_CTX_new_ex(library, NULL, server ? TLS_server_method() : TLS_client_method());
    if (!ctx || !SSL_CTX_set_ex_data(ctx, index, x)) {
        weft__tls_tickets_unref(x->tickets);
        weft__sys_free(x);
        SSL_CTX_free(ctx);
        fail->err = WEFT_ENOMEM;
        return NULL;
    }
    fail->err = make_set_up(ctx, c, server, x);
    if (fail->err == WEFT_ECERT)
        weft__tls_queue_text(fail->text, sizeof fail->text);
    else if (fail->err)
        snprintf(fail->text, sizeof fail->text, "%s", weft_strerror(fail->err));
    if (!fail->err)
        (void)make_more(c, index, x, fail);
    if (!fail->err && library)
        x->own = weft__t13_shared_new(ctx, library, !c->no_session_cache);
    if (!fail->err)
        return ctx;
    SSL_CTX_free(ctx); /* and x */
    return NULL;
}

/* ---- before anything is tried ---- */

static weft_err make_readable(const char *path, struct weft__tls_fail *fail)
{
    if (path && access(path, R_OK) != 0) {
        fail->err = -errno;
        snprintf(fail->text, sizeof fail->text, "%.150s: %s", path, weft_strerror(fail->err));
    }
    return fail->err;
}

weft_err weft__tls_config_bad(const struct weft_tls_config *c, bool server, struct weft__tls_fail *fail)
{
    const char *why = NULL;
    bool pairs = !c->cert_file == !c->key_file, few = c->more_count >= 0 && c->more_count <= TLS_MORE_MAX;
    for (int i = 0; few && i < c->more_count; i++)
        pairs = pairs && c->more && c->more[i].cert_file && c->more[i].key_file;
    if ((server && !c->cert_file) || !pairs)
        why = "cert_file and key_file go together; a server needs them";
    else if (!few || (c->more_count && !server))
        why = "more certificates are for servers, 256 at most";
    else if (c->client_auth < 0 || c->client_auth > WEFT_TLS_CLIENT_REQUIRE || (c->client_auth && !server))
        why = "client_auth is for servers";
    else if (c->client_auth >= WEFT_TLS_CLIENT_VERIFY && !c->ca_file && !c->ca_dir)
        why = "to verify clients takes a ca_file or ca_dir";
    if (!why)
        return 0;
    snprintf(fail->text, sizeof fail->text, "%s", why);
    return fail->err = WEFT_EINVAL;
}

weft_err weft__tls_files_bad(const struct weft_tls_config *c, struct weft__tls_fail *fail)
{
    const char *files[] = {c->ca_file, c->ca_dir, c->cert_file, c->key_file};
    for (int i = 0; i < 4 && !fail->err; i++)
        (void)make_readable(files[i], fail);
    for (int i = 0; i < c->more_count && !fail->err; i++)
        if (!make_readable(c->more[i].cert_file, fail))
            (void)make_readable(c->more[i].key_file, fail);
    return fail->err;
}
