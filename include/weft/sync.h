/*
 * weft/sync.h - mutex, rwmutex, waitgroup, once, cond, weighted semaphore: Go's package sync for C.
 *
 * Every type is plain storage of the caller's; all bytes zero is ready to use. None may be copied or moved once used.
 * Everything here also works on a thread that weft did not start.
 *
 * Source  Go sync, golang.org/x/sync.
 */
#ifndef WEFT_SYNC_H
#define WEFT_SYNC_H
#include <weft/go.h>

#pragma GCC system_header

struct weft__sync_waiter;

/* A line of parked goroutines. Private to src/sync. */
struct weft__line {
    _Atomic uint32_t lock;                   /* guards the line, for a few instructions */
    uint32_t count;                          /* [lock] free permits of a semaphore */
    struct weft__sync_waiter *head, *tail;   /* [lock] oldest first */
};

/* ---- mutex ---- */

typedef struct weft_mutex {
    _Atomic uint32_t weft__state;            /* 0: free */
    struct weft__line weft__line;
} weft_mutex;

/**
 * weft_mutex_lock - take the mutex, waiting for it if need be.
 *
 * Parks     while another goroutine holds it. Locking it twice from one goroutine waits for ever, as in Go.
 * Orders    the unlock before happens before the return.
 * Costs     one compare-and-swap when it is free.
 * Fair      newcomers may overtake sleepers; a goroutine that has waited 1 ms is handed the mutex next (Go's
 *           "starvation mode"), so nobody starves.
 * Source    Go sync.Mutex.Lock.
 */
WEFT_API WEFT_PARKS void weft_mutex_lock(weft_mutex *m);

/** weft_mutex_try_lock - take the mutex if it is free now. Returns whether it did. Never parks. Go Mutex.TryLock. */
WEFT_API WEFT_MUST_USE bool weft_mutex_try_lock(weft_mutex *m);

/**
 * weft_mutex_unlock - release the mutex. Any goroutine may, not only the one that locked it.
 *
 * Ends      the process with "fatal error: sync: unlock of unlocked mutex" when it is not locked.
 * Parks     never. The mutex is not touched after another goroutine could take it: who takes it may free it.
 * Source    Go sync.Mutex.Unlock.
 */
WEFT_API void weft_mutex_unlock(weft_mutex *m);

/* ---- waitgroup ---- */

typedef struct weft_waitgroup {
    _Atomic uint64_t weft__state;            /* high 32 bits: counter, signed; bit 0: somebody waits */
    struct weft__line weft__line;
} weft_waitgroup;

/**
 * weft_waitgroup_add - change the counter by n; at zero, everybody in weft_waitgroup_wait goes on.
 *
 * @n        may be negative. An add from zero happens before the wait that is to see it.
 *
 * Panics    "sync: negative WaitGroup counter"; "sync: WaitGroup misuse: Add called concurrently with Wait".
 * Parks     never. Any thread. After the add that reaches zero the group is not touched any more once a
 *           waiter can return: it may live in the waiter's frame.
 * Source    Go sync.WaitGroup.Add.
 */
WEFT_API void weft_waitgroup_add(weft_waitgroup *wg, int n);

/** weft_waitgroup_done - weft_waitgroup_add(wg, -1). */
WEFT_API void weft_waitgroup_done(weft_waitgroup *wg);

/**
 * weft_waitgroup_wait - wait until the counter is zero.
 *
 * Parks     unless it is zero now. The group may be used again, or go away, as soon as it returns.
 * Orders    each done before happens before the return.
 * Source    Go sync.WaitGroup.Wait.
 */
WEFT_API WEFT_PARKS void weft_waitgroup_wait(weft_waitgroup *wg);

/**
 * weft_waitgroup_go - add 1, run fn(args...) in a new goroutine, and be done when it ends.
 *
 * @wg       evaluated once.
 * @fn, args as for weft_go.
 *
 * fn ends by returning or by weft_goexit. When it panics done is not called: the panic ends the process.
 * Source    Go sync.WaitGroup.Go.
 */
#define weft_waitgroup_go(wg, ...)                                                                       \
    __extension__({                                                                                      \
        weft_waitgroup *weft__wg = (wg);                                                                 \
        weft_waitgroup_add(weft__wg, 1);                                                                 \
        WEFT__GO(NULL, weft__waitgroup_end, weft__wg, WEFT__HEAD(__VA_ARGS__), WEFT__TAIL(__VA_ARGS__)); \
    })
WEFT_API void weft__waitgroup_end(void *wg, long result);

/* ---- once ---- */

typedef struct weft_once {
    _Atomic uint32_t weft__state;            /* 0 fresh, 1 running, 2 done */
    struct weft__line weft__line;
} weft_once;

/**
 * weft_once_do - call fn(args...) if no call with this once has been made yet; wait for one under way.
 *
 * @o        evaluated once.
 * @fn       function or function pointer, returning void or a scalar that is dropped.
 * @args     checked against fn's prototype and evaluated exactly once by every call, also by one that does not run fn,
 *           as in any function call.
 *
 * When it returns, fn has returned. If fn panics or ends its goroutine the once counts as done: later calls return
 * without calling. A weft_once_do of the same once inside fn waits for ever.
 * Parks     while another goroutine runs fn. Costs one load when it is done.
 * Source    Go sync.Once.Do.
 */
#define weft_once_do(o, ...) WEFT__ONCE(o, WEFT__HEAD(__VA_ARGS__), WEFT__TAIL(__VA_ARGS__))
#define WEFT__ONCE(o, fn_, ...)                                                                    \
    __extension__({                                                                                \
        WEFT__CHECK_RESULT("weft_once_do", fn_, __VA_ARGS__);                                      \
        weft_once *weft__o __attribute__((cleanup(weft__once_end))) = weft__once_begin(o);         \
        WEFT__FNTYPE(fn_) weft__fn = weft__o ? (WEFT__FNTYPE(fn_))(fn_)                            \
                                             : (WEFT__FNTYPE(fn_))weft__once_skip;                 \
        (void)weft__fn(__VA_ARGS__);                                                               \
    })
/* The once when the caller is to run fn, else NULL. */
WEFT_API WEFT_PARKS weft_once *weft__once_begin(weft_once *o);
WEFT_API void weft__once_end(weft_once **o);
/* Returns at once, whatever type it is called by. */
extern WEFT_API void weft__once_skip(void);

#endif
