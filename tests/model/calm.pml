/*
 * calm.pml - the monitor's long tick ends by the first timer: monitor.c mon_long_tick, mon_nap, weft__monitor_sooner, timer.c
 * timer_set and timer_tell (MT3), thread.c weft__thread_asked.
 *
 * Starters store the time of a heap and look at mon_until, without a fence. Two of them share a heap, under its lock, one with a timer
 * that is due sooner; who is not the first there tells nobody (timer_set). The monitor says until when it will not look, makes a
 * membarrier, looks at the heaps, and sleeps on the word asked. All timers here are due before that. A tick may also end by itself, once.
 * Checked: the monitor sees the first timer of each heap (it does not sleep on once both are there). Memory: TSO store buffers (tso.h).
 *
 * VARIANTS 1 2 3 4 5 6 7 8: BROKEN=1 no membarrier; 2 it comes before mon_until is set; 3 the monitor looks at the heaps first; 4 a starter
 * looks at mon_until before it stores; 5 it wakes a sleeper, but sets no word; 6 the monitor clears the word after its look;
 * 7 who comes before a timer that is there does not tell; 8 a heap is stored after its lock is dropped.
 */
#ifndef BROKEN
#define BROKEN 0
#endif
#define NTHR 4
#define NVAR 5
#include "tso.h"
#define HEAP_A 0
#define HEAP_B 1
#define UNTIL 2
#define ASKED 3
#define LOCK 4
#define SOON 1
#define LATER 2

bit woken;             /* the futex's wake-up, where somebody sleeps */
bit sleeps;
byte timeouts = 1;
byte first_a;          /* [LOCK] in the heap A: 0, SOON or LATER */

inline look()
{
    seen_a = LD(0, HEAP_A);
    seen_b = LD(0, HEAP_B);
    both = seen_a == SOON && seen_b
}

inline clear_asked()
{
    atomic { LOCKED(0) -> mem[ASKED] = 0 }             /* seq_cst store */
}

proctype Monitor()
{
    byte seen_a, before_a;
    bit seen_b, both, before_b;
    do
    :: both -> break
    :: else ->
        before_a = seen_a;
        before_b = seen_b;
        if
        :: BROKEN == 3 -> look()
        :: else
        fi;
        if
        :: BROKEN == 2 -> atomic { DRAIN(1); DRAIN(2); DRAIN(3) }
        :: else
        fi;
        atomic { LOCKED(0) -> mem[UNTIL] = 1 };        /* mon_long_tick, seq_cst store */
        if
        :: BROKEN != 1 && BROKEN != 2 -> atomic { DRAIN(1); DRAIN(2); DRAIN(3) }
        :: else
        fi;
        if
        :: BROKEN != 3 -> look()
        :: else
        fi;
        if
        :: BROKEN == 6 -> clear_asked()
        :: else
        fi;
        if
        :: seen_a != before_a || seen_b != before_b -> ST(0, UNTIL, 0)    /* a short tick: it sees them in time */
        :: else ->
            if
            :: atomic { mem[ASKED] == 0 -> sleeps = 1; woken = 0 };       /* futex(2) */
                if
                :: atomic { woken -> sleeps = 0 }
                :: atomic { timeouts > 0 -> timeouts--; sleeps = 0 }
                fi
            :: mem[ASKED] != 0
            fi;
            ST(0, UNTIL, 0)                            /* mon_nap */
        fi;
        if
        :: BROKEN != 6 && LD(0, ASKED) != 0 -> clear_asked()
        :: else
        fi
    od
}

inline tell(t)
{
    if
    :: v != 0 ->                                       /* weft__monitor_sooner */
        atomic { LOCKED(t) -> v = mem[UNTIL]; mem[UNTIL] = 0 };
        if
        :: v != 0 ->
            if
            :: BROKEN != 5 -> atomic { LOCKED(t) -> mem[ASKED] = 1 }
            :: else
            fi;
            atomic {
                if
                :: sleeps -> woken = 1
                :: else
                fi
            }
        :: else
        fi
    :: else
    fi
}

/* The only one of its heap: it leads. */
proctype Starter(byte t)
{
    byte v;
    if
    :: BROKEN == 4 -> v = LD(t, UNTIL); ST(t, HEAP_B, 1)
    :: else -> ST(t, HEAP_B, 1); v = LD(t, UNTIL)      /* timer_publish; timer_tell */
    fi;
    tell(t)
}

/* timer_set: with the heap's lock, and it may not lead. */
proctype Sharer(byte t; byte when)
{
    byte v, first;
    bit leads;
    atomic { LOCKED(t) && mem[LOCK] == 0 -> mem[LOCK] = 1 };
    atomic {
        leads = first_a == 0 || (BROKEN != 7 && when < first_a);
        if
        :: first_a == 0 || when < first_a -> first_a = when
        :: else
        fi;
        first = first_a
    };
    if
    :: BROKEN == 8 -> ST(t, LOCK, 0); ST(t, HEAP_A, first)
    :: else -> ST(t, HEAP_A, first); ST(t, LOCK, 0)
    fi;
    if
    :: leads -> v = LD(t, UNTIL); tell(t)
    :: else
    fi
}

init
{
    atomic { run Monitor(); run Starter(1); run Sharer(2, LATER); run Sharer(3, SOON);
             run Flusher(0); run Flusher(1); run Flusher(2); run Flusher(3) }
}
