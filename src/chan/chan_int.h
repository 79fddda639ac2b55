/*
 * chan_int.h - inside of a channel, for chan.c, select.c and the timers' channels (sync/).
 *
 * Role    The structure, the two lines of waiters, and the two steps that everything is made of: put a value, take
 *         a value, each under the channel's lock and without parking. Layer 3.
 * Claims  A goroutine in a select waits on several channels at once; whoever takes one of its waiters must win the
 *         claim (weft__select.fired) before touching the value. A waiter whose select is claimed elsewhere is stale: it
 *         is dropped by whoever meets it, else by its owner. `selecting` counts select waiters whose owner will still
 *         come back to this channel, in the line or not: the channel's memory must stay until it is 0.
 */
#ifndef WEFT_CHAN_INT_H
#define WEFT_CHAN_INT_H
#include <stdatomic.h>
#include <string.h>
#include <weft/chan.h>
#include <weft/unwind.h>

#include "../sched/sched.h"

enum { WEFT__CHAN_LIVE = 0x6863, WEFT__CHAN_FREED = 0x6465 };
/* flags */
enum {
    WEFT__CHAN_TIMER = 1, /* belongs to a timer: len and cap read 0, users cannot free it */
    WEFT__CHAN_OWNED = 2  /* storage of another object (a context): users cannot free it */
};

/* One select under way, in its frame. */
struct weft__select {
    _Atomic uint32_t fired;      /* [W1] 0, 1 + the case that was claimed, or a word of select.c before it queues */
    _Atomic uint32_t timer_done; /* [K3] the timer's callback has left this frame */
    uint32_t timeout_index;      /* [const] the case that the timer stands for */
    struct weft__g *g;           /* [const] */
};

/* A parked goroutine in a channel's line, in its own frame. */
struct weft__waiter {
    struct weft__taker t;             /* line: [lock] the one behind it; queued: [lock] in the line; g: [const];
                                         p: [const] the value to send, or where to receive; may be NULL for a receive;
                                         ok: [lock] a value changed hands; false: the channel was closed;
                                         index, elem: [const] with sel: its case, the bytes of a value for when the channel is gone */
    struct weft__waiter *prev;        /* [lock] the one before it; of the first: the last of the line */
    struct weft__select *sel;         /* [const] NULL: a plain send or receive */
};
_Static_assert(sizeof(struct weft__waiter) == 56, "docs/design/chan.md");

/* In a line's first: it is alone, is to receive 8 bytes, in no select and not tied to a thread: all that a send needs to know. */
#define WEFT__WAITER_ALONE ((uintptr_t)1)

struct weft__waitq {
    struct weft__waiter *_Atomic first; /* [lock, K1, K2] oldest, with WEFT__WAITER_ALONE; it knows the last */
};

/* The buffer follows the struct. A send to who waits alone touches the first 16 bytes only: one cache line, as malloc aligns;
 * a receive from who waits the first 32. With malloc's own 16 bytes or less a channel without a buffer is 64: one line in two of
 * the four ways to lie, and a thousand made together all lie alike. Of a channel that stays empty the places in the ring are
 * not looked at: sync/timechan.c keeps its own in them. */
struct weft__chan {
    struct weft__lock lock;
    _Atomic uint8_t closed;    /* [lock, K1, K2] */
    uint8_t flags;             /* [const] */
    uint16_t magic;            /* [const] WEFT__CHAN_LIVE until freed */
    struct weft__waitq recvq;  /* [lock] goroutines parked in a receive, oldest first */
    struct weft__waitq sendq;  /* [lock] goroutines parked in a send */
    _Atomic uint32_t count;    /* [lock, K1, K2] values in the ring */
    uint32_t elem;             /* [const] bytes of a value */
    uint32_t cap;              /* [const] slots in the ring; 0: rendezvous */
    uint32_t selecting;        /* [lock] see Claims */
    union {
        struct {
            uint32_t recvx, sendx; /* [lock] next slot to take from, to put into */
        };
        void *arg;             /* [const while it stays empty] timechan.c */
    };
};
_Static_assert(sizeof(struct weft__chan) == 48, "docs/design/chan.md");

enum weft__chan_result { WEFT__CHAN_DONE, WEFT__CHAN_WOULD_PARK, WEFT__CHAN_CLOSED };

/* Bytes that weft__chan_init needs for a channel. */
#define WEFT__CHAN_BYTES(elem, cap) (sizeof(struct weft__chan) + (size_t)(elem) * (cap))

/* Makes a channel in the caller's storage of WEFT__CHAN_BYTES(elem, cap). Nothing needs to be undone, but nobody may
 * be parked on it when the storage goes. */
