/*
 * timers.c - sleeps and timers: twin of bench go/timers.go.
 */
#include "bench.h"

#define HOUR (3600 * WEFT_SEC)

struct lateness {
    double total[BENCH_REPS_MAX], cpu[BENCH_REPS_MAX];
    double p50[BENCH_REPS_MAX], p99[BENCH_REPS_MAX], p999[BENCH_REPS_MAX], max[BENCH_REPS_MAX];
    int runs;
};
static struct lateness lt;
static int64_t *late;

static void lateness_add(weft_dur total, int64_t cpu, long n)
{
    int r = lt.runs++;
    bench_sort(late, n);
    lt.total[r] = (double)total / 1e6;
    lt.cpu[r] = (double)cpu / 1e6;
    lt.p50[r] = bench_percentile_us(late, n, .5);
    lt.p99[r] = bench_percentile_us(late, n, .99);
    lt.p999[r] = bench_percentile_us(late, n, .999);
    lt.max[r] = bench_percentile_us(late, n, 1);
}

static void lateness_emit(const char *name, long g, bool wall_per_op)
{
    int n = lt.runs;
    double cpu = bench_median(lt.cpu, n), total = bench_median(lt.total, n);
    EMIT(KV_STR("bench", name), KV_STR("unit", "sleep"), KV_INT("n", g), KV_INT("procs", weft_procs(0)),
         KV_NUM("ns_per_op", (wall_per_op ? total : cpu) * 1e6 / (double)g), KV_NUM("cpu_ns_per_op", cpu * 1e6 / (double)g),
         KV_NUM("total_ms", total), KV_NUM("cpu_ms", cpu), KV_NUM("late_p50_us", bench_median(lt.p50, n)),
         KV_NUM("late_p99_us", bench_median(lt.p99, n)), KV_NUM("late_p999_us", bench_median(lt.p999, n)),
         KV_NUM("late_max_us", bench_median(lt.max, n)), KV_LIST("runs", lt.total, n));
}

static void sleeper(int64_t *ret_late, weft_waitgroup *wg)
{
    weft_time s = weft_now();
    weft_sleep(WEFT_MS);
    *ret_late = weft_now() - s - WEFT_MS;
    weft_waitgroup_done(wg);
}

/* -g goroutines each sleep 1 ms once. */
BENCH(sleep_many)
{
    long g = flags.g ? flags.g : 100000;
    char name[32];
    late = calloc((size_t)g, sizeof *late);
    if (!late)
        bench_die("out of memory");
    for (int r = 0; r < flags.reps + 1; r++) {
        weft_waitgroup wg = {0};
        weft_waitgroup_add(&wg, (int)g);
        int64_t c0 = bench_cpu();
        weft_time t0 = weft_now();
        for (long i = 0; i < g; i++)
            weft_go(sleeper, &late[i], &wg);
        weft_waitgroup_wait(&wg);
        weft_dur total = weft_now() - t0;
        if (r > 0)
            lateness_add(total, bench_cpu() - c0, g);
    }
    bench_name(name, sizeof name, "sleep1ms_%ld", g);
    lateness_emit(name, g, true);
    free(late);
}

static void spread_sleeper(int64_t *ret_late, weft_dur d, weft_chan(char) start, weft_waitgroup *ready, weft_waitgroup *wg)
{
    weft_waitgroup_done(ready);
    (void)weft_recv(start);
    weft_time s = weft_now();
    weft_sleep(d);
    *ret_late = weft_now() - s - d;
    weft_waitgroup_done(wg);
}

/* -g goroutines behind a barrier each sleep a random 10..1010 ms once. */
BENCH(sleep_spread)
{
    long g = flags.g ? flags.g : 100000;
    uint64_t rng = 1;
    char name[32];
    late = calloc((size_t)g, sizeof *late);
    if (!late)
        bench_die("out of memory");
    for (int r = 0; r < flags.reps; r++) {
        weft_chan(char) start = weft_make(char);
        weft_waitgroup wg = {0}, ready = {0};
        weft_waitgroup_add(&wg, (int)g);
        weft_waitgroup_add(&ready, (int)g);
        for (long i = 0; i < g; i++)
            weft_go(spread_sleeper, &late[i], 10 * WEFT_MS + (weft_dur)(bench_rand(&rng) % (uint64_t)WEFT_SEC), start, &ready, &wg);
        weft_waitgroup_wait(&ready);
        int64_t c0 = bench_cpu();
        weft_time t0 = weft_now();
        weft_close(start);
        weft_waitgroup_wait(&wg);
        weft_dur total = weft_now() - t0;
        lateness_add(total, bench_cpu() - c0, g);
        weft_free(start);
    }
    bench_name(name, sizeof name, "sleep_spread1s_%ld", g);
    lateness_emit(name, g, false);
    free(late);
}

static void nop(void *arg)
{
    (void)arg;
    sink++;
}

static void new_stop(long n)
{
    for (long i = 0; i < n; i++) {
        weft_timer t = {0};
        weft_timer_start(&t, HOUR);
        weft_timer_stop(&t);
    }
}

