/*
 * test_t13_review.c - our own TLS 1.3 client before a peer that means harm, or that is merely odd: what a review of it found.
 *
 * The peer is OpenSSL's server in memory as far as the handshake goes; then records are sealed here, with the keys that the client
 * expects of it. And sockets, where it is about them.
 */
#include <openssl/err.h>
#include <sys/socket.h>

#include "../../src/net/tls13/t13.h"
#include "http_cert.h"
#include "http_peer.h"
#include "tls_site.h"

struct peer13 {
    struct certs f;
    SSL_CTX *client, *server;
    struct weft__t13 *t;
    SSL *s;
    BIO *in, *out;
    struct weft__t13_way way;   /* the server's, sealed with here */
};

/* A client's hello was sent; the server has said nothing yet. */
static void peer13_open(struct peer13 *p)
{
    struct weft__tls_fail fail = {0};
    *p = (struct peer13){.f = certs_make(), .in = BIO_new(BIO_s_mem()), .out = BIO_new(BIO_s_mem())};
    struct weft_tls_config c = {.ca_file = p->f.ca};
    REQUIRE((p->client = weft__tls_shared_get(&c, false, &fail)) && weft__tls_extra_of(p->client)->own);
    REQUIRE((p->t = weft__t13_new(p->client, weft__tls_extra_of(p->client), "good.test", 443, false)));
    REQUIRE((p->server = SSL_CTX_new(TLS_server_method())) && SSL_CTX_set_num_tickets(p->server, 0));
    REQUIRE(SSL_CTX_use_certificate_chain_file(p->server, p->f.good) == 1);
    REQUIRE(SSL_CTX_use_PrivateKey_file(p->server, p->f.key, SSL_FILETYPE_PEM) == 1 && (p->s = SSL_new(p->server)));
    SSL_set_bio(p->s, p->in, p->out);
    SSL_set_accept_state(p->s);
}

static void peer13_close(struct peer13 *p)
{
    weft__t13_way_drop(&p->way);
    weft__t13_free(p->t);
    SSL_free(p->s);
    SSL_CTX_free(p->server);
    SSL_CTX_free(p->client);
    certs_remove(&p->f);
    ERR_clear_error();
}

static void to_client(struct peer13 *p, const void *at, size_t n)
{
    REQUIRE(weft__t13_add(&p->t->raw, at, n));
}

/* What the client has to send goes, to nowhere after the handshake. */
static size_t to_server(struct peer13 *p)
{
    struct weft__t13_bytes *b = &p->t->send;
    size_t n = b->to - b->from;
    REQUIRE(n && BIO_write(p->in, b->at + b->from, (int)n) == (int)n);
    weft__t13_drop(b, false);
    return n;
}

/* The server's flight; n its length. */
static size_t flight(struct peer13 *p, unsigned char *ret, size_t room)
{
    (void)to_server(p);
    EXPECT(SSL_do_handshake(p->s) < 1);
    int n = BIO_read(p->out, ret, (int)room);
    REQUIRE(n > 0);
    return (size_t)n;
}

/* Seal as the server from now on, by the keys that the client has now. */
static void take_keys(struct peer13 *p)
{
    const struct weft__t13_cipher *c = &p->t->shared->cipher[p->t->suite - weft__t13_suites];
    REQUIRE(weft__t13_way_set(&p->way, p->t->suite, c, p->t->in.secret, true));
}

static void peer13_shake(struct peer13 *p)
{
    unsigned char buf[8192];
    peer13_open(p);
    to_client(p, buf, flight(p, buf, sizeof buf));
    REQUIRE(weft__t13_shake(p->t) == WEFT__T13_DONE);
    (void)to_server(p);
    REQUIRE(SSL_do_handshake(p->s) == 1);
    take_keys(p);
}

static void sealed(struct peer13 *p, int type, const void *at, size_t n)
{
    unsigned char record[512];
    REQUIRE(n + WEFT__T13_OVER <= sizeof record);
    to_client(p, record, weft__t13_seal(&p->way, type, at, n, record));
}

