/*
 * test_chan.c - one channel: order, blocking, close, nil, try, free. Behaviour of Go's runtime chan tests in our words.
 */
#include <stdatomic.h>
#include <weft/weft.h>

#include "settle.h"
#include "weft_test.h"

/* Yields until the goroutine that `c` counts has had every chance to get on; bounded. */
static void let_others_run(void)
{
    for (int i = 0; i < 200; i++)
        weft_yield();
}

/* Waits, yielding, until *p is at least n; false after a bounded time. */
static bool until(atomic_int *p, int n)
{
    weft_time end = weft_now() + 3600 * WEFT_SEC; /* the runner's limit is shorter */
    while (atomic_load(p) < n) {
        if (weft_now() > end)
            return false;
        weft_yield();
    }
    return true;
}

static void send_ints(weft_sender(int) out, int from, int n)
{
    for (int i = 0; i < n; i++)
        weft_send(out, from + i);
}

TEST(chan, a_buffer_is_first_in_first_out)
{
    weft_chan(int) ch = weft_make(int, 3);
    for (int round = 0; round < 5; round++) {
        for (int i = 0; i < 3; i++)
            weft_send(ch, round * 10 + i);
        EXPECT_EQ(weft_len(ch), 3);
        for (int i = 0; i < 3; i++)
            EXPECT_EQ(weft_recv(ch), round * 10 + i);
    }
    EXPECT_EQ(weft_len(ch), 0);
    EXPECT_EQ(weft_cap(ch), 3);
    weft_free(ch);
}

TEST(chan, an_unbuffered_channel_is_first_in_first_out)
{
    weft_chan(int) ch = weft_make(int);
    weft_go(send_ints, ch, 0, 1000);
    for (int i = 0; i < 1000; i++)
        EXPECT_EQ(weft_recv(ch), i);
    EXPECT_EQ(weft_cap(ch), 0);
    weft_free(ch);
}

TEST(chan, a_buffer_keeps_order_while_senders_wait)
{
    weft_chan(int) ch = weft_make(int, 4);
    weft_go(send_ints, ch, 0, 100);
    let_others_run();
    for (int i = 0; i < 100; i++)
        EXPECT_EQ(weft_recv(ch), i);
    weft_free(ch);
}

static atomic_int stage;

static void send_and_mark(weft_sender(int) ch, int v)
{
    weft_send(ch, v);
    atomic_fetch_add(&stage, 1);
}

static void recv_and_mark(weft_receiver(int) ch)
{
    (void)weft_recv(ch);
    atomic_fetch_add(&stage, 1);
}

TEST(chan, an_unbuffered_send_waits_for_its_receiver)
{
    weft_chan(int) ch = weft_make(int);
    weft_go(send_and_mark, ch, 5);
    let_others_run();
    EXPECT_EQ(atomic_load(&stage), 0);
    EXPECT_EQ(weft_recv(ch), 5);
    EXPECT(until(&stage, 1));
    weft_free(ch);
}

TEST(chan, a_receive_waits_for_a_value)
{
    weft_chan(int) ch = weft_make(int, 10);
    weft_go(recv_and_mark, ch);
    let_others_run();
    EXPECT_EQ(atomic_load(&stage), 0);
    weft_send(ch, 1);
    EXPECT(until(&stage, 1));
    weft_free(ch);
}

TEST(chan, a_send_waits_only_when_the_buffer_is_full)
{
    weft_chan(int) ch = weft_make(int, 2);
    weft_send(ch, 1);
    weft_send(ch, 2);
    weft_go(send_and_mark, ch, 3);
    let_others_run();
    EXPECT_EQ(atomic_load(&stage), 0);
    EXPECT_EQ(weft_len(ch), 2);
    EXPECT_EQ(weft_recv(ch), 1);
    EXPECT(until(&stage, 1));
    EXPECT_EQ(weft_len(ch), 2);
    EXPECT_EQ(weft_recv(ch), 2);
    EXPECT_EQ(weft_recv(ch), 3);
    weft_free(ch);
}

static int served[4];
static atomic_int served_n;

static void recv_and_note(weft_receiver(int) ch, int who)
{
    int v = weft_recv(ch);
    served[v] = who;
    atomic_fetch_add(&served_n, 1);
}

TEST_ENV(chan, waiting_receivers_are_served_in_order, "WEFT_PROCS=1")
{
    weft_chan(int) ch = weft_make(int);
    for (int i = 0; i < 4; i++) {
        weft_go(recv_and_note, ch, i);
        test_settle();
    }
    for (int i = 0; i < 4; i++)
        weft_send(ch, i);
    EXPECT(until(&served_n, 4));
    for (int i = 0; i < 4; i++)
        EXPECT_EQ(served[i], i);
    weft_free(ch);
}

