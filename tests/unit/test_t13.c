/*
 * test_t13.c - our own TLS 1.3 client, src/net/tls13: handshakes with OpenSSL's server in memory, and sessions that go on.
 *
 * Source: RFC 8446, RFC 8448 3. What servers do wrong is in test_t13_bad.c, what comes after a handshake in test_t13_data.c.
 */
#include "t13_peer.h"

/* ---- records ---- */

static size_t unhex(const char *text, unsigned char *ret)
{
    size_t n = 0;
    for (; *text; text += 2)
        REQUIRE(sscanf(text, "%2hhx", &ret[n++]) == 1);
    return n;
}

/* Keys of one direction from a secret of RFC 8448. */
static struct weft__t13_way way_of(struct weft__t13_cipher *cipher, const char *secret, bool out)
{
    unsigned char bytes[32];
    struct weft__t13_way w = {0};
    REQUIRE(weft__tls_lean() && weft__t13_cipher(&weft__t13_suites[0], cipher) && unhex(secret, bytes) == 32);
    REQUIRE(weft__t13_way_set(&w, &weft__t13_suites[0], cipher, bytes, out));
    return w;
}

static void expect_sealed(struct weft__t13_way *w, int type, const unsigned char *in, size_t n, const char *want)
{
    unsigned char record[200], bytes[200];
    size_t len = unhex(want, bytes);
    EXPECT_EQ(weft__t13_seal(w, type, in, n, record), len);
    EXPECT(memcmp(record, bytes, len) == 0);
}

/* RFC 8448 3: what the client seals. */
TEST(t13, it_seals_the_records_of_rfc_8448)
{
    struct weft__t13_cipher c;
    unsigned char text[50], finished[36];
    for (unsigned char i = 0; i < 50; i++)
        text[i] = i;
    REQUIRE(unhex("14000020a8ec436d677634ae525ac1fcebe11a039ec17694fac6e98527b642f2edd5ce61", finished) == 36);
    struct weft__t13_way w = way_of(&c, "b3eddb126e067f35a780b3abf45e2d8f3b1a950738f52e9600746a0e27a55a21", true);
    expect_sealed(&w, T13_HANDSHAKE, finished, 36,
                  "170303003575ec4dc238cce60b298044a71e219c56cc77b0517fe9b93c7a4bfc44d87f38f80338ac98fc46deb384bd1caeacab6867d726c40546");
    weft__t13_way_drop(&w);
    w = way_of(&c, "9e40646ce79a7f9dc05af8889bce6552875afa0b06df0087f792ebb7c17504a5", true);
    expect_sealed(&w, T13_DATA, text, 50,
                  "1703030043a23f7054b62c94d0affafe8228ba55cbefacea42f914aa66bcab3f2b9819a8a5b46b395bd54a9a20441e2b62974e1f5a6292a2977014bd1e3d"
                  "eae63aeebb21694915e4");
    expect_sealed(&w, T13_ALERT, (const unsigned char *)"\1\0", 2, "1703030013c9872760655666b74d7ff1153efd6db6d0b0e3");
    weft__t13_way_drop(&w);
}

static const char flight_8448[] =
    "17030302a2d1ff334a56f5bff6594a07cc87b580233f500f45e489e7f33af35edf7869fcf40aa40aa2b8ea73f848a7ca07612ef9f945cb960b4068905123ea78b111b4"
    "29ba9191cd05d2a389280f526134aadc7fc78c4b729df828b5ecf7b13bd9aefb0e57f271585b8ea9bb355c7c79020716cfb9b1183ef3ab20e37d57a6b9d7477609aee6"
    "e122a4cf51427325250c7d0e509289444c9b3a648f1d71035d2ed65b0e3cdd0cbae8bf2d0b227812cbb360987255cc744110c453baa4fcd610928d809810e4b7ed1a8f"
    "d991f06aa6248204797e36a6a73b70a2559c09ead686945ba246ab66e5edd8044b4c6de3fcf2a89441ac66272fd8fb330ef8190579b3684596c960bd596eea520a56a8"
    "d650f563aad27409960dca63d3e688611ea5e22f4415cf9538d51a200c27034272968a264ed6540c84838d89f72c24461aad6d26f59ecaba9acbbb317b66d902f4f292"
    "a36ac1b639c637ce343117b659622245317b49eeda0c6258f100d7d961ffb138647e92ea330faeea6dfa31c7a84dc3bd7e1b7a6c7178af36879018e3f252107f243d24"
    "3dc7339d5684c8b0378bf30244da8c87c843f5e56eb4c5e8280a2b48052cf93b16499a66db7cca71e4599426f7d461e66f99882bd89fc50800becca62d6c74116dbd29"
    "72fda1fa80f85df881edbe5a37668936b335583b599186dc5c6918a396fa48a181d6b6fa4f9d62d513afbb992f2b992f67f8afe67f76913fa388cb5630c8ca01e0c65d"
    "11c66a1e2ac4c85977b7c7a6999bbf10dc35ae69f5515614636c0b9b68c19ed2e31c0b3b66763038ebba42f3b38edc0399f3a9f23faa63978c317fc9fa66a73f60f050"
    "4de93b5b845e275592c12335ee340bbc4fddd502784016e4b3be7ef04dda49f4b440a30cb5d2af939828fd4ae3794e44f94df5a631ede42c1719bfdabf0253fe5175be"
    "898e750edc53370d2b";

