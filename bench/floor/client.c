/*
 * client.c - the floor: what an HTTP fetch costs with epoll alone. Not a client to use.
 *
 * Role    One thread, one epoll set, one registration per connection for its life; send, recv, find the empty line and
 *         the length, count the body. bench/fetch.py divides other clients' CPU time by its.
 *         -x and -r show what a slower client costs, and what comes of the order of its calls (docs/perf/limits.md).
 * Limits  Believes the answer, which must begin with its head in one piece. 64 KiB of buffer for all connections.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "../http/fetch_args.h"

enum { EVENTS = 128 };

struct conn {
    int fd;
    bool connecting;
    bool reading;        /* inside a body */
    size_t left;
};

static struct fetch_args args;
static int ep;
static char request[256], in[65536];
static size_t request_len;
static uint64_t fetches, errors;
static struct conn *answered[EVENTS];   /* with -r: what is to be asked again */
static int answered_len;

static void die(const char *what)
{
    fprintf(stderr, "floor-client: %s: %s\n", what, strerror(errno));
    exit(1);
}

static void conn_ask(struct conn *c)
{
    if (send(c->fd, request, request_len, MSG_NOSIGNAL) != (ssize_t)request_len)
        die("send");
}

static void conn_open(struct conn *c)
{
    int one = 1;
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((unsigned short)args.port),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    *c = (struct conn){.fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)};
    if (c->fd < 0)
        die("socket");
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    c->connecting = connect(c->fd, (struct sockaddr *)&to, sizeof to) < 0;
    if (c->connecting && errno != EINPROGRESS)
        die("connect");
    struct epoll_event ev = {.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, .data.ptr = c};
    if (epoll_ctl(ep, EPOLL_CTL_ADD, c->fd, &ev) < 0)
        die("epoll_ctl");
    if (!c->connecting)
        conn_ask(c);
}

static void conn_again(struct conn *c)
{
    if (args.each)
        conn_open(c);
    else
        conn_ask(c);
}

/* A whole answer: on to the next. */
static void conn_next(struct conn *c)
{
    fetches++;
    c->reading = false;
    for (double end = args.work > 0 ? fetch_now() + args.work : 0; end > 0 && fetch_now() < end;)
        ;
    if (args.each)
        close(c->fd);
    if (args.read_first)
        answered[answered_len++] = c;
    else
        conn_again(c);
}

/* n bytes have come to in. */
static void conn_got(struct conn *c, size_t n)
{
    size_t head = 0;
    if (!c->reading) {
        in[n] = '\0';
        char *end = strstr(in, "\r\n\r\n"), *len = memmem(in, n, "Content-Length:", 15);
        if (memcmp(in, "HTTP/1.1 200", 12) != 0 || !end || !len)
            die("not an answer that this client understands");
        head = (size_t)(end + 4 - in);
        c->left = strtoul(len + 15, NULL, 10);
        c->reading = true;
    }
    c->left -= n - head;
    if (c->left == 0)
        conn_next(c);
}

static void conn_event(struct conn *c, uint32_t events)
{
    if (c->connecting) {
        if (!(events & EPOLLOUT))
            return;
        c->connecting = false;
        conn_ask(c);
        return;
    }
    if (!(events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR)))
        return;
    ssize_t n = recv(c->fd, in, sizeof in - 1, 0);
    if (n < 0 && errno == EAGAIN)
        return;
    if (n <= 0) {
        errors++;
        close(c->fd);
        conn_open(c);
        return;
    }
    conn_got(c, (size_t)n);
}

static void run_until(double end)
{
    struct epoll_event ev[EVENTS];
    while (fetch_now() < end) {
        int n = epoll_wait(ep, ev, EVENTS, 20);
        answered_len = 0;
        for (int i = 0; i < n; i++)
            conn_event(ev[i].data.ptr, ev[i].events);
        for (int i = 0; i < answered_len; i++)
            conn_again(answered[i]);
    }
}

int main(int argc, char **argv)
{
    fetch_parse(argc, argv, &args);
    double before = fetch_memory();
    request_len = (size_t)snprintf(request, sizeof request, "GET /%s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nUser-Agent: floor\r\n%s\r\n",
                                   args.wait ? "slow" : "", args.port, args.each ? "Connection: close\r\n" : "");
    ep = epoll_create1(EPOLL_CLOEXEC);
    struct conn *conns = calloc((size_t)args.conns, sizeof *conns);
    for (int i = 0; i < args.conns; i++) {
        conn_open(&conns[i]);
        if (i % 32 == 31)
            run_until(fetch_now());
    }
    run_until(fetch_now() + args.warm);
    if (args.wait)
        return fetch_report_memory(args.conns, before);
    uint64_t n = fetches;
    double t = fetch_now(), cpu = fetch_cpu();
    run_until(t + args.seconds);
    return fetch_report(fetches - n, errors, fetch_now() - t, fetch_cpu() - cpu);
}
