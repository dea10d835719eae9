// Packings 1 and 2 on the Cortex-M7: sets up the assembly loops of kernels_m7.S. How they work: docs/kernels.md.
#include "kernels_packed.h"

#if DITMOS_KERNELS_M7

#include <string.h>

#include "kernels_m7.h"
#include "kernels_ref.h"

// Inputs of a fully connected layer that are copied to the stack where they are not one aligned run of bytes.
#define FC_COPY_SIZE (512)

// The operands of a call as the walk sees them; two that follow each other in memory are one.
typedef struct {
    const ditmos_layer_t *layer;
    const ditmos_call_t *call;
    ditmos_operand_t in[2];
    uint32_t tap_pairs;
    uint32_t odd; // 1 for an odd kernel
    uint32_t stream; // bytes of weights per input channel
} conv_t;

static conv_t conv_of(const ditmos_layer_t *layer, const ditmos_call_t *call) {
    conv_t conv = { layer, call, { call->in[0], call->in[1] }, ditmos_tap_pairs(layer), layer->kernel & 1u, 0 };
    ditmos_operand_t *in = conv.in;
    if (in[1].channels > 0 && in[1].stride == in[0].stride && in[1].data == in[0].data + in[0].channels * in[0].stride) {
        in[0].channels += in[1].channels;
        in[1].channels = 0;
    }
    return conv;
}

// A walk over all planes from row `row`; `stream` bytes of weights per plane start at `weights`.
static void walk_planes(m7_walk_t *walk, const conv_t *conv, const m7_code_t *code, int32_t row, const void *weights,
    uint32_t stream) {
    const ditmos_operand_t *in = conv->in;
    walk->x = in[0].data + row;
    walk->weights = weights;
    walk->stride = in[0].stride;
    walk->weights_end = (const uint8_t *)weights + in[0].channels * stream;
    walk->next = code->done;
    if (in[1].channels > 0) {
        walk->next = code->second;
        walk->jump = (uint32_t)(in[1].data - in[0].data) - in[0].channels * in[0].stride;
        walk->stride2 = in[1].stride;
        walk->weights_end2 = (const uint8_t *)walk->weights_end + in[1].channels * stream;
    }
}

// ----- three lanes ----------------------------------------------------------------------------------------------------

// Requantisation of a sum that is DITMOS_LANE_HALF too large: (zero + sum * multiplier) >> 32.
static inline int64_t zero_of(int32_t zero_point, int32_t multiplier) {
    return (int64_t)((uint64_t)(int64_t)zero_point << 32) + ((int64_t)1 << 31) - (int64_t)multiplier * DITMOS_LANE_HALF;
}

static inline int64_t start_of(int32_t bias) {
    uint64_t lane = (uint32_t)(bias + DITMOS_LANE_HALF);
    return (int64_t)(lane | lane << DITMOS_LANE_BITS);
}

// What one pass over the groups works on: `windows` rows of output from `row` on, read from `packed` if not NULL.
typedef struct {
    uint32_t row;
    uint32_t windows;
    const int32_t *packed;
    uint32_t packed_stride; // bytes from one pair of packed planes to the next
} tile_t;

static void lanes_pair(const conv_t *conv, const tile_t *tile, const ditmos_pair_t *pair, int32_t *carry) {
    const ditmos_call_t *call = conv->call;
    m7_lanes_t lanes;
    if (tile->packed != NULL) {
        uint32_t planes = conv->layer->channels_in;
        lanes.walk.x = tile->packed;
        lanes.walk.args[2] = (uint32_t)(tile->packed + 2 * tile->windows);
        lanes.walk.weights = pair->words;
        lanes.walk.stride = tile->packed_stride;
        lanes.walk.weights_end = (const uint8_t *)pair->words + (planes & ~1u) * conv->stream;
        lanes.walk.next = ditmos_m7_packed_code.done;
        lanes.walk.taps = ditmos_m7_packed_taps[conv->tap_pairs - 1];
        if (planes & 1) {
            lanes.walk.jump = (uint32_t)ditmos_m7_packed_code.done;
            lanes.walk.next = ditmos_m7_packed_last_taps[conv->tap_pairs - 1];
            if (planes == 1) {
                lanes.walk.taps = lanes.walk.next;
            }
        }
    } else {
        int32_t row = (int32_t)(2 * tile->row + !conv->odd);
        walk_planes(&lanes.walk, conv, &ditmos_m7_planes_code, row, pair->words, conv->stream);
        lanes.walk.args[2] = (uint32_t)((const int8_t *)lanes.walk.x + 2 * tile->windows);
        lanes.walk.taps = ditmos_m7_planes_taps[conv->tap_pairs - 1];
        lanes.again.stride = lanes.walk.stride;
        lanes.again.weights_end = lanes.walk.weights_end;
        lanes.again.next = lanes.walk.next;
    }
    for (unsigned i = 0; i < 2; i++) {
        lanes.walk.args[i] = (uint32_t)(call->out + pair->channel[i] * call->out_stride + tile->row);
        lanes.scale[i].multiplier = pair->multiplier[i];
        lanes.scale[i].zero[0] = lanes.scale[i].zero[1] = zero_of(conv->layer->zero_point, pair->multiplier[i]);
        lanes.start[i].sum[0] = lanes.start[i].sum[1] = start_of(pair->bias[i]);
        lanes.carry[i] = carry[i];
    }
    ditmos_m7_lanes(&lanes);
    carry[0] = lanes.carry[0];
    carry[1] = lanes.carry[1];
}

