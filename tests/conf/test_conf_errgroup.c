/*
 * test_conf_errgroup.c - groups of goroutines with a first failure, as Go's tests hold them. What comes from where:
 * LIST_x.md.
 *
 * Source  Go x/sync/errgroup: errgroup_test.go.
 */
#include "conf.h"

enum { DOOM = -4711, OTHER = -4712 };

static weft_err result(weft_err err)
{
    return err;
}

/* The results of a group's goroutines, and what wait is to return. */
static const struct group_case {
    int len;
    weft_err err[3], want;
} cases[] = {
    {0, {0}, 0}, {1, {0}, 0}, {1, {DOOM}, DOOM}, {2, {DOOM, 0}, DOOM},
};
enum { CASES = sizeof cases / sizeof *cases };

TEST(conf_errgroup, a_zeroed_group_remembers_the_first_failure)
{
    static const weft_err all[][3] = {{0, 0, 0}, {DOOM, 0, 0}, {DOOM, 0, OTHER}, {0, OTHER, DOOM}};
    for (int c = 0; c < 4; c++) {
        weft_errgroup g = {0};
        weft_err first = 0;
        for (int i = 0; i < 3; i++) {
            weft_errgroup_go(&g, result, all[c][i]);
            first = first ? first : all[c][i];
            EXPECT_EQ(weft_errgroup_wait(&g), first);
        }
    }
}

TEST(conf_errgroup, wait_ends_the_context)
{
    for (int c = 0; c < CASES; c++) {
        weft_errgroup g;
        weft_ctx *gctx;
        weft_errgroup_init(&g, NULL, &gctx);
        weft_ctx *mine = weft_ctx_ref(gctx);            /* the group's reference goes with wait */
        for (int i = 0; i < cases[c].len; i++)
            weft_errgroup_go(&g, result, cases[c].err[i]);
        EXPECT_EQ(weft_errgroup_wait(&g), cases[c].want);
        EXPECT_EQ(weft_try_recv(weft_ctx_done(mine), NULL), -1);
        weft_ctx_unref(mine);
    }
}

TEST(conf_errgroup, the_first_failure_is_the_cause)
{
    for (int c = 0; c < CASES; c++) {
        weft_errgroup g;
        weft_ctx *gctx;
        weft_errgroup_init(&g, NULL, &gctx);
        weft_ctx *mine = weft_ctx_ref(gctx);
        for (int i = 0; i < cases[c].len; i++)
            EXPECT(weft_errgroup_try_go(&g, result, cases[c].err[i]));
        EXPECT_EQ(weft_errgroup_wait(&g), cases[c].want);
        EXPECT_EQ(weft_ctx_cause(mine), cases[c].want ? cases[c].want : WEFT_ECANCELED);
        weft_ctx_unref(mine);
    }
}

static weft_err send_one(weft_chan(int) ch)
{
    weft_send(ch, 1);
    return 0;
}

static void take(weft_chan(int) ch, int n)
{
    for (int i = 0; i < n; i++)
        (void)weft_recv(ch);
}

TEST(conf_errgroup, try_go_refuses_at_the_limit_and_the_limit_can_change)
{
    enum { N = 42 };
    weft_errgroup g = {0};
    weft_waitgroup takers = {0};
    weft_chan(int) ch = weft_make(int);

    weft_errgroup_set_limit(&g, N);
    for (int i = 0; i < N; i++)
        EXPECT(weft_errgroup_try_go(&g, send_one, ch));
    EXPECT(!weft_errgroup_try_go(&g, send_one, ch));
    weft_waitgroup_go(&takers, take, ch, N);
    EXPECT_EQ(weft_errgroup_wait(&g), 0);
    EXPECT(weft_errgroup_try_go(&g, send_one, ch));
    weft_waitgroup_go(&takers, take, ch, 1);
    EXPECT_EQ(weft_errgroup_wait(&g), 0);

    weft_errgroup_set_limit(&g, 1);
    EXPECT(weft_errgroup_try_go(&g, send_one, ch));
    EXPECT(!weft_errgroup_try_go(&g, send_one, ch));
    weft_waitgroup_go(&takers, take, ch, 1);
    EXPECT_EQ(weft_errgroup_wait(&g), 0);

    weft_errgroup_set_limit(&g, 0);
    for (int i = 0; i < 1024; i++)
        EXPECT(!weft_errgroup_try_go(&g, send_one, ch));
    EXPECT_EQ(weft_errgroup_wait(&g), 0);
    weft_waitgroup_wait(&takers);
    weft_free(ch);
}

static weft_err count_active(atomic_int *active, int limit)
{
    int n = atomic_fetch_add(active, 1) + 1;
    if (n > limit)
        return -n;
    weft_sleep(WEFT_US);
    atomic_fetch_sub(active, 1);
    return 0;
}

TEST_ENV(conf_errgroup, go_waits_at_the_limit, "WEFT_PROCS=8")
{
    weft_errgroup g = {0};
    atomic_int active = 0;
    weft_errgroup_set_limit(&g, 10);
    for (int i = 0; i <= 1024; i++)
        weft_errgroup_go(&g, count_active, &active, 10);
    EXPECT_EQ(weft_errgroup_wait(&g), 0);
}
