/*
 * syncs.c - mutex, waitgroup, once, atomics: twin of the first half of bench go/syncs.go.
 */
#include "bench.h"

/* Each on lines of its own. */
static struct {
    char pad0[64];
    weft_mutex mu;
    volatile long v;
    char pad1[64];
    atomic_long a;
    char pad2[64];
} c;

static void lock_add(int id, long n)
{
    (void)id;
    for (long i = 0; i < n; i++) {
        weft_mutex_lock(&c.mu);
        c.v++;
        weft_mutex_unlock(&c.mu);
    }
}

static void mutex_alone(long n) { lock_add(0, n); }
static void mutex_contended(long n) { bench_par(flags.g, n, lock_add); }

/* -g goroutines: lock; v++; unlock. */
BENCH(mutex)
{
    char name[32];
    if (flags.g <= 1) {
        bench_run("mutex_uncontended", "Lock+Unlock", 50000000, mutex_alone);
        return;
    }
    bench_name(name, sizeof name, "mutex_contended_%d", flags.g);
    bench_run(name, "Lock+Unlock", 10000000, mutex_contended);
}

static void lock_work(int id, long n)
{
    uint64_t x = (uint64_t)id;
    for (long i = 0; i < n; i++) {
        weft_mutex_lock(&c.mu);
        x = bench_work(WORK_ITERS, x);
        c.v++;
        weft_mutex_unlock(&c.mu);
        x = bench_work(WORK_ITERS, x);
    }
    if (x == 1)
        sink = 1;
}

static void mutex_work(long n) { bench_par(flags.g, n, lock_work); }

/* -g goroutines: about 100 ns of work inside and outside. */
BENCH(mutex_work)
{
    char name[32];
    flags.g = flags.g ? flags.g : 8;
    bench_name(name, sizeof name, "mutex_work_%d", flags.g);
    bench_run(name, "Lock+Unlock", 2000000, mutex_work);
}

static weft_once once;
__attribute__((noinline)) static void nop(void) { sink++; }

static void once_hot(long n)
{
    for (long i = 0; i < n; i++)
        weft_once_do(&once, nop);
}

BENCH(once)
{
    weft_once_do(&once, nop);
    bench_run("once_do_hot", "Do", 200000000, once_hot);
}

static void empty(void) {}

static void wggo(long n)
{
    for (long i = 0; i < n; i += 1000) {
        weft_waitgroup wg = {0};
        for (int j = 0; j < 1000; j++)
            weft_waitgroup_go(&wg, empty);
        weft_waitgroup_wait(&wg);
    }
}

BENCH(wggo) { bench_run("waitgroup_go_batch1000", "goroutine", 1000000, wggo); }

static void atomic_one(int id, long n)
{
    (void)id;
    for (long i = 0; i < n; i++)
        atomic_fetch_add(&c.a, 1);
}

static void atomic_all(long n) { bench_par(flags.g ? flags.g : 1, n, atomic_one); }

BENCH(atomic)
{
    char name[32];
    bench_name(name, sizeof name, "atomic_add_%d", flags.g);
    bench_run(name, "add", 50000000, atomic_all);
}
