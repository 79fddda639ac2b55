/*
 * test_local.c - values of a goroutine's own.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <weft/weft.h>

#include "weft_test.h"

static void *dropped[8];
static int dropped_n;

static void note_drop(void *value)
{
    dropped[dropped_n++ % 8] = value;
}

static weft_local plain, noted = {.drop = note_drop}, other = {.drop = note_drop};
static int one, two, three;

TEST(local, is_null_until_it_is_set)
{
    EXPECT(weft_local_get(&plain) == NULL);
    weft_local_set(&plain, &one);
    EXPECT(weft_local_get(&plain) == &one);
    EXPECT(weft_local_get(&noted) == NULL);
    weft_local_set(&plain, &two);
    EXPECT(weft_local_get(&plain) == &two);
    weft_local_set(&plain, NULL);
    weft_local_set(&plain, NULL);
    EXPECT(weft_local_get(&plain) == NULL);
}

static void keep_own(long n)
{
    EXPECT(weft_local_get(&plain) == NULL);
    weft_local_set(&plain, (void *)n);
    for (int i = 0; i < 20; i++) {
        weft_sleep(i % 3 * WEFT_US);
        EXPECT_EQ((long)weft_local_get(&plain), n);
    }
}

TEST_ENV(local, stays_with_its_goroutine_over_parks, "WEFT_PROCS=4")
{
    weft_waitgroup wg = {0};
    weft_local_set(&plain, &one);
    for (int round = 0; round < 3; round++) { /* descriptors are used again */
        for (long n = 1; n <= 40; n++)
            weft_waitgroup_go(&wg, keep_own, n);
        weft_waitgroup_wait(&wg);
    }
    EXPECT(weft_local_get(&plain) == &one);
    weft_local_set(&plain, NULL);
}

static void see_no_drop_yet(void)
{
    EXPECT_EQ(dropped_n, 0);
    EXPECT(weft_local_get(&noted) == &one);
}

static void set_three(bool leave)
{
    weft_local_set(&noted, &one);
    weft_local_set(&other, &two);
    weft_local_set(&plain, &three);
    weft_defer(see_no_drop_yet);
    if (leave)
        weft_goexit();
}

static void ends_with(bool leave)
{
    weft_waitgroup wg = {0};
    dropped_n = 0;
    weft_waitgroup_go(&wg, set_three, leave);
    weft_waitgroup_wait(&wg);
    EXPECT_EQ(dropped_n, 2); /* no waiting for it: the drops come before the wait group's end */
    EXPECT(dropped[0] == &two);
    EXPECT(dropped[1] == &one);
}

TEST(local, values_are_dropped_when_the_goroutine_returns)
{
    ends_with(false);
}

TEST(local, values_are_dropped_by_goexit_after_its_deferred_calls)
{
    ends_with(true);
}

static void replace_and_take_out(void)
{
    weft_local_set(&noted, &one);
    weft_local_set(&noted, &two);
    weft_local_set(&other, &three);
    weft_local_set(&other, NULL);
}

TEST(local, what_was_replaced_or_taken_out_is_not_dropped)
{
    weft_waitgroup wg = {0};
    dropped_n = 0;
    weft_waitgroup_go(&wg, replace_and_take_out);
    weft_waitgroup_wait(&wg);
    EXPECT_EQ(dropped_n, 1);
    EXPECT(dropped[0] == &two);
}

static weft_chan(int) gate;

static void panics(void)
{
    weft_panic("in a drop");
}

static void busy_drop(void *value)
{
    EXPECT_EQ(weft_recv(gate), 7);
    EXPECT_STR(weft_try(panics), "in a drop");
    weft_local_set(&noted, value);
}

static weft_local busy = {.drop = busy_drop};

static void set_busy(bool leave)
{
    weft_local_set(&busy, &one);
    if (leave)
        weft_goexit();
}

TEST(local, a_drop_may_park_and_try_and_set_another_value)
{
    gate = weft_make(int);
    for (int leave = 0; leave < 2; leave++) {
        weft_waitgroup wg = {0};
        dropped_n = 0;
        weft_waitgroup_go(&wg, set_busy, leave);
        weft_send(gate, 7);
        weft_waitgroup_wait(&wg);
        EXPECT_EQ(dropped_n, 1);
        EXPECT(dropped[0] == &one);
    }
    weft_free(gate);
}

static void *thread_main(void *arg)
{
    EXPECT(weft_local_get(&noted) == NULL);
    weft_local_set(&noted, arg);
    EXPECT(weft_local_get(&noted) == arg);
    return NULL;
}

TEST(foreign, a_thread_has_local_values_that_are_dropped_at_its_end)
{
    weft_yield();
    for (int round = 1; round <= 2; round++) { /* the second thread may get the first one's descriptor */
        pthread_t t;
        dropped_n = 0;
        EXPECT_EQ(pthread_create(&t, NULL, thread_main, &two), 0);
        weft_block_begin();
        pthread_join(t, NULL);
        weft_block_end();
        EXPECT_EQ(dropped_n, 1);
        EXPECT(dropped[0] == &two);
    }
}
