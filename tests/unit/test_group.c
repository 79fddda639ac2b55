/* test_group.c - errgroup, limiter, singleflight, pool, once_value. After the tests of x/sync and x/time/rate. */
#include <stdatomic.h>
#include <weft/weft.h>
#include <weft_test.h>

#include "settle.h"

/* ---- errgroup ---- */

static weft_err work(int result)
{
    return result;
}

static weft_err until_ended(weft_ctx *c)
{
    (void)weft_recv(weft_ctx_done(c));
    return weft_ctx_err(c);
}

TEST(errgroup, wait_returns_the_first_failure_which_ends_the_context)
{
    weft_errgroup g;
    weft_ctx *c;
    weft_errgroup_init(&g, NULL, &c);
    weft_errgroup_go(&g, until_ended, c);
    weft_errgroup_go(&g, work, 0);
    weft_errgroup_go(&g, work, -EIO);
    (void)weft_recv(weft_ctx_done(c));
    EXPECT_EQ(weft_ctx_cause(c), -EIO);
    EXPECT_EQ(weft_errgroup_wait(&g), -EIO);
}

TEST(errgroup, without_failures_wait_returns_0)
{
    weft_errgroup g;
    weft_errgroup_init(&g, NULL, NULL);
    for (int i = 0; i < 10; i++)
        weft_errgroup_go(&g, work, i);
    EXPECT_EQ(weft_errgroup_wait(&g), 0);
    weft_errgroup zeroed = {0};
    weft_errgroup_go(&zeroed, work, -EPERM);
    EXPECT_EQ(weft_errgroup_wait(&zeroed), -EPERM);
}

static weft_err busy(_Atomic int *now, _Atomic int *most)
{
    int n = atomic_fetch_add(now, 1) + 1, m = atomic_load(most);
    while (n > m && !atomic_compare_exchange_weak(most, &m, n))
        ;
    weft_yield();
    atomic_fetch_sub(now, 1);
    return 0;
}

TEST_ENV(errgroup, no_more_than_the_limit_run_at_a_time, "WEFT_PROCS=8")
{
    weft_errgroup g;
    _Atomic int now = 0, most = 0;
    weft_errgroup_init(&g, NULL, NULL);
    weft_errgroup_set_limit(&g, 3);
    for (int i = 0; i < 200; i++)
        weft_errgroup_go(&g, busy, &now, &most);
    EXPECT_EQ(weft_errgroup_wait(&g), 0);
    EXPECT(most >= 1 && most <= 3);
}

TEST(errgroup, try_go_says_false_at_the_limit)
{
    weft_errgroup g;
    weft_ctx *stop = weft_with_cancel(NULL);
    weft_errgroup_init(&g, NULL, NULL);
    weft_errgroup_set_limit(&g, 2);
    EXPECT(weft_errgroup_try_go(&g, until_ended, stop));
    EXPECT(weft_errgroup_try_go(&g, until_ended, stop));
    EXPECT(!weft_errgroup_try_go(&g, until_ended, stop));
    weft_cancel(stop);
    EXPECT_EQ(weft_errgroup_wait(&g), WEFT_ECANCELED);
    weft_ctx_unref(stop);
}

static void limit_too_late(weft_errgroup *g)
{
    weft_errgroup_set_limit(g, 1);
}

TEST(errgroup, changing_the_limit_while_some_run_panics)
{
    weft_errgroup g;
    weft_ctx *stop = weft_with_cancel(NULL);
    weft_errgroup_init(&g, NULL, NULL);
    weft_errgroup_go(&g, until_ended, stop);
    EXPECT_STR(weft_try(limit_too_late, &g),
               "errgroup: modify limit while 1 goroutines in the group are still active");
    weft_cancel(stop);
    (void)weft_errgroup_wait(&g);
    weft_ctx_unref(stop);
}

/* ---- limiter ---- */

