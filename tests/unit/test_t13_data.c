/*
 * test_t13_data.c - our own TLS 1.3 client, src/net/tls13: a connection after its handshake.
 *
 * Source: RFC 8446 4.6, 5, 6.
 */
#include "t13_wrong.h"

/* ---- a server of our own ---- */

struct pair {
    struct certs c;
    struct ident id;
    SSL_CTX *client;
    struct own_server o;
};

/* Hands are shaken. */
static void pair_open(struct pair *p)
{
    *p = (struct pair){.c = certs_make()};
    p->id = ident_new(&p->c, KIND_P256);
    p->client = client_ctx(&(struct weft_tls_config){.ca_file = p->c.ca, .alpn = "h2"});
}

/* Anew, on a connection of its own. */
static struct weft__t13 *pair_shake(struct pair *p)
{
    struct weft__t13 *t = client_of(p->client, "good.test", false);
    own_answer(&p->o, t, &p->id, 0, RIGHT);
    REQUIRE(weft__t13_shake(t) == WEFT__T13_DONE);
    weft__t13_drop(&t->send, false);
    own_turn(&p->o);
    return t;
}

static void pair_close(struct pair *p)
{
    SSL_CTX_free(p->client);
    ident_free(&p->id);
    certs_remove(&p->c);
}

/* What the client reads, all that there is. */
static enum weft__t13_is heard(struct weft__t13 *t, char *ret, size_t room)
{
    enum weft__t13_is is;
    size_t n = 0, got;
    while ((is = weft__t13_read(t, ret + n, room - 1 - n, &got)) == WEFT__T13_DONE)
        n += got;
    ret[n] = '\0';
    return is;
}

/* It is over, with an alert (-1: none of ours) and words, and stays so; the peer is told. */
static void expect_broken(struct own_server *o, int alert, const char *words)
{
    struct weft__t13 *t = o->t;
    unsigned char text[400];
    char buf[400];
    size_t n = 0;
    int type = 0;
    EXPECT_EQ(heard(t, buf, sizeof buf), WEFT__T13_BROKEN);
    EXPECT_STR(buf, "");
    EXPECT_EQ(t->alert, alert);
    EXPECT_STR(t->words, words);
    own_sealed(o, T13_DATA, "late", 4);
    EXPECT_EQ(heard(t, buf, sizeof buf), WEFT__T13_BROKEN);
    EXPECT_STR(buf, "");
    if (alert >= 0) {
        weft__t13_drop(&t->send, false);
        weft__t13_alert(t, 2, t->alert);
        REQUIRE(t->send.to == 2 + WEFT__T13_OVER);
        EXPECT_EQ(weft__t13_open(&o->in, t->send.at, 2 + 1 + WEFT__T13_TAG, text, &n, &type), 0);
        EXPECT(type == T13_ALERT && n == 2 && text[0] == 2 && text[1] == alert);
        weft__t13_alert(t, 1, T13_A_CLOSE);
        EXPECT_EQ(t->send.to, 2 + WEFT__T13_OVER);   /* nothing behind it */
    }
    own_free(o);
    ERR_clear_error();
}

/* One record of a kind leads to an alert. */
static void expect_alert(struct pair *p, int type, const void *at, size_t n, int alert, const char *words)
{
    (void)pair_shake(p);
    own_sealed(&p->o, type, at, n);
    expect_broken(&p->o, alert, words);
}

static const unsigned char update[] = {T13_UPDATE, 0, 0, 1, 0}, update_asks[] = {T13_UPDATE, 0, 0, 1, 1};

