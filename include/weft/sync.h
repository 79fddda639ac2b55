/*
 * weft/sync.h - mutex, rwmutex, waitgroup, once, cond, pool: Go's package sync for C.
 *
 * Every type is plain storage of the caller's; all bytes zero is ready to use. None may be copied or moved once used.
 * Everything here also works on a thread that weft did not start.
 *
 * Parks   calls marked WEFT_PARKS, weft_once_do and weft_once_value; the others return at once. Any thread may call.
 * Source  Go sync. The weighted semaphore, errgroup, singleflight and limiter are in weft/group.h.
 */
#ifndef WEFT_SYNC_H
#define WEFT_SYNC_H
#include <stdatomic.h>
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
    _Atomic uint32_t weft__state;            /* 0: free; bit 0: locked; the others: mutex.c */
    _Atomic int32_t weft__readers;           /* of the rwmutex that this is a part of, beside the word: see there */
    struct weft__line weft__line;
} weft_mutex;

/* What the inline part of lock leaves to mutex.c. */
WEFT_API WEFT_PARKS void weft__mutex_lock_slow(weft_mutex *m);

/**
 * weft_mutex_lock - take the mutex, waiting for it if need be.
 *
 * Parks     while another goroutine holds it. Locking it twice from one goroutine waits for ever, as in Go.
 * Orders    the unlock before happens before the return.
 * Costs     one atomic operation, inline, when it is free.
 * Fair      newcomers may overtake sleepers; a goroutine that has waited 1 ms is handed the mutex next (Go's
 *           "starvation mode"), so nobody starves.
 * Source    Go sync.Mutex.Lock.
 */
WEFT_API WEFT_PARKS inline void weft_mutex_lock(weft_mutex *m)
{
    if (__builtin_expect(atomic_fetch_or_explicit(&m->weft__state, 1, memory_order_acquire) & 1, 0)) /* MX5 */
        weft__mutex_lock_slow(m);
}

/** weft_mutex_try_lock - take the mutex if it is free now. Returns whether it did. Never parks. Go Mutex.TryLock. */
WEFT_API WEFT_MUST_USE bool weft_mutex_try_lock(weft_mutex *m);

/**
 * weft_mutex_unlock - release the mutex. Any goroutine may, not only the one that locked it.
 *
 * Ends      the process with "fatal error: sync: unlock of unlocked mutex" when it is not locked.
 * Parks     never. The mutex is not touched after another goroutine could take it: who takes it may free it.
 * Costs     a plain store while nobody has had to wait for it lately; else one atomic operation.
 * Source    Go sync.Mutex.Unlock.
 */
WEFT_API void weft_mutex_unlock(weft_mutex *m);

/* ---- rwmutex ---- */

typedef struct weft_rwmutex {
    union {
        weft_mutex weft__w;                  /* among writers. Its weft__readers: those inside or waiting; far below zero
                                                while a writer is there */
        _Atomic uint64_t weft__both;         /* the word of w, and the readers: a writer alone changes both at once */
    };
    struct weft__line weft__writer;          /* the writer that waits for readers to leave */
    struct weft__line weft__reader;          /* readers that wait for the writer */
    _Atomic int32_t weft__leaving;           /* readers that the waiting writer still waits for */
} weft_rwmutex;

/* What the inline parts of rlock and runlock leave to rwmutex.c. */
WEFT_API WEFT_PARKS void weft__rwmutex_rlock_slow(weft_rwmutex *rw);
WEFT_API void weft__rwmutex_runlock_slow(weft_rwmutex *rw);

/* Adds n to the readers; true if a writer is there. In this form, not C11's, compilers need no more than the sign flag. */
#define WEFT__READERS_ADD(rw, n, order) (__atomic_add_fetch((int32_t *)&(rw)->weft__w.weft__readers, n, order) < 0)

/**
 * weft_rwmutex_rlock, _runlock - enter and leave as one of any number of readers.
 *
 * Parks     rlock: while a writer is inside or waiting, so a stream of readers does not starve it. For that reason a
 *           reader must not rlock again while it is inside.
 * Ends      the process: "sync: runlock of unlocked RWMutex".
 * Costs     one atomic operation each, inline, while no writer is there.
 * Source    Go sync.RWMutex.RLock, RUnlock.
 */
WEFT_API WEFT_PARKS inline void weft_rwmutex_rlock(weft_rwmutex *rw)
{
    if (__builtin_expect(WEFT__READERS_ADD(rw, 1, __ATOMIC_ACQUIRE), 0))   /* RW5 */
        weft__rwmutex_rlock_slow(rw);
}
WEFT_API inline void weft_rwmutex_runlock(weft_rwmutex *rw)
{
    if (__builtin_expect(WEFT__READERS_ADD(rw, -1, __ATOMIC_RELEASE), 0))  /* RW4 */
        weft__rwmutex_runlock_slow(rw);
}

/**
 * weft_rwmutex_lock, _unlock - enter and leave as the only one.
 *
 * Parks     lock: until readers and writers are gone. unlock lets the readers that wait go first.
 * Costs     one atomic operation each while nobody else is there.
 * Ends      the process: "sync: unlock of unlocked RWMutex".
 * Source    Go sync.RWMutex.Lock, Unlock.
 */
