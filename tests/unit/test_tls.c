/*
 * test_tls.c - TLS: whom it trusts, what it agrees on, how it ends. Certificates are made anew for each test.
 */
#include "tls_site.h"

/* ---- whom it trusts ---- */

TEST(tls, a_good_certificate_is_accepted_and_bytes_flow)
{
    struct certs f = certs_make();
    struct tls_server *s = tls_start(f.good, f.key, NULL);
    struct weft_tls_config c = {.ca_file = f.ca, .server_name = "good.test"};
    struct weft_tls_state st;
    weft_conn *t;
    char buf[16];
    REQUIRE(tls_dial(s, &c, NULL, &t) == 0);
    EXPECT_EQ(weft_conn_read_full(NULL, t, buf, 2), 2);
    EXPECT_EQ(weft_conn_write(NULL, t, "hello", 5), 5);
    EXPECT_EQ(weft_conn_read_full(NULL, t, buf, 5), 5);
    EXPECT(memcmp(buf, "hello", 5) == 0);
    EXPECT_EQ(weft_tls_state_get(t, &st), 0);
    EXPECT_EQ(st.version, WEFT_TLS_1_3);
    EXPECT(!st.resumed);
    EXPECT_STR(st.alpn, "");
    weft_conn_close(t);
    tls_stop(s);
    certs_remove(&f);
}

TEST(tls, the_name_must_be_in_the_certificate)
{
    struct certs f = certs_make();
    struct tls_server *s = tls_start(f.good, f.key, NULL);
    static const struct { const char *name; weft_err want; } cases[] = {
        {"good.test", 0}, {"GOOD.test", 0}, {"good.test.", 0}, {"a.wild.test", 0}, {"127.0.0.1", 0},
        {"evil.test", WEFT_ECERT}, {"wild.test", WEFT_ECERT}, {"a.b.wild.test", WEFT_ECERT}, {"127.0.0.2", WEFT_ECERT},
        {"good.test.evil.test", WEFT_ECERT}, {".", WEFT_EADDR}, {"", WEFT_EINVAL}, {NULL, WEFT_EINVAL},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct weft_tls_config c = {.ca_file = f.ca, .server_name = cases[i].name};
        weft_err err = tls_dial(s, &c, NULL, NULL);
        if (err != cases[i].want)
            weft_test_fail(__FILE__, __LINE__, "%s: %s", cases[i].name ? cases[i].name : "(null)", weft_strerror(err));
    }
    tls_stop(s);
    certs_remove(&f);
}

static void expect_refused(const char *cert, const struct certs *f, const char *ca, const char *words)
{
    struct tls_server *s = tls_start(cert, f->key, NULL);
    struct weft_tls_config c = {.ca_file = ca, .server_name = "good.test"};
    char text[200];
    EXPECT_EQ(tls_dial(s, &c, text, NULL), WEFT_ECERT);
    if (!strstr(text, words))
        weft_test_fail(__FILE__, __LINE__, "\"%s\" does not say \"%s\"", text, words);
    EXPECT(weft_recv(s->result) < 0); /* the server learns of it */
    c.insecure = true;
    EXPECT_EQ(tls_dial(s, &c, NULL, NULL), 0);
    tls_stop(s);
}

TEST(tls, an_expired_certificate_is_refused)
{
    struct certs f = certs_make();
    expect_refused(f.expired, &f, f.ca, "expired");
    certs_remove(&f);
}

TEST(tls, a_self_signed_certificate_is_refused)
{
    struct certs f = certs_make();
    expect_refused(f.self, &f, f.ca, "self-signed");
    certs_remove(&f);
}

TEST(tls, an_untrusted_issuer_is_refused)
{
    struct certs f = certs_make();
    expect_refused(f.good, &f, f.other_ca, "issuer");
    certs_remove(&f);
}

TEST(tls, the_systems_store_does_not_know_our_authority)
{
    struct certs f = certs_make();
    struct tls_server *s = tls_start(f.good, f.key, NULL);
    struct weft_tls_config c = {.server_name = "good.test"};
    EXPECT_EQ(tls_dial(s, &c, NULL, NULL), WEFT_ECERT);
    tls_stop(s);
    certs_remove(&f);
}

TEST(tls, missing_or_wrong_files_are_told)
{
    struct certs f = certs_make();
    struct weft_tls_config none = {.ca_file = "/nonexistent/ca.pem", .server_name = "x"};
    struct weft_tls_config wrong = {.ca_file = f.key, .server_name = "x"};
    struct weft_tls_config half = {.cert_file = f.good};
    struct weft_tls_config mixed = {.cert_file = f.good, .key_file = f.ca};
    struct weft_tls_config good = {.cert_file = f.good, .key_file = f.key};
    EXPECT_EQ(weft_tls_check(&none), -ENOENT);
    EXPECT_EQ(weft_tls_check(&wrong), WEFT_ECERT);
    EXPECT_EQ(weft_tls_check(&half), WEFT_EINVAL);
    EXPECT_EQ(weft_tls_check(&mixed), WEFT_ECERT);
    EXPECT_EQ(weft_tls_check(&good), 0);
    EXPECT_EQ(weft_tls_check(NULL), 0);
    certs_remove(&f);
}

