/*
 * bulk.c - bytes that move between descriptors, or into several buffers, in few system calls.
 *
 * Role    weft_conn_readv, weft_conn_send_file (sendfile), weft_conn_splice (two streams, by a pipe between them). Near conn.c,
 *         io/disk.c. Layer 4.
 *
 * Invariants
 *   Z1  a call holds WRITING of where bytes go, and READING of where they come from, from beginning to end: nobody gets between.
 *   Z2  the pipe of a splice is empty before each read of the source: so "again" then means that the source has nothing, and what
 *       the next write finds "again" for is the destination.
 *
 * Locks   none. Limits pipes of 256 KiB (64 KiB where the user's pipe pages are used up).
 * Failure as the kernel says; in the middle of a splice bytes may be lost. Source Go internal/poll/splice_linux.go, sendfile.go.
 */
#include <fcntl.h>

#include "../io/file_int.h"
#include "../sys/sys.h"
#include "conn_int.h"

enum { BULK_COPY = 16384, BULK_PIPE_MIN = 65536, BULK_PIPE_BYTES = 262144, BULK_STEP = 1 << 21 };

/* ---- several buffers ---- */

/* What the poller has taken goes into the first piece that has room; else recvmsg(2). One piece has room. */
static ssize_t bulk_recvv(struct weft__fd *f, const struct iovec *iov, int count)
{
    ssize_t got;
    int i = 0;
    while (iov[i].iov_len == 0)
        i++;
    if (weft__unlikely(f->taken) && weft__pd_take_bytes(f->pd, iov[i].iov_base, iov[i].iov_len, &got))
        return got;
    return weft__sock_recvv(f->fd, iov, count);
}

static WEFT_PARKS ssize_t bulk_readv_plain(weft_ctx *ctx, struct weft__fd *f, const struct iovec *iov, int count)
{
    weft_err err = weft__pd_check(f->pd, WEFT__DIR_READ);
    bool wait = f->drained && !weft__pd_ended(f->pd); /* F3 */
    size_t room = 0;
    for (int i = 0; i < count; i++)
        room += iov[i].iov_len;
    if (room == 0)
        return err;
    while (!err) {
        if (wait && (err = weft__fd_wait(ctx, f, WEFT__DIR_READ)) != 0)
            break;
        ssize_t got = bulk_recvv(f, iov, count);
        if (got != -EAGAIN) {
            f->drained = f->tcp && got > 0 && (size_t)got < room; /* F3 */
            return got;
        }
        wait = true;
    }
    return err;
}

ssize_t weft_conn_readv(weft_ctx *ctx, weft_conn *conn, const struct iovec *iov, int iov_count)
{
    if (iov_count < 0 || iov_count > 1024)
        return WEFT_EINVAL;
    weft_err err = weft__conn_enter(ctx, conn, WEFT__FD_READING);
    if (err)
        return err;
    ssize_t got = 0;
    if (!conn->tls)
        got = bulk_readv_plain(ctx, &conn->f, iov, iov_count);
    else
        for (int i = 0; i < iov_count && got == 0; i++)
            if (iov[i].iov_len) {
                got = weft__tls_read(ctx, conn, iov[i].iov_base, iov[i].iov_len);
                break;
            }
    weft__fd_leave(&conn->f, WEFT__FD_READING);
    return got;
}

/* ---- between enter and leave: one side or the other ---- */

static WEFT_PARKS ssize_t bulk_read(weft_ctx *ctx, weft_conn *conn, void *buf, size_t n)
{
    return conn->tls ? weft__tls_read(ctx, conn, buf, n) : weft__fd_read(ctx, &conn->f, buf, n);
}

static WEFT_PARKS ssize_t bulk_write(weft_ctx *ctx, weft_conn *conn, const void *buf, size_t n)
{
    return conn->tls ? weft__tls_write(ctx, conn, buf, n) : weft__fd_write(ctx, &conn->f, buf, n);
}

/* ---- files ---- */

/* One sendfile that moves something; 0 at the file's end. */
static WEFT_PARKS ssize_t bulk_sendfile(weft_ctx *ctx, weft_conn *conn, int fd, uint64_t at, size_t n)
{
    ssize_t put = weft__pd_check(conn->f.pd, WEFT__DIR_WRITE);
    while (put == 0) {
        put = weft__sock_sendfile(conn->f.fd, fd, at, n);
        if (put != -EAGAIN)
            break;
        put = weft__fd_wait(ctx, &conn->f, WEFT__DIR_WRITE);
    }
    return put == -EINVAL || put == -ENOSYS ? WEFT_EUNSUPPORTED : put;
}

