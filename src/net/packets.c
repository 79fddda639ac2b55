/*
 * packets.c - datagrams in batches, and between unix sockets; credentials of a unix peer.
 *
 * Role    weft_conn_read_batch and _write_batch (recvmmsg, sendmmsg), weft_conn_read_from_unix and _write_to_unix,
 *         weft_conn_peer_cred. Single datagrams: conn.c. Layer 4.
 *
 * The kernel's records for a batch are on the stack up to 8 datagrams, beyond in memory for the call.
 * Limits  64 datagrams a call. Failure: as the kernel says; an error behind datagrams that went or came is told by the next call.
 */
#include <string.h>

#include "../sys/sys.h"
#include "conn_int.h"

enum { PACKETS_STACK = 8, PACKETS_MAX = 64 };

struct packets_record {
    struct mmsghdr m;
    struct iovec v;
};

/* ---- batches ---- */

/* The message headers must lie side by side: they come first, the pieces behind them. */
struct packets_memory {
    struct mmsghdr *m;
    struct iovec *v;
};

static bool packets_memory(struct packets_memory *ret, void **ret_heap, void *stack, int count)
{
    void *at = stack;
    *ret_heap = NULL;
    if (count > PACKETS_STACK && !(at = *ret_heap = weft__sys_alloc_raw((size_t)count * sizeof(struct packets_record))))
        return false;
    ret->m = at;
    ret->v = (struct iovec *)(ret->m + count);
    return true;
}

static void packets_lay_out(const struct packets_memory *mem, const struct weft_packet *p, int count, bool reading)
{
    for (int i = 0; i < count; i++) {
        socklen_t len = reading ? (socklen_t)sizeof p[i].addr.u : p[i].addr.len;
        mem->v[i] = (struct iovec){p[i].buf, p[i].n};
        mem->m[i] = (struct mmsghdr){.msg_hdr = {.msg_name = len ? (void *)&p[i].addr.u : NULL, .msg_namelen = len,
                                                 .msg_iov = &mem->v[i], .msg_iovlen = 1}};
    }
}

static void packets_take(struct weft_packet *p, const struct mmsghdr *m, int count)
{
    for (int i = 0; i < count; i++) {
        p[i].got = m[i].msg_len;
        p[i].cut = m[i].msg_hdr.msg_flags & MSG_TRUNC;
        p[i].addr.len = m[i].msg_hdr.msg_namelen <= sizeof p[i].addr.u ? m[i].msg_hdr.msg_namelen : 0;
    }
}

/* One recvmmsg or sendmmsg that does something: how many. */
static WEFT_PARKS int packets_move(weft_ctx *ctx, struct weft__fd *f, struct mmsghdr *m, int count, enum weft__dir dir)
{
    int n = weft__pd_check(f->pd, dir);
    while (n == 0) {
        n = (int)(dir == WEFT__DIR_READ ? WEFT__SOCK_RETRY(recvmmsg(f->fd, m, (unsigned)count, 0, NULL))
                                        : WEFT__SOCK_RETRY(sendmmsg(f->fd, m, (unsigned)count, MSG_NOSIGNAL)));
        if (n != -EAGAIN)
            break;
        n = weft__fd_wait(ctx, f, dir);
    }
    return n;
}

static WEFT_PARKS int packets_read(weft_ctx *ctx, weft_conn *conn, struct weft_packet *packets, int count)
{
    struct packets_record stack[PACKETS_STACK];
    struct packets_memory mem;
    void *heap;
    if (!packets_memory(&mem, &heap, stack, count))
        return WEFT_ENOMEM;
    packets_lay_out(&mem, packets, count, true);
    int n = packets_move(ctx, &conn->f, mem.m, count, WEFT__DIR_READ);
    if (n > 0)
        packets_take(packets, mem.m, n);
    weft__sys_free(heap);
    return n;
}

static WEFT_PARKS int packets_write(weft_ctx *ctx, weft_conn *conn, const struct weft_packet *packets, int count)
{
    struct packets_record stack[PACKETS_STACK];
    struct packets_memory mem;
    void *heap;
    if (!packets_memory(&mem, &heap, stack, count))
        return WEFT_ENOMEM;
    packets_lay_out(&mem, packets, count, false);
    int done = 0, n = 0;
    while (done < count) {
        n = packets_move(ctx, &conn->f, mem.m + done, count - done, WEFT__DIR_WRITE);
        if (n <= 0)
            break;
        done += n;
    }
    weft__sys_free(heap);
    return done ? done : n;
}

