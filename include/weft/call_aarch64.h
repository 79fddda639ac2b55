/*
 * weft/call_aarch64.h - what weft/call.h needs besides on 64-bit ARM. Not for direct use.
 *
 * Large structs travel by address there, and so a captured call needs copies of them. Where their addresses are among
 * the argument words is found once for each place in the program, by a trial call with made-up arguments, in which
 * nothing of the program's is evaluated (src/arch/aarch64/refs.c).
 *
 * Limits  The static chain is x18 with gcc and with clang before 21, x15 with later ones; so no -ffixed-x18 and no
 *         shadow call stack.
 * Source  AAPCS64 6.8.2 (parameter passing), 6.1.1 (registers).
 */
#ifndef WEFT_CALL_AARCH64_H
#define WEFT_CALL_AARCH64_H
#include <weft/base.h>

#pragma GCC system_header

/* A struct that travels by address. */
struct weft__ref {
    uint32_t at;              /* word: 0-7 general register, from 8 on the stack */
    uint32_t bytes;
    uint32_t align;           /* at least 16 */
};

/* One per call site that has candidates, static. */
struct weft__refs {
    uint32_t ready;           /* 2: the rest is valid */
    uint32_t n;
    struct weft__ref ref[16];
};

/* Travels in the static-chain register of a trial call. */
struct weft__refs_trial {
    const struct weft__site *site;
    const char *frame_end;    /* upper end of the caller's frame */
    uint32_t n;
    struct weft__ref ref[16];
    void *copy[16];           /* the patterns */
};

WEFT_API const void *weft__refs_zero(struct weft__refs_trial *t, size_t bytes);
WEFT_API const void *weft__refs_pattern(struct weft__refs_trial *t, size_t bytes, size_t align);
extern WEFT_API void weft__refs_entry(void);
extern WEFT_API void weft__refs_entry_x15(void);

/* Which entry the compiler's static chain fits. */
#if defined(__clang_major__) && __clang_major__ >= 21
#define WEFT__ENTRY(name) name##_x15
#else
#define WEFT__ENTRY(name) name
#endif

#define WEFT__ATYPE(a) __typeof__(WEFT__ARGVAL(a))
/* may travel by address: over 16 bytes, and not complex */
#define WEFT__AREF_IS(a) (sizeof(WEFT__ARGVAL(a)) > 16 && __builtin_classify_type(a) != 9)
#define WEFT__AREF(a) || WEFT__AREF_IS(a)
#define WEFT__HAS_REFS(...) (0 WEFT__MAP(WEFT__AREF, __VA_ARGS__))
#define WEFT__AREF_BYTES(a) +(WEFT__AREF_IS(a) ? sizeof(WEFT__ARGVAL(a)) + _Alignof(WEFT__ATYPE(a)) + 16 : 0)
/* room for copies of them in a record */
#define WEFT__REFS_ROOM(...) (0ul WEFT__MAP(WEFT__AREF_BYTES, __VA_ARGS__))

/* A made-up argument: 0 for an integer, as it converts to everything that an integer converts to, null pointers too. */
#define WEFT__ATRIAL(a)                                                                                              \
    , __builtin_choose_expr(__builtin_classify_type(a) > 0 && __builtin_classify_type(a) < 5, 0,                     \
                            *(WEFT__ATYPE(a) *)(WEFT__AREF_IS(a)                                                     \
                                ? weft__refs_pattern(&weft__trial_, sizeof(WEFT__ARGVAL(a)), _Alignof(WEFT__ATYPE(a))) \
                                : weft__refs_zero(&weft__trial_, sizeof(WEFT__ARGVAL(a)))))

#define WEFT__FIND_REFS(site_, fn_, ...)                                                                          \
    __extension__({                                                                                               \
        if (WEFT__HAS_REFS(__VA_ARGS__) && __atomic_load_n(&(site_).refs->ready, __ATOMIC_ACQUIRE) != 2) {        \
            struct weft__refs_trial weft__trial_ = {.site = &(site_), .frame_end = (const char *)__builtin_dwarf_cfa()}; \
            WEFT__ENTER(WEFT__AT(weft__refs_entry), weft__trial_, fn_, WEFT__TAIL(0 WEFT__MAP(WEFT__ATRIAL, __VA_ARGS__))); \
        }                                                                                                         \
    })

#endif
