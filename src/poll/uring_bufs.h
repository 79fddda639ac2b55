/*
 * uring_bufs.h - the buffers that the kernel chooses from when bytes come: for poll_uring.c.
 */
#ifndef WEFT_POLL_URING_BUFS_H
#define WEFT_POLL_URING_BUFS_H
#include "poll_int.h"

#include <liburing.h>

enum { WEFT__BUFS_GROUP = 1 };

/* Maps the buffers and gives all of them to the ring: 0 or -errno. Once. */
int weft__bufs_start(struct io_uring *io);
void weft__bufs_stop(struct io_uring *io);
/* The kernel found none free: more of them, if not all are in use. The polling thread. */
void weft__bufs_more(void);
/* The buffer that a completion names, with len bytes in it. It is the caller's. */
struct weft__taken *weft__bufs_filled(uint32_t id, uint32_t len);
/* A list of pieces back: buffers to the kernel; descriptors are closed. Any thread, no lock held. */
void weft__bufs_give(struct weft__taken *list);

#endif
