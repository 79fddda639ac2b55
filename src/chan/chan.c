/*
 * chan.c - a channel: a ring of values and two lines of parked goroutines.
 *
 * Role    Hand one value from a sender to a receiver; park whichever came first.
 * Near    chan_int.h (the structure, put and take), select.c (several channels at once), sched/sched.h (S1-S5),
 *         docs/design/chan.md. Layer 3.
 *
 * Invariants, true whenever c->lock is free; weft__chan_check() tests them when WEFT_DEBUG=2. "Waits" leaves out stale
 * waiters (chan_int.h, Claims):
 *   C1  count <= cap; slots recvx .. recvx+count-1 (mod cap) hold values, the others nothing.
 *   C2  someone waits to receive  =>  count == 0 and the channel is open.
 *   C3  someone waits to send     =>  count == cap and the channel is open.
 *   C4  both lines non-empty      =>  cap == 0 and all waiters are one select over both ways.
 *   C5  closed changes once, 0 to 1; the closer empties both lines before it drops the lock.
 *
 * Locks   c->lock. Several channels: lowest address first (select.c only). A waiter is made ready after the lock is
 *         dropped: it may run at once elsewhere and free the channel, so nothing touches c after that either. The
 *         value is copied under the lock, straight into or out of the waiter's frame.
 * Order   All under the lock, but for the looks of try_recv, try_send and select:
 *   K1  count, sendq.first, closed: release under the lock  ->  acquire in weft__chan_looks_empty and after it. Empty
 *       seen first and open seen after it mean: empty and open at one instant, because closed never goes back. Seen
 *       closed, a second look that is still empty means drained, because nothing is put after a close; the acquire
 *       carries the closer's writes to the receiver that returns because of it.
 *   K2  closed, count, recvq.first: the same releases  ->  acquire in weft__chan_send_would_park. Open seen first and
 *       full seen after it: a closed channel never turns from "room" to "no room", so there was an instant with both.
 * Limits  cap <= 2^31-1; element <= 64 KiB. send and recv allocate nothing.
 * Failure weft_make() only: out of memory is fatal, as in Go. Misuse panics, never under the lock.
 * Not so  A lock-free ring: select must see N channels at one instant, and close must reach both lines.
 */
#include "chan_int.h"

#include "../diag/track.h"
#include "../sched/section.h"
#include "../sys/sys.h"

#if WEFT_DEBUG
enum { CHAN_QUARANTINE = 1024 };
/* Freed channels wait here for a while, so that a late use finds WEFT__CHAN_FREED and not somebody else's memory. */
static struct {
    struct weft__lock lock;
    uint32_t at;                                  /* [lock] */
    struct weft__chan *slot[CHAN_QUARANTINE];     /* [lock] */
} chan_quarantine;
#endif

static _Noreturn __attribute__((cold)) void chan_park_for_ever(enum weft__wait why)
{
    (void)weft__g();
    for (;;)
        weft__park(why);
}

void weft__chan_init(struct weft__chan *c, uint32_t elem, uint32_t cap, uint32_t flags)
{
    memset(c, 0, sizeof *c);
    c->elem = elem;
    c->cap = cap;
    c->flags = (uint8_t)flags;
    c->magic = WEFT__CHAN_LIVE;
}

void *weft__chan_make(size_t elem_size, int64_t cap)
{
    WEFT_ASSERT(elem_size <= 65536, "args");
    weft__ensure_started();
    if (cap < 0 || cap > INT32_MAX)
        weft_panic("makechan: size out of range");
    size_t bytes = WEFT__CHAN_BYTES(elem_size, (size_t)cap);
    struct weft__chan *c = weft__sys_alloc(bytes);
    if (!c)
        weft__fatal("out of memory: cannot make a channel of %zu bytes", bytes);
    weft__chan_init(c, (uint32_t)elem_size, (uint32_t)cap, 0);
    weft__track_new(WEFT__TRACK_CHAN, c);
    return c;
}

static void chan_release(struct weft__chan *c)
{
    c->magic = WEFT__CHAN_FREED;
    weft__track_gone(WEFT__TRACK_CHAN, c);
#if WEFT_DEBUG
    weft__lock(&chan_quarantine.lock);
    struct weft__chan **slot = &chan_quarantine.slot[chan_quarantine.at++ % CHAN_QUARANTINE];
    struct weft__chan *oldest = *slot;
    *slot = c;
    weft__unlock(&chan_quarantine.lock);
    c = oldest;
#endif
    weft__sys_free(c);
}

