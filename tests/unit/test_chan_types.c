/*
 * test_chan_types.c - every kind of element: sizes 0 to 65,536, structs, arrays, const, functions, channels.
 */
#include <weft/weft.h>

#include "weft_test.h"

#define FILL(v, seed)                                  \
    do {                                               \
        unsigned char *fill_ = (unsigned char *)&(v);  \
        for (size_t k_ = 0; k_ < sizeof(v); k_++)      \
            fill_[k_] = (unsigned char)(k_ * 7 + (seed)); \
    } while (0)

/* Through a buffer, and by direct hand-over both ways round. */
#define SIZE_TEST(n)                                                     \
    struct s##n {                                                        \
        unsigned char b[n];                                              \
    };                                                                   \
    static void send_s##n(weft_sender(struct s##n) ch, int seed)         \
    {                                                                    \
        static struct s##n v;                                            \
        FILL(v, seed);                                                   \
        weft_send(ch, v);                                                \
    }                                                                    \
    /* weft_send holds the value in its caller's frame: 64 KiB need more than the default stack */ \
    TEST_ENV(chan_types, values_of_##n##_bytes_arrive_whole, "WEFT_STACK=256") \
    {                                                                    \
        static struct s##n want, got;                                    \
        weft_chan(struct s##n) ch = weft_make(struct s##n, 2);           \
        weft_chan(struct s##n) un = weft_make(struct s##n);              \
        FILL(want, 3);                                                   \
        send_s##n(ch, 9);                                                \
        send_s##n(ch, 3);                                                \
        EXPECT(weft_recv_ok(ch, &got));                                  \
        EXPECT(weft_recv_ok(ch, &got));                                  \
        EXPECT(memcmp(&got, &want, sizeof got) == 0);                    \
        memset(&got, 0xee, sizeof got);                                  \
        weft_go(send_s##n, un, 3);                                       \
        EXPECT(weft_recv_ok(un, &got)); /* one of the two parks first */ \
        EXPECT(memcmp(&got, &want, sizeof got) == 0);                    \
        weft_go(send_s##n, un, 3);                                       \
        for (int i = 0; i < 50; i++)                                     \
            weft_yield();                                                \
        memset(&got, 0xee, sizeof got);                                  \
        EXPECT(weft_recv_ok(un, &got));                                  \
        EXPECT(memcmp(&got, &want, sizeof got) == 0);                    \
        weft_close(un);                                                  \
        memset(&want, 0, sizeof want);                                   \
        EXPECT(!weft_recv_ok(un, &got));                                 \
        EXPECT(memcmp(&got, &want, sizeof got) == 0);                    \
        weft_free(ch);                                                   \
        weft_free(un);                                                   \
    }

SIZE_TEST(1)
SIZE_TEST(2)
SIZE_TEST(3)
SIZE_TEST(4)
SIZE_TEST(5)
SIZE_TEST(7)
SIZE_TEST(8)
SIZE_TEST(9)
SIZE_TEST(12)
SIZE_TEST(15)
SIZE_TEST(16)
SIZE_TEST(17)
SIZE_TEST(24)
SIZE_TEST(64)
SIZE_TEST(100)
SIZE_TEST(256)
SIZE_TEST(1000)
SIZE_TEST(4096)
SIZE_TEST(65536)

struct none {};

TEST(chan_types, values_without_bytes_are_counted)
{
    weft_chan(struct none) ch = weft_make(struct none, 3);
    struct none v;
    weft_send(ch, (struct none){});
    weft_send(ch, v);
    EXPECT_EQ(weft_len(ch), 2);
    EXPECT(weft_recv_ok(ch, &v));
    weft_recv(ch);
    EXPECT_EQ(weft_try_recv(ch, &v), 0);
    weft_free(ch);
}

TEST(chan_types, values_are_converted_as_by_assignment)
{
    weft_chan(double) d = weft_make(double, 1);
    weft_chan(unsigned char) c = weft_make(unsigned char, 1);
    weft_chan(long) l = weft_make(long, 1);
    weft_send(d, 3);
    EXPECT(weft_recv(d) == 3.0);
    int wide = 259;
    weft_send(c, wide);
    EXPECT_EQ(weft_recv(c), 3);
    weft_send(l, -1);
    EXPECT_EQ(weft_recv(l), -1);
    weft_free(d);
    weft_free(c);
    weft_free(l);
}

struct point {
    int x, y;
};

TEST(chan_types, structs_by_literal_and_by_braces)
{
    weft_chan(struct point) ch = weft_make(struct point, 3);
    struct point p = {5, 6};
    weft_send(ch, (struct point){1, 2});
    weft_send(ch, {3, 4});
    weft_send(ch, p);
    EXPECT_EQ(weft_recv(ch).y, 2);
    EXPECT_EQ(weft_recv(ch).x, 3);
    EXPECT_EQ(weft_recv(ch).y, 6);
    weft_free(ch);
}

static int twice(int x)
{
    return 2 * x;
}

TEST(chan_types, function_pointers)
{
    typedef int fn(int);
    weft_chan(fn *) ch = weft_make(fn *, 2);
    weft_chan(int (*)(int)) same = ch;
    weft_send(ch, twice);
    weft_send(same, &twice);
    EXPECT_EQ(weft_recv(ch)(4), 8);
    EXPECT_EQ(weft_recv(same)(5), 10);
    weft_free(ch);
}

TEST(chan_types, const_elements_and_pointers_to_const)
{
    weft_chan(const int) ci = weft_make(const int, 2);
    weft_chan(const char *) cs = weft_make(const char *, 1);
    weft_chan(const struct point) cp = weft_make(const struct point, 1);
    int v = 0;
    weft_send(ci, 5);
    weft_send(ci, 6);
    EXPECT_EQ(weft_recv(ci), 5);
    EXPECT(weft_recv_ok(ci, &v));
    EXPECT_EQ(v, 6);
    weft_send(cs, "word");
    EXPECT_STR(weft_recv(cs), "word");
    weft_send(cp, {1, 2});
    EXPECT_EQ(weft_recv(cp).y, 2);
    weft_free(ci);
    weft_free(cs);
    weft_free(cp);
}

TEST(chan_types, arrays)
{
    weft_chan(int[3]) ch = weft_make(int[3], 2);
    int a[3] = {1, 2, 3}, b[3] = {0};
    weft_send(ch, a);
    EXPECT(weft_try_send(ch, ((int[3]){4, 5, 6})));
    EXPECT(weft_recv_ok(ch, &b));
    EXPECT_EQ(b[0] + b[1] + b[2], 6);
    weft_close(ch);
    int sum = 0;
    weft_range(v, ch) sum += v[0] + v[1] + v[2];
    EXPECT_EQ(sum, 15);
    EXPECT_EQ(weft_try_recv(ch, &b), -1);
    EXPECT_EQ(b[0] + b[1] + b[2], 0);
    weft_free(ch);
}

TEST(chan_types, two_dimensional_arrays)
{
    weft_chan(short[2][2]) ch = weft_make(short[2][2], 1);
    short a[2][2] = {{1, 2}, {3, 4}}, b[2][2];
    weft_send(ch, a);
    EXPECT(weft_recv_ok(ch, &b));
    EXPECT_EQ(b[1][0], 3);
    weft_free(ch);
}

TEST(chan_types, channels_of_channels_and_of_views)
{
    weft_chan(weft_chan(int)) cc = weft_make(weft_chan(int), 1);
    weft_chan(weft_sender(int)) cs = weft_make(weft_sender(int), 1);
    weft_chan(int) ch = weft_make(int, 2);
    weft_send(cc, ch);
    weft_send(weft_recv(cc), 5); /* a channel that is itself received, and evaluated once */
    weft_send(cs, ch);
    weft_send(weft_recv(cs), 6);
    EXPECT_EQ(weft_recv(ch), 5);
    weft_send(cc, ch);
    EXPECT_EQ(weft_recv(weft_recv(cc)), 6);
    weft_free(cc);
    weft_free(cs);
    weft_free(ch);
}

struct holder {
    weft_chan(int) both;
    weft_receiver(struct point) in;
    weft_sender(const char *) out;
};

TEST(chan_types, views_in_structs_and_by_conversion)
{
    weft_chan(int) a = weft_make(int, 1);
    weft_chan(struct point) b = weft_make(struct point, 1);
    weft_chan(const char *) c = weft_make(const char *, 1);
    struct holder h = {.both = a, .in = b, .out = c};
    weft_send(h.both, 1);
    weft_send(b, {2, 3});
    weft_send(h.out, "x");
    EXPECT_EQ(weft_recv(h.both), 1);
    EXPECT_EQ(weft_recv(h.in).x, 2);
    EXPECT_STR(weft_recv(c), "x");
    EXPECT_EQ(weft_cap(h.in) + weft_cap(h.out), 2);
    weft_close(h.out);
    weft_free(a);
    weft_free(b);
    weft_free(c);
}

TEST(chan_types, sixteen_byte_alignment_is_kept)
{
    weft_chan(long double) ch = weft_make(long double, 3);
    weft_send(ch, 1.25L);
    weft_send(ch, 2.5L);
    EXPECT(weft_recv(ch) == 1.25L);
    EXPECT(weft_recv(ch) == 2.5L);
    weft_free(ch);
}
