/*
 * signals.c - signals from the handler to channels.
 *
 * Role    The handler notes the signal in a bit set and wakes one thread, which sends to the channels that asked.
 * Near    include/weft/signal.h, chan/ (try_send, which never parks). Layer 3.
 *
 * Invariants:
 *   SG1  A signal's handler is ours <=> some entry of the table wants the signal, whenever the table's lock is free.
 *   SG2  Channels are sent to under the table's lock only: once stop has taken an entry out, its channel is not touched.
 *   SG3  The handler touches nothing but signal_pending, signal_word and futex(2).
 * Order   SG4  handler: pending or, release  ->  thread: pending exchange, acquire.
 *         The thread reads signal_word, then pending, then sleeps while the word is what it read: a handler that comes
 *         in between changes the word, so that no signal is slept over.
 * Locks   signal_table.lock is a pthread mutex: held for a sigaction(2) and for sends; nobody parks under it.
 * Limits  Signals 1 .. 64. A signal that comes again before the thread has run is merged with the first.
 * Source  Go os/signal, runtime/sigqueue.go.
 */
#include <pthread.h>
#include <string.h>
#include <weft/signal.h>
#include <weft/unwind.h>

#include "../sched/sched.h"
#include "../sys/sys.h"

enum { SIGNAL_MAX = 64, SIGNAL_STACK = 256 * 1024 };

struct signal_entry {
    const volatile void *ch;
    uint64_t want;                       /* bit s - 1: signal s */
};

static struct {
    pthread_mutex_t lock;
    struct signal_entry *entries;        /* [lock] */
    int n, cap;                          /* [lock] */
    bool running;                        /* [lock] the thread has been started */
    uint64_t caught;                     /* [lock] SG1 */
    struct sigaction before[SIGNAL_MAX]; /* [lock] what a caught signal did before */
} signal_table = {.lock = PTHREAD_MUTEX_INITIALIZER};

static _Atomic uint64_t signal_pending;  /* [SG4] */
static _Atomic uint32_t signal_word;     /* futex word, counts handlers */

static uint64_t signal_bit(int sig)
{
    return (uint64_t)1 << (sig - 1);
}

static bool signal_catchable(int sig)
{
    switch (sig) {
    case SIGKILL: case SIGSTOP: case SIGSEGV: case SIGBUS: case SIGFPE: case SIGILL: case SIGTRAP:
        return false;
    default:
        return sig >= 1 && sig <= SIGNAL_MAX && !(sig >= 32 && sig < SIGRTMIN);   /* 32, 33: libc's own */
    }
}

__attribute__((no_sanitize("thread"))) static void signal_handler(int sig)
{
    int kept = errno;
    atomic_fetch_or_explicit(&signal_pending, signal_bit(sig), memory_order_release);     /* SG4 */
    atomic_fetch_add_explicit(&signal_word, 1, memory_order_release);
    weft__sys_futex_wake(&signal_word, 1);
    errno = kept;
}

/* SG2 */
static void signal_deliver(uint64_t got)
{
    pthread_mutex_lock(&signal_table.lock);
    for (; got; got &= got - 1) {
        int sig = __builtin_ctzll(got) + 1;
        for (int i = 0; i < signal_table.n; i++)
            if (signal_table.entries[i].want & signal_bit(sig))
                (void)weft__chan_try_send(signal_table.entries[i].ch, &sig);
    }
    pthread_mutex_unlock(&signal_table.lock);
}

static void *signal_thread(void *unused)
{
    (void)unused;
    for (;;) {
        uint32_t word = atomic_load_explicit(&signal_word, memory_order_acquire);
        uint64_t got = atomic_exchange_explicit(&signal_pending, 0, memory_order_acquire); /* SG4 */
        if (got)
            signal_deliver(got);
        else
            (void)weft__sys_futex_wait(&signal_word, word, -1);
    }
    return NULL;
}

/* The thread, with every signal blocked so that handlers run elsewhere. Lock held. */
static void signal_thread_start(void)
{
    sigset_t all, kept;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &kept);
    int err = weft__sys_thread_start(signal_thread, NULL, SIGNAL_STACK);
    pthread_sigmask(SIG_SETMASK, &kept, NULL);
    if (err < 0)
        weft__fatal("weft_signal_notify: cannot start a thread: %s", weft_strerror(err));
    signal_table.running = true;
}

/* Bring the handlers in line with the table. Lock held; SG1 after. */
static void signal_apply(void)
{
    uint64_t want = 0;
    for (int i = 0; i < signal_table.n; i++)
        want |= signal_table.entries[i].want;

    for (int sig = 1; sig <= SIGNAL_MAX; sig++) {
        uint64_t bit = signal_bit(sig);
        if ((want & bit) && !(signal_table.caught & bit)) {
            struct sigaction sa = {.sa_handler = signal_handler, .sa_flags = SA_ONSTACK | SA_RESTART};
            sigfillset(&sa.sa_mask);
            if (sigaction(sig, &sa, &signal_table.before[sig - 1]) == 0)
                signal_table.caught |= bit;
        } else if (!(want & bit) && (signal_table.caught & bit)) {
            (void)sigaction(sig, &signal_table.before[sig - 1], NULL);   /* it worked before: it works again */
            signal_table.caught &= ~bit;
        }
    }
}

/* The channel's entry, made if there is none. Lock held. */
static struct signal_entry *signal_entry(const volatile void *ch)
{
    for (int i = 0; i < signal_table.n; i++)
        if (signal_table.entries[i].ch == ch)
            return &signal_table.entries[i];
    if (signal_table.n == signal_table.cap) {
        int cap = signal_table.cap ? signal_table.cap * 2 : 8;
        struct signal_entry *more = weft__sys_alloc((size_t)cap * sizeof *more);
        if (!more)
            weft__fatal("out of memory: weft_signal_notify");
        if (signal_table.n)
            memcpy(more, signal_table.entries, (size_t)signal_table.n * sizeof *more);
        weft__sys_free(signal_table.entries);
        signal_table.entries = more;
        signal_table.cap = cap;
    }
    struct signal_entry *e = &signal_table.entries[signal_table.n++];
    *e = (struct signal_entry){.ch = ch};
    return e;
}

void weft__signal_notify(const volatile void *ch, const int *sigs, int n)
{
    if (!ch)
        weft_panic("os/signal: Notify using nil channel");
    uint64_t want = 0;
    for (int i = 0; i < n; i++)
        if (signal_catchable(sigs[i]))
            want |= signal_bit(sigs[i]);
    for (int sig = 1; n == 0 && sig <= SIGNAL_MAX; sig++)
        if (signal_catchable(sig))
            want |= signal_bit(sig);

    weft__no_deadlock_check();
    pthread_mutex_lock(&signal_table.lock);
    if (!signal_table.running)
        signal_thread_start();
    signal_entry(ch)->want |= want;
    signal_apply();
    pthread_mutex_unlock(&signal_table.lock);
}

void(weft_signal_stop)(const volatile void *ch)
{
    pthread_mutex_lock(&signal_table.lock);
    for (int i = 0; i < signal_table.n; i++)
        if (signal_table.entries[i].ch == ch) {
            signal_table.entries[i] = signal_table.entries[--signal_table.n];
            signal_apply();
            break;
        }
    pthread_mutex_unlock(&signal_table.lock);
}
