/* test_signal.c - signals on channels. After Go's os/signal tests, in our own words. */
#include <pthread.h>
#include <stdatomic.h>
#include <unistd.h>
#include <weft/weft.h>
#include <weft_test.h>

#ifndef __has_feature
#define __has_feature(x) 0
#endif
/* ThreadSanitizer puts a handler off until the thread calls into it; an idle worker in futex(2) never does. */
static void skip_under_tsan(void)
{
#if defined(__SANITIZE_THREAD__) || __has_feature(thread_sanitizer)
    weft_test_skip("ThreadSanitizer delays signals for ever");
#endif
}

TEST(signal, a_signal_arrives_on_the_channel)
{
    skip_under_tsan();
    weft_chan(int) ch = weft_make(int, 1);
    weft_signal_notify(ch, SIGUSR1, SIGINT);
    kill(getpid(), SIGUSR1);
    EXPECT_EQ(weft_recv(ch), SIGUSR1);
    kill(getpid(), SIGINT);
    EXPECT_EQ(weft_recv(ch), SIGINT);
    weft_signal_stop(ch);
    weft_free(ch);
}

TEST(signal, each_channel_that_asked_gets_it)
{
    skip_under_tsan();
    weft_chan(int) a = weft_make(int, 1), b = weft_make(int, 1), c = weft_make(int, 1);
    weft_signal_notify(a, SIGUSR1);
    weft_signal_notify(b, SIGUSR2);
    weft_signal_notify(b, SIGUSR1);
    weft_signal_notify(c, SIGUSR2);
    kill(getpid(), SIGUSR1);
    EXPECT_EQ(weft_recv(a), SIGUSR1);
    EXPECT_EQ(weft_recv(b), SIGUSR1);
    EXPECT_EQ(weft_len(c), 0);
    weft_signal_stop(a);
    weft_signal_stop(b);
    weft_signal_stop(c);
    weft_free(a);
    weft_free(b);
    weft_free(c);
}

TEST(signal, no_signals_named_means_all)
{
    skip_under_tsan();
    weft_chan(int) ch = weft_make(int, 1);
    weft_signal_notify(ch);
    int sigs[] = {SIGHUP, SIGTERM, SIGWINCH, SIGUSR2};
    for (int i = 0; i < 4; i++) {
        kill(getpid(), sigs[i]);
        EXPECT_EQ(weft_recv(ch), sigs[i]);
    }
    weft_signal_stop(ch);
    weft_free(ch);
}

TEST(signal, nothing_is_sent_after_stop_and_the_former_action_is_back)
{
    skip_under_tsan();
    weft_chan(int) ch = weft_make(int, 8), other = weft_make(int, 1);
    struct sigaction sa;
    signal(SIGUSR1, SIG_IGN);
    weft_signal_notify(ch, SIGUSR1);
    weft_signal_stop(ch);
    sigaction(SIGUSR1, NULL, &sa);
    EXPECT(sa.sa_handler == SIG_IGN);
    weft_signal_stop(ch);
    weft_signal_notify(ch, SIGUSR1);
    weft_signal_notify(other, SIGUSR1);
    weft_signal_stop(ch);
    kill(getpid(), SIGUSR1);
    EXPECT_EQ(weft_recv(other), SIGUSR1);
    EXPECT_EQ(weft_len(ch), 0);
    weft_signal_stop(other);
    weft_free(ch);
    weft_free(other);
}

TEST(signal, a_full_channel_drops_and_never_blocks)
{
    skip_under_tsan();
    weft_chan(int) full = weft_make(int, 1), beat = weft_make(int, 1);
    weft_signal_notify(full, SIGUSR1);
    weft_signal_notify(beat, SIGUSR2);
    for (int i = 0; i < 20; i++) {
        kill(getpid(), SIGUSR1);
        kill(getpid(), SIGUSR2);
        EXPECT_EQ(weft_recv(beat), SIGUSR2);
    }
    EXPECT_EQ(weft_len(full), 1);
    weft_signal_stop(full);
    weft_signal_stop(beat);
    weft_free(full);
    weft_free(beat);
}

static void *kill_late(void *main_thread)
{
    (void)main_thread;
    usleep(20000);
    kill(getpid(), SIGUSR1);
    return NULL;
}

TEST(signal, waiting_for_a_signal_alone_is_no_deadlock)
{
    skip_under_tsan();
    weft_chan(int) ch = weft_make(int, 1);
    pthread_t t;
    weft_signal_notify(ch, SIGUSR1);
    REQUIRE(pthread_create(&t, NULL, kill_late, NULL) == 0);
    EXPECT_EQ(weft_recv(ch), SIGUSR1);
    pthread_join(t, NULL);
    weft_signal_stop(ch);
    weft_free(ch);
}

static _Atomic long spins;
static _Atomic bool over;

static void compute(void)
{
    while (!atomic_load_explicit(&over, memory_order_relaxed))
        atomic_fetch_add_explicit(&spins, 1, memory_order_relaxed);
}

TEST(signal, a_stream_of_signals_disturbs_nobody)
{
    skip_under_tsan();
    weft_chan(int) ch = weft_make(int, 1);
    weft_waitgroup wg = {0};
    weft_signal_notify(ch, SIGUSR1);
    for (int i = 0; i < 3; i++)
        weft_waitgroup_go(&wg, compute);
    weft_time end = weft_now() + 5 * WEFT_SEC; /* where the machine is busy each may take some milliseconds */
    for (int i = 0; i < 1000 && weft_now() < end; i++) {
        errno = 1234;
        kill(getpid(), SIGUSR1);
        EXPECT_EQ(errno, 1234);
        EXPECT_EQ(weft_recv(ch), SIGUSR1);
    }
    atomic_store(&over, true);
    weft_waitgroup_wait(&wg);
    weft_signal_stop(ch);
    weft_free(ch);
}

static void notify_nil(void)
{
    weft_chan(int) none = NULL;
    weft_signal_notify(none, SIGINT);
}

TEST(signal, a_nil_channel_panics)
{
    EXPECT_STR(weft_try(notify_nil), "os/signal: Notify using nil channel");
}

DEATH(signal, after_stop_the_default_ends_the_process, -SIGTERM, "^$")
{
    weft_chan(int) ch = weft_make(int, 1);
    weft_signal_notify(ch, SIGTERM);
    kill(getpid(), SIGTERM);
    EXPECT_EQ(weft_recv(ch), SIGTERM);
    weft_signal_stop(ch);
    kill(getpid(), SIGTERM);
    weft_sleep(WEFT_MIN);
}
