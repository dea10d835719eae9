// Hot loops for Armv7E-M with the DSP extension, tuned for the Cortex-M7. What they compute and why: docs/kernels.md.
//
// Taps are unrolled by macros over the kernel size; channels, rows and strides are run-time values. The blocks of two
// windows use all fourteen registers, so that everything else lives in a frame at sp, laid out in kernels_m7.h:
//   r4:r5 r6:r7    sums of output channel 0, windows A and B        r0      input
//   r8:r9 r10:r11  sums of output channel 1                         r1      weights
//   r2 r3          packed input words                               r12 lr  weights at hand
// A sum is three lanes of 21 bits: see docs/kernels.md.

#if defined(__ARM_FEATURE_DSP) && !defined(DITMOS_PORTABLE)
#include "kernels_m7.h"

    .syntax unified
    .thumb

// ----- building blocks ---------------------------------------------------------------------------------------------

.macro function name
    .p2align 3
    .global \name
    .type \name, %function
    .thumb_func
\name:
.endm

// Code addresses with the Thumb bit, as m7_code_t.
.macro code name, taps_end, second, done
    .global \name
    .type \name, %object
\name:
    .word \taps_end + 1, \second + 1, \done + 1
    .size \name, . - \name
.endm

// rd = x[row] + x[row + 1] * 2^21
.macro pack rd, temp, row
    ldrsb.w \rd, [r0, #(\row)]
    ldrsb.w \temp, [r0, #(\row) + 1]
    add.w \rd, \rd, \temp, lsl #21
.endm

// Copies a walk from r0 to the frame.
.macro copy_walk
    mov r12, sp
    ldmia r0!, {r1-r6}
    stmia r12!, {r1-r6}
    ldmia r0!, {r1-r6}
    stmia r12!, {r1-r6}
.endm

// `low` holds a bias: high:low becomes the start of a sum, bias + 2^20 in both low lanes.
.macro start_lanes low, high
    add.w \low, \low, #0x100000
    lsr.w \high, \low, #11
    orr.w \low, \low, \low, lsl #21
.endm

// rd = lane 1 of high:low; low is lost.
.macro lane1 low, high
    lsr.w \low, \low, #21
    bfi \low, \high, #11, #10
.endm

// a = max(a, b)
.macro maximum a, b
    cmp \a, \b
    it lt
    movlt \a, \b
.endm

// ----- three lanes, blocks of two channels and two windows ----------------------------------------------------------

// Pools, requantises and stores what a block has summed, then starts the next one. lr walks the constants. Channel 0 ends
// in r4 and r6, channel 1 in r2 and r5. The order is what the two pipelines of the core like best, by search.
.macro lanes_epilogue name, x_step
\name:
    ubfx r12, r10, #0, #21
    ubfx r3, r6, #0, #21
    ubfx r2, r4, #0, #21
    lsr.w r4, r4, #21
    add lr, sp, #LANES_SCALE
    lsr.w r6, r6, #21
    bfi r4, r5, #11, #10
    bfi r6, r7, #11, #10
    maximum r2, r4
    add.w r3, r3, r5, asr #10 // lane 2 of window A, lane 0 of window B
    ubfx r0, r8, #0, #21
    maximum r3, r6
    lsr.w r8, r8, #21
    bfi r8, r9, #11, #10
    add.w r12, r12, r9, asr #10
    maximum r0, r8
    lsr.w r10, r10, #21
    ldmia lr!, {r1, r4, r5, r6, r8}
    bfi r10, r11, #11, #10
    smlal r1, r4, r2, r8
    maximum r12, r10
    smlal r5, r6, r3, r8
    ldmia lr!, {r1, r2, r3, r5, r8}
    ssat r4, #8, r4
    smlal r1, r2, r0, r8
    ssat r6, #8, r6
    smlal r3, r5, r12, r8
    ldmia.w sp, {r0, r1, r3, r8, r9} // input, weights, outputs, end of the input
    ssat r5, #8, r5
    ssat r2, #8, r2
    strb r6, [r3, #1]
    add.w r0, r0, #(\x_step)
    strb r5, [r8, #1]
    strb r2, [r8], #2
    asr r2, r7, #10 // lane 2 of window B: the carry
    strb r4, [r3], #2
    stmia.w sp, {r0, r1, r3, r8}
    cmp r0, r9
    asr r3, r11, #10
    beq.w lanes_finish
    ldmia.w lr, {r4-r11}
    add r4, r2
    add r8, r3
    ldr.w pc, [sp, #WALK_TAPS]
.endm

// Constants of one channel: sums start at \bias, requantisation is (zero + sum * \multiplier) >> 32 where zero makes up
// for the 2^20 that the sum is too large. Both are there twice, because a block loads them for two windows at once.
.macro lanes_constants i, bias, multiplier
    start_lanes \bias, r5
    strd \bias, r5, [sp, #(LANES_START + 16 * \i)]
    strd \bias, r5, [sp, #(LANES_START + 16 * \i + 8)]
    mov r5, #0x80000000
    subs r5, r5, \multiplier, lsl #20
    sbc r6, r7, \multiplier, lsr #12
    strd r5, r6, [sp, #(LANES_SCALE + 20 * \i)]
    strd r5, r6, [sp, #(LANES_SCALE + 20 * \i + 8)]
    str \multiplier, [sp, #(LANES_SCALE + 20 * \i + 16)]
.endm

    .section .itcm.ditmos, "ax", %progbits
    function ditmos_m7_lanes
    push {r0, r4-r11, lr}
    sub sp, #LANES_FRAME
    copy_walk
    ldmia.w r0, {r4, r5, r6, r7, r8} // pair, out, out_stride, zero point, carry
    ldmia r4!, {r1, r2, r3, r9, r10} // channels, biases, multipliers
    uxth r11, r1
    lsr r1, r1, #16
    mla r11, r11, r6, r5
    mla r1, r1, r6, r5
    strd r11, r1, [sp, #WALK_OUTPUTS]
    lanes_constants 0, r2, r9
    lanes_constants 1, r3, r10
    ldrd r2, r3, [sp, #WALK_STRIDE] // bytes of weights, so far
    ldr r5, [sp, #WALK_WEIGHTS_END2]
    ldr r6, [sp, #WALK_NEXT]
    add r3, r4
    add r5, r3
    str r4, [sp, #WALK_WEIGHTS]
    str r3, [sp, #WALK_WEIGHTS_END]
    str r5, [sp, #WALK_WEIGHTS_END2]
    strd r2, r3, [sp, #LANES_AGAIN]
    str r6, [sp, #(LANES_AGAIN + 8)]
    ldr r0, [sp, #WALK_X]
    mov r1, r4
    ldrd r2, r3, [r8]
    add r12, sp, #LANES_START
    ldmia.w r12, {r4-r11}
    add r4, r2
    add r8, r3
    ldr.w pc, [sp, #WALK_TAPS]
lanes_finish:
    ldr r0, [sp, #LANES_FRAME]
    ldr r0, [r0, #LANES_CARRY]
    strd r2, r3, [r0]
    add sp, #(LANES_FRAME + 4)
    pop {r4-r11, pc}

    // From the first operand to the second.
planes_second:
    ldrd r2, r3, [sp, #WALK_JUMP] // jump, stride
    add r0, r2
    ldr r2, [sp, #WALK_WEIGHTS_END2]
    strd r3, r2, [sp, #WALK_STRIDE]
    adr.w r2, planes_again + 1
    str r2, [sp, #WALK_NEXT]
    ldr.w pc, [sp, #WALK_TAPS]
    .p2align 2
planes_again:
    ldrd r2, r3, [sp, #LANES_AGAIN]
    strd r2, r3, [sp, #WALK_STRIDE]
    ldr r2, [sp, #(LANES_AGAIN + 8)]
    str r2, [sp, #WALK_NEXT]
    lanes_epilogue planes_epilogue, 4
    lanes_epilogue packed_epilogue, 16
    .size ditmos_m7_lanes, . - ditmos_m7_lanes

// After the taps of one plane: the next plane, or on to `next`.
.macro next_plane again
    ldrd r2, r3, [sp, #WALK_STRIDE]
    add r0, r2
    cmp r1, r3
    bne.w \again
    ldr.w pc, [sp, #WALK_NEXT]
.endm

// One pair of taps for two channels and two windows: 16 multiply-accumulates. `a` becomes the word at `next`, unless this is
// the `last` pair, as soon as it is free: a load beside a multiplication costs no cycle.
.macro planes_pair a, b
    ldrd r12, lr, [r1], #8
    smlal r4, r5, \a, r12
    smlal r8, r9, \a, lr
    .if !last
    ldrsb.w \a, [r0, #next]
    .endif
    smlal r6, r7, \b, r12
    .if !last
    ldrsb.w r12, [r0, #(next + 1)]
    .endif
    smlal r10, r11, \b, lr
    .if !last
    add.w \a, \a, r12, lsl #21
    .endif
.endm

.macro packed_pair a, b
    ldrd r12, lr, [r1], #8
    smlal r4, r5, \a, r12
    smlal r8, r9, \a, lr
    .if !last
    ldr.w \a, [r0, #next]
    .endif
    smlal r6, r7, \b, r12
    smlal r10, r11, \b, lr
.endm

// Taps of one int8 plane; words are packed as they are loaded.
.macro planes_taps n
    .p2align 3
planes_taps_\n:
    pack r2, r12, 0
    pack r3, r12, 2
    .set pair, 0
    .rept \n
    .set next, 2 * pair + 4
    .set last, pair + 1 == \n
    .if pair & 1
    planes_pair r3, r2
    .else
    planes_pair r2, r3
    .endif
    .set pair, pair + 1
    .endr
    next_plane planes_taps_\n
.endm

// Taps of one packed plane: word i of plane p lies at (i / 2) * 16 + (i % 2) * 4 + p * 8.
.macro packed_plane n, plane
    ldrd r2, r3, [r0, #(8 * \plane)]
    .set pair, 0
    .rept \n
    .set next, (pair + 2) / 2 * 16 + (pair + 2) % 2 * 4 + 8 * \plane
    .set last, pair + 1 == \n
    .if pair & 1
    packed_pair r3, r2
    .else
    packed_pair r2, r3
    .endif
    .set pair, pair + 1
    .endr
.endm

.macro packed_taps n
    .p2align 3
packed_taps_\n:
    packed_plane \n, 0
    packed_plane \n, 1
    next_plane packed_taps_\n
packed_last_taps_\n:
    packed_plane \n, 0
    ldr.w pc, [sp, #WALK_JUMP] // one operand: the word is free
.endm

    .irp n, 1, 2, 3, 4, 5, 6, 7, 8
    planes_taps \n
    packed_taps \n
    .endr
    .section .text.ditmos_m7_large_kernels, "ax", %progbits
    .irp n, 9, 10, 11, 12, 13, 14, 15, 16
    planes_taps \n
    packed_taps \n
    .endr

    .section .rodata.ditmos_m7, "a", %progbits
    .p2align 2
.macro table name, prefix
    .global \name
    .type \name, %object
\name:
    .irp n, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16
    .word \prefix\n + 1
    .endr
    .size \name, . - \name
.endm
    table ditmos_m7_planes_taps, planes_taps_
    table ditmos_m7_packed_taps, packed_taps_
    table ditmos_m7_packed_last_taps, packed_last_taps_
    code ditmos_m7_planes_code, planes_epilogue, planes_second, planes_epilogue
    code ditmos_m7_packed_code, packed_epilogue, packed_epilogue, packed_epilogue
    code ditmos_m7_half_code, half_taps_end, half_second, half_done
    code ditmos_m7_window_code, window_taps_end, window_second, window_done
    code ditmos_m7_dot1_code, dot1_taps_end, dot1_second, dot_done
    code ditmos_m7_dot2_code, dot2_taps_end, dot2_second, dot_done
    .global ditmos_m7_dot_starts
ditmos_m7_dot_starts:
    .word dot1_odd + 1, dot2_even + 1, dot2_odd + 1

// ----- loops with one copy of the taps, entered so that the right number is left ------------------------------------

// After the taps of one plane; r2 and r12 are free. `taps` is entered again, from the second operand too.
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

// Prologue of the loops that run two pairs side by side: weights in r1 and r3, `skip` in r4, carry in r12.
.macro enter_row
    push {r0, r4-r11, lr}
    sub sp, #ROW_FRAME
    copy_walk
    ldmia.w r0, {r1, r3, r4, r12} // pairs, skip, carry
    add r1, #PAIR_WORDS
    add r3, #PAIR_WORDS
    ldr r5, [sp, #WALK_WEIGHTS_END] // bytes of weights, so far
    ldr r6, [sp, #WALK_WEIGHTS_END2]
.endm

.macro leave_row
    add sp, #(ROW_FRAME + 4)
    pop {r4-r11, pc}
.endm

.macro end_weights
    add r5, r1
    add r6, r5
    str r5, [sp, #WALK_WEIGHTS_END]
    str r6, [sp, #WALK_WEIGHTS_END2]
.endm

    .section .itcm.ditmos, "ax", %progbits

// Half of a row's sum: the taps of odd index of an even kernel... see docs/kernels.md, "The carry". Four channels.
// x is read one row at a time, multiplied by both weights of a word; what is wanted is in lane 1.
    function ditmos_m7_half
    enter_row
    add r1, r4
    add r3, r4
    str r4, [sp, #ROW_SKIPPED]
    end_weights
    ldr r0, [sp, #WALK_X]
    mov r4, #0x100000
    mov r5, #0
    mov r6, r4
    mov r7, r5
    mov r8, r4
    mov r9, r5
    mov r10, r4
    mov r11, r5
    ldr.w pc, [sp, #WALK_TAPS]
    .set pair, 0
    .rept M7_TAP_PAIRS
    ldrsb.w r2, [r0, #(2 * pair)]
    ldrd r12, lr, [r1], #8
    smlal r4, r5, r2, r12
    smlal r6, r7, r2, lr
    ldrd r12, lr, [r3], #8
    smlal r8, r9, r2, r12
    smlal r10, r11, r2, lr
    .set pair, pair + 1
    .endr
half_taps_end:
    ldr r12, [sp, #ROW_SKIPPED]
    add r1, r12
    add r3, r12
    next_entered half_second, half_done
half_done:
    ldr r0, [sp, #ROW_FRAME]
    lsr r4, r4, #21
    orr r4, r4, r5, lsl #11
    lsr r6, r6, #21
    orr r6, r6, r7, lsl #11
    lsr r8, r8, #21
    orr r8, r8, r9, lsl #11
    lsr r10, r10, #21
    orr r10, r10, r11, lsl #11
    ldr r0, [r0, #ROW_CARRY]
    stmia.w r0, {r4, r6, r8, r10}
    leave_row
    .size ditmos_m7_half, . - ditmos_m7_half

// One pooled row of one channel, of pair r1; r3 is the output, r12 its stride, lr the zero point.
.macro window_row low, high, i
    ubfx r2, \low, #0, #21
    lane1 \low, \high
    maximum r2, \low
    ldr \low, [r1, #(PAIR_MULTIPLIER + 4 * \i)]
    sub.w r2, r2, #0x100000
    smmlar r2, r2, \low, lr
    ldrh \low, [r1, #(2 * \i)]
    asr \high, \high, #10
    mla \low, \low, r12, r3
    ssat r2, #8, r2
    strb r2, [\low]
.endm

    function ditmos_m7_window
    enter_row
    end_weights
    ldrd r4, r6, [r1, #(PAIR_BIAS - PAIR_WORDS)]
    ldrd r8, r10, [r3, #(PAIR_BIAS - PAIR_WORDS)]
    start_lanes r4, r5
    start_lanes r6, r7
    start_lanes r8, r9
    start_lanes r10, r11
    ldmia.w r12, {r0, r2, r12, lr} // carry
    add r4, r0
    add r6, r2
    add r8, r12
    add r10, lr
    ldr r0, [sp, #WALK_X]
    ldr.w pc, [sp, #WALK_TAPS]
    .set pair, 0
    .rept M7_TAP_PAIRS
    pack r2, r12, 2 * pair
    ldrd r12, lr, [r1], #8
    smlal r4, r5, r2, r12
    smlal r6, r7, r2, lr
    ldrd r12, lr, [r3], #8
    smlal r8, r9, r2, r12
    smlal r10, r11, r2, lr
    .set pair, pair + 1
    .endr
window_taps_end:
    next_entered window_second, window_done
window_done:
    ldr r0, [sp, #ROW_FRAME]
    ldr r1, [r0, #ROW_PAIRS]
    ldrd r3, r12, [r0, #ROW_OUT]
    ldr lr, [r0, #ROW_ZERO_POINT]
    window_row r4, r5, 0
    window_row r6, r7, 1
    ldr r1, [r0, #(ROW_PAIRS + 4)]
    window_row r8, r9, 0
    window_row r10, r11, 1
    ldr r0, [r0, #ROW_CARRY]
    stmia.w r0, {r5, r7, r9, r11}
    leave_row
    .size ditmos_m7_window, . - ditmos_m7_window

// ----- SMLAD: no bound, any stride ----------------------------------------------------------------------------------

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
    copy_walk
    ldr r0, [r0, #(DOT_QUAD - WALK_SIZE)]
    add r1, r0, #QUAD_WORDS
    ldr r5, [sp, #WALK_WEIGHTS_END] // bytes of weights, so far
    ldr r6, [sp, #WALK_WEIGHTS_END2]
    end_weights
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

// ----- packing ------------------------------------------------------------------------------------------------------

// void ditmos_m7_pack(int32_t *out, const int8_t *a, const int8_t *b, uint32_t words)
.macro pack_two_words x
    ldrsb r4, [\x], #4
    ldrsb r5, [\x, #-3]
    ldrsb r6, [\x, #-2]
    ldrsb r7, [\x, #-1]
    add.w r4, r4, r5, lsl #21
    add.w r6, r6, r7, lsl #21
    strd r4, r6, [r0], #8
.endm

.macro pack_one_word x, at
    ldrsb r4, [\x]
    ldrsb r5, [\x, #1]
    add.w r4, r4, r5, lsl #21
    str r4, [r0, #\at]
.endm

    function ditmos_m7_pack
    push {r4-r7, lr}
    lsrs r12, r3, #1
    beq 2f
1:
    pack_two_words r1
    pack_two_words r2
    subs r12, #1
    bne 1b
2:
    lsls r3, r3, #31
    beq 3f
    pack_one_word r1, 0
    pack_one_word r2, 8
3:
    pop {r4-r7, pc}
    .size ditmos_m7_pack, . - ditmos_m7_pack

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

// void ditmos_m7_fc(const int32_t *weights, const int8_t *x, uint32_t words, int8_t *out, uint32_t outputs,
//     int32_t zero_point)
// x is aligned to 4 bytes. Four outputs at a time; of the last group only those that exist are stored.
    function ditmos_m7_fc
    push {r4-r11, lr}
    sub sp, #28
    add r12, r1, r2, lsl #2
    strd r1, r12, [sp, #0]
    rsb r2, r2, #0
    and r2, r2, #3 // words that the first pass leaves out
    mov r4, #FC_WORD
    adr.w r12, fc_words + 1
    mla r12, r2, r4, r12
    str r12, [sp, #16]
    ldrd r4, r12, [sp, #64] // outputs, zero point
    strd r3, r4, [sp, #8]
    str r12, [sp, #20]
fc_group:
    ldmia.w r0!, {r4-r7}
    ldrd r1, lr, [sp, #0]
    ldr.w pc, [sp, #16]
    .p2align 2
fc_words:
    fc_word
    fc_word
    fc_word
    fc_word
    cmp r1, lr
    bne.w fc_words
    ldmia.w r0!, {r8-r11}
    ldrd r3, r2, [sp, #8]
    ldr r12, [sp, #20]
    fc_requantize r4, r8
    fc_requantize r5, r9
    fc_requantize r6, r10
    fc_requantize r7, r11
    strb r4, [r3], #1
    subs r2, #4
    blt 1f
    strb r5, [r3], #1
    strb r6, [r3], #1
    strb r7, [r3], #1
    strd r3, r2, [sp, #8]
    bne.w fc_group
    b 2f
1:  // r2 is -3, -2 or -1: one, two or three outputs
    cmp r2, #-2
    it ge
    strbge r5, [r3]
    it gt
    strbgt r6, [r3, #1]
2:
    add sp, #28
    pop {r4-r11, pc}
    .size ditmos_m7_fc, . - ditmos_m7_fc

#endif // __ARM_FEATURE_DSP

#if defined(__linux__)
    .section .note.GNU-stack, "", %progbits
#endif
