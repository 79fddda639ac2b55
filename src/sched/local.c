/*
 * local.c - values that belong to a goroutine.
 *
 * Role    weft_local_get and _set; the drops at a goroutine's end. Near include/weft/local.h, g.c (the end), start.c (the end of
 *         a thread that weft did not start). Layer 2.
 *
 * Invariants:
 *   LV1  g->locals is read and written by its goroutine alone. has_locals == (locals is not empty): g.c looks at it at the end,
 *        as it lies beside what that touches anyway.
 *   LV2  A key is in the list once, with a value that is not NULL.
 * Locks   none.
 * Limits  The list is searched in order.
 * Failure Out of memory is fatal.
 */
#include <weft/local.h>

#include "sched_int.h"

struct weft__local {
    struct weft__local *next;
    const weft_local *key;
    void *value;
};

/* Where the key's entry hangs, or would. */
static struct weft__local **local_find(struct weft__g *g, const weft_local *key)
{
    struct weft__local **at = &g->locals;
    while (*at && (*at)->key != key)
        at = &(*at)->next;
    return at;
}

void *weft_local_get(const weft_local *key)
{
    struct weft__local *l = *local_find(weft__g(), key);
    return l ? l->value : NULL;
}

/* Take an entry out. LV1, LV2 */
static void local_remove(struct weft__g *g, struct weft__local **at)
{
    struct weft__local *l = *at;
    *at = l->next;
    g->has_locals = g->locals != NULL;
    weft__sys_free(l);
}

void weft_local_set(const weft_local *key, void *value)
{
    struct weft__g *g = weft__g();
    struct weft__local **at = local_find(g, key), *l = *at;

    if (!value) {
        if (l)
            local_remove(g, at);
        return;
    }
    if (!l) {
        l = weft__sys_alloc(sizeof *l);
        if (!l)
            weft__fatal("out of memory: weft_local_set");
        l->key = key;
        l->next = g->locals;
        g->locals = l;
        g->has_locals = true;
    }
    l->value = value;
}

void weft__local_end(struct weft__g *g)
{
    while (g->locals) {
        const weft_local *key = g->locals->key;
        void *value = g->locals->value;
        local_remove(g, &g->locals);
        if (key->drop)
            key->drop(value);
    }
}
