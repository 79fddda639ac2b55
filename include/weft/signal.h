/*
 * weft/signal.h - operating system signals as values on a channel: Go's os/signal.
 *
 * Source  Go os/signal.
 */
#ifndef WEFT_SIGNAL_H
#define WEFT_SIGNAL_H
#include <signal.h>
#include <weft/chan.h>

#pragma GCC system_header

/**
 * weft_signal_notify - have incoming signals sent to ch instead of what they do by default.
 *
 * @ch       weft_chan(int) or weft_sender(int). The send does not wait: give it a buffer of at least one, or a signal
 *           that comes while nobody receives is dropped. Until weft_signal_stop it must not be freed or closed.
 * @...      signal numbers. None: every signal that can be caught and does not report a fault. A second call with the
 *           same channel adds to its set. Several channels may ask for one signal; each gets it.
 *
 * Ignored   SIGKILL and SIGSTOP, which cannot be caught; SIGSEGV, SIGBUS, SIGFPE, SIGILL and SIGTRAP, which are errors
 *           of the program; and numbers that are no signal.
 * Limits    The threads that goroutines run on have the signal mask of the thread that made the program's first weft call:
 *           block what is to be waited for by sigwait or signalfd before that. Give handlers of your own SA_ONSTACK.
 * Panics    "os/signal: Notify using nil channel".
 * Parks     never. Any thread. Signals that come faster than they are handled are merged, as by the kernel.
 *           From the first call on no deadlock is reported: a signal could wake somebody.
 * Source    Go os/signal.Notify.
 */
#define weft_signal_notify(ch, ...)                                                                     \
    __extension__({                                                                                     \
        WEFT__CHECK_SEND("weft_signal_notify", ch);                                                     \
        _Static_assert(__builtin_types_compatible_p(WEFT__VALUE(ch), int),                              \
                       "weft_signal_notify: the channel must be a weft_chan(int)");                     \
        const int weft__sigs[] = {0 __VA_OPT__(, ) __VA_ARGS__};                                        \
        weft__signal_notify((ch), weft__sigs + 1, (int)(sizeof weft__sigs / sizeof *weft__sigs) - 1);   \
    })
WEFT_API void weft__signal_notify(const volatile void *ch, const int *sigs, int n);

/**
 * weft_signal_stop - send no more signals to ch. Signals that no channel asks for any more do again what they did before.
 *
 * @ch       any view; one that was never given to weft_signal_notify is fine.
 *
 * Parks     never. Any thread. When it returns nothing more will be sent to ch. `weft_defer(weft_signal_stop, ch)` works.
 * Source    Go os/signal.Stop.
 */
#define weft_signal_stop(ch)                        \
    __extension__({                                 \
        WEFT__CHECK_CHAN("weft_signal_stop", ch);   \
        (weft_signal_stop)(ch);                     \
    })
WEFT_API void(weft_signal_stop)(const volatile void *ch);

#endif
