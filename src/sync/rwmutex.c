/*
 * rwmutex.c - many readers or one writer.
 *
 * Role    A count of readers that a writer makes negative; two lines. Readers pay one atomic add each way, a writer that
 *         is alone one compare-and-swap.
 * Near    waitline.c, mutex.c. Layer 3.
 *
 * Invariants:
 *   RW1  readers = readers inside or waiting, minus WRITER while a writer is inside or waiting. One writer at a time:
 *        it holds w.
 *   RW2  leaving counts the readers inside that came before the waiting writer. Each takes one off as it leaves; who
 *        takes the last one wakes the writer. The writer adds their number; the two may meet in either order.
 *   RW3  A reader that finds readers negative waits for one permit of the line `reader`; the writer's unlock gives one
 *        for each of them.
 *   RW6  Once unlock has let a reader in, it touches the rwmutex only for readers that still wait: who comes and goes
 *        may free it. So w is unlocked first, and the next writer, which then has w, waits the few instructions until
 *        readers is not negative any more.
 *   RW7  both is w's word and readers, in one. A writer that finds all of it zero does lock's two changes at once, and one
 *        that finds "w locked, nobody in its line; no reader" does unlock's two at once: no state is new.
 * Order   RW4  runlock: readers or leaving release  ->  lock: readers or leaving acquire; and
 *         RW5  unlock: readers release  ->  rlock: readers acquire. Parked ones: S2, S3.
 * Source  Go sync/rwmutex.go.
 */
#include "mutex.h"

enum { WRITER = 1 << 30 };
/* RW7: w LOCKED, readers -WRITER. ThreadSanitizer knows no atomics of two sizes at one place: it sees the two changes. */
#define ALONE ((uint64_t)(uint32_t)-WRITER << 32 | 1)
enum { AT_ONCE = !WEFT__TSAN };
_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "RW7");
_Static_assert(offsetof(weft_rwmutex, weft__w.weft__state) == 0 && offsetof(weft_rwmutex, weft__w.weft__readers) == 4, "RW7");

extern inline void weft_rwmutex_rlock(weft_rwmutex *rw);
extern inline void weft_rwmutex_runlock(weft_rwmutex *rw);

void weft__rwmutex_rlock_slow(weft_rwmutex *rw)
{
    weft__line_acquire(&rw->weft__reader, WEFT__WAIT_RWMUTEX_R, false);                        /* RW3 */
}

bool weft_rwmutex_try_rlock(weft_rwmutex *rw)
{
    int32_t r = atomic_load_explicit(&rw->weft__w.weft__readers, memory_order_relaxed);
    while (r >= 0)
        if (atomic_compare_exchange_weak_explicit(&rw->weft__w.weft__readers, &r, r + 1, memory_order_acquire, /* RW5 */
                                                  memory_order_relaxed))
            return true;
    return false;
}

void weft__rwmutex_runlock_slow(weft_rwmutex *rw)
{
    /* With a writer there, which waits for this very reader, it is -WRITER at least and far below zero. */
    int32_t left = atomic_load_explicit(&rw->weft__w.weft__readers, memory_order_relaxed);
    if (left < -WRITER || left >= -WRITER / 2)
        weft__fatal("sync: runlock of unlocked RWMutex");
    if (atomic_fetch_sub_explicit(&rw->weft__leaving, 1, memory_order_acq_rel) - 1 == 0)       /* RW2, RW4 */
        weft__line_release(&rw->weft__writer);
}

/* RW7: both from one value to another, if it has the first. Looked at by halves, as they were written: a load that is
 * wider than the store before it waits for that to reach the cache. */
static bool rwmutex_both(weft_rwmutex *rw, uint64_t from, uint64_t to, memory_order order)
{
    return AT_ONCE && atomic_load_explicit(&rw->weft__w.weft__state, memory_order_relaxed) == (uint32_t)from &&
           atomic_load_explicit(&rw->weft__w.weft__readers, memory_order_relaxed) == (int32_t)(from >> 32) &&
           atomic_compare_exchange_strong_explicit(&rw->weft__both, &from, to, order, memory_order_relaxed);
}

/* This and the other end are functions of their own, so that the common case saves no registers. The names keep them out of
 * dumps: these begin at the caller's frame. */
static WEFT_PARKS __attribute__((noinline)) void weft__rwmutex_lock_slowly(weft_rwmutex *rw)
{
    uint32_t spins = 0;

    weft__mutex_lock_locked(&rw->weft__w);
    while (atomic_load_explicit(&rw->weft__w.weft__readers, memory_order_relaxed) < 0)         /* RW6 */
        weft__spin(&spins);
    int32_t inside = atomic_fetch_sub_explicit(&rw->weft__w.weft__readers, WRITER, memory_order_acq_rel); /* RW1, RW4 */
    if (inside != 0 &&
        atomic_fetch_add_explicit(&rw->weft__leaving, inside, memory_order_acq_rel) + inside != 0) /* RW2 */
        weft__line_acquire(&rw->weft__writer, WEFT__WAIT_RWMUTEX_W, false);
}

void weft_rwmutex_lock(weft_rwmutex *rw)
{
    if (weft__unlikely(!rwmutex_both(rw, 0, ALONE, memory_order_acquire)))                     /* RW7, RW4, MX5 */
        weft__rwmutex_lock_slowly(rw);
}

bool weft_rwmutex_try_lock(weft_rwmutex *rw)
{
    int32_t none = 0;
    if (rwmutex_both(rw, 0, ALONE, memory_order_acquire))                                      /* RW7, RW4, MX5 */
        return true;
    if (!weft_mutex_try_lock(&rw->weft__w))
        return false;
    if (atomic_compare_exchange_strong_explicit(&rw->weft__w.weft__readers, &none, -WRITER, memory_order_acq_rel, /* RW4 */
                                                memory_order_relaxed))
        return true;
    weft__mutex_unlock_locked(&rw->weft__w);
    return false;
}

static __attribute__((noinline)) void weft__rwmutex_unlock_slowly(weft_rwmutex *rw)
{
    if (atomic_load_explicit(&rw->weft__w.weft__readers, memory_order_relaxed) >= 0)
        weft__fatal("sync: unlock of unlocked RWMutex");
    weft__mutex_unlock_locked(&rw->weft__w);                                                   /* RW6 */
    int32_t waiting = atomic_fetch_add_explicit(&rw->weft__w.weft__readers, WRITER, memory_order_acq_rel) + WRITER; /* RW5 */
    while (waiting-- > 0)
        weft__line_release(&rw->weft__reader);                                                 /* RW3 */
}

void weft_rwmutex_unlock(weft_rwmutex *rw)
{
    if (weft__unlikely(!rwmutex_both(rw, ALONE, 0, memory_order_release)))                     /* RW7, RW5, MX5 */
        weft__rwmutex_unlock_slowly(rw);
}
