/*
 * weft/ctx.h - contexts: cancellation, deadlines and values that belong to a piece of work; Go's package context.
 *
 * Ownership. Each weft_with_* returns a new reference, given up by weft_ctx_unref. A child holds its parent, so the
 * parent's reference may be given up while the child is used. Dropping the last reference cancels the context, so
 * that nothing waits on it for ever; `weft_defer(weft_ctx_unref, ctx)` is Go's `defer cancel()`. Functions that take a
 * ctx borrow it for the call. A goroutine that is given a context to keep takes its own reference (weft_ctx_ref).
 *
 * NULL means weft_background() everywhere. All calls may be made from any thread; none of them parks.
 *
 * Differs from Go  reference counts, as there is no collector; keys are compared as pointers (use the address of a
 *                  static variable); deadlines are instants of weft_now.
 * Source  Go context.
 */
#ifndef WEFT_CTX_H
#define WEFT_CTX_H
#include <weft/chan.h>

#pragma GCC system_header

typedef struct weft_ctx weft_ctx;

/** weft_background - the root: never cancelled, no deadline, no values. Costs nothing; ref and unref do nothing. */
WEFT_API weft_ctx *weft_background(void);

/**
 * weft_with_cancel - a child that weft_cancel, or the end of the parent, cancels.
 *
 * @parent   borrowed; the child takes its own reference.
 *
 * Returns   a new reference. Out of memory is a fatal error. A child of a cancelled parent is cancelled from the start.
 * Costs     one allocation; the done channel is made when it is first asked for.
 * Source    Go context.WithCancel, WithCancelCause.
 */
WEFT_API WEFT_MUST_USE weft_ctx *weft_with_cancel(weft_ctx *parent);

/**
 * weft_with_timeout, weft_with_deadline - a child that also ends by itself, with WEFT_EDEADLINE.
 *
 * @d        nanoseconds from now; 0 or less: it has passed already.
 * @at       an instant of weft_now. A parent's earlier deadline stays in force.
 * @cause    what weft_ctx_cause answers when the time is what ended it, negative; 0: WEFT_EDEADLINE.
 *
 * Returns   a new reference.
 * Source    Go context.WithTimeout, WithDeadline, WithTimeoutCause, WithDeadlineCause.
 */
WEFT_API WEFT_MUST_USE weft_ctx *weft_with_timeout(weft_ctx *parent, weft_dur d);
WEFT_API WEFT_MUST_USE weft_ctx *weft_with_deadline(weft_ctx *parent, weft_time at);
WEFT_API WEFT_MUST_USE weft_ctx *weft_with_timeout_cause(weft_ctx *parent, weft_dur d, weft_err cause);
WEFT_API WEFT_MUST_USE weft_ctx *weft_with_deadline_cause(weft_ctx *parent, weft_time at, weft_err cause);

/**
 * weft_with_value - a child that carries one value; it is cancelled with its parent and not by itself.
 *
 * @key      compared as a pointer. Not NULL: that panics "nil key".
 * @val      the caller's: it must outlive the context and is not freed with it.
 *
 * Returns   a new reference. Source: Go context.WithValue.
 */
WEFT_API WEFT_MUST_USE weft_ctx *weft_with_value(weft_ctx *parent, const void *key, const void *val);

/** weft_without_cancel - a child with the parent's values, without its end and deadline. Go context.WithoutCancel. */
WEFT_API WEFT_MUST_USE weft_ctx *weft_without_cancel(weft_ctx *parent);

/**
 * weft_cancel - cancel a context and everything below it; the first cancellation counts, later ones do nothing.
 *
 * @ctx      made by weft_with_cancel, _timeout or _deadline; borrowed. For others, which have no cancel function in
 *           Go, nothing happens. The reference must still be given up.
 * @cause    what weft_ctx_cause answers for it and its children, negative; 0: WEFT_ECANCELED.
 *
 * When it returns, weft_ctx_err and the done channels of the whole subtree say so, and functions registered with
 * weft_ctx_after_func have been started, unless another thread's cancellation of the same context is still at it.
 * Orders    what was done before happens before a receive from the done channel returns.
 * Source    Go's CancelFunc and CancelCauseFunc.
 */
WEFT_API void weft_cancel(weft_ctx *ctx);
WEFT_API void weft_cancel_cause(weft_ctx *ctx, weft_err cause);

/**
 * weft_ctx_done - a channel that is closed when the context ends.
 *
 * Returns   a channel that belongs to the context (do not free it; it lives as long as a reference); NULL, never ready,
 *           when the context cannot end. The same one each time.
 * Source    Go Context.Done.
 */
WEFT_API weft_receiver(char) weft_ctx_done(weft_ctx *ctx);

/** weft_ctx_err - 0 while the work may go on; then WEFT_ECANCELED or WEFT_EDEADLINE, for good. Go Context.Err. */
WEFT_API weft_err weft_ctx_err(weft_ctx *ctx);

/** weft_ctx_cause - why it ended: the err given to weft_cancel_cause or the like, else as weft_ctx_err. Go Cause. */
WEFT_API weft_err weft_ctx_cause(weft_ctx *ctx);

/** weft_ctx_deadline - true and *ret_at, an instant of weft_now, if the context has a deadline; else false and 0. Go Context.Deadline. */
WEFT_API bool weft_ctx_deadline(weft_ctx *ctx, weft_time *ret_at);

/** weft_ctx_value - the value of the nearest weft_with_value with this key, up to the root; or NULL. Go Context.Value. */
WEFT_API void *weft_ctx_value(weft_ctx *ctx, const void *key);

/**
 * weft_ctx_after_func - run fn(arg) in its own goroutine once ctx has ended; at once if it has.
 *
 * Returns   a handle for weft_ctx_after_func_stop: a name, not memory. Nobody frees it; it may be dropped.
 * Source    Go context.AfterFunc.
 */
typedef struct weft_ctx_after weft_ctx_after;
WEFT_API weft_ctx_after *weft_ctx_after_func(weft_ctx *ctx, void (*fn)(void *arg), void *arg);

/**
 * weft_ctx_after_func_stop - have it not run.
 *
 * Returns   true: fn has not been started and will not be. False: it has been started (it may still be running), or was
 *           stopped before. May be called at any time, also after ctx is gone.
 * Source    Go AfterFunc's stop.
 */
WEFT_API bool weft_ctx_after_func_stop(weft_ctx_after *h);

/** weft_ctx_ref - one more reference. Returns ctx. */
WEFT_API weft_ctx *weft_ctx_ref(weft_ctx *ctx);

/** weft_ctx_unref - give a reference up. With the last one the context is cancelled and its memory goes. NULL is fine. */
WEFT_API void weft_ctx_unref(weft_ctx *ctx);

#endif
