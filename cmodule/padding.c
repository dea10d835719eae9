// Outputs at the edges of a padded map: padding.h.
#include "padding.h"

#if DITMOS_KERNELS_M7
// The size that firmware is built for costs a third more here; MicroPython's own flags stay as they are.
#pragma GCC optimize("O2")
#endif

static uint32_t smaller(uint32_t a, uint32_t b) {
    return a < b ? a : b;
}

ditmos_padding_t ditmos_padding_of(const ditmos_layer_t *layer, const uint8_t pad[2], uint32_t rows_in,
    uint32_t rows_out, uint32_t chunk) {
    ditmos_padding_t padding = { .front = pad[0], .rows_in = (uint16_t)rows_in };
    uint32_t step = (uint32_t)layer->stride * layer->pool;
    uint32_t one = ditmos_conv_rows_in(layer, 1);
    uint32_t inner = smaller((pad[0] + step - 1) / step, rows_out);
    uint32_t behind = rows_in + pad[0] < one ? 0 : smaller((rows_in + pad[0] - one) / step + 1, rows_out);
    behind = behind < inner ? inner : behind;
    padding.inner = (uint16_t)inner;
    padding.behind = (uint16_t)behind;
    uint32_t most = smaller(inner > rows_out - behind ? inner : rows_out - behind, chunk);
    if (most > 0) {
        padding.size = (ditmos_conv_rows_in(layer, most) * layer->channels_in + 3) & ~3u;
    }
    return padding;
}

// Rows of an operand, `count` of them from `x` on, between `front` and `behind` rows of padding, as planes without gaps.
// Returns where they end.
static int8_t *gather(int8_t *to, const ditmos_operand_t *in, const int8_t *pads, const int8_t *x, uint32_t front,
    uint32_t count, uint32_t behind) {
    for (uint32_t c = 0; c < in->channels; c++, x += in->stride) {
        int8_t pad = pads != NULL ? pads[c] : -128;
        for (uint32_t i = front; i > 0; i--) {
            *to++ = pad;
        }
        const int8_t *from = x;
        for (uint32_t i = count; i > 0; i--) {
            *to++ = *from++;
        }
        for (uint32_t i = behind; i > 0; i--) {
            *to++ = pad;
        }
    }
    return to;
}

void ditmos_padding_run(const ditmos_engine_stage_t *run, uint32_t done, uint32_t first) {
    const ditmos_padding_t *padding = run->padding;
    const ditmos_layer_t *layer = run->layer;
    ditmos_call_t part = run->call;
    uint32_t end = done + run->call.rows;
    while (done < end) {
        bool edge = done < padding->inner || done >= padding->behind;
        uint32_t stop = smaller(done < padding->inner ? padding->inner : edge ? end : padding->behind, end);
        int32_t from = (int32_t)(done * layer->stride * layer->pool) - padding->front; // row of the operands
        int8_t *to = run->edge;
        part.rows = (uint16_t)(stop - done);
        int32_t rows = (int32_t)ditmos_conv_rows_in(layer, part.rows);
        int32_t begin = from < 0 ? 0 : from; // what there is of these rows
        int32_t stop_in = from + rows < padding->rows_in ? from + rows : padding->rows_in;
        for (unsigned j = 0; j < DITMOS_MAX_OPERANDS; j++) {
            const ditmos_operand_t *in = &run->call.in[j];
            part.in[j] = *in;
            if (in->channels > 0) {
                part.in[j].data = in->data + (begin - (int32_t)first);
            }
            if (edge) {
                const int8_t *x = part.in[j].data;
                part.in[j].data = to;
                part.in[j].stride = (uint32_t)rows;
                to = gather(to, in, run->pads[j], x, (uint32_t)(begin - from), (uint32_t)(stop_in - begin),
                    (uint32_t)(from + rows - stop_in));
            }
        }
        run->kernel(layer, &part);
        part.out += part.rows;
        part.first = false;
        done = stop;
    }
}
