/*
 * test_tls_server.c - TLS of servers: names, clients' certificates, tickets, files that change, peers that misbehave.
 *
 * Source  Go crypto/tls handshake_server_test.go, tls_test.go; RFC 8446, 6066 3.
 */
#include "../../src/net/tls/tls_int.h"
#include "tls_site.h"

/* ---- names ---- */

TEST(tls_server, the_certificate_is_the_one_for_the_name_that_is_asked_for)
{
    struct certs f = certs_make();
    char a[64], b[64], sans[64];
    certs_issue(&f, a, sizeof a, "a", "DNS:a.test", 3600);
    certs_issue(&f, b, sizeof b, "b", "DNS:b.test,DNS:*.b.test", 3600);
    certs_issue(&f, sans, sizeof sans, "sans", "DNS:x.b.test", 3600); /* never chosen: b comes before */
    struct weft_tls_pair more[] = {{a, f.key}, {b, f.key}, {sans, f.key}};
    struct tls_server *s = tls_start(f.good, f.key, "h2");
    tls_use(s, &(struct weft_tls_config){.cert_file = f.good, .key_file = f.key, .alpn = "h2", .more = more, .more_count = 3});
    static const struct { const char *name; weft_err want; } cases[] = {
        {"good.test", 0}, {"a.test", 0}, {"A.Test", 0}, {"b.test", 0}, {"x.b.test", 0}, {"y.b.test", 0}, {"127.0.0.1", 0},
        {"none.test", WEFT_ECERT}, {"x.a.test", WEFT_ECERT},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct weft_tls_config c = {.ca_file = f.ca, .server_name = cases[i].name, .alpn = "h2", .no_session_cache = true};
        weft_err err = tls_dial(s, &c, NULL, NULL);
        if (err != cases[i].want)
            weft_test_fail(__FILE__, __LINE__, "%s: %s", cases[i].name, weft_strerror(err));
        if (weft_recv(s->result) == 0) {
            weft_mutex_lock(&s->lock);
            EXPECT_STR(s->asked, i == 6 ? "" : cases[i].name);   /* an address is not asked for */
            EXPECT_STR(s->state.alpn, "h2");
            weft_mutex_unlock(&s->lock);
        }
    }
    struct weft_tls_config c = {.ca_file = f.ca, .server_name = "a.test"};
    int version;
    EXPECT(!dial_resumed(s, &c, &version));
    EXPECT(dial_resumed(s, &c, &version));
    tls_stop(s);
    certs_remove(&f);
}

TEST(tls_server, wrong_configs_are_told_apart)
{
    struct certs f = certs_make();
    struct weft_tls_pair half = {f.good, NULL}, gone = {f.good, "/nonexistent"}, good = {f.good, f.key};
    struct weft_tls_config c = {.cert_file = f.good, .key_file = f.key, .more = &half, .more_count = 1};
    EXPECT_EQ(weft_tls_check(&c), WEFT_EINVAL);
    c.more = &gone;
    EXPECT_EQ(weft_tls_check(&c), -ENOENT);
    c.more = &good;
    EXPECT_EQ(weft_tls_check(&c), 0);
    c.more_count = 257;
    EXPECT_EQ(weft_tls_check(&c), WEFT_EINVAL);
    c.more_count = 0;
    c.client_auth = WEFT_TLS_CLIENT_REQUIRE; /* by whom? */
    EXPECT_EQ(weft_tls_check(&c), WEFT_EINVAL);
    c.ca_file = f.ca;
    EXPECT_EQ(weft_tls_check(&c), 0);
    c.client_auth = 9;
    EXPECT_EQ(weft_tls_check(&c), WEFT_EINVAL);
    certs_remove(&f);
}

/* ---- certificates of clients ---- */

