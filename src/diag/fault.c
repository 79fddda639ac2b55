/*
 * fault.c - signals that say something about goroutines: stack overflow, other faults, SIGQUIT.
 *
 * Role    A touch of a goroutine's guard becomes "stack overflow" with the goroutine's name and trace, status 2. Another
 *         fault says which goroutine it was in and goes on to whoever handled the signal before, or to the default.
 *         SIGQUIT dumps every goroutine, status 2.
 * Near    report.c, sched/stack.c (slots), sched/monitor.c (calls weft__diag_monitor). Layer 2.
 * Order   Handlers run on each thread's alternative stack (SA_ONSTACK): the goroutine's own is what is full.
 *         SIGQUIT only sets a flag: the monitor, an ordinary thread that holds no lock then, makes the report.
 * Limits  Source lines are left out when the interrupted code is in the C library: it may be inside malloc.
 *         A frame larger than the guard (16 KiB) that is not touched in order can step over it; compile such code with
 *         -fstack-clash-protection.
 *         Under ThreadSanitizer faults are left to it: it reports every call in a handler, and delays SIGQUIT while a
 *         goroutine computes.
 * Failure No memory for an alternative stack: the default action of the signal, a core.
 */
#include "diag.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>

#include "track.h"

#include "../arch/fiber.h"
#include "../sys/sys.h"

enum {
    FAULT_STACK = 64 * 1024,
    FAULT_OS_SLACK = 1024 * 1024 /* how far from the end of a thread's stack a fault still counts as overflow */
};

static struct sigaction fault_before_segv, fault_before_bus;
static pthread_key_t fault_key;            /* [const] frees alternative stacks */
static _Atomic uint32_t fault_quit_asked;  /* set by SIGQUIT's handler */
static int fault_pid;                      /* [const] who has a monitor: not a forked child */

/* Processor specific: where the interrupted code was. */
void *weft__signal_pc(const void *ctx)
{
    const ucontext_t *uc = ctx;
#if defined(__x86_64__)
    return (void *)uc->uc_mcontext.gregs[REG_RIP];
#elif defined(__aarch64__)
    return (void *)uc->uc_mcontext.pc;
#endif
}

/* The interrupted code may hold the allocator's lock: some frame near the top is the C library's. */
static bool fault_in_malloc(const struct weft__trace *t)
{
    for (uint32_t i = 0; i < weft__trace_kept(t) && i < 16; i++)
        if (weft__where_libc((uintptr_t)weft__trace_at(t, i)))
            return true;
    return false;
}

/* ---- overflow ---- */

static void fault_overflow_head(void *arg)
{
    const struct weft__g *g = arg;
    size_t kib = ((size_t)(g->stack_hi - g->stack_lo) + 1023) / 1024;

    weft__print("weft: goroutine stack exceeds %zu KiB limit\nfatal error: stack overflow\n", kib);
}

static bool fault_is_overflow(const struct weft__g *g, const char *addr)
{
    if (!g || !g->stack_lo)
        return false;
    if (!g->tied && !g->is_main)
        return weft__g_by_addr(addr) == g && addr < g->stack_lo;
    return addr < g->stack_lo + FAULT_OS_SLACK / 16 && addr >= g->stack_lo - FAULT_OS_SLACK;
}

static _Noreturn void fault_overflow(struct weft__g *g, void *pc)
{
    static struct weft__trace trace;

    weft__trace_signal(&trace, pc);
    struct weft__report r = {fault_overflow_head, g, g, &trace, true, fault_in_malloc(&trace), 2};
    weft__report(&r);
}

/* ---- other faults ---- */

static const char *fault_name(int sig)
{
    return sig == SIGBUS ? "SIGBUS: bus error" : "SIGSEGV: segmentation violation";
}

/* Says where; then the signal's own end follows. Symbols come from mapped files: no allocation. */
static void fault_tell(int sig, const siginfo_t *si, struct weft__g *g, void *pc)
{
    static struct weft__trace trace;
    static _Atomic uint32_t told;

    if (atomic_exchange_explicit(&told, 1, memory_order_relaxed))
        return;
    weft__print("weft: %s code=%d addr=%p pc=%p\n\n", fault_name(sig), si->si_code, si->si_addr, pc);
    weft__print_flush();
    if (g) {
        weft__trace_signal(&trace, pc);
        weft__dump_g(g, &trace, true, false);
        weft__print_flush();
    }
}

