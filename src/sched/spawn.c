/*
 * spawn.c - goroutines that have not run yet: records of two cache lines that wait without a stack.
 *
 * Role    weft_go (g.c) queues a record where the arguments are integers and nothing special is asked; the worker whose
 *         turn it is binds it to the stack that is warmest then; a goroutine that ends hands that over itself (weft__g_end).
 *         A thousand short goroutines so run on one or two stacks,
 *         and a theft moves two lines a goroutine. Near runq.c, worker.c. Layer 2.
 * Invariants
 *   N1  a record with id != 0 is in exactly one run queue (entry with bit 0 set), or is just being bound by who took it out.
 *   N2  a record with id == 0 is on exactly one free list, a p's or its chunk's, or was never handed out since its chunk was
 *       blank (s[cut] and on).
 *   N3  chunks are never unmapped: a dump may look at any record (weft__spawn_each). Where the memory was given back it
 *       sees zeros, that is a free one.
 *   N5  a chunk whose memory is being given back has all its records free and is not on spawn_avail: nobody takes one.
 * Locks   sched.gfree_lock guards the chunks' free lists and both lists of chunks. No page is touched first under it.
 * Order   N4  spawn_chunks release  ->  acquire in weft__spawn_each. Carries a chunk's link.
 * Limits  A p keeps WEFT__SPAWN_KEEP free records, half of what is beyond goes back to the chunks.
 * Failure weft__spawn_alloc: NULL when memory is short; weft_go then makes the goroutine at once. No memory for the stack
 *         at binding: fatal error, as in weft_go.
 */
#include "sched_int.h"

#include "../sys/pages.h"

enum {
    SPAWN_TRIM = 64, /* chunks given back in one step */
    SPAWN_CHUNK_BYTES = 256 * 1024,
    SPAWN_CHUNK = SPAWN_CHUNK_BYTES / sizeof(struct weft__spawn) - 1
};

struct spawn_chunk {
    struct spawn_chunk *next __attribute__((aligned(128))); /* [N4] */
    struct spawn_chunk *next_avail;   /* [gfree_lock] */
    struct weft__spawn *free;         /* [gfree_lock] */
    uint32_t free_n;                  /* [gfree_lock] */
    uint32_t cut;                     /* [gfree_lock] records handed out at least once, since it was blank */
    bool avail;                       /* [gfree_lock] on spawn_avail */
    bool unused;                      /* [gfree_lock] all were free at the last weft__spawn_trim, and none was taken since */
    struct weft__spawn s[SPAWN_CHUNK];
};
_Static_assert(sizeof(struct weft__spawn) == 128, "two cache lines");
_Static_assert(sizeof(struct spawn_chunk) == SPAWN_CHUNK_BYTES, "spawn_chunk_of");

static struct spawn_chunk *_Atomic spawn_chunks; /* [gfree_lock for writes; N4] all */
static struct spawn_chunk *spawn_avail;          /* [gfree_lock] those that have a free record, and some that have none */

static struct spawn_chunk *spawn_chunk_of(struct weft__spawn *s)
{
    return (struct spawn_chunk *)((uintptr_t)s & ~(uintptr_t)(SPAWN_CHUNK_BYTES - 1));
}

static void spawn_make_avail(struct spawn_chunk *c)
{
    if (c->avail)
        return;
    c->avail = true;
    c->next_avail = spawn_avail;
    spawn_avail = c;
}

/* One more chunk; false when memory is short. */
static bool spawn_carve(void)
{
    struct spawn_chunk *c = weft__sys_reserve(sizeof *c, sizeof *c);

    if (!c)
        return false;
    c->cut = 0; /* its page, before the lock */
    weft__lock(&weft__sched.gfree_lock);
    c->next = atomic_load_explicit(&spawn_chunks, memory_order_relaxed);
    atomic_store_explicit(&spawn_chunks, c, memory_order_release); /* N4 */
    spawn_make_avail(c);
    weft__unlock(&weft__sched.gfree_lock);
    return true;
}

/* What spawn_take_shared got: a linked list, and a row of records that are not linked yet. */
struct spawn_loot {
    struct weft__spawn *first, *last;
    struct weft__spawn *row;
    uint32_t n, row_n;
};

/* Up to want records; none: no chunk has one. */
static struct spawn_loot spawn_take_shared(uint32_t want)
{
    struct spawn_loot l = {0};
    struct spawn_chunk *c;

