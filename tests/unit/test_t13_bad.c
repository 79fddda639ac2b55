/*
 * test_t13_bad.c - our own TLS 1.3 client, src/net/tls13: servers that are not for it, and such as do wrong. No handshake of
 * theirs is ever done.
 *
 * Source: RFC 8446 4, 5, 6.
 */
#include "t13_wrong.h"

/* ---- servers of OpenSSL's that want something else ---- */

struct site {
    struct certs c;
    struct ident id;
    SSL_CTX *client, *server;
};

static struct site site_new(bool sessions)
{
    struct site s = {.c = certs_make()};
    s.id = ident_new(&s.c, KIND_P256);
    s.client = client_ctx(&(struct weft_tls_config){.ca_file = s.c.ca, .alpn = "h2,http/1.1", .no_session_cache = !sessions});
    s.server = server_ctx(&s.id);
    return s;
}

static void site_free(struct site *s)
{
    SSL_CTX_free(s->client);
    SSL_CTX_free(s->server);
    ident_free(&s->id);
    certs_remove(&s->c);
}

/* What a handshake comes to. Only one that is done says anything behind its hello. */
static enum weft__t13_is shaken(SSL_CTX *client, const char *name, SSL_CTX *server)
{
    struct wire w = wire_new(client, name, false, server);
    enum weft__t13_is is = wire_shake(&w);
    if (is != WEFT__T13_DONE)
        EXPECT(w.t->send.to == 0 && !SSL_is_init_finished(w.s));
    wire_free(&w);
    return is;
}

static int choose_none(SSL *s, const unsigned char **ret, unsigned char *ret_n, const unsigned char *in, unsigned n, void *arg)
{
    (void)s, (void)ret, (void)ret_n, (void)in, (void)n, (void)arg;
    return SSL_TLSEXT_ERR_ALERT_FATAL;
}

TEST(t13_bad, a_server_of_another_kind_is_openssls)
{
    struct site s = site_new(false);
    SSL_CTX *old = server_ctx(&s.id), *retry = server_ctx(&s.id), *asks = server_ctx(&s.id), *alert = server_ctx(&s.id);
    REQUIRE(SSL_CTX_set_max_proto_version(old, TLS1_2_VERSION) == 1);
    REQUIRE(SSL_CTX_set1_groups_list(retry, "P-256") == 1);
    SSL_CTX_set_verify(asks, SSL_VERIFY_PEER, NULL);
    SSL_CTX_set_alpn_select_cb(alert, choose_none, NULL);
    EXPECT_EQ(shaken(s.client, "good.test", s.server), WEFT__T13_DONE);
    EXPECT_EQ(shaken(s.client, "good.test", old), WEFT__T13_OTHER);
    EXPECT_EQ(shaken(s.client, "good.test", retry), WEFT__T13_OTHER);
    EXPECT_EQ(shaken(s.client, "good.test", asks), WEFT__T13_OTHER);
    EXPECT_EQ(shaken(s.client, "good.test", alert), WEFT__T13_OTHER);
    SSL_CTX_free(old), SSL_CTX_free(retry), SSL_CTX_free(asks), SSL_CTX_free(alert);
    site_free(&s);
}

static void expect_words(SSL_CTX *client, const char *words, enum weft__t13_is want)
{
    struct weft__t13 *t = client_of(client, "good.test", false);
    REQUIRE(weft__t13_add(&t->raw, words, strlen(words)));
    EXPECT_EQ(weft__t13_shake(t), want);
    weft__t13_free(t);
}

TEST(t13_bad, a_server_that_speaks_no_tls_is_openssls)
{
    struct site s = site_new(false);
    expect_words(s.client, "HTTP/1.1 400 Bad Request\r\n\r\n", WEFT__T13_OTHER);
    expect_words(s.client, "220 mail.test ESMTP\r\n", WEFT__T13_OTHER);
    expect_words(s.client, "SSH-2", WEFT__T13_OTHER);
    expect_words(s.client, "SSH", WEFT__T13_MORE);
    expect_words(s.client, "\x15\3\3\1\2\2\x28", WEFT__T13_MORE);   /* an alert of 258 bytes */
    expect_words(s.client, "\x16\3\3\xff\xff", WEFT__T13_OTHER);
    site_free(&s);
}

