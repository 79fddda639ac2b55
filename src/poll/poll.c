/*
 * poll.c - poll descriptors: the two words by which goroutines wait for a descriptor, deadlines, the pool.
 *
 * Role    Everything about waiting that does not depend on how the kernel is asked. Near poll.h (the contract and edges
 *         P1, P2), poll_back.c, net/fd.c, docs/design/net.md. Layer 2.
 *
 * Invariants
 *   W1  A word holds a goroutine only from just before its park until somebody takes it out; who takes it out readies it.
 *       Likewise a starter (value + 1): who takes it out starts its goroutine, which ends the wait (weft__pd_started).
 *   W2  A waiter whose direction has a deadline parks only while timer_at is non-zero and not after that deadline, or
 *       a firing of timer is still to look at the word.
 *   W3  A slot's seq changes only in weft__pd_close, when nobody waits; an edge with another seq is dropped. One that
 *       slips through is a spurious wake, which every caller allows.
 *   W4  Who parks has seen the pd armed, or armed it itself, after its word said WAIT: so what comes makes an edge. Should that
 *       fail, who armed it ends all waits (weft__pd_fail).
 *
 * Deadlines are lazy: the timer is armed by a waiter that needs it, and is not stopped when the wait ends. A firing looks
 * at the clock and the words and moves itself to where it is needed next. A server that pushes its deadline on with every
 * request thus touches the timer heap once per time-out, not twice per request.
 *
 * Locks   pd->lock, held over words and one weft__timer_start (heap lock inside). pool.lock: leaf.
 * Order   P1, P2: poll.h.  P3  seq: release by weft__pd_close -> acquire by weft__pd_of_handle.
 *         P5  [sb] the waiter makes its word WAIT, then loads armed; whoever makes it UNARMED does so and then gives an edge
 *             to the words. What a back end adds is in its file.
 * Limits  4,194,304 descriptors (chunks of 64, never freed). Failure: WEFT_ENOMEM, WEFT_ELIMIT.
 */
#include "poll_int.h"

#include "../sys/sys.h"

enum { POLL_NIL = 0, POLL_READY = 1, POLL_WAIT = 2 };
enum { POLL_CHUNK = 64, POLL_CHUNKS = 65536, POLL_SHARDS = 16 };

static struct {
    struct weft__lock lock;
    struct weft__pd *free;                                  /* [lock] */
    uint32_t chunk_count;                                   /* [lock] */
    struct weft__pd *_Atomic chunk[POLL_CHUNKS];            /* [P4] set once each */
} pool;

/* Parked goroutines, counted apart by descriptor so that threads do not fight for one cache line. */
static struct {
    _Alignas(64) _Atomic int32_t n; /* [stat] exact once no goroutine runs */
} waiters[POLL_SHARDS];

static inline int pd_dir(enum weft__dir dir)
{
    return (int)dir >> 1;
}

/* A goroutine or a starter. */
static inline bool pd_is_waiter(uintptr_t w)
{
    return w > POLL_WAIT;
}

static void pd_push(struct weft__woken *list, uintptr_t w)
{
    if (w & 1) {
        struct weft__starter *s = (struct weft__starter *)(w - 1);
        s->next = list->start;
        list->start = s;
    } else if (w) {
        struct weft__g *g = (struct weft__g *)w;
        g->next = list->g;
        list->g = g;
    }
}

void weft__woken_run(struct weft__woken w)
{
    struct weft__starter *s;

    if (w.g)
        weft__ready_all(w.g);
    while ((s = w.start)) {
        w.start = s->next;
        weft_go(s->fn, s->arg);
    }
}

/* ---- the words ---- */

/* Take a waiter out of a word, leaving READY or NIL. It, for pd_push, or 0. */
static uintptr_t pd_unblock(struct weft__pd *pd, int i, bool ready)
{
    uintptr_t old = atomic_load_explicit(&pd->word[i], memory_order_seq_cst); /* P2 sb */
    do {
        if (old == POLL_READY || (old == POLL_NIL && !ready))
            return 0;
    } while (!atomic_compare_exchange_weak_explicit(&pd->word[i], &old, ready ? POLL_READY : POLL_NIL,
                                                    memory_order_acq_rel, memory_order_acquire)); /* P1 */
    return pd_is_waiter(old) ? old : 0;
}

