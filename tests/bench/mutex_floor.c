/*
 * mutex_floor.c - what the ways to lock and unlock a word cost, on one thread, without contention.
 *
 * For docs/adr/0005-mutex-atomics.md: gcc -O2 tests/bench/mutex_floor.c -o /tmp/mutex_floor && taskset -c 0 /tmp/mutex_floor
 * The "busy" rows have other bits set in the word, as with goroutines in line and one of them on its way.
 */
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <time.h>

enum { N = 3000000, RUNS = 9, BUSY = 6 };

static _Atomic uint32_t word;
static _Atomic uint32_t in, claim;
static volatile long counter;

static __attribute__((noinline)) void not_free(void)
{
    __asm__ volatile("");
}

static inline int cas(uint32_t from, uint32_t to)
{
    return atomic_compare_exchange_strong_explicit(&word, &from, to, memory_order_acq_rel, memory_order_relaxed);
}

static inline void lock_cas(void)
{
    if (!cas(0, 1)) {
        uint32_t s = atomic_load_explicit(&word, memory_order_relaxed);
        if (!cas(s, s | 1))
            not_free();
    }
}

static inline void unlock_cas(void)
{
    if (!cas(1, 0)) {
        uint32_t s = atomic_load_explicit(&word, memory_order_relaxed);
        if (!cas(s, s & ~1u))
            not_free();
    }
}

static inline void lock_or(void)
{
    if (atomic_fetch_or_explicit(&word, 1, memory_order_acquire) & 1)
        not_free();
}

static inline void unlock_add(void)
{
    if (atomic_fetch_sub_explicit(&word, 1, memory_order_release) != 1)
        not_free();
}

/* No locked instruction: what a section of the claim (sched_int.h, M1) would allow at one processor. */
static inline void section_set(uint32_t to)
{
    atomic_store_explicit(&in, 1, memory_order_relaxed);
    atomic_signal_fence(memory_order_seq_cst);
    if (atomic_load_explicit(&claim, memory_order_acquire) || atomic_load_explicit(&word, memory_order_relaxed) == to)
        not_free();
    atomic_store_explicit(&word, to, memory_order_relaxed);
    atomic_store_explicit(&in, 0, memory_order_release);
}

static inline void lock_section(void)
{
    section_set(1);
}

static inline void unlock_section(void)
{
    section_set(0);
}

static double now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

#define MEASURE(name, lock, unlock, start)                         \
    do {                                                           \
        double best = 1e9;                                         \
        atomic_store(&word, start);                                \
        for (int r = 0; r < RUNS; r++) {                           \
            double t = now_ns();                                   \
            for (int i = 0; i < N; i++) {                          \
                lock();                                            \
                counter++;                                         \
                unlock();                                          \
            }                                                      \
            t = (now_ns() - t) / N;                                \
            best = t < best ? t : best;                            \
        }                                                          \
        printf("%-44s %6.2f ns\n", name, best);                    \
    } while (0)

int main(void)
{
    MEASURE("compare-and-swap both ways", lock_cas, unlock_cas, 0);
    MEASURE("fetch-or, compare-and-swap (chosen)", lock_or, unlock_cas, 0);
    MEASURE("compare-and-swap, fetch-sub (Go)", lock_cas, unlock_add, 0);
    MEASURE("fetch-or, fetch-sub", lock_or, unlock_add, 0);
    MEASURE("a section of the claim, no locked instruction", lock_section, unlock_section, 0);
    MEASURE("busy: compare-and-swap both ways", lock_cas, unlock_cas, BUSY);
    MEASURE("busy: fetch-or, compare-and-swap (chosen)", lock_or, unlock_cas, BUSY);
    return 0;
}
