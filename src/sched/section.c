/*
 * section.c - what the layers above may know of the processor they run on.
 *
 * Role    A hint for those that wait actively. Near sched_int.h, sync/mutex.c. Layer 2.
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
