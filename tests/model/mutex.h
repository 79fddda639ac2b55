/*
 * mutex.h - src/sync/mutex.c in Promela, step for step, for mutex.pml and cond.pml.
 *
 * Before the include: N goroutines, BROKEN. Each atomic operation of the word is a step, each load another one that may be
 * out of date by the next. Time is a free choice: who has waited for over 1 ms is not said. Parking and readying are what
 * sched.h S1-S5 promise (park.pml proves them). Memory: the word is changed by locked instructions, but for the plain store
 * of an unlock (MX6), which waits in the store buffer of its thread (inbuf) until some time, its thread's next locked
 * instruction, or the barrier of weft__sys_restart_all; that also sends whoever is between the look and the store (inseq)
 * to the locked instruction. What an unlock counts (MX7) is a free choice. The line changes under its lock.
 * A process has: byte s, to, w; bit woken, first, starve, cut, again.
 */
#define L 1             /* LOCKED, SLEEPERS, WOKEN, STARVING */
#define SL 2
#define WK 4
#define STV 8
#define MET 16
#define NONE 255

byte st;                /* the word */
bit lk;                 /* the line's lock */
byte ln[N];             /* the line: ln[0] is its head */
byte n;
bit rdy[N], given[N], moved[N];
bit inseq[N];           /* in the restartable sequence, and has looked at the word */
bit inbuf[N];           /* its store is not in memory yet */
bit freed;              /* the mutex's memory is gone */
byte wk_owner = NONE;   /* MX4: whose WOKEN is */

#define TOUCH assert(!freed)

/* the stores of all threads into memory */
inline drain_all()
{
    to = 0;
    do
    :: to < N ->
        if
        :: inbuf[to] -> assert(!freed); st = 0; inbuf[to] = 0
        :: else
        fi;
        to++
    :: else -> break
    od;
    to = 0
}
/* One for all threads: buffered stores become visible some time. */
active proctype Flusher()
{
end_idle:
    do
    :: atomic { inbuf[0] -> TOUCH; st = 0; inbuf[0] = 0 }
    :: atomic { inbuf[1] -> TOUCH; st = 0; inbuf[1] = 0 }
    :: atomic { inbuf[2] -> TOUCH; st = 0; inbuf[2] = 0 }
    od
}

/* weft__sys_restart_all: BROKEN 21 none, 22 a barrier only */
inline restart_all()
{
    d_step {
        if
        :: BROKEN != 21 -> drain_all()
        :: else
        fi;
        if
        :: BROKEN != 21 && BROKEN != 22 -> inseq[0] = 0; inseq[1] = 0; inseq[2] = 0
        :: else
        fi
    }
}

/* mutex_meet, where the look showed s */
inline meet()
{
    atomic {
        TOUCH;
        if
        :: st == s -> st = s | MET; cut = 1
        :: else -> s = st; cut = 0
        fi
    };
    if
    :: cut ->
        cut = 0;
        restart_all();
        if
        :: BROKEN == 23 -> s = s | MET          /* does not look again */
        :: else -> atomic { TOUCH; s = st }
        fi
    :: else
    fi
}

inline line_lock() { atomic { TOUCH; lk == 0 -> lk = 1 } }
/* MX1 */
inline line_unlock() { atomic { TOUCH; assert(((st & SL) != 0) == (n > 0)); lk = 0 } }

inline push_back(g) { atomic { TOUCH; ln[n] = g; n++ } }

inline push_front(g)
{
    d_step {
        assert(!freed);
        w = n;
        do
        :: w > 0 -> ln[w] = ln[w - 1]; w--
        :: else -> break
        od;
        ln[0] = g;
        n++
    }
}

inline pop(g)
{
    d_step {
        assert(!freed);
        assert(n > 0);
        g = ln[0];
        to = 1;
        do
        :: to < n -> ln[to - 1] = ln[to]; to++
        :: else -> break
        od;
        n--;
        ln[n] = 0;
        to = 0
    }
}

/* mutex_spin, one look */
inline spin()
{
    atomic { TOUCH; s = st };
    if
    :: (s & (L | STV)) == L && !woken && (s & SL) && !(s & WK) ->
        atomic {
            TOUCH;
            if
            :: st == s -> st = s | WK; woken = 1; assert(wk_owner == NONE); wk_owner = me
            :: else
            fi
        }
    :: else
    fi
}

