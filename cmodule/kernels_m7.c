// Packings 1 to 3 on the Cortex-M7: sets up the assembly loops. How they work: docs/kernels.md.
#include "kernels_packed.h"

#if DITMOS_KERNELS_M7

#include <string.h>

#include "kernels_m7.h"
#include "kernels_ref.h"

// The size that firmware is built for costs a third more here; MicroPython's own flags stay as they are.
#pragma GCC optimize("O2")

// Inputs of a fully connected layer that are copied to the stack where they are not one aligned run of bytes.
#define FC_COPY_SIZE (512)

// A call as the walk sees it: operands that follow each other in memory are one. The structures of this file are filled
// field by field, since zeroing and copying them would cost more than a short chunk's work.
typedef struct {
    const ditmos_layer_t *layer;
    const ditmos_call_t *call;
    const int8_t *x[DITMOS_MAX_OPERANDS];
    uint32_t stride[DITMOS_MAX_OPERANDS];
    uint32_t channels[DITMOS_MAX_OPERANDS];
    uint32_t tap_pairs;
    uint32_t odd; // 1 for an odd kernel
} conv_t;

static inline void conv_init(conv_t *conv, const ditmos_layer_t *layer, const ditmos_call_t *call) {
    conv->layer = layer;
    conv->call = call;
    conv->tap_pairs = ditmos_tap_pairs(layer);
    conv->odd = layer->kernel & 1u;
    for (unsigned i = 0; i < DITMOS_MAX_OPERANDS; i++) {
        conv->x[i] = call->in[i].data;
        conv->stride[i] = call->in[i].stride;
        conv->channels[i] = call->in[i].channels;
    }
    if (conv->channels[1] > 0 && conv->stride[1] == conv->stride[0]
        && conv->x[1] == conv->x[0] + conv->channels[0] * conv->stride[0]) {
        conv->channels[0] += conv->channels[1];
        conv->channels[1] = 0;
    }
}

// A walk over all int8 planes from row `row` on, with `stream` bytes of weights per plane.
static void walk_planes(m7_walk_t *walk, const conv_t *conv, uint32_t row, uint32_t stream, const m7_code_t *code) {
    walk->x = conv->x[0] + (int32_t)row;
    walk->stride = conv->stride[0];
    walk->weights_size = conv->channels[0] * stream;
    walk->next = code->done;
    if (conv->channels[1] > 0) {
        walk->next = code->second;
        walk->jump = (uint32_t)(conv->x[1] - conv->x[0]) - conv->channels[0] * conv->stride[0];
        walk->stride2 = conv->stride[1];
        walk->weights_size2 = conv->channels[1] * stream;
    }
}

// ----- three lanes --------------------------------------------------------------------------------------------------

// What one pass over the pairs works on: `windows` rows of output from `row` on, read from `packed` if not NULL.
typedef struct {
    uint32_t row;
    uint32_t windows;
    int32_t *packed;
    uint32_t packed_stride; // bytes from one pair of packed planes to the next
} tile_t;

static void blocks_init(m7_lanes_t *lanes, const conv_t *conv, const tile_t *tile) {
    uint32_t size = conv->tap_pairs - 1;
    if (tile->packed == NULL) {
        lanes->blocks.x = conv->x[0] + (int32_t)(2 * tile->row + !conv->odd);
        lanes->blocks.taps = ditmos_m7_planes_taps[size];
        lanes->blocks.next = conv->channels[1] ? ditmos_m7_planes_code.second : ditmos_m7_planes_code.done;
        lanes->blocks.stride = conv->stride[0];
        lanes->blocks.weights_size = lanes->weights_size[0];
        lanes->walk.args[3] = (uint32_t)lanes->blocks.x + 2 * tile->windows;
        return;
    }
    uint32_t planes = conv->layer->channels_in;
    lanes->blocks.x = tile->packed;
    lanes->blocks.taps = ditmos_m7_packed_taps[size];
    lanes->blocks.next = ditmos_m7_packed_code.done;
    lanes->blocks.last = ditmos_m7_packed_code.done;
    lanes->blocks.stride = tile->packed_stride;
    lanes->blocks.weights_size = (planes & ~1u) * 8 * conv->tap_pairs;
    lanes->walk.args[3] = (uint32_t)(tile->packed + 2 * tile->windows);
    if (planes & 1) { // the last plane has no partner
        lanes->blocks.next = ditmos_m7_packed_last_taps[size];
        if (planes == 1) {
            lanes->blocks.taps = lanes->blocks.next;
        }
    }
}

