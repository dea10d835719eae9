// Pairs of output channels from planes that are packed first, any stride and pooling. How they work: docs/kernels.md.
#include "kernels_packed.h"

#if DITMOS_KERNELS_M7

#include <string.h>

#include "kernels_m7_pairs.h"

// The size that firmware is built for costs a third more here; MicroPython's own flags stay as they are.
#pragma GCC optimize("O2")

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
    int8_t *spare; // two windows' rows of every channel: where the last ones are not wanted
    int32_t *words;
    uint32_t stride; // bytes from a pair of packed planes to the next
} packed_t;

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

// Which windows there are. An early one makes an odd number even, so that none is left over; where there is none, the
// carry is computed apart.
static void find_windows(packed_t *packed, bool fresh) {
    const ditmos_layer_t *layer = packed->conv.layer;
    packed->rows_of_window = layer->pool == 2 ? 1 : 2;
    packed->windows = (packed->conv.call->rows + packed->rows_of_window - 1) / packed->rows_of_window;
    bool odd = packed->windows & 1;
    packed->early = layer->stride == 2 || (fresh && odd);
    packed->windows += packed->early;
    packed->windows += has_carry(layer) ? -(packed->windows & 1) : packed->windows & 1;
}

// Shares out the scratch. False: there is not enough of it, or it does not pay.
static bool find_places(packed_t *packed) {
    const ditmos_call_t *call = packed->conv.call;
    uint32_t channels = packed->conv.layer->channels_out;
    uint32_t size = call->scratch_size;
    uint32_t rows = packed->windows * packed->rows_of_window;
    bool whole = rows - packed->early * packed->rows_of_window <= call->rows; // every row is wanted
    packed->carry = has_carry(packed->conv.layer) ? call->carry : NULL;
    packed->words = call->scratch;
    if (packed->windows == 0) {
        return false;
    }
    if (!whole || packed->early || packed_windows(packed, size) < packed->windows) {
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

// Where the words of plane `p` start.
static inline int32_t *packed_plane(const packed_t *packed, uint32_t p) {
    p += packed->planes & 1; // the first of an odd number stands where the second would
    return packed->words + p / 2 * (packed->stride / 4) + p % 2 * 2;
}

// Word `i` of a plane whose first word starts at row `row`. Rows that are not there are 0.
static inline void pack_word(int32_t *to, const int8_t *x, int32_t rows, int32_t step, int32_t row, int32_t i) {
    int32_t r = row + 2 * i;
    int32_t low = 0 <= r && r < rows ? x[r * step] : 0;
    int32_t high = 0 <= r + 1 && r + 1 < rows ? x[(r + 1) * step] : 0;
    to[i / 2 * 4 + i % 2] = low + high * (1 << DITMOS_LANE_BITS);
}

// Which words of an operand's planes are not all rows that are there: those before `begin` and from `end` on.
typedef struct {
    int32_t row; // of the first word
    int32_t begin;
    int32_t end;
    int32_t words;
} edges_t;

// The two words before `begin` of planes that begin at row -1 or -2; stride 1.
static void pack_front(const packed_t *packed, uint32_t p, const ditmos_operand_t *in, int32_t row) {
    const int8_t *x = in->data;
    const int8_t *second = x + row + 2;
    for (uint32_t end = p + in->channels; p < end; p++, x += in->stride, second += in->stride) {
        int32_t *to = packed_plane(packed, p);
        to[0] = row == -1 ? x[0] * (1 << DITMOS_LANE_BITS) : 0;
        to[1] = second[0] + second[1] * (1 << DITMOS_LANE_BITS);
    }
}

// The edges of an operand of `rows` rows, whose first plane is `p`.
__attribute__((noinline)) static void pack_edges(const packed_t *packed, uint32_t p, const ditmos_operand_t *in,
    int32_t rows, const edges_t *edges) {
    int32_t step = packed->conv.layer->stride;
    int32_t begin = edges->begin;
    if (begin == 2 && step == 1 && rows >= 3) {
        pack_front(packed, p, in, edges->row);
        begin = 0;
    }
    uint32_t planes = in->channels * (uint32_t)step;
    for (uint32_t i = 0; i < planes && (begin > 0 || edges->end < edges->words); i++) {
        int32_t phase = (int32_t)i % step;
        int32_t *to = packed_plane(packed, p + i);
        const int8_t *x = in->data + (int32_t)i / step * (int32_t)in->stride + phase;
        int32_t there = (rows - phase + step - 1) / step;
        for (int32_t j = 0; j < begin; j++) {
            pack_word(to, x, there, step, edges->row, j);
        }
        for (int32_t j = edges->end; j < edges->words; j++) {
            pack_word(to, x, there, step, edges->row, j);
        }
    }
}

// Packs the input of `windows` windows from window `first` on.
static void pack_planes(const packed_t *packed, uint32_t first, uint32_t windows) {
    const ditmos_layer_t *layer = packed->conv.layer;
    const ditmos_call_t *call = packed->conv.call;
    int32_t step = layer->stride;
    int32_t rows = (int32_t)ditmos_conv_rows_in(layer, call->rows);
    int32_t words = (int32_t)(windows - 1 + packed->conv.tap_pairs);
    int32_t row = 2 * (int32_t)(first - packed->early) + !packed->conv.odd; // of the first word
    int32_t begin = row < 0 ? 2 : 0;
    int32_t end = (rows / step - row) / 2; // of the words that lie in every plane
    begin = begin < words ? begin : words;
    end = end > words ? words : end > begin ? end : begin;
    m7_pack_t pack;
    pack.words = (uint32_t)(end - begin);
    int32_t twos = (end - begin) / 2;
    uint32_t p = 0;
    for (unsigned j = 0; j < DITMOS_MAX_OPERANDS; j++) {
        const ditmos_operand_t *in = &call->in[j];
        pack.planes = in->channels * layer->stride;
        if (pack.planes > 0 && pack.words > 0) {
            uint32_t second = (p + packed->planes) & 1;
            pack.out = packed_plane(packed, p) + 2 * begin;
            pack.x = in->data + (row + 2 * begin) * step;
            pack.out_step[second] = 8 - 16 * twos;
            pack.out_step[!second] = (int32_t)packed->stride - 8 - 16 * twos;
            pack.x_step[0] = (step == 2 ? 1 : (int32_t)in->stride) - 4 * step * twos;
            pack.x_step[1] = (int32_t)in->stride - (step == 2) - 4 * step * twos;
            (step == 2 ? ditmos_m7_pack_even : ditmos_m7_pack)(&pack);
        }
        if (pack.planes > 0 && (begin > 0 || end < words)) {
            edges_t edges = { row, begin, end, words };
            pack_edges(packed, p, in, rows, &edges);
        }
        p += pack.planes;
    }
}

// Runs `windows` windows of those that are packed; `at` counts from the first of these.
static void run_windows(packed_t *packed, uint32_t at, uint32_t windows, int8_t *out, uint32_t out_stride) {
    const int32_t *x = packed->words + 2 * at;
    packed->lanes.out = out;
    packed->lanes.out_stride = out_stride;
    packed->lanes.blocks.x = x;
    packed->lanes.walk.args[3] = (uint32_t)(x + 2 * windows);
    ditmos_m7_run_pairs(&packed->lanes, &packed->conv, packed->carry);
    packed->lanes.half.taps = NULL;
}

// The same for the last two windows, `row` on, of whose rows not all are wanted.
static void run_spare(packed_t *packed, uint32_t at, int32_t row) {
    const ditmos_call_t *call = packed->conv.call;
    const ditmos_lanes_header_t *header = call->weights;
    int32_t rows = 2 * (int32_t)packed->rows_of_window;
    run_windows(packed, at, 2, packed->spare, (uint32_t)rows);
    for (uint32_t i = 0; i < header->pairs; i++) {
        const ditmos_pair_t *pair = ditmos_lanes_pair(packed->conv.layer, call->weights, i);
        for (uint32_t j = 0; j < 2; j++) {
            const int8_t *from = packed->spare + pair->channel[j] * rows;
            int8_t *out = call->out + pair->channel[j] * call->out_stride;
            for (int32_t r = row < 0 ? 0 : row; r < call->rows; r++) {
                out[r] = *from++;
            }
        }
    }
}

bool ditmos_m7_conv_packed(const ditmos_layer_t *layer, const ditmos_call_t *call, bool fresh) {
    packed_t packed;
    m7_lanes_t *lanes = &packed.lanes;
    conv_init(&packed.conv, layer, call);
    fresh |= !has_carry(layer);
    packed.planes = ditmos_lane_planes(layer);
    find_windows(&packed, fresh);
    if (!find_places(&packed)) {
        return false;
    }
    uint32_t rows = packed.rows_of_window;
    lanes_init(lanes, &packed.conv);
    lanes->blocks.taps = ditmos_m7_packed_taps[packed.planes % M7_TURN][packed.conv.tap_pairs - 1];
    lanes->blocks.stride = packed.stride;
    lanes->blocks.weights_size = packed.planes * 8 * packed.conv.tap_pairs;
    half_init(lanes, &packed.conv, fresh && packed.early == 0);
    if (packed.early) {
        memset(packed.carry, 0, 4u * layer->channels_out);
    }
    for (uint32_t done = 0; done < packed.windows; done += packed.tile) {
        uint32_t windows = packed.windows - done < packed.tile ? packed.windows - done : packed.tile;
        bool last = done + windows == packed.windows;
        int32_t row = (int32_t)((done - packed.early) * rows); // of the first window
        bool beyond = row + (int32_t)(windows * rows) > call->rows;
        uint32_t wanted = windows - 2 * beyond;
        pack_planes(&packed, done, windows);
        lanes->blocks.next = ditmos_m7_packed_next[row < 0][layer->pool - 1];
        lanes->window.taps = NULL;
        if (wanted > 0) {
            window_init(lanes, &packed.conv, last && has_carry(layer) && packed.windows - packed.early < call->rows);
            run_windows(&packed, 0, wanted, call->out + (row < 0 ? 0 : row), call->out_stride);
        }
        if (beyond) {
            lanes->blocks.next = ditmos_m7_packed_next[wanted == 0 && row < 0][layer->pool - 1];
            run_spare(&packed, wanted, row + (int32_t)(wanted * rows));
        }
    }
    return true;
}

#endif // DITMOS_KERNELS_M7
