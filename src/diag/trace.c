/*
 * trace.c - stack traces: of the caller, of what a signal interrupted, of a goroutine that is not running.
 *
 * Role    Collect return addresses; names come later (where.c), when the process has nothing better to do.
 * Near    dump.c prints them; arch/.../probe.S joins the unwinder to a parked stack. Layer 2.
 * Limits  The first 50 and the last 50 frames are kept, a million are walked: recursion that overflows a stack
 *         shows how it began and where it is.
 * Failure A frame without unwind information ends the trace there.
 */
#include "diag.h"

#include <unwind.h>

enum { TRACE_HALF = WEFT__TRACE_MAX / 2, TRACE_WALK_MAX = 1000000 };

static _Unwind_Reason_Code trace_step(struct _Unwind_Context *ctx, void *arg)
{
    struct weft__trace *t = arg;
    int before = 0;
    uintptr_t ip = _Unwind_GetIPInfo(ctx, &before);

    if (ip == 0 || t->total >= TRACE_WALK_MAX)
        return _URC_NORMAL_STOP;
    if (t->skipping) {
        if ((void *)ip != t->exact)
            return _URC_NO_REASON;
        t->skipping = 0;
    }
    uint64_t i = t->total < TRACE_HALF ? t->total : TRACE_HALF + (t->total - TRACE_HALF) % TRACE_HALF;
    t->pc[i] = (void *)ip;
    t->total++;
    return _URC_NO_REASON;
}

__attribute__((noinline)) void weft__trace_here(struct weft__trace *t)
{
    t->total = 0;
    t->exact = NULL;
    t->skipping = 0;
    _Unwind_Backtrace(trace_step, t);
}

void weft__trace_signal(struct weft__trace *t, void *pc)
{
    t->total = 0;
    t->exact = pc;
    t->skipping = 1;
    _Unwind_Backtrace(trace_step, t);
}

/* Named so that dumps do not show it. */
void weft__trace_probe(void *arg);
void weft__trace_probe(void *arg)
{
    weft__trace_here(arg);
}

void weft__trace_parked(struct weft__trace *t, const struct weft__g *g)
{
    weft__arch_probe(g->sw.sp, weft__trace_probe, t);
}

uint32_t weft__trace_kept(const struct weft__trace *t)
{
    return t->total < WEFT__TRACE_MAX ? (uint32_t)t->total : WEFT__TRACE_MAX;
}

void *weft__trace_at(const struct weft__trace *t, uint32_t i)
{
    if (i < TRACE_HALF || t->total <= WEFT__TRACE_MAX)
        return t->pc[i];
    return t->pc[TRACE_HALF + (t->total - TRACE_HALF + (i - TRACE_HALF)) % TRACE_HALF];
}
