#include "quantize.h"

#include <string.h>

// clamp(rint(x * factor) + zero_point): rint rounds half to even.
static int8_t quantize(float x, float factor, int32_t zero_point) {
    // volatile: the product is to be rounded to float32, which a fused multiply-add would not do.
    volatile float product = x * factor;
    float y = product;
    if (y != y) {
        return (int8_t)zero_point;
    }
    y = y < -512.0f ? -512.0f : y > 512.0f ? 512.0f : y; // saturates anyway
    // Between 2^23 and 2^24 floats are the integers, so adding 1.5 * 2^23 rounds, in the default rounding mode.
    volatile float shifted = y + 12582912.0f;
    int32_t q = (int32_t)(shifted - 12582912.0f) + zero_point;
    return (int8_t)(q < -128 ? -128 : q > 127 ? 127 : q);
}

void ditmos_quantize_f32(int8_t *dst, const void *src, uint32_t count, float factor, int8_t zero_point) {
    const uint8_t *p = src;
    for (uint32_t i = 0; i < count; i++) {
        float x;
        memcpy(&x, p + i * sizeof(x), sizeof(x));
        dst[i] = quantize(x, factor, zero_point);
    }
}

void ditmos_quantize_i16(int8_t *dst, const void *src, uint32_t count, float factor, int8_t zero_point) {
    const uint8_t *p = src;
    for (uint32_t i = 0; i < count; i++) {
        int16_t x;
        memcpy(&x, p + i * sizeof(x), sizeof(x));
        dst[i] = quantize((float)x, factor, zero_point);
    }
}
