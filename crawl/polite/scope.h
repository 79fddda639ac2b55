/*
 * scope.h - which sites a crawl may enter: the hosts of the URLs given.
 *
 * A host is its name without a leading "www.", and its port, where 80 of http and 443 of https count as one. So
 * http://example.org covers https://www.example.org too, but neither blog.example.org nor example.org:8080.
 */
#ifndef CRAWL_SCOPE_H
#define CRAWL_SCOPE_H
#include "../parse/canon.h"

/* Zeroed is empty: nothing is in scope. Filled before the goroutines start, only read after. */
struct scope {
    uint64_t key;             /* of the fingerprints, drawn by the first scope_add, not to be foreseen by who makes names */
    uint64_t *slots;          /* fingerprints, 0 = free */
    size_t cap, len;          /* cap is a power of two, at least twice len */
    bool everything;          /* no limit: the URLs are a list */
};

void scope_add(struct scope *s, const char *url, const struct canon_parts *parts);
bool scope_has(const struct scope *s, const char *url, const struct canon_parts *parts);
void scope_done(struct scope *s);

#endif
