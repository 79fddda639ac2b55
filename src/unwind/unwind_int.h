/*
 * unwind_int.h - a panic or a goexit under way. Private to src/unwind.
 */
#ifndef WEFT_UNWIND_UNWIND_INT_H
#define WEFT_UNWIND_UNWIND_INT_H
#include <unwind.h>
#include <weft/unwind.h>

#include "../diag/diag.h"

/* "WEFTUNWD": tells our unwinding from C++ exceptions and from pthread_exit's. */
#define WEFT__UNWIND_CLASS 0x57454654554e5744ull

/* On the heap: the frames that started it are gone when the deferred calls run. */
struct weft__panic {
    struct _Unwind_Exception exc;    /* first: the unwinder hands back its address */
    struct weft__panic *prev;        /* [own] the one it overtook, panic.c: U2 */
    char *text;                      /* [own] the message; NULL for goexit */
    struct weft__trace *trace;       /* [own] where it began, or NULL: a weft_try was around it */
    bool goexit;                     /* [const] */
};

/* Unwinds the calling goroutine on behalf of p; runs deferred calls on the way. */
_Noreturn void weft__unwind_start(struct weft__g *g, struct weft__panic *p);
struct weft__panic *weft__panic_new(bool goexit);
void weft__panic_free(struct weft__panic *p);

#endif
