/*
 * main.c - weft-bench: flags, timing, JSON.
 *
 * Role    `weft-bench <bench> [flags]` prints one line of JSON, as gobench does. A run is timed by the monotonic clock
 *         and by getrusage; the median of the runs is the figure, the best and all runs stand beside it.
 * Near    bench/run.py drives it beside the Go program.
 * Failure An unknown bench or flag: a line on stderr and status 2.
 */
#include "bench.h"

#include <stdarg.h>
#include <sys/resource.h>
#include <time.h>

struct bench_flags flags = {.k = 2, .reps = 7, .dur = 2 * WEFT_SEC, .mode = ""};
volatile long sink;

static struct bench_entry bench_list[64];
static int bench_count;

void bench_register(const char *name, void (*fn)(void))
{
    if (bench_count == 64)
        bench_die("too many benches");
    bench_list[bench_count++] = (struct bench_entry){name, fn};
}

_Noreturn void bench_die(const char *what)
{
    fprintf(stderr, "weft-bench: %s\n", what);
    exit(1);
}

static void emit_num(double x)
{
    if (x != x)
        printf("null");
    else
        printf("%.*f", x < 10 && x > -10 ? 4 : 2, x);
}

void bench_emit(const struct kv *f, int count)
{
    for (int i = 0; i < count; i++) {
        printf("%s\"%s\": ", i ? ", " : "{", f[i].k);
        if (f[i].s)
            printf("\"%s\"", f[i].s);
        else if (f[i].list) {
            for (int j = 0; j < f[i].len; j++) {
                printf("%s", j ? ", " : "[");
                emit_num(f[i].list[j]);
            }
            printf("]");
        } else if (f[i].whole)
            printf("%.0f", f[i].num);
        else
            emit_num(f[i].num);
    }
    printf("}\n");
    fflush(stdout);
}

int64_t bench_cpu(void)
{
    struct rusage ru;
    getrusage(RUSAGE_SELF, &ru);
    return (ru.ru_utime.tv_sec + ru.ru_stime.tv_sec) * WEFT_SEC + (ru.ru_utime.tv_usec + ru.ru_stime.tv_usec) * WEFT_US;
}

int64_t bench_status(const char *key)
{
    char line[256];
    long long v = -1;
    FILE *f = fopen("/proc/self/status", "re");
    if (!f)
        return -1;
    while (fgets(line, sizeof line, f)) {
        size_t len = strlen(key);
        if (strncmp(line, key, len) != 0 || line[len] != ':')
            continue;
        v = atoll(line + len + 1);
        if (strstr(line, " kB"))
            v *= 1024;
        break;
    }
    fclose(f);
    return v;
}

