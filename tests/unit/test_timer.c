/* test_timer.c - timers, tickers, functions that run later. After Go's time tests, in our own words. */
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>
#include <weft/weft.h>
#include <weft_test.h>

TEST(timer, now_does_not_run_backwards)
{
    weft_time a = weft_now();
    for (int i = 0; i < 1000; i++) {
        weft_time b = weft_now();
        EXPECT(b >= a);
        a = b;
    }
}

TEST(timer, gives_one_value_after_the_time)
{
    weft_timer t = {0};
    weft_time start = weft_now();
    weft_timer_start(&t, 3 * WEFT_MS);
    weft_dur at = weft_recv(weft_timer_chan(&t));
    EXPECT(at - start >= 3 * WEFT_MS);
    EXPECT(weft_now() >= at);
    EXPECT_EQ(weft_try_recv(weft_timer_chan(&t), NULL), 0);
    EXPECT(!weft_timer_stop(&t));
}

TEST(timer, a_time_that_has_passed_fires_at_once)
{
    weft_timer t = {0};
    weft_timer_start(&t, 0);
    (void)weft_recv(weft_timer_chan(&t));
    weft_timer_start(&t, -WEFT_SEC);
    (void)weft_recv(weft_timer_chan(&t));
}

TEST(timer, stop_before_the_time_says_true_and_nothing_comes)
{
    weft_timer t = {0};
    weft_timer_start(&t, 2 * WEFT_MS);
    EXPECT(weft_timer_stop(&t));
    EXPECT(!weft_timer_stop(&t));
    weft_sleep(5 * WEFT_MS);
    EXPECT_EQ(weft_try_recv(weft_timer_chan(&t), NULL), 0);
}

TEST(timer, a_value_that_was_not_received_goes_with_stop)
{
    weft_timer t = {0};
    weft_timer_start(&t, WEFT_MS);
    weft_sleep(5 * WEFT_MS);
    EXPECT_EQ(weft_len(weft_timer_chan(&t)), 0);
    EXPECT_EQ(weft_cap(weft_timer_chan(&t)), 0);
    EXPECT(weft_timer_stop(&t));
    EXPECT_EQ(weft_try_recv(weft_timer_chan(&t), NULL), 0);
    EXPECT(!weft_timer_stop(&t));
}

TEST(timer, reset_drops_the_value_of_the_run_before)
{
    weft_timer t = {0};
    weft_timer_start(&t, WEFT_MS);
    weft_sleep(3 * WEFT_MS);
    weft_time start = weft_now();
    EXPECT(weft_timer_reset(&t, 5 * WEFT_MS));
    EXPECT_EQ(weft_try_recv(weft_timer_chan(&t), NULL), 0);
    EXPECT(weft_recv(weft_timer_chan(&t)) - start >= 5 * WEFT_MS);
    EXPECT(!weft_timer_reset(&t, WEFT_MS));
    (void)weft_recv(weft_timer_chan(&t));
}

TEST(timer, reset_moves_an_active_timer_both_ways)
{
    weft_timer t = {0};
    weft_time start = weft_now();
    weft_timer_start(&t, WEFT_MIN);
    EXPECT(weft_timer_reset(&t, WEFT_MS));
    EXPECT(weft_recv(weft_timer_chan(&t)) - start < WEFT_MIN);
    weft_timer_start(&t, WEFT_MS);
    start = weft_now();
    EXPECT(weft_timer_reset(&t, 10 * WEFT_MS));
    EXPECT(weft_recv(weft_timer_chan(&t)) - start >= 10 * WEFT_MS);
}

TEST(timer, stop_and_reset_of_a_zeroed_timer_are_harmless)
{
    weft_timer t = {0};
    weft_ticker k = {0};
    EXPECT(!weft_timer_stop(&t));
    EXPECT(!weft_timer_reset(&t, WEFT_MS));
    weft_ticker_stop(&k);
    weft_ticker_reset(&k, WEFT_MS);
    EXPECT_EQ(weft_try_recv(weft_timer_chan(&t), NULL), 0);
    EXPECT(!weft_timer_reset(&t, WEFT_MS));
}

