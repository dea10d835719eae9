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

// A call as the loops see it: operands that follow each other in memory are one. The structures of this file are filled
// field by field, since zeroing and copying them would cost more than a short chunk's work.
typedef struct {
    const ditmos_layer_t *layer;
    const ditmos_call_t *call;
    const int8_t *x; // of the first operand
    uint32_t channels[DITMOS_MAX_OPERANDS];
    uint32_t tap_pairs;
    uint32_t odd; // 1 for an odd kernel
} conv_t;

// Whether the second operand, if there is one, follows the first one as if they were one.
static inline bool one_run(const ditmos_operand_t *in) {
    return in[1].channels == 0
        || (in[1].stride == in[0].stride && in[1].data == in[0].data + in[0].channels * in[0].stride);
}

static inline void conv_init(conv_t *conv, const ditmos_layer_t *layer, const ditmos_call_t *call) {
    const ditmos_operand_t *in = call->in;
    conv->layer = layer;
    conv->call = call;
    conv->x = in[0].data;
    conv->channels[0] = in[0].channels;
    conv->channels[1] = in[1].channels;
    conv->tap_pairs = ditmos_tap_pairs(layer);
    conv->odd = layer->kernel & 1u;
    if (one_run(in)) {
        conv->channels[0] += in[1].channels;
        conv->channels[1] = 0;
    }
}

// Bytes from the end of the first operand's planes to the start of the second's.
static inline uint32_t jump_of(const conv_t *conv) {
    const ditmos_operand_t *in = conv->call->in;
    return (uint32_t)(in[1].data - in[0].data) - conv->channels[0] * in[0].stride;
}

static inline const char *next_of(const conv_t *conv, const m7_code_t *code) {
    return conv->channels[1] > 0 ? code->second : code->done;
}

// ----- three lanes --------------------------------------------------------------------------------------------------

// What does not change from tile to tile.
static inline void lanes_init(m7_lanes_t *lanes, const conv_t *conv) {
    const ditmos_call_t *call = conv->call;
    uint32_t stream = 8 * conv->tap_pairs;
    lanes->blocks.pair_size = sizeof(ditmos_pair_t) + conv->layer->channels_in * stream;
    lanes->quad_size = 2 * lanes->blocks.pair_size;
    lanes->stride = call->in[0].stride;
    lanes->weights_size[0] = conv->channels[0] * stream;
    if (conv->channels[1] > 0) {
        lanes->weights_size[1] = conv->channels[1] * stream;
        lanes->walk.jump = jump_of(conv);
        lanes->walk.stride2 = call->in[1].stride;
        lanes->again_stride = call->in[0].stride;
        lanes->again_next = ditmos_m7_planes_code.second;
        lanes->blocks.taps2 = ditmos_m7_planes_taps[conv->channels[1] % M7_TURN][conv->tap_pairs - 1];
    }
    lanes->out_stride = call->out_stride;
    lanes->zero_point = conv->layer->zero_point;
}

// The carry into row `row`, if `fresh`.
static inline void half_init(m7_lanes_t *lanes, const conv_t *conv, uint32_t row, bool fresh) {
    lanes->half.taps = NULL;
    if (fresh) {
        uint32_t taps = conv->tap_pairs - conv->odd;
        lanes->half.x = conv->x + (int32_t)(2 * row + conv->odd - 2 * (M7_TAP_PAIRS - taps));
        lanes->half.taps = ditmos_m7_half_code.taps_end - taps * M7_HALF_TAP;
        lanes->half.next = next_of(conv, &ditmos_m7_half_code);
        lanes->half.skip = PAIR_WORDS + 8 * conv->odd;
        lanes->half.plane_skip = 8 * conv->odd;
    }
}

// `windows` rows (an even number) from row `row` on, from int8 planes.
static inline void planes_init(m7_lanes_t *lanes, const conv_t *conv, uint32_t row, uint32_t windows) {
    lanes->out = conv->call->out + row;
    lanes->blocks.taps = NULL;
    if (windows > 0) {
        const int8_t *x = conv->x + (int32_t)(2 * row + !conv->odd);
        lanes->blocks.x = x;
        lanes->blocks.taps = ditmos_m7_planes_taps[conv->channels[0] % M7_TURN][conv->tap_pairs - 1];
        lanes->blocks.next = next_of(conv, &ditmos_m7_planes_code);
        lanes->blocks.stride = lanes->stride;
        lanes->blocks.weights_size = lanes->weights_size[0];
        lanes->walk.args[3] = (uint32_t)(x + 2 * windows);
    }
}

