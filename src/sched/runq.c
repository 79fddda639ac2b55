/*
 * runq.c - where runnable goroutines wait: a ring per p, and one global list.
 *
 * Role    The ring is touched by the owner inside enter/leave or by a claimer, so it needs no atomic read-modify-write;
 *         head and tail are atomic only because thieves and the monitor look at the length from outside.
 * Near    worker.c (who takes), idle.c (who steals), rob.c (whom), sched_int.h (the claim). Layer 2.
 * Invariants
 *   Q1  tail - head <= slots; ring[head .. tail-1] are runnable: goroutines, or spawn records (spawn.c) whose goroutine
 *       has not run yet; each in no other queue.
 *   Q2  gq_n is the length of the global list, under sched.lock.
 * Limits  The ring doubles from 256 slots while memory lasts; after that goroutines go to the global list.
 * Not so  Go's and Tokio's bounded rings with CAS: a locked instruction waits for the store buffer, 16 ns more a take
 *         between cold goroutines; the claim costs a thief 1-3 us and the owner no locked instruction. ADR 0001.
 */
#include "sched_int.h"

#include <string.h>

enum { DUE_SAVED_MAX = 8192 };

bool weft__runq_grow(struct weft__p *p)
{
    uint32_t slots = p->slots ? p->slots * 2 : WEFT__RUNQ_START;
    uint32_t head = atomic_load_explicit(&p->head, memory_order_relaxed), n = weft__runq_len(p);
    weft__runnable *ring = slots ? weft__sys_alloc((size_t)slots * sizeof *ring) : NULL;

    if (!ring)
        return false;
    weft__tsan_acquire(p); /* for malloc's interceptors: the owner's section orders them */
    for (uint32_t i = 0; i < n; i++)
        ring[i] = p->ring[(head + i) & (p->slots - 1)];
    weft__sys_free(p->ring);
    weft__tsan_release(p);
    p->ring = ring;
    p->slots = slots;
    p->due_head -= head;
    atomic_store_explicit(&p->head, 0, memory_order_relaxed);
    atomic_store_explicit(&p->tail, n, memory_order_relaxed);
    return true;
}

static weft__runnable *runq_next(weft__runnable r)
{
    return r & 1 ? &((struct weft__spawn *)(r - 1))->next : (weft__runnable *)&((struct weft__g *)r)->next;
}

void weft__global_put(weft__runnable r)
{
    struct weft__sched *s = &weft__sched;

    *runq_next(r) = 0;
    weft__lock(&s->lock);
    if (s->gq_tail)
        *runq_next(s->gq_tail) = r;
    else
        s->gq_head = r;
    s->gq_tail = r;
    atomic_store_explicit(&s->gq_n, atomic_load_explicit(&s->gq_n, memory_order_relaxed) + 1, memory_order_relaxed);
    weft__unlock(&s->lock);
}

void weft__p_put(struct weft__p *p, weft__runnable r)
{
    if (!p || !weft__runq_push(p, r))
        weft__global_put(r);
}

void weft__runq_spill(struct weft__p *p)
{
    struct weft__g *g = atomic_load_explicit(&p->next, memory_order_relaxed);

    atomic_store_explicit(&p->next, NULL, memory_order_relaxed);
    if (g)
        weft__global_put((weft__runnable)g);
    for (uint32_t n = weft__runq_len(p); n > 0; n--)
        weft__global_put(weft__runq_pop(p));
}

bool weft__nobody_ready(void)
{
    struct weft__m *m = weft__m();
    struct weft__p *p = m ? atomic_load_explicit(&m->p, memory_order_relaxed) : NULL;

    return !p || (!atomic_load_explicit(&p->next, memory_order_relaxed) && weft__runq_len(p) == 0);
}

/* The n behind the `before` first to the front, in their order; there is room for n more, and before > 0: so whoever looks at head
 * and tail from outside, an old one and a new one perhaps, does not find them equal (I1; tests/model/due.pml). */
