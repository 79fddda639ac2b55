/*
 * weft/unwind.h - deferred calls, panics, and the place where a panic stops.
 *
 * Source  Go spec, "Defer statements" and "Handling panics". Go's recover() is not offered: a C compiler may assume
 *         that a function which never returned a value for its caller never comes back, so only an opaque call can
 *         stop a panic. weft_try is that call. weft.pc asks for -fexceptions: without it clean-up attributes of the
 *         program's own are skipped by panics and goexit.
 */
#ifndef WEFT_UNWIND_H
#define WEFT_UNWIND_H
#include <weft/call.h>

#pragma GCC system_header

/**
 * weft_defer - call fn(args...) when the enclosing block ends.
 *
 * @fn       function or function pointer; its result is dropped. NULL panics "nil func" when the block ends.
 * @args     up to 16 values of any type, evaluated now, checked and converted against fn's prototype.
 *
 * Runs at the end of the block by running off its end, return, break, continue, goto, weft_goexit or a panic;
 * several run last in, first out. The deferred call may park, panic, or call weft_goexit.
 *
 * Differs   from Go: the block's end, not the function's. It is a declaration: it cannot be the body of an if
 *           without braces, and no case label may follow it in its own block. On a panic or goexit the deferred calls
 *           run first, on top of the stack that panicked; clean-ups by the compiler's attribute run after them.
 * Costs     some nanoseconds and 100 bytes of the caller's frame; 220 and more with doubles or structs.
 * Source    Go spec, "Defer statements". Tests: test_defer.c.
 */
#define weft_defer(...) WEFT__DEFER(__COUNTER__, WEFT__HEAD(__VA_ARGS__), WEFT__TAIL(__VA_ARGS__))

/**
 * weft_panic - stop the ordinary flow: deferred calls run, then the innermost weft_try returns the message.
 *
 * @fmt      printf's format and values; the text is copied.
 *
 * Without a weft_try around it the process ends once the deferred calls have run: stdout is flushed, "panic: TEXT"
 * and every goroutine's stack go to stderr, the exit status is 2, atexit handlers do not run.
 *
 * Parks     never by itself; the deferred calls that it runs may.
 * Calls     any thread. Not from signal handlers.
 * Costs     about 1 us and 0.35 us for each frame with a deferred call.
 * Source    Go panic. Tests: test_panic.c, death/test_death_panic.c.
 */
WEFT_API _Noreturn void weft_panic(const char *fmt, ...) __attribute__((format(printf, 1, 2), cold));

/**
 * weft_try - fn(args...); says whether it panicked.
 *
 * @fn       function or function pointer; its result is dropped. NULL is a panic, "nil func".
 * @args     up to 16 values of any type, evaluated now, by the caller and outside of the try.
 *
 * Returns   const char *: NULL when fn returned, else the panic's message. It stays valid until the goroutine's next
 *           panic; do not free it. Does not return when fn calls weft_goexit, or when the panic happened in a
 *           deferred call while weft_goexit was under way (the goexit goes on).
 * Costs     a few nanoseconds when fn does not panic.
 * Source    Go recover(), see the head of this file. Tests: test_try.c.
 */
#define weft_try(...) WEFT__TRY(WEFT__HEAD(__VA_ARGS__), WEFT__TAIL(__VA_ARGS__))

/* ---- not for direct use ---- */

/* A deferred call, in the caller's frame; arch/.../defer.S knows the layout. Vector registers and stack arguments
 * follow it where the call has any. */
struct weft__defer {
    void *fn;                        /* 0 */
    const struct weft__site *site;   /* 8 */
    uint64_t gr[WEFT__GR];           /* 16 */
#if defined(__x86_64__)
    uint64_t nvec;                   /* 64: rax of a variadic call */
#endif
    struct weft__defer **head;       /* the goroutine's innermost deferred call; NULL: it has been made */
    struct weft__defer *prev;        /* what that was before */
};

/* A running weft_try, in the caller's frame; arch/.../try.S knows the layout. */
struct weft__try {
    void *fn;                        /* 0: never NULL; once it has ended, NULL says that it panicked */
    const struct weft__site *site;   /* 8: x86-64: only where there are stack arguments */
    struct weft__try **head;         /* 16: the goroutine's innermost try; not x86-64 */
    struct weft__try *prev;          /* 24: what it was before */
    struct weft__defer *deferred;    /* 32: the innermost deferred call when it began: not its business */
    struct weft__panic *outer;       /* 40: what was under way when it began: not its business either */
    const char *msg;                 /* the panic's message */
} __attribute__((aligned(16)));