TEST(t13_data, messages_that_do_not_belong_break_it)
{
    static const unsigned char finished[36] = {T13_FINISHED, 0, 0, 32}, odd[] = {T13_UPDATE, 0, 0, 1, 2}, bare[] = {T13_UPDATE, 0, 0, 0},
                               fat[] = {T13_UPDATE, 0, 0, 2, 0, 0}, behind[] = {T13_UPDATE, 0, 0, 1, 0, T13_TICKET},
                               request[] = {13, 0, 0, 3, 0, 0, 0}, huge[] = {T13_TICKET, 0x10, 0, 0},
                               ticket[] = {T13_TICKET, 0, 0, 15, 0, 0, 1, 0, 0, 0, 0, 0, 1, 0, 0, 2, 7, 0, 0},
                               empty[] = {T13_TICKET, 0, 0, 14, 0, 0, 1, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0};
    struct pair p;
    pair_open(&p);
    expect_alert(&p, T13_HANDSHAKE, finished, sizeof finished, T13_A_UNEXPECTED, "unexpected message");
    expect_alert(&p, T13_HANDSHAKE, request, sizeof request, T13_A_UNEXPECTED, "unexpected message");
    expect_alert(&p, T13_HANDSHAKE, odd, sizeof odd, T13_A_ILLEGAL, "bad value");
    expect_alert(&p, T13_HANDSHAKE, bare, sizeof bare, T13_A_DECODE, "length mismatch");
    expect_alert(&p, T13_HANDSHAKE, fat, sizeof fat, T13_A_DECODE, "length mismatch");
    expect_alert(&p, T13_HANDSHAKE, behind, sizeof behind, T13_A_UNEXPECTED, "unexpected message");   /* T24 */
    expect_alert(&p, T13_HANDSHAKE, huge, sizeof huge, T13_A_DECODE, "length mismatch");
    expect_alert(&p, T13_HANDSHAKE, ticket, sizeof ticket, T13_A_DECODE, "length mismatch");
    expect_alert(&p, T13_HANDSHAKE, empty, sizeof empty, T13_A_DECODE, "length mismatch");
    expect_alert(&p, T13_HANDSHAKE, "", 0, T13_A_UNEXPECTED, "unexpected message");
    expect_alert(&p, T13_CCS, "\1", 1, T13_A_UNEXPECTED, "unexpected message");
    expect_alert(&p, 99, "x", 1, T13_A_UNEXPECTED, "unexpected message");
    expect_alert(&p, 0, "", 0, T13_A_UNEXPECTED, "unexpected message");     /* padding and nothing else */
    expect_alert(&p, 0, "\0\0\0\0\0\0\0\0", 8, T13_A_UNEXPECTED, "unexpected message");
    expect_alert(&p, T13_ALERT, "\1", 1, T13_A_DECODE, "length mismatch");
    expect_alert(&p, T13_ALERT, "\1\0\1\0", 4, T13_A_DECODE, "length mismatch");
    pair_close(&p);
}

TEST(t13_data, records_that_are_not_right_break_it)
{
    struct pair p;
    char big[WEFT__T13_BODY_MAX + 1] = {0};
    pair_open(&p);
    struct weft__t13 *t = pair_shake(&p);
    own_sealed(&p.o, T13_DATA, "text", 4);
    t->raw.at[t->raw.to - 1] ^= 1;
    expect_broken(&p.o, T13_A_BAD_MAC, "decryption failed or bad record mac");
    t = pair_shake(&p);
    own_sealed(&p.o, T13_DATA, "text", 4);
    size_t one = t->raw.to - t->raw.from;
    REQUIRE(weft__t13_add(&t->raw, big, one));
    memcpy(t->raw.at + t->raw.from + one, t->raw.at + t->raw.from, one);   /* the same again */
    size_t got;
    EXPECT(weft__t13_read(t, big, 100, &got) == WEFT__T13_DONE && got == 4 && memcmp(big, "text", 4) == 0);
    expect_broken(&p.o, T13_A_BAD_MAC, "decryption failed or bad record mac");
    t = pair_shake(&p);
    own_sealed(&p.o, T13_DATA, "text", 4);
    own_sealed(&p.o, T13_DATA, "lost", 4);
    t->raw.from += one;   /* the first one is not there */
    expect_broken(&p.o, T13_A_BAD_MAC, "decryption failed or bad record mac");
    t = pair_shake(&p);
    own_plain(&p.o, T13_DATA, "0123456789012345", 16);   /* a tag of nothing */
    expect_broken(&p.o, T13_A_BAD_MAC, "decryption failed or bad record mac");
    t = pair_shake(&p);
    own_plain(&p.o, T13_DATA, "", 0);
    expect_broken(&p.o, T13_A_BAD_MAC, "decryption failed or bad record mac");
    t = pair_shake(&p);
    own_plain(&p.o, T13_ALERT, "\1\0", 2);   /* a goodbye that anybody can say */
    expect_broken(&p.o, T13_A_UNEXPECTED, "unexpected message");
    t = pair_shake(&p);
    own_plain(&p.o, T13_CCS, "\1", 1);
    expect_broken(&p.o, T13_A_UNEXPECTED, "unexpected message");
    t = pair_shake(&p);
    own_plain(&p.o, T13_DATA, big, WEFT__T13_BODY_MAX + 1);
    expect_broken(&p.o, T13_A_OVERFLOW, "data length too long");
    memset(big, 'x', sizeof big);
    expect_alert(&p, T13_DATA, big, WEFT__T13_PLAIN_MAX + 1, T13_A_OVERFLOW, "data length too long");
    t = pair_shake(&p);
    REQUIRE(weft__t13_add(&t->raw, "HTTP/", 5));
    expect_broken(&p.o, T13_A_OVERFLOW, "wrong version number");
    pair_close(&p);
}

