/*
 * poll.pml - one direction of a poll descriptor: poll/poll.c's word, its flags and its lazy deadline timer, W1, W2, P1, P2.
 *
 * A reader reads what is there and waits when nothing is (pd_begin, pd_publish). The kernel delivers bytes, and an edge
 * for them a while later, which the poller gives to weft__pd_edge. Somebody moves the deadline, twice (now, later, none);
 * the clock goes on; the timer fires (pd_timer_fire); somebody closes or interrupts once (pd_end_waits). The deadline
 * lock is modelled as such, all that happens outside of it word by word.
 * Checked: a reader sleeps for good only if nothing is there to read, nobody has ended the wait, and no deadline has passed;
 * each park is ended by exactly one ready.
 * A starter (weft__pd_wait_start) goes into the word and out of it by the same steps as a goroutine; starting it takes ready's
 * place, and the new goroutine's first step (weft__pd_started) that of park's return.
 * Not here: more than one life of a slot (seq), the write direction (it shares only the timer).
 *
 * VARIANTS 1 2 3 4 5 6 7: BROKEN=1 an edge that meets nobody is forgotten; 2 flags are not looked at again once the word says
 * WAIT; 3 a deadline that is set while somebody waits arms no timer; 4 a firing that comes too early does not move the
 * timer; 5 the goroutine is put into the word by a plain store; 6 an arming trusts a timer that is set for later; 7 the word becomes WAIT by a
 * plain store.
 */
#ifndef BROKEN
#define BROKEN 0
#endif
#define NIL 0
#define READY 1
#define WAIT 2
#define G 3

byte word = NIL;
bit there;                  /* bytes to read */
bit edge;                   /* epoll has something for the poller */
bit stop;                   /* CLOSING, or an interrupt: a flag that ends waits */
byte deadline;              /* 0 none, or an instant */
byte timer_at;              /* 0 not armed */
bit timer_on;               /* in the heap, for instant heap_at */
byte heap_at;
byte now;
byte last;                  /* the clock stops there: 1 or 2 */
bit lock;
bit woken;                  /* ready has been called, park has not returned */
byte arrivals = 1;

inline take_lock() { atomic { lock == 0 -> lock = 1 } }
inline drop_lock() { lock = 0 }

inline ready()
{
    assert(!woken);
    woken = 1
}

/* pd_unblock. One step: what it returns is decided by its load of READY or NIL, or by the compare-and-swap that holds. */
inline unblock(leave, got)
{
    atomic {
        got = (word == G);
        if
        :: word == READY || (word == NIL && leave == NIL)
        :: else -> word = leave
        fi
    }
}

proctype Reader()
{
    byte at, old;
    bit got;
again:
    if
    :: there -> there = 0; goto again            /* read(2) */
    :: else                                      /* EAGAIN */
    fi;
wait:
    if
    :: stop -> goto done
    :: else
    fi;
begin:                                           /* pd_begin: NIL, as nearly always, is one step; READY two */
    atomic {
        got = (word == NIL || BROKEN == 7);
        if
        :: got -> word = WAIT
        :: else -> assert(word == READY)
        fi
    };
    if
    :: !got ->
        atomic {
            if
            :: word == READY -> word = NIL; goto again
            :: else -> goto begin
            fi
        }
    :: else
    fi;
    if                                           /* pd_publish: pd_stopped */
    :: stop && BROKEN != 2 ->
        atomic {
            if
            :: word == WAIT -> word = NIL
            :: else                              /* an edge that came meanwhile stays */
            fi
        };
        goto done
    :: else
    fi;
    at = deadline;
    if
    :: at != 0 ->                                /* pd_arm */
        if
        :: timer_at != 0 && (timer_at <= at || BROKEN == 6)
        :: else ->
            take_lock();
            if
            :: timer_at == 0 || timer_at > at -> timer_at = at; atomic { timer_on = 1; heap_at = at }
            :: else
            fi;
            drop_lock()
        fi
    :: else
    fi;
    atomic {
        got = 0;
        if
        :: word == WAIT || BROKEN == 5 -> word = G; got = 1
        :: else
        fi
    };
    if
    :: got ->
        if
        :: woken -> woken = 0
        :: timeout ->
            assert(!there && !stop && (deadline == 0 || deadline > now));
            goto done
        fi
    :: else
    fi;
    atomic { old = word; word = NIL };
    if
    :: old == READY -> goto again
    :: else
    fi;
    if                                           /* pd_reason */
    :: stop -> goto done
    :: else
    fi;
    at = deadline;
    if
    :: at != 0 && at <= now -> goto done
    :: else -> goto again                        /* spurious: callers look again */
    fi;
done:
    skip
}

proctype Kernel()
{
end:
    do
    :: atomic { arrivals > 0 -> arrivals--; there = 1; edge = 1 }
    :: atomic { now < last -> now++ }
    od
}

proctype Poller()
{
    bit got;
end:
    do
    :: atomic { edge -> edge = 0 };
        if
        :: BROKEN == 1 -> unblock(NIL, got)
        :: else -> unblock(READY, got)
        fi;
        if
        :: got -> ready()
        :: else
        fi
    od
}

proctype Timer()
{
    byte at;
    bit got;
end:
    do
    :: atomic { timer_on && heap_at <= now -> timer_on = 0 };
        got = 0;
        take_lock();
        timer_at = 0;
        at = deadline;
        if
        :: at == 0
        :: at != 0 && at <= now -> unblock(NIL, got)
        :: at != 0 && at > now ->
            if
            :: word >= WAIT && BROKEN != 4 -> timer_at = at; atomic { timer_on = 1; heap_at = at }
            :: else
            fi
        fi;
        drop_lock();
        if
        :: got -> ready()
        :: else
        fi
    od
}

proctype Setter()
{
    byte at, times = 2;
    bit got, arm;
end:
    do
    :: times > 0 ->
        times--;
        got = 0;
        arm = 0;
        if
        :: at = 0
        :: at = 1
        :: at = 2
        fi;
        take_lock();
        deadline = at;
        if
        :: at != 0 && at <= now -> unblock(NIL, got)
        :: else ->
            if
            :: at != 0 && word >= WAIT && BROKEN != 3 -> arm = 1
            :: else
            fi
        fi;
        drop_lock();
        if
        :: arm ->
            if
            :: timer_at != 0 && (timer_at <= at || BROKEN == 6)
            :: else ->
                take_lock();
                if
                :: timer_at == 0 || timer_at > at -> timer_at = at; atomic { timer_on = 1; heap_at = at }
                :: else
                fi;
                drop_lock()
            fi
        :: else
        fi;
        if
        :: got -> ready()
        :: else
        fi
    :: times == 0 -> break
    od
}

proctype Ender()
{
    bit got;
    if
    :: stop = 1;
        unblock(NIL, got);
        if
        :: got -> ready()
        :: else
        fi
    :: skip
    fi
}

init
{
    if
    :: last = 1
    :: last = 2
    fi;
    atomic { run Reader(); run Kernel(); run Poller(); run Timer(); run Setter(); run Ender() }
}