// The carry into row `row` of four channels, from scratch.
static void quad_half(const conv_t *conv, m7_quad_t *quad, const ditmos_pair_t *const pair[2], uint32_t row) {
    uint32_t taps = conv->tap_pairs - conv->odd;
    if (taps == 0) {
        memset(quad->carry, 0, sizeof(quad->carry));
        return;
    }
    uint32_t skip = conv->odd * 8;
    int32_t biased = (int32_t)(2 * row + conv->odd) - (int32_t)(2 * (M7_TAP_PAIRS - taps));
    walk_planes(&quad->walk, conv, &ditmos_m7_half_code, biased, (const uint8_t *)pair[0]->words + skip, conv->stream);
    quad->walk.args[0] = (uint32_t)pair[1]->words + skip;
    quad->walk.args[1] = skip;
    quad->walk.taps = ditmos_m7_half_code.taps_end - taps * M7_HALF_TAP;
    ditmos_m7_half(quad);
}

// Row `row` of four channels, from the carry; the carry of the next row.
static void quad_window(const conv_t *conv, m7_quad_t *quad, const ditmos_pair_t *const pair[2], uint32_t row) {
    const ditmos_call_t *call = conv->call;
    int32_t biased = (int32_t)(2 * row + !conv->odd) - (int32_t)(2 * (M7_TAP_PAIRS - conv->tap_pairs));
    walk_planes(&quad->walk, conv, &ditmos_m7_window_code, biased, pair[0]->words, conv->stream);
    quad->walk.args[0] = (uint32_t)pair[1]->words;
    quad->walk.taps = ditmos_m7_window_code.taps_end - conv->tap_pairs * M7_WINDOW_TAP;
    quad->zero_point = conv->layer->zero_point;
    for (unsigned i = 0; i < 4; i++) {
        const ditmos_pair_t *p = pair[i / 2];
        quad->out[i] = call->out + p->channel[i % 2] * call->out_stride + row;
        quad->bias[i] = p->bias[i % 2];
        quad->multiplier[i] = p->multiplier[i % 2];
    }
    ditmos_m7_window(quad);
}

// All pairs over one tile. `carry` (one word per output channel, or NULL) is read unless `fresh`, and written.
static void lanes_tile(const conv_t *conv, const tile_t *tile, bool fresh, bool last, int32_t *carry) {
    const ditmos_lanes_header_t *header = conv->call->weights;
    for (uint32_t g = 0; g < header->pairs; g += 2) {
        const ditmos_pair_t *first = ditmos_lanes_pair(conv->layer, conv->call->weights, g);
        bool alone = g + 1u == header->pairs; // then the same pair twice
        const ditmos_pair_t *pair[2] = { first, alone ? first : ditmos_lanes_pair(conv->layer, conv->call->weights, g + 1) };
        m7_quad_t quad;
        if (fresh) {
            quad_half(conv, &quad, pair, tile->row);
        } else {
            for (unsigned i = 0; i < 4; i++) {
                quad.carry[i] = carry[pair[i / 2]->channel[i % 2]];
            }
        }
        if (tile->windows > 0) {
            lanes_pair(conv, tile, pair[0], quad.carry);
            if (alone) {
                quad.carry[2] = quad.carry[0];
                quad.carry[3] = quad.carry[1];
            } else {
                lanes_pair(conv, tile, pair[1], quad.carry + 2);
            }
        }
        if (last && (conv->call->rows & 1)) {
            quad_window(conv, &quad, pair, conv->call->rows - 1u);
        }
        if (carry != NULL) {
            for (unsigned i = 0; i < 4; i++) {
                carry[pair[i / 2]->channel[i % 2]] = quad.carry[i];
            }
        }
    }
}

