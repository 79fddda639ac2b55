/* test_once.c - after Go's sync/once_test.go, in our own words. */
#include <stdatomic.h>
#include <weft/weft.h>
#include <weft_test.h>

static void count_up(int *n)
{
    ++*n;
}

static void once_and_check(weft_once *o, int *n, weft_waitgroup *wg)
{
    weft_once_do(o, count_up, n);
    EXPECT_EQ(*n, 1);
    weft_waitgroup_done(wg);
}

TEST(once, fn_runs_once_however_many_call)
{
    weft_once o = {0};
    weft_waitgroup wg = {0};
    int n = 0;
    weft_waitgroup_add(&wg, 10);
    for (int i = 0; i < 10; i++)
        weft_go(once_and_check, &o, &n, &wg);
    weft_waitgroup_wait(&wg);
    EXPECT_EQ(n, 1);
}

struct slow {
    weft_once o;
    weft_waitgroup wg;
    weft_chan(int) go_on;
    _Atomic bool finished;
};

static void slow_work(struct slow *s)
{
    (void)weft_recv(s->go_on);
    atomic_store(&s->finished, true);
}

static void slow_caller(struct slow *s)
{
    weft_once_do(&s->o, slow_work, s);
    EXPECT(atomic_load(&s->finished));
}

TEST(once, others_wait_until_fn_has_returned)
{
    struct slow s = {.go_on = weft_make(int)};
    for (int i = 0; i < 10; i++)
        weft_waitgroup_go(&s.wg, slow_caller, &s);
    weft_yield();
    weft_send(s.go_on, 1);
    weft_waitgroup_wait(&s.wg);
    weft_free(s.go_on);
}

static void fails(void)
{
    weft_panic("failed");
}

static void once_fails(weft_once *o)
{
    weft_once_do(o, fails);
}

TEST(once, counts_as_done_when_fn_panics)
{
    weft_once o = {0};
    int n = 0;
    EXPECT_STR(weft_try(once_fails, &o), "failed");
    weft_once_do(&o, count_up, &n);
    EXPECT_EQ(n, 0);
}

static double half(double x, int *calls)
{
    ++*calls;
    return x / 2;
}

static int next_value(int *evaluated)
{
    return ++*evaluated;
}

TEST(once, arguments_are_evaluated_by_each_call_and_converted)
{
    weft_once o = {0};
    int calls = 0, evaluated = 0;
    for (int i = 0; i < 3; i++)
        weft_once_do(&o, half, next_value(&evaluated), &calls);
    EXPECT_EQ(calls, 1);
    EXPECT_EQ(evaluated, 3);
}

struct big {
    long v[5];
};

static void take_big(struct big b, long *sum)
{
    *sum += b.v[0] + b.v[4];
}

TEST(once, a_struct_and_a_function_pointer_will_do)
{
    weft_once o = {0};
    long sum = 0;
    void (*f)(struct big, long *) = take_big;
    weft_once_do(&o, f, ((struct big){{1, 2, 3, 4, 5}}), &sum);
    weft_once_do(&o, f, ((struct big){{1, 2, 3, 4, 5}}), &sum);
    EXPECT_EQ(sum, 6);
}
