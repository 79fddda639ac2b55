/*
 * once.c - run something once; everybody else waits until it has run.
 *
 * Role    The two ends around the direct call that the macro weft_once_do makes.
 * Near    include/weft/sync.h (WEFT__ONCE: the cleanup attribute runs weft__once_end on return, panic and goexit).
 *
 *   ON1  state: FRESH, RUNNING, ENDING, then DONE or FAILED (weft_once_value whose function did not return), in this
 *        order. FRESH -> RUNNING makes one runner; only it goes further.
 *   ON2  somebody is in line => RUNNING, whenever the line's lock is free.
 *   ON4  ENDING: fn has returned, the runner empties the line. DONE or FAILED is its last touch: whoever sees that
 *        returns, and the once may end.
 *   ON5  state FAILED => the line's count says which of once_words the panic of the function had; 0: it ended otherwise.
 * Order   ON3  end: state release  ->  begin that sees DONE: state acquire (parked: S2, S3).
 * Source  Go sync/once.go.
 */
#include <stdlib.h>
#include <string.h>
#include <weft/unwind.h>

#include "../unwind/unwind_int.h"
#include "waitline.h"

enum { ONCE_WORDS = 1024 };
enum { FRESH, RUNNING, DONE, FAILED, ENDING };

__asm__(".pushsection .text\n"
        ".globl weft__once_skip\n"
        ".type weft__once_skip, %function\n"
        "weft__once_skip:\n"
#if defined(__x86_64__)
        "\tendbr64\n"
#endif
        "\tret\n"
        ".size weft__once_skip, .-weft__once_skip\n"
        ".popsection\n");

static __attribute__((noinline)) weft_once *once_begin_slow(weft_once *o)
{
    struct weft__sync_waiter w = {.g = weft__g()};

    weft__line_lock(&o->weft__line);
    uint32_t s = atomic_load_explicit(&o->weft__state, memory_order_acquire);
    if (s == FRESH)
        atomic_store_explicit(&o->weft__state, RUNNING, memory_order_relaxed);  /* ON1 */
    if (s == RUNNING)
        weft__line_push(&o->weft__line, &w);                                    /* ON2 */
    weft__line_unlock(&o->weft__line);
    if (s == RUNNING)
        weft__park(WEFT__WAIT_ONCE);
    for (uint32_t spins = 0; s == ENDING; s = atomic_load_explicit(&o->weft__state, memory_order_acquire)) /* ON3, ON4 */
        weft__spin(&spins);
    return s == FRESH ? o : NULL;
}

weft_once *weft__once_begin(weft_once *o)
{
    if (weft__likely(atomic_load_explicit(&o->weft__state, memory_order_acquire) == DONE))   /* ON3 */
        return NULL;
    return once_begin_slow(o);
}

static void once_finish(weft_once *o, uint32_t state)
{
    weft__line_lock(&o->weft__line);
    atomic_store_explicit(&o->weft__state, ENDING, memory_order_relaxed);       /* ON1 */
    struct weft__sync_waiter *all = weft__line_take_all(&o->weft__line);
    weft__line_unlock(&o->weft__line);
    atomic_store_explicit(&o->weft__state, state, memory_order_release);        /* ON3, ON4 */
    weft__line_ready_all(all);
}

/* ON5: the words of panics in functions of weft_once_value. They stay: a once has no end at which to free them. Equal ones
 * are one, and when the table is full the rest have none. */
static struct {
    struct weft__lock lock;
    uint32_t n;                          /* [lock] */
    char *text[ONCE_WORDS];              /* [lock for writes] entry i is number i + 1 */
} once_words;

static uint32_t once_words_number(const char *text)
{
    char *copy = strdup(text);
    uint32_t i = 0;

    weft__lock(&once_words.lock);
    while (i < once_words.n && strcmp(once_words.text[i], text) != 0)
        i++;
    if (i == once_words.n && i < ONCE_WORDS && copy) {
        once_words.text[once_words.n++] = copy;
        copy = NULL;
    }
    uint32_t number = i < once_words.n ? i + 1 : 0;
    weft__unlock(&once_words.lock);
    free(copy);
    return number;
}

void weft__once_end(weft_once **ref_o)
{
    if (*ref_o)
        once_finish(*ref_o, DONE);
}

static _Noreturn void once_panic_again(uint32_t number)
{
    const char *words = "weft_once_value: the function did not return";

    weft__lock(&once_words.lock);
    if (number != 0)
        words = once_words.text[number - 1];
    weft__unlock(&once_words.lock);
    weft_panic("%s", words);
}

struct weft__once_run weft__once_value_begin(weft_once *o)
{
    struct weft__once_run r = {.o = weft__once_begin(o)};
    if (!r.o && atomic_load_explicit(&o->weft__state, memory_order_acquire) == FAILED)
        once_panic_again(o->weft__line.count);
    return r;
}

void weft__once_value_end(struct weft__once_run *r)
{
    if (!r->o)
        return;
    const struct weft__panic *p = r->returned ? NULL : weft__g()->panic; /* under way: this is its clean-up */
    if (p && !p->goexit)
        r->o->weft__line.count = once_words_number(p->text); /* ON5: nobody else uses it */
    once_finish(r->o, r->returned ? DONE : FAILED);
}
