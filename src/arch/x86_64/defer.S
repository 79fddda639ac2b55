/*
 * defer.S (x86-64) - captures the arguments of a deferred call, and makes the call later.
 *
 * struct weft__defer (weft/unwind.h): 0 fn, 8 site, 16 six integer registers, 64 rax, 72 head, 80 prev; then, unless the
 * site says ints_only: 88 eight vector registers, 216 the stack arguments. struct weft__site: 20 stack_bytes,
 * 24 ints_only (2: at most two arguments, only their registers are in the record). unwind/defer.c checks these at compile
 * time. The common ways begin on a cache line: 10 % of a call. The entries link the record into the goroutine's chain as
 * weft__defer_link (unwind/defer.c) does, by which they end on a thread that weft does not know yet: 16 of the thread's
 * m is g, 0x68 of that defer_top.
 *
 * The copy of the stack arguments goes up to an upper bound and so may read past them, into the caller's own frame,
 * never beyond it: the record itself lies there and is larger. Upwards, so that the true arguments, which lie below
 * the record, are read before anything is written over.
 */
	.text

/* Arrives here through a pointer of fn's type; %r10 = the record. At most two arguments, both in integer registers. */
	.globl weft__defer_entry_few
	.type weft__defer_entry_few,@function
	.p2align 6
weft__defer_entry_few:
	.cfi_startproc
	endbr64
	movq %rdi,16(%r10)
	movq %rsi,24(%r10)
	movq weft__tls_m@gottpoff(%rip),%r11
	movq %fs:(%r11),%r11
	testq %r11,%r11
	jz 9f
	movq 16(%r11),%r11
	testq %r11,%r11
	jz 9f
	movq 0x68(%r11),%rax
	movq %rax,80(%r10)
	leaq 0x68(%r11),%rax
	movq %rax,72(%r10)
	movq %r10,0x68(%r11)
	ret
9:	movq %r10,%rdi
	jmp weft__defer_link
	.cfi_endproc
	.size weft__defer_entry_few,.-weft__defer_entry_few

/* The same for up to six. */
	.globl weft__defer_entry_ints
	.type weft__defer_entry_ints,@function
	.p2align 4
weft__defer_entry_ints:
	.cfi_startproc
	endbr64
	movq %rdi,16(%r10)
	movq %rsi,24(%r10)
	movq %rdx,32(%r10)
	movq %rcx,40(%r10)
	movq %r8,48(%r10)
	movq %r9,56(%r10)
	movq weft__tls_m@gottpoff(%rip),%r11
	movq %fs:(%r11),%r11
	testq %r11,%r11
	jz 9f
	movq 16(%r11),%r11
	testq %r11,%r11
	jz 9f
	movq 0x68(%r11),%rax
	movq %rax,80(%r10)
	leaq 0x68(%r11),%rax
	movq %rax,72(%r10)
	movq %r10,0x68(%r11)
	ret
9:	movq %r10,%rdi
	jmp weft__defer_link
	.cfi_endproc
	.size weft__defer_entry_ints,.-weft__defer_entry_ints

/* The same for any arguments. */
	.globl weft__defer_entry_all
	.type weft__defer_entry_all,@function
	.p2align 4
weft__defer_entry_all:
	.cfi_startproc
	endbr64
	movq %rdi,16(%r10)
	movq %rsi,24(%r10)
	movq %rdx,32(%r10)
	movq %rcx,40(%r10)
	movq %r8,48(%r10)
	movq %r9,56(%r10)
	movq %rax,64(%r10)
	movups %xmm0,88(%r10)
	movups %xmm1,104(%r10)
	movups %xmm2,120(%r10)
	movups %xmm3,136(%r10)
	movups %xmm4,152(%r10)
	movups %xmm5,168(%r10)
	movups %xmm6,184(%r10)
	movups %xmm7,200(%r10)
	movq 8(%r10),%rax
	movl 20(%rax),%ecx
	testl %ecx,%ecx
	jz 2f
	xorl %eax,%eax
