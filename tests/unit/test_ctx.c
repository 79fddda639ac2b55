/* test_ctx.c - contexts: ends, causes, deadlines, values, references. After Go's context tests, in our own words. */
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <weft/weft.h>
#include <weft_test.h>

static bool is_closed(weft_ctx *ctx)
{
    return weft_try_recv(weft_ctx_done(ctx), NULL) == -1;
}

TEST(ctx, background_never_ends_and_costs_nothing)
{
    weft_ctx *bg = weft_background();
    weft_time at = 7;
    EXPECT(bg);
    EXPECT(!weft_ctx_done(bg));
    EXPECT(!weft_ctx_done(NULL));
    EXPECT_EQ(weft_ctx_err(bg), 0);
    EXPECT_EQ(weft_ctx_err(NULL), 0);
    EXPECT_EQ(weft_ctx_cause(NULL), 0);
    EXPECT(!weft_ctx_deadline(bg, &at));
    EXPECT_EQ(at, 0);
    EXPECT(!weft_ctx_value(NULL, &at));
    weft_cancel(bg);
    weft_cancel(NULL);
    EXPECT_EQ(weft_ctx_err(bg), 0);
    weft_ctx_unref(weft_ctx_ref(bg));
    weft_ctx_unref(bg);
    weft_ctx_unref(NULL);
}

TEST(ctx, cancel_closes_done_and_sets_err)
{
    weft_ctx *c = weft_with_cancel(weft_background());
    EXPECT(weft_ctx_done(c));
    EXPECT(weft_ctx_done(c) == weft_ctx_done(c));
    EXPECT_EQ(weft_try_recv(weft_ctx_done(c), NULL), 0);
    EXPECT_EQ(weft_ctx_err(c), 0);
    weft_cancel(c);
    EXPECT(is_closed(c));
    EXPECT_EQ(weft_ctx_err(c), WEFT_ECANCELED);
    EXPECT_EQ(weft_ctx_cause(c), WEFT_ECANCELED);
    weft_cancel(c);
    EXPECT_EQ(weft_ctx_err(c), WEFT_ECANCELED);
    weft_ctx_unref(c);
}

TEST(ctx, done_asked_for_after_the_end_is_closed)
{
    weft_ctx *c = weft_with_cancel(NULL);
    weft_cancel(c);
    EXPECT(is_closed(c));
    EXPECT_EQ(weft_len(weft_ctx_done(c)), 0);
    weft_ctx_unref(c);
}

static void wait_done(weft_ctx *c, _Atomic int *n)
{
    (void)weft_recv(weft_ctx_done(c));
    atomic_fetch_add(n, 1);
}

TEST(ctx, cancel_wakes_all_that_wait)
{
    weft_ctx *c = weft_with_cancel(NULL);
    weft_waitgroup wg = {0};
    _Atomic int n = 0;
    for (int i = 0; i < 20; i++)
        weft_waitgroup_go(&wg, wait_done, c, &n);
    weft_yield();
    weft_cancel(c);
    weft_waitgroup_wait(&wg);
    EXPECT_EQ(n, 20);
    weft_ctx_unref(c);
}

TEST(ctx, a_parent_ends_its_whole_subtree_and_nothing_above)
{
    weft_ctx *top = weft_with_cancel(NULL);
    weft_ctx *mid = weft_with_cancel(top);
    weft_ctx *val = weft_with_value(mid, &top, "v");
    weft_ctx *leaf = weft_with_timeout(val, WEFT_MIN);
    weft_ctx *side = weft_with_cancel(top);
    weft_cancel(mid);
    EXPECT_EQ(weft_ctx_err(top), 0);
    EXPECT_EQ(weft_ctx_err(side), 0);
    EXPECT_EQ(weft_ctx_err(mid), WEFT_ECANCELED);
    EXPECT_EQ(weft_ctx_err(val), WEFT_ECANCELED);
    EXPECT_EQ(weft_ctx_err(leaf), WEFT_ECANCELED);
    EXPECT(is_closed(val) && is_closed(leaf));
    weft_ctx *late = weft_with_cancel(leaf);
    EXPECT_EQ(weft_ctx_err(late), WEFT_ECANCELED);
    weft_cancel(top);
    EXPECT_EQ(weft_ctx_err(side), WEFT_ECANCELED);
    weft_ctx *all[] = {top, mid, val, leaf, side, late};
    for (int i = 0; i < 6; i++)
        weft_ctx_unref(all[i]);
}

