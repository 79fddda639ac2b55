/*
 * dns_wire.h - DNS messages as bytes (dns_wire.c). Layer 4.
 */
#ifndef WEFT_NET_DNS_DNS_WIRE_H
#define WEFT_NET_DNS_DNS_WIRE_H
#include <stdint.h>

#include "dns.h"

enum { WEFT__DNS_QUERY_MAX = 12 + 255 + 4 };   /* bytes of a question: header, name, type and class */
enum { WEFT__DNS_A = 1, WEFT__DNS_AAAA = 28 };

/* What one answer says. */
struct weft__dns_found {
    weft_err err;                  /* 0: see count; WEFT_EDNS: it says nothing useful */
    bool absent;                   /* with err 0 and count 0: absent_ttl holds, it came with a SOA record */
    int count;                     /* addresses written */
    weft_dur ttl;                  /* with count: the shortest life of what led to them */
    weft_dur absent_ttl;           /* how long the absence may be believed (RFC 2308 5) */
};

/* The question for name's addresses of a type, with recursion wanted. Bytes of ret; WEFT_EADDR: not a name. */
int weft__dns_query(uint16_t id, const char *name, int type, uint8_t ret[static WEFT__DNS_QUERY_MAX]);
/* The answer m[0 .. n) to one question of a type: up to max addresses into ret. */
struct weft__dns_found weft__dns_parse(const uint8_t *m, size_t n, int type, weft_addr *ret, int max);

#endif
