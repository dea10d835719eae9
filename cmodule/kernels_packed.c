// Packings 1 to 3: what makes them valid, and portable kernels that read them.
#include "kernels_packed.h"

#include "kernels_ref.h"

// The taps of one output channel and one plane. A word holds two taps; an odd kernel has one tap alone, first.
typedef struct {
    const int32_t *words;
    uint32_t step; // words from one pair of taps to the next
    bool lanes; // two taps 2^21 apart, else two int16
} taps_t;

static int32_t tap_low(int32_t word, bool lanes) {
    uint32_t bits = lanes ? DITMOS_LANE_BITS : 16;
    uint32_t sign = (uint32_t)1 << (bits - 1);
    uint32_t low = (uint32_t)word & ((sign << 1) - 1);
    return (int32_t)(low ^ sign) - (int32_t)sign;
}

// A lane is a sum, low + high * 2^21; the two halves of a pair of int16 do not touch.
static int32_t tap_high(int32_t word, bool lanes) {
    int64_t high = (int64_t)word - (lanes ? tap_low(word, lanes) : word & 0xffff);
    return (int32_t)(high / (lanes ? (int64_t)1 << DITMOS_LANE_BITS : 1 << 16));
}

// Lanes hold the first tap of a pair high, as the multiplication wants it, and pad an odd kernel in front; int16 pairs
// hold it low, and an odd kernel's first tap has 0 behind it.
static int32_t tap(taps_t taps, uint32_t kernel, uint32_t t) {
    uint32_t at = t + (kernel & 1 && (taps.lanes || t > 0));
    int32_t word = taps.words[at / 2 * taps.step];
    return ((at & 1) != 0) == taps.lanes ? tap_low(word, taps.lanes) : tap_high(word, taps.lanes);
}

// Whether one channel of a group holds weights in [-127, 127], zero where no tap is, and its sum cannot leave `bound`.
static bool channel_valid(const ditmos_layer_t *layer, taps_t taps, int32_t bias, int64_t bound,
    const void **wrong) {
    uint32_t pairs = ditmos_tap_pairs(layer);
    int64_t sum = bias < 0 ? -(int64_t)bias : bias;
    for (uint32_t i = 0; i < layer->channels_in * pairs; i++) {
        int32_t word = taps.words[i * taps.step];
        int32_t low = tap_low(word, taps.lanes);
        int32_t high = tap_high(word, taps.lanes);
        bool padded = (layer->kernel & 1) && i % pairs == 0 && high != 0;
        *wrong = &taps.words[i * taps.step];
        if (low < -127 || low > 127 || high < -127 || high > 127 || padded) {
            return false;
        }
        sum += 128 * (low < 0 ? -low : low) + 128 * (high < 0 ? -high : high);
    }
    return sum < bound;
}

// One group of `width` channels. *next is the channel that the last one was; channels rise, but for a repeated one that
// fills up the last group and must equal the one before it.
static bool group_valid(const ditmos_layer_t *layer, const uint16_t *channel, const int32_t *words, uint32_t width,
    bool last, int32_t *next, const void **wrong) {
    uint32_t count = layer->channels_in * ditmos_tap_pairs(layer);
    for (uint32_t i = 0; i < width; i++) {
        *wrong = &channel[i];
        bool repeated = last && i > 0 && channel[i] == channel[i - 1];
        if (channel[i] >= layer->channels_out || (channel[i] <= *next && !repeated)) {
            return false;
        }
        *next = channel[i];
        for (uint32_t j = 0; repeated && j < count; j++) {
            *wrong = &words[j * width + i];
            if (words[j * width + i] != words[j * width + i - 1]) {
                return false;
            }
        }
    }
    return true;
}

static bool pair_valid(const ditmos_layer_t *layer, const ditmos_pair_t *pair, bool last, int32_t *next,
    const void **wrong) {
    if (!group_valid(layer, pair->channel, pair->words, 2, last, next, wrong)) {
        return false;
    }
    for (uint32_t i = 0; i < 2; i++) {
        int32_t multiplier = pair->scale[i].multiplier;
        int32_t bias = ditmos_pair_bias(pair, i);
        *wrong = &pair->scale[i];
        if (multiplier < 1) {
            return false;
        }
        for (uint32_t j = 0; j < 2; j++) {
            if (pair->scale[i].zero[j] != ditmos_pair_zero(layer->zero_point, multiplier)) {
                return false;
            }
        }
        *wrong = &pair->start[i];
        for (uint32_t j = 0; j < 2; j++) {
            if (pair->start[i].sum[j] != ditmos_pair_start(bias)) {
                return false;
            }
        }
        taps_t taps = { &pair->words[i], 2, true };
        if (!channel_valid(layer, taps, bias, DITMOS_LANE_HALF, wrong)) {
            return false;
        }
    }
    *wrong = &pair->scale[1];
    bool repeated = pair->channel[0] == pair->channel[1];
    return !repeated || (pair->scale[0].multiplier == pair->scale[1].multiplier
        && pair->start[0].sum[0] == pair->start[1].sum[0]);
}

static bool quad_valid(const ditmos_layer_t *layer, const ditmos_quad_t *quad, bool last, int32_t *next,
    const void **wrong) {
    if (!group_valid(layer, quad->channel, quad->words, 4, last, next, wrong)) {
        return false;
    }
    for (uint32_t i = 0; i < 4; i++) {
        bool repeated = i > 0 && quad->channel[i] == quad->channel[i - 1];
        *wrong = &quad->multiplier[i];
        if (quad->multiplier[i] < 1 || (repeated && quad->multiplier[i] != quad->multiplier[i - 1])) {
            return false;
        }
        *wrong = &quad->bias[i];
        if (repeated && quad->bias[i] != quad->bias[i - 1]) {
            return false;
        }
        taps_t taps = { &quad->words[i], 4, false };
        if (!channel_valid(layer, taps, quad->bias[i], (int64_t)INT32_MAX + 1, wrong)) {
            return false;
        }
    }
    return true;
}

