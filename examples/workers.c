/*
 * workers.c - the classic worker pool: three goroutines share the work, the answers come back on one channel.
 *
 * Build    cc workers.c $(pkg-config --cflags --libs weft) -o workers
 */
#include <stdio.h>
#include <weft/weft.h>

struct answer {
    int n;
    long collatz_steps;
};

static void worker(weft_receiver(int) jobs, weft_sender(struct answer) out)
{
    weft_range (n, jobs) {
        long steps = 0;

        for (long x = n; x != 1; steps++)
            x = x % 2 ? 3 * x + 1 : x / 2;
        weft_send(out, ((struct answer){n, steps}));
    }
}

static void close_when_done(weft_waitgroup *workers, weft_chan(struct answer) out)
{
    weft_waitgroup_wait(workers);
    weft_close(out);
}

static void give_jobs(weft_chan(int) jobs, int count)
{
    for (int n = 1; n <= count; n++)
        weft_send(jobs, n);
    weft_close(jobs);
}

int main(void)
{
    weft_chan(int) jobs = weft_make(int);
    weft_chan(struct answer) answers = weft_make(struct answer, 8);
    weft_waitgroup workers = {0};
    struct answer longest = {0};
    int count = 0;

    for (int i = 0; i < 3; i++)
        weft_waitgroup_go(&workers, worker, jobs, answers);
    weft_go(give_jobs, jobs, 10000);
    weft_go(close_when_done, &workers, answers);

    weft_range (a, answers) {
        count++;
        if (a.collatz_steps > longest.collatz_steps)
            longest = a;
    }
    weft_free(jobs);
    weft_free(answers);
    printf("%d answers; the longest way is that of %d: %ld steps\n", count, longest.n, longest.collatz_steps);
    return 0;
}
