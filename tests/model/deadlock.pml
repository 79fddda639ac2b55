/*
 * deadlock.pml - the deadlock report: idle.c weft__deadlock_try (D1, I6) and all that counts somebody in or out.
 *
 * A goroutine that needs the one processor, a tied goroutine on a thread of its own (without a processor, counted in
 * nless), and a thread of the program (known to us only while it is parked). Who is awake may ready who is parked,
 * GIFTS times in all; the goroutine may also give its processor up and ask for one again, as for a call that blocks
 * (weft__drop_p, weft__regain); the thread may end. Somebody looks for a deadlock at any time, and once more when all is
 * still: it does not matter who does.
 * Every counter is seq_cst, so one step is one access; store buffers are idle.pml's and park.pml's matter.
 * Checked: a report is made only when nobody is awake, is about to be, or may still come; once all are parked the
 * next look reports. Left out: timers, descriptors, a second worker (idle.pml, duty.pml, poll.pml).
 *
 * VARIANTS 1 2 3 4 5 6 7: BROKEN=1 takes is not compared; 2 who readies a tied goroutine or a thread does not count it in
 * takes; 3 who drops its p counts itself in nless after nbusy fell; 4 a tied goroutine counts itself in nless once awake, not
 * its waker; 5 no second look after the threads were counted; 6 a thread takes itself out of foreign_parked once awake,
 * not its waker; 7 who takes a p does not count it in takes.
 */
#ifndef BROKEN
#define BROKEN 0
#endif
#define GIFTS 3

/* the library's counters */
byte takes, nbusy, nless, gq_n, nspinning, nidle = 0, foreign_parked;
byte nm = 3;                /* the worker's thread, the tied goroutine's, the monitor */
byte threads = 4;           /* what the kernel counts: these and the program's own */
bit worker_wake, tied_wake, foreign_wake; /* G2, W1 */
/* who has left its waiter where others find it, as an object's queue does, under its lock */
bit g_parked, tied_parked, foreign_is_parked;
/* what is true: those who run or have been made runnable; and what is left to give */
byte awake = 3, gifts = GIFTS;
bit spinning;               /* the worker's own: it is counted in nspinning */

/* Under sched.lock. */
inline idle_pop_p()
{
    atomic {
        nidle != 0 -> nidle--;
        if
        :: BROKEN != 7 -> takes++
        :: else
        fi;
        nbusy++
    }
}

/* The waker's part: weft__ready for a goroutine that needs a p. With or without a p, it goes by the global queue. */
inline ready_g()
{
    gq_n++;                                            /* weft__global_put, under sched.lock */
    do                                                 /* weft__wake_worker */
    :: nidle == 0 -> break                             /* its owner will look there before it sleeps (I1) */
    :: nidle != 0 ->
        if
        :: atomic { nspinning == 0 -> nspinning = 1 };
            if
            :: idle_pop_p();
                worker_wake = 1;                       /* spinning already: nspinning is the worker's now */
                break
            :: nidle == 0 -> nspinning--               /* others may have relied on us: again */
            fi
        :: nspinning != 0 -> break                     /* I4 */
        fi
    od
}

/* ready_tied: takes first, then the count, then the word */
inline ready_tied()
{
    if
    :: BROKEN != 2 -> takes++
    :: else
    fi;
    if
    :: BROKEN != 4 -> nless++
    :: else
    fi;
    tied_wake = 1
}

inline ready_foreign()
{
    if
    :: BROKEN != 2 -> takes++
    :: else
    fi;
    if
    :: BROKEN != 6 -> foreign_parked--
    :: else
    fi;
    foreign_wake = 1
}

/* Somebody who is awake readies one who is parked, or nobody. The object's lock makes taking the waiter one step. */
inline gives()
{
    do
    :: atomic { gifts > 0 && g_parked -> gifts--; g_parked = 0; awake++ }; ready_g()
    :: atomic { gifts > 0 && tied_parked -> gifts--; tied_parked = 0; awake++ }; ready_tied()
    :: atomic { gifts > 0 && foreign_is_parked -> gifts--; foreign_is_parked = 0; awake++ }; ready_foreign()
    :: break
    od
}

