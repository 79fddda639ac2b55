/*
 * prop_sync.c - random programs over locks, conditions, semaphores and groups, held against simple models: one holder at a
 * time, nothing lost, everybody gets on. Only the simulation runs this (src/sim).
 */
#include <stdatomic.h>
#include <weft/weft.h>

#include "../../src/sim/sim.h"
#include "../include/weft_test.h"

static uint32_t draw(uint32_t n)
{
    return (uint32_t)(weft__sim_random() % n);
}

/* ---- a bounded buffer: mutex and condition ---- */

struct buffer {
    weft_mutex m;
    weft_cond not_full, not_empty;
    weft_waitgroup wg;
    int n, holders; /* plain: the mutex guards them */
    long sum;
};

static void buffer_enter(struct buffer *b)
{
    weft_mutex_lock(&b->m);
    EXPECT_EQ(++b->holders, 1);
}

static void buffer_wait(struct buffer *b, weft_cond *c)
{
    b->holders--;
    weft_cond_wait(c);
    EXPECT_EQ(++b->holders, 1);
}

static void buffer_leave(struct buffer *b, weft_cond *wake)
{
    uint32_t how = draw(3);

    if (how == 0)
        weft_cond_signal(wake);
    b->holders--;
    if (how == 1)
        weft_cond_broadcast(wake);
    weft_mutex_unlock(&b->m);
    if (how == 2)
        weft_cond_signal(wake);
}

static void put(struct buffer *b, int times)
{
    for (int i = 0; i < times; i++) {
        buffer_enter(b);
        while (b->n == 2)
            buffer_wait(b, &b->not_full);
        b->n++;
        buffer_leave(b, &b->not_empty);
    }
}

static void take(struct buffer *b, int times)
{
    for (int i = 0; i < times; i++) {
        buffer_enter(b);
        while (b->n == 0)
            buffer_wait(b, &b->not_empty);
        b->n--;
        b->sum++;
        buffer_leave(b, &b->not_full);
    }
}

TEST(prop_sync, a_bounded_buffer_loses_nothing)
{
    static struct buffer b = {.not_full.m = &b.m, .not_empty.m = &b.m};

    for (int i = 0; i < 3; i++) {
        weft_waitgroup_go(&b.wg, put, &b, 15);
        weft_waitgroup_go(&b.wg, take, &b, 15);
    }
    weft_waitgroup_wait(&b.wg);
    EXPECT_EQ(b.sum, 45);
    EXPECT_EQ(b.n, 0);
}

/* ---- readers and writers ---- */

struct book {
    weft_rwmutex rw;
    weft_waitgroup wg;
    _Atomic int readers;
    int writers, version, copy; /* plain: equal whenever a reader looks */
};

static void read_it(struct book *b)
{
    for (int i = 0; i < 12; i++) {
        if (draw(3) > 0 || !weft_rwmutex_try_rlock(&b->rw))
            weft_rwmutex_rlock(&b->rw);
        atomic_fetch_add(&b->readers, 1);
        EXPECT_EQ(b->writers, 0);
        EXPECT_EQ(b->version, b->copy);
        atomic_fetch_sub(&b->readers, 1);
        weft_rwmutex_runlock(&b->rw);
    }
}

static void write_it(struct book *b)
{
    for (int i = 0; i < 8; i++) {
        if (draw(3) > 0 || !weft_rwmutex_try_lock(&b->rw))
            weft_rwmutex_lock(&b->rw);
        EXPECT_EQ(++b->writers, 1);
        EXPECT_EQ(atomic_load(&b->readers), 0);
        b->version++;
        if (draw(4) == 0)
            weft_yield();
        b->copy++;
        b->writers--;
        weft_rwmutex_unlock(&b->rw);
    }
}

