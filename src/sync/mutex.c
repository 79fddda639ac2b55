/*
 * mutex.c - mutual exclusion between goroutines, with Go's two modes.
 *
 * Role    A free mutex: lock is one atomic operation, inline in weft/sync.h; unlock a compare and a plain store (unlock.S), or one
 *         atomic operation if somebody has had to wait of late. Else a short spin, then a line of parked goroutines.
 *         Normal mode: an unlock wakes the oldest sleeper, which competes with newcomers (they are on a CPU already:
 *         throughput). A sleeper that has waited 1 ms and loses again turns on starving mode: the unlock hands
 *         the mutex to the oldest sleeper directly, until the line is empty or its head has waited less than 1 ms.
 * Near    waitline.h, mutex.h (for cond.c, rwmutex.c), arch/x86_64/unlock.S, docs/design/sync.md, docs/adr/0005-mutex-atomics.md. Layer 3.
 *
 * The word: LOCKED; SLEEPERS, the line is not empty; WOKEN, somebody who was woken or spins is on its way and an
 * unlock need not wake another; STARVING; MET, unlocks are locked instructions; above these, how many unlocks there have
 * been since somebody got in line.
 *   MX1  SLEEPERS <=> the line is not empty, whenever the line's lock is free.
 *   MX2  SLEEPERS and STARVING change under the line's lock only; SLEEPERS is set only while LOCKED is, so that
 *        the holder's unlock sees it.
 *   MX3  STARVING => LOCKED, but for one step (a sleeper asks for it while an unlock is letting go): the mutex goes
 *        from hand to hand and newcomers do not find it free.
 *   MX4  WOKEN has one owner, who clears it when it gets the mutex or goes back to sleep.
 *   MX6  The plain store of an unlock may wipe out what others put into the word after it looked: it sees LOCKED and nothing
 *        else, and stores 0. So SLEEPERS (and what follows from it: WOKEN, STARVING) is put only beside MET; MET only
 *        under the line's lock, by one who then lets weft__sys_restart_all end every unlock that looked before, and looks
 *        again. What it sees then is there to stay: nobody else puts MET, and who looks from now on does not store.
 *   MX7  MET is taken away by an unlock that is a locked instruction and sees nothing else, after QUIET_MAX of them. Where
 *        there are no restartable sequences it is kept all the same: one protocol. A rwmutex's mutex does without: locked.
 * Order   MX5  unlock: word release, or S2/S3 on a hand-over  ->  lock: word acquire.
 * Locks   the line's, also across weft__sys_restart_all, a system call of 1 us or so, once in QUIET_MAX unlocks at most.
 *         The change of the word (or the drop of the line's lock, on a hand-over) that lets another goroutine have the
 *         mutex is the last touch: it may free it.
 * Model   tests/model/mutex.pml, cond.pml.
 * Source  Go internal/sync/mutex.go.
 */
#include "mutex.h"

#include "../sched/section.h"
#include "../sys/sys.h"

enum { LOCKED = 1, SLEEPERS = 2, WOKEN = 4, STARVING = 8, MET = 16, QUIET_ONE = 32, QUIET_MAX = 4096 };
#define QUIET (~(uint32_t)(QUIET_ONE - 1))
enum { SPIN_ROUNDS = 4, SPIN_PAUSES = 30 };
#define STARVE_NS WEFT_MS

static bool mutex_cas(weft_mutex *m, uint32_t *was, uint32_t to)
{
    return atomic_compare_exchange_weak_explicit(&m->weft__state, was, to, memory_order_acq_rel, /* MX5 */
                                                 memory_order_relaxed);
}

extern inline void weft_mutex_lock(weft_mutex *m);

bool weft_mutex_try_lock(weft_mutex *m)
{
    uint32_t s = atomic_load_explicit(&m->weft__state, memory_order_relaxed);
    while (!(s & LOCKED))
        if (mutex_cas(m, &s, s | LOCKED))
            return true;
    return false;
}

