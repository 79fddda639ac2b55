/*
 * test_conf_rate.c - the token bucket decides as Go's does, at the same instants. What comes from where: LIST_x.md.
 *
 * Source  Go x/time/rate: rate_test.go. In the tables an instant is a number of tenths of a second.
 */
#include "conf.h"

#include "rate_table.h"

#define T(n) ((weft_time)(n) * 100 * WEFT_MS)
enum { HELD_MAX = 64, NEVER_MIND = -1 };

/* ---- what Go itself has answered ---- */

struct rate_state {
    weft_limiter l;
    weft_reservation held[HELD_MAX];
    int held_len;
};

/* Makes the call of a row; whether the answer is Go's, to the last bit. */
static bool rate_row_holds(struct rate_state *s, const struct rate_row *row)
{
    weft_reservation r = {0};
    bool ok = row->ok;

    switch (row->call) {
    case 'N':
        weft_limiter_init(&s->l, row->rate, row->n);
        s->held_len = 0;
        break;
    case 'A':
        ok = weft_limiter_allow_at(&s->l, row->at, row->n);
        break;
    case 'R':
        ok = weft_limiter_reserve_at(&s->l, row->at, row->n, row->max, &r);
        if (ok && s->held_len < HELD_MAX)
            s->held[s->held_len++] = r;
        break;
    case 'C':
        weft_limiter_cancel_at(&s->l, row->at, &s->held[row->n]);
        break;
    case 'L':
        weft_limiter_set_limit_at(&s->l, row->at, row->rate);
        break;
    case 'B':
        weft_limiter_set_burst_at(&s->l, row->at, row->n);
        break;
    }
    return ok == row->ok && r.wait == row->wait && weft_limiter_tokens_at(&s->l, row->at) == row->tokens;
}

TEST(conf_rate, each_answer_is_the_one_that_go_gave)
{
    struct rate_state s;
    for (size_t i = 0; i < sizeof rate_table / sizeof *rate_table; i++)
        if (!rate_row_holds(&s, &rate_table[i]))
            weft_test_fail(__FILE__, __LINE__, "row %zu: %c at %lld; tokens are %a", i, rate_table[i].call,
                           (long long)rate_table[i].at, weft_limiter_tokens_at(&s.l, rate_table[i].at));
}

/* ---- allow ---- */

struct ask {
    int t;
    double tokens;   /* before */
    int n;
    bool ok;
};

static void expect_asks(weft_limiter *l, const struct ask *ask, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        double tokens = weft_limiter_tokens_at(l, T(ask[i].t));
        bool ok = weft_limiter_allow_at(l, T(ask[i].t), ask[i].n);
        if (tokens != ask[i].tokens || ok != ask[i].ok)
            weft_test_fail(__FILE__, __LINE__, "step %zu: %g tokens, %d at t%d: %d", i, tokens, ask[i].n, ask[i].t, ok);
    }
}
#define EXPECT_ASKS(l, ...)                                                    \
    do {                                                                       \
        const struct ask asks_[] = {__VA_ARGS__};                              \
        expect_asks(l, asks_, sizeof asks_ / sizeof *asks_);                   \
    } while (0)

TEST(conf_rate, a_burst_of_one_gives_one_a_tick)
{
    weft_limiter l;
    weft_limiter_init(&l, 10, 1);
    EXPECT_ASKS(&l, {0, 1, 1, true}, {0, 0, 1, false}, {0, 0, 1, false}, {1, 1, 1, true}, {1, 0, 1, false},
                {2, 1, 2, false}, {2, 1, 1, true}, {2, 0, 1, false});
}

TEST(conf_rate, a_burst_of_three_fills_and_empties)
{
    weft_limiter l;
    weft_limiter_init(&l, 10, 3);
    EXPECT_ASKS(&l, {0, 3, 2, true}, {0, 1, 2, false}, {0, 1, 1, true}, {0, 0, 1, false}, {1, 1, 4, false},
                {2, 2, 1, true}, {3, 2, 1, true}, {4, 2, 1, true}, {4, 1, 1, true}, {4, 0, 1, false}, {9, 3, 3, true},
                {9, 0, 0, true});
}

TEST(conf_rate, a_clock_that_jumps_back_gives_nothing_twice)
{
    weft_limiter l;
    weft_limiter_init(&l, 10, 3);
    EXPECT_ASKS(&l, {1, 3, 1, true}, {0, 2, 1, true}, {0, 1, 1, true}, {0, 0, 1, false}, {1, 1, 1, true},
                {1, 0, 1, false}, {2, 1, 1, true}, {2, 0, 1, false});
}

