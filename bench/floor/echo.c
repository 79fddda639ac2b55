/*
 * echo.c - the floor of TCP echo: a server with epoll alone, and the load for it and the other contestants.
 *
 * usage   floor-echo                                                  serve: prints "ready 127.0.0.1:PORT"
 *         floor-echo -p PORT [-c CONNS] [-b BYTES] [-s SECONDS] [-w WARM_UP] PID     load: prints one line of JSON
 *
 * Role    The server: one thread, one registration per connection for its life, recv and send, no probe for "again" after a
 *         short read. The load: CONNS connections, each sends BYTES and waits for them to come back, for SECONDS after a
 *         warm-up; the CPU time of the given process before and after. bench/echo.py runs both. Not a server to use: an answer
 *         that does not fit in the send buffer ends the connection.
 */
#include <dirent.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static char buf[65536];

static void die(const char *what)
{
    fprintf(stderr, "floor-echo: %s: %s\n", what, strerror(errno));
    exit(1);
}

static void add(int ep, int fd, uint32_t events, void *ptr)
{
    struct epoll_event ev = {.events = events, .data.ptr = ptr};
    if (epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev) < 0)
        die("epoll_ctl");
}

/* ---- the server ---- */

static void echo(int fd)
{
    for (;;) {
        ssize_t n = recv(fd, buf, 4096, 0);
        if (n < 0 && errno == EAGAIN)
            return;
        if (n <= 0 || send(fd, buf, (size_t)n, MSG_NOSIGNAL) != n)
            break;
        if (n < 4096)
            return;   /* a short read has emptied the socket: the next bytes make a new edge */
    }
    close(fd);
}

static void serve(void)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct epoll_event ev[128];
    socklen_t len = sizeof a;
    int one = 1, fd, ep = epoll_create1(EPOLL_CLOEXEC), ln = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    setsockopt(ln, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);   /* connections inherit it */
    if (ep < 0 || ln < 0 || bind(ln, (struct sockaddr *)&a, len) < 0 || listen(ln, 4096) < 0 ||
        getsockname(ln, (struct sockaddr *)&a, &len) < 0)
        die("listen");
    add(ep, ln, EPOLLIN, (void *)(intptr_t)ln);
    printf("ready 127.0.0.1:%d\n", ntohs(a.sin_port));
    fflush(stdout);
    for (;;) {
        int n = epoll_wait(ep, ev, 128, -1);
        for (int i = 0; i < n; i++) {
            if ((intptr_t)ev[i].data.ptr != ln)
                echo((int)(intptr_t)ev[i].data.ptr);
            else
                while ((fd = accept4(ln, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0)
                    add(ep, fd, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, (void *)(intptr_t)fd);
        }
    }
}

/* ---- the load ---- */

struct conn {
    int fd;
    size_t have;
};
static struct {
    int conns, bytes, port;
    double seconds, warm;
} opt = {.conns = 100, .bytes = 64, .seconds = 1, .warm = 0.3};
static uint64_t answers;

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* Nanoseconds on a CPU of all threads of a process: the scheduler's own count, not ticks. */
static uint64_t cpu_of(long pid)
{
    char path[300];
    uint64_t sum = 0;
    snprintf(path, sizeof path, "/proc/%ld/task", pid);
    DIR *d = opendir(path);
    struct dirent *e;
    while (d && (e = readdir(d))) {
        unsigned long long ns = 0;
        snprintf(path, sizeof path, "/proc/%ld/task/%.20s/schedstat", pid, e->d_name);
        FILE *f = e->d_name[0] == '.' ? NULL : fopen(path, "r");
        if (f && fscanf(f, "%llu", &ns) == 1)
            sum += ns;
        if (f)
            fclose(f);
    }
    if (!d)
        die("no such process");
    closedir(d);
    return sum;
}

static void ask(struct conn *c)
{
    c->have = 0;
    if (send(c->fd, buf, (size_t)opt.bytes, MSG_NOSIGNAL) != opt.bytes)
        die("send");
}

static void answer(struct conn *c)
{
    ssize_t n = recv(c->fd, buf, sizeof buf, 0);
    if (n < 0 && errno == EAGAIN)
        return;
    if (n <= 0)
        die("the server closed");
    c->have += (size_t)n;
    if (c->have < (size_t)opt.bytes)
        return;
    answers++;
    ask(c);
}

static void run_until(int ep, double end)
{
    struct epoll_event ev[256];
    while (now() < end) {
        int n = epoll_wait(ep, ev, 256, 20);
        for (int i = 0; i < n; i++)
            if (ev[i].events & EPOLLIN)
                answer(ev[i].data.ptr);
    }
}

static int load(long pid)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((unsigned short)opt.port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct conn *c = calloc((size_t)opt.conns, sizeof *c);
    int one = 1, ep = epoll_create1(EPOLL_CLOEXEC);
    for (int i = 0; i < opt.conns; i++) {
        c[i].fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        setsockopt(c[i].fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        if (connect(c[i].fd, (struct sockaddr *)&to, sizeof to) < 0)
            die("connect");
        add(ep, c[i].fd, EPOLLIN | EPOLLET, &c[i]);
        ask(&c[i]);
    }
    run_until(ep, now() + opt.warm);
    uint64_t cpu = cpu_of(pid), before = answers;
    double t = now();
    run_until(ep, t + opt.seconds);
    t = now() - t;
    cpu = cpu_of(pid) - cpu;
    uint64_t n = answers - before;
    printf("{\"requests\": %llu, \"seconds\": %.3f, \"cpu_us\": %.4f, \"per_s\": %.0f, \"busy\": %.3f}\n", (unsigned long long)n, t,
           n ? (double)cpu / 1e3 / (double)n : 0.0, (double)n / t, (double)cpu / 1e9 / t);
    return n ? 0 : 1;
}

int main(int argc, char **argv)
{
    int o;
    while ((o = getopt(argc, argv, "p:c:b:s:w:")) > 0) {
        if (o == 'p')
            opt.port = (int)strtol(optarg, NULL, 10);
        else if (o == 'c')
            opt.conns = (int)strtol(optarg, NULL, 10);
        else if (o == 'b')
            opt.bytes = (int)strtol(optarg, NULL, 10);
        else if (o == 's')
            opt.seconds = strtod(optarg, NULL);
        else if (o == 'w')
            opt.warm = strtod(optarg, NULL);
    }
    if (!opt.port)
        serve();
    if (optind >= argc || opt.bytes < 1 || opt.bytes > (int)sizeof buf || opt.conns < 1) {
        fprintf(stderr, "usage: floor-echo [-p PORT [-c CONNS] [-b BYTES] [-s SECONDS] [-w WARM_UP] PID]\n");
        return 2;
    }
    return load(strtol(argv[optind], NULL, 10));
}
