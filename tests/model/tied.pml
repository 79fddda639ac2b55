/*
 * tied.pml - sleeping on a futex: worker.c weft__park_tied/ready_tied (G2), idle.c idle_sleep/weft__wake_m (W1, I3).
 *
 * A tied goroutine parks ROUNDS times; each time a waker takes its waiter and wakes it. Beside it a worker sleeps with a
 * timeout on the idle list while a waker takes it off the list and gives it a processor.
 * futex_wait compares the word and sleeps in one step against futex_wake; before the comparison the kernel counts the
 * waiter with a full barrier, and futex_wake begins with one. Spurious returns (EINTR) are allowed. Stores to the words
 * go through store buffers (tso.h): threads 0 waker, 1 sleeper.
 * Checked: each park ends once, with what the waker wrote before visible; no wake-up is lost; a processor that was
 * given is not forgotten when the timeout comes at the same time.
 *
 * VARIANTS 1 2 3 4 5: BROKEN=1 wait does not compare the word; 2 the word is cleared before the wait instead of taken by exchange
 * after it; 3 the waker wakes before it sets the word; 4 a sleeper that timed out does not ask whether it is on the list;
 * 5 the waker's data is written after the word.
 */
#ifndef BROKEN
#define BROKEN 0
#endif
#define NTHR 2
#define NVAR 2
#define BUF 2
#include "tso.h"
#define WAKE 0
#define DATA 1
#define ROUNDS 3

byte published;            /* the waiter in the object, under its lock */
bit asleep;                /* in the kernel */
byte rounds;

/* FUTEX_WAKE */
inline futex_wake(t) { atomic { LOCKED(t) -> asleep = 0 } }

proctype Parker()
{
    byte i, got;
    for (i : 1 .. ROUNDS) {
        published = i;                          /* under the object's lock */
        if
        :: BROKEN == 2 -> atomic { LOCKED(1) -> mem[WAKE] = 0 }
        :: else
        fi;
        do
        :: BROKEN != 2 ->
            atomic { LOCKED(1) -> got = mem[WAKE]; mem[WAKE] = 0 };
            if
            :: got != 0 -> break
            :: else
            fi;
            atomic { LOCKED(1); asleep = (mem[WAKE] == 0 || BROKEN == 1) };
            if
            :: !asleep
            :: asleep && i == 1 -> asleep = 0       /* EINTR: bounded to the first round */
            fi
        :: BROKEN == 2 ->
            if
            :: LD(1, WAKE) != 0 -> break
            :: LD(1, WAKE) == 0
            fi;
            atomic { LOCKED(1); asleep = (mem[WAKE] == 0) };
            !asleep
        od;
        assert(LD(1, DATA) == i);
        rounds++
    }
}

proctype Waker()
{
    byte i;
    for (i : 1 .. ROUNDS) {
        published == i;                         /* takes the waiter, drops the lock */
        if
        :: BROKEN == 3 -> ST(0, DATA, i); futex_wake(0); ST(0, WAKE, 1)
        :: BROKEN == 5 -> ST(0, WAKE, 1); ST(0, DATA, i); futex_wake(0)
        :: else -> ST(0, DATA, i); ST(0, WAKE, 1); futex_wake(0)
        fi
    }
}

/* ---- idle_sleep with a timeout ---- */
bit lock, listed, hasp, wword, asleep2;
byte nidle = 1;
bit slept;

proctype Sleeper()
{
    bit timed_out, got;
    byte i;
    for (i : 1 .. 2) {
        timed_out = 0;
        atomic { lock == 0 -> lock = 1 };
        listed = 1;
        lock = 0;
        do
        :: timed_out -> break
        :: else ->
            atomic { got = wword; wword = 0 };
            if
            :: got -> assert(hasp && !listed); break
            :: else
            fi;
            atomic { asleep2 = (wword == 0) };
            if
            :: !asleep2
            :: asleep2 = 0;                         /* ETIMEDOUT */
                atomic { lock == 0 -> lock = 1 };
                if
                :: BROKEN == 4 -> timed_out = 1
                :: else -> timed_out = listed       /* idle_remove_m */
                fi;
                listed = 0;
                lock = 0
            fi
        od;
        if
        :: timed_out ->                             /* idle_retake */
            atomic { lock == 0 -> lock = 1 };
            if
            :: nidle > 0 -> nidle--; assert(!hasp); hasp = 1
            :: else
            fi;
            lock = 0
        :: else
        fi;
        if
        :: i == 1 && hasp ->                        /* nothing to do: gives it back, and sleeps once more */
            atomic { lock == 0 -> lock = 1 };
            hasp = 0;
            nidle++;
            lock = 0
        :: else
        fi
    }
    slept = 1
}

/* weft__wake_worker: takes the processor; gives it to the sleeper, or puts it back */
proctype Giver()
{
    bit give;
    atomic { lock == 0 -> lock = 1 };
    if
    :: nidle > 0 && listed -> nidle--; listed = 0; hasp = 1; give = 1
    :: else
    fi;
    lock = 0;
    if
    :: give -> wword = 1; asleep2 = 0
    :: else
    fi
}

init
{
    atomic { run Parker(); run Waker(); run Flusher(0); run Flusher(1) }
    rounds == ROUNDS;
    atomic { run Sleeper(); run Giver() }
    slept;
    assert(hasp + nidle == 1)
}