/* A record of one byte of data whose head has a version of its own, which is sealed with it. */
static void sealed_as(struct peer13 *p, int type, unsigned char minor, const unsigned char *at, size_t n)
{
    unsigned char record[64] = {T13_DATA, 3, minor, 0, (unsigned char)(n + 1 + WEFT__T13_TAG)}, nonce[WEFT__T13_IV], *to = record + 5;
    OSSL_PARAM tag[] = {{"tag", OSSL_PARAM_OCTET_STRING, to + n + 1, WEFT__T13_TAG, 0}, OSSL_PARAM_END};
    const struct weft__t13_cipher *c = p->way.cipher;
    size_t done;
    memcpy(to, at, n);
    to[n] = (unsigned char)type;
    memcpy(nonce, p->way.iv, sizeof nonce);
    nonce[WEFT__T13_IV - 1] ^= (unsigned char)p->way.seq++;
    REQUIRE(c->seal(p->way.keyed, NULL, 0, nonce, sizeof nonce, NULL) == 1 && c->update(p->way.keyed, NULL, &done, 5, record, 5) == 1);
    REQUIRE(c->update(p->way.keyed, to, &done, n + 1, to, n + 1) == 1 && c->final(p->way.keyed, to + n + 1, &done, WEFT__T13_TAG) == 1);
    REQUIRE(c->get(p->way.keyed, tag) == 1);
    to_client(p, record, 5 + n + 1 + WEFT__T13_TAG);
}

/* One read of what is there. */
static enum weft__t13_is reads(struct peer13 *p, char *ret, size_t room)
{
    size_t got = 0;
    enum weft__t13_is is = weft__t13_read(p->t, ret, room - 1, &got);
    ret[is == WEFT__T13_DONE ? got : 0] = '\0';
    return is;
}

/* ---- the handshake ---- */

TEST(t13_review, a_change_of_ciphers_before_the_servers_hello_is_for_openssl)
{
    static const unsigned char ccs[] = {T13_CCS, 3, 3, 0, 1, 1};
    unsigned char buf[8192];
    struct peer13 p;
    for (int early = 0; early < 2; early++) {
        peer13_open(&p);
        if (early)
            to_client(&p, ccs, sizeof ccs);
        to_client(&p, buf, flight(&p, buf, sizeof buf));   /* has one where it belongs */
        EXPECT_EQ(weft__t13_shake(p.t), early ? WEFT__T13_OTHER : WEFT__T13_DONE);
        peer13_close(&p);
    }
}

/* The server's hello only, and its keys. */
static void hello_only(struct peer13 *p)
{
    unsigned char buf[8192];
    peer13_open(p);
    (void)flight(p, buf, sizeof buf);
    to_client(p, buf, 5 + ((size_t)buf[3] << 8 | buf[4]));
    REQUIRE(weft__t13_shake(p->t) == WEFT__T13_MORE);
    take_keys(p);
}

TEST(t13_review, messages_are_as_long_as_openssl_takes_them_and_no_longer)
{
    static const unsigned char encrypted[] = {T13_ENCRYPTED, 0, 0, 2, 0, 0};
    static const struct {
        unsigned char head[4];
        bool takes;
    } of[] = {{{T13_CERTIFICATE, 1, 0x90, 0}, true}, {{T13_CERTIFICATE, 1, 0x90, 1}, false}};   /* 100 KiB; a byte more */
    struct peer13 p;
    for (int i = 0; i < 2; i++) {
        hello_only(&p);
        sealed(&p, T13_HANDSHAKE, encrypted, sizeof encrypted);
        sealed(&p, T13_HANDSHAKE, of[i].head, 4);
        EXPECT_EQ(weft__t13_shake(p.t), of[i].takes ? WEFT__T13_MORE : WEFT__T13_OTHER);
        peer13_close(&p);
    }
    hello_only(&p);
    sealed(&p, T13_HANDSHAKE, "\10\0\100\1", 4);   /* EncryptedExtensions of 16 KiB and a byte */
    EXPECT_EQ(weft__t13_shake(p.t), WEFT__T13_OTHER);
    peer13_close(&p);
}

TEST(t13_review, a_sealed_record_says_the_version_that_all_say)
{
    static const unsigned char encrypted[] = {T13_ENCRYPTED, 0, 0, 2, 0, 0};
    struct peer13 p;
    char buf[64];
    for (unsigned char minor = 1; minor <= 4; minor++) {
        hello_only(&p);
        sealed_as(&p, T13_HANDSHAKE, minor, encrypted, sizeof encrypted);
        EXPECT_EQ(weft__t13_shake(p.t), minor == 3 ? WEFT__T13_MORE : WEFT__T13_OTHER);
        peer13_close(&p);
        peer13_shake(&p);
        sealed_as(&p, T13_DATA, minor, (const unsigned char *)"hi", 2);
        EXPECT_EQ(reads(&p, buf, sizeof buf), minor == 3 ? WEFT__T13_DONE : WEFT__T13_BROKEN);
        EXPECT_STR(buf, minor == 3 ? "hi" : "");
        peer13_close(&p);
    }
}

