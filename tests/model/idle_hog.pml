/*
 * idle_hog.pml - idle.pml with two processors beside the pusher's, and goroutines that compute for ever once they run:
 * each that was pushed needs a worker of its own.
 *
 * VARIANTS 1 4 8: as in idle.pml.
 */
#define HOG
#define IDLE_PS 2
#include "idle.pml"
