/*
 * frontier.c - the frontier in memory: a line of URLs per site, a heap of hosts by the time they may be asked.
 *
 * Role    Decides what is fetched next. Politeness is here: robots.txt first, so many fetches of a host at a time, the
 *         pause between two. A site (scheme, host, port) has its robots.txt and its line; a host has the pause: its
 *         sites are those with http and https, with and without "www.".
 * Near    conductor.c (the one goroutine that calls this), seen.c, robots/robots.c.
 * Invariants
 *   F1  a host is in the heap exactly if host_ready(): a site of it has something to hand out, and a slot is free.
 *   F2  in_flight counts the visits with v->slot that are out; in_flight <= limit when one is handed out.
 *   F3  no page of a site is handed out before its rules are there.
 *   F4  the heap's order is (next_at, turn): with no pause, hosts take turns; and so do the sites of a host.
 *   F5  with pages_left == 0 no visit waits that was never fetched.
 * Locks   none: one owner.
 * Limits  SITE_QUEUE_MAX URLs a site, 88 bytes and the URL each; a site and its host are some 250 bytes and the rules.
 * Failure memory: the program ends (mem.h).
 */
#include "frontier.h"
#include "../base/mem.h"
#include "../base/text.h"
#include "../robots/robots.h"
#define XXH_INLINE_ALL
#include <xxhash.h>

enum { RULES_UNKNOWN, RULES_ASKED, RULES_KNOWN };
#define NOT_IN_HEAP SIZE_MAX

struct host {
    struct host *next;        /* all of them, to be freed */
    struct site *sites;       /* linked by sibling, one to four */
    uint64_t turn;            /* when it was last handed out, as a count */
    int64_t delay, next_at;
    size_t heap_at;
    int in_flight, limit;
};

struct site {
    struct site *next;        /* in its bucket */
    struct site *sibling;     /* of the same host */
    struct host *host;
    struct visit *head, *tail;
    struct robots *rules;
    uint64_t hash;
    uint64_t turn;            /* as a host's */
    uint32_t queued, name_len;
    uint8_t state;            /* RULES_* */
    uint8_t rules_tries;      /* times that its robots.txt was put off */
    char name[];              /* "http://h:8080" */
};

struct frontier {
    struct frontier_opts opts;
    struct seen seen;
    uint64_t key;             /* of the sites' hash: no list of hosts off the net fills one bucket */
    struct site **buckets;
    size_t buckets_len, sites_len;
    struct host *hosts;
    struct host **heap;
    size_t heap_len, heap_cap;
    uint64_t turn, pages_left, queued, denied, unreachable, dropped;
    bool limited;
};

/* ---- heap ---- */

static bool host_before(const struct host *a, const struct host *b)
{
    return a->next_at != b->next_at ? a->next_at < b->next_at : a->turn < b->turn;             /* F4 */
}

static void heap_set(struct frontier *f, size_t i, struct host *h)
{
    f->heap[i] = h;
    h->heap_at = i;
}

static void heap_up(struct frontier *f, size_t i)
{
    struct host *h = f->heap[i];
    for (size_t up; i > 0 && host_before(h, f->heap[up = (i - 1) / 2]); i = up)
        heap_set(f, i, f->heap[up]);
    heap_set(f, i, h);
}

static void heap_down(struct frontier *f, size_t i)
{
    struct host *h = f->heap[i];
    for (size_t kid; (kid = 2 * i + 1) < f->heap_len; i = kid) {
        if (kid + 1 < f->heap_len && host_before(f->heap[kid + 1], f->heap[kid]))
            kid++;
        if (!host_before(f->heap[kid], h))
            break;
        heap_set(f, i, f->heap[kid]);
    }
    heap_set(f, i, h);
}

/* The site of a host whose turn it is; NULL if none has anything to hand out. */
static struct site *host_site(const struct host *h)
{
    struct site *best = NULL;
    for (struct site *s = h->sites; s; s = s->sibling)
        if (s->queued && s->state != RULES_ASKED && (!best || s->turn < best->turn))
            best = s;
    return best;
}

static bool host_ready(const struct host *h)
{
    return h->in_flight < h->limit && host_site(h);
}

