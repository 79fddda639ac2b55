/*
 * test_realtime.c - a process whose threads have a real-time class and one CPU: nothing else of it runs while a worker does.
 */
#include <sched.h>
#include <weft/weft.h>

#include "../include/weft_test.h"

enum { YIELDERS = 100, TURNS_MAX = 100000 };

static _Atomic bool awake;
static _Atomic long turns;

static void yields(weft_waitgroup *wg)
{
    for (int i = 0; i < TURNS_MAX && !atomic_load(&awake); i++) {
        atomic_fetch_add(&turns, 1);
        weft_yield();
    }
    weft_waitgroup_done(wg);
}

static void sleeps(weft_waitgroup *wg)
{
    weft_sleep(10 * WEFT_MS);
    atomic_store(&awake, true);
    weft_waitgroup_done(wg);
}

/* The monitor does not run before a worker blocks. */
static bool take_the_cpu(void)
{
    cpu_set_t all, one;
    struct sched_param sp = {.sched_priority = 1};
    int cpu = 0;

    if (sched_getaffinity(0, sizeof all, &all) < 0)
        return false;
    while (!CPU_ISSET(cpu, &all))
        cpu++;
    CPU_ZERO(&one);
    CPU_SET(cpu, &one);
    return sched_setaffinity(0, sizeof one, &one) == 0 && sched_setscheduler(0, SCHED_FIFO, &sp) == 0;
}

TEST_ENV(realtime, a_sleep_ends_though_the_monitor_cannot_run, "WEFT_PROCS=1")
{
    weft_waitgroup wg = {0};

    if (!take_the_cpu())
        weft_test_skip("no right to a real-time class");
    weft_waitgroup_add(&wg, YIELDERS + 1);
    weft_go(sleeps, &wg);
    for (int i = 0; i < YIELDERS; i++)
        weft_go(yields, &wg);
    weft_waitgroup_wait(&wg);
    EXPECT(atomic_load(&turns) < (long)YIELDERS * TURNS_MAX);
}
