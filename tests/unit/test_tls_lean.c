/*
 * test_tls_lean.c - the library context of TLS clients beside OpenSSL's own: src/net/tls/tls_lean.c, tls_x25519.c.
 */
#include <openssl/evp.h>
#include <openssl/ssl.h>
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
