/*
 * read.pml - read sections: sched/section.c weft__read_begin, _end, _wait (R1, R2), as sync/map.c uses them.
 *
 * A reader goes in and out twice without a fence; in between it takes the pointer and looks at what it leads to. The remover
 * puts another thing in place, waits (membarrier, then until reading is even or has changed), frees the first, and does so
 * again. Checked: nobody looks at a thing that is freed; the wait ends. Memory: TSO store buffers (tso.h).
 *
 * VARIANTS 1 2 3 4 5: BROKEN=1 no membarrier; 2 the remover does not look at reading; 3 the barrier comes before the thing is
 * out of reach; 4 the reader takes the pointer before reading is odd; 5 it looks at the thing after reading is even.
 */
#ifndef BROKEN
#define BROKEN 0
#endif
#define NTHR 2
#define NVAR 2
#define BUF 3
#include "tso.h"
#define READING 0          /* counts: odd inside */
#define PTR 1              /* the thing in reach: 0, 1, 2 */
#define ROUNDS 2

bool freed[ROUNDS + 1];    /* ghost */
byte finished;

proctype Reader()
{
    byte i, p;
    for (i : 1 .. ROUNDS) {
        if
        :: BROKEN == 4 -> p = LD(0, PTR); ST(0, READING, 2 * i - 1)
        :: else -> ST(0, READING, 2 * i - 1); p = LD(0, PTR)
        fi;
        if
        :: BROKEN == 5 -> ST(0, READING, 2 * i)
        :: else
        fi;
        assert(!freed[p]);                          /* the look at it: some instant after the pointer was taken */
        if
        :: BROKEN != 5 -> ST(0, READING, 2 * i)
        :: else
        fi
    }
    finished++
}

inline membarrier()
{
    atomic { LOCKED(1); DRAIN(0) }
}

proctype Remover()
{
    byte i, r;
    for (i : 1 .. ROUNDS) {
        if
        :: BROKEN == 3 -> membarrier()
        :: else
        fi;
        ST(1, PTR, i);
        if
        :: BROKEN == 1 || BROKEN == 3
        :: else -> membarrier()
        fi;
        r = LD(1, READING);
        if
        :: r % 2 == 1 && BROKEN != 2 -> LD(1, READING) != r
        :: else
        fi;
        freed[i - 1] = true
    }
    finished++
}

init {
    atomic {
        run Flusher(0);
        run Flusher(1);
        run Reader();
        run Remover()
    }
    finished == 2
}
