/*
 * checked.c - the names that calls have when a library is compiled with _FORTIFY_SOURCE.
 *
 * Role    The C library checks that the buffer holds what is asked for, then makes its own system call, past read, recv and
 *         poll. So here the check comes first and then ours. Layer 5.
 */
#include "posix_int.h"

/* Prints what is wrong and ends the process, as the C library does. */
_Noreturn void __chk_fail(void);

WEFT__STANDIN ssize_t __read_chk(int fd, void *buf, size_t n, size_t room);
ssize_t __read_chk(int fd, void *buf, size_t n, size_t room)
{
    if (n > room)
        __chk_fail();
    return read(fd, buf, n);
}

WEFT__STANDIN ssize_t __recv_chk(int fd, void *buf, size_t n, size_t room, int flags);
ssize_t __recv_chk(int fd, void *buf, size_t n, size_t room, int flags)
{
    if (n > room)
        __chk_fail();
    return recv(fd, buf, n, flags);
}

WEFT__STANDIN ssize_t __recvfrom_chk(int fd, void *buf, size_t n, size_t room, int flags, struct sockaddr *from, socklen_t *len);
ssize_t __recvfrom_chk(int fd, void *buf, size_t n, size_t room, int flags, struct sockaddr *from, socklen_t *len)
{
    if (n > room)
        __chk_fail();
    return recvfrom(fd, buf, n, flags, from, len);
}

WEFT__STANDIN int __poll_chk(struct pollfd *fds, nfds_t n, int timeout, size_t room);
int __poll_chk(struct pollfd *fds, nfds_t n, int timeout, size_t room)
{
    if (room / sizeof *fds < n)
        __chk_fail();
    return poll(fds, n, timeout);
}

WEFT__STANDIN int __ppoll_chk(struct pollfd *fds, nfds_t n, const struct timespec *timeout, const sigset_t *mask, size_t room);
int __ppoll_chk(struct pollfd *fds, nfds_t n, const struct timespec *timeout, const sigset_t *mask, size_t room)
{
    if (room / sizeof *fds < n)
        __chk_fail();
    return ppoll(fds, n, timeout, mask);
}
