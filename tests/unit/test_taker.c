/*
 * test_taker.c - who waits alone for 8 bytes is queued by its waiter and gets them when its turn comes (sched/taker.c).
 *
 * A send queues so only where another goroutine is to run first: so each test sends to many at a time. Near test_taker_report.c.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <time.h>
#include <unistd.h>
#include <weft/weft.h>

#include "taker_lines.h"

enum { FEW = 40 };

static _Atomic long sum, closed;
static weft_waitgroup all;

/* Its number times what it gets, so that no value may come to another. */
static void get_one(int i)
{
    atomic_fetch_add(&sum, i * weft_recv(to[i]));
    weft_waitgroup_done(&all);
}

static void start_receivers(int n, void (*fn)(int))
{
    atomic_store(&sum, 0);
    weft_waitgroup_add(&all, n);
    for (int i = 0; i < n; i++)
        weft_go(fn, i);
}

static long expected(int n, long plus)
{
    long x = 0;
    for (int i = 0; i < n; i++)
        x += i * (i + plus);
    return x;
}

TEST_ENV(taker, each_gets_its_own_bytes, "WEFT_PROCS=1")
{
    make_lines(MANY);
    start_receivers(MANY, get_one);
    test_settle();
    send_to_all(MANY, 7);
    weft_waitgroup_wait(&all);
    EXPECT_EQ(sum, expected(MANY, 7));
    free_lines(MANY);
}

/* As others that are readied: the last one next, the others in the order of the sends. */
static int order[FEW];
static _Atomic int order_n;

static void note_order(int i)
{
    (void)weft_recv(to[i]);
    order[atomic_fetch_add(&order_n, 1)] = i;
    weft_waitgroup_done(&all);
}

/* Where main has lost its processor between the sends, some have run before the last was sent: then once more. */
TEST_ENV(taker, they_run_in_the_order_in_which_others_would, "WEFT_PROCS=1")
{
    int right = 0;

    make_lines(FEW);
    for (int round = 0; round < 20 && right < FEW; round++) {
        atomic_store(&order_n, 0);
        start_receivers(FEW, note_order);
        test_settle();
        send_to_all(FEW, 0);
        weft_waitgroup_wait(&all);
        right = 0;
        for (int i = 0; i < FEW; i++)
            right += order[i] == (i + FEW - 1) % FEW;
    }
    EXPECT_EQ(right, FEW);
    free_lines(FEW);
}

/* Of the calling goroutine's processor; -1: it has none now. */
static int takers_queued(void)
{
    struct weft__m *m = weft__m();
    struct weft__p *p = weft__enter(m);
    int n = p ? (atomic_load(&p->next) & WEFT__IS_TAKER) != 0 : -1;

    for (uint32_t i = 0; p && i < weft__runq_len(p); i++)
        n += (p->ring[(atomic_load(&p->head) + i) & (p->slots - 1)] & WEFT__IS_TAKER) != 0;
    weft__leave(m);
    return n;
}

/* Or who is warm would pay for it. On a busy machine the monitor may take some away: then once more. */
TEST_ENV(taker, the_first_few_are_readied_at_once, "WEFT_PROCS=1")
{
    int n = (int)usual_min, sent = 0, takers = -1;

    REQUIRE(n > 0 && n < FEW);
    weft__policy.taker_min = usual_min;
    make_lines(FEW);
    for (int round = 0; round < 100 && !(sent == 0 && takers == FEW - n - 1); round++) {
        start_receivers(FEW, get_one);
        test_settle();
        send_to_all(n + 1, 3);
        sent = takers_queued();
        for (int i = n + 1; i < FEW; i++)
            weft_send(to[i], i + 3);
        takers = takers_queued();
        weft_waitgroup_wait(&all);
        EXPECT_EQ(sum, expected(FEW, 3));
    }
    EXPECT_EQ(sent, 0);
    EXPECT_EQ(takers, FEW - n - 1);
    free_lines(FEW);
}

