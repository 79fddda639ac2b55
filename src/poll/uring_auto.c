/*
 * uring_auto.c - WEFT_POLL=auto: which back end is cheaper on this machine, by a short trial of both.
 *
 * Role    Messages of 64 bytes over socket pairs, received as each back end does it: epoll_wait and recv, or multishot requests
 *         into provided buffers. Near poll_back.c, docs/adr/0013-io-uring.md (what this does not see). Layer 2.
 *
 * The figure is the thread's CPU time, the smallest of the blocks: other programs on the machine lengthen a block and
 * never shorten it. io_uring must be better by AUTO_PERCENT, so that two starts on one machine mostly choose alike.
 * Limits  600 us of CPU for the messages once both have had 3 blocks; about 1.2 ms in all. 40 descriptors for as long.
 * Failure Anything missing: epoll, and the note says why.
 */
#if WEFT_HAVE_URING
#include "uring_bufs.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "../sys/sys.h"

enum { AUTO_PAIRS = 16, AUTO_BLOCKS = 10, AUTO_BLOCKS_MIN = 3, AUTO_BYTES = 64, AUTO_PERCENT = 15, AUTO_BUFS = 32 };
#define AUTO_CPU_MAX (600 * WEFT_US)

struct auto_trial {
    int pair[AUTO_PAIRS][2];            /* [0] receives */
    int ep;
    struct io_uring io;
    struct io_uring_buf_ring *ring;
    char *mem;                          /* the ring, then the buffers */
    int32_t best[2];                    /* ns of a block: epoll, io_uring; 0 none yet */
};

static int64_t auto_cpu(void)
{
    return weft__sys_thread_cpu(CLOCK_THREAD_CPUTIME_ID);
}

static int auto_send(const struct auto_trial *t)
{
    static const char message[AUTO_BYTES];
    for (int i = 0; i < AUTO_PAIRS; i++)
        if (send(t->pair[i][1], message, sizeof message, MSG_NOSIGNAL | MSG_DONTWAIT) != AUTO_BYTES)
            return -EIO;
    return 0;
}

/* One message to each, received: 0 or -errno. */
static int auto_block_epoll(struct auto_trial *t)
{
    struct epoll_event ev[AUTO_PAIRS];
    char buf[AUTO_BYTES];
    int got = 0, r = auto_send(t);
    while (r >= 0 && got < AUTO_PAIRS) {
        int n = r = epoll_wait(t->ep, ev, AUTO_PAIRS, 0);
        for (int i = 0; i < n && r >= 0; i++)
            r = recv(ev[i].data.fd, buf, sizeof buf, MSG_DONTWAIT) == AUTO_BYTES ? 0 : -EIO;
        if (n <= 0 || r < 0)
            return -EIO; /* what was sent is there at once */
        got += n;
    }
    return r < 0 ? r : 0;
}

static void auto_give(struct auto_trial *t, uint32_t id)
{
    io_uring_buf_ring_add(t->ring, t->mem + 4096 + (size_t)id * AUTO_BYTES, AUTO_BYTES, (unsigned short)id, AUTO_BUFS - 1, 0);
    io_uring_buf_ring_advance(t->ring, 1);
}

static int auto_block_uring(struct auto_trial *t)
{
    struct io_uring_cqe *cqe;
    char buf[AUTO_BYTES];
    int r = auto_send(t);
    for (int got = 0, looks = 0; r == 0 && got < AUTO_PAIRS;) {
        if (io_uring_cq_ready(&t->io) == 0) {
            r = looks++ < AUTO_PAIRS ? io_uring_get_events(&t->io) : -EIO;
            r = r < 0 ? r : 0;
            continue;
        }
        (void)io_uring_peek_cqe(&t->io, &cqe);
        uint32_t id = cqe->flags >> IORING_CQE_BUFFER_SHIFT;
        bool whole = cqe->res == AUTO_BYTES && cqe->flags & IORING_CQE_F_BUFFER && cqe->flags & IORING_CQE_F_MORE;
        r = whole ? 0 : -EINVAL;
        if (whole) {
            memcpy(buf, t->mem + 4096 + (size_t)id * AUTO_BYTES, AUTO_BYTES);
            __asm__ volatile("" : : "r"(buf) : "memory"); /* the copy is part of the price */
            auto_give(t, id);
        }
        io_uring_cqe_seen(&t->io, cqe);
        got++;
    }
    return r;
}

/* ---- making and undoing ---- */

