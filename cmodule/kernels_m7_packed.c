// Pairs of output channels from planes that are packed first, any stride and pooling. How they work: docs/kernels.md.
#include "kernels_packed.h"

#if DITMOS_KERNELS_M7

#include <string.h>

#include "kernels_m7_pairs.h"

// The size that firmware is built for costs a third more here; MicroPython's own flags stay as they are.
#pragma GCC optimize("O2")

// A call whose planes are packed before it runs. Windows go two by two. In front of those that the rows need there may
// be one more, `early`, whose lane 2 is the carry into the first row; a last one may be there to fill up.
//
// Most of what is here is made twice by the compiler, for layers that pool with stride 1 (`usual`), which know beforehand
// that every word of their planes is there, and for all others.
typedef struct {
    conv_t conv;
    m7_lanes_t lanes;
    uint32_t planes;
    uint32_t empty; // places in front of the first group
    uint32_t rows_of_window; // output rows
    uint32_t windows;
    uint32_t early; // 1 or 0
    uint32_t tile; // windows that are packed at once
    int32_t *carry; // of all pairs, or NULL
    int8_t *spare; // two windows' rows of every channel: where the last ones are not wanted
    int32_t *words;
    uint32_t stride; // bytes from a group of packed planes to the next
} packed_t;

// Windows (an even number) whose input fits into `size` bytes of packed planes.
static inline uint32_t packed_windows(const packed_t *packed, uint32_t size) {
    uint32_t words = size / (8 * (packed->planes + packed->empty)) * 2;
    return words >= packed->conv.tap_pairs + 1 ? (words + 1 - packed->conv.tap_pairs) & ~1u : 0;
}

// Packing costs about 4 instructions a word, and saves 2 a word each time it is read, and the loop over single planes: it
// pays from two pairs on.
static inline bool packing_pays(const packed_t *packed) {
    const ditmos_lanes_header_t *header = packed->conv.call->weights;
    uint32_t taps = packed->conv.tap_pairs;
    return header->pairs > 1 || packed->tile * (taps + 2) > 4 * (packed->tile - 1 + taps);
}

// Which windows there are. An early one makes an odd number even, so that none is left over; where there is none, the
// carry is computed apart.
static inline void find_windows(packed_t *packed, bool fresh, const bool usual) {
    const ditmos_layer_t *layer = packed->conv.layer;
    packed->rows_of_window = usual || layer->pool == 2 ? 1 : 2;
    packed->windows = (packed->conv.call->rows + packed->rows_of_window - 1) / packed->rows_of_window;
    packed->early = (!usual && layer->stride == 2) || (fresh && packed->windows & 1);
    packed->windows += packed->early;
    packed->windows += usual ? -(packed->windows & 1) : packed->windows & 1;
}

// Shares out the scratch. False: there is not enough of it, or it does not pay.
static inline bool find_places(packed_t *packed, const bool usual) {
    const ditmos_call_t *call = packed->conv.call;
    uint32_t channels = packed->conv.layer->channels_out;
    uint32_t size = call->scratch_size;
    uint32_t rows = packed->windows * packed->rows_of_window;
    bool whole = usual || rows - packed->early * packed->rows_of_window <= call->rows; // every row is wanted
    packed->carry = usual ? call->carry : NULL;
    packed->words = call->scratch;
    if (packed->windows == 0) {
        return false;
    }
    uint32_t most = packed_windows(packed, size);
    if (!whole || packed->early || most < packed->windows) {
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
        most = packed_windows(packed, size);
    }
    packed->tile = packed->windows < most ? packed->windows : most;
    packed->stride = M7_GROUP_STEP * ((packed->tile + packed->conv.tap_pairs) / 2);
    return packed->tile > 0 && (!usual || packing_pays(packed));
}

// Where the words of the plane at place `p` start.
static inline int32_t *packed_place(const packed_t *packed, uint32_t p) {
    return packed->words + p / M7_GROUP * (packed->stride / 4) + p % M7_GROUP * 2;
}

// Word `i` of a plane whose first word starts at row `row`. Rows that are not there are 0.
static inline void pack_word(int32_t *to, const int8_t *x, int32_t rows, int32_t step, int32_t row, int32_t i) {
    int32_t r = row + 2 * i;
    int32_t low = 0 <= r && r < rows ? x[r * step] : 0;
    int32_t high = 0 <= r + 1 && r + 1 < rows ? x[(r + 1) * step] : 0;
    to[i / 2 * (M7_GROUP_STEP / 4) + i % 2] = low + high * (1 << DITMOS_LANE_BITS);
}

// Which words of an operand's planes are not all rows that are there: those before `begin` and from `end` on.
typedef struct {
    int32_t row; // of the first word
    int32_t begin;
    int32_t end;
    int32_t words;
} edges_t;

// The edges of an operand of `rows` rows, whose first plane is at place `p`.
__attribute__((noinline)) static void pack_edges(const packed_t *packed, uint32_t p, const ditmos_operand_t *in,
    int32_t rows, const edges_t *edges) {
    int32_t step = packed->conv.layer->stride;
    uint32_t planes = in->channels * (uint32_t)step;
    for (uint32_t i = 0; i < planes; i++) {
        int32_t phase = (int32_t)i % step;
        int32_t *to = packed_place(packed, p + i);
        const int8_t *x = in->data + (int32_t)i / step * (int32_t)in->stride + phase;
        int32_t there = (rows - phase + step - 1) / step;
        for (int32_t j = 0; j < edges->begin; j++) {
            pack_word(to, x, there, step, edges->row, j);
        }
        for (int32_t j = edges->end; j < edges->words; j++) {
            pack_word(to, x, there, step, edges->row, j);
        }
    }
}

