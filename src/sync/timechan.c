/*
 * timechan.c - timers and tickers as users see them: a scheduler timer with a channel of one value, or a function.
 *
 * Role    weft_timer, weft_ticker, weft_after_func, weft_alarm on top of struct weft__timer; no value of a former run after a
 *         stop. An alarm is the part of a timer that does without a channel: where many are pending, it is the smaller one.
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

enum { TIMER_STARTING = 2 }; /* a value of lock: held, and the timer may be in a heap already */

/* What a timer, a ticker and an alarm begin with; all of an alarm. */
struct timer_body {
    struct weft__timer t;         /* its kind [lock]: timer_chan, timer_func, or NULL before the first start */
    uintptr_t cookie;             /* [own] says that this storage, here, has been initialised */
    struct weft__lock lock;
    bool clean;                   /* [lock] TC6 */
    void (*fn)(void *arg);        /* [const while active] timer_func */
    void *arg;                    /* [const while active] */
};
struct timer_with_chan {
    struct timer_body b;
    struct weft__chan ch;
    weft_dur slot;                /* the channel's buffer: right behind it */
};
enum { TIMER_BYTES = sizeof(struct timer_with_chan), ALARM_BYTES = sizeof(struct timer_body) };
_Static_assert(sizeof(struct timer_body) <= sizeof(weft_alarm), "weft_alarm is too small");
_Static_assert(sizeof(struct timer_with_chan) <= sizeof(weft_timer), "weft_timer is too small");
_Static_assert(sizeof(struct timer_with_chan) <= sizeof(weft_ticker), "weft_ticker is too small");
_Static_assert(offsetof(struct timer_with_chan, slot) == offsetof(struct timer_with_chan, ch) + sizeof(struct weft__chan),
               "the channel's buffer follows it");

weft_time weft_now(void)
{
    return weft__now();
}

/* Of a timer or ticker, not of an alarm. */
static struct weft__chan *body_chan(struct timer_body *b)
{
    return &((struct timer_with_chan *)b)->ch;
}

/* Differs between kinds of storage, which is told by its size: so what an alarm has left is no timer. */
static uintptr_t body_cookie(struct timer_body *b, size_t bytes)
{
    return (uintptr_t)b ^ 0x7469636b74696d65u ^ bytes;
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
    weft__chan_offer_gen(body_chan(b), &now, seq);                 /* TC1, TC3; a tick that finds no room is dropped */
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
    return !weft__chan_has_receivers(body_chan(b));
}

static const struct weft__timer_kind timer_chan = {.fn = timer_fire_chan, .asleep = timer_asleep};
static const struct weft__timer_kind timer_func = {.fn = timer_fire_func, .wakes = true};

/* The body in storage of so many bytes, initialised if it is not yet. */
static struct timer_body *body_of(void *t, size_t bytes)
{
    struct timer_body *b = t;
    if (b->cookie == body_cookie(b, bytes))
        return b;
    if (b->cookie != 0) /* moved here from elsewhere, or what another object has left; else it is zeroed */
        memset(b, 0, bytes);
    b->cookie = body_cookie(b, bytes);
    if (bytes == TIMER_BYTES)
        weft__chan_init(body_chan(b), sizeof(weft_dur), 1, WEFT__CHAN_TIMER); /* of generation 0, as seq is */
    b->clean = true;
    return b;
}

static struct timer_body *body_of_timer(void *t)
{
    return body_of(t, TIMER_BYTES);
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
    if (b->t.kind != &timer_chan)
        return active;
    bool unread = weft__chan_count(body_chan(b)) > 0;
    b->t.seq = weft__chan_drain(body_chan(b));                     /* TC1 */
    return active || unread;
}

static weft_time body_when(weft_dur d)
{
    weft_time now = weft__now_later();
    return d <= 0 ? now : d > INT64_MAX - now ? INT64_MAX : now + d;
}