/* Wait a little for a holder that runs on another CPU. Sets WOKEN so that its unlock wakes no sleeper. */
static void mutex_spin(weft_mutex *m, bool *woken)
{
    for (int round = 0; round < SPIN_ROUNDS; round++) {
        uint32_t s = atomic_load_explicit(&m->weft__state, memory_order_relaxed);
        if ((s & (LOCKED | STARVING)) != LOCKED)
            return;
        if (!*woken && (s & SLEEPERS) && !(s & WOKEN))
            *woken = mutex_cas(m, &s, s | WOKEN);                      /* MX4 */
        for (int i = 0; i < SPIN_PAUSES; i++)
            weft__pause();
    }
}

/* MX6: from word s, locked, to one with MET, which then stays while it has to. Returns the word now. The line's lock is held. */
static uint32_t mutex_meet(weft_mutex *m, uint32_t s)
{
    if (mutex_cas(m, &s, s | MET)) {
        weft__sys_restart_all();
        s = atomic_load_explicit(&m->weft__state, memory_order_relaxed);
    }
    return s;
}

/* The word's change that puts somebody into the line, whose lock is held; also: bits to change besides. False: it is free. */
static bool mutex_announce(weft_mutex *m, bool meet, uint32_t set, uint32_t drop)
{
    uint32_t s = atomic_load_explicit(&m->weft__state, memory_order_relaxed);

    while (s & LOCKED) {
        if (meet && !(s & MET))
            s = mutex_meet(m, s);
        else if (mutex_cas(m, &s, (s | SLEEPERS | set) & ~(drop | QUIET))) /* MX2 */
            return true;
    }
    return false;
}

/* Get in line unless the mutex is free. Returns true when the caller is in line and must park. */
static bool mutex_enqueue(weft_mutex *m, struct weft__sync_waiter *w, bool woken, bool first)
{
    bool starving = !first && weft__now() - w->since > STARVE_NS;

    weft__line_lock(&m->weft__line);
    if (!mutex_announce(m, !w->locked, starving ? STARVING : 0, woken ? WOKEN : 0)) { /* MX4 */
        weft__line_unlock(&m->weft__line);
        return false;
    }
    if (first)
        weft__line_push(&m->weft__line, w);
    else
        weft__line_push_front(&m->weft__line, w);
    weft__line_unlock(&m->weft__line);
    return true;
}

/* Compete for the mutex until w's goroutine has it. woken: it has waited in line, and an unlock set WOKEN for it. */
static void mutex_compete(weft_mutex *m, struct weft__sync_waiter *w, bool woken)
{
    bool first = !woken;

    for (;;) {
        if (weft__may_spin())
            mutex_spin(m, &woken);
        uint32_t s = atomic_load_explicit(&m->weft__state, memory_order_relaxed);
        while (!(s & LOCKED)) {
            uint32_t to = (s | LOCKED) & ~(woken ? (uint32_t)WOKEN : 0);   /* MX4 */
            if (mutex_cas(m, &s, to))
                return;
        }
        if (first)
            w->since = weft__now();
        if (!mutex_enqueue(m, w, woken, first))
            continue;
        weft__park(WEFT__WAIT_MUTEX);
        if (w->given)
            return;                                                    /* handed over: MX3 */
        first = false;
        woken = true;                                                  /* the unlock set it for us */
    }
}

void weft__mutex_lock_slow(weft_mutex *m)
{
    struct weft__sync_waiter w = {.g = weft__g()};
    mutex_compete(m, &w, false);
}

void weft__mutex_lock_locked(weft_mutex *m)
{
    if (weft__likely(!(atomic_fetch_or_explicit(&m->weft__state, LOCKED, memory_order_acquire) & LOCKED))) /* MX5 */
        return;
    struct weft__sync_waiter w = {.g = weft__g(), .locked = true};
    mutex_compete(m, &w, false);
}

void weft__mutex_lock_moved(weft_mutex *m, struct weft__sync_waiter *w)
{
    if (!w->given)
        mutex_compete(m, w, true);
}

bool weft__mutex_move(weft_mutex *m, struct weft__sync_waiter *list)
{
    struct weft__line *l = &m->weft__line;
    struct weft__sync_waiter *last = NULL;
    weft_time now = weft__now();

    for (struct weft__sync_waiter *w = list; w; last = w, w = w->next) {
        w->since = now;
        w->moved = true;
    }
    weft__line_lock(l);
    bool locked = mutex_announce(m, true, 0, 0);
    if (locked) {                                                      /* MX1 */
        if (l->tail)
            l->tail->next = list;
        else
            l->head = list;
        l->tail = last;
    }
    weft__line_unlock(l);
    for (struct weft__sync_waiter *w = locked ? NULL : list; w; w = w->next)
        w->moved = false;
    return locked;
}

