/*
 * poll_epoll.c - how the kernel is asked: one epoll instance, edge-triggered, and an eventfd to end its sleep.
 *
 * Role    The back end of poll.c. One thread at a time is in weft__poll; any number add descriptors meanwhile.
 *
 * Invariants
 *   E1  A descriptor is registered once in its life, for IN, OUT and RDHUP; closing the descriptor ends that.
 *   E2  break_pending is 1 from a break until a sleeping weft__poll has drained the eventfd; only the call that makes it
 *       1 writes. The eventfd is level-triggered, and a call that only looks leaves it alone: the break is for a sleeper.
 *
 * Order   E3  break_pending: exchange by weft__poll_break  ->  exchange by weft__poll: what the breaker published before
 *             is seen by the scheduler's next look.
 *         E4  started: release by weft__poll_start -> acquire in weft__poll_started: carries both descriptors.
 * Limits  128 events a call; what is left comes with the next one. The process's soft limit of descriptors is raised to
 *         the hard one; children inherit that. Failure: weft__poll_start says -errno.
 * Source  epoll(7); Go runtime/netpoll_epoll.go. Without epoll_pwait2 (Linux 5.11) sleeps are rounded up to 1 ms.
 */
#include "poll_int.h"

#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

enum { EPOLL_BATCH = 128 };
static const uint64_t epoll_break_handle = UINT64_MAX;

static struct {
    struct weft__lock lock;               /* start only */
    _Atomic int started;                  /* [E4] 0 no, 1 yes */
    int fd;                               /* [const] once started */
    int break_fd;                         /* [const] once started */
    bool no_pwait2;                       /* [the polling thread] */
    _Atomic int break_pending;            /* [E3] */
    struct epoll_event event[EPOLL_BATCH];/* [the polling thread] */
} ep;

bool weft__poll_started(void)
{
    return atomic_load_explicit(&ep.started, memory_order_acquire); /* E4 */
}

/* As Go does at start: the soft limit of descriptors is 1,024 for the sake of select(2), which nobody here uses. */
static void epoll_raise_limit(void)
{
    struct rlimit r;
    if (getrlimit(RLIMIT_NOFILE, &r) == 0 && r.rlim_cur < r.rlim_max) {
        r.rlim_cur = r.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &r); /* refused: accept and dial will say -EMFILE sooner */
    }
}

static weft_err epoll_make(void)
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
    epoll_raise_limit();
    ep.fd = fd;
    ep.break_fd = break_fd;
    atomic_store_explicit(&ep.started, 1, memory_order_release); /* E4 */
    return 0;
}

/* The lock is held over system calls here: once per process, and nobody else needs it. */
weft_err weft__poll_start(void)
{
    if (weft__likely(weft__poll_started()))
        return 0;
    (void)weft__g(); /* the runtime must run before there is something to poll for */
    weft__lock(&ep.lock);
    weft_err err = weft__poll_started() ? 0 : epoll_make();
    weft__unlock(&ep.lock);
    return err;
}

weft_err weft__poll_add(int fd, uint64_t handle)
{
    struct epoll_event ev = {.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, .data.u64 = handle};
    return epoll_ctl(ep.fd, EPOLL_CTL_ADD, fd, &ev) < 0 ? -errno : 0;
}

void weft__poll_del(int fd)
{
    (void)epoll_ctl(ep.fd, EPOLL_CTL_DEL, fd, NULL);
}

void weft__poll_break(void)
{
    uint64_t one = 1;
    if (!weft__poll_started()) /* also the acquire of E4: the caller may be a thread that never polled */
        return;
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
    int n = epoll_wait(ep.fd, ep.event, EPOLL_BATCH, ms);
    return n < 0 ? 0 : n;
}

struct weft__woken weft__poll(weft_dur timeout)
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
