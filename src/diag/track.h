/*
 * track.h - what a program made and did not give back: hooks for chan, ctx and sync.
 *
 * Role    Debug builds (WEFT_DEBUG) remember each channel, context and running timer with the place of its creation;
 *         docs/design/tools.md says how a user asks. In other builds all of this is nothing.
 * Near    track.c, leak.c. Layer 2. No hook parks; new and gone may allocate, under no lock but a debug build's.
 */
#ifndef WEFT_DIAG_TRACK_H
#define WEFT_DIAG_TRACK_H
#include "../sched/sched.h"

enum weft__track_kind {
    WEFT__TRACK_CHAN,
    WEFT__TRACK_CTX,
    WEFT__TRACK_TIMER,
    WEFT__TRACK_KINDS
};

#if WEFT_DEBUG
/* at exists from here on; the place is the caller's stack. */
void weft__track_new(enum weft__track_kind kind, const volatile void *at);
/* at is gone; harmless when it was not known. */
void weft__track_gone(enum weft__track_kind kind, const volatile void *at);
#else
static inline void weft__track_new(enum weft__track_kind kind, const volatile void *at)
{
    (void)kind, (void)at;
}
static inline void weft__track_gone(enum weft__track_kind kind, const volatile void *at)
{
    (void)kind, (void)at;
}
#endif

/* Entries of a kind; prints them to stderr, grouped by place, when print is set. 0 in other builds than debug. */
size_t weft__track_list(enum weft__track_kind kind, bool print);

/* At the start of the runtime, or before: what is to happen at exit (leak.c). */
void weft__leak_init(void);

#endif
