// Portable kernels for packing 0 (plain).
#ifndef DITMOS_KERNELS_REF_H
#define DITMOS_KERNELS_REF_H

#include "kernels.h"

// Requantise: docs/arithmetic.md, "One layer".
static inline int8_t ditmos_requantize(int32_t acc, int32_t multiplier, int32_t zero_point) {
    int32_t y = zero_point + (int32_t)(((int64_t)acc * multiplier + ((int64_t)1 << 31)) >> 32);
    return (int8_t)(y < -128 ? -128 : y > 127 ? 127 : y);
}

bool ditmos_weights_valid_ref(const ditmos_layer_t *layer, const void *weights, uint32_t *offset);
void ditmos_conv_ref(const ditmos_layer_t *layer, const ditmos_call_t *call);
void ditmos_fc_ref(const ditmos_layer_t *layer, const ditmos_call_t *call);

#endif // DITMOS_KERNELS_REF_H
