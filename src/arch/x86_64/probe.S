/*
 * probe.S (x86-64) - lets the unwinder walk the stack of a goroutine that is not running; calls on other stacks.
 *
 * void weft__arch_probe(void *sp, void (*fn)(void *), void *arg)
 *
 * Calls fn(arg) on the caller's own stack, but in a frame whose unwind table describes the registers that
 * weft__arch_switch saved at sp (r15 r14 r13 r12 rbx rbp rip, low to high): a backtrace made by fn steps from here
 * straight into the function that parked. Nothing is written to the other stack, so it does not matter how little
 * room is left there. The table uses %rbx, which fn preserves; a debugger sees the same.
 */
	.text
	.globl weft__arch_probe
	.hidden weft__arch_probe
	.type weft__arch_probe,@function
	.p2align 4
weft__arch_probe:
	.cfi_startproc
	endbr64
	pushq %rbx
	.cfi_def_cfa_offset 16
	.cfi_offset %rbx,-16
	movq %rdi,%rbx
	movq %rdx,%rdi
	.cfi_remember_state
	.cfi_def_cfa %rbx,56
	.cfi_offset %r15,-56
	.cfi_offset %r14,-48
	.cfi_offset %r13,-40
	.cfi_offset %r12,-32
	.cfi_offset %rbx,-24
	.cfi_offset %rbp,-16
	call *%rsi
	.cfi_restore_state
	popq %rbx
	.cfi_def_cfa_offset 8
	.cfi_restore %rbx
	ret
	.cfi_endproc
	.size weft__arch_probe,.-weft__arch_probe

/* void weft__arch_call_on(char *top, void (*fn)(void *), void *arg): fn(arg) on another stack; traces pass through. */
	.globl weft__arch_call_on
	.hidden weft__arch_call_on
	.type weft__arch_call_on,@function
	.p2align 4
weft__arch_call_on:
	.cfi_startproc
	endbr64
	pushq %rbp
	.cfi_def_cfa_offset 16
	.cfi_offset %rbp,-16
	movq %rsp,%rbp
	.cfi_def_cfa_register %rbp
	movq %rdi,%rsp
	andq $-16,%rsp
	movq %rdx,%rdi
	call *%rsi
	leave
	.cfi_def_cfa %rsp,8
	ret
	.cfi_endproc
	.size weft__arch_call_on,.-weft__arch_call_on
	.section .note.GNU-stack,"",@progbits