TEST_ENV(taker, they_are_stolen_with_their_bytes, "WEFT_PROCS=4")
{
    make_lines(MANY);
    for (int round = 0; round < 10; round++) {
        start_receivers(MANY, get_one);
        test_settle();
        send_to_all(MANY, round);
        weft_waitgroup_wait(&all);
        EXPECT_EQ(sum, expected(MANY, round));
    }
    free_lines(MANY);
}

/* The monitor moves them to the global queue, and another worker takes them from there. */
TEST_ENV(taker, behind_a_computing_goroutine_they_are_shared, "WEFT_PROCS=2")
{
    make_lines(MANY);
    start_receivers(MANY, get_one);
    test_settle();
    send_to_all(MANY, 1);
    while (atomic_load(&sum) != expected(MANY, 1)) /* without a park */
        ;
    weft_waitgroup_wait(&all);
    EXPECT_EQ(sum, expected(MANY, 1));
    free_lines(MANY);
}

TEST_ENV(taker, fewer_processors_leave_nobody_behind, "WEFT_PROCS=4")
{
    make_lines(MANY);
    for (int round = 0; round < 5; round++) {
        weft_procs(4);
        start_receivers(MANY, get_one);
        test_settle();
        send_to_all(MANY, round);
        weft_procs(1);
        weft_waitgroup_wait(&all);
        EXPECT_EQ(sum, expected(MANY, round));
    }
    free_lines(MANY);
}

enum { GROUPS = 4, ROUNDS = 20 };

static void get_many(int i)
{
    long got = 0;
    for (long v = 0; v < ROUNDS; v++)
        got += weft_recv(to[i]) == v;
    atomic_fetch_add(&sum, got);
    weft_waitgroup_done(&all);
}

static void send_to_group(int group)
{
    for (long v = 0; v < ROUNDS; v++)
        for (int i = 0; i < EACH; i++)
            weft_send(to[group * EACH + i], v);
    weft_waitgroup_done(&all);
}

/* Who is sent to may be on its way into the park, on another processor. */
TEST_ENV(taker, sends_and_parks_may_meet, "WEFT_PROCS=4")
{
    make_lines(GROUPS * EACH);
    start_receivers(GROUPS * EACH, get_many);
    weft_waitgroup_add(&all, GROUPS);
    for (int i = 0; i < GROUPS; i++)
        weft_go(send_to_group, i);
    weft_waitgroup_wait(&all);
    EXPECT_EQ(sum, GROUPS * EACH * ROUNDS);
    free_lines(GROUPS * EACH);
}

/* What is sent before a close arrives, though its receiver has not run by then; the close is seen after it. */
static void get_all(int i)
{
    for (long v; weft_recv_ok(to[i], &v);)
        atomic_fetch_add(&sum, i * v);
    atomic_fetch_add(&closed, 1);
    weft_waitgroup_done(&all);
}

TEST_ENV(taker, a_close_after_the_send_takes_nothing_away, "WEFT_PROCS=1")
{
    make_lines(FEW);
    start_receivers(FEW, get_all);
    test_settle();
    send_to_all(FEW, 3);
    for (int i = 0; i < FEW; i++)
        weft_close(to[i]);
    weft_waitgroup_wait(&all);
    EXPECT_EQ(sum, expected(FEW, 3));
    EXPECT_EQ(closed, FEW);
    free_lines(FEW);
}

/* The last user of each channel is its receiver. */
static void get_and_free(int i)
{
    long v = weft_recv(to[i]);
    weft_free(to[i]);
    atomic_fetch_add(&sum, i * v);
    weft_waitgroup_done(&all);
}

TEST_ENV(taker, the_receiver_may_free_the_channel, "WEFT_PROCS=4")
{
    for (int round = 0; round < 10; round++) {
        make_lines(MANY);
        start_receivers(MANY, get_and_free);
        if (round % 2)
            test_settle();
        send_to_all(MANY, round);
        weft_waitgroup_wait(&all);
        EXPECT_EQ(sum, expected(MANY, round));
    }
}

