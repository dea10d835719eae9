// Two stages of a transform in registers, for Armv7E-M with the DSP extension: column() of spectrum.c.

#if defined(__ARM_FEATURE_DSP) && !defined(DITMOS_PORTABLE)
#include "kernels_m7_asm.h"

    .section HOT_CODE

// void ditmos_m7_column(point_t *p, uint32_t stride, const point_t *end, const point_t turns[2]), stride in bytes
    .p2align 3
    .global ditmos_m7_column
    .type ditmos_m7_column, %function
    .thumb_func
ditmos_m7_column:
    push {r4-r11, lr}
    ldmia r3, {r4-r7}
    push {r2, lr} // end, and a word for the alignment
    push {r4-r7}
column:
    add lr, r0, r1
    ldrd r2, r3, [lr]
    add lr, lr, r1, lsl #1
    ldrd r10, r11, [sp]
    smmulr r12, r2, r10 // b turned: r12, r4
    smmulr r4, r3, r10
    smmlsr r12, r3, r11, r12
    smmlar r4, r2, r11, r4
    ldrd r2, r3, [lr]
    sub lr, lr, r1
    smmulr r5, r2, r10 // d turned: r5, r6
    smmulr r6, r3, r10
    smmlsr r5, r3, r11, r5
    smmlar r6, r2, r11, r6
    ldrd r2, r3, [r0]
    add r7, r12, r2, asr #1 // e: r7, r9
    rsb r8, r12, r2, asr #1 // f: r8, r10
    add r9, r4, r3, asr #1
    rsb r10, r4, r3, asr #1
    ldrd r2, r3, [lr]
    add r4, r5, r2, asr #1 // u: r4, r11
    rsb r5, r5, r2, asr #1 // v: r5, r6
    add r11, r6, r3, asr #1
    rsb r6, r6, r3, asr #1
    ldrd r2, r3, [sp, #8]
    smmulr r12, r4, r2 // u turned: r12, lr
    smmulr lr, r11, r2
    smmlsr r12, r11, r3, r12
    smmlar lr, r4, r3, lr
    smmulr r4, r5, r3 // v turned back: r4, r11
    smmulr r11, r6, r3
    smmlar r4, r6, r2, r4
    smmlsr r11, r5, r2, r11
    add r2, r12, r7, asr #1
    add r3, lr, r9, asr #1
    rsb r5, r12, r7, asr #1
    rsb r6, lr, r9, asr #1
    strd r2, r3, [r0]
    add lr, r0, r1
    add r7, r4, r8, asr #1
    add r9, r11, r10, asr #1
    strd r7, r9, [lr]
    add lr, r1
    strd r5, r6, [lr]
    add lr, r1
    rsb r4, r4, r8, asr #1
    rsb r11, r11, r10, asr #1
    ldr r12, [sp, #16]
    strd r4, r11, [lr]
    add r0, lr, r1
    cmp r0, r12
    bcc column
    add sp, #24
    pop {r4-r11, pc}
    .size ditmos_m7_column, . - ditmos_m7_column

#endif
