/*
 * stress_sched.c - the scheduler under random load: spawn trees, yields, sleeps, C loops, blocking calls, foreign
 * threads, and processors that come and go. Nothing is lost, nothing runs twice.
 *
 * usage   stress_sched [SECONDS [SEED]]       default 5 seconds, seed from the clock; exit 0 when all counts agree
 *
 * Role    Rounds of about a quarter second. In each: trees of goroutines whose nodes compute, yield, sleep, block in
 *         nanosleep(2), start timers and hand a token through a channel; plain threads that send, wake and start goroutines;
 *         one goroutine that calls weft_procs. Then a quiet part: everything sleeps but one thread that pokes now and
 *         then, which is where a lost wake-up shows. At the end of a round every count must agree.
 * Limits  A round that does not end within 60 s (WEFT_PROCS=1 under a sanitizer: slow, not stuck) is a failure.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>
#include <weft/weft.h>

enum { TREES = 3, FOREIGN = 3, POKES = 40, ROUND_S = 60 };

static struct round {
    atomic_long started, ended, expected;        /* nodes of the trees */
    atomic_long sent_n, got_n;                   /* tokens through the channel */
    _Atomic uint64_t sent_sum, got_sum;
    atomic_long timers, fired;
    atomic_bool stop;
    weft_chan(uint64_t) tokens;
    weft_waitgroup nodes, others;
} r;

static atomic_long round_no;
static atomic_llong round_began;                 /* seconds of CLOCK_MONOTONIC */
static atomic_long worst_poke_us;
static uint64_t seed0;
static int procs0;

static uint64_t next(uint64_t *s)
{
    uint64_t x = *s += 0x9e3779b97f4a7c15u;
    x ^= x >> 30, x *= 0xbf58476d1ce4e5b9u;
    x ^= x >> 27, x *= 0x94d049bb133111ebu;
    return x ^ x >> 31;
}

static long long now_s(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return ts.tv_sec;
}

static void block(long ns)
{
    struct timespec ts = {.tv_nsec = ns};
    nanosleep(&ts, NULL);
}

static void counts(FILE *f)
{
    fprintf(f, "round %ld: nodes %ld/%ld of %ld, tokens %ld sent %ld got, timers %ld started %ld fired, procs %d\n",
            atomic_load(&round_no), atomic_load(&r.started), atomic_load(&r.ended), atomic_load(&r.expected),
            atomic_load(&r.sent_n), atomic_load(&r.got_n), atomic_load(&r.timers), atomic_load(&r.fired), procs0);
}

static _Noreturn void fail(const char *what)
{
    fprintf(stderr, "stress_sched: %s\n", what);
    counts(stderr);
    fprintf(stderr, "replay: WEFT_PROCS=%d stress_sched 60 %llu\n", procs0, (unsigned long long)seed0);
    abort();
}

static void *watchdog(void *arg)
{
    (void)arg;
    for (;;) {
        usleep(200000);
        if (now_s() - atomic_load(&round_began) > ROUND_S)
            fail("a round does not end: a wake-up was lost, or nothing runs");
    }
    return NULL;
}

static void compute(uint64_t n)
{
    volatile uint64_t x = n;
    for (uint64_t i = 0; i < n; i++)
        x = x * 6364136223846793005u + 1;
}

static void send_token(uint64_t v)
{
    atomic_fetch_add(&r.sent_n, 1);
    atomic_fetch_add(&r.sent_sum, v);
    weft_send(r.tokens, v);
}

static void token_taker(void)
{
    weft_range(v, r.tokens)
    {
        atomic_fetch_add(&r.got_n, 1);
        atomic_fetch_add(&r.got_sum, v);
    }
}

/* The storage is ours from the moment that fn has started. */
static void timer_fn(void *arg)
{
    free(arg);
    atomic_fetch_add(&r.fired, 1);
    weft_waitgroup_done(&r.others);
}

