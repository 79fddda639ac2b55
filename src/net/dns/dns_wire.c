/*
 * dns_wire.c - DNS messages: a question is written, an answer is read.
 *
 * Role    Bytes only, nothing waits and nothing is allocated. Near dns_ares.c, which sends the one through c-ares and gets the
 *         other from it: c-ares has seen to the id and that the answer repeats the question. Layer 4.
 *
 * All offsets are checked against the message's length before they are used; names are skipped, never expanded, so that no
 * compression pointer is followed. Addresses count whoever's they are: aliases lead to them (as in Go).
 *
 * Limits  labels of 63 bytes, names of 253; a life of more than 2^31 - 1 s is 0 (RFC 2181 8).
 * Source  RFC 1035 3 and 4, RFC 2308 5, RFC 3596. Fuzzed: tests/fuzz/fuzz_dnswire.c.
 */
#include <arpa/inet.h>
#include <string.h>

#include "dns_wire.h"

enum { DNS_HEAD = 12, DNS_CNAME = 5, DNS_SOA = 6, DNS_CLASS_IN = 1 };

/* ---- the question ---- */

static uint8_t *put16(uint8_t *p, unsigned v)
{
    p[0] = (uint8_t)(v >> 8);
    p[1] = (uint8_t)v;
    return p + 2;
}

int weft__dns_query(uint16_t id, const char *name, int type, uint8_t ret[static WEFT__DNS_QUERY_MAX])
{
    uint8_t *p = ret;
    static const uint8_t rest[] = {0x01, 0x00, 0, 1, 0, 0, 0, 0, 0, 0};   /* recursion desired, one question */
    size_t len = strlen(name);
    if (len && name[len - 1] == '.')
        len--;
    if (len == 0 || len > 253)
        return WEFT_EADDR;
    p = put16(p, id);
    memcpy(p, rest, sizeof rest);
    p += sizeof rest;
    for (const char *s = name, *end = name + len; s <= end;) {
        const char *dot = memchr(s, '.', (size_t)(end - s));
        size_t n = (size_t)((dot ? dot : end) - s);
        if (n == 0 || n > 63)
            return WEFT_EADDR;
        *p++ = (uint8_t)n;
        memcpy(p, s, n);
        p += n;
        s += n + 1;
    }
    *p++ = 0;
    p = put16(p, (unsigned)type);
    p = put16(p, DNS_CLASS_IN);
    return (int)(p - ret);
}

/* ---- the answer ---- */

struct reader {
    const uint8_t *m;
    size_t n, at;
    bool bad;                      /* it ends too early: nothing read since counts */
};

struct record {
    unsigned type, class;
    uint32_t ttl;
    size_t at, len;                /* its data */
};

static uint32_t get(struct reader *r, size_t bytes)
{
    uint32_t v = 0;
    if (r->bad || r->n - r->at < bytes) {
        r->bad = true;
        return 0;
    }
    while (bytes--)
        v = v << 8 | r->m[r->at++];
    return v;
}

static void skip(struct reader *r, size_t bytes)
{
    if (r->bad || r->n - r->at < bytes)
        r->bad = true;
    else
        r->at += bytes;
}

/* Labels up to the root or a pointer, which ends a name wherever it leads. */
static void skip_name(struct reader *r)
{
    for (;;) {
        uint32_t n = get(r, 1);
        if (r->bad || n == 0)
            return;
        if (n >= 0xc0) {
            skip(r, 1);
            return;
        }
        if (n > 63)
            r->bad = true;
        skip(r, n);
    }
}

static bool get_record(struct reader *r, struct record *ret)
{
    skip_name(r);
    ret->type = get(r, 2);
    ret->class = get(r, 2);
    ret->ttl = get(r, 4);
    ret->len = get(r, 2);
    ret->at = r->at;
    skip(r, ret->len);
    if (ret->ttl > INT32_MAX)
        ret->ttl = 0;
    return !r->bad;
}

static bool put_address(const struct reader *r, const struct record *rec, weft_addr *ret)
{
    *ret = (weft_addr){0};
    if (rec->type == WEFT__DNS_A && rec->len == 4) {
        ret->len = sizeof ret->u.in4;
        ret->u.in4.sin_family = AF_INET;
        memcpy(&ret->u.in4.sin_addr, r->m + rec->at, 4);
    } else if (rec->type == WEFT__DNS_AAAA && rec->len == 16) {
        ret->len = sizeof ret->u.in6;
        ret->u.in6.sin6_family = AF_INET6;
        memcpy(&ret->u.in6.sin6_addr, r->m + rec->at, 16);
    } else {
        return false;
    }
    return true;
}

/* A SOA record of the authority section: the smaller of its life and its last number. */
static void soa_life(const struct reader *r, const struct record *rec, struct weft__dns_found *f)
{
    struct reader in = {.m = r->m, .n = rec->at + rec->len, .at = rec->at};
    skip_name(&in);
    skip_name(&in);
    skip(&in, 16);
    uint32_t minimum = get(&in, 4);
    if (in.bad)
        return;
    if (minimum > INT32_MAX)
        minimum = 0;
    f->absent = true;
    f->absent_ttl = (rec->ttl < minimum ? rec->ttl : minimum) * WEFT_SEC;
}

struct weft__dns_found weft__dns_parse(const uint8_t *m, size_t n, int type, weft_addr *ret, int max)
{
    struct weft__dns_found f = {.err = WEFT_EDNS};
    struct reader r = {.m = m, .n = n};
    struct record rec;
    skip(&r, 2);
    uint32_t flags = get(&r, 2), questions = get(&r, 2), answers = get(&r, 2), authorities = get(&r, 2);
    skip(&r, 2);
    unsigned rcode = flags & 15;
    if (r.bad || !(flags & 0x8000) || (rcode != 0 && rcode != 3))
        return f;
    while (questions-- && !r.bad) {
        skip_name(&r);
        skip(&r, 4);
    }
    uint32_t ttl = INT32_MAX;
    while (answers && get_record(&r, &rec)) {
        answers--;
        bool ours = rec.class == DNS_CLASS_IN && (int)rec.type == type && f.count < max && put_address(&r, &rec, &ret[f.count]);
        f.count += ours;
        if ((ours || rec.type == DNS_CNAME) && rec.ttl < ttl)
            ttl = rec.ttl;
    }
    f.ttl = ttl * WEFT_SEC;
    while (!f.count && !answers && authorities-- && get_record(&r, &rec))
        if (rec.class == DNS_CLASS_IN && rec.type == DNS_SOA && !f.absent)
            soa_life(&r, &rec, &f);
    if (f.count || !r.bad)
        f.err = 0;
    return f;
}