/* RFC 8448 3: what the server sealed is opened; a byte of it that is another is not. */
TEST(t13, it_opens_the_records_of_rfc_8448)
{
    static const char secret[] = "b67b7d690cc16c4e75e54213cb2d37b4e9c912bcded9105d42befd59d391ad38";
    struct weft__t13_cipher c;
    unsigned char record[700], got[700], want[36];
    size_t n = 0;
    int type = 0;
    REQUIRE(unhex(flight_8448, record) == 679);
    struct weft__t13_way w = way_of(&c, secret, false);
    EXPECT_EQ(weft__t13_open(&w, record, 674, got, &n, &type), 0);
    EXPECT(n == 657 && type == T13_HANDSHAKE);
    unhex("140000209b9b141d906337fbd2cbdce71df4deda4ab42c309572cb7fffee5454b78f0718", want);
    EXPECT(memcmp(got + n - 36, want, 36) == 0 && got[0] == T13_ENCRYPTED);
    weft__t13_way_drop(&w);
    for (size_t i = 0; i < 679; i += i < 10 ? 1 : 67) {   /* the head is under the tag as well */
        unsigned char one[700];
        w = way_of(&c, secret, false);
        memcpy(one, record, 679);
        one[i] ^= 1;
        EXPECT_EQ(weft__t13_open(&w, one, 674, got, &n, &type), T13_A_BAD_MAC);
        weft__t13_way_drop(&w);
    }
    w = way_of(&c, "a11af9f05531f856ad47116b45a950328204b4f44bfb6b3a4b4f1f3fcb631643", false);
    w.seq = 1;   /* a ticket was before it */
    REQUIRE(unhex("17030300432e937e11ef4ac740e538ad36005fc4a46932fc3225d05f82aa1b36e30efaf97d90e6dffc602dcb501a59a8fcc49c4bf2e5f0a21c0047c2abf33254"
                  "0dd032e167c2955d", record) == 72);
    EXPECT_EQ(weft__t13_open(&w, record, 67, record + 5, &n, &type), 0);   /* in its own place */
    EXPECT(n == 50 && type == T13_DATA && record[5] == 0 && record[54] == 49);
    weft__t13_way_drop(&w);
}

/* ---- handshakes ---- */

/* A whole handshake, and bytes both ways. */
static void expect_whole(SSL_CTX *client, const char *name, SSL_CTX *server, const char *alpn)
{
    struct wire w = wire_new(client, name, false, server);
    EXPECT_EQ(wire_shake(&w), WEFT__T13_DONE);
    EXPECT(w.t->verified && w.t->cert && !w.t->resumed);
    EXPECT_STR(w.t->alpn, alpn);
    const char *asked = SSL_get_servername(w.s, TLSEXT_NAMETYPE_host_name);
    EXPECT(strcmp(name, "127.0.0.1") == 0 ? asked == NULL : asked && strcmp(asked, name) == 0);
    if (!w.t->shake) {
        EXPECT_STR(SSL_get_cipher_name(w.s), w.t->suite->name);
        expect_down(&w, 1000, 16384);
        expect_up(&w, 1000);
    }
    wire_free(&w);
}

