/*
 * chan_pipeline.c - three stages joined by channels; each stage closes what it sends on, so the end travels down.
 *
 * Build    cc chan_pipeline.c $(pkg-config --cflags --libs weft) -o chan_pipeline
 */
#include <stdio.h>
#include <weft/weft.h>

struct line {
    int number;
    char text[24];
};

static void count(weft_sender(int) out, int n)
{
    weft_defer(weft_close, out);
    for (int i = 1; i <= n; i++)
        weft_send(out, i);
}

static void square(weft_receiver(int) in, weft_sender(struct line) out)
{
    weft_defer(weft_close, out);
    weft_range(n, in) {
        struct line l = {.number = n};
        snprintf(l.text, sizeof l.text, "squared is %d", n * n);
        weft_send(out, l);
    }
}

int main(void)
{
    weft_chan(int) numbers = weft_make(int);
    weft_chan(struct line) lines = weft_make(struct line, 2);

    weft_go(count, numbers, 5); /* a channel turns into its send-only view by itself */
    weft_go(square, numbers, lines);
    weft_range(l, lines) printf("%d %s\n", l.number, l.text);

    weft_free(numbers);
    weft_free(lines);
    return 0;
}
