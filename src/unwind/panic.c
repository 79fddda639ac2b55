/*
 * panic.c - panics and goexit: deferred calls first, then forced unwinding.
 *
 * Role    weft_panic, weft_goexit; the report of a panic that nobody stops.
 * Near    defer.c has the deferred calls; try.c stops panics; sched ends the goroutine. docs/design/unwind.md. Layer 3.
 *
 * How     A panic makes the deferred calls inside of the innermost weft_try, one after the other, on top of the stack
 *         that panicked. Then, with a try, _Unwind_ForcedUnwind takes the frames away up to it, running the compiler's
 *         clean-ups on the way, and the try frame's personality takes over (try.c). Without a try it reports: the whole
 *         stack is still there. Goexit makes all deferred calls, unwinds to the base and ends the goroutine there.
 *
 * Invariants
 *   U3  g->panic is the chain of what is under way, latest first. An earlier one is there because a deferred call that
 *       it made panicked or called goexit: it will never go on by itself, unless a weft_try inside that deferred call
 *       stops the later one.
 *   U4  What was on the chains when a weft_try began lies outside of it; what came since lies inside, and goes away when
 *       a panic stops there.
 *   U5  When goexit makes a deferred call from outside of a try, that try is out of the chain and its fn, which has been
 *       called, is WEFT__TRY_PASSED: it stops nothing any more, though its frame is still on the stack.
 *   U7  Behind a message and its NUL there is a mark, and the history: the lines of the report above it, about panics that a
 *       try has stopped and whose words this one repeats or contains (panic_add_history). So a text that a try gives out has
 *       them too, and what is thrown on keeps them.
 * Order   Only the goroutine itself touches its chains; deferred calls may park: nothing thread-local is kept.
 *         exit(3), also main's return, waits for panics under way, 50 ms at most (panic_at_exit).
 * Limits  Two allocations for a panic. A frame without unwind information ends the journey: if a try lies beyond it, the
 *         panic is reported as one that nobody stopped.
 */
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "unwind_int.h"

#include "../arch/fiber.h"
#include "../sys/sys.h"

#if WEFT__ASAN
void __asan_handle_no_return(void);
#endif

enum { PANIC_CHAIN_MAX = 100, PANIC_HISTORY_MAX = 4096, PANIC_EXIT_YIELDS = 1000, PANIC_EXIT_NAPS = 50 };
enum { PANIC_ANEW = 'n', PANIC_AGAIN = 'a' }; /* U7, the mark: AGAIN has the very words of the one that was stopped */

static _Atomic uint32_t panic_running;  /* [stat] panics, not goexits, that nobody has stopped yet */
static _Atomic uint32_t panic_reported; /* [stat] 1 from the first report on: the process ends */
static _Atomic uint32_t panic_watched;  /* [stat] 1: panic_at_exit is registered */

/* The program exits, perhaps by the return of main, while deferred calls of another goroutine's panic run: its report
 * is not lost to that. It gets some turns, as in Go; a report that has begun ends the process itself. */
static void panic_at_exit(void)
{
    static _Atomic uint32_t never;
    struct weft__g *g = weft__g_or_null();

    if (g && g->panic) /* exit in a deferred call: this goroutine does not wait for itself */
        return;
    for (int i = 0; i < PANIC_EXIT_YIELDS + PANIC_EXIT_NAPS; i++) {
        if (atomic_load_explicit(&panic_running, memory_order_relaxed) == 0)
            return;
        while (atomic_load_explicit(&panic_reported, memory_order_relaxed) != 0)
            weft__sys_futex_wait(&never, 0, WEFT_SEC);
        if (i < PANIC_EXIT_YIELDS)
            weft_yield();
        else
            weft_sleep(WEFT_MS);
    }
}

static struct weft__panic *panic_new(struct weft__g *g, bool goexit)
{
    struct weft__panic *p = calloc(1, sizeof *p);

    if (!p)
        weft__fatal("out of memory in a panic");
    if (!goexit) {
        if (atomic_exchange_explicit(&panic_watched, 1, memory_order_relaxed) == 0)
            atexit(panic_at_exit);
        atomic_fetch_add_explicit(&panic_running, 1, memory_order_relaxed);
    }
    p->exc.exception_class = WEFT__UNWIND_CLASS;
    p->goexit = goexit;
    p->prev = g->panic;
    return p;
}

void weft__panic_free(struct weft__panic *p)
{
    if (!p->goexit)
        atomic_fetch_sub_explicit(&panic_running, 1, memory_order_relaxed);
    free(p->text);
    free(p);
}

/* ---- what a report says of panics that were stopped: U7 ---- */

static const char *panic_mark(const char *text)
{
    return text + strlen(text) + 1;
}

static const char *panic_tag(const char *text)
{
    return *panic_mark(text) == PANIC_AGAIN ? " [recovered, repanicked]" : " [recovered]";
}

/* The history of a panic that goes on from the words was: theirs, and they. Their own further lines are indented as in a
 * report. The oldest part goes when it gets long. NULL: no memory. */
