/*
 * sched.h - what the layers above (chan, sync, ctx, unwind, poll, net) may ask of the scheduler.
 *
 * The contract of parking, which everything that blocks is written against:
 *   S1  A goroutine parks in three steps: under its object's lock it publishes a waiter that names itself; it drops
 *       the lock; it calls weft__park(). Between publishing and weft__park() it takes no other lock (it may drop
 *       some) and calls nothing that can park or ready.
 *   S2  Whoever takes the waiter out of the object (under the same lock, so exactly one does) drops the lock and then
 *       calls weft__ready(g), once. Never under a lock.
 *   S3  weft__ready may come before weft__park has switched away: it waits for g->sw.on_cpu to fall (edge G1), so the
 *       waker never sees a half-saved stack. S1 makes that wait short.
 *   S4  Each park is ended by exactly one ready.
 *   S5  After weft__park the goroutine may be on another thread: no m, p, thread-local or its address is kept across.
 */
#ifndef WEFT_SCHED_SCHED_H
#define WEFT_SCHED_SCHED_H
#include <weft/go.h>

#include "../arch/arch.h"
#include "../arch/fiber.h"
#include "../base/assert.h"
#include "../base/lock.h"

struct weft__m;
struct weft__p;
struct weft__defer; /* unwind/defer.c */
struct weft__try;   /* unwind/try.c */
struct weft__panic; /* unwind/panic.c */

enum weft__wait {
#define X(name, text) WEFT__WAIT_##name,
#include "wait.def"
#undef X
    WEFT__WAIT_COUNT
};
/* The words a dump shows for a wait reason. */
const char *weft__wait_text(enum weft__wait w);

/* What arch/switch.S saves and loads; field offsets are known there (checked in stack.c). */
struct weft__sw {
    void *sp;                 /* [own] saved stack pointer while not running */
    _Atomic uint32_t on_cpu;  /* [G1] 1 while a thread runs on this stack; the switch clears it after saving sp */
};

/* NEW: taken from a free list, not queued yet. OLD is a flag of the scavenger's (scavenge.c, V4) on PARKED and DEAD. */
enum weft__gstate { WEFT__G_DEAD, WEFT__G_RUNNABLE, WEFT__G_RUNNING, WEFT__G_PARKED, WEFT__G_NEW, WEFT__G_OLD = 8 };

/* What timers are for. A timer holds the number; what its kind does is told before main, by weft__timer_know. */
enum weft__timer_use {
    WEFT__TIMER_UNUSED, WEFT__TIMER_SLEEP, WEFT__TIMER_SELECT, WEFT__TIMER_POLL, WEFT__TIMER_CTX, WEFT__TIMER_CHAN,
    WEFT__TIMER_TICK, WEFT__TIMER_FUNC, WEFT__TIMER_ALARM, WEFT__TIMER_TEST, WEFT__TIMER_USES
};

struct weft__timer;
/* What the timers of one use have in common. fn runs on a scheduler stack, without any lock: it may ready and take short
 * locks, it may not park. */
struct weft__timer_kind {
    void (*fn)(struct weft__timer *t);
    bool (*asleep)(struct weft__timer *t);          /* for wakes == false: true when nobody waits on it, or NULL */
    bool wakes;                                     /* firing readies or starts somebody whoever waits: counts against a
                                                       deadlock. A channel timer has false and answers by asleep() */
    bool sure;                                      /* never stopped or moved: it need not know its place in the heap */
    uint16_t period_at;                             /* bytes from the timer to its period, a weft_dur [const] while active;
                                                       0: it fires once */
};

/*
 * A timer. The owner's storage; zeroed is "never started". Many may be pending, so it is kept small: when it is due is in
 * the heap, and its owner finds itself by where the timer lies in it.
 *   T1  home is 1 + the number of the P whose heap holds it, or 0; written under that P's timer lock.
 */
struct weft__timer {
    uint32_t heap_i;                                /* [heap lock] place in the heap */
    _Atomic uint16_t home;                          /* [T1] */
    uint8_t use;                                    /* [const] while active: enum weft__timer_use */
    uint8_t mark;                                   /* [own] the owner's */
};

/* What holds the member that p points to. */
#define WEFT__OWNER(p, type, member) ((type *)((char *)(p) - offsetof(type, member)))

/* From a constructor of the file that has such timers. */
void weft__timer_know(enum weft__timer_use use, const struct weft__timer_kind *kind);

/*
 * Of a goroutine that waits for 8 bytes, in its frame. weft__ready_with queues this in place of the goroutine, so that who
 * sends touches neither its stack nor its descriptor: the bytes are put when its turn has come (runq.c, Q3).
 */
