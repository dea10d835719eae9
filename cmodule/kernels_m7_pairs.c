// Pairs of output channels on the Cortex-M7, in three lanes: sets up the loops of kernels_m7_lanes.S. How they work:
// docs/kernels.md.
#include "kernels_packed.h"

#if DITMOS_KERNELS_M7

#include "kernels_m7_pairs.h"

// The size that firmware is built for costs a third more here; MicroPython's own flags stay as they are.
#pragma GCC optimize("O2")

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

void ditmos_m7_run_pairs(m7_lanes_t *lanes, const ditmos_layer_t *layer, const ditmos_lanes_header_t *header,
    int32_t *carry) {
    const uint8_t *pairs = (const uint8_t *)(header + 1);
    uint32_t channels = layer->channels_out;
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
    ditmos_m7_run_pairs(&lanes, layer, call->weights, call->carry);
}

static inline void conv_pairs(const ditmos_layer_t *layer, const ditmos_call_t *call, uint32_t quads) {
    bool fresh = call->carry == NULL || call->first;
    if (call->scratch_size > 0 && ditmos_m7_conv_packed(layer, call, fresh)) {
        return;
    }
    if (!has_carry(layer)) {
        ditmos_conv_pairs_ref(layer, call);
        return;
    }
    uint32_t odd = (layer->channels_out & (fresh ? 3u : 1u)) | (call->rows & 1u);
    if ((odd | quads) == 0 && one_run(call->in)) {
        ditmos_m7_conv(layer, call, fresh);
    } else {
        conv_planes(layer, call, fresh);
    }
}

void ditmos_conv_lanes_m7(const ditmos_layer_t *layer, const ditmos_call_t *call) {
    const ditmos_lanes_header_t *header = call->weights;
    uint32_t quads = header->quads;
    if (header->pairs > 0) {
        conv_pairs(layer, call, quads);
    }
    if (quads > 0) {
        ditmos_conv_quads_m7(layer, call);
    }
}

#endif // DITMOS_KERNELS_M7
