/*
 * ctx_int.h - a context's inside, and the hook by which the net and sync/ learn of a cancellation.
 *
 * A watch is a node in the waiter's own frame (or object): add it, park, delete it. Layer 3.
 */
#ifndef WEFT_CTX_CTX_INT_H
#define WEFT_CTX_CTX_INT_H
#include <weft/ctx.h>

#include "../sched/sched.h"

struct weft__ctx_watch {
    struct weft__ctx_watch *next, *prev;     /* [ctx->lock] neighbours in the context's line */
    weft_ctx *ctx;                           /* [own] the context it is in line of, NULL when it is in none */
    void (*fn)(struct weft__ctx_watch *w);   /* [const while in line] NULL: w is a child context's */
};

/*
 * Have fn(w) called once when ctx is cancelled or its deadline passes. fn runs on the canceller's stack (a goroutine,
 * a foreign thread or, for a deadline, the scheduler's), without any lock: it may ready, take short locks and start
 * goroutines; it may not park, and it may not delete a watch.
 * true: in line. false: fn will never run, because ctx is done already (weft_ctx_err(ctx) != 0) or because it can
 * never be done (weft_ctx_err(ctx) == 0). weft__ctx_watch_del(w) is harmless after either. ctx NULL: false.
 * The caller keeps a reference on ctx until the watch is deleted.
 */
bool weft__ctx_watch_add(weft_ctx *ctx, struct weft__ctx_watch *w, void (*fn)(struct weft__ctx_watch *w));

/* After it returns fn is not running and will not run. Waits (spinning) for an fn that is running: fn is short. */
void weft__ctx_watch_del(struct weft__ctx_watch *w);

#endif
