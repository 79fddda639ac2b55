/* test_map.c - after Go's sync/map_test.go, in our own words. */
#include <pthread.h>
#include <stdatomic.h>
#include <weft/weft.h>
#include <weft_test.h>

#include "sched/section.h"

static int a, b, c;

TEST(map, stores_loads_swaps_and_deletes)
{
    weft_map m = {0};
    void *v = &c;
    EXPECT(!weft_map_load(&m, 1, &v));
    EXPECT(v == NULL);                                  /* as Go */
    weft_map_store(&m, 1, &a);
    EXPECT(weft_map_load(&m, 1, &v) && v == &a);
    EXPECT(weft_map_load_or_store(&m, 1, &b, &v) && v == &a);
    EXPECT(!weft_map_load_or_store(&m, 2, &b, &v) && v == &b);
    EXPECT(weft_map_swap(&m, 2, &c, &v) && v == &b);
    EXPECT(!weft_map_swap(&m, 3, &c, &v) && v == NULL);
    EXPECT(!weft_map_compare_and_swap(&m, 2, &a, &b));
    EXPECT(weft_map_compare_and_swap(&m, 2, &c, &b));
    EXPECT(!weft_map_compare_and_swap(&m, 4, NULL, &b));
    EXPECT(!weft_map_compare_and_delete(&m, 2, &c));
    EXPECT(weft_map_compare_and_delete(&m, 2, &b));
    EXPECT(!weft_map_load(&m, 2, NULL));
    EXPECT(weft_map_load_and_delete(&m, 1, &v) && v == &a);
    EXPECT(!weft_map_load_and_delete(&m, 1, &v) && v == NULL);
    EXPECT(!weft_map_load_and_delete(&m, 1, NULL));
    weft_map_delete(&m, 3);
    weft_map_delete(&m, 3);
    EXPECT(!weft_map_load(&m, 3, NULL));
    weft_map_store(&m, 5, NULL);
    EXPECT(weft_map_load(&m, 5, &v) && v == NULL);
    weft_map_free(&m);
}

TEST(map, keys_are_numbers_pointers_or_copied_strings)
{
    weft_map m = {0};
    void *v;
    char text[8] = "key";
    weft_map_store(&m, text, &a);
    text[0] = 'x';
    EXPECT(weft_map_load(&m, "key", &v) && v == &a);
    EXPECT(!weft_map_load(&m, text, NULL));
    EXPECT(!weft_map_load(&m, (uintptr_t)text, NULL));
    weft_map_store(&m, &b, &b);
    EXPECT(weft_map_load(&m, (uintptr_t)&b, &v) && v == &b);
    weft_map_store(&m, -1, &c);
    EXPECT(weft_map_load(&m, -1L, &v) && v == &c);
    weft_map_store(&m, "", &c);
    EXPECT(weft_map_load(&m, "", &v) && v == &c);
    EXPECT(!weft_map_load(&m, 0, NULL));
    weft_map_free(&m);
    EXPECT(!weft_map_load(&m, "key", NULL));
    weft_map_free(&m);
}

struct seen {
    weft_map *m;
    int n[1000];
    int stop_at, calls;
};

static bool see(weft_map_key k, void *v, void *arg)
{
    struct seen *s = arg;
    EXPECT(!k.s && k.u < 1000 && v == &s->n[k.u]);
    s->n[k.u]++;
    if (s->m)
        weft_map_delete(s->m, k.u);
    return ++s->calls != s->stop_at;
}

TEST(map, range_visits_each_key_once_and_may_change_the_map)
{
    static struct seen s;
    weft_map m = {0};
    for (int i = 0; i < 1000; i++)
        weft_map_store(&m, i, &s.n[i]);
    weft_map_range(&m, see, &s);
    for (int i = 0; i < 1000; i++)
        EXPECT_EQ(s.n[i], 1);
    s.calls = 0;
    s.stop_at = 10;
    weft_map_range(&m, see, &s);
    EXPECT_EQ(s.calls, 10);
    s.calls = s.stop_at = 0;
    s.m = &m;
    weft_map_range(&m, see, &s);
    EXPECT_EQ(s.calls, 1000);
    s.calls = 0;
    weft_map_range(&m, see, &s);
    EXPECT_EQ(s.calls, 0);
    weft_map_store(&m, 7, &s.n[7]);
    weft_map_clear(&m);
    EXPECT(!weft_map_load(&m, 7, NULL));
    weft_map_free(&m);
}

static bool count_all(weft_map_key k, void *v, void *arg)
{
    EXPECT(k.s && v);
    return ++*(int *)arg > 0;
}

