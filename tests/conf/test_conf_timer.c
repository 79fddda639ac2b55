/*
 * test_conf_timer.c - sleep, timers, functions that run later, as Go's tests hold them. What comes from where: LIST_time.md.
 *
 * Source  Go time: sleep_test.go. Upper bounds on times are wide, or tried again: the machine may be busy.
 */
#include <signal.h>
#include <unistd.h>

#include "conf.h"

/* Go's "newTimerFunc": a function that sends on a channel of one, where the timer itself would. */
struct func_timer {
    weft_timer t;
    weft_chan(int) ch;
};

static void func_timer_send(void *ch)
{
    (void)weft_try_send((weft_chan(int))ch, 1);
}

static void func_timer_start(struct func_timer *f, weft_dur d)
{
    f->ch = weft_make(int, 1);
    weft_after_func(&f->t, d, func_timer_send, f->ch);
}

static void close_it(void *ch)
{
    weft_close((weft_chan(int))ch);
}

/* ---- sleep ---- */

static void interrupt_later(weft_dur d)
{
    weft_sleep(d);
    kill(getpid(), SIGCHLD);
}

TEST(conf_timer, sleep_is_not_cut_short_by_a_signal)
{
    weft_time start = weft_now();
    weft_go(interrupt_later, 25 * WEFT_MS);
    weft_sleep(50 * WEFT_MS);
    EXPECT(weft_now() - start >= 50 * WEFT_MS);
}

static void churn(weft_chan(bool) done)
{
    for (int i = 0; i < 100; i++)
        weft_yield();
    weft_send(done, true);
}

TEST_ENV(conf_timer, sleeping_for_no_time_goes_on, "WEFT_PROCS=4")
{
    weft_chan(bool) done = weft_make(bool);
    weft_go(churn, done);
    for (int i = 0; i < 100; i++) {
        weft_sleep(0);
        weft_chan(bool) tmp = weft_make(bool, 1);
        weft_send(tmp, true);
        (void)weft_recv(tmp);
        weft_free(tmp);
    }
    (void)weft_recv(done);
    weft_free(done);
}

static atomic_int woken;

static void sleep_for_ever(void)
{
    weft_sleep(INT64_MAX);
    atomic_store(&woken, 1);
}

/* The last goroutine sleeps on when the process ends: so this is a DEATH test with status 0. */
DEATH(conf_timer, the_longest_and_the_shortest_times_do_not_overflow, 0, "^$")
{
    weft_timer longest = {0}, shortest = {0};
    weft_go(sleep_for_ever);
    weft_timer_start(&longest, INT64_MAX);
    EXPECT_EQ(weft_select(weft_on_recv(weft_timer_chan(&longest), NULL), weft_on_timeout(25 * WEFT_MS)), 1);
    EXPECT(weft_timer_stop(&longest));
    weft_sleep(INT64_MIN);
    weft_timer_start(&shortest, INT64_MIN);
    EXPECT_EQ(weft_select(weft_on_recv(weft_timer_chan(&shortest), NULL), weft_on_timeout(CONF_LONG)), 0);
    EXPECT_EQ(atomic_load(&woken), 0);
    EXPECT_EQ(weft_select(weft_on_timeout(INT64_MAX), weft_on_timeout(WEFT_MS)), 1);
    exit(0);
}

/* ---- functions that run later ---- */

struct chain {
    weft_timer t[11];
    int left;
    atomic_int over;
    weft_chan(bool) done, go_on;
};

static void chain_next(void *arg)
{
    struct chain *c = arg;
    int i = --c->left;
    if (i >= 0) {
        weft_after_func(&c->t[i], 0, chain_next, c);
        (void)weft_recv(c->go_on);                     /* holds none of the others up */
        atomic_fetch_add(&c->over, 1);
    } else {
        weft_send(c->done, true);
    }
}

TEST(conf_timer, a_function_may_start_the_next_and_wait)
{
    static struct chain c = {.left = 10};
    c.done = weft_make(bool);
    c.go_on = weft_make(bool);
    weft_after_func(&c.t[10], 0, chain_next, &c);
    (void)weft_recv(c.done);
    EXPECT_EQ(atomic_load(&c.over), 0);
    weft_close(c.go_on);
    EXPECT(conf_until(&c.over, 10));
    weft_free(c.done);
    weft_free(c.go_on);
}

static void send_until(weft_chan(bool) ch, atomic_int *stop)
{
    while (!atomic_load(stop))
        weft_send(ch, true);
    weft_close(ch);
}

