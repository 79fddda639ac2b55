/*
 * g.c - goroutines are made and ended here.
 *
 * Role    weft_go's back end: takes a warm stack, builds the first frame, queues it. The end: at_end, back to a free list.
 * Near    arch/x86_64/switch.S (weft__go_entry calls weft__go_c), worker.c. Layer 2.
 * Invariants
 *   F1  a dead goroutine is on exactly one free list: its p's, the global one, or its stack class's (sized; stack.c).
 *   F2  a goroutine that ends puts itself on its own p's list while still on its stack: nobody else takes from that list
 *       before the switch, for the section (enter) lasts until the next goroutine has left it. It is never moved to
 *       the global list before then: only entries below the top are.
 *   F3  a goroutine that ends and is taken over by the next (g_again) is never dead for others: not cleared by halves when the
 *       section ends, in no list, RUNNING and on_cpu all the time. Tied ones, main and sized ones are not taken over, and none
 *       whose call has arguments on its stack: who follows would begin below them.
 * Limits  A p keeps WEFT__GFREE_KEEP dead goroutines, the rest are shared. scavenge.c gives their memory back.
 * Failure No memory for a stack: fatal error, as Go.
 */
#include "sched_int.h"

#define G_ARGS_MAX 1024 /* bytes of arguments on the stack that count as the goroutine's own use of it */

#include <string.h>

/* One, and a batch for p's own list. */
static struct weft__g *g_free_global_pop(struct weft__p *p)
{
    struct weft__sched *s = &weft__sched;

    if (!atomic_load_explicit(&s->gfree_n, memory_order_relaxed))
        return NULL;
    weft__lock(&s->gfree_lock);
    struct weft__g *g = s->gfree, *last = g;
    uint32_t n = g ? 1 : 0;
    for (; p && n && n <= WEFT__GFREE_BATCH && last->next; n++)
        last = last->next;
    if (g) {
        s->gfree = last->next;
        atomic_store_explicit(&s->gfree_n, atomic_load_explicit(&s->gfree_n, memory_order_relaxed) - n, memory_order_relaxed);
    }
    weft__unlock(&s->gfree_lock);
    if (n > 1) {
        last->next = p->gfree;
        p->gfree = g->next;
        p->gfree_n += n - 1;
    }
    return g;
}

static void g_free_global_push(struct weft__g *g)
{
    struct weft__sched *s = &weft__sched;

    weft__lock(&s->gfree_lock);
    g->next = s->gfree;
    s->gfree = g;
    atomic_store_explicit(&s->gfree_n, atomic_load_explicit(&s->gfree_n, memory_order_relaxed) + 1, memory_order_relaxed);
    weft__unlock(&s->gfree_lock);
}

struct weft__g *weft__g_alloc(struct weft__p *p)
{
    struct weft__g *g = p ? p->gfree : NULL;

    if (weft__likely(g != NULL)) {
        p->gfree = g->next;
        p->gfree_n--;
        return g;
    }
    g = g_free_global_pop(p);
    return g ? g : weft__stack_carve(p);
}

__attribute__((cold)) _Noreturn void weft__g_no_memory(void)
{
    weft__fatal("weft: cannot allocate a goroutine stack (%zu goroutines exist; kernels before 6.13 need a larger "
                "vm.max_map_count)", weft_num_goroutines());
}

/* Keeps the warmest; half of the rest goes to everybody. The top entry may be the caller's own stack (F2). */
void weft__g_free(struct weft__p *p, struct weft__g *g)
{
    if (weft__unlikely(g->sized)) {
        weft__stack_put(g);
        return;
    }
    if (!p) {
        g_free_global_push(g);
        return;
    }
    g->next = p->gfree;
    p->gfree = g;
    if (weft__likely(++p->gfree_n <= WEFT__GFREE_KEEP))
        return;
    struct weft__g *last = g;
    for (uint32_t i = 1; i < WEFT__GFREE_KEEP / 2; i++)
        last = last->next;
    struct weft__g *give = last->next, *end = give;
    last->next = NULL;
    uint32_t n = 1;
    p->gfree_n = WEFT__GFREE_KEEP / 2;
    for (; end->next; n++)
        end = end->next;
    weft__lock(&weft__sched.gfree_lock);
    end->next = weft__sched.gfree;
    weft__sched.gfree = give;
    atomic_store_explicit(&weft__sched.gfree_n, atomic_load_explicit(&weft__sched.gfree_n, memory_order_relaxed) + n,
                          memory_order_relaxed);
    weft__unlock(&weft__sched.gfree_lock);
}

