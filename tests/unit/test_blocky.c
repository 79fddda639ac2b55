/*
 * test_blocky.c - what is remembered of goroutines that block, and for how long: decisions of blocky.c at made-up instants.
 */
#include <weft/weft.h>

#include "../../src/sched/sched_int.h"
#include "weft_test.h"

enum { IN_A_ROW = 8, QUICK_MS = 2, NEAR_MS = 100, PARKS = 64, PARKS_MAX = 65536, TIED_MS = 1000 };
static const struct weft__site site_a, site_b;
static weft_time now_is;

static weft_time made_up_now(void)
{
    return now_is;
}

/* n goroutines from site, one after the other, each found blocked at now. */
static void found(struct weft__blocks *b, int n, const struct weft__site *site, weft_time now)
{
    for (int i = 0; i < n; i++)
        weft__blocks_saw(b, site, true, now);
}

TEST(blocks, the_monitor_hurries_for_two_ms_after_one_was_found)
{
    struct weft__blocks b = {0};

    EXPECT(!weft__blocks_quick(&b, WEFT_SEC));
    weft__blocks_saw(&b, &site_a, false, WEFT_SEC);
    EXPECT(weft__blocks_quick(&b, WEFT_SEC));
    EXPECT(weft__blocks_quick(&b, WEFT_SEC + QUICK_MS * WEFT_MS - 1));
    EXPECT(!weft__blocks_quick(&b, WEFT_SEC + QUICK_MS * WEFT_MS));
}

TEST(blocks, where_eight_in_a_row_came_from_the_next_are_expected_to_block)
{
    struct weft__blocks b = {0};

    found(&b, IN_A_ROW - 1, &site_a, WEFT_SEC);
    EXPECT(weft__blocks_expects(&b, WEFT_SEC) == NULL);
    found(&b, 1, &site_a, WEFT_SEC);
    EXPECT(weft__blocks_expects(&b, WEFT_SEC) == &site_a);
}

TEST(blocks, nothing_is_expected_where_another_one_ran_between)
{
    struct weft__blocks b = {0};

    for (int i = 0; i < 10 * IN_A_ROW; i++) {
        weft__blocks_saw(&b, &site_a, i % IN_A_ROW != 0, WEFT_SEC);
        EXPECT((weft__blocks_expects(&b, WEFT_SEC) != NULL) == (i % IN_A_ROW == IN_A_ROW - 1));
    }
}

TEST(blocks, nothing_is_expected_of_two_sites_in_turns_or_of_none)
{
    struct weft__blocks b = {0};

    for (int i = 0; i < 10 * IN_A_ROW; i++) {
        found(&b, 1, i & 1 ? &site_a : &site_b, WEFT_SEC);
        EXPECT(weft__blocks_expects(&b, WEFT_SEC) == NULL);
    }
    found(&b, 10 * IN_A_ROW, NULL, WEFT_SEC); /* main, or a thread of the program */
    EXPECT(weft__blocks_expects(&b, WEFT_SEC) == NULL);
}

TEST(blocks, what_is_expected_ends_after_two_ms_and_one_more_renews_it)
{
    struct weft__blocks b = {0};
    weft_time late = WEFT_SEC + QUICK_MS * WEFT_MS;

    found(&b, 100 * IN_A_ROW, &site_a, WEFT_SEC);
    EXPECT(weft__blocks_expects(&b, late - 1) == &site_a);
    EXPECT(weft__blocks_expects(&b, late) == NULL);
    EXPECT(weft__blocks_expects(&b, late - 1) == NULL);
    found(&b, 1, &site_a, late);
    EXPECT(weft__blocks_expects(&b, late) == &site_a);
    EXPECT(weft__blocks_expects(&b, 2 * late) == NULL);
    weft__blocks_saw(&b, &site_a, false, 2 * late); /* somebody ran meanwhile */
    EXPECT(weft__blocks_expects(&b, 2 * late) == NULL);
}

TEST(blocky, who_blocks_twice_within_a_tenth_of_a_second_is_run_tied)
{
    struct weft__g g = {0};

    EXPECT(!weft__blocky_saw(&g, WEFT_SEC));
    EXPECT(weft__blocky_saw(&g, WEFT_SEC + NEAR_MS * WEFT_MS));
}

TEST(blocky, who_blocks_seldom_never_is)
{
    struct weft__g g = {0};

    for (int i = 1; i < 1000; i++)
        EXPECT(!weft__blocky_saw(&g, i * (NEAR_MS + 1) * WEFT_MS));
}

/* Runs g tied until it is tried with a processor again, at the instant at. Returns after how many parks. */
static int tied_for(struct weft__g *g, weft_time at)
{
    int n = 1;

    now_is = at;
    weft__blocky_begin(g, at);
    while (n < 2 * PARKS_MAX && !weft__blocky_parked(g, made_up_now))
        n++;
    return n;
}

/* Found blocked twice, 1 ms after the instant at. */
static void blocks_after(struct weft__g *g, weft_time at)
{
    EXPECT(!weft__blocky_saw(g, at + WEFT_MS));
    EXPECT(weft__blocky_saw(g, at + WEFT_MS));
}

TEST(blocky, who_blocks_again_at_once_is_tied_for_twice_as_long)
{
    struct weft__g g = {0};
    weft_time at = WEFT_SEC;

    for (int limit = PARKS; limit < 4 * PARKS_MAX; limit *= 2, at += NEAR_MS / 2 * WEFT_MS) {
        blocks_after(&g, at);
        EXPECT_EQ(tied_for(&g, at + 2 * WEFT_MS), limit < PARKS_MAX ? limit : PARKS_MAX);
    }
}

TEST(blocky, who_did_not_block_for_long_starts_over)
{
    struct weft__g g = {0};

    blocks_after(&g, WEFT_SEC);
    EXPECT_EQ(tied_for(&g, 2 * WEFT_SEC), PARKS);
    blocks_after(&g, 2 * WEFT_SEC);
    EXPECT_EQ(tied_for(&g, 3 * WEFT_SEC), 2 * PARKS);
    blocks_after(&g, 3 * WEFT_SEC + NEAR_MS * WEFT_MS);
    EXPECT_EQ(tied_for(&g, 4 * WEFT_SEC), PARKS);
}

/* However many parks it has been sentenced to. */
TEST(blocky, who_is_tied_and_parks_seldom_is_tried_with_a_processor_after_a_second)
{
    struct weft__g g = {.blocky_limit = PARKS_MAX};

    blocks_after(&g, WEFT_SEC);
    now_is = 2 * WEFT_SEC;
    weft__blocky_begin(&g, now_is);
    now_is += TIED_MS * WEFT_MS - WEFT_MS;
    EXPECT(!weft__blocky_parked(&g, made_up_now));
    now_is += WEFT_MS;
    EXPECT(weft__blocky_parked(&g, made_up_now));
}

/* The clock of milliseconds wraps after 49 days. */
TEST(blocky, the_age_of_a_verdict_survives_the_wrap_of_its_clock)
{
    struct weft__g g = {0};
    weft_time wrap = (weft_time)1 << 32;

    EXPECT(!weft__blocky_saw(&g, (wrap - 1) * WEFT_MS));
    EXPECT(weft__blocky_saw(&g, (wrap + 1) * WEFT_MS));
}
