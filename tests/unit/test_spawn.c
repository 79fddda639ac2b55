/*
 * test_spawn.c - goroutines that have not run yet: they wait as records without a stack (sched/spawn.c).
 */
#include <pthread.h>
#include <stdatomic.h>
#include <unistd.h>
#include <weft/weft.h>

#include "arch/fiber.h"
#include "sched/sched_int.h"
#include "weft_test.h"

static _Atomic long sum;
static weft_waitgroup all;

static long resident_kib(void)
{
    char line[128];
    long kib = 0;
    FILE *f = fopen("/proc/self/status", "r");

    REQUIRE(f != NULL);
    while (fgets(line, sizeof line, f))
        if (sscanf(line, "VmRSS: %ld", &kib) == 1)
            break;
    fclose(f);
    return kib;
}

static void add_six(int a, long b, char c, const char *d, unsigned e, bool f)
{
    atomic_fetch_add(&sum, a + b + c + (*d - '0') + e + f);
    weft_waitgroup_done(&all);
}

static void start_with_six(long n)
{
    static const char digits[] = "0123456789";

    weft_waitgroup_add(&all, (int)n);
    for (long i = 0; i < n; i++) {
        int a = (int)i;
        const char *d = &digits[i % 10];
        weft_go(add_six, a, i * 3, (char)(i % 7), d, (unsigned)(i % 5), (bool)(i % 2 == 0)); /* fn's own types: integers for sure */
        a = -1;
        d = "?";
    }
}

static long expected_of_six(long n)
{
    long x = 0;
    for (long i = 0; i < n; i++)
        x += i + i * 3 + i % 7 + i % 10 + i % 5 + (i % 2 == 0);
    return x;
}

TEST_ENV(spawn, arguments_wait_with_the_goroutine, "WEFT_PROCS=1")
{
    enum { MANY = WEFT__TSAN ? 5000 : 10000 }; /* ThreadSanitizer has 8,128 fibers, and there each has one from the start */
    start_with_six(MANY);
    weft_waitgroup_wait(&all);
    EXPECT_EQ(sum, expected_of_six(MANY));
}

TEST_ENV(spawn, waiting_goroutines_are_stolen_with_their_arguments, "WEFT_PROCS=4")
{
    for (int round = 0; round < 50; round++) {
        atomic_store(&sum, 0);
        start_with_six(2000);
        weft_waitgroup_wait(&all);
        EXPECT_EQ(sum, expected_of_six(2000));
    }
}

/* A thread without a processor: its goroutines wait in the global queue. */
static void *start_from_outside(void *arg)
{
    (void)arg;
    start_with_six(5000);
    return NULL;
}

TEST_ENV(spawn, goroutines_of_a_foreign_thread_wait_in_the_global_queue, "WEFT_PROCS=2")
{
    pthread_t t;

    REQUIRE(pthread_create(&t, NULL, start_from_outside, NULL) == 0);
    REQUIRE(pthread_join(t, NULL) == 0);
    weft_waitgroup_wait(&all);
    EXPECT_EQ(sum, expected_of_six(5000));
}

static void spin_until_set(_Atomic int *flag)
{
    while (!atomic_load(flag))
        ;
}

static void set(_Atomic int *flag)
{
    atomic_store(flag, 1);
}

/* The monitor moves what waits behind a computing goroutine to the global queue, and a worker without records takes it. */
TEST_ENV(spawn, goroutines_behind_a_computing_one_are_shared, "WEFT_PROCS=2")
{
    static _Atomic int flag;

    start_with_six(3000);
    weft_go(set, &flag);
    spin_until_set(&flag);
    weft_waitgroup_wait(&all);
    EXPECT_EQ(sum, expected_of_six(3000));
}

TEST_ENV(spawn, fewer_processors_leave_no_waiting_goroutine_behind, "WEFT_PROCS=4")
{
    start_with_six(3000);
    weft_procs(1);
    weft_waitgroup_wait(&all);
    EXPECT_EQ(sum, expected_of_six(3000));
}

enum { NUMBERED = 1000 };

static void say_number(uint64_t *ret_id)
{
    *ret_id = weft_goid();
    weft_waitgroup_done(&all);
}

TEST_ENV(spawn, each_has_a_number_of_its_own, "WEFT_PROCS=2")
{
    static uint64_t id[NUMBERED];

    weft_waitgroup_add(&all, NUMBERED);
    for (int i = 0; i < NUMBERED; i++)
        weft_go(say_number, &id[i]);
    weft_waitgroup_wait(&all);
    for (int i = 0; i < NUMBERED; i++) {
        EXPECT(id[i] > 1);
        for (int k = 0; k < i; k++)
            EXPECT(id[k] != id[i]);
    }
}

static void local_gone(void *value)
{
    atomic_fetch_add((_Atomic long *)value, 1);
}

static weft_local a_local = {.drop = local_gone};

static void panics(void)
{
    weft_panic("left behind");
}

/* Each leaves something behind where the next one begins. */
static void leaves_traces(int kind)
{
    static _Atomic long gone;

    if (kind == 0)
        weft_local_set(&a_local, &gone);
    else if (kind == 1)
        (void)weft_try(panics);
    else if (kind == 2)
        weft_lock_thread();
    else if (kind == 3)
        errno = EDOM;
    weft_waitgroup_done(&all);
    if (kind == 4)
        weft_goexit();
    if (kind == 5)
        weft_yield();
}

