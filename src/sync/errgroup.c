/*
 * errgroup.c - goroutines that are parts of one job: the first failure ends the rest.
 *
 * Role    A waitgroup, a first error, a context, and places when there is a limit. Near waitline.h. Layer 3.
 *   EG1  err changes once, from 0; who changes it ends the context with it as the cause.
 *   EG2  A goroutine gives its place back before it is done in the waitgroup: after that the group may be gone.
 * Order   EG3  err: compare-and-swap release, then done release  ->  wait: acquire of the waitgroup, err load.
 * Source  Go x/sync/errgroup.
 */
#include <weft/group.h>
#include <weft/unwind.h>

#include "waitline.h"

void weft_errgroup_init(weft_errgroup *g, weft_ctx *ctx, weft_ctx **ret_gctx)
{
    *g = (weft_errgroup){.weft__ctx = weft_with_cancel(ctx)};
    if (ret_gctx)
        *ret_gctx = g->weft__ctx;
}

void weft__errgroup_enter(weft_errgroup *g)
{
    if (g->weft__limited)
        weft__line_acquire(&g->weft__places, WEFT__WAIT_SEM, false);
    atomic_fetch_add_explicit(&g->weft__active, 1, memory_order_relaxed);
    weft_waitgroup_add(&g->weft__wg, 1);
}

bool weft__errgroup_try_enter(weft_errgroup *g)
{
    bool place = true;
    if (g->weft__limited) {
        weft__line_lock(&g->weft__places);
        place = g->weft__places.count > 0;
        if (place)
            g->weft__places.count--;
        weft__line_unlock(&g->weft__places);
    }
    if (place) {
        atomic_fetch_add_explicit(&g->weft__active, 1, memory_order_relaxed);
        weft_waitgroup_add(&g->weft__wg, 1);
    }
    return place;
}

void weft__errgroup_end(void *group, long result)
{
    weft_errgroup *g = group;
    weft_err err = (weft_err)result, none = 0;
    if (err < 0 && atomic_compare_exchange_strong_explicit(&g->weft__err, &none, err, memory_order_release, /* EG3 */
                                                           memory_order_relaxed))
        weft_cancel_cause(g->weft__ctx, err);                              /* EG1; nothing for a zeroed group */
    atomic_fetch_sub_explicit(&g->weft__active, 1, memory_order_relaxed);
    if (g->weft__limited)
        weft__line_release(&g->weft__places);
    weft_waitgroup_done(&g->weft__wg);                                     /* EG2 */
}

void weft_errgroup_set_limit(weft_errgroup *g, int n)
{
    int active = atomic_load_explicit(&g->weft__active, memory_order_relaxed);
    if (active != 0)
        weft_panic("errgroup: modify limit while %d goroutines in the group are still active", active);
    g->weft__limited = n >= 0;
    g->weft__places.count = n > 0 ? (uint32_t)n : 0;
}

weft_err weft_errgroup_wait(weft_errgroup *g)
{
    weft_waitgroup_wait(&g->weft__wg);
    weft_err err = atomic_load_explicit(&g->weft__err, memory_order_acquire);   /* EG3 */
    weft_cancel_cause(g->weft__ctx, err);
    weft_ctx_unref(g->weft__ctx);
    g->weft__ctx = NULL;
    return err;
}
