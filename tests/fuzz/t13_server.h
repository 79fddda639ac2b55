/*
 * t13_server.h - for fuzz_t13.c: a server of TLS 1.3 that has all keys and sends what it is told to.
 *
 * One conversation at a time, in srv. What is sent is in stream, sealed, and once more in record and text for the judge.
 */
#ifndef TESTS_T13_SERVER_H
#define TESTS_T13_SERVER_H
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509.h>

#include "fuzz.h"
#include "../include/weft_test.h"
#undef REQUIRE
#define REQUIRE(c) CHECK(c) /* there is no test that could fail */
#include "../../src/net/tls13/t13.h"
#include "../unit/http_cert.h"

enum { STREAM_MAX = 1 << 18, RECORDS_MAX = 2048, MESSAGE_MAX = 4096, TICKETS = 64, CONNS = 3, RAW_MAX = 5 + WEFT__T13_BODY_MAX };
enum { PLAIN, SHAKE, DATA };                                       /* levels of protection */
enum { F_HELLO, F_ENCRYPTED, F_CERT, F_VERIFY, F_FINISHED, F_END };

static struct {
    struct cert files;
    SSL_CTX *ctx[2];             /* a verified certificate; any */
    EVP_PKEY *key;
    unsigned char cert[2048];    /* the Certificate message */
    size_t cert_len;
} fixed;

/* A record as it was sent: its keys, its type, -1 for what is none, its plaintext in text. */
struct record {
    int level, type;
    size_t at, n;
};

static struct server {
    const struct weft__t13_suite *suite;
    bool any, resume;            /* any certificate is good; a ticket was taken */
    unsigned char session[32], theirs[32], mine[32], share[32], psk[48];
    unsigned char secret[48], hs_client[48], hs_server[48], ap_client[48], ap_server[48], res[48], client_finished[48];
    struct weft__t13_hash hash;  /* of what was sent */
    struct weft__t13_way out[3], in;
    int next;                    /* of the flight */
    bool keyed, ended;           /* the hello was sent; Finished was */
    bool odd;                    /* something else than a good flight was sent */
    bool poison, unsure;         /* nothing that comes now may be taken; or it may not */
    uint8_t pad, ee, sh;
    size_t len, text_len, says_len, hello_len;
    bool fatal;                  /* what came had to be the end of it */
    bool closed;                 /* the server has said goodbye */
    int records, idle, asked;
} srv;
static unsigned char stream[STREAM_MAX], text[STREAM_MAX], says[STREAM_MAX], hello[8192];
static struct record record[RECORDS_MAX];

static struct {
    unsigned char name[16], psk[48];
    bool big;
} ticket[TICKETS];
static unsigned tickets;

static const struct weft__t13_cipher *cipher_of(const struct weft__t13_suite *suite)
{
    return &weft__tls_extra_of(fixed.ctx[0])->own->cipher[suite - weft__t13_suites];
}

/* ---- set up ---- */

static void drop_cert(void)
{
    cert_drop(&fixed.files);
}

static void make_certificate(void)
{
    unsigned char *der = NULL;
    FILE *f = fopen(fixed.files.crt, "r"), *g = fopen(fixed.files.key, "r");
    CHECK(f && g);
    X509 *x = PEM_read_X509(f, NULL, NULL, NULL);
    fixed.key = PEM_read_PrivateKey(g, NULL, NULL, NULL);
    fclose(f);
    fclose(g);
    int n = i2d_X509(x, &der);
    CHECK(fixed.key && n > 0 && n < 2000);
    const unsigned char head[] = {T13_CERTIFICATE, 0, (unsigned char)((n + 9) >> 8), (unsigned char)(n + 9), 0, 0,
                                  (unsigned char)((n + 5) >> 8), (unsigned char)(n + 5), 0, (unsigned char)(n >> 8), (unsigned char)n};
    memcpy(fixed.cert, head, sizeof head);
    memcpy(fixed.cert + sizeof head, der, (size_t)n);
    fixed.cert_len = sizeof head + (size_t)n + 2;
    OPENSSL_free(der);
    X509_free(x);
}

