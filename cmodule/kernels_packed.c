// Packings 4 and 5, convolutions: what makes them valid, and portable kernels that read them.
#include "kernels_packed.h"

#include "kernels_ref.h"

// A lane is a sum, low + high * 2^21.
static int32_t lane_low(int32_t word) {
    uint32_t sign = (uint32_t)1 << (DITMOS_LANE_BITS - 1);
    return (int32_t)(((uint32_t)word & ((sign << 1) - 1)) ^ sign) - (int32_t)sign;
}

static int32_t lane_high(int32_t word) {
    return (int32_t)(((int64_t)word - lane_low(word)) >> DITMOS_LANE_BITS);
}

// Adds what the two weights of a word can add to a channel's sum. False: one of them is not in [-127, 127].
static bool add_bound(int32_t low, int32_t high, int64_t *sum) {
    *sum += 128 * (int64_t)((low < 0 ? -low : low) + (high < 0 ? -high : high));
    return -127 <= low && low <= 127 && -127 <= high && high <= 127;
}

static int64_t magnitude(int32_t bias) {
    return bias < 0 ? -(int64_t)bias : bias;
}

// Whether one channel of a pair holds weights in [-127, 127], 0 where no tap is, and its sum fits into a lane.
static bool pair_channel_valid(const ditmos_layer_t *layer, const ditmos_pair_t *pair, uint32_t channel,
    const void **wrong) {
    const int32_t *word = &pair->words[channel];
    uint32_t pairs = ditmos_lane_tap_pairs(layer);
    bool odd = ditmos_lane_kernel(layer) & 1;
    int64_t sum = magnitude(ditmos_pair_bias(pair, channel));
    for (uint32_t p = 0; p < ditmos_lane_planes(layer); p++) {
        bool shorter = layer->kernel % layer->stride && p % layer->stride; // the odd rows of an odd kernel
        for (uint32_t i = 0; i < pairs; i++, word += 2) {
            bool padded = (i == 0 && odd && lane_high(*word) != 0)
                || (i + 1 == pairs && shorter && lane_low(*word) != 0);
            *wrong = word;
            if (!add_bound(lane_low(*word), lane_high(*word), &sum) || padded) {
                return false;
            }
        }
    }
    return sum < DITMOS_LANE_HALF;
}

// Whether one channel of a quad holds weights in [-127, 127], 0 behind an odd kernel's last tap, and cannot overflow.
static bool quad_channel_valid(const ditmos_layer_t *layer, const ditmos_quad_t *quad, uint32_t channel,
    const void **wrong) {
    uint32_t words = ditmos_quad_words(layer);
    int64_t sum = magnitude(quad->bias[channel]);
    for (uint32_t i = 0; i < words; i++) {
        const int32_t *word = &quad->words[4 * i + channel];
        bool padded = (layer->kernel & layer->channels_in & 1) && i + 1 == words && *word >> 16 != 0;
        *wrong = word;
        if (!add_bound((int16_t)*word, *word >> 16, &sum) || padded) {
            return false;
        }
    }
    return sum <= INT32_MAX;
}

