/*
 * t13_data.c - a connection after its handshake: bytes, tickets, new keys, alerts.
 *
 * Role    Between t13_record.c and whoever reads and writes (tls_own.c). Layer 4.
 *
 * Invariants
 *   T26 What writers gave is sealed and queued in t->send in the order of the records' numbers, so all that is queued has to be
 *       sent, first things first. A writer is told of its bytes when the whole of send has gone.
 *   T27 Once BROKEN (alert, words) nothing that comes is looked at.
 *
 * Limits  32 records in a row that bring no bytes. Tickets of 4 KiB, of a week. A key seals 2^24 records. New keys are not answered
 *         when 32 KiB wait for the peer to read.
 * Source  RFC 8446 4.6.1, 4.6.3, 5.1, 5.5, 6.
 */
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/x509.h>
#include <string.h>

#include "../../sys/sys.h"
#include "t13.h"

enum { DATA_IDLE_MAX = 32, DATA_TICKET_MAX = 4096, DATA_WEEK = 604800, DATA_HEAD = 4, DATA_KEY_RECORDS = 1 << 24,
       DATA_UNSENT_MAX = 32 << 10 };

static enum weft__t13_is data_broken(struct weft__t13 *t, int alert, const char *words)
{
    t->alert = alert;
    t->words = words;
    return WEFT__T13_BROKEN;
}

/* As OpenSSL says the same. */
static const char *data_words(int alert)
{
    switch (alert) {
    case T13_A_BAD_MAC: return "decryption failed or bad record mac";
    case T13_A_OVERFLOW: return "data length too long";
    case T13_A_DECODE: return "length mismatch";
    case T13_A_ILLEGAL: return "bad value";
    case T13_A_INTERNAL: return "internal error";
    default: return "unexpected message";
    }
}

/* ---- tickets and keys ---- */

static int after_ticket(struct weft__t13 *t, struct weft__t13_in in)
{
    uint32_t seconds = weft__t13_int(&in, 4), age_add = weft__t13_int(&in, 4);
    struct weft__t13_in nonce = weft__t13_list(&in, 1), bytes = weft__t13_list(&in, 2), more = weft__t13_list(&in, 2);
    size_t n = weft__t13_hash_len(t->suite->big);
    while (more.n) {   /* of early data, which is never sent */
        (void)weft__t13_int(&more, 2);
        (void)weft__t13_list(&more, 2);
    }
    if (in.bad || in.n || more.bad || bytes.n == 0)
        return T13_A_DECODE;
    if (!t->shared->sessions || seconds == 0 || seconds > DATA_WEEK || bytes.n > DATA_TICKET_MAX)
        return 0;   /* longer than a server may say: nothing to break a connection for that could not be made again by OpenSSL */
    struct weft__t13_ticket *k = weft__sys_alloc(sizeof *k + bytes.n);
    if (!k)
        return 0;
    atomic_init(&k->refs, 1);
    k->suite = t->suite;
    k->age_add = age_add;
    k->came = weft_now();
    k->until = k->came + seconds * WEFT_SEC;
    k->dates = t->dates;
    k->verified = t->verified;
    if (t->cert && X509_up_ref(t->cert))
        k->cert = t->cert;
    k->n = bytes.n;
    memcpy(k->bytes, bytes.at, bytes.n);
    weft__t13_derive(t->suite->big, t->res, "resumption", nonce.at, nonce.n, k->psk, n);
    weft__t13_ticket_put(t->shared->hosts, t->key, k);
    return 0;
}

static const struct weft__t13_cipher *after_cipher(const struct weft__t13 *t)
{
    return &t->shared->cipher[t->suite - weft__t13_suites];
}

/* Say that what follows has the next keys. */
static bool after_tell(struct weft__t13 *t)
{
    static const unsigned char update[] = {T13_UPDATE, 0, 0, 1, 0};
    if (!weft__t13_room(&t->send, sizeof update + WEFT__T13_OVER))
        return false;
    size_t n = weft__t13_seal(&t->out, T13_HANDSHAKE, update, sizeof update, t->send.at + t->send.to);
    t->send.to += n;
    return n && weft__t13_way_turn(&t->out, t->suite, after_cipher(t), true);
}