void weft__chan_init(struct weft__chan *c, uint32_t elem, uint32_t cap, uint32_t flags);
/* Puts a value without parking; false (dropped) when there is no room. Any stack, any thread, no lock held. */
bool weft__chan_offer(struct weft__chan *c, const void *v);
/* Drops what is in the buffer, and says whether there was anything. */
bool weft__chan_drain(struct weft__chan *c);
/* weft_close for the runtime's own channels: false when it was closed already. */
bool weft__chan_shut(struct weft__chan *c);
/* Is a goroutine parked in a receive, or in a select that receives, on it? */
bool weft__chan_has_receivers(struct weft__chan *c);
/* Tests C1-C5. Needs c->lock. True, or it throws. */
bool weft__chan_check(struct weft__chan *c);

/* From the user's typed pointer, which is not NULL. */
static inline struct weft__chan *weft__chan_of(const volatile void *ch)
{
    struct weft__chan *c = (struct weft__chan *)ch;
#if WEFT_DEBUG
    if (c->magic == WEFT__CHAN_FREED)
        weft_panic("use of a freed channel");
    WEFT_DASSERT(c->magic == WEFT__CHAN_LIVE, "chan: not a channel, or its memory was overwritten");
#endif
    return c;
}

/* ---- lines ---- */

/* First claim wins the right to end the select. W1 is relaxed: what the winner wrote is carried to the owner by ready
 * and park (G1), and the frame outlives every loser because the owner takes each channel's lock before it leaves. */
static inline bool weft__select_claim(struct weft__select *s, uint32_t index)
{
    uint32_t none = 0;
    return atomic_compare_exchange_strong_explicit(&s->fired, &none, index + 1, memory_order_relaxed,
                                                   memory_order_relaxed); /* W1 */
}

static inline struct weft__waiter *weft__waitq_first(struct weft__waitq *q)
{
    uintptr_t w = (uintptr_t)atomic_load_explicit(&q->first, memory_order_relaxed); /* under the lock, or a hint */
    return (struct weft__waiter *)(w & ~WEFT__WAITER_ALONE);
}

static inline bool weft__waitq_any(struct weft__waitq *q)
{
    return atomic_load_explicit(&q->first, memory_order_relaxed) != NULL; /* likewise */
}

/* alone: 0, or WEFT__WAITER_ALONE where w is all of that but for the others in the line. */
static inline void weft__waitq_put_so(struct weft__waitq *q, struct weft__waiter *w, uintptr_t alone)
{
    struct weft__waiter *first = weft__waitq_first(q);

    w->t.line = NULL;
    w->t.queued = true;
    if (weft__likely(!first)) {
        w->prev = w;
        atomic_store_explicit(&q->first, (struct weft__waiter *)((uintptr_t)w + alone), memory_order_release); /* K1, K2 */
    } else {
        w->prev = first->prev;
        w->prev->t.line = w;
        first->prev = w;
        atomic_store_explicit(&q->first, first, memory_order_release); /* K1, K2; no longer alone */
    }
}

static inline void weft__waitq_put(struct weft__waitq *q, struct weft__waiter *w)
{
    weft__waitq_put_so(q, w, 0);
}

static inline void weft__waitq_remove(struct weft__waitq *q, struct weft__waiter *w)
{
    struct weft__waiter *first = weft__waitq_first(q), *next = w->t.line;

    if (w == first)
        atomic_store_explicit(&q->first, next, memory_order_release); /* K1, K2 */
    else
        w->prev->t.line = next;
    if (next)
        next->prev = w->prev;
    else if (w != first)
        first->prev = w->prev;
    w->t.queued = false;
}

/* The first, which is no select's, goes: nobody looks at its own fields again. */
static inline void weft__waitq_shift(struct weft__waitq *q, struct weft__waiter *w)
{
    struct weft__waiter *next = w->t.line;

    atomic_store_explicit(&q->first, next, memory_order_release); /* K1, K2 */
    if (weft__unlikely(next != NULL))
        next->prev = w->prev;
}

/* Takes the oldest waiter out and claims it; drops the stale ones in front. NULL when nobody waits. */
static inline struct weft__waiter *weft__waitq_take(struct weft__chan *c, struct weft__waitq *q)
{
    struct weft__waiter *w;
    while ((w = weft__waitq_first(q))) {
        weft__waitq_remove(q, w);
        if (weft__likely(!w->sel))
            return w;
        if (weft__select_claim(w->sel, w->t.index)) {
            c->selecting--;
            return w;
        }
    }
    return NULL;
}

/* ---- values ---- */

static inline void weft__chan_copy(void *to, const void *from, uint32_t bytes)
{
    switch (bytes) {
    case 8: memcpy(to, from, 8); break;
    case 4: memcpy(to, from, 4); break;
    case 16: memcpy(to, from, 16); break;
    default: memcpy(to, from, bytes);
    }
}

