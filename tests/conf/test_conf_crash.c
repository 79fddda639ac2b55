/*
 * test_conf_crash.c - how a program ends: deadlocks, panics inside panics, goexit on goroutine 1.
 *
 * A deferred call that recovers in Go is, in C, a weft_try around the call whose deferred calls are meant. A panic that
 * a try has stopped is listed as "[recovered]" in a later report only when that one has or contains its words.
 *
 * Source  Go: src/runtime/crash_test.go, testdata/testprog/deadlock.go, crash.go, panicrace.go. LIST.md says which.
 */
#include "conf.h"
#include <arpa/inet.h>
#include <sys/socket.h>
#include <unistd.h>

#define NOINLINE __attribute__((noinline))
#define ASLEEP "^fatal error: all goroutines are asleep - deadlock!\n"
#define NO_GOROUTINES "^fatal error: no goroutines \\(main called runtime\\.Goexit\\) - deadlock!\n"

static void sleep_for_ever(void)
{
    (void)weft_selectv(NULL, 0);
}

static void show(const char *s)
{
    fprintf(stderr, "%s\n", s ? s : "(null)");
}

/* ---- deadlocks ---- */

DEATH(conf_crash, main_asleep_is_a_deadlock, 2, ASLEEP "\ngoroutine 1 \\[select \\(no cases\\)\\]:\n")
{
    sleep_for_ever();
}

DEATH(conf_crash, main_asleep_on_its_own_thread_is_a_deadlock, 2, ASLEEP)
{
    weft_lock_thread();
    sleep_for_ever();
}

static void sleep_locked(void)
{
    weft_lock_thread();
    sleep_for_ever();
}

DEATH(conf_crash, main_and_a_locked_goroutine_asleep_is_a_deadlock, 2, ASLEEP)
{
    weft_go(sleep_locked);
    weft_sleep(WEFT_MS);
    sleep_for_ever();
}

static void count_to_ten(void)
{
    for (volatile int i = 0; i < 10; i++)
        ;
}

DEATH(conf_crash, goexit_of_main_when_the_others_have_ended_is_a_deadlock, 2, NO_GOROUTINES)
{
    weft_go(count_to_ten);
    weft_go(count_to_ten);
    weft_goexit();
}

static void sleep_a_little(void)
{
    weft_sleep(WEFT_MS);
    show("t2");
}

DEATH(conf_crash, goexit_of_main_waits_for_sleepers_first, 2, "^t1\nt2\nfatal error: no goroutines")
{
    show("t1");
    weft_go(sleep_a_little);
    weft_goexit();
}

/* Go: TestNetpollWaiters: a network that was used and is idle is nobody who waits */
static void serve_one(weft_listener *ln)
{
    weft_conn *conn;
    char buf[16];
    if (weft_accept(NULL, ln, &conn) < 0)
        return;
    while (weft_conn_read(NULL, conn, buf, sizeof buf) > 0)
        ;
    weft_conn_close(conn);
}

DEATH(conf_crash, a_network_that_was_used_does_not_hide_a_deadlock, 2, "^OK\n" "fatal error: all goroutines are asleep - deadlock!\n")
{
    weft_listener *ln;
    weft_conn *conn;
    weft_waitgroup wg = {0};
    char addr[128];
    REQUIRE(weft_listen(&ln, "tcp", "127.0.0.1:0") == 0);
    weft_listener_addr(ln, addr, sizeof addr);
    weft_waitgroup_go(&wg, serve_one, ln);
    REQUIRE(weft_dial(NULL, "tcp", addr, &conn) == 0);
    for (int i = 0; i < 10; i++) {
        EXPECT_EQ(weft_conn_write(NULL, conn, "x\n", 2), 2);
        weft_sleep(WEFT_MS);
    }
    weft_conn_close(conn);
    weft_waitgroup_wait(&wg);
    weft_listener_close(ln);
    show("OK");
    sleep_for_ever();
}

/* Go: TestNetpollDeadlock: a dial that fails ends, and the program goes on */
TEST(conf_crash, a_dial_to_nobody_ends)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof a;
    weft_conn *conn;
    char addr[128];
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);    /* keeps the port and does not listen */
    REQUIRE(bind(fd, (struct sockaddr *)&a, len) == 0 && getsockname(fd, (struct sockaddr *)&a, &len) == 0);
    snprintf(addr, sizeof addr, "127.0.0.1:%d", ntohs(a.sin_port));
    EXPECT(weft_dial(NULL, "tcp", addr, &conn) < 0);
    close(fd);
}

/* ---- stack ---- */

#if !CONF_TSAN /* it keeps the faults to itself */
static NOINLINE int eat_stack(int n)
{
    volatile char buf[8192];
    buf[0] = (char)n;
    buf[sizeof buf - 1] = (char)n;
    return n < 0 ? 0 : eat_stack(n + 1) + buf[0] + buf[sizeof buf - 1];
}

