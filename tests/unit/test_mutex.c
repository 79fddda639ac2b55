/* test_mutex.c - mutual exclusion, hand-over, fairness. After Go's sync/mutex_test.go, in our own words. */
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <string.h>
#include <weft/weft.h>
#include <weft_test.h>

#include "settle.h"

enum { LOCKERS = 10, ROUNDS = 1000 };

struct shared {
    weft_mutex m;
    weft_waitgroup wg;
    long count;                 /* guarded by m, on purpose not atomic */
    _Atomic int inside;
    _Atomic int seen_two;
};

static void add_under_lock(struct shared *s, int rounds)
{
    for (int i = 0; i < rounds; i++) {
        if (i % 3 == 0 && weft_mutex_try_lock(&s->m)) {
            s->count++;
            weft_mutex_unlock(&s->m);
            continue;
        }
        weft_mutex_lock(&s->m);
        if (atomic_fetch_add(&s->inside, 1) != 0)
            atomic_store(&s->seen_two, 1);
        long c = s->count;
        if (i % 16 == 0)
            weft_yield();
        s->count = c + 1;
        atomic_fetch_sub(&s->inside, 1);
        weft_mutex_unlock(&s->m);
    }
}

/* try_lock takes it without raising `inside`, so it is counted by the total only. */
static void hammer(void)
{
    struct shared s = {0};
    for (int i = 0; i < LOCKERS; i++)
        weft_waitgroup_go(&s.wg, add_under_lock, &s, ROUNDS);
    weft_waitgroup_wait(&s.wg);
    EXPECT_EQ(s.count, LOCKERS * ROUNDS);
    EXPECT_EQ(s.seen_two, 0);
    EXPECT(weft_mutex_try_lock(&s.m));
    weft_mutex_unlock(&s.m);
}

TEST_ENV(mutex, one_goroutine_inside_at_a_time_on_1_proc, "WEFT_PROCS=1") { hammer(); }
TEST_ENV(mutex, one_goroutine_inside_at_a_time_on_2_procs, "WEFT_PROCS=2") { hammer(); }
TEST_ENV(mutex, one_goroutine_inside_at_a_time_on_8_procs, "WEFT_PROCS=8") { hammer(); }

TEST(mutex, try_lock_of_a_held_mutex_fails)
{
    weft_mutex m = {0};
    EXPECT(weft_mutex_try_lock(&m));
    EXPECT(!weft_mutex_try_lock(&m));
    weft_mutex_unlock(&m);
    EXPECT(weft_mutex_try_lock(&m));
    weft_mutex_unlock(&m);
}

static void unlock_for(weft_mutex *m)
{
    weft_mutex_unlock(m);
}

TEST(mutex, another_goroutine_may_unlock_it)
{
    weft_mutex m = {0};
    weft_mutex_lock(&m);
    weft_go(unlock_for, &m);
    weft_mutex_lock(&m);
    weft_mutex_unlock(&m);
}

static void deferred_unlock(weft_mutex *m)
{
    weft_mutex_lock(m);
    weft_defer(weft_mutex_unlock, m);
}

TEST(mutex, unlock_can_be_deferred)
{
    weft_mutex m = {0};
    deferred_unlock(&m);
    EXPECT(weft_mutex_try_lock(&m));
    weft_mutex_unlock(&m);
}

struct hog {
    weft_mutex m;
    weft_waitgroup wg;
    _Atomic bool stop;
};

/* Holds the mutex nearly all the time. */
static void hog_run(struct hog *h)
{
    while (!atomic_load(&h->stop)) {
        weft_mutex_lock(&h->m);
        weft_sleep(100 * WEFT_US);
        weft_mutex_unlock(&h->m);
    }
}

/* After Go's TestMutexFairness: a sleeper beside somebody who takes the mutex back at once gets it all the same. */
static void fair(void)
{
    struct hog h = {0};
    weft_waitgroup_go(&h.wg, hog_run, &h);
    for (int i = 0; i < 10; i++) { /* starved, it would not end */
        weft_sleep(100 * WEFT_US);
        weft_mutex_lock(&h.m);
        weft_mutex_unlock(&h.m);
    }
    atomic_store(&h.stop, true);
    weft_waitgroup_wait(&h.wg);
}

