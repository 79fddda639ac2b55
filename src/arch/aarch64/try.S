/*
 * try.S (aarch64) - the frame at which a panic stops.
 *
 * weft__try_entry is reached through a pointer of fn's type, with x18 = struct weft__try (weft/unwind.h: 0 fn, 8 site,
 * 16 head, 24 prev). It links the record into the goroutine's chain, calls fn on a copy of the stack arguments
 * and unlinks it. The copy goes up to an upper bound, but not past the record: that lies in the caller's frame too, and
 * arguments are at a frame's very bottom. Structs that travel by address stay where they are: the caller waits.
 * A panic is unwound to this frame like to any frame with clean-ups: the personality routine (unwind/try.c) finds the
 * record in x19 and sends the goroutine to weft__try_land, with the frame's registers restored.
 */
	.text
	.globl weft__try_entry_x15
	.variant_pcs weft__try_entry_x15
	.type weft__try_entry_x15,%function
	.globl weft__try_entry
	.variant_pcs weft__try_entry
	.type weft__try_entry,%function
	.p2align 4
weft__try_entry_x15:
	.cfi_startproc
	.cfi_personality 0x9b,DW.ref.weft__try_personality
	hint 34
	mov x18,x15
weft__try_entry:
	hint 34
	stp x29,x30,[sp,-32]!
	.cfi_def_cfa_offset 32
	.cfi_offset 29,-32
	.cfi_offset 30,-24
	str x19,[sp,16]
	.cfi_offset 19,-16
	mov x29,sp
	.cfi_def_cfa_register 29
	mov x19,x18
	ldr x9,[x19,16]
	ldr x10,[x9]
	str x10,[x19,24]
	str x19,[x9]
	ldr x10,[x19,8]
	ldr w11,[x10,20]
	cbz w11,2f
	add x12,x29,32
	sub x13,x19,x12
	add x13,x13,15
	and x13,x13,-16
	cmp x11,x13
	csel x11,x11,x13,lo
	sub sp,sp,x11
	mov x14,sp
1:	subs x11,x11,16
	b.lo 2f
	add x15,x12,x11
	ldp x9,x10,[x15]
	add x15,x14,x11
	stp x9,x10,[x15]
	b 1b
2:	ldr x16,[x19]
	blr x16
	ldr x9,[x19,16]
	ldr x10,[x19,24]
	str x10,[x9]
3:	mov sp,x29
	.cfi_remember_state
	.cfi_def_cfa_register 31
	ldr x19,[sp,16]
	ldp x29,x30,[sp],32
	.cfi_def_cfa_offset 0
	.cfi_restore 19
	.cfi_restore 29
	.cfi_restore 30
	ret
	.cfi_restore_state
	.globl weft__try_land
	.hidden weft__try_land
weft__try_land:
	hint 38
	mov x0,x19
	bl weft__try_landed
	b 3b
	.cfi_endproc
	.size weft__try_entry,.-weft__try_entry
	.size weft__try_entry_x15,.-weft__try_entry_x15

	.hidden weft__try_personality
	.hidden weft__try_landed
	.hidden DW.ref.weft__try_personality
	.weak DW.ref.weft__try_personality
	.section .data.rel.local.DW.ref.weft__try_personality,"awG",%progbits,DW.ref.weft__try_personality,comdat
	.p2align 3
	.type DW.ref.weft__try_personality,%object
	.size DW.ref.weft__try_personality,8
DW.ref.weft__try_personality:
	.xword weft__try_personality
	.section .note.GNU-stack,"",%progbits
