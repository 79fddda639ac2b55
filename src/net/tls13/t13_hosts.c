/*
 * t13_hosts.c - what is known of servers: a ticket, a certificate that was found good, that OpenSSL is to talk to them.
 *
 * Role    One table for each SSL_CTX of clients, by "name:port". Near tls_session.c and tls_seen.c, which are the same for
 *         OpenSSL's own handshakes. Layer 4.
 *
 * Invariants
 *   T3  (tls_session.c) A ticket is offered only under the SSL_CTX and the name that it came under, and while its server's
 *       certificate is inside its dates.
 *   T9  (tls_seen.c) A certificate stands for: under this SSL_CTX's authorities and for this name, exactly this Certificate
 *       message was found good less than ten minutes ago.
 *   T22 What is given out has a reference of its own; what an entry had is freed outside of the lock.
 *
 * Locks   hosts->lock: a spinlock over four slots.
 * Limits  2,048 servers, 4 slots a set: a fifth key of a set displaces one. Tickets of 4 KiB and less (t13_data.c).
 * Source  RFC 8446 4.6.1, C.4.
 */
#include <openssl/crypto.h>
#include <openssl/x509.h>
#include <string.h>

#include "../../sys/sys.h"
#include "t13.h"

enum { HOST_SETS = 512, HOST_WAYS = 4 };

struct t13_host {
    char *key;                          /* [lock] malloc'ed; NULL: a free slot */
    struct weft__t13_ticket *ticket;    /* [lock] with a reference */
    struct weft__t13_cert cert;         /* [lock] likewise */
    weft_time refused;                  /* [lock] until then */
};
struct weft__t13_hosts {
    struct weft__lock lock;
    uint32_t turn;                      /* [lock] which way is displaced next */
    struct t13_host slot[HOST_SETS][HOST_WAYS];
};

void weft__t13_ticket_unref(struct weft__t13_ticket *t)
{
    if (!t || atomic_fetch_sub_explicit(&t->refs, 1, memory_order_acq_rel) != 1) /* T22: uses before -> the free */
        return;
    X509_free(t->cert);
    OPENSSL_cleanse(t->psk, sizeof t->psk);
    weft__sys_free(t);
}

static void cert_free(struct weft__t13_cert *c)
{
    X509_free(c->cert);
    EVP_PKEY_free(c->key);
}

static void host_free(struct t13_host *h)
{
    weft__t13_ticket_unref(h->ticket);
    cert_free(&h->cert);
    weft__sys_free(h->key);
}

struct weft__t13_hosts *weft__t13_hosts_new(void)
{
    return weft__sys_alloc(sizeof(struct weft__t13_hosts));
}

void weft__t13_hosts_free(struct weft__t13_hosts *h)
{
    for (int i = 0; h && i < HOST_SETS * HOST_WAYS; i++)
        host_free(&h->slot[i / HOST_WAYS][i % HOST_WAYS]);
    weft__sys_free(h);
}

static struct t13_host *host_set(struct weft__t13_hosts *h, const char *key)
{
    uint32_t x = 2166136261u;
    for (; *key; key++)
        x = (x ^ (unsigned char)*key) * 16777619u;
    return h->slot[x % HOST_SETS];
}

/* The slot of a key; NULL: it has none. Under the lock. */
static struct t13_host *host_find(struct t13_host *set, const char *key)
{
    for (int i = 0; i < HOST_WAYS; i++)
        if (set[i].key && strcmp(set[i].key, key) == 0)
            return &set[i];
    return NULL;
}

/* The slot of a key, made if there is none: *copy then is its key and *ret_old what it displaces. Under the lock. */
static struct t13_host *host_have(struct weft__t13_hosts *h, struct t13_host *set, char **copy, struct t13_host *ret_old)
{
    struct t13_host *at = host_find(set, *copy);
    for (int i = 0; i < HOST_WAYS && !at; i++)
        if (!set[i].key)
            at = &set[i];
    if (!at)
        at = &set[h->turn++ % HOST_WAYS];
    if (at->key && strcmp(at->key, *copy) == 0)
        return at;
    *ret_old = *at;
    *at = (struct t13_host){.key = *copy};
    *copy = NULL;
    return at;
}

