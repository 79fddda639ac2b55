/*
 * poll_take.c - what the poller took from the kernel before it was asked for: bytes of a stream, connections of a listener.
 *
 * Role    The queue of a pd and what a reader may conclude from it. The pieces and the requests are the back end's: poll_uring.c.
 *         Near poll.h (the calls), net/fd.h (weft__fd_recv). Layer 2.
 *
 * Invariants
 *   T1  While a request that takes may be under way (taking is ARMING or ARMED, and not PLAIN) bytes come by the queue only: a
 *       reader that asked the kernel would overtake them. A request is made by who waits for reading, that is by the reader
 *       itself, and ended by the poller; so who finds the queue empty and no request asks the kernel until it waits.
 *   T2  The queue grows at its end by the poller and is used up at its beginning by the holder of the read direction, who may
 *       cut it off whole and put the rest back: nobody else looks meanwhile.
 *   T3  A completion joins the queue only under the lock and with the seq of the pd's life: what comes after the close goes back
 *       to the back end. So each piece has one owner: the kernel, a queue, or a reader that copies.
 *   T4  The poller first queues what a completion carries, then says that its request has ended, then gives the edge.
 *
 * Locks   pd->lock, for a few pointers: bytes are copied outside of it.
 * Order   as P5 for taking (poll.c).
 * Failure none: an error of the socket is kept, and told once all bytes before it have been read.
 */
#include "poll_int.h"

#include <string.h>

#include "../sys/sys.h"

void weft__taken_add(struct weft__pd *pd, struct weft__taken *t)
{
    struct weft__taken *last = pd->u->taken;
    t->next = last ? last->next : t;
    if (last)
        last->next = t;
    pd->u->taken = t;
    pd->u->taken_count++;
}

struct weft__taken *weft__taken_cut(struct weft__pd *pd)
{
    struct weft__taken *last = pd->u->taken, *first = last ? last->next : NULL;
    if (last)
        last->next = NULL;
    pd->u->taken = NULL;
    pd->u->taken_count = 0;
    return first;
}

/* The rest of what was cut off goes before what has come since. */
static void taken_put_back(struct weft__pd *pd, struct weft__taken *rest)
{
    struct weft__taken *next;
    weft__lock(&pd->lock);
    struct weft__taken *since = weft__taken_cut(pd);
    for (; rest; rest = next) {
        next = rest->next;
        weft__taken_add(pd, rest);
        if (!next) {
            next = since;
            since = NULL;
        }
    }
    weft__unlock(&pd->lock);
}

/* Lock held, queue empty: as weft__pd_take_bytes. */
static bool taken_none(struct weft__pd *pd, ssize_t *ret_got)
{
    uint64_t v = atomic_load_explicit(&pd->u->taking, memory_order_acquire);
    if (pd->u->take_err) {
        *ret_got = pd->u->take_err;
        pd->u->take_err = 0;
        return true;
    }
    *ret_got = -EAGAIN;
    return (v & WEFT__PD_ARM_MASK) != WEFT__PD_UNARMED && !(v & WEFT__PD_TAKE_PLAIN); /* T1 */
}

bool weft__pd_take_begin(struct weft__pd *pd, enum weft__take what)
{
    if (weft__likely(!weft__poll_back->arm_take))
        return false;
    atomic_store_explicit(&pd->take, what, memory_order_relaxed);
    return true;
}

bool weft__pd_take_bytes(struct weft__pd *pd, void *ret_buf, size_t n, ssize_t *ret_got)
{
    weft__lock(&pd->lock);
    struct weft__taken *first = weft__taken_cut(pd), *t = first, *done = NULL; /* T2 */
    bool here = first || taken_none(pd, ret_got);
    weft__unlock(&pd->lock);
    if (!first)
        return here;
    size_t got = 0;
    while (t && got < n) {
        size_t part = t->end - t->at < n - got ? t->end - t->at : n - got;
        memcpy((char *)ret_buf + got, t->data + t->at, part);
        got += part;
        t->at += (uint32_t)part;
        if (t->at < t->end)
            break;
        done = t;
        t = t->next;
    }
    if (t)
        taken_put_back(pd, t);
    if (done) {
        done->next = NULL;
        weft__poll_back->give(first);
    }
    *ret_got = (ssize_t)got;
    return true;
}

bool weft__pd_take_fd(struct weft__pd *pd, int *ret_fd)
{
    ssize_t none = 0;
    weft__lock(&pd->lock);
    struct weft__taken *last = pd->u->taken, *first = last ? last->next : NULL;
    bool here = first || taken_none(pd, &none);
    if (first) {
        last->next = first->next;
        pd->u->taken_count--;
        if (first == last)
            pd->u->taken = NULL;
    }
    weft__unlock(&pd->lock);
    *ret_fd = first ? first->fd : (int)none;
    weft__sys_free(first);
    return here;
}

int weft__pd_take_look(struct weft__pd *pd)
{
    weft__lock(&pd->lock);
    uint64_t v = atomic_load_explicit(&pd->u->taking, memory_order_acquire);
    bool ask = (v & WEFT__PD_ARM_MASK) == WEFT__PD_UNARMED || v & WEFT__PD_TAKE_PLAIN;
    int here = pd->u->taken || pd->u->take_err ? 1 : ask ? -1 : 0;
    weft__unlock(&pd->lock);
    return here;
}

void weft__pd_take_end(struct weft__pd *pd)
{
    atomic_store_explicit(&pd->take, WEFT__TAKE_PLAIN, memory_order_seq_cst);
    weft__poll_back->end_take(pd);
}
