/*
 * test_conf_ctx.c - contexts, as Go's tests hold them. What comes from where: LIST_context.md.
 *
 * Source  Go context: context_test.go, x_test.go, afterfunc_test.go. Where Go's test makes a Context of its own type, ours
 *         uses a context with a value between: api.md has one type of context.
 */
#include <malloc.h>

#include "conf.h"

enum { SOON = 1000000 };                                 /* 1 ms */
#define FAR_AWAY ((weft_dur)3600 * 1000 * WEFT_SEC)
enum { CAUSE_PARENT = -7001, CAUSE_CHILD, TOO_SLOW, FINISHED_EARLY };

static const char key1, key2, key3;
static char value1[] = "c1k1", value2[] = "c2k2", value3[] = "c3k3";

static bool is_over(weft_ctx *c)
{
    return weft_try_recv(weft_ctx_done(c), NULL) == -1;
}

#define EXPECT_LIVE(c)                        \
    do {                                      \
        EXPECT(!is_over(c));                  \
        EXPECT_EQ(weft_ctx_err(c), 0);        \
        EXPECT_EQ(weft_ctx_cause(c), 0);      \
    } while (0)
#define EXPECT_OVER(c, err)                   \
    do {                                      \
        EXPECT(is_over(c));                   \
        EXPECT_EQ(weft_ctx_err(c), err);      \
    } while (0)

/* ---- a tree ends from the top ---- */

static void nothing(void *arg)
{
    (void)arg;
}

TEST(conf_ctx, a_parents_end_is_its_childrens)
{
    weft_ctx *parent = weft_with_cancel(NULL);
    weft_ctx *child = weft_with_cancel(parent);
    weft_ctx *value = weft_with_value(parent, &key1, value1);
    weft_ctx *timed = weft_with_timeout(value, FAR_AWAY);
    weft_ctx_after *after = weft_ctx_after_func(parent, nothing, NULL);

    EXPECT_LIVE(parent);
    EXPECT_LIVE(child);
    EXPECT_LIVE(value);
    EXPECT_LIVE(timed);
    weft_cancel(parent);
    EXPECT_OVER(parent, WEFT_ECANCELED);
    EXPECT_OVER(child, WEFT_ECANCELED);
    EXPECT_OVER(value, WEFT_ECANCELED);
    EXPECT_OVER(timed, WEFT_ECANCELED);
    EXPECT(!weft_ctx_after_func_stop(after));

    weft_ctx *late = weft_with_value(parent, &key1, value1);
    EXPECT_OVER(late, WEFT_ECANCELED);
    weft_ctx_unref(late);
    weft_ctx_unref(timed);
    weft_ctx_unref(value);
    weft_ctx_unref(child);
    weft_ctx_unref(parent);
}

TEST(conf_ctx, a_childs_end_is_its_own)
{
    weft_ctx *root = weft_with_cancel(NULL), *parents[] = {weft_background(), root};
    for (int i = 0; i < 2; i++) {
        weft_ctx *child = weft_with_cancel(parents[i]);
        EXPECT_LIVE(child);
        weft_cancel(child);
        EXPECT_OVER(child, WEFT_ECANCELED);
        EXPECT_LIVE(parents[i]);
        weft_ctx_unref(child);
    }
    weft_ctx_unref(root);
}

/* What Go counts in the parent's list of children, seen from outside: memory does not grow with children that are gone. */
TEST(conf_ctx, children_that_end_leave_nothing_with_their_parent)
{
    weft_ctx *parent = weft_with_cancel(NULL);
    size_t before = 0;
    for (int i = 0; i < 30000; i++) {
        weft_ctx *c = i % 2 ? weft_with_cancel(parent) : weft_with_timeout(parent, FAR_AWAY);
        weft_ctx_after *h = weft_ctx_after_func(parent, nothing, NULL);
        weft_cancel(c);
        weft_ctx_unref(c);
        EXPECT(weft_ctx_after_func_stop(h));
        if (i == 1000)
            before = mallinfo2().uordblks;
    }
    EXPECT(mallinfo2().uordblks < before + 100000);
    weft_ctx_unref(parent);
}

