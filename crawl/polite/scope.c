/*
 * scope.c - the set of hosts given, as fingerprints.
 *
 * Role    Every link is asked about, so it is one hash and one probe.
 * Near    cli/crawl_main.c fills it from the command line; fetch/visit.c asks.
 * Invariants
 *   O1  len <= cap / 2: a probe ends.
 * Locks   none: read only once workers run.
 * Limits  64-bit fingerprints: of 1,000,000 foreign hosts one in 10^10 crawls takes one for its own of 1,000.
 */
#include "scope.h"
#include "../base/mem.h"
#define XXH_INLINE_ALL
#include <xxhash.h>

static uint64_t scope_hash(const struct scope *s, const char *url, const struct canon_parts *parts)
{
    const char *host = url + parts->host_at;
    size_t len = parts->host_len;
    bool https = url[4] == 's';
    if (len > 4 && !memcmp(host, "www.", 4)) {
        host += 4;
        len -= 4;
    }
    uint64_t port = parts->port == (https ? 443 : 80) ? 0 : parts->port;
    uint64_t h = XXH3_64bits_withSeed(host, len, s->key ^ port);
    return h ? h : 1;
}

static void scope_put(struct scope *s, uint64_t h)
{
    size_t i = h & (s->cap - 1);
    while (s->slots[i] && s->slots[i] != h)
        i = (i + 1) & (s->cap - 1);
    s->len += !s->slots[i];
    s->slots[i] = h;
}

void scope_add(struct scope *s, const char *url, const struct canon_parts *parts)
{
    if (!s->cap)
        s->key = mem_key();
    if (2 * (s->len + 1) > s->cap) {                                  /* O1 */
        struct scope old = *s;
        s->cap = old.cap ? 2 * old.cap : 16;
        s->slots = mem_new(s->cap * sizeof *s->slots);
        s->len = 0;
        for (size_t i = 0; i < old.cap; i++)
            if (old.slots[i])
                scope_put(s, old.slots[i]);
        free(old.slots);
    }
    scope_put(s, scope_hash(s, url, parts));
}

bool scope_has(const struct scope *s, const char *url, const struct canon_parts *parts)
{
    if (s->everything)
        return true;
    if (!s->len)
        return false;
    uint64_t h = scope_hash(s, url, parts);
    for (size_t i = h & (s->cap - 1); s->slots[i]; i = (i + 1) & (s->cap - 1))
        if (s->slots[i] == h)
            return true;
    return false;
}

void scope_done(struct scope *s)
{
    free(s->slots);
    *s = (struct scope){0};
}