static uint64_t g_new_id(struct weft__p *p)
{
    if (!p)
        return atomic_fetch_add_explicit(&weft__sched.id_next, 1, memory_order_relaxed);
    if (p->id_next == p->id_end) {
        p->id_next = atomic_fetch_add_explicit(&weft__sched.id_next, 16, memory_order_relaxed);
        p->id_end = p->id_next + 16;
    }
    return p->id_next++;
}

static void g_count(struct weft__p *p, int64_t d)
{
    if (p)
        atomic_store_explicit(&p->created, atomic_load_explicit(&p->created, memory_order_relaxed) + d, memory_order_relaxed);
    else
        atomic_fetch_add_explicit(&weft__sched.created, d, memory_order_relaxed);
}

static void g_label(struct weft__g *g, const char *label)
{
    size_t n = 0;

    for (; label && label[n] && n < sizeof g->label - 1; n++)
        g->label[n] = label[n];
    g->label[n] = 0;
}

void weft__g_init(struct weft__g *g, const struct weft__call *call, const void *regs, const void *stack_args)
{
    atomic_store_explicit(&g->state, WEFT__G_NEW, memory_order_relaxed); /* V1 sb */
    weft__hold_check(g);
    weft__tsan_acquire(g); /* the stack's last user released it in weft__g_finish; arguments are written there now */
    weft__stack_alive(g->stack_lo, (size_t)(g->stack_hi - g->stack_lo));
    g->sw.sp = weft__arch_prepare((char *)g, call, regs, stack_args);
#if WEFT__SMALL
    weft__small_init(g);
#endif
    g->site = call->site;
    g->at_end = call->at_end;
    g->owner = call->owner;
    g->label[0] = 0;
    if (weft__unlikely(call->label != NULL))
        g_label(g, call->label);
    g->saved_errno = 0; /* put by the switch that brings it on a thread */
    atomic_store_explicit(&g->wait, WEFT__WAIT_NONE, memory_order_relaxed);
    atomic_store_explicit(&g->state, WEFT__G_RUNNABLE, memory_order_relaxed);
    if (weft__unlikely(atomic_load_explicit(&weft__sched.blocky_site, memory_order_relaxed) == call->site))
        g->blocky = true; /* whoever picks it hands it to a thread of its own */
    if (WEFT__TSAN)
        g->fiber = weft__fiber_new();
    weft__tsan_release(g);
}

static uint64_t g_parent_id(struct weft__m *m)
{
    return m->g ? atomic_load_explicit(&m->g->id, memory_order_relaxed) : 0;
}

/* With its stack, at once. */
static weft__runnable g_spawn_now(struct weft__m *m, struct weft__p *p, const struct weft__call *call, const void *regs,
                                  const void *stack_args)
{
    size_t args = weft__arch_args_bytes(call);
    struct weft__g *g;

    args = args > G_ARGS_MAX ? args : 0;
    if (weft__unlikely(call->stack_bytes != 0 || args != 0))
        g = weft__stack_take(p, call->stack_bytes, args);
    else
        g = weft__stack_for(p, call);

    if (weft__unlikely(!g))
        weft__g_no_memory();
    g->parent_id = g_parent_id(m);
    atomic_store_explicit(&g->id, g_new_id(p), memory_order_relaxed);
    weft__g_init(g, call, regs, stack_args);
    weft__hook_spawn(g);
    return (weft__runnable)g;
}

static inline weft__runnable g_record(struct weft__spawn *s, const struct weft__call *call, const void *regs, uint64_t parent_id,
                                      uint64_t id)
{
    const volatile uint64_t *from = regs; /* just stored, a word each: a wider load would wait until they are in the cache */

    s->site = call->site;
    s->fn = call->fn;
    s->at_end = call->at_end;
    if (weft__unlikely(call->at_end != NULL))
        s->owner = call->owner;
    s->parent_id = parent_id;
    s->args[0] = from[0];
    s->args[1] = from[1];
    if (call->site->ints_only != 2)
        for (uint32_t i = 2; i < WEFT__INT_REGS; i++)
            s->args[i] = from[i];
    atomic_store_explicit(&s->id, id, memory_order_relaxed);
    return (weft__runnable)s + 1;
}

/* As a record, which gets its stack when its turn comes. 0: no memory for one. */
static weft__runnable g_spawn_later(struct weft__m *m, struct weft__p *p, const struct weft__call *call, const void *regs)
{
    struct weft__spawn *s = weft__spawn_alloc(p);

    return weft__likely(s != NULL) ? g_record(s, call, regs, g_parent_id(m), g_new_id(p)) : 0;
}

