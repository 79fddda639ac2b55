/*
 * conn.c - connections: the public calls on an open socket.
 *
 * Role    Each call enters the descriptor (fd.c), does its work there or in tls/, and leaves. Near weft/net.h, dial.c and
 *         listen.c, which make connections. Layer 4.
 *
 * Invariants
 *   N1  holders > 0 while any user may call; the last one out closes. holders as a whole is one of f.lives.
 *   N2  tls changes from NULL once, or twice for a session inside of another one, by a goroutine that holds READING and WRITING; so
 *       a reader or a writer sees it whole.
 *
 * Locks   none. Failure: as the kernel says; an interrupted write leaves a stream that is of no more use.
 */
#include "conn_int.h"

#include <string.h>

#include "../sys/sys.h"

static void conn_gone(struct weft__fd *f)
{
    weft_conn *conn = (weft_conn *)f;
    if (conn->tls)
        weft__tls_free(conn->tls);
    weft__sys_free(conn->tls_error);
    weft__sys_free(conn);
}

weft_err weft__conn_around(int fd, bool tcp, bool datagram, weft_conn **ret_conn)
{
    weft_conn *conn = weft__sys_alloc(sizeof *conn);
    weft_err err = conn ? weft__fd_init(&conn->f, fd, true, conn_gone) : WEFT_ENOMEM;
    if (err) {
        weft__sys_free(conn);
        return err;
    }
    conn->f.taken = !datagram && weft__pd_take_begin(conn->f.pd, WEFT__TAKE_BYTES);
    conn->f.tcp = tcp && !conn->f.taken;
    conn->datagram = datagram;
    atomic_store_explicit(&conn->holders, 1, memory_order_relaxed);
    *ret_conn = conn;
    return 0;
}

weft_err weft__conn_new(int fd, bool tcp, bool datagram, weft_conn **ret_conn)
{
    weft_err err = weft__conn_around(fd, tcp, datagram, ret_conn);
    if (err)
        weft__sock_close(fd);
    return err;
}

/* ---- life ---- */

weft_conn *weft_conn_ref(weft_conn *conn)
{
    atomic_fetch_add_explicit(&conn->holders, 1, memory_order_relaxed);
    return conn;
}

void weft_conn_unref(weft_conn *conn)
{
    if (!conn || atomic_fetch_sub_explicit(&conn->holders, 1, memory_order_acq_rel) != 1) /* N1 */
        return;
    (void)weft__fd_close(&conn->f); /* WEFT_ECLOSED when weft_conn_close did it: nothing left to do */
    weft__fd_drop(&conn->f);
}

weft_err weft_conn_close(weft_conn *conn)
{
    if (!conn)
        return 0;
    if (conn->tls && weft__fd_enter(&conn->f, WEFT__FD_READING | WEFT__FD_WRITING) == 0) {
        weft__tls_farewell(conn);
        weft__fd_leave(&conn->f, WEFT__FD_READING | WEFT__FD_WRITING);
    }
    weft_err err = weft__fd_close(&conn->f);
    weft_conn_unref(conn);
    return err;
}

/* ---- reading and writing ---- */

ssize_t weft_conn_read(weft_ctx *ctx, weft_conn *conn, void *ret_buf, size_t n)
{
    weft_err err = weft__conn_enter(ctx, conn, WEFT__FD_READING);
    if (err)
        return err;
    if (n > WEFT_IO_MAX)
        n = WEFT_IO_MAX;
    ssize_t got = 0;
    if (n != 0)
        got = conn->tls ? weft__tls_read(ctx, conn, ret_buf, n) : weft__fd_read(ctx, &conn->f, ret_buf, n);
    weft__fd_leave(&conn->f, WEFT__FD_READING);
    return got;
}

ssize_t weft__conn_read_soon(weft_conn *conn, void *ret_buf, size_t n)
{
    if (conn->tls)
        return weft_conn_read(NULL, conn, ret_buf, n);
    weft_err err = weft__fd_enter(&conn->f, WEFT__FD_READING);
    if (err)
        return err;
    ssize_t got = weft__fd_read_soon(&conn->f, ret_buf, n);
    weft__fd_leave(&conn->f, WEFT__FD_READING);
    return got;
}

