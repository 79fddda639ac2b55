/*
 * t13_wrong.h - a server in memory that can do wrong, for our own TLS 1.3 client.
 *
 * It takes its keys and records from the client's own functions, which the tests against OpenSSL's server and RFC 8448 hold; what
 * it says is its own.
 */
#ifndef TESTS_T13_WRONG_H
#define TESTS_T13_WRONG_H
#include "t13_peer.h"

struct message {
    unsigned char at[9000];
    size_t n;
};

static void say_int(struct message *m, size_t v, int bytes)
{
    for (int i = bytes - 1; i >= 0; i--)
        m->at[m->n++] = (unsigned char)(v >> 8 * i);
}

static void say_bytes(struct message *m, const void *from, size_t n)
{
    REQUIRE(m->n + n <= sizeof m->at);
    memcpy(m->at + m->n, from, n);
    m->n += n;
}

/* A length of so many bytes to come; say_end writes it. */
static size_t say_begin(struct message *m, int bytes)
{
    say_int(m, 0, bytes);
    return m->n;
}

static void say_end(struct message *m, size_t begin, int bytes)
{
    size_t n = m->n - begin, at = m->n;
    m->n = begin - (size_t)bytes;
    say_int(m, n, bytes);
    m->n = at;
}

static void say_ext(struct message *m, int type, const void *from, size_t n)
{
    say_int(m, (size_t)type, 2);
    say_int(m, n, 2);
    say_bytes(m, from, n);
}

/* What it does wrong. */
enum twist {
    RIGHT,
    /* in ServerHello */
    SESSION_OTHER, SESSION_NONE, OLD_VERSION, RETRY, SUITE_UNKNOWN, SUITE_OLD, COMPRESSED, NO_VERSIONS, VERSIONS_1_2, NO_SHARE, SHARE_GROUP, SHARE_ZERO,
    SHARE_SHORT, PSK_UNASKED, PSK_ONE, PSK_TAKEN, PSK_SECOND, HELLO_UNASKED, HELLO_DOUBLE, HELLO_TAIL, HELLO_CUT, HELLO_BEHIND,
    /* in EncryptedExtensions */
    ENCRYPTED_UNASKED, ENCRYPTED_DOUBLE, ENCRYPTED_TAIL, ENCRYPTED_HIGH, ALPN_OTHER, ALPN_TWO, ALPN_EMPTY, NAME_FULL,
    /* in Certificate and its kin */
    CERTS_NONE, CERTS_CONTEXT, CERTS_EXTENDED, CERTS_TAIL, CERTS_BROKEN, REQUEST,
    /* in CertificateVerify */
    SIGNED_BY_OTHER, SIGNED_OTHER, SIGNED_FOR_CLIENT, SIGNED_TAIL, SIGNED_EMPTY, SCHEME_RSA_PKCS1, SCHEME_SHA1, SCHEME_P384, SCHEME_RSA, SCHEME_RSA_OTHER,
    /* in Finished */
    FINISHED_OTHER, FINISHED_SHORT, FINISHED_LONG, FINISHED_BEHIND,
    /* which comes, and when */
    NO_ENCRYPTED, NO_CERTIFICATE, NO_VERIFY, NO_BOTH, ORDER_TURNED, FINISHED_FIRST, TICKET_EARLY, UPDATE_EARLY,
    KIND_ENCRYPTED, KIND_CERTIFICATE, KIND_VERIFY, KIND_FINISHED,
    /* records */
    RECORD_EMPTY, RECORD_PLAIN, RECORD_EARLY, RECORD_LONG, RECORD_DATA, RECORD_ALERT, MEGABYTE, CCS_TWO, CCS_TWICE_TWO, CCS_INSIDE, CCS_MANY,
    TWISTS
};

struct own_server {
    struct weft__t13 *t;
    const struct ident *id;
    const struct weft__t13_suite *suite;
    struct weft__t13_way out, in;
    struct weft__t13_hash hash;
    unsigned char secret[WEFT__T13_HASH_MAX], server[WEFT__T13_HASH_MAX], client[WEFT__T13_HASH_MAX];
    unsigned char session[32], theirs[32];
    enum twist twist;
};

/* Records of n bytes for the client: plain, or sealed. */
static void own_plain(struct own_server *o, int type, const void *at, size_t n)
{
    const unsigned char head[] = {(unsigned char)type, 3, 3, (unsigned char)(n >> 8), (unsigned char)n};
    REQUIRE(weft__t13_add(&o->t->raw, head, sizeof head) && weft__t13_add(&o->t->raw, at, n));
}