/* What the server says to a client with this certificate, or with none. */
static weft_err ask_client(struct certs *f, int auth, const char *cert, struct weft_tls_state *ret_state, char *ret_subject)
{
    struct tls_server *s = tls_start(f->good, f->key, NULL);
    struct weft_tls_config c = {.ca_file = f->ca, .server_name = "good.test", .no_session_cache = true};
    weft_conn *t;
    char buf[4];
    tls_use(s, &(struct weft_tls_config){.cert_file = f->good, .key_file = f->key, .ca_file = f->ca, .client_auth = auth});
    c.cert_file = cert;
    c.key_file = cert ? f->key : NULL;
    REQUIRE(tls_dial(s, &c, NULL, &t) == 0); /* in TLS 1.3 a client has done before it is judged */
    ssize_t n = weft_conn_read_full(NULL, t, buf, 2);
    weft_err err = weft_recv(s->result);
    EXPECT(err == 0 ? n == 2 : n < 0);
    *ret_state = s->state;
    strcpy(ret_subject, s->subject);
    weft_conn_close(t);
    tls_stop(s);
    return err;
}

TEST(tls_server, clients_show_certificates_as_the_server_wants_them)
{
    struct certs f = certs_make();
    /* a certificate: none, of the authority, of nobody */
    static const bool passes[5][3] = {{1, 1, 1}, {1, 1, 1}, {0, 1, 1}, {1, 1, 0}, {0, 1, 0}};
    const char *certs[] = {NULL, f.good, f.self};
    struct weft_tls_state st;
    char subject[64];
    for (int auth = WEFT_TLS_CLIENT_NONE; auth <= WEFT_TLS_CLIENT_REQUIRE; auth++) {
        for (int i = 0; i < 3; i++) {
            weft_err err = ask_client(&f, auth, certs[i], &st, subject);
            if ((err == 0) != passes[auth][i])
                weft_test_fail(__FILE__, __LINE__, "auth %d, certificate %d: %s", auth, i, weft_strerror(err));
            if (err)
                continue;
            bool shown = auth != WEFT_TLS_CLIENT_NONE && i > 0;
            EXPECT_EQ(st.peer_cert, shown);
            EXPECT_EQ(st.peer_verified, shown && auth >= WEFT_TLS_CLIENT_VERIFY);
            EXPECT_STR(subject, shown ? "CN=good.test" : "");
        }
    }
    certs_remove(&f);
}

TEST(tls_server, a_resumed_client_keeps_its_certificate)
{
    struct certs f = certs_make();
    struct tls_server *s = tls_start(f.good, f.key, NULL);
    struct weft_tls_config c = {.ca_file = f.ca, .server_name = "good.test", .cert_file = f.good, .key_file = f.key};
    int version;
    tls_use(s, &(struct weft_tls_config){.cert_file = f.good, .key_file = f.key, .ca_file = f.ca, .client_auth = WEFT_TLS_CLIENT_REQUIRE});
    EXPECT(!dial_resumed(s, &c, &version));
    EXPECT(dial_resumed(s, &c, &version));
    EXPECT_EQ(weft_recv(s->result), 0);
    EXPECT_EQ(weft_recv(s->result), 0);
    EXPECT(s->state.resumed && s->state.peer_cert && s->state.peer_verified);
    EXPECT_STR(s->subject, "CN=good.test");
    tls_stop(s);
    certs_remove(&f);
}

TEST(tls_server, the_peers_certificate_can_be_had)
{
    struct certs f = certs_make();
    struct tls_server *s = tls_start(f.good, f.key, NULL);
    struct weft_tls_config c = {.ca_file = f.ca, .server_name = "good.test"};
    struct weft_tls_state st;
    weft_conn *t;
    char der[2048], subject[8];
    REQUIRE(tls_dial(s, &c, NULL, &t) == 0);
    EXPECT_EQ(weft_tls_peer_subject(t, subject, sizeof subject), 12);
    EXPECT_STR(subject, "CN=good");
    ssize_t n = weft_tls_peer_cert(t, der, sizeof der);
    REQUIRE(n > 100);
    EXPECT_EQ(weft_tls_peer_cert(t, der, 5), n);
    const unsigned char *at = (const unsigned char *)der;
    X509 *x = d2i_X509(NULL, &at, n);
    EXPECT(x && X509_check_host(x, "good.test", 0, 0, NULL) == 1);
    X509_free(x);
    EXPECT_EQ(weft_tls_state_get(t, &st), 0);
    EXPECT(st.peer_cert && st.peer_verified && !st.server_name);
    weft_conn_close(t);
    tls_stop(s);
    certs_remove(&f);
}

