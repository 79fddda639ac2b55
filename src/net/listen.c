/*
 * listen.c - listeners and bound datagram sockets.
 *
 * Role    weft_listen, weft_accept, weft_listen_packet. Near fd.c (lives, waits), addr.c. Layer 4.
 *
 * Invariants
 *   N3  A listener's memory is given back only after 1,024 more listeners have been closed, so that the accept loop that
 *       has just started its last connection finds WEFT_ECLOSED and not freed memory.
 *
 * Options that accepted sockets need (TCP_NODELAY, keep-alive) are set on the listener: Linux hands them down.
 * Locks   grave.lock: leaf. Limits backlog 65,535 cut by net.core.somaxconn. Failure: as the kernel says.
 * Source  Go net.Listen, TCPListener.
 */
#include <string.h>

#include "../sys/sys.h"
#include "conn_int.h"

struct weft_listener {
    struct weft__fd f;             /* first: weft__fd.gone gets its address */
    bool is_unix;                  /* [const] */
    char path[sizeof((struct sockaddr_un *)0)->sun_path]; /* [const] file to remove, or "" */
};

enum { LISTEN_GRAVES = 1024 };
static struct {
    struct weft__lock lock;
    weft_listener *slot[LISTEN_GRAVES]; /* [lock] closed listeners, a ring */
    uint32_t next;                      /* [lock] */
} grave;

static void listen_gone(struct weft__fd *f)
{
    weft__lock(&grave.lock);
    uint32_t i = grave.next++ % LISTEN_GRAVES;
    weft_listener *old = grave.slot[i];
    grave.slot[i] = (weft_listener *)f;
    weft__unlock(&grave.lock);
    weft__sys_free(old);
}

/* A bound socket of one address. Descriptor or -errno. */
static int listen_bind(const struct weft__saddr *a, bool datagram, bool both_families)
{
    int family = a->u.sa.sa_family;
    int fd = weft__sock_new(family, datagram ? SOCK_DGRAM : SOCK_STREAM);
    if (fd < 0)
        return fd;
    int err = 0;
    if (family == AF_INET6)
        err = weft__sock_set(fd, IPPROTO_IPV6, IPV6_V6ONLY, !both_families);
    if (!err && family != AF_UNIX && !datagram)
        err = weft__sock_set(fd, SOL_SOCKET, SO_REUSEADDR, 1);
    if (!err && bind(fd, &a->u.sa, a->len) < 0)
        err = -errno;
    if (!err && !datagram && family != AF_UNIX) {
        (void)weft__sock_set(fd, IPPROTO_TCP, TCP_NODELAY, 1); /* comforts: a socket without them still serves */
        (void)weft__sock_set(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
        (void)weft__sock_set(fd, IPPROTO_TCP, TCP_KEEPIDLE, 15);
        (void)weft__sock_set(fd, IPPROTO_TCP, TCP_KEEPINTVL, 15);
    }
    if (!err && !datagram && listen(fd, 65535) < 0)
        err = -errno;
    if (err) {
        weft__sock_close(fd);
        return err;
    }
    return fd;
}

/* A bound socket for network and address text; tries the addresses of a name in order. Descriptor or an error. */
static WEFT_PARKS int listen_open(const struct weft__network *net, const char *addr)
{
    struct weft__saddr a;
    weft_addr list[8];
    if (net->is_unix) {
        weft_err err = weft__addr_unix(addr, &a);
        return err ? err : listen_bind(&a, false, false);
    }
    int count = weft__net_resolve(NULL, net, addr, true, list, 8), first = 0;
    for (int i = 0; i < count; i++) {
        a.len = list[i].len;
        memcpy(&a.u, &list[i].u, sizeof list[i].u);
        bool any6 = a.u.sa.sa_family == AF_INET6 && IN6_IS_ADDR_UNSPECIFIED(&a.u.in6.sin6_addr);
        int fd = listen_bind(&a, net->datagram, any6 && net->family == AF_UNSPEC);
        if (fd >= 0)
            return fd;
        if (first == 0)
            first = fd;
    }
    return count < 0 ? count : first;
}

weft_err weft_listen(weft_listener **ret_ln, const char *network, const char *addr)
{
    struct weft__network net = weft__network_of(network);
    if (!net.ok || net.datagram)
        return WEFT_ENETWORK;
    int fd = listen_open(&net, addr);
    if (fd < 0)
        return fd;
    weft_listener *ln = weft__sys_alloc(sizeof *ln);
    weft_err err = ln ? weft__fd_init(&ln->f, fd, listen_gone) : WEFT_ENOMEM;
    if (err) {
        weft__sys_free(ln);
        weft__sock_close(fd);
        return err;
    }
    ln->is_unix = net.is_unix;
    if (net.is_unix && *addr != '@')
        memcpy(ln->path, addr, strlen(addr) + 1);
    *ret_ln = ln;
    return 0;
}

weft_err weft_accept(weft_ctx *ctx, weft_listener *ln, weft_conn **ret_conn)
{
    weft_err err = ctx ? weft_ctx_err(ctx) : 0;
    if (!err)
        err = weft__fd_enter(&ln->f, WEFT__FD_READING);
    if (err)
        return err;
    err = weft__pd_check(ln->f.pd, WEFT__DIR_READ);
    while (!err) {
        int fd = weft__sock_accept(ln->f.fd);
        if (fd >= 0) {
            err = weft__conn_new(fd, !ln->is_unix, false, ret_conn);
            break;
        }
        if (fd == -EAGAIN)
            err = weft__fd_wait(ctx, &ln->f, WEFT__DIR_READ);
        else if (fd != -ECONNABORTED)
            err = fd;
    }
    weft__fd_leave(&ln->f, WEFT__FD_READING);
    return err;
}

weft_err weft_listener_set_deadline(weft_listener *ln, weft_time at)
{
    weft_err err = weft__fd_enter(&ln->f, 0);
    if (err)
        return err;
    weft__pd_set_deadline(ln->f.pd, WEFT__DIR_READ, at);
    weft__fd_leave(&ln->f, 0);
    return 0;
}

int weft_listener_addr(weft_listener *ln, char *ret_buf, size_t n)
{
    struct weft__saddr a;
    weft_err err = weft__fd_enter(&ln->f, 0);
    if (err)
        return err;
    err = weft__sock_name(ln->f.fd, false, &a);
    weft__fd_leave(&ln->f, 0);
    return err ? err : weft__saddr_text(&a, ret_buf, n);
}

weft_err weft_listener_close(weft_listener *ln)
{
    if (!ln)
        return 0;
    weft_err err = weft__fd_close(&ln->f);
    if (err)
        return err;
    if (ln->path[0])
        (void)unlink(ln->path); /* somebody may have moved it: not our error */
    weft__fd_drop(&ln->f);
    return 0;
}

weft_err weft_listen_packet(weft_conn **ret_conn, const char *network, const char *addr)
{
    struct weft__network net = weft__network_of(network);
    if (!net.ok || !net.datagram)
        return WEFT_ENETWORK;
    int fd = listen_open(&net, addr);
    return fd < 0 ? fd : weft__conn_new(fd, false, true, ret_conn);
}
