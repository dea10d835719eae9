// Convolutions with SMLAD, which need no bound on the sums and take any kernel and stride, and fully connected layers,
// for Armv7E-M with the DSP extension.

#if defined(__ARM_FEATURE_DSP) && !defined(DITMOS_PORTABLE)
#include "kernels_m7_asm.h"

    .section HOT_CODE

// ----- quads of output channels -------------------------------------------------------------------------------------

// A word of two windows for four channels: 16 multiply-accumulates.
.macro quads_word
    ldrd r2, r3, [r1], #8
    ldrd r12, lr, [r0], #8
    smlad r4, r2, r12, r4
    smlad r8, r3, r12, r8
    smlad r5, r2, lr, r5
    smlad r9, r3, lr, r9
    ldrd r12, lr, [r0], #8
    smlad r6, r2, r12, r6
    smlad r10, r3, r12, r10
    smlad r7, r2, lr, r7
    smlad r11, r3, lr, r11
.endm

// A word of one window for four channels, input packed for two. r8-r11 are weights.
.macro quads_single_word
    ldr r2, [r1], #8
    ldmia.w r0!, {r8-r11}
    smlad r4, r2, r8, r4
    smlad r5, r2, r9, r5
    smlad r6, r2, r10, r6
    smlad r7, r2, r11, r7
.endm

.macro quads_loop name, word
    .p2align 2