static char *panic_grow_history(const char *was)
{
    const char *older = panic_mark(was) + 1, *tag = panic_tag(was);
    size_t lines = 0;

    for (const char *s = was; (s = strchr(s, '\n')); s++)
        lines++;
    if (strlen(older) + strlen(was) + lines > PANIC_HISTORY_MAX)
        older = "";
    size_t room = strlen(older) + strlen("panic: ") + strlen(was) + lines + strlen(tag) + sizeof "\n\t";
    char *h = malloc(room);
    if (!h)
        return NULL;
    char *at = h + snprintf(h, room, "%spanic: ", older);
    for (; *was; was++) {
        *at++ = *was;
        if (*was == '\n')
            *at++ = '\t';
    }
    snprintf(at, room - (size_t)(at - h), "%s\n\t", tag);
    return h;
}

/* C has no handler whose end could be seen, so a panic is taken to come of the one that was stopped last when it has or
 * contains its words, and no other try has begun or ended since. */
static void panic_add_history(struct weft__g *g, struct weft__panic *p)
{
    const char *was = g->panic_text, *history = "";
    char mark = PANIC_ANEW, *grown = NULL;

    if (was && *was && g->panic_within == g->try_top && strstr(p->text, was)) {
        if (strcmp(p->text, was) == 0) {
            mark = PANIC_AGAIN;
            history = panic_mark(was) + 1;
        } else if ((grown = panic_grow_history(was))) {
            history = grown;
        }
    }
    size_t n = strlen(p->text) + 1, h = strlen(history) + 1;
    char *block = realloc(p->text, n + 1 + h);
    if (!block)
        weft__fatal("out of memory in a panic");
    block[n] = mark;
    memcpy(block + n + 1, history, h);
    p->text = block;
    free(grown);
}

/* ---- nobody stops it ---- */

/* Later lines are indented, so that no text can look like a part of the report. */
static void panic_print_text(char *s)
{
    for (char *end; (end = strchr(s, '\n')); s = end + 1) {
        *end = '\0'; /* nobody needs it again */
        weft__print("%s", s);
        weft__print("\n\t");
    }
    weft__print("%s", s);
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
        const char *mark = panic_mark(p->text);
        weft__print("%s", mark + 1);
        weft__print("panic: ");
        panic_print_text(p->text);
        weft__print(*mark == PANIC_AGAIN ? " [recovered, repanicked]\n" : "\n");
    }
}

/* Named so that dumps do not show it. */
_Noreturn void weft__panic_report(struct weft__g *g, struct weft__panic *p);
__attribute__((noinline)) void weft__panic_report(struct weft__g *g, struct weft__panic *p)
{
    static struct weft__trace trace;
    struct weft__report r = {panic_print_chain, p, g, &trace, false, false, 2};

    if (atomic_exchange_explicit(&panic_reported, 1, memory_order_relaxed) == 0) /* the second one waits in weft__report */
        weft__trace_here(&trace);
    weft__report(&r);
}

/* ---- unwinding ---- */

static _Noreturn void goexit_end(struct weft__g *g)
{
    bool foreign = g->tied && !g->site && !g->is_main;

    while (g->panic) {
        struct weft__panic *p = g->panic;
        g->panic = p->prev;
        weft__panic_free(p);
    }
    if (foreign) {
        g->exiting = 0; /* the descriptor serves another thread later */
        pthread_exit(NULL);
    }
    weft__g_finish(0);
}

static _Noreturn void unwind_end(struct weft__g *g, struct weft__panic *p)
{
    if (p->goexit)
        goexit_end(g);
    weft__panic_report(g, p);
}

static _Unwind_Reason_Code unwind_stop(int version, _Unwind_Action actions, _Unwind_Exception_Class class,
                                       struct _Unwind_Exception *exc, struct _Unwind_Context *ctx, void *arg)
{
    (void)version, (void)class, (void)exc, (void)ctx;
    if (actions & _UA_END_OF_STACK)
        unwind_end(weft__g(), arg);
    return _URC_NO_REASON;
}

/* Takes the frames away, up to the try that stops p or to the base. */
static _Noreturn void unwind_frames(struct weft__g *g, struct weft__panic *p)
{
#if WEFT__ASAN
    __asan_handle_no_return(); /* the frames are given up: their poison goes */
#endif
    _Unwind_ForcedUnwind(&p->exc, unwind_stop, p);
    unwind_end(g, p); /* the unwinder knows nothing about some frame */
}

/* ---- the two ways in ---- */

void weft_panic(const char *fmt, ...)
{
    struct weft__g *g = weft__g();
    struct weft__panic *p = panic_new(g, false);
    va_list ap;

    va_start(ap, fmt);
    if (vasprintf(&p->text, fmt, ap) < 0)
        weft__fatal("out of memory in a panic");
    va_end(ap);
    panic_add_history(g, p);
    g->panic = p;
    struct weft__try *t = g->try_top;
    while (g->defer_top != (t ? t->deferred : NULL))
        weft__defer_pop(g);
    if (!t)
        weft__panic_report(g, p);
    unwind_frames(g, p);
}

void weft_goexit(void)
{
    struct weft__g *g = weft__g();
    struct weft__panic *p = panic_new(g, true);

    g->exiting = 1;
    g->panic = p;
    for (;;) {
        struct weft__try *t = g->try_top;
        if (t && g->defer_top == t->deferred) { /* U5 */
            g->try_top = t->prev;
            t->fn = WEFT__TRY_PASSED;
        } else if (g->defer_top) {
            weft__defer_pop(g);
        } else {
            unwind_frames(g, p);
        }
    }
}
