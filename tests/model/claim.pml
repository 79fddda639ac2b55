/*
 * claim.pml - the asymmetric lock on a processor: sched_int.h weft__enter, weft__enter_try, weft__leave; monitor.c weft__claim,
 * weft__unclaim (M1-M3).
 *
 * The owner goes in and out without a fence, or tries to first (weft__ready's short way) and goes in where that fails; two others (a thief and the monitor) claim with a CAS and membarrier(2).
 * q stands for the run queue: both sides read, add one and write it with plain instructions.
 * Checked: never two inside; no update lost; nobody waits for ever. Memory: TSO store buffers (tso.h).
 *
 * VARIANTS 1 2 3 4 5 6 7 8 9 10 11: BROKEN=1 no membarrier; 2 the owner looks at claim before it stores in; 3 the claimer does not look at in; 4 in = 0
 * becomes visible before the owner's last write (no release, M2); 5 the owner does not wait for the claim to end;
 * 6 claim = 0 becomes visible before the claimer's write (M3); 7 the barrier comes before the CAS;
 * 8 the try looks at claim before it stores in; 9 a try that failed does not take in back; 10 it does so, but goes on as if inside;
 * 11 a try takes in back before its last write.
 */
#ifndef BROKEN
#define BROKEN 0
#endif
#define NTHR 3
#define NVAR 3
#define BUF 3
#include "tso.h"
#define IN 0
#define CLAIM 1
#define Q 2
#define ROUNDS 3

byte inside;       /* ghost: how many are in the section */
byte did;          /* ghost: additions made */
byte finished;

inline critical(t, v)
{
    inside++;
    assert(inside == 1);
    v = LD(t, Q);
    did++
}

/* weft__enter_try */
inline enter_try(got)
{
    if
    :: BROKEN == 8 -> v = LD(0, CLAIM); ST(0, IN, 1)
    :: else -> ST(0, IN, 1); v = LD(0, CLAIM)
    fi;
    got = 1;
    if
    :: v != 0 && BROKEN == 9 -> got = 0
    :: v != 0 && BROKEN == 10 -> ST(0, IN, 0)
    :: v != 0 && BROKEN != 9 && BROKEN != 10 -> ST(0, IN, 0); got = 0
    :: else
    fi
}

proctype Owner()
{
    byte i, v;
    bit got;
    for (i : 1 .. ROUNDS) {
        got = 0;
        if
        :: enter_try(got)
        :: true
        fi;
        if
        :: got -> skip
        :: !got -> goto elsewhere                       /* it need not go in at all */
        :: !got ->
        if
        :: BROKEN == 2 -> v = LD(0, CLAIM); ST(0, IN, 1)
        :: else -> ST(0, IN, 1); v = LD(0, CLAIM)
        fi;
        if
        :: v != 0 && BROKEN != 5 ->                     /* weft__enter_slow */
            do
            :: LD(0, CLAIM) != 0 ->
                ST(0, IN, 0);
                LD(0, CLAIM) == 0;
                atomic { LOCKED(0) -> mem[IN] = 1 }     /* seq_cst store */
            :: LD(0, CLAIM) == 0 -> break
            od
        :: else
        fi
        fi;
        critical(0, v);
        inside--;
        if
        :: BROKEN == 4 || (BROKEN == 11 && got) -> ST(0, IN, 0); ST(0, Q, v + 1)
        :: else -> ST(0, Q, v + 1); ST(0, IN, 0)
        fi;
elsewhere:
        skip
    }
    finished++
}

inline membarrier(t)
{
    atomic { LOCKED(t); DRAIN(0) }
}

proctype Claimer(byte t)
{
    byte i, v;
    bit won;
    for (i : 1 .. 2) {
        won = 0;
        if
        :: LD(t, IN) != 0                               /* a hint: give up */
        :: LD(t, IN) == 0 ->
            if
            :: BROKEN == 7 -> membarrier(t)
            :: else
            fi;
            atomic {
                LOCKED(t);
                if
                :: mem[CLAIM] == 0 -> mem[CLAIM] = 1; won = 1
                :: else
                fi
            }
        fi;
        if
        :: won ->
            if
            :: BROKEN != 1 && BROKEN != 7 -> membarrier(t)
            :: else
            fi;
            if
            :: LD(t, IN) == 0 || BROKEN == 3 ->
                critical(t, v);
                inside--;
                if
                :: BROKEN == 6 -> ST(t, CLAIM, 0); ST(t, Q, v + 1)
                :: else -> ST(t, Q, v + 1); ST(t, CLAIM, 0)
                fi
            :: else -> ST(t, CLAIM, 0)
            fi
        :: else
        fi
    }
    finished++
}

init
{
    atomic {
        run Owner(); run Claimer(1); run Claimer(2);
        run Flusher(0); run Flusher(1); run Flusher(2)
    }
    finished == 3 && empty(sb[0]) && empty(sb[1]) && empty(sb[2]);
    assert(mem[Q] == did);
    assert(mem[IN] == 0 && mem[CLAIM] == 0)
}
