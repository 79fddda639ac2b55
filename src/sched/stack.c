/*
 * stack.c - stack slots: where they come from, and whose slot an address is in.
 *
 * Role    A slot is WEFT_STACK KiB (64 by default) of address space: guard, stack, and the goroutine's descriptor at the
 *         top, so that a parked goroutine costs one committed page. Slots are cut from chunks of reserved address space.
 * Near    g.c (free lists), diag (overflow report). Layer 2.
 * Invariants
 *   K1  chunk bases and the slot size are multiples of the slot size: slot i of a chunk is at base + i * slot.
 *   K2  slots below cut have a guard and a descriptor; descriptors are never unmapped (S6 in sched.h).
 * Locks   stack_lock guards cutting, short but for the guard's system call at a first use (not a hot path).
 * Limits  WEFT__CHUNKS chunks of 4,096 slots: 16.7 million goroutines.
 * Failure weft__stack_carve: NULL when address space or the guard is refused (vm.max_map_count on kernels before 6.13).
 */
#include "sched_int.h"

#include <stdlib.h>
#include <string.h>

enum { WEFT__CHUNKS = 4096, WEFT__CHUNK_SLOTS = 4096 };

static struct weft__lock stack_lock;
static char *_Atomic stack_chunk[WEFT__CHUNKS];
static _Atomic uint32_t stack_chunk_n;
static _Atomic uint32_t stack_cut;      /* [stack_lock for writes] slots cut from the last chunk */
static _Atomic size_t stack_slot;       /* [const after the first use] bytes */

_Static_assert(offsetof(struct weft__g, sw) == 0, "switch.S");
_Static_assert(offsetof(struct weft__sw, sp) == 0, "switch.S");
_Static_assert(offsetof(struct weft__sw, on_cpu) == 8, "switch.S");

static size_t stack_slot_bytes(void)
{
    size_t n = atomic_load_explicit(&stack_slot, memory_order_relaxed);

    if (weft__likely(n))
        return n;
    n = (WEFT__TSAN | WEFT__ASAN | (WEFT_DEBUG > 0)) ? 256 * 1024 : 64 * 1024;
    const char *e = getenv("WEFT_STACK");
    long want = e ? strtol(e, NULL, 10) * 1024 : 0;
    if (want >= 64 * 1024 && want <= 1024L * 1024 * 1024)
        for (n = 64 * 1024; n < (size_t)want;)
            n *= 2;
    atomic_store_explicit(&stack_slot, n, memory_order_relaxed);
    return n;
}

size_t weft__stack_bytes(void)
{
    return stack_slot_bytes() - WEFT__GUARD_BYTES;
}

static struct weft__g *stack_g_of(char *chunk, size_t i)
{
    return (struct weft__g *)(chunk + (i + 1) * stack_slot_bytes() - ((sizeof(struct weft__g) + 63) & ~(size_t)63));
}

struct weft__g *weft__stack_carve(void)
{
    size_t slot = stack_slot_bytes();
    struct weft__g *g = NULL;

    weft__lock(&stack_lock);
    uint32_t n = atomic_load_explicit(&stack_chunk_n, memory_order_relaxed);
    uint32_t cut = atomic_load_explicit(&stack_cut, memory_order_relaxed);
    if (n == 0 || cut == WEFT__CHUNK_SLOTS) {
        char *c = n < WEFT__CHUNKS ? weft__sys_reserve(slot * WEFT__CHUNK_SLOTS, slot) : NULL;
        if (!c)
            goto out;
        atomic_store_explicit(&stack_chunk[n], c, memory_order_relaxed);
        atomic_store_explicit(&stack_cut, cut = 0, memory_order_relaxed);
        atomic_store_explicit(&stack_chunk_n, ++n, memory_order_release);
    }
    char *chunk = atomic_load_explicit(&stack_chunk[n - 1], memory_order_relaxed);
    char *lo = chunk + cut * slot;
    if (weft__sys_guard(lo, WEFT__GUARD_BYTES) < 0)
        goto out;
    g = stack_g_of(chunk, cut);
    g->stack_lo = lo + WEFT__GUARD_BYTES;
    g->stack_hi = (char *)g;
    atomic_store_explicit(&stack_cut, cut + 1, memory_order_release);
out:
    weft__unlock(&stack_lock);
    return g;
}

struct weft__g *weft__g_by_addr(const void *addr)
{
    size_t slot = stack_slot_bytes();
    uint32_t n = atomic_load_explicit(&stack_chunk_n, memory_order_acquire);

    for (uint32_t k = 0; k < n; k++) {
        char *c = atomic_load_explicit(&stack_chunk[k], memory_order_relaxed);
        if ((const char *)addr < c || (const char *)addr >= c + slot * WEFT__CHUNK_SLOTS)
            continue;
        size_t i = (size_t)((const char *)addr - c) / slot;
        if (k == n - 1 && i >= atomic_load_explicit(&stack_cut, memory_order_relaxed))
            return NULL;
        return stack_g_of(c, i);
    }
    return NULL;
}

int weft__g_tid(const struct weft__g *g)
{
    return g->m ? g->m->tid : 0;
}

void weft__g_each(void (*fn)(struct weft__g *g, void *arg), void *arg)
{
    uint32_t n = atomic_load_explicit(&stack_chunk_n, memory_order_acquire);

    if (weft__sched.main_g && atomic_load_explicit(&weft__sched.main_g->state, memory_order_relaxed) != WEFT__G_DEAD)
        fn(weft__sched.main_g, arg);
    for (uint32_t k = 0; k < n; k++) {
        char *c = atomic_load_explicit(&stack_chunk[k], memory_order_relaxed);
        size_t slots = k == n - 1 ? atomic_load_explicit(&stack_cut, memory_order_acquire) : WEFT__CHUNK_SLOTS;
        for (size_t i = 0; i < slots; i++) {
            struct weft__g *g = stack_g_of(c, i);
            if (atomic_load_explicit(&g->state, memory_order_relaxed) != WEFT__G_DEAD)
                fn(g, arg);
        }
    }
    weft__foreign_each(fn, arg);
}