static int choose_h2(SSL *s, const unsigned char **ret, unsigned char *ret_n, const unsigned char *in, unsigned n, void *arg)
{
    (void)s, (void)in, (void)n, (void)arg;
    *ret = (const unsigned char *)"h2";
    *ret_n = 2;
    return SSL_TLSEXT_ERR_OK;
}

TEST(t13, it_shakes_hands_by_each_suite)
{
    struct certs c = certs_make();
    struct ident id = ident_new(&c, KIND_P256);
    SSL_CTX *client = client_ctx(&(struct weft_tls_config){.ca_file = c.ca, .no_session_cache = true}), *server = server_ctx(&id);
    for (int i = 0; i < WEFT__T13_SUITES; i++) {
        REQUIRE(SSL_CTX_set_ciphersuites(server, weft__t13_suites[i].name) == 1);
        expect_whole(client, "good.test", server, "");
    }
    SSL_CTX_free(client), SSL_CTX_free(server);
    ident_free(&id);
    certs_remove(&c);
}

TEST(t13, it_takes_each_kind_of_certificate_that_openssl_takes)
{
    struct certs c = certs_make();
    SSL_CTX *client = client_ctx(&(struct weft_tls_config){.ca_file = c.ca, .no_session_cache = true});
    for (enum kind kind = KIND_P256; kind <= KIND_ED448; kind++) {
        struct ident id = ident_new(&c, kind);
        SSL_CTX *server = server_ctx(&id);
        expect_whole(client, "good.test", server, "");
        SSL_CTX_free(server);
        ident_free(&id);
    }
    struct ident id = ident_below(&c);
    SSL_CTX *server = server_ctx(&id);
    expect_whole(client, "good.test", server, "");
    SSL_CTX_free(server);
    X509_free(id.middle);
    id.middle = NULL;   /* the same server, which does not say who stands between */
    server = server_ctx(&id);
    struct wire w = wire_new(client, "127.0.0.1", false, server);
    SSL_set_mode(w.s, SSL_MODE_NO_AUTO_CHAIN);
    EXPECT_EQ(wire_shake(&w), WEFT__T13_OTHER);
    wire_free(&w);
    SSL_CTX_free(client), SSL_CTX_free(server);
    ident_free(&id);
    certs_remove(&c);
}

TEST(t13, it_says_names_and_protocols)
{
    struct certs c = certs_make();
    struct ident id = ident_new(&c, KIND_P256);
    struct weft_tls_config config = {.ca_file = c.ca, .no_session_cache = true};
    SSL_CTX *plain = client_ctx(&config), *server = server_ctx(&id), *h2 = server_ctx(&id);
    config.alpn = "h2,http/1.1";
    SSL_CTX *client = client_ctx(&config);
    SSL_CTX_set_alpn_select_cb(h2, choose_h2, NULL);
    expect_whole(client, "good.test", h2, "h2");
    expect_whole(client, "good.test", server, "");   /* the server has none */
    expect_whole(plain, "good.test", server, "");
    expect_whole(plain, "127.0.0.1", server, "");
    expect_whole(plain, "a.wild.test", server, "");
    SSL_CTX_free(client), SSL_CTX_free(plain), SSL_CTX_free(server), SSL_CTX_free(h2);
    ident_free(&id);
    certs_remove(&c);
}

/* The server's bytes come one by one, or in records of 512 bytes. */
TEST(t13, a_flight_in_small_pieces_is_put_together)
{
    struct certs c = certs_make();
    struct ident id = ident_below(&c);
    SSL_CTX *client = client_ctx(&(struct weft_tls_config){.ca_file = c.ca, .no_session_cache = true}), *server = server_ctx(&id);
    for (int fragment = 512; fragment <= 16384; fragment *= 32) {
        unsigned char flight[8192];
        struct wire w = wire_new(client, "good.test", false, server);
        REQUIRE(SSL_set_max_send_fragment(w.s, (unsigned)fragment) == 1);
        wire_up(&w);
        (void)SSL_do_handshake(w.s);
        int n = wire_take(&w, flight, sizeof flight);
        REQUIRE(n > 1000);
        for (int i = 0; i < n; i++) {
            REQUIRE(weft__t13_add(&w.t->raw, flight + i, 1));
            EXPECT_EQ(weft__t13_shake(w.t), i + 1 < n ? WEFT__T13_MORE : WEFT__T13_DONE);
        }
        EXPECT(w.t->shake == NULL);
        wire_up(&w);
        EXPECT_EQ(SSL_do_handshake(w.s), 1);
        expect_down(&w, 5000, 16384);
        wire_free(&w);
    }
    SSL_CTX_free(client), SSL_CTX_free(server);
    ident_free(&id);
    certs_remove(&c);
}

