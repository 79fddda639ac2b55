/*
 * weft/call.h - how a macro takes "fn, args..." and hands the call to the runtime. Not for direct use.
 *
 * An ordinary, prototype-checked call is made through a pointer of fn's own type that really leads to an
 * assembly routine (the entry). The compiler evaluates, checks, converts and places the arguments; the entry
 * saves the argument registers and the stack arguments. A record on the caller's stack (fn, call site, ...)
 * travels in the static-chain register, which ordinary calls leave alone.
 *
 * Limits  16 arguments; fn returns void or a scalar of at most 8 bytes; no nested functions; a number converted to a
 *         parameter of type _Complex long double is lost; on x86-64 no argument aligned to over 16 bytes;
 *         under clang no __attribute__((noreturn)) function (use _Noreturn).
 * Source  docs/design/arch.md; x86-64 psABI 3.2.3; AAPCS64 6.8; GCC "Constructing Calls".
 */
#ifndef WEFT_CALL_H
#define WEFT_CALL_H
#include <weft/base.h>

#pragma GCC system_header

/* One per call site, static: what dumps, profiles and gdb show of a goroutine's creation. */
struct weft__site {
    const char *name;         /* the function as written at the call */
    const char *file;
    unsigned line;
    unsigned stack_bytes;     /* upper bound of the stack arguments, multiple of 16 */
    unsigned ints_only;       /* not 0: at most 6 arguments, all integers or pointers: no vector registers; 2: at most 2 */
    const char *func;         /* the function that holds the call */
#if defined(__aarch64__)
    struct weft__refs *refs;  /* structs that travel by address, or NULL: call_aarch64.h */
#endif
};

/* Travels in the static-chain register; lives on the caller's stack during the call. */
struct weft__call {
    void *fn;
    const struct weft__site *site;
    const char *label;                              /* weft_go_named, or NULL; copied */
    void (*at_end)(void *owner, long result);       /* after fn returned or goexit, or NULL */
    void *owner;                                    /* given to at_end */
    size_t stack_bytes;                             /* weft_go_stack, or 0: the default */
};

#define WEFT__CAT_(a, b) a##b
#define WEFT__CAT(a, b) WEFT__CAT_(a, b)
/* first argument; all but the first, also when there is none */
#define WEFT__HEAD_(x, ...) x
#define WEFT__HEAD(...) WEFT__HEAD_(__VA_ARGS__, 0)
#define WEFT__MORE_(a1, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11, a12, a13, a14, a15, a16, a17, n, ...) n
#define WEFT__MORE(...) WEFT__MORE_(__VA_ARGS__, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0)
#define WEFT__TAIL(...) WEFT__CAT(WEFT__TAIL, WEFT__MORE(__VA_ARGS__))(__VA_ARGS__)
#define WEFT__TAIL0(x)
#define WEFT__TAIL1(x, ...) __VA_ARGS__

