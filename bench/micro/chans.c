/*
 * chans.c - channels: twin of bench go/chans.go. Go's int is 64 bits wide, so the element is int64_t.
 */
#include "bench.h"

static void echo_n(weft_chan(int64_t) a, weft_chan(int64_t) b, long n)
{
    for (long i = 0; i < n; i++)
        weft_send(b, weft_recv(a));
}

static void pingpong(long n)
{
    weft_chan(int64_t) a = weft_make(int64_t);
    weft_chan(int64_t) b = weft_make(int64_t);
    weft_go(echo_n, a, b, n);
    for (long i = 0; i < n; i++) {
        weft_send(a, i);
        (void)weft_recv(b);
    }
    weft_free(a);
    weft_free(b);
}

BENCH(chan_pingpong) { bench_run("chan_pingpong", "round trip", 2000000, pingpong); }

static void produce_close(weft_chan(int64_t) ch, long n)
{
    for (long i = 0; i < n; i++)
        weft_send(ch, i);
    weft_close(ch);
}

static void prodcons(long n)
{
    weft_chan(int64_t) ch = weft_make(int64_t, flags.cap);
    int64_t s = 0;
    weft_go(produce_close, ch, n);
    weft_range(v, ch) { s += v; }
    sink = s;
    weft_free(ch);
}

/* One producer, one consumer, -cap. */
BENCH(chan_buffered)
{
    char name[40];
    bench_name(name, sizeof name, "chan_prodcons_cap%d", flags.cap);
    bench_run(name, "item", 5000000, prodcons);
}

static void work_produce(weft_chan(uint64_t) ch, long n)
{
    uint64_t x = 1;
    for (long i = 0; i < n; i++) {
        x = bench_work(WORK_ITERS, x);
        weft_send(ch, x);
    }
    weft_close(ch);
}

static void spsc_work(long n)
{
    weft_chan(uint64_t) ch = weft_make(uint64_t, 128);
    uint64_t s = 0;
    weft_go(work_produce, ch, n);
    weft_range(v, ch) { s += bench_work(WORK_ITERS, v); }
    sink = (long)s;
    weft_free(ch);
}

/* cap 128, about 100 ns of work on each side of each item. */
BENCH(chan_spsc_work)
{
    uint64_t x = 1;
    weft_time t0 = weft_now();
    for (int i = 0; i < 100000; i++)
        x = bench_work(WORK_ITERS, x);
    struct kv more = KV_NUM("work_ns_each_side", (double)(weft_now() - t0) / 100000);
    long n = flags.n ? flags.n : 2000000;
    sink = (long)x;
    spsc_work(n / 10 + 1);
    bench_runs("chan_spsc_work_cap128", "item", n, spsc_work, &more, 1);
}

static void mpmc_producer(weft_chan(int64_t) ch, long m, weft_waitgroup *wg)
{
    for (long j = 0; j < m; j++)
        weft_send(ch, j);
    weft_waitgroup_done(wg);
}

static void mpmc_consumer(weft_chan(int64_t) ch, weft_waitgroup *wg)
{
    int64_t s = 0;
    weft_range(v, ch) { s += v; }
    sink = s;
    weft_waitgroup_done(wg);
}

static void mpmc(long n)
{
    weft_chan(int64_t) ch = weft_make(int64_t, flags.cap);
    weft_waitgroup wp = {0}, wc = {0};
    int g = flags.g ? flags.g : 1;
    weft_waitgroup_add(&wp, g);
    weft_waitgroup_add(&wc, g);
    for (int i = 0; i < g; i++)
        weft_go(mpmc_producer, ch, n / g, &wp);
    for (int i = 0; i < g; i++)
        weft_go(mpmc_consumer, ch, &wc);
    weft_waitgroup_wait(&wp);
    weft_close(ch);
    weft_waitgroup_wait(&wc);
    weft_free(ch);
}

/* -g producers and -g consumers, -cap. */
BENCH(chan_mpmc)
{
    char name[48];
    bench_name(name, sizeof name, "chan_mpmc_%dx%d_cap%d", flags.g, flags.g, flags.cap);
    bench_run(name, "item", 3000000, mpmc);
}

static void send_recv_same(long n)
{
    weft_chan(int64_t) ch = weft_make(int64_t, 1);
    int64_t s = 0;
    for (long i = 0; i < n; i++) {
        weft_send(ch, i);
        s += weft_recv(ch);
    }
    sink = s;
    weft_free(ch);
}

BENCH(chan_uncontended) { bench_run("chan_send_recv_same_g", "send+recv", 20000000, send_recv_same); }

static void try_ok(long n)
{
    weft_chan(int64_t) ch = weft_make(int64_t, 1);
    int64_t s = 0, v;
    for (long i = 0; i < n; i++) {
        if (!weft_try_send(ch, i))
            bench_die("full");
        if (weft_try_recv(ch, &v) != 1)
            bench_die("empty");
        s += v;
    }
    sink = s;
    weft_free(ch);
}

static void try_recv_empty(long n)
{
    weft_chan(int64_t) ch = weft_make(int64_t, 1);
    int64_t s = 0, v;
    for (long i = 0; i < n; i++)
        s += weft_try_recv(ch, &v) == 1 ? v : 1;
    sink = s;
    weft_free(ch);
}

static void try_send_full(long n)
{
    weft_chan(int64_t) ch = weft_make(int64_t, 1);
    int64_t s = 0;
    weft_send(ch, 1);
    for (long i = 0; i < n; i++)
        if (!weft_try_send(ch, i))
            s++;
    sink = s;
    weft_free(ch);
}

BENCH(chan_try)
{
    if (!strcmp(flags.mode, "ok"))
        bench_run("chan_try_send_try_recv_ok", "try send + try recv", 20000000, try_ok);
    else if (!strcmp(flags.mode, "recv_empty"))
        bench_run("chan_try_recv_empty", "try", 100000000, try_recv_empty);
    else if (!strcmp(flags.mode, "send_full"))
        bench_run("chan_try_send_full", "try", 100000000, try_send_full);
    else
        bench_die("-mode ok, recv_empty or send_full");
}
