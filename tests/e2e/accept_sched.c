/*
 * accept_sched.c - what "first light" must show of the scheduler, with figures: many goroutines, and none held up.
 *
 * usage   accept_sched [parked | spawn | ring | hogs]      all of them without an argument; exit 0 when all hold
 *
 * Role    parked: 100,000 goroutines park on one channel and are woken. spawn: 1,000,000 goroutines, at once and in
 *         batches. ring: a token through 10,000 goroutines, three times round. hogs: beside a goroutine in an endless C
 *         loop and 100 in nanosleep(2), a 1 ms ticker keeps ticking, and a goroutine that computes gets on.
 *         Run by tests/e2e/accept_sched.sh with WEFT_PROCS = 1, 2, 8.
 * Limits  What stands still never ends, which the caller's time limit tells; what is slow passes. ThreadSanitizer holds 8,000
 *         goroutines: the numbers shrink there.
 */
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <weft/weft.h>

#ifdef __has_feature
#if __has_feature(thread_sanitizer)
#define TSAN 1
#endif
#endif
#if defined(__SANITIZE_THREAD__) || defined(TSAN)
enum { PARKED = 1000, SPAWN = 5000, SPAWN_AT_ONCE = 1000, RING = 1000 };
#else
enum { PARKED = 100000, SPAWN = 1000000, SPAWN_AT_ONCE = 1000000, RING = 10000 };
#endif
enum { BLOCKERS = 100, TICK_SECONDS = 2, TICKS_MIN = 100 }; /* longer where the machine needs it for so many */

static int failures;

static void check(bool ok, const char *what)
{
    if (!ok) {
        failures++;
        printf("  FAILED: %s\n", what);
    }
}

static long rss_bytes(void)
{
    long pages = 0, dummy;
    FILE *f = fopen("/proc/self/statm", "re");
    if (!f || fscanf(f, "%ld %ld", &dummy, &pages) != 2)
        pages = 0;
    if (f)
        fclose(f);
    return pages * 4096;
}

static double ms(weft_dur d)
{
    return (double)d / 1e6;
}

/* ---- parked ---- */

static atomic_long parked, woken;

static void parker(weft_chan(char) ch)
{
    char v;
    atomic_fetch_add(&parked, 1);
    if (!weft_recv_ok(ch, &v))
        atomic_fetch_add(&woken, 1);
}

static void accept_parked(void)
{
    weft_chan(char) ch = weft_make(char);
    weft_waitgroup wg = {0};
    long r0 = rss_bytes();
    weft_time t0 = weft_now();
    for (int i = 0; i < PARKED; i++)
        weft_waitgroup_go(&wg, parker, ch);
    while (atomic_load(&parked) < PARKED)
        weft_sleep(WEFT_MS);
    weft_sleep(20 * WEFT_MS);
    weft_time t1 = weft_now();
    long r1 = rss_bytes();
    check(weft_num_goroutines() == PARKED + 1, "all of them exist");
    weft_close(ch);
    weft_waitgroup_wait(&wg);
    weft_time t2 = weft_now();
    check(atomic_load(&woken) == PARKED, "each is woken once");
    weft_free(ch);
    printf("parked: %d goroutines in %.0f ms, woken in %.0f ms, %.0f bytes resident each\n", PARKED, ms(t1 - t0), ms(t2 - t1),
           (double)(r1 - r0) / PARKED);
}

/* ---- spawn ---- */

static weft_waitgroup spawn_wg;
static atomic_long spawned;

static void spawnee(void)
{
    atomic_fetch_add_explicit(&spawned, 1, memory_order_relaxed);
    weft_waitgroup_done(&spawn_wg);
}

static void accept_spawn(void)
{
    weft_time t0 = weft_now();
    for (int i = 0; i < SPAWN; i += 1000) {
        weft_waitgroup_add(&spawn_wg, 1000);
        for (int k = 0; k < 1000; k++)
            weft_go(spawnee);
        weft_waitgroup_wait(&spawn_wg);
    }
    weft_time t1 = weft_now();
    weft_waitgroup_add(&spawn_wg, SPAWN_AT_ONCE);
    for (int k = 0; k < SPAWN_AT_ONCE; k++)
        weft_go(spawnee);
    weft_waitgroup_wait(&spawn_wg);
    weft_time t2 = weft_now();
    check(atomic_load(&spawned) == SPAWN + SPAWN_AT_ONCE, "each ran once");
    printf("spawn: %d in batches of 1000 %.0f ns each; %d at once %.0f ns each\n", SPAWN, (double)(t1 - t0) / SPAWN,
           SPAWN_AT_ONCE, (double)(t2 - t1) / SPAWN_AT_ONCE);
}

/* ---- ring ---- */

