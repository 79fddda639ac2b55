/*
 * sched.c - lateness beside goroutines that only compute or block: twin of bench go/sched.go.
 */
#include "bench.h"

#include <time.h>
#include <unistd.h>

enum { HOGS_MAX = 64 };
static struct hog {
    char pad[64];
    atomic_uint_fast64_t n;
    char pad2[64];
} hogs[HOGS_MAX];
static atomic_bool hogs_stop;
static weft_waitgroup hogs_wg;

/* Bound to the CPU: no calls of weft. */
static void hog(struct hog *h)
{
    uint64_t x = 1;
    while (!atomic_load_explicit(&hogs_stop, memory_order_relaxed)) {
        for (int i = 0; i < 1 << 20; i++) {
            x = x * 6364136223846793005u + 1442695040888963407u;
            __asm__ volatile("" : "+r"(x));
        }
        atomic_fetch_add_explicit(&h->n, 1, memory_order_relaxed);
    }
}

static void hogs_start(int g)
{
    if (g > HOGS_MAX)
        bench_die("at most 64 hogs");
    atomic_store(&hogs_stop, false);
    for (int i = 0; i < g; i++) {
        atomic_store(&hogs[i].n, 0);
        weft_waitgroup_go(&hogs_wg, hog, &hogs[i]);
    }
}

static void hogs_end(void)
{
    atomic_store(&hogs_stop, true);
    weft_waitgroup_wait(&hogs_wg);
}

enum { SAMPLES_MAX = 20000000 };
static int64_t *samples;
static long sample_count;

static void samples_start(void)
{
    samples = malloc(SAMPLES_MAX * sizeof *samples);
    if (!samples)
        bench_die("out of memory");
}

static void sample(int64_t v)
{
    if (sample_count < SAMPLES_MAX)
        samples[sample_count++] = v;
}

static void samples_emit(const char *stem)
{
    char name[48];
    double sum = 0;
    long n = sample_count;
    bench_sort(samples, n);
    for (long i = 0; i < n; i++)
        sum += (double)samples[i];
    bench_name(name, sizeof name, "%s%d", stem, flags.g);
    EMIT(KV_STR("bench", name), KV_STR("unit", "event"), KV_INT("n", n), KV_INT("procs", weft_procs(0)), KV_INT("hogs", flags.g),
         KV_NUM("dur_s", (double)flags.dur / 1e9), KV_NUM("mean_us", n ? sum / (double)n / 1e3 : 0),
         KV_NUM("p50_us", bench_percentile_us(samples, n, .5)), KV_NUM("p90_us", bench_percentile_us(samples, n, .9)),
         KV_NUM("p99_us", bench_percentile_us(samples, n, .99)), KV_NUM("max_us", bench_percentile_us(samples, n, 1)));
    free(samples);
}

/* Gaps between ticks of a 1 ms ticker while -g goroutines spin. */
BENCH(sched_ticker)
{
    weft_ticker t = {0};
    hogs_start(flags.g);
    weft_sleep(50 * WEFT_MS);
    samples_start();
    weft_ticker_start(&t, WEFT_MS);
    weft_time end = weft_now() + flags.dur, last = weft_now();
    while (last < end) {
        (void)weft_recv(weft_ticker_chan(&t));
        weft_time now = weft_now();
        sample(now - last - WEFT_MS);
        last = now;
    }
    weft_ticker_stop(&t);
    hogs_end();
    samples_emit("sched_ticker1ms_hogs");
}

/* Lateness of a 1 ms sleep while -g goroutines spin. */
BENCH(sched_sleep)
{
    hogs_start(flags.g);
    weft_sleep(50 * WEFT_MS);
    samples_start();
    weft_time end = weft_now() + flags.dur, b;
    do {
        weft_time a = weft_now();
        weft_sleep(WEFT_MS);
        b = weft_now();
        sample(b - a - WEFT_MS);
    } while (b < end);
    hogs_end();
    samples_emit("sched_sleep1ms_hogs");
}

static void echo(weft_chan(int64_t) a, weft_chan(int64_t) b)
{
    weft_range(v, a) { weft_send(b, v); }
}

