/*
 * load.c - load for HTTP servers from one thread, and the CPU time that the server under test spent on it.
 *
 * Role    Keeps CONNS connections busy with DEPTH requests at a time each (or one request per connection), for SECONDS
 *         after a warm-up; reads the CPU time of the given processes before and after; prints one line of JSON. With -i each
 *         connection asks once and then idles: the growth of the processes' memory is read instead, SECONDS later.
 * Limits  All answers have one length, that of the first (a hello with a Date has). An answer that is not a 200 ends the run.
 */
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

struct conn {
    int fd;
    int asked;           /* answers to come */
    size_t have;         /* bytes of the answer under way */
    bool connecting;
};

static struct {
    int conns, depth, port;
    bool each;           /* a connection per request */
    bool idle;           /* one request per connection, which then stays */
    double seconds, warm;
} opt = {.conns = 64, .depth = 1, .seconds = 1, .warm = 0.3};

static int ep;
static struct conn *conns;
static char request[64 * 256];
static size_t request_len, answer_len;
static uint64_t answers, errors;
static char in[65536];

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void die(const char *what)
{
    fprintf(stderr, "floor-load: %s: %s\n", what, strerror(errno));
    exit(1);
}

/* Nanoseconds on a CPU of all threads of a process: the scheduler's own count, not ticks. */
static uint64_t cpu_of(int pid)
{
    char path[300];
    uint64_t sum = 0;
    snprintf(path, sizeof path, "/proc/%d/task", pid);
    DIR *d = opendir(path);
    struct dirent *e;
    while (d && (e = readdir(d))) {
        unsigned long long ns = 0;
        snprintf(path, sizeof path, "/proc/%d/task/%.20s/schedstat", pid, e->d_name);
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

/* Resident anonymous bytes of the processes in argv[0 .. n). */
static long memory_of(int n, char **argv)
{
    char path[64], line[200];
    long sum = 0, kb;
    for (int i = 0; i < n; i++) {
        snprintf(path, sizeof path, "/proc/%ld/status", strtol(argv[i], NULL, 10));
        FILE *f = fopen(path, "r");
        if (!f)
            die("no such process");
        while (fgets(line, sizeof line, f))
            if (sscanf(line, "RssAnon: %ld", &kb) == 1)
                sum += kb * 1024;
        fclose(f);
    }
    return sum;
}

static void conn_open(struct conn *c)
{
    static unsigned count;
    int one = 1;
    struct sockaddr_in from = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(0x7f000101 + count++ % 16)};
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((unsigned short)opt.port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    *c = (struct conn){.fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), .connecting = true};
    if (c->fd < 0)
        die("socket");
    setsockopt(c->fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof one);
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (bind(c->fd, (struct sockaddr *)&from, sizeof from) < 0)   /* many addresses: no search for a free port */
        die("bind");
    if (connect(c->fd, (struct sockaddr *)&to, sizeof to) < 0 && errno != EINPROGRESS)
        die("connect");
    struct epoll_event ev = {.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, .data.ptr = c};
    if (epoll_ctl(ep, EPOLL_CTL_ADD, c->fd, &ev) < 0)
        die("epoll_ctl");
}

static void conn_ask(struct conn *c)
{
    if (send(c->fd, request, request_len, MSG_NOSIGNAL) != (ssize_t)request_len)
        die("send");
    c->asked = opt.depth;
}

static void conn_again(struct conn *c)
{
    close(c->fd);
    conn_open(c);
}

/* The length of answers, from the first. */
static void learn(size_t n)
{
    in[n < sizeof in ? n : sizeof in - 1] = '\0';
    const char *end = strstr(in, "\r\n\r\n"), *len = strcasestr(in, "content-length:");
    if (strncmp(in, "HTTP/1.1 200", 12) != 0 || !end || !len)
        die("not an answer that this load understands");
    answer_len = (size_t)(end + 4 - in) + strtoul(len + 15, NULL, 10);
}

/* n bytes came. */
static void conn_got(struct conn *c, size_t n)
{
    if (!answer_len)
        learn(n);
    c->have += n;
    while (c->have >= answer_len && c->asked) {
        c->have -= answer_len;
        c->asked--;
        answers++;
    }
    if (!c->asked && !opt.each && !opt.idle)
        conn_ask(c);
}

static void conn_event(struct conn *c, uint32_t events)
{
    if (c->connecting) {
        if (!(events & EPOLLOUT))
            return;
        c->connecting = false;
        conn_ask(c);
    }
    if (!(events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR)))
        return;
    for (;;) {
        ssize_t n = recv(c->fd, in, sizeof in - 1, 0);
        if (n < 0 && errno == EAGAIN)
            return;
        if (n <= 0) {
            if (!opt.each || c->asked)
                errors++;
            if (opt.idle)
                die("the server closed an idle connection");
            conn_again(c);
            return;
        }
        conn_got(c, (size_t)n);
        if ((size_t)n < sizeof in - 1 && !(events & (EPOLLRDHUP | EPOLLHUP)))
            return;
    }
}

