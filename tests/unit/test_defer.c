/* weft_defer: when deferred calls run, in which order, with which arguments. */
#include <stdarg.h>
#include <weft/weft.h>

#include "weft_test.h"

static char seen[256];

static void note(int n)
{
    size_t len = strlen(seen);
    snprintf(seen + len, sizeof seen - len, "%d ", n);
}

static void expect_seen(const char *want)
{
    EXPECT_STR(seen, want);
    seen[0] = '\0';
}

static void three(void)
{
    weft_defer(note, 1);
    weft_defer(note, 2);
    weft_defer(note, 3);
    note(0);
}

TEST(defer, runs_last_in_first_out)
{
    three();
    expect_seen("0 3 2 1 ");
}

static void loop(void)
{
    for (int i = 0; i < 4; i++) {
        weft_defer(note, i);
        if (i == 1)
            continue;
        if (i == 3)
            break;
        note(10 + i);
    }
    note(99);
}

TEST(defer, runs_at_the_end_of_its_block_by_continue_and_break)
{
    loop();
    expect_seen("10 0 1 12 2 3 99 ");
}

static int early(int n)
{
    int result = n;
    weft_defer(note, 7);
    if (n > 0)
        return result * 10;
    note(8);
    return 0;
}

TEST(defer, runs_after_the_return_value_is_computed)
{
    EXPECT_EQ(early(4), 40);
    expect_seen("7 ");
    EXPECT_EQ(early(0), 0);
    expect_seen("8 7 ");
}

static void jumps(void)
{
    {
        weft_defer(note, 1);
        goto out;
    }
out:
    note(2);
}

TEST(defer, runs_when_goto_leaves_the_block)
{
    jumps();
    expect_seen("1 2 ");
}

struct big {
    long v[5];
};
static int many_ok;

static void many(int a, double b, struct big c, const char *s, char d, short e, float f, long g, double h, int i)
{
    many_ok += a == 1 && b == 2.5 && c.v[0] == 11 && c.v[4] == 15 && strcmp(s, "text") == 0 && d == 'd' && e == -5 &&
               f == 0.25f && g == 1L << 40 && h == -8.0 && i == 9;
}

static void defer_many(void)
{
    struct big b = {{11, 12, 13, 14, 15}};
    weft_defer(many, 1, 2.5, b, "text", 'd', -5, 0.25f, 1L << 40, -8, 9);
    b.v[0] = 0;
}

TEST(defer, passes_doubles_structs_and_stack_arguments)
{
    defer_many();
    EXPECT_EQ(many_ok, 1);
}

static void sixteen(int a, int b, int c, int d, int e, int f, int g, int h, int i, int j, int k, int l, int m, int n, int o,
                    int p)
{
    many_ok += a == 1 && b == 2 && c == 3 && d == 4 && e == 5 && f == 6 && g == 7 && h == 8 && i == 9 && j == 10 && k == 11 &&
               l == 12 && m == 13 && n == 14 && o == 15 && p == 16;
}

static void defer_sixteen(void)
{
    weft_defer(sixteen, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16);
}

TEST(defer, passes_sixteen_arguments)
{
    defer_sixteen();
    EXPECT_EQ(many_ok, 1);
}

static void evaluated(void)
{
    int x = 1;
    weft_defer(note, x++);
    note(x);
    x = 50;
    note(x);
}

TEST(defer, evaluates_arguments_once_and_at_once)
{
    evaluated();
    expect_seen("2 50 1 ");
}

static void sums(int n, ...)
{
    va_list ap;
    double sum = 0;

    va_start(ap, n);
    for (int i = 0; i < n; i++)
        sum += va_arg(ap, double);
    va_end(ap);
    note((int)sum);
}

static void defer_variadic(void)
{
    weft_defer(sums, 3, 1.5, 2.5, 3.0);
    weft_defer(sums, 0);
}

TEST(defer, calls_variadic_functions)
{
    defer_variadic();
    expect_seen("0 7 ");
}

static int panics(void)
{
    weft_panic("argument");
}

static void argument_panics(void)
{
    weft_defer(note, 1);
    weft_defer(note, panics());
}

TEST(defer, a_panic_in_an_argument_defers_nothing)
{
    EXPECT_STR(weft_try(argument_panics), "argument");
    expect_seen("1 ");
}

static void parks(void)
{
    weft_yield();
    weft_sleep(WEFT_MS);
    note(3);
}

static void defer_parks(weft_waitgroup *wg)
{
    weft_defer(weft_waitgroup_done, wg);
    weft_defer(parks);
}

TEST(defer, the_call_may_park)
{
    weft_waitgroup wg = {0};
    weft_waitgroup_add(&wg, 1);
    weft_go(defer_parks, &wg);
    weft_waitgroup_wait(&wg);
    expect_seen("3 ");
}

static void nil_call(void)
{
    void (*f)(int) = NULL;
    weft_defer(note, 1);
    weft_defer(f, 1);
    note(0);
}

TEST(defer, of_nil_func_panics_when_it_is_due)
{
    const char *m = weft_try(nil_call);
    REQUIRE(m);
    EXPECT(strstr(m, "nil func"));
    expect_seen("0 1 ");
}

static int depth(int n)
{
    weft_defer(note, n);
    return n == 0 ? 0 : 1 + depth(n - 1);
}

TEST(defer, recursion_runs_the_innermost_first)
{
    EXPECT_EQ(depth(4), 4);
    expect_seen("0 1 2 3 4 ");
}

static void locked(weft_mutex *m)
{
    weft_mutex_lock(m);
    weft_defer(weft_mutex_unlock, m);
    weft_panic("while locked");
}

TEST(defer, unlocks_a_mutex_on_panic)
{
    weft_mutex m = {0};
    EXPECT_STR(weft_try(locked, &m), "while locked");
    EXPECT(weft_mutex_try_lock(&m));
    weft_mutex_unlock(&m);
}