TEST(t13_data, padding_is_taken_off)
{
    struct pair p;
    unsigned char text[300] = "text";
    char buf[400];
    pair_open(&p);
    struct weft__t13 *t = pair_shake(&p);
    text[4] = T13_DATA;   /* and behind it zeros, the last of which is what own_sealed puts for the kind */
    own_sealed(&p.o, 0, text, sizeof text);
    EXPECT_EQ(heard(t, buf, sizeof buf), WEFT__T13_MORE);
    EXPECT_STR(buf, "text");
    own_free(&p.o);
    pair_close(&p);
}

TEST(t13_data, nothing_comes_between_the_parts_of_a_message)
{
    unsigned char ticket[] = {T13_TICKET, 0, 0, 15, 0, 0, 1, 0, 0, 0, 0, 0, 1, 0, 0, 1, 7, 0, 0};
    struct pair p;
    char buf[100];
    pair_open(&p);
    for (size_t i = 1; i < sizeof ticket; i++) {   /* in two parts, as it may be */
        struct weft__t13 *t = pair_shake(&p);
        ticket[16] = (unsigned char)i;
        own_sealed(&p.o, T13_HANDSHAKE, ticket, i);
        own_sealed(&p.o, T13_HANDSHAKE, ticket + i, sizeof ticket - i);
        own_sealed(&p.o, T13_DATA, "text", 4);
        EXPECT_EQ(heard(t, buf, sizeof buf), WEFT__T13_MORE);
        EXPECT_STR(buf, "text");
        struct weft__t13_ticket *k = weft__t13_ticket_get(hosts_of(p.client), "good.test:443", false);
        REQUIRE(k != NULL);
        EXPECT(k->n == 1 && k->bytes[0] == i && k->until - k->came == 256 * WEFT_SEC);
        weft__t13_ticket_unref(k);
        own_free(&p.o);
    }
    (void)pair_shake(&p);
    own_sealed(&p.o, T13_HANDSHAKE, ticket, 7);
    own_sealed(&p.o, T13_DATA, "text", 4);
    expect_broken(&p.o, T13_A_UNEXPECTED, "unexpected message");
    (void)pair_shake(&p);
    own_sealed(&p.o, T13_HANDSHAKE, ticket, 1);
    own_sealed(&p.o, T13_ALERT, "\1\0", 2);
    expect_broken(&p.o, T13_A_UNEXPECTED, "unexpected message");
    pair_close(&p);
}

TEST(t13_data, records_without_bytes_end_somewhere)
{
    struct pair p;
    char buf[100];
    pair_open(&p);
    struct weft__t13 *t = pair_shake(&p);
    for (int turn = 0; turn < 2; turn++) {   /* bytes begin it anew */
        for (int i = 0; i < 32; i++)
            own_sealed(&p.o, T13_DATA, "", 0);
        own_sealed(&p.o, T13_DATA, "text", 4);
        EXPECT_EQ(heard(t, buf, sizeof buf), WEFT__T13_MORE);
        EXPECT_STR(buf, "text");
    }
    for (int i = 0; i < 33; i++)
        own_sealed(&p.o, T13_DATA, "", 0);
    expect_broken(&p.o, T13_A_UNEXPECTED, "unexpected message");
    pair_close(&p);
}

/* ---- the end ---- */

