/*
 * replay.c - a main for fuzz targets where there is no libFuzzer: the seeds, then changed seeds for a while.
 *
 * Usage: fuzz_NAME [-seconds N] [-seed N] FILE...   Every file is given to the target once, in a block of just its size;
 * then for N seconds files that were changed at random places. A failure aborts; the input is left in fuzz_NAME.crash,
 * which is a file to give it again.
 */
#include <fcntl.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>

#include "fuzz.h"

struct seed {
    uint8_t *p;
    size_t n;
};

static struct seed now;
static char crash_file[4096];
static uint64_t rng = 1;

static uint32_t draw(uint32_t below)
{
    rng ^= rng << 13;
    rng ^= rng >> 7;
    rng ^= rng << 17;
    return below ? (uint32_t)(rng >> 11) % below : 0;
}

static void on_crash(int sig)
{
    int fd = open(crash_file, O_WRONLY | O_CREAT | O_TRUNC, 0644);
    if (fd >= 0 && write(fd, now.p, now.n) == (ssize_t)now.n)
        (void)!write(2, crash_file, strlen(crash_file)), (void)!write(2, "\n", 1);
    signal(sig, SIG_DFL);
    raise(sig);
}

static struct seed seed_read(const char *path)
{
    FILE *f = fopen(path, "rb");
    struct seed s = {malloc(1 << 20), 0};
    if (!f || !s.p) {
        perror(path);
        exit(2);
    }
    s.n = fread(s.p, 1, 1 << 20, f);
    fclose(f);
    return s;
}

static void give(const uint8_t *p, size_t n)
{
    now = (struct seed){malloc(n ? n : 1), n};
    if (n)
        memcpy(now.p, p, n);
    (void)LLVMFuzzerTestOneInput(now.p, now.n);
    free(now.p);
}

/* A copy of a seed with up to eight changes: bytes set, flipped, doubled, cut out, or taken from another seed. */
static void give_changed(const struct seed *seeds, size_t count)
{
    const struct seed *from = &seeds[draw((uint32_t)count)], *other = &seeds[draw((uint32_t)count)];
    size_t n = from->n, cap = n + 8 * 64;
    uint8_t *p = malloc(cap + 1);
    if (!p)
        return;
    memcpy(p, from->p, n);
    for (uint32_t left = 1 + draw(8); left && n; left--) {
        size_t at = draw((uint32_t)n), k = 1 + draw(32);
        switch (draw(5)) {
        case 0: p[at] = (uint8_t)draw(256); break;
        case 1: p[at] ^= (uint8_t)(1u << draw(8)); break;
        case 2:
            k = k < n - at ? k : n - at;
            memmove(p + at, p + at + k, n - at - k);
            n -= k;
            break;
        case 3:
            k = k < n - at ? k : n - at;
            memmove(p + at + k, p + at, n - at);
            n += k;
            break;
        default:
            k = k < n - at ? k : n - at;
            if (other->n > k)
                memcpy(p + at, other->p + draw((uint32_t)(other->n - k)), k);
        }
    }
    give(p, n);
    free(p);
}

int main(int argc, char **argv)
{
    double seconds = 0;
    size_t count = 0, runs = 0;
    struct seed *seeds = calloc((size_t)argc + 1, sizeof *seeds);
    struct timespec t;
    for (int i = 1; seeds && i < argc; i++) {
        if (strcmp(argv[i], "-seconds") == 0 && i + 1 < argc)
            seconds = atof(argv[++i]);
        else if (strcmp(argv[i], "-seed") == 0 && i + 1 < argc)
            rng = strtoull(argv[++i], NULL, 10) * 2 + 1;
        else
            seeds[count++] = seed_read(argv[i]);
    }
    const char *name = strrchr(argv[0], '/');
    snprintf(crash_file, sizeof crash_file, "%s.crash", name ? name + 1 : argv[0]);
    signal(SIGABRT, on_crash);
    for (size_t i = 0; i < count; i++, runs++)
        give(seeds[i].p, seeds[i].n);
    give((const uint8_t *)"", 0);
    clock_gettime(CLOCK_MONOTONIC, &t);
    double began = (double)t.tv_sec + (double)t.tv_nsec / 1e9, at = began;
    while (count && at - began < seconds) {
        for (int i = 0; i < 16; i++, runs++)
            give_changed(seeds, count);
        clock_gettime(CLOCK_MONOTONIC, &t);
        at = (double)t.tv_sec + (double)t.tv_nsec / 1e9;
    }
    printf("%zu runs of %zu seeds\n", runs, count);
    for (size_t i = 0; i < count; i++)
        free(seeds[i].p);
    free(seeds);
    return 0;
}
