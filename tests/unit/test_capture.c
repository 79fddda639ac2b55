/*
 * test_capture.c - every kind of argument reaches the function that weft_go, weft_defer and weft_try call.
 *
 * What travels in which register, on the stack or by address differs between processors and is decided by the
 * parameter's type, not the argument's: so each kind is passed by all three, also converted, and with its neighbours.
 */
#include <complex.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <string.h>
#include <weft/weft.h>

#include "weft_test.h"

struct one { char c; };
struct five { char c[5]; };
struct pair { long a, b; };
struct mixed { double d; long n; };
struct f2 { float x, y; };
struct f4 { float v[4]; };
struct d3 { double x, y, z; };
struct d4 { double v[4]; };
struct q2 { long double v[2]; };
struct odd { char c[17]; };
struct padded { char c; double d; short s; };
struct big { long v[9]; };
struct huge { char c[3000]; };
#if defined(__x86_64__) /* there such arguments lie on the stack, and captured ones are refused by the compiler */
struct wide { long v[8]; };
#else
struct wide { long v[8]; } __attribute__((aligned(64)));
#endif
union either { char c[40]; double d; };
typedef double two __attribute__((vector_size(16)));
typedef float twofloats __attribute__((vector_size(8)));
struct vecs { two v[2]; };

static _Atomic int calls, bad;

static void check(bool ok)
{
    if (!ok)
        atomic_fetch_add(&bad, 1);
}

static void called(void)
{
    atomic_fetch_add(&calls, 1);
}

/* fn by all three; it must be called three times and find everything right. The caller's copies are overwritten between. */
static void settle(int n)
{
    while (atomic_load(&calls) < n)
        weft_sleep(WEFT_MS / 4);
    EXPECT_EQ(atomic_load(&calls), n);
    EXPECT_EQ(atomic_load(&bad), 0);
}

static __attribute__((noinline)) void scribble(void)
{
    volatile char junk[6000];
    memset((void *)junk, 0x5a, sizeof(junk));
}

#define ALL_THREE(...)                       \
    do {                                     \
        int before = atomic_load(&calls);    \
        weft_go(__VA_ARGS__);                \
        scribble();                          \
        {                                    \
            weft_defer(__VA_ARGS__);         \
            scribble();                      \
            weft_yield();                    \
        }                                    \
        EXPECT(weft_try(__VA_ARGS__) == NULL); \
        settle(before + 3);                  \
    } while (0)

/* ---- converted to the parameter's type ---- */

static void takes_double(double d)
{
    check(d == 7);
    called();
}

static void takes_float_long_double(float f, long double l)
{
    check(f == 3 && l == 4);
    called();
}

static void takes_long(long n)
{
    check(n == -2);
    called();
}

static void takes_int128s(__int128 a, __int128 b, __int128 c, __int128 d, __int128 e)
{
    check(a == 1 && b == -2 && c == 3 && d == 4 && e == 5);
    called();
}

static void takes_complex(double _Complex z, float _Complex w)
{
    check(creal(z) == 2 && cimag(z) == 0 && crealf(w) == 5);
    called();
}

static void takes_pointers(const char *s, const void *none, bool yes)
{
    check(!s && !none && yes);
    called();
}

TEST(capture, an_integer_becomes_a_double)
{
    int n = 7;

    ALL_THREE(takes_double, 7);
    ALL_THREE(takes_double, n);
    ALL_THREE(takes_double, 7.0f);
}

TEST(capture, numbers_become_long_doubles)
{
    ALL_THREE(takes_float_long_double, 3, 4);
    ALL_THREE(takes_float_long_double, 3.0, 4.0f);
}

TEST(capture, a_double_becomes_an_integer)
{
    ALL_THREE(takes_long, -2.5);
    ALL_THREE(takes_long, (short)-2);
}

TEST(capture, integers_become_wider_ones)
{
    ALL_THREE(takes_int128s, 1, -2, (short)3, 4u, 5L);
}

TEST(capture, numbers_become_complex)
{
    ALL_THREE(takes_complex, 2, 5);
}

TEST(capture, null_pointers_and_truth_values)
{
    ALL_THREE(takes_pointers, 0, NULL, "x");
}

