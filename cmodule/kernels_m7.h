// What kernels_m7.c hands to the assembly loops in kernels_m7_loops.S. Both include this file: offsets first, then the C view.
//
// A loop runs over the input channels of one group of output channels. The weights are a stream, read from front to
// back; the input pointer steps from plane to plane. Reaching `weights_end` ends a run of planes: `next` is then where
// the code goes on, which is the second operand or the epilogue.
#ifndef DITMOS_KERNELS_M7_H
#define DITMOS_KERNELS_M7_H

#define WALK_X (0)
#define WALK_WEIGHTS (4)
#define WALK_OUTPUTS (8)
#define WALK_X_END (16)
#define WALK_STRIDE (20)
#define WALK_WEIGHTS_END (24) // handed over: the size
#define WALK_TAPS (28)
#define WALK_NEXT (32)
#define WALK_JUMP (36)
#define WALK_STRIDE2 (40)
#define WALK_WEIGHTS_END2 (44) // likewise
#define WALK_SIZE (48)

// Records of kernels_packed.h.
#define PAIR_BIAS (4)
#define PAIR_MULTIPLIER (12)
#define PAIR_WORDS (20)
#define QUAD_BIAS (8)
#define QUAD_WORDS (40)

// ditmos_m7_lanes: the frame, and offsets in m7_lanes_t
#define LANES_AGAIN (48) // what a second operand overwrites: stride, weights_end, next
#define LANES_SCALE (60)
#define LANES_START (100)
#define LANES_FRAME (136)
#define LANES_CARRY (64)

// ditmos_m7_half, ditmos_m7_window
#define ROW_SKIPPED (48)
#define ROW_FRAME (56)
#define ROW_PAIRS (48)
#define ROW_CARRY (60)
#define ROW_OUT (64)
#define ROW_ZERO_POINT (72)

// ditmos_m7_dot
#define DOT_PAIRS (4)
#define DOT_BIAS_ROWS (8)
#define DOT_FRAME (48)
#define DOT_QUAD (48)
#define DOT_SUM (52)

// Taps are walked in pairs; a kernel of 31 has 16 of them.
#define M7_TAP_PAIRS (16)
// Bytes of code of one pair of taps in the loops that are entered in the middle.
#define M7_HALF_TAP (28)
#define M7_WINDOW_TAP (36)
#define M7_DOT1_TAP (36)
#define M7_DOT2_TAP (56)
#define FC_WORD (80)

#ifndef __ASSEMBLER__

#include "kernels_packed.h"

typedef struct {
    const void *x; // plane 0 at the first row of this window
    uint32_t args[4]; // by kernel
    uint32_t stride; // bytes from one plane to the next
    uint32_t weights_size; // bytes of weights of the first operand
    const char *taps; // code: the taps of one plane
    const char *next; // code: after the last plane
    uint32_t jump; // from the end of the first operand to the start of the second
    uint32_t stride2;
    uint32_t weights_size2;
} m7_walk_t;

// Two output channels, any even number of windows: pooled rows come in pairs.
typedef struct {
    m7_walk_t walk; // args[3]: x after the last window
    const ditmos_pair_t *pair;
    int8_t *out; // row of the first window, of channel 0
    uint32_t out_stride;
    int32_t zero_point;
    int32_t *carry; // 2, in and out
} m7_lanes_t;

// Four output channels (two pairs), one window.
typedef struct {
    m7_walk_t walk;
    const ditmos_pair_t *pair[2];
    uint32_t skip; // bytes of weights left out at the start of each plane
    int32_t *carry; // 4, in and out
    int8_t *out; // row of the window, of channel 0
    uint32_t out_stride;
    int32_t zero_point;
} m7_row_t;

// Four output channels, one window or two that are two rows apart: sums, to be pooled and requantised in C.
typedef struct {
    m7_walk_t walk; // args: code of the pairs of taps, rows from `x` to the first tap
    const ditmos_quad_t *quad;
    int32_t sum[8];
} m7_dot_t;

_Static_assert(offsetof(ditmos_pair_t, bias) == PAIR_BIAS && offsetof(ditmos_pair_t, words) == PAIR_WORDS, "pair");
_Static_assert(offsetof(ditmos_pair_t, multiplier) == PAIR_MULTIPLIER, "pair");
_Static_assert(offsetof(ditmos_quad_t, bias) == QUAD_BIAS && offsetof(ditmos_quad_t, words) == QUAD_WORDS, "quad");
_Static_assert(offsetof(m7_walk_t, stride) == WALK_STRIDE && offsetof(m7_walk_t, jump) == WALK_JUMP, "walk");
_Static_assert(offsetof(m7_walk_t, weights_size2) == WALK_WEIGHTS_END2 && sizeof(m7_walk_t) == WALK_SIZE, "walk");
_Static_assert(offsetof(m7_lanes_t, carry) == LANES_CARRY, "lanes");
_Static_assert(offsetof(m7_row_t, pair) == ROW_PAIRS && offsetof(m7_row_t, carry) == ROW_CARRY, "row");
_Static_assert(offsetof(m7_row_t, out) == ROW_OUT && offsetof(m7_row_t, zero_point) == ROW_ZERO_POINT, "row");
_Static_assert(offsetof(m7_dot_t, quad) == DOT_QUAD && offsetof(m7_dot_t, sum) == DOT_SUM, "dot");

// Code addresses, Thumb bit set.
typedef struct {
    const char *taps_end; // the last tap ends here: n pairs of taps start n times their size before
    const char *second; // value of `next` with a second operand
    const char *done; // and without
} m7_code_t;

extern const m7_code_t ditmos_m7_planes_code, ditmos_m7_packed_code; // these have no taps_end, but one entry per size:
extern const char *const ditmos_m7_planes_taps[M7_TAP_PAIRS]; // int8 planes
extern const char *const ditmos_m7_packed_taps[M7_TAP_PAIRS]; // two packed planes at a time
extern const char *const ditmos_m7_packed_last_taps[M7_TAP_PAIRS]; // a last packed plane without a partner
extern const m7_code_t ditmos_m7_half_code, ditmos_m7_window_code, ditmos_m7_dot1_code, ditmos_m7_dot2_code;
// `taps` of ditmos_m7_dot, which go on at args[0]: one window of an odd kernel, two of an even one, two of an odd one.
extern const char *const ditmos_m7_dot_starts[3];

void ditmos_m7_lanes(m7_lanes_t *call);
void ditmos_m7_half(m7_row_t *call);
void ditmos_m7_window(m7_row_t *call);
void ditmos_m7_dot(m7_dot_t *call);

// Packs `words` words of each of two planes: row pairs (0, 1), (2, 3), ... as low + high * 2^21, in blocks of two words
// of plane `a`, two words of plane `b`. `words` is even.
void ditmos_m7_pack(int32_t *out, const int8_t *a, const int8_t *b, uint32_t words);

// Fully connected: groups of four outputs, `words` times four inputs; x aligned to 4 bytes.
void ditmos_m7_fc(const int32_t *weights, const int8_t *x, uint32_t words, int8_t *out, uint32_t outputs,
    int32_t zero_point);

#endif // __ASSEMBLER__
#endif // DITMOS_KERNELS_M7_H