static void fault_pass_on(int sig, siginfo_t *si, void *uc, const struct sigaction *before)
{
    if (before->sa_flags & SA_SIGINFO) {
        before->sa_sigaction(sig, si, uc);
    } else if (before->sa_handler != SIG_DFL && before->sa_handler != SIG_IGN) {
        before->sa_handler(sig);
    } else {
        struct sigaction dfl = {.sa_handler = SIG_DFL};
        sigaction(sig, &dfl, NULL);
        if (si->si_code <= 0) /* sent by a process: it does not come again by itself */
            raise(sig);
    }
}

static void fault_handler(int sig, siginfo_t *si, void *ctx)
{
    const struct sigaction *before = sig == SIGBUS ? &fault_before_bus : &fault_before_segv;
    struct weft__g *g = weft__g_or_null();
    void *pc = weft__signal_pc(ctx);

    if (si->si_code > 0 && fault_is_overflow(g, si->si_addr))
        fault_overflow(g, pc);
    if (!(before->sa_flags & SA_SIGINFO) && before->sa_handler == SIG_DFL)
        fault_tell(sig, si, g, pc);
    fault_pass_on(sig, si, ctx, before);
}

/* ---- SIGQUIT ---- */

static void fault_quit_handler(int sig)
{
    if (weft__sys_pid() != fault_pid) {
        struct sigaction dfl = {.sa_handler = SIG_DFL};
        sigaction(sig, &dfl, NULL);
        raise(sig);
        return;
    }
    atomic_store_explicit(&fault_quit_asked, 1, memory_order_relaxed);
    weft__monitor_poke();
}

static void fault_quit_head(void *arg)
{
    (void)arg;
    weft__print("SIGQUIT: quit\n");
}

void weft__diag_monitor(void)
{
    if (weft__likely(atomic_load_explicit(&fault_quit_asked, memory_order_relaxed) == 0))
        return;
    struct weft__report r = {fault_quit_head, NULL, NULL, NULL, false, false, 2};
    weft__report(&r);
}

/* ---- set-up ---- */

static void fault_free_stack(void *p)
{
    stack_t off = {.ss_flags = SS_DISABLE};

    sigaltstack(&off, NULL);
    munmap(p, FAULT_STACK);
}

void weft__diag_thread_init(void)
{
    stack_t now;

    if (sigaltstack(NULL, &now) == 0 && !(now.ss_flags & SS_DISABLE) && now.ss_size >= FAULT_STACK / 4)
        return; /* the program's own, or a sanitizer's */
    void *p = mmap(NULL, FAULT_STACK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED)
        return;
    stack_t ss = {.ss_sp = p, .ss_size = FAULT_STACK};
    if (sigaltstack(&ss, NULL) < 0)
        munmap(p, FAULT_STACK);
    else
        pthread_setspecific(fault_key, p);
}

void weft__diag_init(void)
{
    struct sigaction sa = {.sa_sigaction = fault_handler, .sa_flags = SA_SIGINFO | SA_ONSTACK}, old;

    fault_pid = weft__sys_pid();
    weft__leak_init();
    pthread_key_create(&fault_key, fault_free_stack);
    sigemptyset(&sa.sa_mask);
    if (!WEFT__TSAN && sigaction(SIGSEGV, NULL, &fault_before_segv) == 0)
        sigaction(SIGSEGV, &sa, NULL);
    if (!WEFT__TSAN && sigaction(SIGBUS, NULL, &fault_before_bus) == 0)
        sigaction(SIGBUS, &sa, NULL);
    if (sigaction(SIGQUIT, NULL, &old) == 0 && old.sa_handler == SIG_DFL) {
        struct sigaction quit = {.sa_handler = fault_quit_handler, .sa_flags = SA_ONSTACK | SA_RESTART};
        sigemptyset(&quit.sa_mask);
        sigaction(SIGQUIT, &quit, NULL);
    }
}
