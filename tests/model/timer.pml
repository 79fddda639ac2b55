/*
 * timer.pml - a timer started by a goroutine without a processor, while the only worker goes to sleep: sched/timer.c
 * weft__timer_start, idle.c weft__idle (I1), with procs == 1, where going idle makes no membarrier.
 *
 * Thread 0 runs a goroutine without a processor (tied, or retaken by the monitor): it puts the timer in a heap under that
 * heap's lock, then looks whether somebody must compute a timeout again. Thread 1 gives its processor back, looks at the
 * heaps, and sleeps until the timer, or for ever. Thread 0 then computes; nobody else is there.
 * Checked: the timer fires. The store of heap_when and the release of the lock are plain: store buffer (tso.h).
 *
 * VARIANTS 1 2: BROKEN=1 no fence between the heap and the look at nidle; 2 the starter wakes nobody.
 */
#ifndef BROKEN
#define BROKEN 0
#endif
#define NTHR 2
#define NVAR 1
#include "tso.h"
#define WHEN 0             /* heap_when: 0 never, 1 a timer is pending */

byte nidle;
bit listed, wake, fired;

proctype Starter()
{
    ST(0, WHEN, 1);                             /* timer_publish; weft__unlock(&p->tlock) is a plain store too */
    if
    :: BROKEN == 0 -> LOCKED(0)                 /* atomic_thread_fence(seq_cst) */
    :: else
    fi;
    /* weft__wake_worker */
    if
    :: BROKEN == 2
    :: nidle == 0 && BROKEN != 2
    :: nidle != 0 && BROKEN != 2 ->
        LOCKED(0);                              /* sched.lock */
        atomic {
            if
            :: listed -> listed = 0; nidle--; wake = 1
            :: else                             /* starts a thread, which looks at the heaps: as good as fired */
                -> fired = 1
            fi
        }
    fi;
    fired
}

proctype Worker()
{
    bit timed;
look:
    atomic { nidle++ };                         /* weft__p_release: a locked instruction of this thread */
    timed = LD(1, WHEN);                        /* weft__timers_next */
    atomic { listed = 1 };
    if
    :: atomic { timed && listed -> listed = 0; fired = 1 }                /* the timeout */
    :: atomic { wake -> wake = 0 };             /* with a processor again: looks at the heaps, then goes idle */
        if
        :: LD(1, WHEN) -> fired = 1
        :: else -> goto look
        fi
    :: fired
    fi
}

init
{
    atomic { run Starter(); run Worker(); run Flusher(0); run Flusher(1) }
}