TEST(timer, the_channel_is_the_same_before_and_after_start)
{
    weft_timer t = {0};
    weft_receiver(weft_dur) ch = weft_timer_chan(&t);
    EXPECT(ch);
    weft_timer_start(&t, WEFT_MS);
    EXPECT(ch == weft_timer_chan(&t));
    (void)weft_recv(ch);
}

TEST(timer, works_in_a_select)
{
    weft_timer t = {0};
    weft_chan(int) ch = weft_make(int);
    weft_timer_start(&t, WEFT_MS);
    EXPECT_EQ(weft_select(weft_on_recv(ch, NULL), weft_on_recv(weft_timer_chan(&t), NULL)), 1);
    weft_free(ch);
}

TEST(timer, many_fire_and_none_early)
{
    enum { N = 200 };
    static weft_timer t[N];
    weft_time due[N];
    for (int i = 0; i < N; i++) {
        int k = i * 37 % N;
        due[k] = weft_now() + (1 + k) * 50 * WEFT_US;
        weft_timer_start(&t[k], (1 + k) * 50 * WEFT_US);
    }
    for (int i = 0; i < N; i++)
        EXPECT(weft_recv(weft_timer_chan(&t[i])) >= due[i]);
}

static __attribute__((noinline)) bool timer_on_the_stack(int us, int wait)
{
    weft_timer t = {0};
    weft_timer_start(&t, us * WEFT_US);
    for (int i = 0; i < wait; i++)
        weft_yield();
    bool stopped = weft_timer_stop(&t);
    memset(&t, 0xff, sizeof t);                  /* a firing still under way would read this */
    __asm__ volatile("" : : "r"(&t) : "memory");
    return stopped;
}

static void stop_race(int rounds)
{
    for (int i = 0; i < rounds; i++)
        EXPECT(timer_on_the_stack(i % 30, i % 7));        /* never received: so stop always says true */
}

TEST_ENV(timer, storage_may_go_after_stop_while_it_fires, "WEFT_PROCS=8")
{
    weft_waitgroup wg = {0};
    for (int i = 0; i < 8; i++)
        weft_waitgroup_go(&wg, stop_race, 2000);
    weft_waitgroup_wait(&wg);
}

static __attribute__((noinline)) void fire_on_the_stack(int us)
{
    weft_timer t = {0};
    weft_timer_start(&t, us * WEFT_US);
    (void)weft_recv(weft_timer_chan(&t));
    memset(&t, 0xff, sizeof t);
    __asm__ volatile("" : : "r"(&t) : "memory");
}

static void fire_race(int rounds)
{
    for (int i = 0; i < rounds; i++)
        fire_on_the_stack(i % 20);
}

TEST_ENV(timer, storage_may_go_once_the_value_is_received, "WEFT_PROCS=8")
{
    weft_waitgroup wg = {0};
    for (int i = 0; i < 8; i++)
        weft_waitgroup_go(&wg, fire_race, 300);
    weft_waitgroup_wait(&wg);
}

struct resets {
    weft_timer t;
    _Atomic bool stop;
    _Atomic int early;
};

/* After each reset to a minute nothing may come, whatever fired before. */
static void reset_race(struct resets *r)
{
    for (int i = 0; i < 3000; i++) {
        weft_timer_reset(&r->t, i % 20 * WEFT_US);
        if (i % 3 == 0)
            weft_yield();
        weft_timer_reset(&r->t, WEFT_MIN);
        for (int k = 0; k < 3; k++)
            if (weft_try_recv(weft_timer_chan(&r->t), NULL) != 0)
                atomic_fetch_add(&r->early, 1);
    }
}

TEST_ENV(timer, no_stale_value_after_reset, "WEFT_PROCS=8")
{
    static struct resets r[4];
    weft_waitgroup wg = {0};
    for (int i = 0; i < 4; i++) {
        weft_timer_start(&r[i].t, WEFT_MIN);
        weft_waitgroup_go(&wg, reset_race, &r[i]);
    }
    weft_waitgroup_wait(&wg);
    for (int i = 0; i < 4; i++) {
        EXPECT_EQ(r[i].early, 0);
        EXPECT(weft_timer_stop(&r[i].t));
    }
}