static bool chan_someone_waits(struct weft__waitq *q)
{
    for (struct weft__waiter *w = weft__waitq_first(q); w; w = w->t.line)
        if (!w->sel || atomic_load_explicit(&w->sel->fired, memory_order_relaxed) == 0)
            return true;
    return false;
}

void(weft_free)(const volatile void *ch)
{
    if (!ch)
        return;
    struct weft__chan *c = weft__chan_of(ch);
    if (c->magic != WEFT__CHAN_LIVE)
        weft_panic("free of a freed channel");
    if (c->flags)
        weft_panic("free of a channel that belongs to a timer or a context");
    for (;;) {
        weft__lock(&c->lock);
        bool used = chan_someone_waits(&c->recvq) || chan_someone_waits(&c->sendq);
        bool leaving = c->selecting != 0; /* selects that were woken elsewhere come back once more, for the lock */
        weft__unlock(&c->lock);
        if (used)
            weft_panic("free of a channel in use");
        if (!leaving)
            break;
        weft_yield();
    }
    chan_release(c);
}

/* The calling goroutine, for a waiter. Under c->lock; NULL where making one needs the lock dropped first. */
static struct weft__g *chan_self(struct weft__chan *c)
{
    struct weft__g *g = weft__self_or_null();
    if (weft__likely(g != NULL))
        return g;
    weft__unlock(&c->lock);
    (void)weft__g();
    return NULL;
}

/* Who parks does so in a frame of its own, that of the call has gone: of a parked goroutine each cache line counts. The lock is
 * held. The names keep it and the next ones out of dumps: they begin at the caller's frame. */
static WEFT_PARKS __attribute__((noinline)) void weft__chan_send_park(struct weft__chan *c, const void *v, struct weft__g *g)
{
    struct weft__waiter w;
    w.t.g = g;
    w.t.p = (void *)v;
    w.t.ok = false;
    w.sel = NULL;
    weft__waitq_put(&c->sendq, &w);
    WEFT_XASSERT(weft__chan_check(c), "C1-C5");
    weft__unlock(&c->lock);
    weft__park(WEFT__WAIT_CHAN_SEND);
    if (weft__unlikely(!w.t.ok))
        weft_panic("send on closed channel");
}

/* The lock is held. */
static WEFT_PARKS __attribute__((noinline)) void weft__chan_send_locked(struct weft__chan *c, const void *v)
{
    for (;;) {
        struct weft__g *wake;
        enum weft__chan_result r = weft__chan_put(c, v, &wake);
        if (r != WEFT__CHAN_WOULD_PARK) {
            weft__unlock(&c->lock);
            if (weft__unlikely(r == WEFT__CHAN_CLOSED))
                weft_panic("send on closed channel");
            if (wake)
                weft__ready(wake);
            return;
        }
        struct weft__g *g = chan_self(c);
        if (weft__likely(g != NULL)) {
            weft__chan_send_park(c, v, g);
            return;
        }
        weft__lock(&c->lock);
    }
}

static WEFT_PARKS __attribute__((noinline)) void weft__chan_send_slowly(struct weft__chan *c, const void *v)
{
    if (!c)
        chan_park_for_ever(WEFT__WAIT_CHAN_SEND_NIL);
    weft__lock(&c->lock);
    weft__chan_send_locked(c, v);
}

/* 8 bytes to a plain receiver or into the ring go here, as weft__chan_put does it, in as few instructions as can be:
 * ready_fast in sched/ready.c says why. */
__attribute__((aligned(64))) void weft__chan_send(const volatile void *ch, const void *v)
{
    if (weft__unlikely(!ch)) {
        weft__chan_send_slowly(NULL, v);
        return;
    }
    struct weft__chan *c = weft__chan_of(ch);
    if (weft__unlikely(!weft__lock_at_once(&c->lock))) {
        weft__chan_send_slowly(c, v);
        return;
    }
    uintptr_t first = (uintptr_t)atomic_load_explicit(&c->recvq.first, memory_order_relaxed);
    if (!first && c->elem == 8 && weft__chan_count(c) != c->cap && !weft__chan_closed(c)) {
        weft__chan_push(c, v);
        weft__chan_count_set(c, weft__chan_count(c) + 1);
        weft__unlock(&c->lock);
        return;
    }
    if (first & WEFT__WAITER_ALONE) { /* so it is open: C2 */
        uint64_t bytes;
        memcpy(&bytes, v, 8);
        atomic_store_explicit(&c->recvq.first, NULL, memory_order_release); /* K2 */
        weft__unlock(&c->lock);
        weft__ready_with(&((struct weft__waiter *)(first - WEFT__WAITER_ALONE))->t, bytes);
        return;
    }
    struct weft__waiter *w = (struct weft__waiter *)first;
    if (weft__unlikely(!w || w->sel || c->elem != 8 || !w->t.p)) {
        weft__chan_send_locked(c, v);
        return;
    }
    weft__waitq_shift(&c->recvq, w); /* someone waits, so it is open: C2 */
    memcpy(w->t.p, v, 8);
    w->t.ok = true;
    struct weft__g *g = w->t.g;
    weft__unlock(&c->lock);
    weft__ready(g);
}

