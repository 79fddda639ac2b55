/*
 * backoff.c - try again, waiting twice as long each time, until a deadline; and a watchdog that runs beside it.
 *
 * Build    cc backoff.c $(pkg-config --cflags --libs weft) -o backoff
 */
#include <stdio.h>
#include <weft/weft.h>

/* Fails four times. */
static weft_err flaky(void)
{
    static int calls;
    return ++calls < 5 ? -ECONNREFUSED : 0;
}

/* Sleeps, unless ctx ends first. */
static weft_err pause_for(weft_ctx *ctx, weft_dur d)
{
    switch (weft_select(weft_on_timeout(d), weft_on_recv(weft_ctx_done(ctx), NULL))) {
    case 0:
        return 0;
    default:
        return weft_ctx_err(ctx);
    }
}

static weft_err keep_trying(weft_ctx *ctx)
{
    weft_dur wait = 2 * WEFT_MS;
    for (int attempt = 1;; attempt++, wait *= 2) {
        weft_err err = flaky();
        printf("attempt %d: %s\n", attempt, weft_strerror(err));
        if (err == 0)
            return 0;
        printf("  waiting %d ms\n", (int)(wait / WEFT_MS));
        if ((err = pause_for(ctx, wait)) < 0)
            return err;
    }
}

static void bark(void *arg)
{
    printf("still not done: %s\n", (const char *)arg);
}

int main(void)
{
    weft_ctx *ctx = weft_with_timeout(NULL, WEFT_MIN);
    weft_defer(weft_ctx_unref, ctx);
    weft_timer watchdog = {0};

    weft_after_func(&watchdog, WEFT_MIN, bark, "backoff");
    weft_time start = weft_now();
    weft_err err = keep_trying(ctx);
    weft_dur took = weft_now() - start;
    printf("in the end: %s, after at least 30 ms: %s\n", weft_strerror(err), took >= 30 * WEFT_MS ? "yes" : "no");
    printf("the watchdog was called off: %s\n", weft_timer_stop(&watchdog) ? "yes" : "no");
    return 0;
}
