/*
 * keep.h - what libweft-posix asks of the scheduler: a goroutine in a call of a foreign library keeps its thread.
 *
 * Exported, since libweft-posix is a library of its own. Not for programs: weft_block_begin and weft_lock_thread are theirs.
 * None of these starts the runtime or makes a thread known. See keep.c.
 */
#ifndef WEFT_SCHED_KEEP_H
#define WEFT_SCHED_KEEP_H
#include <weft/base.h>

/* Does the calling thread run a goroutine that has a processor, which a blocking call would waste? Async-signal-safe. */
WEFT_API bool weft__keep_holds(void);
/* The processor goes to another worker, if there is one to give. The goroutine goes on, on its thread. errno is kept. */
WEFT_API void weft__keep_give(void);
/* From here on the calling goroutine wakes on the thread it parked on. Counts; each pin is taken back by one unpin, and one
 * too many is harmless. */
WEFT_API void weft__keep_pin(void);
WEFT_API void weft__keep_unpin(void);
/* In the child of a fork: there is nobody here to hand a processor to. */
WEFT_API void weft__keep_forked(void);

#endif
