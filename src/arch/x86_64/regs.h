/*
 * regs.h (x86-64) - reading the thread's m so that no compiler keeps it across a park.
 *
 * A goroutine may wake on another thread, and both gcc and clang cache thread-local addresses. The asm is volatile and
 * so read anew each time; one load from the GOT and one from %fs. Initial-exec: libweft.so is loaded at program start.
 */
#ifndef WEFT_ARCH_X86_64_REGS_H
#define WEFT_ARCH_X86_64_REGS_H

extern __thread struct weft__m *weft__tls_m __attribute__((tls_model("initial-exec"), visibility("hidden")));

static inline struct weft__m *weft__m(void)
{
    struct weft__m *m;
    __asm__ volatile("movq weft__tls_m@gottpoff(%%rip), %0\n\tmovq %%fs:(%0), %0" : "=r"(m));
    return m;
}

/* The time stamp counter; not ordered with what is around it. */
#define WEFT__TICKS 1
static inline unsigned long long weft__ticks(void)
{
    return __builtin_ia32_rdtsc();
}

/* 1: weft_mutex_unlock is a restartable sequence, in unlock.S. */
#define WEFT__RESTARTS 1

#endif
