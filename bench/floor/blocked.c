/*
 * blocked.c - floor of "1,000 blocking calls beside CPU work": what the kernel alone takes for them.
 *
 * Role    floor-blocked: 100 threads that exist already each call nanosleep(5 ms) ten times, beside one thread that computes.
 *         No runtime: no thread is handed anything, and none is looked at. Prints one line of JSON: the median of 7 runs of the
 *         total time, and of the share of its lonely speed that the computing thread kept.
 * Limits  On one CPU the share cannot be better than 1 - 1,000 * (the price of a call, its timer and two switches) / total.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <time.h>

enum { THREADS = 100, CALLS = 10, RUNS = 7 };
static atomic_uint_fast64_t steps;
static pthread_barrier_t gate;

static double now_ms(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

static void nap(long ms)
{
    struct timespec t = {.tv_nsec = ms * 1000000};

    nanosleep(&t, NULL);
}

/* As the hog of bench/micro/sched.c, in shorter steps. Never ends. */
static void *compute(void *arg)
{
    uint64_t x = 1;

    (void)arg;
    for (;;) {
        for (int i = 0; i < 1 << 16; i++) {
            x = x * 6364136223846793005u + 1442695040888963407u;
            __asm__ volatile("" : "+r"(x));
        }
        atomic_fetch_add_explicit(&steps, 1, memory_order_relaxed);
    }
    return NULL;
}

static void *block(void *arg)
{
    (void)prctl(PR_SET_TIMERSLACK, 1); /* as weft's threads have */
    for (int r = 0; r < RUNS; r++) {
        pthread_barrier_wait(&gate);
        for (int i = 0; i < CALLS; i++)
            nap(5);
        pthread_barrier_wait(&gate);
    }
    return arg;
}

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

/* From the gate's opening on. Returns ms; the share by ret_share. */
static double run(double solo, double *ret_share)
{
    pthread_barrier_wait(&gate);
    uint64_t n0 = atomic_load(&steps);
    double t0 = now_ms();
    pthread_barrier_wait(&gate);
    double d = now_ms() - t0;
    *ret_share = (double)(atomic_load(&steps) - n0) / d / solo;
    return d;
}

int main(void)
{
    pthread_t hog, t[THREADS];
    pthread_attr_t small;
    double total[RUNS], share[RUNS];

    pthread_attr_init(&small);
    pthread_attr_setstacksize(&small, 64 * 1024);
    if (pthread_barrier_init(&gate, NULL, THREADS + 1) != 0 || pthread_create(&hog, NULL, compute, NULL) != 0)
        return 1;
    nap(20);
    uint64_t n0 = atomic_load(&steps);
    double t0 = now_ms();
    nap(500);
    double solo = (double)(atomic_load(&steps) - n0) / (now_ms() - t0);
    for (int i = 0; i < THREADS; i++)
        if (pthread_create(&t[i], &small, block, NULL) != 0)
            return 1;
    for (int r = 0; r < RUNS; r++)
        total[r] = run(solo, &share[r]);
    for (int i = 0; i < THREADS; i++)
        pthread_join(t[i], NULL);
    qsort(total, RUNS, sizeof *total, ascending);
    qsort(share, RUNS, sizeof *share, ascending);
    printf("{\"bench\": \"floor_blocked\", \"n\": %d, \"total_ms_with_cpu_goroutine\": %.2f, \"cpu_goroutine_share_of_solo\": %.4f}\n",
           THREADS * CALLS, total[RUNS / 2], share[RUNS / 2]);
    return 0;
}