/* The usual case, without a call: false when it is another, and then nothing has been done. */
static inline bool g_spawn_fast(const void *regs, const struct weft__call *call)
{
    struct weft__m *m = weft__m();

    if (weft__unlikely(!m || !m->g || !call->fn || !call->site->ints_only || call->label || call->stack_bytes != 0) ||
        weft__unlikely(!weft__enter_try(m)))
        return false;
    struct weft__p *p = atomic_load_explicit(&m->p, memory_order_relaxed);
    struct weft__spawn *s = p ? p->spawn_free : NULL;
    if (weft__unlikely(!s || p->id_next == p->id_end || weft__runq_full(p))) {
        weft__leave(m);
        return false;
    }
    p->spawn_free = s->free_next;
    p->spawn_free_n--;
    weft__runnable r = g_record(s, call, regs, atomic_load_explicit(&m->g->id, memory_order_relaxed), p->id_next++);
    g_count(p, 1);
    weft__runq_add(p, r);
    weft__leave(m);
    if (weft__unlikely(weft__wants_help(p)))
        weft__wake_worker();
    return true;
}

/* Any case. */
static __attribute__((noinline)) void g_spawn(const void *regs, const void *stack_args, const struct weft__call *call)
{
    if (weft__unlikely(!call->fn))
        weft__fatal("go of nil func value");
    struct weft__m *m = weft__m();
    if (weft__unlikely(!m))
        m = weft__adopt();
    bool on_g = m->g != NULL; /* from a timer's callback we are inside a section already */
    struct weft__p *p = on_g ? weft__enter_regain(m) : atomic_load_explicit(&m->p, memory_order_relaxed);
    weft__runnable r = 0;

    if (!WEFT__TSAN && weft__likely(call->site->ints_only && !call->label && call->stack_bytes == 0))
        r = g_spawn_later(m, p, call, regs);
    if (weft__unlikely(r == 0))
        r = g_spawn_now(m, p, call, regs, stack_args);
    g_count(p, 1);
    weft__p_put(p, r);
    /* Started by a timer, and nothing else waits: the worker that ran the timer takes it next. */
    bool surplus = on_g || !p || weft__runq_len(p) > 1;
    if (on_g)
        weft__leave(m);
    if (weft__unlikely(surplus && weft__wants_help(p)))
        weft__wake_worker();
}

/* Called by weft__go_entry with the saved argument registers and the caller's stack arguments. */
void weft__go_c(const void *regs, const void *stack_args, const struct weft__call *call);
void weft__go_c(const void *regs, const void *stack_args, const struct weft__call *call)
{
    if (weft__unlikely(!g_spawn_fast(regs, call)))
        g_spawn(regs, stack_args, call);
}

/* First C code on a new goroutine's stack: the switch that brought us here began a section; end it. */
void weft__g_enter(void);
void weft__g_enter(void)
{
    struct weft__m *m = weft__m();

    weft__fiber_arrive(NULL);
    weft__tsan_acquire(m->g);
#if WEFT__TSAN || WEFT__ASAN
    *m->errno_at = 0; /* as worker_arrived: the switch has not put it */
#endif
    weft__leave(m);
}

/* What the next user of the stack finds. */
static inline void g_clear(struct weft__g *g)
{
    if (weft__unlikely(g->panic_text != NULL)) {
        weft__sys_free(g->panic_text);
        g->panic_text = NULL;
    }
    g->try_top = NULL;
    g->panic = NULL;
    g->exiting = 0;
    g->blocked_seen = g->blocky_limit = 0;
    g->blocky = false;
    if (WEFT__ASAN)
        g->fake_stack = NULL;
}

#if WEFT__TSAN || WEFT__ASAN
/* A stack is not used again soon: ThreadSanitizer takes its next user to come after its last one, which would hide races
 * between the two; AddressSanitizer finds late uses of the dead frames meanwhile. Returns one that has waited long, or NULL. */
static struct weft__g *g_quarantine(struct weft__g *g)
{
    static struct weft__lock lock;
    static struct weft__g *ring[256];
    static uint32_t at;

    weft__stack_dead(g->stack_lo, (size_t)(g->stack_hi - g->stack_lo));
    weft__lock(&lock);
    struct weft__g **slot = &ring[at++ % (sizeof ring / sizeof ring[0])], *old = *slot;
    *slot = g;
    weft__unlock(&lock);
    return old;
}
#endif

/* The scheduler's side of an end that could not be finished on the goroutine's own stack. */
void weft__g_reclaim(struct weft__m *m, struct weft__g *g)
{
    if (WEFT__TSAN) {
        weft__fiber_free(g->fiber);
        g->fiber = NULL;
    }
#if WEFT__TSAN || WEFT__ASAN
    if (!g->sized)
        g = g_quarantine(g);
    if (!g)
        return;
#endif
#if WEFT__SMALL
    weft__small_end(m, g);
#endif
    weft__g_free(atomic_load_explicit(&m->p, memory_order_relaxed), g);
}