/* Closed or interrupted, or 0. Uses up an interrupt. */
static weft_err pd_stopped(struct weft__pd *pd, int i)
{
    uint32_t f = atomic_load_explicit(&pd->flags, memory_order_seq_cst); /* P2 sb */
    uint32_t intr = (uint32_t)WEFT__PD_INTR_READ << i;
    if (weft__unlikely(f & (WEFT__PD_CLOSING | WEFT__PD_FAILED | intr))) {
        if (f & WEFT__PD_CLOSING)
            return WEFT_ECLOSED;
        if (f & WEFT__PD_FAILED)
            return -(weft_err)(atomic_load_explicit(&pd->armed, memory_order_relaxed) >> WEFT__PD_MORE); /* P2 */
        atomic_fetch_and_explicit(&pd->flags, ~intr, memory_order_relaxed);
        return WEFT_ECANCELED;
    }
    return 0;
}

static inline weft_time pd_deadline(struct weft__pd *pd, int i)
{
    return i < 2 ? atomic_load_explicit(&pd->deadline[i], memory_order_seq_cst) : 0; /* P2 sb */
}

/* Why the direction cannot be waited for, 0 if it can. */
static weft_err pd_reason(struct weft__pd *pd, int i)
{
    weft_err err = pd_stopped(pd, i);
    if (err)
        return err;
    weft_time at = pd_deadline(pd, i);
    return at != 0 && at <= weft__now() ? WEFT_EDEADLINE : 0;
}

weft_err weft__pd_check(struct weft__pd *pd, enum weft__dir dir)
{
    return pd_reason(pd, pd_dir(dir));
}

weft_err weft__pd_check_read(struct weft__pd *pd, bool drained)
{
    weft_err err = pd_reason(pd, 0);
    return err ? err : drained && !(atomic_load_explicit(&pd->flags, memory_order_seq_cst) & WEFT__PD_ENDED); /* P1, P2 sb */
}

bool weft__pd_ended(struct weft__pd *pd)
{
    return atomic_load_explicit(&pd->flags, memory_order_seq_cst) & WEFT__PD_ENDED; /* P1, P2 sb */
}

bool weft__pd_told(struct weft__pd *pd, enum weft__dir dir)
{
    return atomic_load_explicit(&pd->word[pd_dir(dir)], memory_order_relaxed) == POLL_READY; /* a hint: who acts on it asks the kernel */
}

/* ---- deadlines ---- */

/* See that the timer fires no later than `at`. */
static void pd_arm(struct weft__pd *pd, weft_time at)
{
    weft_time armed = atomic_load_explicit(&pd->timer_at, memory_order_seq_cst); /* P2 sb */
    if (armed != 0 && armed <= at)
        return;
    weft__lock(&pd->lock);
    armed = atomic_load_explicit(&pd->timer_at, memory_order_relaxed);
    if (armed == 0 || armed > at) {
        atomic_store_explicit(&pd->timer_at, at, memory_order_seq_cst); /* P2 sb */
        pd->timer_used = true;
        weft__timer_start(&pd->timer, at);
    }
    weft__unlock(&pd->lock);
}

/* The timer's answer to "would a firing wake nobody". */
static bool pd_timer_asleep(struct weft__timer *t)
{
    struct weft__pd *pd = WEFT__OWNER(t, struct weft__pd, timer);
    return !pd_is_waiter(atomic_load_explicit(&pd->word[0], memory_order_relaxed)) &&
           !pd_is_waiter(atomic_load_explicit(&pd->word[1], memory_order_relaxed));
}

/* Wakes who is late and moves the timer to the next deadline that somebody waits under. A firing that belongs to an
 * earlier life of the slot does the right thing for the present one too. */
static void pd_timer_fire(struct weft__timer *t)
{
    struct weft__pd *pd = WEFT__OWNER(t, struct weft__pd, timer);
    struct weft__woken late = {NULL, NULL};
    weft_time next = 0, now = weft__now();

    weft__lock(&pd->lock);
    atomic_store_explicit(&pd->timer_at, 0, memory_order_seq_cst); /* P2 sb */
    for (int i = 0; i < 2; i++) {
        weft_time at = atomic_load_explicit(&pd->deadline[i], memory_order_relaxed);
        if (at == 0)
            continue;
        if (at <= now)
            pd_push(&late, pd_unblock(pd, i, false));
        else if (atomic_load_explicit(&pd->word[i], memory_order_seq_cst) >= POLL_WAIT && /* P2 sb */
                 (next == 0 || at < next))
            next = at;
    }
    if (next != 0) {
        atomic_store_explicit(&pd->timer_at, next, memory_order_seq_cst); /* P2 sb */
        weft__timer_start(&pd->timer, next);
    }
    weft__unlock(&pd->lock);
    weft__woken_run(late);
}

