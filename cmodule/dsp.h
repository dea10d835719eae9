// The few instructions of the DSP extension that front ends are made of, and what they compute anywhere else.
#ifndef DITMOS_DSP_H
#define DITMOS_DSP_H

#include <stdint.h>
#include <string.h>

#include "kernels.h"

#if DITMOS_KERNELS_M7

// (a * b + 2^31) >> 32
static inline int32_t ditmos_mulr(int32_t a, int32_t b) {
    int32_t r;
    __asm__ ("smmulr %0, %1, %2" : "=r" (r) : "r" (a), "r" (b));
    return r;
}

// ((c << 32) + a * b + 2^31) >> 32
static inline int32_t ditmos_mlar(int32_t a, int32_t b, int32_t c) {
    int32_t r;
    __asm__ ("smmlar %0, %1, %2, %3" : "=r" (r) : "r" (a), "r" (b), "r" (c));
    return r;
}

// ((c << 32) - a * b + 2^31) >> 32
static inline int32_t ditmos_mlsr(int32_t a, int32_t b, int32_t c) {
    int32_t r;
    __asm__ ("smmlsr %0, %1, %2, %3" : "=r" (r) : "r" (a), "r" (b), "r" (c));
    return r;
}

// (a * lower half of b) >> 16, and the same with the upper half.
static inline int32_t ditmos_mulwb(int32_t a, uint32_t b) {
    int32_t r;
    __asm__ ("smulwb %0, %1, %2" : "=r" (r) : "r" (a), "r" (b));
    return r;
}

static inline int32_t ditmos_mulwt(int32_t a, uint32_t b) {
    int32_t r;
    __asm__ ("smulwt %0, %1, %2" : "=r" (r) : "r" (a), "r" (b));
    return r;
}

// sum + a * b; the compiler would make three instructions of it
static inline uint64_t ditmos_umlal(uint64_t sum, uint32_t a, uint32_t b) {
    __asm__ ("umlal %Q0, %R0, %1, %2" : "+r" (sum) : "r" (a), "r" (b));
    return sum;
}

// a clamped to int16
static inline int32_t ditmos_sat16(int32_t a) {
    int32_t r;
    __asm__ ("ssat %0, #16, %1" : "=r" (r) : "r" (a));
    return r;
}

// Bits in the opposite order.
static inline uint32_t ditmos_reversed(uint32_t a) {
    uint32_t r;
    __asm__ ("rbit %0, %1" : "=r" (r) : "r" (a));
    return r;
}

// The lower halves of two words.
static inline uint32_t ditmos_pack16(uint32_t low, uint32_t high) {
    uint32_t r;
    __asm__ ("pkhbt %0, %1, %2, lsl #16" : "=r" (r) : "r" (low), "r" (high));
    return r;
}

// sum + a * b of both halves
static inline int32_t ditmos_smlad(uint32_t a, uint32_t b, int32_t sum) {
    int32_t r;
    __asm__ ("smlad %0, %1, %2, %3" : "=r" (r) : "r" (a), "r" (b), "r" (sum));
    return r;
}

static inline int64_t ditmos_smlald(uint32_t a, uint32_t b, int64_t sum) {
    __asm__ ("smlald %Q0, %R0, %1, %2" : "+r" (sum) : "r" (a), "r" (b));
    return sum;
}

// Of both halves the smaller, the larger. SEL goes by what the subtraction before it left in the flags.
static inline uint32_t ditmos_least16(uint32_t a, uint32_t b) {
    uint32_t r, flags;
    __asm__ ("ssub16 %1, %2, %3\n\tsel %0, %3, %2" : "=r" (r), "=&r" (flags) : "r" (a), "r" (b));
    return r;
}

static inline uint32_t ditmos_most16(uint32_t a, uint32_t b) {
    uint32_t r, flags;
    __asm__ ("ssub16 %1, %2, %3\n\tsel %0, %2, %3" : "=r" (r), "=&r" (flags) : "r" (a), "r" (b));
    return r;
}

