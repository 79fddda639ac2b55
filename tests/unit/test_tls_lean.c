/*
 * test_tls_lean.c - the library context of TLS clients beside OpenSSL's own: src/net/tls/tls_lean.c, tls_x25519.c,
 * tls_eckey.c.
 */
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/rsa.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <string.h>

#include "../../src/net/tls/tls_int.h"
#include "weft_test.h"

TEST(tls_lean, clients_offer_the_ciphers_that_openssl_would)
{
    OSSL_LIB_CTX *lean = weft__tls_lean();
    REQUIRE(lean != NULL);
    SSL_CTX *a = SSL_CTX_new_ex(lean, NULL, TLS_client_method()), *b = SSL_CTX_new(TLS_client_method());
    REQUIRE(a && b);
    STACK_OF(SSL_CIPHER) *ours = SSL_CTX_get_ciphers(a), *theirs = SSL_CTX_get_ciphers(b);
    EXPECT(sk_SSL_CIPHER_num(ours) > 20);
    EXPECT_EQ(sk_SSL_CIPHER_num(ours), sk_SSL_CIPHER_num(theirs));
    for (int i = 0; i < sk_SSL_CIPHER_num(ours) && i < sk_SSL_CIPHER_num(theirs); i++)
        EXPECT_STR(SSL_CIPHER_get_name(sk_SSL_CIPHER_value(ours, i)), SSL_CIPHER_get_name(sk_SSL_CIPHER_value(theirs, i)));
    SSL_CTX_free(a);
    SSL_CTX_free(b);
}

/* The next cipher of a list that is not of TLS 1.3; NULL: there is none. */
static const char *next_cipher(STACK_OF(SSL_CIPHER) *list, int *at)
{
    while (*at < sk_SSL_CIPHER_num(list)) {
        const SSL_CIPHER *c = sk_SSL_CIPHER_value(list, (*at)++);
        if (SSL_CIPHER_get_kx_nid(c) != NID_kx_any)
            return SSL_CIPHER_get_name(c);
    }
    return NULL;
}

/* What is dropped from the list (tls_make.c) would not have been offered. */
TEST(tls_lean, a_clients_hello_has_every_cipher_that_openssl_would_offer)
{
    struct weft_tls_config config = {.insecure = true};
    struct weft__tls_fail fail = {0};
    SSL_CTX *a = weft__tls_shared_get(&config, false, &fail), *b = SSL_CTX_new(TLS_client_method());
    REQUIRE(a && b && SSL_CTX_set_min_proto_version(b, TLS1_2_VERSION) == 1);
    SSL *ours = SSL_new(a), *theirs = SSL_new(b);
    REQUIRE(ours && theirs);
    EXPECT(sk_SSL_CIPHER_num(SSL_get_ciphers(ours)) < sk_SSL_CIPHER_num(SSL_get_ciphers(theirs)));
    STACK_OF(SSL_CIPHER) *mine = SSL_get1_supported_ciphers(ours), *want = SSL_get1_supported_ciphers(theirs);
    REQUIRE(mine && want);
    EXPECT_EQ(sk_SSL_CIPHER_num(mine), sk_SSL_CIPHER_num(want));
    const char *name = "";
    for (int i = 0, j = 0, n = 0; name; n++) {
        const char *other = next_cipher(mine, &i);
        name = next_cipher(want, &j);
        EXPECT(name ? other && strcmp(name, other) == 0 : !other && n > 10);
    }
    sk_SSL_CIPHER_free(mine);
    sk_SSL_CIPHER_free(want);
    SSL_free(ours);
    SSL_free(theirs);
    SSL_CTX_free(a);
    SSL_CTX_free(b);
}

static EVP_PKEY *share(OSSL_LIB_CTX *library, const char *group)
{
    EVP_PKEY *key = NULL;
    EVP_PKEY_CTX *c = EVP_PKEY_CTX_new_from_name(library, "X25519", NULL);
    REQUIRE(c && EVP_PKEY_keygen_init(c) == 1);
    if (EVP_PKEY_CTX_set_group_name(c, group) == 1)
        EXPECT_EQ(EVP_PKEY_generate(c, &key), 1);
    EVP_PKEY_CTX_free(c);
    return key;
}

