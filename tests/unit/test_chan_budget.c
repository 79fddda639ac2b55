/*
 * test_chan_budget.c - what allocates nothing: send, receive, try, close, select up to 8 cases, also when they wait.
 *
 * The binary's own malloc, calloc and realloc count; sanitizers replace those, so the tests skip there.
 */
#include <stdatomic.h>
#include <weft/weft.h>

#include "weft_test.h"

#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define REPLACED 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__) || !defined(__GLIBC__)
#define REPLACED 1
#endif

static atomic_long allocations;

#ifndef REPLACED
void *__libc_malloc(size_t n);
void *__libc_calloc(size_t n, size_t size);
void *__libc_realloc(void *p, size_t n);
void *malloc(size_t n)
{
    atomic_fetch_add_explicit(&allocations, 1, memory_order_relaxed);
    return __libc_malloc(n);
}
void *calloc(size_t n, size_t size)
{
    atomic_fetch_add_explicit(&allocations, 1, memory_order_relaxed);
    return __libc_calloc(n, size);
}
void *realloc(void *p, size_t n)
{
    atomic_fetch_add_explicit(&allocations, 1, memory_order_relaxed);
    return __libc_realloc(p, n);
}
#endif

static void need_counting(void)
{
    long before = atomic_load(&allocations);
    void *volatile p = calloc(1, (size_t)weft_procs(0));   /* volatile: a compiler may leave out what nobody looks at */
    free(p);
    if (atomic_load(&allocations) == before)
        weft_test_skip("malloc cannot be counted here");
}

/* Where the system takes the CPU from the test for a while, the monitor starts another thread, which takes memory: such a
 * round tells nothing. What allocates does so in every round; the first one warms up. */
enum { BUDGET_ROUNDS = 50 };

static void echo(weft_receiver(long) in, weft_sender(long) out)
{
    weft_range(v, in) weft_send(out, v);
    weft_close(out);
}

TEST_ENV(chan_budget, sends_and_receives_that_wait_allocate_nothing, "WEFT_PROCS=1")
{
    need_counting();
    weft_chan(long) a = weft_make(long), b = weft_make(long), c = weft_make(long, 8);
    weft_go(echo, a, b);
    long least = 1, v;
    for (int round = 0; round < BUDGET_ROUNDS && least != 0; round++) {
        long before = atomic_load(&allocations);
        for (long i = 0; i < 1000; i++) {
            weft_send(a, i);
            EXPECT_EQ(weft_recv(b), i);
            weft_send(c, i);
            EXPECT_EQ(weft_try_recv(c, &v), 1);
        }
        least = atomic_load(&allocations) - before;
    }
    EXPECT_EQ(least, 0);
    weft_close(a);
    EXPECT(!weft_recv_ok(b, NULL));
    weft_free(a);
    weft_free(b);
    weft_free(c);
}

TEST_ENV(chan_budget, selects_of_eight_that_wait_allocate_nothing, "WEFT_PROCS=1")
{
    need_counting();
    weft_chan(long) a = weft_make(long), b = weft_make(long), idle = weft_make(long);
    weft_go(echo, a, b);
    long least = 1, v;
    for (int round = 0; round < BUDGET_ROUNDS && least != 0; round++) {
        long before = atomic_load(&allocations);
        for (long i = 0; i < 1000; i++) {
            EXPECT_EQ(weft_select(weft_on_recv(idle, NULL), weft_on_send(a, i)), 1);
            EXPECT_EQ(weft_select(weft_on_recv(idle, NULL), weft_on_recv(idle, NULL), weft_on_recv(idle, NULL),
                                  weft_on_recv(idle, NULL), weft_on_recv(idle, NULL), weft_on_timeout(WEFT_MIN),
                                  weft_on_recv(idle, NULL), weft_on_recv(b, &v)), 7);
            EXPECT_EQ(v, i);
        }
        least = atomic_load(&allocations) - before;
    }
    EXPECT_EQ(least, 0);
    weft_close(a);
    EXPECT(!weft_recv_ok(b, NULL));
    weft_free(a);
    weft_free(b);
    weft_free(idle);
}
