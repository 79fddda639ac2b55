/*
 * uring.pml - poll_uring.c: a descriptor is armed by its first wait, the poller submits, a close cancels (U1-U7, U9, U10).
 *
 * One slot of the pool, with two lives one after the other, whose descriptors have the same number. In each life a goroutine
 * waits for bytes; in a life that is late none come, and a deadline ends the wait. Then it closes. The poller looks, some
 * times, or sleeps; the kernel delivers bytes, ends a request by itself, once, and takes requests when the poller
 * enters. Somebody breaks the poller's sleep once.
 * Checked: the kernel takes a request while the number is the file's that it was written for; nothing of a life holds its file
 * once its close has ended; a slot has one request; who waits for bytes that are there is woken; a break ends a sleep.
 * Not here: the words' other reasons to wake (poll.pml), the batch limits, the thread that a completion passes through (U5).
 *
 * VARIANTS 1 2 3 4 5 6 7: BROKEN=1 who lists a pd does not wake a sleeper; 2 a close does not wait until the kernel has taken
 * the request; 3 a close does not cancel; 4 a request that the kernel ended is not made again; 5 a poll that only looks uses up
 * the break; 6 a sleeper does not look for a break first, and forgets those that a look met; 7 the sleep is announced after
 * the list's lock was dropped.
 */
#ifndef BROKEN
#define BROKEN 0
#endif
#define UNARMED 0
#define ARMING 1
#define ARMED 2
#define NIL 0
#define READY 1
#define WAIT 2
#define G 3
#define LIVES 2

byte life = 1;              /* seq */
byte file;                  /* which life's file the number means to the kernel; 0 somebody else's */
byte armed, place;
byte word;
bit there, late, woken;
bit lock, listed, sleeping;
byte written, taken;
byte sqe;                   /* the life that a written request is for; 0: none */
byte req;                   /* the life whose file a request in the kernel holds; 0: none */
byte ends = 1, looks = 2;
bit msg, pending, broken;   /* a message in the ring; break_pending; the break has ended a sleep */
chan cq = [4] of { byte, bit }; /* life, last */

inline take_lock() { atomic { lock == 0 -> lock = 1 } }
inline drop_lock() { lock = 0 }
inline post(l, last) { if :: nfull(cq) -> cq!l, last :: full(cq) -> assert(false) fi }

active proctype user()
{
    byte old;
    bit tell;
    do
    :: life > LIVES -> break
    :: else ->
        atomic {
            armed = UNARMED; word = NIL; there = 0; woken = 0;
            if :: late = 0 :: late = 1 fi;
            file = life
        }
again:
        if
        :: there -> goto shut
        :: else
        fi;
        atomic {
            if
            :: word == READY -> word = NIL; goto again
            :: else -> word = WAIT
            fi
        }
        if
        :: armed == UNARMED ->
            atomic { assert(armed == UNARMED); armed = ARMING } /* one direction: nobody else arms */
            take_lock();
            tell = sleeping;
            listed = 1;
            sleeping = 0;
            drop_lock();
            if
            :: tell && BROKEN != 1 -> msg = 1
            :: else
            fi
        :: else
        fi;
        atomic {
            if
            :: word == WAIT -> word = G
            :: else -> word = NIL; goto again
            fi
        }
        if
        :: woken -> atomic { woken = 0; word = NIL; goto again }
        :: atomic { late && word == G -> word = NIL }
        fi;
shut:
        atomic { old = armed; armed = UNARMED }
        if
        :: old == ARMED ->
            if
            :: BROKEN == 2
            :: BROKEN != 2 && taken > place /* U3 */
            fi;
            atomic {
                if
                :: req == life && BROKEN != 3 -> req = 0; post(life, 1)
                :: else
                fi
            }
        :: else
        fi;
        life++;                     /* the seq; then the descriptor */
        atomic { file = 0; assert(req == 0) } /* U5 */
    od
}

inline edge(l)
{
    atomic {
        if
        :: word == G -> assert(!woken); woken = 1; word = READY
        :: else -> word = READY
        fi
    }
}

/* ring_fill */
inline fill(sleep)
{
    take_lock();
    if
    :: listed ->
        listed = 0;
        atomic {
            if
            :: armed == ARMING -> armed = ARMED; place = written; sqe = life; written++
            :: else
            fi
        }
    :: else
    fi;
    if
    :: BROKEN == 7 -> drop_lock(); sleeping = sleep
    :: else -> sleeping = sleep; drop_lock()
    fi
}

/* The kernel takes what is written, and says what is there already. */
inline submit()
{
    atomic {
        if
        :: sqe != 0 ->
            assert(file == sqe); /* U3 */
            assert(req == 0);    /* U2 */
            req = sqe; sqe = 0; taken++;
            if
            :: there -> post(req, 0)
            :: else
            fi
        :: else
        fi
    }
}

inline take_break()
{
    atomic {
        if
        :: pending -> pending = 0; broken = 1
        :: else
        fi
    }
}

active proctype poller()
{
    byte l;
    bit last, sleeper, met;
    do
    ::
        if
        :: looks > 0 -> looks--; sleeper = 0
        :: sleeper = 1
        fi;
        if
        :: sleeper && BROKEN != 6 -> take_break()
        :: else
        fi;
        fill(sleeper);
        submit();
        if
        :: sleeper ->
end:        (len(cq) > 0 || msg)
        :: else
        fi;
        met = msg;
        msg = 0;
        do
        :: cq?l, last ->
            if
            :: l == life ->
                if
                :: last && BROKEN != 4 ->
                    atomic {
                        if
                        :: armed == ARMED -> armed = ARMING
                        :: else
                        fi
                    }
                    take_lock();
                    listed = 1;
                    drop_lock()
                :: else
                fi;
                edge(l)
            :: else
            fi
        :: empty(cq) -> break
        od;
        if
        :: met && (sleeper || BROKEN == 5) ->
            if
            :: BROKEN == 5 && !sleeper -> pending = 0
            :: else -> take_break()
            fi
        :: else
        fi;
        if
        :: sleeper -> take_lock(); sleeping = 0; drop_lock()
        :: else
        fi
    od
}

active proctype kernel()
{
    do
    :: atomic { file != 0 && !late && !there ->
            there = 1;
            if
            :: req != 0 -> post(req, 0)
            :: else
            fi
        }
    :: atomic { req != 0 && ends > 0 && len(cq) < 3 -> ends--; post(req, 1); req = 0 }
    :: atomic { life > LIVES -> break }
    od
}

active proctype breaker()
{
    atomic { assert(!pending); pending = 1 }
    msg = 1;
    broken
}
