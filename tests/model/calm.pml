/*
 * calm.pml - the monitor's long tick ends by the first timer: monitor.c mon_long_tick, mon_nap, weft__monitor_sooner, timer.c
 * timer_set and timer_tell (MT3), thread.c weft__thread_asked.
 *
 * Two starters each store the time of a heap and look at mon_until, without a fence. The monitor says until when it will not look,
 * makes a membarrier, looks at the heaps, and sleeps on the word asked. All timers here are due before that. A tick may also end by
 * itself, twice.
 * Checked: the monitor sees each timer (it does not sleep on once both are there). Memory: TSO store buffers (tso.h).
 *
 * VARIANTS 1 2 3 4 5 6: BROKEN=1 no membarrier; 2 it comes before mon_until is set; 3 the monitor looks at the heaps first; 4 a starter
 * looks at mon_until before it stores; 5 it wakes a sleeper, but sets no word; 6 the monitor clears the word after its look.
 */
#ifndef BROKEN
#define BROKEN 0
#endif
#define NTHR 3
#define NVAR 4
#include "tso.h"
#define HEAP_A 0
#define HEAP_B 1
#define UNTIL 2
#define ASKED 3

bit woken;             /* the futex's wake-up, where somebody sleeps */
bit sleeps;
byte timeouts = 2;

inline look()
{
    seen_a = seen_a | LD(0, HEAP_A);
    seen_b = seen_b | LD(0, HEAP_B);
    both = seen_a && seen_b
}

inline clear_asked()
{
    atomic { LOCKED(0) -> mem[ASKED] = 0 }             /* seq_cst store */
}

proctype Monitor()
{
    bit seen_a, seen_b, both, before_a, before_b;
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
        :: BROKEN == 2 -> atomic { DRAIN(1); DRAIN(2) }
        :: else
        fi;
        atomic { LOCKED(0) -> mem[UNTIL] = 1 };        /* mon_long_tick, seq_cst store */
        if
        :: BROKEN != 1 && BROKEN != 2 -> atomic { DRAIN(1); DRAIN(2) }
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

proctype Starter(byte t; byte heap)
{
    byte v;
    if
    :: BROKEN == 4 -> v = LD(t, UNTIL); ST(t, heap, 1)
    :: else -> ST(t, heap, 1); v = LD(t, UNTIL)        /* timer_publish; timer_tell */
    fi;
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

init
{
    atomic { run Monitor(); run Starter(1, HEAP_A); run Starter(2, HEAP_B); run Flusher(0); run Flusher(1); run Flusher(2) }
}