TEST_ENV(chan, waiting_senders_are_served_in_order, "WEFT_PROCS=1")
{
    weft_chan(int) ch = weft_make(int);
    for (int i = 0; i < 5; i++) {
        weft_go(send_ints, ch, i, 1);
        test_settle();
    }
    for (int i = 0; i < 5; i++)
        EXPECT_EQ(weft_recv(ch), i);
    weft_free(ch);
}

/* ---- close ---- */

/* A close must not lose what was sent before it: receivers empty the buffer first. */
TEST(chan, close_keeps_buffered_values)
{
    weft_chan(int) ch = weft_make(int, 2);
    int v = -1;

    weft_send(ch, 7);
    weft_close(ch);
    EXPECT(weft_recv_ok(ch, &v));
    EXPECT_EQ(v, 7);
    EXPECT(!weft_recv_ok(ch, &v));
    EXPECT_EQ(v, 0);
    EXPECT_EQ(weft_recv(ch), 0);
    v = -1;
    EXPECT_EQ(weft_try_recv(ch, &v), -1);
    EXPECT_EQ(v, 0);
    weft_free(ch);
}

static void recv_closed_and_mark(weft_receiver(long) ch)
{
    long v = 77;
    bool ok = weft_recv_ok(ch, &v);
    if (!ok && v == 0)
        atomic_fetch_add(&stage, 1);
}

TEST(chan, close_wakes_all_receivers_with_zero)
{
    weft_chan(long) ch = weft_make(long);
    for (int i = 0; i < 100; i++)
        weft_go(recv_closed_and_mark, ch);
    let_others_run();
    weft_close(ch);
    EXPECT(until(&stage, 100));
    let_others_run();
    weft_free(ch);
}

static void send_one(weft_sender(int) ch)
{
    weft_send(ch, 1);
}

static void send_expecting_panic(weft_sender(int) ch)
{
    const char *msg = weft_try(send_one, ch);
    if (msg && strcmp(msg, "send on closed channel") == 0)
        atomic_fetch_add(&stage, 1);
}

TEST(chan, close_makes_all_waiting_senders_panic)
{
    weft_chan(int) ch = weft_make(int, 1);
    weft_send(ch, 9);
    for (int i = 0; i < 20; i++)
        weft_go(send_expecting_panic, ch);
    let_others_run();
    EXPECT_EQ(atomic_load(&stage), 0);
    weft_close(ch);
    EXPECT(until(&stage, 20));
    EXPECT_EQ(weft_recv(ch), 9);
    EXPECT(!weft_recv_ok(ch, NULL));
    let_others_run();
    weft_free(ch);
}

TEST(chan, send_on_a_closed_channel_panics)
{
    weft_chan(int) ch = weft_make(int, 8);
    weft_close(ch);
    EXPECT_STR(weft_try(send_one, ch), "send on closed channel");
    weft_free(ch);
}

static void try_send_one(weft_sender(int) ch)
{
    (void)weft_try_send(ch, 1);
}

TEST(chan, try_send_on_a_closed_channel_panics_even_when_full)
{
    weft_chan(int) ch = weft_make(int, 1);
    weft_send(ch, 1);
    weft_close(ch);
    EXPECT_STR(weft_try(try_send_one, ch), "send on closed channel");
    weft_free(ch);
}

static void close_it(weft_sender(int) ch)
{
    weft_close(ch);
}

TEST(chan, close_of_a_closed_channel_panics)
{
    weft_chan(int) ch = weft_make(int);
    weft_close(ch);
    EXPECT_STR(weft_try(close_it, ch), "close of closed channel");
    weft_free(ch);
}

TEST(chan, close_of_nil_panics)
{
    weft_chan(int) ch = NULL;
    EXPECT_STR(weft_try(close_it, ch), "close of nil channel");
}

static void close_deferred(weft_chan(int) ch)
{
    weft_defer(weft_close, ch);
    weft_send(ch, 4);
}

TEST(chan, close_can_be_deferred_by_name)
{
    weft_chan(int) ch = weft_make(int, 1);
    close_deferred(ch);
    EXPECT_EQ(weft_recv(ch), 4);
    EXPECT(!weft_recv_ok(ch, NULL));
    weft_free(ch);
}

static void make_negative(int n)
{
    weft_chan(int) ch = weft_make(int, n);
    weft_free(ch);
}

TEST(chan, a_negative_size_panics)
{
    EXPECT_STR(weft_try(make_negative, -1), "makechan: size out of range");
}

