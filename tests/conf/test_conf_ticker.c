/*
 * test_conf_ticker.c - tickers, and what timers and tickers share since Go 1.23, as Go's tests hold them. What comes from
 * where: LIST_time.md.
 *
 * Source  Go time: tick_test.go, the tickers of sleep_test.go. Upper bounds on times are tried again: the machine may be busy.
 */
#include "conf.h"

#define FAR_AWAY ((weft_dur)10000 * WEFT_SEC)

/* ---- the beat ---- */

/* Half of count ticks of delta, half of twice that: takes as long as it should, and none comes after stop. */
static const char *beat(int count, weft_dur delta)
{
    weft_ticker t = {0};
    weft_dur target = 3 * delta * (count / 2), slop = target * 3 / 10;
    weft_time start = weft_now();
    weft_ticker_start(&t, delta);
    for (int i = 0; i < count / 2; i++)
        (void)weft_recv(weft_ticker_chan(&t));
    weft_ticker_reset(&t, 2 * delta);
    for (int i = 0; i < count - count / 2; i++)
        (void)weft_recv(weft_ticker_chan(&t));
    weft_ticker_stop(&t);
    weft_dur took = weft_now() - start;
    weft_sleep(2 * delta);
    if (weft_try_recv(weft_ticker_chan(&t), NULL) != 0)
        return "a tick after stop";
    return took < target - slop ? "too fast" : took > target + slop ? "too slow" : NULL;
}

TEST(conf_ticker, ticks_in_time_also_after_reset)
{
    const char *bad = beat(10, 10 * WEFT_MS);
    for (weft_dur delta = 50 * WEFT_MS; bad && delta < 2 * WEFT_SEC; delta *= 2)    /* until the machine is quick enough */
        bad = beat(8, delta);
    EXPECT_STR(bad ? bad : "fine", "fine");
}

TEST(conf_ticker, stopping_one_that_was_never_started_is_harmless)
{
    weft_ticker t = {0};
    weft_ticker_stop(&t);
    EXPECT_EQ(weft_try_recv(weft_ticker_chan(&t), NULL), 0);
}

TEST(conf_ticker, it_can_be_stopped_and_its_storage_used_again)
{
    for (int i = 0; i < 3; i++) {
        weft_ticker t = {0};
        weft_ticker_start(&t, 5 * WEFT_MS);
        (void)weft_recv(weft_ticker_chan(&t));
        weft_ticker_stop(&t);
        weft_ticker_start(&t, 5 * WEFT_MS);
        (void)weft_recv(weft_ticker_chan(&t));
        weft_ticker_stop(&t);
    }
}

TEST(conf_ticker, an_interval_below_one_panics)
{
    weft_ticker t = {0};
    EXPECT_PANIC("non-positive interval for NewTicker", weft_ticker_start, &t, -1);
    EXPECT_PANIC("non-positive interval for NewTicker", weft_ticker_start, &t, 0);
}

TEST(conf_ticker, a_reset_to_an_interval_below_one_panics)
{
    weft_ticker t = {0};
    weft_ticker_start(&t, WEFT_SEC);
    EXPECT_PANIC("non-positive interval for Ticker.Reset", weft_ticker_reset, &t, 0);
    EXPECT_PANIC("non-positive interval for Ticker.Reset", weft_ticker_reset, &t, -WEFT_SEC);
    weft_ticker_stop(&t);
}

TEST(conf_ticker, the_longest_interval_does_not_overflow)
{
    weft_ticker longest = {0}, beat_on = {0};
    weft_ticker_start(&longest, INT64_MAX);
    weft_ticker_start(&beat_on, WEFT_MS);
    for (int i = 0; i < 20; i++)
        EXPECT_EQ(weft_select(weft_on_recv(weft_ticker_chan(&longest), NULL), weft_on_recv(weft_ticker_chan(&beat_on), NULL)), 1);
    weft_ticker_stop(&longest);
    weft_ticker_stop(&beat_on);
}

/* ---- a slow receiver ---- */

