/*
 * park.c - floor of "create 1,000,000 that park": what the kernel alone takes for a stack each, without any goroutine.
 *
 * Role    floor-park MODE [N]: touch N slots of 64 KiB once each, at their tops, in the order of their addresses.
 *         touch: the page only. guard: 16 KiB of guard in each first, one madvise each. guards: 32 slots' guards by one
 *         process_madvise. populate: MADV_POPULATE_WRITE of the page instead of a fault. populates: of 32 slots' pages by one
 *         process_madvise. both: guards and populates. dense: N pages side by side, no guard.
 *         Prints one line of JSON; N is 1,000,000.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#ifndef MADV_GUARD_INSTALL
#define MADV_GUARD_INSTALL 102
#endif
#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif
#ifndef SYS_pidfd_open
#define SYS_pidfd_open 434
#define SYS_process_madvise 440
#endif

enum { PAGE = 4096, GUARD = 16384, SLOT = 65536, BATCH = 32 };

static double now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static double cpu_ns(int system)
{
    struct rusage ru;
    getrusage(RUSAGE_SELF, &ru);
    struct timeval t = system ? ru.ru_stime : ru.ru_utime;
    return (double)t.tv_sec * 1e9 + (double)t.tv_usec * 1e3;
}

static void must(int failed, const char *what)
{
    if (!failed)
        return;
    fprintf(stderr, "floor-park: %s: %s\n", what, strerror(errno));
    exit(1);
}

/* One piece of each slot. */
static void advise_batch(char *at, long slots, size_t bytes, int pidfd, int advice)
{
    struct iovec v[BATCH];

    for (long i = 0; i < slots; i++)
        v[i] = (struct iovec){at + i * SLOT, bytes};
    must(syscall(SYS_process_madvise, pidfd, v, slots, advice, 0) < 0, "process_madvise");
}

int main(int argc, char **argv)
{
    const char *mode = argc > 1 ? argv[1] : "guard";
    long n = argc > 2 ? atol(argv[2]) : 1000000;
    size_t slot = !strcmp(mode, "dense") ? PAGE : SLOT;
    int both = !strcmp(mode, "both"), guards = both || !strcmp(mode, "guards"), populates = both || !strcmp(mode, "populates");
    int guard = !strcmp(mode, "guard"), populate = !strcmp(mode, "populate");
    int pidfd = guards || populates ? (int)syscall(SYS_pidfd_open, getpid(), 0) : -1;

    must((guards || populates) && pidfd < 0, "pidfd_open");
    char *base = mmap(NULL, slot * (size_t)n, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    must(base == MAP_FAILED, "mmap");
    (void)madvise(base, slot * (size_t)n, MADV_NOHUGEPAGE);
    double t0 = now_ns(), u0 = cpu_ns(0), s0 = cpu_ns(1);
    for (long i = 0; i < n; i++) {
        char *at = base + slot * (size_t)i, *top = at + slot - PAGE;
        long batch = n - i < BATCH ? n - i : BATCH;
        if (guard)
            must(madvise(at, GUARD, MADV_GUARD_INSTALL) != 0, "MADV_GUARD_INSTALL");
        if (guards && i % BATCH == 0)
            advise_batch(at, batch, GUARD, pidfd, MADV_GUARD_INSTALL);
        if (populates && i % BATCH == 0)
            advise_batch(top, batch, PAGE, pidfd, MADV_POPULATE_WRITE);
        if (populate)
            must(madvise(top, PAGE, MADV_POPULATE_WRITE) != 0, "MADV_POPULATE_WRITE");
        *(volatile char *)top = 1;
    }
    double d = (double)n;
    printf("{\"bench\": \"floor_park_%s\", \"unit\": \"slot\", \"n\": %ld, ", mode, n);
    printf("\"ns_per_op\": %.1f, \"user_ns_per_op\": %.1f, \"sys_ns_per_op\": %.1f}\n",
           (now_ns() - t0) / d, (cpu_ns(0) - u0) / d, (cpu_ns(1) - s0) / d);
    return 0;
}
