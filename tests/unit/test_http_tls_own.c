/*
 * test_http_tls_own.c - https by our own TLS 1.3 client (src/net/tls/tls_own.c, src/http/reach.c): when it is used, when OpenSSL is
 * asked instead, and that nobody can tell from what a call comes to.
 */
#include "http_peer.h"
#include "t13_peer.h"

enum manner {
    SERVE,     /* each request, until the client ends */
    SILENT,    /* takes the hello and says nothing */
    HANGUP,    /* takes the hello and closes */
    MUTE,      /* shakes hands and says nothing more */
    UNENDED,   /* an answer whose end is the connection's, and no goodbye */
    POLITE,    /* the same with a goodbye */
};

/* A server of OpenSSL's for https. */
struct shop {
    struct certs c;
    struct ident id;
    SSL_CTX *server;
    struct weft_tls_config trust;
    weft_listener *ln;
    char url[WEFT_ADDR_TEXT + 16];
    weft_ctx *ctx;
    weft_waitgroup wg;
    _Atomic enum manner manner;
    atomic_int conns, own, shaken, requests;   /* own: hellos that offer TLS 1.3 alone; shaken: handshakes that are over */
};

static bool shop_fill(struct shop *p, SSL *s, weft_conn *c)
{
    char buf[16384];
    ssize_t n = weft_conn_read(p->ctx, c, buf, sizeof buf);
    return n > 0 && BIO_write(SSL_get_rbio(s), buf, (int)n) == n;
}

static void shop_flush(SSL *s, weft_conn *c)
{
    char buf[16384];
    int n;
    while ((n = BIO_read(SSL_get_wbio(s), buf, sizeof buf)) > 0)
        (void)weft_conn_write(NULL, c, buf, (size_t)n);
}

/* Does a hello's record offer one version only? */
static bool hello_own(const unsigned char *at, size_t n)
{
    struct weft__t13_in in = {at, n, false};
    (void)weft__t13_cut(&in, WEFT__T13_HEAD + 4 + 2 + 32);
    (void)weft__t13_list(&in, 1);
    (void)weft__t13_list(&in, 2);
    (void)weft__t13_list(&in, 1);
    for (struct weft__t13_in all = weft__t13_list(&in, 2); all.n && !all.bad;) {
        uint32_t type = weft__t13_int(&all, 2);
        struct weft__t13_in e = weft__t13_list(&all, 2);
        if (type == 43)
            return e.n == 3 && e.at[1] == 3 && e.at[2] == 4;
    }
    return false;
}

static bool shop_hello(struct shop *p, SSL *s, weft_conn *c)
{
    unsigned char buf[4096];
    ssize_t n = weft_conn_read(p->ctx, c, buf, sizeof buf);
    if (n <= 0)
        return false;
    atomic_fetch_add(&p->own, hello_own(buf, (size_t)n));
    return BIO_write(SSL_get_rbio(s), buf, (int)n) == n;
}

/* One step of OpenSSL's, and what it says goes out: 1, 0: more is needed, -1: it failed. */
static int shop_step(SSL *s, weft_conn *c, int r)
{
    int is = r > 0 ? 1 : SSL_get_error(s, r) == SSL_ERROR_WANT_READ ? 0 : -1;   /* before the flush, which may wait: errors are the thread's */
    ERR_clear_error();
    shop_flush(s, c);
    return is;
}

static void shop_serve(struct shop *p, SSL *s, weft_conn *c)
{
    static const char hello[] = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", half[] = "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nhalf";
    char buf[4096];
    enum manner manner = atomic_load(&p->manner);
    if (!shop_hello(p, s, c) || manner == HANGUP)
        return;
    int shaken = 0;
    while (manner != SILENT && (shaken = shop_step(s, c, SSL_do_handshake(s))) == 0)
        if (!shop_fill(p, s, c))
            return;
    atomic_fetch_add(&p->shaken, shaken > 0);
    while (manner == SILENT || manner == MUTE || shaken < 0)   /* a close would take back what was said */
        if (weft_conn_read(p->ctx, c, buf, sizeof buf) <= 0)
            return;
    for (;;) {
        int n = 0, is;
        while ((is = shop_step(s, c, n = SSL_read(s, buf, sizeof buf - 1))) == 0)
            if (!shop_fill(p, s, c))
                return;
        if (is < 0)
            return;
        buf[n] = '\0';
        if (!strstr(buf, "\r\n\r\n"))   /* requests of the tests come in one record */
            return;
        atomic_fetch_add(&p->requests, 1);
        const char *answer = manner == SERVE ? hello : half;
        (void)shop_step(s, c, SSL_write(s, answer, (int)strlen(answer)));
        if (manner == POLITE)
            (void)shop_step(s, c, SSL_shutdown(s));
        if (manner != SERVE)
            return;
    }
}

