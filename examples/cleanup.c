/*
 * cleanup.c - deferred calls: whatever way a block is left, what was opened is closed, in the opposite order.
 *
 * Build    cc cleanup.c $(pkg-config --cflags --libs weft) -o cleanup
 */
#include <stdio.h>
#include <weft/weft.h>

static weft_mutex lock;
static int balance = 100;

static void closed(const char *what, int id)
{
    printf("  close %s %d\n", what, id);
}

static int open_it(const char *what, int id)
{
    printf("  open %s %d\n", what, id);
    return id;
}

static void withdraw(int amount)
{
    weft_mutex_lock(&lock);
    weft_defer(weft_mutex_unlock, &lock);
    if (amount > balance)
        weft_panic("cannot withdraw %d of %d", amount, balance);
    balance -= amount;
}

static int transfer(int id, int amount)
{
    int in = open_it("source", id);
    weft_defer(closed, "source", in);
    int out = open_it("target", id + 1);
    weft_defer(closed, "target", out);
    if (amount == 0)
        return 0;
    withdraw(amount);
    return 1;
}

int main(void)
{
    int amounts[] = {0, 60, 70};

    for (int i = 0; i < 3; i++) {
        printf("transfer of %d\n", amounts[i]);
        const char *problem = weft_try(transfer, 10 * i, amounts[i]);
        if (problem)
            printf("  panic stopped: %s\n", problem);
    }
    withdraw(40); /* the mutex was unlocked by the panic, too */
    printf("%d left\n", balance);
    return 0;
}
