/*
 * dial.c - connecting.
 *
 * Role    weft_dial: resolve, ask the caller's rule about each address, race them. Near addr.c, dns/, fd.c.
 *
 * Invariants
 *   D1  No packet goes to an address that opts->allow refused: it is asked between resolution and socket(2), about the
 *       very bytes that connect(2) then gets; all of them before the first try, in the caller's goroutine.
 *   D2  Several addresses are tried as in RFC 8305: the families by turns, the first one's first; the next try begins
 *       250 ms after the last one or when one fails; the first connection wins. A race is over, and its goroutines
 *       have ended, when weft_dial returns: they work in its frame.
 *
 *   D3  An edge to write without an end (HUP, ERR) means that the connection is made: nothing is asked then. With an end,
 *       connect(2) is asked again instead of SO_ERROR: it says 0 or EISCONN, EALREADY or the reason. Should a wake be one of
 *       the slot's earlier life (W3), a connection is handed out that is still being made: its first read or write waits
 *       for that, and tells of a failure.
 *
 * The socket is registered only after the first call: before it, epoll would report the unconnected socket as hung up. On
 * loopback the connection is made when that call returns; to ask again at once and not to park costs a tenth more CPU for
 * each connection.
 * Limits  16 addresses. Those of a family whose answer is 50 ms later than the other's (RFC 8305 3) take no part in the race:
 *         they are dialled when it is lost.
 * Source  Go net/dial.go, fd_unix.go; RFC 8305; ip(7) IP_BIND_ADDRESS_NO_PORT.
 */
#include <arpa/inet.h>
#include <string.h>
#include <weft/chan.h>
#include <weft/ctx.h>
#include <weft/go.h>
#include <weft/select.h>

#include "conn_int.h"

enum { DIAL_ADDRS = 16, DIAL_SELF_RETRIES = 3 };
#define DIAL_STAGGER (250 * WEFT_MS)

/* One call of weft_dial. */
struct dial {
    weft_ctx *ctx;
    const struct weft_dial_opts *opts;
    struct weft__network net;
    weft_time until;               /* 0: no limit known */
    const char *host;              /* NULL: the text has host and port */
    uint16_t port;                 /* of host */
};

