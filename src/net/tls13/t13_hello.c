/*
 * t13_hello.c - the ClientHello, and the server's answers that agree on keys and extensions.
 *
 * Role    Messages only: t13_shake.c says when which may come. Layer 4.
 *
 * What is offered: TLS 1.3 alone, X25519's share, the suites, groups and signatures that OpenSSL would offer (t13_lists.c), the
 * name, ALPN, and a ticket where there is one (with a share: psk_dhe_ke). An answer with anything that was not offered is not
 * for this client.
 *
 * Failure false: the connection is OpenSSL's.
 * Source  RFC 8446 4.1.2, 4.1.3, 4.2, 4.2.11, 4.3.1, D.4; RFC 6066 3, 7301 3.
 */
#include <openssl/crypto.h>
#include <openssl/rand.h>
#include <string.h>

#include "t13.h"

enum { EXT_NAME = 0, EXT_GROUPS = 10, EXT_SIGS = 13, EXT_ALPN = 16, EXT_PSK = 41, EXT_VERSIONS = 43, EXT_PSK_MODES = 45, EXT_SHARE = 51,
       GROUP_X25519 = 0x1d };

/* ---- writing ---- */

static unsigned char *put_int(unsigned char *at, size_t v, int bytes)
{
    for (int i = bytes - 1; i >= 0; i--)
        *at++ = (unsigned char)(v >> 8 * i);
    return at;
}

static unsigned char *put_bytes(unsigned char *at, const void *from, size_t n)
{
    return n ? (unsigned char *)mempcpy(at, from, n) : at;
}

/* An extension whose content is there. */
static unsigned char *put_ext(unsigned char *at, int type, const void *from, size_t n)
{
    return put_bytes(put_int(put_int(at, (size_t)type, 2), n, 2), from, n);
}

static unsigned char *put_name(unsigned char *at, const char *name)
{
    size_t n = strlen(name);
    at = put_int(put_int(at, EXT_NAME, 2), n + 5, 2);
    return put_bytes(put_int(put_int(put_int(at, n + 3, 2), 0, 1), n, 2), name, n);
}

static unsigned char *put_share(unsigned char *at, const unsigned char *share)
{
    at = put_int(put_int(at, EXT_SHARE, 2), 2 + 4 + WEFT__T13_SHARE, 2);
    at = put_int(put_int(put_int(at, 4 + WEFT__T13_SHARE, 2), GROUP_X25519, 2), WEFT__T13_SHARE, 2);
    return put_bytes(at, share, WEFT__T13_SHARE);
}

/* The ticket, and where its binder will stand, which is what is last. */
static unsigned char *put_ticket(unsigned char *at, const struct weft__t13_ticket *t)
{
    size_t hash = weft__t13_hash_len(t->suite->big), id = 2 + t->n + 4;
    uint32_t age = (uint32_t)((weft_now() - t->came) / WEFT_MS) + t->age_add;
    at = put_int(put_int(at, EXT_PSK, 2), 2 + id + 2 + 1 + hash, 2);
    at = put_bytes(put_int(put_int(at, id, 2), t->n, 2), t->bytes, t->n);
    at = put_int(put_int(put_int(at, age, 4), 1 + hash, 2), hash, 1);
    memset(at, 0, hash);
    return at + hash;
}

/* RFC 8446 4.2.11.2: that we have the ticket's key, over the hello before the binders. */
static void hello_bind(struct weft__t13 *t, unsigned char *hello, size_t n)
{
    const struct weft__t13_ticket *k = t->shake->ticket;
    bool big = k->suite->big;
    size_t hash = weft__t13_hash_len(big);
    unsigned char early[WEFT__T13_HASH_MAX], by[WEFT__T13_HASH_MAX], sum[WEFT__T13_HASH_MAX];
    struct weft__t13_hash h;
    weft__t13_hash_begin(&h, big);
    weft__t13_hash_now(&h, sum);
    weft__t13_next(big, NULL, k->psk, hash, early);
    weft__t13_derive(big, early, "res binder", sum, hash, by, hash);
    weft__t13_hash_add(&h, hello, n - hash - 3);
    weft__t13_hash_now(&h, sum);
    weft__t13_finished(big, by, sum, hello + n - hash);
    OPENSSL_cleanse(early, sizeof early);
    OPENSSL_cleanse(by, sizeof by);
}

bool weft__t13_hello(struct weft__t13 *t)
{
    static const unsigned char versions[] = {2, 3, 4}, modes[] = {1, 1};
    const struct weft__t13_shared *s = t->shared;
    struct weft__t13_shake *k = t->shake;
    size_t most = 400 + WEFT__T13_NAME_MAX + s->groups_len + s->sigs_len + t->extra->alpn_len + (k->ticket ? k->ticket->n : 0);
    if (!weft__t13_room(&k->hello, most) || RAND_bytes(k->random, sizeof k->random) != 1 ||
        RAND_bytes(k->session, sizeof k->session) != 1 || !weft__t13_pair(k->mine, k->share))
        return false;
    unsigned char *begin = k->hello.at, *at = put_int(put_int(begin, T13_HELLO, 1), 0, 3), *all;
    at = put_bytes(put_int(at, WEFT_TLS_1_2, 2), k->random, sizeof k->random);
    at = put_bytes(put_int(at, sizeof k->session, 1), k->session, sizeof k->session);   /* D.4: as if one were resumed */
    at = put_int(at, 2u * s->order_len, 2);
    for (int i = 0; i < s->order_len; i++)
        at = put_int(at, weft__t13_suites[s->order[i]].id, 2);
    all = at = put_int(at, 0x0100, 2);
    at += 2;
    if (t->name)
        at = put_name(at, t->name);
    at = put_ext(at, EXT_GROUPS, s->groups, s->groups_len);
    at = put_ext(at, EXT_SIGS, s->sigs, s->sigs_len);
    if (t->extra->alpn_len) {
        at = put_int(put_int(put_int(at, EXT_ALPN, 2), t->extra->alpn_len + 2, 2), t->extra->alpn_len, 2);
        at = put_bytes(at, t->extra->alpn, t->extra->alpn_len);
    }
    at = put_ext(at, EXT_VERSIONS, versions, sizeof versions);
    at = put_ext(at, EXT_PSK_MODES, modes, sizeof modes);
    at = put_share(at, k->share);
    if (k->ticket)
        at = put_ticket(at, k->ticket);
    (void)put_int(all, (size_t)(at - all) - 2, 2);
    (void)put_int(begin + 1, (size_t)(at - begin) - 4, 3);
    k->hello.to = (size_t)(at - begin);
    if (k->ticket)
        hello_bind(t, begin, k->hello.to);
    return true;
}

