/*
 * dns_search.h - which names are asked about for one that a program gives (dns_search.c). Layer 4.
 */
#ifndef WEFT_NET_DNS_DNS_SEARCH_H
#define WEFT_NET_DNS_DNS_SEARCH_H
#include <ares.h>

#include "dns.h"

/* The search list of resolv.conf, as a channel of c-ares has read it. */
struct weft__dns_search {
    char **domains;                /* malloc'ed, each of them too */
    int count, dots;               /* dots: a name with as many goes first as it is */
};

weft_err weft__dns_search_of(ares_channel channel, struct weft__dns_search *ret_search);
void weft__dns_search_done(struct weft__dns_search *s);
/* Name number step (from 0) that is tried for host: 1; 0 past the last; WEFT_EADDR. */
int weft__dns_search_name(const struct weft__dns_search *s, const char *host, int step, char *ret_name, size_t size);
/* Is host, which is in lower case, that name or below it? */
bool weft__dns_under(const char *host, const char *name);

#endif
