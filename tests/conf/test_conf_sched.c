/*
 * test_conf_sched.c - the scheduler, as Go's tests hold it: progress, parallelism, fairness, threads.
 *
 * Source  Go: src/runtime/proc_test.go and its programs in testdata/testprog. What comes from where: LIST.md.
 */
#include "conf.h"
#include <pthread.h>
#include <signal.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static int thread_id(void)
{
    return (int)syscall(SYS_gettid);
}

/* ---- progress ---- */

static weft_chan(bool) stop;

static void perpetuum(weft_waitgroup *wg)
{
    if (weft_try_recv(stop, NULL) == 0)
        weft_waitgroup_go(wg, perpetuum, wg);
}

/* Go: TestStopTheWorldDeadlock, without the collector: the number of processors changes beside endless starts */
TEST(conf_sched, changing_the_processors_beside_endless_starts_does_not_stick)
{
    weft_waitgroup wg = {0};
    stop = weft_make(bool, 1);
    weft_waitgroup_go(&wg, perpetuum, &wg);
    for (int i = 0; i < 1000; i++) {
        weft_procs(1 + i % 4);
        if (i % 50 == 0)
            weft_yield();
    }
    weft_send(stop, true);
    weft_waitgroup_wait(&wg);
    weft_free(stop);
}

static void yield_until(weft_receiver(bool) c, weft_sender(bool) ack, bool locked)
{
    if (locked)
        weft_lock_thread();
    while (weft_try_recv(c, NULL) == 0)
        weft_yield();
    weft_send(ack, true);
    if (locked)
        weft_unlock_thread();
}

static void yield_progress(bool locked)
{
    weft_chan(bool) c = weft_make(bool), ack = weft_make(bool);
    weft_go(yield_until, c, ack, locked);
    weft_sleep(10 * WEFT_MS);
    weft_send(c, true);
    (void)weft_recv(ack);
    weft_free(c);
    weft_free(ack);
}

TEST(conf_sched, one_that_yields_for_ever_lets_others_run) { yield_progress(false); }
TEST(conf_sched, one_that_yields_on_its_own_thread_lets_others_run) { yield_progress(true); }

static void yield_and_sleep_locked(weft_sender(bool) c)
{
    weft_lock_thread();
    int me = thread_id();
    for (int i = 0; i < 10; i++) {
        weft_yield();
        weft_sleep(WEFT_MS);
        EXPECT_EQ(thread_id(), me);
    }
    weft_send(c, true);
    /* ends without weft_unlock_thread */
}

/* Go: TestYieldLocked */
TEST(conf_sched, a_locked_goroutine_yields_and_sleeps_on_its_thread)
{
    weft_chan(bool) c = weft_make(bool);
    weft_go(yield_and_sleep_locked, c);
    (void)weft_recv(c);
    weft_free(c);
}

static void send_ten_locked(weft_sender(bool) c)
{
    weft_lock_thread();
    for (int i = 0; i < 10; i++)
        weft_send(c, true);
    weft_unlock_thread();
}

/* Go: TestBlockLocked */
TEST(conf_sched, a_locked_goroutine_blocks_and_is_woken)
{
    weft_chan(bool) c = weft_make(bool);
    weft_go(send_ten_locked, c);
    for (int i = 0; i < 10; i++)
        (void)weft_recv(c);
    weft_free(c);
}

/* ---- parallelism: each waits, spinning, for its turn; without all of them running at one time nobody gets on ---- */

static _Atomic uint32_t turn;

static void spin_in_turn(uint32_t of, uint32_t me, weft_sender(bool) done)
{
    for (uint32_t i = 0; i < 3; i++) {
        while (atomic_load(&turn) != of * i + me)
            ;
        atomic_store(&turn, of * i + me + 1);
    }
    weft_send(done, true);
}

