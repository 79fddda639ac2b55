/* weft_goexit: ends the goroutine with its deferred calls, whatever is around it. */
#include <pthread.h>
#include <stdatomic.h>
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

/* Runs fn in a goroutine and waits until its deferred calls are done. */
static void body(void (*fn)(void), weft_waitgroup *wg)
{
    weft_defer(weft_waitgroup_done, wg);
    weft_defer(note, 100);
    fn();
    note(-1);
}

static void run(void (*fn)(void))
{
    weft_waitgroup wg = {0};
    weft_waitgroup_add(&wg, 1);
    weft_go(body, fn, &wg);
    weft_waitgroup_wait(&wg);
}

static void down(int n)
{
    weft_defer(note, n);
    if (n == 0)
        weft_goexit();
    if (n > 0)
        down(n - 1);
    note(-2);
}

static void three(void)
{
    down(3);
}

TEST(goexit, runs_every_deferred_call)
{
    run(three);
    expect_seen("0 1 2 3 100 ");
}

static void deferred_goexit(void)
{
    weft_defer(note, 1);
    weft_defer(weft_goexit);
    note(2);
}

TEST(goexit, can_be_deferred)
{
    run(deferred_goexit);
    expect_seen("2 1 100 ");
}

static void in_try(void)
{
    EXPECT(!weft_try(three));
    note(-3);
}

TEST(goexit, is_not_stopped_by_try)
{
    run(in_try);
    expect_seen("0 1 2 3 100 ");
}

static void boom(void)
{
    weft_panic("boom");
}

static void exits_and_panics(void)
{
    weft_defer(note, 1);
    weft_defer(boom);
    weft_goexit();
}

static void panic_stopped_outside(void)
{
    weft_defer(note, 2);
    weft_try(exits_and_panics);
    note(-4);
}

TEST(goexit, goes_on_when_an_outer_try_stops_a_panic)
{
    run(panic_stopped_outside);
    expect_seen("1 2 100 ");
}

static void stops_own_panic(void)
{
    EXPECT_STR(weft_try(boom), "boom");
    note(5);
}

static void try_in_deferred(void)
{
    weft_defer(note, 1);
    weft_defer(stops_own_panic);
    weft_goexit();
}

TEST(goexit, a_deferred_call_may_panic_and_stop_it_itself)
{
    run(try_in_deferred);
    expect_seen("5 1 100 ");
}

static void cancels_panic(void)
{
    weft_defer(note, 1);
    weft_defer(weft_goexit);
    weft_panic("never reported");
}

TEST(goexit, in_a_deferred_call_ends_the_goroutine_instead_of_the_panic)
{
    run(cancels_panic);
    expect_seen("1 100 ");
}

static void cancels_panic_in_try(void)
{
    weft_try(cancels_panic);
    note(-5);
}

TEST(goexit, in_a_deferred_call_of_a_tried_panic_ends_the_goroutine)
{
    run(cancels_panic_in_try);
    expect_seen("1 100 ");
}

static void exits(void)
{
    weft_goexit();
}

static void level2(void)
{
    weft_defer(boom);
    weft_try(exits);
    note(-6);
}

static void level1(void)
{
    weft_defer(note, 1);
    weft_try(level2);
    note(-7);
}

/* The inner try is passed already when the deferred call outside of it panics: the outer one stops it. */
TEST(goexit, a_try_that_it_has_passed_stops_nothing)
{
    run(level1);
    expect_seen("1 100 ");
}

static _Atomic int cleaned;
static void clean(int *p)
{
    atomic_fetch_add(&cleaned, *p);
}

static void with_attribute(void)
{
    __attribute__((cleanup(clean))) int x = 3;
    exits();
    x = 0;
}

TEST(goexit, runs_the_compilers_clean_ups)
{
    size_t before = weft_num_goroutines();

    run(with_attribute);
    while (weft_num_goroutines() > before)
        weft_sleep(WEFT_MS);
    EXPECT_EQ(atomic_load(&cleaned), 3);
}

static void *thread_exits(void *arg)
{
    weft_defer(note, 4);
    (void)arg;
    weft_goexit();
}

TEST(goexit, ends_a_thread_of_the_program)
{
    pthread_t t;
    void *r = &t;
    REQUIRE(pthread_create(&t, NULL, thread_exits, NULL) == 0);
    EXPECT_EQ(pthread_join(t, &r), 0);
    EXPECT(!r);
    expect_seen("4 ");
}

static void ten_thousand(weft_waitgroup *wg)
{
    weft_defer(weft_waitgroup_done, wg);
    weft_goexit();
}

TEST(goexit, ten_thousand_leave_no_goroutine)
{
    weft_waitgroup wg = {0};
    for (int i = 0; i < 10000; i++) {
        weft_waitgroup_add(&wg, 1);
        weft_go(ten_thousand, &wg);
    }
    weft_waitgroup_wait(&wg);
    while (weft_num_goroutines() > 1)
        weft_sleep(WEFT_MS);
}
