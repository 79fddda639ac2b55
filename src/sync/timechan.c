/*
 * timechan.c - timers and tickers as users see them: a scheduler timer with a channel of one value, or a function.
 *
 * Role    weft_timer, weft_ticker, weft_after_func, weft_alarm on top of struct weft__timer; no value of a former run after a
 *         stop. An alarm is the part of a timer that does without a channel: where many are pending, it is the smaller one.
 *         Many may be pending of either, so what is idle in the one use holds what the other one needs (TC8).
 * Near    sched/timer.c (when to fire), chan/chan_int.h (offer, drain), docs/design/sync.md. Layer 3.
 *
 * Invariants:
 *   TC2  An active one-shot timer has nothing in its channel: each start drains first.
 *   TC3  After the offer, or after fn and arg have been read, a one-shot firing does not touch the storage: whoever got
 *        the value may have left the frame that it is in.
 *   TC4  When stop has returned no firing is running: weft__timer_quiesce. What it put into the channel stop drains after
 *        that, so no value of a former run is received.
 *   TC5  A firing begins after the call that started the timer has left the storage: while lock holds TIMER_STARTING it
 *        waits. It does not wait for a stop, which waits for it (TC4).
 *   TC6  mark is TIMER_CLEAN => the timer is not active, no firing is under way, and its channel is empty.
 *   TC7  A reset of an active one-shot timer moves it under the heap's lock alone: its channel is empty (TC2), nothing of the
 *        storage but its place in the heap changes, and when that lock is dropped reset has left it (TC5).
 *   TC8  While use is WEFT__TIMER_FUNC the channel is empty and nobody puts into it: its slot holds fn, its places in the
 *        ring hold arg. Written when no firing is under way; a receiver finds no value and looks at neither.
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
enum { TIMER_CLEAN = 1 };    /* t.mark [lock]: TC6 */

/* What a timer, a ticker and an alarm have. */
struct timer_body {
    union {
        weft_dur slot;            /* [lock of the channel] its buffer: right behind it */
        void (*fn)(void *arg);    /* [const while active] a function's: TC8 */
    };
    struct weft__lock lock;
    uint32_t cookie;              /* [own] says that this storage, here, has been initialised */
    struct weft__timer t;         /* its use [lock]: UNUSED before the first start */
};
struct alarm {
    struct timer_body b;
    void *arg;                    /* [const while active] */
};
struct timer_with_chan {
    struct weft__chan ch;
    struct timer_body b;
};
struct ticker {
    struct timer_with_chan c;
    weft_dur period;              /* [const while active] */
};
enum { TIMER_BYTES = sizeof(struct timer_with_chan), TICKER_BYTES = sizeof(struct ticker), ALARM_BYTES = sizeof(struct alarm) };
_Static_assert(sizeof(struct alarm) <= sizeof(weft_alarm), "weft_alarm is too small");
_Static_assert(sizeof(struct timer_with_chan) <= sizeof(weft_timer), "weft_timer is too small");
_Static_assert(sizeof(struct ticker) <= sizeof(weft_ticker), "weft_ticker is too small");
_Static_assert(offsetof(struct timer_with_chan, b.slot) == sizeof(struct weft__chan), "the channel's buffer follows it");
_Static_assert(sizeof(void *) == 8, "TC8");

weft_time weft_now(void)
{
    return weft__now();
}

/* In the storage of a timer or a ticker. */
static struct timer_body *body_in(void *t)
{
    return &((struct timer_with_chan *)t)->b;
}

/* Of a timer or ticker, not of an alarm. */
static struct weft__chan *body_chan(struct timer_body *b)
{
    return &WEFT__OWNER(b, struct timer_with_chan, b)->ch;
}

/* Differs between kinds of storage, which is told by its size: so what an alarm has left is no timer. */
static uint32_t body_cookie(struct timer_body *b, size_t bytes)
{
    uintptr_t at = (uintptr_t)b;
    return (uint32_t)(at ^ at >> 32 ^ 0x74696d65u ^ bytes << 8) | 1;
}

/* TC5, L1. Somebody else in line for the lock may hide TIMER_STARTING; but then the storage cannot go away either. */
static void timer_await_starter(struct timer_body *b)
{
    uint32_t spins = 0;
    while (atomic_load_explicit(&b->lock.v, memory_order_acquire) == TIMER_STARTING)
        weft__spin(&spins);
}

