/*
 * cancel.h - how a context ends: the calls between ctx.c and cancel.c. Private to src/ctx.
 */
#ifndef WEFT_CTX_CANCEL_H
#define WEFT_CTX_CANCEL_H
#include "ctxnode.h"

/* End n and all below it. The caller has a reference or a hold. */
void weft__ctx_cancel_tree(struct ctx_node *n, weft_err err, weft_err cause);
/* Get into the line of the nearest ancestor that can end; if it has ended, end n likewise. */
void weft__ctx_attach(struct ctx_node *n);
/* Start the timer for the deadline. */
void weft__ctx_arm(struct ctx_timed *t);
/* The last reference is gone (the one on the parent not yet). */
void weft__ctx_drop(struct ctx_node *n);
/* Keep the memory of n, and no longer (CT5). */
void weft__ctx_hold(struct ctx_node *n);
void weft__ctx_unhold(struct ctx_node *n);
/* Initialise the done channel, unless another thread was quicker. */
void weft__ctx_done_make(struct ctx_node *n);

#endif