/* ---- what it agrees on ---- */

TEST(tls, a_second_connection_resumes_the_session)
{
    struct certs f = certs_make();
    struct tls_server *s = tls_start(f.good, f.key, NULL);
    struct weft_tls_config c = {.ca_file = f.ca, .server_name = "good.test"}, off = c, other = c;
    int version;
    off.no_session_cache = true;
    other.server_name = "a.wild.test";
    EXPECT(!dial_resumed(s, &c, &version));
    EXPECT(dial_resumed(s, &c, &version));
    EXPECT(dial_resumed(s, &c, &version));
    EXPECT(!dial_resumed(s, &off, &version));
    EXPECT(!dial_resumed(s, &off, &version));
    EXPECT(!dial_resumed(s, &other, &version)); /* another name is another session */
    tls_stop(s);
    certs_remove(&f);
}

TEST(tls, alpn_chooses_the_best_that_both_know)
{
    struct certs f = certs_make();
    struct tls_server *s = tls_start(f.good, f.key, "h2,http/1.1");
    static const char *const cases[][2] = {{"http/1.1", "http/1.1"}, {"http/1.1,h2", "h2"}, {NULL, ""}};
    for (int i = 0; i < 3; i++) {
        struct weft_tls_config c = {.ca_file = f.ca, .server_name = "good.test", .alpn = cases[i][0]};
        struct weft_tls_state st;
        weft_conn *t;
        REQUIRE(tls_dial(s, &c, NULL, &t) == 0);
        EXPECT_EQ(weft_tls_state_get(t, &st), 0);
        EXPECT_STR(st.alpn, cases[i][1]);
        weft_conn_close(t);
    }
    struct weft_tls_config bad = {.ca_file = f.ca, .server_name = "good.test", .alpn = "h2,,x"};
    EXPECT_EQ(tls_dial(s, &bad, NULL, NULL), WEFT_EINVAL);
    tls_stop(s);
    certs_remove(&f);
}

/* RFC 7301 3.2, and as Go: a server of HTTP/2 alone lets clients of HTTP/1.1 go on without. */
TEST(tls, a_client_with_no_protocol_in_common_is_refused)
{
    struct certs f = certs_make();
    char text[200];
    struct weft_tls_config c = {.ca_file = f.ca, .server_name = "good.test", .alpn = "spdy,http/1.1"};
    struct tls_server *s = tls_start(f.good, f.key, "ftp,imap");
    EXPECT_EQ(tls_dial(s, &c, text, NULL), WEFT_ETLS);
    EXPECT(strstr(text, "application protocol") != NULL);
    EXPECT(weft_recv(s->result) < 0);
    tls_stop(s);
    s = tls_start(f.good, f.key, "h2");
    EXPECT_EQ(tls_dial(s, &c, NULL, NULL), 0);
    c.alpn = "spdy";
    EXPECT_EQ(tls_dial(s, &c, NULL, NULL), WEFT_ETLS);
    tls_stop(s);
    certs_remove(&f);
}

TEST(tls, the_least_version_is_kept)
{
    struct certs f = certs_make();
    struct tls_server *s = tls_start(f.good, f.key, NULL);
    struct weft_tls_config c = {.ca_file = f.ca, .server_name = "good.test", .min_version = 0x0301};
    EXPECT_EQ(tls_dial(s, &c, NULL, NULL), WEFT_EINVAL);
    c.min_version = WEFT_TLS_1_3;
    EXPECT_EQ(tls_dial(s, &c, NULL, NULL), 0);
    tls_stop(s);
    certs_remove(&f);
}

/* ---- bytes ---- */

enum { BIG = 8 << 20 };

static void tls_send_big(weft_conn *c, weft_chan(long) done)
{
    char *buf = malloc(BIG);
    for (int i = 0; i < BIG; i++)
        buf[i] = (char)(i / 7 + i / 5003);
    weft_send(done, (long)weft_conn_write(NULL, c, buf, BIG));
    free(buf);
}

