/*
 * mutex.h - src/sync/mutex.c in Promela, step for step, for mutex.pml and cond.pml.
 *
 * Before the include: N goroutines, BROKEN. Each atomic operation of the word is a step, each load another one that may be
 * out of date by the next. Time is a free choice: who has waited for over 1 ms is not said. Parking and readying are what
 * sched.h S1-S5 promise (park.pml proves them). Memory: sequentially consistent; the word is only changed by locked
 * instructions, the line under its lock.
 * A process has: byte s, to, w; bit woken, first, starve, cut, again.
 */
#define L 1             /* LOCKED, SLEEPERS, WOKEN, STARVING */
#define SL 2
#define WK 4
#define STV 8
#define NONE 255

byte st;                /* the word */
bit lk;                 /* the line's lock */
byte ln[N];             /* the line: ln[0] is its head */
byte n;
bit rdy[N], given[N], moved[N];
bit freed;              /* the mutex's memory is gone */
byte wk_owner = NONE;   /* MX4: whose WOKEN is */

#define TOUCH assert(!freed)

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
    :: else ->
        atomic {
            TOUCH;
            if
            :: st == s ->
                st = s | SL;
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
    atomic { TOUCH; s = st; st = st | L };
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
    atomic {
        TOUCH;
        s = st;
        if
        :: s == L -> st = 0; cut = 1        /* inline */
        :: else -> cut = 0
        fi
    };
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
