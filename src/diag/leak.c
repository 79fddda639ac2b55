/*
 * leak.c - what is left when the process ends: told to the user, and goroutines' stacks shown to LeakSanitizer.
 *
 * Role    At exit: the report that WEFT_LEAKS asks for; then each live goroutine's stack becomes a root of
 *         LeakSanitizer's search, if that is in the process: what only a parked goroutine points to is in use.
 * Near    track.c (what debug builds remember), sched.h (weft__g_each). docs/design/tools.md. Layer 2.
 *
 * WEFT_LEAKS  0: nothing. 1: goroutines that exist beside main, with the go statement and what they wait for; in debug
 *         builds also channels, contexts and running timers, with the place of creation. Not set, or empty: in debug builds one
 *         line that counts channels, contexts and timers; in others nothing. The exit status stays the program's.
 * Order   LeakSanitizer registered its own handler before main, so it runs after this one. It stops all threads first.
 * Limits  Exit by exit() or by the return of main only. Goroutines go on meanwhile: one that starts during exit is no
 *         root. A goroutine's dead frames, below what is in use, are searched too: they can hide a leak, not invent one.
 *         With detect_stack_use_after_return=1 locals live on a fake stack, which is searched for running threads only:
 *         use that option and detect_leaks in runs of their own.
 */
#include "track.h"

#include <stdlib.h>
#include <string.h>

#include "diag.h"

/* In the process when it was linked with -fsanitize=address or =leak, also when libweft was not. */
void __lsan_register_root_region(const void *at, size_t bytes) __attribute__((weak));

enum { LEAK_GOROUTINES = 100 };

struct leak_list {
    const struct weft__g *self;
    size_t n;
};

static void leak_root(struct weft__g *g, void *arg)
{
    (void)arg;
    if (!g->is_main && g->stack_lo) /* the descriptor, above the stack, holds pointers too; main's stack is a thread's */
        __lsan_register_root_region(g->stack_lo, (size_t)(g->stack_hi - g->stack_lo) + (g->tied ? 0 : sizeof *g));
}

/* One that has not run yet: its arguments. */
static void leak_root_unborn(const struct weft__unborn *u, void *arg)
{
    (void)arg;
    __lsan_register_root_region(u->record, u->record_bytes);
}

static void leak_line(struct leak_list *l, uint64_t id, const char *doing, const struct weft__site *site)
{
    if (l->n++ < LEAK_GOROUTINES)
        weft__print("goroutine %llu [%s]: %s, created by %s at %s:%u\n", (unsigned long long)id, doing, site->name,
                    site->func, site->file, site->line);
}

static void leak_goroutine(struct weft__g *g, void *arg)
{
    struct leak_list *l = arg;
    uint32_t state = weft__g_state(g);

    if (g == l->self || g->is_main || g->system || !g->site)
        return;
    leak_line(l, atomic_load_explicit(&g->id, memory_order_relaxed),
              state == WEFT__G_PARKED ? weft__wait_text((enum weft__wait)atomic_load_explicit(&g->wait, memory_order_relaxed))
                                      : state == WEFT__G_RUNNING ? "running" : "runnable",
              g->site);
}

static void leak_unborn(const struct weft__unborn *u, void *arg)
{
    if (u->site) /* being written just now */
        leak_line(arg, u->id, "runnable", u->site);
}

static void leak_report(bool list)
{
    size_t chans = weft__track_list(WEFT__TRACK_CHAN, false), ctxs = weft__track_list(WEFT__TRACK_CTX, false),
           timers = weft__track_list(WEFT__TRACK_TIMER, false);
    struct leak_list l = {.self = weft__g_or_null()};

    if (chans + ctxs + timers > 0)
        weft__print("weft: at exit: channels not freed: %zu, contexts not unreferenced: %zu, timers not stopped: %zu%s\n",
                    chans, ctxs, timers, list ? "" : " (WEFT_LEAKS=1 lists them, 0 hides this)");
    if (list) {
        weft__track_list(WEFT__TRACK_CHAN, true);
        weft__track_list(WEFT__TRACK_CTX, true);
        weft__track_list(WEFT__TRACK_TIMER, true);
        weft__takers_show();
        weft__g_each(leak_goroutine, &l);
        weft__spawn_each(leak_unborn, &l);
        if (l.n > LEAK_GOROUTINES)
            weft__print("and %zu more goroutines\n", l.n - LEAK_GOROUTINES);
    }
    weft__print_flush();
}

static void leak_at_exit(void)
{
    const char *e = getenv("WEFT_LEAKS");

    if (!e || strcmp(e, "0") != 0)
        leak_report(e && *e);
    if (__lsan_register_root_region) {
        weft__g_each(leak_root, NULL);
        weft__spawn_each(leak_root_unborn, NULL);
    }
}

void weft__leak_init(void)
{
    static _Atomic bool done;

    if (atomic_load_explicit(&done, memory_order_relaxed) || atomic_exchange_explicit(&done, true, memory_order_relaxed))
        return;
    if (WEFT_DEBUG || getenv("WEFT_LEAKS") || __lsan_register_root_region)
        atexit(leak_at_exit);
}
