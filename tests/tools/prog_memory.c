/*
 * prog_memory.c - mistakes with memory in goroutines, for AddressSanitizer, LeakSanitizer and valgrind to find.
 *
 * Usage   prog_memory CASE   tests/tools/run.py knows what each must be told as; "fine_..." must not be complained of.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <weft/weft.h>

static weft_waitgroup done;
static weft_chan(int) gate;
static volatile int sink;
static int *volatile shared;

static __attribute__((noinline)) void write_past(volatile char *p, int at)
{
    p[at] = 1;
}

static void overflow_in_goroutine(void)
{
    volatile char buf[32];
    write_past(buf, 40);
    sink = buf[3];
}

static void publish_local(void)
{
    int mine = 7;
    shared = &mine;
    weft_yield();
    sink = mine;
}

/* The pointer outlives the goroutine. */
static void use_after_goroutine(void)
{
    weft_waitgroup_go(&done, publish_local);
    weft_waitgroup_wait(&done);
    weft_sleep(WEFT_MS);
    sink = *shared;
}

static __attribute__((noinline)) int *leave_local(void)
{
    volatile int mine = 7;
    weft_yield();
    shared = (int *)&mine;
    return shared;
}

/* The pointer outlives the frame; the goroutine has been parked in it. detect_stack_use_after_return=1. */
static void use_after_return(void)
{
    int *p = leave_local();
    weft_yield();
    sink = *p;
}

static void use_freed(void)
{
    shared = calloc(10, sizeof *shared);
    int *p = shared; /* the compiler is not to see that it is the same */
    free(p);
    weft_yield();
    sink = shared[3];
}

static void use_unset(void)
{
    volatile int *p = malloc(40);
    weft_yield();
    if (p[2] > 5)
        sink = 1;
    free((void *)p);
}

static __attribute__((noinline)) void make_and_lose(void)
{
    char *volatile p = malloc(1234);
    p[0] = 1;
    p = NULL;
}

static void leak_in_goroutine(void)
{
    make_and_lose();
}

static void keeps_in_frame(void)
{
    char *volatile only_here = malloc(4321); /* nobody else knows it; in use as long as this frame is */
    only_here[0] = 1;
    weft_recv(gate);
    free(only_here);
}

/* Exits while goroutines hold memory in their frames: parked, and not started yet. */
static void fine_held_by_parked(void)
{
    for (int i = 0; i < 20; i++)
        weft_go(keeps_in_frame);
    weft_sleep(20 * WEFT_MS);
}

static int deep(int n)
{
    volatile char room[512];
    room[n % 512] = (char)n;
    if (n % 16 == 0)
        weft_yield();
    return n > 0 ? deep(n - 1) + room[n % 512] : 0;
}

/* Stacks switched to and from at all depths, panics caught, goroutines ended and their stacks used again. */
static void throws(int n)
{
    sink = deep(n);
    weft_panic("on purpose");
}

static void one_of_many(int n)
{
    weft_try(throws, n % 40);
}

static void fine_switching(void)
{
    for (int i = 0; i < 600; i++) {
        weft_waitgroup_go(&done, one_of_many, i);
        if (i % 50 == 0)
            weft_waitgroup_wait(&done);
    }
    weft_waitgroup_wait(&done);
}

static struct {
    const char *name;
    void (*fn)(void);
} cases[] = {
    {"overflow_in_goroutine", overflow_in_goroutine}, {"use_after_goroutine", use_after_goroutine},
    {"use_after_return", use_after_return}, {"use_freed", use_freed}, {"use_unset", use_unset},
    {"leak_in_goroutine", leak_in_goroutine}, {"fine_held_by_parked", fine_held_by_parked}, {"fine_switching", fine_switching},
};

static weft_waitgroup whole;

int main(int argc, char **argv)
{
    gate = weft_make(int);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        if (argc > 1 && strcmp(argv[1], cases[i].name) == 0) {
            weft_waitgroup_go(&whole, cases[i].fn);
            weft_waitgroup_wait(&whole);
            puts("done");
            return 0;
        }
    puts("usage: prog_memory CASE");
    return 2;
}
