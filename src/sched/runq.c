/*
 * runq.c - where runnable goroutines wait: a ring per p, and one global list.
 *
 * Role    The ring is touched by the owner inside enter/leave or by a claimer, so it needs no atomic read-modify-write;
 *         head and tail are atomic only because thieves and the monitor look at the length from outside.
 * Near    worker.c (who takes), idle.c (who steals), rob.c (whom), sched_int.h (the claim). Layer 2.
 * Invariants
 *   Q1  tail - head <= slots; ring[head .. tail-1] are runnable: goroutines, takers of parked ones, or spawn records
 *       (spawn.c) whose goroutine has not run yet; each in no other queue.
 *   Q2  gq_n is the length of the global list, under sched.lock.
 *   Q3  a taker that is queued is in nobody's list of waiters: its goroutine stays parked until weft__runq_pop, worker_pick or
 *       weft__global_get puts the bytes and readies it (weft__deliver_or_put, taker.c), once. They wait in the ring's second half, at
 *       the same place; for the next slot in next_bytes; in the global queue, where they belong, so that spilling waits for
 *       nobody. A claimer delivers nothing.
 * Limits  The ring doubles from 256 slots while memory lasts; after that goroutines go to the global list.
 * Not so  Go's and Tokio's bounded rings with CAS: a locked instruction waits for the store buffer, 16 ns more a take
 *         between cold goroutines; the claim costs a thief 1-3 us and the owner no locked instruction. ADR 0001.
 */
#include "sched_int.h"

#include <string.h>

enum {
    DUE_SAVED_MAX = 8192,
    FETCH_BATCH = 8,              /* takers are fetched into the cache so many at once, a batch ahead, */
    FETCH_SOON = 3                /* and what they point to so many places ahead */
};

bool weft__runq_grow(struct weft__p *p)
{
    uint32_t slots = p->slots ? p->slots * 2 : WEFT__RUNQ_START;
    uint32_t head = atomic_load_explicit(&p->head, memory_order_relaxed), n = weft__runq_len(p);
    weft__runnable *ring = slots ? weft__sys_alloc(2 * (size_t)slots * sizeof *ring) : NULL;

    if (!ring)
        return false;
    weft__tsan_acquire(p); /* for malloc's interceptors: the owner's section orders them */
    for (uint32_t i = 0; i < n; i++) {
        uint32_t from = (head + i) & (p->slots - 1);
        ring[i] = p->ring[from];
        if (ring[i] & WEFT__IS_TAKER)
            ring[slots + i] = p->ring[p->slots + from];
    }
    weft__sys_free(p->ring);
    weft__tsan_release(p);
    p->ring = ring;
    p->slots = slots;
    p->due_head -= head;
    atomic_store_explicit(&p->head, 0, memory_order_relaxed);
    atomic_store_explicit(&p->tail, n, memory_order_relaxed);
    return true;
}

/*
 * A cold goroutine is a miss of the TLB and some of the caches: start them early. A prefetch waits for its page to be found,
 * and two that are a goroutine's run apart do not wait at the same time: so the first touches of several go together, and
 * what they point to, which mostly is in the same pages, follows one by one.
 */
static inline void runq_fetch(const struct weft__p *p, uint32_t i, uint32_t n)
{
    uint32_t mask = p->slots - 1;

    if (i % FETCH_BATCH == 0)
        for (uint32_t k = FETCH_BATCH; k < 2 * FETCH_BATCH && k < n; k++)
            __builtin_prefetch((const char *)(p->ring[(i + k) & mask] & ~(weft__runnable)WEFT__RUNNABLE_BITS));
    if (n <= FETCH_SOON)
        return;
    weft__runnable soon = p->ring[(i + FETCH_SOON) & mask];
    if (soon & WEFT__IS_SPAWN) {
        __builtin_prefetch((const char *)(soon - WEFT__IS_SPAWN) + 64);
    } else if (soon & WEFT__IS_TAKER) { /* itself near the top of the stack */
        const struct weft__taker *t = weft__taker_of(soon);
        __builtin_prefetch((const char *)t - 64);
        __builtin_prefetch((const char *)t - 128);
        __builtin_prefetch(t->g);
        __builtin_prefetch(t->near);
    } else {
        const char *sp = ((struct weft__g *)soon)->sw.sp;
        __builtin_prefetch(sp);
        __builtin_prefetch(sp + 64);
        __builtin_prefetch(sp + 128);
    }
}

