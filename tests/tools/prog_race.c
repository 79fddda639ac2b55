/*
 * prog_race.c - what ThreadSanitizer sees of two goroutines: every way to synchronise is an edge, and nothing else is.
 *
 * Role    For each kind, ROUNDS times: two goroutines write the same word. Ordered by the kind's edge, no report may come;
 *         with the one write moved to the wrong side of the edge, one must. tests/tools/run.py runs it with 1 and 2 processors.
 * Usage   prog_race [KIND]   the verdicts go to stdout, ThreadSanitizer's reports to stderr
 * How     Relaxed atomics give the order of events where the kind itself does not wait: they are no edge.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <weft/weft.h>

enum { ROUNDS = 20 };

/* Each report counts, also of a place that was reported before; names of functions would cost a second each. */
__attribute__((visibility("default"))) const char *__tsan_default_options(void);
const char *__tsan_default_options(void)
{
    return "suppress_equal_stacks=0:suppress_equal_addresses=0:exitcode=0:symbolize=0";
}

static _Atomic int reports;
__attribute__((visibility("default"))) void __tsan_on_report(void *report);
void __tsan_on_report(void *report)
{
    (void)report;
    atomic_fetch_add_explicit(&reports, 1, memory_order_relaxed);
}

/* One run. The word that is raced for has a cache line of its own; the objects are new each time. */
struct box {
    char before[64];
    long word;
    char after[64];
    const struct kind *kind;
    bool race;                  /* the first goroutine writes after its edge, not before */
    _Atomic int gone;           /* relaxed: the first goroutine has done its part of the edge */
    int flag;                   /* under the kind's lock */
    weft_chan(int) ch;
    weft_mutex mu;
    weft_rwmutex rw;
    weft_cond cond;
    weft_waitgroup wg;
    weft_once once;
    weft_sem sem;
    weft_ctx *ctx;
    weft_timer timer;
    weft_receiver(weft_dur) ticks;
    weft_pool pool;
    weft_map map;
    weft_singleflight flight;
    weft_errgroup group;
};

static void noop(void)
{
}

static void second(struct box *b);

/* Until the first goroutine is past its edge; no edge itself. */
static void after_first(struct box *b)
{
    while (!atomic_load_explicit(&b->gone, memory_order_relaxed))
        weft_yield();
}

/* ---- kinds: what the first goroutine does, what the second one does to come after it ---- */

static void send_1(struct box *b) { weft_send(b->ch, 1); }
static void recv_1(struct box *b) { weft_recv(b->ch); }
static void close_1(struct box *b) { weft_close(b->ch); }
static void select_send(struct box *b) { weft_select(weft_on_send(b->ch, 1), weft_on_timeout(3600 * WEFT_SEC)); }
static void select_recv(struct box *b) { int v; weft_select(weft_on_recv(b->ch, &v), weft_on_timeout(3600 * WEFT_SEC)); }
static void try_recv(struct box *b)
{
    int v;
    while (weft_try_recv(b->ch, &v) != 1)
        weft_yield();
}