TEST(t13_review, authorities_for_verifying_alone_are_asked_where_there_are_some)
{
    unsigned char buf[8192];
    for (int good = 0; good < 2; good++) {   /* as VerifyCAFile in openssl.cnf has them, none or ours */
        struct peer13 p;
        peer13_open(&p);
        X509_STORE *store = X509_STORE_new();
        REQUIRE(store && (!good || X509_STORE_load_file(store, p.f.ca) == 1));
        REQUIRE(SSL_CTX_set0_verify_cert_store(p.client, store) == 1);
        to_client(&p, buf, flight(&p, buf, sizeof buf));
        EXPECT_EQ(weft__t13_shake(p.t), good ? WEFT__T13_DONE : WEFT__T13_OTHER);
        peer13_close(&p);
    }
}

/* ---- after it ---- */

TEST(t13_review, a_peer_that_asks_for_keys_and_reads_nothing_fills_no_memory)
{
    static const unsigned char asks[] = {T13_UPDATE, 0, 0, 1, 1};
    const struct weft__t13_cipher *c;
    enum weft__t13_is is = WEFT__T13_DONE;
    struct peer13 p;
    size_t most = 0;
    char buf[64];
    int i;
    peer13_shake(&p);
    c = p.way.cipher;
    for (i = 0; i < 20000 && is == WEFT__T13_DONE; i++) {   /* a byte between, so that they are not many in a row */
        sealed(&p, T13_HANDSHAKE, asks, sizeof asks);
        REQUIRE(weft__t13_way_turn(&p.way, p.t->suite, c, true));
        sealed(&p, T13_DATA, "x", 1);
        while ((is = reads(&p, buf, sizeof buf)) == WEFT__T13_DONE)
            continue;
        is = is == WEFT__T13_MORE ? WEFT__T13_DONE : is;
        most = p.t->send.to - p.t->send.from > most ? p.t->send.to - p.t->send.from : most;
    }
    EXPECT_EQ(is, WEFT__T13_BROKEN);
    EXPECT(i > 1000 && most < 40000);
    peer13_close(&p);

    peer13_shake(&p);   /* one that reads may ask for ever */
    for (i = 0; i < 3000; i++) {
        sealed(&p, T13_HANDSHAKE, asks, sizeof asks);
        REQUIRE(weft__t13_way_turn(&p.way, p.t->suite, p.way.cipher, true));
        sealed(&p, T13_DATA, "y", 1);
        EXPECT_EQ(reads(&p, buf, sizeof buf), WEFT__T13_DONE);
        EXPECT_EQ(reads(&p, buf, sizeof buf), WEFT__T13_MORE);
        EXPECT_EQ(to_server(&p), 5 + WEFT__T13_OVER);
    }
    peer13_close(&p);
}

/* A ticket for so many seconds, with these extensions. */
static void ticket(struct peer13 *p, unsigned seconds, const void *more, unsigned char n)
{
    unsigned char m[64] = {T13_TICKET, 0, 0, (unsigned char)(15 + n), 0, (unsigned char)(seconds >> 16), (unsigned char)(seconds >> 8),
                           (unsigned char)seconds, 0, 0, 0, 0, 1, 0, 0, 1, 7, 0, n};
    memcpy(m + 19, more, n);
    sealed(p, T13_HANDSHAKE, m, 19 + (size_t)n);
}

static bool has_ticket(struct peer13 *p)
{
    struct weft__t13_ticket *k = weft__t13_ticket_get(p->t->shared->hosts, p->t->key, false);
    weft__t13_ticket_unref(k);
    return k != NULL;
}

/* OpenSSL goes on too, and after a handshake there is no other client to fall back upon. */
TEST(t13_review, a_ticket_for_longer_than_a_week_is_not_kept_and_breaks_nothing)
{
    struct peer13 p;
    char buf[64];
    peer13_shake(&p);
    ticket(&p, 604801, "", 0);
    sealed(&p, T13_DATA, "on", 2);
    EXPECT_EQ(reads(&p, buf, sizeof buf), WEFT__T13_DONE);
    EXPECT_STR(buf, "on");
    EXPECT(!has_ticket(&p));
    ticket(&p, 604800, "\0\52\0\4\0\0\0\0", 8);   /* early_data, as it may be */
    EXPECT_EQ(reads(&p, buf, sizeof buf), WEFT__T13_MORE);
    EXPECT(has_ticket(&p));
    peer13_close(&p);
}