ssize_t weft__conn_sendfile(weft_conn *conn, int fd, uint64_t at, size_t n)
{
    if (conn->tls)
        return WEFT_EUNSUPPORTED;
    ssize_t put = weft__fd_enter(&conn->f, WEFT__FD_WRITING);
    if (put)
        return put;
    put = bulk_sendfile(NULL, conn, fd, at, n);
    weft__fd_leave(&conn->f, WEFT__FD_WRITING);
    return put;
}

static WEFT_PARKS ssize_t bulk_copy_file(weft_ctx *ctx, weft_conn *conn, int fd, uint64_t at, size_t n)
{
    char *buf = weft__sys_alloc_raw(BULK_COPY);
    ssize_t got = buf ? 0 : WEFT_ENOMEM;
    size_t done = 0;
    while (buf && done < n) {
        got = weft__disk_read(fd, buf, n - done < BULK_COPY ? n - done : BULK_COPY, (int64_t)(at + done));
        if (got > 0)
            got = bulk_write(ctx, conn, buf, (size_t)got);
        if (got <= 0)
            break;
        done += (size_t)got;
    }
    weft__sys_free(buf);
    return got < 0 ? got : (ssize_t)done;
}

/* Z1 */
static WEFT_PARKS ssize_t bulk_send_file(weft_ctx *ctx, weft_conn *conn, int fd, uint64_t at, size_t n)
{
    size_t done = 0;
    ssize_t put = conn->tls ? WEFT_EUNSUPPORTED : 0;
    while (put >= 0 && done < n) {
        put = bulk_sendfile(ctx, conn, fd, at + done, n - done < BULK_STEP ? n - done : BULK_STEP);
        if (put == 0)
            break;
        if (put > 0)
            done += (size_t)put;
    }
    if (put == WEFT_EUNSUPPORTED) {
        put = bulk_copy_file(ctx, conn, fd, at + done, n - done);
        done += put > 0 ? (size_t)put : 0;
    }
    return put < 0 ? put : (ssize_t)done;
}

ssize_t weft_conn_send_file(weft_ctx *ctx, weft_conn *conn, int fd, uint64_t at, size_t n)
{
    if (conn->datagram)
        return WEFT_EUNSUPPORTED;
    if (at > INT64_MAX)
        return WEFT_EINVAL;
    if (n > (uint64_t)INT64_MAX - at)
        n = (size_t)((uint64_t)INT64_MAX - at);
    weft_err err = weft__conn_enter(ctx, conn, WEFT__FD_WRITING);
    if (err)
        return err;
    ssize_t put = bulk_send_file(ctx, conn, fd, at, n);
    weft__fd_leave(&conn->f, WEFT__FD_WRITING);
    return put;
}

/* ---- pipes ---- */

/* A splice's own, made and closed with it: a call moves a body or a whole stream, beside which five short system calls are little. */
struct bulk_pipe {
    int r, w;
    size_t room;                    /* bytes that surely fit */
};

static weft_err pipe_open(struct bulk_pipe *ret_pipe, size_t n)
{
    int fd[2], room = 0;
    if (pipe2(fd, O_CLOEXEC | O_NONBLOCK) < 0)
        return -errno;
    if (n > BULK_PIPE_MIN)
        room = fcntl(fd[1], F_SETPIPE_SZ, BULK_PIPE_BYTES);
    *ret_pipe = (struct bulk_pipe){fd[0], fd[1], room > 0 ? (size_t)room : BULK_PIPE_MIN};
    return 0;
}

/* ---- streams ---- */

/* What the poller took before this splice began, into the pipe; 0: all of it has been moved, and no more is taken. */
static ssize_t splice_taken(struct weft__fd *src, const struct bulk_pipe *p, size_t n)
{
    char part[512];
    ssize_t got;
    if (weft__likely(!src->taken) || !weft__pd_take_bytes(src->pd, part, n < sizeof part ? n : sizeof part, &got))
        return 0;
    if (got > 0 && WEFT__SOCK_RETRY(write(p->w, part, (size_t)got)) != got)
        return -EIO; /* an empty pipe has room for more: Z2 broken, by the kernel */
    return got;
}