TEST(t13_data, a_goodbye_ends_it_and_nothing_comes_after)
{
    struct pair p;
    char buf[100];
    pair_open(&p);
    struct weft__t13 *t = pair_shake(&p);
    own_sealed(&p.o, T13_DATA, "text", 4);
    own_sealed(&p.o, T13_ALERT, "\1\x5a", 2);   /* user_canceled: a goodbye is to follow */
    own_sealed(&p.o, T13_DATA, " more", 5);
    own_sealed(&p.o, T13_ALERT, "\1\0", 2);
    own_sealed(&p.o, T13_DATA, "late", 4);
    EXPECT_EQ(heard(t, buf, sizeof buf), WEFT__T13_ENDED);
    EXPECT_STR(buf, "text more");
    for (int i = 0; i < 3; i++) {
        EXPECT_EQ(heard(t, buf, sizeof buf), WEFT__T13_ENDED);
        EXPECT_STR(buf, "");
    }
    EXPECT(t->send.to == 0 && !t->said_bye);   /* our half goes on */
    REQUIRE(weft__t13_write(t, "ours", 4));
    unsigned char text[100];
    size_t n;
    int type;
    EXPECT_EQ(weft__t13_open(&p.o.in, t->send.at, t->send.to - WEFT__T13_HEAD, text, &n, &type), 0);
    EXPECT(type == T13_DATA && n == 4 && memcmp(text, "ours", 4) == 0);
    own_free(&p.o);
    pair_close(&p);
}

/* The words are OpenSSL's for the same alert. */
TEST(t13_data, an_alert_breaks_it_with_openssls_words)
{
    struct pair p;
    pair_open(&p);
    expect_alert(&p, T13_ALERT, "\2\x28", 2, -1, "sslv3 alert handshake failure");
    expect_alert(&p, T13_ALERT, "\2\x14", 2, -1, "sslv3 alert bad record mac");
    expect_alert(&p, T13_ALERT, "\1\x2d", 2, -1, "sslv3 alert certificate expired");   /* RFC 8446 6.2: whatever its level says */
    expect_alert(&p, T13_ALERT, "\2\x74", 2, -1, "tlsv13 alert certificate required");
    expect_alert(&p, T13_ALERT, "\2\xfe", 2, -1, "the peer sent an alert");
    pair_close(&p);
}

/* ---- keys ---- */

/* The server's keys go on by one generation. */
static void own_next(struct own_server *o)
{
    REQUIRE(weft__t13_way_turn(&o->out, o->suite, own_cipher(o), true));
}

TEST(t13_data, a_peers_change_of_keys_is_answered_only_when_asked)
{
    struct pair p;
    char buf[100];
    unsigned char text[100];
    size_t n;
    int type;
    pair_open(&p);
    struct weft__t13 *t = pair_shake(&p);
    own_sealed(&p.o, T13_HANDSHAKE, update, sizeof update);
    own_next(&p.o);
    own_sealed(&p.o, T13_DATA, "one", 3);
    EXPECT_EQ(heard(t, buf, sizeof buf), WEFT__T13_MORE);
    EXPECT_STR(buf, "one");
    EXPECT(t->send.to == 0);
    own_sealed(&p.o, T13_HANDSHAKE, update_asks, sizeof update_asks);
    own_next(&p.o);
    own_sealed(&p.o, T13_DATA, "two", 3);
    EXPECT_EQ(heard(t, buf, sizeof buf), WEFT__T13_MORE);
    EXPECT_STR(buf, "two");
    size_t told = sizeof update + WEFT__T13_OVER;
    REQUIRE(t->send.to - t->send.from == told);
    EXPECT_EQ(weft__t13_open(&p.o.in, t->send.at, told - WEFT__T13_HEAD, text, &n, &type), 0);
    EXPECT(type == T13_HANDSHAKE && n == sizeof update && memcmp(text, update, n) == 0);   /* which does not ask again */
    REQUIRE(weft__t13_way_turn(&p.o.in, p.o.suite, own_cipher(&p.o), false));
    REQUIRE(weft__t13_write(t, "three", 5));
    EXPECT_EQ(weft__t13_open(&p.o.in, t->send.at + told, t->send.to - told - WEFT__T13_HEAD, text, &n, &type), 0);
    EXPECT(type == T13_DATA && n == 5 && memcmp(text, "three", 5) == 0);
    own_sealed(&p.o, T13_HANDSHAKE, update, sizeof update);
    own_sealed(&p.o, T13_DATA, "old", 3);   /* by the keys of before */
    expect_broken(&p.o, T13_A_BAD_MAC, "decryption failed or bad record mac");
    pair_close(&p);
}