int weft_conn_read_batch(weft_ctx *ctx, weft_conn *conn, struct weft_packet *packets, int count)
{
    if (count < 1)
        return WEFT_EINVAL;
    weft_err err = conn->datagram ? weft__conn_enter(ctx, conn, WEFT__FD_READING) : WEFT_EUNSUPPORTED;
    if (err)
        return err;
    int n = packets_read(ctx, conn, packets, count < PACKETS_MAX ? count : PACKETS_MAX);
    weft__fd_leave(&conn->f, WEFT__FD_READING);
    return n;
}

int weft_conn_write_batch(weft_ctx *ctx, weft_conn *conn, const struct weft_packet *packets, int count)
{
    if (count < 1)
        return WEFT_EINVAL;
    weft_err err = conn->datagram ? weft__conn_enter(ctx, conn, WEFT__FD_WRITING) : WEFT_EUNSUPPORTED;
    if (err)
        return err;
    int n = packets_write(ctx, conn, packets, count < PACKETS_MAX ? count : PACKETS_MAX);
    weft__fd_leave(&conn->f, WEFT__FD_WRITING);
    return n;
}

/* ---- unix sockets ---- */

/* Is it one? The kernel is asked: connections do not note their family. */
static bool packets_unix(weft_conn *conn)
{
    struct weft__saddr me;
    return weft__sock_name(conn->f.fd, false, &me) == 0 && me.u.sa.sa_family == AF_UNIX;
}

ssize_t weft_conn_read_from_unix(weft_ctx *ctx, weft_conn *conn, void *ret_buf, size_t n, char *ret_path)
{
    struct weft__saddr from;
    weft_err err = conn->datagram ? weft__conn_enter(ctx, conn, WEFT__FD_READING) : WEFT_EUNSUPPORTED;
    if (err)
        return err;
    ssize_t got = packets_unix(conn) ? weft__pd_check(conn->f.pd, WEFT__DIR_READ) : WEFT_EUNSUPPORTED;
    while (got == 0) {
        got = weft__sock_recvfrom(conn->f.fd, ret_buf, n, &from);
        if (got != -EAGAIN)
            break;
        got = weft__fd_wait(ctx, &conn->f, WEFT__DIR_READ);
    }
    weft__fd_leave(&conn->f, WEFT__FD_READING);
    if (got < 0 || !ret_path)
        return got;
    *ret_path = '\0';
    if (from.len > offsetof(struct sockaddr_un, sun_path))
        (void)weft__saddr_text(&from, ret_path, WEFT_ADDR_TEXT); /* fits: WEFT_ADDR_TEXT is made for it */
    return got;
}

ssize_t weft_conn_write_to_unix(weft_ctx *ctx, weft_conn *conn, const void *buf, size_t n, const char *path)
{
    struct weft__saddr to;
    weft_err err = conn->datagram ? weft__addr_unix(path, &to) : WEFT_EUNSUPPORTED;
    if (!err)
        err = weft__conn_enter(ctx, conn, WEFT__FD_WRITING);
    if (err)
        return err;
    ssize_t put = packets_unix(conn) ? weft__pd_check(conn->f.pd, WEFT__DIR_WRITE) : WEFT_EUNSUPPORTED;
    while (put == 0) {
        struct pollfd room = {.fd = conn->f.fd, .events = POLLOUT};
        put = weft__sock_sendto(conn->f.fd, buf, n, &to.u.sa, to.len);
        if (put != -EAGAIN || poll(&room, 1, 0) > 0) /* lint: time-out 0. Writable: it is the receiver who has no room */
            break;
        put = weft__fd_wait(ctx, &conn->f, WEFT__DIR_WRITE);
    }
    weft__fd_leave(&conn->f, WEFT__FD_WRITING);
    return put;
}

weft_err weft_conn_peer_cred(weft_conn *conn, struct weft_peer_cred *ret_cred)
{
    struct ucred c;
    socklen_t n = sizeof c;
    weft_err err = weft__fd_enter(&conn->f, 0);
    if (err)
        return err;
    if (conn->datagram || !packets_unix(conn))
        err = WEFT_EUNSUPPORTED;
    else if (getsockopt(conn->f.fd, SOL_SOCKET, SO_PEERCRED, &c, &n) < 0)
        err = -errno;
    weft__fd_leave(&conn->f, 0);
    if (!err)
        *ret_cred = (struct weft_peer_cred){c.pid, c.uid, c.gid};
    return err;
}
