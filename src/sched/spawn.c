/*
 * spawn.c - goroutines that have not run yet: records of two cache lines that wait without a stack.
 *
 * Role    weft_go (g.c) queues a record where the arguments are integers and nothing special is asked; the worker whose
 *         turn it is binds it to the stack that is warmest then. A thousand short goroutines so run on one or two stacks,
 *         and a theft moves two lines a goroutine. Near runq.c, worker.c. Layer 2.
 * Invariants
 *   N1  a record with id != 0 is in exactly one run queue (entry with bit 0 set), or is just being bound by who took it out.
 *   N2  a record with id == 0 is on exactly one free list: a p's, or the shared one.
 *   N3  records are never given back: a dump may look at any of them (weft__spawn_each).
 * Locks   sched.gfree_lock guards the shared free list and the chunks' list.
 * Order   N4  spawn_chunks release  ->  acquire in weft__spawn_each. Carries a chunk's link.
 * Limits  A p keeps WEFT__SPAWN_KEEP free records, half of what is beyond goes to everybody.
 * Failure weft__spawn_alloc: NULL when memory is short; weft_go then makes the goroutine at once. No memory for the stack
 *         at binding: fatal error, as in weft_go.
 */
#include "sched_int.h"

enum { SPAWN_CHUNK = 2047 }; /* 256 KiB with the link */

struct spawn_chunk {
    struct spawn_chunk *next __attribute__((aligned(128)));
    struct weft__spawn s[SPAWN_CHUNK];
};
_Static_assert(sizeof(struct weft__spawn) == 128, "two cache lines");

static struct spawn_chunk *_Atomic spawn_chunks; /* [gfree_lock for writes; N4] */
static struct weft__spawn *spawn_shared;         /* [gfree_lock] */

/* Fresh records for the shared list; false when memory is short. The kernel's part is done before the lock is taken. */
static bool spawn_carve(void)
{
    struct spawn_chunk *c = weft__sys_reserve(sizeof *c, 4096);

    if (!c)
        return false;
    for (uint32_t i = 0; i + 1 < SPAWN_CHUNK; i++)
        c->s[i].free_next = &c->s[i + 1];
    weft__lock(&weft__sched.gfree_lock);
    c->s[SPAWN_CHUNK - 1].free_next = spawn_shared;
    spawn_shared = &c->s[0];
    c->next = atomic_load_explicit(&spawn_chunks, memory_order_relaxed);
    atomic_store_explicit(&spawn_chunks, c, memory_order_release); /* N4 */
    weft__unlock(&weft__sched.gfree_lock);
    return true;
}

/* Up to want of the shared list, linked, the last to *ret_last, their number to *ret_n; NULL: it is empty. */
static struct weft__spawn *spawn_take_shared(uint32_t want, struct weft__spawn **ret_last, uint32_t *ret_n)
{
    uint32_t n = 0;

    weft__lock(&weft__sched.gfree_lock);
    struct weft__spawn *first = spawn_shared;
    for (; spawn_shared && n < want; n++) {
        *ret_last = spawn_shared;
        spawn_shared = spawn_shared->free_next;
    }
    weft__unlock(&weft__sched.gfree_lock);
    *ret_n = n;
    return first;
}

/* One from the shared list, and for a p a batch of which the first is returned. NULL when memory is short. */
static __attribute__((noinline)) struct weft__spawn *spawn_from_shared(struct weft__p *p)
{
    struct weft__spawn *first, *last;
    uint32_t n, want = p ? WEFT__SPAWN_KEEP / 4 : 1;

    while (!(first = spawn_take_shared(want, &last, &n)))
        if (!spawn_carve())
            return NULL;
    if (n > 1) {
        last->free_next = p->spawn_free;
        p->spawn_free = first->free_next;
        p->spawn_free_n += n - 1;
    }
    return first;
}

struct weft__spawn *weft__spawn_alloc(struct weft__p *p)
{
    struct weft__spawn *s = p ? p->spawn_free : NULL;

    if (weft__unlikely(!s))
        return spawn_from_shared(p);
    p->spawn_free = s->free_next;
    p->spawn_free_n--;
    return s;
}

/* The coldest half of p's list to everybody. */
static __attribute__((noinline)) void spawn_share(struct weft__p *p)
{
    struct weft__spawn *last = p->spawn_free, *end;

    for (uint32_t i = 1; i < WEFT__SPAWN_KEEP / 2; i++)
        last = last->free_next;
    end = last;
    while (end->free_next)
        end = end->free_next;
    weft__lock(&weft__sched.gfree_lock);
    end->free_next = spawn_shared;
    spawn_shared = last->free_next;
    weft__unlock(&weft__sched.gfree_lock);
    last->free_next = NULL;
    p->spawn_free_n = WEFT__SPAWN_KEEP / 2;
}

struct weft__g *weft__spawn_bind(struct weft__p *p, struct weft__spawn *s)
{
    const struct weft__call call = {.fn = s->fn, .site = s->site, .at_end = s->at_end, .owner = s->owner};
    struct weft__g *g = weft__stack_for(p, &call);

    if (weft__unlikely(!g))
        weft__g_no_memory();
    g->parent_id = s->parent_id;
    weft__g_init(g, &call, s->args, NULL);
    atomic_store_explicit(&g->id, atomic_load_explicit(&s->id, memory_order_relaxed), memory_order_relaxed);
    weft__hook_spawn(g);
    atomic_store_explicit(&s->id, 0, memory_order_relaxed); /* N2 */
    s->free_next = p->spawn_free;
    p->spawn_free = s;
    if (weft__unlikely(++p->spawn_free_n > WEFT__SPAWN_KEEP))
        spawn_share(p);
    return g;
}

void weft__spawn_each(void (*fn)(const struct weft__unborn *u, void *arg), void *arg)
{
    struct spawn_chunk *c = atomic_load_explicit(&spawn_chunks, memory_order_acquire); /* N4 */

    for (; c; c = c->next)
        for (uint32_t i = 0; i < SPAWN_CHUNK; i++) {
            struct weft__unborn u = {.id = atomic_load_explicit(&c->s[i].id, memory_order_relaxed),
                                     .parent_id = c->s[i].parent_id, .site = c->s[i].site,
                                     .record = &c->s[i], .record_bytes = sizeof c->s[i]};
            if (u.id != 0)
                fn(&u, arg);
        }
}
