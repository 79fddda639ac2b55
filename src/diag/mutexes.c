/*
 * mutexes.c - debug builds: the program's locks that a goroutine holds while it parks: pthread mutexes, read-write locks and spin
 * locks, and C11's mutexes.
 *
 * Role    A goroutine may wake on another thread, and these locks belong to the thread that has locked them: unlocking one
 *         elsewhere is undefined, and whoever else wants it on the old thread waits for a goroutine that is not there. The
 *         lock calls are stood before, as in src/posix, and a table says who holds what. Near hook.h, check.c; ADR 0012.
 *         Layer 2.
 * Invariants
 *   HM1 a lock is in the table at most once, with the thread of the goroutine that locked it last; one that is locked for
 *       reading at most once for each thread.
 * Locks   mutexes_lock, for a few instructions; nothing is called under it.
 * Limits  1,024 locks at a time, 4 to a bucket; more are not watched, so that of many readers of one lock four are. Not those
 *         that a thread without goroutine locks, nor a semaphore, which belongs to no thread. Not under ThreadSanitizer, which
 *         stands before the same calls. A goroutine that keeps its thread (weft_lock_thread, libweft-posix, a thread of the
 *         program) may hold what it likes; but libweft-posix leaves spin locks alone.
 */
#include "diag.h"

#if WEFT_DEBUG && !WEFT__TSAN && !defined(WEFT_SIM)

#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <threads.h>

#include "hook.h"

enum { MUTEXES_BUCKETS = 256, MUTEXES_WAYS = 4 };
enum mutexes_kind { MUTEXES_MUTEX, MUTEXES_MTX, MUTEXES_READ, MUTEXES_WRITE, MUTEXES_SPIN };

struct mutexes_entry {
    const volatile void *lock;       /* [lock] NULL: free */
    const struct weft__m *m;         /* [lock] who holds it */
    void *from;                      /* [lock] where it was locked */
    uint32_t depth;                  /* [lock] of a recursive one */
    enum mutexes_kind kind;          /* [lock] */
};

static struct weft__lock mutexes_lock;
static struct mutexes_entry mutexes[MUTEXES_BUCKETS][MUTEXES_WAYS]; /* [lock] HM1 */
static _Atomic uint32_t mutexes_n;   /* [lock for writes; stat] in the table: a park looks only where it is not 0 */

/* The entry of lock, of several readers' that of m; NULL: none. mutexes_lock held. */
static struct mutexes_entry *mutexes_find(const volatile void *lock, const struct weft__m *m)
{
    struct mutexes_entry *e = mutexes[((uintptr_t)lock >> 4) % MUTEXES_BUCKETS];

    for (int i = 0; i < MUTEXES_WAYS; i++)
        if (e[i].lock == lock && (e[i].kind != MUTEXES_READ || e[i].m == m))
            return &e[i];
    return NULL;
}

/* A free entry for lock, or NULL. mutexes_lock held. */
static struct mutexes_entry *mutexes_free(const volatile void *lock)
{
    struct mutexes_entry *e = mutexes[((uintptr_t)lock >> 4) % MUTEXES_BUCKETS];

    for (int i = 0; i < MUTEXES_WAYS; i++)
        if (!e[i].lock)
            return &e[i];
    return NULL;
}

static void mutexes_count(int by)
{
    atomic_store_explicit(&mutexes_n, atomic_load_explicit(&mutexes_n, memory_order_relaxed) + (uint32_t)by, memory_order_relaxed);
}

static void mutexes_locked(const volatile void *lock, enum mutexes_kind kind, void *from)
{
    const struct weft__m *m = weft__m();

    if (!weft__g_or_null())
        return;
    weft__lock(&mutexes_lock);
    struct mutexes_entry *e = mutexes_find(lock, m);
    if (e && e->m == m && e->kind == kind) {
        e->depth++;
    } else if (e || (e = mutexes_free(lock))) {
        mutexes_count(e->lock == NULL);
        *e = (struct mutexes_entry){lock, m, from, 1, kind};
    }
    weft__unlock(&mutexes_lock);
}

/* all: it is no lock any more, or not for now. Returns whether the caller held it. */
static bool mutexes_unlocked(const volatile void *lock, bool all)
{
    const struct weft__m *m = weft__m();
    struct mutexes_entry *e;
    bool held = false;

    if (atomic_load_explicit(&mutexes_n, memory_order_relaxed) == 0)
        return false;
    weft__lock(&mutexes_lock);
    if ((e = mutexes_find(lock, m))) {
        held = e->m == m;
        if (--e->depth == 0 || all) {
            e->lock = NULL;
            mutexes_count(-1);
        }
    }
    weft__unlock(&mutexes_lock);
    return held;
}

/* ---- the check ---- */

