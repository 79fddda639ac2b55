/* Fatal errors: no goroutine can recover from them; message, every goroutine, exit status 2. */
#include <pthread.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>
#include <weft/weft.h>

#include "arch/fiber.h"
#include "settle.h"
#include "weft_test.h"

#define NOINLINE __attribute__((noinline))

/* ThreadSanitizer keeps fault signals for itself, delays others while a thread computes or sleeps, and gcc's holds 8,128
 * goroutines; AddressSanitizer keeps the faults that are not overflows. */
#if WEFT__TSAN
#define NO_FAULTS 1
#elif WEFT__ASAN
#define NO_OTHER_FAULTS 1
#endif

static NOINLINE void receive(weft_chan(int) ch)
{
    weft_recv(ch);
    fprintf(stderr, "received\n");
}

static NOINLINE void send_one(weft_chan(int) ch)
{
    weft_send(ch, 1);
    fprintf(stderr, "sent\n");
}

static NOINLINE void lock_twice(weft_mutex *m)
{
    weft_mutex_lock(m);
    weft_mutex_lock(m);
    fprintf(stderr, "locked\n");
}

static NOINLINE void wait_group(weft_waitgroup *wg)
{
    weft_waitgroup_wait(wg);
    fprintf(stderr, "waited\n");
}

static NOINLINE void select_two(weft_chan(int) a, weft_chan(int) b)
{
    int v;
    switch (weft_select(weft_on_recv(a, &v), weft_on_recv(b, &v))) {
    default:
        fprintf(stderr, "selected\n");
    }
}

DEATH(death_fatal, deadlock, 2,
      "^fatal error: all goroutines are asleep - deadlock!\n\ngoroutine 1 \\[chan receive\\]:\nreceive\\(\\.\\.\\.\\)\n"
      "\t.*test_death_fatal\\.c:[0-9]+ \\+0x[0-9a-f]+\ntest_death_fatal_deadlock\\(\\.\\.\\.\\)\n")
{
    weft_chan(int) ch = weft_make(int);
    receive(ch);
    fprintf(stderr, "received\n");
}

DEATH(death_fatal, deadlock_names_every_goroutines_state, 2,
      "deadlock!\n\ngoroutine 1 \\[chan receive\\]:\n(.*\n)*\ngoroutine [0-9]+ \\[chan send\\]:\nsend_one(.*\n)*"
      "\ngoroutine [0-9]+ \\[sync\\.Mutex\\.Lock\\]:\n(.*\n)*lock_twice(.*\n)*"
      "\ngoroutine [0-9]+ \\[sync\\.WaitGroup\\.Wait\\] \"group\":\n(.*\n)*wait_group(.*\n)*"
      "\ngoroutine [0-9]+ \\[select\\]:\n(.*\n)*select_two(.*\n)*"
      "created by test_death_fatal_deadlock_names_every_goroutines_state in goroutine 1\n")
{
    weft_chan(int) a = weft_make(int), b = weft_make(int), c = weft_make(int);
    static weft_mutex m;
    static weft_waitgroup wg;

    weft_waitgroup_add(&wg, 1);
    weft_go(send_one, a);
    weft_go(lock_twice, &m);
    weft_go_named("group", wait_group, &wg);
    weft_go(select_two, b, c);
    receive(b);
}

DEATH(death_fatal, deadlock_flushes_stdout, 2, "^two\nfatal error: all goroutines are asleep - deadlock!\n")
{
    dup2(STDERR_FILENO, STDOUT_FILENO);
    setvbuf(stdout, NULL, _IOFBF, 65536);
    printf("two\n");
    weft_chan(int) ch = NULL;
    weft_recv(ch);
}

/* ---- a deadlock that the end of one of the program's own threads leaves behind ---- */

static void *end_unseen(void *arg)
{
    (void)arg;
    usleep(30000);
    return NULL;
}

/* The library has never heard of this thread, so that nothing tells of its end. */
DEATH(death_fatal, deadlock_once_a_thread_that_never_called_has_ended, 2,
      "^fatal error: all goroutines are asleep - deadlock!\n\ngoroutine 1 \\[chan receive\\]:\nreceive\\(")
{
    pthread_t t;
    pthread_create(&t, NULL, end_unseen, NULL);
    receive(weft_make(int));
}

