/*
 * sock.h - the net's system calls: -errno instead of errno, descriptors born close-on-exec and non-blocking.
 *
 * Role    The net's share of the seam to the kernel (src/sys/sys.h has the core's): simulation replaces this header.
 *         None of these blocks. EINTR is retried where it can happen.
 */
#ifndef WEFT_NET_SOCK_H
#define WEFT_NET_SOCK_H
#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/sendfile.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>
#include <weft/net.h>

#include "../arch/fiber.h"
#include "../sys/quick.h"
#include "sigpipe.h"

/*
 * What every connection calls goes past the C library's functions, which are cancellation points: in a program with threads, as ours
 * is, two atomic instructions around each. Nobody cancels our threads. A sanitizer wants to see the calls.
 */
#if defined(SYS_recvfrom) && defined(SYS_sendto) && defined(SYS_connect) && defined(SYS_accept4) && !WEFT__TSAN && !WEFT__ASAN
#define WEFT__SOCK_RECV(fd, buf, n) syscall(SYS_recvfrom, fd, buf, n, 0L, NULL, NULL)
#define WEFT__SOCK_SEND(fd, buf, n, flags) syscall(SYS_sendto, fd, buf, n, (long)(flags), NULL, 0L)
#define WEFT__SOCK_CONNECT(fd, to, len) syscall(SYS_connect, fd, to, len)
#define WEFT__SOCK_ACCEPT(fd, flags) syscall(SYS_accept4, fd, NULL, NULL, (long)(flags))
#define WEFT__SOCK_CLOSE(fd) syscall(SYS_close, fd)
#else
#define WEFT__SOCK_RECV(fd, buf, n) recv(fd, buf, n, 0)
#define WEFT__SOCK_SEND(fd, buf, n, flags) send(fd, buf, n, flags)
#define WEFT__SOCK_CONNECT(fd, to, len) connect(fd, to, len)
#define WEFT__SOCK_ACCEPT(fd, flags) accept4(fd, NULL, NULL, flags)
#define WEFT__SOCK_CLOSE(fd) close(fd)
#endif

/* Any address that the net handles. */
struct weft__saddr {
    socklen_t len;
    union {
        struct sockaddr sa;
        struct sockaddr_in in4;
        struct sockaddr_in6 in6;
        struct sockaddr_un un;
    } u;
};

/* The result of an expression that sets errno, as -errno; tried again after a signal. */
#define WEFT__SOCK_RETRY(expr)                                \
    __extension__({                                           \
        long weft__r;                                         \
        do                                                    \
            weft__r = (long)(expr);                           \
        while (weft__r < 0 && errno == EINTR);                \
        weft__r < 0 ? -(long)errno : weft__r;                 \
    })