static void body_start(struct timer_body *b, weft_dur d, weft_dur period)
{
    b->t.arg = b;
    b->t.period = period;
    b->clean = false;
    weft__track_new(WEFT__TRACK_TIMER, b);
    atomic_store_explicit(&b->lock.v, TIMER_STARTING, memory_order_relaxed); /* TC5; we hold it */
    weft__timer_start(&b->t, body_when(d));
}

/* Stop, become of that kind, start. */
static void body_set(struct timer_body *b, const struct weft__timer_kind *kind, weft_dur d, weft_dur period)
{
    (void)body_stop(b);
    b->t.kind = kind;
    body_start(b, d, period);
}

void weft_timer_start(weft_timer *t, weft_dur d)
{
    struct timer_body *b = body_of_timer(t);
    weft__lock(&b->lock);
    body_set(b, &timer_chan, d, 0);
    weft__unlock(&b->lock);
}

static bool stop_any(struct timer_body *b, size_t bytes)
{
    if (b->cookie != body_cookie(b, bytes))
        return false;
    weft__lock(&b->lock);
    bool stopped = body_stop(b);
    weft__unlock(&b->lock);
    return stopped;
}

static bool reset_any(struct timer_body *b, size_t bytes, weft_dur d)
{
    if (b->cookie != body_cookie(b, bytes))
        return false;
    if (weft__likely(weft__timer_move(&b->t, body_when(d))))           /* TC7 */
        return true;
    weft__lock(&b->lock);
    bool stopped = body_stop(b);
    if (b->t.kind)
        body_start(b, d, 0);
    weft__unlock(&b->lock);
    return stopped;
}

bool weft_timer_stop(weft_timer *t)
{
    return stop_any((struct timer_body *)t, TIMER_BYTES);
}

bool weft_timer_reset(weft_timer *t, weft_dur d)
{
    return reset_any((struct timer_body *)t, TIMER_BYTES, d);
}

weft_receiver(weft_dur) weft_timer_chan(weft_timer *t)
{
    struct timer_body *b = body_of_timer(t);
    return b->t.kind != &timer_func ? (weft_receiver(weft_dur))body_chan(b) : NULL;
}

static void body_set_func(struct timer_body *b, weft_dur d, void (*fn)(void *arg), void *arg)
{
    weft__lock(&b->lock);
    (void)body_stop(b);
    b->fn = fn;
    b->arg = arg;
    body_set(b, &timer_func, d, 0);
    weft__unlock(&b->lock);
}

void weft_after_func(weft_timer *t, weft_dur d, void (*fn)(void *arg), void *arg)
{
    body_set_func(body_of_timer(t), d, fn, arg);
}

void weft_alarm_start(weft_alarm *a, weft_dur d, void (*fn)(void *arg), void *arg)
{
    body_set_func(body_of(a, ALARM_BYTES), d, fn, arg);
}

bool weft_alarm_stop(weft_alarm *a)
{
    return stop_any((struct timer_body *)a, ALARM_BYTES);
}

bool weft_alarm_reset(weft_alarm *a, weft_dur d)
{
    return reset_any((struct timer_body *)a, ALARM_BYTES, d);
}

void weft_ticker_start(weft_ticker *t, weft_dur d)
{
    if (d <= 0)
        weft_panic("non-positive interval for NewTicker");
    struct timer_body *b = body_of_timer(t);
    weft__lock(&b->lock);
    body_set(b, &timer_chan, d, d);
    weft__unlock(&b->lock);
}

void weft_ticker_stop(weft_ticker *t)
{
    (void)stop_any((struct timer_body *)t, TIMER_BYTES);
}

void weft_ticker_reset(weft_ticker *t, weft_dur d)
{
    struct timer_body *b = (struct timer_body *)t;
    if (d <= 0)
        weft_panic("non-positive interval for Ticker.Reset");
    if (b->cookie != body_cookie(b, TIMER_BYTES))
        return;
    weft__lock(&b->lock);
    (void)body_stop(b);
    if (b->t.kind)
        body_start(b, d, d);
    weft__unlock(&b->lock);
}

weft_receiver(weft_dur) weft_ticker_chan(weft_ticker *t)
{
    return (weft_receiver(weft_dur))body_chan(body_of_timer(t));
}
