/*
 * test_go.c - goroutines: arguments, counts, order, processors, threads.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>
#include <weft/weft.h>

#include "sched/keep.h"
#include "settle.h"
#include "weft_test.h"

static _Atomic long count;

static void wait_count(long n)
{
    while (atomic_load(&count) < n) /* the runner ends a test that waits for ever */
        weft_sleep(WEFT_MS / 4);
}

static void add(int k)
{
    atomic_fetch_add(&count, k);
}

TEST_ENV(go, runs_a_goroutine_and_counts_it, "WEFT_PROCS=1")
{
    EXPECT_EQ(weft_num_goroutines(), 1);
    EXPECT_EQ(weft_goid(), 1);
    weft_go(add, 7);
    EXPECT_EQ(weft_num_goroutines(), 2);
    wait_count(7);
    EXPECT_EQ(atomic_load(&count), 7);
}

struct wide {
    double d;
    long v[4];
};

static void take_many(char a, double b, struct wide w, float c, const char *s, long d, int e, short f, unsigned g, int h)
{
    if (a == 'x' && b == 2.5 && w.d == 0.5 && w.v[3] == 4 && c == 1.25f && !strcmp(s, "str") && d == -9 && e == 1 && f == 2 &&
        g == 3 && h == 4)
        add(1);
}

TEST(go, passes_ten_arguments_of_every_class)
{
    weft_go(take_many, 'x', 2.5, ((struct wide){0.5, {1, 2, 3, 4}}), 1.25f, "str", -9L, 1, 2, 3u, 4);
    wait_count(1);
    EXPECT_EQ(atomic_load(&count), 1);
}

static void take_sixteen(int a, int b, int c, int d, int e, int f, int g, int h, int i, int j, int k, int l, int m, int n, int o, int p)
{
    if (a == 1 && b == 2 && c == 3 && d == 4 && e == 5 && f == 6 && g == 7 && h == 8 && i == 9 && j == 10 && k == 11 && l == 12 &&
        m == 13 && n == 14 && o == 15 && p == 16)
        add(1);
}

TEST(go, passes_sixteen_arguments)
{
    weft_go(take_sixteen, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16);
    wait_count(1);
    EXPECT_EQ(atomic_load(&count), 1);
}

static void none(void)
{
    add(1);
}

static int returns(int x)
{
    add(x);
    return x;
}

TEST(go, takes_functions_pointers_and_scalar_results)
{
    void (*fp)(void) = none;
    int (*table[2])(int) = {returns, returns};
    int i = 0;

    weft_go(none);
    weft_go(fp);
    weft_go(table[i++], 1);
    EXPECT_EQ(i, 1);
    weft_go_named("label", returns, 1);
    wait_count(4);
    EXPECT_EQ(atomic_load(&count), 4);
}

TEST(go, takes_a_function_from_a_constant_table)
{
    static const struct {
        void (*fn)(int);
        int arg;
    } table[] = {{add, 1}, {add, 2}};
    void (*const fixed)(int) = add;

    for (int i = 0; i < 2; i++)
        weft_go(table[i].fn, table[i].arg);
    weft_go(fixed, 4);
    wait_count(7);
    EXPECT_EQ(count, 7);
}

TEST(go, evaluates_arguments_at_the_go_statement)
{
    int x = 5;

    weft_go(add, x);
    x = 100;
    wait_count(5);
    EXPECT_EQ(atomic_load(&count), 5);
}

static _Atomic int order[8], order_n;
static struct weft__m *_Atomic noted_by[8];

static void note(int i)
{
    noted_by[i] = weft__m();
    order[atomic_fetch_add(&order_n, 1)] = i;
}

/* Where the system takes the CPU from one of them, the monitor gives its processor to another thread, which runs those behind
 * it first. From who starts them it may be taken between two of them: those after it are then in the global queue, one of
 * which is taken out of turn now and then. So what one thread started and ran is looked at. */
