/*
 * bench.h - what every file of weft-bench sees: flags, the timed loop, one line of JSON.
 *
 * Role    The C twin of gobench: same bench names, same flags, same work in the same order, same JSON fields, so
 *         that bench/run.py can divide one by the other. Only <weft/weft.h> is used, as a stranger would.
 * Limits  At most 64 benches, 1,000 runs, 16 fields of a line.
 */
#ifndef WEFT_BENCH_H
#define WEFT_BENCH_H
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <weft/weft.h>

/* The command line; zero means "the bench's default". */
struct bench_flags {
    long n;           /* operations per run */
    int g;            /* goroutines, workers, producers */
    int cap;          /* channel capacity */
    int k;            /* cases of a select */
    int reps;         /* timed runs in this process */
    int stack;        /* bytes of stack touched before parking: 0, 1024, 8192 */
    bool hold;        /* park inside the frame that holds them */
    weft_dur dur;     /* length of a run of the scheduling benches */
    const char *mode; /* variant */
};
extern struct bench_flags flags;

/* One field of the JSON line. */
struct kv {
    const char *k;
    const char *s;      /* a string, or NULL */
    bool whole;         /* num is printed as an integer */
    double num;
    const double *list; /* an array of len numbers, or NULL */
    int len;
};
#define KV_STR(k_, s_) ((struct kv){.k = (k_), .s = (s_)})
#define KV_INT(k_, i_) ((struct kv){.k = (k_), .whole = true, .num = (double)(i_)})
#define KV_NUM(k_, d_) ((struct kv){.k = (k_), .num = (d_)})
#define KV_LIST(k_, l_, n_) ((struct kv){.k = (k_), .list = (l_), .len = (n_)})
void bench_emit(const struct kv *fields, int count);
#define EMIT(...) bench_emit((const struct kv[]){__VA_ARGS__}, (int)(sizeof((const struct kv[]){__VA_ARGS__}) / sizeof(struct kv)))

/* Warm up with n/10 operations, then time flags.reps runs of f(n) and print the line. */
void bench_run(const char *name, const char *unit, long default_n, void (*f)(long n));
/* Without the warm-up, and with more fields. */
void bench_runs(const char *name, const char *unit, long n, void (*f)(long n), const struct kv *more, int more_count);

/* g goroutines share n operations: f(0 .. g-1, n / g). */
typedef void bench_par_fn(int id, long n);
void bench_par(int g, long n, bench_par_fn *f);

#define BENCH_REPS_MAX 1000
double bench_median(const double *x, int n);
double bench_min(const double *x, int n);
double bench_max(const double *x, int n);
void bench_sort(int64_t *x, long n);
/* Of sorted nanoseconds, in microseconds. */
double bench_percentile_us(const int64_t *sorted, long n, double q);
/* User and system time of this process, ns. */
int64_t bench_cpu(void);
/* A number of /proc/self/status in bytes (or as it stands when it has no unit); -1 when absent. */
int64_t bench_status(const char *key);
void bench_name(char *out, size_t size, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
/* About 100 ns of dependent integer work at 100 iterations. */
uint64_t bench_work(int iters, uint64_t x);
#define WORK_ITERS 100
/* xorshift64*, seeded: the same figures in each run. */
uint64_t bench_rand(uint64_t *state);
_Noreturn void bench_die(const char *what);
/* Keeps a result alive. */
extern volatile long sink;

/* Registers a bench under its Go name. */
struct bench_entry {
    const char *name;
    void (*fn)(void);
};
void bench_register(const char *name, void (*fn)(void));
#define BENCH(name_)                                                                                      \
    static void bench_##name_(void);                                                                      \
    __attribute__((constructor)) static void bench_reg_##name_(void) { bench_register(#name_, bench_##name_); } \
    static void bench_##name_(void)

#endif