/* A reader and a writer on one connection at one time: the echo comes back while we still send. */
TEST(tls, megabytes_go_both_ways_at_once)
{
    struct certs f = certs_make();
    struct tls_server *s = tls_start(f.good, f.key, NULL);
    struct weft_tls_config c = {.ca_file = f.ca, .server_name = "good.test"};
    weft_conn *t;
    char *buf = malloc(BIG);
    long bad = 0;
    weft_chan(long) done = weft_make(long, 1);
    REQUIRE(tls_dial(s, &c, NULL, &t) == 0);
    EXPECT_EQ(weft_conn_read_full(NULL, t, buf, 2), 2);
    weft_go(tls_send_big, t, done);
    EXPECT_EQ(weft_conn_read_full(NULL, t, buf, BIG), BIG);
    for (int i = 0; i < BIG; i++)
        bad += buf[i] != (char)(i / 7 + i / 5003);
    EXPECT_EQ(bad, 0);
    EXPECT_EQ(weft_recv(done), BIG);
    weft_free(done);
    free(buf);
    weft_conn_close(t);
    tls_stop(s);
    certs_remove(&f);
}

static void tls_visit(struct tls_server *s, struct weft_tls_config *c, weft_waitgroup *wg, _Atomic int *good)
{
    weft_conn *t;
    char buf[8];
    if (tls_dial(s, c, NULL, &t) == 0) {
        if (weft_conn_read_full(NULL, t, buf, 2) == 2 && weft_conn_write(NULL, t, "ping", 4) == 4 &&
            weft_conn_read_full(NULL, t, buf, 4) == 4 && memcmp(buf, "ping", 4) == 0)
            atomic_fetch_add(good, 1);
        weft_conn_close(t);
    }
    weft_waitgroup_done(wg);
}

TEST(tls, a_hundred_connections_at_once)
{
    struct certs f = certs_make();
    struct tls_server *s = tls_start(f.good, f.key, NULL);
    struct weft_tls_config c = {.ca_file = f.ca, .server_name = "good.test"};
    weft_waitgroup wg = {0};
    _Atomic int good = 0;
    weft_waitgroup_add(&wg, 100);
    for (int i = 0; i < 100; i++)
        weft_go(tls_visit, s, &c, &wg, &good);
    weft_waitgroup_wait(&wg);
    EXPECT_EQ(good, 100);
    tls_stop(s);
    certs_remove(&f);
}

/* ---- how it ends ---- */

TEST(tls, a_good_end_is_zero_and_a_cut_is_an_error)
{
    struct certs f = certs_make();
    struct tls_server *s = tls_start(f.good, f.key, NULL);
    struct weft_tls_config c = {.ca_file = f.ca, .server_name = "good.test"};
    weft_conn *t;
    char buf[8];
    REQUIRE(tls_dial(s, &c, NULL, &t) == 0);
    EXPECT_EQ(weft_conn_close_write(t), 0);             /* our farewell; the echo ends and says its own */
    EXPECT_EQ(weft_conn_read_full(NULL, t, buf, 2), 2); /* reading goes on */
    EXPECT_EQ(weft_conn_read(NULL, t, buf, sizeof buf), 0);
    EXPECT_EQ(weft_conn_read(NULL, t, buf, sizeof buf), 0);
    weft_conn_close(t);
    tls_stop(s);

    /* the peer's plain socket ends without a farewell */
    struct net_pair p = net_pair("tcp");
    weft_conn_close_write(p.a);
    EXPECT_EQ(weft_tls_client(NULL, p.b, &c, &t), WEFT_EEOF);
    net_pair_close(&p);
    certs_remove(&f);
}

static void answer_without_reading(weft_conn *c, struct weft_tls_config *config, weft_receiver(int) more, weft_waitgroup *wg)
{
    weft_conn *t;
    REQUIRE(weft_tls_server(NULL, c, config, &t) == 0);
    (void)weft_recv(more);
    EXPECT_EQ(weft_conn_write(NULL, t, "body", 4), 4);
    weft_conn_close(t);
    weft_waitgroup_done(wg);
}

/* The kernel answers a close with bytes unread by a reset, and drops what it still holds back: the farewell has to be out by then. */
TEST(tls, a_server_that_has_not_read_all_says_farewell_too)
{
    struct certs f = certs_make();
    struct weft_tls_config server = {.cert_file = f.good, .key_file = f.key};
    struct weft_tls_config c = {.ca_file = f.ca, .server_name = "good.test"};
    struct net_pair p = net_pair("tcp");
    weft_chan(int) more = weft_make(int);
    weft_waitgroup wg = {0};
    weft_conn *t;
    char buf[16];
    weft_waitgroup_add(&wg, 1);
    weft_go(answer_without_reading, p.a, &server, more, &wg);
    REQUIRE(weft_tls_client(NULL, p.b, &c, &t) == 0);
    EXPECT_EQ(weft_conn_write(NULL, t, "more", 4), 4);
    weft_send(more, 1);
    EXPECT_EQ(weft_conn_read_full(NULL, t, buf, 4), 4);
    EXPECT_EQ(weft_conn_read(NULL, t, buf, sizeof buf), 0);
    weft_conn_close(t);
    weft_waitgroup_wait(&wg);
    weft_listener_close(p.ln);
    weft_free(more);
    certs_remove(&f);
}

