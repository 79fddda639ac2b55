/*
 * stress_chan.c - random goroutines on random channels: send, receive, try, select, close, timeouts. Nothing is lost.
 *
 * usage   stress_chan [SECONDS [SEED]]        default 5 seconds, seed from the clock; exit 0 when all sums agree
 *
 * Role    Runs rounds of about a quarter second. In each, senders put numbered values into a few channels of different
 *         capacities and element sizes, receivers take them out, both by randomly chosen operations. Every value
 *         carries a checksum of itself, so that a torn copy is seen. At the end of a round the senders stop, the
 *         channels are closed, the receivers drain them, and the totals must agree.
 *         Meanwhile goroutines that only time out, and plain threads that only try, disturb.
 * Limits  A round has up to 24 senders, 24 receivers, 6 channels. A round that does not end within 60 s is a failure.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <weft/weft.h>

enum { CHANNELS = 6, WORKERS_MAX = 24, BIG_WORDS = 40 };

struct small {
    uint64_t v, check;
};
struct big {
    uint64_t w[BIG_WORDS];
};

/* One round. Channels 0..2 carry small, 3..5 big. */
static struct round {
    weft_chan(struct small) s[3];
    weft_chan(struct big) b[3];
    weft_chan(char) quit;
    atomic_bool stop;
    atomic_int senders, receivers, others;
    _Atomic uint64_t sent_n, sent_sum, got_n, got_sum;
    _Atomic uint64_t timeouts, panics;
} r;
static atomic_int bad;
static uint64_t all_values, all_timeouts, all_panics;

static uint64_t mix(uint64_t x)
{
    x ^= x >> 30, x *= 0xbf58476d1ce4e5b9u;
    x ^= x >> 27, x *= 0x94d049bb133111ebu;
    return x ^ x >> 31;
}
static uint64_t next(uint64_t *seed)
{
    return mix(*seed += 0x9e3779b97f4a7c15u);
}

static struct small small_of(uint64_t v)
{
    return (struct small){v, mix(v)};
}
static struct big big_of(uint64_t v)
{
    struct big x;
    for (int i = 0; i < BIG_WORDS; i++)
        x.w[i] = v + (uint64_t)i * (i + 1);
    return x;
}
static void complain(const char *what, uint64_t v)
{
    if (atomic_fetch_add(&bad, 1) < 10)
        fprintf(stderr, "stress_chan: %s (value %llu)\n", what, (unsigned long long)v);
}
static void got(uint64_t v)
{
    atomic_fetch_add_explicit(&r.got_n, 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&r.got_sum, mix(v), memory_order_relaxed);
}
static void got_small(struct small x)
{
    if (x.check != mix(x.v))
        complain("torn small value", x.v);
    got(x.v);
}
static void got_big(const struct big *x)
{
    for (int i = 0; i < BIG_WORDS; i++)
        if (x->w[i] != x->w[0] + (uint64_t)i * (i + 1)) {
            complain("torn big value", x->w[0]);
            break;
        }
    got(x->w[0]);
}
static void sent(uint64_t v)
{
    atomic_fetch_add_explicit(&r.sent_n, 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&r.sent_sum, mix(v), memory_order_relaxed);
}

/* ---- senders ---- */

static void send_by_select(uint64_t *seed, uint64_t v)
{
    int i = (int)(next(seed) % 3), j = (int)(next(seed) % 3);
    for (;;) {
        switch (weft_select(weft_on_send(r.s[i], small_of(v)), weft_on_send(r.b[j], big_of(v)),
                            weft_on_send(r.s[(i + 1) % 3], small_of(v)), weft_on_timeout((int64_t)(next(seed) % 200) * WEFT_US))) {
        case 3:
            atomic_fetch_add_explicit(&r.timeouts, 1, memory_order_relaxed);
            continue;
        default:
            return;
        }
    }
}

static void send_one(uint64_t *seed, uint64_t v)
{
    int i = (int)(next(seed) % 3);
    switch (next(seed) % 6) {
    case 0: weft_send(r.s[i], small_of(v)); break;
    case 1: weft_send(r.b[i], big_of(v)); break;
    case 2:
        while (!weft_try_send(r.s[i], small_of(v)))
            weft_yield();
        break;
    case 3:
        if (weft_select(weft_on_send(r.b[i], big_of(v)), weft_on_default) == 1)
            weft_send(r.b[(i + 1) % 3], big_of(v));
        break;
    default: send_by_select(seed, v); break;
    }
}

