/*
 * deadline.c - a context's deadline ends three workers; whoever is done in time delivers.
 *
 * Build    cc deadline.c $(pkg-config --cflags --libs weft) -o deadline
 */
#include <stdio.h>
#include <weft/weft.h>

static const char *const names[] = {"quick", "slow", "stuck"};

static void work(weft_ctx *ctx, int i, weft_dur takes, weft_chan(int) results)
{
    switch (weft_select(weft_on_timeout(takes), weft_on_recv(weft_ctx_done(ctx), NULL))) {
    case 0:
        weft_send(results, i);
        break;
    case 1:
        weft_send(results, -1 - i);
        break;
    }
}

int main(void)
{
    weft_ctx *ctx = weft_with_timeout(weft_background(), 3 * WEFT_SEC);
    weft_defer(weft_ctx_unref, ctx);
    weft_chan(int) results = weft_make(int, 3);
    bool done[3] = {false};

    weft_go(work, ctx, 0, 1 * WEFT_MS, results);
    weft_go(work, ctx, 1, 10 * WEFT_SEC, results);
    weft_go(work, ctx, 2, 10 * WEFT_MIN, results);
    for (int n = 0; n < 3; n++) {
        int r = weft_recv(results);
        done[r >= 0 ? r : -1 - r] = r >= 0;
    }
    for (int i = 0; i < 3; i++)
        printf("%-5s %s\n", names[i], done[i] ? "done" : weft_strerror(weft_ctx_err(ctx)));
    weft_free(results);
    return 0;
}