DEATH(chan, an_unrecovered_panic_ends_the_process, 2, "panic: send on closed channel")
{
    weft_chan(int) ch = weft_make(int);
    weft_close(ch);
    weft_send(ch, 1);
}

/* ---- nil ---- */

TEST(chan, nil_channels_are_never_ready)
{
    weft_chan(int) ch = NULL;
    int v = 3;
    EXPECT_EQ(weft_try_recv(ch, &v), 0);
    EXPECT_EQ(v, 3);
    EXPECT(!weft_try_send(ch, 1));
    EXPECT_EQ(weft_len(ch), 0);
    EXPECT_EQ(weft_cap(ch), 0);
    weft_free(ch);
}

DEATH(chan, a_send_on_nil_blocks_for_ever, 2, "deadlock.*chan send \\(nil chan\\)")
{
    weft_chan(int) ch = NULL;
    weft_send(ch, 1);
}

DEATH(chan, a_receive_from_nil_blocks_for_ever, 2, "deadlock.*chan receive \\(nil chan\\)")
{
    weft_chan(int) ch = NULL;
    (void)weft_recv(ch);
}

DEATH(chan, a_receive_that_nobody_serves_is_a_deadlock, 2, "all goroutines are asleep - deadlock!.*chan receive")
{
    weft_chan(int) ch = weft_make(int);
    (void)weft_recv(ch);
}

/* ---- try ---- */

TEST(chan, try_on_a_buffer_follows_its_state)
{
    weft_chan(int) ch = weft_make(int, 1);
    int v = 8;
    EXPECT_EQ(weft_try_recv(ch, &v), 0);
    EXPECT_EQ(v, 8);
    EXPECT(weft_try_send(ch, 5));
    EXPECT(!weft_try_send(ch, 6));
    EXPECT_EQ(weft_try_recv(ch, &v), 1);
    EXPECT_EQ(v, 5);
    EXPECT_EQ(weft_try_recv(ch, NULL), 0);
    weft_close(ch);
    EXPECT_EQ(weft_try_recv(ch, NULL), -1);
    weft_free(ch);
}

TEST(chan, try_send_meets_a_waiting_receiver)
{
    weft_chan(int) ch = weft_make(int);
    EXPECT(!weft_try_send(ch, 1));
    weft_go(recv_and_mark, ch);
    weft_time end = weft_now() + 3600 * WEFT_SEC; /* the runner's limit is shorter */
    bool sent = false;
    while (!(sent = weft_try_send(ch, 2)) && weft_now() < end)
        weft_yield();
    EXPECT(sent);
    EXPECT(until(&stage, 1));
    weft_free(ch);
}

TEST(chan, try_recv_meets_a_waiting_sender)
{
    weft_chan(int) ch = weft_make(int);
    int v = 0;
    EXPECT_EQ(weft_try_recv(ch, &v), 0);
    weft_go(send_and_mark, ch, 31);
    weft_time end = weft_now() + 3600 * WEFT_SEC; /* the runner's limit is shorter */
    int r = 0;
    while (!(r = weft_try_recv(ch, &v)) && weft_now() < end)
        weft_yield();
    EXPECT_EQ(r, 1);
    EXPECT_EQ(v, 31);
    EXPECT(until(&stage, 1));
    weft_free(ch);
}

/* ---- range ---- */

TEST(chan, range_ends_when_closed_and_drained)
{
    weft_chan(int) ch = weft_make(int, 10);
    int sum = 0, n = 0;
    send_ints(ch, 1, 10);
    weft_close(ch);
    weft_range(v, ch) {
        sum += v;
        n++;
    }
    EXPECT_EQ(sum, 55);
    EXPECT_EQ(n, 10);
    weft_free(ch);
}

TEST(chan, break_and_continue_work_in_range)
{
    weft_chan(int) ch = weft_make(int, 10);
    int sum = 0;
    send_ints(ch, 0, 10);
    weft_range(v, ch) {
        if (v == 2)
            continue;
        if (v == 5)
            break;
        sum += v;
    }
    EXPECT_EQ(sum, 0 + 1 + 3 + 4);
    EXPECT_EQ(weft_len(ch), 4);
    weft_free(ch);
}

TEST(chan, ranges_nest)
{
    weft_chan(weft_chan(int)) outer = weft_make(weft_chan(int), 3);
    int sum = 0;
    for (int i = 0; i < 3; i++) {
        weft_chan(int) inner = weft_make(int, 2);
        send_ints(inner, i, 2);
        weft_close(inner);
        weft_send(outer, inner);
    }
    weft_close(outer);
    weft_range(inner, outer) {
        weft_range(v, inner) sum += v;
        weft_free(inner);
    }
    EXPECT_EQ(sum, 0 + 1 + 1 + 2 + 2 + 3);
    weft_free(outer);
}

