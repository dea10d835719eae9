// Quads of output channels on the Cortex-M7, of any kernel, stride and number of rows: packs the input of two windows,
// then runs the loop of kernels_m7_smlad.S over all quads. How it works: docs/kernels.md.
#include "kernels_packed.h"

#if DITMOS_KERNELS_M7

#include "kernels_m7.h"
#include "kernels_ref.h"

// The size that firmware is built for costs a third more here; MicroPython's own flags stay as they are.
#pragma GCC optimize("O2")

// Of packed input, on the stack where there is no scratch: at least DITMOS_MAX_KERNEL.
#define TILE_WORDS (32)

// Input planes in the order of their words: runs of pairs, and the last one of an odd number.
typedef struct {
    m7_run_t runs[3];
    uint32_t count;
    const int8_t *alone; // or NULL
} planes_t;

static void add_run(planes_t *planes, const int8_t *a, const int8_t *b, uint32_t stride, uint32_t pairs) {
    if (pairs > 0) {
        planes->runs[planes->count++] = (m7_run_t) { a, b, 2 * stride, pairs };
    }
}

static void find_planes(planes_t *planes, const ditmos_operand_t *in) {
    planes->count = 0;
    planes->alone = NULL;
    for (unsigned j = 0; j < DITMOS_MAX_OPERANDS; j++) {
        const int8_t *x = in[j].data;
        uint32_t stride = in[j].stride;
        uint32_t left = in[j].channels;
        if (planes->alone != NULL && left > 0) { // the last plane of the first operand and the first one of the second
            add_run(planes, planes->alone, x, 0, 1);
            planes->alone = NULL;
            x += stride;
            left--;
        }
        add_run(planes, x, x + stride, stride, left / 2);
        if (left & 1) {
            planes->alone = x + (left - 1) * stride;
        }
    }
}

// Two int8 as int16, in one word.
static inline int32_t halves(int32_t low, int32_t high) {
    int32_t word;
    __asm__ ("pkhbt %0, %1, %2, lsl #16" : "=r" (word) : "r" (low), "r" (high));
    return word;
}

// A plane alone, in windows at `x` and `distance` rows on: two taps a word.
static void pack_alone(int32_t *to, const int8_t *x, uint32_t kernel, uint32_t distance) {
    for (; kernel >= 2; kernel -= 2, x += 2, to += 2) {
        to[0] = halves(x[0], x[1]);
        to[1] = halves(x[distance], x[distance + 1]);
    }
    if (kernel == 1) {
        to[0] = halves(x[0], 0);
        to[1] = halves(x[distance], 0);
    }
}

// The input of the windows at input rows `row` and `row + distance`.
static inline void pack_windows(int32_t *to, const planes_t *planes, uint32_t row, uint32_t kernel, uint32_t distance) {
    for (uint32_t i = 0; i < planes->count; i++) {
        to = ditmos_m7_pack_windows(to, &planes->runs[i], row, kernel | distance << 16);
    }
    if (planes->alone != NULL) {
        pack_alone(to, planes->alone + row, kernel, distance);
    }
}

// Two windows, and what becomes of them.
typedef struct {
    const ditmos_layer_t *layer;
    const ditmos_call_t *call;
    planes_t planes;
    uint32_t windows; // rows from one pair of windows to the next
    uint32_t outputs; // output rows of a pair of windows
} conv_t;

// Words that the first turn of the loop over `words` words leaves out.
static inline uint32_t left_out(uint32_t words) {
    return M7_QUAD_TURN - 1 - (words - 1) % M7_QUAD_TURN;
}

static inline const char *taps_of(uint32_t words) {
    return ditmos_m7_quads_code.taps + left_out(words) * M7_QUAD_WORD;
}

