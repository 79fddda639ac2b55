/*
 * t13_shake.c - the client's handshake: which message may come when, and which keys follow from it.
 *
 * Role    Takes records of the server out of t->raw until the server has finished, then has the client's last words in t->send.
 *         Near t13_hello.c, t13_auth.c (what is in the messages), t13_record.c. Layer 4.
 *
 * Invariants
 *   T23 A message comes when t->shake->expect says so or the handshake is over: ServerHello, EncryptedExtensions, then
 *       Certificate and CertificateVerify unless a ticket was taken, Finished. There is no other way to DONE.
 *   T24 Keys change between records: what a record has behind ServerHello or Finished ends the handshake (RFC 8446 5.1).
 *   T25 DONE means: the server's Finished agreed with a secret that only who has the key of a certificate that was found good,
 *       or of a ticket that such a server gave, can have.
 *
 * A request for a certificate, a HelloRetryRequest, an alert, an older version, anything unknown: OTHER, and OpenSSL's turn.
 *
 * Limits  Certificates of 100 KiB (SSL_CTX_set_max_cert_list), other messages of 16; 64 records. Source  RFC 8446 2, 4, 5, 7.1, A.1, D.4.
 */
#define OPENSSL_SUPPRESS_DEPRECATED
#include <openssl/crypto.h>
#include <stdio.h>
#include <string.h>

#include "../../sys/sys.h"
#include "t13.h"

enum { SHAKE_MESSAGE_MAX = 16 << 10, SHAKE_RECORDS_MAX = 64, SHAKE_HEAD = 4 };

static void shake_free(struct weft__t13_shake *k)
{
    if (!k)
        return;
    weft__t13_ticket_unref(k->ticket);
    EVP_PKEY_free(k->key);
    weft__t13_drop(&k->hello, true);
    OPENSSL_cleanse(k, sizeof *k);
    weft__sys_free(k);
}

struct weft__t13 *weft__t13_new(SSL_CTX *ctx, struct weft__tls_extra *extra, const char *name, uint16_t port, bool insecure)
{
    weft_addr literal;
    size_t n = strlen(name), room = n + sizeof ":65535";
    struct weft__t13 *t = weft__sys_alloc(sizeof *t + room + n + 1);
    if (!t || !(t->shake = weft__sys_alloc(sizeof *t->shake)) || !SSL_CTX_up_ref(ctx)) {
        if (t)
            weft__sys_free(t->shake);
        weft__sys_free(t);
        return NULL;
    }
    t->ctx = ctx;
    t->extra = extra;
    t->shared = extra->own;
    t->insecure = insecure;
    snprintf(t->key, room, "%s:%u", name, port);
    if (!weft__addr_literal(name, &literal))
        t->name = memcpy(t->key + room, name, n + 1);
    t->shake->expect = T13_SERVER_HELLO;
    if (t->shared->sessions)
        t->shake->ticket = weft__t13_ticket_get(t->shared->hosts, t->key, insecure);
    if (!weft__t13_refused(t->shared->hosts, t->key) && weft__t13_hello(t)) {
        const unsigned char head[] = {T13_HANDSHAKE, 3, 1, (unsigned char)(t->shake->hello.to >> 8), (unsigned char)t->shake->hello.to};
        if (weft__t13_add(&t->send, head, sizeof head) && weft__t13_add(&t->send, t->shake->hello.at, t->shake->hello.to))
            return t;
    }
    weft__t13_free(t);
    return NULL;
}

void weft__t13_free(struct weft__t13 *t)
{
    if (!t)
        return;
    shake_free(t->shake);
    weft__t13_way_drop(&t->in);
    weft__t13_way_drop(&t->out);
    weft__t13_drop(&t->raw, false);
    weft__t13_drop(&t->plain, true);
    weft__t13_drop(&t->part, true);
    weft__t13_drop(&t->send, false);
    X509_free(t->cert);
    SSL_CTX_free(t->ctx);
    OPENSSL_cleanse(t->res, sizeof t->res);
    weft__sys_free(t);
}

/* ---- keys ---- */

