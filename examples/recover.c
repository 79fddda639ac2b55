/*
 * recover.c - defer, panic and try: a server that survives the failure of one request.
 *
 * Build    cc recover.c $(pkg-config --cflags --libs weft) -o recover
 */
#include <stdio.h>
#include <stdlib.h>
#include <weft/weft.h>

static void say(const char *what, int n)
{
    printf("  %s %d\n", what, n);
}

static void handle(int n)
{
    char *buf = malloc(64);

    weft_defer(free, buf);                  /* on return, panic or goexit */
    weft_defer(say, "clean up after", n);
    if (n == 2)
        weft_panic("request %d is too much for me", n);
    snprintf(buf, 64, "request %d is done", n);
    puts(buf);
}

int main(void)
{
    for (int n = 1; n <= 3; n++) {
        const char *why = weft_try(handle, n);

        if (why)
            printf("panic: %s\n", why);
    }
    return 0;
}