DEATH(conf_crash, endless_recursion_is_a_stack_overflow, 2, "^weft: goroutine stack exceeds [0-9]+ KiB limit\nfatal error: stack overflow\n")
{
    weft_go(eat_stack, 1);
    sleep_for_ever();
}
#endif

/* ---- panics inside panics ---- */

static void panic_bad(void)
{
    weft_panic("bad");
}

static void wrap_bad(void)
{
    char pad[4096];
    memset(pad, 1, sizeof pad);
    const char *msg = weft_try(panic_bad);
    if (msg && pad[17])
        weft_panic("wrap: %s", msg);
}

/* Go: TestRecursivePanic */
DEATH(conf_crash, a_stopped_panic_may_be_wrapped_and_another_follow, 2, "^wrap: bad\npanic: again\n\n")
{
    show(weft_try(wrap_bad));
    weft_panic("again");
}

static void panic_text(const char *text)
{
    weft_panic("%s", text);
}

static void second_deferred(void)
{
    weft_defer(panic_text, "second panic");
    show(weft_try(panic_text, "first panic"));
}

/* Go: TestRecursivePanic2 */
DEATH(conf_crash, a_deferred_call_may_panic_after_one_was_stopped, 2, "^first panic\nsecond panic\npanic: third panic\n\n")
{
    show(weft_try(second_deferred));
    weft_panic("third panic");
}

static void stop_second(void)
{
    EXPECT_STR(weft_try(panic_text, "second panic"), "second panic");
}

/* Go: TestRecursivePanic3 */
DEATH(conf_crash, stopping_the_second_leaves_the_first, 2, "^panic: first panic\n\n")
{
    weft_defer(stop_second);
    weft_panic("first panic");
}

/* Go: TestRecursivePanic4 */
DEATH(conf_crash, the_report_is_of_the_panic_after_a_stopped_one, 2, "^panic: second panic\n\n")
{
    if (weft_try(panic_text, "first panic"))
        weft_panic("second panic");
}

static void nothing(void)
{
}

static void first_then_second(void)
{
    show(weft_try(panic_text, "first panic"));
    weft_panic("second panic");
}

static void three(void)
{
    weft_defer(nothing);
    show(weft_try(first_then_second));
}

static void two(void)
{
    weft_defer(nothing);
    three();
}

/* Go: TestRecursivePanic5 */
DEATH(conf_crash, frames_with_deferred_calls_above_do_not_disturb, 2, "^first panic\nsecond panic\npanic: third panic\n\n")
{
    two();
    weft_panic("third panic");
}

static void again(void)
{
    weft_panic("%s", weft_try(panic_text, "message"));
}

/* Go: TestRepanickedPanic: the text of the stopped panic is still good for the next */
DEATH(conf_crash, a_panic_may_be_thrown_again, 2, "^panic: message \\[recovered, repanicked\\]\n\n")
{
    again();
}

static void inner_to_middle(void)
{
    if (weft_try(panic_text, "inner"))
        weft_panic("middle");
}

static void middle_again(void)
{
    weft_panic("%s", weft_try(inner_to_middle));
}

/* Go: TestRepanickedMiddlePanic */
DEATH(conf_crash, the_last_of_three_is_reported, 2, "^panic: outer\n\n")
{
    if (weft_try(middle_again))
        weft_panic("outer");
}

static char kept[64];

static void outer_then_inner(void)
{
    snprintf(kept, sizeof kept, "%s", weft_try(panic_text, "outer"));
    weft_panic("inner");
}

/* Go: TestRepanickedPanicSandwich */
DEATH(conf_crash, a_kept_text_may_be_thrown_after_another_panic, 2, "^panic: outer\n\n")
{
    (void)weft_try(outer_then_inner);
    weft_panic("%s", kept);
}

/* Go: TestDoublePanicWithSameValue */
DEATH(conf_crash, the_same_text_twice_is_reported, 2, "^panic: message\n")
{
    weft_defer(panic_text, "message");
    weft_panic("message");
}

/* Go: TestDoublePanic */
DEATH(conf_crash, both_texts_are_reported, 2, "^panic: XXX\n\tpanic: YYY\n")
{
    weft_defer(panic_text, "YYY");
    weft_panic("XXX");
}

/* Go: TestPanicWhilePanicking, its text of two lines: the second is indented, so that no text looks like a report */
DEATH(conf_crash, a_text_of_two_lines_is_indented, 2, "^panic: important multi-line\n\tstring message\n\n")
{
    weft_panic("important multi-line\nstring message");
}

static NOINLINE void pt2_deferred(void)
{
    weft_panic("panic pt2");
}

static NOINLINE void pt1_deferred(void)
{
    weft_panic("panic pt1");
}

static NOINLINE void pt2(void)
{
    weft_defer(pt2_deferred);
    weft_panic("hello");
}

static NOINLINE void pt1(void)
{
    weft_defer(pt1_deferred);
    pt2();
}

