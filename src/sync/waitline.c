/*
 * waitline.c - the semaphore of a line: permits, handed over to the oldest waiter.
 *
 * Role    Building block of rwmutex.c, as Go's runtime semaphores are.
 * Near    waitline.h. Layer 3.
 *
 * Invariants, true whenever the line's lock is free:
 *   LN1  somebody is in line  =>  count == 0.
 *   LN2  a waiter taken out of the line has got its permit: it does not look at count again.
 *
 * Locks   the line's own. Nobody is readied under it.
 */
#include "waitline.h"

void weft__line_acquire(struct weft__line *l, enum weft__wait why, bool front)
{
    struct weft__sync_waiter w = {.g = weft__g()};   /* may start the runtime: not under the lock */

    weft__line_lock(l);
    if (l->count > 0) {
        l->count--;
        weft__line_unlock(l);
        return;
    }
    if (front)
        weft__line_push_front(l, &w);
    else
        weft__line_push(l, &w);
    weft__line_unlock(l);
    weft__park(why);                     /* LN2 */
}

void weft__line_release(struct weft__line *l)
{
    weft__line_lock(l);
    WEFT_DASSERT(!l->head || l->count == 0, "LN1");
    struct weft__sync_waiter *w = weft__line_pop(l);
    if (!w)
        l->count++;
    weft__line_unlock(l);
    if (w)
        weft__ready(w->g);
}
