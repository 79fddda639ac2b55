/* test_sem.c - after x/sync/semaphore's tests, in our own words. */
#include <stdatomic.h>
#include <weft/weft.h>
#include <weft_test.h>

#include "settle.h"

struct shared {
    weft_sem s;
    weft_waitgroup wg;
    _Atomic int64_t held;
    _Atomic int wrong;
};

static void hammer(struct shared *h, int64_t n, int rounds)
{
    for (int i = 0; i < rounds; i++) {
        if (weft_sem_acquire(NULL, &h->s, n) != 0 || atomic_fetch_add(&h->held, n) + n > 10)
            atomic_fetch_add(&h->wrong, 1);
        weft_yield();
        atomic_fetch_sub(&h->held, n);
        weft_sem_release(&h->s, n);
    }
}

static void weighted(void)
{
    struct shared h = {0};
    weft_sem_init(&h.s, 10);
    for (int i = 0; i < 8; i++)
        weft_waitgroup_go(&h.wg, hammer, &h, 1 + i % 7, WEFT_TEST_TIMES(500, 120));
    weft_waitgroup_wait(&h.wg);
    EXPECT_EQ(h.wrong, 0);
    EXPECT(weft_sem_try_acquire(&h.s, 10));
    weft_sem_release(&h.s, 10);
}

TEST_ENV(sem, never_more_than_its_size_is_held_on_1_proc, "WEFT_PROCS=1") { weighted(); }
TEST_ENV(sem, never_more_than_its_size_is_held_on_8_procs, "WEFT_PROCS=8") { weighted(); }

TEST(sem, try_acquire_takes_what_is_free)
{
    weft_sem s;
    weft_sem_init(&s, 2);
    EXPECT(weft_sem_try_acquire(&s, 1));
    EXPECT(!weft_sem_try_acquire(&s, 2));
    EXPECT(weft_sem_try_acquire(&s, 1));
    EXPECT(!weft_sem_try_acquire(&s, 1));
    weft_sem_release(&s, 2);
    EXPECT(weft_sem_try_acquire(&s, 2));
    weft_sem_release(&s, 2);
}

static void release_too_much(void)
{
    weft_sem s;
    weft_sem_init(&s, 1);
    weft_sem_release(&s, 1);
}

TEST(sem, releasing_more_than_is_held_panics)
{
    EXPECT_STR(weft_try(release_too_much), "semaphore: released more than held");
}

TEST(sem, an_ended_context_gets_nothing_even_when_free)
{
    weft_sem s;
    weft_ctx *c = weft_with_cancel(NULL);
    weft_sem_init(&s, 1);
    weft_cancel(c);
    EXPECT_EQ(weft_sem_acquire(c, &s, 1), WEFT_ECANCELED);
    EXPECT(weft_sem_try_acquire(&s, 1));
    weft_ctx_unref(c);
}

TEST(sem, a_wait_ends_with_its_context_and_lets_those_behind_through)
{
    struct shared h = {0};
    weft_ctx *c = weft_with_timeout(NULL, 3 * WEFT_MS);
    weft_sem_init(&h.s, 10);
    EXPECT(weft_sem_try_acquire(&h.s, 5));
    weft_waitgroup_go(&h.wg, hammer, &h, 1, 3);
    EXPECT_EQ(weft_sem_acquire(c, &h.s, 10), WEFT_EDEADLINE);
    weft_waitgroup_wait(&h.wg);                /* the one behind got what the big one stood before */
    weft_sem_release(&h.s, 5);
    EXPECT_EQ(weft_sem_acquire(NULL, &h.s, 10), 0);
    weft_ctx_unref(c);
}

TEST(sem, more_than_its_size_waits_for_the_context_without_holding_up_others)
{
    weft_sem s;
    weft_ctx *c = weft_with_timeout(NULL, WEFT_MS);
    weft_sem_init(&s, 1);
    EXPECT_EQ(weft_sem_acquire(c, &s, 2), WEFT_EDEADLINE);
    EXPECT(weft_sem_try_acquire(&s, 1));
    weft_ctx_unref(c);
}

static void big_then_note(struct shared *h)
{
    EXPECT_EQ(weft_sem_acquire(NULL, &h->s, 10), 0);
    atomic_store(&h->held, 1);
    weft_sem_release(&h->s, 10);
}

TEST_ENV(sem, small_ones_do_not_starve_a_big_one, "WEFT_PROCS=1")
{
    struct shared h = {0};
    weft_sem_init(&h.s, 10);
    EXPECT(weft_sem_try_acquire(&h.s, 5));
    weft_waitgroup_go(&h.wg, big_then_note, &h);
    test_settle();
    EXPECT(!weft_sem_try_acquire(&h.s, 1));
    weft_sem_release(&h.s, 5);
    EXPECT_EQ(weft_sem_acquire(NULL, &h.s, 1), 0);
    EXPECT_EQ(h.held, 1);
    weft_waitgroup_wait(&h.wg);
}

static void in_and_out(struct shared *h, int rounds)
{
    for (int i = 0; i < rounds; i++) {
        weft_ctx *c = weft_with_timeout(NULL, i % 40 * WEFT_US);
        if (weft_sem_acquire(c, &h->s, 1 + i % 3) == 0) {
            if (i % 4 == 0)
                weft_yield();
            weft_sem_release(&h->s, 1 + i % 3);
        }
        weft_ctx_unref(c);
    }
}

TEST_ENV(sem, grants_and_ends_may_race, "WEFT_PROCS=8")
{
    struct shared h = {0};
    weft_sem_init(&h.s, 3);
    for (int i = 0; i < 8; i++)
        weft_waitgroup_go(&h.wg, in_and_out, &h, WEFT_TEST_TIMES(1000, 30));
    weft_waitgroup_wait(&h.wg);
    EXPECT(weft_sem_try_acquire(&h.s, 3));     /* nothing was lost, nothing given twice */
    EXPECT(!weft_sem_try_acquire(&h.s, 1));
}
