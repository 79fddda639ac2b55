/*
 * dns_cache.c - weft_resolve: what is known about names, and who waits for an answer.
 *
 * Role    A table of names. A name that is not there gets an entry and one question (dns_ares.c); all who want it
 *         meanwhile wait in the entry's line. Near weft/net.h. Layer 4.
 *
 * Invariants, true whenever cache.lock is free
 *   R1  An entry is in the table, or unlinked and pending. Pending: one question is under way, the line may be non-empty.
 *       Known: the line is empty, and err, count, addrs and expires say what and until when. Pending with a count: addrs has
 *       the addresses of one family, for those who want no more than there is soon; no other of these is in the line.
 *   R2  A waiter is in its entry's line until the answer or its context takes it out, under the lock; who takes it out
 *       has written its result and readies it. A waiter lies in the frame of a parked goroutine.
 *   R3  count of known entries <= max: the one used longest ago goes first. Pending entries are not counted.
 *
 * Locks   cache.lock: leaf, held over one hash chain, one copy of at most 64 addresses, or one line of waiters.
 * Limits  10,000 names by default, 64 addresses a name; TTL, also of "no such name", cut to 1 s .. 1 h; failures not kept.
 * Failure WEFT_ENOMEM. Source RFC 1034, 2308; Go internal/singleflight for the sharing of questions.
 */
#include <string.h>

#include "../../base/keyhash.h"
#include "../../sys/sys.h"
#include "dns.h"

enum { DNS_BUCKETS = 4096, DNS_MAX = 10000 };
#define DNS_TTL_MIN WEFT_SEC
#define DNS_TTL_MAX ((weft_dur)3600 * WEFT_SEC)

struct dns_waiter {
    struct weft__ctx_watch watch;          /* first: the callback gets its address */
    struct dns_waiter *next, *prev;        /* [lock] the entry's line, a ring through entry->line */
    struct weft__g *g;                     /* [lock] once it is about to park: to be readied; NULL: it looks by itself */
    weft_addr *ret;                        /* [const] room for max */
    int max;                               /* [const] */
    int result;                            /* [lock] count or error */
    bool linked, cancelled;                /* [lock] */
    bool soon;                             /* [const] content with one family when the other is late */
    bool partial;                          /* [lock] the result is of one family */
};

struct weft__dns_entry {
    struct weft__dns_question question;    /* first: the answer gets its address */
    struct weft__dns_entry *chain;         /* [lock] */
    struct weft__dns_entry *newer, *older; /* [lock] known entries by last use */
    struct dns_waiter line;                /* [lock] head of the ring; only next and prev are used */
    bool linked, pending;                  /* [lock] */
    weft_err err;                          /* [lock] */
    int count;                             /* [lock] */
    weft_addr *addrs;                      /* [lock] malloc'ed */
    weft_time expires;                     /* [lock] */
    uint32_t hash;                         /* [const] */
    char host[];                           /* [const] lower case */
};

static struct {
    struct weft__lock lock;
    struct weft__dns_entry *bucket[DNS_BUCKETS];
    struct weft__dns_entry *newest, *oldest;
    uint32_t count, max;
} cache;

/* ---- table and order of use: under the lock ---- */

static struct weft__dns_entry *dns_find(uint32_t hash, const char *host)
{
    struct weft__dns_entry *e = cache.bucket[hash % DNS_BUCKETS];
    while (e && (e->hash != hash || strcmp(e->host, host) != 0))
        e = e->chain;
    return e;
}

static void dns_unlink_use(struct weft__dns_entry *e)
{
    *(e->newer ? &e->newer->older : &cache.newest) = e->older;
    *(e->older ? &e->older->newer : &cache.oldest) = e->newer;
    e->newer = e->older = NULL;
    cache.count--;
}

static void dns_link_use(struct weft__dns_entry *e)
{
    e->older = cache.newest;
    e->newer = NULL;
    *(cache.newest ? &cache.newest->newer : &cache.oldest) = e;
    cache.newest = e;
    cache.count++;
}

/* Out of the table; a known entry is then the caller's to free. */
static void dns_unlink(struct weft__dns_entry *e)
{
    struct weft__dns_entry **at = &cache.bucket[e->hash % DNS_BUCKETS];
    while (*at != e)
        at = &(*at)->chain;
    *at = e->chain;
    e->linked = false;
    if (!e->pending)
        dns_unlink_use(e);
}

static void dns_free(struct weft__dns_entry *e)
{
    if (e)
        weft__sys_free(e->addrs);
    weft__sys_free(e);
}

static int dns_copy(const struct weft__dns_entry *e, weft_addr *ret, int max)
{
    int n = e->count < max ? e->count : max;
    if (e->err)
        return e->err;
    memcpy(ret, e->addrs, (size_t)n * sizeof *ret);
    return n;
}

/* ---- the answer ---- */

/* Take everybody out of the line, with the result; or, with soon, those who asked for that. Those that are parked, linked by
 * next; the others look themselves, and their frames may be gone once the lock is. Under the lock. */
