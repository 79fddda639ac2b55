/*
 * tls_origin.c - the floor of TLS servers: OpenSSL over one epoll loop, and the server that TLS clients are measured against.
 *
 * Role    Answers any request with BYTES of body. bench/tls.py runs it opposite to clients, on the other CPU, and as the
 *         floor of the rows of idle connections (buffers given back between records, nothing else kept for a connection).
 * Limits  A request must come in one record and an answer fit into the socket; else the connection ends. Port 0 of
 *         127.0.0.1, printed. With -k OpenSSL keeps its buffers, as it does by itself.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

static char in[65536], *answer;
static size_t answer_len;
static SSL_CTX *tls;

static void die(const char *what)
{
    fprintf(stderr, "floor-tls-origin: %s: %s\n", what, strerror(errno));
    ERR_print_errors_fp(stderr);
    exit(1);
}

static void answer_make(size_t bytes)
{
    answer = malloc(bytes + 256);
    if (!answer)
        die("malloc");
    int n = snprintf(answer, 256, "HTTP/1.1 200 OK\r\nDate: Sat, 21 Nov 2026 12:00:00 GMT\r\nContent-Length: %zu\r\n"
                                  "Content-Type: text/plain\r\nServer: origin\r\n\r\n", bytes);
    memset(answer + n, 'x', bytes);
    answer_len = (size_t)n + bytes;
}

static void conn_end(SSL *c)
{
    int fd = SSL_get_fd(c);
    SSL_set_shutdown(c, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
    SSL_free(c);
    close(fd);
}

/* What has come on a connection, the handshake first. False: it is to be ended. */
static bool conn_read(SSL *c)
{
    for (;;) {
        ERR_clear_error();
        int n = SSL_read(c, in, sizeof in);
        if (n <= 0)
            return SSL_get_error(c, n) == SSL_ERROR_WANT_READ;
        if (n < 4 || memcmp(in + n - 4, "\r\n\r\n", 4) != 0)
            return false;
        if (SSL_write(c, answer, (int)answer_len) != (int)answer_len)
            return false;
        if (memmem(in, (size_t)n, "Connection: close", 17)) {
            SSL_shutdown(c);
            return false;
        }
    }
}

static void accept_all(int ep, int ln)
{
    int fd;
    while ((fd = accept4(ln, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
        SSL *c = SSL_new(tls);
        if (!c || !SSL_set_fd(c, fd))
            die("SSL_new");
        SSL_set_accept_state(c);
        struct epoll_event ev = {.events = EPOLLIN | EPOLLRDHUP | EPOLLET, .data.ptr = c};
        if (epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev) < 0)
            die("epoll_ctl");
    }
}

static int listen_any(void)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof a;
    int one = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (bind(fd, (struct sockaddr *)&a, len) < 0 || listen(fd, 4096) < 0 || getsockname(fd, (struct sockaddr *)&a, &len) < 0)
        die("listen");
    printf("ready 127.0.0.1:%d\n", ntohs(a.sin_port));
    fflush(stdout);
    return fd;
}

static void tls_make(const char *cert, const char *key, bool keep)
{
    tls = SSL_CTX_new(TLS_server_method());
    if (!tls || SSL_CTX_use_certificate_chain_file(tls, cert) != 1 || SSL_CTX_use_PrivateKey_file(tls, key, SSL_FILETYPE_PEM) != 1)
        die("certificate");
    SSL_CTX_set_session_cache_mode(tls, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_num_tickets(tls, 1);
    SSL_CTX_set_read_ahead(tls, 1);
    if (!keep)
        SSL_CTX_set_mode(tls, SSL_MODE_RELEASE_BUFFERS);
}

int main(int argc, char **argv)
{
    struct rlimit r;
    struct epoll_event ev[128];
    bool keep = argc > 1 && strcmp(argv[1], "-k") == 0;
    argc -= keep, argv += keep;
    if (argc < 3) {
        fprintf(stderr, "usage: floor-tls-origin [-k] CERT KEY [BYTES]\n");
        return 2;
    }
    signal(SIGPIPE, SIG_IGN);
    answer_make(argc > 3 ? strtoul(argv[3], NULL, 10) : 1024);
    tls_make(argv[1], argv[2], keep);
    getrlimit(RLIMIT_NOFILE, &r);
    r.rlim_cur = r.rlim_max;
    setrlimit(RLIMIT_NOFILE, &r);
    int ep = epoll_create1(EPOLL_CLOEXEC), ln = listen_any();
    ev[0] = (struct epoll_event){.events = EPOLLIN, .data.ptr = NULL};
    if (ep < 0 || epoll_ctl(ep, EPOLL_CTL_ADD, ln, ev) < 0)
        die("epoll");
    for (;;) {
        int n = epoll_wait(ep, ev, 128, -1);
        for (int i = 0; i < n; i++) {
            if (!ev[i].data.ptr)
                accept_all(ep, ln);
            else if (!conn_read(ev[i].data.ptr))
                conn_end(ev[i].data.ptr);
        }
    }
}
