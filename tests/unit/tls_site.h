/*
 * tls_site.h - certificates made anew for a test, a TLS server that echoes, and a way to dial it.
 */
#ifndef TESTS_TLS_SITE_H
#define TESTS_TLS_SITE_H
#include <dirent.h>
#include <openssl/ec.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include "net_pair.h"

#pragma GCC diagnostic ignored "-Wunused-function" /* each test takes what it needs */

/* As in src/sched/thread.c, also where clang's runtime comes first with its own. */
__attribute__((visibility("default"), used)) const char *__tsan_default_suppressions(void);
const char *__tsan_default_suppressions(void)
{
    return "race:__tsan_tls_initialization\nrace:libcrypto.so\nrace:libssl.so\n";
}

/* ---- certificates ---- */

struct certs {
    char dir[32];
    char ca[64], key[64];                   /* the authority that good.. were issued by; the one private key of all */
    char good[64], expired[64], self[64];
    char other_ca[64];                      /* an authority that issued nothing */
    EVP_PKEY *leaf_key, *ca_key;
    X509 *ca_cert;
};

static void cert_extension(X509 *x, X509 *issuer, int nid, const char *value)
{
    X509V3_CTX v;
    X509V3_set_ctx(&v, issuer, x, NULL, NULL, 0);
    X509_EXTENSION *e = X509V3_EXT_conf_nid(NULL, &v, nid, value);
    REQUIRE(e != NULL);
    X509_add_ext(x, e, -1);
    X509_EXTENSION_free(e);
}

/* A certificate that is good from now+from to now+to seconds; alt: its names, NULL for an authority. issuer NULL: signed by
 * itself. */
static X509 *cert_new_for(const char *cn, const char *alt, EVP_PKEY *key, X509 *issuer, EVP_PKEY *issuer_key, long from, long to)
{
    bool ca = alt == NULL;
    static long serial = 1;
    X509 *x = X509_new();
    X509_NAME *name = X509_get_subject_name(x);
    X509_set_version(x, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(x), serial++);
    X509_gmtime_adj(X509_getm_notBefore(x), from);
    X509_gmtime_adj(X509_getm_notAfter(x), to);
    X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const unsigned char *)cn, -1, -1, 0);
    X509_set_issuer_name(x, issuer ? X509_get_subject_name(issuer) : name);
    X509_set_pubkey(x, key);
    cert_extension(x, issuer ? issuer : x, NID_basic_constraints, ca ? "critical,CA:TRUE" : "CA:FALSE");
    if (!ca)
        cert_extension(x, issuer ? issuer : x, NID_subject_alt_name, alt);
    REQUIRE(X509_sign(x, issuer_key, EVP_sha256()) > 0);
    return x;
}

static X509 *cert_new(const char *cn, EVP_PKEY *key, X509 *issuer, EVP_PKEY *issuer_key, long from, long to, bool ca)
{
    return cert_new_for(cn, ca ? NULL : "DNS:good.test,DNS:*.wild.test,IP:127.0.0.1", key, issuer, issuer_key, from, to);
}

static void cert_save(char *ret_path, size_t n, const char *dir, const char *name, X509 *x, EVP_PKEY *key)
{
    snprintf(ret_path, n, "%s/%s.pem", dir, name);
    FILE *f = fopen(ret_path, "w");
    REQUIRE(f != NULL);
    if (x)
        PEM_write_X509(f, x);
    else
        PEM_write_PrivateKey(f, key, NULL, NULL, 0, NULL, NULL);
    fclose(f);
}

static struct certs certs_make(void)
{
    struct certs c = {.dir = "/tmp/weft-tls-XXXXXX"};
    long day = 86400;
    REQUIRE(mkdtemp(c.dir) != NULL);
    EVP_PKEY *key = EVP_EC_gen("P-256"), *ca_key = EVP_EC_gen("P-256");
    X509 *ca = cert_new("weft test authority", ca_key, NULL, ca_key, -day, day, true);
    X509 *other = cert_new("another authority", key, NULL, key, -day, day, true);
    X509 *good = cert_new("good.test", key, ca, ca_key, -day, day, false);
    X509 *expired = cert_new("good.test", key, ca, ca_key, -2 * day, -day, false);
    X509 *self = cert_new("good.test", key, NULL, key, -day, day, false);
    cert_save(c.ca, sizeof c.ca, c.dir, "ca", ca, NULL);
    cert_save(c.other_ca, sizeof c.other_ca, c.dir, "other", other, NULL);
    cert_save(c.good, sizeof c.good, c.dir, "good", good, NULL);
    cert_save(c.expired, sizeof c.expired, c.dir, "expired", expired, NULL);
    cert_save(c.self, sizeof c.self, c.dir, "self", self, NULL);
    cert_save(c.key, sizeof c.key, c.dir, "key", NULL, key);
    X509_free(other), X509_free(good), X509_free(expired), X509_free(self);
    c.leaf_key = key, c.ca_key = ca_key, c.ca_cert = ca;
    return c;
}

