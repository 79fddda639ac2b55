/*
 * sched_int.h - the scheduler's own structures: m (a thread), p (a processor), the shared state. Private to src/sched.
 *
 * Words: worker or m = thread; p = right to run goroutines, with its run queue; claim = another thread's short hold on
 * an m's p; tied = a goroutine that runs on one m only, without a p unless that is for pins alone (keep.c).
 *
 * THE P-CLAIM (docs/design/sched.md). A p's queue has no atomic read-modify-write and no lock: whoever runs the m that
 * owns it touches it between weft__enter and weft__leave. Another thread (thief, monitor, dump) may touch it too:
 *   owner   in = 1; compiler fence; if (claim) {in = 0; wait for claim == 0; again}; ... ; in = 0
 *   other   claim: 0 -> 1 (CAS); membarrier on all threads; if (in) {claim = 0; give up}; ...; claim = 0
 *   M1 sb   in store  ->  claim load   |  claim CAS, membarrier  ->  in load. The barrier makes the owner's two steps
 *           ordered for every thread, so not both sides can miss the other; the owner pays no fence.
 *   M2      in = 0 release  ->  in load acquire.      Carries the owner's queue to the claimer.
 *   M3      claim = 0 release  ->  claim load acquire. Carries the claimer's changes (also of m->p) back.
 * Without membarrier(2) (sched.fenced) claim has the bit WEFT__CLAIM_FENCED for good: the owner's short way is never open,
 * and the other one has a fence between the two steps. What else leaves its fence to membarrier: I1 (idle.c), V1 (scavenge.c).
 * Model: tests/model/claim.pml.
 */
#ifndef WEFT_SCHED_SCHED_INT_H
#define WEFT_SCHED_SCHED_INT_H
#include "../arch/arch.h"
#include "../arch/fiber.h"
#include "../sys/sys.h"
#include "../diag/hook.h"
#include "policy.h"
#include "sched.h"

enum {
    WEFT__PROCS_MAX = 256,
    WEFT__THREADS_MAX = 10000,        /* as Go's debug.SetMaxThreads */
    WEFT__RUNQ_START = 256,           /* slots of a fresh run queue; doubles while memory lasts */
    WEFT__GFREE_KEEP = 256,           /* dead goroutines a p keeps for itself */
    WEFT__GFREE_BATCH = 64,           /* and takes from the shared list at once */
    WEFT__SPAWN_KEEP = 2048,          /* free spawn records that a p keeps for itself */
    WEFT__LOOK_EVERY = 16,            /* looks at the global queue between looks at timers and net; a power of two */
    WEFT__GUARD_BYTES = 16384,
    WEFT__SCHED_STACK_BYTES = 128 * 1024
};
enum { WEFT__CLAIM_TAKEN = 1, WEFT__CLAIM_FENCED = 2, WEFT__CLAIM_FROZEN = 4 }; /* m->claim; FROZEN: a report has taken it, for good */
#define WEFT__NEVER INT64_MAX

/* What a run queue holds: the address of a g, with bit 0 set of a weft__spawn, with bit 1 set of a weft__taker. 0: none. */
typedef uintptr_t weft__runnable;
enum { WEFT__IS_SPAWN = 1, WEFT__IS_TAKER = 2, WEFT__RUNNABLE_BITS = 3 };

/*
 * A goroutine that has not run yet: what weft_go captured, without a stack (spawn.c). It becomes a g when its turn comes,
 * on a stack that is warm by then.
 */
struct weft__spawn {
    union {
        struct weft__spawn *free_next; /* [own of the free list] */
        weft__runnable next;           /* [sched.lock] in the global queue */
    };
    _Atomic uint64_t id;              /* [stat] 0 while free */
    const struct weft__site *site;    /* [const, as the rest] struct weft__call */
    void *fn;
    uint64_t parent_id;
    void (*at_end)(void *, long);
    uint64_t args[WEFT__INT_REGS];    /* the integer argument registers, as weft__go_entry saves them; of a site with
                                         ints_only == 2 the first two, and the second line is not touched */
    void *owner;                      /* only with at_end */
} __attribute__((aligned(128)));

/* One entry of the timer heap; when is copied here so that sifting looks at no timer. */
struct weft__theap_entry {
    weft_time when;
    uintptr_t t; /* the timer's address; bit 0: it is never stopped or moved, its heap_i is not kept up */
};

