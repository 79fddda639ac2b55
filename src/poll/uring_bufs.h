/*
 * uring_bufs.h - the buffers that the kernel chooses from when bytes come, and who takes them: for poll_uring.c.
 */
#ifndef WEFT_POLL_URING_BUFS_H
#define WEFT_POLL_URING_BUFS_H
#include "poll_int.h"

#include <liburing.h>

enum { WEFT__BUFS_GROUP = 1 };

/* A request that takes what comes for fd into buffers of the group. */
static inline void weft__prep_recv(struct io_uring_sqe *sqe, int fd, uint16_t group)
{
    io_uring_prep_recv_multishot(sqe, fd, NULL, 0, 0);
    sqe->ioprio |= IORING_RECVSEND_POLL_FIRST; /* the reader has found nothing just now; and no buffer is needed yet */
    sqe->flags |= IOSQE_BUFFER_SELECT;
    sqe->buf_group = group;
}

/* uring_trial.c: 0, or -errno: no bytes must be taken. Once. */
int weft__uring_trial(void);

/* Maps the buffers and gives all of them to the ring: 0 or -errno. Once. */
int weft__bufs_start(struct io_uring *io);
/* The kernel found none free: more of them, if not all are in use. The polling thread. */
void weft__bufs_more(void);
/* The piece that a completion carries, the caller's; or NULL: none, or no memory for a descriptor, which is closed then. accepts: the
 * result is one. */
struct weft__taken *weft__bufs_piece(const struct io_uring_cqe *cqe, bool accepts);
/* A list of pieces back: buffers to the kernel; descriptors are closed. Any thread, no lock held. */
void weft__bufs_give(struct weft__taken *list);

#endif