static void note_run(void *ch)
{
    weft_send((weft_chan(int))ch, 1);
}

TEST(timer, after_func_runs_in_its_own_goroutine)
{
    weft_timer t = {0};
    weft_chan(int) ch = weft_make(int);
    weft_time start = weft_now();
    weft_after_func(&t, 2 * WEFT_MS, note_run, ch);
    EXPECT(!weft_timer_chan(&t));
    EXPECT_EQ(weft_recv(ch), 1);
    EXPECT(weft_now() - start >= 2 * WEFT_MS);
    EXPECT(!weft_timer_stop(&t));
    EXPECT(!weft_timer_reset(&t, WEFT_MS));
    EXPECT_EQ(weft_recv(ch), 1);
    weft_after_func(&t, WEFT_MIN, note_run, ch);
    EXPECT(weft_timer_stop(&t));
    weft_free(ch);
}

TEST(timer, a_ticker_ticks_until_stopped)
{
    weft_ticker k = {0};
    weft_time start = weft_now();
    weft_ticker_start(&k, WEFT_MS);
    for (int i = 1; i <= 5; i++)
        EXPECT(weft_recv(weft_ticker_chan(&k)) - start >= i * WEFT_MS);
    weft_ticker_stop(&k);
    EXPECT_EQ(weft_try_recv(weft_ticker_chan(&k), NULL), 0);
    weft_sleep(3 * WEFT_MS);
    EXPECT_EQ(weft_try_recv(weft_ticker_chan(&k), NULL), 0);
}

TEST(timer, a_ticker_drops_ticks_that_nobody_takes)
{
    weft_ticker k = {0};
    weft_ticker_start(&k, WEFT_MS);
    weft_sleep(10 * WEFT_MS);
    weft_time from = weft_now();
    int n = 0;
    while (weft_try_recv(weft_ticker_chan(&k), NULL) == 1)
        n++;
    EXPECT(n >= 1 && n <= 2 + (weft_now() - from) / WEFT_MS); /* one kept, and those that came meanwhile */
    weft_ticker_stop(&k);
}

TEST(timer, ticker_reset_changes_the_period_from_now)
{
    weft_ticker k = {0};
    weft_ticker_start(&k, WEFT_MIN);
    weft_time start = weft_now();
    weft_ticker_reset(&k, 2 * WEFT_MS);
    EXPECT(weft_recv(weft_ticker_chan(&k)) - start >= 2 * WEFT_MS);
    EXPECT(weft_recv(weft_ticker_chan(&k)) - start >= 4 * WEFT_MS);
    weft_ticker_stop(&k);
}

static void ticker_zero(void)
{
    weft_ticker k = {0};
    weft_ticker_start(&k, 0);
}

static void ticker_reset_zero(void)
{
    weft_ticker k = {0};
    weft_ticker_start(&k, WEFT_MIN);
    weft_defer(weft_ticker_stop, &k);
    weft_ticker_reset(&k, -1);
}

TEST(timer, a_ticker_without_period_panics)
{
    EXPECT_STR(weft_try(ticker_zero), "non-positive interval for NewTicker");
    EXPECT_STR(weft_try(ticker_reset_zero), "non-positive interval for Ticker.Reset");
}

DEATH(timer, one_that_nobody_waits_on_does_not_hide_a_deadlock, 2, "all goroutines are asleep - deadlock!")
{
    static weft_timer t;
    weft_timer_start(&t, 20 * WEFT_SEC);
    weft_chan(int) ch = weft_make(int);
    (void)weft_recv(ch);
}

static void quit(void *unused)
{
    (void)unused;
    _exit(7);
}

DEATH(timer, one_that_starts_a_function_prevents_a_deadlock_report, 7, "^$")
{
    static weft_timer t;
    weft_after_func(&t, 20 * WEFT_MS, quit, NULL);
    weft_chan(int) ch = weft_make(int);
    (void)weft_recv(ch);
}

/* A reset of an active timer moves it where it is; one that has just fired loses its value: in either case one value, of
 * the last reset. */
