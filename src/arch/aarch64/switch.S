/*
 * switch.S (aarch64) - the context switch, the entry that captures a call, a goroutine's first instructions.
 *
 * Saved frame, from low to high: x29 x30, x19 .. x28, d8 .. d15: 160 bytes (AAPCS64 callee-saved; FPCR is not switched:
 * a goroutine that changes rounding changes it for its thread). struct weft__sw: 0 sp, 8 on_cpu. struct weft__g: 48 saved_errno.
 * struct weft__m: 40 in, 152 errno_at. struct weft__spawn: 16 site, 24 fn, 48 args. struct weft__call: 0 fn,
 * 8 site; site: 24 ints_only. The static chain is x18 (gcc; clang before 21) or x15 (clang from 21 on: call_aarch64.h names the
 * second entry). .variant_pcs: no lazy binding may lose the chain. hint 34 is bti c, hint 38 bti jc.
 * sched/stack.c and prepare.c check the offsets at compile time.
 */
	.text

/* Off the stack of x0, a struct weft__sw, and onto that of x1. */
	.macro switch_save
	sub sp,sp,160
	.cfi_def_cfa_offset 160
	stp x29,x30,[sp]
	.cfi_offset 29,-160
	.cfi_offset 30,-152
	stp x19,x20,[sp,16]
	.cfi_offset 19,-144
	.cfi_offset 20,-136
	stp x21,x22,[sp,32]
	.cfi_offset 21,-128
	.cfi_offset 22,-120
	stp x23,x24,[sp,48]
	.cfi_offset 23,-112
	.cfi_offset 24,-104
	stp x25,x26,[sp,64]
	.cfi_offset 25,-96
	.cfi_offset 26,-88
	stp x27,x28,[sp,80]
	.cfi_offset 27,-80
	.cfi_offset 28,-72
	stp d8,d9,[sp,96]
	.cfi_offset 72,-64
	.cfi_offset 73,-56
	stp d10,d11,[sp,112]
	.cfi_offset 74,-48
	.cfi_offset 75,-40
	stp d12,d13,[sp,128]
	.cfi_offset 76,-32
	.cfi_offset 77,-24
	stp d14,d15,[sp,144]
	.cfi_offset 78,-16
	.cfi_offset 79,-8
	mov x9,sp
	add x10,x0,8
	str x9,[x0]
	stlr wzr,[x10]			/* G1: release */
	ldr x9,[x1]
	mov sp,x9
	.endm

/* What switch_save left there. */
	.macro switch_load
	ldp x29,x30,[sp]
	ldp x19,x20,[sp,16]
	ldp x21,x22,[sp,32]
	ldp x23,x24,[sp,48]
	ldp x25,x26,[sp,64]
	ldp x27,x28,[sp,80]
	ldp d8,d9,[sp,96]
	ldp d10,d11,[sp,112]
	ldp d12,d13,[sp,128]
	ldp d14,d15,[sp,144]
	add sp,sp,160
	.cfi_def_cfa_offset 0
	ret
	.endm

/* void weft__arch_switch(struct weft__sw *from, struct weft__sw *to) */
	.globl weft__arch_switch
	.hidden weft__arch_switch
	.type weft__arch_switch,%function
	.p2align 5
weft__arch_switch:
	.cfi_startproc
	hint 34
	switch_save
	switch_load
	.cfi_endproc
	.size weft__arch_switch,.-weft__arch_switch

/* void weft__arch_switch_to(struct weft__sw *from, struct weft__sw *to, struct weft__m *m) */
	.globl weft__arch_switch_to
	.hidden weft__arch_switch_to
	.type weft__arch_switch_to,%function
	.p2align 5
weft__arch_switch_to:
	.cfi_startproc
	hint 34
	switch_save
	ldr x11,[x2,152]
	ldr w12,[x1,48]
	add x10,x2,40
	str w12,[x11]
	stlr wzr,[x10]			/* M2: release */
	switch_load
	.cfi_endproc
	.size weft__arch_switch_to,.-weft__arch_switch_to

/* What weft_go's call through fn's own type really reaches; x18 = struct weft__call *. */
	.globl weft__go_entry_x15
	.variant_pcs weft__go_entry_x15
	.type weft__go_entry_x15,%function
	.globl weft__go_entry
	.variant_pcs weft__go_entry
	.type weft__go_entry,%function
	.p2align 4
weft__go_entry_x15:
	.cfi_startproc
	hint 34
	mov x18,x15
weft__go_entry:
	hint 34
	stp x29,x30,[sp,-208]!
	.cfi_def_cfa_offset 208
	.cfi_offset 29,-208
	.cfi_offset 30,-200
	mov x29,sp
	stp x0,x1,[sp,16]
	stp x2,x3,[sp,32]
	stp x4,x5,[sp,48]
	stp x6,x7,[sp,64]
	ldr x9,[x18,8]
	ldr w9,[x9,24]
	cbnz w9,1f
	stp q0,q1,[sp,80]
	stp q2,q3,[sp,112]
	stp q4,q5,[sp,144]
	stp q6,q7,[sp,176]
1:	add x0,sp,16
	add x1,sp,208
	mov x2,x18
	bl weft__go_c
	ldp x29,x30,[sp],208
	.cfi_restore 29
	.cfi_restore 30
	.cfi_def_cfa_offset 0
	ret
	.cfi_endproc
	.size weft__go_entry,.-weft__go_entry
	.size weft__go_entry_x15,.-weft__go_entry_x15

/* First instructions of a goroutine. sp -> register block, stack arguments above it; x19 = fn, x20 = ints_only. */
	.globl weft__g_start
	.hidden weft__g_start
	.type weft__g_start,%function
	.p2align 4
weft__g_start:
	.cfi_startproc
	.cfi_undefined 30
	hint 38
	bl weft__g_enter
	ldp x0,x1,[sp]
	ldp x2,x3,[sp,16]
	ldp x4,x5,[sp,32]
	ldp x6,x7,[sp,48]
	cbnz w20,1f
	ldp q0,q1,[sp,64]
	ldp q2,q3,[sp,96]
	ldp q4,q5,[sp,128]
	ldp q6,q7,[sp,160]
1:	add sp,sp,192
2:	blr x19
	bl weft__g_end			/* x0 = a record that goes on here, x1: the word that ends the section */
	mov x9,x0
	mov x10,x1
	ldr x11,[x9,16]
	ldr x19,[x9,24]
	ldp x0,x1,[x9,48]
	ldr w11,[x11,24]
	cmp w11,2
	b.eq 3f
	ldp x2,x3,[x9,64]
	ldp x4,x5,[x9,80]
	ldr x6,[x9,96]
3:	stlr wzr,[x10]			/* M2 */
	b 2b
	.cfi_endproc
	.size weft__g_start,.-weft__g_start

/* First instructions of a scheduler stack: x19 = a function that never returns. */
	.globl weft__plain_start
	.hidden weft__plain_start
	.type weft__plain_start,%function
	.p2align 4
weft__plain_start:
	.cfi_startproc
	.cfi_undefined 30
	hint 38
	blr x19
	brk 1
	.cfi_endproc
	.size weft__plain_start,.-weft__plain_start
	.section .note.GNU-stack,"",%progbits
