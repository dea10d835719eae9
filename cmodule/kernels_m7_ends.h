// How the blocks of kernels_m7_lanes.S end: two channels, two windows, pooled or not, requantised and stored.
#ifndef DITMOS_KERNELS_M7_ENDS_H
#define DITMOS_KERNELS_M7_ENDS_H

// low = lane 1 of high:low.
.macro lane1 low, high
    lsr.w \low, \low, #21
    bfi \low, \high, #11, #10
.endm

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
    adds r0, #M7_GROUP_STEP
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

#endif // DITMOS_KERNELS_M7_ENDS_H