TEST(conf_rate, a_full_bucket_is_not_rounded_down)
{
    weft_limiter l;
    weft_limiter_init(&l, 0.7692307692307693, 1);
    EXPECT(weft_limiter_allow(&l, 1));
}

static void take_one(weft_limiter *l, atomic_int *got)
{
    if (weft_limiter_allow(l, 1))
        atomic_fetch_add(got, 1);
}

TEST_ENV(conf_rate, those_who_ask_at_once_get_the_burst_and_no_more, "WEFT_PROCS=8")
{
    weft_limiter l;
    weft_waitgroup wg = {0};
    atomic_int got = 0;
    weft_limiter_init(&l, 0.001, 5);
    for (int i = 0; i < 15; i++)
        weft_waitgroup_go(&wg, take_one, &l, &got);
    weft_waitgroup_wait(&wg);
    EXPECT_EQ(atomic_load(&got), 5);
}

TEST(conf_rate, the_long_run_keeps_the_rate)
{
    weft_limiter l;
    int got = 0;
    weft_limiter_init(&l, 100, 100);
    for (weft_time t = 0; t < 5 * WEFT_SEC; t += 2 * WEFT_MS)
        got += weft_limiter_allow_at(&l, t, 1);
    EXPECT(got <= 601);
    EXPECT(got >= 599);
}

TEST(conf_rate, a_rate_of_zero_gives_the_burst_once)
{
    weft_limiter l;
    weft_limiter_init(&l, 0, 1);
    EXPECT(weft_limiter_allow(&l, 1));
    EXPECT(!weft_limiter_allow(&l, 1));
}

TEST(conf_rate, a_tiny_rate_does_not_overflow)
{
    weft_limiter l;
    weft_limiter_init(&l, 1e-10, 1);
    EXPECT(weft_limiter_allow(&l, 1));
    EXPECT(!weft_limiter_allow(&l, 1));
}

/* ---- reserve and cancel ---- */

/* Reserve n at tenth t: acts at tenth `act`, or is refused for NEVER_MIND. */
static weft_reservation expect_reserve_max(int line, weft_limiter *l, int t, int n, int act, weft_dur max)
{
    weft_reservation r = {0};
    bool ok = weft_limiter_reserve_at(l, T(t), n, max, &r);
    if (ok != (act != NEVER_MIND) || (ok && (r.at + T(1) / 2) / T(1) != act))
        weft_test_fail(__FILE__, line, "%d at t%d: %s, %lld ns; expected t%d", n, t, ok ? "granted" : "refused",
                       (long long)r.at, act);
    return r;
}
#define RESERVE(l, t, n, act) expect_reserve_max(__LINE__, l, t, n, act, INT64_MAX)
#define RESERVE_MAX(l, t, n, act, max) expect_reserve_max(__LINE__, l, t, n, act, max)

TEST(conf_rate, reservations_queue_up)
{
    weft_limiter l;
    weft_limiter_init(&l, 10, 2);
    RESERVE(&l, 0, 2, 0);
    RESERVE(&l, 0, 2, 2);
    RESERVE(&l, 3, 2, 4);
}

TEST(conf_rate, reserve_and_allow_share_the_bucket)
{
    weft_limiter l;
    weft_limiter_init(&l, 10, 2);
    RESERVE(&l, 0, 3, NEVER_MIND);
    RESERVE(&l, 0, 2, 0);
    EXPECT_ASKS(&l, {1, 1, 2, false});
    RESERVE(&l, 1, 2, 2);
    EXPECT_ASKS(&l, {1, -1, 1, false});
    EXPECT_ASKS(&l, {3, 1, 1, true});
}

TEST(conf_rate, what_was_refused_took_nothing)
{
    weft_limiter l;
    weft_limiter_init(&l, 10, 2);
    RESERVE(&l, 0, 2, 0);
    RESERVE(&l, 0, 3, NEVER_MIND);
    RESERVE(&l, 0, 2, 2);
}

TEST(conf_rate, cancelling_the_last_gives_its_tokens_back)
{
    weft_limiter l;
    weft_limiter_init(&l, 10, 2);
    RESERVE(&l, 0, 2, 0);
    weft_reservation r = RESERVE(&l, 0, 2, 2);
    weft_limiter_cancel_at(&l, T(1), &r);
    RESERVE(&l, 1, 2, 2);
}

