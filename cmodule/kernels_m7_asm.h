// Macros that the assembly files share.
#ifndef DITMOS_KERNELS_M7_ASM_H
#define DITMOS_KERNELS_M7_ASM_H

#include "kernels_m7.h"

    .syntax unified
    .thumb

// Where loops live that run for every window, and the tables of their addresses. The linker of native modules (natmod.c)
// knows no other sections, and takes addresses in the second one alone.
#if DITMOS_NATMOD
#define HOT_CODE .text.ditmos_hot, "ax", %progbits
#define CODE_TABLE(name) .data.rel.ro.name, "aw", %progbits
#else
#define HOT_CODE .itcm.ditmos, "ax", %progbits
#define CODE_TABLE(name) .rodata.name, "a", %progbits
#endif

.macro function name
    .p2align 3
    .global \name
    .type \name, %function
    .thumb_func
\name:
.endm

// rd = x[row] + x[row + 1] * 2^21
.macro pack rd, temp, row
    ldrsb.w \rd, [r0, #(\row)]
    ldrsb.w \temp, [r0, #(\row) + 1]
    add.w \rd, \rd, \temp, lsl #21
.endm

// a = max(a, b)
.macro maximum a, b
    cmp \a, \b
    it lt
    movlt \a, \b
.endm

// Code addresses with the Thumb bit, as m7_code_t and m7_quads_code_t.
.macro code name, first, second, third
    .global \name
    .p2align 2
    .type \name, %object
\name:
    .word \first + 1, \second + 1, \third + 1
    .size \name, . - \name
.endm

// After the taps of one plane, in loops that have one copy of the taps and enter it so that the right number is left;
// r2 and r12 are free. `taps` is entered again, from the second operand too.
.macro next_entered second, done
    ldrd r2, r12, [sp, #WALK_STRIDE]
    add r0, r2
    cmp r1, r12
    it ne
    ldrne.w pc, [sp, #WALK_TAPS]
    ldr.w pc, [sp, #WALK_NEXT]
\second:
    ldrd r2, r12, [sp, #WALK_JUMP]
    add r0, r2
    ldr r2, [sp, #WALK_WEIGHTS_END2]
    strd r12, r2, [sp, #WALK_STRIDE]
    adr.w r2, \done + 1
    str r2, [sp, #WALK_NEXT]
    ldr.w pc, [sp, #WALK_TAPS]
    .p2align 2
.endm

#endif // DITMOS_KERNELS_M7_ASM_H