/* A value for the channel: on a scheduler stack. */
static void timer_fire_chan(struct weft__timer *t)
{
    struct timer_body *b = WEFT__OWNER(t, struct timer_body, t);
    weft_dur now = weft__now();
    timer_await_starter(b);
    if (t->use == WEFT__TIMER_CHAN)
        weft__track_gone(WEFT__TRACK_TIMER, b);
    weft__chan_offer(body_chan(b), &now);                          /* TC3; a tick that finds no room is dropped */
}

/* Functions: on a scheduler stack. */
static void timer_fire_with(struct timer_body *b, void *const *arg_at)
{
    timer_await_starter(b);
    void (*fn)(void *arg) = b->fn;
    void *arg = *arg_at;
    weft__track_gone(WEFT__TRACK_TIMER, b);
    weft_go(fn, arg);                                              /* TC3 */
}

static void timer_fire_func(struct weft__timer *t)
{
    struct timer_body *b = WEFT__OWNER(t, struct timer_body, t);
    timer_fire_with(b, &body_chan(b)->arg);                        /* TC8 */
}

static void timer_fire_alarm(struct weft__timer *t)
{
    struct alarm *a = WEFT__OWNER(t, struct alarm, b.t);
    timer_fire_with(&a->b, &a->arg);
}

/* For deadlock detection: nobody waits for this channel. */
static bool timer_asleep(struct weft__timer *t)
{
    return !weft__chan_has_receivers(body_chan(WEFT__OWNER(t, struct timer_body, t)));
}

__attribute__((constructor(101))) static void timer_know_kinds(void)
{
    static const struct weft__timer_kind
        chan = {.fn = timer_fire_chan, .asleep = timer_asleep},
        tick = {.fn = timer_fire_chan, .asleep = timer_asleep,
                .period_at = offsetof(struct ticker, period) - offsetof(struct timer_with_chan, b.t)},
        func = {.fn = timer_fire_func, .wakes = true},
        alarm = {.fn = timer_fire_alarm, .wakes = true};

    weft__timer_know(WEFT__TIMER_CHAN, &chan);
    weft__timer_know(WEFT__TIMER_TICK, &tick);
    weft__timer_know(WEFT__TIMER_FUNC, &func);
    weft__timer_know(WEFT__TIMER_ALARM, &alarm);
}

/* The body in storage of so many bytes, initialised if it is not yet: zeroed, or moved here from elsewhere, or what another
 * object has left. */
static struct timer_body *body_of(void *storage, size_t bytes)
{
    struct timer_body *b = bytes == ALARM_BYTES ? storage : body_in(storage);
    if (weft__likely(b->cookie == body_cookie(b, bytes)))
        return b;
    if (bytes != ALARM_BYTES)
        weft__chan_init(body_chan(b), sizeof(weft_dur), 1, WEFT__CHAN_TIMER);
    *b = (struct timer_body){.cookie = body_cookie(b, bytes), .t.mark = TIMER_CLEAN};
    return b;
}

/* Stop it; nothing of the former run comes after. Lock held. */
static bool body_stop(struct timer_body *b)
{
    if (b->t.mark == TIMER_CLEAN)
        return false;
    bool active = weft__timer_stop(&b->t);
    weft__track_gone(WEFT__TRACK_TIMER, b);
    b->t.mark = TIMER_CLEAN;                                       /* TC6, by the time this returns */
    if (weft__likely(active && b->t.use != WEFT__TIMER_TICK))
        return true;                                               /* TC2 */
    weft__timer_quiesce(&b->t);                                    /* TC4 */
    if (b->t.use != WEFT__TIMER_CHAN && b->t.use != WEFT__TIMER_TICK)
        return active;
    bool unread = weft__chan_drain(body_chan(b));                  /* TC4 */
    return active || unread;
}

static weft_time body_when(weft_dur d)
{
    weft_time now = weft__now_later();
    return d <= 0 ? now : d > INT64_MAX - now ? INT64_MAX : now + d;
}

