/*
 * probe.S (aarch64) - lets the unwinder walk the stack of a goroutine that is not running; calls on other stacks.
 *
 * void weft__arch_probe(void *sp, void (*fn)(void *), void *arg)
 *
 * Calls fn(arg) on the caller's own stack, but in a frame whose unwind table describes the registers that
 * weft__arch_switch saved at sp (x29 x30, x19 .. x28, d8 .. d15, low to high): a backtrace made by fn steps from here
 * straight into the function that parked. Nothing is written to the other stack, so it does not matter how little
 * room is left there. The table uses x19, which fn preserves; a debugger sees the same.
 */
	.text
	.globl weft__arch_probe
	.hidden weft__arch_probe
	.type weft__arch_probe,%function
	.p2align 4
weft__arch_probe:
	.cfi_startproc
	hint 34
	stp x29,x30,[sp,-32]!
	.cfi_def_cfa_offset 32
	.cfi_offset 29,-32
	.cfi_offset 30,-24
	str x19,[sp,16]
	.cfi_offset 19,-16
	mov x29,sp
	mov x19,x0
	mov x0,x2
	.cfi_remember_state
	.cfi_def_cfa 19,160
	.cfi_offset 29,-160
	.cfi_offset 30,-152
	.cfi_offset 19,-144
	.cfi_offset 20,-136
	.cfi_offset 21,-128
	.cfi_offset 22,-120
	.cfi_offset 23,-112
	.cfi_offset 24,-104
	.cfi_offset 25,-96
	.cfi_offset 26,-88
	.cfi_offset 27,-80
	.cfi_offset 28,-72
	blr x1
	.cfi_restore_state
	ldr x19,[sp,16]
	ldp x29,x30,[sp],32
	.cfi_def_cfa_offset 0
	.cfi_restore 19
	.cfi_restore 29
	.cfi_restore 30
	ret
	.cfi_endproc
	.size weft__arch_probe,.-weft__arch_probe

/* void weft__arch_call_on(char *top, void (*fn)(void *), void *arg): fn(arg) on another stack; traces pass through. */
	.globl weft__arch_call_on
	.hidden weft__arch_call_on
	.type weft__arch_call_on,%function
	.p2align 4
weft__arch_call_on:
	.cfi_startproc
	hint 34
	stp x29,x30,[sp,-16]!
	.cfi_def_cfa_offset 16
	.cfi_offset 29,-16
	.cfi_offset 30,-8
	mov x29,sp
	.cfi_def_cfa_register 29
	and x9,x0,-16
	mov sp,x9
	mov x0,x2
	blr x1
	mov sp,x29
	.cfi_def_cfa_register 31
	ldp x29,x30,[sp],16
	.cfi_def_cfa_offset 0
	.cfi_restore 29
	.cfi_restore 30
	ret
	.cfi_endproc
	.size weft__arch_call_on,.-weft__arch_call_on
	.section .note.GNU-stack,"",%progbits