static void churn(weft_map *m, _Atomic long *there, unsigned seed)
{
    for (int i = 0; i < WEFT_TEST_TIMES(4000, 500); i++) {
        char key[16];
        int n = 0;
        seed = seed * 1103515245u + 12345u;
        snprintf(key, sizeof key, "k%u", seed >> 16 & 63);
        switch (seed >> 24 & 3) {
        case 0:
            if (!weft_map_load_or_store(m, key, &a, NULL))
                atomic_fetch_add(there, 1);
            break;
        case 1:
            if (weft_map_load_and_delete(m, key, NULL))
                atomic_fetch_sub(there, 1);
            break;
        case 2:
            (void)weft_map_compare_and_swap(m, key, &a, &b);
            break;
        default:
            if (i % 64 == 0)
                weft_map_range(m, count_all, &n);
        }
    }
}

static void together(void)
{
    weft_map m = {0};
    weft_waitgroup wg = {0};
    _Atomic long there = 0;
    int n = 0;
    for (unsigned i = 0; i < 8; i++)
        weft_waitgroup_go(&wg, churn, &m, &there, i * 7919u);
    weft_waitgroup_wait(&wg);
    weft_map_range(&m, count_all, &n);
    EXPECT_EQ(n, there);
    weft_map_free(&m);
}

TEST_ENV(map, goroutines_may_use_it_together_on_1_proc, "WEFT_PROCS=1") { together(); }
TEST_ENV(map, goroutines_may_use_it_together_on_8_procs, "WEFT_PROCS=8") { together(); }

static bool give_up(weft_map_key k, void *v, void *arg)
{
    (void)k, (void)v, (void)arg;
    weft_panic("enough");
}

static void range_panics(weft_map *m)
{
    weft_map_range(m, give_up, NULL);
}

TEST(map, a_panic_in_range_leaves_the_map_usable)
{
    weft_map m = {0};
    weft_map_store(&m, "x", &a);
    EXPECT_STR(weft_try(range_panics, &m), "enough");
    EXPECT(weft_map_load(&m, "x", NULL));
    weft_map_free(&m);
}

/* Readers without locks beside growth, deletion and clearing of everything else. */
enum { KEPT = 64, PASSING = WEFT_TEST_TIMES(3000, 100), LOOKERS = 3, CHANGERS = 2 };
struct bustle {
    weft_map m;
    char kept[KEPT], passing[PASSING];
    _Atomic int changing;
    _Atomic long wrong, looks;
    weft_waitgroup wg;
};

static void look(struct bustle *s)
{
    char name[24];
    for (uint32_t i = 0; atomic_load(&s->changing) || i < WEFT_TEST_TIMES(1000, 100); i++) {
        uint32_t k = i % KEPT, p = i * 7919u % PASSING;
        void *v = NULL;
        if (!weft_map_load(&s->m, k, &v) || v != &s->kept[k])
            atomic_fetch_add(&s->wrong, 1);
        snprintf(name, sizeof name, "%u", p);
        if (weft_map_load(&s->m, (const char *)name, &v) && v != &s->passing[p])
            atomic_fetch_add(&s->wrong, 1);
        if (i % 256 == 0)
            weft_yield();
        atomic_fetch_add(&s->looks, 1);
    }
}

static void change(struct bustle *s, uint32_t from, int rounds)
{
    char name[24];
    for (int r = 0; r < rounds; r++) {
        for (uint32_t p = from; p < PASSING; p += CHANGERS) {
            snprintf(name, sizeof name, "%u", p);
            weft_map_store(&s->m, (const char *)name, &s->passing[p]);
            weft_map_store(&s->m, p % KEPT, &s->kept[p % KEPT]);
        }
        for (uint32_t p = from; p < PASSING; p += CHANGERS) {
            void *v = NULL;
            snprintf(name, sizeof name, "%u", p);
            if (!weft_map_load_and_delete(&s->m, (const char *)name, &v) || v != &s->passing[p])
                atomic_fetch_add(&s->wrong, 1);
            if (weft_map_load(&s->m, (const char *)name, &v))
                atomic_fetch_add(&s->wrong, 1);
        }
        weft_yield();
    }
    atomic_fetch_sub(&s->changing, 1);
}

