/*
 * test_fenced.c - the scheduler without membarrier(2): WEFT_MEMBARRIER=0, as on a kernel or in a sandbox that has none.
 *
 * Theft, hand-over by the monitor, idle processors and the poller all leave their fences to membarrier where there is
 * one; here each of them has to come by without.
 */
#include <stdatomic.h>
#include <time.h>
#include <unistd.h>
#include <weft/weft.h>

#include "weft_test.h"

static _Atomic long count;

static void tree(weft_waitgroup *wg, int depth)
{
    for (int i = 0; depth > 0 && i < 4; i++)
        weft_waitgroup_go(wg, tree, wg, depth - 1);
    if (depth % 2)
        weft_yield();
    atomic_fetch_add(&count, 1);
}

TEST_ENV(fenced, trees_of_goroutines_are_stolen_and_all_run, "WEFT_MEMBARRIER=0")
{
    weft_waitgroup wg = {0};

    weft_procs(8);
    for (int round = 0; round < 20; round++) {
        weft_waitgroup_go(&wg, tree, &wg, 5);
        weft_waitgroup_wait(&wg);
        EXPECT_EQ(atomic_load(&count), 1365 * (round + 1));
    }
}

static void relay(weft_receiver(int) in, weft_sender(int) out)
{
    weft_range (v, in)
        weft_send(out, v + 1);
    weft_close(out);
}

TEST_ENV(fenced, a_long_pipeline_loses_nothing_and_ends, "WEFT_MEMBARRIER=0")
{
    enum { STAGES = 50, VALUES = 200 };
    weft_chan(int) c[STAGES + 1];
    int v = 0;

    weft_procs(4);
    for (int i = 0; i <= STAGES; i++)
        c[i] = weft_make(int, i % 3);
    for (int i = 0; i < STAGES; i++)
        weft_go(relay, (weft_receiver(int))c[i], (weft_sender(int))c[i + 1]);
    for (int i = 0; i < VALUES; i++) {
        weft_send(c[0], i);
        EXPECT(weft_recv_ok(c[STAGES], &v));
        EXPECT_EQ(v, i + STAGES);
    }
    weft_close(c[0]);
    EXPECT(!weft_recv_ok(c[STAGES], &v));
    for (int i = 0; i <= STAGES; i++)
        weft_free(c[i]);
}

static void busy(_Atomic bool *stop)
{
    while (!atomic_load_explicit(stop, memory_order_relaxed))
        ;
}

TEST_ENV(fenced, the_monitor_takes_the_processor_from_an_endless_loop, "WEFT_MEMBARRIER=0")
{
    static _Atomic bool stop;

    weft_procs(1);
    weft_go(busy, &stop);
    for (int i = 0; i < 10; i++)
        weft_sleep(WEFT_MS);
    atomic_store(&stop, true);
}

static void sleeper(weft_waitgroup *wg, int n)
{
    (void)wg;
    for (int i = 0; i < 5; i++)
        weft_sleep((n % 7) * 100 * WEFT_US);
}

TEST_ENV(fenced, idle_processors_wake_for_timers, "WEFT_MEMBARRIER=0")
{
    weft_waitgroup wg = {0};

    weft_procs(4);
    for (int i = 0; i < 500; i++)
        weft_waitgroup_go(&wg, sleeper, &wg, i);
    weft_waitgroup_wait(&wg);
}
