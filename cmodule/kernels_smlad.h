// Kernels for packing 0 (plain) on cores with the DSP extension (Armv7E-M).
#ifndef DITMOS_KERNELS_SMLAD_H
#define DITMOS_KERNELS_SMLAD_H

#include "kernels.h"

void ditmos_conv_smlad(const ditmos_layer_t *layer, const ditmos_call_t *call);
void ditmos_fc_smlad(const ditmos_layer_t *layer, const ditmos_call_t *call);

#endif // DITMOS_KERNELS_SMLAD_H
