/*
 * queue.c - a bounded queue by hand: a mutex and two conditions. (A buffered channel is the same thing, ready made.)
 *
 * Build    cc queue.c $(pkg-config --cflags --libs weft) -o queue
 */
#include <stdio.h>
#include <weft/weft.h>

enum { ROOM = 4 };

struct queue {
    weft_mutex m;
    weft_cond not_empty, not_full;
    int item[ROOM], head, len;
};

static void queue_init(struct queue *q)
{
    *q = (struct queue){0}; /* zeroed is ready to use; a condition needs its mutex named */
    q->not_empty.m = q->not_full.m = &q->m;
}

static void queue_put(struct queue *q, int v)
{
    weft_mutex_lock(&q->m);
    weft_defer(weft_mutex_unlock, &q->m);
    while (q->len == ROOM)
        weft_cond_wait(&q->not_full);
    q->item[(q->head + q->len++) % ROOM] = v;
    weft_cond_signal(&q->not_empty);
}

static int queue_take(struct queue *q)
{
    weft_mutex_lock(&q->m);
    weft_defer(weft_mutex_unlock, &q->m);
    while (q->len == 0)
        weft_cond_wait(&q->not_empty);
    int v = q->item[q->head];
    q->head = (q->head + 1) % ROOM;
    q->len--;
    weft_cond_signal(&q->not_full);
    return v;
}

static void produce(struct queue *q, int from, int n)
{
    for (int i = 0; i < n; i++)
        queue_put(q, from + i);
}

int main(void)
{
    struct queue q;
    weft_waitgroup producers = {0};
    long sum = 0;

    queue_init(&q);
    for (int i = 0; i < 4; i++)
        weft_waitgroup_go(&producers, produce, &q, 250 * i, 250);
    for (int i = 0; i < 1000; i++)
        sum += queue_take(&q);
    weft_waitgroup_wait(&producers);
    printf("the numbers from 0 to 999 add up to %ld\n", sum);
    return 0;
}
