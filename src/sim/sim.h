/*
 * sim.h - a whole runtime on one thread, in virtual time, its schedule drawn from a seed.
 *
 * Role    After weft__sim_start the threads that the runtime starts are coroutines of the calling thread, the clock is a
 *         number, and every choice of who goes on next comes from the seed: the same program with the same seed repeats
 *         itself to the last instruction. What is simulated and what is not: docs/design/sim.md. Layer 6.
 * Points  A coroutine may lose the thread in each call of src/sys, and, in objects that were compiled with the compiler's
 *         thread instrumentation (tests/sim/meson.build), before each atomic operation and some plain accesses.
 */
#ifndef WEFT_SIM_SIM_H
#define WEFT_SIM_SIM_H
#include <stdbool.h>
#include <stdint.h>
#include <weft/base.h>

/* What a run was: equal for equal seeds, and as good as never for different ones. */
struct weft__sim_trace {
    uint64_t hash;     /* of every switch, in order: who, and after how many points */
    uint64_t points;   /* places at which a switch was possible */
    uint64_t switches; /* of threads */
    weft_time now;     /* virtual */
};

/* What is the same in every run and slow to find out: for a process that forks one child per run. May be left out. */
void weft__sim_prepare(void);
/* Turns the simulation on for the rest of the process. On the main thread, before its first weft call. */
void weft__sim_start(uint64_t seed);
bool weft__sim_on(void);
struct weft__sim_trace weft__sim_trace(void);
/* 64 random bits for the program under test; drawn apart from the schedule's. */
uint64_t weft__sim_random(void);
/* After that many points the run is thrown away as endless (default 1,000 million). The longest that is known to end takes
 * 201.5: chan_many.nothing_is_lost_from_many_to_one with seed 0x1b, a slow machine whose threads stall often. */
void weft__sim_limit(uint64_t points);

#endif
