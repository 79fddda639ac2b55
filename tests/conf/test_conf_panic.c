/*
 * test_conf_panic.c - defer, panic and recover, as Go's tests hold them; recover is weft_try here.
 *
 * Where Go's deferred call recovers the panic of its own function, the function's body stands in a try here. So what is
 * left out of Go's tests is who may call recover, and when: a try is around a call, or it is not.
 *
 * Source  Go: test/{defer,defernil,deferprint,recover,recover1,stack,sigchld,goprint}.go, test/fixedbugs. See LIST.md.
 */
#include "conf.h"
#include <signal.h>
#include <stdarg.h>
#include <unistd.h>

#define NOINLINE __attribute__((noinline))

static char seen[256];

static void note(int n)
{
    size_t len = strlen(seen);
    snprintf(seen + len, sizeof seen - len, "%d", n);
}

static void note_text(const char *s)
{
    size_t len = strlen(seen);
    snprintf(seen + len, sizeof seen - len, "%s", s);
}

static void panic_number(int n)
{
    weft_panic("%d", n);
}

static void expect_number(int n)
{
    char want[16];
    snprintf(want, sizeof want, "%d", n);
    EXPECT_STR(weft_try(panic_number, n), want);
}

static void nothing(void)
{
}

static void expect_nothing(void)
{
    EXPECT(weft_try(nothing) == NULL);
}

/* ---- order (test/defer.go) ---- */

static void defer_down(int n)
{
    weft_defer(note, n);
    if (n < 9)
        defer_down(n + 1);
}

TEST(conf_panic, deferred_calls_run_last_first)
{
    {
        weft_defer(note, 0);
        weft_defer(note, 1);
        weft_defer(note, 2);
        weft_defer(note_text, "-");
    }
    defer_down(0);
    EXPECT_STR(seen, "-2109876543210");
}

/* Go's loop defers to the end of the function; api.md: to the end of the block, here of each round */
TEST(conf_panic, deferred_calls_of_a_loop_run_in_each_round)
{
    for (int i = 0; i < 10; i++) {
        weft_defer(note, i);
        note_text(".");
    }
    EXPECT_STR(seen, ".0.1.2.3.4.5.6.7.8.9");
}

static int x;

static void defers_nil(void)
{
    void (*nil)(void) = NULL;
    weft_defer(nil);
    x = 1;
}

/* Go: test/defernil.go: it panics when it is due, not when it is deferred */
TEST(conf_panic, a_deferred_nil_panics_when_it_is_due)
{
    EXPECT_PANIC("nil func", defers_nil);
    EXPECT_EQ(x, 1);
}

static void panics_over_nil(void)
{
    void (*nil)(void) = NULL;
    weft_defer(nil);
    weft_panic("1");
}

/* Go: test/fixedbugs/issue8047b.go: the nil's panic takes the first one's place; one try stops both */
TEST(conf_panic, a_deferred_nil_during_a_panic_is_stopped_with_it)
{
    EXPECT_PANIC("nil func", panics_over_nil);
    expect_nothing();
}

/* Go: test/deferprint.go: variadic calls with arguments of every class */
TEST(conf_panic, variadic_calls_are_deferred_whole)
{
    char one[200] = "", two[200] = "";
    {
        weft_defer(snprintf, one, sizeof one, "%d %d %g %s %p %u %c", 42, true, 1.5, "world", NULL, 255U, 'c');
        weft_defer(snprintf, two, sizeof two, "%d %d %d %d %d %d %d %d %d %d %d %d %d", 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13);
        EXPECT_STR(one, "");
    }
    EXPECT_STR(one, "42 1 1.5 world (nil) 255 c");
    EXPECT_STR(two, "1 2 3 4 5 6 7 8 9 10 11 12 13");
}

/* Go: test/goprint.go: a goroutine of a library function, with arguments of every class, ends */
TEST(conf_panic, a_goroutine_may_be_a_call_of_the_c_library)
{
    static char out[100];
    weft_waitgroup wg = {0};
    weft_waitgroup_go(&wg, snprintf, out, sizeof out, "%d %g %s", 42, 1.5, "world");
    weft_waitgroup_wait(&wg);
    EXPECT_STR(out, "42 1.5 world");
}

/* ---- a try stops what is inside of it, once (test/recover.go) ---- */

