/*
 * test_taker_report.c - dumps and lists of goroutines show those that their waiters have queued (sched/taker.c) as runnable.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <sys/random.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "taker_lines.h"

static void waits_for_bytes(int i)
{
    (void)weft_recv(to[i]);
}

static void ten_wait(void)
{
    make_lines(10);
    for (int i = 0; i < 10; i++)
        weft_go(waits_for_bytes, i);
    test_settle();
}

#define LINE_ "[^\n]+\n"
#define TEN_IN_A_DUMP                                          \
    "panic: enough\n\ngoroutine 1 \\[running\\]:\n(" LINE_ ")+"   \
    "(\ngoroutine [0-9]+ \\[runnable\\]:\n(" LINE_ ")*waits_for_bytes\\(\\.\\.\\.\\)\n(" LINE_ ")+){10}$"
#define TEN_IN_A_LIST "^(goroutine [0-9]+ \\[runnable\\]: waits_for_bytes, " LINE_ "){10}$"

/* The last is in the next slot, the others lie in the queue. */
DEATH_ENV(taker, the_dump_shows_them_as_runnable, "WEFT_PROCS=1", 2, TEN_IN_A_DUMP)
{
    ten_wait();
    send_to_all(10, 1);
    weft_panic("enough");
}

WEFT_TEST_REG(taker, the_list_of_leaks_shows_them_as_runnable, 0, 0, TEN_IN_A_LIST, "WEFT_LEAKS=1")
{
    weft_procs(1);
    ten_wait();
    send_to_all(10, 1);
    free_lines(10);
    exit(0);
}

static void nap(weft_dur ns)
{
    (void)nanosleep(&(struct timespec){ns / WEFT_SEC, ns % WEFT_SEC}, NULL);
}

static _Atomic bool threads_wait;

/* The C library's, which a worker calls before it is one of those that are known. */
ssize_t getrandom(void *at, size_t n, unsigned flags)
{
    while (atomic_load(&threads_wait))
        nap(WEFT_MS);
    return syscall(SYS_getrandom, at, n, flags);
}

/* The monitor takes the processor away with all that are queued there, and gives it to a thread that does not come. */
DEATH_ENV(taker, the_dump_shows_those_behind_a_worker_that_has_not_begun, "WEFT_PROCS=1", 2, TEN_IN_A_DUMP)
{
    ten_wait();
    weft__lock(&weft__sched.lock);
    weft__sched.idle_m = NULL; /* workers that a slow machine has brought about already */
    weft__unlock(&weft__sched.lock);
    atomic_store(&threads_wait, true);
    send_to_all(10, 1);
    while (atomic_load(&weft__m()->p))
        ;
    weft_panic("enough");
}

static _Atomic bool claimed;

/* As the monitor does where others are idle. */
static void *claim_for_a_while(void *m)
{
    while (!weft__claim(m))
        nap(WEFT_MS / 10);
    atomic_store(&claimed, true);
    nap(5 * WEFT_MS);
    weft__unclaim(m);
    return NULL;
}

WEFT_TEST_REG(taker, a_list_waits_for_who_has_the_queue_just_now, 0, 0, TEN_IN_A_LIST, "WEFT_LEAKS=1")
{
    pthread_t t;

    weft_procs(1);
    ten_wait();
    send_to_all(10, 1);
    free_lines(10);
    REQUIRE(pthread_create(&t, NULL, claim_for_a_while, weft__m()) == 0 && pthread_detach(t) == 0);
    while (!atomic_load(&claimed)) /* however long that thread waits for a CPU: who switches keeps its processor */
        weft__p_tick(atomic_load(&weft__m()->p));
    exit(0);
}

enum { TRAFFIC = WEFT__TSAN ? 2 : 8, DUMPS = WEFT__TSAN ? 3 : 15 }; /* groups; the tool takes seconds for a report */
static weft_chan(int) all_there; /* closed then */

static void get_for_ever(int i)
{
    for (long v = 0;; v++)
        if (weft_recv(to[i]) != v)
            abort();
}

/* Those of its group, again and again; after so many rounds it panics. */
static void send_for_ever(int group, int rounds)
{
    for (long v = 0;; v++) {
        for (int i = 0; i < EACH; i++)
            weft_send(to[group * EACH + i], v);
        if (v == rounds) {
            weft_recv(all_there); /* or some have not been made yet */
            weft_panic("now");
        }
    }
}

static void traffic(int rounds)
{
    all_there = weft_make(int);
    make_lines(TRAFFIC * EACH);
    for (int i = 0; i < TRAFFIC * EACH; i++)
        weft_go(get_for_ever, i);
    for (int i = 0; i < TRAFFIC; i++)
        weft_go(send_for_ever, i, i == 0 ? rounds : -1);
    weft_close(all_there);
    weft_recv(weft_make(long));
}

DEATH_ENV(taker, a_dump_comes_in_the_midst_of_it, "WEFT_PROCS=4", 2, "panic: now\n\ngoroutine [0-9]+ \\[running\\]:\n")
{
    const char *rounds = getenv("ROUNDS");
    traffic(rounds ? atoi(rounds) : 50);
}

/* How many goroutines the report of the test above shows, or -1 where it does not end as it should; text gets its last line. */
static int listed(int rounds, char text[512])
{
    char self[256] = "", command[400];
    int n = 0;

    REQUIRE(readlink("/proc/self/exe", self, sizeof self - 1) > 0);
    snprintf(command, sizeof command, "ROUNDS=%d $WEFT_TEST_EXEC '%s' --run taker.a_dump_comes_in_the_midst_of_it 2>&1", rounds, self);
    FILE *f = popen(command, "r");
    REQUIRE(f != NULL);
    while (fgets(text, 512, f))
        n += strncmp(text, "goroutine ", 10) == 0;
    int status = pclose(f);
    return WIFEXITED(status) && WEXITSTATUS(status) == 2 ? n : -1;
}

/* One thread is stopped here, another there: nobody may wait for them in the report's way. */
TEST(taker, a_dump_at_any_time_lists_everybody)
{
    char last[512] = "";
    for (int i = 0; i < DUMPS; i++) {
        int n = listed(i < 5 ? i : i * 97, last);
        if (n != 1 + TRAFFIC * EACH + TRAFFIC)
            weft_test_fail(__FILE__, __LINE__, "dump %d lists %d, and ends: %s", i, n, last);
    }
}
