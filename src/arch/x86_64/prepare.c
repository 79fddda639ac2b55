/*
 * prepare.c (x86-64) - builds the first frame of a goroutine, for switch.S to load.
 *
 * Layout below top, high to low: stack arguments (multiple of 16), register block (0xc0), rip = weft__g_start,
 * rbp rbx r12 r13 r14 r15. The stack arguments are copied up to an upper bound, so the copy may read past the
 * caller's last argument into its own frame: harmless, but not for AddressSanitizer to see.
 */
#include "../arch.h"

#include <string.h>
#include <weft/call.h>

void weft__g_start(void);
void weft__plain_start(void);

_Static_assert(offsetof(struct weft__call, site) == 8, "switch.S");
_Static_assert(offsetof(struct weft__site, ints_only) == 24, "switch.S");

static void prepare_copy(void *to, const void *from, size_t n)
{
    __asm__ volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(n) : : "memory");
}

/* The saved registers that weft__arch_switch will load; returns the sp. */
static void *prepare_frame(char *at, void (*start)(void), void *rbx, uint64_t r12)
{
    void **q = (void **)at;
    *--q = (void *)start;
    *--q = NULL;           /* rbp */
    *--q = rbx;
    *--q = (void *)r12;
    *--q = NULL;           /* r13 */
    *--q = NULL;           /* r14 */
    *--q = NULL;           /* r15 */
    return q;
}

void *weft__arch_prepare(char *top, const struct weft__call *call, const void *regs, const void *stack_args)
{
    size_t n = call->site->stack_bytes;

    if (call->site->ints_only) { /* two copies of fixed size: one of either is a slow rep movs */
        top -= WEFT__REGS_BYTES;
        if (call->site->ints_only == 2) {
            memcpy(top, regs, 16);
            ((uint64_t *)top)[WEFT__INT_REGS - 1] = 0; /* rax */
        } else {
            memcpy(top, regs, 8 * WEFT__INT_REGS);
        }
        return prepare_frame(top, weft__g_start, call->fn, true);
    }
    if (n) {
        top -= n;
        prepare_copy(top, stack_args, n);
    }
    top -= WEFT__REGS_BYTES;
    memcpy(top, regs, WEFT__REGS_BYTES);
    return prepare_frame(top, weft__g_start, call->fn, false);
}

size_t weft__arch_args_bytes(const struct weft__call *call)
{
    return call->site->stack_bytes;
}

void *weft__arch_prepare_plain(char *top, void (*fn)(void))
{
    return prepare_frame(top, weft__plain_start, (void *)fn, 0);
}
