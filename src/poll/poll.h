/*
 * poll.h - the contract between the scheduler, the net and whatever watches descriptors (poll_back.c chooses).
 *
 * One registration per descriptor life, at its open or with its first wait, edge-triggered, for both directions. Per direction at
 * most one goroutine waits.
 * The state of a direction is one atomic word: NIL (nothing known), READY (an edge came and nobody has used it),
 * WAIT (a goroutine is about to park), the parked goroutine, or a starter. Source: Go runtime/netpoll.go.
 *   P1  word: CAS release by the waiter (WAIT -> g, S1; WAIT -> starter)  ->  CAS acquire by whoever wakes it; and back:
 *       the waker's release of READY -> the waiter's acquire.
 *   P2  [sb] the waiter stores WAIT, then loads the reasons not to wait (flags, deadline, timer_at); whoever changes a
 *       reason stores it, then loads the word. Without seq_cst on both sides a close could miss a waiter for ever.
 */
#ifndef WEFT_POLL_POLL_H
#define WEFT_POLL_POLL_H
#include "../sched/sched.h"

struct weft__pd; /* poll descriptor; from a pool, never freed to malloc; a sequence number tells reuse */

/* END: the peer has ended its direction, or both (RDHUP, HUP, ERR). It has no deadline. */
enum weft__dir { WEFT__DIR_READ = 1, WEFT__DIR_WRITE = 2, WEFT__DIR_END = 4 };

/* Waits without a goroutine: when the wait is over, fn(arg) runs on a new one. The owner's storage. */
struct weft__starter {
    void (*fn)(void *arg);
    void *arg;
    struct weft__starter *next;    /* [own of the list it is in] */
};
/* What a back end may take from the kernel before anybody asks: bytes of a stream, connections of a listener. PLAIN: no more. */
enum weft__take { WEFT__TAKE_NONE, WEFT__TAKE_BYTES, WEFT__TAKE_FDS, WEFT__TAKE_PLAIN };
/* What became ready, oldest first: goroutines linked by g->next, each to be given to weft__ready once, and starters. */
struct weft__woken {
    struct weft__g *g;
    struct weft__starter *start;
};

/* ---- for the scheduler ---- */
/* False until the first weft__pd_open: then nothing below is called. */
bool weft__poll_started(void);
/* Collects what is ready. timeout ns: 0 looks only, < 0 no limit. One thread at a time (the scheduler sees to it).
 * Scheduler stack, no lock held. */
struct weft__woken weft__poll(weft_dur timeout);
/* Readies the goroutines and starts the starters of a list. Any stack, no lock held. */
void weft__woken_run(struct weft__woken w);
/* Makes a weft__poll that sleeps, or the next one that would, return at once. Any thread. */
void weft__poll_break(void);
/* The back end in use, "epoll", "uring" or "uring-poll"; NULL before weft__poll_started. */
const char *weft__poll_name(void);
/* What a dump says of the choice; NULL where nobody asked for one. Any stack, also in a report. */
const char *weft__poll_note(void);
/* IO waits under way, parked goroutines' and starters'. A deadlock is not reported while there are any. */
uint32_t weft__poll_waiters(void);

/* ---- for the net ---- */
/* Registers a non-blocking fd. The caller keeps the fd and closes it after weft__pd_close. */
weft_err weft__pd_open(int fd, struct weft__pd **ret_pd);
/* The same, but the registration may come with the first wait, which then tells why there can be none: for who tries before it
 * waits, and may never have to. */
weft_err weft__pd_open_late(int fd, struct weft__pd **ret_pd);
/* After weft__pd_open of what may be a file: 0, or -EPERM where the kernel cannot tell when it is ready (as weft__pd_open says
 * by itself where it asks the kernel). The pd stays the caller's. */
weft_err weft__pd_probe(struct weft__pd *pd);
/* For somebody else's fd, for a while: any event counts for the read direction; the registration is taken back by
 * weft__pd_close_any. -EEXIST: the fd is registered already. */
