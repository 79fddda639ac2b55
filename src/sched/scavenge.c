/*
 * scavenge.c - gives the memory of deep stacks back: pages that a parked or ended goroutine once used and left.
 *
 * Role    The monitor calls it, a small step each time. A pass goes over all slots: the kernel names the resident pages, and
 *         only goroutines with more of them than they need are looked at. What was parked or dead at the last pass, and
 *         still is, loses the pages below its stack pointer, but for a margin.
 * Near    monitor.c (when), stack.c (slots), sys/pages.h (the kernel's part), worker.c weft__ready and g.c weft__g_init (the
 *         other side of V1). Layer 2.
 * Invariants
 *   V3  nobody resumes, and nobody starts on, a stack while its g->hold is 1 and its state was PARKED or DEAD after the
 *       barrier: so its pages below the saved stack pointer are nobody's.
 *   V4  the state has the flag WEFT__G_OLD since the last pass, or the goroutine has run since: every change of the state by
 *       its owner is a plain store that drops the flag, and the scavenger sets it by a compare-and-swap.
 *   V5  a discard lies within the slot that it is for. A descriptor may be all zeros still (K2 in stack.c), or its goroutine
 *       be running: so bounds come from the slot, and a stack pointer only from one that is parked and off its CPU.
 * Order
 *   V1 sb  hold = 1 store, membarrier  ->  state load  |  weft__ready, weft__g_init: state store  ->  hold load. The barrier
 *          orders the other side's two steps too, which so need no fence: not both sides can miss the other.
 *   V2     hold = 0 release  ->  hold load acquire. Carries the end of the discard.
 *   G1     on_cpu == 0 (acquire) as in weft__ready: the stack pointer is saved. The state's stores are releases: who sees
 *          PARKED or DEAD sees no on_cpu from before that run.
 * Limits  While goroutines run it takes at most a hundredth of a CPU, and no pass is made while all slots together are below
 *         4 MiB (weft__scavenge_pace). An idle process makes passes until one finds nothing, then none: no wake-ups.
 * Failure The kernel refuses to discard (locked memory) or has no membarrier(2): no (more) passes.
 * Model   tests/model/scavenge.pml, scavenge_fresh.pml; tests/sim/prop_stack.c.
 */
#include "sched_int.h"

#include "../sys/pages.h"

enum {
    SCAV_KEEP = WEFT__PAGE,          /* stays below the stack pointer: the next calls need it at once */
    SCAV_WORTH = 2 * WEFT__PAGE,     /* less than this is not worth a fault later */
    SCAV_RUNS = 128,                 /* looked at in one step */
    SCAV_BATCH = 16,                 /* held at one time: a goroutine made ready meanwhile waits for its turn */
    SCAV_STEP = 32                   /* discards in one step */
};

struct weft__scavenge_pace weft__scavenge_pace = {WEFT_SEC, 200 * WEFT_MS, 100, 4 * 1024 * 1024};

/* All of it is the monitor thread's. */
static struct {
    bool off;             /* the kernel does not play along */
    bool under_way;       /* a pass is */
    bool dirty;           /* something ran since the last pass that found nothing */
    bool idle;            /* nothing ran since the pass began */
    uint32_t chunk;       /* where the pass is */
    char *at;
    uint32_t found;       /* marked or discarded in this pass */
    weft_dur cost;        /* of this pass, in CPU time: on a busy machine the clock would count the others' */
    weft_time next;       /* earliest start of the next, or of this one's next step */
    struct scav_stack {
        struct weft__g *g;
        char *lo;         /* of its stack */
    } batch[SCAV_BATCH];
    int batch_n;
    int discarded;        /* in this step */
    struct weft__sys_run run[SCAV_RUNS];
} scav;

static _Atomic uint64_t scav_discards; /* [stat] */

uint64_t weft__scavenge_discards(void)
{
    return atomic_load_explicit(&scav_discards, memory_order_relaxed);
}

void weft__hold_wait(struct weft__g *g)
{
    uint32_t spins = 0;

    while (atomic_load_explicit(&g->hold, memory_order_acquire) != 0) /* V2 */
        weft__spin(&spins);
}

/* Memory below this is not in use. Of a running goroutine the answer means nothing (V5). */
static char *scav_line(struct weft__g *g, uint32_t state)
{
    bool parked = (state & ~(uint32_t)WEFT__G_OLD) == WEFT__G_PARKED;
    char *sp = parked ? (char *)__atomic_load_n(&g->sw.sp, __ATOMIC_RELAXED) : (char *)g;
    return (char *)((uintptr_t)sp & ~(uintptr_t)(WEFT__PAGE - 1)) - SCAV_KEEP;
}

