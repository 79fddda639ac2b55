/*
 * test_small.c - small-stack mode: compiled with -fsplit-stack, linked by gold with libweft-small.a.
 */
#include <stdatomic.h>
#include <weft/weft.h>

#include "weft_test.h"

#define NOINLINE __attribute__((noinline))

static _Atomic long count, bad;

/* Is the caller on a full stack, or not a small goroutine at all? */
static NOINLINE int full(void)
{
    void *limit;
    __asm__ volatile("movq %%fs:0x70, %0" : "=r"(limit));
    return limit == NULL;
}

static NOINLINE int deep(int n)
{
    volatile char b[300];
    b[n] = (char)n;
    return n == 0 ? full() : deep(n - 1) + (b[n] != n);
}

/* What each step found, as bits: checks go to the test's own goroutine, for EXPECT calls libc. */
static void climbs(weft_chan(int) in, weft_chan(int) out)
{
    int was = full() | deep(20) << 1 | full() << 2;
    int v = weft_recv(in);

    weft_send(out, was | full() << 3 | (v != 41) << 4);
}

TEST(small, starts_small_goes_deep_on_a_full_stack_and_comes_back)
{
    weft_chan(int) in = weft_make(int), out = weft_make(int);

    EXPECT(full());
    weft_go(climbs, in, out);
    weft_send(in, 41);
    EXPECT_EQ(weft_recv(out), 2);
    weft_free(in);
    weft_free(out);
}

static NOINLINE int formats(int x)
{
    char b[64];
    snprintf(b, sizeof b, "%d %s %.2f", x, "of", (double)x);
    return (int)strtol(b, NULL, 10) == x && full();
}

static NOINLINE long many(long a, long b, long c, long d, long e, long f, long g, long h, double x)
{
    volatile char z[900];
    z[899] = 1;
    return a + 2 * b + 3 * c + 4 * d + 5 * e + 6 * f + 7 * g + 8 * h + (long)x + z[899];
}

static NOINLINE int sums(int n, ...)
{
    volatile char z[900];
    __builtin_va_list ap;
    int s = 0;

    z[0] = 0;
    __builtin_va_start(ap, n);
    while (n-- > 0)
        s += __builtin_va_arg(ap, int);
    __builtin_va_end(ap);
    return s + z[0];
}

static void calls(weft_chan(int) out)
{
    int ok = formats(7) | (many(1, 2, 3, 4, 5, 6, 7, 8, 9.5) == 204 + 9 + 1) << 1;

    ok |= (sums(9, 1, 2, 3, 4, 5, 6, 7, 8, 9) == 45) << 2 | !full() << 3;
    weft_send(out, ok);
}

TEST(small, calls_into_libc_and_with_stack_arguments_are_right)
{
    weft_chan(int) out = weft_make(int);

    weft_go(calls, out);
    EXPECT_EQ(weft_recv(out), 15);
    weft_free(out);
}

static void stage(weft_chan(long) in, weft_chan(long) out, long n)
{
    long bad_here = 0;

    for (long i = 0; i < n; i++) {
        long v = weft_recv(in);
        if (i % 16 == 0)
            bad_here += !formats((int)v % 1000);
        weft_send(out, v + 1);
    }
    atomic_fetch_add(&bad, bad_here);
    atomic_fetch_add(&count, 1);
}

static void pipeline(long n)
{
    enum { STAGES = 60 };
    weft_chan(long) ch[STAGES + 1];

    for (int i = 0; i <= STAGES; i++)
        ch[i] = weft_make(long, i % 3);
    for (int i = 0; i < STAGES; i++)
        weft_go(stage, ch[i], ch[i + 1], n);
    for (long i = 0; i < n + 3; i++) {
        if (i < n)
            weft_send(ch[0], i);
        if (i >= 3)
            EXPECT_EQ(weft_recv(ch[STAGES]), i - 3 + STAGES);
    }
    while (atomic_load(&count) < STAGES)
        weft_sleep(WEFT_MS);
    EXPECT_EQ(atomic_load(&bad), 0);
    for (int i = 0; i <= STAGES; i++)
        weft_free(ch[i]);
}

