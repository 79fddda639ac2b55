/*
 * listen.c - listeners and bound datagram sockets.
 *
 * Role    weft_listen, weft_accept, weft_listen_packet; sockets that somebody else made. Near fd.c (lives, waits), addr.c. Layer 4.
 *
 * Invariants
 *   N3  A listener's memory is given back only after 1,024 more listeners have been closed, so that the accept loop that
 *       has just started its last connection finds WEFT_ECLOSED and not freed memory.
 *
 * Options that accepted sockets need (TCP_NODELAY, keep-alive) are set on the listener: Linux hands them down.
 * Locks   grave.lock: leaf. Limits backlog 65,535 or as asked, cut by net.core.somaxconn. Failure: as the kernel says.
 * Source  Go net.Listen, TCPListener.
 */
#include <string.h>

#include "../sys/sys.h"
#include "conn_int.h"

struct weft_listener {
    struct weft__fd f;             /* first: weft__fd.gone gets its address */
    bool is_unix;                  /* [const] */
    bool ours;                     /* [const] made here: nobody else has the socket */
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

static const struct weft_listen_opts listen_plain;

/* Options of a socket before it is bound. 0 or -errno. */
static int listen_set(int fd, int family, bool datagram, bool both_families, const struct weft_listen_opts *o)
{
    int err = 0, idle = o->keepalive_s == 0 ? 15 : o->keepalive_s;
    if (o->rcvbuf > 0)
        (void)weft__sock_set(fd, SOL_SOCKET, SO_RCVBUF, o->rcvbuf); /* comforts: a socket without them still serves */
    if (o->sndbuf > 0)
        (void)weft__sock_set(fd, SOL_SOCKET, SO_SNDBUF, o->sndbuf);
    if (family == AF_UNIX)
        return 0;
    if (family == AF_INET6)
        err = weft__sock_set(fd, IPPROTO_IPV6, IPV6_V6ONLY, !both_families);
    if (!err && o->reuse_port)
        err = weft__sock_set(fd, SOL_SOCKET, SO_REUSEPORT, 1);
    if (err || datagram)
        return err;
    if (!o->delay)
        (void)weft__sock_set(fd, IPPROTO_TCP, TCP_NODELAY, 1);
    if (idle > 0) {
        (void)weft__sock_set(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
        (void)weft__sock_set(fd, IPPROTO_TCP, TCP_KEEPIDLE, idle);
        (void)weft__sock_set(fd, IPPROTO_TCP, TCP_KEEPINTVL, idle);
    }
    return weft__sock_set(fd, SOL_SOCKET, SO_REUSEADDR, 1);
}

/* A bound socket of one address. Descriptor or -errno. */
static int listen_bind(const struct weft__saddr *a, bool datagram, bool both_families, const struct weft_listen_opts *o)
{
    int family = a->u.sa.sa_family;
    int fd = weft__sock_new(family, datagram ? SOCK_DGRAM : SOCK_STREAM);
    if (fd < 0)
        return fd;
    int err = listen_set(fd, family, datagram, both_families, o);
    if (!err && bind(fd, &a->u.sa, a->len) < 0)
        err = -errno;
    if (!err && !datagram && listen(fd, o->backlog > 0 ? o->backlog : 65535) < 0)
        err = -errno;
    if (err) {
        weft__sock_close(fd);
        return err;
    }
    return fd;
}

/* A bound socket for network and address text; tries the addresses of a name in order. Descriptor or an error. */
static WEFT_PARKS int listen_open(const struct weft__network *net, const char *addr, const struct weft_listen_opts *o)
{
    struct weft__saddr a;
    weft_addr list[8];
    if (net->is_unix) {
        weft_err err = weft__addr_unix(addr, &a);
        return err ? err : listen_bind(&a, net->datagram, false, o);
    }
    int count = weft__net_resolve(NULL, net, addr, true, list, 8, NULL), first = 0;
    for (int i = 0; i < count; i++) {
        a.len = list[i].len;
        memcpy(&a.u, &list[i].u, sizeof list[i].u);
        bool any6 = a.u.sa.sa_family == AF_INET6 && IN6_IS_ADDR_UNSPECIFIED(&a.u.in6.sin6_addr);
        int fd = listen_bind(&a, net->datagram, any6 && net->family == AF_UNSPEC && !o->ipv6_only, o);
        if (fd >= 0)
            return fd;
        if (first == 0)
            first = fd;
    }
    return count < 0 ? count : first;
}

/* A listener around a listening socket; on error fd is still the caller's. */
static weft_err listen_new(int fd, bool is_unix, weft_listener **ret_ln)
{
    weft_listener *ln = weft__sys_alloc(sizeof *ln);
    weft_err err = ln ? weft__fd_init(&ln->f, fd, false, listen_gone) : WEFT_ENOMEM;
    if (err) {
        weft__sys_free(ln);
        return err;
    }
    ln->is_unix = is_unix;
    ln->f.taken = weft__pd_take_begin(ln->f.pd, WEFT__TAKE_FDS);
    *ret_ln = ln;
    return 0;
}

/* accept(2), or what the poller has accepted. Descriptor, -EAGAIN or -errno. */
static int listen_accept(struct weft__fd *f)
{
    int fd;
    return weft__unlikely(f->taken) && weft__pd_take_fd(f->pd, &fd) ? fd : weft__sock_accept(f->fd);
}

weft_err weft_listen_with(weft_listener **ret_ln, const char *network, const char *addr, const struct weft_listen_opts *opts)
{
    struct weft__network net = weft__network_of(network);
    if (!net.ok || net.datagram)
        return WEFT_ENETWORK;
    int fd = listen_open(&net, addr, opts ? opts : &listen_plain);
    if (fd < 0)
        return fd;
    weft_err err = listen_new(fd, net.is_unix, ret_ln);
    if (err) {
        weft__sock_close(fd);
        return err;
    }
    (*ret_ln)->ours = true;
    if (net.is_unix && *addr != '@')
        memcpy((*ret_ln)->path, addr, strlen(addr) + 1);
    return 0;
}

weft_err weft_listen(weft_listener **ret_ln, const char *network, const char *addr)
{
    return weft_listen_with(ret_ln, network, addr, NULL);
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
        int fd = listen_accept(&ln->f);
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

void weft__listener_peers_first(weft_listener *ln)
{
    if (!ln->ours || ln->is_unix || weft__fd_enter(&ln->f, 0) != 0)
        return;
    (void)weft__sock_set(ln->f.fd, IPPROTO_TCP, TCP_DEFER_ACCEPT, 1); /* a comfort: without it they come earlier */
    weft__fd_leave(&ln->f, 0);
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

weft_err weft_listen_packet_with(weft_conn **ret_conn, const char *network, const char *addr, const struct weft_listen_opts *opts)
{
    struct weft__network net = weft__network_of(network);
    if (!net.ok || !net.datagram)
        return WEFT_ENETWORK;
    int fd = listen_open(&net, addr, opts ? opts : &listen_plain);
    return fd < 0 ? fd : weft__conn_new(fd, false, true, ret_conn);
}

weft_err weft_listen_packet(weft_conn **ret_conn, const char *network, const char *addr)
{
    return weft_listen_packet_with(ret_conn, network, addr, NULL);
}

/* ---- descriptors from elsewhere ---- */

/* The family and type of a socket of one of ours, or an error. */
static weft_err listen_kind(int fd, int *ret_family, int *ret_type, int *ret_listens)
{
    socklen_t n = sizeof *ret_family;
    if (getsockopt(fd, SOL_SOCKET, SO_DOMAIN, ret_family, &n) < 0 || getsockopt(fd, SOL_SOCKET, SO_TYPE, ret_type, &n) < 0 ||
        getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, ret_listens, &n) < 0)
        return -errno;
    bool family = *ret_family == AF_INET || *ret_family == AF_INET6 || *ret_family == AF_UNIX;
    return family && (*ret_type == SOCK_STREAM || *ret_type == SOCK_DGRAM) ? 0 : WEFT_EUNSUPPORTED;
}

weft_err weft_listener_take_fd(int fd, weft_listener **ret_ln)
{
    int family, type, listens;
    weft_err err = listen_kind(fd, &family, &type, &listens);
    if (!err && !listens)
        err = WEFT_EUNSUPPORTED;
    if (!err)
        err = weft__sock_nonblock(fd);
    return err ? err : listen_new(fd, family == AF_UNIX, ret_ln);
}

weft_err weft_conn_take_fd(int fd, weft_conn **ret_conn)
{
    int family, type, listens;
    weft_err err = listen_kind(fd, &family, &type, &listens);
    if (!err && listens)
        err = WEFT_EUNSUPPORTED;
    if (!err)
        err = weft__sock_nonblock(fd);
    return err ? err : weft__conn_around(fd, family != AF_UNIX && type == SOCK_STREAM, type == SOCK_DGRAM, ret_conn);
}
