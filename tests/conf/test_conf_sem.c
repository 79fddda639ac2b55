/*
 * test_conf_sem.c - the weighted semaphore, as Go's tests hold it. What comes from where: LIST_x.md.
 *
 * Source  Go x/sync/semaphore: semaphore_test.go.
 */
#include "conf.h"

static void hammer(weft_sem *s, int64_t n, int loops, _Atomic int64_t *held, int64_t size)
{
    for (int i = 0; i < loops; i++) {
        EXPECT_EQ(weft_sem_acquire(NULL, s, n), 0);
        EXPECT(atomic_fetch_add(held, n) + n <= size);
        if (i % 8 == 0)
            weft_sleep((i * 7919 + n * 104729) % (20 * WEFT_US));
        else
            weft_yield();
        atomic_fetch_sub(held, n);
        weft_sem_release(s, n);
    }
}

TEST_ENV(conf_sem, never_gives_more_than_it_has, "WEFT_PROCS=8")
{
    enum { N = 8 };
    weft_sem s;
    weft_waitgroup wg = {0};
    _Atomic int64_t held = 0;
    weft_sem_init(&s, N);
    for (int64_t i = 0; i < N; i++)
        weft_waitgroup_go(&wg, hammer, &s, i, 500, &held, (int64_t)N);
    weft_waitgroup_wait(&wg);
    EXPECT(weft_sem_try_acquire(&s, N));
}

TEST(conf_sem, releasing_what_nobody_holds_panics)
{
    weft_sem s;
    weft_sem_init(&s, 1);
    EXPECT_PANIC("semaphore: released more than held", weft_sem_release, &s, 1);
}

TEST(conf_sem, a_negative_size_panics)
{
    weft_sem s;
    EXPECT_PANIC("semaphore: size < 0", weft_sem_init, &s, -1);
}

TEST(conf_sem, of_size_zero_gives_zero)
{
    weft_sem s;
    weft_sem_init(&s, 0);
    EXPECT(weft_sem_try_acquire(&s, 0));
    EXPECT(!weft_sem_try_acquire(&s, 1));
    EXPECT_EQ(weft_sem_acquire(NULL, &s, 0), 0);
}

TEST(conf_sem, a_negative_weight_panics)
{
    weft_sem s;
    weft_ctx *ended = weft_with_cancel(NULL);
    weft_cancel(ended);
    weft_sem_init(&s, 1);
    EXPECT_PANIC("semaphore: n < 0", weft_sem_acquire, NULL, &s, -1);
    EXPECT_PANIC("semaphore: n < 0", weft_sem_acquire, ended, &s, -1);
    EXPECT_PANIC("semaphore: n < 0", weft_sem_try_acquire, &s, -1);
    EXPECT_PANIC("semaphore: n < 0", weft_sem_release, &s, -1);
    EXPECT(weft_sem_try_acquire(&s, 1));
    weft_ctx_unref(ended);
}

TEST(conf_sem, try_acquire_counts)
{
    weft_sem s;
    weft_sem_init(&s, 2);
    EXPECT_EQ(weft_sem_acquire(NULL, &s, 1), 0);
    EXPECT(weft_sem_try_acquire(&s, 1));
    EXPECT(!weft_sem_try_acquire(&s, 1));
    weft_sem_release(&s, 2);
    EXPECT(weft_sem_try_acquire(&s, 1));
    EXPECT_EQ(weft_sem_acquire(NULL, &s, 1), 0);
    EXPECT(!weft_sem_try_acquire(&s, 1));
}

static weft_err acquire_within(weft_dur d, weft_sem *s, int64_t n)
{
    weft_ctx *c = weft_with_timeout(NULL, d);
    weft_err err = weft_sem_acquire(c, s, n);
    weft_ctx_unref(c);
    return err;
}

TEST(conf_sem, acquire_ends_with_its_context)
{
    weft_sem s;
    weft_sem_init(&s, 2);
    EXPECT_EQ(weft_sem_acquire(NULL, &s, 1), 0);
    EXPECT_EQ(acquire_within(20 * WEFT_SEC, &s, 1), 0);
    EXPECT_EQ(acquire_within(5 * WEFT_MS, &s, 1), WEFT_EDEADLINE);
    weft_sem_release(&s, 2);
    EXPECT_EQ(acquire_within(20 * WEFT_SEC, &s, 1), 0);
    EXPECT_EQ(weft_sem_acquire(NULL, &s, 1), 0);
    EXPECT_EQ(acquire_within(5 * WEFT_MS, &s, 1), WEFT_EDEADLINE);
}

