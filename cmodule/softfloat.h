// Dividing floats by a scale in integers, where the core has no floating-point unit: as inputs.c does it with one, to
// the last bit, and without the C library's functions, which a native module for such a core cannot be linked with.
#ifndef DITMOS_SOFTFLOAT_H
#define DITMOS_SOFTFLOAT_H

#include <stdbool.h>
#include <stdint.h>

#define DITMOS_F32_INFINITE (0x7f800000)

// mantissa * 2^exponent; a mantissa that is not 0 has its highest bit at 23.
typedef struct {
    uint32_t mantissa;
    int32_t exponent;
} ditmos_soft_t;

static inline ditmos_soft_t ditmos_soft_normal(uint32_t mantissa, int32_t exponent) {
    while (mantissa != 0 && mantissa < 1u << 23) {
        mantissa <<= 1;
        exponent--;
    }
    return (ditmos_soft_t) { mantissa, exponent };
}

// Of the bits of a finite float, without its sign.
static inline ditmos_soft_t ditmos_soft(uint32_t bits) {
    uint32_t mantissa = bits & 0x7fffff;
    uint32_t exponent = bits >> 23 & 0xff;
    return ditmos_soft_normal(exponent ? mantissa | 1u << 23 : mantissa, (exponent ? (int32_t)exponent : 1) - 150);
}

// value / 2^shift, to the nearest integer, half to even; 1 <= shift <= 63.
static inline uint64_t ditmos_soft_rounded(uint64_t value, uint32_t shift) {
    uint64_t half = (uint64_t)1 << (shift - 1);
    uint64_t rest = value & (2 * half - 1);
    value >>= shift;
    return value + (rest > half || (rest == half && (value & 1)));
}

// The float 1 / scale. Mantissa 0: infinite.
static inline ditmos_soft_t ditmos_soft_inverse(ditmos_soft_t scale) {
    // 2^48 / mantissa, 25 bits and whether there is a rest: enough to round 24 of them.
    uint32_t quotient = 0;
    uint32_t rest = 1u << 23;
    for (unsigned i = 0; i < 26; i++) {
        bool fits = rest >= scale.mantissa;
        quotient = quotient << 1 | fits;
        rest = (rest - (fits ? scale.mantissa : 0)) << 1;
    }
    int32_t exponent = -48 - scale.exponent;
    // A float's lowest bit is 2^-149 at least.
    uint32_t shift = quotient >> 25 ? 2 : 1;
    shift += exponent + (int32_t)shift < -149 ? (uint32_t)(-149 - exponent) - shift : 0;
    uint32_t rounded = (uint32_t)ditmos_soft_rounded((uint64_t)quotient << 1 | (rest != 0), shift + 1);
    if (rounded >> 24) {
        rounded >>= 1;
        exponent++;
    }
    exponent += (int32_t)shift;
    return exponent > 104 ? (ditmos_soft_t) { 0, 0 } : ditmos_soft_normal(rounded, exponent);
}

// The integer nearest to the float x * factor, half to even; NaN gives 0; beyond 2^22 it stays there.
static inline int32_t ditmos_soft_scaled(uint32_t x_bits, ditmos_soft_t factor) {
    const int32_t most = 1 << 22;
    uint32_t size = x_bits & 0x7fffffff;
    if (size > DITMOS_F32_INFINITE || size == 0) {
        return 0; // also 0 times infinity, which is no number
    }
    int32_t result = most;
    if (size < DITMOS_F32_INFINITE && factor.mantissa != 0) {
        ditmos_soft_t x = ditmos_soft(size);
        uint64_t product = (uint64_t)x.mantissa * factor.mantissa;
        uint32_t shift = product >> 47 ? 24 : 23;
        int32_t exponent = x.exponent + factor.exponent + (int32_t)shift;
        uint64_t rounded = ditmos_soft_rounded(product, shift);
        if (exponent < -25) {
            result = 0;
        } else if (exponent < 0) {
            uint64_t whole = ditmos_soft_rounded(rounded, (uint32_t)-exponent);
            result = whole > (uint64_t)most ? most : (int32_t)whole;
        }
    }
    return x_bits >> 31 ? -result : result;
}

#endif // DITMOS_SOFTFLOAT_H