struct weft__p {
    struct weft__m *_Atomic m;        /* [sched.lock for writes; claim] owner, NULL while idle or between owners */
    int id;                           /* [const] 0 .. */
    _Atomic uint32_t tick;            /* [own; stat for the monitor] goroutines started, wraps */
    _Atomic uint32_t poke;            /* [stat] monitor: look at timers, net and global queue now */
    _Atomic weft__runnable next;      /* [own/claim] runs before the queue; never stolen at once; no spawn record */
    _Atomic uint32_t turn;            /* [stat] monitor: those that hand over by next compute long: the queue's turn */
    int32_t next_run;                 /* [own] times in a row that next jumped the queue; below 0 they do not count yet */
    bool from_global;                 /* [own] the last one that was taken out of turn came from the global queue */
    _Atomic uint32_t head, tail;      /* [own/claim; stat for others] free running, queue is ring[head .. tail-1] */
    uint32_t slots;                   /* [own/claim] 0 or a power of two */
    weft__runnable *ring;             /* [own/claim] slots, and as many 8 bytes for the takers among them (Q3) */
    struct weft__g *gfree;            /* [own/claim] dead goroutines, warm first */
    uint32_t gfree_n;                 /* [own/claim] */
    uint32_t spawn_free_n;            /* [own/claim] */
    struct weft__spawn *spawn_free;   /* [own/claim] spawn records, warm first */
    char *range;                      /* [own/claim] slots never used, for its next goroutines (stack.c, K2) */
    uint32_t range_n;                 /* [own/claim] */
    uint64_t next_bytes;              /* [own/claim] for next where it is a taker (Q3) */
    uint64_t id_next, id_end;         /* [own] goroutine numbers taken in batches */
    _Atomic int64_t created;          /* [own; stat] goroutines started minus ended here */
    struct weft__p *idle_next;        /* [sched.lock] */
    bool idle;                        /* [sched.lock] on the idle list */
    bool retired;                     /* [sched.lock] beyond weft_procs: out of use, without owner, its queue empty */
    bool asked_spinning;              /* [sched.lock] while on asked_p: thread.c */

    struct weft__lock tlock;          /* guards the heap; short */
    struct weft__theap_entry *heap;   /* [tlock] 4-ary, earliest first */
    uint32_t heap_n, heap_cap;        /* [tlock] */
    _Atomic weft_time heap_when;      /* [tlock for writes; stat] earliest, or WEFT__NEVER */
    struct weft__timer *_Atomic firing; /* [stat] its fn is running now, on heap_runner's thread (edge T2) */
    struct weft__m *_Atomic heap_runner; /* [tlock for writes; stat] who runs this heap's due timers, or NULL */

    uint32_t due_head;                /* [own/claim] head after the last weft__runq_due_first */
    uint32_t due_saved;               /* [own] how many have left the queue since then, and before, for whom nobody went ahead */
    uint32_t mon_tick;                /* [monitor] tick when last seen */
    weft_time mon_since;              /* [monitor] first time it was seen at mon_tick */
    int64_t mon_cpu;                  /* [monitor] CPU of the owner's thread then */
    weft_dur mon_ask;                 /* [monitor] not asked before it has stood still so long: what the owner's thread does */
    uint32_t mon_row;                 /* [monitor] tick when its goroutine was last found blocked */
    int64_t mon_last;                /* [monitor] CPU time of the owner's thread at its last look, since mon_since */
    struct weft__m *mon_m;            /* [monitor] owner then */
    _Atomic weft_time watch_at;       /* [stat, thieves'] a thief has looked at it then, */
    _Atomic uint32_t watch_act;       /* [stat, thieves'] when this many were started and queued */
    _Atomic uint32_t watched;         /* [stat, thieves'] 1: that was the first of two looks */
    _Atomic uint32_t alone;           /* [I8] 1: nobody robs it, and what it queues wakes nobody; rob.c */
    _Atomic uint32_t still;           /* [stat, monitor's] 1: its goroutine goes on, so it is not quick */
    _Atomic weft_time alone_until;    /* [stat, thieves'] when that ends, or ended */
    _Atomic weft_time robbed_at;      /* [stat, thieves'] last theft */
} __attribute__((aligned(128)));