static inline int weft__sock_new(int family, int type)
{
    int fd = socket(family, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    return fd < 0 ? -errno : fd;
}

/* Descriptors are closed once, EINTR or not: Linux has freed the number. */
static inline void weft__sock_close(int fd)
{
    (void)WEFT__SOCK_CLOSE(fd);
}

static inline int weft__sock_set(int fd, int level, int name, int value)
{
    return setsockopt(fd, level, name, &value, sizeof value) < 0 ? -errno : 0;
}

static inline int weft__sock_nonblock(int fd)
{
    int flags = fcntl(fd, F_GETFL);
    return flags < 0 || (!(flags & O_NONBLOCK) && fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0) ? -errno : 0;
}

/* A system call that does not go through the C library, where that is faster (src/sys/quick.c). */
#define WEFT__SOCK_QUICK(...)                                 \
    __extension__({                                           \
        long weft__q;                                         \
        do                                                    \
            weft__q = weft__sys_quick(__VA_ARGS__);           \
        while (weft__q == -EINTR);                            \
        weft__q;                                              \
    })

static inline ssize_t weft__sock_recv(int fd, void *buf, size_t n)
{
    if (weft__sys_quick_calls())
        return WEFT__SOCK_QUICK(SYS_recvfrom, fd, (long)buf, (long)n, 0);
    return WEFT__SOCK_RETRY(WEFT__SOCK_RECV(fd, buf, n));
}

static inline ssize_t weft__sock_send(int fd, const void *buf, size_t n)
{
    if (weft__sys_quick_calls())
        return WEFT__SOCK_QUICK(SYS_sendto, fd, (long)buf, (long)n, MSG_NOSIGNAL);
    return WEFT__SOCK_RETRY(WEFT__SOCK_SEND(fd, buf, n, MSG_NOSIGNAL));
}

/* More follows at once: the kernel may wait for it, for a retransmission's time-out (200 ms or more), and send both as one segment. A close
 * with bytes unread drops what waits. */
static inline ssize_t weft__sock_send_more(int fd, const void *buf, size_t n)
{
    if (weft__sys_quick_calls())
        return WEFT__SOCK_QUICK(SYS_sendto, fd, (long)buf, (long)n, MSG_NOSIGNAL | MSG_MORE);
    return WEFT__SOCK_RETRY(send(fd, buf, n, MSG_NOSIGNAL | MSG_MORE));
}

static inline ssize_t weft__sock_sendv(int fd, const struct iovec *iov, int count)
{
    struct msghdr m = {.msg_iov = (struct iovec *)iov, .msg_iovlen = (size_t)count};
    if (weft__sys_quick_calls())
        return WEFT__SOCK_QUICK(SYS_sendmsg, fd, (long)&m, MSG_NOSIGNAL, 0);
    return WEFT__SOCK_RETRY(sendmsg(fd, &m, MSG_NOSIGNAL));
}

static inline ssize_t weft__sock_recvv(int fd, const struct iovec *iov, int count)
{
    struct msghdr m = {.msg_iov = (struct iovec *)iov, .msg_iovlen = (size_t)count};
    return WEFT__SOCK_RETRY(recvmsg(fd, &m, 0));
}

/* The peer may have gone: MSG_NOSIGNAL is not to be had. */
static inline ssize_t weft__sock_sendfile(int fd, int file, uint64_t at, size_t n)
{
    struct weft__sigpipe quiet;
    off_t from = (off_t)at;
    weft__sigpipe_begin(&quiet);
    ssize_t put = WEFT__SOCK_RETRY(sendfile(fd, file, &from, n));
    weft__sigpipe_end(&quiet, put != (ssize_t)n);
    return put;
}

static inline ssize_t weft__sock_splice_to(int fd, int pipe, size_t n)
{
    struct weft__sigpipe quiet;
    weft__sigpipe_begin(&quiet);
    ssize_t put = WEFT__SOCK_RETRY(splice(pipe, NULL, fd, NULL, n, SPLICE_F_MOVE | SPLICE_F_NONBLOCK));
    weft__sigpipe_end(&quiet, put != (ssize_t)n);
    return put;
}

static inline ssize_t weft__sock_recvfrom(int fd, void *buf, size_t n, struct weft__saddr *ret_from)
{
    ret_from->len = sizeof ret_from->u;
    return WEFT__SOCK_RETRY(recvfrom(fd, buf, n, 0, &ret_from->u.sa, &ret_from->len));
}

static inline ssize_t weft__sock_sendto(int fd, const void *buf, size_t n, const struct sockaddr *to, socklen_t len)
{
    return WEFT__SOCK_RETRY(sendto(fd, buf, n, MSG_NOSIGNAL, to, len));
}

static inline int weft__sock_accept(int fd)
{
    return (int)WEFT__SOCK_RETRY(WEFT__SOCK_ACCEPT(fd, SOCK_CLOEXEC | SOCK_NONBLOCK));
}

/* After EINTR the connect goes on by itself: the same as -EINPROGRESS. */
static inline int weft__sock_connect(int fd, const struct weft__saddr *to)
{
    if (WEFT__SOCK_CONNECT(fd, &to->u.sa, to->len) == 0)
        return 0;
    return errno == EINTR ? -EINPROGRESS : -errno;
}

static inline int weft__sock_name(int fd, bool peer, struct weft__saddr *ret)
{
    ret->len = sizeof ret->u;
    int r = peer ? getpeername(fd, &ret->u.sa, &ret->len) : getsockname(fd, &ret->u.sa, &ret->len);
    return r < 0 ? -errno : 0;
}

#endif
