// Depthwise convolutions of the usual kernels, stride 1, no pooling, for Armv7E-M with the DSP extension.

#if defined(__ARM_FEATURE_DSP) && !defined(DITMOS_PORTABLE)
#include "kernels_m7_asm.h"
#include "kernels_m7_channels.h"

    .section .text.ditmos_m7_depthwise, "ax", %progbits

// Adds tap \t of the row in r6 to the sum of row \i of the block: r2-r5 are the sums, r10, r11, r12, lr two taps each.
// The first tap adds the bias, r7; a ninth one takes its place later.
.macro depthwise_tap i, t
    .if \i == 0
    depthwise_sum r2, \t
    .elseif \i == 1
    depthwise_sum r3, \t
    .elseif \i == 2
    depthwise_sum r4, \t
    .else
    depthwise_sum r5, \t
    .endif
.endm

.macro depthwise_sum sum, t
    .if \t == 0
    smlabb \sum, r6, r10, r7
    .elseif \t == 1
    smlabt \sum, r6, r10, \sum
    .elseif \t == 2
    smlabb \sum, r6, r11, \sum
    .elseif \t == 3
    smlabt \sum, r6, r11, \sum
    .elseif \t == 4
    smlabb \sum, r6, r12, \sum
    .elseif \t == 5
    smlabt \sum, r6, r12, \sum
    .elseif \t == 6
    smlabb \sum, r6, lr, \sum
    .elseif \t == 7
    smlabt \sum, r6, lr, \sum
    .else
    smlabb \sum, r6, r7, \sum
    .endif
.endm

// Row \j of the input of a block, to all sums that it is part of.
.macro depthwise_row j, taps
    .if \j < 4
    ldrsb r6, [r0], #1
    .else
    ldrsb r6, [r0, #(\j - 4)]
    .endif
    .irp i, 0, 1, 2, 3
    .if \j - \i >= 0 && \j - \i < \taps
    depthwise_tap \i, (\j - \i)
    .endif
    .endr
.endm

// Two weights in one register; r3 walks them.
.macro depthwise_weights reg
    ldrsb \reg, [r3], #1
    ldrsb r4, [r3], #1
    pkhbt \reg, \reg, r4, lsl #16
.endm

// void NAME(const m7_depthwise_t *call): all channels of one operand, blocks of four rows. The frame is a copy of the call.
.macro depthwise name, taps
    function \name
    push {r4-r11, lr}
    sub sp, #DEPTHWISE_FRAME
    ldmia.w r0, {r1-r10}
    stmia.w sp, {r1-r10}
    ldr r9, [sp, #DEPTHWISE_ZERO_POINT]
1:
    ldrd r2, r4, [sp, #DEPTHWISE_BIAS] // and multipliers
    ldr r3, [sp, #DEPTHWISE_WEIGHT]
    ldr r7, [r2], #4
    ldr r8, [r4], #4
    strd r2, r4, [sp, #DEPTHWISE_BIAS]
    depthwise_weights r10
    .if \taps > 3
    depthwise_weights r11
    .endif
    .if \taps > 5
    depthwise_weights r12
    depthwise_weights lr
    .endif
    .if \taps == 3
    ldrsb r11, [r3], #1
    .elseif \taps == 5
    ldrsb r12, [r3], #1
    .else
    ldrsb r4, [r3], #1
    strd r7, r4, [sp, #DEPTHWISE_NOW] // and the ninth tap
    .endif
    str r3, [sp, #DEPTHWISE_WEIGHT]
    ldrd r0, r1, [sp, #DEPTHWISE_X] // and the output
    ldr r2, [sp, #DEPTHWISE_LAST]
    add r2, r1
    str r2, [sp, #DEPTHWISE_LAST_OUT]
2:
    .if \taps > 8
    ldr r7, [sp, #DEPTHWISE_NOW]
    .endif
    .irp j, 0, 1, 2, 3
    depthwise_row \j, \taps
    .endr
    .if \taps > 8
    ldr r7, [sp, #(DEPTHWISE_NOW + 4)]
    .endif
    .irp j, 4, 5, 6, 7, 8, 9, 10, 11
    .if \j < \taps + 3
    depthwise_row \j, \taps
    .endif
    .endr
    .irp sum, r2, r3, r4, r5
    smmlar \sum, \sum, r8, r9
    .endr
    .irp sum, r2, r3, r4, r5
    ssat \sum, #8, \sum
    .endr
    strb r2, [r1], #4
    strb r3, [r1, #-3]
    strb r4, [r1, #-2]
    strb r5, [r1, #-1]
    ldr r6, [sp, #DEPTHWISE_LAST_OUT] // of the last block
    cmp r1, r6
    bls 2b
    sub r6, r1
    cmn r6, #4
    itt ne
    addne r0, r6
    addne r1, r6
    bne 2b // the last block is moved back to end with the rows
    ldrd r0, r1, [sp, #DEPTHWISE_X]
    ldrd r2, r3, [sp, #DEPTHWISE_STRIDE]
    add r0, r2
    add r1, r3
    ldr r2, [sp, #DEPTHWISE_CHANNELS]
    strd r0, r1, [sp, #DEPTHWISE_X]
    subs r2, #1
    str r2, [sp, #DEPTHWISE_CHANNELS]
    bne.w 1b
    add sp, #DEPTHWISE_FRAME
    pop {r4-r11, pc}
    .size \name, . - \name
.endm

    depthwise ditmos_m7_depthwise_3, 3
    depthwise ditmos_m7_depthwise_5, 5
    depthwise ditmos_m7_depthwise_9, 9

#endif // __ARM_FEATURE_DSP

#if defined(__linux__)
    .section .note.GNU-stack, "", %progbits
#endif