\name:
    .rept M7_QUAD_TURN
    \word
    .endr
    ldr r2, [sp, #QUADS_X_END]
    cmp r1, r2
    bne.w \name
    ldr.w pc, [sp, #QUADS_STORE]
.endm

// Ends a quad: r0 is the next one, r1 the list of this one's channels, r2 the output and r3 its stride. With r4-r7, the
// first window, come `sums`, requantised by the quad's multipliers.
.macro quads_requantize sums:vararg
    ldrd r1, r2, [sp, #QUADS_QUAD] // and the zero point
    str r0, [sp, #QUADS_QUAD]
    add r3, r1, #QUAD_MULTIPLIER
    ldmia.w r3, {r0, r3, r12, lr}
    smmlar r4, r4, r0, r2
    smmlar r5, r5, r3, r2
    smmlar r6, r6, r12, r2
    smmlar r7, r7, lr, r2
    .ifnb \sums
    smmlar r8, r8, r0, r2
    smmlar r9, r9, r3, r2
    smmlar r10, r10, r12, r2
    smmlar r11, r11, lr, r2
    .endif
    .irp sum, r4, r5, r6, r7, \sums
    ssat \sum, #8, \sum
    .endr
    ldrd r2, r3, [sp, #QUADS_OUT]
.endm

.macro quads_store first, second
    ldrh r0, [r1], #2
    mla r0, r0, r3, r2
    strb \first, [r0]
    .ifnb \second
    strb \second, [r0, #1]
    .endif
.endm

.macro quads_next
    ldr r1, [sp, #QUADS_LEFT]
    ldr r0, [sp, #QUADS_QUAD]
    subs r1, #1
    str r1, [sp, #QUADS_LEFT]
    bne.w quads_quad
    add sp, #QUADS_FRAME
    pop {r4-r11, pc}
.endm

// void ditmos_m7_quads(const m7_quads_t *call): all quads over the packed input of two windows. The frame is a copy of
// the call. r4-r7 are the sums of the first window, r8-r11 those of the second, r0 walks the weights, r1 the input.
    function ditmos_m7_quads
    push {r4-r11, lr}
    sub sp, #QUADS_FRAME
    ldmia.w r0, {r2-r10}
    stmia.w sp, {r2-r10}
    ldr r0, [sp, #QUADS_QUAD]
quads_quad:
    adds r0, #QUAD_BIAS
    ldmia.w r0, {r4-r7}
    adds r0, #(QUAD_WORDS - QUAD_BIAS)
    mov r8, r4
    mov r9, r5
    mov r10, r6
    mov r11, r7
    ldr r1, [sp, #QUADS_X]
    ldr.w pc, [sp, #QUADS_TAPS]
    quads_loop quads_taps, quads_word
    quads_loop quads_single_taps, quads_single_word

    .p2align 2
quads_both: // rows of two windows
    quads_requantize r8, r9, r10, r11
    quads_store r4, r8
    quads_store r5, r9
    quads_store r6, r10
    quads_store r7, r11
    quads_next

    .p2align 2
quads_pooled: // the larger of both
    maximum r4, r8
    maximum r5, r9
    maximum r6, r10
    maximum r7, r11
quads_single: // one window
    quads_requantize
    quads_store r4
    quads_store r5
    quads_store r6
    quads_store r7
    quads_next
    .size ditmos_m7_quads, . - ditmos_m7_quads

// void ditmos_m7_quad_sums(int32_t sum[8], const int32_t *x, const int32_t *weights, uint32_t words, const char *taps)
    function ditmos_m7_quad_sums
    push {r4-r11, lr}
    ldr r12, [sp, #36] // taps
    sub sp, #QUADS_FRAME
    add r3, r1, r3, lsl #3
    adr.w lr, quads_sums + 1
    str r0, [sp, #QUADS_OUT]
    strd r1, r3, [sp, #QUADS_X]
    strd r12, lr, [sp, #QUADS_TAPS]
    ldmia.w r0, {r4-r11}
    mov r0, r2
    bx r12
    .p2align 2
quads_sums:
    ldr r0, [sp, #QUADS_OUT]
    stmia.w r0, {r4-r11}
    add sp, #QUADS_FRAME
    pop {r4-r11, pc}
    .size ditmos_m7_quad_sums, . - ditmos_m7_quad_sums

    .section CODE_TABLE(ditmos_m7_smlad)
    code ditmos_m7_quads_code, quads_taps, quads_both, quads_pooled
    code ditmos_m7_single_code, quads_single_taps, quads_single, quads_single

    .section HOT_CODE

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
    sxtb16 r2, r3
    sxtb16 r3, r3, ror #8
    fc_wide_outputs
.endm

.macro fc_wide_outputs even=r2, odd=r3
    ldmia.w r0!, {r8-r11}
    smlad r4, \even, r8, r4
    smlad r5, \even, r10, r5
    smlad r4, \odd, r9, r4
    smlad r5, \odd, r11, r5
    ldmia.w r0!, {r8-r11}
    smlad r6, \even, r8, r6
    smlad r7, \even, r10, r7
    smlad r6, \odd, r9, r6
    smlad r7, \odd, r11, r7
.endm

// The same with int16 inputs: 0 and 2, 1 and 3.
.macro fc_widened_word
    ldrd r2, r3, [r1], #8
    fc_wide_outputs
.endm

// Two words of these at once: 32 multiply-accumulates.
.macro fc_widened_two
    ldmia.w r1!, {r2, r3, r12, lr}
    fc_wide_outputs
    fc_wide_outputs r12, lr
.endm

// int32_t *ditmos_m7_widen(int32_t *to, const int8_t *x, uint32_t words)
    function ditmos_m7_widen
    push {r4, r5, lr}
    lsrs r12, r2, #1
    bcc 1f
    ldr r3, [r1], #4 // one of an odd number
    sxtb16 r4, r3
    sxtb16 r3, r3, ror #8
    strd r4, r3, [r0], #8
1:
    cmp r12, #0
    beq 3f
2:
    ldrd r3, r5, [r1], #8
    subs r12, #1
    sxtb16 r2, r3
    sxtb16 r3, r3, ror #8
    sxtb16 r4, r5
    sxtb16 r5, r5, ror #8
    stmia r0!, {r2-r5}
    bne 2b
3:
    pop {r4, r5, pc}
    .size ditmos_m7_widen, . - ditmos_m7_widen

// Frame: outputs, how many are left, zero point, code of the loop, x and its end, code of a second loop.
#define FC_OUT (0)
#define FC_ZERO_POINT (8)
#define FC_LOOP (12)
#define FC_X (16)
#define FC_LOOP_TOO (24)
#define FC_FRAME (28)

// Four outputs at a time; of the last group only those that exist are stored. On entry r0-r3 are the first four arguments
// of m7_fc_t, r4 the code of the loop; r4-r7 become the sums.
.macro fc_start input_shift
    add r12, r1, r2, lsl #\input_shift
    strd r1, r12, [sp, #FC_X]
    ldrd r5, r12, [sp, #(FC_FRAME + 36)] // outputs, zero point
    strd r3, r5, [sp, #FC_OUT]
    strd r12, r4, [sp, #FC_ZERO_POINT]
10:
    ldmia.w r0!, {r4-r7}
    ldrd r1, lr, [sp, #FC_X]
    ldr.w pc, [sp, #FC_LOOP]
.endm

.macro fc_end name
    ldmia.w r0!, {r8-r11}
    ldmia.w sp, {r2, r3, r12}
    fc_requantize r4, r8
    fc_requantize r5, r9
    fc_requantize r6, r10
    fc_requantize r7, r11
    strb r4, [r2], #1
    subs r3, #4
    blt 13f
    strb r5, [r2], #1
    strb r6, [r2], #1
    strb r7, [r2], #1
    strd r2, r3, [sp, #FC_OUT]
    bne.w 10b
    b 14f
13: // r3 is -3, -2 or -1: one, two or three outputs
    cmp r3, #-2
    it ge
    strbge r5, [r2]
    it gt
    strbgt r6, [r2, #1]
14:
    add sp, #FC_FRAME
    pop {r4-r11, pc}
    .size \name, . - \name
.endm

// void NAME(const int32_t *weights, const void *x, uint32_t words, int8_t *out, uint32_t outputs, int32_t zero_point)
// x is aligned to 4 bytes. Four words a turn, of which the first turn leaves some out.
.macro fc_function name, word, word_size
    function \name
    push {r4-r11, lr}
    sub sp, #FC_FRAME
    rsb r5, r2, #0
    and r5, r5, #3 // words that the first turn leaves out
    mov r6, #\word_size
    adr.w r4, 11f + 1
    mla r4, r5, r6, r4
    fc_start 2
    .p2align 2
11:
    \word
    \word
    \word
    \word
    cmp r1, lr
    bne.w 11b
    fc_end \name
.endm

    .section .text.ditmos_m7_fc, "ax", %progbits
    fc_function ditmos_m7_fc, fc_word, FC_WORD
    .section HOT_CODE
    fc_function ditmos_m7_fc_wide, fc_wide_word, FC_WIDE_WORD

// The same for inputs of ditmos_m7_widen(). Eight words a turn, two by two; before that one of an odd number.
    function ditmos_m7_fc_widened
    push {r4-r11, lr}
    sub sp, #FC_FRAME
    adr.w r4, 12f + 1
    lsrs r5, r2, #1
    beq 2f
    rsb r5, r5, #0
    and r5, r5, #3 // twos that the first turn leaves out
    mov r6, #FC_WIDENED_TWO
    adr.w r4, 11f + 1
    mla r4, r5, r6, r4
2:
    lsls r5, r2, #31
    beq 1f
    str r4, [sp, #FC_LOOP_TOO]
    adr.w r4, fc_widened_one + 1
1:
    fc_start 3
    .p2align 2
fc_widened_one:
    fc_widened_word
    ldr.w pc, [sp, #FC_LOOP_TOO]
    .p2align 2
11:
    .rept 4
    fc_widened_two
    .endr
    ldr r2, [sp, #(FC_X + 4)]
    cmp r1, r2
    bne.w 11b
    .p2align 2
12:
    fc_end ditmos_m7_fc_widened

#endif // __ARM_FEATURE_DSP

#if defined(__linux__)
    .section .note.GNU-stack, "", %progbits
#endif
