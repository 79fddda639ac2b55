/*
 * poll_epoll.c - how the kernel is asked: one epoll instance, edge-triggered, and an eventfd to end its sleep.
 *
 * Role    The back end of poll.c. One thread at a time is in epoll_poll; any number add descriptors meanwhile.
 *
 * Invariants
 *   E1  A descriptor is registered once in its life, for IN, OUT and RDHUP, by who makes it ARMED: at its open, or, one that is
 *       opened late, with its first wait; closing the descriptor ends that. A short connection may never be registered.
 *   E4  epoll knows a descriptor once: while it is lent to weft_fd_wait, the first wait of its own pd registers a duplicate, whose
 *       number is in pd->armed; it is closed with the pd, and the registration ends with the file.
 *   E2  break_pending is 1 from a break until a sleeping epoll_poll has drained the eventfd; only the call that makes it
 *       1 writes. The eventfd is level-triggered, and a call that only looks leaves it alone: the break is for a sleeper.
 *
 * Order   P5  [sb] in poll.c: who finds the pd ARMED may park before the registration is made; what is ready then makes an edge.
 *         E3  break_pending: exchange by epoll_break  ->  exchange by epoll_poll: what the breaker published before
 *             is seen by the scheduler's next look.
 * Limits  128 events a call; what is left comes with the next one. Failure: epoll_start says -errno.
 * Source  epoll(7); Go runtime/netpoll_epoll.go. Without epoll_pwait2 (Linux 5.11) sleeps are rounded up to 1 ms.
 */
#include "poll_int.h"

#include "../sys/quick.h"

#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

enum { EPOLL_BATCH = 128 };
static const uint64_t epoll_break_handle = UINT64_MAX;

static struct {
    int fd;                               /* [const] once started */
    int break_fd;                         /* [const] once started */
    bool no_pwait2;                       /* [the polling thread] */
    _Atomic int break_pending;            /* [E3] */
    struct epoll_event event[EPOLL_BATCH];/* [the polling thread] */
} ep;

static weft_err epoll_start(void)
{
    int err = 0, fd = epoll_create1(EPOLL_CLOEXEC);
    if (fd < 0)
        return -errno;
    int break_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    struct epoll_event ev = {.events = EPOLLIN, .data.u64 = epoll_break_handle};
    if (break_fd < 0 || epoll_ctl(fd, EPOLL_CTL_ADD, break_fd, &ev) < 0) {
        err = -errno;
        if (break_fd >= 0)
            close(break_fd);
        close(fd);
        return err;
    }
    ep.fd = fd;
    ep.break_fd = break_fd;
    return 0;
}

static weft_err epoll_add(struct weft__pd *pd, int fd)
{
    struct epoll_event ev = {.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, .data.u64 = weft__pd_handle(pd)};
    return epoll_ctl(ep.fd, EPOLL_CTL_ADD, fd, &ev) < 0 ? -errno : 0;
}

static weft_err epoll_open(struct weft__pd *pd)
{
    if (atomic_load_explicit(&pd->flags, memory_order_relaxed) & WEFT__PD_LATE)
        return 0;
    atomic_store_explicit(&pd->armed, WEFT__PD_ARMED, memory_order_relaxed); /* P5: for the whole life */
    return epoll_add(pd, pd->fd);
}

/* E4 */
static weft_err epoll_add_twin(struct weft__pd *pd)
{
    int twin = fcntl(pd->fd, F_DUPFD_CLOEXEC, 3);
    weft_err err = twin < 0 ? -errno : epoll_add(pd, twin);
    if (!err)
        /* For epoll_close, which is ordered after it by its caller. */
        atomic_fetch_or_explicit(&pd->armed, (uint64_t)twin << WEFT__PD_MORE, memory_order_relaxed);
    else if (twin >= 0)
        (void)close(twin);
    return err;
}