TEST(timer, reset_beside_the_firing_gives_one_value_and_not_early)
{
    weft_timer t = {0};
    weft_timer_start(&t, 0);
    (void)weft_recv(weft_timer_chan(&t));
    for (int i = 0; i < 2000; i++) {
        weft_dur first = i % 40 * WEFT_US;
        weft_timer_start(&t, first);
        if (i % 3)
            weft_yield();
        weft_time at = weft_now() + 20 * WEFT_US;
        (void)weft_timer_reset(&t, 20 * WEFT_US);
        EXPECT(weft_recv(weft_timer_chan(&t)) >= at);
        EXPECT(!weft_timer_stop(&t));
    }
}

static _Atomic int func_runs;

static void count_run(void *arg)
{
    (void)arg;
    atomic_fetch_add(&func_runs, 1);
}

TEST(timer, each_true_of_reset_and_stop_is_a_run_that_does_not_come)
{
    weft_timer t = {0};
    int started = 1, stopped = 0;
    atomic_store(&func_runs, 0);
    weft_after_func(&t, 10 * WEFT_US, count_run, NULL);
    for (int i = 0; i < 3000; i++) {
        stopped += weft_timer_reset(&t, i % 30 * WEFT_US);
        started++;
        if (i % 4 == 0)
            weft_yield();
    }
    stopped += weft_timer_stop(&t);
    while (atomic_load(&func_runs) < started - stopped)
        weft_sleep(WEFT_MS);
    EXPECT_EQ(atomic_load(&func_runs), started - stopped);
}

/* ---- alarms ---- */

TEST(timer, an_alarm_runs_its_function_once_and_not_early)
{
    weft_alarm a = {0};
    weft_chan(int) ch = weft_make(int);
    weft_time start = weft_now();
    weft_alarm_start(&a, 2 * WEFT_MS, note_run, ch);
    EXPECT_EQ(weft_recv(ch), 1);
    EXPECT(weft_now() - start >= 2 * WEFT_MS);
    EXPECT(!weft_alarm_stop(&a));
    EXPECT_EQ(weft_try_recv(ch, NULL), 0);
    EXPECT(!weft_alarm_reset(&a, WEFT_MS));
    EXPECT_EQ(weft_recv(ch), 1);
    weft_free(ch);
}

TEST(timer, a_stopped_alarm_does_not_run_its_function)
{
    weft_alarm a = {0};
    weft_chan(int) ch = weft_make(int);
    EXPECT(!weft_alarm_stop(&a));
    EXPECT(!weft_alarm_reset(&a, 0));
    weft_alarm_start(&a, WEFT_MS, note_run, ch);
    weft_alarm_start(&a, WEFT_MIN, note_run, ch);
    EXPECT(weft_alarm_reset(&a, 2 * WEFT_MIN));
    EXPECT(weft_alarm_stop(&a));
    EXPECT(!weft_alarm_stop(&a));
    weft_sleep(3 * WEFT_MS);
    EXPECT_EQ(weft_try_recv(ch, NULL), 0);
    weft_free(ch);
}

/* The storage of an alarm ends where a timer's channel would begin. */
TEST(timer, an_alarm_touches_its_own_storage_only)
{
    struct {
        weft_alarm a;
        unsigned char after[sizeof(weft_timer)];
    } s = {0};
    weft_chan(int) ch = weft_make(int);
    memset(s.after, 7, sizeof s.after);
    for (int i = 0; i < 3; i++) {
        weft_alarm_start(&s.a, WEFT_MIN, note_run, ch);
        EXPECT(weft_alarm_reset(&s.a, 0));
        EXPECT_EQ(weft_recv(ch), 1);
        (void)weft_alarm_stop(&s.a);
    }
    for (size_t i = 0; i < sizeof s.after; i++)
        REQUIRE(s.after[i] == 7);
    weft_free(ch);
}

/* Storage is to be cleared before its first use; where it was not, it is at least not mistaken. */
TEST(timer, what_an_alarm_has_left_is_not_taken_for_a_timer)
{
    union {
        weft_alarm a;
        weft_timer t;
    } u = {0};
    weft_chan(int) ch = weft_make(int);
    weft_alarm_start(&u.a, WEFT_MIN, note_run, ch);
    EXPECT(weft_alarm_stop(&u.a));
    EXPECT(!weft_timer_stop(&u.t));
    weft_timer_start(&u.t, 0);
    (void)weft_recv(weft_timer_chan(&u.t));
    weft_free(ch);
}

