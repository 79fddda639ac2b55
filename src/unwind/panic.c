/*
 * panic.c - panics and goexit: forced unwinding of a goroutine's stack.
 *
 * Role    weft_panic, weft_goexit; the report of a panic that nobody stopped.
 * Near    try.c stops panics; the compiler's clean-ups and arch/.../defer.S run the deferred calls; sched ends the
 *         goroutine. docs/design/unwind.md. Layer 3.
 *
 * How     _Unwind_ForcedUnwind visits each frame from the innermost on, first our stop function, then the frame's own
 *         personality. A frame with clean-ups gets control: all frames below it are gone then, and its deferred calls
 *         run as part of it, on its stack; _Unwind_Resume goes on from there. A try frame's personality ends the
 *         journey (try.c). At the base the unwinder reports the end of the stack: the stop function does not return.
 *
 * Invariants
 *   U2  g->panic is the chain of what is under way, latest first. An earlier one is there because a deferred call that
 *       it ran panicked or called goexit: it will never go on by itself, unless a weft_try inside that deferred call
 *       stops the later one.
 *   U3  What was on the chain when a weft_try began lies outside of it; what came on top since then lies inside, and
 *       goes away when a panic stops there. (Comparing stack addresses instead fails when a clean-up is inlined.)
 * Order   Only the goroutine itself touches its chain; parking in a deferred call is allowed, as nothing of the unwinder
 *         is on the stack then.
 * Limits  One allocation for a panic that a try stops, two for others. A frame without unwind information ends the
 *         journey: deferred calls outside of it do not run.
 * Not so  Jumping to the try frame from the stop function works too (the prototype did), but leaves the restoring of
 *         registers, and a shadow stack where there is one, to us instead of the unwinder.
 */
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "unwind_int.h"

#include "../arch/fiber.h"

#if WEFT__ASAN
void __asan_handle_no_return(void);
#endif

enum { PANIC_CHAIN_MAX = 100 };

struct weft__panic *weft__panic_new(bool goexit)
{
    struct weft__panic *p = calloc(1, sizeof *p);

    if (!p)
        weft__fatal("out of memory in a panic");
    p->exc.exception_class = WEFT__UNWIND_CLASS;
    p->goexit = goexit;
    return p;
}

void weft__panic_free(struct weft__panic *p)
{
    free(p->text);
    free(p->trace);
    free(p);
}

/* The chain, oldest first, in Go's words. */
static void panic_print_chain(void *arg)
{
    struct weft__panic *list = NULL, *next;

    for (struct weft__panic *p = arg; p; p = next) { /* turned round: the process ends, nobody needs it again */
        next = p->prev;
        p->prev = list;
        list = p;
    }
    int left = PANIC_CHAIN_MAX;
    for (struct weft__panic *p = list, *before = NULL; p && left-- > 0; before = p, p = p->prev) {
        if (before && !before->goexit)
            weft__print("\t");
        if (p->goexit)
            continue;
        weft__print("panic: ");
        weft__print("%s", p->text);
        weft__print("\n");
    }
}

static _Noreturn void panic_report(struct weft__g *g, struct weft__panic *p)
{
    struct weft__report r = {panic_print_chain, p, g, p->trace, false, false, 2};
    static const struct weft__trace none; /* a try was around it, but a frame without unwind information between */

    if (!r.trace)
        r.trace = &none;
    weft__report(&r);
}

static _Noreturn void goexit_end(struct weft__g *g)
{
    bool foreign = g->tied && !g->site && !g->is_main;

    while (g->panic) {
        struct weft__panic *p = g->panic;
        g->panic = p->prev;
        weft__panic_free(p);
    }
    g->try_top = NULL;
    if (foreign) {
        g->exiting = 0;
        pthread_exit(NULL);
    }
    weft__g_finish(0);
}

static _Noreturn void unwind_end(struct weft__g *g, struct weft__panic *p)
{
    if (p->goexit)
        goexit_end(g);
    panic_report(g, p);
}

static _Unwind_Reason_Code unwind_stop(int version, _Unwind_Action actions, _Unwind_Exception_Class class,
                                       struct _Unwind_Exception *exc, struct _Unwind_Context *ctx, void *arg)
{
    struct weft__panic *p = arg;

    (void)version, (void)class, (void)exc, (void)ctx;
    if (actions & _UA_END_OF_STACK)
        unwind_end(weft__g(), p);
    return _URC_NO_REASON;
}

void weft__unwind_start(struct weft__g *g, struct weft__panic *p)
{
    p->prev = g->panic;
    g->panic = p;
    if (!p->goexit && !g->try_top) {
        p->trace = malloc(sizeof *p->trace);
        if (p->trace)
            weft__trace_here(p->trace);
    }
#if WEFT__ASAN
    __asan_handle_no_return(); /* the frames below are given up: their poison goes */
#endif
    _Unwind_ForcedUnwind(&p->exc, unwind_stop, p);
    unwind_end(g, p); /* the unwinder gave up: no information about this very code */
}

void weft_panic(const char *fmt, ...)
{
    struct weft__g *g = weft__g();
    struct weft__panic *p = weft__panic_new(false);
    va_list ap;

    va_start(ap, fmt);
    if (vasprintf(&p->text, fmt, ap) < 0)
        weft__fatal("out of memory in a panic");
    va_end(ap);
    weft__unwind_start(g, p);
}

void weft_goexit(void)
{
    struct weft__g *g = weft__g();

    g->exiting = 1;
    weft__unwind_start(g, weft__panic_new(true));
}
