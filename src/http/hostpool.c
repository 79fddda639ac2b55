/*
 * hostpool.c - the idle connections of a client, by host.
 *
 * Role    Find the host of a URL; lend its newest idle connection; keep what comes back, within three limits: so many
 *         for a host, so many in all, so long.
 * Near    client.c. Layer 5.
 *
 * Invariants, under the client's lock:
 *   P1  a connection is in its host's list and in lru, or in neither; idle_len and host->idle_len count them.
 *   P2  a host is in its bucket  <=>  refs > 0; every connection and every call holds a reference.
 *   P3  lru is in the order in which they came back, which is about that of `since`. One whose response the program kept
 *       for a while may have been idle for longer than those before it: the reaper is late for it, who takes it is not.
 *   P4  reaping  =>  the timer or its function holds a reference of the client, and will look again.
 *
 * Locks   client->lock for list operations only; connections are closed and memory comes and goes outside of it.
 * Limits  Idle longer than a second, or the poller has told of something since: one recv(MSG_PEEK) finds a connection that the
 *         server has closed meanwhile, or on which it said more than it was asked: that would be taken for the next call's answer.
 *         Others are trusted; the retry in client.c covers the rest.
 *         Names of hosts come from links and redirects, so buckets go by a hash with the client's own key (keyhash.h).
 * Not so  A goroutine reading each idle connection, as Go has it: a stack and a poll registration for nothing but to
 *         notice a close earlier.
 */
#include <sys/socket.h>
#include <weft/ctx.h>
#include <weft/select.h>

#include "../base/keyhash.h"
#include "client_int.h"
#include "h2.h"

#include <stdlib.h>
#include <string.h>

#define PEEK_AFTER WEFT_SEC
#define BUCKETS_FIRST 64

#define HC_OF(link, field) ((struct weft__hconn *)((char *)(link) - offsetof(struct weft__hconn, field)))

static void link_in(struct weft__hlink *at, struct weft__hlink *x)   /* behind at */
{
    x->next = at->next;
    x->prev = at;
    at->next->prev = x;
    at->next = x;
}

static void link_out(struct weft__hlink *x)
{
    x->prev->next = x->next;
    x->next->prev = x->prev;
}

/* ---- hosts ---- */

static struct weft__host *host_find(struct weft_http_client *c, uint64_t hash, const char *key, uint32_t len)
{
    if (!c->buckets_len)
        return NULL;
    struct weft__host *h = c->buckets[hash & (c->buckets_len - 1)];
    while (h && (h->hash != hash || h->key_len != len || memcmp(h->key, key, len) != 0))
        h = h->next;
    return h;
}

/* Twice the buckets, when it is time. Takes the lock for the move only. */
static void hosts_grow(struct weft_http_client *c)
{
    weft__lock(&c->lock);
    uint32_t old_len = c->buckets_len, len = old_len ? old_len * 2 : BUCKETS_FIRST;
    bool due = c->hosts_len >= old_len;
    weft__unlock(&c->lock);
    struct weft__host **b = due ? calloc(len, sizeof *b) : NULL;
    if (!b)
        return;
    weft__lock(&c->lock);
    struct weft__host **old = c->buckets;
    if (c->buckets_len != old_len) {   /* somebody else was faster */
        weft__unlock(&c->lock);
        free(b);
        return;
    }
    for (uint32_t i = 0; i < old_len; i++) {
        for (struct weft__host *h = old[i], *next; h; h = next) {
            next = h->next;
            h->next = b[h->hash & (len - 1)];
            b[h->hash & (len - 1)] = h;
        }
    }
    c->buckets = b;
    c->buckets_len = len;
    weft__unlock(&c->lock);
    free(old);
}

static void host_free(struct weft__host *h)
{
    weft_free(h->slots);
    weft_free(h->gate);
    free(h);
}

