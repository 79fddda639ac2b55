/*
 * small.S (x86-64) - small-stack mode: what functions compiled with -fsplit-stack call when a small stack has too little room.
 *
 * A function's check: cmp %fs:0x70,%rsp (or lea -frame(%rsp),%r10 first); when below: mov $frame,%r10; mov $stack argument
 * bytes,%r11; call __morestack; ret; body. __morestack calls the body at its return address + 1 on a full stack, then
 * returns to that ret. Where the function calls code without checks, gold and lld make the check always fail and let it
 * call __morestack_non_split. Offsets: struct weft__m 0 g0.sp, 16 g, 24 full; struct weft__g 160 full (sched/small.c).
 * Source  gcc/config/i386 (ix86_expand_split_stack_prologue), gold/x86_64.cc (do_calls_non_split); weft's own code.
 */
#include "args.h"

#define M_G 16
#define M_FULL 24
#define G_FULL 160
#define SLACK 512		/* below the limit: an unchecked frame (256), a call that goes to a full stack */
#define PARK 352		/* what waiting for a channel takes */
	.text

	.macro GET_M reg
	movq weft__tls_m@gottpoff(%rip),\reg
	movq %fs:(\reg),\reg
	.endm

	.globl __morestack_non_split
	.type __morestack_non_split,@function
	.p2align 4
__morestack_non_split:
	.cfi_startproc
	endbr64
	cmpq $0,%fs:0x70		/* P1: on a full stack already, or not a small goroutine */
	jne __morestack
	testq %r11,%r11
	jnz 3f
	movq (%rsp),%r10
	cmpl $0x185d8d4c,1(%r10)	/* variable arguments: the body begins with lea 24(%rbp),%r11 */
	je 3f
	incq %r10
	call *%r10			/* keeps calls and returns in pairs */
	.cfi_adjust_cfa_offset 0
	ret
3:	addq $1,(%rsp)			/* past the ret, into the body */
	leaq 16(%rsp),%r11		/* variable arguments: where the stack arguments are */
	ret
	.cfi_endproc
	.size __morestack_non_split,.-__morestack_non_split

	.globl __morestack
	.type __morestack,@function
	.p2align 4
__morestack:
	.cfi_startproc
	endbr64
	pushq %rbp
	.cfi_def_cfa_offset 16
	.cfi_offset %rbp,-16
	movq %rsp,%rbp
	.cfi_def_cfa_register %rbp
	pushq %rbx
	.cfi_offset %rbx,-24
	pushq %fs:0x70			/* -16(%rbp) */
	GET_M %rbx
	movq M_FULL(%rbx),%r10
	testq %r10,%r10
	jz 9f
	movq $0,M_FULL(%rbx)
1:	movq M_G(%rbx),%rbx
	movq %r10,G_FULL(%rbx)		/* P2 */
	movq $0,%fs:0x70		/* P1 */
	movq %r10,%rbx			/* its descriptor is at the top */
	subq %r11,%rbx
	andq $-16,%rbx
	testq %r11,%r11
	jz 3f
2:	subq $8,%r11
	movq 24(%rbp,%r11),%r10
	movq %r10,(%rbx,%r11)
	jnz 2b
3:	movq %rbx,%rsp
	leaq 24(%rbp),%r11
	movq 8(%rbp),%r10
	incq %r10
	call *%r10
	GET_M %rcx			/* perhaps another thread */
	movq M_G(%rcx),%rbx
	movq G_FULL(%rbx),%r10
	movq $0,G_FULL(%rbx)
	cmpq $0,M_FULL(%rcx)
	jne 8f
	movq %r10,M_FULL(%rcx)
4:	movq -16(%rbp),%rcx
	movq %rcx,%fs:0x70
	movq -8(%rbp),%rbx
	movq %rbp,%rsp
	popq %rbp
	.cfi_remember_state
	.cfi_def_cfa %rsp,8
	ret
	.cfi_restore_state
8:	movq (%rcx),%rsp		/* the thread has one: give it to all; on the scheduler's stack */
	andq $-16,%rsp
	subq $64,%rsp
	movq %rax,(%rsp)
	movq %rdx,8(%rsp)
	movups %xmm0,16(%rsp)
	movups %xmm1,32(%rsp)
	movq %r10,%rdi
	call weft__small_full_give
	movq (%rsp),%rax
	movq 8(%rsp),%rdx
	movups 16(%rsp),%xmm0
	movups 32(%rsp),%xmm1
	jmp 4b
