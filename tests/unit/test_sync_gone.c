/* test_sync_gone.c - a waitgroup, once or rwmutex may end as soon as the caller's own wait, call or turn is over. */
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <weft/weft.h>
#include <weft_test.h>

enum { ROUNDS = 3000 }; /* fewer where they take longer than this: two threads wait for each other's CPU */
#define ROUNDS_TIME (5 * WEFT_SEC)

/* What the two threads meet over. The second does its part in each round and then says so. */
struct meeting {
    union {
        weft_waitgroup wg;
        weft_once once;
        weft_rwmutex rw;
        unsigned char bytes[sizeof(weft_rwmutex)];
    } x;
    void (*part)(struct meeting *t);
    _Atomic int begun, ended, inside;
    _Atomic bool over;
    weft_waitgroup others;
};

/* For a loop that waits for the other thread: spins for a moment, then lets go of the CPU. */
static void let_go(int *spins)
{
    if (++*spins > 1000)
        sched_yield();
}

static void *second_thread(void *arg)
{
    struct meeting *t = arg;
    for (int i = 1; !atomic_load(&t->over); i++) {
        int spins = 0;
        while (atomic_load(&t->begun) < i && !atomic_load(&t->over))
            let_go(&spins);
        if (atomic_load(&t->begun) < i)
            break;
        t->part(t);
        atomic_store(&t->ended, i);
    }
    return NULL;
}

/* Overwrites what has ended; later finds out whether the other thread wrote into it. */
static void all_gone(struct meeting *t, int round)
{
    memset(&t->x, 0xff, sizeof t->x);
    while (atomic_load(&t->ended) < round)
        weft_yield();
    for (size_t i = 0; i < sizeof t->x; i++)
        REQUIRE(t->x.bytes[i] == 0xff);
    memset(&t->x, 0, sizeof t->x);
}

static void meet(void (*part)(struct meeting *t), void (*mine)(struct meeting *t, int round))
{
    struct meeting t = {.part = part};
    pthread_t thread;
    REQUIRE(pthread_create(&thread, NULL, second_thread, &t) == 0);
    weft_time end = weft_now() + ROUNDS_TIME;
    for (int i = 1; i <= ROUNDS && weft_now() < end; i++) {
        mine(&t, i);
        all_gone(&t, i);
        weft_waitgroup_wait(&t.others);
    }
    atomic_store(&t.over, true);
    pthread_join(thread, NULL);
}

static void part_done(struct meeting *t)
{
    weft_waitgroup_done(&t->x.wg);
}

static void wait_for_wg(struct meeting *t)
{
    weft_waitgroup_wait(&t->x.wg);
}

/* One goroutine is parked in wait; this one comes when the counter is zero already. */
static void wait_late(struct meeting *t, int round)
{
    weft_waitgroup_add(&t->x.wg, 1);
    weft_waitgroup_go(&t->others, wait_for_wg, t);
    while (!(atomic_load(&t->x.wg.weft__state) & 1))
        weft_yield();
    weft_yield();
    int spins = 0;
    atomic_store(&t->begun, round);
    while (atomic_load(&t->x.wg.weft__state) >> 32)
        let_go(&spins);
    weft_waitgroup_wait(&t->x.wg);
}

TEST_ENV(sync_gone, a_waitgroup_may_end_when_the_second_of_two_waits_returns, "WEFT_PROCS=2") { meet(part_done, wait_late); }

static void mark_inside(struct meeting *t)
{
    atomic_store(&t->inside, 1);
}

static void part_once(struct meeting *t)
{
    weft_once_do(&t->x.once, mark_inside, t);
}

static void nothing(struct meeting *t)
{
    (void)t;
}

static void once_second(struct meeting *t, int round)
{
    atomic_store(&t->inside, 0);
    atomic_store(&t->begun, round);
    for (int spins = 0; !atomic_load(&t->inside);)
        let_go(&spins);
    weft_once_do(&t->x.once, nothing, t);
}

TEST_ENV(sync_gone, a_once_may_end_when_a_call_that_waited_returns, "WEFT_PROCS=2") { meet(part_once, once_second); }

static void part_write(struct meeting *t)
{
    weft_rwmutex_lock(&t->x.rw);
    atomic_store(&t->inside, 1);
    weft_rwmutex_unlock(&t->x.rw);
}

static void read_after(struct meeting *t, int round)
{
    atomic_store(&t->inside, 0);
    atomic_store(&t->begun, round);
    for (int spins = 0; !atomic_load(&t->inside);)
        let_go(&spins);
    for (int spins = 0; !weft_rwmutex_try_rlock(&t->x.rw);)
        let_go(&spins);
    weft_rwmutex_runlock(&t->x.rw);
}

static void read_after_parked(struct meeting *t, int round)
{
    atomic_store(&t->inside, 0);
    atomic_store(&t->begun, round);
    for (int spins = 0; !atomic_load(&t->inside);)
        let_go(&spins);
    weft_rwmutex_rlock(&t->x.rw);
    weft_rwmutex_runlock(&t->x.rw);
}

TEST_ENV(sync_gone, an_rwmutex_may_end_when_a_reader_has_come_and_gone, "WEFT_PROCS=2") { meet(part_write, read_after); }
TEST_ENV(sync_gone, an_rwmutex_may_end_when_a_reader_that_waited_is_gone, "WEFT_PROCS=2") { meet(part_write, read_after_parked); }
