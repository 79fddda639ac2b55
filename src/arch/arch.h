/*
 * arch.h - what one folder per processor supplies: the switch, the goroutine's first instructions, the thread's m.
 *
 * Role    The only place that knows registers. A port is one folder: switch.S, prepare.c, regs.h, and unwind's defer.S,
 *         try.S, probe.S; docs/design/arch.md says what each must do.
 * Near    x86_64/, aarch64/, include/weft/call.h (the captured calls). Layer 1.
 */
#ifndef WEFT_ARCH_ARCH_H
#define WEFT_ARCH_ARCH_H
#include <stddef.h>
#include <stdint.h>

struct weft__sw; /* {void *sp; uint32_t on_cpu} : sched/sched.h */
struct weft__m;
struct weft__call;

/* Saves the callee-saved registers and sp in *from, clears from->on_cpu (release: edge G1), loads *to.
 * Returns when somebody switches back to *from, perhaps on another thread. */
void weft__arch_switch(struct weft__sw *from, struct weft__sw *to);
/* The same, to a goroutine (to is its sw) on the thread of m: its errno is put there and the section ended (m->in = 0, release: edge
 * M2), so that it returns to where it parked without a look at either. */
void weft__arch_switch_to(struct weft__sw *from, struct weft__sw *to, struct weft__m *m);

/* Bytes that weft__go_entry saves: the argument registers. */
#define WEFT__REGS_BYTES 0xc0
/* Words of it that a call of integers only needs: the first ones. */
#define WEFT__INT_REGS 7
/* Builds a goroutine's first frame below `top` (16-aligned): stack arguments, register block, saved registers; the first
 * switch to it calls weft__g_enter(), loads the arguments, calls fn, then weft__g_end(result). Returns the new sp. */
void *weft__arch_prepare(char *top, const struct weft__call *call, const void *regs, const void *stack_args);
/* Bytes of a stack that the arguments of a call take at most, beside the registers'. */
size_t weft__arch_args_bytes(const struct weft__call *call);
/* The same for a plain C function that never returns (scheduler stacks). */
void *weft__arch_prepare_plain(char *top, void (*fn)(void));

/* regs.h: weft__m(), the thread's m. WEFT__DEFER_HEAD: where defer.S finds head in struct weft__defer (weft/unwind.h).
 * weft__ticks(), a counter that goes on evenly, where WEFT__TICKS is 1. WEFT__RESTARTS: 1 where unlock.S is.
 * WEFT__TRY_REGISTER: where try.S keeps the record, in DWARF's numbers. */
#if defined(__x86_64__)
#include "x86_64/regs.h"
#define WEFT__DEFER_HEAD 72
#define WEFT__TRY_REGISTER 3 /* rbx */
#elif defined(__aarch64__)
#include "aarch64/regs.h"
#define WEFT__DEFER_HEAD 80
#define WEFT__TRY_REGISTER 19
#else
#error "weft has no src/arch folder for this processor yet (docs/status.md)"
#endif

#endif