/* T12: OpenSSL finds the same public half by its own way, and agrees on the same secret. */
TEST(tls_lean, x25519_shares_are_whole_keys)
{
    unsigned char secret[32], last[32] = {0}, public[32], want[32];
    OSSL_LIB_CTX *lean = weft__tls_lean();
    REQUIRE(lean != NULL);
    for (int i = 0; i < 200; i++) {
        size_t n = 32;
        EVP_PKEY *key = share(lean, "x25519");
        REQUIRE(key && EVP_PKEY_get_raw_private_key(key, secret, &n) == 1 && EVP_PKEY_get_raw_public_key(key, public, &n) == 1);
        EVP_PKEY *same = EVP_PKEY_new_raw_private_key(EVP_PKEY_X25519, NULL, secret, 32);
        REQUIRE(same && EVP_PKEY_get_raw_public_key(same, want, &n) == 1);
        EXPECT(memcmp(public, want, 32) == 0);
        EXPECT((secret[0] & 7) == 0 && (secret[31] & 192) == 64);
        EXPECT(memcmp(secret, last, 32) != 0);
        memcpy(last, secret, 32);
        EVP_PKEY_free(same);
        EVP_PKEY_free(key);
    }
}

TEST(tls_lean, x25519_shares_agree_with_openssls)
{
    unsigned char ours[32], theirs[32], public[32], theirs_public[32];
    size_t n = 32, m = 32;
    OSSL_LIB_CTX *lean = weft__tls_lean();
    REQUIRE(lean != NULL);
    EVP_PKEY *a = share(lean, "X25519"), *b = share(NULL, "X25519");
    REQUIRE(a && b && EVP_PKEY_get_raw_public_key(a, public, &n) == 1 && EVP_PKEY_get_raw_public_key(b, theirs_public, &n) == 1);
    EVP_PKEY *peer_a = EVP_PKEY_new_raw_public_key(EVP_PKEY_X25519, NULL, public, 32);
    EVP_PKEY *peer_b = EVP_PKEY_new_raw_public_key_ex(lean, "X25519", NULL, theirs_public, 32);
    EVP_PKEY_CTX *ca = EVP_PKEY_CTX_new_from_pkey(lean, a, NULL), *cb = EVP_PKEY_CTX_new(b, NULL);
    REQUIRE(ca && cb && EVP_PKEY_derive_init(ca) == 1 && EVP_PKEY_derive_init(cb) == 1);
    EXPECT_EQ(EVP_PKEY_derive_set_peer(ca, peer_b), 1);
    EXPECT_EQ(EVP_PKEY_derive_set_peer(cb, peer_a), 1);
    EXPECT_EQ(EVP_PKEY_derive(ca, ours, &n), 1);
    EXPECT_EQ(EVP_PKEY_derive(cb, theirs, &m), 1);
    EXPECT(n == 32 && m == 32 && memcmp(ours, theirs, 32) == 0);
    EVP_PKEY_CTX_free(ca);
    EVP_PKEY_CTX_free(cb);
    EVP_PKEY_free(peer_a);
    EVP_PKEY_free(peer_b);
    EVP_PKEY_free(a);
    EVP_PKEY_free(b);
}

TEST(tls_lean, an_x25519_share_is_of_no_other_group)
{
    OSSL_LIB_CTX *lean = weft__tls_lean();
    REQUIRE(lean != NULL);
    EXPECT(share(lean, "x448") == NULL);
}