TEST(conf_ctx, background_never_ends)
{
    EXPECT(weft_background());
    EXPECT(!weft_ctx_done(weft_background()));
    EXPECT_EQ(weft_try_recv(weft_ctx_done(weft_background()), NULL), 0);
    EXPECT_LIVE(weft_background());
}

TEST(conf_ctx, cancel_reaches_everybody_before_it_returns)
{
    weft_ctx *c1 = weft_with_cancel(weft_background()), *between = weft_with_value(c1, &key1, value1);
    weft_ctx *c2 = weft_with_cancel(between), *all[] = {c1, between, c2};
    for (int i = 0; i < 3; i++) {
        EXPECT(weft_ctx_done(all[i]));
        EXPECT_LIVE(all[i]);
    }
    weft_cancel(c1);
    for (int i = 0; i < 3; i++)
        EXPECT_OVER(all[i], WEFT_ECANCELED);
    for (int i = 2; i >= 0; i--)
        weft_ctx_unref(all[i]);
}

/* ---- deadlines ---- */

static void expect_deadline(int line, weft_ctx *c)
{
    bool in_time = weft_select(weft_on_recv(weft_ctx_done(c), NULL), weft_on_timeout(CONF_LONG)) == 0;
    if (!in_time || weft_ctx_err(c) != WEFT_EDEADLINE)
        weft_test_fail(__FILE__, line, "%s, err %d", in_time ? "ended" : "not ended", weft_ctx_err(c));
    weft_ctx_unref(c);
}

/* A child of c that has nothing but a value, or a far deadline; c's reference goes with it. */
static weft_ctx *below(weft_ctx *c, bool far_deadline)
{
    weft_ctx *v = weft_with_value(c, &key1, value1), *d = far_deadline ? weft_with_timeout(v, FAR_AWAY) : weft_ctx_ref(v);
    weft_ctx_unref(v);
    weft_ctx_unref(c);
    return d;
}

TEST(conf_ctx, a_deadline_ends_it_and_what_is_below)
{
    weft_time soon = weft_now() + SOON;
    expect_deadline(__LINE__, weft_with_deadline(NULL, soon));
    expect_deadline(__LINE__, below(weft_with_deadline(NULL, weft_now() + SOON), false));
    expect_deadline(__LINE__, below(weft_with_deadline(NULL, weft_now() + SOON), true));
    expect_deadline(__LINE__, weft_with_deadline(NULL, weft_now() - SOON));
    expect_deadline(__LINE__, weft_with_deadline(NULL, weft_now()));
    weft_ctx *past = weft_with_deadline(NULL, weft_now() - SOON);
    EXPECT_OVER(past, WEFT_EDEADLINE);                          /* from the start */
    weft_ctx_unref(past);
}

TEST(conf_ctx, a_timeout_ends_it_and_what_is_below)
{
    expect_deadline(__LINE__, weft_with_timeout(NULL, SOON));
    expect_deadline(__LINE__, below(weft_with_timeout(NULL, SOON), false));
    expect_deadline(__LINE__, below(weft_with_timeout(NULL, SOON), true));
}

TEST(conf_ctx, cancelled_before_the_deadline_it_is_cancelled)
{
    weft_ctx *outer = weft_with_timeout(NULL, WEFT_MIN), *between = weft_with_value(outer, &key1, value1);
    weft_ctx *c = weft_with_timeout(between, FAR_AWAY);
    weft_time at = 0, outer_at = 0;
    EXPECT(weft_ctx_deadline(c, &at) && weft_ctx_deadline(outer, &outer_at));
    EXPECT_EQ(at, outer_at);                                     /* the parent's earlier one is in force */
    weft_cancel(c);
    EXPECT_OVER(c, WEFT_ECANCELED);
    EXPECT_LIVE(outer);
    weft_ctx_unref(c);
    weft_ctx_unref(between);
    weft_ctx_unref(outer);
}

/* ---- values ---- */

static void expect_values(int line, weft_ctx *c, const char *v1, const char *v2, const char *v3)
{
    if (weft_ctx_value(c, &key1) != v1 || weft_ctx_value(c, &key2) != v2 || weft_ctx_value(c, &key3) != v3)
        weft_test_fail(__FILE__, line, "values are %s, %s, %s", (char *)weft_ctx_value(c, &key1),
                       (char *)weft_ctx_value(c, &key2), (char *)weft_ctx_value(c, &key3));
}