struct weft__waiter; /* what it waits for has lines of these, each around a taker: chan/chan_int.h */
struct weft__taker {
    union {
        struct weft__waiter *line; /* [lock of what it waits for] in its line */
        uintptr_t next;           /* [sched.lock] in the global queue: it is in no line then (Q3) */
    };
    struct weft__g *g;            /* [const] */
    void *p;                      /* [const] where the bytes go */
    union {
        const void *near;         /* [const] what it will touch next, to be fetched ahead; or NULL */
        struct {
            uint32_t index, elem; /* [const] in a select: for its use */
        };
    };
    bool ok;                      /* [lock of what it waits for; the queue's after Q3] they have been put */
    bool queued;                  /* [lock of what it waits for] for its use */
} __attribute__((aligned(8)));


/* A goroutine. At the top of its own stack slot; never given back to malloc (S6: a stale pointer is still a g). */
struct weft__g {
    /* first cache line: what a switch touches */
    struct weft__sw sw;              /* first: arch/switch.S */
    struct weft__g *next;            /* [own of the list it is in] global queue, free lists */
    _Atomic uint32_t state;          /* [stat; V1] enum weft__gstate, for dumps, asserts and the scavenger */
    _Atomic uint32_t wait;           /* [stat] enum weft__wait */
    struct weft__m *m;               /* [own] the thread it runs on; or the one it is tied to (tied) */
    bool tied;                       /* [own] runs on m only: foreign thread, lock_thread, blocky, pins */
    bool blocky;                     /* [own; monitor under a claim; KP2] to be run tied, on a thread without a P (worker.c) */
    bool is_main;                    /* [const] goroutine 1 */
    bool sized;                      /* [const] its stack is not of the default class: stack.c */
    uint8_t exiting;                 /* [own] goexit under way */
    bool has_locals;                 /* [own; LV1] locals is not empty */
    int saved_errno;                 /* [own] errno across a park */
    _Atomic uint32_t hold;           /* [V1, V2] 1 while the scavenger gives memory of its stack back */
    _Atomic uint64_t id;             /* [stat] from 1; 0 while dead */
    /* second: birth and death */
    uint64_t parent_id;              /* [const] goroutine that made it */
    const struct weft__site *site;   /* [const] the weft_go that made it; NULL for main and foreign threads */
    void (*at_end)(void *, long);    /* [const] struct weft__call */
    void *owner;                     /* [const] */
    struct weft__try *try_top;       /* [own] innermost weft_try: unwind/ */
    struct weft__defer *defer_top;   /* [own] innermost deferred call: unwind/ */
    struct weft__panic *panic;       /* [own] innermost panic under way: unwind/ */
    char *panic_text;                /* [own] last recovered message and its history (panic.c); freed with the next one or at
                                        the end */
    uint32_t blocked_seen;           /* [own; monitor under a claim] times the monitor saw it blocked, one soon after the other */
    _Atomic uint32_t wake;           /* [G2] tied goroutines: futex word */
    /* the rest */
    char *stack_lo;                  /* [const] lowest usable byte, above the guard */
    char *stack_hi;                  /* [const] one past the highest */
    char *limit;                     /* [own] small-stack mode: what %fs:0x70 is while it runs; NULL on a full stack */
    struct weft__g *full;            /* [own] small-stack mode: descriptor of the full stack that it is on, or NULL */
    struct weft__try *panic_within;  /* [own] the weft_try around the one that stopped it */
    bool system;                     /* [const] the runtime's own: dumps leave it out */
    uint8_t stack_class;             /* [const] size of the slot: stack.c */
    uint32_t lock_thread_depth;      /* [own] */
    uint32_t pins;                   /* [own] keep.c */
    _Atomic uint32_t wg_returns;     /* [own; WG5] waits for a waitgroup that have parked and returned; never reset */
    uint32_t blocky_parks;           /* [own] parks since it was tied for that */
    uint32_t blocky_limit;           /* [own; monitor under a claim] parks after which it is tried with a P again: blocky.c */
    uint32_t blocky_at;              /* [own; monitor under a claim] ms, wraps: last found blocked, tied for it, or tried with
                                        a P again */
    char label[24];                  /* [own] weft_go_named */
    struct weft__timer timer;        /* [own] sleep and timed waits */
    void *fiber;                     /* [own] ThreadSanitizer */
    void *fake_stack;                /* [own] AddressSanitizer */
    void *timed;                     /* [const while timer is active] whose time limit it is: chan/select.c */
    struct weft__local *locals;      /* [own; LV1] weft_local_set: local.c */
};

/* KP2: of the running goroutine, outside of a section. */
static inline bool weft__is_blocky(const struct weft__g *g)
{
    return __atomic_load_n(&g->blocky, __ATOMIC_RELAXED);
}

/* What a dump shows: without the scavenger's flag. */
static inline uint32_t weft__g_state(const struct weft__g *g)
{
    return atomic_load_explicit(&g->state, memory_order_relaxed) & ~(uint32_t)WEFT__G_OLD;
}