/* ---- with OpenSSL's server ---- */

static void expect_changes(SSL_CTX *client, SSL_CTX *server)
{
    struct wire w = wire_new(client, "good.test", false, server);
    REQUIRE(wire_shake(&w) == WEFT__T13_DONE);
    for (int i = 0; i < 100; i++) {
        REQUIRE(SSL_key_update(w.s, i % 2 ? SSL_KEY_UPDATE_REQUESTED : SSL_KEY_UPDATE_NOT_REQUESTED) == 1);
        expect_down(&w, 1 + (size_t)i * 300, 16384);
        expect_up(&w, 1 + (size_t)i * 300);
    }
    wire_free(&w);
}

TEST(t13_data, openssls_server_changes_keys_as_often_as_it_likes)
{
    struct pair p;
    pair_open(&p);
    SSL_CTX *server = server_ctx(&p.id);
    for (int i = 0; i < WEFT__T13_SUITES; i++) {
        SSL_CTX *client = client_ctx(&(struct weft_tls_config){.ca_file = p.c.ca, .no_session_cache = true});
        REQUIRE(SSL_CTX_set_ciphersuites(server, weft__t13_suites[i].name) == 1);
        expect_changes(client, server);
        SSL_CTX_free(client);
    }
    SSL_CTX_free(server);
    pair_close(&p);
}

TEST(t13_data, openssls_server_hears_our_goodbye_and_we_its)
{
    struct pair p;
    char buf[10];
    pair_open(&p);
    SSL_CTX *server = server_ctx(&p.id);
    struct wire w = wire_new(p.client, "good.test", false, server);
    REQUIRE(wire_shake(&w) == WEFT__T13_DONE);
    weft__t13_alert(w.t, 1, T13_A_CLOSE);
    weft__t13_alert(w.t, 1, T13_A_CLOSE);
    wire_up(&w);
    EXPECT(SSL_read(w.s, buf, sizeof buf) == 0 && SSL_get_error(w.s, 0) == SSL_ERROR_ZERO_RETURN);
    expect_down(&w, 100, 100);   /* the other half goes on */
    (void)SSL_shutdown(w.s);
    (void)wire_down(&w);
    EXPECT_EQ(heard(w.t, buf, sizeof buf), WEFT__T13_ENDED);
    wire_free(&w);
    SSL_CTX_free(server);
    pair_close(&p);
}

/* Our own keys: after as many records as one may seal (RFC 8446 5.5) the next one's are others. */
TEST(t13_data, a_writer_changes_keys_in_time)
{
    struct pair p;
    unsigned char text[100];
    size_t n, told = sizeof update + WEFT__T13_OVER;
    int type;
    pair_open(&p);
    struct weft__t13 *t = pair_shake(&p);
    t->out.seq = p.o.in.seq = (1 << 24) - 1;
    REQUIRE(weft__t13_write(t, "last", 4));
    EXPECT_EQ(weft__t13_open(&p.o.in, t->send.at, t->send.to - WEFT__T13_HEAD, text, &n, &type), 0);
    EXPECT(type == T13_DATA && n == 4 && t->out.seq == 1 << 24);
    weft__t13_drop(&t->send, false);
    REQUIRE(weft__t13_write(t, "first", 5));
    REQUIRE(t->send.to == told + 5 + WEFT__T13_OVER);
    EXPECT_EQ(weft__t13_open(&p.o.in, t->send.at, told - WEFT__T13_HEAD, text, &n, &type), 0);
    EXPECT(type == T13_HANDSHAKE && n == sizeof update && memcmp(text, update, n) == 0);
    REQUIRE(weft__t13_way_turn(&p.o.in, p.o.suite, own_cipher(&p.o), false));
    EXPECT_EQ(weft__t13_open(&p.o.in, t->send.at + told, t->send.to - told - WEFT__T13_HEAD, text, &n, &type), 0);
    EXPECT(type == T13_DATA && n == 5 && memcmp(text, "first", 5) == 0 && t->out.seq == 1);
    own_free(&p.o);
    pair_close(&p);
}
