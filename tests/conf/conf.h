/*
 * conf.h - small helpers of the conformance tests: waiting for a count, letting others park, running for a panic.
 */
#ifndef CONF_H
#define CONF_H
#include <stdatomic.h>
#include <weft/weft.h>

#include "settle.h"
#include "weft_test.h"

/* ThreadSanitizer of gcc holds 8,128 goroutines, and slows all down. */
#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define CONF_TSAN 1
#endif
#endif
#if defined(__SANITIZE_THREAD__)
#define CONF_TSAN 1
#endif
#ifndef CONF_TSAN
#define CONF_TSAN 0
#endif

/* Others that can run have run as far as they go. */
#define conf_settle test_settle

/* What is to happen on a slow machine too; the runner's limit is shorter. */
#define CONF_LONG (3600 * WEFT_SEC)

/* Waits until *p is at least n; false after a time that nothing takes. */
static inline __attribute__((unused)) bool conf_until(atomic_int *p, int n)
{
    weft_time end = weft_now() + CONF_LONG;
    for (int i = 0; atomic_load(p) < n; i++) {
        if (weft_now() > end)
            return false;
        if (i < 100)
            weft_yield();
        else
            weft_sleep(100 * WEFT_US);
    }
    return true;
}

/* The message of a panic has want in it; msg NULL means that there was none. */
#define EXPECT_PANIC(want, ...)                                                                        \
    do {                                                                                               \
        const char *msg_ = weft_try(__VA_ARGS__);                                                      \
        if (!msg_ || !strstr(msg_, want))                                                              \
            weft_test_fail(__FILE__, __LINE__, "%s: panic \"%s\", expected \"%s\"", #__VA_ARGS__,      \
                           msg_ ? msg_ : "(none)", want);                                              \
    } while (0)

#endif