9:	movq (%rbx),%rsp		/* none: make one, on the scheduler's stack; all argument registers stay */
	andq $-16,%rsp
	subq $192,%rsp
	ARGS_KEEP
	movq %r11,56(%rsp)
	call weft__small_full_new
	movq %rax,%r10
	ARGS_BACK
	movq 56(%rsp),%r11
	jmp 1b
	.cfi_endproc
	.size __morestack,.-__morestack

/* gcc and clang link a program with -fsplit-stack so that pthread_create becomes this; libgcc's would bring its own
 * __morestack. New threads have no limit, and that is what they need. */
	.globl __wrap_pthread_create
	.type __wrap_pthread_create,@function
	.weak __real_pthread_create
__wrap_pthread_create:
	endbr64
	jmp __real_pthread_create@PLT
	.size __wrap_pthread_create,.-__wrap_pthread_create

/* First instructions of a goroutine on a small stack: as weft__g_start, but it ends on a full stack. */
	.globl weft__small_start
	.hidden weft__small_start
	.type weft__small_start,@function
	.p2align 4
weft__small_start:
	.cfi_startproc
	.cfi_undefined %rip
	endbr64
	call weft__g_enter
	movq 0x00(%rsp),%rdi
	movq 0x08(%rsp),%rsi
	movq 0x10(%rsp),%rdx
	movq 0x18(%rsp),%rcx
	movq 0x20(%rsp),%r8
	movq 0x28(%rsp),%r9
	movq 0x30(%rsp),%rax
	testl %r12d,%r12d
	jne 1f
	movaps 0x40(%rsp),%xmm0
	movaps 0x50(%rsp),%xmm1
	movaps 0x60(%rsp),%xmm2
	movaps 0x70(%rsp),%xmm3
	movaps 0x80(%rsp),%xmm4
	movaps 0x90(%rsp),%xmm5
	movaps 0xa0(%rsp),%xmm6
	movaps 0xb0(%rsp),%xmm7
1:	addq $0xc0,%rsp
	call *%rbx
	movq %rax,%rdi
	call weft__small_finish
	ud2
	.cfi_endproc
	.size weft__small_start,.-weft__small_start

/* NAME: a call of TARGET, six integer arguments at most, that is made on a full stack. */
	.macro ON_FULL name, target
	.globl \name
	.type \name,@function
	.p2align 4
\name:
	.cfi_startproc
	endbr64
	cmpq $0,%fs:0x70
	je \target@PLT
	xorl %r11d,%r11d
	call __morestack
	ret
	jmp \target@PLT
	.cfi_endproc
	.size \name,.-\name
	.endm

	ON_FULL weft__small_finish, weft__g_finish
	ON_FULL weft__small_recv_full, weft__chan_recv
	ON_FULL weft__small_send_full, weft__chan_send
	ON_FULL weft__small_waitgroup_add, weft_waitgroup_add
	ON_FULL weft__small_waitgroup_done, weft_waitgroup_done
	ON_FULL weft__small_try_recv, weft__chan_try_recv
	ON_FULL weft__small_try_send, weft__chan_try_send
	ON_FULL weft__small_close, weft_close
	ON_FULL weft__small_yield, weft_yield
	ON_FULL weft__small_sleep, weft_sleep

/* NAME(ch, v): TRY on the small stack; where that does nothing, FULL. */
	.macro CHAN_OP name, try, full
	.globl \name
	.type \name,@function
	.p2align 4
\name:
	.cfi_startproc
	endbr64
	movq %fs:0x70,%rax
	testq %rax,%rax
	jz \full
	subq $(SLACK - PARK),%rax
	cmpq %rax,%rsp
	jb \full
	pushq %rdi
	.cfi_adjust_cfa_offset 8
	pushq %rsi
	.cfi_adjust_cfa_offset 8
	subq $8,%rsp
	.cfi_adjust_cfa_offset 8
	call \try
	addq $8,%rsp
	.cfi_adjust_cfa_offset -8
	popq %rsi
	.cfi_adjust_cfa_offset -8
	popq %rdi
	.cfi_adjust_cfa_offset -8
	cmpl $2,%eax
	je \full
	ret
	.cfi_endproc
	.size \name,.-\name
	.endm

	CHAN_OP weft__small_chan_recv, weft__small_recv_try, weft__small_recv_full
	CHAN_OP weft__small_chan_send, weft__small_send_try, weft__small_send_full

	.section .note.GNU-split-stack,"",@progbits
	.section .note.GNU-no-split-stack,"",@progbits
	.section .note.GNU-stack,"",@progbits
