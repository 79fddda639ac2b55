/*
 * idle.pml - going to sleep and being woken: idle.c weft__idle, weft__wake_worker, weft__poll_now; worker.c spinning (I1-I4).
 *
 * Thread 0 owns a processor, pushes goroutines to its own queue and then computes for ever: others must take them all.
 * Threads 1 to 3 (2 and 3 are started when a waker finds nobody) are workers for the other processor: they steal, spin,
 * give their processor back, sleep on the list or in the poller, and are woken. Only thread 0 has plain stores that matter (its queue): it has a store buffer (tso.h);
 * everything else is under sched.lock or by locked instructions, which are one step here. A steal is one step (claim.pml).
 * Checked: every goroutine pushed is taken (no lost wake-up); a processor has one owner; counters end where they began.
 *
 * VARIANTS 1 2 3 5 6 7 11: BROKEN=1 no membarrier before the second look; 2 the second look comes before nidle is counted; 3 no second
 * look; 4 a worker that stops spinning wakes nobody; 5 the pusher wakes nobody when it finds a sleeper in the poller;
 * 6 the worker is counted out of nspinning after its second look; 7 the waker does not
 * ask whether the poller was left meanwhile; 8 a waker that found no processor does not look again
 * (4 and 8 show in idle_hog.pml, 9 and 10 in idle_cover.pml, 12 in idle_batch.pml); 11 a worker that was counted as looking while it napped, and got no processor, does
 * not look once more.
 */
#ifndef BROKEN
#define BROKEN 0
#endif
#ifndef PUSHES
#define PUSHES 2
#endif
#define NTHR 1
#define NVAR 1
#define BUF 2
#include "tso.h"
#define Q 0
#ifndef IDLE_PS
#define IDLE_PS 1          /* processors beside thread 0's */
#endif
#define PROCS (IDLE_PS + 1)

byte nidle, nspinning, done;
bit poller, poll_sleeping, poll_event;
bit hasp[4], spinning[4], wake[4], listed[4];
byte threads = 1;          /* workers that exist: 1 .. threads */
bit bound_hit;
bit lock;

#define ACQUIRE(t) atomic { lock == 0 && (t > 0 || LOCKED(0)) -> lock = 1 }
#define RELEASE lock = 0

/* weft__wake_worker, by thread t; m is its scratch */
inline wake_worker(t, m)
{
    do
    :: nidle == 0 -> break
    :: nidle != 0 ->
        m = 0;
        atomic {
            (t > 0 || LOCKED(0));
            if
            :: nspinning == 0 -> nspinning = 1; m = 9
            :: else
            fi
        };
        if
        :: m == 9 ->
            ACQUIRE(t);
            /* pop a processor and a sleeper in one step: the lock is held */
            atomic {
                m = 0;
                if
                :: nidle > 0 ->
                    nidle--;
                    if
                    :: listed[1] -> m = 1
                    :: listed[2] -> m = 2
                    :: listed[3] -> m = 3
                    :: !listed[1] && !listed[2] && !listed[3] -> m = 8
                    fi
                :: else
                fi;
                if
                :: m >= 1 && m <= 3 -> listed[m] = 0; assert(!hasp[m]); hasp[m] = 1; spinning[m] = 1
                :: else
                fi
            };
            if
            :: m == 8 && poll_sleeping ->           /* the worker in the poller will take it */
                nidle++;
                RELEASE;
                nspinning--;
                if
                :: BROKEN != 5 -> poll_event = 1
                :: else
                fi;
                if                                  /* has it left the poller without finding the processor? */
                :: poll_sleeping || BROKEN == 7 -> break
                :: else
                fi
            :: m == 8 && !poll_sleeping ->          /* weft__m_start */
                RELEASE;
                if
                :: threads < 3 -> atomic { threads++; hasp[threads] = 1; spinning[threads] = 1; run Worker(threads) };
                    break
                :: threads == 3 -> bound_hit = 1;
end_bound:          false                           /* the model has no more threads: looks no further */
                fi
            :: m >= 1 && m <= 3 -> RELEASE; wake[m] = 1; break
            :: m == 0 -> RELEASE; nspinning--;      /* no processor now; one that came since may rely on us (I4) */
                if
                :: BROKEN == 8 -> break
                :: else
                fi
            fi
        :: else -> break
        fi
    od;
    m = 0
}

proctype Pusher()
{
    byte i, m;
    for (i : 1 .. PUSHES) {
        /* enter, push, leave: thieves are out, so the read is the newest value */
        atomic { nfull(sb[0]) -> m = LD(0, Q); sb[0]!Q,m + 1; pend[0]++; last[0] = m + 1 };
#ifdef BATCH
        if
        :: i == (BROKEN == 12 -> 1 : PUSHES) -> wake_worker(0, m)
        :: else -> m = 0
        fi
#else
        wake_worker(0, m)
#endif
    }
    done == PUSHES || bound_hit     /* an endless loop in C */
}

