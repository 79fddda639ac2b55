/*
 * pipe_and_signal.c - waiting for any descriptor, and signals that arrive on a channel: both are cases of a select.
 *
 * Build    cc pipe_and_signal.c $(pkg-config --cflags --libs weft) -o pipe_and_signal
 */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>
#include <weft/weft.h>

/* Lines from a pipe that somebody else made: weft_fd_wait says when a read will not block. */
static void watch(weft_ctx *ctx, int fd, weft_sender(int) bytes)
{
    char buf[64];
    weft_defer(weft_close, bytes);
    while (weft_fd_wait(ctx, fd, WEFT_READ) >= 0) {
        ssize_t n = read(fd, buf, sizeof buf);
        if (n <= 0)
            break;
        weft_send(bytes, (int)n);
    }
}

int main(void)
{
    int fd[2], n, sig;
    if (pipe(fd) != 0 || fcntl(fd[0], F_SETFL, O_NONBLOCK) != 0)
        return 1;
    weft_chan(int) bytes = weft_make(int), signals = weft_make(int, 1);
    weft_ctx *ctx = weft_with_cancel(NULL);
    weft_defer(weft_ctx_unref, ctx);
    bool open = true;

    weft_signal_notify(signals, SIGINT, SIGUSR1); /* Ctrl+C does not end the program any more */
    weft_go(watch, ctx, fd[0], bytes);
    if (write(fd[1], "warp and weft", 13) != 13)
        return 1;
    while (open) {
        switch (weft_select(weft_on_recv_ok(bytes, &n, &open), weft_on_recv(signals, &sig))) {
        case 0:
            if (open) {
                printf("%d bytes; now somebody presses Ctrl+C\n", n);
                kill(getpid(), SIGINT); /* not raise(), which names this thread: goroutines' threads hear no signals */
            }
            break;
        case 1:
            printf("got %s: no more waiting\n", sig == SIGINT ? "SIGINT" : "another signal");
            weft_cancel(ctx);
        }
    }
    puts("the watcher has ended");
    weft_signal_stop(signals);
    weft_free(bytes);
    weft_free(signals);
    close(fd[0]);
    close(fd[1]);
    return 0;
}