static int dial_bind(int fd, const char *text, int family)
{
    weft_addr a;
    struct weft__saddr path;
    weft_err err = family == AF_UNIX ? weft__addr_unix(text, &path) : weft_addr_parse(&a, text);
    if (err)
        return err;
    if (family == AF_UNIX)
        return bind(fd, &path.u.sa, path.len) < 0 ? -errno : 0;
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
    int err = o->local_addr ? dial_bind(fd, o->local_addr, family) : 0;
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
    for (;;) {
        err = weft__fd_wait(d->ctx, &conn->f, WEFT__DIR_WRITE);
        if (!err && weft__pd_ended(conn->f.pd)) /* D3 */
            err = weft__sock_connect(conn->f.fd, to);
        if (err == 0 || err == -EISCONN) {
            weft__pd_set_deadline(conn->f.pd, WEFT__DIR_WRITE, 0);
            return 0;
        }
        if (err != -EALREADY && err != -EINPROGRESS)
            return err;
    }
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
    conn->f.drained = conn->f.tcp; /* F3: nothing can have come before the registration, which tells of all that is there */
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

/* ---- several addresses ---- */

struct dial_end {
    weft_err err;
    weft_conn *conn;               /* with err 0 */
};

struct dial_race {
    struct dial d;                 /* [const] under a context of the race's own */
    weft_chan(struct dial_end) ends;
};

static void race_try(struct dial_race *race, const weft_addr *to)
{
    struct dial_end end = {0, NULL};
    end.err = dial_addr(&race->d, to, race->d.until, &end.conn);
    weft_send(race->ends, end);
}

/* The next end of a try, or after 250 ms, with others to start, nothing. */
static WEFT_PARKS bool race_wait(struct dial_race *race, bool others, struct dial_end *ret)
{
    if (!others) {
        *ret = weft_recv(race->ends);
        return true;
    }
    return weft_select(weft_on_recv(race->ends, ret), weft_on_timeout(DIAL_STAGGER)) == 0;
}

/* D2. list is in the order of the tries. */
static WEFT_PARKS weft_err race_run(struct dial_race *race, weft_ctx *outer, const weft_addr *list, int count, weft_conn **ret_conn)
{
    weft_err first = 0;
    weft_conn *won = NULL;
    int next = 0, pending = 0;
    while (!won && (next < count || pending)) {
        struct dial_end end;
        if (next < count) {
            weft_go(race_try, race, &list[next++]);
            pending++;
        }
        while (!won && pending && race_wait(race, next < count, &end)) {
            pending--;
            if (end.err == 0)
                won = end.conn;
            else if (!first)
                first = end.err;
            if (!won && next < count)
                break;             /* a failure: on to the next at once */
        }
        weft_err over = outer && !won ? weft_ctx_err(outer) : 0;
        if (over) {
            first = over;
            next = count;
        }
    }
    weft_cancel(race->d.ctx);
    while (pending--) {
        struct dial_end end = weft_recv(race->ends);
        weft_conn_close(end.err == 0 ? end.conn : NULL);
    }
    if (won)
        *ret_conn = won;
    return won ? 0 : first;
}

static WEFT_PARKS weft_err dial_race(const struct dial *d, const weft_addr *list, int count, weft_conn **ret_conn)
{
    struct dial_race race = {.d = *d, .ends = weft_make(struct dial_end, DIAL_ADDRS)};
    if (!race.ends)
        return WEFT_ENOMEM;
    race.d.ctx = weft_with_cancel(d->ctx);
    weft_err err = race_run(&race, d->ctx, list, count, ret_conn);
    weft_ctx_unref(race.d.ctx);
    weft_free(race.ends);
    return err;
}

static WEFT_PARKS weft_err dial_all(const struct dial *d, weft_addr *list, int count, weft_conn **ret_conn)
{
    int kept = 0;
    for (int i = 0; i < count; i++)
        if (!d->opts->allow || d->opts->allow(&list[i].u.sa, d->opts->allow_arg)) /* D1 */
            list[kept++] = list[i];
    if (kept == 0)
        return WEFT_EDENIED;
    if (kept == 1 || d->net.datagram) /* a datagram socket connects at once: the first will do */
        return dial_addr(d, &list[0], d->until, ret_conn);
    weft__addr_interleave(list, kept);
    return dial_race(d, list, kept, ret_conn);
}

/* 1: addr is an address, which *ret is now; 0: it has to be asked for; WEFT_ENOHOST: an address of the other family. */
static int dial_literal(const struct dial *d, const char *addr, weft_addr *ret)
{
    bool literal = d->host ? weft__addr_literal(d->host, ret) : weft_addr_parse(ret, addr) == 0;
    if (!literal)
        return 0;
    if (d->host)
        weft__addr_set_port(ret, d->port);
    return d->net.family == AF_UNSPEC || ret->u.sa.sa_family == d->net.family ? 1 : WEFT_ENOHOST;
}

/* Addresses of a name; the context of a time limit is made here. ret_partial: as weft__resolve. */
static WEFT_PARKS int dial_resolve(struct dial *d, const char *addr, weft_addr *ret, bool *ret_partial)
{
    weft_time start = weft__now();
    weft_ctx *ctx = d->opts->timeout > 0 ? weft_with_timeout(d->ctx, d->opts->timeout) : d->ctx;
    ret_partial = d->net.family == AF_UNSPEC ? ret_partial : NULL;
    int count = d->host ? weft__resolve(ctx, d->host, ret, DIAL_ADDRS, ret_partial)
                        : weft__net_resolve(ctx, &d->net, addr, false, ret, DIAL_ADDRS, ret_partial);
    for (int i = 0; d->host && i < count; i++)
        weft__addr_set_port(&ret[i], d->port);
    if (ctx != d->ctx)
        weft_ctx_unref(ctx);
    if (d->opts->ret_resolve)
        *d->opts->ret_resolve = weft__now() - start;
    return count;
}

static bool dial_among(const weft_addr *a, const weft_addr *list, int count)
{
    for (int i = 0; i < count; i++)
        if (list[i].len == a->len && memcmp(&list[i].u, &a->u, a->len) == 0)
            return true;
    return false;
}

/* The family that answered first leads nowhere, for the reason err: wait for the other one and try that. */
static WEFT_PARKS __attribute__((noinline)) weft_err dial_others(struct dial *d, const char *addr, const weft_addr *tried, int tried_count,
                                                                 weft_err err, weft_conn **ret_conn)
{
    weft_addr list[DIAL_ADDRS];
    int kept = 0, count = err == WEFT_EDEADLINE || err == WEFT_ECANCELED ? 0 : dial_resolve(d, addr, list, NULL);
    for (int i = 0; i < count; i++)
        if (!dial_among(&list[i], tried, tried_count))
            list[kept++] = list[i];
    weft_err more = kept ? dial_all(d, list, kept, ret_conn) : err;
    return more == WEFT_EDENIED ? err : more;
}

/* Out of line: its list is not to be on the stack of who waits for a connection to a literal address. */
static WEFT_PARKS __attribute__((noinline)) weft_err dial_name(struct dial *d, const char *addr, weft_conn **ret_conn)
{
    weft_addr list[DIAL_ADDRS];
    bool partial = false;
    int count = dial_resolve(d, addr, list, &partial);
    if (count < 0)
        return count;
    weft_err err = dial_all(d, list, count, ret_conn);
    return err && partial ? dial_others(d, addr, list, count, err, ret_conn) : err;
}

static WEFT_PARKS weft_err dial_run(struct dial *d, const char *addr, weft_conn **ret_conn)
{
    if (d->ctx) {
        weft_err err = weft_ctx_err(d->ctx);
        if (err)
            return err;
        if (!weft_ctx_deadline(d->ctx, &d->until))
            d->until = 0;
    }
    weft_time limit = d->opts->timeout > 0 ? weft__now() + d->opts->timeout : 0;
    if (limit && (!d->until || limit < d->until))
        d->until = limit;
    if (d->net.is_unix) {
        struct weft__saddr to;
        weft_err err = weft__addr_unix(addr, &to);
        if (!err && d->opts->allow && !d->opts->allow(&to.u.sa, d->opts->allow_arg)) /* D1 */
            err = WEFT_EDENIED;
        return err ? err : dial_one(d, &to, d->until, ret_conn);
    }
    weft_addr one;
    int literal = dial_literal(d, addr, &one);
    if (literal)
        return literal < 0 ? literal : dial_all(d, &one, 1, ret_conn);
    return dial_name(d, addr, ret_conn);
}

weft_err weft_dial_with(weft_ctx *ctx, const char *network, const char *addr, const struct weft_dial_opts *opts,
                        weft_conn **ret_conn)
{
    static const struct weft_dial_opts plain;
    struct dial d = {.ctx = ctx, .opts = opts ? opts : &plain, .net = weft__network_of(network)};
    return d.net.ok ? dial_run(&d, addr, ret_conn) : WEFT_ENETWORK;
}

weft_err weft__dial_host(weft_ctx *ctx, const char *host, uint16_t port, const struct weft_dial_opts *opts, weft_conn **ret_conn)
{
    struct dial d = {.ctx = ctx, .opts = opts, .net = {.ok = true, .family = AF_UNSPEC}, .host = host, .port = port};
    return dial_run(&d, NULL, ret_conn);
}

weft_err weft_dial(weft_ctx *ctx, const char *network, const char *addr, weft_conn **ret_conn)
{
    return weft_dial_with(ctx, network, addr, NULL, ret_conn);
}
