/*
 * posix_int.h - what the files of libweft-posix share: the C library's own functions, and when to hand the processor on.
 *
 * Each function here has the C library's name and does what it does, by calling it. Before a call that would block on a
 * goroutine's thread the processor is handed on (sched/keep.c). To know whether it would, the same call is made first in a
 * way that does not block; where there is none, it counts as blocking. On any other thread, and on a goroutine that has no
 * processor, there is the one call and nothing else.
 */
#ifndef WEFT_POSIX_POSIX_INT_H
#define WEFT_POSIX_POSIX_INT_H
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/file.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <threads.h>
#include <time.h>
#include <unistd.h>

#include "../base/assert.h"
#include "../base/lock.h"
#include "../sched/keep.h"

/* The C library's own: no goroutine changes its thread in here. */
#undef errno
#define errno (*__errno_location())

/* A definition that stands before the C library's. */
#define WEFT__STANDIN __attribute__((visibility("default")))

struct weft__next {
#define X(name) __typeof__(name) *name;
#include "next.def"
#undef X
};
extern struct weft__next weft__next_table;
extern int weft__next_known; /* [PX1] */
void weft__next_find(void);

/* The next definition of a function: the C library's, or a sanitizer's. */
#define WEFT__NEXT(name) (*(weft__next_ready(), weft__next_table.name))

static inline void weft__next_ready(void)
{
    if (weft__unlikely(!__atomic_load_n(&weft__next_known, __ATOMIC_ACQUIRE))) /* PX1 */
        weft__next_find();
}

/* Would a call that waits on fd return at once, as the program has set it so? True also for what is no descriptor. */
static inline bool weft__posix_nonblocking(int fd)
{
    int saved = errno, fl = fcntl(fd, F_GETFL);

    errno = saved;
    return fl < 0 || fl & O_NONBLOCK;
}

/* Is fd ready for these events, or in error, now? */
static inline bool weft__posix_ready(int fd, short events)
{
    struct pollfd p = {.fd = fd, .events = events};
    int saved = errno, n = WEFT__NEXT(poll)(&p, 1, 0);

    errno = saved;
    return n != 0;
}

#endif
