/*
 * fd.c - a socket's life and its waits.
 *
 * Role    What conn.c, listen.c and tls/ have in common. Near poll.h (parking), sock.h (system calls). Layer 4.
 *
 * Invariants
 *   F1  state: the count is the calls inside; READING and WRITING are held by one of them each. CLOSED is set once and
 *       nobody enters after. The descriptor is closed by the call that leaves CLOSED with a count of 0: there is exactly
 *       one, and no system call can meet a descriptor number that somebody else has been given meanwhile.
 *       enter: acquire  <-  leave: release, so that `drained` and TLS state pass from one reader to the next.
 *   F2  lives: release on each drop -> acquire by the last, which frees. Calls inside keep the descriptor open and so
 *       the memory: a close during a read is safe.
 *   F3  A reader parks without asking the kernel only if drained is set, the socket is TCP and no end was reported:
 *       then whatever comes next makes a new edge. After EAGAIN it parks in any case.
 *
 * Locks   none. Limits 2^29 calls inside. Failure: as the kernel says.
 * Source  Go internal/poll/fd_mutex.go, fd_unix.go. Unlike Go, close never waits for the calls inside.
 */
#include "fd.h"

weft_err weft__fd_init(struct weft__fd *f, int fd, bool late, void (*gone)(struct weft__fd *f))
{
    *f = (struct weft__fd){.fd = fd, .gone = gone};
    atomic_store_explicit(&f->lives, 2, memory_order_relaxed);
    return late ? weft__pd_open_late(fd, &f->pd) : weft__pd_open(fd, &f->pd);
}

void weft__fd_end(struct weft__fd *f)
{
    if (f->pd)
        weft__pd_close(f->pd);
    weft__sock_close(f->fd);
    weft__fd_drop(f);
}

weft_err weft__fd_close(struct weft__fd *f)
{
    weft_err err = weft__fd_enter(f, 0);
    if (err)
        return err;
    uint32_t old = atomic_fetch_or_explicit(&f->state, WEFT__FD_CLOSED, memory_order_acq_rel); /* F1 */
    if (!(old & WEFT__FD_CLOSED) && f->pd)
        weft__pd_evict(f->pd);
    weft__fd_leave(f, 0);
    return old & WEFT__FD_CLOSED ? WEFT_ECLOSED : 0;
}

void weft__fd_drop(struct weft__fd *f)
{
    if (atomic_fetch_sub_explicit(&f->lives, 1, memory_order_acq_rel) == 1) /* F2 */
        f->gone(f);
}

/* ---- waiting under a context ---- */

struct fd_watch {
    struct weft__ctx_watch w; /* first: the callback gets its address */
    struct weft__pd *pd;
    enum weft__dir dir;
};

static void fd_watch_fire(struct weft__ctx_watch *w)
{
    struct fd_watch *fw = (struct fd_watch *)w;
    weft__pd_interrupt(fw->pd, fw->dir);
}

weft_err weft__fd_wait(weft_ctx *ctx, struct weft__fd *f, enum weft__dir dir)
{
    if (!ctx)
        return weft__pd_wait(f->pd, dir);
    struct fd_watch fw = {.pd = f->pd, .dir = dir};
    if (!weft__ctx_watch_add(ctx, &fw.w, fd_watch_fire)) {
        weft_err done = weft_ctx_err(ctx);
        return done ? done : weft__pd_wait(f->pd, dir);
    }
    weft_err err = weft__pd_wait(f->pd, dir);
    weft__ctx_watch_del(&fw.w);
    if (err == WEFT_ECANCELED)
        return weft_ctx_err(ctx);
    weft__pd_interrupt_clear(f->pd, dir);
    return err;
}

/* ---- bytes ---- */

ssize_t weft__fd_read(weft_ctx *ctx, struct weft__fd *f, void *ret_buf, size_t n)
{
    weft_err err = weft__pd_check_read(f->pd, f->drained); /* F3 */
    while (err >= 0) {
        if (err == 1 && (err = weft__fd_wait(ctx, f, WEFT__DIR_READ)) != 0)
            break;
        ssize_t got = weft__fd_recv(f, ret_buf, n);
        if (got != -EAGAIN) {
            f->drained = f->tcp && got > 0 && (size_t)got < n; /* F3 */
            return got;
        }
        err = 1;
    }
    return err;
}

ssize_t weft__fd_try_read(struct weft__fd *f, void *ret_buf, size_t n)
{
    ssize_t got = weft__fd_recv(f, ret_buf, n);
    f->drained = f->tcp && ((got > 0 && (size_t)got < n) || got == -EAGAIN); /* F3 */
    return got;
}

ssize_t weft__fd_read_soon(struct weft__fd *f, void *ret_buf, size_t n)
{
    ssize_t got = weft__fd_try_read(f, ret_buf, n);
    return got == -EAGAIN ? weft__fd_read(NULL, f, ret_buf, n) : got;
}

/* Drop the first n bytes of v[0..count): index of the first piece with bytes left. */
static int fd_iov_skip(struct iovec *v, int count, size_t n)
{
    int i = 0;
    while (i < count && n >= v[i].iov_len)
        n -= v[i++].iov_len;
    if (i < count) {
        v[i].iov_base = (char *)v[i].iov_base + n;
        v[i].iov_len -= n;
    }
    return i;
}

/* All of v[0..count), which is used up. */
static WEFT_PARKS weft_err fd_write_pieces(weft_ctx *ctx, struct weft__fd *f, struct iovec *v, int count)
{
    for (;;) {
        ssize_t put = count == 1 ? weft__sock_send(f->fd, v->iov_base, v->iov_len) : weft__sock_sendv(f->fd, v, count);
        if (put == -EAGAIN) {
            weft_err err = weft__fd_wait(ctx, f, WEFT__DIR_WRITE);
            if (err)
                return err;
            continue;
        }
        if (put < 0)
            return (weft_err)put;
        int done = fd_iov_skip(v, count, (size_t)put);
        v += done;
        count -= done;
        if (count == 0)
            return 0;
    }
}

/* Nearly always the socket takes everything at once. */
ssize_t weft__fd_write(weft_ctx *ctx, struct weft__fd *f, const void *buf, size_t n)
{
    weft_err err = weft__pd_check(f->pd, WEFT__DIR_WRITE);
    if (err)
        return err;
    ssize_t put = weft__sock_send(f->fd, buf, n);
    if (weft__likely(put == (ssize_t)n))
        return put;
    if (put < 0 && put != -EAGAIN)
        return put;
    size_t done = put < 0 ? 0 : (size_t)put;
    struct iovec rest = {(char *)buf + done, n - done};
    if (done == 0)
        err = weft__fd_wait(ctx, f, WEFT__DIR_WRITE);
    if (!err)
        err = fd_write_pieces(ctx, f, &rest, 1);
    return err ? err : (ssize_t)n;
}

ssize_t weft__fd_writev(weft_ctx *ctx, struct weft__fd *f, const struct iovec *iov, int count)
{
    struct iovec window[16];
    size_t total = 0;
    weft_err err = weft__pd_check(f->pd, WEFT__DIR_WRITE);
    for (int at = 0; at < count && !err;) {
        int n = count - at < 16 ? count - at : 16;
        for (int i = 0; i < n; i++) {
            window[i] = iov[at + i];
            total += window[i].iov_len;
        }
        err = fd_write_pieces(ctx, f, window, n);
        at += n;
    }
    return err ? err : (ssize_t)total;
}
