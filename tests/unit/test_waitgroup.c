/* test_waitgroup.c - after Go's sync/waitgroup_test.go, in our own words. */
#include <pthread.h>
#include <stdatomic.h>
#include <weft/weft.h>
#include <weft_test.h>

struct pair {
    weft_waitgroup *first, *second;
    weft_chan(bool) exited;
};

static void pass_on(struct pair p)
{
    weft_waitgroup_done(p.first);
    weft_waitgroup_wait(p.second);
    weft_send(p.exited, true);
}

static void both_ways(weft_waitgroup *a, weft_waitgroup *b)
{
    enum { N = 16 };
    weft_chan(bool) exited = weft_make(bool, N);
    weft_waitgroup_add(a, N);
    weft_waitgroup_add(b, N);
    for (int i = 0; i < N; i++)
        weft_go(pass_on, ((struct pair){a, b, exited}));
    weft_waitgroup_wait(a);
    for (int i = 0; i < N; i++) {
        bool gone;
        EXPECT_EQ(weft_try_recv(exited, &gone), 0);
        weft_waitgroup_done(b);
    }
    for (int i = 0; i < N; i++)
        EXPECT(weft_recv(exited));
    weft_free(exited);
}

TEST(waitgroup, wait_returns_when_all_are_done_and_it_can_be_used_again)
{
    weft_waitgroup a = {0}, b = {0};
    for (int i = 0; i < 8; i++)
        both_ways(&a, &b);
}

TEST(waitgroup, wait_of_a_zeroed_group_returns)
{
    weft_waitgroup wg = {0};
    weft_waitgroup_wait(&wg);
}

static void too_many(void)
{
    weft_waitgroup wg = {0};
    weft_waitgroup_add(&wg, 1);
    weft_waitgroup_done(&wg);
    weft_waitgroup_done(&wg);
}

TEST(waitgroup, a_negative_counter_panics)
{
    EXPECT_STR(weft_try(too_many), "sync: negative WaitGroup counter");
}

DEATH(waitgroup, a_negative_counter_ends_the_process, 2, "panic: sync: negative WaitGroup counter") { too_many(); }

static void wait_once(weft_waitgroup *wg, _Atomic int *waiting)
{
    atomic_fetch_add(waiting, 1);
    weft_waitgroup_wait(wg);
    atomic_fetch_sub(waiting, 1);
}

/* Ends the wait and begins anew at once, before the goroutine that waits can have run: nearly always, for its processor is
 * main's. */
static bool reuse_at_once(weft_waitgroup *wg)
{
    _Atomic int waiting = 0;

    weft_waitgroup_add(wg, 1);
    weft_go(wait_once, wg, &waiting);
    while (atomic_load(&waiting) == 0)
        weft_yield();
    weft_yield();
    weft_waitgroup_done(wg);
    const char *msg = weft_try(weft_waitgroup_add, wg, 1);
    if (msg)
        EXPECT_STR(msg, "sync: WaitGroup is reused before previous Wait has returned");
    else
        weft_waitgroup_done(wg);
    while (atomic_load(&waiting) != 0)
        weft_yield();
    return msg;
}

TEST_ENV(waitgroup, reuse_before_a_wait_has_returned_panics, "WEFT_PROCS=1")
{
    weft_waitgroup wg = {0};
    bool seen = false;

    for (int i = 0; i < 50 && !seen; i++)
        seen = reuse_at_once(&wg);
    EXPECT(seen);
    weft_waitgroup_add(&wg, 1); /* once it has returned, and though it panicked: as new */
    weft_waitgroup_done(&wg);
    weft_waitgroup_wait(&wg);
}

/* The word while its last done, seen to be the last, still lets the waiters go: zero, and somebody waits. */
TEST(waitgroup, an_add_while_those_who_wait_are_let_go_panics)
{
    weft_waitgroup wg = {0};

    atomic_store(&wg.weft__state, 1);
    EXPECT_STR(weft_try(weft_waitgroup_add, &wg, 1), "sync: WaitGroup misuse: Add called concurrently with Wait");
}

static void bump(_Atomic int *n, int by, double d, long unused)
{
    (void)unused;
    atomic_fetch_add(n, by + (int)d);
}

TEST(waitgroup, go_passes_arguments_and_is_done_when_fn_returns)
{
    weft_waitgroup wg = {0};
    _Atomic int n = 0;
    for (int i = 0; i < 100; i++)
        weft_waitgroup_go(&wg, bump, &n, 1, 2.0, 3L);
    weft_waitgroup_wait(&wg);
    EXPECT_EQ(n, 300);
}

static void leave(void)
{
    weft_goexit();
}

TEST(waitgroup, go_is_done_when_fn_ends_by_goexit)
{
    weft_waitgroup wg = {0};
    weft_waitgroup_go(&wg, leave);
    weft_waitgroup_wait(&wg);
}

static void done_later(weft_waitgroup *wg)
{
    weft_yield();
    weft_waitgroup_done(wg);
}

static __attribute__((noinline)) void short_life(int n)
{
    weft_waitgroup wg = {0};
    weft_waitgroup_add(&wg, n);
    for (int i = 0; i < n; i++)
        weft_go(done_later, &wg);
    weft_waitgroup_wait(&wg);
    memset(&wg, 0xff, sizeof wg);          /* a late touch would find garbage, and leave some */
    __asm__ volatile("" : : "r"(&wg) : "memory");
}

static void short_lives(void)
{
    for (int i = 0; i < WEFT_TEST_TIMES(2000, 200); i++)
        short_life(1 + i % 4);
}

TEST_ENV(waitgroup, may_go_away_as_soon_as_wait_returns_on_1_proc, "WEFT_PROCS=1") { short_lives(); }
TEST_ENV(waitgroup, may_go_away_as_soon_as_wait_returns_on_8_procs, "WEFT_PROCS=8") { short_lives(); }

static void wait_and_count(weft_waitgroup *wg, weft_waitgroup *over)
{
    weft_waitgroup_wait(wg);
    weft_waitgroup_done(over);
}

TEST(waitgroup, all_that_wait_go_on)
{
    weft_waitgroup wg = {0}, over = {0};
    weft_waitgroup_add(&wg, 1);
    weft_waitgroup_add(&over, 50);
    for (int i = 0; i < 50; i++)
        weft_go(wait_and_count, &wg, &over);
    weft_yield();
    weft_waitgroup_done(&wg);
    weft_waitgroup_wait(&over);
}

static void *done_from_thread(void *wg)
{
    weft_waitgroup_done(wg);
    return NULL;
}

TEST(waitgroup, done_may_come_from_another_thread)
{
    for (int i = 0; i < 20; i++) {
        weft_waitgroup wg = {0};
        pthread_t t;
        weft_waitgroup_add(&wg, 1);
        REQUIRE(pthread_create(&t, NULL, done_from_thread, &wg) == 0);
        weft_waitgroup_wait(&wg);
        pthread_join(t, NULL);
    }
}

DEATH(waitgroup, waiting_for_nobody_is_a_deadlock, 2, "all goroutines are asleep - deadlock!(.|\n)*sync.WaitGroup.Wait")
{
    weft_waitgroup wg = {0};
    weft_waitgroup_add(&wg, 1);
    weft_waitgroup_wait(&wg);
}
