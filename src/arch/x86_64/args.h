/*
 * args.h (x86-64) - for assembly: the registers that carry arguments, kept at 0 .. 191(%rsp) while a C function runs; 56(%rsp) is free.
 */
#ifndef WEFT_ARCH_X86_64_ARGS_H
#define WEFT_ARCH_X86_64_ARGS_H
#ifdef __ASSEMBLER__

    .macro ARGS_KEEP
    movq %rdi,(%rsp)
    movq %rsi,8(%rsp)
    movq %rdx,16(%rsp)
    movq %rcx,24(%rsp)
    movq %r8,32(%rsp)
    movq %r9,40(%rsp)
    movq %rax,48(%rsp)
    movups %xmm0,64(%rsp)
    movups %xmm1,80(%rsp)
    movups %xmm2,96(%rsp)
    movups %xmm3,112(%rsp)
    movups %xmm4,128(%rsp)
    movups %xmm5,144(%rsp)
    movups %xmm6,160(%rsp)
    movups %xmm7,176(%rsp)
    .endm

    .macro ARGS_BACK
    movq (%rsp),%rdi
    movq 8(%rsp),%rsi
    movq 16(%rsp),%rdx
    movq 24(%rsp),%rcx
    movq 32(%rsp),%r8
    movq 40(%rsp),%r9
    movq 48(%rsp),%rax
    movups 64(%rsp),%xmm0
    movups 80(%rsp),%xmm1
    movups 96(%rsp),%xmm2
    movups 112(%rsp),%xmm3
    movups 128(%rsp),%xmm4
    movups 144(%rsp),%xmm5
    movups 160(%rsp),%xmm6
    movups 176(%rsp),%xmm7
    .endm

#endif
#endif