static int cmp_double(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static int cmp_int64(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

double bench_median(const double *x, int n)
{
    static double y[BENCH_REPS_MAX];
    if (n == 0)
        return 0;
    memcpy(y, x, (size_t)n * sizeof *y);
    qsort(y, (size_t)n, sizeof *y, cmp_double);
    return n % 2 ? y[n / 2] : (y[n / 2 - 1] + y[n / 2]) / 2;
}

double bench_min(const double *x, int n)
{
    double m = x[0];
    for (int i = 1; i < n; i++)
        m = x[i] < m ? x[i] : m;
    return m;
}

double bench_max(const double *x, int n)
{
    double m = x[0];
    for (int i = 1; i < n; i++)
        m = x[i] > m ? x[i] : m;
    return m;
}

void bench_sort(int64_t *x, long n)
{
    qsort(x, (size_t)n, sizeof *x, cmp_int64);
}

double bench_percentile_us(const int64_t *sorted, long n, double q)
{
    return n ? (double)sorted[(long)(q * (double)(n - 1))] / 1e3 : 0;
}

void bench_name(char *out, size_t size, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(out, size, fmt, ap);
    va_end(ap);
}

__attribute__((noinline)) uint64_t bench_work(int iters, uint64_t x)
{
    for (int i = 0; i < iters; i++)
        x = x * 6364136223846793005u + 1442695040888963407u;
    return x;
}

uint64_t bench_rand(uint64_t *state)
{
    uint64_t x = *state;
    x ^= x >> 12;
    x ^= x << 25;
    x ^= x >> 27;
    *state = x;
    return x * 2685821657736338717u;
}

static void par_one(bench_par_fn *f, int id, long n, weft_waitgroup *wg)
{
    f(id, n);
    weft_waitgroup_done(wg);
}

void bench_par(int g, long n, bench_par_fn *f)
{
    weft_waitgroup wg = {0};
    weft_waitgroup_add(&wg, g);
    for (int i = 0; i < g; i++)
        weft_go(par_one, f, i, n / g, &wg);
    weft_waitgroup_wait(&wg);
}

void bench_run(const char *name, const char *unit, long default_n, void (*f)(long n))
{
    long n = flags.n > 0 ? flags.n : default_n;
    f(n / 10 + 1);
    bench_runs(name, unit, n, f, NULL, 0);
}

void bench_runs(const char *name, const char *unit, long n, void (*f)(long n), const struct kv *more, int more_count)
{
    static double runs[BENCH_REPS_MAX], cpus[BENCH_REPS_MAX];
    struct kv line[16];
    int reps = flags.reps, k = 0;

    for (int r = 0; r < reps; r++) {
        int64_t c0 = bench_cpu();
        weft_time t0 = weft_now();
        f(n);
        weft_time t1 = weft_now();
        int64_t c1 = bench_cpu();
        runs[r] = (double)(t1 - t0) / (double)n;
        cpus[r] = (double)(c1 - c0) / (double)n;
    }
    line[k++] = KV_STR("bench", name);
    line[k++] = KV_STR("unit", unit);
    line[k++] = KV_INT("n", n);
    line[k++] = KV_INT("procs", weft_procs(0));
    line[k++] = KV_NUM("ns_per_op", bench_median(runs, reps));
    line[k++] = KV_NUM("best_ns_per_op", bench_min(runs, reps));
    line[k++] = KV_NUM("cpu_ns_per_op", bench_median(cpus, reps));
    for (int i = 0; i < more_count && k < 15; i++)
        line[k++] = more[i];
    line[k++] = KV_LIST("runs", runs, reps);
    bench_emit(line, k);
}

/* "2s", "300ms", "50us", "10ns", as Go writes them. */
static weft_dur parse_dur(const char *s)
{
    char *end;
    double v = strtod(s, &end);
    if (!strcmp(end, "s"))
        return (weft_dur)(v * 1e9);
    if (!strcmp(end, "ms"))
        return (weft_dur)(v * 1e6);
    if (!strcmp(end, "us"))
        return (weft_dur)(v * 1e3);
    if (!strcmp(end, "ns"))
        return (weft_dur)v;
    bench_die("-dur wants a number with s, ms, us or ns");
}

static bool set_flag(const char *name, const char *v)
{
    if (!strcmp(name, "n"))
        flags.n = atol(v);
    else if (!strcmp(name, "g"))
        flags.g = atoi(v);
    else if (!strcmp(name, "cap"))
        flags.cap = atoi(v);
    else if (!strcmp(name, "k"))
        flags.k = atoi(v);
    else if (!strcmp(name, "reps"))
        flags.reps = atoi(v) < 1 ? 1 : atoi(v) > BENCH_REPS_MAX ? BENCH_REPS_MAX : atoi(v);
    else if (!strcmp(name, "stack"))
        flags.stack = atoi(v);
    else if (!strcmp(name, "dur"))
        flags.dur = parse_dur(v);
    else if (!strcmp(name, "mode"))
        flags.mode = v;
    else
        return false;
    return true;
}

/* "-name value", "-name=value", "--name value"; -hold alone. */
static void parse_flags(int argc, char **argv)
{
    for (int i = 2; i < argc; i++) {
        const char *a = argv[i];
        char name[16] = "";
        if (*a != '-')
            goto bad;
        a += a[1] == '-' ? 2 : 1;
        size_t len = strcspn(a, "=");
        if (len >= sizeof name)
            goto bad;
        memcpy(name, a, len);
        if (!strcmp(name, "hold")) {
            flags.hold = true;
            continue;
        }
        const char *v = a[len] == '=' ? a + len + 1 : i + 1 < argc ? argv[++i] : NULL;
        if (v && set_flag(name, v))
            continue;
bad:
        fprintf(stderr, "weft-bench: bad flag %s\n", argv[i]);
        exit(2);
    }
}

int main(int argc, char **argv)
{
    for (int i = 0; argc > 1 && i < bench_count; i++) {
        if (strcmp(bench_list[i].name, argv[1]) != 0)
            continue;
        parse_flags(argc, argv);
        bench_list[i].fn();
        return 0;
    }
    fprintf(stderr, "usage: weft-bench <bench> [flags]; benches:");
    for (int i = 0; i < bench_count; i++)
        fprintf(stderr, " %s", bench_list[i].name);
    fprintf(stderr, "\n");
    return 2;
}