static struct dns_waiter *dns_serve(struct weft__dns_entry *e, bool soon)
{
    struct dns_waiter *parked = NULL, **tail = &parked, *next;
    for (struct dns_waiter *w = e->line.next; w != &e->line; w = next) {
        next = w->next;
        if (soon && !w->soon)
            continue;
        w->result = dns_copy(e, w->ret, w->max);
        w->partial = soon;
        w->linked = false;
        w->prev->next = w->next;
        w->next->prev = w->prev;
        if (w->g) {
            *tail = w;
            tail = &w->next;
        }
    }
    *tail = NULL;
    return parked;
}

static void dns_wake(struct dns_waiter *w)
{
    while (w) {
        struct dns_waiter *next = w->next; /* w is gone once its goroutine runs */
        weft__ready(w->g);
        w = next;
    }
}

static weft_addr *dns_addrs(const weft_addr *addrs, int count)
{
    weft_addr *copy = weft__sys_alloc((size_t)count * sizeof *addrs);
    return copy ? memcpy(copy, addrs, (size_t)count * sizeof *addrs) : NULL;
}

void weft__dns_soon(struct weft__dns_question *q, const weft_addr *addrs, int count)
{
    struct weft__dns_entry *e = (struct weft__dns_entry *)q;
    weft_addr *copy = dns_addrs(addrs, count);
    if (!copy)
        return;   /* then they wait for all */
    weft__lock(&cache.lock);
    e->addrs = copy;
    e->count = count;
    struct dns_waiter *w = dns_serve(e, true);
    weft__unlock(&cache.lock);
    dns_wake(w);
}

void weft__dns_answer(struct weft__dns_question *q, weft_err err, const weft_addr *addrs, int count, weft_dur ttl)
{
    struct weft__dns_entry *e = (struct weft__dns_entry *)q;
    weft_addr *copy = err ? NULL : dns_addrs(addrs, count);
    struct weft__dns_entry *gone = NULL;
    if (!copy && !err)
        err = WEFT_ENOMEM;
    ttl = ttl < DNS_TTL_MIN ? DNS_TTL_MIN : ttl > DNS_TTL_MAX ? DNS_TTL_MAX : ttl;
    weft_time expires = weft__now() + ttl;

    weft__lock(&cache.lock);
    weft_addr *early = e->addrs;
    e->err = err;
    e->addrs = copy;
    e->count = err ? 0 : count;
    e->expires = expires;
    struct dns_waiter *w = dns_serve(e, false);
    if (e->linked && (err == 0 || err == WEFT_ENOHOST)) {
        e->pending = false;
        dns_link_use(e);
        if (cache.count > (cache.max ? cache.max : DNS_MAX)) /* R3 */
            dns_unlink(gone = cache.oldest);
    } else {
        if (e->linked)
            dns_unlink(e);
        gone = e;
    }
    weft__unlock(&cache.lock);
    dns_wake(w);
    weft__sys_free(early);
    dns_free(gone);
}

/* ---- waiting ---- */

static void dns_watch_fire(struct weft__ctx_watch *watch)
{
    struct dns_waiter *w = (struct dns_waiter *)watch;
    weft__lock(&cache.lock);
    struct weft__g *g = w->linked ? w->g : NULL;
    w->cancelled = true;
    if (w->linked) {
        w->prev->next = w->next;
        w->next->prev = w->prev;
        w->linked = false;
        w->result = WEFT_ECANCELED;
    }
    weft__unlock(&cache.lock);
    if (g)
        weft__ready(g);
}

/* What a look at the table asks of the caller; other values are the result. */
enum { DNS_PARK = -1000000, DNS_MAKE = -1000001, DNS_ASK = -1000002 };

static void dns_line_up(struct weft__dns_entry *e, struct dns_waiter *w)
{
    w->next = &e->line;
    w->prev = e->line.prev;
    e->line.prev->next = w;
    e->line.prev = w;
    w->linked = true;
}

/* Look the name up, else get in line. DNS_MAKE: come again with a fresh entry. DNS_ASK: the fresh entry was put in.
 * DNS_PARK: the waiter is published. *ret_gone: to be freed. Under the lock. */
static int dns_look(struct dns_waiter *w, uint32_t hash, const char *host, struct weft__dns_entry *fresh,
                    struct weft__dns_entry **ret_gone)
{
    struct weft__dns_entry *e = dns_find(hash, host);
    if (e && !e->pending) {
        if (weft__now() < e->expires) {
            dns_unlink_use(e);
            dns_link_use(e);
            return dns_copy(e, w->ret, w->max);
        }
        dns_unlink(*ret_gone = e);
        e = NULL;
    }
    if (w->cancelled)
        return WEFT_ECANCELED;
    if (e && e->count && w->soon) {
        w->partial = true;
        return dns_copy(e, w->ret, w->max);
    }
    if (e) {
        w->g = weft__g();
        dns_line_up(e, w);
        return DNS_PARK;
    }
    if (!fresh)
        return DNS_MAKE;
    fresh->chain = cache.bucket[hash % DNS_BUCKETS];
    cache.bucket[hash % DNS_BUCKETS] = fresh;
    fresh->linked = true;
    dns_line_up(fresh, w);
    return DNS_ASK;
}