struct weft__m {
    struct weft__sw g0;               /* the scheduler's stack; first, as in a g */
    struct weft__g *g;                /* [own] running goroutine, NULL on the scheduler's stack */
    struct weft__g *full;             /* [own] small-stack mode: a free full stack, or NULL */
    struct weft__p *_Atomic p;        /* [own/claim] NULL: runs without */
    _Atomic uint32_t in;              /* [M1, M2] 1 while inside a section that touches p */
    _Atomic uint32_t claim;           /* [M1, M3] bit 0 while another thread holds the p; bit 1: WEFT__CLAIM_FENCED */
    _Atomic uint32_t wake;            /* [W1] futex word of an idle worker */
    bool spinning;                    /* [own] counted in sched.nspinning */
    bool foreign;                     /* [const] a thread that weft did not start */
    bool idle;                        /* [sched.lock] on the idle list */
    bool less;                        /* [own] counted in sched.nless: runs a goroutine without a p */
    bool listed;                      /* [own] in sched.all_m */
    bool ends;                        /* [own] its goroutine has ended locked to it: so does the thread */
    _Atomic uint32_t reading;         /* [R1, R2] odd inside a read section (section.c) */
    struct weft__g *dead;             /* [own] ended goroutine to reclaim on the scheduler's stack */
    struct weft__g *requeue;          /* [own] goroutine that yielded, to be queued from the scheduler's stack */
    struct weft__g *tied_g;           /* [sched.lock until woken] goroutine to run without a p */
    uint32_t fruitless;               /* [own] times in a row that it saw work and did not get it */
    weft_time duty;                   /* [own; I5] when it will wake for timers, or WEFT__NEVER */
    struct weft__m *idle_next;        /* [sched.lock] */
    struct weft__m *all_next;         /* [const] */
    uint64_t rng;                     /* [own] */
    struct weft__sys_look look;       /* [own] weft__now_later */
    int *errno_at;                    /* [const] this thread's errno */
    _Atomic int cpu_clock;            /* [MT1] while the thread runs; 0 before and after */
    _Atomic int tid;                  /* [MT1] its thread's */
    char *g0_lo;                      /* [const] bounds of the scheduler's stack, for AddressSanitizer */
    size_t g0_bytes;                  /* [const] */
    void *g0_fiber;                   /* [const] ThreadSanitizer */
    void *g0_fake;                    /* [own] AddressSanitizer */
} __attribute__((aligned(128)));

struct weft__sched {
    struct weft__lock lock;           /* global queue, idle lists, p ownership */
    weft__runnable gq_head, gq_tail;  /* [lock] global queue, linked by next of what it holds */
    _Atomic uint32_t gq_n;            /* [lock for writes] */
    struct weft__p *idle_p;           /* [lock] */
    _Atomic uint32_t nidle;           /* [lock for writes; I1] idle ps */
    struct weft__m *idle_m;           /* [lock] sleeping workers, latest first */
    struct weft__m *ended;            /* [lock; B4] ms without a thread, linked by idle_next */
    struct weft__p *asked_p;          /* [lock; B3] ps that the monitor is to start workers for, linked by idle_next */
    _Atomic uint32_t asked;           /* futex word of the monitor: 1 when asked_p has come */
    _Atomic int mon_tid;              /* [const] the monitor's thread */
    _Atomic weft_time duty_until;     /* [lock for writes; stat; I5] earliest instant a sleeper will wake for timers, or WEFT__NEVER */
    _Atomic uint32_t nspinning;       /* [I1] workers looking for work */
    _Atomic uint32_t nless;           /* [D1] ms that run a goroutine without a p (foreign threads not counted) */
    _Atomic uint32_t poller;          /* 1 while a worker is in weft__poll */
    _Atomic uint32_t poll_sleeping, poll_turns; /* 1 while that call may sleep; [stat; NT1] queued there after the last one */
    _Atomic weft_time poll_last;      /* [stat] when the net was looked at */
    _Atomic int procs;                /* [lock for writes] */
    _Atomic uint32_t nbusy;           /* [lock for writes; I6] ps that are neither idle nor retired */
    _Atomic uint32_t takes;           /* [D1] times that an idle p was taken or a tied goroutine readied, wraps */
    struct weft__p *_Atomic ps[WEFT__PROCS_MAX]; /* [const once set] */
    _Atomic int ps_n;                 /* ps ever made */
    struct weft__m *_Atomic all_m;    /* push only; every m, also of foreign threads */
    _Atomic uint32_t nm;              /* threads that weft started, and the main thread */
    struct weft__lock gfree_lock;
    struct weft__g *gfree;            /* [gfree_lock] */
    _Atomic uint32_t gfree_n;         /* [gfree_lock for writes] */
    _Atomic uint64_t id_next;         /* goroutine numbers */
    _Atomic int64_t created;          /* started minus ended outside any p */
    _Atomic uint32_t frozen;          /* 1: the process is about to end, nobody schedules */
    _Atomic uint32_t no_deadlock;     /* signals or an embedder can wake goroutines */
    _Atomic uint32_t foreign_parked;  /* foreign threads parked in weft */
    _Atomic uint32_t mon_sleep;       /* [W2] futex word: 1 while the monitor sleeps for good */
    _Atomic uint32_t look;            /* [W2] 1: only the program's own threads stand between here and a deadlock */
    struct weft__g *main_g;           /* [const] */
    const struct weft__site *_Atomic blocky_site; /* [stat; monitor's] goroutines from here are expected to block, NULL: none */
    _Atomic uint32_t main_exited;     /* goroutine 1 has ended by goexit */
    bool fenced;                      /* [const] no membarrier(2) here */
    _Atomic weft_time mon_until;      /* [MT3] the monitor will not look before then, unless woken; 0: it will soon */
    int threads_before;               /* [const] threads of the process that are neither weft's nor the program's */
};
extern struct weft__sched weft__sched;

