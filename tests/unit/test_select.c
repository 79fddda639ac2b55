/*
 * test_select.c - the switch form of select: readiness, uniform choice, waiting, close, timeouts, default, lists.
 */
#include <stdatomic.h>
#include <weft/weft.h>

#include "settle.h"
#include "weft_test.h"

static atomic_int marks;

static void let_others_run(void)
{
    for (int i = 0; i < 200; i++)
        weft_yield();
}

static bool until(atomic_int *p, int n)
{
    weft_time end = weft_now() + 3600 * WEFT_SEC; /* the runner's limit is shorter */
    while (atomic_load(p) < n) {
        if (weft_now() > end)
            return false;
        weft_yield();
    }
    return true;
}

TEST(select, takes_the_ready_receive)
{
    weft_chan(int) a = weft_make(int, 1), b = weft_make(int, 1);
    int v = 0, w = 0;
    weft_send(b, 7);
    EXPECT_EQ(weft_select(weft_on_recv(a, &v), weft_on_recv(b, &w)), 1);
    EXPECT_EQ(v, 0);
    EXPECT_EQ(w, 7);
    weft_free(a);
    weft_free(b);
}

TEST(select, takes_the_ready_send)
{
    weft_chan(int) full = weft_make(int, 1), room = weft_make(int, 1);
    weft_send(full, 1);
    EXPECT_EQ(weft_select(weft_on_send(full, 2), weft_on_send(room, 3)), 1);
    EXPECT_EQ(weft_recv(room), 3);
    EXPECT_EQ(weft_recv(full), 1);
    weft_free(full);
    weft_free(room);
}

TEST(select, default_only_when_nothing_is_ready)
{
    weft_chan(int) ch = weft_make(int, 1);
    int v = 4;
    EXPECT_EQ(weft_select(weft_on_recv(ch, &v), weft_on_default), 1);
    EXPECT_EQ(v, 4);
    weft_send(ch, 9);
    EXPECT_EQ(weft_select(weft_on_default, weft_on_recv(ch, &v)), 1);
    EXPECT_EQ(v, 9);
    weft_free(ch);
}

TEST(select, nil_channels_are_never_ready)
{
    weft_chan(int) nil = NULL, ch = weft_make(int, 4);
    int v = 0;
    for (int i = 0; i < 100; i++) {
        weft_send(ch, i);
        EXPECT_EQ(weft_select(weft_on_recv(nil, &v), weft_on_send(nil, 1), weft_on_recv(ch, &v)), 2);
        EXPECT_EQ(v, i);
        EXPECT_EQ(weft_select(weft_on_recv(nil, &v), weft_on_default), 1);
    }
    weft_free(ch);
}

TEST(select, a_closed_channel_is_ready_with_zero)
{
    weft_chan(long) ch = weft_make(long);
    long v = 5;
    bool ok = true;
    weft_close(ch);
    EXPECT_EQ(weft_select(weft_on_recv_ok(ch, &v, &ok), weft_on_default), 0);
    EXPECT_EQ(v, 0);
    EXPECT(!ok);
    weft_free(ch);
}

TEST(select, ok_is_true_for_a_value)
{
    weft_chan(long) ch = weft_make(long, 1);
    bool ok = false;
    weft_send(ch, 0);
    EXPECT_EQ(weft_select(weft_on_recv_ok(ch, NULL, &ok)), 0);
    EXPECT(ok);
    weft_free(ch);
}

static void select_send(weft_sender(int) ch)
{
    (void)weft_select(weft_on_send(ch, 1), weft_on_default);
}

TEST(select, a_send_on_a_closed_channel_panics)
{
    weft_chan(int) ch = weft_make(int, 1);
    weft_close(ch);
    EXPECT_STR(weft_try(select_send, ch), "send on closed channel");
    weft_free(ch);
}

static void waiting_send(weft_sender(int) ch, weft_receiver(int) other)
{
    (void)weft_select(weft_on_recv(other, NULL), weft_on_send(ch, 1));
}

static void waiting_send_expects_panic(weft_sender(int) ch, weft_receiver(int) other)
{
    const char *msg = weft_try(waiting_send, ch, other);
    if (msg && strcmp(msg, "send on closed channel") == 0)
        atomic_fetch_add(&marks, 1);
}

