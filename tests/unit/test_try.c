/* weft_try: what it returns, what it stops, what it leaves alone. */
#include <weft/weft.h>

#include "weft_test.h"

static int calls;

static void fine(void)
{
    calls++;
}

static void boom(const char *what)
{
    weft_panic("%s", what);
}

TEST(try, gives_null_when_the_call_returns)
{
    EXPECT(!weft_try(fine));
    EXPECT_EQ(calls, 1);
}

TEST(try, gives_the_formatted_message)
{
    EXPECT_STR(weft_try(boom, "what"), "what");
    EXPECT_STR(weft_try(weft_panic, "%d-%s-%.1f", 1, "two", 3.0), "1-two-3.0");
}

struct big {
    long v[6];
};

static int sum(int a, double b, struct big c, float d, int e, int f, int g, int h, int *ret)
{
    *ret = a + (int)b + (int)c.v[5] + (int)d + e + f + g + h;
    return *ret;
}

TEST(try, passes_any_arguments)
{
    int r = 0;
    EXPECT(!weft_try(sum, 1, 2, ((struct big){{0, 0, 0, 0, 0, 3}}), 4, 5, 6, 7, 8, &r));
    EXPECT_EQ(r, 36);
}

static void inner(int *steps)
{
    EXPECT_STR(weft_try(boom, "inner"), "inner");
    (*steps)++;
    EXPECT(!weft_try(fine));
    (*steps)++;
    weft_panic("outer");
}

TEST(try, nests)
{
    int steps = 0;
    EXPECT_STR(weft_try(inner, &steps), "outer");
    EXPECT_EQ(steps, 2);
}

static int count_down(int n)
{
    if (n == 0)
        weft_panic("zero");
    const char *m = weft_try(count_down, n - 1);
    weft_panic("%d<%s", n, m);
}

TEST(try, nests_in_recursion)
{
    EXPECT_STR(weft_try(count_down, 4), "4<3<2<1<zero");
}

TEST(try, locals_of_the_caller_keep_their_values)
{
    int a = 1, b = 2, c = 3, d = 4, e = 5, f = 6;
    double x = 1.5;

    for (int i = 0; i < 10; i++) {
        EXPECT_STR(weft_try(boom, "m"), "m");
        a += 1, b += 2, c += 3, d += 4, e += 5, f += 6, x *= 2;
    }
    EXPECT_EQ(a, 11);
    EXPECT_EQ(b, 22);
    EXPECT_EQ(c, 33);
    EXPECT_EQ(d, 44);
    EXPECT_EQ(e, 55);
    EXPECT_EQ(f, 66);
    EXPECT(x == 1536.0);
}

TEST(try, the_message_lives_until_the_next_panic)
{
    const char *m = weft_try(boom, "kept");
    for (int i = 0; i < 100; i++) {
        EXPECT(!weft_try(fine));
        weft_yield();
    }
    EXPECT_STR(m, "kept");
}

TEST(try, a_long_message_is_whole)
{
    static char text[100001];
    memset(text, 'x', sizeof text - 1);
    const char *m = weft_try(boom, text);
    REQUIRE(m);
    EXPECT_EQ(strlen(m), sizeof text - 1);
}

TEST(try, of_nil_func_gives_a_message)
{
    void (*f)(int, double) = NULL;
    const char *m = weft_try(f, 1, 2.0);
    REQUIRE(m);
    EXPECT(strstr(m, "nil func"));
}

static int in_argument(void)
{
    weft_panic("argument");
}

static void take(int n)
{
    calls += n;
}

static void argument_outside(void)
{
    EXPECT(!weft_try(take, in_argument()));
    calls = 100;
}

TEST(try, does_not_stop_a_panic_in_its_own_arguments)
{
    EXPECT_STR(weft_try(argument_outside), "argument");
    EXPECT_EQ(calls, 0);
}

static void channel_misuse(weft_chan(int) ch)
{
    weft_close(ch);
    weft_send(ch, 1);
}

TEST(try, stops_the_librarys_own_panics)
{
    weft_chan(int) ch = weft_make(int, 1);
    EXPECT_STR(weft_try(channel_misuse, ch), "send on closed channel");
    weft_free(ch);
}

static void parks_inside(void)
{
    weft_sleep(WEFT_MS);
    weft_panic("after a park");
}

TEST(try, stops_a_panic_after_a_park)
{
    EXPECT_STR(weft_try(parks_inside), "after a park");
}
