/*
 * weft/small.h - small-stack mode (pkg-config weft-small): the calls that may be made on a small stack. Not for direct use.
 *
 * Included by weft.h under WEFT_SMALL. A goroutine whose function was compiled with -fsplit-stack starts on a stack of
 * about 0.7 KiB. A function that calls libc, libweft or any other code without stack checks by name runs on a full
 * stack while it lasts (the linker sees to it); the calls below are made from the small stack, and weft_send and weft_recv
 * also wait there. weft_go, weft_defer, weft_try and the like make the function that holds them run on a full stack.
 *
 * Limits  x86-64; gold or lld (the program ends at its start otherwise). Never call a function that was not compiled
 *         with -fsplit-stack through a pointer, unless from a function that runs on a full stack anyway: it would overflow.
 *         Signal handlers need SA_ONSTACK. No sanitizers. docs/adr/0006-small-stacks.md has the whole list.
 */
#ifndef WEFT_SMALL_H
#define WEFT_SMALL_H

#include <weft/chan.h>
#include <weft/go.h>
#include <weft/sync.h>

#pragma GCC system_header

extern WEFT_API void weft__small_needs_full(void);
WEFT_API WEFT_PARKS bool weft__small_chan_recv(const volatile void *ch, void *ret_v);
WEFT_API WEFT_PARKS void weft__small_chan_send(const volatile void *ch, const void *v);
WEFT_API int weft__small_try_recv(const volatile void *ch, void *ret_v);
WEFT_API bool weft__small_try_send(const volatile void *ch, const void *v);
WEFT_API void weft__small_waitgroup_add(weft_waitgroup *wg, int n);
WEFT_API void weft__small_waitgroup_done(weft_waitgroup *wg);
WEFT_API WEFT_PARKS void weft__small_yield(void);
WEFT_API WEFT_PARKS void weft__small_sleep(weft_dur d);
#define weft__chan_recv weft__small_chan_recv
#define weft__chan_send weft__small_chan_send
#define weft__chan_try_recv weft__small_try_recv
#define weft__chan_try_send weft__small_try_send
/**
 * weft_waitgroup_add, weft_waitgroup_done, weft_yield, weft_sleep - as everywhere, from a small stack too.
 *
 * Each runs, and parks, on a full stack that the thread lends for as long. Source: the headers sync.h and go.h.
 */
#define weft_waitgroup_add weft__small_waitgroup_add
#define weft_waitgroup_done weft__small_waitgroup_done
#define weft_yield weft__small_yield
#define weft_sleep weft__small_sleep

/* Every macro that hands a call over through a pointer checks its result first: the linker cannot see such a call. */
#undef WEFT__CHECK_RESULT
#define WEFT__CHECK_RESULT(what, fn_, ...)                             \
    _Static_assert(sizeof(__typeof__((fn_)(__VA_ARGS__))) <= 8,        \
                   what ": the function must return void or a scalar"); \
    weft__small_needs_full()

#endif
