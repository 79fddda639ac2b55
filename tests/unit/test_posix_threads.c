/*
 * test_posix_threads.c - libweft-posix: who keeps which thread, foreign threads, locks, forks, signals, the start.
 */
#include <pthread.h>
#include <poll.h>
#include <semaphore.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <threads.h>
#include <time.h>
#include <unistd.h>
#include <weft/weft.h>
#include <weft_test.h>

#include "sched/keep.h"
#include "sched/sched.h"
#include "sys/sys.h"

static int tid(void)
{
    return (int)syscall(SYS_gettid);
}

/* ---- threads ---- */

/* Deep enough that the compiler cannot keep the address of a thread-local across calls of these. */
static __thread int mine;
static __attribute__((noinline, no_sanitize("thread"))) void mine_set(int v)
{
    mine = v;
    __asm__ volatile("" ::: "memory");
}
static __attribute__((noinline, no_sanitize("thread"))) int mine_get(void)
{
    __asm__ volatile("" ::: "memory");
    return mine;
}

static void waiter(int id, int fd, _Atomic int *waiting, weft_waitgroup *wg)
{
    char c;
    int before = tid();

    mine_set(id);
    atomic_fetch_add_explicit(waiting, 1, memory_order_relaxed);
    EXPECT_EQ(read(fd, &c, 1), 1);
    EXPECT_EQ(tid(), before);
    EXPECT_EQ(mine_get(), id);
    weft_waitgroup_done(wg);
}

static void wait_many(int n)
{
    weft_waitgroup wg = {0};
    _Atomic int waiting = 0;
    int fd[2];
    char *all = calloc(1, (size_t)n);

    REQUIRE(pipe(fd) == 0);
    weft_waitgroup_add(&wg, n);
    for (int i = 0; i < n; i++)
        weft_go(waiter, i + 1, fd[0], &waiting, &wg);
    while (atomic_load_explicit(&waiting, memory_order_relaxed) < n) /* all are in at once: none can be served yet */
        weft_sleep(WEFT_MS);
    EXPECT_EQ(write(fd[1], all, (size_t)n), n);
    weft_waitgroup_wait(&wg);
    free(all);
    close(fd[0]);
    close(fd[1]);
}

TEST_ENV(posix, a_goroutine_in_a_call_keeps_its_thread, "WEFT_PROCS=2")
{
    wait_many(100);
}

TEST_ENV(posix, a_thousand_wait_at_a_time_on_two_processors, "WEFT_PROCS=2")
{
    struct rlimit r;

    if (WEFT__TSAN)
        weft_test_skip("ThreadSanitizer's threads take too much memory");
    if (getrlimit(RLIMIT_NPROC, &r) == 0 && r.rlim_cur != RLIM_INFINITY && r.rlim_cur < 3000)
        weft_test_skip("fewer than 3,000 threads allowed");
    wait_many(1000);
}

static void *plain_thread(void *arg)
{
    int *fd = arg;
    char c;
    pthread_mutex_t m = PTHREAD_MUTEX_INITIALIZER;

    pthread_mutex_lock(&m);
    EXPECT_EQ(read(fd[0], &c, 1), 1);
    EXPECT(!weft__keep_holds());
    pthread_mutex_unlock(&m);
    EXPECT(weft__g_or_null() == NULL);
    return NULL;
}

TEST(posix, a_thread_that_is_no_goroutine_stays_none)
{
    pthread_t t;
    int fd[2];

    weft_yield();
    REQUIRE(pipe(fd) == 0);
    size_t before = weft_num_goroutines();
    REQUIRE(pthread_create(&t, NULL, plain_thread, fd) == 0);
    EXPECT_EQ(write(fd[1], "x", 1), 1);
    pthread_join(t, NULL);
    EXPECT_EQ(weft_num_goroutines(), before);
    close(fd[0]);
    close(fd[1]);
}

