/*
 * select.c - the first of several channel operations, chosen uniformly.
 *
 * Role    weft_selectv and what the block form needs. Three attempts, each dearer than the one before: a look without
 *         locks; a look with all locks held; a wait in the lines of all channels.
 * Near    select_int.h (one case), select_two.c (two channels alone), chan_int.h (put, take, claims), chan.c (C1-C5),
 *         sched/sched.h (S1-S5, timers), docs/design/chan.md. Layer 3.
 *
 * Invariants
 *   X1  A default, an expired timeout or a wait is chosen only while all locks are held and no case is ready: there is
 *       one instant at which none was, as in Go. (A case that the look without locks performs needs no such proof.)
 *   X2  Exactly one party wins the claim: a waker with the lock of its channel, the timer's callback, or the owner
 *       itself before it queues. Only the winner makes the owner ready; only then has the owner to park.
 *   X3  The frame is left once no waiter of it is in a line, and the timer's callback is over (K3).
 *   X4  Waiters of a select on one channel stand in random order, so the choice is uniform in the waiting case too.
 *   X5  The look without locks decides among the cases only where two looks in a row see the same ones ready, or the
 *       first sees all: one look is not one instant, and favours the cases that it comes to last.
 *
 * Locks   All channels of the select, each once, lowest address first. The timer is started before: no lock is taken
 *         between queueing and the park (S1). On the way out one channel at a time, and the channel that was chosen
 *         only if another case of this select waits on it: its owner may have freed it.
 * Order   K3  timer_done: release at the end of the callback  ->  acquire in select_timer_end. Without it the callback
 *             could write into a frame that has been left.
 * Limits  65,536 cases, as in Go; beyond: fatal. Up to 8 need no allocation. The block form has room for 16.
 * Failure Out of memory for more than 8 cases is fatal. Panics are raised after all locks are dropped.
 */
#include "select_int.h"

#include "../sys/sys.h"

enum { SELECT_INLINE = 8, SELECT_MAX = 65536 };
#define SELECT_NO_CASE UINT32_MAX
/* Words of weft__select.fired while the owner, with all locks and a running timer, tries its cases (X2): it does so,
 * and: the timer has passed meanwhile. */
#define SELECT_TRYING (UINT32_MAX - 1)
#define SELECT_TRYING_LATE UINT32_MAX

/* A select under way. */
struct select_frame {
    struct weft__select claim;
    const struct weft_case *cases;
    uint32_t n;                   /* cases */
    uint32_t m;                   /* cases with a channel: only these are in order[] and have a waiter */
    uint32_t default_index;       /* or SELECT_NO_CASE */
    weft_dur timeout;             /* of case claim.timeout_index, where that is not SELECT_NO_CASE */
    bool timed;                   /* the goroutine's timer was started */
    uint16_t *order;              /* m case numbers, sorted by channel address for locking; room for n */
    uint16_t *ready;              /* room for n case numbers */
    struct weft__waiter *waiters; /* waiters[k] stands for case order[k]; room for n */
};

static inline struct weft__chan *case_chan(const struct select_frame *f, uint32_t i)
{
    return f->cases[i].weft__ch;
}

/* Sorts out the list: channel cases go to order[], the default and the shortest timeout are noted. False: two defaults. */
static bool select_read(struct select_frame *f)
{
    f->default_index = f->claim.timeout_index = SELECT_NO_CASE;
    f->m = 0;
    for (uint32_t i = 0; i < f->n; i++) {
        const struct weft_case *k = &f->cases[i];
        switch (k->weft__kind) {
        case WEFT__CASE_RECV:
        case WEFT__CASE_SEND:
            if (k->weft__ch)
                f->order[f->m++] = (uint16_t)i;
            break;
        case WEFT__CASE_DEFAULT:
            if (f->default_index != SELECT_NO_CASE)
                return false;
            f->default_index = i;
            break;
        case WEFT__CASE_TIMEOUT:
            if (f->claim.timeout_index == SELECT_NO_CASE || k->weft__d < f->timeout) {
                f->claim.timeout_index = i;
                f->timeout = k->weft__d;
            }
            break;
        default:
            break; /* zeroed: never ready */
        }
    }
    return true;
}