TEST(t13_bad, a_certificate_that_is_not_good_is_never_taken)
{
    struct site s = site_new(true);
    SSL_CTX *stranger = client_ctx(&(struct weft_tls_config){.ca_file = s.c.other_ca});
    long day = 86400;
    struct ident expired = s.id, early = s.id, self = s.id, client = s.id;
    expired.cert = cert_new("good.test", s.id.key, s.c.ca_cert, s.c.ca_key, -2 * day, -day, false);
    early.cert = cert_new("good.test", s.id.key, s.c.ca_cert, s.c.ca_key, day, 2 * day, false);
    self.cert = cert_new("good.test", s.id.key, NULL, s.id.key, -day, day, false);
    client.cert = cert_new("good.test", s.id.key, s.c.ca_cert, s.c.ca_key, -day, day, false);
    cert_extension(client.cert, s.c.ca_cert, NID_ext_key_usage, "clientAuth");
    REQUIRE(X509_sign(client.cert, s.c.ca_key, EVP_sha256()) > 0);
    const struct ident *bad[] = {&expired, &early, &self, &client};
    for (int i = 0; i < 4; i++) {
        SSL_CTX *server = server_ctx(bad[i]);
        for (int j = 0; j < 2; j++)   /* nothing is remembered of it */
            EXPECT_EQ(shaken(s.client, "good.test", server), WEFT__T13_OTHER);
        SSL_CTX_free(server);
        X509_free(bad[i]->cert);
    }
    for (int j = 0; j < 2; j++) {
        EXPECT_EQ(shaken(s.client, "bad.test", s.server), WEFT__T13_OTHER);
        EXPECT_EQ(shaken(s.client, "127.0.0.2", s.server), WEFT__T13_OTHER);
        EXPECT_EQ(shaken(stranger, "good.test", s.server), WEFT__T13_OTHER);
        EXPECT_EQ(shaken(s.client, "good.test", s.server), WEFT__T13_DONE);   /* nor of its being good elsewhere */
    }
    SSL_CTX_free(stranger);
    site_free(&s);
}

/* T9: a certificate that was found good stands for itself only while its dates and ten minutes last, and for its key. */
TEST(t13_bad, a_certificate_found_good_is_not_good_for_ever)
{
    struct site s = site_new(false);
    struct weft__t13_cert c, none;
    unsigned char digest[32];
    REQUIRE(shaken(s.client, "good.test", s.server) == WEFT__T13_DONE);
    struct message m = {.n = 0};
    struct own_server o = {.id = &s.id};
    own_certificate(&o, &m);
    REQUIRE(EVP_Digest(m.at + 4, m.n - 4, digest, NULL, EVP_sha256(), NULL) == 1);
    struct weft__t13_hosts *h = hosts_of(s.client);
    REQUIRE(weft__t13_cert_get(h, "good.test:443", digest, &c));
    EXPECT(!weft__t13_cert_get(h, "good.test:444", digest, &none) && !weft__t13_cert_get(h, "bad.test:443", digest, &none));
    digest[31] ^= 1;
    EXPECT(!weft__t13_cert_get(h, "good.test:443", digest, &none));
    digest[31] ^= 1;
    EXPECT(c.until > weft_now() && c.until <= weft_now() + 600 * WEFT_SEC);
    EXPECT(c.dates.to > weft__tls_today() && c.dates.to <= c.leaf.to);
    struct weft__t13_cert over = c;
    over.until = weft_now();
    weft__t13_cert_put(h, "good.test:443", &over);
    EXPECT(!weft__t13_cert_get(h, "good.test:443", digest, &none));
    over = c;
    over.dates.to = weft__tls_today();
    weft__t13_cert_put(h, "good.test:443", &over);
    EXPECT(!weft__t13_cert_get(h, "good.test:443", digest, &none));
    X509_free(c.cert);
    EVP_PKEY_free(c.key);
    site_free(&s);
}

/* ---- a server of our own ---- */

/* What a handshake comes to whose server does one thing wrong, or nothing. */
static enum weft__t13_is twisted(SSL_CTX *client, bool insecure, const struct ident *id, int suite, enum twist twist)
{
    struct own_server o;
    struct weft__t13 *t = client_of(client, "good.test", insecure);
    own_answer(&o, t, id, suite, twist);
    enum weft__t13_is is = weft__t13_shake(t);
    EXPECT_EQ(is == WEFT__T13_DONE, t->send.to > t->send.from);   /* its Finished, or nothing */
    EXPECT_EQ(t->resumed, is == WEFT__T13_DONE && twist == PSK_TAKEN);
    own_free(&o);
    ERR_clear_error();
    return is;
}