/* Go: TestGoroutineParallelism */
TEST(conf_sched, as_many_goroutines_as_processors_run_at_one_time)
{
    weft_chan(bool) done = weft_make(bool);
    weft_procs(3);
    for (int try = 0; try < 3; try++) {
        atomic_store(&turn, 0);
        for (uint32_t p = 0; p < 3; p++)
            weft_go(spin_in_turn, 3U, p, done);
        for (int p = 0; p < 3; p++)
            (void)weft_recv(done);
    }
    weft_free(done);
}

static atomic_int loaded;

static void spin_until_loaded(int n, weft_waitgroup *wg)
{
    atomic_fetch_add(&loaded, 1);
    while (atomic_load(&loaded) < n)
        ;
    weft_waitgroup_done(wg);
}

static void start_two(uint32_t p, weft_sender(bool) done)
{
    for (uint32_t p2 = 0; p2 < 2; p2++)
        weft_go(spin_in_turn, 4U, p * 2 + p2, done);
}

static void accept_one(weft_listener *ln, weft_waitgroup *wg)
{
    weft_conn *conn;
    EXPECT(weft_accept(NULL, ln, &conn) < 0);
    weft_waitgroup_done(wg);
}

static void parallelism(bool load, bool poller)
{
    weft_chan(bool) done = weft_make(bool);
    weft_waitgroup accepts = {0};
    weft_listener *ln = NULL;
    weft_procs(4);
    for (int try = 0; try < 3; try++) {
        if (load) {
            weft_waitgroup wg = {0};
            atomic_store(&loaded, 0);
            weft_waitgroup_add(&wg, 4);
            for (int p = 0; p < 4; p++)
                weft_go(spin_until_loaded, 4, &wg);
            weft_waitgroup_wait(&wg);
        }
        if (poller && !ln) {
            REQUIRE(weft_listen(&ln, "tcp", "127.0.0.1:0") == 0);
            weft_waitgroup_add(&accepts, 1);
            weft_go(accept_one, ln, &accepts);
        }
        atomic_store(&turn, 0);
        for (uint32_t p = 0; p < 2; p++)
            weft_go(start_two, p, done);
        for (int p = 0; p < 4; p++)
            (void)weft_recv(done);
    }
    if (ln)
        weft_listener_close(ln);
    weft_waitgroup_wait(&accepts);
    weft_free(done);
}

/* Go: TestGoroutineParallelism2 */
TEST(conf_sched, all_run_at_one_time_after_the_threads_have_gone_to_sleep) { parallelism(true, false); }
TEST(conf_sched, all_run_at_one_time_beside_the_poller) { parallelism(false, true); }
TEST(conf_sched, all_run_at_one_time_after_sleep_and_beside_the_poller) { parallelism(true, true); }

/* ---- fairness ---- */

static void send_until_done(weft_sender(bool) c, weft_receiver(bool) done)
{
    while (weft_select(weft_on_send(c, true), weft_on_recv(done, NULL)) == 0)
        ;
}

/* Go: TestTimerFairness */
TEST(conf_sched, busy_channels_do_not_keep_a_timer_from_firing)
{
    weft_chan(bool) c = weft_make(bool), done = weft_make(bool);
    weft_waitgroup wg = {0};
    weft_timer t = {0};
    weft_time began = weft_now();
    weft_waitgroup_go(&wg, send_until_done, c, done);
    weft_waitgroup_go(&wg, send_until_done, c, done);
    weft_timer_start(&t, 20 * WEFT_MS);
    while (weft_select(weft_on_recv(c, NULL), weft_on_recv(weft_timer_chan(&t), NULL)) == 0)
        ;
    EXPECT(weft_now() - began >= 20 * WEFT_MS);
    weft_close(done);
    weft_waitgroup_wait(&wg);
    weft_free(c);
    weft_free(done);
}

static void call_the_kernel_until_the_timer(weft_chan(bool) c, weft_receiver(bool) end)
{
    weft_timer t = {0};
    char nothing[1];
    bool fired = false;
    weft_timer_start(&t, 20 * WEFT_MS);
    while (!fired) {
        EXPECT(read(0, nothing, 0) <= 0);
        int k = weft_select(weft_on_send(c, true), weft_on_recv(c, NULL), weft_on_recv(weft_timer_chan(&t), NULL),
                            weft_on_recv(end, NULL));
        fired = k == 2;
    }
}

