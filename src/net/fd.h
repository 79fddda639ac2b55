/*
 * fd.h - a socket as connections, listeners and TLS share it: who is inside, when it dies, how it is waited for.
 *
 * Layer 4. See fd.c for the rules.
 */
#ifndef WEFT_NET_FD_H
#define WEFT_NET_FD_H
#include "../ctx/ctx_int.h"
#include "../poll/poll.h"
#include "sock.h"

enum {
    WEFT__FD_CLOSED = 1,
    WEFT__FD_READING = 2,          /* a goroutine is in the read direction */
    WEFT__FD_WRITING = 4,
    WEFT__FD_USE = 8               /* one call inside; the count is above */
};

struct weft__fd {
    _Atomic uint32_t state;        /* [F1] WEFT__FD_* bits and count */
    _Atomic uint32_t lives;        /* [F2] 1 while anybody may hold a pointer, and 1 while the descriptor is open */
    int fd;                        /* [const] until destroyed */
    bool tcp;                      /* [const] a short read means an empty buffer; a TCP socket that is not taken from, or a pipe of ours */
    bool taken;                    /* [const] bytes or connections may come by the poller (poll_take.c): ask weft__fd_recv only */
    bool drained;                  /* [own of READING] the last read emptied the socket */
    struct weft__pd *pd;           /* [const] NULL: a file that epoll does not take; never waited for (io/file.c L1) */
    void (*gone)(struct weft__fd *f); /* [const] frees the object around it */
};

/* Takes over fd: on error it is still the caller's. late: it can be waited for, but the kernel need not know before the first wait. */
weft_err weft__fd_init(struct weft__fd *f, int fd, bool late, void (*gone)(struct weft__fd *f));
/* Start a call in the given directions (READING, WRITING, both, or 0 for a short look): 0, WEFT_ECLOSED, WEFT_EBUSY. */
static inline weft_err weft__fd_enter(struct weft__fd *f, uint32_t dirs)
{
    uint32_t old = atomic_load_explicit(&f->state, memory_order_relaxed);
    do {
        if (weft__unlikely(old & (WEFT__FD_CLOSED | dirs)))
            return old & WEFT__FD_CLOSED ? WEFT_ECLOSED : WEFT_EBUSY;
    } while (!atomic_compare_exchange_weak_explicit(&f->state, &old, (old | dirs) + WEFT__FD_USE, memory_order_acquire,
                                                    memory_order_relaxed)); /* F1 */
    return 0;
}
/* The last call has left what is closed. */
void weft__fd_end(struct weft__fd *f);
static inline void weft__fd_leave(struct weft__fd *f, uint32_t dirs)
{
    uint32_t now = atomic_fetch_sub_explicit(&f->state, WEFT__FD_USE + dirs, memory_order_acq_rel) - WEFT__FD_USE - dirs; /* F1 */
    if (weft__unlikely(now == WEFT__FD_CLOSED))
        weft__fd_end(f);
}
/* No new calls; those inside are woken; the descriptor closes when the last has left. WEFT_ECLOSED: it was before. */
weft_err weft__fd_close(struct weft__fd *f);
/* One life less; the last one calls gone. */
void weft__fd_drop(struct weft__fd *f);

/* Park until the direction may be ready, or ctx ends (then its error). */
WEFT_PARKS weft_err weft__fd_wait(weft_ctx *ctx, struct weft__fd *f, enum weft__dir dir);
/* recv(2) of what is there, in order with what the poller has taken: bytes, 0 at the end, -EAGAIN or -errno. READING is held. */
static inline ssize_t weft__fd_recv(struct weft__fd *f, void *ret_buf, size_t n)
{
    ssize_t got;
    if (weft__unlikely(f->taken) && weft__pd_take_bytes(f->pd, ret_buf, n, &got))
        return got;
    return weft__sock_recv(f->fd, ret_buf, n);
}

/* As weft_conn_read and weft_conn_writev, between enter and leave. */
WEFT_PARKS ssize_t weft__fd_read(weft_ctx *ctx, struct weft__fd *f, void *ret_buf, size_t n);
/* As weft__fd_read without a context, right after a wait that succeeded: no look at the deadline before the first try. */
ssize_t weft__fd_try_read(struct weft__fd *f, void *ret_buf, size_t n); /* -EAGAIN: nothing there */
WEFT_PARKS ssize_t weft__fd_read_soon(struct weft__fd *f, void *ret_buf, size_t n);
WEFT_PARKS ssize_t weft__fd_write(weft_ctx *ctx, struct weft__fd *f, const void *buf, size_t n);
WEFT_PARKS ssize_t weft__fd_writev(weft_ctx *ctx, struct weft__fd *f, const struct iovec *iov, int count);

#endif