// One group of `width` channels with `count` words each. *next is the channel that the last one was; channels rise, but for a repeated one that
// fills up the last group and must equal the one before it.
static bool group_valid(const ditmos_layer_t *layer, const uint16_t *channel, const int32_t *words, uint32_t width,
    uint32_t count, bool last, int32_t *next, const void **wrong) {
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
    uint32_t words = ditmos_lane_planes(layer) * ditmos_lane_tap_pairs(layer);
    if (!group_valid(layer, pair->channel, pair->words, 2, words, last, next, wrong)) {
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
        if (!pair_channel_valid(layer, pair, i, wrong)) {
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
    if (!group_valid(layer, quad->channel, quad->words, 4, ditmos_quad_words(layer), last, next, wrong)) {
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
        if (!quad_channel_valid(layer, quad, i, wrong)) {
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

bool ditmos_weights_valid_lanes(const ditmos_layer_t *layer, const void *weights, uint32_t *offset) {
    const ditmos_lanes_header_t *header = weights;
    uint64_t pair_words = ditmos_lane_planes(layer) * ditmos_lane_tap_pairs(layer);
    uint64_t quad_words = ditmos_quad_words(layer);
    *offset = 0;
    if (layer->kind != DITMOS_CONV || layer->weights_size < sizeof(*header)) {
        return false;
    }
    uint64_t size = sizeof(*header) + header->pairs * (sizeof(ditmos_pair_t) + 8 * pair_words)
        + header->quads * (sizeof(ditmos_quad_t) + 16 * quad_words);
    if (size > layer->weights_size || (header->pairs > 0 && layer->packing == DITMOS_PACKING_QUADS)) {
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
    return channels_complete(layer, weights) && ditmos_zero_to_end(layer, weights, size, offset);
}

static const int8_t *plane(const ditmos_call_t *call, uint32_t channel) {
    const ditmos_operand_t *in = &call->in[channel >= call->in[0].channels];
    return in->data + (in == call->in ? channel : channel - call->in[0].channels) * in->stride;
}

// Sum of one channel of a pair at input row `row`. The taps of an odd number are padded in front; the last one may be
// missing.
static int32_t pair_sum(const ditmos_layer_t *layer, const ditmos_call_t *call, const ditmos_pair_t *pair, uint32_t i,
    uint32_t row) {
    const int32_t *word = &pair->words[i];
    uint32_t step = layer->stride;
    int32_t sum = ditmos_pair_bias(pair, i);
    for (uint32_t p = 0; p < ditmos_lane_planes(layer); p++) {
        const int8_t *x = plane(call, p / step) + row;
        bool high = !(ditmos_lane_kernel(layer) & 1);
        for (uint32_t t = p % step; t < layer->kernel; t += step) {
            sum += (high ? lane_high(*word) : lane_low(*word)) * x[t];
            word += high ? 0 : 2;
            high = !high;
        }
        word = &pair->words[i + 2 * (p + 1) * ditmos_lane_tap_pairs(layer)];
    }
    return sum;
}

static void pair_channel(const ditmos_layer_t *layer, const ditmos_call_t *call, const ditmos_pair_t *pair,
    uint32_t i) {
    for (uint32_t row = 0; row < call->rows; row++) {
        uint32_t first = row * layer->pool * layer->stride;
        int32_t pooled = pair_sum(layer, call, pair, i, first);
        if (layer->pool == 2) {
            int32_t sum = pair_sum(layer, call, pair, i, first + layer->stride);
            pooled = sum > pooled ? sum : pooled;
        }
        call->out[pair->channel[i] * call->out_stride + row] =
            ditmos_requantize(pooled, pair->scale[i].multiplier, layer->zero_point);
    }
}

void ditmos_conv_pairs_ref(const ditmos_layer_t *layer, const ditmos_call_t *call) {
    const ditmos_lanes_header_t *header = call->weights;
    for (uint32_t i = 0; i < 2u * header->pairs; i++) {
        pair_channel(layer, call, ditmos_lanes_pair(layer, call->weights, i / 2), i % 2);
    }
}

// Sums of the four channels of a quad at input row `row`.
static void quad_sums(const ditmos_layer_t *layer, const ditmos_call_t *call, const ditmos_quad_t *quad, uint32_t row,
    int32_t sum[4]) {
    const int32_t *w = quad->words;
    const uint32_t channels = layer->channels_in;
    for (uint32_t i = 0; i < 4; i++) {
        sum[i] = quad->bias[i];
    }
    for (uint32_t c = 0; c < channels; c += 2) {
        bool alone = c + 1 == channels; // two taps of one channel, else a tap of two channels
        const int8_t *a = plane(call, c) + row;
        const int8_t *b = alone ? a + 1 : plane(call, c + 1) + row;
        for (uint32_t t = 0; t < layer->kernel; t += 1 + alone, w += 4) {
            int32_t high = alone && t + 1 == layer->kernel ? 0 : b[t];
            for (uint32_t i = 0; i < 4; i++) {
                sum[i] += (int16_t)w[i] * a[t] + (w[i] >> 16) * high;
            }
        }
    }
}

static void quad_row(const ditmos_layer_t *layer, const ditmos_call_t *call, const ditmos_quad_t *quad, uint32_t row) {
    int32_t pooled[4];
    quad_sums(layer, call, quad, row * layer->pool * layer->stride, pooled);
    if (layer->pool == 2) {
        int32_t sum[4];
        quad_sums(layer, call, quad, (row * 2 + 1) * layer->stride, sum);
        for (uint32_t i = 0; i < 4; i++) {
            pooled[i] = sum[i] > pooled[i] ? sum[i] : pooled[i];
        }
    }
    for (uint32_t i = 0; i < 4; i++) {
        call->out[quad->channel[i] * call->out_stride + row] =
            ditmos_requantize(pooled[i], quad->multiplier[i], layer->zero_point);
    }
}

void ditmos_conv_lanes_ref(const ditmos_layer_t *layer, const ditmos_call_t *call) {
    const ditmos_lanes_header_t *header = call->weights;
    ditmos_conv_pairs_ref(layer, call);
    for (uint32_t i = 0; i < header->quads; i++) {
        for (uint32_t row = 0; row < call->rows; row++) {
            quad_row(layer, call, ditmos_lanes_quad(layer, call->weights, i), row);
        }
    }
}
