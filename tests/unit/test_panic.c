/* weft_panic: deferred calls, overtaking panics, other threads. */
#include <pthread.h>
#include <weft/weft.h>

#include "weft_test.h"

static char seen[256];

static void note(int n)
{
    size_t len = strlen(seen);
    snprintf(seen + len, sizeof seen - len, "%d ", n);
}

static void expect_seen(const char *want)
{
    EXPECT_STR(seen, want);
    seen[0] = '\0';
}

static void boom(const char *what)
{
    weft_panic("%s", what);
}

static int down(int n)
{
    weft_defer(note, n);
    if (n < 0)
        return 0;
    if (n == 0)
        weft_panic("bottom %d", 42);
    return down(n - 1) + 1;
}

TEST(panic, runs_the_deferred_calls_of_every_frame)
{
    EXPECT_STR(weft_try(down, 3), "bottom 42");
    expect_seen("0 1 2 3 ");
}

static void overtaken(void)
{
    weft_defer(note, 1);
    weft_defer(boom, "second");
    weft_defer(note, 2);
    weft_panic("first");
}

TEST(panic, in_a_deferred_call_overtakes_and_the_rest_still_run)
{
    EXPECT_STR(weft_try(overtaken), "second");
    expect_seen("2 1 ");
}

static void stops_inside(void)
{
    EXPECT_STR(weft_try(boom, "inner"), "inner");
    note(5);
}

static void inner_stopped(void)
{
    weft_defer(note, 1);
    weft_defer(stops_inside);
    weft_panic("outer");
}

TEST(panic, stopped_inside_a_deferred_call_leaves_the_first_going)
{
    EXPECT_STR(weft_try(inner_stopped), "outer");
    expect_seen("5 1 ");
}

static void again(void)
{
    const char *m = weft_try(boom, "original");
    weft_panic("again: %s", m);
}

TEST(panic, can_be_thrown_again_with_its_message)
{
    EXPECT_STR(weft_try(again), "again: original");
}

static void deep_chain(int n);
static void deeper(int n)
{
    if (n < 5)
        deep_chain(n);
}

static void deep_chain(int n)
{
    weft_defer(note, n);
    weft_defer(deeper, n + 1);
    weft_panic("level %d", n);
}

TEST(panic, nested_five_deep_ends_with_the_latest)
{
    EXPECT_STR(weft_try(deep_chain, 0), "level 4");
    expect_seen("4 3 2 1 0 ");
}

static int cleaned;
static void clean(int *p)
{
    cleaned += *p;
}

static void with_attribute(void)
{
    __attribute__((cleanup(clean))) int x = 7;
    boom("through");
    x = 0;
}

TEST(panic, runs_the_compilers_clean_ups_too)
{
    EXPECT_STR(weft_try(with_attribute), "through");
    EXPECT_EQ(cleaned, 7);
}

static void clean_tries(int *p)
{
    cleaned += *p;
    EXPECT_STR(weft_try(boom, "in a clean-up"), "in a clean-up");
}

static void clean_up_with_try(void)
{
    __attribute__((cleanup(clean_tries))) int x = 1;
    boom("outer");
    x = 0;
}

TEST(panic, a_clean_up_may_stop_its_own_panic)
{
    for (int i = 0; i < 3; i++)
        EXPECT_STR(weft_try(clean_up_with_try), "outer");
    EXPECT_EQ(cleaned, 3);
}

static void moves(void)
{
    for (int i = 0; i < 20; i++) {
        weft_yield();
        weft_sleep(10 * WEFT_US);
    }
    note(9);
}

static void panics_and_parks(weft_waitgroup *wg)
{
    weft_defer(weft_waitgroup_done, wg);
    weft_defer(moves);
    weft_panic("parked on the way");
}

static void mover(weft_waitgroup *wg)
{
    EXPECT_STR(weft_try(panics_and_parks, wg), "parked on the way");
}

TEST(panic, a_deferred_call_may_park_and_wake_on_another_thread)
{
    weft_waitgroup wg = {0};
    weft_waitgroup_add(&wg, 1);
    weft_go(mover, &wg);
    weft_waitgroup_wait(&wg);
    weft_yield();
    expect_seen("9 ");
}

static void *thread_panics(void *arg)
{
    EXPECT_STR(weft_try(down, 2), "bottom 42");
    return arg;
}

TEST(panic, is_stopped_on_a_thread_of_the_program)
{
    pthread_t t;
    REQUIRE(pthread_create(&t, NULL, thread_panics, NULL) == 0);
    pthread_join(t, NULL);
    expect_seen("0 1 2 ");
}

static void *thread_nested(void *arg)
{
    EXPECT_STR(weft_try(overtaken), "second");
    return arg;
}

TEST(panic, overtakes_on_a_thread_of_the_program)
{
    pthread_t t;
    REQUIRE(pthread_create(&t, NULL, thread_nested, NULL) == 0);
    pthread_join(t, NULL);
    expect_seen("2 1 ");
}

static int compare_panics(const void *a, const void *b)
{
    (void)a, (void)b;
    weft_panic("in qsort");
}

TEST(panic, passes_through_the_c_library)
{
    int v[4] = {4, 3, 2, 1};
    EXPECT_STR(weft_try(qsort, v, 4, sizeof v[0], compare_panics), "in qsort");
}

static void storm(int id, weft_waitgroup *wg)
{
    char want[32];

    weft_defer(weft_waitgroup_done, wg);
    for (int i = 0; i < 200; i++) {
        snprintf(want, sizeof want, "g%d i%d", id, i);
        EXPECT_STR(weft_try(boom, want), want);
        weft_yield();
    }
}

TEST(panic, many_goroutines_panic_at_once)
{
    weft_waitgroup wg = {0};
    weft_waitgroup_add(&wg, 50);
    for (int i = 0; i < 50; i++)
        weft_go(storm, i, &wg);
    weft_waitgroup_wait(&wg);
}