/* Put the host where it belongs after anything of it or its sites has changed. */
static void host_settle(struct frontier *f, struct host *h)
{
    if (!host_ready(h)) {                                              /* F1 */
        size_t i = h->heap_at;
        if (i == NOT_IN_HEAP)
            return;
        h->heap_at = NOT_IN_HEAP;
        struct host *last = f->heap[--f->heap_len];
        if (last == h)
            return;
        heap_set(f, i, last);
        heap_up(f, i);
        heap_down(f, last->heap_at);
        return;
    }
    if (h->heap_at == NOT_IN_HEAP) {
        if (f->heap_len == f->heap_cap) {
            f->heap_cap = f->heap_cap ? 2 * f->heap_cap : 64;
            f->heap = mem_grow(f->heap, f->heap_cap * sizeof *f->heap);
        }
        heap_set(f, f->heap_len++, h);
    }
    heap_up(f, h->heap_at);
    heap_down(f, h->heap_at);
}

/* ---- sites and visits ---- */

static void buckets_grow(struct frontier *f)
{
    size_t len = f->buckets_len ? 2 * f->buckets_len : 256;
    struct site **b = mem_new(len * sizeof *b);
    for (size_t i = 0; i < f->buckets_len; i++)
        for (struct site *s = f->buckets[i], *next; s; s = next) {
            next = s->next;
            s->next = b[s->hash & (len - 1)];
            b[s->hash & (len - 1)] = s;
        }
    free(f->buckets);
    f->buckets = b;
    f->buckets_len = len;
}

static struct site *site_find(const struct frontier *f, const char *name, size_t len, uint64_t hash)
{
    struct site *s = f->buckets_len ? f->buckets[hash & (f->buckets_len - 1)] : NULL;
    while (s && (s->hash != hash || s->name_len != len || memcmp(s->name, name, len)))
        s = s->next;
    return s;
}

/* The host of a new site: that of a site whose name differs in http or https, or in "www.", only; else a new one. */
static struct host *frontier_host(struct frontier *f, const char *name, size_t len)
{
    static const char *const starts[] = {"http://", "https://", "http://www.", "https://www."};
    size_t at = strlen(starts[name[4] == 's']);
    if (len > at + 4 && !memcmp(name + at, "www.", 4))
        at += 4;
    struct host *h = NULL;
    struct text other = {0};
    for (size_t i = 0; !h && i < sizeof starts / sizeof *starts; i++) {
        text_clear(&other, 0);
        text_adds(&other, starts[i]);
        text_add(&other, name + at, len - at);
        struct site *s = site_find(f, other.p, other.len, XXH3_64bits_withSeed(other.p, other.len, f->key));
        h = s ? s->host : NULL;
    }
    text_done(&other);
    if (h)
        return h;
    h = mem_new(sizeof *h);
    h->heap_at = NOT_IN_HEAP;
    h->next_at = INT64_MIN;
    h->delay = f->opts.delay;
    h->limit = f->opts.per_site;
    h->next = f->hosts;
    f->hosts = h;
    return h;
}

static struct site *frontier_site(struct frontier *f, const char *url, uint32_t name_len)
{
    uint64_t h = XXH3_64bits_withSeed(url, name_len, f->key);
    struct site *s = site_find(f, url, name_len, h);
    if (s)
        return s;
    if (f->sites_len >= f->buckets_len)
        buckets_grow(f);
    s = mem_new(sizeof *s + name_len + 1);
    s->hash = h;
    s->name_len = name_len;
    memcpy(s->name, url, name_len);
    s->host = frontier_host(f, url, name_len);
    struct site **end = &s->host->sites;
    while (*end)
        end = &(*end)->sibling;
    *end = s;
    s->next = f->buckets[h & (f->buckets_len - 1)];
    f->buckets[h & (f->buckets_len - 1)] = s;
    f->sites_len++;
    return s;
}

struct visit *visit_new(const char *url, uint32_t len, uint32_t site_len)
{
    struct visit *v = mem_new(sizeof *v + len + 1);
    memcpy(v->url, url, len);
    v->url_len = len;
    v->site_len = site_len;
    v->why = "";
    return v;
}

void visit_free(struct visit *v)
{
    free(v->from);
    free(v->harvest);
    free(v);
}

static void site_push(struct frontier *f, struct site *s, struct visit *v, bool first)
{
    v->site = s;
    v->next = first ? s->head : NULL;
    if (first)
        s->head = v;
    else if (s->tail)
        s->tail->next = v;
    else
        s->head = v;
    if (!v->next)
        s->tail = v;
    s->queued++;
    f->queued++;
    host_settle(f, s->host);
}