static void get_one_tied(int i)
{
    weft_lock_thread();
    long v = weft_recv(to[i]);
    weft_unlock_thread();
    atomic_fetch_add(&sum, i * v);
    weft_waitgroup_done(&all);
}

TEST_ENV(taker, receivers_tied_to_a_thread_get_theirs_too, "WEFT_PROCS=2")
{
    make_lines(FEW);
    start_receivers(FEW, get_one_tied);
    test_settle();
    send_to_all(FEW, 5);
    weft_waitgroup_wait(&all);
    EXPECT_EQ(sum, expected(FEW, 5));
    free_lines(FEW);
}

static void *send_from_outside(void *arg)
{
    (void)arg;
    send_to_all(MANY, 9);
    return NULL;
}

TEST_ENV(taker, a_thread_of_the_program_may_send, "WEFT_PROCS=2")
{
    pthread_t t;

    make_lines(MANY);
    start_receivers(MANY, get_one);
    REQUIRE(pthread_create(&t, NULL, send_from_outside, NULL) == 0);
    weft_waitgroup_wait(&all);
    REQUIRE(pthread_join(t, NULL) == 0);
    EXPECT_EQ(sum, expected(MANY, 9));
    free_lines(MANY);
}

/* Structures of 8 bytes that lie anywhere, and pointers: the bytes are copied, whatever they are. */
struct odd {
    char bytes[8];
};

static void get_odd(weft_chan(struct odd) c)
{
    struct {
        char before;
        struct odd odd;
        char after;
    } at = {.before = 'b', .after = 'a'};

    weft_recv_ok(c, &at.odd);
    atomic_fetch_add(&sum, memcmp(at.odd.bytes, "8 bytes", 8) == 0 && at.before == 'b' && at.after == 'a');
    weft_waitgroup_done(&all);
}

TEST_ENV(taker, the_bytes_may_be_a_structure_at_an_odd_place, "WEFT_PROCS=1")
{
    weft_chan(struct odd) c[FEW];

    weft_waitgroup_add(&all, FEW);
    for (int i = 0; i < FEW; i++) {
        c[i] = weft_make(struct odd);
        weft_go(get_odd, c[i]);
    }
    test_settle();
    for (int i = 0; i < FEW; i++)
        weft_send(c[i], (struct odd){"8 bytes"});
    weft_waitgroup_wait(&all);
    EXPECT_EQ(sum, FEW);
    for (int i = 0; i < FEW; i++)
        weft_free(c[i]);
}

/* ---- the queue itself ---- */

/* A processor that nobody knows, with room for four, and goroutines that are none. */
struct queue {
    struct weft__p p;
    struct weft__g g[3];
    struct weft__taker t[3];
    long got[3];
    weft__runnable ring[8];
};

static void queue_three(struct queue *q)
{
    memset(q, 0, sizeof *q);
    q->p.ring = q->ring;
    q->p.slots = 4;
    for (int i = 0; i < 3; i++) {
        atomic_store(&q->g[i].state, WEFT__G_PARKED);
        q->t[i] = (struct weft__taker){.g = &q->g[i], .p = &q->got[i]};
        weft__runq_add_taker(&q->p, &q->t[i], 100 + (uint64_t)i);
    }
}

static void expect_next(struct queue *q, int i)
{
    EXPECT(weft__runq_pop(&q->p) == (weft__runnable)&q->g[i]);
    EXPECT_EQ(q->got[i], 100 + i);
    EXPECT(q->t[i].ok);
    EXPECT_EQ(weft__g_state(&q->g[i]), WEFT__G_RUNNABLE);
}