static void begin(void)
{
    struct weft__tls_fail fail = {0};
    if (fixed.key)
        return;
    cert_make(&fixed.files);
    atexit(drop_cert);
    make_certificate();
    struct weft_tls_config c = {.ca_file = fixed.files.crt, .alpn = "h2,http/1.1"};
    CHECK((fixed.ctx[0] = weft__tls_shared_get(&c, false, &fail)) != NULL);
    c.insecure = true;
    CHECK((fixed.ctx[1] = weft__tls_shared_get(&c, false, &fail)) != NULL);
    CHECK(weft__tls_extra_of(fixed.ctx[0])->own && weft__tls_extra_of(fixed.ctx[1])->own);
}

/* ---- sending ---- */

static bool room(size_t n)
{
    bool is = srv.records < RECORDS_MAX && n < 40000 && srv.len + n + 700 < STREAM_MAX && srv.text_len + n < STREAM_MAX &&
              srv.says_len + n < STREAM_MAX;
    if (!is)
        srv.odd = srv.unsure = true;
    return is;
}

/* The level that there are keys for. */
static int level_of(int level)
{
    return !srv.keyed ? PLAIN : level == DATA && !srv.ended ? SHAKE : level;
}

static void kept(int level, int type, const void *at, size_t n)
{
    record[srv.records++] = (struct record){level, type, srv.text_len, n};
    if (n)
        memcpy(text + srv.text_len, at, n);
    srv.text_len += n;
}

static void put_record(int level, int type, const void *at, size_t n)
{
    static unsigned char padded[41000];
    unsigned char *out = stream + srv.len;
    if (!room(n))
        return;
    level = level_of(level);
    if (level == PLAIN) {
        const unsigned char head[] = {(unsigned char)type, 3, 3, (unsigned char)(n >> 8), (unsigned char)n};
        memcpy(out, head, 5);
        if (n)
            memcpy(out + 5, at, n);
        srv.len += 5 + n;
    } else {
        if (n)
            memcpy(padded, at, n);
        if (n + srv.pad + 1 + WEFT__T13_TAG > WEFT__T13_BODY_MAX)
            srv.pad = 0;
        padded[n] = (unsigned char)type;   /* padded: it is the last byte that is sealed as the type, and it is a 0 */
        memset(padded + n + 1, 0, srv.pad);
        size_t put = weft__t13_seal(&srv.out[level], srv.pad ? 0 : type, padded, n + srv.pad, out);
        CHECK(put);
        srv.len += put;
        srv.pad = 0;
    }
    kept(level, type, at, n);
}

/* Bytes that are no record that may be taken: of no type that there is. */
static void put_garbage(const void *at, size_t n)
{
    if (n == 0 || !room(n))
        return;
    memcpy(stream + srv.len, at, n);
    stream[srv.len] |= 0x80;
    srv.len += n;
    kept(PLAIN, -1, at, n);
    srv.odd = srv.poison = true;
}

/* ---- the flight ---- */

static void after_hello(void)
{
    unsigned char agreed[32], sum[48];
    size_t n = weft__t13_hash_len(srv.suite->big);
    bool big = srv.suite->big;
    CHECK(weft__t13_agree(srv.mine, srv.share, srv.theirs, agreed));
    weft__t13_hash_now(&srv.hash, sum);
    weft__t13_next(big, NULL, srv.resume ? srv.psk : NULL, srv.resume ? n : 0, srv.secret);
    weft__t13_next(big, srv.secret, agreed, 32, srv.secret);
    weft__t13_derive(big, srv.secret, "c hs traffic", sum, n, srv.hs_client, n);
    weft__t13_derive(big, srv.secret, "s hs traffic", sum, n, srv.hs_server, n);
    CHECK(weft__t13_way_set(&srv.out[SHAKE], srv.suite, cipher_of(srv.suite), srv.hs_server, true));
    CHECK(weft__t13_way_set(&srv.in, srv.suite, cipher_of(srv.suite), srv.hs_client, false));
    srv.keyed = true;
}

