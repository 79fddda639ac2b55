/*
 * cancel.c - how a context ends, and how that spreads to its channel, its watches and its children.
 *
 * Role    The end itself, by weft_cancel, a deadline, a parent or the last reference; and the line of watches.
 * Near    ctx.c (CT3 - CT5), ctx_int.h, docs/design/context.md. Layer 3.
 *
 * Invariants:
 *   CT6  err changes once, from 0, under the lock; whoever changes it empties the line. Nobody gets in line after.
 *   CT7  running names the watch whose fn is under way, for no longer than that; it is not in line any more. A deleter
 *        that finds its watch there waits. The watch is not touched after fn.
 *   CT8  A child is taken out of the line under the parent's lock and gets a hold there: it cannot have been freed,
 *        as it would have to leave the line first, under that lock.
 * Order   CT1  err: store release (cause and all that the canceller did)  ->  load acquire in weft_ctx_err.
 *         A tree is ended breadth first from a list: each context's channel is closed before its children's.
 * Locks   One context's lock at a time. fn, close and the timer's calls happen without it.
 */
#include "cancel.h"

#include <stdatomic.h>

#include "../sched/section.h"
#include "../sys/sys.h"

#define CTX_OF_UP(w) ((struct ctx_node *)((char *)(w) - offsetof(struct ctx_node, up)))

void weft__ctx_hold(struct ctx_node *n)
{
    atomic_fetch_add_explicit(&n->holds, 1, memory_order_relaxed);
}

void weft__ctx_unhold(struct ctx_node *n)
{
    if (atomic_fetch_sub_explicit(&n->holds, 1, memory_order_acq_rel) != 1)  /* CT5 */
        return;
    weft__sys_free(n);
}

void weft__ctx_done_make(struct ctx_node *n)
{
    weft__lock(&n->lock);
    bool mine = !atomic_load_explicit(&n->asked, memory_order_relaxed);
    if (mine) {
        weft__chan_init(&n->done, 1, 0, WEFT__CHAN_OWNED);
        atomic_store_explicit(&n->asked, true, memory_order_release);        /* CT2 */
    }
    bool ended = atomic_load_explicit(&n->err, memory_order_relaxed) != 0;
    weft__unlock(&n->lock);
    if (mine && ended)
        weft__chan_shut(&n->done);       /* whoever ended it saw no channel to close */
}

static void line_unlink(struct weft__ctx_watch *w)
{
    w->prev->next = w->next;
    w->next->prev = w->prev;
    w->next = w->prev = NULL;
}

/* In line at the end, unless n has ended. */
static bool line_add(struct ctx_node *n, struct weft__ctx_watch *w)
{
    weft__lock(&n->lock);
    bool open = atomic_load_explicit(&n->err, memory_order_relaxed) == 0;    /* CT6 */
    if (open) {
        w->ctx = &n->c;
        w->next = &n->line;
        w->prev = n->line.prev;
        w->prev->next = w;
        n->line.prev = w;
    }
    weft__unlock(&n->lock);
    return open;
}

bool weft__ctx_watch_add(weft_ctx *ctx, struct weft__ctx_watch *w, void (*fn)(struct weft__ctx_watch *w))
{
    *w = (struct weft__ctx_watch){.fn = fn};
    return ctx && ctx->cancels && line_add(ctx->cancels, w);
}

void weft__ctx_watch_del(struct weft__ctx_watch *w)
{
    if (!w->ctx)
        return;
    struct ctx_node *n = w->ctx->cancels;
    uint32_t spins = 0;

    weft__lock(&n->lock);
    if (w->next)
        line_unlink(w);
    while (n->running == w) {                                                /* CT7 */
        weft__unlock(&n->lock);
        weft__spin(&spins);
        weft__lock(&n->lock);
    }
    weft__unlock(&n->lock);
    w->ctx = NULL;
}

void weft__ctx_attach(struct ctx_node *n)
{
    struct ctx_node *above = n->c.parent ? n->c.parent->cancels : NULL;
    if (!above)
        return;
    n->up.fn = NULL;
    if (!line_add(above, &n->up))
        weft__ctx_cancel_tree(n, weft_ctx_err(&above->c), above->cause);
}

/* Empty n's line: run the watches' fn; children, with a hold each, go to the end of the list. Lock held; dropped and
 * taken again. */