static void mutexes_head(void *arg)
{
    static const char *const names[] = {[MUTEXES_MUTEX] = "pthread mutex", [MUTEXES_MTX] = "C11 mutex",
                                        [MUTEXES_READ] = "pthread read-write lock", [MUTEXES_WRITE] = "pthread read-write lock",
                                        [MUTEXES_SPIN] = "pthread spin lock"};
    const struct mutexes_entry *e = arg;
    bool rw = e->kind == MUTEXES_READ || e->kind == MUTEXES_WRITE;
    struct weft__where w;

    weft__where((uintptr_t)e->from - 1, true, &w);
    weft__print("fatal error: a %s is held at a park: the goroutine may wake on another thread\n"
                "\t%s %p, %s in %s", names[e->kind], rw || e->kind == MUTEXES_SPIN ? "lock" : "mutex", (const void *)(uintptr_t)e->lock,
                e->kind == MUTEXES_READ ? "locked for reading" : "locked", w.name ? w.name : "?");
    if (w.file)
        weft__print(" at %s:%d", w.file, w.line);
    weft__print("\n\thold a %s, or call weft_lock_thread first (WEFT_HELD=0 turns this check off)\n",
                rw ? "weft_rwmutex" : "weft_mutex");
}

/* Named so that dumps do not show it. */
void weft__mutexes_check(const struct weft__g *g)
{
    static struct weft__trace trace;
    const struct weft__m *m = weft__m();
    struct mutexes_entry held = {.lock = NULL};

    if (g->tied || atomic_load_explicit(&mutexes_n, memory_order_relaxed) == 0)
        return;
    weft__lock(&mutexes_lock);
    for (int i = 0; i < MUTEXES_BUCKETS * MUTEXES_WAYS && !held.lock; i++) {
        const struct mutexes_entry *at = &mutexes[i / MUTEXES_WAYS][i % MUTEXES_WAYS];
        if (at->lock && at->m == m)
            held = *at;
    }
    weft__unlock(&mutexes_lock);
    const char *e = held.lock ? getenv("WEFT_HELD") : NULL;
    if (!held.lock || (e && strcmp(e, "0") == 0))
        return;
    weft__trace_here(&trace);
    struct weft__report r = {mutexes_head, &held, (struct weft__g *)(uintptr_t)g, &trace, false, false, 2};
    weft__report(&r);
}

/* ---- what stands before the C library's ---- */

/* The definition behind ours. Two threads may both look it up, and find the same. */
static void *mutexes_next(void *_Atomic *slot, const char *name)
{
    void *at = atomic_load_explicit(slot, memory_order_relaxed);

    if (!at) {
        at = dlsym(RTLD_NEXT, name);
        atomic_store_explicit(slot, at, memory_order_relaxed);
    }
    return at;
}

