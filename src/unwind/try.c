/*
 * try.c - where a panic stops.
 *
 * Role    The personality routine of weft__try_entry's frame, and what happens once the goroutine is there.
 * Near    arch/.../try.S; panic.c (U3 to U5). Layer 3.
 *
 * Invariants
 *   U6  g->try_top is the innermost weft_try whose fn runs; the entry links it, and whatever leaves it unlinks it: the
 *       normal return (try.S), a panic (weft__try_landed), goexit (U5), pthread_exit or a C++ exception (the
 *       personality, passing by).
 * Failure A panic stopped while goexit was under way around it goes on as goexit, as in Go.
 */
#include <stdlib.h>

#include "unwind_int.h"

#include "../arch/arch.h"
#include "../arch/fiber.h"

#if WEFT__ASAN
void __asan_handle_no_return(void);
#endif

_Static_assert(offsetof(struct weft__try, head) == 16, "try.S");
_Static_assert(offsetof(struct weft__try, prev) == 24, "try.S");
_Static_assert(offsetof(struct weft__site, stack_bytes) == 20, "try.S");
#if defined(__x86_64__)
_Static_assert(offsetof(struct weft__try, deferred) == 32, "try.S");
_Static_assert(offsetof(struct weft__try, outer) == 40, "try.S");
_Static_assert(offsetof(struct weft__m_head, g) == 16, "try.S");
_Static_assert(offsetof(struct weft__g, try_top) == 0x60, "try.S");
_Static_assert(offsetof(struct weft__g, defer_top) == 0x68, "try.S, defer.S");
_Static_assert(offsetof(struct weft__g, panic) == 0x70, "try.S");
#endif

/* Known to the assembly only. */
void weft__try_land(void);
#if defined(__x86_64__)
void weft__try_land_stack(void);
/* The two entries are functions of their own to the unwinder. The second by a name that a program does not bind: of one that is not
 * position independent weft__try_entry is an address in its linkage table. */
extern const char weft__try_entry_here[] __attribute__((visibility("hidden")));
#define TRY_ON_STACK(ctx) (_Unwind_GetRegionStart(ctx) == (uintptr_t)weft__try_entry_here)
#else
#define weft__try_land_stack weft__try_land
#define TRY_ON_STACK(ctx) ((void)(ctx), false)
#endif
void weft__try_landed(struct weft__try *t);
_Unwind_Reason_Code weft__try_personality(int version, _Unwind_Action actions, _Unwind_Exception_Class class,
                                          struct _Unwind_Exception *exc, struct _Unwind_Context *ctx);

/* x86-64: called by the entry for a thread that is not known yet, and so links too; aarch64: by the macro, before the entry. */
void weft__try_begin(struct weft__try *t)
{
    struct weft__g *g = weft__self();

#if defined(__x86_64__)
    t->prev = g->try_top;
    g->try_top = t;
#else
    t->head = &g->try_top;
#endif
    t->outer = g->panic;
    t->deferred = g->defer_top;
}

_Unwind_Reason_Code weft__try_personality(int version, _Unwind_Action actions, _Unwind_Exception_Class class,
                                          struct _Unwind_Exception *exc, struct _Unwind_Context *ctx)
{
    (void)version;
    if (actions & _UA_SEARCH_PHASE)
        return _URC_CONTINUE_UNWIND;
    struct weft__try *t = (struct weft__try *)_Unwind_GetGR(ctx, WEFT__TRY_REGISTER);
    if (t->fn == WEFT__TRY_PASSED) /* U5 */
        return _URC_CONTINUE_UNWIND;
    if (class == WEFT__UNWIND_CLASS && !((struct weft__panic *)exc)->goexit) {
        _Unwind_SetIP(ctx, (uintptr_t)(TRY_ON_STACK(ctx) ? weft__try_land_stack : weft__try_land));
        return _URC_INSTALL_CONTEXT;
    }
    weft__self()->try_top = t->prev; /* U6 */
    return _URC_CONTINUE_UNWIND;
}

/* In the frame of weft__try_entry, everything below it is gone. Returns to the caller of weft_try. */
void weft__try_landed(struct weft__try *t)
{
    struct weft__g *g = weft__self();
    struct weft__panic *p = g->panic;
    char *text = p->text;
    bool goexit = false;

#if WEFT__ASAN
    __asan_handle_no_return();
#endif
    g->try_top = t->prev; /* U6 */
    p->text = NULL;
    while ((p = g->panic) != t->outer) { /* U4: it and all that it overtook inside of this try */
        g->panic = p->prev;
        goexit |= p->goexit;
        weft__panic_free(p);
    }
    free(g->panic_text);
    g->panic_text = text;
    g->panic_within = t->prev;
    if (goexit)
        weft_goexit();
    t->msg = text;
    t->fn = NULL;
}

void weft__try_nil(void)
{
    weft_panic("call of nil func in weft_try");
}
