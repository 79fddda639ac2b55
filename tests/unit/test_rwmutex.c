/* test_rwmutex.c - after Go's sync/rwmutex_test.go, in our own words. */
#include <stdatomic.h>
#include <weft/weft.h>
#include <weft_test.h>

#include "settle.h"

struct shared {
    weft_rwmutex rw;
    weft_waitgroup wg;
    _Atomic int activity;         /* readers count 1, a writer 10000 */
    _Atomic int wrong;
};

static void reader(struct shared *s, int rounds)
{
    for (int i = 0; i < rounds; i++) {
        if (i % 5 || !weft_rwmutex_try_rlock(&s->rw))
            weft_rwmutex_rlock(&s->rw);
        int n = atomic_fetch_add(&s->activity, 1) + 1;
        if (n < 1 || n >= 10000)
            atomic_fetch_add(&s->wrong, 1);
        if (i % 8 == 0)
            weft_yield();
        atomic_fetch_sub(&s->activity, 1);
        weft_rwmutex_runlock(&s->rw);
    }
}

static void writer(struct shared *s, int rounds)
{
    for (int i = 0; i < rounds; i++) {
        if (i % 5 || !weft_rwmutex_try_lock(&s->rw))
            weft_rwmutex_lock(&s->rw);
        if (atomic_fetch_add(&s->activity, 10000) != 0)
            atomic_fetch_add(&s->wrong, 1);
        if (i % 8 == 0)
            weft_yield();
        atomic_fetch_sub(&s->activity, 10000);
        weft_rwmutex_unlock(&s->rw);
    }
}

static void hammer(int readers)
{
    enum { ROUNDS = WEFT_TEST_TIMES(500, 100) };
    struct shared s = {0};
    weft_waitgroup_go(&s.wg, writer, &s, ROUNDS);
    for (int i = 0; i < readers / 2; i++)
        weft_waitgroup_go(&s.wg, reader, &s, ROUNDS);
    weft_waitgroup_go(&s.wg, writer, &s, ROUNDS);
    for (int i = readers / 2; i < readers; i++)
        weft_waitgroup_go(&s.wg, reader, &s, ROUNDS);
    weft_waitgroup_wait(&s.wg);
    EXPECT_EQ(s.wrong, 0);
    EXPECT_EQ(s.activity, 0);
}

TEST_ENV(rwmutex, readers_or_one_writer_on_1_proc, "WEFT_PROCS=1") { hammer(5); }
TEST_ENV(rwmutex, readers_or_one_writer_on_2_procs, "WEFT_PROCS=2") { hammer(3); }
TEST_ENV(rwmutex, readers_or_one_writer_on_8_procs, "WEFT_PROCS=8") { hammer(10); }

static void meet(struct shared *s, weft_chan(int) in, weft_chan(int) out)
{
    weft_rwmutex_rlock(&s->rw);
    weft_send(in, 1);
    (void)weft_recv(out);
    weft_rwmutex_runlock(&s->rw);
}

TEST(rwmutex, readers_are_inside_together)
{
    struct shared s = {0};
    weft_chan(int) in = weft_make(int), out = weft_make(int);
    for (int i = 0; i < 4; i++)
        weft_waitgroup_go(&s.wg, meet, &s, in, out);
    for (int i = 0; i < 4; i++)
        (void)weft_recv(in);
    EXPECT(!weft_rwmutex_try_lock(&s.rw));
    for (int i = 0; i < 4; i++)
        weft_send(out, 1);
    weft_waitgroup_wait(&s.wg);
    EXPECT(weft_rwmutex_try_lock(&s.rw));
    EXPECT(!weft_rwmutex_try_lock(&s.rw));
    EXPECT(!weft_rwmutex_try_rlock(&s.rw));
    weft_rwmutex_unlock(&s.rw);
    weft_free(in);
    weft_free(out);
}

static void one_writer(struct shared *s)
{
    weft_rwmutex_lock(&s->rw);
    weft_rwmutex_unlock(&s->rw);
}

TEST_ENV(rwmutex, a_waiting_writer_holds_new_readers_back, "WEFT_PROCS=1")
{
    struct shared s = {0};
    weft_rwmutex_rlock(&s.rw);
    weft_waitgroup_go(&s.wg, one_writer, &s);
    test_settle();
    EXPECT(!weft_rwmutex_try_rlock(&s.rw));
    weft_rwmutex_runlock(&s.rw);
    weft_waitgroup_wait(&s.wg);
    EXPECT(weft_rwmutex_try_rlock(&s.rw));
    weft_rwmutex_runlock(&s.rw);
}

DEATH(rwmutex, runlock_of_an_unlocked_one_is_fatal, 2, "fatal error: sync: runlock of unlocked RWMutex")
{
    weft_rwmutex rw = {0};
    weft_rwmutex_runlock(&rw);
}

DEATH(rwmutex, unlock_of_an_unlocked_one_is_fatal, 2, "fatal error: sync: unlock of unlocked RWMutex")
{
    weft_rwmutex rw = {0};
    weft_rwmutex_rlock(&rw);
    weft_rwmutex_unlock(&rw);
}

DEATH(rwmutex, a_reader_that_waits_for_itself_is_a_deadlock, 2, "deadlock!(.|\n)*sync.RWMutex.Lock")
{
    weft_rwmutex rw = {0};
    weft_rwmutex_rlock(&rw);
    weft_rwmutex_lock(&rw);
}
