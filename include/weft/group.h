/*
 * weft/group.h - weighted semaphore, errgroup, rate limiter, singleflight: golang.org/x/sync and x/time/rate for C.
 *
 * Each type is plain storage of the caller's, which stays where it is while in use. Only calls marked WEFT_PARKS may park,
 * and the _go macros where they say so. Any thread may call.
 *
 * Source  Go x/sync/semaphore, errgroup, singleflight; x/time/rate.
 */
#ifndef WEFT_GROUP_H
#define WEFT_GROUP_H
#include <weft/ctx.h>
#include <weft/sync.h>

#pragma GCC system_header

/* ---- weighted semaphore ---- */

typedef struct weft_sem {
    int64_t weft__size, weft__held;          /* permits in all; taken */
    struct weft__line weft__line;
} weft_sem;

/**
 * weft_sem_init - n permits, none taken.
 *
 * @n        0 or more; else panics "semaphore: size < 0".
 */
WEFT_API void weft_sem_init(weft_sem *s, int64_t n);

/**
 * weft_sem_acquire - take n permits; first come, first served, also where a later one would fit.
 *
 * @ctx      ends the wait; NULL: wait without limit.
 * @n        0 or more, else it panics "semaphore: n < 0". More than the semaphore has waits for the end of ctx, without
 *           holding up others.
 *
 * Returns   0; WEFT_ECANCELED or WEFT_EDEADLINE: ctx has ended, nothing is taken (also when permits are free).
 * Parks     until they are free.
 * Source    Go x/sync/semaphore.Weighted.Acquire.
 */
WEFT_API WEFT_PARKS WEFT_MUST_USE weft_err weft_sem_acquire(weft_ctx *ctx, weft_sem *s, int64_t n);

/**
 * weft_sem_try_acquire - take n permits if they are free and nobody waits.
 *
 * Returns   whether it did. Panics "semaphore: n < 0". Parks never. Any thread. Source: Go Weighted.TryAcquire.
 */
WEFT_API WEFT_MUST_USE bool weft_sem_try_acquire(weft_sem *s, int64_t n);

/**
 * weft_sem_release - give n permits back.
 *
 * Panics    "semaphore: released more than held", "semaphore: n < 0".
 * Parks     never. Any thread. Source: Go Weighted.Release.
 */
WEFT_API void weft_sem_release(weft_sem *s, int64_t n);

/* ---- errgroup ---- */

typedef struct weft_errgroup {
    weft_ctx *weft__ctx;
    weft_waitgroup weft__wg;
    _Atomic weft_err weft__err;              /* the first failure */
    _Atomic int32_t weft__active;            /* goroutines that hold a place */
    bool weft__limited;
    struct weft__line weft__places;
} weft_errgroup;

/**
 * weft_errgroup_init - a group of goroutines that are parts of one job.
 *
 * @ctx      parent; NULL: background.
 * @ret_gctx set to a context that ends when the first of them fails, or when weft_errgroup_wait returns. Lent: it lives
 *           until weft_errgroup_wait has returned. May be NULL.
 *
 * A zeroed group works too, without a context. Each init needs a weft_errgroup_wait.
 * Source    Go x/sync/errgroup.WithContext.
 */
WEFT_API void weft_errgroup_init(weft_errgroup *g, weft_ctx *ctx, weft_ctx **ret_gctx);

/**
 * weft_errgroup_go - run fn(args...), which returns weft_err, in a goroutine of the group.
 *
 * @g        evaluated once.
 *
 * The first result below 0 is what wait returns, and ends the group's context with it as the cause. An fn that ends by
 * weft_goexit counts as a success.
 * Parks     while the limit is reached.
 * Source    Go Group.Go.
 */
#define weft_errgroup_go(g, ...)                                                                           \
    __extension__({                                                                                        \
        WEFT__CHECK_ERR_FN("weft_errgroup_go", WEFT__HEAD(__VA_ARGS__), WEFT__TAIL(__VA_ARGS__));          \
        weft_errgroup *weft__g = (g);                                                                      \
        weft__errgroup_enter(weft__g);                                                                     \
        WEFT__GO(NULL, weft__errgroup_end, weft__g, WEFT__HEAD(__VA_ARGS__), WEFT__TAIL(__VA_ARGS__));     \
    })

/**
 * weft_errgroup_try_go - the same unless the limit is reached.
 *
 * Returns   false at the limit: fn is not run nor are args evaluated; else true. Parks never. Source: Go Group.TryGo.
 */