static void after_finished(void)
{
    unsigned char sum[48], head[4] = {T13_FINISHED};
    size_t n = weft__t13_hash_len(srv.suite->big);
    bool big = srv.suite->big;
    struct weft__t13_hash h = srv.hash;
    weft__t13_hash_now(&h, sum);
    weft__t13_finished(big, srv.hs_client, sum, srv.client_finished);
    weft__t13_next(big, srv.secret, NULL, 0, srv.secret);
    weft__t13_derive(big, srv.secret, "c ap traffic", sum, n, srv.ap_client, n);
    weft__t13_derive(big, srv.secret, "s ap traffic", sum, n, srv.ap_server, n);
    head[3] = (unsigned char)n;
    weft__t13_hash_add(&h, head, 4);
    weft__t13_hash_add(&h, srv.client_finished, n);
    weft__t13_hash_now(&h, sum);
    weft__t13_derive(big, srv.secret, "res master", sum, n, srv.res, n);
    CHECK(weft__t13_way_set(&srv.out[DATA], srv.suite, cipher_of(srv.suite), srv.ap_server, true));
    srv.ended = true;
}

/* The random of a HelloRetryRequest. */
static const unsigned char retry[] = "\xcf\x21\xad\x74\xe5\x9a\x61\x11\xbe\x1d\x8c\x02\x1e\x65\xb8\x91\xc2\xa2\x11\x16\x7a\xbb\x8c\x5e\x07\x9e"
                                     "\x09\xe2\xc8\xa8\x33\x9c";

/* Variants: 0 as it should be; 1 a HelloRetryRequest; 2 another group; 3 no version; 4 TLS 1.2; 5 no share; 6 another ticket;
 * 7 an extension that was not offered; 8 one twice; 9 a suite with the other hash; 10 a compression. */
static size_t make_hello(unsigned char *m)
{
    static const unsigned char version[] = {0, 43, 0, 2, 3, 4}, ticket_0[] = {0, 41, 0, 2, 0, 0}, more[] = {0, 15, 0, 1, 1};
    uint16_t suite = srv.sh == 9 ? (srv.suite->big ? 0x1301 : 0x1302) : srv.suite->id;
    unsigned char *at = m + 4;
    srv.odd |= srv.sh != 0;
    *at++ = 3;
    *at++ = 3;
    CHECK(RAND_bytes(at, 32) == 1);
    if (srv.sh == 1)
        memcpy(at, retry, 32);
    at += 32;
    *at++ = 32;
    at = mempcpy(at, srv.session, 32);
    *at++ = (unsigned char)(suite >> 8);
    *at++ = (unsigned char)suite;
    *at++ = srv.sh == 10;
    unsigned char *all = at;
    at += 2;
    for (int i = 0; i < 1 + (srv.sh == 8) && srv.sh != 3; i++) {
        at = mempcpy(at, version, sizeof version);
        at[-1] = srv.sh == 4 ? 3 : 4;
    }
    if (srv.sh != 5) {
        const unsigned char head[] = {0, 51, 0, 36, 0, srv.sh == 2 ? 0x17 : 0x1d, 0, 32};
        at = mempcpy(mempcpy(at, head, 8), srv.share, 32);
    }
    if (srv.resume || srv.sh == 6) {
        at = mempcpy(at, ticket_0, sizeof ticket_0);
        at[-1] = srv.sh == 6;
    }
    if (srv.sh == 7)
        at = mempcpy(at, more, sizeof more);
    all[0] = 0;
    all[1] = (unsigned char)(at - all - 2);
    return (size_t)(at - m - 4);
}

