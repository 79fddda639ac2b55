/*
 * test_monitor_net.c - how often the monitor looks at a process that is busy with the net (NT1), and how late the net is where goroutines
 * take turns that do not end.
 *
 * Other programs may have the CPU for as long as they like: for a calm only windows count in which the test had one.
 */
#include <stdatomic.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>
#include <weft/weft.h>

#include "../../src/poll/poll.h"
#include "../../src/sched/sched_int.h"
#include "weft_test.h"

/* The timer that ends a window is a reason to look oftener for 32 ms of the next. */
enum { WINDOWS = 30, WINDOW_MS = 160, OTHERS_PARTS = 50, TOLD = 5 };
static atomic_bool stop;

static weft_dur cpu_now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return t.tv_sec * WEFT_SEC + t.tv_nsec;
}

/* Lets the others run for a while. How long that was, 0: they lacked a CPU. */
static weft_dur window(void)
{
    weft_time start = weft_now(), cpu = cpu_now();

    weft_sleep(WINDOW_MS * WEFT_MS);
    weft_dur d = weft_now() - start;
    return cpu_now() - cpu >= d - d / OTHERS_PARTS ? d : 0;
}

static void compute(weft_dur d)
{
    for (weft_time until = weft_now() + d; weft_now() < until;)
        ;
}

/* Its own event, which only a look at the net shows. */
static void wait_for_net(int fd, struct weft__pd *pd)
{
    uint64_t one = 1;

    REQUIRE(write(fd, &one, sizeof one) == sizeof one);
    REQUIRE(weft__pd_wait(pd, WEFT__DIR_READ) == 0);
}

static int net_open(struct weft__pd **ret_pd)
{
    int fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);

    REQUIRE(fd >= 0 && weft__pd_open(fd, ret_pd) == 0);
    return fd;
}

static void net_close(int fd, struct weft__pd *pd)
{
    weft__pd_close(pd);
    close(fd);
}

/* ---- a calm ---- */

enum { BUSY = 120, TURN_US = 40, TURNS_MS_MIN = 11 };
static atomic_uint turns, turns_calm; /* of them while the monitor does not mean to look soon */

static void counts_turn(void)
{
    turns++;
    if (atomic_load(&weft__sched.mon_until) > weft_now() + WEFT_MS / 2) /* one that lacks a CPU comes later than it means to */
        turns_calm++;
}

static void answers(weft_waitgroup *wg)
{
    struct weft__pd *pd;
    int fd = net_open(&pd);

    while (!stop) {
        wait_for_net(fd, pd);
        compute(TURN_US * WEFT_US);
        counts_turn();
    }
    net_close(fd, pd);
    weft_waitgroup_done(wg);
}

/* A look finds so many that the next one comes 5 ms later or more: no reason for the monitor to take the CPU from them 1,000 times a second. */
TEST_ENV(monitor_net, all_is_calm_while_those_whom_a_look_has_found_have_their_turns, "WEFT_PROCS=1")
{
    weft_waitgroup wg = {0};
    uint64_t told = 0, all = 0, calm = 0;

    (void)weft_goid(); /* starts the runtime */
    if (weft__sched.fenced)
        weft_test_skip("without membarrier(2) no tick is long");
    weft_waitgroup_add(&wg, BUSY);
    for (int i = 0; i < BUSY; i++)
        weft_go(answers, &wg);
    for (int i = 0; i < WINDOWS && told < TOLD; i++) {
        turns = turns_calm = 0;
        weft_dur d = window();
        if (d == 0 || turns < TURNS_MS_MIN * d / WEFT_MS)
            continue; /* or so few turns that they compute, in a slow build */
        told++;
        all += turns;
        calm += turns_calm;
    }
    stop = true;
    weft_waitgroup_wait(&wg);
    if (told < TOLD)
        weft_test_skip("the CPU was others' too often");
    EXPECT(calm > all / 2); /* the timer that ends a window is a reason to look oftener for 32 ms of the next */
}

/* ---- late ---- */

enum { YIELDERS = 4, POKED_TURNS = 512 };
static atomic_uint looks;

static void takes_turns(weft_waitgroup *wg)
{
    while (!stop) {
        compute(TURN_US * WEFT_US);
        counts_turn();
        weft_yield();
    }
    weft_waitgroup_done(wg);
}

static void waits_again(weft_waitgroup *wg)
{
    struct weft__pd *pd;
    int fd = net_open(&pd);

    while (!stop) {
        wait_for_net(fd, pd);
        looks++;
    }
    net_close(fd, pd);
    weft_waitgroup_done(wg);
}

/* The queue is never empty, so only the monitor has the net looked at before 1,024 turns are over. Few were queued at the last look: it
 * means to look, and poke, each millisecond. Whether it has a CPU to do so is another thing, and so is the mean of turns. */
TEST_ENV(monitor_net, beside_turns_without_end_the_monitor_looks_each_millisecond, "WEFT_PROCS=1")
{
    weft_waitgroup wg = {0};

    weft_waitgroup_add(&wg, YIELDERS + 1);
    weft_go(waits_again, &wg);
    for (int i = 0; i < YIELDERS; i++)
        weft_go(takes_turns, &wg);
    for (int i = 0; i < TOLD; i++)
        (void)window();
    stop = true;
    weft_waitgroup_wait(&wg);
    EXPECT(turns_calm < turns / 2); /* it becomes calm again and again, for 6 ms of 40 */
    EXPECT(turns <= POKED_TURNS * looks);
}
