// Sensor values to int8: docs/arithmetic.md, Input.
#ifndef DITMOS_QUANTIZE_H
#define DITMOS_QUANTIZE_H

#include <stdint.h>

// `src` may lie at any address. `factor` is 1 / input_scale for real units.
void ditmos_quantize_f32(int8_t *dst, const void *src, uint32_t count, float factor, int8_t zero_point);

// `factor` is sample_scale / input_scale.
void ditmos_quantize_i16(int8_t *dst, const void *src, uint32_t count, float factor, int8_t zero_point);

#endif // DITMOS_QUANTIZE_H
