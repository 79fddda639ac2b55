/*
 * test_tls_kdf.c - the key schedule of TLS 1.3 that clients use instead of OpenSSL's: src/net/tls/tls_kdf.c.
 */
#include <openssl/core_names.h>
#include <openssl/kdf.h>
#include <openssl/rand.h>
#include <string.h>

#include "../../src/net/tls/tls_int.h"
#include "weft_test.h"

struct step {
    int mode;
    const char *digest;
    struct { unsigned char *at; size_t n; } key, salt, label, data; /* NULL: not given */
};

/* 1: n bytes of out are what the library context's TLS13-KDF makes of a step. */
static int kdf(OSSL_LIB_CTX *library, const struct step *s, unsigned char *out, size_t n)
{
    OSSL_PARAM all[8], *p = all;
    int mode = s->mode;
    EVP_KDF *fetched = EVP_KDF_fetch(library, OSSL_KDF_NAME_TLS1_3_KDF, NULL);
    EVP_KDF_CTX *c = EVP_KDF_CTX_new(fetched);
    EVP_KDF_free(fetched);
    REQUIRE(c != NULL);
    *p++ = OSSL_PARAM_construct_int(OSSL_KDF_PARAM_MODE, &mode);
    *p++ = OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, (char *)(uintptr_t)s->digest, 0);
    if (s->key.at)
        *p++ = OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_KEY, s->key.at, s->key.n);
    if (s->salt.at)
        *p++ = OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_SALT, s->salt.at, s->salt.n);
    *p++ = OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_PREFIX, "tls13 ", 6);
    *p++ = OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_LABEL, s->label.at, s->label.n);
    if (s->data.at)
        *p++ = OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_DATA, s->data.at, s->data.n);
    *p = OSSL_PARAM_construct_end();
    int ok = EVP_KDF_derive(c, out, n, all);
    EVP_KDF_CTX_free(c);
    return ok;
}

static size_t unhex(const char *text, unsigned char *ret)
{
    size_t n = 0;
    for (; *text; text += 2)
        sscanf(text, "%2hhx", &ret[n++]);
    return n;
}

static void expect_hex(const unsigned char *got, const char *want)
{
    unsigned char bytes[64];
    size_t n = unhex(want, bytes);
    EXPECT(memcmp(got, bytes, n) == 0);
}

/* RFC 8448 3, a simple handshake: its secrets in turn. */
TEST(tls_kdf, it_derives_the_secrets_of_rfc_8448)
{
    static unsigned char derived[] = "derived", label[] = "s hs traffic", key[] = "key", iv[] = "iv", finished[] = "finished";
    unsigned char early[32], hands[32], master[32], shared[32], hello[32], traffic[32], out[32];
    OSSL_LIB_CTX *lean = weft__tls_lean();
    REQUIRE(lean != NULL);
    struct step s = {.mode = EVP_KDF_HKDF_MODE_EXTRACT_ONLY, .digest = "SHA2-256", .label = {derived, 7}};
    EXPECT_EQ(kdf(lean, &s, early, 32), 1);
    expect_hex(early, "33ad0a1c607ec03b09e6cd9893680ce210adf300aa1f2660e1b22e10f170f92a");
    unhex("8bd4054fb55b9d63fdfbacf9f04b9f0d35e6d63f537563efd46272900f89492d", shared);
    s.key.at = shared, s.key.n = 32, s.salt.at = early, s.salt.n = 32;
    EXPECT_EQ(kdf(lean, &s, hands, 32), 1);
    expect_hex(hands, "1dc826e93606aa6fdc0aadc12f741b01046aa6b99f691ed221a9f0ca043fbeac");
    s.key.at = NULL, s.salt.at = hands;
    EXPECT_EQ(kdf(lean, &s, master, 32), 1);
    expect_hex(master, "18df06843d13a08bf2a449844c5f8a478001bc4d4c627984d5a41da8d0402919");
    unhex("860c06edc07858ee8e78f0e7428c58edd6b43f2ca3e6e95f02ed063cf0e1cad8", hello);
    s = (struct step){.mode = EVP_KDF_HKDF_MODE_EXPAND_ONLY, .digest = "SHA256", .key = {hands, 32}, .label = {label, 12}, .data = {hello, 32}};
    EXPECT_EQ(kdf(lean, &s, traffic, 32), 1);
    expect_hex(traffic, "b67b7d690cc16c4e75e54213cb2d37b4e9c912bcded9105d42befd59d391ad38");
    s = (struct step){.mode = EVP_KDF_HKDF_MODE_EXPAND_ONLY, .digest = "SHA256", .key = {traffic, 32}, .label = {key, 3}};
    EXPECT_EQ(kdf(lean, &s, out, 16), 1);
    expect_hex(out, "3fce516009c21727d0f2e4e86ee403bc");
    s.label.at = iv, s.label.n = 2;
    EXPECT_EQ(kdf(lean, &s, out, 12), 1);
    expect_hex(out, "5d313eb2671276ee13000b30");
    s.label.at = finished, s.label.n = 8;
    EXPECT_EQ(kdf(lean, &s, out, 32), 1);
    expect_hex(out, "008d3b66f816ea559f96b537e885c31fc068bf492c652f01f288a1d8cdc19fc8");
}

