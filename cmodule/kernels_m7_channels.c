// Depthwise convolutions and averages on cores with the DSP extension.
#include "kernels.h"

#if DITMOS_KERNELS_M7

#include "dsp.h"
#include "kernels_m7_channels.h"
#include "kernels_ref.h"

// The size that firmware is built for costs a third more here. Bytes that follow each other are stored one by one: as
// words they would not be aligned.
#pragma GCC optimize("O2", "no-store-merging")

#define ROWS (4) // of a block, before pooling

typedef struct {
    const int8_t *x; // the first row that the first output row depends on
    const int8_t *weight;
    int8_t *out;
    int32_t bias;
    int32_t multiplier;
    int32_t zero_point;
} channel_t;

static inline int8_t requantized(int32_t sum, int32_t multiplier, int32_t zero_point) {
    int32_t y = ditmos_mlar(sum, multiplier, zero_point);
    __asm__ ("ssat %0, #8, %1" : "=r" (y) : "r" (y));
    return (int8_t)y;
}

static inline int32_t larger(int32_t a, int32_t b) {
    return a > b ? a : b;
}

// `rows` output rows, at least a block of them. The last block is moved back to end with them. The copy is there because
// a store of a byte may change anything else, for all that the compiler knows.
static void run_blocks(const channel_t *channel, const ditmos_layer_t *layer, uint32_t rows) {
    const channel_t c = *channel;
    const uint32_t kernel = layer->kernel;
    const uint32_t stride = layer->stride;
    const uint32_t pool = layer->pool;
    const uint32_t step = ROWS / pool; // output rows of a block
    const int8_t *x = c.x;
    int8_t *out = c.out;
    int8_t *last = c.out + rows - step;
    for (;;) {
        int32_t sum[ROWS] = { c.bias, c.bias, c.bias, c.bias };
        const int8_t *row = x;
        for (uint32_t i = 0; i < kernel; i++, row++) {
            int32_t w = c.weight[i];
            sum[0] += w * row[0];
            sum[1] += w * row[stride];
            sum[2] += w * row[2 * stride];
            sum[3] += w * row[3 * stride];
        }
        if (pool == 2) {
            out[0] = requantized(larger(sum[0], sum[1]), c.multiplier, c.zero_point);
            out[1] = requantized(larger(sum[2], sum[3]), c.multiplier, c.zero_point);
        } else {
            out[0] = requantized(sum[0], c.multiplier, c.zero_point);
            out[1] = requantized(sum[1], c.multiplier, c.zero_point);
            out[2] = requantized(sum[2], c.multiplier, c.zero_point);
            out[3] = requantized(sum[3], c.multiplier, c.zero_point);
        }
        if (out == last) {
            break;
        }
        uint32_t left = (uint32_t)(last - out);
        left = left < step ? left : step;
        out += left;
        x += left * pool * stride;
    }
}

// Fewer rows than a block has.
static void run_rows(const channel_t *channel, const ditmos_layer_t *layer, uint32_t rows) {
    const channel_t c = *channel;
    const int8_t *end = c.weight + layer->kernel;
    const int8_t *x = c.x;
    for (uint32_t row = 0; row < rows; row++) {
        int32_t pooled = INT32_MIN;
        for (uint32_t i = layer->pool; i > 0; i--, x += layer->stride) {
            int32_t sum = c.bias;
            const int8_t *from = x;
            for (const int8_t *w = c.weight; w < end;) {
                sum += *w++ * *from++;
            }
            pooled = larger(pooled, sum);
        }
        c.out[row] = requantized(pooled, c.multiplier, c.zero_point);
    }
}

// One weight for all rows.
static void run_average(const channel_t *c, const ditmos_layer_t *layer, uint32_t rows) {
    const int8_t *x = c->x;
    for (uint32_t row = 0; row < rows; row++, x += layer->stride) {
        int32_t sum = 0;
        #pragma GCC unroll 4
        for (uint32_t j = 0; j < layer->kernel; j++) {
            sum += x[j];
        }
        c->out[row] = requantized(c->bias + *c->weight * sum, c->multiplier, c->zero_point);
    }
}

static void run_operand(const ditmos_layer_t *layer, const m7_depthwise_t *call, uint32_t rows) {
    bool average = layer->kind == DITMOS_AVERAGE;
    uint32_t weights = average ? 1 : layer->kernel;
    channel_t c = { .x = call->x, .weight = call->weight, .out = call->out, .zero_point = call->zero_point };
    for (uint32_t i = 0; i < call->channels; i++) {
        c.bias = call->bias[i];
        c.multiplier = call->multiplier[i];
        if (average) {
            run_average(&c, layer, rows);
        } else if (rows * layer->pool < ROWS) {
            run_rows(&c, layer, rows);
        } else {
            run_blocks(&c, layer, rows);
        }
        c.x += call->stride;
        c.weight += weights;
        c.out += call->out_stride;
    }
}

// Loops of their own for kernels of the usual lengths; NULL: none.
static m7_depthwise_run_t *loop_of(const ditmos_layer_t *layer, uint32_t rows) {
    if (layer->kind != DITMOS_DEPTHWISE || layer->stride * layer->pool > 1 || rows < ROWS) {
        return NULL;
    }
    switch (layer->kernel) {
        case 3:
            return ditmos_m7_depthwise_3;
        case 5:
            return ditmos_m7_depthwise_5;
        case 9:
            return ditmos_m7_depthwise_9;
        default:
            return NULL;
    }
}

void ditmos_channels_m7(const ditmos_layer_t *layer, const ditmos_call_t *call) {
    ditmos_plain_t p = ditmos_plain(layer, call->weights);
    m7_depthwise_run_t *loop = loop_of(layer, call->rows);
    m7_depthwise_t run;
    uint32_t done = 0; // channels
    for (unsigned j = 0; j < DITMOS_MAX_OPERANDS && call->in[j].channels > 0; j++) {
        const ditmos_operand_t *in = &call->in[j];
        run.x = in->data;
        run.out = call->out + done * call->out_stride;
        run.stride = in->stride;
        run.out_stride = call->out_stride;
        run.last = call->rows - ROWS;
        run.bias = p.bias + done;
        run.multiplier = p.multiplier + done;
        run.weight = p.weight + done * (layer->kind == DITMOS_AVERAGE ? 1 : layer->kernel);
        run.zero_point = layer->zero_point;
        run.channels = in->channels;
        if (loop != NULL) {
            loop(&run);
        } else {
            run_operand(layer, &run, call->rows);
        }
        done += in->channels;
    }
}

#endif // DITMOS_KERNELS_M7
