/*
 * prop_stack.c - random programs on stacks whose memory is given back all the time, held against what must be true of any of
 * them: nobody misses what is on its own stack. Only the simulation runs this (src/sim).
 */
#include <stdatomic.h>
#include <weft/weft.h>

#include "../../src/sched/sched_int.h"
#include "../../src/sim/sim.h"
#include "../include/weft_test.h"

enum { LONGS = 4096 / sizeof(long), DEEP = 8, ROUNDS = 6, DIGGERS = 6, BORN = 24 };

static uint32_t draw(uint32_t n)
{
    return (uint32_t)(weft__sim_random() % n);
}

struct pit {
    weft_chan(int) ch;
    weft_waitgroup all;
};

/* Parks as the goroutine likes: for a time, or until another one comes by. */
static void rest(struct pit *p)
{
    int v;

    switch (draw(4)) {
    case 0:
        weft_sleep((weft_dur)draw(10) * WEFT_MS);
        break;
    case 1:
        weft_yield();
        break;
    case 2:
        (void)weft_select(weft_on_recv(p->ch, &v), weft_on_timeout((weft_dur)(1 + draw(10)) * WEFT_MS));
        break;
    default:
        (void)weft_try_send(p->ch, 1);
    }
}

/* A page a call, marked at both ends; the marks are looked at on the way back. */
static __attribute__((noinline)) void dig(struct pit *p, uint32_t depth, long tag)
{
    volatile long page[LONGS];

    __asm__ volatile("" : : "r"(page) : "memory"); /* all of it is there: clang would keep the two ends only */
    page[0] = page[LONGS - 1] = tag + (long)depth;
    if (depth > 0)
        dig(p, depth - 1, tag);
    rest(p);
    EXPECT_EQ(page[0], tag + (long)depth);
    EXPECT_EQ(page[LONGS - 1], tag + (long)depth);
}

static void digger(struct pit *p, long who)
{
    for (long k = 0; k < ROUNDS; k++) {
        dig(p, draw(DEEP), who * 1000 + k * 100);
        rest(p);
    }
    weft_waitgroup_done(&p->all);
}

static void short_life(struct pit *p, long who)
{
    dig(p, draw(3) * 2, who * 1000);
    weft_waitgroup_done(&p->all);
}

TEST(prop_stack, nobody_misses_what_is_on_its_stack)
{
    static struct pit p;

    weft__scavenge_pace = (struct weft__scavenge_pace){0, 0, 0, 0};
    p.ch = weft_make(int, draw(2));
    weft_waitgroup_add(&p.all, DIGGERS + BORN);
    for (long i = 0; i < DIGGERS; i++)
        weft_go(digger, &p, i);
    for (long i = 0; i < BORN; i++) {
        weft_go(short_life, &p, 100 + i);
        if (draw(3) == 0)
            rest(&p);
    }
    weft_waitgroup_wait(&p.all);
    weft_free(p.ch);
}
