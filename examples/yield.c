/*
 * yield.c - one processor for all: a goroutine that lets others run, and one that ends in the middle of a call.
 *
 * Build    cc yield.c $(pkg-config --cflags --libs weft) -o yield
 */
#include <stdatomic.h>
#include <stdio.h>
#include <weft/weft.h>

static atomic_bool may_go, gone;

static void open_door(int number)
{
    printf("door %d\n", number);
    if (number == 3)
        weft_goexit(); /* ends the goroutine, not the program, from any depth */
}

static void leave(const char *who)
{
    printf("%s has left\n", who);
    atomic_store(&gone, true);
}

static void wander(void)
{
    weft_defer(leave, "the wanderer"); /* runs also when goexit passes */
    while (!atomic_load(&may_go))
        weft_yield();
    for (int i = 1; i <= 100; i++)
        open_door(i);
}

int main(void)
{
    weft_procs(1); /* without this line there are as many as the process has CPUs */
    weft_go_named("wanderer", wander);
    printf("%zu goroutines on %d processor\n", weft_num_goroutines(), weft_procs(0));
    atomic_store(&may_go, true);
    while (!atomic_load(&gone))
        weft_yield(); /* to the end of the line: the others get on */
    while (weft_num_goroutines() > 1)
        weft_yield();
    printf("goroutine %d, main, is alone\n", (int)weft_goid());
    return 0;
}