#define WEFT__NARG_(a1, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11, a12, a13, a14, a15, a16, n, ...) n
#define WEFT__NARG(...) WEFT__NARG_(__VA_ARGS__ __VA_OPT__(, ) 16, 15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0, 0)
#define WEFT__MAP0(m)
#define WEFT__MAP1(m, a) m(a)
#define WEFT__MAP2(m, a, ...) m(a) WEFT__MAP1(m, __VA_ARGS__)
#define WEFT__MAP3(m, a, ...) m(a) WEFT__MAP2(m, __VA_ARGS__)
#define WEFT__MAP4(m, a, ...) m(a) WEFT__MAP3(m, __VA_ARGS__)
#define WEFT__MAP5(m, a, ...) m(a) WEFT__MAP4(m, __VA_ARGS__)
#define WEFT__MAP6(m, a, ...) m(a) WEFT__MAP5(m, __VA_ARGS__)
#define WEFT__MAP7(m, a, ...) m(a) WEFT__MAP6(m, __VA_ARGS__)
#define WEFT__MAP8(m, a, ...) m(a) WEFT__MAP7(m, __VA_ARGS__)
#define WEFT__MAP9(m, a, ...) m(a) WEFT__MAP8(m, __VA_ARGS__)
#define WEFT__MAP10(m, a, ...) m(a) WEFT__MAP9(m, __VA_ARGS__)
#define WEFT__MAP11(m, a, ...) m(a) WEFT__MAP10(m, __VA_ARGS__)
#define WEFT__MAP12(m, a, ...) m(a) WEFT__MAP11(m, __VA_ARGS__)
#define WEFT__MAP13(m, a, ...) m(a) WEFT__MAP12(m, __VA_ARGS__)
#define WEFT__MAP14(m, a, ...) m(a) WEFT__MAP13(m, __VA_ARGS__)
#define WEFT__MAP15(m, a, ...) m(a) WEFT__MAP14(m, __VA_ARGS__)
#define WEFT__MAP16(m, a, ...) m(a) WEFT__MAP15(m, __VA_ARGS__)
#define WEFT__MAP(m, ...) WEFT__CAT(WEFT__MAP, WEFT__NARG(__VA_ARGS__))(m __VA_OPT__(, ) __VA_ARGS__)

/* an argument as a value of its own type (arrays and functions decay); never evaluated */
#define WEFT__ARGVAL(a) __extension__({ __auto_type weft__a = (a); weft__a; })
/* Where an argument goes is decided by the parameter's type, which no macro can see: 1 may become 1.0, or a long double on
 * the stack. So short cuts are for arguments that are pointers, which convert to pointers only, or are of fn's own types. */
#define WEFT__APTR(a) && (__builtin_classify_type(a) == 5)
#define WEFT__ATYPES(a) , __typeof__(WEFT__ARGVAL(a))
#define WEFT__EXACT(fn_, ...)                                        \
    ((1 WEFT__MAP(WEFT__APTR, __VA_ARGS__)) ||                       \
     __builtin_types_compatible_p(__typeof__(*(fn_)),                \
         __typeof__((fn_)(__VA_ARGS__))(WEFT__TAIL(0 WEFT__MAP(WEFT__ATYPES, __VA_ARGS__)))))

/* argument registers for integers; what a very large argument takes on the stack at most, or 0: all of it */
#if defined(__aarch64__)
#define WEFT__GR 8
#define WEFT__ABYTES_MAX 64
#else
#define WEFT__GR 6
#define WEFT__ABYTES_MAX 0
#endif
/* bytes that one argument may take in the stack-argument area, upper bound */
#define WEFT__ABYTES(a)                                                           \
    +(unsigned)(WEFT__ABYTES_MAX && sizeof(WEFT__ARGVAL(a)) > WEFT__ABYTES_MAX    \
                    ? 16 : (sizeof(WEFT__ARGVAL(a)) + 15) & ~15ul)
#define WEFT__ABIG(a) | (sizeof(WEFT__ARGVAL(a)) > 8)
/* 1 unless the argument is an integer, enum, bool or pointer: those are 1 to 5; a vector is -1 or 19 */
#define WEFT__AREAL(a) | (__builtin_classify_type(a) < 1 || __builtin_classify_type(a) > 5)
#define WEFT__STACK_BYTES(fn_, ...)                                                                                    \
    (WEFT__NARG(__VA_ARGS__) > WEFT__GR || (0 WEFT__MAP(WEFT__ABIG, __VA_ARGS__)) || !WEFT__EXACT(fn_, __VA_ARGS__)    \
         ? 0u WEFT__MAP(WEFT__ABYTES, __VA_ARGS__) : 0u)
