/*
 * first_answer.c - the first of several answers, within a time limit; the slow ones are told to stop through a context.
 *
 * Build    cc first_answer.c $(pkg-config --cflags --libs weft) -o first_answer
 */
#include <stdio.h>
#include <weft/weft.h>

static void ask(weft_ctx *ctx, const char *name, weft_dur takes, weft_sender(const char *) out, weft_waitgroup *all)
{
    weft_defer(weft_waitgroup_done, all);
    switch (weft_select(weft_on_timeout(takes), weft_on_recv(weft_ctx_done(ctx), (char *)NULL))) {
    case 0:
        weft_send(out, name);
        break;
    case 1:
        break; /* somebody else was first */
    }
}

int main(void)
{
    weft_ctx *ctx = weft_with_timeout(weft_background(), 5 * WEFT_SEC);
    weft_chan(const char *) answers = weft_make(const char *, 3);
    weft_waitgroup all = {0};
    const char *first = NULL;

    weft_waitgroup_add(&all, 3);
    weft_go(ask, ctx, "the tortoise", 3600 * WEFT_SEC, answers, &all);
    weft_go(ask, ctx, "the hare", 20 * WEFT_MS, answers, &all);
    weft_go(ask, ctx, "the snail", 86400 * WEFT_SEC, answers, &all);

    switch (weft_select(weft_on_recv(answers, &first), weft_on_recv(weft_ctx_done(ctx), (char *)NULL))) {
    case 0:
        printf("first: %s\n", first);
        break;
    case 1:
        printf("nobody: %s\n", weft_strerror(weft_ctx_err(ctx)));
        break;
    }
    weft_cancel(ctx);
    weft_waitgroup_wait(&all);
    printf("all have stopped\n");
    weft_free(answers);
    weft_ctx_unref(ctx);
    return 0;
}