/* mutex_enqueue: again says that the mutex was free */
inline enqueue()
{
    if
    :: !first -> starve = 1          /* it has waited 1 ms */
    :: starve = 0
    fi;
    again = 0;
    line_lock();
    atomic { TOUCH; s = st };
    do
    :: BROKEN != 2 && !(s & L) -> line_unlock(); again = 1; break
    :: (BROKEN == 2 || (s & L)) && !(s & MET) && BROKEN != 25 ->
        if
        :: BROKEN == 24 -> line_unlock()
        :: else
        fi;
        meet();
        if
        :: BROKEN == 24 -> line_lock()
        :: else
        fi
    :: (BROKEN == 2 || (s & L)) && ((s & MET) || BROKEN == 25) ->
        atomic {
            TOUCH;
            if
            :: st == s || BROKEN == 23 ->
                st = st | SL;
                if
                :: starve -> st = st | STV
                :: else
                fi;
                if
                :: woken && BROKEN != 3 -> st = st & ~WK; assert(wk_owner == me); wk_owner = NONE
                :: else
                fi;
                cut = 1
            :: else -> s = st; cut = 0
            fi
        };
        if
        :: cut ->
            cut = 0;
            if
            :: first -> push_back(me)
            :: else -> push_front(me)
            fi;
            line_unlock();
            break
        :: else
        fi
    od
}

/* mutex_compete */
inline compete()
{
    first = !woken;
    do
    :: if
       :: spin()
       :: skip
       fi;
       atomic { TOUCH; s = st };
       cut = 0;
       do
       :: !(s & L) ->
           atomic {
               TOUCH;
               if
               :: st == s ->
                   st = s | L;
                   if
                   :: woken -> st = st & ~WK; assert(wk_owner == me); wk_owner = NONE
                   :: else
                   fi;
                   cut = 1
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
       :: cut -> cut = 0; break
       :: else
       fi;
       enqueue();
       if
       :: again -> again = 0
       :: else ->
           atomic { rdy[me] -> rdy[me] = 0 };      /* weft__park */
           if
           :: given[me] -> given[me] = 0; break
           :: else
           fi;
           first = 0;
           woken = 1
       fi
    od;
    s = 0; woken = 0; first = 0; starve = 0
}

inline mutex_lock()
{
    atomic { !inbuf[me] -> TOUCH; s = st; st = st | L };
    if
    :: s & L -> woken = 0; compete()
    :: else
    fi;
    s = 0
}

/* mutex_hand_over */
inline hand_over()
{
    line_lock();
    pop(w);
    atomic {
        TOUCH;
        if
        :: n == 0 -> st = st & ~(SL | STV)
        :: n > 0 -> st = st & ~STV              /* its head has waited less than 1 ms */
        :: n > 0
        fi;
        if
        :: BROKEN == 4 -> st = st & ~L
        :: else
        fi
    };
    if
    :: BROKEN != 6 -> given[w] = 1; line_unlock(); rdy[w] = 1
    :: BROKEN == 6 -> line_unlock(); rdy[w] = 1; given[w] = 1
    fi
}

/* mutex_wake_one: cut says that it did */
inline wake_one()
{
    atomic { TOUCH; s = st };
    line_lock();
    do
    :: (s & WK) || n == 0 -> line_unlock(); cut = 0; break
    :: else ->
        atomic {
            TOUCH;
            if
            :: st == s ->
                assert(wk_owner == NONE);
                wk_owner = ln[0];
                st = s | WK;
                if
                :: n == 1 -> st = st & ~SL
                :: else
                fi;
                cut = 1
            :: else -> s = st; cut = 0
            fi
        };
        if
        :: cut && BROKEN != 1 ->
            pop(w);
            line_unlock();
            atomic { TOUCH; st = st & ~L };
            rdy[w] = 1;
            break
        :: cut && BROKEN == 1 ->
            pop(w);
            line_unlock();
            rdy[w] = 1;
            atomic { TOUCH; st = st & ~L };
            break
        :: else
        fi
    od
}

inline mutex_unlock()
{
    atomic { TOUCH; s = st; inseq[me] = (s == L) };      /* unlock.S, the look */
    atomic {
        if
        :: inseq[me] -> inseq[me] = 0; inbuf[me] = 1; cut = 1
        :: else -> cut = 0                  /* another word, or restarted */
        fi
    };
    if
    :: cut
    :: else -> atomic { TOUCH; s = st }
    fi;
    do
    :: cut -> break
    :: else ->
        assert(s & L);
        if
        :: s & STV -> hand_over(); cut = 1
        :: !(s & STV) && (s & SL) && !(s & WK) ->
            wake_one();
            if
            :: cut
            :: !cut && BROKEN == 5 -> atomic { TOUCH; st = st & ~L; cut = 1 }
            :: !cut && BROKEN != 5 -> atomic { TOUCH; s = st }
            fi
        :: else ->
            atomic {
                TOUCH;
                if
                :: st == s && s == (L | MET) -> st = 0; cut = 1     /* MX7 */
                :: st == s -> st = st & ~L; cut = 1
                :: else -> s = st
                fi
            };
            if
            :: cut && BROKEN == 7 -> line_lock(); line_unlock()
            :: else
            fi
        fi
    od;
    s = 0; to = 0; w = 0; cut = 0
}