static void bustle(int rounds)
{
    static struct bustle s;
    atomic_store(&s.changing, CHANGERS);
    for (uint32_t k = 0; k < KEPT; k++)
        weft_map_store(&s.m, k, &s.kept[k]);
    for (uint32_t i = 0; i < CHANGERS; i++)
        weft_waitgroup_go(&s.wg, change, &s, i, rounds);
    for (int i = 0; i < LOOKERS; i++)
        weft_waitgroup_go(&s.wg, look, &s);
    weft_waitgroup_wait(&s.wg);
    EXPECT_EQ(atomic_load(&s.wrong), 0);
    EXPECT(atomic_load(&s.looks) > 0);
    weft_map_free(&s.m);
}

TEST_ENV(map, loads_find_what_stays_while_the_rest_comes_and_goes_on_1_proc, "WEFT_PROCS=1") { bustle(WEFT_TEST_TIMES(10, 3)); }
TEST_ENV(map, loads_find_what_stays_while_the_rest_comes_and_goes_on_8_procs, "WEFT_PROCS=8") { bustle(WEFT_TEST_TIMES(10, 3)); }

/* Threads that weft did not start look, too. */
static void *look_from_outside(void *arg)
{
    look(arg);
    return NULL;
}

TEST_ENV(map, loads_of_foreign_threads_find_what_stays, "WEFT_PROCS=2")
{
    static struct bustle s;
    pthread_t t[LOOKERS];
    atomic_store(&s.changing, CHANGERS);
    for (uint32_t k = 0; k < KEPT; k++)
        weft_map_store(&s.m, k, &s.kept[k]);
    for (int i = 0; i < LOOKERS; i++)
        REQUIRE(pthread_create(&t[i], NULL, look_from_outside, &s) == 0);
    for (uint32_t i = 0; i < CHANGERS; i++)
        weft_waitgroup_go(&s.wg, change, &s, i, 10);
    weft_waitgroup_wait(&s.wg);
    for (int i = 0; i < LOOKERS; i++)
        REQUIRE(pthread_join(t[i], NULL) == 0);
    EXPECT_EQ(atomic_load(&s.wrong), 0);
    weft_map_free(&s.m);
}

/* A read section of a foreign thread, held open, keeps a remover waiting. */
struct hold {
    _Atomic int reading, waiting, waited, early;
};

static void *read_from_outside(void *arg)
{
    struct hold *h = arg;
    weft_yield(); /* known to weft from here on */
    struct weft__m *reader = weft__read_begin();
    atomic_store(&h->reading, 1);
    while (!atomic_load(&h->waiting))
        ;
    for (weft_time end = weft_now() + 20 * WEFT_MS; weft_now() < end;)
        if (atomic_load(&h->waited))
            atomic_store(&h->early, 1);
    if (reader)
        weft__read_end(reader);
    return reader;
}

TEST(map, a_read_section_of_a_foreign_thread_is_waited_for)
{
    static struct hold h;
    pthread_t t;
    void *reader;
    REQUIRE(pthread_create(&t, NULL, read_from_outside, &h) == 0);
    while (!atomic_load(&h.reading))
        weft_yield();
    atomic_store(&h.waiting, 1);
    weft__read_wait();
    atomic_store(&h.waited, 1);
    REQUIRE(pthread_join(t, &reader) == 0);
    EXPECT(reader != NULL);
    EXPECT(!atomic_load(&h.early));
}

/* What every store wrote comes out exactly once, by the next change of the same key. */
struct relay {
    weft_map m;
    _Atomic long in, out;
    weft_waitgroup wg;
};

static void relay_run(struct relay *r, uint32_t seed)
{
    for (int i = 0; i < WEFT_TEST_TIMES(20000, 1500); i++) {
        void *was;
        uintptr_t v = 1 + (seed = seed * 1664525u + 1013904223u) % 1000;
        if (i % 5 == 0) {
            if (weft_map_load_and_delete(&r->m, 7, &was))
                atomic_fetch_add(&r->out, (long)(uintptr_t)was);
        } else {
            atomic_fetch_add(&r->in, (long)v);
            if (weft_map_swap(&r->m, 7, (void *)v, &was))
                atomic_fetch_add(&r->out, (long)(uintptr_t)was);
        }
    }
}

TEST_ENV(map, swaps_and_deletes_of_one_key_lose_no_value, "WEFT_PROCS=8")
{
    struct relay r = {.in = 0};
    void *was;
    for (uint32_t i = 0; i < 4; i++)
        weft_waitgroup_go(&r.wg, relay_run, &r, i * 77 + 1);
    weft_waitgroup_wait(&r.wg);
    if (weft_map_load_and_delete(&r.m, 7, &was))
        atomic_fetch_add(&r.out, (long)(uintptr_t)was);
    EXPECT_EQ(atomic_load(&r.in), atomic_load(&r.out));
    weft_map_free(&r.m);
}
