// Packings 2 and 3, fully connected layers: what makes them valid, and a portable kernel that reads them.
#include "kernels_packed.h"

#include "kernels_ref.h"

// Groups of four outputs: int32 bias[4], then for every four inputs weight[4 outputs][4 inputs],
// then int32 multiplier[4]. Packing 2 has int8 weights; packing 3 int16 weights in the order 0, 2, 1, 3.
typedef struct {
    const int32_t *bias;
    const int32_t *multiplier;
    bool wide;
} dot_t;

static dot_t dot_group(const ditmos_layer_t *layer, const void *weights, uint32_t group) {
    uint32_t steps = (layer->channels_in + 3u) / 4u;
    bool wide = layer->packing == DITMOS_PACKING_WIDE;
    uint32_t words = (wide ? 8 : 4) * steps;
    const int32_t *bias = (const int32_t *)weights + group * (8 + words);
    return (dot_t) { bias, bias + 4 + words, wide };
}

static int32_t dot_weight(dot_t dot, uint32_t output, uint32_t input) {
    const int32_t *words = dot.bias + 4;
    uint32_t at = input / 4 * 16 + output * 4;
    if (dot.wide) {
        static const uint8_t order[4] = { 0, 2, 1, 3 };
        return ((const int16_t *)words)[at + order[input % 4]];
    }
    return ((const int8_t *)words)[at + input % 4];
}

bool ditmos_weights_valid_dot(const ditmos_layer_t *layer, const void *weights, uint32_t *offset) {
    uint32_t steps = (layer->channels_in + 3u) / 4u;
    uint32_t groups = (layer->channels_out + 3u) / 4u;
    uint64_t group_size = 32 + (layer->packing == DITMOS_PACKING_WIDE ? 32 : 16) * (uint64_t)steps;
    *offset = 0;
    if (layer->kind != DITMOS_FC || groups * group_size > layer->weights_size) {
        return false;
    }
    for (uint32_t o = 0; o < groups * 4; o++) {
        dot_t dot = dot_group(layer, weights, o / 4);
        int32_t bias = dot.bias[o % 4];
        int64_t sum = bias < 0 ? -(int64_t)bias : bias;
        *offset = (uint32_t)(o / 4 * group_size);
        for (uint32_t i = 0; i < steps * 4; i++) {
            int32_t w = dot_weight(dot, o % 4, i);
            if (w < -127 || w > 127 || (w != 0 && (i >= layer->channels_in || o >= layer->channels_out))) {
                return false;
            }
            sum += 128 * (w < 0 ? -w : w);
        }
        int32_t multiplier = dot.multiplier[o % 4];
        if (multiplier < 1 || sum > INT32_MAX || (o >= layer->channels_out && (bias != 0 || multiplier != 1))) {
            return false;
        }
    }
    return ditmos_zero_to_end(layer, weights, groups * group_size, offset);
}

void ditmos_fc_dot_ref(const ditmos_layer_t *layer, const ditmos_call_t *call) {
    for (uint32_t o = 0; o < layer->channels_out; o++) {
        dot_t dot = dot_group(layer, call->weights, o / 4);
        int32_t acc = dot.bias[o % 4];
        uint32_t i = 0;
        for (unsigned j = 0; j < DITMOS_MAX_OPERANDS; j++) {
            const ditmos_operand_t *in = &call->in[j];
            for (uint32_t c = 0; c < in->channels; c++) {
                for (uint32_t row = 0; row < in->rows; row++, i++) {
                    acc += dot_weight(dot, o % 4, i) * in->data[c * in->stride + row];
                }
            }
        }
        call->out[o] = ditmos_requantize(acc, dot.multiplier[o % 4], layer->zero_point);
    }
}
