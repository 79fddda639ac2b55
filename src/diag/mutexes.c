/*
 * mutexes.c - debug builds: the program's pthread mutexes that a goroutine holds while it parks.
 *
 * Role    A goroutine may wake on another thread, and a pthread mutex belongs to the thread that has locked it: unlocking it
 *         elsewhere is undefined, and whoever else wants it on the old thread waits for a goroutine that is not there. The
 *         lock calls are stood before, as in src/posix, and a table says who holds what. Near hook.h, check.c; ADR 0012.
 *         Layer 2.
 * Invariants
 *   HM1 a mutex is in the table at most once, with the thread of the goroutine that locked it last.
 * Locks   mutexes_lock, for a few instructions; nothing is called under it.
 * Limits  1,024 mutexes at a time, 4 to a bucket; more are not watched. Not those that a thread without goroutine locks, nor
 *         one that a goroutine gets back from pthread_cond_wait after another had it. Read-write and spin locks are not
 *         watched. Not under ThreadSanitizer, which stands before the same calls. A goroutine that keeps its thread
 *         (weft_lock_thread, libweft-posix, a thread of the program) may hold what it likes.
 */
#include "diag.h"

#if WEFT_DEBUG && !WEFT__TSAN && !defined(WEFT_SIM)

#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "hook.h"

enum { MUTEXES_BUCKETS = 256, MUTEXES_WAYS = 4 };

struct mutexes_entry {
    const pthread_mutex_t *mutex;    /* [lock] NULL: free */
    const struct weft__m *m;         /* [lock] who holds it */
    void *from;                      /* [lock] where it was locked */
    uint32_t depth;                  /* [lock] of a recursive one */
};

static struct weft__lock mutexes_lock;
static struct mutexes_entry mutexes[MUTEXES_BUCKETS][MUTEXES_WAYS]; /* [lock] HM1 */
static _Atomic uint32_t mutexes_n;   /* [lock for writes; stat] in the table: a park looks only where it is not 0 */

/* The entry of mutex, or with NULL a free one for it; NULL: none. Lock held. */
static struct mutexes_entry *mutexes_find(const pthread_mutex_t *key, const pthread_mutex_t *is)
{
    struct mutexes_entry *e = mutexes[((uintptr_t)key >> 4) % MUTEXES_BUCKETS];

    for (int i = 0; i < MUTEXES_WAYS; i++)
        if (e[i].mutex == is)
            return &e[i];
    return NULL;
}

static void mutexes_count(int by)
{
    atomic_store_explicit(&mutexes_n, atomic_load_explicit(&mutexes_n, memory_order_relaxed) + (uint32_t)by, memory_order_relaxed);
}

static void mutexes_locked(const pthread_mutex_t *mutex, void *from)
{
    const struct weft__m *m = weft__m();

    if (!weft__g_or_null())
        return;
    weft__lock(&mutexes_lock);
    struct mutexes_entry *e = mutexes_find(mutex, mutex);
    if (e && e->m == m) {
        e->depth++;
    } else if (e || (e = mutexes_find(mutex, NULL))) {
        mutexes_count(e->mutex == NULL);
        *e = (struct mutexes_entry){mutex, m, from, 1};
    }
    weft__unlock(&mutexes_lock);
}

/* all: it is no mutex any more. */
static void mutexes_unlocked(const pthread_mutex_t *mutex, bool all)
{
    if (atomic_load_explicit(&mutexes_n, memory_order_relaxed) == 0)
        return;
    weft__lock(&mutexes_lock);
    struct mutexes_entry *e = mutexes_find(mutex, mutex);
    if (e && (--e->depth == 0 || all)) {
        e->mutex = NULL;
        mutexes_count(-1);
    }
    weft__unlock(&mutexes_lock);
}

/* ---- the check ---- */

static void mutexes_head(void *arg)
{
    const struct mutexes_entry *e = arg;
    struct weft__where w;

    weft__where((uintptr_t)e->from - 1, true, &w);
    weft__print("fatal error: a pthread mutex is held at a park: the goroutine may wake on another thread\n"
                "\tmutex %p, locked in %s", (const void *)e->mutex, w.name ? w.name : "?");
    if (w.file)
        weft__print(" at %s:%d", w.file, w.line);
    weft__print("\n\thold a weft_mutex, or call weft_lock_thread first (WEFT_HELD=0 turns this check off)\n");
}

/* Named so that dumps do not show it. */
void weft__mutexes_check(const struct weft__g *g)
{
    static struct weft__trace trace;
    const struct weft__m *m = weft__m();
    struct mutexes_entry held = {.mutex = NULL};

    if (g->tied || atomic_load_explicit(&mutexes_n, memory_order_relaxed) == 0)
        return;
    weft__lock(&mutexes_lock);
    for (int i = 0; i < MUTEXES_BUCKETS * MUTEXES_WAYS && !held.mutex; i++) {
        const struct mutexes_entry *at = &mutexes[i / MUTEXES_WAYS][i % MUTEXES_WAYS];
        if (at->mutex && at->m == m)
            held = *at;
    }
    weft__unlock(&mutexes_lock);
    const char *e = held.mutex ? getenv("WEFT_HELD") : NULL;
    if (!held.mutex || (e && strcmp(e, "0") == 0))
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

#define MUTEXES_NEXT(name, type) \
    static void *_Atomic next;   \
    type call = (type)mutexes_next(&next, name)
/* Weak: libweft-posix has its own, which are to win where both are linked statically. */
#define MUTEXES_API __attribute__((visibility("default"), noinline, weak))

typedef int (*mutexes_fn)(pthread_mutex_t *);
typedef int (*mutexes_timed_fn)(pthread_mutex_t *, const struct timespec *);

static int mutexes_got(int r, const pthread_mutex_t *mutex, void *from)
{
    if (r == 0 || r == EOWNERDEAD)
        mutexes_locked(mutex, from);
    return r;
}

MUTEXES_API int pthread_mutex_lock(pthread_mutex_t *mutex)
{
    MUTEXES_NEXT("pthread_mutex_lock", mutexes_fn);
    return mutexes_got(call(mutex), mutex, __builtin_return_address(0));
}

MUTEXES_API int pthread_mutex_trylock(pthread_mutex_t *mutex)
{
    MUTEXES_NEXT("pthread_mutex_trylock", mutexes_fn);
    return mutexes_got(call(mutex), mutex, __builtin_return_address(0));
}

MUTEXES_API int pthread_mutex_timedlock(pthread_mutex_t *mutex, const struct timespec *until)
{
    MUTEXES_NEXT("pthread_mutex_timedlock", mutexes_timed_fn);
    return mutexes_got(call(mutex, until), mutex, __builtin_return_address(0));
}

/* Out of the table first: once it is unlocked another thread may lock it, or free it. */
MUTEXES_API int pthread_mutex_unlock(pthread_mutex_t *mutex)
{
    MUTEXES_NEXT("pthread_mutex_unlock", mutexes_fn);
    mutexes_unlocked(mutex, false);
    return call(mutex);
}

MUTEXES_API int pthread_mutex_destroy(pthread_mutex_t *mutex)
{
    MUTEXES_NEXT("pthread_mutex_destroy", mutexes_fn);
    mutexes_unlocked(mutex, true);
    return call(mutex);
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
