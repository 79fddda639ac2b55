/*
 * child_pipe.c - a child process that sorts: its input is written and its output read at the same time, no thread blocks.
 *
 * weft_pipe makes pipes whose ends are registered once; the child gets blocking copies of the other two, as it expects.
 *
 * Build    cc child_pipe.c $(pkg-config --cflags --libs weft) -o child_pipe
 */
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include <weft/weft.h>

extern char **environ;

static void give_words(weft_file *to)
{
    static const char *const words[] = {"weft\n", "warp\n", "shuttle\n", "heddle\n", "selvedge\n"};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (weft_file_write(NULL, to, words[i], strlen(words[i])) < 0)
            break; /* the child has gone: -EPIPE, no signal */
    weft_file_close(to); /* the end of the child's input */
}

/* "sort", between two pipes: its ends are closed here once it has them. */
static int start_sort(weft_file *in, weft_file *out, pid_t *ret_pid)
{
    char *argv[] = {"sort", NULL};
    posix_spawn_file_actions_t acts;
    int in_fd = weft_file_fd(in), out_fd = weft_file_fd(out);
    (void)fcntl(in_fd, F_SETFL, 0);
    (void)fcntl(out_fd, F_SETFL, 0);
    posix_spawn_file_actions_init(&acts);
    posix_spawn_file_actions_adddup2(&acts, in_fd, 0);
    posix_spawn_file_actions_adddup2(&acts, out_fd, 1);
    int err = posix_spawnp(ret_pid, "sort", &acts, NULL, argv, environ);
    posix_spawn_file_actions_destroy(&acts);
    weft_file_close(in);
    weft_file_close(out);
    return err;
}

int main(void)
{
    weft_file *in_r, *in_w, *out_r, *out_w;
    char buf[256];
    ssize_t n;
    pid_t pid;
    int status;
    (void)setenv("LC_ALL", "C", 1);
    if (weft_pipe(&in_r, &in_w) < 0 || weft_pipe(&out_r, &out_w) < 0 || start_sort(in_r, out_w, &pid) != 0)
        return 1;
    weft_go(give_words, in_w);
    while ((n = weft_file_read(NULL, out_r, buf, sizeof buf)) > 0)
        fwrite(buf, 1, (size_t)n, stdout);
    weft_file_close(out_r);
    weft_block_begin();
    pid_t got = waitpid(pid, &status, 0);
    weft_block_end();
    return got == pid && status == 0 ? 0 : 1;
}