TEST(t13_bad, a_server_that_does_one_thing_wrong_is_openssls)
{
    struct site s = site_new(false);
    SSL_CTX *careless = client_ctx(&(struct weft_tls_config){.insecure = true, .alpn = "h2,http/1.1", .no_session_cache = true});
    for (int suite = 0; suite < WEFT__T13_SUITES; suite++)
        EXPECT_EQ(twisted(s.client, false, &s.id, suite, RIGHT), WEFT__T13_DONE);
    EXPECT_EQ(twisted(careless, true, &s.id, 0, RIGHT), WEFT__T13_DONE);
    for (enum twist w = RIGHT + 1; w < TWISTS; w++) {
        if (w == SCHEME_RSA_OTHER)   /* below */
            continue;
        enum weft__t13_is is = twisted(s.client, false, &s.id, (int)w % WEFT__T13_SUITES, w), any = twisted(careless, true, &s.id, 0, w);
        if (is != WEFT__T13_OTHER)
            weft_test_fail(__FILE__, __LINE__, "twist %d leads to %d", w, is);
        if (any != WEFT__T13_OTHER && w != CERTS_BROKEN)   /* nobody looks at who signed it */
            weft_test_fail(__FILE__, __LINE__, "twist %d leads to %d where any certificate is good", w, any);
    }
    SSL_CTX_free(careless);
    site_free(&s);
}

/* RFC 8446 4.2.3: a key for all of RSA signs by other numbers than one for PSS alone. */
TEST(t13_bad, a_scheme_of_rsa_is_for_its_own_kind_of_key)
{
    struct site s = site_new(false);
    for (enum kind kind = KIND_RSA; kind <= KIND_PSS; kind++) {
        struct ident id = ident_new(&s.c, kind);
        EXPECT_EQ(twisted(s.client, false, &id, 0, RIGHT), WEFT__T13_DONE);
        EXPECT_EQ(twisted(s.client, false, &id, 0, SCHEME_RSA_OTHER), WEFT__T13_OTHER);
        EXPECT_EQ(twisted(s.client, false, &id, 0, SIGNED_OTHER), WEFT__T13_OTHER);
        ident_free(&id);
    }
    site_free(&s);
}

/* A ticket is offered: a server that does not have its key can only do without. */
TEST(t13_bad, a_server_that_takes_a_ticket_has_its_key)
{
    static const enum twist wrong[] = {PSK_UNASKED, PSK_ONE, PSK_SECOND, NO_BOTH, NO_VERIFY, NO_CERTIFICATE, FINISHED_FIRST};
    struct site s = site_new(true);
    REQUIRE(SSL_CTX_set_ciphersuites(s.server, "TLS_AES_128_GCM_SHA256") == 1);
    struct wire w = wire_new(s.client, "good.test", false, s.server);
    REQUIRE(wire_shake(&w) == WEFT__T13_DONE);
    expect_down(&w, 1, 1);   /* and tickets */
    wire_free(&w);
    REQUIRE(has_ticket(s.client, false));
    for (int i = 0; i < 7; i++)
        for (int suite = 0; suite < WEFT__T13_SUITES; suite++)
            EXPECT_EQ(twisted(s.client, false, &s.id, suite, wrong[i]), WEFT__T13_OTHER);
    for (int suite = 0; suite < WEFT__T13_SUITES; suite++) {
        EXPECT_EQ(twisted(s.client, false, &s.id, suite, RIGHT), WEFT__T13_DONE);
        bool other = weft__t13_suites[suite].big;   /* its hash is not the ticket's */
        EXPECT_EQ(twisted(s.client, false, &s.id, suite, PSK_TAKEN), other ? WEFT__T13_OTHER : WEFT__T13_DONE);
    }
    site_free(&s);
}

/* ---- bytes changed on the way ---- */

/* A client's hello that can be said again. */
struct hello {
    struct weft__t13_shake shake;   /* but for its pointers */
    unsigned char bytes[4096];
    size_t n;
};

static struct hello hello_of(const struct weft__t13 *t)
{
    struct hello h = {.shake = *t->shake, .n = t->shake->hello.to};
    REQUIRE(h.n <= sizeof h.bytes);
    memcpy(h.bytes, t->shake->hello.at, h.n);
    return h;
}