static void epoll_arm(struct weft__pd *pd)
{
    uint64_t old = WEFT__PD_UNARMED;
    if (!atomic_compare_exchange_strong_explicit(&pd->armed, &old, WEFT__PD_ARMED, memory_order_seq_cst, memory_order_relaxed))
        return; /* E1: the other direction's waiter is at it */
    weft_err err = epoll_add(pd, pd->fd);
    if (err == -EEXIST)
        err = epoll_add_twin(pd);
    if (err)
        weft__pd_fail(pd, err);
}

static void epoll_close(struct weft__pd *pd, bool borrowed)
{
    uint64_t twin = atomic_load_explicit(&pd->armed, memory_order_relaxed) >> WEFT__PD_MORE;
    if (borrowed)
        (void)epoll_ctl(ep.fd, EPOLL_CTL_DEL, pd->fd, NULL);
    if (weft__unlikely(twin) && !(atomic_load_explicit(&pd->flags, memory_order_relaxed) & WEFT__PD_FAILED))
        (void)close((int)twin);
}

static void epoll_break(void)
{
    uint64_t one = 1;
    if (atomic_exchange_explicit(&ep.break_pending, 1, memory_order_acq_rel) == 0) /* E3 */
        while (write(ep.break_fd, &one, sizeof one) < 0 && errno == EINTR)
            ;
}

static void epoll_drain_break(void)
{
    uint64_t count;
    while (read(ep.break_fd, &count, sizeof count) < 0 && errno == EINTR)
        ;
    (void)atomic_exchange_explicit(&ep.break_pending, 0, memory_order_acq_rel); /* E3 */
}

/* What epoll_wait asks, for a filter of system calls that knows it. Where there is none, there is no quick way either. */
#ifdef SYS_epoll_wait
#define EPOLL_WAIT_CALL SYS_epoll_wait
#else
#define EPOLL_WAIT_CALL SYS_epoll_pwait
#endif

/* Number of events, 0 on interruption too. */
static int epoll_collect(weft_dur timeout)
{
    if (timeout > 0 && !ep.no_pwait2) {
        struct timespec ts = {.tv_sec = timeout / WEFT_SEC, .tv_nsec = timeout % WEFT_SEC};
        int n = epoll_pwait2(ep.fd, ep.event, EPOLL_BATCH, &ts, NULL);
        if (n >= 0 || errno != ENOSYS)
            return n < 0 ? 0 : n;
        ep.no_pwait2 = true;
    }
    int ms = timeout < 0 ? -1 : timeout >= INT32_MAX * WEFT_MS ? INT32_MAX : (int)((timeout + WEFT_MS - 1) / WEFT_MS);
    long n = weft__sys_quick_calls() ? weft__sys_quick(EPOLL_WAIT_CALL, ep.fd, (long)ep.event, EPOLL_BATCH, ms)
                                     : epoll_wait(ep.fd, ep.event, EPOLL_BATCH, ms);
    return n < 0 ? 0 : (int)n;
}

static struct weft__woken epoll_poll(weft_dur timeout)
{
    struct weft__woken list = {NULL, NULL};
    int n = epoll_collect(timeout);
    while (n-- > 0) { /* from the last: the list then runs oldest first */
        struct epoll_event *ev = &ep.event[n];
        if (ev->data.u64 == epoll_break_handle) {
            if (timeout != 0)
                epoll_drain_break(); /* E2 */
            continue;
        }
        struct weft__pd *pd = weft__pd_of_handle(ev->data.u64);
        if (!pd)
            continue;
        bool ended = ev->events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR);
        unsigned dirs = 0;
        if (ev->events & EPOLLIN || ended)
            dirs |= WEFT__DIR_READ;
        if (ev->events & (EPOLLOUT | EPOLLHUP | EPOLLERR))
            dirs |= WEFT__DIR_WRITE;
        weft__pd_edge(pd, dirs, ended, &list);
    }
    return list;
}

const struct weft__poll_back weft__poll_epoll = {"epoll", epoll_start, epoll_open, NULL, epoll_arm, epoll_close, epoll_poll, epoll_break,
                                                   NULL, NULL, NULL};