static void shop_conn(struct shop *p, weft_conn *c)
{
    SSL *s = SSL_new(p->server);
    SSL_set_bio(s, BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem()));
    SSL_set_accept_state(s);
    shop_serve(p, s, c);
    SSL_free(s);
    (void)weft_conn_close(c);
}

static void shop_loop(struct shop *p)
{
    weft_conn *c;
    while (weft_accept(p->ctx, p->ln, &c) == 0) {
        atomic_fetch_add(&p->conns, 1);
        weft_waitgroup_go(&p->wg, shop_conn, p, c);
    }
}

static void shop_open(struct shop *p)
{
    *p = (struct shop){.c = certs_make(), .url = "https://"};
    p->id = ident_new(&p->c, KIND_P256);
    p->server = server_ctx(&p->id);
    p->trust = (struct weft_tls_config){.ca_file = p->c.ca};
    p->ctx = weft_with_cancel(NULL);
    REQUIRE(weft_listen(&p->ln, "tcp", "127.0.0.1:0") == 0 && weft_listener_addr(p->ln, p->url + 8, WEFT_ADDR_TEXT) > 0);
    weft_waitgroup_go(&p->wg, shop_loop, p);
}

static void shop_close(struct shop *p)
{
    weft_cancel(p->ctx);
    weft_waitgroup_wait(&p->wg);
    (void)weft_listener_close(p->ln);
    weft_ctx_unref(p->ctx);
    SSL_CTX_free(p->server);
    ident_free(&p->id);
    certs_remove(&p->c);
}

/* With another certificate from now on. */
static void shop_show(struct shop *p, X509 *cert)
{
    REQUIRE(SSL_CTX_use_certificate(p->server, cert) == 1);
    X509_free(cert);
}

static weft_http_client *shop_client(struct shop *p)
{
    return client_with(&(struct weft_http_client_opts){.tls = &p->trust});
}

/* A call on a connection of its own, and how many connections and hellos of our own client it took. */
static void expect_fetch(struct shop *p, weft_http_client *c, int status, int conns, int own)
{
    char body[64];
    int before = atomic_load(&p->conns), before_own = atomic_load(&p->own);
    weft_http_client_close_idle(c);
    EXPECT_EQ(fetch(c, p->url, body, sizeof body), status);
    EXPECT(status != 200 || strcmp(body, "hello") == 0);
    EXPECT_EQ(atomic_load(&p->conns) - before, conns);
    EXPECT_EQ(atomic_load(&p->own) - before_own, own);
}

/* ---- who is asked ---- */

TEST(http_tls_own, a_get_goes_by_the_own_client_and_so_does_the_next)
{
    struct shop p;
    shop_open(&p);
    weft_http_client *c = shop_client(&p);
    for (int i = 0; i < 3; i++)
        expect_fetch(&p, c, 200, 1, 1);
    weft_http_client_free(c);
    shop_close(&p);
}

TEST_ENV(http_tls_own, the_environment_turns_it_off, "WEFT_TLS=openssl")
{
    struct shop p;
    shop_open(&p);
    weft_http_client *c = shop_client(&p);
    for (int i = 0; i < 2; i++)
        expect_fetch(&p, c, 200, 1, 0);
    weft_http_client_free(c);
    shop_close(&p);
}

TEST_ENV(http_tls_own, another_word_in_the_environment_does_not, "WEFT_TLS=own")
{
    struct shop p;
    shop_open(&p);
    weft_http_client *c = shop_client(&p);
    expect_fetch(&p, c, 200, 1, 1);
    weft_http_client_free(c);
    shop_close(&p);
}