/* What a deadlock needs, in the order of idle_nothing_can_run. found becomes 0 if any does not hold. */
inline nothing_can_run(found)
{
    found = (nbusy == 0);
    if :: found -> found = (nless == 0) :: else fi;
    if :: found -> found = (gq_n == 0) :: else fi;
    if :: found -> found = (nspinning == 0) :: else fi
}

inline known_threads(n)
{
    n = nm;
    n = n + foreign_parked
}

/* weft__deadlock_try. reported: the program ended with the report; undecided: to be looked at again. */
bit reported;
inline try(found, known, count, before)
{
    before = takes;
    nothing_can_run(found);
    if
    :: !found
    :: found ->
        known_threads(known);
        count = threads;
        if
        :: count > known                               /* undecided */
        :: else ->
            if
            :: BROKEN == 5
            :: else ->
                nothing_can_run(found);
                if
                :: found -> byte again; known_threads(again); found = (again == known); again = 0
                :: else
                fi
            fi;
            if
            :: found && (takes == before || BROKEN == 1) ->
                atomic { assert(awake == 0); reported = 1 }
            :: else
            fi
        fi
    fi;
    found = 0; known = 0; count = 0; before = 0
}

/* The worker's thread and the goroutine that it runs: one process, for it runs nobody else. */
proctype Worker()
{
    do
    :: /* the goroutine runs, with the p */
        gives();
        if
        :: true
        :: /* weft__drop_p, which finds nothing queued; then weft__regain, or the global queue */
            if
            :: BROKEN == 3 -> atomic { nidle++; nbusy-- }; nless++
            :: else -> nless++; atomic { nidle++; nbusy-- }
            fi;
            gives();
            idle_pop_p();
            nless--
        fi;
        /* it parks: the waiter is published, and it leaves the stack */
        atomic { g_parked = 1; awake-- };
        do
        ::  /* weft__schedule: worker_find */
            if
            :: atomic { gq_n != 0 -> gq_n-- };         /* under sched.lock */
                if
                :: spinning -> nspinning--; spinning = 0
                :: else
                fi;
                break
            :: gq_n == 0 ->
                /* weft__idle */
                if
                :: spinning -> nspinning--; spinning = 0
                :: else
                fi;
                atomic { nidle++; nbusy-- };           /* weft__p_release, under sched.lock */
                if
                :: gq_n != 0 ->                        /* idle_work_left: idle_look_again */
                    nspinning++;
                    spinning = 1;
                    if
                    :: idle_pop_p()
                    :: nidle == 0 -> nspinning--; spinning = 0; goto end_sleep /* somebody took it for us */
                    fi
                :: gq_n == 0 ->
end_sleep:          atomic { worker_wake -> worker_wake = 0; spinning = 1 }
                fi
            fi
        od
    od
}
/* weft__park_tied, on a thread of ours */
proctype Tied()
{
    do
    ::  gives();
        atomic { tied_parked = 1; awake-- };
        nless--;                                       /* weft__less_set */
end_asleep:
        atomic { tied_wake -> tied_wake = 0 };
        if
        :: BROKEN == 4 -> nless++
        :: else
        fi
    od
}

/* The same on a thread of the program, which counts itself parked before it may look; or it ends. */
proctype Foreign()
{
    do
    ::  gives();
        if
        :: awake--; threads--; break
        :: atomic { foreign_is_parked = 1; awake-- };
            foreign_parked++;
    end_asleep:  atomic { foreign_wake -> foreign_wake = 0 };
            if
            :: BROKEN == 6 -> foreign_parked--
            :: else
            fi
        fi
    od
}

proctype Monitor()
{
    bit found;
    byte known, count, before;
    try(found, known, count, before);
    /* all is still: nobody can move any more */
    timeout -> try(found, known, count, before);
    assert(reported)
}

init {
    atomic {
        nbusy = 1;
        nless = 1;
        run Worker();
        run Tied();
        run Foreign();
        run Monitor()
    }
}
