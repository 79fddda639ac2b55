/*
 * test_conf_sync.c - wait group, once, cond, pool, as Go's tests hold them. What comes from where: LIST.md.
 *
 * Source  Go: src/sync/waitgroup_test.go, once_test.go, oncefunc_test.go, cond_test.go, pool_test.go.
 */
#include "conf.h"
#include <malloc.h>

/* ---- waitgroup ---- */

static void done_and_wait(weft_waitgroup *wg1, weft_waitgroup *wg2, weft_sender(bool) exited)
{
    weft_waitgroup_done(wg1);
    weft_waitgroup_wait(wg2);
    weft_send(exited, true);
}

/* Go: TestWaitGroup: two groups used eight times over; nobody passes before the last is done */
TEST(conf_sync, a_wait_group_is_a_barrier_again_and_again)
{
    enum { N = 16 };
    weft_waitgroup wg1 = {0}, wg2 = {0};
    weft_chan(bool) exited = weft_make(bool, N);
    for (int round = 0; round < 8; round++) {
        weft_waitgroup_add(&wg1, N);
        weft_waitgroup_add(&wg2, N);
        for (int i = 0; i < N; i++)
            weft_go(done_and_wait, &wg1, &wg2, exited);
        weft_waitgroup_wait(&wg1);
        for (int i = 0; i < N; i++) {
            EXPECT_EQ(weft_try_recv(exited, NULL), 0);
            weft_waitgroup_done(&wg2);
        }
        for (int i = 0; i < N; i++)
            (void)weft_recv(exited);
    }
    weft_free(exited);
}

static void done_too_often(weft_waitgroup *wg)
{
    weft_waitgroup_add(wg, 1);
    weft_waitgroup_done(wg);
    weft_waitgroup_done(wg);
}

/* Go: TestWaitGroupMisuse */
TEST(conf_sync, a_wait_group_below_zero_panics)
{
    weft_waitgroup wg = {0};
    EXPECT_STR(weft_try(done_too_often, &wg), "sync: negative WaitGroup counter");
}

static void count_and_done(atomic_int *n, weft_waitgroup *wg)
{
    atomic_fetch_add(n, 1);
    weft_waitgroup_done(wg);
}

/* Go: TestWaitGroupRace */
TEST(conf_sync, a_wait_sees_what_was_done_before)
{
    for (int i = 0; i < 1000; i++) {
        weft_waitgroup wg = {0};
        atomic_int n = 0;
        weft_waitgroup_add(&wg, 1);
        weft_go(count_and_done, &n, &wg);
        weft_waitgroup_add(&wg, 1);
        weft_go(count_and_done, &n, &wg);
        weft_waitgroup_wait(&wg);
        EXPECT_EQ(atomic_load(&n), 2);
    }
}

static void add_one(int *i)
{
    (*i)++;
}

/* Go: TestWaitGroupGo; i needs no atomic: the end of the call happens before wait returns */
TEST(conf_sync, a_wait_group_starts_and_waits)
{
    weft_waitgroup wg = {0};
    int i = 0;
    weft_waitgroup_go(&wg, add_one, &i);
    weft_waitgroup_wait(&wg);
    EXPECT_EQ(i, 1);
}

static void panics_with_test(void)
{
    weft_panic("test");
}

/* Go: TestIssue76126: done is not called on the way out of a panic, so wait does not return first */
DEATH(conf_sync, a_panic_in_a_wait_groups_goroutine_ends_the_process_before_wait_returns, 2, "^panic: test\n[^!]*$")
{
    weft_waitgroup wg = {0};
    weft_waitgroup_go(&wg, panics_with_test);
    weft_waitgroup_wait(&wg);
    fputs("!!! wait returned\n", stderr);
    weft_panic("!!! wait returned");
}

/* ---- once ---- */

static int calls;

static void call_once(weft_once *o)
{
    weft_once_do(o, add_one, &calls);
    EXPECT_EQ(calls, 1);
}

/* Go: TestOnce */
TEST(conf_sync, ten_goroutines_call_once_once)
{
    weft_once o = {0};
    weft_waitgroup wg = {0};
    for (int i = 0; i < 10; i++)
        weft_waitgroup_go(&wg, call_once, &o);
    weft_waitgroup_wait(&wg);
    EXPECT_EQ(calls, 1);
}

static void counts_and_panics(void)
{
    calls++;
    weft_panic("x");
}

static void do_panics(weft_once *o)
{
    weft_once_do(o, counts_and_panics);
}