TEST(posix, calls_before_the_first_weft_call_start_nothing)
{
    pthread_mutex_t m = PTHREAD_MUTEX_INITIALIZER;
    struct timespec ts = {0, 1000000};
    int fd[2], threads = weft__sys_thread_count();
    char c;

    REQUIRE(pipe(fd) == 0);
    pthread_mutex_lock(&m);
    EXPECT_EQ(write(fd[1], "x", 1), 1);
    EXPECT_EQ(read(fd[0], &c, 1), 1);
    struct pollfd p = {.fd = fd[0], .events = POLLIN};
    EXPECT_EQ(poll(&p, 1, 1), 0);
    nanosleep(&ts, NULL);
    pthread_mutex_unlock(&m);
    EXPECT_EQ(weft__sys_thread_count(), threads);
    EXPECT(weft__g_or_null() == NULL);
    close(fd[0]);
    close(fd[1]);
}

/* ---- mutexes ---- */

static pthread_mutex_t lock;
static weft_chan(int) gate;
static _Atomic int inside, most;

static void lock_init(int type)
{
    pthread_mutexattr_t a;

    pthread_mutexattr_init(&a);
    pthread_mutexattr_settype(&a, type);
    pthread_mutex_init(&lock, &a);
    pthread_mutexattr_destroy(&a);
}

/* In the lock it parks, as a callback of a library may. */
static void park_inside(weft_waitgroup *wg)
{
    EXPECT_EQ(pthread_mutex_lock(&lock), 0);
    int t = tid(), in = atomic_fetch_add_explicit(&inside, 1, memory_order_relaxed) + 1;
    if (in > atomic_load_explicit(&most, memory_order_relaxed))
        atomic_store_explicit(&most, in, memory_order_relaxed);
    weft_sleep(200 * WEFT_US);
    weft_yield();
    (void)weft_recv(gate);
    EXPECT_EQ(tid(), t);
    atomic_fetch_sub_explicit(&inside, 1, memory_order_relaxed);
    EXPECT_EQ(pthread_mutex_unlock(&lock), 0);
    weft_waitgroup_done(wg);
}

static void open_gate(int n)
{
    for (int i = 0; i < n; i++)
        weft_send(gate, i);
}

static void park_inside_many(int type, int n)
{
    weft_waitgroup wg = {0};

    lock_init(type);
    gate = weft_make(int);
    atomic_store_explicit(&most, 0, memory_order_relaxed);
    weft_waitgroup_add(&wg, n + 1);
    for (int i = 0; i < n; i++)
        weft_go(park_inside, &wg);
    open_gate(n);
    weft_waitgroup_done(&wg);
    weft_waitgroup_wait(&wg);
    EXPECT_EQ(atomic_load_explicit(&most, memory_order_relaxed), 1);
    weft_free(gate);
    pthread_mutex_destroy(&lock);
}

/* The holder parks, the others wait for it, and there is one processor: a wait that kept it would last for ever. */
TEST_ENV(posix, a_parked_holder_of_a_mutex_is_waited_for_on_one_processor, "WEFT_PROCS=1")
{
    park_inside_many(PTHREAD_MUTEX_NORMAL, 20);
}

/* The thread is the owner of a recursive mutex: nobody else may run on it meanwhile. */
TEST_ENV(posix, a_recursive_mutex_excludes_goroutines_whose_holder_parks, "WEFT_PROCS=1")
{
    park_inside_many(PTHREAD_MUTEX_RECURSIVE, 20);
}

TEST_ENV(posix, an_error_checking_mutex_knows_its_goroutine, "WEFT_PROCS=2")
{
    park_inside_many(PTHREAD_MUTEX_ERRORCHECK, 20);
    lock_init(PTHREAD_MUTEX_ERRORCHECK);
    EXPECT_EQ(pthread_mutex_lock(&lock), 0);
    EXPECT_EQ(pthread_mutex_lock(&lock), EDEADLK);
    EXPECT_EQ(pthread_mutex_unlock(&lock), 0);
    if (!WEFT__TSAN) /* which reports it */
        EXPECT_EQ(pthread_mutex_unlock(&lock), EPERM);
    pthread_mutex_destroy(&lock);
}