TEST(select, a_close_makes_a_waiting_send_panic)
{
    weft_chan(int) ch = weft_make(int), other = weft_make(int);
    weft_go(waiting_send_expects_panic, ch, other);
    let_others_run();
    weft_close(ch);
    EXPECT(until(&marks, 1));
    weft_free(ch);
    weft_free(other);
}

/* ---- waiting ---- */

static void select_two(weft_receiver(int) a, weft_receiver(int) b, weft_sender(int) out)
{
    int v = -1, w = -1;
    int i = weft_select(weft_on_recv(a, &v), weft_on_recv(b, &w));
    weft_send(out, i == 0 ? v : 1000 + w);
}

TEST(select, waits_and_is_woken_by_either)
{
    weft_chan(int) a = weft_make(int), b = weft_make(int), out = weft_make(int);
    for (int i = 0; i < 200; i++) {
        weft_go(select_two, a, b, out);
        weft_send(i % 2 ? b : a, i);
        EXPECT_EQ(weft_recv(out), i % 2 ? 1000 + i : i);
    }
    weft_free(a);
    weft_free(b);
    weft_free(out);
}

static void select_closed(weft_receiver(int) a, weft_receiver(int) b)
{
    int v = 9;
    bool ok = true;
    int i = weft_select(weft_on_recv(a, NULL), weft_on_recv_ok(b, &v, &ok));
    if (i == 1 && v == 0 && !ok)
        atomic_fetch_add(&marks, 1);
}

TEST(select, a_close_wakes_all_that_wait)
{
    weft_chan(int) a = weft_make(int), b = weft_make(int);
    for (int i = 0; i < 50; i++)
        weft_go(select_closed, a, b);
    let_others_run();
    weft_close(b);
    EXPECT(until(&marks, 50));
    weft_free(a);
    weft_free(b);
}

static void select_both_ways(weft_chan(int) ch, int me, weft_sender(int) out)
{
    int v = -1;
    switch (weft_select(weft_on_send(ch, me), weft_on_recv(ch, &v))) {
    case 0: weft_send(out, -1); break;
    case 1: weft_send(out, v == me ? -100 : v); break;
    }
}

/* Two selects that both send and receive on one channel meet each other, never themselves. */
TEST(select, selects_on_both_ways_meet_each_other)
{
    weft_chan(int) ch = weft_make(int), out = weft_make(int, 2);
    for (int i = 0; i < WEFT_TEST_TIMES(500, 150); i++) {
        weft_go(select_both_ways, ch, 10, out);
        weft_go(select_both_ways, ch, 20, out);
        int a = weft_recv(out), b = weft_recv(out);
        EXPECT((a == -1) != (b == -1));
        int got = a == -1 ? b : a;
        EXPECT(got == 10 || got == 20);
    }
    weft_free(ch);
    weft_free(out);
}

DEATH(select, one_select_does_not_meet_itself, 2, "deadlock.*select")
{
    weft_chan(int) ch = weft_make(int);
    int v;
    (void)weft_select(weft_on_send(ch, 1), weft_on_recv(ch, &v));
}

DEATH(select, no_cases_block_for_ever, 2, "deadlock.*select \\(no cases\\)")
{
    weft_select();
}

DEATH(select, only_nil_cases_block_for_ever, 2, "all goroutines are asleep - deadlock!")
{
    weft_chan(int) nil = NULL;
    weft_select(weft_on_recv(nil, NULL), weft_on_send(nil, 1));
}

TEST(select, the_losing_channels_are_left)
{
    weft_chan(int) a = weft_make(int), b = weft_make(int), out = weft_make(int);
    weft_go(select_two, a, b, out);
    weft_send(a, 1);
    EXPECT_EQ(weft_recv(out), 1);
    EXPECT(!weft_try_send(b, 5)); /* nobody waits there any more */
    weft_free(b);
    weft_free(a);
    weft_free(out);
}

TEST(select, the_waker_may_free_its_channel_at_once)
{
    weft_chan(int) b = weft_make(int), out = weft_make(int);
    for (int i = 0; i < WEFT_TEST_TIMES(2000, 200); i++) {
        weft_chan(int) a = weft_make(int);
        weft_go(select_two, a, b, out);
        weft_send(a, i);
        weft_free(a);
        EXPECT_EQ(weft_recv(out), i);
    }
    weft_free(b);
    weft_free(out);
}