static void mutex_set(struct box *b)
{
    weft_mutex_lock(&b->mu);
    b->flag = 1;
    weft_mutex_unlock(&b->mu);
}
static void mutex_see(struct box *b)
{
    for (bool seen = false; !seen; weft_yield()) {
        weft_mutex_lock(&b->mu);
        seen = b->flag;
        weft_mutex_unlock(&b->mu);
    }
}
static void mutex_try_see(struct box *b)
{
    for (bool seen = false; !seen; weft_yield())
        if (weft_mutex_try_lock(&b->mu)) {
            seen = b->flag;
            weft_mutex_unlock(&b->mu);
        }
}
static void rwmutex_set(struct box *b)
{
    weft_rwmutex_lock(&b->rw);
    b->flag = 1;
    weft_rwmutex_unlock(&b->rw);
}
static void rwmutex_see(struct box *b)
{
    for (bool seen = false; !seen; weft_yield()) {
        weft_rwmutex_rlock(&b->rw);
        seen = b->flag;
        weft_rwmutex_runlock(&b->rw);
    }
}
static void cond_set(struct box *b)
{
    weft_mutex_lock(&b->mu);
    b->flag = 1;
    weft_cond_signal(&b->cond);
    weft_mutex_unlock(&b->mu);
}
static void cond_see(struct box *b)
{
    weft_mutex_lock(&b->mu);
    while (!b->flag)
        weft_cond_wait(&b->cond);
    weft_mutex_unlock(&b->mu);
}
static void wg_done(struct box *b) { weft_waitgroup_done(&b->wg); }
static void wg_wait(struct box *b) { weft_waitgroup_wait(&b->wg); }
static void once_run(struct box *b) { weft_once_do(&b->once, noop); }
static void once_see(struct box *b)
{
    after_first(b);
    weft_once_do(&b->once, noop);
}
static void sem_give(struct box *b) { weft_sem_release(&b->sem, 1); }
static void sem_take(struct box *b) { (void)!weft_sem_acquire(NULL, &b->sem, 1); }
static void ctx_end(struct box *b) { weft_cancel(b->ctx); }
static void ctx_see_done(struct box *b) { weft_recv(weft_ctx_done(b->ctx)); }
static void ctx_see_err(struct box *b)
{
    while (weft_ctx_err(b->ctx) == 0)
        weft_yield();
}
static void timer_set(struct box *b) { weft_timer_start(&b->timer, WEFT_MS); }
static void timer_see(struct box *b)
{
    after_first(b);
    weft_recv(b->ticks);
}
static void pool_give(struct box *b) { weft_pool_put(&b->pool, b); }
static void pool_take(struct box *b)
{
    after_first(b);
    weft_pool_get(&b->pool);
}
static void map_set(struct box *b) { weft_map_store(&b->map, "key", b); }
static void map_see(struct box *b)
{
    void *v;
    while (!weft_map_load(&b->map, "key", &v))
        weft_yield();
}
static weft_err flight_fn(void *arg, void **ret_out)
{
    struct box *b = *ret_out = arg;
    atomic_store_explicit(&b->gone, 1, memory_order_relaxed); /* in the call: the second one joins it, or comes after */
    weft_sleep(WEFT_MS);
    return 0;
}
static void flight_first(struct box *b) { weft_singleflight_do(&b->flight, "key", flight_fn, b, NULL, NULL); }
static void flight_next(struct box *b)
{
    after_first(b);
    weft_singleflight_do(&b->flight, "key", flight_fn, b, NULL, NULL);
}

/* A thread of the program's own hands on what it was given. */
static void *thread_main(void *arg)
{
    struct box *b = arg;
    weft_send(b->ch, 1);
    return NULL;
}
static void thread_send(struct box *b)
{
    pthread_t t;
    if (pthread_create(&t, NULL, thread_main, b) == 0)
        pthread_detach(t);
}

/* The first goroutine's act starts the second one. */
static void second_fn(void *b) { second(b); }
static weft_err second_err(struct box *b) { second(b); return 0; }
static void start_go(struct box *b) { weft_go(second, b); }
static void start_wg(struct box *b) { weft_waitgroup_go(&b->wg, second, b); }
static void start_group(struct box *b) { weft_errgroup_go(&b->group, second_err, b); }
static void start_timer(struct box *b) { weft_after_func(&b->timer, WEFT_MS, second_fn, b); }
static void start_ctx(struct box *b)
{
    weft_ctx_after_func(b->ctx, second_fn, b);
    weft_cancel(b->ctx);
}

/* No edge: the order is always the same, and still it is a race. */
static void nothing(struct box *b) { (void)b; }
static void sleep_2(struct box *b) { (void)b; weft_sleep(2 * WEFT_MS); }
static void yield_some(struct box *b)
{
    (void)b;
    for (int i = 0; i < 10; i++)
        weft_yield();
}