TEST(conf_ctx, the_nearest_value_of_a_key_counts)
{
    weft_ctx *c1 = weft_with_value(weft_background(), &key1, value1), *c2 = weft_with_value(c1, &key2, value2);
    weft_ctx *c3 = weft_with_value(c2, &key3, value3), *c4 = weft_with_value(c3, &key1, NULL);
    weft_ctx *o3 = weft_with_cancel(c4), *o4 = weft_with_value(o3, &key3, NULL);

    expect_values(__LINE__, weft_background(), NULL, NULL, NULL);
    expect_values(__LINE__, c1, value1, NULL, NULL);
    expect_values(__LINE__, c2, value1, value2, NULL);
    expect_values(__LINE__, c3, value1, value2, value3);
    expect_values(__LINE__, c4, NULL, value2, value3);          /* a NULL hides the parent's */
    expect_values(__LINE__, o3, NULL, value2, value3);
    expect_values(__LINE__, o4, NULL, value2, NULL);
    weft_ctx *all[] = {o4, o3, c4, c3, c2, c1};
    for (int i = 0; i < 6; i++)
        weft_ctx_unref(all[i]);
}

static void value_without_key(void)
{
    weft_ctx_unref(weft_with_value(weft_background(), NULL, value1));
}

TEST(conf_ctx, a_value_needs_a_key)
{
    EXPECT_PANIC("nil key", value_without_key);
}

/* ---- many at one time ---- */

TEST_ENV(conf_ctx, a_tree_that_is_cancelled_everywhere_at_once_ends, "WEFT_PROCS=8")
{
    enum { N = 101 };
    weft_ctx *tree[N] = {weft_with_cancel(NULL)};
    weft_waitgroup wg = {0};
    for (int i = 1; i < N; i++)
        tree[i] = weft_with_cancel(tree[(i - 1) / 4]);
    for (int i = 0; i < N; i++)
        weft_waitgroup_go(&wg, weft_cancel, tree[i * 37 % N]);
    for (int i = 0; i < N; i++)
        (void)weft_recv(weft_ctx_done(tree[i * 53 % N]));
    weft_waitgroup_wait(&wg);
    for (int i = 0; i < N; i++) {
        EXPECT_OVER(tree[i], WEFT_ECANCELED);
        weft_ctx_unref(tree[i]);
    }
}

static void cancel_when_over(weft_ctx *parent, weft_ctx *child)
{
    (void)weft_recv(weft_ctx_done(parent));
    weft_cancel(child);
}

TEST_ENV(conf_ctx, a_child_cancelled_because_of_its_parent_locks_nothing_up, "WEFT_PROCS=8")
{
    for (int round = 0; round < 300; round++) {
        weft_ctx *parent = weft_with_cancel(NULL), *child = weft_with_cancel(parent);
        weft_waitgroup wg = {0};
        weft_waitgroup_go(&wg, cancel_when_over, parent, child);
        if (round % 2)
            weft_yield();
        weft_cancel(parent);
        (void)weft_recv(weft_ctx_done(child));
        weft_waitgroup_wait(&wg);
        weft_ctx_unref(child);
        weft_ctx_unref(parent);
    }
}

enum { LAYERS = 40 };

/* Values, cancels and timeouts over each other as seed says, 3 kinds at least once each. */
static int layer_up(weft_ctx **layer, uint32_t seed, weft_dur d, bool *is_value)
{
    weft_ctx *c = weft_background();
    for (int i = 0; i < LAYERS; i++) {
        seed = seed * 1664525 + 1013904223;
        int kind = i < 3 ? i : (int)(seed >> 16) % 3;
        c = kind == 0 ? weft_with_value(c, &layer[i], &layer[i]) : kind == 1 ? weft_with_cancel(c) : weft_with_timeout(c, d);
        layer[i] = c;
        is_value[i] = kind == 0;
    }
    return (int)(seed >> 8) % LAYERS;
}

