/*
 * mutex.h - what cond.c needs of a mutex: waiters that are woken by its unlocks; and what rwmutex.c needs, whose own word
 * is larger than the mutex's. Private to src/sync.
 */
#ifndef WEFT_SYNC_MUTEX_H
#define WEFT_SYNC_MUTEX_H
#include "waitline.h"

/* Put parked goroutines (a list linked by next) at the end of m's line, where its unlocks wake them one at a time.
 * False, and they are still the caller's to wake, when m is not locked: no unlock is to come. */
bool weft__mutex_move(weft_mutex *m, struct weft__sync_waiter *list);
/* The goroutine of w, which was moved, runs again: take m. */
WEFT_PARKS void weft__mutex_lock_moved(weft_mutex *m, struct weft__sync_waiter *w);
/* lock and unlock of a mutex that is never unlocked by a plain store, and so has no use for MET. */
WEFT_PARKS void weft__mutex_lock_locked(weft_mutex *m);
void weft__mutex_unlock_locked(weft_mutex *m);

#endif
