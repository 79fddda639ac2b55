/*
 * blocky.c - what is remembered of goroutines that block outside of the scheduler, and for how long.
 *
 * Role    The monitor finds a goroutine blocked (monitor.c) and asks here what follows: is this goroutine to be run on a thread
 *         of its own from now on, is the monitor to look again soon, and do all goroutines that come from the same weft_go
 *         block, so that the next ones need no verdict each? Decisions only, no clock and no thread. Layer 2.
 * Near    monitor.c (asks), worker.c and idle.c (tied goroutines), g.c (born blocky).
 * Invariants
 *   BL1  Nothing is remembered for good: a goroutine that was not found blocked for BLOCKY_NEAR starts over, one that is run
 *        tied is tried with a processor after so many parks, or after BLOCKY_TIED when it parks seldom, and a weft_go is
 *        expected to block for BLOCKY_FOR after a verdict, then one more of its goroutines has to be found blocked.
 *   BL2  Goroutines are expected to block only where each one that a processor ran was found blocked: BLOCKY_SURE in a row
 *        from one weft_go, and nobody else between. Whoever blocks now and then is found so one by one.
 * Limits  What is expected wrongly is a thread each for what starts within BLOCKY_FOR. One weft_go at a time.
 */
#include "sched_int.h"

enum { BLOCKY_SURE = 8, BLOCKY_SEEN = 2, BLOCKY_PARKS = 64, BLOCKY_PARKS_MAX = 65536 };
#define BLOCKY_FOR (2 * WEFT_MS)
#define BLOCKY_NEAR_MS 100 /* a verdict in that time costs a processor a hundredth of it, after a calm a sixth at most */
#define BLOCKY_TIED_MS 1000 /* and two in this time a few hundredths */

static uint32_t blocky_ms(weft_time t)
{
    return (uint32_t)(t / WEFT_MS);
}

void weft__blocks_saw(struct weft__blocks *b, const struct weft__site *site, bool in_row, weft_time now)
{
    if (!in_row || site != b->site)
        b->row = 0;
    b->site = site;
    if (b->row < BLOCKY_SURE)
        b->row++;
    b->until = now + BLOCKY_FOR;
}

bool weft__blocks_quick(const struct weft__blocks *b, weft_time now)
{
    return now < b->until;
}

const struct weft__site *weft__blocks_expects(struct weft__blocks *b, weft_time now)
{
    if (b->row < BLOCKY_SURE)
        return NULL;
    if (now < b->until)
        return b->site;
    b->row = BLOCKY_SURE - 1; /* BL1: one more */
    return NULL;
}

bool weft__blocky_saw(struct weft__g *g, weft_time now)
{
    uint32_t ms = blocky_ms(now);

    if (ms - g->blocky_at > BLOCKY_NEAR_MS)
        g->blocked_seen = g->blocky_limit = 0; /* BL1 */
    g->blocky_at = ms;
    return ++g->blocked_seen >= BLOCKY_SEEN;
}

void weft__blocky_begin(struct weft__g *g, weft_time now)
{
    uint32_t limit = g->blocky_limit * 2;

    g->blocky_at = blocky_ms(now);
    g->blocky_parks = 0;
    g->blocky_limit = limit == 0 ? BLOCKY_PARKS : limit < BLOCKY_PARKS_MAX ? limit : BLOCKY_PARKS_MAX;
}

bool weft__blocky_parked(struct weft__g *g, weft_time (*now)(void))
{
    uint32_t ms = blocky_ms(now()); /* a fraction of what a tied park costs */

    if (++g->blocky_parks < g->blocky_limit && ms - g->blocky_at < BLOCKY_TIED_MS)
        return false;
    g->blocked_seen = 0;
    g->blocky_at = ms;
    return true;
}