/* ---- the claim ---- */
bool weft__enter_slow(struct weft__m *m);

/* Owner's side. Returns the p, or NULL when the m has none (foreign, tied, or retaken). Always followed by leave. */
static inline struct weft__p *weft__enter(struct weft__m *m)
{
#if WEFT__TSAN
    atomic_store_explicit(&m->in, 1, memory_order_seq_cst);
    if (atomic_load_explicit(&m->claim, memory_order_seq_cst) != 0) /* M1 sb, M3 */
#else
    atomic_store_explicit(&m->in, 1, memory_order_relaxed);         /* M1 sb: the claimer's membarrier orders */
    atomic_signal_fence(memory_order_seq_cst);
    if (weft__unlikely(atomic_load_explicit(&m->claim, memory_order_acquire) != 0)) /* M1 sb, M3 */
#endif
        weft__enter_slow(m);
    return atomic_load_explicit(&m->p, memory_order_relaxed);
}

/* Without a wait: false, and outside, where somebody holds the claim, or always under ThreadSanitizer. */
static inline bool weft__enter_try(struct weft__m *m)
{
    if (WEFT__TSAN)
        return false;
    atomic_store_explicit(&m->in, 1, memory_order_relaxed);         /* M1 sb: the claimer's membarrier orders */
    atomic_signal_fence(memory_order_seq_cst);
    if (weft__likely(atomic_load_explicit(&m->claim, memory_order_acquire) == 0)) /* M1 sb, M3 */
        return true;
    atomic_store_explicit(&m->in, 0, memory_order_release);         /* M2 */
    return false;
}

static inline void weft__leave(struct weft__m *m)
{
    atomic_store_explicit(&m->in, 0, memory_order_release);         /* M2 */
}

/* A goroutine that lost its p takes an idle one if there is one. Inside the section; NULL if not. */
struct weft__p *weft__regain(struct weft__m *m);

static inline struct weft__p *weft__enter_regain(struct weft__m *m)
{
    struct weft__p *p = weft__enter(m);
    return weft__likely(p != NULL) ? p : weft__regain(m);
}

/* Other side: true when the caller now holds m's p (which may be NULL). Call unclaim soon. */
bool weft__claim(struct weft__m *m);
void weft__unclaim(struct weft__m *m);

/* ---- run queues: owner inside enter/leave, or claimer ---- */
bool weft__runq_grow(struct weft__p *p);

static inline uint32_t weft__runq_len(const struct weft__p *p)
{
    return atomic_load_explicit(&p->tail, memory_order_relaxed) - atomic_load_explicit(&p->head, memory_order_relaxed);
}

static inline struct weft__taker *weft__taker_of(weft__runnable r)
{
    return (struct weft__taker *)(r - WEFT__IS_TAKER);
}

/* Its link in the global queue. */
static inline weft__runnable *weft__runnable_next(weft__runnable r)
{
    if (r & WEFT__IS_SPAWN)
        return &((struct weft__spawn *)(r - WEFT__IS_SPAWN))->next;
    return r & WEFT__IS_TAKER ? &weft__taker_of(r)->next : (weft__runnable *)&((struct weft__g *)r)->next;
}

static inline bool weft__runq_full(const struct weft__p *p)
{
    return weft__runq_len(p) >= p->slots;
}

