// Packing 0 with SMLAD: two multiply-accumulates per instruction, four taps per step.
#include "kernels_smlad.h"

#if DITMOS_KERNELS_M7

#include <arm_acle.h>
#include <string.h>

#include "kernels_ref.h"

// Four int8 as two pairs of int16: bytes 0 and 2, bytes 1 and 3.
typedef struct {
    int16x2_t even;
    int16x2_t odd;
} pairs_t;

static inline pairs_t load_pairs(const int8_t *p) {
    uint32_t word;
    memcpy(&word, p, 4);
    return (pairs_t) { __sxtb16(word), __sxtb16(word >> 8 | word << 24) };
}

static inline int32_t smlad(pairs_t w, pairs_t x, int32_t acc) {
    return __smlad(w.odd, x.odd, __smlad(w.even, x.even, acc));
}

static inline int32_t dot(const int8_t *w, const int8_t *x, uint32_t count, int32_t acc) {
    for (; count >= 4; count -= 4, w += 4, x += 4) {
        acc = smlad(load_pairs(w), load_pairs(x), acc);
    }
    for (; count > 0; count--) {
        acc += *w++ * *x++;
    }
    return acc;
}

// Two neighbouring positions, `step` rows apart, so that weights are unpacked once.
static inline void dot2(const int8_t *w, const int8_t *x, uint32_t step, uint32_t count, int32_t acc[2]) {
    int32_t acc0 = acc[0];
    int32_t acc1 = acc[1];
    for (; count >= 4; count -= 4, w += 4, x += 4) {
        pairs_t weights = load_pairs(w);
        acc0 = smlad(weights, load_pairs(x), acc0);
        acc1 = smlad(weights, load_pairs(x + step), acc1);
    }
    for (; count > 0; count--, x++) {
        int32_t weight = *w++;
        acc0 += weight * x[0];
        acc1 += weight * x[step];
    }
    acc[0] = acc0;
    acc[1] = acc1;
}

void ditmos_conv_smlad(const ditmos_layer_t *layer, const ditmos_call_t *call) {
    const int32_t *bias = call->weights;
    const int32_t *multiplier = bias + layer->channels_out;
    const int8_t *weights = (const int8_t *)(multiplier + layer->channels_out);
    uint32_t kernel = layer->kernel;
    uint32_t stride = layer->stride;
    for (uint32_t o = 0; o < layer->channels_out; o++) {
        for (uint32_t row = 0; row < call->rows; row++) {
            const int8_t *w = weights;
            int32_t acc[2] = { bias[o], bias[o] };
            for (unsigned j = 0; j < DITMOS_MAX_OPERANDS; j++) {
                const ditmos_operand_t *in = &call->in[j];
                const int8_t *x = in->data + row * layer->pool * stride;
                for (uint32_t c = 0; c < in->channels; c++, x += in->stride, w += kernel) {
                    if (layer->pool == 2) {
                        dot2(w, x, stride, kernel, acc);
                    } else {
                        acc[0] = dot(w, x, kernel, acc[0]);
                    }
                }
            }
            int32_t pooled = layer->pool == 2 && acc[1] > acc[0] ? acc[1] : acc[0];
            call->out[o * call->out_stride + row] = ditmos_requantize(pooled, multiplier[o], layer->zero_point);
        }
        weights += layer->channels_in * kernel;
    }
}

void ditmos_fc_smlad(const ditmos_layer_t *layer, const ditmos_call_t *call) {
    const int32_t *bias = call->weights;
    const int32_t *multiplier = bias + layer->channels_out;
    const int8_t *w = (const int8_t *)(multiplier + layer->channels_out);
    for (uint32_t o = 0; o < layer->channels_out; o++) {
        int32_t acc = bias[o];
        for (unsigned j = 0; j < DITMOS_MAX_OPERANDS; j++) {
            const ditmos_operand_t *in = &call->in[j];
            for (uint32_t c = 0; c < in->channels; c++, w += in->rows) {
                acc = dot(w, in->data + c * in->stride, in->rows, acc);
            }
        }
        call->out[o] = ditmos_requantize(acc, multiplier[o], layer->zero_point);
    }
}

#endif // DITMOS_KERNELS_M7
