/*
 * scavenge.pml - giving the memory of a parked goroutine's stack back: scavenge.c V1-V4, worker.c weft__ready, G1.
 *
 * One goroutine is run in turns by two threads: each makes it ready, runs it and parks it again. Taking it out of what it
 * waits for is one step (under that object's lock, whose exchange empties the store buffer); it is published there, in
 * such a step too, before its state says PARKED. A third thread
 * marks it OLD, holds it and discards. Starting a new goroutine on a dead one's stack is the same protocol.
 * Checked: the stack is never in use while it is discarded, and all rounds end. Memory: TSO store buffers (tso.h).
 *
 * VARIANTS 1 2 3 4 5 6 7 8: BROKEN=1 no membarrier; 2 ready looks at hold before it stores the state; 3 the scavenger does not look at
 * on_cpu; 4 the state says PARKED only after on_cpu = 0; 5 ready does not look at hold; 6 the barrier comes before the store of
 * hold; 7 the scavenger does not look at the state after the barrier; 8 hold falls before the discard is over (V2).
 */
#ifndef BROKEN
#define BROKEN 0
#endif
#define NTHR 3
#define NVAR 3
#define BUF 4
#include "tso.h"
#define STATE 0
#define ON_CPU 1
#define HOLD 2
#define RUNNING 0
#define PARKED 1
#define OLD 2          /* PARKED with the flag */
#define ROUNDS 3

bit published = 1;     /* it is in the line of what it waits for */
bit in_use, discarding;/* ghosts */
byte finished;

inline hold_check(t)
{
    if
    :: BROKEN == 5
    :: else -> LD(t, HOLD) == 0
    fi
}

proctype Worker(byte t)
{
    byte i;
    for (i : 1 .. ROUNDS) {
        atomic { LOCKED(t) && published -> published = 0 };
        LD(t, ON_CPU) == 0;                             /* weft__ready: G1 */
        if
        :: BROKEN == 2 -> hold_check(t); ST(t, STATE, RUNNING)
        :: else -> ST(t, STATE, RUNNING); hold_check(t)
        fi;
        ST(t, ON_CPU, 1);                               /* a switch to it */
        in_use = 1;
        assert(!discarding);
        atomic { LOCKED(t) -> published = 1 };          /* S1, then weft__park */
        if
        :: BROKEN == 4 -> in_use = 0; ST(t, ON_CPU, 0); ST(t, STATE, PARKED)
        :: else -> ST(t, STATE, PARKED); in_use = 0; ST(t, ON_CPU, 0)   /* the switch still pushes registers */
        fi
    }
    finished++
}

inline membarrier()
{
    atomic { LOCKED(2); DRAIN(0); DRAIN(1) }
}

proctype Scavenger()
{
    byte i;
    for (i : 1 .. 3) {
        atomic {                                        /* the mark: a compare-and-swap */
            LOCKED(2);
            if
            :: mem[STATE] == PARKED -> mem[STATE] = OLD
            :: else
            fi
        };
        if
        :: LD(2, STATE) == OLD ->
            if
            :: BROKEN == 6 -> membarrier(); ST(2, HOLD, 1)
            :: BROKEN == 1 -> atomic { LOCKED(2) -> mem[HOLD] = 1 }
            :: else -> ST(2, HOLD, 1); membarrier()
            fi;
            if
            :: (LD(2, STATE) == OLD || BROKEN == 7) && (LD(2, ON_CPU) == 0 || BROKEN == 3) ->
                discarding = 1;
                assert(!in_use);
                if
                :: BROKEN == 8 -> ST(2, HOLD, 0); discarding = 0
                :: else -> discarding = 0; ST(2, HOLD, 0)
                fi
            :: else -> ST(2, HOLD, 0)
            fi
        :: else
        fi
    }
    finished++
}

init
{
    atomic {
        mem[STATE] = PARKED;
        run Worker(0); run Worker(1); run Scavenger();
        run Flusher(0); run Flusher(1); run Flusher(2)
    }
    finished == 3
}
