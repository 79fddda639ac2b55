/*
 * due.pml - a queue's head and tail while those whose time has come go to its front: runq.c weft__runq_due_first.
 *
 * The owner takes, queues, and moves entries to the front, which writes head and tail, in this order or, as others may see
 * it, in the other one. A worker that goes to sleep reads the two words once each, in any order and with anything between
 * (idle.c idle_work_left): the result may be too large or too small, but it must not be 0 while an entry that was there
 * before it began to look is still there at the end, for nobody would come for that one (I1). Who queues later sees the sleeper.
 *
 * VARIANTS 1 2: BROKEN=1 also where nothing waited before those that are moved; 2 all entries leave the queue for a moment.
 */
#ifndef BROKEN
#define BROKEN 0
#endif
#define STEPS 6
#define MID 32             /* so that head may go back */

byte head = MID, tail = MID;
byte ids = 0;              /* entries queued so far; each has a number */
byte at[8];                /* place of entry i while it waits, 0: it does not */
bool looking, looked;
byte was;                  /* bit i: entry i waited when the look began, and has not been taken since */

inline push()
{
    d_step { at[ids] = tail; tail++; ids++ }
}

inline pop()
{
    d_step {
        k = 0;
        do
        :: k < 8 ->
            if
            :: at[k] == head -> at[k] = 0; was = was & ~(1 << k)
            :: else
            fi;
            k++
        :: else -> break
        od;
        k = 0;
        head++
    }
}

/* one more was queued by a timer behind those that waited: to the front */
inline jump()
{
    d_step { k = ids; at[ids] = tail; tail++; ids++ }
    if
    :: BROKEN == 2 -> d_step { h = head; t = tail; tail = head } head = h - 1; tail = t - 1
    :: else ->
        if
        :: head--; tail--
        :: tail--; head--
        fi
    fi;
    d_step { at[k] = head; k = 0; h = 0; t = 0 }
}

active proctype owner()
{
    byte k = 0, h = 0, t = 0, step = 0;

    push();
    do
    :: step < STEPS ->
        step++;
        if
        :: ids < 7 -> push()
        :: tail != head -> pop()
        :: ids < 7 && (tail != head || BROKEN == 1) -> jump()
        fi
    :: else -> break
    od
}

active proctype sleeper()
{
    byte h, t, i = 0;

    d_step {
        do
        :: i < 8 ->
            if
            :: at[i] != 0 -> was = was | (1 << i)
            :: else
            fi;
            i++
        :: else -> break
        od;
        i = 0
    }
    if
    :: h = head; t = tail
    :: t = tail; h = head
    fi;
    assert(t != h || was == 0)
}