TEST(conf_ticker, the_instant_of_a_tick_is_when_it_was_due)
{
    for (weft_dur d = 100 * WEFT_MS; d < 10 * WEFT_SEC; d *= 2) {    /* longer where the machine was late to fire it */
        weft_ticker t = {0};
        weft_time start = weft_now();
        weft_ticker_start(&t, 10 * WEFT_MS);
        weft_sleep(d);
        weft_time at = weft_recv(weft_ticker_chan(&t));
        weft_ticker_stop(&t);
        if (at - start < d * 4 / 5)
            return;
    }
    weft_test_fail(__FILE__, __LINE__, "each time the instant was that of the receive");
}

/* Not a Go test, but what its tickers promise: ticks that nobody took are dropped, one is kept. */
TEST(conf_ticker, a_slow_receiver_finds_one_tick_and_no_burst)
{
    weft_ticker t = {0};
    weft_ticker_start(&t, 20 * WEFT_MS);
    for (int try = 0; try < 20; try++) {
        weft_sleep(110 * WEFT_MS);
        weft_time start = weft_now();
        int burst = 0;
        while (weft_try_recv(weft_ticker_chan(&t), NULL) == 1)
            burst++;
        if (weft_now() - start > 10 * WEFT_MS)
            continue;                              /* more than one tick may have come just now */
        EXPECT(burst >= 1 && burst <= 2);
        break;
    }
    weft_ticker_stop(&t);
}

/* ---- stress ---- */

static void nap(atomic_int *stop)
{
    while (!atomic_load(stop))
        weft_sleep(1);
}

TEST(conf_ticker, of_one_nanosecond_beside_naps_of_one_nanosecond)
{
    weft_ticker t = {0};
    weft_waitgroup wg = {0};
    atomic_int stop = 0;
    weft_waitgroup_go(&wg, nap, &stop);
    weft_ticker_start(&t, 1);
    for (int i = 0; i < 100; i++)
        (void)weft_recv(weft_ticker_chan(&t));
    weft_ticker_stop(&t);
    atomic_store(&stop, 1);
    weft_waitgroup_wait(&wg);
}

static void take(weft_receiver(weft_dur) ch, int n)
{
    for (int i = 0; i < n; i++)
        (void)weft_recv(ch);
}

TEST_ENV(conf_ticker, of_one_nanosecond_with_ten_receivers, "WEFT_PROCS=4")
{
    weft_ticker t = {0};
    weft_waitgroup wg = {0}, napper = {0};
    atomic_int stop = 0;
    weft_waitgroup_go(&napper, nap, &stop);
    weft_ticker_start(&t, 1);
    for (int i = 0; i < 10; i++)
        weft_waitgroup_go(&wg, take, weft_ticker_chan(&t), 100);
    weft_waitgroup_wait(&wg);
    weft_ticker_stop(&t);
    atomic_store(&stop, 1);
    weft_waitgroup_wait(&napper);
}

static void take_or_time_out(weft_ticker *t, int n)
{
    for (int i = 0; i < n; i++)
        (void)weft_select(weft_on_recv(weft_ticker_chan(t), NULL), weft_on_timeout(WEFT_MS));
}

TEST_ENV(conf_ticker, many_wait_for_one_ticker_or_a_timeout, "WEFT_PROCS=8")
{
    weft_ticker t = {0};
    weft_waitgroup wg = {0};
    weft_ticker_start(&t, WEFT_US);
    for (int i = 0; i < 8; i++)
        weft_waitgroup_go(&wg, take_or_time_out, &t, 3000);
    weft_waitgroup_wait(&wg);
    weft_ticker_stop(&t);
}

static void sleep_10_us(void)
{
    weft_sleep(10 * WEFT_US);
}

struct queue {
    weft_chan(int) in, out;
    int v[64];
    int head, len;
};