/* Go: TestOncePanic */
TEST(conf_sync, a_once_that_panicked_is_done)
{
    weft_once o = {0};
    EXPECT_STR(weft_try(do_panics, &o), "x");
    weft_once_do(&o, counts_and_panics);
    EXPECT_EQ(calls, 1);
}

static int counts(void)
{
    return ++calls;
}

/* Go: TestOnceValue, TestOnceFunc */
TEST(conf_sync, a_value_is_computed_once_and_costs_no_memory)
{
    weft_once o = {0};
    int slot = 0;
    EXPECT_EQ(weft_once_value(&o, &slot, counts), 1);
    size_t more = 1;                         /* the first call has started the runtime; a thread may be started any time */
    for (int try = 0; try < 50 && more != 0; try++) {
        size_t before = mallinfo2().uordblks;
        for (int i = 0; i < 10; i++)
            EXPECT_EQ(weft_once_value(&o, &slot, counts), 1);
        more = mallinfo2().uordblks - before;
    }
    EXPECT_EQ(more, 0);
    EXPECT_EQ(calls, 1);
}

struct two {
    int a, b;
};
static struct two both;

static struct two *counts_both(void)
{
    both.a = ++calls;
    both.b = calls + 1;
    return &both;
}

/* Go: TestOnceValues: C returns one value, here the address of two */
TEST(conf_sync, two_values_are_computed_once)
{
    weft_once o = {0};
    struct two *slot = NULL;
    for (int i = 0; i < 10; i++) {
        struct two *v = weft_once_value(&o, &slot, counts_both);
        EXPECT_EQ(v->a, 1);
        EXPECT_EQ(v->b, 2);
    }
    EXPECT_EQ(calls, 1);
}

static int value_panics(void)
{
    counts_and_panics();
    return 0;
}

static void take_value_panics(weft_once *o)
{
    int slot = 0;
    (void)weft_once_value(o, &slot, value_panics);
}

/* Go: TestOnceValuePanic and its kin. */
TEST(conf_sync, a_value_that_panicked_panics_each_time)
{
    weft_once o = {0};
    EXPECT_STR(weft_try(take_value_panics, &o), "x");
    EXPECT_STR(weft_try(take_value_panics, &o), "x");
    EXPECT_STR(weft_try(take_value_panics, &o), "x");
    EXPECT_EQ(calls, 1);
}

static int value_exits(void)
{
    calls++;
    weft_goexit();
}

static void take_value_exits(weft_once *o)
{
    int slot = 0;
    (void)weft_once_value(o, &slot, value_exits);
}

static void try_value_exits(weft_once *o)
{
    (void)weft_try(take_value_exits, o);
}

/* Go: TestOnceFuncGoexit */
TEST(conf_sync, a_value_whose_function_ends_the_goroutine_is_not_computed_again)
{
    weft_once o = {0};
    weft_waitgroup wg = {0};
    for (int i = 0; i < 2; i++) {
        weft_waitgroup_go(&wg, try_value_exits, &o);
        weft_waitgroup_wait(&wg);
    }
    EXPECT_EQ(calls, 1);
}

__attribute__((noinline)) int origin_of_the_panic(void)
{
    calls++;
    weft_panic("x");
}

/* Go: TestOnceFuncPanicTraceback: the stack of the first panic reaches down to where it began */
DEATH(conf_sync, the_stack_of_a_panic_in_a_value_begins_at_its_origin, 2, "^panic: x\n(.*\n)*origin_of_the_panic\\(")
{
    weft_once o = {0};
    int slot = 0;
    (void)weft_once_value(&o, &slot, origin_of_the_panic);
}

/* ---- cond ---- */

static weft_mutex mu;
static weft_cond cond = {.m = &mu};

static void wait_once(weft_sender(bool) running, weft_sender(int) awake, int i)
{
    weft_mutex_lock(&mu);
    weft_send(running, true);
    weft_cond_wait(&cond);
    weft_send(awake, i);
    weft_mutex_unlock(&mu);
}

static void signal_locked(void)
{
    weft_mutex_lock(&mu);
    weft_cond_signal(&cond);
    weft_mutex_unlock(&mu);
}

