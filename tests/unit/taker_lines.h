/*
 * taker_lines.h - channels of 8 bytes, each with one who waits on it, for the tests of sched/taker.c.
 *
 * Where so many must be queued already (weft__policy.taker_min) that a send seldom queues its receiver, these tests do without that.
 */
#ifndef TESTS_TAKER_LINES_H
#define TESTS_TAKER_LINES_H
#include <weft/weft.h>

#include "sched/sched_int.h"
#include "settle.h"
#include "weft_test.h"

enum { MANY = WEFT__TSAN ? 300 : 3000, EACH = 8 }; /* that tool takes some ms for the making of a goroutine; lines of a sender */

typedef weft_chan(long) line;

static uint32_t usual_min __attribute__((unused));

static __attribute__((constructor)) void often(void)
{
    usual_min = weft__policy.taker_min;
    weft__policy.taker_min = 0;
}

static line to[MANY];

static inline void make_lines(int n)
{
    for (int i = 0; i < n; i++)
        to[i] = weft_make(long);
}

static inline void free_lines(int n)
{
    for (int i = 0; i < n; i++)
        weft_free(to[i]);
}

static inline void send_to_all(int n, long plus)
{
    for (int i = 0; i < n; i++)
        weft_send(to[i], i + plus);
}

#endif
