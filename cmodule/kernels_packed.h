// Packings 4 and 5 (lanes and quads, convolutions), 2 and 3 (dot and wide, fully connected): docs/format.md, WGHT.
#ifndef DITMOS_KERNELS_PACKED_H
#define DITMOS_KERNELS_PACKED_H

#include "kernels.h"

// Lanes of a three-lane sum are this many bits wide; both low lanes start at their bias plus half a lane.
#define DITMOS_LANE_BITS (21)
#define DITMOS_LANE_HALF ((int32_t)1 << (DITMOS_LANE_BITS - 1))

// Packings 4 and 5 start with this; groups of two channels (three lanes) and of four (SMLAD) follow. Packing 5 has no
// pairs.
typedef struct {
    uint16_t pairs;
    uint16_t quads;
} ditmos_lanes_header_t;

// `scale` and `start` follow from bias, multiplier and zero point. They are what the assembly loops load, two windows
// at once, hence everything twice: (sum * multiplier + zero) >> 32 is the output, `start` the sum of no inputs.
typedef struct {
    uint16_t channel[2];
    struct {
        int64_t zero[2];
        int32_t multiplier;
    } __attribute__((packed, aligned(4))) scale[2];
    struct {
        int64_t sum[2];
    } __attribute__((packed, aligned(4))) start[2];
    int32_t words[]; // [ditmos_lane_planes()][ditmos_lane_tap_pairs()][2]
} ditmos_pair_t;

typedef struct {
    uint16_t channel[4];
    int32_t bias[4];
    int32_t multiplier[4];
    int32_t words[]; // [ditmos_quad_words()][4]
} ditmos_quad_t;

// Makes up for a sum that is DITMOS_LANE_HALF too large.
static inline int64_t ditmos_pair_zero(int32_t zero_point, int32_t multiplier) {
    return (int64_t)zero_point * ((int64_t)1 << 32) + ((int64_t)1 << 31) - (int64_t)multiplier * DITMOS_LANE_HALF;
}

// Both low lanes at bias + DITMOS_LANE_HALF.
static inline int64_t ditmos_pair_start(int32_t bias) {
    int64_t lane = (int64_t)bias + DITMOS_LANE_HALF;
    return lane + (lane << DITMOS_LANE_BITS);
}

static inline int32_t ditmos_pair_bias(const ditmos_pair_t *pair, uint32_t i) {
    return (int32_t)(pair->start[i].sum[0] & (2 * DITMOS_LANE_HALF - 1)) - DITMOS_LANE_HALF;
}

// Pairs of taps of one kernel.
static inline uint32_t ditmos_tap_pairs(const ditmos_layer_t *layer) {
    return (layer->kernel + 1u) / 2u;
}

// Three lanes know stride 1 only. A layer with stride 2 is one with twice the planes: the even rows of a channel with taps
// 0, 2, ... of its kernel, then the odd rows with taps 1, 3, ... and, of an odd kernel, 0.
static inline uint32_t ditmos_lane_planes(const ditmos_layer_t *layer) {
    return (uint32_t)layer->channels_in * layer->stride;
}

// Taps of each plane.
static inline uint32_t ditmos_lane_kernel(const ditmos_layer_t *layer) {
    return (layer->kernel + layer->stride - 1u) / layer->stride;
}

static inline uint32_t ditmos_lane_tap_pairs(const ditmos_layer_t *layer) {
    return (ditmos_lane_kernel(layer) + 1) / 2;
}

// Words of a quad, for each of its channels: a tap of two input channels each; the last of an odd number of input
// channels has two taps a word.
static inline uint32_t ditmos_quad_words(const ditmos_layer_t *layer) {
    return layer->channels_in / 2u * layer->kernel + (layer->channels_in & 1u) * ditmos_tap_pairs(layer);
}

static inline const ditmos_pair_t *ditmos_lanes_pair(const ditmos_layer_t *layer, const void *weights, uint32_t i) {
    uint32_t size = sizeof(ditmos_pair_t) + 8 * ditmos_lane_planes(layer) * ditmos_lane_tap_pairs(layer);
    return (const ditmos_pair_t *)((const uint8_t *)weights + sizeof(ditmos_lanes_header_t) + i * size);
}

static inline const ditmos_quad_t *ditmos_lanes_quad(const ditmos_layer_t *layer, const void *weights, uint32_t i) {
    const ditmos_lanes_header_t *header = weights;
    uint32_t size = sizeof(ditmos_quad_t) + 16 * ditmos_quad_words(layer);
    return (const ditmos_quad_t *)((const uint8_t *)ditmos_lanes_pair(layer, weights, header->pairs) + i * size);
}

// Whether a layer's weights, whose packing takes `size` bytes, are zero behind that; else *offset is the first other byte.
static inline bool ditmos_zero_to_end(const ditmos_layer_t *layer, const void *weights, uint64_t size,
    uint32_t *offset) {
    for (*offset = (uint32_t)size; *offset < layer->weights_size; ++*offset) {
        if (((const uint8_t *)weights)[*offset] != 0) {
            return false;
        }
    }
    return true;
}

bool ditmos_weights_valid_lanes(const ditmos_layer_t *layer, const void *weights, uint32_t *offset);
bool ditmos_weights_valid_dot(const ditmos_layer_t *layer, const void *weights, uint32_t *offset);

// kernels_packed.c and kernels_dot.c everywhere; kernels_m7*.c on the Cortex-M7.
void ditmos_conv_lanes_ref(const ditmos_layer_t *layer, const ditmos_call_t *call);
void ditmos_conv_pairs_ref(const ditmos_layer_t *layer, const ditmos_call_t *call); // the pairs of the layer alone
void ditmos_fc_dot_ref(const ditmos_layer_t *layer, const ditmos_call_t *call);
void ditmos_conv_lanes_m7(const ditmos_layer_t *layer, const ditmos_call_t *call);
void ditmos_conv_quads_m7(const ditmos_layer_t *layer, const ditmos_call_t *call); // the quads of the layer alone
void ditmos_fc_dot_m7(const ditmos_layer_t *layer, const ditmos_call_t *call);

#endif // DITMOS_KERNELS_PACKED_H