TEST_ENV(posix, a_free_mutex_keeps_the_processor, "WEFT_PROCS=1")
{
    weft_yield();
    lock_init(PTHREAD_MUTEX_RECURSIVE);
    EXPECT_EQ(pthread_mutex_lock(&lock), 0);
    EXPECT_EQ(pthread_mutex_trylock(&lock), 0);
    EXPECT(weft__keep_holds());
    EXPECT(weft__g()->tied);
    EXPECT_EQ(pthread_mutex_unlock(&lock), 0);
    EXPECT(weft__g()->tied);
    EXPECT_EQ(pthread_mutex_unlock(&lock), 0);
    EXPECT(!weft__g()->tied);
    EXPECT(weft__keep_holds());
    pthread_mutex_destroy(&lock);
}

TEST_ENV(posix, a_lock_and_lock_thread_both_tie, "WEFT_PROCS=2")
{
    lock_init(PTHREAD_MUTEX_NORMAL);
    weft_yield();
    pthread_mutex_lock(&lock);
    weft_lock_thread();
    int t = tid();
    pthread_mutex_unlock(&lock);
    EXPECT(weft__g()->tied);
    weft_sleep(WEFT_MS);
    EXPECT_EQ(tid(), t);
    pthread_mutex_lock(&lock);
    weft_unlock_thread();
    EXPECT(weft__g()->tied);
    weft_sleep(WEFT_MS);
    EXPECT_EQ(tid(), t);
    pthread_mutex_unlock(&lock);
    EXPECT(!weft__g()->tied);
    weft_yield();
    pthread_mutex_destroy(&lock);
}

static void count_locked(int n, long *sum, weft_waitgroup *wg)
{
    for (int i = 0; i < n; i++) {
        pthread_mutex_lock(&lock);
        long was = *(volatile long *)sum;
        if (i % 64 == 0)
            weft_yield();
        *(volatile long *)sum = was + 1;
        pthread_mutex_unlock(&lock);
    }
    weft_waitgroup_done(wg);
}

struct counter {
    long *sum;
    int n;
};

static void *count_plain(void *arg)
{
    struct counter *c = arg;

    for (int i = 0; i < c->n; i++) {
        pthread_mutex_lock(&lock);
        ++*(volatile long *)c->sum;
        pthread_mutex_unlock(&lock);
    }
    return NULL;
}

TEST_ENV(posix, a_mutex_excludes_goroutines_and_threads, "WEFT_PROCS=2")
{
    weft_waitgroup wg = {0};
    long sum = 0;
    struct counter c = {&sum, 2000};
    pthread_t t;

    lock_init(PTHREAD_MUTEX_NORMAL);
    weft_waitgroup_add(&wg, 10);
    for (int i = 0; i < 10; i++)
        weft_go(count_locked, 500, &sum, &wg);
    REQUIRE(pthread_create(&t, NULL, count_plain, &c) == 0);
    weft_waitgroup_wait(&wg);
    pthread_join(t, NULL);
    EXPECT_EQ(sum, 7000);
    pthread_mutex_destroy(&lock);
}

/* Its thread sleeps, and it counts as asleep like any other. */
DEATH(posix, a_parked_holder_is_part_of_a_deadlock, 2, "all goroutines are asleep - deadlock!")
{
    weft_chan(int) never = weft_make(int);

    weft_yield();
    lock_init(PTHREAD_MUTEX_NORMAL);
    pthread_mutex_lock(&lock);
    (void)weft_recv(never);
}

static void end_locked(void)
{
    pthread_mutex_lock(&lock);
}

static void is_free(weft_waitgroup *wg)
{
    EXPECT(!weft__g()->tied);
    weft_yield();
    weft_waitgroup_done(wg);
}

TEST_ENV(posix, a_goroutine_that_ends_with_a_lock_leaves_no_other_tied, "WEFT_PROCS=1")
{
    weft_waitgroup wg = {0};

    weft_yield();
    lock_init(PTHREAD_MUTEX_NORMAL);
    weft_waitgroup_go(&wg, end_locked);
    weft_waitgroup_wait(&wg);
    weft_waitgroup_add(&wg, 20);
    for (int i = 0; i < 20; i++)
        weft_go(is_free, &wg);
    weft_waitgroup_wait(&wg);
    EXPECT_EQ(pthread_mutex_trylock(&lock), EBUSY);
    EXPECT(!weft__g()->tied);
}