static void own_sealed(struct own_server *o, int type, const void *at, size_t n)
{
    unsigned char *record = malloc(n + WEFT__T13_OVER);
    size_t len = weft__t13_seal(&o->out, type, at, n, record);
    REQUIRE(len && weft__t13_add(&o->t->raw, record, len));
    free(record);
}

static const struct weft__t13_cipher *own_cipher(const struct own_server *o)
{
    return &o->t->shared->cipher[o->suite - weft__t13_suites];
}

/* The client's hello: what of it the answer needs. */
static void own_hear(struct own_server *o)
{
    struct weft__t13_bytes *b = &o->t->send;
    struct weft__t13_in in = {b->at + b->from + WEFT__T13_HEAD, b->to - b->from - WEFT__T13_HEAD, false};
    weft__t13_hash_begin(&o->hash, o->suite->big);
    weft__t13_hash_add(&o->hash, in.at, in.n);
    (void)weft__t13_cut(&in, 4 + 2 + 32);
    struct weft__t13_in session = weft__t13_list(&in, 1);
    REQUIRE(session.n == 32);
    memcpy(o->session, session.at, 32);
    (void)weft__t13_list(&in, 2);
    (void)weft__t13_list(&in, 1);
    bool share = false;
    for (struct weft__t13_in all = weft__t13_list(&in, 2); all.n && !all.bad;) {
        uint32_t type = weft__t13_int(&all, 2);
        struct weft__t13_in e = weft__t13_list(&all, 2);
        if (type == 51 && e.n == 2 + 4 + 32 && (share = true))
            memcpy(o->theirs, e.at + 6, 32);
    }
    REQUIRE(share && !in.bad);
    weft__t13_drop(b, false);
}

static void own_hello(struct own_server *o, const unsigned char *share, struct message *m)
{
    static const unsigned char retry[] = {0xcf, 0x21, 0xad, 0x74, 0xe5, 0x9a, 0x61, 0x11, 0xbe, 0x1d, 0x8c, 0x02, 0x1e, 0x65, 0xb8, 0x91,
                                          0xc2, 0xa2, 0x11, 0x16, 0x7a, 0xbb, 0x8c, 0x5e, 0x07, 0x9e, 0x09, 0xe2, 0xc8, 0xa8, 0x33, 0x9c};
    static const unsigned char zeros[32], some[32] = {7};
    enum twist w = o->twist;
    m->n = 0;
    say_int(m, T13_SERVER_HELLO, 1);
    size_t all = say_begin(m, 3);
    say_int(m, w == OLD_VERSION ? 0x0302 : 0x0303, 2);
    say_bytes(m, w == RETRY ? retry : some, 32);
    say_int(m, w == SESSION_NONE ? 0 : 32, 1);
    o->session[31] ^= w == SESSION_OTHER;
    say_bytes(m, o->session, w == SESSION_NONE ? 0 : 32);
    say_int(m, w == SUITE_UNKNOWN ? 0x1304 : w == SUITE_OLD ? 0xc02f : o->suite->id, 2);
    say_int(m, w == COMPRESSED, 1);
    size_t exts = say_begin(m, 2);
    if (w != NO_VERSIONS)
        say_ext(m, 43, w == VERSIONS_1_2 ? "\x03\x03" : "\x03\x04", 2);
    if (w == HELLO_DOUBLE)
        say_ext(m, 43, "\x03\x04", 2);
    if (w == PSK_UNASKED)
        say_ext(m, 41, "\0\0", 2);
    if (w == PSK_ONE || w == PSK_SECOND)
        say_ext(m, 41, "\0\1", 2);
    if (w == PSK_TAKEN)
        say_ext(m, 41, "\0\0", 2);
    if (w == HELLO_UNASKED)
        say_ext(m, 16, "\0\3\2h2", 5);
    if (w != NO_SHARE) {
        size_t n = w == SHARE_SHORT ? 31 : 32;
        say_int(m, 51, 2);
        size_t e = say_begin(m, 2);
        say_int(m, w == SHARE_GROUP ? 0x17 : 0x1d, 2);
        say_int(m, n, 2);
        say_bytes(m, w == SHARE_ZERO ? zeros : share, n);
        say_end(m, e, 2);
    }
    say_end(m, exts, 2);
    if (w == HELLO_TAIL)
        say_int(m, 0, 1);
    m->n -= w == HELLO_CUT;
    say_end(m, all, 3);
}