/* Go: TestPanicTraceback: the chain, and below it every frame from the last panic to the first */
DEATH(conf_crash, the_stack_shows_the_deferred_calls_that_panicked, 2,
      "^panic: hello\n\tpanic: panic pt2\n\tpanic: panic pt1\n(.*\n)*pt1_deferred\\(.*\n(.*\n)*pt2_deferred\\(.*\n(.*\n)*pt2\\(.*\n(.*\n)*pt1\\(")
{
    pt1();
}

static void yields(void)
{
    for (int i = 0; i < 10; i++)
        weft_yield();
    show("1");
    weft_sleep(WEFT_MS);
    show("2");
}

/* Go: TestPanicDeadlockGosched, TestPanicDeadlockSyscall: in Go it is the text's method that yields and prints */
DEATH(conf_crash, what_runs_while_panicking_may_yield_and_print, 2, "^1\n2\npanic: 3\n\n")
{
    weft_defer(yields);
    weft_panic("3");
}

/* ---- goexit and panics ---- */

static atomic_int deferred;

static void see_no_panic(void)
{
    EXPECT(weft_try(nothing) == NULL);
    atomic_fetch_add(&deferred, 1);
}

static void goexit_with_deferred(void)
{
    weft_defer(see_no_panic);
    weft_goexit();
}

/* Go: TestGoexitDefer */
TEST(conf_crash, deferred_calls_of_a_goexit_see_no_panic)
{
    weft_waitgroup wg = {0};
    weft_waitgroup_go(&wg, goexit_with_deferred);
    weft_waitgroup_wait(&wg);
    EXPECT_EQ(atomic_load(&deferred), 1);
}

static void panic_then_goexit(void)
{
    weft_defer(weft_goexit);
    weft_panic("hello");
}

/* Go: TestGoexitInPanic: the goexit replaces the panic; then nobody is left */
DEATH(conf_crash, goexit_in_a_deferred_call_replaces_the_panic, 2, NO_GOROUTINES)
{
    weft_go(panic_then_goexit);
    weft_goexit();
}

/* Go: TestPanicAfterGoexit */
DEATH(conf_crash, a_panic_during_goexit_ends_the_process, 2, "^panic: hello\n\n")
{
    weft_defer(panic_text, "hello");
    weft_goexit();
}

static void stop_hello(void)
{
    EXPECT_STR(weft_try(panic_text, "hello"), "hello");
}

/* Go: TestRecoveredPanicAfterGoexit */
DEATH(conf_crash, goexit_goes_on_after_a_panic_stopped_in_a_deferred_call, 2, NO_GOROUTINES)
{
    weft_defer(stop_hello);
    weft_goexit();
}

static void goexit_then_panic(void)
{
    weft_defer(panic_text, "hello");
    weft_goexit();
}

/* Go: TestRecoverBeforePanicAfterGoexit */
DEATH(conf_crash, goexit_goes_on_when_an_outer_try_stops_the_panic, 2, NO_GOROUTINES)
{
    (void)weft_try(goexit_then_panic);
    show("the try returned");
}

/* Go: TestRecoverBeforePanicAfterGoexit2 */
DEATH(conf_crash, goexit_goes_on_through_frames_with_more_deferred_calls, 2, "^d2\nd1\nfatal error: no goroutines")
{
    weft_defer(show, "d1");
    weft_defer(show, "d2");
    (void)weft_try(goexit_then_panic);
    show("the try returned");
}

/* ---- reports ---- */

static void go_of_nil(void)
{
    void (*f)(void) = NULL;
    weft_go(f);
}

/* Go: TestGoNil: no try stops it */
DEATH(conf_crash, go_of_nil_is_fatal, 2, "^fatal error: go of nil func value\n")
{
    (void)weft_try(go_of_nil);
    sleep_for_ever();
}

/* Go: TestMainGoroutineID */
DEATH(conf_crash, main_is_goroutine_1, 2, "^panic: test\n\ngoroutine 1 \\[running\\]:\n")
{
    weft_panic("test");
}

static void never_runs(void *arg)
{
    (void)arg;
}

/* Go: TestNoHelperGoroutines: the library's own threads and timers are no goroutines; no other "[" follows */
DEATH(conf_crash, a_report_shows_the_programs_goroutines_only, 2, "^panic: oops\n\ngoroutine 1 \\[running\\]:\n[^[]*$")
{
    static weft_timer t;
    weft_after_func(&t, 60 * WEFT_MIN, never_runs, NULL);
    weft_panic("oops");
}

static weft_waitgroup racing;

static void done_and_yield(void)
{
    weft_waitgroup_done(&racing);
    weft_yield();
}

static void crashes(void)
{
    weft_defer(done_and_yield);
    weft_panic("crash");
}

/* Go: TestPanicRace: main returns while the deferred calls of a panic run; the panic is still reported */
DEATH(conf_crash, a_panic_under_way_is_reported_though_main_returns, 2, "^panic: crash\n(.*\n)*crashes\\((.*\n)*created by ")
{
    weft_waitgroup_add(&racing, 1);
    weft_go(crashes);
    weft_waitgroup_wait(&racing);
}