/* Go: TestCondSignal */
TEST(conf_sync, a_signal_wakes_one)
{
    enum { N = 2 };
    weft_chan(bool) running = weft_make(bool, N);
    weft_chan(int) awake = weft_make(int, N);
    for (int i = 0; i < N; i++)
        weft_go(wait_once, running, awake, i);
    for (int i = 0; i < N; i++)
        (void)weft_recv(running);
    for (int i = 0; i < N; i++) {
        EXPECT_EQ(weft_try_recv(awake, NULL), 0);
        signal_locked();
        (void)weft_recv(awake);
        conf_settle();
        EXPECT_EQ(weft_try_recv(awake, NULL), 0);
    }
    weft_cond_signal(&cond);
    weft_free(running);
    weft_free(awake);
}

/* Go: TestCondSignalGenerations: a signal wakes who waited before it, not who comes later */
TEST(conf_sync, a_signal_wakes_those_that_came_before_it)
{
    enum { N = 100 };
    weft_chan(bool) running = weft_make(bool, N);
    weft_chan(int) awake = weft_make(int, N);
    for (int i = 0; i < N; i++) {
        weft_go(wait_once, running, awake, i);
        if (i > 0)
            EXPECT_EQ(weft_recv(awake), i - 1);
        (void)weft_recv(running);
        signal_locked();
    }
    EXPECT_EQ(weft_recv(awake), N - 1);
    weft_free(running);
    weft_free(awake);
}

enum { MANY = 200, ROUNDS = 50 };
static bool leave;

static void wait_often(weft_sender(int) running, weft_sender(int) awake, int g)
{
    weft_mutex_lock(&mu);
    while (!leave) {
        weft_send(running, g);
        weft_cond_wait(&cond);
        weft_send(awake, g);
    }
    weft_mutex_unlock(&mu);
}

/* Go: TestCondBroadcast */
TEST(conf_sync, a_broadcast_wakes_each_once)
{
    weft_chan(int) running = weft_make(int, MANY), awake = weft_make(int, MANY);
    for (int i = 0; i < MANY; i++)
        weft_go(wait_often, running, awake, i);
    for (int round = 0; round < ROUNDS; round++) {
        bool seen[MANY] = {false};
        for (int i = 0; i < MANY; i++)
            (void)weft_recv(running);
        weft_mutex_lock(&mu);
        leave = round == ROUNDS - 1;
        EXPECT_EQ(weft_try_recv(awake, NULL), 0);
        weft_cond_broadcast(&cond);
        weft_mutex_unlock(&mu);
        for (int i = 0; i < MANY; i++) {
            int g = weft_recv(awake);
            EXPECT(!seen[g]);
            seen[g] = true;
        }
    }
    EXPECT_EQ(weft_try_recv(running, NULL), 0);
    weft_cond_broadcast(&cond);
    weft_free(running);
    weft_free(awake);
}

static int x;    /* under mu */

static void race_first(void)
{
    weft_mutex_lock(&mu);
    x = 1;
    weft_cond_wait(&cond);
    EXPECT_EQ(x, 2);
    x = 3;
    weft_cond_signal(&cond);
    weft_mutex_unlock(&mu);
}

/* Leaves with mu held once x is at least n. */
static void lock_when(int n)
{
    weft_mutex_lock(&mu);
    while (x < n) {
        weft_mutex_unlock(&mu);
        weft_yield();
        weft_mutex_lock(&mu);
    }
}

static void race_second(void)
{
    lock_when(1);
    x = 2;
    weft_cond_signal(&cond);
    weft_mutex_unlock(&mu);
}

static void race_third(void)
{
    lock_when(2);
    if (x == 2) {
        weft_cond_wait(&cond);
        EXPECT_EQ(x, 3);
    }
    weft_mutex_unlock(&mu);
}

/* Go: TestRace */
TEST(conf_sync, a_signal_goes_to_the_one_that_waits_for_it)
{
    for (int i = 0; i < 100; i++) {
        weft_waitgroup wg = {0};
        x = 0;
        weft_waitgroup_go(&wg, race_first);
        weft_waitgroup_go(&wg, race_second);
        weft_waitgroup_go(&wg, race_third);
        weft_waitgroup_wait(&wg);
        EXPECT_EQ(x, 3);
    }
}

struct steal {
    weft_mutex m;
    weft_cond c;
    bool done;
    weft_chan(bool) ch;
    weft_waitgroup wg;
};

static void steal_victim(struct steal *s)
{
    weft_mutex_lock(&s->m);
    weft_send(s->ch, true);
    weft_cond_wait(&s->c);
    weft_mutex_unlock(&s->m);
    weft_send(s->ch, true);
}

static void steal_broadcast(struct steal *s)
{
    weft_cond_broadcast(&s->c);
}