TEST_ENV(go, runs_in_creation_order_on_one_proc, "WEFT_PROCS=1")
{
    for (bool moved = true; moved;) {
        struct weft__m *starter = weft__m();
        moved = false;
        order_n = 0;
        for (int i = 0; i < 8; i++)
            weft_go(note, i);
        while (order_n < 8) {
            weft_yield();
            moved |= weft__m() != starter;
        }
        test_settle();
        for (int i = 0; i < 8; i++)
            moved |= noted_by[i] != starter;
    }
    for (int i = 0; i < 8; i++)
        EXPECT_EQ(order[i], i);
}

static void yielder(int rounds)
{
    for (int i = 0; i < rounds; i++)
        weft_yield();
    add(1);
}

static void spawn_tree(int depth)
{
    if (depth > 0)
        for (int i = 0; i < 4; i++)
            weft_go(spawn_tree, depth - 1);
    add(1);
}

static void tree_and_yields(void)
{
    weft_go(spawn_tree, 6);
    for (int i = 0; i < 50; i++)
        weft_go(yielder, 200);
    wait_count(5461 + 50);
    EXPECT_EQ(atomic_load(&count), 5461 + 50);
}

TEST_ENV(go, trees_of_goroutines_all_run_on_one_proc, "WEFT_PROCS=1")
{
    tree_and_yields();
}

TEST_ENV(go, trees_of_goroutines_all_run_on_two_procs, "WEFT_PROCS=2")
{
    tree_and_yields();
}

TEST_ENV(go, trees_of_goroutines_all_run_on_eight_procs, "WEFT_PROCS=8")
{
    tree_and_yields();
}

static void keep_errno(int value)
{
    errno = value;
    for (int i = 0; i < 50; i++) {
        weft_yield();
        if (i % 10 == 0)
            weft_sleep(100 * WEFT_US);
        if (errno != value)
            weft_test_fail(__FILE__, __LINE__, "errno is %d, expected %d", errno, value);
    }
    add(1);
}

TEST_ENV(go, errno_survives_a_park, "WEFT_PROCS=4")
{
    for (int i = 1; i <= 20; i++)
        weft_go(keep_errno, i);
    wait_count(20);
    EXPECT_EQ(atomic_load(&count), 20);
}

static _Thread_local pid_t thread_here;
static _Atomic int moves;

/* The rule of weft/base.h: a thread-local variable is used in functions of their own. */
static __attribute__((noinline)) pid_t thread_by_a_variable(void)
{
    if (thread_here == 0)
        thread_here = gettid();
    return thread_here;
}

static void park_until_moved(int value)
{
    pid_t before = gettid();
    while (atomic_load(&moves) < 10) {
        errno = value;
        weft_sleep(10 * WEFT_US);
        if (errno != value)
            weft_test_fail(__FILE__, __LINE__, "errno is %d, expected %d", errno, value);
        EXPECT_EQ(thread_by_a_variable(), gettid());
        if (gettid() != before)
            atomic_fetch_add(&moves, 1);
        before = gettid();
    }
    add(1);
}

TEST_ENV(go, errno_and_thread_locals_are_right_after_a_park_that_changes_the_thread, "WEFT_PROCS=4")
{
    for (int i = 1; i <= 8; i++)
        weft_go(park_until_moved, i);
    wait_count(8);
    EXPECT(atomic_load(&moves) >= 10);
}

TEST_ENV(procs, says_the_environments_value_and_sets_a_new_one, "WEFT_PROCS=3")
{
    EXPECT_EQ(weft_procs(0), 3);
    EXPECT_EQ(weft_procs(1), 3);
    EXPECT_EQ(weft_procs(-5), 1);
    for (int n = 1; n <= 6; n++) {
        atomic_store(&count, 0);
        weft_procs(n);
        for (int i = 0; i < 20; i++)
            weft_go(yielder, 50);
        wait_count(20);
        EXPECT_EQ(atomic_load(&count), 20);
    }
}

static void compute_then_send(weft_chan(int) ch, weft_dur d)
{
    for (weft_time end = weft_now() + d; weft_now() < end;)
        ;
    weft_send(ch, 7);
}

