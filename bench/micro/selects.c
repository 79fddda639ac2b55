/*
 * selects.c - select: the second half of the twin of bench go/chans.go.
 */
#include "bench.h"

static weft_chan(int64_t) sel_c[8];

static void ready_1(long n)
{
    weft_chan(int64_t) c0 = sel_c[0];
    for (long i = 0; i < n; i++) {
        switch (weft_select(weft_on_recv(c0, NULL))) {
        case 0: weft_send(c0, 1); break;
        }
    }
}

static void ready_2(long n)
{
    weft_chan(int64_t) c0 = sel_c[0];
    weft_chan(int64_t) c1 = sel_c[1];
    for (long i = 0; i < n; i++) {
        switch (weft_select(weft_on_recv(c0, NULL), weft_on_recv(c1, NULL))) {
        case 0: weft_send(c0, 1); break;
        case 1: weft_send(c1, 1); break;
        }
    }
}

static void ready_4(long n)
{
    weft_chan(int64_t) c0 = sel_c[0];
    weft_chan(int64_t) c1 = sel_c[1];
    weft_chan(int64_t) c2 = sel_c[2];
    weft_chan(int64_t) c3 = sel_c[3];
    for (long i = 0; i < n; i++) {
        switch (weft_select(weft_on_recv(c0, NULL), weft_on_recv(c1, NULL), weft_on_recv(c2, NULL),
                            weft_on_recv(c3, NULL))) {
        case 0: weft_send(c0, 1); break;
        case 1: weft_send(c1, 1); break;
        case 2: weft_send(c2, 1); break;
        case 3: weft_send(c3, 1); break;
        }
    }
}

static void ready_8(long n)
{
    weft_chan(int64_t) c0 = sel_c[0];
    weft_chan(int64_t) c1 = sel_c[1];
    weft_chan(int64_t) c2 = sel_c[2];
    weft_chan(int64_t) c3 = sel_c[3];
    weft_chan(int64_t) c4 = sel_c[4];
    weft_chan(int64_t) c5 = sel_c[5];
    weft_chan(int64_t) c6 = sel_c[6];
    weft_chan(int64_t) c7 = sel_c[7];
    for (long i = 0; i < n; i++) {
        switch (weft_select(weft_on_recv(c0, NULL), weft_on_recv(c1, NULL), weft_on_recv(c2, NULL),
                            weft_on_recv(c3, NULL), weft_on_recv(c4, NULL), weft_on_recv(c5, NULL),
                            weft_on_recv(c6, NULL), weft_on_recv(c7, NULL))) {
        case 0: weft_send(c0, 1); break;
        case 1: weft_send(c1, 1); break;
        case 2: weft_send(c2, 1); break;
        case 3: weft_send(c3, 1); break;
        case 4: weft_send(c4, 1); break;
        case 5: weft_send(c5, 1); break;
        case 6: weft_send(c6, 1); break;
        case 7: weft_send(c7, 1); break;
        }
    }
}

/* -k channels of cap 1, all full: select receives one, then it is refilled. */
BENCH(select_ready)
{
    char name[32];
    for (int i = 0; i < 8; i++) {
        sel_c[i] = weft_make(int64_t, 1);
        weft_send(sel_c[i], 1);
    }
    bench_name(name, sizeof name, "select_ready_%d", flags.k);
    bench_run(name, "select recv + send", 5000000,
              flags.k == 1 ? ready_1 : flags.k == 4 ? ready_4 : flags.k == 8 ? ready_8 : ready_2);
    for (int i = 0; i < 8; i++)
        weft_free(sel_c[i]);
}

static void select_echo(weft_chan(int64_t) a, weft_chan(int64_t) b, weft_chan(char) done, long n)
{
    for (long i = 0; i < n; i++) {
        int64_t v = 0;
        switch (weft_select(weft_on_recv(a, &v), weft_on_recv(done, NULL))) {
        case 0: break;
        default: return;
        }
        switch (weft_select(weft_on_send(b, v), weft_on_recv(done, NULL))) {
        case 0: break;
        default: return;
        }
    }
}

static void select_pingpong(long n)
{
    weft_chan(int64_t) a = weft_make(int64_t);
    weft_chan(int64_t) b = weft_make(int64_t);
    weft_chan(char) done = weft_make(char);
    weft_waitgroup wg = {0};
    weft_waitgroup_go(&wg, select_echo, a, b, done, n);
    for (long i = 0; i < n; i++) {
        (void)weft_select(weft_on_send(a, i), weft_on_recv(done, NULL));
        (void)weft_select(weft_on_recv(b, NULL), weft_on_recv(done, NULL));
    }
    weft_waitgroup_wait(&wg);
    weft_free(a);
    weft_free(b);
    weft_free(done);
}

