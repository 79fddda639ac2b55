/*
 * refs.c (aarch64) - finds out which words of a call are addresses of the caller's copies of structs.
 *
 * Role    AAPCS64 passes a struct of more than 16 bytes (if it is not up to four equal floating point members) as the
 *         address of a copy that lives in the caller's frame until the call returns. A captured call is made later, so
 *         the copy must be copied, and for that its address must be found among the argument words: which word it is
 *         depends on all parameter types, and no macro can see those.
 * How     The first time that a weft_go or weft_defer with such an argument runs, the macro makes a trial call through
 *         fn's own type with made-up arguments: structs filled with a pattern, all else zero. Here we look for words
 *         that point into the caller's frame, at a pattern. The answer belongs to the call site and is kept.
 * Near    include/weft/call_aarch64.h (the macros), refs.S (the entry), prepare.c (uses the answer). Layer 1.
 * Invariants
 *   AR1  the answer is a function of fn's type: two threads that find it at a time find the same.
 *   AR2  a struct is found by its address, or whole by value (in vector registers or in stack words); everything else ends
 *        the process: better than a goroutine with a stale address. Of several hits the first one counts: arguments fill
 *        the registers upwards, then the stack upwards, and what else holds that address (a register or a word of
 *        the caller's frame that is no argument) comes after them. Only the last register may be skipped.
 * Order   AR3  ready release  ->  acquire in the macro. Carries the answer.
 * Limits  As many candidates as arguments, 16. Frames that AddressSanitizer moves off the stack are not looked at.
 * Failure Out of memory, or a compiler that copies structs without their padding: fatal, with the reason.
 */
#include "../arch.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <weft/call.h>

#include "../../base/lock.h"

/* Known to refs.S only. */
void weft__refs_found(const uint64_t *regs, const uint64_t *stack, struct weft__refs_trial *t);

enum { REFS_VEC = 8 };              /* words in front of the vector registers */

static _Noreturn void refs_throw(const struct weft__refs_trial *t, const char *why)
{
    fprintf(stderr, "weft: %s:%u: %s: %s\n", t->site->file, t->site->line, t->site->name, why);
    abort();
}

const void *weft__refs_zero(struct weft__refs_trial *t, size_t bytes)
{
    static const char zero[64] __attribute__((aligned(64)));

    if (bytes > sizeof zero)
        refs_throw(t, "an argument type that weft does not know");
    return zero;
}

/* A different pattern for each struct, without zero bytes. */
const void *weft__refs_pattern(struct weft__refs_trial *t, size_t bytes, size_t align)
{
    unsigned i = t->n++;
    size_t room = (bytes + align - 1) & ~(align - 1);
    char *p = aligned_alloc(align < 16 ? 16 : align, align < 16 ? (room + 15) & ~(size_t)15 : room);

    if (!p)
        refs_throw(t, "out of memory");
    for (size_t k = 0; k < bytes; k++)
        p[k] = (char)(1 + (k * 7 + i * 41 + (k >> 8)) % 251);
    t->copy[i] = p;
    t->ref[i] = (struct weft__ref){.bytes = (uint32_t)bytes, .align = (uint32_t)(align < 16 ? 16 : align)};
    return p;
}

/* Does the word point to a copy of the i-th struct in the caller's frame? */
static bool refs_is_at(const struct weft__refs_trial *t, unsigned i, uint64_t word, const char *lo)
{
    const char *p = (const char *)(uintptr_t)word, *hi = t->frame_end;

    return p >= lo && p < hi && (size_t)(hi - p) >= t->ref[i].bytes && memcmp(p, t->copy[i], t->ref[i].bytes) == 0;
}

/* Equal floating point members travel in one vector register each, or side by side on the stack. */
static bool refs_by_value(const struct weft__refs_trial *t, unsigned i, const uint64_t *regs, const uint64_t *stack)
{
    const char *want = t->copy[i], *vec = (const char *)(regs + REFS_VEC);
    size_t n = t->ref[i].bytes;

    for (size_t size = 8; size <= 16; size += 8)
        for (size_t first = 0; n <= 4 * size && n % size == 0 && first + n / size <= 8; first++) {
            size_t k = 0;
            while (k < n / size && memcmp(vec + 16 * (first + k), want + size * k, size) == 0)
                k++;
            if (k == n / size)
                return true;
        }
    for (size_t at = 0; n <= 64 && at + n <= t->site->stack_bytes; at += 8)
        if (memcmp((const char *)stack + at, want, n) == 0)
            return true;
    return false;
}

/* AR2. Returns whether the i-th struct travels by address, and then where. */
static bool refs_place(struct weft__refs_trial *t, unsigned i, const uint64_t *regs, const uint64_t *stack)
{
    unsigned words = WEFT__GR + t->site->stack_bytes / 8, first = words;

    for (unsigned at = 0; at < words; at++) {
        if (at >= WEFT__GR && &stack[at - WEFT__GR] >= (const uint64_t *)t)
            break; /* arguments are below the record */
        if (!refs_is_at(t, i, at < WEFT__GR ? regs[at] : stack[at - WEFT__GR], (const char *)stack))
            continue;
        if (first == WEFT__GR - 1) /* the last register may have been left out, and hold anything */
            refs_throw(t, "cannot tell which argument word is a struct's address; pass the struct first");
        if (first == words)
            first = at;
    }
    t->ref[i].at = first;
    if (first == words && !refs_by_value(t, i, regs, stack))
        refs_throw(t, "a struct argument was not found: a compiler that weft does not know?");
    return first != words;
}

void weft__refs_found(const uint64_t *regs, const uint64_t *stack, struct weft__refs_trial *t)
{
    struct weft__refs *r = t->site->refs;
    uint32_t n = 0, none = 0;

    for (unsigned i = 0; i < t->n; i++)
        if (refs_place(t, i, regs, stack))
            t->ref[n++] = t->ref[i];
    for (unsigned i = 0; i < t->n; i++)
        free(t->copy[i]);
    if (!__atomic_compare_exchange_n(&r->ready, &none, 1, false, __ATOMIC_ACQUIRE, __ATOMIC_ACQUIRE)) {
        for (uint32_t spins = 0; __atomic_load_n(&r->ready, __ATOMIC_ACQUIRE) != 2;) /* AR1: another thread writes the same */
            weft__spin(&spins);
        return;
    }
    r->n = n;
    memcpy(r->ref, t->ref, n * sizeof r->ref[0]);
    __atomic_store_n(&r->ready, 2, __ATOMIC_RELEASE); /* AR3 */
}
