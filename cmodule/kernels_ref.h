// Portable kernels for packing 0 (plain).
#ifndef DITMOS_KERNELS_REF_H
#define DITMOS_KERNELS_REF_H

#include "kernels.h"

// Requantise: docs/arithmetic.md, "One layer".
static inline int8_t ditmos_requantize(int32_t acc, int32_t multiplier, int32_t zero_point) {
    int32_t y = zero_point + (int32_t)(((int64_t)acc * multiplier + ((int64_t)1 << 31)) >> 32);
    return (int8_t)(y < -128 ? -128 : y > 127 ? 127 : y);
}

// Packing 0: int32 bias[out], int32 multiplier[out], then int8 weights: [out][in][kernel], of a fully connected layer
// [out][in], of a depthwise convolution [out][kernel], of an average [out].
typedef struct {
    const int32_t *bias;
    const int32_t *multiplier;
    const int8_t *weight;
} ditmos_plain_t;

static inline ditmos_plain_t ditmos_plain(const ditmos_layer_t *layer, const void *weights) {
    const int32_t *words = weights;
    const int32_t *multiplier = words + layer->channels_out;
    return (ditmos_plain_t) { words, multiplier, (const int8_t *)(multiplier + layer->channels_out) };
}

bool ditmos_weights_valid_ref(const ditmos_layer_t *layer, const void *weights, uint32_t *offset);
ditmos_kernel_t ditmos_conv_ref, ditmos_fc_ref, ditmos_channels_ref;

#endif // DITMOS_KERNELS_REF_H
