/*
 * mem.h - memory of the crawler: allocation that does not fail, or ends the program with one line.
 *
 * Role    A crawler that is out of memory can write no row that it has not buffered already; every caller would only
 *         pass the failure up to exit. So these end the program with status 1 and say so.
 * Not so  The library reports WEFT_ENOMEM instead: its users decide. This is the application's decision.
 */
#ifndef CRAWL_MEM_H
#define CRAWL_MEM_H
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

static inline void *mem_check(void *p)
{
    if (!p) {
        fputs("weft: out of memory\n", stderr);
        exit(1);
    }
    return p;
}

/* Zeroed. */
static inline void *mem_new(size_t n)
{
    return mem_check(calloc(1, n ? n : 1));
}

static inline void *mem_grow(void *p, size_t n)
{
    return mem_check(realloc(p, n ? n : 1));
}

/* NUL-terminated copy of n bytes. */
static inline char *mem_dup(const char *s, size_t n)
{
    char *p = mem_check(malloc(n + 1));
    memcpy(p, s, n);
    p[n] = 0;
    return p;
}

/* 64 random bits, for a hash whose values strangers must not foresee (names of hosts come off the net). Where the kernel has
 * none yet: something that differs from run to run. */
static inline uint64_t mem_key(void)
{
    uint64_t key;
    if (getrandom(&key, sizeof key, 0) != (ssize_t)sizeof key)
        key = (uint64_t)(uintptr_t)&key * UINT64_C(0x9e3779b97f4a7c15);
    return key;
}

#endif
