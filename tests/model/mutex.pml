/*
 * mutex.pml - the mutex's slow path: src/sync/mutex.c, MX1 to MX4 and the last touch.
 *
 * Three goroutines lock and unlock, one of them twice; each may spin or not, may come by try_lock, and a sleeper that lost
 * again may have waited 1 ms or not (starving mode). Who is the last to need the mutex frees it as soon as its own unlock
 * has returned, as a program may whose count of users lies under the mutex.
 * Memory: mutex.h.
 * Checked: one holder at a time; MX1; WOKEN has one owner; nobody touches the mutex when it is freed; nobody is left
 * asleep; at the end the word is 0, or MET alone, and the line empty.
 *
 * VARIANTS 1 2 3 4 5 6 7 21 22 23 24 25: BROKEN=1 an unlock readies the sleeper before it lets go; 2 a sleeper gets in line although the mutex is free; 3 a
 * woken goroutine that gets in line again leaves WOKEN set; 4 the hand-over lets go of LOCKED; 5 an unlock that met a spinner's
 * WOKEN lets go without seeing that it is still there; 6 the hand-over says so after the waiter was made ready;
 * 7 an unlock looks at the line once more after it has let go; 21 who puts MET ends no unlock; 22 it makes a barrier only;
 * 23 it does not look again; 24 it does so without the line's lock; 25 sleepers get in line without MET.
 */
#ifndef BROKEN
#define BROKEN 0
#endif
#define N 3
#include "mutex.h"

byte inside, users = N + 1, ended;

inline section()
{
    atomic { inside++; assert(inside == 1) };
    atomic { inside--; users--; last = (users == 0) }
}

proctype G(byte me; byte rounds)
{
    byte s, to, w;
    bit woken, first, starve, cut, again, last;

    do
    :: rounds == 0 -> break
    :: else ->
        if
        :: mutex_lock()
        :: me == 2 ->                       /* weft_mutex_try_lock, then lock */
            atomic { TOUCH; s = st };
            if
            :: !(s & L) ->
                atomic {
                    !inbuf[me];
                    TOUCH;
                    if
                    :: st == s -> st = s | L; cut = 1
                    :: else
                    fi
                }
            :: else
            fi;
            if
            :: cut -> cut = 0
            :: else -> mutex_lock()
            fi
        fi;
        section();
        mutex_unlock();
        if
        :: last -> !inbuf[me]; freed = 1   /* the memory goes to others by way of a locked instruction or in order */
        :: else
        fi;
        rounds--
    od;
    ended++
}

init
{
    atomic { run G(0, 2); run G(1, 1); run G(2, 1) };
    ended == N;
    assert((st & ~MET) == 0 && n == 0 && wk_owner == NONE)
}