/* Unbuffered ping-pong round trips while -g goroutines spin. */
BENCH(sched_pingpong)
{
    hogs_start(flags.g);
    weft_sleep(50 * WEFT_MS);
    samples_start();
    weft_chan(int64_t) a = weft_make(int64_t);
    weft_chan(int64_t) b = weft_make(int64_t);
    weft_waitgroup wg = {0};
    weft_waitgroup_go(&wg, echo, a, b);
    weft_time end = weft_now() + flags.dur, last = weft_now();
    while (last < end) {
        weft_send(a, 1);
        (void)weft_recv(b);
        weft_time now = weft_now();
        sample(now - last);
        last = now;
    }
    weft_close(a);
    weft_waitgroup_wait(&wg);
    hogs_end();
    samples_emit("sched_pingpong_hogs");
}

static void report_time(weft_chan(int64_t) ch)
{
    weft_send(ch, weft_now());
}

/* From weft_go to the first statement, 1 ms apart, while -g goroutines spin. */
BENCH(sched_spawn)
{
    hogs_start(flags.g);
    weft_sleep(50 * WEFT_MS);
    samples_start();
    weft_chan(int64_t) ch = weft_make(int64_t);
    weft_time end = weft_now() + flags.dur, b = 0;
    while (b < end) {
        weft_time a = weft_now();
        weft_go(report_time, ch);
        b = weft_recv(ch);
        sample(b - a);
        weft_sleep(WEFT_MS);
    }
    hogs_end();
    samples_emit("sched_spawn_hogs");
}

enum { BLOCKERS = 100, BLOCKS_EACH = 10 };

static void blocker(void)
{
    for (int j = 0; j < BLOCKS_EACH; j++) {
        struct timespec ts = {.tv_nsec = 5000000};
        nanosleep(&ts, NULL);
    }
}

/* Chunks of work a second of one hog alone. */
static double hog_rate(weft_dur d)
{
    hogs_start(1);
    weft_sleep(20 * WEFT_MS);
    uint64_t n0 = atomic_load(&hogs[0].n);
    weft_time t0 = weft_now();
    weft_sleep(d);
    double r = (double)(atomic_load(&hogs[0].n) - n0) / ((double)(weft_now() - t0) / 1e9);
    hogs_end();
    weft_sleep(5 * WEFT_MS);
    return r;
}

/* 100 goroutines x 10 x nanosleep(5 ms); returns ms, and the share of its lonely speed that a hog kept beside. */
static double handoff_one(bool with_hog, double solo, double *ret_share)
{
    uint64_t n0 = 0;
    weft_waitgroup wg = {0};
    if (with_hog) {
        hogs_start(1);
        weft_sleep(20 * WEFT_MS);
        n0 = atomic_load(&hogs[0].n);
    }
    weft_time t0 = weft_now();
    for (int i = 0; i < BLOCKERS; i++)
        weft_waitgroup_go(&wg, blocker);
    weft_waitgroup_wait(&wg);
    double d = (double)(weft_now() - t0);
    if (with_hog) {
        *ret_share = (double)(atomic_load(&hogs[0].n) - n0) / (d / 1e9) / solo;
        hogs_end();
        weft_sleep(5 * WEFT_MS);
    }
    return d / 1e6;
}

BENCH(syscall_handoff)
{
    static double plain[BENCH_REPS_MAX], both[BENCH_REPS_MAX], share[BENCH_REPS_MAX];
    double solo = hog_rate(500 * WEFT_MS);
    double cold = handoff_one(false, solo, NULL);
    for (int r = 0; r < flags.reps; r++) {
        plain[r] = handoff_one(false, solo, NULL);
        both[r] = handoff_one(true, solo, &share[r]);
    }
    EMIT(KV_STR("bench", "syscall_handoff_100x10x5ms"), KV_STR("unit", "syscall"), KV_INT("n", BLOCKERS * BLOCKS_EACH),
         KV_INT("procs", weft_procs(0)), KV_INT("ideal_ms", 50), KV_NUM("cold_total_ms", cold),
         KV_NUM("total_ms", bench_median(plain, flags.reps)), KV_NUM("best_total_ms", bench_min(plain, flags.reps)),
         KV_NUM("total_ms_with_cpu_goroutine", bench_median(both, flags.reps)),
         KV_NUM("cpu_goroutine_share_of_solo", bench_median(share, flags.reps)), KV_INT("threads", bench_status("Threads")),
         KV_LIST("runs", plain, flags.reps));
}
