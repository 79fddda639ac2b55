/*
 * pollers.c - poll, ppoll, select, pselect, epoll_wait and kin: asked without waiting first.
 *
 * Role    A look with a time-out of 0; only if it finds nothing is the processor handed on and the real call made, with the
 *         program's time-out and signal mask. Near socket.c. Layer 5.
 * Limits  select of more than FD_SETSIZE descriptors counts as blocking: its sets cannot be kept for the second call.
 */
#include "posix_int.h"

static bool poll_no_time(const struct timespec *t)
{
    return t && t->tv_sec == 0 && t->tv_nsec == 0;
}

static const struct timespec poll_now;

WEFT__STANDIN int poll(struct pollfd *fds, nfds_t n, int timeout)
{
    if (timeout != 0 && weft__keep_holds()) {
        int r = WEFT__NEXT(poll)(fds, n, 0);
        if (r != 0)
            return r;
        weft__keep_give();
    }
    return WEFT__NEXT(poll)(fds, n, timeout);
}

WEFT__STANDIN int ppoll(struct pollfd *fds, nfds_t n, const struct timespec *timeout, const sigset_t *mask)
{
    if (!poll_no_time(timeout) && weft__keep_holds()) {
        int r = WEFT__NEXT(ppoll)(fds, n, &poll_now, mask);
        if (r != 0)
            return r;
        weft__keep_give();
    }
    return WEFT__NEXT(ppoll)(fds, n, timeout, mask);
}

/* ---- select ---- */

struct poll_sets {
    fd_set set[3];
};

/* A look at copies of the sets; those that it found are written back only if there are any. */
static int poll_look_sets(int n, fd_set *in, fd_set *out, fd_set *bad, const sigset_t *mask)
{
    struct poll_sets s;
    fd_set *user[3] = {in, out, bad}, *mine[3];
    size_t bytes = ((size_t)n + 8 * sizeof(long) - 1) / (8 * sizeof(long)) * sizeof(long);

    for (int i = 0; i < 3; i++) {
        mine[i] = user[i] ? &s.set[i] : NULL;
        if (user[i])
            memcpy(mine[i], user[i], bytes);
    }
    int r = WEFT__NEXT(pselect)(n, mine[0], mine[1], mine[2], &poll_now, mask);
    for (int i = 0; r > 0 && i < 3; i++)
        if (user[i])
            memcpy(user[i], mine[i], bytes);
    return r;
}

/* Before a select that waits: its result, or 0 with the processor handed on. */
static int poll_before_select(int n, fd_set *in, fd_set *out, fd_set *bad, const sigset_t *mask)
{
    int r = 0;

    if (n > 0 && n <= FD_SETSIZE)
        r = poll_look_sets(n, in, out, bad, mask);
    if (r == 0)
        weft__keep_give();
    return r;
}

WEFT__STANDIN int select(int n, fd_set *restrict in, fd_set *restrict out, fd_set *restrict bad, struct timeval *restrict timeout)
{
    if (!(timeout && timeout->tv_sec == 0 && timeout->tv_usec == 0) && weft__keep_holds()) {
        int r = poll_before_select(n, in, out, bad, NULL);
        if (r != 0)
            return r;
    }
    return WEFT__NEXT(select)(n, in, out, bad, timeout);
}

WEFT__STANDIN int pselect(int n, fd_set *restrict in, fd_set *restrict out, fd_set *restrict bad,
                          const struct timespec *restrict timeout, const sigset_t *restrict mask)
{
    if (!poll_no_time(timeout) && weft__keep_holds()) {
        int r = poll_before_select(n, in, out, bad, mask);
        if (r != 0)
            return r;
    }
    return WEFT__NEXT(pselect)(n, in, out, bad, timeout, mask);
}

/* ---- epoll ---- */

WEFT__STANDIN int epoll_wait(int ep, struct epoll_event *ev, int max, int timeout)
{
    if (timeout != 0 && weft__keep_holds()) {
        int r = WEFT__NEXT(epoll_wait)(ep, ev, max, 0);
        if (r != 0)
            return r;
        weft__keep_give();
    }
    return WEFT__NEXT(epoll_wait)(ep, ev, max, timeout);
}

WEFT__STANDIN int epoll_pwait(int ep, struct epoll_event *ev, int max, int timeout, const sigset_t *mask)
{
    if (timeout != 0 && weft__keep_holds()) {
        int r = WEFT__NEXT(epoll_pwait)(ep, ev, max, 0, mask);
        if (r != 0)
            return r;
        weft__keep_give();
    }
    return WEFT__NEXT(epoll_pwait)(ep, ev, max, timeout, mask);
}

WEFT__STANDIN int epoll_pwait2(int ep, struct epoll_event *ev, int max, const struct timespec *timeout, const sigset_t *mask)
{
    if (!poll_no_time(timeout) && weft__keep_holds()) {
        int r = WEFT__NEXT(epoll_pwait2)(ep, ev, max, &poll_now, mask);
        if (r != 0)
            return r;
        weft__keep_give();
    }
    return WEFT__NEXT(epoll_pwait2)(ep, ev, max, timeout, mask);
}
