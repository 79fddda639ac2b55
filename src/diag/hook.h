/*
 * hook.h - where traces and profiles will listen: what the core tells of each goroutine.
 *
 * Role    The scheduler calls these at the named moments; a build that records will supply functions in their place
 *         (a pair hook_on / hook_off, as style.md has it), so that the scheduler's files need no change. Debug builds check
 *         here what must not be held (check.c). Each runs inside the owner's section or under no lock: it may not park,
 *         allocate or ready. Layer 2.
 */
#ifndef WEFT_DIAG_HOOK_H
#define WEFT_DIAG_HOOK_H
#include "../base/assert.h"
struct weft__g;

/* check.c: what must not be held. */
void weft__check_park(void);
void weft__check_ready(void);
/* mutexes.c: the program's. */
void weft__mutexes_check(const struct weft__g *g);

/* g has been made and is about to be queued. */
static inline void weft__hook_spawn(struct weft__g *g)
{
    (void)g;
}

/* g is about to leave its processor; why is an enum weft__wait. */
static inline void weft__hook_park(struct weft__g *g, int why)
{
    (void)g, (void)why;
#if WEFT_DEBUG
    weft__check_park();
    weft__mutexes_check(g);
#endif
}

/* g, parked until now, has been made runnable. */
static inline void weft__hook_ready(struct weft__g *g)
{
    (void)g;
#if WEFT_DEBUG
    weft__check_ready();
#endif
}

/* g is on a processor again, or for the first time. */
static inline void weft__hook_run(struct weft__g *g)
{
    (void)g;
}

/* g has ended. */
static inline void weft__hook_end(struct weft__g *g)
{
    (void)g;
}

#endif
