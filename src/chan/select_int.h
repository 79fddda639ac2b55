/*
 * select_int.h - what select.c and select_two.c share: one case of a select, looked at, performed, finished. Layer 3.
 *
 * Near    chan_int.h: put, take, claims.
 */
#ifndef WEFT_CHAN_SELECT_INT_H
#define WEFT_CHAN_SELECT_INT_H
#include <weft/select.h>

#include "chan_int.h"

/* The outcome. */
struct weft__select_end {
    uint32_t i;                  /* the case */
    enum weft__chan_result r;    /* how its operation ended; WOULD_PARK for a default or a timeout */
    uint32_t elem;               /* bytes of a value: the channel may be gone */
    struct weft__g *wake;        /* to be made ready, or NULL */
};

/* select_two.c: a select of two different channels; neither is NULL, and nothing else is in the list. */
WEFT_PARKS int weft__select_two(const struct weft_case *cases);

/* Does the case send or receive, on a channel that is there? */
static inline bool weft__case_has_chan(const struct weft_case *k)
{
    return k->weft__ch && k->weft__kind - WEFT__CASE_RECV <= WEFT__CASE_SEND - WEFT__CASE_RECV;
}

/* Could the case go on now? With its lock held only a stale waiter makes a yes wrong, without it a yes is a hint. */
static inline bool weft__case_ready(const struct weft_case *k)
{
    if (!k->weft__ch)
        return false; /* nil, default, timeout, zeroed */
    struct weft__chan *c = weft__chan_of(k->weft__ch);
    return k->weft__kind == WEFT__CASE_RECV ? !weft__chan_recv_would_park(c) : !weft__chan_send_would_park(c);
}

/* Performs case k, the i-th, if it is ready; the lock is held. False: it would have to wait. */
static inline bool weft__case_try(const struct weft_case *k, uint32_t i, struct weft__select_end *ret_end)
{
    struct weft__chan *c = k->weft__ch;
    ret_end->i = i;
    ret_end->elem = c->elem;
    ret_end->r = k->weft__kind == WEFT__CASE_RECV ? weft__chan_take(c, k->weft__p, &ret_end->wake)
                                                  : weft__chan_put(c, k->weft__p, &ret_end->wake);
    return ret_end->r != WEFT__CHAN_WOULD_PARK;
}

/* The same, taking the lock. */
static inline bool weft__case_try_alone(const struct weft_case *k, uint32_t i, struct weft__select_end *ret_end)
{
    struct weft__chan *c = k->weft__ch;
    weft__lock(&c->lock);
    bool done = weft__case_try(k, i, ret_end);
    weft__unlock(&c->lock);
    return done;
}

/* What follows the outcome. No lock is held, nothing is allocated any more. */
static inline int weft__case_finish(const struct weft_case *k, const struct weft__select_end *end)
{
    if (end->wake)
        weft__ready(end->wake);
    if (k->weft__kind == WEFT__CASE_SEND && weft__unlikely(end->r == WEFT__CHAN_CLOSED))
        weft_panic("send on closed channel");
    if (k->weft__kind == WEFT__CASE_RECV) {
        if (end->r == WEFT__CHAN_CLOSED && k->weft__p)
            memset(k->weft__p, 0, end->elem);
        if (k->weft__ok)
            *k->weft__ok = end->r == WEFT__CHAN_DONE;
    }
    return (int)end->i;
}

/* Where the case would wait. */
static inline struct weft__waitq *weft__case_line(const struct weft_case *k)
{
    struct weft__chan *c = k->weft__ch;
    return k->weft__kind == WEFT__CASE_RECV ? &c->recvq : &c->sendq;
}

/* w waits for case k, the i-th of s; the lock is held, and the rest of w is filled in. */
static inline void weft__case_wait(const struct weft_case *k, uint32_t i, struct weft__select *s, struct weft__waiter *w)
{
    struct weft__chan *c = k->weft__ch;
    w->t.g = s->g;
    w->t.p = k->weft__p;
    w->sel = s;
    w->t.index = i;
    w->t.elem = c->elem;
    w->t.ok = false;
    c->selecting++;
    weft__waitq_put(weft__case_line(k), w);
}

/* The waiter of case k leaves the line, if nobody took it out meanwhile, and the channel: not touched after that. */
static inline void weft__case_leave(const struct weft_case *k, struct weft__waiter *w)
{
    struct weft__chan *c = k->weft__ch;
    weft__lock(&c->lock);
    if (w->t.queued)
        weft__waitq_remove(weft__case_line(k), w);
    c->selecting--;
    weft__unlock(&c->lock);
}

#endif
