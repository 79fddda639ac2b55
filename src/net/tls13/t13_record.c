/*
 * t13_record.c - records of TLS 1.3 sealed and opened by OpenSSL's ciphers.
 *
 * Role    One direction of a connection: keys, a nonce for each record. Near t13_data.c, t13_shake.c. Layer 4.
 *
 * Invariants
 *   T20 A nonce is used once under a key: seq goes up with each record that is sealed, whatever becomes of it, and is 0 only
 *       when the key is new.
 *   T21 Bytes of a record are told only after its tag has agreed. A record whose tag does not is the last of its direction.
 *
 * Source  RFC 8446 5.2, 5.3, 5.4, 7.2, 7.3; EVP_EncryptInit(3), "AEAD Interface".
 */
#include <openssl/crypto.h>
#include <stdlib.h>
#include <string.h>

#include "../../sys/sys.h"
#include "t13.h"

/* ---- buffers ---- */

bool weft__t13_room(struct weft__t13_bytes *b, size_t n)
{
    if (b->room - b->to >= n)
        return true;
    if (b->from) {
        memmove(b->at, b->at + b->from, b->to - b->from);
        b->to -= b->from;
        b->from = 0;
    }
    if (b->room - b->to >= n)
        return true;
    size_t room = b->to + n;
    unsigned char *more = malloc(room);
    if (!more)
        return false;
    if (b->to)
        memcpy(more, b->at, b->to);
    weft__sys_free(b->at);
    b->at = more;
    b->room = room;
    return true;
}

bool weft__t13_add(struct weft__t13_bytes *b, const void *from, size_t n)
{
    if (!weft__t13_room(b, n))
        return false;
    if (n)
        memcpy(b->at + b->to, from, n);
    b->to += n;
    return true;
}

void weft__t13_drop(struct weft__t13_bytes *b, bool secret)
{
    if (b->at && secret)
        OPENSSL_cleanse(b->at, b->to);
    weft__sys_free(b->at);
    *b = (struct weft__t13_bytes){0};
}

/* ---- keys ---- */

bool weft__t13_way_set(struct weft__t13_way *w, const struct weft__t13_suite *s, const EVP_CIPHER *cipher, const unsigned char *secret,
                       bool out)
{
    unsigned char key[32];
    weft__t13_derive(s->big, secret, "key", NULL, 0, key, s->key);
    weft__t13_derive(s->big, secret, "iv", NULL, 0, w->iv, WEFT__T13_IV);
    memmove(w->secret, secret, weft__t13_hash_len(s->big));
    w->seq = 0;
    if (!w->cipher)
        w->cipher = EVP_CIPHER_CTX_new();
    bool ok = w->cipher && EVP_CipherInit_ex2(w->cipher, cipher, key, NULL, out, NULL) == 1;
    OPENSSL_cleanse(key, sizeof key);
    return ok;
}

bool weft__t13_way_turn(struct weft__t13_way *w, const struct weft__t13_suite *s, const EVP_CIPHER *cipher, bool out)
{
    unsigned char next[WEFT__T13_HASH_MAX];
    weft__t13_derive(s->big, w->secret, "traffic upd", NULL, 0, next, weft__t13_hash_len(s->big));
    bool ok = weft__t13_way_set(w, s, cipher, next, out);
    OPENSSL_cleanse(next, sizeof next);
    return ok;
}

void weft__t13_way_drop(struct weft__t13_way *w)
{
    EVP_CIPHER_CTX_free(w->cipher);
    OPENSSL_cleanse(w, sizeof *w);
}

/* ---- records ---- */

/* The nonce of the next record, T20; -1 as OpenSSL has "as before". */
static bool record_begin(struct weft__t13_way *w, const unsigned char *head)
{
    unsigned char nonce[WEFT__T13_IV];
    int n;
    memcpy(nonce, w->iv, sizeof nonce);
    for (int i = 0; i < 8; i++)
        nonce[WEFT__T13_IV - 1 - i] ^= (unsigned char)(w->seq >> 8 * i);
    w->seq++;
    return EVP_CipherInit_ex2(w->cipher, NULL, NULL, nonce, -1, NULL) == 1 &&
           EVP_CipherUpdate(w->cipher, NULL, &n, head, WEFT__T13_HEAD) == 1;
}

static bool record_run(struct weft__t13_way *w, const unsigned char *in, size_t n, unsigned char *ret)
{
    int done;
    return n == 0 || (EVP_CipherUpdate(w->cipher, ret, &done, in, (int)n) == 1 && (size_t)done == n);
}

size_t weft__t13_seal(struct weft__t13_way *w, int type, const void *in, size_t n, unsigned char *ret)
{
    size_t body = n + 1 + WEFT__T13_TAG;
    unsigned char kind = (unsigned char)type, *at = ret + WEFT__T13_HEAD;
    int done;
    ret[0] = T13_DATA;
    ret[1] = ret[2] = 3;
    ret[3] = (unsigned char)(body >> 8);
    ret[4] = (unsigned char)body;
    if (!record_begin(w, ret) || !record_run(w, in, n, at) || !record_run(w, &kind, 1, at + n) ||
        EVP_CipherFinal_ex(w->cipher, at + n + 1, &done) != 1 ||
        EVP_CIPHER_CTX_ctrl(w->cipher, EVP_CTRL_AEAD_GET_TAG, WEFT__T13_TAG, at + n + 1) != 1)
        return 0;
    return WEFT__T13_HEAD + body;
}

int weft__t13_open(struct weft__t13_way *w, const unsigned char *record, size_t body, unsigned char *ret, size_t *ret_n, int *ret_type)
{
    const unsigned char *in = record + WEFT__T13_HEAD;
    unsigned char tag[WEFT__T13_TAG];
    int done;
    if (body < WEFT__T13_TAG + 1)
        return T13_A_BAD_MAC;
    size_t n = body - WEFT__T13_TAG;
    memcpy(tag, in + n, sizeof tag);
    if (!record_begin(w, record) || !record_run(w, in, n, ret) ||
        EVP_CIPHER_CTX_ctrl(w->cipher, EVP_CTRL_AEAD_SET_TAG, WEFT__T13_TAG, tag) != 1 ||
        EVP_CipherFinal_ex(w->cipher, ret + n, &done) != 1) {
        OPENSSL_cleanse(ret, n);
        return T13_A_BAD_MAC;   /* T21 */
    }
    while (n && ret[n - 1] == 0)
        n--;
    if (n == 0)
        return T13_A_UNEXPECTED;
    if (n - 1 > WEFT__T13_PLAIN_MAX)
        return T13_A_OVERFLOW;
    *ret_type = ret[n - 1];
    *ret_n = n - 1;
    return 0;
}
