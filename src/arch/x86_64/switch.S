/*
 * switch.S (x86-64) - the context switch, the entry that captures a call, a goroutine's first instructions.
 *
 * Saved frame, from low to high: r15 r14 r13 r12 rbx rbp rip (psABI callee-saved; MXCSR and the x87 control word are
 * not switched: a goroutine that changes rounding changes it for its thread). The exit is a ret, so that the return
 * predictor stays balanced. struct weft__sw: 0 sp, 8 on_cpu. struct weft__g: 48 saved_errno. struct weft__m: 40 in, 152 errno_at.
 * struct weft__call: 0 fn, 8 site; site: 24 ints_only. struct weft__spawn: 16 site, 24 fn, 48 args.
 * sched/stack.c and call.c check these offsets at compile time.
 */
	.text

/* Off the stack of rdi, a struct weft__sw, and onto that of rsi. */
	.macro switch_save
	pushq %rbp
	.cfi_adjust_cfa_offset 8
	.cfi_rel_offset %rbp,0
	pushq %rbx
	.cfi_adjust_cfa_offset 8
	.cfi_rel_offset %rbx,0
	pushq %r12
	.cfi_adjust_cfa_offset 8
	.cfi_rel_offset %r12,0
	pushq %r13
	.cfi_adjust_cfa_offset 8
	.cfi_rel_offset %r13,0
	pushq %r14
	.cfi_adjust_cfa_offset 8
	.cfi_rel_offset %r14,0
	pushq %r15
	.cfi_adjust_cfa_offset 8
	.cfi_rel_offset %r15,0
	movq %rsp,(%rdi)
	movl $0,8(%rdi)			/* G1: release; stores are in order on x86 */
	movq (%rsi),%rsp
	.endm

/* What switch_save left there. */
	.macro switch_load
	popq %r15
	.cfi_adjust_cfa_offset -8
	popq %r14
	.cfi_adjust_cfa_offset -8
	popq %r13
	.cfi_adjust_cfa_offset -8
	popq %r12
	.cfi_adjust_cfa_offset -8
	popq %rbx
	.cfi_adjust_cfa_offset -8
	popq %rbp
	.cfi_adjust_cfa_offset -8
	ret
	.endm

/* void weft__arch_switch(struct weft__sw *from, struct weft__sw *to) */
	.globl weft__arch_switch
	.hidden weft__arch_switch
	.type weft__arch_switch,@function
	.p2align 5
weft__arch_switch:
	.cfi_startproc
	endbr64
	switch_save
	switch_load
	.cfi_endproc
	.size weft__arch_switch,.-weft__arch_switch

/* void weft__arch_switch_to(struct weft__sw *from, struct weft__sw *to, struct weft__m *m) */
	.globl weft__arch_switch_to
	.hidden weft__arch_switch_to
	.type weft__arch_switch_to,@function
	.p2align 5
weft__arch_switch_to:
	.cfi_startproc
	endbr64
	switch_save
	movq 152(%rdx),%rcx
	movl 48(%rsi),%eax
	movl %eax,(%rcx)
	movl $0,40(%rdx)		/* M2: release */
	switch_load
	.cfi_endproc
	.size weft__arch_switch_to,.-weft__arch_switch_to

/* What weft_go's call through fn's own type really reaches; %r10 = struct weft__call *. */
	.globl weft__go_entry
	.type weft__go_entry,@function
	.p2align 4
weft__go_entry:
	.cfi_startproc
	endbr64
	pushq %rbp
	.cfi_def_cfa_offset 16
	.cfi_offset %rbp,-16
	movq %rsp,%rbp
	.cfi_def_cfa_register %rbp
	subq $0xc0,%rsp
	movq %rdi,0x00(%rsp)
	movq %rsi,0x08(%rsp)
	movq %rdx,0x10(%rsp)
	movq %rcx,0x18(%rsp)
	movq %r8,0x20(%rsp)
	movq %r9,0x28(%rsp)
	movq %rax,0x30(%rsp)
	movq 8(%r10),%r11
	cmpl $0,24(%r11)
	jne 1f
	movaps %xmm0,0x40(%rsp)
	movaps %xmm1,0x50(%rsp)
	movaps %xmm2,0x60(%rsp)
	movaps %xmm3,0x70(%rsp)
	movaps %xmm4,0x80(%rsp)
	movaps %xmm5,0x90(%rsp)
	movaps %xmm6,0xa0(%rsp)
	movaps %xmm7,0xb0(%rsp)
1:	movq %rsp,%rdi
	leaq 16(%rbp),%rsi
	movq %r10,%rdx
	call weft__go_c
	leave
	.cfi_def_cfa %rsp,8
	ret
	.cfi_endproc
	.size weft__go_entry,.-weft__go_entry

/* First instructions of a goroutine. rsp -> register block, stack arguments above it; rbx = fn, r12 = ints_only. */
	.globl weft__g_start
	.hidden weft__g_start
	.type weft__g_start,@function
	.p2align 4
weft__g_start:
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
2:	call *%rbx
	movq %rax,%rdi
	call weft__g_end		/* rax = a record that goes on here, rdx: the word that ends the section */
	movq %rdx,%r11
	movq 16(%rax),%rcx
	movq 24(%rax),%rbx
	movq 48(%rax),%rdi
	movq 56(%rax),%rsi
	cmpl $2,24(%rcx)
	je 3f
	movq 64(%rax),%rdx
	movq 72(%rax),%rcx
	movq 80(%rax),%r8
	movq 88(%rax),%r9
	movq 96(%rax),%rax
	movl $0,(%r11)			/* M2 */
	jmp 2b
3:	xorl %eax,%eax
	movl $0,(%r11)			/* M2 */
	jmp 2b
	.cfi_endproc
	.size weft__g_start,.-weft__g_start

/* First instructions of a scheduler stack: rbx = a function that never returns. */
	.globl weft__plain_start
	.hidden weft__plain_start
	.type weft__plain_start,@function
	.p2align 4
weft__plain_start:
	.cfi_startproc
	.cfi_undefined %rip
	endbr64
	call *%rbx
	ud2
	.cfi_endproc
	.size weft__plain_start,.-weft__plain_start
	.section .note.GNU-stack,"",@progbits
