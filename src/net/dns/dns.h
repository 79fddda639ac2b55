/*
 * dns.h - between the cache (dns_cache.c) and the asking (dns_ares.c).
 */
#ifndef WEFT_NET_DNS_DNS_H
#define WEFT_NET_DNS_DNS_H
#include "../conn_int.h"

enum { WEFT__DNS_ADDRS = 64 };   /* most addresses kept for one name */

struct weft__dns_entry;          /* one name: dns_cache.c */

/* Ask the servers about host; weft__dns_answer(e, ...) is called once, maybe before this returns. */
WEFT_PARKS void weft__dns_ask(const char *host, struct weft__dns_entry *e);
/* The answer: count addresses that are good for ttl, or err. Readies who waits; e is the cache's again. */
void weft__dns_answer(struct weft__dns_entry *e, weft_err err, const weft_addr *addrs, int count, weft_dur ttl);
/* Forget all names and keep at most max of them (0: the default). */
void weft__dns_forget(uint32_t max);

#endif
