/*
 * runq_floor.c - what one push and one take cost in three run queues, on one thread (ADR 0001).
 *
 * Alone, and with a store to a cold line before each, as a switch between cold goroutines makes: a locked instruction
 * waits until the store has drained, plain ones do not.
 *
 * Build by hand: cc -O2 -Iinclude tests/bench/runq_floor.c && ./a.out
 */
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <time.h>

enum { N = 256, ROUNDS = 20000000 };
static _Atomic uint32_t head, tail, in, claim;
static void *_Atomic slot[N];
static void *plain[N];

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

/* Owner's push, anybody's take by compare-and-swap. */
static __attribute__((noinline)) void *with_cas(void *x)
{
    uint32_t t = atomic_load_explicit(&tail, memory_order_relaxed);
    atomic_store_explicit(&slot[t % N], x, memory_order_relaxed);
    atomic_store_explicit(&tail, t + 1, memory_order_release);
    uint32_t h = atomic_load_explicit(&head, memory_order_acquire);
    void *g = atomic_load_explicit(&slot[h % N], memory_order_relaxed);
    while (!atomic_compare_exchange_weak_explicit(&head, &h, h + 1, memory_order_release, memory_order_acquire))
        ;
    return g;
}

/* The owner's side of the claim protocol around plain accesses. */
static __attribute__((noinline)) void *with_claim(void *x)
{
    atomic_store_explicit(&in, 1, memory_order_relaxed);
    atomic_signal_fence(memory_order_seq_cst);
    if (atomic_load_explicit(&claim, memory_order_acquire))
        return NULL;
    uint32_t t = atomic_load_explicit(&tail, memory_order_relaxed), h = atomic_load_explicit(&head, memory_order_relaxed);
    plain[t % N] = x;
    atomic_store_explicit(&tail, t + 1, memory_order_relaxed);
    void *g = plain[h % N];
    atomic_store_explicit(&head, h + 1, memory_order_relaxed);
    atomic_store_explicit(&in, 0, memory_order_release);
    return g;
}

/* A spinlock around the same. */
static __attribute__((noinline)) void *with_lock(void *x)
{
    while (atomic_exchange_explicit(&in, 1, memory_order_acquire))
        ;
    uint32_t t = atomic_load_explicit(&tail, memory_order_relaxed), h = atomic_load_explicit(&head, memory_order_relaxed);
    plain[t % N] = x;
    atomic_store_explicit(&tail, t + 1, memory_order_relaxed);
    void *g = plain[h % N];
    atomic_store_explicit(&head, h + 1, memory_order_relaxed);
    atomic_store_explicit(&in, 0, memory_order_release);
    return g;
}

static char cold[64 * 1024 * 1024];

static double best_of(void *(*fn)(void *), int rounds, int with_cold)
{
    double best = 1e18;
    uint32_t x = 1;

    for (int r = 0; r < 7; r++) {
        double t = now();
        for (int i = 0; i < rounds; i++) {
            if (with_cold) {
                x = x * 1664525u + 1013904223u;
                *(volatile char *)&cold[(x >> 6) % sizeof cold] = 1;
            }
            (void)fn(&head);
        }
        t = (now() - t) / rounds;
        best = t < best ? t : best;
    }
    return best;
}

static void *nothing(void *x)
{
    __asm__ volatile("" : "+r"(x));
    return x;
}

static void run(const char *name, void *(*fn)(void *))
{
    printf("| %s | %.1f | %.1f |\n", name, best_of(fn, ROUNDS, 0), best_of(fn, ROUNDS / 10, 1));
}

int main(void)
{
    run("no queue at all", nothing);
    run("compare-and-swap take (Go, Tokio)", with_cas);
    run("spinlock", with_lock);
    run("owner's section of the claim (chosen)", with_claim);
    return 0;
}
