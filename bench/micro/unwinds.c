/*
 * unwinds.c - context, defer, try and panic: twin of the second half of bench go/syncs.go.
 */
#include "bench.h"

static void ctx_cancel(long n)
{
    for (long i = 0; i < n; i++) {
        weft_ctx *x = weft_with_cancel(weft_background());
        weft_cancel(x);
        weft_ctx_unref(x);
    }
}

static void ctx_child(long n)
{
    weft_ctx *p = weft_with_cancel(weft_background());
    for (long i = 0; i < n; i++) {
        weft_ctx *x = weft_with_cancel(p);
        weft_cancel(x);
        weft_ctx_unref(x);
    }
    weft_cancel(p);
    weft_ctx_unref(p);
}

static void ctx_timeout(long n)
{
    for (long i = 0; i < n; i++) {
        weft_ctx *x = weft_with_timeout(weft_background(), 1000 * WEFT_SEC);
        weft_cancel(x);
        weft_ctx_unref(x);
    }
}

static weft_ctx *kids[1000];

static void ctx_tree(long n)
{
    for (long i = 0; i < n; i += 1000) {
        weft_ctx *p = weft_with_cancel(weft_background());
        for (int j = 0; j < 1000; j++)
            kids[j] = weft_with_cancel(p);
        weft_cancel(p);
        for (int j = 0; j < 1000; j++)
            weft_ctx_unref(kids[j]);
        weft_ctx_unref(p);
    }
}

static void tree_waiter(weft_ctx *x, weft_waitgroup *ready)
{
    weft_waitgroup_done(ready);
    (void)weft_recv(weft_ctx_done(x));
}

static void ctx_tree_wait(long n)
{
    for (long i = 0; i < n; i += 1000) {
        weft_ctx *p = weft_with_cancel(weft_background());
        weft_waitgroup wg = {0}, ready = {0};
        weft_waitgroup_add(&ready, 1000);
        for (int j = 0; j < 1000; j++) {
            kids[j] = weft_with_cancel(p);
            weft_waitgroup_go(&wg, tree_waiter, kids[j], &ready);
        }
        weft_waitgroup_wait(&ready);
        weft_cancel(p);
        weft_waitgroup_wait(&wg);
        for (int j = 0; j < 1000; j++)
            weft_ctx_unref(kids[j]);
        weft_ctx_unref(p);
    }
}

static weft_ctx *probe;

static void ctx_done(long n)
{
    long s = 0;
    for (long i = 0; i < n; i++)
        if (weft_select(weft_on_recv(weft_ctx_done(probe), NULL), weft_on_default) == 0)
            s++;
    sink = s;
}

static void ctx_err(long n)
{
    long s = 0;
    for (long i = 0; i < n; i++)
        if (weft_ctx_err(probe) != 0)
            s++;
    sink = s;
}

BENCH(ctx)
{
    const char *m = flags.mode;
    if (!strcmp(m, "withcancel"))
        bench_run("ctx_withcancel_cancel", "create+cancel", 5000000, ctx_cancel);
    else if (!strcmp(m, "withcancel_child"))
        bench_run("ctx_withcancel_child_cancel", "create+cancel", 2000000, ctx_child);
    else if (!strcmp(m, "withtimeout"))
        bench_run("ctx_withtimeout_cancel", "create+cancel", 1000000, ctx_timeout);
    else if (!strcmp(m, "tree"))
        bench_run("ctx_tree1000_create_cancel", "child", 1000000, ctx_tree);
    else if (!strcmp(m, "tree_wait"))
        bench_run("ctx_tree1000_cancel_wakes_goroutines", "child", 300000, ctx_tree_wait);
    else if (!strcmp(m, "done") || !strcmp(m, "err")) {
        probe = weft_with_cancel(weft_background());
        if (*m == 'd')
            bench_run("ctx_done_select_default", "poll", 100000000, ctx_done);
        else
            bench_run("ctx_err", "poll", 100000000, ctx_err);
        weft_ctx_unref(probe);
    } else
        bench_die("-mode withcancel, withcancel_child, withtimeout, tree, tree_wait, done or err");
}

__attribute__((noinline)) static void nop(void) { sink++; }
__attribute__((noinline)) static void call_direct(void) { nop(); }
__attribute__((noinline)) static void call_defer(void) { weft_defer(nop); }
__attribute__((noinline)) static void thrower(void) { weft_panic("x"); }

static volatile int armed = 1; /* always: keeps compilers from warning of endless recursion */

__attribute__((noinline)) static void deep_panic(int d)
{
    if (d == 0 && armed)
        weft_panic("x");
    if (d > 0)
        deep_panic(d - 1);
    sink++;
}

__attribute__((noinline)) static void deep_panic_defer(int d)
{
    if (d == 0 && armed)
        weft_panic("x");
    weft_defer(nop);
    if (d > 0)
        deep_panic_defer(d - 1);
}

static void recover_1(long n)
{
    for (long i = 0; i < n; i++)
        if (!weft_try(thrower))
            bench_die("no panic");
}

static void recover_10(long n)
{
    for (long i = 0; i < n; i++)
        if (!weft_try(deep_panic, 10))
            bench_die("no panic");
}

static void recover_10_defer(long n)
{
    for (long i = 0; i < n; i++)
        if (!weft_try(deep_panic_defer, 10))
            bench_die("no panic");
}

static void try_quiet(long n)
{
    for (long i = 0; i < n; i++)
        if (weft_try(nop))
            bench_die("panic");
}

static void calls(long n)
{
    for (long i = 0; i < n; i++)
        call_direct();
}

static void defers(long n)
{
    for (long i = 0; i < n; i++)
        call_defer();
}

/* try_call has no Go twin: Go has no catch without a deferred call. */
BENCH(panic)
{
    const char *m = flags.mode;
    if (!strcmp(m, "recover"))
        bench_run("panic_recover", "panic+recover", 3000000, recover_1);
    else if (!strcmp(m, "recover10"))
        bench_run("panic_recover_depth10", "panic+recover", 1000000, recover_10);
    else if (!strcmp(m, "recover10defer"))
        bench_run("panic_recover_depth10_10defers", "panic+recover", 1000000, recover_10_defer);
    else if (!strcmp(m, "call"))
        bench_run("call_direct", "call", 200000000, calls);
    else if (!strcmp(m, "defer"))
        bench_run("call_with_1_defer", "call", 200000000, defers);
    else if (!strcmp(m, "try"))
        bench_run("call_with_try", "call", 200000000, try_quiet);
    else
        bench_die("-mode recover, recover10, recover10defer, call, defer or try");
}
