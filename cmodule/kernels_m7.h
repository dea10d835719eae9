// What kernels_m7_*.c hand to the assembly loops. Both include this file: offsets first, then the C view.
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

// ditmos_layer_t and ditmos_call_t
#define LAYER_KERNEL (1)
#define LAYER_CHANNELS_IN (6)
#define LAYER_CHANNELS_OUT (8)
#define CALL_WEIGHTS (0)
#define CALL_IN (4) // data, stride
#define CALL_OUT (28) // and stride
#define CALL_ROWS (36)
#define CALL_CARRY (40)

// Records of kernels_packed.h.
#define PAIR_FIRST (4) // from the start of the weights
#define PAIR_SCALE (4)
#define PAIR_START (44)
#define PAIR_WORDS (76)
#define QUAD_BIAS (8)
#define QUAD_MULTIPLIER (24)
#define QUAD_WORDS (40)

// ditmos_m7_lanes
#define LANES_AGAIN (48) // what a second operand overwrites: stride, next, weights_end
#define LANES_AGAIN_END (56)
#define LANES_CONSTANTS (60) // of the pair at hand
#define LANES_CARRY_NOW (64) // likewise, and pairs left, this one included
#define LANES_PAIRS (72)
#define LANES_QUADS (80)
#define LANES_CARRY (88)
#define LANES_PLANE_STRIDE (96)
#define LANES_WEIGHTS_SIZE (100)
#define LANES_OUT (108)
#define LANES_OUT_STRIDE (112)
#define LANES_ZERO_POINT (120)
#define LANES_HALF_X (124)
#define LANES_HALF_TAPS (128)
#define LANES_HALF_NEXT (132)
#define LANES_HALF_SKIP (136)
#define LANES_HALF_PLANE_SKIP (140)
#define LANES_X (144)
#define LANES_TAPS (148)
#define LANES_NEXT (152)
#define LANES_STRIDE (156)
#define LANES_BLOCK_WEIGHTS (160) // their size, and that of a pair
#define LANES_TAPS2 (168)
#define LANES_BLOCK_PAIRS (172)
#define LANES_WINDOW_X (176)
#define LANES_WINDOW_TAPS (180)
#define LANES_WINDOW_NEXT (184)
#define LANES_CALL (188) // so much of it is handed over
#define LANES_WORDS (188) // carry of a call that keeps none
#define LANES_FRAME (204)

// ditmos_m7_quads: the frame is what is handed over
#define QUADS_X (0)
#define QUADS_X_END (4)
#define QUADS_TAPS (8)
#define QUADS_STORE (12)
#define QUADS_QUAD (16) // and the zero point
#define QUADS_OUT (24) // and its stride
#define QUADS_LEFT (32)
#define QUADS_FRAME (36)

// Taps are walked in pairs; a kernel of 31 has 16 of them.
#define M7_TAP_PAIRS (16)
// Planes in one turn of the loop over int8 planes: four up to so many pairs of taps, two up to so many, then one.
#define M7_TURN (4)
#define M7_TURN4_TAPS (5)
#define M7_TURN2_TAPS (8)
// Packed planes stand in groups: of four planes two words each, then the next two words of each.
#define M7_GROUP (4)
#define M7_GROUP_STEP (32) // bytes
// A turn of the loop over them is one group, or two up to so many pairs of taps.
#define M7_TURN_PACKED (8)
#define M7_TURN8_TAPS (2)
#define M7_LEAVE_TAPS (6) // from so many on the end of a turn asks where to go on
// Words of a quad in one turn of its loop.
#define M7_QUAD_TURN (8)
// Bytes of code of one word of a quad, and of one pair of taps in the loops that are entered in the middle.
#define M7_HALF_TAP (28)
#define M7_WINDOW_TAP (36)
#define M7_QUAD_WORD (44)
#define M7_SINGLE_WORD (24)
#define FC_WORD (80)
#define FC_WIDE_WORD (52)
#define FC_WIDENED_TWO (84)

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