ssize_t weft__conn_try_read(weft_conn *conn, void *ret_buf, size_t n)
{
    weft_err err = weft__fd_enter(&conn->f, WEFT__FD_READING);
    if (err)
        return err;
    ssize_t got = conn->tls ? weft__tls_try_read(conn, ret_buf, n) : weft__fd_try_read(&conn->f, ret_buf, n);
    weft__fd_leave(&conn->f, WEFT__FD_READING);
    return got;
}

ssize_t weft__conn_try_write(weft_conn *conn, const void *buf, size_t n)
{
    weft_err err = weft__fd_enter(&conn->f, WEFT__FD_WRITING);
    if (err)
        return err;
    ssize_t put = conn->tls ? weft__tls_try_write(conn, buf, n) : weft__sock_send(conn->f.fd, buf, n);
    weft__fd_leave(&conn->f, WEFT__FD_WRITING);
    return put == -EAGAIN ? 0 : put;
}

ssize_t weft_conn_read_full(weft_ctx *ctx, weft_conn *conn, void *ret_buf, size_t n)
{
    size_t have = 0;
    while (have < n) {
        ssize_t got = weft_conn_read(ctx, conn, (char *)ret_buf + have, n - have);
        if (got < 0)
            return got;
        if (got == 0)
            return have == 0 ? 0 : WEFT_EEOF;
        have += (size_t)got;
    }
    return (ssize_t)have;
}

ssize_t weft_conn_writev(weft_ctx *ctx, weft_conn *conn, const struct iovec *iov, int iov_count)
{
    weft_err err = weft__conn_enter(ctx, conn, WEFT__FD_WRITING);
    if (err)
        return err;
    ssize_t put = 0;
    if (!conn->tls) {
        put = conn->datagram && iov_count > 16 ? WEFT_EINVAL : weft__fd_writev(ctx, &conn->f, iov, iov_count);
    } else {
        for (int i = 0; i < iov_count && put >= 0; i++) {
            ssize_t one = weft__tls_write(ctx, conn, iov[i].iov_base, iov[i].iov_len);
            put = one < 0 ? one : put + one;
        }
    }
    weft__fd_leave(&conn->f, WEFT__FD_WRITING);
    return put;
}

ssize_t weft_conn_write(weft_ctx *ctx, weft_conn *conn, const void *buf, size_t n)
{
    if (n > WEFT_IO_MAX)
        return WEFT_ETOOBIG;
    if (n == 0 && !conn->datagram)
        return 0;
    weft_err err = weft__conn_enter(ctx, conn, WEFT__FD_WRITING);
    if (err)
        return err;
    ssize_t put = conn->tls ? weft__tls_write(ctx, conn, buf, n) : weft__fd_write(ctx, &conn->f, buf, n);
    weft__fd_leave(&conn->f, WEFT__FD_WRITING);
    return put;
}

/* Must a reader ask the kernel no more, as nothing can be there (F3)? Else ask: is something there? */
static bool conn_readable(weft_conn *conn)
{
    struct pollfd p = {.fd = conn->f.fd, .events = POLLIN};
    if (conn->tls && weft__tls_pending(conn))
        return true;
    if (conn->f.drained && !weft__pd_ended(conn->f.pd))
        return false;
    int taken = weft__unlikely(conn->f.taken) ? weft__pd_take_look(conn->f.pd) : -1;
    if (taken >= 0)
        return taken;
    return poll(&p, 1, 0) > 0; /* lint: time-out 0, it only looks */
}

/* Until something can be read; ctx has not ended. */
static WEFT_PARKS weft_err conn_wait_read(weft_ctx *ctx, weft_conn *conn)
{
    weft_err err = conn_readable(conn) ? weft__pd_check(conn->f.pd, WEFT__DIR_READ) : weft__fd_wait(ctx, &conn->f, WEFT__DIR_READ);
    if (!err)
        conn->f.drained = false; /* the edge is used up: the next read asks the kernel */
    return err;
}

