/*
 * test_chan_line.c - the line of waiters of a channel (chan_int.h): who leaves from its front, its middle and its end.
 */
#include <stdlib.h>

#include "chan/chan_int.h"
#include "weft_test.h"

enum { WAITERS = 9, STEPS = 200000 };

static struct weft__waiter waiter[WAITERS];
static int model[WAITERS], model_n; /* who is in line, oldest first */

static void expect_line(struct weft__waitq *q)
{
    struct weft__waiter *w = weft__waitq_first(q), *before = NULL;
    for (int i = 0; i < model_n; i++) {
        REQUIRE(w == &waiter[model[i]]);
        REQUIRE(!before || w->prev == before);
        before = w;
        w = w->t.line;
    }
    REQUIRE(w == NULL);
    REQUIRE(!before || weft__waitq_first(q)->prev == before); /* the first knows the last */
}

TEST(chan_line, any_may_leave_and_the_order_stays)
{
    struct weft__waitq q = {0};
    uint64_t x = 88172645463325252u;
    long left[3] = {0}; /* by the first, by one between, by the last */
    for (long step = 0; step < STEPS; step++) {
        x ^= x << 13, x ^= x >> 7, x ^= x << 17;
        int who = (int)(x % WAITERS), at = 0;
        while (at < model_n && model[at] != who)
            at++;
        if (at == model_n) {
            bool alone = x >> 40 & 1;
            weft__waitq_put_so(&q, &waiter[who], alone ? WEFT__WAITER_ALONE : 0);
            model[model_n++] = who;
            uintptr_t first = (uintptr_t)atomic_load(&q.first);
            EXPECT_EQ(first & WEFT__WAITER_ALONE, (uintptr_t)(alone && model_n == 1)); /* marked alone only while it is */
            EXPECT(waiter[who].t.queued);
        } else {
            left[at == 0 ? 0 : at == model_n - 1 ? 2 : 1]++;
            if (at == 0 && x >> 41 & 1) {
                weft__waitq_shift(&q, &waiter[who]);
            } else {
                weft__waitq_remove(&q, &waiter[who]);
                EXPECT(!waiter[who].t.queued);
            }
            for (model_n--; at < model_n; at++)
                model[at] = model[at + 1];
        }
        expect_line(&q);
    }
    EXPECT(left[0] > STEPS / 50);
    EXPECT(left[1] > STEPS / 50);
    EXPECT(left[2] > STEPS / 50);
}
