/*
 * test_rob.c - whose queue is robbed: decisions of sched/rob.c about a processor that this test moves by hand.
 */
#include <weft/weft.h>

#include "../../src/sched/sched_int.h"
#include "weft_test.h"

enum { MANY = 100 };
static struct weft__p v = {.id = 1, .heap_when = WEFT__NEVER};
static weft_time began;

/* The processor that the others see: it has no worker, and starts what the test says. */
static void show(void)
{
    weft_yield(); /* the runtime has started */
    atomic_store(&weft__sched.ps[1], &v);
    atomic_store(&weft__sched.ps_n, 2);
    began = weft_now();
}

/* It has started one each ns; then a thief asks. */
static bool pays(weft_dur ns)
{
    atomic_store(&v.tick, (uint32_t)((weft_now() - began) / ns));
    return weft__rob_pays(&v, MANY);
}

static void go_on_until_left_alone(weft_dur ns)
{
    while (atomic_load(&v.alone) == 0)
        (void)pays(ns);
}

/* As the monitor does it, then thieves come until one may rob. */
static void robbed_after_its_time(weft_dur ns)
{
    while (weft_now() < atomic_load(&v.alone_until))
        ;
    atomic_store(&v.alone, 0);
    while (!pays(ns))
        atomic_store(&v.alone, 0); /* where this thread had no CPU for so long that the other time does not count */
}

TEST_ENV(rob, who_is_slow_is_robbed, "WEFT_PROCS=1")
{
    show();
    while (!pays(1000 * WEFT_SEC))
        ;
    EXPECT_EQ(atomic_load(&v.alone), 0);
}

TEST_ENV(rob, who_is_quick_is_left_alone_first_and_robbed_then, "WEFT_PROCS=1")
{
    show();
    go_on_until_left_alone(100);
    EXPECT(!pays(100));
    robbed_after_its_time(100);
}

TEST_ENV(rob, where_less_gets_done_by_robbing_that_ends, "WEFT_PROCS=1")
{
    show();
    go_on_until_left_alone(100);
    robbed_after_its_time(100);
    began = weft_now() - 10 * (weft_now() - began); /* goes on from where it is, at a tenth of the pace */
    go_on_until_left_alone(1000);
    EXPECT(!pays(1000));
}