/* Go: TestTimerFairness2. When the first has ended, the other has only its timer. */
TEST(conf_sched, system_calls_and_busy_channels_do_not_keep_timers_from_firing)
{
    weft_chan(bool) c = weft_make(bool), end = NULL;
    weft_waitgroup wg = {0};
    weft_waitgroup_go(&wg, call_the_kernel_until_the_timer, c, end);
    weft_waitgroup_go(&wg, call_the_kernel_until_the_timer, c, end);
    weft_waitgroup_wait(&wg);
    weft_free(c);
}

static _Atomic uint32_t whose;

static void spin_for_turn(uint32_t me, weft_sender(bool) c)
{
    for (int i = 0; i < 5; i++) {
        while (atomic_load(&whose) != me)
            ;
        atomic_store(&whose, 1 - me);
    }
    weft_send(c, true);
}

/* Go: TestPreemption: on one processor too, though neither ever calls the library */
TEST(conf_sched, two_that_only_compute_both_get_on)
{
    weft_chan(bool) c = weft_make(bool);
    weft_go(spin_for_turn, 0U, c);
    weft_go(spin_for_turn, 1U, c);
    (void)weft_recv(c);
    (void)weft_recv(c);
    weft_free(c);
}

static atomic_int loops_stop, loops_ready;

static void endless(weft_waitgroup *wg)
{
    atomic_fetch_add(&loops_ready, 1);
    while (!atomic_load_explicit(&loops_stop, memory_order_relaxed))
        ;
    weft_waitgroup_done(wg);
}

/* Go: TestAsyncPreempt, TestPreemptionGC: without a collector, what must get on is another goroutine */
TEST_ENV(conf_sched, endless_loops_on_one_processor_hold_up_nobody, "WEFT_PROCS=1")
{
    weft_waitgroup wg = {0};
    weft_waitgroup_add(&wg, 3);
    for (int i = 0; i < 3; i++)
        weft_go(endless, &wg);
    EXPECT(conf_until(&loops_ready, 3));
    for (int i = 0; i < 10; i++)
        weft_yield();
    atomic_store(&loops_stop, 1);
    weft_waitgroup_wait(&wg);
}

static void wait_on(weft_receiver(bool) c, weft_waitgroup *wg)
{
    (void)weft_recv(c);
    weft_waitgroup_done(wg);
}

/* Go: TestNumGoroutine */
TEST(conf_sched, the_number_of_goroutines_is_one_at_the_start_and_counts_each)
{
    weft_chan(bool) c = weft_make(bool);
    weft_waitgroup wg = {0};
    EXPECT_EQ(weft_num_goroutines(), 1);
    weft_waitgroup_add(&wg, 10);
    for (int i = 0; i < 10; i++)
        weft_go(wait_on, c, &wg);
    EXPECT_EQ(weft_num_goroutines(), 11);
    weft_close(c);
    weft_waitgroup_wait(&wg);
    while (weft_num_goroutines() != 1)
        weft_sleep(WEFT_MS);
    weft_free(c);
}

static volatile long hog_count, light_count;

static void ping_pong(long limit, volatile long *count, weft_chan(bool) wake, weft_receiver(bool) done)
{
    while (weft_select(weft_on_recv(done, NULL), weft_on_recv(wake, NULL)) == 1) {
        for (long i = 0; i < limit; i++)
            ++*count;
        if (weft_select(weft_on_send(wake, true), weft_on_recv(done, NULL)) == 1)
            break;
    }
}

/* Of the whole process; what a busy machine gives it does not matter then. */
static weft_dur cpu_time(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
    return ts.tv_sec * WEFT_SEC + ts.tv_nsec;
}

