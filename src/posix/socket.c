/*
 * socket.c - recv, send and kin, connect, accept.
 *
 * Role    A goroutine's call is tried with MSG_DONTWAIT. Only when the kernel would have blocked is the descriptor asked
 *         whether the program itself made it non-blocking; if not, the processor is handed on and the call made as it was.
 *         So SO_RCVTIMEO, SO_SNDTIMEO, shutdown and close by others, signals: all the kernel's. Near stream.c. Layer 5.
 * Limits  MSG_WAITALL and connect count as blocking. recvmmsg and sendmmsg are left alone.
 */
#include "socket.h"

#include "posix_int.h"

/* A call with these flags blocks for nobody. */
static bool socket_never_waits(int flags)
{
    return flags & (MSG_DONTWAIT | MSG_ERRQUEUE);
}

/* Why a send that was tried did not happen: no room, or a connection that this send has begun (TCP_FASTOPEN_CONNECT). */
static bool socket_would_wait(void)
{
    return errno == EAGAIN || errno == EINPROGRESS;
}

/* After a try. True: its result is the call's; else the processor has been handed on and errno is as before the try. */
static bool socket_settled(int fd, ssize_t r, int saved)
{
    if (r >= 0 || errno != EAGAIN || weft__posix_nonblocking(fd))
        return true;
    weft__keep_give();
    errno = saved;
    return false;
}

/* Flags for a try, or 0 where a try would not do: then the processor has been handed on if need be. */
static int socket_try_flags(int fd, int flags)
{
    if (!weft__keep_holds() || socket_never_waits(flags))
        return 0;
    if (!(flags & MSG_WAITALL))
        return flags | MSG_DONTWAIT;
    if (!weft__posix_nonblocking(fd))
        weft__keep_give();
    return 0;
}

WEFT__STANDIN ssize_t recv(int fd, void *buf, size_t n, int flags)
{
    int try = socket_try_flags(fd, flags), saved = errno;

    if (try) {
        ssize_t r = WEFT__NEXT(recv)(fd, buf, n, try);
        if (socket_settled(fd, r, saved))
            return r;
    }
    return WEFT__NEXT(recv)(fd, buf, n, flags);
}

WEFT__STANDIN ssize_t recvfrom(int fd, void *restrict buf, size_t n, int flags, struct sockaddr *restrict from, socklen_t *restrict len)
{
    int try = socket_try_flags(fd, flags), saved = errno;

    if (try) {
        ssize_t r = WEFT__NEXT(recvfrom)(fd, buf, n, try, from, len);
        if (socket_settled(fd, r, saved))
            return r;
    }
    return WEFT__NEXT(recvfrom)(fd, buf, n, flags, from, len);
}

WEFT__STANDIN ssize_t recvmsg(int fd, struct msghdr *m, int flags)
{
    int try = socket_try_flags(fd, flags), saved = errno;

    if (try) {
        ssize_t r = WEFT__NEXT(recvmsg)(fd, m, try);
        if (socket_settled(fd, r, saved))
            return r;
    }
    return WEFT__NEXT(recvmsg)(fd, m, flags);
}

/* ---- sending ---- */

/* False: make the real call at once. MSG_FASTOPEN connects, which cannot be tried. */
static bool socket_try_send(int flags)
{
    if (!weft__keep_holds() || socket_never_waits(flags))
        return false;
    if (flags & MSG_FASTOPEN)
        weft__keep_give();
    return !(flags & MSG_FASTOPEN);
}

static size_t socket_bytes(const struct msghdr *m)
{
    size_t n = 0;

    for (size_t i = 0; i < m->msg_iovlen; i++)
        n += m->msg_iov[i].iov_len;
    return n;
}

/* Part of a stream's bytes has gone: the piece that was cut, then the whole ones after it. A failure now is the next call's:
 * the kernel would have returned the count too, and raised no signal. */
