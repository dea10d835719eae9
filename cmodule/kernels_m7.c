// Packings 2 to 5 on the Cortex-M7: convolutions by pairs and by quads, and fully connected layers. How the loops work:
// docs/kernels.md.
#include "kernels_packed.h"

#if DITMOS_KERNELS_M7

#include <string.h>

#include "kernels_m7.h"
#include "kernels_ref.h"

// The size that firmware is built for costs a third more here; MicroPython's own flags stay as they are.
#pragma GCC optimize("O2")

// Inputs of a fully connected layer that are copied to the stack where they are not one aligned run of bytes.
#define FC_COPY_SIZE (512)

void ditmos_conv_lanes_m7(const ditmos_layer_t *layer, const ditmos_call_t *call) {
    const ditmos_lanes_header_t *header = call->weights;
    if (header->pairs > 0) {
        ditmos_conv_pairs_m7(layer, call);
    }
    if (header->quads > 0) {
        ditmos_conv_quads_m7(layer, call);
    }
}

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
