/*
 * wakes.c - cold goroutines: woken in random order, so that each switch goes to a stack that is in no cache. Twin of bench
 * go/wakes.go in this folder.
 */
#include "bench.h"

enum { SLEEPERS = 100000 };
static weft_chan(int64_t) bells[SLEEPERS];
static int order[SLEEPERS];
static weft_waitgroup woken;

static void bell_sleeper(weft_chan(int64_t) bell)
{
    weft_range(v, bell) { weft_waitgroup_done(&woken); (void)v; }
}

static void wake_all(long n)
{
    for (long r = 0; r < n / SLEEPERS || r == 0; r++) {
        weft_waitgroup_add(&woken, SLEEPERS);
        for (int i = 0; i < SLEEPERS; i++)
            weft_send(bells[order[i]], r);
        weft_waitgroup_wait(&woken);
    }
}

/* 100,000 goroutines, each parked on a channel of its own, are woken in random order; an operation is one of them. */
BENCH(wake_random)
{
    uint64_t rng = 1;
    for (int i = 0; i < SLEEPERS; i++) {
        bells[i] = weft_make(int64_t);
        order[i] = i;
        weft_go(bell_sleeper, bells[i]);
    }
    for (int i = SLEEPERS - 1; i > 0; i--) {
        int j = (int)(bench_rand(&rng) % (uint64_t)(i + 1)), x = order[i];
        order[i] = order[j];
        order[j] = x;
    }
    flags.n = flags.n >= SLEEPERS ? flags.n : 3 * SLEEPERS;
    wake_all(SLEEPERS);
    bench_runs("wake_random_100000", "wake", flags.n, wake_all, NULL, 0);
}