static void after_func_stop(long n)
{
    for (long i = 0; i < n; i++) {
        weft_timer t = {0};
        weft_after_func(&t, HOUR, nop, NULL);
        weft_timer_stop(&t);
    }
}

static weft_timer kept;

static void reset_all(long n)
{
    for (long i = 0; i < n; i++)
        weft_timer_reset(&kept, HOUR);
}

BENCH(timer_create_stop)
{
    if (!strcmp(flags.mode, "newtimer"))
        bench_run("timer_newtimer_stop", "create+stop", 5000000, new_stop);
    else if (!strcmp(flags.mode, "reset")) {
        weft_after_func(&kept, HOUR, nop, NULL);
        bench_run("timer_afterfunc_reset", "Reset", 10000000, reset_all);
        weft_timer_stop(&kept);
    } else
        bench_run("timer_afterfunc_stop", "create+stop", 5000000, after_func_stop);
}

/* n pending timers of random length 1..2 h, then all stopped in creation order. The storage counts. */
BENCH(timer_pending)
{
    long n = flags.n ? flags.n : 1000000;
    bool chan = !strcmp(flags.mode, "newtimer");
    uint64_t rng = 1;
    weft_dur *ds = malloc((size_t)n * sizeof *ds);
    if (!ds)
        bench_die("out of memory");
    for (long i = 0; i < n; i++)
        ds[i] = HOUR + (weft_dur)(bench_rand(&rng) % (uint64_t)HOUR);
    weft_sleep(WEFT_MS);
    int64_t r0 = bench_status("VmRSS");
    weft_time t0 = weft_now();
    weft_timer *ts = chan ? calloc((size_t)n, sizeof *ts) : NULL;
    weft_alarm *as = chan ? NULL : calloc((size_t)n, sizeof *as);
    if (!ts && !as)
        bench_die("out of memory");
    for (long i = 0; i < n; i++) {
        if (chan)
            weft_timer_start(&ts[i], ds[i]);
        else
            weft_alarm_start(&as[i], ds[i], nop, NULL);
    }
    double create = (double)(weft_now() - t0);
    int64_t r1 = bench_status("VmRSS");
    t0 = weft_now();
    for (long i = 0; i < n; i++) {
        if (chan)
            weft_timer_stop(&ts[i]);
        else
            weft_alarm_stop(&as[i]);
    }
    double stop = (double)(weft_now() - t0);
    EMIT(KV_STR("bench", chan ? "timer_pending_newtimer" : "timer_pending_afterfunc"), KV_STR("unit", "timer"), KV_INT("n", n),
         KV_INT("procs", weft_procs(0)), KV_NUM("ns_per_op", (create + stop) / (double)n),
         KV_NUM("create_ns", create / (double)n), KV_NUM("stop_ns", stop / (double)n),
         KV_NUM("bytes_per_unit", (double)(r1 - r0) / (double)n));
    free(ts);
    free(as);
    free(ds);
}

struct firing {
    weft_timer t;
    weft_time at;
    int64_t *ret_late;
};
static weft_waitgroup fire_wg;

static void fired(void *arg)
{
    struct firing *f = arg;
    *f->ret_late = weft_now() - f->at;
    weft_waitgroup_done(&fire_wg);
}

/* n after_func timers spread over 1 s, the first 1.5 s after creation begins. */
BENCH(timer_fire)
{
    long n = flags.n ? flags.n : 1000000;
    uint64_t rng = 1;
    struct firing *fs = calloc((size_t)n, sizeof *fs);
    late = calloc((size_t)n, sizeof *late);
    if (!fs || !late)
        bench_die("out of memory");
    weft_waitgroup_add(&fire_wg, (int)n);
    weft_time base = weft_now() + 1500 * WEFT_MS;
    int64_t c0 = bench_cpu();
    for (long i = 0; i < n; i++) {
        fs[i].at = base + (weft_dur)(bench_rand(&rng) % (uint64_t)WEFT_SEC);
        fs[i].ret_late = &late[i];
        weft_after_func(&fs[i].t, fs[i].at - weft_now(), fired, &fs[i]);
    }
    double made = (double)(weft_now() - base);
    int64_t c1 = bench_cpu();
    weft_waitgroup_wait(&fire_wg);
    int64_t c2 = bench_cpu();
    double span = (double)(weft_now() - base);
    bench_sort(late, n);
    EMIT(KV_STR("bench", "timer_fire_1s"), KV_STR("unit", "timer"), KV_INT("n", n), KV_INT("procs", weft_procs(0)),
         KV_NUM("create_cpu_ns", (double)(c1 - c0) / (double)n), KV_NUM("fire_cpu_ns", (double)(c2 - c1) / (double)n),
         KV_NUM("created_before_first_ms", -made / 1e6), KV_NUM("span_ms", span / 1e6),
         KV_NUM("late_p50_us", bench_percentile_us(late, n, .5)), KV_NUM("late_p99_us", bench_percentile_us(late, n, .99)),
         KV_NUM("late_p999_us", bench_percentile_us(late, n, .999)), KV_NUM("late_max_us", bench_percentile_us(late, n, 1)));
    free(fs);
    free(late);
}