struct order {
    weft_ctx *parent;
    _Atomic int wrong;
};

static void child_watcher(weft_ctx *child, struct order *o)
{
    (void)weft_recv(weft_ctx_done(child));
    if (weft_ctx_err(o->parent) == 0 || !is_closed(o->parent))
        atomic_fetch_add(&o->wrong, 1);
}

TEST_ENV(ctx, who_sees_a_child_end_sees_the_parent_ended, "WEFT_PROCS=8")
{
    for (int round = 0; round < WEFT_TEST_TIMES(200, 30); round++) {
        struct order o = {.parent = weft_with_cancel(NULL)};
        weft_waitgroup wg = {0};
        (void)weft_ctx_done(o.parent);
        weft_ctx *kids[4];
        for (int i = 0; i < 4; i++) {
            kids[i] = weft_with_cancel(o.parent);
            weft_waitgroup_go(&wg, child_watcher, kids[i], &o);
        }
        weft_cancel(o.parent);
        weft_waitgroup_wait(&wg);
        EXPECT_EQ(o.wrong, 0);
        for (int i = 0; i < 4; i++)
            weft_ctx_unref(kids[i]);
        weft_ctx_unref(o.parent);
    }
}

TEST(ctx, a_deep_chain_ends_on_a_small_stack)
{
    enum { DEPTH = WEFT_TEST_TIMES(20000, 300) };
    weft_ctx *top = weft_with_cancel(NULL), *c = weft_ctx_ref(top);
    for (int i = 0; i < DEPTH; i++) {
        weft_ctx *child = weft_with_cancel(c);
        weft_ctx_unref(c);                    /* the child holds it */
        c = child;
    }
    weft_cancel(top);
    EXPECT_EQ(weft_ctx_err(c), WEFT_ECANCELED);
    weft_ctx_unref(top);
    weft_ctx_unref(c);
}

TEST(ctx, cause_is_the_first_one_and_is_inherited)
{
    weft_ctx *top = weft_with_cancel(NULL);
    weft_ctx *kid = weft_with_cancel(top), *own = weft_with_cancel(top);
    EXPECT_EQ(weft_ctx_cause(top), 0);
    weft_cancel_cause(own, -EPIPE);
    weft_cancel_cause(top, WEFT_ELIMIT);
    weft_cancel_cause(top, WEFT_EDENIED);
    EXPECT_EQ(weft_ctx_err(top), WEFT_ECANCELED);
    EXPECT_EQ(weft_ctx_cause(top), WEFT_ELIMIT);
    EXPECT_EQ(weft_ctx_cause(kid), WEFT_ELIMIT);
    EXPECT_EQ(weft_ctx_cause(own), -EPIPE);
    weft_ctx *late = weft_with_cancel(kid);
    EXPECT_EQ(weft_ctx_cause(late), WEFT_ELIMIT);
    weft_ctx_unref(late);
    weft_ctx_unref(own);
    weft_ctx_unref(kid);
    weft_ctx_unref(top);
}

TEST(ctx, a_timeout_ends_it_with_its_own_error)
{
    weft_time start = weft_now();
    weft_ctx *c = weft_with_timeout(NULL, 5 * WEFT_MS);
    weft_ctx *kid = weft_with_cancel(c);
    (void)weft_recv(weft_ctx_done(kid));
    EXPECT(weft_now() - start >= 5 * WEFT_MS);
    EXPECT_EQ(weft_ctx_err(kid), WEFT_EDEADLINE);
    EXPECT_EQ(weft_ctx_err(c), WEFT_EDEADLINE);
    EXPECT_EQ(weft_ctx_cause(c), WEFT_EDEADLINE);
    weft_cancel_cause(c, -EIO);
    EXPECT_EQ(weft_ctx_err(c), WEFT_EDEADLINE);
    weft_ctx_unref(kid);
    weft_ctx_unref(c);
}

TEST(ctx, a_timeout_cause_counts_only_when_the_time_ends_it)
{
    weft_ctx *a = weft_with_timeout_cause(NULL, WEFT_MS, -EIO);
    weft_ctx *b = weft_with_timeout_cause(NULL, WEFT_MIN, -EIO);
    (void)weft_recv(weft_ctx_done(a));
    EXPECT_EQ(weft_ctx_err(a), WEFT_EDEADLINE);
    EXPECT_EQ(weft_ctx_cause(a), -EIO);
    weft_cancel(b);
    EXPECT_EQ(weft_ctx_cause(b), WEFT_ECANCELED);
    weft_ctx_unref(a);
    weft_ctx_unref(b);
}

