/*
 * settle.h - test_settle(): waits until nobody but the caller runs or could run.
 *
 * Role    "The others have got to where they park" as an order of events: after it every other goroutine is parked or has
 *         ended, and an ended one's stack has been given back. A yield, or a hundred, does not promise that: the system may
 *         take the CPU from a goroutine's thread at any point, and the monitor then runs the others without it.
 *         Threads that weft did not start, descriptors and timers are not waited for.
 *
 * Why it holds. The counters are read in an order in which none can hide another. Who runs goroutines holds a processor
 * (nbusy) or is counted in nless. Between two reads somebody could go from one to the other, so nless is read before and
 * after nbusy; whoever was counted out in between has parked or ended, and had readied others into a queue, which is read
 * after, or started one, which moves a tick.
 */
#ifndef TESTS_SETTLE_H
#define TESTS_SETTLE_H
#include <weft/weft.h>

#include "sched/sched_int.h"

static inline uint32_t settle_ticks(void)
{
    struct weft__sched *s = &weft__sched;
    uint32_t sum = 0;

    for (int i = 0; i < atomic_load(&s->ps_n); i++) {
        struct weft__p *p = atomic_load(&s->ps[i]);
        sum += p ? atomic_load(&p->tick) : 0;
    }
    return sum;
}

/* Queues of processors first: what leaves them unseen goes to the global one. */
static inline bool settle_queued(void)
{
    struct weft__sched *s = &weft__sched;

    for (int i = 0; i < atomic_load(&s->ps_n); i++) {
        struct weft__p *p = atomic_load(&s->ps[i]);
        if (p && (weft__runq_len(p) != 0 || atomic_load(&p->next) != 0))
            return true;
    }
    return atomic_load(&s->gq_n) != 0;
}

/* 1: the caller lost its processor, or is tied to its thread. ThreadSanitizer does not see how a thread's m came to be its. */
static inline __attribute__((no_sanitize("thread"))) uint32_t settle_less(void)
{
    return atomic_load(&weft__m()->p) == NULL;
}

static inline bool settle_alone(void)
{
    struct weft__sched *s = &weft__sched;
    uint32_t less = settle_less();
    uint32_t ticks = settle_ticks();

    return atomic_load(&s->nless) == less && atomic_load(&s->nbusy) == 1 - less && atomic_load(&s->nless) == less &&
           !settle_queued() && atomic_load(&s->nbusy) == 1 - less && atomic_load(&s->nless) == less && settle_ticks() == ticks;
}

/* For a goroutine, not for a thread that weft did not start. */
static inline void test_settle(void)
{
    do
        weft_yield();
    while (!settle_alone());
}

#endif
