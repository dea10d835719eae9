// Input rows as the loops of kernels_m7_lanes.S and kernels_m7_smlad.S read them, for Armv7E-M with the DSP extension.

#if defined(__ARM_FEATURE_DSP) && !defined(DITMOS_PORTABLE)
#include "kernels_m7_asm.h"

    .section HOT_CODE

// ----- three lanes --------------------------------------------------------------------------------------------------

.macro pack_two_words step
    ldrsb r4, [r1], #(4 * \step)
    ldrsb r5, [r1, #(-3 * \step)]
    ldrsb r6, [r1, #(-2 * \step)]
    ldrsb r7, [r1, #-\step]
    add.w r4, r4, r5, lsl #21
    add.w r6, r6, r7, lsl #21
    strd r4, r6, [r0], #M7_GROUP_STEP
.endm

// void NAME(const m7_pack_t *pack), rows `step` bytes apart. Eight words a turn, then four, two and one.
.macro pack_function name, step, front=0
    function \name
    push {r4-r11, lr}
    ldmia.w r0, {r1-r3, r8-r11, lr} // as in m7_pack_t
10: // a plane
    mov r0, r3
    .if \front
    ldrsb r4, [r1]
    add r1, r11
    ldrsb r6, [r1], #2
    ldrsb r7, [r1, #-1]
    add.w r4, r4, r4, lsl #21
    add.w r6, r6, r7, lsl #21
    strd r4, r6, [r0], #M7_GROUP_STEP
    .endif
    lsrs r12, r2, #3
    beq 12f
11:
    .rept 4
    pack_two_words \step
    .endr
    subs r12, #1
    bne 11b
12:
    lsls r12, r2, #30 // carry: four more; negative: two more
    bcc 13f
    pack_two_words \step
    pack_two_words \step
13:
    bpl 14f
    pack_two_words \step
14:
    lsls r12, r12, #1 // negative: one more
    bpl 15f
    ldrsb r4, [r1]
    ldrsb r5, [r1, #\step]
    add.w r4, r4, r5, lsl #21
    str r4, [r0]
15:
    add r1, r10
    .if \step == 2
    sub r10, r11, r10
    .endif
    adds r3, #8
    adds r8, r8, #1 << 30
    it cs
    addcs r3, r9
    subs lr, #1
    bne 10b
    pop {r4-r11, pc}
    .size \name, . - \name
.endm

    pack_function ditmos_m7_pack, 1
    pack_function ditmos_m7_pack_even, 2
    pack_function ditmos_m7_pack_front, 1, 1

// ----- quads --------------------------------------------------------------------------------------------------------

// int32_t *ditmos_m7_pack_windows(int32_t *to, const m7_run_t *run, uint32_t row, uint32_t taps)
    function ditmos_m7_pack_windows
    push {r4-r9, lr}
    ldmia r1, {r4-r7} // the planes, bytes to the next ones, pairs of planes
    add r1, r4, r2
    add r2, r5
    lsr r12, r3, #16 // rows from the first window to the second
    uxtb r3, r3
    sub r6, r3
1:
    mov lr, r3
2:
    ldrsb r4, [r1, r12]
    ldrsb r5, [r2, r12]
    ldrsb r8, [r1], #1
    ldrsb r9, [r2], #1
    pkhbt r5, r4, r5, lsl #16
    pkhbt r4, r8, r9, lsl #16
    subs lr, #1
    strd r4, r5, [r0], #8
    bne 2b
    add r1, r6
    add r2, r6
    subs r7, #1
    bne 1b
    pop {r4-r9, pc}
    .size ditmos_m7_pack_windows, . - ditmos_m7_pack_windows

#endif // __ARM_FEATURE_DSP

#if defined(__linux__)
    .section .note.GNU-stack, "", %progbits
#endif
