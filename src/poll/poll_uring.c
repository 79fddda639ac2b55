/*
 * poll_uring.c - how the kernel is asked through io_uring: a multishot poll for each descriptor that somebody waits for.
 *
 * Role    The other back end of poll.c, in two forms: "uring-poll" tells of readiness only; "uring" also takes the bytes of
 *         streams and the connections of listeners (poll_take.c), by multishot requests that read. A pd is armed by its
 *         first wait, not by its opening: a descriptor that nobody waits for costs nothing. Arming writes no system call of
 *         its own: requests go with the next io_uring_enter that polls. Near poll_back.c, docs/adr/0013-io-uring.md. Layer
 *         2; liburing does the mapping and the entering.
 *
 * Invariants
 *   U1  Only the thread that polls (the scheduler lets one in at a time) writes requests, enters the ring and reads what is
 *       complete. Others touch the list, the head of the request queue (to read) and, under nudge.lock, a second ring. So
 *       requests belong to threads of the runtime, never to one of the program's that may end.
 *   U2  armed: UNARMED -> ARMING by whoever wants to wait, who then lists the pd; ARMING -> ARMED with the place of its
 *       request by the poller; ARMED -> ARMING by the poller when the kernel has ended the request; any -> UNARMED by the
 *       close. A pd has one request at most of each word: armed, which tells of readiness, and taking, which reads. A listed
 *       pd that is not ARMING is left out: the list may hold it from an earlier life.
 *   U3  The kernel takes a descriptor's number while it is still the pd's: a close that finds ARMED waits until the head of
 *       the queue has passed the place, which it does within the poller's next instructions (U4).
 *   U4  What uring_poll writes it submits before it sleeps or returns.
 *   U5  A request holds the file, not the descriptor: the close cancels it, or the peer would never see an end. The thread
 *       that submitted it lets the file go when it next enters the kernel; that is a tick at most, if it computes.
 *   U6  sleeping says that the list was empty when the poller went to sleep: who lists a pd then sends a nudge.
 *   U7  A request that ends by itself (its thread ended, or the queue of completions was full) is made again: it tells of
 *       all that is ready then, so nothing is lost. One that reads is not: its end gives an edge, and the reader makes
 *       another.
 *   U11 What is queued for a pd beyond URING_TAKEN_MAX pieces is what the kernel took until it met the cancellation: so a
 *       peer that sends more than is read is held up by its socket, as without taking.
 *   U12 A request that finds bytes and the stream's end when the kernel arms it may tell of the bytes only, and never of the end
 *       (Linux; docs/adr/0013): so the first of its completions makes NEW LOOK, and the reader that waits next asks the socket
 *       once. If it has ended the request is cancelled, and the reader reads the end itself.
 *   U13 What comes later may be hidden where the kernel did not get to look for 128 wakes: rare, so of all pds of
 *       which something was taken the poller looks at the sockets a second later, and cancels the request of one that is not silent.
 *
 * Locks   ring.lock: the list and sleeping; leaf. pd->lock: the queue of what was taken (poll_take.c). nudge.lock: the
 *         second ring, held over a system call that does not block.
 * Order   U8  armed: release by each change -> acquire by the next: carries fd and seq to the poller.
 *         U9  break_pending: exchange by uring_break -> exchange by the poller: as E3.
 *         U10 head of the queue: the kernel's release -> acquire here. written: stored before the entering that moves the
 *             head.
 * Limits  256 requests an enter, 256 completions a poll; the rest comes with the next. Linux 6.0 or later; nothing is taken
 *         where a trial of it fails. The kernel finds a request to cancel in a table of 256 lines.
 * Failure uring_start says why; no memory for a request: it is tried again.
 * Source  io_uring(7), io_uring_prep_poll_multishot(3), io_uring_register_sync_cancel(3); Linux io_uring/poll.c.
 */
#include "poll_int.h"