weft__runnable weft__runq_pop_any(struct weft__p *p)
{
    uint32_t h = atomic_load_explicit(&p->head, memory_order_relaxed), at = h & (p->slots - 1);
    weft__runnable r = p->ring[at];

    runq_fetch(p, h, weft__runq_len(p));
    atomic_store_explicit(&p->head, h + 1, memory_order_relaxed);
    if (!(r & WEFT__IS_TAKER))
        return r;
    struct weft__g *g = weft__deliver_or_put(p, weft__taker_of(r), p->ring[p->slots + at]);
    if (weft__unlikely(!g))
        p->due_head++; /* it has not left the queue (weft__runq_due_first) */
    return (weft__runnable)g;
}

void weft__global_put(weft__runnable r)
{
    struct weft__sched *s = &weft__sched;

    *weft__runnable_next(r) = 0;
    weft__lock(&s->lock);
    if (s->gq_tail)
        *weft__runnable_next(s->gq_tail) = r;
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

void weft__p_put_taker(struct weft__p *p, struct weft__taker *t, uint64_t v)
{
    if (weft__runq_full(p) && !weft__runq_grow(p)) {
        memcpy(t->p, &v, sizeof v); /* Q3 */
        weft__global_put((weft__runnable)t | WEFT__IS_TAKER);
        return;
    }
    weft__runq_add_taker(p, t, v);
}

bool weft__p_put_next(struct weft__p *p, struct weft__g *g)
{
    weft__runnable old = atomic_load_explicit(&p->next, memory_order_relaxed);

    atomic_store_explicit(&p->next, (weft__runnable)g, memory_order_relaxed);
    if (old & WEFT__IS_TAKER)
        weft__p_put_taker(p, weft__taker_of(old), p->next_bytes);
    else if (old)
        weft__p_put(p, old);
    return old != 0;
}

void weft__runq_spill(struct weft__p *p, uint32_t most)
{
    weft__runnable next = atomic_load_explicit(&p->next, memory_order_relaxed);

    atomic_store_explicit(&p->next, 0, memory_order_relaxed);
    if (next & WEFT__IS_TAKER)
        memcpy(weft__taker_of(next)->p, &p->next_bytes, 8); /* Q3 */
    if (next)
        weft__global_put(next);
    uint32_t head = atomic_load_explicit(&p->head, memory_order_relaxed), len = weft__runq_len(p);
    for (uint32_t n = len < most ? len : most; n > 0; n--, head++) {
        uint32_t i = head & (p->slots - 1);
        if (p->ring[i] & WEFT__IS_TAKER)
            memcpy(weft__taker_of(p->ring[i])->p, &p->ring[p->slots + i], 8); /* Q3 */
        weft__global_put(p->ring[i]);
    }
    atomic_store_explicit(&p->head, head, memory_order_relaxed);
}

/* One place of the ring into another, with a taker's bytes (Q3). */
static void runq_copy(struct weft__p *p, uint32_t to, uint32_t from)
{
    uint32_t mask = p->slots - 1;

    p->ring[to & mask] = p->ring[from & mask];
    if (p->ring[to & mask] & WEFT__IS_TAKER)
        p->ring[p->slots + (to & mask)] = p->ring[p->slots + (from & mask)];
}

uint32_t weft__ready_before(void)
{
    struct weft__m *m = weft__m();
    struct weft__p *p = m ? atomic_load_explicit(&m->p, memory_order_relaxed) : NULL;

    bool any = p && (atomic_load_explicit(&p->next, memory_order_relaxed) || weft__runq_len(p) != 0);
    return any ? (uint32_t)p->id + 1 : 0;
}

/* The n behind the `before` first to the front, in their order; there is room for n more, and before > 0: so whoever looks at head
 * and tail from outside, an old one and a new one perhaps, does not find them equal (I1; tests/model/due.pml). */
static void runq_jump(struct weft__p *p, uint32_t before, uint32_t n)
{
    uint32_t head = atomic_load_explicit(&p->head, memory_order_relaxed);
    uint32_t at = head + before, tail = atomic_load_explicit(&p->tail, memory_order_relaxed);

    for (uint32_t i = n; i > 0; i--)
        runq_copy(p, head - n + i - 1, at + i - 1);
    atomic_store_explicit(&p->head, head - n, memory_order_relaxed);
    for (; at + n != tail; at++)
        runq_copy(p, at, at + n);
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
    s->gq_head = *weft__runnable_next(r);
    if (!s->gq_head)
        s->gq_tail = 0;
    atomic_store_explicit(&s->gq_n, atomic_load_explicit(&s->gq_n, memory_order_relaxed) - 1, memory_order_relaxed);
    return r;
}

/* What came out of the global queue, into p's. */
static void runq_put(struct weft__p *p, weft__runnable r)
{
    uint64_t v;

    if (weft__likely((r & WEFT__IS_TAKER) == 0)) {
        weft__p_put(p, r);
        return;
    }
    memcpy(&v, weft__taker_of(r)->p, sizeof v); /* Q3 */
    weft__p_put_taker(p, weft__taker_of(r), v);
}

/* The same, but it is to run now. NULL: it is a taker whose time has not come, and p's. */
static struct weft__g *runq_begin(struct weft__p *p, weft__runnable r)
{
    uint64_t v;

    if (weft__likely((r & WEFT__IS_TAKER) == 0))
        return weft__runnable_g(p, r);
    memcpy(&v, weft__taker_of(r)->p, sizeof v); /* Q3 */
    return weft__deliver_or_put(p, weft__taker_of(r), v);
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
        at = weft__runnable_next(r);
    }
    *at = 0;
    weft__unlock(&s->lock);
    while ((r = rest)) {
        rest = *weft__runnable_next(r);
        runq_put(p, r);
    }
    return runq_begin(p, first);
}

