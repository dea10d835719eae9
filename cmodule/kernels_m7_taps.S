// The taps of three-lane convolutions, for the blocks of two channels and two windows of kernels_m7_lanes.S, whose
// registers they use: unrolled by macros over the kernel size, for planes as they lie in the arena and for packed ones.
// After the last plane they go on at `WALK_NEXT`.

#if defined(__ARM_FEATURE_DSP) && !defined(DITMOS_PORTABLE)
#include "kernels_m7_asm.h"

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

// Taps of one packed plane: word i of plane p of a group lies at (i / 2) * 32 + (i % 2) * 4 + p * 8.
.macro packed_plane n, plane
    ldrd r2, r3, [r0, #(8 * \plane)]
    .set pair, 0
    .rept \n
    .set next, (pair + 2) / 2 * M7_GROUP_STEP + (pair + 2) % 2 * 4 + 8 * \plane
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

// A turn is a group, or two. Long kernels have few planes, often one group: whether there is another is asked at
// `packed_more` only, or not at all. Where planes do not fill their groups, the first places of the first group stay empty.
.macro packed_taps n
    .p2align 3
    .if \n <= M7_TURN8_TAPS
    packed_step 0, \n, 0
    packed_step 7, \n, 1
    packed_step 6, \n, 2
    packed_step 5, \n, 3
    ldr r2, [sp, #WALK_STRIDE]
    add r0, r2
    packed_step 4, \n, 0
    packed_step 3, \n, 1
    packed_step 2, \n, 2
    packed_step 1, \n, 3
    .else
packed_taps_4_\n:
    packed_step 0, \n, 0
packed_taps_7_\n:
    packed_step 3, \n, 1
packed_taps_6_\n:
    packed_step 2, \n, 2
packed_taps_5_\n:
    packed_step 1, \n, 3
    .endif
    .if \n >= M7_LEAVE_TAPS
    ldr.w pc, [sp, #LANES_TAPS2]
packed_more_\n:
    .endif
    next_plane packed_taps_0_\n
.endm

    .section HOT_CODE
packed_leave:
    ldr.w pc, [sp, #WALK_NEXT]
    .irp n, 1, 2, 3, 4, 5, 8
    planes_taps \n
    packed_taps \n
    .endr
    .section .text.ditmos_m7_rare_kernels, "ax", %progbits
    .irp n, 6, 7, 9, 10, 11, 12, 13, 14, 15, 16
    planes_taps \n
    packed_taps \n
    .endr

    .section CODE_TABLE(ditmos_m7_taps)
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
    table ditmos_m7_packed_taps, packed_taps_0_, packed_taps_1_, packed_taps_2_, packed_taps_3_, \
        packed_taps_4_, packed_taps_5_, packed_taps_6_, packed_taps_7_
    .global ditmos_m7_packed_leave
    .type ditmos_m7_packed_leave, %object
ditmos_m7_packed_leave:
    .word packed_leave + 1
    .irp n, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16
    .word packed_more_\n + 1
    .endr
    .size ditmos_m7_packed_leave, . - ditmos_m7_packed_leave

#endif // __ARM_FEATURE_DSP

#if defined(__linux__)
    .section .note.GNU-stack, "", %progbits
#endif
