/*
 * map.c - a map for many goroutines: shards, each a hash table under a mutex.
 *
 * Role    Go's sync.Map for C. Near include/weft/map.h, mutex.c. Layer 3.
 *
 * Invariants, whenever the shard's mutex is free:
 *   MP1  A node is in bucket hash % size of its shard's table, once; no two nodes have equal keys.
 *   MP2  refs of a node = 1 while it is in the table, plus one for each range that is about to visit it.
 *   MP3  n is the number of nodes in the table; n <= size, but when memory is short.
 * Order   MP4  table: compare-and-swap release  ->  load acquire by everybody else.
 * Locks   The shard's mutex, over allocation too. Never two shards. No user code under it.
 * Limits  32 shards. Doubling a shard moves all its nodes at once.
 * Failure Out of memory is fatal, but for the doubling, which is tried again later.
 * Not so  Lock-free reads need a way to know when readers have left a node; they come with a reclamation scheme.
 * Source  Go sync/map.go (the interface).
 */
#include <string.h>
#include <weft/map.h>

#include "../sched/sched.h"
#include "../sys/sys.h"

enum { MAP_SHARDS = 32, MAP_START = 8 };

struct map_node {
    struct map_node *next;      /* [m] in its bucket */
    _Atomic uint32_t refs;      /* [MP2] */
    _Atomic bool gone;          /* [m for writes] taken out */
    void *_Atomic v;            /* [m for writes] */
    uint64_t hash;              /* [const] */
    uint64_t u;                 /* [const] */
    bool is_string;             /* [const] */
    char s[];                   /* [const] */
};

struct map_shard {
    weft_mutex m;
    uint32_t n, size;           /* [m] MP3; size: a power of two, or 0 */
    struct map_node **buckets;  /* [m] */
} __attribute__((aligned(64)));

struct weft__map_table {
    uint64_t seed;              /* [const] */
    void *block;                /* [const] what was allocated */
    struct map_shard shards[MAP_SHARDS];
};

static uint64_t map_mix(uint64_t x)
{
    x ^= x >> 32;
    x *= 0xd6e8feb86659fd93u;
    x ^= x >> 32;
    x *= 0xd6e8feb86659fd93u;
    return x ^ x >> 32;
}

static uint64_t map_hash(const struct weft__map_table *t, weft_map_key k)
{
    if (!k.s)
        return map_mix(k.u ^ t->seed);
    uint64_t h = t->seed ^ 0xcbf29ce484222325u;                    /* FNV-1a, mixed */
    for (const char *p = k.s; *p; p++)
        h = (h ^ (unsigned char)*p) * 0x100000001b3u;
    return map_mix(h + 1);
}

static void *map_alloc(size_t bytes)
{
    void *p = weft__sys_alloc(bytes);
    if (!p)
        weft__fatal("out of memory: weft_map");
    return p;
}

static struct weft__map_table *map_table(weft_map *m)
{
    struct weft__map_table *t = atomic_load_explicit(&m->weft__table, memory_order_acquire);  /* MP4 */
    if (weft__likely(t != NULL))
        return t;
    char *block = map_alloc(sizeof *t + 64);
    struct weft__map_table *fresh = (struct weft__map_table *)(((uintptr_t)block + 63) & ~(uintptr_t)63);
    fresh->seed = weft__sys_entropy();
    fresh->block = block;
    if (atomic_compare_exchange_strong_explicit(&m->weft__table, &t, fresh, memory_order_acq_rel,  /* MP4 */
                                                memory_order_acquire))
        return fresh;
    weft__sys_free(block);
    return t;
}

static void node_unref(struct map_node *n)
{
    if (atomic_fetch_sub_explicit(&n->refs, 1, memory_order_acq_rel) == 1)                    /* MP2 */
        weft__sys_free(n);
}

/* Where one key lives. */
struct map_place {
    struct map_shard *sh;
    struct map_node **link;     /* the pointer to its node, or where it would be hung in; NULL: no buckets yet */
    uint64_t hash;
};

static bool node_is(const struct map_node *n, uint64_t hash, weft_map_key k)
{
    if (n->hash != hash || n->is_string != (k.s != NULL))
        return false;
    return k.s ? strcmp(n->s, k.s) == 0 : n->u == k.u;
}

