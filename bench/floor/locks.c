/*
 * locks.c - what limits the rows of mutex, timer and try: the same steps without a scheduler.
 *
 * Role    One line of JSON a floor: ns, the best of RUNS runs. docs/perf/limits.md sets them beside the rows.
 *         mutex        two locked instructions and a store between them: no lock that threads share does with less
 *         rwmutex      the row's nine readers and a writer on one thread: a locked add each way, a wide compare-and-swap each
 *                      way
 *         work         bench_work(100), the dependent arithmetic of the row "mutex with work inside"
 *         work_twice   inside and outside of the lock: all that one processor can do of that row, without any lock
 *         hand_off     one word from a thread to another and back, half of it: a contended mutex on two processors
 *         clock        clock_gettime(CLOCK_MONOTONIC), by the vdso
 *         counter      the time stamp counter alone
 *         try          a record linked into a chain, a call through a pointer, the record unlinked
 * Near    bench/micro/syncs.c, timers.c, unwinds.c.
 * Limits  x86-64 for "counter". hand_off wants two free CPUs (chrt -f 10); beside other work it takes minutes and says nothing.
 */
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <time.h>

enum { RUNS = 15, N = 1000000, HANDS = 10000, WORK = 100 };

static struct {
    _Alignas(64) _Atomic uint32_t word;
    volatile long v;
    _Alignas(64) _Atomic uint32_t turn;
    _Alignas(64) union {
        _Atomic uint32_t readers;
        _Atomic uint64_t both;
    } rw;
} at;
static volatile long sink;

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static __attribute__((noinline)) void taken(void)
{
    sink++;
}

static void mutex(long n)
{
    for (long i = 0; i < n; i++) {
        if (atomic_fetch_or_explicit(&at.word, 1, memory_order_acquire) & 1)
            taken();
        at.v++;
        uint32_t one = 1;
        if (!atomic_compare_exchange_strong_explicit(&at.word, &one, 0, memory_order_release, memory_order_relaxed))
            taken();
    }
}

static void rwmutex(long n)
{
    long s = 0;

    for (long i = 0; i < n; i++) {
        if (i % 10 == 0) {
            uint64_t none = 0, mine = 1;
            if (!atomic_compare_exchange_strong_explicit(&at.rw.both, &none, mine, memory_order_acquire, memory_order_relaxed))
                return;
            at.v++;
            if (!atomic_compare_exchange_strong_explicit(&at.rw.both, &mine, 0, memory_order_release, memory_order_relaxed))
                return;
        } else {
            atomic_fetch_add_explicit(&at.rw.readers, 1, memory_order_acquire);
            s += at.v;
            atomic_fetch_sub_explicit(&at.rw.readers, 1, memory_order_release);
        }
    }
    sink = s;
}

static __attribute__((noinline)) uint64_t work_once(int iters, uint64_t x)
{
    for (int i = 0; i < iters; i++)
        x = x * 6364136223846793005u + 1442695040888963407u;
    return x;
}

static void work(long n)
{
    uint64_t x = 1;
    for (long i = 0; i < n / 10; i++)
        x = work_once(WORK, x);
    sink = (long)x;
}

static void work_twice(long n)
{
    work(n);
    work(n);
}

static void turns(uint32_t mine)
{
    for (long i = 0; i < HANDS; i++) {
        for (int spins = 0; atomic_load_explicit(&at.turn, memory_order_acquire) != mine;)
            if (++spins % 1000 == 0)
                sched_yield();
        atomic_store_explicit(&at.turn, !mine, memory_order_release);
    }
}

static void *other(void *arg)
{
    (void)arg;
    turns(1);
    return NULL;
}

static void hand_off(long n)
{
    pthread_t t;
    (void)n;
    if (pthread_create(&t, NULL, other, NULL) != 0)
        return;
    turns(0);
    pthread_join(t, NULL);
}

static void clock_read(long n)
{
    for (long i = 0; i < n; i++)
        sink = (long)now();
}

#if defined(__x86_64__)
static void counter(long n)
{
    for (long i = 0; i < n; i++)
        sink = (long)__builtin_ia32_rdtsc();
}
#endif

struct record {
    struct record *prev;
    void (*fn)(void);
};
static struct record *volatile top;

static __attribute__((noinline)) void call_in(struct record *r)
{
    r->prev = top;
    top = r;
    r->fn();
    top = r->prev;
}

static void try_call(long n)
{
    for (long i = 0; i < n; i++) {
        struct record r = {.fn = taken};
        __asm__ volatile("" : "+m"(r));
        call_in(&r);
    }
}

static void floor_of(const char *name, void (*f)(long n), long ops)
{
    double best = 1e18;
    for (int r = 0; r < RUNS; r++) {
        double t0 = now();
        f(N);
        double ns = (now() - t0) / (double)ops;
        best = ns < best ? ns : best;
    }
    printf("{\"floor\": \"%s\", \"ns\": %.2f}\n", name, best);
}

int main(void)
{
    (void)setvbuf(stdout, NULL, _IOLBF, 0);
    floor_of("mutex", mutex, N);
    floor_of("rwmutex", rwmutex, N);
    floor_of("work", work, N / 10);
    floor_of("work_twice", work_twice, N / 10);
    floor_of("hand_off", hand_off, 2L * HANDS);
    floor_of("clock", clock_read, N);
#if defined(__x86_64__)
    floor_of("counter", counter, N);
#endif
    floor_of("try", try_call, N);
    return 0;
}
