/*
 * running.c - the stack of a goroutine that is on a thread of its own right now.
 *
 * Role    Ask the thread by a signal: its handler walks the interrupted stack. For goroutines that compute, that sit in a
 *         system call, or that were stopped on their way into a park.
 * Near    dump.c; trace.c. Layer 2.
 * Order   Z4  state: asked release -> the handler's exchange acquire; done release -> the reporter's load acquire.
 *         Carries the trace.
 * Limits  One at a time, 100 ms for an answer; SIGPROF, which workers do not block. Threads of the program that block it,
 *         or are unknown, give no answer: "stack unavailable".
 * Failure A handler that began and does not end (the loader's lock): nobody is asked any more.
 */
#include "diag.h"

#include <signal.h>
#include <sys/syscall.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

#include "../arch/fiber.h"
#include "../sys/sys.h"

enum { RUNNING_IDLE, RUNNING_ASKED, RUNNING_BUSY, RUNNING_DONE, RUNNING_TRIES = 500 };

static struct weft__trace running_trace;
static _Atomic uint32_t running_state;
static bool running_broken;

static void running_handler(int sig, siginfo_t *si, void *uc)
{
    uint32_t want = RUNNING_ASKED;

    (void)sig, (void)si;
    if (!atomic_compare_exchange_strong_explicit(&running_state, &want, RUNNING_BUSY, memory_order_acquire,
                                                 memory_order_relaxed)) /* Z4 */
        return; /* too late, or a profiler's */
    weft__trace_signal(&running_trace, weft__signal_pc(uc));
    atomic_store_explicit(&running_state, RUNNING_DONE, memory_order_release); /* Z4 */
}

static bool running_prepare(void)
{
    static bool done;
    struct sigaction sa = {.sa_sigaction = running_handler, .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_RESTART};

    if (!done) {
        sigemptyset(&sa.sa_mask);
        done = sigaction(SIGPROF, &sa, NULL) == 0;
    }
    return done;
}

const struct weft__trace *weft__trace_running(const struct weft__g *g)
{
    int tid = weft__g_tid(g);
    uint32_t asked = RUNNING_ASKED;

    if (WEFT__TSAN || running_broken || tid <= 0 || tid == weft__sys_tid() || !running_prepare())
        return NULL;
    atomic_store_explicit(&running_state, RUNNING_ASKED, memory_order_release); /* Z4 */
    if (syscall(SYS_tgkill, weft__sys_pid(), tid, SIGPROF) != 0)
        return NULL;
    for (int i = 0; i < RUNNING_TRIES; i++) {
        if (atomic_load_explicit(&running_state, memory_order_acquire) == RUNNING_DONE) /* Z4 */
            return &running_trace;
        nanosleep(&(struct timespec){.tv_nsec = 200000}, NULL);
    }
    running_broken = !atomic_compare_exchange_strong_explicit(&running_state, &asked, RUNNING_IDLE, memory_order_relaxed,
                                                              memory_order_relaxed);
    return NULL;
}
