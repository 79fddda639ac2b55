/*
 * waitgroup.c - wait until a number of things are done.
 *
 * Role    A counter, and the goroutines that wait for its zero.
 * Near    waitline.h, include/weft/sync.h, docs/design/sync.md. Layer 3.
 *
 * The word: high 32 bits the counter, signed; bit 0 WAITED.
 *   WG1  Somebody is in line => WAITED. It is set under the line's lock, by a compare-and-swap that sees a counter above
 *        zero, and cleared by whoever brought the counter to zero, after it has emptied the line.
 *   WG2  No wait returns while the counter is zero and WAITED is set: whoever brought it to zero still needs the group.
 *        Clearing WAITED is its last touch; without WAITED, bringing the counter to zero is. A wait that returns may be
 *        followed by the end of the group.
 *   WG5  While the counter is zero after a wait that parked, and until the next one parks, the line's tail is the goroutine
 *        that was last in the line, and its count what that one's wg_returns was: they are equal until its wait has
 *        returned. So an add from zero sees a reuse that is too early, and nobody who was let go touches the group.
 * Order   WG3  add: word release  ->  wait that sees zero: word acquire (parked waiters: S2, S3).
 *         WG4  WAITED cleared, release  ->  wait that waited for that: word acquire.
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
    struct weft__g *last = wg->weft__line.head ? wg->weft__line.tail->g : NULL;
    struct weft__sync_waiter *all = weft__line_take_all(&wg->weft__line);
    if (last) {                                                        /* WG5 */
        wg->weft__line.tail = (struct weft__sync_waiter *)last;
        wg->weft__line.count = atomic_load_explicit(&last->wg_returns, memory_order_relaxed);
    }
    weft__line_unlock(&wg->weft__line);
    atomic_fetch_and_explicit(&wg->weft__state, ~(uint64_t)WAITED, memory_order_release); /* WG2, WG4 */
    weft__line_ready_all(all);                                       /* the group may be gone now */
}

/* WG5. The counter is zero and nobody waits: the line is the caller's to read. */
static void waitgroup_check_reuse(weft_waitgroup *wg)
{
    struct weft__g *last = (struct weft__g *)wg->weft__line.tail;

    if (last && atomic_load_explicit(&last->wg_returns, memory_order_relaxed) == wg->weft__line.count)
        weft_panic("sync: WaitGroup is reused before previous Wait has returned");
}

static inline void waitgroup_add(weft_waitgroup *wg, int n)
{
    if (n > 0 && atomic_load_explicit(&wg->weft__state, memory_order_acquire) == 0) /* WG4 */
        waitgroup_check_reuse(wg);
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

void weft_waitgroup_add(weft_waitgroup *wg, int n)
{
    waitgroup_add(wg, n);
}

void weft_waitgroup_done(weft_waitgroup *wg)
{
    waitgroup_add(wg, -1);
}

void weft__waitgroup_end(void *wg, long result)
{
    (void)result;
    waitgroup_add(wg, -1);
}

/* WG2: the counter was zero; let whoever brought it there leave the group. */
static void waitgroup_await_release(weft_waitgroup *wg, uint64_t s)
{
    for (uint32_t spins = 0; s & WAITED && waitgroup_count(s) == 0;) {
        weft__spin(&spins);
        s = atomic_load_explicit(&wg->weft__state, memory_order_acquire);       /* WG4 */
    }
}

void weft_waitgroup_wait(weft_waitgroup *wg)
{
    uint64_t s = atomic_load_explicit(&wg->weft__state, memory_order_acquire);  /* WG3 */
    if (waitgroup_count(s) == 0) {
        waitgroup_await_release(wg, s);
        return;
    }
    struct weft__sync_waiter w = {.g = weft__g()};

    weft__line_lock(&wg->weft__line);
    s = atomic_load_explicit(&wg->weft__state, memory_order_acquire);
    do {
        if (waitgroup_count(s) == 0) {
            weft__line_unlock(&wg->weft__line);
            waitgroup_await_release(wg, s);
            return;
        }
    } while (!atomic_compare_exchange_weak_explicit(&wg->weft__state, &s, s | WAITED, memory_order_acquire,
                                                    memory_order_acquire));    /* WG1, WG3 */
    if (!wg->weft__line.head)
        wg->weft__line.tail = NULL;                                             /* WG5 */
    weft__line_push(&wg->weft__line, &w);
    weft__line_unlock(&wg->weft__line);
    weft__park(WEFT__WAIT_WAITGROUP);
    atomic_store_explicit(&w.g->wg_returns, atomic_load_explicit(&w.g->wg_returns, memory_order_relaxed) + 1,
                          memory_order_relaxed); /* WG5 */
}