/* The calling goroutine. Starts the runtime; makes a foreign thread a tied goroutine. Never NULL. */
struct weft__g *weft__g(void);
/* The calling goroutine, but NULL when the thread is not weft's or is on a scheduler stack. */
struct weft__g *weft__g_or_null(void);
/* How an m begins: what weft__self reads of it. */
struct weft__m_head {
    struct weft__sw g0;
    struct weft__g *g;
};
/* weft__g without a call, where the thread is known; not under ThreadSanitizer, which would report the scheduler's word. */
static inline struct weft__g *weft__self(void)
{
    if (WEFT__TSAN)
        return weft__g();
    struct weft__m_head *m = (struct weft__m_head *)weft__m();
    struct weft__g *g = weft__likely(m != NULL) ? m->g : NULL;

    return weft__likely(g != NULL) ? g : weft__g();
}
/* weft__g_or_null without a call, likewise. */
static inline struct weft__g *weft__self_or_null(void)
{
    if (WEFT__TSAN)
        return weft__g_or_null();
    struct weft__m_head *m = (struct weft__m_head *)weft__m();

    return weft__likely(m != NULL) ? m->g : NULL;
}
/* Starts the runtime and makes the calling thread known, where that has not happened. Any stack. */
void weft__ensure_started(void);
/* Park the calling goroutine until weft__ready. See S1-S5. */
WEFT_PARKS void weft__park(enum weft__wait why);
/* The same on a small stack (small.c), by way of the scheduler's stack. Not for tied goroutines. */
WEFT_PARKS void weft__park_small(enum weft__wait why);
/* Has the small stack overflowed? Then fatal. */
void weft__small_check(const struct weft__g *g);
/* A look: does a goroutine wait for the caller's processor? That one's number, from 1 on; 0: none does, or there is no processor. */
uint32_t weft__ready_before(void);
/* Make a parked (S3: or parking) goroutine runnable. Any thread, any stack; holds no lock. */
void weft__ready(struct weft__g *g);
/* The same for all of a list, linked by next, in its order. */
void weft__ready_all(struct weft__g *g);

/* Puts the 8 bytes, sets ok and makes the goroutine runnable: now, or when its turn comes. It is not tied, and S2 holds. */
void weft__ready_with(struct weft__taker *t, uint64_t v);

/* Timers (sched/timer.c). start of an active timer moves it; move does only that, false: it was not active. Not for
 * one with a period. stop: true if it was active. fn may still be running on another thread when stop or move returns false. None
 * parks; all take only the heap's lock, and after it is dropped none looks at t again. */
void weft__timer_start(struct weft__timer *t, weft_time when);
bool weft__timer_move(struct weft__timer *t, weft_time when);
bool weft__timer_stop(struct weft__timer *t);

/* Returns when fn of t is not running on another thread. Not from within fn. */
void weft__timer_quiesce(struct weft__timer *t);

/* Monotonic clock, ns; simulation replaces it (src/sys). */
weft_time weft__now(void);
/* An instant from now to 20 us after it: for deadlines, which may be late and never early. About half the price. */
weft_time weft__now_later(void);
/* When the net was looked at last, which in a program that uses it is some milliseconds ago: a read of memory. 0: never yet. */
weft_time weft__net_seen(void);
/* Uniform random number below n (n >= 1), cheap, per thread. */
uint32_t weft__rand_below(uint32_t n);

/* Something outside (signals, a thread of the embedder) can still wake goroutines: no deadlock reports. */
void weft__no_deadlock_check(void);

/* For dumps: stop every worker at its next scheduling point, for good (the process is about to end). */
void weft__freeze_world(void);
/* Who is queued as a taker gets the state of who is runnable; weft__freeze_world has done it. For reports, outside of sections. */
void weft__takers_show(void);
/* Calls fn for each goroutine that exists. Only exact after weft__freeze_world. */
void weft__g_each(void (*fn)(struct weft__g *g, void *arg), void *arg);
/* A goroutine that has not run yet and so has no stack: weft__g_each does not know it. */
struct weft__unborn {
    uint64_t id, parent_id;
    const struct weft__site *site;
    const void *record;   /* the memory that its arguments wait in */
    size_t record_bytes;
};
/* Calls fn for each of them. Only exact after weft__freeze_world. */
void weft__spawn_each(void (*fn)(const struct weft__unborn *u, void *arg), void *arg);
/* Finds the goroutine whose stack slot (guard included) holds addr; NULL if none. Async-signal-safe. */
struct weft__g *weft__g_by_addr(const void *addr);
/* The thread that a running goroutine is on; 0 when it is not known. Only after weft__freeze_world. */
int weft__g_tid(const struct weft__g *g);
/* Ends the calling goroutine for good, its stack frames already unwound. Runs at_end. */
_Noreturn void weft__g_finish(long result);
/* Drops the values of the calling goroutine, which ends: runs the user's functions, which may park. */
WEFT_PARKS void weft__local_end(struct weft__g *g);

#endif
