/*
 * timechan.c - timers and tickers as users see them: a scheduler timer with a channel of one value, or a function.
 *
 * Role    weft_timer, weft_ticker, weft_after_func on top of struct weft__timer; no value of a former run after a stop.
 * Near    sched/timer.c (when to fire), chan/chan_int.h (offer, drain), docs/design/sync.md. Layer 3.
 *
 * Invariants:
 *   TC1  The channel holds at most one value, of the generation that the timer's seq names: a firing of an earlier one
 *        is turned away by weft__chan_offer_gen, under the channel's lock.
 *   TC2  An active one-shot timer has nothing in its channel: each start drains first.
 *   TC3  After the offer, or after fn and arg have been read, a one-shot firing does not touch the storage: whoever got
 *        the value may have left the frame that it is in.
 *   TC4  When stop has returned no firing is running: weft__timer_quiesce.
 *   TC5  A firing begins after the call that started the timer has left the storage: while lock holds TIMER_STARTING it
 *        waits. It does not wait for a stop, which waits for it (TC4).
 *   TC6  clean => the timer is not active, no firing is under way, and its channel is empty.
 *   TC7  A reset of an active one-shot timer moves it under the heap's lock alone: its channel is empty (TC2), nothing of the
 *        storage but its place in the heap changes, and when that lock is dropped reset has left it (TC5).
 * Locks   body->lock makes start, stop and other resets of one timer exclusive. Under it: the heap's lock, the channel's lock.
 *         A firing takes the channel's lock only.
 * Source  Go time/sleep.go, time/tick.go, runtime/time.go.
 */
#include <weft/time.h>
#include <weft/unwind.h>

#include "../chan/chan_int.h"
#include "../diag/track.h"
#include "../sched/sched.h"

enum timer_kind { TIMER_CHAN, TIMER_FUNC };
enum { TIMER_STARTING = 2 }; /* a value of lock: held, and the timer may be in a heap already */

struct timer_body {
    struct weft__timer t;
    uintptr_t cookie;             /* [own] says that this storage, here, has been initialised */
    struct weft__lock lock;
    uint32_t kind;                /* [lock] enum timer_kind */
    bool clean;                   /* [lock] TC6 */
    void (*fn)(void *arg);        /* [const while active] TIMER_FUNC */
    void *arg;                    /* [const while active] */
    struct weft__chan ch;
    weft_dur slot;                /* the channel's buffer: right behind it */
};
_Static_assert(sizeof(struct timer_body) <= sizeof(weft_timer), "weft_timer is too small");
_Static_assert(sizeof(struct timer_body) <= sizeof(weft_ticker), "weft_ticker is too small");
_Static_assert(offsetof(struct timer_body, slot) == offsetof(struct timer_body, ch) + sizeof(struct weft__chan),
               "the channel's buffer follows it");

weft_time weft_now(void)
{
    return weft__now();
}

static uintptr_t body_cookie(struct timer_body *b)
{
    return (uintptr_t)b ^ 0x7469636b74696d65u;
}

/* TC5, L1. Somebody else in line for the lock may hide TIMER_STARTING; but then the storage cannot go away either. */
static void timer_await_starter(struct timer_body *b)
{
    uint32_t spins = 0;
    while (atomic_load_explicit(&b->lock.v, memory_order_acquire) == TIMER_STARTING)
        weft__spin(&spins);
}

/* Channel timer: on a scheduler stack. */
static void timer_fire_chan(struct weft__timer *t, void *arg, uint64_t seq)
{
    struct timer_body *b = arg;
    weft_dur now = weft__now();
    timer_await_starter(b);
    if (t->period == 0)
        weft__track_gone(WEFT__TRACK_TIMER, b);
    weft__chan_offer_gen(&b->ch, &now, seq);                       /* TC1, TC3; a tick that finds no room is dropped */
}

/* Function timer: on a scheduler stack. */
static void timer_fire_func(struct weft__timer *t, void *arg, uint64_t seq)
{
    struct timer_body *b = arg;
    timer_await_starter(b);
    void (*fn)(void *arg) = b->fn;
    void *fn_arg = b->arg;
    (void)t, (void)seq;
    weft__track_gone(WEFT__TRACK_TIMER, b);
    weft_go(fn, fn_arg);                                           /* TC3 */
}

/* For deadlock detection: nobody waits for this channel. */
static bool timer_asleep(struct weft__timer *t)
{
    struct timer_body *b = (struct timer_body *)t;
    return !weft__chan_has_receivers(&b->ch);
}

/* The body in t's storage, initialised if it is not yet. */
static struct timer_body *body_of(void *t)
{
    struct timer_body *b = t;
    if (b->cookie == body_cookie(b))
        return b;
    if (b->cookie != 0) /* moved here from elsewhere, or what another object has left; else it is zeroed */
        memset(b, 0, sizeof *b);
    b->cookie = body_cookie(b);
    weft__chan_init(&b->ch, sizeof b->slot, 1, WEFT__CHAN_TIMER); /* of generation 0, as seq is */
    b->clean = true;
    return b;
}

