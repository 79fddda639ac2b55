/*
 * tso.h - the memory of x86 (TSO) for Promela: each thread has a first-in first-out buffer of stores in front of memory.
 *
 * Before the include: NTHR threads, NVAR variables; BUF entries of a buffer (2 unless set). A load sees the newest
 * store of its own buffer, else memory. Buffers empty themselves at any time, and when a thread makes a locked
 * instruction (LOCKED) or membarrier(2) makes them (DRAIN): the barrier interrupts each running thread.
 */
#ifndef BUF
#define BUF 2
#endif
byte mem[NVAR];
chan sb[NTHR] = [BUF] of { byte, byte };
byte pend[NTHR * NVAR];   /* stores of this variable in this thread's buffer */
byte last[NTHR * NVAR];   /* the newest of them */
byte tso_x, tso_v;

#define AT(t, x) ((t) * NVAR + (x))
/* a plain store */
#define ST(t, x, v) atomic { nfull(sb[t]) -> sb[t]!x,v; pend[AT(t, x)]++; last[AT(t, x)] = v }
/* a load, usable in an expression */
#define LD(t, x) (pend[AT(t, x)] > 0 -> last[AT(t, x)] : mem[x])
/* guard of a locked instruction: the buffer is empty */
#define LOCKED(t) empty(sb[t])

inline tso_flush_one(t)
{
    sb[t]?tso_x,tso_v;
    mem[tso_x] = tso_v;
    pend[AT(t, tso_x)]--;
    if
    :: pend[AT(t, tso_x)] == 0 -> last[AT(t, tso_x)] = 0
    :: else
    fi;
    tso_x = 0;
    tso_v = 0
}
/* another thread's buffer is emptied; inside atomic */
inline DRAIN(t)
{
    do
    :: nempty(sb[t]) -> tso_flush_one(t)
    :: empty(sb[t]) -> break
    od
}
/* one a thread: stores become visible some time */
proctype Flusher(byte t)
{
end_idle:
    do
    :: atomic { nempty(sb[t]) -> tso_flush_one(t) }
    od
}
