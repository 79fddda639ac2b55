/*
 * defer.c - the chain of deferred calls of a goroutine.
 *
 * Role    Link a record when weft_defer has captured its call; make the innermost call when a panic or goexit says so.
 * Near    arch/.../defer.S captures and calls, and unlinks at the ordinary end of a block; panic.c. Layer 3.
 *
 * Invariants
 *   U1  g->defer_top is the record of the innermost block that is still open and whose call has not been made; prev
 *       leads to the next one outwards. Blocks end in order, so the record that ends is the first of the chain.
 *   U2  A record leaves the chain before its call is made, and head is NULL from then on when a panic or goexit makes it:
 *       the clean-up that the compiler runs for the block later finds nothing to do. So a call is made once, and a
 *       panic in it goes on with the next record.
 * Limits  None on their number: the records lie in the callers' frames.
 * Failure A deferred call of no function panics when it is due, as in Go.
 * Not so  Making the calls from the compiler's clean-ups while unwinding: clang ends the process when a clean-up panics
 *         during unwinding, and the stack that panicked would be gone from the report.
 */
#include "unwind_int.h"

#include "../arch/arch.h"

_Static_assert(offsetof(struct weft__defer, gr) == 16, "defer.S");
#if defined(__x86_64__)
_Static_assert(offsetof(struct weft__defer, nvec) == 64, "defer.S");
#endif
_Static_assert(offsetof(struct weft__defer, head) == WEFT__DEFER_HEAD, "defer.S");
_Static_assert(offsetof(struct weft__defer, prev) == WEFT__DEFER_HEAD + 8, "defer.S");
_Static_assert(sizeof(struct weft__defer) == WEFT__DEFER_HEAD + 16, "defer.S: what follows it");
_Static_assert(offsetof(struct weft__site, stack_bytes) == 20, "defer.S");
_Static_assert(offsetof(struct weft__site, ints_only) == 24, "defer.S");

/* Known to the assembly only. */
void weft__defer_link(struct weft__defer *d);
_Noreturn void weft__defer_nil(void);

void weft__defer_link(struct weft__defer *d)
{
    struct weft__g *g = weft__self();

    d->head = &g->defer_top;
    d->prev = g->defer_top;
    g->defer_top = d;
}

void weft__defer_pop(struct weft__g *g)
{
    struct weft__defer *d = g->defer_top;

    g->defer_top = d->prev;
    d->head = NULL; /* U2 */
    weft__defer_call(d);
}

void weft__defer_nil(void)
{
    weft_panic("deferred call of nil func");
}
