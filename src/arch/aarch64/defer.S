/*
 * defer.S (aarch64) - captures the arguments of a deferred call, and makes the call later.
 *
 * struct weft__defer (weft/unwind.h): 0 fn, 8 site, 16 eight general registers, 80 head, 88 prev; then, unless the site
 * says ints_only: 96 eight vector registers, 224 the stack arguments, after them the structs that travel by address.
 * struct weft__site: 20 stack_bytes, 24 ints_only, 40 refs. unwind/defer.c and prepare.c check these at compile time.
 * The entries end in weft__defer_link (unwind/defer.c), by way of weft__arch_defer_refs where there are such structs.
 *
 * The copy of the stack arguments goes up to an upper bound and so may read past them, into the caller's own frame,
 * never beyond it: the record itself lies there and is larger. Upwards, so that the true arguments, which lie below
 * the record, are read before anything is written over.
 */
	.text

/* Arrives here through a pointer of fn's type; x18 = the record. At most two arguments, both in general registers. */
	.globl weft__defer_entry_few_x15
	.variant_pcs weft__defer_entry_few_x15
	.type weft__defer_entry_few_x15,%function
	.globl weft__defer_entry_few
	.variant_pcs weft__defer_entry_few
	.type weft__defer_entry_few,%function
	.p2align 4
weft__defer_entry_few_x15:
	.cfi_startproc
	hint 34
	mov x18,x15
weft__defer_entry_few:
	hint 34
	stp x0,x1,[x18,16]
	mov x0,x18
	b weft__defer_link
	.cfi_endproc
	.size weft__defer_entry_few,.-weft__defer_entry_few
	.size weft__defer_entry_few_x15,.-weft__defer_entry_few_x15

/* The same for up to six. */
	.globl weft__defer_entry_ints_x15
	.variant_pcs weft__defer_entry_ints_x15
	.type weft__defer_entry_ints_x15,%function
	.globl weft__defer_entry_ints
	.variant_pcs weft__defer_entry_ints
	.type weft__defer_entry_ints,%function
	.p2align 4
weft__defer_entry_ints_x15:
	.cfi_startproc
	hint 34
	mov x18,x15
weft__defer_entry_ints:
	hint 34
	stp x0,x1,[x18,16]
	stp x2,x3,[x18,32]
	stp x4,x5,[x18,48]
	mov x0,x18
	b weft__defer_link
	.cfi_endproc
	.size weft__defer_entry_ints,.-weft__defer_entry_ints
	.size weft__defer_entry_ints_x15,.-weft__defer_entry_ints_x15

/* The same for any arguments. */
	.globl weft__defer_entry_all_x15
	.variant_pcs weft__defer_entry_all_x15
	.type weft__defer_entry_all_x15,%function
	.globl weft__defer_entry_all
	.variant_pcs weft__defer_entry_all
	.type weft__defer_entry_all,%function
	.p2align 4
weft__defer_entry_all_x15:
	.cfi_startproc
	hint 34
	mov x18,x15
weft__defer_entry_all:
	hint 34
	stp x0,x1,[x18,16]
	stp x2,x3,[x18,32]
	stp x4,x5,[x18,48]
	stp x6,x7,[x18,64]
	stp q0,q1,[x18,96]
	stp q2,q3,[x18,128]
	stp q4,q5,[x18,160]
	stp q6,q7,[x18,192]
	ldr x9,[x18,8]
	ldr w10,[x9,20]
	cbz w10,2f
	mov x11,sp
	add x12,x18,224
1:	ldp x13,x14,[x11],16
	stp x13,x14,[x12],16
	subs w10,w10,16
	b.ne 1b
2:	mov x0,x18
	ldr x9,[x9,40]
	cbnz x9,3f
	b weft__defer_link
3:	b weft__arch_defer_refs
	.cfi_endproc
	.size weft__defer_entry_all,.-weft__defer_entry_all
	.size weft__defer_entry_all_x15,.-weft__defer_entry_all_x15

/*
 * void weft__defer_run(struct weft__defer *d): the end of the block. Takes the record out of the goroutine's chain and
 * makes the call, unless a panic or goexit has made it already (head is NULL).
 * void weft__defer_call(struct weft__defer *d): the call alone. Panics, goexit and parking pass through both.
 */
	.globl weft__defer_run
	.type weft__defer_run,%function
	.p2align 4
weft__defer_run:
	.cfi_startproc
	hint 34
	ldp x9,x10,[x0,80]
	cbz x9,4f
	str x10,[x9]
	b weft__defer_call
4:	ret
	.cfi_endproc
	.size weft__defer_run,.-weft__defer_run

	.globl weft__defer_call
	.hidden weft__defer_call
	.type weft__defer_call,%function
	.p2align 4
weft__defer_call:
	.cfi_startproc
	hint 34
	ldp x16,x9,[x0]
	mov x17,x0
	cbz x16,3f
	ldr w10,[x9,24]
	cbz w10,1f
	ldp x2,x3,[x17,32]
	ldp x4,x5,[x17,48]
	ldp x0,x1,[x17,16]
	br x16
3:	b weft__defer_nil
1:	stp x29,x30,[sp,-16]!
	.cfi_def_cfa_offset 16
	.cfi_offset 29,-16
	.cfi_offset 30,-8
	mov x29,sp
	.cfi_def_cfa_register 29
	ldr w10,[x9,20]
	cbz w10,2f
	sub sp,sp,x10
	mov x11,sp
	add x12,x17,224
1:	ldp x13,x14,[x12],16
	stp x13,x14,[x11],16
	subs w10,w10,16
	b.ne 1b
2:	ldp x0,x1,[x17,16]
	ldp x2,x3,[x17,32]
	ldp x4,x5,[x17,48]
	ldp x6,x7,[x17,64]
	ldp q0,q1,[x17,96]
	ldp q2,q3,[x17,128]
	ldp q4,q5,[x17,160]
	ldp q6,q7,[x17,192]
	blr x16
	mov sp,x29
	.cfi_def_cfa_register 31
	ldp x29,x30,[sp],16
	.cfi_def_cfa_offset 0
	.cfi_restore 29
	.cfi_restore 30
	ret
	.cfi_endproc
	.size weft__defer_call,.-weft__defer_call
	.hidden weft__defer_link
	.hidden weft__defer_nil
	.hidden weft__arch_defer_refs
	.section .note.GNU-stack,"",%progbits