/* What src has, up to n bytes, into the empty pipe; 0 at its end. */
static WEFT_PARKS ssize_t splice_in(weft_ctx *ctx, struct weft__fd *src, const struct bulk_pipe *p, size_t n)
{
    weft_err err = weft__pd_check(src->pd, WEFT__DIR_READ);
    bool wait = src->drained && !weft__pd_ended(src->pd); /* F3 */
    while (!err) {
        if (wait && (err = weft__fd_wait(ctx, src, WEFT__DIR_READ)) != 0)
            break;
        ssize_t got = splice_taken(src, p, n);
        if (got == 0)
            got = WEFT__SOCK_RETRY(splice(src->fd, NULL, p->w, NULL, n, SPLICE_F_MOVE | SPLICE_F_NONBLOCK));
        if (got != -EAGAIN)
            return got;
        wait = true;
    }
    return err;
}

/* All n bytes of the pipe into dst. */
static WEFT_PARKS weft_err splice_out(weft_ctx *ctx, struct weft__fd *dst, const struct bulk_pipe *p, size_t n)
{
    weft_err err = weft__pd_check(dst->pd, WEFT__DIR_WRITE);
    while (!err && n > 0) {
        ssize_t put = weft__sock_splice_to(dst->fd, p->r, n);
        if (put == -EAGAIN)
            err = weft__fd_wait(ctx, dst, WEFT__DIR_WRITE);
        else if (put <= 0)
            err = put < 0 ? (weft_err)put : -EIO; /* an empty pipe: Z2 broken, by the kernel */
        else
            n -= (size_t)put;
    }
    return err;
}

static WEFT_PARKS ssize_t splice_plain(weft_ctx *ctx, weft_conn *dst, weft_conn *src, size_t n)
{
    struct bulk_pipe p = {-1, -1, 0};
    weft_err err = pipe_open(&p, n);
    if (err)
        return err;
    size_t done = 0;
    ssize_t got = 0;
    if (src->f.taken)
        weft__pd_take_end(src->f.pd);
    while (!err && done < n) {
        got = splice_in(ctx, &src->f, &p, n - done < p.room ? n - done : p.room);
        src->f.drained = false; /* splice stops at the pipe's slots too: a short one says nothing */
        if (got <= 0)
            break;
        err = splice_out(ctx, &dst->f, &p, (size_t)got);
        done += (size_t)got;
    }
    weft__sock_close(p.r);
    weft__sock_close(p.w);
    if (err)
        return err;
    return got < 0 ? got : (ssize_t)done;
}

static WEFT_PARKS ssize_t splice_copy(weft_ctx *ctx, weft_conn *dst, weft_conn *src, size_t n)
{
    char *buf = weft__sys_alloc_raw(BULK_COPY);
    ssize_t got = buf ? 0 : WEFT_ENOMEM;
    size_t done = 0;
    while (buf && done < n) {
        got = bulk_read(ctx, src, buf, n - done < BULK_COPY ? n - done : BULK_COPY);
        if (got > 0)
            got = bulk_write(ctx, dst, buf, (size_t)got);
        if (got <= 0)
            break;
        done += (size_t)got;
    }
    weft__sys_free(buf);
    return got < 0 ? got : (ssize_t)done;
}

ssize_t weft_conn_splice(weft_ctx *ctx, weft_conn *dst, weft_conn *src, size_t n)
{
    if (dst->datagram || src->datagram)
        return WEFT_EUNSUPPORTED;
    if (n > PTRDIFF_MAX)
        n = PTRDIFF_MAX;
    weft_err err = weft__conn_enter(ctx, src, WEFT__FD_READING); /* Z1 */
    if (err)
        return err;
    ssize_t moved = weft__fd_enter(&dst->f, WEFT__FD_WRITING);
    if (moved == 0) {
        moved = dst->tls || src->tls ? splice_copy(ctx, dst, src, n) : splice_plain(ctx, dst, src, n);
        weft__fd_leave(&dst->f, WEFT__FD_WRITING);
    }
    weft__fd_leave(&src->f, WEFT__FD_READING);
    return moved;
}