TEST(t13, bytes_of_all_lengths_go_both_ways)
{
    static const size_t lengths[] = {0, 1, 16383, 16384, 16385, 100000}, steps[] = {16640, 16384, 16367, 1000, 1};
    struct certs c = certs_make();
    struct ident id = ident_new(&c, KIND_P256);
    SSL_CTX *client = client_ctx(&(struct weft_tls_config){.ca_file = c.ca}), *server = server_ctx(&id);
    struct wire w = wire_new(client, "good.test", false, server);
    REQUIRE(wire_shake(&w) == WEFT__T13_DONE);
    for (int i = 0; i < 6; i++) {
        for (int j = 0; j < 5; j++)
            expect_down(&w, lengths[i], steps[j]);
        expect_up(&w, lengths[i]);
    }
    wire_free(&w);
    SSL_CTX_free(client), SSL_CTX_free(server);
    ident_free(&id);
    certs_remove(&c);
}

/* ---- sessions ---- */

/* A handshake; was it resumed? Its tickets are kept. */
static bool resumed(SSL_CTX *client, bool insecure, SSL_CTX *server)
{
    struct wire w = wire_new(client, "good.test", insecure, server);
    REQUIRE(wire_shake(&w) == WEFT__T13_DONE);
    bool was = w.t->resumed;
    EXPECT_EQ(SSL_session_reused(w.s), was);
    EXPECT_EQ(w.t->verified, !insecure);
    EXPECT(w.t->cert && X509_cmp(w.t->cert, SSL_get_certificate(w.s)) == 0);
    struct weft__tls_dates d;
    EXPECT(weft__tls_dates_of(w.t->cert, &d) && d.from == w.t->dates.from && d.to == w.t->dates.to);
    expect_down(&w, 100, 1000);
    expect_up(&w, 100);
    wire_free(&w);
    return was;
}

TEST(t13, a_ticket_is_taken_up_and_brings_the_certificate_along)
{
    struct certs c = certs_make();
    struct ident id = ident_new(&c, KIND_P256);
    SSL_CTX *client = client_ctx(&(struct weft_tls_config){.ca_file = c.ca}), *server = server_ctx(&id), *restarted = server_ctx(&id);
    EXPECT(!resumed(client, false, server));
    for (int i = 0; i < 3; i++)
        EXPECT(resumed(client, false, server));
    EXPECT(!resumed(client, false, restarted));   /* other keys: the whole handshake, on this connection */
    EXPECT(resumed(client, false, restarted));
    REQUIRE(SSL_CTX_set_ciphersuites(restarted, "TLS_AES_256_GCM_SHA384") == 1);
    EXPECT(!resumed(client, false, restarted));   /* a hash that is not the ticket's */
    SSL_CTX *big = server_ctx(&id), *chacha = server_ctx(&id);
    REQUIRE(SSL_CTX_set_ciphersuites(big, "TLS_AES_256_GCM_SHA384") == 1);
    REQUIRE(SSL_CTX_set_ciphersuites(chacha, "TLS_CHACHA20_POLY1305_SHA256") == 1);
    EXPECT(!resumed(client, false, big));
    EXPECT(resumed(client, false, big));
    EXPECT(!resumed(client, false, chacha));
    EXPECT(resumed(client, false, chacha));
    SSL_CTX_free(client), SSL_CTX_free(server), SSL_CTX_free(restarted), SSL_CTX_free(big), SSL_CTX_free(chacha);
    ident_free(&id);
    certs_remove(&c);
}

