/*
 * try.S (x86-64) - the frame at which a panic stops.
 *
 * weft__try_entry_regs is reached through a pointer of fn's type, with %r10 = struct weft__try (weft/unwind.h: 0 fn, 24 prev,
 * 32 deferred, 40 outer). It fills these in from the thread's m (16 g) and its goroutine (0x60 try_top, 0x68 defer_top,
 * 0x70 panic; unwind/try.c checks these), links the record into the chain, calls fn and unlinks it.
 * weft__try_entry, which the macro takes where there may be stack arguments, calls fn on a copy of them (up to the upper
 * bound that 8 site says: the copy may read into the caller's frame, as in defer.S).
 * What it costs is its stores: so the first has no frame pointer, one store has both that do not change from try to try, and
 * nothing is cleared or kept that can be told afterwards: the goroutine is asked for anew, as the thread may be another.
 * xmm8 carries no argument.
 * On a thread that weft does not know yet weft__try_begin (unwind/try.c) fills the record in.
 * A panic is unwound to this frame like to any frame with clean-ups: the personality routine (unwind/try.c) finds the
 * record in %rbx and sends the goroutine to weft__try_land, or weft__try_land_stack, with the frame's registers restored.
 */
#include "args.h"

	.text

/* Into the record of %rbx, or to 5: where the thread is not known; then to 6:. */
	.macro TRY_LINK
	movq weft__tls_m@gottpoff(%rip),%r11
	movq %fs:(%r11),%r11
	testq %r11,%r11
	jz 5f
	movq 16(%r11),%r11
	testq %r11,%r11
	jz 5f
	movq 0x60(%r11),%r10
	movq %r10,24(%rbx)
	movq 0x68(%r11),%xmm8
	movhps 0x70(%r11),%xmm8
	movups %xmm8,32(%rbx)
	movq %rbx,0x60(%r11)
6:
	.endm

	.macro TRY_CALL
	call *(%rbx)
	movq weft__tls_m@gottpoff(%rip),%r11
	movq %fs:(%r11),%r11
	movq 16(%r11),%r11
	movq 24(%rbx),%r10
	movq %r10,0x60(%r11)
	.endm

/* What is seldom; each goes back to its frame's 3:. */
	.macro TRY_SELDOM land
5:	call try_unknown
	jmp 6b
	.globl \land
	.hidden \land
\land:
	endbr64
	movq %rbx,%rdi
	call weft__try_landed
	jmp 3b
	.endm

	.globl weft__try_entry_regs
	.type weft__try_entry_regs,@function
	.p2align 6
weft__try_entry_regs:
	.cfi_startproc
	.cfi_personality 0x9b,DW.ref.weft__try_personality
	endbr64
	pushq %rbx
	.cfi_def_cfa_offset 16
	.cfi_offset %rbx,-16
	movq %r10,%rbx
	TRY_LINK
	TRY_CALL
3:	popq %rbx
	.cfi_remember_state
	.cfi_restore %rbx
	.cfi_def_cfa_offset 8
	ret
	.cfi_restore_state
	TRY_SELDOM weft__try_land
	.cfi_endproc
	.size weft__try_entry_regs,.-weft__try_entry_regs

	.globl weft__try_entry
	.type weft__try_entry,@function
	.p2align 4
weft__try_entry:
	.globl weft__try_entry_here
	.hidden weft__try_entry_here
weft__try_entry_here:
	.cfi_startproc
	.cfi_personality 0x9b,DW.ref.weft__try_personality
	endbr64
	pushq %rbp
	.cfi_def_cfa_offset 16
	.cfi_offset %rbp,-16
	movq %rsp,%rbp
	.cfi_def_cfa_register %rbp
	pushq %rbx
	.cfi_offset %rbx,-24
	subq $8,%rsp
	movq %r10,%rbx
	TRY_LINK
	movq 8(%rbx),%r10
	movl 20(%r10),%r11d
	subq %r11,%rsp
1:	subq $8,%r11
	movq 16(%rbp,%r11),%r10
	movq %r10,(%rsp,%r11)
	jnz 1b
	TRY_CALL
3:	leaq -8(%rbp),%rsp
	.cfi_remember_state
	popq %rbx
	.cfi_restore %rbx
	popq %rbp
	.cfi_restore %rbp
	.cfi_def_cfa %rsp,8
	ret
	.cfi_restore_state
	TRY_SELDOM weft__try_land_stack
	.cfi_endproc
	.size weft__try_entry,.-weft__try_entry

/* The thread is not known: weft__try_begin fills the record of %rbx in, beside the arguments. */
	.type try_unknown,@function
	.p2align 4
try_unknown:
	.cfi_startproc
	endbr64
	subq $200,%rsp
	.cfi_adjust_cfa_offset 200
	ARGS_KEEP
	movq %rbx,%rdi
	call weft__try_begin
	ARGS_BACK
	addq $200,%rsp
	.cfi_adjust_cfa_offset -200
	ret
	.cfi_endproc
	.size try_unknown,.-try_unknown

	.hidden weft__try_personality
	.hidden weft__try_landed
	.hidden weft__tls_m
	.hidden DW.ref.weft__try_personality
	.weak DW.ref.weft__try_personality
	.section .data.rel.local.DW.ref.weft__try_personality,"awG",@progbits,DW.ref.weft__try_personality,comdat
	.align 8
	.type DW.ref.weft__try_personality,@object
	.size DW.ref.weft__try_personality,8
DW.ref.weft__try_personality:
	.quad weft__try_personality
	.section .note.GNU-stack,"",@progbits