static void cut_after_handshake(weft_conn *c, struct weft_tls_config *config)
{
    weft_conn *t;
    if (weft_tls_server(NULL, c, config, &t) == 0) {
        weft_conn_write(NULL, t, "part", 4);
        shutdown(weft_conn_fd(t), SHUT_WR); /* the end of the stream without TLS's own */
    }
    char buf[8];
    while (weft_conn_read(NULL, c, buf, sizeof buf) > 0)
        ;
    weft_conn_close(c);
}

TEST(tls, a_stream_cut_short_is_not_taken_for_the_end)
{
    struct certs f = certs_make();
    struct weft_tls_config server = {.cert_file = f.good, .key_file = f.key};
    struct weft_tls_config c = {.ca_file = f.ca, .server_name = "good.test"};
    struct net_pair p = net_pair("tcp");
    weft_conn *t;
    char buf[16];
    weft_go(cut_after_handshake, p.a, &server);
    REQUIRE(weft_tls_client(NULL, p.b, &c, &t) == 0);
    EXPECT_EQ(weft_conn_read_full(NULL, t, buf, 4), 4);
    EXPECT_EQ(weft_conn_read(NULL, t, buf, sizeof buf), WEFT_EEOF);
    EXPECT_EQ(weft_conn_read(NULL, t, buf, sizeof buf), WEFT_ETLS); /* nothing more is asked of it */
    weft_conn_close(t);
    weft_listener_close(p.ln);
    certs_remove(&f);
}

TEST(tls, a_peer_that_does_not_speak_tls_is_told_apart)
{
    struct certs f = certs_make();
    struct weft_tls_config c = {.ca_file = f.ca, .server_name = "good.test"};
    struct net_pair p = net_pair("tcp");
    weft_conn *t;
    weft_conn_write(NULL, p.a, "HTTP/1.1 400 Bad Request\r\n\r\n", 28);
    EXPECT_EQ(weft_tls_client(NULL, p.b, &c, &t), WEFT_ETLS);
    EXPECT(weft_tls_error(p.b)[0] != '\0');
    net_pair_close(&p);
    certs_remove(&f);
}

TEST(tls, a_silent_peer_ends_with_the_context)
{
    struct certs f = certs_make();
    struct weft_tls_config c = {.ca_file = f.ca, .server_name = "good.test"};
    struct net_pair p = net_pair("tcp");
    weft_ctx *ctx = weft_with_timeout(NULL, 30 * WEFT_MS);
    weft_conn *t;
    EXPECT_EQ(weft_tls_client(ctx, p.b, &c, &t), WEFT_EDEADLINE);
    weft_ctx_unref(ctx);
    weft_conn_set_deadline(p.b, weft_now() + 30 * WEFT_MS);
    EXPECT_EQ(weft_tls_client(NULL, p.b, &c, &t), WEFT_EDEADLINE);
    net_pair_close(&p);
    certs_remove(&f);
}

static void read_one(weft_conn *c, weft_chan(int) out)
{
    char buf[8];
    weft_send(out, (int)weft_conn_read(NULL, c, buf, sizeof buf));
}

TEST(tls, close_wakes_a_reader_and_a_deadline_leaves_it_usable)
{
    struct certs f = certs_make();
    struct tls_server *s = tls_start(f.good, f.key, NULL);
    struct weft_tls_config c = {.ca_file = f.ca, .server_name = "good.test"};
    weft_chan(int) out = weft_make(int, 1);
    weft_conn *t;
    char buf[8];
    REQUIRE(tls_dial(s, &c, NULL, &t) == 0);
    EXPECT_EQ(weft_conn_read_full(NULL, t, buf, 2), 2);
    weft_conn_set_read_deadline(t, weft_now() + 20 * WEFT_MS);
    EXPECT_EQ(weft_conn_read(NULL, t, buf, sizeof buf), WEFT_EDEADLINE);
    weft_conn_set_read_deadline(t, 0);
    EXPECT_EQ(weft_conn_write(NULL, t, "x", 1), 1);
    EXPECT_EQ(weft_conn_read(NULL, t, buf, sizeof buf), 1);
    weft_conn_ref(t);
    weft_go(read_one, t, out);
    weft_sleep(5 * WEFT_MS);
    EXPECT_EQ(weft_conn_close(t), 0);
    EXPECT_EQ(weft_recv(out), WEFT_ECLOSED);
    weft_conn_unref(t);
    weft_free(out);
    tls_stop(s);
    certs_remove(&f);
}
