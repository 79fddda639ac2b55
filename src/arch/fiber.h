/*
 * fiber.h - tells the sanitizers which stack a thread is on. Empty in ordinary builds.
 *
 * ThreadSanitizer: one fiber per goroutine and per scheduler stack, switched with "no sync"; the edges come from
 * weft__ready (release on g) and from the end of a park (acquire on g), as a correct program has them.
 * AddressSanitizer: start before and finish after each switch, with the bounds of the stack switched to.
 * Valgrind: each stack is registered when it is first used; they are never given back.
 * Source  compiler-rt sanitizer/tsan_interface.h, common_interface_defs.h; measured in the design's FINDINGS, E.
 */
#ifndef WEFT_ARCH_FIBER_H
#define WEFT_ARCH_FIBER_H
#include <stddef.h>

/* Valgrind's requests are a few instructions that do nothing outside of it. */
#if defined(__has_include)
#if __has_include(<valgrind/valgrind.h>)
#include <valgrind/valgrind.h>
#define WEFT__VALGRIND 1
#endif
#endif
#ifndef WEFT__VALGRIND
#define WEFT__VALGRIND 0
#endif

/* A build may say it itself: the simulation's is instrumented, without the tool (tests/sim/meson.build). */
#ifdef __has_feature
#if __has_feature(thread_sanitizer) && !defined(WEFT__TSAN)
#define WEFT__TSAN 1
#endif
#if __has_feature(address_sanitizer)
#define WEFT__ASAN 1
#endif
#endif
#if defined(__SANITIZE_THREAD__) && !defined(WEFT__TSAN)
#define WEFT__TSAN 1
#endif
#ifdef __SANITIZE_ADDRESS__
#define WEFT__ASAN 1
#endif
#ifndef WEFT__TSAN
#define WEFT__TSAN 0
#endif
/* A function of which ThreadSanitizer sees nothing. In one without sanitizing clang would still instrument the atomics. */
#ifdef __clang__
#define WEFT__UNSEEN __attribute__((disable_sanitizer_instrumentation))
#else
#define WEFT__UNSEEN __attribute__((no_sanitize("thread")))
#endif
#ifndef WEFT__ASAN
#define WEFT__ASAN 0
#endif

#if WEFT__TSAN
void *__tsan_get_current_fiber(void);
void *__tsan_create_fiber(unsigned flags);
void __tsan_destroy_fiber(void *fiber);
void __tsan_switch_to_fiber(void *fiber, unsigned flags);
void __tsan_acquire(void *addr);
void __tsan_release(void *addr);
void AnnotateIgnoreWritesBegin(const char *file, int line);
void AnnotateIgnoreWritesEnd(const char *file, int line);
#endif
#if WEFT__ASAN
void __sanitizer_start_switch_fiber(void **fake_save, const void *bottom, size_t size);
void __sanitizer_finish_switch_fiber(void *fake, const void **bottom_old, size_t *size_old);
void __asan_unpoison_memory_region(void const volatile *addr, size_t size);
void __asan_poison_memory_region(void const volatile *addr, size_t size);
#endif

/* A stack that threads will switch to: once for each. */
static inline void weft__stack_known(const void *lo, const void *hi)
{
    (void)lo, (void)hi;
#if WEFT__VALGRIND
    (void)VALGRIND_STACK_REGISTER(lo, hi);
#endif
}

/* A goroutine's stack begins to be used; nobody may touch it any more. For AddressSanitizer. */
static inline void weft__stack_alive(const void *lo, size_t bytes)
{
    (void)lo, (void)bytes;
#if WEFT__ASAN
    __asan_unpoison_memory_region(lo, bytes);
#endif
}

static inline void weft__stack_dead(const void *lo, size_t bytes)
{
    (void)lo, (void)bytes;
#if WEFT__ASAN
    __asan_poison_memory_region(lo, bytes);
#endif
}

/* "What this thread did is visible to whoever acquires p", for ThreadSanitizer only. */
static inline void weft__tsan_release(void *p)
{
    (void)p;
#if WEFT__TSAN
    __tsan_release(p);
#endif
}

static inline void weft__tsan_acquire(void *p)
{
    (void)p;
#if WEFT__TSAN
    __tsan_acquire(p);
#endif
}

/* What the calling thread writes until the end, ThreadSanitizer does not see. */
static inline void weft__tsan_unseen_begin(void)
{
#if WEFT__TSAN
    AnnotateIgnoreWritesBegin(__FILE__, __LINE__);
#endif
}

static inline void weft__tsan_unseen_end(void)
{
#if WEFT__TSAN
    AnnotateIgnoreWritesEnd(__FILE__, __LINE__);
#endif
}

static inline void *weft__fiber_new(void)
{
#if WEFT__TSAN
    return __tsan_create_fiber(0);
#else
    return NULL;
#endif
}

static inline void *weft__fiber_current(void)
{
#if WEFT__TSAN
    return __tsan_get_current_fiber();
#else
    return NULL;
#endif
}

static inline void weft__fiber_free(void *fiber)
{
    (void)fiber;
#if WEFT__TSAN
    if (fiber)
        __tsan_destroy_fiber(fiber);
#endif
}

/* Just before the switch. fake_save NULL: the stack left behind is finished. */
static inline void weft__fiber_leave(void **fake_save, void *to_fiber, const void *to_lo, size_t to_bytes)
{
    (void)fake_save, (void)to_fiber, (void)to_lo, (void)to_bytes;
#if WEFT__ASAN
    __sanitizer_start_switch_fiber(fake_save, to_lo, to_bytes);
#endif
#if WEFT__TSAN
    __tsan_switch_to_fiber(to_fiber, 1 /* no sync */);
#endif
}

/* First thing on the stack switched to. */
static inline void weft__fiber_arrive(void *fake)
{
    (void)fake;
#if WEFT__ASAN
    __sanitizer_finish_switch_fiber(fake, NULL, NULL);
#endif
}

#endif
