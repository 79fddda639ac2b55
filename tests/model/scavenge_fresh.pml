/*
 * scavenge_fresh.pml - a slot that is taken into use for the first time while the scavenger looks at it: stack.c K2 and
 * stack_slot_init, scavenge.c V1, V4 and where the bounds of a discard come from.
 *
 * The slot counts as cut, so the scavenger sees it: its descriptor is zeros, that is a dead goroutine without bounds. A worker
 * touches it, writes the bounds, starts a goroutine on it (weft__g_init) that ends, twice, and may be off its CPU between
 * any two steps. The scavenger marks, holds and discards whenever the kernel says that there is memory.
 * Checked: a discard has the slot's bounds, and never meets the stack in use. Memory: TSO store buffers (tso.h).
 *
 * VARIANTS 1 2 3 4: BROKEN=1 the bounds come from the descriptor; 2 the start does not look at hold; 3 the mark is a plain
 * store and not a compare-and-swap; 4 the start looks at hold before it stores the state.
 */
#ifndef BROKEN
#define BROKEN 0
#endif
#define NTHR 2
#define NVAR 4
#define BUF 4
#include "tso.h"
#define STATE 0
#define LO 1           /* the descriptor's bounds: 0 not there yet, 1 the slot's */
#define HI 2
#define HOLD 3
#define DEAD 0
#define NEW 1          /* and all that follows */
#define OLD 2          /* DEAD with the flag */

bit touched;           /* the descriptor's page has memory */
bit in_use, discarding;/* ghosts */
byte finished;

proctype Worker()
{
    byte i;
    touched = 1;
    ST(0, LO, 1);
    ST(0, HI, 1);
    for (i : 1 .. 2) {
        if
        :: BROKEN == 2 -> ST(0, STATE, NEW)
        :: BROKEN == 4 -> LD(0, HOLD) == 0; ST(0, STATE, NEW)
        :: else -> ST(0, STATE, NEW); LD(0, HOLD) == 0
        fi;
        in_use = 1;
        assert(!discarding);
        in_use = 0;             /* it ends: on_cpu, which covers the last steps, is in scavenge.pml */
        ST(0, STATE, DEAD)
    }
    finished++
}

inline mark()
{
    byte seen;
    if
    :: BROKEN == 3 ->
        seen = LD(1, STATE);
        if
        :: seen == DEAD -> ST(1, STATE, OLD)
        :: else
        fi
    :: else -> atomic {
        LOCKED(1);
        if
        :: mem[STATE] == DEAD -> mem[STATE] = OLD
        :: else
        fi
    }
    fi
}

proctype Scavenger()
{
    byte i;
    for (i : 1 .. 3) {
        if
        :: touched ->
            mark();
            if
            :: LD(1, STATE) == OLD ->
                ST(1, HOLD, 1);
                atomic { LOCKED(1); DRAIN(0) };          /* membarrier */
                if
                :: LD(1, STATE) == OLD ->
                    assert(BROKEN != 1 || (LD(1, LO) == 1 && LD(1, HI) == 1));
                    discarding = 1;
                    assert(!in_use);
                    discarding = 0
                :: else
                fi;
                ST(1, HOLD, 0)
            :: else
            fi
        :: !touched
        fi
    }
    finished++
}

init
{
    atomic { run Worker(); run Scavenger(); run Flusher(0); run Flusher(1) }
    finished == 2
}