TEST(t13_review, a_ticket_whose_extensions_are_malformed_is_not_taken)
{
    static const struct {
        const char *at;
        unsigned char n;
    } bad[] = {{"\0", 1}, {"\0\52\0", 3}, {"\0\52\0\4\0\0\0", 7}, {"\0\52\0\0\1", 5}};
    struct peer13 p;
    char buf[64];
    for (int i = 0; i < 4; i++) {
        peer13_shake(&p);
        ticket(&p, 3600, bad[i].at, bad[i].n);
        EXPECT_EQ(reads(&p, buf, sizeof buf), WEFT__T13_BROKEN);
        EXPECT_EQ(p.t->alert, T13_A_DECODE);
        EXPECT(!has_ticket(&p));
        peer13_close(&p);
    }
}

/* ---- the socket ---- */

/* Says something behind new keys that it wants an answer to. */
static void serve_last(struct tls_server *s, weft_listener *ln)
{
    weft_conn *c;
    char buf[16];
    REQUIRE(weft_accept(NULL, ln, &c) == 0);
    REQUIRE(weft_tls_server(NULL, c, &s->config, &c) == 0);
    EXPECT_EQ(weft_conn_read_full(NULL, c, buf, 1), 1);
    REQUIRE(SSL_key_update(c->tls->ssl, SSL_KEY_UPDATE_REQUESTED) == 1);
    EXPECT_EQ(weft_conn_write(NULL, c, "last", 4), 4);
    while (weft_conn_read(NULL, c, buf, sizeof buf) > 0)
        continue;
    (void)weft_conn_close(c);
}

/* As over OpenSSL: an answer to the peer that cannot be sent any more takes nothing from what it has said. */
TEST(t13_review, what_the_peer_has_said_is_read_though_nothing_can_be_sent)
{
    struct certs f = certs_make();
    struct tls_server s = {.config = {.cert_file = f.good, .key_file = f.key}};
    struct weft_tls_config c = {.ca_file = f.ca, .server_name = "good.test"};
    char addr[WEFT_ADDR_TEXT], buf[16] = "";
    weft_waitgroup wg = {0};
    weft_listener *ln;
    weft_conn *conn;
    REQUIRE(weft_listen(&ln, "tcp", "127.0.0.1:0") == 0 && weft_listener_addr(ln, addr, sizeof addr) > 0);
    weft_waitgroup_go(&wg, serve_last, &s, ln);
    REQUIRE(weft_dial(NULL, "tcp", addr, &conn) == 0);
    REQUIRE(weft__tls_client_own(NULL, conn, &c, 443) == 0);
    EXPECT_EQ(weft_conn_write(NULL, conn, "x", 1), 1);
    REQUIRE(shutdown(conn->f.fd, SHUT_WR) == 0);   /* a send fails from now on */
    EXPECT_EQ(weft_conn_read_full(NULL, conn, buf, 4), 4);
    EXPECT_STR(buf, "last");
    EXPECT(weft_conn_write(NULL, conn, "x", 1) < 0);
    (void)weft_conn_close(conn);
    weft_waitgroup_wait(&wg);
    (void)weft_listener_close(ln);
    certs_remove(&f);
}

/* Says back what it hears, with new keys that want an answer now and then. */
static void serve_echo(struct tls_server *s, weft_listener *ln)
{
    static char buf[40000];
    weft_conn *c;
    ssize_t n;
    REQUIRE(weft_accept(NULL, ln, &c) == 0);
    REQUIRE(weft_tls_server(NULL, c, &s->config, &c) == 0);
    for (int i = 0; (n = weft_conn_read(NULL, c, buf, sizeof buf)) > 0; i++) {
        if (i % 8 == 0)
            EXPECT_EQ(SSL_key_update(c->tls->ssl, SSL_KEY_UPDATE_REQUESTED), 1);
        if (weft_conn_write(NULL, c, buf, (size_t)n) != n)
            break;
    }
    (void)weft_conn_close(c);
}

enum { BOTH_WAYS = 6 << 20, PIECE = 50000 };

static unsigned char byte_of(size_t at)
{
    return (unsigned char)(at * 31 + (at >> 13));
}

static void write_all(weft_conn *conn)
{
    static unsigned char buf[PIECE];
    for (size_t at = 0; at < BOTH_WAYS;) {
        size_t n = 1 + at * 7 % PIECE;
        n = n < BOTH_WAYS - at ? n : BOTH_WAYS - at;
        for (size_t i = 0; i < n; i++)
            buf[i] = byte_of(at + i);
        EXPECT_EQ(weft_conn_write(NULL, conn, buf, n), (ssize_t)n);
        at += n;
    }
    EXPECT_EQ(weft_conn_close_write(conn), 0);
}

