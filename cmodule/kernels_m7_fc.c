// Packings 2 and 3 on the Cortex-M7, fully connected layers: brings inputs together for the loops of kernels_m7_smlad.S.
#include "kernels_packed.h"

#if DITMOS_KERNELS_M7

#include <string.h>

#include "kernels_m7.h"
#include "kernels_ref.h"

// The size that firmware is built for costs a third more here; MicroPython's own flags stay as they are.
#pragma GCC optimize("O2")

// Bytes of a fully connected layer's inputs that are copied to the stack.
#define FC_COPY_SIZE (512)

static void gather(const ditmos_call_t *call, int8_t *x) {
    for (unsigned j = 0; j < DITMOS_MAX_OPERANDS; j++) {
        const ditmos_operand_t *in = &call->in[j];
        for (uint32_t c = 0; c < in->channels; c++, x += in->rows) {
            memcpy(x, in->data + c * in->stride, in->rows);
        }
    }
}

void ditmos_fc_dot_m7(const ditmos_layer_t *layer, const ditmos_call_t *call) {
    int32_t stack[FC_COPY_SIZE / 4];
    const void *x = call->in[0].data;
    uint32_t words = (layer->channels_in + 3u) / 4u;
    bool in_place = call->in[0].channels == 1 && call->in[1].channels == 0 && (uintptr_t)x % 4 == 0;
    bool wide = layer->packing == DITMOS_PACKING_WIDE;
    // Inputs as int16 where there is room for them: widened once, and not for every four outputs.
    bool widened = wide && 8 * words <= (call->scratch_size > sizeof(stack) ? call->scratch_size : sizeof(stack));
    uint32_t size = widened ? 8 * words : in_place ? 0 : 4 * words;
    int32_t *copy = size <= sizeof(stack) ? stack : size <= call->scratch_size ? call->scratch : NULL;
    if (copy == NULL) {
        ditmos_fc_dot_ref(layer, call);
        return;
    }
    if (!in_place) {
        int8_t *to = (int8_t *)copy + size - 4 * words;
        gather(call, to);
        x = to;
    }
    if (widened) {
        ditmos_m7_widen(copy, x, words);
        x = copy;
    }
    m7_fc_t *fc = widened ? ditmos_m7_fc_widened : wide ? ditmos_m7_fc_wide : ditmos_m7_fc;
    fc(call->weights, x, words, call->out, layer->channels_out, layer->zero_point);
}

#endif // DITMOS_KERNELS_M7