/* ---- the other locks: each wait hands the only processor on ---- */

static pthread_rwlock_t rw;
static pthread_cond_t cond;
static pthread_mutex_t plain = PTHREAD_MUTEX_INITIALIZER;
static sem_t sem;
static mtx_t mtx;
static cnd_t cnd;
static _Atomic int turn;
static struct timespec soon, late;

static void times(void)
{
    clock_gettime(CLOCK_REALTIME, &soon);
    late = soon;
    late.tv_sec += 3600;
    soon.tv_nsec += 2000000;
    if (soon.tv_nsec >= 1000000000)
        soon.tv_sec++, soon.tv_nsec -= 1000000000;
}

/* Takes a lock, lets the other goroutine run into it, gives it back. */
#define HOLDER(name, take, give)                                                        \
    static void name(void)                                                              \
    {                                                                                   \
        EXPECT_EQ(take, 0);                                                             \
        atomic_store_explicit(&turn, 1, memory_order_relaxed);                          \
        weft_sleep(2 * WEFT_MS);                                                        \
        EXPECT_EQ(give, 0);                                                             \
    }
HOLDER(hold_mutex, pthread_mutex_lock(&plain), pthread_mutex_unlock(&plain))
HOLDER(hold_rw, pthread_rwlock_wrlock(&rw), pthread_rwlock_unlock(&rw))
HOLDER(hold_mtx, mtx_lock(&mtx), mtx_unlock(&mtx))

#define EXPECT_WAITS(holder, op)                                                        \
    do {                                                                                \
        atomic_store_explicit(&turn, 0, memory_order_relaxed);                          \
        weft_waitgroup others = {0};                                                    \
        weft_waitgroup_go(&others, holder);                                             \
        while (atomic_load_explicit(&turn, memory_order_relaxed) == 0)                  \
            weft_yield();                                                               \
        EXPECT_EQ(op, 0);                                                               \
        EXPECT(!weft__keep_holds());                                                    \
        weft_waitgroup_wait(&others);                                                   \
    } while (0)

TEST_ENV(posix, every_kind_of_lock_is_waited_for, "WEFT_PROCS=1")
{
    times();
    EXPECT_WAITS(hold_mutex, pthread_mutex_lock(&plain));
    pthread_mutex_unlock(&plain);
    EXPECT_WAITS(hold_mutex, pthread_mutex_timedlock(&plain, &late));
    pthread_mutex_unlock(&plain);
    if (!WEFT__TSAN) { /* gcc 12's does not know these: it would report the unlock */
        EXPECT_WAITS(hold_mutex, pthread_mutex_clocklock(&plain, CLOCK_REALTIME, &late));
        pthread_mutex_unlock(&plain);
    }
    pthread_rwlock_init(&rw, NULL);
    EXPECT_WAITS(hold_rw, pthread_rwlock_rdlock(&rw));
    pthread_rwlock_unlock(&rw);
    EXPECT_WAITS(hold_rw, pthread_rwlock_wrlock(&rw));
    pthread_rwlock_unlock(&rw);
    EXPECT_WAITS(hold_rw, pthread_rwlock_timedrdlock(&rw, &late));
    pthread_rwlock_unlock(&rw);
    EXPECT_WAITS(hold_rw, pthread_rwlock_timedwrlock(&rw, &late));
    pthread_rwlock_unlock(&rw);
    if (!WEFT__TSAN) {
        EXPECT_WAITS(hold_rw, pthread_rwlock_clockrdlock(&rw, CLOCK_REALTIME, &late));
        pthread_rwlock_unlock(&rw);
        EXPECT_WAITS(hold_rw, pthread_rwlock_clockwrlock(&rw, CLOCK_REALTIME, &late));
        pthread_rwlock_unlock(&rw);
    }
    pthread_rwlock_destroy(&rw);
    mtx_init(&mtx, mtx_timed);
    EXPECT_WAITS(hold_mtx, mtx_lock(&mtx));
    mtx_unlock(&mtx);
    EXPECT_WAITS(hold_mtx, mtx_timedlock(&mtx, &late));
    mtx_unlock(&mtx);
    mtx_destroy(&mtx);
    EXPECT(!weft__g()->tied);
}

