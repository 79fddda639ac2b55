/* test_ctx_after.c - functions that start when a context ends, and the internal watch. */
#include <stdatomic.h>
#include <weft/weft.h>
#include <weft_test.h>

#include "ctx/ctx_int.h"

static void note(void *ch)
{
    weft_send((weft_chan(int))ch, 1);
}

TEST(ctx_after, fn_runs_once_in_a_goroutine_when_the_context_ends)
{
    weft_ctx *c = weft_with_cancel(NULL);
    weft_chan(int) ch = weft_make(int);
    weft_ctx_after *h = weft_ctx_after_func(c, note, ch);
    EXPECT(h);
    EXPECT_EQ(weft_try_recv(ch, NULL), 0);
    weft_cancel(c);                          /* does not wait for fn, which parks in its send */
    EXPECT_EQ(weft_recv(ch), 1);
    EXPECT(!weft_ctx_after_func_stop(h));
    weft_ctx_unref(c);
    EXPECT(!weft_ctx_after_func_stop(h));
    weft_free(ch);
}

TEST(ctx_after, fn_starts_at_once_when_the_context_has_ended)
{
    weft_ctx *c = weft_with_cancel(NULL);
    weft_chan(int) ch = weft_make(int);
    weft_cancel(c);
    (void)weft_ctx_after_func(c, note, ch);
    EXPECT_EQ(weft_recv(ch), 1);
    weft_ctx_unref(c);
    weft_free(ch);
}

TEST(ctx_after, stop_calls_it_off_once)
{
    weft_ctx *c = weft_with_cancel(NULL);
    weft_chan(int) ch = weft_make(int, 1);
    weft_ctx_after *h = weft_ctx_after_func(c, note, ch);
    EXPECT(weft_ctx_after_func_stop(h));
    EXPECT(!weft_ctx_after_func_stop(h));
    weft_cancel(c);
    weft_yield();
    EXPECT_EQ(weft_len(ch), 0);
    weft_ctx_unref(c);
    weft_free(ch);
}

TEST(ctx_after, an_old_handle_does_not_stop_a_new_function)
{
    weft_ctx *c = weft_with_cancel(NULL);
    weft_chan(int) ch = weft_make(int, 1);
    weft_ctx_after *old = weft_ctx_after_func(c, note, ch);
    EXPECT(weft_ctx_after_func_stop(old));
    weft_ctx_after *h = weft_ctx_after_func(c, note, ch);    /* takes the same slot */
    EXPECT(!weft_ctx_after_func_stop(old));
    weft_cancel(c);
    EXPECT_EQ(weft_recv(ch), 1);
    EXPECT(!weft_ctx_after_func_stop(h));
    EXPECT(!weft_ctx_after_func_stop(NULL));
    weft_ctx_unref(c);
    weft_free(ch);
}

TEST(ctx_after, of_a_background_never_runs)
{
    weft_ctx_after *h = weft_ctx_after_func(weft_background(), note, NULL);
    EXPECT(weft_ctx_after_func_stop(h));
    EXPECT(!weft_ctx_after_func_stop(h));
}

TEST(ctx_after, a_deadline_and_a_dropped_reference_start_it_too)
{
    weft_chan(int) ch = weft_make(int);
    weft_ctx *c = weft_with_timeout(NULL, WEFT_MS);
    (void)weft_ctx_after_func(c, note, ch);
    EXPECT_EQ(weft_recv(ch), 1);
    weft_ctx_unref(c);
    c = weft_with_cancel(NULL);
    (void)weft_ctx_after_func(c, note, ch);
    weft_ctx_unref(c);
    EXPECT_EQ(weft_recv(ch), 1);
    weft_free(ch);
}

TEST(ctx_after, more_functions_than_one_chunk_of_slots)
{
    enum { N = 500 };
    weft_ctx *c = weft_with_cancel(NULL);
    weft_chan(int) ch = weft_make(int, N);
    weft_ctx_after *h[N];
    for (int i = 0; i < N; i++)
        h[i] = weft_ctx_after_func(c, note, ch);
    for (int i = 0; i < N; i += 2)
        EXPECT(weft_ctx_after_func_stop(h[i]));
    weft_cancel(c);
    for (int i = 0; i < N / 2; i++)
        EXPECT_EQ(weft_recv(ch), 1);
    EXPECT_EQ(weft_try_recv(ch, NULL), 0);
    weft_ctx_unref(c);
    weft_free(ch);
}

struct tally {
    _Atomic int ran;
    weft_waitgroup wg;
};

static void tally_run(void *t)
{
    struct tally *tally = t;
    atomic_fetch_add(&tally->ran, 1);
    weft_waitgroup_done(&tally->wg);
}