/* Locks the shard and looks k up. */
static struct map_node *map_find(weft_map *m, weft_map_key k, struct map_place *ret_at)
{
    struct weft__map_table *t = map_table(m);
    uint64_t hash = map_hash(t, k);
    struct map_shard *sh = &t->shards[hash >> 59];

    weft_mutex_lock(&sh->m);
    struct map_node **link = sh->size ? &sh->buckets[hash & (sh->size - 1)] : NULL;
    while (link && *link && !node_is(*link, hash, k))
        link = &(*link)->next;
    *ret_at = (struct map_place){sh, link, hash};
    return link ? *link : NULL;
}

/* Twice the buckets. Mutex held. */
static void shard_grow(struct map_shard *sh)
{
    uint32_t size = sh->size ? sh->size * 2 : MAP_START;
    struct map_node **buckets = weft__sys_alloc(size * sizeof(struct map_node *));
    if (!buckets && sh->size)
        return;                                                    /* MP3 */
    if (!buckets)
        weft__fatal("out of memory: weft_map");
    for (uint32_t i = 0; i < sh->size; i++)
        for (struct map_node *n = sh->buckets[i], *next; n; n = next) {
            next = n->next;
            n->next = buckets[n->hash & (size - 1)];
            buckets[n->hash & (size - 1)] = n;
        }
    weft__sys_free(sh->buckets);
    sh->buckets = buckets;
    sh->size = size;
}

/* Hang in a node for a key that is not there. Mutex held. */
static void map_insert(struct map_place *at, weft_map_key k, const void *v)
{
    size_t len = k.s ? strlen(k.s) + 1 : 0;
    struct map_node *n = map_alloc(sizeof *n + len);
    struct map_shard *sh = at->sh;

    atomic_init(&n->refs, 1);
    atomic_init(&n->v, (void *)(uintptr_t)v);
    n->hash = at->hash;
    n->u = k.u;
    n->is_string = k.s != NULL;
    if (k.s)
        memcpy(n->s, k.s, len);
    if (sh->n >= sh->size)
        shard_grow(sh);
    struct map_node **bucket = &sh->buckets[n->hash & (sh->size - 1)];
    n->next = *bucket;
    *bucket = n;                                                   /* MP1 */
    sh->n++;
}

/* Take a node out. Mutex held; the caller drops the reference after unlocking. */
static void map_remove(struct map_place *at, struct map_node *n)
{
    *at->link = n->next;
    at->sh->n--;
    atomic_store_explicit(&n->gone, true, memory_order_relaxed);
}

static void *node_value(struct map_node *n)
{
    return atomic_load_explicit(&n->v, memory_order_acquire);
}

static void node_set(struct map_node *n, const void *v)
{
    atomic_store_explicit(&n->v, (void *)(uintptr_t)v, memory_order_release);
}

static bool map_answer(bool there, void *v, void **ret_out)
{
    if (ret_out && there)
        *ret_out = v;
    return there;
}

bool weft__map_load(weft_map *m, weft_map_key k, void **ret_out)
{
    struct map_place at;
    struct map_node *n = map_find(m, k, &at);
    void *v = n ? node_value(n) : NULL;
    weft_mutex_unlock(&at.sh->m);
    return map_answer(n != NULL, v, ret_out);
}

bool weft__map_swap(weft_map *m, weft_map_key k, const void *v, void **ret_out)
{
    struct map_place at;
    struct map_node *n = map_find(m, k, &at);
    void *before = n ? node_value(n) : NULL;
    if (n)
        node_set(n, v);
    else
        map_insert(&at, k, v);
    weft_mutex_unlock(&at.sh->m);
    return map_answer(n != NULL, before, ret_out);
}

void weft__map_store(weft_map *m, weft_map_key k, const void *v)
{
    (void)weft__map_swap(m, k, v, NULL);
}

bool weft__map_load_or_store(weft_map *m, weft_map_key k, const void *v, void **ret_out)
{
    struct map_place at;
    struct map_node *n = map_find(m, k, &at);
    void *is = n ? node_value(n) : (void *)(uintptr_t)v;
    if (!n)
        map_insert(&at, k, v);
    weft_mutex_unlock(&at.sh->m);
    (void)map_answer(true, is, ret_out);
    return n != NULL;
}