static void *end_seen(void *arg)
{
    weft_yield();
    return end_unseen(arg);
}

DEATH(death_fatal, deadlock_once_a_thread_that_called_has_ended, 2,
      "^fatal error: all goroutines are asleep - deadlock!\n\ngoroutine 1 \\[chan receive\\]:\nreceive\\(")
{
    pthread_t t;
    pthread_create(&t, NULL, end_seen, NULL);
    receive(weft_make(int));
}

static void end_locked(void)
{
    weft_lock_thread();
}

DEATH(death_fatal, deadlock_once_a_locked_goroutine_has_ended, 2,
      "^fatal error: all goroutines are asleep - deadlock!\n\ngoroutine 1 \\[chan receive\\]:\nreceive\\(")
{
    weft_go(end_locked);
    receive(weft_make(int));
}

DEATH(death_fatal, main_goexit_while_locked_then_nobody, 2,
      "^fatal error: no goroutines \\(main called runtime\\.Goexit\\) - deadlock!\n")
{
    weft_lock_thread();
    weft_goexit();
}

/* ---- a signal to a worker ---- */

static void raise_term(void)
{
    weft_lock_thread();
    raise(SIGTERM);
    fprintf(stderr, "still there\n");
}

DEATH(death_fatal, raise_on_a_worker_ends_the_process, -SIGTERM, "^$")
{
    weft_yield();
    weft_go(raise_term);
    weft_sleep(10 * WEFT_SEC);
}

DEATH(death_fatal, receive_from_nil_channel, 2, "deadlock!\n\ngoroutine 1 \\[chan receive \\(nil chan\\)\\]:\n")
{
    weft_chan(int) ch = NULL;
    weft_recv(ch);
}

DEATH(death_fatal, main_goexit_then_nobody, 2,
      "^fatal error: no goroutines \\(main called runtime\\.Goexit\\) - deadlock!\n")
{
    weft_goexit();
}

static void works(void)
{
    weft_sleep(5 * WEFT_MS);
    fprintf(stderr, "the other went on\n");
}

DEATH(death_fatal, main_goexit_lets_the_others_finish, 2,
      "^the other went on\nfatal error: no goroutines \\(main called runtime\\.Goexit\\) - deadlock!\n")
{
    weft_go(works);
    weft_goexit();
}

static void say(const char *s)
{
    fprintf(stderr, "%s\n", s);
}

DEATH(death_fatal, main_goexit_runs_deferred_calls, 2, "^deferred\nfatal error: no goroutines")
{
    weft_defer(say, "deferred");
    weft_goexit();
}

#if !WEFT__TSAN /* threads are not asked for their stack by a signal then: running.c */
DEATH(death_fatal, deadlock_of_a_locked_goroutine_shows_its_wait, 2,
      "deadlock!\n\ngoroutine 1 \\[chan receive, locked to thread\\]:\nreceive")
{
    weft_lock_thread();
    receive(weft_make(int));
}
#endif

/* SIGALRM ends the process: nothing was reported before. */
DEATH(death_fatal, a_timeout_for_ever_is_no_deadlock, -SIGALRM, "^$")
{
    alarm(1);
    weft_select(weft_on_timeout(INT64_MAX), weft_on_recv(weft_make(int), NULL));
}

DEATH(death_fatal, a_sleep_for_ever_is_no_deadlock, -SIGALRM, "^$")
{
    alarm(1);
    weft_sleep(INT64_MAX);
}

DEATH(death_fatal, main_goexit_then_the_others_deadlock, 2,
      "^fatal error: all goroutines are asleep - deadlock!\n\ngoroutine [0-9]+ \\[chan receive\\]:\nreceive")
{
    weft_go(receive, weft_make(int));
    weft_goexit();
}

DEATH(death_fatal, unlock_of_unlocked_mutex, 2,
      "^fatal error: sync: unlock of unlocked mutex\n\ngoroutine 1 \\[running\\]:\n(.*\n)*test_death_fatal_unlock_of_unlocked_mutex")
{
    weft_mutex m = {0};
    weft_mutex_unlock(&m);
    fprintf(stderr, "unlocked\n");
}

static void unlocks(weft_mutex *m)
{
    weft_mutex_unlock(m);
}