/* Takes what comes and hands it on, in order; until in is closed. */
static void run_queue(struct queue *q)
{
    for (;;) {
        int v = 0;
        bool ok = true;
        switch (weft_select(weft_on_send(q->len ? q->out : NULL, q->v[q->head]), weft_on_recv_ok(q->in, &v, &ok))) {
        case 0:
            q->head = (q->head + 1) % 64;
            q->len--;
            break;
        case 1:
            if (!ok)
                return;
            q->v[(q->head + q->len++) % 64] = v;
        }
    }
}

TEST_SLOW(conf_ticker, thousands_of_sleepers_do_not_slow_timeouts_down, 120)
{
    struct queue q = {.in = weft_make(int), .out = weft_make(int)};
    weft_waitgroup wg = {0};
    for (int i = 0; i < 5000; i++)
        weft_waitgroup_go(&wg, sleep_10_us);
    for (int i = 0; i < 200; i++)
        weft_sleep(WEFT_US);
    weft_waitgroup_go(&wg, run_queue, &q);
    for (int i = 0; i < 2000; i++) {
        int v = 0;
        for (int k = 0; k < 20; k++)
            weft_send(q.in, i + k);
        for (int k = 0; k < 20; k++) {
            EXPECT_EQ(weft_select(weft_on_recv(q.out, &v), weft_on_timeout(CONF_LONG)), 0);
            EXPECT_EQ(v, i + k);
        }
    }
    weft_close(q.in);
    weft_waitgroup_wait(&wg);
    weft_free(q.in);
    weft_free(q.out);
}

/* ---- what stop, reset and the channel promise, for both ---- */

struct clockwork {
    bool ticker, stopped;
    weft_timer t;
    weft_ticker k;
    weft_receiver(weft_dur) ch;
};

static void work_start(struct clockwork *w, bool ticker)
{
    *w = (struct clockwork){.ticker = ticker};
    if (ticker)
        weft_ticker_start(&w->k, FAR_AWAY);
    else
        weft_timer_start(&w->t, FAR_AWAY);
    w->ch = ticker ? weft_ticker_chan(&w->k) : weft_timer_chan(&w->t);
}

/* A ticker's have no result: it is pending unless it was stopped. */
static bool work_stop(struct clockwork *w)
{
    bool pending = !w->stopped;
    w->stopped = true;
    if (!w->ticker)
        return weft_timer_stop(&w->t);
    weft_ticker_stop(&w->k);
    return pending;
}

static bool work_reset(struct clockwork *w, weft_dur d)
{
    bool pending = !w->stopped;
    w->stopped = false;
    if (!w->ticker)
        return weft_timer_reset(&w->t, d);
    weft_ticker_reset(&w->k, d);
    return pending;
}

static void no_tick(struct clockwork *w, int line)
{
    if (weft_try_recv(w->ch, NULL) != 0)
        weft_test_fail(__FILE__, line, "%s: a value too many", w->ticker ? "ticker" : "timer");
}
#define NO_TICK(w) no_tick(w, __LINE__)

static void a_tick(struct clockwork *w, int line)
{
    if (weft_select(weft_on_recv(w->ch, NULL), weft_on_timeout(CONF_LONG)) != 0)
        weft_test_fail(__FILE__, line, "%s: no value", w->ticker ? "ticker" : "timer");
}
#define A_TICK(w) a_tick(w, __LINE__)

static void both(void (*test)(struct clockwork *w))
{
    for (int ticker = 0; ticker < 2; ticker++) {
        struct clockwork w;
        work_start(&w, ticker);
        test(&w);
        (void)work_stop(&w);
    }
}

static void test_reset(struct clockwork *w)
{
    (void)work_stop(w);
    NO_TICK(w);
    (void)work_reset(w, FAR_AWAY);
    NO_TICK(w);
    (void)work_reset(w, 1);
    weft_sleep(5 * WEFT_MS);
    EXPECT_EQ(weft_len(w->ch), 0);                 /* also when a value is there */
    EXPECT_EQ(weft_cap(w->ch), 0);
    A_TICK(w);
    weft_sleep(5 * WEFT_MS);                       /* a ticker has its next one by now */
    (void)work_reset(w, FAR_AWAY);
    NO_TICK(w);
}