TEST(ctx, a_deadline_in_the_past_has_passed_at_once)
{
    weft_ctx *a = weft_with_deadline(NULL, weft_now() - WEFT_SEC);
    weft_ctx *b = weft_with_timeout(NULL, 0);
    EXPECT_EQ(weft_ctx_err(a), WEFT_EDEADLINE);
    EXPECT_EQ(weft_ctx_err(b), WEFT_EDEADLINE);
    EXPECT(is_closed(a) && is_closed(b));
    weft_ctx_unref(a);
    weft_ctx_unref(b);
}

TEST(ctx, deadlines_are_inherited_and_the_earlier_one_counts)
{
    weft_time at = weft_now() + WEFT_MIN, got = 0;
    weft_ctx *a = weft_with_deadline(NULL, at);
    weft_ctx *b = weft_with_deadline(a, at + WEFT_MIN);
    weft_ctx *c = weft_with_value(b, &at, NULL);
    weft_ctx *d = weft_with_deadline(c, at - WEFT_SEC);
    EXPECT(weft_ctx_deadline(b, &got));
    EXPECT_EQ(got, at);
    EXPECT(weft_ctx_deadline(c, &got));
    EXPECT_EQ(got, at);
    EXPECT(weft_ctx_deadline(d, &got));
    EXPECT_EQ(got, at - WEFT_SEC);
    weft_ctx *all[] = {a, b, c, d};
    for (int i = 0; i < 4; i++)
        weft_ctx_unref(all[i]);
}

TEST(ctx, a_parents_deadline_ends_a_child_with_a_later_one)
{
    weft_ctx *a = weft_with_timeout(NULL, 3 * WEFT_MS);
    weft_ctx *b = weft_with_timeout(a, WEFT_MIN);
    (void)weft_recv(weft_ctx_done(b));
    EXPECT_EQ(weft_ctx_err(b), WEFT_EDEADLINE);
    weft_ctx_unref(b);
    weft_ctx_unref(a);
}

TEST(ctx, values_are_found_upwards_and_shadowed)
{
    static int k1, k2, k3;
    weft_ctx *a = weft_with_value(NULL, &k1, "one");
    weft_ctx *b = weft_with_cancel(a);
    weft_ctx *c = weft_with_value(b, &k2, "two");
    weft_ctx *d = weft_with_value(c, &k1, "uno");
    EXPECT_STR(weft_ctx_value(a, &k1), "one");
    EXPECT_STR(weft_ctx_value(c, &k1), "one");
    EXPECT_STR(weft_ctx_value(d, &k1), "uno");
    EXPECT_STR(weft_ctx_value(d, &k2), "two");
    EXPECT(!weft_ctx_value(d, &k3));
    EXPECT(!weft_ctx_value(b, &k2));
    weft_ctx *all[] = {a, b, c, d};
    for (int i = 0; i < 4; i++)
        weft_ctx_unref(all[i]);
}

static void value_without_key(void)
{
    (void)!weft_with_value(NULL, NULL, "v");
}

TEST(ctx, a_null_key_panics)
{
    EXPECT_STR(weft_try(value_without_key), "nil key");
}

TEST(ctx, without_cancel_keeps_values_only)
{
    weft_ctx *a = weft_with_timeout(NULL, WEFT_MIN);
    weft_ctx *b = weft_with_value(a, &a, "v");
    weft_ctx *c = weft_without_cancel(b);
    weft_ctx *d = weft_with_cancel(c);
    weft_cancel(a);
    EXPECT_EQ(weft_ctx_err(c), 0);
    EXPECT_EQ(weft_ctx_err(d), 0);
    EXPECT_EQ(weft_ctx_cause(c), 0);
    EXPECT(!weft_ctx_done(c));
    EXPECT(!weft_ctx_deadline(c, NULL));
    EXPECT_STR(weft_ctx_value(d, &a), "v");
    weft_cancel(d);
    EXPECT_EQ(weft_ctx_err(d), WEFT_ECANCELED);
    weft_ctx *all[] = {a, b, c, d};
    for (int i = 0; i < 4; i++)
        weft_ctx_unref(all[i]);
}