static struct ctx_node **line_empty(struct ctx_node *n, struct ctx_node **tail)
{
    while (n->line.next != &n->line) {
        struct weft__ctx_watch *w = n->line.next;
        line_unlink(w);
        if (!w->fn) {
            struct ctx_node *child = CTX_OF_UP(w);
            weft__ctx_hold(child);                                           /* CT8 */
            child->next = NULL;
            *tail = child;
            tail = &child->next;
            continue;
        }
        n->running = w;                                                      /* CT7 */
        weft__unlock(&n->lock);
        w->fn(w);
        weft__lock(&n->lock);
        n->running = NULL;
    }
    return tail;
}

/* End n alone; its children go to the end of the list. Returns the list's new end. */
static struct ctx_node **node_end(struct ctx_node *n, weft_err err, weft_err cause, struct ctx_node **tail)
{
    weft__lock(&n->lock);
    if (atomic_load_explicit(&n->err, memory_order_relaxed) != 0) {
        weft__unlock(&n->lock);
        return tail;
    }
    n->cause = cause;
    atomic_store_explicit(&n->err, err, memory_order_release);               /* CT1, CT6 */
    bool asked = atomic_load_explicit(&n->asked, memory_order_relaxed);
    bool timed = n->c.kind == CTX_TIMED;
    if (asked || timed) {
        weft__unlock(&n->lock);
        if (timed && weft__timer_stop(&((struct ctx_timed *)n)->timer))
            weft__ctx_unhold(n);                                             /* CT5: the timer's */
        if (asked)
            weft__chan_shut(&n->done);
        weft__lock(&n->lock);
    }
    tail = line_empty(n, tail);
    weft__unlock(&n->lock);
    return tail;
}

void weft__ctx_cancel_tree(struct ctx_node *top, weft_err err, weft_err cause)
{
    struct ctx_node *list = NULL;
    struct ctx_node **tail = node_end(top, err, cause, &list);

    while (list) {
        struct ctx_node *n = list;
        tail = node_end(n, err, cause, tail);      /* while n is still in the list: tail may point into it */
        list = n->next;
        if (!list)
            tail = &list;
        weft__ctx_unhold(n);
    }
}

void weft_cancel_cause(weft_ctx *ctx, weft_err cause)
{
    if (ctx && ctx->cancels && ctx == &ctx->cancels->c)
        weft__ctx_cancel_tree(ctx->cancels, WEFT_ECANCELED, cause ? cause : WEFT_ECANCELED);
}

void weft_cancel(weft_ctx *ctx)
{
    weft_cancel_cause(ctx, WEFT_ECANCELED);
}

/* The deadline: on a scheduler stack. */
static void ctx_late(struct weft__timer *timer)
{
    struct ctx_node *n = &WEFT__OWNER(timer, struct ctx_timed, timer)->n;
    weft__ctx_cancel_tree(n, WEFT_EDEADLINE, n->late_cause);
    weft__ctx_unhold(n);                                                     /* CT5: the timer's */
}

/* For deadlock detection: nobody would learn of this deadline. Watches and children count as somebody. */
WEFT__UNSEEN static bool ctx_asleep(struct weft__timer *timer)
{
    struct ctx_node *n = &WEFT__OWNER(timer, struct ctx_timed, timer)->n;
    weft__look_lock(&n->lock);
    bool asked = atomic_load_explicit(&n->asked, memory_order_relaxed);
    bool nobody = n->line.next == &n->line;
    weft__look_unlock(&n->lock);
    return nobody && !(asked && weft__chan_has_receivers(&n->done));
}

static const struct weft__timer_kind ctx_deadline = {.fn = ctx_late, .asleep = ctx_asleep};

__attribute__((constructor(101))) static void ctx_know_deadline(void)
{
    weft__timer_know(WEFT__TIMER_CTX, &ctx_deadline);
}

void weft__ctx_arm(struct ctx_timed *t)
{
    weft__ctx_hold(&t->n);                                                   /* CT5 */
    t->timer.use = WEFT__TIMER_CTX;
    weft__timer_start(&t->timer, t->n.c.deadline);
}

void weft__ctx_drop(struct ctx_node *n)
{
    weft__ctx_cancel_tree(n, WEFT_ECANCELED, WEFT_ECANCELED);
    weft__ctx_watch_del(&n->up);                                             /* CT3 */
    weft__ctx_unhold(n);
}
