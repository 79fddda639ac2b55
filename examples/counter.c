/*
 * counter.c - a map of counters behind a mutex, filled by a thousand goroutines; a waitgroup says when all are done.
 *
 * Build    cc counter.c $(pkg-config --cflags --libs weft) -o counter
 */
#include <stdio.h>
#include <weft/weft.h>

struct counters {
    weft_mutex m;
    int n[3];
};

static void count(struct counters *c, int which)
{
    weft_mutex_lock(&c->m);
    weft_defer(weft_mutex_unlock, &c->m);
    c->n[which]++;
}

int main(void)
{
    struct counters c = {0};
    weft_waitgroup wg = {0};

    for (int i = 0; i < 1000; i++)
        weft_waitgroup_go(&wg, count, &c, i % 3);
    weft_waitgroup_wait(&wg);
    printf("%d %d %d\n", c.n[0], c.n[1], c.n[2]);
    return 0;
}
