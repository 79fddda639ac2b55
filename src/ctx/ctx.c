/*
 * ctx.c - contexts: making them, asking them, giving them up.
 *
 * Role    Go's context package on reference counts. How the end of one spreads is in cancel.c.
 * Near    ctxnode.h, cancel.c, after.c, docs/design/context.md. Layer 3.
 *
 * Invariants:
 *   CT3  A child references its parent, and is in the line of its nearest ancestor that can end from its making until
 *        that one ends or it is dropped. So the ancestor outlives its place in the line.
 *   CT4  refs reaches zero once. Then the context is cancelled, leaves the line above, and gives its parent up.
 *   CT5  The memory goes when holds reaches zero: one hold for refs > 0, one for a started timer (whoever stops it, or
 *        its firing, gives that up), one for each canceller that is at work on it, one for each weft_ctx_after_func that waits.
 * Order   CT4, CT5  decrement release  ->  the last one's decrement acquire.
 *         CT2  asked: store release under the lock  ->  load acquire in weft_ctx_done.
 *         CT11 err is set before the channel is closed, so that who is woken by the one finds the other. Who sees err by
 *         weft_ctx_err waits these few instructions for the close, as Go's Err does, and then finds the channel closed.
 * Limits  Depth is not limited: nothing here recurses.
 * Failure Out of memory is fatal, as in Go.
 * Source  Go context/context.go.
 */
#include "cancel.h"

#include <stdatomic.h>
#include <string.h>
#include <weft/unwind.h>

#include "../diag/track.h"
#include "../sys/sys.h"

static struct weft_ctx ctx_root = {.refs = 1, .kind = CTX_BACKGROUND};

weft_ctx *weft_background(void)
{
    return &ctx_root;
}

/* The first `zeroed` bytes are zero. */
static void *ctx_alloc(size_t bytes, size_t zeroed)
{
    void *p = weft__sys_alloc_raw(bytes);
    if (!p)
        weft__fatal("out of memory: context");
    weft__track_new(WEFT__TRACK_CTX, p);
    return memset(p, 0, zeroed);
}

/* What every child takes over from its parent. */
static void ctx_inherit(struct weft_ctx *c, enum ctx_kind kind, weft_ctx *parent)
{
    atomic_init(&c->refs, 1);
    c->kind = (uint8_t)kind;
    if (!parent || parent == &ctx_root)
        return;
    c->parent = weft_ctx_ref(parent);
    c->has_deadline = parent->has_deadline;
    c->deadline = parent->deadline;
    c->cancels = parent->cancels;
    c->values = parent->values;
}

static void node_init(struct ctx_node *n, enum ctx_kind kind, weft_ctx *parent)
{
    ctx_inherit(&n->c, kind, parent);
    n->c.cancels = n;
    atomic_init(&n->holds, 1);                                       /* CT5: refs > 0 */
    n->line.next = n->line.prev = &n->line;
}

weft_ctx *weft_with_cancel(weft_ctx *parent)
{
    struct ctx_node *n = ctx_alloc(sizeof *n, offsetof(struct ctx_node, done));
    node_init(n, CTX_CANCEL, parent);
    weft__ctx_attach(n);
    return &n->c;
}

static weft_ctx *ctx_timed_new(weft_ctx *parent, weft_time at, weft_time now, weft_err cause)
{
    if (parent && parent->has_deadline && parent->deadline <= at)
        return weft_with_cancel(parent);                             /* the parent's end comes first */

    struct ctx_timed *t = ctx_alloc(sizeof *t, sizeof *t);
    struct ctx_node *n = &t->n;
    node_init(n, CTX_TIMED, parent);
    n->c.has_deadline = true;
    n->c.deadline = at;
    n->late_cause = cause ? cause : WEFT_EDEADLINE;
    if (weft_ctx_err(parent) == 0) {
        if (at <= now)
            weft__ctx_cancel_tree(n, WEFT_EDEADLINE, n->late_cause);
        else
            weft__ctx_arm(t);        /* before it can be cancelled from above: that one has a timer to stop */
    }
    weft__ctx_attach(n);
    return &n->c;
}

weft_ctx *weft_with_timeout_cause(weft_ctx *parent, weft_dur d, weft_err cause)
{
    weft_time now = weft__now();
    return ctx_timed_new(parent, d > INT64_MAX - now ? INT64_MAX : now + d, now, cause);
}

