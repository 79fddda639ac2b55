/*
 * test_due.c - goroutines whose time has come go ahead of those that wait in the queue, for half of the turns (sched/runq.c).
 */
#include <stdatomic.h>
#include <weft/weft.h>

#include "../../src/sched/sched_int.h"
#include "weft_test.h"

enum { SAVED_MAX = 8192 };
static struct weft__p p;

/* Not the address of anything: bit 0 keeps the queue from looking there. */
static weft__runnable fake(uint32_t i)
{
    return ((weft__runnable)i << 8) | 1;
}

static void queue(uint32_t first, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        REQUIRE(weft__runq_push(&p, fake(first + i)));
}

/* n leave the queue, which is empty before and after. */
static void turns(uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        queue(i, 1);
        REQUIRE(weft__runq_pop(&p) == fake(i));
    }
}

static void expect_next(uint32_t first, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        EXPECT_EQ(weft__runq_pop(&p), fake(first + i));
}

TEST(due, goes_ahead_of_the_queue_in_its_own_order)
{
    turns(1000);
    queue(0, 100);
    queue(1000, 30);
    weft__runq_due_first(&p, 100);
    EXPECT_EQ(weft__runq_len(&p), 130);
    expect_next(1000, 30);
    expect_next(0, 100);
    EXPECT_EQ(weft__runq_pop(&p), 0);
}

TEST(due, gets_half_of_the_turns_and_the_rest_waits_behind)
{
    turns(40);
    queue(0, 100);
    queue(1000, 30);
    weft__runq_due_first(&p, 100); /* 40 turns: 20 of the 30 */
    queue(2000, 10);
    weft__runq_due_first(&p, 130); /* no turn since */
    expect_next(1000, 20);
    expect_next(0, 100);
    expect_next(1020, 10);
    expect_next(2000, 10);
}

/* Two that hand over to each other by the next slot take nothing from the queue. */
TEST(due, switches_by_the_next_slot_are_no_turns)
{
    queue(0, 100);
    atomic_fetch_add(&p.tick, 1000);
    queue(1000, 30);
    weft__runq_due_first(&p, 100);
    expect_next(0, 100);
    expect_next(1000, 30);
}

TEST(due, a_ring_that_grows_keeps_the_count)
{
    turns(40);
    queue(0, WEFT__RUNQ_START);
    REQUIRE(weft__runq_grow(&p));
    queue(1000, 30);
    weft__runq_due_first(&p, WEFT__RUNQ_START);
    expect_next(1000, 20);
    expect_next(0, WEFT__RUNQ_START);
    expect_next(1020, 10);
}

TEST(due, turns_that_it_did_not_use_count_later_but_not_for_ever)
{
    turns(100 * SAVED_MAX);
    queue(0, 1);
    weft__runq_due_first(&p, 1);
    queue(1000, SAVED_MAX);
    weft__runq_due_first(&p, 1);
    expect_next(1000, SAVED_MAX / 2);
    expect_next(0, 1);
    expect_next(1000 + SAVED_MAX / 2, SAVED_MAX / 2);
}

TEST(due, stays_in_place_where_the_ring_is_full)
{
    turns(1000);
    queue(0, WEFT__RUNQ_START - 10);
    queue(1000, 10);
    weft__runq_due_first(&p, WEFT__RUNQ_START - 10);
    expect_next(0, WEFT__RUNQ_START - 10);
    expect_next(1000, 10);
}

TEST(due, alone_in_the_queue_it_needs_no_turns)
{
    turns(100);
    queue(1000, 10);
    weft__runq_due_first(&p, 0);
    queue(2000, 10);
    weft__runq_due_first(&p, 10);
    expect_next(2000, 10);
    expect_next(1000, 10);
}

enum { SLEEPERS = 500 };
static atomic_long started, early;
static weft_waitgroup all;

static void sleeper(void)
{
    started++;
    weft_sleep(1);
    early += started < SLEEPERS;
    weft_waitgroup_done(&all);
}

TEST_ENV(due, who_slept_is_done_before_all_of_a_long_queue_have_started, "WEFT_PROCS=1")
{
    weft__policy.global_every = 4; /* the timers are looked at each 64 turns, not each 1,024 */
    weft_waitgroup_add(&all, SLEEPERS);
    for (int i = 0; i < SLEEPERS; i++)
        weft_go(sleeper);
    weft_waitgroup_wait(&all);
    EXPECT_EQ(started, SLEEPERS);
    EXPECT(early > 0);
}

static atomic_bool stop;
static atomic_long rounds;

static void sleep_again_and_again(void)
{
    while (!stop)
        weft_sleep(1);
    weft_waitgroup_done(&all);
}

static void yield_again_and_again(void)
{
    while (rounds < 5000) {
        rounds++;
        weft_yield();
    }
    stop = true;
    weft_waitgroup_done(&all);
}

TEST_ENV(due, who_sleeps_again_and_again_keeps_nobody_from_running, "WEFT_PROCS=1")
{
    weft__policy.global_every = 4;
    weft_waitgroup_add(&all, 101);
    for (int i = 0; i < 100; i++)
        weft_go(sleep_again_and_again);
    weft_go(yield_again_and_again);
    weft_waitgroup_wait(&all);
    EXPECT(rounds >= 5000);
}
