/*
 * weft/chan.h - channels: typed, directional, buffered or not. Select is in weft/select.h.
 *
 * weft_chan(T) is a channel of T, weft_sender(T) its send-only view, weft_receiver(T) its receive-only view. They need
 * no declaration per T and can be a variable, a parameter, a struct field or another channel's element. A weft_chan(T)
 * converts to either view by itself; nothing converts back. T may be any complete type of at most 65,536 bytes whose
 * size is constant: numbers, pointers, structs, unions, function pointers, arrays, const types.
 *
 * How it works: a channel of T is the structural pointer type T (**)[5801], with const (receiver) or volatile (sender)
 * on the inner pointer. C's own rule for qualifiers gives the conversion one way; -Wdiscarded-qualifiers, made an error
 * at the end of this header, forbids the other. The pointers are never followed: they name a struct weft__chan.
 *
 * Every macro evaluates each of its arguments once. A NULL channel is Go's nil channel. Calls that may park say so; the
 * others never do, and any thread may make them.
 *
 * Differs from Go  weft_free (there is no collector). An array element is sent from an array lvalue and received by
 *                  weft_recv_ok, weft_try_recv or weft_range, as C functions and expressions have no array values. A
 *                  struct cannot hold a channel of itself (C asks for a complete type): use a channel of pointers.
 * Source  Go spec "Channel types", "Send statements", "Receive operator", "Close"; runtime/chan.go.
 */
#ifndef WEFT_CHAN_H
#define WEFT_CHAN_H
#include <weft/call.h>

#pragma GCC system_header

struct weft__chan;

#define WEFT__CHAN_TAG 5801
#define weft_chan(T) __typeof__(__typeof__(T)(**)[WEFT__CHAN_TAG])
#define weft_sender(T) __typeof__(__typeof__(T)(*volatile *)[WEFT__CHAN_TAG])
#define weft_receiver(T) __typeof__(__typeof__(T)(*const *)[WEFT__CHAN_TAG])

/* ---- what the macros are made of ---- */
/* the element as declared; as a value (unqualified, an array decays); as a variable to receive into */
#define WEFT__ELEM(ch) __typeof__(***(ch))
#define WEFT__VALUE(ch) __typeof__(((void)0, ***(ch)))
#define WEFT__IS_ARRAY(ch) (!__builtin_types_compatible_p(WEFT__ELEM(ch), WEFT__VALUE(ch)))
#define WEFT__VAR(ch) \
    __typeof__(*__builtin_choose_expr(WEFT__IS_ARRAY(ch), (WEFT__ELEM(ch) *)0, (WEFT__VALUE(ch) *)0))
#define WEFT__IS_VIEW(ch, qual) \
    __builtin_types_compatible_p(__typeof__(ch), __typeof__(WEFT__ELEM(ch)(*qual *)[WEFT__CHAN_TAG]))

#define WEFT__CHECK_CHAN(what, ch)                                                                         \
    _Static_assert(__builtin_classify_type(ch) == 5, what ": this is not a channel");                      \
    _Static_assert(__builtin_types_compatible_p(__typeof__(**(ch)), __typeof__(WEFT__ELEM(ch)[WEFT__CHAN_TAG])), \
                   what ": this is not a channel");                                                        \
    _Static_assert(sizeof(***(ch)) <= 65536, what ": an element is at most 65536 bytes, of constant size")
#define WEFT__CHECK_SEND(what, ch)   \
    WEFT__CHECK_CHAN(what, ch);      \
    _Static_assert(!WEFT__IS_VIEW(ch, const), what ": cannot send on a receive-only channel (weft_receiver)")
#define WEFT__CHECK_RECV(what, ch)   \
    WEFT__CHECK_CHAN(what, ch);      \
    _Static_assert(!WEFT__IS_VIEW(ch, volatile), what ": cannot receive from a send-only channel (weft_sender)")
#define WEFT__CHECK_CLOSE(what, ch)  \
    WEFT__CHECK_CHAN(what, ch);      \
    _Static_assert(!WEFT__IS_VIEW(ch, const), what ": cannot close a receive-only channel (weft_receiver)")
/* address of the value to send: of the variable that holds it, or the array that it decayed from */
#define WEFT__SEND_PTR(ch, v) __builtin_choose_expr(WEFT__IS_ARRAY(ch), v, &v)

