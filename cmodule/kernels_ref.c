// Portable kernels for packing 0: int32 bias[out], int32 multiplier[out], int8 weight[out][in][kernel].
//
// The accumulator is unsigned so that a file whose weights would overflow it gives wrong numbers, not undefined
// behaviour; the exporter refuses such weights.
#include "kernels_ref.h"

#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "weights are used in place: little-endian only"
#endif

typedef struct {
    const int32_t *bias;
    const int32_t *multiplier;
    const int8_t *weight;
} plain_t;

static plain_t plain(const ditmos_layer_t *layer, const void *weights) {
    const int32_t *words = weights;
    const int32_t *multiplier = words + layer->channels_out;
    return (plain_t) { words, multiplier, (const int8_t *)(multiplier + layer->channels_out) };
}

bool ditmos_weights_valid_ref(const ditmos_layer_t *layer, const void *weights, uint32_t *offset) {
    uint64_t taps = (uint64_t)layer->channels_out * layer->channels_in * layer->kernel;
    *offset = 0;
    if (layer->weights_size != ((8 * (uint64_t)layer->channels_out + taps + 3) & ~(uint64_t)3)) {
        return false;
    }
    plain_t p = plain(layer, weights);
    for (uint32_t o = 0; o < layer->channels_out; o++) {
        if (p.multiplier[o] < 1) {
            *offset = (uint32_t)((const uint8_t *)&p.multiplier[o] - (const uint8_t *)weights);
            return false;
        }
    }
    for (uint32_t i = 0; i < taps; i++) {
        if (p.weight[i] == -128) {
            *offset = (uint32_t)((const uint8_t *)&p.weight[i] - (const uint8_t *)weights);
            return false;
        }
    }
    return true;
}

static uint32_t dot(const int8_t *weight, const int8_t *x, uint32_t count) {
    uint32_t sum = 0;
    for (uint32_t i = 0; i < count; i++) {
        sum += (uint32_t)(weight[i] * x[i]);
    }
    return sum;
}

void ditmos_conv_ref(const ditmos_layer_t *layer, const ditmos_call_t *call) {
    plain_t p = plain(layer, call->weights);
    const int8_t *weights = p.weight;
    uint32_t kernel = layer->kernel;
    for (uint32_t o = 0; o < layer->channels_out; o++) {
        for (uint32_t row = 0; row < call->rows; row++) {
            int32_t pooled = INT32_MIN;
            for (uint32_t i = 0; i < layer->pool; i++) {
                uint32_t first = (row * layer->pool + i) * layer->stride;
                uint32_t acc = (uint32_t)p.bias[o];
                const int8_t *weight = weights;
                for (unsigned j = 0; j < DITMOS_MAX_OPERANDS; j++) {
                    const ditmos_operand_t *in = &call->in[j];
                    for (uint32_t c = 0; c < in->channels; c++, weight += kernel) {
                        acc += dot(weight, in->data + c * in->stride + first, kernel);
                    }
                }
                pooled = (int32_t)acc > pooled ? (int32_t)acc : pooled;
            }
            call->out[o * call->out_stride + row] = ditmos_requantize(pooled, p.multiplier[o], layer->zero_point);
        }
        weights += (uint32_t)layer->channels_in * kernel;
    }
}

void ditmos_fc_ref(const ditmos_layer_t *layer, const ditmos_call_t *call) {
    plain_t p = plain(layer, call->weights);
    const int8_t *weight = p.weight;
    for (uint32_t o = 0; o < layer->channels_out; o++) {
        uint32_t acc = (uint32_t)p.bias[o];
        for (unsigned j = 0; j < DITMOS_MAX_OPERANDS; j++) {
            const ditmos_operand_t *in = &call->in[j];
            for (uint32_t c = 0; c < in->channels; c++, weight += in->rows) {
                acc += dot(weight, in->data + c * in->stride, in->rows);
            }
        }
        call->out[o] = ditmos_requantize((int32_t)acc, p.multiplier[o], layer->zero_point);
    }
}