TEST(limiter, gives_the_burst_and_then_refuses)
{
    weft_limiter l;
    weft_limiter_init(&l, 0.001, 3);
    EXPECT(weft_limiter_allow(&l, 2));
    EXPECT(weft_limiter_allow(&l, 1));
    EXPECT(!weft_limiter_allow(&l, 1));
    EXPECT(weft_limiter_allow(&l, 0));
    EXPECT(weft_limiter_tokens(&l) < 1);
}

TEST(limiter, wait_keeps_the_rate)
{
    weft_limiter l;
    weft_limiter_init(&l, 1000, 1);
    weft_time start = weft_now();
    for (int i = 0; i < 11; i++)
        EXPECT_EQ(weft_limiter_wait(NULL, &l, 1), 0);
    EXPECT(weft_now() - start >= 10 * WEFT_MS);
}

TEST(limiter, reserve_says_how_long_to_wait)
{
    weft_limiter l;
    weft_limiter_init(&l, 0.1, 2);
    weft_time before = weft_now();
    EXPECT_EQ(weft_limiter_reserve(&l, 2), 0);
    weft_dur d = weft_limiter_reserve(&l, 2);
    EXPECT(d <= 20 * WEFT_SEC && d >= 20 * WEFT_SEC - (weft_now() - before) - WEFT_US); /* less what has come since */
    EXPECT_EQ(weft_limiter_reserve(&l, 3), -1);
}

TEST(limiter, wait_refuses_what_cannot_come)
{
    weft_limiter l;
    weft_limiter_init(&l, 0.001, 2);
    EXPECT_EQ(weft_limiter_wait(NULL, &l, 3), WEFT_ELIMIT);
    EXPECT_EQ(weft_limiter_wait(NULL, &l, 2), 0);
    weft_ctx *c = weft_with_timeout(NULL, 500 * WEFT_SEC);
    EXPECT_EQ(weft_limiter_wait(c, &l, 1), WEFT_EDEADLINE);
    EXPECT_EQ(weft_ctx_err(c), 0);                       /* at once, not at the deadline */
    weft_ctx_unref(c);
}

static void cancel_soon(weft_ctx *c)
{
    weft_sleep(WEFT_MS);
    weft_cancel(c);
}

TEST(limiter, a_cancelled_wait_gives_its_tokens_back)
{
    weft_limiter l;
    weft_ctx *c = weft_with_cancel(NULL);
    weft_limiter_init(&l, 1, 10);
    EXPECT(weft_limiter_allow(&l, 10));
    weft_go(cancel_soon, c);
    EXPECT_EQ(weft_limiter_wait(c, &l, 9), WEFT_ECANCELED);
    EXPECT(weft_limiter_tokens(&l) > -0.5);              /* not -9 */
    weft_ctx_unref(c);
}

TEST(limiter, without_limit_everything_is_granted)
{
    weft_limiter l;
    weft_limiter_init(&l, WEFT_RATE_INF, 0);
    EXPECT(weft_limiter_allow(&l, 1000000));
    EXPECT_EQ(weft_limiter_wait(NULL, &l, 1000000), 0);
    weft_limiter_set_limit(&l, 0);
    EXPECT(!weft_limiter_allow(&l, 1));
    weft_limiter_set_limit(&l, 1e9);
    weft_limiter_set_burst(&l, 5);
    EXPECT_EQ(weft_limiter_wait(NULL, &l, 5), 0);
}

/* ---- singleflight ---- */

struct flight_test {
    weft_singleflight g;
    weft_waitgroup wg;
    weft_chan(int) go_on;
    _Atomic int calls, got, shared;
};

static weft_err slow_value(void *arg, void **out)
{
    struct flight_test *t = arg;
    atomic_fetch_add(&t->calls, 1);
    (void)weft_recv(t->go_on);
    *out = "value";
    return 7;
}

static void ask(struct flight_test *t)
{
    void *out = NULL;
    bool shared = false;
    EXPECT_EQ(weft_singleflight_do(&t->g, "key", slow_value, t, &out, &shared), 7);
    EXPECT_STR(out, "value");
    atomic_fetch_add(&t->got, 1);
    atomic_fetch_add(&t->shared, shared);
}

