/*
 * sim_int.h - the simulation's own state: virtual threads, their store buffers, the countdown to the next decision.
 */
#ifndef WEFT_SIM_SIM_INT_H
#define WEFT_SIM_SIM_INT_H
#include "../sched/sched.h"
#include "sim.h"

int *weft__locks_held(void); /* base/held.c */

enum {
    SIM_THREADS_MAX = 128,
    SIM_STORES_MAX = 16,   /* a store buffer's entries */
    SIM_POINT = 16         /* a point at an atomic operation, in credits; a plain access costs the seed's plain_cost */
};

/* A store that its own thread sees and the others do not yet. */
struct sim_store {
    char *addr;
    uint64_t value;
    unsigned bytes;
};

struct sim_thread {
    struct weft__sw sw;               /* first: what the switch saves */
    struct weft__m *tls_m;            /* its weft__tls_m, errno and *weft__locks_held() while it does not run */
    int err, held;
    int index;
    bool blocked;                     /* in a futex or a nap */
    int result;                       /* what the wait answers */
    _Atomic uint32_t *futex;          /* waited on; NULL: a nap */
    bool spins;                       /* a nap between two looks at a lock */
    weft_time until;                  /* end of the wait, INT64_MAX none */
    weft_time stalled;                /* not run before this instant, as a thread that lost its CPU */
    int64_t cpu;                      /* ns that it ran */
    void *(*fn)(void *arg);
    void *arg;
    char *lo, *hi;                    /* its stack; NULL for the real thread, unless prepared */
    int store_at, store_n;            /* the oldest, and how many: a ring */
    struct sim_store store[SIM_STORES_MAX];
};

struct weft__sim {
    bool on;
    struct sim_thread *cur;
    int64_t budget;                   /* credits until the next decision */
    int64_t slice;                    /* budget when it was set */
    int plain_cost;                   /* credits of a plain access, 0 .. SIM_POINT */
    bool buffers;                     /* relaxed and release stores go through store buffers */
};
extern struct weft__sim weft__sim;

/* The linker's --wrap leads others to a point before the switch; this is the switch itself. */
void __real_weft__arch_switch(struct weft__sw *from, struct weft__sw *to);
void __real_weft__arch_switch_to(struct weft__sw *from, struct weft__sw *to, struct weft__m *m);
/* The countdown has ended: time passes, timeouts end, somebody is chosen to go on. */
void weft__sim_decide(void);

static inline void sim_spend(int credits)
{
    if (weft__unlikely((weft__sim.budget -= credits) <= 0) && weft__sim.on)
        weft__sim_decide();
}

/* ---- store buffers: storebuf.c ---- */
void weft__sim_store(char *addr, uint64_t value, unsigned bytes);
/* The value that the current thread's own buffer holds for exactly these bytes; false: memory has it. */
bool weft__sim_forward(char *addr, unsigned bytes, uint64_t *ret_value);
void weft__sim_drain(struct sim_thread *t, int leave);
void weft__sim_flush(void);           /* all of the current thread's */

#endif
