/*
 * weft/local.h - values of a goroutine's own: what thread-local variables are to threads.
 *
 *   static weft_local request = {.drop = free};
 *   weft_local_set(&request, strdup(id));  ...  const char *id = weft_local_get(&request);
 *
 * A goroutine does not inherit values; a context (weft/ctx.h) hands them down. Unlike a thread-local variable, a value stays
 * with its goroutine on whatever thread that wakes.
 *
 * Parks   neither call does; a drop may. Any thread may call: one that weft did not start has values of its own.
 * Source  C11 tss_get, tss_set. Go has no such thing. Tests: test_local.c.
 */
#ifndef WEFT_LOCAL_H
#define WEFT_LOCAL_H
#include <weft/base.h>

#pragma GCC system_header

/* A key: its address counts, so it stays where it is, as a static variable does. All bytes zero is ready to use. */
typedef struct weft_local {
    void (*drop)(void *value);   /* set by the user, or NULL: called for a value that is there when its goroutine ends */
} weft_local;

/**
 * weft_local_get - the calling goroutine's value for a key.
 *
 * @key      borrowed.
 *
 * Returns   what the goroutine set last; NULL when it has set nothing.
 * Parks     never. Costs a walk over the goroutine's values: meant for a few keys.
 */
WEFT_API void *weft_local_get(const weft_local *key);

/**
 * weft_local_set - set the calling goroutine's value for a key.
 *
 * @key      must stay until the last goroutine that has a value for it has ended, or set NULL.
 * @value    NULL takes the value out. The value before is the caller's: drop is not called for it.
 *
 * When the goroutine ends, by its function's return or weft_goexit, its deferred calls run first, then drop(value) for each
 * value left, the latest key first, and then those who wait for the goroutine go on. A drop may set values, which are dropped
 * in turn; it must not call weft_goexit. Nothing is dropped when main returns or the process ends otherwise.
 * Errors    out of memory is a fatal error.
 * Parks     never. Costs one allocation for each key that the goroutine had no value for.
 */
WEFT_API void weft_local_set(const weft_local *key, void *value);

#endif