TEST_ENV(singleflight, those_who_ask_meanwhile_share_one_call, "WEFT_PROCS=1")
{
    struct flight_test t = {.go_on = weft_make(int)};
    for (int i = 0; i < 10; i++)
        weft_waitgroup_go(&t.wg, ask, &t);
    test_settle();
    weft_send(t.go_on, 1);
    weft_waitgroup_wait(&t.wg);
    EXPECT_EQ(t.calls, 1);
    EXPECT_EQ(t.got, 10);
    EXPECT_EQ(t.shared, 10);
    weft_close(t.go_on);
    ask(&t);
    EXPECT_EQ(t.calls, 2);
    EXPECT_EQ(t.shared, 10);
    weft_free(t.go_on);
}

TEST(singleflight, chan_delivers_the_same_result_to_each)
{
    struct flight_test t = {.go_on = weft_make(int)};
    weft_receiver(struct weft_singleflight_result) ch[3];
    for (int i = 0; i < 3; i++)
        ch[i] = weft_singleflight_chan(&t.g, "key", slow_value, &t);
    EXPECT_EQ(weft_try_recv(ch[0], NULL), 0);
    weft_send(t.go_on, 1);
    for (int i = 0; i < 3; i++) {
        struct weft_singleflight_result r = weft_recv(ch[i]);
        EXPECT_EQ(r.err, 7);
        EXPECT_STR(r.out, "value");
        EXPECT(r.shared);
        weft_free(ch[i]);
    }
    EXPECT_EQ(t.calls, 1);
    weft_free(t.go_on);
}

TEST_ENV(singleflight, forget_lets_the_next_one_call_anew, "WEFT_PROCS=1")
{
    struct flight_test t = {.go_on = weft_make(int)};
    weft_waitgroup_go(&t.wg, ask, &t);
    test_settle();
    weft_singleflight_forget(&t.g, "key");
    weft_singleflight_forget(&t.g, "other");
    weft_waitgroup_go(&t.wg, ask, &t);
    test_settle();
    weft_send(t.go_on, 1);
    weft_send(t.go_on, 1);
    weft_waitgroup_wait(&t.wg);
    EXPECT_EQ(t.calls, 2);
    EXPECT_EQ(t.shared, 0);
    weft_free(t.go_on);
}

static weft_err fails(void *arg, void **out)
{
    struct flight_test *t = arg;
    (void)out;
    (void)weft_recv(t->go_on);
    weft_panic("no luck");
}

static void ask_failing(struct flight_test *t)
{
    (void)weft_singleflight_do(&t->g, "k", fails, t, NULL, NULL);
}

static void ask_and_catch(struct flight_test *t)
{
    const char *msg = weft_try(ask_failing, t);
    atomic_fetch_add(&t->got, msg && strcmp(msg, "no luck") == 0);
}

TEST_ENV(singleflight, a_panic_reaches_all_who_wait, "WEFT_PROCS=1")
{
    struct flight_test t = {.go_on = weft_make(int)};
    for (int i = 0; i < 3; i++)
        weft_waitgroup_go(&t.wg, ask_and_catch, &t);
    test_settle();
    weft_send(t.go_on, 1);
    weft_waitgroup_wait(&t.wg);
    EXPECT_EQ(t.got, 3);
    weft_free(t.go_on);
}

static weft_err quick(void *arg, void **out)
{
    *out = arg;
    return 0;
}

static void ask_often(struct flight_test *t, int rounds)
{
    static const char *const keys[] = {"a", "b", "c"};
    for (int i = 0; i < rounds; i++) {
        void *out = NULL;
        const char *key = keys[i % 3];
        if (weft_singleflight_do(&t->g, key, quick, (void *)key, &out, NULL) != 0 || out != key)
            atomic_fetch_add(&t->got, 1);
        if (i % 10 == 0)
            weft_singleflight_forget(&t->g, key);
    }
}

