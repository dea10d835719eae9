// Convolutions with SMLAD, which need no bound on the sums and take any stride, and fully connected layers, for
// Armv7E-M with the DSP extension. Registers and frame of the convolutions as in kernels_m7_lanes.S.

#if defined(__ARM_FEATURE_DSP) && !defined(DITMOS_PORTABLE)
#include "kernels_m7_asm.h"

    .section .itcm.ditmos, "ax", %progbits

.macro dot_weights a, b, x
    ldrd r12, lr, [r1], #8
    smlad \a, \x, r12, \a
    smlad \b, \x, lr, \b
.endm

.macro halves rd, row
    ldrsb.w \rd, [r0, #(\row)]
    ldrsb.w r12, [r0, #(\row) + 1]
    pkhbt \rd, \rd, r12, lsl #16
.endm

// Sums of four channels: r4-r7 for one window; r8-r11 for a second one, two rows later, if the taps are those of dot2.
    function ditmos_m7_dot
    push {r0, r4-r11, lr}
    sub sp, #DOT_FRAME
    mov r12, sp
    ldmia r0!, {r1-r6}
    stmia r12!, {r1-r6}
    ldmia r0!, {r1-r6}
    stmia r12!, {r1-r6}
    ldr r0, [r0, #(DOT_QUAD - WALK_SIZE)]
    add r1, r0, #QUAD_WORDS
    ldr r5, [sp, #WALK_WEIGHTS_END] // bytes of weights, so far
    ldr r6, [sp, #WALK_WEIGHTS_END2]
    add r5, r1
    add r6, r5
    str r5, [sp, #WALK_WEIGHTS_END]
    str r6, [sp, #WALK_WEIGHTS_END2]
    add r12, r0, #QUAD_BIAS
    ldr r0, [sp, #WALK_X]
    ldmia.w r12, {r4-r7}
    ldmia.w r12, {r8-r11}
    ldr.w pc, [sp, #WALK_TAPS]

    // The first tap of an odd kernel stands alone: its partner's weight is 0. r0 is biased for the taps that follow.
dot1_odd:
    ldr r2, [sp, #DOT_BIAS_ROWS]
    ldrsb r2, [r0, r2]
    dot_weights r4, r5, r2
    dot_weights r6, r7, r2
    ldr.w pc, [sp, #DOT_PAIRS]
    .set pair, 0
    .rept M7_TAP_PAIRS
    halves r2, 2 * pair
    dot_weights r4, r5, r2
    dot_weights r6, r7, r2
    .set pair, pair + 1
    .endr
dot1_taps_end:
    next_entered dot1_second, dot_done

dot_done:
    ldr r0, [sp, #DOT_FRAME]
    add.w r0, r0, #DOT_SUM
    stmia.w r0, {r4-r11}
    add sp, #(DOT_FRAME + 4)
    pop {r4-r11, pc}

.macro dot2_weights x, y
    ldrd r12, lr, [r1], #8
    smlad r4, \x, r12, r4
    smlad r5, \x, lr, r5
    smlad r8, \y, r12, r8
    smlad r9, \y, lr, r9
    ldrd r12, lr, [r1], #8
    smlad r6, \x, r12, r6
    smlad r7, \x, lr, r7
    smlad r10, \y, r12, r10
    smlad r11, \y, lr, r11
.endm

dot2_odd:
    ldr r12, [sp, #DOT_BIAS_ROWS]
    add r12, r0
    ldrsb r2, [r12]
    ldrsb r3, [r12, #2]
    dot2_weights r2, r3
    ldr r12, [sp, #DOT_BIAS_ROWS]
    add r12, #1
    b.n dot2_first
dot2_even:
    ldr r12, [sp, #DOT_BIAS_ROWS]
dot2_first:
    add r12, r0
    ldrsb r2, [r12]
    ldrsb r12, [r12, #1]
    pkhbt r2, r2, r12, lsl #16
    ldr.w pc, [sp, #DOT_PAIRS]
    .set pair, 0
    .rept M7_TAP_PAIRS
    halves r3, 2 * pair + 2
    dot2_weights r2, r3
    mov.w r2, r3
    .set pair, pair + 1
    .endr
dot2_taps_end:
    next_entered dot2_second, dot_done
    .size ditmos_m7_dot, . - ditmos_m7_dot

    .section .rodata.ditmos_m7_smlad, "a", %progbits
    .p2align 2
    code ditmos_m7_dot1_code, dot1_taps_end, dot1_second, dot_done
    code ditmos_m7_dot2_code, dot2_taps_end, dot2_second, dot_done
    .global ditmos_m7_dot_starts
ditmos_m7_dot_starts:
    .word dot1_odd + 1, dot2_even + 1, dot2_odd + 1

    .section .itcm.ditmos, "ax", %progbits

// ----- fully connected ----------------------------------------------------------------------------------------------

// Four inputs of four outputs: 16 multiply-accumulates.
.macro fc_word
    ldr r3, [r1], #4
    ldmia.w r0!, {r8-r11}
    sxtb16 r2, r3
    sxtb16 r3, r3, ror #8
    .irp i, 0, 1, 2, 3
    fc_output \i
    .endr
.endm

.macro fc_output i
    .if \i == 0
    fc_sum r4, r8
    .elseif \i == 1
    fc_sum r5, r9
    .elseif \i == 2
    fc_sum r6, r10
    .else
    fc_sum r7, r11
    .endif
.endm

.macro fc_sum sum, w
    sxtb16 r12, \w
    sxtb16 \w, \w, ror #8
    smlad \sum, r2, r12, \sum
    smlad \sum, r3, \w, \sum
.endm

.macro fc_requantize sum, multiplier
    smmlar \sum, \sum, \multiplier, r12
    ssat \sum, #8, \sum
.endm

// The same with int16 weights.
.macro fc_wide_word
    ldr r3, [r1], #4
    ldmia.w r0!, {r8-r11}
    sxtb16 r2, r3
    sxtb16 r3, r3, ror #8
    smlad r4, r2, r8, r4
    smlad r5, r2, r10, r5
    smlad r4, r3, r9, r4
    smlad r5, r3, r11, r5
    ldmia.w r0!, {r8-r11}
    smlad r6, r2, r8, r6
    smlad r7, r2, r10, r7
    smlad r6, r3, r9, r6
    smlad r7, r3, r11, r7
.endm

// void NAME(const int32_t *weights, const int8_t *x, uint32_t words, int8_t *out, uint32_t outputs, int32_t zero_point)
// x is aligned to 4 bytes. Four outputs at a time; of the last group only those that exist are stored.
.macro fc_function name, word, word_size
    function \name
    push {r4-r11, lr}
    sub sp, #28
    add r12, r1, r2, lsl #2
    strd r1, r12, [sp, #0]
    rsb r2, r2, #0
    and r2, r2, #3 // words that the first pass leaves out
    mov r4, #\word_size
    adr.w r12, 11f + 1
    mla r12, r2, r4, r12
    str r12, [sp, #16]
    ldrd r4, r12, [sp, #64] // outputs, zero point
    strd r3, r4, [sp, #8]
    str r12, [sp, #20]
10:
    ldmia.w r0!, {r4-r7}
    ldrd r1, lr, [sp, #0]
    ldr.w pc, [sp, #16]
    .p2align 2
11:
    \word
    \word
    \word
    \word
    cmp r1, lr
    bne.w 11b
    ldmia.w r0!, {r8-r11}
    ldrd r3, r2, [sp, #8]
    ldr r12, [sp, #20]
    fc_requantize r4, r8
    fc_requantize r5, r9
    fc_requantize r6, r10
    fc_requantize r7, r11
    strb r4, [r3], #1
    subs r2, #4
    blt 12f
    strb r5, [r3], #1
    strb r6, [r3], #1
    strb r7, [r3], #1
    strd r3, r2, [sp, #8]
    bne.w 10b
    b 13f
12: // r2 is -3, -2 or -1: one, two or three outputs
    cmp r2, #-2
    it ge
    strbge r5, [r3]
    it gt
    strbgt r6, [r3, #1]
13:
    add sp, #28
    pop {r4-r11, pc}
    .size \name, . - \name
.endm

    fc_function ditmos_m7_fc, fc_word, FC_WORD
    fc_function ditmos_m7_fc_wide, fc_wide_word, FC_WIDE_WORD

#endif // __ARM_FEATURE_DSP

#if defined(__linux__)
    .section .note.GNU-stack, "", %progbits
#endif
