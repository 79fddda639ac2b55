/*
 * seen.c - the seen-set: an open table of fingerprints in memory.
 *
 * Role    A page is fetched once because its canonical URL's fingerprint enters here once.
 * Near    canon.c (one text per page), frontier.c (the only caller). A durable set takes the place of this file.
 * Invariants
 *   E1  len <= cap * 2/3: a probe ends soon.
 *   E2  {0, 0} is never stored: it marks a free slot.
 * Limits  16 bytes a URL over 1/3 to 2/3 load: 24-48 bytes each. Two URLs share a fingerprint with a chance of 10^-21
 *         among a billion.
 * Failure memory: the program ends (mem.h).
 */
#include "seen.h"
#include "../base/mem.h"
#define XXH_INLINE_ALL
#include <xxhash.h>

struct fingerprint seen_print(const char *url, size_t len)
{
    XXH128_hash_t h = XXH3_128bits(url, len);
    struct fingerprint fp = {h.low64, h.high64};
    if (!fp.lo && !fp.hi)
        fp.lo = 1;                                                    /* E2 */
    return fp;
}

static bool seen_put(struct seen *s, struct fingerprint fp)
{
    for (size_t i = fp.lo & (s->cap - 1);; i = (i + 1) & (s->cap - 1)) {
        struct fingerprint *slot = &s->slots[i];
        if (slot->lo == fp.lo && slot->hi == fp.hi)
            return false;
        if (!slot->lo && !slot->hi) {
            *slot = fp;
            s->len++;
            return true;
        }
    }
}

bool seen_add(struct seen *s, struct fingerprint fp)
{
    if (3 * (s->len + 1) > 2 * s->cap) {                              /* E1 */
        struct seen old = *s;
        s->cap = old.cap ? 2 * old.cap : 1024;
        s->slots = mem_new(s->cap * sizeof *s->slots);
        s->len = 0;
        for (size_t i = 0; i < old.cap; i++)
            if (old.slots[i].lo || old.slots[i].hi)
                seen_put(s, old.slots[i]);
        free(old.slots);
    }
    return seen_put(s, fp);
}

void seen_done(struct seen *s)
{
    free(s->slots);
    *s = (struct seen){0};
}
