/*
 * rate_limit.c - a token bucket, 10 a second and 3 at once; and an errgroup that runs two parts of a job at a time.
 *
 * The first half asks the limiter at instants of its own (the _at calls), so that it needs no waiting; the second waits.
 *
 * Build    cc rate_limit.c $(pkg-config --cflags --libs weft) -o rate_limit
 */
#include <stdio.h>
#include <weft/weft.h>

static weft_err part(weft_ctx *ctx, weft_limiter *limiter, int i)
{
    weft_err err = weft_limiter_wait(ctx, limiter, 1);
    if (err < 0)
        return err; /* somebody else has failed: the group's context has ended */
    return i == 6 ? -EIO : 0;
}

int main(void)
{
    weft_limiter door, limiter;
    weft_errgroup group;
    weft_ctx *ctx;

    weft_limiter_init(&door, 10, 3);
    for (weft_time t = 0; t <= 400 * WEFT_MS; t += 50 * WEFT_MS) {
        bool in = weft_limiter_allow_at(&door, t, 1);
        printf("%3d ms: %s, %.1f left\n", (int)(t / WEFT_MS), in ? "in" : "not yet", weft_limiter_tokens_at(&door, t));
    }

    weft_limiter_init(&limiter, 1000, 1);
    weft_errgroup_init(&group, NULL, &ctx);
    weft_errgroup_set_limit(&group, 2);
    for (int i = 1; i <= 6; i++)
        weft_errgroup_go(&group, part, ctx, &limiter, i);
    printf("the group's first failure: %s\n", weft_strerror(weft_errgroup_wait(&group)));
    return 0;
}