/* Keys of one direction from a secret of the schedule, which is kept in ret. */
static bool shake_keys(struct weft__t13 *t, const char *label, const unsigned char *hash, bool out, unsigned char *ret)
{
    size_t n = weft__t13_hash_len(t->suite->big);
    weft__t13_derive(t->suite->big, t->shake->secret, label, hash, n, ret, n);
    return weft__t13_way_set(out ? &t->out : &t->in, t->suite, &t->shared->cipher[t->suite - weft__t13_suites], ret, out);
}

static bool shake_hello(struct weft__t13 *t, struct weft__t13_in in, const unsigned char *message)
{
    struct weft__t13_shake *k = t->shake;
    unsigned char agreed[WEFT__T13_SHARE], sum[WEFT__T13_HASH_MAX];
    size_t whole = SHAKE_HEAD + in.n;
    if (!weft__t13_server_hello(t, in, agreed))
        return false;
    bool big = t->suite->big;
    size_t n = weft__t13_hash_len(big);
    weft__t13_hash_begin(&k->hash, big);
    weft__t13_hash_add(&k->hash, k->hello.at, k->hello.to);
    weft__t13_hash_add(&k->hash, message, whole);
    weft__t13_hash_now(&k->hash, sum);
    weft__t13_next(big, NULL, k->ticket ? k->ticket->psk : NULL, k->ticket ? n : 0, k->secret);
    weft__t13_next(big, k->secret, agreed, sizeof agreed, k->secret);
    OPENSSL_cleanse(agreed, sizeof agreed);
    weft__t13_drop(&k->hello, false);
    return shake_keys(t, "c hs traffic", sum, true, k->client) && shake_keys(t, "s hs traffic", sum, false, k->server);
}

/* The client's last words: a change of ciphers for boxes in between that wait for one (D.4), and Finished. */
static bool shake_answer(struct weft__t13 *t)
{
    static const unsigned char ccs[] = {T13_CCS, 3, 3, 0, 1, 1};
    struct weft__t13_shake *k = t->shake;
    bool big = t->suite->big;
    size_t n = weft__t13_hash_len(big), put;
    unsigned char says[SHAKE_HEAD + WEFT__T13_HASH_MAX] = {T13_FINISHED, 0, 0, (unsigned char)n}, sum[WEFT__T13_HASH_MAX];
    weft__t13_hash_now(&k->hash, sum);
    weft__t13_finished(big, k->client, sum, says + SHAKE_HEAD);
    if (!weft__t13_add(&t->send, ccs, sizeof ccs) || !weft__t13_room(&t->send, SHAKE_HEAD + n + WEFT__T13_OVER))
        return false;
    put = weft__t13_seal(&t->out, T13_HANDSHAKE, says, SHAKE_HEAD + n, t->send.at + t->send.to);
    t->send.to += put;
    weft__t13_hash_add(&k->hash, says, SHAKE_HEAD + n);
    return put > 0;
}

static bool shake_finished(struct weft__t13 *t, struct weft__t13_in in, const unsigned char *message)
{
    struct weft__t13_shake *k = t->shake;
    bool big = t->suite->big;
    size_t n = weft__t13_hash_len(big), whole = SHAKE_HEAD + in.n;
    unsigned char want[WEFT__T13_HASH_MAX], sum[WEFT__T13_HASH_MAX], secret[WEFT__T13_HASH_MAX];
    weft__t13_hash_now(&k->hash, sum);
    weft__t13_finished(big, k->server, sum, want);
    if (in.n != n || CRYPTO_memcmp(in.at, want, n) != 0)
        return false;
    weft__t13_hash_add(&k->hash, message, whole);
    weft__t13_hash_now(&k->hash, sum);
    weft__t13_next(big, k->secret, NULL, 0, k->secret);
    bool ok = shake_answer(t) && shake_keys(t, "s ap traffic", sum, false, secret) && shake_keys(t, "c ap traffic", sum, true, secret);
    weft__t13_hash_now(&k->hash, sum);
    weft__t13_derive(big, k->secret, "res master", sum, n, t->res, n);
    OPENSSL_cleanse(secret, sizeof secret);
    if (!ok)
        return false;
    if (k->ticket) {
        t->resumed = true;
        t->verified = k->ticket->verified;
        t->dates = k->ticket->dates;
        if (k->ticket->cert && X509_up_ref(k->ticket->cert))
            t->cert = k->ticket->cert;
    }
    return true;
}