weft_err weft__conn_own_wait(weft_ctx *ctx, weft_conn *conn)
{
    weft_err err = ctx ? weft_ctx_err(ctx) : 0;
    return err ? err : conn_wait_read(ctx, conn);
}

static WEFT_PARKS weft_err conn_wait_write(weft_ctx *ctx, weft_conn *conn)
{
    struct pollfd out = {.fd = conn->f.fd, .events = POLLOUT};
    bool ready = poll(&out, 1, 0) > 0; /* lint: time-out 0, it only looks */
    return ready ? weft__pd_check(conn->f.pd, WEFT__DIR_WRITE) : weft__fd_wait(ctx, &conn->f, WEFT__DIR_WRITE);
}

weft_err weft_conn_wait(weft_ctx *ctx, weft_conn *conn, int direction)
{
    if (direction != WEFT_READ && direction != WEFT_WRITE)
        return WEFT_EINVAL;
    bool reading = direction == WEFT_READ;
    uint32_t bit = reading ? WEFT__FD_READING : WEFT__FD_WRITING;
    weft_err err = weft__conn_enter(ctx, conn, bit);
    if (err)
        return err;
    err = reading ? conn_wait_read(ctx, conn) : conn_wait_write(ctx, conn);
    weft__fd_leave(&conn->f, bit);
    return err;
}

weft_err weft__conn_wait_start(weft_conn *conn, struct weft__starter *start)
{
    weft_err err = weft__fd_enter(&conn->f, WEFT__FD_READING);
    if (err)
        return err;
    bool ready = conn_readable(conn);
    conn->f.drained = false; /* the edge will be used up; now, for in a moment another goroutine may have conn */
    err = ready ? weft__pd_check(conn->f.pd, WEFT__DIR_READ) : weft__pd_wait_start(conn->f.pd, WEFT__DIR_READ, start);
    if (err != 1)
        weft__fd_leave(&conn->f, WEFT__FD_READING);
    return err;
}

weft_err weft__conn_started(weft_conn *conn)
{
    weft_err err = weft__pd_started(conn->f.pd, WEFT__DIR_READ);
    weft__fd_leave(&conn->f, WEFT__FD_READING);
    return err;
}

ssize_t weft__conn_started_read(weft_conn *conn, void *ret_buf, size_t n)
{
    ssize_t got = weft__pd_started(conn->f.pd, WEFT__DIR_READ);
    if (got == 0)
        got = conn->tls ? weft__tls_try_read(conn, ret_buf, n) : weft__fd_try_read(&conn->f, ret_buf, n);
    weft__fd_leave(&conn->f, WEFT__FD_READING);
    return got;
}

weft_err weft__conn_wait_end(weft_conn *conn)
{
    weft_err err = weft__fd_enter(&conn->f, 0);
    if (err)
        return err;
    err = weft__pd_wait(conn->f.pd, WEFT__DIR_END);
    weft__fd_leave(&conn->f, 0);
    return err;
}

void weft__conn_wake_end(weft_conn *conn)
{
    if (weft__fd_enter(&conn->f, 0) != 0)
        return;   /* closed: nobody can wait */
    weft__pd_interrupt(conn->f.pd, WEFT__DIR_END);
    weft__fd_leave(&conn->f, 0);
}

weft_err weft_conn_close_write(weft_conn *conn)
{
    weft_err err = weft__fd_enter(&conn->f, WEFT__FD_WRITING);
    if (err)
        return err;
    if (conn->datagram)
        err = WEFT_EUNSUPPORTED;
    else if (conn->tls)
        err = weft__tls_close_write(conn);
    if (!err && shutdown(conn->f.fd, SHUT_WR) < 0)
        err = -errno;
    weft__fd_leave(&conn->f, WEFT__FD_WRITING);
    return err;
}

/* ---- datagrams ---- */

