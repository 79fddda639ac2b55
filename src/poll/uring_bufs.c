/*
 * uring_bufs.c - the buffers that the kernel chooses from when bytes come: one group for all connections.
 *
 * Role    A ring of free buffers that the kernel reads (io_uring's provided buffers), and the records of those that are in use.
 *         A connection that waits has none. Near poll_uring.c, poll_take.c (who holds a filled one). Layer 2.
 *
 * Invariants
 *   B1  Each buffer below count is in the ring, or named by one completion that nobody has read, or is one piece that one owner holds. So
 *       the ring, as long as there are buffers, cannot overflow.
 *
 * Locks   bufs.lock: writing the ring's tail; leaf.
 * Order   B2  the tail: release here -> the kernel's acquire: a buffer is given back after its last byte was copied.
 *         B3  held: release by whoever gives a buffer back -> acquire by bufs_filled: carries the piece's record. The kernel
 *             is between the two and orders them already (B2, and its completion); this says so to the compiler.
 * Limits  1,024 buffers of 2 KiB; 128 at start, for they are used in turn and so all of them become resident. Without a free one
 *         the kernel ends the request (ENOBUFS) and the reader asks by itself.
 * Failure -errno at start. Source io_uring_setup_buf_ring(3); Linux io_uring/kbuf.c.
 */
#if WEFT_HAVE_URING
#include "uring_bufs.h"

#include <sys/mman.h>
#include <unistd.h>

#include "../sys/sys.h"

enum { BUFS_COUNT = 1024, BUFS_BYTES = 2048, BUFS_STEP = 128 };

static struct {
    struct weft__lock lock;
    struct io_uring_buf_ring *ring;     /* [lock] written; [const] the pointer */
    uint32_t count;                     /* [lock] buffers in circulation */
    char *mem;                          /* [const] */
    struct weft__taken piece[BUFS_COUNT];
    _Atomic uint8_t held[BUFS_COUNT];   /* [B3] it is not in the ring */
} bufs;

/* Lock held. */
static void bufs_put(uint32_t id)
{
    atomic_store_explicit(&bufs.held[id], 0, memory_order_release); /* B3 */
    io_uring_buf_ring_add(bufs.ring, bufs.mem + (size_t)id * BUFS_BYTES, BUFS_BYTES, (unsigned short)id,
                          io_uring_buf_ring_mask(BUFS_COUNT), 0);
    io_uring_buf_ring_advance(bufs.ring, 1); /* B2 */
}

int weft__bufs_start(struct io_uring *io)
{
    size_t ring_bytes = BUFS_COUNT * sizeof(struct io_uring_buf);
    char *mem = weft__sys_reserve(ring_bytes + (size_t)BUFS_COUNT * BUFS_BYTES, 65536);
    if (!mem)
        return -ENOMEM;
    (void)madvise(mem, ring_bytes, MADV_DONTFORK); /* the kernel keeps the pages: a child's copy would part this process from them */
    struct io_uring_buf_reg reg = {.ring_addr = (uint64_t)(uintptr_t)mem, .ring_entries = BUFS_COUNT, .bgid = WEFT__BUFS_GROUP};
    int r = io_uring_register_buf_ring(io, &reg, 0);
    if (r < 0) {
        (void)munmap(mem, ring_bytes + (size_t)BUFS_COUNT * BUFS_BYTES); /* lint: what was reserved above; src/sys gives nothing back */
        return r;
    }
    bufs.ring = (struct io_uring_buf_ring *)mem;
    bufs.mem = mem + ring_bytes;
    io_uring_buf_ring_init(bufs.ring);
    weft__bufs_more();
    return 0;
}

void weft__bufs_more(void)
{
    weft__lock(&bufs.lock);
    for (uint32_t i = 0; i < BUFS_STEP && bufs.count < BUFS_COUNT; i++) {
        bufs.piece[bufs.count] = (struct weft__taken){.data = bufs.mem + (size_t)bufs.count * BUFS_BYTES, .fd = -1};
        bufs_put(bufs.count++);
    }
    weft__unlock(&bufs.lock);
}

/* The buffer that a completion names, with len bytes in it. */
static struct weft__taken *bufs_filled(uint32_t id, uint32_t len)
{
    struct weft__taken *t = &bufs.piece[id];
    uint8_t held = atomic_load_explicit(&bufs.held[id], memory_order_acquire); /* B3 */
    WEFT_ASSERT(!held, "B1");
    (void)held;
    atomic_store_explicit(&bufs.held[id], 1, memory_order_relaxed);
    t->at = 0;
    t->end = len;
    return t;
}

struct weft__taken *weft__bufs_piece(const struct io_uring_cqe *cqe, bool accepts)
{
    if (cqe->flags & IORING_CQE_F_BUFFER)
        return bufs_filled(cqe->flags >> IORING_CQE_BUFFER_SHIFT, cqe->res > 0 ? (uint32_t)cqe->res : 0);
    if (!accepts || cqe->res < 0)
        return NULL;
    struct weft__taken *t = weft__sys_alloc(sizeof *t);
    if (t)
        t->fd = cqe->res;
    else
        (void)close(cqe->res); /* as a connection that the peer gave up */
    return t;
}

void weft__bufs_give(struct weft__taken *list)
{
    struct weft__taken *next, *fds = NULL;
    weft__lock(&bufs.lock);
    for (; list; list = next) {
        next = list->next;
        if (list->data) {
            bufs_put((uint32_t)(list - bufs.piece));
        } else {
            list->next = fds;
            fds = list;
        }
    }
    weft__unlock(&bufs.lock);
    for (; fds; fds = next) {
        next = fds->next;
        (void)close(fds->fd);
        weft__sys_free(fds);
    }
}
#endif
