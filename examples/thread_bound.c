/*
 * thread_bound.c - a library that must always be called from one thread, and a call that blocks its thread.
 *
 * A goroutine may wake on another thread than it slept on. weft_lock_thread ties it to the one it is on, for libraries
 * that keep a state per thread (OpenGL, some databases). weft_block_begin and _end tell the runtime that a call is going
 * to block, so that the processor serves others meanwhile.
 *
 * Build    cc thread_bound.c $(pkg-config --cflags --libs weft) -o thread_bound
 */
#include <pthread.h>
#include <stdio.h>
#include <unistd.h>
#include <weft/weft.h>

static void owner_of_the_context(weft_receiver(int) orders, weft_sender(bool) same_thread)
{
    weft_lock_thread();
    pthread_t home = pthread_self(); /* as good as "the context that is current here" */
    weft_range(order, orders) {
        (void)order;
        weft_send(same_thread, (bool)pthread_equal(home, pthread_self()));
    }
    weft_close(same_thread);
    weft_unlock_thread();
}

static void slow_read(int fd, weft_sender(char) out)
{
    char c = '?';
    weft_block_begin();
    ssize_t n = read(fd, &c, 1); /* blocks the thread, not the others */
    weft_block_end();
    weft_send(out, n == 1 ? c : '?');
}

int main(void)
{
    weft_chan(int) orders = weft_make(int);
    weft_chan(bool) same = weft_make(bool);
    weft_chan(char) letter = weft_make(char);
    int pipe_fd[2], good = 0;

    if (pipe(pipe_fd) != 0)
        return 1;
    weft_procs(1);
    weft_go(slow_read, pipe_fd[0], letter);
    weft_go(owner_of_the_context, orders, same);
    for (int i = 0; i < 100; i++) {
        weft_send(orders, i);
        good += weft_recv(same);
    }
    weft_close(orders);
    (void)weft_recv_ok(same, NULL); /* closed: the owner has no more use for either channel */
    printf("%d of 100 orders ran on the thread of the first\n", good);
    if (write(pipe_fd[1], "w", 1) == 1)
        printf("and the blocked read got '%c'\n", weft_recv(letter));
    weft_free(orders);
    weft_free(same);
    weft_free(letter);
    return 0;
}
