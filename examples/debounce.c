/*
 * debounce.c - a timer that each event pushes back: what to do once the events have stopped for a while.
 *
 * Build    cc debounce.c $(pkg-config --cflags --libs weft) -o debounce
 */
#include <stdio.h>
#include <weft/weft.h>

static void type_keys(weft_sender(char) keys, weft_receiver(int) saved)
{
    weft_defer(weft_close, keys);
    for (const char *s = "weft.save."; *s; s++) {
        weft_send(keys, *s);
        if (*s == '.')
            printf("saved %d keys\n", weft_recv(saved)); /* a pause for thought */
    }
}

int main(void)
{
    weft_chan(char) keys = weft_make(char);
    weft_chan(int) saved = weft_make(int);
    weft_timer quiet = {0};
    char word[16], key;
    int len = 0;
    bool open = true;

    weft_go(type_keys, keys, saved);
    while (open) {
        switch (weft_select(weft_on_recv_ok(keys, &key, &open), weft_on_recv(weft_timer_chan(&quiet), NULL))) {
        case 0:
            if (open) {
                word[len++ % 16] = key;
                weft_timer_start(&quiet, 250 * WEFT_MS); /* an active timer is moved; its old value never comes */
            }
            break;
        case 1:
            printf("quiet after \"%.*s\"\n", len, word);
            weft_send(saved, len);
            len = 0;
            break;
        }
    }
    weft_timer_start(&quiet, WEFT_MIN);
    printf("stopped in time: %s\n", weft_timer_stop(&quiet) ? "yes" : "no");
    weft_free(keys);
    weft_free(saved);
    return 0;
}