#define MUTEXES_NEXT(name)     \
    static void *_Atomic next; \
    __typeof__(&name) call = (__typeof__(&name))mutexes_next(&next, #name)
/* Weak: libweft-posix has its own, which are to win where both are linked statically. */
#define MUTEXES_API __attribute__((visibility("default"), noinline, weak))

static int mutexes_got(int r, const volatile void *lock, enum mutexes_kind kind, void *from)
{
    if (r == 0 || r == EOWNERDEAD)
        mutexes_locked(lock, kind, from);
    return r;
}

_Static_assert(thrd_success == 0, "C11's results go through mutexes_got as well");

/* What takes a lock of a type: at once or waiting; until an instant; until one of a clock. */
#define MUTEXES_TAKE(name, type, kind)                                                         \
    MUTEXES_API int name(type *l)                                                              \
    {                                                                                          \
        MUTEXES_NEXT(name);                                                                    \
        return mutexes_got(call(l), l, kind, __builtin_return_address(0));                     \
    }
#define MUTEXES_TAKE_UNTIL(name, type, kind)                                                   \
    MUTEXES_API int name(type *restrict l, const struct timespec *restrict at)                 \
    {                                                                                          \
        MUTEXES_NEXT(name);                                                                    \
        return mutexes_got(call(l, at), l, kind, __builtin_return_address(0));                 \
    }
#define MUTEXES_TAKE_BY_CLOCK(name, type, kind)                                                \
    MUTEXES_API int name(type *restrict l, clockid_t clock, const struct timespec *restrict at) \
    {                                                                                          \
        MUTEXES_NEXT(name);                                                                    \
        return mutexes_got(call(l, clock, at), l, kind, __builtin_return_address(0));          \
    }
/* What gives one back, or ends it. Out of the table first: once it is unlocked another thread may lock it, or free it. */
#define MUTEXES_GIVE(result, name, type, all)                                                  \
    MUTEXES_API result name(type *l)                                                           \
    {                                                                                          \
        MUTEXES_NEXT(name);                                                                    \
        (void)mutexes_unlocked(l, all);                                                        \
        return call(l);                                                                        \
    }

MUTEXES_TAKE(pthread_mutex_lock, pthread_mutex_t, MUTEXES_MUTEX)
MUTEXES_TAKE(pthread_mutex_trylock, pthread_mutex_t, MUTEXES_MUTEX)
MUTEXES_TAKE_UNTIL(pthread_mutex_timedlock, pthread_mutex_t, MUTEXES_MUTEX)
MUTEXES_TAKE_BY_CLOCK(pthread_mutex_clocklock, pthread_mutex_t, MUTEXES_MUTEX)
MUTEXES_GIVE(int, pthread_mutex_unlock, pthread_mutex_t, false)
MUTEXES_GIVE(int, pthread_mutex_destroy, pthread_mutex_t, true)

MUTEXES_TAKE(pthread_rwlock_rdlock, pthread_rwlock_t, MUTEXES_READ)
MUTEXES_TAKE(pthread_rwlock_tryrdlock, pthread_rwlock_t, MUTEXES_READ)
MUTEXES_TAKE_UNTIL(pthread_rwlock_timedrdlock, pthread_rwlock_t, MUTEXES_READ)
MUTEXES_TAKE_BY_CLOCK(pthread_rwlock_clockrdlock, pthread_rwlock_t, MUTEXES_READ)
MUTEXES_TAKE(pthread_rwlock_wrlock, pthread_rwlock_t, MUTEXES_WRITE)
MUTEXES_TAKE(pthread_rwlock_trywrlock, pthread_rwlock_t, MUTEXES_WRITE)
MUTEXES_TAKE_UNTIL(pthread_rwlock_timedwrlock, pthread_rwlock_t, MUTEXES_WRITE)
MUTEXES_TAKE_BY_CLOCK(pthread_rwlock_clockwrlock, pthread_rwlock_t, MUTEXES_WRITE)
MUTEXES_GIVE(int, pthread_rwlock_unlock, pthread_rwlock_t, false)
MUTEXES_GIVE(int, pthread_rwlock_destroy, pthread_rwlock_t, true)

MUTEXES_TAKE(pthread_spin_lock, pthread_spinlock_t, MUTEXES_SPIN)
MUTEXES_TAKE(pthread_spin_trylock, pthread_spinlock_t, MUTEXES_SPIN)
MUTEXES_GIVE(int, pthread_spin_unlock, pthread_spinlock_t, false)
MUTEXES_GIVE(int, pthread_spin_destroy, pthread_spinlock_t, true)

MUTEXES_TAKE(mtx_lock, mtx_t, MUTEXES_MTX)
MUTEXES_TAKE(mtx_trylock, mtx_t, MUTEXES_MTX)
MUTEXES_TAKE_UNTIL(mtx_timedlock, mtx_t, MUTEXES_MTX)
MUTEXES_GIVE(int, mtx_unlock, mtx_t, false)
MUTEXES_GIVE(void, mtx_destroy, mtx_t, true)

/* A condition's wait gives the mutex back for a while, and another goroutine may have it meanwhile. */
#define MUTEXES_WAIT(next_call, kind)                                                          \
    bool held = mutexes_unlocked(l, true);                                                     \
    int r = next_call;                                                                         \
    if (held)                                                                                  \
        mutexes_locked(l, kind, __builtin_return_address(0));                                  \
    return r

MUTEXES_API int pthread_cond_wait(pthread_cond_t *restrict c, pthread_mutex_t *restrict l)
{
    MUTEXES_NEXT(pthread_cond_wait);
    MUTEXES_WAIT(call(c, l), MUTEXES_MUTEX);
}

MUTEXES_API int pthread_cond_timedwait(pthread_cond_t *restrict c, pthread_mutex_t *restrict l, const struct timespec *restrict at)
{
    MUTEXES_NEXT(pthread_cond_timedwait);
    MUTEXES_WAIT(call(c, l, at), MUTEXES_MUTEX);
}

MUTEXES_API int pthread_cond_clockwait(pthread_cond_t *restrict c, pthread_mutex_t *restrict l, clockid_t clock,
                                       const struct timespec *restrict at)
{
    MUTEXES_NEXT(pthread_cond_clockwait);
    MUTEXES_WAIT(call(c, l, clock, at), MUTEXES_MUTEX);
}

MUTEXES_API int cnd_wait(cnd_t *c, mtx_t *l)
{
    MUTEXES_NEXT(cnd_wait);
    MUTEXES_WAIT(call(c, l), MUTEXES_MTX);
}

MUTEXES_API int cnd_timedwait(cnd_t *restrict c, mtx_t *restrict l, const struct timespec *restrict at)
{
    MUTEXES_NEXT(cnd_timedwait);
    MUTEXES_WAIT(call(c, l, at), MUTEXES_MTX);
}

#elif WEFT_DEBUG

#include "hook.h"

void weft__mutexes_check(const struct weft__g *g)
{
    (void)g;
}

#else
typedef int mutexes_is_empty_in_release; /* ISO C wants a declaration */
#endif