/* The processor that it runs on is beyond the new number, but it still runs. */
TEST_ENV(procs, fewer_of_them_while_a_goroutine_computes_is_no_deadlock, "WEFT_PROCS=2")
{
    weft_chan(int) ch = weft_make(int);
    for (int i = 0; i < 6; i++) {
        weft_procs(2);
        weft_go(compute_then_send, ch, 30 * WEFT_MS);
        weft_sleep(5 * WEFT_MS);
        EXPECT_EQ(weft_procs(1), 2);
        EXPECT_EQ(weft_recv(ch), 7);
    }
    weft_free(ch);
}

static void *send_late(void *ch)
{
    nanosleep(&(struct timespec){.tv_nsec = 50000000}, NULL);
    weft_send((weft_chan(int))ch, 9);
    return NULL;
}

/* The runtime counts threads in /proc, which takes a descriptor. */
TEST(threads, no_descriptor_left_is_no_deadlock)
{
    weft_chan(int) ch = weft_make(int);
    struct rlimit before, none;
    pthread_t t;
    REQUIRE(getrlimit(RLIMIT_NOFILE, &before) == 0);
    none = (struct rlimit){.rlim_cur = 0, .rlim_max = before.rlim_max};
    REQUIRE(pthread_create(&t, NULL, send_late, ch) == 0);
    REQUIRE(setrlimit(RLIMIT_NOFILE, &none) == 0);
    EXPECT_EQ(weft_recv(ch), 9);
    REQUIRE(setrlimit(RLIMIT_NOFILE, &before) == 0);
    pthread_join(t, NULL);
    weft_free(ch);
}

static atomic_int spin_stop;

static void spin(void)
{
    while (!atomic_load_explicit(&spin_stop, memory_order_relaxed))
        ;
    add(1);
}

/* Without the monitor main would not come back from its first sleep. */
TEST_ENV(monitor, an_endless_c_loop_does_not_hold_up_the_others, "WEFT_PROCS=1")
{
    weft_go(spin);
    weft_go(spin);
    for (int i = 0; i < 30; i++)
        weft_sleep(WEFT_MS);
    atomic_store(&spin_stop, 1);
    wait_count(2);
    EXPECT_EQ(atomic_load(&count), 2);
}

enum { BLOCKED = 20, BLOCKED_ROUNDS = 10 };

static int blocked_pipes[BLOCKED_ROUNDS][2];
static _Atomic long blocked_in, blocked_out;

/* A read that only main, which needs the processor, can end; in the kernel, as weft knows nothing of it. */
static void block(bool bracketed)
{
    for (int i = 0; i < BLOCKED_ROUNDS; i++) {
        char c;
        if (bracketed) {
            weft_block_begin();
            EXPECT(!weft__keep_holds()); /* given up, not taken away by the monitor later */
        }
        atomic_fetch_add(&blocked_in, 1);
        EXPECT_EQ(read(blocked_pipes[i][0], &c, 1), 1);
        atomic_fetch_add(&blocked_out, 1);
        if (bracketed)
            weft_block_end();
        weft_yield();
    }
    add(1);
}

/* Nobody comes back before all are in: one after another they would never be. */
static void all_block(bool bracketed)
{
    for (int i = 0; i < BLOCKED_ROUNDS; i++)
        REQUIRE(pipe(blocked_pipes[i]) == 0);
    for (int i = 0; i < BLOCKED; i++)
        weft_go(block, bracketed);
    for (int i = 0; i < BLOCKED_ROUNDS; i++) {
        while (atomic_load(&blocked_in) < (i + 1) * BLOCKED)
            weft_sleep(WEFT_MS / 4);
        EXPECT_EQ(atomic_load(&blocked_out), i * BLOCKED);
        REQUIRE(write(blocked_pipes[i][1], "01234567890123456789", BLOCKED) == BLOCKED);
    }
    wait_count(BLOCKED);
    EXPECT_EQ(atomic_load(&blocked_out), BLOCKED_ROUNDS * BLOCKED);
    for (int i = 0; i < BLOCKED_ROUNDS; i++) {
        close(blocked_pipes[i][0]);
        close(blocked_pipes[i][1]);
    }
}