// The carry into row `row`.
static void half_init(m7_lanes_t *lanes, const conv_t *conv, uint32_t row) {
    uint32_t taps = conv->tap_pairs - conv->odd;
    lanes->half.x = conv->x[0] + (int32_t)(2 * row + conv->odd - 2 * (M7_TAP_PAIRS - taps));
    lanes->half.taps = ditmos_m7_half_code.taps_end - taps * M7_HALF_TAP;
    lanes->half.next = conv->channels[1] ? ditmos_m7_half_code.second : ditmos_m7_half_code.done;
    lanes->half.skip = PAIR_WORDS + 8 * conv->odd;
    lanes->half.plane_skip = 8 * conv->odd;
}

// Row `row` from the carry, and the carry of the next row.
static void window_init(m7_lanes_t *lanes, const conv_t *conv, uint32_t row) {
    lanes->window.x = conv->x[0] + (int32_t)(2 * row + !conv->odd - 2 * (M7_TAP_PAIRS - conv->tap_pairs));
    lanes->window.taps = ditmos_m7_window_code.taps_end - conv->tap_pairs * M7_WINDOW_TAP;
    lanes->window.next = conv->channels[1] ? ditmos_m7_window_code.second : ditmos_m7_window_code.done;
    lanes->window_out = conv->call->out + row;
}

// Which of the last `left` channels (1 to 3) comes i-th of four: pairs are filled up with their last channel, and four
// channels with the same pair again.
static inline int32_t repeated(int32_t left, int32_t i) {
    int32_t wanted = left == 3 ? i : i % 2;
    return wanted < left ? wanted : left - 1;
}

