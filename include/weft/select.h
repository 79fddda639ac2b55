/*
 * weft/select.h - wait for the first of several channel operations.
 *
 *   switch (weft_select(weft_on_recv(jobs, &job), weft_on_recv_ok(quit, NULL, &ok), weft_on_send(out, r),
 *                       weft_on_timeout(50 * WEFT_MS), weft_on_default)) {
 *   case 0: ...
 *   }
 *
 * Cases are numbered from 0 as listed. A NULL channel's case is never ready. The choice among ready cases is uniform,
 * whether they are ready at the call or while it waits. Channels and values are evaluated once, before it begins.
 *
 * Differs from Go  weft_on_timeout stands for `case <-time.After(d)` and needs no channel; values are received into the
 *                  caller's variables, which only the chosen case changes.
 * Source  Go spec "Select statements"; runtime/select.go; reflect.Select.
 */
#ifndef WEFT_SELECT_H
#define WEFT_SELECT_H
#include <weft/chan.h>

#pragma GCC system_header

enum { WEFT__CASE_NONE, WEFT__CASE_RECV, WEFT__CASE_SEND, WEFT__CASE_TIMEOUT, WEFT__CASE_DEFAULT };

/* One case, made by a weft_on_* macro (as an initializer or by assignment); zeroed: never ready. Fields are private. The first
 * is no void *: a channel that stands alone in the list would initialize it. */
struct weft_case {
    struct weft__chan *weft__ch;
    void *weft__p;        /* the value: to send, or where to receive; may be NULL for a receive */
    bool *weft__ok;       /* weft_on_recv_ok, or NULL */
    weft_dur weft__d;     /* weft_on_timeout */
    unsigned weft__kind;  /* WEFT__CASE_* */
};

/**
 * weft_on_recv, weft_on_recv_ok - a case that receives.
 *
 * @ch       weft_chan(T) or weft_receiver(T); NULL is never ready.
 * @ret_v    T *, or NULL to drop the value; zeroed when the channel is closed and drained.
 * @ret_ok   bool *, or NULL: true for a value that was sent.
 */
#define weft_on_recv(ch, ret_v) WEFT__ON_RECV("weft_on_recv", ch, ret_v, NULL)
#define weft_on_recv_ok(ch, ret_v, ret_ok) WEFT__ON_RECV("weft_on_recv_ok", ch, ret_v, ret_ok)
#define WEFT__ON_RECV(what, ch, ret_v, ret_ok)                 \
    (__extension__(struct weft_case){                          \
        .weft__ch = (void *)(uintptr_t)(ch),                   \
        .weft__p = __extension__({                             \
            WEFT__CHECK_RECV(what, ch);                        \
            WEFT__VAR(ch) *weft__v = (ret_v);                  \
            (void *)weft__v;                                   \
        }),                                                    \
        .weft__ok = (ret_ok),                                  \
        .weft__kind = WEFT__CASE_RECV})

/**
 * weft_on_send - a case that sends a value.
 *
 * @ch       weft_chan(T) or weft_sender(T); NULL is never ready.
 * @v        the value, evaluated now even when another case is chosen. It lives until the enclosing block ends: a list
 *           that is filled in a loop needs weft_on_send_ptr.
 */
#define weft_on_send(ch, ...)                                                                          \
    (__extension__(struct weft_case){                                                                  \
        .weft__ch = (void *)(uintptr_t)(ch),                                                           \
        .weft__p = weft__case_ptr(WEFT__IS_ARRAY(ch), (WEFT__VALUE(ch)[1]){__extension__({             \
                                                          WEFT__CHECK_SEND("weft_on_send", ch);        \
                                                          WEFT__VALUE(ch) weft__v = __VA_ARGS__;       \
                                                          weft__v;                                     \
                                                      })}),                                            \
        .weft__kind = WEFT__CASE_SEND})

/**
 * weft_on_send_ptr - a case that sends *p, read when the case is chosen.
 *
 * @p        const T *, which stays good until the select has returned.
 */
#define weft_on_send_ptr(ch, p)                                \
    (__extension__(struct weft_case){                          \
        .weft__ch = (void *)(uintptr_t)(ch),                   \
        .weft__p = __extension__({                             \
            WEFT__CHECK_SEND("weft_on_send_ptr", ch);          \
            const WEFT__VAR(ch) *weft__v = (p);                \
            (void *)(uintptr_t)weft__v;                        \
        }),                                                    \
        .weft__kind = WEFT__CASE_SEND})

/**
 * weft_on_timeout - a case that is ready once d has passed since the select began.
 *
 * @d        nanoseconds; 0 or less: chosen at once when no channel case is ready (a default in the same select wins).
 *           Of several timeouts the shortest counts, the first listed of equal ones.
 */
#define weft_on_timeout(d) (__extension__(struct weft_case){.weft__d = (d), .weft__kind = WEFT__CASE_TIMEOUT})

/** weft_on_default - the case that is chosen when no other is ready. At most one in a select. */
#define weft_on_default (__extension__(struct weft_case){.weft__kind = WEFT__CASE_DEFAULT})

/**
 * weft_select - perform one of the cases; waits until one is ready.
 *
 * Returns   the number of the case performed, counted from 0 as listed.
 * Errors    panics "send on closed channel"; "select: more than one default", where no case is ready.
 * Parks     unless a case is ready or there is a default. With no case at all: for ever.
 * Orders    as the operation chosen: see weft_send, weft_recv.
 * Costs     no allocation up to 8 cases.
 */
#define weft_select(...)                                                               \
    __extension__({                                                                    \
        struct weft_case weft__cases[] = {__VA_ARGS__};                                \
        weft_selectv(weft__cases, (int)(sizeof weft__cases / sizeof(struct weft_case))); \
    })