/* ---- small things, many things ---- */

static void takes_small(struct one a, struct five b, struct pair c, struct mixed d, struct f2 e, char f)
{
    check(a.c == 1 && b.c[4] == 2 && c.a == 3 && c.b == 4 && d.d == 5.5 && d.n == 6 && e.x == 7 && e.y == 8 && f == 9);
    called();
}

TEST(capture, small_structs)
{
    struct pair c = {3, 4};

    ALL_THREE(takes_small, (struct one){1}, ((struct five){{0, 0, 0, 0, 2}}), c, ((struct mixed){5.5, 6}),
              ((struct f2){7, 8}), 9);
}

static void takes_narrow(signed char a, short b, int c, bool d, unsigned char e, long f, float g, signed char h, short i, bool j,
                         signed char k, int l, float m, signed char n, short o, signed char p)
{
    check(a == -1 && b == -2 && c == -3 && d && e == 255 && f == -6 && g == 0.5f && h == -8 && i == -9 && !j && k == -11 &&
          l == -12 && m == 1.5f && n == -14 && o == -15 && p == -16);
    called();
}

TEST(capture, sixteen_narrow_arguments)
{
    signed char h = -8;
    short o = -15;

    ALL_THREE(takes_narrow, -1, -2, -3, 1, 255, -6, 0.5, h, -9, 0, -11, -12, 1.5, -14, o, -16);
}

static void takes_doubles(double a, double b, double c, double d, double e, double f, double g, double h, double i, float j,
                          double k, int l, double m)
{
    check(a == 1 && b == 2 && c == 3 && d == 4 && e == 5 && f == 6 && g == 7 && h == 8 && i == 9 && j == 10 && k == 11 && l == 12 &&
          m == 13);
    called();
}

TEST(capture, more_doubles_than_registers)
{
    ALL_THREE(takes_doubles, 1, 2.0, 3.0f, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13);
}

static int variadic_sum(const char *kinds, ...)
{
    va_list ap;
    double sum = 0;

    va_start(ap, kinds);
    for (; *kinds; kinds++)
        switch (*kinds) {
        case 'i': sum += va_arg(ap, int); break;
        case 'l': sum += (double)va_arg(ap, long); break;
        case 'd': sum += va_arg(ap, double); break;
        case 'p': sum += (double)va_arg(ap, struct pair).b; break;
        case 'b': sum += (double)va_arg(ap, struct big).v[8]; break;
        case 'h': sum += va_arg(ap, struct d3).z; break;
        }
    va_end(ap);
    check(sum == 1234567);
    called();
    return 0;
}

TEST(capture, variadic_functions)
{
    struct big b = {.v = {[8] = 1000000}};

    ALL_THREE(variadic_sum, "idldi", 1000000, 200000.0, 30000L, 4000.0f, 567);
    ALL_THREE(variadic_sum, "pbh", ((struct pair){1, 200000}), b, ((struct d3){0, 0, 34567}));
    ALL_THREE(variadic_sum, "iiiiiiiibdddddd", 0, 0, 0, 0, 0, 0, 0, 234567, b, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0);
}

/* ---- floating point structs, which some processors keep in vector registers ---- */

static void takes_floating(struct f4 a, struct d3 b, int n, struct d4 c, struct q2 d, double e)
{
    check(a.v[3] == 1 && b.x == 2 && b.y == 3 && b.z == 4 && n == 5 && c.v[0] == 6 && c.v[3] == 7 && d.v[1] == 8 && e == 9);
    called();
}

TEST(capture, structs_of_floating_point_members)
{
    ALL_THREE(takes_floating, ((struct f4){{0, 0, 0, 1}}), ((struct d3){2, 3, 4}), 5, ((struct d4){{6, 0, 0, 7}}),
              ((struct q2){{0, 8}}), 9);
}

/* ---- structs in memory ---- */

static void takes_big(struct big a, char *p, struct odd b, struct padded c, union either d)
{
    check(a.v[0] == 1 && a.v[8] == 2 && *p == 'p' && b.c[16] == 3 && c.c == 4 && c.d == 5 && c.s == 6 && d.d == 7);
    memset(&a, 0, sizeof(a)); /* the callee's own */
    called();
}