static void sender(uint64_t seed)
{
    while (!atomic_load_explicit(&r.stop, memory_order_relaxed)) {
        uint64_t v = next(&seed);
        send_one(&seed, v);
        sent(v);
        if (next(&seed) % 64 == 0)
            weft_yield();
    }
    atomic_fetch_sub(&r.senders, 1);
}

/* ---- receivers: until all six channels are closed and drained ---- */

static void receiver(uint64_t seed)
{
    weft_receiver(struct small) s[3] = {r.s[0], r.s[1], r.s[2]};
    weft_receiver(struct big) b[3] = {r.b[0], r.b[1], r.b[2]};
    int open = CHANNELS;
    while (open) {
        struct small x[3];
        struct big y[3];
        bool ok = true;
        struct weft_case c[CHANNELS + 1];
        for (int i = 0; i < 3; i++) {
            c[i] = weft_on_recv_ok(s[i], &x[i], &ok);
            c[3 + i] = weft_on_recv_ok(b[i], &y[i], &ok);
        }
        int i = (int)(next(&seed) % CHANNELS), n = CHANNELS;
        switch (next(&seed) % 5) {
        case 0: c[n++] = weft_on_default; break;
        case 1: c[n++] = weft_on_timeout((int64_t)(next(&seed) % 300) * WEFT_US); break;
        case 2: { /* one channel, without waiting */
            int got_one = i < 3 ? weft_try_recv(s[i], &x[i]) : weft_try_recv(b[i - 3], &y[i - 3]);
            if (got_one == 0) {
                weft_yield();
                continue;
            }
            ok = got_one == 1;
            goto have;
        }
        default: break;
        }
        i = weft_selectv(c, n);
        if (i == CHANNELS) {
            atomic_fetch_add_explicit(&r.timeouts, 1, memory_order_relaxed);
            weft_yield();
            continue;
        }
    have:
        if (!ok) {
            open--;
            if (i < 3)
                s[i] = NULL;
            else
                b[i - 3] = NULL;
        } else if (i < 3)
            got_small(x[i]);
        else
            got_big(&y[i - 3]);
    }
    atomic_fetch_sub(&r.receivers, 1);
}

/* ---- those that disturb ---- */

/* Waits on many channels at once and is woken by quit or a timeout only. */
static void idler(uint64_t seed)
{
    weft_chan(int) never = weft_make(int);
    for (;;) {
        int i = weft_select(weft_on_recv(never, NULL), weft_on_send(never, 1), weft_on_recv(r.quit, NULL),
                            weft_on_timeout((int64_t)(next(&seed) % 100) * WEFT_US));
        if (i == 2)
            break;
        if (i != 3)
            complain("a select met itself", (uint64_t)i);
    }
    weft_free(never);
    atomic_fetch_sub(&r.others, 1);
}

static void send_char(weft_sender(char) c)
{
    weft_send(c, 1);
}
/* A channel that is closed while goroutines send on it: each either sends or panics. */
static void doomed_sender(weft_sender(char) c, atomic_int *left)
{
    const char *msg = weft_try(send_char, c);
    if (!msg || strcmp(msg, "send on closed channel") != 0)
        complain("a send on a channel that nobody receives from came back", 0);
    atomic_fetch_add_explicit(&r.panics, 1, memory_order_relaxed);
    atomic_fetch_sub(left, 1);
}
static void doomer(uint64_t seed)
{
    while (!atomic_load(&r.stop)) {
        weft_chan(char) c = weft_make(char);
        atomic_int left = 4;
        for (int i = 0; i < 4; i++)
            weft_go(doomed_sender, c, &left);
        for (uint64_t k = next(&seed) % 20; k > 0; k--)
            weft_yield();
        weft_close(c);
        while (atomic_load(&left))
            weft_yield();
        weft_free(c);
        weft_sleep(WEFT_MS);
    }
    atomic_fetch_sub(&r.others, 1);
}

