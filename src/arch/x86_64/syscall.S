/*
 * syscall.S (x86-64) - a system call whose callers return fast where the kernel has filled the return predictor.
 *
 * Role    On AMD processors with the mitigation "Safe RET" each return of the kernel leaves an entry of its own in the predictor
 *         of returns. The first return of the program past a system call that was not called since then is predicted to be in the
 *         kernel, which costs 120 to 140 ns; so 16 harmless entries are put on top of those, 1 ns each. src/sys/quick.c asks.
 * Invariants
 *   QC1  the stack pointer is moved below everything by calls that never return, then back: nothing below it is anybody's, for
 *        this is a function.
 * Limits  No user shadow stacks (the switch knows of none either).
 */
	.text

/* long weft__arch_syscall(long a, long b, long c, long d, long e, long f, long number): the result, or -errno */
	.globl weft__arch_syscall
	.hidden weft__arch_syscall
	.type weft__arch_syscall,@function
	.p2align 5
weft__arch_syscall:
	.cfi_startproc
	endbr64
	movq 8(%rsp),%rax
	movq %rcx,%r10
	syscall
	.rept 16
	call 1f
	.cfi_adjust_cfa_offset 8
	int3
1:
	.endr
	addq $128,%rsp
	.cfi_adjust_cfa_offset -128
	ret
	.cfi_endproc
	.size weft__arch_syscall,.-weft__arch_syscall
	.section .note.GNU-stack,"",@progbits
