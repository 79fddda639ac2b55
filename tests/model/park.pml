/*
 * park.pml - parking: worker.c weft__park, weft__ready, weft_yield; sched.h S1-S5, G1, W1, W3.
 *
 * Two workers with a processor each run two goroutines that take from and give to a semaphore; a foreign thread gives too.
 * A queue is only used by its worker inside a section, or by a claimer outside of one (claim.pml proves that); so here a
 * queue operation is one step and a thief waits until its owner is outside.
 * Checked: no stack is run twice or before it is saved; nobody is queued twice; all goroutines end (no lost wake-up).
 * Memory: sequentially consistent. The only cross-thread words are under locks or on_cpu, which is stored after the
 * saved stack pointer by the same thread: x86 keeps that order, and ready's load is an acquire (G1).
 *
 * VARIANTS 1 2 3 4 5 6: BROKEN=1 ready does not wait for on_cpu; 2 the switch clears on_cpu before it has saved the stack; 3 the waker takes
 * the waiter without the lock; 4 the goroutine parks although a token came between its look and its publishing;
 * 5 a yielding goroutine is queued outside of the section; 6 a yield ends its section before the switch.
 */
#ifndef BROKEN
#define BROKEN 0
#endif
#define G 2             /* goroutines, on workers 0 and 1 */
#define STEPS 3         /* operations of each */

#define GLOBAL 2
chan runq[3] = [3] of { byte };   /* of the two processors, and the global one (under its lock: one step) */
bit inside[2];         /* a thread is in the section that touches its queue */
bit on_cpu[G], saved[G], running[G], queued[G];
byte pc[G];
byte ended;

bit lock;
byte tokens;
chan line = [G] of { byte };


inline acquire() { atomic { lock == 0 -> lock = 1 } };
inline release() { lock = 0 }

/* push to the own queue of processor q */
inline push(q, g) { atomic { assert(!queued[g]); queued[g] = 1; runq[q]!g } };

/* weft__ready: q is the waker's queue */
inline ready(q, g)
{
    if
    :: BROKEN != 1 -> on_cpu[g] == 0
    :: BROKEN == 1
    fi;
    if
    :: q != GLOBAL -> atomic { inside[q] == 0 -> inside[q] = 1 }; push(q, g); inside[q] = 0
    :: q == GLOBAL -> push(q, g)
    fi
}

/* V: hand the token to the oldest waiter, or keep it */
inline give(q, w)
{
    if
    :: BROKEN != 3 -> acquire()
    :: BROKEN == 3
    fi;
    if
    :: nempty(line) -> line?<w>; line?_
    :: empty(line) -> tokens++; w = 255
    fi;
    if
    :: BROKEN != 3 -> release()
    :: BROKEN == 3
    fi;
    if
    :: w != 255 -> ready(q, w)
    :: else
    fi
}

/* switch.S, from goroutine g: save the stack pointer, then on_cpu = 0 */
inline leave_stack(g)
{
    if
    :: BROKEN != 2 -> running[g] = 0; saved[g] = 1; on_cpu[g] = 0
    :: BROKEN == 2 -> on_cpu[g] = 0; running[g] = 0; saved[g] = 1
    fi
}

proctype Worker(byte me)
{
    byte g = 255, next, w;
    bit parked;
again:
    /* scheduler's stack: inside the section (W2), find something to run: own queue, else steal */
    if
    :: atomic { nempty(runq[me]) -> runq[me]?g; queued[g] = 0 };
    :: atomic { empty(runq[me]) && nempty(runq[1 - me]) && inside[1 - me] == 0 -> runq[1 - me]?g; queued[g] = 0 };
    :: atomic { empty(runq[me]) && nempty(runq[GLOBAL]) -> runq[GLOBAL]?g; queued[g] = 0 };
    :: ended == G -> goto done
    fi;
resume:
    atomic { assert(saved[g]); assert(!running[g]); assert(!on_cpu[g]); on_cpu[g] = 1; running[g] = 1; saved[g] = 0 };
    inside[me] = 0;                             /* worker_arrived: the section ends (W1) */
    do
    :: pc[g] >= STEPS ->                    /* the end */
        atomic { inside[me] == 0 -> inside[me] = 1 };
        atomic { running[g] = 0; on_cpu[g] = 0; ended++; g = 255 };
        goto again
    :: pc[g] < STEPS ->
        pc[g]++;
        parked = 0;
        if
        :: pc[g] == 3 || (g == 0 && pc[g] == 1) ->   /* P */
            acquire();
            if
            :: tokens > 0 -> tokens--; release()
            :: tokens == 0 ->
                if
                :: BROKEN == 4 -> release(); acquire()
                :: else
                fi;
                line!g;
                release();
                parked = 1
            fi
        :: pc[g] == 2 ->                    /* yield: queue itself inside the section, then switch */
            if
            :: BROKEN != 5 -> atomic { inside[me] == 0 -> inside[me] = 1 };
            :: BROKEN == 5
            fi;
            if
            :: nempty(runq[me]) ->
                atomic { runq[me]?next; queued[next] = 0 };
                push(me, g);
                if
                :: BROKEN == 6 -> inside[me] = 0
                :: else
                fi;
                leave_stack(g);
                g = next;
                goto resume
            :: empty(runq[me]) ->           /* alone, or by way of the scheduler's stack (m->requeue) */
                if
                :: inside[me] = 0
                :: leave_stack(g); push(me, g); atomic { inside[me] = 1; g = 255 }; goto again
                fi
            fi
        :: g == 1 && pc[g] == 1 -> give(me, w)   /* V */
        fi;
        if
        :: parked ->
            /* weft__park: enter, pick the next of the own queue, switch to it or to the scheduler */
            atomic { inside[me] == 0 -> inside[me] = 1 };
            if
            :: atomic { nempty(runq[me]) -> runq[me]?next; queued[next] = 0 };
                leave_stack(g);
                g = next;
                goto resume
            :: empty(runq[me]) -> leave_stack(g); g = 255; goto again
            fi
        :: else
        fi
    od;
done:
    skip
}

/* gives the tokens that the goroutines do not give each other */
proctype Foreign()
{
    byte w, i;
    for (i : 1 .. 2) {
        give(GLOBAL, w)
    }
}

init
{
    atomic {
        saved[0] = 1; saved[1] = 1;
        queued[0] = 1; queued[1] = 1;
        runq[0]!0; runq[0]!1;
        inside[0] = 1; inside[1] = 1;
        run Worker(0); run Worker(1); run Foreign()
    }
}