/* There is room. */
static inline void weft__runq_add(struct weft__p *p, weft__runnable r)
{
    uint32_t t = atomic_load_explicit(&p->tail, memory_order_relaxed);

    p->ring[t & (p->slots - 1)] = r;
    atomic_store_explicit(&p->tail, t + 1, memory_order_relaxed);
}

/* There is room. */
static inline void weft__runq_add_taker(struct weft__p *p, struct weft__taker *t, uint64_t v)
{
    uint32_t at = atomic_load_explicit(&p->tail, memory_order_relaxed) & (p->slots - 1);

    p->ring[p->slots + at] = v;
    weft__runq_add(p, (weft__runnable)t | WEFT__IS_TAKER);
}

/* False when the ring is full and memory is short. Not a taker. Invariant Q1 (runq.c). */
static inline bool weft__runq_push(struct weft__p *p, weft__runnable r)
{
    if (weft__unlikely(weft__runq_full(p)) && !weft__runq_grow(p))
        return false;
    weft__runq_add(p, r);
    return true;
}

/* taker.c, Q3: v to where t wants it; t's goroutine, which is runnable now. NULL, and t is the queue's last: it is not off its CPU
 * yet, or the scavenger has its stack (Q4). */
struct weft__g *weft__deliver_or_put(struct weft__p *p, struct weft__taker *t, uint64_t v);
/* p's next is a taker: the slot is empty then. As weft__runq_pop_any. */
struct weft__g *weft__next_deliver(struct weft__p *p);
/* weft__runq_pop where takers are among the first of a queue that is not empty. */
weft__runnable weft__runq_pop_any(struct weft__p *p);

/* The oldest, a taker as its goroutine. 0: none; or a taker whose time has not come, which is the last now: look again, but
 * leave the section first (Q4). All that takers need is in calls that keep nothing alive: a parked goroutine's stack begins with
 * the frame that this is in, and each line more of it is a cache miss more. */
static inline weft__runnable weft__runq_pop(struct weft__p *p)
{
    uint32_t h = atomic_load_explicit(&p->head, memory_order_relaxed);
    uint32_t n = atomic_load_explicit(&p->tail, memory_order_relaxed) - h;

    if (n == 0)
        return 0;
    weft__runnable r = p->ring[h & (p->slots - 1)];
    if (n > 6) { /* a cold goroutine is a cache miss, then another one for its stack: start them early */
        weft__runnable later = p->ring[(h + 6) & (p->slots - 1)], soon = p->ring[(h + 3) & (p->slots - 1)];
        if (weft__unlikely(((r | later | soon) & WEFT__IS_TAKER) != 0))
            return weft__runq_pop_any(p);
        __builtin_prefetch((const char *)later);
        if (later & WEFT__IS_SPAWN)
            __builtin_prefetch((const char *)later + 64);
        if (!(soon & WEFT__IS_SPAWN)) {
            const char *sp = ((struct weft__g *)soon)->sw.sp;
            __builtin_prefetch(sp);
            __builtin_prefetch(sp + 64);
            __builtin_prefetch(sp + 128);
        }
    } else if (weft__unlikely((r & WEFT__IS_TAKER) != 0)) {
        return weft__runq_pop_any(p);
    }
    atomic_store_explicit(&p->head, h + 1, memory_order_relaxed);
    return r;
}

/* The goroutine; a spawn record gets its stack now. NULL for 0. By p's owner inside enter/leave. */
struct weft__g *weft__spawn_bind(struct weft__p *p, struct weft__spawn *s);

static inline struct weft__g *weft__runnable_g(struct weft__p *p, weft__runnable r)
{
    if (weft__unlikely(r & WEFT__IS_SPAWN))
        return weft__spawn_bind(p, (struct weft__spawn *)(r - 1));
    return (struct weft__g *)r;
}

/* Queue or, when memory for the ring is short, the global queue. Not for takers: */
void weft__p_put(struct weft__p *p, weft__runnable r);
void weft__p_put_taker(struct weft__p *p, struct weft__taker *t, uint64_t v);
bool weft__p_put_next(struct weft__p *p, struct weft__g *g); /* g is next now, what was next is queued; was there any? */
void weft__global_put(weft__runnable r);
/* Next and the `most` oldest in the queue to the global queue, as they are: a record gets no stack for that. A cache miss or two
 * each. Owner inside enter/leave, claimer, or who holds a p without an owner. */