WEFT_API WEFT_PARKS void weft_rwmutex_lock(weft_rwmutex *rw);
WEFT_API void weft_rwmutex_unlock(weft_rwmutex *rw);

/** weft_rwmutex_try_rlock, _try_lock - enter if that needs no wait. Return whether they did. */
WEFT_API WEFT_MUST_USE bool weft_rwmutex_try_rlock(weft_rwmutex *rw);
WEFT_API WEFT_MUST_USE bool weft_rwmutex_try_lock(weft_rwmutex *rw);

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
 * Panics    "sync: negative WaitGroup counter"; "sync: WaitGroup misuse: Add called concurrently with Wait"; "sync: WaitGroup is
 *           reused before previous Wait has returned", where the add from zero comes before the last goroutine that the
 *           zero before let go has run.
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
    _Atomic uint32_t weft__state;            /* 0 fresh, 1 running, 2 done, 3 done without a value, 4 ending */
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
/**
 * weft_once_value - the value of fn(args...), computed by the first call.
 *
 * @o        evaluated once.
 * @slot     T *, where the value is kept; the same for each call with this once.
 * @fn, args as for weft_once_do; the result must convert to T.
 *
 * Returns   *slot.
 * Panics    when fn panicked, in each later call, with its words; "weft_once_value: the function did not return" when it ended
 *           its goroutine. The words are kept for good, up to 1,024 different ones in a process.
 * Source    Go sync.OnceValue.
 */
#define weft_once_value(o, slot, ...) WEFT__ONCE_VALUE(o, slot, WEFT__HEAD(__VA_ARGS__), WEFT__TAIL(__VA_ARGS__))
#define WEFT__ONCE_VALUE(once_, slot_, fn_, ...)                                                   \
    __extension__({                                                                                \
        WEFT__CHECK_RESULT("weft_once_value", fn_, __VA_ARGS__);                                   \
        __typeof__(slot_) weft__s = (slot_);                                                       \
        struct weft__once_run weft__r __attribute__((cleanup(weft__once_value_end))) =             \
            weft__once_value_begin(once_);                                                         \
        WEFT__FNTYPE(fn_) weft__fn = weft__r.o ? (WEFT__FNTYPE(fn_))(fn_)                          \
                                               : (WEFT__FNTYPE(fn_))weft__once_skip;               \
        __typeof__(weft__fn(__VA_ARGS__)) weft__got = weft__fn(__VA_ARGS__);                       \
        __asm__("" : : "r"(weft__s) : "memory"); /* set by an earlier call, for all the compiler knows */ \
        if (weft__r.o) {                                                                           \
            *weft__s = weft__got;                                                                  \
            weft__r.returned = true;                                                               \
        }                                                                                          \
        *weft__s;                                                                                  \
    })
struct weft__once_run {
    weft_once *o;
    bool returned;
};
WEFT_API WEFT_PARKS struct weft__once_run weft__once_value_begin(weft_once *o);
WEFT_API void weft__once_value_end(struct weft__once_run *r);

/* The once when the caller is to run fn, else NULL. */
WEFT_API WEFT_PARKS weft_once *weft__once_begin(weft_once *o);
WEFT_API void weft__once_end(weft_once **o);
/* Returns at once, whatever type it is called by. */
extern WEFT_API void weft__once_skip(void);

/* ---- cond ---- */

typedef struct weft_cond {
    weft_mutex *m;                           /* set by the user before the first call: held around wait */
    _Atomic uint32_t weft__tickets;          /* given to waits, in turn */
    _Atomic uint32_t weft__served;           /* tickets below this one have been woken */
    struct weft__line weft__line;
} weft_cond;

/**
 * weft_cond_wait - unlock c->m, wait to be woken, lock it again. Call it in a loop that tests the condition.
 *
 * Parks     until a signal or broadcast that comes after the call. Nothing else wakes it.
 * Source    Go sync.Cond.Wait.
 */
WEFT_API WEFT_PARKS void weft_cond_wait(weft_cond *c);

/** weft_cond_signal - wake the goroutine that has waited longest, if any. Any thread; c->m may be held or not. */
WEFT_API void weft_cond_signal(weft_cond *c);

/** weft_cond_broadcast - wake all that wait now. */
WEFT_API void weft_cond_broadcast(weft_cond *c);

/* ---- pool ---- */

typedef struct weft_pool {
    void *(*make)(void);                     /* set by the user, or NULL: makes what get finds missing */
    _Atomic uint32_t weft__lock;
    uint32_t weft__n, weft__cap;
    void **weft__kept;
} weft_pool;

/**
 * weft_pool_get - something put earlier, the latest first; else make(); else NULL.
 * weft_pool_put - keep x for a later get. NULL is ignored.
 *
 * Parks     never (make may, it runs without any lock). Any thread.
 * Differs   from Go: there is no collector that empties it. What is put stays until a get, or weft_pool_clear.
 * Source    Go sync.Pool.
 */
WEFT_API void *weft_pool_get(weft_pool *p);
WEFT_API void weft_pool_put(weft_pool *p, void *x);

/** weft_pool_clear - give each kept x to drop (may be NULL) and the pool's own memory back. It can be used again. */
WEFT_API void weft_pool_clear(weft_pool *p, void (*drop)(void *x));

#endif