/* ---- tickets ---- */

static struct weft__tls_tickets *tickets_of(const struct weft_tls_config *c)
{
    struct weft__tls_fail fail = {0};
    SSL_CTX *ctx = weft__tls_shared_get(c, true, &fail);
    REQUIRE(ctx != NULL);
    struct weft__tls_tickets *t = weft__tls_extra_of(ctx)->tickets;
    SSL_CTX_free(ctx);   /* the list has one more */
    return t;
}

TEST(tls_server, tickets_stay_good_for_six_changes_of_their_key)
{
    struct certs f = certs_make();
    struct tls_server *s = tls_start(f.good, f.key, NULL);
    struct weft_tls_config c = {.ca_file = f.ca, .server_name = "good.test"};
    int version;
    EXPECT(!dial_resumed(s, &c, &version));
    for (int i = 0; i < 6; i++)
        weft__tls_tickets_turn(tickets_of(&s->config));
    EXPECT(dial_resumed(s, &c, &version)); /* and brings a new ticket */
    weft__tls_tickets_turn(tickets_of(&s->config));
    EXPECT(dial_resumed(s, &c, &version));
    for (int i = 0; i < 7; i++)
        weft__tls_tickets_turn(tickets_of(&s->config));
    EXPECT(!dial_resumed(s, &c, &version));
    tls_stop(s);
    certs_remove(&f);
}

TEST(tls_server, a_copy_of_a_config_resumes_what_the_first_began)
{
    struct certs f = certs_make();
    struct tls_server *s = tls_start(f.good, f.key, NULL);
    char *cert = strdup(f.good), *key = strdup(f.key);
    struct weft_tls_config c = {.ca_file = f.ca, .server_name = "good.test"};
    int version;
    EXPECT(!dial_resumed(s, &c, &version));
    tls_use(s, &(struct weft_tls_config){.cert_file = cert, .key_file = key});
    EXPECT(dial_resumed(s, &c, &version));
    tls_use(s, &(struct weft_tls_config){.cert_file = cert, .key_file = key, .min_version = WEFT_TLS_1_3}); /* it has other keys */
    EXPECT(!dial_resumed(s, &c, &version));
    tls_stop(s);
    free(cert), free(key);
    certs_remove(&f);
}

/* ---- files that change ---- */

/* Dials until the certificate is (or is not) for another name; it is looked for once a second. */
static void dial_until(struct tls_server *s, const struct weft_tls_config *c, weft_err want)
{
    weft_err err;
    while ((err = tls_dial(s, c, NULL, NULL)) != want)
        weft_sleep(20 * WEFT_MS);
}

TEST(tls_server, a_renewed_certificate_is_used_and_old_tickets_stay_good)
{
    struct certs f = certs_make();
    char path[64];
    struct tls_server *s = tls_start(f.good, f.key, NULL);
    struct weft_tls_config c = {.ca_file = f.ca, .server_name = "good.test"};
    struct weft_tls_config renewed = {.ca_file = f.ca, .server_name = "new.test", .no_session_cache = true};
    int version;
    EXPECT(!dial_resumed(s, &c, &version));
    EXPECT_EQ(tls_dial(s, &renewed, NULL, NULL), WEFT_ECERT);
    certs_issue(&f, path, sizeof path, "good", "DNS:new.test", 3600); /* the same path */
    dial_until(s, &renewed, 0);
    EXPECT(dial_resumed(s, &c, &version));

    FILE *file = fopen(path, "w"); /* half of a renewal: nobody is left without */
    fputs("-----BEGIN CERTIFICATE-----\n", file);
    fclose(file);
    weft_time begun = weft_now();
    while (weft_now() - begun < 3 * WEFT_SEC / 2)
        EXPECT_EQ(tls_dial(s, &renewed, NULL, NULL), 0);
    certs_issue(&f, path, sizeof path, "good", "DNS:third.test", 3600);
    renewed.server_name = "third.test";
    dial_until(s, &renewed, 0);
    tls_stop(s);
    certs_remove(&f);
}