/* RFC 7748 6.1 as a key encapsulation, which is how libssl asks for it: the peer's public key is what is opened. */
TEST(tls_lean, a_servers_x25519_share_is_opened)
{
    unsigned char opened[32], agreed[32], share_of_peer[32], none[32] = {0};
    size_t n = 32, m = 32, size = 0;
    OSSL_LIB_CTX *lean = weft__tls_lean();
    REQUIRE(lean != NULL);
    EVP_PKEY *a = share(lean, "x25519"), *b = share(NULL, "x25519");
    REQUIRE(a && b && EVP_PKEY_get_raw_public_key(b, share_of_peer, &n) == 1);
    EVP_PKEY_CTX *kem = EVP_PKEY_CTX_new_from_pkey(lean, a, NULL), *exchange = EVP_PKEY_CTX_new_from_pkey(lean, a, NULL);
    if (kem && EVP_PKEY_decapsulate_init(kem, NULL) == 1) {   /* else: a processor for which nothing is ours */
        EVP_PKEY *peer = EVP_PKEY_new_raw_public_key_ex(lean, "X25519", NULL, share_of_peer, 32);
        REQUIRE(exchange && EVP_PKEY_derive_init(exchange) == 1 && EVP_PKEY_derive_set_peer(exchange, peer) == 1);
        EXPECT_EQ(EVP_PKEY_derive(exchange, agreed, &m), 1);
        EXPECT(EVP_PKEY_decapsulate(kem, NULL, &size, share_of_peer, 32) == 1 && size == 32);
        EXPECT(EVP_PKEY_decapsulate(kem, opened, &size, share_of_peer, 32) == 1 && size == 32 && memcmp(opened, agreed, 32) == 0);
        EXPECT(EVP_PKEY_decapsulate(kem, opened, &size, share_of_peer, 31) != 1);
        EXPECT(EVP_PKEY_decapsulate(kem, opened, &size, none, 32) != 1);   /* a secret of 0 */
        size = 31;
        EXPECT(EVP_PKEY_decapsulate(kem, opened, &size, share_of_peer, 32) != 1);
        EVP_PKEY_free(peer);
    }
    ERR_clear_error();
    EVP_PKEY_CTX_free(kem);
    EVP_PKEY_CTX_free(exchange);
    EVP_PKEY_free(a);
    EVP_PKEY_free(b);
}

static void expect_kem(EVP_KEM *kem, void *seen)
{
    EVP_KEM *ours = EVP_KEM_fetch(weft__tls_lean(), EVP_KEM_get0_name(kem), NULL);
    EXPECT(ours != NULL);
    EVP_KEM_free(ours);
    ++*(int *)seen;
}

/* A group that OpenSSL offers may be one of these (X25519MLKEM768 in 3.5): without it the server's answer could not be read. */
TEST(tls_lean, clients_have_every_key_encapsulation_of_openssls)
{
    int seen = 0;
    REQUIRE(weft__tls_lean() != NULL);
    EVP_KEM_do_all_provided(NULL, expect_kem, &seen);
    EXPECT(seen > 0);
    ERR_clear_error();
}

/* ---- keys of certificates ---- */

/* A public key's DER, malloc'ed by OpenSSL. */
static int der_of(EVP_PKEY *key, unsigned char **ret)
{
    *ret = NULL;
    int n = i2d_PUBKEY(key, ret);
    REQUIRE(n > 0);
    return n;
}

static EVP_PKEY *decoded(OSSL_LIB_CTX *library, const unsigned char *der, int n)
{
    const unsigned char *at = der;
    EVP_PKEY *key = d2i_PUBKEY_ex(NULL, &at, n, library, NULL);
    EXPECT(!key || at == der + n);
    ERR_clear_error();
    return key;
}