static void drain(weft_chan(bool) ch)
{
    weft_range(v, ch) {
        (void)v;
    }
}

static void set_one(void *flag)
{
    atomic_store((atomic_int *)flag, 1);
}

/* Go issue 65178 */
TEST_ENV(conf_timer, two_that_hand_over_to_each_other_do_not_starve_a_timer, "WEFT_PROCS=1")
{
    for (int round = 0; round < 20; round++) {
        weft_chan(bool) ch = weft_make(bool, 1);
        weft_waitgroup wg = {0};
        weft_timer t = {0};
        atomic_int stop = 0;
        weft_waitgroup_go(&wg, send_until, ch, &stop);
        weft_waitgroup_go(&wg, drain, ch);
        weft_after_func(&t, WEFT_US, set_one, &stop);
        weft_waitgroup_wait(&wg);
        weft_free(ch);
    }
}

/* ---- timers ---- */

TEST(conf_timer, the_value_is_not_before_its_time)
{
    weft_timer t = {0};
    weft_time start = weft_now();
    weft_timer_start(&t, 30 * WEFT_MS);
    weft_time end = weft_recv(weft_timer_chan(&t));
    EXPECT(weft_now() - start >= 30 * WEFT_MS);
    EXPECT(end >= start + 30 * WEFT_MS);
}

TEST(conf_timer, ten_in_turn_take_ten_times_as_long)
{
    weft_timer t = {0};
    weft_time start = weft_now();
    for (int i = 0; i < 10; i++) {
        weft_timer_start(&t, 5 * WEFT_MS);
        (void)weft_recv(weft_timer_chan(&t));
    }
    EXPECT(weft_now() - start >= 50 * WEFT_MS);
}

TEST(conf_timer, the_instant_is_when_it_fired_not_when_it_is_received)
{
    for (weft_dur d = 100 * WEFT_MS; d < 10 * WEFT_SEC; d *= 2) {    /* longer where the machine was late to fire it */
        weft_timer t = {0};
        weft_time start = weft_now();
        weft_timer_start(&t, 10 * WEFT_MS);
        weft_sleep(d);
        if (weft_recv(weft_timer_chan(&t)) - start < d * 4 / 5)
            return;
    }
    weft_test_fail(__FILE__, __LINE__, "each time the instant was that of the receive");
}

/* Stops one that gives a value and one that calls a function; nothing came of either after a later timer. */
static const char *stop_both(bool by_func, weft_dur unit)
{
    weft_timer t0 = {0}, t1 = {0}, end = {0}, other = {0};
    struct func_timer f0 = {0};
    weft_chan(int) c1 = weft_make(int, 1);
    weft_after_func(&other, 2 * unit, func_timer_send, NULL);
    if (by_func)
        func_timer_start(&f0, unit);
    else
        weft_timer_start(&t0, unit);
    weft_after_func(&t1, 3 * unit, func_timer_send, c1);
    weft_timer_start(&end, 4 * unit);
    const char *bad = NULL;
    if (!weft_timer_stop(by_func ? &f0.t : &t0))
        bad = "the first was not stopped in time";
    if (!weft_timer_stop(&t1))
        bad = "the second was not stopped in time";
    (void)weft_recv(weft_timer_chan(&end));
    if (by_func ? weft_try_recv(f0.ch, NULL) : weft_try_recv(weft_timer_chan(&t0), NULL))
        bad = "a stopped timer fired";
    if (weft_try_recv(c1, NULL))
        bad = "a stopped function ran";
    if (!bad && weft_timer_stop(&t1))
        bad = "stop said true twice";
    (void)weft_timer_stop(&other);
    weft_free(c1);
    weft_free(f0.ch);
    return bad;
}

TEST(conf_timer, what_is_stopped_does_not_happen)
{
    for (int by_func = 0; by_func < 2; by_func++) {
        const char *bad = "";
        for (weft_dur unit = 10 * WEFT_MS; unit < 10 * WEFT_SEC && bad; unit *= 3)    /* until the machine is quick enough */
            bad = stop_both(by_func, unit);
        EXPECT_STR(bad ? bad : "fine", "fine");
    }
}

/* ---- order ---- */

struct slot_result {
    int slot;
    weft_time at;
};
enum { SLOTS = 13 };
static const int slots[SLOTS] = {5, 3, 6, 6, 6, 1, 1, 2, 7, 9, 4, 8, 0};