    weft__lock(&weft__sched.gfree_lock);
    while (l.n < want && l.row_n == 0 && (c = spawn_avail)) {
        struct weft__spawn *s = c->free;
        c->unused = false;
        if (s) {
            c->free = s->free_next;
            c->free_n--;
            s->free_next = l.first;
            l.first = s;
            l.last = l.last ? l.last : s;
            l.n++;
        } else if (c->cut < SPAWN_CHUNK) {
            l.row = &c->s[c->cut];
            l.row_n = want - l.n < SPAWN_CHUNK - c->cut ? want - l.n : SPAWN_CHUNK - c->cut;
            c->cut += l.row_n;
        } else {
            spawn_avail = c->next_avail;
            c->avail = false;
        }
    }
    weft__unlock(&weft__sched.gfree_lock);
    return l;
}

/* One from the chunks, and for a p a batch of which the first is returned. NULL when memory is short. */
static __attribute__((noinline)) struct weft__spawn *spawn_from_shared(struct weft__p *p)
{
    struct spawn_loot l;

    for (;;) {
        l = spawn_take_shared(p ? WEFT__SPAWN_KEEP / 4 : 1);
        if (l.n + l.row_n > 0)
            break;
        if (!spawn_carve())
            return NULL;
    }
    for (uint32_t i = l.row_n; i > 0; i--) { /* the lowest first */
        struct weft__spawn *s = &l.row[i - 1];
        s->free_next = l.first;
        l.first = s;
        l.last = l.last ? l.last : s;
    }
    if (p) {
        l.last->free_next = p->spawn_free;
        p->spawn_free = l.first->free_next;
        p->spawn_free_n += l.n + l.row_n - 1;
    }
    return l.first;
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

/* The coldest half of p's list back to the chunks. */
void weft__spawn_share(struct weft__p *p)
{
    struct weft__spawn *last = p->spawn_free, *s;

    for (uint32_t i = 1; i < WEFT__SPAWN_KEEP / 2; i++)
        last = last->free_next;
    s = last->free_next;
    last->free_next = NULL;
    p->spawn_free_n = WEFT__SPAWN_KEEP / 2;
    weft__lock(&weft__sched.gfree_lock);
    while (s) {
        struct weft__spawn *next = s->free_next;
        struct spawn_chunk *c = spawn_chunk_of(s);
        s->free_next = c->free; /* N2 */
        c->free = s;
        c->free_n++;
        spawn_make_avail(c);
        s = next;
    }
    weft__unlock(&weft__sched.gfree_lock);
}

/* Takes the chunks that are all free off spawn_avail (N5), linked by next_avail. now: also those that were not so at the last trim. */
static struct spawn_chunk *spawn_take_unused(bool now)
{
    struct spawn_chunk *found = NULL, *c;
    uint32_t n = 0;

    weft__lock(&weft__sched.gfree_lock);
    for (struct spawn_chunk **at = &spawn_avail; (c = *at) && n < SPAWN_TRIM;) {
        bool all = c->free_n == c->cut && c->cut > 0;
        if (all && (now || c->unused)) {
            *at = c->next_avail;
            c->avail = false;
            c->next_avail = found;
            found = c;
            n++;
        } else {
            c->unused = all;
            at = &c->next_avail;
        }
    }
    weft__unlock(&weft__sched.gfree_lock);
    return found;
}

bool weft__spawn_trim(bool now)
{
    struct spawn_chunk *c, *found = spawn_take_unused(now);
    bool any = found != NULL;

    while ((c = found)) {
        found = c->next_avail;
        bool gone = weft__sys_discard((char *)c + WEFT__PAGE, (char *)(c + 1)) == 0;
        weft__lock(&weft__sched.gfree_lock);
        if (gone) { /* the free list is gone too: blank */
            c->free = NULL;
            c->free_n = c->cut = 0;
        }
        spawn_make_avail(c);
        weft__unlock(&weft__sched.gfree_lock);
    }
    return any;
}

struct weft__g *weft__spawn_bind(struct weft__p *p, struct weft__spawn *s)
{
    const struct weft__call call = {.fn = s->fn, .site = s->site, .at_end = s->at_end, .owner = s->at_end ? s->owner : NULL};
    struct weft__g *g = weft__stack_for(p, &call);

    if (weft__unlikely(!g))
        weft__g_no_memory();
    g->parent_id = s->parent_id;
    weft__g_init(g, &call, s->args, NULL);
    atomic_store_explicit(&g->id, atomic_load_explicit(&s->id, memory_order_relaxed), memory_order_relaxed);
    weft__hook_spawn(g);
    weft__spawn_free(p, s);
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