static void panics_1(void)
{
    weft_defer(expect_nothing);
    weft_defer(note, 2);
    weft_defer(expect_nothing);
    weft_panic("1");
}

/* Go: recover.go test1, test3, test4 */
TEST(conf_panic, a_try_stops_a_panic_once_and_deferred_tries_do_not)
{
    EXPECT_STR(weft_try(panics_1), "1");
    EXPECT_STR(seen, "2");
    expect_nothing();
}

static int default_or_panic(bool panics)
{
    if (panics)
        weft_panic("5");
    return 55;
}

static void keep_result(int *ret_v, bool panics)
{
    *ret_v = default_or_panic(panics);
}

/* Go: recover.go test5; fixedbugs issue14725, issue4066, issue1304: results and variables are what they were */
TEST(conf_panic, a_result_is_kept_unless_the_call_panicked)
{
    int v = 5, count = 0;
    EXPECT(weft_try(keep_result, &v, false) == NULL);
    EXPECT_EQ(v, 55);
    v = 7;
    for (int i = 0; i < 10; i++) {
        count++;
        EXPECT_STR(weft_try(keep_result, &v, true), "5");
    }
    EXPECT_EQ(v, 7);
    EXPECT_EQ(count, 10);
}

static NOINLINE void big(void)
{
    volatile char pad[800000];
    pad[0] = 1;
    pad[sizeof pad - 1] = 1;
    note(pad[0] + pad[sizeof pad - 1]);
    expect_number(66);
}

static void panics_under_big(void)
{
    weft_defer(big);
    weft_defer(big);
    weft_panic("6");
}

/* Go: recover.go test6, on goroutine 1, whose stack has megabytes */
TEST(conf_panic, deferred_calls_with_large_frames_run_in_a_panic)
{
    EXPECT_STR(weft_try(panics_under_big), "6");
    EXPECT_STR(seen, "22");
}

static void stops_its_own(void)
{
    weft_defer(note, 1);
    EXPECT_STR(weft_try(panic_number, 7), "7");
    note(0);
}

/* Go: recover.go test7: the function that stopped a panic goes on, and its deferred calls run at its end */
TEST(conf_panic, deferred_calls_outside_of_the_try_run_later)
{
    stops_its_own();
    note(2);
    EXPECT_STR(seen, "012");
}

static void add_up(int *sum, int n, ...)
{
    va_list ap;
    *sum = 0;
    va_start(ap, n);
    for (int i = 0; i < n; i++)
        *sum += va_arg(ap, int);
    va_end(ap);
}

static void panics_over_sum(int *sum)
{
    weft_defer(add_up, sum, 3, 1, 2, 3);
    weft_panic("0");
}

/* Go: recover.go test8 */
TEST(conf_panic, a_deferred_variadic_call_runs_in_a_panic)
{
    int sum = 9;
    EXPECT_STR(weft_try(panics_over_sum, &sum), "0");
    EXPECT_EQ(sum, 6);
}

struct large {
    char b[8192];
};

static void check_large(struct large l, int n)
{
    EXPECT_EQ(l.b[0], n);
    EXPECT_EQ(l.b[8191], n);
    note(n);
}

static void panics_over_large(int n)
{
    struct large l;
    memset(&l, n, sizeof l);
    weft_defer(check_large, l, n);
    memset(&l, 0, sizeof l);
    weft_panic("%d", n);
}

/* Go: recover.go test9 to test14: what is passed by value, up to 8,192 bytes, is whole in the deferred call */
TEST(conf_panic, large_values_reach_deferred_calls_in_a_panic)
{
    EXPECT_STR(weft_try(panics_over_large, 3), "3");
    EXPECT_STR(seen, "3");
}

static void panic_inside(void)
{
    expect_number(112);
    expect_nothing();
    note(1);
}

static void panics_111(void)
{
    weft_defer(panic_inside);
    weft_panic("111");
}

/* Go: recover.go test111 */
TEST(conf_panic, a_panic_stopped_in_a_deferred_call_leaves_the_outer_one)
{
    EXPECT_STR(weft_try(panics_111), "111");
    EXPECT_STR(seen, "1");
}

/* ---- panics in turn and inside each other (test/recover1.go) ---- */