static int auto_open_epoll(struct auto_trial *t)
{
    t->ep = epoll_create1(EPOLL_CLOEXEC);
    for (int i = 0; i < AUTO_PAIRS && t->ep >= 0; i++) {
        struct epoll_event ev = {.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, .data.fd = t->pair[i][0]};
        if (epoll_ctl(t->ep, EPOLL_CTL_ADD, t->pair[i][0], &ev) < 0)
            return -errno;
    }
    return t->ep < 0 ? -errno : epoll_wait(t->ep, (struct epoll_event[AUTO_PAIRS]){{0}}, AUTO_PAIRS, 0); /* the edges of "can be written" */
}

/* epoll's set is closed by now. */
static int auto_open_uring(struct auto_trial *t)
{
    struct io_uring_params p = {.flags = IORING_SETUP_CLAMP | IORING_SETUP_COOP_TASKRUN | IORING_SETUP_TASKRUN_FLAG};
    struct io_uring_buf_reg reg = {.ring_entries = AUTO_BUFS, .bgid = WEFT__BUFS_GROUP};
    int r = io_uring_queue_init_params(2 * AUTO_PAIRS, &t->io, &p);
    if (r < 0)
        return r;
    reg.ring_addr = (uint64_t)(uintptr_t)t->mem;
    if ((r = io_uring_register_buf_ring(&t->io, &reg, 0)) == 0) {
        t->ring = (struct io_uring_buf_ring *)t->mem;
        io_uring_buf_ring_init(t->ring);
        for (uint32_t i = 0; i < AUTO_BUFS; i++)
            auto_give(t, i);
        for (int i = 0; i < AUTO_PAIRS; i++) {
            struct io_uring_sqe *sqe = io_uring_get_sqe(&t->io);
            io_uring_prep_recv_multishot(sqe, t->pair[i][0], NULL, 0, 0);
            sqe->flags |= IOSQE_BUFFER_SELECT;
            sqe->buf_group = WEFT__BUFS_GROUP;
        }
        r = io_uring_submit(&t->io);
    }
    if (r < 0)
        io_uring_queue_exit(&t->io);
    return r < 0 ? r : 0;
}

/* Blocks of one side until `until` of CPU time. */
static int auto_try(struct auto_trial *t, int side, int64_t until)
{
    int r = side ? auto_open_uring(t) : auto_open_epoll(t);
    if (r < 0) {
        if (!side && t->ep >= 0)
            (void)close(t->ep);
        return r;
    }
    for (int i = 0; i < AUTO_BLOCKS && r >= 0; i++) {
        int64_t from = auto_cpu();
        if (i >= AUTO_BLOCKS_MIN && from > until)
            break;
        r = side ? auto_block_uring(t) : auto_block_epoll(t);
        int32_t took = (int32_t)(auto_cpu() - from);
        if (r >= 0 && i > 0 && (t->best[side] == 0 || took < t->best[side])) /* the first one warms up */
            t->best[side] = took;
    }
    if (side)
        io_uring_queue_exit(&t->io);
    else
        (void)close(t->ep);
    return r < 0 ? r : 0;
}

static int auto_run(struct auto_trial *t)
{
    int made = 0, r = 0;
    int64_t from = auto_cpu();
    size_t bytes = 4096 + AUTO_BUFS * AUTO_BYTES;
    if (posix_memalign((void **)&t->mem, 4096, bytes) != 0)
        return -ENOMEM;
    while (made < AUTO_PAIRS && socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, t->pair[made]) == 0)
        made++;
    if (made < AUTO_PAIRS)
        r = -errno;
    for (int side = 0; side < 2 && r == 0; side++)
        r = auto_try(t, side, from + (side + 1) * AUTO_CPU_MAX / 2);
    while (made-- > 0) {
        (void)close(t->pair[made][0]);
        (void)close(t->pair[made][1]);
    }
    free(t->mem);
    return r;
}

bool weft__uring_faster(char *ret_note, size_t n)
{
    struct auto_trial t = {.ep = -1};
    int r = auto_run(&t);
    if (r < 0) {
        snprintf(ret_note, n, "auto: io_uring could not be tried (%s)", weft_strerror(r));
        return false;
    }
    snprintf(ret_note, n, "auto: %.2f us a message by epoll, %.2f by io_uring, which must be %d %% better", t.best[0] / 1e3 / AUTO_PAIRS,
             t.best[1] / 1e3 / AUTO_PAIRS, AUTO_PERCENT);
    return (int64_t)t.best[1] * 100 < (int64_t)t.best[0] * (100 - AUTO_PERCENT);
}
#endif
