/*
 * sieve.c - primes by a chain of goroutines, each of which drops the multiples of one prime (Doug McIlroy's sieve).
 *
 * Build    cc sieve.c $(pkg-config --cflags --libs weft) -o sieve
 */
#include <stdio.h>
#include <weft/weft.h>

static void generate(weft_sender(int) out)
{
    for (int i = 2;; i++)
        weft_send(out, i);
}

static void filter(weft_receiver(int) in, weft_sender(int) out, int prime)
{
    for (;;) {
        int i = weft_recv(in);

        if (i % prime)
            weft_send(out, i);
    }
}

int main(void)
{
    weft_chan(int) ch = weft_make(int);

    weft_go(generate, ch);
    for (int i = 0; i < 100; i++) {
        int prime = weft_recv(ch);
        weft_chan(int) next = weft_make(int);

        printf("%d%c", prime, i % 10 == 9 ? '\n' : ' ');
        weft_go(filter, ch, next, prime);
        ch = next;
    }
    return 0;
}