/* A case that looks ready, drawn uniformly; SELECT_NO_CASE when none does. */
static uint32_t select_draw(struct select_frame *f)
{
    uint32_t n = 0;
    for (uint32_t k = 0; k < f->m; k++) {
        f->ready[n] = f->order[k];
        n += weft__case_ready(&f->cases[f->order[k]]);
    }
    if (n <= 1)
        return n ? f->ready[0] : SELECT_NO_CASE;
    return f->ready[weft__rand_below(n)];
}

static bool order_above(const struct select_frame *f, uint16_t a, uint16_t b)
{
    return (uintptr_t)f->cases[a].weft__ch > (uintptr_t)f->cases[b].weft__ch;
}

static void order_sift(struct select_frame *f, uint32_t at, uint32_t n)
{
    uint16_t x = f->order[at];
    for (uint32_t child; (child = 2 * at + 1) < n; at = child) {
        if (child + 1 < n && order_above(f, f->order[child + 1], f->order[child]))
            child++;
        if (!order_above(f, f->order[child], x))
            break;
        f->order[at] = f->order[child];
    }
    f->order[at] = x;
}

/* Sorts order[] by channel address: by insertion when short, else by heap (no recursion, no allocation). */
static void select_sort(struct select_frame *f)
{
    uint16_t *o = f->order;
    if (f->m <= SELECT_INLINE) {
        for (uint32_t i = 1; i < f->m; i++) {
            uint16_t x = o[i];
            uint32_t j = i;
            for (; j > 0 && order_above(f, o[j - 1], x); j--)
                o[j] = o[j - 1];
            o[j] = x;
        }
        return;
    }
    for (uint32_t i = f->m / 2; i-- > 0;)
        order_sift(f, i, f->m);
    for (uint32_t n = f->m; n-- > 1;) {
        uint16_t x = o[n];
        o[n] = o[0];
        o[0] = x;
        order_sift(f, 0, n);
    }
}

static void select_lock_all(struct select_frame *f)
{
    struct weft__chan *last = NULL;
    for (uint32_t k = 0; k < f->m; k++) {
        struct weft__chan *c = case_chan(f, f->order[k]);
        if (c != last)
            weft__lock(&c->lock);
        last = c;
    }
}

static void select_unlock_all(struct select_frame *f)
{
    for (uint32_t k = f->m; k-- > 0;) {
        struct weft__chan *c = case_chan(f, f->order[k]);
        if (k == 0 || case_chan(f, f->order[k - 1]) != c)
            weft__unlock(&c->lock);
    }
}

/* Performs a ready case, all locks held; false when none is ready. */
static bool select_try_locked(struct select_frame *f, struct weft__select_end *ret_end)
{
    uint32_t i;
    while ((i = select_draw(f)) != SELECT_NO_CASE)
        if (weft__case_try(&f->cases[i], i, ret_end)) /* else stale waiters only made it look ready: they are gone now */
            return true;
    return false;
}

/* X4: shuffles each run of cases on one channel. */
static void select_shuffle_same(struct select_frame *f)
{
    uint16_t *o = f->order;
    for (uint32_t from = 0, to; from < f->m; from = to) {
        for (to = from + 1; to < f->m && case_chan(f, o[to]) == case_chan(f, o[from]); to++) {
            uint32_t j = from + weft__rand_below(to - from + 1);
            uint16_t x = o[to];
            o[to] = o[j];
            o[j] = x;
        }
    }
}

/* Stands in every line; all locks held. waiters[k] belongs to case order[k]. */
static void select_enqueue(struct select_frame *f)
{
    select_shuffle_same(f);
    for (uint32_t k = 0; k < f->m; k++) {
        uint32_t i = f->order[k];
        weft__case_wait(&f->cases[i], i, &f->claim, &f->waiters[k]);
    }
    for (uint32_t k = 0; k < f->m; k++)
        WEFT_XASSERT(weft__chan_check(case_chan(f, f->order[k])), "C1-C5");
}

/* Leaves the lines that the waker did not take it out of (X3). Returns the waiter of the case that won, or NULL. */
static struct weft__waiter *select_leave(struct select_frame *f, uint32_t won)
{
    struct weft__waiter *winner = NULL;
    for (uint32_t k = 0; k < f->m; k++) {
        uint32_t i = f->order[k];
        struct weft__waiter *w = &f->waiters[k];
        if (i == won) {
            winner = w;
            continue;
        }
        weft__case_leave(&f->cases[i], w);
    }
    return winner;
}

