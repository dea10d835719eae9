// Which kernel runs a layer: by the packing of its weights and the core.
#include "kernels.h"

#include "kernels_packed.h"
#include "kernels_ref.h"

#if DITMOS_KERNELS_M7
#include "kernels_smlad.h"
#endif

bool ditmos_weights_valid(const ditmos_layer_t *layer, const void *weights, uint32_t *offset) {
    *offset = 0;
    switch (layer->packing) {
        case DITMOS_PACKING_PLAIN:
            return ditmos_weights_valid_ref(layer, weights, offset);
        case DITMOS_PACKING_LANES:
        case DITMOS_PACKING_QUADS:
            return ditmos_weights_valid_lanes(layer, weights, offset);
        case DITMOS_PACKING_DOT:
        case DITMOS_PACKING_WIDE:
            return ditmos_weights_valid_dot(layer, weights, offset);
        default:
            return false;
    }
}

void ditmos_conv(const ditmos_layer_t *layer, const ditmos_call_t *call) {
    switch (layer->packing) {
        case DITMOS_PACKING_LANES:
        case DITMOS_PACKING_QUADS:
            #if DITMOS_KERNELS_M7
            ditmos_conv_lanes_m7(layer, call);
            #else
            ditmos_conv_lanes_ref(layer, call);
            #endif
            break;
        case DITMOS_PACKING_PLAIN:
        default:
            #if DITMOS_KERNELS_M7
            ditmos_conv_smlad(layer, call);
            #else
            ditmos_conv_ref(layer, call);
            #endif
            break;
    }
}

void ditmos_fc(const ditmos_layer_t *layer, const ditmos_call_t *call) {
    switch (layer->packing) {
        case DITMOS_PACKING_DOT:
        case DITMOS_PACKING_WIDE:
            #if DITMOS_KERNELS_M7
            ditmos_fc_dot_m7(layer, call);
            #else
            ditmos_fc_dot_ref(layer, call);
            #endif
            break;
        case DITMOS_PACKING_PLAIN:
        default:
            #if DITMOS_KERNELS_M7
            ditmos_fc_smlad(layer, call);
            #else
            ditmos_fc_ref(layer, call);
            #endif
            break;
    }
}
