// Which kernel runs a layer: by the packing of its weights and the core.
#include "kernels.h"

#include "kernels_ref.h"

#if DITMOS_KERNELS_M7
#include "kernels_smlad.h"
#endif

bool ditmos_weights_valid(const ditmos_layer_t *layer, const void *weights, uint32_t *offset) {
    *offset = 0;
    switch (layer->packing) {
        case DITMOS_PACKING_PLAIN:
            return ditmos_weights_valid_ref(layer, weights, offset);
        default:
            return false;
    }
}

void ditmos_conv(const ditmos_layer_t *layer, const ditmos_call_t *call) {
    switch (layer->packing) {
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