/* On a scheduler stack, without locks. After K3 the frame is touched no more; if this won, the owner waits for ready. */
static void select_fire(struct weft__timer *t)
{
    struct weft__g *g = WEFT__OWNER(t, struct weft__g, timer);
    struct weft__select *s = g->timed;
    uint32_t now = 0, then;
    do {
        then = now == 0 ? s->timeout_index + 1 : now == SELECT_TRYING ? SELECT_TRYING_LATE : now;
    } while (!atomic_compare_exchange_weak_explicit(&s->fired, &now, then, memory_order_relaxed,
                                                    memory_order_relaxed)); /* W1 */
    atomic_store_explicit(&s->timer_done, 1, memory_order_release); /* K3 */
    if (now == 0)
        weft__ready(g);
}

static const struct weft__timer_kind select_timeout = {.fn = select_fire, .wakes = true};

__attribute__((constructor(101))) static void select_know_timeout(void)
{
    weft__timer_know(WEFT__TIMER_SELECT, &select_timeout);
}

static void select_timer_begin(struct select_frame *f)
{
    struct weft__g *g = f->claim.g;
    weft_time now = weft__now();
    g->timer.use = WEFT__TIMER_SELECT;
    g->timed = &f->claim;
    f->timed = true;
    weft__timer_start(&g->timer, f->timeout > INT64_MAX - now ? INT64_MAX : now + f->timeout);
}

/* X3. A callback that has begun is a few instructions long, and its thread waits for nothing of ours. */
static void select_timer_end(struct select_frame *f)
{
    uint32_t spins = 0;
    if (weft__timer_stop(&f->claim.g->timer))
        return;
    while (!atomic_load_explicit(&f->claim.timer_done, memory_order_acquire)) /* K3 */
        weft__spin(&spins);
}

/* select_try_locked beside a running timer. *ret_late: no case is ready, and the timeout is the outcome. */
static bool select_try_timed(struct select_frame *f, struct weft__select_end *ret_end, bool *ret_late)
{
    _Atomic uint32_t *fired = &f->claim.fired;
    uint32_t none = 0, trying = SELECT_TRYING;
    *ret_late = false;
    if (select_draw(f) == SELECT_NO_CASE ||
        !atomic_compare_exchange_strong_explicit(fired, &none, SELECT_TRYING, memory_order_relaxed,
                                                 memory_order_relaxed)) /* W1 */
        return false; /* where it has fired, the park ends at once */
    if (select_try_locked(f, ret_end))
        return true;
    *ret_late = !atomic_compare_exchange_strong_explicit(fired, &trying, 0, memory_order_relaxed,
                                                         memory_order_relaxed); /* W1 */
    return false;
}

/* Parks in all lines; the waker has done everything but what the winner does for itself. */
static void select_park(struct select_frame *f, struct weft__select_end *ret_end)
{
    weft__park(f->n ? WEFT__WAIT_SELECT : WEFT__WAIT_SELECT_NONE);
    uint32_t won = atomic_load_explicit(&f->claim.fired, memory_order_relaxed) - 1; /* W1 */
    struct weft__waiter *w = select_leave(f, won);
    *ret_end = (struct weft__select_end){.i = won, .r = WEFT__CHAN_WOULD_PARK};
    if (w) {
        ret_end->r = w->t.ok ? WEFT__CHAN_DONE : WEFT__CHAN_CLOSED;
        ret_end->elem = w->t.elem;
    }
}

/* With all locks: takes a case, else the default or an expired timeout (X1), else waits. */
static void select_slow(struct select_frame *f, struct weft__select_end *ret_end)
{
    bool timeout = f->claim.timeout_index != SELECT_NO_CASE;
    bool at_once = f->default_index != SELECT_NO_CASE || (timeout && f->timeout <= 0);
    bool late = false, done = false;

    if (!at_once || f->m > 1) { /* with one channel, the look without locks was the instant of X1 */
        if (!at_once)
            f->claim.g = weft__g();
        if (!at_once && timeout)
            select_timer_begin(f);
        select_sort(f);
        select_lock_all(f);
        done = f->timed ? select_try_timed(f, ret_end, &late) : select_try_locked(f, ret_end);
        bool wait = !done && !late && !at_once;
        if (wait)
            select_enqueue(f);
        select_unlock_all(f);
        if (wait) {
            select_park(f, ret_end);
            done = true;
        }
        if (f->timed)
            select_timer_end(f);
    }
    if (!done) {
        uint32_t i = f->default_index != SELECT_NO_CASE ? f->default_index : f->claim.timeout_index;
        *ret_end = (struct weft__select_end){.i = i, .r = WEFT__CHAN_WOULD_PARK};
    }
}