int weft__t13_after(struct weft__t13 *t, const unsigned char *message, size_t n)
{
    struct weft__t13_in in = {message + DATA_HEAD, n - DATA_HEAD, false};
    if (message[0] == T13_TICKET)
        return after_ticket(t, in);
    if (message[0] != T13_UPDATE)
        return T13_A_UNEXPECTED;
    uint32_t asked = weft__t13_int(&in, 1);
    if (in.bad || in.n)
        return T13_A_DECODE;
    if (asked > 1)
        return T13_A_ILLEGAL;
    if (t->part.to - t->part.from > n)   /* T24 */
        return T13_A_UNEXPECTED;
    if (asked && t->send.to - t->send.from > DATA_UNSENT_MAX)   /* it asks and asks and reads no answer */
        return T13_A_UNEXPECTED;
    if (!weft__t13_way_turn(&t->in, t->suite, after_cipher(t), false) || (asked && !t->said_bye && !after_tell(t)))
        return T13_A_INTERNAL;
    return 0;
}

/* A record of handshake messages, or of a part of one. */
static int data_messages(struct weft__t13 *t, const unsigned char *at, size_t n)
{
    struct weft__t13_bytes *b = &t->part;
    if (n == 0)
        return T13_A_UNEXPECTED;
    if (!weft__t13_add(b, at, n))
        return T13_A_INTERNAL;
    while (b->to - b->from >= DATA_HEAD) {
        const unsigned char *m = b->at + b->from;
        size_t whole = DATA_HEAD + ((size_t)m[1] << 16 | (size_t)m[2] << 8 | m[3]);
        if (whole > WEFT__T13_PLAIN_MAX + DATA_HEAD)
            return T13_A_DECODE;
        if (b->to - b->from < whole)
            return 0;
        int bad = weft__t13_after(t, m, whole);
        if (bad)
            return bad;
        b->from += whole;
    }
    if (b->from == b->to)
        weft__t13_drop(b, true);
    return 0;
}

static enum weft__t13_is data_alert(struct weft__t13 *t, const unsigned char *at, size_t n)
{
    if (n != 2)
        return data_broken(t, T13_A_DECODE, data_words(T13_A_DECODE));
    if (at[1] == T13_A_CLOSE) {
        t->bye = true;
        return WEFT__T13_ENDED;
    }
    if (at[1] == T13_A_CANCELED)
        return WEFT__T13_DONE;
    const char *words = ERR_reason_error_string(ERR_PACK(ERR_LIB_SSL, 0, SSL_AD_REASON_OFFSET + at[1]));
    return data_broken(t, -1, words ? words : "the peer sent an alert");
}

/* ---- reading ---- */

static size_t data_take(struct weft__t13_bytes *b, void *ret, size_t n)
{
    size_t have = b->to - b->from;
    n = n < have ? n : have;
    memcpy(ret, b->at + b->from, n);
    b->from += n;
    if (b->from == b->to)
        weft__t13_drop(b, true);
    return n;
}

/* A whole record's length in raw, or 0. */
static size_t data_whole(const struct weft__t13_bytes *raw)
{
    size_t have = raw->to - raw->from;
    if (have < WEFT__T13_HEAD)
        return 0;
    size_t n = WEFT__T13_HEAD + ((size_t)raw->at[raw->from + 3] << 8 | raw->at[raw->from + 4]);
    return have < n ? 0 : n;
}

bool weft__t13_pending(const struct weft__t13 *t)
{
    return t->plain.to > t->plain.from || data_whole(&t->raw) > 0;
}

