/*
 * assert.h - three strengths of assertion, each naming the invariant it checks.
 *
 * WEFT_ASSERT stays in release builds and is O(1). WEFT_DASSERT is for hot paths: debug builds only.
 * WEFT_XASSERT walks structures: only with -DWEFT_DEBUG=2. A failure means that the runtime is broken: weft__throw
 * prints every goroutine and aborts.
 */
#ifndef WEFT_BASE_ASSERT_H
#define WEFT_BASE_ASSERT_H

#ifndef WEFT_DEBUG
#define WEFT_DEBUG 0
#endif

/* The runtime is broken: says what, dumps goroutines when it can, aborts. diag/fatal.c. */
_Noreturn void weft__throw(const char *fmt, ...) __attribute__((format(printf, 1, 2), cold));
/* The program cannot go on (deadlock, unlock of unlocked mutex): "fatal error: ...", dump, status 2. diag/fatal.c. */
_Noreturn void weft__fatal(const char *fmt, ...) __attribute__((format(printf, 1, 2), cold));

/* The same from a thread that is no goroutine's: nobody's stack is shown first. */
_Noreturn void weft__fatal_outside(const char *text) __attribute__((cold));

#define WEFT__STR_(x) #x
#define WEFT__STR(x) WEFT__STR_(x)
#define WEFT_ASSERT(c, id)                                                                          \
    do {                                                                                            \
        if (__builtin_expect(!(c), 0))                                                              \
            weft__throw("%s: assertion %s failed at %s", id, #c, __FILE__ ":" WEFT__STR(__LINE__)); \
    } while (0)
#if WEFT_DEBUG >= 1
#define WEFT_DASSERT(c, id) WEFT_ASSERT(c, id)
#else
#define WEFT_DASSERT(c, id) ((void)0)
#endif
#if WEFT_DEBUG >= 2
#define WEFT_XASSERT(c, id) WEFT_ASSERT(c, id)
#else
#define WEFT_XASSERT(c, id) ((void)0)
#endif

#define weft__likely(x) __builtin_expect(!!(x), 1)
#define weft__unlikely(x) __builtin_expect(!!(x), 0)

#endif