static void acquire_in_vain(weft_ctx *c, weft_sem *s, int64_t n, weft_err *ret_err)
{
    *ret_err = weft_sem_acquire(c, s, n);
}

static weft_err take_and_give(weft_ctx *c, weft_sem *s)
{
    weft_err err = weft_sem_acquire(c, s, 1);
    if (err == 0) {
        weft_sleep(WEFT_MS);
        weft_sem_release(s, 1);
    }
    return err;
}

TEST(conf_sem, one_who_asks_for_more_than_there_is_holds_nobody_up)
{
    weft_sem s;
    weft_ctx *c = weft_with_cancel(NULL), *gctx;
    weft_errgroup g;
    weft_waitgroup wg = {0};
    weft_err err = 0;
    weft_sem_init(&s, 2);
    weft_waitgroup_go(&wg, acquire_in_vain, c, &s, 3, &err);
    weft_yield();
    weft_errgroup_init(&g, NULL, &gctx);
    for (int i = 0; i < 6; i++)
        weft_errgroup_go(&g, take_and_give, gctx, &s);
    EXPECT_EQ(weft_errgroup_wait(&g), 0);
    weft_cancel(c);
    weft_waitgroup_wait(&wg);
    EXPECT_EQ(err, WEFT_ECANCELED);
    weft_ctx_unref(c);
}

static void release_and_take_again(weft_sem *s, atomic_int *running, weft_waitgroup *wg)
{
    weft_defer(weft_waitgroup_done, wg);
    weft_defer(weft_sem_release, s, 1);
    while (atomic_load(running)) {
        weft_sleep(100 * WEFT_US);
        weft_sem_release(s, 1);
        EXPECT_EQ(weft_sem_acquire(NULL, s, 1), 0);
    }
}

TEST_ENV(conf_sem, a_large_request_does_not_starve, "WEFT_PROCS=8")
{
    enum { N = 8 };
    weft_sem s;
    weft_waitgroup wg = {0};
    atomic_int running = 1;
    weft_sem_init(&s, N);
    weft_waitgroup_add(&wg, N);
    for (int i = 0; i < N; i++) {
        EXPECT_EQ(weft_sem_acquire(NULL, &s, 1), 0);
        weft_go(release_and_take_again, &s, &running, &wg);
    }
    EXPECT_EQ(weft_sem_acquire(NULL, &s, N), 0);
    atomic_store(&running, 0);
    weft_sem_release(&s, N);
    weft_waitgroup_wait(&wg);
}

/* Waits until somebody is in line: then nobody overtakes it. */
static void until_somebody_waits(weft_sem *s)
{
    while (weft_sem_try_acquire(s, 1)) {
        weft_sem_release(s, 1);
        weft_yield();
    }
}

TEST(conf_sem, those_behind_one_that_gives_up_go_on)
{
    for (int round = 0; round < 200; round++) {
        weft_sem s;
        weft_ctx *c = weft_with_cancel(NULL);
        weft_waitgroup wg = {0};
        weft_err err = 0;
        weft_sem_init(&s, 10);
        EXPECT_EQ(weft_sem_acquire(NULL, &s, 1), 0);
        weft_waitgroup_go(&wg, acquire_in_vain, c, &s, 10, &err);
        until_somebody_waits(&s);
        weft_waitgroup_go(&wg, weft_cancel, c);
        EXPECT_EQ(weft_sem_acquire(NULL, &s, 1), 0);
        weft_sem_release(&s, 1);
        weft_waitgroup_wait(&wg);
        EXPECT_EQ(err, WEFT_ECANCELED);
        weft_ctx_unref(c);
    }
}

static void cancel_then_release(weft_sem *s, weft_ctx *c)
{
    until_somebody_waits(s);
    weft_cancel(c);
    weft_sem_release(s, 1);
}

TEST(conf_sem, an_end_that_came_before_the_tokens_counts)
{
    for (int round = 0; round < 500; round++) {
        weft_sem s;
        weft_ctx *c = weft_with_cancel(NULL);
        weft_waitgroup wg = {0};
        weft_sem_init(&s, 2);
        EXPECT_EQ(weft_sem_acquire(NULL, &s, 1), 0);
        weft_waitgroup_go(&wg, cancel_then_release, &s, c);
        EXPECT_EQ(weft_sem_acquire(c, &s, 2), WEFT_ECANCELED);
        weft_waitgroup_wait(&wg);
        EXPECT(weft_sem_try_acquire(&s, 2));
        weft_sem_release(&s, 2);
        EXPECT_EQ(weft_sem_acquire(c, &s, 1), WEFT_ECANCELED);   /* also where it need not wait */
        weft_ctx_unref(c);
    }
}