/*
 * Go: TestPingPongHog: two that hand over after much work and two that hand over after little, on one processor. Go's
 * bound is 20: each pair gets its time slice.
 */
TEST_ENV(conf_sched, pairs_share_one_processor_by_time_not_by_turns, "WEFT_PROCS=1")
{
    weft_chan(bool) hog = weft_make(bool), light = weft_make(bool), done = weft_make(bool);
    weft_waitgroup wg = {0};
    for (int i = 0; i < 2; i++)
        weft_waitgroup_go(&wg, ping_pong, 1000000L, &hog_count, hog, done);
    for (int i = 0; i < 2; i++)
        weft_waitgroup_go(&wg, ping_pong, 1000L, &light_count, light, done);
    weft_send(hog, true);
    weft_send(light, true);
    while (cpu_time() < 400 * WEFT_MS)
        weft_sleep(10 * WEFT_MS);
    weft_close(done);
    weft_waitgroup_wait(&wg);
    EXPECT(hog_count / 20 <= light_count);
    EXPECT(light_count / 20 <= hog_count);
    if (getenv("CONF_SHOW"))
        fprintf(stderr, "hog %ld light %ld\n", hog_count, light_count);
    weft_free(hog);
    weft_free(light);
    weft_free(done);
}

/* ---- system calls ---- */

static atomic_int calls_stop;

static void short_calls(weft_sender(bool) c, weft_dur each, bool bracketed)
{
    weft_send(c, true);
    while (!atomic_load(&calls_stop)) {
        struct timespec ts = {0, (long)each};
        if (bracketed)
            weft_block_begin();
        nanosleep(&ts, NULL);
        if (bracketed)
            weft_block_end();
    }
    weft_send(c, true);
}

/* Go: TestPreemptionAfterSyscall */
TEST(conf_sched, eight_in_short_system_calls_do_not_hold_up_two_processors)
{
    enum { N = 8 };
    weft_chan(bool) c = weft_make(bool, N);
    weft_procs(2);
    for (weft_dur each = 10 * WEFT_US; each <= 1000 * WEFT_US; each *= 10)
        for (int bracketed = 0; bracketed < 2; bracketed++) {
            atomic_store(&calls_stop, 0);
            for (int i = 0; i < N; i++)
                weft_go(short_calls, c, each, (bool)bracketed);
            for (int i = 0; i < N; i++)
                (void)weft_recv(c);
            atomic_store(&calls_stop, 1);
            for (int i = 0; i < N; i++)
                (void)weft_recv(c);
        }
    weft_free(c);
}

static void *close_soon(void *arg)
{
    weft_chan(bool) c = arg;
    nanosleep(&(struct timespec){0, 20000000}, NULL);
    weft_close(c);
    return NULL;
}

/* Go: TestNetpollBreak: who waits in the poller is woken by other news than the network's */
TEST(conf_sched, a_thread_outside_wakes_a_runtime_that_waits_for_the_network)
{
    weft_chan(bool) c = weft_make(bool);
    weft_waitgroup wg = {0};
    weft_listener *ln;
    pthread_t t;
    REQUIRE(weft_listen(&ln, "tcp", "127.0.0.1:0") == 0);
    weft_waitgroup_add(&wg, 1);
    weft_go(accept_one, ln, &wg);
    REQUIRE(pthread_create(&t, NULL, close_soon, (void *)c) == 0);
    (void)weft_recv(c);
    weft_listener_close(ln);
    weft_waitgroup_wait(&wg);
    pthread_join(t, NULL);
    weft_free(c);
}

/* Go: TestBigGOMAXPROCS. More than 256 is cut to 256. */
TEST_ENV(conf_sched, a_thousand_processors_can_be_asked_for, "WEFT_PROCS=1024")
{
    weft_waitgroup wg = {0};
    EXPECT_EQ(weft_procs(0), 256);
    for (int i = 0; i < 100; i++)
        weft_waitgroup_go(&wg, weft_yield);
    weft_waitgroup_wait(&wg);
}
