/*
 * cond.pml - wait, signal and broadcast: src/sync/cond.c (CO1 to CO3) and what it asks of mutex.c (weft__mutex_move).
 *
 * Two goroutines wait, each for something of its own, which they take under the mutex; a third puts it there and signals, twice,
 * or broadcasts once; under the mutex or after it. The mutex is mutex.pml's.
 * Memory: mutex.h. tickets is a locked instruction before the unlock, served changes under the cond's lock.
 * Checked: what mutex.pml checks; CO1; no waiter sleeps through what is there for it (nobody is left asleep); at the end all
 * lines are empty.
 *
 * VARIANTS 11 12 13 14 15 26: BROKEN=11 a wait takes its ticket after the unlock; 12 a waiter that was served before it came to the line parks all
 * the same; 13 a broadcast moves waiters to the line of a mutex that is not locked; 14 a waiter that was moved takes the
 * mutex as a newcomer does; 15 a broadcast moves them without saying so in the mutex's word; 26 it says so without MET.
 */
#ifndef BROKEN
#define BROKEN 0
#endif
#define N 3
#include "mutex.h"

byte inside, ended, things;
byte tickets, served;
bit clk;                /* the cond's line */
byte cln[N], cn;
byte ticket_of[N];

proctype Waiter(byte me)
{
    byte s, to, w, t;
    bit woken, first, starve, cut, again, park, busy, have;

    do
    :: have -> break
    :: else ->
        /* the lock at the start, and the one that ends a weft_cond_wait */
        busy = 0;
        if
        :: moved[me] && BROKEN != 14 ->                                     /* weft__mutex_lock_moved */
            moved[me] = 0;
            if
            :: given[me] -> given[me] = 0
            :: else -> woken = 1; busy = 1
            fi
        :: else ->
            atomic { !inbuf[me] -> TOUCH; s = st; st = st | L; busy = s & L }
        fi;
        if
        :: busy -> compete()
        :: else
        fi;
        atomic { inside++; assert(inside == 1) };
        if
        :: things > 0 -> things--; have = 1
        :: else ->
            if
            :: BROKEN != 11 -> atomic { t = tickets; tickets++ }            /* CO3 */
            :: BROKEN == 11
            fi
        fi;
        inside--;
        mutex_unlock();
        if
        :: have
        :: !have ->
            if
            :: BROKEN == 11 -> atomic { t = tickets; tickets++ }
            :: else
            fi;
            atomic { clk == 0 -> clk = 1 };
            if
            :: t < served && BROKEN != 12 -> clk = 0                        /* CO2 */
            :: else -> atomic { ticket_of[me] = t; cln[cn] = me; cn++; clk = 0; park = 1 }
            fi;
            if
            :: park -> atomic { rdy[me] -> rdy[me] = 0; park = 0 }
            :: else
            fi;
            t = 0
        fi
    od;
    ended++
}

/* the lowest ticket not served, if its owner is in line */
inline signal()
{
    atomic { t = tickets; to = served };
    if
    :: t == to
    :: else ->
        atomic { clk == 0 -> clk = 1 };
        if
        :: tickets != served ->
            d_step {
                t = served;
                served++;
                w = 0;
                do
                :: w < cn && ticket_of[cln[w]] != t -> w++
                :: else -> break
                od;
                if
                :: w == cn -> t = NONE
                :: else ->
                    t = cln[w];
                    do
                    :: w + 1 < cn -> cln[w] = cln[w + 1]; w++
                    :: else -> break
                    od;
                    cn--
                fi;
                w = 0
            }
        :: else -> t = NONE
        fi;
        assert(served <= tickets);                                          /* CO1 */
        clk = 0;
        if
        :: t != NONE -> rdy[t] = 1
        :: else
        fi
    fi;
    to = 0;
    t = 0
}

/* weft__mutex_move of all[0 .. k-1]: cut says that it did */
inline move()
{
    d_step {
        i = 0;
        do
        :: i < k -> moved[all[i]] = 1; i++
        :: else -> break
        od
    };
    line_lock();
    atomic { TOUCH; s = st };
    cut = 0;
    do
    :: ((s & L) || BROKEN == 13) && !(s & MET) && BROKEN != 26 -> meet()
    :: ((s & L) || BROKEN == 13) && ((s & MET) || BROKEN == 26) ->
        atomic {
            TOUCH;
            if
            :: st == s ->
                cut = 1;
                if
                :: BROKEN != 15 -> st = st | SL
                :: else
                fi
            :: else -> s = st
            fi
        };
        if
        :: cut -> break
        :: else
        fi
    :: else -> break
    od;
    if
    :: cut ->
        d_step {
            i = 0;
            do
            :: i < k -> ln[n] = all[i]; n++; i++
            :: else -> break
            od
        }
    :: else
    fi;
    if
    :: BROKEN != 15 -> line_unlock()
    :: BROKEN == 15 -> lk = 0          /* without MX1's check: what comes of it shall be seen */
    fi;
    if
    :: !cut ->
        d_step {
            i = 0;
            do
            :: i < k -> moved[all[i]] = 0; i++
            :: else -> break
            od
        }
    :: else
    fi
}

inline broadcast()
{
    atomic { t = tickets; to = served };
    if
    :: t == to
    :: else ->
        atomic { clk == 0 -> clk = 1 };
        d_step {
            k = 0;
            do
            :: k < cn -> all[k] = cln[k]; k++
            :: else -> break
            od;
            cn = 0;
            served = tickets
        };
        clk = 0;
        if
        :: k > 0 ->
            move();
            i = 0;
            do
            :: !cut && i < k -> t = all[i]; i++; rdy[t] = 1
            :: else -> break
            od
        :: else
        fi
    fi;
    to = 0; t = 0; k = 0; i = 0; s = 0; cut = 0
}

proctype Giver(byte me)
{
    byte s, to, w, t, i, k, left;
    byte all[N];
    bit woken, first, starve, cut, again, each, under, tell;

    if
    :: each = 1; left = 2           /* two signals, or a broadcast; under the mutex or after it */
    :: left = 1
    fi;
    if
    :: under = 1
    :: skip
    fi;
    do
    :: left == 0 -> break
    :: else ->
        mutex_lock();
        atomic { inside++; assert(inside == 1) };
        things = things + (each -> 1 : 2);
        tell = under;                   /* what comes first */
        do
        :: !tell ->
            inside--;
            mutex_unlock();
            if
            :: under -> break
            :: else -> tell = 1
            fi
        :: tell ->
            if
            :: each -> signal()
            :: else -> broadcast()
            fi;
            if
            :: under -> tell = 0
            :: else -> break
            fi
        od;
        tell = 0;
        left--
    od;
    ended++
}

init
{
    atomic { run Waiter(0); run Waiter(1); run Giver(2) };
    ended == N && !inbuf[0] && !inbuf[1] && !inbuf[2];
    assert((st & ~MET) == 0 && n == 0 && cn == 0 && wk_owner == NONE)
}
