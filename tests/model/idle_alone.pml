/*
 * idle_alone.pml - a thief leaves a processor's queue alone, the monitor ends that: rob.c rob_leave_alone, monitor.c
 * mon_end_alone, sched_int.h weft__wants_help, idle.c idle_work_left (I8).
 *
 * Thread 0 owns a processor, pushes goroutines to its own queue, may run one before each, and then computes for ever: the worker
 * must take the rest. Its plain stores into the queue go through a store buffer (tso.h); what the others do is under a lock or
 * locked, one step each.
 * How a worker is counted and woken is simpler here than in idle.pml: one idle processor, one worker, a wake-up is one step.
 * Checked: every goroutine pushed is taken, however often the queue is left alone (ALONES times).
 *
 * VARIANTS 1 2 3 4: BROKEN=1 the monitor has no barrier between ending it and its look at the queue; 2 it looks before it ends
 * it; 3 it wakes nobody; 4 the worker looks at alone before it is counted idle, not after.
 */
#ifndef BROKEN
#define BROKEN 0
#endif
#define NTHR 1
#define NVAR 1
#define BUF 2
#include "tso.h"
#define Q 0
#define PUSHES 3
#define ALONES 2

bit nidle, wake, alone;
byte alones = ALONES, done;

#define WAKE atomic { if :: nidle -> nidle = 0; wake = 1 :: !nidle fi }

proctype Pusher()
{
    byte i, v;
    for (i : 1 .. PUSHES) {
        /* it may run one itself first */
        if
        :: atomic { nfull(sb[0]) && LD(0, Q) > 0 -> v = LD(0, Q); sb[0]!Q,v - 1; pend[0]++; last[0] = v - 1; v = 0; done++ }
        :: true
        fi;
        /* enter, push, leave: thieves are out, so the read is the newest value */
        atomic { nfull(sb[0]) -> v = LD(0, Q); sb[0]!Q,v + 1; pend[0]++; last[0] = v + 1; v = 0 };
        if
        :: alone                                    /* weft__wants_help */
        :: !alone -> WAKE
        fi
    }
    done == PUSHES      /* an endless loop in C */
}

proctype Monitor()
{
    bit waits;
end_monitor:
    do
    :: alone ->
        if
        :: BROKEN == 2 -> waits = (mem[Q] > 0)
        :: else
        fi;
        alone = 0;
        if
        :: BROKEN != 1 -> atomic { DRAIN(0) }
        :: else
        fi;
        if
        :: BROKEN != 2 -> waits = (mem[Q] > 0)
        :: else
        fi;
        if
        :: waits && BROKEN != 3 -> WAKE
        :: else
        fi
    od
}

proctype Worker()
{
    bit was;
look:
    if
    :: mem[Q] > 0 && !alone ->
        if
        :: atomic { DRAIN(0); if :: mem[Q] > 0 -> mem[Q] = mem[Q] - 1; done++ :: mem[Q] == 0 fi };  /* a theft */
            goto look
        :: alones > 0 -> atomic { alones--; alone = 1 }
        fi
    :: mem[Q] == 0 || alone
    fi;
    was = alone;
    nidle = 1;                                      /* weft__idle */
    atomic { DRAIN(0) };
    if
    :: mem[Q] > 0 && !(BROKEN == 4 -> was : alone) ->
        atomic { nidle = 0; wake = 0 };             /* idle_retake, or it was given the processor meanwhile */
        goto look
    :: else
    fi;
end_asleep:
    atomic { wake -> wake = 0 };
    goto look
}

init
{
    atomic { run Pusher(); run Worker(); run Monitor(); run Flusher(0) }
}
