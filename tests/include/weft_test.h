/*
 * weft_test.h - the test runner's face: TEST, EXPECT and their kin. Tests register themselves through a linker section.
 *
 * Each test runs in a process of its own (tests/include/runner.c execs itself), as goroutine 1 of a fresh runtime.
 * After it the runner checks that no goroutine and no descriptor is left. A test that dies is a failure unless it is
 * a DEATH test, which says the exit status and a regular expression that stderr must match.
 */
#ifndef WEFT_TEST_H
#define WEFT_TEST_H
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct weft_test {
    const char *suite, *name, *file;
    int line;
    void (*fn)(void);
    int timeout_s;         /* 0: the default, 60 */
    int exit_status;       /* DEATH: what the process must exit with; -SIG for a signal */
    const char *stderr_re; /* DEATH: extended regex, searched in stderr with newlines kept; NULL: not a death test */
    const char *env;       /* "NAME=value" set for the process, or NULL */
};

#define WEFT_TEST_REG(suite_, name_, ...)                                                          \
    static void test_##suite_##_##name_(void);                                                     \
    static const struct weft_test test_rec_##suite_##_##name_ = {                                  \
        #suite_, #name_, __FILE__, __LINE__, test_##suite_##_##name_, __VA_ARGS__};                \
    static const struct weft_test *const test_ptr_##suite_##_##name_                               \
        __attribute__((section("weft_tests"), used)) = &test_rec_##suite_##_##name_;               \
    static void test_##suite_##_##name_(void)

/* One behaviour; the name is a sentence. */
#define TEST(suite, name) WEFT_TEST_REG(suite, name, 0, 0, NULL, NULL)
#define TEST_SLOW(suite, name, seconds) WEFT_TEST_REG(suite, name, seconds, 0, NULL, NULL)
/* The same under an environment setting, such as "WEFT_PROCS=1". */
#define TEST_ENV(suite, name, env) WEFT_TEST_REG(suite, name, 0, 0, NULL, env)
/* Must end the process with status and stderr matching re. */
#define DEATH(suite, name, status, re) WEFT_TEST_REG(suite, name, 0, status, re, NULL)
#define DEATH_ENV(suite, name, env, status, re) WEFT_TEST_REG(suite, name, 0, status, re, env)

/* How often a test does its thing: n times; in the simulation few, for 2,000 seeds of few rounds each see more than few seeds of
 * many rounds (tests/sim/list.txt). Constants. */
#ifdef WEFT_SIM
#define WEFT_TEST_TIMES(n, few) (few)
#else
#define WEFT_TEST_TIMES(n, few) (n)
#endif

/* Whether ThreadSanitizer is in this build. */
#if defined(__SANITIZE_THREAD__)
#define WEFT_TEST_TSAN true
#elif defined(__has_feature)
#define WEFT_TEST_TSAN __has_feature(thread_sanitizer)
#else
#define WEFT_TEST_TSAN false
#endif

void weft_test_fail(const char *file, int line, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
_Noreturn void weft_test_skip(const char *why);

#define EXPECT(c)                                                            \
    do {                                                                     \
        if (!(c))                                                            \
            weft_test_fail(__FILE__, __LINE__, "expected: %s", #c);          \
    } while (0)
#define EXPECT_EQ(a, b)                                                                                       \
    do {                                                                                                      \
        long long ta_ = (long long)(a), tb_ = (long long)(b);                                                 \
        if (ta_ != tb_)                                                                                       \
            weft_test_fail(__FILE__, __LINE__, "%s is %lld, expected %s = %lld", #a, ta_, #b, tb_);           \
    } while (0)
#define EXPECT_STR(a, b)                                                                                      \
    do {                                                                                                      \
        const char *ta_ = (a), *tb_ = (b);                                                                    \
        if (!ta_ || !tb_ || strcmp(ta_, tb_) != 0)                                                            \
            weft_test_fail(__FILE__, __LINE__, "%s is \"%s\", expected \"%s\"", #a, ta_ ? ta_ : "(null)",     \
                           tb_ ? tb_ : "(null)");                                                             \
    } while (0)
/* Stops the test at once (exit status 1). */
#define REQUIRE(c)                                                           \
    do {                                                                     \
        if (!(c)) {                                                          \
            weft_test_fail(__FILE__, __LINE__, "required: %s", #c);          \
            exit(1);                                                         \
        }                                                                    \
    } while (0)

#endif
