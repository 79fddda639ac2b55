/*
 * singleflight.c - one call at a time for each key, shared by all who ask meanwhile.
 *
 * Role    A list of the calls under way. Near include/weft/group.h, waitgroup.c. Layer 3.
 *   SF1  A call is in the list from its start to its end, or until it is forgotten.
 *   SF2  users counts the callers that still look at it; the last one frees it.
 *   SF3  out, err, returned and panic_text are written before the waitgroup reaches zero and read after.
 *   SF4  fn's end is everybody's: its result, its panic (the same message in each caller) or its goexit.
 * Locks   the group's spinlock; no user code under it.
 * Limits  The list is searched in order: meant for tens of different keys at one time.
 * Source  Go x/sync/singleflight.
 */
#include <string.h>
#include <weft/group.h>
#include <weft/unwind.h>

#include "../sched/sched.h"
#include "../sys/sys.h"
#include "../unwind/unwind_int.h"

struct weft__flight {
    struct weft__flight *next;        /* [lock] */
    weft_waitgroup over;
    uint32_t users;                   /* [lock] SF2 */
    uint32_t callers;                 /* [lock] that got, or will get, the result */
    bool listed;                      /* [lock] SF1 */
    bool returned;                    /* [SF3] */
    char *panic_text;                 /* [SF3] why it did not return; NULL: weft_goexit */
    weft_err err;                     /* [SF3] */
    void *out;                        /* [SF3] */
    weft_singleflight *group;         /* [const] */
    char key[];                       /* [const] */
};

static struct weft__lock *flight_lock(weft_singleflight *g)
{
    return (struct weft__lock *)&g->weft__lock;
}

/* Lock held. */
static struct weft__flight *flight_find(weft_singleflight *g, const char *key)
{
    struct weft__flight *f = g->weft__calls;
    while (f && strcmp(f->key, key) != 0)
        f = f->next;
    return f;
}

/* Lock held. SF1 */
static void flight_unlist(weft_singleflight *g, struct weft__flight *f)
{
    struct weft__flight **at = &g->weft__calls;
    if (!f->listed)
        return;
    while (*at != f)
        at = &(*at)->next;
    *at = f->next;
    f->listed = false;
}

static struct weft__flight *flight_new(weft_singleflight *g, const char *key)
{
    size_t len = strlen(key) + 1;
    struct weft__flight *f = weft__sys_alloc(sizeof *f + len);
    if (!f)
        weft__fatal("out of memory: weft_singleflight_do");
    memcpy(f->key, key, len);
    f->group = g;
    f->users = f->callers = 1;
    f->listed = true;
    weft_waitgroup_add(&f->over, 1);
    return f;
}

/* One caller is through with it, also by a panic or goexit that passes. */
static void flight_leave(struct weft__flight **ref_f)
{
    struct weft__flight *f = *ref_f;
    weft_singleflight *g = f->group;
    weft__lock(flight_lock(g));
    bool last = --f->users == 0;
    weft__unlock(flight_lock(g));
    if (last) {
        weft__sys_free(f->panic_text);
        weft__sys_free(f);
    }
}

/* The message of the panic that is taking the caller's frames away; NULL: it is goexit. */
static char *flight_panic_text(void)
{
    struct weft__panic *p = weft__g()->panic;
    if (!p || p->goexit)
        return NULL;
    size_t len = strlen(p->text) + 1;
    char *text = weft__sys_alloc(len);
    if (!text)
        weft__fatal("out of memory: weft_singleflight_do");
    return memcpy(text, p->text, len);
}

/* fn has returned, panicked or ended its goroutine. */
static void flight_end(struct weft__flight **ref_f)
{
    struct weft__flight *f = *ref_f;
    if (!f->returned)
        f->panic_text = flight_panic_text();
    weft__lock(flight_lock(f->group));
    flight_unlist(f->group, f);
    weft__unlock(flight_lock(f->group));
    weft_waitgroup_done(&f->over);                                         /* SF3 */
}

static void flight_run(struct weft__flight *f, weft_err (*fn)(void *, void **), void *arg)
{
    struct weft__flight *ending __attribute__((cleanup(flight_end))) = f;
    f->err = fn(arg, &f->out);
    f->returned = true;
    (void)ending;
}

/* The call for this key, under way or new. Returns whether it is new: then the caller is to run it. */
static bool flight_join(weft_singleflight *g, const char *key, struct weft__flight **ret_f)
{
    struct weft__flight *fresh = flight_new(g, key), *f;

    weft__lock(flight_lock(g));
    f = flight_find(g, key);
    if (f) {
        f->users++;
        f->callers++;
    } else {
        fresh->next = g->weft__calls;
        g->weft__calls = fresh;
    }
    weft__unlock(flight_lock(g));

    if (f)
        weft__sys_free(fresh);
    *ret_f = f ? f : fresh;
    return !f;
}

/* Run it or wait for it; leave it. SF4 */
static struct weft_singleflight_result flight_finish(struct weft__flight *f, bool run, weft_err (*fn)(void *, void **),
                                                     void *arg)
{
    struct weft__flight *leaving __attribute__((cleanup(flight_leave))) = f;
    if (run) {
        flight_run(f, fn, arg);
    } else {
        weft_waitgroup_wait(&f->over);
        if (f->panic_text)
            weft_panic("%s", f->panic_text);
        if (!f->returned)
            weft_goexit();
    }
    weft__lock(flight_lock(f->group));
    struct weft_singleflight_result r = {f->err, f->out, f->callers > 1};
    weft__unlock(flight_lock(f->group));
    (void)leaving;
    return r;
}

weft_err weft_singleflight_do(weft_singleflight *g, const char *key, weft_err (*fn)(void *arg, void **ret_out), void *arg,
                              void **ret_out, bool *ret_shared)
{
    struct weft__flight *f;
    bool run = flight_join(g, key, &f);
    struct weft_singleflight_result r = flight_finish(f, run, fn, arg);
    if (ret_out)
        *ret_out = r.out;
    if (ret_shared)
        *ret_shared = r.shared;
    return r.err;
}

static void flight_send(struct weft__flight *f, bool run, weft_err (*fn)(void *, void **), void *arg,
                        weft_chan(struct weft_singleflight_result) ch)
{
    weft_send(ch, flight_finish(f, run, fn, arg));
}

weft_receiver(struct weft_singleflight_result)
    weft_singleflight_chan(weft_singleflight *g, const char *key, weft_err (*fn)(void *arg, void **ret_out), void *arg)
{
    weft_chan(struct weft_singleflight_result) ch = weft_make(struct weft_singleflight_result, 1);
    struct weft__flight *f;
    bool run = flight_join(g, key, &f);
    weft_go(flight_send, f, run, fn, arg, ch);
    return ch;
}

void weft_singleflight_forget(weft_singleflight *g, const char *key)
{
    weft__lock(flight_lock(g));
    struct weft__flight *f = flight_find(g, key);
    if (f)
        flight_unlist(g, f);
    weft__unlock(flight_lock(g));
}