/* The second connection is OpenSSL's, and for ten minutes so is the first of each call. */
static void expect_openssls(struct shop *p)
{
    weft_http_client *c = shop_client(p);
    expect_fetch(p, c, 200, 2, 1);
    for (int i = 0; i < 3; i++)
        expect_fetch(p, c, 200, 1, 0);
    weft_http_client_free(c);
    shop_close(p);
}

TEST(http_tls_own, a_server_of_tls_1_2_is_fetched_by_openssl)
{
    struct shop p;
    shop_open(&p);
    REQUIRE(SSL_CTX_set_max_proto_version(p.server, TLS1_2_VERSION) == 1);
    expect_openssls(&p);
}

TEST(http_tls_own, a_server_that_wants_another_share_is_fetched_by_openssl)
{
    struct shop p;
    shop_open(&p);
    REQUIRE(SSL_CTX_set1_groups_list(p.server, "P-256") == 1);
    expect_openssls(&p);
}

TEST(http_tls_own, a_server_that_would_like_a_certificate_is_fetched_by_openssl)
{
    struct shop p;
    shop_open(&p);
    SSL_CTX_set_verify(p.server, SSL_VERIFY_PEER, NULL);
    REQUIRE(SSL_CTX_set_session_id_context(p.server, (const unsigned char *)"shop", 4) == 1);
    expect_openssls(&p);
}

/* ---- what fails is what it was ---- */

/* A call fails as OpenSSL's own handshake on a connection does, on two connections, and so does the next, on one. */
static void expect_as_openssl(struct shop *p, weft_err want)
{
    char words[256], why[256];
    weft_conn *conn;
    weft_http_response *r;
    struct weft_tls_config config = p->trust;
    config.server_name = "127.0.0.1";
    config.alpn = "http/1.1";
    REQUIRE(weft_dial(NULL, "tcp", p->url + 8, &conn) == 0);
    EXPECT_EQ(weft_tls_client(NULL, conn, &config, &conn), want);
    snprintf(words, sizeof words, "TLS: %s", weft_tls_error(conn));
    weft_conn_close(conn);
    weft_http_client *c = shop_client(p);
    struct weft_http_call call = {.url = p->url, .reterr_text = why, .reterr_size = sizeof why};
    for (int i = 0; i < 2; i++) {
        int conns = atomic_load(&p->conns), own = atomic_load(&p->own);
        why[0] = '\0';
        EXPECT_EQ(weft_http_do(NULL, c, &call, &r), want);
        EXPECT_STR(why, words);
        EXPECT_EQ(atomic_load(&p->conns) - conns, i ? 1 : 2);
        EXPECT_EQ(atomic_load(&p->own) - own, i ? 0 : 1);
    }
    weft_http_client_free(c);
}

enum { DAY = 86400 };

static void expect_certificate(X509 *(*make)(struct shop *p))
{
    struct shop p;
    shop_open(&p);
    shop_show(&p, make(&p));
    expect_as_openssl(&p, WEFT_ECERT);
    EXPECT_EQ(atomic_load(&p.requests), 0);
    shop_close(&p);
}

static X509 *make_expired(struct shop *p)
{
    return cert_new("good.test", p->id.key, p->c.ca_cert, p->c.ca_key, -2 * DAY, -DAY, false);
}

static X509 *make_self_signed(struct shop *p)
{
    return cert_new("good.test", p->id.key, NULL, p->id.key, -DAY, DAY, false);
}

static X509 *make_misnamed(struct shop *p)
{
    return cert_new_for("other.test", "DNS:other.test,IP:127.0.0.2", p->id.key, p->c.ca_cert, p->c.ca_key, -DAY, DAY);
}

TEST(http_tls_own, an_expired_certificate_is_what_it_was)
{
    expect_certificate(make_expired);
}

TEST(http_tls_own, a_self_signed_certificate_is_what_it_was)
{
    expect_certificate(make_self_signed);
}

TEST(http_tls_own, a_certificate_for_another_name_is_what_it_was)
{
    expect_certificate(make_misnamed);
}

