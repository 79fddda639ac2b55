/*
 * weft/short.h - on request only: the macros of weft.h without the prefix.
 *
 * Left out, because libc has a function or a type of that name: send, recv, select, close, free, sleep. All but the
 * words of the block select are function-like, so that variables and fields called range, len or make keep working.
 */
#ifndef WEFT_SHORT_H
#define WEFT_SHORT_H
#include <weft/weft.h>

#define go(...) weft_go(__VA_ARGS__)
#define go_named(...) weft_go_named(__VA_ARGS__)
#define go_stack(...) weft_go_stack(__VA_ARGS__)
#define defer(...) weft_defer(__VA_ARGS__)
#define try(...) weft_try(__VA_ARGS__)

#define chan(T) weft_chan(T)
#define sender(T) weft_sender(T)
#define receiver(T) weft_receiver(T)
#define make(...) weft_make(__VA_ARGS__)
#define recv_ok(ch, ret_v) weft_recv_ok(ch, ret_v)
#define try_send(ch, ...) weft_try_send(ch, __VA_ARGS__)
#define try_recv(ch, ret_v) weft_try_recv(ch, ret_v)
#define len(ch) weft_len(ch)
#define cap(ch) weft_cap(ch)
#define range(v, ch) weft_range(v, ch)

#define on_recv(ch, ret_v) weft_on_recv(ch, ret_v)
#define on_recv_ok(ch, ret_v, ret_ok) weft_on_recv_ok(ch, ret_v, ret_ok)
#define on_send(ch, ...) weft_on_send(ch, __VA_ARGS__)
#define on_send_ptr(ch, p) weft_on_send_ptr(ch, p)
#define on_timeout(d) weft_on_timeout(d)
#define on_default weft_on_default

#define select_begin weft_select_begin
#define select_end weft_select_end
#define when_recv(v, ch) weft_when_recv(v, ch)
#define when_recv_ok(v, ok, ch) weft_when_recv_ok(v, ok, ch)
#define when_send(ch, ...) weft_when_send(ch, __VA_ARGS__)
#define when_timeout(d) weft_when_timeout(d)
#define when_default weft_when_default

#endif