/**
 * weft_selectv - weft_select with a computed list.
 *
 * @cases    n cases; read only.
 * @n        0 .. 65,536; more is a fatal error. Zeroed entries count in the numbering and are never ready.
 *
 * Returns   the number of the case performed, from 0. Errors, Parks, Orders: as weft_select.
 * Costs     one allocation above 8 cases, none below.
 * Source    Go reflect.Select.
 */
WEFT_API WEFT_PARKS int weft_selectv(const struct weft_case *cases, int n);

static inline void *weft__case_ptr(bool is_array, void *p)
{
    return is_array ? *(void **)p : p;
}

/*
 * Block form:
 *   weft_select_begin
 *       weft_when_recv(v, jobs) { ... v ... }
 *       weft_when_recv_ok(v, ok, quit) { ... }
 *       weft_when_send(out, r) { ... }
 *       weft_when_timeout(50 * WEFT_MS) { ... }
 *       weft_when_default { ... }
 *   weft_select_end
 * weft_when_recv declares v (and ok) for its block. break leaves the select; continue and return mean the caller's
 * loop and function. Nothing but cases may stand between begin and end. At most 16 cases (more is a fatal error).
 *
 * How: the text between begin and end runs twice. The first time each case only adds itself to the list; then the list
 * is selected, and the second time the block of the chosen case runs. Values wait in weft__pool, large ones in memory
 * that the cleanup function gives back however the block is left.
 */
#define WEFT__BLOCK_CASES 16
#define WEFT__BLOCK_POOL 192
struct weft__block {
    int picked;            /* -1: collecting */
    int n, at;             /* cases collected; cases passed in the second run */
    unsigned used;         /* bytes of the pool */
    void *big;             /* list of values that did not fit */
    bool ok[WEFT__BLOCK_CASES];
    struct weft_case cases[WEFT__BLOCK_CASES];
    _Alignas(16) char pool[WEFT__BLOCK_POOL];
};
WEFT_API void *weft__block_big(struct weft__block *b, size_t bytes);
WEFT_API void weft__block_done(struct weft__block *b);
WEFT_API _Noreturn void weft__block_full(void);

static inline void *weft__block_room(struct weft__block *b, size_t bytes)
{
    size_t need = (bytes + 15) & ~(size_t)15;
    if (need > WEFT__BLOCK_POOL - b->used)
        return weft__block_big(b, bytes);
    void *p = b->pool + b->used;
    b->used += (unsigned)need;
    return p;
}
static inline void weft__block_add(struct weft__block *b, struct weft_case c)
{
    if (b->n == WEFT__BLOCK_CASES)
        weft__block_full();
    if (c.weft__kind == WEFT__CASE_RECV)
        c.weft__ok = &b->ok[b->n];
    b->cases[b->n++] = c;
}
static inline bool weft__block_select(struct weft__block *b)
{
    if (b->picked >= 0)
        return false;
    b->picked = weft_selectv(b->cases, b->n);
    return true;
}

#define weft_select_begin                                                                   \
    {                                                                                       \
        __label__ weft__again;                                                              \
        __attribute__((cleanup(weft__block_done))) struct weft__block weft__b;              \
        weft__b.picked = -1, weft__b.n = weft__b.at = 0, weft__b.used = 0, weft__b.big = NULL; \
    weft__again:;                                                                           \
        switch (0)                                                                          \
        default: {                                                                          \
            {
#define weft_select_end                   \
            }                             \
        }                                 \
        if (weft__block_select(&weft__b)) \
            goto weft__again;             \
    }

#define weft_when_recv(v, ch) weft_when_recv_ok(v, weft__unused_ok, ch)
#define weft_when_recv_ok(v, ok_, ch)                                                                   \
            }                                                                                           \
            {                                                                                           \
                WEFT__VAR(ch) v;                                                                        \
                bool ok_ __attribute__((unused)) = false;                                               \
                if (weft__b.picked < 0)                                                                 \
                    weft__block_add(&weft__b, WEFT__ON_RECV("weft_when_recv", ch, weft__block_room(&weft__b, sizeof v), NULL)); \
                else if (weft__b.at++ == weft__b.picked &&                                              \
                         (__builtin_memcpy(&v, weft__b.cases[weft__b.picked].weft__p, sizeof v),        \
                          ok_ = weft__b.ok[weft__b.picked], true))
#define weft_when_send(ch, ...)                                                                         \
            }                                                                                           \
            {                                                                                           \
                if (weft__b.picked < 0) {                                                               \
                    WEFT__CHECK_SEND("weft_when_send", ch);                                             \
                    __typeof__(ch) weft__ch = (ch);                                                     \
                    WEFT__VALUE(ch) weft__v = __VA_ARGS__;                                              \
                    void *weft__p = weft__block_room(&weft__b, sizeof(WEFT__ELEM(ch)));                 \
                    __builtin_memcpy(weft__p, WEFT__SEND_PTR(ch, weft__v), sizeof(WEFT__ELEM(ch)));     \
                    weft__block_add(&weft__b, (struct weft_case){.weft__ch = (void *)(uintptr_t)weft__ch, \
                                                                 .weft__p = weft__p,                    \
                                                                 .weft__kind = WEFT__CASE_SEND});       \
                } else if (weft__b.at++ == weft__b.picked)
#define weft_when_timeout(d)                                    \
            }                                                   \
            {                                                   \
                if (weft__b.picked < 0)                         \
                    weft__block_add(&weft__b, weft_on_timeout(d)); \
                else if (weft__b.at++ == weft__b.picked)
#define weft_when_default                                       \
            }                                                   \
            {                                                   \
                if (weft__b.picked < 0)                         \
                    weft__block_add(&weft__b, weft_on_default); \
                else if (weft__b.at++ == weft__b.picked)

#endif