static void timer_step(uint64_t *s)
{
    weft_timer *t = calloc(1, sizeof *t);
    if (!t)
        fail("out of memory");
    weft_waitgroup_add(&r.others, 1);
    atomic_fetch_add(&r.timers, 1);
    if (next(s) % 2) {
        weft_after_func(t, (weft_dur)(next(s) % 300) * WEFT_US, timer_fn, t);
        return;
    }
    weft_after_func(t, 3600 * WEFT_SEC, timer_fn, t);
    weft_yield();
    if (!weft_timer_stop(t))
        fail("a timer of an hour has fired");
    atomic_fetch_sub(&r.timers, 1);
    weft_waitgroup_done(&r.others);
    free(t);
}

static void node_work(uint64_t *s)
{
    switch (next(s) % 10) {
    case 0: compute(next(s) % 20000); break;
    case 1: weft_sleep((weft_dur)(next(s) % 400) * WEFT_US); break;
    case 2: block((long)(next(s) % 600) * 1000); break;
    case 3: send_token(next(s)); break;
    case 4: timer_step(s); break;
    case 5:
        weft_lock_thread();
        weft_yield();
        weft_unlock_thread();
        break;
    case 6:
        weft_block_begin();
        block(50000);
        weft_block_end();
        break;
    default: weft_yield();
    }
}

/* A node: works, starts its children, works; errno must be its own at the end. */
static void node(int depth, uint64_t s)
{
    int mark = 1000 + (int)(next(&s) % 1000);
    uint64_t id = weft_goid();

    atomic_fetch_add(&r.started, 1);
    errno = mark;
    int kids = depth > 0 ? 1 + (int)(next(&s) % 3) : 0;
    if (next(&s) % 2) {
        weft_yield();
        if (errno != mark)
            fail("errno changed across a yield");
    }
    node_work(&s);
    atomic_fetch_add(&r.expected, kids);
    for (int i = 0; i < kids; i++)
        weft_waitgroup_go(&r.nodes, node, depth - 1, next(&s));
    node_work(&s);
    if (weft_goid() != id)
        fail("a goroutine changed its number");
    atomic_fetch_add(&r.ended, 1);
}

/* A plain thread: starts goroutines, sends, closes nothing. */
static void *foreign(void *arg)
{
    uint64_t s = (uint64_t)(uintptr_t)arg;
    while (!atomic_load(&r.stop)) {
        switch (next(&s) % 4) {
        case 0:
            atomic_fetch_add(&r.expected, 1);
            weft_waitgroup_go(&r.nodes, node, 0, next(&s));
            break;
        case 1: send_token(next(&s)); break;
        case 2: {
            uint64_t v = next(&s);
            atomic_fetch_add(&r.sent_n, 1);
            atomic_fetch_add(&r.sent_sum, v);
            if (!weft_try_send(r.tokens, v)) {
                atomic_fetch_sub(&r.sent_n, 1);
                atomic_fetch_sub(&r.sent_sum, v);
            }
            break;
        }
        default: block((long)(next(&s) % 300) * 1000);
        }
    }
    return NULL;
}

static void procs_changer(uint64_t s)
{
    while (!atomic_load(&r.stop)) {
        weft_procs(1 + (int)(next(&s) % 8));
        weft_sleep((weft_dur)(next(&s) % 3000) * WEFT_US);
    }
    weft_procs(procs0);
}

static void echo(weft_chan(int64_t) in, weft_chan(int64_t) out)
{
    weft_range(v, in) { weft_send(out, v); }
}

struct poker {
    weft_chan(int64_t) to, back;
    uint64_t seed;
};

/* All is asleep: a plain thread pokes a goroutine and waits for its answer. */
static void *poke(void *arg)
{
    struct poker *p = arg;
    for (int i = 0; i < POKES; i++) {
        struct timespec a, b;
        block((long)(next(&p->seed) % 400) * 1000);
        clock_gettime(CLOCK_MONOTONIC, &a);
        weft_send(p->to, i);
        if (weft_recv(p->back) != i)
            fail("an answer was lost or doubled");
        clock_gettime(CLOCK_MONOTONIC, &b);
        long us = (b.tv_sec - a.tv_sec) * 1000000 + (b.tv_nsec - a.tv_nsec) / 1000;
        if (us > atomic_load(&worst_poke_us))
            atomic_store(&worst_poke_us, us);
    }
    weft_close(p->to);
    return NULL;
}

