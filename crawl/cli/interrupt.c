/*
 * interrupt.c - Ctrl+C and SIGTERM: end the crawl in order, or at once the second time.
 *
 * Role    signal 1 --> stop: no new fetches. GRACE later --> kill: fetches under way are given up. signal 2 --> exit.
 *         An output that takes nothing, such as a pipe that nobody reads, cannot keep the crawl past STUCK more.
 * Near    conductor.c sees stop; fetcher.c passes kill to every call.
 * Limits  GRACE and the time to cancel and write stay below the 5 seconds promised.
 */
#include "../crawl.h"
#include <signal.h>
#include <unistd.h>

#define GRACE (3 * WEFT_SEC)
#define STUCK (1500 * WEFT_MS)

static void interrupt_say(const char *s)
{
    ssize_t n = write(STDERR_FILENO, s, strlen(s));
    (void)n;
}

/* Has one write of rows been going on for so long that nobody reads them? */
static bool interrupt_stuck(struct crawl *c)
{
    weft_time since = atomic_load_explicit(&c->writing_since, memory_order_relaxed);
    return since && weft_now() - since >= STUCK;
}

void interrupt_run(struct crawl *c)
{
    int sig, again;
    if (weft_select(weft_on_recv(c->signals, &sig), weft_on_recv(c->finished, NULL)) == 1)
        return;
    atomic_store_explicit(&c->signal, sig, memory_order_relaxed);
    interrupt_say(isatty(STDERR_FILENO) ? "\n" : "");
    interrupt_say("weft: stopping; fetches under way get 3 seconds (again: stop at once)\n");
    weft_cancel(c->stop);
    for (weft_dur grace = GRACE;; grace = STUCK) {
        struct weft_case cases[] = {weft_on_recv(c->signals, &again), weft_on_recv(c->finished, NULL),
                                    weft_on_timeout(grace)};
        switch (weft_selectv(cases, 3)) {
        case 0: _exit(128 + again);
        case 1: return;
        default:
            weft_cancel(c->kill);
            if (grace != GRACE && interrupt_stuck(c)) {
                interrupt_say("weft: the output takes no rows: the last of them are lost\n");
                _exit(128 + sig);
            }
            break;
        }
    }
}