/* ---- tickets ---- */

struct weft__t13_ticket *weft__t13_ticket_get(struct weft__t13_hosts *h, const char *key, bool insecure)
{
    struct t13_host *set = host_set(h, key);
    weft__lock(&h->lock);
    struct t13_host *at = host_find(set, key);
    struct weft__t13_ticket *t = at ? at->ticket : NULL;
    if (t)
        atomic_fetch_add_explicit(&t->refs, 1, memory_order_relaxed);
    weft__unlock(&h->lock);
    if (!t)
        return NULL;
    time_t today = weft__tls_today();
    weft_time now = weft_now();
    if (now >= t->came && now < t->until && (insecure || (t->verified && today >= t->dates.from && today < t->dates.to)))
        return t;
    weft__t13_ticket_unref(t);
    return NULL;
}

void weft__t13_ticket_put(struct weft__t13_hosts *h, const char *key, struct weft__t13_ticket *t)
{
    struct t13_host *set = host_set(h, key), old = {0};
    char *copy = strdup(key);
    if (copy) {
        weft__lock(&h->lock);
        struct t13_host *at = host_have(h, set, &copy, &old);
        struct weft__t13_ticket *before = at->ticket;
        at->ticket = t;
        t = before;
        weft__unlock(&h->lock);
    }
    weft__t13_ticket_unref(t);
    weft__sys_free(copy);
    host_free(&old);
}

/* ---- certificates ---- */

bool weft__t13_cert_get(struct weft__t13_hosts *h, const char *key, const unsigned char *digest, struct weft__t13_cert *ret)
{
    struct t13_host *set = host_set(h, key);
    weft_time now = weft_now();
    time_t today = weft__tls_today();
    weft__lock(&h->lock);
    struct t13_host *at = host_find(set, key);
    struct weft__t13_cert *c = at ? &at->cert : NULL;
    bool is = c && c->until > now && today >= c->dates.from && today < c->dates.to && memcmp(c->digest, digest, sizeof c->digest) == 0;
    if (is) {
        *ret = *c;
        (void)X509_up_ref(c->cert);   /* a count that goes up: it does not fail */
        (void)EVP_PKEY_up_ref(c->key);
    }
    weft__unlock(&h->lock);
    return is;
}

void weft__t13_cert_put(struct weft__t13_hosts *h, const char *key, const struct weft__t13_cert *c)
{
    struct t13_host *set = host_set(h, key), old = {0};
    struct weft__t13_cert fresh = *c;
    char *copy = strdup(key);
    if (!copy)
        return;
    (void)X509_up_ref(fresh.cert);
    (void)EVP_PKEY_up_ref(fresh.key);
    weft__lock(&h->lock);
    struct t13_host *at = host_have(h, set, &copy, &old);
    struct weft__t13_cert before = at->cert;
    at->cert = fresh;
    weft__unlock(&h->lock);
    cert_free(&before);
    weft__sys_free(copy);
    host_free(&old);
}

/* ---- servers for OpenSSL ---- */

void weft__t13_refuse(struct weft__t13_hosts *h, const char *key)
{
    struct t13_host *set = host_set(h, key), old = {0};
    char *copy = strdup(key);
    if (!copy)
        return;
    weft_time until = weft_now() + WEFT__TLS_SEEN;
    weft__lock(&h->lock);
    struct t13_host *at = host_have(h, set, &copy, &old);
    struct weft__t13_ticket *ticket = at->ticket;
    at->ticket = NULL;
    at->refused = until;
    weft__unlock(&h->lock);
    weft__t13_ticket_unref(ticket);
    weft__sys_free(copy);
    host_free(&old);
}

bool weft__t13_refused(struct weft__t13_hosts *h, const char *key)
{
    struct t13_host *set = host_set(h, key);
    weft_time now = weft_now();
    weft__lock(&h->lock);
    struct t13_host *at = host_find(set, key);
    bool is = at && at->refused > now;
    weft__unlock(&h->lock);
    return is;
}
