/*
 * duty.pml - one sleeper at a time has the earliest timer as its timeout: sched/idle.c I5 (idle_take_duty,
 * idle_drop_duty), with three workers, timers at instants 1 and 2, and wake-ups for other work at any moment.
 *
 * A worker that runs may start timers. Going idle, it looks at the heaps (weft__timers_next) and later, under sched.lock,
 * takes the duty if nobody sleeps shorter. It wakes by its timeout, or because somebody gave it work; under the lock it
 * drops the duty; awake it fires what is due and looks again before it sleeps. The monitor is left out: it only helps.
 * Checked: when nobody is awake, somebody sleeps no longer than until the earliest pending timer.
 *
 * VARIANTS 1 2 3: BROKEN=1 the duty is never dropped; 2 any pending duty, also a later one, is taken as enough;
 * 3 the sleeper drops its duty and sleeps on after its timeout.
 */
#ifndef BROKEN
#define BROKEN 0
#endif
#define NEVER 3
#define NW 3

bit at1, at2;               /* pending timers */
byte until = NEVER;         /* duty_until */
byte starts = 2;            /* timers that may still be started */
byte gifts = 2;             /* wake-ups for work that may still come */
byte awake = NW;
byte mine[NW] = NEVER;      /* m->duty; each element */
bit asleep[NW], gift[NW];

inline earliest(v)
{
    if
    :: at1 -> v = 1
    :: !at1 && at2 -> v = 2
    :: else -> v = NEVER
    fi
}

proctype Worker(byte id)
{
    byte next;
    bit forever;
work:
    do                                           /* runs goroutines: they start timers */
    :: atomic { starts > 0 && !at1 -> at1 = 1; starts-- }
    :: atomic { starts > 0 && !at2 -> at2 = 1; starts-- }
    :: break
    od;
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
        if
        :: awake == 0 && !gift[0] && !gift[1] && !gift[2] ->
            earliest(next);
            assert(next == NEVER || mine[0] <= next || mine[1] <= next || mine[2] <= next)
        :: else
        fi
    };
    if
    :: atomic { mine[id] != NEVER && !forever -> asleep[id] = 0; awake++ }      /* the timeout */
    :: atomic { gift[id] -> gift[id] = 0; asleep[id] = 0; awake++ }             /* woken for work */
    :: atomic { mine[id] == NEVER && !gift[id] && awake == 0 && !at1 && !at2 -> goto done } /* the end */
    fi;
    if
    :: BROKEN != 1 ->
        atomic {                                 /* idle_drop_duty */
            if
            :: mine[id] == until && mine[id] != NEVER -> until = NEVER
            :: else
            fi
        }
    :: else
    fi;
    if
    :: BROKEN == 3 -> forever = 1; mine[id] = NEVER; goto sleep
    :: else
    fi;
    next = mine[id];
    mine[id] = NEVER;
    if                                           /* the clock: at least the own timeout has passed, perhaps more */
    :: atomic { next <= 1 -> at1 = 0 }
    :: atomic { next <= 2 -> at1 = 0; at2 = 0 }
    :: next == NEVER
    fi;
    if
    :: goto work
    :: goto idle
    fi;
done:
    skip
}

/* Somebody wakes a sleeper for work; the giver is a worker that is awake. */
proctype Giver()
{
    byte i;
end:
    do
    :: atomic { gifts > 0 && awake > 0 && asleep[0] && !gift[0] -> gift[0] = 1; gifts-- }
    :: atomic { gifts > 0 && awake > 0 && asleep[1] && !gift[1] -> gift[1] = 1; gifts-- }
    :: atomic { gifts > 0 && awake > 0 && asleep[2] && !gift[2] -> gift[2] = 1; gifts-- }
    od
}

init
{
    atomic { run Worker(0); run Worker(1); run Worker(2); run Giver() }
}