static void await_slot(int slot, weft_dur d, bool by_func, weft_chan(struct slot_result) out)
{
    struct func_timer f = {0};
    if (by_func) {
        func_timer_start(&f, d);
        (void)weft_recv(f.ch);
        weft_free(f.ch);
    } else {
        weft_timer_start(&f.t, d);
        (void)weft_recv(weft_timer_chan(&f.t));
    }
    weft_send(out, ((struct slot_result){slot, weft_now()}));
}

static bool in_order(weft_dur delta, bool by_func)
{
    weft_chan(struct slot_result) out = weft_make(struct slot_result, SLOTS);
    weft_time start = weft_now();
    bool good = true;
    int last = 0;
    for (int i = 0; i < SLOTS; i++)
        weft_go(await_slot, slots[i], slots[i] * delta, by_func, out);
    for (int i = 0; i < SLOTS; i++) {
        struct slot_result r = weft_recv(out);
        weft_dur took = r.at - start;
        good &= r.slot >= last && took >= r.slot * delta;
        last = r.slot;
    }
    weft_free(out);
    return good;
}

TEST(conf_timer, they_fire_in_the_order_of_their_times)
{
    for (int by_func = 0; by_func < 2; by_func++) {
        bool good = false;
        for (int try = 0; try < 10 && !good; try++)
            good = in_order((5 << try) * WEFT_MS, by_func);
        EXPECT(good);
    }
}

static void never_to_run(void *arg)
{
    weft_test_fail(__FILE__, __LINE__, "timer %ld was not stopped", (long)(intptr_t)arg);
}

static void stop_in_time(int i)
{
    weft_timer t = {0};
    weft_after_func(&t, 20 * WEFT_SEC, never_to_run, (void *)(intptr_t)i);
    weft_sleep(20 * WEFT_MS);
    EXPECT(weft_timer_stop(&t));
}

TEST(conf_timer, many_are_stopped_at_one_time)
{
    weft_waitgroup wg = {0};
    for (int i = 0; i < 100; i++)
        weft_waitgroup_go(&wg, stop_in_time, i);
    weft_waitgroup_wait(&wg);
}

/* ---- reset ---- */

static const char *reset_once(weft_dur d)
{
    weft_timer t = {0};
    weft_defer(weft_timer_stop, &t);
    weft_timer_start(&t, 2 * d);
    weft_sleep(d);
    if (!weft_timer_reset(&t, 3 * d))
        return "reset of an active timer said false";
    weft_sleep(2 * d);
    if (weft_try_recv(weft_timer_chan(&t), NULL))
        return "it fired early";
    weft_sleep(2 * d);
    if (!weft_try_recv(weft_timer_chan(&t), NULL))
        return "it did not fire";
    return weft_timer_reset(&t, 50 * WEFT_MS) ? "reset of an expired timer said true" : NULL;
}

TEST(conf_timer, reset_counts_from_now)
{
    const char *bad = "";
    for (weft_dur d = 2 * WEFT_MS; bad && d < 5 * WEFT_SEC; d *= 2)
        bad = reset_once(d);
    EXPECT_STR(bad ? bad : "fine", "fine");
}

/* Go issue 44868 */
TEST(conf_timer, a_timer_of_no_time_is_not_missed)
{
    struct func_timer kept = {0};
    func_timer_start(&kept, 3600 * WEFT_SEC);
    for (int i = 0; i < 6000; i++) {
        weft_timer t = {0};
        struct func_timer f = {0};
        switch (i % 3) {
        case 0:
            weft_timer_start(&t, 0);
            (void)weft_recv(weft_timer_chan(&t));
            break;
        case 1:
            func_timer_start(&f, 0);
            (void)weft_recv(f.ch);
            weft_free(f.ch);
            break;
        default:
            (void)weft_timer_reset(&kept.t, 0);
            (void)weft_recv(kept.ch);
        }
    }
    weft_free(kept.ch);
}

/* Go issue 47329 */
TEST(conf_timer, moved_to_the_past_again_and_again_it_still_fires)
{
    for (int i = 0; i < 1000; i++) {
        struct func_timer f = {0};
        func_timer_start(&f, 3600 * WEFT_SEC);
        for (int j = 0; j < 10; j++) {
            if (!weft_timer_stop(&f.t))
                (void)weft_recv(f.ch);
            (void)weft_timer_reset(&f.t, -1700000000 * WEFT_SEC);
        }
        EXPECT_EQ(weft_select(weft_on_recv(f.ch, NULL), weft_on_timeout(CONF_LONG)), 0);
        weft_free(f.ch);
    }
}

