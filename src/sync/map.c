/*
 * map.c - a map for many goroutines: shards, each a hash table under a mutex; loads take no lock.
 *
 * Role    Go's sync.Map for C. Near include/weft/map.h, mutex.c, sched/section.c (read sections). Layer 3.
 *
 * Invariants, whenever the shard's mutex is free:
 *   MP1  A node is in bucket hash % size of its shard's table, once; no two nodes have equal keys; none has the value GONE.
 *   MP2  refs of a node = 1 until the readers that could have found it have left, plus one for each range that visits it.
 *   MP3  n is the number of nodes in the table; n <= size, but when memory is short.
 *   MP5  What is taken out of reach (a node, a table that has been doubled) is freed after weft__read_wait. A node that
 *        was taken out keeps its next, so that whoever stands on it finds the way on.
 *   MP6  Who takes a node out first exchanges its value for GONE. A store without the mutex is a compare-and-swap from
 *        another value: it comes before that, or sees GONE and takes the mutex.
 *   MP7  moves is odd while nodes move to a bigger table. A load that found nothing although moves changed, or was odd,
 *        knows nothing: it looks again under the mutex. One that found its key is right in any case.
 * Order   MP4  table, buckets, a bucket, next, v: store release  ->  load acquire: what they lead to. moves: the odd store comes
 *              before the releases of next that it announces, so who sees one of those sees moves changed after it.
 * Locks   The shard's mutex for all that adds, removes or moves nodes, over allocation too. Never two shards. No user code
 *         under it.
 * Limits  32 shards. Doubling a shard moves all its nodes at once. Up to 64 removed nodes of a shard wait to be freed.
 * Failure Out of memory is fatal, but for the doubling, which is tried again later.
 * Model   tests/model/read.pml (read sections).
 * Source  Go sync/map.go (the interface).
 */
#include <string.h>
#include <weft/map.h>

#include "../base/keyhash.h"
#include "../sched/sched.h"
#include "../sched/section.h"
#include "../sys/sys.h"

enum { MAP_SHARDS = 32, MAP_START = 8, MAP_REMOVED_MAX = 64 };

struct map_node {
    struct map_node *_Atomic next;      /* [m for writes, MP4] in its bucket */
    void *_Atomic v;                    /* [MP4, MP6] */
    uint64_t hash;                      /* [const] */
    uint64_t u;                         /* [const] */
    _Atomic uint32_t refs;              /* [MP2] */
    bool is_string;                     /* [const] */
    struct map_node *removed_next;      /* [m] */
    char s[];                           /* [const] */
};

struct map_buckets {
    uint32_t size;                      /* [const] a power of two */
    struct map_node *_Atomic at[];      /* [m for writes, MP4] */
};

struct map_shard {
    struct map_buckets *_Atomic buckets; /* [m for writes, MP4] NULL: empty */
    _Atomic uint32_t moves;             /* [m for writes, MP7] */
    uint32_t n;                         /* [m] MP3 */
    weft_mutex m;
    struct map_buckets *outgrown;       /* [m] MP5: to be freed when the mutex is dropped */
    struct map_node *removed;           /* [m] MP5 */
    uint32_t removed_n;                 /* [m] */
} __attribute__((aligned(64)));

static char map_gone;
#define GONE ((void *)&map_gone)        /* MP6: no user has this address */