static void finds_nothing(uint64_t parent, uint64_t *ret_id)
{
    const struct weft__g *g = weft__g();

    EXPECT(g->try_top == NULL && g->defer_top == NULL && g->panic == NULL && g->panic_text == NULL);
    EXPECT(!g->has_locals && !g->tied && g->exiting == 0 && g->label[0] == 0 && g->at_end == NULL);
    EXPECT(weft_local_get(&a_local) == NULL);
    EXPECT_EQ(g->parent_id, parent);
    EXPECT_STR(g->site->name, "finds_nothing");
    EXPECT_EQ(atomic_load(&g->wait), WEFT__WAIT_NONE);
    EXPECT((char *)&g < g->stack_hi && (char *)&g > g->stack_hi - 4096); /* from the top again */
    *ret_id = weft_goid();
    weft_waitgroup_done(&all);
}

TEST_ENV(spawn, one_that_takes_over_an_ended_ones_stack_finds_nothing_of_it, "WEFT_PROCS=1")
{
    static uint64_t id[1200];
    const uint64_t me = weft_goid();
#ifdef WEFT_SIM
    const int n = 210; /* one in seven takes its thread with it, and the simulation has 128 of them in all */
#else
    const int n = WEFT__TSAN ? 60 : 1200;
#endif

    for (int i = 0; i < n; i++) {
        weft_waitgroup_add(&all, 2);
        if (i % 7 == 6)
            weft_go_named("a name", leaves_traces, i % 7);
        else
            weft_go(leaves_traces, i % 7);
        weft_go(finds_nothing, me, &id[i]);
    }
    weft_waitgroup_wait(&all);
    for (int i = 1; i < n; i++)
        EXPECT(id[i] != id[i - 1]);
    while (weft_num_goroutines() > 1) /* those that yielded at their end */
        weft_yield();
}

struct bulk {
    char bytes[16 * 1024];
};

static void takes_bulk(struct bulk b, int last)
{
    EXPECT_EQ(b.bytes[sizeof b.bytes - 1], last);
    weft_waitgroup_done(&all);
}

static void begins_at_the_top(void)
{
    const struct weft__g *g = weft__g();

    EXPECT((char *)&g < g->stack_hi && (char *)&g > g->stack_hi - 4096);
    weft_waitgroup_done(&all);
}

/* Each has the whole stack, whatever the one before it was given there. */
TEST_ENV(spawn, those_behind_one_with_arguments_on_its_stack_begin_at_the_top, "WEFT_PROCS=1")
{
    static struct bulk b;

    for (int i = 0; i < 20; i++) {
        b.bytes[sizeof b.bytes - 1] = (char)i;
        weft_waitgroup_add(&all, 3);
        weft_go(takes_bulk, b, i);
        weft_go(begins_at_the_top);
        weft_go(begins_at_the_top);
    }
    weft_waitgroup_wait(&all);
}

static long returns_three(void)
{
    return 3;
}

/* What is called at the end is the goroutine's own, whoever had the stack before. */
TEST_ENV(spawn, those_with_and_without_something_to_do_at_the_end_take_turns, "WEFT_PROCS=1")
{
    weft_waitgroup counted = {0};

    atomic_store(&sum, 0);
    for (int i = 0; i < 500; i++) {
        weft_waitgroup_go(&counted, returns_three);
        start_with_six(1);
    }
    weft_waitgroup_wait(&counted);
    weft_waitgroup_wait(&all);
    EXPECT_EQ(sum, 500 * expected_of_six(1));
}

/* One stack after another would be 400 MB for these. */
TEST_ENV(spawn, short_goroutines_share_a_few_stacks, "WEFT_PROCS=1")
{
    if (WEFT__TSAN || WEFT__ASAN)
        weft_test_skip("the sanitizer's own memory counts");
    start_with_six(100);
    weft_waitgroup_wait(&all);
    long before = resident_kib();
    start_with_six(100000);
    weft_waitgroup_wait(&all);
    EXPECT(resident_kib() - before < 24 * 1024);
}

/* Stacks that have been made so far, those in the processors' ranges included. */
static size_t stacks(void)
{
    struct weft__slots s;
    size_t n = 0;

    for (uint32_t k = 0; weft__stack_slots(k, &s); k++)
        n += s.cut;
    return n;
}

TEST_ENV(spawn, goroutines_of_a_retired_processor_wait_on_without_stacks, "WEFT_PROCS=2")
{
    if (WEFT__TSAN || WEFT__ASAN)
        weft_test_skip("goroutines get their stacks at once, or keep them");
    start_with_six(100);
    weft_waitgroup_wait(&all);
    for (int i = 0; i < 8; i++) {
        weft_procs(2);
        start_with_six(100000);
        weft_procs(1);
        weft_waitgroup_wait(&all);
    }
    EXPECT(stacks() < 200); /* not the thousands that were in its queue */
}

/* Whoever does run keeps its processor, so that the others wait however long the panic takes. It is the only processor: each
 * that runs is taken off it with its thread, and on several the thousands of threads would be the machine's. */
static void hardly_runs(int x)
{
    for (volatile int on = x; on;)
        ;
}

DEATH_ENV(spawn, the_dump_shows_goroutines_that_have_not_run, "WEFT_PROCS=1", 2,
      "panic: enough\n\ngoroutine 1 \\[running\\]:\n(.*\n)+\ngoroutine [0-9]+ \\[runnable\\]:\n"
      "hardly_runs\\(\\.\\.\\.\\)\n\tnot started yet\ncreated by test_spawn_the_dump_shows_goroutines_that_have_not_run in "
      "goroutine 1\n\t.*test_spawn\\.c:[0-9]+\n")
{
    if (WEFT_TEST_TSAN)
        weft_test_skip("ThreadSanitizer is so slow that hundreds get to run, each on a thread of its own, and keep the report from ending");
    for (int i = 0; i < 2000; i++)
        weft_go(hardly_runs, 1);
    weft_panic("enough");
}
