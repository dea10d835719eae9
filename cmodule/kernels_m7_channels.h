// Packing 0 of depthwise convolutions and averages, for cores with the DSP extension. The assembly includes this file too.
#ifndef DITMOS_KERNELS_M7_CHANNELS_H
#define DITMOS_KERNELS_M7_CHANNELS_H

#define DEPTHWISE_X (0) // and the output
#define DEPTHWISE_STRIDE (8) // of both
#define DEPTHWISE_LAST (16)
#define DEPTHWISE_BIAS (20) // and the multipliers
#define DEPTHWISE_WEIGHT (28)
#define DEPTHWISE_ZERO_POINT (32)
#define DEPTHWISE_CHANNELS (36)
#define DEPTHWISE_CALL (40) // so much of it is handed over
#define DEPTHWISE_LAST_OUT (40)
#define DEPTHWISE_NOW (44) // bias and ninth tap of the channel at hand
#define DEPTHWISE_FRAME (52)

#ifndef __ASSEMBLER__

#include "kernels.h"

// Channels of one operand.
typedef struct {
    const int8_t *x;
    int8_t *out;
    uint32_t stride; // bytes from one channel to the next, in and out
    uint32_t out_stride;
    uint32_t last; // row that the last block starts with
    const int32_t *bias;
    const int32_t *multiplier;
    const int8_t *weight;
    int32_t zero_point;
    uint32_t channels;
} m7_depthwise_t;

_Static_assert(offsetof(m7_depthwise_t, stride) == DEPTHWISE_STRIDE, "depthwise");
_Static_assert(offsetof(m7_depthwise_t, last) == DEPTHWISE_LAST, "depthwise");
_Static_assert(offsetof(m7_depthwise_t, bias) == DEPTHWISE_BIAS, "depthwise");
_Static_assert(offsetof(m7_depthwise_t, weight) == DEPTHWISE_WEIGHT, "depthwise");
_Static_assert(sizeof(m7_depthwise_t) == DEPTHWISE_CALL, "depthwise");

// At least four rows, stride 1, no pooling, and so many taps.
typedef void m7_depthwise_run_t(const m7_depthwise_t *call);
m7_depthwise_run_t ditmos_m7_depthwise_3, ditmos_m7_depthwise_5, ditmos_m7_depthwise_9;

ditmos_kernel_t ditmos_channels_m7;

#endif // __ASSEMBLER__
#endif // DITMOS_KERNELS_M7_CHANNELS_H
