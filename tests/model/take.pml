/*
 * take.pml - poll_take.c: bytes that the poller takes before they are asked for (T1-T4, B1; U3, U5 for the request that reads).
 *
 * One slot of the pool, with two lives one after the other. In each a reader reads numbered bytes: from the queue, or from the
 * kernel where no request takes; it waits as in poll.c. It stops after all of them, or sooner, and closes. The poller writes the
 * request and queues what is complete; the kernel takes a byte into a buffer, ends a request for want of buffers or by
 * itself, alone or with a byte, and the peer sends; after its bytes comes their end. As Linux does (U12), a request that meets bytes and
 * the end when it is armed hides the end: it tells of the bytes and then of nothing.
 * Checked: bytes come in their order and to their life; who waits for bytes or the end is woken; a slot has one request, and none when
 * its file closes; in the end all buffers are free.
 * Not here: how requests reach the ring and the sleep of the poller (uring.pml), deadlines and interrupts (poll.pml).
 *
 * VARIANTS 1 2 3 4 5 6 7 8 9 10: BROKEN=1 a completion is queued without a second look at the life; 2 the reader asks the kernel while
 * a request takes; 3 the end of a request makes no edge; 4 what comes after the close is dropped with its buffer; 5 the close
 * does not empty the queue; 6 a request is said to have ended before its last byte is queued; 7 the close does not cancel;
 * 8 the reader that goes to wait does not make a request where there is none; 9 nobody looks for an end after a request's first
 * completion; 10 the look is taken before it, too.
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
#define BYTES 3
#define BUFS 2

byte life = 1;          /* seq */
byte file;              /* the life that the descriptor is open for */
byte taking, word;
bit woken, lock, written;
byte sent, taken;       /* of this file: bytes that have come, and how many of them have left the socket */
byte req;               /* the life that the kernel has a request of */
bit hides;              /* it will not tell of the end */
bit new, look;          /* bits of taking: NEW, LOOK */
byte bufs = BUFS, ends = 1;
chan cq = [6] of { byte, byte, bit };   /* life, byte or 0, last */
chan queue = [BYTES] of { byte, byte }; /* life, byte */

inline take_lock() { atomic { lock == 0 -> lock = 1 } }
inline drop_lock() { lock = 0 }
inline post(l, b, last) { assert(nfull(cq)); cq!l, b, last }
inline edge()
{
    atomic {
        if
        :: word == G -> word = READY; woken = 1
        :: else -> word = READY
        fi
    }
}

active proctype reader()
{
    byte l, b, have, old;
    bit asks;
    do
    :: life > LIVES -> break
    :: else ->
        atomic { have = 0; word = NIL; woken = 0; sent = 0; taken = 0; file = life }
again:
        if
        :: true
        :: goto shut
        fi;
        take_lock();
        if
        :: nempty(queue) ->
            queue?l, b;
            drop_lock();
            atomic { assert(l == life && b == have + 1); have++; bufs++ }
            goto again
        :: empty(queue) && taking != UNARMED && BROKEN != 2 -> drop_lock()
        :: empty(queue) && (taking == UNARMED || BROKEN == 2) ->
            drop_lock();
            atomic {
                if
                :: taken < sent -> taken++; assert(taken == have + 1); have++; goto again
                :: taken == sent && sent == BYTES -> goto shut /* the end */
                :: else
                fi
            }
        fi;
        atomic {
            if
            :: word == READY -> word = NIL; goto again
            :: else -> word = WAIT
            fi
        }
        atomic {
            if
            :: taking == UNARMED && BROKEN != 8 -> taking = ARMING
            :: look -> look = 0; asks = 1
            :: else
            fi
        }
        if
        :: asks ->
            asks = 0;
            if
            :: sent == BYTES ->     /* the socket says: ended */
                written == 0;       /* U3 */
                atomic {
                    if
                    :: req == life -> req = 0; post(life, 0, 1)
                    :: else
                    fi
                }
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
        atomic { woken -> woken = 0; word = NIL; goto again }
shut:
        atomic { old = taking; taking = UNARMED; new = 0; look = 0 }
        if
        :: old == ARMED ->
            written == 0;           /* U3 */
            atomic {
                if
                :: req == life && BROKEN != 7 -> req = 0; post(life, 0, 1)
                :: else
                fi
            }
        :: else
        fi;
        take_lock();
        do
        :: nempty(queue) && BROKEN != 5 -> atomic { queue?l, b; bufs++ }
        :: empty(queue) || BROKEN == 5 -> break
        od;
        life++;
        drop_lock();
        atomic { file = 0; assert(req == 0) }
    od
}

active proctype poller()
{
    byte l, b;
    bit last, mine;
    do
    :: atomic { taking == ARMING -> taking = ARMED; written = 1; new = (BROKEN != 9 && BROKEN != 10); look = (BROKEN == 10) }
        atomic { assert(file == life && req == 0); req = life; hides = (sent == BYTES && taken < sent); written = 0 }
    :: cq?l, b, last ->
        mine = l == life;
        if
        :: BROKEN == 6 && mine && last -> atomic { if :: taking == ARMED -> taking = UNARMED; new = 0; look = 0 :: else fi }
        :: else
        fi;
        take_lock();
        mine = (BROKEN == 1 -> mine : l == life);
        if
        :: mine ->
            if
            :: b != 0 -> queue!l, b; b = 0
            :: else
            fi;
            atomic {
                if
                :: last && taking == ARMED -> taking = UNARMED; new = 0; look = 0
                :: !last && taking == ARMED && new -> new = 0; look = 1
                :: else
                fi
            }
        :: else
        fi;
        drop_lock();
        if
        :: b != 0 && BROKEN != 4 -> atomic { bufs++; b = 0 }
        :: else
        fi;
        if
        :: mine && !(BROKEN == 3 && last) -> edge()
        :: else
        fi
    :: atomic { life > LIVES && empty(cq) && taking == UNARMED -> assert(bufs == BUFS); break }
    od
}

active proctype kernel()
{
    bit last;
    do
    :: atomic { file != 0 && sent < BYTES -> sent++ }
    :: atomic { req != 0 && taken < sent && bufs > 0 && len(cq) < 5 ->
            bufs--;
            taken++;
            last = 0;
            if
            :: ends > 0 -> ends--; last = 1
            :: true
            fi;
            post(req, taken, last);
            req = (last -> 0 : req)
        }
    :: atomic { req != 0 && taken < sent && bufs == 0 && len(cq) < 5 -> post(req, 0, 1); req = 0 }
    :: atomic { req != 0 && sent == BYTES && taken == sent && !hides && len(cq) < 5 -> post(req, 0, 1); req = 0 }
    :: atomic { req != 0 && ends > 0 && len(cq) < 5 -> ends--; post(req, 0, 1); req = 0 }
    :: atomic { life > LIVES -> break }
    od
}
