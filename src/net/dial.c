/*
 * dial.c - connecting.
 *
 * Role    weft_dial: resolve, ask the caller's rule about each address, try them in order. Near addr.c, dns/, fd.c.
 *
 * Invariants
 *   D1  No packet goes to an address that opts->allow refused: it is asked between resolution and socket(2), about the
 *       very bytes that connect(2) then gets.
 *   D2  A time limit is shared: each address gets what is left divided by the addresses left, at least 2 s (Go's rule).
 *
 * connect(2) is asked again instead of SO_ERROR: it says 0 or EISCONN, EALREADY or the reason, and on loopback the second
 * call mostly finds the connection made, so that nobody parks. The socket is registered only after the first call:
 * before it, epoll would report the unconnected socket as hung up.
 * Limits  16 addresses. Not so: racing IPv6 against IPv4 (RFC 8305): one after another (docs/status.md).
 * Source  Go net/dial.go, fd_unix.go; ip(7) IP_BIND_ADDRESS_NO_PORT.
 */
#include <arpa/inet.h>
#include <string.h>

#include "conn_int.h"

enum { DIAL_ADDRS = 16, DIAL_SELF_RETRIES = 3 };

/* One call of weft_dial. */
struct dial {
    weft_ctx *ctx;
    const struct weft_dial_opts *opts;
    struct weft__network net;
    weft_time until;               /* 0: no limit known */
};

static int dial_bind(int fd, const char *text, int family)
{
    weft_addr a;
    weft_err err = weft_addr_parse(&a, text);
    if (err)
        return err;
    if (a.u.sa.sa_family != family)
        return -EADDRNOTAVAIL;
    if (a.u.in4.sin_port == 0) /* at the same place for both families */
        (void)weft__sock_set(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1);
    return bind(fd, &a.u.sa, a.len) < 0 ? -errno : 0;
}