static const struct weft__timer_kind pd_timer = {.fn = pd_timer_fire, .asleep = pd_timer_asleep};

__attribute__((constructor(101))) static void pd_know_timer(void)
{
    weft__timer_know(WEFT__TIMER_POLL, &pd_timer);
}

void weft__pd_set_deadline(struct weft__pd *pd, unsigned dirs, weft_time at)
{
    struct weft__woken late = {NULL, NULL};
    unsigned waits = 0;

    weft__lock(&pd->lock);
    for (int i = 0; i < 2; i++) {
        if (!(dirs & (1u << i)))
            continue;
        atomic_store_explicit(&pd->deadline[i], at, memory_order_seq_cst); /* P2 sb */
        if (at != 0 && atomic_load_explicit(&pd->word[i], memory_order_seq_cst) >= POLL_WAIT) /* P2 sb */
            waits |= 1u << i;
    }
    weft__unlock(&pd->lock);
    if (waits == 0) /* as nearly always: no look at the clock */
        return;
    if (at > weft__now()) {
        pd_arm(pd, at);
        return;
    }
    for (int i = 0; i < 2; i++)
        if (waits & (1u << i))
            pd_push(&late, pd_unblock(pd, i, false));
    weft__woken_run(late);
}

/* ---- waiting ---- */

/* The word is WAIT and ours: it becomes waiter (P1), if nothing speaks against it. 1; or, the wait being over, 0 or an error.
 * A deadline that has passed already needs no look at the clock here: pd_arm has the timer fire at once, which finds the
 * word (W2). */
static weft_err pd_publish(struct weft__pd *pd, int i, uintptr_t waiter)
{
    _Atomic int32_t *parked = &waiters[pd->index % POLL_SHARDS].n;
    weft_err err = pd_stopped(pd, i);
    uintptr_t old = POLL_WAIT;
    if (err) {
        /* An edge that came meanwhile stays for the next wait. */
        (void)atomic_compare_exchange_strong_explicit(&pd->word[i], &old, POLL_NIL, memory_order_relaxed,
                                                      memory_order_relaxed);
        return err;
    }
    weft_time at = pd_deadline(pd, i);
    if (at != 0)
        pd_arm(pd, at);
    atomic_fetch_add_explicit(parked, 1, memory_order_relaxed);
    if (atomic_compare_exchange_strong_explicit(&pd->word[i], &old, waiter, memory_order_release, memory_order_relaxed)) /* P1 */
        return 1;
    return weft__pd_started(pd, (enum weft__dir)(1 << i));
}

/* After the wait, in whichever goroutine: how it ended. */
weft_err weft__pd_started(struct weft__pd *pd, enum weft__dir dir)
{
    int i = pd_dir(dir);
    atomic_fetch_sub_explicit(&waiters[pd->index % POLL_SHARDS].n, 1, memory_order_relaxed);
    if (atomic_exchange_explicit(&pd->word[i], POLL_NIL, memory_order_acquire) == POLL_READY) /* P1 */
        return 0;
    return pd_reason(pd, i);
}

/* The word becomes WAIT and ours: 1; or 0 or an error as weft__pd_wait. */
static weft_err pd_begin(struct weft__pd *pd, int i)
{
    weft_err err = pd_stopped(pd, i);
    if (err)
        return err;
    for (;;) {
        uintptr_t old = POLL_NIL;
        if (weft__likely(atomic_compare_exchange_strong_explicit(&pd->word[i], &old, POLL_WAIT, memory_order_seq_cst,
                                                                 memory_order_relaxed))) /* P2 sb */
            break;
        if (old != POLL_READY)
            return WEFT_EBUSY;
        if (atomic_compare_exchange_strong_explicit(&pd->word[i], &old, POLL_NIL, memory_order_seq_cst,
                                                    memory_order_acquire)) /* P1, P2 sb */
            return 0;
    }
    if (weft__unlikely(i == 0 && atomic_load_explicit(&pd->take, memory_order_relaxed))) {
        uint64_t v = atomic_load_explicit(&pd->u->taking, memory_order_seq_cst); /* P5 sb */
        if ((v & WEFT__PD_ARM_MASK) == WEFT__PD_UNARMED || v & WEFT__PD_TAKE_LOOK)
            weft__poll_back->arm_take(pd); /* W4, U12 */
    } else if (weft__unlikely((atomic_load_explicit(&pd->armed, memory_order_seq_cst) & WEFT__PD_ARM_MASK) == WEFT__PD_UNARMED)) /* P5 sb */
        weft__poll_back->arm(pd); /* W4 */
    return 1;
}