bool weft__map_load_and_delete(weft_map *m, weft_map_key k, void **ret_out)
{
    struct map_place at;
    struct map_node *n = map_find(m, k, &at);
    void *v = n ? node_value(n) : NULL;
    if (n)
        map_remove(&at, n);
    weft_mutex_unlock(&at.sh->m);
    if (n)
        node_unref(n);
    return map_answer(n != NULL, v, ret_out);
}

bool weft__map_compare_and_swap(weft_map *m, weft_map_key k, const void *old_v, const void *new_v)
{
    struct map_place at;
    struct map_node *n = map_find(m, k, &at);
    bool same = n && node_value(n) == old_v;
    if (same)
        node_set(n, new_v);
    weft_mutex_unlock(&at.sh->m);
    return same;
}

bool weft__map_compare_and_delete(weft_map *m, weft_map_key k, const void *old_v)
{
    struct map_place at;
    struct map_node *n = map_find(m, k, &at);
    bool same = n && node_value(n) == old_v;
    if (same)
        map_remove(&at, n);
    weft_mutex_unlock(&at.sh->m);
    if (same)
        node_unref(n);
    return same;
}

void weft_map_clear(weft_map *m)
{
    struct weft__map_table *t = map_table(m);
    for (int i = 0; i < MAP_SHARDS; i++) {
        struct map_shard *sh = &t->shards[i];
        weft_mutex_lock(&sh->m);
        struct map_node **buckets = sh->buckets;
        uint32_t size = sh->size;
        sh->buckets = NULL;
        sh->n = sh->size = 0;
        for (uint32_t b = 0; b < size; b++)
            for (struct map_node *n = buckets[b]; n; n = n->next)
                atomic_store_explicit(&n->gone, true, memory_order_relaxed);
        weft_mutex_unlock(&sh->m);
        for (uint32_t b = 0; b < size; b++)
            for (struct map_node *n = buckets[b], *next; n; n = next) {
                next = n->next;
                node_unref(n);
            }
        weft__sys_free(buckets);
    }
}

/* The nodes of one shard that a range is about to visit. */
struct map_visit {
    struct map_node **nodes;
    uint32_t n;
};

/* Also when fn panics or ends its goroutine. */
static void visit_end(struct map_visit *visit)
{
    for (uint32_t i = 0; i < visit->n; i++)
        node_unref(visit->nodes[i]);
    weft__sys_free(visit->nodes);
}

static void visit_collect(struct map_shard *sh, struct map_visit *visit)
{
    weft_mutex_lock(&sh->m);
    if (sh->n > 0)
        visit->nodes = map_alloc(sh->n * sizeof(struct map_node *));
    for (uint32_t b = 0; b < sh->size; b++)
        for (struct map_node *n = sh->buckets[b]; n; n = n->next) {
            atomic_fetch_add_explicit(&n->refs, 1, memory_order_relaxed);                      /* MP2 */
            visit->nodes[visit->n++] = n;
        }
    weft_mutex_unlock(&sh->m);
}

static bool visit_shard(struct map_shard *sh, bool (*fn)(weft_map_key k, void *v, void *arg), void *arg)
{
    struct map_visit visit __attribute__((cleanup(visit_end))) = {NULL, 0};
    visit_collect(sh, &visit);
    for (uint32_t i = 0; i < visit.n; i++) {
        struct map_node *n = visit.nodes[i];
        weft_map_key k = {n->u, n->is_string ? n->s : NULL};
        if (!atomic_load_explicit(&n->gone, memory_order_relaxed) && !fn(k, node_value(n), arg))
            return false;
    }
    return true;
}

void weft_map_range(weft_map *m, bool (*fn)(weft_map_key k, void *v, void *arg), void *arg)
{
    struct weft__map_table *t = map_table(m);
    for (int i = 0; i < MAP_SHARDS; i++)
        if (!visit_shard(&t->shards[i], fn, arg))
            return;
}

void weft_map_free(weft_map *m)
{
    struct weft__map_table *t = atomic_load_explicit(&m->weft__table, memory_order_acquire);  /* MP4 */
    if (!t)
        return;
    weft_map_clear(m);
    atomic_store_explicit(&m->weft__table, NULL, memory_order_relaxed);
    weft__sys_free(t->block);
}
