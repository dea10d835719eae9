// Portable kernels for packing 0 (plain).
#include "kernels_ref.h"

#include <stdlib.h>

#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "weights are used in place: little-endian only"
#endif

// Weights of one output channel.
static uint32_t weights_of_channel(const ditmos_layer_t *layer) {
    switch (layer->kind) {
        case DITMOS_DEPTHWISE:
            return layer->kernel;
        case DITMOS_AVERAGE:
            return 1;
        default:
            return (uint32_t)layer->channels_in * layer->kernel;
    }
}

bool ditmos_weights_valid_ref(const ditmos_layer_t *layer, const void *weights, uint32_t *offset) {
    const uint8_t *bytes = weights;
    uint32_t taps = weights_of_channel(layer);
    uint32_t repeats = layer->kind == DITMOS_AVERAGE ? layer->kernel : 1;
    uint64_t size = layer->channels_out * (8 + (uint64_t)taps);
    *offset = 0;
    if (layer->weights_size != ((size + 3) & ~(uint64_t)3)) {
        return false;
    }
    ditmos_plain_t p = ditmos_plain(layer, weights);
    const int8_t *weight = p.weight;
    for (uint32_t o = 0; o < layer->channels_out; o++) {
        if (p.multiplier[o] < 1) {
            *offset = (uint32_t)((const uint8_t *)&p.multiplier[o] - bytes);
            return false;
        }
        uint64_t magnitude = 0;
        for (uint32_t i = 0; i < taps; i++, weight++) {
            if (*weight == -128) {
                *offset = (uint32_t)((const uint8_t *)weight - bytes);
                return false;
            }
            magnitude += (uint32_t)abs(*weight);
        }
        int64_t bias = p.bias[o];
        if (128 * magnitude * repeats + (uint64_t)(bias < 0 ? -bias : bias) > INT32_MAX) {
            *offset = 4 * o; // the accumulator could overflow
            return false;
        }
    }
    for (uint32_t i = (uint32_t)size; i < layer->weights_size; i++) {
        if (bytes[i] != 0) {
            *offset = i;
            return false;
        }
    }
    return true;
}

static int32_t dot(const int8_t *weight, const int8_t *x, uint32_t count) {
    int32_t sum = 0;
    for (uint32_t i = 0; i < count; i++) {
        sum += weight[i] * x[i];
    }
    return sum;
}

void ditmos_conv_ref(const ditmos_layer_t *layer, const ditmos_call_t *call) {
    ditmos_plain_t p = ditmos_plain(layer, call->weights);
    const int8_t *weights = p.weight;
    uint32_t kernel = layer->kernel;
    for (uint32_t o = 0; o < layer->channels_out; o++) {
        for (uint32_t row = 0; row < call->rows; row++) {
            int32_t pooled = INT32_MIN;
            for (uint32_t i = 0; i < layer->pool; i++) {
                uint32_t first = (row * layer->pool + i) * layer->stride;
                int32_t acc = p.bias[o];
                const int8_t *weight = weights;
                for (unsigned j = 0; j < DITMOS_MAX_OPERANDS; j++) {
                    const ditmos_operand_t *in = &call->in[j];
                    for (uint32_t c = 0; c < in->channels; c++, weight += kernel) {
                        acc += dot(weight, in->data + c * in->stride + first, kernel);
                    }
                }
                pooled = acc > pooled ? acc : pooled;
            }
            call->out[o * call->out_stride + row] = ditmos_requantize(pooled, p.multiplier[o], layer->zero_point);
        }
        weights += (uint32_t)layer->channels_in * kernel;
    }
}

void ditmos_fc_ref(const ditmos_layer_t *layer, const ditmos_call_t *call) {
    ditmos_plain_t p = ditmos_plain(layer, call->weights);
    const int8_t *weight = p.weight;
    for (uint32_t o = 0; o < layer->channels_out; o++) {
        int32_t acc = p.bias[o];
        for (unsigned j = 0; j < DITMOS_MAX_OPERANDS; j++) {
            const ditmos_operand_t *in = &call->in[j];
            for (uint32_t c = 0; c < in->channels; c++, weight += in->rows) {
                acc += dot(weight, in->data + c * in->stride, in->rows);
            }
        }
        call->out[o] = ditmos_requantize(acc, p.multiplier[o], layer->zero_point);
    }
}

// Rows of one channel of a layer in which each comes from one of the input, `x`.
static void run_channel(const ditmos_layer_t *layer, const ditmos_call_t *call, ditmos_plain_t p, uint32_t channel,
    const int8_t *x) {
    const int8_t *weight = p.weight + channel * weights_of_channel(layer);
    int8_t *out = call->out + channel * call->out_stride;
    for (uint32_t row = 0; row < call->rows; row++) {
        int32_t pooled = INT32_MIN;
        for (uint32_t i = 0; i < layer->pool; i++, x += layer->stride) {
            int32_t acc = p.bias[channel];
            if (layer->kind == DITMOS_DEPTHWISE) {
                acc += dot(weight, x, layer->kernel);
            } else {
                for (uint32_t j = 0; j < layer->kernel; j++) {
                    acc += *weight * x[j];
                }
            }
            pooled = acc > pooled ? acc : pooled;
        }
        out[row] = ditmos_requantize(pooled, p.multiplier[channel], layer->zero_point);
    }
}

void ditmos_channels_ref(const ditmos_layer_t *layer, const ditmos_call_t *call) {
    ditmos_plain_t p = ditmos_plain(layer, call->weights);
    uint32_t channel = 0;
    for (unsigned j = 0; j < DITMOS_MAX_OPERANDS; j++) {
        const ditmos_operand_t *in = &call->in[j];
        for (uint32_t c = 0; c < in->channels; c++, channel++) {
            run_channel(layer, call, p, channel, in->data + c * in->stride);
        }
    }
}