TEST_ENV(singleflight, many_keys_and_callers, "WEFT_PROCS=8")
{
    struct flight_test t = {0};
    for (int i = 0; i < 8; i++)
        weft_waitgroup_go(&t.wg, ask_often, &t, WEFT_TEST_TIMES(3000, 200));
    weft_waitgroup_wait(&t.wg);
    EXPECT_EQ(t.got, 0);
}

/* ---- pool ---- */

static int made;

static void *make_one(void)
{
    made++;
    return malloc(8);
}

TEST(pool, gives_the_latest_back_and_makes_what_is_missing)
{
    weft_pool p = {0}, q = {.make = make_one};
    int a, b;
    EXPECT(!weft_pool_get(&p));
    weft_pool_put(&p, &a);
    weft_pool_put(&p, &b);
    weft_pool_put(&p, NULL);
    EXPECT(weft_pool_get(&p) == &b);
    EXPECT(weft_pool_get(&p) == &a);
    EXPECT(!weft_pool_get(&p));
    weft_pool_clear(&p, NULL);

    void *x = weft_pool_get(&q), *y = weft_pool_get(&q);
    EXPECT_EQ(made, 2);
    weft_pool_put(&q, x);
    EXPECT(weft_pool_get(&q) == x);
    EXPECT_EQ(made, 2);
    weft_pool_put(&q, x);
    weft_pool_put(&q, y);
    weft_pool_clear(&q, free);
}

static void churn(weft_pool *p, int rounds)
{
    long *kept[8] = {0};
    for (int i = 0; i < rounds; i++) {
        long **slot = &kept[i % 8];
        if (*slot) {
            **slot = 0;
            weft_pool_put(p, *slot);
        }
        *slot = weft_pool_get(p);
        if (!*slot)
            *slot = calloc(1, sizeof **slot);
        EXPECT_EQ(**slot, 0);
        **slot = i + 1;                        /* nobody else may have it */
    }
    for (int i = 0; i < 8; i++)
        free(kept[i]);
}

TEST_ENV(pool, a_thing_has_one_owner, "WEFT_PROCS=8")
{
    weft_pool p = {0};
    weft_waitgroup wg = {0};
    for (int i = 0; i < 8; i++)
        weft_waitgroup_go(&wg, churn, &p, WEFT_TEST_TIMES(3000, 500));
    weft_waitgroup_wait(&wg);
    weft_pool_clear(&p, free);
}

/* ---- once_value ---- */

static double square(int x, int *calls)
{
    ++*calls;
    return (double)x * x;
}

TEST(once_value, computes_once)
{
    weft_once o = {0};
    double slot; /* not set by the caller: no compiler may warn */
    int calls = 0;
    EXPECT(weft_once_value(&o, &slot, square, 3, &calls) == 9.0);
    EXPECT(weft_once_value(&o, &slot, square, 4, &calls) == 9.0);
    EXPECT_EQ(calls, 1);
}

static int never(void)
{
    weft_panic("cannot");
}

static void ask_never(weft_once *o)
{
    int slot = 0;
    (void)weft_once_value(o, &slot, never);
}

TEST(once_value, panics_each_time_when_the_function_did)
{
    weft_once o = {0};
    EXPECT_STR(weft_try(ask_never, &o), "cannot");
    EXPECT_STR(weft_try(ask_never, &o), "cannot");
}

/* A goroutine that ends inside leaves no value: whoever asks later is told so, as often as it asks. */
static int leave(void)
{
    weft_goexit();
}

static void value_of_leaver(weft_once *o, int *slot)
{
    (void)weft_once_value(o, slot, leave);
}

TEST(once_value, panics_each_time_when_the_functions_goroutine_ended)
{
    static weft_once o;
    static int slot;
    weft_waitgroup wg = {0};
    weft_waitgroup_go(&wg, value_of_leaver, &o, &slot);
    weft_waitgroup_wait(&wg);
    for (int i = 0; i < 2; i++)
        EXPECT_STR(weft_try(value_of_leaver, &o, &slot), "weft_once_value: the function did not return");
}