TEST(small, a_pipeline_of_small_goroutines_moves_between_threads)
{
    pipeline(3000);
}

TEST_ENV(small, a_pipeline_of_small_goroutines_on_one_processor, "WEFT_PROCS=1")
{
    pipeline(3000);
}

static void waits(weft_chan(int) gate, weft_waitgroup *wg)
{
    (void)weft_recv(gate);
    weft_waitgroup_done(wg);
}

static long status_kib(const char *key)
{
    char line[128];
    long kib = -1;
    FILE *f = fopen("/proc/self/status", "r");

    while (f && fgets(line, sizeof line, f))
        if (strncmp(line, key, strlen(key)) == 0)
            kib = strtol(line + strlen(key) + 1, NULL, 10);
    if (f)
        fclose(f);
    return kib;
}

TEST_ENV(small, a_parked_goroutine_costs_about_a_kilobyte, "WEFT_PROCS=1")
{
    enum { N = 100000 };
    weft_waitgroup wg = {0};
    weft_chan(int) gate = weft_make(int);
    long before = status_kib("VmRSS") + status_kib("VmPTE");

    weft_waitgroup_add(&wg, N);
    for (int i = 0; i < N; i++)
        weft_go(waits, gate, &wg);
    weft_sleep(10 * WEFT_MS);
    while (weft_num_goroutines() < N)
        weft_sleep(WEFT_MS);
    weft_sleep(50 * WEFT_MS);
    long bytes = (status_kib("VmRSS") + status_kib("VmPTE") - before) * 1024 / N;
    if (bytes > 1300)
        weft_test_fail(__FILE__, __LINE__, "%ld bytes for a parked goroutine", bytes);
    weft_close(gate);
    weft_waitgroup_wait(&wg);
    weft_free(gate);
}

static void bump(_Atomic long *n)
{
    atomic_fetch_add(n, 1);
}

static void panics(void)
{
    weft_panic("in a small goroutine");
}

static void starts_and_tries(weft_chan(int) in, weft_chan(int) out)
{
    static _Atomic long n;
    int v = weft_recv(in);

    weft_defer(bump, &count);
    weft_go(bump, &n);
    int caught = weft_try(panics) != NULL;
    while (atomic_load(&n) == 0)
        weft_yield();
    weft_send(out, v + caught);
}

TEST(small, go_defer_and_try_work)
{
    weft_chan(int) in = weft_make(int), out = weft_make(int);

    weft_go(starts_and_tries, in, out);
    weft_send(in, 1);
    EXPECT_EQ(weft_recv(out), 2);
    while (atomic_load(&count) == 0)
        weft_sleep(WEFT_MS);
    EXPECT_EQ(atomic_load(&count), 1);
    weft_free(in);
    weft_free(out);
}

static void exits(weft_chan(int) in)
{
    if (weft_recv(in))
        weft_goexit();
    atomic_fetch_add(&bad, 1);
}

TEST(small, goexit_ends_a_small_goroutine)
{
    weft_chan(int) in = weft_make(int);

    for (int i = 0; i < 100; i++) {
        weft_go(exits, in);
        weft_send(in, 1);
    }
    while (weft_num_goroutines() > 1)
        weft_sleep(WEFT_MS);
    EXPECT_EQ(atomic_load(&bad), 0);
    weft_free(in);
}

static void sends_on_closed(weft_chan(int) ch)
{
    weft_send(ch, 1);
}

DEATH(small, a_close_while_a_send_waits_on_a_small_stack_panics, 2, "panic: send on closed channel\n(.*\n)*goroutine [0-9]+ \\[running\\]")
{
    weft_chan(int) ch = weft_make(int);

    weft_go(sends_on_closed, ch);
    weft_sleep(20 * WEFT_MS);
    weft_close(ch);
    weft_sleep(60 * WEFT_MIN);
}

DEATH(small, a_dump_shows_where_small_goroutines_wait, 2, "deadlock!\n(.*\n)*goroutine [0-9]+ \\[chan receive\\]:\n(.*\n)*exits\\(\\.\\.\\.\\)\n")
{
    weft_chan(int) in = weft_make(int);

    weft_go(exits, in);
    weft_recv(weft_make(int));
}