void weft__runq_spill(struct weft__p *p, uint32_t most);
/* What timers have queued behind the `before` that were there goes ahead of them, but for half of those at most that leave the
 * queue (the next slot's turns are no turns of the queue): who waits there waits twice as long in the end. Owner inside enter/leave. */
void weft__runq_due_first(struct weft__p *p, uint32_t before);
/* Up to n from the global queue: the first is returned, the others go to p's queue; so does a first that is a taker whose time
 * has not come. */
struct weft__g *weft__global_get(struct weft__p *p, uint32_t n);
/* Half of a busy p's queue into p's; the first is returned. NULL: no luck, or as weft__runq_pop. */
struct weft__g *weft__steal(struct weft__m *me, struct weft__p *p);

/* One more is started. */
static inline void weft__p_tick(struct weft__p *p)
{
    atomic_store_explicit(&p->tick, atomic_load_explicit(&p->tick, memory_order_relaxed) + 1, memory_order_relaxed);
}

/* Is it time to look at the timers and the net, though the monitor has not asked for it? Its thread may be kept from running
 * where this one has a real-time class, or all of the CPU. */
static inline bool weft__p_long_since(uint32_t tick)
{
    return (tick & (WEFT__LOOK_EVERY * weft__policy.global_every - 1)) == 0;
}

/* Before the next one is started, should the scheduler look at timers, net or the global queue? */
static inline bool weft__p_wants_look(const struct weft__p *p)
{
    uint32_t tick = atomic_load_explicit(&p->tick, memory_order_relaxed);

    return atomic_load_explicit(&p->poke, memory_order_relaxed) != 0 ||
           ((tick & (weft__policy.global_every - 1)) == 0 &&
            (atomic_load_explicit(&weft__sched.gq_n, memory_order_relaxed) != 0 || weft__p_long_since(tick)));
}

/* If p's next is the first in the queue, and a spawn record, and nothing else is to be looked at before it: that, its turn has
 * begun. Owner inside enter/leave. */
static inline struct weft__spawn *weft__runq_spawn(struct weft__p *p)
{
    if (atomic_load_explicit(&p->next, memory_order_relaxed) || atomic_load_explicit(&p->turn, memory_order_relaxed) != 0 ||
        weft__runq_len(p) == 0 || weft__p_wants_look(p))
        return NULL;
    weft__runnable r = p->ring[atomic_load_explicit(&p->head, memory_order_relaxed) & (p->slots - 1)];
    if (!(r & 1))
        return NULL;
    struct weft__spawn *s = (struct weft__spawn *)(r - 1);
    if (weft__unlikely(atomic_load_explicit(&weft__sched.blocky_site, memory_order_relaxed) == s->site))
        return NULL;
    (void)weft__runq_pop(p);
    p->next_run = 0;
    weft__p_tick(p);
    return s;
}

/* ---- rob.c ---- */
/* Is it a gain to rob v, in whose queue so many wait? Asked again and again by who has nothing to run. */
bool weft__rob_pays(struct weft__p *v, uint32_t waiting);

/* ---- workers: worker.c, idle.c ---- */
void weft__drop_p(struct weft__m *m);          /* the running goroutine goes on without its p; who has use for it gets it */
bool weft__p_has_nothing(struct weft__p *p);   /* neither it nor anybody has something for it to run; owner inside enter/leave */
void weft__idle_cover(bool all_idle);          /* after weft__p_release by a thread that does not go to sleep in weft__idle */
void weft__schedule(void);                     /* the scheduler's loop, on an m's own stack; returns when the thread is to end */
struct weft__m *weft__adopt(void);             /* makes the calling thread known; starts the runtime */
void weft__wake_worker(void);                  /* there is work for one more: wakes one if nobody is looking */
void weft__hand_off(struct weft__p *p);        /* a p whose owner is gone: to another worker, or idle */
void weft__p_place(struct weft__p *p, bool spinning); /* the same; spinning: its worker is counted in nspinning */
void weft__run_tied(struct weft__g *g);        /* give g to a worker that runs it without a p */
void weft__idle(struct weft__m *m);            /* no work: sleep; returns with m->p or m->tied_g set, or to look again */
struct weft__p *weft__p_try_idle(void);        /* take an idle p, or NULL */
void weft__p_take(struct weft__m *m, struct weft__p *p);
bool weft__p_release(struct weft__m *m);       /* to the idle list; true if all are there now */
bool weft__all_idle(void);                     /* no p has an owner, or is between two (I6) */
void weft__less_set(struct weft__m *m, bool less);
void weft__stop_if_frozen(void);
void weft__deadlock_check(void);
bool weft__deadlock_try(void);                 /* the same, but true: undecided, for the program's own threads may go on */
void weft__deadlock_again(void);               /* one of those has ended: the monitor is to look */
bool weft__poll_now(struct weft__m *m, weft_dur timeout); /* one weft__poll, and ready what it found */
void weft__wake_m(struct weft__m *m);

