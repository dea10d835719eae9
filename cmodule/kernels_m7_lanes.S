// Three-lane convolutions for Armv7E-M with the DSP extension, tuned for the Cortex-M7. What they compute and why:
// docs/kernels.md.
//
// Taps are unrolled for each kernel size, in kernels_m7_taps.S; channels, rows and strides are run-time values. The blocks
// of two windows use all fourteen registers, so that everything else lives in a frame at sp, laid out in kernels_m7.h:
//   r4:r5 r6:r7    sums of output channel 0, windows A and B        r0      input
//   r8:r9 r10:r11  sums of output channel 1                         r1      weights
//   r2 r3          packed input words                               r12 lr  weights at hand
// A sum is three lanes of 21 bits.

#if defined(__ARM_FEATURE_DSP) && !defined(DITMOS_PORTABLE)
#include "kernels_m7_asm.h"
#include "kernels_m7_ends.h"

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

    .section HOT_CODE

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
#if DITMOS_NATMOD
planes_here:
    add r3, pc
#endif
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
#if DITMOS_NATMOD
    .word ditmos_m7_planes_taps - planes_here - 4
#else
    .word ditmos_m7_planes_taps
#endif

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
    lanes_epilogue packed_epilogue, M7_GROUP_STEP, packed_finish
    rows_epilogue packed_rows
    first_epilogue packed_first, 1, packed_epilogue
    first_epilogue packed_first_rows, 0, packed_rows
    .size ditmos_m7_lanes, . - ditmos_m7_lanes

    .section CODE_TABLE(ditmos_m7_lanes)
    .p2align 2
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