// The same from packed planes, `stride` bytes from one pair of planes to the next.
static inline void packed_init(m7_lanes_t *lanes, const conv_t *conv, uint32_t row, uint32_t windows,
    const int32_t *packed, uint32_t stride) {
    uint32_t planes = conv->layer->channels_in;
    lanes->out = conv->call->out + row;
    lanes->blocks.x = packed;
    lanes->blocks.taps = ditmos_m7_packed_taps[planes & 1][conv->tap_pairs - 1];
    lanes->blocks.next = ditmos_m7_packed_code.done;
    lanes->blocks.stride = stride;
    lanes->blocks.weights_size = planes * 8 * conv->tap_pairs;
    lanes->walk.args[3] = (uint32_t)(packed + 2 * windows);
}

// The last row alone, if the number of rows is odd and this is the `last` tile.
static inline void window_init(m7_lanes_t *lanes, const conv_t *conv, bool last) {
    lanes->window.taps = NULL;
    if (last && (conv->call->rows & 1)) {
        uint32_t row = conv->call->rows - 1u;
        lanes->window.x = conv->x + (int32_t)(2 * row + !conv->odd - 2 * (M7_TAP_PAIRS - conv->tap_pairs));
        lanes->window.taps = ditmos_m7_window_code.taps_end - conv->tap_pairs * M7_WINDOW_TAP;
        lanes->window.next = next_of(conv, &ditmos_m7_window_code);
        lanes->window_out = conv->call->out + row;
    }
}

// Which of the last `left` channels (1 to 3) comes i-th of four: pairs are filled up with their last channel, and four
// channels with the same pair again.
static inline int32_t repeated(int32_t left, int32_t i) {
    int32_t wanted = left == 3 ? i : i % 2;
    return wanted < left ? wanted : left - 1;
}

// One quad for the last `left` channels, filled up with what is there.
__attribute__((noinline)) static void lanes_rest(m7_lanes_t *lanes, const uint8_t *pairs, int32_t left,
    int32_t *carry) {
    int32_t words[4];
    for (int32_t i = 0; i < 4 && lanes->half.taps == NULL; i++) {
        words[i] = carry[repeated(left, i)];
    }
    lanes->pair[0] = (const ditmos_pair_t *)pairs;
    lanes->pair[1] = (const ditmos_pair_t *)(left > 2 ? pairs + lanes->blocks.pair_size : pairs);
    lanes->blocks.pairs = left > 2 ? 2 : 1;
    lanes->quads = 1;
    lanes->carry = words;
    ditmos_m7_lanes(lanes);
    for (int32_t i = 0; i < left && carry != NULL; i++) {
        carry[i] = words[i];
    }
}

// All pairs over one tile. `carry`: a word per channel, in the order of the pairs, or NULL; read where the tile does
// not compute it, and written.
static inline void lanes_run(m7_lanes_t *lanes, const conv_t *conv, int32_t *carry) {
    const ditmos_lanes_header_t *header = conv->call->weights;
    const uint8_t *pairs = (const uint8_t *)(header + 1);
    uint32_t channels = conv->layer->channels_out;
    if (header->quads > 0) {
        const ditmos_pair_t *last = (const ditmos_pair_t *)(pairs + (header->pairs - 1u) * lanes->blocks.pair_size);
        channels = 2u * header->pairs - (last->channel[0] == last->channel[1]);
    }
    bool blocks_only = lanes->half.taps == NULL && lanes->window.taps == NULL;
    uint32_t group = blocks_only ? channels & ~1u : 4; // channels
    uint32_t groups = blocks_only ? 1 : channels / 4;
    uint32_t done = groups * group;
    if (done > 0) {
        int32_t words[4];
        lanes->pair[0] = (const ditmos_pair_t *)pairs;
        lanes->pair[1] = (const ditmos_pair_t *)(pairs + lanes->blocks.pair_size);
        lanes->blocks.pairs = group / 2;
        lanes->quads = groups;
        lanes->carry = carry != NULL ? carry : words;
        lanes->carry_step = carry != NULL ? sizeof(words) : 0;
        ditmos_m7_lanes(lanes);
        pairs += done / 2 * lanes->blocks.pair_size;
    }
    if (channels > done) {
        lanes_rest(lanes, pairs, (int32_t)(channels - done), carry != NULL ? carry + done : NULL);
    }
}

// Windows (an even number) whose input fits into `size` bytes of packed planes.
static uint32_t packed_windows(const conv_t *conv, uint32_t size) {
    uint32_t words = size / (16 * ((conv->layer->channels_in + 1u) / 2)) * 2;
    return words >= conv->tap_pairs + 1 ? (words + 1 - conv->tap_pairs) & ~1u : 0;
}

// Packing costs about 4 instructions a word, and saves 2 a word each time it is read, and the loop over single planes.
static bool packing_pays(const conv_t *conv, uint32_t windows) {
    const ditmos_lanes_header_t *header = conv->call->weights;
    return header->pairs * (windows / 2) * (2 * conv->tap_pairs + 4) > 4 * (windows - 1 + conv->tap_pairs);
}