static struct visit *site_pop(struct frontier *f, struct site *s)
{
    struct visit *v = s->head;
    s->head = v->next;
    if (!s->head)
        s->tail = NULL;
    v->next = NULL;
    s->queued--;
    f->queued--;
    return v;
}

static bool site_allows(const struct site *s, const char *url, uint32_t len)
{
    return robots_allows(s->rules, url + s->name_len, len - s->name_len);
}

static void frontier_count_denied(struct frontier *f, const struct site *s)
{
    if (robots_kind(s->rules))
        f->unreachable++;
    else
        f->denied++;
}

/* ---- what the conductor calls ---- */

struct frontier *frontier_new(const struct frontier_opts *opts)
{
    struct frontier *f = mem_new(sizeof *f);
    f->opts = *opts;
    f->key = mem_key();
    f->limited = opts->pages_max != 0;
    f->pages_left = opts->pages_max;
    return f;
}

static void site_free(struct site *s)
{
    for (struct visit *v = s->head, *next; v; v = next) {
        next = v->next;
        visit_free(v);
    }
    robots_free(s->rules);
    free(s);
}

void frontier_free(struct frontier *f)
{
    for (size_t i = 0; i < f->buckets_len; i++)
        for (struct site *s = f->buckets[i], *next; s; s = next) {
            next = s->next;
            site_free(s);
        }
    for (struct host *h = f->hosts, *next; h; h = next) {
        next = h->next;
        free(h);
    }
    free(f->buckets);
    free(f->heap);
    seen_done(&f->seen);
    free(f);
}

void frontier_link(struct frontier *f, const struct link *link, uint32_t depth)
{
    if (depth > f->opts.depth_max || (f->limited && !f->pages_left) || !seen_add(&f->seen, link->print))
        return;
    struct site *s = frontier_site(f, link->url, link->parts.site_len);
    if (s->state == RULES_KNOWN && !site_allows(s, link->url, link->parts.len)) {
        frontier_count_denied(f, s);
        return;
    }
    if (s->queued >= SITE_QUEUE_MAX) {
        f->dropped++;
        return;
    }
    struct visit *v = visit_new(link->url, link->parts.len, link->parts.site_len);
    v->depth = depth;
    site_push(f, s, v, false);
}

bool frontier_give(struct frontier *f, const struct link *link, bool again)
{
    if ((f->limited && !f->pages_left) || (!again && !seen_add(&f->seen, link->print)))
        return false;
    struct visit *v = visit_new(link->url, link->parts.len, link->parts.site_len);
    v->given = true;
    site_push(f, frontier_site(f, link->url, link->parts.site_len), v, false);
    return true;
}

static bool visit_is_new(const struct visit *v)
{
    return v->kind == VISIT_PAGE && !v->hops && !v->tries;
}

/* F5: the last page allowed is handed out. Only redirects and retries of pages already counted stay. */
static void frontier_drop_new(struct frontier *f)
{
    for (size_t i = 0; i < f->buckets_len; i++)
        for (struct site *s = f->buckets[i]; s; s = s->next) {
            struct visit *keep = NULL, **end = &keep;
            while (s->head) {
                struct visit *v = site_pop(f, s);
                if (visit_is_new(v)) {
                    visit_free(v);
                } else {
                    *end = v;
                    end = &v->next;
                }
            }
            while (keep) {
                struct visit *v = keep;
                keep = v->next;
                site_push(f, s, v, false);
            }
            host_settle(f, s->host);
        }
}

/* Hand v out: it takes a slot of its host. */
static struct visit *site_send(struct frontier *f, struct site *s, struct visit *v)
{
    v->site = s;
    v->slot = true;
    s->host->in_flight++;                                              /* F2 */
    s->turn = s->host->turn = ++f->turn;
    host_settle(f, s->host);
    if (f->limited && visit_is_new(v) && --f->pages_left == 0)
        frontier_drop_new(f);
    return v;
}