enum { ADJUST = 100, ADJUST_STEPS = 11 };

/* The next step of one timer's life: fires at once, three times far away and stopped, fires at once. */
static void adjust_step(struct func_timer *f, int state)
{
    static const int minutes[] = {0, 0, 1, 0, 3, 0, 2};
    switch (state) {
    case 0:
        func_timer_start(f, 0);
        break;
    case 1:
    case 9:
        EXPECT_EQ(weft_select(weft_on_recv(f->ch, NULL), weft_on_timeout(CONF_LONG)), 0);
        break;
    case 2:
    case 4:
    case 6:
        EXPECT(!weft_timer_reset(&f->t, minutes[state] * WEFT_MIN));
        break;
    case 3:
    case 5:
    case 7:
        EXPECT(weft_timer_stop(&f->t));
        break;
    case 8:
        EXPECT(!weft_timer_reset(&f->t, 0));
        break;
    default:
        weft_free(f->ch);
    }
}

/* Go issue 47762 */
TEST(conf_timer, moving_some_does_not_lose_others)
{
    static struct func_timer f[ADJUST];
    for (uint32_t round = 0, seed = 1; round < 20; round++) {
        int state[ADJUST] = {0};
        for (int left = ADJUST; left > 0;) {
            seed = seed * 1664525 + 1013904223;
            int i = (int)(seed >> 8) % ADJUST;
            if (state[i] == ADJUST_STEPS)
                continue;
            adjust_step(&f[i], state[i]);
            left -= ++state[i] == ADJUST_STEPS;
        }
    }
}

/* ---- races ---- */

static void stop_or_reset_the_other(bool stop, int rounds)
{
    for (int i = 0; i < rounds; i++) {
        weft_timer t1 = {0}, t2 = {0};
        weft_timer_start(&t1, WEFT_MS);
        weft_timer_start(&t2, WEFT_MS);
        weft_timer *other =
            weft_select(weft_on_recv(weft_timer_chan(&t1), NULL), weft_on_recv(weft_timer_chan(&t2), NULL)) ? &t1 : &t2;
        bool stopped = stop ? weft_timer_stop(other) : weft_timer_reset(other, 3600 * WEFT_SEC);
        EXPECT(stopped);                                  /* nobody has received its value */
        EXPECT_EQ(weft_try_recv(weft_timer_chan(other), NULL), 0);
        (void)weft_timer_stop(other);
    }
}

/* Go issue 69312 */
TEST_ENV(conf_timer, stop_that_races_with_the_firing_says_what_is_true, "WEFT_PROCS=8")
{
    weft_waitgroup wg = {0};
    for (int i = 0; i < 200; i++)
        weft_waitgroup_go(&wg, stop_or_reset_the_other, true, 50);
    weft_waitgroup_wait(&wg);
}

TEST_ENV(conf_timer, reset_that_races_with_the_firing_says_what_is_true, "WEFT_PROCS=8")
{
    weft_waitgroup wg = {0};
    for (int i = 0; i < 200; i++)
        weft_waitgroup_go(&wg, stop_or_reset_the_other, false, 50);
    weft_waitgroup_wait(&wg);
}

static void take_and_reset(weft_timer *t, int rounds)
{
    for (int i = 0; i < rounds; i++) {
        (void)weft_try_recv(weft_timer_chan(t), NULL);
        (void)weft_timer_reset(t, 1);
    }
}

TEST_ENV(conf_timer, many_may_take_and_reset_one_timer, "WEFT_PROCS=8")
{
    weft_timer t = {0};
    weft_waitgroup wg = {0};
    weft_timer_start(&t, 1);
    for (int i = 0; i < 8; i++)
        weft_waitgroup_go(&wg, take_and_reset, &t, 3000);
    weft_waitgroup_wait(&wg);
    (void)weft_timer_stop(&t);
}

TEST(conf_timer, a_function_may_close_what_a_select_waits_for)
{
    weft_chan(int) ch = weft_make(int);
    weft_timer t = {0};
    weft_after_func(&t, WEFT_MS, close_it, ch);
    EXPECT_EQ(weft_select(weft_on_recv(ch, NULL), weft_on_timeout(CONF_LONG)), 0);
    weft_free(ch);
}
