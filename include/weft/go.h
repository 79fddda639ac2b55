/*
 * weft/go.h - goroutines: start, yield, sleep, end; processors.
 *
 * Parks   only calls marked WEFT_PARKS. Any thread may call; one that weft did not start becomes a goroutine tied to it
 *         for as long as a call parks.
 * Source  Go: the go statement, runtime.Gosched, runtime.Goexit, runtime.GOMAXPROCS, time.Sleep.
 */
#ifndef WEFT_GO_H
#define WEFT_GO_H
#include <weft/call.h>

#pragma GCC system_header

/**
 * weft_go - start a goroutine that runs fn(args...).
 *
 * @fn       function or function pointer; returns void or a scalar, which is dropped.
 * @args     up to 16 values of any type, evaluated now by the caller, checked and converted against
 *           fn's prototype by the compiler.
 *
 * Returns   nothing. Out of memory for a stack is a fatal error, as in Go.
 * Limits    a stack has 48 KiB (68 KiB of address space with the guard); the environment's WEFT_STACK sets the
 *           whole in KiB, 64 .. 1,048,576, rounded up to a power of two and a page; weft_go_stack gives one goroutine another.
 *           Touching the guard is a fatal error. Arguments of more than 1 KiB in all come on top of that.
 * Parks     never. Any thread may call it; the first call of a process starts the runtime.
 * Orders    what the caller did before happens before fn's first statement.
 * Costs     no allocation once a goroutine has ended before (stacks are reused). Up to six integers and pointers of the
 *           parameters' own types are cheapest: they wait without a stack until the goroutine first runs. A literal 0 for a
 *           long, or an int for a double, takes a stack at once.
 * Source    Go spec, "Go statements".
 */
#define weft_go(...) WEFT__GO(NULL, NULL, NULL, WEFT__HEAD(__VA_ARGS__), WEFT__TAIL(__VA_ARGS__))

/**
 * weft_go_named - weft_go with a label that dumps, profiles and gdb show.
 *
 * @name     NUL-terminated; the first 23 bytes are copied.
 */
#define weft_go_named(name, ...) WEFT__GO(name, NULL, NULL, WEFT__HEAD(__VA_ARGS__), WEFT__TAIL(__VA_ARGS__))

/**
 * weft_go_stack - weft_go with a stack of its own size, for what is known to go deep, or to stay shallow.
 *
 * @bytes    what fn and all that it calls may use, up to WEFT_STACK_MAX; 0 means the default. More than 1 KiB of
 *           arguments comes on top. Rounded up, so that with the guard (16 KiB) and 512 bytes of the runtime's own it is a
 *           power of two from 32 KiB. It is address space: memory is used by the pages that are touched. Sanitizer and
 *           debug builds give four times as much.
 * @fn,args  as weft_go's.
 *
 * Returns   nothing. More than WEFT_STACK_MAX, or no memory for the stack, is a fatal error.
 * Parks     never.
 * Costs     one system call at the first use of a stack; stacks are reused by their size, under one lock.
 * Source    POSIX pthread_attr_setstacksize; WEFT_STACK sets the default. Tests: test_stack.c.
 */
#define weft_go_stack(bytes, ...) WEFT__GO_STACK(bytes, NULL, NULL, NULL, WEFT__HEAD(__VA_ARGS__), WEFT__TAIL(__VA_ARGS__))
#define WEFT_STACK_MAX ((1ul << 30) - 32768)

#define WEFT__GO(...) WEFT__GO_STACK(0, __VA_ARGS__)
#define WEFT__GO_STACK(bytes_, label_, at_end_, owner_, fn_, ...)                      \
    __extension__({                                                                    \
        WEFT__CHECK_RESULT("weft_go", fn_, __VA_ARGS__);                               \
        WEFT__SITE(weft__site_, fn_, __VA_ARGS__);                                     \
        struct weft__call weft__call_ = {(void *)(fn_), &weft__site_, label_, at_end_, owner_, bytes_}; \
        WEFT__FIND_REFS(weft__site_, fn_, __VA_ARGS__);                                \
        WEFT__ENTER(WEFT__AT(WEFT__ENTRY(weft__go_entry)), weft__call_, fn_, __VA_ARGS__);       \
    })
extern WEFT_API void WEFT__ENTRY(weft__go_entry)(void);

/**
 * weft_yield - let other goroutines run; the caller goes to the end of the line.
 *
 * Parks     yes, but is runnable all the time. On a foreign thread: sched_yield(2).
 * Source    Go runtime.Gosched.
 */
WEFT_API WEFT_PARKS void weft_yield(void);

/**
 * weft_goexit - end the calling goroutine: deferred calls run, then it is gone.
 *
 * On goroutine 1 the others go on; when they are done too: deadlock. Source: Go runtime.Goexit.
 */
WEFT_API _Noreturn void weft_goexit(void);

/**
 * weft_sleep - park for at least d.
 *
 * @d        nanoseconds; 0 or less returns at once.
 *
 * Parks     until the time has passed. Source: Go time.Sleep.
 */
WEFT_API WEFT_PARKS void weft_sleep(weft_dur d);

/**
 * weft_procs - how many goroutines run at one time; sets it when n > 0.
 *
 * @n        1 .. 256 (more is cut to 256); 0 or less only asks.
 *
 * Returns   the value before the call. Default: the CPUs this process may use (affinity, cgroup v2
 *           quota rounded up), or the environment's WEFT_PROCS.
 * Source    Go runtime.GOMAXPROCS.
 */
WEFT_API int weft_procs(int n);

/** weft_num_goroutines - goroutines that exist now, the caller included. Go runtime.NumGoroutine. */
WEFT_API size_t weft_num_goroutines(void);

/** weft_goid - number of the calling goroutine, from 1 (main), never used again in this process. */
WEFT_API uint64_t weft_goid(void);

/**
 * weft_lock_thread, weft_unlock_thread - tie the calling goroutine to its thread, as Go's LockOSThread.
 *
 * Calls nest. While locked no other goroutine runs on the thread, and this one runs on no other. A goroutine that ends
 * locked ends its thread (main's thread only stops to run goroutines): nobody else gets what it did to it, a name, a name
 * space, a signal mask; nor do threads that weft starts meanwhile.
 *
 * Parks     weft_unlock_thread, the last one: it yields, and may come back on another thread.
 * Source    Go runtime.LockOSThread, UnlockOSThread.
 */
WEFT_API void weft_lock_thread(void);
WEFT_API WEFT_PARKS void weft_unlock_thread(void);

/**
 * weft_block_begin, weft_block_end - bracket a call that blocks the thread and that weft does not know of.
 *
 * The processor is given to another goroutine at once, not only after the monitor has noticed (1-2 ms).
 * Between the two call nothing of weft. weft_block_end parks until a processor is free.
 */
WEFT_API void weft_block_begin(void);
WEFT_API WEFT_PARKS void weft_block_end(void);

#endif