TEST_ENV(mutex, a_sleeper_is_not_starved_on_1_proc, "WEFT_PROCS=1") { fair(); }
TEST_ENV(mutex, a_sleeper_is_not_starved_on_8_procs, "WEFT_PROCS=8") { fair(); }

struct line {
    weft_mutex m;
    weft_waitgroup wg;
    int order[8], n;
};

static void note_order(struct line *l, int who)
{
    weft_mutex_lock(&l->m);
    l->order[l->n++] = who;
    weft_mutex_unlock(&l->m);
}

TEST_ENV(mutex, sleepers_get_it_in_the_order_they_came, "WEFT_PROCS=1")
{
    struct line l = {0};
    weft_mutex_lock(&l.m);
    for (int i = 0; i < 8; i++) {
        weft_waitgroup_go(&l.wg, note_order, &l, i);
        test_settle();
    }
    weft_mutex_unlock(&l.m);
    weft_waitgroup_wait(&l.wg);
    for (int i = 0; i < 8; i++)
        EXPECT_EQ(l.order[i], i);
}

/* A counted object: whoever drops the last reference frees the mutex it has just released (asan finds a late touch). */
struct counted {
    weft_mutex m;
    int refs;
};

static void drop(struct counted *c)
{
    weft_mutex_lock(&c->m);
    bool last = --c->refs == 0;
    weft_mutex_unlock(&c->m);
    if (last)
        free(c);
}

TEST_ENV(mutex, who_gets_it_last_may_free_it, "WEFT_PROCS=8")
{
    for (int round = 0; round < WEFT_TEST_TIMES(500, 150); round++) {
        weft_waitgroup wg = {0};
        struct counted *c = calloc(1, sizeof *c);
        c->refs = 4;
        for (int i = 0; i < 4; i++)
            weft_waitgroup_go(&wg, drop, c);
        weft_waitgroup_wait(&wg);
    }
}

/* Mutexes that nobody has waited for yet, one after the other: a sleeper that gets in line while the holder's plain store is
 * on its way must not be forgotten (mutex.c, MX6). */
enum { FRESH = 300, WALKERS = 2 };
static struct {
    weft_mutex m;
    _Atomic int here;           /* who has come to this one: they take it together */
    int count;
} fresh[FRESH];

static void *walk(void *arg)
{
    int id = *(int *)arg;
    for (int i = 0; i < FRESH; i++) {
        atomic_fetch_add(&fresh[i].here, 1);
        for (int looks = 0; atomic_load(&fresh[i].here) != WALKERS; looks++)
            if (looks > 1000)
                sched_yield();
        weft_mutex_lock(&fresh[i].m);
        for (volatile int k = (i * 37 + id * 1311) % 4000; k > 0; k--) {
        }
        fresh[i].count++;
        weft_mutex_unlock(&fresh[i].m);
    }
    return NULL;
}

TEST(mutex, who_waits_while_a_plain_unlock_is_under_way_is_woken)
{
    pthread_t t[WALKERS];
    int id[WALKERS];
    for (int round = 0; round < 5; round++) {
        memset(fresh, 0, sizeof fresh);
        for (int i = 0; i < WALKERS; i++) {
            id[i] = i;
            EXPECT_EQ(pthread_create(&t[i], NULL, walk, &id[i]), 0);
        }
        for (int i = 0; i < WALKERS; i++)
            pthread_join(t[i], NULL);
        for (int i = 0; i < FRESH; i++)
            EXPECT_EQ(fresh[i].count, WALKERS);
    }
}

DEATH(mutex, unlock_of_an_unlocked_mutex_is_fatal, 2, "fatal error: sync: unlock of unlocked mutex")
{
    weft_mutex m = {0};
    weft_mutex_lock(&m);
    weft_mutex_unlock(&m);
    weft_mutex_unlock(&m);
}

DEATH(mutex, locking_twice_is_a_deadlock, 2, "all goroutines are asleep - deadlock!(.|\n)*sync.Mutex.Lock")
{
    weft_mutex m = {0};
    weft_mutex_lock(&m);
    weft_mutex_lock(&m);
}