/* A client that has said it. */
static struct weft__t13 *hello_again(SSL_CTX *client, const struct hello *h)
{
    struct weft__t13 *t = client_of(client, "good.test", false);
    struct weft__t13_shake *k = t->shake;
    memcpy(k->session, h->shake.session, sizeof k->session);
    memcpy(k->mine, h->shake.mine, sizeof k->mine);
    memcpy(k->share, h->shake.share, sizeof k->share);
    weft__t13_drop(&k->hello, false);
    weft__t13_drop(&t->send, false);
    REQUIRE(weft__t13_add(&k->hello, h->bytes, h->n));
    return t;
}

static enum weft__t13_is replayed(SSL_CTX *client, const struct hello *h, const unsigned char *flight, int n)
{
    struct weft__t13 *t = hello_again(client, h);
    REQUIRE(weft__t13_add(&t->raw, flight, (size_t)n));
    enum weft__t13_is is = weft__t13_shake(t);
    EXPECT_EQ(is == WEFT__T13_DONE, t->send.to > t->send.from);
    EXPECT_EQ(is == WEFT__T13_DONE, t->shake == NULL);
    weft__t13_free(t);
    ERR_clear_error();
    return is;
}

/* Whether byte i is the low half of an unprotected record's version, which counts for nothing (RFC 8446 5.1). */
static bool unheard(const unsigned char *flight, int n, int i)
{
    for (int at = 0; at + 5 <= n; at += 5 + (flight[at + 3] << 8 | flight[at + 4]))
        if (i == at + 2)
            return flight[at] != T13_DATA;
    return false;
}

/* Each byte of a server's flight with one of its bits turned, and each of its bits where it is in the clear. */
static void expect_flips(SSL_CTX *client, SSL_CTX *server, bool resumed)
{
    unsigned char flight[4096];
    struct wire w = wire_new(client, "good.test", false, server);
    EXPECT_EQ(w.t->shake->ticket != NULL, resumed);
    struct hello h = hello_of(w.t);
    wire_up(&w);
    (void)SSL_do_handshake(w.s);
    int n = wire_take(&w, flight, sizeof flight), clear = 5 + (flight[3] << 8 | flight[4]) + 6, wrong = 0;
    REQUIRE(n > clear && n < (int)sizeof flight);
    EXPECT_EQ(replayed(client, &h, flight, n), WEFT__T13_DONE);
    for (int i = 0; i < n; i++)
        for (int bit = i < clear ? 0 : i % 8; bit < (i < clear ? 8 : i % 8 + 1); bit++) {
            flight[i] ^= (unsigned char)(1 << bit);
            bool done = replayed(client, &h, flight, n) == WEFT__T13_DONE;
            flight[i] ^= (unsigned char)(1 << bit);
            if (done != unheard(flight, n, i)) {
                weft_test_fail(__FILE__, __LINE__, "bit %d of byte %d of %d", bit, i, n);
                wrong++;
            }
        }
    EXPECT_EQ(wrong, 0);
    EXPECT_EQ(replayed(client, &h, flight, n), WEFT__T13_DONE);
    wire_free(&w);
}

TEST(t13_bad, no_bit_of_a_servers_flight_can_be_another)
{
    struct site s = site_new(false);
    expect_flips(s.client, s.server, false);
    site_free(&s);
}

TEST(t13_bad, no_bit_of_a_resumed_servers_flight_can_be_another)
{
    struct site s = site_new(true);
    struct wire w = wire_new(s.client, "good.test", false, s.server);
    REQUIRE(wire_shake(&w) == WEFT__T13_DONE);
    expect_down(&w, 1, 1);
    wire_free(&w);
    expect_flips(s.client, s.server, true);
    site_free(&s);
}

/* What of a flight is cut off is waited for. */
TEST(t13_bad, a_part_of_a_flight_is_no_handshake)
{
    struct site s = site_new(false);
    struct own_server o;
    unsigned char *flight;
    struct weft__t13 *t = client_of(s.client, "good.test", false);
    own_answer(&o, t, &s.id, 0, RIGHT);
    size_t n = t->raw.to;
    REQUIRE((flight = malloc(n)) != NULL);
    memcpy(flight, t->raw.at, n);
    weft__t13_drop(&t->raw, false);
    for (size_t i = 0; i < n; i++) {
        EXPECT_EQ(weft__t13_shake(t), WEFT__T13_MORE);
        EXPECT(!t->send.at);
        REQUIRE(weft__t13_add(&t->raw, flight + i, 1));
    }
    EXPECT_EQ(weft__t13_shake(t), WEFT__T13_DONE);
    free(flight);
    own_free(&o);
    site_free(&s);
}
