/*
 * sem.c - weighted semaphore, strictly first come, first served; waits end with a context.
 *
 * Role    Go's x/sync/semaphore. Near waitline.h, ctx/ctx_int.h (the watch in the waiter's frame). Layer 3.
 *
 * Invariants, whenever the line's lock is free:
 *   SE1  0 <= held <= size, held is the sum of what was granted and not released.
 *   SE2  the first in line wants more than size - held; nobody overtakes it.
 *   SE3  A waiter leaves the line once: granted (given = true), or called off by its context (over = true).
 * Locks   the line's. The context's watch takes it with no other lock held. Nobody is readied under it.
 */
#include <weft/group.h>
#include <weft/unwind.h>

#include "../ctx/ctx_int.h"
#include "waitline.h"

struct sem_wait {
    struct weft__sync_waiter w;       /* first */
    struct weft__ctx_watch watch;
    weft_sem *s;
    bool in_line, over;               /* [line lock] SE3 */
};

static void sem_check(int64_t n)
{
    if (n < 0)
        weft_panic("semaphore: n < 0");
}

void weft_sem_init(weft_sem *s, int64_t n)
{
    if (n < 0)
        weft_panic("semaphore: size < 0");
    *s = (weft_sem){.weft__size = n};
}

/* Whoever is first and can have it now, linked by next; for weft__line_ready_all. Lock held. */
static struct weft__sync_waiter *sem_grant(weft_sem *s)
{
    struct weft__sync_waiter *granted = NULL, **end = &granted, *w;
    while ((w = s->weft__line.head) && s->weft__size - s->weft__held >= (int64_t)w->want) {
        weft__line_pop(&s->weft__line);
        s->weft__held += (int64_t)w->want;
        w->given = true;
        ((struct sem_wait *)w)->in_line = false;
        w->next = NULL;
        *end = w;
        end = &w->next;
    }
    return granted;
}

static void sem_unlink(weft_sem *s, struct sem_wait *sw)
{
    struct weft__line *l = &s->weft__line;
    struct weft__sync_waiter *before = NULL;
    for (struct weft__sync_waiter *w = l->head; w != &sw->w; w = w->next)
        before = w;
    if (!before) {
        weft__line_pop(l);
    } else {
        before->next = sw->w.next;
        if (l->tail == &sw->w)
            l->tail = before;
    }
    sw->in_line = false;
}

/* The context has ended. */
static void sem_call_off(struct weft__ctx_watch *watch)
{
    struct sem_wait *sw = (struct sem_wait *)((char *)watch - offsetof(struct sem_wait, watch));
    weft_sem *s = sw->s;
    struct weft__sync_waiter *granted = NULL;

    weft__line_lock(&s->weft__line);
    bool wake = sw->in_line;
    if (!sw->w.given)
        sw->over = true;                                     /* SE3 */
    if (wake) {
        sem_unlink(s, sw);
        granted = sem_grant(s);                              /* SE2: those behind may fit */
    }
    weft__line_unlock(&s->weft__line);
    if (wake)
        weft__ready(sw->w.g);          /* its frame stays until this fn has returned: weft__ctx_watch_del waits */
    weft__line_ready_all(granted);
}

static weft_err sem_wait_for(weft_ctx *ctx, weft_sem *s, int64_t n)
{
    struct sem_wait sw = {.w = {.g = weft__g(), .want = (uint64_t)n}, .s = s};
    if (!weft__ctx_watch_add(ctx, &sw.watch, sem_call_off) && weft_ctx_err(ctx) != 0)
        return weft_ctx_err(ctx);

    weft__line_lock(&s->weft__line);
    bool now = s->weft__size - s->weft__held >= n && !s->weft__line.head && !sw.over;
    if (now) {
        s->weft__held += n;
        sw.w.given = true;
    }
    bool park = !now && !sw.over;
    if (park) {
        weft__line_push(&s->weft__line, &sw.w);
        sw.in_line = true;
    }
    weft__line_unlock(&s->weft__line);
    if (park)
        weft__park(WEFT__WAIT_SEM);
    weft__ctx_watch_del(&sw.watch);
    if (!sw.w.given)
        return weft_ctx_err(ctx);
    if (weft_ctx_err(ctx) == 0)
        return 0;
    weft_sem_release(s, n);                                  /* both came: the end counts, as in Go */
    return weft_ctx_err(ctx);
}

weft_err weft_sem_acquire(weft_ctx *ctx, weft_sem *s, int64_t n)
{
    sem_check(n);
    weft_err err = weft_ctx_err(ctx);
    if (err != 0)
        return err;
    if (weft_sem_try_acquire(s, n))
        return 0;
    if (n > s->weft__size) {
        (void)weft_recv(weft_ctx_done(ctx));
        return weft_ctx_err(ctx);
    }
    return sem_wait_for(ctx, s, n);
}

bool weft_sem_try_acquire(weft_sem *s, int64_t n)
{
    sem_check(n);
    weft__line_lock(&s->weft__line);
    bool got = s->weft__size - s->weft__held >= n && !s->weft__line.head;
    if (got)
        s->weft__held += n;
    weft__line_unlock(&s->weft__line);
    return got;
}

void weft_sem_release(weft_sem *s, int64_t n)
{
    sem_check(n);
    weft__line_lock(&s->weft__line);
    s->weft__held -= n;
    bool too_many = s->weft__held < 0;
    struct weft__sync_waiter *granted = too_many ? NULL : sem_grant(s);
    weft__line_unlock(&s->weft__line);
    if (too_many)
        weft_panic("semaphore: released more than held");
    weft__line_ready_all(granted);
}