TEST(conf_rate, cancelling_after_its_instant_does_nothing)
{
    weft_limiter l;
    weft_limiter_init(&l, 10, 2);
    RESERVE(&l, 0, 2, 0);
    weft_reservation r = RESERVE(&l, 0, 2, 2);
    weft_limiter_cancel_at(&l, T(3), &r);
    RESERVE(&l, 3, 2, 4);
}

TEST(conf_rate, tokens_that_others_count_on_are_not_given_back)
{
    weft_limiter l;
    weft_limiter_init(&l, 10, 2);
    RESERVE(&l, 0, 2, 0);
    weft_reservation r = RESERVE(&l, 0, 1, 1);
    RESERVE(&l, 0, 1, 2);
    weft_limiter_cancel_at(&l, T(0), &r);
    RESERVE(&l, 0, 1, 3);
}

TEST(conf_rate, part_of_the_tokens_is_given_back)
{
    weft_limiter l;
    weft_limiter_init(&l, 10, 2);
    RESERVE(&l, 0, 2, 0);
    weft_reservation r = RESERVE(&l, 0, 2, 2);
    RESERVE(&l, 0, 1, 3);
    weft_limiter_cancel_at(&l, T(2), &r);
    RESERVE(&l, 2, 2, 4);
}

TEST(conf_rate, several_cancels_add_up)
{
    weft_limiter l;
    weft_limiter_init(&l, 10, 4);
    RESERVE(&l, 0, 4, 0);
    weft_reservation a = RESERVE(&l, 0, 3, 3);
    RESERVE(&l, 0, 1, 4);
    weft_reservation c = RESERVE(&l, 0, 1, 5);
    weft_limiter_cancel_at(&l, T(1), &c);
    weft_limiter_cancel_at(&l, T(1), &a);
    RESERVE(&l, 1, 3, 5);
}

TEST(conf_rate, reserving_after_a_jump_back)
{
    weft_limiter l;
    weft_limiter_init(&l, 10, 2);
    RESERVE(&l, 1, 2, 1);
    RESERVE(&l, 0, 1, 1);
    RESERVE(&l, 2, 2, 3);
    RESERVE(&l, 0, 3, NEVER_MIND);
    RESERVE(&l, 2, 1, 4);
    RESERVE_MAX(&l, 0, 2, NEVER_MIND, T(1));
    RESERVE(&l, 2, 1, 5);
}

TEST(conf_rate, cancelling_after_a_jump_back)
{
    weft_limiter l;
    weft_limiter_init(&l, 10, 2);
    RESERVE(&l, 1, 2, 1);
    weft_reservation r = RESERVE(&l, 1, 2, 3);
    RESERVE(&l, 1, 1, 4);
    weft_limiter_cancel_at(&l, T(0), &r);
    RESERVE(&l, 1, 2, 4);
}

TEST(conf_rate, a_longest_wait_refuses_what_comes_later)
{
    weft_limiter l;
    weft_limiter_init(&l, 10, 2);
    RESERVE_MAX(&l, 0, 2, 0, T(1));
    RESERVE_MAX(&l, 0, 1, 1, T(1));
    RESERVE_MAX(&l, 0, 1, NEVER_MIND, T(1));
}

/* ---- the rate and the burst change ---- */

TEST(conf_rate, a_new_limit_counts_from_its_instant)
{
    weft_limiter l;
    weft_limiter_init(&l, 5, 2);
    RESERVE(&l, 0, 2, 0);
    RESERVE(&l, 0, 2, 4);
    weft_limiter_set_limit_at(&l, T(2), 10);
    RESERVE(&l, 2, 1, 4);
}

TEST(conf_rate, a_new_burst_counts_from_its_instant)
{
    weft_limiter l;
    weft_limiter_init(&l, 5, 2);
    RESERVE(&l, 0, 2, 0);
    RESERVE(&l, 0, 2, 4);
    weft_limiter_set_burst_at(&l, T(3), 4);
    RESERVE(&l, 0, 4, 9);
}

TEST(conf_rate, cancel_uses_the_limit_of_the_promise)
{
    weft_limiter l;
    weft_limiter_init(&l, 5, 2);
    RESERVE(&l, 0, 2, 0);
    weft_reservation r = RESERVE(&l, 0, 2, 4);
    weft_limiter_set_limit_at(&l, T(2), 10);
    weft_limiter_cancel_at(&l, T(2), &r);
    RESERVE(&l, 2, 2, 3);
}

