/*
 * ticker.c - a ticker beside work, until a function that runs later says stop; a second stop is harmless.
 *
 * Build    cc ticker.c $(pkg-config --cflags --libs weft) -o ticker
 */
#include <stdio.h>
#include <weft/weft.h>

static void finish(void *stop)
{
    weft_close((weft_chan(int))stop);
}

int main(void)
{
    weft_chan(int) stop = weft_make(int);
    weft_ticker beat = {0};
    weft_timer later = {0};
    int beats = 0;

    weft_ticker_start(&beat, 5 * WEFT_MS);
    weft_after_func(&later, 60 * WEFT_MS, finish, stop);
    for (bool running = true; running;) {
        switch (weft_select(weft_on_recv(weft_ticker_chan(&beat), NULL), weft_on_recv(stop, NULL))) {
        case 0:
            beats++;
            break;
        case 1:
            running = false;
            break;
        }
    }
    weft_ticker_stop(&beat);
    printf("it ticked: %s\n", beats > 0 ? "yes" : "no");
    printf("stopping the timer that has fired: %s\n", weft_timer_stop(&later) ? "true" : "false");
    weft_free(stop);
    return 0;
}