/* The lock is held. */
static WEFT_PARKS __attribute__((noinline)) bool weft__chan_recv_park(struct weft__chan *c, void *ret_v, struct weft__g *g, uint32_t elem)
{
    struct weft__waiter w; /* each word written once: this is the way of every hand-over */
    uintptr_t alone = WEFT__WAITER_ALONE - g->tied;
    if (weft__unlikely(elem != 8 || !ret_v))
        alone = 0;
    w.t.g = g;
    w.t.p = ret_v;
    w.t.near = c;
    w.t.ok = false;
    w.sel = NULL;
    weft__waitq_put_so(&c->recvq, &w, alone);
    WEFT_XASSERT(weft__chan_check(c), "C1-C5");
    weft__unlock(&c->lock);
    weft__park(WEFT__WAIT_CHAN_RECV);
    if (weft__unlikely(!w.t.ok) && ret_v)
        memset(ret_v, 0, elem); /* c may be gone */
    return w.t.ok;
}

__attribute__((aligned(64))) bool weft__chan_recv(const volatile void *ch, void *ret_v)
{
    if (weft__unlikely(!ch))
        chan_park_for_ever(WEFT__WAIT_CHAN_RECV_NIL);
    struct weft__chan *c = weft__chan_of(ch);
    uint32_t elem = c->elem; /* after the park c may be gone */
    struct weft__g *g;
    do {
        weft__lock(&c->lock);
        struct weft__g *wake;
        enum weft__chan_result r = weft__chan_take(c, ret_v, &wake);
        if (r != WEFT__CHAN_WOULD_PARK) {
            weft__unlock(&c->lock);
            if (wake)
                weft__ready(wake);
            if (weft__unlikely(r == WEFT__CHAN_CLOSED) && ret_v)
                memset(ret_v, 0, elem);
            return r == WEFT__CHAN_DONE;
        }
        g = chan_self(c);
    } while (!g);
    return weft__chan_recv_park(c, ret_v, g, elem);
}

bool weft__chan_try_send(const volatile void *ch, const void *v)
{
    if (weft__unlikely(!ch))
        return false;
    struct weft__chan *c = weft__chan_of(ch);
    if (weft__chan_send_would_park(c))
        return false;
    weft__lock(&c->lock);
    struct weft__g *wake;
    enum weft__chan_result r = weft__chan_put(c, v, &wake);
    weft__unlock(&c->lock);
    if (weft__unlikely(r == WEFT__CHAN_CLOSED))
        weft_panic("send on closed channel");
    if (wake)
        weft__ready(wake);
    return r == WEFT__CHAN_DONE;
}

int weft__chan_try_recv(const volatile void *ch, void *ret_v)
{
    if (weft__unlikely(!ch))
        return 0;
    struct weft__chan *c = weft__chan_of(ch);
    if (weft__chan_recv_would_park(c))
        return 0;
    if (weft__chan_looks_empty(c) && atomic_load_explicit(&c->closed, memory_order_acquire) && /* K1 */
        weft__chan_looks_empty(c)) {
        if (ret_v)
            memset(ret_v, 0, c->elem);
        return -1;
    }
    uint32_t elem = c->elem;
    weft__lock(&c->lock);
    struct weft__g *wake;
    enum weft__chan_result r = weft__chan_take(c, ret_v, &wake);
    weft__unlock(&c->lock);
    if (wake)
        weft__ready(wake);
    if (r == WEFT__CHAN_CLOSED && ret_v)
        memset(ret_v, 0, elem);
    return r == WEFT__CHAN_DONE ? 1 : r == WEFT__CHAN_CLOSED ? -1 : 0;
}

/* Moves the waiters of q, oldest first, to the end of a list linked by next. Under the lock. Returns the new end. */
static struct weft__waiter **chan_empty_line(struct weft__chan *c, struct weft__waitq *q, struct weft__waiter **end)
{
    struct weft__waiter *w;
    while ((w = weft__waitq_take(c, q))) {
        w->t.ok = false;
        *end = w;
        end = &w->t.line;
    }
    *end = NULL;
    return end;
}

