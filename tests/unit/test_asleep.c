/*
 * test_asleep.c - who seems to sleep at each look for a deadlock, and never does (sched/idle.c, D1).
 *
 * A goroutine tied to a thread and a thread of the program take turns: one of them runs at any time. The look counts both, one
 * after the other. Here it is held up between, so that the turn changes each time and it finds each of them asleep. And the list of
 * threads that it reads may leave one out.
 */
#include <dirent.h>
#include <dlfcn.h>
#include <pthread.h>
#include <stdatomic.h>
#include <time.h>
#include <weft/weft.h>

#include "sched/sched_int.h"
#include "weft_test.h"

static weft_chan(int) to_tied, to_thread;
static _Atomic int thread_turns, tied_turns; /* that may end */

static void nap(weft_dur ns)
{
    (void)nanosleep(&(struct timespec){ns / WEFT_SEC, ns % WEFT_SEC}, NULL);
}

static bool looks(void)
{
    return weft__sys_tid() == atomic_load(&weft__sched.mon_tid);
}

static void wait_until(_Atomic uint32_t *n, uint32_t is)
{
    while (atomic_load(n) != is)
        nap(WEFT_MS / 10);
}

/* A look asks each timer, after it has seen that no tied goroutine runs and before it counts the threads that are parked. */
static bool nobody_waits(struct weft__timer *t)
{
    (void)t;
    if (looks() && atomic_load(&thread_turns) < 2 && atomic_load(&thread_turns) == atomic_load(&tied_turns)) {
        atomic_fetch_add(&thread_turns, 1);
        wait_until(&weft__sched.foreign_parked, 1);
    }
    return true;
}

/* The C library's, which the first look ends with. */
int closedir(DIR *d)
{
    int (*next)(DIR *) = (int (*)(DIR *))dlsym(RTLD_NEXT, "closedir");

    if (looks() && atomic_load(&thread_turns) == 1 && atomic_load(&tied_turns) == 0) {
        atomic_store(&tied_turns, 1);
        wait_until(&weft__sched.foreign_parked, 0);
        wait_until(&weft__sched.nless, 0);
    }
    return next(d);
}

static void *take_turns(void *arg)
{
    for (int i = 0; i < 2; i++) {
        while (atomic_load(&thread_turns) == i)
            nap(WEFT_MS / 10);
        weft_send(to_tied, i);
        weft_recv(to_thread);
    }
    return arg;
}

static void fires(struct weft__timer *t)
{
    (void)t;
}

TEST(asleep, a_tied_goroutine_and_a_thread_that_take_turns_are_no_deadlock)
{
    static const struct weft__timer_kind kind = {.fn = fires, .asleep = nobody_waits};
    static struct weft__timer timer = {.use = WEFT__TIMER_TEST};
    pthread_t t;

    to_tied = weft_make(int);
    to_thread = weft_make(int);
    weft__timer_know(WEFT__TIMER_TEST, &kind);
    weft__timer_start(&timer, weft__now() + 3600 * WEFT_SEC);
    weft_lock_thread();
    REQUIRE(pthread_create(&t, NULL, take_turns, NULL) == 0);
    EXPECT_EQ(weft_recv(to_tied), 0);
    while (atomic_load(&tied_turns) == 0)
        nap(WEFT_MS / 10);
    weft_send(to_thread, 0);
    EXPECT_EQ(weft_recv(to_tied), 1);
    nap(50 * WEFT_MS); /* the verdict */
    weft_send(to_thread, 1);
    REQUIRE(pthread_join(t, NULL) == 0);
    weft_unlock_thread();
    EXPECT(weft__timer_stop(&timer));
    weft_free(to_tied);
    weft_free(to_thread);
}

/* ---- a list that is short by one ---- */

static _Atomic bool leaves_out;

/* The C library's. The kernel's list is so while another thread ends. */
struct dirent *readdir(DIR *d)
{
    struct dirent *(*next)(DIR *) = (struct dirent * (*)(DIR *)) dlsym(RTLD_NEXT, "readdir");
    struct dirent *e = next(d);

    if (e && e->d_name[0] != '.' && atomic_exchange(&leaves_out, false))
        return next(d);
    return e;
}

static void *sends_late(void *arg)
{
    while (atomic_load(&leaves_out))
        nap(WEFT_MS);
    nap(50 * WEFT_MS); /* the verdict */
    weft_send(to_tied, 5);
    return arg;
}

TEST(asleep, a_thread_that_the_list_leaves_out_may_still_send)
{
    pthread_t t;

    to_tied = weft_make(int);
    atomic_store(&leaves_out, true);
    REQUIRE(pthread_create(&t, NULL, sends_late, NULL) == 0);
    EXPECT_EQ(weft_recv(to_tied), 5);
    REQUIRE(pthread_join(t, NULL) == 0);
    weft_free(to_tied);
}