/* T26: records that the socket took in parts, answers of the reader's between them, in the order of their numbers. */
TEST(t13_review, a_reader_and_a_writer_change_keys_in_the_middle_of_it)
{
    static unsigned char buf[PIECE];
    struct certs f = certs_make();
    struct tls_server s = {.config = {.cert_file = f.good, .key_file = f.key}};
    struct weft_tls_config c = {.ca_file = f.ca, .server_name = "good.test"};
    char addr[WEFT_ADDR_TEXT];
    weft_waitgroup wg = {0};
    weft_listener *ln;
    weft_conn *conn;
    ssize_t n;
    size_t at = 0;
    bool same = true;
    REQUIRE(weft_listen(&ln, "tcp", "127.0.0.1:0") == 0 && weft_listener_addr(ln, addr, sizeof addr) > 0);
    weft_waitgroup_go(&wg, serve_echo, &s, ln);
    REQUIRE(weft_dial(NULL, "tcp", addr, &conn) == 0);
    REQUIRE(setsockopt(conn->f.fd, SOL_SOCKET, SO_SNDBUF, &(int){8192}, sizeof(int)) == 0);
    REQUIRE(weft__tls_client_own(NULL, conn, &c, 443) == 0);
    weft_waitgroup_go(&wg, write_all, conn);
    while ((n = weft_conn_read(NULL, conn, buf, 1 + at % PIECE)) > 0)
        for (ssize_t i = 0; i < n; i++, at++)
            same = same && buf[i] == byte_of(at);
    EXPECT_EQ(n, 0);
    EXPECT(same && at == BOTH_WAYS);
    weft_waitgroup_wait(&wg);
    (void)weft_conn_close(conn);
    (void)weft_listener_close(ln);
    certs_remove(&f);
}

/* ---- dialled again ---- */

struct twice {
    weft_listener *ln;
    struct weft_tls_config tls;
    _Atomic int asked;   /* addresses that were asked about */
};

/* The first connection stalls a moment and ends; the second one is served. */
static void serve_second(struct twice *w)
{
    char buf[4096];
    weft_conn *c;
    REQUIRE(weft_accept(NULL, w->ln, &c) == 0);
    EXPECT(weft_conn_read(NULL, c, buf, sizeof buf) > 0);
    weft_sleep(80 * WEFT_MS);
    (void)weft_conn_close(c);
    REQUIRE(weft_accept(NULL, w->ln, &c) == 0);
    REQUIRE(weft_tls_server(NULL, c, &w->tls, &c) == 0);
    EXPECT(peer_read_head(NULL, c, buf, sizeof buf) > 0);
    (void)weft_conn_write(NULL, c, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", 40);
    while (weft_conn_read(NULL, c, buf, sizeof buf) > 0)
        continue;
    (void)weft_conn_close(c);
}

static bool ask_about(const struct sockaddr *addr, void *arg)
{
    struct twice *w = arg;
    (void)addr;
    return atomic_fetch_add(&w->asked, 1) < 4;
}

TEST(t13_review, a_call_that_had_to_dial_again_tells_the_time_of_both_and_asks_about_each_address)
{
    struct cert c;
    cert_make(&c);
    struct twice w = {.tls = {.cert_file = c.crt, .key_file = c.key}};
    struct weft_tls_config tls = {.ca_file = c.crt};
    char url[WEFT_ADDR_TEXT + 16] = "https://";
    weft_waitgroup wg = {0};
    weft_http_response *r;
    struct weft_http_times t;
    REQUIRE(weft_listen(&w.ln, "tcp", "127.0.0.1:0") == 0 && weft_listener_addr(w.ln, url + 8, WEFT_ADDR_TEXT) > 0);
    weft_waitgroup_go(&wg, serve_second, &w);
    weft_http_client *client = client_with(&(struct weft_http_client_opts){.tls = &tls, .allow = ask_about, .arg = &w});
    REQUIRE(weft_http_get(NULL, client, url, &r) == 0);
    weft_http_times(r, &t);
    EXPECT(t.tls >= 80 * WEFT_MS);
    EXPECT_EQ(atomic_load(&w.asked), 2);
    weft_http_response_free(r);
    weft_http_client_free(client);
    weft_waitgroup_wait(&wg);
    (void)weft_listener_close(w.ln);
    cert_drop(&c);
}
