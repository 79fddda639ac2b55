/*
 * test_frozen.c - a report stops every worker, wherever it is, and has its queue then (start.c, weft__freeze_world).
 */
#include <pthread.h>
#include <stdatomic.h>
#include <time.h>
#include <unistd.h>
#include <weft/weft.h>

#include "sched/sched_int.h"
#include "weft_test.h"

static struct weft__m *_Atomic there;
static _Atomic bool claimed, on;
static _Atomic int steps;

static void nap(weft_dur ns)
{
    (void)nanosleep(&(struct timespec){ns / WEFT_SEC, ns % WEFT_SEC}, NULL);
}

static bool frozen(void)
{
    return atomic_load(&weft__sched.frozen) != 0;
}

static struct weft__m *wait_there(void)
{
    while (!atomic_load(&there))
        ;
    return atomic_load(&there);
}

static void *claim_until_after_the_freeze(void *m)
{
    while (!weft__claim(m))
        nap(WEFT_MS / 10);
    atomic_store(&claimed, true);
    while (!frozen()) /* one that computed might lack a CPU then, for longer than the freeze waits */
        nap(WEFT_MS / 10);
    nap(WEFT_MS);
    weft__unclaim(m);
    return NULL;
}

static void steps_when_told(void)
{
    atomic_store(&there, weft__m());
    while (!atomic_load(&on))
        ;
    for (;;) {
        weft_yield();
        atomic_fetch_add(&steps, 1);
    }
}

/* The monitor or a thief has the claim when the world freezes, and gives it back: the freeze, or the report's look at the queue,
 * takes it then and keeps it. */
WEFT_TEST_REG(frozen, who_was_claimed_by_another_stays_where_it_is, 0, 0, "^0 steps\n$", "WEFT_PROCS=2")
{
    pthread_t t;

    weft_go(steps_when_told);
    REQUIRE(pthread_create(&t, NULL, claim_until_after_the_freeze, wait_there()) == 0);
    while (!atomic_load(&claimed))
        ;
    weft__freeze_world();
    (void)pthread_join(t, NULL);
    atomic_store(&on, true);
    nap(20 * WEFT_MS);
    fprintf(stderr, "%d steps\n", atomic_load(&steps));
    _exit(0);
}

static void returns_to_the_scheduler(void)
{
    struct weft__m *m = weft__m();
    struct weft__p *p = weft__enter(m);

    atomic_store(&there, m);
    while (!frozen())
        ;
    if (p)
        atomic_store(&p->poke, 1); /* or the switch goes past the loop */
    weft_yield();
}

/* Its queue can be looked at then. */
WEFT_TEST_REG(frozen, who_stops_in_the_schedulers_loop_is_outside_of_its_section, 0, 0, "^claimed\n$", "WEFT_PROCS=2")
{
    weft_go(returns_to_the_scheduler);
    struct weft__m *m = wait_there();
    weft__freeze_world();
    fputs(atomic_load(&m->claim) & WEFT__CLAIM_TAKEN ? "claimed\n" : "not claimed\n", stderr);
    _exit(0);
}
