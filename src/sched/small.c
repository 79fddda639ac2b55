/*
 * small.c - small-stack mode: goroutines that start on a slot of about a kilobyte and borrow a full stack when they need one.
 *
 * Role    Only in libweft-small.a (weft-small.pc). The program is compiled with -fsplit-stack: each function compares the
 *         stack pointer with %fs:0x70 and calls __morestack (arch/x86_64/small.S) when there is not enough room, and the
 *         linker (gold, lld) makes each function that calls code without such checks do so in any case. __morestack moves
 *         the call to a full stack, an ordinary slot, and back when it returns. So libc and libweft run on full stacks;
 *         only waiting for a channel parks on the small one (small_chan.c). Layer 2.
 * Near    stack.c (slots), worker.c (the limit is switched with the goroutine), docs/adr/0006-small-stacks.md.
 * Invariants
 *   P1  %fs:0x70 is g->limit while g runs; 0 on a full stack and for everything that is not a small goroutine.
 *   P2  g->full is the slot that g is on while it is on a full stack, else NULL; m->full is a free one of the thread's.
 *       Their state is NEW: neither dumps nor the scavenger look at them.
 *   P3  nothing of the scheduler but the switch runs on a small stack: weft__park_small goes to the scheduler's.
 * Limits  No guard below a small stack: code without checks that is called through a pointer overflows it. A word at its end
 *         is looked at when the goroutine parks and ends. Signal handlers need SA_ONSTACK, as under Go.
 * Failure A linker that does not adjust callers (ld.bfd) is found when the program starts: it says so and ends.
 */
#include "sched_int.h"

#include <string.h>

#define SMALL_CANARY 0x736d616c6c207765u
void weft__small_start(void);               /* small.S */
struct weft__g *weft__small_full_new(void); /* called by small.S on a scheduler's stack */
void weft__small_full_give(struct weft__g *full);
extern const unsigned char weft__small_probe[]; /* a function, small_probe.c */
WEFT_API void weft__small_needs_full(void);

_Static_assert(offsetof(struct weft__m, g) == 16 && offsetof(struct weft__m, full) == 24, "small.S");
_Static_assert(offsetof(struct weft__g, full) == 160, "small.S");
_Static_assert(sizeof(struct weft__g) <= 320, "a small slot");
_Static_assert(WEFT__SMALL_SLACK == 512 && WEFT__SMALL_PARK == 352, "small.S");

static const unsigned char *small_after_endbr(const unsigned char *f)
{
    static const unsigned char endbr[] = {0xf3, 0x0f, 0x1e, 0xfa};
    return memcmp(f, endbr, sizeof endbr) == 0 ? f + sizeof endbr : f;
}

/* Does f begin with a check for a small frame, that the linker has left as it was: it calls no code without checks? */
static bool small_checked(const unsigned char *f)
{
    static const unsigned char cmp_rsp[] = {0x64, 0x48, 0x3b, 0x24, 0x25, 0x70, 0, 0, 0}; /* cmp %fs:0x70,%rsp */
    return memcmp(small_after_endbr(f), cmp_rsp, sizeof cmp_rsp) == 0;
}

__attribute__((constructor)) static void small_self_test(void)
{
    if (small_checked(weft__small_probe))
        weft__throw("weft-small: this program was linked without gold or lld: functions would overflow their stacks "
                    "(the linker is chosen by pkg-config --libs weft-small)");
}

/* Code without checks: a function that calls it runs on a full stack. */
void weft__small_needs_full(void)
{
}

bool weft__small_fits(const struct weft__call *call)
{
    return call->site->stack_bytes == 0 && small_checked(call->fn);
}

static bool small_is(const struct weft__g *g)
{
    return g->stack_hi - g->stack_lo < WEFT__SMALL_SLOT;
}

void weft__small_init(struct weft__g *g)
{
    g->limit = NULL;
    if (!small_is(g))
        return;
    g->limit = g->stack_lo + WEFT__SMALL_SLACK; /* P1 */
    *(uint64_t *)g->stack_lo = SMALL_CANARY;
    ((void **)g->sw.sp)[6] = (void *)weft__small_start;
}

void weft__small_check(const struct weft__g *g)
{
    if (weft__unlikely(*(const uint64_t *)g->stack_lo != SMALL_CANARY))
        weft__fatal("weft-small: a small stack has overflowed: code without stack checks was called through a pointer");
}

struct weft__g *weft__small_full_new(void)
{
    struct weft__g *g = weft__g_alloc(NULL);

    if (!g)
        weft__g_no_memory();
    atomic_store_explicit(&g->state, WEFT__G_NEW, memory_order_relaxed); /* P2, V1 sb */
    weft__hold_check(g);
    return g;
}

void weft__small_full_give(struct weft__g *full)
{
    atomic_store_explicit(&full->state, WEFT__G_DEAD, memory_order_release);
    weft__g_free(NULL, full);
}

/* m's thread has left the goroutine's stacks for good. */
void weft__small_end(struct weft__m *m, struct weft__g *g)
{
    if (!small_is(g))
        return;
    weft__small_check(g);
    if (!m->full)
        m->full = g->full;
    else if (g->full)
        weft__small_full_give(g->full);
    g->full = NULL;
}