#define weft_errgroup_try_go(g, ...)                                                                           \
    __extension__({                                                                                            \
        WEFT__CHECK_ERR_FN("weft_errgroup_try_go", WEFT__HEAD(__VA_ARGS__), WEFT__TAIL(__VA_ARGS__));          \
        weft_errgroup *weft__g = (g);                                                                          \
        bool weft__in = weft__errgroup_try_enter(weft__g);                                                     \
        if (weft__in)                                                                                          \
            WEFT__GO(NULL, weft__errgroup_end, weft__g, WEFT__HEAD(__VA_ARGS__), WEFT__TAIL(__VA_ARGS__));     \
        weft__in;                                                                                              \
    })
#define WEFT__CHECK_ERR_FN(what, fn_, ...)                                                             \
    _Static_assert(__builtin_types_compatible_p(__typeof__((fn_)(__VA_ARGS__)), weft_err),             \
                   what ": the function must return weft_err")
WEFT_API WEFT_PARKS void weft__errgroup_enter(weft_errgroup *g);
WEFT_API bool weft__errgroup_try_enter(weft_errgroup *g);
WEFT_API void weft__errgroup_end(void *g, long result);

/**
 * weft_errgroup_set_limit - at most n goroutines of the group at one time; below 0: no limit (the default).
 *
 * @n        goroutines; 0: none may start.
 *
 * Panics    "errgroup: modify limit while N goroutines in the group are still active", whatever the limit was before.
 * Source    Go Group.SetLimit.
 */
WEFT_API void weft_errgroup_set_limit(weft_errgroup *g, int n);

/**
 * weft_errgroup_wait - wait for all of them.
 *
 * Returns   0, or the first of their results below 0, fn's own. The group's context has ended and is gone.
 * Parks     until the last one has ended. Source: Go Group.Wait.
 */
WEFT_API WEFT_PARKS weft_err weft_errgroup_wait(weft_errgroup *g);

/* ---- rate limiter ---- */

typedef struct weft_limiter {
    _Atomic uint32_t weft__lock;
    int weft__burst;
    double weft__rate;                       /* tokens a second */
    double weft__tokens;                     /* at weft__last; below zero: promised ahead */
    weft_time weft__last;
    weft_time weft__event;                   /* the latest time something was promised for */
} weft_limiter;

/** Tokens a second that mean "no limit". Go rate.Inf. */
#define WEFT_RATE_INF __builtin_inf()

/**
 * weft_limiter_init - a bucket of `burst` tokens, full, that fills by per_second.
 *
 * @per_second  tokens a second. 0 or less: it never fills again. WEFT_RATE_INF: every request is granted.
 * @burst    tokens it can hold, and the most that one call can take.
 *
 * Source    Go x/time/rate.NewLimiter.
 */
WEFT_API void weft_limiter_init(weft_limiter *l, double per_second, int burst);

/**
 * weft_limiter_wait - take n tokens, waiting for them.
 *
 * @ctx      ends the wait; NULL: wait without limit, for ever where the rate is 0.
 * @n        tokens.
 *
 * Returns   0; WEFT_ELIMIT when n exceeds the burst; WEFT_EDEADLINE at once when ctx's deadline comes before the tokens
 *           do; WEFT_ECANCELED or WEFT_EDEADLINE when ctx has ended or ends meanwhile (what was promised is given back).
 * Parks     until they are there. Source: Go Limiter.WaitN.
 */
WEFT_API WEFT_PARKS WEFT_MUST_USE weft_err weft_limiter_wait(weft_ctx *ctx, weft_limiter *l, int n);

/**
 * weft_limiter_allow - take n tokens if they are there now.
 *
 * Returns   whether it did. Parks never. Any thread. Source: Go Limiter.AllowN.
 */
WEFT_API WEFT_MUST_USE bool weft_limiter_allow(weft_limiter *l, int n);

/**
 * weft_limiter_reserve - take n tokens ahead.
 *
 * Returns   ns to wait before acting on them, INT64_MAX where they never come (a rate of 0); -1: n exceeds the burst and
 *           nothing is taken. Parks never. Any thread. Source: Go Limiter.ReserveN.
 */
WEFT_API WEFT_MUST_USE weft_dur weft_limiter_reserve(weft_limiter *l, int n);

/**
 * weft_limiter_set_limit, weft_limiter_set_burst - change it from now on. weft_limiter_tokens - ask.
 *
 * @per_second, burst  as for weft_limiter_init. What was promised before keeps its instants.
 *
 * Returns   _tokens: those there now; below zero: promised ahead. Parks never. Any thread.
 * Source    Go Limiter.SetLimit, SetBurst, Tokens.
 */
