/*
 * tls_ticket.c - the keys under which a server's session tickets are sealed, and their rotation.
 *
 * Role    A server keeps nothing for a session: the client brings it back as a ticket. The newest key seals; a ticket under
 *         one of the older keys is still opened, and a new one is given with it. Near tls_shared.c, which hands the keys on
 *         when certificate files have changed. Layer 4.
 *
 * Invariant
 *   T7  key[0 .. count) are in order of age, the newest first; count > 0.
 *
 * Locks   lock: a spinlock over copies of a key.
 * Limits  A key seals for a day and opens for seven, as in Go. Each process has keys of its own.
 * Failure No random bytes, or a ticket that is not ours: the handshake goes on in full.
 * Source  SSL_CTX_set_tlsext_ticket_key_evp_cb(3); RFC 5077 4; Go crypto/tls Config.ticketKeys.
 */
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <string.h>
#include <weft/time.h>

#include "../../sys/sys.h"
#include "tls_int.h"

enum { TICKET_KEYS = 7 };
#define TICKET_TURN (24 * 3600 * WEFT_SEC)

struct ticket_key {
    unsigned char name[16], aes[32], mac[32];
};
struct weft__tls_tickets {
    _Atomic uint32_t refs;              /* [T8] */
    struct weft__lock lock;
    int count;                          /* [lock] */
    weft_time made;                     /* [lock] when key[0] was */
    struct ticket_key key[TICKET_KEYS]; /* [lock] */
};

struct weft__tls_tickets *weft__tls_tickets_new(void)
{
    struct weft__tls_tickets *t = weft__sys_alloc(sizeof *t);
    if (!t)
        return NULL;
    atomic_store_explicit(&t->refs, 1, memory_order_relaxed);
    t->count = 1;
    t->made = weft_now();
    if (RAND_priv_bytes((unsigned char *)&t->key[0], sizeof t->key[0]) == 1)
        return t;
    weft__sys_free(t);
    return NULL;
}

struct weft__tls_tickets *weft__tls_tickets_ref(struct weft__tls_tickets *t)
{
    atomic_fetch_add_explicit(&t->refs, 1, memory_order_relaxed);
    return t;
}

/* T8  refs: release on each drop -> acquire by the last, which frees. */
void weft__tls_tickets_unref(struct weft__tls_tickets *t)
{
    if (!t || atomic_fetch_sub_explicit(&t->refs, 1, memory_order_acq_rel) != 1) /* T8 */
        return;
    OPENSSL_cleanse(t->key, sizeof t->key);
    weft__sys_free(t);
}

static void ticket_add(struct weft__tls_tickets *t, const struct ticket_key *k)
{
    memmove(t->key + 1, t->key, sizeof t->key - sizeof t->key[0]);
    t->key[0] = *k;
    t->made = weft_now();
    if (t->count < TICKET_KEYS)
        t->count++;
}

void weft__tls_tickets_turn(struct weft__tls_tickets *t)
{
    struct ticket_key fresh;
    if (RAND_priv_bytes((unsigned char *)&fresh, sizeof fresh) != 1)
        return;
    weft__lock(&t->lock);
    ticket_add(t, &fresh);
    weft__unlock(&t->lock);
    OPENSSL_cleanse(&fresh, sizeof fresh);
}

/* The key to seal with; a new one when its day is over. */
static void ticket_newest(struct weft__tls_tickets *t, struct ticket_key *ret)
{
    weft__lock(&t->lock);
    bool old = weft_now() - t->made >= TICKET_TURN;
    if (old)
        t->made += TICKET_TURN / 24; /* this one turns; the others seal on meanwhile, and it tries again should it fail */
    weft__unlock(&t->lock);
    if (old)
        weft__tls_tickets_turn(t);
    weft__lock(&t->lock);
    *ret = t->key[0];
    weft__unlock(&t->lock);
}

/* The key of a ticket: its age, 0 the newest; < 0: none of ours. */
static int ticket_find(struct weft__tls_tickets *t, const unsigned char *name, struct ticket_key *ret)
{
    int found = -1;
    weft__lock(&t->lock);
    for (int i = 0; i < t->count && found < 0; i++)
        if (memcmp(t->key[i].name, name, sizeof t->key[i].name) == 0)
            found = i;
    if (found >= 0)
        *ret = t->key[found];
    weft__unlock(&t->lock);
    return found;
}

/* 1: use it; 2: use it and give a new ticket; 0: go on without; < 0: failure. */
static int ticket_cb(SSL *ssl, unsigned char *name, unsigned char *iv, EVP_CIPHER_CTX *cipher, EVP_MAC_CTX *mac, int seal)
{
    struct weft__tls_tickets *t = weft__tls_extra_of(SSL_get_SSL_CTX(ssl))->tickets;
    struct ticket_key k;
    int age = 0, ok;
    if (seal) {
        ticket_newest(t, &k);
        memcpy(name, k.name, sizeof k.name);
        ok = RAND_bytes(iv, EVP_MAX_IV_LENGTH) == 1 && EVP_EncryptInit_ex(cipher, EVP_aes_256_cbc(), NULL, k.aes, iv) == 1;
    } else {
        age = ticket_find(t, name, &k);
        if (age < 0)
            return 0;
        ok = EVP_DecryptInit_ex(cipher, EVP_aes_256_cbc(), NULL, k.aes, iv) == 1;
    }
    char digest[] = "SHA256";
    OSSL_PARAM with[] = {OSSL_PARAM_construct_octet_string(OSSL_MAC_PARAM_KEY, k.mac, sizeof k.mac),
                         OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0), OSSL_PARAM_construct_end()};
    ok = ok && EVP_MAC_CTX_set_params(mac, with) == 1;
    OPENSSL_cleanse(&k, sizeof k);
    return !ok ? -1 : age > 0 || (!seal && SSL_version(ssl) >= WEFT_TLS_1_3) ? 2 : 1; /* there a ticket is for one use */
}

void weft__tls_tickets_use(SSL_CTX *ctx)
{
    SSL_CTX_set_tlsext_ticket_key_evp_cb(ctx, ticket_cb);
    SSL_CTX_set_num_tickets(ctx, 1);
}