#if WEFT_HAVE_URING
#include <poll.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../sys/sys.h"
#include "uring_bufs.h"

enum { URING_REQUESTS = 256, URING_COMPLETIONS = 4096, URING_BATCH = 256 };
enum { URING_TAKEN_MAX = 8, URING_FDS_MAX = 64, URING_SWEEP_BATCH = 64 };
#define URING_SWEEP_AFTER WEFT_SEC
/* Which of a pd's requests: above the index in what names it to the kernel. */
enum uring_kind { URING_POLL, URING_RECV, URING_ACCEPT, URING_EDGES };
enum { URING_KIND_SHIFT = 60 };
/* What comes instead of a handle, whose index is below 2^22. */
static const uint64_t uring_break_handle = UINT64_MAX - 1, uring_nudge_handle = UINT64_MAX - 2;

static struct {
    struct io_uring io;              /* [the polling thread], U1 */
    uint64_t places;                 /* [the polling thread] requests ever written */
    _Atomic uint64_t written;        /* [U10] the same for others, up to date before each entering */
    _Atomic int break_pending;       /* [U9] 1 from a break until a sleeper has taken it */
    struct weft__lock lock;
    struct weft__pd *list;           /* [lock] to be armed, U2 */
    bool sleeping;                   /* [lock] U6 */
    _Atomic bool listed;             /* written under lock: list is not empty. A poll that only looks asks without it */
    struct weft__pd *swept, *due;    /* [the polling thread] U13: since they were last looked at; now */
    weft_time sweep_at;              /* [the polling thread] when swept becomes due */
} ring;

static struct {
    struct weft__lock lock;
    struct io_uring io;              /* [lock] only to send messages to ring */
} nudge;

static int probe_set; /* [const] once started: an epoll set that stays empty */

/* ---- messages to the poller ---- */

/* Makes `what` complete in the ring, so that a sleeper wakes. 0 or -errno. */
static int nudge_send(uint64_t what)
{
    struct io_uring_cqe *cqe;
    int r;

    weft__lock(&nudge.lock);
    struct io_uring_sqe *sqe = io_uring_get_sqe(&nudge.io);
    io_uring_prep_msg_ring(sqe, ring.io.ring_fd, 0, what, 0);
    do
        r = io_uring_submit_and_wait(&nudge.io, 1); /* it is done on the spot */
    while (r == -EINTR || r == -EAGAIN);
    r = r < 0 ? r : io_uring_peek_cqe(&nudge.io, &cqe);
    if (r == 0) {
        r = cqe->res;
        io_uring_cqe_seen(&nudge.io, cqe);
    }
    weft__unlock(&nudge.lock);
    return r;
}

static void uring_break(void)
{
    if (atomic_exchange_explicit(&ring.break_pending, 1, memory_order_acq_rel) == 0) /* U9 */
        (void)nudge_send(uring_break_handle); /* it went at start: no memory for one completion is all that can fail */
}

/* ---- arming ---- */

/* ring.lock held. True: the poller sleeps and must be told. */
static bool ring_list(struct weft__pd *pd)
{
    bool tell = ring.sleeping;
    if (!pd->u->listed) {
        pd->u->listed = true;
        pd->u->next_listed = ring.list;
        ring.list = pd;
        atomic_store_explicit(&ring.listed, true, memory_order_relaxed);
    }
    ring.sleeping = false; /* U6: one nudge is enough */
    return tell;
}

static void ring_want(struct weft__pd *pd, _Atomic uint64_t *armed, uint64_t kind)
{
    uint64_t old = WEFT__PD_UNARMED;
    if (!atomic_compare_exchange_strong_explicit(armed, &old, WEFT__PD_ARMING | kind, memory_order_seq_cst,
                                                 memory_order_relaxed)) /* U8; P5 sb */
        return; /* who waits for another direction was quicker */
    weft__lock(&ring.lock);
    bool tell = ring_list(pd);
    weft__unlock(&ring.lock);
    if (tell)
        (void)nudge_send(uring_nudge_handle);
}