/* One record: DONE with *ret_got bytes, which may be none, or as weft__t13_read. */
static enum weft__t13_is data_record(struct weft__t13 *t, unsigned char *record, size_t whole, unsigned char *ret_buf, size_t n,
                                     size_t *ret_got)
{
    size_t body = whole - WEFT__T13_HEAD, got = 0;
    bool straight = n + WEFT__T13_TAG >= body;   /* else there is no room for all of it */
    unsigned char *at = straight ? ret_buf : record + WEFT__T13_HEAD;
    int type, bad = record[0] != T13_DATA ? T13_A_UNEXPECTED : weft__t13_open(&t->in, record, body, at, &got, &type);
    if (!bad && type != T13_HANDSHAKE && t->part.to > t->part.from)
        bad = T13_A_UNEXPECTED;   /* in the middle of a message */
    if (!bad && type == T13_DATA) {
        size_t part = got < n ? got : n;
        if (!straight && (memcpy(ret_buf, at, part), !weft__t13_add(&t->plain, at + part, got - part)))
            return data_broken(t, T13_A_INTERNAL, weft_strerror(WEFT_ENOMEM));
        *ret_got = part;
        return WEFT__T13_DONE;
    }
    *ret_got = 0;
    if (!bad && type == T13_ALERT)
        return data_alert(t, at, got);
    if (!bad)
        bad = type == T13_HANDSHAKE ? data_messages(t, at, got) : T13_A_UNEXPECTED;
    OPENSSL_cleanse(at, got);
    return bad ? data_broken(t, bad, data_words(bad)) : WEFT__T13_DONE;
}

enum weft__t13_is weft__t13_read(struct weft__t13 *t, void *ret_buf, size_t n, size_t *ret_got)
{
    struct weft__t13_bytes *raw = &t->raw;
    if (t->words)
        return WEFT__T13_BROKEN;   /* T27 */
    if (t->plain.to > t->plain.from) {
        *ret_got = data_take(&t->plain, ret_buf, n);
        return WEFT__T13_DONE;
    }
    while (!t->bye) {
        size_t whole = data_whole(raw);
        if (raw->to - raw->from < WEFT__T13_HEAD)
            return WEFT__T13_MORE;
        unsigned char *head = raw->at + raw->from;
        if (head[1] != 3 || head[2] != 3 || ((size_t)head[3] << 8 | head[4]) > WEFT__T13_BODY_MAX)
            return data_broken(t, T13_A_OVERFLOW, head[1] != 3 || head[2] != 3 ? "wrong version number" : data_words(T13_A_OVERFLOW));
        if (!whole)
            return WEFT__T13_MORE;
        enum weft__t13_is is = data_record(t, head, whole, ret_buf, n, ret_got);
        raw->from += whole;
        if (is != WEFT__T13_DONE)
            return is;
        t->idle = *ret_got ? 0 : t->idle + 1;
        if (*ret_got)
            return is;
        if (t->idle > DATA_IDLE_MAX)
            return data_broken(t, T13_A_UNEXPECTED, data_words(T13_A_UNEXPECTED));
    }
    return WEFT__T13_ENDED;
}

/* ---- writing ---- */

bool weft__t13_write(struct weft__t13 *t, const void *buf, size_t n)
{
    if (n > WEFT__T13_PLAIN_MAX)
        n = WEFT__T13_PLAIN_MAX;
    if ((t->out.seq >= DATA_KEY_RECORDS && !after_tell(t)) || !weft__t13_room(&t->send, n + WEFT__T13_OVER))
        return false;
    size_t put = weft__t13_seal(&t->out, T13_DATA, buf, n, t->send.at + t->send.to);
    t->send.to += put;
    t->owed = n;
    return put > 0;
}

void weft__t13_alert(struct weft__t13 *t, int level, int what)
{
    const unsigned char alert[] = {(unsigned char)level, (unsigned char)what};
    if (!t->said_bye && weft__t13_room(&t->send, sizeof alert + WEFT__T13_OVER))
        t->send.to += weft__t13_seal(&t->out, T13_ALERT, alert, sizeof alert, t->send.at + t->send.to);
    t->said_bye = true;
}
