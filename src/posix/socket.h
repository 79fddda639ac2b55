/*
 * socket.h - what stream.c needs of socket.c.
 */
#ifndef WEFT_POSIX_SOCKET_H
#define WEFT_POSIX_SOCKET_H
#include <sys/socket.h>
#include <sys/types.h>

/* A blocking socket took n bytes of m without blocking (-1: none, it would have blocked). Sends the rest, and hands the
 * processor on before. What sendmsg without MSG_DONTWAIT would have returned. */
ssize_t weft__socket_send_rest(int fd, const struct msghdr *m, int flags, ssize_t n);

#endif