static void uring_arm(struct weft__pd *pd)
{
    ring_want(pd, &pd->armed, 0);
}

/* What of a pd's requests the kernel is told: its name. */
static uint64_t ring_name(struct weft__pd *pd, enum uring_kind kind)
{
    return weft__pd_handle(pd) | (uint64_t)kind << URING_KIND_SHIFT;
}

static enum uring_kind ring_take_kind(struct weft__pd *pd, uint64_t taking)
{
    bool fds = atomic_load_explicit(&pd->take, memory_order_relaxed) == WEFT__TAKE_FDS;
    return taking & WEFT__PD_TAKE_PLAIN ? URING_EDGES : fds ? URING_ACCEPT : URING_RECV;
}

/* The request that reads, likewise. */
static void ring_write_take(struct weft__pd *pd)
{
    uint64_t v = atomic_load_explicit(&pd->u->taking, memory_order_relaxed), next;
    do {
        if ((v & WEFT__PD_ARM_MASK) != WEFT__PD_ARMING)
            return;
        next = ring.places << WEFT__PD_TAKE_MORE | (v & WEFT__PD_TAKE_PLAIN) | WEFT__PD_ARMED;
        if (ring_take_kind(pd, v) == URING_RECV)
            next |= WEFT__PD_TAKE_NEW; /* U12 */
    } while (!atomic_compare_exchange_weak_explicit(&pd->u->taking, &v, next, memory_order_acq_rel, memory_order_relaxed)); /* U2, U8 */
    struct io_uring_sqe *sqe = io_uring_get_sqe(&ring.io);
    enum uring_kind kind = ring_take_kind(pd, next);
    if (kind == URING_EDGES) {
        io_uring_prep_poll_multishot(sqe, pd->fd, POLLIN | POLLRDHUP);
    } else if (kind == URING_ACCEPT) {
        io_uring_prep_multishot_accept(sqe, pd->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    } else {
        weft__prep_recv(sqe, pd->fd, WEFT__BUFS_GROUP);
    }
    sqe->user_data = ring_name(pd, kind); /* U3 */
    ring.places++;
}

/* A request for pd, if it is still to be armed. There is room. */
static void ring_write(struct weft__pd *pd)
{
    uint64_t old = WEFT__PD_ARMING;
    if (!atomic_compare_exchange_strong_explicit(&pd->armed, &old, ring.places << 2 | WEFT__PD_ARMED, memory_order_acq_rel,
                                                 memory_order_relaxed)) /* U2, U8 */
        return;
    struct io_uring_sqe *sqe = io_uring_get_sqe(&ring.io);
    bool read = atomic_load_explicit(&pd->take, memory_order_relaxed) == WEFT__TAKE_NONE; /* else by a request of its own */
    io_uring_prep_poll_multishot(sqe, pd->fd, (read ? POLLIN : 0) | POLLOUT | POLLRDHUP);
    sqe->user_data = weft__pd_handle(pd); /* U3: nobody ends this life meanwhile */
    ring.places++;
}

/* Writes requests for the list as far as there is room. True: it is empty; then, if asked, a sleep is announced. */
static bool ring_fill(bool sleep)
{
    weft__lock(&ring.lock);
    while (ring.list && io_uring_sq_space_left(&ring.io) > 1) {
        struct weft__pd *pd = ring.list;
        ring.list = pd->u->next_listed;
        pd->u->listed = false;
        ring_write(pd);
        ring_write_take(pd);
    }
    bool all = ring.list == NULL;
    atomic_store_explicit(&ring.listed, !all, memory_order_relaxed);
    ring.sleeping = sleep && all; /* U6 */
    weft__unlock(&ring.lock);
    atomic_store_explicit(&ring.written, ring.places, memory_order_release); /* U10 */
    return all;
}

static weft_err uring_open(struct weft__pd *pd)
{
    (void)pd;
    return 0;
}

/* A poll of what cannot be waited for completes at once, for ever; only epoll refuses it. */
static weft_err uring_probe(int fd)
{
    struct epoll_event none = {0};
    int err = epoll_ctl(probe_set, EPOLL_CTL_ADD, fd, &none) < 0 ? -errno : 0;
    if (err == 0)
        (void)epoll_ctl(probe_set, EPOLL_CTL_DEL, fd, NULL);
    return err == -EEXIST ? 0 : err; /* it is being probed just now */
}

/* How many requests the kernel has taken: at this moment or a little before. */
static uint64_t ring_taken(void)
{
    uint32_t head = io_uring_smp_load_acquire(ring.io.sq.khead); /* U10 */
    uint64_t written = atomic_load_explicit(&ring.written, memory_order_acquire);
    return written - (uint32_t)((uint32_t)written - head);
}

static void ring_cancel(uint64_t place, uint64_t name)
{
    uint32_t spins = 0;
    while (ring_taken() <= place) /* U3 */
        weft__spin(&spins);
    struct io_uring_sync_cancel_reg what = {.addr = name, .fd = -1, .timeout = {.tv_sec = -1, .tv_nsec = -1}};
    (void)io_uring_register_sync_cancel(&ring.io, &what); /* U5; -ENOENT: it has ended by itself */
}

/* The reader is about to wait, and the request of which taking said LOOK may hide an end (U12). */
static void ring_look(struct weft__pd *pd)
{
    struct pollfd p = {.fd = pd->fd, .events = POLLRDHUP};
    uint64_t v = atomic_load_explicit(&pd->u->taking, memory_order_acquire);
    if (!(v & WEFT__PD_TAKE_LOOK) || !atomic_compare_exchange_strong_explicit(&pd->u->taking, &v, v & ~(uint64_t)WEFT__PD_TAKE_LOOK,
                                                                              memory_order_acq_rel, memory_order_relaxed))
        return; /* it ends: an edge comes */
    if (poll(&p, 1, 0) > 0) /* lint: time-out 0, it only looks */
        ring_cancel(v >> WEFT__PD_TAKE_MORE, ring_name(pd, URING_RECV));
}

static void uring_arm_take(struct weft__pd *pd)
{
    if (atomic_load_explicit(&pd->u->taking, memory_order_relaxed) & WEFT__PD_TAKE_LOOK) {
        ring_look(pd);
        return;
    }
    bool plain = atomic_load_explicit(&pd->take, memory_order_relaxed) == WEFT__TAKE_PLAIN;
    ring_want(pd, &pd->u->taking, plain ? WEFT__PD_TAKE_PLAIN : 0);
}

static void uring_close(struct weft__pd *pd, bool borrowed)
{
    uint64_t old = atomic_exchange_explicit(&pd->armed, WEFT__PD_UNARMED, memory_order_acq_rel); /* U2, U8 */
    (void)borrowed;
    if ((old & WEFT__PD_ARM_MASK) == WEFT__PD_ARMED)
        ring_cancel(old >> 2, ring_name(pd, URING_POLL));
    old = atomic_exchange_explicit(&pd->u->taking, WEFT__PD_UNARMED, memory_order_acq_rel);
    if ((old & WEFT__PD_ARM_MASK) == WEFT__PD_ARMED)
        ring_cancel(old >> WEFT__PD_TAKE_MORE, ring_name(pd, ring_take_kind(pd, old)));
}

static void uring_end_take(struct weft__pd *pd)
{
    uint64_t v = atomic_load_explicit(&pd->u->taking, memory_order_acquire);
    while ((v & WEFT__PD_ARM_MASK) == WEFT__PD_ARMING && !(v & WEFT__PD_TAKE_PLAIN))
        if (atomic_compare_exchange_weak_explicit(&pd->u->taking, &v, v | WEFT__PD_TAKE_PLAIN, memory_order_acq_rel, memory_order_acquire))
            return;
    if ((v & WEFT__PD_ARM_MASK) == WEFT__PD_ARMED && !(v & WEFT__PD_TAKE_PLAIN))
        ring_cancel(v >> WEFT__PD_TAKE_MORE, ring_name(pd, URING_RECV));
}

/* ---- polling ---- */

/* A request's completion: an edge; and if it is the last one, the request anew (U7). */
static void ring_complete(struct weft__pd *pd, int res, bool more, struct weft__woken *list)
{
    bool gone = res < 0 && res != -ECANCELED && res != -ENOMEM && res != -EAGAIN; /* not a descriptor to be polled */
    uint32_t events = gone ? POLLERR : res < 0 ? 0 : (uint32_t)res;
    if (!more) {
        uint64_t old = atomic_load_explicit(&pd->armed, memory_order_relaxed), next = gone ? WEFT__PD_UNARMED : WEFT__PD_ARMING;
        if ((old & WEFT__PD_ARM_MASK) == WEFT__PD_ARMED &&
            atomic_compare_exchange_strong_explicit(&pd->armed, &old, next, memory_order_seq_cst, memory_order_relaxed) && /* U2, P5 sb */
            !gone) {
            weft__lock(&ring.lock);
            (void)ring_list(pd);
            weft__unlock(&ring.lock);
        }
    }
    bool ended = events & (POLLRDHUP | POLLHUP | POLLERR);
    unsigned dirs = 0;
    if (events & POLLIN || ended)
        dirs |= WEFT__DIR_READ;
    if (events & (POLLOUT | POLLHUP | POLLERR))
        dirs |= WEFT__DIR_WRITE;
    weft__pd_edge(pd, dirs, ended, list);
}

/* The queue of pd is long: the kernel shall take no more. */
static void ring_stop(struct weft__pd *pd, uint64_t taking, uint64_t name)
{
    if (taking & WEFT__PD_TAKE_STOP || io_uring_sq_space_left(&ring.io) == 0 ||
        !atomic_compare_exchange_strong_explicit(&pd->u->taking, &taking, taking | WEFT__PD_TAKE_STOP, memory_order_acq_rel,
                                                 memory_order_relaxed))
        return;
    struct io_uring_sqe *sqe = io_uring_get_sqe(&ring.io);
    io_uring_prep_cancel64(sqe, name, 0);
    sqe->user_data = uring_nudge_handle;
    atomic_store_explicit(&ring.written, ++ring.places, memory_order_release); /* U10 */
}

/* The first completion of a request that reads a stream (U12). Fails only for a close. What taking is then. */
static uint64_t ring_told(struct weft__pd *pd, uint64_t v)
{
    uint64_t next = (v & ~(uint64_t)WEFT__PD_TAKE_NEW) | WEFT__PD_TAKE_LOOK;
    return atomic_compare_exchange_strong_explicit(&pd->u->taking, &v, next, memory_order_acq_rel, memory_order_relaxed) ? next : v;
}

/* Something was taken of pd (U13). */
static void ring_mark(struct weft__pd *pd)
{
    if (pd->u->swept)
        return;
    if (!ring.swept)
        ring.sweep_at = weft__now() + URING_SWEEP_AFTER;
    pd->u->swept = true;
    pd->u->next_swept = ring.swept;
    ring.swept = pd;
}

/* A completion of a request that takes or, for PLAIN, tells of edges: into the queue (T3). */
static void ring_queue(const struct io_uring_cqe *cqe, enum uring_kind kind, uint64_t handle)
{
    struct weft__taken *t = weft__bufs_piece(cqe, kind == URING_ACCEPT);
    struct weft__pd *pd = weft__pd_of_handle(handle);
    if (cqe->res == -ENOBUFS)
        weft__bufs_more();
    bool more = cqe->flags & IORING_CQE_F_MORE, no_error = cqe->res >= 0 || kind == URING_EDGES || cqe->res == -ECANCELED ||
                                                           cqe->res == -ENOBUFS || cqe->res == -EAGAIN || cqe->res == -ENOMEM;
    if (pd) {
        weft__lock(&pd->lock);
        if (weft__pd_handle(pd) == handle) { /* T3 */
            uint64_t v = atomic_load_explicit(&pd->u->taking, memory_order_relaxed);
            if (t && (!t->data || t->end > 0)) {
                weft__taken_add(pd, t);
                t = NULL;
            }
            if (!no_error)
                pd->u->take_err = cqe->res;
            if (more && v & WEFT__PD_TAKE_NEW)
                v = ring_told(pd, v);
            if (more && kind == URING_RECV)
                ring_mark(pd);
            while (!more && (v & WEFT__PD_ARM_MASK) == WEFT__PD_ARMED &&
                   !atomic_compare_exchange_weak_explicit(&pd->u->taking, &v, WEFT__PD_UNARMED, memory_order_seq_cst, memory_order_relaxed))
                ; /* T4; P5 sb */
            if (more && pd->u->taken_count > (kind == URING_ACCEPT ? URING_FDS_MAX : URING_TAKEN_MAX))
                ring_stop(pd, v, cqe->user_data);
        }
        weft__unlock(&pd->lock);
    }
    if (t) {
        t->next = NULL;
        weft__bufs_give(t);
    }
}

/* The edge that goes with it (T4). */
static void ring_queued(const struct io_uring_cqe *cqe, enum uring_kind kind, struct weft__pd *pd, struct weft__woken *list)
{
    bool ended = kind == URING_EDGES  ? cqe->res > 0 && cqe->res & (POLLRDHUP | POLLHUP | POLLERR)
                 : kind == URING_RECV ? cqe->res <= 0 && cqe->res != -ECANCELED && cqe->res != -ENOBUFS && cqe->res != -EAGAIN &&
                                            cqe->res != -ENOMEM
                                      : false;
    weft__pd_edge(pd, WEFT__DIR_READ, ended, list);
}

static inline bool ring_is_message(uint64_t name)
{
    return name >= uring_nudge_handle;
}

static inline enum uring_kind ring_kind(uint64_t name)
{
    return (enum uring_kind)(name >> URING_KIND_SHIFT);
}

static inline uint64_t ring_handle(uint64_t name)
{
    return name & (((uint64_t)1 << URING_KIND_SHIFT) - 1);
}

/* Takes what is complete. True: a break for a sleeper was among it. */
static bool ring_reap(struct weft__woken *list, bool *ret_any)
{
    uint32_t head = *ring.io.cq.khead, mask = *ring.io.cq.kring_mask, n = io_uring_cq_ready(&ring.io);
    bool broken = false;
    if (n > URING_BATCH)
        n = URING_BATCH;
    for (uint32_t i = 0; i < n; i++) { /* bytes in their order; then the edges */
        const struct io_uring_cqe *cqe = &ring.io.cq.cqes[(head + i) & mask];
        if (!ring_is_message(cqe->user_data) && ring_kind(cqe->user_data) != URING_POLL)
            ring_queue(cqe, ring_kind(cqe->user_data), ring_handle(cqe->user_data));
    }
    for (uint32_t i = n; i-- > 0;) { /* from the last: the list then runs oldest first */
        const struct io_uring_cqe *cqe = &ring.io.cq.cqes[(head + i) & mask];
        broken |= cqe->user_data == uring_break_handle;
        struct weft__pd *pd = ring_is_message(cqe->user_data) ? NULL : weft__pd_of_handle(ring_handle(cqe->user_data));
        if (pd && ring_kind(cqe->user_data) != URING_POLL)
            ring_queued(cqe, ring_kind(cqe->user_data), pd, list);
        else if (pd)
            ring_complete(pd, cqe->res, cqe->flags & IORING_CQE_F_MORE, list);
    }
    io_uring_cq_advance(&ring.io, n);
    *ret_any = n > 0;
    return broken;
}

/* Is the socket not silent while a request takes from it? Then the request goes (U13). */
static void ring_sweep_one(struct weft__pd *pd)
{
    weft__lock(&pd->lock);
    uint64_t v = atomic_load_explicit(&pd->u->taking, memory_order_acquire);
    if ((v & WEFT__PD_ARM_MASK) == WEFT__PD_ARMED && ring_take_kind(pd, v) == URING_RECV) { /* so it is open until the lock is free */
        struct pollfd p = {.fd = pd->fd, .events = POLLIN | POLLRDHUP};
        if (poll(&p, 1, 0) > 0) /* lint: time-out 0, it only looks */
            ring_stop(pd, v, ring_name(pd, URING_RECV));
    }
    weft__unlock(&pd->lock);
}

/* A batch of those that are due. How long the poller may sleep at most. */
static weft_dur ring_sweep(weft_dur timeout)
{
    if (!ring.swept && !ring.due)
        return timeout;
    weft_time now = weft__now();
    if (!ring.due && now >= ring.sweep_at) {
        ring.due = ring.swept;
        ring.swept = NULL;
    }
    for (int i = 0; ring.due && i < URING_SWEEP_BATCH && io_uring_sq_space_left(&ring.io) > 1; i++) {
        struct weft__pd *pd = ring.due;
        ring.due = pd->u->next_swept;
        pd->u->swept = false;
        ring_sweep_one(pd);
    }
    if (ring.due || timeout == 0)
        return 0;
    weft_dur left = ring.sweep_at - now;
    return ring.swept && (timeout < 0 || timeout > left) ? left : timeout;
}

/* U4: the kernel has all requests when this returns. */
static void ring_submit_rest(void)
{
    uint32_t spins = 0;
    while (io_uring_sq_ready(&ring.io) > 0) {
        int r = io_uring_submit_and_get_events(&ring.io);
        if (r < 0 && r != -EINTR && r != -EAGAIN && r != -EBUSY && r != -ENOMEM)
            weft__throw("io_uring: a submission says %d", r);
        if (r <= 0)
            weft__spin(&spins);
    }
}

/* Submits, and sleeps until something is complete, at most timeout ns (< 0: no limit); 0 looks only. */
static void ring_enter(weft_dur timeout)
{
    struct io_uring_cqe *cqe;
    if (timeout == 0) {
        uint32_t flags = IO_URING_READ_ONCE(*ring.io.sq.kflags);
        if (io_uring_sq_ready(&ring.io) > 0 || flags & (IORING_SQ_TASKRUN | IORING_SQ_CQ_OVERFLOW))
            (void)io_uring_submit_and_get_events(&ring.io);
    } else if (timeout < 0) {
        (void)io_uring_submit_and_wait(&ring.io, 1);
    } else {
        struct __kernel_timespec ts = {.tv_sec = timeout / WEFT_SEC, .tv_nsec = timeout % WEFT_SEC};
        (void)io_uring_submit_and_wait_timeout(&ring.io, &cqe, 1, &ts, NULL);
    }
    ring_submit_rest();
}

static bool uring_take_break(void)
{
    return atomic_load_explicit(&ring.break_pending, memory_order_relaxed) != 0 &&
           atomic_exchange_explicit(&ring.break_pending, 0, memory_order_acq_rel) != 0; /* U9 */
}

static struct weft__woken uring_poll(weft_dur timeout)
{
    bool sleeper = timeout != 0, any, all = true;
    struct weft__woken list = {NULL, NULL};
    timeout = ring_sweep(timeout); /* U13 */
    weft_time until = timeout > 0 ? weft__now() + timeout : 0;

    for (;;) {
        if (sleeper && uring_take_break())
            timeout = 0;
        if (timeout != 0 || atomic_load_explicit(&ring.listed, memory_order_relaxed))
            all = ring_fill(timeout != 0);
        ring_enter(all ? timeout : 0);
        bool broken = ring_reap(&list, &any) && sleeper && uring_take_break();
        if (list.g || list.start || broken || timeout == 0 || (all && !any))
            break;
        /* A nudge, late edges, edges that nobody waits for, or more to arm than there was room for. */
        if (timeout > 0) {
            timeout = until - weft__now();
            if (timeout <= 0)
                timeout = 0;
        }
    }
    if (sleeper) {
        weft__lock(&ring.lock);
        ring.sleeping = false;
        weft__unlock(&ring.lock);
    }
    ring_submit_rest(); /* U4: ring_stop's */
    return list;
}

/* ---- start ---- */

/* Everything that is used later is tried: an older kernel, or a filter of system calls, says so here. */
static int uring_try(void)
{
    struct io_uring_cqe *cqe;
    struct io_uring_sync_cancel_reg none = {.addr = uring_nudge_handle, .fd = -1, .timeout = {.tv_sec = -1, .tv_nsec = -1}};
    int r = io_uring_register_sync_cancel(&ring.io, &none);
    if (r != -ENOENT)
        return r == 0 ? -EINVAL : r;
    r = nudge_send(uring_nudge_handle);
    if (r < 0)
        return r;
    r = io_uring_wait_cqe(&ring.io, &cqe);
    if (r < 0)
        return r;
    io_uring_cqe_seen(&ring.io, cqe);
    r = io_uring_ring_dontfork(&ring.io);
    probe_set = r < 0 ? -1 : epoll_create1(EPOLL_CLOEXEC);
    return r == 0 && probe_set < 0 ? -errno : r;
}

static weft_err uring_poll_start(void)
{
    struct io_uring_params p = {.flags = IORING_SETUP_CQSIZE | IORING_SETUP_CLAMP | IORING_SETUP_SUBMIT_ALL |
                                         IORING_SETUP_COOP_TASKRUN | IORING_SETUP_TASKRUN_FLAG,
                                .cq_entries = URING_COMPLETIONS};
    int r = io_uring_queue_init_params(URING_REQUESTS, &ring.io, &p);
    if (r < 0)
        return r == -EINVAL || r == -ENOSYS ? WEFT_EUNSUPPORTED : r;
    r = p.features & IORING_FEAT_EXT_ARG && p.features & IORING_FEAT_NODROP ? io_uring_queue_init(4, &nudge.io, 0) : -EINVAL;
    if (r == 0 && (r = uring_try()) < 0)
        io_uring_queue_exit(&nudge.io);
    if (r < 0)
        io_uring_queue_exit(&ring.io);
    return r == -EINVAL || r == -ENOSYS ? WEFT_EUNSUPPORTED : r;
}

static weft_err uring_start(void)
{
    weft_err err = uring_poll_start();
    int r = err ? err : weft__uring_trial();
    r = r < 0 ? r : weft__bufs_start(&ring.io);
    if (!err && r < 0) {
        (void)close(probe_set);
        io_uring_queue_exit(&nudge.io);
        io_uring_queue_exit(&ring.io);
    }
    return r == -EINVAL || r == -ENOSYS ? WEFT_EUNSUPPORTED : r;
}

const struct weft__poll_back weft__poll_uring_poll = {"uring-poll", uring_poll_start, uring_open, uring_probe, uring_arm, uring_close,
                                                        uring_poll, uring_break, NULL, NULL, NULL};
const struct weft__poll_back weft__poll_uring = {"uring", uring_start, uring_open, uring_probe, uring_arm, uring_close, uring_poll,
                                                   uring_break, uring_arm_take, uring_end_take, weft__bufs_give};
#endif