/* ---- the server's answers ---- */

/* Is this the first of its type? Types above 63 are none of ours. */
static bool ext_first(uint64_t *seen, uint32_t type)
{
    uint64_t bit = type < 64 ? (uint64_t)1 << type : 0;
    bool first = bit && !(*seen & bit);
    *seen |= bit;
    return first;
}

static bool hello_suite(struct weft__t13 *t, uint32_t id)
{
    const struct weft__t13_shared *s = t->shared;
    for (int i = 0; i < s->order_len; i++)
        if (weft__t13_suites[s->order[i]].id == id)
            t->suite = &weft__t13_suites[s->order[i]];
    return t->suite != NULL;
}

/* RFC 8446 4.1.3: the random of a HelloRetryRequest. */
static const unsigned char hello_retry[WEFT__T13_RANDOM] = {0xcf, 0x21, 0xad, 0x74, 0xe5, 0x9a, 0x61, 0x11, 0xbe, 0x1d, 0x8c,
                                                            0x02, 0x1e, 0x65, 0xb8, 0x91, 0xc2, 0xa2, 0x11, 0x16, 0x7a, 0xbb,
                                                            0x8c, 0x5e, 0x07, 0x9e, 0x09, 0xe2, 0xc8, 0xa8, 0x33, 0x9c};

bool weft__t13_server_hello(struct weft__t13 *t, struct weft__t13_in in, unsigned char *ret_shared)
{
    struct weft__t13_shake *k = t->shake;
    uint64_t seen = 0;
    bool version = false, resumed = false, ok;
    struct weft__t13_in share = {0};
    ok = weft__t13_int(&in, 2) == WEFT_TLS_1_2;
    struct weft__t13_in random = weft__t13_cut(&in, WEFT__T13_RANDOM), session = weft__t13_list(&in, 1);
    ok = ok && !in.bad && memcmp(random.at, hello_retry, sizeof hello_retry) != 0;
    ok = ok && session.n == sizeof k->session && memcmp(session.at, k->session, session.n) == 0;
    ok = ok && hello_suite(t, weft__t13_int(&in, 2)) && weft__t13_int(&in, 1) == 0;
    for (struct weft__t13_in all = weft__t13_list(&in, 2); ok && all.n;) {
        uint32_t type = weft__t13_int(&all, 2);
        struct weft__t13_in e = weft__t13_list(&all, 2);
        ok = ext_first(&seen, type);
        if (type == EXT_VERSIONS) {
            version = weft__t13_int(&e, 2) == WEFT_TLS_1_3;
        } else if (type == EXT_SHARE) {
            ok = ok && weft__t13_int(&e, 2) == GROUP_X25519;
            share = weft__t13_list(&e, 2);
        } else if (type == EXT_PSK && k->ticket) {
            resumed = weft__t13_int(&e, 2) == 0;
            ok = ok && resumed && k->ticket->suite->big == t->suite->big;
        } else {
            ok = false;
        }
        ok = ok && !all.bad && !e.bad && e.n == 0;
    }
    if (!ok || in.bad || in.n || !version || share.n != WEFT__T13_SHARE)
        return false;
    if (!resumed) {
        weft__t13_ticket_unref(k->ticket);
        k->ticket = NULL;
    }
    return weft__t13_agree(k->mine, k->share, share.at, ret_shared);
}

/* The protocol that was chosen: one, of ours. */
static bool encrypted_alpn(struct weft__t13 *t, struct weft__t13_in e)
{
    struct weft__t13_in list = weft__t13_list(&e, 2), one = weft__t13_list(&list, 1);
    if (one.bad || one.n == 0 || one.n >= sizeof t->alpn || list.n || e.n)
        return false;
    for (unsigned i = 0; i < t->extra->alpn_len; i += 1u + t->extra->alpn[i])
        if (t->extra->alpn[i] == one.n && memcmp(t->extra->alpn + i + 1, one.at, one.n) == 0) {
            memcpy(t->alpn, one.at, one.n);
            return true;
        }
    return false;
}

bool weft__t13_encrypted(struct weft__t13 *t, struct weft__t13_in in)
{
    uint64_t seen = 0;
    bool ok = true;
    for (struct weft__t13_in all = weft__t13_list(&in, 2); ok && all.n;) {
        uint32_t type = weft__t13_int(&all, 2);
        struct weft__t13_in e = weft__t13_list(&all, 2);
        ok = ext_first(&seen, type) && !all.bad;
        if (type == EXT_NAME)
            ok = ok && t->name && e.n == 0;
        else if (type == EXT_ALPN)
            ok = ok && encrypted_alpn(t, e);
        else
            ok = ok && type == EXT_GROUPS;   /* what it would rather have: for a next time */
    }
    return ok && !in.bad && in.n == 0;
}
