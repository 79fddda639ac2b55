/*
 * stack.c - stack slots: where they come from, and whose slot an address is in.
 *
 * Role    A slot is a piece of address space: guard, stack, and the goroutine's descriptor at the top, so that a
 *         parked goroutine costs one committed page. Slots of one size are a class; most goroutines have the default
 *         one (WEFT_STACK KiB, else 64), weft_go_stack asks for others. Slots are cut from chunks of reserved address space.
 *         Where all descriptors lie at the same place of a power of two, a thousand goroutines share a sixteenth of the TLB's
 *         sets and of the caches'. So a slot is a page more than a power of two, and descriptors differ by up to 15 lines.
 * Near    g.c (free lists of the default class), diag (overflow report). Layer 2.
 * Invariants
 *   K1  slot i of a chunk is at base + i * slot, its descriptor where stack_g_at says (also tools/weft_gdb.py).
 *   K2  slots below cut belong to a goroutine, live or dead, or to a p's range of slots that it will use next: those have
 *       their guards, or are about to, and a descriptor of zeros, that is a dead one. Descriptors are never unmapped (S6 in sched.h).
 *   K3  a chunk's fields but cut are written before stack_chunk_n counts it, and never again.
 *   K4  a dead goroutine of another class than the default is on that class's free list, and on no p's.
 * Locks   stack_lock guards cutting and the free lists of the classes: short. A p takes a range of slots at a time, and
 *         makes their guards in one system call, without the lock.
 * Order   K5  stack_chunk_n release  ->  acquire in weft__g_by_addr, weft__stack_slots. Carries a chunk's fields (K3).
 *         K6  cut release  ->  acquire in weft__stack_slots, weft__g_by_addr. Carries that the slots exist, not what is in
 *             their descriptors: a slot of a p's range gets its bounds later.
 * Limits  WEFT__CHUNKS chunks, of 4,096 slots where a slot is at most 1 MiB: 16.7 million goroutines.
 * Failure weft__stack_carve, weft__stack_take: NULL when address space or the guard is refused (vm.max_map_count on
 *         kernels before 6.13).
 */
#include "sched_int.h"

#include "../sys/pages.h"

#include <stdlib.h>
#include <string.h>

enum {
    WEFT__CHUNKS = 4096,
    STACK_CHUNK_SLOTS = 4096,
    STACK_RANGE = 32,            /* slots a p takes at a time: about one page table's worth of the default class */
    STACK_LOG_MIN = 15,          /* smallest slot: 32 KiB */
    STACK_LOG_MAX = 30,
    STACK_COLOURS = 8,           /* places of a descriptor, a cache line apart */
    STACK_LINE = 64,
    STACK_SMALL = STACK_LOG_MAX - STACK_LOG_MIN + 1, /* the class of small-stack mode: no guard */
    STACK_CLASSES,
    STACK_SCALE = (WEFT__TSAN | WEFT__ASAN | (WEFT_DEBUG > 0)) ? 4 : 1, /* frames are larger in these builds */
    STACK_G_BYTES = (sizeof(struct weft__g) + STACK_LINE - 1) & ~(STACK_LINE - 1),
    STACK_TOP_BYTES = STACK_G_BYTES + (STACK_COLOURS - 1) * STACK_LINE /* of a slot that are no stack, at most */
};

struct stack_chunk {
    char *base;            /* [K3] */
    size_t slot;           /* [K3] bytes */
    uint32_t slots;        /* [K3] */
    _Atomic uint32_t cut;  /* [stack_lock for writes; K6] slots in use */
};

struct stack_class {
    struct stack_chunk *chunk; /* [stack_lock] where slots are cut from, or NULL */
    struct weft__g *free;      /* [stack_lock; K4] */
};

static struct weft__lock stack_lock;
static struct stack_chunk stack_chunk[WEFT__CHUNKS];
static _Atomic uint32_t stack_chunk_n;                /* [K5] */
static struct stack_class stack_class[STACK_CLASSES]; /* by log2 of the slot */
static _Atomic uint32_t stack_default;                /* [const after the first use] 0, or the default class + 1 */

_Static_assert(offsetof(struct weft__g, sw) == 0, "switch.S");
_Static_assert(offsetof(struct weft__sw, sp) == 0, "switch.S");
_Static_assert(offsetof(struct weft__sw, on_cpu) == 8, "switch.S");
_Static_assert(offsetof(struct weft__g, saved_errno) == 48, "switch.S");
_Static_assert(offsetof(struct weft__m, in) == 40, "switch.S");
_Static_assert(offsetof(struct weft__m, errno_at) == 152, "switch.S");
_Static_assert(WEFT_STACK_MAX <= (1l << STACK_LOG_MAX) - WEFT__GUARD_BYTES - STACK_TOP_BYTES, "go.h");

