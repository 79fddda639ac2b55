/*
 * foreign_thread.c - a thread that weft did not start, beside goroutines: it may call weft like anybody else.
 *
 * Calls that never park (try_send, close, cancel, done) just work there. A call that parks makes the thread a goroutine
 * for the time being: it waits, and nothing else runs on that thread.
 *
 * Build    cc foreign_thread.c $(pkg-config --cflags --libs weft) -o foreign_thread
 */
#include <pthread.h>
#include <stdio.h>
#include <weft/weft.h>

struct mailbox {
    weft_chan(int) readings, answer;
    weft_ctx *stop;
    weft_waitgroup workers;
};

/* As a library's callback would do it: from a thread of the library's own. */
static void *sensor(void *arg)
{
    struct mailbox *box = arg;
    for (int i = 1; i <= 100; i++)
        weft_send(box->readings, i); /* parks: this thread waits */
    weft_close(box->readings);
    int sum = weft_recv(box->answer);
    printf("the thread was told: the sum is %d\n", sum);
    weft_cancel(box->stop);
    return NULL;
}

static void add_up(struct mailbox *box)
{
    int sum = 0;
    weft_range(v, box->readings) {
        sum += v;
    }
    weft_send(box->answer, sum);
}

static void wait_for_the_end(struct mailbox *box)
{
    (void)weft_recv(weft_ctx_done(box->stop));
    puts("the thread has cancelled the context");
}

int main(void)
{
    struct mailbox box = {weft_make(int), weft_make(int), weft_with_cancel(NULL), {0}};
    pthread_t thread;

    weft_waitgroup_go(&box.workers, add_up, &box);
    weft_waitgroup_go(&box.workers, wait_for_the_end, &box);
    if (pthread_create(&thread, NULL, sensor, &box) != 0)
        return 1;
    weft_waitgroup_wait(&box.workers);
    weft_block_begin(); /* pthread_join blocks the thread it is called on */
    pthread_join(thread, NULL);
    weft_block_end();
    weft_ctx_unref(box.stop);
    weft_free(box.readings);
    weft_free(box.answer);
    return 0;
}
