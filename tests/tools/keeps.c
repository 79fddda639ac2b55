/*
 * keeps.c - addresses that are wrong after a park, for tools/parklint.py --expect: a line that it must find is marked.
 *
 * It is compiled by nobody but must compile. The functions without a mark are right, and must not be found.
 */
#include <errno.h>
#include <stdio.h>
#include <weft/weft.h>

static _Thread_local int count;
static __thread char scratch[64];
int total;

static __attribute__((noinline)) void count_one(void)
{
    count++;
}

static void waits(weft_chan(int) ch)
{
    (void)weft_recv(ch);
}

static void waits_deep(weft_chan(int) ch)
{
    if (ch)
        waits(ch);
}

void right_value_of_errno(void);
void right_value_of_errno(void)
{
    errno = 0;
    weft_yield();
    if (errno)
        perror("errno");
}

void right_use_then_park(weft_chan(int) ch);
void right_use_then_park(weft_chan(int) ch)
{
    count++;
    weft_send(ch, 1);
}

void right_by_a_function(weft_chan(int) ch);
void right_by_a_function(weft_chan(int) ch)
{
    for (int i = 0; i < 3; i++) {
        count_one();
        weft_send(ch, i);
    }
}

void right_no_park(weft_chan(int) ch);
void right_no_park(weft_chan(int) ch)
{
    count++;
    (void)weft_try_send(ch, 1);
    weft_go(waits, ch);
    snprintf(scratch, sizeof scratch, "%d", count);
}

void right_with_a_reason(void);
void right_with_a_reason(void)
{
    weft_lock_thread();
    count++;
    weft_yield();
    count++; /* lint: locked to the thread */
    weft_unlock_thread();
}

void keeps_errno(void);
void keeps_errno(void)
{
    int *e = &errno; /* KEEPS errno-address */
    weft_yield();
    *e = 0;
}

void keeps_an_address(weft_chan(int) ch);
void keeps_an_address(weft_chan(int) ch)
{
    int *c = &count; /* KEEPS thread-address */
    waits_deep(ch);
    *c += 1;
}

void keeps_a_name(weft_chan(int) ch);
void keeps_a_name(weft_chan(int) ch)
{
    count++;
    weft_send(ch, 1);
    total = count; /* KEEPS thread-kept */
}

void keeps_over_a_select(weft_chan(int) ch);
void keeps_over_a_select(weft_chan(int) ch)
{
    total = count;
    weft_select_begin
        weft_when_recv(v, ch) { total += v; }
    weft_select_end
    total += count; /* KEEPS thread-kept */
}

void keeps_over_a_call(weft_chan(int) ch);
void keeps_over_a_call(weft_chan(int) ch)
{
    total = count;
    if (weft_try(waits_deep, ch))
        total += count; /* KEEPS thread-kept */
}

void keeps_in_a_loop(weft_chan(int) ch);
void keeps_in_a_loop(weft_chan(int) ch)
{
    weft_range(v, ch) {
        count += v; /* KEEPS thread-kept */
        weft_yield();
    }
}

void keeps_a_buffer(weft_chan(int) ch);
void keeps_a_buffer(weft_chan(int) ch)
{
    snprintf(scratch, sizeof scratch, "%d", weft_recv(ch));
    weft_sleep(WEFT_MS);
    puts(scratch); /* KEEPS thread-kept */
}
