/*
 * tls_client.c - the floor: what an HTTPS fetch costs with OpenSSL and epoll alone. Not a client to use.
 *
 * Role    One thread, one epoll set, one registration per connection; certificates are verified for 127.0.0.1. bench/tls.py
 *         divides other clients' CPU time by its. -e: a connection for each fetch, resumed; with -n never resumed.
 * Limits  Believes the answer, which must come in one record. One session for all.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "../http/fetch_args.h"

struct conn {
    int fd;
    SSL *ssl;
    bool connecting, asked;
};

static struct fetch_args args;
static int ep;
static char request[256], in[65536];
static int request_len;
static uint64_t fetches, errors;
static SSL_CTX *tls;
static SSL_SESSION *session;

static void die(const char *what)
{
    fprintf(stderr, "floor-tls-client: %s: %s\n", what, strerror(errno));
    ERR_print_errors_fp(stderr);
    exit(1);
}

static int session_new(SSL *ssl, SSL_SESSION *s)
{
    (void)ssl;
    SSL_SESSION_free(session);
    session = s;
    return 1;
}

static void conn_open(struct conn *c)
{
    int one = 1;
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((unsigned short)args.port),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    *c = (struct conn){.fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), .ssl = SSL_new(tls)};
    if (c->fd < 0 || !c->ssl || !SSL_set_fd(c->ssl, c->fd))
        die("socket");
    SSL_set_connect_state(c->ssl);
    X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(c->ssl), "127.0.0.1");
    if (session && !args.full)
        SSL_set_session(c->ssl, session);
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    c->connecting = connect(c->fd, (struct sockaddr *)&to, sizeof to) < 0;
    if (c->connecting && errno != EINPROGRESS)
        die("connect");
    struct epoll_event ev = {.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, .data.ptr = c};
    if (epoll_ctl(ep, EPOLL_CTL_ADD, c->fd, &ev) < 0)
        die("epoll_ctl");
}

static void conn_again(struct conn *c)
{
    SSL_shutdown(c->ssl);
    SSL_set_shutdown(c->ssl, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);   /* else the session is not resumed */
    SSL_free(c->ssl);
    close(c->fd);
    conn_open(c);
}

static void conn_ask(struct conn *c)
{
    c->asked = true;
    if (SSL_write(c->ssl, request, request_len) != request_len)
        die("SSL_write");
}

/* A whole answer, and on. False: it was something else. */
static bool conn_got(struct conn *c, int n)
{
    char *end, *len;
    in[n] = '\0';
    end = strstr(in, "\r\n\r\n"), len = memmem(in, (size_t)n, "Content-Length:", 15);
    if (memcmp(in, "HTTP/1.1 200", 12) != 0 || !end || !len || (end + 4 - in) + strtol(len + 15, NULL, 10) != n)
        die("not an answer that this client understands");
    fetches++;
    if (args.each)
        return false;
    conn_ask(c);
    return true;
}

static void conn_event(struct conn *c, uint32_t events)
{
    if (c->connecting && !(events & EPOLLOUT))
        return;
    c->connecting = false;
    ERR_clear_error();
    if (!c->asked) {
        int r = SSL_do_handshake(c->ssl);
        if (r != 1) {
            if (SSL_get_error(c->ssl, r) != SSL_ERROR_WANT_READ)
                die("handshake");
            return;
        }
        conn_ask(c);
    }
    for (;;) {
        int n = SSL_read(c->ssl, in, sizeof in - 1);
        if (n > 0 && conn_got(c, n))
            continue;
        if (n <= 0 && SSL_get_error(c->ssl, n) == SSL_ERROR_WANT_READ)
            return;
        errors += n <= 0;
        conn_again(c);
        return;
    }
}

static void run_until(double end)
{
    struct epoll_event ev[128];
    while (fetch_now() < end) {
        int n = epoll_wait(ep, ev, 128, 20);
        for (int i = 0; i < n; i++)
            conn_event(ev[i].data.ptr, ev[i].events);
    }
}

static void tls_make(void)
{
    tls = SSL_CTX_new(TLS_client_method());
    if (!tls || !args.ca || !SSL_CTX_load_verify_locations(tls, args.ca, NULL))
        die("authority");
    SSL_CTX_set_verify(tls, SSL_VERIFY_PEER, NULL);
    SSL_CTX_set_read_ahead(tls, 1);
    SSL_CTX_set_session_cache_mode(tls, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    if (!args.full)
        SSL_CTX_sess_set_new_cb(tls, session_new);
}

int main(int argc, char **argv)
{
    fetch_parse(argc, argv, &args);
    signal(SIGPIPE, SIG_IGN);
    tls_make();
    request_len = snprintf(request, sizeof request, "GET / HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nUser-Agent: floor\r\n%s\r\n", args.port,
                           args.each ? "Connection: close\r\n" : "");
    ep = epoll_create1(EPOLL_CLOEXEC);
    struct conn *conns = calloc((size_t)args.conns, sizeof *conns);
    for (int i = 0; i < args.conns; i++) {
        conn_open(&conns[i]);
        if (i % 8 == 7)
            run_until(fetch_now() + 0.001);
    }
    run_until(fetch_now() + args.warm);
    uint64_t n = fetches;
    double t = fetch_now(), cpu = fetch_cpu();
    run_until(t + args.seconds);
    return fetch_report(fetches - n, errors, fetch_now() - t, fetch_cpu() - cpu);
}