/* ---- uniform ---- */

/* 3-sigma bounds of a fair draw of n from k would fail once in some hundred runs; 6 sigma never does by chance. */
static void expect_uniform(const int *hits, int k, int n)
{
    double mean = (double)n / k, sigma = 0;
    for (double x = mean * (1 - 1.0 / k), g = x; ; ) { /* square root, by Newton */
        double next = (g + x / g) / 2;
        if (next >= g) {
            sigma = g;
            break;
        }
        g = next;
    }
    for (int i = 0; i < k; i++)
        if (hits[i] < mean - 6 * sigma || hits[i] > mean + 6 * sigma)
            weft_test_fail(__FILE__, __LINE__, "case %d was chosen %d times of %d, expected about %.0f", i, hits[i], n, mean);
}

TEST(select, ready_cases_are_chosen_uniformly)
{
    enum { N = WEFT_TEST_TIMES(30000, 4000) };
    weft_chan(int) c[4];
    int hits[4] = {0}, v;
    for (int i = 0; i < 4; i++)
        c[i] = weft_make(int, 1);
    for (int i = 0; i < 4; i++)
        weft_send(c[i], i);
    for (int n = 0; n < N; n++) {
        int i = weft_select(weft_on_recv(c[0], &v), weft_on_recv(c[1], &v), weft_on_recv(c[2], &v), weft_on_recv(c[3], &v));
        EXPECT_EQ(v, i);
        hits[i]++;
        weft_send(c[i], i);
    }
    expect_uniform(hits, 4, N);
    for (int i = 0; i < 4; i++)
        weft_free(c[i]);
}

/* Ready neighbours beside an idle case: drawing a start and going round would favour the one after the gap. */
TEST(select, an_idle_case_does_not_skew_the_choice)
{
    enum { N = WEFT_TEST_TIMES(20000, 4000) };
    weft_chan(int) idle = weft_make(int), a = weft_make(int, 1), b = weft_make(int, 1);
    int hits[2] = {0};
    for (int n = 0; n < N; n++) {
        int i = weft_select(weft_on_recv(idle, NULL), weft_on_send(a, 1), weft_on_send(b, 1));
        REQUIRE(i == 1 || i == 2);
        hits[i - 1]++;
        (void)weft_recv(i == 1 ? a : b);
    }
    expect_uniform(hits, 2, N);
    weft_free(idle);
    weft_free(a);
    weft_free(b);
}

TEST(select, the_same_channel_twice_is_chosen_uniformly)
{
    enum { N = WEFT_TEST_TIMES(20000, 4000) };
    weft_chan(int) ch = weft_make(int, 1);
    int hits[2] = {0}, v;
    for (int n = 0; n < N; n++) {
        weft_send(ch, n);
        hits[weft_select(weft_on_recv(ch, &v), weft_on_recv(ch, &v))]++;
        EXPECT_EQ(v, n);
    }
    expect_uniform(hits, 2, N);
    weft_free(ch);
}

static void count_waiting_choices(weft_receiver(int) a, weft_receiver(int) b, int *hits, int n)
{
    for (int k = 0; k < n; k++)
        hits[weft_select(weft_on_recv(a, NULL), weft_on_recv(b, NULL), weft_on_recv(a, NULL), weft_on_recv(a, NULL))]++;
    atomic_fetch_add(&marks, 1);
}

/* Also when the select was parked on one channel by several cases. */
TEST_ENV(select, waiting_cases_on_one_channel_are_chosen_uniformly, "WEFT_PROCS=1")
{
    enum { N = WEFT_TEST_TIMES(9000, 900) };
    static int hits[4];
    weft_chan(int) a = weft_make(int), b = weft_make(int);
    weft_go(count_waiting_choices, a, b, hits, N);
    for (int n = 0; n < N; n++)
        weft_send(a, n);
    EXPECT(until(&marks, 1));
    EXPECT_EQ(hits[1], 0);
    int same[3] = {hits[0], hits[2], hits[3]};
    expect_uniform(same, 3, N);
    weft_free(a);
    weft_free(b);
}