TEST(tls_server, a_client_of_an_authority_that_is_gone_is_not_resumed)
{
    struct certs f = certs_make();
    char path[64];
    struct tls_server *s = tls_start(f.good, f.key, NULL);
    struct weft_tls_config c = {.ca_file = f.ca, .server_name = "good.test", .cert_file = f.good, .key_file = f.key};
    int version;
    weft_err err = 0;
    cert_save(path, sizeof path, f.dir, "clients", f.ca_cert, NULL);
    tls_use(s, &(struct weft_tls_config){.cert_file = f.good, .key_file = f.key, .ca_file = path, .client_auth = WEFT_TLS_CLIENT_REQUIRE});
    EXPECT(!dial_resumed(s, &c, &version));
    EXPECT(dial_resumed(s, &c, &version));
    EXPECT_EQ(weft_recv(s->result), 0);
    EXPECT_EQ(weft_recv(s->result), 0);
    REQUIRE(rename(f.other_ca, path) == 0); /* it is looked for once a second */
    for (weft_time begun = weft_now(); err == 0 && weft_now() - begun < 60 * WEFT_SEC; weft_sleep(20 * WEFT_MS)) {
        weft_conn *t;
        char buf[4];
        REQUIRE(tls_dial(s, &c, NULL, &t) == 0); /* in TLS 1.3 a client has done before it is judged */
        (void)!weft_conn_read_full(NULL, t, buf, 2); /* the next ticket comes before the data */
        weft_conn_close(t);
        err = weft_recv(s->result);
    }
    EXPECT_EQ(err, WEFT_ECERT);
    tls_stop(s);
    certs_remove(&f);
}

TEST(tls_server, a_client_learns_of_a_new_authority)
{
    struct certs f = certs_make();
    struct tls_server *s = tls_start(f.good, f.key, NULL);
    struct weft_tls_config c = {.ca_file = f.other_ca, .server_name = "good.test"};
    EXPECT_EQ(tls_dial(s, &c, NULL, NULL), WEFT_ECERT);
    cert_save(f.other_ca, sizeof f.other_ca, f.dir, "other", f.ca_cert, NULL);
    dial_until(s, &c, 0);
    tls_stop(s);
    certs_remove(&f);
}

/* ---- chains that were seen before ---- */

TEST(tls_server, a_chain_is_verified_once_and_for_its_name_only)
{
    struct certs f = certs_make();
    struct tls_server *s = tls_start(f.good, f.key, NULL);
    struct weft_tls_config c = {.ca_file = f.ca, .server_name = "good.test", .no_session_cache = true};
    weft_conn *t;
    for (int i = 0; i < 3; i++) {
        struct weft_tls_state st;
        REQUIRE(tls_dial(s, &c, NULL, &t) == 0);
        EXPECT_EQ(SSL_get0_verified_chain(t->tls->ssl) != NULL, i == 0); /* kept by OpenSSL when it has gone up the chain */
        EXPECT_EQ(weft_tls_state_get(t, &st), 0);
        EXPECT(st.peer_verified && !st.resumed);
        weft_conn_close(t);
    }
    c.server_name = "evil.test";
    EXPECT_EQ(tls_dial(s, &c, NULL, NULL), WEFT_ECERT);
    EXPECT_EQ(tls_dial(s, &c, NULL, NULL), WEFT_ECERT);
    tls_stop(s);
    certs_remove(&f);
}

TEST(tls_server, a_chain_that_was_seen_still_expires)
{
    struct certs f = certs_make();
    char path[64];
    certs_issue(&f, path, sizeof path, "short", "DNS:good.test", 2);
    struct tls_server *s = tls_start(path, f.key, NULL);
    struct weft_tls_config c = {.ca_file = f.ca, .server_name = "good.test", .no_session_cache = true};
    dial_until(s, &c, WEFT_ECERT);
    tls_stop(s);
    certs_remove(&f);
}

/* ---- kinds of keys ---- */

