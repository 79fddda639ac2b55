/*
 * prepare.c (aarch64) - builds the first frame of a goroutine, for switch.S to load; takes in structs that travel by address.
 *
 * Layout below top, high to low: structs that were passed by address, stack arguments (multiple of 16), register block
 * (0xc0), then what switch.S saves: x29 x30, x19 .. x28, d8 .. d15, low to high.
 * The stack arguments are copied up to an upper bound, but not past the record of the call: that lies in the caller's
 * frame too, and arguments are at a frame's very bottom. Copies are by asm: the surplus is not for AddressSanitizer.
 */
#include "../arch.h"

#include <string.h>
#include <weft/unwind.h>

void weft__g_start(void);
void weft__plain_start(void);
void weft__defer_link(struct weft__defer *d);
/* Known to defer.S only. */
void weft__arch_defer_refs(struct weft__defer *d);

_Static_assert(offsetof(struct weft__call, site) == 8, "switch.S");
_Static_assert(offsetof(struct weft__site, ints_only) == 24, "switch.S");
_Static_assert(offsetof(struct weft__site, refs) == 40, "defer.S");

enum {
    PREPARE_SAVED = 20,                              /* words */
    PREPARE_X30 = 1, PREPARE_X19 = 2, PREPARE_X20 = 3,
    PREPARE_DEFER_STACK = sizeof(struct weft__defer) + 128 /* in a record with vector registers */
};

/* n is a multiple of 16. */
static void prepare_copy(void *to, const void *from, size_t n)
{
    uint64_t a, b;

    for (; n; n -= 16)
        __asm__ volatile("ldp %2, %3, [%1], 16\n\tstp %2, %3, [%0], 16"
                         : "+r"(to), "+r"(from), "=&r"(a), "=&r"(b) : : "memory");
}

/* The saved registers that weft__arch_switch will load; returns the sp. */
static void *prepare_frame(char *at, void (*start)(void), void *x19, uint64_t x20)
{
    uint64_t *q = (uint64_t *)at - PREPARE_SAVED;

    memset(q, 0, PREPARE_SAVED * sizeof *q); /* x29 == 0 ends the chain of frame pointers */
    q[PREPARE_X30] = (uintptr_t)start;
    q[PREPARE_X19] = (uintptr_t)x19;
    q[PREPARE_X20] = x20;
    return q;
}

/* Copies what the words of the call point to, below end or, with up, from end upwards, and makes them point there. */
static char *prepare_refs(const struct weft__refs *r, uint64_t *regs, uint64_t *stack, char *end, bool up)
{
    for (unsigned i = 0; i < r->n; i++) {
        const struct weft__ref *f = &r->ref[i];
        uint64_t *word = f->at < WEFT__GR ? &regs[f->at] : &stack[f->at - WEFT__GR];
        uintptr_t mask = ~(uintptr_t)(f->align - 1);

        end = (char *)(((uintptr_t)end + (up ? f->align - 1 : -(uintptr_t)f->bytes)) & mask);
        memcpy(end, (const void *)*word, f->bytes);
        *word = (uintptr_t)end;
        if (up)
            end += f->bytes;
    }
    return end;
}

/* Bytes that prepare_refs takes from top at most. */
static size_t prepare_refs_bytes(const struct weft__refs *r)
{
    size_t n = 0;

    for (unsigned i = 0; r && i < r->n; i++)
        n += r->ref[i].bytes + r->ref[i].align;
    return (n + 15) & ~(size_t)15;
}

size_t weft__arch_args_bytes(const struct weft__call *call)
{
    return call->site->ints_only ? 0 : call->site->stack_bytes + prepare_refs_bytes(call->site->refs);
}

void *weft__arch_prepare(char *top, const struct weft__call *call, const void *regs, const void *stack_args)
{
    size_t n = call->site->stack_bytes, most = (size_t)((const char *)call - (const char *)stack_args);
    const struct weft__refs *r = call->site->refs;
    char *refs = top, *stack;

    if (call->site->ints_only) { /* stack_args may be NULL */
        top -= WEFT__REGS_BYTES;
        memcpy(top, regs, call->site->ints_only == 2 ? 16 : 8 * WEFT__INT_REGS);
        return prepare_frame(top, weft__g_start, call->fn, true);
    }
    most = (most + 15) & ~(size_t)15;
    n = n < most ? n : most;
    stack = top = top - prepare_refs_bytes(r) - n;
    prepare_copy(stack, stack_args, n);
    top -= WEFT__REGS_BYTES;
    memcpy(top, regs, WEFT__REGS_BYTES);
    if (r)
        prepare_refs(r, (uint64_t *)top, (uint64_t *)stack, refs, false);
    return prepare_frame(top, weft__g_start, call->fn, false);
}

void *weft__arch_prepare_plain(char *top, void (*fn)(void))
{
    return prepare_frame(top, weft__plain_start, (void *)fn, 0);
}

/* The end of weft__defer_entry_all for a call with such structs: the record has room for them after the stack arguments. */
void weft__arch_defer_refs(struct weft__defer *d)
{
    uint64_t *stack = (uint64_t *)((char *)d + PREPARE_DEFER_STACK);

    prepare_refs(d->site->refs, d->gr, stack, (char *)stack + d->site->stack_bytes, true);
    weft__defer_link(d);
}