static void test_layers(bool timeout)
{
    for (uint32_t seed = 1; seed <= 20; seed++) {
        weft_ctx *layer[LAYERS], *top;
        bool is_value[LAYERS];
        int which = layer_up(layer, seed, timeout ? SOON : FAR_AWAY, is_value);
        top = layer[LAYERS - 1];
        if (!timeout) {
            EXPECT_LIVE(top);
            while (is_value[which])
                which = (which + 1) % LAYERS;
            weft_cancel(layer[which]);
            EXPECT_OVER(top, WEFT_ECANCELED);
        } else {
            (void)weft_recv(weft_ctx_done(top));
            EXPECT_OVER(top, WEFT_EDEADLINE);
        }
        for (int i = 0; i < LAYERS; i++)
            EXPECT(weft_ctx_value(top, &layer[i]) == (is_value[i] ? &layer[i] : NULL));
        for (int i = LAYERS - 1; i >= 0; i--)
            weft_ctx_unref(layer[i]);
    }
}

TEST(conf_ctx, layers_of_all_kinds_end_by_a_cancel)
{
    test_layers(false);
}

TEST(conf_ctx, layers_of_all_kinds_end_by_a_timeout)
{
    test_layers(true);
}

TEST(conf_ctx, a_child_of_an_ended_parent_has_ended_with_its_cause)
{
    weft_ctx *parent = weft_with_cancel(NULL);
    weft_cancel_cause(parent, CAUSE_PARENT);
    weft_ctx *c = weft_with_cancel(parent);
    EXPECT_OVER(c, WEFT_ECANCELED);
    EXPECT_EQ(weft_ctx_cause(c), CAUSE_PARENT);
    weft_ctx_unref(c);
    weft_ctx_unref(parent);
}

TEST_ENV(conf_ctx, a_child_made_while_its_parent_ends_ends_too, "WEFT_PROCS=8")
{
    for (int i = 0; i < 500; i++) {
        weft_ctx *parent = weft_with_cancel(NULL);
        weft_waitgroup wg = {0};
        weft_waitgroup_go(&wg, weft_cancel_cause, parent, CAUSE_PARENT);
        weft_ctx *c = weft_with_cancel(parent);
        (void)weft_recv(weft_ctx_done(c));
        EXPECT_EQ(weft_ctx_err(c), WEFT_ECANCELED);
        EXPECT_EQ(weft_ctx_cause(c), CAUSE_PARENT);
        weft_waitgroup_wait(&wg);
        weft_ctx_unref(c);
        weft_ctx_unref(parent);
    }
}

/* ---- causes ---- */

/* parent and child; each step cancels one of them: 'P' the parent with its cause, 'p' without, 'C' and 'c' the child. */
static const struct cause_case {
    const char *steps;
    weft_err cause;
} causes[] = {
    {"PC", CAUSE_PARENT}, {"CP", CAUSE_CHILD}, {"Pc", CAUSE_PARENT}, {"cP", WEFT_ECANCELED}, {"pC", WEFT_ECANCELED},
    {"Cp", CAUSE_CHILD}, {"C", CAUSE_CHILD}, {"c", WEFT_ECANCELED}, {"P", CAUSE_PARENT},
};

TEST(conf_ctx, the_first_cause_counts)
{
    for (size_t i = 0; i < sizeof causes / sizeof *causes; i++) {
        weft_ctx *parent = weft_with_cancel(NULL), *child = weft_with_cancel(parent);
        for (const char *s = causes[i].steps; *s; s++) {
            weft_ctx *c = *s == 'P' || *s == 'p' ? parent : child;
            weft_err cause = *s == 'P' ? CAUSE_PARENT : *s == 'C' ? CAUSE_CHILD : 0;
            if (cause)
                weft_cancel_cause(c, cause);
            else if (i % 2)
                weft_cancel(c);
            else
                weft_cancel_cause(c, 0);
        }
        EXPECT_OVER(child, WEFT_ECANCELED);
        if (weft_ctx_cause(child) != causes[i].cause)
            weft_test_fail(__FILE__, __LINE__, "%s: cause %d", causes[i].steps, weft_ctx_cause(child));
        weft_ctx_unref(child);
        weft_ctx_unref(parent);
    }
}

static void expect_end(int line, weft_ctx *c, weft_err err, weft_err cause)
{
    if (weft_ctx_err(c) != err || weft_ctx_cause(c) != cause)
        weft_test_fail(__FILE__, line, "err %d, cause %d", weft_ctx_err(c), weft_ctx_cause(c));
    weft_ctx_unref(c);
}

