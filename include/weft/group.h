/*
 * weft/group.h - weighted semaphore, errgroup, rate limiter, singleflight: golang.org/x/sync and x/time/rate for C.
 *
 * Each type is plain storage of the caller's, which stays where it is while in use.
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

/** weft_sem_init - n permits, none taken. */
WEFT_API void weft_sem_init(weft_sem *s, int64_t n);

/**
 * weft_sem_acquire - take n permits; first come, first served, also where a later one would fit.
 *
 * @ctx      ends the wait; NULL: wait without limit.
 * @n        0 .. More than the semaphore has waits for the end of ctx, without holding up others.
 *
 * Returns   0; WEFT_ECANCELED or WEFT_EDEADLINE: ctx has ended, nothing is taken (also when permits are free).
 * Parks     until they are free.
 * Source    Go x/sync/semaphore.Weighted.Acquire.
 */
WEFT_API WEFT_PARKS WEFT_MUST_USE weft_err weft_sem_acquire(weft_ctx *ctx, weft_sem *s, int64_t n);

/** weft_sem_try_acquire - take n permits if they are free and nobody waits. Returns whether it did. */
WEFT_API WEFT_MUST_USE bool weft_sem_try_acquire(weft_sem *s, int64_t n);

/** weft_sem_release - give n permits back. Any thread. Panics "semaphore: released more than held". */
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

/** weft_errgroup_try_go - the same unless the limit is reached: then false, and fn is not run nor args evaluated. */
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
 * Panics    "errgroup: modify limit while N goroutines in the group are still active".
 */
WEFT_API void weft_errgroup_set_limit(weft_errgroup *g, int n);

/**
 * weft_errgroup_wait - wait for all of them.
 *
 * Returns   0, or the first failure. The group's context has ended and is gone.
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
 * @per_second  0 or less: it never fills again. WEFT_RATE_INF: every request is granted.
 * Source    Go x/time/rate.NewLimiter.
 */
WEFT_API void weft_limiter_init(weft_limiter *l, double per_second, int burst);

/**
 * weft_limiter_wait - take n tokens, waiting for them.
 *
 * Returns   0; WEFT_ELIMIT when n exceeds the burst; WEFT_EDEADLINE at once when ctx's deadline comes before the tokens
 *           do; WEFT_ECANCELED or WEFT_EDEADLINE when ctx has ended or ends meanwhile (what was promised is given back).
 * Parks     until they are there. Source: Go Limiter.WaitN.
 */
WEFT_API WEFT_PARKS WEFT_MUST_USE weft_err weft_limiter_wait(weft_ctx *ctx, weft_limiter *l, int n);

/** weft_limiter_allow - take n tokens if they are there now. Returns whether it did. Go Limiter.AllowN. */
WEFT_API WEFT_MUST_USE bool weft_limiter_allow(weft_limiter *l, int n);

/** weft_limiter_reserve - take n tokens ahead. Returns how long to wait before acting on them; -1: n exceeds the burst. */
WEFT_API WEFT_MUST_USE weft_dur weft_limiter_reserve(weft_limiter *l, int n);

/** weft_limiter_set_limit, _set_burst - change it from now on. _tokens - those there now; below zero: promised ahead. */
WEFT_API void weft_limiter_set_limit(weft_limiter *l, double per_second);
WEFT_API void weft_limiter_set_burst(weft_limiter *l, int burst);
WEFT_API double weft_limiter_tokens(weft_limiter *l);

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
 * Returns   fn's result.
 * Panics    "singleflight: the function did not return", in those that waited for an fn that panicked or ended its
 *           goroutine.
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
 * Source    Go Group.DoChan. As there, a panic of fn ends the process.
 */
WEFT_API WEFT_MUST_USE weft_receiver(struct weft_singleflight_result)
    weft_singleflight_chan(weft_singleflight *g, const char *key, weft_err (*fn)(void *arg, void **ret_out), void *arg);

/** weft_singleflight_forget - the next call with key runs fn, even while one is under way. Go Group.Forget. */
WEFT_API void weft_singleflight_forget(weft_singleflight *g, const char *key);

#endif