// Windows (an even number) whose input fits into `size` bytes of packed planes.
static uint32_t packed_windows(const conv_t *conv, uint32_t size) {
    uint32_t words = size / (16 * ((conv->layer->channels_in + 1u) / 2)) * 2;
    return words >= conv->tap_pairs + 1 ? (words + 1 - conv->tap_pairs) & ~1u : 0;
}

// Packing costs about 4 instructions a word, and saves 2 a word each time it is read, and the loop over single planes.
static bool packing_pays(const conv_t *conv, uint32_t pairs, uint32_t windows) {
    return pairs * (windows / 2) * (2 * conv->tap_pairs + 4) > 4 * (windows - 1 + conv->tap_pairs);
}

static void pack_planes(const conv_t *conv, const tile_t *tile, int32_t *packed) {
    uint32_t planes = conv->layer->channels_in;
    uint32_t words = tile->windows - 1 + conv->tap_pairs;
    uint32_t row = 2 * tile->row + !conv->odd;
    for (uint32_t p = 0; p < planes; p += 2) {
        const int8_t *x[2];
        for (uint32_t i = 0; i < 2; i++) {
            uint32_t c = p + i < planes ? p + i : p;
            const ditmos_operand_t *in = &conv->in[c >= conv->in[0].channels];
            x[i] = in->data + (c - (in == &conv->in[1] ? conv->in[0].channels : 0)) * in->stride + row;
        }
        ditmos_m7_pack(packed, x[0], x[1], words);
        packed += tile->packed_stride / 4;
    }
}

static void conv_pairs(conv_t *conv, uint32_t pairs) {
    const ditmos_call_t *call = conv->call;
    uint32_t even = call->rows & ~1u;
    uint32_t windows = packed_windows(conv, call->scratch_size);
    int32_t *carry = call->carry;
    int32_t *packed = call->scratch;
    conv->stream = 8 * conv->tap_pairs;
    if (windows < even && carry == NULL && call->scratch_size > 4u * conv->layer->channels_out) {
        // Several tiles: the carry between them lies at the start of the scratch.
        carry = packed;
        packed += conv->layer->channels_out;
        windows = packed_windows(conv, call->scratch_size - 4u * conv->layer->channels_out);
    }
    windows = windows < even ? windows : even;
    if (windows == 0 || (windows < even && carry == NULL) || !packing_pays(conv, pairs, windows)) {
        packed = NULL;
        windows = even;
        carry = call->carry;
    }
    tile_t tile = { 0, windows, packed, 0 };
    bool fresh = call->carry == NULL || call->first;
    do {
        if (packed != NULL && tile.windows > 0) {
            tile.packed_stride = 16 * ((tile.windows + conv->tap_pairs) / 2);
            pack_planes(conv, &tile, packed);
        }
        bool last = tile.row + tile.windows == even;
        lanes_tile(conv, &tile, fresh, last, carry);
        fresh = false;
        tile.row += tile.windows;
        tile.windows = even - tile.row < windows ? even - tile.row : windows;
    } while (tile.row < even);
}

// ----- SMLAD ----------------------------------------------------------------------------------------------------------

// Sums of the four channels at input row `row`, and two rows later if `two`.
static void dot_sums(const conv_t *conv, m7_dot_t *dot, const ditmos_quad_t *quad, uint32_t row, bool two) {
    const m7_code_t *code = two ? &ditmos_m7_dot2_code : &ditmos_m7_dot1_code;
    uint32_t pairs = conv->tap_pairs - conv->odd; // behind the first tap, if that stands alone
    uint32_t bias = 2 * (M7_TAP_PAIRS - pairs);
    const char *taps = code->taps_end - pairs * (two ? M7_DOT2_TAP : M7_DOT1_TAP);
    walk_planes(&dot->walk, conv, code, (int32_t)(row + conv->odd) - (int32_t)bias, quad->words, conv->stream);
    dot->walk.args[0] = (uint32_t)taps;
    dot->walk.args[1] = bias - conv->odd;
    dot->walk.taps = two ? ditmos_m7_dot_starts[1 + conv->odd] : conv->odd ? ditmos_m7_dot_starts[0] : taps;
    memcpy(dot->bias, quad->bias, sizeof(dot->bias));
    ditmos_m7_dot(dot);
}

