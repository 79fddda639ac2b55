/*
 * fatal.c - the two ways to end that no goroutine can recover from.
 *
 * Role    weft__fatal: the program cannot go on (deadlock, unlock of unlocked mutex): Go's words, status 2.
 *         weft__throw: weft itself is broken: the same, then abort, so that a core is left.
 * Near    report.c does the work; unwind/panic.c reports panics. Layer 2.
 * Limits  512 bytes of message.
 */
#include "diag.h"

#include <stdarg.h>
#include <stdio.h>

#include "../arch/arch.h"

enum { FATAL_TEXT_MAX = 512 };

struct fatal_message {
    const char *prefix;
    char text[FATAL_TEXT_MAX];
};

static void fatal_head(void *arg)
{
    const struct fatal_message *m = arg;
    weft__print("fatal error: %s%s\n", m->prefix, m->text);
}

/* Named so that dumps do not show it. */
_Noreturn void weft__fatal_report(struct fatal_message *m, struct weft__g *g, int status);
void weft__fatal_report(struct fatal_message *m, struct weft__g *g, int status)
{
    static struct weft__trace trace; /* too large for the stack; whoever comes second never uses it */
    struct weft__trace *t = &trace;
    static _Atomic uint32_t taken;

    if (atomic_exchange_explicit(&taken, 1, memory_order_relaxed) == 0)
        weft__trace_here(t);
    else
        t = NULL;
    struct weft__report r = {fatal_head, m, g, t, false, false, status};
    weft__report(&r);
}

void weft__fatal(const char *fmt, ...)
{
    struct fatal_message m = {.prefix = ""};
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(m.text, sizeof m.text, fmt, ap);
    va_end(ap);
    weft__fatal_report(&m, weft__m() ? weft__g_or_null() : weft__g(), 2); /* perhaps the thread's first call */
}

void weft__fatal_outside(const char *text)
{
    struct fatal_message m = {.prefix = ""};

    snprintf(m.text, sizeof m.text, "%s", text);
    weft__fatal_report(&m, NULL, 2);
}

void weft__throw(const char *fmt, ...)
{
    struct fatal_message m = {.prefix = "weft: "};
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(m.text, sizeof m.text, fmt, ap);
    va_end(ap);
    weft__fatal_report(&m, weft__g_or_null(), WEFT__REPORT_ABORT);
}