static void scav_discard(struct weft__g *g, char *lo)
{
    uint32_t state = atomic_load_explicit(&g->state, memory_order_acquire); /* V1 sb */

    if ((state == (WEFT__G_PARKED | WEFT__G_OLD) || state == (WEFT__G_DEAD | WEFT__G_OLD)) &&
        atomic_load_explicit(&g->sw.on_cpu, memory_order_acquire) == 0) { /* G1 */
        char *hi = scav_line(g, state);
        WEFT_ASSERT(hi <= (char *)g, "V5");
        if (hi > lo && weft__sys_discard(lo, hi) < 0)
            scav.off = true;
        scav.found++;
        scav.discarded++;
        atomic_store_explicit(&scav_discards, atomic_load_explicit(&scav_discards, memory_order_relaxed) + 1, memory_order_relaxed);
    }
    atomic_store_explicit(&g->hold, 0, memory_order_release); /* V2 */
}

static void scav_flush(void)
{
    if (scav.batch_n == 0)
        return;
    for (int i = 0; i < scav.batch_n; i++)
        atomic_store_explicit(&scav.batch[i].g->hold, 1, memory_order_seq_cst); /* V1 sb */
    weft__sys_barrier_all();                                                  /* V1 sb */
    for (int i = 0; i < scav.batch_n; i++)
        scav_discard(scav.batch[i].g, scav.batch[i].lo);
    scav.batch_n = 0;
}

/* A slot that has memory from lo on. */
static void scav_look(const struct weft__slots *s, size_t slot, const char *lo)
{
    struct weft__g *g = weft__slots_g(s, slot);
    uint32_t state = atomic_load_explicit(&g->state, memory_order_acquire);
    bool old = (state & WEFT__G_OLD) != 0;

    state &= ~(uint32_t)WEFT__G_OLD;
    if ((state != WEFT__G_PARKED && state != WEFT__G_DEAD) || lo + SCAV_WORTH > scav_line(g, state))
        return;
    if (old) {
        scav.batch[scav.batch_n++] = (struct scav_stack){g, s->base + slot * s->slot + WEFT__GUARD_BYTES};
        if (scav.batch_n == SCAV_BATCH)
            scav_flush();
    } else if (atomic_compare_exchange_strong_explicit(&g->state, &state, state | WEFT__G_OLD, memory_order_relaxed,
                                                       memory_order_relaxed)) { /* V4 */
        scav.found++;
    }
}

/* Some runs of resident pages further; at the end of a chunk to the next one. False at the end of the pass. */
static bool scav_step(void)
{
    struct weft__slots s;

    if (scav.off || !weft__stack_slots(scav.chunk, &s))
        return false;
    if (s.slot < WEFT__PAGE) { /* small-stack mode */
        scav.chunk++;
        return true;
    }
    char *end = s.base + s.slot * s.cut, *at = scav.at ? scav.at : s.base, *next = end;
    int n = at < end ? weft__sys_resident(at, end, scav.run, SCAV_RUNS, &next) : 0;
    if (n < 0)
        return false;
    for (int i = 0; i < n; i++) {
        if (scav.discarded + scav.batch_n >= SCAV_STEP) {
            next = scav.run[i].lo;
            break;
        }
        size_t slot = (size_t)(scav.run[i].lo - s.base) / s.slot;
        scav_look(&s, slot, scav.run[i].lo);
        while (i + 1 < n && (size_t)(scav.run[i + 1].lo - s.base) / s.slot == slot)
            i++; /* the lowest run decides */
    }
    scav_flush();
    scav.at = next < end ? next : NULL;
    scav.chunk += next >= end;
    return true;
}

static bool scav_enough(void)
{
    struct weft__slots s;
    size_t bytes = 0;

    for (uint32_t k = 0; bytes < weft__scavenge_pace.bytes_min && weft__stack_slots(k, &s); k++)
        bytes += s.slot * s.cut;
    return bytes >= weft__scavenge_pace.bytes_min;
}

static bool scav_begin(weft_time now, bool idle)
{
    if (!scav_enough()) {
        scav.next = now + weft__scavenge_pace.busy;
        scav.dirty = false;
        return false;
    }
    scav.under_way = true;
    scav.idle = idle;
    scav.chunk = scav.found = 0;
    scav.at = NULL;
    scav.cost = 0;
    return true;
}

weft_dur weft__scavenge(weft_time now, bool idle)
{
    scav.dirty |= !idle;
    if (scav.off || weft__sched.fenced || !scav.dirty) /* fenced: V1 needs membarrier(2) */
        return -1;
    if (now < scav.next && !(idle && scav.under_way))
        return scav.next - now;
    if (!scav.under_way && !scav_begin(now, idle))
        return -1;
    scav.idle &= idle;
    scav.discarded = 0;
    int clock = weft__sys_thread_clock();
    int64_t from = weft__sys_thread_cpu(clock);
    bool more = scav_step();
    weft_dur step = weft__sys_thread_cpu(clock) - from;
    scav.cost += step;
    if (more) {
        scav.next = now + step * weft__scavenge_pace.share;
        return 0;
    }
    weft_dur every = idle ? weft__scavenge_pace.idle : weft__scavenge_pace.busy;
    if (every < scav.cost * weft__scavenge_pace.share)
        every = scav.cost * weft__scavenge_pace.share;
    scav.under_way = false;
    scav.next = now + every;
    scav.dirty = !scav.idle || scav.found != 0;
    return scav.dirty ? every : -1;
}
