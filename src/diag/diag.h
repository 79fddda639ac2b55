/*
 * diag.h - how a process that cannot go on says why: reports, goroutine dumps, stack traces, symbols.
 *
 * Near    docs/design/unwind.md. Layer 2: knows the scheduler's contract, nothing above it.
 */
#ifndef WEFT_DIAG_DIAG_H
#define WEFT_DIAG_DIAG_H
#include "../sched/sched.h"

enum { WEFT__TRACE_MAX = 100 };

/* Return addresses of a stack, innermost first; of a long stack the first and the last half. */
struct weft__trace {
    uint64_t total;                  /* frames seen */
    void *exact;                     /* the one pc that is not a return address (a signal's), or NULL */
    uint32_t skipping;               /* frames are left out until exact has been seen */
    void *pc[WEFT__TRACE_MAX];       /* 0 .. 49 the first, 50 .. 99 a ring of the last */
};

/* The calling stack, this function's frame included. */
void weft__trace_here(struct weft__trace *t);
/* The stack that a signal interrupted at pc; called from the handler. */
void weft__trace_signal(struct weft__trace *t, void *pc);
/* The stack of a goroutine that is not running; nothing of it is touched. */
void weft__trace_parked(struct weft__trace *t, const struct weft__g *g);
/* The stack of a goroutine that is on another thread; NULL when that does not answer. Valid until the next call. */
const struct weft__trace *weft__trace_running(const struct weft__g *g);
/* Where a signal interrupted its thread; uc is the handler's ucontext_t. */
void *weft__signal_pc(const void *uc);
/* The i-th frame to print, 0 .. weft__trace_kept(t) - 1. */
void *weft__trace_at(const struct weft__trace *t, uint32_t i);
uint32_t weft__trace_kept(const struct weft__trace *t);

/* Where an address of code is. */
struct weft__where {
    const char *name;                /* function, or NULL */
    uintptr_t offset;                /* from its start */
    const char *module;              /* path of the file it was loaded from, or NULL */
    uintptr_t module_offset;         /* as addr2line wants it */
    const char *file;                /* source, or NULL */
    int line;
};
/* Reporter only. lines: source lines too, which allocates and loads libdw. */
void weft__where(uintptr_t pc, bool lines, struct weft__where *ret_where);
bool weft__where_module(uintptr_t pc, const char **ret_path, uintptr_t *ret_base);
/* Is it in the C library or the loader? */
bool weft__where_libc(uintptr_t pc);
/* Source line by libdw; false when there is none. */
bool weft__line_find(uintptr_t pc, const char **ret_file, int *ret_line);

/*
 * One report ends the process. The first thread that comes makes it, the others wait for ever; a second failure of the
 * same thread ends the process at once.
 */
struct weft__report {
    void (*head)(void *arg);         /* prints what happened, on the report's own stack */
    void *arg;
    struct weft__g *self;            /* printed first, as running; or NULL */
    const struct weft__trace *trace; /* its stack, or NULL */
    bool from_signal;                /* stdout may be in the middle of something: not flushed */
    bool no_lines;                   /* malloc may be in the middle of something */
    int status;                      /* exit status, or WEFT__REPORT_ABORT */
};
enum { WEFT__REPORT_ABORT = -1 };
_Noreturn void weft__report(const struct weft__report *r);
/* Prints to stderr; between the report's beginning and its end, or alone from a signal handler (with flush). */
void weft__print(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void weft__print_flush(void);

/* "goroutine 7 [chan receive]:", frames, "created by". */
void weft__dump_g(struct weft__g *g, const struct weft__trace *trace, bool self, bool lines);
/* All but self. After weft__freeze_world. */
void weft__dump_others(const struct weft__g *self, bool lines);

/* At the start of the runtime, on goroutine 1: fault and quit signals. */
void weft__diag_init(void);
/* On each thread of weft: the stack its signal handlers run on. */
void weft__diag_thread_init(void);
/* Once a tick of the monitor: makes the report that SIGQUIT asked for. */
void weft__diag_monitor(void);
/* sched/: wakes the monitor when it sleeps. Async-signal-safe. */
void weft__monitor_poke(void);

/* arch/: fn(arg) on another stack, which grows down from top. */
void weft__arch_call_on(char *top, void (*fn)(void *), void *arg);
/* arch/: see probe.S. */
void weft__arch_probe(void *sp, void (*fn)(void *), void *arg);

#endif