static void *thread_tries(void *arg)
{
    uint64_t seed = (uintptr_t)arg;
    while (!atomic_load(&r.stop)) {
        uint64_t v = next(&seed);
        if (weft_try_send(r.s[v % 3], small_of(v)))
            sent(v);
        struct big y;
        if (weft_try_recv(r.b[v % 3], &y) == 1)
            got_big(&y);
        struct timespec pause = {0, 20000};
        nanosleep(&pause, NULL);
    }
    return NULL;
}

/* ---- a round ---- */

static bool wait_zero(atomic_int *n, const char *what)
{
    weft_time end = weft_now() + 60 * WEFT_SEC;
    while (atomic_load(n)) {
        if (weft_now() > end) {
            fprintf(stderr, "stress_chan: %d %s still there\n", atomic_load(n), what);
            return false;
        }
        weft_sleep(WEFT_MS);
    }
    return true;
}

static void close_all(void)
{
    for (int i = 0; i < 3; i++) {
        weft_close(r.s[i]);
        weft_close(r.b[i]);
    }
    weft_close(r.quit);
}

static bool run_round(uint64_t seed)
{
    static const int caps[] = {0, 0, 1, 2, 7, 64};
    memset(&r, 0, sizeof r);
    for (int i = 0; i < 3; i++) {
        r.s[i] = weft_make(struct small, caps[next(&seed) % 6]);
        r.b[i] = weft_make(struct big, caps[next(&seed) % 6]);
    }
    r.quit = weft_make(char);
    int ns = 1 + (int)(next(&seed) % WORKERS_MAX), nr = 1 + (int)(next(&seed) % WORKERS_MAX);
    atomic_store(&r.senders, ns);
    atomic_store(&r.receivers, nr);
    atomic_store(&r.others, 6);
    for (int i = 0; i < nr; i++)
        weft_go(receiver, next(&seed));
    for (int i = 0; i < ns; i++)
        weft_go(sender, next(&seed));
    for (int i = 0; i < 5; i++)
        weft_go(idler, next(&seed));
    weft_go(doomer, next(&seed));
    pthread_t t;
    bool threaded = pthread_create(&t, NULL, thread_tries, (void *)(uintptr_t)next(&seed)) == 0;

    weft_sleep(250 * WEFT_MS);
    atomic_store(&r.stop, true);
    if (!wait_zero(&r.senders, "senders"))
        return false;
    if (threaded) {
        weft_block_begin();
        pthread_join(t, NULL);
        weft_block_end();
    }
    close_all();
    if (!wait_zero(&r.receivers, "receivers") || !wait_zero(&r.others, "others"))
        return false;
    for (int i = 0; i < 3; i++) {
        weft_free(r.s[i]);
        weft_free(r.b[i]);
    }
    weft_free(r.quit);
    if (r.sent_n != r.got_n || r.sent_sum != r.got_sum) {
        fprintf(stderr, "stress_chan: %llu sent, %llu received\n", (unsigned long long)r.sent_n, (unsigned long long)r.got_n);
        return false;
    }
    all_values += r.got_n;
    all_timeouts += r.timeouts;
    all_panics += r.panics;
    return atomic_load(&bad) == 0;
}

int main(int argc, char **argv)
{
    long seconds = argc > 1 ? atol(argv[1]) : 5;
    uint64_t seed = argc > 2 ? strtoull(argv[2], NULL, 0) : (uint64_t)weft_now();
    weft_time end = weft_now() + seconds * WEFT_SEC;
    int rounds = 0;
    do {
        uint64_t round_seed = seed + (uint64_t)rounds++;
        if (!run_round(round_seed)) {
            fprintf(stderr, "FAIL stress_chan round %d  replay: stress_chan 1 %llu\n", rounds, (unsigned long long)round_seed);
            return 1;
        }
    } while (weft_now() < end);
    printf("stress_chan: %d rounds from seed %llu, %llu values, %llu timeouts, %llu panics: all sums agree\n", rounds,
           (unsigned long long)seed, (unsigned long long)all_values, (unsigned long long)all_timeouts,
           (unsigned long long)all_panics);
    return 0;
}
