/*
 * short_names.c - weft/short.h, on request only: the same words without the prefix, for programs that like it terse.
 *
 * Names that libc has taken keep theirs: weft_send, weft_recv, weft_select, weft_close, weft_free, weft_sleep.
 *
 * Build    cc short_names.c $(pkg-config --cflags --libs weft) -o short_names
 */
#include <stdio.h>
#include <weft/short.h>

static void fibonacci(sender(int) out, receiver(int) quit)
{
    int x = 0, y = 1;
    for (;;) {
        select_begin
        when_send(out, x) {
            int next = x + y;
            x = y;
            y = next;
        }
        when_recv(reason, quit) {
            printf("quit, reason %d\n", reason);
            weft_close(out);
            return;
        }
        select_end
    }
}

static void stop_after(receiver(int) in, sender(int) quit, int n)
{
    while (n-- > 0)
        printf("%d ", weft_recv(in));
    puts("");
    weft_send(quit, 7);
}

int main(void)
{
    chan(int) numbers = make(int);
    chan(int) quit = make(int);

    go(fibonacci, numbers, quit);
    stop_after(numbers, quit, 12);
    range(rest, numbers) {
        printf("one more: %d\n", rest);
    }
    printf("len %zu, cap %zu\n", len(numbers), cap(numbers));
    weft_free(numbers);
    weft_free(quit);
    return 0;
}
