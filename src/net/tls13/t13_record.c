/*
 * t13_record.c - records of TLS 1.3 sealed and opened by OpenSSL's ciphers.
 *
 * Role    One direction of a connection: keys, a nonce for each record. The ciphers are those of clients' library context
 *         (tls_lean.c), called as EVP calls them, without its looks at parameters between. Near t13_data.c, t13_shake.c.
 *         Layer 4.
 *
 * Invariants
 *   T20 A nonce is used once under a key: seq goes up with each record that is sealed, whatever becomes of it, and is 0 only
 *       when the key is new.
 *   T21 Bytes of a record are told only after its tag has agreed. A record whose tag does not is the last of its direction.
 *
 * Source  RFC 8446 5.2, 5.3, 5.4, 7.2, 7.3; provider-cipher(7); EVP_EncryptInit(3), "AEAD Interface".
 */
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/params.h>
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

bool weft__t13_cipher(const struct weft__t13_suite *s, struct weft__t13_cipher *ret)
{
    const OSSL_DISPATCH *d = weft__tls_lean_cipher(s->cipher, &ret->provider);
    if (!d)
        return false;
    ret->new = OSSL_FUNC_cipher_newctx(&(OSSL_DISPATCH){0, weft__tls_call(d, OSSL_FUNC_CIPHER_NEWCTX)});
    ret->free = OSSL_FUNC_cipher_freectx(&(OSSL_DISPATCH){0, weft__tls_call(d, OSSL_FUNC_CIPHER_FREECTX)});
    ret->seal = OSSL_FUNC_cipher_encrypt_init(&(OSSL_DISPATCH){0, weft__tls_call(d, OSSL_FUNC_CIPHER_ENCRYPT_INIT)});
    ret->open = OSSL_FUNC_cipher_decrypt_init(&(OSSL_DISPATCH){0, weft__tls_call(d, OSSL_FUNC_CIPHER_DECRYPT_INIT)});
    ret->update = OSSL_FUNC_cipher_update(&(OSSL_DISPATCH){0, weft__tls_call(d, OSSL_FUNC_CIPHER_UPDATE)});
    ret->final = OSSL_FUNC_cipher_final(&(OSSL_DISPATCH){0, weft__tls_call(d, OSSL_FUNC_CIPHER_FINAL)});
    ret->get = OSSL_FUNC_cipher_get_ctx_params(&(OSSL_DISPATCH){0, weft__tls_call(d, OSSL_FUNC_CIPHER_GET_CTX_PARAMS)});
    ret->set = OSSL_FUNC_cipher_set_ctx_params(&(OSSL_DISPATCH){0, weft__tls_call(d, OSSL_FUNC_CIPHER_SET_CTX_PARAMS)});
    return ret->new && ret->free && ret->seal && ret->open && ret->update && ret->final && ret->get && ret->set;
}

bool weft__t13_way_set(struct weft__t13_way *w, const struct weft__t13_suite *s, const struct weft__t13_cipher *cipher,
                       const unsigned char *secret, bool out)
{
    unsigned char key[32];
    weft__t13_derive(s->big, secret, "key", NULL, 0, key, s->key);
    weft__t13_derive(s->big, secret, "iv", NULL, 0, w->iv, WEFT__T13_IV);
    memmove(w->secret, secret, weft__t13_hash_len(s->big));
    w->seq = 0;
    if (!w->keyed)
        w->keyed = cipher->new(cipher->provider);
    w->cipher = cipher;
    bool ok = w->keyed && (out ? cipher->seal : cipher->open)(w->keyed, key, s->key, NULL, 0, NULL) == 1;
    OPENSSL_cleanse(key, sizeof key);
    return ok;
}

bool weft__t13_way_turn(struct weft__t13_way *w, const struct weft__t13_suite *s, const struct weft__t13_cipher *cipher, bool out)
{
    unsigned char next[WEFT__T13_HASH_MAX];
    weft__t13_derive(s->big, w->secret, "traffic upd", NULL, 0, next, weft__t13_hash_len(s->big));
    bool ok = weft__t13_way_set(w, s, cipher, next, out);
    OPENSSL_cleanse(next, sizeof next);
    return ok;
}

void weft__t13_way_drop(struct weft__t13_way *w)
{
    if (w->keyed)
        w->cipher->free(w->keyed);
    OPENSSL_cleanse(w, sizeof *w);
}

/* ---- records ---- */

/* The nonce of the next record, T20. */
static void record_nonce(struct weft__t13_way *w, unsigned char *ret)
{
    memcpy(ret, w->iv, WEFT__T13_IV);
    for (int i = 0; i < 8; i++)
        ret[WEFT__T13_IV - 1 - i] ^= (unsigned char)(w->seq >> 8 * i);
    w->seq++;
}

/* The head and n bytes where they lie. */
static bool record_run(const struct weft__t13_way *w, const unsigned char *head, const unsigned char *in, size_t n, unsigned char *ret)
{
    size_t done;
    return w->cipher->update(w->keyed, NULL, &done, WEFT__T13_HEAD, head, WEFT__T13_HEAD) == 1 &&
           w->cipher->update(w->keyed, ret, &done, n, in, n) == 1 && done == n;
}

size_t weft__t13_seal(struct weft__t13_way *w, int type, const void *in, size_t n, unsigned char *ret)
{
    const struct weft__t13_cipher *c = w->cipher;
    size_t body = n + 1 + WEFT__T13_TAG, done;
    unsigned char nonce[WEFT__T13_IV], *at = ret + WEFT__T13_HEAD, *end = at;
    OSSL_PARAM tag[] = {{OSSL_CIPHER_PARAM_AEAD_TAG, OSSL_PARAM_OCTET_STRING, at + n + 1, WEFT__T13_TAG, 0}, OSSL_PARAM_END};
    ret[0] = T13_DATA;
    ret[1] = ret[2] = 3;
    ret[3] = (unsigned char)(body >> 8);
    ret[4] = (unsigned char)body;
    if (n)
        end = (unsigned char *)mempcpy(at, in, n);
    *end = (unsigned char)type;
    record_nonce(w, nonce);
    if (c->seal(w->keyed, NULL, 0, nonce, sizeof nonce, NULL) != 1 || !record_run(w, ret, at, n + 1, at) ||
        c->final(w->keyed, at + n + 1, &done, WEFT__T13_TAG) != 1 || c->get(w->keyed, tag) != 1)
        return 0;
    return WEFT__T13_HEAD + body;
}

int weft__t13_open(struct weft__t13_way *w, const unsigned char *record, size_t body, unsigned char *ret, size_t *ret_n, int *ret_type)
{
    const struct weft__t13_cipher *c = w->cipher;
    const unsigned char *in = record + WEFT__T13_HEAD;
    unsigned char tag[WEFT__T13_TAG], nonce[WEFT__T13_IV];
    const OSSL_PARAM with[] = {{OSSL_CIPHER_PARAM_AEAD_TAG, OSSL_PARAM_OCTET_STRING, tag, sizeof tag, 0}, OSSL_PARAM_END};
    size_t done;
    if (body < WEFT__T13_TAG + 1)
        return T13_A_BAD_MAC;
    size_t n = body - WEFT__T13_TAG;
    memcpy(tag, in + n, sizeof tag);
    record_nonce(w, nonce);
    if (c->open(w->keyed, NULL, 0, nonce, sizeof nonce, NULL) != 1 || c->set(w->keyed, with) != 1 || !record_run(w, record, in, n, ret) ||
        c->final(w->keyed, ret + n, &done, WEFT__T13_TAG) != 1) {
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