/* Decoded by the lean context and by OpenSSL a key is the same, and is written the same. */
static void expect_same_key(EVP_PKEY *key)
{
    unsigned char *der, *again;
    OSSL_LIB_CTX *lean = weft__tls_lean();
    REQUIRE(lean && key);
    int n = der_of(key, &der);
    EVP_PKEY *ours = decoded(lean, der, n), *theirs = decoded(NULL, der, n);
    REQUIRE(ours && theirs);
    EXPECT_EQ(EVP_PKEY_eq(ours, theirs), 1);
    EXPECT_EQ(EVP_PKEY_eq(ours, key), 1);
    EXPECT_EQ(EVP_PKEY_get_bits(ours), EVP_PKEY_get_bits(theirs));
    EXPECT_EQ(EVP_PKEY_get_security_bits(ours), EVP_PKEY_get_security_bits(theirs));
    EXPECT_EQ(EVP_PKEY_get_base_id(ours), EVP_PKEY_get_base_id(theirs));
    EXPECT_EQ(der_of(ours, &again), n);
    EXPECT(memcmp(der, again, (size_t)n) == 0);
    OPENSSL_free(again);
    OPENSSL_free(der);
    EVP_PKEY_free(ours);
    EVP_PKEY_free(theirs);
    EVP_PKEY_free(key);
}

static EVP_PKEY *made(const char *kind)
{
    EVP_PKEY *key = NULL;
    EVP_PKEY_CTX *c = EVP_PKEY_CTX_new_from_name(NULL, kind, NULL);
    REQUIRE(c && EVP_PKEY_keygen_init(c) == 1 && EVP_PKEY_generate(c, &key) == 1);
    EVP_PKEY_CTX_free(c);
    return key;
}

TEST(tls_lean, keys_are_what_openssl_decodes)
{
    for (int i = 0; i < 50; i++)
        expect_same_key(EVP_EC_gen("P-256"));
    expect_same_key(EVP_EC_gen("P-384"));
    expect_same_key(EVP_EC_gen("P-521"));
    expect_same_key(EVP_EC_gen("secp256k1"));   /* as long, on another curve */
    expect_same_key(EVP_RSA_gen(2048));
    expect_same_key(EVP_PKEY_Q_keygen(NULL, NULL, "ED25519"));
    expect_same_key(EVP_PKEY_Q_keygen(NULL, NULL, "ED448"));
    expect_same_key(made("RSA-PSS"));
}

TEST(tls_lean, a_p256_key_in_another_form_is_openssls_to_decode)
{
    EVP_PKEY *key = EVP_EC_gen("P-256");
    REQUIRE(key && EVP_PKEY_set_utf8_string_param(key, OSSL_PKEY_PARAM_EC_POINT_CONVERSION_FORMAT, "compressed") == 1);
    expect_same_key(key);
    key = EVP_EC_gen("P-256");
    REQUIRE(key && EVP_PKEY_set_utf8_string_param(key, OSSL_PKEY_PARAM_EC_POINT_CONVERSION_FORMAT, "hybrid") == 1);
    expect_same_key(key);
}

TEST(tls_lean, a_key_off_its_curve_is_refused)
{
    unsigned char *der;
    EVP_PKEY *key = EVP_EC_gen("P-256");
    OSSL_LIB_CTX *lean = weft__tls_lean();
    REQUIRE(lean && key);
    int n = der_of(key, &der), refused = 0;
    for (int i = 26; i < n; i++) {
        der[i] ^= 1;
        EVP_PKEY *ours = decoded(lean, der, n), *theirs = decoded(NULL, der, n);
        EXPECT_EQ(ours != NULL, theirs != NULL);
        refused += !ours;
        EVP_PKEY_free(ours);
        EVP_PKEY_free(theirs);
        der[i] ^= 1;
    }
    EXPECT_EQ(refused, n - 26);
    EXPECT(decoded(lean, der, n - 1) == NULL);
    OPENSSL_free(der);
    EVP_PKEY_free(key);
}