/* Variants, by bits: 1 h2, 2 HTTP/1.1, 4 groups, 8 the name, 16 a protocol of its own, 32 one of no kind, 64 groups twice. */
static size_t make_encrypted(unsigned char *m)
{
    unsigned char *at = m + 6;
    if (srv.ee & 1)
        at = mempcpy(at, "\0\20\0\5\0\3\2h2", 9);
    else if (srv.ee & 2)
        at = mempcpy(at, "\0\20\0\13\0\11\10http/1.1", 15);
    else if (srv.ee & 16)
        at = mempcpy(at, "\0\20\0\5\0\3\2h3", 9);
    for (int i = 0; i < !!(srv.ee & 4) + !!(srv.ee & 64); i++)
        at = mempcpy(at, "\0\12\0\4\0\2\0\35", 8);
    if (srv.ee & 8)
        at = mempcpy(at, "\0\0\0\0", 4);
    if (srv.ee & 32)
        at = mempcpy(at, "\0\52\0\0", 4);
    srv.odd |= (srv.ee & 3) == 0 && (srv.ee & 16);
    srv.odd |= (srv.ee & 32) || (srv.ee & 68) == 68 || ((srv.ee & 8) && !srv.any);
    m[4] = 0;
    m[5] = (unsigned char)(at - m - 6);
    return (size_t)(at - m - 4);
}

static size_t make_verify(unsigned char *m)
{
    unsigned char what[64 + 34 + 48], sum[48];
    size_t n = weft__t13_hash_len(srv.suite->big), sig;
    memset(what, ' ', 64);
    memcpy(what + 64, "TLS 1.3, server CertificateVerify", 34);
    weft__t13_hash_now(&srv.hash, sum);
    memcpy(what + 98, sum, n);
    do {   /* one of each length that there is would make an input mean several things */
        EVP_MD_CTX *c = EVP_MD_CTX_new();
        sig = 200;
        CHECK(c && EVP_DigestSignInit(c, NULL, EVP_sha256(), NULL, fixed.key) == 1 && EVP_DigestSign(c, m + 8, &sig, what, 98 + n) == 1);
        EVP_MD_CTX_free(c);
    } while (sig != 71);
    m[4] = 4;
    m[5] = 3;
    m[6] = 0;
    m[7] = (unsigned char)sig;
    return 4 + sig;
}

/* The next message of the flight. */
static size_t make_next(unsigned char *m)
{
    static const int kinds[] = {T13_SERVER_HELLO, T13_ENCRYPTED, T13_CERTIFICATE, T13_VERIFY, T13_FINISHED};
    unsigned char sum[48];
    size_t n = 0;
    switch (srv.next) {
    case F_HELLO: n = make_hello(m); break;
    case F_ENCRYPTED: n = make_encrypted(m); break;
    case F_CERT: memcpy(m, fixed.cert, fixed.cert_len); return fixed.cert_len;
    case F_VERIFY: n = make_verify(m); break;
    default:
        n = weft__t13_hash_len(srv.suite->big);
        weft__t13_hash_now(&srv.hash, sum);
        weft__t13_finished(srv.suite->big, srv.hs_server, sum, m + 4);
        break;
    }
    m[0] = (unsigned char)kinds[srv.next];
    m[1] = 0;
    m[2] = (unsigned char)(n >> 8);
    m[3] = (unsigned char)n;
    return 4 + n;
}

/* A message was sent: it counts, and keys follow from it. */
static void advance(const unsigned char *m, size_t n)
{
    int was = srv.next;
    weft__t13_hash_add(&srv.hash, m, n);
    srv.next = was == F_ENCRYPTED && srv.resume ? F_FINISHED : was + 1;
    if (was == F_HELLO)
        after_hello();
    if (was == F_FINISHED)
        after_finished();
}

/* The level of the next message. */
static int level_now(void)
{
    return srv.next == F_HELLO ? PLAIN : SHAKE;
}

static void put_cut(int level, const unsigned char *m, size_t n, size_t piece)
{
    for (size_t i = 0; i < n; i += piece)
        put_record(level, T13_HANDSHAKE, m + i, n - i < piece ? n - i : piece);
}

/* Several messages in one record. */
static void step_together(uint8_t count)
{
    static unsigned char m[4 * MESSAGE_MAX];
    size_t n = 0;
    int level = level_now();
    for (count = 1 + count % 4; count && srv.next < F_END; count--) {
        size_t one = make_next(m + n);
        bool turns = srv.next == F_HELLO || srv.next == F_FINISHED;
        if (n && level != level_now())   /* would be behind a change of keys */
            srv.odd = true;
        if (turns && count > 1 && srv.next == F_HELLO)
            srv.odd = true;
        if (srv.next == F_FINISHED) {    /* under the keys from before it */
            put_record(level, T13_HANDSHAKE, m, n + one);
            advance(m + n, one);
            return;
        }
        advance(m + n, one);
        n += one;
    }
    put_record(level, T13_HANDSHAKE, m, n);
}

