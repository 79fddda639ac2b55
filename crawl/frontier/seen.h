/*
 * seen.h - which URLs were met before, as 128-bit fingerprints.
 */
#ifndef CRAWL_SEEN_H
#define CRAWL_SEEN_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct fingerprint {
    uint64_t lo, hi;
};

/* Zeroed is empty. One owner. */
struct seen {
    struct fingerprint *slots;   /* both halves 0: free */
    size_t cap, len;             /* cap is a power of two */
};

struct fingerprint seen_print(const char *url, size_t len);
/** seen_add - remember; true if it was not there. */
bool seen_add(struct seen *s, struct fingerprint fp);
void seen_done(struct seen *s);

#endif