/* Or a thread would wait inside of its section for one that a dump has stopped. */
TEST(taker, who_is_still_on_its_cpu_is_passed_over)
{
    static struct queue q;

    queue_three(&q);
    atomic_store(&q.g[0].sw.on_cpu, 1);
    EXPECT(weft__runq_pop(&q.p) == 0);
    EXPECT_EQ(q.got[0], 0);
    EXPECT_EQ(weft__runq_len(&q.p), 3);
    expect_next(&q, 1);
    expect_next(&q, 2);
    for (int i = 0; i < 10; i++)
        EXPECT(weft__runq_pop(&q.p) == 0);
    EXPECT_EQ(weft__runq_len(&q.p), 1);
    atomic_store(&q.g[0].sw.on_cpu, 0);
    expect_next(&q, 0);
    EXPECT(weft__runq_pop(&q.p) == 0);
    EXPECT_EQ(weft__runq_len(&q.p), 0);
}

TEST(taker, whose_stack_the_scavenger_holds_is_passed_over)
{
    static struct queue q;

    queue_three(&q);
    atomic_store(&q.g[0].hold, 1);
    EXPECT(weft__runq_pop(&q.p) == 0);
    EXPECT_EQ(q.got[0], 0);
    expect_next(&q, 1);
    atomic_store(&q.g[0].hold, 0);
    expect_next(&q, 2);
    expect_next(&q, 0);
}

TEST(taker, a_queue_that_grows_keeps_the_bytes)
{
    static struct queue q;

    queue_three(&q);
    atomic_store(&q.p.head, 3); /* so that they lie around the ring's end */
    atomic_store(&q.p.tail, 3);
    for (int i = 0; i < 3; i++)
        weft__runq_add_taker(&q.p, &q.t[i], 100 + (uint64_t)i);
    q.p.ring = weft__sys_alloc(sizeof q.ring);
    REQUIRE(q.p.ring != NULL);
    memcpy(q.p.ring, q.ring, sizeof q.ring);
    REQUIRE(weft__runq_grow(&q.p));
    EXPECT_EQ(q.p.slots, 8);
    for (int i = 0; i < 3; i++)
        expect_next(&q, i);
    weft__sys_free(q.p.ring);
}

/* Who is due goes ahead of others that are queued (test_due.c); each takes its bytes along. */
TEST(taker, in_a_queue_that_others_jump_they_keep_the_bytes)
{
    static struct queue q;
    struct weft__g due[2];

    queue_three(&q);
    q.p.ring = weft__sys_alloc(2 * sizeof q.ring);
    REQUIRE(q.p.ring != NULL);
    q.p.slots = 8;
    atomic_store(&q.p.head, 6); /* so that they lie around the ring's end */
    atomic_store(&q.p.tail, 6);
    q.p.due_head = 6;
    q.p.due_saved = 100;
    for (int i = 0; i < 2; i++)
        weft__runq_add_taker(&q.p, &q.t[i], 100 + (uint64_t)i);
    for (int i = 0; i < 2; i++)
        weft__runq_add(&q.p, (weft__runnable)&due[i]);
    weft__runq_add_taker(&q.p, &q.t[2], 102);
    weft__runq_due_first(&q.p, 2);
    for (int i = 0; i < 2; i++)
        EXPECT(weft__runq_pop(&q.p) == (weft__runnable)&due[i]);
    expect_next(&q, 2);
    expect_next(&q, 0);
    expect_next(&q, 1);
    weft__sys_free(q.p.ring);
}

/* Out of the next slot, too: it is in the queue then, where it can be stolen from. */
TEST(taker, who_was_next_and_is_on_its_cpu_goes_to_the_end)
{
    static struct queue q;

    queue_three(&q);
    EXPECT(weft__runq_pop(&q.p) != 0);
    q.got[0] = 0;
    atomic_store(&q.p.next, (weft__runnable)&q.t[0] | WEFT__IS_TAKER);
    q.p.next_bytes = 100;
    atomic_store(&q.g[0].sw.on_cpu, 1);
    EXPECT(weft__next_deliver(&q.p) == NULL);
    EXPECT(atomic_load(&q.p.next) == 0);
    EXPECT_EQ(q.got[0], 0);
    EXPECT_EQ(weft__runq_len(&q.p), 3);
    atomic_store(&q.g[0].sw.on_cpu, 0);
    expect_next(&q, 1);
    expect_next(&q, 2);
    expect_next(&q, 0);
}
