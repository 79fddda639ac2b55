/*
 * origin.c - the server that clients are measured against: a body of a given length, from one thread with epoll.
 *
 * Role    Answers any request with BYTES of body; "GET /slow" with nothing at all, so that a fetch stays under way.
 *         bench/fetch.py runs it on the other CPU. Near client.c, the floor of clients.
 * Limits  A request must come in one piece; anything else ends its connection, and so does an answer that the socket
 *         does not take at once. Port 0 of 127.0.0.1, printed; connections to all of 127.0.0.0/8 are taken.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

static char in[65536], *answer;
static size_t answer_len;

static void answer_make(size_t bytes)
{
    answer = malloc(bytes + 256);
    if (!answer)
        exit(1);
    int n = snprintf(answer, 256, "HTTP/1.1 200 OK\r\nDate: Sat, 21 Nov 2026 12:00:00 GMT\r\nContent-Length: %zu\r\n"
                                  "Content-Type: text/plain\r\nServer: origin\r\n\r\n", bytes);
    memset(answer + n, 'x', bytes);
    answer_len = (size_t)n + bytes;
}

/* False: the connection is to be closed. */
static int conn_read(int fd)
{
    for (;;) {
        ssize_t n = recv(fd, in, sizeof in, 0);
        if (n < 0 && errno == EAGAIN)
            return 1;
        if (n < 4 || memcmp(in + n - 4, "\r\n\r\n", 4) != 0)
            return 0;
        if (memcmp(in, "GET /slow ", 10) == 0)
            return 1;
        if (send(fd, answer, answer_len, MSG_NOSIGNAL) != (ssize_t)answer_len || memmem(in, (size_t)n, "Connection: close", 17))
            return 0;
        if ((size_t)n < sizeof in)
            return 1;
    }
}

static void accept_all(int ep, int ln)
{
    int fd;
    while ((fd = accept4(ln, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
        struct epoll_event ev = {.events = EPOLLIN | EPOLLRDHUP | EPOLLET, .data.fd = fd};
        if (epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev) < 0)
            close(fd);
    }
}

static int listen_any(void)
{
    struct sockaddr_in a = {.sin_family = AF_INET};
    socklen_t len = sizeof a;
    int one = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (bind(fd, (struct sockaddr *)&a, len) < 0 || listen(fd, 4096) < 0 || getsockname(fd, (struct sockaddr *)&a, &len) < 0)
        return -1;
    printf("ready 127.0.0.1:%d\n", ntohs(a.sin_port));
    fflush(stdout);
    return fd;
}

int main(int argc, char **argv)
{
    struct rlimit r;
    struct epoll_event ev[128];
    answer_make(argc > 1 ? strtoul(argv[1], NULL, 10) : 1024);
    getrlimit(RLIMIT_NOFILE, &r);
    r.rlim_cur = r.rlim_max;
    setrlimit(RLIMIT_NOFILE, &r);
    int ep = epoll_create1(EPOLL_CLOEXEC), ln = listen_any();
    ev[0] = (struct epoll_event){.events = EPOLLIN, .data.fd = ln};
    if (ep < 0 || ln < 0 || epoll_ctl(ep, EPOLL_CTL_ADD, ln, ev) < 0) {
        perror("floor-origin");
        return 1;
    }
    for (;;) {
        int n = epoll_wait(ep, ev, 128, -1);
        for (int i = 0; i < n; i++) {
            if (ev[i].data.fd == ln)
                accept_all(ep, ln);
            else if (!conn_read(ev[i].data.fd))
                close(ev[i].data.fd);
        }
    }
}
