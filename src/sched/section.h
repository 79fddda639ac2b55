/*
 * section.h - hints and short sections for the data structures of the layers above. See section.c.
 */
#ifndef WEFT_SCHED_SECTION_H
#define WEFT_SCHED_SECTION_H
#include <stdbool.h>

/* Does spinning hold up nobody? Another processor runs, and no goroutine waits for the caller's. A hint, any thread. */
bool weft__may_spin(void);

#endif