/* Moves up to half of the victim's queue, and says whether it moved any; the caller holds the claim on its m, who may be
 * waiting for its end: so nothing of the goroutines themselves is touched, nor prefetched as weft__runq_pop does. */
static bool runq_move_half(struct weft__p *from, struct weft__p *to)
{
    uint32_t n = weft__runq_len(from);
    uint32_t head = atomic_load_explicit(&from->head, memory_order_relaxed);

    n = n - n / 2;
    if (n > weft__policy.steal_max)
        n = weft__policy.steal_max;
    uint32_t i = 0;
    for (; i < n && (!weft__runq_full(to) || weft__runq_grow(to)); i++) {
        uint32_t at = (head + i) & (from->slots - 1);
        weft__runnable r = from->ring[at];
        if (r & WEFT__IS_TAKER)
            weft__runq_add_taker(to, weft__taker_of(r), from->ring[from->slots + at]);
        else
            weft__runq_add(to, r);
    }
    atomic_store_explicit(&from->head, head + i, memory_order_relaxed);
    return i != 0;
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
        bool any = atomic_load_explicit(&m->p, memory_order_relaxed) == v && runq_move_half(v, p);
        weft__unclaim(m);
        atomic_store_explicit(&v->robbed_at, weft__now(), memory_order_relaxed);
        if (any)
            return weft__runnable_g(p, weft__runq_pop(p));
    }
    return NULL;
}
