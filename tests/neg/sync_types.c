/* sync_types.c - what maps, pools, semaphores, limiters, singleflight, timers and tries refuse at compile time. */
#include <weft/weft.h>

static weft_map map;
static weft_pool pool;
static weft_sem sem;
static weft_limiter limiter;
static weft_singleflight flights;
static weft_once once;
static weft_rwmutex rw;
static weft_cond cond;
static weft_mutex mutex;
static weft_ctx *ctx;
static weft_timer timer;

struct pair {
    int x, y;
};

bool each_key(weft_map_key k, void *v, void *arg);
bool each_number(uint64_t k, void *v, void *arg);
void *make(void);
void *make_of(size_t n);
weft_err fetch(void *arg, void **ret_out);
weft_err fetch_plain(void *arg);
void later(void *arg);
void later_int(int n);
char *text_of(int n);
void use(struct pair p, double d);

void use(struct pair p, double d)
{
    void *out = NULL;
    int number = 0, slot = 0;
    bool shared = false;
    char *text = NULL;

    weft_map_store(&map, number, &number);
    (void)weft_map_load(&map, "key", &out);
    weft_map_range(&map, each_key, NULL);
    (void)weft_singleflight_do(&flights, "key", fetch, NULL, &out, &shared);
    text = weft_once_value(&once, &text, text_of, 1);

    weft_map_store(&map, d, &number); /* ERROR "weft_map: a key is an integer, a pointer or a string" */
    weft_map_store(&map, p, &number); /* ERROR "weft_map: a key is an integer, a pointer or a string" */
    (void)weft_map_load(&map, 1.5f, &out); /* ERROR "weft_map: a key is an integer, a pointer or a string" */
    weft_map_delete(&map, (__int128)1); /* ERROR "weft_map: a key is an integer, a pointer or a string" */
    (void)weft_map_load(&map, 1, &number); /* ERROR "incompatible pointer type" */
    weft_map_store(&map, 1, 2); /* ERROR "pointer from integer|integer to pointer" */
    weft_map_range(&map, each_number, NULL); /* ERROR "incompatible (function )?pointer type" */
    weft_map_swap(&map, p, &number, &out); /* ERROR "weft_map: a key is an integer, a pointer or a string" */
    (void)weft_map_load_or_store(&map, d, &number, &out); /* ERROR "weft_map: a key is an integer, a pointer or a string" */
    (void)weft_map_load_and_delete(&map, d, &out); /* ERROR "weft_map: a key is an integer, a pointer or a string" */
    (void)weft_map_compare_and_swap(&map, p, &number, &slot); /* ERROR "weft_map: a key is an integer, a pointer or a string" */
    (void)weft_map_compare_and_delete(&map, p, &number); /* ERROR "weft_map: a key is an integer, a pointer or a string" */
    weft_map_clear(&pool); /* ERROR "incompatible pointer type" */
    pool.make = make_of; /* ERROR "incompatible (function )?pointer type" */
    weft_pool_put(&pool, 7); /* ERROR "pointer from integer|integer to pointer" */
    weft_sem_release(&limiter, 1); /* ERROR "incompatible pointer type" */
    (void)weft_sem_acquire(&sem, ctx, 1); /* ERROR "incompatible pointer type" */
    (void)weft_limiter_wait(&limiter, ctx, 1); /* ERROR "incompatible pointer type" */
    (void)weft_limiter_allow(&sem, 1); /* ERROR "incompatible pointer type" */
    (void)weft_singleflight_do(&flights, "key", fetch_plain, NULL, &out, &shared); /* ERROR "incompatible (function )?pointer type" */
    (void)weft_singleflight_do(&flights, 5, fetch, NULL, &out, &shared); /* ERROR "pointer from integer|integer to pointer" */
    (void)weft_once_value(&once, &slot, text_of, 1); /* ERROR "integer from pointer|pointer to integer" */
    weft_rwmutex_rlock(&mutex); /* ERROR "incompatible pointer type" */
    weft_mutex_lock(&rw); /* ERROR "incompatible pointer type" */
    cond.m = &rw; /* ERROR "incompatible pointer type" */
    weft_after_func(&timer, WEFT_MS, later_int, NULL); /* ERROR "incompatible (function )?pointer type" */
    (void)weft_ctx_after_func(ctx, later_int, NULL); /* ERROR "incompatible (function )?pointer type" */
    weft_cancel(&number); /* ERROR "incompatible pointer type" */
    weft_sleep(text); /* ERROR "integer from pointer|pointer to integer" */
    (void)weft_try(later); /* ERROR "too few arguments" */
    weft_defer(later, NULL, 1); /* ERROR "too many arguments" */
    weft_go_stack(65536, later); /* ERROR "too few arguments" */
    weft_go_stack(text, later, NULL); /* ERROR "integer from pointer|pointer to integer" */
    weft_go_named(5, later, NULL); /* ERROR "pointer from integer|integer to pointer" */
    weft_panic(p); /* ERROR "incompatible type" */
    (void)p, (void)d, (void)slot, (void)text, (void)sem, (void)limiter, (void)cond, (void)rw, (void)mutex, (void)timer, (void)pool;
}
