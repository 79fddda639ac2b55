/*
 * dump.c - what every goroutine is doing, as Go prints it.
 *
 * Role    "goroutine 18 [chan receive]:", its frames, who created it.
 * Near    report.c calls it when the world stands still; trace.c, where.c. Layer 2.
 *
 * Invariants
 *   Z3  Only a goroutine whose registers are saved is walked: its thread has left it (on_cpu == 0) and the world is
 *       frozen, so it stays so. Others are asked (running.c), or say that their stack is not available.
 * Limits  10,000 goroutines, in the order of their numbers; how many were left out is said. 100 frames each.
 *         Frames of weft's own (weft__...) and of the C library's start are not shown.
 * Failure Without memory for the list nobody but the failing goroutine is shown.
 */
#include "diag.h"

#include <string.h>
#include <sys/mman.h>

enum { DUMP_MAX = 10000, DUMP_SKIP_MAX = 12 };

struct dump_list {
    struct weft__g **g;
    const struct weft__g *but;
    uint32_t n, unborn_n;
    struct weft__g *unborn; /* descriptors for those that have not run yet */
    uint64_t left_out;
};

static bool dump_hidden(const char *name)
{
    static const char *const start[] = {"_start", "__libc_start_main", "__libc_start_call_main", "start_thread",
                                        "__clone", "__clone3", "clone3"};

    if (strncmp(name, "weft__", 6) == 0)
        return true;
    for (size_t i = 0; i < sizeof start / sizeof start[0]; i++) {
        size_t n = strlen(start[i]);
        if (strncmp(name, start[i], n) == 0 && (name[n] == '\0' || name[n] == '.' || name[n] == '@'))
            return true;
    }
    return false;
}

/* One frame; false when it is one of those that are not shown. below: there are frames that it called. */
static bool dump_frame(void *pc, bool is_return, bool lines, bool below)
{
    struct weft__where w;

    weft__where((uintptr_t)pc - is_return, lines, &w);
    if (w.name && (dump_hidden(w.name) || (!below && strncmp(w.name, "weft_panic", 10) == 0)))
        return false;
    if (w.name)
        weft__print("%.*s(...)\n", (int)strcspn(w.name, "."), w.name);
    else
        weft__print("0x%lx\n", (unsigned long)(uintptr_t)pc);
    if (w.file)
        weft__print("\t%s:%d +0x%lx\n", w.file, w.line, (unsigned long)w.offset + is_return);
    else if (w.module)
        weft__print("\t%s(+0x%lx) +0x%lx\n", w.module, (unsigned long)w.module_offset,
                    (unsigned long)w.offset + is_return);
    else
        weft__print("\tunknown module\n");
    return true;
}

/* The outermost frames are the C library's start of main or of a thread: nobody asks for them. */
static uint32_t dump_trim(const struct weft__trace *t)
{
    uint32_t n = weft__trace_kept(t);
    struct weft__where w;

    for (; n > 0; n--) {
        uintptr_t pc = (uintptr_t)weft__trace_at(t, n - 1) - 1;
        weft__where(pc, false, &w);
        if (!(w.name && dump_hidden(w.name)) && !weft__where_libc(pc))
            return n;
    }
    return weft__trace_kept(t);
}

/* The innermost frames are weft's and the C library's below it, when a park or a report begins there. weft__park, or
 * what it has handed on to without a frame of its own (worker.c), calls nothing of the program's: what lies below it, static
 * functions too, is weft's. */
static uint32_t dump_skip(const struct weft__trace *t, uint32_t n)
{
    uint32_t first = 0;
    bool own = true;
    struct weft__where w;

    for (uint32_t i = 0; i < n && i < DUMP_SKIP_MAX; i++) {
        uintptr_t pc = (uintptr_t)weft__trace_at(t, i) - 1;
        weft__where(pc, false, &w);
        bool internal = w.name && strncmp(w.name, "weft__", 6) == 0;
        own = own && (internal || weft__where_libc(pc));
        if (internal && (own || strncmp(w.name, "weft__park", 10) == 0))
            first = i + 1;
    }
    return first < n ? first : 0;
}

static bool dump_frames(const struct weft__trace *t, bool lines)
{
    uint32_t n = dump_trim(t);
    bool any = false;

    for (uint32_t i = dump_skip(t, n); i < n; i++) {
        void *pc = weft__trace_at(t, i);
        if (i == WEFT__TRACE_MAX / 2 && t->total > WEFT__TRACE_MAX)
            weft__print("...%llu frames elided...\n", (unsigned long long)(t->total - WEFT__TRACE_MAX));
        any |= dump_frame(pc, pc != t->exact, lines, any);
    }
    return any;
}