/* a thief's membarrier, look at in, take: one step (claim.pml) */
inline steal(got)
{
    atomic {
        DRAIN(0);
        if
        :: mem[Q] > 0 -> mem[Q] = mem[Q] - 1; got = 1
        :: else
        fi
    }
}

/* weft__p_try_idle + weft__p_take */
inline retake(me, spin)
{
    if
    :: nidle == 0
    :: nidle != 0 ->
        ACQUIRE(me);
        atomic {
            if
            :: nidle > 0 -> nidle--; assert(!hasp[me]); hasp[me] = 1
            :: else
            fi
        };
        RELEASE;
        if
        :: hasp[me] && spin -> atomic { spinning[me] = 1; nspinning++ }
        :: else
        fi
    fi
}

proctype Worker(byte me)
{
    byte m;
    bit got;
schedule:
    got = 0;
    if
    :: !hasp[me] -> goto idle
    :: hasp[me]
    fi;
    /* worker_spin */
    if
    :: !spinning[me] && 2 * nspinning >= PROCS - nidle + 1 -> goto idle
    :: !spinning[me] && 2 * nspinning < PROCS - nidle + 1 -> spinning[me] = 1; nspinning++
    :: spinning[me]
    fi;
    if
    :: LD(0, Q) == 0                            /* the length as seen from outside may be old */
    :: mem[Q] == 0
    :: mem[Q] != 0 -> steal(got)
    fi;
    if
    :: got ->
        /* worker_stop_spinning */
        if
        :: spinning[me] ->
            atomic { spinning[me] = 0; nspinning--; m = (nspinning == 0 -> 1 : 0) };
            if
            :: m == 1 && nidle != 0 && BROKEN != 4 -> wake_worker(me, m)
            :: else
            fi
        :: else
        fi;
        m = 0;
        done++;                                 /* it ran */
#ifdef HOG
end_hog:
        false                                   /* and never comes back */
#else
#ifdef BLOCKS
        /* weft__drop_p, weft__idle_cover */
        ACQUIRE(me); atomic { hasp[me] = 0; nidle++ }; RELEASE;
        if
        :: BROKEN == 1
        :: else -> atomic { DRAIN(0) }          /* membarrier */
        fi;
        got = 0;
        if
        :: !poll_sleeping && BROKEN != 10 -> got = 1
        :: else
        fi;
        if
        :: mem[Q] > 0 && BROKEN != 9 -> got = 1
        :: else
        fi;
        if
        :: got -> wake_worker(me, m)
        :: else
        fi;
end_blocked:
        false
#else
        goto schedule
#endif
#endif
    :: else
    fi;
idle:
    if
    :: BROKEN == 2 -> atomic { DRAIN(0); got = (mem[Q] > 0) }
    :: else
    fi;
    if
    :: hasp[me] -> ACQUIRE(me); atomic { hasp[me] = 0; nidle++ }; RELEASE
    :: else
    fi;
    if
    :: spinning[me] && BROKEN != 6 -> atomic { spinning[me] = 0; nspinning-- }
    :: else
    fi;
look:
    if
    :: BROKEN == 1 || BROKEN == 2
    :: else -> atomic { DRAIN(0) }              /* membarrier */
    fi;
    if
    :: BROKEN != 2 && BROKEN != 3 -> got = (mem[Q] > 0)
    :: else
    fi;
    if
    :: spinning[me] -> atomic { spinning[me] = 0; nspinning-- }
    :: else
    fi;
    if
    :: got -> got = 0;                          /* idle_look_again */
        atomic { spinning[me] = 1; nspinning++ };
        retake(me, 0);
        if
        :: hasp[me] -> goto schedule
        :: else
        fi;
        atomic { spinning[me] = 0; nspinning-- };
        if
        :: nidle != 0 && BROKEN != 11 -> goto look
        :: nidle != 0 && BROKEN == 11
        :: nidle == 0
        fi
    :: else
    fi;
    if
    :: nidle != 0 && !poller ->
        /* weft__poll_now with a timeout: one worker sleeps in the poller */
        atomic {
            if
            :: poller == 0 -> poller = 1
            :: else -> goto list
            fi
        };
        poll_sleeping = 1;
        if
        :: mem[Q] > 0                           /* timeout = 0 */
        :: mem[Q] == 0 ->
end_poll:   poll_event
        fi;
        poll_event = 0;
        poll_sleeping = 0;
        poller = 0;
        retake(me, 1);
        goto schedule
    :: else
    fi;
list:
    ACQUIRE(me);
    listed[me] = 1;
    RELEASE;
end_list:
    atomic { wake[me] -> wake[me] = 0 };
    goto schedule
}

init
{
    atomic {
        hasp[1] = 1;
        nidle = IDLE_PS - 1;
        run Pusher(); run Worker(1); run Flusher(0)
    }
}

/* counters: looked at when nothing can move any more is too late for an assertion, so they are bounded at all times */
active proctype Bounds()
{
end_bounds:
    atomic { (nidle > IDLE_PS || nspinning > 4 || hasp[1] + hasp[2] + hasp[3] + nidle > IDLE_PS) -> assert(false) }
}
