/*
 * idle_batch.pml - idle.pml where the pusher calls for help once, after all that it pushes: sched/woken.c, WK1. As in idle_hog.pml
 * each goroutine needs a worker of its own, so the one call must bring as many as calls one by one would.
 *
 * VARIANTS 1 4 5 7 12: as in idle.pml; 12 the call comes after the first push, before the others.
 */
#define BATCH
#define HOG
#define IDLE_PS 2
#include "idle.pml"