static void steal_newcomer(struct steal *s)
{
    weft_mutex_lock(&s->m);
    while (!s->done)
        weft_cond_wait(&s->c);
    weft_mutex_unlock(&s->m);
}

/* Go: TestCondSignalStealing: a newcomer does not take the wake-up that is due to one who waits already */
TEST(conf_sync, a_newcomer_does_not_steal_a_wake_up)
{
    for (int i = 0; i < 500; i++) {
        struct steal s = {.ch = weft_make(bool)};
        s.c.m = &s.m;
        weft_waitgroup_go(&s.wg, steal_victim, &s);
        (void)weft_recv(s.ch);
        weft_mutex_lock(&s.m);
        weft_mutex_unlock(&s.m);
        weft_waitgroup_go(&s.wg, steal_broadcast, &s);
        weft_waitgroup_go(&s.wg, steal_newcomer, &s);
        (void)weft_recv(s.ch);
        weft_mutex_lock(&s.m);
        s.done = true;
        weft_mutex_unlock(&s.m);
        weft_cond_broadcast(&s.c);
        weft_waitgroup_wait(&s.wg);
        weft_free(s.ch);
    }
}

/* ---- pool ---- */

/* Go: TestPool. No collector empties it; weft_pool_clear does. */
TEST(conf_sync, a_pool_gives_what_was_put_and_then_nothing)
{
    weft_pool p = {0};
    char a, b, *first, *second;
    EXPECT(!weft_pool_get(&p));
    weft_pool_put(&p, &a);
    weft_pool_put(&p, &b);
    first = weft_pool_get(&p);
    second = weft_pool_get(&p);
    EXPECT((first == &a && second == &b) || (first == &b && second == &a));
    EXPECT(!weft_pool_get(&p));
    for (int i = 0; i < 100; i++)
        weft_pool_put(&p, &a);
    EXPECT(weft_pool_get(&p) == &a);
    weft_pool_clear(&p, NULL);
    EXPECT(!weft_pool_get(&p));
}

static int numbers[4];

static void *next_number(void)
{
    calls++;
    numbers[calls] = calls;
    return &numbers[calls];
}

/* Go: TestPoolNew */
TEST(conf_sync, an_empty_pool_makes_a_new_one)
{
    weft_pool p = {.make = next_number};
    int put = 42;
    EXPECT_EQ(*(int *)weft_pool_get(&p), 1);
    EXPECT_EQ(*(int *)weft_pool_get(&p), 2);
    weft_pool_put(&p, &put);
    EXPECT_EQ(*(int *)weft_pool_get(&p), 42);
    EXPECT_EQ(*(int *)weft_pool_get(&p), 3);
    weft_pool_clear(&p, NULL);
}

static atomic_int dropped;

static void drop(void *v)
{
    free(v);
    atomic_fetch_add(&dropped, 1);
}

/* Go: TestPoolRelease, TestPoolGC, for a pool that is cleared by hand: what is in it goes, what was taken does not */
TEST(conf_sync, a_cleared_pool_drops_all_that_it_holds)
{
    weft_pool p = {0};
    for (int i = 0; i < 100; i++)
        weft_pool_put(&p, malloc(16));
    for (int i = 0; i < 30; i++)
        free(weft_pool_get(&p));
    weft_pool_clear(&p, drop);
    EXPECT_EQ(atomic_load(&dropped), 70);
    EXPECT(!weft_pool_get(&p));
}

/* A thing that one owns at a time. */
struct owned {
    atomic_int owners;
};
static struct owned things[10];

static void put_and_get(weft_pool *p, struct owned *mine)
{
    for (int j = 0; j < 5000; j++) {
        if (mine) {
            atomic_fetch_sub(&mine->owners, 1);
            weft_pool_put(p, mine);
        }
        mine = weft_pool_get(p);
        if (mine)
            EXPECT_EQ(atomic_fetch_add(&mine->owners, 1), 0);
    }
}

/* Go: TestPoolStress, and more: what one has taken nobody else gets */
TEST(conf_sync, a_pool_gives_each_thing_to_one_at_a_time)
{
    weft_pool p = {0};
    weft_waitgroup wg = {0};
    for (int i = 0; i < 10; i++) {
        atomic_store(&things[i].owners, 1);
        weft_waitgroup_go(&wg, put_and_get, &p, &things[i]);
    }
    weft_waitgroup_wait(&wg);
    weft_pool_clear(&p, NULL);
}
