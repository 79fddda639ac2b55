/*
 * test_scavenge.c - memory of stacks that went deep is given back, and only what nobody uses.
 */
#include <dirent.h>
#include <limits.h>
#include <pthread.h>
#include <stdatomic.h>
#include <time.h>
#include <weft/weft.h>

#include "arch/fiber.h"
#include "sched/sched_int.h"
#include "sys/pages.h"
#include "weft_test.h"

#define NOINLINE __attribute__((noinline))

enum { N = WEFT__TSAN ? 300 : 1000, DEEP = 40 * 1024 };

/* Bytes of memory that all stacks together have. */
static size_t stack_memory(void)
{
    struct weft__slots s;
    size_t bytes = 0;

    for (uint32_t k = 0; weft__stack_slots(k, &s); k++) {
        char *at = s.base, *end = s.base + s.slot * s.cut;
        while (at < end) {
            struct weft__sys_run run[64];
            int n = weft__sys_resident(at, end, run, 64, &at);
            REQUIRE(n >= 0);
            for (int i = 0; i < n; i++)
                bytes += (size_t)(run[i].hi - run[i].lo);
        }
    }
    return bytes;
}

/* Goes down by about this many bytes, writing each page. */
static NOINLINE long descend(long bytes)
{
    volatile char b[900];
    b[0] = b[899] = (char)bytes;
    __asm__ volatile("" : : "r"(b)); /* clang keeps two bytes of the array otherwise */
    return bytes <= 0 ? b[0] : descend(bytes - 1000) + b[899];
}

static void deep_then_park(weft_chan(int) gate, weft_chan(int) down)
{
    descend(DEEP);
    weft_send(down, 0);
    (void)weft_recv(gate);
    descend(DEEP / 2);
}

static void start_deep(weft_chan(int) gate, weft_chan(int) down)
{
    for (int i = 0; i < N; i++)
        weft_go(deep_then_park, gate, down);
    for (int i = 0; i < N; i++)
        (void)weft_recv(down);
}

static void end_all(weft_chan(int) gate)
{
    weft_close(gate);
    while (weft_num_goroutines() > 1)
        weft_sleep(WEFT_MS);
}

/* Waits until the stacks have at most this much memory. */
static bool comes_down_to(size_t bytes)
{
    for (int i = 0; i < 300; i++) {
        if (stack_memory() <= bytes)
            return true;
        weft_sleep(100 * WEFT_MS);
    }
    return false;
}

TEST(scavenge, parked_goroutines_give_back_what_they_used_once)
{
    weft_chan(int) gate = weft_make(int), down = weft_make(int, N);

    start_deep(gate, down);
    EXPECT(comes_down_to((size_t)N * 16 * 1024));
    EXPECT(weft__scavenge_discards() >= N / 2); /* of 44 KiB each, 16 are left on average */
    end_all(gate);
    weft_free(gate);
    weft_free(down);
}

TEST(scavenge, ended_goroutines_stacks_are_given_back)
{
    weft_chan(int) gate = weft_make(int), down = weft_make(int, N);

    start_deep(gate, down);
    end_all(gate);
    EXPECT(comes_down_to((size_t)N * 16 * 1024));
    weft_free(gate);
    weft_free(down);
}

static void deep_at_work(_Atomic int *stop, weft_waitgroup *wg)
{
    while (!atomic_load(stop))
        weft_sleep(5 * WEFT_MS);
    weft_waitgroup_done(wg);
}

TEST(scavenge, goes_on_while_other_goroutines_run)
{
    weft_chan(int) gate = weft_make(int), down = weft_make(int, N);
    weft_waitgroup wg = {0};
    _Atomic int stop = 0;

    weft_waitgroup_add(&wg, 1);
    weft_go(deep_at_work, &stop, &wg);
    start_deep(gate, down);
    EXPECT(comes_down_to((size_t)N * 16 * 1024));
    atomic_store(&stop, 1);
    weft_waitgroup_wait(&wg);
    end_all(gate);
    weft_free(gate);
    weft_free(down);
}

/* ---- contents ---- */

static _Atomic long bad, rounds;
static _Atomic int stop;

/* Marks every frame, parks at the bottom for a while or not at all, looks at the marks again. */
static NOINLINE void dig(long depth, long tag)
{
    volatile long mark[64];

    for (long i = 0; i < 64; i++)
        mark[i] = tag + depth * 64 + i;
    if (depth > 0)
        dig(depth - 1, tag);
    else
        weft_sleep((weft_dur)(tag % 3) * WEFT_MS);
    for (long i = 0; i < 64; i++)
        if (mark[i] != tag + depth * 64 + i)
            atomic_fetch_add(&bad, 1);
}

static void worker(long id, weft_waitgroup *wg)
{
    for (long k = 0; !atomic_load(&stop); k++) {
        long depth = (id * 7 + k * 13) % 55;
        dig(depth, id * 1000000 + k);
        atomic_fetch_add(&rounds, 1);
        if (k % 3 == 0)
            weft_sleep((weft_dur)((id + k) % 5) * WEFT_MS);
    }
    weft_waitgroup_done(wg);
}

static void short_life(long id, weft_waitgroup *wg)
{
    dig(id % 60, id);
    weft_waitgroup_done(wg);
}