static struct weft__dns_entry *dns_entry_new(uint32_t hash, const char *host)
{
    size_t n = strlen(host) + 1;
    struct weft__dns_entry *e = weft__sys_alloc(sizeof *e + n);
    if (!e)
        return NULL;
    e->hash = hash;
    e->pending = true;
    e->line.next = e->line.prev = &e->line;
    memcpy(e->host, host, n);
    e->question.host = e->host;
    return e;
}

static WEFT_PARKS int dns_get(struct dns_waiter *w, uint32_t hash, const char *host)
{
    struct weft__dns_entry *fresh = NULL, *gone = NULL;
    weft__lock(&cache.lock);
    int r = dns_look(w, hash, host, NULL, &gone);
    weft__unlock(&cache.lock);
    dns_free(gone);
    if (r == DNS_MAKE) {
        if (!(fresh = dns_entry_new(hash, host)))
            return WEFT_ENOMEM;
        gone = NULL;
        weft__lock(&cache.lock);
        r = dns_look(w, hash, host, fresh, &gone);
        weft__unlock(&cache.lock);
        dns_free(gone);
        if (r != DNS_ASK)
            dns_free(fresh);
    }
    if (r == DNS_ASK) {
        weft__dns_ask(&fresh->question);
        weft__lock(&cache.lock);
        r = w->linked ? DNS_PARK : w->result;
        w->g = weft__g(); /* published, if still in line */
        weft__unlock(&cache.lock);
    }
    if (r != DNS_PARK)
        return r;
    weft__park(WEFT__WAIT_IO);
    return w->result;
}

/* The process's, drawn by who needs it first: names come from pages, and a bucket is walked under the lock. */
static uint64_t dns_key(void)
{
    static _Atomic uint64_t key;
    uint64_t k = atomic_load_explicit(&key, memory_order_relaxed), fresh;
    if (k)
        return k;
    fresh = weft__keyhash_key(weft__sys_entropy()) | 1;
    return atomic_compare_exchange_strong_explicit(&key, &k, fresh, memory_order_relaxed, memory_order_relaxed) ? fresh : k;
}

/* The name in lower case, and its hash. 0 or WEFT_EADDR. */
static weft_err dns_fold(const char *host, char *ret, size_t n, uint32_t *ret_hash)
{
    size_t i;
    for (i = 0; host[i] != '\0' && i < n - 1; i++)
        ret[i] = host[i] >= 'A' && host[i] <= 'Z' ? (char)(host[i] + 32) : host[i]; /* ASCII, whatever the locale */
    ret[i] = '\0';
    *ret_hash = (uint32_t)weft__keyhash(dns_key(), ret, i);
    return i == 0 || host[i] != '\0' ? WEFT_EADDR : 0;
}

int weft__resolve(weft_ctx *ctx, const char *host, weft_addr *ret, int max, bool *ret_partial)
{
    char name[256];
    uint32_t hash;
    if (!host || max < 1)
        return WEFT_EINVAL;
    weft_err err = ctx ? weft_ctx_err(ctx) : 0;
    if (err)
        return err;
    if (weft__addr_literal(host, &ret[0]))
        return 1;
    if ((err = dns_fold(host, name, sizeof name, &hash)) != 0)
        return err;
    struct dns_waiter w = {.ret = ret, .max = max < WEFT__DNS_ADDRS ? max : WEFT__DNS_ADDRS, .soon = ret_partial != NULL};
    if (ctx && !weft__ctx_watch_add(ctx, &w.watch, dns_watch_fire) && (err = weft_ctx_err(ctx)) != 0)
        return err;
    int r = dns_get(&w, hash, name);
    weft__ctx_watch_del(&w.watch);
    if (ret_partial)
        *ret_partial = w.partial;
    return r == WEFT_ECANCELED ? weft_ctx_err(ctx) : r;
}

int weft_resolve(weft_ctx *ctx, const char *host, weft_addr *ret, int max)
{
    return weft__resolve(ctx, host, ret, max, NULL);
}

void weft__dns_forget(uint32_t max)
{
    for (int b = 0; b < DNS_BUCKETS; b++) {
        for (;;) {
            weft__lock(&cache.lock);
            struct weft__dns_entry *e = cache.bucket[b];
            bool known = e && !e->pending;
            if (e)
                dns_unlink(e);
            weft__unlock(&cache.lock);
            if (!e)
                break;
            if (known)
                dns_free(e); /* a pending one is freed by its answer */
        }
    }
    weft__lock(&cache.lock);
    cache.max = max;
    weft__unlock(&cache.lock);
}
