/* Panics that nobody stops: message, stacks, exit status 2. */
#include <pthread.h>
#include <unistd.h>
#include <weft/weft.h>

#include "settle.h"
#include "weft_test.h"

#define NOINLINE __attribute__((noinline))

DEATH(death_panic, prints_message_and_stack_of_the_caller, 2,
      "^panic: assignment to entry in nil map\n\ngoroutine 1 \\[running\\]:\n"
      "test_death_panic_prints_message_and_stack_of_the_caller\\(\\.\\.\\.\\)\n\t.*test_death_panic\\.c:[0-9]+ \\+0x[0-9a-f]+\n")
{
    weft_panic("assignment to entry in %s map", "nil");
}

static NOINLINE void deposit(void)
{
    weft_panic("deep");
}

static NOINLINE void handle(int id)
{
    test_settle(); /* main has parked */
    deposit();
    fprintf(stderr, "%d", id);
}

static void wait_for_ever(void)
{
    weft_chan(int) ch = weft_make(int);
    weft_recv(ch);
    weft_free(ch);
}

DEATH(death_panic, in_a_goroutine_names_its_creator_and_the_others, 2,
      "panic: deep\n\ngoroutine [0-9]+ \\[running\\]:\n(.*\n)*handle\\(\\.\\.\\.\\)\n(.*\n)*"
      "created by test_death_panic_in_a_goroutine_names_its_creator_and_the_others in goroutine 1\n"
      "\t.*test_death_panic\\.c:[0-9]+\n(.*\n)*"
      "goroutine 1 \\[chan receive\\]:\n(.*\n)*"
      "goroutine [0-9]+ \\[chan receive\\] \"quiet\":\n(.*\n)*wait_for_ever\\(\\.\\.\\.\\)\n")
{
    weft_go_named("quiet", wait_for_ever);
    weft_go(handle, 7);
    wait_for_ever();
}

static void say(const char *s)
{
    fprintf(stderr, "deferred %s\n", s);
}

static void outer(void)
{
    weft_defer(say, "outer");
    weft_defer(say, "inner");
    weft_panic("last");
}

DEATH(death_panic, runs_deferred_calls_first, 2, "^deferred inner\ndeferred outer\npanic: last\n\ngoroutine")
{
    weft_go(outer);
    wait_for_ever();
}

static NOINLINE void second(void)
{
    weft_panic("second");
}

static void third(void)
{
    weft_panic("third");
}

DEATH(death_panic, in_deferred_calls_prints_the_chain, 2, "^panic: first\n\tpanic: second\n\tpanic: third\n\ngoroutine 1 \\[running\\]:\n")
{
    weft_defer(third);
    weft_defer(second);
    weft_panic("first");
}

DEATH(death_panic, during_goexit_is_reported, 2, "^panic: second\n\ngoroutine 1 \\[running\\]:\n")
{
    weft_defer(second);
    weft_goexit();
}

static void rethrow(void)
{
    const char *m = weft_try(second);
    weft_panic("again %s", m);
}

DEATH(death_panic, thrown_again_after_a_try_prints_both, 2, "^panic: second \\[recovered\\]\n\tpanic: again second\n\n")
{
    rethrow();
}

static void panic_two_lines(void)
{
    weft_panic("line\nnext line");
}

static void on_as_it_is(void)
{
    const char *msg = weft_try(panic_two_lines);
    weft_panic("%s", msg);
}

static void on_with_more(void)
{
    const char *msg = weft_try(on_as_it_is);
    weft_panic("more: %s", msg);
}

DEATH(death_panic, what_was_recovered_on_the_way_is_listed, 2,
      "^panic: line\n\tnext line \\[recovered, repanicked\\]\n\tpanic: more: line\n\tnext line\n\ngoroutine 1 \\[running\\]:\n")
{
    on_with_more();
}

static void defers_on_with_more(void)
{
    weft_defer(on_with_more);
    weft_panic("first");
}

DEATH(death_panic, in_deferred_calls_lists_what_was_recovered_in_place, 2,
      "^panic: first\n\tpanic: line\n\tnext line \\[recovered, repanicked\\]\n\tpanic: more: line\n\tnext line\n\ngoroutine 1")
{
    defers_on_with_more();
}

static void panic_with(const char *words)
{
    weft_panic("%s", words);
}

