/*
 * tls_crypto.c - the floor below TLS clients: the cryptography of a TLS 1.3 handshake or fetch alone, without a protocol.
 *
 * Role    libcrypto's functions called as often, and over as many bytes, as bench/tls.py's rows need them, with everything
 *         looked up, decoded and made ready before. The server's half of it (its key, its signatures) is made before too.
 *             keep     a record of a request sealed, a record of an answer opened
 *             resumed  a key share made, the secret derived, the transcript hashed, the key schedule with a binder, 7 records
 *             full     the same without a binder, and CertificateVerify checked
 *             chain    the same, and the leaf's signature checked as well: a chain that was not seen before
 * Near    tls_client.c: OpenSSL's whole client. bench/tls.py prints both beside weft.
 * Limits  AES-128-GCM with SHA-256, X25519 or P-256, ECDSA P-256 or RSA-2048 with PSS. One thread, no socket.
 */
#define OPENSSL_SUPPRESS_DEPRECATED /* SHA256_Init and kin: HMAC without allocations */
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/rsa.h>
#include <openssl/sha.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { HASH = 32, TAG = 16, TRANSCRIPT = 1400, HELLO = 500, EXPANDS = 17, EXTRACTS = 3, LABEL = 50 };

static EVP_PKEY_CTX *keygen, *check_key, *check_leaf;
static EVP_PKEY *peer;
static EVP_CIPHER_CTX *seal, *open_;
static EVP_MD_CTX *hash;
static EVP_MD *sha;
static unsigned char sig[512], leaf_sig[512], data[4096], sealed[4096], tag[TAG], secret[HASH], iv[12];
static size_t sig_len, leaf_sig_len;

static void check(bool ok, const char *what)
{
    if (ok)
        return;
    fprintf(stderr, "floor-tls-crypto: %s failed\n", what);
    exit(1);
}

static void hmac(const unsigned char *key, const unsigned char *text, size_t n, unsigned char *ret)
{
    unsigned char pad[64];
    SHA256_CTX c;
    for (int i = 0; i < 64; i++)
        pad[i] = (i < HASH ? key[i] : 0) ^ 0x36;
    SHA256_Init(&c), SHA256_Update(&c, pad, 64), SHA256_Update(&c, text, n), SHA256_Final(ret, &c);
    for (int i = 0; i < 64; i++)
        pad[i] ^= 0x36 ^ 0x5c;
    SHA256_Init(&c), SHA256_Update(&c, pad, 64), SHA256_Update(&c, ret, HASH), SHA256_Final(ret, &c);
}

static void transcript(size_t n, int looks)
{
    unsigned char out[HASH];
    unsigned len;
    EVP_MD_CTX *copy = EVP_MD_CTX_new();
    check(EVP_DigestInit_ex(hash, sha, NULL) && EVP_DigestUpdate(hash, data, n), "digest");
    for (int i = 0; i < looks; i++)
        check(EVP_MD_CTX_copy_ex(copy, hash) && EVP_DigestFinal_ex(copy, out, &len), "digest");
    EVP_MD_CTX_free(copy);
}

static void records(EVP_CIPHER_CTX *c, bool encrypt, const size_t *lens)
{
    int n;
    for (; *lens; lens++) {
        check(EVP_CipherInit_ex(c, NULL, NULL, NULL, iv, -1) && EVP_CipherUpdate(c, NULL, &n, data, 5) &&
                  EVP_CipherUpdate(c, sealed, &n, data, (int)*lens), "cipher");
        if (encrypt)
            check(EVP_CipherFinal_ex(c, sealed, &n) && EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_AEAD_GET_TAG, TAG, tag), "cipher");
    }
}

static void agree(void)
{
    EVP_PKEY *mine = NULL;
    unsigned char out[64];
    size_t n = sizeof out;
    check(EVP_PKEY_generate(keygen, &mine) == 1, "key");
    EVP_PKEY_CTX *c = EVP_PKEY_CTX_new_from_pkey(NULL, mine, NULL);
    check(c && EVP_PKEY_derive_init(c) == 1 && EVP_PKEY_derive_set_peer_ex(c, peer, 0) == 1 && EVP_PKEY_derive(c, out, &n) == 1, "derive");
    EVP_PKEY_CTX_free(c);
    EVP_PKEY_free(mine);
}

static void keep_once(void)
{
    static const size_t request[] = {90, 0}, answer[] = {1150, 0};
    records(seal, true, request);
    records(open_, false, answer);
}

