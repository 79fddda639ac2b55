/*
 * runq.c - where runnable goroutines wait: a ring per p, and one global list.
 *
 * Role    The ring is touched by the owner inside enter/leave or by a claimer, so it needs no atomic read-modify-write;
 *         head and tail are atomic only because thieves and the monitor look at the length from outside.
 * Near    worker.c (who takes), idle.c (who steals), sched_int.h (the claim). Layer 2.
 * Invariants
 *   Q1  tail - head <= slots; ring[head .. tail-1] are runnable goroutines, each in no other queue.
 *   Q2  gq_n is the length of the global list, under sched.lock.
 * Limits  The ring doubles from 256 slots while memory lasts; after that goroutines go to the global list.
 * Not so  Go's and Tokio's bounded rings with CAS: a locked instruction waits for the store buffer, 16 ns more a take
 *         between cold goroutines; the claim costs a thief 1-3 us and the owner no locked instruction. ADR 0001.
 */
#include "sched_int.h"

#include <string.h>

bool weft__runq_grow(struct weft__p *p)
{
    uint32_t slots = p->slots ? p->slots * 2 : WEFT__RUNQ_START;
    uint32_t head = atomic_load_explicit(&p->head, memory_order_relaxed), n = weft__runq_len(p);
    struct weft__g **ring = slots ? weft__sys_alloc((size_t)slots * sizeof *ring) : NULL;

    if (!ring)
        return false;
    weft__tsan_acquire(p); /* for malloc's interceptors: the owner's section orders them */
    for (uint32_t i = 0; i < n; i++)
        ring[i] = p->ring[(head + i) & (p->slots - 1)];
    weft__sys_free(p->ring);
    weft__tsan_release(p);
    p->ring = ring;
    p->slots = slots;
    atomic_store_explicit(&p->head, 0, memory_order_relaxed);
    atomic_store_explicit(&p->tail, n, memory_order_relaxed);
    return true;
}

void weft__global_put(struct weft__g *g)
{
    struct weft__sched *s = &weft__sched;

    g->next = NULL;
    weft__lock(&s->lock);
    if (s->gq_tail)
        s->gq_tail->next = g;
    else
        s->gq_head = g;
    s->gq_tail = g;
    atomic_store_explicit(&s->gq_n, atomic_load_explicit(&s->gq_n, memory_order_relaxed) + 1, memory_order_relaxed);
    weft__unlock(&s->lock);
}

void weft__p_put(struct weft__p *p, struct weft__g *g)
{
    if (!p || !weft__runq_push(p, g))
        weft__global_put(g);
}

static struct weft__g *runq_global_pop(struct weft__sched *s)
{
    struct weft__g *g = s->gq_head;

    if (!g)
        return NULL;
    s->gq_head = g->next;
    if (!s->gq_head)
        s->gq_tail = NULL;
    atomic_store_explicit(&s->gq_n, atomic_load_explicit(&s->gq_n, memory_order_relaxed) - 1, memory_order_relaxed);
    return g;
}

struct weft__g *weft__global_get(struct weft__p *p, uint32_t n)
{
    struct weft__sched *s = &weft__sched;
    struct weft__g *first, *rest = NULL, **at = &rest, *g;

    if (atomic_load_explicit(&s->gq_n, memory_order_relaxed) == 0)
        return NULL;
    weft__lock(&s->lock);
    first = runq_global_pop(s);
    for (uint32_t i = 1; i < n && (g = runq_global_pop(s)); i++) {
        *at = g;
        at = &g->next;
    }
    *at = NULL;
    weft__unlock(&s->lock);
    while ((g = rest)) {
        rest = g->next;
        weft__p_put(p, g);
    }
    return first;
}

/* Moves up to half of the victim's queue; the caller holds the claim on its m. */
static struct weft__g *runq_move_half(struct weft__p *from, struct weft__p *to)
{
    uint32_t n = weft__runq_len(from);
    struct weft__g *first = NULL, *g;

    n = n - n / 2;
    if (n > weft__policy.steal_max)
        n = weft__policy.steal_max;
    for (uint32_t i = 0; i < n && (g = weft__runq_pop(from)); i++) {
        if (!first)
            first = g;
        else
            weft__p_put(to, g);
    }
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
        if (v == p || !m || weft__runq_len(v) == 0 || !weft__claim(m))
            continue;
        struct weft__g *g = NULL;
        if (atomic_load_explicit(&m->p, memory_order_relaxed) == v)
            g = runq_move_half(v, p);
        weft__unclaim(m);
        if (g)
            return g;
    }
    return NULL;
}