/* Passes follow each other without a pause, and every goroutine that is parked or dead at two of them is held. */
TEST_SLOW(scavenge, leaves_what_is_in_use_alone, 120)
{
    enum { WORKERS = WEFT__TSAN ? 60 : 200, BORN = WEFT__TSAN ? 2000 : 30000 };
    weft_waitgroup wg = {0};

    weft__scavenge_pace = (struct weft__scavenge_pace){0, 0, 0, 0};
    weft_waitgroup_add(&wg, WORKERS);
    for (long i = 0; i < WORKERS; i++)
        weft_go(worker, i, &wg);
    for (long i = 0; i < BORN; i += 100) {
        weft_waitgroup born = {0};
        weft_waitgroup_add(&born, 100);
        for (long k = 0; k < 100; k++)
            weft_go(short_life, i + k, &born);
        weft_waitgroup_wait(&born);
        if (i % 1000 == 0)
            weft_sleep(3 * WEFT_MS);
    }
    atomic_store(&stop, 1);
    weft_waitgroup_wait(&wg);
    EXPECT_EQ(atomic_load(&bad), 0);
    EXPECT(atomic_load(&rounds) > WORKERS);
    EXPECT(weft__scavenge_discards() > 100);
}

static void nothing(weft_waitgroup *wg)
{
    weft_waitgroup_done(wg);
}

/* A worker may be off its CPU between the first touch of a slot's descriptor and the stores of its bounds. */
TEST(scavenge, a_slot_that_is_being_taken_into_use_is_left_alone)
{
    weft_waitgroup wg = {0};
    struct weft__slots s;
    struct weft__g *fresh = NULL;
    static char canary[64 * 1024];

    weft__scavenge_pace = (struct weft__scavenge_pace){0, 0, 0, 0};
    weft_waitgroup_add(&wg, 1);
    weft_go(nothing, &wg);
    weft_waitgroup_wait(&wg);
    REQUIRE(weft__stack_slots(0, &s));
    for (size_t i = s.cut; i > 0 && !fresh; i--)
        if (!weft__slots_g(&s, i - 1)->stack_hi)
            fresh = weft__slots_g(&s, i - 1);
    REQUIRE(fresh);
    *(volatile int *)&fresh->saved_errno = 0;
    memset(canary, 7, sizeof canary);
    for (int i = 0; i < 300; i++)
        weft_sleep(WEFT_MS);
    for (size_t i = 0; i < sizeof canary; i++)
        REQUIRE(canary[i] == 7);
    EXPECT_EQ(atomic_load(&fresh->hold), 0);
}

/* ---- when nothing happens ---- */

/* Voluntary switches of all threads of the process: each is a wake-up. */
static long wakeups(void)
{
    DIR *d = opendir("/proc/self/task");
    long sum = 0;

    REQUIRE(d);
    for (struct dirent *e; (e = readdir(d));) {
        char path[300], line[128];
        snprintf(path, sizeof path, "/proc/self/task/%s/status", e->d_name);
        FILE *f = e->d_name[0] == '.' ? NULL : fopen(path, "r");
        while (f && fgets(line, sizeof line, f))
            if (strncmp(line, "voluntary", 9) == 0)
                sum += strtol(line + 24, NULL, 10);
        if (f)
            fclose(f);
    }
    closedir(d);
    return sum;
}

enum { AWAKE_MAX = WEFT__TSAN ? 25 : 5 }; /* the counting thread's own, next to nothing; tsan has a thread too */

/* Looks from outside of weft; says the fewest wake-ups in a second, of some seconds: the end of the tidying may take more. */
static void *count_wakeups(void *say)
{
    const struct timespec second = {1, 0};
    long least = LONG_MAX;

    for (int i = 0; i < 20 && least > AWAKE_MAX; i++) {
        long before = wakeups();
        nanosleep(&second, NULL);
        long n = wakeups() - before;
        least = n < least ? n : least;
    }
    weft_send((weft_chan(long))say, least);
    return NULL;
}

TEST(scavenge, an_idle_process_sleeps_on_when_all_is_given_back)
{
    weft_chan(int) gate = weft_make(int), down = weft_make(int, N);
    weft_chan(long) say = weft_make(long, 1);
    pthread_t t;

    start_deep(gate, down);
    EXPECT(comes_down_to((size_t)N * 16 * 1024));
    REQUIRE(pthread_create(&t, NULL, count_wakeups, say) == 0);
    long n = weft_recv(say);
    pthread_join(t, NULL);
    EXPECT(n >= 1 && n <= AWAKE_MAX);
    weft_free(say);
    end_all(gate);
    weft_free(gate);
    weft_free(down);
}

TEST(scavenge, mincore_finds_what_the_page_map_scan_finds)
{
    weft_chan(int) gate = weft_make(int), down = weft_make(int, N);

    weft__scavenge_pace.bytes_min = SIZE_MAX; /* no passes */
    start_deep(gate, down);
    size_t scan = stack_memory();
    weft__sys_no_pagemap_scan = 1;
    size_t core = stack_memory();
    EXPECT(scan >= (size_t)N * DEEP);
    EXPECT(core + 65536 > scan && core < scan + 65536);
    end_all(gate);
    weft_free(gate);
    weft_free(down);
}

TEST(scavenge, works_without_page_map_scan)
{
    weft_chan(int) gate = weft_make(int), down = weft_make(int, N);

    weft__sys_no_pagemap_scan = 1;
    start_deep(gate, down);
    EXPECT(comes_down_to((size_t)N * 16 * 1024));
    EXPECT(weft__scavenge_discards() >= N / 2); /* of 44 KiB each, 16 are left on average */
    end_all(gate);
    weft_free(gate);
    weft_free(down);
}