static void step_mutated(struct fuzz_in *in)
{
    unsigned char m[MESSAGE_MAX];
    size_t n = make_next(m), at = (fuzz_byte(in) | (size_t)fuzz_byte(in) << 8) % n;
    uint8_t by = fuzz_byte(in);
    m[at] ^= by;
    srv.odd |= by != 0;
    put_record(level_now(), T13_HANDSHAKE, m, n);
    advance(m, n);
}

/* The next message longer or shorter than it should be, its head telling so or not. */
static void step_resized(struct fuzz_in *in)
{
    unsigned char m[MESSAGE_MAX + 256] = {0};
    size_t n = make_next(m);
    uint8_t by = fuzz_byte(in), how = fuzz_byte(in);
    size_t now = how & 1 ? n + by : n > by ? n - by : 1;
    if (how & 2) {
        m[2] = (unsigned char)((now - 4) >> 8);
        m[3] = (unsigned char)(now - 4);
    }
    srv.odd |= now != n || (how & 2 && now < 4);
    put_record(level_now(), T13_HANDSHAKE, m, now);
    advance(m, now);
}

static void step_raw(struct fuzz_in *in, int level)
{
    uint8_t type = fuzz_byte(in);
    size_t n;
    char *p = fuzz_text(in, fuzz_byte(in), &n);
    bool ccs = type == T13_CCS && level == PLAIN && srv.keyed && !srv.ended && n == 1 && *p == 1;
    put_record(level, type, p, n);
    if (!ccs)
        srv.odd = true;
    free(p);
}

static void shake_step(struct fuzz_in *in)
{
    unsigned char m[MESSAGE_MAX];
    uint8_t op = fuzz_byte(in), more = op >> 4;
    size_t n;
    char *p;
    switch (op & 15) {
    case 0: n = make_next(m), put_cut(level_now(), m, n, n), advance(m, n); break;
    case 1: step_mutated(in); break;
    case 2: n = make_next(m), put_cut(level_now(), m, n, n / (2 + more) + 1), advance(m, n); break;
    case 3: step_together(more); break;
    case 4:   /* any message, hashed as if it were one of the handshake */
        p = fuzz_text(in, fuzz_byte(in), &n);
        put_record(more % 3, T13_HANDSHAKE, p, n);
        weft__t13_hash_add(&srv.hash, p, n);
        srv.odd = true;
        free(p);
        break;
    case 5: put_record(PLAIN, T13_CCS, "\1", 1), srv.odd |= !srv.keyed; break;
    case 6: p = fuzz_text(in, fuzz_byte(in), &n), put_garbage(p, n), free(p); break;
    case 7: step_raw(in, more % 3); break;
    case 8:   /* left out */
        n = make_next(m);
        if (srv.next == F_HELLO || srv.next == F_FINISHED || more & 1)
            advance(m, n);
        else
            srv.next++;
        srv.odd = true;
        break;
    case 9: n = make_next(m), put_cut(level_now(), m, n, n), put_cut(level_now(), m, n, n), advance(m, n), srv.odd = true, srv.poison |= srv.ended; break;
    case 10: srv.pad = fuzz_byte(in); break;
    case 11: step_resized(in); break;
    case 12: n = make_next(m), srv.odd |= level_of(more % 3) != level_now(), put_cut(more % 3, m, n, n), advance(m, n); break;
    case 13: srv.ee = fuzz_byte(in); break;
    case 14: srv.sh = more % 11; break;
    default:   /* another order */
        n = make_next(m);
        put_cut(level_now(), m, n, n);
        advance(m, n);
        if (!srv.ended)
            srv.next = 1 + more % F_FINISHED;
        srv.odd = true;
        break;
    }
}

#endif