static void cancel_it(weft_ctx *c)
{
    weft_cancel(c);
}

/* Either stop says true and fn does not run, or false and it does: never both, never neither. */
TEST_ENV(ctx_after, stop_and_cancel_may_race, "WEFT_PROCS=8")
{
    struct tally t = {0};
    int stopped = 0, rounds = WEFT_TEST_TIMES(3000, 150);
    for (int i = 0; i < rounds; i++) {
        weft_ctx *c = weft_with_cancel(NULL);
        weft_waitgroup gone = {0};
        weft_waitgroup_add(&t.wg, 1);
        weft_ctx_after *h = weft_ctx_after_func(c, tally_run, &t);
        weft_waitgroup_go(&gone, cancel_it, c);
        if (i % 3 == 0)
            weft_yield();
        if (weft_ctx_after_func_stop(h)) {
            stopped++;
            weft_waitgroup_done(&t.wg);
        }
        weft_waitgroup_wait(&gone);
        weft_ctx_unref(c);
    }
    weft_waitgroup_wait(&t.wg);
    EXPECT_EQ(t.ran + stopped, rounds);
}

struct watcher {
    struct weft__ctx_watch w;      /* first */
    _Atomic int fired;
};

static void watch_fired(struct weft__ctx_watch *w)
{
    atomic_fetch_add(&((struct watcher *)w)->fired, 1);
}

TEST(ctx_after, a_watch_tells_done_from_never)
{
    struct watcher w = {0};
    weft_ctx *c = weft_with_cancel(NULL), *v = weft_with_value(c, &w, NULL);
    EXPECT(!weft__ctx_watch_add(NULL, &w.w, watch_fired));
    weft__ctx_watch_del(&w.w);
    EXPECT(!weft__ctx_watch_add(weft_background(), &w.w, watch_fired));
    EXPECT(weft__ctx_watch_add(v, &w.w, watch_fired));
    weft__ctx_watch_del(&w.w);
    EXPECT(weft__ctx_watch_add(v, &w.w, watch_fired));
    weft_cancel(c);
    EXPECT_EQ(w.fired, 1);
    weft__ctx_watch_del(&w.w);
    EXPECT(!weft__ctx_watch_add(v, &w.w, watch_fired));
    EXPECT_EQ(weft_ctx_err(v), WEFT_ECANCELED);
    EXPECT_EQ(w.fired, 1);
    weft_ctx_unref(v);
    weft_ctx_unref(c);
}

static __attribute__((noinline)) void watch_briefly(weft_ctx *c)
{
    struct watcher w = {0};
    bool in_line = weft__ctx_watch_add(c, &w.w, watch_fired);
    weft__ctx_watch_del(&w.w);
    EXPECT(in_line || (weft_ctx_err(c) != 0 && w.fired == 0));
    memset(&w, 0xff, sizeof w);              /* a late fn would count up from here, and asan would see it */
    __asm__ volatile("" : : "r"(&w) : "memory");
}

static void watch_until_end(weft_ctx *c)
{
    while (weft_ctx_err(c) == 0)
        for (int i = 0; i < 50; i++)
            watch_briefly(c);
}

TEST_ENV(ctx_after, a_deleted_watch_is_not_touched, "WEFT_PROCS=8")
{
    for (int round = 0; round < WEFT_TEST_TIMES(100, 5); round++) {
        weft_ctx *c = weft_with_timeout(NULL, (1 + round % 10) * 20 * WEFT_US);
        weft_waitgroup wg = {0};
        for (int i = 0; i < 4; i++)
            weft_waitgroup_go(&wg, watch_until_end, c);
        weft_waitgroup_wait(&wg);
        weft_ctx_unref(c);
    }
}

static void drop_it(weft_ctx *c, weft_chan(int) over)
{
    weft_ctx_unref(c);
    weft_send(over, 1);
}

static void nothing(void *arg)
{
    (void)arg;
}

/* The handle holds no reference, but the memory: AddressSanitizer would tell. */
TEST_ENV(ctx_after, a_stop_may_meet_the_drop_of_the_last_reference, "WEFT_PROCS=2")
{
    weft_chan(int) over = weft_make(int, 1);
    for (int i = 0; i < WEFT_TEST_TIMES(2000, 160); i++) {
        weft_ctx *c = weft_with_cancel(NULL);
        weft_ctx_after *h = weft_ctx_after_func(c, nothing, NULL);
        weft_go(drop_it, c, over);
        for (volatile int k = 0; k < i % 500; k++)
            ;
        (void)weft_ctx_after_func_stop(h);
        EXPECT_EQ(weft_recv(over), 1);
    }
    weft_free(over);
}