/* As chan_pingpong, each operation in a 2-case select with a done channel. */
BENCH(select_pingpong) { bench_run("select_pingpong_2", "round trip", 1000000, select_pingpong); }

static void timeout_ready(long n)
{
    weft_chan(int64_t) ch = weft_make(int64_t, 1);
    for (long i = 0; i < n; i++) {
        weft_send(ch, i);
        if (weft_select(weft_on_recv(ch, NULL), weft_on_timeout(WEFT_SEC)) != 0)
            bench_die("timeout");
    }
    weft_free(ch);
}

static void timer_ready(long n)
{
    weft_chan(int64_t) ch = weft_make(int64_t, 1);
    weft_timer t = {0};
    weft_timer_start(&t, 3600 * WEFT_SEC);
    for (long i = 0; i < n; i++) {
        weft_send(ch, i);
        weft_timer_reset(&t, WEFT_SEC);
        if (weft_select(weft_on_recv(ch, NULL), weft_on_recv(weft_timer_chan(&t), NULL)) != 0)
            bench_die("timeout");
    }
    weft_timer_stop(&t);
    weft_free(ch);
}

static void timeout_echo(weft_chan(int64_t) a, weft_chan(int64_t) b, long n)
{
    for (long i = 0; i < n; i++) {
        int64_t v = 0;
        if (weft_select(weft_on_recv(a, &v), weft_on_timeout(WEFT_SEC)) != 0)
            bench_die("timeout");
        weft_send(b, v);
    }
}

static void timeout_block(long n)
{
    weft_chan(int64_t) a = weft_make(int64_t);
    weft_chan(int64_t) b = weft_make(int64_t);
    weft_waitgroup wg = {0};
    weft_waitgroup_go(&wg, timeout_echo, a, b, n);
    for (long i = 0; i < n; i++) {
        weft_send(a, i);
        if (weft_select(weft_on_recv(b, NULL), weft_on_timeout(WEFT_SEC)) != 0)
            bench_die("timeout");
    }
    weft_waitgroup_wait(&wg);
    weft_free(a);
    weft_free(b);
}

static void timer_echo(weft_chan(int64_t) a, weft_chan(int64_t) b, long n)
{
    weft_timer t = {0};
    weft_timer_start(&t, 3600 * WEFT_SEC);
    for (long i = 0; i < n; i++) {
        int64_t v = 0;
        weft_timer_reset(&t, WEFT_SEC);
        if (weft_select(weft_on_recv(a, &v), weft_on_recv(weft_timer_chan(&t), NULL)) != 0)
            bench_die("timeout");
        weft_send(b, v);
    }
    weft_timer_stop(&t);
}

static void timer_block(long n)
{
    weft_chan(int64_t) a = weft_make(int64_t);
    weft_chan(int64_t) b = weft_make(int64_t);
    weft_waitgroup wg = {0};
    weft_timer t = {0};
    weft_waitgroup_go(&wg, timer_echo, a, b, n);
    weft_timer_start(&t, 3600 * WEFT_SEC);
    for (long i = 0; i < n; i++) {
        weft_send(a, i);
        weft_timer_reset(&t, WEFT_SEC);
        if (weft_select(weft_on_recv(b, NULL), weft_on_recv(weft_timer_chan(&t), NULL)) != 0)
            bench_die("timeout");
    }
    weft_timer_stop(&t);
    weft_waitgroup_wait(&wg);
    weft_free(a);
    weft_free(b);
}

/* weft_on_timeout stands for Go's time.After. */
BENCH(select_timeout)
{
    if (!strcmp(flags.mode, "after_ready"))
        bench_run("select_timeAfter_ready", "select", 2000000, timeout_ready);
    else if (!strcmp(flags.mode, "timer_ready"))
        bench_run("select_NewTimer_reuse_ready", "select", 5000000, timer_ready);
    else if (!strcmp(flags.mode, "after_block"))
        bench_run("select_timeAfter_blocking", "round trip", 500000, timeout_block);
    else if (!strcmp(flags.mode, "timer_block"))
        bench_run("select_NewTimer_reuse_blocking", "round trip", 500000, timer_block);
    else
        bench_die("-mode after_ready, timer_ready, after_block or timer_block");
}
