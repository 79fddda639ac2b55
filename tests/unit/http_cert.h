/*
 * http_cert.h - a certificate for tests of https.
 */
#ifndef TESTS_HTTP_CERT_H
#define TESTS_HTTP_CERT_H
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <unistd.h>

#include "../include/weft_test.h"

/* A certificate for 127.0.0.1 that signs itself and serves as its own authority, in two files. */
struct cert {
    char dir[32], crt[64], key[64];
};

static inline void cert_make(struct cert *c)
{
    memcpy(c->dir, "/tmp/weft-https-XXXXXX", 23);
    REQUIRE(mkdtemp(c->dir));
    snprintf(c->crt, sizeof c->crt, "%s/crt", c->dir);
    snprintf(c->key, sizeof c->key, "%s/key", c->dir);
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *x = X509_new();
    REQUIRE(key && x);
    X509_set_version(x, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(x), 1);
    X509_gmtime_adj(X509_getm_notBefore(x), -3600);
    X509_gmtime_adj(X509_getm_notAfter(x), 3600);
    X509_NAME_add_entry_by_txt(X509_get_subject_name(x), "CN", MBSTRING_ASC, (const unsigned char *)"weft test", -1, -1, 0);
    X509_set_issuer_name(x, X509_get_subject_name(x));
    X509_set_pubkey(x, key);
    X509_EXTENSION *san = X509V3_EXT_conf_nid(NULL, NULL, NID_subject_alt_name, "IP:127.0.0.1");
    X509_EXTENSION *ca = X509V3_EXT_conf_nid(NULL, NULL, NID_basic_constraints, "critical,CA:TRUE");
    X509_add_ext(x, san, -1);
    X509_add_ext(x, ca, -1);
    X509_EXTENSION_free(san);
    X509_EXTENSION_free(ca);
    REQUIRE(X509_sign(x, key, EVP_sha256()));
    FILE *f = fopen(c->crt, "w"), *g = fopen(c->key, "w");
    REQUIRE(f && g && PEM_write_X509(f, x) && PEM_write_PrivateKey(g, key, NULL, NULL, 0, NULL, NULL));
    fclose(f);
    fclose(g);
    X509_free(x);
    EVP_PKEY_free(key);
}

static inline void cert_drop(struct cert *c)
{
    unlink(c->crt);
    unlink(c->key);
    rmdir(c->dir);
}

#endif