static struct weft__host *host_new(struct weft_http_client *c, const char *key, uint32_t len, uint64_t hash)
{
    struct weft__host *h = calloc(1, sizeof *h + len);
    if (!h)
        return NULL;
    h->idle.next = h->idle.prev = &h->idle;
    h->hash = hash;
    h->key_len = len;
    memcpy(h->key, key, len);
    if (c->o.conns_per_host_max > 0)
        h->slots = weft_make(char, c->o.conns_per_host_max);
    return h;
}

void weft__hconn_close(struct weft_http_client *c, struct weft__hconn *hc)
{
    (void)weft_conn_close(hc->conn);   /* nothing was under way: its error can change nothing */
    weft__host_put(c, hc->host);
    free(hc);
}

static void idle_out(struct weft_http_client *c, struct weft__hconn *hc)   /* P1, under the lock */
{
    link_out(&hc->in_host);
    link_out(&hc->in_lru);
    hc->host->idle_len--;
    c->idle_len--;
}

/* Has the server closed, or said something unasked? */
static bool hconn_stale(struct weft__hconn *hc, weft_dur idle)
{
    return (idle > PEEK_AFTER || weft__conn_told(hc->conn)) && !weft__conn_silent(hc->conn);
}

/* Fit for a request? One that is not is closed. */
static bool hconn_usable(struct weft_http_client *c, struct weft__hconn *hc, weft_time now)
{
    weft_dur idle = now - hc->since;
    if (idle <= c->o.idle_timeout && !hconn_stale(hc, idle))   /* the reaper may be late */
        return true;
    weft__hconn_close(c, hc);
    return false;
}

struct weft__host *weft__host_get(struct weft_http_client *c, const struct weft__url *url, bool relayed, weft_time now,
                                  struct weft__hconn **ret_idle)
{
    const char *key = relayed ? WEFT__RELAYED : url->text;
    uint32_t len = relayed ? (uint32_t)sizeof WEFT__RELAYED - 1 : (uint32_t)(url->authority + url->authority_len);
    uint64_t hash = weft__keyhash(c->hash_key, key, len);
    struct weft__host *fresh = NULL;
    for (;;) {
        struct weft__hconn *hc = NULL;
        weft__lock(&c->lock);
        struct weft__host *h = host_find(c, hash, key, len);
        if (!h && fresh && c->buckets_len) {
            h = fresh;
            fresh = NULL;
            h->next = c->buckets[hash & (c->buckets_len - 1)];
            c->buckets[hash & (c->buckets_len - 1)] = h;
            c->hosts_len++;
        }
        if (h) {
            h->refs++;
            if (ret_idle && h->idle_len && !h->slots)
                idle_out(c, hc = HC_OF(h->idle.next, in_host));
        }
        weft__unlock(&c->lock);
        if (h || fresh) {          /* fresh left over and no h: the table could not be made */
            if (fresh)
                host_free(fresh);
            if (hc)
                *ret_idle = hconn_usable(c, hc, now) ? hc : weft__pool_take(c, h, now);
            return h;
        }
        hosts_grow(c);
        fresh = host_new(c, key, len, hash);
        if (!fresh)
            return NULL;
    }
}

void weft__host_put(struct weft_http_client *c, struct weft__host *host)
{
    weft__lock(&c->lock);
    bool last = --host->refs == 0;
    if (last) {   /* P2 */
        struct weft__host **at = &c->buckets[host->hash & (c->buckets_len - 1)];
        while (*at != host)
            at = &(*at)->next;
        *at = host->next;
        c->hosts_len--;
    }
    weft__unlock(&c->lock);
    if (last)
        host_free(host);
}

weft_err weft__host_enter(weft_ctx *ctx, weft_chan(char) slots, weft_time until)
{
    if (weft_try_send(slots, 0))
        return 0;
    weft_dur left = until ? until - weft_now() : INT64_MAX / 2;
    switch (weft_select(weft_on_send(slots, 0), weft_on_recv(weft_ctx_done(ctx), NULL), weft_on_timeout(left))) {
    case 0:
        return 0;
    case 1:
        return weft_ctx_err(ctx);
    default:
        return WEFT_EDEADLINE;
    }
}

