/*
 * test_tls_dates.c - TLS and the clock on the wall: certificates expire, and authorities lose their trust, for those that were
 * seen before too. The clock is ours: OpenSSL asks time(2), which this file answers.
 */
#include <stdatomic.h>
#include <time.h>

#include "../../src/net/tls/tls_int.h"
#include "tls_site.h"

static _Atomic long ahead; /* seconds that the clock is ahead of the real one */

__attribute__((visibility("default"))) time_t time(time_t *ret)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    t.tv_sec += atomic_load_explicit(&ahead, memory_order_relaxed);
    if (ret)
        *ret = t.tv_sec;
    return t.tv_sec;
}

static const long hour = 3600;

/* Two handshakes in full by c are good; the second one goes by what was seen. */
static void meet_twice(struct tls_server *s, const struct weft_tls_config *c)
{
    weft_conn *t;
    for (int i = 0; i < 2; i++) {
        REQUIRE(tls_dial(s, c, NULL, &t) == 0);
        EXPECT_EQ(SSL_get0_verified_chain(t->tls->ssl) != NULL, i == 0);
        weft_conn_close(t);
    }
}

TEST(tls_dates, a_chain_that_was_seen_ends_with_its_certificate)
{
    struct certs f = certs_make();
    char path[64], text[200];
    certs_issue(&f, path, sizeof path, "short", "DNS:good.test", 300);
    struct tls_server *s = tls_start(path, f.key, NULL);
    struct weft_tls_config c = {.ca_file = f.ca, .server_name = "good.test", .no_session_cache = true};
    meet_twice(s, &c);
    atomic_store(&ahead, 301); /* less than the ten minutes that a chain is remembered for */
    EXPECT_EQ(tls_dial(s, &c, text, NULL), WEFT_ECERT);
    EXPECT(strstr(text, "expired"));
    tls_stop(s);
    certs_remove(&f);
}

TEST(tls_dates, a_chain_that_was_seen_ends_with_the_one_between)
{
    struct certs f = certs_make();
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *between = cert_new("between", key, f.ca_cert, f.ca_key, -hour, 300, true);
    X509 *leaf = cert_new("good.test", f.leaf_key, between, key, -hour, 24 * hour, false);
    char path[64];
    cert_save(path, sizeof path, f.dir, "chain", leaf, NULL);
    FILE *more = fopen(path, "a");
    REQUIRE(more);
    PEM_write_X509(more, between);
    fclose(more);
    struct tls_server *s = tls_start(path, f.key, NULL);
    struct weft_tls_config c = {.ca_file = f.ca, .server_name = "good.test", .no_session_cache = true};
    meet_twice(s, &c);
    atomic_store(&ahead, 301);
    EXPECT_EQ(tls_dial(s, &c, NULL, NULL), WEFT_ECERT);
    tls_stop(s);
    X509_free(between), X509_free(leaf), EVP_PKEY_free(key);
    certs_remove(&f);
}

TEST(tls_dates, a_clock_put_back_before_the_certificates_time_is_seen)
{
    struct certs f = certs_make();
    struct tls_server *s = tls_start(f.good, f.key, NULL);
    struct weft_tls_config c = {.ca_file = f.ca, .server_name = "good.test", .no_session_cache = true};
    meet_twice(s, &c);
    atomic_store(&ahead, -25 * hour);
    EXPECT_EQ(tls_dial(s, &c, NULL, NULL), WEFT_ECERT);
    tls_stop(s);
    certs_remove(&f);
}

TEST(tls_dates, a_chain_is_gone_up_again_after_ten_minutes)
{
    struct certs f = certs_make();
    struct tls_server *s = tls_start(f.good, f.key, NULL);
    struct weft_tls_config c = {.ca_file = f.ca, .server_name = "good.test", .no_session_cache = true};
    meet_twice(s, &c);
    atomic_store(&ahead, 600); /* by the wall: a machine that slept has its weft_now stand still */
    meet_twice(s, &c);
    tls_stop(s);
    certs_remove(&f);
}

TEST(tls_dates, a_session_is_not_resumed_once_its_certificate_has_expired)
{
    struct certs f = certs_make();
    char path[64];
    int version;
    certs_issue(&f, path, sizeof path, "short", "DNS:good.test", 300);
    struct tls_server *s = tls_start(path, f.key, NULL);
    struct weft_tls_config c = {.ca_file = f.ca, .server_name = "good.test"}, any = {.server_name = "good.test", .insecure = true};
    EXPECT(!dial_resumed(s, &c, &version) && !dial_resumed(s, &any, &version));
    EXPECT(dial_resumed(s, &c, &version) && dial_resumed(s, &any, &version));
    atomic_store(&ahead, 301);
    EXPECT_EQ(tls_dial(s, &c, NULL, NULL), WEFT_ECERT);
    EXPECT(dial_resumed(s, &any, &version)); /* who does not ask is not told */
    tls_stop(s);
    certs_remove(&f);
}

TEST(tls_dates, what_was_seen_under_one_trust_is_nothing_under_another)
{
    struct certs f = certs_make();
    struct tls_server *s = tls_start(f.good, f.key, NULL);
    struct weft_tls_config c = {.ca_file = f.ca, .server_name = "good.test", .no_session_cache = true}, other = c;
    other.ca_file = f.other_ca;
    meet_twice(s, &c);
    EXPECT_EQ(tls_dial(s, &other, NULL, NULL), WEFT_ECERT);
    tls_stop(s);
    certs_remove(&f);
}

TEST(tls_dates, an_authority_taken_out_of_its_directory_is_trusted_no_more)
{
    struct certs f = certs_make();
    char dir[] = "/tmp/weft-ca-XXXXXX", name[32], path[64];
    REQUIRE(mkdtemp(dir));
    snprintf(name, sizeof name, "%08lx", X509_NAME_hash_ex(X509_get_subject_name(f.ca_cert), NULL, NULL, NULL));
    cert_save(path, sizeof path, dir, name, f.ca_cert, NULL); /* "<hash>.pem"; the directory's names are "<hash>.0" */
    snprintf(name + 8, sizeof name - 8, ".0");
    char hashed[64];
    snprintf(hashed, sizeof hashed, "%s/%s", dir, name);
    REQUIRE(rename(path, hashed) == 0);
    struct tls_server *s = tls_start(f.good, f.key, NULL);
    struct weft_tls_config c = {.ca_dir = dir, .server_name = "good.test", .no_session_cache = true};
    meet_twice(s, &c);
    REQUIRE(unlink(hashed) == 0);
    while (tls_dial(s, &c, NULL, NULL) == 0) /* files are looked at once a second */
        weft_sleep(50 * WEFT_MS);
    EXPECT_EQ(tls_dial(s, &c, NULL, NULL), WEFT_ECERT);
    tls_stop(s);
    rmdir(dir);
    certs_remove(&f);
}
