/*
 * policy.h - the scheduler's free choices in one object: what a simulation replaces to make a run repeat itself.
 *
 * Role    Whatever the scheduler may decide this way or that without being wrong is asked here: random draws (whose queue
 *         to rob, which ready case of a select wins), how long the next slot may jump the queue, how often the global
 *         queue is looked at. src/sys is the seam to time and kernel, this is the one to chance. Layer 2.
 * Rule    Written before the runtime starts, then read only.
 */
#ifndef WEFT_SCHED_POLICY_H
#define WEFT_SCHED_POLICY_H
#include <stdint.h>

struct weft__policy {
    uint64_t (*random)(void *arg); /* NULL: each thread's own generator, seeded by the kernel */
    void *random_arg;
    int32_t next_max;              /* the next slot may jump the queue this often in a row */
    uint32_t global_every;         /* ticks between looks at the global queue; a power of two */
    uint32_t steal_max;            /* goroutines that one theft takes at most */
    uint32_t quick_ns;             /* a p that starts or queues one each so many ns is quick: robbing it costs more than it
                                      gains; 0: none is */
    uint32_t quick_patience;       /* ns for which a quick one is left alone at first, */
    uint32_t quick_patience_max;   /* and at most */
    uint32_t taker_min;            /* a goroutine is queued by its waiter where so many are queued before it (taker.c) */
};
extern struct weft__policy weft__policy;

#endif
