/*
 * regs.h (aarch64) - reading the thread's m so that no compiler keeps it across a park.
 *
 * A goroutine may wake on another thread, and both gcc and clang cache thread-local addresses. The asm is volatile and
 * so read anew each time; one load from the GOT and one from the thread's block. Initial-exec, as on x86-64.
 */
#ifndef WEFT_ARCH_AARCH64_REGS_H
#define WEFT_ARCH_AARCH64_REGS_H
#include <stdint.h>

extern __thread struct weft__m *weft__tls_m __attribute__((tls_model("initial-exec"), visibility("hidden")));

static inline struct weft__m *weft__m(void)
{
    struct weft__m *m;
    uintptr_t at;
    __asm__ volatile("adrp %1, :gottprel:weft__tls_m\n\t"
                     "ldr %1, [%1, :gottprel_lo12:weft__tls_m]\n\t"
                     "mrs %0, tpidr_el0\n\t"
                     "ldr %0, [%0, %1]"
                     : "=&r"(m), "=&r"(at));
    return m;
}

/* Not used here: src/sys/ticks.c. */
#define WEFT__TICKS 0
static inline unsigned long long weft__ticks(void)
{
    return 0;
}

#define WEFT__RESTARTS 0

#endif
