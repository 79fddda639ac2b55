/*
 * duty.pml - one sleeper at a time has the earliest timer as its timeout: sched/idle.c I5 (idle_take_duty,
 * idle_drop_duty, the end of idle_sleep), with three workers, timers at instants 1 and 2, and wake-ups for other work
 * at any moment.
 *
 * A worker that runs may start timers. Going idle, it gives its processor back, looks at the heaps (weft__timers_next) and
 * later, under sched.lock, takes the duty if nobody sleeps shorter. It wakes by its timeout, or because somebody gave it
 * work; under the lock it drops the duty; awake it fires what is due and looks again before it sleeps. Work may be a tied
 * goroutine: then the worker has no processor, may block for ever, and so must pass the duty on: weft__wake_worker gives
 * a processor to a sleeper or to a new thread, and does nothing where somebody with one will look before it sleeps.
 * The monitor is left out: it only helps.
 * Checked: when nobody is awake with a processor, or about to be, somebody sleeps no longer than until the earliest
 * pending timer.
 *
 * VARIANTS 1 2 3 4 5: BROKEN=1 the duty is never dropped; 2 any pending duty, also a later one, is taken as enough;
 * 3 the sleeper drops its duty and sleeps on after its timeout; 4 a sleeper woken for a tied goroutine wakes nobody;
 * 5 it wakes somebody first and drops the duty then.
 */
#ifndef BROKEN
#define BROKEN 0
#endif
#define NEVER 3
#define NW 3
#define WORK 1              /* a gift: a processor */
#define TIED 2              /* a gift: a tied goroutine */

bit at1, at2;               /* pending timers */
byte until = NEVER;         /* duty_until */
byte starts = 2;            /* timers that may still be started */
byte gifts = 2;             /* wake-ups that may still come, for work or for a tied goroutine */
byte awake = NW;            /* workers that will look at the timers before they sleep, or pass the duty on */
byte holding = NW;          /* of these, those with a processor: they have not looked yet */
byte mine[NW] = NEVER;      /* m->duty; each element */
bit asleep[NW];
byte gift[NW];

inline earliest(v)
{
    if
    :: at1 -> v = 1
    :: !at1 && at2 -> v = 2
    :: else -> v = NEVER
    fi
}

/* I5, looked at whenever somebody has stopped being awake. */
inline check(v)
{
    if
    :: awake == 0 && !gift[0] && !gift[1] && !gift[2] ->
        earliest(v);
        assert(v == NEVER || (asleep[0] && mine[0] <= v) || (asleep[1] && mine[1] <= v) || (asleep[2] && mine[2] <= v))
    :: else
    fi
}

inline drop(id)
{
    atomic {                                     /* idle_drop_duty, sched.lock */
        if
        :: mine[id] == until && mine[id] != NEVER -> until = NEVER
        :: else
        fi
    }
}

/* weft__wake_worker: fresh is set where a new thread is to be started. */
inline wake_worker(fresh)
{
    atomic {
        if
        :: holding > 0                           /* nidle == 0, or one that spins: it looks after this */
        :: gift[0] == WORK || gift[1] == WORK || gift[2] == WORK    /* a wake-up is under way (I4) */
        :: asleep[0] && !gift[0] -> gift[0] = WORK
        :: asleep[1] && !gift[1] -> gift[1] = WORK
        :: asleep[2] && !gift[2] -> gift[2] = WORK
        :: else -> fresh = 1
        fi
    }
}

proctype Worker(byte id)
{
    byte next;
    bit forever, fresh;
work:
    do                                           /* runs goroutines: they start timers */
    :: atomic { starts > 0 && !at1 -> at1 = 1; starts-- }
    :: atomic { starts > 0 && !at2 -> at2 = 1; starts-- }
    :: break
    od;
    holding--;                                   /* weft__p_release */
idle:
    forever = 0;
    atomic { earliest(next) };                   /* weft__timers_next */
    atomic {                                     /* idle_take_duty, sched.lock */
        mine[id] = NEVER;
        if
        :: next != NEVER && BROKEN != 2 && next < until -> mine[id] = next; until = next
        :: next != NEVER && BROKEN == 2 && until == NEVER -> mine[id] = next; until = next
        :: else
        fi
    }
sleep:
    atomic {
        asleep[id] = 1;
        awake--;
        check(next)
    };
end:
    if                                           /* at the end all sleep: check() has seen that they may */
    :: atomic { mine[id] != NEVER && !forever && !gift[id] -> asleep[id] = 0; awake++ }     /* the timeout */
    :: atomic { gift[id] == WORK -> gift[id] = 0; asleep[id] = 0; awake++; holding++; goto woken }
    :: atomic { gift[id] == TIED -> asleep[id] = 0; awake++; gift[id] = 0; goto for_tied }
    fi;
    if                                           /* idle_retake: a processor, or none is idle */
    :: holding++
    :: atomic { holding > 0 -> skip };
        if
        :: BROKEN != 1 -> drop(id)
        :: else
        fi;
        goto idle
    fi;
woken:
    if
    :: BROKEN != 1 -> drop(id)
    :: else
    fi;
    if
    :: BROKEN == 3 -> holding--; forever = 1; mine[id] = NEVER; goto sleep
    :: else
    fi;
    next = mine[id];
    mine[id] = NEVER;
    if                                           /* the clock: at least the own timeout has passed, perhaps more */
    :: atomic { next <= 1 -> at1 = 0 }
    :: atomic { next <= 2 -> at1 = 0; at2 = 0 }
    :: next == NEVER
    fi;
    goto work;
for_tied:
    next = mine[id];
    fresh = 0;
    if
    :: next != NEVER && BROKEN == 5 -> wake_worker(fresh); drop(id)
    :: next != NEVER && BROKEN == 4 -> drop(id)
    :: next != NEVER && BROKEN != 4 && BROKEN != 5 -> drop(id); wake_worker(fresh)
    :: else
    fi;
    mine[id] = NEVER;
    if
    :: fresh -> holding++; goto work             /* this process goes on as the new thread */
    :: else
    fi;
    atomic { awake--; check(next) };             /* blocked in the tied goroutine, for ever */
}

/* Somebody wakes a sleeper for work; the giver is a worker that is awake, for a tied goroutine one with a processor. */
proctype Giver()
{
end:
    do
    :: atomic { gifts > 0 && awake > 0 && asleep[0] && !gift[0] -> gift[0] = WORK; gifts-- }
    :: atomic { gifts > 0 && awake > 0 && asleep[1] && !gift[1] -> gift[1] = WORK; gifts-- }
    :: atomic { gifts > 0 && awake > 0 && asleep[2] && !gift[2] -> gift[2] = WORK; gifts-- }
    :: atomic { gifts > 0 && holding > 0 && asleep[0] && !gift[0] -> gift[0] = TIED; gifts-- }
    :: atomic { gifts > 0 && holding > 0 && asleep[1] && !gift[1] -> gift[1] = TIED; gifts-- }
    :: atomic { gifts > 0 && holding > 0 && asleep[2] && !gift[2] -> gift[2] = TIED; gifts-- }
    od
}

init
{
    atomic { run Worker(0); run Worker(1); run Worker(2); run Giver() }
}