static void dot_store(const conv_t *conv, const ditmos_quad_t *quad, uint32_t row, const int32_t sum[4]) {
    for (unsigned i = 0; i < 4; i++) {
        conv->call->out[quad->channel[i] * conv->call->out_stride + row] =
            ditmos_requantize(sum[i], quad->multiplier[i], conv->layer->zero_point);
    }
}

static void maximum(int32_t *a, const int32_t *b, unsigned count) {
    for (unsigned i = 0; i < count; i++) {
        a[i] = a[i] > b[i] ? a[i] : b[i];
    }
}

static void conv_quad(const conv_t *conv, const ditmos_quad_t *quad) {
    const ditmos_layer_t *layer = conv->layer;
    uint32_t rows = conv->call->rows;
    uint32_t pool = layer->pool;
    uint32_t step = layer->pool * layer->stride; // input rows per output row
    m7_dot_t a;
    m7_dot_t b;
    uint32_t row = 0;
    if (layer->stride == 2 && pool == 2) {
        for (; row < rows; row++) { // both rows of the pool at once
            dot_sums(conv, &a, quad, row * step, true);
            maximum(a.sum, a.sum + 4, 4);
            dot_store(conv, quad, row, a.sum);
        }
    } else if (step == 2) {
        for (; row + 2 <= rows; row += 2) { // two output rows at once
            dot_sums(conv, &a, quad, row * step, true);
            if (pool == 2) {
                dot_sums(conv, &b, quad, row * step + 1, true);
                maximum(a.sum, b.sum, 8);
            }
            dot_store(conv, quad, row, a.sum);
            dot_store(conv, quad, row + 1, a.sum + 4);
        }
    } else {
        for (; row + 4 <= rows; row += 4) { // rows 0 and 2, then 1 and 3
            for (uint32_t i = 0; i < 2; i++) {
                dot_sums(conv, &a, quad, row + i, true);
                dot_store(conv, quad, row + i, a.sum);
                dot_store(conv, quad, row + i + 2, a.sum + 4);
            }
        }
    }
    for (; row < rows; row++) {
        dot_sums(conv, &a, quad, row * step, false);
        if (pool == 2) {
            dot_sums(conv, &b, quad, row * step + layer->stride, false);
            maximum(a.sum, b.sum, 4);
        }
        dot_store(conv, quad, row, a.sum);
    }
}

void ditmos_conv_lanes_m7(const ditmos_layer_t *layer, const ditmos_call_t *call) {
    const ditmos_lanes_header_t *header = call->weights;
    conv_t conv = conv_of(layer, call);
    if (header->pairs > 0) {
        conv_pairs(&conv, header->pairs);
    }
    conv.stream = 16 * conv.tap_pairs;
    for (uint32_t i = 0; i < header->quads; i++) {
        conv_quad(&conv, ditmos_lanes_quad(layer, call->weights, i));
    }
}

// ----- fully connected ------------------------------------------------------------------------------------------------

static void gather(const ditmos_call_t *call, int8_t *x) {
    for (unsigned j = 0; j < DITMOS_MAX_OPERANDS; j++) {
        const ditmos_operand_t *in = &call->in[j];
        for (uint32_t c = 0; c < in->channels; c++, x += in->rows) {
            memcpy(x, in->data + c * in->stride, in->rows);
        }
    }
}

void ditmos_fc_dot_m7(const ditmos_layer_t *layer, const ditmos_call_t *call) {
    int32_t copy[FC_COPY_SIZE / 4];
    const int8_t *x = call->in[0].data;
    bool one_run = call->in[0].channels == 1 && call->in[1].channels == 0;
    if (!one_run || (uintptr_t)x % 4 != 0) {
        uint32_t size = (layer->channels_in + 3u) & ~3u;
        void *to = size <= sizeof(copy) ? copy : size <= call->scratch_size ? call->scratch : NULL;
        if (to == NULL) {
            ditmos_fc_dot_ref(layer, call);
            return;
        }
        gather(call, to);
        x = to;
    }
    ditmos_m7_fc(call->weights, x, (layer->channels_in + 3u) / 4u, call->out, layer->channels_out, layer->zero_point);
}

#endif // DITMOS_KERNELS_M7
