/*
 * waitline.h - a line of parked goroutines, oldest first, under its own spinlock; a counting semaphore on top of it.
 *
 * Role    What mutex, rwmutex, waitgroup, once, cond and sem park in. The nodes live in the waiters' frames.
 * Near    sched.h S1-S5: publish under the lock, unlock, park; take out under the lock, unlock, ready.
 * Order   L1 of base/lock.h; the word is the same.
 */
#ifndef WEFT_SYNC_WAITLINE_H
#define WEFT_SYNC_WAITLINE_H
#include <weft/sync.h>

#include "../sched/sched.h"

struct weft__sync_waiter {
    struct weft__g *g;                   /* [const] */
    struct weft__sync_waiter *next;      /* [line lock] */
    weft_time since;                     /* [const] when it first waited; mutex */
    uint64_t want;                       /* [const] ticket of a cond, permits of a weighted sem */
    bool given;                          /* [line lock, then S3] the waker handed over what was waited for */
    bool locked;                         /* [const] by weft__mutex_lock_locked: MX7 */
    bool moved;                          /* [S3] a cond's waiter that a mutex's unlock wakes: mutex.h */
};

static inline void weft__line_lock(struct weft__line *l)
{
    weft__lock((struct weft__lock *)&l->lock);
}

static inline void weft__line_unlock(struct weft__line *l)
{
    weft__unlock((struct weft__lock *)&l->lock);
}

/* At the end. Lock held. */
static inline void weft__line_push(struct weft__line *l, struct weft__sync_waiter *w)
{
    w->next = NULL;
    if (l->tail)
        l->tail->next = w;
    else
        l->head = w;
    l->tail = w;
}

/* In front of all others. Lock held. */
static inline void weft__line_push_front(struct weft__line *l, struct weft__sync_waiter *w)
{
    w->next = l->head;
    l->head = w;
    if (!l->tail)
        l->tail = w;
}

/* The oldest, or NULL. Lock held. */
static inline struct weft__sync_waiter *weft__line_pop(struct weft__line *l)
{
    struct weft__sync_waiter *w = l->head;
    if (w) {
        l->head = w->next;
        if (!l->head)
            l->tail = NULL;
    }
    return w;
}

/* Everybody, still linked by next. Lock held. */
static inline struct weft__sync_waiter *weft__line_take_all(struct weft__line *l)
{
    struct weft__sync_waiter *w = l->head;
    l->head = l->tail = NULL;
    return w;
}

/* Ready a list from weft__line_take_all. No lock held; a waiter's frame is gone once it is ready. */
static inline void weft__line_ready_all(struct weft__sync_waiter *w)
{
    while (w) {
        struct weft__sync_waiter *next = w->next;
        weft__ready(w->g);
        w = next;
    }
}

/* Take a permit, parking until there is one. front: before those that wait already. */
WEFT_PARKS void weft__line_acquire(struct weft__line *l, enum weft__wait why, bool front);
/* Give a permit to the oldest waiter, or keep it. The line is not touched once the permit can be taken. */
void weft__line_release(struct weft__line *l);

#endif
