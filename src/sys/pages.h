/*
 * pages.h - which pages of a range have memory behind them, and giving that memory back. Part of the seam (sys.h).
 *
 * Layer 1.
 */
#ifndef WEFT_SYS_PAGES_H
#define WEFT_SYS_PAGES_H
#include <stdatomic.h>
#include <stddef.h>

enum { WEFT__PAGE = 4096 };

/* A run of pages, [lo, hi). */
struct weft__sys_run {
    char *lo, *hi;
};

/* The runs of resident pages in [lo, hi), both multiples of a page, lowest first, at most max (1 .. 256). Returns how many
 * and where to go on (*ret_next == hi: that was all), or -errno. */
int weft__sys_resident(char *lo, char *hi, struct weft__sys_run *ret_runs, int max, char **ret_next);

/* 1 once the kernel has refused PAGEMAP_SCAN, or a test has: then by mincore. */
extern _Atomic int weft__sys_no_pagemap_scan;

/* Gives the memory of [lo, hi) back: it reads as zeros from now on. Guards in it stay. 0 or -errno. */
int weft__sys_discard(char *lo, char *hi);

#endif
