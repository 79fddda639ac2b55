/*
 * shared.c - rwmutex, cond, pool, map: twin of the middle of bench go/syncs.go.
 */
#include "bench.h"

static weft_rwmutex rw;
static volatile long rw_v;

static void rw_one(int id, long n)
{
    long s = 0;
    (void)id;
    for (long i = 0; i < n; i++) {
        if (i % 10 == 0) {
            weft_rwmutex_lock(&rw);
            rw_v++;
            weft_rwmutex_unlock(&rw);
        } else {
            weft_rwmutex_rlock(&rw);
            s += rw_v;
            weft_rwmutex_runlock(&rw);
        }
    }
    if (s == -1)
        sink = 1;
}

static void rw_all(long n) { bench_par(flags.g, n, rw_one); }

/* -g goroutines, 9 read locks to 1 lock. */
BENCH(rwmutex)
{
    char name[32];
    flags.g = flags.g ? flags.g : 8;
    bench_name(name, sizeof name, "rwmutex_90_10_%d", flags.g);
    bench_run(name, "op", 10000000, rw_all);
}

struct thing {
    unsigned char b[64];
};

static void *thing_new(void)
{
    return calloc(1, sizeof(struct thing));
}

static weft_pool things = {.make = thing_new};

static void pool_one(int id, long n)
{
    (void)id;
    for (long i = 0; i < n; i++) {
        struct thing *x = weft_pool_get(&things);
        x->b[0]++;
        weft_pool_put(&things, x);
    }
}

static void pool_all(long n) { bench_par(flags.g ? flags.g : 1, n, pool_one); }

/* -g goroutines get and put a 64-byte object. */
BENCH(pool)
{
    char name[32];
    bench_name(name, sizeof name, "pool_get_put_%d", flags.g ? flags.g : 1);
    bench_run(name, "Get+Put", 20000000, pool_all);
    weft_pool_clear(&things, free);
}

static weft_map map;
static long map_values[1024];

static void map_one(int id, long n)
{
    uint32_t x = (uint32_t)(id * 7919 + 1);
    for (long i = 0; i < n; i++) {
        x ^= x << 13;
        x ^= x >> 17;
        x ^= x << 5;
        uint32_t k = x & 1023;
        void *v;
        if (i % 10 == 0)
            weft_map_store(&map, k, &map_values[k]);
        else if (!weft_map_load(&map, k, &v))
            bench_die("map: missing");
    }
}

static void map_all(long n) { bench_par(flags.g, n, map_one); }

/* 8 goroutines, 1024 keys, 90 % load and 10 % store. */
BENCH(syncmap)
{
    char name[32];
    flags.g = flags.g > 8 ? flags.g : 8;
    for (uint32_t k = 0; k < 1024; k++)
        weft_map_store(&map, k, &map_values[k]);
    bench_name(name, sizeof name, "syncmap_90_10_%d", flags.g);
    bench_run(name, "op", 5000000, map_all);
}

enum { COND_G = 1000 };
static weft_mutex cond_mu;
static weft_cond cond_go = {.m = &cond_mu}, cond_all = {.m = &cond_mu};
static long cond_epoch, cond_waiting;

static void cond_waiter(long rounds)
{
    weft_mutex_lock(&cond_mu);
    for (long e = 0; e < rounds; e++) {
        if (++cond_waiting == COND_G)
            weft_cond_signal(&cond_all);
        while (cond_epoch == e)
            weft_cond_wait(&cond_go);
    }
    weft_mutex_unlock(&cond_mu);
}

static void cond_rounds(long n)
{
    long rounds = n / COND_G ? n / COND_G : 1;
    weft_waitgroup wg = {0};
    cond_epoch = cond_waiting = 0;
    for (int i = 0; i < COND_G; i++)
        weft_waitgroup_go(&wg, cond_waiter, rounds);
    weft_mutex_lock(&cond_mu);
    for (long e = 0; e < rounds; e++) {
        while (cond_waiting < COND_G)
            weft_cond_wait(&cond_all);
        cond_waiting = 0;
        cond_epoch++;
        weft_cond_broadcast(&cond_go);
    }
    weft_mutex_unlock(&cond_mu);
    weft_waitgroup_wait(&wg);
}

/* 1000 waiters, n/1000 broadcasts; all wait again before the next. */
BENCH(cond) { bench_run("cond_broadcast_1000", "waiter wake", 1000000, cond_rounds); }
