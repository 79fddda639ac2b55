/*
 * select.pml - a select that waits on two channels with a timeout: chan_int.h (claims), select.c (X1-X3, K3).
 *
 * One goroutine selects: receive from A, receive from B, timeout. A sender sends on A, another on B, a third party closes
 * B after that, and the timer fires at any time. Channels are unbuffered; each has a lock and two lines. A line holds
 * at most the selecting goroutine's waiter (receive) and one sender's (send).
 * Memory: sequentially consistent; all is under locks but `fired`, which only changes by CAS (one step).
 * Checked: the select ends exactly once, with one outcome; exactly one ready ends its park; a value that was sent is
 * received once or its sender is still in line; the frame is not touched after it was left; nobody waits for ever that
 * should not.
 *
 * VARIANTS 1 2 3 4 5 6 7: BROKEN=1 a sender takes the waiter without a claim; 2 the timer's callback does not claim; 3 the owner leaves
 * without taking its waiters out; 4 the owner does not wait for the callback (K3); 5 the owner tries its cases beside
 * a running timer without TRYING; 6 close readies a waiter that was claimed elsewhere; 7 the owner queues after it has
 * dropped the locks.
 */
#ifndef BROKEN
#define BROKEN 0
#endif
#define A 0
#define B 1
#define NONE 0             /* fired: 0, 1 + case */
#define CASE_A 1
#define CASE_B 2
#define CASE_TIME 3
#define TRYING 4
#define TRYING_LATE 5

bit lock[2], closed[2];
bit recvq[2];              /* the select's waiter is in line */
bit sendq[2];              /* a plain sender is in line */
byte fired;
bit frame;                 /* ghost: the select's frame is alive */
byte readies;              /* readies of the selecting goroutine not yet used up by a park */
byte outcome;              /* ghost: the case that the select returned, 4: B closed */
bit got_value[2];          /* ghost: a value was copied to the waiter or taken from a sender */
bit sent[2];               /* ghost: the sender's operation has completed */
bit panicked;              /* the sender on B met a close */
bit timer_on, timer_done;
bit ready_sender[2];

inline take(c) { atomic { !lock[c] -> lock[c] = 1 } }
inline drop(c) { lock[c] = 0 }

/* weft__select_claim: one CAS */
inline claim(k, won)
{
    atomic {
        assert(frame);
        if
        :: fired == NONE -> fired = k; won = 1
        :: fired != NONE -> won = (BROKEN == 1 && k != CASE_TIME)
        fi
    }
}

/* a plain send on c: weft__chan_send */
proctype Sender(byte c)
{
    bit won, wake, done;
    take(c);
    if
    :: closed[c] -> panicked = 1; done = 1
    :: else
    fi;
    if
    :: !done && recvq[c] ->                 /* weft__waitq_take: out of the line, then the claim */
        recvq[c] = 0;
        claim(c + 1, won);
        if
        :: won -> assert(frame && !got_value[c]); got_value[c] = 1; sent[c] = 1; wake = 1; done = 1
        :: else
        fi
    :: else
    fi;
    if
    :: !done -> sendq[c] = 1
    :: else
    fi;
    drop(c);
    if
    :: wake -> readies++
    :: else
    fi;
    if
    :: !done ->                             /* parked; ready by a receiver or by close */
end_parked:
        ready_sender[c]
    :: else
    fi
}

/* weft_close(B) */
proctype Closer()
{
    bit won, wake;
    take(B);
    closed[B] = 1;
    if
    :: recvq[B] ->
        recvq[B] = 0;
        if
        :: BROKEN == 6 -> won = 1
        :: else -> claim(CASE_B, won)
        fi;
        if
        :: won -> wake = 1
        :: else
        fi
    :: else
    fi;
    if
    :: sendq[B] -> sendq[B] = 0; panicked = 1; ready_sender[B] = 1
    :: else
    fi;
    drop(B);
    if
    :: wake -> readies++
    :: else
    fi
}