weft_err weft__pd_open_any(int fd, struct weft__pd **ret_pd);
void weft__pd_close_any(struct weft__pd *pd);
/* Ends present and future waits with WEFT_ECLOSED. The pd stays the caller's. */
void weft__pd_evict(struct weft__pd *pd);
/* Gives the pd back: nobody waits in it and nobody will. The registration goes away now or when the caller closes the fd. */
void weft__pd_close(struct weft__pd *pd);
/* 0; or why an operation of that direction must not even be tried: WEFT_ECLOSED, WEFT_EDEADLINE, WEFT_ECANCELED. */
weft_err weft__pd_check(struct weft__pd *pd, enum weft__dir dir);
/* The same for reading what a read has drained since the last edge; 1: wait first, as no end was told of either. */
weft_err weft__pd_check_read(struct weft__pd *pd, bool drained);
/* Parks until the direction may have become ready: 0; or WEFT_ECLOSED, WEFT_EDEADLINE, WEFT_EBUSY, or
 * WEFT_ECANCELED after an interrupt. Spurious 0 is allowed: the caller tries its system call again. */
WEFT_PARKS weft_err weft__pd_wait(struct weft__pd *pd, enum weft__dir dir);
/* The same without keeping the goroutine: an answer as weft__pd_wait's; or, where that would park, 1: then start->fn runs
 * when the wait is over, at once perhaps, and asks weft__pd_started for the answer. The caller touches nothing of it. */
weft_err weft__pd_wait_start(struct weft__pd *pd, enum weft__dir dir, struct weft__starter *start);
weft_err weft__pd_started(struct weft__pd *pd, enum weft__dir dir);
/* True once the kernel told of an end or an error (RDHUP, HUP, ERR), for good: no later edge may come for it, so a
 * reader must ask the kernel before it parks. */
bool weft__pd_ended(struct weft__pd *pd);
/* A look at the word: has an edge come that no wait has used up? One of what was read meanwhile counts too. */
bool weft__pd_told(struct weft__pd *pd, enum weft__dir dir);
/* Ends the current or else the next wait of that direction with WEFT_ECANCELED (context cancellation). */
void weft__pd_interrupt(struct weft__pd *pd, enum weft__dir dir);
/* Forgets an interrupt that came too late to end a wait. */
void weft__pd_interrupt_clear(struct weft__pd *pd, enum weft__dir dir);

/* ---- what is taken beforehand (poll_take.c); all but the first for pds of which it said true ---- */
/* Right after weft__pd_open: from the first wait for reading on, bytes or connections may be taken from the kernel into the pd.
 * Who reads asks the pd first, and the kernel only where told so. False: this back end takes nothing. */
bool weft__pd_take_begin(struct weft__pd *pd, enum weft__take what);
/* For the holder of the read direction. True: *ret_got says how many bytes (at least 1 of n > 0), -EAGAIN: nothing yet, wait; or the
 * socket's error. False: nothing is here, and nothing will come before the next wait: ask the kernel. */
bool weft__pd_take_bytes(struct weft__pd *pd, void *ret_buf, size_t n, ssize_t *ret_got);
/* The same for connections: *ret_fd is the caller's descriptor, -EAGAIN or an error. */
bool weft__pd_take_fd(struct weft__pd *pd, int *ret_fd);
/* A look: 1 something is here, 0 nothing yet, -1 ask the kernel. */
int weft__pd_take_look(struct weft__pd *pd);
/* Takes no more from here on: bytes that are taken already stay to be read, and once a read was told to ask the kernel they have
 * all been. Makes a system call or two; does not park. */
void weft__pd_take_end(struct weft__pd *pd);

/* Waits that run past the instant `at` end with WEFT_EDEADLINE; 0 means never. dirs: one or both. */
void weft__pd_set_deadline(struct weft__pd *pd, unsigned dirs, weft_time at);

#endif
