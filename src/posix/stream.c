/*
 * stream.c - read, write, readv, writev.
 *
 * Role    Sockets are tried by recvmsg and sendmsg with MSG_DONTWAIT, everything else is asked by poll(2). Files are always
 *         ready, so their disk is the monitor's matter. Near socket.c. Layer 5.
 * Limits  A read of no bytes is left as it is: recv would take a datagram.
 */
#include "posix_int.h"

#include "socket.h"

#include <limits.h>
#include <sys/stat.h>

/* May a write of n bytes to what poll calls writable still block? A pipe with room for one page may; files do not. */
static bool stream_write_waits(int fd, size_t n)
{
    struct stat st;

    if (!weft__posix_ready(fd, POLLOUT))
        return true;
    return n > PIPE_BUF && fstat(fd, &st) == 0 && !S_ISREG(st.st_mode);
}

static size_t stream_bytes(const struct iovec *iov, int count)
{
    size_t n = 0;

    for (int i = 0; i < count; i++)
        n += iov[i].iov_len;
    return n;
}

/* A read that holds a processor. False: not done, make the real call. */
static bool stream_try_read(int fd, const struct iovec *iov, int count, ssize_t *ret_n)
{
    int saved = errno;

    if (weft__posix_nonblocking(fd) || count <= 0 || count > IOV_MAX || stream_bytes(iov, count) == 0)
        return false;
    struct msghdr m = {.msg_iov = (struct iovec *)iov, .msg_iovlen = (size_t)count};
    *ret_n = WEFT__NEXT(recvmsg)(fd, &m, MSG_DONTWAIT);
    if (*ret_n >= 0 || (errno != EAGAIN && errno != ENOTSOCK))
        return true;
    if (errno == EAGAIN || !weft__posix_ready(fd, POLLIN))
        weft__keep_give();
    errno = saved;
    return false;
}

WEFT__STANDIN ssize_t read(int fd, void *buf, size_t n)
{
    struct iovec iov = {buf, n};
    ssize_t r;

    if (weft__keep_holds() && stream_try_read(fd, &iov, 1, &r))
        return r;
    return WEFT__NEXT(read)(fd, buf, n);
}

WEFT__STANDIN ssize_t readv(int fd, const struct iovec *iov, int count)
{
    ssize_t r;

    if (weft__keep_holds() && stream_try_read(fd, iov, count, &r))
        return r;
    return WEFT__NEXT(readv)(fd, iov, count);
}

static bool stream_try_write(int fd, const struct iovec *iov, int count, ssize_t *ret_n)
{
    int saved = errno;

    if (weft__posix_nonblocking(fd) || count <= 0 || count > IOV_MAX)
        return false;
    struct msghdr m = {.msg_iov = (struct iovec *)iov, .msg_iovlen = (size_t)count};
    *ret_n = WEFT__NEXT(sendmsg)(fd, &m, MSG_DONTWAIT);
    if (*ret_n >= 0 || errno == EAGAIN || errno == EINPROGRESS) {
        *ret_n = weft__socket_send_rest(fd, &m, 0, *ret_n);
        return true;
    }
    if (errno != ENOTSOCK)
        return true;
    if (stream_write_waits(fd, stream_bytes(iov, count)))
        weft__keep_give();
    errno = saved;
    return false;
}

WEFT__STANDIN ssize_t write(int fd, const void *buf, size_t n)
{
    struct iovec iov = {(void *)(uintptr_t)buf, n};
    ssize_t r;

    if (weft__keep_holds() && stream_try_write(fd, &iov, 1, &r))
        return r;
    return WEFT__NEXT(write)(fd, buf, n);
}

WEFT__STANDIN ssize_t writev(int fd, const struct iovec *iov, int count)
{
    ssize_t r;

    if (weft__keep_holds() && stream_try_write(fd, iov, count, &r))
        return r;
    return WEFT__NEXT(writev)(fd, iov, count);
}