static void own_keys(struct own_server *o, const char *theirs, const char *ours)
{
    unsigned char sum[WEFT__T13_HASH_MAX];
    size_t n = weft__t13_hash_len(o->suite->big);
    weft__t13_hash_now(&o->hash, sum);
    weft__t13_derive(o->suite->big, o->secret, theirs, sum, n, o->client, n);
    weft__t13_derive(o->suite->big, o->secret, ours, sum, n, o->server, n);
    REQUIRE(weft__t13_way_set(&o->in, o->suite, own_cipher(o), o->client, false));
    REQUIRE(weft__t13_way_set(&o->out, o->suite, own_cipher(o), o->server, true));
}

static void own_encrypted(struct own_server *o, struct message *m)
{
    enum twist w = o->twist;
    m->n = 0;
    say_int(m, T13_ENCRYPTED, 1);
    size_t all = say_begin(m, 3), exts = say_begin(m, 2);
    say_ext(m, 0, "x", w == NAME_FULL);
    say_ext(m, 10, "\0\4\0\x1d\0\x17", 6);
    if (w == ENCRYPTED_UNASKED)
        say_ext(m, 1, "\1", 1);   /* max_fragment_length */
    if (w == ENCRYPTED_DOUBLE)
        say_ext(m, 10, "\0\2\0\x1d", 4);
    if (w == ENCRYPTED_HIGH)
        say_ext(m, 0xff01, "\0", 1);
    if (w == ALPN_OTHER)
        say_ext(m, 16, "\0\5\4spdy", 7);
    else if (w == ALPN_TWO)
        say_ext(m, 16, "\0\6\2h2\2h2", 8);
    else
        say_ext(m, 16, w == ALPN_EMPTY ? "\0\1\0" : "\0\3\2h2", w == ALPN_EMPTY ? 3 : 5);
    say_end(m, exts, 2);
    if (w == ENCRYPTED_TAIL)
        say_int(m, 0, 1);
    say_end(m, all, 3);
}

static void own_certificate(struct own_server *o, struct message *m)
{
    enum twist w = o->twist;
    unsigned char *der = NULL;
    int n = i2d_X509(o->id->cert, &der);
    REQUIRE(n > 0);
    m->n = 0;
    say_int(m, T13_CERTIFICATE, 1);
    size_t all = say_begin(m, 3);
    say_int(m, w == CERTS_CONTEXT, 1);
    if (w == CERTS_CONTEXT)
        say_int(m, 1, 1);
    size_t list = say_begin(m, 3);
    if (w != CERTS_NONE) {
        say_int(m, (size_t)n, 3);
        der[n / 2] ^= w == CERTS_BROKEN;
        say_bytes(m, der, (size_t)n);
        say_int(m, w == CERTS_EXTENDED ? 4 : 0, 2);
        say_bytes(m, "\0\x12\0\0", w == CERTS_EXTENDED ? 4 : 0);
    }
    say_end(m, list, 3);
    if (w == CERTS_TAIL)
        say_int(m, 0, 1);
    say_end(m, all, 3);
    OPENSSL_free(der);
}

/* What the number of a scheme is: of the key's kind, or wrong. */
static int own_scheme(const struct own_server *o)
{
    static const uint16_t schemes[] = {0x0401, 0x0203, 0x0503, 0x0804};
    bool pss = EVP_PKEY_is_a(o->id->key, "RSA-PSS");
    if (pss || EVP_PKEY_is_a(o->id->key, "RSA"))
        return pss != (o->twist == SCHEME_RSA_OTHER) ? 0x0809 : 0x0804;
    return o->twist >= SCHEME_RSA_PKCS1 && o->twist <= SCHEME_RSA ? schemes[o->twist - SCHEME_RSA_PKCS1] : 0x0403;
}