static void run_once(void)
{
    struct epoll_event ev[256];
    int n = epoll_wait(ep, ev, 256, 20);
    for (int i = 0; i < n; i++)
        conn_event(ev[i].data.ptr, ev[i].events);
}

static void run_until(double end)
{
    while (now() < end)
        run_once();
}

static void parse(int argc, char **argv)
{
    int o;
    while ((o = getopt(argc, argv, "c:d:s:w:p:ei")) > 0) {
        if (o == 'c')
            opt.conns = (int)strtol(optarg, NULL, 10);
        else if (o == 'd')
            opt.depth = (int)strtol(optarg, NULL, 10);
        else if (o == 's')
            opt.seconds = strtod(optarg, NULL);
        else if (o == 'w')
            opt.warm = strtod(optarg, NULL);
        else if (o == 'p')
            opt.port = (int)strtol(optarg, NULL, 10);
        else if (o == 'e')
            opt.each = true;
        else if (o == 'i')
            opt.idle = true;
    }
    if (!opt.port || opt.conns < 1 || opt.depth < 1 || opt.depth > 64 || ((opt.each || opt.idle) && opt.depth != 1)) {
        fprintf(stderr, "usage: floor-load -p PORT [-c CONNS] [-d DEPTH <= 64 | -e | -i] [-s SECONDS] [-w WARM_UP] PID...\n");
        exit(2);
    }
}

/* -i: memory of the processes in argv[0 .. n) for each idle connection. */
static int run_idle(int n, char **argv)
{
    double end = now() + 60;
    long before = memory_of(n, argv);
    for (int i = 0; i < opt.conns; i++) {
        conn_open(&conns[i]);
        while (answers <= (uint64_t)i && now() < end)   /* one after the other: as few requests at a time as can be */
            run_once();
    }
    run_until(now() + opt.seconds);
    printf("{\"conns\": %llu, \"user_bytes\": %.1f}\n", (unsigned long long)answers,
           (double)(memory_of(n, argv) - before) / (double)opt.conns);
    return answers == (uint64_t)opt.conns ? 0 : 1;
}

int main(int argc, char **argv)
{
    struct rlimit r;
    parse(argc, argv);
    getrlimit(RLIMIT_NOFILE, &r);
    r.rlim_cur = r.rlim_max;
    setrlimit(RLIMIT_NOFILE, &r);
    for (int i = 0; i < opt.depth; i++)
        request_len += (size_t)snprintf(request + request_len, sizeof request - request_len,
                                       "GET / HTTP/1.1\r\nHost: 127.0.0.1:%d\r\n%s\r\n", opt.port, opt.each ? "Connection: close\r\n" : "");
    ep = epoll_create1(EPOLL_CLOEXEC);
    conns = calloc((size_t)opt.conns, sizeof *conns);
    if (opt.idle)
        return run_idle(argc - optind, argv + optind);
    for (int i = 0; i < opt.conns; i++) {
        conn_open(&conns[i]);
        if (i % 32 == 31)
            run_until(now());
    }
    run_until(now() + opt.warm);
    uint64_t cpu = 0, answers0 = answers;
    for (int i = optind; i < argc; i++)
        cpu -= cpu_of((int)strtol(argv[i], NULL, 10));
    double t = now();
    run_until(t + opt.seconds);
    t = now() - t;
    for (int i = optind; i < argc; i++)
        cpu += cpu_of((int)strtol(argv[i], NULL, 10));
    uint64_t n = answers - answers0;
    printf("{\"requests\": %llu, \"answers\": %llu, \"errors\": %llu, \"seconds\": %.3f, \"cpu_us\": %.4f, \"per_s\": %.0f}\n",
           (unsigned long long)n, (unsigned long long)answers, (unsigned long long)errors, t, n ? (double)cpu / 1e3 / (double)n : 0.0,
           (double)n / t);
    return n ? 0 : 1;
}