/* tls_lean.c leaves out what no client needs, and no more. */
TEST(tls_server, clients_know_keys_of_all_kinds)
{
    static const struct { const char *kind, *curve; int bits; } cases[] = {
        {"RSA", NULL, 2048}, {"RSA-PSS", NULL, 2048}, {"EC", "P-256", 0}, {"EC", "P-384", 0}, {"EC", "P-521", 0}, {"ED25519", NULL, 0},
        {"ED448", NULL, 0},
    };
    struct certs f = certs_make();
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char crt[64], key[64];
        EVP_PKEY_CTX *make = EVP_PKEY_CTX_new_from_name(NULL, cases[i].kind, NULL);
        EVP_PKEY *k = NULL;
        REQUIRE(make && EVP_PKEY_keygen_init(make) == 1);
        if (cases[i].bits)
            EVP_PKEY_CTX_set_rsa_keygen_bits(make, cases[i].bits);
        if (cases[i].curve)
            EVP_PKEY_CTX_set_group_name(make, cases[i].curve);
        REQUIRE(EVP_PKEY_generate(make, &k) == 1);
        X509 *x = cert_new_for("kinds", "DNS:good.test", k, f.ca_cert, f.ca_key, -86400, 3600);
        char name[16];
        snprintf(name, sizeof name, "key%zu", i); /* a path of its own: files are read again after a second only */
        cert_save(key, sizeof key, f.dir, name, NULL, k);
        snprintf(name, sizeof name, "crt%zu", i);
        cert_save(crt, sizeof crt, f.dir, name, x, NULL);
        struct tls_server *s = tls_start(crt, key, NULL);
        struct weft_tls_config c = {.ca_file = f.ca, .server_name = "good.test", .no_session_cache = true};
        char text[200];
        if (tls_dial(s, &c, text, NULL) != 0)
            weft_test_fail(__FILE__, __LINE__, "%s %s: %s", cases[i].kind, cases[i].curve ? cases[i].curve : "", text);
        tls_stop(s);
        X509_free(x);
        EVP_PKEY_free(k);
        EVP_PKEY_CTX_free(make);
    }
    EXPECT(weft__tls_lean() != NULL);
    certs_remove(&f);
}

/* ---- peers that misbehave: a relay in between ---- */

struct relay {
    weft_conn *a, *b;
    long cut;                        /* bytes from a to b after which both ends are closed; < 0: none */
    bool drip;                       /* a byte at a time */
};

static void relay_end(struct relay *r)
{
    shutdown(weft_conn_fd(r->a), SHUT_RDWR);
    shutdown(weft_conn_fd(r->b), SHUT_RDWR);
}

static void relay_way(struct relay *r, bool back, weft_waitgroup *wg)
{
    weft_conn *from = back ? r->b : r->a, *to = back ? r->a : r->b;
    char buf[4096];
    long sent = 0;
    for (;;) {
        ssize_t n = weft_conn_read(NULL, from, buf, sizeof buf);
        for (ssize_t i = 0, step; i < n; i += step) {
            if (!back && sent == r->cut)
                goto end;
            step = r->drip || r->cut >= 0 ? 1 : n;
            if (weft_conn_write(NULL, to, buf + i, (size_t)step) < 0)
                goto end;
            sent += step;
        }
        if (n <= 0)
            break;
    }
end:
    relay_end(r);
    weft_waitgroup_done(wg);
}

/* A client's handshake and greeting through a relay: what the server says of it. */
static weft_err through(struct tls_server *s, struct weft_tls_config *c, long cut, bool drip, ssize_t *ret_read)
{
    struct net_pair p = net_pair("tcp");
    struct relay r = {.a = p.b, .cut = cut, .drip = drip};
    weft_waitgroup wg = {0};
    weft_conn *t;
    char buf[8];
    REQUIRE(weft_dial(NULL, "tcp", s->addr, &r.b) == 0);
    weft_waitgroup_add(&wg, 2);
    weft_go(relay_way, &r, false, &wg);
    weft_go(relay_way, &r, true, &wg);
    *ret_read = weft_tls_client(NULL, p.a, c, &t);
    if (*ret_read == 0)
        *ret_read = weft_conn_read_full(NULL, t, buf, 2);
    weft_err err = weft_recv(s->result);
    weft_conn_close(p.a);
    weft_waitgroup_wait(&wg);
    weft_conn_close(p.b);
    weft_conn_close(r.b);
    weft_listener_close(p.ln);
    return err;
}