struct weft__map_table {
    uint64_t seed;              /* [const] of numbers' hashes */
    uint64_t key;               /* [const] of strings' (keyhash.h): who chooses them must not choose the bucket */
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
    return map_mix(weft__keyhash(t->key, k.s, strlen(k.s)));   /* mixed: the shard goes by the highest bits */
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
    fresh->key = weft__keyhash_key(weft__sys_entropy());
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

/* ---- finding ---- */

/* Where one key lives. */
struct map_place {
    struct map_shard *sh;
    struct map_node *_Atomic *link; /* the pointer to its node, or where it would be hung in; NULL: no buckets yet */
    uint64_t hash;
};

static bool node_is(const struct map_node *n, uint64_t hash, weft_map_key k)
{
    if (n->hash != hash || n->is_string != (k.s != NULL))
        return false;
    return k.s ? strcmp(n->s, k.s) == 0 : n->u == k.u;
}

static struct map_node *node_at(struct map_node *_Atomic *link)
{
    return atomic_load_explicit(link, memory_order_acquire);                                  /* MP4 */
}

static struct map_buckets *shard_buckets(struct map_shard *sh)
{
    return atomic_load_explicit(&sh->buckets, memory_order_acquire);                          /* MP4 */
}

static struct map_shard *map_shard_of(weft_map *m, weft_map_key k, uint64_t *ret_hash)
{
    struct weft__map_table *t = map_table(m);
    *ret_hash = map_hash(t, k);
    return &t->shards[*ret_hash >> 59];
}

/* k's node, or NULL, and the pointer that led to it: the one at the end of its bucket, or NULL where there are no buckets. In
 * a read section, where that pointer may lead to another node by now, or with the mutex. */
static struct map_node *shard_find(struct map_shard *sh, uint64_t hash, weft_map_key k, struct map_node *_Atomic **ret_link)
{
    struct map_buckets *b = shard_buckets(sh);
    struct map_node *_Atomic *link = b ? &b->at[hash & (b->size - 1)] : NULL;
    struct map_node *n = link ? node_at(link) : NULL;

    for (; n && !node_is(n, hash, k); n = node_at(link))
        link = &n->next;
    *ret_link = link;
    return n;
}

/* Locks the shard and looks k up. */
static struct map_node *map_find(weft_map *m, weft_map_key k, struct map_place *ret_at)
{
    uint64_t hash;
    struct map_shard *sh = map_shard_of(m, k, &hash);

