/*
 * refs.S (aarch64) - where a trial call arrives that finds out which argument words are addresses of structs (refs.c).
 *
 * Reached through a pointer of fn's type with made-up arguments; x18 = struct weft__refs_trial.
 */
	.text
	.globl weft__refs_entry_x15
	.variant_pcs weft__refs_entry_x15
	.type weft__refs_entry_x15,%function
	.globl weft__refs_entry
	.variant_pcs weft__refs_entry
	.type weft__refs_entry,%function
	.p2align 4
weft__refs_entry_x15:
	.cfi_startproc
	hint 34
	mov x18,x15
weft__refs_entry:
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
	stp q0,q1,[sp,80]
	stp q2,q3,[sp,112]
	stp q4,q5,[sp,144]
	stp q6,q7,[sp,176]
	add x0,sp,16
	add x1,sp,208
	mov x2,x18
	bl weft__refs_found
	ldp x29,x30,[sp],208
	.cfi_restore 29
	.cfi_restore 30
	.cfi_def_cfa_offset 0
	ret
	.cfi_endproc
	.size weft__refs_entry,.-weft__refs_entry
	.size weft__refs_entry_x15,.-weft__refs_entry_x15
	.hidden weft__refs_found
	.section .note.GNU-stack,"",%progbits