TEST(t13, a_ticket_is_not_offered_when_it_is_over)
{
    struct certs c = certs_make();
    struct ident id = ident_new(&c, KIND_P256);
    SSL_CTX *client = client_ctx(&(struct weft_tls_config){.ca_file = c.ca}), *server = server_ctx(&id);
    SSL_CTX_set_timeout(server, 1);   /* second */
    EXPECT(!resumed(client, false, server));
    EXPECT(has_ticket(client, false));
    weft_sleep(1010 * WEFT_MS);
    EXPECT(!has_ticket(client, false));
    SSL_CTX_set_timeout(server, 100);
    EXPECT(!resumed(client, false, server));
    struct weft__t13_ticket *k = weft__t13_ticket_get(hosts_of(client), "good.test:443", false);
    REQUIRE(k != NULL);
    EXPECT(k->until - k->came == 100 * WEFT_SEC);
    struct weft__tls_dates good = k->dates;
    k->dates.to = weft__tls_today();   /* the certificate's */
    EXPECT(!has_ticket(client, false));
    k->dates = (struct weft__tls_dates){weft__tls_today() + 100, good.to};
    EXPECT(!has_ticket(client, false));
    k->dates = good;
    EXPECT(has_ticket(client, false));
    k->came += 1000 * WEFT_SEC;   /* a clock that was put back */
    EXPECT(!has_ticket(client, false));
    weft__t13_ticket_unref(k);
    EXPECT(weft__t13_ticket_get(hosts_of(client), "good.test:444", false) == NULL);
    SSL_CTX_free(client), SSL_CTX_free(server);
    ident_free(&id);
    certs_remove(&c);
}

/* T3: nobody looked at whom the ticket is from. */
TEST(t13, a_ticket_of_an_unchecked_server_counts_for_no_check)
{
    struct certs c = certs_make();
    struct ident id = ident_new(&c, KIND_P256);
    SSL_CTX *careless = client_ctx(&(struct weft_tls_config){.ca_file = c.ca, .insecure = true}), *server = server_ctx(&id);
    SSL_CTX *client = client_ctx(&(struct weft_tls_config){.ca_file = c.ca});
    EXPECT(!resumed(careless, true, server));
    EXPECT(resumed(careless, true, server));
    EXPECT(has_ticket(careless, true) && !has_ticket(careless, false) && !has_ticket(client, true));
    EXPECT(!resumed(client, false, server));
    SSL_CTX_free(client), SSL_CTX_free(careless), SSL_CTX_free(server);
    ident_free(&id);
    certs_remove(&c);
}

TEST(t13, without_a_session_cache_nothing_is_kept)
{
    struct certs c = certs_make();
    struct ident id = ident_new(&c, KIND_P256);
    SSL_CTX *client = client_ctx(&(struct weft_tls_config){.ca_file = c.ca, .no_session_cache = true}), *server = server_ctx(&id);
    for (int i = 0; i < 2; i++)
        EXPECT(!resumed(client, false, server));
    EXPECT(!has_ticket(client, true));
    SSL_CTX_free(client), SSL_CTX_free(server);
    ident_free(&id);
    certs_remove(&c);
}

/* ---- what is known of servers ---- */

TEST(t13, a_refused_server_is_openssls_and_its_ticket_is_gone)
{
    struct certs c = certs_make();
    struct ident id = ident_new(&c, KIND_P256);
    SSL_CTX *client = client_ctx(&(struct weft_tls_config){.ca_file = c.ca}), *server = server_ctx(&id);
    EXPECT(!resumed(client, false, server));
    weft__t13_refuse(hosts_of(client), "good.test:443");
    EXPECT(weft__t13_refused(hosts_of(client), "good.test:443") && !weft__t13_refused(hosts_of(client), "good.test:444"));
    EXPECT(!has_ticket(client, true));
    EXPECT(weft__t13_new(client, weft__tls_extra_of(client), "good.test", 443, false) == NULL);
    struct weft__t13 *t = client_of(client, "other.test", false);
    weft__t13_free(t);
    SSL_CTX_free(client), SSL_CTX_free(server);
    ident_free(&id);
    certs_remove(&c);
}

/* Each key has its own, and 10,000 of them displace others only. */
TEST(t13, the_table_of_servers_is_bounded)
{
    struct weft__t13_hosts *h = weft__t13_hosts_new();
    char key[32];
    int kept = 0;
    REQUIRE(h != NULL);
    for (int i = 0; i < 10000; i++) {
        snprintf(key, sizeof key, "host%d:443", i);
        EXPECT(!weft__t13_refused(h, key));
        weft__t13_refuse(h, key);
        EXPECT(weft__t13_refused(h, key));
    }
    for (int i = 0; i < 10000; i++) {
        snprintf(key, sizeof key, "host%d:443", i);
        kept += weft__t13_refused(h, key);
    }
    EXPECT(kept > 1500 && kept <= 2048);
    weft__t13_hosts_free(h);
}
