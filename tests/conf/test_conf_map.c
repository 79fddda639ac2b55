/*
 * test_conf_map.c - the concurrent map, as Go's tests hold it. What comes from where: LIST.md.
 *
 * Source  Go: src/sync/map_test.go.
 */
#include "conf.h"
#include <malloc.h>

/* ---- any sequence of calls does what it does to a plain table ---- */

/* Keys are short strings, so that calls meet; values are small numbers in a pointer, 0 (NULL) among them. */
enum { KEYS = 40, VALUES = 5, CALLS = 400, RUNS = 200 };

struct model {
    bool there[KEYS];
    void *v[KEYS];
};

static uint64_t seed;

static uint64_t draw(uint64_t below)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return seed % below;
}

static const char *key_name(int k)
{
    static char name[4];
    snprintf(name, sizeof name, "%c%c", 'a' + k / 8, 'a' + k % 8);
    return name;
}

static void *value(uint64_t n)
{
    return (void *)(uintptr_t)n;
}

static void load(weft_map *m, struct model *w, int k)
{
    void *out = value(99);
    EXPECT_EQ(weft_map_load(m, key_name(k), &out), w->there[k]);
    EXPECT(out == (w->there[k] ? w->v[k] : NULL));
}

static void load_or_store(weft_map *m, struct model *w, int k, void *v)
{
    void *out = value(99);
    EXPECT_EQ(weft_map_load_or_store(m, key_name(k), v, &out), w->there[k]);
    EXPECT(out == (w->there[k] ? w->v[k] : v));
    if (!w->there[k])
        w->v[k] = v;
    w->there[k] = true;
}

static void load_and_delete(weft_map *m, struct model *w, int k)
{
    void *out = value(99);
    EXPECT_EQ(weft_map_load_and_delete(m, key_name(k), &out), w->there[k]);
    EXPECT(out == (w->there[k] ? w->v[k] : NULL));
    w->there[k] = false;
}

static void swap(weft_map *m, struct model *w, int k, void *v)
{
    void *out = value(99);
    EXPECT_EQ(weft_map_swap(m, key_name(k), v, &out), w->there[k]);
    EXPECT(out == (w->there[k] ? w->v[k] : NULL));
    w->there[k] = true;
    w->v[k] = v;
}

static void compare_and_swap(weft_map *m, struct model *w, int k, void *old, void *v)
{
    bool want = w->there[k] && w->v[k] == old;
    EXPECT_EQ(weft_map_compare_and_swap(m, key_name(k), old, v), want);
    if (want)
        w->v[k] = v;
}

static void compare_and_delete(weft_map *m, struct model *w, int k, void *old)
{
    bool want = w->there[k] && w->v[k] == old;
    EXPECT_EQ(weft_map_compare_and_delete(m, key_name(k), old), want);
    if (want)
        w->there[k] = false;
}

static void one_call(weft_map *m, struct model *w)
{
    int k = (int)draw(KEYS);
    void *v = value(draw(VALUES)), *old = value(draw(VALUES));
    switch (draw(20)) {
    case 0: case 1: case 2: load(m, w, k); break;
    case 3: case 4: case 5:
        weft_map_store(m, key_name(k), v);
        w->there[k] = true;
        w->v[k] = v;
        break;
    case 6: case 7: case 8: load_or_store(m, w, k, v); break;
    case 9: case 10: load_and_delete(m, w, k); break;
    case 11:
        weft_map_delete(m, key_name(k));
        w->there[k] = false;
        break;
    case 12: case 13: swap(m, w, k, v); break;
    case 14: case 15: case 16: compare_and_swap(m, w, k, old, v); break;
    case 17: case 18: compare_and_delete(m, w, k, old); break;
    default:
        if (draw(20) == 0) {
            weft_map_clear(m);
            *w = (struct model){0};
        }
    }
}

struct visit {
    struct model got;
    int twice, strange;
};

static bool note(weft_map_key key, void *v, void *arg)
{
    struct visit *to = arg;
    int k = key.s && strlen(key.s) == 2 ? (key.s[0] - 'a') * 8 + key.s[1] - 'a' : -1;
    if (k < 0 || k >= KEYS) {
        to->strange++;
        return true;
    }
    to->twice += to->got.there[k];
    to->got.there[k] = true;
    to->got.v[k] = v;
    return true;
}

/* Go: TestMapMatchesRWMutex, TestMapMatchesDeepCopy, TestMapMatchesHashTrieMap */
TEST(conf_map, any_sequence_of_calls_does_what_it_does_to_a_table)
{
    for (uint64_t run = 1; run <= RUNS; run++) {
        weft_map m = {0};
        struct model w = {0};
        struct visit seen = {0};
        seed = run * 0x9e3779b97f4a7c15U;
        for (int i = 0; i < CALLS; i++)
            one_call(&m, &w);
        weft_map_range(&m, note, &seen);
        EXPECT_EQ(seen.twice, 0);
        EXPECT_EQ(seen.strange, 0);
        for (int k = 0; k < KEYS; k++) {
            EXPECT_EQ(seen.got.there[k], w.there[k]);
            if (w.there[k])
                EXPECT(seen.got.v[k] == w.v[k]);
        }
        weft_map_free(&m);
    }
}

/* ---- range beside stores ---- */

enum { SIZE = 1024 };
static atomic_int stop;

