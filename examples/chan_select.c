/*
 * chan_select.c - select as a switch: two sources, a way to stop, a time limit; break and continue mean what they do in C.
 *
 * Build    cc chan_select.c $(pkg-config --cflags --libs weft) -o chan_select
 */
#include <stdio.h>
#include <weft/weft.h>

static void say(weft_sender(const char *) out, const char *word, int times)
{
    for (int i = 0; i < times; i++)
        weft_send(out, word);
}

static void stop_after(weft_sender(char) quit, weft_receiver(int) enough)
{
    (void)weft_recv(enough);
    weft_close(quit); /* a close reaches everybody who waits */
}

int main(void)
{
    weft_chan(const char *) ticks = weft_make(const char *), tocks = weft_make(const char *);
    weft_chan(char) quit = weft_make(char);
    weft_chan(int) enough = weft_make(int, 1);
    const char *word;
    int tick = 0, tock = 0;

    weft_go(say, ticks, "tick", 3);
    weft_go(say, tocks, "tock", 4);
    weft_go(stop_after, quit, enough);

    for (;;) {
        switch (weft_select(weft_on_recv(ticks, &word), weft_on_recv(tocks, &word), weft_on_recv(quit, NULL),
                            weft_on_timeout(10 * WEFT_SEC))) {
        case 0: tick++; break;
        case 1: tock++; break;
        case 2: goto stopped;
        case 3: puts("nothing happened for too long"); return 1;
        }
        if (tick + tock == 7)
            (void)weft_try_send(enough, 1);
    }
stopped:
    printf("%d ticks, %d tocks\n", tick, tock);
    weft_free(ticks);
    weft_free(tocks);
    weft_free(quit);
    weft_free(enough);
    return 0;
}