WEFT_API void weft_limiter_set_limit(weft_limiter *l, double per_second);
WEFT_API void weft_limiter_set_burst(weft_limiter *l, int burst);
WEFT_API double weft_limiter_tokens(weft_limiter *l);

/* Tokens taken ahead: what weft_limiter_reserve_at has promised. */
typedef struct weft_reservation {
    weft_time at;                            /* the instant to act at */
    weft_dur wait;                           /* ns from the asking to it */
    int n;                                   /* tokens */
    double weft__rate;                       /* at the time of asking */
} weft_reservation;

/**
 * weft_limiter_allow_at, _reserve_at, _cancel_at, _set_limit_at, _set_burst_at, _tokens_at - the same at a given instant.
 *
 * @now      an instant of weft_now, or of a clock of the caller's own; it may jump back.
 * @n, per_second, burst  as above.
 * @wait_max ns; a longer wait is refused. INT64_MAX: any.
 * @ret_r    set when true is returned. weft_limiter_cancel_at gives it back, as far as nobody was promised something
 *           after it; once its instant has passed it does nothing.
 *
 * Returns   _reserve_at: whether n is within the burst and the wait within wait_max. Parks never. Any thread.
 * Source    Go Limiter.AllowN, ReserveN, Reservation.CancelAt, SetLimitAt, SetBurstAt, TokensAt: the same decisions at
 *           the same instants. Tests: tests/conf/test_conf_rate.c.
 */
WEFT_API WEFT_MUST_USE bool weft_limiter_allow_at(weft_limiter *l, weft_time now, int n);
WEFT_API WEFT_MUST_USE bool weft_limiter_reserve_at(weft_limiter *l, weft_time now, int n, weft_dur wait_max,
                                                    weft_reservation *ret_r);
WEFT_API void weft_limiter_cancel_at(weft_limiter *l, weft_time now, const weft_reservation *r);
WEFT_API void weft_limiter_set_limit_at(weft_limiter *l, weft_time now, double per_second);
WEFT_API void weft_limiter_set_burst_at(weft_limiter *l, weft_time now, int burst);
WEFT_API double weft_limiter_tokens_at(weft_limiter *l, weft_time now);

/* ---- singleflight ---- */

struct weft__flight;
typedef struct weft_singleflight {
    _Atomic uint32_t weft__lock;
    struct weft__flight *weft__calls;        /* under way */
} weft_singleflight;

/**
 * weft_singleflight_do - fn(arg, &out), but never twice at one time for one key: later callers wait for the first's.
 *
 * @key      string, compared by content, copied.
 * @fn       returns weft_err and sets *out, which all callers get.
 * @ret_out  set to what fn set, whatever its result; may be NULL.
 * @ret_shared  set to whether several callers got it; may be NULL.
 *
 * Returns   fn's result, for good or bad.
 * Parks     while fn runs, here or elsewhere.
 * Panics    with fn's message, in all callers, when fn panics. When fn ends its goroutine (weft_goexit), so do they.
 * Owns      *out is fn's to manage; when it is shared no single caller may free it.
 * Source    Go x/sync/singleflight.Group.Do.
 */
WEFT_API WEFT_PARKS weft_err weft_singleflight_do(weft_singleflight *g, const char *key,
                                                  weft_err (*fn)(void *arg, void **ret_out), void *arg, void **ret_out,
                                                  bool *ret_shared);

/** What weft_singleflight_chan delivers. */
struct weft_singleflight_result {
    weft_err err;                            /* fn's result */
    void *out;                               /* what fn set */
    bool shared;                             /* several callers got it */
};

/**
 * weft_singleflight_chan - weft_singleflight_do that does not wait.
 *
 * Returns   a channel that gives one value when the call is over. The caller frees it (weft_free) after receiving.
 *           No value ever comes when fn ends its goroutine by weft_goexit.
 * Source    Go Group.DoChan. As there, a panic of fn ends the process, also when weft_singleflight_do runs fn.
 */
WEFT_API WEFT_MUST_USE weft_receiver(struct weft_singleflight_result)
    weft_singleflight_chan(weft_singleflight *g, const char *key, weft_err (*fn)(void *arg, void **ret_out), void *arg);

/** weft_singleflight_forget - the next call with key runs fn, even while one is under way. Go Group.Forget. */
WEFT_API void weft_singleflight_forget(weft_singleflight *g, const char *key);

#endif
