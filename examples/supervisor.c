/*
 * supervisor.c - a supervisor starts a worker again when it panics, and gives up after the third time.
 *
 * Build    cc supervisor.c $(pkg-config --cflags --libs weft) -o supervisor
 */
#include <stdio.h>
#include <weft/weft.h>

static void work(int job)
{
    if (job % 3 == 0)
        weft_panic("job %d is cursed", job);
    printf("job %d done\n", job);
}

static void worker(weft_receiver(int) jobs)
{
    weft_range(job, jobs) {
        work(job);
    }
}

static void supervise(weft_receiver(int) jobs, weft_waitgroup *wg)
{
    weft_defer(weft_waitgroup_done, wg);
    for (int panics = 0; panics < 3; panics++) {
        const char *m = weft_try(worker, jobs);
        if (!m) {
            printf("no more jobs\n");
            return;
        }
        printf("worker panicked: %s; started again\n", m);
    }
    printf("too many panics\n");
}

int main(void)
{
    weft_chan(int) jobs = weft_make(int, 8);
    weft_waitgroup wg = {0};

    weft_waitgroup_add(&wg, 1);
    weft_go_named("supervisor", supervise, jobs, &wg);
    for (int job = 1; job <= 8; job++)
        weft_send(jobs, job);
    weft_close(jobs);
    weft_waitgroup_wait(&wg);
    weft_free(jobs);
    return 0;
}