TEST(prop_sync, readers_never_meet_a_writer)
{
    static struct book b;

    for (int i = 0; i < 3; i++)
        weft_waitgroup_go(&b.wg, read_it, &b);
    for (int i = 0; i < 2; i++)
        weft_waitgroup_go(&b.wg, write_it, &b);
    weft_waitgroup_wait(&b.wg);
    EXPECT_EQ(b.version, 16);
}

/* ---- a weighted semaphore, with waits that end early ---- */

struct tank {
    weft_sem sem;
    weft_waitgroup wg;
    _Atomic int64_t held;
};

static void drink(struct tank *t)
{
    for (int i = 0; i < 10; i++) {
        int64_t n = 1 + draw(4);
        weft_ctx *c = draw(2) ? weft_with_timeout(NULL, (weft_dur)draw(100) * WEFT_US) : NULL;
        if (weft_sem_acquire(c, &t->sem, n) == 0) {
            EXPECT(atomic_fetch_add(&t->held, n) + n <= 4);
            if (draw(2))
                weft_sleep((weft_dur)draw(30) * WEFT_US);
            atomic_fetch_sub(&t->held, n);
            weft_sem_release(&t->sem, n);
        } else {
            EXPECT(c != NULL);
        }
        weft_ctx_unref(c);
    }
}

TEST(prop_sync, permits_are_neither_lost_nor_made)
{
    static struct tank t;

    weft_sem_init(&t.sem, 4);
    for (int i = 0; i < 4; i++)
        weft_waitgroup_go(&t.wg, drink, &t);
    weft_waitgroup_wait(&t.wg);
    EXPECT(weft_sem_try_acquire(&t.sem, 4));
    EXPECT(!weft_sem_try_acquire(&t.sem, 1));
    weft_sem_release(&t.sem, 4);
}

/* ---- once, and a group that is gone as soon as wait returns ---- */

static _Atomic int made;
static int thing; /* plain: once orders it */
static weft_once the_once;

static void make_thing(void)
{
    atomic_fetch_add(&made, 1);
    weft_yield();
    thing = 7;
}

static void use_thing(void)
{
    weft_once_do(&the_once, make_thing);
    EXPECT_EQ(thing, 7);
}

static void done(weft_waitgroup *wg)
{
    weft_waitgroup_done(wg);
}

TEST(prop_sync, once_is_once_and_a_group_may_go)
{
    for (int round = 0; round < 6; round++) {
        weft_waitgroup *wg = calloc(1, sizeof *wg);
        REQUIRE(wg);
        for (int i = 0; i < 3; i++)
            weft_waitgroup_go(wg, use_thing);
        weft_waitgroup_add(wg, 1);
        weft_go(done, wg);
        weft_waitgroup_wait(wg);
        memset(wg, 0x55, sizeof *wg);
        free(wg);
    }
    EXPECT_EQ(atomic_load(&made), 1);
}

/* ---- goroutines that make goroutines, sleep and yield: all of them end, and nobody calls it a deadlock ---- */

static _Atomic int ended;

static void spread(int depth)
{
    for (int i = 0; i < 2 && depth > 0; i++)
        weft_go(spread, depth - 1);
    switch (draw(4)) {
    case 0: weft_sleep((weft_dur)draw(2000) * WEFT_US); break;
    case 1: weft_yield(); break;
    case 2: weft_block_begin(); weft_block_end(); break;
    default: break;
    }
    atomic_fetch_add(&ended, 1);
}

TEST(prop_sync, whatever_is_started_ends)
{
    spread(4);
    while (weft_num_goroutines() > 1)
        weft_sleep(100 * WEFT_US);
    EXPECT_EQ(atomic_load(&ended), 31);
}

/* ---- a goroutine beside one that computes ---- */

static _Atomic weft_time started;

static void say_when(void)
{
    atomic_store(&started, weft_now());
}

TEST(prop_sync, who_computes_does_not_hold_up_the_others)
{
    weft_time began = weft_now();

    weft_go(say_when);
    while (weft_now() - began < 30 * WEFT_MS)
        ;
    EXPECT(atomic_load(&started) != 0);
}
