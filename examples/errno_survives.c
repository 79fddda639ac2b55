/*
 * errno_survives.c - errno belongs to the goroutine: it is the same after a wait, on whatever thread that ends.
 *
 * weft.h redefines errno so that each use asks anew where it is. What a program must not keep across a call that can park
 * (WEFT_PARKS in the headers) is an address: &errno, or that of a variable of its own that is _Thread_local.
 *
 * Build    cc errno_survives.c $(pkg-config --cflags --libs weft) -o errno_survives
 */
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <weft/weft.h>

static atomic_int wrong;

static void fail_and_wait(int i)
{
    int want = i % 2 ? ENOENT : EBADF;
    if (i % 2)
        (void)!open("/no/such/file", O_RDONLY);
    else
        (void)!close(-1);
    for (int k = 0; k < 10; k++) {
        weft_sleep(WEFT_US * (i % 7)); /* others fail in their own way meanwhile */
        if (errno != want)
            atomic_fetch_add(&wrong, 1);
    }
}

int main(void)
{
    weft_waitgroup wg = {0};
    weft_procs(4);
    for (int i = 0; i < 1000; i++)
        weft_waitgroup_go(&wg, fail_and_wait, i);
    weft_waitgroup_wait(&wg);
    printf("1000 goroutines looked at errno 10 times each: %d surprises\n", atomic_load(&wrong));

    errno = 0;
    int fd = open("/no/such/file", O_RDONLY);
    weft_err err = fd < 0 ? -errno : fd; /* from libc's manners to weft's */
    printf("as a weft_err: %s\n", weft_strerror(err));
    return 0;
}