TEST(conf_ticker, reset_leaves_no_value_of_before)
{
    both(test_reset);
}

static void receive_and_close(weft_receiver(weft_dur) ch, weft_chan(int) done)
{
    (void)weft_recv(ch);
    weft_close(done);
}

static void test_reset_under_a_receiver(struct clockwork *w)
{
    weft_chan(int) done = weft_make(int);
    weft_go(receive_and_close, w->ch, done);
    conf_settle();
    EXPECT_EQ(weft_try_recv(done, NULL), 0);
    (void)work_reset(w, 2 * FAR_AWAY);
    conf_settle();
    EXPECT_EQ(weft_try_recv(done, NULL), 0);
    (void)work_reset(w, 1);
    EXPECT_EQ(weft_select(weft_on_recv(done, NULL), weft_on_timeout(CONF_LONG)), 0);
    if (w->ticker)
        A_TICK(w);
    else
        NO_TICK(w);
    (void)work_stop(w);
    NO_TICK(w);
    weft_free(done);
}

TEST(conf_ticker, reset_moves_the_time_under_a_goroutine_that_waits)
{
    both(test_reset_under_a_receiver);
}

static void receive_or_stop(weft_receiver(weft_dur) ch, weft_chan(int) stop, atomic_int *got, weft_waitgroup *wg)
{
    if (weft_select(weft_on_recv(ch, NULL), weft_on_recv(stop, NULL)) == 0)
        atomic_fetch_add(got, 1);
    weft_waitgroup_done(wg);
}

static void test_two_receivers(struct clockwork *w)
{
    weft_chan(int) stop = weft_make(int);
    weft_waitgroup wg = {0};
    atomic_int got = 0;
    weft_waitgroup_add(&wg, 2);
    for (int i = 0; i < 2; i++)
        weft_go(receive_or_stop, w->ch, stop, &got, &wg);
    conf_settle();
    EXPECT_EQ(atomic_load(&got), 0);
    (void)work_reset(w, 3 * WEFT_MS);
    EXPECT(conf_until(&got, 1));
    (void)work_stop(w);
    weft_close(stop);
    weft_waitgroup_wait(&wg);
    EXPECT(atomic_load(&got) == 1 || (w->ticker && atomic_load(&got) == 2));
    weft_free(stop);
}

TEST(conf_ticker, a_value_wakes_one_of_those_who_select)
{
    both(test_two_receivers);
}

static void test_receivers_of_a_stopped_one(struct clockwork *w)
{
    weft_chan(int) stop = weft_make(int);
    weft_waitgroup wg = {0};
    atomic_int got = 0;
    (void)work_stop(w);
    weft_waitgroup_add(&wg, 2);
    for (int i = 0; i < 2; i++)
        weft_go(receive_or_stop, w->ch, stop, &got, &wg);
    conf_settle();
    weft_close(stop);
    weft_waitgroup_wait(&wg);
    EXPECT_EQ(atomic_load(&got), 0);
    weft_free(stop);
}

TEST(conf_ticker, those_who_wait_for_a_stopped_one_get_nothing)
{
    both(test_receivers_of_a_stopped_one);
}

/* Go proposal 37196 */
static void test_results(struct clockwork *w)
{
    (void)work_reset(w, 1);
    weft_sleep(5 * WEFT_MS);
    EXPECT(work_stop(w));                          /* its value was there: it counts as stopped in time */
    NO_TICK(w);

    (void)work_reset(w, FAR_AWAY);
    NO_TICK(w);
    EXPECT(work_reset(w, 1));
    A_TICK(w);
    weft_sleep(5 * WEFT_MS);
    if (w->ticker) {
        A_TICK(w);
        weft_sleep(5 * WEFT_MS);
    } else {
        NO_TICK(w);
    }
    EXPECT_EQ(work_reset(w, FAR_AWAY), w->ticker);
    NO_TICK(w);
}

TEST(conf_ticker, an_old_value_is_never_received_after_stop_or_reset)
{
    both(test_results);
}