extern WEFT_API void WEFT__ENTRY(weft__defer_entry_few)(void);
extern WEFT_API void WEFT__ENTRY(weft__defer_entry_ints)(void);
extern WEFT_API void WEFT__ENTRY(weft__defer_entry_all)(void);
extern WEFT_API void weft__defer_run(struct weft__defer *d);
extern WEFT_API void WEFT__ENTRY(weft__try_entry)(void);
WEFT_API void weft__try_begin(struct weft__try *t);
/* What is called in place of NULL. */
WEFT_API _Noreturn void weft__try_nil(void) __attribute__((cold));
/* What the entry does not fill in by itself. */
#if defined(__x86_64__)
#define WEFT__TRY_BEGIN(t, site_, bytes) ((bytes) ? (void)((t).site = (site_)) : (void)0)
/* The second one is for calls whose arguments are in registers. */
extern WEFT_API void weft__try_entry_regs(void);
#define WEFT__TRY_ENTRY(fn_, ...) (WEFT__STACK_BYTES(fn_, __VA_ARGS__) ? WEFT__AT(weft__try_entry) : WEFT__AT(weft__try_entry_regs))
#else
#define WEFT__TRY_ENTRY(fn_, ...) WEFT__AT(WEFT__ENTRY(weft__try_entry))
#define WEFT__TRY_BEGIN(t, site_, bytes) ((t).site = (site_), weft__try_begin(&(t)))
#endif

static inline __attribute__((unused)) void weft__defer_end(struct weft__defer **d)
{
    weft__defer_run(*d);
}

#define WEFT__DEFER(n_, fn_, ...) \
    WEFT__DEFER_(WEFT__CAT(weft__defer_rec_, n_), WEFT__CAT(weft__defer_ptr_, n_), fn_, __VA_ARGS__)
/* The pointer is what is cleaned up: it comes alive after the arguments have been evaluated, so that a panic in one
 * of them does not run a call that is not deferred yet. */
#define WEFT__DEFER_(rec_, ptr_, fn_, ...)                                                                     \
    __extension__ struct {                                                                                     \
        struct weft__defer d;                                                                                  \
        char vec[WEFT__INTS_ONLY(fn_, __VA_ARGS__) ? 0 : 128];                                                 \
        char stack[WEFT__STACK_BYTES(fn_, __VA_ARGS__)];                                                       \
        char refs[WEFT__REFS_ROOM(__VA_ARGS__)];                                                               \
    } rec_;                                                                                                    \
    __attribute__((cleanup(weft__defer_end), unused)) struct weft__defer *ptr_ = __extension__({               \
        WEFT__CHECK_RESULT("weft_defer", fn_, __VA_ARGS__);                                                    \
        WEFT__SITE(weft__site_, fn_, __VA_ARGS__);                                                             \
        struct weft__defer *weft__d_;                                                                          \
        rec_.d.fn = (void *)(fn_);                                                                             \
        rec_.d.site = &weft__site_;                                                                            \
        WEFT__FIND_REFS(weft__site_, fn_, __VA_ARGS__);                                                        \
        WEFT__ENTER((WEFT__INTS_ONLY(fn_, __VA_ARGS__) == 2   ? WEFT__AT(WEFT__ENTRY(weft__defer_entry_few))   \
                     : WEFT__INTS_ONLY(fn_, __VA_ARGS__) == 1 ? WEFT__AT(WEFT__ENTRY(weft__defer_entry_ints))  \
                                                              : WEFT__AT(WEFT__ENTRY(weft__defer_entry_all))), \
                    rec_, fn_, __VA_ARGS__);                                                                   \
        __asm__ volatile("" : "=r"(weft__d_) : "0"(&rec_.d) : "memory");                                       \
        weft__d_;                                                                                              \
    })

#define WEFT__TRY(fn_, ...)                                                                   \
    __extension__({                                                                           \
        WEFT__CHECK_RESULT("weft_try", fn_, __VA_ARGS__);                                     \
        WEFT__SITE(weft__site_, fn_, __VA_ARGS__);                                            \
        struct weft__try weft__t_;                                                            \
        void *weft__p_ = (void *)(fn_);                                                       \
        weft__t_.fn = weft__p_ ? weft__p_ : (void *)weft__try_nil;                            \
        WEFT__TRY_BEGIN(weft__t_, &weft__site_, WEFT__STACK_BYTES(fn_, __VA_ARGS__));         \
        WEFT__ENTER(WEFT__TRY_ENTRY(fn_, __VA_ARGS__), weft__t_, fn_, __VA_ARGS__);          \
        __asm__ volatile("" : "+m"(weft__t_) : : "memory");                                   \
        weft__t_.fn ? (const char *)NULL : weft__t_.msg;                                      \
    })

#endif
