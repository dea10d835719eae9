#include "inputs.h"

#include <string.h>

#if defined(__arm__) && !defined(__ARM_FP)
#define DITMOS_SOFT_FLOAT (1)
#endif

#if DITMOS_SOFT_FLOAT
#include "softfloat.h"
#endif

// As the rest of what runs for every window, whatever the firmware is built with.
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC optimize("O2")
#endif

ditmos_input_t ditmos_input(const uint8_t *p) {
    return (ditmos_input_t) {
               .scale = ditmos_f32(p),
               .sample_scale = ditmos_f32(p + 4),
               .zero_point = (int32_t)ditmos_u32(p + 8),
               .multiplier = ditmos_u32(p + 12),
               .shift = p[16],
               .used = p[17],
    };
}

ditmos_status_t ditmos_input_check(const uint8_t *data, uint32_t at) {
    const uint8_t *p = data + at;
    ditmos_input_t input = ditmos_input(p);
    NEED(ditmos_is_scale(input.scale), "INPT.scale", at, "must be positive and finite");
    NEED(ditmos_is_scale(input.sample_scale), "INPT.sample_scale", at + 4, "must be positive and finite");
    NEED(-DITMOS_MAX_ZERO_POINT <= input.zero_point && input.zero_point <= DITMOS_MAX_ZERO_POINT, "INPT.zero_point",
        at + 8, "must be -2^21 to 2^21");
    NEED(1 <= input.multiplier && input.multiplier <= INT32_MAX, "INPT.multiplier", at + 12, "must be 1 to 2^31 - 1");
    NEED(1 <= input.shift && input.shift <= 62, "INPT.shift", at + 16, "must be 1 to 62");
    NEED(p[17] <= 1, "INPT.flags", at + 17, "has unknown flags");
    NEED(ditmos_u16(p + 18) == 0, "INPT.reserved", at + 18, "must be 0");
    return ditmos_ok();
}

#if DITMOS_SOFT_FLOAT

typedef ditmos_soft_t factor_t;

static inline factor_t factor_of(float scale) {
    uint32_t bits;
    memcpy(&bits, &scale, sizeof(bits));
    return ditmos_soft_inverse(ditmos_soft(bits));
}

static inline int32_t scaled(uint32_t bits, factor_t factor) {
    return ditmos_soft_scaled(bits, factor);
}

#else

typedef float factor_t;

static inline factor_t factor_of(float scale) {
    return 1.0f / scale;
}

// x * factor, rounded to the nearest integer, half to even; NaN gives 0. What is beyond 2^22 saturates there or further
// out: with any zero point that is out of int8.
static inline int32_t scaled(uint32_t bits, factor_t factor) {
    float x;
    memcpy(&x, &bits, sizeof(x));
    #if defined(__ARM_FP) && (__ARM_FP & 4) && defined(__thumb2__)
    // In the mode of the FPSCR, which nobody changes. Saturates, and gives 0 for a NaN.
    float rounded;
    int32_t result;
    __asm__ ("vcvtr.s32.f32 %0, %1" : "=t" (rounded) : "t" (x * factor));
    memcpy(&result, &rounded, sizeof(result));
    return result;
    #else
    volatile float product = x * factor; // volatile: a fused multiply-add would skip its rounding
    x = product;
    if (x != x) {
        return 0;
    }
    x = x < -4194304.0f ? -4194304.0f : x > 4194304.0f ? 4194304.0f : x;
    // Between 2^23 and 2^24 floats are the integers. volatile: neither fused nor simplified.
    volatile float shifted = x + 12582912.0f;
    return (int32_t)(shifted - 12582912.0f);
    #endif
}

#endif

// clamp(q + zero_point) without overflow.
static inline int8_t to_int8(int32_t q, int32_t zero_point) {
    int32_t low = -128 - zero_point;
    int32_t high = 127 - zero_point;
    return (int8_t)((q < low ? low : q > high ? high : q) + zero_point);
}

unsigned ditmos_used(const uint8_t *records, unsigned channels) {
    unsigned used = 0;
    for (unsigned c = 0; c < channels; c++) {
        used += ditmos_input(records + (size_t)DITMOS_INPUT_SIZE * c).used;
    }
    return used;
}

uint32_t ditmos_quantize_f32(int8_t *dst, const void *src, uint32_t rows, unsigned channels, const uint8_t *records) {
    unsigned used = ditmos_used(records, channels);
    uint32_t last = 0;
    for (unsigned c = 0; c < channels; c++) {
        ditmos_input_t input = ditmos_input(records + (size_t)DITMOS_INPUT_SIZE * c);
        if (!input.used) {
            continue;
        }
        factor_t factor = factor_of(input.scale);
        const uint8_t *p = (const uint8_t *)src + sizeof(float) * c;
        int8_t *out = dst++;
        for (uint32_t i = 0; i < rows; i++, p += sizeof(float) * channels, out += used) {
            uint32_t bits = ditmos_u32(p);
            if ((bits & 0x7f800000) == 0x7f800000 && last <= i) {
                last = i + 1;
            }
            *out = to_int8(scaled(bits, factor), input.zero_point);
        }
    }
    return last;
}

// Samples times a multiplier, where the shift leaves less than 2^14 in size: nearly always.
static void quantize_shifted(int8_t *dst, unsigned dst_step, const uint8_t *p, unsigned src_step, uint32_t rows,
    const ditmos_input_t *input) {
    const int64_t half = (int64_t)1 << (input->shift - 1);
    const int32_t multiplier = (int32_t)input->multiplier, zero_point = input->zero_point;
    const unsigned shift = input->shift - 32u;
    for (uint32_t i = 0; i < rows; i++, p += sizeof(int16_t) * src_step, dst += dst_step) {
        int64_t q = (int64_t)(int16_t)ditmos_u16(p) * multiplier + half;
        int32_t value = ((int32_t)(q >> 32) >> shift) + zero_point;
        value = value < INT8_MIN ? INT8_MIN : value;
        *dst = (int8_t)(value > INT8_MAX ? INT8_MAX : value);
    }
}

void ditmos_quantize_channel(int8_t *dst, unsigned dst_step, const void *src, unsigned src_step, uint32_t rows,
    const uint8_t *record) {
    ditmos_input_t input = ditmos_input(record);
    const uint8_t *p = src;
    if (input.shift >= 32) {
        quantize_shifted(dst, dst_step, p, src_step, rows, &input);
        return;
    }
    int64_t half = (int64_t)1 << (input.shift - 1);
    for (uint32_t i = 0; i < rows; i++, p += sizeof(int16_t) * src_step, dst += dst_step) {
        int64_t q = ((int16_t)ditmos_u16(p) * (int64_t)input.multiplier + half) >> input.shift;
        *dst = to_int8(q < -(1 << 22) ? -(1 << 22) : q > 1 << 22 ? 1 << 22 : (int32_t)q, input.zero_point);
    }
}

void ditmos_quantize_i16(int8_t *dst, const void *src, uint32_t rows, unsigned channels, const uint8_t *records) {
    unsigned used = ditmos_used(records, channels);
    for (unsigned c = 0; c < channels; c++) {
        const uint8_t *record = records + (size_t)DITMOS_INPUT_SIZE * c;
        if (ditmos_input(record).used) {
            ditmos_quantize_channel(dst++, used, (const uint8_t *)src + sizeof(int16_t) * c, channels, rows, record);
        }
    }
}
