/*
 * poll_int.h - what poll.c (words, deadlines, pool), poll_back.c (which back end) and the back ends share.
 */
#ifndef WEFT_POLL_POLL_INT_H
#define WEFT_POLL_POLL_INT_H
#include "poll.h"

/* What io_uring needs of a pd beside it. */
struct weft__pd_uring {
    _Atomic uint64_t taking;         /* [P5, T1] WEFT__PD_*ARM*, WEFT__PD_TAKE_*: the request that reads, where take is set */
    struct weft__taken *taken;       /* [lock, T2] the last of what was taken, a ring; NULL nothing */
    struct weft__pd *next_listed;    /* [the back end's lock] */
    int32_t take_err;                /* [lock] the socket's error, told once after what was taken; 0 none */
    uint16_t taken_count;            /* [lock] */
    bool listed;                     /* [the back end's lock] in its list of those to arm, perhaps since an earlier life */
    bool swept;                      /* [the polling thread] likewise in a list of those to be looked at */
    struct weft__pd *next_swept;     /* [the polling thread] */
};

struct weft__pd {
    _Atomic uintptr_t word[3];       /* [P1, P2] read, write, end: NIL, READY, WAIT, a goroutine, or a starter + 1 */
    _Atomic uint32_t flags;          /* [P2] WEFT__PD_* */
    _Atomic uint32_t seq;            /* [P3] life number of this slot */
    _Atomic uint64_t armed;          /* [P5] WEFT__PD_*ARMED; above it what the back end keeps */
    _Atomic weft_time deadline[2];   /* [P2] written under lock; 0 none; the end has none */
    _Atomic weft_time timer_at;      /* [P2] written under lock: when timer fires, 0 not armed */
    uint32_t index;                  /* [const] place in the pool */
    int fd;                          /* [own] the registered descriptor, for dumps */
    struct weft__lock lock;          /* guards the above where said, and start of timer */
    bool timer_used;                 /* [lock] timer was started in this life */
    _Atomic uint8_t take;            /* [T1] enum weft__take; NONE for the whole life, or never again */
    struct weft__pd_uring *u;        /* [const] NULL under epoll, which has no use for it */
    struct weft__pd *next_free;      /* [pool lock] */
    struct weft__timer timer;        /* one for both directions */
};

enum {
    WEFT__PD_CLOSING = 1,
    WEFT__PD_ENDED = 2,
    WEFT__PD_INTR_READ = 4,          /* shifted by the direction's index */
    WEFT__PD_INTR_WRITE = 8,
    WEFT__PD_INTR_END = 16,
    WEFT__PD_ANY = 32,               /* any event is for the read word */
    WEFT__PD_LATE = 64,              /* open need not arm */
    WEFT__PD_FAILED = 128            /* arming failed; errno is in armed, from bit WEFT__PD_MORE on */
};

/* A piece that was taken: bytes [at, end) of a buffer, or a descriptor. */
struct weft__taken {
    struct weft__taken *next;
    char *data;                      /* [const] NULL: a descriptor */
    uint32_t at, end;
    int fd;
};

/* The name by which the kernel gives a pd back: index and life. NULL when that life is over. */
uint64_t weft__pd_handle(struct weft__pd *pd);
struct weft__pd *weft__pd_of_handle(uint64_t handle);
/* An edge came: marks directions ready and pushes who waited on *list. Scheduler stack; no lock. */
void weft__pd_edge(struct weft__pd *pd, unsigned dirs, bool ended, struct weft__woken *list);
/* arm could not: ends present and future waits of pd with err, which is negative. */
void weft__pd_fail(struct weft__pd *pd, weft_err err);

/* ---- the back ends ---- */

/* Low bits of pd->armed. */
enum {
    WEFT__PD_UNARMED = 0,            /* the kernel does not watch the descriptor: a wait arms it first */
    WEFT__PD_ARMING = 1,             /* somebody will tell the kernel before it can sleep */
    WEFT__PD_ARMED = 2,
    WEFT__PD_ARM_MASK = 3,
    WEFT__PD_MORE = 2,               /* from this bit on: with WEFT__PD_FAILED errno, else the back end's own */
    WEFT__PD_TAKE_PLAIN = 4,         /* of pd->taking only: the request takes nothing, it tells of edges */
    WEFT__PD_TAKE_STOP = 8,          /* too much was taken: the request is being cancelled */
    WEFT__PD_TAKE_NEW = 16,          /* the request reads a stream and has told nothing yet */
    WEFT__PD_TAKE_LOOK = 32,         /* it has since, and may hide the stream's end: who waits next has arm_take look */
    WEFT__PD_TAKE_MORE = 6           /* from this bit on: the back end's own */
};

struct weft__poll_back {
    const char *name;                /* as WEFT_POLL names it */
    weft_err (*start)(void);         /* once: 0, or why it cannot be used here */
    /* A life begins, with fd, flags and words set; the pd is UNARMED. A back end may arm at once. */
    weft_err (*open)(struct weft__pd *pd);
    weft_err (*probe)(int fd);       /* NULL: open has asked the kernel. weft__pd_probe */
    /* A goroutine is about to wait and found the pd UNARMED. Whatever is ready already makes an edge; or weft__pd_fail. Any thread. */
    void (*arm)(struct weft__pd *pd);
    /* A life ends, before its fd is closed. When it returns the kernel's hold on the file is given up, or as good as; late
     * edges carry a handle that is over. borrowed: the fd is not about to be closed. */
    void (*close)(struct weft__pd *pd, bool borrowed);
    struct weft__woken (*wait)(weft_dur timeout);                  /* weft__poll */
    void (*stop_wait)(void);                                       /* weft__poll_break */
    /* The next three are NULL where nothing is taken beforehand. As arm, for the read direction of a pd with take set; also where
     * taking says LOOK. */
    void (*arm_take)(struct weft__pd *pd);
    void (*end_take)(struct weft__pd *pd);                         /* take has become PLAIN: a request that takes ends soon */
    void (*give)(struct weft__taken *list);                        /* pieces that nobody will read, or has read; descriptors are closed */
};
extern const struct weft__poll_back weft__poll_epoll;
#if WEFT_HAVE_URING
extern const struct weft__poll_back weft__poll_uring, weft__poll_uring_poll;
/* Is io_uring clearly cheaper here, by a trial of about a millisecond? And what it found, in words. */
bool weft__uring_faster(char *ret_note, size_t n);
#endif
extern const struct weft__poll_back *weft__poll_back;          /* [P6] poll_back.c */

/* poll_take.c, under pd->lock: the end of the queue grows; all of it leaves, as a list. */
void weft__taken_add(struct weft__pd *pd, struct weft__taken *t);
struct weft__taken *weft__taken_cut(struct weft__pd *pd);
weft_err weft__poll_start(void);                               /* once; later calls only say how it went */
bool weft__poll_only_epoll(void);                              /* WEFT_POLL says so, or nothing is watched yet: no io_uring for anything */

#endif
