/*
 * waitgroup.c - wait until a number of things are done.
 *
 * Role    A counter, and the goroutines that wait for its zero.
 * Near    waitline.h, include/weft/sync.h, docs/design/sync.md. Layer 3.
 *
 * The word: high 32 bits the counter, signed; bit 0 WAITED.
 *   WG1  WAITED <=> the line is not empty, whenever the line's lock is free. It is set under that lock, by a
 *        compare-and-swap that sees a counter above zero.
 *   WG2  Whoever brings the counter to zero with WAITED set empties the line; no waiter returns before that, so the
 *        group still exists. Whoever brings it to zero without WAITED does not touch the group again: a waiter
 *        that came later has seen the zero and may have freed it.
 * Order   WG3  add: word release  ->  wait that sees zero: word acquire (parked waiters: S2, S3).
 * Source  Go sync/waitgroup.go.
 */
#include <weft/unwind.h>

#include "waitline.h"

enum { WAITED = 1 };

static int32_t waitgroup_count(uint64_t word)
{
    return (int32_t)(word >> 32);
}

/* The counter is zero and goroutines wait: let them go. */
static void waitgroup_release(weft_waitgroup *wg)
{
    weft__line_lock(&wg->weft__line);
    struct weft__sync_waiter *all = weft__line_take_all(&wg->weft__line);
    atomic_fetch_and_explicit(&wg->weft__state, ~(uint64_t)WAITED, memory_order_relaxed); /* WG1 */
    weft__line_unlock(&wg->weft__line);
    weft__line_ready_all(all);                                       /* WG2: the group may be gone now */
}

void weft_waitgroup_add(weft_waitgroup *wg, int n)
{
    uint64_t step = (uint64_t)(uint32_t)n << 32;
    uint64_t was = atomic_fetch_add_explicit(&wg->weft__state, step, memory_order_acq_rel); /* WG3 */
    int32_t count = waitgroup_count(was + step);

    if (weft__unlikely(count < 0))
        weft_panic("sync: negative WaitGroup counter");
    if (weft__unlikely((was & WAITED) && n > 0 && count == n))
        weft_panic("sync: WaitGroup misuse: Add called concurrently with Wait");
    if (count == 0 && (was & WAITED))
        waitgroup_release(wg);
}

void weft_waitgroup_done(weft_waitgroup *wg)
{
    weft_waitgroup_add(wg, -1);
}

void weft__waitgroup_end(void *wg, long result)
{
    (void)result;
    weft_waitgroup_add(wg, -1);
}

void weft_waitgroup_wait(weft_waitgroup *wg)
{
    uint64_t s = atomic_load_explicit(&wg->weft__state, memory_order_acquire);  /* WG3 */
    if (waitgroup_count(s) == 0)
        return;
    struct weft__sync_waiter w = {.g = weft__g()};

    weft__line_lock(&wg->weft__line);
    s = atomic_load_explicit(&wg->weft__state, memory_order_acquire);
    do {
        if (waitgroup_count(s) == 0) {
            weft__line_unlock(&wg->weft__line);
            return;
        }
    } while (!atomic_compare_exchange_weak_explicit(&wg->weft__state, &s, s | WAITED, memory_order_acquire,
                                                    memory_order_acquire));    /* WG1, WG3 */
    weft__line_push(&wg->weft__line, &w);
    weft__line_unlock(&wg->weft__line);
    weft__park(WEFT__WAIT_WAITGROUP);
}
