/*
 * spawn.c - starting, yielding and parking goroutines: twin of bench go/spawn.go.
 */
#include "bench.h"

static weft_waitgroup spawn_wg;

static void empty_g(void)
{
    weft_waitgroup_done(&spawn_wg);
}

static void spawn_batch(long n, long batch)
{
    for (long i = 0; i < n; i += batch) {
        weft_waitgroup_add(&spawn_wg, (int)batch);
        for (long j = 0; j < batch; j++)
            weft_go(empty_g);
        weft_waitgroup_wait(&spawn_wg);
    }
}

static void spawn_batch_1000(long n) { spawn_batch(n, 1000); }
static void spawn_batch_1(long n) { spawn_batch(n, 1); }
static void spawn_all(long n) { spawn_batch(n, n); }

BENCH(nop) {}

BENCH(idle_rss)
{
    EMIT(KV_STR("bench", "idle_rss"), KV_INT("procs", weft_procs(0)), KV_INT("bytes", bench_status("VmRSS")),
         KV_INT("threads", bench_status("Threads")));
}

/* Batches of 1000: go f(); wait. */
BENCH(spawn_batch) { bench_run("spawn_batch1000", "goroutine", 1000000, spawn_batch_1000); }

/* One at a time. */
BENCH(spawn_seq) { bench_run("spawn_seq1", "goroutine", 500000, spawn_batch_1); }

/* A million at once, wait for all; the first run of the process is cold. */
BENCH(spawn_1m)
{
    long n = 1000000;
    weft_time t0 = weft_now();
    spawn_all(n);
    double cold = (double)(weft_now() - t0) / (double)n;
    struct kv more[] = {KV_NUM("cold_ns_per_op", cold), KV_INT("peak_rss_bytes", bench_status("VmHWM"))};
    bench_runs("spawn_1m", "goroutine", n, spawn_all, more, 2);
}

static atomic_long parked;
static weft_waitgroup park_wg;

__attribute__((noinline)) static unsigned touch_1k(unsigned x)
{
    unsigned char b[1024];
    for (unsigned i = 0; i < sizeof b; i++)
        b[i] = (unsigned char)(x + i);
    __asm__ volatile("" : : "r"(b) : "memory");
    return b[x];
}

__attribute__((noinline)) static unsigned touch_8k(unsigned x)
{
    unsigned char b[8192];
    for (unsigned i = 0; i < sizeof b; i++)
        b[i] = (unsigned char)(x + i);
    __asm__ volatile("" : : "r"(b) : "memory");
    return b[x];
}

static void parker_0(weft_chan(char) ch)
{
    atomic_fetch_add(&parked, 1);
    (void)weft_recv(ch);
    weft_waitgroup_done(&park_wg);
}

static void parker_1k(weft_chan(char) ch)
{
    if (touch_1k(3) == 77)
        sink = 1;
    parker_0(ch);
}

static void parker_8k(weft_chan(char) ch)
{
    if (touch_8k(3) == 77)
        sink = 1;
    parker_0(ch);
}

/* Fill b, park with it alive, add it up. */
static unsigned park_on(weft_chan(char) ch, unsigned char *b, unsigned size)
{
    unsigned x = 0;
    for (unsigned i = 0; i < size; i++)
        b[i] = (unsigned char)i;
    __asm__ volatile("" : : "r"(b) : "memory");
    atomic_fetch_add(&parked, 1);
    (void)weft_recv(ch);
    for (unsigned i = 0; i < size; i++)
        x += b[i];
    return x;
}

static void parker_hold_1k(weft_chan(char) ch)
{
    unsigned char b[1024];
    if (park_on(ch, b, sizeof b) == 77)
        sink = 1;
    weft_waitgroup_done(&park_wg);
}

static void parker_hold_8k(weft_chan(char) ch)
{
    unsigned char b[8192];
    if (park_on(ch, b, sizeof b) == 77)
        sink = 1;
    weft_waitgroup_done(&park_wg);
}

/* n goroutines park on one channel: time and memory each, then the time to wake them all by close. */
BENCH(mem_parked)
{
    long n = flags.n ? flags.n : 100000;
    void (*f)(weft_chan(char)) = parker_0;
    const char *name = "mem_parked";
    if (flags.stack == 1024)
        f = flags.hold ? parker_hold_1k : parker_1k, name = flags.hold ? "mem_parked_hold1k" : "mem_parked_used1k";
    else if (flags.stack == 8192)
        f = flags.hold ? parker_hold_8k : parker_8k, name = flags.hold ? "mem_parked_hold8k" : "mem_parked_used8k";

    weft_chan(char) ch = weft_make(char);
    weft_sleep(WEFT_MS);
    int64_t r0 = bench_status("VmRSS"), e0 = bench_status("VmPTE");
    weft_waitgroup_add(&park_wg, (int)n);
    int64_t c0 = bench_cpu();
    weft_time t0 = weft_now();
    for (long i = 0; i < n; i++)
        weft_go(f, ch);
    while (atomic_load(&parked) < n)
        weft_sleep(WEFT_MS);
    double create = (double)(weft_now() - t0);
    int64_t c1 = bench_cpu();
    weft_sleep(50 * WEFT_MS);
    int64_t r1 = bench_status("VmRSS"), e1 = bench_status("VmPTE");
    t0 = weft_now();
    weft_close(ch);
    weft_waitgroup_wait(&park_wg);
    double wake = (double)(weft_now() - t0);
    weft_free(ch);
    EMIT(KV_STR("bench", name), KV_STR("unit", "goroutine"), KV_INT("n", n), KV_INT("procs", weft_procs(0)),
         KV_NUM("ns_per_op", create / (double)n), KV_NUM("cpu_ns_per_op", (double)(c1 - c0) / (double)n),
         KV_NUM("bytes_per_unit", (double)(r1 - r0) / (double)n),
         KV_NUM("pte_bytes_per_unit", (double)(e1 - e0) / (double)n),
         KV_NUM("wake_ns_per_op", wake / (double)n), KV_INT("rss0", r0));
}

static void yielder(long n, weft_waitgroup *wg)
{
    for (long i = 0; i < n; i++)
        weft_yield();
    weft_waitgroup_done(wg);
}

static void yield_all(long n)
{
    weft_waitgroup wg = {0};
    int g = flags.g ? flags.g : 2;
    weft_waitgroup_add(&wg, g);
    for (int i = 0; i < g; i++)
        weft_go(yielder, n / g, &wg);
    weft_waitgroup_wait(&wg);
}

/* -g goroutines share n yields. */
BENCH(yield)
{
    char name[32];
    bench_name(name, sizeof name, "yield_%d", flags.g ? flags.g : 2);
    bench_run(name, "Gosched", 4000000, yield_all);
}
