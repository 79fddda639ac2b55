/*
 * test_stack.c - stacks: a goroutine gets the size it asked for, stacks are reused by size, they hold what is put there.
 */
#include <stdatomic.h>
#include <weft/weft.h>

#include "arch/fiber.h"
#include "sched/sched.h"
#include "settle.h"
#include "weft_test.h"

#define NOINLINE __attribute__((noinline))

static _Atomic size_t room;
static void *_Atomic where;

/* Bytes below the caller's frame that are its stack's. */
static NOINLINE size_t stack_left(void)
{
    return (size_t)((char *)__builtin_frame_address(0) - weft__g()->stack_lo);
}

static void measure(weft_waitgroup *wg)
{
    atomic_store(&room, stack_left());
    atomic_store(&where, weft__g()->stack_lo);
    weft_waitgroup_done(wg);
}

static size_t room_of(size_t bytes)
{
    weft_waitgroup wg = {0};

    weft_waitgroup_add(&wg, 1);
    weft_go_stack(bytes, measure, &wg);
    weft_waitgroup_wait(&wg);
    return atomic_load(&room);
}

TEST(stack, is_at_least_as_large_as_asked)
{
    static const size_t sizes[] = {1, 4096, 15000, 16384, 48 * 1024, 49 * 1024, 65536, 100000, 1 << 20, 5 << 20, 256 << 20, WEFT_STACK_MAX};

    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        size_t got = room_of(sizes[i]);
        if (got + 512 < sizes[i])
            weft_test_fail(__FILE__, __LINE__, "asked for %zu bytes, got %zu", sizes[i], got);
    }
}

TEST(stack, of_size_0_is_an_ordinary_one)
{
    weft_waitgroup wg = {0};
    size_t asked = room_of(0);

    weft_waitgroup_add(&wg, 1);
    weft_go(measure, &wg);
    weft_waitgroup_wait(&wg);
    EXPECT(asked > 40000);
    EXPECT(asked / 1024 == atomic_load(&room) / 1024);
}

TEST_ENV(stack, can_be_smaller_than_the_default, "WEFT_STACK=1024")
{
    EXPECT(room_of(0) > 1000 * 1024);
    EXPECT(room_of(15000) < 256 * 1024);
}

/* An ended goroutine's stack may come back a moment later: its worker still has to leave it. */
TEST_ENV(stack, is_reused_by_the_next_goroutine_of_its_size, "WEFT_PROCS=1")
{
    room_of(1 << 20);
    void *first = atomic_load(&where);
    for (int i = 0; i < 50; i++) {
        test_settle();
        room_of(1 << 20);
        EXPECT(atomic_load(&where) == first);
        test_settle();
        room_of(4 << 20);
        EXPECT(atomic_load(&where) != first);
    }
}

/* Fills its frames with what only it would write, parks at the bottom, and looks at them again on the way back. */
static NOINLINE long dig(long depth, weft_chan(int) gate)
{
    volatile long mark[32];
    long bad = 0;

    for (long i = 0; i < 32; i++)
        mark[i] = depth * 1000 + i;
    if (depth > 0)
        bad += dig(depth - 1, gate);
    else if (gate)
        (void)weft_recv(gate);
    for (long i = 0; i < 32; i++)
        bad += mark[i] != depth * 1000 + i;
    return bad;
}

static _Atomic long bad_marks;

static void digger(long depth, weft_chan(int) gate, weft_waitgroup *wg)
{
    atomic_fetch_add(&bad_marks, dig(depth, gate));
    weft_waitgroup_done(wg);
}

TEST(stack, of_64_mib_can_be_used_to_its_end)
{
    weft_waitgroup wg = {0};

    weft_waitgroup_add(&wg, 1);
    weft_go_stack(64 << 20, digger, WEFT__TSAN ? 30000L : (64L << 20) / 700, NULL, &wg); /* gcc's tsan: 65,536 frames */
    weft_waitgroup_wait(&wg);
    EXPECT_EQ(atomic_load(&bad_marks), 0);
}

TEST(stack, of_many_sizes_at_once_keep_their_contents_while_parked)
{
    enum { N = 120 };
    weft_waitgroup wg = {0};
    weft_chan(int) gate = weft_make(int);

    for (int round = 0; round < 4; round++) {
        weft_waitgroup_add(&wg, N);
        for (int i = 0; i < N; i++) {
            size_t bytes = (size_t)16384 << (i % 6);
            weft_go_stack(bytes, digger, (long)bytes / 800, gate, &wg);
        }
        for (int i = 0; i < N; i++)
            weft_send(gate, i);
        weft_waitgroup_wait(&wg);
    }
    EXPECT_EQ(atomic_load(&bad_marks), 0);
    weft_free(gate);
}

static void starts_others(size_t bytes, int depth, weft_waitgroup *wg)
{
    if (depth > 0) {
        weft_waitgroup_add(wg, 2);
        weft_go_stack(bytes, starts_others, bytes, depth - 1, wg);
        weft_go_stack(bytes * 2, starts_others, bytes, depth - 1, wg);
    }
    weft_waitgroup_done(wg);
}

TEST(stack, of_two_sizes_can_be_made_and_ended_from_every_processor)
{
    weft_waitgroup wg = {0};

    for (int i = 0; i < 5; i++) {
        weft_waitgroup_add(&wg, 1);
        starts_others(20000, WEFT__TSAN ? 6 : 10, &wg);
        weft_waitgroup_wait(&wg);
    }
}

static void tied(weft_waitgroup *wg)
{
    weft_lock_thread();
    weft_sleep(WEFT_MS);
    weft_waitgroup_done(wg);
}

TEST(stack, of_any_size_may_end_while_locked_to_its_thread)
{
    weft_waitgroup wg = {0};

    for (int i = 0; i < 20; i++) {
        weft_waitgroup_add(&wg, 2);
        weft_go_stack(200000, tied, &wg);
        weft_go_stack(10000, tied, &wg);
    }
    weft_waitgroup_wait(&wg);
}

struct big {
    char b[6000];
};

static void takes_big(struct big a, int b, struct big c, weft_waitgroup *wg)
{
    EXPECT(a.b[5999] == 1 && b == 7 && c.b[0] == 2);
    weft_waitgroup_done(wg);
}

TEST(stack, takes_arguments_larger_than_a_page)
{
    weft_waitgroup wg = {0};
    struct big a, c;

    memset(&a, 1, sizeof a);
    memset(&c, 2, sizeof c);
    weft_waitgroup_add(&wg, 2);
    weft_go_stack(100000, takes_big, a, 7, c, &wg);
    weft_go(takes_big, a, 7, c, &wg);
    weft_waitgroup_wait(&wg);
}

struct huge {
    char b[200000];
};

static void takes_huge(struct huge a, int b, weft_waitgroup *wg)
{
    volatile char space[20000];
    space[0] = (char)b;
    space[sizeof space - 1] = 1;
    EXPECT(a.b[0] == 3 && a.b[199999] == 3 && space[0] + space[sizeof space - 1] == 10);
    weft_waitgroup_done(wg);
}

TEST(stack, takes_arguments_larger_than_a_stack)
{
    weft_waitgroup wg = {0};
    struct huge a;

    memset(&a, 3, sizeof a);
    weft_waitgroup_add(&wg, 30);
    for (int i = 0; i < 10; i++) {
        weft_go(takes_huge, a, 9, &wg);
        weft_go_stack(30000, takes_huge, a, 9, &wg);
        weft_go_stack(100000, takes_huge, a, 9, &wg);
    }
    weft_waitgroup_wait(&wg);
}
