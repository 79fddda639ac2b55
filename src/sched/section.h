/*
 * section.h - hints and short sections for the data structures of the layers above. See section.c.
 */
#ifndef WEFT_SCHED_SECTION_H
#define WEFT_SCHED_SECTION_H
#include <stdbool.h>

/* Does spinning hold up nobody? Another processor runs, and no goroutine waits for the caller's. A hint, any thread. */
bool weft__may_spin(void);

/*
 * A lock, but without an edge for ThreadSanitizer, which does not see this file: for a look by the runtime that orders nothing
 * in the program. What is looked at has to be read in a function without its instrumentation.
 */
struct weft__lock;
void weft__look_lock(struct weft__lock *l);
void weft__look_unlock(struct weft__lock *l);

struct weft__m;

/*
 * Read sections. What a reader finds by atomic loads between begin and end is not freed before its end, where whoever takes
 * it out of reach calls weft__read_wait before freeing it. A section is short, on one thread, and not within another: it
 * parks, locks, allocates and calls out nowhere.
 */
/* NULL on a thread that weft does not know yet: no section has begun, a lock has to do. */
struct weft__m *weft__read_begin(void);
void weft__read_end(struct weft__m *reader);
/* Returns when each section that was under way at the call has ended. Any thread, outside of sections and spinlocks. */
void weft__read_wait(void);

#endif