ssize_t weft_conn_read_from(weft_ctx *ctx, weft_conn *conn, void *ret_buf, size_t n, weft_addr *ret_from)
{
    struct weft__saddr from;
    weft_err err = conn->datagram ? weft__conn_enter(ctx, conn, WEFT__FD_READING) : WEFT_EUNSUPPORTED;
    if (err)
        return err;
    ssize_t got = weft__pd_check(conn->f.pd, WEFT__DIR_READ);
    while (got == 0) {
        got = weft__sock_recvfrom(conn->f.fd, ret_buf, n, &from);
        if (got != -EAGAIN)
            break;
        got = weft__fd_wait(ctx, &conn->f, WEFT__DIR_READ);
    }
    weft__fd_leave(&conn->f, WEFT__FD_READING);
    if (got >= 0 && ret_from) {
        *ret_from = (weft_addr){.len = from.len <= sizeof ret_from->u ? from.len : 0};
        memcpy(&ret_from->u, &from.u, ret_from->len);
    }
    return got;
}

ssize_t weft_conn_write_to(weft_ctx *ctx, weft_conn *conn, const void *buf, size_t n, const weft_addr *to)
{
    weft_err err = conn->datagram ? weft__conn_enter(ctx, conn, WEFT__FD_WRITING) : WEFT_EUNSUPPORTED;
    if (err)
        return err;
    ssize_t put = weft__pd_check(conn->f.pd, WEFT__DIR_WRITE);
    while (put == 0) {
        put = weft__sock_sendto(conn->f.fd, buf, n, &to->u.sa, to->len);
        if (put != -EAGAIN)
            break;
        put = weft__fd_wait(ctx, &conn->f, WEFT__DIR_WRITE);
    }
    weft__fd_leave(&conn->f, WEFT__FD_WRITING);
    return put;
}

/* ---- deadlines, names ---- */

static weft_err conn_set_deadline(weft_conn *conn, unsigned dirs, weft_time at)
{
    weft_err err = weft__fd_enter(&conn->f, 0);
    if (err)
        return err;
    weft__pd_set_deadline(conn->f.pd, dirs, at);
    weft__fd_leave(&conn->f, 0);
    return 0;
}

weft_err weft_conn_set_deadline(weft_conn *conn, weft_time at)
{
    return conn_set_deadline(conn, WEFT__DIR_READ | WEFT__DIR_WRITE, at);
}

weft_err weft_conn_set_read_deadline(weft_conn *conn, weft_time at)
{
    return conn_set_deadline(conn, WEFT__DIR_READ, at);
}

weft_err weft_conn_set_write_deadline(weft_conn *conn, weft_time at)
{
    return conn_set_deadline(conn, WEFT__DIR_WRITE, at);
}

static int conn_name(weft_conn *conn, bool peer, char *ret_buf, size_t n)
{
    struct weft__saddr a;
    weft_err err = weft__fd_enter(&conn->f, 0);
    if (err)
        return err;
    err = weft__sock_name(conn->f.fd, peer, &a);
    weft__fd_leave(&conn->f, 0);
    return err ? err : weft__saddr_text(&a, ret_buf, n);
}

int weft_conn_local(weft_conn *conn, char *ret_buf, size_t n)
{
    return conn_name(conn, false, ret_buf, n);
}

int weft_conn_remote(weft_conn *conn, char *ret_buf, size_t n)
{
    return conn_name(conn, true, ret_buf, n);
}

int weft_conn_fd(weft_conn *conn)
{
    weft_err err = weft__fd_enter(&conn->f, 0);
    if (err)
        return err;
    int fd = conn->f.fd;
    if (conn->f.taken)
        weft__pd_take_end(conn->f.pd); /* who has the number may read by it */
    weft__fd_leave(&conn->f, 0);
    return fd;
}

bool weft__conn_silent(weft_conn *conn)
{
    char byte;
    if (weft__fd_enter(&conn->f, WEFT__FD_READING) != 0)
        return false;
    int taken = conn->f.taken && !conn->tls ? weft__pd_take_look(conn->f.pd) : -1;
    bool silent = taken == 0;
    if (conn->tls) {
        conn->f.drained = false; /* the edge that came is not used up: ask the kernel */
        silent = weft__tls_try_read(conn, &byte, 1) == -EAGAIN;
    } else if (taken < 0) {
        silent = recv(conn->f.fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) < 0 && errno == EAGAIN;
    }
    weft__fd_leave(&conn->f, WEFT__FD_READING);
    return silent;
}
