/*
 * hello.c - the first program: three goroutines, each with arguments of its own, and a wait for all of them.
 *
 * Build    cc hello.c $(pkg-config --cflags --libs weft) -o hello
 */
#include <stdio.h>
#include <weft/weft.h>

struct point {
    double x, y;
};

struct line {
    char text[64];
};

/* An ordinary C function. Whatever it takes, weft_go passes: evaluated at the call, checked by the compiler. */
static void greet(weft_sender(struct line) out, const char *who, int born, struct point at)
{
    struct line l;
    snprintf(l.text, sizeof l.text, "%s, born %d, stands at %.1f, %.1f", who, born, at.x, at.y);
    weft_send(out, l);
}

int main(void)
{
    weft_chan(struct line) lines = weft_make(struct line);

    weft_go(greet, lines, "Ada", 1815, ((struct point){0.5, 1}));
    puts(weft_recv(lines).text);
    weft_go(greet, lines, "Grace", 1906, ((struct point){2, 2.5}));
    puts(weft_recv(lines).text);
    weft_go_named("a name for dumps", greet, lines, "Dennis", 1941, ((struct point){-1, 0}));
    puts(weft_recv(lines).text);
    weft_free(lines);
    return 0; /* when main returns the process ends, whatever other goroutines do */
}