TEST(conf_ctx, a_timeout_may_have_a_cause)
{
    weft_ctx *c = weft_with_timeout(NULL, 0);
    weft_cancel(c);
    expect_end(__LINE__, c, WEFT_EDEADLINE, WEFT_EDEADLINE);
    c = weft_with_timeout(NULL, FAR_AWAY);
    weft_cancel(c);
    expect_end(__LINE__, c, WEFT_ECANCELED, WEFT_ECANCELED);
    c = weft_with_timeout_cause(NULL, 0, TOO_SLOW);
    weft_cancel(c);
    expect_end(__LINE__, c, WEFT_EDEADLINE, TOO_SLOW);
    c = weft_with_timeout_cause(NULL, FAR_AWAY, TOO_SLOW);
    weft_cancel(c);
    expect_end(__LINE__, c, WEFT_ECANCELED, WEFT_ECANCELED);
    c = weft_with_deadline_cause(NULL, weft_now() + SOON, TOO_SLOW);
    (void)weft_recv(weft_ctx_done(c));
    expect_end(__LINE__, c, WEFT_EDEADLINE, TOO_SLOW);
}

TEST(conf_ctx, a_timeouts_cause_is_only_its_own)
{
    weft_ctx *parent = weft_with_cancel(NULL), *c = weft_with_timeout_cause(parent, 0, TOO_SLOW);
    weft_cancel_cause(parent, FINISHED_EARLY);
    expect_end(__LINE__, c, WEFT_EDEADLINE, TOO_SLOW);
    weft_ctx_unref(parent);
    parent = weft_with_cancel(NULL);
    c = weft_with_timeout_cause(parent, FAR_AWAY, TOO_SLOW);
    weft_cancel_cause(parent, FINISHED_EARLY);
    expect_end(__LINE__, c, WEFT_ECANCELED, FINISHED_EARLY);
    weft_ctx_unref(parent);
}

TEST(conf_ctx, without_cancel_there_is_no_end_and_no_cause)
{
    expect_end(__LINE__, weft_without_cancel(NULL), 0, 0);
    weft_ctx *parent = weft_with_cancel(NULL), *c = weft_without_cancel(parent);
    weft_cancel_cause(parent, FINISHED_EARLY);
    expect_end(__LINE__, c, 0, 0);
    weft_ctx_unref(parent);
    parent = weft_with_timeout_cause(NULL, 0, TOO_SLOW);
    c = weft_without_cancel(parent);
    weft_cancel(parent);
    expect_end(__LINE__, c, 0, 0);
    weft_ctx_unref(parent);
}

TEST_ENV(conf_ctx, a_cause_that_is_seen_is_the_right_one, "WEFT_PROCS=8")
{
    for (int round = 0; round < 200; round++) {
        weft_ctx *c = weft_with_cancel(NULL);
        weft_waitgroup wg = {0};
        weft_err cause;
        weft_waitgroup_go(&wg, weft_cancel_cause, c, CAUSE_PARENT);
        while ((cause = weft_ctx_cause(c)) == 0)
            weft_yield();
        EXPECT_EQ(cause, CAUSE_PARENT);
        weft_waitgroup_wait(&wg);
        weft_ctx_unref(c);
    }
}

TEST(conf_ctx, without_cancel_keeps_the_values)
{
    weft_ctx *v = weft_with_value(weft_background(), &key1, value1), *c = weft_without_cancel(v);
    weft_time at = 1;
    EXPECT(!weft_ctx_deadline(c, &at) && at == 0);
    EXPECT(!weft_ctx_done(c));
    EXPECT_EQ(weft_ctx_err(c), 0);
    EXPECT(weft_ctx_value(c, &key1) == value1);
    weft_ctx_unref(c);
    weft_ctx_unref(v);
}

/* ---- after functions ---- */

static void close_it(void *ch)
{
    weft_close((weft_chan(int))ch);
}

/* Ends when ch is closed, which takes less than 20 s. */
static bool closes(weft_chan(int) ch)
{
    return weft_select(weft_on_recv(ch, NULL), weft_on_timeout(CONF_LONG)) == 0;
}

