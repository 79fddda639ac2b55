/*
 * apps.c - the classic small programs: twin of bench go/apps.go.
 */
#include "bench.h"

static void sieve_gen(weft_sender(int64_t) ch)
{
    for (int64_t i = 2;; i++)
        weft_send(ch, i);
}

static void sieve_filter(weft_receiver(int64_t) in, weft_sender(int64_t) out, int64_t p)
{
    for (;;) {
        int64_t i = weft_recv(in);
        if (i % p != 0)
            weft_send(out, i);
    }
}

static void sieve(long n)
{
    weft_chan(int64_t) ch = weft_make(int64_t);
    weft_go(sieve_gen, ch);
    for (long i = 0; i < n; i++) {
        int64_t p = weft_recv(ch);
        sink = p;
        if (i == n - 1)
            break;
        weft_chan(int64_t) next = weft_make(int64_t);
        weft_go(sieve_filter, ch, next, p);
        ch = next;
    }
}

/* First n primes. Leaves its goroutines parked, so one run a process. */
BENCH(sieve)
{
    flags.reps = 1;
    bench_runs("sieve", "prime", flags.n ? flags.n : 5000, sieve, NULL, 0);
}

static void skynet(weft_chan(int64_t) c, int64_t num, int64_t size, int64_t div)
{
    if (size == 1) {
        weft_send(c, num);
        return;
    }
    weft_chan(int64_t) rc = weft_make(int64_t);
    int64_t sum = 0;
    for (int64_t i = 0; i < div; i++)
        weft_go(skynet, rc, num + i * (size / div), size / div, div);
    for (int64_t i = 0; i < div; i++)
        sum += weft_recv(rc);
    weft_free(rc);
    weft_send(c, sum);
}

static void skynet_run(long n)
{
    if (n < 1000000)
        n = 100000;
    weft_chan(int64_t) c = weft_make(int64_t);
    weft_go(skynet, c, 0, n, 10);
    int64_t r = weft_recv(c);
    if (n == 1000000 && r != 499999500000)
        bench_die("skynet: wrong sum");
    weft_free(c);
}

/* 1M leaves, fan 10: 1,111,111 goroutines, 111,111 channels. */
BENCH(skynet) { bench_run("skynet_1m", "leaf", 1000000, skynet_run); }

static void pool_worker(weft_chan(int64_t) jobs, weft_chan(int64_t) results)
{
    weft_range(j, jobs) { weft_send(results, j * 2); }
}

static void pool_feeder(weft_chan(int64_t) jobs, weft_chan(int64_t) results, weft_waitgroup *wg, long n)
{
    for (long i = 0; i < n; i++)
        weft_send(jobs, i);
    weft_close(jobs);
    weft_waitgroup_wait(wg);
    weft_close(results);
}

static void workerpool(long n)
{
    weft_chan(int64_t) jobs = weft_make(int64_t, 128);
    weft_chan(int64_t) results = weft_make(int64_t, 128);
    weft_waitgroup wg = {0}, feeder = {0};
    int64_t s = 0;
    for (int i = 0; i < flags.g; i++)
        weft_waitgroup_go(&wg, pool_worker, jobs, results);
    weft_waitgroup_go(&feeder, pool_feeder, jobs, results, &wg, n);
    weft_range(v, results) { s += v; }
    if (s != n * (n - 1))
        bench_die("workerpool: wrong sum");
    weft_waitgroup_wait(&feeder);
    weft_free(jobs);
    weft_free(results);
}

/* feeder -> jobs (cap 128) -> -g workers -> results (cap 128) -> collector. */
BENCH(workerpool)
{
    char name[32];
    flags.g = flags.g ? flags.g : 4;
    bench_name(name, sizeof name, "workerpool_%d", flags.g);
    bench_run(name, "job", 1000000, workerpool);
}

static void ring_node(int64_t id, weft_chan(int64_t) in, weft_chan(int64_t) out, weft_chan(int64_t) done)
{
    int64_t v;
    while (weft_recv_ok(in, &v)) {
        if (v == 0) {
            weft_send(done, id);
            return;
        }
        weft_send(out, v - 1);
    }
}

static void ring(long n)
{
    enum { G = 503 };
    weft_chan(int64_t) first = weft_make(int64_t);
    weft_chan(int64_t) done = weft_make(int64_t);
    weft_chan(int64_t) in = first;
    for (int64_t i = 1; i <= G; i++) {
        weft_chan(int64_t) out = i == G ? first : weft_make(int64_t);
        weft_go(ring_node, i, in, out, done);
        in = out;
    }
    weft_send(first, n);
    sink = weft_recv(done);
    /* the other goroutines stay parked, as in the classic program */
}

/* 503 goroutines, unbuffered channels, n hops of one token. */
BENCH(ring) { bench_run("ring_503", "hop", 5000000, ring); }

static void pipe_stage(weft_chan(int64_t) in, weft_chan(int64_t) out)
{
    weft_range(v, in) { weft_send(out, v + 1); }
    weft_close(out);
}

static void pipe_source(weft_chan(int64_t) src, long items)
{
    for (long i = 0; i < items; i++)
        weft_send(src, i);
    weft_close(src);
}

enum { STAGES = 100 };
static weft_chan(int64_t) pipe_all[STAGES + 1];

static void pipeline(long n)
{
    weft_waitgroup wg = {0};
    int64_t c = 0;
    for (int s = 0; s <= STAGES; s++)
        pipe_all[s] = weft_make(int64_t, flags.cap);
    for (int s = 0; s < STAGES; s++)
        weft_waitgroup_go(&wg, pipe_stage, pipe_all[s], pipe_all[s + 1]);
    weft_waitgroup_go(&wg, pipe_source, pipe_all[0], n / STAGES);
    weft_range(v, pipe_all[STAGES])
    {
        if (v != c + STAGES)
            bench_die("pipeline: wrong value");
        c++;
    }
    weft_waitgroup_wait(&wg);
    for (int s = 0; s <= STAGES; s++)
        weft_free(pipe_all[s]);
}

/* 100 stages; an operation is one item through one stage. */
BENCH(pipeline)
{
    char name[32];
    bench_name(name, sizeof name, "pipeline_100_cap%d", flags.cap);
    bench_run(name, "item*stage", 10000000, pipeline);
}