#define WEFT__INTS_ONLY(fn_, ...)                                                                                      \
    (WEFT__NARG(__VA_ARGS__) <= 6 && !(0 WEFT__MAP(WEFT__AREAL, __VA_ARGS__)) && !(0 WEFT__MAP(WEFT__ABIG, __VA_ARGS__)) && \
             WEFT__EXACT(fn_, __VA_ARGS__)                                                                             \
         ? 1 + (WEFT__NARG(__VA_ARGS__) <= 2) : 0)

/* pointer type of fn, without the const or noreturn that gcc keeps in the pointed-to function type */
#define WEFT__FNTYPE(fn)                                                                              \
    __typeof__(__builtin_choose_expr(__builtin_types_compatible_p(__typeof__(fn), __typeof__(*(fn))), \
                                     (__typeof__(fn) *)0, 1 ? (fn) : (fn))) /* ?: a const pointer's value is not const */

#define WEFT__CHECK_RESULT(what, fn_, ...)                             \
    _Static_assert(sizeof(__typeof__((fn_)(__VA_ARGS__))) <= 8,        \
                   what ": the function must return void or a scalar")

/* A call site, and what is asked of it before the call. */
#if defined(__aarch64__)
#include <weft/call_aarch64.h>
#define WEFT__SITE(id, fn_, ...)                                                                            \
    static struct weft__refs id##refs[WEFT__HAS_REFS(__VA_ARGS__)];                                         \
    static const struct weft__site id = {#fn_, __FILE__, __LINE__, WEFT__STACK_BYTES(fn_, __VA_ARGS__),     \
                                         WEFT__INTS_ONLY(fn_, __VA_ARGS__), __func__,                       \
                                         WEFT__HAS_REFS(__VA_ARGS__) ? id##refs : NULL}
#else
#define WEFT__ENTRY(name) name
#define WEFT__REFS_ROOM(...) 0
#define WEFT__FIND_REFS(site, fn_, ...) ((void)0)
#define WEFT__AOVER(a) | (_Alignof(__typeof__(WEFT__ARGVAL(a))) > 16)
#define WEFT__SITE(id, fn_, ...)                                                                            \
    _Static_assert(!(0 WEFT__MAP(WEFT__AOVER, __VA_ARGS__)), "weft: an argument aligned to more than 16 bytes"); \
    static const struct weft__site id = {#fn_, __FILE__, __LINE__, WEFT__STACK_BYTES(fn_, __VA_ARGS__),     \
                                         WEFT__INTS_ONLY(fn_, __VA_ARGS__), __func__}
#endif

/* The entry's own address, by the global offset table also where the program is not position independent. What such a program takes
 * for a function's address is its own entry in the procedure linkage table (PLT), and the dynamic linker, which binds that at the first
 * call, keeps the registers of arguments but not the static chain's. (aarch64's entries are .variant_pcs: bound at the start.) */
#if defined(__aarch64__)
#define WEFT__AT(entry) entry
#else
#define WEFT__QUOTE_(text) #text
#define WEFT__QUOTE(text) WEFT__QUOTE_(text)
#define WEFT__GOT_LOAD(name) "mov{q}\t{" name "@GOTPCREL(%%rip), %0|%0, QWORD PTR " name "@GOTPCREL[rip]}"
#define WEFT__AT(entry)                                               \
    __extension__({                                                   \
        void (*weft__at)(void);                                       \
        __asm__(WEFT__GOT_LOAD(WEFT__QUOTE(entry)) : "=r"(weft__at)); \
        weft__at;                                                     \
    })
#endif

/* Make the call fn_(args...) arrive at `entry`, with `rec` (an lvalue) in the static-chain register. */
#define WEFT__ENTER(entry, rec, fn_, ...)                                         \
    __extension__({                                                               \
        WEFT__FNTYPE(fn_) weft__f;                                                \
        __asm__("" : "=r"(weft__f) : "0"(entry), "m"(rec));                       \
        (void)__builtin_call_with_static_chain(weft__f(__VA_ARGS__), (void *)&(rec)); \
    })

#endif