/* Inside the section, counted out. */
static _Noreturn __attribute__((noinline)) void g_leave(struct weft__m *m, struct weft__p *p, struct weft__g *g)
{
    bool is_main = g->is_main, was_tied = g->tied;
    if (weft__unlikely(was_tied)) {
        m->ends = g->lock_thread_depth != 0; /* thread.c */
        g->tied = false;
        g->lock_thread_depth = g->pins = 0;
    }
    if (weft__unlikely(is_main))
        atomic_store_explicit(&weft__sched.main_exited, 1, memory_order_relaxed);
    g_clear(g);
    atomic_store_explicit(&g->id, 0, memory_order_relaxed);
    atomic_store_explicit(&g->state, WEFT__G_DEAD, memory_order_release); /* G1: after on_cpu = 1 */
    weft__run_next_after_end(m, p, g, is_main || was_tied || g->sized); /* sized: F2 holds for p's own list only */
}

/* What is called at the end, then a section and the p. */
static inline struct weft__p *g_count_out(struct weft__m **ret_m, struct weft__g *g, long result)
{
    struct weft__m *m = *ret_m;

    if (weft__unlikely(g->has_locals)) {
        weft__local_end(g);
        m = weft__m();
    }
    if (g->at_end) {
        g->at_end(g->owner, result);
        m = weft__m(); /* it may have parked */
    }
    weft__tsan_release(g); /* the next user of this stack starts after us */
    weft__tsan_release(m->errno_at);
    *ret_m = m;
    struct weft__p *p = weft__enter(m);
    g_count(p, -1);
    weft__hook_end(g);
    return p;
}

_Noreturn void weft__g_finish(long result)
{
    struct weft__m *m = weft__m();
    struct weft__g *g = m->g;
    struct weft__p *p = g_count_out(&m, g, result);

    g_leave(m, p, g);
}

/* g is s's goroutine now. Its last stores are plain ones, weft__spawn_free's: in the simulation they empty the store buffer, which the
 * store that ends the section, in assembly, does not know. */
static inline void g_again(struct weft__m *m, struct weft__p *p, struct weft__g *g, struct weft__spawn *s)
{
    g_clear(g);
    *m->errno_at = 0;
    g->parent_id = s->parent_id;
    g->site = s->site;
    g->at_end = s->at_end;
    if (weft__unlikely(s->at_end != NULL))
        g->owner = s->owner;
    g->label[0] = 0;
    atomic_store_explicit(&g->wait, WEFT__WAIT_NONE, memory_order_relaxed);
    atomic_store_explicit(&g->id, atomic_load_explicit(&s->id, memory_order_relaxed), memory_order_relaxed);
    weft__hook_spawn(g);
    weft__spawn_free(p, s);
    weft__hook_run(g);
}

_Static_assert(offsetof(struct weft__spawn, site) == 16 && offsetof(struct weft__spawn, fn) == 24 &&
               offsetof(struct weft__spawn, args) == 48, "switch.S");

/*
 * Called by weft__g_start when fn has returned: as weft__g_finish, but where the next to run is a spawn record its goroutine takes
 * over this one, the descriptor and the stack, without a switch: that is where it would be bound to in any case, for the warmest
 * stack is this one. Returns it, free already but not to be touched by others before the caller has ended the section:
 * it loads what it needs first.
 */
struct g_next {
    const struct weft__spawn *s;
    _Atomic uint32_t *in; /* to be 0 then (M2) */
};
struct g_next weft__g_end(long result);
struct g_next weft__g_end(long result)
{
    struct weft__m *m = weft__m();
    struct weft__g *g = m->g;
    struct weft__p *p = g_count_out(&m, g, result);

    if (!WEFT__TSAN && !WEFT__ASAN && !WEFT__SMALL && weft__likely(p && !g->tied && !g->is_main && !g->sized && g->site->ints_only)) {
        struct weft__spawn *s = weft__runq_spawn(p);
        if (weft__likely(s != NULL)) {
            g_again(m, p, g, s);
            return (struct g_next){s, &m->in};
        }
    }
    g_leave(m, p, g);
}

size_t weft__g_count(void)
{
    struct weft__sched *s = &weft__sched;
    int64_t n = atomic_load_explicit(&s->created, memory_order_relaxed);
    for (int i = 0; i < atomic_load_explicit(&s->ps_n, memory_order_acquire); i++) {
        struct weft__p *p = atomic_load_explicit(&s->ps[i], memory_order_acquire);
        if (p)
            n += atomic_load_explicit(&p->created, memory_order_relaxed);
    }
    return n > 0 ? (size_t)n : 0;
}

size_t weft_num_goroutines(void)
{
    weft__ensure_started();
    return weft__g_count();
}

uint64_t weft_goid(void)
{
    return atomic_load_explicit(&weft__g()->id, memory_order_relaxed);
}
