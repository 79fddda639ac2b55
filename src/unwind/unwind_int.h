/*
 * unwind_int.h - a panic or a goexit under way. Private to src/unwind, but that sync/singleflight.c reads which it is.
 */
#ifndef WEFT_UNWIND_UNWIND_INT_H
#define WEFT_UNWIND_UNWIND_INT_H
#include <unwind.h>
#include <weft/unwind.h>

#include "../diag/diag.h"

/* "WEFTUNWD": tells our unwinding from C++ exceptions and from pthread_exit's. */
#define WEFT__UNWIND_CLASS 0x57454654554e5744ull

/* fn of a weft_try that goexit has passed (U5); no function is there. */
#define WEFT__TRY_PASSED ((void *)-1)

/* On the heap: its frame may be gone when the unwinder still needs it. */
struct weft__panic {
    struct _Unwind_Exception exc;    /* first: the unwinder hands back its address */
    struct weft__panic *prev;        /* [own] the one it overtook, panic.c: U2 */
    char *text;                      /* [own] the message and, behind it, its history (panic.c: U7); NULL for goexit */
    bool goexit;                     /* [const] */
};

/* Makes the innermost deferred call and takes it off the chain first. */
void weft__defer_pop(struct weft__g *g);
/* arch/: makes the call. */
void weft__defer_call(struct weft__defer *d);
void weft__panic_free(struct weft__panic *p);

#endif
