/*
 * chan_list.c - a select over a list that is computed, and the block form of select.
 *
 * Build    cc chan_list.c $(pkg-config --cflags --libs weft) -o chan_list
 */
#include <stdio.h>
#include <weft/weft.h>

enum { SOURCES = 20 };

static void source(weft_sender(int) out, int me)
{
    weft_defer(weft_close, out);
    for (int i = 0; i < 3; i++)
        weft_send(out, me * 10 + i);
}

/* Receives from all until each is closed: a case that is set to zero is never ready again. */
static long sum_of_all(weft_chan(int) *in, int n)
{
    struct weft_case cases[SOURCES];
    int value[SOURCES];
    bool ok;
    long sum = 0;

    for (int i = 0; i < n; i++)
        cases[i] = weft_on_recv_ok(in[i], &value[i], &ok);
    for (int open = n; open > 0;) {
        int i = weft_selectv(cases, n);
        if (ok) {
            sum += value[i];
        } else {
            cases[i] = (struct weft_case){0};
            open--;
        }
    }
    return sum;
}

int main(void)
{
    weft_chan(int) c[SOURCES];
    weft_chan(long) result = weft_make(long, 1);

    for (int i = 0; i < SOURCES; i++) {
        c[i] = weft_make(int);
        weft_go(source, c[i], i);
    }
    long sum = sum_of_all(c, SOURCES);
    for (int i = 0; i < SOURCES; i++)
        weft_free(c[i]);

    for (int round = 0; round < 2; round++) {
        weft_select_begin
            weft_when_send(result, sum) { puts("sent"); }
            weft_when_recv(v, result) { printf("received %ld\n", v); }
        weft_select_end
    }
    weft_free(result);
    return 0;
}