static ssize_t socket_send_tail(int fd, const struct msghdr *m, int flags, size_t sent)
{
    size_t i = 0, skip = sent;

    while (i < m->msg_iovlen && skip >= m->msg_iov[i].iov_len)
        skip -= m->msg_iov[i++].iov_len;
    if (i < m->msg_iovlen && skip > 0) {
        struct iovec cut = {(char *)m->msg_iov[i].iov_base + skip, m->msg_iov[i].iov_len - skip};
        struct msghdr one = {.msg_iov = &cut, .msg_iovlen = 1};
        ssize_t r = WEFT__NEXT(sendmsg)(fd, &one, flags | MSG_NOSIGNAL);
        sent += r > 0 ? (size_t)r : 0;
        if (r < 0 || (size_t)r < cut.iov_len)
            return (ssize_t)sent;
        i++;
    }
    if (i < m->msg_iovlen) {
        struct msghdr rest = {.msg_iov = m->msg_iov + i, .msg_iovlen = m->msg_iovlen - i};
        ssize_t r = WEFT__NEXT(sendmsg)(fd, &rest, flags | MSG_NOSIGNAL);
        sent += r > 0 ? (size_t)r : 0;
    }
    return (ssize_t)sent;
}

ssize_t weft__socket_send_rest(int fd, const struct msghdr *m, int flags, ssize_t n)
{
    int saved = errno;

    if (n >= 0 && (size_t)n >= socket_bytes(m))
        return n;
    if (weft__posix_nonblocking(fd))
        return n; /* errno is that of the try */
    weft__keep_give();
    if (n < 0)
        return WEFT__NEXT(sendmsg)(fd, m, flags);
    n = socket_send_tail(fd, m, flags, (size_t)n);
    errno = saved;
    return n;
}

WEFT__STANDIN ssize_t sendmsg(int fd, const struct msghdr *m, int flags)
{
    if (!socket_try_send(flags))
        return WEFT__NEXT(sendmsg)(fd, m, flags);
    ssize_t r = WEFT__NEXT(sendmsg)(fd, m, flags | MSG_DONTWAIT);
    return r < 0 && !socket_would_wait() ? r : weft__socket_send_rest(fd, m, flags, r);
}

WEFT__STANDIN ssize_t sendto(int fd, const void *buf, size_t n, int flags, const struct sockaddr *to, socklen_t len)
{
    if (!socket_try_send(flags))
        return WEFT__NEXT(sendto)(fd, buf, n, flags, to, len);
    ssize_t r = WEFT__NEXT(sendto)(fd, buf, n, flags | MSG_DONTWAIT, to, len);
    if (r >= 0 ? (size_t)r >= n : !socket_would_wait())
        return r;
    struct iovec iov = {(void *)(uintptr_t)buf, n};
    struct msghdr m = {.msg_name = (void *)(uintptr_t)to, .msg_namelen = to ? len : 0, .msg_iov = &iov, .msg_iovlen = 1};
    return weft__socket_send_rest(fd, &m, flags, r);
}

WEFT__STANDIN ssize_t send(int fd, const void *buf, size_t n, int flags)
{
    return sendto(fd, buf, n, flags, NULL, 0);
}

/* ---- connect, accept ---- */

/* A datagram socket only writes the address down. */
static bool socket_connect_waits(int fd)
{
    int type = 0, saved = errno;
    socklen_t len = sizeof type;

    if (weft__posix_nonblocking(fd))
        return false;
    bool waits = getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) == 0 && type != SOCK_DGRAM;
    errno = saved;
    return waits;
}

WEFT__STANDIN int connect(int fd, const struct sockaddr *to, socklen_t len)
{
    if (weft__keep_holds() && socket_connect_waits(fd))
        weft__keep_give();
    return WEFT__NEXT(connect)(fd, to, len);
}

static void socket_before_accept(int fd)
{
    if (weft__keep_holds() && !weft__posix_nonblocking(fd) && !weft__posix_ready(fd, POLLIN))
        weft__keep_give();
}

WEFT__STANDIN int accept(int fd, struct sockaddr *restrict from, socklen_t *restrict len)
{
    socket_before_accept(fd);
    return WEFT__NEXT(accept)(fd, from, len);
}

WEFT__STANDIN int accept4(int fd, struct sockaddr *restrict from, socklen_t *restrict len, int flags)
{
    socket_before_accept(fd);
    return WEFT__NEXT(accept4)(fd, from, len, flags);
}
