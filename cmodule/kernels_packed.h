// Packings 1 (lanes, convolutions), 2 and 3 (dot and wide, fully connected): docs/format.md, WGHT.
#ifndef DITMOS_KERNELS_PACKED_H
#define DITMOS_KERNELS_PACKED_H

#include "kernels.h"

// Lanes of a three-lane sum are this many bits wide; both low lanes start at their bias plus half a lane.
#define DITMOS_LANE_BITS (21)
#define DITMOS_LANE_HALF ((int32_t)1 << (DITMOS_LANE_BITS - 1))

// Packing 1 starts with this; groups of two channels (three lanes) and of four (SMLAD) follow.
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
    int32_t words[]; // [channels_in][(kernel + 1) / 2][2]
} ditmos_pair_t;

typedef struct {
    uint16_t channel[4];
    int32_t bias[4];
    int32_t multiplier[4];
    int32_t words[]; // [channels_in][(kernel + 1) / 2][4]
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

static inline const ditmos_pair_t *ditmos_lanes_pair(const ditmos_layer_t *layer, const void *weights, uint32_t i) {
    uint32_t size = sizeof(ditmos_pair_t) + 8 * layer->channels_in * ditmos_tap_pairs(layer);
    return (const ditmos_pair_t *)((const uint8_t *)weights + sizeof(ditmos_lanes_header_t) + i * size);
}

static inline const ditmos_quad_t *ditmos_lanes_quad(const ditmos_layer_t *layer, const void *weights, uint32_t i) {
    const ditmos_lanes_header_t *header = weights;
    uint32_t size = sizeof(ditmos_quad_t) + 16 * layer->channels_in * ditmos_tap_pairs(layer);
    return (const ditmos_quad_t *)((const uint8_t *)ditmos_lanes_pair(layer, weights, header->pairs) + i * size);
}

bool ditmos_weights_valid_lanes(const ditmos_layer_t *layer, const void *weights, uint32_t *offset);
bool ditmos_weights_valid_dot(const ditmos_layer_t *layer, const void *weights, uint32_t *offset);

// kernels_packed.c everywhere; kernels_m7.c on the Cortex-M7.
void ditmos_conv_lanes_ref(const ditmos_layer_t *layer, const ditmos_call_t *call);
void ditmos_fc_dot_ref(const ditmos_layer_t *layer, const ditmos_call_t *call);
void ditmos_conv_lanes_m7(const ditmos_layer_t *layer, const ditmos_call_t *call);
void ditmos_fc_dot_m7(const ditmos_layer_t *layer, const ditmos_call_t *call);

#endif // DITMOS_KERNELS_PACKED_H