/* Not in Go's tests, but in its answers: a random table has found it. */
TEST(conf_rate, a_promise_at_an_infinite_rate_is_given_back_whole)
{
    weft_limiter l;
    weft_limiter_init(&l, WEFT_RATE_INF, 1);
    weft_reservation r = RESERVE(&l, 4, 1, 4);
    weft_limiter_set_limit_at(&l, T(3), 1);
    RESERVE(&l, 4, 1, 4);
    weft_limiter_cancel_at(&l, T(3), &r);
    EXPECT(weft_limiter_tokens_at(&l, T(3)) == 1);
}

TEST(conf_rate, a_limiter_of_rate_zero_comes_alive_with_a_new_limit)
{
    weft_limiter l;
    weft_limiter_init(&l, 0, 1);
    EXPECT(weft_limiter_allow(&l, 1));
    EXPECT(!weft_limiter_allow(&l, 1));
    weft_time start = weft_now();
    weft_limiter_set_limit(&l, 100);
    EXPECT_EQ(weft_limiter_wait(NULL, &l, 1), 0);
    EXPECT(weft_now() - start >= 10 * WEFT_MS);
}

/* ---- wait ---- */

TEST(conf_rate, wait_takes_what_is_there_and_waits_for_the_rest)
{
    weft_limiter l;
    weft_ctx *ended = weft_with_cancel(NULL);
    weft_cancel(ended);
    weft_limiter_init(&l, 100, 3);
    EXPECT_EQ(weft_limiter_wait(ended, &l, 1), WEFT_ECANCELED);
    EXPECT_EQ(weft_limiter_wait(NULL, &l, 4), WEFT_ELIMIT);
    EXPECT_EQ(weft_limiter_wait(ended, &l, 4), WEFT_ELIMIT);      /* the burst is looked at first, as in Go */
    weft_time start = weft_now();
    EXPECT_EQ(weft_limiter_wait(NULL, &l, 2), 0);
    EXPECT_EQ(weft_limiter_wait(NULL, &l, 3), 0);
    EXPECT(weft_now() - start >= 19 * WEFT_MS);
    weft_ctx_unref(ended);
}

TEST(conf_rate, a_cancelled_wait_gives_all_its_tokens_back)
{
    weft_limiter l;
    weft_ctx *c = weft_with_cancel(NULL);
    weft_timer t = {0};
    weft_limiter_init(&l, 0.01, 3);
    EXPECT_EQ(weft_limiter_wait(c, &l, 2), 0);
    weft_after_func(&t, 2 * WEFT_MS, (void (*)(void *))weft_cancel, c);
    EXPECT_EQ(weft_limiter_wait(c, &l, 3), WEFT_ECANCELED);
    EXPECT(weft_limiter_allow(&l, 1));
    EXPECT(!weft_limiter_allow(&l, 1));
    weft_ctx_unref(c);
}

TEST(conf_rate, a_wait_past_the_deadline_fails_at_once)
{
    weft_limiter l;
    weft_ctx *c = weft_with_timeout(NULL, WEFT_MIN);
    weft_limiter_init(&l, 0.01, 3);
    EXPECT_EQ(weft_limiter_wait(c, &l, 2), 0);
    EXPECT_EQ(weft_limiter_wait(c, &l, 3), WEFT_EDEADLINE);
    EXPECT_EQ(weft_ctx_err(c), 0);
    EXPECT(weft_limiter_allow(&l, 1));                            /* it took nothing */
    weft_ctx_unref(c);
}

TEST(conf_rate, an_infinite_rate_ignores_the_burst)
{
    weft_limiter l;
    weft_limiter_init(&l, WEFT_RATE_INF, 0);
    EXPECT_EQ(weft_limiter_wait(NULL, &l, 3), 0);
    EXPECT(10.0 != WEFT_RATE_INF);
}

/* Not in Go's tests, but in its code: a rate of 0 promises for ever, and only the end of the context ends the wait. */
TEST(conf_rate, a_wait_at_rate_zero_ends_with_its_context)
{
    weft_limiter l;
    weft_ctx *c = weft_with_cancel(NULL);
    weft_timer t = {0};
    weft_limiter_init(&l, 0, 2);
    EXPECT(weft_limiter_allow(&l, 2));
    EXPECT(weft_limiter_reserve(&l, 1) == INT64_MAX);
    EXPECT_EQ(weft_limiter_reserve(&l, 3), -1);
    weft_after_func(&t, 2 * WEFT_MS, (void (*)(void *))weft_cancel, c);
    EXPECT_EQ(weft_limiter_wait(c, &l, 1), WEFT_ECANCELED);
    weft_ctx_unref(c);
}