TEST_ENV(monitor, blocking_system_calls_run_beside_each_other, "WEFT_PROCS=1")
{
    all_block(false);
}

TEST_ENV(block, a_bracketed_call_gives_the_processor_up_at_once, "WEFT_PROCS=1")
{
    all_block(true);
}

static void locked(void)
{
    pthread_t self = pthread_self();

    weft_lock_thread();
    self = pthread_self();
    for (int i = 0; i < 100; i++) {
        weft_yield();
        weft_sleep(10 * WEFT_US);
        if (!pthread_equal(self, pthread_self()))
            weft_test_fail(__FILE__, __LINE__, "moved to another thread");
    }
    weft_unlock_thread();
    add(1);
}

TEST_ENV(lock_thread, keeps_the_goroutine_on_its_thread, "WEFT_PROCS=2")
{
    for (int i = 0; i < 4; i++)
        weft_go(locked);
    for (int i = 0; i < 10; i++)
        weft_go(yielder, 100);
    wait_count(14);
    EXPECT_EQ(atomic_load(&count), 14);
}

static void *foreign(void *arg)
{
    (void)arg;
    for (int i = 0; i < 200; i++) {
        weft_go(add, 1);
        if (i % 20 == 0)
            weft_sleep(50 * WEFT_US);
    }
    return NULL;
}

TEST_ENV(foreign, any_pthread_may_start_goroutines_and_sleep, "WEFT_PROCS=2")
{
    pthread_t t[4];

    for (int i = 0; i < 4; i++)
        EXPECT_EQ(pthread_create(&t[i], NULL, foreign, NULL), 0);
    wait_count(800);
    EXPECT_EQ(atomic_load(&count), 800);
    for (int i = 0; i < 4; i++)
        pthread_join(t[i], NULL);
}

TEST(sleep, lasts_at_least_as_long_as_asked)
{
    for (int i = 1; i <= 5; i++) {
        weft_time t = weft_now();
        weft_sleep(i * WEFT_MS);
        EXPECT(weft_now() - t >= i * WEFT_MS);
    }
    weft_sleep(0);
    weft_sleep(-5);
}

static void sleeper(int us)
{
    weft_sleep(us * WEFT_US);
    add(1);
}

TEST(sleep, a_hundred_thousand_sleepers_all_wake)
{
    int n = weft_procs(0) > 0 ? 100000 : 0;
#if defined(__SANITIZE_THREAD__)
    n = 2000; /* ThreadSanitizer holds 8,128 fibers */
#endif
    for (int i = 0; i < n; i++)
        weft_go(sleeper, i * 37 % 20000);
    wait_count(n);
    EXPECT_EQ(atomic_load(&count), n);
}

/* ---- errno ---- */

static _Atomic int errno_wrong;

static void leave_errno(int parks, weft_waitgroup *wg)
{
    errno_wrong += errno != 0;
    errno = EDOM;
    if (parks)
        weft_yield();
    errno_wrong += errno != EDOM;
    weft_waitgroup_done(wg);
}

static void leave_errno_of(double x, weft_waitgroup *wg)
{
    leave_errno(x > 0, wg);
}

/* Whoever had the stack or the thread before, by whichever way it comes to run. */
TEST(go, starts_with_errno_0)
{
    weft_waitgroup wg = {0};

    for (int i = 0; i < 300; i++) {
        errno = ERANGE;
        weft_waitgroup_add(&wg, 5);
        weft_go(leave_errno, 0, &wg); /* hands what it had to the next */
        weft_go(leave_errno, i % 2, &wg);
        weft_go(leave_errno_of, (double)(i % 3), &wg);
        weft_go(leave_errno, 0, &wg);
        weft_go_stack(100000, leave_errno, i % 2, &wg);
        if (i % 8 == 0)
            weft_waitgroup_wait(&wg);
    }
    weft_waitgroup_wait(&wg);
    EXPECT_EQ(errno_wrong, 0);
    EXPECT_EQ(errno, ERANGE);
}
