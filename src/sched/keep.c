/*
 * keep.c - foreign calls: the goroutine keeps its thread, the processor goes on.
 *
 * Role    A C library that blocks inside has state in its thread: errno whose address the compiler kept, an error queue,
 *         a recursive mutex. So the thread blocks with it, and only the processor is handed on, at once instead of
 *         after the monitor's look. Afterwards the goroutine goes on without one until it parks or finds one idle,
 *         as after the monitor took it: a thousand returns at a time wait for nobody.
 * Near    start.c (weft__drop_p), worker.c (W4, tied parks), src/posix, docs/design/posix.md, ADR 0007. Layer 2.
 * Invariants
 *   KP1 pins > 0  =>  tied. A pinned goroutine may still have its p: it gives it up when it parks, not before, so that a
 *       pin costs two stores. weft__ready knows it by tied, which changes while it is in nobody's list only (W4).
 *   KP2 An unpin looks at blocky outside of the section, beside a monitor that sets it: tied and blocky may come to say
 *       either. Untied and blocky: without its p, as after any verdict, it is run tied from its next park on. Tied and
 *       blocky: it is so from now on. Only the goroutine itself takes back either.
 * Locks   none; weft__drop_p takes sched.lock.
 * Limits  Each goroutine in such a call has a thread: WEFT__THREADS_MAX. When no further thread can be had, the processor
 *         is idle until a thread comes back.
 */
#include "keep.h"

#include "sched_int.h"

bool weft__keep_holds(void)
{
    struct weft__m *m = weft__m();

    return m && m->g && atomic_load_explicit(&m->p, memory_order_relaxed) &&
           !atomic_load_explicit(&m->in, memory_order_relaxed) &&
           !atomic_load_explicit(&weft__sched.frozen, memory_order_relaxed);
}

void weft__keep_give(void)
{
    struct weft__m *m = weft__m();
    int saved = *m->errno_at;

    if (m->g && !atomic_load_explicit(&m->in, memory_order_relaxed))
        weft__drop_p(m);
    *m->errno_at = saved;
}

void weft__keep_pin(void)
{
    struct weft__m *m = weft__m();
    struct weft__g *g = m && !m->foreign ? m->g : NULL;

    if (g && g->pins++ == 0)
        g->tied = true; /* W4: running, in nobody's list */
}

void weft__keep_unpin(void)
{
    struct weft__m *m = weft__m();
    struct weft__g *g = m && !m->foreign ? m->g : NULL;

    if (g && g->pins > 0 && --g->pins == 0)
        g->tied = g->lock_thread_depth != 0 || weft__is_blocky(g);
}

void weft__keep_forked(void)
{
    struct weft__m *m = weft__m();

    if (m)
        atomic_store_explicit(&m->p, NULL, memory_order_relaxed);
}