/* A goroutine whose function has not been entered, or has handed its frame on in a tail call. */
static void dump_no_frames(const struct weft__g *g)
{
    bool parked = weft__g_state(g) == WEFT__G_PARKED;

    weft__print("%s(...)\n\t%s\n", g->site->name, parked ? "in a tail call" : "not started yet");
}

static void dump_creator(const struct weft__g *g)
{
    if (!g->site)
        return;
    weft__print("created by %s in goroutine %llu\n\t%s:%u\n", g->site->func, (unsigned long long)g->parent_id,
                g->site->file, g->site->line);
}

static const char *dump_state(const struct weft__g *g, bool self)
{
    uint32_t state = weft__g_state(g);

    switch (self && state != WEFT__G_PARKED ? WEFT__G_RUNNING : state) { /* parked: it was about to wait for ever */
    case WEFT__G_RUNNABLE:
        return "runnable";
    case WEFT__G_RUNNING:
        return "running";
    case WEFT__G_PARKED:
        return weft__wait_text((enum weft__wait)atomic_load_explicit(&g->wait, memory_order_relaxed));
    default:
        return "dead";
    }
}

static void dump_header(const struct weft__g *g, bool self)
{
    weft__print("goroutine %llu [%s%s]", (unsigned long long)atomic_load_explicit(&g->id, memory_order_relaxed),
                dump_state(g, self), g->lock_thread_depth || g->pins ? ", locked to thread" : "");
    if (g->label[0])
        weft__print(" \"%.*s\"", (int)sizeof g->label, g->label);
    weft__print(":\n");
}

void weft__dump_g(struct weft__g *g, const struct weft__trace *trace, bool self, bool lines)
{
    static struct weft__trace own;

    dump_header(g, self);
    if (!g->stack_hi) { /* dump_collect_unborn */
        dump_no_frames(g);
        dump_creator(g);
        return;
    }
    if (!trace && atomic_load_explicit(&g->sw.on_cpu, memory_order_acquire) == 0) { /* Z3, G1 */
        weft__trace_parked(&own, g);
        trace = &own;
    }
    if (!trace)
        trace = weft__trace_running(g);
    if (!trace)
        weft__print("\tgoroutine running on other thread; stack unavailable\n");
    else if (!dump_frames(trace, lines) && g->site)
        dump_no_frames(g);
    dump_creator(g);
}

/* The first ones that the walk meets are kept. */
static void dump_collect(struct weft__g *g, void *arg)
{
    struct dump_list *l = arg;

    if (g == l->but || g->system || atomic_load_explicit(&g->id, memory_order_relaxed) == 0)
        return;
    if (l->n < DUMP_MAX)
        l->g[l->n++] = g;
    else
        l->left_out++;
}

/* One that has not run yet: it gets a descriptor to be sorted and shown with the others. */
static void dump_collect_unborn(const struct weft__unborn *u, void *arg)
{
    struct dump_list *l = arg;
    struct weft__g *g = &l->unborn[l->unborn_n];

    if (l->n == DUMP_MAX) {
        l->left_out++;
        return;
    }
    atomic_store_explicit(&g->id, u->id, memory_order_relaxed);
    atomic_store_explicit(&g->state, WEFT__G_RUNNABLE, memory_order_relaxed);
    g->parent_id = u->parent_id;
    g->site = u->site;
    l->unborn_n++;
    l->g[l->n++] = g;
}

/* Shell sort by number: no memory, no recursion. */
static void dump_sort(struct dump_list *l)
{
    for (uint32_t gap = l->n / 2; gap > 0; gap = gap == 2 ? 1 : gap * 5 / 11)
        for (uint32_t i = gap; i < l->n; i++) {
            struct weft__g *g = l->g[i];
            uint32_t k = i;
            for (; k >= gap && atomic_load_explicit(&l->g[k - gap]->id, memory_order_relaxed) >
                                   atomic_load_explicit(&g->id, memory_order_relaxed);
                 k -= gap)
                l->g[k] = l->g[k - gap];
            l->g[k] = g;
        }
}

void weft__dump_others(const struct weft__g *self, bool lines)
{
    struct dump_list l = {.but = self};
    size_t list = DUMP_MAX * sizeof *l.g, unborn = DUMP_MAX * sizeof *l.unborn;
    void *p = mmap(NULL, list + unborn, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    if (p == MAP_FAILED)
        return;
    l.g = p;
    l.unborn = (struct weft__g *)((char *)p + list);
    weft__g_each(dump_collect, &l);
    weft__spawn_each(dump_collect_unborn, &l);
    dump_sort(&l);
    for (uint32_t i = 0; i < l.n; i++) {
        weft__print("\n");
        weft__dump_g(l.g[i], NULL, false, lines);
    }
    if (l.left_out)
        weft__print("\n...%llu more goroutines not shown...\n", (unsigned long long)l.left_out);
}