/* Memory for a select of more cases than the frame has room for. */
static void *select_big(struct select_frame *f)
{
    if (f->n > SELECT_MAX)
        weft__fatal("select: too many cases (max 65536)");
    char *big = weft__sys_alloc(f->n * (sizeof(struct weft__waiter) + 2 * sizeof(uint16_t)));
    if (!big)
        weft__fatal("out of memory: select of %u cases", f->n);
    f->waiters = (struct weft__waiter *)big;
    f->order = (uint16_t *)(f->waiters + f->n);
    f->ready = f->order + f->n;
    return big;
}

/* weft_selectv where the look without locks found nothing, or the list is long. */
static __attribute__((noinline)) int select_full(const struct weft_case *cases, uint32_t n)
{
    struct weft__waiter waiters[SELECT_INLINE];
    uint16_t order[SELECT_INLINE], ready[SELECT_INLINE];
    struct select_frame f;
    struct weft__select_end end;
    void *big = NULL;

    f.cases = cases;
    f.n = n;
    f.timed = false;
    f.waiters = waiters, f.order = order, f.ready = ready;
    if (n > SELECT_INLINE)
        big = select_big(&f);
    atomic_init(&f.claim.fired, 0);
    atomic_init(&f.claim.timer_done, 0);
    bool good = select_read(&f), done = false;
    if (big && good) {
        uint32_t i = select_draw(&f);
        done = i != SELECT_NO_CASE && weft__case_try_alone(&cases[i], i, &end);
    }
    if (good && !done)
        select_slow(&f, &end);
    if (big)
        weft__sys_free(big);
    if (!good)
        weft_panic("select: more than one default");
    return weft__case_finish(&cases[end.i], &end);
}

/* A second look finds ready[0..k) and no other. If not, somebody came while the first was under way, and who was looked at
 * before that would be chosen too seldom: the locks decide (X5). */
static bool look_again(const struct weft_case *cases, uint32_t n, const uint32_t *ready, uint32_t k)
{
    for (uint32_t i = 0, at = 0; i < n; i++) {
        bool was = at < k && ready[at] == i;
        if (weft__case_ready(&cases[i]) != was)
            return false;
        at += was;
    }
    return true;
}

int weft_selectv(const struct weft_case *cases, int n)
{
    if (n == 2 && weft__case_has_chan(&cases[0]) && weft__case_has_chan(&cases[1]) &&
        cases[0].weft__ch != cases[1].weft__ch)
        return weft__select_two(cases);
    if (weft__likely((unsigned)n <= SELECT_INLINE)) {
        uint32_t ready[SELECT_INLINE], k = 0;
        for (uint32_t i = 0; i < (uint32_t)n; i++) {
            ready[k] = i;
            k += weft__case_ready(&cases[i]);
        }
        struct weft__select_end end;
        if (k && (k == (uint32_t)n || look_again(cases, (uint32_t)n, ready, k))) {
            uint32_t i = ready[k == 1 ? 0 : weft__rand_below(k)];
            if (weft__case_try_alone(&cases[i], i, &end))
                return weft__case_finish(&cases[i], &end);
        }
    }
    return select_full(cases, (uint32_t)n);
}

/* ---- block form ---- */

/* A value that did not fit the pool, in a list that the block's end gives back. */
struct block_big {
    struct block_big *next;
    _Alignas(16) char bytes[];
};

void *weft__block_big(struct weft__block *b, size_t bytes)
{
    struct block_big *big = weft__sys_alloc(sizeof *big + bytes);
    if (!big)
        weft__fatal("out of memory: select with a value of %zu bytes", bytes);
    big->next = b->big;
    b->big = big;
    return big->bytes;
}

void weft__block_done(struct weft__block *b)
{
    for (struct block_big *big = b->big, *next; big; big = next) {
        next = big->next;
        weft__sys_free(big);
    }
}

void weft__block_full(void)
{
    weft__fatal("select: more than 16 cases between weft_select_begin and weft_select_end: use weft_selectv");
}