weft_ctx *weft_with_deadline_cause(weft_ctx *parent, weft_time at, weft_err cause)
{
    return ctx_timed_new(parent, at, weft__now(), cause);
}

weft_ctx *weft_with_timeout(weft_ctx *parent, weft_dur d)
{
    return weft_with_timeout_cause(parent, d, 0);
}

weft_ctx *weft_with_deadline(weft_ctx *parent, weft_time at)
{
    return weft_with_deadline_cause(parent, at, 0);
}

weft_ctx *weft_with_value(weft_ctx *parent, const void *key, const void *val)
{
    if (!key)
        weft_panic("nil key");
    struct ctx_value *v = ctx_alloc(sizeof *v, sizeof *v);
    ctx_inherit(&v->c, CTX_VALUE, parent);
    v->key = key;
    v->val = val;
    v->above = v->c.values;
    v->c.values = v;
    return &v->c;
}

weft_ctx *weft_without_cancel(weft_ctx *parent)
{
    struct weft_ctx *c = ctx_alloc(sizeof *c, sizeof *c);
    ctx_inherit(c, CTX_WITHOUT, parent);
    c->cancels = NULL;
    c->has_deadline = false;
    c->deadline = 0;
    return c;
}

/* CT11: n has ended; its channel, if somebody asked for it, is closed in a moment. */
static void node_await_closed(struct ctx_node *n)
{
    uint32_t spins = 0;
    if (atomic_load_explicit(&n->asked, memory_order_acquire))               /* CT2 */
        while (!atomic_load_explicit(&n->done.closed, memory_order_acquire))
            weft__spin(&spins);
}

weft_err weft_ctx_err(weft_ctx *ctx)
{
    if (!ctx || !ctx->cancels)
        return 0;
    weft_err err = atomic_load_explicit(&ctx->cancels->err, memory_order_acquire);   /* CT1 */
    if (weft__unlikely(err != 0))
        node_await_closed(ctx->cancels);
    return err;
}

weft_err weft_ctx_cause(weft_ctx *ctx)
{
    return weft_ctx_err(ctx) ? ctx->cancels->cause : 0;
}

bool weft_ctx_deadline(weft_ctx *ctx, weft_time *ret_at)
{
    bool has = ctx && ctx->has_deadline;
    if (ret_at)
        *ret_at = has ? ctx->deadline : 0;
    return has;
}

void *weft_ctx_value(weft_ctx *ctx, const void *key)
{
    for (struct ctx_value *v = ctx ? ctx->values : NULL; v; v = v->above)
        if (v->key == key)
            return (void *)(uintptr_t)v->val;
    return NULL;
}

weft_receiver(char) weft_ctx_done(weft_ctx *ctx)
{
    struct ctx_node *n = ctx ? ctx->cancels : NULL;
    if (!n)
        return NULL;
    if (!atomic_load_explicit(&n->asked, memory_order_acquire))              /* CT2 */
        weft__ctx_done_make(n);
    if (weft__unlikely(atomic_load_explicit(&n->err, memory_order_acquire) != 0))
        node_await_closed(n);        /* another thread that asked is about to close it */
    return (weft_receiver(char))&n->done;
}

weft_ctx *weft_ctx_ref(weft_ctx *ctx)
{
    if (ctx && ctx->kind != CTX_BACKGROUND) {
        uint32_t was = atomic_fetch_add_explicit(&ctx->refs, 1, memory_order_relaxed);
        WEFT_ASSERT(was > 0, "CT4: reference on a dropped context");
    }
    return ctx;
}

void weft_ctx_unref(weft_ctx *ctx)
{
    while (ctx && ctx->kind != CTX_BACKGROUND) {
        uint32_t was = atomic_fetch_sub_explicit(&ctx->refs, 1, memory_order_acq_rel);  /* CT4 */
        WEFT_ASSERT(was > 0, "CT4: unref of a dropped context");
        if (was > 1)
            return;
        weft_ctx *parent = ctx->parent;
        weft__track_gone(WEFT__TRACK_CTX, ctx); /* the first member of all kinds: the address that was allocated */
        if (ctx->cancels && ctx == &ctx->cancels->c)
            weft__ctx_drop(ctx->cancels);
        else
            weft__sys_free(ctx);
        ctx = parent;
    }
}