/* select_fire, once the timer is out of the heap */
proctype Timer()
{
    byte now;
    bit taken;
end_off:
    atomic { timer_on -> timer_on = 0 };    /* timer_remove under the heap's lock: stop answers false from here */
    if
    :: BROKEN == 2 -> now = NONE; fired = CASE_TIME
    :: else ->
        atomic {
            assert(frame);
            now = fired;
            if
            :: now == NONE -> fired = CASE_TIME
            :: now == TRYING -> fired = TRYING_LATE
            :: else
            fi
        }
    fi;
    assert(frame);
    timer_done = 1;
    if
    :: now == NONE -> readies++
    :: else
    fi
}

/* a case that is ready under both locks: take from the sender, or closed */
inline try_locked(done)
{
    if
    :: sendq[A] -> sendq[A] = 0; got_value[A] = 1; sent[A] = 1; ready_sender[A] = 1; outcome = CASE_A; done = 1
    :: sendq[B] -> sendq[B] = 0; got_value[B] = 1; sent[B] = 1; ready_sender[B] = 1; outcome = CASE_B; done = 1
    :: !sendq[B] && closed[B] -> outcome = 4; done = 1
    :: !sendq[A] && !sendq[B] && !closed[B]
    fi
}

proctype Owner()
{
    bit done, late, was_on;
    frame = 1;
    timer_on = 1;                           /* select_timer_begin */
    take(A);
    take(B);
    /* select_try_timed */
    if
    :: (sendq[A] || sendq[B] || closed[B]) && BROKEN != 5 ->
        atomic {
            if
            :: fired == NONE -> fired = TRYING
            :: else -> goto no_try
            fi
        };
        try_locked(done);
        if
        :: !done ->
            atomic {
                if
                :: fired == TRYING -> fired = NONE
                :: else -> late = 1
                fi
            }
        :: else
        fi
    :: BROKEN == 5 -> try_locked(done)
    :: !sendq[A] && !sendq[B] && !closed[B] && BROKEN != 5
    fi;
no_try:
    if
    :: done || late -> drop(B); drop(A)
    :: else ->
        if
        :: BROKEN != 7 ->
            recvq[A] = 1; recvq[B] = 1;
            assert(fired != NONE || (!sendq[A] && !sendq[B] && !closed[B]));    /* X1 */
            drop(B); drop(A)
        :: BROKEN == 7 ->
            drop(B); drop(A);
            recvq[A] = 1; recvq[B] = 1;
            assert(fired != NONE || (!sendq[A] && !sendq[B] && !closed[B]))
        fi;
        atomic { readies > 0 -> readies-- };       /* weft__park */
        outcome = fired;
        /* select_leave: the locks of the channels that did not win */
        if
        :: BROKEN == 3
        :: else ->
            if
            :: outcome != CASE_A -> take(A); recvq[A] = 0; drop(A)
            :: else
            fi;
            if
            :: outcome != CASE_B -> take(B); recvq[B] = 0; drop(B)
            :: else
            fi
        fi;
        if
        :: outcome == CASE_B && closed[B] && !got_value[B] -> outcome = 4
        :: else
        fi
    fi;
    /* select_timer_end */
    atomic { was_on = timer_on; timer_on = 0 };
    if
    :: !was_on && BROKEN != 4 -> timer_done
    :: else
    fi;
    if
    :: late -> outcome = CASE_TIME
    :: else
    fi;
    frame = 0
}

init
{
    atomic { run Owner(); run Sender(A); run Sender(B); run Closer(); run Timer() }
    /* when nothing moves any more */
    timeout ->
    assert(!frame && outcome != 0 && readies == 0);
    assert(outcome >= CASE_A && outcome <= 4);
    assert(got_value[A] == (outcome == CASE_A) && got_value[B] == (outcome == CASE_B));
    assert(sent[A] == got_value[A] && sent[B] == got_value[B]);
    assert(sent[A] || sendq[A]);                         /* its sender is still in line */
    assert(sent[B] + panicked == 1)
}
