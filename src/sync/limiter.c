/*
 * limiter.c - token bucket.
 *
 * Role    Go's x/time/rate: tokens are a real number that is brought up to date when somebody asks; a reservation takes
 *         tokens that are not there yet, and says when they will be. Near include/weft/group.h. Layer 3.
 *   LI1  tokens <= burst; as of `last`. Below zero: the sum promised ahead.
 *   LI2  event is the latest instant that something was promised for: what is given back excludes what was promised to
 *        others after it.
 *   LI3  The arithmetic is Go's, operation by operation and rounding by rounding, so that the same calls at the same
 *        instants get the same answers: tests/conf/test_conf_rate.c compares with a table that Go has written. (But no
 *        time at an infinite rate gives no tokens, where Go's 0 * Inf poisons the bucket with a NaN.)
 *   LI4  Instants and waits do not wrap: they stop at INT64_MAX, which stands for never.
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

/* a + b and a - b. LI4 */
static int64_t limiter_add(int64_t a, int64_t b)
{
    int64_t sum;
    return __builtin_add_overflow(a, b, &sum) ? (a > 0 ? INT64_MAX : INT64_MIN) : sum;
}

static int64_t limiter_sub(int64_t a, int64_t b)
{
    int64_t rest;
    return __builtin_sub_overflow(a, b, &rest) ? (a < 0 ? INT64_MIN : INT64_MAX) : rest;
}

static weft_dur limiter_time_for(double tokens, double rate)
{
    if (rate <= 0)
        return FOR_EVER;
    double ns = tokens / rate * 1e9;
    return ns >= 0x1p63 ? FOR_EVER : ns <= -0x1p63 ? INT64_MIN : (weft_dur)ns;
}

static double limiter_tokens_in(weft_dur d, double rate)
{
    if (rate <= 0 || d == 0)
        return 0;
    double tokens = ((double)(d / WEFT_SEC) + (double)(d % WEFT_SEC) / 1e9) * rate;
    __asm__("" : "+m"(tokens));     /* LI3: rounded here; not fused with an addition where the processor could */
    return tokens;
}

/* The tokens at `now`. Lock held. LI1 */
static double limiter_tokens_then(weft_limiter *l, weft_time now)
{
    weft_time last = now < l->weft__last ? now : l->weft__last;
    double tokens = l->weft__tokens + limiter_tokens_in(limiter_sub(now, last), l->weft__rate);
    return tokens > l->weft__burst ? l->weft__burst : tokens;
}

bool weft_limiter_reserve_at(weft_limiter *l, weft_time now, int n, weft_dur wait_max, weft_reservation *ret_r)
{
    weft_reservation r = {.at = now, .n = n};
    bool ok = true;

    weft__lock(limiter_lock(l));
    if (!__builtin_isinf(l->weft__rate)) {
        r.weft__rate = l->weft__rate;                                      /* else 0, as in Go: given back whole */
        double tokens = limiter_tokens_then(l, now) - n;
        if (tokens < 0)
            r.wait = limiter_time_for(-tokens, l->weft__rate);
        ok = n <= l->weft__burst && r.wait <= wait_max;
        if (ok) {
            r.at = limiter_add(now, r.wait);
            l->weft__last = now;
            l->weft__tokens = tokens;
            l->weft__event = r.at;                                         /* LI2 */
        }
    }
    weft__unlock(limiter_lock(l));
    if (ok)
        *ret_r = r;
    return ok;
}

void weft_limiter_cancel_at(weft_limiter *l, weft_time now, const weft_reservation *r)
{
    weft__lock(limiter_lock(l));
    double back = r->n - limiter_tokens_in(limiter_sub(l->weft__event, r->at), r->weft__rate);     /* LI2 */
    if (!__builtin_isinf(l->weft__rate) && r->n != 0 && r->at >= now && back > 0) {
        double tokens = limiter_tokens_then(l, now) + back;
        l->weft__tokens = tokens > l->weft__burst ? l->weft__burst : tokens;
        l->weft__last = now;
        if (r->at == l->weft__event) {
            weft_time before = limiter_add(r->at, limiter_time_for(-(double)r->n, r->weft__rate));
            if (before >= now)
                l->weft__event = before;
        }
    }
    weft__unlock(limiter_lock(l));
}

void weft_limiter_init(weft_limiter *l, double per_second, int burst)
{
    *l = (weft_limiter){.weft__burst = burst, .weft__rate = per_second, .weft__tokens = burst,
                        .weft__last = INT64_MIN, .weft__event = INT64_MIN};
}

weft_err weft_limiter_wait(weft_ctx *ctx, weft_limiter *l, int n)
{
    weft__lock(limiter_lock(l));
    bool never = n > l->weft__burst && !__builtin_isinf(l->weft__rate);
    weft__unlock(limiter_lock(l));
    if (never)
        return WEFT_ELIMIT;
    weft_err err = weft_ctx_err(ctx);
    if (err != 0)
        return err;

    weft_time now = weft__now(), at;
    bool limited = weft_ctx_deadline(ctx, &at);
    weft_reservation r;
    if (!weft_limiter_reserve_at(l, now, n, limited ? limiter_sub(at, now) : FOR_EVER, &r))
        return limited ? WEFT_EDEADLINE : WEFT_ELIMIT;       /* the second: the burst was made smaller just now */
    if (r.wait == 0 || weft_select(weft_on_timeout(r.wait), weft_on_recv(weft_ctx_done(ctx), NULL)) == 0)
        return 0;
    weft_limiter_cancel_at(l, weft__now(), &r);
    return weft_ctx_err(ctx);
}

bool weft_limiter_allow_at(weft_limiter *l, weft_time now, int n)
{
    weft_reservation r;
    return weft_limiter_reserve_at(l, now, n, 0, &r);
}

bool weft_limiter_allow(weft_limiter *l, int n)
{
    return weft_limiter_allow_at(l, weft__now(), n);
}

weft_dur weft_limiter_reserve(weft_limiter *l, int n)
{
    weft_reservation r;
    return weft_limiter_reserve_at(l, weft__now(), n, FOR_EVER, &r) ? r.wait : -1;
}

/* Bring tokens up to date before the rate or the size changes. Lock held. */
static void limiter_advance(weft_limiter *l, weft_time now)
{
    l->weft__tokens = limiter_tokens_then(l, now);
    l->weft__last = now;
}

void weft_limiter_set_limit_at(weft_limiter *l, weft_time now, double per_second)
{
    weft__lock(limiter_lock(l));
    limiter_advance(l, now);
    l->weft__rate = per_second;
    weft__unlock(limiter_lock(l));
}

void weft_limiter_set_limit(weft_limiter *l, double per_second)
{
    weft_limiter_set_limit_at(l, weft__now(), per_second);
}

void weft_limiter_set_burst_at(weft_limiter *l, weft_time now, int burst)
{
    weft__lock(limiter_lock(l));
    limiter_advance(l, now);
    l->weft__burst = burst;
    weft__unlock(limiter_lock(l));
}

void weft_limiter_set_burst(weft_limiter *l, int burst)
{
    weft_limiter_set_burst_at(l, weft__now(), burst);
}

double weft_limiter_tokens_at(weft_limiter *l, weft_time now)
{
    weft__lock(limiter_lock(l));
    double tokens = limiter_tokens_then(l, now);
    weft__unlock(limiter_lock(l));
    return tokens;
}

double weft_limiter_tokens(weft_limiter *l)
{
    return weft_limiter_tokens_at(l, weft__now());
}
