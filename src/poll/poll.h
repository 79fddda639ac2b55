/*
 * poll.h - the contract between the scheduler, the net and whatever watches descriptors (poll_epoll.c now).
 *
 * One registration per descriptor life, edge-triggered, for both directions. Per direction at most one goroutine waits.
 * The state of a direction is one atomic word: NIL (nothing known), READY (an edge came and nobody has used it),
 * WAIT (a goroutine is about to park) or the parked goroutine. Source: Go runtime/netpoll.go.
 *   P1  word: CAS release by the waiter (WAIT -> g, S1)  ->  exchange acquire by the notifier.
 */
#ifndef WEFT_POLL_POLL_H
#define WEFT_POLL_POLL_H
#include "../sched/sched.h"

struct weft__pd; /* poll descriptor; from a pool, never freed to malloc; a sequence number tells reuse */

enum weft__dir { WEFT__DIR_READ = 1, WEFT__DIR_WRITE = 2 };

/* ---- for the scheduler ---- */
/* False until the first weft__pd_open: then nothing below is called. */
bool weft__poll_started(void);
/* Collects ready goroutines into a list linked by g->next (each to be given to weft__ready once). timeout ns:
 * 0 looks only, < 0 no limit. One thread at a time (the scheduler sees to it). Scheduler stack, no lock held. */
struct weft__g *weft__poll(weft_dur timeout);
/* Makes a weft__poll that sleeps, or the next one, return at once. Any thread. */
void weft__poll_break(void);
/* Goroutines parked in an IO wait now. A deadlock is not reported while there are any. */
uint32_t weft__poll_waiters(void);

/* ---- for the net ---- */
/* Registers a non-blocking fd. The caller keeps the fd and closes it after weft__pd_close. */
weft_err weft__pd_open(int fd, struct weft__pd **ret_pd);
/* Wakes both directions with WEFT_ECLOSED and gives the pd back once nobody uses it. */
void weft__pd_close(struct weft__pd *pd);
/* Parks until the direction may have become ready: 0; or WEFT_ECLOSED, WEFT_EDEADLINE, WEFT_EBUSY, or
 * WEFT_ECANCELED after an interrupt. Spurious 0 is allowed: the caller tries its system call again. */
WEFT_PARKS weft_err weft__pd_wait(struct weft__pd *pd, enum weft__dir dir);
/* Ends the current or else the next wait of that direction with WEFT_ECANCELED (context cancellation). */
void weft__pd_interrupt(struct weft__pd *pd, enum weft__dir dir);
/* Forgets an interrupt that came too late to end a wait. */
void weft__pd_interrupt_clear(struct weft__pd *pd, enum weft__dir dir);
/* Waits that run past the instant `at` end with WEFT_EDEADLINE; 0 means never. dirs: one or both. */
void weft__pd_set_deadline(struct weft__pd *pd, unsigned dirs, weft_time at);

#endif