#else

// Sums are made of unsigned words: they never leave int64, but a shift of a negative number is not defined in C.
static inline int32_t ditmos_mlar(int32_t a, int32_t b, int32_t c) {
    return (int32_t)((int64_t)(((uint64_t)(uint32_t)c << 32) + (uint64_t)((int64_t)a * b) + ((uint64_t)1 << 31)) >> 32);
}

static inline int32_t ditmos_mlsr(int32_t a, int32_t b, int32_t c) {
    return (int32_t)((int64_t)(((uint64_t)(uint32_t)c << 32) - (uint64_t)((int64_t)a * b) + ((uint64_t)1 << 31)) >> 32);
}

static inline int32_t ditmos_mulr(int32_t a, int32_t b) {
    return ditmos_mlar(a, b, 0);
}

static inline int32_t ditmos_mulwb(int32_t a, uint32_t b) {
    return (int32_t)(((int64_t)a * (int16_t)b) >> 16);
}

static inline int32_t ditmos_mulwt(int32_t a, uint32_t b) {
    return ditmos_mulwb(a, b >> 16);
}

static inline uint64_t ditmos_umlal(uint64_t sum, uint32_t a, uint32_t b) {
    return sum + (uint64_t)a * b;
}

static inline int32_t ditmos_sat16(int32_t a) {
    return a < INT16_MIN ? INT16_MIN : a > INT16_MAX ? INT16_MAX : a;
}

static inline uint32_t ditmos_reversed(uint32_t a) {
    uint32_t r = 0;
    for (unsigned i = 0; i < 32; i++, a >>= 1) {
        r = r << 1 | (a & 1);
    }
    return r;
}

static inline uint32_t ditmos_pack16(uint32_t low, uint32_t high) {
    return (low & 0xffff) | high << 16;
}

static inline int32_t ditmos_smlad(uint32_t a, uint32_t b, int32_t sum) {
    return sum + (int16_t)a * (int16_t)b + (int16_t)(a >> 16) * (int16_t)(b >> 16);
}

static inline int64_t ditmos_smlald(uint32_t a, uint32_t b, int64_t sum) {
    return sum + (int32_t)((int16_t)a * (int16_t)b) + (int64_t)((int16_t)(a >> 16) * (int16_t)(b >> 16));
}

static inline uint32_t ditmos_least16(uint32_t a, uint32_t b) {
    int32_t low = (int16_t)a < (int16_t)b ? (int16_t)a : (int16_t)b;
    int32_t high = (int32_t)a >> 16 < (int32_t)b >> 16 ? (int32_t)a >> 16 : (int32_t)b >> 16;
    return ditmos_pack16((uint32_t)low, (uint32_t)high);
}

static inline uint32_t ditmos_most16(uint32_t a, uint32_t b) {
    int32_t low = (int16_t)a > (int16_t)b ? (int16_t)a : (int16_t)b;
    int32_t high = (int32_t)a >> 16 > (int32_t)b >> 16 ? (int32_t)a >> 16 : (int32_t)b >> 16;
    return ditmos_pack16((uint32_t)low, (uint32_t)high);
}

#endif

// Largest integer whose square is at most v, which is below 2^32 - 2^17.
static inline uint32_t ditmos_root(uint32_t v) {
    #if DITMOS_KERNELS_M7 && defined(__ARM_FP) && (__ARM_FP & 4)
    float f = (float)v;
    uint32_t root;
    __asm__ ("vsqrt.f32 %0, %0\n\tvcvtr.u32.f32 %0, %0" : "+t" (f));
    memcpy(&root, &f, sizeof(root));
    return root - (root * root > v);
    #else
    uint32_t root = 0;
    for (uint32_t bit = 1u << 15; bit; bit >>= 1) {
        root |= (root | bit) * (root | bit) <= v ? bit : 0;
    }
    return root;
    #endif
}

#endif // DITMOS_DSP_H