/* ---- each argument once ---- */

static int evaluated;
static weft_chan(int) the_channel;
static weft_chan(int) channel_once(void)
{
    evaluated++;
    return the_channel;
}

TEST(chan, every_macro_evaluates_its_arguments_once)
{
    the_channel = weft_make(int, 2);
    int i = 0, a[4] = {0};
    weft_send(channel_once(), i++);
    EXPECT_EQ(evaluated, 1);
    EXPECT_EQ(i, 1);
    EXPECT(weft_try_send(channel_once(), i++));
    EXPECT_EQ(evaluated, 2);
    EXPECT_EQ(i, 2);
    EXPECT(weft_recv_ok(channel_once(), &a[i++]));
    EXPECT_EQ(weft_recv(channel_once()), 1);
    EXPECT_EQ(evaluated, 4);
    EXPECT_EQ(weft_try_recv(channel_once(), &a[i++]), 0);
    EXPECT_EQ(weft_len(channel_once()), 0);
    EXPECT_EQ(weft_cap(channel_once()), 2);
    EXPECT_EQ(i, 4);
    EXPECT_EQ(evaluated, 7);
    weft_close(channel_once());
    weft_range(v, channel_once()) EXPECT_EQ(v, -1);
    EXPECT_EQ(evaluated, 9);
    weft_free(channel_once());
    EXPECT_EQ(evaluated, 10);
}

/* ---- free ---- */

static void free_it(weft_chan(int) ch)
{
    weft_free(ch);
}

TEST(chan, freeing_a_channel_in_use_panics)
{
    weft_chan(int) ch = weft_make(int);
    weft_go(recv_and_mark, ch);
    test_settle();
    EXPECT_STR(weft_try(free_it, ch), "free of a channel in use");
    weft_send(ch, 1);
    EXPECT(until(&stage, 1));
    weft_free(ch);
}

static void free_channel_of(weft_timer *t)
{
    weft_free(weft_timer_chan(t));
}

static void free_done_of(weft_ctx *ctx)
{
    weft_free(weft_ctx_done(ctx));
}

TEST(chan, freeing_a_channel_of_a_timer_or_a_context_panics)
{
    static const char want[] = "free of a channel that belongs to a timer or a context";
    weft_timer t = {0};
    weft_ctx *ctx = weft_with_cancel(NULL);
    weft_timer_start(&t, 3600 * WEFT_SEC);
    EXPECT_STR(weft_try(free_channel_of, &t), want);
    EXPECT_STR(weft_try(free_done_of, ctx), want);
    EXPECT(weft_timer_stop(&t));            /* both go on as before */
    weft_cancel(ctx);
    EXPECT(!weft_recv_ok(weft_ctx_done(ctx), NULL));
    weft_ctx_unref(ctx);
}

TEST(chan, free_drops_what_is_buffered)
{
    weft_chan(int) ch = weft_make(int, 4);
    send_ints(ch, 0, 3);
    weft_free(ch);
}

static void recv_then_free(weft_chan(int) ch, weft_sender(int) done)
{
    int v = weft_recv(ch);
    weft_free(ch);
    weft_send(done, v);
}

TEST(chan, the_receiver_may_free_at_once)
{
    weft_chan(int) done = weft_make(int, 1);
    for (int i = 0; i < WEFT_TEST_TIMES(2000, 200); i++) {
        weft_chan(int) ch = weft_make(int);
        weft_go(recv_then_free, ch, done);
        weft_send(ch, i);
        EXPECT_EQ(weft_recv(done), i);
    }
    weft_free(done);
}

#if WEFT_DEBUG
DEATH(chan, a_debug_build_finds_the_use_of_a_freed_channel, 2, "panic: use of a freed channel")
{
    weft_chan(int) ch = weft_make(int, 1);
    weft_free(ch);
    weft_send(ch, 1);
}

DEATH(chan, a_debug_build_finds_a_freed_channel_in_a_select, 2, "panic: use of a freed channel")
{
    weft_chan(int) ch = weft_make(int, 1), other = weft_make(int);
    weft_free(ch);
    (void)weft_select(weft_on_recv(other, NULL), weft_on_recv(ch, NULL));
}

DEATH(chan, a_debug_build_finds_a_second_free, 2, "panic: use of a freed channel")
{
    weft_chan(int) ch = weft_make(int, 1);
    weft_free(ch);
    weft_free(ch);
}
#endif
