/*
 * fd_wait.c - weft_fd_wait: park until somebody else's descriptor is ready.
 *
 * Role    For libraries that own their descriptors. Asks poll(2) first; only when that finds nothing is the descriptor
 *         registered, for this one wait. Near poll/poll.h. Layer 4.
 *
 * Invariants
 *   I1  What is answered comes from poll(2) after the last wake, so an edge that was meant for nobody does no harm.
 *   I2  epoll knows a descriptor once: where it is registered already (a connection's, or another goroutine waits on it)
 *       a duplicate is registered instead, and closed after the wait.
 *
 * Locks   none. Failure: -EBADF, -EMFILE (the duplicate) and others as the kernel says.
 */
#include <fcntl.h>
#include <poll.h>
#include <unistd.h>
#include <weft/net.h>

#include "../ctx/ctx_int.h"
#include "../poll/poll.h"

/* Directions ready now, 0 for none, or an error. */
static int fd_ready(int fd, int mask)
{
    struct pollfd p = {.fd = fd};
    if (mask & WEFT_READ)
        p.events |= POLLIN;
    if (mask & WEFT_WRITE)
        p.events |= POLLOUT;
    int n;
    do
        n = poll(&p, 1, 0); /* lint: time-out 0, it only looks */
    while (n < 0 && errno == EINTR);
    if (n < 0)
        return -errno;
    if (p.revents & POLLNVAL)
        return -EBADF;
    if (p.revents & (POLLERR | POLLHUP))
        return mask;
    return ((p.revents & POLLIN ? WEFT_READ : 0) | (p.revents & POLLOUT ? WEFT_WRITE : 0)) & mask;
}

struct fd_watch_any {
    struct weft__ctx_watch w; /* first: the callback gets its address */
    struct weft__pd *pd;
};

static void fd_watch_any_fire(struct weft__ctx_watch *w)
{
    weft__pd_interrupt(((struct fd_watch_any *)w)->pd, WEFT__DIR_READ);
}

static WEFT_PARKS int fd_wait_registered(weft_ctx *ctx, int fd, int mask, struct weft__pd *pd)
{
    struct fd_watch_any fw = {.pd = pd};
    if (ctx && !weft__ctx_watch_add(ctx, &fw.w, fd_watch_any_fire) && weft_ctx_err(ctx) != 0)
        return weft_ctx_err(ctx);
    int r = fd_ready(fd, mask);
    while (r == 0) {
        r = weft__pd_wait(pd, WEFT__DIR_READ);
        if (r == 0)
            r = fd_ready(fd, mask); /* I1 */
    }
    weft__ctx_watch_del(&fw.w);
    return r == WEFT_ECANCELED ? weft_ctx_err(ctx) : r;
}

int weft_fd_wait(weft_ctx *ctx, int fd, int mask)
{
    struct weft__pd *pd;
    if (mask == 0 || mask & ~(WEFT_READ | WEFT_WRITE))
        return WEFT_EINVAL;
    int r = ctx ? weft_ctx_err(ctx) : 0;
    if (r == 0)
        r = fd_ready(fd, mask);
    if (r != 0)
        return r;
    int own = -1;
    weft_err err = weft__pd_open_any(fd, &pd);
    if (err == -EEXIST) { /* I2 */
        if ((own = fcntl(fd, F_DUPFD_CLOEXEC, 0)) < 0)
            return -errno;
        err = weft__pd_open_any(own, &pd);
    }
    r = err ? err : fd_wait_registered(ctx, fd, mask, pd);
    if (!err)
        weft__pd_close_any(pd);
    if (own >= 0)
        close(own);
    return r;
}
