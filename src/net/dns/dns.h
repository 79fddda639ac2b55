/*
 * dns.h - between the cache (dns_cache.c) and the asking (dns_ares.c).
 */
#ifndef WEFT_NET_DNS_DNS_H
#define WEFT_NET_DNS_DNS_H
#include <sys/types.h>
#include <time.h>

#include "../conn_int.h"

enum { WEFT__DNS_ADDRS = 64 };   /* most addresses kept for one name */

/* A name to ask about; first in its entry (dns_cache.c). */
struct weft__dns_question {
    struct weft__dns_question *next;   /* [asker.lock] in the queue of those not yet sent */
    const char *host;                  /* [const] NUL-terminated, lives until the answer */
};

/* Ask the servers; weft__dns_answer(q, ...) is called once, maybe before this returns. */
WEFT_PARKS void weft__dns_ask(struct weft__dns_question *q);
/* The answer: count addresses that are good for ttl, or err, of which WEFT_ENOHOST holds for ttl. Readies who waits; q is the
 * cache's again. */
void weft__dns_answer(struct weft__dns_question *q, weft_err err, const weft_addr *addrs, int count, weft_dur ttl);
/* Before it, once: addresses of one family; the other one is late. Readies those who asked for what there is soon. */
void weft__dns_soon(struct weft__dns_question *q, const weft_addr *addrs, int count);
/* ---- hosts.c ---- */

enum { WEFT__HOSTS_BUCKETS = 256 };
/* A hosts file as it was when it was read last. Zeroed is not read yet. */
struct weft__hosts {
    char *text;
    struct weft__hosts_entry *entry;
    uint32_t len, cap;
    uint32_t bucket[WEFT__HOSTS_BUCKETS];
    bool read;
    weft_time looked;
    off_t size;
    ino_t inode;
    struct timespec mtime;
};
/* The addresses of a name in lower case, in the order of the file at path: how many. */
int weft__hosts_find(struct weft__hosts *h, const char *path, const char *name, weft_addr *ret, int max);
void weft__hosts_done(struct weft__hosts *h);

/* Forget all names and keep at most max of them (0: the default). */
void weft__dns_forget(uint32_t max);

#endif