/* A socket with the options set, not connected. */
static int dial_socket(const struct dial *d, int family)
{
    const struct weft_dial_opts *o = d->opts;
    int fd = weft__sock_new(family, d->net.datagram ? SOCK_DGRAM : SOCK_STREAM);
    if (fd < 0)
        return fd;
    if (!d->net.datagram && !d->net.is_unix) {
        int idle = o->keepalive_s == 0 ? 15 : o->keepalive_s;
        if (!o->delay)
            (void)weft__sock_set(fd, IPPROTO_TCP, TCP_NODELAY, 1);
        if (idle > 0) {
            (void)weft__sock_set(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
            (void)weft__sock_set(fd, IPPROTO_TCP, TCP_KEEPIDLE, idle);
            (void)weft__sock_set(fd, IPPROTO_TCP, TCP_KEEPINTVL, idle);
        }
    }
    if (o->rcvbuf > 0)
        (void)weft__sock_set(fd, SOL_SOCKET, SO_RCVBUF, o->rcvbuf);
    if (o->sndbuf > 0)
        (void)weft__sock_set(fd, SOL_SOCKET, SO_SNDBUF, o->sndbuf);
    int err = o->local_addr && !d->net.is_unix ? dial_bind(fd, o->local_addr, family) : 0;
    if (err) {
        weft__sock_close(fd);
        return err;
    }
    return fd;
}

/* Wait for a connect that is under way. */
static WEFT_PARKS weft_err dial_wait(const struct dial *d, weft_conn *conn, const struct weft__saddr *to, weft_time until)
{
    weft_err err = 0;
    weft__pd_set_deadline(conn->f.pd, WEFT__DIR_WRITE, until);
    while (!err) {
        err = weft__sock_connect(conn->f.fd, to);
        if (err == 0 || err == -EISCONN) {
            weft__pd_set_deadline(conn->f.pd, WEFT__DIR_WRITE, 0);
            return 0;
        }
        if (err == -EALREADY || err == -EINPROGRESS)
            err = weft__fd_wait(d->ctx, &conn->f, WEFT__DIR_WRITE);
    }
    return err;
}

static WEFT_PARKS weft_err dial_one(const struct dial *d, const struct weft__saddr *to, weft_time until,
                                    weft_conn **ret_conn)
{
    weft_conn *conn;
    int fd = dial_socket(d, to->u.sa.sa_family);
    if (fd < 0)
        return fd;
    weft_err err = weft__sock_connect(fd, to);
    if (err && err != -EINPROGRESS) {
        weft__sock_close(fd);
        return err;
    }
    bool under_way = err != 0;
    err = weft__conn_new(fd, !d->net.is_unix && !d->net.datagram, d->net.datagram, &conn);
    if (err)
        return err;
    if (under_way && (err = dial_wait(d, conn, to, until)) != 0) {
        weft_conn_close(conn);
        return err;
    }
    *ret_conn = conn;
    return 0;
}

/* A port of loopback that nobody listens on may be given to the dialling socket itself, which then talks to itself. */
static bool dial_met_itself(weft_conn *conn, const struct weft__saddr *to)
{
    struct weft__saddr me;
    bool loopback = to->u.sa.sa_family == AF_INET ? ntohl(to->u.in4.sin_addr.s_addr) >> 24 == 127
                                                  : IN6_IS_ADDR_LOOPBACK(&to->u.in6.sin6_addr);
    if (!loopback || weft__sock_name(conn->f.fd, false, &me) != 0)
        return false;
    if (me.u.sa.sa_family == AF_INET)
        return me.u.in4.sin_port == to->u.in4.sin_port && me.u.in4.sin_addr.s_addr == to->u.in4.sin_addr.s_addr;
    return me.u.in6.sin6_port == to->u.in6.sin6_port &&
           memcmp(&me.u.in6.sin6_addr, &to->u.in6.sin6_addr, sizeof me.u.in6.sin6_addr) == 0;
}

static WEFT_PARKS weft_err dial_addr(const struct dial *d, const weft_addr *a, weft_time until, weft_conn **ret_conn)
{
    struct weft__saddr to = {.len = a->len};
    memcpy(&to.u, &a->u, sizeof a->u);
    for (int i = 0; i < DIAL_SELF_RETRIES; i++) {
        weft_conn *conn;
        weft_err err = dial_one(d, &to, until, &conn);
        if (err)
            return err;
        if (!conn->f.tcp || !dial_met_itself(conn, &to)) {
            *ret_conn = conn;
            return 0;
        }
        weft_conn_close(conn);
    }
    return -ECONNREFUSED;
}

/* D2: when the try of the next of `left` addresses must end; 0 for no limit. */
static weft_time dial_share(weft_time until, int left)
{
    weft_time now = until != 0 ? weft__now() : 0;
    weft_dur rest = until - now, share = rest / left;
    if (until == 0)
        return 0;
    if (share < 2 * WEFT_SEC)
        share = rest < 2 * WEFT_SEC ? rest : 2 * WEFT_SEC;
    return now + share;
}

static WEFT_PARKS weft_err dial_all(const struct dial *d, const weft_addr *list, int count, weft_conn **ret_conn)
{
    weft_err first = 0;
    for (int i = 0; i < count; i++) {
        weft_err err = WEFT_EDENIED;
        if (!d->opts->allow || d->opts->allow(&list[i].u.sa, d->opts->allow_arg)) /* D1 */
            err = dial_addr(d, &list[i], dial_share(d->until, count - i), ret_conn);
        if (err == 0)
            return 0;
        if (first == 0 || (first == WEFT_EDENIED && err != WEFT_EDENIED))
            first = err;
        weft_err over = d->ctx ? weft_ctx_err(d->ctx) : 0;
        if (over)
            return over;
    }
    return first;
}

static WEFT_PARKS weft_err dial_run(struct dial *d, const char *addr, weft_conn **ret_conn)
{
    weft_addr list[DIAL_ADDRS];
    if (d->ctx) {
        weft_err err = weft_ctx_err(d->ctx);
        if (err)
            return err;
        if (!weft_ctx_deadline(d->ctx, &d->until))
            d->until = 0;
    }
    if (d->net.is_unix) {
        struct weft__saddr to;
        weft_err err = weft__addr_unix(addr, &to);
        if (!err && d->opts->allow && !d->opts->allow(&to.u.sa, d->opts->allow_arg)) /* D1 */
            err = WEFT_EDENIED;
        return err ? err : dial_one(d, &to, d->until, ret_conn);
    }
    int count = weft__net_resolve(d->ctx, &d->net, addr, false, list, DIAL_ADDRS);
    return count < 0 ? count : dial_all(d, list, count, ret_conn);
}

weft_err weft_dial_with(weft_ctx *ctx, const char *network, const char *addr, const struct weft_dial_opts *opts,
                        weft_conn **ret_conn)
{
    static const struct weft_dial_opts plain;
    struct dial d = {.ctx = ctx, .opts = opts ? opts : &plain, .net = weft__network_of(network)};
    if (!d.net.ok)
        return WEFT_ENETWORK;
    if (d.opts->timeout <= 0)
        return dial_run(&d, addr, ret_conn);
    d.ctx = weft_with_timeout(ctx, d.opts->timeout);
    weft_err err = dial_run(&d, addr, ret_conn);
    weft_ctx_unref(d.ctx);
    return err;
}

weft_err weft_dial(weft_ctx *ctx, const char *network, const char *addr, weft_conn **ret_conn)
{
    return weft_dial_with(ctx, network, addr, NULL, ret_conn);
}
