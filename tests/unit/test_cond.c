/* test_cond.c - after Go's sync/cond_test.go, in our own words. */
#include <stdatomic.h>
#include <weft/weft.h>
#include <weft_test.h>

struct shared {
    weft_mutex m;
    weft_cond c;
    weft_waitgroup wg;
    int waiting, woken, go_on;    /* guarded by m */
    int order[16];
};

static void wait_once(struct shared *s, int who)
{
    weft_mutex_lock(&s->m);
    s->waiting++;
    weft_cond_wait(&s->c);
    s->order[s->woken++] = who;
    weft_mutex_unlock(&s->m);
}

static void until_waiting(struct shared *s, int n)
{
    for (;;) {
        weft_mutex_lock(&s->m);
        bool there = s->waiting == n;
        weft_mutex_unlock(&s->m);
        if (there)
            return;
        weft_yield();
    }
}

static int woken(struct shared *s)
{
    weft_mutex_lock(&s->m);
    int n = s->woken;
    weft_mutex_unlock(&s->m);
    return n;
}

TEST(cond, signal_wakes_one_at_a_time)
{
    struct shared s = {.c.m = &s.m};
    for (int i = 0; i < 3; i++)
        weft_waitgroup_go(&s.wg, wait_once, &s, i);
    until_waiting(&s, 3);
    EXPECT_EQ(woken(&s), 0);
    for (int i = 1; i <= 3; i++) {
        weft_cond_signal(&s.c);
        while (woken(&s) < i)
            weft_yield();
        for (int k = 0; k < 10; k++)
            weft_yield();
        EXPECT_EQ(woken(&s), i);
    }
    weft_cond_signal(&s.c);                    /* nobody waits: nothing is kept */
    weft_waitgroup_wait(&s.wg);
}

TEST_ENV(cond, the_one_that_waited_longest_is_woken_first, "WEFT_PROCS=1")
{
    struct shared s = {.c.m = &s.m};
    for (int i = 0; i < 8; i++) {
        weft_waitgroup_go(&s.wg, wait_once, &s, i);
        until_waiting(&s, i + 1);
    }
    for (int i = 1; i <= 8; i++) {
        weft_cond_signal(&s.c);
        while (woken(&s) < i)
            weft_yield();
    }
    weft_waitgroup_wait(&s.wg);
    for (int i = 0; i < 8; i++)
        EXPECT_EQ(s.order[i], i);
}

TEST(cond, broadcast_wakes_all)
{
    struct shared s = {.c.m = &s.m};
    for (int i = 0; i < 16; i++)
        weft_waitgroup_go(&s.wg, wait_once, &s, i);
    until_waiting(&s, 16);
    weft_cond_broadcast(&s.c);
    weft_waitgroup_wait(&s.wg);
    EXPECT_EQ(s.woken, 16);
}

struct queue {
    weft_mutex m;
    weft_cond not_empty, not_full;
    weft_waitgroup wg;
    int n;
    long sum;
};

static void put_many(struct queue *q, int rounds)
{
    for (int i = 0; i < rounds; i++) {
        weft_mutex_lock(&q->m);
        while (q->n == 4)
            weft_cond_wait(&q->not_full);
        q->n++;
        weft_cond_signal(&q->not_empty);
        weft_mutex_unlock(&q->m);
    }
}

static void take_many(struct queue *q, int rounds)
{
    for (int i = 0; i < rounds; i++) {
        weft_mutex_lock(&q->m);
        while (q->n == 0)
            weft_cond_wait(&q->not_empty);
        q->n--;
        q->sum++;
        weft_mutex_unlock(&q->m);
        weft_cond_signal(&q->not_full);        /* without the mutex: allowed */
    }
}

static void bounded_queue(void)
{
    enum { ROUNDS = WEFT_TEST_TIMES(2000, 250) };
    struct queue q = {.not_empty.m = &q.m, .not_full.m = &q.m};
    for (int i = 0; i < 4; i++) {
        weft_waitgroup_go(&q.wg, put_many, &q, ROUNDS);
        weft_waitgroup_go(&q.wg, take_many, &q, ROUNDS);
    }
    weft_waitgroup_wait(&q.wg);
    EXPECT_EQ(q.sum, 4 * ROUNDS);
}

TEST_ENV(cond, no_wake_is_lost_on_1_proc, "WEFT_PROCS=1") { bounded_queue(); }
TEST_ENV(cond, no_wake_is_lost_on_8_procs, "WEFT_PROCS=8") { bounded_queue(); }

/* Broadcasts with the mutex held, so that the waiters go over to its line, and others that lock it meanwhile. */
struct crowd {
    weft_mutex m;
    weft_cond c;
    long turn, inside;            /* guarded by m */
    _Atomic long passes;
    _Atomic bool over;
};

static void crowd_waiter(struct crowd *w, long turns)
{
    weft_mutex_lock(&w->m);
    for (long t = 0; t < turns; t++) {
        while (w->turn == t)
            weft_cond_wait(&w->c);
        EXPECT_EQ(++w->inside, 1);
        w->inside--;
    }
    weft_mutex_unlock(&w->m);
}

static void crowd_passer(struct crowd *w)
{
    do {
        weft_mutex_lock(&w->m);
        EXPECT_EQ(++w->inside, 1);
        w->inside--;
        weft_mutex_unlock(&w->m);
        atomic_fetch_add(&w->passes, 1);
        weft_yield();
    } while (!atomic_load(&w->over));
}

static void crowd_run(bool held)
{
    enum { WAITERS = 50, TURNS = WEFT_TEST_TIMES(200, 20) };
    struct crowd w = {.turn = 0};
    weft_waitgroup wg = {0}, passers = {0};
    w.c.m = &w.m;
    for (int i = 0; i < WAITERS; i++)
        weft_waitgroup_go(&wg, crowd_waiter, &w, (long)TURNS);
    for (int i = 0; i < 4; i++)
        weft_waitgroup_go(&passers, crowd_passer, &w);
    for (int t = 0; t < TURNS; t++) {
        weft_mutex_lock(&w.m);
        w.turn++;
        if (held)
            weft_cond_broadcast(&w.c);
        weft_mutex_unlock(&w.m);
        if (!held)
            weft_cond_broadcast(&w.c);
        weft_yield();
    }
    weft_waitgroup_wait(&wg);
    atomic_store(&w.over, true);
    weft_waitgroup_wait(&passers);
    EXPECT(atomic_load(&w.passes) >= 4);
}

TEST_ENV(cond, broadcast_with_the_mutex_held_wakes_all_on_1_proc, "WEFT_PROCS=1") { crowd_run(true); }
TEST_ENV(cond, broadcast_with_the_mutex_held_wakes_all_on_8_procs, "WEFT_PROCS=8") { crowd_run(true); }
TEST_ENV(cond, broadcast_without_the_mutex_wakes_all_on_8_procs, "WEFT_PROCS=8") { crowd_run(false); }