TEST(conf_ctx, an_after_func_runs_after_the_cancel_and_not_before)
{
    weft_ctx *c = weft_with_cancel(NULL);
    weft_chan(int) ran = weft_make(int);
    weft_ctx_after *h = weft_ctx_after_func(c, close_it, ran);
    EXPECT_EQ(weft_select(weft_on_recv(ran, NULL), weft_on_timeout(SOON)), 1);
    weft_cancel(c);
    EXPECT(closes(ran));
    EXPECT(!weft_ctx_after_func_stop(h));
    weft_ctx_unref(c);
    weft_free(ran);
}

TEST(conf_ctx, an_after_func_runs_after_the_timeout)
{
    weft_ctx *c = weft_with_timeout(NULL, SOON);
    weft_chan(int) ran = weft_make(int);
    (void)weft_ctx_after_func(c, close_it, ran);
    EXPECT(closes(ran));
    EXPECT_EQ(weft_ctx_err(c), WEFT_EDEADLINE);
    weft_ctx_unref(c);
    weft_free(ran);
}

TEST(conf_ctx, an_after_func_of_an_ended_context_runs_at_once)
{
    weft_ctx *c = weft_with_cancel(NULL);
    weft_chan(int) ran = weft_make(int);
    weft_cancel(c);
    (void)weft_ctx_after_func(c, close_it, ran);
    EXPECT(closes(ran));
    weft_ctx_unref(c);
    weft_free(ran);
}

TEST(conf_ctx, a_stopped_after_func_does_not_run)
{
    weft_ctx *c = weft_with_cancel(NULL);
    weft_chan(int) ran = weft_make(int);
    weft_ctx_after *h = weft_ctx_after_func(c, close_it, ran);
    EXPECT(weft_ctx_after_func_stop(h));
    weft_cancel(c);
    EXPECT_EQ(weft_select(weft_on_recv(ran, NULL), weft_on_timeout(SOON)), 1);
    EXPECT(!weft_ctx_after_func_stop(h));
    weft_ctx_unref(c);
    weft_free(ran);
}

static void send_one(void *ch)
{
    weft_send((weft_chan(int))ch, 1);
}

TEST(conf_ctx, cancel_does_not_wait_for_after_funcs)
{
    weft_ctx *c = weft_with_cancel(NULL);
    weft_chan(int) ch = weft_make(int);
    (void)weft_ctx_after_func(c, send_one, ch);
    weft_cancel(c);                                    /* comes back though nobody receives yet */
    EXPECT(closes(ch));
    weft_ctx_unref(c);
    weft_free(ch);
}

static void cancel_other(void *c)
{
    weft_cancel(c);
}

/* A context that has to end with another one, without being its child: by an after function. Go: ExampleAfterFunc_merge. */
TEST(conf_ctx, two_contexts_can_be_merged)
{
    for (int first = 0; first < 2; first++) {
        weft_ctx *a = weft_with_cancel(NULL), *b = weft_with_cancel(NULL), *both = weft_with_cancel(a);
        weft_ctx_after *h = weft_ctx_after_func(b, cancel_other, both);
        weft_cancel(first ? b : a);
        (void)weft_recv(weft_ctx_done(both));
        EXPECT_EQ(weft_ctx_err(both), WEFT_ECANCELED);
        EXPECT_EQ(weft_ctx_after_func_stop(h), !first);
        EXPECT_EQ(weft_ctx_err(first ? a : b), 0);
        weft_ctx_unref(both);
        weft_ctx_unref(a);
        weft_ctx_unref(b);
    }
}

/* ---- what is seen together ---- */

TEST_ENV(conf_ctx, an_err_that_is_seen_has_closed_done, "WEFT_PROCS=8")
{
    for (int round = 0; round < 200; round++) {
        weft_ctx *c = weft_with_cancel(NULL);
        weft_receiver(char) done = weft_ctx_done(c);
        weft_waitgroup wg = {0};
        weft_waitgroup_go(&wg, weft_cancel, c);
        while (weft_ctx_err(c) == 0)
            weft_yield();
        EXPECT_EQ(weft_try_recv(done, NULL), -1);
        weft_waitgroup_wait(&wg);
        weft_ctx_unref(c);
    }
}