static void give_up(weft_waitgroup *wg)
{
    struct timespec past = {1, 0};

    EXPECT_EQ(pthread_mutex_trylock(&plain), EBUSY);
    EXPECT_EQ(pthread_mutex_timedlock(&plain, &past), ETIMEDOUT);
    EXPECT_EQ(pthread_mutex_clocklock(&plain, CLOCK_MONOTONIC, &past), ETIMEDOUT);
    EXPECT_EQ(pthread_rwlock_tryrdlock(&rw), EBUSY);
    EXPECT_EQ(pthread_rwlock_trywrlock(&rw), EBUSY);
    EXPECT_EQ(pthread_rwlock_timedrdlock(&rw, &past), ETIMEDOUT);
    EXPECT_EQ(pthread_rwlock_timedwrlock(&rw, &past), ETIMEDOUT);
    EXPECT_EQ(mtx_trylock(&mtx), thrd_busy);
    EXPECT_EQ(mtx_timedlock(&mtx, &past), thrd_timedout);
    EXPECT_EQ(sem_timedwait(&sem, &past), -1);
    EXPECT_EQ(errno, ETIMEDOUT);
    EXPECT(!weft__g()->tied);
    weft_waitgroup_done(wg);
}

TEST_ENV(posix, a_lock_that_was_not_taken_ties_nobody, "WEFT_PROCS=2")
{
    weft_waitgroup wg = {0};

    weft_yield();
    pthread_rwlock_init(&rw, NULL);
    mtx_init(&mtx, mtx_timed);
    sem_init(&sem, 0, 0);
    pthread_mutex_lock(&plain);
    pthread_rwlock_wrlock(&rw);
    mtx_lock(&mtx);
    weft_waitgroup_add(&wg, 1);
    weft_go(give_up, &wg);
    weft_waitgroup_wait(&wg);
    pthread_mutex_unlock(&plain);
    pthread_rwlock_unlock(&rw);
    mtx_unlock(&mtx);
    EXPECT(!weft__g()->tied);
    sem_destroy(&sem);
}

static void wake_all_ways(int what)
{
    pthread_mutex_lock(&plain);
    atomic_store_explicit(&turn, 1, memory_order_relaxed);
    pthread_cond_broadcast(&cond);
    pthread_mutex_unlock(&plain);
    mtx_lock(&mtx);
    cnd_broadcast(&cnd);
    mtx_unlock(&mtx);
    if (what == 5)
        sem_post(&sem);
}

TEST_ENV(posix, conditions_and_semaphores_hand_the_processor_on, "WEFT_PROCS=1")
{
    times();
    pthread_cond_init(&cond, NULL);
    mtx_init(&mtx, mtx_plain);
    cnd_init(&cnd);
    sem_init(&sem, 0, 0);
    for (int what = 0; what < 8; what++) {
        atomic_store_explicit(&turn, 0, memory_order_relaxed);
        weft_yield();
        EXPECT(weft__keep_holds());
        if (what < 3)
            pthread_mutex_lock(&plain);
        else if (what < 5)
            mtx_lock(&mtx);
        weft_waitgroup others = {0};
        weft_waitgroup_go(&others, wake_all_ways, what);
        do {
            switch (what) {
            case 0: EXPECT_EQ(pthread_cond_wait(&cond, &plain), 0); break;
            case 1: EXPECT_EQ(pthread_cond_timedwait(&cond, &plain, &late), 0); break;
            case 2: EXPECT_EQ(pthread_cond_clockwait(&cond, &plain, CLOCK_REALTIME, &late), 0); break;
            case 3: EXPECT_EQ(cnd_wait(&cnd, &mtx), 0); break;
            case 4: EXPECT_EQ(cnd_timedwait(&cnd, &mtx, &late), 0); break;
            case 5: EXPECT_EQ(sem_wait(&sem), 0); break;
            case 6: EXPECT_EQ(sem_timedwait(&sem, &soon), -1); break;
            case 7: EXPECT_EQ(sem_clockwait(&sem, CLOCK_REALTIME, &soon), -1); break;
            }
        } while (what < 5 && atomic_load_explicit(&turn, memory_order_relaxed) == 0);
        EXPECT(!weft__keep_holds());
        if (what < 3)
            pthread_mutex_unlock(&plain);
        else if (what < 5)
            mtx_unlock(&mtx);
        weft_waitgroup_wait(&others);
    }
    sem_post(&sem);
    weft_yield();
    EXPECT_EQ(sem_wait(&sem), 0);
    EXPECT(weft__keep_holds());
    sem_destroy(&sem);
}