/* A signature by a key of P-256, or of RSA by PSS. It is a good one of the scheme that it says, where there can be one. */
static void own_verify(struct own_server *o, struct message *m)
{
    enum twist w = o->twist;
    unsigned char text[64 + 34 + WEFT__T13_HASH_MAX], sig[300];
    size_t n = weft__t13_hash_len(o->suite->big), len = sizeof sig;
    EVP_PKEY *other = w == SIGNED_BY_OTHER ? kind_key(KIND_P256) : NULL;
    EVP_MD_CTX *c = EVP_MD_CTX_new();
    EVP_PKEY_CTX *p;
    const EVP_MD *digest = w == SCHEME_SHA1 ? EVP_sha1() : w == SCHEME_P384 ? EVP_sha384() : EVP_sha256();
    memset(text, ' ', 64);
    memcpy(text + 64, w == SIGNED_FOR_CLIENT ? "TLS 1.3, client CertificateVerify" : "TLS 1.3, server CertificateVerify", 34);
    weft__t13_hash_now(&o->hash, text + 98);
    text[98] ^= w == SIGNED_OTHER;
    REQUIRE(c && EVP_DigestSignInit(c, &p, digest, NULL, other ? other : o->id->key) == 1);
    if (EVP_PKEY_get_size(o->id->key) > 200)
        REQUIRE(EVP_PKEY_CTX_set_rsa_padding(p, RSA_PKCS1_PSS_PADDING) == 1 && EVP_PKEY_CTX_set_rsa_pss_saltlen(p, RSA_PSS_SALTLEN_DIGEST) == 1);
    REQUIRE(EVP_DigestSign(c, sig, &len, text, 98 + n) == 1);
    EVP_MD_CTX_free(c);
    EVP_PKEY_free(other);
    m->n = 0;
    say_int(m, T13_VERIFY, 1);
    size_t all = say_begin(m, 3);
    say_int(m, (size_t)own_scheme(o), 2);
    size_t s = say_begin(m, 2);
    say_bytes(m, sig, w == SIGNED_EMPTY ? 0 : len);
    say_end(m, s, 2);
    if (w == SIGNED_TAIL)
        say_int(m, 0, 1);
    say_end(m, all, 3);
}

static void own_finished(struct own_server *o, struct message *m)
{
    unsigned char sum[WEFT__T13_HASH_MAX], by[WEFT__T13_HASH_MAX + 1] = {0};
    size_t n = weft__t13_hash_len(o->suite->big);
    weft__t13_hash_now(&o->hash, sum);
    weft__t13_finished(o->suite->big, o->server, sum, by);
    by[n - 1] ^= o->twist == FINISHED_OTHER;
    m->n = 0;
    say_int(m, T13_FINISHED, 1);
    size_t all = say_begin(m, 3);
    say_bytes(m, by, o->twist == FINISHED_SHORT ? n - 1 : o->twist == FINISHED_LONG ? n + 1 : n);
    say_end(m, all, 3);
}

/* A message of the encrypted flight in a record of its own, and into the hash. */
static void own_flight(struct own_server *o, int kind)
{
    static const int kinds[] = {T13_ENCRYPTED, T13_CERTIFICATE, T13_VERIFY, T13_FINISHED};
    struct message m = {.n = 0};
    if (kind == T13_ENCRYPTED)
        own_encrypted(o, &m);
    else if (kind == T13_CERTIFICATE)
        own_certificate(o, &m);
    else if (kind == T13_VERIFY)
        own_verify(o, &m);
    else
        own_finished(o, &m);
    if (o->twist >= KIND_ENCRYPTED && o->twist <= KIND_FINISHED && kind == kinds[o->twist - KIND_ENCRYPTED])
        m.at[0] = 99;   /* all else agrees */
    weft__t13_hash_add(&o->hash, m.at, m.n);
    if (kind == T13_FINISHED && o->twist == FINISHED_BEHIND)
        say_bytes(&m, "\x18\0\0\1", 4);   /* the begin of a KeyUpdate */
    if (kind == T13_ENCRYPTED && o->twist == RECORD_PLAIN)
        own_plain(o, T13_HANDSHAKE, m.at, m.n);
    else if (o->twist == CCS_INSIDE && kind == T13_VERIFY) {
        own_sealed(o, T13_HANDSHAKE, m.at, 5);
        own_plain(o, T13_CCS, "\1", 1);
        own_sealed(o, T13_HANDSHAKE, m.at + 5, m.n - 5);
    } else
        own_sealed(o, T13_HANDSHAKE, m.at, m.n);
}