TEST(timer, what_a_timer_has_left_is_not_taken_for_an_alarm)
{
    union {
        weft_alarm a;
        weft_timer t;
    } u = {0};
    weft_chan(int) ch = weft_make(int);
    weft_after_func(&u.t, WEFT_MIN, note_run, ch);
    EXPECT(weft_timer_stop(&u.t));
    EXPECT(!weft_alarm_stop(&u.a));
    weft_alarm_start(&u.a, 0, note_run, ch);
    EXPECT_EQ(weft_recv(ch), 1);
    weft_free(ch);
}

static void takes_value(weft_receiver(weft_dur) ch, weft_chan(int) done)
{
    (void)weft_recv(ch);
    weft_send(done, 2);
}

/* A function lies in the storage where a channel that stays empty has no use for it. */
TEST(timer, one_that_ran_a_function_is_a_channel_again)
{
    weft_timer t = {0};
    weft_receiver(weft_dur) values = weft_timer_chan(&t);
    weft_chan(int) ch = weft_make(int);

    weft_go(takes_value, values, ch);
    for (int i = 0; i < 3; i++) {
        weft_after_func(&t, 0, note_run, ch);
        EXPECT_EQ(weft_recv(ch), 1);
        EXPECT_EQ(weft_try_recv(values, NULL), 0);
    }
    weft_after_func(&t, WEFT_MIN, note_run, ch);
    weft_timer_start(&t, 0);
    EXPECT_EQ(weft_recv(ch), 2);
    for (int i = 0; i < 3; i++) {
        weft_timer_start(&t, 0);
        EXPECT(weft_recv(values) != 0);
        EXPECT(values == weft_timer_chan(&t));
    }
    weft_free(ch);
}

/* With its 16 bytes of the heap a pending one is to stay below 100. */
TEST(timer, many_that_wait_take_little_memory)
{
    EXPECT_EQ(sizeof(weft_timer), 72);
    EXPECT_EQ(sizeof(weft_alarm), 32);
}

DEATH(timer, a_pending_alarm_prevents_a_deadlock_report, 7, "^$")
{
    static weft_alarm a;
    weft_alarm_start(&a, 20 * WEFT_MS, quit, NULL);
    weft_chan(int) ch = weft_make(int);
    (void)weft_recv(ch);
}

static void sleep_then_select(weft_chan(int) ch, int i)
{
    for (int round = 0; round < 20; round++) {
        weft_sleep((1 + (i * 7 + round) % 13) * WEFT_US);
        EXPECT_EQ(weft_select(weft_on_timeout((1000 + i * 37 % 101) * WEFT_SEC), weft_on_recv(ch, NULL)), 1);
    }
}

/* A sleep does not keep its place among the timers; a select that is over before its time has to find its own. */
TEST(timer, a_select_after_a_sleep_stops_its_time_limit)
{
    weft_chan(int) ch = weft_make(int);
    weft_waitgroup wg = {0};

    for (int i = 0; i < 40; i++)
        weft_waitgroup_go(&wg, sleep_then_select, ch, i);
    for (int i = 0; i < 40 * 20; i++)
        weft_send(ch, i);
    weft_waitgroup_wait(&wg);
    weft_free(ch);
}

/* Deadlines are reckoned from a look at the clock that may be some microseconds old (src/sys/ticks.c). */
TEST(timer, nothing_fires_before_its_time)
{
    for (int i = 0; i < 2000; i++) {
        weft_dur d = 1 + i % 40 * WEFT_US;
        weft_time t0 = weft_now();
        weft_sleep(d);
        EXPECT(weft_now() - t0 >= d);
        weft_timer t = {0};
        t0 = weft_now();
        weft_timer_start(&t, WEFT_SEC);
        EXPECT(weft_timer_reset(&t, d));
        EXPECT(weft_recv(weft_timer_chan(&t)) - t0 >= d);
    }
}