TEST(capture, structs_larger_than_two_words)
{
    struct big a = {.v = {1, [8] = 2}};
    char p = 'p';

    ALL_THREE(takes_big, a, &p, ((struct odd){.c = {[16] = 3}}), ((struct padded){4, 5, 6}), ((union either){.d = 7}));
    EXPECT_EQ(a.v[8], 2);
}

static void takes_late(int a, int b, int c, int d, int e, int f, int g, char h, short i, struct big s, char j, struct odd t, char k)
{
    check(a + b + c + d + e + f + g == 28 && h == 8 && i == 9 && s.v[8] == 10 && j == 11 && t.c[0] == 12 && k == 13);
    called();
}

TEST(capture, a_large_struct_after_the_registers_are_used_up)
{
    for (int i = 0; i < 3; i++) /* what was found out at the first time is right at the second */
        ALL_THREE(takes_late, 1, 2, 3, 4, 5, 6, 7, 8, 9, ((struct big){.v = {[8] = 10}}), 11, ((struct odd){{12}}), 13);
}

static void takes_same(struct big *p, struct big a, struct big b, const struct big *q, double d, struct big c)
{
    check(p == q && p->v[0] == 1 && a.v[0] == 1 && b.v[0] == 1 && c.v[0] == 1 && d == 2);
    a.v[0] = b.v[0] = c.v[0] = 5;
    check(p->v[0] == 1);
    called();
}

TEST(capture, one_struct_by_value_and_by_pointer)
{
    static struct big a = {.v = {1}};

    ALL_THREE(takes_same, &a, a, a, &a, 2, a);
}

static void takes_huge(int n, struct huge h, struct wide w)
{
    check(n == 1 && h.c[0] == 2 && h.c[2999] == 3 && w.v[3] == 4 && (uintptr_t)&w % _Alignof(struct wide) == 0);
    called();
}

TEST(capture, a_struct_of_some_kilobytes_and_an_aligned_one)
{
    struct huge h = {.c = {2, [2999] = 3}};

    ALL_THREE(takes_huge, 1, h, ((struct wide){{0, 0, 0, 4}}));
}

static void takes_vectors(struct vecs v, two w, int n)
{
    check(v.v[0][0] == 1 && v.v[1][1] == 2 && w[1] == 4 && n == 3);
    called();
}

TEST(capture, vectors_and_a_struct_of_them)
{
    struct vecs v = {.v = {{1, 0}, {0, 2}}};
    two w = {0, 4};

    ALL_THREE(takes_vectors, v, w, 3);
}

static void takes_short_vector(twofloats v)
{
    check(v[0] == 1 && v[1] == 2);
    called();
}

TEST(capture, a_vector_of_two_floats)
{
    ALL_THREE(takes_short_vector, ((twofloats){1, 2}));
}

static struct big count_and_make(int *n)
{
    return (struct big){.v = {++*n}};
}

static void takes_made(struct big a, int n)
{
    check(a.v[0] == n);
    called();
}

TEST(capture, arguments_are_evaluated_once)
{
    int n = 0;

    weft_go(takes_made, count_and_make(&n), 1);
    EXPECT_EQ(n, 1);
    {
        weft_defer(takes_made, count_and_make(&n), 2);
        EXPECT_EQ(n, 2);
    }
    settle(2);
}

static void deferred_chain(int n)
{
    struct big a = {.v = {n}};

    if (n == 0)
        return;
    weft_defer(takes_made, a, n);
    a.v[0] = -1;
    if (n == 1)
        weft_panic("enough");
    deferred_chain(n - 1);
}

TEST(capture, a_panic_runs_deferred_calls_with_large_structs)
{
    EXPECT(weft_try(deferred_chain, 20) != NULL);
    settle(20);
}

static void many_starters(int n)
{
    for (int i = 0; i < 50; i++)
        weft_go(takes_made, ((struct big){.v = {n}}), n);
}

TEST(capture, many_goroutines_start_the_same_call_for_the_first_time)
{
    for (int i = 0; i < 16; i++)
        weft_go(many_starters, i);
    settle(800);
}
