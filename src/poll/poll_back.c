/*
 * poll_back.c - which back end watches descriptors: epoll, or io_uring where WEFT_POLL or a trial says so and the kernel lets it.
 *
 * Role    The choice, once, with the first descriptor; weft__poll and its kin go on to what was chosen. Near poll_epoll.c,
 *         poll_uring.c, docs/adr/0013-io-uring.md (why epoll is the default). Layer 2.
 * Order   P6  started: release by weft__poll_start -> acquire in weft__poll_started: carries weft__poll_back and what the
 *             back end set up. Who holds a pd has been ordered after it.
 * Limits  The process's soft limit of descriptors is raised to the hard one; children inherit that.
 * Failure WEFT_POLL=uring where io_uring takes nothing: one line on stderr, then uring-poll; uring or uring-poll without an
 *         io_uring (built without, an old kernel, seccomp, io_uring_disabled): one line, then epoll; auto in both: epoll, and a
 *         note for dumps. Another value, but for epoll and an empty one, is a fatal error.
 */
#include "poll_int.h"

#include "../sys/quick.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

const struct weft__poll_back *weft__poll_back; /* [P6] */

static struct {
    struct weft__lock lock;  /* start only */
    _Atomic int started;     /* [P6] 0 no, 1 yes */
    bool only_epoll;         /* [P6] */
    char note[160];          /* [P6] */
} back;

bool weft__poll_started(void)
{
    return atomic_load_explicit(&back.started, memory_order_acquire); /* P6 */
}

const char *weft__poll_name(void)
{
    return weft__poll_started() ? weft__poll_back->name : NULL;
}

bool weft__poll_only_epoll(void)
{
    return !weft__poll_started() || back.only_epoll;
}

const char *weft__poll_note(void)
{
    return weft__poll_started() && back.note[0] ? back.note : NULL;
}

/* As Go does at start: the soft limit of descriptors is 1,024 for the sake of select(2), which nobody here uses. */
static void back_raise_limit(void)
{
    struct rlimit r;
    if (getrlimit(RLIMIT_NOFILE, &r) == 0 && r.rlim_cur < r.rlim_max) {
        r.rlim_cur = r.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &r); /* refused: accept and dial will say -EMFILE sooner */
    }
}

/* io_uring, started: taking if that is asked for and can be had, else for readiness; or NULL. */
static const struct weft__poll_back *back_uring(const char *asked)
{
    weft_err err = WEFT_EUNSUPPORTED;
#if WEFT_HAVE_URING
    bool taking = strcmp(asked, "uring-poll") != 0;
    if (taking) {
        err = weft__poll_uring.start();
        if (!err)
            return &weft__poll_uring;
    }
    weft_err plain = weft__poll_uring_poll.start();
    if (!plain && taking)
        dprintf(STDERR_FILENO, "weft: WEFT_POLL=%s: io_uring takes no bytes here (%s), uring-poll instead\n", asked, weft_strerror(err));
    if (!plain)
        return &weft__poll_uring_poll;
    err = plain;
#endif
    dprintf(STDERR_FILENO, "weft: WEFT_POLL=%s: no usable io_uring (%s), epoll instead\n", asked,
            err == WEFT_EUNSUPPORTED ? "built without it, or the kernel is older than 6.0" : weft_strerror(err));
    return NULL;
}

/* By a trial: io_uring, or NULL for epoll. */
static const struct weft__poll_back *back_measured(void)
{
#if WEFT_HAVE_URING
    if (weft__uring_faster(back.note, sizeof back.note))
        return back_uring("auto");
#else
    snprintf(back.note, sizeof back.note, "auto: built without io_uring");
#endif
    return NULL;
}

static weft_err back_choose(void)
{
    const char *e = getenv("WEFT_POLL");
    const struct weft__poll_back *b = NULL;
    if (e && (strcmp(e, "uring") == 0 || strcmp(e, "uring-poll") == 0))
        b = back_uring(e);
    else if (e && strcmp(e, "auto") == 0)
        b = back_measured();
    else if (e && *e && strcmp(e, "epoll") != 0)
        weft__fatal("WEFT_POLL=%s: it is epoll, uring, uring-poll or auto", e);
    if (!b) {
        weft_err err = weft__poll_epoll.start();
        if (err)
            return err;
        b = &weft__poll_epoll;
    }
    back_raise_limit();
    if (e && *e && !back.note[0])
        snprintf(back.note, sizeof back.note, "WEFT_POLL=%.20s", e);
    back.only_epoll = e && strcmp(e, "epoll") == 0;
    weft__poll_back = b;
    atomic_store_explicit(&back.started, 1, memory_order_release); /* P6 */
    return 0;
}

/* The lock is held over system calls here: once per process, and nobody else needs it. */
weft_err weft__poll_start(void)
{
    if (weft__likely(weft__poll_started()))
        return 0;
    (void)weft__g(); /* the runtime must run before there is something to poll for */
    weft__lock(&back.lock);
    weft_err err = 0;
    if (!weft__poll_started()) {
        weft__sys_quick_init();
        err = back_choose();
    }
    weft__unlock(&back.lock);
    return err;
}

struct weft__woken weft__poll(weft_dur timeout)
{
    return weft__poll_back->wait(timeout);
}

void weft__poll_break(void)
{
    if (weft__poll_started()) /* also the acquire of P6: the caller may be a thread that never polled */
        weft__poll_back->stop_wait();
}