static void nested_1(void)
{
    weft_defer(expect_number, 2);
    weft_panic("1");
}

/* Go: recover1.go test1 */
TEST(conf_panic, an_inner_panic_is_stopped_before_the_outer)
{
    EXPECT_STR(weft_try(nested_1), "1");
}

/* Go: recover1.go test2 to test7 */
TEST(conf_panic, one_panic_may_follow_another)
{
    for (int i = 0; i < 100; i++) {
        expect_number(i);
        expect_nothing();
    }
}

static void panics_2_over_3(void)
{
    weft_defer(panic_number, 3);
    weft_panic("2");
}

static void expect_3(void)
{
    EXPECT_STR(weft_try(panics_2_over_3), "3");
    note(3);
}

static void panics_1_over_3(void)
{
    weft_defer(expect_3);
    weft_panic("1");
}

static void defers_panic_5(void)
{
    weft_defer(panic_number, 5);
}

static void panics_4_over_5(void)
{
    weft_defer(defers_panic_5);
    weft_panic("4");
}

/* Go: test/fixedbugs/issue43942.go */
TEST(conf_panic, each_level_stops_its_own)
{
    EXPECT_STR(weft_try(panics_1_over_3), "1");
    EXPECT_STR(weft_try(panics_4_over_5), "5");
    EXPECT_STR(seen, "3");
    expect_nothing();
}

static void stop_and_goexit(weft_sender(bool) done)
{
    expect_number(1);
    weft_send(done, true);
    weft_goexit();
}

static void panic_then_leave(weft_sender(bool) done)
{
    weft_defer(stop_and_goexit, done);
    weft_panic("p");
}

/* Go: test/fixedbugs/issue8158.go: a goexit out of a deferred call leaves nothing behind for later panics */
TEST(conf_panic, goexit_out_of_a_panic_leaves_nothing_behind)
{
    weft_chan(bool) done = weft_make(bool, 1);
    for (int i = 0; i < 20; i++) {
        weft_go(panic_then_leave, done);
        (void)weft_recv(done);
        expect_number(i);
    }
    weft_free(done);
}

/* ---- arguments at depth (test/stack.go) ---- */

struct twenty {
    int n[20];
};

static void sum_to(weft_sender(int) c, struct twenty t)
{
    int sum = 0;
    for (int i = 0; i < 20; i++)
        sum += t.n[i];
    weft_send(c, sum);
}

static int deferred_right;

static void expect_twenty(struct twenty t)
{
    for (int i = 0; i < 20; i++)
        if (t.n[i] != 1)
            return;
    deferred_right++;
}

static NOINLINE void recur(int depth, weft_chan(int) c)
{
    struct twenty t;
    for (int i = 0; i < 20; i++)
        t.n[i] = 1;
    weft_defer(expect_twenty, t);
    weft_go(sum_to, c, t);
    memset(&t, 0, sizeof t);
    EXPECT_EQ(weft_recv(c), 20);
    if (depth > 0)
        recur(depth - 1, c);
}

TEST(conf_panic, structs_reach_goroutines_and_deferred_calls_at_any_depth)
{
    weft_chan(int) c = weft_make(int);
    weft_waitgroup wg = {0};
    recur(1000, c);
    EXPECT_EQ(deferred_right, 1001);
    deferred_right = 0;
    weft_waitgroup_go(&wg, recur, 20, c);
    weft_waitgroup_wait(&wg);
    EXPECT_EQ(deferred_right, 21);
    weft_free(c);
}

/* ---- the end of the process ---- */

/* Go: test/sigchld.go */
TEST(conf_panic, sigchld_does_no_harm)
{
    weft_yield();
    kill(getpid(), SIGCHLD);
    weft_sleep(WEFT_MS);
}

static void send_three(weft_sender(int) c)
{
    weft_send(c, 3);
}

static void exit_with_received(weft_receiver(int) c)
{
    exit(weft_recv(c));
}

/* Go: test/fixedbugs/issue5963.go: goroutine 1 ends on its own thread, another ends the process */
DEATH(conf_panic, another_goroutine_may_exit_after_goexit_of_main, 3, "^$")
{
    weft_chan(int) c = weft_make(int, 1);
    weft_lock_thread();
    weft_defer(send_three, c);
    weft_go(exit_with_received, c);
    weft_goexit();
}
