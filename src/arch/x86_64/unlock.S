/*
 * unlock.S (x86-64) - weft_mutex_unlock where nobody has met anybody: a compare and a plain store, no locked instruction.
 *
 * The two are a restartable sequence (rseq(2), registered by the C library for each of its threads): a thread that the
 * kernel takes off its CPU between them, sends a signal to, or interrupts for weft__sys_restart_all goes on at 4 and not
 * at the store. So whoever changed the word and then called that knows: the store is in the word by now or will not come
 * (mutex.c, MX6). The address of the descriptor stays behind in the thread's rseq area; the kernel drops it when it finds
 * the thread elsewhere. The area: 4 cpu_id, negative on a thread that is not registered; 8 the descriptor.
 * weft__restart_at (sys/real.c): where the area lies from the thread pointer; 0 or 1: not known yet, or no such thing.
 */
	.text
	.globl weft_mutex_unlock
	.type weft_mutex_unlock,@function
	.p2align 5
weft_mutex_unlock:
	.cfi_startproc
	endbr64
	movq weft__restart_at(%rip),%rcx
	cmpq $1,%rcx
	jbe 3f
	cmpl $0,%fs:4(%rcx)
	js 3f
	leaq unlock_sequence(%rip),%rax
	movq %rax,%fs:8(%rcx)
1:	cmpl $1,(%rdi)
	jne 3f
	movl $0,(%rdi)			/* MX5: release; stores are in order on x86 */
2:	ret
3:	jmp weft__mutex_unlock_locked
	.byte 0x0f,0xb9,0x3d		/* with the four bytes after it, which rseq(2) asks for, an undefined instruction */
	.long 0x53053053
4:	jmp weft__mutex_unlock_locked
	.cfi_endproc
	.size weft_mutex_unlock,.-weft_mutex_unlock

	.section .data.rel.ro,"aw",@progbits
	.p2align 5
	.type unlock_sequence,@object
unlock_sequence:
	.long 0, 0			/* version, flags */
	.quad 1b, 2b - 1b, 4b
	.size unlock_sequence,.-unlock_sequence
	.hidden weft__restart_at
	.hidden weft__mutex_unlock_locked
	.section .note.GNU-stack,"",@progbits
