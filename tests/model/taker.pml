/*
 * taker.pml - a taker queued in place of its goroutine: chan.c weft__chan_send, ready.c, taker.c, runq.c Q3, worker.c; Q4, Q5, S1, G1.
 *
 * Two threads with a processor each run three goroutines. Each receives on a channel of its own, or sends to who waits, who may
 * still be on its CPU. A foreign thread sends too, and the monitor spills a queue's first into the global one, and takes a
 * thread's processor away until that thread has left its goroutine. A dump claims everybody and keeps the claims. A queue is used inside a section
 * or by a claimer outside of one (claim.pml), so an operation on it is one step; whether who comes out of it is on its CPU is
 * read in the same one, for that changes to "no" only.
 * The next slot is not here: it is one more place of the queue, used by the same threads under the same rules (own/claim). Who comes
 * out of it is looked at by the same step (weft__deliver_or_put) and goes to the queue's end if on its CPU, so from then on it is
 * what is modelled (test taker.who_was_next_and_is_on_its_cpu_goes_to_the_end). That thefts leave it alone takes steps away.
 * Checked: no stack is run by two, or before it is saved; nobody is queued twice; each goroutine ends, but for a dump; and a
 * dump gets its claims: nobody waits in a section for a thread that it has stopped (Q4).
 * Memory: sequentially consistent, as in park.pml: the words are under locks, in a section, or on_cpu.
 *
 * VARIANTS 1 2 3 4 5: BROKEN=1 who takes from the queue does not look at on_cpu; 2 a sender takes the waiter without the lock;
 * 3 who takes one that is on its CPU waits for it in the section; 4 or goes to sleep, as if the queue were empty; 5 who takes
 * from the global queue does not look at on_cpu.
 */
#ifndef BROKEN
#define BROKEN 0
#endif
#ifndef STEPS
#define STEPS 2         /* operations of each goroutine */
#endif
#define G 3
#define NONE 9

chan ring[2] = [G] of { byte };
chan global = [G] of { byte };
bit has[2];             /* the thread has its processor */
bit asleep[2];          /* its processor is on the idle list, by mistake (4) */
bit inside[2], held[2];
bit on_cpu[G], queued[G], waits[G];
byte pc[G];
byte ended;
bit frozen;

#define OUTSIDE(t) (!inside[t] && !held[t])
#define CLAIMABLE(t) (has[t] && OUTSIDE(t) && !asleep[t])
#define RUNS(t) (has[t] && !held[t] && !asleep[t])

/* weft__ready_with where the sender has its processor and nobody holds it; within a step. */
inline hand(w, x)
{
    assert(!queued[x]);
    queued[x] = 1;
    ring[w]!x
}

/* A send to x, who waits: without a processor it is an ordinary ready, which waits outside of sections. */
inline send(w, x)
{
    if
    :: atomic { BROKEN != 2 && waits[x] && has[w] && !held[w] -> waits[x] = 0; hand(w, x) }
    :: BROKEN == 2 && waits[x] && has[w] && !held[w] -> waits[x] = 0; atomic { hand(w, x) }
    :: atomic { waits[x] && !has[w] && on_cpu[x] == 0 -> waits[x] = 0; assert(!queued[x]); queued[x] = 1; global!x }
    fi
}

/* weft__runq_pop, within a step: n; or NONE, and the taker is the queue's last now. */
inline pop(w, n)
{
    inside[w] = 1;
    ring[w]?n;
    if
    :: BROKEN != 1 && BROKEN != 3 && on_cpu[n] -> ring[w]!n; n = NONE; asleep[w] = (BROKEN == 4)
    :: else
    fi
}

