/*
 * test_select_list.c - weft_selectv: lists that are computed, long lists, their limits.
 */
#include <stdatomic.h>
#include <weft/weft.h>

#include "weft_test.h"

static atomic_int marks;

TEST(select_list, cases_can_be_assigned_and_computed)
{
    enum { N = 40 };
    weft_chan(int) c[N];
    struct weft_case cases[N + 1] = {{0}};
    int got[N], out[N];
    for (int i = 0; i < N; i++) {
        c[i] = weft_make(int, 1);
        out[i] = 100 + i;
        cases[i] = weft_on_recv(c[i], &got[i]);
    }
    cases[N] = weft_on_default;
    EXPECT_EQ(weft_selectv(cases, N + 1), N);
    for (int i = 0; i < N; i += 7) {
        weft_send(c[i], i);
        EXPECT_EQ(weft_selectv(cases, N), i);
        EXPECT_EQ(got[i], i);
    }
    for (int i = 0; i < N; i++)
        cases[i] = weft_on_send_ptr(c[i], &out[i]);
    bool seen[N] = {0};
    for (int i = 0; i < N; i++) {
        int k = weft_selectv(cases, N);
        EXPECT(!seen[k]);
        seen[k] = true;
    }
    cases[N] = weft_on_timeout(WEFT_MS);
    EXPECT_EQ(weft_selectv(cases, N + 1), N);
    for (int i = 0; i < N; i++) {
        EXPECT_EQ(weft_recv(c[i]), 100 + i);
        weft_free(c[i]);
    }
}

static void feed_each(weft_chan(int) * c, int n)
{
    for (int i = 0; i < n; i++)
        weft_send(c[i * 37 % n], i * 37 % n);
    atomic_fetch_add(&marks, 1);
}

TEST(select_list, a_thousand_cases_wait)
{
    enum { N = WEFT_TEST_TIMES(1000, 40) };
    static weft_chan(int) c[N];
    static struct weft_case cases[N];
    static int got[N];
    for (int i = 0; i < N; i++) {
        c[i] = weft_make(int);
        cases[i] = weft_on_recv(c[i], &got[i]);
    }
    weft_go(feed_each, c, N);
    for (int n = 0; n < N; n++) {
        int i = weft_selectv(cases, N);
        EXPECT_EQ(got[i], i);
    }
    while (!atomic_load(&marks))
        weft_yield();
    for (int i = 0; i < N; i++)
        weft_free(c[i]);
}

DEATH(select_list, more_than_65536_cases_are_fatal, 2, "too many cases")
{
    struct weft_case *cases = calloc(65537, sizeof *cases);
    cases[0] = weft_on_default;
    (void)weft_selectv(cases, 65537);
}

TEST(select_list, zeroed_entries_are_never_ready)
{
    struct weft_case cases[3] = {{0}};
    cases[2] = weft_on_default;
    EXPECT_EQ(weft_selectv(cases, 3), 2);
}