weft_err weft__pd_wait(struct weft__pd *pd, enum weft__dir dir)
{
    weft_err err = pd_begin(pd, pd_dir(dir));
    if (err == 1)
        err = pd_publish(pd, pd_dir(dir), (uintptr_t)weft__g());
    if (err != 1)
        return err;
    weft__park(WEFT__WAIT_IO);
    return weft__pd_started(pd, dir);
}

weft_err weft__pd_wait_start(struct weft__pd *pd, enum weft__dir dir, struct weft__starter *start)
{
    weft_err err = pd_begin(pd, pd_dir(dir));
    return err == 1 ? pd_publish(pd, pd_dir(dir), (uintptr_t)start + 1) : err;
}

/* Set a flag that ends waits, and end them. */
static void pd_end_waits(struct weft__pd *pd, uint32_t flag, unsigned dirs)
{
    atomic_fetch_or_explicit(&pd->flags, flag, memory_order_seq_cst); /* P2 sb */
    struct weft__woken ended = {NULL, NULL};
    for (int i = 0; i < 3; i++)
        if (dirs & (1u << i))
            pd_push(&ended, pd_unblock(pd, i, false));
    weft__woken_run(ended);
}

void weft__pd_interrupt(struct weft__pd *pd, enum weft__dir dir)
{
    pd_end_waits(pd, (uint32_t)WEFT__PD_INTR_READ << pd_dir(dir), dir);
}

void weft__pd_interrupt_clear(struct weft__pd *pd, enum weft__dir dir)
{
    uint32_t intr = (uint32_t)WEFT__PD_INTR_READ << pd_dir(dir);
    if (atomic_load_explicit(&pd->flags, memory_order_relaxed) & intr)
        atomic_fetch_and_explicit(&pd->flags, ~intr, memory_order_relaxed);
}

void weft__pd_fail(struct weft__pd *pd, weft_err err)
{
    atomic_fetch_or_explicit(&pd->armed, (uint64_t)-err << WEFT__PD_MORE, memory_order_relaxed); /* before the flag: P2 */
    pd_end_waits(pd, WEFT__PD_FAILED, WEFT__DIR_READ | WEFT__DIR_WRITE | WEFT__DIR_END);
}

void weft__pd_evict(struct weft__pd *pd)
{
    pd_end_waits(pd, WEFT__PD_CLOSING, WEFT__DIR_READ | WEFT__DIR_WRITE | WEFT__DIR_END);
}

void weft__pd_edge(struct weft__pd *pd, unsigned dirs, bool ended, struct weft__woken *list)
{
    if (ended)
        /* P1 carries it with READY. Where READY is there already: P2 sb, so that whoever uses that READY up sees it. */
        atomic_fetch_or_explicit(&pd->flags, WEFT__PD_ENDED, memory_order_seq_cst);
    if (atomic_load_explicit(&pd->flags, memory_order_relaxed) & WEFT__PD_ANY)
        dirs = WEFT__DIR_READ;
    else if (ended)
        dirs |= WEFT__DIR_END;
    for (int i = 0; i < 3; i++)
        if (dirs & (1u << i))
            pd_push(list, pd_unblock(pd, i, true));
}

uint32_t weft__poll_waiters(void)
{
    int32_t sum = 0;
    for (int i = 0; i < POLL_SHARDS; i++)
        sum += atomic_load_explicit(&waiters[i].n, memory_order_relaxed);
    return sum > 0 ? (uint32_t)sum : 0;
}

/* ---- the pool ---- */

uint64_t weft__pd_handle(struct weft__pd *pd)
{
    return (uint64_t)pd->index << 32 | atomic_load_explicit(&pd->seq, memory_order_relaxed);
}

struct weft__pd *weft__pd_of_handle(uint64_t handle)
{
    uint32_t index = (uint32_t)(handle >> 32);
    struct weft__pd *chunk = atomic_load_explicit(&pool.chunk[index / POLL_CHUNK], memory_order_acquire); /* P4 */
    struct weft__pd *pd = &chunk[index % POLL_CHUNK];
    return atomic_load_explicit(&pd->seq, memory_order_acquire) == (uint32_t)handle ? pd : NULL; /* P3 */
}

