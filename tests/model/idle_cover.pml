/*
 * idle_cover.pml - idle.pml with goroutines that block outside once they run: their worker puts its processor on the idle
 * list itself (start.c weft__drop_p) and makes sure that somebody looks for it (idle.c weft__idle_cover).
 *
 * Checked besides: when nothing moves any more, an idle processor has somebody asleep in the poller.
 *
 * VARIANTS 9 10: 9 it does not look at the queues; 10 it does not look at the poller. (The barrier between counting the
 * processor and looking: variant 1 of idle.pml; here the poller's own second look makes up for it.)
 */
#define BLOCKS
#include "idle.pml"

active proctype Cover()
{
end_cover:
    timeout -> assert(nidle == 0 || poll_sleeping || bound_hit)
}