static void *nap(void *arg)
{
    usleep(3000);
    return arg;
}

static int nap_c11(void *arg)
{
    usleep(3000);
    return *(int *)arg;
}

TEST_ENV(posix, joining_a_thread_hands_the_processor_on, "WEFT_PROCS=1")
{
    pthread_t t;
    thrd_t c;
    void *result;
    int seven = 7, got = 0;

    weft_yield();
    REQUIRE(pthread_create(&t, NULL, nap, &seven) == 0);
    EXPECT_EQ(pthread_join(t, &result), 0);
    EXPECT(!weft__keep_holds());
    EXPECT(result == &seven);
    if (WEFT__TSAN) /* it does not know of C11's threads */
        return;
    weft_yield();
    REQUIRE(thrd_create(&c, nap_c11, &seven) == thrd_success);
    EXPECT_EQ(thrd_join(c, &got), thrd_success);
    EXPECT(!weft__keep_holds());
    EXPECT_EQ(got, 7);
}

static void meet(pthread_barrier_t *b, weft_waitgroup *wg)
{
    int r = pthread_barrier_wait(b);
    EXPECT(r == 0 || r == PTHREAD_BARRIER_SERIAL_THREAD);
    weft_waitgroup_done(wg);
}

TEST_ENV(posix, goroutines_meet_at_a_barrier_on_one_processor, "WEFT_PROCS=1")
{
    pthread_barrier_t b;
    weft_waitgroup wg = {0};

    pthread_barrier_init(&b, NULL, 10);
    weft_waitgroup_add(&wg, 10);
    for (int i = 0; i < 10; i++)
        weft_go(meet, &b, &wg);
    weft_waitgroup_wait(&wg);
    pthread_barrier_destroy(&b);
}

/* ---- signals, fork ---- */

static _Atomic int kicks;

static void on_kick(int sig)
{
    (void)sig;
    atomic_fetch_add_explicit(&kicks, 1, memory_order_relaxed);
    int saved = errno;
    ssize_t n = write(-1, "x", 1); /* a call of ours in a handler, on a goroutine */
    (void)n;
    errno = saved;
}

static _Atomic int kicked_out;

static void *kicker(void *arg)
{
    while (!atomic_load_explicit(&kicked_out, memory_order_relaxed)) {
        pthread_kill(*(pthread_t *)arg, SIGUSR1);
        usleep(1000);
    }
    return NULL;
}

TEST_ENV(posix, a_signal_interrupts_as_posix_has_it, "WEFT_PROCS=2")
{
    pthread_t me = pthread_self(), t;
    struct sigaction sa = {.sa_handler = on_kick};
    char c;
    int fd[2];

    EXPECT_EQ(weft_goid(), 1); /* and so on the main thread still, which the kicks are for */
    sigaction(SIGUSR1, &sa, NULL);
    REQUIRE(pipe(fd) == 0);
    REQUIRE(pthread_create(&t, NULL, kicker, &me) == 0);
    EXPECT_EQ(read(fd[0], &c, 1), -1);
    EXPECT_EQ(errno, EINTR);
    atomic_store_explicit(&kicked_out, 1, memory_order_relaxed);
    EXPECT(atomic_load_explicit(&kicks, memory_order_relaxed) > 0);
    pthread_join(t, NULL);
    close(fd[0]);
    close(fd[1]);
}

