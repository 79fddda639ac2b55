/*
 * test_policy.c - the scheduler's chance comes from one object: the same draws give the same choices.
 */
#include <pthread.h>
#include <weft/weft.h>

#include "../../src/sched/policy.h"
#include "weft_test.h"

static pthread_t chooser;

/* The chooser never parks and so stays on its thread, but a worker that has nothing to do may draw beside it. */
static uint64_t draw(void *arg)
{
    uint64_t *x = arg;

    if (!pthread_equal(pthread_self(), chooser))
        return 0;
    return *x = *x * 6364136223846793005u + 1442695040888963407u;
}

/* 64 choices among four cases that are all ready, as two bits each. */
static void choices(uint64_t seed, unsigned char out[64])
{
    weft_chan(int) c[4];
    int v;

    chooser = pthread_self();
    weft__policy.random_arg = &seed;
    weft__policy.random = draw;
    for (int i = 0; i < 4; i++) {
        c[i] = weft_make(int, 1);
        weft_send(c[i], i);
    }
    for (int i = 0; i < 64; i++) {
        int k = weft_select(weft_on_recv(c[0], &v), weft_on_recv(c[1], &v), weft_on_recv(c[2], &v), weft_on_recv(c[3], &v));
        EXPECT_EQ(k, v);
        out[i] = (unsigned char)k;
        weft_send(c[k], k);
    }
    for (int i = 0; i < 4; i++)
        weft_free(c[i]);
    weft__policy.random = NULL;
}

TEST_ENV(policy, the_same_draws_give_the_same_choices, "WEFT_PROCS=1")
{
    unsigned char a[64], b[64], other[64];

    choices(7, a);
    choices(7, b);
    choices(8, other);
    EXPECT(memcmp(a, b, sizeof a) == 0);
    EXPECT(memcmp(a, other, sizeof a) != 0);
}