static void pack_planes(const conv_t *conv, uint32_t first_row, uint32_t windows, int32_t *packed, uint32_t stride) {
    uint32_t planes = conv->layer->channels_in;
    uint32_t words = windows - 1 + conv->tap_pairs;
    uint32_t row = 2 * first_row + !conv->odd;
    for (uint32_t p = 0; p < planes; packed += stride / 4) {
        uint32_t pair = (planes - p) % 2 ? 1 : 2; // the first of an odd number stands alone, where the second one would
        const int8_t *x[2];
        for (uint32_t i = 0; i < 2; i++) {
            uint32_t c = i < pair ? p + i : p;
            const ditmos_operand_t *in = &conv->call->in[c >= conv->call->in[0].channels];
            x[i] = in->data + (in == conv->call->in ? c : c - conv->call->in[0].channels) * in->stride + row;
        }
        ditmos_m7_pack(packed, x[0], x[1], words);
        p += pair;
    }
}

// Tiles of as many rows as fit into the scratch, packed. Returns false where that is not possible or does not pay.
__attribute__((noinline)) static bool conv_packed(const ditmos_layer_t *layer, const ditmos_call_t *call, bool fresh) {
    conv_t packed_conv;
    conv_t *conv = &packed_conv;
    m7_lanes_t packed_lanes;
    m7_lanes_t *lanes = &packed_lanes;
    conv_init(conv, layer, call);
    lanes_init(lanes, conv);
    uint32_t even = call->rows & ~1u;
    int32_t *packed = call->scratch;
    int32_t *carry = call->carry;
    uint32_t windows = packed_windows(conv, call->scratch_size);
    if (windows < even && carry == NULL && call->scratch_size > 4u * conv->layer->channels_out) {
        carry = packed; // several tiles: the carry between them lies at the start of the scratch
        packed += conv->layer->channels_out;
        windows = packed_windows(conv, call->scratch_size - 4u * conv->layer->channels_out);
    }
    windows = windows < even ? windows : even;
    if (windows == 0 || (windows < even && carry == NULL) || !packing_pays(conv, windows)) {
        return false;
    }
    uint32_t stride = 16 * ((windows + conv->tap_pairs) / 2);
    for (uint32_t row = 0; row < even; row += windows, fresh = false) {
        windows = even - row < windows ? even - row : windows;
        pack_planes(conv, row, windows, packed, stride);
        half_init(lanes, conv, row, fresh);
        packed_init(lanes, conv, row, windows, packed, stride);
        window_init(lanes, conv, row + windows == even);
        lanes_run(lanes, conv, carry);
    }
    return true;
}

// From int8 planes, any call.
__attribute__((noinline)) static void conv_planes(const ditmos_layer_t *layer, const ditmos_call_t *call, bool fresh) {
    conv_t conv;
    m7_lanes_t lanes;
    conv_init(&conv, layer, call);
    lanes_init(&lanes, &conv);
    half_init(&lanes, &conv, 0, fresh);
    planes_init(&lanes, &conv, 0, call->rows & ~1u);
    window_init(&lanes, &conv, true);
    lanes_run(&lanes, &conv, call->carry);
}

static inline void conv_pairs(const ditmos_layer_t *layer, const ditmos_call_t *call) {
    const ditmos_lanes_header_t *header = call->weights;
    bool fresh = call->carry == NULL || call->first;
    if (call->scratch_size > 0 && call->rows > 1 && conv_packed(layer, call, fresh)) {
        return;
    }
    uint32_t odd = (layer->channels_out & (fresh ? 3u : 1u)) | (call->rows & 1u);
    if ((odd | header->quads) == 0 && one_run(call->in)) {
        ditmos_m7_conv(layer, call, fresh);
    } else {
        conv_planes(layer, call, fresh);
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
    dot->walk.x = conv->x + (int32_t)(row + conv->odd - bias);
    dot->walk.stride = conv->call->in[0].stride;
    dot->walk.weights_size = conv->channels[0] * 16 * conv->tap_pairs;
    dot->walk.taps = start;
    dot->walk.next = next_of(conv, code);
    if (conv->channels[1] > 0) {
        dot->walk.jump = jump_of(conv);
        dot->walk.stride2 = conv->call->in[1].stride;
        dot->walk.weights_size2 = conv->channels[1] * 16 * conv->tap_pairs;
    }
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

__attribute__((noinline)) static void conv_quads(const ditmos_layer_t *layer, const ditmos_call_t *call) {
    const ditmos_lanes_header_t *header = call->weights;
    conv_t conv;
    conv_init(&conv, layer, call);
    for (uint32_t i = 0; i < header->quads; i++) {
        conv_quad(&conv, ditmos_lanes_quad(layer, call->weights, i));
    }
}

void ditmos_conv_lanes_m7(const ditmos_layer_t *layer, const ditmos_call_t *call) {
    const ditmos_lanes_header_t *header = call->weights;
    if (header->quads == 0) {
        conv_pairs(layer, call);
        return;
    }
    if (header->pairs > 0) {
        conv_pairs(layer, call);
    }
    conv_quads(layer, call);
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