static void body_start(struct timer_body *b, weft_dur d)
{
    b->t.mark = 0;
    weft__track_new(WEFT__TRACK_TIMER, b);
    atomic_store_explicit(&b->lock.v, TIMER_STARTING, memory_order_relaxed); /* TC5; we hold it */
    weft__timer_start(&b->t, body_when(d));
}

void weft_timer_start(weft_timer *t, weft_dur d)
{
    struct timer_body *b = body_of(t, TIMER_BYTES);
    weft__lock(&b->lock);
    (void)body_stop(b);
    if (b->t.use == WEFT__TIMER_FUNC)
        body_chan(b)->arg = NULL;                                  /* TC8 */
    b->t.use = WEFT__TIMER_CHAN;
    body_start(b, d);
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
    if (weft__likely(weft__timer_move(&b->t, body_when(d))))       /* TC7 */
        return true;
    weft__lock(&b->lock);
    bool stopped = body_stop(b);
    if (b->t.use != WEFT__TIMER_UNUSED)
        body_start(b, d);
    weft__unlock(&b->lock);
    return stopped;
}

bool weft_timer_stop(weft_timer *t)
{
    return stop_any(body_in(t), TIMER_BYTES);
}

bool weft_timer_reset(weft_timer *t, weft_dur d)
{
    return reset_any(body_in(t), TIMER_BYTES, d);
}

weft_receiver(weft_dur) weft_timer_chan(weft_timer *t)
{
    struct timer_body *b = body_of(t, TIMER_BYTES);
    return b->t.use != WEFT__TIMER_FUNC ? (weft_receiver(weft_dur))body_chan(b) : NULL;
}

/* arg_at: where this use has it. */
static void body_start_func(struct timer_body *b, enum weft__timer_use use, weft_dur d, void (*fn)(void *arg), void **arg_at,
                            void *arg)
{
    weft__lock(&b->lock);
    (void)body_stop(b);
    b->t.use = (uint8_t)use;
    b->fn = fn;                                                    /* TC8 */
    *arg_at = arg;
    body_start(b, d);
    weft__unlock(&b->lock);
}

void weft_after_func(weft_timer *t, weft_dur d, void (*fn)(void *arg), void *arg)
{
    struct timer_body *b = body_of(t, TIMER_BYTES);
    body_start_func(b, WEFT__TIMER_FUNC, d, fn, &body_chan(b)->arg, arg);
}

void weft_alarm_start(weft_alarm *a, weft_dur d, void (*fn)(void *arg), void *arg)
{
    body_start_func(body_of(a, ALARM_BYTES), WEFT__TIMER_ALARM, d, fn, &((struct alarm *)a)->arg, arg);
}

bool weft_alarm_stop(weft_alarm *a)
{
    return stop_any((struct timer_body *)a, ALARM_BYTES);
}

bool weft_alarm_reset(weft_alarm *a, weft_dur d)
{
    return reset_any((struct timer_body *)a, ALARM_BYTES, d);
}

/* Stop it, and tick every d from now. Lock held. */
static void ticker_set(struct ticker *t, weft_dur d)
{
    (void)body_stop(&t->c.b);
    t->c.b.t.use = WEFT__TIMER_TICK;
    t->period = d;
    body_start(&t->c.b, d);
}

void weft_ticker_start(weft_ticker *t, weft_dur d)
{
    if (d <= 0)
        weft_panic("non-positive interval for NewTicker");
    struct timer_body *b = body_of(t, TICKER_BYTES);
    weft__lock(&b->lock);
    ticker_set((struct ticker *)t, d);
    weft__unlock(&b->lock);
}

void weft_ticker_stop(weft_ticker *t)
{
    (void)stop_any(body_in(t), TICKER_BYTES);
}

void weft_ticker_reset(weft_ticker *t, weft_dur d)
{
    struct timer_body *b = body_in(t);
    if (d <= 0)
        weft_panic("non-positive interval for Ticker.Reset");
    if (b->cookie != body_cookie(b, TICKER_BYTES))
        return;
    weft__lock(&b->lock);
    if (b->t.use != WEFT__TIMER_UNUSED)
        ticker_set((struct ticker *)t, d);
    weft__unlock(&b->lock);
}

weft_receiver(weft_dur) weft_ticker_chan(weft_ticker *t)
{
    return (weft_receiver(weft_dur))body_chan(body_of(t, TICKER_BYTES));
}
