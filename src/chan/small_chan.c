/*
 * small_chan.c - waiting for a channel on a small stack (sched/small.c). Only in libweft-small.a.
 *
 * Role    Called by small.S on a small stack, with little room: parks if the operation would have to wait, and otherwise does
 *         nothing: the caller then makes the ordinary call on a full stack. So are misuse, close and tied goroutines.
 * Near    chan.c, whose protocol this is (S1-S5). Layer 3.
 */
#include "chan_int.h"

/* 0 or 1: parked, and what weft_recv_ok answers. 2: not done. */
int weft__small_recv_try(const volatile void *ch, void *ret_v);
int weft__small_recv_try(const volatile void *ch, void *ret_v)
{
    struct weft__g *g = weft__g_or_null();

    if (!ch || g->tied || weft__is_blocky(g))
        return 2;
    struct weft__chan *c = (struct weft__chan *)ch;
    uint32_t elem = c->elem;
    weft__small_check(g);
    weft__lock(&c->lock);
    if (weft__chan_count(c) != 0 || weft__waitq_first(&c->sendq) || weft__chan_closed(c)) {
        weft__unlock(&c->lock);
        return 2;
    }
    struct weft__waiter w = {.t = {.g = g, .p = ret_v}};
    weft__waitq_put(&c->recvq, &w);
    weft__unlock(&c->lock);
    weft__park_small(WEFT__WAIT_CHAN_RECV);
    if (!w.t.ok && ret_v)
        for (uint32_t i = 0; i < elem; i++)
            ((volatile char *)ret_v)[i] = 0;
    return w.t.ok;
}

/* 1: parked, and taken. 2: not done, or closed meanwhile: the ordinary call sees that, and panics. */
int weft__small_send_try(const volatile void *ch, const void *v);
int weft__small_send_try(const volatile void *ch, const void *v)
{
    struct weft__g *g = weft__g_or_null();

    if (!ch || g->tied || weft__is_blocky(g))
        return 2;
    struct weft__chan *c = (struct weft__chan *)ch;
    weft__small_check(g);
    weft__lock(&c->lock);
    if (weft__chan_count(c) != c->cap || weft__waitq_first(&c->recvq) || weft__chan_closed(c)) {
        weft__unlock(&c->lock);
        return 2;
    }
    struct weft__waiter w = {.t = {.g = g, .p = (void *)v}};
    weft__waitq_put(&c->sendq, &w);
    weft__unlock(&c->lock);
    weft__park_small(WEFT__WAIT_CHAN_SEND);
    return w.t.ok ? 1 : 2; /* closed: weft__chan_send sees it, and panics */
}