TEST(http_tls_own, a_server_that_ends_at_the_hello_is_what_it_was)
{
    struct shop p;
    shop_open(&p);
    atomic_store(&p.manner, HANGUP);
    expect_as_openssl(&p, WEFT_EEOF);
    shop_close(&p);
}

/* In TLS 1.3 the client is told when it thinks that all is well. */
static void expect_certificate_required(int own)
{
    struct shop p;
    char why[256];
    weft_http_response *r;
    shop_open(&p);
    SSL_CTX_set_verify(p.server, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
    weft_http_client *c = shop_client(&p);
    struct weft_http_call call = {.url = p.url, .reterr_text = why, .reterr_size = sizeof why};
    EXPECT_EQ(weft_http_do(NULL, c, &call, &r), WEFT_ETLS);
    EXPECT_STR(why, "response: TLS failure");
    EXPECT_EQ(atomic_load(&p.own), own);
    EXPECT_EQ(atomic_load(&p.requests), 0);
    weft_http_client_free(c);
    shop_close(&p);
}

TEST(http_tls_own, a_server_that_must_have_a_certificate_is_what_it_was)
{
    expect_certificate_required(1);
}

TEST_ENV(http_tls_own, so_says_openssl, "WEFT_TLS=openssl")
{
    expect_certificate_required(0);
}

/* ---- time ---- */

static weft_err timed(struct shop *p, weft_http_client *c, weft_dur timeout)
{
    weft_http_response *r;
    struct weft_http_call call = {.url = p->url, .timeout = timeout};
    return weft_http_do(NULL, c, &call, &r);
}

/* Opens a shop where a call's time is up once the shop has seen something: its counter `seen`. A machine that is slow may take longer
 * to come so far than the call has: then another shop, and three times as long. */
static weft_http_client *shop_until(struct shop *p, enum manner manner, atomic_int *seen)
{
    for (weft_dur timeout = 100 * WEFT_MS;; timeout *= 3) {
        shop_open(p);
        atomic_store(&p->manner, manner);
        weft_http_client *c = shop_client(p);
        EXPECT_EQ(timed(p, c, timeout), WEFT_EDEADLINE);
        if (atomic_load(seen) || timeout > 10 * WEFT_SEC)
            return c;
        weft_http_client_free(c);
        shop_close(p);
    }
}

/* Time that is up is not used for another try; but the next call is OpenSSL's. */
TEST(http_tls_own, a_deadline_ends_the_handshake)
{
    struct shop p;
    weft_http_client *c = shop_until(&p, SILENT, &p.own);
    EXPECT(atomic_load(&p.conns) == 1 && atomic_load(&p.own) == 1);
    atomic_store(&p.manner, SERVE);
    expect_fetch(&p, c, 200, 1, 0);
    weft_http_client_free(c);
    shop_close(&p);
}

static void cancel_soon(struct shop *p, weft_ctx *ctx)
{
    while (atomic_load(&p->own) == 0)
        weft_sleep(WEFT_MS);
    weft_sleep(20 * WEFT_MS);
    weft_cancel(ctx);
}

TEST(http_tls_own, a_cancel_ends_the_handshake)
{
    struct shop p;
    weft_http_response *r;
    weft_waitgroup wg = {0};
    shop_open(&p);
    atomic_store(&p.manner, SILENT);
    weft_http_client *c = shop_client(&p);
    weft_ctx *ctx = weft_with_cancel(NULL);
    weft_waitgroup_go(&wg, cancel_soon, &p, ctx);
    EXPECT_EQ(weft_http_get(ctx, c, p.url, &r), WEFT_ECANCELED);
    weft_waitgroup_wait(&wg);
    weft_ctx_unref(ctx);
    EXPECT_EQ(atomic_load(&p.conns), 1);
    atomic_store(&p.manner, SERVE);
    expect_fetch(&p, c, 200, 1, 1);   /* the server has done nothing */
    weft_http_client_free(c);
    shop_close(&p);
}

TEST(http_tls_own, a_server_that_says_nothing_behind_its_flight_is_waited_for)
{
    struct shop p;
    weft_http_client *c = shop_until(&p, MUTE, &p.shaken);
    EXPECT(atomic_load(&p.conns) == 1 && atomic_load(&p.own) == 1);
    atomic_store(&p.manner, SERVE);
    expect_fetch(&p, c, 200, 1, 1);
    weft_http_client_free(c);
    shop_close(&p);
}

/* ---- bodies ---- */

/* A body without a length ends with the peer's goodbye, not with the socket: somebody in between can end that. */
TEST(http_tls_own, a_body_that_ends_without_a_goodbye_is_cut)
{
    struct shop p;
    char body[64];
    shop_open(&p);
    weft_http_client *c = shop_client(&p);
    atomic_store(&p.manner, UNENDED);
    EXPECT_EQ(fetch(c, p.url, body, sizeof body), WEFT_EEOF);
    atomic_store(&p.manner, POLITE);
    EXPECT_EQ(fetch(c, p.url, body, sizeof body), 200);
    EXPECT_STR(body, "half");
    EXPECT(atomic_load(&p.conns) == 2 && atomic_load(&p.own) == 2);
    weft_http_client_free(c);
    shop_close(&p);
}

static void mirror(weft_http_request *rq, weft_http_writer *w, void *arg)
{
    char buf[10000];
    ssize_t n;
    (void)arg;
    weft_http_reply_length(w, (uint64_t)weft_http_request_content_length(rq));
    while ((n = weft_http_request_read(rq, buf, sizeof buf)) > 0)
        if (weft_http_reply_write(w, buf, (size_t)n) < 0)
            return;
}

static void mirror_serve(weft_http_server *s, weft_listener *ln)
{
    EXPECT_EQ(weft_http_serve(NULL, s, ln), 0);
}

/* A megabyte there and back; it is our own client's connection, for the ticket is in its table. */
static void expect_megabyte(int http2, int version)
{
    enum { LEN = 1 << 20 };
    struct certs c = certs_make();
    weft_http_server *s;
    weft_listener *ln;
    weft_waitgroup wg = {0};
    weft_http_response *r;
    char url[WEFT_ADDR_TEXT + 16] = "https://", *back;
    unsigned char *sent = some_bytes(LEN);
    size_t n;
    struct weft_tls_config tls = {.cert_file = c.good, .key_file = c.key}, trust = {.ca_file = c.ca};
    REQUIRE(weft_http_server_new(&(struct weft_http_server_opts){.handler = mirror, .tls = &tls}, &s) == 0);
    REQUIRE(weft_listen(&ln, "tcp", "127.0.0.1:0") == 0 && weft_listener_addr(ln, url + 8, WEFT_ADDR_TEXT) > 0);
    weft_waitgroup_go(&wg, mirror_serve, s, ln);
    weft_http_client *client = client_with(&(struct weft_http_client_opts){.tls = &trust, .http2 = http2});
    for (int i = 0; i < 3; i++) {
        struct weft_http_call call = {.url = url, .method = "POST", .body = sent, .body_len = LEN};
        REQUIRE(weft_http_do(NULL, client, &call, &r) == 0);
        EXPECT(weft_http_status(r) == 200 && weft_http_version(r) == version);
        REQUIRE(weft_http_body_read_all(NULL, r, 0, &back, &n) == 0);
        EXPECT(n == LEN && memcmp(back, sent, LEN) == 0);
        free(back);
        weft_http_response_free(r);
    }
    trust.alpn = version == 20 ? "h2,http/1.1" : "http/1.1";
    SSL_CTX *ctx = client_ctx(&trust);
    struct weft__t13_ticket *k = weft__t13_ticket_get(hosts_of(ctx), url + 8, false);
    EXPECT(k != NULL);
    weft__t13_ticket_unref(k);
    SSL_CTX_free(ctx);
    weft_http_client_free(client);
    EXPECT_EQ(weft_http_server_shutdown(NULL, s), 0);
    weft_waitgroup_wait(&wg);
    weft_http_server_free(s);
    free(sent);
    certs_remove(&c);
}

TEST(http_tls_own, a_megabyte_goes_both_ways)
{
    expect_megabyte(0, 11);
}

TEST(http_tls_own, a_megabyte_goes_both_ways_by_http2)
{
    expect_megabyte(WEFT_HTTP2_TLS, 20);
}
