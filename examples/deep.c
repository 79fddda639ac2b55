/*
 * deep.c - stacks of different sizes: one goroutine recurses deep, and a thousand that only wait get by on little.
 *
 * Build    cc deep.c $(pkg-config --cflags --libs weft) -o deep
 */
#include <stdio.h>
#include <weft/weft.h>

/* Counts the subsets of {1 .. n} that add up to sum: as deep as n, and no way to know how much stack that takes. */
static long subsets(int n, int sum)
{
    char note[4096];

    if (n == 0)
        return sum == 0;
    snprintf(note, sizeof note, "%d of %d", n, sum);
    return subsets(n - 1, sum) + (n <= sum ? subsets(n - 1, sum - n) : 0) + (note[0] == 0);
}

static void count(int n, int sum, weft_chan(long) result)
{
    weft_send(result, subsets(n, sum));
}

static void wait_for(weft_chan(int) start, weft_chan(int) answers)
{
    weft_send(answers, weft_recv(start));
}

int main(void)
{
    weft_chan(long) result = weft_make(long);
    weft_chan(int) start = weft_make(int), answers = weft_make(int, 16);
    int sum = 0;

    weft_go_stack(4 << 20, count, 100, 14, result);
    for (int i = 0; i < 1000; i++)
        weft_go_stack(12 * 1024, wait_for, start, answers);
    printf("%ld subsets of 1 to 100 add up to 14\n", weft_recv(result));
    for (int i = 0; i < 1000; i++) {
        weft_send(start, i);
        sum += weft_recv(answers);
    }
    printf("the waiting ones add up to %d\n", sum);
    weft_free(result);
    weft_free(start);
    weft_free(answers);
    return 0;
}
