/*
 * poll_send.c - many small sends in one system call.
 *
 * Role    Answers that leave together (http/post.c) would be a system call each. Through io_uring they are one for all: requests with
 *         MSG_DONTWAIT, which the kernel tries as it takes them and completes at once, sent or not. Nothing is pending between two
 *         runs, so it does not matter which thread runs next, and who watches descriptors (poll_back.c) has no part in it.
 *         Near docs/adr/0013-io-uring.md, docs/perf/limits.md. Layer 2.
 * Invariants
 *   SD1  a sender that nobody has taken has nothing added, and its ring nothing submitted or completed.
 * Order   SD2  busy: the exchange that takes it acquire  <-  the store that gives it back release. Carries the ring and its words.
 * Limits  A ring is a descriptor and some 16 KB of the kernel's; it is made when its sender has been asked for SENDER_AFTER times, so a
 *         program that answers now and then has none. Linux 5.18 (SUBMIT_ALL: one request's fault does not keep the next from going).
 * Failure No ring (built without, an old kernel, seccomp, io_uring_disabled, no descriptor), or WEFT_POLL=epoll, which is for who wants
 *         nothing of io_uring: take answers NULL, now and later. Where the kernel takes fewer requests than there are (no memory) the
 *         rest says -EAGAIN, and that ring is given up.
 */
#include "poll_send.h"

#include "poll_int.h"

#if WEFT_HAVE_URING
#include <errno.h>
#include <liburing.h>
#include <sys/socket.h>

enum { SENDER_AFTER = 16 };
enum sender_state { SENDER_NEW, SENDER_READY, SENDER_NONE };

struct weft__sender {
    _Alignas(64) _Atomic uint32_t busy; /* [SD2] */
    enum sender_state state;            /* [busy] */
    uint32_t asked;                     /* [busy] times, while it is new */
    uint32_t n;                         /* [busy] added */
    struct io_uring io;                 /* [busy] while ready */
    int32_t put[WEFT__SEND_MAX];        /* [busy] what became of them */
};

static struct weft__sender senders[WEFT__SENDERS];

void weft__sender_give(struct weft__sender *s)
{
    WEFT_DASSERT(s->n == 0, "SD1");
    atomic_store_explicit(&s->busy, 0, memory_order_release); /* SD2 */
}

/* Is there a ring? Makes it when it is time to. */
static bool sender_ready(struct weft__sender *s)
{
    if (weft__likely(s->state != SENDER_NEW))
        return s->state == SENDER_READY;
    if (++s->asked < SENDER_AFTER)
        return false;
    struct io_uring_params p = {.flags = IORING_SETUP_SUBMIT_ALL};
    bool made = !weft__poll_only_epoll() && io_uring_queue_init_params(WEFT__SEND_MAX, &s->io, &p) == 0;
    s->state = made ? SENDER_READY : SENDER_NONE;
    return made;
}

struct weft__sender *weft__sender_take(unsigned which)
{
    struct weft__sender *s = &senders[which % WEFT__SENDERS];

    if (atomic_exchange_explicit(&s->busy, 1, memory_order_acquire) != 0) /* SD2 */
        return NULL;
    if (weft__likely(sender_ready(s)))
        return s;
    weft__sender_give(s);
    return NULL;
}

void weft__sender_add(struct weft__sender *s, int fd, const void *data, size_t n)
{
    struct io_uring_sqe *sqe = io_uring_get_sqe(&s->io);

    WEFT_ASSERT(sqe && s->n < WEFT__SEND_MAX, "SD1");
    io_uring_prep_send(sqe, fd, data, n, MSG_NOSIGNAL | MSG_DONTWAIT);
    sqe->user_data = s->n;
    s->put[s->n++] = -EAGAIN;
}

/* The next completion, which as good as always is there: a request that must not wait is complete when it has been taken. */
static bool sender_next(struct weft__sender *s)
{
    struct io_uring_cqe *cqe;
    int r;

    do
        r = io_uring_wait_cqe(&s->io, &cqe);
    while (r == -EINTR);
    if (r < 0)
        return false;
    s->put[cqe->user_data] = cqe->res;
    io_uring_cqe_seen(&s->io, cqe);
    return true;
}

const int32_t *weft__sender_run(struct weft__sender *s)
{
    int taken = io_uring_submit(&s->io);
    int done = 0;

    while (done < taken && sender_next(s))
        done++;
    if (weft__unlikely(done < (int)s->n)) { /* SD1: what it holds must not go out later */
        io_uring_queue_exit(&s->io);
        s->state = SENDER_NONE;
    }
    s->n = 0;
    return s->put;
}
#else
struct weft__sender *weft__sender_take(unsigned which)
{
    (void)which;
    return NULL;
}

void weft__sender_add(struct weft__sender *s, int fd, const void *data, size_t n)
{
    (void)s, (void)fd, (void)data, (void)n;
}

const int32_t *weft__sender_run(struct weft__sender *s)
{
    (void)s;
    return NULL;
}

void weft__sender_give(struct weft__sender *s)
{
    (void)s;
}
#endif
