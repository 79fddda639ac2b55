/*
 * report.c - the one report that ends a process.
 *
 * Role    Let exactly one thread speak, stop the others, print on a stack with room, end.
 * Near    fatal.c, fault.c and unwind/panic.c say what happened; dump.c prints the goroutines. Layer 2.
 *
 * Invariants
 *   Z1  At most one thread is between the start of a report and the end of the process.
 *   Z2  A failure inside the report ends the process: it never starts a second report.
 * Locks   None held. stdout's own lock is tried, not waited for: a stopped goroutine may hold it.
 * Order   stdout first, so that what the program printed before stands before the report; then the world stops.
 * Limits  One 4 KiB buffer; 256 KiB of stack, which is not the failing goroutine's.
 * Not so  Output and end go to the kernel directly, past src/sys: nothing is left to simulate.
 */
#include "diag.h"

#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "../arch/fiber.h"
#include "../poll/poll.h"
#include "../sys/sys.h"

enum { REPORT_BUF = 4096, REPORT_LINE = 512, REPORT_STACK = 256 * 1024, REPORT_LOCK_TRIES = 200 };

static _Atomic int report_tid; /* [Z1] who reports */
static char report_stack[REPORT_STACK] __attribute__((aligned(64)));
static char report_buf[REPORT_BUF];
static size_t report_len;

static void report_write(const char *s, size_t n)
{
    while (n > 0) {
        ssize_t k = write(STDERR_FILENO, s, n);
        if (k <= 0)
            return; /* nobody can be told */
        s += k;
        n -= (size_t)k;
    }
}

void weft__print_flush(void)
{
    report_write(report_buf, report_len);
    report_len = 0;
}

static void report_put(const char *s, size_t n)
{
    if (n > REPORT_BUF - report_len)
        weft__print_flush();
    if (n > REPORT_BUF) {
        report_write(s, n);
        return;
    }
    memcpy(report_buf + report_len, s, n);
    report_len += n;
}

void weft__print(const char *fmt, ...)
{
    char line[REPORT_LINE];
    va_list ap;

    if (strcmp(fmt, "%s") == 0) { /* a text of any length */
        va_start(ap, fmt);
        const char *s = va_arg(ap, const char *);
        report_put(s, strlen(s));
        va_end(ap);
        return;
    }
    va_start(ap, fmt);
    int n = vsnprintf(line, sizeof line, fmt, ap);
    va_end(ap);
    if (n > 0)
        report_put(line, (size_t)n < sizeof line ? (size_t)n : sizeof line - 1);
}

static _Noreturn void report_end(int status)
{
    if (status >= 0)
        syscall(SYS_exit_group, status); /* a sanitizer's _exit would still wait for stdout */
    struct sigaction dfl = {.sa_handler = SIG_DFL};
    sigaction(SIGABRT, &dfl, NULL);
    abort();
}

/* Z1, Z2 */
static void report_claim(int status)
{
    int me = weft__sys_tid(), none = 0;

    if (atomic_compare_exchange_strong_explicit(&report_tid, &none, me, memory_order_relaxed, memory_order_relaxed))
        return;
    if (none == me) {
        weft__print_flush();
        report_write("\nfatal error: weft failed again while it reported this\n", 55);
        report_end(status);
    }
    for (;;)
        pause();
}

/* What the program printed is not lost: a pipe's stdout is full of it. */
static void report_flush_stdout(void)
{
    for (int i = 0; i < REPORT_LOCK_TRIES; i++) {
        if (ftrylockfile(stdout) == 0) {
            fflush(stdout);
            funlockfile(stdout);
            return;
        }
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    }
}

/* AddressSanitizer is told which stack this is. The old one's shadow frames are kept: the report's facts lie there. */
static void report_asan_leave(void)
{
#if WEFT__ASAN
    static void *kept;
    __sanitizer_start_switch_fiber(&kept, report_stack, sizeof report_stack);
#endif
}

static void report_asan_arrive(void)
{
#if WEFT__ASAN
    __sanitizer_finish_switch_fiber(NULL, NULL, NULL);
#endif
}

static void report_run(void *arg)
{
    const struct weft__report *r = arg;
    bool lines = !r->no_lines;

    report_asan_arrive();
    if (!r->from_signal)
        report_flush_stdout();
    weft__freeze_world();
    r->head(r->arg);
    if (r->self && r->trace) {
        weft__print("\n");
        weft__dump_g(r->self, r->trace, true, lines);
    }
    weft__dump_others(r->trace ? r->self : NULL, lines);
    if (weft__poll_note())
        weft__print("\npoller: %s (%s)\n", weft__poll_name(), weft__poll_note());
    weft__print_flush();
    report_end(r->status);
}

void weft__report(const struct weft__report *r)
{
    report_claim(r->status);
    report_asan_leave();
    weft__arch_call_on(report_stack + sizeof report_stack, report_run, (void *)(uintptr_t)r);
    report_end(r->status); /* not reached */
}