/* n drawn at random, below limit. */
static size_t drawn(size_t limit)
{
    unsigned x;
    REQUIRE(RAND_bytes((unsigned char *)&x, sizeof x) == 1);
    return x % limit;
}

TEST(tls_kdf, it_derives_what_openssl_does)
{
    unsigned char bytes[256], ours[512], theirs[512];
    OSSL_LIB_CTX *lean = weft__tls_lean();
    REQUIRE(lean != NULL);
    for (int i = 0; i < 2000; i++) {
        bool big = i & 1, extract = i & 2;
        size_t hash = big ? 48 : 32, n = extract ? hash : 1 + drawn(sizeof ours);
        REQUIRE(RAND_bytes(bytes, sizeof bytes) == 1);
        struct step s = {.mode = extract ? EVP_KDF_HKDF_MODE_EXTRACT_ONLY : EVP_KDF_HKDF_MODE_EXPAND_ONLY,
                         .digest = big ? "SHA2-384" : "SHA2-256", .label = {bytes + 48, 1 + drawn(12)}};
        if (i & 4 || !extract)
            s.key.at = bytes, s.key.n = extract ? 1 + drawn(200) : hash;
        if (i & 8)
            s.salt.at = bytes + 100, s.salt.n = hash;
        if (i & 16)
            s.data.at = bytes + 150, s.data.n = 1 + drawn(64);
        EXPECT_EQ(kdf(NULL, &s, theirs, n), 1);
        EXPECT_EQ(kdf(lean, &s, ours, n), 1);
        if (memcmp(ours, theirs, n) != 0)
            weft_test_fail(__FILE__, __LINE__, "case %d, %zu bytes", i, n);
    }
}

TEST(tls_kdf, it_refuses_what_it_does_not_know)
{
    static unsigned char zeros[256], label[] = "key";
    unsigned char out[64];
    OSSL_LIB_CTX *lean = weft__tls_lean();
    REQUIRE(lean != NULL);
    struct step good = {.mode = EVP_KDF_HKDF_MODE_EXPAND_ONLY, .digest = "SHA2-256", .key = {zeros, 32}, .label = {label, 3}};
    struct step digest = good, mode = good, key = good, longer = good, data = good, none = good;
    digest.digest = "SHA2-512";
    mode.mode = EVP_KDF_HKDF_MODE_EXTRACT_AND_EXPAND;
    key.key.n = 65;
    longer.label.at = data.data.at = zeros;
    longer.label.n = 250, data.data.n = 256;
    none.key.at = NULL;
    const struct step *bad[] = {&digest, &mode, &key, &longer, &data, &none};
    EXPECT_EQ(kdf(lean, &good, out, 64), 1);
    for (int i = 0; i < 6; i++)
        if (kdf(lean, bad[i], out, 32) > 0)
            weft_test_fail(__FILE__, __LINE__, "step %d", i);
    struct step extract = {.mode = EVP_KDF_HKDF_MODE_EXTRACT_ONLY, .digest = "SHA2-256", .label = {label, 3}};
    EXPECT(kdf(lean, &extract, out, 31) <= 0);
}