DEATH(death_fatal, is_not_stopped_by_try, 2, "^fatal error: sync: unlock of unlocked mutex\n")
{
    weft_mutex m = {0};
    weft_try(unlocks, &m);
    fprintf(stderr, "stopped\n");
}

DEATH(death_fatal, go_of_nil_func, 2, "^fatal error: go of nil func value\n\ngoroutine 1 \\[running\\]:\n")
{
    void (*f)(int) = NULL;
    weft_go(f, 1);
}

/* ---- stack overflow ---- */

#ifndef NO_FAULTS
static NOINLINE int recurse(int n)
{
    volatile char b[100];
    b[n % 100] = (char)n;
    return n < 0 ? 0 : recurse(n + 1) + b[0];
}

static NOINLINE void overflows(void)
{
    fprintf(stderr, "%d\n", recurse(0));
}

DEATH(death_fatal, stack_overflow, 2,
      "^weft: goroutine stack exceeds [0-9]+ KiB limit\nfatal error: stack overflow\n\ngoroutine [0-9]+ \\[running\\]:\n"
      "recurse\\(\\.\\.\\.\\)\n(.*\n)*\\.\\.\\.[0-9]+ frames elided\\.\\.\\.\n(.*\n)*overflows\\(\\.\\.\\.\\)\n(.*\n)*"
      "created by test_death_fatal_stack_overflow in goroutine 1\n\t.*test_death_fatal\\.c:[0-9]+\n(.*\n)*"
      "\ngoroutine 1 \\[(chan receive|running|runnable)\\]:\n(.*\n)*main\\(")
{
    weft_go(overflows);
    receive(weft_make(int));
}

static NOINLINE int big_frame(int n)
{
    volatile char b[8000];
    for (size_t i = sizeof b; i-- > 0;)
        b[i] = (char)n;
    return n < 0 ? 0 : big_frame(n + 1) + b[n % 8000];
}

static void overflows_by_big_frames(void)
{
    fprintf(stderr, "%d\n", big_frame(0));
}

DEATH(death_fatal, stack_overflow_by_large_frames, 2, "^weft: goroutine stack exceeds [0-9]+ KiB limit\nfatal error: stack overflow\n")
{
    weft_go(overflows_by_big_frames);
    receive(weft_make(int));
}

DEATH(death_fatal, stack_overflow_of_main, 2,
      "^weft: goroutine stack exceeds [0-9]+ KiB limit\nfatal error: stack overflow\n\ngoroutine 1 \\[running\\]:\nrecurse")
{
    weft_yield();
    overflows();
}

static void *thread_overflows(void *arg)
{
    weft_yield();
    overflows();
    return arg;
}

DEATH(death_fatal, stack_overflow_of_a_thread_of_the_program, 2,
      "^weft: goroutine stack exceeds [0-9]+ KiB limit\nfatal error: stack overflow\n\ngoroutine [0-9]+ \\[running\\]:\nrecurse")
{
    pthread_t t;
    pthread_create(&t, NULL, thread_overflows, NULL);
    pthread_join(t, NULL);
}

static int compare_overflows(const void *a, const void *b)
{
    (void)a, (void)b;
    return recurse(0);
}

static void overflows_in_qsort(void)
{
    int v[4] = {4, 3, 2, 1};
    qsort(v, 4, sizeof v[0], compare_overflows);
}

DEATH(death_fatal, stack_overflow_below_the_c_library, 2, "fatal error: stack overflow\n(.*\n)*overflows_in_qsort\\(")
{
    weft_go(overflows_in_qsort);
    receive(weft_make(int));
}

/* ---- other signals ---- */

#ifndef NO_OTHER_FAULTS
static NOINLINE void touches(void)
{
    static int *volatile nowhere = (int *)16;
    *(volatile int *)nowhere = 1;
}

DEATH(death_fatal, segmentation_fault_says_which_goroutine, -SIGSEGV,
      "^weft: SIGSEGV: segmentation violation code=1 addr=0x10 pc=0x[0-9a-f]+\n\ngoroutine [0-9]+ \\[running\\]:\n"
      "touches\\(\\.\\.\\.\\)\n(.*\n)*created by test_death_fatal_segmentation_fault_says_which_goroutine in goroutine 1\n")
{
    weft_go(touches);
    receive(weft_make(int));
}

