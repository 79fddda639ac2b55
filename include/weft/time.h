/*
 * weft/time.h - the clock, timers, tickers and functions that run later: Go's package time.
 *
 * weft_timer and weft_ticker are the caller's storage; all bytes zero is "never started". While one is active, or a
 * goroutine waits on its channel, the storage must stay where it is; stop it before it goes away. A timer whose value
 * has been received needs no stop.
 *
 * Differs from Go  a channel gives the instant (weft_now) at which the time was up, as there is no time.Time. It belongs
 *                  to the timer: nobody frees or closes it; its len and cap are 0.
 * Parks   weft_timer_* and weft_ticker_* never; only receiving from their channels does. Any thread may call.
 * Source  Go time, as since 1.23: after stop or reset has returned no stale value is received.
 */
#ifndef WEFT_TIME_H
#define WEFT_TIME_H
#include <weft/chan.h>

#pragma GCC system_header

/** weft_now - monotonic clock, ns; not the time of day. Any thread. Costs about 20 ns. */
WEFT_API weft_time weft_now(void);

typedef struct weft_timer {
    uint64_t weft__opaque[9];
} weft_timer;

typedef struct weft_ticker {
    uint64_t weft__opaque[10];
} weft_ticker;

/* A timer that runs a function and has no channel: less than half of a weft_timer. */
typedef struct weft_alarm {
    uint64_t weft__opaque[4];
} weft_alarm;

/**
 * weft_timer_start - have the timer's channel give one value after d.
 *
 * @t        storage; an active timer is moved to the new time.
 * @d        nanoseconds; 0 or less: at once.
 *
 * Parks     never. Any thread. Costs no allocation: a pending one takes these 72 bytes and 16 of the processor's heap.
 * Source    Go time.NewTimer. Tests: test_timer.c.
 */
WEFT_API void weft_timer_start(weft_timer *t, weft_dur d);

/**
 * weft_timer_stop - have it not fire.
 *
 * Returns   true if this stopped it: it was active, or its value was there and had not been received. False if it had
 *           fired and its value was received (weft_after_func: fn was started), or it was not started.
 *           After it returns the channel gives no value, and the storage may go away.
 * Parks     never. May spin for the moment in which the timer fires.
 * Source    Go Timer.Stop.
 */
WEFT_API bool weft_timer_stop(weft_timer *t);

/**
 * weft_timer_reset - stop it, and start it anew with d. Does nothing with a timer that was never started.
 *
 * @d        nanoseconds; 0 or less: at once.
 *
 * Returns   as weft_timer_stop. A value of the former run is not received after it returns.
 * Source    Go Timer.Reset.
 */
WEFT_API bool weft_timer_reset(weft_timer *t, weft_dur d);

/**
 * weft_timer_chan - the channel; the same one for the life of the storage, also before the first start.
 *
 * Returns   NULL, never ready, for a timer made by weft_after_func.
 */
WEFT_API weft_receiver(weft_dur) weft_timer_chan(weft_timer *t);

/**
 * weft_after_func - run fn(arg) in its own goroutine after d.
 *
 * @t        storage, for weft_timer_stop and weft_timer_reset (which runs fn again); it may go away once fn has started.
 * @d        nanoseconds; 0 or less: at once.
 *
 * weft_timer_stop does not wait for an fn that has been started.
 * Source    Go time.AfterFunc.
 */
WEFT_API void weft_after_func(weft_timer *t, weft_dur d, void (*fn)(void *arg), void *arg);

/**
 * weft_alarm_start - weft_after_func in less storage: run fn(arg) in its own goroutine after d.
 *
 * @a        storage; all bytes zero at first. An active alarm is stopped and set anew. It may go away once fn has started.
 * @d        nanoseconds; 0 or less: at once.
 *
 * Parks     never. Any thread. A pending one takes these 32 bytes and 16 of the processor's heap.
 * Source    Go time.AfterFunc. Tests: test_timer.c.
 */
WEFT_API void weft_alarm_start(weft_alarm *a, weft_dur d, void (*fn)(void *arg), void *arg);

/**
 * weft_alarm_stop - have it not run fn.
 *
 * Returns   true if this stopped it; false if fn was started, or it was not set. It does not wait for an fn that has been
 *           started. The storage may go away after it returns.
 * Parks     never. May spin for the moment in which the alarm goes off.
 * Source    Go Timer.Stop.
 */
WEFT_API bool weft_alarm_stop(weft_alarm *a);

/**
 * weft_alarm_reset - stop it, and run fn of the last weft_alarm_start d from now. Does nothing with one that was never set.
 *
 * @d        nanoseconds; 0 or less: at once.
 *
 * Returns   as weft_alarm_stop.
 * Source    Go Timer.Reset.
 */
WEFT_API bool weft_alarm_reset(weft_alarm *a, weft_dur d);

/**
 * weft_ticker_start - have the ticker's channel give a value every d, until stopped.
 *
 * @d        nanoseconds, more than 0, else it panics "non-positive interval for NewTicker".
 *
 * A tick that finds the one before it not yet received is dropped, so a slow receiver does not see a burst.
 * Source    Go time.NewTicker.
 */
WEFT_API void weft_ticker_start(weft_ticker *t, weft_dur d);

/** weft_ticker_stop - no more ticks; the channel stays open. After it returns the storage may go away. Go Ticker.Stop. */
WEFT_API void weft_ticker_stop(weft_ticker *t);

/** weft_ticker_reset - a new period, from now. Panics "non-positive interval for Ticker.Reset". Go Ticker.Reset. */
WEFT_API void weft_ticker_reset(weft_ticker *t, weft_dur d);

/** weft_ticker_chan - the channel of ticks; the same one for the life of the storage. */
WEFT_API weft_receiver(weft_dur) weft_ticker_chan(weft_ticker *t);

#endif
