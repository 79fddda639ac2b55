/*
 * rwmutex.c - many readers or one writer.
 *
 * Role    A count of readers that a writer makes negative; two lines. Readers pay one atomic add each way.
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
 * Order   RW4  runlock: readers or leaving release  ->  lock: readers or leaving acquire; and
 *         RW5  unlock: readers release  ->  rlock: readers acquire. Parked ones: S2, S3.
 * Source  Go sync/rwmutex.go.
 */
#include "waitline.h"

enum { WRITER = 1 << 30 };

extern inline void weft_rwmutex_rlock(weft_rwmutex *rw);
extern inline void weft_rwmutex_runlock(weft_rwmutex *rw);

void weft__rwmutex_rlock_slow(weft_rwmutex *rw)
{
    weft__line_acquire(&rw->weft__reader, WEFT__WAIT_RWMUTEX_R, false);                        /* RW3 */
}

bool weft_rwmutex_try_rlock(weft_rwmutex *rw)
{
    int32_t r = atomic_load_explicit(&rw->weft__readers, memory_order_relaxed);
    while (r >= 0)
        if (atomic_compare_exchange_weak_explicit(&rw->weft__readers, &r, r + 1, memory_order_acquire, /* RW5 */
                                                  memory_order_relaxed))
            return true;
    return false;
}

void weft__rwmutex_runlock_slow(weft_rwmutex *rw, int32_t left)
{
    if (left + 1 == 0 || left + 1 == -WRITER)
        weft__fatal("sync: runlock of unlocked RWMutex");
    if (atomic_fetch_sub_explicit(&rw->weft__leaving, 1, memory_order_acq_rel) - 1 == 0)       /* RW2, RW4 */
        weft__line_release(&rw->weft__writer);
}

void weft_rwmutex_lock(weft_rwmutex *rw)
{
    uint32_t spins = 0;

    weft_mutex_lock(&rw->weft__w);
    while (atomic_load_explicit(&rw->weft__readers, memory_order_relaxed) < 0)                 /* RW6 */
        weft__spin(&spins);
    int32_t inside = atomic_fetch_sub_explicit(&rw->weft__readers, WRITER, memory_order_acq_rel); /* RW1, RW4 */
    if (inside != 0 &&
        atomic_fetch_add_explicit(&rw->weft__leaving, inside, memory_order_acq_rel) + inside != 0) /* RW2 */
        weft__line_acquire(&rw->weft__writer, WEFT__WAIT_RWMUTEX_W, false);
}

bool weft_rwmutex_try_lock(weft_rwmutex *rw)
{
    int32_t none = 0;
    if (!weft_mutex_try_lock(&rw->weft__w))
        return false;
    if (atomic_compare_exchange_strong_explicit(&rw->weft__readers, &none, -WRITER, memory_order_acq_rel, /* RW4 */
                                                memory_order_relaxed))
        return true;
    weft_mutex_unlock(&rw->weft__w);
    return false;
}

void weft_rwmutex_unlock(weft_rwmutex *rw)
{
    if (atomic_load_explicit(&rw->weft__readers, memory_order_relaxed) >= 0)
        weft__fatal("sync: unlock of unlocked RWMutex");
    weft_mutex_unlock(&rw->weft__w);                                                           /* RW6 */
    int32_t waiting = atomic_fetch_add_explicit(&rw->weft__readers, WRITER, memory_order_acq_rel) + WRITER; /* RW5 */
    while (waiting-- > 0)
        weft__line_release(&rw->weft__reader);                                                 /* RW3 */
}
