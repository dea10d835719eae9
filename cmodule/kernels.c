// Which kernel runs a layer: by the packing of its weights and the core.
#include "kernels.h"

#include "kernels_packed.h"
#include "kernels_ref.h"

#if DITMOS_KERNELS_M7
#include "kernels_m7_channels.h"
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

// The kernel for the DSP extension where the core has it, else the portable one.
#if DITMOS_KERNELS_M7
#define CHOOSE(dsp, portable) (dsp)
#else
#define CHOOSE(dsp, portable) (portable)
#endif

ditmos_kernel_t *ditmos_kernel_of(const ditmos_layer_t *layer) {
    switch (layer->packing) {
        case DITMOS_PACKING_LANES:
        case DITMOS_PACKING_QUADS:
            return CHOOSE(ditmos_conv_lanes_m7, ditmos_conv_lanes_ref);
        case DITMOS_PACKING_DOT:
        case DITMOS_PACKING_WIDE:
            return CHOOSE(ditmos_fc_dot_m7, ditmos_fc_dot_ref);
        default:
            break;
    }
    switch (layer->kind) {
        case DITMOS_FC:
            return CHOOSE(ditmos_fc_smlad, ditmos_fc_ref);
        case DITMOS_DEPTHWISE:
        case DITMOS_AVERAGE:
            return CHOOSE(ditmos_channels_m7, ditmos_channels_ref);
        default:
            return CHOOSE(ditmos_conv_smlad, ditmos_conv_ref);
    }
}
