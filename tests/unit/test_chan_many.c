/*
 * test_chan_many.c - one channel between many goroutines and with threads that are not weft's: nothing is lost.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <weft/weft.h>

#include "weft_test.h"

static atomic_int stage, served_n;

static bool until(atomic_int *p, int n)
{
    weft_time end = weft_now() + 3600 * WEFT_SEC; /* of simulated time, too; real runs have the runner's limit */
    while (atomic_load(p) < n) {
        if (weft_now() > end)
            return false;
        weft_yield();
    }
    return true;
}

static atomic_long total;

static void produce(weft_sender(long) ch, long from, long n)
{
    for (long i = 0; i < n; i++)
        weft_send(ch, from + i);
    atomic_fetch_add(&stage, 1);
}

static void consume(weft_receiver(long) ch)
{
    long sum = 0;
    weft_range(v, ch) sum += v;
    atomic_fetch_add(&total, sum);
    atomic_fetch_add(&served_n, 1);
}

static void many_to_many(int producers, int consumers, int cap)
{
    enum { N = WEFT_TEST_TIMES(2000, 20) };
    weft_chan(long) ch = weft_make(long, cap);
    atomic_store(&stage, 0);
    atomic_store(&served_n, 0);
    atomic_store(&total, 0);
    for (int i = 0; i < consumers; i++)
        weft_go(consume, ch);
    for (int i = 0; i < producers; i++)
        weft_go(produce, ch, (long)i * N, N);
    EXPECT(until(&stage, producers));
    weft_close(ch);
    EXPECT(until(&served_n, consumers));
    long n = (long)producers * N;
    EXPECT_EQ(atomic_load(&total), n * (n - 1) / 2);
    weft_free(ch);
}

TEST(chan_many, nothing_is_lost_between_many_unbuffered)
{
    many_to_many(8, 8, 0);
}

TEST(chan_many, nothing_is_lost_between_many_buffered)
{
    many_to_many(8, 5, 7);
}

TEST(chan_many, nothing_is_lost_from_many_to_one)
{
    many_to_many(50, 1, 1);
}

TEST(chan_many, nothing_is_lost_from_one_to_many)
{
    many_to_many(1, 50, 3);
}

TEST_ENV(chan_many, nothing_is_lost_on_eight_procs, "WEFT_PROCS=8")
{
    many_to_many(16, 16, 0);
    many_to_many(16, 16, 16);
}

/* ---- foreign threads ---- */

static void *thread_uses(void *arg)
{
    weft_chan(int) ch = arg;
    for (int i = 0; i < 100; i++)
        weft_send(ch, i); /* parks: the thread becomes a goroutine for it */
    while (!weft_try_send(ch, 100))
        sched_yield();
    weft_close(ch);
    return NULL;
}

TEST(chan_many, a_foreign_thread_may_send_and_close)
{
    weft_chan(int) ch = weft_make(int);
    pthread_t t;
    REQUIRE(pthread_create(&t, NULL, thread_uses, ch) == 0);
    int n = 0;
    weft_range(v, ch) EXPECT_EQ(v, n++);
    EXPECT_EQ(n, 101);
    weft_block_begin();
    pthread_join(t, NULL);
    weft_block_end();
    weft_free(ch);
}

struct tries {
    weft_chan(int) ch;
    int taken;
    long sum;
};

static void *thread_tries(void *arg)
{
    struct tries *t = arg;
    int v, r;
    while ((r = weft_try_recv(t->ch, &v)) >= 0) {
        t->taken += r;
        t->sum += r > 0 ? v : 0;
        if (r == 0)
            sched_yield();
    }
    return NULL;
}

TEST(chan_many, a_foreign_thread_may_try_to_receive)
{
    struct tries t = {.ch = weft_make(int, 3)};
    pthread_t thread;
    REQUIRE(pthread_create(&thread, NULL, thread_tries, &t) == 0);
    for (int i = 1; i <= 1000; i++) {
        weft_send(t.ch, i);
        EXPECT_EQ(weft_num_goroutines(), 1); /* a call that does not park makes no goroutine of its thread */
    }
    weft_close(t.ch);
    weft_block_begin();
    pthread_join(thread, NULL);
    weft_block_end();
    EXPECT_EQ(t.taken, 1000);
    EXPECT_EQ(t.sum, 500500);
    weft_free(t.ch);
}
