/*
 * dns_put.h - records of DNS messages, for the tests' server and for messages that are read alone.
 */
#ifndef DNS_PUT_H
#define DNS_PUT_H
#include <string.h>

/* A record whose name is that of the question, at `at`; returns its bytes. */
static inline size_t put_record(unsigned char *at, int type, int ttl, const void *data, size_t n)
{
    unsigned char head[12] = {0xc0, 12, 0, (unsigned char)type, 0, 1, 0, 0, (unsigned char)(ttl >> 8), (unsigned char)ttl, 0,
                              (unsigned char)n};
    memcpy(at, head, 12);
    memcpy(at + 12, data, n);
    return 12 + n;
}

/* The name itself is its own server and mailbox. */
static inline size_t put_soa(unsigned char *at, int ttl, int minimum)
{
    unsigned char data[24] = {0xc0, 12, 0xc0, 12, [22] = (unsigned char)(minimum >> 8), [23] = (unsigned char)minimum};
    return put_record(at, 6, ttl, data, sizeof data);
}

#endif
