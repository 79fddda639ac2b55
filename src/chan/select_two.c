/*
 * select_two.c - a select of two different channels and nothing else: the one that programs wait in.
 *
 * Role    The three attempts of select.c without its lists: a work channel and a "done" beside it is what most selects are.
 * Near    select.c (X1-X5, and every other select), select_int.h. Layer 3.
 *
 * Invariants
 *   As select.c. X4 asks for nothing here, the channels being different. X5: only the case that was looked at first can be
 *   missed by one look at both. So it is looked at again where the other one alone is ready. Where the first alone is, the
 *   look at the second is the instant at which the second was not.
 *
 * Locks   Both channels, lower address first. On the way out that of the case that did not win.
 */
#include "select_int.h"

/* Under the lock of c0 and c1, or a hint: which of the two cases goes on, drawn where both can; 2: neither. */
static inline uint32_t two_draw(bool first, bool second)
{
    return first && second ? weft__rand_below(2) : first ? 0 : second ? 1 : 2;
}

static inline void two_unlock(const struct weft_case *cases)
{
    weft__unlock(&((struct weft__chan *)cases[0].weft__ch)->lock);
    weft__unlock(&((struct weft__chan *)cases[1].weft__ch)->lock);
}

static inline void two_lock(const struct weft_case *cases)
{
    struct weft__chan *a = cases[0].weft__ch, *b = cases[1].weft__ch;
    bool down = (uintptr_t)a > (uintptr_t)b;

    weft__lock(&(down ? b : a)->lock);
    weft__lock(&(down ? a : b)->lock);
}

/* Neither looked ready. */
static WEFT_PARKS __attribute__((noinline)) int two_wait(const struct weft_case *cases)
{
    struct weft__select claim;
    struct weft__waiter waiters[2];
    struct weft__select_end end;

    claim.g = weft__self();
    atomic_init(&claim.fired, 0);
    two_lock(cases);
    for (uint32_t i; (i = two_draw(weft__case_ready(&cases[0]), weft__case_ready(&cases[1]))) < 2;) {
        if (weft__case_try(&cases[i], i, &end)) { /* else stale waiters only made it look ready: they are gone now */
            two_unlock(cases);
            return weft__case_finish(&cases[i], &end);
        }
    }
    weft__case_wait(&cases[0], 0, &claim, &waiters[0]);
    weft__case_wait(&cases[1], 1, &claim, &waiters[1]);
    WEFT_XASSERT(weft__chan_check(cases[0].weft__ch) && weft__chan_check(cases[1].weft__ch), "C1-C5");
    two_unlock(cases);
    weft__park(WEFT__WAIT_SELECT);

    uint32_t won = atomic_load_explicit(&claim.fired, memory_order_relaxed) - 1; /* W1 */
    weft__case_leave(&cases[1 - won], &waiters[1 - won]);                        /* X3 */
    end.i = won;
    end.r = waiters[won].t.ok ? WEFT__CHAN_DONE : WEFT__CHAN_CLOSED;
    end.elem = waiters[won].t.elem;
    end.wake = NULL;
    return weft__case_finish(&cases[won], &end);
}

int weft__select_two(const struct weft_case *cases)
{
    struct weft__select_end end;
    bool first = weft__case_ready(&cases[0]);
    bool second = weft__case_ready(&cases[1]);

    if (second && !first)
        first = weft__case_ready(&cases[0]); /* X5 */
    uint32_t i = two_draw(first, second);
    if (i < 2 && weft__case_try_alone(&cases[i], i, &end))
        return weft__case_finish(&cases[i], &end);
    return two_wait(cases);
}