// Quads of output channels (two pairs), and what is done with each of them. Where that is nothing but blocks, all pairs
// make one group. The frame of the assembly is a copy.
typedef struct {
    m7_walk_t walk; // args[3]: x after the last block; jump, stride2
    uint32_t again_stride; // of the blocks, with a second operand
    const char *again_next;
    uint32_t scratch[4];
    const ditmos_pair_t *pair[2]; // of the first quad
    uint32_t quads;
    uint32_t quad_size; // bytes from one quad to the next
    int32_t *carry; // of the first quad, 4 words, in and out
    uint32_t carry_step; // bytes from one quad's to the next
    uint32_t stride; // of the planes of the first operand
    uint32_t weights_size[2]; // bytes of an operand's weights
    int8_t *out; // row of the first block, of channel 0
    uint32_t out_stride;
    int8_t *window_out; // row of the window, of channel 0
    int32_t zero_point;
    struct {
        const int8_t *x;
        const char *taps; // NULL: the carry is there
        const char *next;
        uint32_t skip; // bytes to the first weight of a pair
        uint32_t plane_skip; // bytes from the last weight of a plane to the first of the next
    } half;
    struct {
        const void *x;
        const char *taps; // NULL: no blocks
        const char *next;
        uint32_t stride;
        uint32_t weights_size;
        uint32_t pair_size; // bytes from one pair to the next
        const char *taps2; // of the second operand; after a turn of packed planes
        uint32_t pairs; // of a group
    } blocks;
    struct {
        const int8_t *x;
        const char *taps; // NULL: no single row
        const char *next;
    } window;
} m7_lanes_t;

// Pairs of planes: the first one, bytes from one pair to the next, and how many.
typedef struct {
    const int8_t *a;
    const int8_t *b;
    uint32_t step;
    uint32_t pairs;
} m7_run_t;

// Quads of output channels over the packed input of two windows: words of both, side by side. The frame of the assembly
// is a copy.
typedef struct {
    const int32_t *x;
    const int32_t *x_end;
    const char *taps; // code: so far behind the start of the loop that a whole number of turns is left
    const char *store; // code: what becomes of the sums of a quad
    const ditmos_quad_t *quad; // the first one
    int32_t zero_point;
    int8_t *out; // row of the first window, of channel 0; the second one's is the next
    uint32_t out_stride;
    uint32_t quads;
} m7_quads_t;

_Static_assert(offsetof(ditmos_pair_t, scale) == PAIR_SCALE && offsetof(ditmos_pair_t, start) == PAIR_START, "pair");
_Static_assert(offsetof(ditmos_pair_t, words) == PAIR_WORDS, "pair");
_Static_assert(offsetof(ditmos_quad_t, bias) == QUAD_BIAS && offsetof(ditmos_quad_t, words) == QUAD_WORDS, "quad");
_Static_assert(offsetof(m7_walk_t, stride) == WALK_STRIDE && offsetof(m7_walk_t, jump) == WALK_JUMP, "walk");
_Static_assert(offsetof(m7_walk_t, weights_size2) == WALK_WEIGHTS_END2 && sizeof(m7_walk_t) == WALK_SIZE, "walk");
_Static_assert(offsetof(m7_lanes_t, pair) == LANES_PAIRS && offsetof(m7_lanes_t, carry) == LANES_CARRY, "lanes");
_Static_assert(offsetof(m7_lanes_t, out) == LANES_OUT && offsetof(m7_lanes_t, half) == LANES_HALF_X, "lanes");
_Static_assert(offsetof(m7_lanes_t, blocks) == LANES_X && offsetof(m7_lanes_t, window) == LANES_WINDOW_X, "lanes");
_Static_assert(offsetof(m7_lanes_t, blocks.pair_size) == LANES_BLOCK_WEIGHTS + 4, "lanes");
_Static_assert(sizeof(m7_lanes_t) == LANES_CALL && LANES_CALL % 32 == 28, "lanes");
_Static_assert(sizeof(ditmos_lanes_header_t) == PAIR_FIRST && offsetof(ditmos_layer_t, kernel) == LAYER_KERNEL, "conv");
_Static_assert(offsetof(ditmos_layer_t, channels_in) == LAYER_CHANNELS_IN, "conv");
_Static_assert(offsetof(ditmos_layer_t, channels_out) == LAYER_CHANNELS_OUT, "conv");
_Static_assert(offsetof(ditmos_call_t, weights) == CALL_WEIGHTS && offsetof(ditmos_call_t, in) == CALL_IN, "conv");
_Static_assert(offsetof(ditmos_operand_t, stride) == 4 && offsetof(ditmos_call_t, out) == CALL_OUT, "conv");
_Static_assert(offsetof(ditmos_call_t, out_stride) == CALL_OUT + 4 && offsetof(ditmos_call_t, rows) == CALL_ROWS, "conv");
_Static_assert(offsetof(ditmos_call_t, carry) == CALL_CARRY, "conv");
_Static_assert(offsetof(ditmos_quad_t, multiplier) == QUAD_MULTIPLIER, "quad");
_Static_assert(offsetof(m7_quads_t, store) == QUADS_STORE && offsetof(m7_quads_t, quad) == QUADS_QUAD, "quads");
_Static_assert(offsetof(m7_quads_t, out) == QUADS_OUT && sizeof(m7_quads_t) == QUADS_FRAME, "quads");
_Static_assert(offsetof(m7_quads_t, quads) == QUADS_LEFT, "quads");

