/*
 * blocked.c HOW N ROUNDS - what a blocking call of foreign code costs on a goroutine, by ways of doing it; ADR 0007.
 *
 * N callers each send 64 bytes to a process beside and wait for the echo, ROUNDS times. The first round is answered only when
 * all N wait: then the memory is taken. HOW:
 *   keep     goroutines, read(2) through libweft-posix: the thread waits, the processor is handed on
 *   hop      the same, but each caller passes a weft channel between calls, so that it has a processor to hand on each time
 *   park     goroutines, weft_fd_wait and recv: parked, any thread goes on with them (what libweft-posix does not do)
 *   monitor  goroutines, the bare system call: the monitor notices
 *   thread   a pthread each, no goroutine
 */
#include <pthread.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include <weft/weft.h>

#include "../../tests/e2e/posix_e2e.h"

enum { MSG = 64, CALLERS_MAX = 9000 };
static int fds[CALLERS_MAX][2], n, rounds;
static const char *how;
static weft_chan(int) token;

/* The process beside: echoes, the first message of each only when all have sent one. */
static void echo_all(void)
{
    static char first[CALLERS_MAX], buf[MSG];
    struct epoll_event ev[64];
    int ep = epoll_create1(EPOLL_CLOEXEC), come = 0;

    for (int i = 0; i < n; i++) {
        ev[0] = (struct epoll_event){.events = EPOLLIN, .data.u32 = (uint32_t)i};
        epoll_ctl(ep, EPOLL_CTL_ADD, fds[i][1], &ev[0]);
        close(fds[i][0]);
    }
    for (int left = n; left > 0;) {
        int k = epoll_wait(ep, ev, 64, -1);
        for (int j = 0; j < k; j++) {
            int i = (int)ev[j].data.u32;
            if (recv(fds[i][1], buf, MSG, 0) != MSG) {
                epoll_ctl(ep, EPOLL_CTL_DEL, fds[i][1], NULL);
                left--;
            } else if (first[i]) {
                (void)!send(fds[i][1], buf, MSG, MSG_NOSIGNAL);
            } else {
                first[i] = 1;
                if (++come == n) {
                    sleep(1); /* they are all in their calls, and their memory is being looked at */
                    for (int x = 0; x < n; x++)
                        (void)!send(fds[x][1], buf, MSG, MSG_NOSIGNAL);
                }
            }
        }
    }
}

static _Atomic int sent;

static void one_call(int fd)
{
    char buf[MSG] = "q";
    ssize_t r;

    if (send(fd, buf, MSG, MSG_NOSIGNAL) != MSG)
        die("send");
    atomic_fetch_add_explicit(&sent, 1, memory_order_relaxed);
    if (strcmp(how, "park") == 0) {
        while ((r = recv(fd, buf, MSG, MSG_DONTWAIT)) < 0)
            if (weft_fd_wait(NULL, fd, WEFT_READ) < 0)
                die("weft_fd_wait");
    } else if (strcmp(how, "monitor") == 0) {
        r = syscall(SYS_recvfrom, fd, buf, MSG, 0, NULL, NULL);
    } else {
        r = recv(fd, buf, MSG, 0);
    }
    if (r != MSG)
        die("recv");
}

static void caller(int i)
{
    for (int k = 0; k < rounds; k++) {
        one_call(fds[i][0]);
        if (strcmp(how, "hop") == 0)
            weft_yield();
    }
    close(fds[i][0]);
}

static void *caller_thread(void *arg)
{
    caller((int)(intptr_t)arg);
    return NULL;
}

static size_t kernel_stacks_kib(void)
{
    FILE *f = fopen("/proc/meminfo", "re");
    char line[256];
    size_t k = 0;

    while (f && fgets(line, sizeof line, f))
        if (sscanf(line, "KernelStack: %zu", &k) == 1)
            break;
    fclose(f);
    return k;
}

static double cpu_s(void)
{
    struct rusage u;

    getrusage(RUSAGE_SELF, &u);
    return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) + 1e-6 * (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec);
}

int main(int argc, char **argv)
{
    static pthread_t t[CALLERS_MAX];
    weft_waitgroup wg = {0};
    pthread_attr_t a;

    how = argc == 4 ? argv[1] : "";
    n = argc == 4 ? (int)strtol(argv[2], NULL, 10) : 0, rounds = n ? (int)strtol(argv[3], NULL, 10) : 0;
    if (n < 1 || n > CALLERS_MAX || rounds < 1)
        die("usage: blocked keep|hop|park|monitor|thread N ROUNDS");
    for (int i = 0; i < n; i++)
        if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds[i]) != 0)
            die("socketpair %d", i);
    pid_t child = fork();
    if (child == 0) {
        echo_all();
        _exit(0);
    }
    for (int i = 0; i < n; i++)
        close(fds[i][1]);
    bool plain = strcmp(how, "thread") == 0;
    token = plain ? NULL : weft_make(int);
    if (!plain)
        weft_yield();
    size_t rss = rss_kib(), kst = kernel_stacks_kib();
    pthread_attr_init(&a);
    pthread_attr_setstacksize(&a, 64 * 1024);
    for (int i = 0; i < n; i++)
        if (plain)
            pthread_create(&t[i], &a, caller_thread, (void *)(intptr_t)i);
        else
            weft_waitgroup_go(&wg, caller, i);
    while (atomic_load_explicit(&sent, memory_order_relaxed) < n)
        plain ? (void)usleep(1000) : weft_sleep(WEFT_MS);
    plain ? (void)usleep(300000) : weft_sleep(300 * WEFT_MS);
    size_t rss2 = rss_kib(), kst2 = kernel_stacks_kib();
    int threads = thread_count();
    double before = cpu_s();
    for (int i = 0; i < n && plain; i++)
        pthread_join(t[i], NULL);
    weft_waitgroup_wait(&wg);
    double used = cpu_s() - before;
    waitpid(child, NULL, 0);
    printf("%-8s n %5d threads %5d user_kib_each %6.1f kernel_stack_kib_each %5.1f cpu_us_per_call %6.2f\n", how, n, threads,
           (double)(rss2 - rss) / n, ((double)kst2 - (double)kst) / n, rounds > 1 ? used * 1e6 / ((double)n * (rounds - 1)) : 0);
    return 0;
}
