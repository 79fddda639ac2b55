/*
 * track.c - debug builds: a table of what exists, with the place of its creation.
 *
 * Role    weft__track_new and _gone keep it; leak.c prints what is left at exit.
 * Near    track.h; chan.c, ctx.c, cancel.c, timechan.c call it. Layer 2.
 * Invariants
 *   TR1  an address is at most once in the table for a kind: new of a known one replaces its place (a timer started again).
 *   TR2  addresses are kept inverted: LeakSanitizer, which looks for pointers, is not to find them here.
 * Locks   track_lock, for a walk of one chain; memory is taken before and given back after it.
 * Limits  8 frames of a place, 4,096 chains; 50 groups are printed of a kind.
 * Failure Without memory an object is not known: never reported.
 */
#include "track.h"

#include "diag.h"

#if WEFT_DEBUG

#include <string.h>
#include <unwind.h>

#include "../sys/sys.h"

enum { TRACK_FRAMES = 8, TRACK_WALK = 24, TRACK_CHAINS = 4096, TRACK_GROUPS = 50 };

struct track {
    struct track *next;
    uintptr_t key;                /* [const; TR2] */
    uint64_t goid;                /* [const] who made it; 0: before the runtime's start */
    enum weft__track_kind kind;   /* [const] */
    uint32_t n;                   /* [const] frames */
    void *pc[TRACK_FRAMES];       /* [const] */
};

static struct weft__lock track_lock;
static struct track *track_chain[TRACK_CHAINS]; /* [track_lock] */
static _Atomic uint32_t track_n[WEFT__TRACK_KINDS]; /* [track_lock for writes; stat] */

struct track_walk {
    struct track *t;
    uint32_t steps;
};

static _Unwind_Reason_Code track_step(struct _Unwind_Context *ctx, void *arg)
{
    struct track_walk *w = arg;
    uintptr_t ip = _Unwind_GetIP(ctx);

    if (ip == 0 || ++w->steps > TRACK_WALK || w->t->n == TRACK_FRAMES)
        return _URC_NORMAL_STOP;
    if (w->steps > 2) /* this file's own */
        w->t->pc[w->t->n++] = (void *)ip;
    return _URC_NO_REASON;
}

static struct track **track_find(enum weft__track_kind kind, uintptr_t key)
{
    struct track **at = &track_chain[(key >> 4 ^ key >> 16) % TRACK_CHAINS];

    while (*at && ((*at)->key != key || (*at)->kind != kind))
        at = &(*at)->next;
    return at;
}

__attribute__((noinline)) void weft__track_new(enum weft__track_kind kind, const volatile void *p)
{
    weft__leak_init();
    struct track *t = weft__sys_alloc(sizeof *t);
    struct weft__g *g = weft__g_or_null();

    if (!t)
        return;
    t->key = ~(uintptr_t)p;
    t->kind = kind;
    t->goid = g ? atomic_load_explicit(&g->id, memory_order_relaxed) : 0;
    _Unwind_Backtrace(track_step, &(struct track_walk){t, 0});
    weft__lock(&track_lock);
    struct track **at = track_find(kind, t->key), *old = *at;
    t->next = old ? old->next : NULL; /* TR1 */
    *at = t;
    if (!old)
        atomic_store_explicit(&track_n[kind], atomic_load_explicit(&track_n[kind], memory_order_relaxed) + 1, memory_order_relaxed);
    weft__unlock(&track_lock);
    weft__sys_free(old);
}

void weft__track_gone(enum weft__track_kind kind, const volatile void *p)
{
    if (atomic_load_explicit(&track_n[kind], memory_order_relaxed) == 0)
        return;
    weft__lock(&track_lock);
    struct track **at = track_find(kind, ~(uintptr_t)p), *t = *at;
    if (t) {
        *at = t->next;
        atomic_store_explicit(&track_n[kind], atomic_load_explicit(&track_n[kind], memory_order_relaxed) - 1, memory_order_relaxed);
    }
    weft__unlock(&track_lock);
    weft__sys_free(t);
}

/* ---- showing ---- */

/* The first frame that is the user's: after weft__... or, where the innermost is a static function, after weft_... */
static uint32_t track_first(const struct track *t)
{
    struct weft__where w;

    for (uint32_t i = 0; i < t->n && i < 4; i++) {
        weft__where((uintptr_t)t->pc[i] - 1, false, &w);
        if (w.name && strncmp(w.name, "weft_", 5) == 0 && (i == 0 || w.name[5] != '_'))
            return i + 1;
    }
    return 0;
}

static void track_print_place(const struct track *t)
{
    struct weft__where w;
    bool any = false;

    for (uint32_t i = track_first(t); i < t->n; i++) {
        weft__where((uintptr_t)t->pc[i] - 1, true, &w);
        if (!w.name || strncmp(w.name, "weft__", 6) == 0 || weft__where_libc((uintptr_t)t->pc[i]) || strcmp(w.name, "_start") == 0)
            continue;
        any = true;
        if (w.file)
            weft__print("\t%.*s at %s:%d\n", (int)strcspn(w.name, "."), w.name, w.file, w.line);
        else
            weft__print("\t%.*s in %s(+0x%lx)\n", (int)strcspn(w.name, "."), w.name, w.module, (unsigned long)w.module_offset);
    }
    if (!any)
        weft__print("\tplace not known\n");
}

struct track_group {
    const struct track *first;
    size_t n;
};

static bool track_same_place(const struct track *a, const struct track *b)
{
    return a->n == b->n && memcmp(a->pc, b->pc, a->n * sizeof a->pc[0]) == 0;
}

/* Counts a kind by place; places beyond the room are counted in the last one. Lock held. */
static uint32_t track_groups(enum weft__track_kind kind, struct track_group *ret_groups, size_t *ret_others)
{
    uint32_t n = 0, k;

    *ret_others = 0;
    for (uint32_t i = 0; i < TRACK_CHAINS; i++)
        for (struct track *t = track_chain[i]; t; t = t->next) {
            if (t->kind != kind)
                continue;
            for (k = 0; k < n && !track_same_place(ret_groups[k].first, t); k++)
                ;
            if (k == TRACK_GROUPS) {
                ++*ret_others;
                continue;
            }
            if (k == n)
                ret_groups[n++] = (struct track_group){t, 0};
            ret_groups[k].n++;
        }
    return n;
}

static const struct {
    const char *noun, *made;
} track_words[WEFT__TRACK_KINDS] = {
    {"channel", "made"}, {"context", "made"}, {"timer", "started"},
};

size_t weft__track_list(enum weft__track_kind kind, bool print)
{
    static struct track_group groups[TRACK_GROUPS]; /* too large for the stack; one thread reports */
    size_t others = 0, all = atomic_load_explicit(&track_n[kind], memory_order_relaxed);

    if (!print || all == 0)
        return all;
    weft__lock(&track_lock);
    uint32_t n = track_groups(kind, groups, &others);
    weft__unlock(&track_lock);
    for (uint32_t i = 0; i < n; i++) {
        const struct track *t = groups[i].first;
        weft__print("%zu %s%s, %s", groups[i].n, track_words[kind].noun, groups[i].n > 1 ? "s" : "", track_words[kind].made);
        if (t->goid)
            weft__print(" by goroutine %llu", (unsigned long long)t->goid);
        weft__print(":\n");
        track_print_place(t);
    }
    if (others)
        weft__print("and %zu more, from other places\n", others);
    return all;
}

#else

size_t weft__track_list(enum weft__track_kind kind, bool print)
{
    (void)kind, (void)print;
    return 0;
}

#endif