/* ---- threads: thread.c ---- */
struct weft__m *weft__m_new(void);
void weft__m_list(struct weft__m *m);          /* weft__sched.all_m knows it from now on */
void weft__m_fields(struct weft__m *m);        /* what belongs to the calling thread */
/* A new worker, that owns p (or NULL), looks for work, or runs a tied goroutine. False: no thread to be had. */
bool weft__m_start(struct weft__p *p, bool spinning, struct weft__g *tied);
/* From the scheduler's stack, m->ends set, inside the section: the caller returns from its thread. Main's: does not return. */
void weft__m_end(struct weft__m *m);
void weft__thread_mask_init(void);             /* workers are to have the caller's signal mask */
void weft__thread_asked(void);                 /* the monitor's: workers that others may not start */

/* ---- supplied by src/diag ---- */
void weft__diag_init(void);
void weft__diag_thread_init(void);

/* ---- goroutines: g.c, stack.c ---- */
struct weft__g *weft__g_alloc(struct weft__p *p);
void weft__g_free(struct weft__p *p, struct weft__g *g);
void weft__g_reclaim(struct weft__m *m, struct weft__g *g);
_Noreturn void weft__run_next_after_end(struct weft__m *m, struct weft__p *p, struct weft__g *g, bool keep);
_Noreturn void weft__g_no_memory(void);
/* The first frame and the fields of a goroutine that is to run call. regs, stack_args: as weft__go_entry saved them. */
void weft__g_init(struct weft__g *g, const struct weft__call *call, const void *regs, const void *stack_args);
/* A record for a spawn by p, or by a thread without a p; NULL when memory is short. */
struct weft__spawn *weft__spawn_alloc(struct weft__p *p);
void weft__spawn_share(struct weft__p *p); /* p has too many free ones */
/* A record that is free from now on; what it holds stays until the section ends. */
static inline void weft__spawn_free(struct weft__p *p, struct weft__spawn *s)
{
    atomic_store_explicit(&s->id, 0, memory_order_relaxed); /* N2 */
    s->free_next = p->spawn_free;
    p->spawn_free = s;
    if (weft__unlikely(++p->spawn_free_n > WEFT__SPAWN_KEEP))
        weft__spawn_share(p);
}
/* Some memory of records that nobody uses back to the system; the monitor's. now: also what was in use a moment ago. False:
 * there is none. */
bool weft__spawn_trim(bool now);
struct weft__g *weft__stack_carve(struct weft__p *p);
/* For a stack of at least this many bytes (0: as many as others have) and args besides: warm or fresh; NULL when memory is short. */
struct weft__g *weft__stack_take(struct weft__p *p, size_t bytes, size_t args);
void weft__stack_put(struct weft__g *g);       /* a dead g with g->sized */

/* The slots in use of one chunk. */
struct weft__slots {
    char *base;
    size_t slot;
    uint32_t cut;
};
bool weft__stack_slots(uint32_t chunk, struct weft__slots *ret_slots); /* false: no such chunk */
struct weft__g *weft__slots_g(const struct weft__slots *s, size_t i);

/* ---- small.c, only in libweft-small ---- */
#ifndef WEFT__SMALL
#define WEFT__SMALL 0
#endif
enum { WEFT__SMALL_SLOT = 1088, WEFT__SMALL_SLACK = 512, WEFT__SMALL_PARK = 352 };
#if WEFT__SMALL
bool weft__small_fits(const struct weft__call *call);
void weft__small_init(struct weft__g *g);
void weft__small_end(struct weft__m *m, struct weft__g *g);
struct weft__g *weft__small_take(void);
static inline void weft__limit_set(char *limit)
{
    __asm__ volatile("movq %0, %%fs:0x70" : : "r"(limit) : "memory");
}
static inline char *weft__limit(void)
{
    char *limit;
    __asm__ volatile("movq %%fs:0x70, %0" : "=r"(limit));
    return limit;
}
#else
static inline void weft__limit_set(char *limit)
{
    (void)limit;
}
static inline char *weft__limit(void)
{
    return NULL;
}
#endif