static void handshake_once(bool resumed, bool leaf)
{
    static const size_t in[] = {16, 700, 90, 50, 250, 0}, in_resumed[] = {16, 50, 250, 0}, out[] = {50, 3, 0};
    unsigned char random[64];
    check(RAND_bytes(random, sizeof random) == 1, "random");
    agree();
    transcript(resumed ? HELLO + 250 : TRANSCRIPT, 5);
    for (int i = 0; i < EXPANDS + EXTRACTS * 2 + 2 + 3 * resumed; i++) /* two of Finished; a binder's three */
        hmac(secret, data, LABEL, secret);
    if (!resumed)
        check(EVP_PKEY_verify(check_key, sig, sig_len, data, HASH) == 1, "CertificateVerify");
    if (leaf)
        check(EVP_PKEY_verify(check_leaf, leaf_sig, leaf_sig_len, data, HASH) == 1, "certificate");
    check(EVP_CipherInit_ex(seal, NULL, NULL, secret, iv, 1) && EVP_CipherInit_ex(open_, NULL, NULL, secret, iv, 0), "keys");
    records(open_, false, resumed ? in_resumed : in);
    check(EVP_CipherInit_ex(seal, NULL, NULL, secret, iv, 1) && EVP_CipherInit_ex(open_, NULL, NULL, secret, iv, 0), "keys");
    records(seal, true, out);
    keep_once();
}

/* What checks the signatures of a key that is in a file, and one of them. */
static EVP_PKEY_CTX *checker(EVP_PKEY *key, unsigned char *ret_sig, size_t *ret_len, bool pss)
{
    EVP_PKEY_CTX *sign = EVP_PKEY_CTX_new(key, NULL), *verify = EVP_PKEY_CTX_new(key, NULL);
    bool rsa = EVP_PKEY_is_a(key, "RSA");
    check(sign && verify && EVP_PKEY_sign_init(sign) == 1 && EVP_PKEY_verify_init(verify) == 1, "key");
    for (int i = 0; i < 2; i++) {
        EVP_PKEY_CTX *c = i ? verify : sign;
        check(EVP_PKEY_CTX_set_signature_md(c, sha) == 1, "digest of signatures");
        check(!rsa || EVP_PKEY_CTX_set_rsa_padding(c, pss ? RSA_PKCS1_PSS_PADDING : RSA_PKCS1_PADDING) == 1, "padding");
    }
    *ret_len = 512;
    check(EVP_PKEY_sign(sign, ret_sig, ret_len, data, HASH) == 1, "sign");
    EVP_PKEY_CTX_free(sign);
    return verify;
}

static void set_up(const char *group, const char *key_file, const char *ca_file)
{
    bool x25519 = strcmp(group, "X25519") == 0;
    sha = EVP_MD_fetch(NULL, "SHA2-256", NULL);
    EVP_CIPHER *gcm = EVP_CIPHER_fetch(NULL, "AES-128-GCM", NULL);
    hash = EVP_MD_CTX_new(), seal = EVP_CIPHER_CTX_new(), open_ = EVP_CIPHER_CTX_new();
    check(sha && gcm && hash && seal && open_ && EVP_EncryptInit_ex(seal, gcm, NULL, secret, iv) &&
              EVP_DecryptInit_ex(open_, gcm, NULL, secret, iv), "algorithms");
    keygen = EVP_PKEY_CTX_new_from_name(NULL, x25519 ? "X25519" : "EC", NULL);
    check(keygen && EVP_PKEY_keygen_init(keygen) == 1 && (x25519 || EVP_PKEY_CTX_set_group_name(keygen, group) == 1) &&
              EVP_PKEY_generate(keygen, &peer) == 1, "group");
    for (int i = 0; i < 2; i++) {
        const char *file = i ? ca_file : key_file;
        FILE *f = fopen(file, "r");
        EVP_PKEY *key = f ? PEM_read_PrivateKey(f, NULL, NULL, NULL) : NULL;
        check(key, file);
        fclose(f);
        if (i)
            check_leaf = checker(key, leaf_sig, &leaf_sig_len, false);
        else
            check_key = checker(key, sig, &sig_len, true);
    }
}

static double cpu_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

static double run(const char *what, double until)
{
    double start = cpu_us(), now;
    long n = 0;
    do {
        for (int i = 0; i < 20; i++, n++) {
            if (strcmp(what, "keep") == 0)
                keep_once();
            else
                handshake_once(strcmp(what, "resumed") == 0, strcmp(what, "chain") == 0);
        }
        now = cpu_us();
    } while (now - start < until);
    return (now - start) / (double)n;
}

int main(int argc, char **argv)
{
    if (argc != 6) {
        fprintf(stderr, "usage: floor-tls-crypto full|resumed|keep|chain X25519|P-256 KEY CA-KEY SECONDS\n");
        return 2;
    }
    set_up(argv[2], argv[3], argv[4]);
    double us = strtod(argv[5], NULL) * 1e6;
    run(argv[1], us / 4);
    printf("{\"cpu_us\": %.3f}\n", run(argv[1], us));
    return 0;
}