static inline char *weft__chan_slot(struct weft__chan *c, uint32_t i)
{
    return (char *)(c + 1) + (size_t)i * c->elem;
}

static inline uint32_t weft__chan_count(struct weft__chan *c)
{
    return atomic_load_explicit(&c->count, memory_order_relaxed); /* under the lock */
}

static inline void weft__chan_count_set(struct weft__chan *c, uint32_t n)
{
    atomic_store_explicit(&c->count, n, memory_order_release); /* K1, K2 */
}

static inline bool weft__chan_closed(struct weft__chan *c)
{
    return atomic_load_explicit(&c->closed, memory_order_relaxed) != 0; /* under the lock, or a hint */
}

/* Looks without the lock: true says that at one instant the operation would have had to park (K1, K2 in chan.c); false
 * is only a hint. The order of the loads matters. */
static inline bool weft__chan_looks_empty(struct weft__chan *c)
{
    return c->cap ? atomic_load_explicit(&c->count, memory_order_acquire) == 0           /* K1 */
                  : atomic_load_explicit(&c->sendq.first, memory_order_acquire) == NULL; /* K1 */
}
static inline bool weft__chan_recv_would_park(struct weft__chan *c)
{
    return weft__chan_looks_empty(c) && !atomic_load_explicit(&c->closed, memory_order_acquire); /* K1 */
}
static inline bool weft__chan_send_would_park(struct weft__chan *c)
{
    if (atomic_load_explicit(&c->closed, memory_order_acquire)) /* K2 */
        return false;
    return c->cap ? atomic_load_explicit(&c->count, memory_order_acquire) == c->cap           /* K2 */
                  : atomic_load_explicit(&c->recvq.first, memory_order_acquire) == NULL;      /* K2 */
}

static inline void weft__chan_push(struct weft__chan *c, const void *v)
{
    weft__chan_copy(weft__chan_slot(c, c->sendx), v, c->elem);
    if (++c->sendx == c->cap)
        c->sendx = 0;
}

/*
 * One send, if it needs no wait. Needs c->lock. DONE: the value was handed over or buffered, and *ret_wake is the
 * goroutine to make ready once the lock is dropped, or NULL. CLOSED: the caller drops the lock and panics.
 */
static inline enum weft__chan_result weft__chan_put(struct weft__chan *c, const void *v, struct weft__g **ret_wake)
{
    *ret_wake = NULL;
    if (weft__unlikely(weft__chan_closed(c)))
        return WEFT__CHAN_CLOSED;
    if (weft__waitq_any(&c->recvq)) {
        struct weft__waiter *w = weft__waitq_take(c, &c->recvq);
        if (w) {
            if (w->t.p)
                weft__chan_copy(w->t.p, v, c->elem);
            w->t.ok = true;
            *ret_wake = w->t.g;
            return WEFT__CHAN_DONE;
        }
    }
    uint32_t n = weft__chan_count(c);
    if (n == c->cap)
        return WEFT__CHAN_WOULD_PARK;
    weft__chan_push(c, v);
    weft__chan_count_set(c, n + 1);
    return WEFT__CHAN_DONE;
}

/*
 * One receive, if it needs no wait. Needs c->lock. DONE: *ret_v holds the value (ret_v may be NULL), and *ret_wake as
 * in weft__chan_put. CLOSED: closed and drained; the caller zeroes *ret_v after it dropped the lock.
 */
static inline enum weft__chan_result weft__chan_take(struct weft__chan *c, void *ret_v, struct weft__g **ret_wake)
{
    *ret_wake = NULL;
    uint32_t n = weft__chan_count(c);
    struct weft__waiter *w = NULL;
    if (n) {
        if (ret_v)
            weft__chan_copy(ret_v, weft__chan_slot(c, c->recvx), c->elem);
        if (++c->recvx == c->cap)
            c->recvx = 0;
        if (weft__unlikely(weft__waitq_any(&c->sendq)))
            w = weft__waitq_take(c, &c->sendq);
        if (!w) {
            weft__chan_count_set(c, n - 1);
            return WEFT__CHAN_DONE;
        }
        weft__chan_push(c, w->t.p); /* the freed slot: the ring was full (C3) */
    } else {
        if (weft__waitq_any(&c->sendq))
            w = weft__waitq_take(c, &c->sendq);
        if (!w)
            return weft__chan_closed(c) ? WEFT__CHAN_CLOSED : WEFT__CHAN_WOULD_PARK;
        if (ret_v)
            weft__chan_copy(ret_v, w->t.p, c->elem);
    }
    w->t.ok = true;
    *ret_wake = w->t.g;
    return WEFT__CHAN_DONE;
}

#endif
