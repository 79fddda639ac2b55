/*
 * keyhash.h - a hash of bytes for tables whose keys come from outside.
 *
 * Role    Who chooses the strings must not be able to choose the bucket. Near http/hostpool.c. Layer 0.
 *         The string's length and its pieces of seven bytes are the coefficients of a polynomial without a constant, and the
 *         hash is its value at the key, modulo 2^61 - 1. Two strings of up to 7n bytes have one hash under at most n + 1 of the 2^61
 *         keys, and one of 2^b buckets under about 2(n + 1) in 2^b: whatever the strings are, as long as the key is drawn and not told.
 * Not so  FNV with a random start: what it does to two strings depends on the lowest byte of the start alone, so that strings that
 *         collide for one start in 256 can be computed. SipHash: three times the instructions for the names that hosts have.
 * Source  Carter and Wegman 1979; Dietzfelbinger and others 1992, Polynomial hash functions are reliable.
 */
#ifndef WEFT_BASE_KEYHASH_H
#define WEFT_BASE_KEYHASH_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

__extension__ typedef unsigned __int128 weft__u128;

#define WEFT__KEYHASH_P (((uint64_t)1 << 61) - 1)
#define WEFT__KEYHASH_PIECE 7

/* h * key + piece, at most WEFT__KEYHASH_P + 1; h no more than that, piece of seven bytes. */
static inline uint64_t weft__keyhash_step(uint64_t key, uint64_t h, uint64_t piece)
{
    weft__u128 t = (weft__u128)h * key + piece;
    uint64_t r = ((uint64_t)t & WEFT__KEYHASH_P) + (uint64_t)(t >> 61);
    return (r & WEFT__KEYHASH_P) + (r >> 61);
}

/* A key of 64 random bits. */
static inline uint64_t weft__keyhash_key(uint64_t random)
{
    return random % WEFT__KEYHASH_P;
}

/* Below WEFT__KEYHASH_P. s need not end with a NUL. */
static inline uint64_t weft__keyhash(uint64_t key, const char *s, size_t n)
{
    const uint64_t mask = ((uint64_t)1 << 8 * WEFT__KEYHASH_PIECE) - 1;
    uint64_t h = n, word;
    size_t i = 0;
    for (; i + 8 <= n; i += WEFT__KEYHASH_PIECE) {
        memcpy(&word, s + i, 8);
        h = weft__keyhash_step(key, h, word & mask);
    }
    word = 0;
    memcpy(&word, s + i, n - i);   /* seven bytes at most */
    h = weft__keyhash_step(key, h, word);
    h = weft__keyhash_step(key, h, 0);   /* the last piece too times the key: else who knows two of them knows their hashes' difference */
    return h >= WEFT__KEYHASH_P ? h - WEFT__KEYHASH_P : h;
}

#endif