/* Records that do not belong between ServerHello and the rest. */
static void own_between(struct own_server *o)
{
    static const unsigned char request[] = {13, 0, 0, 11, 0, 0, 8, 0, 13, 0, 4, 0, 2, 4, 3};
    static const unsigned char ticket[] = {T13_TICKET, 0, 0, 15, 0, 0, 1, 0, 0, 0, 0, 0, 1, 0, 0, 1, 7, 0, 0};
    static const unsigned char update[] = {T13_UPDATE, 0, 0, 1, 0}, huge[] = {T13_ENCRYPTED, 0x10, 0, 0};
    unsigned char *longer;
    switch (o->twist) {
    case RECORD_EMPTY: own_sealed(o, T13_HANDSHAKE, "", 0); break;
    case RECORD_DATA: own_sealed(o, T13_DATA, "data", 4); break;
    case RECORD_ALERT: own_sealed(o, T13_ALERT, "\2\x28", 2); break;
    case MEGABYTE: own_sealed(o, T13_HANDSHAKE, huge, sizeof huge); break;
    case CCS_TWO: own_plain(o, T13_CCS, "\1\1", 2); break;
    case CCS_TWICE_TWO: own_plain(o, T13_CCS, "\2", 1); break;
    case TICKET_EARLY: own_sealed(o, T13_HANDSHAKE, ticket, sizeof ticket); break;
    case UPDATE_EARLY: own_sealed(o, T13_HANDSHAKE, update, sizeof update); break;
    case REQUEST:
        weft__t13_hash_add(&o->hash, request, sizeof request);
        own_sealed(o, T13_HANDSHAKE, request, sizeof request);
        break;
    case CCS_MANY:
        for (int i = 0; i < 70; i++)
            own_plain(o, T13_CCS, "\1", 1);
        break;
    case RECORD_LONG:
        longer = calloc(1, WEFT__T13_BODY_MAX + 1);
        own_plain(o, T13_DATA, longer, WEFT__T13_BODY_MAX + 1);
        free(longer);
        break;
    default: own_plain(o, T13_CCS, "\1", 1);   /* D.4: as it should be */
    }
}

/* The order of the flight, ended by 0. */
static const int *own_order(enum twist w)
{
    static const int right[] = {T13_ENCRYPTED, T13_CERTIFICATE, T13_VERIFY, T13_FINISHED, 0},
                     bare[] = {T13_CERTIFICATE, T13_VERIFY, T13_FINISHED, 0}, unnamed[] = {T13_ENCRYPTED, T13_VERIFY, T13_FINISHED, 0},
                     unsaid[] = {T13_ENCRYPTED, T13_CERTIFICATE, T13_FINISHED, 0}, neither[] = {T13_ENCRYPTED, T13_FINISHED, 0},
                     turned[] = {T13_ENCRYPTED, T13_VERIFY, T13_CERTIFICATE, T13_FINISHED, 0}, first[] = {T13_FINISHED, 0};
    switch (w) {
    case NO_ENCRYPTED: return bare;
    case NO_CERTIFICATE: return unnamed;
    case NO_VERIFY: return unsaid;
    case NO_BOTH: case PSK_TAKEN: case PSK_SECOND: return neither;
    case ORDER_TURNED: return turned;
    case FINISHED_FIRST: return first;
    default: return right;
    }
}

/* The server's whole flight for a client whose hello is in send, into its raw. Its keys are those of the handshake. */
static void own_answer(struct own_server *o, struct weft__t13 *t, const struct ident *id, int suite, enum twist twist)
{
    unsigned char mine[32], share[32], agreed[32];
    struct message m;
    *o = (struct own_server){.t = t, .id = id, .suite = &weft__t13_suites[suite], .twist = twist};
    own_hear(o);
    REQUIRE(weft__t13_pair(mine, share) && weft__t13_agree(mine, share, o->theirs, agreed));
    own_hello(o, share, &m);
    weft__t13_hash_add(&o->hash, m.at, m.n);
    if (twist == HELLO_BEHIND)
        say_bytes(&m, "\x08\0\0\2\0\0", 6);
    if (twist == RECORD_EARLY)
        own_plain(o, T13_DATA, share, 32);
    own_plain(o, T13_HANDSHAKE, m.at, m.n);
    bool takes = (twist == PSK_TAKEN || twist == PSK_SECOND) && t->shake->ticket;   /* it has the ticket's key */
    weft__t13_next(o->suite->big, NULL, takes ? t->shake->ticket->psk : NULL, takes ? weft__t13_hash_len(o->suite->big) : 0, o->secret);
    weft__t13_next(o->suite->big, o->secret, agreed, 32, o->secret);
    own_keys(o, "c hs traffic", "s hs traffic");
    own_between(o);
    for (const int *kind = own_order(twist); *kind; kind++)
        own_flight(o, *kind);
}

/* The keys of what comes after; those before are gone. */
static void own_turn(struct own_server *o)
{
    weft__t13_next(o->suite->big, o->secret, NULL, 0, o->secret);
    own_keys(o, "c ap traffic", "s ap traffic");
}

static void own_free(struct own_server *o)
{
    weft__t13_way_drop(&o->in);
    weft__t13_way_drop(&o->out);
    weft__t13_free(o->t);
}

#endif