/* Stop it; nothing of the former run comes after. Lock held. */
static bool body_stop(struct timer_body *b)
{
    if (b->clean)
        return false;
    bool active = weft__timer_stop(&b->t);
    weft__track_gone(WEFT__TRACK_TIMER, b);
    b->clean = true;                                               /* TC6, by the time this returns */
    if (weft__likely(active && b->t.period == 0))
        return true;                                               /* TC2 */
    weft__timer_quiesce(&b->t);                                    /* TC4 */
    bool unread = b->kind == TIMER_CHAN && weft__chan_count(&b->ch) > 0;
    if (b->kind == TIMER_CHAN)
        b->t.seq = weft__chan_drain(&b->ch);                       /* TC1 */
    return active || unread;
}

static weft_time body_when(weft_dur d)
{
    weft_time now = weft__now_later();
    return d <= 0 ? now : d > INT64_MAX - now ? INT64_MAX : now + d;
}

static void body_start(struct timer_body *b, weft_dur d, weft_dur period)
{
    b->t.fn = b->kind == TIMER_CHAN ? timer_fire_chan : timer_fire_func;
    b->t.arg = b;
    b->t.wakes = b->kind == TIMER_FUNC;
    b->t.asleep = b->kind == TIMER_CHAN ? timer_asleep : NULL;
    b->t.period = period;
    b->clean = false;
    weft__track_new(WEFT__TRACK_TIMER, b);
    atomic_store_explicit(&b->lock.v, TIMER_STARTING, memory_order_relaxed); /* TC5; we hold it */
    weft__timer_start(&b->t, body_when(d));
}

/* Stop, become of that kind, start. */
static void body_set(struct timer_body *b, enum timer_kind kind, weft_dur d, weft_dur period)
{
    (void)body_stop(b);
    b->kind = kind;
    body_start(b, d, period);
}

void weft_timer_start(weft_timer *t, weft_dur d)
{
    struct timer_body *b = body_of(t);
    weft__lock(&b->lock);
    body_set(b, TIMER_CHAN, d, 0);
    weft__unlock(&b->lock);
}

bool weft_timer_stop(weft_timer *t)
{
    struct timer_body *b = (struct timer_body *)t;
    if (b->cookie != body_cookie(b))
        return false;
    weft__lock(&b->lock);
    bool stopped = body_stop(b);
    weft__unlock(&b->lock);
    return stopped;
}

bool weft_timer_reset(weft_timer *t, weft_dur d)
{
    struct timer_body *b = (struct timer_body *)t;
    if (b->cookie != body_cookie(b))
        return false;
    if (weft__likely(weft__timer_move(&b->t, body_when(d))))           /* TC7 */
        return true;
    weft__lock(&b->lock);
    bool stopped = body_stop(b);
    if (b->t.fn)
        body_start(b, d, 0);
    weft__unlock(&b->lock);
    return stopped;
}

weft_receiver(weft_dur) weft_timer_chan(weft_timer *t)
{
    struct timer_body *b = body_of(t);
    return b->kind == TIMER_CHAN ? (weft_receiver(weft_dur))&b->ch : NULL;
}

void weft_after_func(weft_timer *t, weft_dur d, void (*fn)(void *arg), void *arg)
{
    struct timer_body *b = body_of(t);
    weft__lock(&b->lock);
    (void)body_stop(b);
    b->fn = fn;
    b->arg = arg;
    body_set(b, TIMER_FUNC, d, 0);
    weft__unlock(&b->lock);
}

void weft_ticker_start(weft_ticker *t, weft_dur d)
{
    if (d <= 0)
        weft_panic("non-positive interval for NewTicker");
    struct timer_body *b = body_of(t);
    weft__lock(&b->lock);
    body_set(b, TIMER_CHAN, d, d);
    weft__unlock(&b->lock);
}

void weft_ticker_stop(weft_ticker *t)
{
    (void)weft_timer_stop((weft_timer *)t);
}

void weft_ticker_reset(weft_ticker *t, weft_dur d)
{
    struct timer_body *b = (struct timer_body *)t;
    if (d <= 0)
        weft_panic("non-positive interval for Ticker.Reset");
    if (b->cookie != body_cookie(b))
        return;
    weft__lock(&b->lock);
    (void)body_stop(b);
    if (b->t.fn)
        body_start(b, d, d);
    weft__unlock(&b->lock);
}

weft_receiver(weft_dur) weft_ticker_chan(weft_ticker *t)
{
    return (weft_receiver(weft_dur))&body_of(t)->ch;
}
