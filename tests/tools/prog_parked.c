/*
 * prog_parked.c - goroutines parked in known places, for debuggers to look at (tests/e2e/gdb.py).
 *
 * Raises SIGTRAP when all are where they belong; continued, it ends with 0.
 */
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <weft/weft.h>

#include "sched/sched_int.h"

static weft_chan(int) jobs;
static weft_mutex held;
static weft_waitgroup done;
static _Atomic int arrived;

static __attribute__((noinline)) int parked_inner(int depth)
{
    int got = depth * 3;

    atomic_fetch_add(&arrived, 1);
    weft_recv_ok(jobs, &got);
    return got;
}

static __attribute__((noinline)) int parked_outer(int depth)
{
    return depth > 0 ? parked_outer(depth - 1) + 1 : parked_inner(14);
}

static void receiver(int depth)
{
    parked_outer(depth);
    weft_waitgroup_done(&done);
}

static weft_chan(long) turn[2];

static void turned(int i)
{
    atomic_fetch_add(&arrived, 1);
    (void)weft_recv(turn[i]);
    weft_waitgroup_done(&done);
}

static void locker(const char *why)
{
    (void)why;
    atomic_fetch_add(&arrived, 1);
    weft_mutex_lock(&held);
    weft_mutex_unlock(&held);
    weft_waitgroup_done(&done);
}

static void sleeper(void)
{
    atomic_fetch_add(&arrived, 1);
    weft_sleep(3600 * WEFT_SEC);
    atomic_fetch_add(&arrived, 1); /* or its last call would leave no frame of it */
}

/* Runs all the time, on a thread of its own; unseen, so that it is found in its own code, not in the sanitizer's. */
static WEFT__UNSEEN void spinner(atomic_int *stop)
{
    atomic_fetch_add(&arrived, 1);
    while (!atomic_load(stop))
        ;
    weft_waitgroup_done(&done);
}

static void count_if_parked(struct weft__g *g, void *n)
{
    *(int *)n += weft__g_state(g) == WEFT__G_PARKED && atomic_load(&g->sw.on_cpu) == 0;
}

/* All but main and the spinner are to be off their CPUs. */
static int parked(void)
{
    int n = 0;

    weft__g_each(count_if_parked, &n);
    return n;
}

/* Here the debugger finds goroutine 1. */
static __attribute__((noinline)) void stopped_here(void)
{
    raise(SIGTRAP);
    __asm__ volatile("");
}

int main(void)
{
    static atomic_int stop;

    weft__policy.taker_min = 0; /* or two sends are too few (sched/taker.c) */
    weft_procs(2);
    jobs = weft_make(int);
    weft_mutex_lock(&held);
    weft_waitgroup_add(&done, 6);
    weft_go_named("three deep", receiver, 3);
    weft_go(receiver, 0);
    weft_go(locker, "why");
    weft_go(sleeper);
    weft_go(spinner, &stop);
    for (int i = 0; i < 2; i++) {
        turn[i] = weft_make(long);
        weft_go(turned, i);
    }
    while (atomic_load(&arrived) < 7 || parked() < 6)
        weft_yield();
    weft_procs(1); /* nobody else is to run the next two */
    for (int i = 0; i < 10000; i++) /* threads that start because of it stop the program in the debugger */
        weft_yield();
    weft_send(turn[0], 1); /* readied, */
    weft_send(turn[1], 2); /* and queued by its waiter */
    (void)weft__enter(weft__m()); /* nor is the monitor to give them to another thread while this one is stopped */
    stopped_here();
    weft__leave(weft__m());
    atomic_store(&stop, 1);
    weft_send(jobs, 1);
    weft_send(jobs, 2);
    weft_mutex_unlock(&held);
    weft_waitgroup_wait(&done);
    weft_free(jobs);
    weft_free(turn[0]);
    weft_free(turn[1]);
    puts("done");
    return 0;
}
