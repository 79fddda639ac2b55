/*
 * limiter.c - token bucket.
 *
 * Role    Go's x/time/rate: tokens are a real number that is brought up to date when somebody asks; a reservation takes
 *         tokens that are not there yet, and says when they will be. Near include/weft/group.h. Layer 3.
 *   LI1  tokens <= burst; as of `last`. Below zero: the sum promised ahead.
 *   LI2  event is the latest instant that something was promised for: what a cancelled wait gives back excludes what
 *        was promised to others after it.
 * Locks   the limiter's spinlock, for the arithmetic.
 * Source  Go x/time/rate.
 */
#include <weft/group.h>
#include <weft/select.h>
#include <weft/time.h>

#include "../sched/sched.h"

#define FOR_EVER INT64_MAX

static struct weft__lock *limiter_lock(weft_limiter *l)
{
    return (struct weft__lock *)&l->weft__lock;
}

static weft_dur limiter_time_for(double tokens, double rate)
{
    if (rate <= 0)
        return FOR_EVER;
    double ns = tokens / rate * 1e9;
    return ns >= 9.2e18 ? FOR_EVER : (weft_dur)ns;
}

static double limiter_tokens_in(weft_dur d, double rate)
{
    return rate <= 0 ? 0 : (double)d / 1e9 * rate;
}

/* The tokens at `now`. Lock held. LI1 */
static double limiter_at(weft_limiter *l, weft_time now)
{
    weft_time last = now < l->weft__last ? now : l->weft__last;
    double tokens = l->weft__tokens + limiter_tokens_in(now - last, l->weft__rate);
    return tokens > l->weft__burst ? l->weft__burst : tokens;
}

/* Take n at `now` if they come within wait_max. Returns whether it did, and the wait. */
static bool limiter_take(weft_limiter *l, weft_time now, int n, weft_dur wait_max, weft_dur *ret_wait)
{
    bool ok = true;
    weft_dur wait = 0;

    weft__lock(limiter_lock(l));
    if (!__builtin_isinf(l->weft__rate)) {
        double tokens = limiter_at(l, now) - n;
        if (tokens < 0)
            wait = limiter_time_for(-tokens, l->weft__rate);
        ok = n <= l->weft__burst && wait <= wait_max && wait != FOR_EVER;
        if (ok) {
            l->weft__last = now;
            l->weft__tokens = tokens;
            l->weft__event = now + wait;                                   /* LI2 */
        }
    }
    weft__unlock(limiter_lock(l));
    if (ok)
        *ret_wait = wait;
    return ok;
}

/* A wait for n tokens, promised for `when`, has ended early. */
static void limiter_give_back(weft_limiter *l, int n, weft_time when)
{
    weft_time now = weft__now();
    weft__lock(limiter_lock(l));
    double back = n - limiter_tokens_in(l->weft__event - when, l->weft__rate);     /* LI2 */
    if (!__builtin_isinf(l->weft__rate) && when > now && back > 0) {
        double tokens = limiter_at(l, now) + back;
        l->weft__tokens = tokens > l->weft__burst ? l->weft__burst : tokens;
        l->weft__last = now;
        if (when == l->weft__event) {
            weft_time before = when - limiter_time_for(n, l->weft__rate);
            if (before >= now)
                l->weft__event = before;
        }
    }
    weft__unlock(limiter_lock(l));
}

void weft_limiter_init(weft_limiter *l, double per_second, int burst)
{
    *l = (weft_limiter){.weft__burst = burst, .weft__rate = per_second, .weft__tokens = burst, .weft__last = weft__now()};
}

weft_err weft_limiter_wait(weft_ctx *ctx, weft_limiter *l, int n)
{
    weft_err err = weft_ctx_err(ctx);
    if (err != 0)
        return err;
    weft__lock(limiter_lock(l));
    bool never = n > l->weft__burst && !__builtin_isinf(l->weft__rate);
    weft__unlock(limiter_lock(l));
    if (never)
        return WEFT_ELIMIT;

    weft_time now = weft__now(), at;
    weft_dur wait_max = weft_ctx_deadline(ctx, &at) ? at - now : FOR_EVER, wait;
    if (!limiter_take(l, now, n, wait_max, &wait))
        return wait_max == FOR_EVER ? WEFT_ELIMIT : WEFT_EDEADLINE;
    if (wait == 0)
        return 0;
    if (weft_select(weft_on_timeout(wait), weft_on_recv(weft_ctx_done(ctx), NULL)) == 0)
        return 0;
    limiter_give_back(l, n, now + wait);
    return weft_ctx_err(ctx);
}

bool weft_limiter_allow(weft_limiter *l, int n)
{
    weft_dur wait;
    return limiter_take(l, weft__now(), n, 0, &wait);
}

weft_dur weft_limiter_reserve(weft_limiter *l, int n)
{
    weft_dur wait;
    return limiter_take(l, weft__now(), n, FOR_EVER, &wait) ? wait : -1;
}

/* Bring tokens up to date before the rate or the size changes. */
static void limiter_change(weft_limiter *l, double rate, int burst)
{
    weft_time now = weft__now();
    double tokens = limiter_at(l, now);
    l->weft__last = now;
    l->weft__tokens = tokens;
    l->weft__rate = rate;
    l->weft__burst = burst;
}

void weft_limiter_set_limit(weft_limiter *l, double per_second)
{
    weft__lock(limiter_lock(l));
    limiter_change(l, per_second, l->weft__burst);
    weft__unlock(limiter_lock(l));
}

void weft_limiter_set_burst(weft_limiter *l, int burst)
{
    weft__lock(limiter_lock(l));
    limiter_change(l, l->weft__rate, burst);
    weft__unlock(limiter_lock(l));
}

double weft_limiter_tokens(weft_limiter *l)
{
    weft__lock(limiter_lock(l));
    double tokens = limiter_at(l, weft__now());
    weft__unlock(limiter_lock(l));
    return tokens;
}