// Packs the input of `windows` windows from window `first` on.
__attribute__((always_inline)) static inline void pack_planes(const packed_t *packed, uint32_t first, uint32_t windows,
    const bool usual) {
    const ditmos_layer_t *layer = packed->conv.layer;
    const ditmos_call_t *call = packed->conv.call;
    int32_t step = usual ? 1 : layer->stride;
    int32_t rows = (int32_t)ditmos_conv_rows_in(layer, call->rows);
    edges_t edges;
    edges.words = (int32_t)(windows - 1 + packed->conv.tap_pairs);
    edges.row = 2 * (int32_t)(first - packed->early) + !packed->conv.odd;
    edges.begin = edges.row < 0 ? 2 : 0;
    edges.end = edges.words;
    if (!usual) {
        int32_t end = (rows / step - edges.row) / 2; // of the words that lie in every plane
        edges.end = end > edges.words ? edges.words : end > edges.begin ? end : edges.begin;
    }
    bool front = edges.row < 0 && (usual || (step == 1 && rows >= 3));
    int32_t row = front ? 0 : edges.row + 2 * edges.begin;
    int32_t words = edges.end - edges.begin;
    int32_t taken = 2 * (words & ~1) * step; // bytes of a plane
    m7_pack_t pack;
    pack.words = (uint32_t)words;
    pack.group_step = packed->stride - M7_GROUP_STEP;
    pack.x_steps = !packed->conv.odd;
    void (*pack_all)(const m7_pack_t *pack) = step == 2 ? ditmos_m7_pack_even : ditmos_m7_pack;
    if (front) {
        pack_all = ditmos_m7_pack_front;
        taken += 2 + pack.x_steps;
        edges.begin = 0;
    }
    uint32_t p = packed->empty;
    for (const ditmos_operand_t *in = call->in; in < call->in + DITMOS_MAX_OPERANDS && in->channels > 0; in++) {
        pack.planes = in->channels * (uint32_t)step;
        if (usual || front || words > 0) {
            pack.out = packed_place(packed, p) + edges.begin * (M7_GROUP_STEP / 8);
            pack.place = p << 30;
            pack.x = in->data + row * step;
            pack.x_step = (step == 2 ? 1 : (int32_t)in->stride) - taken;
            if (step == 2) {
                pack.x_steps = (int32_t)in->stride - 2 * taken;
            }
            pack_all(&pack);
        }
        if (!usual && (edges.begin > 0 || edges.end < edges.words)) {
            pack_edges(packed, p, in, rows, &edges);
        }
        p += pack.planes;
    }
}

// Runs `windows` windows of those that are packed; `at` counts from the first of these.
static inline void run_windows(packed_t *packed, uint32_t at, uint32_t windows, int8_t *out, uint32_t out_stride) {
    const int32_t *x = packed->words + M7_GROUP_STEP / 8 * at;
    packed->lanes.out = out;
    packed->lanes.out_stride = out_stride;
    packed->lanes.blocks.x = x;
    packed->lanes.walk.args[3] = (uint32_t)(x + M7_GROUP_STEP / 8 * windows);
    ditmos_m7_run_pairs(&packed->lanes, packed->conv.layer, packed->conv.call->weights, packed->carry);
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

__attribute__((always_inline)) static inline bool conv_packed(const ditmos_layer_t *layer, const ditmos_call_t *call,
    bool fresh, const bool usual) {
    packed_t packed;
    m7_lanes_t *lanes = &packed.lanes;
    conv_init(&packed.conv, layer, call);
    packed.planes = usual ? layer->channels_in : ditmos_lane_planes(layer);
    packed.empty = -packed.planes % M7_GROUP;
    find_windows(&packed, fresh, usual);
    if (!find_places(&packed, usual)) {
        return false;
    }
    uint32_t rows = packed.rows_of_window;
    lanes_init(lanes, &packed.conv);
    lanes->blocks.taps = ditmos_m7_packed_taps[packed.planes % M7_TURN_PACKED][packed.conv.tap_pairs - 1];
    if (packed.conv.tap_pairs >= M7_LEAVE_TAPS) {
        bool more = packed.planes > M7_GROUP;
        lanes->blocks.taps2 = ditmos_m7_packed_leave[more ? 1 + packed.conv.tap_pairs - M7_LEAVE_TAPS : 0];
    }
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
        bool beyond = !usual && row + (int32_t)(windows * rows) > call->rows;
        uint32_t wanted = windows - 2 * beyond;
        pack_planes(&packed, done, windows, usual);
        lanes->blocks.next = ditmos_m7_packed_next[row < 0][(usual ? 2 : layer->pool) - 1];
        lanes->window.taps = NULL;
        if (wanted > 0) {
            window_init(lanes, &packed.conv, usual && last && packed.windows - packed.early < call->rows);
            run_windows(&packed, 0, wanted, call->out + (row < 0 ? 0 : row), call->out_stride);
        }
        if (beyond) {
            lanes->blocks.next = ditmos_m7_packed_next[wanted == 0 && row < 0][layer->pool - 1];
            run_spare(&packed, wanted, row + (int32_t)(wanted * rows));
        }
    }
    return true;
}

bool ditmos_m7_conv_packed(const ditmos_layer_t *layer, const ditmos_call_t *call, bool fresh) {
    return has_carry(layer) ? conv_packed(layer, call, fresh, true) : conv_packed(layer, call, true, false);
}

#endif // DITMOS_KERNELS_M7
