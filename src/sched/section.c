/*
 * section.c - what the layers above may know of the processor they run on.
 *
 * Role    A hint for those that wait actively; read sections, which let a reader walk a structure without a lock or an
 *         atomic read-modify-write while others take parts of it out. Near sched_int.h, sync/mutex.c, sync/map.c. Layer 2.
 * Invariants
 *   R3  m->reading is odd while a section is under way on m's thread; nobody else writes it.
 * Order
 *   R1 sb  reader: reading = odd  ->  loads of the structure  |  remover: out of reach, membarrier  ->  reading load. The
 *          barrier orders the reader's two steps for it: either the section is seen, or its loads find nothing removed.
 *   R2     reading = even release  ->  read_wait: reading acquire. The section's loads come before what is freed after.
 * Limits  A wait costs a membarrier (1 to 3 us, interrupts to the CPUs that run our threads) and a look at each thread.
 * Model   tests/model/read.pml.
 */
#include "section.h"

#include "sched_int.h"

bool weft__may_spin(void)
{
    struct weft__m *m = weft__m();
    struct weft__p *p = m ? atomic_load_explicit(&m->p, memory_order_relaxed) : NULL;
    uint32_t procs = (uint32_t)atomic_load_explicit(&weft__sched.procs, memory_order_relaxed);

    return p && atomic_load_explicit(&weft__sched.nidle, memory_order_relaxed) + 1 < procs && weft__runq_len(p) == 0 &&
           !atomic_load_explicit(&p->next, memory_order_relaxed);
}

void weft__look_lock(struct weft__lock *l)
{
    weft__lock(l);
}

void weft__look_unlock(struct weft__lock *l)
{
    weft__unlock(l);
}

struct weft__m *weft__read_begin(void)
{
    struct weft__m *m = weft__m();

    if (weft__unlikely(!m))
        return NULL;
    uint32_t r = atomic_load_explicit(&m->reading, memory_order_relaxed);
    WEFT_DASSERT((r & 1) == 0, "R3");
    atomic_store_explicit(&m->reading, r + 1, memory_order_relaxed); /* R1 sb: the remover's membarrier orders */
    atomic_signal_fence(memory_order_seq_cst);
    if (weft__unlikely(weft__sched.fenced))
        atomic_thread_fence(memory_order_seq_cst); /* R1 sb: no membarrier here */
    return m;
}

void weft__read_end(struct weft__m *m)
{
    weft__tsan_release(&m->reading);
    atomic_store_explicit(&m->reading, atomic_load_explicit(&m->reading, memory_order_relaxed) + 1,
                          memory_order_release); /* R2 */
}

void weft__read_wait(void)
{
    weft__sys_barrier_all(); /* R1 sb */
    for (struct weft__m *m = atomic_load_explicit(&weft__sched.all_m, memory_order_acquire); m; m = m->all_next) {
        uint32_t r = atomic_load_explicit(&m->reading, memory_order_acquire), spins = 0; /* R2 */
        while (r & 1 && atomic_load_explicit(&m->reading, memory_order_acquire) == r)    /* R2 */
            weft__spin(&spins);
        weft__tsan_acquire(&m->reading);
    }
}
