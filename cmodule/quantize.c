#include "quantize.h"

#include <string.h>

// Round to the nearest integer, half to even; NaN gives 0, what is beyond int16 saturates at or beyond that.
static inline int32_t round_to_even(float x) {
    #if defined(__ARM_FP) && (__ARM_FP & 4) && defined(__thumb2__)
    // In the mode of the FPSCR, which nobody changes. Saturates, and gives 0 for a NaN.
    float rounded;
    int32_t result;
    __asm__ ("vcvtr.s32.f32 %0, %1" : "=t" (rounded) : "t" (x));
    memcpy(&result, &rounded, sizeof(result));
    return result;
    #else
    if (x != x) {
        return 0;
    }
    x = x < -32768.0f ? -32768.0f : x > 32767.0f ? 32767.0f : x;
    // Between 2^23 and 2^24 floats are the integers. volatile: neither fused nor simplified.
    volatile float shifted = x + 12582912.0f;
    return (int32_t)(shifted - 12582912.0f);
    #endif
}

// clamp(rint(x * factor) + zero_point). The product is rounded to float32 before that.
static inline int8_t quantize(float x, float factor, int32_t zero_point) {
    #if defined(__ARM_FP) && (__ARM_FP & 4) && defined(__thumb2__)
    float product = x * factor;
    #else
    volatile float product = x * factor; // volatile: a fused multiply-add would skip that rounding
    #endif
    int32_t q = round_to_even(product);
    int32_t low = -128 - zero_point;
    int32_t high = 127 - zero_point;
    return (int8_t)((q < low ? low : q > high ? high : q) + zero_point);
}

void ditmos_quantize_f32(int8_t *dst, const void *src, uint32_t count, float factor, int8_t zero_point) {
    const uint8_t *p = src;
    for (uint32_t i = 0; i < count; i++, p += sizeof(float)) {
        float x;
        memcpy(&x, p, sizeof(x));
        dst[i] = quantize(x, factor, zero_point);
    }
}

void ditmos_quantize_i16(int8_t *dst, const void *src, uint32_t count, float factor, int8_t zero_point) {
    const uint8_t *p = src;
    for (uint32_t i = 0; i < count; i++, p += sizeof(int16_t)) {
        int16_t x;
        memcpy(&x, p, sizeof(x));
        dst[i] = quantize((float)x, factor, zero_point);
    }
}