static size_t stack_slot(uint32_t class)
{
    return class == STACK_SMALL ? WEFT__SMALL_SLOT : ((size_t)1 << (STACK_LOG_MIN + class)) + WEFT__PAGE;
}

/* The descriptor of the slot at lo. Slots have an odd number of pages: neighbours differ in colour. */
static struct weft__g *stack_g_at(char *lo, size_t slot)
{
    size_t colour = slot < WEFT__PAGE ? 0 : (uintptr_t)lo / WEFT__PAGE % STACK_COLOURS;

    return (struct weft__g *)(lo + slot - STACK_G_BYTES - colour * STACK_LINE); /* K1 */
}

/* The class of the smallest slot of at least this many bytes. */
static uint32_t stack_class_of(size_t slot)
{
    uint32_t c = 0;

    while (c < STACK_SMALL - 1 && stack_slot(c) < slot)
        c++;
    return c;
}

static uint32_t stack_default_class(void)
{
    uint32_t c = atomic_load_explicit(&stack_default, memory_order_relaxed);

    if (weft__likely(c))
        return c - 1;
    const char *e = getenv("WEFT_STACK");
    long kib = e ? strtol(e, NULL, 10) : 0;
    size_t slot = 64 * 1024 * STACK_SCALE;
    if (kib >= 64 && kib <= 1024L * 1024)
        slot = (size_t)kib * 1024;
    c = stack_class_of(slot);
    atomic_store_explicit(&stack_default, c + 1, memory_order_relaxed);
    return c;
}

/* A fresh chunk for a class, or NULL; stack_lock held. */
static struct stack_chunk *stack_chunk_new(uint32_t class)
{
    uint32_t n = atomic_load_explicit(&stack_chunk_n, memory_order_relaxed);
    size_t slot = stack_slot(class);
    uint32_t slots = slot <= 1024 * 1024 ? STACK_CHUNK_SLOTS : slot <= 64 * 1024 * 1024 ? 256 : 32;

    if (n == WEFT__CHUNKS)
        return NULL;
    struct stack_chunk *c = &stack_chunk[n];
    c->base = weft__sys_reserve(slot * slots, WEFT__PAGE);
    if (!c->base)
        return NULL;
    c->slot = slot;
    c->slots = slots;
    atomic_store_explicit(&stack_chunk_n, n + 1, memory_order_release); /* K5 */
    return stack_class[class].chunk = c;
}

/* Up to want slots never used before, *ret_n of them: the lowest; NULL when memory is short. stack_lock held. */
static char *stack_cut(uint32_t class, uint32_t want, uint32_t *ret_n)
{
    struct stack_chunk *c = stack_class[class].chunk;

    if (!c || atomic_load_explicit(&c->cut, memory_order_relaxed) == c->slots)
        c = stack_chunk_new(class);
    if (!c)
        return NULL;
    uint32_t i = atomic_load_explicit(&c->cut, memory_order_relaxed), left = c->slots - i;
    *ret_n = want < left ? want : left;
    atomic_store_explicit(&c->cut, i + *ret_n, memory_order_release); /* K6 */
    return c->base + i * c->slot;
}

/* Guards for n slots that were just cut; false when one is refused (the slots are lost). */
static bool stack_guard(char *lo, uint32_t class, uint32_t n)
{
    return class == STACK_SMALL || weft__sys_guards(lo, stack_slot(class), n, WEFT__GUARD_BYTES) == 0;
}

/* Makes a slot with its guard ready for use. */
static struct weft__g *stack_slot_init(char *lo, uint32_t class)
{
    struct weft__g *g = stack_g_at(lo, stack_slot(class));

    g->stack_lo = class == STACK_SMALL ? lo : lo + WEFT__GUARD_BYTES;
    g->stack_hi = (char *)g;
    weft__stack_known(g->stack_lo, g->stack_hi);
    g->stack_class = (uint8_t)class;
    g->sized = class != stack_default_class();
    return g;
}

struct weft__g *weft__stack_carve(struct weft__p *p)
{
    uint32_t class = stack_default_class(), n = 0;
    char *lo = p && p->range_n ? p->range : NULL;