// Code addresses, Thumb bit set.
typedef struct {
    const char *taps_end; // the last tap ends here: n pairs of taps start n times their size before
    const char *second; // value of `next` with a second operand
    const char *done; // and without
} m7_code_t;

extern const m7_code_t ditmos_m7_planes_code; // has no taps_end, but one entry per size:
extern const char *const ditmos_m7_planes_taps[M7_TURN][M7_TAP_PAIRS]; // int8 planes, by their number
extern const char *const ditmos_m7_packed_taps[M7_TURN_PACKED][M7_TAP_PAIRS]; // packed planes, likewise
// After a turn of packed planes, for M7_LEAVE_TAPS pairs of taps and more: where it is the only one, and where it is not.
extern const char *const ditmos_m7_packed_leave[2 + M7_TAP_PAIRS - M7_LEAVE_TAPS];
// After packed planes, by pool - 1; and where of the first block only lane 2 of window A is wanted, and window B.
extern const char *const ditmos_m7_packed_next[2][2];
extern const m7_code_t ditmos_m7_half_code, ditmos_m7_window_code;

typedef struct {
    const char *taps; // the loop over words
    const char *store_both; // values of `store`: rows of both windows, or the larger of both
    const char *store_pooled;
} m7_quads_code_t;

extern const m7_quads_code_t ditmos_m7_quads_code;
extern const m7_quads_code_t ditmos_m7_single_code; // of the first window alone, with input packed for two

void ditmos_m7_lanes(const m7_lanes_t *call);
// The usual call without a structure in between: pairs only, in all output channels; one run of int8 planes; an even
// number of rows. `fresh`: the carry is not there; channels are a multiple of 4 then, else of 2.
void ditmos_m7_conv(const ditmos_layer_t *layer, const ditmos_call_t *call, uint32_t fresh);
void ditmos_m7_quads(const m7_quads_t *call);
// Adds to the sums of one quad, of the first window and of the second, what `words` words of packed input give; `taps` as
// in m7_quads_t.
void ditmos_m7_quad_sums(int32_t sum[8], const int32_t *x, const int32_t *weights, uint32_t words, const char *taps);
// Packs the input of two windows, at rows `row` and `row + distance` of a run of pairs of planes: of each pair and tap
// the words of both windows. `taps` is the kernel, with distance * 65536. Returns where the words end.
int32_t *ditmos_m7_pack_windows(int32_t *to, const m7_run_t *run, uint32_t row, uint32_t taps);

// Planes that are packed: words of row pairs (0, 1), (2, 3), ... as low + high * 2^21, in groups.
typedef struct {
    const int8_t *x;
    uint32_t words; // of each plane
    int32_t *out;
    uint32_t place; // of the first plane in its group, times 2^30
    uint32_t group_step; // bytes from the last plane of a group to the first of the next, less 8
    int32_t x_step; // bytes from where an even number of words of a plane ends to where the next plane starts
    int32_t x_steps; // ditmos_m7_pack_even: this and the one after the next plane; ditmos_m7_pack_front: rows to skip
    uint32_t planes;
} m7_pack_t;

void ditmos_m7_pack(const m7_pack_t *pack);
void ditmos_m7_pack_even(const m7_pack_t *pack); // every second row: (0, 2), (4, 6), ...
// Two words more in front. The second one is of the rows that follow the `x_steps` (0 or 1) first ones, and of the first
// one the upper row is row 0 if that is skipped; whatever else it holds meets no weight that counts.
void ditmos_m7_pack_front(const m7_pack_t *pack);

// Fully connected: groups of four outputs, `words` times four inputs; x aligned to 4 bytes.
typedef void m7_fc_t(const int32_t *weights, const void *x, uint32_t words, int8_t *out, uint32_t outputs,
    int32_t zero_point);
m7_fc_t ditmos_m7_fc; // int8 weights, int8 inputs
m7_fc_t ditmos_m7_fc_wide; // int16 weights
m7_fc_t ditmos_m7_fc_widened; // int16 weights, and inputs of ditmos_m7_widen()
// Four int8 as int16 each, in the order 0, 2, 1, 3. `x` may end where `to` does.
void ditmos_m7_widen(int32_t *to, const int8_t *x, uint32_t words);

#endif // __ASSEMBLER__
#endif // DITMOS_KERNELS_M7_H