static void ring_node(weft_chan(int64_t) in, weft_chan(int64_t) out)
{
    weft_range(v, in) { weft_send(out, v + 1); }
    weft_close(out);
}

static void accept_ring(void)
{
    enum { LAPS = 3 };
    weft_chan(int64_t) *ch = calloc(RING + 1, sizeof *ch);
    weft_waitgroup wg = {0};
    for (int i = 0; i <= RING; i++)
        ch[i] = weft_make(int64_t);
    for (int i = 0; i < RING; i++)
        weft_waitgroup_go(&wg, ring_node, ch[i], ch[i + 1]);
    weft_time t0 = weft_now();
    int64_t v = 0;
    for (int lap = 0; lap < LAPS; lap++) {
        weft_send(ch[0], v);
        v = weft_recv(ch[RING]);
    }
    weft_time t1 = weft_now();
    check(v == (int64_t)LAPS * RING, "the token passed every goroutine");
    weft_close(ch[0]);
    check(!weft_recv_ok(ch[RING], &v), "the end comes through the ring");
    weft_waitgroup_wait(&wg);
    for (int i = 0; i <= RING; i++)
        weft_free(ch[i]);
    free(ch);
    printf("ring: %d goroutines, %d laps, %.0f ns a hop\n", RING, LAPS, (double)(t1 - t0) / LAPS / RING);
}

/* ---- hogs ---- */

static atomic_bool stop;
static atomic_long chunks, blocks;

static void endless(void)
{
    uint64_t x = 1;
    while (!atomic_load_explicit(&stop, memory_order_relaxed))
        x = x * 6364136223846793005u + 1;
    if (x == 0)
        puts("");
}

static void blocker(void)
{
    while (!atomic_load(&stop)) {
        struct timespec ts = {.tv_nsec = 10000000};
        nanosleep(&ts, NULL);
        atomic_fetch_add(&blocks, 1);
    }
}

/* CPU work in chunks of some 50 us, with a yield between. */
static void worker(void)
{
    while (!atomic_load(&stop)) {
        volatile uint64_t x = 1;
        for (int i = 0; i < 50000; i++)
            x = x * 6364136223846793005u + 1;
        atomic_fetch_add(&chunks, 1);
        weft_yield();
    }
}

static int by_value(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

static void accept_hogs(void)
{
    enum { GAPS_MAX = TICK_SECONDS * 1100 };
    static int64_t gap[GAPS_MAX];
    weft_waitgroup wg = {0};
    weft_ticker t = {0};
    int n = 0;
    weft_waitgroup_go(&wg, endless);
    for (int i = 0; i < BLOCKERS; i++)
        weft_waitgroup_go(&wg, blocker);
    weft_waitgroup_go(&wg, worker);
    weft_sleep(100 * WEFT_MS);
    long chunks0 = atomic_load(&chunks), blocks0 = atomic_load(&blocks);
    weft_ticker_start(&t, WEFT_MS);
    weft_time t0 = weft_now(), last = t0;
    long did = 0, slept = 0;
    while (last - t0 < TICK_SECONDS * WEFT_SEC || n < TICKS_MIN || did == 0 || slept < BLOCKERS) {
        (void)weft_recv(weft_ticker_chan(&t));
        weft_time now = weft_now();
        gap[n % GAPS_MAX] = now - last;
        n++;
        last = now;
        did = atomic_load(&chunks) - chunks0;
        slept = atomic_load(&blocks) - blocks0;
    }
    weft_ticker_stop(&t);
    atomic_store(&stop, true);
    weft_waitgroup_wait(&wg);
    int gaps = n < GAPS_MAX ? n : GAPS_MAX;
    qsort(gap, (size_t)gaps, sizeof *gap, by_value);
    printf("hogs: %d ticks of 1 ms in %.1f s, gap p50 %.2f ms, p99 %.2f ms, most %.2f ms; %ld chunks of CPU work, %ld blocking calls\n",
           n, ms(last - t0) / 1000, ms(gap[gaps / 2]), ms(gap[gaps * 99 / 100]), ms(gap[gaps - 1]), did, slept);
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        void (*fn)(void);
    } parts[] = {{"parked", accept_parked}, {"spawn", accept_spawn}, {"ring", accept_ring}, {"hogs", accept_hogs}};
    bool any = false;
    printf("accept_sched: %d procs\n", weft_procs(0));
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        if (argc < 2 || !strcmp(argv[1], parts[i].name)) {
            any = true;
            parts[i].fn();
            fflush(stdout);
        }
    if (!any) {
        fprintf(stderr, "usage: accept_sched [parked | spawn | ring | hogs]\n");
        return 2;
    }
    return failures ? 1 : 0;
}