static void recovers(int i)
{
    char words[8];
    snprintf(words, sizeof words, "%d", i % 10);
    for (int k = 0; k < 100; k++)
        (void)weft_try(panic_with, words);
}

/* Panics of tries side by side do not come of each other, whatever their words; nor is one listed that ended long ago. */
DEATH(death_panic, one_of_other_words_lists_none, 2, "^panic: other\n\ngoroutine 1 \\[running\\]:\n")
{
    for (int i = 0; i < 100; i++)
        recovers(i);
    weft_panic("other");
}

static void deeper(int n)
{
    if (n == 0)
        weft_panic("deep");
    const char *msg = weft_try(deeper, n - 1);
    weft_panic("%d %s", n % 10, msg);
}

/* However often it was thrown on, the report stays within bounds. */
DEATH(death_panic, a_long_history_loses_its_oldest_part, 2,
      "^panic: [0-9 ]* deep \\[recovered\\]\n\t(panic: [0-9 ]*deep \\[recovered\\]\n\t)*panic: 0 9 8 [0-9 ]*deep\n\n")
{
    deeper(200);
}

DEATH(death_panic, flushes_stdout_first, 2, "printed before the end(.*\n)*panic: gone")
{
    dup2(STDERR_FILENO, STDOUT_FILENO);
    setvbuf(stdout, NULL, _IOFBF, 65536);
    printf("printed before the end");
    weft_panic("gone");
}

static void holds_stdout(void)
{
    flockfile(stdout);
    wait_for_ever();
}

DEATH(death_panic, does_not_wait_for_a_parked_goroutine_that_holds_stdout, 2, "^panic: still\n")
{
    weft_go(holds_stdout);
    test_settle();
    weft_panic("still");
}

static void at_exit(void)
{
    fprintf(stderr, "atexit ran\n");
}

DEATH(death_panic, does_not_run_atexit_handlers, 2, "^panic: no exit handlers\n\ngoroutine 1 \\[running\\]:\n[^!]*$")
{
    atexit(at_exit);
    weft_panic("no exit handlers");
}

static void *thread_panics(void *arg)
{
    second();
    return arg;
}

DEATH(death_panic, on_a_thread_of_the_program_ends_the_process, 2, "^panic: second\n\ngoroutine [0-9]+ \\[running\\]:\n(second|thread_panics)\\(")
{
    pthread_t t;
    pthread_create(&t, NULL, thread_panics, NULL);
    pthread_join(t, NULL);
}

static void all_panic(void)
{
    weft_panic("one of many");
}

DEATH(death_panic, of_many_at_once_is_reported_once, 2, "^panic: one of many\n\ngoroutine [0-9]+ \\[running\\]:\n[^!]*$")
{
    for (int i = 0; i < 200; i++)
        weft_go(all_panic);
    wait_for_ever();
}

/* ---- the library's own ---- */

DEATH(death_panic, send_on_closed_channel, 2, "^panic: send on closed channel\n\ngoroutine 1 \\[running\\]:\n")
{
    weft_chan(int) ch = weft_make(int, 1);
    weft_close(ch);
    weft_send(ch, 1);
}

DEATH(death_panic, close_of_closed_channel, 2, "^panic: close of closed channel\n\ngoroutine 1 \\[running\\]:\n")
{
    weft_chan(int) ch = weft_make(int, 1);
    weft_close(ch);
    weft_close(ch);
}

DEATH(death_panic, close_of_nil_channel, 2, "^panic: close of nil channel\n\ngoroutine 1 \\[running\\]:\n")
{
    weft_chan(int) ch = NULL;
    weft_close(ch);
}

DEATH(death_panic, negative_waitgroup_counter, 2, "^panic: sync: negative WaitGroup counter\n\ngoroutine 1 \\[running\\]:\n")
{
    weft_waitgroup wg = {0};
    weft_waitgroup_done(&wg);
}

static void receives(weft_chan(int) ch)
{
    weft_recv(ch);
}

DEATH(death_panic, free_of_a_channel_in_use, 2, "^panic: free of a channel in use\n\ngoroutine 1 \\[running\\]:\n")
{
    weft_chan(int) ch = weft_make(int);
    weft_go(receives, ch);
    test_settle();
    weft_free(ch);
}

DEATH(death_panic, deferred_nil_func, 2, "^panic: .*nil func.*\n\ngoroutine 1 \\[running\\]:\n")
{
    void (*f)(void) = NULL;
    weft_defer(f);
}