/* Add a chunk to the free list. P4: chunk pointer release -> weft__pd_of_handle acquire, carries the slots' index. */
static weft_err pool_grow(void)
{
    bool uring = weft__poll_back != &weft__poll_epoll;
    struct weft__pd *c = weft__sys_alloc(POLL_CHUNK * (sizeof *c + (uring ? sizeof *c->u : 0)));
    if (!c)
        return WEFT_ENOMEM;
    weft__lock(&pool.lock);
    if (pool.chunk_count == POLL_CHUNKS) {
        weft__unlock(&pool.lock);
        weft__sys_free(c);
        return WEFT_ELIMIT;
    }
    for (uint32_t i = 0; i < POLL_CHUNK; i++) {
        c[i].index = pool.chunk_count * POLL_CHUNK + i;
        c[i].timer.use = WEFT__TIMER_POLL;
        c[i].u = uring ? (struct weft__pd_uring *)(c + POLL_CHUNK) + i : NULL;
        c[i].next_free = pool.free;
        pool.free = &c[i];
    }
    atomic_store_explicit(&pool.chunk[pool.chunk_count++], c, memory_order_release); /* P4 */
    weft__unlock(&pool.lock);
    return 0;
}

static weft_err pool_take(struct weft__pd **ret_pd)
{
    for (;;) {
        weft__lock(&pool.lock);
        struct weft__pd *pd = pool.free;
        if (pd)
            pool.free = pd->next_free;
        weft__unlock(&pool.lock);
        if (pd) {
            *ret_pd = pd;
            return 0;
        }
        weft_err err = pool_grow();
        if (err)
            return err;
    }
}

static void pool_give(struct weft__pd *pd)
{
    weft__lock(&pool.lock);
    pd->next_free = pool.free;
    pool.free = pd;
    weft__unlock(&pool.lock);
}

static weft_err pd_open(int fd, uint32_t flags, struct weft__pd **ret_pd)
{
    struct weft__pd *pd;
    weft_err err = weft__poll_start();
    if (!err)
        err = pool_take(&pd);
    if (err)
        return err;
    pd->fd = fd;
    for (int i = 0; i < 3; i++)
        atomic_store_explicit(&pd->word[i], POLL_NIL, memory_order_relaxed);
    for (int i = 0; i < 2; i++)
        atomic_store_explicit(&pd->deadline[i], 0, memory_order_relaxed);
    atomic_store_explicit(&pd->flags, flags, memory_order_relaxed);
    atomic_store_explicit(&pd->armed, WEFT__PD_UNARMED, memory_order_relaxed);
    if (pd->u)
        atomic_store_explicit(&pd->u->taking, WEFT__PD_UNARMED, memory_order_relaxed);
    atomic_store_explicit(&pd->take, WEFT__TAKE_NONE, memory_order_relaxed);
    err = weft__poll_back->open(pd);
    if (err) {
        pool_give(pd);
        return err;
    }
    *ret_pd = pd;
    return 0;
}

weft_err weft__pd_open(int fd, struct weft__pd **ret_pd)
{
    return pd_open(fd, 0, ret_pd);
}

weft_err weft__pd_open_late(int fd, struct weft__pd **ret_pd)
{
    return pd_open(fd, WEFT__PD_LATE, ret_pd);
}

weft_err weft__pd_probe(struct weft__pd *pd)
{
    return weft__poll_back->probe ? weft__poll_back->probe(pd->fd) : 0;
}

weft_err weft__pd_open_any(int fd, struct weft__pd **ret_pd)
{
    return pd_open(fd, WEFT__PD_ANY, ret_pd);
}

static void pd_close(struct weft__pd *pd, bool borrowed)
{
    for (int i = 0; i < 3; i++)
        WEFT_ASSERT(!pd_is_waiter(atomic_load_explicit(&pd->word[i], memory_order_relaxed)), "W3");
    weft__poll_back->close(pd, borrowed);
    weft__lock(&pd->lock);
    for (int i = 0; i < 2; i++)
        atomic_store_explicit(&pd->deadline[i], 0, memory_order_relaxed);
    atomic_store_explicit(&pd->timer_at, 0, memory_order_relaxed);
    struct weft__taken *left = NULL;
    if (pd->u) {
        left = weft__taken_cut(pd); /* T3 */
        pd->u->take_err = 0;
    }
    atomic_fetch_add_explicit(&pd->seq, 1, memory_order_release); /* P3 */
    bool stop = pd->timer_used;
    pd->timer_used = false;
    weft__unlock(&pd->lock);
    if (stop)
        (void)weft__timer_stop(&pd->timer);
    if (weft__unlikely(left != NULL))
        weft__poll_back->give(left);
    pool_give(pd);
}

void weft__pd_close(struct weft__pd *pd)
{
    pd_close(pd, false);
}

void weft__pd_close_any(struct weft__pd *pd)
{
    pd_close(pd, true);
}
