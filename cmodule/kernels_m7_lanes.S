// Three-lane convolutions for Armv7E-M with the DSP extension, tuned for the Cortex-M7. What they compute and why:
// docs/kernels.md.
//
// Taps are unrolled by macros over the kernel size; channels, rows and strides are run-time values. The blocks of two
// windows use all fourteen registers, so that everything else lives in a frame at sp, laid out in kernels_m7.h:
//   r4:r5 r6:r7    sums of output channel 0, windows A and B        r0      input
//   r8:r9 r10:r11  sums of output channel 1                         r1      weights
//   r2 r3          packed input words                               r12 lr  weights at hand
// A sum is three lanes of 21 bits.

#if defined(__ARM_FEATURE_DSP) && !defined(DITMOS_PORTABLE)
#include "kernels_m7_asm.h"

// rd = x[row] + x[row + 1] * 2^21
.macro pack rd, temp, row
    ldrsb.w \rd, [r0, #(\row)]
    ldrsb.w \temp, [r0, #(\row) + 1]
    add.w \rd, \rd, \temp, lsl #21
.endm

// low = lane 1 of high:low.
.macro lane1 low, high
    lsr.w \low, \low, #21
    bfi \low, \high, #11, #10
.endm

// ----- blocks of two channels and two windows ----------------------------------------------------------------------

// Pools, requantises and stores what a block has summed, then starts the next one. lr walks the constants. Channel 0
// ends in r4 and r6, channel 1 in r2 and r5. The order is what the two pipelines of the core like best, by search.
.macro lanes_epilogue name, x_step, finish
\name:
    ubfx r12, r10, #0, #21
    ubfx r3, r6, #0, #21
    ubfx r2, r4, #0, #21
    lsr.w r4, r4, #21
    ldr lr, [sp, #LANES_CONSTANTS]
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
    beq.w \finish
    ldmia.w lr, {r4-r11}
    add r4, r2
    add r8, r3
    ldr.w pc, [sp, #WALK_TAPS]
.endm

// Goes on with the next block of packed planes, if there is one. lr is where the pair's sums start.
.macro next_packed_block
    ldr r0, [sp, #WALK_X]
    ldr r1, [sp, #WALK_WEIGHTS]
    ldr r3, [sp, #WALK_X_END]
    adds r0, #16
    str r0, [sp, #WALK_X]
    cmp r0, r3
    asr r2, r7, #10 // lane 2 of window B: the carry
    asr r3, r11, #10
    beq.w packed_finish
    ldmia.w lr, {r4-r11}
    add r4, r2
    add r8, r3
    ldr.w pc, [sp, #WALK_TAPS]
.endm

// rd = sum rd - 2^20, requantised; r2 is the multiplier, r12 the zero point.
.macro requantize_row rd
    sub.w \rd, \rd, #0x100000
    smmlar \rd, \rd, r2, r12
    ssat \rd, #8, \rd
.endm

// Four rows of a channel, whose sums are \a and \b. r12 is the zero point, lr walks the constants.
.macro rows_channel a, a_high, b, b_high, multiplier, outputs
    ubfx r0, \a, #0, #21
    ubfx r1, \b, #0, #21
    lane1 \a, \a_high
    lane1 \b, \b_high
    ldr r2, [lr, #\multiplier]
    add.w r1, r1, \a_high, asr #10 // lane 2 of window A, lane 0 of window B
    ldr r3, [sp, #\outputs]
    .irp row, r0, \a, r1, \b
    requantize_row \row
    .endr
    strb r0, [r3]
    strb \a, [r3, #1]
    strb r1, [r3, #2]
    strb \b, [r3, #3]
    adds r3, #4
    str r3, [sp, #\outputs]
.endm

// A block of a layer that does not pool, from packed planes.
.macro rows_epilogue name
\name:
    ldr r12, [sp, #LANES_ZERO_POINT]
    ldr lr, [sp, #LANES_CONSTANTS]
    rows_channel r4, r5, r6, r7, 16, WALK_OUTPUTS
    rows_channel r8, r9, r10, r11, 36, WALK_OUTPUTS + 4
    add lr, #(PAIR_START - PAIR_SCALE)
    next_packed_block
.endm

// Of the first block of a pair the first window is there for its lane 2 alone, so that its rows are those of window B.
.macro first_channel a_high, b, b_high, multiplier, outputs, pools
    ubfx r0, \b, #0, #21
    lane1 \b, \b_high
    ldr r2, [lr, #\multiplier]
    add.w r0, r0, \a_high, asr #10
    ldr r3, [sp, #\outputs]
    .if \pools
    maximum r0, \b
    requantize_row r0
    strb r0, [r3]
    adds r3, #1
    .else
    requantize_row r0
    requantize_row \b
    strb r0, [r3]
    strb \b, [r3, #1]
    adds r3, #2
    .endif
    str r3, [sp, #\outputs]
.endm

.macro first_epilogue name, pools, then
\name:
    ldr r12, [sp, #LANES_ZERO_POINT]
    ldr lr, [sp, #LANES_CONSTANTS]
    adr.w r0, \then + 1
    str r0, [sp, #WALK_NEXT]
    first_channel r5, r6, r7, 16, WALK_OUTPUTS, \pools
    first_channel r9, r10, r11, 36, WALK_OUTPUTS + 4, \pools
    add lr, #(PAIR_START - PAIR_SCALE)
    next_packed_block
.endm

// Weights of a walk end here: r1 is where they start, r2 the code of the taps, \next what comes after the last plane.
.macro start_walk next
    ldrd r5, r6, [sp, #LANES_WEIGHTS_SIZE]
    ldr r7, [sp, #LANES_PLANE_STRIDE]
    ldr r8, [sp, #\next]
    add r5, r1
    add r6, r5
    str r6, [sp, #WALK_WEIGHTS_END2]
    strd r7, r5, [sp, #WALK_STRIDE]
    strd r2, r8, [sp, #WALK_TAPS]
.endm

    .section .itcm.ditmos, "ax", %progbits

// Four channels (two pairs) at a time, or all of them where there are blocks only: the carry into the first row, where
// there is none yet; blocks of two rows, pair by pair; a last single row.
    function ditmos_m7_lanes
    push {r4-r11, lr}
    sub sp, #LANES_FRAME
    mov r12, sp
    .rept LANES_CALL / 32
    ldmia r0!, {r1-r8}
    stmia r12!, {r1-r8}
    .endr
    ldmia.w r0, {r1-r7}
    stmia.w r12, {r1-r7}
quad:
    ldr r2, [sp, #LANES_HALF_TAPS]
    cmp r2, #0
    beq.w lanes

    // The carry: the half of a row's sum that the window before the first one would leave. x is read one row at a time
    // and multiplied by both weights of a word; what is wanted is in lane 1.
    ldrd r1, r3, [sp, #LANES_PAIRS]
    ldr r4, [sp, #LANES_HALF_SKIP]
    add r1, r4
    add r3, r4
    start_walk LANES_HALF_NEXT
    ldr r0, [sp, #LANES_HALF_X]
    adr.w r12, half_start
    ldmia.w r12, {r4-r11}
    bx r2
    .p2align 2
half_start:
    .rept 4
    .word 0x100000, 0
    .endr
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
    ldr r12, [sp, #LANES_HALF_PLANE_SKIP]
    add r1, r12
    add r3, r12
    next_entered half_second, half_done
half_done:
    lsr r4, r4, #21
    orr r4, r4, r5, lsl #11
    lsr r6, r6, #21
    orr r6, r6, r7, lsl #11
    lsr r8, r8, #21
    orr r8, r8, r9, lsl #11
    lsr r10, r10, #21
    orr r10, r10, r11, lsl #11
    ldr r0, [sp, #LANES_CARRY]
    stmia.w r0, {r4, r6, r8, r10}

lanes:
    ldr r2, [sp, #LANES_TAPS]
    cmp r2, #0
    beq.w window
    ldr r3, [sp, #LANES_NEXT]
    ldr r5, [sp, #LANES_STRIDE]
    ldr r4, [sp, #LANES_PAIRS]
    ldr r8, [sp, #LANES_CARRY]
    ldr r12, [sp, #LANES_BLOCK_PAIRS]
lanes_group:
    strd r2, r3, [sp, #WALK_TAPS]
    str r5, [sp, #WALK_STRIDE]
lanes_pair: // r4: pair, r8: its carry, r12: pairs left, this one included
    strd r8, r12, [sp, #LANES_CARRY_NOW]
    ldrh r9, [r4]
    ldrh r10, [r4, #2]
    ldrd r2, r3, [sp, #LANES_OUT]
    ldrd r6, r7, [sp, #LANES_BLOCK_WEIGHTS]
    add.w r1, r4, #PAIR_WORDS
    mla r9, r9, r3, r2
    mla r10, r10, r3, r2
    ldr r0, [sp, #LANES_X]
    add r6, r1
    add r7, r4 // the next pair, and the end of a second operand's weights
    add.w r12, r4, #PAIR_SCALE
    str r6, [sp, #WALK_WEIGHTS_END]
    str r7, [sp, #WALK_WEIGHTS_END2]
    strd r6, r12, [sp, #LANES_AGAIN_END]
    stmia.w sp, {r0, r1, r9, r10}
    ldrd r2, r3, [r8]
    add.w lr, r4, #PAIR_START
    ldmia.w lr, {r4-r11}
    add r4, r2
    add r8, r3
    ldr.w pc, [sp, #WALK_TAPS]
lanes_finish: // r2 and r3 are its carry now
    ldrd r8, r12, [sp, #LANES_CARRY_NOW]
    ldr r4, [sp, #WALK_WEIGHTS_END2]
    strd r2, r3, [r8], #8
    subs r12, #1
    bne lanes_pair

    .p2align 2
window: // the last row alone
    ldr r2, [sp, #LANES_WINDOW_TAPS]
    cmp r2, #0
    beq.w next_quad
    ldrd r1, r3, [sp, #LANES_PAIRS]
    ldr r12, [sp, #LANES_CARRY]
    ldrd r4, r5, [r12]
    cmp r1, r3
    it eq
    strdeq r4, r5, [r12, #8] // one pair twice
    add r1, #PAIR_WORDS
    add r3, #PAIR_WORDS
    start_walk LANES_WINDOW_NEXT
    ldrd r4, r5, [r1, #(PAIR_START - PAIR_WORDS)]
    ldrd r6, r7, [r1, #(PAIR_START - PAIR_WORDS + 16)]
    ldrd r8, r9, [r3, #(PAIR_START - PAIR_WORDS)]
    ldrd r10, r11, [r3, #(PAIR_START - PAIR_WORDS + 16)]
    ldmia.w r12, {r0, r2, r12, lr}
    add r4, r0
    add r6, r2
    add r8, r12
    add r10, lr
    ldr r0, [sp, #LANES_WINDOW_X]
    ldr.w pc, [sp, #WALK_TAPS]
    .p2align 2
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

// One row of one channel, of pair r1; r3 is the output, r12 its stride, lr the zero point.
.macro window_row low, high, i
    ubfx r2, \low, #0, #21
    lane1 \low, \high
    maximum r2, \low
    ldr \low, [r1, #(PAIR_SCALE + 16 + 20 * \i)]
    sub.w r2, r2, #0x100000
    smmlar r2, r2, \low, lr
    ldrh \low, [r1, #(2 * \i)]
    asr \high, \high, #10
    mla \low, \low, r12, r3
    ssat r2, #8, r2
    strb r2, [\low]
.endm

window_done:
    ldrd r12, r3, [sp, #LANES_OUT_STRIDE] // and the output of the window
    ldr lr, [sp, #LANES_ZERO_POINT]
    ldr r1, [sp, #LANES_PAIRS]
    window_row r4, r5, 0
    window_row r6, r7, 1
    ldr r1, [sp, #(LANES_PAIRS + 4)]
    window_row r8, r9, 0
    window_row r10, r11, 1
    ldr r0, [sp, #LANES_CARRY]
    stmia.w r0, {r5, r7, r9, r11}

next_quad:
    ldrd r0, r1, [sp, #LANES_QUADS] // and the bytes from one quad to the next
    subs r0, #1
    beq 1f
    ldrd r2, r3, [sp, #LANES_PAIRS]
    ldrd r4, r5, [sp, #LANES_CARRY] // and the bytes to the next quad's
    add r2, r1
    add r3, r1
    add r4, r5
    str r0, [sp, #LANES_QUADS]
    strd r2, r3, [sp, #LANES_PAIRS]
    str r4, [sp, #LANES_CARRY]
    b.w quad
1:
    add sp, #LANES_FRAME
    pop {r4-r11, pc}

    // Builds the frame from the call.
    .p2align 3
    .global ditmos_m7_conv
    .type ditmos_m7_conv, %function
    .thumb_func
ditmos_m7_conv:
    push {r4-r11, lr}
    sub sp, #LANES_FRAME
    ldrb r7, [r0, #LAYER_KERNEL]
    ldrh r8, [r0, #LAYER_CHANNELS_IN]
    ldrh r10, [r0, #LAYER_CHANNELS_OUT]
    ldrd r6, r5, [r1, #CALL_IN]
    ldrd r3, r4, [r1, #CALL_OUT]
    ldrh r9, [r1, #CALL_ROWS]
    and.w r11, r7, #1 // odd
    add r7, #1
    lsr r7, #1 // pairs of taps
    mul r12, r7, r8
    lsl.w r12, r12, #3 // bytes of weights
    add.w lr, r12, #PAIR_WORDS // and of a pair
    strd r3, r4, [sp, #LANES_OUT]
    strd r12, lr, [sp, #LANES_BLOCK_WEIGHTS]
    add r3, r6, #1
    sub r3, r11
    add.w r4, r3, r9, lsl #1
    str r3, [sp, #LANES_X]
    str r4, [sp, #WALK_X_END]
    ldr r3, planes_table
    and r8, #(M7_TURN - 1)
    add.w r8, r7, r8, lsl #4
    add.w r3, r3, r8, lsl #2
    mov r0, r2
    ldr r2, [r3, #-4] // the code of the taps
    adr.w r3, planes_epilogue + 1
    ldr r4, [r1, #CALL_WEIGHTS]
    ldr r8, [r1, #CALL_CARRY]
    add r4, #PAIR_FIRST
    mov r9, #0
    str r9, [sp, #LANES_WINDOW_TAPS]
    cbnz r0, 1f
    mov r9, #1
    str r9, [sp, #LANES_QUADS]
    lsr.w r12, r10, #1
    b lanes_group // r2: taps, r3: next, r4: pair, r5: stride, r8: carry, r12: pairs
1:
    strd r2, r3, [sp, #LANES_TAPS]
    str r5, [sp, #LANES_STRIDE]
    strd r5, r12, [sp, #LANES_PLANE_STRIDE]
    add.w r5, r4, lr
    strd r4, r5, [sp, #LANES_PAIRS]
    lsr.w r4, r10, #2
    lsl.w r5, lr, #1
    strd r4, r5, [sp, #LANES_QUADS]
    mov r9, #16
    cmp r8, #0
    bne 2f
    add.w r8, sp, #LANES_WORDS
    mov r9, #0
2:
    strd r8, r9, [sp, #LANES_CARRY]
    mov r2, #2
    str r2, [sp, #LANES_BLOCK_PAIRS]
    sub.w r7, r7, r11 // pairs of taps without the first one of an odd kernel
    add r6, r11
    sub r6, #(2 * M7_TAP_PAIRS)
    add.w r6, r6, r7, lsl #1
    str r6, [sp, #LANES_HALF_X]
    adr.w r8, half_taps_end + 1
    rsb r7, r7, r7, lsl #3
    sub.w r8, r8, r7, lsl #2 // M7_HALF_TAP each
    adr.w r9, half_done + 1
    strd r8, r9, [sp, #LANES_HALF_TAPS]
    lsl.w r11, r11, #3
    add.w r10, r11, #PAIR_WORDS
    strd r10, r11, [sp, #LANES_HALF_SKIP]
    b.w quad
    .p2align 2
planes_table:
    .word ditmos_m7_planes_taps

    // From the first operand to the second, in a block of two windows.
planes_second:
    ldrd r2, r3, [sp, #WALK_JUMP] // jump, stride
    add r0, r2
    ldr r2, [sp, #WALK_WEIGHTS_END2]
    strd r3, r2, [sp, #WALK_STRIDE]
    adr.w r2, planes_again + 1
    str r2, [sp, #WALK_NEXT]
    ldr.w pc, [sp, #LANES_TAPS2]
    .p2align 2
planes_again:
    ldrd r2, r3, [sp, #LANES_AGAIN]
    str r3, [sp, #WALK_NEXT]
    ldr r3, [sp, #LANES_AGAIN_END]
    strd r2, r3, [sp, #WALK_STRIDE]
    lanes_epilogue planes_epilogue, 4, lanes_finish
packed_finish: // the next pair's first block may be special
    ldr r0, [sp, #LANES_NEXT]
    str r0, [sp, #WALK_NEXT]
    b.w lanes_finish
    lanes_epilogue packed_epilogue, 16, packed_finish
    rows_epilogue packed_rows
    first_epilogue packed_first, 1, packed_epilogue
    first_epilogue packed_first_rows, 0, packed_rows
    .size ditmos_m7_lanes, . - ditmos_m7_lanes

// After the taps of one plane: the next plane, or on to `next`.
.macro next_plane again
    ldrd r2, r3, [sp, #WALK_STRIDE]
    add r0, r2
    cmp r1, r3
    bne.w \again
    ldr.w pc, [sp, #WALK_NEXT]
.endm

// One pair of taps for two channels and two windows: 16 multiply-accumulates. `a` becomes the word at `next`, unless
// this is the `last` pair, as soon as it is free: a load beside a multiplication costs no cycle.
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
.macro planes_plane n
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
.endm

// Where to start for a number of planes that leaves the remainder i.
.macro planes_start i, n
planes_taps_\i\()_\n:
.endm

.macro planes_step i, n
    planes_start \i, \n
    planes_plane \n
    ldr r2, [sp, #WALK_STRIDE]
    add r0, r2
.endm

// Several planes a turn, so that only the last one asks whether there are more: four, or two, or one in larger code.
.macro planes_taps n
    .p2align 3
    .if \n <= M7_TURN4_TAPS
    planes_step 0, \n
    planes_step 3, \n
    planes_step 2, \n
    planes_start 1, \n
    .elseif \n <= M7_TURN2_TAPS
    planes_start 2, \n
    planes_step 0, \n
    planes_start 1, \n
    planes_start 3, \n
    .else
    planes_start 0, \n
    planes_start 1, \n
    planes_start 2, \n
    planes_start 3, \n
    .endif
    planes_plane \n
    next_plane planes_taps_0_\n
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

.macro packed_step i, n, plane
packed_taps_\i\()_\n:
    packed_plane \n, \plane
.endm

// Of an odd number of planes the first one stands alone, as the second of its pair. Two pairs a turn for the smaller
// kernels, else one.
.macro packed_taps n
    .p2align 3
    .if \n <= M7_TURN_PACKED_TAPS
    packed_step 0, \n, 0
    packed_step 3, \n, 1
    ldr r2, [sp, #WALK_STRIDE]
    add r0, r2
    packed_step 2, \n, 0
    packed_step 1, \n, 1
    .else
packed_taps_2_\n:
    packed_step 0, \n, 0
packed_taps_3_\n:
    packed_step 1, \n, 1
    .endif
    next_plane packed_taps_0_\n
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

    .section .rodata.ditmos_m7_lanes, "a", %progbits
    .p2align 2
.macro table name, prefixes:vararg
    .global \name
    .type \name, %object
\name:
    .irp prefix, \prefixes
    .irp n, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16
    .word \prefix\n + 1
    .endr
    .endr
    .size \name, . - \name
.endm
    table ditmos_m7_planes_taps, planes_taps_0_, planes_taps_1_, planes_taps_2_, planes_taps_3_
    table ditmos_m7_packed_taps, packed_taps_0_, packed_taps_1_, packed_taps_2_, packed_taps_3_
    code ditmos_m7_planes_code, planes_epilogue, planes_second, planes_epilogue
    .global ditmos_m7_packed_next
    .type ditmos_m7_packed_next, %object
ditmos_m7_packed_next:
    .word packed_rows + 1, packed_epilogue + 1
    .word packed_first_rows + 1, packed_first + 1
    .size ditmos_m7_packed_next, . - ditmos_m7_packed_next
    code ditmos_m7_half_code, half_taps_end, half_second, half_done
    code ditmos_m7_window_code, window_taps_end, window_second, window_done

#endif // __ARM_FEATURE_DSP

#if defined(__linux__)
    .section .note.GNU-stack, "", %progbits
#endif
