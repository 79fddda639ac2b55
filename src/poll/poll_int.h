/*
 * poll_int.h - what poll.c (words, deadlines, pool) and the back end (poll_epoll.c) share.
 */
#ifndef WEFT_POLL_POLL_INT_H
#define WEFT_POLL_POLL_INT_H
#include "poll.h"

struct weft__pd {
    _Atomic uintptr_t word[3];       /* [P1, P2] read, write, end: NIL, READY, WAIT, a goroutine, or a starter + 1 */
    _Atomic uint32_t flags;          /* [P2] WEFT__PD_* */
    _Atomic uint32_t seq;            /* [P3] life number of this slot */
    _Atomic weft_time deadline[3];   /* [P2] written under lock; 0 none; the end's is always 0 */
    _Atomic weft_time timer_at;      /* [P2] written under lock: when timer fires, 0 not armed */
    uint32_t index;                  /* [const] place in the pool */
    int fd;                          /* [own] the registered descriptor, for dumps */
    struct weft__lock lock;          /* guards the above where said, and start of timer */
    bool timer_used;                 /* [lock] timer was started in this life */
    struct weft__pd *next_free;      /* [pool lock] */
    struct weft__timer timer;        /* one for both directions */
};

enum {
    WEFT__PD_CLOSING = 1,
    WEFT__PD_ENDED = 2,
    WEFT__PD_INTR_READ = 4,          /* shifted by the direction's index */
    WEFT__PD_INTR_WRITE = 8,
    WEFT__PD_INTR_END = 16,
    WEFT__PD_ANY = 32                /* any event is for the read word */
};

/* The name by which the kernel gives a pd back: index and life. NULL when that life is over. */
uint64_t weft__pd_handle(struct weft__pd *pd);
struct weft__pd *weft__pd_of_handle(uint64_t handle);
/* An edge came: marks directions ready and pushes who waited on *list. Scheduler stack; no lock. */
void weft__pd_edge(struct weft__pd *pd, unsigned dirs, bool ended, struct weft__woken *list);

/* ---- the back end ---- */
weft_err weft__poll_start(void);                               /* once; later calls only say how it went */
weft_err weft__poll_add(int fd, uint64_t handle);              /* register for both directions, edge-triggered */
void weft__poll_del(int fd);                                   /* while the descriptor is open */

#endif