static void runq_jump(struct weft__p *p, uint32_t before, uint32_t n)
{
    uint32_t head = atomic_load_explicit(&p->head, memory_order_relaxed), mask = p->slots - 1;
    uint32_t at = head + before, tail = atomic_load_explicit(&p->tail, memory_order_relaxed);

    for (uint32_t i = n; i > 0; i--)
        p->ring[(head - n + i - 1) & mask] = p->ring[(at + i - 1) & mask];
    atomic_store_explicit(&p->head, head - n, memory_order_relaxed);
    for (; at + n != tail; at++)
        p->ring[at & mask] = p->ring[(at + n) & mask];
    atomic_store_explicit(&p->tail, tail - n, memory_order_relaxed);
}

void weft__runq_due_first(struct weft__p *p, uint32_t before)
{
    uint32_t len = weft__runq_len(p), n = len - before, room = p->slots - len;
    uint32_t saved = p->due_saved + (atomic_load_explicit(&p->head, memory_order_relaxed) - p->due_head);

    if (saved > DUE_SAVED_MAX)
        saved = DUE_SAVED_MAX;
    if (n > saved / 2)
        n = saved / 2;
    if (n > room || before == 0)
        n = 0;
    if (n > 0)
        runq_jump(p, before, n);
    p->due_head = atomic_load_explicit(&p->head, memory_order_relaxed);
    p->due_saved = saved - 2 * n;
}

static weft__runnable runq_global_pop(struct weft__sched *s)
{
    weft__runnable r = s->gq_head;

    if (!r)
        return 0;
    s->gq_head = *runq_next(r);
    if (!s->gq_head)
        s->gq_tail = 0;
    atomic_store_explicit(&s->gq_n, atomic_load_explicit(&s->gq_n, memory_order_relaxed) - 1, memory_order_relaxed);
    return r;
}

struct weft__g *weft__global_get(struct weft__p *p, uint32_t n)
{
    struct weft__sched *s = &weft__sched;
    weft__runnable first, rest = 0, *at = &rest, r;

    if (atomic_load_explicit(&s->gq_n, memory_order_relaxed) == 0)
        return NULL;
    weft__lock(&s->lock);
    first = runq_global_pop(s);
    for (uint32_t i = 1; i < n && (r = runq_global_pop(s)); i++) {
        *at = r;
        at = runq_next(r);
    }
    *at = 0;
    weft__unlock(&s->lock);
    while ((r = rest)) {
        rest = *runq_next(r);
        weft__p_put(p, r);
    }
    return weft__runnable_g(p, first);
}

/* Moves up to half of the victim's queue; the caller holds the claim on its m, who may be waiting for its end: so nothing of
 * the goroutines themselves is touched, nor prefetched as weft__runq_pop does. */
static weft__runnable runq_move_half(struct weft__p *from, struct weft__p *to)
{
    uint32_t n = weft__runq_len(from);
    uint32_t head = atomic_load_explicit(&from->head, memory_order_relaxed);

    n = n - n / 2;
    if (n > weft__policy.steal_max)
        n = weft__policy.steal_max;
    if (n == 0)
        return 0;
    weft__runnable first = from->ring[head & (from->slots - 1)];
    for (uint32_t i = 1; i < n; i++)
        weft__p_put(to, from->ring[(head + i) & (from->slots - 1)]);
    atomic_store_explicit(&from->head, head + n, memory_order_relaxed);
    return first;
}

struct weft__g *weft__steal(struct weft__m *me, struct weft__p *p)
{
    struct weft__sched *s = &weft__sched;
    int n = atomic_load_explicit(&s->ps_n, memory_order_acquire);
    int start = (int)((weft__m_rand(me) >> 33) % (uint32_t)n);

    for (int i = 0; i < n; i++) {
        struct weft__p *v = atomic_load_explicit(&s->ps[(start + i) % n], memory_order_acquire);
        struct weft__m *m = v ? atomic_load_explicit(&v->m, memory_order_acquire) : NULL;
        uint32_t waiting = v ? weft__runq_len(v) : 0;
        if (v == p || !m || waiting == 0 || atomic_load_explicit(&v->alone, memory_order_relaxed) != 0 || /* I8 */
            !weft__rob_pays(v, waiting) || !weft__claim(m))
            continue;
        weft__runnable r = 0;
        if (atomic_load_explicit(&m->p, memory_order_relaxed) == v)
            r = runq_move_half(v, p);
        weft__unclaim(m);
        atomic_store_explicit(&v->robbed_at, weft__now(), memory_order_relaxed);
        if (r)
            return weft__runnable_g(p, r);
    }
    return NULL;
}