static const struct kind {
    const char *name;
    int cap;                            /* of the channel */
    void (*edge)(struct box *b);        /* the first goroutine's side */
    void (*await)(struct box *b);       /* the second one's; NULL: edge starts it */
    enum { NO_EDGE = 1 } is;            /* a race in any case */
} kinds[] = {
    {"chan_send", 0, send_1, recv_1, 0},
    {"chan_send_buffered", 3, send_1, recv_1, 0},
    {"chan_recv_before_send_returns", 0, recv_1, send_1, 0},
    {"chan_close", 0, close_1, recv_1, 0},
    {"chan_try_recv", 1, send_1, try_recv, 0},
    {"select_send", 0, select_send, recv_1, 0},
    {"select_recv", 0, send_1, select_recv, 0},
    {"select_both", 0, select_send, select_recv, 0},
    {"mutex", 0, mutex_set, mutex_see, 0},
    {"mutex_try_lock", 0, mutex_set, mutex_try_see, 0},
    {"rwmutex", 0, rwmutex_set, rwmutex_see, 0},
    {"cond", 0, cond_set, cond_see, 0},
    {"waitgroup", 0, wg_done, wg_wait, 0},
    {"once", 0, once_run, once_see, 0},
    {"sem", 0, sem_give, sem_take, 0},
    {"ctx_done", 0, ctx_end, ctx_see_done, 0},
    {"ctx_err", 0, ctx_end, ctx_see_err, 0},
    {"timer_chan", 0, timer_set, timer_see, 0},
    {"pool", 0, pool_give, pool_take, 0},
    {"map", 0, map_set, map_see, 0},
    {"singleflight", 0, flight_first, flight_next, 0},
    {"foreign_thread", 0, thread_send, recv_1, 0},
    {"go", 0, start_go, NULL, 0},
    {"waitgroup_go", 0, start_wg, NULL, 0},
    {"errgroup_go", 0, start_group, NULL, 0},
    {"timer_func", 0, start_timer, NULL, 0},
    {"ctx_after_func", 0, start_ctx, NULL, 0},
    {"no_edge", 0, nothing, nothing, NO_EDGE},
    {"sleep_is_no_edge", 0, nothing, sleep_2, NO_EDGE},
    {"yield_is_no_edge", 0, nothing, yield_some, NO_EDGE},
};

/* ---- a run ---- */

static weft_waitgroup over;

static __attribute__((noinline)) void write_word(struct box *b)
{
    b->word++;
}

static void first(struct box *b)
{
    if (!b->race)
        write_word(b);
    b->kind->edge(b);
    atomic_store_explicit(&b->gone, 1, memory_order_relaxed);
    if (b->race)
        write_word(b);
    weft_waitgroup_done(&over);
}

static void second(struct box *b)
{
    if (b->kind->await)
        b->kind->await(b);
    write_word(b);
    weft_waitgroup_done(&over);
}

static int run(const struct kind *k, bool race)
{
    static struct box none;
    struct box *b = malloc(sizeof *b); /* fresh storage, not the same again: it is given back after the whole kind */
    int before = atomic_load(&reports);

    *b = none;
    b->kind = k;
    b->race = race;
    b->ch = weft_make(int, k->cap);
    b->cond.m = &b->mu;
    b->ctx = weft_with_cancel(weft_background());
    b->ticks = weft_timer_chan(&b->timer);
    weft_sem_init(&b->sem, 1);
    (void)!weft_sem_try_acquire(&b->sem, 1);
    weft_errgroup_init(&b->group, weft_background(), NULL);
    weft_waitgroup_add(&b->wg, k->edge == start_wg ? 0 : 1);
    weft_waitgroup_add(&over, 2);
    weft_go(first, b);
    if (k->await)
        weft_go(second, b);
    weft_waitgroup_wait(&over);
    weft_errgroup_wait(&b->group);
    if (k->edge == start_wg)
        weft_waitgroup_wait(&b->wg);
    weft_timer_stop(&b->timer);
    weft_ctx_unref(b->ctx);
    weft_pool_clear(&b->pool, NULL);
    weft_map_free(&b->map);
    if (k->edge != thread_send)
        weft_free(b->ch); /* that thread may still be on its way out of the send */
    return atomic_load(&reports) - before;
}

int main(int argc, char **argv)
{
    bool bad = false;

    for (const struct kind *k = kinds; k < kinds + sizeof kinds / sizeof kinds[0]; k++) {
        int found = 0, wrong = 0;
        if (argc > 1 && strcmp(argv[1], k->name) != 0)
            continue;
        for (int i = 0; i < ROUNDS; i++) {
            if (k->is != NO_EDGE)
                wrong += run(k, false) != 0;
            found += run(k, true) != 0;
        }
        bool good = !wrong && found == ROUNDS;
        printf("%s %s: %d of %d races found, %d of %d correct runs reported\n", good ? "ok  " : "FAIL", k->name, found, ROUNDS,
               wrong, k->is == NO_EDGE ? 0 : ROUNDS);
        bad |= !good;
    }
    return bad;
}