/* One more of the authority's: for the names in alt, for so many seconds from now. */
static void certs_issue(struct certs *c, char *ret_path, size_t n, const char *file, const char *alt, long seconds)
{
    X509 *x = cert_new_for("one more", alt, c->leaf_key, c->ca_cert, c->ca_key, -86400, seconds);
    cert_save(ret_path, n, c->dir, file, x, NULL);
    X509_free(x);
}

static void certs_remove(struct certs *c)
{
    char path[300];
    DIR *d = opendir(c->dir);
    struct dirent *e;
    while (d && (e = readdir(d))) {
        snprintf(path, sizeof path, "%s/%s", c->dir, e->d_name);
        unlink(path);
    }
    closedir(d);
    rmdir(c->dir);
    EVP_PKEY_free(c->leaf_key), EVP_PKEY_free(c->ca_key), X509_free(c->ca_cert);
}

/* ---- a server that greets, echoes until the end and closes ---- */

struct tls_server {
    weft_listener *ln;
    char addr[WEFT_ADDR_TEXT];
    weft_mutex lock;
    struct weft_tls_config config;   /* [lock] */
    weft_chan(int) result;           /* of each handshake */
    struct weft_tls_state state;     /* of the last good one, before its result; its texts may be gone */
    char asked[64], subject[64];     /* likewise: the name asked for, the client's certificate */
    weft_waitgroup wg;               /* its goroutines */
};

static void tls_echo(struct tls_server *s, weft_conn *c)
{
    char buf[20000];
    ssize_t n;
    weft_mutex_lock(&s->lock);
    struct weft_tls_config config = s->config;
    weft_mutex_unlock(&s->lock);
    weft_err err = weft_tls_server(NULL, c, &config, &c);
    if (err == 0) {
        weft_mutex_lock(&s->lock);
        weft_tls_state_get(c, &s->state);
        snprintf(s->asked, sizeof s->asked, "%s", s->state.server_name ? s->state.server_name : "");
        s->subject[0] = '\0';
        weft_tls_peer_subject(c, s->subject, sizeof s->subject);
        weft_mutex_unlock(&s->lock);
    }
    (void)weft_try_send(s->result, err);
    if (err == 0) {
        weft_conn_write(NULL, c, "hi", 2);
        while ((n = weft_conn_read(NULL, c, buf, sizeof buf)) > 0)
            if (weft_conn_write(NULL, c, buf, (size_t)n) != n)
                break;
    }
    weft_conn_close(c);
    weft_waitgroup_done(&s->wg);
}

static void tls_serve(struct tls_server *s)
{
    weft_conn *c;
    while (weft_accept(NULL, s->ln, &c) == 0) {
        weft_waitgroup_add(&s->wg, 1);
        weft_go(tls_echo, s, c);
    }
    weft_waitgroup_done(&s->wg);
}

static struct tls_server *tls_start(const char *cert, const char *key, const char *alpn)
{
    struct tls_server *s = calloc(1, sizeof *s);
    s->config = (struct weft_tls_config){.cert_file = cert, .key_file = key, .alpn = alpn};
    s->result = weft_make(int, 1000);
    REQUIRE(weft_listen(&s->ln, "tcp", "127.0.0.1:0") == 0);
    REQUIRE(weft_listener_addr(s->ln, s->addr, sizeof s->addr) > 0);
    weft_waitgroup_add(&s->wg, 1);
    weft_go(tls_serve, s);
    return s;
}

/* For handshakes from now on. */
static inline void tls_use(struct tls_server *s, const struct weft_tls_config *config)
{
    weft_mutex_lock(&s->lock);
    s->config = *config;
    weft_mutex_unlock(&s->lock);
}

static void tls_stop(struct tls_server *s)
{
    weft_listener_close(s->ln);
    weft_waitgroup_wait(&s->wg);
    weft_free(s->result);
    free(s);
}

/* Dial and shake hands; *ret_text gets the words of a failure. On success *ret_conn, or closed when NULL. */
static weft_err tls_dial(struct tls_server *s, const struct weft_tls_config *config, char *ret_text, weft_conn **ret_conn)
{
    weft_conn *c, *t;
    REQUIRE(weft_dial(NULL, "tcp", s->addr, &c) == 0);
    weft_err err = weft_tls_client(NULL, c, config, &t);
    if (ret_text)
        snprintf(ret_text, 200, "%s", weft_tls_error(c));
    if (err || !ret_conn)
        weft_conn_close(err ? c : t);
    else
        *ret_conn = t;
    return err;
}

/* Dial, be greeted and close. Was the session resumed? */
static bool dial_resumed(struct tls_server *s, const struct weft_tls_config *c, int *ret_version)
{
    struct weft_tls_state st = {0};
    weft_conn *t;
    char buf[4];
    REQUIRE(tls_dial(s, c, NULL, &t) == 0);
    EXPECT_EQ(weft_conn_read_full(NULL, t, buf, 2), 2); /* tickets of TLS 1.3 come before the first data */
    EXPECT_EQ(weft_tls_state_get(t, &st), 0);
    weft_conn_close(t);
    *ret_version = st.version;
    return st.resumed;
}

#endif
