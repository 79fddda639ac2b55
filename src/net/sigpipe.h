/*
 * sigpipe.h - system calls that would raise SIGPIPE and have no flag against it: sendfile, splice, write to a pipe.
 *
 * The signal goes to the calling thread, so it is blocked there for the call, and what the call raised is taken away. A program's
 * own choice (blocked, ignored, handled) stays as it is. Nothing parks between begin and end. Two short system calls. Layer 4.
 */
#ifndef WEFT_NET_SIGPIPE_H
#define WEFT_NET_SIGPIPE_H
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <time.h>

struct weft__sigpipe {
    sigset_t before;
};

static inline void weft__sigpipe_begin(struct weft__sigpipe *s)
{
    sigset_t pipe;
    sigemptyset(&pipe);
    sigaddset(&pipe, SIGPIPE);
    (void)pthread_sigmask(SIG_BLOCK, &pipe, &s->before);
}

/* broken: the call ended with EPIPE, or may have done so behind bytes that went: then it answers their number. */
static inline void weft__sigpipe_end(struct weft__sigpipe *s, bool broken)
{
    static const struct timespec at_once;
    sigset_t pipe;
    if (sigismember(&s->before, SIGPIPE))
        return; /* the program blocks it: what is pending is the program's to see */
    sigemptyset(&pipe);
    sigaddset(&pipe, SIGPIPE);
    if (broken)
        (void)sigtimedwait(&pipe, NULL, &at_once); /* none: the program ignores it */
    (void)pthread_sigmask(SIG_SETMASK, &s->before, NULL);
}

#endif