static struct visit *site_ask_rules(struct frontier *f, struct site *s)
{
    static const char path[] = "/robots.txt";
    struct visit *v = visit_new(s->name, s->name_len, s->name_len);
    v = mem_grow(v, sizeof *v + s->name_len + sizeof path);
    memcpy(v->url + s->name_len, path, sizeof path);
    v->url_len += sizeof path - 1;
    v->kind = VISIT_ROBOTS;
    v->tries = s->rules_tries;
    s->state = RULES_ASKED;
    return site_send(f, s, v);
}

/* A visit that its site's rules forbid: a note if somebody waits for its row, else NULL. */
static struct visit *visit_deny(struct frontier *f, struct visit *v)
{
    frontier_count_denied(f, v->site);
    if (!v->given && !v->hops) {
        visit_free(v);
        return NULL;
    }
    const char *why = robots_why(v->site->rules);
    v->kind = VISIT_NOTE;
    v->status = v->hops ? v->status : -1;
    v->why = *why ? why : "disallowed by robots.txt";
    v->failure = (uint8_t)robots_kind(v->site->rules);
    return v;
}

struct visit *frontier_next(struct frontier *f, int64_t now, int64_t *ret_wake)
{
    while (f->heap_len) {
        struct host *h = f->heap[0];
        if (h->next_at > now) {
            *ret_wake = h->next_at;
            return NULL;
        }
        struct site *s = host_site(h);                                 /* F1 */
        if (s->state == RULES_UNKNOWN)                                 /* F3 */
            return site_ask_rules(f, s);
        struct visit *v = site_pop(f, s);
        if (site_allows(s, v->url, v->url_len))
            return site_send(f, s, v);
        host_settle(f, s->host);
        v = visit_deny(f, v);
        if (v)
            return v;
    }
    *ret_wake = FRONTIER_NEVER;
    return NULL;
}

/* Give the slot back; the pause begins. */
static void visit_leave(struct frontier *f, struct visit *v, int64_t now, int64_t pause)
{
    if (!v->slot)
        return;
    struct host *h = v->site->host;
    v->slot = false;
    h->in_flight--;
    if (pause < h->delay)
        pause = h->delay;
    if (h->next_at < now + pause)
        h->next_at = now + pause;
    host_settle(f, h);
}

void frontier_done(struct frontier *f, struct visit *v, int64_t now)
{
    visit_leave(f, v, now, 0);
    visit_free(v);
}

void frontier_rules(struct frontier *f, struct visit *v, int64_t now)
{
    struct site *s = v->site;
    int64_t asked = robots_delay_ms(v->rules) * 1000000;
    s->rules = v->rules;
    s->state = RULES_KNOWN;
    if (asked) {
        s->host->limit = 1;
        if (s->host->delay < asked)
            s->host->delay = asked;
    }
    visit_leave(f, v, now, 0);
    host_settle(f, s->host);
    visit_free(v);
}

void frontier_retry(struct frontier *f, struct visit *v, int64_t now)
{
    struct site *s = v->site;
    if (v->kind != VISIT_ROBOTS) {
        visit_leave(f, v, now, v->retry_ns);
        v->tries++;
        site_push(f, s, v, true);
        return;
    }
    s->rules_tries = (uint8_t)(v->tries + 1);
    s->state = RULES_UNKNOWN;
    visit_leave(f, v, now, v->retry_ns);
    visit_free(v);
}

void frontier_release(struct frontier *f, struct visit *v, int64_t now)
{
    visit_leave(f, v, now, 0);
}

bool frontier_redirect(struct frontier *f, struct visit *v, const struct link *to, bool always, int64_t now)
{
    visit_leave(f, v, now, 0);
    bool fresh = seen_add(&f->seen, to->print);
    if (!fresh && !always)
        return false;
    struct visit *n = visit_new(to->url, to->parts.len, to->parts.site_len);
    n->from = v->from ? v->from : mem_dup(v->url, v->url_len);
    n->ns = v->ns;
    n->depth = v->depth;
    n->status = v->status;
    n->hops = (uint8_t)(v->hops + 1);
    n->given = v->given;
    v->from = NULL;
    visit_free(v);
    site_push(f, frontier_site(f, n->url, n->site_len), n, true);
    return true;
}

void frontier_counts(const struct frontier *f, struct frontier_counts *ret)
{
    *ret = (struct frontier_counts){.queued = f->queued, .sites = f->sites_len, .seen = f->seen.len,
                                    .denied = f->denied, .unreachable = f->unreachable,
                                    .dropped = f->dropped, .spent = f->limited && !f->pages_left};
}