static void quiet_part(uint64_t *s)
{
    struct poker p = {.to = weft_make(int64_t), .back = weft_make(int64_t), .seed = next(s)};
    weft_waitgroup wg = {0};
    pthread_t t;
    weft_waitgroup_go(&wg, echo, p.to, p.back);
    if (pthread_create(&t, NULL, poke, &p))
        fail("pthread_create");
    weft_waitgroup_wait(&wg); /* nothing runs but the poker */
    pthread_join(t, NULL);
    weft_free(p.to);
    weft_free(p.back);
}

static void busy_part(uint64_t *s)
{
    pthread_t threads[FOREIGN];
    weft_waitgroup takers = {0};

    r.tokens = weft_make(uint64_t, (int)(next(s) % 4));
    weft_waitgroup_go(&takers, token_taker);
    weft_waitgroup_go(&takers, token_taker);
    for (int i = 0; i < TREES; i++) {
        atomic_fetch_add(&r.expected, 1);
        weft_waitgroup_go(&r.nodes, node, 4 + (int)(next(s) % 3), next(s));
    }
    for (int i = 0; i < FOREIGN; i++)
        if (pthread_create(&threads[i], NULL, foreign, (void *)(uintptr_t)next(s)))
            fail("pthread_create");
    weft_waitgroup_go(&takers, procs_changer, next(s));
    weft_sleep(150 * WEFT_MS);
    atomic_store(&r.stop, true);
    weft_block_begin();
    for (int i = 0; i < FOREIGN; i++)
        pthread_join(threads[i], NULL);
    weft_block_end();
    weft_waitgroup_wait(&r.nodes);
    weft_waitgroup_wait(&r.others);
    weft_close(r.tokens);
    weft_waitgroup_wait(&takers);
    weft_free(r.tokens);
}

static void one_round(uint64_t *s)
{
    atomic_fetch_add(&round_no, 1);
    atomic_store(&round_began, now_s());
    atomic_store(&r.stop, false);
    atomic_store(&r.started, 0), atomic_store(&r.ended, 0), atomic_store(&r.expected, 0);
    atomic_store(&r.sent_n, 0), atomic_store(&r.got_n, 0);
    atomic_store(&r.sent_sum, 0), atomic_store(&r.got_sum, 0);
    atomic_store(&r.timers, 0), atomic_store(&r.fired, 0);
    busy_part(s);
    if (r.started != r.expected || r.ended != r.expected)
        fail("goroutines were lost or ran twice");
    if (r.sent_n != r.got_n || r.sent_sum != r.got_sum)
        fail("tokens were lost or doubled");
    if (r.timers != r.fired)
        fail("timers were lost or fired twice");
    quiet_part(s);
    for (int i = 0; weft_num_goroutines() != 1; i++) {
        if (i == 20000)
            fail("goroutines are left over");
        weft_sleep(WEFT_MS);
    }
}

int main(int argc, char **argv)
{
    long seconds = argc > 1 ? atol(argv[1]) : 5;
    long long end = now_s() + seconds;
    long nodes = 0, tokens = 0;
    pthread_t t;

    seed0 = argc > 2 ? strtoull(argv[2], NULL, 0) : (uint64_t)time(NULL) * 1000003u;
    uint64_t s = seed0;
    procs0 = weft_procs(0);
    atomic_store(&round_began, now_s());
    printf("stress_sched: %ld s, seed %llu, %d procs\n", seconds, (unsigned long long)seed0, procs0);
    fflush(stdout);
    if (pthread_create(&t, NULL, watchdog, NULL))
        fail("pthread_create");
    do {
        one_round(&s);
        nodes += r.ended;
        tokens += r.got_n;
    } while (now_s() < end);
    printf("stress_sched: %ld rounds, %ld goroutines, %ld tokens, slowest answer to a poke %ld us\n", atomic_load(&round_no), nodes,
           tokens, atomic_load(&worst_poke_us));
    return 0;
}