static void store_multiples(weft_map *m, uint64_t g)
{
    uint64_t r = g;
    for (uint64_t i = 1; !atomic_load(&stop); i++)
        for (uint64_t n = 1; n < SIZE; n++) {
            r = r * 6364136223846793005U + 1442695040888963407U;
            if (r >> 54 == 0)
                weft_map_store(m, n, value(n * i * g));
            else
                (void)weft_map_load(m, n, NULL);
        }
}

struct multiples {
    bool seen[SIZE + 1];
    int n;
};

static bool check_multiple(weft_map_key key, void *v, void *arg)
{
    struct multiples *to = arg;
    REQUIRE(!key.s && key.u >= 1 && key.u <= SIZE);
    EXPECT_EQ((uintptr_t)v % key.u, 0);
    EXPECT(!to->seen[key.u]);
    to->seen[key.u] = true;
    to->n++;
    return true;
}

/* Go: TestConcurrentRange */
TEST(conf_map, range_sees_each_key_once_beside_stores)
{
    weft_map m = {0};
    weft_waitgroup wg = {0};
    for (uint64_t n = 1; n <= SIZE; n++)
        weft_map_store(&m, n, value(n));
    for (uint64_t g = 1; g <= 4; g++)
        weft_waitgroup_go(&wg, store_multiples, &m, g);
    for (int i = 0; i < 16; i++) {
        struct multiples got = {.n = 0};
        weft_map_range(&m, check_multiple, &got);
        EXPECT_EQ(got.n, SIZE);
        weft_yield();
    }
    atomic_store(&stop, 1);
    weft_waitgroup_wait(&wg);
    weft_map_free(&m);
}

/* ---- range inside range ---- */

static int inner_calls;

static bool inner(weft_map_key key, void *v, void *arg)
{
    weft_map *m = arg;
    void *out = NULL;
    inner_calls++;
    EXPECT(weft_map_load(m, key.u, &out) && out == v);
    EXPECT(!weft_map_load_or_store(m, 42, "dummy", &out));
    weft_map_store(m, 42, "sync.Map");
    EXPECT(weft_map_load_and_delete(m, 42, &out));
    EXPECT_STR(out, "sync.Map");
    return true;
}

static bool outer(weft_map_key key, void *v, void *arg)
{
    (void)v;
    weft_map_range(arg, inner, arg);
    weft_map_delete((weft_map *)arg, key.u);
    return true;
}

static bool never(weft_map_key key, void *v, void *arg)
{
    (void)key, (void)v;
    ++*(int *)arg;
    return true;
}

/* Go: TestMapRangeNestedCall. A key stored inside may or may not be visited, so 42 is not looked up by inner. */
TEST(conf_map, range_may_range_store_and_delete_inside)
{
    weft_map m = {0};
    int left = 0;
    weft_map_store(&m, 0, "hello");
    weft_map_store(&m, 1, "world");
    weft_map_store(&m, 2, "weft");
    weft_map_range(&m, outer, &m);
    weft_map_range(&m, never, &left);
    EXPECT_EQ(left, 0);
    EXPECT_EQ(inner_calls, 3 + 2 + 1);
    weft_map_free(&m);
}

/* Go: TestCompareAndSwap_NonExistingKey */
TEST(conf_map, compare_and_swap_of_a_missing_key_fails)
{
    weft_map m = {0};
    EXPECT(!weft_map_compare_and_swap(&m, &m, NULL, value(42)));
    EXPECT(!weft_map_compare_and_delete(&m, &m, NULL));
    EXPECT(!weft_map_load(&m, &m, NULL));
    weft_map_free(&m);
}

/* Go: TestMapRangeNoAllocations, TestMapClearOneAllocation */
TEST(conf_map, range_and_clear_of_an_empty_map_keep_no_memory)
{
    weft_map m = {0};
    int n = 0;
    weft_map_store(&m, 1, value(1));
    weft_map_clear(&m);
    bool more = true;                        /* of memory, in each try: a thread may be started any time */
    for (int try = 0; try < 50 && more; try++) {
        size_t before = mallinfo2().uordblks;
        for (int i = 0; i < 10; i++) {
            weft_map_range(&m, never, &n);
            weft_map_clear(&m);
        }
        more = mallinfo2().uordblks > before;
    }
    EXPECT(!more);
    EXPECT_EQ(n, 0);
    weft_map_free(&m);
}

static void store_one(weft_map *m, int k)
{
    weft_map_store(m, k, value((uint64_t)k * 10));
}

static void load_one(weft_map *m, int k)
{
    void *out;
    if (weft_map_load(m, k, &out))
        EXPECT(out == value((uint64_t)k * 10));
}

/* Go: TestConcurrentClear */
TEST(conf_map, clear_beside_stores_and_loads_leaves_it_whole)
{
    for (int round = 0; round < 50; round++) {
        weft_map m = {0};
        weft_waitgroup wg = {0};
        int n = 0;
        for (int i = 0; i < 10; i++) {
            weft_waitgroup_go(&wg, store_one, &m, i);
            weft_waitgroup_go(&wg, load_one, &m, i);
            weft_waitgroup_go(&wg, weft_map_clear, &m);
        }
        weft_waitgroup_wait(&wg);
        weft_map_clear(&m);
        weft_map_range(&m, never, &n);
        EXPECT_EQ(n, 0);
        weft_map_free(&m);
    }
}