    weft_mutex_lock(&sh->m);
    *ret_at = (struct map_place){sh, NULL, hash};
    return shard_find(sh, hash, k, &ret_at->link);
}

/* What a look without the mutex says. */
enum map_look { LOOK_UNKNOWN, LOOK_ABSENT, LOOK_THERE };

/* Looks k up without the mutex. to NULL: *ret_v is its value; else its value becomes *to. */
static enum map_look map_look(weft_map *m, weft_map_key k, void **ret_v, const void *const *to)
{
    uint64_t hash;
    struct map_shard *sh = map_shard_of(m, k, &hash);
    struct weft__m *reader = weft__read_begin();
    if (!reader)
        return LOOK_UNKNOWN;
    uint32_t moves = atomic_load_explicit(&sh->moves, memory_order_acquire);                  /* MP7 */
    struct map_node *_Atomic *link;
    struct map_node *n = shard_find(sh, hash, k, &link);
    void *v = n ? atomic_load_explicit(&n->v, memory_order_acquire) : GONE;                   /* MP4 */
    while (to && v != GONE && !atomic_compare_exchange_weak_explicit(&n->v, &v, (void *)(uintptr_t)*to,
                                                                     memory_order_acq_rel, memory_order_acquire))
        ;                                                                                     /* MP6 */
    bool moved = moves & 1 || atomic_load_explicit(&sh->moves, memory_order_acquire) != moves; /* MP7 */
    weft__read_end(reader);
    *ret_v = v;
    return v != GONE ? LOOK_THERE : moved || to ? LOOK_UNKNOWN : LOOK_ABSENT;
}

/* ---- changing ---- */

static void nodes_unref(struct map_node *n)
{
    for (struct map_node *next; n; n = next) {
        next = n->removed_next;
        node_unref(n);
    }
}

/* Drops the mutex, and frees what has been taken out, when that is much or all is asked for. */
static void shard_unlock(struct map_shard *sh, bool all)
{
    struct map_buckets *outgrown = sh->outgrown;
    struct map_node *removed = NULL;

    sh->outgrown = NULL;
    if (all || outgrown || sh->removed_n >= MAP_REMOVED_MAX) {
        removed = sh->removed;
        sh->removed = NULL;
        sh->removed_n = 0;
    }
    weft_mutex_unlock(&sh->m);
    if (!removed && !outgrown)
        return;
    weft__read_wait();                                                                        /* MP5 */
    nodes_unref(removed);
    weft__sys_free(outgrown);
}

/* Twice the buckets. Mutex held. */
static void shard_grow(struct map_shard *sh)
{
    struct map_buckets *was = shard_buckets(sh);
    uint32_t size = was ? was->size * 2 : MAP_START, moves = atomic_load_explicit(&sh->moves, memory_order_relaxed);
    struct map_buckets *b = weft__sys_alloc(sizeof *b + size * sizeof b->at[0]);
    if (!b && was)
        return;                                                                               /* MP3 */
    if (!b)
        weft__fatal("out of memory: weft_map");
    b->size = size;
    atomic_store_explicit(&sh->moves, moves + 1, memory_order_relaxed);                       /* MP7 */
    for (uint32_t i = 0; was && i < was->size; i++)
        for (struct map_node *n = node_at(&was->at[i]), *next; n; n = next) {
            struct map_node *_Atomic *to = &b->at[n->hash & (size - 1)];
            next = node_at(&n->next);
            atomic_store_explicit(&n->next, node_at(to), memory_order_release);               /* MP4, MP7 */
            atomic_store_explicit(to, n, memory_order_release);
        }
    atomic_store_explicit(&sh->buckets, b, memory_order_release);                             /* MP4 */
    atomic_store_explicit(&sh->moves, moves + 2, memory_order_release);                       /* MP7 */
    sh->outgrown = was;
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
    struct map_buckets *b = shard_buckets(sh);
    if (!b || sh->n >= b->size) {
        shard_grow(sh);
        b = shard_buckets(sh);
    }
    struct map_node *_Atomic *bucket = &b->at[n->hash & (b->size - 1)];
    atomic_init(&n->next, node_at(bucket));
    atomic_store_explicit(bucket, n, memory_order_release);                                   /* MP1, MP4 */
    sh->n++;
}

/* A node that is out of reach: its value was exchanged for GONE. Mutex held. */
static void shard_removed(struct map_shard *sh, struct map_node *n)
{
    n->removed_next = sh->removed;
    sh->removed = n;
    sh->removed_n++;
    sh->n--;
}

/* Take a node out. Mutex held. */
static void map_remove(struct map_place *at, struct map_node *n)
{
    atomic_store_explicit(at->link, node_at(&n->next), memory_order_release);                 /* MP4, MP5 */
    shard_removed(at->sh, n);
}

static void *node_exchange(struct map_node *n, const void *v)
{
    return atomic_exchange_explicit(&n->v, (void *)(uintptr_t)v, memory_order_acq_rel);       /* MP4, MP6 */
}

static bool node_change(struct map_node *n, const void *old_v, const void *new_v)
{
    void *was = (void *)(uintptr_t)old_v;
    return atomic_compare_exchange_strong_explicit(&n->v, &was, (void *)(uintptr_t)new_v, memory_order_acq_rel, /* MP4, MP6 */
                                                   memory_order_acquire);
}

static bool map_answer(bool there, void *v, void **ret_out)
{
    if (ret_out)
        *ret_out = there ? v : NULL;
    return there;
}

bool weft__map_load(weft_map *m, weft_map_key k, void **ret_out)
{
    void *v;
    enum map_look look = map_look(m, k, &v, NULL);
    if (weft__likely(look != LOOK_UNKNOWN))
        return map_answer(look == LOOK_THERE, v, ret_out);

    struct map_place at;
    struct map_node *n = map_find(m, k, &at);
    v = n ? atomic_load_explicit(&n->v, memory_order_acquire) : NULL;
    shard_unlock(at.sh, false);
    return map_answer(n != NULL, v, ret_out);
}

bool weft__map_swap(weft_map *m, weft_map_key k, const void *v, void **ret_out)
{
    void *before;
    if (weft__likely(map_look(m, k, &before, &v) == LOOK_THERE))
        return map_answer(true, before, ret_out);

    struct map_place at;
    struct map_node *n = map_find(m, k, &at);
    before = n ? node_exchange(n, v) : NULL;
    if (!n)
        map_insert(&at, k, v);
    shard_unlock(at.sh, false);
    return map_answer(n != NULL, before, ret_out);
}

void weft__map_store(weft_map *m, weft_map_key k, const void *v)
{
    (void)weft__map_swap(m, k, v, NULL);
}

bool weft__map_load_or_store(weft_map *m, weft_map_key k, const void *v, void **ret_out)
{
    void *is;
    if (map_look(m, k, &is, NULL) == LOOK_THERE)
        return map_answer(true, is, ret_out);

    struct map_place at;
    struct map_node *n = map_find(m, k, &at);
    is = n ? atomic_load_explicit(&n->v, memory_order_acquire) : (void *)(uintptr_t)v;
    if (!n)
        map_insert(&at, k, v);
    shard_unlock(at.sh, false);
    (void)map_answer(true, is, ret_out);
    return n != NULL;
}

bool weft__map_load_and_delete(weft_map *m, weft_map_key k, void **ret_out)
{
    struct map_place at;
    struct map_node *n = map_find(m, k, &at);
    void *v = n ? node_exchange(n, GONE) : NULL;
    if (n)
        map_remove(&at, n);
    shard_unlock(at.sh, false);
    return map_answer(n != NULL, v, ret_out);
}

bool weft__map_compare_and_swap(weft_map *m, weft_map_key k, const void *old_v, const void *new_v)
{
    struct map_place at;
    struct map_node *n = map_find(m, k, &at);
    bool same = n && node_change(n, old_v, new_v);
    shard_unlock(at.sh, false);
    return same;
}

bool weft__map_compare_and_delete(weft_map *m, weft_map_key k, const void *old_v)
{
    struct map_place at;
    struct map_node *n = map_find(m, k, &at);
    bool same = n && node_change(n, old_v, GONE);
    if (same)
        map_remove(&at, n);
    shard_unlock(at.sh, false);
    return same;
}

void weft_map_clear(weft_map *m)
{
    struct weft__map_table *t = map_table(m);
    for (int i = 0; i < MAP_SHARDS; i++) {
        struct map_shard *sh = &t->shards[i];
        weft_mutex_lock(&sh->m);
        struct map_buckets *was = shard_buckets(sh);
        for (uint32_t b = 0; was && b < was->size; b++)
            for (struct map_node *n = node_at(&was->at[b]); n; n = node_at(&n->next)) {
                (void)node_exchange(n, GONE);
                shard_removed(sh, n);
            }
        atomic_store_explicit(&sh->buckets, NULL, memory_order_release);                      /* MP4 */
        sh->outgrown = was;
        shard_unlock(sh, true);
    }
}

/* ---- visiting ---- */

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
    struct map_buckets *was = shard_buckets(sh);
    if (sh->n > 0)
        visit->nodes = map_alloc(sh->n * sizeof(struct map_node *));
    for (uint32_t b = 0; was && b < was->size; b++)
        for (struct map_node *n = node_at(&was->at[b]); n; n = node_at(&n->next)) {
            atomic_fetch_add_explicit(&n->refs, 1, memory_order_relaxed);                      /* MP2 */
            visit->nodes[visit->n++] = n;
        }
    shard_unlock(sh, false);
}

static bool visit_shard(struct map_shard *sh, bool (*fn)(weft_map_key k, void *v, void *arg), void *arg)
{
    struct map_visit visit __attribute__((cleanup(visit_end))) = {NULL, 0};
    visit_collect(sh, &visit);
    for (uint32_t i = 0; i < visit.n; i++) {
        struct map_node *n = visit.nodes[i];
        weft_map_key k = {n->u, n->is_string ? n->s : NULL};
        void *v = atomic_load_explicit(&n->v, memory_order_acquire);                           /* MP4 */
        if (v != GONE && !fn(k, v, arg))                                                       /* MP6 */
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