static void own_handler(int sig)
{
    static const char s[] = "own handler\n";
    (void)!write(STDERR_FILENO, s, sizeof s - 1);
    _exit(sig == SIGSEGV ? 3 : 4);
}

DEATH(death_fatal, a_handler_set_before_the_start_gets_other_faults, 3, "^own handler\n$")
{
    struct sigaction sa = {.sa_handler = own_handler, .sa_flags = SA_ONSTACK};
    sigaction(SIGSEGV, &sa, NULL);
    weft_go(touches);
    receive(weft_make(int));
}
#endif /* NO_OTHER_FAULTS */

static void quit_when_all_are_parked(void)
{
    test_settle();
    kill(getpid(), SIGQUIT);
    weft_sleep(60 * WEFT_MIN);
}

DEATH(death_fatal, sigquit_dumps_every_goroutine, 2,
      "^SIGQUIT: quit\n\ngoroutine 1 \\[sleep\\]:\n(.*\n)*\ngoroutine [0-9]+ \\[chan receive\\] \"two\":\nreceive\\(\\.\\.\\.\\)\n")
{
    weft_go_named("two", receive, weft_make(int));
    weft_go(quit_when_all_are_parked);
    weft_sleep(60 * WEFT_MIN);
}

static _Atomic int begun;

static NOINLINE void blocks(void)
{
    struct timespec t = {.tv_sec = 3600};
    atomic_fetch_add(&begun, 1);
    while (nanosleep(&t, &t) != 0) /* the dump's signal interrupts it */
        continue;
    fprintf(stderr, "slept\n");
}

static void spins(void)
{
    atomic_fetch_add(&begun, 1);
    for (;;)
        __asm__ volatile("");
}

static void quit_when(_Atomic int *n)
{
    while (atomic_load(n) == 0)
        weft_sleep(WEFT_MS);
    kill(getpid(), SIGQUIT);
    weft_sleep(60 * WEFT_MIN);
}

/* A line where libdw finds it, or the place in the file: the trace is what these look at. */
#define HERE "test_death_fatal(\\.c:[0-9]+|\\(\\+0x[0-9a-f]+\\))"

DEATH(death_fatal, sigquit_shows_the_stacks_of_threads_that_wait_in_the_kernel, 2,
      "^SIGQUIT: quit\n(.*\n)*goroutine [0-9]+ \\[(running|syscall)\\]:\n(.*\n)*blocks\\(\\.\\.\\.\\)\n\t.*" HERE " ")
{
    weft_go(blocks);
    quit_when(&begun);
}

static void *thread_receives(void *ch)
{
    receive(ch);
    return NULL;
}

DEATH(death_fatal, sigquit_shows_parked_threads_of_the_program, 2,
      "^SIGQUIT: quit\n(.*\n)*goroutine [0-9]+ \\[chan receive\\]:\nreceive\\((.*\n)*thread_receives\\(\\.\\.\\.\\)\n")
{
    pthread_t t;
    pthread_create(&t, NULL, thread_receives, weft_make(int));
    while (atomic_load(&weft__sched.foreign_parked) == 0)
        weft_sleep(WEFT_MS);
    kill(getpid(), SIGQUIT);
    weft_sleep(60 * WEFT_MIN);
}

DEATH(death_fatal, sigquit_works_while_goroutines_compute, 2,
      "^SIGQUIT: quit\n(.*\n)*goroutine [0-9]+ \\[running\\]:\nspins\\(\\.\\.\\.\\)\n\t.*" HERE " .*\n"
      "created by test_death_fatal_sigquit_works_while_goroutines_compute in goroutine 1\n")
{
    for (int i = 0; i < 4; i++)
        weft_go(spins);
    quit_when(&begun);
}

/* ---- large dumps ---- */

DEATH(death_fatal, a_dump_of_many_goroutines_says_how_many_it_leaves_out, 2,
      "deadlock!\n(.*\n)*\n\\.\\.\\.501 more goroutines not shown\\.\\.\\.\n")
{
    weft_chan(int) ch = weft_make(int);
    for (int i = 0; i < 10500; i++)
        weft_go(receive, ch);
    receive(ch);
}
#endif /* NO_FAULTS */
