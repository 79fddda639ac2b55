/*
 * next.c - the definitions that ours stand before, and what a fork changes.
 *
 * Role    dlsym(RTLD_NEXT) of every name in next.def, once: before main where the order of constructors allows, else at the
 *         first call. Near posix_int.h, docs/design/posix.md. Layer 5.
 * Order   PX1  next_known: release after the table is written -> acquire in weft__next_ready. Two threads may both write the
 *              table, with the same values.
 * Limits  A name that this C library lacks is NULL in the table; its stand-in is then called by nobody who has linked
 *         against this C library. Static programs have no dlsym(RTLD_NEXT): not supported.
 */
#include "posix_int.h"

#include <dlfcn.h>

struct weft__next weft__next_table;
int weft__next_known;

/* clang links its sanitizers into the program, where our definitions take the place of theirs: by this name they can still
 * be had. gcc's are libraries, which come next. */
#if WEFT__INTERCEPTORS
#define X(name) extern __typeof__(name) __interceptor_##name __attribute__((weak));
#include "next.def"
#undef X
#define NEXT_OF(name) (__interceptor_##name ? (void *)(uintptr_t)__interceptor_##name : dlsym(RTLD_NEXT, #name))
#else
#define NEXT_OF(name) dlsym(RTLD_NEXT, #name)
#endif

void weft__next_find(void)
{
#define X(name) __atomic_store_n((void **)(void *)&weft__next_table.name, NEXT_OF(name), __ATOMIC_RELAXED);
#include "next.def"
#undef X
    __atomic_store_n(&weft__next_known, 1, __ATOMIC_RELEASE); /* PX1 */
}

__attribute__((constructor(101))) static void next_start(void)
{
    weft__next_find();
    (void)pthread_atfork(NULL, NULL, weft__keep_forked); /* refused for want of memory: a forked child may then not block */
}