bool weft__chan_shut(struct weft__chan *c)
{
    weft__lock(&c->lock);
    if (weft__chan_closed(c)) {
        weft__unlock(&c->lock);
        return false;
    }
    atomic_store_explicit(&c->closed, 1, memory_order_release); /* K1, K2 */
    struct weft__waiter *oldest = NULL;
    (void)chan_empty_line(c, &c->sendq, chan_empty_line(c, &c->recvq, &oldest));
    WEFT_XASSERT(weft__chan_check(c), "C1-C5");
    weft__unlock(&c->lock);

    while (oldest) {
        struct weft__waiter *next = oldest->t.line; /* the frame goes once it is ready */
        weft__ready(oldest->t.g);
        oldest = next;
    }
    return true;
}

void(weft_close)(volatile void *ch)
{
    if (!ch)
        weft_panic("close of nil channel");
    if (!weft__chan_shut(weft__chan_of(ch)))
        weft_panic("close of closed channel");
}

size_t(weft_len)(const volatile void *ch)
{
    if (!ch)
        return 0;
    struct weft__chan *c = weft__chan_of(ch);
    return c->flags & WEFT__CHAN_TIMER ? 0 : weft__chan_count(c);
}

size_t(weft_cap)(const volatile void *ch)
{
    if (!ch)
        return 0;
    struct weft__chan *c = weft__chan_of(ch);
    return c->flags & WEFT__CHAN_TIMER ? 0 : c->cap;
}

bool weft__chan_offer(struct weft__chan *c, const void *v)
{
    struct weft__g *wake = NULL;
    weft__lock(&c->lock);
    bool done = weft__chan_put(c, v, &wake) == WEFT__CHAN_DONE;
    weft__unlock(&c->lock);
    if (wake)
        weft__ready(wake);
    return done;
}

bool weft__chan_drain(struct weft__chan *c)
{
    weft__lock(&c->lock);
    bool any = weft__chan_count(c) > 0;
    weft__chan_count_set(c, 0);
    c->recvx = c->sendx;
    weft__unlock(&c->lock);
    return any;
}

/* Of the deadlock check: its thread has seen the end of goroutines, which must not come before a receive here. */
WEFT__UNSEEN bool weft__chan_has_receivers(struct weft__chan *c)
{
    bool waits = false;

    weft__look_lock(&c->lock);
    uintptr_t first = (uintptr_t)atomic_load_explicit(&c->recvq.first, memory_order_relaxed); /* no call: it would be seen */
    for (struct weft__waiter *w = (struct weft__waiter *)(first & ~WEFT__WAITER_ALONE); w && !waits; w = w->t.line)
        waits = !w->sel || atomic_load_explicit(&w->sel->fired, memory_order_relaxed) == 0;
    weft__look_unlock(&c->lock);
    return waits;
}

/* Walks one line; counts those that wait, and says whether all of them are `*one` select (NULL: not seen yet). */
static uint32_t chan_check_line(struct weft__waitq *q, struct weft__select **one, bool *same)
{
    uint32_t n = 0;
    struct weft__waiter *first = weft__waitq_first(q), *prev = NULL;
    for (struct weft__waiter *w = first; w; prev = w, w = w->t.line) {
        WEFT_ASSERT(w->t.queued, "chan: a waiter in line is marked so");
        WEFT_ASSERT(!prev || w->prev == prev, "chan: a line's back links");
        if (w->sel && atomic_load_explicit(&w->sel->fired, memory_order_relaxed) != 0)
            continue;
        *same = *same && w->sel && (!*one || *one == w->sel);
        *one = w->sel;
        n++;
    }
    WEFT_ASSERT(!first || first->prev == prev, "chan: a line's end");
    return n;
}

bool weft__chan_check(struct weft__chan *c)
{
    struct weft__select *one = NULL;
    bool same = true;
    uint32_t count = weft__chan_count(c);
    uint32_t receivers = chan_check_line(&c->recvq, &one, &same);
    uint32_t senders = chan_check_line(&c->sendq, &one, &same);
    WEFT_ASSERT(count <= c->cap, "C1");
    WEFT_ASSERT(c->cap == 0 || c->flags & WEFT__CHAN_TIMER || (c->recvx + count) % c->cap == c->sendx, "C1"); /* timechan.c: TC8 */
    WEFT_ASSERT(!receivers || (count == 0 && !weft__chan_closed(c)), "C2");
    WEFT_ASSERT(!senders || (count == c->cap && !weft__chan_closed(c)), "C3");
    WEFT_ASSERT(!receivers || !senders || (c->cap == 0 && same), "C4");
    return true;
}