TEST(tls_server, records_may_come_byte_by_byte)
{
    struct certs f = certs_make();
    struct tls_server *s = tls_start(f.good, f.key, NULL);
    struct weft_tls_config c = {.ca_file = f.ca, .server_name = "good.test", .no_session_cache = true};
    ssize_t n;
    EXPECT_EQ(through(s, &c, -1, true, &n), 0);
    EXPECT_EQ(n, 2);
    tls_stop(s);
    certs_remove(&f);
}

TEST(tls_server, a_handshake_cut_anywhere_is_an_error_on_both_sides)
{
    struct certs f = certs_make();
    struct tls_server *s = tls_start(f.good, f.key, NULL);
    struct weft_tls_config c = {.ca_file = f.ca, .server_name = "good.test", .no_session_cache = true};
    for (long cut = 0; cut < 300; cut += cut < 16 ? 1 : 53) { /* a client's hello alone is 300 bytes and more */
        ssize_t n;
        weft_err err = through(s, &c, cut, false, &n);
        if (err >= 0 || n >= 0)
            weft_test_fail(__FILE__, __LINE__, "cut at %ld: %s, %d", cut, weft_strerror(err), (int)n);
    }
    tls_stop(s);
    certs_remove(&f);
}

/* What the server answers to these first bytes: its error; *ret_text the words; buf: what it sent, len bytes. */
static weft_err first_bytes(struct certs *f, const void *bytes, size_t n, char *ret_text, unsigned char *ret_buf, ssize_t *ret_len)
{
    struct weft_tls_config config = {.cert_file = f->good, .key_file = f->key};
    struct net_pair p = net_pair("tcp");
    weft_conn *t;
    EXPECT_EQ(weft_conn_write(NULL, p.a, bytes, n), (ssize_t)n);
    weft_conn_close_write(p.a);
    weft_err err = weft_tls_server(NULL, p.b, &config, &t);
    snprintf(ret_text, 200, "%s", weft_tls_error(p.b));
    weft_conn_close_write(p.b);
    *ret_len = weft_conn_read_full(NULL, p.a, ret_buf, 7);
    net_pair_close(&p);
    return err;
}

TEST(tls_server, what_is_not_tls_or_too_old_is_refused)
{
    struct certs f = certs_make();
    static const struct { const char *bytes; size_t n; const char *words; } cases[] = {
        {"GET / HTTP/1.1\r\n\r\n", 18, "http request"}, {"SSH-2.0-x\r\n", 11, "wrong version"},
        {"\x16\x02\x00\x00\x10xxxxxxxxxxxxxxxx", 21, "version"}, {"\x16\x03\x01\xff\xff", 5, "packet length too long"},
        {"\x17\x03\x03\x00\x05hello", 10, "unexpected"}, {"\x15\x03\x03\x00\x02\x02\x28", 7, "unexpected"},
    };
    char text[200];
    unsigned char buf[8];
    ssize_t n;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        weft_err err = first_bytes(&f, cases[i].bytes, cases[i].n, text, buf, &n);
        if (err != WEFT_ETLS || !strstr(text, cases[i].words))
            weft_test_fail(__FILE__, __LINE__, "%d: %s, \"%s\"", (int)i, weft_strerror(err), text);
    }
    /* A hello of TLS 1.1: the answer is the alert protocol_version. */
    SSL_CTX *old = SSL_CTX_new(TLS_client_method());
    SSL_CTX_set_security_level(old, 0);
    SSL_CTX_set_min_proto_version(old, TLS1_VERSION);
    SSL_CTX_set_max_proto_version(old, TLS1_1_VERSION);
    SSL *ssl = SSL_new(old);
    BIO *out = BIO_new(BIO_s_mem());
    char *hello;
    SSL_set_bio(ssl, BIO_new(BIO_s_mem()), out);
    (void)SSL_connect(ssl);
    long len = BIO_get_mem_data(out, &hello);
    REQUIRE(len > 40);
    EXPECT_EQ(first_bytes(&f, hello, (size_t)len, text, buf, &n), WEFT_ETLS);
    EXPECT(strstr(text, "unsupported protocol") != NULL);
    EXPECT_EQ(n, 7);
    EXPECT(buf[0] == 21 && buf[5] == 2 && buf[6] == 70);
    SSL_free(ssl);
    SSL_CTX_free(old);
    certs_remove(&f);
}
