/*
 * prop_ctx.c - random trees of contexts and random timers, held against simple models: an end reaches everybody below it,
 * what was called off does not run, timers fire in the order of their times. Only the simulation runs this (src/sim).
 */
#include <stdatomic.h>
#include <weft/weft.h>

#include "../../src/sched/sched.h"
#include "../../src/sim/sim.h"
#include "../include/weft_test.h"

static uint32_t draw(uint32_t n)
{
    return (uint32_t)(weft__sim_random() % n);
}

/* ---- trees ---- */

enum { NODES = 10 };

struct tree {
    weft_ctx *node[NODES];
    weft_ctx_after *after[NODES];
    int up[NODES];
    _Atomic int ran[NODES];
    weft_waitgroup wg;
};
static struct tree tree;

static void count(void *arg)
{
    atomic_fetch_add((_Atomic int *)arg, 1);
}

static void wait_for_end(int i)
{
    weft_ctx *c = tree.node[i];

    if (draw(2))
        (void)weft_recv_ok(weft_ctx_done(c), &(char){0});
    else
        while (weft_select(weft_on_recv(weft_ctx_done(c), &(char){0}), weft_on_timeout(50 * WEFT_US)) == 1)
            ;
    EXPECT(weft_ctx_err(c) != 0);
    for (int k = i; k > 0 && weft_ctx_err(tree.node[tree.up[k]]) != 0; k = tree.up[k])
        EXPECT(weft_ctx_err(tree.node[k]) != 0); /* an ended parent has ended children by the time one of them is seen */
}

/* A child made while its parent may be ending ends with it. */
static void make_children(void)
{
    for (int i = 0; i < 6; i++) {
        weft_ctx *parent = tree.node[draw(NODES)], *c = weft_with_cancel(parent);
        if (weft_ctx_err(parent) != 0)
            (void)weft_recv_ok(weft_ctx_done(c), &(char){0});
        weft_ctx_unref(c);
    }
}

static void end_some(int n)
{
    for (int i = 0; i < n; i++) {
        if (draw(2))
            weft_sleep((weft_dur)draw(100) * WEFT_US);
        weft_cancel(tree.node[1 + draw(NODES - 1)]);
    }
}

TEST(prop_ctx, an_end_reaches_everybody_below)
{
    int off[NODES] = {0};

    tree.node[0] = weft_with_cancel(NULL);
    for (int i = 1; i < NODES; i++) {
        tree.up[i] = (int)draw((uint32_t)i);
        weft_ctx *p = tree.node[tree.up[i]];
        tree.node[i] = draw(3) ? weft_with_cancel(p) : weft_with_timeout(p, (weft_dur)draw(300) * WEFT_US);
    }
    for (int i = 0; i < NODES; i++) {
        tree.after[i] = weft_ctx_after_func(tree.node[i], count, &tree.ran[i]);
        weft_waitgroup_go(&tree.wg, wait_for_end, i);
    }
    weft_waitgroup_go(&tree.wg, make_children);
    weft_waitgroup_go(&tree.wg, end_some, 3);
    for (int i = 0; i < NODES; i += 2)
        off[i] = weft_ctx_after_func_stop(tree.after[i]);
    weft_cancel(tree.node[0]);
    weft_waitgroup_wait(&tree.wg);
    while (weft_num_goroutines() > 1)
        weft_sleep(100 * WEFT_US);
    for (int i = 0; i < NODES; i++) {
        /* a deadline's firing is no goroutine, and may have more functions to start yet */
        for (int k = 0; k < 1000 && !off[i] && atomic_load(&tree.ran[i]) == 0; k++)
            weft_sleep(100 * WEFT_US);
        EXPECT_EQ(atomic_load(&tree.ran[i]), off[i] ? 0 : 1);
        weft_ctx_unref(tree.node[i]);
    }
}

/* A watch set while the end comes is told, or is told at once. */
static void end_it(weft_ctx *c)
{
    weft_cancel(c);
}

TEST(prop_ctx, a_function_set_while_the_end_comes_runs)
{
    static _Atomic int ran[8];

    for (int i = 0; i < 8; i++) {
        weft_ctx *c = weft_with_cancel(NULL);
        weft_go(end_it, c);
        if (draw(2))
            weft_yield();
        (void)weft_ctx_after_func(c, count, &ran[i]);
        (void)weft_recv_ok(weft_ctx_done(c), &(char){0});
        while (weft_num_goroutines() > 1)
            weft_sleep(50 * WEFT_US);
        EXPECT_EQ(atomic_load(&ran[i]), 1);
        weft_ctx_unref(c);
    }
}

/* ---- timers ---- */

enum { TIMERS = 12 };
static struct weft__timer timer[TIMERS];
static weft_time due[TIMERS];
static _Atomic int armed[TIMERS], fired[TIMERS];

/* Whatever is armed and was due before this one should have fired before. */
static void fire(struct weft__timer *t)
{
    int me = (int)(t - timer);

    EXPECT(weft_now() >= due[me]);
    atomic_store(&armed[me], 0);
    for (int i = 0; i < TIMERS; i++)
        if (atomic_load(&armed[i]))
            EXPECT(due[i] >= due[me]);
    atomic_fetch_add(&fired[me], 1);
}

static const struct weft__timer_kind kind = {.fn = fire, .wakes = true};

TEST_ENV(prop_ctx, timers_of_one_processor_fire_in_order, "WEFT_PROCS=1")
{
    weft_time base = weft_now() + 200 * WEFT_MS; /* far enough that all are in before the first is due */
    int stopped[TIMERS] = {0};

    weft__timer_know(WEFT__TIMER_TEST, &kind);
    for (int i = 0; i < TIMERS; i++) {
        timer[i].use = WEFT__TIMER_TEST;
        due[i] = base + (weft_dur)draw(200) * WEFT_US;
        weft__timer_start(&timer[i], due[i]);
        atomic_store(&armed[i], 1);
        if (draw(4) == 0) {
            atomic_store(&armed[i], 0);
            stopped[i] = weft__timer_stop(&timer[i]);
        }
    }
    weft_sleep(400 * WEFT_MS);
    for (int i = 0; i < TIMERS; i++)
        EXPECT_EQ(atomic_load(&fired[i]), !stopped[i]);
}

TEST(prop_ctx, a_timer_runs_as_often_as_it_was_not_called_off)
{
    static _Atomic int runs[3];
    weft_timer t[3] = {0};
    int want[3] = {0};

    for (int i = 0; i < 30; i++) {
        int k = (int)draw(3);
        if (weft_timer_stop(&t[k]))
            want[k]--;
        weft_after_func(&t[k], (weft_dur)draw(60) * WEFT_US, count, &runs[k]);
        want[k]++;
        if (draw(2))
            weft_sleep((weft_dur)draw(60) * WEFT_US);
    }
    weft_sleep(WEFT_MS);
    while (weft_num_goroutines() > 1)
        weft_sleep(100 * WEFT_US);
    for (int k = 0; k < 3; k++) {
        EXPECT(!weft_timer_stop(&t[k]));
        EXPECT_EQ(atomic_load(&runs[k]), want[k]);
    }
}
