/*
 * ctxnode.h - what a context is made of. Private to src/ctx.
 */
#ifndef WEFT_CTX_CTXNODE_H
#define WEFT_CTX_CTXNODE_H
#include "../chan/chan_int.h"
#include "ctx_int.h"

enum ctx_kind { CTX_BACKGROUND, CTX_CANCEL, CTX_TIMED, CTX_VALUE, CTX_WITHOUT };

/* The part that all have. A value or without_cancel context is little more than this. */
struct weft_ctx {
    _Atomic uint32_t refs;            /* [CT4] users, children among them */
    uint8_t kind;                     /* [const] enum ctx_kind */
    bool has_deadline;                /* [const] deadline counts, own or inherited */
    weft_time deadline;               /* [const] */
    weft_ctx *parent;                 /* [const] referenced; NULL below the background */
    struct ctx_node *cancels;         /* [const] nearest that can end: itself or above; NULL: none */
    struct ctx_value *values;         /* [const] nearest that carries a value: itself or above; NULL: none */
};

/* A context that can end. */
struct ctx_node {
    struct weft_ctx c;
    _Atomic uint32_t holds;           /* [CT5] reasons to keep the memory */
    struct weft__lock lock;
    _Atomic weft_err err;             /* [lock for writes, CT1] 0, then for good what weft_ctx_err says */
    weft_err cause;                   /* [lock until err is set; CT1] */
    weft_err late_cause;              /* [const] cause if the deadline ends it */
    _Atomic bool asked;               /* [lock for writes, CT2] done is initialised: somebody asked for it */
    struct weft__ctx_watch line;      /* [lock] ring of watches; this is its head */
    struct weft__ctx_watch *running;  /* [lock] the watch whose fn is being run */
    struct weft__ctx_watch up;        /* place in the line of the nearest ancestor that can end */
    struct ctx_node *next;            /* [own of the canceller] its work list */
    struct weft__chan done;           /* what weft_ctx_done gives out; no buffer behind it */
};

struct ctx_timed {
    struct ctx_node n;
    struct weft__timer timer;
};

struct ctx_value {
    struct weft_ctx c;
    const void *key;                  /* [const] */
    const void *val;                  /* [const] */
    struct ctx_value *above;          /* [const] next one towards the root */
};

#endif
