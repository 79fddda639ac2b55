/*
 * hold.c - opens CONNS connections to an HTTP server, asks once on each, and holds them.
 *
 * Role    For bench/connections.py, one process per server process. "held N" when all are answered; then for each number K on
 *         a line of stdin it asks once more on K of them, spread over all, and prints "answered N MICROSECONDS", the time that
 *         an answer took on the average. Ends with stdin. One connection's memory here is a descriptor.
 * Limits  CONNS below the limit of descriptors. Connections come from the addresses 127.1.SERIES.0 to .15 by turns, whose
 *         ports the kernel chooses for the pair of addresses. They end by a reset, so that no port stays taken.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static int *conns;

static void die(const char *what)
{
    fprintf(stderr, "floor-hold: %s: %s\n", what, strerror(errno));
    exit(1);
}

static int conn_open(int series, int port, int i)
{
    int one = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in from = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(0x7f010000 + (unsigned)series * 256 + (unsigned)i % 16)};
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((unsigned short)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct timeval limit = {.tv_sec = 60};
    struct linger reset = {.l_onoff = 1};
    if (fd < 0)
        die("socket");
    setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof one);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
    if (bind(fd, (struct sockaddr *)&from, sizeof from) < 0 || connect(fd, (struct sockaddr *)&to, sizeof to) < 0)
        die("connect");
    return fd;
}

static void conn_ask(int fd)
{
    static const char request[] = "GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n";
    char in[2048];
    if (send(fd, request, sizeof request - 1, MSG_NOSIGNAL) != sizeof request - 1)
        die("send");
    for (size_t have = 0;;) {
        ssize_t n = recv(fd, in + have, sizeof in - 1 - have, 0);
        if (n <= 0)
            die("an answer did not come");
        have += (size_t)n;
        in[have] = '\0';
        if (have >= 12 && strncmp(in, "HTTP/1.1 200", 12) != 0)
            die("not a 200");
        const char *end = strstr(in, "\r\n\r\n"), *len = strcasestr(in, "content-length:");
        if (end && len && (size_t)(end + 4 - in) + strtoul(len + 15, NULL, 10) == have)
            return;
    }
}

int main(int argc, char **argv)
{
    struct rlimit r;
    char line[64];
    if (argc != 4) {
        fprintf(stderr, "usage: floor-hold SERIES PORT CONNS\n");
        return 2;
    }
    int series = (int)strtol(argv[1], NULL, 10), port = (int)strtol(argv[2], NULL, 10), n = (int)strtol(argv[3], NULL, 10);
    getrlimit(RLIMIT_NOFILE, &r);
    r.rlim_cur = r.rlim_max;
    setrlimit(RLIMIT_NOFILE, &r);
    conns = calloc((size_t)n, sizeof *conns);
    for (int i = 0; i < n; i++) {
        conns[i] = conn_open(series, port, i);
        conn_ask(conns[i]);
    }
    printf("held %d\n", n);
    fflush(stdout);
    while (fgets(line, sizeof line, stdin)) {
        struct timespec a, b;
        int k = (int)strtol(line, NULL, 10);
        clock_gettime(CLOCK_MONOTONIC, &a);
        for (int i = 0; i < k; i++)
            conn_ask(conns[(long)i * n / k]);
        clock_gettime(CLOCK_MONOTONIC, &b);
        printf("answered %d %.1f\n", k, ((double)(b.tv_sec - a.tv_sec) * 1e9 + (double)(b.tv_nsec - a.tv_nsec)) / 1e3 / (k ? k : 1));
        fflush(stdout);
    }
    return 0;
}