TEST(ctx, dropping_the_last_reference_ends_it)
{
    weft_ctx *c = weft_with_cancel(NULL);
    weft_chan(int) ran = weft_make(int, 1);
    weft_ctx_ref(c);
    weft_ctx_unref(c);
    EXPECT_EQ(weft_ctx_err(c), 0);
    weft_ctx_unref(c);
    weft_free(ran);
}

static void *cancel_from_thread(void *ctx)
{
    weft_cancel(ctx);
    return NULL;
}

TEST(ctx, cancel_may_come_from_another_thread)
{
    weft_ctx *c = weft_with_cancel(NULL);
    pthread_t t;
    REQUIRE(pthread_create(&t, NULL, cancel_from_thread, c) == 0);
    (void)weft_recv(weft_ctx_done(c));
    pthread_join(t, NULL);
    weft_ctx_unref(c);
}

static void grow_and_drop(weft_ctx *top, int rounds)
{
    for (int i = 0; i < rounds; i++) {
        weft_ctx *a = weft_with_timeout(top, (i % 3) * 50 * WEFT_US);
        weft_ctx *b = weft_with_cancel(a);
        weft_ctx_unref(a);
        if (i % 2)
            (void)weft_ctx_done(b);
        if (i % 5 == 0)
            weft_cancel(b);
        if (i % 7 == 0)
            weft_yield();
        weft_ctx_unref(b);
    }
}

static void churn(void)
{
    for (int round = 0; round < WEFT_TEST_TIMES(20, 5); round++) {
        weft_ctx *top = weft_with_cancel(NULL);
        weft_waitgroup wg = {0};
        for (int i = 0; i < 8; i++)
            weft_waitgroup_go(&wg, grow_and_drop, top, WEFT_TEST_TIMES(200, 8));
        weft_sleep(round % 5 * 100 * WEFT_US);
        weft_cancel(top);
        weft_waitgroup_wait(&wg);
        weft_ctx_unref(top);
    }
}

TEST_ENV(ctx, ends_deadlines_and_drops_may_race_on_1_proc, "WEFT_PROCS=1") { churn(); }
TEST_ENV(ctx, ends_deadlines_and_drops_may_race_on_8_procs, "WEFT_PROCS=8") { churn(); }

static void select_wait(weft_ctx *c, weft_chan(int) ch, int *which)
{
    *which = weft_select(weft_on_recv(ch, NULL), weft_on_recv(weft_ctx_done(c), NULL));
}

TEST(ctx, done_works_in_a_select)
{
    weft_ctx *c = weft_with_timeout(NULL, 2 * WEFT_MS);
    weft_chan(int) ch = weft_make(int);
    int which = -1;
    select_wait(c, ch, &which);
    EXPECT_EQ(which, 1);
    weft_ctx_unref(c);
    weft_free(ch);
}

static weft_ctx *_Atomic to_end;
static _Atomic bool no_more;

static void *end_them(void *unused)
{
    for (int spins = 0; !atomic_load(&no_more);) {
        weft_ctx *c = atomic_exchange(&to_end, NULL);
        if (c) {
            weft_cancel(c);
            weft_ctx_unref(c);
            spins = 0;
        } else if (++spins > 1000) {
            sched_yield();
        }
    }
    return unused;
}

/* Go's Err promises this too. */
TEST(ctx, who_sees_the_end_finds_the_channel_closed)
{
    enum { ROUNDS = 2000 };
    pthread_t t;
    int early = 0;
    REQUIRE(pthread_create(&t, NULL, end_them, NULL) == 0);
    weft_time end = weft_now() + 5 * WEFT_SEC; /* two threads wait for each other's CPU */
    for (int i = 0; i < ROUNDS && weft_now() < end; i++) {
        weft_ctx *c = weft_with_timeout(NULL, 100 * WEFT_SEC);
        (void)weft_ctx_done(c);
        atomic_store(&to_end, weft_ctx_ref(c));
        for (int spins = 0; weft_ctx_err(c) == 0;)
            if (++spins > 1000)
                sched_yield();
        early += !is_closed(c);
        weft_ctx_unref(c);
    }
    atomic_store(&no_more, true);
    pthread_join(t, NULL);
    EXPECT_EQ(early, 0);
}

DEATH(ctx, a_deadline_that_nobody_waits_for_does_not_hide_a_deadlock, 2, "all goroutines are asleep - deadlock!")
{
    weft_ctx *c = weft_with_timeout(NULL, 20 * WEFT_SEC);
    weft_chan(int) ch = weft_make(int);
    (void)weft_recv(ch);
    weft_ctx_unref(c);
}
