/* ctx_types.c - what contexts, timers, once and groups refuse at compile time. */
#include <weft/weft.h>

static weft_ctx *ctx;
static weft_timer timer;
static weft_ticker ticker;
static weft_waitgroup wg;
static weft_once once;
static weft_errgroup group;
static weft_mutex mutex;

struct big {
    long v[4];
};

void takes_int_and_text(int n, const char *text);
weft_err fallible(int n);
void infallible(int n);
struct big makes_big(void);
void use(void);

void use(void)
{
    weft_chan(int) ints = weft_make(int, 1);
    weft_chan(long) longs = weft_make(long, 1);
    weft_receiver(int) only_in = ints;
    weft_send(weft_ctx_done(ctx), 'x'); /* ERROR "weft_send: cannot send on a receive-only channel" */
    weft_close(weft_ctx_done(ctx)); /* ERROR "weft_close: cannot close a receive-only channel" */
    weft_send(weft_timer_chan(&timer), 1); /* ERROR "weft_send: cannot send on a receive-only channel" */
    weft_close(weft_ticker_chan(&ticker)); /* ERROR "weft_close: cannot close a receive-only channel" */
    weft_timer_stop(&ticker); /* ERROR "incompatible pointer type" */
    weft_mutex_lock(&wg); /* ERROR "incompatible pointer type" */
    weft_waitgroup_go(&mutex, infallible, 1); /* ERROR "incompatible pointer type" */
    weft_waitgroup_go(&wg, takes_int_and_text, 1); /* ERROR "too few arguments" */
    weft_waitgroup_go(&wg, takes_int_and_text, 1, 2); /* ERROR "integer to pointer|makes pointer from integer" */
    weft_once_do(&once, takes_int_and_text, 1, "a", 2); /* ERROR "too many arguments" */
    weft_once_do(&once, makes_big); /* ERROR "weft_once_do: the function must return void or a scalar" */
    weft_errgroup_go(&group, infallible, 1); /* ERROR "weft_errgroup_go: the function must return weft_err" */
    (void)weft_errgroup_try_go(&group, infallible, 1); /* ERROR "weft_errgroup_try_go: the function must return weft_err" */
    (void)weft_errgroup_try_go(&group, fallible); /* ERROR "too few arguments" */
    weft_errgroup_go(&group, fallible, "one"); /* ERROR "makes integer from pointer|pointer to integer" */
    weft_signal_notify(longs, SIGINT); /* ERROR "weft_signal_notify: the channel must be a weft_chan" */
    weft_signal_notify(only_in, SIGINT); /* ERROR "weft_signal_notify: cannot send on a receive-only channel" */
    (void)ints, (void)longs, (void)only_in;
}
