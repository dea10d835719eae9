// Pairs of output channels on the Cortex-M7, in three lanes: sets up the loops of kernels_m7_lanes.S. How they work:
// docs/kernels.md.
#include "kernels_packed.h"

#if DITMOS_KERNELS_M7

#include <string.h>

#include "kernels_m7.h"

// The size that firmware is built for costs a third more here; MicroPython's own flags stay as they are.
#pragma GCC optimize("O2")

// A call as the loops see it: operands that follow each other in memory are one. The structures of this file are filled
// field by field, since zeroing and copying them would cost more than a short chunk's work.
typedef struct {
    const ditmos_layer_t *layer;
    const ditmos_call_t *call;
    const int8_t *x; // of the first operand
    uint32_t channels[DITMOS_MAX_OPERANDS];
    uint32_t tap_pairs;
    uint32_t odd; // 1 for an odd kernel, of each plane
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
    conv->tap_pairs = ditmos_lane_tap_pairs(layer);
    conv->odd = ditmos_lane_kernel(layer) & 1u;
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

// What does not change from tile to tile.
static inline void lanes_init(m7_lanes_t *lanes, const conv_t *conv) {
    const ditmos_call_t *call = conv->call;
    uint32_t stream = 8 * conv->tap_pairs;
    lanes->blocks.pair_size = sizeof(ditmos_pair_t) + ditmos_lane_planes(conv->layer) * stream;
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

// The carry into the first row, if `fresh`.
static inline void half_init(m7_lanes_t *lanes, const conv_t *conv, bool fresh) {
    lanes->half.taps = NULL;
    if (fresh) {
        uint32_t taps = conv->tap_pairs - conv->odd;
        lanes->half.x = conv->x + (int32_t)(conv->odd - 2 * (M7_TAP_PAIRS - taps));
        lanes->half.taps = ditmos_m7_half_code.taps_end - taps * M7_HALF_TAP;
        lanes->half.next = next_of(conv, &ditmos_m7_half_code);
        lanes->half.skip = PAIR_WORDS + 8 * conv->odd;
        lanes->half.plane_skip = 8 * conv->odd;
    }
}

// An even number of rows, from int8 planes.
static inline void planes_init(m7_lanes_t *lanes, const conv_t *conv) {
    uint32_t windows = conv->call->rows & ~1u;
    lanes->out = conv->call->out;
    lanes->blocks.taps = NULL;
    if (windows > 0) {
        const int8_t *x = conv->x + !conv->odd;
        lanes->blocks.x = x;
        lanes->blocks.taps = ditmos_m7_planes_taps[conv->channels[0] % M7_TURN][conv->tap_pairs - 1];
        lanes->blocks.next = next_of(conv, &ditmos_m7_planes_code);
        lanes->blocks.stride = lanes->stride;
        lanes->blocks.weights_size = lanes->weights_size[0];
        lanes->walk.args[3] = (uint32_t)(x + 2 * windows);
    }
}

// The last row alone, where it is left over.
static inline void window_init(m7_lanes_t *lanes, const conv_t *conv, bool left) {
    lanes->window.taps = NULL;
    if (left) {
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

// From int8 planes, any call of a layer with stride 1 that pools.
__attribute__((noinline)) static void conv_planes(const ditmos_layer_t *layer, const ditmos_call_t *call, bool fresh) {
    conv_t conv;
    m7_lanes_t lanes;
    conv_init(&conv, layer, call);
    lanes_init(&lanes, &conv);
    half_init(&lanes, &conv, fresh);
    planes_init(&lanes, &conv);
    window_init(&lanes, &conv, call->rows & 1);
    lanes_run(&lanes, &conv, call->carry);
}

// ----- packed planes ------------------------------------------------------------------------------------------------

// A call whose planes are packed before it runs. Windows go two by two. In front of those that the rows need there may
// be one more, `early`, whose lane 2 is the carry into the first row; a last one may be there to fill up.
typedef struct {
    conv_t conv;
    m7_lanes_t lanes;
    uint32_t planes;
    uint32_t rows_of_window; // output rows
    uint32_t windows;
    uint32_t early; // 1 or 0
    uint32_t tile; // windows that are packed at once
    int32_t *carry; // of all pairs, or NULL
    int8_t *spare; // two windows' rows of every channel, or NULL: where the first or last ones are not wanted
    int32_t *words;
    uint32_t stride; // bytes from a pair of packed planes to the next
} packed_t;

static inline bool has_carry(const ditmos_layer_t *layer) {
    return layer->stride == 1 && layer->pool == 2;
}

// Windows (an even number) whose input fits into `size` bytes of packed planes.
static uint32_t packed_windows(const packed_t *packed, uint32_t size) {
    uint32_t words = size / (16 * ((packed->planes + 1) / 2)) * 2;
    return words >= packed->conv.tap_pairs + 1 ? (words + 1 - packed->conv.tap_pairs) & ~1u : 0;
}

// Packing costs about 4 instructions a word, and saves 2 a word each time it is read, and the loop over single planes.
static bool packing_pays(const packed_t *packed) {
    const ditmos_lanes_header_t *header = packed->conv.call->weights;
    uint32_t taps = packed->conv.tap_pairs;
    return header->pairs * (packed->tile / 2) * (2 * taps + 4) > 4 * (packed->tile - 1 + taps);
}

// Which windows there are. With an early one the carry takes 6 instructions a pair of taps and 2 channels, and nothing
// is left over where the number of windows is odd; else it takes 7 for 4 channels, and one left over 9.
static void find_windows(packed_t *packed, bool fresh) {
    const ditmos_layer_t *layer = packed->conv.layer;
    packed->rows_of_window = layer->pool == 2 ? 1 : 2;
    packed->windows = (packed->conv.call->rows + packed->rows_of_window - 1) / packed->rows_of_window;
    bool odd = packed->windows & 1;
    if (layer->stride == 2) {
        packed->early = 1;
    } else if (layer->pool == 1) {
        packed->early = odd;
    } else {
        packed->early = fresh && odd && packed->planes * (4 * packed->conv.tap_pairs + 7) > M7_EARLY_PAYS;
    }
    packed->windows += packed->early;
    packed->windows += has_carry(layer) ? -(packed->windows & 1) : packed->windows & 1;
}

// Shares out the scratch. False: there is not enough of it, or it does not pay.
static bool find_places(packed_t *packed) {
    const ditmos_call_t *call = packed->conv.call;
    uint32_t channels = packed->conv.layer->channels_out;
    uint32_t size = call->scratch_size;
    uint32_t rows = packed->windows * packed->rows_of_window;
    bool whole = rows <= call->rows && packed->early == 0; // every row is wanted
    packed->carry = has_carry(packed->conv.layer) ? call->carry : NULL;
    packed->words = call->scratch;
    if (packed->windows == 0) {
        return false;
    }
    if (!whole || packed_windows(packed, size) < packed->windows) {
        uint32_t carry = packed->carry == NULL ? channels : 0; // words
        uint32_t spare = whole ? 0 : (2 * packed->rows_of_window * channels + 3) / 4;
        if (size < 4 * (carry + spare)) {
            return false;
        }
        size -= 4 * (carry + spare);
        packed->spare = (int8_t *)(packed->words + carry);
        packed->words += carry + spare;
        if (carry > 0) {
            packed->carry = call->scratch;
        }
    }
    uint32_t most = packed_windows(packed, size);
    packed->tile = packed->windows < most ? packed->windows : most;
    packed->stride = 16 * ((packed->tile + packed->conv.tap_pairs) / 2);
    return packed->tile > 0 && (!has_carry(packed->conv.layer) || packing_pays(packed));
}

// One plane as lanes see it: with stride 2 a channel's even rows, or its odd ones.
typedef struct {
    const int8_t *x;
    int32_t rows;
    int32_t step; // bytes from row to row
} plane_t;

static inline plane_t plane_at(const packed_t *packed, uint32_t plane) {
    const ditmos_layer_t *layer = packed->conv.layer;
    const ditmos_call_t *call = packed->conv.call;
    uint32_t step = layer->stride;
    uint32_t c = plane / step;
    uint32_t phase = plane % step;
    const ditmos_operand_t *in = &call->in[c >= call->in[0].channels];
    c -= in == call->in ? 0 : call->in[0].channels;
    uint32_t rows = (ditmos_conv_rows_in(layer, call->rows) - phase + step - 1) / step;
    return (plane_t) { in->data + c * in->stride + phase, (int32_t)rows, (int32_t)step };
}

// Words `begin` to `end` of one plane of a pair; the first one starts at row `row`. Rows that are not there are 0.
static void pack_edge(int32_t *to, const plane_t *plane, int32_t row, int32_t begin, int32_t end) {
    for (int32_t i = begin; i < end; i++) {
        int32_t r = row + 2 * i;
        int32_t low = 0 <= r && r < plane->rows ? plane->x[r * plane->step] : 0;
        int32_t high = 0 <= r + 1 && r + 1 < plane->rows ? plane->x[(r + 1) * plane->step] : 0;
        to[i / 2 * 4 + i % 2] = low + high * (1 << DITMOS_LANE_BITS);
    }
}

// Packs the input of `windows` windows from window `first` on.
static void pack_planes(const packed_t *packed, uint32_t first, uint32_t windows) {
    int32_t words = (int32_t)(windows - 1 + packed->conv.tap_pairs);
    int32_t row = 2 * (int32_t)(first - packed->early) + !packed->conv.odd; // of the first word
    int32_t *to = packed->words;
    for (uint32_t p = 0; p < packed->planes; to += packed->stride / 4) {
        uint32_t count = (packed->planes - p) % 2 ? 1 : 2; // the first of an odd number stands where the second would
        plane_t a = plane_at(packed, p);
        plane_t b = count == 2 ? plane_at(packed, p + 1) : a;
        int32_t begin = row < 0 ? 2 : 0;
        int32_t end = (b.rows - row) / 2; // of the words that lie in both planes
        end = end > words ? words : end > begin ? end : begin;
        int32_t skip = (row + 2 * begin) * a.step;
        (a.step == 1 ? ditmos_m7_pack : ditmos_m7_pack_even)(to + 2 * begin, a.x + skip, b.x + skip,
            (uint32_t)(end - begin));
        if (begin > 0 || end < words) {
            begin = begin < words ? begin : words;
            pack_edge(to, &a, row, 0, begin);
            pack_edge(to, &a, row, end, words);
            pack_edge(to + 2, &b, row, 0, begin);
            pack_edge(to + 2, &b, row, end, words);
        }
        p += count;
    }
}

// Runs `windows` windows of those that are packed; `at` counts from the first of these.
static void run_windows(packed_t *packed, uint32_t at, uint32_t windows, int8_t *out, uint32_t out_stride) {
    const int32_t *x = packed->words + 2 * at;
    packed->lanes.out = out;
    packed->lanes.out_stride = out_stride;
    packed->lanes.blocks.x = x;
    packed->lanes.walk.args[3] = (uint32_t)(x + 2 * windows);
    lanes_run(&packed->lanes, &packed->conv, packed->carry);
    packed->lanes.half.taps = NULL;
}

// The same for two windows of whose rows, from `row` on, not all are wanted.
static void run_spare(packed_t *packed, uint32_t at, int32_t row) {
    const ditmos_call_t *call = packed->conv.call;
    const ditmos_lanes_header_t *header = call->weights;
    int32_t rows = 2 * (int32_t)packed->rows_of_window;
    run_windows(packed, at, 2, packed->spare, (uint32_t)rows);
    int32_t begin = row < 0 ? -row : 0;
    int32_t end = row + rows > call->rows ? call->rows - row : rows;
    for (uint32_t i = 0; i < header->pairs; i++) {
        const ditmos_pair_t *pair = ditmos_lanes_pair(packed->conv.layer, call->weights, i);
        for (uint32_t j = 0; j < 2; j++) {
            int8_t *out = call->out + pair->channel[j] * call->out_stride + row;
            for (int32_t r = begin; r < end; r++) {
                out[r] = packed->spare[pair->channel[j] * rows + r];
            }
        }
    }
}

// Tiles of as many windows as fit into the scratch. False where that is not possible or does not pay.
__attribute__((noinline)) static bool conv_packed(const ditmos_layer_t *layer, const ditmos_call_t *call, bool fresh) {
    packed_t packed;
    m7_lanes_t *lanes = &packed.lanes;
    conv_init(&packed.conv, layer, call);
    packed.planes = ditmos_lane_planes(layer);
    find_windows(&packed, fresh);
    if (!find_places(&packed)) {
        return false;
    }
    uint32_t rows = packed.rows_of_window;
    lanes_init(lanes, &packed.conv);
    lanes->blocks.taps = ditmos_m7_packed_taps[packed.planes & 1][packed.conv.tap_pairs - 1];
    lanes->blocks.next = ditmos_m7_packed_next[layer->pool - 1];
    lanes->blocks.stride = packed.stride;
    lanes->blocks.weights_size = packed.planes * 8 * packed.conv.tap_pairs;
    half_init(lanes, &packed.conv, fresh && packed.early == 0);
    if (packed.early) {
        memset(packed.carry, 0, 4u * layer->channels_out);
    }
    for (uint32_t done = 0; done < packed.windows; done += packed.tile) {
        uint32_t end = packed.windows - done < packed.tile ? packed.windows - done : packed.tile;
        bool last = done + end == packed.windows;
        uint32_t begin = 0;
        int32_t row = (int32_t)((done - packed.early) * rows);
        pack_planes(&packed, done, end);
        lanes->window.taps = NULL;
        if (row < 0) {
            run_spare(&packed, 0, row);
            begin = 2;
        }
        bool beyond = end > begin && row + (int32_t)(end * rows) > call->rows;
        if (end - 2 * beyond > begin) {
            window_init(lanes, &packed.conv, last && has_carry(layer) && packed.windows - packed.early < call->rows);
            lanes->out = call->out;
            run_windows(&packed, begin, end - 2 * beyond - begin, call->out + row + (int32_t)(begin * rows),
                call->out_stride);
        }
        if (beyond) {
            run_spare(&packed, end - 2, row + (int32_t)((end - 2) * rows));
        }
    }
    return true;
}

void ditmos_conv_pairs_m7(const ditmos_layer_t *layer, const ditmos_call_t *call) {
    const ditmos_lanes_header_t *header = call->weights;
    bool fresh = call->carry == NULL || call->first || !has_carry(layer);
    if (call->scratch_size > 0 && conv_packed(layer, call, fresh)) {
        return;
    }
    if (!has_carry(layer)) {
        ditmos_conv_pairs_ref(layer, call);
        return;
    }
    uint32_t odd = (layer->channels_out & (fresh ? 3u : 1u)) | (call->rows & 1u);
    if ((odd | header->quads) == 0 && one_run(call->in)) {
        ditmos_m7_conv(layer, call, fresh);
    } else {
        conv_planes(layer, call, fresh);
    }
}

#endif // DITMOS_KERNELS_M7