1:	movq 8(%rsp,%rax),%rdx
	movq %rdx,216(%r10,%rax)
	addq $8,%rax
	cmpq %rcx,%rax
	jb 1b
2:	movq weft__tls_m@gottpoff(%rip),%r11
	movq %fs:(%r11),%r11
	testq %r11,%r11
	jz 9f
	movq 16(%r11),%r11
	testq %r11,%r11
	jz 9f
	movq 0x68(%r11),%rax
	movq %rax,80(%r10)
	leaq 0x68(%r11),%rax
	movq %rax,72(%r10)
	movq %r10,0x68(%r11)
	ret
9:	movq %r10,%rdi
	jmp weft__defer_link
	.cfi_endproc
	.size weft__defer_entry_all,.-weft__defer_entry_all

/*
 * void weft__defer_run(struct weft__defer *d): the end of the block. Takes the record out of the goroutine's chain and
 * makes the call, unless a panic or goexit has made it already (head is NULL).
 * void weft__defer_call(struct weft__defer *d): the call alone. Panics, goexit and parking pass through both.
 */
	.globl weft__defer_run
	.type weft__defer_run,@function
	.p2align 6
weft__defer_run:
	.cfi_startproc
	endbr64
	movq 72(%rdi),%rax
	movq 80(%rdi),%rcx
	testq %rax,%rax
	jz 4f
	movq %rcx,(%rax)
	movq 8(%rdi),%rdx
	movq (%rdi),%r11
	cmpl $2,24(%rdx)
	jne weft__defer_call
	testq %r11,%r11
	jz weft__defer_call		/* which panics */
	movq 24(%rdi),%rsi
	movq 16(%rdi),%rdi
	xorl %eax,%eax
	jmp *%r11
4:	ret
	.cfi_endproc
	.size weft__defer_run,.-weft__defer_run

	.globl weft__defer_call
	.hidden weft__defer_call
	.type weft__defer_call,@function
	.p2align 4
weft__defer_call:
	.cfi_startproc
	endbr64
	movq (%rdi),%r11
	movq 8(%rdi),%rax
	movq %rdi,%r10
	testq %r11,%r11
	jz 3f
	cmpl $0,24(%rax)
	je 1f
	movq 24(%r10),%rsi
	movq 32(%r10),%rdx
	movq 40(%r10),%rcx
	movq 48(%r10),%r8
	movq 56(%r10),%r9
	movq 16(%r10),%rdi
	xorl %eax,%eax
	jmp *%r11
3:	jmp weft__defer_nil
1:	pushq %rbp
	.cfi_def_cfa_offset 16
	.cfi_offset %rbp,-16
	movq %rsp,%rbp
	.cfi_def_cfa_register %rbp
	movl 20(%rax),%ecx
	subq %rcx,%rsp
	testl %ecx,%ecx
	jz 2f
1:	subq $8,%rcx
	movq 216(%r10,%rcx),%rdx
	movq %rdx,(%rsp,%rcx)
	jnz 1b
2:	movq 16(%r10),%rdi
	movq 24(%r10),%rsi
	movq 32(%r10),%rdx
	movq 40(%r10),%rcx
	movq 48(%r10),%r8
	movq 56(%r10),%r9
	movq 64(%r10),%rax
	movups 88(%r10),%xmm0
	movups 104(%r10),%xmm1
	movups 120(%r10),%xmm2
	movups 136(%r10),%xmm3
	movups 152(%r10),%xmm4
	movups 168(%r10),%xmm5
	movups 184(%r10),%xmm6
	movups 200(%r10),%xmm7
	call *%r11
	leave
	.cfi_def_cfa %rsp,8
	ret
	.cfi_endproc
	.size weft__defer_call,.-weft__defer_call
	.hidden weft__defer_link
	.hidden weft__defer_nil
	.hidden weft__tls_m
	.section .note.GNU-stack,"",@progbits