proctype worker(byte w)
{
    byte g = NONE, n = NONE;

    do
    :: g == NONE && n == NONE -> /* the scheduler's stack */
        inside[w] = 0;
        if
        :: ended == G || frozen -> break
        :: atomic { RUNS(w) && nempty(ring[w]) -> pop(w, n) }
        :: atomic { RUNS(w) && nempty(global) -> inside[w] = 1; global?n;
            if
            :: BROKEN != 1 && BROKEN != 3 && BROKEN != 5 && on_cpu[n] -> ring[w]!n; n = NONE
            :: else
            fi }
        :: atomic { RUNS(w) && empty(ring[w]) && nempty(ring[1 - w]) && CLAIMABLE(1 - w) ->
            ring[1 - w]?n; ring[w]!n; n = NONE } /* the theft */
        :: atomic { !has[w] && !frozen -> has[w] = 1 }
        fi
    :: n != NONE && g == NONE -> /* the switch */
        if
        :: BROKEN == 3 -> on_cpu[n] == 0
        :: BROKEN != 3
        fi;
        atomic { assert(!on_cpu[n]); queued[n] = 0; g = n; n = NONE; on_cpu[g] = 1; inside[w] = 0 }
    :: g != NONE && n == NONE ->
        if
        :: held[w] || frozen -> break /* or it goes on until it is held */
        :: atomic { pc[g] == STEPS && !held[w] -> on_cpu[g] = 0; ended++; g = NONE }
        :: pc[g] < STEPS && waits[0] && g != 0 -> pc[g]++; if :: send(w, 0) :: !waits[0] || held[w] fi
        :: pc[g] < STEPS && waits[1] && g != 1 -> pc[g]++; if :: send(w, 1) :: !waits[1] || held[w] fi
        :: pc[g] < STEPS && waits[2] && g != 2 -> pc[g]++; if :: send(w, 2) :: !waits[2] || held[w] fi
        :: atomic { pc[g] < STEPS -> pc[g]++; waits[g] = 1 }; /* a receive */
            if
            :: held[w] -> break /* for ever on its way */
            :: atomic { RUNS(w) && nempty(ring[w]) -> pop(w, n) }
            :: atomic { !held[w] && (!has[w] || empty(ring[w])) -> inside[w] = 1 }
            fi;
            if
            :: BROKEN == 3 && n != NONE -> on_cpu[n] == 0
            :: else
            fi;
            atomic { on_cpu[g] = 0; g = NONE }
        fi
    od
}

/* A thread of the program's own sends to whoever waits, the ordinary way: one step, for park.pml has its parts. */
proctype foreign()
{
    do
    :: ended == G || frozen -> break
    :: atomic { waits[0] && on_cpu[0] == 0 -> waits[0] = 0; assert(!queued[0]); queued[0] = 1; global!0 }
    :: atomic { waits[1] && on_cpu[1] == 0 -> waits[1] = 0; assert(!queued[1]); queued[1] = 1; global!1 }
    :: atomic { waits[2] && on_cpu[2] == 0 -> waits[2] = 0; assert(!queued[2]); queued[2] = 1; global!2 }
    od
}

/* Once each, by claims: a spill of one, and a processor taken away. */
proctype monitor()
{
    byte x;

    if
    :: atomic { CLAIMABLE(0) && nempty(ring[0]) -> ring[0]?x; global!x; x = 0 }
    :: atomic { CLAIMABLE(1) && nempty(ring[1]) -> ring[1]?x; global!x; x = 0 }
    :: ended == G || frozen
    fi;
    if
    :: atomic { CLAIMABLE(0) -> has[0] = 0 }
    :: ended == G || frozen
    fi
}

/* At any time, or never. */
proctype dump()
{
    if
    :: frozen = 1;
        atomic { !inside[0] -> held[0] = 1 };
        atomic { !inside[1] -> held[1] = 1 }
    :: true
    fi
}

init
{
    atomic {
        has[0] = 1; has[1] = 1;
        queued[0] = 1; queued[1] = 1; queued[2] = 1;
        ring[0]!0; ring[1]!1; ring[0]!2;
        run worker(0); run worker(1); run foreign(); run monitor(); run dump()
    }
}