static void feed(weft_sender(int) ch, int n)
{
    for (int i = 0; i < n; i++)
        weft_send(ch, i);
    atomic_fetch_add(&marks, 1);
}

/* As Go's fairness test: two senders that wait at each choice, neither may be starved. */
TEST(select, eager_senders_both_get_through)
{
    enum { N = WEFT_TEST_TIMES(4000, 600) };
    weft_chan(int) a = weft_make(int), b = weft_make(int);
    int hits[2] = {0};
    weft_go(feed, a, N);
    weft_go(feed, b, N);
    for (int n = 0; n < N; n++) {
        test_settle(); /* or the system keeps one of them from sending, and the choice is none */
        hits[weft_select(weft_on_recv(a, NULL), weft_on_recv(b, NULL))]++;
    }
    expect_uniform(hits, 2, N);
    for (int n = 0; n < N; n++)
        (void)weft_select(weft_on_recv(a, NULL), weft_on_recv(b, NULL));
    EXPECT(until(&marks, 2));
    weft_free(a);
    weft_free(b);
}

/* ---- timeouts ---- */

TEST(select, a_timeout_ends_the_wait)
{
    weft_chan(int) ch = weft_make(int);
    weft_time from = weft_now();
    EXPECT_EQ(weft_select(weft_on_recv(ch, NULL), weft_on_timeout(20 * WEFT_MS)), 1);
    EXPECT(weft_now() - from >= 20 * WEFT_MS);
    weft_free(ch);
}

TEST(select, a_timeout_alone_is_a_sleep)
{
    weft_time from = weft_now();
    EXPECT_EQ(weft_select(weft_on_timeout(5 * WEFT_MS)), 0);
    EXPECT(weft_now() - from >= 5 * WEFT_MS);
}

TEST(select, a_value_beats_the_timeout)
{
    weft_chan(int) ch = weft_make(int);
    int v = 0;
    weft_go(feed, ch, 1);
    EXPECT_EQ(weft_select(weft_on_timeout(30 * WEFT_SEC), weft_on_recv(ch, &v)), 1);
    EXPECT(until(&marks, 1));
    weft_free(ch);
}

TEST(select, a_timeout_of_zero_or_less_loses_to_ready_cases)
{
    weft_chan(int) ch = weft_make(int, 1);
    EXPECT_EQ(weft_select(weft_on_timeout(0), weft_on_recv(ch, NULL)), 0);
    EXPECT_EQ(weft_select(weft_on_recv(ch, NULL), weft_on_timeout(-5)), 1);
    weft_send(ch, 1);
    EXPECT_EQ(weft_select(weft_on_timeout(0), weft_on_recv(ch, NULL)), 1);
    EXPECT_EQ(weft_select(weft_on_timeout(0), weft_on_default), 1);
    weft_free(ch);
}

TEST(select, the_shortest_of_several_timeouts_counts)
{
    EXPECT_EQ(weft_select(weft_on_timeout(WEFT_MIN), weft_on_timeout(2 * WEFT_MS), weft_on_timeout(2 * WEFT_MS)), 1);
}

TEST(select, an_endless_timeout_does_not_overflow)
{
    weft_chan(int) ch = weft_make(int, 1);
    weft_go(feed, ch, 1);
    EXPECT_EQ(weft_select(weft_on_recv(ch, NULL), weft_on_timeout(INT64_MAX)), 0);
    EXPECT(until(&marks, 1));
    weft_free(ch);
}

/* Timer and value race; each wait is ended by exactly one of them, and a late timer does no harm. */
static void race_timer(weft_receiver(int) ch, int n)
{
    for (int i = 0; i < n; i++) {
        int v = -1;
        int r = weft_select(weft_on_recv(ch, &v), weft_on_timeout(i % 50 * WEFT_US));
        if ((r == 0) != (v >= 0))
            weft_test_fail(__FILE__, __LINE__, "case %d with value %d", r, v);
    }
    atomic_fetch_add(&marks, 1);
}

TEST(select, timers_and_values_race_cleanly)
{
    weft_chan(int) ch = weft_make(int);
    for (int i = 0; i < 8; i++)
        weft_go(race_timer, ch, WEFT_TEST_TIMES(1500, 50));
    while (atomic_load(&marks) < 8) {
        (void)weft_try_send(ch, 1);
        weft_yield();
    }
    let_others_run();
    weft_free(ch);
}