/* ---- messages ---- */

/* One message, head and all. False: not for this client. T23. */
static bool shake_message(struct weft__t13 *t, const unsigned char *message, size_t n)
{
    struct weft__t13_shake *k = t->shake;
    struct weft__t13_in in = {message + SHAKE_HEAD, n - SHAKE_HEAD, false};
    unsigned char sum[WEFT__T13_HASH_MAX];
    bool ok = false;
    if (message[0] != k->expect)
        return false;
    switch (k->expect) {
    case T13_SERVER_HELLO:
        k->expect = T13_ENCRYPTED;
        return shake_hello(t, in, message);
    case T13_ENCRYPTED:
        k->expect = k->ticket ? T13_FINISHED : T13_CERTIFICATE;
        ok = weft__t13_encrypted(t, in);
        break;
    case T13_CERTIFICATE:
        k->expect = T13_VERIFY;
        ok = weft__t13_certificate(t, in);
        break;
    case T13_VERIFY:
        k->expect = T13_FINISHED;
        weft__t13_hash_now(&k->hash, sum);
        ok = weft__t13_verify(t, in, sum);
        break;
    default:
        k->expect = 0;
        return shake_finished(t, in, message);
    }
    weft__t13_hash_add(&k->hash, message, n);
    return ok;
}

/* How long a message may be, as OpenSSL has it. */
static size_t shake_most(const struct weft__t13 *t, int type)
{
    return SHAKE_HEAD + (type == T13_CERTIFICATE ? (size_t)SSL_CTX_get_max_cert_list(t->ctx) : SHAKE_MESSAGE_MAX);
}

/* Whole messages out of part. */
static bool shake_messages(struct weft__t13 *t)
{
    struct weft__t13_bytes *b = &t->part;
    while (b->to - b->from >= SHAKE_HEAD) {
        const unsigned char *m = b->at + b->from;
        size_t n = SHAKE_HEAD + ((size_t)m[1] << 16 | (size_t)m[2] << 8 | m[3]);
        bool turns = m[0] == T13_SERVER_HELLO || m[0] == T13_FINISHED;
        if (n > shake_most(t, m[0]))
            return false;
        if (b->to - b->from < n)
            return true;
        if ((turns && b->to - b->from > n) || !shake_message(t, m, n))   /* T24 */
            return false;
        b->from += n;
    }
    if (b->from == b->to)
        weft__t13_drop(b, false);
    return true;
}

/* One record of n bytes with its head. */
static bool shake_record(struct weft__t13 *t, unsigned char *record, size_t n)
{
    unsigned char *at = record + WEFT__T13_HEAD;
    size_t got = n - WEFT__T13_HEAD;
    int type = record[0];
    if (type == T13_CCS)   /* D.4: nothing, between the server's hello and its Finished */
        return t->in.cipher && got == 1 && at[0] == 1 && t->part.to == t->part.from;
    if (t->in.cipher && (type != T13_DATA || record[2] != 3 || weft__t13_open(&t->in, record, got, at, &got, &type) != 0))
        return false;
    if (type != T13_HANDSHAKE || got == 0 || got > WEFT__T13_PLAIN_MAX || !weft__t13_add(&t->part, at, got))
        return false;
    return shake_messages(t);
}

enum weft__t13_is weft__t13_shake(struct weft__t13 *t)
{
    struct weft__t13_bytes *raw = &t->raw;
    while (t->shake->expect) {
        size_t have = raw->to - raw->from;
        if (have < WEFT__T13_HEAD)
            return WEFT__T13_MORE;
        unsigned char *head = raw->at + raw->from;
        size_t body = (size_t)head[3] << 8 | head[4];
        if (head[1] != 3 || body > WEFT__T13_BODY_MAX)
            return WEFT__T13_OTHER;
        if (have < WEFT__T13_HEAD + body)
            return WEFT__T13_MORE;
        if (++t->idle > SHAKE_RECORDS_MAX || !shake_record(t, head, WEFT__T13_HEAD + body))
            return WEFT__T13_OTHER;
        raw->from += WEFT__T13_HEAD + body;
    }
    t->idle = 0;
    shake_free(t->shake);
    t->shake = NULL;
    return WEFT__T13_DONE;
}