/* A stack of the kind that the call wants. */
static inline struct weft__g *weft__stack_for(struct weft__p *p, const struct weft__call *call)
{
#if WEFT__SMALL
    if (weft__small_fits(call))
        return weft__small_take();
#endif
    (void)call;
    return weft__g_alloc(p);
}

/* ---- scavenge.c ---- */
/* How often, and how much at most; tests make it all the time. Set before the first goroutine. */
struct weft__scavenge_pace {
    weft_dur busy, idle;                       /* between passes, while goroutines run and while none does */
    int share;                                 /* a pause is at least this many times the CPU time of the pass before it */
    size_t bytes_min;                          /* no pass while all slots together take less address space */
};
extern struct weft__scavenge_pace weft__scavenge_pace;
uint64_t weft__scavenge_discards(void);        /* stacks discarded so far, about */
/* A step of giving unused stack memory back; the monitor's. idle: no processor is in use. Returns how
 * long until the next step while that stays so: 0 the next tick, -1 for good. */
weft_dur weft__scavenge(weft_time now, bool idle);
void weft__hold_wait(struct weft__g *g);       /* until the scavenger is done with g's stack */

/* After the store of a state that is neither PARKED nor DEAD, before the stack is used. */
static inline void weft__hold_check(struct weft__g *g)
{
    atomic_signal_fence(memory_order_seq_cst);                                     /* V1 sb: the scavenger's membarrier orders */
    if (weft__unlikely(atomic_load_explicit(&g->hold, memory_order_acquire) != 0)) /* V1 sb, V2 */
        weft__hold_wait(g);
}
void weft__foreign_each(void (*fn)(struct weft__g *g, void *arg), void *arg);

/* ---- timers ---- */
weft_time weft__timers_first(void);            /* earliest over all ps, or WEFT__NEVER */
weft_time weft__timers_next(void);             /* earliest over all ps but those being run, or WEFT__NEVER */
bool weft__timers_run(struct weft__m *m, weft_time now); /* run what is due, everywhere; true if anything ran */
bool weft__timers_can_wake(void);              /* some pending timer would wake or start a goroutine */

/* ---- blocky.c: who has blocked, and who will ---- */
struct weft__blocks {
    const struct weft__site *site;             /* of the last goroutine that was found blocked */
    uint32_t row;                              /* so many from there in a row */
    weft_time until;                           /* how long that counts */
};
/* A goroutine from site (NULL: none) was found blocked; in_row: nobody has run on its p since the one before it. */
void weft__blocks_saw(struct weft__blocks *b, const struct weft__site *site, bool in_row, weft_time now);
bool weft__blocks_quick(const struct weft__blocks *b, weft_time now); /* one follows another: is the monitor to hurry? */
/* Where goroutines come from that block one and all, as it seems; or NULL. */
const struct weft__site *weft__blocks_expects(struct weft__blocks *b, weft_time now);
bool weft__blocky_saw(struct weft__g *g, weft_time now);   /* g was found blocked. True: it is to be run tied */
void weft__blocky_begin(struct weft__g *g, weft_time now); /* it is run tied from now on */
bool weft__blocky_parked(struct weft__g *g, weft_time (*now)(void)); /* tied for that, it has parked. True: no longer */

/* ---- monitor ---- */
void weft__monitor_start(void);
size_t weft__g_count(void);                    /* weft_num_goroutines, from any thread */
void weft__monitor_poke(void);                 /* something runs again */
void weft__monitor_sooner(void);               /* a timer has come that is due before mon_until (MT3) */

/* p, or a thread without one (NULL), has queued more than it will run next: should an idle processor be woken? */
static inline bool weft__wants_help(const struct weft__p *p)
{
    return atomic_load_explicit(&weft__sched.nidle, memory_order_relaxed) != 0 &&
           (!p || atomic_load_explicit(&p->alone, memory_order_relaxed) == 0); /* I1 sb, I8 */
}

static inline uint64_t weft__m_rand(struct weft__m *m)
{
    if (weft__unlikely(weft__policy.random != NULL))
        return weft__policy.random(weft__policy.random_arg);
    uint64_t x = m->rng;                       /* xorshift64* */
    x ^= x >> 12;
    x ^= x << 25;
    x ^= x >> 27;
    m->rng = x;
    return x * 0x2545f4914f6cdd1du;
}

#endif