// Every channel lies in exactly one group: both lists rise, so walking them side by side must give 0, 1, 2, ...
static bool channels_complete(const ditmos_layer_t *layer, const void *weights) {
    const ditmos_lanes_header_t *header = weights;
    uint32_t pair = 0;
    uint32_t quad = 0;
    for (uint32_t o = 0; o < layer->channels_out; o++) {
        if (pair < 2u * header->pairs && ditmos_lanes_pair(layer, weights, pair / 2)->channel[pair % 2] == o) {
            pair++;
        } else if (quad < 4u * header->quads && ditmos_lanes_quad(layer, weights, quad / 4)->channel[quad % 4] == o) {
            quad++;
        } else {
            return false;
        }
    }
    return true;
}

static bool zero_to_end(const ditmos_layer_t *layer, const void *weights, uint64_t size, uint32_t *offset) {
    for (*offset = (uint32_t)size; *offset < layer->weights_size; ++*offset) {
        if (((const uint8_t *)weights)[*offset] != 0) {
            return false;
        }
    }
    return true;
}

bool ditmos_weights_valid_lanes(const ditmos_layer_t *layer, const void *weights, uint32_t *offset) {
    const ditmos_lanes_header_t *header = weights;
    uint64_t words = (uint64_t)layer->channels_in * ditmos_tap_pairs(layer);
    *offset = 0;
    if (layer->fully_connected || layer->weights_size < sizeof(*header)) {
        return false;
    }
    uint64_t size = sizeof(*header) + header->pairs * (sizeof(ditmos_pair_t) + 8 * words)
        + header->quads * (sizeof(ditmos_quad_t) + 16 * words);
    // Pairs run in the kernel that pools two neighbouring rows.
    if (size > layer->weights_size || (header->pairs > 0 && (layer->stride != 1 || layer->pool != 2))) {
        return false;
    }
    const void *wrong = weights;
    bool valid = true;
    int32_t next = -1;
    for (uint32_t i = 0; valid && i < header->pairs; i++) {
        const ditmos_pair_t *pair = ditmos_lanes_pair(layer, weights, i);
        valid = pair_valid(layer, pair, i + 1u == header->pairs, &next, &wrong);
    }
    next = -1;
    for (uint32_t i = 0; valid && i < header->quads; i++) {
        const ditmos_quad_t *quad = ditmos_lanes_quad(layer, weights, i);
        valid = quad_valid(layer, quad, i + 1u == header->quads, &next, &wrong);
    }
    if (!valid) {
        *offset = (uint32_t)((const uint8_t *)wrong - (const uint8_t *)weights);
        return false;
    }
    return channels_complete(layer, weights) && zero_to_end(layer, weights, size, offset);
}

static int32_t conv_at(const ditmos_layer_t *layer, const ditmos_call_t *call, taps_t taps, int32_t bias,
    uint32_t row) {
    int32_t acc = bias;
    for (unsigned j = 0; j < DITMOS_MAX_OPERANDS; j++) {
        const ditmos_operand_t *in = &call->in[j];
        for (uint32_t c = 0; c < in->channels; c++, taps.words += taps.step * ditmos_tap_pairs(layer)) {
            for (uint32_t t = 0; t < layer->kernel; t++) {
                acc += tap(taps, layer->kernel, t) * in->data[c * in->stride + row + t];
            }
        }
    }
    return acc;
}

static void conv_channel(const ditmos_layer_t *layer, const ditmos_call_t *call, taps_t taps, uint32_t channel,
    int32_t bias, int32_t multiplier) {
    for (uint32_t row = 0; row < call->rows; row++) {
        int32_t pooled = INT32_MIN;
        for (uint32_t i = 0; i < layer->pool; i++) {
            int32_t acc = conv_at(layer, call, taps, bias, (row * layer->pool + i) * layer->stride);
            pooled = acc > pooled ? acc : pooled;
        }
        call->out[channel * call->out_stride + row] = ditmos_requantize(pooled, multiplier, layer->zero_point);
    }
}

void ditmos_conv_lanes_ref(const ditmos_layer_t *layer, const ditmos_call_t *call) {
    const ditmos_lanes_header_t *header = call->weights;
    for (uint32_t i = 0; i < 2u * header->pairs; i++) {
        const ditmos_pair_t *pair = ditmos_lanes_pair(layer, call->weights, i / 2);
        taps_t taps = { &pair->words[i % 2], 2, true };
        conv_channel(layer, call, taps, pair->channel[i % 2], ditmos_pair_bias(pair, i % 2),
            pair->scale[i % 2].multiplier);
    }
    for (uint32_t i = 0; i < 4u * header->quads; i++) {
        const ditmos_quad_t *quad = ditmos_lanes_quad(layer, call->weights, i / 4);
        taps_t taps = { &quad->words[i % 4], 4, false };
        conv_channel(layer, call, taps, quad->channel[i % 4], quad->bias[i % 4], quad->multiplier[i % 4]);
    }
}

// Packings 2 and 3 in groups of four outputs: int32 bias[4], then for every four inputs weight[4 outputs][4 inputs],
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
    if (!layer->fully_connected || groups * group_size > layer->weights_size) {
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
    return zero_to_end(layer, weights, groups * group_size, offset);
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