// All quads over the input of each pair of windows, packed in the scratch.
static void conv_packed(const conv_t *conv) {
    const ditmos_layer_t *layer = conv->layer;
    const ditmos_call_t *call = conv->call;
    uint32_t words = ditmos_quad_words(layer);
    int32_t *packed = call->scratch;
    m7_quads_t quads;
    quads.x = packed;
    quads.x_end = packed + 2 * words;
    quads.taps = taps_of(words);
    quads.store = layer->pool == 2 ? ditmos_m7_quads_code.store_pooled : ditmos_m7_quads_code.store_both;
    quads.quad = ditmos_lanes_quad(layer, call->weights, 0);
    quads.quads = ((const ditmos_lanes_header_t *)call->weights)->quads;
    quads.zero_point = layer->zero_point;
    quads.out = call->out;
    quads.out_stride = call->out_stride;
    uint32_t row = 0;
    uint32_t left = call->rows;
    for (; left >= conv->outputs; left -= conv->outputs, quads.out += conv->outputs, row += conv->windows) {
        pack_windows(packed, &conv->planes, row, layer->kernel, layer->stride);
        ditmos_m7_quads(&quads);
    }
    if (left > 0) {
        quads.taps = ditmos_m7_single_code.taps + left_out(words) * M7_SINGLE_WORD;
        quads.store = ditmos_m7_single_code.store_both;
        pack_windows(packed, &conv->planes, row, layer->kernel, 0);
        ditmos_m7_quads(&quads);
    }
}

// Adds to the sums of a quad, whose weights go on at `w`, what tiles of a run of pairs of planes give.
static const int32_t *add_run_of_tiles(int32_t sum[8], const int32_t *w, m7_run_t run, uint32_t row, uint32_t kernel,
    uint32_t distance) {
    int32_t tile[2 * TILE_WORDS];
    uint32_t most = TILE_WORDS / kernel;
    for (uint32_t left = run.pairs; left > 0; left -= run.pairs) {
        run.pairs = left < most ? left : most;
        uint32_t words = run.pairs * kernel;
        ditmos_m7_pack_windows(tile, &run, row, kernel | distance << 16);
        ditmos_m7_quad_sums(sum, tile, w, words, taps_of(words));
        run.a += run.pairs * run.step;
        run.b += run.pairs * run.step;
        w += 4 * words;
    }
    return w;
}

// Quad by quad, with input that is packed for each of them, a tile at a time: slower, but with no scratch.
static void conv_tiles(const conv_t *conv, const ditmos_quad_t *quad) {
    const ditmos_layer_t *layer = conv->layer;
    const ditmos_call_t *call = conv->call;
    uint32_t row = 0;
    for (uint32_t done = 0; done < call->rows; done += conv->outputs, row += conv->windows) {
        uint32_t distance = done + conv->outputs <= call->rows ? layer->stride : 0;
        int32_t sum[8];
        const int32_t *w = quad->words;
        for (uint32_t i = 0; i < 8; i++) {
            sum[i] = quad->bias[i % 4];
        }
        for (uint32_t i = 0; i < conv->planes.count; i++) {
            w = add_run_of_tiles(sum, w, conv->planes.runs[i], row, layer->kernel, distance);
        }
        if (conv->planes.alone != NULL) {
            int32_t tile[2 * TILE_WORDS];
            uint32_t words = ditmos_tap_pairs(layer);
            pack_alone(tile, conv->planes.alone + row, layer->kernel, distance);
            ditmos_m7_quad_sums(sum, tile, w, words, taps_of(words));
        }
        for (uint32_t i = 0; i < 4; i++) {
            int8_t *out = call->out + quad->channel[i] * call->out_stride + done;
            int32_t a = sum[i];
            int32_t b = sum[4 + i];
            if (layer->pool == 2) {
                a = a > b ? a : b;
            } else if (distance > 0) {
                out[1] = ditmos_requantize(b, quad->multiplier[i], layer->zero_point);
            }
            out[0] = ditmos_requantize(a, quad->multiplier[i], layer->zero_point);
        }
    }
}

void ditmos_conv_quads_m7(const ditmos_layer_t *layer, const ditmos_call_t *call) {
    conv_t conv;
    conv.layer = layer;
    conv.call = call;
    conv.windows = 2 * layer->stride;
    conv.outputs = layer->pool == 2 ? 1 : 2;
    find_planes(&conv.planes, call->in);
    if (call->scratch_size >= 8 * ditmos_quad_words(layer)) {
        conv_packed(&conv);
        return;
    }
    const ditmos_lanes_header_t *header = call->weights;
    for (uint32_t i = 0; i < header->quads; i++) {
        conv_tiles(&conv, ditmos_lanes_quad(layer, call->weights, i));
    }
}

#endif // DITMOS_KERNELS_M7