/* What is copied carries the curve only: a key does not show in the next one. And a signature made by one is checked by it. */
TEST(tls_lean, a_decoded_p256_key_checks_signatures)
{
    static const unsigned char text[] = "text";
    unsigned char *der, sig[128];
    OSSL_LIB_CTX *lean = weft__tls_lean();
    REQUIRE(lean != NULL);
    EVP_PKEY *key[2], *ours[2];
    for (int i = 0; i < 2; i++) {
        key[i] = EVP_EC_gen("P-256");
        REQUIRE(key[i] != NULL);
        int n = der_of(key[i], &der);
        ours[i] = decoded(lean, der, n);
        REQUIRE(ours[i] != NULL);
        OPENSSL_free(der);
    }
    for (int i = 0; i < 2; i++)
        for (int j = 0; j < 2; j++) {
            size_t n = sizeof sig;
            EVP_MD_CTX *sign = EVP_MD_CTX_new(), *check = EVP_MD_CTX_new();
            REQUIRE(sign && check && EVP_DigestSignInit_ex(sign, NULL, "SHA256", NULL, NULL, key[i], NULL) == 1);
            REQUIRE(EVP_DigestSign(sign, sig, &n, text, sizeof text) == 1);
            REQUIRE(EVP_DigestVerifyInit_ex(check, NULL, "SHA256", lean, NULL, ours[j], NULL) == 1);
            EXPECT_EQ(EVP_DigestVerify(check, sig, n, text, sizeof text) == 1, i == j);
            EVP_MD_CTX_free(sign);
            EVP_MD_CTX_free(check);
        }
    for (int i = 0; i < 2; i++) {
        EVP_PKEY_free(key[i]);
        EVP_PKEY_free(ours[i]);
    }
    ERR_clear_error();
}

/* ---- handshakes ---- */

/* Signed by itself, a P-256 key; a reference of each is ctx's. */
static void certify(SSL_CTX *ctx)
{
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *cert = X509_new();
    REQUIRE(key && cert && X509_gmtime_adj(X509_getm_notBefore(cert), 0) && X509_gmtime_adj(X509_getm_notAfter(cert), 3600));
    REQUIRE(X509_set_pubkey(cert, key) == 1 && X509_sign(cert, key, EVP_sha256()) > 0);
    REQUIRE(SSL_CTX_use_certificate(ctx, cert) == 1 && SSL_CTX_use_PrivateKey(ctx, key) == 1);
    X509_free(cert);
    EVP_PKEY_free(key);
}

/* A client of the lean context and a server of OpenSSL's own that knows X25519 only, in memory. */
static void expect_handshake(int version)
{
    char got[8] = "";
    SSL_CTX *a = SSL_CTX_new_ex(weft__tls_lean(), NULL, TLS_client_method()), *b = SSL_CTX_new(TLS_server_method());
    REQUIRE(a && b && SSL_CTX_set1_groups_list(b, "X25519") == 1 && SSL_CTX_set_max_proto_version(b, version) == 1);
    certify(b);
    SSL *client = SSL_new(a), *server = SSL_new(b);
    BIO *near, *far;
    REQUIRE(client && server && BIO_new_bio_pair(&near, 65536, &far, 65536) == 1);
    SSL_set_bio(client, near, near);
    SSL_set_bio(server, far, far);
    SSL_set_connect_state(client);
    SSL_set_accept_state(server);
    for (int i = 0; i < 8; i++) {
        (void)SSL_do_handshake(client);
        (void)SSL_do_handshake(server);
    }
    EXPECT(SSL_is_init_finished(client) && SSL_is_init_finished(server));
    EXPECT_EQ(SSL_version(client), version);
    EXPECT_EQ(SSL_get_negotiated_group(server), NID_X25519);
    EXPECT(SSL_write(client, "text", 5) == 5 && SSL_read(server, got, sizeof got) == 5);
    EXPECT_STR(got, "text");
    SSL_free(client);
    SSL_free(server);
    SSL_CTX_free(a);
    SSL_CTX_free(b);
    ERR_clear_error();
}

/* In 1.3 the server's share is opened as a key encapsulation, in 1.2 by an exchange. */
TEST(tls_lean, clients_agree_by_x25519_in_tls_1_2_and_1_3)
{
    REQUIRE(weft__tls_lean() != NULL);
    expect_handshake(TLS1_3_VERSION);
    expect_handshake(TLS1_2_VERSION);
}