/**
 * weft_make - a new channel.
 *
 * @T        element type.
 * @cap      values it can hold, 0 .. 2^31-1; left out or 0: unbuffered, a send waits for its receiver.
 *
 * Returns   weft_chan(T), open and empty; end it with weft_free.
 * Errors    panics "makechan: size out of range". Out of memory is a fatal error, as in Go.
 * Costs     one allocation, which holds the buffer too.
 * Source    Go make(chan T, n).
 */
#define weft_make(...) WEFT__CAT(WEFT__MAKE, WEFT__MORE(__VA_ARGS__))(__VA_ARGS__)
#define WEFT__MAKE0(T) WEFT__MAKE1(T, 0)
#define WEFT__MAKE1(T, cap_)                                                                                      \
    __extension__({                                                                                               \
        _Static_assert(sizeof(__typeof__(T)) <= 65536, "weft_make: an element is at most 65536 bytes");            \
        (weft_chan(T))weft__chan_make(sizeof(__typeof__(T)), (int64_t)((cap_) * 1));                               \
    })
WEFT_API void *weft__chan_make(size_t elem_size, int64_t cap);

/**
 * weft_free - end a channel that nobody uses any more; values still in it are dropped.
 *
 * @ch       any view of the channel; NULL is fine.
 *
 * Errors    panics "free of a channel in use" when a goroutine is parked on it; debug builds (WEFT_DEBUG) also find
 *           "use of a freed channel".
 * Parks     shortly, when a select that another channel has just woken has not left this one yet.
 * Owns      the caller sees to it that no other goroutine is about to use ch. Not for channels of timers or contexts.
 */
#define weft_free(ch)                     \
    __extension__({                       \
        WEFT__CHECK_CHAN("weft_free", ch); \
        (weft_free)(ch);                  \
    })
WEFT_API WEFT_PARKS void(weft_free)(const volatile void *ch);

/**
 * weft_send - send a value; its type is checked and converted as by assignment.
 *
 * @ch       weft_chan(T) or weft_sender(T); NULL blocks for ever.
 * @v        the value; a braced initializer works too.
 *
 * Errors    panics "send on closed channel", also when it is closed while this waits.
 * Parks     until a receiver takes the value or a slot of the buffer is free; waiters are served in order.
 * Calls     goroutines; another thread becomes a goroutine tied to it.
 * Orders    what was done before the send happens before what follows the receive of that value.
 * Costs     no allocation.
 */
#define weft_send(ch, ...)                                               \
    __extension__({                                                      \
        WEFT__CHECK_SEND("weft_send", ch);                               \
        WEFT__VALUE(ch) weft__v = __VA_ARGS__;                           \
        weft__chan_send((ch), WEFT__SEND_PTR(ch, weft__v));              \
    })
WEFT_API WEFT_PARKS void weft__chan_send(const volatile void *ch, const void *v);

/**
 * weft_recv - receive a value.
 *
 * @ch       weft_chan(T) or weft_receiver(T); NULL blocks for ever.
 *
 * Returns   the value; the zero value of T once the channel is closed and drained.
 * Parks     until there is a value or the channel is closed; waiters are served in order.
 * Orders    the send of a value happens before its receive; a close before the receive that returns because of it; the
 *           receive of item k before the send of item k + cap completes.
 */
#define weft_recv(ch)                                                                                         \
    __extension__({                                                                                           \
        WEFT__CHECK_RECV("weft_recv", ch);                                                                    \
        _Static_assert(!WEFT__IS_ARRAY(ch), "weft_recv: an array has no value in C: use weft_recv_ok(ch, &a)"); \
        WEFT__VAR(ch) weft__v;                                                                                \
        (void)weft__chan_recv((ch), &weft__v);                                                                \
        weft__v;                                                                                              \
    })
/**
 * weft_recv_ok - receive a value, and whether it is one.
 *
 * @ch       as for weft_recv.
 * @ret_v    T *, or NULL to drop the value; zeroed when the result is false.
 *
 * Returns   true for a value that was sent, false once the channel is closed and drained.
 * Parks     as weft_recv.
 */