    if (!lo) {
        weft__lock(&stack_lock);
        lo = stack_cut(class, p ? STACK_RANGE : 1, &n);
        weft__unlock(&stack_lock);
        if (!lo || !stack_guard(lo, class, n))
            return NULL;
        if (p)
            p->range_n = n;
    }
    if (p) {
        p->range = lo + stack_slot(class);
        p->range_n--;
    }
    return stack_slot_init(lo, class);
}

/* Of another class than the default: warm or fresh. */
static struct weft__g *stack_take(uint32_t class)
{
    uint32_t n;
    char *lo = NULL;

    weft__lock(&stack_lock);
    struct weft__g *g = stack_class[class].free;
    if (g)
        stack_class[class].free = g->next;
    else
        lo = stack_cut(class, 1, &n);
    weft__unlock(&stack_lock);
    if (g)
        return g;
    return lo && stack_guard(lo, class, 1) ? stack_slot_init(lo, class) : NULL;
}

struct weft__g *weft__stack_take(struct weft__p *p, size_t bytes, size_t args)
{
    size_t most = args < WEFT_STACK_MAX ? WEFT_STACK_MAX - args : 0;

    if (bytes > most || most == 0)
        weft__fatal("weft_go: a stack of %zu bytes: the limit is %zu", bytes > most ? bytes : args, (size_t)WEFT_STACK_MAX);
    if (bytes == 0) {
        bytes = (stack_slot(stack_default_class()) - WEFT__GUARD_BYTES - STACK_TOP_BYTES) / STACK_SCALE;
        bytes = bytes < most ? bytes : most; /* WEFT_STACK's largest has no more on top */
    }
    bytes += args;
    uint32_t class = stack_class_of(bytes * STACK_SCALE + WEFT__GUARD_BYTES + STACK_TOP_BYTES);
    if (class == stack_default_class())
        return weft__g_alloc(p);
    return stack_take(class);
}

#if WEFT__SMALL
struct weft__g *weft__small_take(void)
{
    return stack_take(STACK_SMALL);
}
#endif

void weft__stack_put(struct weft__g *g)
{
    struct stack_class *c = &stack_class[g->stack_class];

    weft__lock(&stack_lock);
    g->next = c->free; /* K4 */
    c->free = g;
    weft__unlock(&stack_lock);
}

bool weft__stack_slots(uint32_t chunk, struct weft__slots *ret_slots)
{
    if (chunk >= atomic_load_explicit(&stack_chunk_n, memory_order_acquire)) /* K5 */
        return false;
    const struct stack_chunk *c = &stack_chunk[chunk];
    *ret_slots = (struct weft__slots){c->base, c->slot, atomic_load_explicit(&c->cut, memory_order_acquire)}; /* K6 */
    return true;
}

struct weft__g *weft__slots_g(const struct weft__slots *s, size_t i)
{
    return stack_g_at(s->base + i * s->slot, s->slot);
}

struct weft__g *weft__g_by_addr(const void *addr)
{
    uint32_t n = atomic_load_explicit(&stack_chunk_n, memory_order_acquire); /* K5 */

    for (uint32_t k = 0; k < n; k++) {
        struct stack_chunk *c = &stack_chunk[k];
        if ((const char *)addr < c->base || (const char *)addr >= c->base + c->slot * c->slots)
            continue;
        size_t i = (size_t)((const char *)addr - c->base) / c->slot;
        return i < atomic_load_explicit(&c->cut, memory_order_acquire) ? stack_g_at(c->base + i * c->slot, c->slot) : NULL; /* K6 */
    }
    return NULL;
}

int weft__g_tid(const struct weft__g *g)
{
    return g->m ? atomic_load_explicit(&g->m->tid, memory_order_relaxed) : 0;
}

void weft__g_each(void (*fn)(struct weft__g *g, void *arg), void *arg)
{
    struct weft__slots s;

    if (weft__sched.main_g && weft__g_state(weft__sched.main_g) != WEFT__G_DEAD)
        fn(weft__sched.main_g, arg);
    for (uint32_t k = 0; weft__stack_slots(k, &s); k++)
        for (uint32_t i = 0; i < s.cut; i++) {
            struct weft__g *g = weft__slots_g(&s, i);
            uint32_t state = weft__g_state(g);
            if (state != WEFT__G_DEAD && state != WEFT__G_NEW)
                fn(g, arg);
        }
    weft__foreign_each(fn, arg);
}
