/*
 * after.c - functions that start when a context ends, and the names by which they are called off.
 *
 * Role    weft_ctx_after_func. A handle is a slot's number and the slot's count of uses, so that it may be dropped, kept
 *         for ever or used twice without harm. Slots come in chunks that are never given back.
 * Near    cancel.c (the watch), docs/design/context.md. Layer 3.
 *
 * Invariants:
 *   CT9   state is use << 1 | ARMED. Whoever changes ARMED to 0 (one compare-and-swap, so exactly one does) either
 *         starts fn or calls it off, and then gives the slot back.
 * Order   CT10  directory entry: store release  ->  load acquire by a stop that holds a handle into the chunk.
 * Limits  2^20 functions waiting at one time; more is fatal. 2^43 uses of one slot.
 * Source  Go context.AfterFunc.
 */
#include <weft/go.h>

#include "../sys/sys.h"
#include "cancel.h"

enum { AFTER_CHUNK = 64, AFTER_CHUNKS = 1 << 14, AFTER_INDEX_BITS = 20 };
#define ARMED ((uint64_t)1)

struct after_slot {
    struct weft__ctx_watch watch;     /* first */
    _Atomic uint64_t state;           /* [CT9] */
    void (*fn)(void *arg);            /* [const while ARMED] */
    void *arg;                        /* [const while ARMED] */
    struct ctx_node *held;            /* [const while ARMED] has a hold (CT5) for the stop, which needs the line's lock */
    uint32_t index;                   /* [const] */
    struct after_slot *next;          /* [lock] free list */
};

static struct {
    struct weft__lock lock;
    struct after_slot *free;                          /* [lock] */
    uint32_t chunks;                                  /* [lock] */
    struct after_slot *_Atomic dir[AFTER_CHUNKS];     /* [CT10] */
} after_pool;

/* A fresh chunk on the free list. */
static void after_grow(void)
{
    struct after_slot *chunk = weft__sys_alloc(AFTER_CHUNK * sizeof *chunk);
    if (!chunk)
        weft__fatal("out of memory: weft_ctx_after_func");

    weft__lock(&after_pool.lock);
    uint32_t k = after_pool.chunks;
    if (k == AFTER_CHUNKS) {
        weft__unlock(&after_pool.lock);
        weft__fatal("weft_ctx_after_func: more than %d functions wait", AFTER_CHUNK * AFTER_CHUNKS);
    }
    after_pool.chunks = k + 1;
    for (uint32_t i = 0; i < AFTER_CHUNK; i++) {
        chunk[i].index = k * AFTER_CHUNK + i;
        chunk[i].next = after_pool.free;
        after_pool.free = &chunk[i];
    }
    atomic_store_explicit(&after_pool.dir[k], chunk, memory_order_release);          /* CT10 */
    weft__unlock(&after_pool.lock);
}

static struct after_slot *after_take(void)
{
    for (;;) {
        weft__lock(&after_pool.lock);
        struct after_slot *s = after_pool.free;
        if (s)
            after_pool.free = s->next;
        weft__unlock(&after_pool.lock);
        if (s)
            return s;
        after_grow();
    }
}

static void after_give(struct after_slot *s)
{
    weft__lock(&after_pool.lock);
    s->next = after_pool.free;
    after_pool.free = s;
    weft__unlock(&after_pool.lock);
}

/* CT9: true for one caller, who owns the slot from then on. use: the use it is meant for. */
static bool after_claim(struct after_slot *s, uint64_t use)
{
    uint64_t was = use << 1 | ARMED;
    return atomic_compare_exchange_strong_explicit(&s->state, &was, (use + 1) << 1, memory_order_acq_rel,
                                                   memory_order_relaxed);
}

/* The context has ended: cancel.c calls this once, after the slot has been armed. */
static void after_fire(struct weft__ctx_watch *w)
{
    struct after_slot *s = (struct after_slot *)w;
    uint64_t use = atomic_load_explicit(&s->state, memory_order_relaxed) >> 1;
    if (!after_claim(s, use))
        return;                       /* called off a moment ago; the stop is waiting for this return */
    void (*fn)(void *arg) = s->fn;
    void *arg = s->arg;
    struct ctx_node *held = s->held;
    after_give(s);
    weft_go(fn, arg);
    weft__ctx_unhold(held);           /* the canceller has a hold of its own */
}

weft_ctx_after *weft_ctx_after_func(weft_ctx *ctx, void (*fn)(void *arg), void *arg)
{
    struct after_slot *s = after_take();
    uint64_t use = atomic_load_explicit(&s->state, memory_order_relaxed) >> 1;
    uint64_t handle = use << AFTER_INDEX_BITS | s->index;
    s->fn = fn;
    s->arg = arg;
    s->held = ctx ? ctx->cancels : NULL;
    if (s->held)
        weft__ctx_hold(s->held);
    atomic_store_explicit(&s->state, use << 1 | ARMED, memory_order_release);        /* CT9 */
    if (!weft__ctx_watch_add(ctx, &s->watch, after_fire) && weft_ctx_err(ctx) != 0)
        after_fire(&s->watch);
    return (weft_ctx_after *)(uintptr_t)(handle + 1);
}

bool weft_ctx_after_func_stop(weft_ctx_after *h)
{
    uint64_t handle = (uint64_t)(uintptr_t)h - 1;
    uint32_t index = handle & ((1u << AFTER_INDEX_BITS) - 1);
    struct after_slot *chunk =
        h ? atomic_load_explicit(&after_pool.dir[index / AFTER_CHUNK], memory_order_acquire) : NULL;  /* CT10 */
    if (!chunk)
        return false;
    struct after_slot *s = &chunk[index % AFTER_CHUNK];
    if (!after_claim(s, handle >> AFTER_INDEX_BITS))
        return false;
    struct ctx_node *held = s->held;
    weft__ctx_watch_del(&s->watch);
    after_give(s);
    if (held)
        weft__ctx_unhold(held);
    return true;
}