// All pairs over one tile. `carry` (a word per channel, in the order of the pairs, or NULL) is read unless `fresh`, and
// written.
static void lanes_tile(const conv_t *conv, const tile_t *tile, bool fresh, bool last, int32_t *carry) {
    const ditmos_lanes_header_t *header = conv->call->weights;
    const uint8_t *pairs = (const uint8_t *)(header + 1);
    uint32_t pair_size = sizeof(ditmos_pair_t) + 8 * conv->layer->channels_in * conv->tap_pairs;
    const ditmos_pair_t *last_pair = (const ditmos_pair_t *)(pairs + (header->pairs - 1u) * pair_size);
    int32_t channels = 2 * header->pairs - (last_pair->channel[0] == last_pair->channel[1]);
    int32_t words[4]; // the carry of four channels
    m7_lanes_t lanes;
    lanes.quad_size = 2 * pair_size;
    lanes.stride = conv->stride[0];
    lanes.weights_size[0] = conv->channels[0] * 8 * conv->tap_pairs;
    lanes.weights_size[1] = conv->channels[1] * 8 * conv->tap_pairs;
    lanes.walk.jump = (uint32_t)(conv->x[1] - conv->x[0]) - conv->channels[0] * conv->stride[0];
    lanes.walk.stride2 = conv->stride[1];
    lanes.out = conv->call->out + tile->row;
    lanes.out_stride = conv->call->out_stride;
    lanes.zero_point = conv->layer->zero_point;
    lanes.half.taps = NULL;
    lanes.blocks.taps = NULL;
    lanes.window.taps = NULL;
    if (fresh) {
        half_init(&lanes, conv, tile->row);
    }
    if (tile->windows > 0) {
        blocks_init(&lanes, conv, tile);
    }
    if (last && (conv->call->rows & 1)) {
        window_init(&lanes, conv, conv->call->rows - 1u);
    }
    if (channels >= 4) {
        lanes.pair[0] = (const ditmos_pair_t *)pairs;
        lanes.pair[1] = (const ditmos_pair_t *)(pairs + pair_size);
        lanes.quads = (uint32_t)channels / 4;
        lanes.carry = carry != NULL ? carry : words;
        lanes.carry_step = carry != NULL ? sizeof(words) : 0;
        ditmos_m7_lanes(&lanes);
        pairs += lanes.quads * lanes.quad_size;
    }
    int32_t left = channels % 4;
    if (left > 0) { // one quad more, filled up with what is there
        int32_t *end = carry != NULL ? carry + (channels - left) : NULL;
        for (int32_t i = 0; i < 4 && !fresh; i++) {
            words[i] = end[repeated(left, i)];
        }
        lanes.pair[0] = (const ditmos_pair_t *)pairs;
        lanes.pair[1] = last_pair;
        lanes.quads = 1;
        lanes.carry = words;
        ditmos_m7_lanes(&lanes);
        for (int32_t i = 0; i < left && end != NULL; i++) {
            end[i] = words[i];
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

static void pack_planes(const conv_t *conv, const tile_t *tile) {
    int32_t *packed = tile->packed;
    uint32_t planes = conv->layer->channels_in;
    uint32_t words = tile->windows - 1 + conv->tap_pairs;
    uint32_t row = 2 * tile->row + !conv->odd;
    for (uint32_t p = 0; p < planes; p += 2) {
        const int8_t *x[2];
        for (uint32_t i = 0; i < 2; i++) {
            uint32_t c = p + i < planes ? p + i : p;
            uint32_t operand = c >= conv->channels[0];
            x[i] = conv->x[operand] + (c - operand * conv->channels[0]) * conv->stride[operand] + row;
        }
        ditmos_m7_pack(packed, x[0], x[1], words);
        packed += tile->packed_stride / 4;
    }
}

// How a call is cut into tiles of packed planes: windows of a tile, where they are packed, and the carry between tiles.
// Without packing there is one tile.
static tile_t tile_of(const conv_t *conv, uint32_t pairs, uint32_t even, int32_t **carry) {
    const ditmos_call_t *call = conv->call;
    tile_t whole = { 0, even, NULL, 0 };
    if (call->scratch_size == 0 || even == 0) {
        return whole;
    }
    int32_t *packed = call->scratch;
    int32_t *between = call->carry;
    uint32_t windows = packed_windows(conv, call->scratch_size);
    if (windows < even && between == NULL && call->scratch_size > 4u * conv->layer->channels_out) {
        between = packed; // several tiles: the carry between them lies at the start of the scratch
        packed += conv->layer->channels_out;
        windows = packed_windows(conv, call->scratch_size - 4u * conv->layer->channels_out);
    }
    windows = windows < even ? windows : even;
    if (windows == 0 || (windows < even && between == NULL) || !packing_pays(conv, pairs, windows)) {
        return whole;
    }
    *carry = between;
    return (tile_t) { 0, windows, packed, 16 * ((windows + conv->tap_pairs) / 2) };
}

static void conv_pairs(const conv_t *conv, uint32_t pairs) {
    const ditmos_call_t *call = conv->call;
    uint32_t even = call->rows & ~1u;
    int32_t *carry = call->carry;
    bool fresh = carry == NULL || call->first;
    tile_t tile = tile_of(conv, pairs, even, &carry);
    uint32_t windows = tile.windows;
    for (;;) {
        if (tile.packed != NULL) {
            pack_planes(conv, &tile);
        }
        bool last = tile.row + tile.windows == even;
        lanes_tile(conv, &tile, fresh, last, carry);
        if (last) {
            return;
        }
        fresh = false;
        tile.row += tile.windows;
        tile.windows = even - tile.row < windows ? even - tile.row : windows;
    }
}

// ----- SMLAD --------------------------------------------------------------------------------------------------------

// Sums of four channels at input row `row`, and two rows later if `two`.
static void dot_sums(const conv_t *conv, m7_dot_t *dot, const ditmos_quad_t *quad, uint32_t row, bool two) {
    const m7_code_t *code = two ? &ditmos_m7_dot2_code : &ditmos_m7_dot1_code;
    uint32_t pairs = conv->tap_pairs - conv->odd; // behind the first tap, if that stands alone
    uint32_t bias = 2 * (M7_TAP_PAIRS - pairs);
    const char *taps = code->taps_end - pairs * (two ? M7_DOT2_TAP : M7_DOT1_TAP);
    const char *start = two ? ditmos_m7_dot_starts[1 + conv->odd] : conv->odd ? ditmos_m7_dot_starts[0] : taps;
    walk_planes(&dot->walk, conv, row + conv->odd - bias, 16 * conv->tap_pairs, code);
    dot->walk.taps = start;
    dot->walk.args[0] = (uint32_t)taps;
    dot->walk.args[1] = bias - conv->odd;
    dot->quad = quad;
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
    conv_t conv;
    conv_init(&conv, layer, call);
    if (header->pairs > 0) {
        conv_pairs(&conv, header->pairs);
    }
    for (uint32_t i = 0; i < header->quads; i++) {
        conv_quad(&conv, ditmos_lanes_quad(layer, call->weights, i));
    }
}

// ----- fully connected ----------------------------------------------------------------------------------------------

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
    m7_fc_t *fc = layer->packing == DITMOS_PACKING_WIDE ? ditmos_m7_fc_wide : ditmos_m7_fc;
    fc(call->weights, x, (layer->channels_in + 3u) / 4u, call->out, layer->channels_out, layer->zero_point);
}

#endif // DITMOS_KERNELS_M7
