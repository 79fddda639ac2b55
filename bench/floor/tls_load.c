/*
 * tls_load.c - opens CONNS connections to an HTTPS server, asks once on each and lets them idle; what they take there.
 *
 * Role    For bench/tls.py: the growth of the resident anonymous memory of the process PID for each connection, SECONDS
 *         after the last answer. Here a connection is a descriptor only: its SSL is freed, and the server is told nothing.
 * Limits  One connection at a time is made. Full handshakes; the certificate is not looked at.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

static void die(const char *what)
{
    fprintf(stderr, "floor-tls-load: %s: %s\n", what, strerror(errno));
    ERR_print_errors_fp(stderr);
    exit(1);
}

static long memory_of(long pid)
{
    char path[64], line[200];
    long kb = 0;
    snprintf(path, sizeof path, "/proc/%ld/status", pid);
    FILE *f = fopen(path, "r");
    if (!f)
        die("no such process");
    while (fgets(line, sizeof line, f) && sscanf(line, "RssAnon: %ld", &kb) != 1)
        ;
    fclose(f);
    return kb * 1024;
}

/* From 16 addresses by turns: the kernel finds a free port at once. */
static int conn_open(int port, int i)
{
    int one = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in from = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(0x7f000101 + (unsigned)i % 16)};
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((unsigned short)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct timeval limit = {.tv_sec = 30};
    if (fd < 0)
        die("socket");
    setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof one);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    if (bind(fd, (struct sockaddr *)&from, sizeof from) < 0 || connect(fd, (struct sockaddr *)&to, sizeof to) < 0)
        die("connect");
    return fd;
}

static void conn_ask(SSL_CTX *tls, int fd)
{
    static const char request[] = "GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n";
    char in[8192];
    SSL *c = SSL_new(tls);
    if (!c || !SSL_set_fd(c, fd) || SSL_connect(c) != 1 || SSL_write(c, request, sizeof request - 1) < 1)
        die("handshake");
    for (int have = 0, n;; have += n) {
        n = SSL_read(c, in + have, (int)sizeof in - 1 - have);
        if (n <= 0)
            die("answer");
        in[have + n] = '\0';
        const char *end = strstr(in, "\r\n\r\n"), *len = strcasestr(in, "content-length:");
        if (strncmp(in, "HTTP/1.1 200", 12) != 0)
            die("not a 200");
        if (end && len && end + 4 - in + strtol(len + 15, NULL, 10) == have + n)
            break;
    }
    SSL_free(c);   /* without a word: the connection stays */
}

int main(int argc, char **argv)
{
    struct rlimit r;
    if (argc != 5) {
        fprintf(stderr, "usage: floor-tls-load PORT CONNS SECONDS PID\n");
        return 2;
    }
    int port = (int)strtol(argv[1], NULL, 10), conns = (int)strtol(argv[2], NULL, 10);
    long pid = strtol(argv[4], NULL, 10);
    getrlimit(RLIMIT_NOFILE, &r);
    r.rlim_cur = r.rlim_max;
    setrlimit(RLIMIT_NOFILE, &r);
    SSL_CTX *tls = SSL_CTX_new(TLS_client_method());
    if (!tls)
        die("SSL_CTX_new");
    SSL_CTX_set_session_cache_mode(tls, SSL_SESS_CACHE_OFF);
    for (int i = 0; i < 100; i++) {   /* what the first ones bring stays with the process: it is not counted */
        int fd = conn_open(port, i);
        conn_ask(tls, fd);
        close(fd);
    }
    usleep(200000);
    long before = memory_of(pid);
    for (int i = 0; i < conns; i++)
        conn_ask(tls, conn_open(port, i));
    usleep((useconds_t)(strtod(argv[3], NULL) * 1e6));
    printf("{\"conns\": %d, \"user_bytes\": %.1f}\n", conns, (double)(memory_of(pid) - before) / conns);
    return 0;
}
