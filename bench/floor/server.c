/*
 * server.c - the floor: what an HTTP hello costs with epoll alone. Not a server to use.
 *
 * usage   floor-server [PORT [defer]]     defer: connections are accepted with their first bytes (TCP_DEFER_ACCEPT), as weft does
 *
 * Role    One thread, one epoll set, one registration per connection for its life, recv and send. It looks for the empty
 *         lines that end requests and believes everything else. bench/http.py divides other servers' CPU time by its (without defer).
 * Limits  A request that arrives in pieces is kept in 4 KiB per connection; larger ones end it. Descriptors up to 65,535.
 */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { CONNS = 65536, KEPT = 4096, READ = 65536, ANSWERS = 512 };

struct kept {
    size_t len;
    char data[KEPT];
};
static struct kept *kept[CONNS];   /* the beginning of a request, by descriptor; NULL nearly always */
static char answer[2][256];        /* [1] says Connection: close */
static size_t answer_len[2];
static time_t answer_at;
static char in[READ + KEPT], out[ANSWERS * sizeof answer[0]];

/* The Date line is made once a second. */
static void answer_make(void)
{
    time_t now = time(NULL);
    char date[40];
    struct tm t;
    if (now == answer_at)
        return;
    answer_at = now;
    strftime(date, sizeof date, "%a, %d %b %Y %H:%M:%S GMT", gmtime_r(&now, &t));
    for (int i = 0; i < 2; i++)
        answer_len[i] = (size_t)snprintf(answer[i], sizeof answer[i], "HTTP/1.1 200 OK\r\nDate: %s\r\nContent-Length: 13\r\n%s"
                                         "Content-Type: text/plain\r\n\r\nHello, World!", date, i ? "Connection: close\r\n" : "");
}

static void conn_end(int fd)
{
    free(kept[fd]);
    kept[fd] = NULL;
    close(fd);
}

static bool keep(int fd, const char *from, size_t len)
{
    if (!len)
        return true;
    if (len > KEPT)
        return false;
    kept[fd] = malloc(sizeof **kept);
    if (!kept[fd])
        return false;
    kept[fd]->len = len;
    memcpy(kept[fd]->data, from, len);
    return true;
}

/* Answers of all requests in in[0 .. len) into out: its length; *used: bytes of the requests. */
static size_t answers(size_t len, size_t *used, bool *ret_close)
{
    size_t n = 0;
    char *at = in, *end;
    bool last = false;
    while (!last && n < ANSWERS * 200 && (end = memmem(at, len - (size_t)(at - in), "\r\n\r\n", 4))) {
        last = memmem(at, (size_t)(end - at), "Connection: close", 17) != NULL;
        memcpy(out + n, answer[last], answer_len[last]);
        n += answer_len[last];
        at = end + 4;
    }
    *used = (size_t)(at - in);
    *ret_close = last;
    return n;
}

/* What has come on fd. A full answer that cannot be sent at once ends the connection: the load never does that. */
static void conn_read(int fd)
{
    for (;;) {
        size_t have = kept[fd] ? kept[fd]->len : 0, used;
        bool last;
        if (have) {
            memcpy(in, kept[fd]->data, have);
            free(kept[fd]);
            kept[fd] = NULL;
        }
        ssize_t n = recv(fd, in + have, READ, 0);
        if (n < 0 && errno == EAGAIN && keep(fd, in, have))
            return;
        if (n <= 0)
            break;
        size_t len = answers(have + (size_t)n, &used, &last);
        if ((len && send(fd, out, len, MSG_NOSIGNAL) != (ssize_t)len) || last)
            break;
        if (!keep(fd, in + used, have + (size_t)n - used))
            break;
        if (n < READ)
            return;   /* a short read has emptied the socket: the next bytes make a new edge */
    }
    conn_end(fd);
}

static void accept_all(int ep, int ln)
{
    int fd;
    while ((fd = accept4(ln, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
        struct epoll_event ev = {.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, .data.fd = fd};
        if (fd >= CONNS || epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev) < 0)
            close(fd);
    }
}

static int listen_on(int port, bool defer)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((unsigned short)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof a;
    int one = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);   /* connections inherit it */
    if (defer)
        setsockopt(fd, IPPROTO_TCP, TCP_DEFER_ACCEPT, &one, sizeof one);
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
    getrlimit(RLIMIT_NOFILE, &r);
    r.rlim_cur = r.rlim_max;
    setrlimit(RLIMIT_NOFILE, &r);
    bool defer = argc > 2 && strcmp(argv[2], "defer") == 0;
    int ep = epoll_create1(EPOLL_CLOEXEC), ln = listen_on(argc > 1 ? (int)strtol(argv[1], NULL, 10) : 0, defer);
    ev[0] = (struct epoll_event){.events = EPOLLIN, .data.fd = ln};
    if (ep < 0 || ln < 0 || epoll_ctl(ep, EPOLL_CTL_ADD, ln, ev) < 0) {
        perror("floor-server");
        return 1;
    }
    for (;;) {
        int n = epoll_wait(ep, ev, 128, -1);
        answer_make();
        for (int i = 0; i < n; i++) {
            if (ev[i].data.fd == ln)
                accept_all(ep, ln);
            else if (ev[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR | EPOLLRDHUP))
                conn_read(ev[i].data.fd);
        }
    }
}
