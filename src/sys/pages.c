/*
 * pages.c - resident pages by PAGEMAP_SCAN (Linux 6.7), else by mincore(2).
 *
 * Role    PAGEMAP_SCAN walks the page tables that exist: 0.2 us for a stack slot of 64 KiB. mincore writes a byte for each
 *         page of the range, resident or not: some ten times as much. Layer 1.
 * Near    sched/scavenge.c, the one user.
 * Limits  Pages that are swapped out count as not resident.
 */
#include "pages.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

/* linux/fs.h of 6.7 */
struct pages_region {
    uint64_t start, end, categories;
};
struct pages_scan {
    uint64_t size, flags, start, end, walk_end, vec, vec_len, max_pages, inverted, all_of, any_of, report;
};
#define PAGES_SCAN _IOWR('f', 16, struct pages_scan)
#define PAGES_PRESENT (1u << 3)
_Static_assert(sizeof(struct pages_scan) == 96, "struct pm_scan_arg");

enum { PAGES_MAX = 256, PAGES_MINCORE = 512 };

_Atomic int weft__sys_no_pagemap_scan;

static int pages_by_scan(char *lo, char *hi, struct weft__sys_run *ret_runs, int max, char **ret_next)
{
    struct pages_region regions[PAGES_MAX / 8] = {0}; /* for valgrind, which does not know that the kernel writes them */
    struct pages_scan s = {.size = sizeof s, .start = (uintptr_t)lo, .end = (uintptr_t)hi, .vec = (uintptr_t)regions,
                           .all_of = PAGES_PRESENT, .report = PAGES_PRESENT};
    int n = 0, fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);

    if (fd < 0)
        return -errno;
    while (n < max && s.start < (uintptr_t)hi) {
        s.vec_len = (uint64_t)(max - n < PAGES_MAX / 8 ? max - n : PAGES_MAX / 8);
        int got = ioctl(fd, PAGES_SCAN, &s);
        if (got < 0) {
            n = -errno;
            break;
        }
        for (int i = 0; i < got; i++)
            ret_runs[n++] = (struct weft__sys_run){(char *)regions[i].start, (char *)regions[i].end};
        s.start = s.walk_end;
    }
    close(fd);
    if (n >= 0)
        *ret_next = (char *)s.start;
    return n;
}

/* mincore of pages, in halves where a part of them is not mapped: that has no memory. qemu-user takes pages without access, as guards
 * by mprotect are, for not mapped. 0 or -errno. */
static int pages_ask(char *at, size_t pages, unsigned char *ret_in)
{
    if (mincore(at, pages * WEFT__PAGE, ret_in) == 0)
        return 0;
    if (errno != ENOMEM)
        return -errno;
    if (pages == 1) {
        *ret_in = 0;
        return 0;
    }
    int err = pages_ask(at, pages / 2, ret_in);
    return err ? err : pages_ask(at + pages / 2 * WEFT__PAGE, pages - pages / 2, ret_in + pages / 2);
}

static int pages_by_mincore(char *lo, char *hi, struct weft__sys_run *ret_runs, int max, char **ret_next)
{
    unsigned char in[PAGES_MINCORE];
    int n = 0;

    for (int calls = 0; calls < 64 && lo < hi && n < max; calls++) {
        size_t pages = (size_t)(hi - lo) / WEFT__PAGE, i = 0;
        if (pages > PAGES_MINCORE)
            pages = PAGES_MINCORE;
        int err = pages_ask(lo, pages, in);
        if (err)
            return err;
        while (i < pages && n < max) {
            size_t from = i;
            bool there = in[i] & 1;
            while (i < pages && (in[i] & 1) == there)
                i++;
            if (there)
                ret_runs[n++] = (struct weft__sys_run){lo + from * WEFT__PAGE, lo + i * WEFT__PAGE};
        }
        lo += i * WEFT__PAGE;
    }
    *ret_next = lo;
    return n;
}

int weft__sys_resident(char *lo, char *hi, struct weft__sys_run *ret_runs, int max, char **ret_next)
{
    if (!atomic_load_explicit(&weft__sys_no_pagemap_scan, memory_order_relaxed)) {
        int n = pages_by_scan(lo, hi, ret_runs, max, ret_next);
        if (n >= 0)
            return n;
        if (n != -EMFILE && n != -ENFILE && n != -ENOMEM)
            atomic_store_explicit(&weft__sys_no_pagemap_scan, 1, memory_order_relaxed);
    }
    return pages_by_mincore(lo, hi, ret_runs, max, ret_next);
}

int weft__sys_discard(char *lo, char *hi)
{
    return madvise(lo, (size_t)(hi - lo), MADV_DONTNEED) < 0 ? -errno : 0;
}