#define weft_recv_ok(ch, ret_v)                   \
    __extension__({                               \
        WEFT__CHECK_RECV("weft_recv_ok", ch);     \
        WEFT__VAR(ch) *weft__v = (ret_v);         \
        weft__chan_recv((ch), weft__v);           \
    })
WEFT_API WEFT_PARKS bool weft__chan_recv(const volatile void *ch, void *ret_v);

/**
 * weft_try_send - send if that needs no wait: select with one case and a default.
 *
 * Returns   true: sent; false: it would park (always for NULL).
 * Errors    panics "send on closed channel".
 * Parks     never. Any thread.
 * Costs     no lock when the channel is full.
 */
#define weft_try_send(ch, ...)                                           \
    __extension__({                                                      \
        WEFT__CHECK_SEND("weft_try_send", ch);                           \
        WEFT__VALUE(ch) weft__v = __VA_ARGS__;                           \
        weft__chan_try_send((ch), WEFT__SEND_PTR(ch, weft__v));          \
    })
WEFT_API bool weft__chan_try_send(const volatile void *ch, const void *v);

/**
 * weft_try_recv - receive if that needs no wait.
 *
 * @ret_v    T *, or NULL to drop the value; zeroed when the result is -1, left as it was when 0.
 *
 * Returns   1 a value; 0 it would park (always for NULL); -1 closed and drained.
 * Parks     never. Any thread.
 * Costs     no lock when the channel is empty.
 */
#define weft_try_recv(ch, ret_v)                  \
    __extension__({                               \
        WEFT__CHECK_RECV("weft_try_recv", ch);    \
        WEFT__VAR(ch) *weft__v = (ret_v);         \
        weft__chan_try_recv((ch), weft__v);       \
    })
WEFT_API int weft__chan_try_recv(const volatile void *ch, void *ret_v);

/**
 * weft_close - no more values will be sent.
 *
 * @ch       weft_chan(T) or weft_sender(T).
 *
 * Errors    panics "close of closed channel", "close of nil channel". Goroutines parked in a send panic.
 * Parks     never; wakes all that wait. Any thread. `weft_defer(weft_close, ch)` works.
 */
#define weft_close(ch)                        \
    __extension__({                           \
        WEFT__CHECK_CLOSE("weft_close", ch);  \
        (weft_close)(ch);                     \
    })
WEFT_API void(weft_close)(volatile void *ch);

/** weft_len - values in the buffer now; 0 for NULL, for unbuffered and for timer channels. Any thread. */
#define weft_len(ch)                          \
    __extension__({                           \
        WEFT__CHECK_CHAN("weft_len", ch);     \
        (weft_len)(ch);                       \
    })
WEFT_API size_t(weft_len)(const volatile void *ch);

/** weft_cap - values that the buffer can hold; 0 for NULL, for unbuffered and for timer channels. Any thread. */
#define weft_cap(ch)                          \
    __extension__({                           \
        WEFT__CHECK_CHAN("weft_cap", ch);     \
        (weft_cap)(ch);                       \
    })
WEFT_API size_t(weft_cap)(const volatile void *ch);

/**
 * weft_range - `weft_range(v, ch) { ... }` runs the block for each value received, until closed and drained.
 *
 * @v        name of a variable of type T that this declares.
 * @ch       as for weft_recv; evaluated once.
 *
 * break, continue, return and goto mean what they mean in a for loop.
 */
#define weft_range(v, ch) WEFT__RANGE(v, ch, WEFT__CAT(weft__c_, __COUNTER__), WEFT__CAT(weft__o_, __COUNTER__))
#define WEFT__RANGE(v, ch, c, once)                                      \
    for (__typeof__(ch) c = (ch), *once = &c; once; once = 0) \
        for (WEFT__VAR(ch) v; __extension__({                            \
                 WEFT__CHECK_RECV("weft_range", ch);                     \
                 weft__chan_recv(c, &v);                                 \
             });)

/* Conversions that lose a direction or mix element types are errors from here on (see "How it works"). */
#pragma GCC diagnostic error "-Wincompatible-pointer-types"
#pragma GCC diagnostic error "-Wint-conversion"
#ifdef __clang__
#pragma GCC diagnostic error "-Wincompatible-pointer-types-discards-qualifiers"
#else
#pragma GCC diagnostic error "-Wdiscarded-qualifiers"
#endif

#endif