/* In a forked child there are no other threads: waits are the kernel's alone. */
TEST_ENV(posix, a_forked_child_can_wait, "WEFT_PROCS=2")
{
    int fd[2], back[2], status = -1;
    char c;

    REQUIRE(pipe(fd) == 0 && pipe(back) == 0);
    weft_yield();
    EXPECT(weft__keep_holds());
    pid_t pid = fork();
    if (pid == 0) {
        bool ok = write(back[1], "r", 1) == 1 && read(fd[0], &c, 1) == 1 && c == 'g' && !weft__keep_holds();
        _exit(ok ? 7 : 1);
    }
    EXPECT_EQ(read(back[0], &c, 1), 1);
    usleep(2000);
    EXPECT_EQ(write(fd[1], "g", 1), 1);
    EXPECT_EQ(waitpid(pid, &status, 0), pid);
    EXPECT(WIFEXITED(status) && WEXITSTATUS(status) == 7);
    for (int i = 0; i < 2; i++)
        close(fd[i]), close(back[i]);
}

/* ---- what escapes, and checked calls ---- */

static void feed(int fd, _Atomic int *ran)
{
    for (int i = 0; i < 3; i++)
        weft_yield();
    atomic_store_explicit(ran, 1, memory_order_relaxed);
    EXPECT_EQ(write(fd, "line\n", 5), 5);
}

/* stdio reads past our read: the monitor sees the blocked thread and hands the processor on. */
TEST_ENV(posix, others_go_on_while_stdio_blocks, "WEFT_PROCS=1")
{
    _Atomic int ran = 0;
    char line[16];
    int fd[2];

    REQUIRE(pipe(fd) == 0);
    FILE *f = fdopen(fd[0], "r");
    weft_waitgroup others = {0};
    weft_waitgroup_go(&others, feed, fd[1], &ran);
    EXPECT(fgets(line, sizeof line, f) != NULL);
    EXPECT_STR(line, "line\n");
    EXPECT_EQ(atomic_load_explicit(&ran, memory_order_relaxed), 1);
    weft_waitgroup_wait(&others);
    fclose(f);
    close(fd[1]);
}

ssize_t __read_chk(int fd, void *buf, size_t n, size_t room);
ssize_t __recv_chk(int fd, void *buf, size_t n, size_t room, int flags);
ssize_t __recvfrom_chk(int fd, void *buf, size_t n, size_t room, int flags, struct sockaddr *from, socklen_t *len);
int __poll_chk(struct pollfd *fds, nfds_t n, int timeout, size_t room);
int __ppoll_chk(struct pollfd *fds, nfds_t n, const struct timespec *timeout, const sigset_t *mask, size_t room);

static void say_on(int fd)
{
    EXPECT_EQ(write(fd, "hi", 2), 2);
}

TEST_ENV(posix, checked_calls_hand_the_processor_on, "WEFT_PROCS=1")
{
    char buf[8];
    int fd[2];
    struct timespec hour = {3600, 0};

    REQUIRE(socketpair(AF_UNIX, SOCK_STREAM, 0, fd) == 0);
    for (int how = 0; how < 5; how++) {
        struct pollfd p = {.fd = fd[0], .events = POLLIN};
        weft_waitgroup others = {0};
        weft_yield();
        EXPECT(weft__keep_holds());
        weft_waitgroup_go(&others, say_on, fd[1]);
        switch (how) {
        case 0: EXPECT_EQ(__read_chk(fd[0], buf, 2, 8), 2); break;
        case 1: EXPECT_EQ(__recv_chk(fd[0], buf, 2, 8, 0), 2); break;
        case 2: EXPECT_EQ(__recvfrom_chk(fd[0], buf, 2, 8, 0, NULL, NULL), 2); break;
        case 3: EXPECT_EQ(__poll_chk(&p, 1, -1, sizeof p), 1); break;
        case 4: EXPECT_EQ(__ppoll_chk(&p, 1, &hour, NULL, sizeof p), 1); break;
        }
        EXPECT(!weft__keep_holds());
        if (how > 2)
            EXPECT_EQ(read(fd[0], buf, 8), 2);
        weft_waitgroup_wait(&others);
    }
    close(fd[0]);
    close(fd[1]);
}

DEATH(posix, a_checked_call_stops_an_overflow, -SIGABRT, "buffer overflow detected")
{
    char buf[4];

    (void)!__read_chk(0, buf, 8, sizeof buf);
}
