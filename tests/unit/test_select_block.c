/*
 * test_select_block.c - the block form of select, and the short names.
 */
#include <stdatomic.h>
#include <weft/short.h>

#include "weft_test.h"

static void feed(weft_sender(int) ch, int n)
{
    for (int i = 0; i < n; i++)
        weft_send(ch, i);
    weft_close(ch);
}

TEST(select_block, runs_the_block_of_the_ready_case)
{
    weft_chan(int) a = weft_make(int, 1), b = weft_make(int, 1);
    int ran = 0;
    weft_send(b, 3);
    weft_select_begin
        weft_when_recv(v, a) { ran = 100 + v; }
        weft_when_recv(v, b) { ran = 200 + v; }
    weft_select_end
    EXPECT_EQ(ran, 203);
    weft_free(a);
    weft_free(b);
}

TEST(select_block, default_timeout_and_send)
{
    weft_chan(int) ch = weft_make(int, 1);
    int ran = 0;
    weft_select_begin
        weft_when_recv(v, ch) { ran = v; }
        weft_when_default { ran = 1; }
    weft_select_end
    EXPECT_EQ(ran, 1);
    weft_select_begin
        weft_when_recv(v, ch) { ran = v; }
        weft_when_timeout(WEFT_MS) { ran = 2; }
    weft_select_end
    EXPECT_EQ(ran, 2);
    weft_select_begin
        weft_when_send(ch, 5) { ran = 3; }
    weft_select_end
    EXPECT_EQ(ran, 3);
    EXPECT_EQ(weft_recv(ch), 5);
    weft_free(ch);
}

TEST(select_block, waits_and_tells_a_close)
{
    weft_chan(int) ch = weft_make(int), idle = weft_make(int);
    int sum = 0;
    bool open = true;
    weft_go(feed, ch, 100);
    while (open) {
        weft_select_begin
            weft_when_recv_ok(v, ok, ch) {
                open = ok;
                sum += v;
            }
            weft_when_recv(v, idle) { sum = -1000000 + v; }
        weft_select_end
    }
    EXPECT_EQ(sum, 4950);
    weft_free(ch);
    weft_free(idle);
}

static int find(weft_receiver(int) ch, int want)
{
    for (int i = 0;; i++) {
        weft_select_begin
            weft_when_recv(v, ch) {
                if (v == want)
                    return i;
                if (v % 2)
                    continue; /* the for loop */
                break;        /* the select */
            }
        weft_select_end
    }
}

TEST(select_block, break_continue_and_return_mean_the_callers)
{
    weft_chan(int) ch = weft_make(int, 20);
    for (int i = 0; i < 20; i++)
        weft_send(ch, i);
    EXPECT_EQ(find(ch, 12), 12);
    EXPECT_EQ(weft_recv(ch), 13);
    weft_free(ch);
}

struct big {
    char b[3000];
};

TEST(select_block, large_values_and_arrays_travel)
{
    weft_chan(struct big) ch = weft_make(struct big, 2);
    weft_chan(int[4]) arr = weft_make(int[4], 1);
    static struct big x;
    int a[4] = {1, 2, 3, 4}, sum = 0;
    x.b[2999] = 7;
    for (int round = 0; round < 3; round++) {
        weft_select_begin
            weft_when_send(ch, x) { sum += 1; }
            weft_when_recv(v, arr) { sum += 1000 + v[0]; }
        weft_select_end
        weft_select_begin
            weft_when_recv(v, ch) { sum += v.b[2999]; }
        weft_select_end
    }
    weft_select_begin
        weft_when_send(arr, a) { sum += 100; }
    weft_select_end
    weft_select_begin
        weft_when_recv(v, arr) { sum += v[3]; }
    weft_select_end
    EXPECT_EQ(sum, 3 * 8 + 104);
    weft_free(ch);
    weft_free(arr);
}

TEST(select_block, blocks_nest)
{
    weft_chan(int) a = weft_make(int, 1), b = weft_make(int, 1);
    int got = 0;
    weft_send(a, 1);
    weft_send(b, 2);
    weft_select_begin
        weft_when_recv(v, a) {
            weft_select_begin
                weft_when_recv(w, b) { got = v * 10 + w; }
            weft_select_end
        }
    weft_select_end
    EXPECT_EQ(got, 12);
    weft_free(a);
    weft_free(b);
}

static int evaluated;
static weft_chan(int) the_channel;
static weft_chan(int) channel_once(void)
{
    evaluated++;
    return the_channel;
}

TEST(select_block, arguments_are_evaluated_once)
{
    the_channel = weft_make(int, 1);
    int n = 0;
    weft_select_begin
        weft_when_send(channel_once(), n++) {}
    weft_select_end
    weft_select_begin
        weft_when_recv(v, channel_once()) { EXPECT_EQ(v, 0); }
        weft_when_timeout((n++, WEFT_SEC)) { EXPECT(false); }
    weft_select_end
    EXPECT_EQ(evaluated, 2);
    EXPECT_EQ(n, 2);
    weft_free(the_channel);
}

static void panics_in_block(weft_sender(struct big) ch)
{
    weft_select_begin
        weft_when_send(ch, {{0}}) {}
    weft_select_end
}

TEST(select_block, a_panic_passes_through)
{
    weft_chan(struct big) ch = weft_make(struct big);
    weft_close(ch);
    EXPECT_STR(weft_try(panics_in_block, ch), "send on closed channel");
    weft_free(ch);
}

/* ---- too many ---- */

#define FOUR_CASES(ch) weft_when_recv(a, ch) {} weft_when_recv(b, ch) {} weft_when_recv(c, ch) {} weft_when_recv(d, ch) {}

TEST(select_block, sixteen_cases_are_taken)
{
    weft_chan(int) none = NULL;
    bool by_default = false;
    weft_select_begin
        FOUR_CASES(none) FOUR_CASES(none) FOUR_CASES(none)
        weft_when_recv(a, none) {}
        weft_when_recv(b, none) {}
        weft_when_recv(c, none) {}
        weft_when_default { by_default = true; }
    weft_select_end
    EXPECT(by_default);
}

DEATH(select_block, a_seventeenth_case_is_fatal, 2,
      "^fatal error: select: more than 16 cases between weft_select_begin and weft_select_end: use weft_selectv")
{
    weft_chan(int) none = NULL;
    weft_select_begin
        FOUR_CASES(none) FOUR_CASES(none) FOUR_CASES(none) FOUR_CASES(none)
        weft_when_default {}
    weft_select_end
}

/* ---- short names ---- */

static void short_producer(sender(int) out, int n)
{
    defer(weft_close, out);
    for (int i = 0; i < n; i++)
        weft_send(out, i);
}

TEST(select_block, short_names_are_the_same_macros)
{
    chan(int) ch = make(int, 4);
    receiver(int) in = ch;
    int sum = 0, len = 3; /* a variable may bear a short name */
    go(short_producer, ch, 10);
    range(v, in) sum += v;
    EXPECT_EQ(sum + len, 48);
    EXPECT_EQ(len(ch), 0);
    EXPECT_EQ(cap(ch), 4);
    select_begin
        when_recv_ok(v, ok, in) { EXPECT(!ok && v == 0); }
    select_end
    weft_free(ch);
}
