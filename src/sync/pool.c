/*
 * pool.c - things that are kept for reuse.
 *
 * Role    A stack of pointers under a spinlock; the latest put is the first out, as it is warm in the cache.
 * Near    include/weft/sync.h. Layer 3.
 *   PO1  kept[0 .. n-1] are the things kept, n <= cap.
 * Limits  2^31 things. When memory for the stack is short, put drops x on the floor: that is a leak of x, not an error.
 * Not so  A cache per processor, as Go's: worth it once a profile shows the lock.
 */
#include <string.h>

#include "../sys/sys.h"
#include "waitline.h"

static struct weft__lock *pool_lock(weft_pool *p)
{
    return (struct weft__lock *)&p->weft__lock;
}

void *weft_pool_get(weft_pool *p)
{
    void *x = NULL;
    weft__lock(pool_lock(p));
    if (p->weft__n > 0)
        x = p->weft__kept[--p->weft__n];
    weft__unlock(pool_lock(p));
    return x || !p->make ? x : p->make();
}

/* Room for one more; memory is asked for without the lock. Lock held on entry and exit. False: no memory. */
static bool pool_room(weft_pool *p)
{
    while (p->weft__n == p->weft__cap) {
        uint32_t cap = p->weft__cap ? p->weft__cap * 2 : 16;
        weft__unlock(pool_lock(p));
        void **more = weft__sys_alloc(cap * sizeof *more), **spare = more;
        weft__lock(pool_lock(p));
        if (more && p->weft__cap < cap) {
            if (p->weft__n)
                memcpy(more, p->weft__kept, p->weft__n * sizeof *more);
            spare = p->weft__kept;
            p->weft__kept = more;
            p->weft__cap = cap;
        }
        bool short_of = !more && p->weft__n == p->weft__cap;
        weft__unlock(pool_lock(p));
        weft__sys_free(spare);
        weft__lock(pool_lock(p));
        if (short_of)
            return p->weft__n < p->weft__cap;
    }
    return true;
}

void weft_pool_put(weft_pool *p, void *x)
{
    if (!x)
        return;
    weft__lock(pool_lock(p));
    if (weft__likely(pool_room(p)))
        p->weft__kept[p->weft__n++] = x;                                   /* PO1 */
    weft__unlock(pool_lock(p));
}

void weft_pool_clear(weft_pool *p, void (*drop)(void *x))
{
    weft__lock(pool_lock(p));
    void **kept = p->weft__kept;
    uint32_t n = p->weft__n;
    p->weft__kept = NULL;
    p->weft__n = p->weft__cap = 0;
    weft__unlock(pool_lock(p));
    for (uint32_t i = 0; drop && i < n; i++)
        drop(kept[i]);
    weft__sys_free(kept);
}