void weft__host_leave(struct weft__host *host)
{
    if (host->slots)
        (void)weft_try_recv(host->slots, NULL);
}

/* ---- idle connections ---- */

struct weft__hconn *weft__pool_take(struct weft_http_client *c, struct weft__host *host, weft_time now)
{
    for (;;) {
        weft__lock(&c->lock);
        struct weft__hconn *hc = host->idle_len ? HC_OF(host->idle.next, in_host) : NULL;
        if (hc)
            idle_out(c, hc);
        weft__unlock(&c->lock);
        if (!hc)
            return NULL;
        if (hconn_usable(c, hc, now))
            return hc;
    }
}

static void pool_reap(void *arg);

static void pool_arm(struct weft_http_client *c, weft_dur d)
{
    weft_after_func(&c->timer, d, pool_reap, c);
}

/* Runs in its own goroutine: close what has been idle too long, come back for the next (P4). */
static void pool_reap(void *arg)
{
    struct weft_http_client *c = arg;
    weft_time limit = weft_now() - c->o.idle_timeout;
    for (;;) {
        weft__lock(&c->lock);
        struct weft__hconn *hc = c->idle_len ? HC_OF(c->lru.next, in_lru) : NULL;
        if (!hc || hc->since > limit) {
            bool stop = !hc || c->closed;
            weft_dur next = stop ? 0 : hc->since - limit;
            c->reaping = !stop;
            weft__unlock(&c->lock);
            if (stop)
                weft__client_unref(c);
            else
                pool_arm(c, next + WEFT_MS);
            return;
        }
        idle_out(c, hc);
        weft__unlock(&c->lock);
        weft__hconn_close(c, hc);
    }
}

void weft__pool_put(struct weft_http_client *c, struct weft__hconn *hc, bool unref, weft_time since)
{
    struct weft__host *host = hc->host;
    struct weft__hconn *drop = NULL;
    bool arm = false;
    hc->since = since;
    weft__lock(&c->lock);
    host->refs -= unref;   /* hc has its own */
    if (c->closed || (int)host->idle_len >= c->o.idle_per_host_max) {
        drop = hc;
    } else {
        if ((int)c->idle_len >= c->o.idle_max) {
            drop = HC_OF(c->lru.next, in_lru);
            idle_out(c, drop);
        }
        link_in(&host->idle, &hc->in_host);
        link_in(c->lru.prev, &hc->in_lru);   /* P3 */
        host->idle_len++;
        c->idle_len++;
        arm = !c->reaping;
        c->reaping = true;
        if (arm)
            weft__client_ref(c);
    }
    weft__unlock(&c->lock);
    if (drop)
        weft__hconn_close(c, drop);
    if (arm)
        pool_arm(c, c->o.idle_timeout + WEFT_MS);
}

void weft__pool_clear(struct weft_http_client *c)
{
    weft__h2_clear(c);
    for (;;) {
        weft__lock(&c->lock);
        struct weft__hconn *hc = c->idle_len ? HC_OF(c->lru.next, in_lru) : NULL;
        if (hc)
            idle_out(c, hc);
        bool disarm = !hc && c->reaping;
        weft__unlock(&c->lock);
        if (hc) {
            weft__hconn_close(c, hc);
            continue;
        }
        if (disarm && weft_timer_stop(&c->timer)) {   /* else its function runs, and sees to itself */
            weft__lock(&c->lock);
            bool again = c->idle_len > 0 && !c->closed;
            c->reaping = again;
            weft__unlock(&c->lock);
            if (again)
                pool_arm(c, c->o.idle_timeout);
            else
                weft__client_unref(c);
        }
        return;
    }
}