/* Starving: the oldest sleeper gets the mutex, LOCKED stays. */
static void mutex_hand_over(weft_mutex *m)
{
    weft_time now = weft__now();

    weft__line_lock(&m->weft__line);
    struct weft__sync_waiter *w = weft__line_pop(&m->weft__line);
    WEFT_ASSERT(w, "MX3: starving without a sleeper");
    uint32_t drop = 0;
    if (!m->weft__line.head)
        drop = SLEEPERS | STARVING;                                    /* MX1 */
    else if (now - w->since < STARVE_NS)
        drop = STARVING;
    if (drop)
        atomic_fetch_and_explicit(&m->weft__state, ~drop, memory_order_relaxed);
    w->given = true;
    struct weft__g *g = w->g;
    weft__line_unlock(&m->weft__line);
    weft__ready(g);
}

/* Normal mode with sleepers: take the oldest out, free the mutex, wake it. False: a spinner has come, the mutex is still
 * ours; it may get in line before we let go, so letting go must see WOKEN at that instant. */
static bool mutex_wake_one(weft_mutex *m)
{
    struct weft__sync_waiter *w;
    uint32_t s = atomic_load_explicit(&m->weft__state, memory_order_relaxed), to;

    weft__line_lock(&m->weft__line);
    do {
        w = (s & WOKEN) ? NULL : m->weft__line.head;
        if (!w) {
            weft__line_unlock(&m->weft__line);
            return false;
        }
        to = s | WOKEN;                                                /* MX4: w owns it */
        if (!w->next)
            to &= ~(uint32_t)SLEEPERS;                                 /* MX1 */
    } while (!mutex_cas(m, &s, to));
    weft__line_pop(&m->weft__line);
    weft__line_unlock(&m->weft__line);
    atomic_fetch_and_explicit(&m->weft__state, ~(uint32_t)LOCKED, memory_order_release); /* MX5; last touch */
    weft__ready(w->g);
    return true;
}

static void mutex_unlock_slow(weft_mutex *m)
{
    uint32_t s = atomic_load_explicit(&m->weft__state, memory_order_relaxed);

    for (;;) {
        if (!(s & LOCKED))
            weft__fatal("sync: unlock of unlocked mutex");
        if (s & STARVING) {
            mutex_hand_over(m);
            return;
        }
        if ((s & SLEEPERS) && !(s & WOKEN)) {
            if (mutex_wake_one(m))
                return;
            s = atomic_load_explicit(&m->weft__state, memory_order_relaxed);
            continue;
        }
        if (mutex_cas(m, &s, s & ~(uint32_t)LOCKED))
            return;
    }
}

void weft__mutex_unlock_locked(weft_mutex *m)
{
    uint32_t s = atomic_load_explicit(&m->weft__state, memory_order_relaxed), one = LOCKED;

    if (weft__unlikely(atomic_load_explicit(&weft__restart_at, memory_order_relaxed) == 0))
        weft__sys_restart_init();
    if (weft__likely(s == LOCKED)) {
        if (atomic_compare_exchange_strong_explicit(&m->weft__state, &one, 0, memory_order_release, memory_order_relaxed)) /* MX5 */
            return;
    } else if (!(s & (SLEEPERS | WOKEN | STARVING)) && (s & LOCKED)) { /* MET */
        uint32_t to = s + QUIET_ONE < QUIET_ONE * QUIET_MAX ? s + QUIET_ONE - LOCKED : 0; /* MX7 */
        if (atomic_compare_exchange_strong_explicit(&m->weft__state, &s, to, memory_order_release, memory_order_relaxed)) /* MX5 */
            return;
    }
    mutex_unlock_slow(m);
}

#if !WEFT__RESTARTS
void weft_mutex_unlock(weft_mutex *m)
{
    weft__mutex_unlock_locked(m);
}
#endif
