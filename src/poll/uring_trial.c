/*
 * uring_trial.c - can bytes be taken by this kernel's io_uring? A trial on one connection.
 *
 * Role    At start: a multishot recv into a provided buffer is armed, the peer sends a byte and resets, and only then does the
 *         kernel look. It must tell of the byte, and then of the end. Linux without commit a68ed2df7213 ("fix multishot recv
 *         missing EOF on wakeup race") counts both as one and tells of the byte for ever. Near poll_uring.c (U12),
 *         docs/adr/0013-io-uring.md. Layer 2.
 * Limits  A ring, three descriptors and two pages for as long; TCP on 127.0.0.1. What the kernel looks at, and when, is the
 *         thread's to say by DEFER_TASKRUN: Linux 6.1 or later.
 * Failure -errno: it cannot be tried, so nothing is taken. Source liburing issue 1549; Linux io_uring/poll.c.
 */
#if WEFT_HAVE_URING
#include "uring_bufs.h"

#include <netinet/in.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { TRIAL_BUFS = 2, TRIAL_PAGE = 4096, TRIAL_GROUP = 1, TRIAL_MS = 10000 };

static struct {
    _Alignas(TRIAL_PAGE) char ring[TRIAL_PAGE]; /* the kernel's for as long as the trial takes */
    char buf[TRIAL_BUFS][64];
} trial;

/* A connection on loopback: s[0] receives, s[1] sends and, closed, resets. 0 or -errno; what is open is in s. */
static int trial_pair(int *s)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct linger reset = {.l_onoff = 1};
    socklen_t n = sizeof a;
    int ln = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    s[0] = -1;
    s[1] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int r = ln < 0 || s[1] < 0 || bind(ln, (struct sockaddr *)&a, n) < 0 || listen(ln, 1) < 0 ||
                    getsockname(ln, (struct sockaddr *)&a, &n) < 0 || connect(s[1], (struct sockaddr *)&a, n) < 0 ||
                    (s[0] = accept4(ln, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK)) < 0 ||
                    setsockopt(s[1], SOL_SOCKET, SO_LINGER, &reset, sizeof reset) < 0
                ? -errno
                : 0;
    if (ln >= 0)
        close(ln);
    return r;
}

/* A group of buffers for the request. 0 or -errno. */
static int trial_bufs(struct io_uring *io)
{
    struct io_uring_buf_reg reg = {.ring_addr = (uint64_t)(uintptr_t)trial.ring, .ring_entries = TRIAL_BUFS, .bgid = TRIAL_GROUP};
    struct io_uring_buf_ring *ring = (struct io_uring_buf_ring *)trial.ring;
    int r = io_uring_register_buf_ring(io, &reg, 0);
    if (r < 0)
        return r;
    io_uring_buf_ring_init(ring);
    for (int i = 0; i < TRIAL_BUFS; i++)
        io_uring_buf_ring_add(ring, trial.buf[i], sizeof trial.buf[i], (unsigned short)i, io_uring_buf_ring_mask(TRIAL_BUFS), i);
    io_uring_buf_ring_advance(ring, TRIAL_BUFS);
    return 0;
}

/* The next completion, which has come: its result and its flags. 0 or -EINVAL. */
static int trial_next(struct io_uring *io, struct io_uring_cqe *ret_cqe)
{
    struct io_uring_cqe *cqe;
    if (io_uring_peek_cqe(io, &cqe) < 0)
        return -EINVAL;
    memcpy(ret_cqe, cqe, sizeof *cqe);
    io_uring_cqe_seen(io, cqe);
    return 0;
}

/* A byte and the end, both there before the kernel looks for either. */
static int trial_run(struct io_uring *io, int *s)
{
    struct io_uring_cqe byte, end;
    struct io_uring_sqe *sqe = io_uring_get_sqe(io);
    weft__prep_recv(sqe, s[0], TRIAL_GROUP);
    int r = io_uring_submit_and_get_events(io);
    if (r < 0)
        return r;
    if (send(s[1], "", 1, MSG_NOSIGNAL) < 0)
        return -errno;
    close(s[1]);
    s[1] = -1;
    struct pollfd p = {.fd = s[0]};
    do
        r = poll(&p, 1, TRIAL_MS); /* lint: once, at start; until the reset has passed the loopback device */
    while (r < 0 && errno == EINTR);
    r = r == 1 ? io_uring_get_events(io) : -ETIMEDOUT;
    if (r < 0 || (r = trial_next(io, &byte)) < 0 || (r = trial_next(io, &end)) < 0)
        return r;
    bool taken = byte.res == 1 && byte.flags & IORING_CQE_F_MORE && byte.flags & IORING_CQE_F_BUFFER;
    return taken && end.res == -ECONNRESET && !(end.flags & IORING_CQE_F_MORE) ? 0 : -EINVAL;
}

int weft__uring_trial(void)
{
    struct io_uring_params p = {.flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN};
    struct io_uring io;
    int s[2], r = io_uring_queue_init_params(4, &io, &p);
    if (r < 0)
        return r;
    r = trial_bufs(&io);
    if (r == 0) {
        r = trial_pair(s);
        r = r < 0 ? r : trial_run(&io, s);
        for (int i = 0; i < 2; i++)
            if (s[i] >= 0)
                close(s[i]);
        (void)io_uring_unregister_buf_ring(&io, TRIAL_GROUP);
    }
    io_uring_queue_exit(&io);
    return r;
}
#endif
