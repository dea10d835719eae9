// What the ways to run pairs of output channels share: kernels_m7_pairs.c, kernels_m7_packed.c.
#ifndef DITMOS_KERNELS_M7_PAIRS_H
#define DITMOS_KERNELS_M7_PAIRS_H

#include "kernels_m7.h"

// A call as the loops see it: operands that follow each other in memory are one. The structures of this file are filled
// field by field, since zeroing and copying them would cost more than a short chunk's work.
typedef struct {
    const ditmos_layer_t *layer;
    const ditmos_call_t *call;
    const int8_t *x; // of the first operand
    uint32_t channels[DITMOS_MAX_OPERANDS];
    uint32_t tap_pairs;
    uint32_t odd; // 1 for an odd kernel, of each plane
} conv_t;

// Whether the second operand, if there is one, follows the first one as if they were one.
static inline bool one_run(const ditmos_operand_t *in) {
    return in[1].channels == 0
        || (in[1].stride == in[0].stride && in[1].data == in[0].data + in[0].channels * in[0].stride);
}

static inline void conv_init(conv_t *conv, const ditmos_layer_t *layer, const ditmos_call_t *call) {
    const ditmos_operand_t *in = call->in;
    conv->layer = layer;
    conv->call = call;
    conv->x = in[0].data;
    conv->channels[0] = in[0].channels;
    conv->channels[1] = in[1].channels;
    conv->tap_pairs = ditmos_lane_tap_pairs(layer);
    conv->odd = ditmos_lane_kernel(layer) & 1u;
    if (one_run(in)) {
        conv->channels[0] += in[1].channels;
        conv->channels[1] = 0;
    }
}

// Bytes from the end of the first operand's planes to the start of the second's.
static inline uint32_t jump_of(const conv_t *conv) {
    const ditmos_operand_t *in = conv->call->in;
    return (uint32_t)(in[1].data - in[0].data) - conv->channels[0] * in[0].stride;
}

static inline const char *next_of(const conv_t *conv, const m7_code_t *code) {
    return conv->channels[1] > 0 ? code->second : code->done;
}

// What does not change from tile to tile.
static inline void lanes_init(m7_lanes_t *lanes, const conv_t *conv) {
    const ditmos_call_t *call = conv->call;
    uint32_t stream = 8 * conv->tap_pairs;
    lanes->blocks.pair_size = sizeof(ditmos_pair_t) + ditmos_lane_planes(conv->layer) * stream;
    lanes->quad_size = 2 * lanes->blocks.pair_size;
    lanes->stride = call->in[0].stride;
    lanes->weights_size[0] = conv->channels[0] * stream;
    if (conv->channels[1] > 0) {
        lanes->weights_size[1] = conv->channels[1] * stream;
        lanes->walk.jump = jump_of(conv);
        lanes->walk.stride2 = call->in[1].stride;
        lanes->again_stride = call->in[0].stride;
        lanes->again_next = ditmos_m7_planes_code.second;
        lanes->blocks.taps2 = ditmos_m7_planes_taps[conv->channels[1] % M7_TURN][conv->tap_pairs - 1];
    }
    lanes->out_stride = call->out_stride;
    lanes->zero_point = conv->layer->zero_point;
}

// The carry into the first row, if `fresh`.
static inline void half_init(m7_lanes_t *lanes, const conv_t *conv, bool fresh) {
    lanes->half.taps = NULL;
    if (fresh) {
        uint32_t taps = conv->tap_pairs - conv->odd;
        lanes->half.x = conv->x + (int32_t)(conv->odd - 2 * (M7_TAP_PAIRS - taps));
        lanes->half.taps = ditmos_m7_half_code.taps_end - taps * M7_HALF_TAP;
        lanes->half.next = next_of(conv, &ditmos_m7_half_code);
        lanes->half.skip = PAIR_WORDS + 8 * conv->odd;
        lanes->half.plane_skip = 8 * conv->odd;
    }
}

// The last row alone, where it is left over.
static inline void window_init(m7_lanes_t *lanes, const conv_t *conv, bool left) {
    lanes->window.taps = NULL;
    if (left) {
        uint32_t row = conv->call->rows - 1u;
        lanes->window.x = conv->x + (int32_t)(2 * row + !conv->odd - 2 * (M7_TAP_PAIRS - conv->tap_pairs));
        lanes->window.taps = ditmos_m7_window_code.taps_end - conv->tap_pairs * M7_WINDOW_TAP;
        lanes->window.next = next_of(conv, &ditmos_m7_window_code);
        lanes->window_out = conv->call->out + row;
    }
}

// Whether there is a carry between two calls of a layer, and a way to run without packed planes.
static inline bool has_carry(const ditmos_layer_t *layer) {
    return layer->stride == 1 && layer->pool == 2;
}

// All pairs over one tile. `carry`: a word per channel, in the order of the pairs, or NULL; read where the tile does
// not compute it, and written.
void ditmos_m7_run_pairs(m7_lanes_t *lanes, const ditmos_layer_t *layer, const ditmos_lanes_header_t *header,
    int32_t *carry);
// From planes that it packs first, tile by tile. False: the scratch is too short, or it does not pay. `fresh`: there is
// no carry from a call before.
bool ditmos_m7_conv_packed(const ditmos_layer_t *layer, const ditmos_call_t *call, bool fresh);

#endif // DITMOS_KERNELS_M7_PAIRS_H