static void two_defaults(void)
{
    (void)weft_select(weft_on_default, weft_on_default);
}

TEST(select, two_defaults_panic)
{
    EXPECT_STR(weft_try(two_defaults), "select: more than one default");
}

static int evaluated;
static weft_chan(int) the_channel;
static weft_chan(int) channel_once(void)
{
    evaluated++;
    return the_channel;
}

TEST(select, cases_evaluate_their_arguments_once)
{
    the_channel = weft_make(int, 3);
    int i = 0, a[4] = {0};
    bool ok[4] = {0};
    EXPECT_EQ(weft_select(weft_on_send(channel_once(), i++)), 0);
    EXPECT_EQ(evaluated, 1);
    EXPECT_EQ(i, 1);
    EXPECT_EQ(weft_select(weft_on_recv_ok(channel_once(), &a[i++], &ok[evaluated])), 0);
    EXPECT_EQ(evaluated, 2);
    EXPECT_EQ(i, 2);
    EXPECT_EQ(weft_select(weft_on_send_ptr(channel_once(), &a[i++])), 0);
    EXPECT_EQ(weft_select(weft_on_recv(channel_once(), &a[i++])), 0);
    EXPECT_EQ(evaluated, 4);
    EXPECT_EQ(i, 4);
    weft_free(the_channel);
}

struct pair {
    long a, b;
};

TEST(select, structs_and_arrays_travel)
{
    weft_chan(struct pair) p = weft_make(struct pair, 1);
    weft_chan(int[3]) q = weft_make(int[3], 1);
    struct pair v = {0, 0};
    int a[3] = {1, 2, 3}, b[3] = {0};
    EXPECT_EQ(weft_select(weft_on_send(p, {4, 5})), 0);
    EXPECT_EQ(weft_select(weft_on_recv(p, &v)), 0);
    EXPECT_EQ(v.a * 10 + v.b, 45);
    EXPECT_EQ(weft_select(weft_on_send(q, a)), 0);
    EXPECT_EQ(weft_select(weft_on_recv(q, &b)), 0);
    EXPECT_EQ(b[2], 3);
    weft_free(p);
    weft_free(q);
}

TEST(select, break_and_continue_keep_their_meaning)
{
    weft_chan(int) ch = weft_make(int, 8);
    int sum = 0, after = 0;
    for (int i = 0; i < 6; i++)
        weft_send(ch, i);
    weft_close(ch);
    for (;;) {
        int v;
        bool ok;
        switch (weft_select(weft_on_recv_ok(ch, &v, &ok))) {
        case 0:
            if (!ok)
                goto done;
            if (v % 2)
                continue;
            sum += v;
            break;
        }
        after++;
    }
done:
    EXPECT_EQ(sum, 0 + 2 + 4);
    EXPECT_EQ(after, 3);
    weft_free(ch);
}

/* There is always a token in a or b: it is put into one before it is taken from the other. A select with a default over
 * both must therefore never take the default (X1). */
static atomic_bool mover_stop;
static void move_token(weft_chan(int) a, weft_chan(int) b)
{
    while (!atomic_load(&mover_stop)) {
        weft_send(b, 1);
        (void)weft_recv(a);
        weft_send(a, 1);
        (void)weft_recv(b);
    }
    atomic_fetch_add(&marks, 1);
}

TEST(select, default_needs_one_instant_with_nothing_ready)
{
    weft_chan(int) a = weft_make(int, 2), b = weft_make(int, 2);
    weft_send(a, 1);
    weft_go(move_token, a, b);
    weft_time end = weft_now() + WEFT_TEST_TIMES(300, 1) * WEFT_MS;
    int n = 0, empty = 0;
    while (weft_now() < end && !empty) {
        int v;
        switch (weft_select(weft_on_recv(a, &v), weft_on_recv(b, &v), weft_on_default)) {
        case 0: weft_send(a, 1); break;
        case 1: weft_send(b, 1); break;
        default: empty++;
        }
        if (++n % 64 == 0)
            weft_yield();
    }
    EXPECT_EQ(empty, 0);
    atomic_store(&mover_stop, true);
    EXPECT(until(&marks, 1));
    weft_free(a);
    weft_free(b);
}
